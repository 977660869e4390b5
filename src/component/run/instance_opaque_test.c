/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that uses a resource of an interface which no table has. */
#include "component/host/opaque.h"

#include "component/run/run_sample.h"

static const char guest[] =
    "(component\n"
    " (import \"shop:cart/items@1.0.0\" (instance $api\n"
    "  (export \"basket\" (type $b (sub resource)))\n"
    "  (export \"open\" (func (param \"n\" u32) (result (own $b))))\n"
    "  (export \"[method]basket.size\" (func (param \"self\" (borrow $b)) (result u32)))\n"
    "  (export \"close\" (func (param \"b\" (own $b))))))\n"
    " (alias export $api \"basket\" (type $basket))\n"
    " (core func $open (canon lower (func $api \"open\")))\n"
    " (core func $size (canon lower (func $api \"[method]basket.size\")))\n"
    " (core func $close (canon lower (func $api \"close\")))\n"
    " (core func $drop (canon resource.drop $basket))\n"
    " (core module $main\n"
    "  (import \"h\" \"open\" (func $open (param i32) (result i32)))\n"
    "  (import \"h\" \"size\" (func $size (param i32) (result i32)))\n"
    "  (import \"h\" \"close\" (func $close (param i32)))\n"
    "  (import \"h\" \"drop\" (func $drop (param i32)))\n"
    "  (func (export \"run\") (param i32) (result i32) (local $a i32) (local $b i32) (local $n i32)\n"
    "   (local.set $a (call $open (local.get 0)))\n"
    "   (local.set $b (call $open (i32.const 1)))\n"
    "   (drop (call $open (i32.const 2)))\n" /* left to the end of the instance */
    "   (local.set $n (call $size (local.get $a)))\n"
    "   (call $drop (local.get $a))\n"
    "   (call $close (local.get $b))\n"
    "   (local.get $n)))\n"
    " (core instance $main (instantiate $main (with \"h\" (instance (export \"open\" (func $open))\n"
    "  (export \"size\" (func $size)) (export \"close\" (func $close)) (export \"drop\" (func $drop))))))\n"
    " (func (export \"run\") (param \"n\" u32) (result u32) (canon lift (core func $main \"run\"))))\n";

static bool accepts(struct wisp_str interface, void *env)
{
    (void)env;
    CHECK_STR(interface, "shop:cart/items@1.0.0");
    return true;
}

/* What it has of a basket of n is n bytes. */
static int call(struct wisp_call *call, const struct wisp_import_func *func, const void *args, void *result, void *env)
{
    static const char bytes[100];
    struct wisp_opaque *opaque;
    uint32_t n;
    (void)call, (void)env;
    CHECK(func->type->has_handles);
    if (wisp_str_is(func->name, "open")) {
        memcpy(&n, args, sizeof n);
        opaque = wisp_opaque_new((struct wisp_str){bytes, n});
        memcpy(result, &opaque, sizeof opaque);
        return 0;
    }
    memcpy(&opaque, args, sizeof opaque);
    n = (uint32_t)opaque->size;
    if (wisp_str_is(func->name, "close"))
        CHECK_INT(n, 1);
    else
        memcpy(result, &n, sizeof n);
    return 0;
}

/* Whether each is freed once is the sanitizer's business. */
TEST(handles_stand_for_bytes)
{
    static const struct wisp_host_fallback fallback = {.accepts = accepts, .call = call};
    struct sample sample;
    struct wisp_instance *instance;
    struct wisp_err err = {0};
    sample_start(&sample, guest, &(struct sample_options){.fallback = &fallback});
    CHECK_OK(wisp_instance_new(&instance, sample.linked, &(struct wisp_instance_options){0}, &err), &err);
    uint32_t n = 42, result = 0;
    const struct wisp_linked_export *export_ = wisp_linked_export_find(sample.linked, "", "run");
    CHECK(export_);
    CHECK_INT(wisp_instance_call(instance, export_, &n, &result, &err), WISP_INSTANCE_DONE);
    CHECK_INT(result, 42);
    wisp_instance_free(instance);
    sample_end(&sample);
}
