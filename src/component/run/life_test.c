/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever calls have done to the instances they had, the next one finds its own as a new one is. The guest looks at
 * all of it before it does anything: both memories, every byte, its globals, its table. */
#include "component/run/instance_priv.h"
#include "component/run/run_sample.h"

#include <stdlib.h>

enum { INSTANCES = 6, STORES = 64 };

/* --- a host: one resource, one function that waits --- */

struct context {
    bool must_wait;
};

static int n_things;

static void thing_drop(void *rep, void *context)
{
    (void)rep, (void)context;
    n_things--;
}

static int thing_new(struct wisp_call *call, const void *args, void *result)
{
    (void)call, (void)args;
    n_things++;
    *(void **)result = &n_things;
    return 0;
}

static int pause_here(struct wisp_call *call, const void *args, void *result)
{
    (void)args, (void)result;
    struct context *context = call->context;
    while (context->must_wait) {
        int r = wisp_call_suspend(call);
        if (r < 0) return r;
    }
    return 0;
}

static const struct wisp_host_resource resources[] = {{.name = "thing", .drop = thing_drop}};
static const struct wisp_host_func funcs[] = {
    {"[constructor]thing", "() -> own<thing>", thing_new, 0, sizeof(void *)},
    {"pause", "()", pause_here, 0, 0},
};
static const struct wisp_host_interface interface = {
    .name = "test:host/api",
    .version = "0.1.0",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
};

/* --- the guest --- */

/* "libc": a memory that it exports and one that it keeps for itself, two globals that change, one of them imported by
 * "main". `check` traps unless all is as it was made. */
#define LIBC(more)                                                                                                     \
    " (core module $libc " more " (memory $a (export \"memory\") 5 20) (memory $b 2)\n"                                \
    "  (data (memory $a) (i32.const 70000) \"some text\") (data (memory $b) (i32.const 100) \"more\")\n"               \
    "  (global $shared (export \"shared\") (mut i64) (i64.const 77)) (global $own (mut f32) (f32.const 1.5))\n"        \
    "  (func $sum_a (result i64) (local $at i32) (local $sum i64) (loop $next\n"                                       \
    "   (local.set $sum (i64.add (i64.rotl (local.get $sum) (i64.const 7)) (i64.load $a (local.get $at))))\n"          \
    "   (local.set $at (i32.add (local.get $at) (i32.const 8)))\n"                                                     \
    "   (br_if $next (i32.lt_u (local.get $at) (i32.const 327680)))) (local.get $sum))\n"                              \
    "  (func $sum_b (result i64) (local $at i32) (local $sum i64) (loop $next\n"                                       \
    "   (local.set $sum (i64.add (i64.rotl (local.get $sum) (i64.const 7)) (i64.load $b (local.get $at))))\n"          \
    "   (local.set $at (i32.add (local.get $at) (i32.const 8)))\n"                                                     \
    "   (br_if $next (i32.lt_u (local.get $at) (i32.const 131072)))) (local.get $sum))\n"                              \
    "  (func (export \"sums\") (result i64) (i64.xor (call $sum_a) (i64.rotl (call $sum_b) (i64.const 1))))\n"         \
    "  (func (export \"check\") (param $sums i64)\n"                                                                   \
    "   (if (i64.ne (i64.xor (call $sum_a) (i64.rotl (call $sum_b) (i64.const 1))) (local.get $sums))\n"               \
    "    (then unreachable))\n"                                                                                        \
    "   (if (i64.ne (global.get $shared) (i64.const 77)) (then unreachable))\n"                                        \
    "   (if (f32.ne (global.get $own) (f32.const 1.5)) (then unreachable))\n"                                          \
    "   (if (i32.ne (memory.size $a) (i32.const 5)) (then unreachable)))\n"                                            \
    "  (func (export \"spoil\") (param $seed i32) (local $n i32)\n"                                                    \
    "   (global.set $own (f32.convert_i32_u (local.get $seed)))\n"                                                     \
    "   (loop $next (local.set $seed (i32.add (i32.mul (local.get $seed) (i32.const 1664525)) (i32.const 12345)))\n"   \
    "    (i32.store8 $a (i32.rem_u (i32.shr_u (local.get $seed) (i32.const 8)) (i32.const 327680))\n"                  \
    "     (local.get $seed))\n"                                                                                        \
    "    (i32.store8 $b (i32.rem_u (i32.shr_u (local.get $seed) (i32.const 9)) (i32.const 131072))\n"                  \
    "     (local.get $seed))\n"                                                                                        \
    "    (local.set $n (i32.add (local.get $n) (i32.const 1)))\n"                                                      \
    "    (br_if $next (i32.lt_u (local.get $n) (i32.const 5))))))\n"

