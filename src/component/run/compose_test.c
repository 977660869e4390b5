/* SPDX-License-Identifier: Apache-2.0 */
/* Components within a component, calling each other. */
#include "component/run/run_sample.h"

#include <stdio.h>

/* --- a host: it says things, perhaps after waiting --- */

struct state {
    bool must_wait;
    int n_said;
};

static int say(struct wisp_call *call, const void *args, void *result)
{
    struct state *state = call->context;
    const struct wisp_str *text = args;
    char *said = wisp_arena_printf(call->arena, "<%.*s>", WISP_STR_ARG(*text));
    while (state->must_wait) {
        int r = wisp_call_suspend(call);
        if (r < 0) return r;
    }
    state->n_said++;
    *(struct wisp_str *)result = wisp_str_from(said);
    return wisp_str_is(*text, "fail") ? wisp_call_trap(call, "it was asked for") : 0;
}

static const struct wisp_host_func funcs[] = {
    {"say", "(string) -> string", say, sizeof(struct wisp_str), sizeof(struct wisp_str)},
};
static const struct wisp_host_interface interface = {
    .name = "test:host/api",
    .version = "0.2.3",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
};

/* --- the component: $user calls $maker, which defines a resource and calls the host --- */

#define LIBC                                                                                                           \
    " (core module $libc (memory (export \"memory\") 1) (global $at (mut i32) (i32.const 4096))\n"                     \
    "  (func (export \"realloc\") (param i32 i32 i32 i32) (result i32)\n"                                              \
    "   (global.set $at (i32.and (i32.add (global.get $at) (i32.const 7)) (i32.const -8)))\n"                          \
    "   (global.get $at) (global.set $at (i32.add (global.get $at) (local.get 3)))))\n"                                \
    " (core instance $libc (instantiate $libc))\n"
#define MEMORY " (memory (core memory $libc \"memory\")) (realloc (core func $libc \"realloc\"))"

