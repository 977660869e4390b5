/* SPDX-License-Identifier: Apache-2.0 */
/* Whole components, from text, on the real engine with a small host. */
#include "component/run/run_sample.h"

#include <stdio.h>
#include <stdlib.h>

/* --- a host: one resource, functions that use it, one that waits --- */

struct state {
    int n_dropped, n_woken;
    bool must_wait;
    char last_text[100];
    struct wisp_instance *instance, *caller;
};

struct counter {
    int value;
};

static void counter_drop(void *rep, void *context)
{
    ((struct state *)context)->n_dropped++;
    free(rep);
}

static const char *counter_refuse_drop(const void *rep)
{
    return ((const struct counter *)rep)->value == 13 ? "it is unlucky" : NULL;
}

static int counter_new(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct counter *counter = wisp_mem_calloc(1, sizeof *counter);
    counter->value = *(const int32_t *)args;
    *(void **)result = counter;
    return 0;
}

static int counter_get(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    *(int32_t *)result = (*(struct counter *const *)args)->value;
    return 0;
}

static int say(struct wisp_call *call, const void *args, void *result)
{
    struct state *state = call->context;
    const struct wisp_str *text = args;
    snprintf(state->last_text, sizeof state->last_text, "%.*s", WISP_STR_ARG(*text));
    if (wisp_str_is(*text, "fail")) return wisp_call_trap(call, "`%.*s` was asked for", WISP_STR_ARG(*text));
    *(struct wisp_str *)result =
        (struct wisp_str){wisp_arena_printf(call->arena, "<%s>", state->last_text), strlen(state->last_text) + 2};
    return 0;
}

static int pause_here(struct wisp_call *call, const void *args, void *result)
{
    (void)args, (void)result;
    struct state *state = call->context;
    while (state->must_wait) {
        int r = wisp_call_suspend(call);
        if (r < 0) return r;
    }
    return 0;
}

static const struct wisp_host_resource resources[] = {
    {.name = "counter", .drop = counter_drop, .refuse_drop = counter_refuse_drop}};
static const struct wisp_host_func funcs[] = {
    {"[constructor]counter", "(s32) -> own<counter>", counter_new, sizeof(int32_t), sizeof(void *)},
    {"[method]counter.get", "(borrow<counter>) -> s32", counter_get, sizeof(void *), sizeof(int32_t)},
    {"say", "(string) -> string", say, sizeof(struct wisp_str), sizeof(struct wisp_str)},
    {"pause", "()", pause_here, 0, 0},
};
static const struct wisp_host_interface interface = {
    .name = "test:host/api",
    .version = "0.2.3",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
};

/* --- the guest: imports the host, exports functions that call it --- */

