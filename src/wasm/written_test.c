/* SPDX-License-Identifier: Apache-2.0 */
/* Instances that come and go in a few places and write wherever they like: each finds its memory as its module says,
 * and so does one that is put back. In builds with sanitizers written.c also compares every remembered answer with the
 * kernel's. */
#include "test.h"
#include "wasm/wasm_priv.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where freed memory waits, every allocation is in new memory: a fault, and nothing would ever be remembered. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "quarantine_size_mb=0:thread_local_quarantine_size_kb=0";
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { MODULES = 6, PLACES = 6, MEMORY = 17 << 16, GROWN = 24 << 16, PAGE = 4096 };

/* Guests write without faults of a sanitizer's own memory, which C code would have. */
#define EXPORTS                                                                                                        \
    " (func (export \"store\") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))"                              \
    " (func (export \"fill\") (param i32 i32) (memory.fill (local.get 0) (i32.const 0x55) (local.get 1)))"             \
    " (func (export \"grow\") (param i32 i32) (drop (memory.grow (i32.const 7)))"                                      \
    "  (if (i32.load8_u (local.get 0)) (then unreachable))"                                                            \
    "  (memory.fill (local.get 0) (i32.const 0x66) (local.get 1)))"                                                    \
    " (func (export \"trap\") (param i32 i32) (memory.fill (local.get 0) (i32.const 0x77) (local.get 1)) "             \
    "unreachable)"                                                                                                     \
    " (func (export \"look\") (param i32 i32)))"
#define MEMORY_TEXT(minimum) "(module (memory (export \"memory\") " minimum " 32)"

/* The same with a table: nothing else is in it than what an instance puts there. */
#define TABLE_TEXT                                                                                                     \
    MEMORY_TEXT("17")                                                                                                  \
    " (table 2000 4000 funcref) (elem declare func $f) (func $f)"                                                      \
    " (func $fill (export \"fill\") (param i32 i32) (table.fill (i32.rem_u (local.get 0) (i32.const 1500))"            \
    "  (ref.func $f) (i32.rem_u (local.get 1) (i32.const 400))))"                                                      \
    " (func (export \"store\") (param i32 i32) (call $fill (local.get 0) (i32.const 1)))"                              \
    " (func (export \"grow\") (param i32 i32) (drop (table.grow (ref.func $f) (i32.const 700))))"                      \
    " (func (export \"trap\") (param i32 i32) (call $fill (local.get 0) (local.get 1)) unreachable)"                   \
    " (func (export \"look\") (param i32 i32) (local $i i32) (loop $next"                                              \
    "  (if (i32.eqz (ref.is_null (table.get (local.get $i)))) (then unreachable))"                                     \
    "  (local.set $i (i32.add (local.get $i) (i32.const 1)))"                                                          \
    "  (br_if $next (i32.lt_u (local.get $i) (table.size))))))"

/* The first three are as large as each other, so they take over each other's places; the last has room for a huge page.
 */
static const char *const texts[MODULES] = {
    MEMORY_TEXT("17") EXPORTS,
    MEMORY_TEXT("17") "(data (i32.const 1000) \"first\") (data (i32.const 700000) \"far\")" EXPORTS,
    MEMORY_TEXT("17") "(data (i32.const 1048576) \"second\")" EXPORTS,
    MEMORY_TEXT("20") "(data (i32.const 8192) \"third\")" EXPORTS,
    TABLE_TEXT,
    "(module (memory (export \"memory\") 64)" EXPORTS,
};
enum { STORE, FILL, GROW, TRAP, LOOK, FUNCTIONS };
static const char *const names[FUNCTIONS] = {"store", "fill", "grow", "trap", "look"};

struct program {
    struct wisp_wasm_module *module;
    struct wisp_wasm_prelinked *prelinked;
    struct wisp_wasm_export *memory, *functions[FUNCTIONS];
    uint8_t *pristine;
    uint64_t size;
    struct wisp_wasm_original *original; /* NULL: instances aren't put back */
};

struct place {
    struct wisp_wasm_store *store;
    struct wisp_wasm_instance instance;
    const struct program *program;
    struct wisp_wasm_extern memory; /* what the original wants */
};

static struct {
    struct wisp_wasm_engine *engine;
    struct program programs[MODULES];
    struct place places[PLACES];
    struct wisp_err err;
    uint64_t random;
} t;

static uint32_t random_below(uint32_t n)
{
    t.random = t.random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(t.random >> 33) % n;
}

static uint8_t *memory_of(struct place *place, uint64_t *ret_size)
{
    struct wisp_wasm_extern memory;
    CHECK(wisp_wasm_export_get(place->store, &place->instance, place->program->memory, &memory));
    uint8_t *base;
    wisp_wasm_memory(place->store, &memory, &base, ret_size);
    return base;
}

