/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include "base/json.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    EAGER_SIZE = 64 << 10, /* so much is written without waiting for the end of the loop's turn */
    LINE_ARGUMENTS_MAX = WISP_BUS_LINE_MAX - 64,
    PENDING_MAX = 16 << 20,
    PENDING_MAX_MAX = 1 << 30,
    CONNECT_TIMEOUT_MS = 2000,
    PING_INTERVAL_MS = 20000,
    RECONNECT_WAIT_MS = 100,
    SUBSCRIPTION_DRAIN_MS = 5000,
};

uint64_t wisp_bus_random(void)
{
    uint64_t number = 0;
    ssize_t n = getrandom(&number, sizeof number, 0);
    (void)n;
    return number;
}

/* --- sending --- */

static int require_open(const struct wisp_bus_client *client, struct wisp_err *err)
{
    if (client->state != WISP_BUS_CLOSED) return 0;
    return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the connection to the bus is closed for good");
}

int wisp_bus_client_send(struct wisp_bus_client *client, struct wisp_err *err)
{
    if (!client->link) return 0;
    return wisp_bus_client_link_send(client->link,
                                     client->phase == WISP_BUS_CLIENT_LIVE ? &client->out : &client->hello, err);
}

/* Once a turn of the loop. An idle handle, because that also keeps the loop from sleeping on what other handles of the
 * same turn have published after it ran. */
static void on_turn(uv_idle_t *idle)
{
    struct wisp_bus_client *client = idle->data;
    struct wisp_err err = {0};
    uv_idle_stop(idle);
    if (wisp_bus_client_send(client, &err) < 0) wisp_bus_session_on_lost(client, &err);
}

void wisp_bus_client_wake(struct wisp_bus_client *client)
{
    if (client->link && !uv_is_active((uv_handle_t *)&client->flusher)) uv_idle_start(&client->flusher, on_turn);
}

static void wake_or_send(struct wisp_bus_client *client)
{
    /* A failure shows again in on_turn, where it can be told. */
    if (client->out.len >= EAGER_SIZE && client->phase == WISP_BUS_CLIENT_LIVE)
        (void)!wisp_bus_client_send(client, NULL);
    wisp_bus_client_wake(client);
}

static bool header_is_valid(const struct wisp_bus_header *header)
{
    struct wisp_str name = header->name, value = header->value;
    if (!name.len || memchr(name.ptr, ':', name.len) || memchr(name.ptr, '\r', name.len) ||
        memchr(name.ptr, '\n', name.len))
        return false;
    return !value.len || (!memchr(value.ptr, '\r', value.len) && !memchr(value.ptr, '\n', value.len));
}

static int encode_headers(struct wisp_bus_client *client, const struct wisp_bus_header *headers, size_t n_headers,
                          struct wisp_err *err)
{
    client->header_block.len = 0;
    if (!n_headers) return 0;
    for (size_t i = 0; i < n_headers; i++)
        if (!header_is_valid(&headers[i]))
            return wisp_err_set(err, WISP_ERR_INVALID, "header %zu has no name, or a line end in it", i);
    wisp_bus_headers_encode(headers, n_headers, &client->header_block);
    return 0;
}

static int check_room(const struct wisp_bus_client *client, size_t payload_size, struct wisp_err *err)
{
    size_t pending = client->out.len + (client->link ? client->link->sending.len + client->link->waiting.len : 0);
    if (payload_size > client->payload_bytes_max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "message of %zu bytes is larger than the bus allows (%zu)",
                            payload_size, client->payload_bytes_max);
    if (pending + payload_size > client->pending_bytes_max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%zu bytes wait for the bus already (limit %zu)", pending,
                            client->pending_bytes_max);
    return 0;
}

static int check_subjects(struct wisp_str subject, struct wisp_str reply, struct wisp_err *err)
{
    if (!wisp_bus_subject_is_valid(subject))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a subject to publish to: `%.*s`", WISP_STR_ARG(subject));
    if (reply.len && !wisp_bus_subject_is_valid(reply))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a subject to reply to: `%.*s`", WISP_STR_ARG(reply));
    if (subject.len + reply.len > LINE_ARGUMENTS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "subjects of %zu bytes", subject.len + reply.len);
    return 0;
}

