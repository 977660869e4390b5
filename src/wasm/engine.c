/* SPDX-License-Identifier: Apache-2.0 */
#include "wasm/wasm_priv.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    DEFAULT_INSTANCES = 1000,
    DEFAULT_TABLE_ELEMENTS = 20000,
    /* What the pool keeps of a slot's memory after use instead of giving it back to the kernel. With PAGEMAP_SCAN only
     * pages that were written are reset, so keeping much costs nothing; without it all that is kept is overwritten. */
    KEEP_RESIDENT_SCAN = 2 << 20,
    KEEP_RESIDENT_PLAIN = 64 << 10,
    KEEP_RESIDENT_STACK = 16 << 10,
    KEEP_RESIDENT_TABLE = 64 << 10,
    POOL_INSTANCES_MIN = 4,
    IDLE_BYTES_MAX = 256 << 20,
    SMALL_GROWTH = 1 << 20, /* address space kept for a memory to grow into where that is scarce */
    IDLE_TICKS = 20,        /* the ticker sleeps after so many ticks without a call into a guest */
};

/* Address space that a pool slot reserves, so that the code needs no bounds checks. */
static const uint64_t memory_reservation = 4ull << 30, memory_guard = 32ull << 20;
/* A process allowed less address space than this gets no pool. */
static const uint64_t pool_address_space_min = 1ull << 40;

struct machine {
    uint64_t address_space; /* UINT64_MAX: unlimited */
    uint64_t memory;        /* what this process may use, from cgroups or the machine's size */
    uint64_t share;         /* of it, for this process */
    bool has_pagemap_scan;
};

static uint64_t read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) return UINT64_MAX;
    unsigned long long value;
    bool ok = fscanf(file, "%llu", &value) == 1;
    fclose(file);
    return ok ? value : UINT64_MAX;
}

/* The smallest limit of this cgroup and those it is in. Version 2: "0::/a/b", file memory.max, which is a number or
 * "max"; version 1: "7:memory:/a/b", file memory.limit_in_bytes. */
static uint64_t limit_of_group(const char *root, char *group, const char *file_name)
{
    char path[1400];
    uint64_t limit = UINT64_MAX;
    for (;;) {
        snprintf(path, sizeof path, "%s%s/%s", root, group, file_name);
        uint64_t value = read_number(path);
        if (value < limit) limit = value;
        char *slash = strrchr(group, '/');
        if (!slash) return limit;
        *slash = '\0';
    }
}

static uint64_t cgroup_memory_limit(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return UINT64_MAX;
    char line[1024];
    uint64_t limit = UINT64_MAX;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *v1 = strstr(line, ":memory:");
        uint64_t value = UINT64_MAX;
        if (strncmp(line, "0::", 3) == 0)
            value = limit_of_group("/sys/fs/cgroup", line + 3, "memory.max");
        else if (v1)
            value = limit_of_group("/sys/fs/cgroup/memory", v1 + strlen(":memory:"), "memory.limit_in_bytes");
        if (value < limit) limit = value;
    }
    fclose(file);
    return limit;
}

static struct machine look_at_machine(void)
{
    struct machine machine = {.address_space = UINT64_MAX, .has_pagemap_scan = wisp_wasm_written_has_scan()};
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) machine.address_space = limit.rlim_cur;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    machine.memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    uint64_t cgroup = cgroup_memory_limit();
    if (cgroup < machine.memory) machine.memory = cgroup;
    return machine;
}

static uint32_t at_least_one(uint32_t n) { return n ? n : 1; }

/* Memory of idle instances, besides what the pool keeps. A few of one component must fit in. */
static void limit_idle(struct wisp_wasm_engine *engine, uint64_t memory_bytes)
{
    uint64_t bytes = memory_bytes / 8;
    if (bytes > IDLE_BYTES_MAX) bytes = IDLE_BYTES_MAX;
    engine->idle_pages_max = (uint32_t)(bytes / 4096);
    engine->kept_pages_max = engine->idle_pages_max / WISP_WASM_ENDED_MAX / 2;
}

