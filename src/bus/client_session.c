/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include "base/json.h"
#include "base/log.h"

#include <stdlib.h>

enum {
    HEADERS_MAX = 128,     /* of one message; more: the message is dropped */
    WAIT_MAX_MS = 4000,    /* between two rounds over the servers */
    LEAVE_AFTER_MS = 1000, /* a server that goes: time for the answers on their way */
    DENIED_MAX = 2,        /* by one server, in a row */
    LOG_EVERY_MS = 1000,
    SERVER_PAYLOAD_MAX = 64 << 20,
};

static void call_on_state(struct wisp_bus_client *client, const struct wisp_err *reason)
{
    static const struct wisp_err none;
    enum wisp_bus_state state = client->state;
    if (!reason) reason = &none;
    client->is_in_callback = true;
    if (client->on_state) client->on_state(state, reason, client->env);
    for (struct wisp_bus_watch *watch = client->watches; watch; watch = client->next_watch) {
        client->next_watch = watch->next; /* moved on by unwatch */
        watch->on_state(state, reason, watch->env);
    }
    client->is_in_callback = false;
}

/* --- the next attempt --- */

static void on_attempt_timeout(struct wisp_bus_deadline *deadline)
{
    struct wisp_bus_client *client = WISP_OWNER(deadline, struct wisp_bus_client, attempt);
    struct wisp_err err = {0};
    const char *url = client->servers.count ? client->servers.list[client->current].shown : "the bus";
    wisp_err_set(&err, WISP_ERR_TIMEOUT, "connect to %s: no answer within %llu ms", url,
                 (unsigned long long)client->connect_timeout_ms);
    wisp_bus_session_on_lost(client, &err);
}

static void reset_connection(struct wisp_bus_client *client)
{
    wisp_bus_parser_init(&client->parser, WISP_BUS_SIDE_CLIENT);
    client->hello.len = 0;
    client->n_pings = client->n_pongs = 0;
    client->n_unanswered = 0;
    client->is_denied = false;
    client->last_server_err = (struct wisp_err){0};
    client->phase = WISP_BUS_CLIENT_OPENING;
    wisp_bus_deadline_set(&client->deadlines, &client->attempt, client->connect_timeout_ms, on_attempt_timeout);
}

void wisp_bus_session_attempt(struct wisp_bus_client *client)
{
    reset_connection(client);
    if (client->has_fd) {
        wisp_bus_client_link_begin(client->link);
        return;
    }
    client->current = client->servers.next++;
    client->link = wisp_bus_client_link_new(client, &client->servers.list[client->current]);
    if (client->link) return;
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_INVALID, "resolve %s: no such name", client->servers.list[client->current].shown);
    wisp_bus_session_on_lost(client, &err);
}

static void on_attempt_due(struct wisp_bus_deadline *deadline)
{
    wisp_bus_session_attempt(WISP_OWNER(deadline, struct wisp_bus_client, attempt));
}

/* Half of the pause is fixed, half is random, so that a cluster's clients don't come back at one moment. */
static void pause_before_attempt(struct wisp_bus_client *client, uint64_t pause_ms)
{
    uint64_t wait_ms = pause_ms / 2 + wisp_bus_random() % (pause_ms / 2 + 1);
    wisp_bus_deadline_set(&client->deadlines, &client->attempt, wait_ms, on_attempt_due);
}

