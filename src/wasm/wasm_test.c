/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "wasm/wasm.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A module with one host function "h"."f" (i32) -> i32, its exports, and a store. */
struct fixture {
    struct wisp_wasm_engine *engine;
    struct wisp_wasm_module *module;
    struct wisp_wasm_prelinked *prelinked;
    struct wisp_wasm_store *store;
    struct wisp_wasm_instance instance;
    struct wisp_wasm_host_func func;
    struct wisp_err err;
    union wisp_raw values[2];
    struct wisp_wasm_extern run;
    int n_calls, n_cancelled;
    bool must_fail;
};

static const char text[] =
    "(module (import \"h\" \"f\" (func $f (param i32) (result i32))) (memory (export \"memory\") 1)\n"
    " (func (export \"run\") (param i32) (result i32) (call $f (i32.add (local.get 0) (i32.const 1))))\n"
    " (func (export \"spin\") (loop (br 0)))\n"
    " (func $deep (export \"deep\") (call $deep))\n"
    " (func (export \"bad\") (drop (i32.load (i32.const -1))))\n"
    " (func (export \"boom\") unreachable))";

static int host(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values)
{
    struct fixture *f = env;
    CHECK_INT(n_values, 1);
    f->n_calls++;
    if (f->must_fail) return wisp_err_set(wisp_wasm_store_err(store), WISP_ERR_GUEST, "host says no");
    if (values[0].i32 >= 100) {
        int r = wisp_wasm_suspend(store, wisp_wasm_store_err(store));
        if (r < 0) {
            f->n_cancelled++;
            return r;
        }
    }
    values[0].i32 *= 2;
    return 0;
}

static struct wisp_wasm_module *compile(struct wisp_wasm_engine *engine, const char *source, bool *ret_was_cached)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    CHECK_OK(wisp_wasm_text_to_binary(wisp_str_from(source), &binary, &err), &err);
    struct wisp_wasm_module *module = NULL;
    CHECK_OK(wisp_wasm_module_new(&module, engine, wisp_buf_str(&binary), ret_was_cached, &err), &err);
    return module;
}

static void set_up(struct fixture *f)
{
    *f = (struct fixture){0};
    struct wisp_wasm_engine_options options = {.instances_max = 4, .memory_bytes_max = 1 << 20, .cache_dir = ""};
    CHECK_OK(wisp_wasm_engine_new(&f->engine, &options, &f->err), &f->err);
    f->module = compile(f->engine, text, NULL);
    f->func = (struct wisp_wasm_host_func){.type = {1, 1, {0x7f}, {0x7f}}, .fn = host, .env = f};
    struct wisp_wasm_named_host import = {WISP_STR("h"), WISP_STR("f"), &f->func};
    CHECK_OK(wisp_wasm_prelinked_new(&f->prelinked, f->engine, f->module, &import, 1, &f->err), &f->err);
    f->store = wisp_wasm_store_new(f->engine, f, 0);
    CHECK_OK(wisp_wasm_instantiate_prelinked(f->store, f->prelinked, &f->instance, &f->err), &f->err);
}

static void tear_down(struct fixture *f)
{
    wisp_wasm_store_free(f->store);
    wisp_wasm_prelinked_free(f->prelinked);
    wisp_wasm_module_free(f->module);
    wisp_wasm_engine_free(f->engine);
}

static int task(void *env, struct wisp_err *err)
{
    struct fixture *f = env;
    return wisp_wasm_call(f->store, &f->run, f->values, 1, err);
}

static enum wisp_wasm_state start(struct fixture *f, const char *name, int argument)
{
    struct wisp_wasm_export *export_ = wisp_wasm_export_new(f->module, wisp_str_from(name));
    CHECK(export_);
    CHECK(wisp_wasm_export_get(f->store, &f->instance, export_, &f->run));
    wisp_wasm_export_free(export_);
    f->values[0].i32 = argument;
    return wisp_wasm_store_start(f->store, task, f, &f->err);
}

TEST(guest_and_host_call_each_other)
{
    struct fixture f;
    set_up(&f);
    CHECK_INT(start(&f, "run", 20), WISP_WASM_DONE);
    CHECK_INT(f.values[0].i32, 42);
    CHECK_INT(f.n_calls, 1);
    CHECK_INT(start(&f, "run", 30), WISP_WASM_DONE);
    CHECK_INT(f.values[0].i32, 62);
    tear_down(&f);
}

TEST(suspended_guest_goes_on_when_woken)
{
    struct fixture f;
    set_up(&f);
    CHECK_INT(start(&f, "run", 100), WISP_WASM_SUSPENDED);
    CHECK_INT(wisp_wasm_store_resume(f.store), WISP_WASM_SUSPENDED);
    wisp_wasm_store_wake(f.store);
    CHECK_INT(wisp_wasm_store_resume(f.store), WISP_WASM_DONE);
    CHECK_INT(f.values[0].i32, 202);
    /* Woken before it suspends: doesn't. */
    wisp_wasm_store_wake(f.store);
    CHECK_INT(start(&f, "run", 200), WISP_WASM_DONE);
    tear_down(&f);
}

TEST(suspended_guest_can_be_thrown_away)
{
    struct fixture f;
    set_up(&f);
    CHECK_INT(start(&f, "run", 100), WISP_WASM_SUSPENDED);
    tear_down(&f);
    CHECK_INT(f.n_cancelled, 1);
}

TEST(busy_guest_is_preempted)
{
    struct fixture f;
    set_up(&f);
    CHECK_INT(start(&f, "spin", 0), WISP_WASM_PREEMPTED);
    CHECK_INT(wisp_wasm_store_resume(f.store), WISP_WASM_PREEMPTED);
    /* Also after the ticker had gone to sleep. */
    usleep(300000);
    CHECK_INT(wisp_wasm_store_resume(f.store), WISP_WASM_PREEMPTED);
    tear_down(&f);
}