#define MAIN(more)                                                                                                     \
    " (core module $main (import \"libc\" \"shared\" (global $shared (mut i64)))\n"                                    \
    "  (import \"libc\" \"check\" (func $check (param i64))) (import \"libc\" \"spoil\" (func $spoil (param i32)))\n"  \
    "  (import \"libc\" \"sums\" (func $sums (result i64)))\n"                                                         \
    "  (import \"libc\" \"memory\" (memory 1)) (import \"h\" \"new\" (func $new (result i32)))\n"                      \
    "  (import \"h\" \"pause\" (func $pause)) (table 3 funcref) (elem (i32.const 1) $one) (func $one)\n"               \
    "  (elem declare func $one)\n"                                                                                     \
    "  (func $all (param i64) (call $check (local.get 0))\n"                                                           \
    "   (if (i32.eqz (ref.is_null (table.get (i32.const 0)))) (then unreachable))\n"                                   \
    "   (if (ref.is_null (table.get (i32.const 1))) (then unreachable)))\n"                                            \
    "  (func (export \"sums\") (result i64) (call $sums))\n"                                                           \
    "  (func (export \"spoil\") (param i64 i32) (call $all (local.get 0))\n"                                           \
    "   (global.set $shared (i64.extend_i32_u (local.get 1))) (call $spoil (local.get 1))\n"                           \
    "   (if (i32.ne (call $new) (i32.const 1)) (then unreachable)))\n"                                                 \
    "  (func (export \"trap\") (param i64 i32) (call $all (local.get 0)) (call $spoil (local.get 1)) unreachable)\n"   \
    "  (func (export \"grow\") (param i64 i32) (call $all (local.get 0)) (call $spoil (local.get 1))\n"                \
    "   (drop (memory.grow (i32.const 1))))\n"                                                                         \
    "  (func (export \"wait\") (param i64 i32) (call $all (local.get 0)) (call $spoil (local.get 1)) (call $pause)\n"  \
    "   (call $spoil (local.get 1)))\n"                                                                                \
    "  (func (export \"look\") (param i64 i32) (call $all (local.get 0)))" more ")\n"

#define EXPORT(name)                                                                                                   \
    " (func (export \"" name "\") (param \"sums\" s64) (param \"seed\" u32) (canon lift (core func $main \"" name      \
    "\")))\n"

#define COMPONENT(libc, main)                                                                                          \
    "(component (import \"test:host/api@0.1.0\" (instance $api (export \"thing\" (type $t (sub resource)))\n"          \
    "  (export \"[constructor]thing\" (func (result (own $t)))) (export \"pause\" (func))))\n" libc main               \
    " (core func $new (canon lower (func $api \"[constructor]thing\")))\n"                                             \
    " (core func $pause (canon lower (func $api \"pause\")))\n"                                                        \
    " (core instance $libc (instantiate $libc (with \"h\" (instance (export \"pause\" (func $pause))))))\n"            \
    " (core instance $main (instantiate $main (with \"libc\" (instance $libc))\n"                                      \
    "  (with \"h\" (instance (export \"new\" (func $new)) (export \"pause\" (func $pause))))))\n"                      \
    " (func (export \"sums\") (result s64) (canon lift (core func $main \"sums\")))\n" EXPORT("spoil") EXPORT("trap")  \
        EXPORT("grow") EXPORT("wait") EXPORT("look") ")"

static const char usual[] = COMPONENT(LIBC(""), MAIN(""));

/* --- --- */

static struct {
    struct sample sample;
    struct wisp_instance *instances[INSTANCES];
    struct context contexts[INSTANCES];
    struct wisp_err errs[INSTANCES];
    struct args {
        int64_t sums;
        uint32_t seed;
    } args[INSTANCES];
    uint64_t memory_bytes_max;
    int64_t sums;
    uint64_t random;
    struct wisp_err err;
} t;

