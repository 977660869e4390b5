/* SPDX-License-Identifier: Apache-2.0 */
/* Calls in both directions with a peer that says anything at any time, by way of a bus that the input plays. Each step
 * is a byte that says what happens, and what that needs: a call of ours is served or started, a message comes on a path
 * of some call, we read, write, finish, cancel. Nothing may be used after its end, or be left. */
#include "base/log.h"
#include "component/host/host_signature.h"
#include "wrpc/call.h"
#include "wrpc/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 300, FUNCS = 3, INBOXES = 8, CALLS = 8, ENDS = 32 };

static const char *const signatures[FUNCS] = {
    "(stream<u8>, future<string>) -> tuple<stream<u8>, future<u8>>",
    "(stream<stream<u8>>) -> stream<list<u8>>",
    "(list<string>) -> u32",
};

struct call {
    struct wisp_wrpc_call *call; /* NULL: none */
    struct wisp_arena arena;
    struct fuzz *fuzz;
    unsigned func;
};
struct incoming {
    struct wisp_wrpc_incoming *incoming; /* NULL: none */
    unsigned func;
};
struct reader {
    struct wisp_wrpc_reader *reader;
    const struct wisp_type *type;
};
struct writer {
    struct wisp_wrpc_writer *writer;
    const struct wisp_type *type;
    bool is_used; /* a future has its value */
};
struct fuzz {
    const uint8_t *at, *end;
    uv_loop_t loop;
    int peer;
    struct wisp_buf heard;
    struct wisp_bus_client *client;
    struct wisp_wrpc *wrpc;
    struct wisp_wrpc_service *service;
    struct wisp_arena arena;
    const struct wisp_func_type *types[FUNCS];
    char inbox_sid[16], sids[FUNCS][16], inboxes[INBOXES][100];
    unsigned n_inboxes;
    struct call calls[CALLS];
    struct incoming incomings[CALLS];
    struct reader readers[ENDS];
    struct writer writers[ENDS];
};

static unsigned next_byte(struct fuzz *fuzz) { return fuzz->at < fuzz->end ? *fuzz->at++ : 0; }

static struct wisp_str next_bytes(struct fuzz *fuzz)
{
    size_t n = next_byte(fuzz), left = (size_t)(fuzz->end - fuzz->at);
    struct wisp_str bytes = {(const char *)fuzz->at, n < left ? n : left};
    fuzz->at += bytes.len;
    return bytes;
}

/* --- the bus --- */

static void note_sub(struct fuzz *fuzz, const char *subject, const char *sid)
{
    if (!strstr(subject, ".wrpc.")) {
        if (subject[0] == 'I') snprintf(fuzz->inbox_sid, sizeof fuzz->inbox_sid, "%s", sid);
        return;
    }
    unsigned func = (unsigned)(subject[strlen(subject) - 1] - '0');
    if (func < FUNCS) snprintf(fuzz->sids[func], sizeof fuzz->sids[func], "%s", sid);
}

static void note_line(struct fuzz *fuzz, char *line)
{
    char verb[8], words[4][100];
    int n = sscanf(line, "%7s %99s %99s %99s %99s", verb, words[0], words[1], words[2], words[3]);
    if (strcmp(verb, "SUB") == 0 && n >= 3) note_sub(fuzz, words[0], words[n - 2]);
    bool has_reply = (strcmp(verb, "PUB") == 0 && n == 4) || (strcmp(verb, "HPUB") == 0 && n == 5);
    if (has_reply && words[1][0] == 'I')
        snprintf(fuzz->inboxes[fuzz->n_inboxes++ % INBOXES], sizeof fuzz->inboxes[0], "%s", words[1]);
}

