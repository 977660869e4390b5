/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a carrier of outgoing requests that the test plays. What the guest writes is read here, what is written
 * here is the response. After wasi/test_double.h. */
#pragma once

#include "component/host/host_signature.h"
#include "wasi/http/http_priv.h"

struct carrier {
    struct wisp_arena arena;
    struct wisp_wasi_http_send args; /* once sent: with readers */
    struct wisp_future_response *future;
    bool is_pending; /* not answered, failed or dropped */
    unsigned n_dropped;
    struct wisp_wrpc_writer *body, *trailers; /* of the response */
};

/* The types of wrpc:http's handle: (request) -> response. */
static inline const struct wisp_func_type *carrier_types(void)
{
    static struct wisp_arena arena; /* for good */
    static const struct wisp_func_type *func;
    static struct wisp_map no_resources;
    struct wisp_signature_names names = {.arena = &arena, .resources = &no_resources};
    struct wisp_err err;
    if (func) return func;
    static const char *const definitions[] = {
        "fields = list<tuple<string, list<list<u8>>>>", "method = variant{_, _, _, _, _, _, _, _, _, string}",
        "scheme = variant{_, _, string}",
        "request = record{stream<u8>, future<option<fields>>, method, option<string>, option<scheme>, option<string>, "
        "fields}",
        "response = record{stream<u8>, future<option<fields>>, u16, fields}"};
    for (size_t i = 0; i < WISP_COUNT(definitions); i++)
        CHECK_OK(wisp_signature_define(&names, wisp_str_from(definitions[i]), &err), &err);
    CHECK_OK(wisp_signature_parse(&names, WISP_STR("(request) -> response"), &func, &err), &err);
    wisp_map_deinit(&names.types);
    return func;
}

static inline void carrier_on_drop(void *env)
{
    struct carrier *carrier = env;
    carrier->is_pending = false;
    carrier->n_dropped++;
}

/* As the host function of outgoing-handler; `options` may be NULL. */
static inline int carrier_send(struct carrier *carrier, struct wisp_outgoing_request *request,
                               struct wisp_request_options *options)
{
    const struct wisp_type *type = carrier_types()->params[0].type;
    struct wisp_abi_send_args args = {.request = request};
    args.options.is_some = options != NULL;
    args.options.value = options;
    *carrier = (struct carrier){0};
    int r = wisp_wasi_http_send(&fake.call, &args, type->fields[0].type, type->fields[1].type, &carrier->arena,
                                &carrier->args, &carrier->future);
    if (r < 0) return r;
    carrier->is_pending = true;
    wisp_wasi_http_on_drop(carrier->future, carrier_on_drop, carrier);
    wisp_wrpc_value_pipe(type, &carrier->args.request, &fake.loop);
    return 0;
}

static inline void carrier_close_request(struct carrier *carrier)
{
    wisp_wrpc_reader_close(WISP_TAKE(carrier->args.request.body));
    wisp_wrpc_reader_close(WISP_TAKE(carrier->args.request.trailers));
}

/* Answers with 200 and these headers; the body is to be written. */
static inline void carrier_answer(struct carrier *carrier, const struct wisp_wrpc_fields *headers)
{
    const struct wisp_type *type = carrier_types()->result;
    struct wisp_wasi_http_answer answer = {.of.response.rest.status = 200};
    if (headers) answer.of.response.rest.headers = *headers;
    carrier->body = answer.of.response.body = wisp_wrpc_writer_new(type->fields[0].type);
    carrier->trailers = answer.of.response.trailers = wisp_wrpc_writer_new(type->fields[1].type);
    wisp_wrpc_value_pipe(type, &answer.of.response, &fake.loop);
    carrier->is_pending = false;
    wisp_wasi_http_answer(carrier->future, &answer);
}

static inline void carrier_end_response(struct carrier *carrier, const struct wisp_wrpc_option_fields *trailers)
{
    struct wisp_err err;
    wisp_wrpc_writer_end(WISP_TAKE(carrier->body));
    CHECK_OK(wisp_wrpc_writer_put(carrier->trailers, trailers, &err), &err);
    wisp_wrpc_writer_end(WISP_TAKE(carrier->trailers));
}

/* Whatever state it is in. */
static inline void carrier_deinit(struct carrier *carrier)
{
    carrier_close_request(carrier);
    wisp_wrpc_writer_abort(WISP_TAKE(carrier->body));
    wisp_wrpc_writer_abort(WISP_TAKE(carrier->trailers));
    wisp_arena_deinit(&carrier->arena);
}
