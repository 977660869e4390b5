/* SPDX-License-Identifier: Apache-2.0 */
/* One outgoing request: from the call to the server and back.
 *
 *     call ─▶ WAITING for the first of its body ─▶ (src/web) ─▶ head ─▶ the call is answered ─▶ body ─▶ end
 *
 * Only requests whose method hardly ever has a body wait: an empty one must not become a chunked one. Bodies flow at
 * the pace of whoever reads them; between libcurl and the streams nothing is kept. */
#include "capability/http/client.h"
#include "http/chars.h"
#include "wrpc/http_message.h"

#include <stdlib.h>

enum { HEADERS_MAX = 1000 };

#define DEFAULT_TIMEOUT_MS (UINT64_C(600) * 1000)

struct wisp_http_transfer {
    struct wisp_link link; /* in client->transfers */
    struct wisp_http_client *client;
    struct wisp_http_backing *backing;
    struct wisp_provider_call *call;  /* NULL once it is answered */
    struct wisp_web_request *request; /* NULL before it is started */
    struct wisp_web_ask ask;
    struct wisp_arena arena; /* of what is asked */

    struct wisp_wrpc_reader *body, *trailers; /* of the request; NULL: not looked at any more */
    const struct wisp_web_header *trailer_list;
    size_t n_trailers;
    bool has_trailers; /* they have come, or won't */

    struct wisp_wrpc_writer *response_body, *response_trailers; /* once the call is answered */
    bool is_paused;

    uv_timer_t timer; /* first byte, then between bytes */
    bool has_head;
    uint64_t first_byte_ms, between_bytes_ms;
};

/* --- the end --- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct wisp_http_transfer *transfer = handle->data;
    wisp_arena_deinit(&transfer->arena);
    free(transfer);
}

static void close_readers(struct wisp_http_transfer *transfer)
{
    wisp_wrpc_reader_close(WISP_TAKE(transfer->body));
    wisp_wrpc_reader_close(WISP_TAKE(transfer->trailers));
}

/* libcurl is done with it, and nobody waits for anything. */
static void transfer_free(struct wisp_http_transfer *transfer)
{
    wisp_ring_remove(&transfer->link);
    transfer->client->n_transfers--;
    close_readers(transfer);
    wisp_wrpc_writer_abort(WISP_TAKE(transfer->response_body));
    wisp_wrpc_writer_abort(WISP_TAKE(transfer->response_trailers));
    wisp_http_backing_unref(transfer->backing);
    uv_close((uv_handle_t *)&transfer->timer, on_timer_closed);
}

static void answer_error(struct wisp_http_transfer *transfer, uint32_t code, const char *text)
{
    struct wisp_wasi_http_answer answer = {.is_error = 1, .of.error.tag = code};
    if (code == WISP_HTTP_ERROR_INTERNAL_ERROR) {
        answer.of.error.of.text.is_some = 1;
        answer.of.error.of.text.value = wisp_str_from(text);
    } else if (code == WISP_HTTP_ERROR_DNS_ERROR) {
        answer.of.error.of.dns_error.rcode.is_some = 1;
        answer.of.error.of.dns_error.rcode.value = WISP_STR("address not available");
        answer.of.error.of.dns_error.info_code.is_some = 1;
    }
    wisp_provider_return(WISP_TAKE(transfer->call), &answer);
}

/* Not from within libcurl. */
static void fail(struct wisp_http_transfer *transfer, uint32_t code, const char *text)
{
    wisp_web_cancel(WISP_TAKE(transfer->request));
    if (transfer->call) answer_error(transfer, code, text);
    transfer_free(transfer);
}

static void on_cancel(struct wisp_provider_call *call)
{
    struct wisp_http_transfer *transfer = call->user;
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_CANCELLED, "nobody waits for the response");
    transfer->call = NULL;
    wisp_web_cancel(WISP_TAKE(transfer->request));
    transfer_free(transfer);
    wisp_provider_fail(call, &err);
}

void wisp_http_transfer_stop(struct wisp_link *link)
{
    struct wisp_http_transfer *transfer = WISP_OWNER(link, struct wisp_http_transfer, link);
    fail(transfer, WISP_HTTP_ERROR_CONNECTION_TERMINATED, "");
}

/* --- timeouts --- */

static void on_timer(uv_timer_t *timer) { fail(timer->data, WISP_HTTP_ERROR_CONNECTION_READ_TIMEOUT, ""); }