static void plan_attempt(struct wisp_bus_client *client, const struct wisp_err *reason)
{
    if (client->servers.next < client->servers.count) {
        /* Another server may have it at once; right after a loss, not all clients in the same millisecond. */
        pause_before_attempt(client, client->n_rounds ? 0 : client->reconnect_wait_ms / 4);
        return;
    }
    if (client->gives_up_at_start && client->state == WISP_BUS_CONNECTING) {
        wisp_bus_session_close(client, reason);
        return;
    }
    client->servers.next = 0;
    uint64_t wait_ms = client->reconnect_wait_ms;
    for (unsigned i = 0; i < client->n_rounds && wait_ms < WAIT_MAX_MS; i++) wait_ms *= 2;
    client->n_rounds++;
    pause_before_attempt(client, wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
    if (client->state == WISP_BUS_CONNECTING && client->n_rounds == 1) call_on_state(client, reason);
}

/* --- the end of a connection --- */

/* What was published stays; subscriptions are said anew, and pings are nobody's any more. */
static void keep_publications(struct wisp_bus_client *client)
{
    struct wisp_bus_parser parser;
    struct wisp_bus_frame frame;
    struct wisp_str rest = wisp_buf_str(&client->out);
    size_t used, kept = 0;
    wisp_bus_parser_init(&parser, WISP_BUS_SIDE_SERVER);
    parser.line_bytes_max = parser.payload_bytes_max = SIZE_MAX / 4;
    while (rest.len && wisp_bus_parse(&parser, rest, &frame, &used) == WISP_BUS_PARSED_FRAME) {
        if (frame.op == WISP_BUS_OP_PUB) {
            memmove(client->out.data + kept, rest.ptr, used);
            kept += used;
        }
        rest = (struct wisp_str){rest.ptr + used, rest.len - used};
    }
    assert(!rest.len);
    client->out.len = kept;
}

static void drop_link(struct wisp_bus_client *client)
{
    wisp_bus_client_link_close(WISP_TAKE(client->link));
    wisp_bus_deadline_clear(&client->deadlines, &client->attempt);
    wisp_bus_deadline_clear(&client->deadlines, &client->ping);
    wisp_bus_deadline_clear(&client->deadlines, &client->leave);
    client->phase = WISP_BUS_CLIENT_IDLE;
    keep_publications(client);
}

void wisp_bus_session_close(struct wisp_bus_client *client, const struct wisp_err *reason)
{
    drop_link(client);
    client->state = WISP_BUS_CLOSED;
    client->out.len = 0;
    wisp_bus_client_fail_flushes(client, reason, true);
    wisp_bus_mux_fail_requests(client, reason);
    call_on_state(client, reason);
}

/* The server's own words say more than "end of file". */
static void explain(const struct wisp_bus_client *client, struct wisp_err *reason)
{
    if (client->last_server_err.kind) *reason = client->last_server_err;
}

void wisp_bus_session_on_lost(struct wisp_bus_client *client, const struct wisp_err *reason)
{
    struct wisp_err why = *reason;
    bool was_live = client->phase == WISP_BUS_CLIENT_LIVE;
    explain(client, &why);
    if (client->is_denied && !client->has_fd) client->servers.list[client->current].n_denied++;
    bool is_over =
        client->has_fd || (client->is_denied && client->servers.list[client->current].n_denied >= DENIED_MAX);
    if (is_over) {
        wisp_bus_session_close(client, &why);
        return;
    }
    drop_link(client);
    if (was_live) {
        client->n_rounds = 0;
        wisp_bus_servers_put_last(&client->servers, client->current);
        client->current = client->servers.count - 1;
        client->state = WISP_BUS_RECONNECTING;
    }
    plan_attempt(client, &why);
    if (!was_live) return;
    wisp_bus_client_fail_flushes(client, &why, false);
    call_on_state(client, &why);
}

static void lose(struct wisp_bus_client *client, enum wisp_err_kind kind, const char *what)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, kind, "%s: %s", wisp_bus_client_url(client), what);
    wisp_bus_session_on_lost(client, &err);
}

/* --- greeting and login --- */

static const struct wisp_bus_server_url *current_server(const struct wisp_bus_client *client)
{
    static const struct wisp_bus_server_url given = {0};
    return client->has_fd ? &given : &client->servers.list[client->current];
}

static bool start_tls(struct wisp_bus_client *client)
{
    struct wisp_err err = {0};
    const char *host = current_server(client)->tls_name;
    if (wisp_bus_client_link_start_tls(client->link, host ? host : "localhost", &err) == 0) return true;
    wisp_err_wrap(&err, "%s", wisp_bus_client_url(client));
    wisp_bus_session_on_lost(client, &err);
    return false;
}

void wisp_bus_session_on_open(struct wisp_bus_client *client)
{
    if (client->tls.is_first && !current_server(client)->path)
        start_tls(client);
    else
        client->phase = WISP_BUS_CLIENT_GREETING;
}

static void log_in(struct wisp_bus_client *client)
{
    struct wisp_err err = {0};
    struct wisp_bus_credentials credentials = {client->token, client->user, client->password,
                                               client->jwt,   client->seed, client->creds_path};
    WISP_CLEANUP_WIPE struct wisp_buf json = {0};
    int r = wisp_bus_login_encode(&credentials, current_server(client), client->name,
                                  wisp_json_str(client->info, "nonce"), client->link->tls != NULL, &json, &err);
    if (r < 0) {
        wisp_bus_session_on_lost(client, &err);
        return;
    }
    client->phase = WISP_BUS_CLIENT_LOGIN;
    wisp_bus_encode_connect(&client->hello, wisp_buf_str(&json));
    wisp_bus_client_ping(client, &client->hello);
    wisp_bus_client_wake(client);
}

void wisp_bus_session_on_secure(struct wisp_bus_client *client)
{
    if (client->phase == WISP_BUS_CLIENT_OPENING)
        client->phase = WISP_BUS_CLIENT_GREETING;
    else if (client->phase == WISP_BUS_CLIENT_SECURING)
        log_in(client);
}

