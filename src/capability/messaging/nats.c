/* SPDX-License-Identifier: Apache-2.0 */
/* `wisp://messaging-nats`: messages of a NATS server, or of the lattice's own bus where a link names no other.
 *
 * A subscription without a queue group gives each message to one of the host's workers, and to every host that runs the
 * provider: a group that is the host's and the link's does that. */
#include "base/log.h"
#include "bus/client.h"
#include "capability/kinds.h"
#include "capability/messaging/messaging.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    IN_FLIGHT_DEFAULT = 256,
    IN_FLIGHT_MAX = 100000,
    WAITING_MAX = 8192,
    WAITING_BYTES_MAX = 32 << 20,
    URIS_MAX = 32,
    SUBSCRIPTIONS_MAX = 1000,
};

/* A connection that links with the same settings share. */
struct connection {
    struct wisp_link link;
    struct wisp_bus_client *bus;
    char *key; /* its settings; NULL: the lattice's bus, which isn't ours */
    size_t n_links;
    int ca_fd; /* -1: none */
    struct wisp_err trouble;
};

struct state {
    struct wisp_link connections;
};

struct nats_link {
    struct connection *connection;
    struct wisp_inbound *inbound; /* NULL: the component is not to be called */
    struct wisp_bus_subscription **subscriptions;
    size_t n_subscriptions;
};

/* --- connections --- */

static void on_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    struct connection *connection = env;
    if (state == WISP_BUS_CONNECTED) {
        if (connection->trouble.kind)
            WISP_LOG(INFO, "messaging", "connected again", WISP_TEXT("server", wisp_bus_client_url(connection->bus)));
        connection->trouble.kind = WISP_ERR_NONE;
        return;
    }
    if (!connection->trouble.kind && reason->kind)
        WISP_LOG(WARN, "messaging", "no connection to NATS", WISP_TEXT("error", reason->text));
    connection->trouble = *reason;
}

/* The settings that make a connection of its own; none of them: the lattice's bus. */
static const char *const connection_keys[] = {"cluster_uris", "client_jwt",  "client_seed",
                                              "tls_ca",       "tls_ca_file", "custom_inbox_prefix"};

static char *key_of(const struct wisp_settings *settings)
{
    WISP_CLEANUP_WIPE struct wisp_buf key = {0};
    bool has_any = false;
    for (size_t i = 0; i < WISP_COUNT(connection_keys); i++) {
        struct wisp_str value = wisp_settings_get(settings, connection_keys[i]);
        has_any |= value.len > 0;
        wisp_buf_printf(&key, "%zu:%.*s\n", value.len, WISP_STR_ARG(value));
    }
    return has_any ? wisp_mem_dup(wisp_buf_str(&key)) : NULL;
}

