/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lattice_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUIET_MS_MIN = 300, CLOSING_TURNS_MAX = 1000 };

struct wisp_lattice_client {
    struct wisp_arena arena;
    struct wisp_connection_settings settings;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_signal_t signals[2];
    struct wisp_bus_client *bus;
    struct wisp_err closed; /* kind NONE: not given up */
    bool has_loop, is_connected, is_late, is_interrupted, holds_signals;

    bool has_message;
    struct wisp_lattice_message *first, **last, *taken;
    size_t queued_bytes;
    uint64_t dropped;
};

/* --- waiting --- */

static void on_timer(uv_timer_t *timer) { ((struct wisp_lattice_client *)timer->data)->is_late = true; }

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    ((struct wisp_lattice_client *)signal->data)->is_interrupted = true;
}

static void listen_to_signals(struct wisp_lattice_client *client, bool is_on)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < WISP_COUNT(numbers); i++) {
        if (is_on)
            uv_signal_start(&client->signals[i], on_signal, numbers[i]);
        else
            uv_signal_stop(&client->signals[i]);
    }
}

int wisp_lattice_client_wait(struct wisp_lattice_client *client, const bool *is_done, uint64_t timeout_ms,
                             struct wisp_err *err)
{
    client->is_late = false;
    uv_update_time(&client->loop);
    listen_to_signals(client, true);
    if (timeout_ms != UINT64_MAX) uv_timer_start(&client->timer, on_timer, timeout_ms, 0);
    while (!*is_done && !client->is_late && !client->is_interrupted && !client->closed.kind)
        uv_run(&client->loop, UV_RUN_ONCE);
    uv_timer_stop(&client->timer);
    if (!client->holds_signals) listen_to_signals(client, false);
    if (*is_done) return 0;
    if (client->is_interrupted) return wisp_err_set(err, WISP_ERR_CANCELLED, "interrupted");
    if (client->closed.kind) return wisp_err_set(err, client->closed.kind, "%s", client->closed.text);
    return wisp_err_set(err, WISP_ERR_TIMEOUT, "nothing came within %llu ms", (unsigned long long)timeout_ms);
}

void wisp_lattice_client_hold_signals(struct wisp_lattice_client *client)
{
    client->holds_signals = true;
    listen_to_signals(client, true);
}

/* --- connection --- */

static void on_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    struct wisp_lattice_client *client = env;
    if (state == WISP_BUS_CONNECTED) client->is_connected = true;
    if (state != WISP_BUS_CLOSED) return;
    if (reason) client->closed = *reason;
    if (!client->closed.kind) wisp_err_set(&client->closed, WISP_ERR_UNAVAILABLE, "closed");
}

static int start_loop(struct wisp_lattice_client *client, struct wisp_err *err)
{
    int r = uv_loop_init(&client->loop);
    if (r < 0) return wisp_err_os(err, -r, "event loop");
    client->has_loop = true;
    uv_timer_init(&client->loop, &client->timer);
    client->timer.data = client;
    for (size_t i = 0; i < WISP_COUNT(client->signals); i++) {
        uv_signal_init(&client->loop, &client->signals[i]);
        client->signals[i].data = client;
    }
    return 0;
}

static int connect_bus(struct wisp_lattice_client *client, struct wisp_err *err)
{
    struct wisp_bus_client_options options = client->settings.bus;
    options.gives_up_at_start = true;
    options.on_state = on_state;
    options.env = client;
    int r = wisp_bus_client_new(&client->bus, &client->loop, &options, err);
    if (r < 0) return r;
    uint64_t patience = client->settings.timeout_ms > 10000 ? client->settings.timeout_ms : 10000;
    r = wisp_lattice_client_wait(client, &client->is_connected, patience, err);
    if (r != -WISP_ERR_UNAVAILABLE && r != -WISP_ERR_TIMEOUT && r != -WISP_ERR_NOT_FOUND && r != -WISP_ERR_OS) return r;
    struct wisp_err cause = *err;
    return wisp_err_set(err, (enum wisp_err_kind) - r, "%s; is a host running? `wisp up -d` starts one", cause.text);
}

int wisp_lattice_client_new(struct wisp_lattice_client **ret_client, const struct wisp_connection *connection,
                            struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = wisp_mem_calloc(1, sizeof *client);
    client->last = &client->first;
    int r = wisp_connection_resolve(connection, &client->arena, &client->settings, err);
    if (r == 0) r = start_loop(client, err);
    if (r == 0) r = connect_bus(client, err);
    if (r == 0) *ret_client = WISP_TAKE(client);
    return r;
}

