/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/nats_watch.h"

#include "base/log.h"
#include "capability/nats.h"
#include "state/jetstream_wire.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    TICK_MS = 500,
    SILENCE_MS = 3 * WISP_STATE_JS_HEARTBEAT_MS, /* the consumer is gone, then */
    STATUS_CONTROL = 100,                        /* heartbeats and flow control */
};

struct wisp_nats_watch {
    struct wisp_keyvalue_watch *watch;
    struct wisp_provider *provider;
    struct wisp_bus_client *bus;
    struct wisp_bus_watch states;
    char *api, *bucket, *prefix; /* prefix: "$KV.BUCKET." */
    char *filter;
    struct wisp_bus_subscription *subscription; /* NULL: not begun */
    struct wisp_bus_request *request;
    uv_timer_t *timer;
    uint64_t next;                    /* sequence in the stream; 0: what comes from now on */
    uint64_t consumer_next, heard_ms; /* of this consumer */
    bool is_told_missing;
};

static void begin(struct wisp_nats_watch *watch);

static void leave(struct wisp_nats_watch *watch)
{
    wisp_bus_unsubscribe(WISP_TAKE(watch->subscription)); /* the server forgets a consumer that nobody hears */
    if (watch->request) wisp_bus_request_cancel(WISP_TAKE(watch->request));
}

static void ask(struct wisp_nats_watch *watch, const char *what, struct wisp_str payload, wisp_bus_on_reply *on_reply)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    struct wisp_err err = {0};
    wisp_buf_printf(&subject, "%s.%s.KV_%s", watch->api, what, watch->bucket);
    if (wisp_bus_request(watch->bus, wisp_buf_str(&subject), NULL, 0, payload, WISP_KEYVALUE_WAIT_MS, on_reply, watch,
                         &watch->request, &err) < 0)
        leave(watch); /* the timer tries again */
}

/* --- what the server says --- */

static void tell(struct wisp_nats_watch *watch, const struct wisp_bus_message *message)
{
    struct wisp_str prefix = wisp_str_from(watch->prefix);
    if (!wisp_str_starts_with(message->subject, prefix)) return;
    struct wisp_str key = {message->subject.ptr + prefix.len, message->subject.len - prefix.len};
    if (wisp_state_js_is_marker(message)) {
        wisp_keyvalue_watch_deleted(watch->watch, key);
        return;
    }
    struct wisp_keyvalue_change *change = wisp_keyvalue_watch_set(watch->watch, key);
    struct wisp_bytes value = {(const uint8_t *)(message->payload.len ? message->payload.ptr : ""),
                               message->payload.len};
    if (change) wisp_keyvalue_change_end(change, value);
}

static void on_delivery(const struct wisp_bus_message *message, void *env)
{
    struct wisp_nats_watch *watch = env;
    struct wisp_state_js_position position;
    struct wisp_err err = {0};
    watch->heard_ms = uv_now(watch->provider->loop);
    if (message->status == STATUS_CONTROL) {
        struct wisp_str to =
            message->reply.len ? message->reply : wisp_bus_header_get(message, "Nats-Consumer-Stalled");
        if (to.len) (void)!wisp_bus_publish(watch->bus, to, WISP_STR(""), NULL, 0, WISP_STR(""), &err);
        return;
    }
    if (message->status || wisp_state_js_parse_position(message->reply, &position, NULL) < 0) return;
    if (position.consumer_sequence != watch->consumer_next++) { /* some are missing */
        leave(watch);
        return;
    }
    if (position.stream_sequence < watch->next) return;
    watch->next = position.stream_sequence + 1;
    tell(watch, message);
}

/* NULL: it failed, and is tried again later. */
static json_t *take_answer(struct wisp_nats_watch *watch, const struct wisp_bus_message *message,
                           const struct wisp_err *failure)
{
    struct wisp_err err = {0};
    json_t *answer = NULL;
    watch->request = NULL;
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : wisp_state_js_parse(message->payload, &answer, &err);
    if (r == 0) return answer;
    leave(watch);
    if (r == -WISP_ERR_NOT_FOUND) watch->next = 1; /* all that the bucket has when it is there */
    if (!watch->is_told_missing)
        WISP_LOG(WARN, "keyvalue", "keys can't be watched yet", WISP_BYTES("provider", watch->provider->id),
                 WISP_TEXT("bucket", watch->bucket), WISP_TEXT("error", err.text));
    watch->is_told_missing = true;
    return NULL;
}

static void on_consumer(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct wisp_nats_watch *watch = env;
    WISP_CLEANUP_JSON json_t *answer = take_answer(watch, message, failure);
    if (!answer) return;
    if (watch->is_told_missing)
        WISP_LOG(INFO, "keyvalue", "keys are watched", WISP_BYTES("provider", watch->provider->id),
                 WISP_TEXT("bucket", watch->bucket));
    watch->is_told_missing = false;
}