/* A certificate that is given as text gets a name that OpenSSL can open. */
static int make_ca_file(struct wisp_str text, int *ret_fd, char path[32], struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = memfd_create("tls_ca", MFD_CLOEXEC);
    if (fd < 0) return wisp_err_os(err, errno, "`tls_ca`");
    for (size_t done = 0; done < text.len;) {
        ssize_t n = write(fd, text.ptr + done, text.len - done);
        if (n < 0) return wisp_err_os(err, errno, "`tls_ca`");
        done += (size_t)n;
    }
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

static const char *text_of(const struct wisp_settings *settings, const char *key, struct wisp_arena *arena)
{
    struct wisp_str value = wisp_settings_get(settings, key);
    return value.len ? wisp_arena_cstr(arena, value) : NULL;
}

/* The next part of a comma list that is not blank; empty at the end. */
static struct wisp_str next_part(struct wisp_str *list)
{
    struct wisp_str part = {0};
    while (list->len && !part.len) {
        if (!wisp_str_split(*list, ',', &part, list)) {
            part = *list;
            list->len = 0;
        }
        part = wisp_str_trim(part);
    }
    return part;
}

static int read_uris(struct wisp_provider *provider, const struct wisp_settings *settings, struct wisp_arena *arena,
                     const char **uris, size_t *ret_n, struct wisp_err *err)
{
    struct wisp_str list = wisp_settings_get(settings, "cluster_uris");
    for (struct wisp_str uri; (uri = next_part(&list)).len;) {
        if (*ret_n == URIS_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "`cluster_uris` has more than %d", URIS_MAX);
        uris[(*ret_n)++] = wisp_arena_cstr(arena, uri);
    }
    if (!*ret_n && provider->bus_url) uris[(*ret_n)++] = provider->bus_url;
    return *ret_n ? 0 : wisp_err_set(err, WISP_ERR_INVALID, "`cluster_uris` is missing");
}

static int connect_own(struct wisp_provider *provider, const struct wisp_settings *settings,
                       struct connection *connection, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const char *uris[URIS_MAX];
    char ca_path[32];
    struct wisp_bus_client_options options = {.urls = uris,
                                              .name = "wisp messaging-nats",
                                              .jwt = text_of(settings, "client_jwt", &arena),
                                              .seed = text_of(settings, "client_seed", &arena),
                                              .inbox_prefix = text_of(settings, "custom_inbox_prefix", &arena),
                                              .on_state = on_state,
                                              .env = connection};
    if (options.jwt && !options.seed) return wisp_err_set(err, WISP_ERR_INVALID, "`client_jwt` without `client_seed`");
    if (read_uris(provider, settings, &arena, uris, &options.n_urls, err) < 0) return -(int)WISP_ERR_INVALID;
    struct wisp_str ca = wisp_settings_get(settings, "tls_ca");
    if (ca.len) {
        if (make_ca_file(ca, &connection->ca_fd, ca_path, err) < 0) return -(int)WISP_ERR_OS;
        options.tls.ca_path = ca_path;
    } else {
        options.tls.ca_path = text_of(settings, "tls_ca_file", &arena);
    }
    options.tls.is_required = options.tls.ca_path != NULL;
    return wisp_bus_client_new(&connection->bus, provider->loop, &options, err);
}

static void free_connection(struct connection *connection)
{
    if (connection->key) wisp_bus_client_free(connection->bus);
    if (connection->ca_fd >= 0) close(connection->ca_fd);
    wisp_mem_wipe(connection->key);
    free(connection);
}

static struct connection *find_connection(struct state *state, const char *key)
{
    WISP_RING_EACH(at, &state->connections)
    {
        struct connection *connection = WISP_OWNER(at, struct connection, link);
        if (key ? connection->key && strcmp(connection->key, key) == 0 : !connection->key) return connection;
    }
    return NULL;
}

static int get_connection(struct wisp_provider *provider, const struct wisp_settings *settings,
                          struct connection **ret_connection, struct wisp_err *err)
{
    struct state *state = provider->state;
    WISP_CLEANUP_FREE char *key = key_of(settings);
    struct connection *connection = find_connection(state, key);
    if (!connection) {
        connection = wisp_mem_calloc(1, sizeof *connection);
        connection->ca_fd = -1;
        connection->bus = provider->bus;
        int r = key ? connect_own(provider, settings, connection, err) : 0;
        if (r == 0 && !connection->bus)
            r = wisp_err_set(err, WISP_ERR_INVALID, "`cluster_uris` is missing, and there is no bus");
        if (r < 0) {
            free_connection(connection);
            return r;
        }
        connection->key = WISP_TAKE(key);
        wisp_ring_append(&state->connections, &connection->link);
    }
    connection->n_links++;
    *ret_connection = connection;
    return 0;
}

static void put_connection(struct connection *connection)
{
    if (!connection || --connection->n_links) return;
    wisp_ring_remove(&connection->link);
    free_connection(connection);
}

/* --- messages for components --- */

static void on_message(const struct wisp_bus_message *message, void *env)
{
    const struct nats_link *link = env;
    if (!wisp_str_is_utf8(message->subject) || !wisp_str_is_utf8(message->reply)) {
        WISP_LOG(DEBUG, "messaging", "a message whose subject is no UTF-8 is left out");
        return;
    }
    wisp_inbound_push(link->inbound, message->subject, message->payload, message->reply,
                      wisp_bus_header_get(message, "traceparent"), NULL);
}

/* Bytes of a token, with a '=' and two hex digits for others. */
static void append_token(struct wisp_buf *out, struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '-';
        if (is_plain)
            wisp_buf_append_char(out, (char)c);
        else
            wisp_buf_printf(out, "=%02x", c);
    }
}

static void append_own_queue(struct wisp_buf *out, const struct wisp_provider_link *link, struct wisp_str pattern)
{
    const struct wisp_str parts[] = {link->provider->host_id, link->provider->id, link->target_id, link->name, pattern};
    wisp_buf_append_str(out, WISP_STR("wisp"));
    for (size_t i = 0; i < WISP_COUNT(parts); i++) {
        wisp_buf_append_char(out, '.');
        append_token(out, parts[i]);
    }
}