static const char guest[] =
    "(component\n"
    " (import \"test:host/api@0.2.1\" (instance $api\n"
    "  (export \"counter\" (type $c (sub resource)))\n"
    "  (export \"[constructor]counter\" (func (param \"value\" s32) (result (own $c))))\n"
    "  (export \"[method]counter.get\" (func (param \"self\" (borrow $c)) (result s32)))\n"
    "  (export \"say\" (func (param \"text\" string) (result string)))\n"
    "  (export \"pause\" (func))))\n"
    " (core module $libc (memory (export \"memory\") 1) (global $at (mut i32) (i32.const 4096))\n"
    "  (func (export \"realloc\") (param i32 i32 i32 i32) (result i32)\n"
    "   (global.set $at (i32.and (i32.add (global.get $at) (i32.const 7)) (i32.const -8)))\n"
    "   (global.get $at) (global.set $at (i32.add (global.get $at) (local.get 3)))))\n"
    " (core instance $libc (instantiate $libc))\n"
    " (alias export $api \"counter\" (type $counter))\n"
    " (core func $new (canon lower (func $api \"[constructor]counter\")))\n"
    " (core func $get (canon lower (func $api \"[method]counter.get\")))\n"
    " (core func $drop (canon resource.drop $counter))\n"
    " (core func $say (canon lower (func $api \"say\") (memory (core memory $libc \"memory\"))\n"
    "  (realloc (core func $libc \"realloc\"))))\n"
    " (core func $pause (canon lower (func $api \"pause\")))\n"
    " (core module $main\n"
    "  (import \"libc\" \"memory\" (memory 1)) (import \"h\" \"new\" (func $new (param i32) (result i32)))\n"
    "  (import \"h\" \"get\" (func $get (param i32) (result i32))) (import \"h\" \"drop\" (func $drop (param i32)))\n"
    "  (import \"h\" \"say\" (func $say (param i32 i32 i32))) (import \"h\" \"pause\" (func $pause))\n"
    "  (func (export \"count\") (param i32) (result i32) (local $h i32)\n"
    "   (local.set $h (call $new (local.get 0))) (call $get (local.get $h)) (call $drop (local.get $h)))\n"
    "  (func (export \"leak\") (param i32) (drop (call $new (local.get 0))))\n"
    "  (func (export \"twice\") (param i32) (local $h i32) (local.set $h (call $new (local.get 0)))\n"
    "   (call $drop (local.get $h)) (call $drop (local.get $h)))\n"
    "  (func (export \"echo\") (param i32 i32) (result i32) (call $say (local.get 0) (local.get 1) (i32.const 16))\n"
    "   (i32.const 16))\n"
    "  (func (export \"wait\") (param i32) (result i32) (call $pause) (local.get 0))\n"
    "  (func (export \"trap\") unreachable) (func (export \"spin\") (loop (br 0)))\n"
    "  (func (export \"handle\") (param i32 i32) (call $pause)\n"
    "   (if (i32.ne (call $get (local.get 0)) (local.get 1)) (then unreachable)) (call $drop (local.get 0)))\n"
    "  (func (export \"keep\") (param i32 i32) (loop (br_if 0 (i32.eqz (local.get 1)))))\n"
    "  (func (export \"grow\") (result i32) (memory.grow (i32.const 1000))))\n"
    " (core instance $main (instantiate $main (with \"libc\" (instance $libc))\n"
    "  (with \"h\" (instance (export \"new\" (func $new)) (export \"get\" (func $get)) (export \"drop\" (func $drop))\n"
    "   (export \"say\" (func $say)) (export \"pause\" (func $pause))))))\n"
    " (func (export \"count\") (param \"n\" s32) (result s32) (canon lift (core func $main \"count\")))\n"
    " (func (export \"leak\") (param \"n\" s32) (canon lift (core func $main \"leak\")))\n"
    " (func (export \"twice\") (param \"n\" s32) (canon lift (core func $main \"twice\")))\n"
    " (func (export \"echo\") (param \"text\" string) (result string) (canon lift (core func $main \"echo\")\n"
    "  (memory (core memory $libc \"memory\")) (realloc (core func $libc \"realloc\"))))\n"
    " (func (export \"wait\") (param \"n\" s32) (result s32) (canon lift (core func $main \"wait\")))\n"
    " (func (export \"trap\") (canon lift (core func $main \"trap\")))\n"
    " (func (export \"spin\") (canon lift (core func $main \"spin\")))\n"
    " (func (export \"handle\") (param \"c\" (own $counter)) (param \"n\" s32)\n"
    "  (canon lift (core func $main \"handle\")))\n"
    " (func (export \"keep\") (param \"c\" (borrow $counter)) (param \"n\" s32)\n"
    "  (canon lift (core func $main \"keep\")))\n"
    " (func (export \"grow\") (result s32) (canon lift (core func $main \"grow\"))))\n";

struct fixture {
    const struct wisp_host_fallback *fallback;
    struct sample sample;
    struct wisp_instance_options instance_options;
    struct wisp_instance *instance;
    struct state state;
    struct wisp_err err;
};

static void on_wake(struct wisp_instance *instance, void *context)
{
    struct state *state = context;
    CHECK(instance == state->instance);
    state->n_woken++;
}

static void make_instance(struct fixture *f)
{
    CHECK_OK(wisp_instance_new(&f->instance, f->sample.linked, &f->instance_options, &f->err), &f->err);
    f->state.instance = f->instance;
}

static void set_up_text(struct fixture *f, const char *text, uint64_t memory_bytes_max)
{
    *f = (struct fixture){.fallback = f->fallback};
    sample_start(&f->sample, text,
                 &(struct sample_options){.interface = &interface, .fallback = f->fallback, .remembers_written = true});
    f->instance_options =
        (struct wisp_instance_options){.context = &f->state, .memory_bytes_max = memory_bytes_max, .on_wake = on_wake};
    make_instance(f);
}

