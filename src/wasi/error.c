/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:io/error. */
#include "wasi/wasi_priv.h"

#include <stdlib.h>

struct error_args {
    const struct wisp_io_error *self;
};

static int to_debug_string(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_io_error *self = ((const struct error_args *)args)->self;
    *(struct wisp_str *)result = wisp_str_from(self->text);
    return 0;
}

static void error_drop(void *rep, void *context)
{
    (void)context;
    free(rep);
}

static const struct wisp_host_func funcs[] = {
    {"[method]error.to-debug-string", "(borrow<error>) -> string", to_debug_string,
     WISP_HOST_SIZES(struct error_args, struct wisp_str)},
};

static const struct wisp_host_resource resources[] = {{.name = "error", .drop = error_drop}};

const struct wisp_host_interface wisp_wasi_io_error = {
    .name = "wasi:io/error",
    .version = WISP_WASI_VERSION,
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
};
