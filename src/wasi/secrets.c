/* SPDX-License-Identifier: Apache-2.0 */
/* wasmcloud:secrets. A secret's representation is the application's own entry, which the invocation keeps. */
#include "wasi/app.h"
#include "wasi/wasi_priv.h"

enum { ERROR_NOT_FOUND = 2 };

struct get_result {
    uint32_t is_err;
    union {
        const struct wisp_wasi_secret *secret;
        struct {
            uint32_t tag; /* upstream, io, not-found */
            struct wisp_str text;
        } error;
    };
};

static int get(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_wasi_app *app = ((const struct wisp_wasi *)call->context)->app;
    const struct wisp_str *name = args;
    struct get_result *got = result;
    *got = (struct get_result){.is_err = 1, .error.tag = ERROR_NOT_FOUND};
    for (size_t i = 0; app && i < app->n_secrets; i++)
        if (wisp_str_equal(app->secrets[i].name, *name)) *got = (struct get_result){.secret = &app->secrets[i]};
    return 0;
}

struct reveal_args {
    const struct wisp_wasi_secret *secret;
};
struct reveal_result {
    uint32_t is_bytes; /* string, bytes: both a pointer and a length */
    struct wisp_bytes value;
};

static int reveal(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_wasi_secret *secret = ((const struct reveal_args *)args)->secret;
    *(struct reveal_result *)result = (struct reveal_result){secret->is_bytes, secret->value};
    return 0;
}

static const struct wisp_host_resource resources[] = {{.name = "secret"}};
static const struct wisp_host_func store_funcs[] = {
    {"get", "(string) -> result<secret, variant{string, string, _}>", get,
     WISP_HOST_SIZES(struct wisp_str, struct get_result)},
};
static const struct wisp_host_func reveal_funcs[] = {
    {"reveal", "(borrow<secret>) -> variant{string, list<u8>}", reveal,
     WISP_HOST_SIZES(struct reveal_args, struct reveal_result)},
};

const struct wisp_host_interface wisp_wasmcloud_secrets_store = {
    .name = "wasmcloud:secrets/store",
    .version = "0.1.0-draft",
    .funcs = store_funcs,
    .n_funcs = WISP_COUNT(store_funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
};
const struct wisp_host_interface wisp_wasmcloud_secrets_reveal = {
    .name = "wasmcloud:secrets/reveal",
    .version = "0.1.0-draft",
    .funcs = reveal_funcs,
    .n_funcs = WISP_COUNT(reveal_funcs),
};