static void tear_down(struct fixture *f)
{
    wisp_instance_free(f->instance);
    sample_end(&f->sample);
}

static void set_up(struct fixture *f, uint64_t memory_bytes_max) { set_up_text(f, guest, memory_bytes_max); }

static enum wisp_instance_state call(struct fixture *f, const char *name, const void *args, void *result)
{
    const struct wisp_linked_export *export_ = wisp_linked_export_find(f->sample.linked, "", name);
    CHECK(export_);
    return wisp_instance_call(f->instance, export_, args, result, &f->err);
}

TEST(resources_live_and_die)
{
    struct fixture f = {0};
    set_up(&f, 0);
    int32_t n = 7, result = 0;
    CHECK_INT(call(&f, "count", &n, &result), WISP_INSTANCE_DONE);
    CHECK_INT(result, 7);
    CHECK_INT(f.state.n_dropped, 1);
    CHECK_INT(call(&f, "leak", &n, NULL), WISP_INSTANCE_DONE);
    CHECK_INT(f.state.n_dropped, 1);
    tear_down(&f);
    CHECK_INT(f.state.n_dropped, 2);
}

TEST(handle_used_after_drop_traps)
{
    struct fixture f = {0};
    set_up(&f, 0);
    int32_t n = 7;
    CHECK_INT(call(&f, "twice", &n, NULL), WISP_INSTANCE_FAILED);
    CHECK_INT(f.err.kind, WISP_ERR_GUEST);
    CHECK_HAS(f.err.text, "unknown handle index 1");
    tear_down(&f);
    CHECK_INT(f.state.n_dropped, 1);
}

TEST(host_may_refuse_a_drop)
{
    struct fixture f = {0};
    set_up(&f, 0);
    int32_t n = 13, result;
    CHECK_INT(call(&f, "count", &n, &result), WISP_INSTANCE_FAILED);
    CHECK_HAS(f.err.text, "`counter` must not be dropped yet: it is unlucky");
    tear_down(&f);
    CHECK_INT(f.state.n_dropped, 1);
}

TEST(strings_go_both_ways)
{
    struct fixture f = {0};
    set_up(&f, 0);
    struct wisp_str text = WISP_STR("gr\xc3\xbc\xc3\x9f"), result = {0};
    CHECK_INT(call(&f, "echo", &text, &result), WISP_INSTANCE_DONE);
    CHECK_STR(result, "<gr\xc3\xbc\xc3\x9f>");
    CHECK_TEXT(f.state.last_text, "gr\xc3\xbc\xc3\x9f");
    tear_down(&f);
}

TEST(host_trap_names_the_function)
{
    struct fixture f = {0};
    set_up(&f, 0);
    struct wisp_str text = WISP_STR("fail"), result;
    CHECK_INT(call(&f, "echo", &text, &result), WISP_INSTANCE_FAILED);
    CHECK_TEXT(f.err.text, "test:host/api@0.2.1#say: `fail` was asked for");
    tear_down(&f);
}

TEST(waiting_call_goes_on_after_wake)
{
    struct fixture f = {0};
    set_up(&f, 0);
    int32_t n = 5, result = 0;
    f.state.must_wait = true;
    CHECK_INT(call(&f, "wait", &n, &result), WISP_INSTANCE_SUSPENDED);
    wisp_instance_wake(f.instance);
    wisp_instance_wake(f.instance);
    CHECK_INT(f.state.n_woken, 1);
    CHECK_INT(wisp_instance_resume(f.instance), WISP_INSTANCE_SUSPENDED);
    f.state.must_wait = false;
    wisp_instance_wake(f.instance);
    CHECK_INT(f.state.n_woken, 2);
    CHECK_INT(wisp_instance_resume(f.instance), WISP_INSTANCE_DONE);
    CHECK_INT(result, 5);
    tear_down(&f);
}

TEST(waiting_call_can_be_cancelled)
{
    struct fixture f = {0};
    set_up(&f, 0);
    int32_t n = 5, result = 0;
    f.state.must_wait = true;
    CHECK_INT(call(&f, "wait", &n, &result), WISP_INSTANCE_SUSPENDED);
    tear_down(&f);
}

