/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:config: store, and runtime as it was called before. */
#include "wasi/app.h"
#include "wasi/wasi_priv.h"

#include <stdlib.h>

struct config_error {
    uint32_t tag; /* upstream, io */
    struct wisp_str text;
};
struct get_result {
    uint32_t is_err;
    union {
        struct {
            uint32_t is_some;
            struct wisp_str value;
        };
        struct config_error error;
    };
};
struct get_all_result {
    uint32_t is_err;
    union {
        struct {
            const struct wisp_wasi_env *ptr;
            size_t len;
        };
        struct config_error error;
    };
};

static const struct wisp_wasi_app *app_of(const struct wisp_call *call)
{
    return ((const struct wisp_wasi *)call->context)->app;
}

static int by_name(const void *key, const void *pair)
{
    return wisp_str_compare(*(const struct wisp_str *)key, ((const struct wisp_wasi_env *)pair)->name);
}

static int get(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_wasi_app *app = app_of(call);
    const struct wisp_wasi_env *pair =
        app && app->n_config ? bsearch(args, app->config, app->n_config, sizeof *pair, by_name) : NULL;
    struct get_result *got = result;
    *got = (struct get_result){.is_some = pair != NULL};
    if (pair) got->value = pair->value;
    return 0;
}

static int get_all(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    const struct wisp_wasi_app *app = app_of(call);
    struct get_all_result *got = result;
    *got = (struct get_all_result){0};
    if (!app) return 0;
    got->ptr = app->config;
    got->len = app->n_config;
    return 0;
}

static const char *const types[] = {"config-error = variant{string, string}", NULL};
static const struct wisp_host_func funcs[] = {
    {"get", "(string) -> result<option<string>, config-error>", get,
     WISP_HOST_SIZES(struct wisp_str, struct get_result)},
    {"get-all", "() -> result<list<tuple<string, string>>, config-error>", get_all, 0, sizeof(struct get_all_result)},
};

const struct wisp_host_interface wisp_wasi_config_store = {
    .name = "wasi:config/store",
    .version = "0.2.0-draft",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .types = types,
};
const struct wisp_host_interface wisp_wasi_config_runtime = {
    .name = "wasi:config/runtime",
    .version = "0.2.0-draft",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .types = types,
};
