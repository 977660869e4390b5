/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that do anything in any order, with clients that do the same: nothing may be used after its end, nothing may
 * be left over. Each seed is one exchange. */
#include "wasi/http/http_scene.h"

#include "wasi/http/http_carrier.h"

enum { SEEDS = 400, STEPS = 120, HANDLES_MAX = 200, CARRIERS = 6 };

enum kind {
    FIELDS,
    REQUEST,
    RESPONSE,
    BODY_OUT,
    OUTPUT,
    BODY_IN,
    INPUT,
    TRAILERS,
    POLLABLE,
    OUTPARAM,
    SENDING,
    FUTURE,
    ANSWER,
    KINDS
};

static struct {
    uint64_t state;
    struct {
        enum kind kind;
        void *rep;
    } handles[HANDLES_MAX];
    size_t n;
    struct carrier carriers[CARRIERS]; /* of its requests */
    size_t n_carriers;
} guest;

static uint32_t draw(uint32_t below)
{
    guest.state = guest.state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(guest.state >> 33) % below;
}

static void give(enum kind kind, void *rep)
{
    CHECK(rep && guest.n < HANDLES_MAX);
    guest.handles[guest.n].kind = kind;
    guest.handles[guest.n++].rep = rep;
}

/* Any handle of that kind; NULL when the guest has none. */
static void *pick(enum kind kind, size_t *ret_index)
{
    size_t start = guest.n ? draw((uint32_t)guest.n) : 0;
    for (size_t i = 0; i < guest.n; i++) {
        *ret_index = (start + i) % guest.n;
        if (guest.handles[*ret_index].kind == kind) return guest.handles[*ret_index].rep;
    }
    return NULL;
}

static void *peek(enum kind kind)
{
    size_t index;
    return pick(kind, &index);
}

static void *take(enum kind kind)
{
    size_t index;
    void *rep = pick(kind, &index);
    if (rep) guest.handles[index] = guest.handles[--guest.n];
    return rep;
}

/* A method that gives a handle, or a result with one. */
static void call_for_handle(enum kind from, const char *name, bool is_result, enum kind to)
{
    void *self = peek(from);
    if (!self) return;
    if (!is_result) {
        void *rep;
        if (INVOKE(TYPES, name, &self, &rep) == 0) give(to, rep);
        return;
    }
    struct wisp_abi_result_handle result;
    if (INVOKE(TYPES, name, &self, &result) == 0 && !result.is_error) give(to, result.value);
}

/* One that takes a handle for another. */
static void call_exchanging(enum kind from, const char *name, enum kind to)
{
    void *self = take(from), *rep;
    if (self && INVOKE(TYPES, name, &self, &rep) == 0) give(to, rep);
}

static void new_fields_step(void)
{
    void *rep;
    CHECK_INT(fake_invoke(&TYPES, "[constructor]fields", NULL, 0, &rep, sizeof rep), 0);
    give(FIELDS, rep);
}

static void change_fields(void)
{
    static const char *const names[] = {"a", "Content-Length", "x-long", "host", "b c"};
    static const char *const values[] = {"5", "0", "text", "\n", ""};
    struct wisp_fields *self = peek(FIELDS);
    if (!self) return;
    const char *name = names[draw(WISP_COUNT(names))], *value = values[draw(WISP_COUNT(values))];
    struct wisp_bytes bytes = {(const uint8_t *)value, strlen(value)};
    struct wisp_abi_result_header_error result;
    struct wisp_abi_fields_append_args append = {self, wisp_str_from(name), bytes};
    struct wisp_abi_fields_set_args change = {self, wisp_str_from(name), {&bytes, draw(2)}};
    if (draw(2))
        CHECK_INT(INVOKE(TYPES, "[method]fields.append", &append, &result), 0);
    else
        CHECK_INT(INVOKE(TYPES, "[method]fields.set", &change, &result), 0);
}

static void write_step(void)
{
    static const char bytes[5000];
    struct wisp_output_stream *stream = peek(OUTPUT);
    struct wisp_io_error error;
    size_t room;
    bool is_done;
    if (!stream || stream->ops->check_write(stream, &room, &error) != WISP_STREAM_OK) return;
    size_t size = draw(3) ? draw(6) : draw(sizeof bytes);
    if (size <= room) (void)stream->ops->write(stream, draw(8) ? bytes : NULL, size, &error);
    (void)stream->ops->flush(stream, &is_done, &error);
    (void)stream->ops->is_ready(stream);
}

static void read_step(void)
{
    char buffer[100];
    struct wisp_input_stream *stream = peek(INPUT);
    struct wisp_io_error error;
    size_t n;
    if (stream) (void)stream->ops->read(stream, draw(4) ? buffer : NULL, draw(sizeof buffer), &n, &error);
    if (stream) (void)stream->ops->is_ready(stream);
}