static void configure_pool(wasm_config_t *config, struct wisp_wasm_engine *engine,
                           const struct wisp_wasm_engine_options *options, const struct machine *machine)
{
    uint32_t n = engine->instances_max, modules = at_least_one(options->modules);
    uint32_t memories = at_least_one(options->memories), tables = at_least_one(options->tables);
    /* A quarter of the memory may stay in unused slots. */
    uint64_t keep = machine->has_pagemap_scan ? KEEP_RESIDENT_SCAN : KEEP_RESIDENT_PLAIN;
    uint64_t share = machine->share / 4 / n / memories;
    if (keep > share) keep = share & ~(uint64_t)4095;

    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, n * modules);
    wasmtime_pooling_allocation_config_total_memories_set(pool, n * memories);
    wasmtime_pooling_allocation_config_total_tables_set(pool, n * tables);
    wasmtime_pooling_allocation_config_total_stacks_set(pool, n);
    wasmtime_pooling_allocation_config_total_gc_heaps_set(pool, 0);
    wasmtime_pooling_allocation_config_max_memories_per_module_set(pool, memories);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, tables);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, engine->memory_bytes_max);
    wasmtime_pooling_allocation_config_table_elements_set(
        pool, options->table_elements_max ? options->table_elements_max : DEFAULT_TABLE_ELEMENTS);
    wasmtime_pooling_allocation_config_max_unused_warm_slots_set(pool, n * memories);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, keep);
    wasmtime_pooling_allocation_config_table_keep_resident_set(pool, KEEP_RESIDENT_TABLE);
    wasmtime_pooling_allocation_config_async_stack_keep_resident_set(pool, KEEP_RESIDENT_STACK);
    if (machine->has_pagemap_scan) wisp_engine_pooling_pagemap_scan(pool);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
}

static wasm_config_t *base_config(uint64_t reservation, uint64_t guard)
{
    wasm_config_t *config = wasm_config_new();
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_max_wasm_stack_set(config, WISP_WASM_STACK_BYTES);
    wasmtime_config_async_stack_size_set(config, 2 * WISP_WASM_STACK_BYTES);
    wasmtime_config_gc_support_set(config, false);
    wasmtime_config_wasm_exceptions_set(config, false);
    wasmtime_config_memory_reservation_set(config, reservation);
    wasmtime_config_memory_guard_size_set(config, guard);
    if (!reservation) wasmtime_config_memory_reservation_for_growth_set(config, SMALL_GROWTH);
    return config;
}

/* A pool of engine->instances_max, halved until the kernel grants the address space for it; false when not even a small
 * one can be had. */
static bool make_pooled(struct wisp_wasm_engine *engine, const struct wisp_wasm_engine_options *options,
                        const struct machine *machine)
{
    for (;;) {
        wasm_config_t *config = base_config(memory_reservation, memory_guard);
        configure_pool(config, engine, options, machine);
        wasmtime_error_t *error = NULL;
        engine->engine = wisp_engine_new(config, &error);
        if (engine->engine) return true;
        wasmtime_error_delete(error);
        if (engine->instances_max <= POOL_INSTANCES_MIN) return false;
        engine->instances_max /= 2;
    }
}

static void describe_pool(struct wisp_wasm_engine *engine, uint32_t wanted, const struct machine *machine)
{
    char *text = engine->allocation;
    size_t size = sizeof engine->allocation;
    int used = snprintf(text, size, "pool of %u instances", engine->instances_max);
    if (used < 0) return;
    if (engine->is_reduced)
        snprintf(text + used, size - (size_t)used, " instead of %u: %llu MiB of memory may be used", wanted,
                 (unsigned long long)(machine->memory >> 20));
    else if (!machine->has_pagemap_scan)
        snprintf(text + used, size - (size_t)used,
                 ", slower resets: the kernel has no PAGEMAP_SCAN (Linux 6.7 and later have)");
}