/* Payloads may look like lines: that only makes for odd inboxes. */
static void turn(struct fuzz *fuzz)
{
    char bytes[65536];
    ssize_t n;
    for (int i = 0; i < 3; i++) uv_run(&fuzz->loop, UV_RUN_NOWAIT);
    while ((n = recv(fuzz->peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        wisp_buf_append(&fuzz->heard, bytes, (size_t)n);
    struct wisp_str rest = wisp_buf_str(&fuzz->heard), line;
    while (wisp_str_split(rest, '\n', &line, &rest)) {
        WISP_CLEANUP_FREE char *text = wisp_mem_dup(line);
        note_line(fuzz, text);
    }
    fuzz->heard.len = 0;
}

static void say(struct fuzz *fuzz, struct wisp_str bytes)
{
    while (bytes.len) {
        ssize_t n = send(fuzz->peer, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) return;
        bytes = (struct wisp_str){bytes.ptr + n, bytes.len - (size_t)n};
    }
    turn(fuzz);
}

static void say_message(struct fuzz *fuzz, const char *subject, const char *path, const char *sid, const char *reply,
                        const char *headers, struct wisp_str payload)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    if (!subject[0] || !sid[0]) return;
    wisp_buf_printf(&text, "%sMSG %s%s %s %s", *headers ? "H" : "", subject, path, sid, reply);
    if (*headers) wisp_buf_printf(&text, " %zu", strlen(headers));
    wisp_buf_printf(&text, " %zu\r\n%s", strlen(headers) + payload.len, headers);
    wisp_buf_append_str(&text, payload);
    wisp_buf_append(&text, "\r\n", 2);
    say(fuzz, wisp_buf_str(&text));
}

static const char *some_headers(struct fuzz *fuzz)
{
    static const char *const some[] = {"",
                                       "NATS/1.0\r\nwisp-window: 5\r\n\r\n",
                                       "NATS/1.0\r\nwisp-direct: 1\r\nwisp-probe: 1\r\n\r\n",
                                       "NATS/1.0\r\nwisp-window: 1000000\r\nwisp-probe: 1\r\n\r\n",
                                       "NATS/1.0 503\r\n\r\n",
                                       "NATS/1.0\r\nwisp-failed: 1\r\n\r\n"};
    return some[next_byte(fuzz) % WISP_COUNT(some)];
}

static const char *some_path(struct fuzz *fuzz)
{
    static const char *const some[] = {
        "",          ".params",    ".params.0",    ".params.1",    ".params.0.0",  ".params.0.1",
        ".results",  ".results.0", ".results.0.0", ".results.0.1", ".results.0.2", ".credit",
        ".credit.0", ".credit.1",  ".credit.0.0",  ".credit.0.1",  ".probe"};
    return some[next_byte(fuzz) % WISP_COUNT(some)];
}

/* --- ends of streams --- */

static void keep_reader(struct fuzz *fuzz, void *reader, const struct wisp_type *type)
{
    for (size_t i = 0; i < ENDS; i++) {
        if (fuzz->readers[i].reader) continue;
        fuzz->readers[i] = (struct reader){reader, type};
        return;
    }
    wisp_wrpc_reader_close(reader);
}

static void *new_writer(struct fuzz *fuzz, const struct wisp_type *type)
{
    for (size_t i = 0; i < ENDS; i++) {
        if (fuzz->writers[i].writer) continue;
        fuzz->writers[i] = (struct writer){wisp_wrpc_writer_new(type), type, false};
        return fuzz->writers[i].writer;
    }
    return NULL;
}

static bool is_bytes(const struct wisp_type *type)
{
    return type->kind == WISP_TYPE_STREAM && type->element->kind == WISP_TYPE_U8;
}

static void read_end(struct fuzz *fuzz, struct reader *reader)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_err err;
    struct wisp_str bytes;
    union {
        void *inner;
        char room[64];
    } value;
    if (is_bytes(reader->type)) {
        while (wisp_wrpc_reader_peek(reader->reader, &bytes, &err) == WISP_WRPC_READING_ITEM)
            wisp_wrpc_reader_consume(reader->reader, 1 + bytes.len / 2);
        return;
    }
    for (int i = 0; i < 20 && wisp_wrpc_reader_next(reader->reader, &arena, &value, &err) == WISP_WRPC_READING_ITEM;
         i++)
        if (reader->type->element->kind == WISP_TYPE_STREAM) keep_reader(fuzz, value.inner, reader->type->element);
}

static void use_reader(struct fuzz *fuzz)
{
    struct reader *reader = &fuzz->readers[next_byte(fuzz) % ENDS];
    bool is_closed = next_byte(fuzz) % 2;
    if (!reader->reader) return;
    if (is_closed)
        wisp_wrpc_reader_close(WISP_TAKE(reader->reader));
    else
        read_end(fuzz, reader);
}

static int put_value(struct fuzz *fuzz, struct writer *writer)
{
    const struct wisp_type *element = writer->type->element;
    struct wisp_str text = WISP_STR("text");
    struct wisp_err err;
    void *inner;
    if (writer->type->kind == WISP_TYPE_FUTURE && writer->is_used) return 0;
    writer->is_used = true;
    if (element->kind != WISP_TYPE_STREAM) return wisp_wrpc_writer_put(writer->writer, &text, &err);
    inner = new_writer(fuzz, element);
    return wisp_wrpc_writer_put(writer->writer, &inner, &err);
}

static void use_writer(struct fuzz *fuzz)
{
    static const char zeros[3000];
    struct writer *writer = &fuzz->writers[next_byte(fuzz) % ENDS];
    unsigned what = next_byte(fuzz);
    struct wisp_err err;
    if (!writer->writer) return;
    if (what % 4 == 0)
        wisp_wrpc_writer_end(WISP_TAKE(writer->writer));
    else if (what % 4 == 1)
        wisp_wrpc_writer_abort(WISP_TAKE(writer->writer));
    else if (is_bytes(writer->type))
        (void)!wisp_wrpc_writer_write(writer->writer, (struct wisp_str){zeros, what * 10}, &err);
    else
        (void)!put_value(fuzz, writer);
}

/* --- calls that are served --- */

struct served {
    struct fuzz *fuzz;
    unsigned func;
};

static void on_call(struct wisp_wrpc_incoming *incoming, const void *args, void *env)
{
    const struct served *served = env;
    struct fuzz *fuzz = served->fuzz;
    const struct wisp_func_type *type = fuzz->types[served->func];
    void *const *ends = args;
    for (uint32_t i = 0; type->has_streams && i < type->n_params; i++) keep_reader(fuzz, ends[i], type->params[i].type);
    for (size_t i = 0; i < CALLS; i++) {
        if (fuzz->incomings[i].incoming) continue;
        fuzz->incomings[i] = (struct incoming){incoming, served->func};
        return;
    }
    wisp_wrpc_incoming_fail(incoming);
}

static void finish(struct fuzz *fuzz, struct incoming *incoming)
{
    const struct wisp_type *type = fuzz->types[incoming->func]->result;
    void *ends[2] = {NULL, NULL};
    uint32_t number = 7;
    struct wisp_err err;
    if (type->kind == WISP_TYPE_TUPLE)
        for (int i = 0; i < 2; i++) ends[i] = new_writer(fuzz, type->fields[i].type);
    else if (type->kind == WISP_TYPE_STREAM)
        ends[0] = new_writer(fuzz, type);
    const void *result = type->has_streams ? (const void *)ends : &number;
    (void)!wisp_wrpc_incoming_finish(WISP_TAKE(incoming->incoming), result, &err);
}

static void end_incoming(struct fuzz *fuzz)
{
    struct incoming *incoming = &fuzz->incomings[next_byte(fuzz) % CALLS];
    bool is_failed = next_byte(fuzz) % 2;
    if (!incoming->incoming) return;
    if (is_failed)
        wisp_wrpc_incoming_fail(WISP_TAKE(incoming->incoming));
    else
        finish(fuzz, incoming);
}

/* --- calls that are made --- */

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct call *call = env;
    const struct wisp_type *type = call->fuzz->types[call->func]->result;
    void *const *ends = result;
    if ((result == NULL) != (err != NULL)) abort();
    call->call = NULL;
    if (result && type->kind == WISP_TYPE_TUPLE)
        for (int i = 0; i < 2; i++) keep_reader(call->fuzz, ends[i], type->fields[i].type);
    else if (result && type->kind == WISP_TYPE_STREAM)
        keep_reader(call->fuzz, ends[0], type);
    wisp_arena_deinit(&call->arena);
}