static int subscribe(struct wisp_provider_link *link, struct wisp_str part, struct wisp_err *err)
{
    struct nats_link *own = link->state;
    struct wisp_str pattern = part, queue = {0};
    WISP_CLEANUP_BUF struct wisp_buf name = {0};
    if (wisp_str_split(part, '|', &pattern, &queue)) {
        pattern = wisp_str_trim(pattern);
        queue = wisp_str_trim(queue);
    }
    if (!wisp_bus_pattern_is_valid(pattern))
        return wisp_err_set(err, WISP_ERR_INVALID, "`subscriptions`: `%.*s` is no subject", WISP_STR_ARG(pattern));
    if (queue.len)
        wisp_buf_append_str(&name, queue);
    else
        append_own_queue(&name, link, pattern);
    if (own->n_subscriptions == SUBSCRIPTIONS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "`subscriptions` has more than %d", SUBSCRIPTIONS_MAX);
    own->subscriptions = wisp_mem_realloc(own->subscriptions, (own->n_subscriptions + 1) * sizeof *own->subscriptions);
    struct wisp_bus_subscription **to = &own->subscriptions[own->n_subscriptions];
    if (wisp_bus_subscribe(own->connection->bus, pattern, wisp_buf_str(&name), on_message, own, to, err) < 0)
        return wisp_err_wrap(err, "`subscriptions`: `%.*s`", WISP_STR_ARG(part));
    own->n_subscriptions++;
    return 0;
}

static int subscribe_all(struct wisp_provider_link *link, struct wisp_err *err)
{
    struct nats_link *own = link->state;
    struct wisp_str list = wisp_settings_get(&link->settings, "subscriptions");
    struct wisp_inbound_options options = {.waiting_max = WAITING_MAX, .waiting_bytes_max = WAITING_BYTES_MAX};
    uint64_t in_flight;
    if (wisp_settings_uint(&link->settings, "max_in_flight", IN_FLIGHT_DEFAULT, &in_flight, err) < 0)
        return -(int)WISP_ERR_INVALID;
    if (!in_flight || in_flight > IN_FLIGHT_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "`max_in_flight` is not from 1 to %d", IN_FLIGHT_MAX);
    options.in_flight_max = (size_t)in_flight;
    own->inbound = wisp_inbound_new(link->provider, link->target_id, &options);
    for (struct wisp_str part; (part = next_part(&list)).len;)
        if (subscribe(link, part, err) < 0) return -(int)WISP_ERR_INVALID;
    return 0;
}

/* --- links --- */

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    struct nats_link *own = WISP_TAKE(link->state);
    (void)provider;
    for (size_t i = 0; i < own->n_subscriptions; i++) wisp_bus_unsubscribe(own->subscriptions[i]);
    free(own->subscriptions);
    wisp_inbound_free(own->inbound);
    put_connection(own->connection);
    free(own);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    if (wisp_settings_get(&link->settings, "consumers").len)
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "`consumers`: this provider knows no JetStream consumers");
    struct nats_link *own = wisp_mem_calloc(1, sizeof *own);
    link->state = own;
    int r = get_connection(provider, &link->settings, &own->connection, err);
    if (r == 0 && link->is_source) r = subscribe_all(link, err);
    if (r < 0) del_link(provider, link);
    return r;
}

/* --- what components ask for --- */

static struct wisp_bus_client *bus_of(const struct wisp_provider_call *call, struct wisp_err *err)
{
    const struct nats_link *link = call->link ? call->link->state : NULL;
    if (link) return link->connection->bus;
    wisp_err_set(err, WISP_ERR_NOT_FOUND, "`%.*s` has no link `%.*s` to this provider", WISP_STR_ARG(call->source_id),
                 WISP_STR_ARG(call->link_name));
    return NULL;
}

static struct wisp_str str_of(struct wisp_bytes bytes) { return (struct wisp_str){(const char *)bytes.ptr, bytes.len}; }

static size_t trace_headers(const struct wisp_provider_call *call, struct wisp_str subject,
                            struct wisp_bus_header *header)
{
    if (!call->traceparent.len || wisp_str_starts_with(subject, WISP_STR("$SYS"))) return 0;
    *header = (struct wisp_bus_header){WISP_STR("traceparent"), call->traceparent};
    return 1;
}