static void finish_step(void)
{
    struct wisp_abi_finish_args args = {.body = take(BODY_OUT)};
    struct wisp_abi_result_error_code result;
    if (!args.body) return;
    if (draw(2)) args.trailers.value = take(FIELDS);
    args.trailers.is_some = args.trailers.value != NULL;
    (void)INVOKE(TYPES, "[static]outgoing-body.finish", &args, &result);
}

static void set_step(void)
{
    struct wisp_abi_set_response_args args = {.response.is_error = draw(5) == 0};
    if (!peek(OUTPARAM) || draw(3)) return;
    if (args.response.is_error)
        args.response.of.error = (struct wisp_abi_error_code){.tag = draw(WISP_HTTP_ERROR_COUNT)};
    else if (!(args.response.of.response = take(RESPONSE)))
        return;
    args.outparam = take(OUTPARAM);
    (void)fake_invoke(&TYPES, "[static]response-outparam.set", &args, sizeof args, NULL, 0);
}

static void trailers_step(void)
{
    struct wisp_future_trailers *self = peek(TRAILERS);
    struct wisp_abi_trailers_result result;
    if (!self) return;
    CHECK_INT(INVOKE(TYPES, "[method]future-trailers.get", &self, &result), 0);
    if (result.is_some && !result.taken.is_error && !result.taken.value.is_error &&
        result.taken.value.of.trailers.is_some)
        give(FIELDS, result.taken.value.of.trailers.value);
}

static void send_step(void)
{
    struct wisp_outgoing_request *request = guest.n_carriers < CARRIERS ? take(SENDING) : NULL;
    if (!request) return;
    struct carrier *carrier = &guest.carriers[guest.n_carriers++];
    if (carrier_send(carrier, request, NULL) == 0) give(FUTURE, carrier->future);
}

static void future_step(void)
{
    struct wisp_future_response *self = peek(FUTURE);
    struct wisp_abi_response_result result;
    if (!self) return;
    CHECK_INT(INVOKE(TYPES, "[method]future-incoming-response.get", &self, &result), 0);
    if (result.is_some && !result.taken.is_error && !result.taken.value.is_error)
        give(ANSWER, result.taken.value.of.response);
}

/* The other side of a request does something. */
static void carrier_step(void)
{
    struct wisp_wrpc_option_fields trailers = {0};
    struct wisp_str bytes;
    struct wisp_err err;
    if (!guest.n_carriers) return;
    struct carrier *carrier = &guest.carriers[draw((uint32_t)guest.n_carriers)];
    switch (draw(9)) {
    case 0:
    case 1:
        if (carrier->is_pending) carrier_answer(carrier, NULL);
        break;
    case 2:
        if (!carrier->is_pending || draw(3)) break;
        carrier->is_pending = false;
        wisp_wasi_http_fail(carrier->future, draw(WISP_HTTP_ERROR_COUNT), "why");
        break;
    case 3:
    case 4:
        if (carrier->body) CHECK_OK(wisp_wrpc_writer_write(carrier->body, WISP_STR("some"), &err), &err);
        break;
    case 5:
        if (carrier->body && carrier->trailers) carrier_end_response(carrier, &trailers);
        break;
    case 6:
        if (draw(4) == 0) wisp_wrpc_writer_abort(WISP_TAKE(carrier->body));
        break;
    case 7:
        if (carrier->args.request.body &&
            wisp_wrpc_reader_peek(carrier->args.request.body, &bytes, &err) == WISP_WRPC_READING_ITEM)
            wisp_wrpc_reader_consume(carrier->args.request.body, bytes.len);
        break;
    case 8:
        if (draw(4) == 0) carrier_close_request(carrier);
        break;
    }
}

static void ready_step(void)
{
    struct wisp_pollable *pollable = peek(POLLABLE);
    if (pollable) (void)pollable->ops->is_ready(pollable);
}

/* As resource.drop does, or, at the end of the invocation, without asking. */
static bool drop_at(size_t index, bool asks)
{
    static const char *const names[KINDS] = {[FIELDS] = "fields",
                                             [REQUEST] = "incoming-request",
                                             [RESPONSE] = "outgoing-response",
                                             [BODY_OUT] = "outgoing-body",
                                             [BODY_IN] = "incoming-body",
                                             [TRAILERS] = "future-trailers",
                                             [OUTPARAM] = "response-outparam",
                                             [SENDING] = "outgoing-request",
                                             [FUTURE] = "future-incoming-response",
                                             [ANSWER] = "incoming-response"};
    enum kind kind = guest.handles[index].kind;
    void *rep = guest.handles[index].rep;
    if (kind == OUTPUT) {
        ((struct wisp_output_stream *)rep)->ops->drop(rep);
    } else if (kind == INPUT) {
        ((struct wisp_input_stream *)rep)->ops->drop(rep);
    } else if (kind == POLLABLE) {
        ((struct wisp_pollable *)rep)->ops->drop(rep);
    } else if (asks) {
        if (fake_drop(&TYPES, names[kind], rep)) return false;
    } else {
        for (size_t i = 0; i < TYPES.n_resources; i++)
            if (strcmp(TYPES.resources[i].name, names[kind]) == 0) TYPES.resources[i].drop(rep, &fake.wasi);
    }
    guest.handles[index] = guest.handles[--guest.n];
    return true;
}