/* Code is compiled for the processor that compiles it; one home directory may serve several kinds. */
static unsigned processor_features(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool has[] = {__builtin_cpu_supports("sse4.2"),       __builtin_cpu_supports("popcnt"),
                        __builtin_cpu_supports("avx"),          __builtin_cpu_supports("avx2"),
                        __builtin_cpu_supports("fma"),          __builtin_cpu_supports("bmi"),
                        __builtin_cpu_supports("bmi2"),         __builtin_cpu_supports("avx512f"),
                        __builtin_cpu_supports("avx512vl"),     __builtin_cpu_supports("avx512dq"),
                        __builtin_cpu_supports("avx512bitalg"), __builtin_cpu_supports("avx512vbmi")};
    unsigned features = 0;
    for (size_t i = 0; i < WISP_COUNT(has); i++) features |= (unsigned)has[i] << i;
    return features;
#else
    return 0;
#endif
}

/* Decides between pool and allocation on demand and makes the engine; engine->instances_max becomes what fits. */
static int make_engine(struct wisp_wasm_engine *engine, const struct wisp_wasm_engine_options *options,
                       struct wisp_err *err)
{
    struct machine machine = look_at_machine();
    machine.share = machine.memory / at_least_one(options->processes);
    limit_idle(engine, machine.share);
    uint32_t wanted = options->instances_max ? options->instances_max : DEFAULT_INSTANCES;
    bool small_space = machine.address_space < pool_address_space_min;
    uint64_t reservation = small_space ? 0 : memory_reservation, guard = small_space ? 65536 : memory_guard;
    /* Code is compiled for the way memories are reserved. */
    snprintf(engine->tunables, sizeof engine->tunables,
             "wisp code 2;wasmtime %s;reservation %llu;guard %llu;epochs;processor %x", WASMTIME_VERSION,
             (unsigned long long)reservation, (unsigned long long)guard, processor_features());
    /* Half of the memory, and of that 256 KiB for each invocation at least. */
    uint64_t fits = machine.share / 2 / (256 << 10) / at_least_one(options->modules);
    if (fits < POOL_INSTANCES_MIN) fits = POOL_INSTANCES_MIN;
    engine->instances_max = fits < wanted ? (uint32_t)fits : wanted;
    if (!options->compile_only && !small_space && make_pooled(engine, options, &machine)) {
        engine->is_pooled = true;
        engine->is_reduced = engine->instances_max < wanted;
        describe_pool(engine, wanted, &machine);
        return 0;
    }
    engine->is_reduced = !options->compile_only;
    engine->instances_max = fits < wanted ? (uint32_t)fits : wanted;
    snprintf(engine->allocation, sizeof engine->allocation,
             "memory on demand, slower: the address space is limited to %llu MiB (ulimit -v)",
             (unsigned long long)(machine.address_space >> 20));
    wasmtime_error_t *error = NULL;
    engine->engine = wisp_engine_new(base_config(reservation, guard), &error);
    if (engine->engine) return 0;
    (void)wisp_wasm_err_take(NULL, NULL, error, WISP_ERR_LIMIT, err);
    return wisp_err_wrap(err, "start the WebAssembly engine");
}