static void start_call(struct fuzz *fuzz)
{
    struct call *call = &fuzz->calls[next_byte(fuzz) % CALLS];
    unsigned func = next_byte(fuzz) % FUNCS, n_headers = next_byte(fuzz) % 2;
    const struct wisp_func_type *type = fuzz->types[func];
    char name[] = {'f', (char)('0' + func), '\0'};
    const struct wisp_bus_header header = {WISP_STR("source-id"), WISP_STR("me")};
    struct wisp_str words[] = {WISP_STR("a"), WISP_STR("b")};
    union {
        void *ends[2];
        struct {
            const struct wisp_str *ptr;
            size_t len;
        } list;
    } args = {.list = {words, 2}};
    struct wisp_wrpc_target target = {.id = WISP_STR("other"),
                                      .function = {WISP_STR("a:b/c"), wisp_str_from(name)},
                                      .headers = &header,
                                      .n_headers = n_headers,
                                      .wait_ms = n_headers * 1000};
    struct wisp_err err;
    if (call->call) return;
    for (uint32_t i = 0; type->has_streams && i < type->n_params; i++)
        args.ends[i] = new_writer(fuzz, type->params[i].type);
    call->fuzz = fuzz;
    call->func = func;
    if (wisp_wrpc_call_start(fuzz->wrpc, &target, type, &args, &call->arena, on_result, call, &call->call, &err) < 0)
        call->call = NULL;
}

static void cancel_call(struct call *call)
{
    if (!call->call) return;
    wisp_wrpc_call_cancel(WISP_TAKE(call->call));
    wisp_arena_deinit(&call->arena);
}

/* --- steps --- */