static void call(struct place *place, int function, uint32_t at, uint32_t size)
{
    struct wisp_wasm_extern func;
    CHECK(wisp_wasm_export_get(place->store, &place->instance, place->program->functions[function], &func));
    union wisp_raw values[WISP_WASM_CALL_VALUES] = {{.u32 = at}, {.u32 = size}};
    enum wisp_wasm_state state = wisp_wasm_store_start_call(place->store, &func, values, &t.err);
    while (state == WISP_WASM_PREEMPTED) state = wisp_wasm_store_resume(place->store);
    CHECK_INT(state, function == TRAP ? WISP_WASM_FAILED : WISP_WASM_DONE);
}

static void check_new(struct place *place)
{
    const struct program *program = place->program;
    uint64_t size;
    const uint8_t *base = memory_of(place, &size);
    if (!program->pristine) return;
    CHECK_INT(size, program->size);
    for (uint64_t at = 0; at < size; at += PAGE)
        if (memcmp(base + at, program->pristine + at, PAGE) != 0)
            wisp_test_fail(__FILE__, __LINE__, "page %llu is another instance's", (unsigned long long)at / PAGE);
    call(place, LOOK, 0, 0);
}

static void start(struct place *place, const struct program *program)
{
    place->program = program;
    place->store = wisp_wasm_store_new(t.engine, NULL, 0);
    CHECK_OK(wisp_wasm_instantiate_prelinked(place->store, program->prelinked, &place->instance, &t.err), &t.err);
    if (program->original)
        CHECK(wisp_wasm_original_look(program->original, place->store, &place->instance, &place->memory));
    check_new(place);
}

static void stop(struct place *place)
{
    wisp_wasm_store_free(place->store);
    place->store = NULL;
}

/* Put back, or away. */
static bool put_back(struct place *place)
{
    uint32_t n_pages = 0;
    if (!wisp_wasm_original_put_back(place->program->original, place->store, &place->memory, &n_pages)) {
        stop(place);
        return false;
    }
    wisp_wasm_store_reset(place->store);
    check_new(place);
    return true;
}

static void load(struct program *program, const char *text)
{
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    CHECK_OK(wisp_wasm_text_to_binary(wisp_str_from(text), &binary, &t.err), &t.err);
    CHECK_OK(wisp_wasm_module_new(&program->module, t.engine, wisp_buf_str(&binary), NULL, &t.err), &t.err);
    CHECK_OK(wisp_wasm_prelinked_new(&program->prelinked, t.engine, program->module, NULL, 0, &t.err), &t.err);
    program->memory = wisp_wasm_export_new(program->module, WISP_STR("memory"));
    for (int i = 0; i < FUNCTIONS; i++)
        program->functions[i] = wisp_wasm_export_new(program->module, wisp_str_from(names[i]));
    /* What is there before anything has been written anywhere. */
    struct place first;
    start(&first, program);
    const uint8_t *base = memory_of(&first, &program->size);
    program->pristine = wisp_mem_alloc(program->size);
    memcpy(program->pristine, base, program->size);
    stop(&first);
}

static void set_up(void)
{
    struct wisp_wasm_engine_options options = {
        .instances_max = PLACES, .memory_bytes_max = 4 << 20, .cache_dir = "", .remembers_written = true};
    CHECK_OK(wisp_wasm_engine_new(&t.engine, &options, &t.err), &t.err);
    for (int i = 0; i < MODULES; i++) load(&t.programs[i], texts[i]);
    if (wisp_wasm_written_counts().n_asked == 0)
        wisp_test_skip("no PAGEMAP_SCAN here, or no pool, or no count of faults");
}

static void tear_down(void)
{
    wisp_wasm_turn_end(t.engine);
    for (int i = 0; i < PLACES; i++)
        if (t.places[i].store) stop(&t.places[i]);
    for (int i = 0; i < MODULES; i++) {
        struct program *program = &t.programs[i];
        for (int k = 0; k < FUNCTIONS; k++) wisp_wasm_export_free(program->functions[k]);
        wisp_wasm_export_free(program->memory);
        wisp_wasm_original_free(program->original);
        wisp_wasm_prelinked_free(program->prelinked);
        wisp_wasm_module_free(program->module);
        free(program->pristine);
    }
    wisp_wasm_engine_free(t.engine);
}

/* Makes, uses and frees an instance again and again, until the kernel isn't asked any more: nothing is new. */
static void settle(const struct program *program, void (*use)(struct place *place))
{
    uint64_t n_asked;
    int rounds = 0;
    do {
        n_asked = wisp_wasm_written_counts().n_asked;
        CHECK(++rounds < 100);
        for (int i = 0; i < 3; i++) {
            struct place place;
            start(&place, program);
            use(&place);
            stop(&place);
        }
    } while (n_asked != wisp_wasm_written_counts().n_asked);
}