int wisp_bus_publish(struct wisp_bus_client *client, struct wisp_str subject, struct wisp_str reply,
                     const struct wisp_bus_header *headers, size_t n_headers, struct wisp_str payload,
                     struct wisp_err *err)
{
    int r = require_open(client, err);
    if (r == 0) r = check_subjects(subject, reply, err);
    if (r == 0) r = encode_headers(client, headers, n_headers, err);
    if (r == 0) r = check_room(client, client->header_block.len + payload.len, err);
    if (r < 0) return r;
    wisp_bus_encode_pub(&client->out, subject, reply, wisp_buf_str(&client->header_block), payload);
    wake_or_send(client);
    return 0;
}

uint64_t wisp_bus_client_ping(struct wisp_bus_client *client, struct wisp_buf *out)
{
    wisp_buf_append_str(out, WISP_BUS_PING_LINE);
    return ++client->n_pings;
}

/* --- subscriptions --- */

static uint32_t take_place(struct wisp_bus_client *client)
{
    uint32_t place = client->free_slot;
    if (place) {
        client->free_slot = client->slots[place].next_free;
        return place;
    }
    if (client->n_slots == client->slots_capacity) {
        client->slots_capacity = client->slots_capacity ? client->slots_capacity * 2 : 32;
        client->slots = wisp_mem_realloc(client->slots, client->slots_capacity * sizeof *client->slots);
    }
    place = client->n_slots ? client->n_slots : 1;
    client->slots[place] = (struct wisp_bus_subscription_slot){0};
    client->n_slots = place + 1;
    return place;
}

static struct wisp_bus_subscription *subscription_new(struct wisp_str pattern, struct wisp_str queue)
{
    struct wisp_bus_subscription *subscription = wisp_mem_calloc(1, sizeof *subscription + pattern.len + queue.len);
    char *text = (char *)(subscription + 1);
    memcpy(text, pattern.ptr, pattern.len);
    if (queue.len) memcpy(text + pattern.len, queue.ptr, queue.len);
    subscription->pattern = (struct wisp_str){text, pattern.len};
    subscription->queue = (struct wisp_str){text + pattern.len, queue.len};
    return subscription;
}

int wisp_bus_subscribe(struct wisp_bus_client *client, struct wisp_str pattern, struct wisp_str queue,
                       wisp_bus_on_message *on_message, void *env, struct wisp_bus_subscription **ret_subscription,
                       struct wisp_err *err)
{
    int r = require_open(client, err);
    if (r < 0) return r;
    if (client->is_draining) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the connection to the bus is drained");
    if (!wisp_bus_pattern_is_valid(pattern) || pattern.len + queue.len > LINE_ARGUMENTS_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "not a subject to subscribe to: `%.*s`", WISP_STR_ARG(pattern));
    if (queue.len && !wisp_bus_subject_is_valid(queue))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a queue group: `%.*s`", WISP_STR_ARG(queue));
    if (client->n_slots >> WISP_BUS_SID_PLACE_BITS && !client->free_slot)
        return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d subscriptions", 1 << WISP_BUS_SID_PLACE_BITS);
    uint32_t place = take_place(client);
    struct wisp_bus_subscription *subscription = subscription_new(pattern, queue);
    subscription->client = client;
    subscription->sid = (uint64_t)client->slots[place].generation << WISP_BUS_SID_PLACE_BITS | place;
    subscription->on_message = on_message;
    subscription->env = env;
    client->slots[place].subscription = subscription;
    if (client->phase == WISP_BUS_CLIENT_LIVE) {
        wisp_bus_encode_sub(&client->out, pattern, queue, subscription->sid);
        wisp_bus_client_wake(client);
    }
    if (ret_subscription) *ret_subscription = subscription;
    return 0;
}

struct wisp_bus_subscription *wisp_bus_client_find(const struct wisp_bus_client *client, uint64_t sid)
{
    uint64_t place = sid & ((1u << WISP_BUS_SID_PLACE_BITS) - 1);
    if (!place || place >= client->n_slots) return NULL;
    struct wisp_bus_subscription *subscription = client->slots[place].subscription;
    return subscription && subscription->sid == sid ? subscription : NULL;
}

void wisp_bus_unsubscribe(struct wisp_bus_subscription *subscription)
{
    if (!subscription) return;
    struct wisp_bus_client *client = subscription->client;
    uint32_t place = (uint32_t)(subscription->sid & ((1u << WISP_BUS_SID_PLACE_BITS) - 1));
    if (client->phase == WISP_BUS_CLIENT_LIVE) {
        wisp_bus_encode_unsub(&client->out, subscription->sid, 0);
        wisp_bus_client_wake(client);
    }
    client->slots[place] = (struct wisp_bus_subscription_slot){.generation = client->slots[place].generation + 1,
                                                               .next_free = client->free_slot};
    client->free_slot = place;
    if (subscription->end) subscription->end->subscription = NULL;
    free(subscription);
}

