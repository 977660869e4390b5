/* SPDX-License-Identifier: Apache-2.0 */
/* A kind of provider for tests, in the place of all those of capability.c: what `front` of hosting_rig.h calls, and
 * `calc` is. */
#pragma once

#include "base/log.h"
#include "capability/capability.h"

#include <stdlib.h>

struct add_args {
    uint32_t x, y;
};
struct nap_args {
    uint64_t ms;
};

static void test_add(struct wisp_provider_call *call, const void *args)
{
    const struct add_args *add = args;
    uint32_t sum = add->x + add->y;
    wisp_provider_return(call, &sum);
}

/* The text, or the setting `greeting` of the link or the provider. */
static void test_echo(struct wisp_provider_call *call, const void *args)
{
    struct wisp_str text = *(const struct wisp_str *)args, greeting = {0};
    greeting = wisp_settings_get(call->link ? &call->link->settings : &call->provider->settings, "greeting");
    wisp_provider_return(call, greeting.ptr ? &greeting : &text);
}

static void test_trap(struct wisp_provider_call *call, const void *args)
{
    (void)args;
    struct wisp_err err;
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "it never works");
    wisp_provider_fail(call, &err);
}

static void test_on_cancel(struct wisp_provider_call *call)
{
    struct wisp_err err;
    WISP_LOG(INFO, "test", "cancelled", WISP_TEXT("function", call->func->name));
    wisp_err_set(&err, WISP_ERR_CANCELLED, "nobody waits");
    wisp_provider_fail(call, &err);
}

/* Never answers. */
static void test_spin(struct wisp_provider_call *call, const void *args)
{
    (void)args;
    call->on_cancel = test_on_cancel;
}

struct test_nap {
    uv_timer_t timer;
    struct wisp_provider_call *call; /* NULL: ended */
};

static void test_on_nap_closed(uv_handle_t *handle) { free(handle->data); }

static void test_on_nap_over(uv_timer_t *timer)
{
    struct test_nap *nap = timer->data;
    uv_close((uv_handle_t *)timer, test_on_nap_closed);
    wisp_provider_return(nap->call, NULL);
}

static void test_on_nap_cancel(struct wisp_provider_call *call)
{
    struct test_nap *nap = call->user;
    uv_close((uv_handle_t *)&nap->timer, test_on_nap_closed);
    test_on_cancel(call);
}

static void test_nap(struct wisp_provider_call *call, const void *args)
{
    struct test_nap *nap = wisp_mem_calloc(1, sizeof *nap);
    nap->call = call;
    call->user = nap;
    call->on_cancel = test_on_nap_cancel;
    uv_timer_init(call->provider->loop, &nap->timer);
    nap->timer.data = nap;
    uv_timer_start(&nap->timer, test_on_nap_over, ((const struct nap_args *)args)->ms, 0);
}

static void test_deep(struct wisp_provider_call *call, const void *args);

static const struct wisp_provider_func test_ops_funcs[] = {
    {"add", "(u32, u32) -> u32", test_add, WISP_HOST_SIZES(struct add_args, uint32_t)},
    {"echo", "(string) -> string", test_echo, WISP_HOST_SIZES(struct wisp_str, struct wisp_str)},
    {"trap", "()", test_trap, 0, 0},
    {"spin", "()", test_spin, 0, 0},
    {"nap", "(u64)", test_nap, sizeof(struct nap_args), 0},
};
static const struct wisp_provider_func test_next_funcs[] = {
    {"deep", "(u32) -> u32", test_deep, WISP_HOST_SIZES(uint32_t, uint32_t)},
};
/* Of a component that it calls. */
static const struct wisp_provider_func test_calc_funcs[] = {
    {"deep", "(u32) -> u32", NULL, WISP_HOST_SIZES(uint32_t, uint32_t)},
    {"spin", "()", NULL, 0, 0},
};
static const struct wisp_provider_interface test_ops = {
    .name = "test:calc/ops@0.1.0", .funcs = test_ops_funcs, .n_funcs = WISP_COUNT(test_ops_funcs)};