static void use_one_page(struct place *place) { call(place, FILL, 5 * PAGE + 7, 100); }
static void use_two_pages(struct place *place) { call(place, FILL, 5 * PAGE + 7, PAGE); }
static void use_nothing(struct place *place) { (void)place; }
static void use_grown(struct place *place) { call(place, GROW, MEMORY + 5 * PAGE, 100); }

TEST(kernel_is_asked_after_faults_only)
{
    set_up();
    settle(&t.programs[1], use_one_page);
    struct wisp_wasm_written_counts before = wisp_wasm_written_counts();
    CHECK(before.n_remembered >= 3);
    /* Another page: it is seen. The next instance doesn't have it. */
    settle(&t.programs[1], use_two_pages);
    CHECK(wisp_wasm_written_counts().n_asked > before.n_asked);
    settle(&t.programs[1], use_nothing);
    tear_down();
}

TEST(grown_memory_is_another_question)
{
    set_up();
    settle(&t.programs[0], use_grown); /* its page stays, out of reach */
    settle(&t.programs[0], use_one_page);
    for (int i = 0; i < 20; i++) settle(&t.programs[0], i % 2 ? use_grown : use_nothing);
    tear_down();
}

/* The first page of a piece of memory that could be a huge page. */
static uint32_t huge_of(struct place *place)
{
    const uintptr_t huge = (uintptr_t)2 << 20;
    uint64_t size;
    uintptr_t ahead = -(uintptr_t)memory_of(place, &size) & (huge - 1);
    CHECK(ahead + huge <= size);
    return (uint32_t)ahead;
}

static void use_huge(struct place *place) { call(place, STORE, huge_of(place), 1); }

TEST(written_pages_and_others_are_never_joined)
{
    set_up();
    const struct program *program = &t.programs[MODULES - 1];
    settle(program, use_huge);
    start(&t.places[0], program);
    uint64_t size;
    uint8_t *base = memory_of(&t.places[0], &size);
    uint32_t huge = huge_of(&t.places[0]);
    madvise(base + huge, 2 << 20, MADV_COLLAPSE); /* at once what khugepaged does some time */
    call(&t.places[0], STORE, huge + 100 * PAGE, 1);
    stop(&t.places[0]);
    settle(program, use_nothing);
    tear_down();
}

static void use_every_other_page(struct place *place)
{
    for (uint32_t page = 0; page < 200; page += 2) call(place, FILL, page * PAGE, 1);
}

TEST(answers_that_end_early_give_back_the_rest)
{
    set_up();
    for (int i = 0; i < 20; i++) {
        start(&t.places[0], &t.programs[1]);
        if (i % 3) use_every_other_page(&t.places[0]);
        stop(&t.places[0]);
    }
    settle(&t.programs[1], use_nothing);
    tear_down();
}

/* One reading of the count for those that are freed in one turn, four at a time. */
TEST(faults_are_counted_once_for_several)
{
    set_up();
    settle(&t.programs[1], use_one_page);
    for (int n = 1; n <= 5; n++) {
        for (int i = 0; i < n; i++) {
            start(&t.places[i], &t.programs[1]);
            use_one_page(&t.places[i]);
        }
        uint64_t before = wisp_wasm_written_counts().n_counted;
        wisp_wasm_turn_begin(t.engine);
        for (int i = 0; i < n; i++) stop(&t.places[i]);
        wisp_wasm_turn_end(t.engine);
        CHECK_INT(wisp_wasm_written_counts().n_counted - before, n <= 4 ? 1 : 2);
    }
    tear_down();
}

/* As the kernel does when a guest's buffer is what a system call fills. */
static void write_by_kernel(uint8_t *to, size_t size)
{
    int ends[2];
    CHECK_INT(pipe(ends), 0);
    static const uint8_t bytes[PAGE] = {1, 2, 3};
    CHECK_INT(write(ends[1], bytes, size), (long)size);
    CHECK_INT(read(ends[0], to, size), (long)size);
    close(ends[0]);
    close(ends[1]);
}

/* Mostly the same few pages, so that nothing is new for a while, then somewhere else. */
static uint32_t somewhere(uint64_t size)
{
    uint32_t pages = (uint32_t)(size / PAGE) - 2;
    return (random_below(8) ? 3 * random_below(6) : random_below(pages)) * PAGE + random_below(PAGE);
}