/* --- flush and drain --- */

static void flush_free(struct wisp_bus_flush *flush)
{
    if (flush->owns_env) free(flush->env);
    free(flush);
}

static void unlink_flush(struct wisp_bus_flush *flush)
{
    struct wisp_bus_client *client = flush->client;
    struct wisp_bus_flush **at = &client->flushes;
    while (*at != flush) at = &(*at)->next;
    *at = flush->next;
    if (!*at) client->flushes_end = at;
    wisp_bus_deadline_clear(&client->deadlines, &flush->deadline);
}

static void finish_flush(struct wisp_bus_flush *flush, const struct wisp_err *reason)
{
    struct wisp_bus_client *client = flush->client;
    unlink_flush(flush);
    client->is_in_callback = true;
    flush->on_flushed(reason, flush->env);
    client->is_in_callback = false;
    flush_free(flush);
}

static void on_flush_due(struct wisp_bus_deadline *deadline)
{
    struct wisp_bus_flush *flush = WISP_OWNER(deadline, struct wisp_bus_flush, deadline);
    struct wisp_err err = {0};
    if (require_open(flush->client, &err) == 0)
        wisp_err_set(&err, WISP_ERR_TIMEOUT, "%s did not answer a ping in time", wisp_bus_client_url(flush->client));
    finish_flush(flush, &err);
}

static struct wisp_bus_flush *begin_flush(struct wisp_bus_client *client, uint64_t timeout_ms,
                                          void (*on_flushed)(const struct wisp_err *err, void *env), void *env)
{
    struct wisp_bus_flush *flush = wisp_mem_calloc(1, sizeof *flush);
    flush->client = client;
    flush->on_flushed = on_flushed;
    flush->env = env;
    *client->flushes_end = flush;
    client->flushes_end = &flush->next;
    if (client->phase == WISP_BUS_CLIENT_LIVE) {
        flush->ping = wisp_bus_client_ping(client, &client->out);
        wisp_bus_client_wake(client);
    }
    wisp_bus_deadline_set(&client->deadlines, &flush->deadline, client->state == WISP_BUS_CLOSED ? 0 : timeout_ms,
                          on_flush_due);
    return flush;
}

void wisp_bus_flush(struct wisp_bus_client *client, uint64_t timeout_ms,
                    void (*on_flushed)(const struct wisp_err *err, void *env), void *env)
{
    begin_flush(client, timeout_ms, on_flushed, env);
}

void wisp_bus_client_on_pong(struct wisp_bus_client *client)
{
    while (client->flushes && client->flushes->ping && client->flushes->ping <= client->n_pongs)
        finish_flush(client->flushes, NULL);
}

void wisp_bus_client_ping_for_flushes(struct wisp_bus_client *client)
{
    for (struct wisp_bus_flush *flush = client->flushes; flush; flush = flush->next)
        if (!flush->ping) flush->ping = wisp_bus_client_ping(client, &client->out);
}

void wisp_bus_client_fail_flushes(struct wisp_bus_client *client, const struct wisp_err *reason, bool all)
{
    while (client->flushes && (all || client->flushes->ping)) finish_flush(client->flushes, reason);
}

static void on_subscription_flushed(const struct wisp_err *err, void *env)
{
    const struct wisp_bus_subscription_end *end = env;
    (void)err; /* without a connection nothing more comes either */
    if (!end->subscription) return;
    wisp_bus_unsubscribe(end->subscription);
    end->on_ended(end->env);
}

void wisp_bus_subscription_drain(struct wisp_bus_subscription *subscription, void (*on_ended)(void *env), void *env)
{
    struct wisp_bus_client *client = subscription->client;
    struct wisp_bus_subscription_end *end = wisp_mem_alloc(sizeof *end);
    bool is_live = client->phase == WISP_BUS_CLIENT_LIVE;
    *end = (struct wisp_bus_subscription_end){subscription, on_ended, env};
    subscription->end = end;
    if (is_live) wisp_bus_encode_unsub(&client->out, subscription->sid, 0);
    begin_flush(client, is_live ? SUBSCRIPTION_DRAIN_MS : 0, on_subscription_flushed, end)->owns_env = true;
}