static const char text[] =
    "(component\n"
    " (import \"test:host/api@0.2.1\" (instance $api (export \"say\" (func (param \"text\" string) (result "
    "string)))))\n"
    " (component $maker\n"
    "  (import \"say\" (func $say (param \"text\" string) (result string)))\n" LIBC
    "  (core func $say (canon lower (func $say)" MEMORY "))\n"
    "  (core module $main (import \"h\" \"say\" (func $say (param i32 i32 i32))) (global $sum (mut i32) (i32.const "
    "0))\n"
    "   (func (export \"greet\") (param i32 i32) (result i32)\n"
    "    (call $say (local.get 0) (local.get 1) (i32.const 16)) (i32.const 16))\n"
    "   (func (export \"post\") (param i32) (global.set $sum (i32.add (global.get $sum) (i32.const 1000))))\n"
    "   (func (export \"dtor\") (param i32) (global.set $sum (i32.add (global.get $sum) (local.get 0))))\n"
    "   (func (export \"sum\") (result i32) (global.get $sum)))\n"
    "  (core instance $main (instantiate $main (with \"h\" (instance (export \"say\" (func $say))))))\n"
    "  (type $inner (resource (rep i32) (dtor (core func $main \"dtor\"))))\n"
    "  (export $counter \"counter\" (type $inner))\n"
    "  (core func $new (canon resource.new $inner)) (core func $rep (canon resource.rep $inner))\n"
    "  (core func $drop (canon resource.drop $inner))\n"
    "  (core module $counters (import \"\" \"new\" (func $new (param i32) (result i32)))\n"
    "   (import \"\" \"rep\" (func $rep (param i32) (result i32))) (import \"\" \"drop\" (func $drop (param i32)))\n"
    "   (func (export \"make\") (param i32) (result i32) (call $new (local.get 0)))\n"
    "   (func (export \"peek\") (param i32) (result i32) (local.get 0))\n"
    "   (func (export \"eat\") (param i32) (result i32) (call $rep (local.get 0)) (call $drop (local.get 0))))\n"
    "  (core instance $counters (instantiate $counters (with \"\" (instance (export \"new\" (func $new))\n"
    "   (export \"rep\" (func $rep)) (export \"drop\" (func $drop))))))\n"
    "  (func (export \"make\") (param \"n\" s32) (result (own $counter)) (canon lift (core func $counters \"make\")))\n"
    "  (func (export \"peek\") (param \"c\" (borrow $counter)) (result s32)\n"
    "   (canon lift (core func $counters \"peek\")))\n"
    "  (func (export \"eat\") (param \"c\" (own $counter)) (result s32) (canon lift (core func $counters \"eat\")))\n"
    "  (func (export \"greet\") (param \"text\" string) (result string)\n"
    "   (canon lift (core func $main \"greet\")" MEMORY " (post-return (core func $main \"post\"))))\n"
    "  (func (export \"sum\") (result s32) (canon lift (core func $main \"sum\"))))\n"
    " (component $user\n"
    "  (import \"counter\" (type $counter (sub resource)))\n"
    "  (import \"make\" (func $make (param \"n\" s32) (result (own $counter))))\n"
    "  (import \"peek\" (func $peek (param \"c\" (borrow $counter)) (result s32)))\n"
    "  (import \"eat\" (func $eat (param \"c\" (own $counter)) (result s32)))\n"
    "  (import \"greet\" (func $greet (param \"text\" string) (result string)))\n" LIBC
    "  (core func $make (canon lower (func $make))) (core func $peek (canon lower (func $peek)))\n"
    "  (core func $eat (canon lower (func $eat))) (core func $drop (canon resource.drop $counter))\n"
    "  (core func $greet (canon lower (func $greet)" MEMORY "))\n"
    "  (core module $main (import \"\" \"make\" (func $make (param i32) (result i32)))\n"
    "   (import \"\" \"peek\" (func $peek (param i32) (result i32)))\n"
    "   (import \"\" \"eat\" (func $eat (param i32) (result i32))) (import \"\" \"drop\" (func $drop (param i32)))\n"
    "   (import \"\" \"greet\" (func $greet (param i32 i32 i32)))\n"
    "   (func (export \"use\") (param i32) (result i32) (local $c i32)\n"
    "    (local.set $c (call $make (local.get 0))) (call $peek (local.get $c)) (call $drop (local.get $c))\n"
    "    (i32.add (call $eat (call $make (i32.const 30)))))\n"
    "   (func (export \"misuse\") (param i32) (result i32) (call $eat (local.get 0)))\n"
    "   (func (export \"hello\") (param i32 i32) (result i32) (call $greet (local.get 0) (local.get 1) (i32.const "
    "64))\n"
    "    (i32.const 64)))\n"
    "  (core instance $main (instantiate $main (with \"\" (instance (export \"make\" (func $make))\n"
    "   (export \"peek\" (func $peek)) (export \"eat\" (func $eat)) (export \"drop\" (func $drop))\n"
    "   (export \"greet\" (func $greet))))))\n"
    "  (func (export \"use\") (param \"n\" s32) (result s32) (canon lift (core func $main \"use\")))\n"
    "  (func (export \"misuse\") (param \"n\" s32) (result s32) (canon lift (core func $main \"misuse\")))\n"
    "  (func (export \"hello\") (param \"text\" string) (result string) (canon lift (core func $main \"hello\")" MEMORY
    ")))\n"
    " (instance $maker (instantiate $maker (with \"say\" (func $api \"say\"))))\n"
    " (instance $user (instantiate $user (with \"counter\" (type $maker \"counter\"))\n"
    "  (with \"make\" (func $maker \"make\")) (with \"peek\" (func $maker \"peek\")) (with \"eat\" (func $maker "
    "\"eat\"))\n"
    "  (with \"greet\" (func $maker \"greet\"))))\n"
    " (export \"use\" (func $user \"use\")) (export \"misuse\" (func $user \"misuse\"))\n"
    " (export \"hello\" (func $user \"hello\")) (export \"sum\" (func $maker \"sum\")))\n";

/* Calls itself by way of the canonical ABI. */
static const char itself[] =
    "(component (core module $m (func (export \"inner\"))) (core instance $m (instantiate $m))\n"
    " (func $inner (canon lift (core func $m \"inner\"))) (core func $lowered (canon lower (func $inner)))\n"
    " (core module $n (import \"\" \"inner\" (func $inner)) (func (export \"outer\") (call $inner)))\n"
    " (core instance $n (instantiate $n (with \"\" (instance (export \"inner\" (func $lowered))))))\n"
    " (func (export \"outer\") (canon lift (core func $n \"outer\"))))";