static void close_handle(uv_handle_t *handle, void *env)
{
    (void)env;
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void wisp_lattice_client_free(struct wisp_lattice_client *client)
{
    if (!client) return;
    if (client->has_loop) {
        wisp_bus_client_free(client->bus);
        close_handle((uv_handle_t *)&client->timer, NULL);
        for (size_t i = 0; i < WISP_COUNT(client->signals); i++) close_handle((uv_handle_t *)&client->signals[i], NULL);
        for (int i = 0; i < CLOSING_TURNS_MAX && uv_run(&client->loop, UV_RUN_NOWAIT);) i++;
        uv_loop_close(&client->loop);
    }
    free(client->taken);
    while (client->first) {
        struct wisp_lattice_message *next = client->first->next;
        free(client->first);
        client->first = next;
    }
    wisp_arena_deinit(&client->arena);
    free(client);
}

void wisp_lattice_client_freep(struct wisp_lattice_client **client) { wisp_lattice_client_free(*client); }

const struct wisp_connection_settings *wisp_lattice_client_settings(const struct wisp_lattice_client *client)
{
    return &client->settings;
}

struct wisp_arena *wisp_lattice_client_arena(struct wisp_lattice_client *client) { return &client->arena; }
struct wisp_bus_client *wisp_lattice_client_bus(struct wisp_lattice_client *client) { return client->bus; }
uv_loop_t *wisp_lattice_client_loop(struct wisp_lattice_client *client) { return &client->loop; }

/* --- one answer --- */

struct asked {
    bool is_done;
    struct wisp_buf payload;
    struct wisp_err err;
};

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct asked *asked = env;
    asked->is_done = true;
    if (reply)
        wisp_buf_append_str(&asked->payload, reply->payload);
    else
        asked->err = *err;
}

static struct wisp_str subject_of(struct wisp_lattice_client *client, const struct wisp_lattice_question *question)
{
    const struct wisp_connection_settings *settings = &client->settings;
    return wisp_str_from(wisp_arena_printf(&client->arena, "%s.v1.%s.%s%s%s", settings->topic_prefix, settings->lattice,
                                           question->tail, question->host_id ? "." : "",
                                           question->host_id ? question->host_id : ""));
}

static uint64_t patience_of(const struct wisp_lattice_client *client, const struct wisp_lattice_question *question)
{
    return question->timeout_ms ? question->timeout_ms : client->settings.timeout_ms;
}

int wisp_lattice_client_refuse_empty(const struct wisp_lattice_client *client, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_UNAVAILABLE,
                        "no host answered on %s in lattice `%s`; is one running? `wisp up -d` starts one",
                        wisp_bus_client_url(client->bus), client->settings.lattice);
}

static int explain_failure(const struct wisp_lattice_client *client, const struct wisp_lattice_question *question,
                           const struct wisp_err *cause, struct wisp_err *err)
{
    const char *lattice = client->settings.lattice;
    if (cause->kind == WISP_ERR_UNAVAILABLE && question->host_id)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND,
                            "host `%s` is not in lattice `%s` (on %s); `wisp get hosts` lists those that are",
                            question->host_id, lattice, wisp_bus_client_url(client->bus));
    if (cause->kind == WISP_ERR_UNAVAILABLE) return wisp_lattice_client_refuse_empty(client, err);
    if (cause->kind == WISP_ERR_TIMEOUT)
        return wisp_err_set(
            err, WISP_ERR_TIMEOUT,
            "no answer from %s%s in lattice `%s` within %llu ms (--timeout-ms); what was asked may yet be "
            "done",
            question->host_id ? "host " : "any host", question->host_id ? question->host_id : "", lattice,
            (unsigned long long)patience_of(client, question));
    *err = *cause;
    return wisp_err_wrap(err, "lattice `%s`", lattice);
}