static uint32_t random_below(uint32_t n)
{
    t.random = t.random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(t.random >> 33) % n;
}

static void on_wake(struct wisp_instance *instance, void *context) { (void)instance, (void)context; }

/* On a slow machine it may have been preempted. */
static enum wisp_instance_state resume(int i, enum wisp_instance_state state)
{
    while (state == WISP_INSTANCE_PREEMPTED) state = wisp_instance_resume(t.instances[i]);
    return state;
}

static enum wisp_instance_state begin(int i, const char *name)
{
    struct wisp_instance_options options = {
        .context = &t.contexts[i], .memory_bytes_max = t.memory_bytes_max, .on_wake = on_wake};
    CHECK_OK(wisp_instance_new(&t.instances[i], t.sample.linked, &options, &t.errs[i]), &t.errs[i]);
    t.args[i] = (struct args){t.sums, random_below(1 << 20)};
    const struct wisp_linked_export *export_ = wisp_linked_export_find(t.sample.linked, "", name);
    CHECK(export_);
    return resume(i, wisp_instance_call(t.instances[i], export_, &t.args[i], &t.sums, &t.errs[i]));
}

static void end(int i) { wisp_instance_free(WISP_TAKE(t.instances[i])); }

static void call(const char *name)
{
    enum wisp_instance_state state = begin(0, name);
    if (state != WISP_INSTANCE_DONE) wisp_test_fail(__FILE__, __LINE__, "%s: %s", name, t.errs[0].text);
    end(0);
}

/* Without remembering what was written, each call gets a new instance. */
static void set_up(const char *text, bool remembers)
{
    memset(&t, 0, sizeof t);
    n_things = 0;
    sample_start(
        &t.sample, text,
        &(struct sample_options){.interface = &interface, .instances_max = INSTANCES, .remembers_written = remembers});
    call("sums");
    call("look");
    t.sample.linked->counts.made = t.sample.linked->counts.put_back = 0;
}

static void tear_down(void)
{
    for (int i = 0; i < INSTANCES; i++) end(i);
    sample_end(&t.sample);
    CHECK_INT(n_things, 0);
}

static void set_up_usual(void)
{
    set_up(usual, true);
    if (!t.sample.linked->can_put_back) wisp_test_skip("no PAGEMAP_SCAN here, or no pool, or no count of faults");
}

/* Of many ends that a call can have, beside others that wait, in turns. */
static void do_something(int i)
{
    if (t.instances[i]) {
        if (random_below(2)) {
            t.contexts[i].must_wait = false;
            wisp_instance_wake(t.instances[i]);
            CHECK_INT(resume(i, wisp_instance_resume(t.instances[i])), WISP_INSTANCE_DONE);
        }
        end(i);
        return;
    }
    uint32_t kind = random_below(40);
    t.contexts[i].must_wait = true;
    if (kind == 0) {
        CHECK_INT(begin(i, "trap"), WISP_INSTANCE_FAILED);
        CHECK_HAS(t.errs[i].text, "unreachable");
        CHECK_HAS(wisp_instance_backtrace(t.instances[i]), "trap");
    } else if (kind == 1) {
        CHECK_INT(begin(i, "grow"), WISP_INSTANCE_DONE);
    } else if (kind < 8) {
        CHECK_INT(begin(i, "wait"), WISP_INSTANCE_SUSPENDED);
        return;
    } else {
        enum wisp_instance_state state = begin(i, "spoil");
        if (state != WISP_INSTANCE_DONE) wisp_test_fail(__FILE__, __LINE__, "%s", t.errs[i].text);
    }
    end(i);
}

TEST(each_call_finds_a_new_instance)
{
    set_up_usual();
    t.random = 1;
    for (int turn = 0; turn < 300; turn++) {
        wisp_wasm_turn_begin(t.sample.engine);
        for (uint32_t n = random_below(8); n > 0; n--) do_something((int)random_below(INSTANCES));
        wisp_wasm_turn_end(t.sample.engine);
    }
    /* At first, while it is learned which pages are written, most are new ones. */
    CHECK(t.sample.linked->counts.put_back > 300);
    tear_down();
}

