/* SPDX-License-Identifier: Apache-2.0 */
/* A connection without its socket, fed with bytes of a client in random pieces, under a handler that does random
 * things and a kernel that takes the output at random.
 *
 * Input: four bytes that seed the dice, then what the client sends. The same bytes also go, whole and in pieces, to a
 * handler that only reads, at once or by and by: what it makes of them must not depend on the pieces. */
#include "http/conn.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REQUESTS_MAX = 4096, OUTPUT_WINDOW = 4096 };

struct fuzz {
    struct wisp_http_shared shared;
    struct wisp_http_conn conn;
    uint64_t dice;
    bool is_reader; /* only reads and answers */
    bool is_lazy;   /* reads a part now and a part later, as the dice say */
    bool is_scheduled;
    struct wisp_http_block *sending;
    struct wisp_str sending_left;
    struct wisp_http_exchange *exchange;
    size_t n_requests, n_closed;
    size_t n_refused;           /* calls that were not allowed there */
    bool is_head[REQUESTS_MAX]; /* of each request */
    struct wisp_buf output;
    uint64_t digest, body_digest; /* of complete requests; of the body that is being read */
};

/* --- dice --- */

static unsigned roll(struct fuzz *fuzz, unsigned sides)
{
    fuzz->dice = fuzz->dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(fuzz->dice >> 33) % sides;
}

/* --- what the reader saw --- */

static void add(uint64_t *digest, struct wisp_str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) *digest = (*digest ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3u;
    *digest = (*digest ^ 0x1ff) * 0x100000001b3u;
}

static void add_headers(uint64_t *digest, const struct wisp_http_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add(digest, headers[i].name);
        add(digest, headers[i].value);
    }
}

static void add_request(struct fuzz *fuzz)
{
    const struct wisp_http_exchange *exchange = fuzz->exchange;
    add(&fuzz->digest, exchange->method);
    add(&fuzz->digest, exchange->target);
    add(&fuzz->digest, exchange->authority);
    add_headers(&fuzz->digest, exchange->headers, exchange->n_headers);
    add_headers(&fuzz->digest, exchange->trailers, exchange->n_trailers);
    fuzz->digest = (fuzz->digest ^ fuzz->body_digest) * 0x100000001b3u;
}