TEST(busy_and_broken_guests)
{
    struct fixture f = {0};
    set_up(&f, 0);
    CHECK_INT(call(&f, "spin", NULL, NULL), WISP_INSTANCE_PREEMPTED);
    CHECK_INT(wisp_instance_resume(f.instance), WISP_INSTANCE_PREEMPTED);
    tear_down(&f);
    set_up(&f, 0);
    CHECK_INT(call(&f, "trap", NULL, NULL), WISP_INSTANCE_FAILED);
    CHECK_HAS(f.err.text, "unreachable");
    CHECK_HAS(wisp_instance_backtrace(f.instance), "backtrace");
    tear_down(&f);
}

/* Two core values in, none out, as HTTP handlers have it: the engine calls the guest's function without a task. */
struct handle_args {
    struct counter *counter;
    int32_t n;
};

static struct handle_args handle_args(int counter, int32_t n)
{
    struct handle_args args = {wisp_mem_calloc(1, sizeof *args.counter), n};
    args.counter->value = counter;
    return args;
}

TEST(handler_waits_and_goes_on)
{
    struct fixture f = {0};
    set_up(&f, 0);
    struct handle_args args = handle_args(7, 7);
    CHECK_INT(call(&f, "handle", &args, NULL), WISP_INSTANCE_DONE);
    CHECK_INT(f.state.n_dropped, 1);
    args = handle_args(8, 8);
    f.state.must_wait = true;
    CHECK_INT(call(&f, "handle", &args, NULL), WISP_INSTANCE_SUSPENDED);
    f.state.must_wait = false;
    wisp_instance_wake(f.instance);
    CHECK_INT(wisp_instance_resume(f.instance), WISP_INSTANCE_DONE);
    CHECK_INT(f.state.n_dropped, 2);
    args = handle_args(9, 9);
    f.state.must_wait = true;
    CHECK_INT(call(&f, "handle", &args, NULL), WISP_INSTANCE_SUSPENDED);
    tear_down(&f);
    CHECK_INT(f.state.n_dropped, 3);
}

TEST(handler_traps)
{
    struct fixture f = {0};
    set_up(&f, 0);
    struct handle_args args = handle_args(7, 8);
    CHECK_INT(call(&f, "handle", &args, NULL), WISP_INSTANCE_FAILED);
    CHECK_INT(f.err.kind, WISP_ERR_GUEST);
    CHECK_HAS(f.err.text, "unreachable code reached");
    CHECK_HAS(wisp_instance_backtrace(f.instance), "backtrace");
    tear_down(&f);
    CHECK_INT(f.state.n_dropped, 1);
}

TEST(handler_must_give_borrowed_handles_back)
{
    struct fixture f = {0};
    struct counter counter = {0};
    struct handle_args args = {&counter, 1};
    set_up(&f, 0);
    CHECK_INT(call(&f, "keep", &args, NULL), WISP_INSTANCE_FAILED);
    CHECK_HAS(f.err.text, "borrow handles still remain");
    tear_down(&f);
    set_up(&f, 0);
    args.n = 0; /* for ever */
    CHECK_INT(call(&f, "keep", &args, NULL), WISP_INSTANCE_PREEMPTED);
    CHECK_INT(wisp_instance_resume(f.instance), WISP_INSTANCE_PREEMPTED);
    tear_down(&f);
    CHECK_INT(f.state.n_dropped, 0);
}

TEST(memory_limit_is_kept)
{
    struct fixture f = {0};
    int32_t result = 0;
    set_up(&f, 1 << 20);
    CHECK_INT(call(&f, "grow", NULL, &result), WISP_INSTANCE_DONE);
    CHECK_INT(result, -1);
    tear_down(&f);
    set_up(&f, 0);
    CHECK_INT(call(&f, "grow", NULL, &result), WISP_INSTANCE_DONE);
    CHECK_INT(result, 1);
    tear_down(&f);
}

