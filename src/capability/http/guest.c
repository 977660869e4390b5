/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/outgoing-handler: a guest's requests become calls of what its link leads to. The guest doesn't stand still
 * meanwhile: it gets a future, which the end of the call answers. */
#include "capability/http/outgoing.h"
#include "capability/kinds.h"
#include "provider/outside.h"
#include "wasi/http/http_abi.h"
#include "wasi/http_outgoing.h"

#include <stdlib.h>

/* A call in flight. */
struct sending {
    const struct wisp_wasi *wasi;
    struct wisp_future_response *future;
    struct wisp_outside_pending *pending;
    struct wisp_wasi_http_send args;
    struct wisp_arena arena; /* of the arguments */
};

static void sending_free(struct sending *sending)
{
    wisp_arena_deinit(&sending->arena);
    free(sending);
}

static uint32_t code_of(const struct wisp_err *err)
{
    switch (err->kind) {
    case WISP_ERR_NOT_FOUND: /* nothing is linked */
    case WISP_ERR_DENIED:
        return WISP_HTTP_ERROR_REQUEST_DENIED;
    case WISP_ERR_TIMEOUT:
        return WISP_HTTP_ERROR_RESPONSE_TIMEOUT;
    case WISP_ERR_LIMIT:
        return WISP_HTTP_ERROR_CONNECTION_LIMIT_REACHED;
    default:
        return WISP_HTTP_ERROR_INTERNAL_ERROR;
    }
}

static void on_done(const void *result, const struct wisp_err *err, void *env)
{
    struct sending *sending = env;
    wisp_wasi_http_on_drop(sending->future, NULL, NULL);
    if (result)
        wisp_wasi_http_answer(sending->future, result);
    else
        wisp_wasi_http_fail(sending->future, code_of(err), err->text);
    sending_free(sending);
}

static void on_drop(void *env)
{
    struct sending *sending = env;
    wisp_outside_cancel(sending->wasi, sending->pending);
    sending_free(sending);
}

static int handle(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_func_type *type;
    struct wisp_err err = {0};
    if (wisp_http_outgoing_type(&type, &err) < 0) return wisp_call_trap(call, "%s", err.text);
    const struct wisp_type_field *fields = type->params[0].type->fields;
    struct sending *sending = wisp_mem_calloc(1, sizeof *sending);
    sending->wasi = call->context;
    struct wisp_future_response *future;
    int r = wisp_wasi_http_send(call, args, fields[0].type, fields[1].type, &sending->arena, &sending->args, &future);
    if (r < 0) {
        sending_free(sending);
        return r;
    }
    sending->future = future;
    struct wisp_outside_pending *pending = wisp_outside_start(
        call, &wisp_http_outgoing_handler, &wisp_http_outgoing_handler.funcs[0], &sending->args, on_done, sending);
    /* NULL: on_done has come, and `sending` is gone. */
    if (pending) {
        sending->pending = pending;
        wisp_wasi_http_on_drop(future, on_drop, sending);
    }
    struct wisp_abi_send_result *ret = result;
    *ret = (struct wisp_abi_send_result){.is_error = WISP_ABI_OK};
    ret->of.future = future;
    return 0;
}

static const struct wisp_host_func funcs[] = {
    {"handle",
     "(own<outgoing-request>, option<own<request-options>>) -> result<own<future-incoming-response>, error-code>",
     handle, WISP_HOST_SIZES(struct wisp_abi_send_args, struct wisp_abi_send_result)},
};

const struct wisp_host_interface wisp_http_guest_outgoing_handler = {
    .name = "wasi:http/outgoing-handler",
    .version = WISP_WASI_VERSION,
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .types = wisp_wasi_http_type_names,
};