/* Hosts refuse with words only; these are the words of wasmCloud's and of ours. */
enum wisp_err_kind wisp_lattice_kind_of_refusal(const char *message)
{
    static const struct {
        const char *words;
        enum wisp_err_kind kind;
    } known[] = {
        {"not found", WISP_ERR_NOT_FOUND},      {"not running", WISP_ERR_NOT_FOUND},
        {"does not exist", WISP_ERR_NOT_FOUND}, {"No such", WISP_ERR_NOT_FOUND},
        {"already", WISP_ERR_EXISTS},           {"conflict", WISP_ERR_EXISTS},
        {"deserialize", WISP_ERR_INVALID},      {"invalid", WISP_ERR_INVALID},
        {"unsupported", WISP_ERR_UNSUPPORTED},  {"timed out", WISP_ERR_TIMEOUT},
        {"unavailable", WISP_ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < WISP_COUNT(known); i++)
        if (strstr(message, known[i].words)) return known[i].kind;
    return WISP_ERR_DENIED;
}

void wisp_lattice_reply_deinit(struct wisp_lattice_reply *reply)
{
    json_decref(reply->envelope);
    *reply = (struct wisp_lattice_reply){0};
}

static int read_envelope(struct wisp_str payload, struct wisp_lattice_reply *ret_reply, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *envelope = NULL;
    int r = wisp_json_parse(payload, &envelope, err);
    if (r < 0) return wisp_err_wrap(err, "answer of the host");
    const char *message = json_string_value(json_object_get(envelope, "message"));
    if (!message) message = "";
    if (!json_is_object(envelope)) return wisp_err_set(err, WISP_ERR_INVALID, "the host's answer is no JSON object");
    if (!wisp_json_bool(envelope, "success", false))
        return wisp_err_set(err, wisp_lattice_kind_of_refusal(message), "the host refused: %s",
                            *message ? message : "(no reason)");
    json_t *response = json_object_get(envelope, "response");
    *ret_reply = (struct wisp_lattice_reply){
        .message = message, .response = json_is_null(response) ? NULL : response, .envelope = WISP_TAKE(envelope)};
    return 0;
}

int wisp_lattice_client_ask(struct wisp_lattice_client *client, const struct wisp_lattice_question *question,
                            struct wisp_lattice_reply *ret_reply, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *body = question->body;
    WISP_CLEANUP_BUF struct wisp_buf payload = {0};
    if (body) wisp_json_print(body, &payload);
    struct asked asked = {0};
    struct wisp_bus_request *request = NULL;
    int r = wisp_bus_request(client->bus, subject_of(client, question), NULL, 0, wisp_buf_str(&payload),
                             patience_of(client, question), on_reply, &asked, &request, err);
    if (r < 0) return wisp_err_wrap(err, "lattice `%s`", client->settings.lattice);
    r = wisp_lattice_client_wait(client, &asked.is_done, UINT64_MAX, err);
    if (r < 0) {
        wisp_bus_request_cancel(request);
        if (r == -WISP_ERR_CANCELLED)
            wisp_err_set(err, WISP_ERR_CANCELLED, "interrupted; what was asked may yet be done");
    } else if (asked.err.kind) {
        r = explain_failure(client, question, &asked.err, err);
    } else {
        r = read_envelope(wisp_buf_str(&asked.payload), ret_reply, err);
    }
    wisp_buf_deinit(&asked.payload);
    return r;
}

/* --- many answers --- */

struct gathering {
    json_t *responses;
    size_t enough;
    uint64_t last_ms;
    uv_loop_t *loop;
    bool is_done, is_nobody, has_news;
};

static void on_answer(const struct wisp_bus_message *message, void *env)
{
    struct gathering *gathering = env;
    gathering->has_news = true;
    gathering->last_ms = uv_now(gathering->loop);
    if (message->status == WISP_BUS_STATUS_NO_RESPONDERS) gathering->is_done = gathering->is_nobody = true;
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    if (message->status || read_envelope(message->payload, &reply, NULL) < 0 || !reply.response) return;
    json_array_append(gathering->responses, reply.response);
    if (gathering->enough && json_array_size(gathering->responses) >= gathering->enough) gathering->is_done = true;
}

/* Until it is done or time is up; `is_adaptive`: or quiet. */
static int wait_for_answers(struct wisp_lattice_client *client, struct gathering *gathering, uint64_t patience_ms,
                            bool is_adaptive, struct wisp_err *err)
{
    uv_update_time(&client->loop);
    uint64_t begin = uv_now(&client->loop), end = begin + patience_ms, quiet = 0;
    int r = wisp_lattice_client_wait(client, &gathering->has_news, patience_ms, err);
    if (r == 0 && gathering->has_news) quiet = 4 * (gathering->last_ms - begin);
    if (quiet < QUIET_MS_MIN) quiet = QUIET_MS_MIN;
    while (r == 0 && !gathering->is_done) {
        uint64_t now = uv_now(&client->loop), until = is_adaptive ? gathering->last_ms + quiet : end;
        if (until > end) until = end;
        if (now >= until) return 0;
        r = wisp_lattice_client_wait(client, &gathering->is_done, until - now, err);
        uv_update_time(&client->loop);
        if (r == -WISP_ERR_TIMEOUT) r = 0;
    }
    return r == -WISP_ERR_TIMEOUT ? 0 : r;
}

int wisp_lattice_client_gather(struct wisp_lattice_client *client, const struct wisp_lattice_question *question,
                               size_t enough, json_t **ret_responses, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *body = question->body;
    WISP_CLEANUP_JSON json_t *responses = json_array();
    WISP_CLEANUP_BUF struct wisp_buf payload = {0};
    if (body) wisp_json_print(body, &payload);
    struct gathering gathering = {.responses = responses, .enough = enough, .loop = &client->loop};
    struct wisp_bus_inbox *inbox = wisp_bus_inbox_open(client->bus, on_answer, &gathering);
    int r = wisp_bus_publish(client->bus, subject_of(client, question), wisp_bus_inbox_subject(inbox), NULL, 0,
                             wisp_buf_str(&payload), err);
    bool is_adaptive = !question->timeout_ms;
    if (r == 0) r = wait_for_answers(client, &gathering, patience_of(client, question), is_adaptive, err);
    wisp_bus_inbox_close(inbox);
    if (r == 0 && gathering.is_nobody) r = wisp_lattice_client_refuse_empty(client, err);
    if (r == 0) *ret_responses = WISP_TAKE(responses);
    return r;
}

/* --- listening --- */

static void on_message(const struct wisp_bus_message *message, void *env)
{
    struct wisp_lattice_client *client = env;
    size_t size = sizeof(struct wisp_lattice_message) + message->subject.len + message->payload.len;
    for (size_t i = 0; i < message->n_headers; i++)
        size += sizeof(struct wisp_bus_header) + message->headers[i].name.len + message->headers[i].value.len;
    if (client->queued_bytes + size > WISP_LATTICE_QUEUE_BYTES_MAX) {
        client->dropped++;
        return;
    }
    struct wisp_lattice_message *copy = wisp_mem_alloc(size);
    struct wisp_bus_header *headers = (struct wisp_bus_header *)(copy + 1);
    char *bytes = (char *)(headers + message->n_headers);
#define COPY(str)                                                                                                      \
    ({                                                                                                                 \
        struct wisp_str str_ = (str);                                                                                  \
        struct wisp_str copied_ = {bytes, str_.len};                                                                   \
        if (str_.len) memcpy(bytes, str_.ptr, str_.len);                                                               \
        bytes += str_.len;                                                                                             \
        copied_;                                                                                                       \
    })
    *copy = (struct wisp_lattice_message){.size = size, .headers = headers, .n_headers = message->n_headers};
    copy->subject = COPY(message->subject);
    copy->payload = COPY(message->payload);
    for (size_t i = 0; i < message->n_headers; i++)
        headers[i] = (struct wisp_bus_header){COPY(message->headers[i].name), COPY(message->headers[i].value)};
#undef COPY
    client->queued_bytes += size;
    *client->last = copy;
    client->last = &copy->next;
    client->has_message = true;
}

int wisp_lattice_client_subscribe(struct wisp_lattice_client *client, const char *pattern, struct wisp_err *err)
{
    struct wisp_bus_subscription *subscription; /* the client's, ends with it */
    return wisp_bus_subscribe(client->bus, wisp_str_from(pattern), WISP_STR(""), on_message, client, &subscription,
                              err);
}

static void take_first(struct wisp_lattice_client *client)
{
    free(client->taken);
    client->taken = client->first;
    client->first = client->first->next;
    client->has_message = client->first;
    client->queued_bytes -= client->taken->size;
    if (!client->first) client->last = &client->first;
}

int wisp_lattice_client_next(struct wisp_lattice_client *client, uint64_t timeout_ms,
                             const struct wisp_lattice_message **ret_message, struct wisp_err *err)
{
    int r = wisp_lattice_client_wait(client, &client->has_message, timeout_ms, err);
    if (r < 0) return r == -WISP_ERR_TIMEOUT ? 0 : r;
    take_first(client);
    *ret_message = client->taken;
    return 1;
}

int wisp_lattice_client_check_complete(const struct wisp_lattice_client *client, struct wisp_err *err)
{
    if (!client->dropped) return 0;
    return wisp_err_set(err, WISP_ERR_LIMIT, "%llu messages came faster than they could be shown, and are missing",
                        (unsigned long long)client->dropped);
}