static void greet(struct wisp_bus_client *client)
{
    bool is_offered =
        wisp_json_bool(client->info, "tls_required", false) || wisp_json_bool(client->info, "tls_available", false);
    /* A Unix socket has none and needs none. */
    bool is_away = !current_server(client)->path,
         is_asked = client->tls.is_required || current_server(client)->wants_tls;
    bool is_wanted = wisp_json_bool(client->info, "tls_required", false) || (is_away && is_asked);
    if (client->link->tls || !is_wanted) {
        log_in(client);
    } else if (!is_offered) {
        lose(client, WISP_ERR_DENIED, "the server has no TLS, and it is required here");
    } else {
        client->phase = WISP_BUS_CLIENT_SECURING; /* goes on when the handshake is done */
    }
}

static void on_leave(struct wisp_bus_deadline *deadline)
{
    struct wisp_bus_client *client = WISP_OWNER(deadline, struct wisp_bus_client, leave);
    lose(client, WISP_ERR_UNAVAILABLE, "the server shuts down");
}

static void on_info(struct wisp_bus_client *client, struct wisp_str text)
{
    struct wisp_err err = {0};
    json_t *info;
    if (wisp_json_parse(text, &info, &err) < 0 || !json_is_object(info)) {
        json_decref(info);
        lose(client, WISP_ERR_INVALID, "INFO is not a JSON object");
        return;
    }
    json_decref(client->info);
    client->info = info;
    uint64_t max = wisp_json_u64(info, "max_payload", WISP_BUS_PAYLOAD_MAX);
    client->payload_bytes_max = max && max < SERVER_PAYLOAD_MAX ? (size_t)max : SERVER_PAYLOAD_MAX;
    if (client->has_fd) {
        if (client->phase == WISP_BUS_CLIENT_GREETING) greet(client);
        return;
    }
    client->current = wisp_bus_servers_learn(&client->servers, client->current, json_object_get(info, "connect_urls"));
    if (client->phase == WISP_BUS_CLIENT_GREETING)
        greet(client);
    else if (wisp_json_bool(info, "ldm", false) && client->servers.count > 1 && !client->leave.place)
        wisp_bus_deadline_set(&client->deadlines, &client->leave, LEAVE_AFTER_MS, on_leave);
}

/* --- liveness --- */

static void on_ping_due(struct wisp_bus_deadline *deadline)
{
    struct wisp_bus_client *client = WISP_OWNER(deadline, struct wisp_bus_client, ping);
    if (client->n_unanswered >= 2) {
        lose(client, WISP_ERR_TIMEOUT, "two pings were not answered");
        return;
    }
    client->n_unanswered++;
    wisp_bus_client_ping(client, &client->out);
    wisp_bus_client_wake(client);
    wisp_bus_deadline_set(&client->deadlines, &client->ping, client->ping_interval_ms, on_ping_due);
}

static void say_subscriptions(struct wisp_bus_client *client, struct wisp_buf *out)
{
    for (uint32_t place = 1; place < client->n_slots; place++) {
        const struct wisp_bus_subscription *subscription = client->slots[place].subscription;
        if (subscription) wisp_bus_encode_sub(out, subscription->pattern, subscription->queue, subscription->sid);
    }
}

static void become_live(struct wisp_bus_client *client)
{
    struct wisp_buf out = {0};
    client->phase = WISP_BUS_CLIENT_LIVE;
    client->n_rounds = 0;
    if (!client->has_fd) client->servers.list[client->current].n_denied = 0;
    wisp_bus_deadline_clear(&client->deadlines, &client->attempt);
    /* That the other end of a Unix socket is gone, the kernel tells. */
    if (client->has_fd || !current_server(client)->path)
        wisp_bus_deadline_set(&client->deadlines, &client->ping, client->ping_interval_ms, on_ping_due);
    if (!client->is_draining) say_subscriptions(client, &out);
    wisp_buf_append_str(&out, wisp_buf_str(&client->out));
    wisp_buf_deinit(&client->out);
    client->out = out;
    wisp_bus_client_ping_for_flushes(client);
    wisp_bus_client_wake(client);
    client->state = WISP_BUS_CONNECTED;
    call_on_state(client, NULL);
}

/* --- frames --- */