static void finish_drain(struct wisp_bus_client *client)
{
    if (!client->on_drained) return;
    void (*on_drained)(void *env) = client->on_drained;
    client->on_drained = NULL;
    wisp_bus_deadline_clear(&client->deadlines, &client->drain);
    client->is_in_callback = true;
    on_drained(client->drain_env);
    client->is_in_callback = false;
}

static void on_drain_due(struct wisp_bus_deadline *deadline)
{
    finish_drain(WISP_OWNER(deadline, struct wisp_bus_client, drain));
}

/* The first round brings what was on its way here, the second takes away what the callbacks made of it. */
static void on_drain_round(const struct wisp_err *err, void *env)
{
    struct wisp_bus_client *client = env;
    if (!client->on_drained) return;
    if (err && client->state == WISP_BUS_CLOSED)
        finish_drain(client);
    else if (++client->n_drain_rounds < 2 || err)
        wisp_bus_flush(client, UINT64_MAX, on_drain_round, client);
    else
        finish_drain(client);
}

void wisp_bus_client_drain(struct wisp_bus_client *client, uint64_t timeout_ms, void (*on_drained)(void *env),
                           void *env)
{
    client->is_draining = true;
    client->on_drained = on_drained;
    client->drain_env = env;
    if (client->phase == WISP_BUS_CLIENT_LIVE)
        for (uint32_t place = 1; place < client->n_slots; place++) {
            const struct wisp_bus_subscription *subscription = client->slots[place].subscription;
            /* Callbacks may still wait for answers of their own. */
            if (subscription && subscription != client->mux.subscription)
                wisp_bus_encode_unsub(&client->out, subscription->sid, 0);
        }
    wisp_bus_deadline_set(&client->deadlines, &client->drain, timeout_ms, on_drain_due);
    wisp_bus_flush(client, UINT64_MAX, on_drain_round, client);
}

/* --- life --- */

static char *dup_or_null(const char *text) { return text ? wisp_mem_dup(wisp_str_from(text)) : NULL; }

static uint64_t or_default(uint64_t given, uint64_t fallback) { return given ? given : fallback; }

static void copy_options(struct wisp_bus_client *client, const struct wisp_bus_client_options *options)
{
    client->name = dup_or_null(options->name);
    client->token = dup_or_null(options->token);
    client->user = dup_or_null(options->user);
    client->password = dup_or_null(options->password);
    client->jwt = dup_or_null(options->jwt);
    client->seed = dup_or_null(options->seed);
    client->creds_path = dup_or_null(options->creds_path);
    client->tls = (struct wisp_bus_client_tls_options){
        .is_required = options->tls.is_required || options->tls.is_first || options->tls.ca_path,
        .is_first = options->tls.is_first,
        .ca_path = dup_or_null(options->tls.ca_path),
        .cert_path = dup_or_null(options->tls.cert_path),
        .key_path = dup_or_null(options->tls.key_path),
    };
    client->connect_timeout_ms = or_default(options->connect_timeout_ms, CONNECT_TIMEOUT_MS);
    client->ping_interval_ms = or_default(options->ping_interval_ms, PING_INTERVAL_MS);
    client->reconnect_wait_ms = or_default(options->reconnect_wait_ms, RECONNECT_WAIT_MS);
    client->pending_bytes_max = (size_t)or_default(options->pending_bytes_max, PENDING_MAX);
    if (client->pending_bytes_max > PENDING_MAX_MAX) client->pending_bytes_max = PENDING_MAX_MAX;
    client->gives_up_at_start = options->gives_up_at_start;
    client->on_state = options->on_state;
    client->env = options->env;
    client->payload_bytes_max = WISP_BUS_PAYLOAD_MAX;
}

static void deinit(struct wisp_bus_client *client)
{
    for (uint32_t place = 1; place < client->n_slots; place++) free(client->slots[place].subscription);
    free(client->slots);
    for (struct wisp_bus_flush *flush; (flush = client->flushes);) {
        client->flushes = flush->next;
        flush_free(flush);
    }
    wisp_bus_mux_deinit(&client->mux);
    wisp_bus_servers_deinit(&client->servers);
    json_decref(client->info);
    wisp_buf_deinit(&client->out);
    wisp_buf_wipe(&client->hello);
    wisp_buf_deinit(&client->header_block);
    free(client->name);
    wisp_mem_wipe(client->token);
    free(client->user);
    wisp_mem_wipe(client->password);
    free(client->jwt);
    wisp_mem_wipe(client->seed);
    free(client->creds_path);
    free(client->tls.ca_path);
    free(client->tls.cert_path);
    free(client->tls.key_path);
}