static void *run_ticker(void *arg)
{
    struct wisp_wasm_engine *engine = arg;
    struct wisp_wasm_ticker *ticker = &engine->ticker;
    const struct timespec tick = {.tv_nsec = WISP_WASM_TICK_MS * 1000000L};
    unsigned seen = 0, quiet = 0;
    while (!atomic_load_explicit(&ticker->must_stop, memory_order_relaxed)) {
        nanosleep(&tick, NULL);
        wasmtime_engine_increment_epoch(engine->engine);
        unsigned runs = atomic_load_explicit(&ticker->n_runs, memory_order_relaxed);
        quiet = runs == seen && !(runs & 1) ? quiet + 1 : 0;
        seen = runs;
        if (quiet < IDLE_TICKS) continue;
        pthread_mutex_lock(&ticker->lock);
        atomic_store(&ticker->is_idle, true);
        /* A call that started meanwhile saw is_idle false: look again before sleeping. */
        while (atomic_load(&ticker->is_idle) && atomic_load(&ticker->n_runs) == seen &&
               !atomic_load(&ticker->must_stop))
            pthread_cond_wait(&ticker->wake, &ticker->lock);
        atomic_store(&ticker->is_idle, false);
        pthread_mutex_unlock(&ticker->lock);
        quiet = 0;
    }
    return NULL;
}

static int start_ticker(struct wisp_wasm_engine *engine, struct wisp_err *err)
{
    pthread_mutex_init(&engine->ticker.lock, NULL);
    pthread_cond_init(&engine->ticker.wake, NULL);
    int r = pthread_create(&engine->ticker.thread, NULL, run_ticker, engine);
    if (r) return wisp_err_os(err, r, "start the engine's ticker");
    engine->ticker.is_started = true;
    return 0;
}

static void stop_ticker(struct wisp_wasm_engine *engine)
{
    struct wisp_wasm_ticker *ticker = &engine->ticker;
    if (!ticker->is_started) return;
    pthread_mutex_lock(&ticker->lock);
    atomic_store(&ticker->must_stop, true);
    pthread_cond_signal(&ticker->wake);
    pthread_mutex_unlock(&ticker->lock);
    pthread_join(ticker->thread, NULL);
}

int wisp_wasm_engine_new(struct wisp_wasm_engine **ret_engine, const struct wisp_wasm_engine_options *options,
                         struct wisp_err *err)
{
    struct wisp_wasm_engine *engine = wisp_mem_calloc(1, sizeof *engine);
    wisp_ring_init(&engine->idle);
    engine->compile_only = options->compile_only;
    engine->never_compiles = options->never_compiles;
    engine->memory_bytes_max = options->memory_bytes_max ? options->memory_bytes_max : memory_reservation;
    if (engine->memory_bytes_max > memory_reservation) engine->memory_bytes_max = memory_reservation;

    if (!options->cache_dir || *options->cache_dir) engine->cache_dir = wisp_wasm_cache_dir(options->cache_dir);
    int r = make_engine(engine, options, err);
    if (r == 0) r = wisp_wasm_define_entry(engine, err);
    if (r == 0 && !options->compile_only) r = start_ticker(engine, err);
    if (r == 0 && options->remembers_written && engine->is_pooled)
        engine->remembers_written = wisp_wasm_written_remember();
    if (r < 0) {
        wisp_wasm_engine_free(engine);
        return r;
    }
    *ret_engine = engine;
    return 0;
}

void wisp_wasm_engine_free(struct wisp_wasm_engine *engine)
{
    if (!engine) return;
    assert(engine->n_ended == 0 && engine->n_idle == 0);
    stop_ticker(engine);
    if (engine->linker) wasmtime_linker_delete(engine->linker);
    if (engine->engine) wasm_engine_delete(engine->engine);
    if (engine->remembers_written) wisp_wasm_written_forget();
    free(engine->cache_dir);
    free(engine);
}

void wisp_wasm_engine_freep(struct wisp_wasm_engine **engine)
{
    wisp_wasm_engine_free(*engine);
    *engine = NULL;
}

const char *wisp_wasm_engine_allocation(const struct wisp_wasm_engine *engine) { return engine->allocation; }
bool wisp_wasm_engine_is_reduced(const struct wisp_wasm_engine *engine) { return engine->is_reduced; }
uint32_t wisp_wasm_engine_instances_max(const struct wisp_wasm_engine *engine) { return engine->instances_max; }
const char *wisp_wasm_engine_version(void) { return "wasmtime " WASMTIME_VERSION; }