static void on_message(struct wisp_bus_client *client, const struct wisp_bus_frame *frame)
{
    struct wisp_bus_header headers[HEADERS_MAX];
    struct wisp_bus_message message = {
        .subject = frame->subject, .reply = frame->reply, .headers = headers, .payload = frame->payload};
    struct wisp_bus_subscription *subscription = wisp_bus_client_find(client, wisp_bus_sid_number(frame->sid));
    if (!subscription) return;
    if (frame->headers.len &&
        wisp_bus_headers_decode(frame->headers, &message.status, headers, HEADERS_MAX, &message.n_headers, NULL) < 0) {
        WISP_LOG(DEBUG, "bus", "dropped a message with malformed or too many headers",
                 WISP_BYTES("subject", frame->subject));
        return;
    }
    client->is_in_callback = true;
    subscription->on_message(&message, subscription->env);
    client->is_in_callback = false;
}

static bool text_has(struct wisp_str text, const char *words)
{
    size_t n = strlen(words);
    for (size_t i = 0; i + n <= text.len; i++)
        if (wisp_str_same_letters(text.ptr + i, words, n)) return true;
    return false;
}

static void log_violation(struct wisp_bus_client *client, struct wisp_str text)
{
    uint64_t now_ms = wisp_bus_now_ms();
    if (client->violation_logged_ms && now_ms - client->violation_logged_ms < LOG_EVERY_MS) return;
    client->violation_logged_ms = now_ms;
    WISP_LOG(WARN, "bus", "the server refused something", WISP_TEXT("server", wisp_bus_client_url(client)),
             WISP_BYTES("reason", text));
}

/* Those about one operation are not followed by the end of the connection; it's the server who ends it after others. */
static void on_server_err(struct wisp_bus_client *client, struct wisp_str text)
{
    if (text_has(text, "permissions violation") || text_has(text, "invalid subject") ||
        text_has(text, "maximum subscriptions")) {
        log_violation(client, text);
        return;
    }
    bool is_denial = text_has(text, "authorization") || text_has(text, "authentication");
    wisp_err_set(&client->last_server_err, is_denial ? WISP_ERR_DENIED : WISP_ERR_UNAVAILABLE, "%s: %.*s",
                 wisp_bus_client_url(client), WISP_STR_ARG(text));
    client->is_denied = is_denial && !text_has(text, "timeout");
    if (!is_denial) return;
    struct wisp_err err = client->last_server_err;
    wisp_bus_session_on_lost(client, &err);
}

static void on_pong(struct wisp_bus_client *client)
{
    if (client->n_pongs == client->n_pings) return;
    client->n_pongs++;
    client->last_server_err = (struct wisp_err){0};
    if (client->phase == WISP_BUS_CLIENT_LOGIN)
        become_live(client);
    else
        wisp_bus_client_on_pong(client);
}

static void on_frame(struct wisp_bus_client *client, const struct wisp_bus_frame *frame)
{
    switch (frame->op) {
    case WISP_BUS_OP_MSG:
        on_message(client, frame);
        break;
    case WISP_BUS_OP_INFO:
        on_info(client, frame->text);
        break;
    case WISP_BUS_OP_ERR:
        on_server_err(client, frame->text);
        break;
    case WISP_BUS_OP_PONG:
        on_pong(client);
        break;
    case WISP_BUS_OP_PING:
        wisp_buf_append_str(client->phase == WISP_BUS_CLIENT_LIVE ? &client->out : &client->hello, WISP_BUS_PONG_LINE);
        wisp_bus_client_wake(client);
        break;
    default:
        break;
    }
}

static void drop_used(struct wisp_bus_client_link *link, size_t used)
{
    link->in.len -= used;
    if (used && link->in.len) memmove(link->in.data, link->in.data + used, link->in.len);
}

void wisp_bus_session_on_bytes(struct wisp_bus_client *client)
{
    struct wisp_bus_client_link *link = client->link;
    struct wisp_bus_frame frame;
    enum wisp_bus_parsed parsed = WISP_BUS_PARSED_MORE;
    size_t at = 0, used;
    client->n_unanswered = 0;
    while (link->in.len > at) {
        struct wisp_str rest = {link->in.data + at, link->in.len - at};
        parsed = wisp_bus_parse(&client->parser, rest, &frame, &used);
        if (parsed != WISP_BUS_PARSED_FRAME) break;
        at += used;
        on_frame(client, &frame);
        if (client->link != link) return;
        if (client->phase == WISP_BUS_CLIENT_SECURING && !link->tls) break;
    }
    drop_used(link, at);
    link->in_wanted = parsed == WISP_BUS_PARSED_MORE ? client->parser.needed : 0;
    if (client->phase == WISP_BUS_CLIENT_SECURING && !link->tls)
        start_tls(client);
    else if (parsed > WISP_BUS_PARSED_FRAME)
        lose(client, WISP_ERR_INVALID, wisp_bus_fault_text(parsed));
}

void wisp_bus_session_on_writable(struct wisp_bus_client *client) { wisp_bus_client_wake(client); }