TEST(start_function_may_not_use_memory_that_is_not_there)
{
    static const char text[] =
        "(component (import \"test:host/api@0.2.0\" (instance $api (export \"say\" (func (param \"t\" string)"
        " (result string)))))"
        " (core module $shim (table (export \"$imports\") 1 1 funcref) (type $t (func (param i32 i32 i32)))"
        "  (func (export \"0\") (param i32 i32 i32) (call_indirect (type $t) (local.get 0) (local.get 1) (local.get 2)"
        "   (i32.const 0))))"
        " (core instance $shim (instantiate $shim))"
        " (core module $main (import \"h\" \"say\" (func $say (param i32 i32 i32))) (memory (export \"memory\") 1)"
        "  (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) i32.const 64) (func (export \"run\"))"
        "  (func $start (call $say (i32.const 0) (i32.const 1) (i32.const 16))) (start $start))"
        " (core instance $main (instantiate $main (with \"h\" (instance (export \"say\" (func $shim \"0\"))))))"
        " (core func $say (canon lower (func $api \"say\") (memory (core memory $main \"memory\"))"
        "  (realloc (core func $main \"realloc\"))))"
        " (core module $fixup (import \"\" \"0\" (func (param i32 i32 i32)))"
        "  (import \"\" \"$imports\" (table 1 1 funcref)) (elem (i32.const 0) func 0))"
        " (core instance (instantiate $fixup (with \"\" (instance (export \"$imports\" (table $shim \"$imports\"))"
        "  (export \"0\" (func $say))))))"
        " (func (export \"run\") (canon lift (core func $main \"run\"))))";
    struct fixture f = {0};
    set_up_text(&f, text, 0);
    CHECK_INT(call(&f, "run", NULL, NULL), WISP_INSTANCE_FAILED);
    CHECK_INT(f.err.kind, WISP_ERR_GUEST);
    tear_down(&f);
}

TEST(what_the_guest_did_not_get_is_the_callers)
{
    static const char text[] =
        "(component (import \"test:host/api@0.2.0\" (instance $api (export \"counter\" (type (sub resource)))))"
        " (alias export $api \"counter\" (type $counter))"
        " (core module $main (func (export \"handle\") (param i32)) (func $start (loop (br 0))) (start $start))"
        " (core instance $main (instantiate $main))"
        " (func (export \"handle\") (param \"c\" (own $counter)) (canon lift (core func $main \"handle\"))))";
    struct fixture f = {0};
    struct handle_args args = handle_args(7, 0);
    set_up_text(&f, text, 0);
    CHECK_INT(call(&f, "handle", &args, NULL), WISP_INSTANCE_PREEMPTED);
    CHECK(!wisp_instance_has_args(f.instance));
    tear_down(&f);
    CHECK_INT(f.state.n_dropped, 0);
    free(args.counter);
    set_up(&f, 0);
    args = handle_args(7, 8);
    CHECK(!wisp_instance_has_args(f.instance));
    CHECK_INT(call(&f, "handle", &args, NULL), WISP_INSTANCE_FAILED);
    CHECK(wisp_instance_has_args(f.instance));
    tear_down(&f);
    CHECK_INT(f.state.n_dropped, 1);
}

/* --- imports that another component serves --- */

static const char caller_text[] =
    "(component\n"
    " (import \"test:echo/api@1.2.0\" (instance $api\n"
    "  (export \"echo\" (func (param \"t\" string) (result string)))\n"
    "  (export \"wait\" (func (param \"n\" s32) (result s32)))))\n"
    " (core module $libc (memory (export \"memory\") 1) (func (export \"realloc\") (param i32 i32 i32 i32) (result i32)"
    "  (i32.const 4096)))\n"
    " (core instance $libc (instantiate $libc))\n"
    " (core func $echo (canon lower (func $api \"echo\") (memory (core memory $libc \"memory\"))\n"
    "  (realloc (core func $libc \"realloc\"))))\n"
    " (core func $wait (canon lower (func $api \"wait\")))\n"
    " (core module $main (import \"h\" \"echo\" (func $echo (param i32 i32 i32)))\n"
    "  (import \"h\" \"wait\" (func $wait (param i32) (result i32)))\n"
    "  (func (export \"echo\") (param i32 i32) (result i32) (call $echo (local.get 0) (local.get 1) (i32.const 16))\n"
    "   (i32.const 16))\n"
    "  (func (export \"wait\") (param i32) (result i32) (i32.add (call $wait (local.get 0)) (i32.const 1))))\n"
    " (core instance $main (instantiate $main (with \"h\" (instance (export \"echo\" (func $echo))\n"
    "  (export \"wait\" (func $wait))))))\n"
    " (func (export \"echo\") (param \"text\" string) (result string) (canon lift (core func $main \"echo\")\n"
    "  (memory (core memory $libc \"memory\")) (realloc (core func $libc \"realloc\"))))\n"
    " (func (export \"wait\") (param \"n\" s32) (result s32) (canon lift (core func $main \"wait\"))))\n";