static void disturb(struct place *place)
{
    uint64_t size;
    uint8_t *base = memory_of(place, &size);
    uint32_t at = somewhere(size) & ~(uint32_t)(PAGE - 1);
    switch (random_below(6)) {
    case 0:
        madvise(base + at, PAGE, MADV_DONTNEED);
        break;
    case 1:
        madvise(base, size, MADV_PAGEOUT);
        break;
    case 2:
        madvise(base + at, size - at, MADV_COLD);
        break;
    case 3:
        base[at] = 9;
        break;
    default:
        write_by_kernel(base + at + random_below(PAGE), 1 + random_below(PAGE));
        break;
    }
}

/* One step; the place may be used again. */
static void step(struct place *place)
{
    uint64_t size;
    (void)memory_of(place, &size);
    uint32_t choice = random_below(20);
    if (choice < 8)
        call(place, FILL, somewhere(size), random_below(PAGE));
    else if (choice < 10)
        disturb(place);
    else if (choice < 11 && size < GROWN)
        call(place, GROW, (uint32_t)size + random_below(GROWN - MEMORY - PAGE), random_below(PAGE));
    else if (choice < 12) {
        call(place, TRAP, somewhere(size), random_below(PAGE));
        stop(place);
    } else if (choice < 17)
        stop(place);
}

TEST(no_instance_sees_another_ones_memory)
{
    enum { STEPS = 20000 };
    set_up();
    t.random = 1;
    for (int i = 0; i < STEPS; i++) {
        /* For a while one or two places and modules at a time, which is when answers are remembered. */
        uint32_t n_places = 1 + (uint32_t)(i / 200) % PLACES, n_modules = 1 + (uint32_t)(i / 100) % (MODULES - 1);
        struct place *place = &t.places[random_below(n_places)];
        if (i % 100 == 0) (random_below(2) ? wisp_wasm_turn_begin : wisp_wasm_turn_end)(t.engine);
        if (place->store)
            step(place);
        else
            start(place, &t.programs[(i / 1000 + (int)random_below(n_modules)) % (MODULES - 1)]);
    }
    struct wisp_wasm_written_counts counts = wisp_wasm_written_counts();
    CHECK(counts.n_asked > 100);
    CHECK(counts.n_remembered > 100);
    CHECK(counts.n_counted < counts.n_asked + counts.n_remembered);
    tear_down();
}

static void use_and_put_back(int steps)
{
    int n_put_back = 0;
    for (int i = 0; i < MODULES; i++) {
        struct program *program = &t.programs[i];
        program->original = wisp_wasm_original_new(program->module);
        CHECK_INT(program->original != NULL, i != 4); /* the one with a table */
    }
    for (int i = 0; i < steps; i++) {
        uint32_t n_places = 1 + (uint32_t)(i / 200) % PLACES;
        struct place *place = &t.places[random_below(n_places)];
        if (i % 50 == 0) (random_below(2) ? wisp_wasm_turn_begin : wisp_wasm_turn_end)(t.engine);
        if (!place->store) start(place, &t.programs[random_below(MODULES)]);
        for (uint32_t n = random_below(3); n > 0 && place->store; n--) step(place);
        if (place->store && place->program->original) n_put_back += put_back(place);
    }
    CHECK(n_put_back > steps / 4);
}

TEST(what_is_put_back_is_as_new)
{
    set_up();
    t.random = 2;
    use_and_put_back(6000);
    tear_down();
}

TEST(on_older_kernels_too)
{
    set_up();
    wisp_wasm_written_do_not_scan();
    t.random = 3;
    use_and_put_back(6000);
    tear_down();
}

TEST(child_remembers_nothing)
{
    set_up();
    settle(&t.programs[2], use_one_page);
    uint64_t n_asked = wisp_wasm_written_counts().n_asked;
    pid_t child = fork();
    if (child == 0) {
        start(&t.places[0], &t.programs[2]);
        use_one_page(&t.places[0]);
        stop(&t.places[0]);
        _exit(wisp_wasm_written_counts().n_asked == n_asked + 1 ? 0 : 1);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    settle(&t.programs[2], use_two_pages); /* pages that fork made read-only */
    tear_down();
}

TEST(nothing_is_remembered_unless_asked_for)
{
    struct wisp_wasm_engine_options options = {.instances_max = PLACES, .memory_bytes_max = 4 << 20, .cache_dir = ""};
    CHECK_OK(wisp_wasm_engine_new(&t.engine, &options, &t.err), &t.err);
    load(&t.programs[0], texts[0]);
    for (int i = 0; i < 10; i++) {
        start(&t.places[0], &t.programs[0]);
        use_one_page(&t.places[0]);
        stop(&t.places[0]);
    }
    struct wisp_wasm_written_counts counts = wisp_wasm_written_counts();
    CHECK_INT(counts.n_asked + counts.n_remembered, 0);
    for (int i = 1; i < MODULES; i++) load(&t.programs[i], texts[i]);
    tear_down();
}