static void client_step(void)
{
    static const char *const pieces[] = {"5\r\nhello\r\n", "0\r\nx-t: 1\r\n\r\n", "rubbish\r\n", "1\r\n.\r\n"};
    const char *piece = pieces[draw(WISP_COUNT(pieces))];
    if (draw(20) == 0)
        shutdown(scene.client, draw(2) ? SHUT_WR : SHUT_RDWR);
    else
        (void)send(scene.client, piece, strlen(piece), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void guest_step(void)
{
    switch (draw(34)) {
    case 0:
    case 1:
        if (guest.n < HANDLES_MAX / 2) new_fields_step();
        break;
    case 2:
        change_fields();
        break;
    case 3:
        if (guest.n < HANDLES_MAX / 2) call_for_handle(FIELDS, "[method]fields.clone", false, FIELDS);
        break;
    case 4:
        call_for_handle(REQUEST, "[method]incoming-request.headers", false, FIELDS);
        break;
    case 5:
        call_for_handle(REQUEST, "[method]incoming-request.consume", true, BODY_IN);
        break;
    case 6:
        call_for_handle(BODY_IN, "[method]incoming-body.stream", true, INPUT);
        break;
    case 7:
        call_exchanging(BODY_IN, "[static]incoming-body.finish", TRAILERS);
        break;
    case 8:
        trailers_step();
        break;
    case 9:
        call_for_handle(TRAILERS, "[method]future-trailers.subscribe", false, POLLABLE);
        break;
    case 10:
        read_step();
        break;
    case 11:
        call_exchanging(FIELDS, "[constructor]outgoing-response", RESPONSE);
        break;
    case 12:
        call_for_handle(RESPONSE, "[method]outgoing-response.headers", false, FIELDS);
        break;
    case 13:
        call_for_handle(RESPONSE, "[method]outgoing-response.body", true, BODY_OUT);
        break;
    case 14:
    case 15:
        call_for_handle(BODY_OUT, "[method]outgoing-body.write", true, OUTPUT);
        break;
    case 16:
    case 17:
        write_step();
        break;
    case 18:
        finish_step();
        break;
    case 19:
    case 20:
        set_step();
        break;
    case 21:
        call_exchanging(FIELDS, "[constructor]outgoing-request", SENDING);
        break;
    case 22:
        call_for_handle(SENDING, "[method]outgoing-request.body", true, BODY_OUT);
        break;
    case 23:
    case 26:
        send_step();
        break;
    case 27:
        call_for_handle(FUTURE, "[method]future-incoming-response.subscribe", false, POLLABLE);
        break;
    case 28:
        future_step();
        break;
    case 29:
        call_for_handle(ANSWER, "[method]incoming-response.headers", false, FIELDS);
        break;
    case 30:
        call_for_handle(ANSWER, "[method]incoming-response.consume", true, BODY_IN);
        break;
    case 31:
    case 32:
    case 33:
        carrier_step();
        break;
    case 24:
        ready_step();
        break;
    case 25:
        if (guest.n) (void)drop_at(draw((uint32_t)guest.n), true);
        break;
    }
}

static void run_seed(uint64_t seed)
{
    guest.state = seed;
    guest.n = guest.n_carriers = 0;
    memset(&scene, 0, sizeof scene);
    begin(seed % 3 ? "POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nx-a: 1\r\n\r\n"
                   : "GET /p HTTP/1.1\r\nhost: x\r\n\r\n");
    give(REQUEST, scene.args.request);
    give(OUTPARAM, scene.args.outparam);
    for (int i = 0; i < STEPS; i++) {
        guest_step();
        if (draw(6) == 0) client_step();
        if (draw(6) == 0) uv_run(&fake.loop, UV_RUN_NOWAIT);
    }
    while (guest.n) drop_at(draw((uint32_t)guest.n), false);
    uint32_t ours = scene.http->request->headers ? 2 : 1;
    if (scene.http->n_alive != ours)
        wisp_test_fail(__FILE__, __LINE__, "seed %llu leaves %u objects", (unsigned long long)seed,
                       scene.http->n_alive - ours);
    CHECK(wisp_wasi_http_response(scene.http) != WISP_WASI_HTTP_STREAMING);
    for (size_t i = 0; i < guest.n_carriers; i++) {
        CHECK(!guest.carriers[i].is_pending);
        carrier_deinit(&guest.carriers[i]);
    }
    finish();
}

TEST(anything_in_any_order)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) run_seed(seed);
}