static bool accepts_all(struct wisp_str name, void *env)
{
    (void)env;
    CHECK_STR(name, "test:echo/api@1.2.0");
    return true;
}

static void wake_caller(struct wisp_instance *callee, void *context)
{
    struct state *state = context;
    CHECK(callee == state->instance);
    wisp_instance_wake(state->caller);
}

/* Runs the other component's instance on this fiber until it waits; then this one waits for it. */
static int call_callee(struct wisp_call *call, const struct wisp_import_func *func, const void *args, void *result,
                       void *env)
{
    struct fixture *callee = env;
    callee->state.caller = call->instance;
    const struct wisp_export_func *export_ =
        wisp_component_export_exact(callee->sample.component, (struct wisp_str){0}, func->name);
    CHECK(export_ && wisp_func_type_equal(func->type, export_->type));
    enum wisp_instance_state state = wisp_instance_call(
        callee->instance, wisp_linked_export_of(callee->sample.linked, export_), args, result, &callee->err);
    int r = 0;
    while (state == WISP_INSTANCE_SUSPENDED && r == 0) {
        r = wisp_call_suspend(call);
        if (r == 0) state = wisp_instance_resume(callee->instance);
    }
    if (r == 0 && state != WISP_INSTANCE_DONE) r = wisp_call_trap(call, "%s", callee->err.text);
    if (r == 0) wisp_value_copy(call->arena, func->type->result, result, result);
    wisp_instance_free(callee->instance);
    callee->instance = NULL;
    return r;
}

static void set_up_pair(struct fixture *caller, struct fixture *callee, struct wisp_host_fallback *fallback)
{
    *callee = (struct fixture){0};
    set_up(callee, 0);
    callee->instance_options.on_wake = wake_caller;
    wisp_instance_free(callee->instance);
    make_instance(callee);
    *fallback = (struct wisp_host_fallback){.accepts = accepts_all, .call = call_callee, .env = callee};
    *caller = (struct fixture){.fallback = fallback};
    set_up_text(caller, caller_text, 0);
}

TEST(other_component_is_called_with_the_same_structs)
{
    struct fixture caller, callee;
    struct wisp_host_fallback fallback;
    set_up_pair(&caller, &callee, &fallback);
    struct wisp_str text = WISP_STR("hello"), result = {0};
    CHECK_INT(call(&caller, "echo", &text, &result), WISP_INSTANCE_DONE);
    CHECK_STR(result, "<hello>");
    CHECK_TEXT(callee.state.last_text, "hello");
    tear_down(&caller);
    tear_down(&callee);
    set_up_pair(&caller, &callee, &fallback);
    text = WISP_STR("fail");
    CHECK_INT(call(&caller, "echo", &text, &result), WISP_INSTANCE_FAILED);
    CHECK_TEXT(caller.err.text, "test:echo/api@1.2.0#echo: test:host/api@0.2.1#say: `fail` was asked for");
    tear_down(&caller);
    tear_down(&callee);
}

TEST(caller_waits_with_the_other_component)
{
    struct fixture caller, callee;
    struct wisp_host_fallback fallback;
    set_up_pair(&caller, &callee, &fallback);
    callee.state.must_wait = true;
    int32_t n = 41, result = 0;
    CHECK_INT(call(&caller, "wait", &n, &result), WISP_INSTANCE_SUSPENDED);
    callee.state.must_wait = false;
    wisp_instance_wake(callee.instance);
    CHECK_INT(caller.state.n_woken, 1);
    CHECK_INT(wisp_instance_resume(caller.instance), WISP_INSTANCE_DONE);
    CHECK_INT(result, 42);
    tear_down(&caller);
    tear_down(&callee);
    set_up_pair(&caller, &callee, &fallback);
    callee.state.must_wait = true;
    CHECK_INT(call(&caller, "wait", &n, &result), WISP_INSTANCE_SUSPENDED);
    tear_down(&caller); /* cancelled: frees the other one on its way out */
    CHECK(!callee.instance);
    tear_down(&callee);
}