struct fixture {
    struct sample sample;
    struct wisp_instance *instance;
    struct state state;
    struct wisp_err err;
};

static void on_wake(struct wisp_instance *instance, void *context) { (void)instance, (void)context; }

static void set_up(struct fixture *f, const char *source)
{
    *f = (struct fixture){0};
    sample_start(&f->sample, source, &(struct sample_options){.interface = &interface, .remembers_written = true});
    struct wisp_instance_options instance_options = {.context = &f->state, .on_wake = on_wake};
    CHECK_OK(wisp_instance_new(&f->instance, f->sample.linked, &instance_options, &f->err), &f->err);
}

static void tear_down(struct fixture *f)
{
    wisp_instance_free(f->instance);
    sample_end(&f->sample);
}

static enum wisp_instance_state call(struct fixture *f, const char *name, const void *args, void *result)
{
    const struct wisp_linked_export *export_ = wisp_linked_export_find(f->sample.linked, "", name);
    CHECK(export_);
    enum wisp_instance_state state = wisp_instance_call(f->instance, export_, args, result, &f->err);
    return state;
}

static void check_done(struct fixture *f, const char *name, const void *args, void *result)
{
    if (call(f, name, args, result) != WISP_INSTANCE_DONE) wisp_test_fail(__FILE__, __LINE__, "%s", f->err.text);
}

TEST(handles_go_from_guest_to_guest)
{
    struct fixture f;
    set_up(&f, text);
    int32_t n = 7, result = 0;
    check_done(&f, "use", &n, &result);
    CHECK_INT(result, 37);
    /* Both destructors have run: one when the user dropped it, one when the maker did. */
    check_done(&f, "sum", NULL, &result);
    CHECK_INT(result, 37);
    tear_down(&f);
}

TEST(handle_of_nobody_traps)
{
    struct fixture f;
    set_up(&f, text);
    int32_t n = 1, result = 0;
    CHECK_INT(call(&f, "misuse", &n, &result), WISP_INSTANCE_FAILED);
    CHECK_INT(f.err.kind, WISP_ERR_GUEST);
    CHECK_HAS(f.err.text, "unknown handle index 1");
    tear_down(&f);
}

TEST(strings_pass_two_memories)
{
    struct fixture f;
    set_up(&f, text);
    struct wisp_str hello = WISP_STR("hello"), result = {0};
    check_done(&f, "hello", &hello, &result);
    CHECK_STR(result, "<hello>");
    CHECK_INT(f.state.n_said, 1);
    /* Post-return of the inner function ran. */
    int32_t sum = 0;
    check_done(&f, "sum", NULL, &sum);
    CHECK_INT(sum, 1000);
    tear_down(&f);
}

TEST(inner_failure_ends_all)
{
    struct fixture f;
    set_up(&f, text);
    struct wisp_str fail = WISP_STR("fail"), result;
    CHECK_INT(call(&f, "hello", &fail, &result), WISP_INSTANCE_FAILED);
    CHECK_HAS(f.err.text, "test:host/api@0.2.1#say: it was asked for");
    tear_down(&f);
}

TEST(inner_wait_suspends_all)
{
    struct fixture f;
    set_up(&f, text);
    struct wisp_str hello = WISP_STR("hello"), result = {0};
    f.state.must_wait = true;
    CHECK_INT(call(&f, "hello", &hello, &result), WISP_INSTANCE_SUSPENDED);
    f.state.must_wait = false;
    wisp_instance_wake(f.instance);
    CHECK_INT(wisp_instance_resume(f.instance), WISP_INSTANCE_DONE);
    CHECK_STR(result, "<hello>");
    tear_down(&f);
    set_up(&f, text);
    f.state.must_wait = true;
    CHECK_INT(call(&f, "hello", &hello, &result), WISP_INSTANCE_SUSPENDED);
    tear_down(&f);
}

TEST(guest_does_not_enter_itself)
{
    struct fixture f;
    set_up(&f, itself);
    CHECK_INT(call(&f, "outer", NULL, NULL), WISP_INSTANCE_FAILED);
    CHECK_HAS(f.err.text, "cannot enter component instance");
    tear_down(&f);
}