static void read_and_answer(struct fuzz *fuzz)
{
    struct wisp_str bytes;
    enum wisp_http_body state;
    while ((state = wisp_http_body_peek(fuzz->exchange, &bytes)) == WISP_HTTP_BODY_DATA) {
        size_t n = fuzz->is_lazy ? roll(fuzz, (unsigned)bytes.len + 1) : bytes.len;
        for (size_t i = 0; i < n; i++)
            fuzz->body_digest = (fuzz->body_digest ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3u;
        wisp_http_body_consume(fuzz->exchange, n);
        if (fuzz->is_lazy && roll(fuzz, 2)) return;
    }
    if (state == WISP_HTTP_BODY_WAIT) return;
    add_request(fuzz);
    int result = wisp_http_reply(fuzz->exchange, 200, NULL, 0, WISP_STR("ok"), NULL);
    assert(result == 0);
    (void)result;
}

/* --- a handler that does anything, also what it should not --- */

static void read_some(struct fuzz *fuzz)
{
    struct wisp_str bytes;
    if (wisp_http_body_peek(fuzz->exchange, &bytes) != WISP_HTTP_BODY_DATA) return;
    wisp_http_body_consume(fuzz->exchange, roll(fuzz, (unsigned)bytes.len + 1));
}

static void start_some_response(struct fuzz *fuzz)
{
    static const uint16_t statuses[] = {200, 200, 200, 204, 304, 404, 500, 100, 999};
    static const struct wisp_http_header headers[] = {
        {WISP_STR_INIT("content-type"), WISP_STR_INIT("text/plain")},
        {WISP_STR_INIT("a"), WISP_STR_INIT("")},
        {WISP_STR_INIT("date"), WISP_STR_INIT("now")},
        {WISP_STR_INIT("split"), WISP_STR_INIT("a\r\nb: c")},
        {WISP_STR_INIT("connection"), WISP_STR_INIT("close")},
    };
    unsigned n = roll(fuzz, 4);
    struct wisp_http_response response = {
        .status = statuses[roll(fuzz, WISP_COUNT(statuses))],
        .headers = headers + (roll(fuzz, 8) ? 0 : roll(fuzz, 3)),
        .n_headers = n,
        .content_length = roll(fuzz, 2) ? WISP_HTTP_LENGTH_UNKNOWN : roll(fuzz, 5000),
    };
    fuzz->n_refused += wisp_http_start(fuzz->exchange, &response, NULL) < 0;
}

static void write_some(struct fuzz *fuzz)
{
    static const char bytes[8192] = {'x'};
    size_t room = wisp_http_room(fuzz->exchange);
    size_t n = room < sizeof bytes ? room : sizeof bytes;
    fuzz->n_refused += wisp_http_write(fuzz->exchange, bytes, roll(fuzz, (unsigned)n + 1), NULL) < 0;
}

static void end_somehow(struct fuzz *fuzz)
{
    static const struct wisp_http_header trailer = {WISP_STR_INIT("x-sum"), WISP_STR_INIT("1")};
    fuzz->n_refused += wisp_http_end(fuzz->exchange, &trailer, roll(fuzz, 2), NULL) < 0;
}

static void act(struct fuzz *fuzz)
{
    if (!fuzz->exchange) return;
    switch (roll(fuzz, 13)) {
    case 0:
    case 1:
    case 2:
        read_some(fuzz);
        break;
    case 3:
    case 4:
        start_some_response(fuzz);
        break;
    case 5:
    case 6:
        write_some(fuzz);
        break;
    case 7:
        end_somehow(fuzz);
        break;
    case 8:
        fuzz->n_refused += wisp_http_reply(fuzz->exchange, 200, NULL, 0, WISP_STR("hello"), NULL) < 0;
        break;
    case 9:
        fuzz->n_refused += !wisp_http_body_limit(fuzz->exchange, roll(fuzz, 5000));
        break;
    case 10:
        fuzz->n_refused += !wisp_http_retract(fuzz->exchange);
        break;
    case 11:
        if (roll(fuzz, 8) == 0) wisp_http_abort(fuzz->exchange);
        break;
    default:
        break;
    }
}

/* --- handler --- */

static void on_event(struct wisp_http_exchange *exchange, void *env)
{
    struct fuzz *fuzz = env;
    assert(exchange == fuzz->exchange);
    if (fuzz->is_reader)
        read_and_answer(fuzz);
    else
        for (unsigned n = roll(fuzz, 6); n > 0; n--) act(fuzz);
}

static void on_request(struct wisp_http_exchange *exchange, void *env)
{
    struct fuzz *fuzz = env;
    assert(!fuzz->exchange);
    fuzz->exchange = exchange;
    fuzz->body_digest = 0;
    fuzz->is_head[fuzz->n_requests++ % REQUESTS_MAX] = wisp_str_is(exchange->method, "HEAD");
    assert(exchange->method.len > 0 && exchange->target.len > 0);
    on_event(exchange, env);
}

static void on_close(struct wisp_http_exchange *exchange, void *env)
{
    struct fuzz *fuzz = env;
    assert(exchange == fuzz->exchange && exchange->outcome != WISP_HTTP_OPEN);
    fuzz->exchange = NULL;
    fuzz->n_closed++;
}

/* --- transport --- */

static void schedule(struct wisp_http_conn *conn)
{
    ((struct fuzz *)(void *)((char *)conn - offsetof(struct fuzz, conn)))->is_scheduled = true;
}

static bool peer(struct wisp_http_conn *conn, struct sockaddr_storage *ret_peer)
{
    (void)conn, (void)ret_peer;
    return false;
}

static const struct wisp_http_transport transport = {.schedule = schedule, .peer = peer};

static size_t deliver(struct fuzz *fuzz, struct wisp_str bytes)
{
    size_t n = fuzz->is_reader || roll(fuzz, 4) ? bytes.len : roll(fuzz, (unsigned)bytes.len + 1);
    wisp_buf_append(&fuzz->output, bytes.ptr, n);
    return n;
}

static void send_async(struct fuzz *fuzz)
{
    if (!fuzz->sending) return;
    size_t n = deliver(fuzz, fuzz->sending_left);
    fuzz->sending_left.ptr += n;
    fuzz->sending_left.len -= n;
    if (fuzz->sending_left.len == 0) wisp_http_conn_output_done(&fuzz->conn, WISP_TAKE(fuzz->sending));
}

static bool is_over(const struct fuzz *fuzz)
{
    enum wisp_http_next next = wisp_http_conn_next(&fuzz->conn);
    return next == WISP_HTTP_NEXT_RESET ||
           (next == WISP_HTTP_NEXT_CLOSE && wisp_http_conn_output_size(&fuzz->conn) == 0);
}

static void settle(struct fuzz *fuzz)
{
    for (int turn = 0; turn < 20; turn++) {
        if (fuzz->is_scheduled) wisp_http_conn_run(&fuzz->conn);
        fuzz->is_scheduled = false;
        if (wisp_http_conn_next(&fuzz->conn) == WISP_HTTP_NEXT_RESET) return;
        send_async(fuzz);
        struct wisp_str output = wisp_http_conn_output(&fuzz->conn);
        if (output.len > 0)
            fuzz->sending = wisp_http_conn_output_sent(&fuzz->conn, deliver(fuzz, output), &fuzz->sending_left);
        /* The handler heeds wisp_http_room; small answers and framing come on top. */
        assert(wisp_http_conn_output_size(&fuzz->conn) < 4 * OUTPUT_WINDOW);
        if (!wisp_http_conn_wants_run(&fuzz->conn)) break;
        fuzz->is_scheduled = true;
    }
}

/* --- one run --- */

/* The handler does something in its own time, and the clock moves. */
static void pass_time(struct fuzz *fuzz)
{
    if (fuzz->is_reader) {
        if (fuzz->exchange && roll(fuzz, 2)) read_and_answer(fuzz);
        return;
    }
    if (roll(fuzz, 16) == 0) {
        fuzz->shared.now_ms += roll(fuzz, 100);
        wisp_http_conn_tick(&fuzz->conn);
    }
    if (roll(fuzz, 4) == 0) act(fuzz);
}

static void feed(struct fuzz *fuzz, const uint8_t *data, size_t size, size_t piece)
{
    size_t sent = 0;
    for (int idle = 0; sent < size && idle < 1000 && !is_over(fuzz); idle++) {
        pass_time(fuzz);
        settle(fuzz);
        if (is_over(fuzz) || !wisp_http_conn_wants_input(&fuzz->conn)) continue;
        size_t space_size, n = piece ? piece : 1 + roll(fuzz, roll(fuzz, 8) ? 100 : 5000);
        char *space = wisp_http_conn_space(&fuzz->conn, &space_size);
        if (n > size - sent) n = size - sent;
        if (n > space_size) n = space_size;
        memcpy(space, data + sent, n);
        sent += n;
        idle = 0;
        wisp_http_conn_input(&fuzz->conn, n);
        settle(fuzz);
    }
    if (is_over(fuzz)) return;
    wisp_http_conn_eof(&fuzz->conn);
    fuzz->is_lazy = false;
    /* All that will ever come has come: the reader can finish each request at once. */
    for (size_t n = 0; fuzz->is_reader && fuzz->exchange; n++) {
        read_and_answer(fuzz);
        settle(fuzz);
        assert(n < size);
    }
    settle(fuzz);
}

/* --- the output must be what a client can read --- */

struct reader {
    const struct fuzz *fuzz;
    size_t n_responses;
};

static int on_response_head(llhttp_t *parser)
{
    struct reader *reader = parser->data;
    if (parser->status_code == 100) return 0;
    size_t i = reader->n_responses++;
    /* llhttp leaves it to its user to know which responses have no body in spite of their length. */
    if (parser->status_code == 204 || parser->status_code == 304) return 1;
    return i < reader->fuzz->n_requests && reader->fuzz->is_head[i % REQUESTS_MAX];
}

static void check_output(const struct fuzz *fuzz)
{
    struct reader reader = {.fuzz = fuzz};
    llhttp_settings_t settings;
    llhttp_t parser;
    if (fuzz->n_requests > REQUESTS_MAX) return;
    llhttp_settings_init(&settings);
    settings.on_headers_complete = on_response_head;
    llhttp_init(&parser, HTTP_RESPONSE, &settings);
    parser.data = &reader;
    llhttp_errno_t error = llhttp_execute(&parser, fuzz->output.data, fuzz->output.len);
    assert(error == HPE_OK);
    /* The server itself may have answered one more. */
    assert(reader.n_responses <= fuzz->n_requests + 1);
    (void)error;
}

/* Pieces of 0 bytes: of random sizes. */
static uint64_t run(const uint8_t *data, size_t size, uint64_t seed, bool is_reader, size_t piece)
{
    static struct fuzz fuzz;
    memset(&fuzz, 0, sizeof fuzz);
    fuzz.dice = seed;
    fuzz.is_reader = is_reader;
    fuzz.is_lazy = is_reader && piece < SIZE_MAX;
    struct wisp_http_options options = {
        .handler = {.on_request = on_request, .on_body = on_event, .on_drain = on_event, .on_close = on_close},
        .env = &fuzz,
        .head_bytes_max = 20000,
        .headers_max = 10,
        .target_bytes_max = 200,
        .output_window_bytes = OUTPUT_WINDOW,
        .body_window_bytes = 2000,
        .head_timeout_ms = 500,
        .idle_timeout_ms = 500,
        .body_timeout_ms = 500,
        .write_timeout_ms = 500,
        .serve_half_closed = is_reader || seed % 2,
    };
    wisp_http_shared_init(&fuzz.shared, &options, &transport);
    wisp_http_conn_init(&fuzz.conn, &fuzz.shared);
    feed(&fuzz, data, size, piece);
    if (fuzz.output.len > 0) check_output(&fuzz);
    wisp_http_conn_deinit(&fuzz.conn, WISP_HTTP_STOPPED);
    wisp_http_block_put(&fuzz.shared, fuzz.sending);
    assert(fuzz.n_closed == fuzz.n_requests && fuzz.shared.stats.in_flight == 0);
    wisp_http_shared_deinit(&fuzz.shared);
    wisp_buf_deinit(&fuzz.output);
    return fuzz.digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4 || size > 1 << 20) return 0;
    uint32_t seed;
    memcpy(&seed, data, 4);
    data += 4;
    size -= 4;
    run(data, size, seed, false, 0);
    uint64_t whole = run(data, size, 0, true, SIZE_MAX);
    uint64_t pieces = run(data, size, seed, true, size < 5000 ? 1 + seed % 7 : 0);
    if (whole != pieces) abort();
    return 0;
}