static void restart_timer(struct wisp_http_transfer *transfer)
{
    if (transfer->is_paused)
        uv_timer_stop(&transfer->timer);
    else
        uv_timer_start(&transfer->timer, on_timer,
                       transfer->has_head ? transfer->between_bytes_ms : transfer->first_byte_ms, 0);
}

static uint64_t to_ms(struct wisp_wrpc_option_u64 timeout_ns)
{
    if (!timeout_ns.is_some) return DEFAULT_TIMEOUT_MS;
    uint64_t ms = timeout_ns.value / 1000000 + (timeout_ns.value % 1000000 > 0);
    return ms ? ms : 1;
}

/* --- the request's body --- */

/* False: it isn't known yet whether there are some. */
static bool receive_trailers(struct wisp_http_transfer *transfer)
{
    struct wisp_wrpc_option_fields value = {0};
    const struct wisp_http_header *headers = NULL;
    size_t n = 0;
    struct wisp_err err;
    if (transfer->has_trailers) return true;
    enum wisp_wrpc_reading reading = wisp_wrpc_reader_next(transfer->trailers, &transfer->arena, &value, &err);
    if (reading == WISP_WRPC_READING_WAIT) return false;
    transfer->has_trailers = true;
    if (reading != WISP_WRPC_READING_ITEM || !value.is_some) return true;
    /* Trailers are something extra: what can't be sent is left out. */
    if (wisp_wrpc_fields_to(&value.value, HEADERS_MAX, WISP_WRPC_HTTP_HANDLERS, &transfer->arena, &headers, &n, &err) <
        0)
        return true;
    struct wisp_web_header *list = WISP_NEW_ARRAY(&transfer->arena, struct wisp_web_header, n);
    for (size_t i = 0; i < n; i++)
        list[i] = (struct wisp_web_header){wisp_arena_cstr(&transfer->arena, headers[i].name),
                                           wisp_arena_cstr(&transfer->arena, headers[i].value)};
    transfer->trailer_list = list;
    transfer->n_trailers = n;
    return true;
}

static size_t give_trailers(const struct wisp_web_header **ret_trailers, void *env)
{
    const struct wisp_http_transfer *transfer = env;
    *ret_trailers = transfer->trailer_list;
    return transfer->n_trailers;
}

static enum wisp_web_sending send_some(void *buffer, size_t max, size_t *ret_n, void *env, struct wisp_err *err)
{
    struct wisp_http_transfer *transfer = env;
    struct wisp_str bytes;
    switch (wisp_wrpc_reader_peek(transfer->body, &bytes, err)) {
    case WISP_WRPC_READING_WAIT:
        return WISP_WEB_SENDING_WAIT;
    case WISP_WRPC_READING_FAILED:
        return WISP_WEB_SENDING_FAILED;
    case WISP_WRPC_READING_END:
        return transfer->ask.on_trailers && !receive_trailers(transfer) ? WISP_WEB_SENDING_WAIT : WISP_WEB_SENDING_END;
    case WISP_WRPC_READING_ITEM:
        break;
    }
    *ret_n = bytes.len < max ? bytes.len : max;
    memcpy(buffer, bytes.ptr, *ret_n);
    wisp_wrpc_reader_consume(transfer->body, *ret_n);
    return WISP_WEB_SENDING_BYTES;
}

/* --- the response --- */

static bool can_be_trailer(struct wisp_str name) { return !wisp_str_equal_nocase(name, WISP_STR("content-length")); }

/* Names in lower case. */
static const struct wisp_http_header *to_headers(const struct wisp_web_field *fields, size_t n, bool are_trailers,
                                                 struct wisp_arena *arena, size_t *ret_n)
{
    struct wisp_http_header *headers = WISP_NEW_ARRAY(arena, struct wisp_http_header, n);
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_sound = fields[i].name.len && wisp_http_is_all(fields[i].name, WISP_HTTP_TOKEN) &&
                        wisp_http_is_all(fields[i].value, WISP_HTTP_VALUE);
        if (!is_sound || (are_trailers && !can_be_trailer(fields[i].name))) continue;
        char *name = wisp_arena_cstr(arena, fields[i].name);
        wisp_http_to_lower(name, fields[i].name.len);
        headers[(*ret_n)++] = (struct wisp_http_header){{name, fields[i].name.len}, fields[i].value};
    }
    return headers;
}

static int read_fields(const struct wisp_web_field *fields, size_t n, bool are_trailers, struct wisp_arena *arena,
                       struct wisp_wrpc_fields *ret_fields, struct wisp_err *err)
{
    size_t n_headers;
    const struct wisp_http_header *headers = to_headers(fields, n, are_trailers, arena, &n_headers);
    return wisp_wrpc_fields_from(headers, n_headers, WISP_WRPC_HTTP_END_TO_END, arena, ret_fields, err);
}