TEST(traps_say_what_happened)
{
    static const char *const cases[][2] = {
        {"deep", "call stack exhausted"}, {"bad", "out-of-bounds memory access"}, {"boom", "unreachable code reached"}};
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct fixture f;
        set_up(&f);
        CHECK_INT(start(&f, cases[i][0], 0), WISP_WASM_FAILED);
        CHECK_INT(f.err.kind, WISP_ERR_GUEST);
        CHECK_HAS(f.err.text, cases[i][1]);
        CHECK_HAS(wisp_wasm_store_backtrace(f.store), "wasm backtrace");
        tear_down(&f);
    }
}

TEST(host_failure_traps_with_its_text)
{
    struct fixture f;
    set_up(&f);
    f.must_fail = true;
    CHECK_INT(start(&f, "run", 1), WISP_WASM_FAILED);
    CHECK_TEXT(f.err.text, "host says no");
    tear_down(&f);
}

TEST(start_function_runs_on_the_fiber)
{
    struct fixture f;
    set_up(&f);
    struct wisp_wasm_module *module = compile(f.engine, "(module (func $s (loop (br 0))) (start $s))", NULL);
    struct wisp_wasm_store *store = wisp_wasm_store_new(f.engine, NULL, 0);
    struct wisp_wasm_instance instance;
    CHECK_INT(wisp_wasm_store_start_instantiate(store, module, NULL, 0, &instance, &f.err), WISP_WASM_PREEMPTED);
    CHECK_INT(wisp_wasm_store_resume(store), WISP_WASM_PREEMPTED);
    wisp_wasm_store_free(store);
    wisp_wasm_module_free(module);
    tear_down(&f);
}

TEST(pool_refuses_more_than_it_has)
{
    struct fixture f;
    set_up(&f);
    if (wisp_wasm_engine_is_reduced(f.engine)) wisp_test_skip(wisp_wasm_engine_allocation(f.engine));
    struct wisp_wasm_store *stores[4];
    struct wisp_wasm_instance instance;
    for (int i = 0; i < 4; i++) {
        stores[i] = wisp_wasm_store_new(f.engine, NULL, 0);
        int r = wisp_wasm_instantiate_prelinked(stores[i], f.prelinked, &instance, &f.err);
        CHECK_INT(r, i < 3 ? 0 : -WISP_ERR_LIMIT);
    }
    CHECK_HAS(f.err.text, "all 4 instances are in use");
    for (int i = 0; i < 4; i++) wisp_wasm_store_free(stores[i]);
    tear_down(&f);
}

/* What was freed in a turn and has its place still makes room. */
TEST(a_turn_takes_no_places_away)
{
    struct fixture f;
    struct wisp_wasm_instance instance;
    struct wisp_wasm_store *stores[3];
    set_up(&f);
    if (wisp_wasm_engine_is_reduced(f.engine)) wisp_test_skip(wisp_wasm_engine_allocation(f.engine));
    wisp_wasm_turn_begin(f.engine);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 3; i++) {
            stores[i] = wisp_wasm_store_new(f.engine, NULL, 0);
            CHECK_OK(wisp_wasm_instantiate_prelinked(stores[i], f.prelinked, &instance, &f.err), &f.err);
        }
        for (int i = 0; i < 3; i++) wisp_wasm_store_free(stores[i]);
    }
    wisp_wasm_turn_end(f.engine);
    tear_down(&f);
}

static const char *cache_with(char *dir, mode_t mode)
{
    strcpy(dir, "/tmp/wisp-cache-test.XXXXXX");
    CHECK(mkdtemp(dir));
    CHECK_INT(chmod(dir, mode), 0);
    return dir;
}

static bool is_cached_after_one_run(const char *dir)
{
    struct wisp_err err = {0};
    struct wisp_wasm_engine *engine = NULL;
    struct wisp_wasm_engine_options options = {.compile_only = true, .cache_dir = dir};
    CHECK_OK(wisp_wasm_engine_new(&engine, &options, &err), &err);
    bool first, second;
    wisp_wasm_module_free(compile(engine, text, &first));
    wisp_wasm_module_free(compile(engine, text, &second));
    wisp_wasm_engine_free(engine);
    return second;
}

static void damage(const char *dir)
{
    char command[200];
    snprintf(command, sizeof command,
             "for f in %s/*.cwasm; do printf x | dd of=$f bs=1 seek=5000 conv=notrunc 2>/dev/null; done", dir);
    CHECK_INT(system(command), 0);
}

TEST(cache_is_used_only_where_it_is_safe)
{
    char dir[64], command[100];
    cache_with(dir, 0700);
    CHECK(is_cached_after_one_run(dir));
    CHECK(is_cached_after_one_run(dir));
    /* A damaged entry is found out, compiled anew and replaced. */
    damage(dir);
    CHECK(is_cached_after_one_run(dir));
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK_INT(system(command), 0);
    cache_with(dir, 0777);
    CHECK(!is_cached_after_one_run(dir));
    CHECK_INT(rmdir(dir), 0);
}

TEST(text_errors_show_the_place)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    CHECK_FAILS(wisp_wasm_text_to_binary(WISP_STR("(module (oops))"), &binary, &err), INVALID);
    CHECK_HAS(err.text, "1:10");
    CHECK_OK(wisp_wasm_text_to_binary(WISP_STR("(component)"), &binary, &err), &err);
    CHECK_INT(binary.data[4], 0x0d);
}