TEST(the_same_instance_serves_again)
{
    set_up_usual();
    /* Which pages these write is known after one of each. */
    for (int i = 0; i < 3; i++) {
        t.random = 1;
        for (int k = 0; k < 5; k++) call("spoil");
    }
    uint64_t made = t.sample.linked->counts.made, put_back = t.sample.linked->counts.put_back;
    t.random = 1;
    for (int k = 0; k < 5; k++) call("spoil");
    CHECK_INT(t.sample.linked->counts.made, made);
    CHECK_INT(t.sample.linked->counts.put_back, put_back + 5);
    tear_down();
}

TEST(what_ended_otherwise_is_not_used_again)
{
    set_up_usual();
    call("look");
    uint64_t made = t.sample.linked->counts.made;
    static const char *const names[] = {"trap", "grow", "wait"};
    for (size_t i = 0; i < WISP_COUNT(names); i++) {
        t.contexts[0].must_wait = true;
        begin(0, names[i]);
        end(0);
        CHECK(wisp_ring_is_empty(&t.sample.linked->idle));
        call("look");
        CHECK(t.sample.linked->counts.made > made);
        made = t.sample.linked->counts.made;
    }
    tear_down();
}

TEST(another_limit_takes_another_instance)
{
    set_up_usual();
    call("look");
    uint64_t made = t.sample.linked->counts.made;
    t.memory_bytes_max = 8 << 16;
    call("grow");
    CHECK_INT(t.sample.linked->counts.made, made + 1);
    tear_down();
}

TEST(idle_instances_make_room)
{
    set_up_usual();
    for (int i = 0; i < INSTANCES; i++) CHECK_INT(begin(i, "look"), WISP_INSTANCE_DONE);
    for (int i = 0; i < INSTANCES; i++) end(i);
    CHECK(!wisp_ring_is_empty(&t.sample.linked->idle));
    /* The pool is full of idle ones, which are of no use to another component. */
    struct wisp_linked *other = t.sample.linked;
    CHECK_OK(wisp_linked_new(&t.sample.linked, t.sample.engine, t.sample.component, t.sample.host, &t.err), &t.err);
    wisp_wasm_turn_begin(t.sample.engine);
    for (int i = 0; i < INSTANCES; i++)
        if (begin(i, "look") != WISP_INSTANCE_DONE) wisp_test_fail(__FILE__, __LINE__, "%s", t.errs[i].text);
    wisp_wasm_turn_end(t.sample.engine);
    CHECK(wisp_ring_is_empty(&other->idle));
    wisp_linked_free(other);
    tear_down();
}

/* --- components whose instances can't be put back --- */

static void check_always_new(const char *text)
{
    set_up(text, true);
    t.random = 2;
    for (int i = 0; i < 40; i++) call("spoil");
    CHECK_INT(t.sample.linked->counts.put_back, 0);
    CHECK_INT(t.sample.linked->counts.made, 40);
    tear_down();
}

TEST(tables_and_segments_that_change)
{
    check_always_new(COMPONENT(LIBC(""), MAIN("(func (export \"x\") (table.set (i32.const 0) (ref.func $one)))")));
    check_always_new(COMPONENT(LIBC("(data $d \"x\") (func (export \"x\") (data.drop $d))"), MAIN("")));
}

TEST(start_functions_that_call_out)
{
    check_always_new(
        COMPONENT(LIBC("(import \"h\" \"pause\" (func $pause)) (func $start (call $pause)) (start $start)"), MAIN("")));
}

TEST(memories_that_always_grow)
{
    set_up(usual, true);
    for (int i = 0; i < 40; i++) call("grow");
    CHECK(!t.sample.linked->can_put_back);
    tear_down();
}

TEST(engines_that_do_not_remember)
{
    set_up(usual, false);
    for (int i = 0; i < 10; i++) call("spoil");
    CHECK_INT(t.sample.linked->counts.made, 10);
    tear_down();
}

TEST(start_functions_of_their_own)
{
    set_up(COMPONENT(LIBC("(func $start (global.set $own (f32.const 1.5)) (i32.store $a (i32.const 40960)"
                          " (i32.const 99))) (start $start)"),
                     MAIN("")),
           true);
    if (!t.sample.linked->can_put_back) wisp_test_skip("no PAGEMAP_SCAN here, or no pool, or no count of faults");
    t.random = 3;
    for (int i = 0; i < 100; i++) call("spoil");
    CHECK(t.sample.linked->counts.put_back > 50);
    tear_down();
}