/* The reader is gone, or ready for more. */
static void on_room(struct wisp_wrpc_writer *writer, void *env)
{
    struct wisp_http_transfer *transfer = env;
    if (wisp_wrpc_writer_is_closed(writer)) {
        fail(transfer, WISP_HTTP_ERROR_CONNECTION_TERMINATED, "");
        return;
    }
    if (!transfer->is_paused) return;
    transfer->is_paused = false;
    restart_timer(transfer);
    wisp_web_resume(transfer->request);
}

static int take_head(const struct wisp_web_response *response, void *env, struct wisp_err *err)
{
    struct wisp_http_transfer *transfer = env;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_wasi_http_answer answer = {.of.response.rest.status = (uint16_t)response->status};
    int r = read_fields(response->fields, response->n_fields, false, &arena, &answer.of.response.rest.headers, err);
    if (r < 0) return r;
    const struct wisp_type *type = transfer->client->handle->result->fields[0].type; /* of `ok` */
    transfer->response_body = answer.of.response.body = wisp_wrpc_writer_new(type->fields[0].type);
    transfer->response_trailers = answer.of.response.trailers = wisp_wrpc_writer_new(type->fields[1].type);
    transfer->has_head = true;
    wisp_wrpc_writer_on_room(transfer->response_body, on_room, transfer);
    restart_timer(transfer);
    wisp_provider_return(WISP_TAKE(transfer->call), &answer);
    return 0;
}

static int take_body(const struct wisp_web_response *response, struct wisp_str bytes, void *env, struct wisp_err *err)
{
    struct wisp_http_transfer *transfer = env;
    (void)response;
    if (wisp_wrpc_writer_is_closed(transfer->response_body))
        return wisp_err_set(err, WISP_ERR_CANCELLED, "nobody reads the response");
    int r = wisp_wrpc_writer_write(transfer->response_body, bytes, err);
    if (r < 0) return r;
    transfer->is_paused = wisp_wrpc_writer_room(transfer->response_body) == 0;
    restart_timer(transfer);
    if (transfer->is_paused) wisp_web_pause(transfer->request);
    return 0;
}

static void end_response(struct wisp_http_transfer *transfer, const struct wisp_web_response *response)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_wrpc_option_fields trailers = {.is_some = response->n_trailers > 0};
    struct wisp_err err = {0};
    int r = read_fields(response->trailers, response->n_trailers, true, &arena, &trailers.value, &err);
    if (r == 0) r = wisp_wrpc_writer_put(transfer->response_trailers, &trailers, &err);
    if (r < 0) return; /* they are broken off */
    wisp_wrpc_writer_end(WISP_TAKE(transfer->response_trailers));
}

static uint32_t code_of(enum wisp_web_fault fault, const struct wisp_err *err)
{
    switch (fault) {
    case WISP_WEB_FAULT_NAME:
        return WISP_HTTP_ERROR_DNS_ERROR;
    case WISP_WEB_FAULT_REFUSED:
        return WISP_HTTP_ERROR_CONNECTION_REFUSED;
    case WISP_WEB_FAULT_CONNECT_TIMEOUT:
        return WISP_HTTP_ERROR_CONNECTION_TIMEOUT;
    case WISP_WEB_FAULT_TLS:
        return WISP_HTTP_ERROR_TLS_PROTOCOL_ERROR;
    case WISP_WEB_FAULT_CERTIFICATE:
        return WISP_HTTP_ERROR_TLS_CERTIFICATE_ERROR;
    case WISP_WEB_FAULT_TIMEOUT:
        return WISP_HTTP_ERROR_CONNECTION_READ_TIMEOUT;
    case WISP_WEB_FAULT_BROKEN:
        return WISP_HTTP_ERROR_CONNECTION_TERMINATED;
    case WISP_WEB_FAULT_CALLER:
        break;
    default:
        if (err->kind != WISP_ERR_LIMIT) return WISP_HTTP_ERROR_PROTOCOL_ERROR;
    }
    if (err->kind == WISP_ERR_LIMIT) return WISP_HTTP_ERROR_RESPONSE_HEADER_SECTION_SIZE;
    return err->kind == WISP_ERR_INVALID ? WISP_HTTP_ERROR_REQUEST_BODY_SIZE : WISP_HTTP_ERROR_INTERNAL_ERROR;
}