static void step(struct fuzz *fuzz)
{
    unsigned what = next_byte(fuzz) % 9, func;
    const char *inbox, *headers, *path, *reply;
    char subject[64];
    switch (what) {
    case 0: /* somebody calls */
        func = next_byte(fuzz) % FUNCS;
        headers = some_headers(fuzz);
        reply = next_byte(fuzz) % 8 ? "P.1" : "";
        snprintf(subject, sizeof subject, "default.me.wrpc.0.0.1.a:b/c.f%u", func);
        say_message(fuzz, subject, "", fuzz->sids[func], reply, headers, next_bytes(fuzz));
        break;
    case 1: /* something comes on a path */
    case 2:
        inbox = fuzz->inboxes[next_byte(fuzz) % INBOXES];
        path = some_path(fuzz);
        headers = next_byte(fuzz) % 4 ? "" : some_headers(fuzz);
        reply = next_byte(fuzz) % 4 ? "" : "P.2";
        say_message(fuzz, inbox, path, fuzz->inbox_sid, reply, headers, next_bytes(fuzz));
        break;
    case 3: /* a call of ours is accepted, or not */
        inbox = fuzz->inboxes[next_byte(fuzz) % INBOXES];
        say_message(fuzz, inbox, "", fuzz->inbox_sid, "P.3", some_headers(fuzz), WISP_STR(""));
        break;
    case 4:
        start_call(fuzz);
        break;
    case 5:
        use_reader(fuzz);
        break;
    case 6:
        use_writer(fuzz);
        break;
    case 7:
        end_incoming(fuzz);
        break;
    default:
        cancel_call(&fuzz->calls[next_byte(fuzz) % CALLS]);
    }
    turn(fuzz);
}

static const struct wisp_func_type *func_of(struct wisp_arena *arena, const char *text)
{
    struct wisp_map none = {0};
    struct wisp_signature_names names = {.arena = arena, .resources = &none};
    const struct wisp_func_type *func;
    if (wisp_signature_parse(&names, wisp_str_from(text), &func, NULL) < 0) abort();
    wisp_map_deinit(&names.types);
    return func;
}

static void start(struct fuzz *fuzz, struct served *served)
{
    int fds[2];
    uv_loop_init(&fuzz->loop);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) abort();
    fuzz->peer = fds[0];
    struct wisp_bus_client_options bus = {.fd = fds[1], .inbox_prefix = "I"};
    if (wisp_bus_client_new(&fuzz->client, &fuzz->loop, &bus, NULL) < 0) abort();
    struct wisp_wrpc_options options = {
        .loop = &fuzz->loop, .bus = fuzz->client, .lattice = "default", .stream_bytes_max = 10000};
    if (wisp_wrpc_new(&fuzz->wrpc, &options, NULL) < 0) abort();
    if (wisp_wrpc_service_new(&fuzz->service, fuzz->wrpc, WISP_STR("me"), NULL) < 0) abort();
    for (unsigned i = 0; i < FUNCS; i++) {
        char name[] = {'f', (char)('0' + i), '\0'};
        const struct wisp_wrpc_function function = {WISP_STR("a:b/c"), wisp_str_from(name)};
        fuzz->types[i] = func_of(&fuzz->arena, signatures[i]);
        served[i] = (struct served){fuzz, i};
        if (wisp_wrpc_service_add(fuzz->service, &function, fuzz->types[i], on_call, &served[i], NULL) < 0) abort();
    }
    say(fuzz, WISP_STR("INFO {\"max_payload\":1000,\"headers\":true}\r\nPONG\r\n"));
}

static void end_all(struct fuzz *fuzz)
{
    for (size_t i = 0; i < CALLS; i++) {
        if (fuzz->incomings[i].incoming) wisp_wrpc_incoming_fail(fuzz->incomings[i].incoming);
        cancel_call(&fuzz->calls[i]);
    }
    for (size_t i = 0; i < ENDS; i++) {
        wisp_wrpc_reader_close(WISP_TAKE(fuzz->readers[i].reader));
        wisp_wrpc_writer_abort(WISP_TAKE(fuzz->writers[i].writer));
    }
    wisp_wrpc_service_free(fuzz->service);
    wisp_wrpc_free(fuzz->wrpc);
    wisp_bus_client_free(fuzz->client);
    close(fuzz->peer);
    uv_run(&fuzz->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&fuzz->loop) != 0) abort();
    wisp_arena_deinit(&fuzz->arena);
    wisp_buf_deinit(&fuzz->heard);
    free(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct served served[FUNCS];
    struct fuzz *fuzz = wisp_mem_calloc(1, sizeof *fuzz);
    wisp_log_configure(WISP_LOG_ERROR, WISP_LOG_AUTO);
    fuzz->at = data;
    fuzz->end = data + size;
    start(fuzz, served);
    for (int i = 0; i < STEPS_MAX && fuzz->at < fuzz->end; i++) step(fuzz);
    end_all(fuzz);
    return 0;
}
