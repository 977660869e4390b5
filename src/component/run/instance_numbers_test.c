/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of numbers: few of them go straight to the guest's function, more of them by a task; both mean the same. */
#include "component/run/run_sample.h"

static const char text[] =
    "(component (core module $main (memory (export \"memory\") 1) (data (i32.const 16) \"\\07\\00\\00\\00\\09\")\n"
    "  (func (export \"first\") (param i32 i64 f32 f64) (result i32) (local.get 0))\n"
    "  (func (export \"second\") (param i32 i64 f32 f64) (result i64) (local.get 1))\n"
    "  (func (export \"third\") (param i32 i64 f32 f64) (result f32) (local.get 2))\n"
    "  (func (export \"fourth\") (param i32 i64 f32 f64) (result f64) (local.get 3))\n"
    "  (func (export \"fifth\") (param i32 i64 f32 f64 i32) (result i32) (local.get 4))\n"
    "  (func (export \"none\"))\n"
    "  (func (export \"at\") (param i32) (result i32) (local.get 0)))\n"
    " (core instance $main (instantiate $main)) (alias core export $main \"memory\" (core memory $memory))\n"
    " (func (export \"first\") (param \"a\" s8) (param \"b\" s64) (param \"c\" f32) (param \"d\" f64) (result s8)\n"
    "  (canon lift (core func $main \"first\")))\n"
    " (func (export \"second\") (param \"a\" s8) (param \"b\" s64) (param \"c\" f32) (param \"d\" f64) (result s64)\n"
    "  (canon lift (core func $main \"second\")))\n"
    " (func (export \"third\") (param \"a\" s8) (param \"b\" s64) (param \"c\" f32) (param \"d\" f64) (result f32)\n"
    "  (canon lift (core func $main \"third\")))\n"
    " (func (export \"fourth\") (param \"a\" s8) (param \"b\" s64) (param \"c\" f32) (param \"d\" f64) (result f64)\n"
    "  (canon lift (core func $main \"fourth\")))\n"
    " (func (export \"fifth\") (param \"a\" s8) (param \"b\" s64) (param \"c\" f32) (param \"d\" f64) (param \"e\" "
    "u16)\n"
    "  (result u16) (canon lift (core func $main \"fifth\")))\n"
    " (func (export \"none\") (canon lift (core func $main \"none\")))\n"
    " (func (export \"character\") (param \"a\" u32) (result char) (canon lift (core func $main \"at\")))\n"
    " (func (export \"pair\") (param \"at\" u32) (result (tuple u32 u32)) (canon lift (core func $main \"at\")\n"
    "  (memory $memory))))\n";

struct numbers {
    int8_t a;
    int64_t b;
    float c;
    double d;
    uint16_t e;
};

static struct {
    struct sample sample;
    struct wisp_err err;
} t;

static void set_up(void) { sample_start(&t.sample, text, &(struct sample_options){0}); }

static void tear_down(void) { sample_end(&t.sample); }

static enum wisp_instance_state call(const char *name, const void *args, void *result)
{
    struct wisp_instance *instance;
    const struct wisp_linked_export *export_ = wisp_linked_export_find(t.sample.linked, "", name);
    CHECK(export_);
    CHECK_OK(wisp_instance_new(&instance, t.sample.linked, &(struct wisp_instance_options){0}, &t.err), &t.err);
    enum wisp_instance_state state = wisp_instance_call(instance, export_, args, result, &t.err);
    wisp_instance_free(instance);
    return state;
}

TEST(every_number_arrives_and_comes_back)
{
    set_up();
    const struct numbers numbers = {-3, INT64_MIN + 5, -0.5F, 1e300, 65535};
    int8_t first;
    int64_t second;
    float third;
    double fourth;
    uint16_t fifth;
    CHECK_INT(call("first", &numbers, &first), WISP_INSTANCE_DONE);
    CHECK_INT(first, numbers.a);
    CHECK_INT(call("second", &numbers, &second), WISP_INSTANCE_DONE);
    CHECK_INT(second, numbers.b);
    CHECK_INT(call("third", &numbers, &third), WISP_INSTANCE_DONE);
    CHECK(third == numbers.c);
    CHECK_INT(call("fourth", &numbers, &fourth), WISP_INSTANCE_DONE);
    CHECK(fourth == numbers.d);
    CHECK_INT(call("fifth", &numbers, &fifth), WISP_INSTANCE_DONE);
    CHECK_INT(fifth, numbers.e);
    CHECK_INT(call("none", NULL, NULL), WISP_INSTANCE_DONE);
    tear_down();
}

TEST(results_in_memory_are_read_after_the_call)
{
    set_up();
    uint32_t pair[2];
    CHECK_INT(call("pair", &(uint32_t){16}, pair), WISP_INSTANCE_DONE);
    CHECK_INT(pair[0], 7);
    CHECK_INT(pair[1], 9);
    CHECK_INT(call("pair", &(uint32_t){65532}, pair), WISP_INSTANCE_FAILED);
    CHECK_HAS(t.err.text, "result of `pair`");
    tear_down();
}

TEST(results_are_checked)
{
    set_up();
    uint32_t character;
    CHECK_INT(call("character", &(uint32_t){0x1f600}, &character), WISP_INSTANCE_DONE);
    CHECK_INT(character, 0x1f600);
    CHECK_INT(call("character", &(uint32_t){0xd800}, &character), WISP_INSTANCE_FAILED);
    CHECK_HAS(t.err.text, "result of `character`");
    tear_down();
}
