/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/runtime.h"

#include "capability/capability.h"
#include "component/instance.h"
#include "wasi/wasi.h"

#include <string.h>

/* What a slot of the pool has for any component. Slots take address space; memory only once they are used. Components
 * of dynamic languages are half a dozen core modules, of which one or two have a memory. */
enum { MODULES = 4, MEMORIES = 2, TABLES = 4, TABLE_ELEMENTS = 50000 };

int wisp_runtime_init(struct wisp_runtime *runtime, const struct wisp_host_fallback *fallback, struct wisp_err *err)
{
    size_t n = wisp_wasi_n_interfaces + wisp_capability_n_interfaces;
    WISP_CLEANUP_FREE const struct wisp_host_interface **all = wisp_mem_calloc(n, sizeof *all);
    *runtime = (struct wisp_runtime){0};
    memcpy(all, wisp_wasi_interfaces, wisp_wasi_n_interfaces * sizeof *all);
    memcpy(all + wisp_wasi_n_interfaces, wisp_capability_interfaces, wisp_capability_n_interfaces * sizeof *all);
    int r = wisp_host_new(&runtime->host, all, n, err);
    if (r == 0 && fallback) wisp_host_set_fallback(runtime->host, fallback);
    return r;
}

static int start(struct wisp_runtime *runtime, const struct wisp_wasm_engine_options *options, struct wisp_err *err)
{
    struct wisp_wasm_engine_options engine = *options;
    engine.remembers_written = true; /* guests run on the loop's thread, and nothing else has their memory */
    int r = wisp_wasm_engine_new(&runtime->engine, &engine, err);
    if (r < 0) return r;
    uint32_t fits = wisp_wasm_engine_instances_max(runtime->engine);
    runtime->instances_max = options->instances_max < fits ? options->instances_max : fits;
    return 0;
}

int wisp_runtime_start_for(struct wisp_runtime *runtime, const struct wisp_component *component,
                           const struct wisp_wasm_engine_options *options, struct wisp_err *err)
{
    struct wisp_wasm_engine_options engine = *options;
    wisp_component_pool_needs(component, &engine);
    return start(runtime, &engine, err);
}

int wisp_runtime_start_for_many(struct wisp_runtime *runtime, const struct wisp_wasm_engine_options *options,
                                struct wisp_err *err)
{
    struct wisp_wasm_engine_options engine = *options;
    engine.modules = MODULES;
    engine.memories = MEMORIES;
    engine.tables = TABLES;
    engine.table_elements_max = TABLE_ELEMENTS;
    engine.never_compiles = true;
    runtime->room = engine;
    return start(runtime, &engine, err);
}

static int check_module(const struct wisp_wasm_engine_options *room, const struct wisp_core_module *module,
                        struct wisp_err *err)
{
    if (module->n_memories > room->memories)
        return wisp_err_set(err, WISP_ERR_LIMIT, "a core module has %u memories, at most %u fit", module->n_memories,
                            room->memories);
    if (module->n_tables > room->tables)
        return wisp_err_set(err, WISP_ERR_LIMIT, "a core module has %u tables, at most %u fit", module->n_tables,
                            room->tables);
    if (module->table_elements_min > room->table_elements_max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "a table has %llu elements, at most %llu fit",
                            (unsigned long long)module->table_elements_min,
                            (unsigned long long)room->table_elements_max);
    if (room->memory_bytes_max && module->memory_pages_min > room->memory_bytes_max >> 16)
        return wisp_err_set(err, WISP_ERR_LIMIT, "it starts with %llu KiB of memory, this host allows %llu KiB",
                            (unsigned long long)(module->memory_pages_min << 6),
                            (unsigned long long)(room->memory_bytes_max >> 10));
    return 0;
}

int wisp_runtime_check(const struct wisp_runtime *runtime, const struct wisp_component *component, struct wisp_err *err)
{
    for (uint32_t i = 0; runtime->room.memories && i < component->n_steps; i++) {
        int r = check_module(&runtime->room, &component->modules[component->steps[i].module], err);
        if (r < 0) return r;
    }
    return 0;
}

void wisp_runtime_deinit(struct wisp_runtime *runtime)
{
    wisp_wasm_engine_free(runtime->engine);
    wisp_host_free(runtime->host);
    *runtime = (struct wisp_runtime){0};
}