static int take_servers(struct wisp_bus_client *client, const struct wisp_bus_client_options *options,
                        struct wisp_err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < options->n_urls; i++)
        r = wisp_bus_servers_add(&client->servers, wisp_str_from(options->urls[i]), err);
    if (r < 0) return wisp_err_wrap(err, "url of the bus");
    if (!client->servers.count) return wisp_err_set(err, WISP_ERR_INVALID, "no url of a bus");
    wisp_bus_servers_shuffle(&client->servers, wisp_bus_random);
    return 0;
}

static void on_start(struct wisp_bus_deadline *deadline)
{
    wisp_bus_session_attempt(WISP_OWNER(deadline, struct wisp_bus_client, attempt));
}

/* The loop writes with write(2): a server that has gone must not end this process. Whoever set it knows better. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (sigaction(SIGPIPE, NULL, &action) < 0 || action.sa_handler != SIG_DFL) return;
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
}

static void start(struct wisp_bus_client *client)
{
    ignore_sigpipe();
    client->n_open_handles = 2;
    wisp_bus_deadlines_init(&client->deadlines, client->loop);
    uv_idle_init(client->loop, &client->flusher);
    client->flusher.data = client;
    wisp_bus_deadline_set(&client->deadlines, &client->attempt, 0, on_start);
}

int wisp_bus_client_new(struct wisp_bus_client **ret_client, uv_loop_t *loop,
                        const struct wisp_bus_client_options *options, struct wisp_err *err)
{
    struct wisp_bus_client *client = wisp_mem_calloc(1, sizeof *client);
    client->loop = loop;
    client->flushes_end = &client->flushes;
    client->has_fd = !options->n_urls && options->fd >= 0;
    copy_options(client, options);
    int r = client->has_fd ? wisp_bus_client_link_new_fd(&client->link, client, options->fd, err)
                           : take_servers(client, options, err);
    if (r == 0 && (r = wisp_bus_mux_init(&client->mux, options->inbox_prefix, err)) < 0)
        wisp_bus_client_link_close(client->link);
    if (r < 0) {
        deinit(client);
        free(client);
        return r;
    }
    start(client);
    *ret_client = client;
    return 0;
}

static void release(struct wisp_bus_client *client)
{
    if (--client->n_open_handles == 0) free(client);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(WISP_OWNER(handle, struct wisp_bus_client, deadlines.timer));
}

static void on_flusher_closed(uv_handle_t *handle) { release(WISP_OWNER(handle, struct wisp_bus_client, flusher)); }

void wisp_bus_client_free(struct wisp_bus_client *client)
{
    if (!client) return;
    assert(!client->is_in_callback);
    wisp_bus_client_link_close(WISP_TAKE(client->link));
    deinit(client);
    wisp_bus_deadlines_deinit(&client->deadlines);
    uv_close((uv_handle_t *)&client->deadlines.timer, on_timer_closed);
    uv_close((uv_handle_t *)&client->flusher, on_flusher_closed);
}

void wisp_bus_client_watch(struct wisp_bus_client *client, struct wisp_bus_watch *watch)
{
    watch->next = client->watches;
    client->watches = watch;
}

void wisp_bus_client_unwatch(struct wisp_bus_client *client, struct wisp_bus_watch *watch)
{
    struct wisp_bus_watch **at = &client->watches;
    while (*at && *at != watch) at = &(*at)->next;
    if (*at) *at = watch->next;
    if (client->next_watch == watch) client->next_watch = watch->next;
}

enum wisp_bus_state wisp_bus_client_state(const struct wisp_bus_client *client) { return client->state; }

size_t wisp_bus_client_payload_max(const struct wisp_bus_client *client) { return client->payload_bytes_max; }

const char *wisp_bus_client_url(const struct wisp_bus_client *client)
{
    return client->servers.count ? client->servers.list[client->current].shown : "a given socket";
}

struct wisp_str wisp_bus_client_server_id(const struct wisp_bus_client *client)
{
    return wisp_json_str(client->info, "server_id");
}

bool wisp_bus_client_has_jetstream(const struct wisp_bus_client *client)
{
    return wisp_json_bool(client->info, "jetstream", false);
}