static void on_done(const struct wisp_web_response *response, const struct wisp_err *err, void *env)
{
    struct wisp_http_transfer *transfer = env;
    transfer->request = NULL;
    if (transfer->call && err)
        answer_error(transfer, code_of(response->fault, err), err->text);
    else if (transfer->call) /* no head that deserved the name */
        answer_error(transfer, WISP_HTTP_ERROR_PROTOCOL_ERROR, "");
    else if (!err) {
        wisp_wrpc_writer_end(WISP_TAKE(transfer->response_body));
        end_response(transfer, response);
    }
    transfer_free(transfer);
}

/* --- starting --- */

static bool has_body_as_a_rule(const char *method)
{
    return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "DELETE") != 0 &&
           strcmp(method, "OPTIONS") != 0 && strcmp(method, "TRACE") != 0;
}

static void start(struct wisp_http_transfer *transfer, bool has_body)
{
    if (has_body) {
        transfer->ask.on_send = send_some;
        if (transfer->ask.body_size == WISP_WEB_LENGTH_UNKNOWN) transfer->ask.on_trailers = give_trailers;
    }
    transfer->request = wisp_web_start(transfer->backing->web, &transfer->ask);
}

/* Starts it, once it is clear whether there is a body. */
static void start_if_clear(struct wisp_http_transfer *transfer)
{
    struct wisp_str bytes;
    struct wisp_err err = {0};
    const struct wisp_web_ask *ask = &transfer->ask;
    if (ask->body_size != WISP_WEB_LENGTH_UNKNOWN || strcmp(ask->method, "HEAD") == 0) {
        start(transfer, ask->body_size != 0 && strcmp(ask->method, "HEAD") != 0);
        return;
    }
    switch (wisp_wrpc_reader_peek(transfer->body, &bytes, &err)) {
    case WISP_WRPC_READING_WAIT:
        if (has_body_as_a_rule(ask->method)) start(transfer, true);
        break;
    case WISP_WRPC_READING_ITEM:
        start(transfer, true);
        break;
    case WISP_WRPC_READING_END:
        start(transfer, false);
        break;
    case WISP_WRPC_READING_FAILED:
        fail(transfer, WISP_HTTP_ERROR_INTERNAL_ERROR, err.text);
        break;
    }
}

static void on_ready(struct wisp_wrpc_reader *reader, void *env)
{
    struct wisp_http_transfer *transfer = env;
    (void)reader;
    if (transfer->request)
        wisp_web_send_on(transfer->request);
    else
        start_if_clear(transfer);
}

/* --- what is asked --- */

static const char *method_of(const struct wisp_wrpc_method *method, struct wisp_arena *arena)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "", "OPTIONS", "TRACE", "PATCH"};
    if (method->tag < WISP_COUNT(names)) return names[method->tag]; /* a tunnel is no request */
    if (!wisp_http_is_all(method->other, WISP_HTTP_TOKEN) || wisp_str_is(method->other, "CONNECT")) return "";
    return wisp_arena_cstr(arena, method->other);
}

/* "https" when it isn't said; NULL when it is another. */
static const char *scheme_of(const struct wisp_wrpc_option_scheme *scheme)
{
    if (!scheme->is_some || scheme->value.tag == WISP_WRPC_SCHEME_HTTPS) return "https";
    return scheme->value.tag == WISP_WRPC_SCHEME_HTTP ? "http" : NULL;
}

/* 0, or an error code + 1. */
static int read_url(struct wisp_http_transfer *transfer, const struct wisp_wrpc_request_rest *rest)
{
    struct wisp_web_ask *ask = &transfer->ask;
    struct wisp_arena *arena = &transfer->arena;
    const char *scheme = scheme_of(&rest->scheme);
    struct wisp_http_host host;
    struct wisp_str target = rest->target.is_some ? rest->target.value : WISP_STR("/");
    ask->method = method_of(&rest->method, arena);
    if (!ask->method[0]) return WISP_HTTP_ERROR_REQUEST_METHOD_INVALID + 1;
    if (!scheme || !rest->authority.is_some || !wisp_http_host_parse(rest->authority.value, &host))
        return WISP_HTTP_ERROR_REQUEST_URI_INVALID + 1;
    if (!wisp_http_is_all(target, WISP_HTTP_TARGET)) return WISP_HTTP_ERROR_REQUEST_URI_INVALID + 1;
    if (!host.port) host.port = strcmp(scheme, "https") == 0 ? 443 : 80;
    if (!wisp_http_is_allowed_host(&transfer->client->allowed, &host)) return WISP_HTTP_ERROR_REQUEST_DENIED + 1;
    bool has_root = target.len && (target.ptr[0] == '/' || wisp_str_is(target, "*"));
    ask->url = wisp_arena_printf(arena, "%s://%.*s:%u/", scheme, WISP_STR_ARG(host.name), host.port);
    ask->target = wisp_arena_printf(arena, "%s%.*s", has_root ? "" : "/", WISP_STR_ARG(target));
    return 0;
}