static const struct wisp_provider_interface test_next = {
    .name = "test:calc/next@0.1.0", .funcs = test_next_funcs, .n_funcs = WISP_COUNT(test_next_funcs)};
static const struct wisp_provider_interface test_calc_next = {
    .name = "test:calc/next@0.1.0", .funcs = test_calc_funcs, .n_funcs = 1};
static const struct wisp_provider_interface test_calc_ops = {
    .name = "test:calc/ops@0.1.0", .funcs = test_calc_funcs + 1, .n_funcs = 1};

/* --- calls of components --- */

struct test_invocation {
    struct wisp_provider_call *call;
    struct wisp_provider_invocation *invocation;
};

static void test_on_invoked(const void *result, const struct wisp_err *err, void *env)
{
    struct test_invocation *its = env;
    if (err)
        wisp_provider_fail(its->call, err);
    else
        wisp_provider_return(its->call, result);
    free(its);
}

static void test_on_deep_cancel(struct wisp_provider_call *call)
{
    struct test_invocation *its = call->user;
    wisp_provider_invocation_cancel(its->invocation);
    free(its);
    test_on_cancel(call);
}

/* What the component `calc` makes of it; 100: its `spin`, given up when nobody waits. */
static void test_deep(struct wisp_provider_call *call, const void *args)
{
    struct test_invocation *its = wisp_mem_calloc(1, sizeof *its);
    bool spins = *(const uint32_t *)args == 100;
    struct wisp_err err = {0};
    its->call = call;
    call->user = its;
    call->on_cancel = test_on_deep_cancel;
    const struct wisp_provider_request request = {.target_id = WISP_STR("calc"),
                                                  .arena = call->arena,
                                                  .on_result = test_on_invoked,
                                                  .env = its,
                                                  .traceparent = call->traceparent};
    int r =
        wisp_provider_invoke(call->provider, spins ? &test_calc_ops : &test_calc_next,
                             spins ? &test_calc_funcs[1] : &test_calc_funcs[0], args, &request, &its->invocation, &err);
    if (r == 0) return;
    free(its);
    wisp_provider_fail(call, &err);
}

/* --- the kind --- */

static int test_open(struct wisp_provider *provider, struct wisp_err *err)
{
    if (!wisp_settings_get(&provider->settings, "refuse").ptr) {
        WISP_LOG(INFO, "test", provider->is_first ? "opened first" : "opened", WISP_BYTES("id", provider->id));
        return 0;
    }
    return wisp_err_set(err, WISP_ERR_INVALID, "it does not want to");
}

static void test_close(struct wisp_provider *provider)
{
    WISP_LOG(INFO, "test", "closed", WISP_BYTES("id", provider->id));
}

static int test_put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    (void)provider, (void)err;
    WISP_LOG(INFO, "test", "link", WISP_BYTES("source", link->source_id));
    return 0;
}

static void test_del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    (void)provider;
    WISP_LOG(INFO, "test", "link deleted", WISP_BYTES("source", link->source_id));
}

static const struct wisp_provider_interface *const test_exports[] = {&test_ops, &test_next};
static const struct wisp_provider_interface *const test_imports[] = {&test_calc_next, &test_calc_ops};
static const struct wisp_provider_kind test_kind = {
    .name = "test",
    .exports = test_exports,
    .n_exports = WISP_COUNT(test_exports),
    .imports = test_imports,
    .n_imports = WISP_COUNT(test_imports),
    .open = test_open,
    .close = test_close,
    .put_link = test_put_link,
    .del_link = test_del_link,
};

const struct wisp_provider_kind *const wisp_capability_kinds[] = {&test_kind};
const size_t wisp_capability_n_kinds = 1;
const struct wisp_inside *const wisp_capability_insides[] = {NULL};
const size_t wisp_capability_n_insides = 0;

const struct wisp_provider_kind *wisp_capability_find(struct wisp_str name)
{
    return wisp_str_is(name, test_kind.name) || wisp_str_is(name, "http-client") ? &test_kind : NULL;
}