static void make_consumer(struct wisp_nats_watch *watch)
{
    WISP_CLEANUP_BUF struct wisp_buf payload = {0};
    char inbox[WISP_BUS_INBOX_MAX];
    struct wisp_err err = {0};
    wisp_bus_unique_subject(watch->bus, inbox);
    wisp_bus_unsubscribe(WISP_TAKE(watch->subscription));
    if (wisp_bus_subscribe(watch->bus, wisp_str_from(inbox), WISP_STR(""), on_delivery, watch, &watch->subscription,
                           &err) < 0)
        return;
    json_t *config = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:b, s:I, s:i, s:b, s:i}", "deliver_subject", inbox,   //
                               "deliver_policy", "by_start_sequence", "opt_start_seq", (json_int_t)watch->next,       //
                               "ack_policy", "none", "filter_subject", watch->filter, "replay_policy", "instant",     //
                               "flow_control", 1, "idle_heartbeat", (json_int_t)WISP_STATE_JS_HEARTBEAT_MS * 1000000, //
                               "max_deliver", 1, "mem_storage", 1, "num_replicas", 1);
    WISP_CLEANUP_JSON json_t *request = json_pack("{s:s+, s:o}", "stream_name", "KV_", watch->bucket, "config", config);
    wisp_json_print(request, &payload);
    watch->consumer_next = 1;
    watch->heard_ms = uv_now(watch->provider->loop);
    ask(watch, "CONSUMER.CREATE", wisp_buf_str(&payload), on_consumer);
}

static void on_info(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct wisp_nats_watch *watch = env;
    WISP_CLEANUP_JSON json_t *answer = take_answer(watch, message, failure);
    if (!answer) return;
    uint64_t last = wisp_json_u64(json_object_get(answer, "state"), "last_seq", 0);
    if (!watch->next) watch->next = last + 1;
    if (watch->next > last + 1) watch->next = 1; /* another bucket of the same name */
    make_consumer(watch);
}

static void begin(struct wisp_nats_watch *watch)
{
    if (wisp_bus_client_state(watch->bus) != WISP_BUS_CONNECTED) return;
    leave(watch);
    ask(watch, "STREAM.INFO", WISP_STR(""), on_info);
}

static void on_tick(uv_timer_t *timer)
{
    struct wisp_nats_watch *watch = timer->data;
    bool is_silent = watch->subscription && uv_now(timer->loop) - watch->heard_ms > SILENCE_MS;
    if (!watch->request && (!watch->subscription || is_silent)) begin(watch);
}

static void on_bus_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    struct wisp_nats_watch *watch = env;
    (void)reason;
    if (state == WISP_BUS_RECONNECTING) leave(watch);
    if (state == WISP_BUS_CONNECTED) begin(watch);
}

/* --- life --- */

static int read_settings(struct wisp_nats_watch *watch, const struct wisp_settings *settings, struct wisp_err *err)
{
    struct wisp_str domain = wisp_settings_get(settings, "js_domain");
    struct wisp_str bucket = wisp_settings_get(settings, "bucket");
    WISP_CLEANUP_BUF struct wisp_buf api = {0}, prefix = {0}, filter = {0};
    if (!bucket.len) bucket = WISP_STR("default");
    if (domain.len && !wisp_nats_is_name(domain)) return wisp_err_set(err, WISP_ERR_INVALID, "`js_domain` is no name");
    if (!wisp_nats_is_name(bucket)) return wisp_err_set(err, WISP_ERR_INVALID, "`bucket` is no name of a bucket");
    wisp_buf_printf(&api, domain.len ? "$JS.%.*s.API" : "$JS.API%.*s", WISP_STR_ARG(domain));
    wisp_buf_printf(&prefix, "$KV.%.*s.", WISP_STR_ARG(bucket));
    watch->api = wisp_mem_dup(wisp_buf_str(&api));
    watch->bucket = wisp_mem_dup(bucket);
    watch->prefix = wisp_mem_dup(wisp_buf_str(&prefix));
    /* Servers before 2.10 know one filter only. */
    size_t n;
    const struct wisp_keyvalue_watched *keys = wisp_keyvalue_watch_keys(watch->watch, &n);
    for (size_t i = 0; i < n; i++)
        if (!wisp_state_key_is_valid(keys[i].key))
            return wisp_err_set(err, WISP_ERR_INVALID, "`watch`: `%.*s` is no key for NATS", WISP_STR_ARG(keys[i].key));
    wisp_buf_append_str(&filter, wisp_buf_str(&prefix));
    wisp_buf_append_str(&filter, n == 1 ? keys[0].key : WISP_STR(">"));
    watch->filter = wisp_mem_dup(wisp_buf_str(&filter));
    return 0;
}

int wisp_nats_watch_new(struct wisp_nats_watch **ret_watch, const struct wisp_provider_link *link,
                        struct wisp_bus_client *bus, struct wisp_err *err)
{
    struct wisp_nats_watch *watch = wisp_mem_calloc(1, sizeof *watch);
    struct wisp_str bucket = wisp_settings_get(&link->settings, "bucket");
    watch->provider = link->provider;
    watch->bus = bus;
    watch->timer = wisp_mem_calloc(1, sizeof *watch->timer);
    uv_timer_init(link->provider->loop, watch->timer);
    watch->timer->data = watch;
    watch->states = (struct wisp_bus_watch){.on_state = on_bus_state, .env = watch};
    wisp_bus_client_watch(bus, &watch->states);
    int r = wisp_keyvalue_watch_new(&watch->watch, link, bucket.len ? bucket : WISP_STR("default"), err);
    if (r == 0) r = read_settings(watch, &link->settings, err);
    if (r < 0) {
        wisp_nats_watch_free(watch);
        return r;
    }
    uv_timer_start(watch->timer, on_tick, 0, TICK_MS);
    *ret_watch = watch;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle) { free(handle); }

void wisp_nats_watch_free(struct wisp_nats_watch *watch)
{
    if (!watch) return;
    leave(watch);
    wisp_bus_client_unwatch(watch->bus, &watch->states);
    uv_close((uv_handle_t *)watch->timer, on_timer_closed);
    wisp_keyvalue_watch_free(watch->watch);
    free(watch->api);
    free(watch->bucket);
    free(watch->prefix);
    free(watch->filter);
    free(watch);
}