/* Of the message, not of the connection; Expect is a matter between us and the server. */
static int read_headers(struct wisp_http_transfer *transfer, const struct wisp_wrpc_fields *fields)
{
    struct wisp_arena *arena = &transfer->arena;
    const struct wisp_http_header *headers;
    size_t n, n_given = 0;
    struct wisp_err err = {0};
    if (wisp_wrpc_fields_length(fields, &transfer->ask.body_size, &err) < 0 ||
        wisp_wrpc_fields_to(fields, HEADERS_MAX, WISP_WRPC_HTTP_HANDLERS, arena, &headers, &n, &err) < 0)
        return err.kind == WISP_ERR_LIMIT ? WISP_HTTP_ERROR_REQUEST_HEADER_SECTION_SIZE + 1
                                          : WISP_HTTP_ERROR_PROTOCOL_ERROR + 1;
    struct wisp_web_header *given = WISP_NEW_ARRAY(arena, struct wisp_web_header, n + 1);
    bool has_trace = false;
    for (size_t i = 0; i < n; i++) {
        has_trace |= wisp_str_is(headers[i].name, "traceparent");
        if (wisp_str_is(headers[i].name, "expect")) continue;
        given[n_given++] =
            (struct wisp_web_header){wisp_arena_cstr(arena, headers[i].name), wisp_arena_cstr(arena, headers[i].value)};
    }
    struct wisp_str trace = transfer->call->traceparent;
    if (!has_trace && trace.len && wisp_http_is_all(trace, WISP_HTTP_VALUE))
        given[n_given++] = (struct wisp_web_header){"traceparent", wisp_arena_cstr(arena, trace)};
    transfer->ask.headers = given;
    transfer->ask.n_headers = n_given;
    return 0;
}

static void read_options(struct wisp_http_transfer *transfer, const struct wisp_wasi_http_send *args)
{
    static const struct wisp_wasi_http_options none;
    const struct wisp_wasi_http_options *options = args->options.is_some ? &args->options.value : &none;
    transfer->ask.connect_timeout_ms = to_ms(options->connect_ns);
    transfer->first_byte_ms = to_ms(options->first_byte_ns);
    transfer->between_bytes_ms = to_ms(options->between_bytes_ns);
    /* libcurl counts them in 32 bits. */
    if (transfer->ask.connect_timeout_ms > INT32_MAX) transfer->ask.connect_timeout_ms = INT32_MAX;
}

static struct wisp_http_transfer *transfer_new(struct wisp_http_client *client, struct wisp_provider_call *call,
                                               const struct wisp_wasi_http_request *request)
{
    struct wisp_http_transfer *transfer = wisp_mem_calloc(1, sizeof *transfer);
    transfer->client = client;
    transfer->backing = client->backing;
    transfer->backing->n_refs++;
    transfer->call = call;
    call->user = transfer;
    call->on_cancel = on_cancel;
    transfer->body = request->body;
    transfer->trailers = request->trailers;
    uv_timer_init(client->provider->loop, &transfer->timer);
    transfer->timer.data = transfer;
    transfer->ask = (struct wisp_web_ask){
        .is_bare = true, .on_head = take_head, .on_body = take_body, .on_done = on_done, .env = transfer};
    wisp_ring_append(&client->transfers, &transfer->link);
    client->n_transfers++;
    return transfer;
}

void wisp_http_client_handle(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_wasi_http_send *arg = args;
    struct wisp_http_transfer *transfer = transfer_new(call->provider->state, call, &arg->request);
    bool is_one_too_many = transfer->client->n_transfers > WISP_HTTP_TRANSFERS_MAX;
    int problem = is_one_too_many ? WISP_HTTP_ERROR_CONNECTION_LIMIT_REACHED + 1 : 0;
    if (!problem) problem = read_url(transfer, &arg->request.rest);
    if (!problem) problem = read_headers(transfer, &arg->request.rest.headers);
    if (problem) {
        fail(transfer, (uint32_t)problem - 1, "");
        return;
    }
    read_options(transfer, arg);
    restart_timer(transfer);
    wisp_wrpc_reader_on_ready(transfer->body, on_ready, transfer);
    wisp_wrpc_reader_on_ready(transfer->trailers, on_ready, transfer);
    start_if_clear(transfer);
}