static int check_subject(struct wisp_str subject, struct wisp_err *err)
{
    if (wisp_bus_subject_is_valid(subject)) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` is no subject to publish to", WISP_STR_ARG(subject));
}

static void publish(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_broker_message *message = args;
    const struct wisp_str reply = message->reply_to.is_some ? message->reply_to.subject : (struct wisp_str){0};
    struct wisp_bus_header header;
    struct wisp_err err;
    struct wisp_bus_client *bus = bus_of(call, &err);
    if (!bus || check_subject(message->subject, &err) < 0 || (reply.len && check_subject(reply, &err) < 0) ||
        wisp_bus_publish(bus, message->subject, reply, &header, trace_headers(call, message->subject, &header),
                         str_of(message->body), &err) < 0) {
        wisp_messaging_return_error(call, &err);
        return;
    }
    const struct wisp_messaging_result result = {0};
    wisp_provider_return(call, &result);
}

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct wisp_provider_call *call = env;
    struct wisp_err own;
    if (!err && (!wisp_str_is_utf8(reply->subject) || !wisp_str_is_utf8(reply->reply))) {
        wisp_err_set(&own, WISP_ERR_INVALID, "the subject of the reply is no UTF-8");
        err = &own;
    }
    if (err) {
        wisp_messaging_return_request_error(call, err);
        return;
    }
    struct wisp_messaging_request_result result = {
        .message = {.subject = reply->subject,
                    .body = {(const uint8_t *)reply->payload.ptr, reply->payload.len},
                    .reply_to = {reply->reply.len > 0, reply->reply}}};
    wisp_provider_return(call, &result);
}

static void on_cancel(struct wisp_provider_call *call)
{
    struct wisp_err err;
    wisp_bus_request_cancel(call->user);
    wisp_err_set(&err, WISP_ERR_CANCELLED, "the request was given up");
    wisp_provider_fail(call, &err);
}

static void request(struct wisp_provider_call *call, const void *args)
{
    const struct wisp_messaging_request_args *request = args;
    struct wisp_bus_header header;
    struct wisp_bus_request *sent;
    struct wisp_err err;
    struct wisp_bus_client *bus = bus_of(call, &err);
    if (!bus || check_subject(request->subject, &err) < 0 ||
        wisp_bus_request(bus, request->subject, &header, trace_headers(call, request->subject, &header),
                         str_of(request->body), request->timeout_ms ? request->timeout_ms : 1, on_reply, call, &sent,
                         &err) < 0) {
        wisp_messaging_return_request_error(call, &err);
        return;
    }
    call->user = sent;
    call->on_cancel = on_cancel;
}

/* --- the provider --- */

static int open_provider(struct wisp_provider *provider, struct wisp_err *err)
{
    struct state *state = wisp_mem_alloc(sizeof *state);
    (void)err;
    wisp_ring_init(&state->connections);
    provider->state = state;
    return 0;
}

static void close_provider(struct wisp_provider *provider) { free(provider->state); }

static bool is_healthy(struct wisp_provider *provider, struct wisp_buf *text)
{
    struct state *state = provider->state;
    WISP_RING_EACH(at, &state->connections)
    {
        const struct connection *connection = WISP_OWNER(at, struct connection, link);
        if (wisp_bus_client_state(connection->bus) != WISP_BUS_CLOSED) continue;
        wisp_buf_printf(text, "no connection to NATS: %s", connection->trouble.text);
        return false;
    }
    return true;
}

static const struct wisp_provider_func consumer_funcs[] = {
    {"request", WISP_MESSAGING_REQUEST, request,
     WISP_HOST_SIZES(struct wisp_messaging_request_args, struct wisp_messaging_request_result)},
    {"publish", WISP_MESSAGING_PUBLISH, publish,
     WISP_HOST_SIZES(struct wisp_broker_message, struct wisp_messaging_result)},
};
static const struct wisp_provider_interface consumer = {.name = "wasmcloud:messaging/consumer@0.2.0",
                                                        .funcs = consumer_funcs,
                                                        .n_funcs = WISP_COUNT(consumer_funcs),
                                                        .types = wisp_messaging_types};
static const struct wisp_provider_interface *const exports[] = {&consumer};
static const struct wisp_provider_interface *const imports[] = {&wisp_messaging_handler};

const struct wisp_provider_kind wisp_messaging_nats = {
    .name = "messaging-nats",
    .about = "NATS, or the lattice's own bus: publish, request, subscriptions",
    .exports = exports,
    .n_exports = WISP_COUNT(exports),
    .imports = imports,
    .n_imports = WISP_COUNT(imports),
    .open = open_provider,
    .close = close_provider,
    .put_link = put_link,
    .del_link = del_link,
    .is_healthy = is_healthy,
};
