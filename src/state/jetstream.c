/* SPDX-License-Identifier: Apache-2.0 */
/* Each bucket on its own goes round: is it there (INFO), else make it (CREATE); have it delivered from the beginning
 * (CONSUMER.CREATE); follow it until something is missing. Then once more: what has been told already is not told
 * again, and what is not there any more is gone. */
#include "state/jetstream_wire.h"
#include "state/state_priv.h"

#include "base/log.h"
#include "base/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_MAX_SIZE = 160,
    PREFIX_MAX = 320,
    API_TIMEOUT_MS = 5000,
    SILENCE_MS = WISP_STATE_JS_HEARTBEAT_MS * 2 + 1000,
    INFO_EVERY_TICKS = 3, /* of a heartbeat each: deletions by `stream purge` leave no message */
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 4000,
};

enum step { STEP_STOPPED, STEP_ASKING, STEP_LOADING, STEP_CURRENT };

struct jetstream;

struct bucket {
    struct jetstream *jetstream;
    enum wisp_state_bucket number;
    char name[NAME_MAX_SIZE];
    char prefix[PREFIX_MAX];     /* of keys in messages: "$KV.NAME." */
    char put_prefix[PREFIX_MAX]; /* where they are written to */
    enum step step;
    struct wisp_bus_request *request;
    struct wisp_bus_subscription *delivery;
    uv_timer_t timer;
    uint64_t retry_ms;
    uint64_t heard_ms;
    unsigned n_ticks;
    uint64_t consumer_sequence, last_revision, n_to_load;
    bool knows_to_load;  /* the consumer's creation has been answered */
    char created[64];    /* of the stream; another one: somebody made it anew */
    uint32_t n_replicas; /* 0: not known yet */
};

struct put {
    struct put *prev, *next;
    struct bucket *bucket;
    struct wisp_bus_request *request;
    wisp_state_on_written *on_written;
    void *env;
    struct wisp_str key, value; /* behind the struct */
    bool has_value;
    int64_t expected;
};

struct jetstream {
    struct wisp_state state;
    struct wisp_state_view view;
    struct wisp_bus_watch watch;
    char api[NAME_MAX_SIZE]; /* "$JS.API" */
    struct bucket buckets[WISP_STATE_BUCKET_COUNT];
    struct put *puts;
};

static void begin(struct bucket *bucket);

static struct wisp_bus_client *bus_of(const struct bucket *bucket) { return bucket->jetstream->state.bus; }

/* --- one bucket --- */

static void stop_bucket(struct bucket *bucket)
{
    wisp_bus_request_cancel(WISP_TAKE(bucket->request));
    wisp_bus_unsubscribe(WISP_TAKE(bucket->delivery));
    uv_timer_stop(&bucket->timer);
    bucket->step = STEP_STOPPED;
}

static struct bucket *bucket_of(uv_timer_t *timer) { return WISP_OWNER(timer, struct bucket, timer); }

static void on_retry(uv_timer_t *timer) { begin(bucket_of(timer)); }

static void lose(struct bucket *bucket, const struct wisp_err *reason)
{
    stop_bucket(bucket);
    wisp_state_tell_reachable(&bucket->jetstream->state, false, reason);
    if (bucket->jetstream->state.is_closed) return;
    uv_timer_start(&bucket->timer, on_retry, bucket->retry_ms, 0);
    bucket->retry_ms = bucket->retry_ms * 2 < RETRY_MAX_MS ? bucket->retry_ms * 2 : RETRY_MAX_MS;
}

static int ask(struct bucket *bucket, const char *what, struct wisp_str payload, wisp_bus_on_reply *on_reply,
               struct wisp_err *err)
{
    char subject[PREFIX_MAX];
    int n = snprintf(subject, sizeof subject, "%s.%s.KV_%s", bucket->jetstream->api, what, bucket->name);
    return wisp_bus_request(bus_of(bucket), (struct wisp_str){subject, (size_t)n}, NULL, 0, payload, API_TIMEOUT_MS,
                            on_reply, bucket, &bucket->request, err);
}

/* The answer, or the error: nobody answers when JetStream is off. */
static int read_answer(struct bucket *bucket, const struct wisp_bus_message *message, const struct wisp_err *failure,
                       json_t **ret_answer, struct wisp_err *err)
{
    *ret_answer = NULL;
    bucket->request = NULL;
    if (!failure) return wisp_state_js_parse(message->payload, ret_answer, err);
    *err = *failure;
    return wisp_err_wrap(err, "JetStream does not answer");
}

static bool are_all_current(const struct jetstream *jetstream)
{
    for (int i = 0; i < WISP_STATE_BUCKET_COUNT; i++)
        if (jetstream->buckets[i].step != STEP_CURRENT) return false;
    return true;
}

static void finish_loading(struct bucket *bucket)
{
    struct jetstream *jetstream = bucket->jetstream;
    bucket->step = STEP_CURRENT;
    bucket->retry_ms = RETRY_MIN_MS;
    wisp_state_view_end(&jetstream->view, bucket->number);
    if (!are_all_current(jetstream)) return;
    wisp_state_tell_reachable(&jetstream->state, true, NULL);
    wisp_state_tell_loaded(&jetstream->state);
}

/* --- watching over it --- */

/* What is told to be gone until it has been read was perhaps deleted by nobody: the reader must know. */
static void begin_again(struct bucket *bucket, const char *why)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "bucket %s is read again: %s", bucket->name, why);
    wisp_state_tell_reachable(&bucket->jetstream->state, false, &err);
    if (!bucket->jetstream->state.is_closed) begin(bucket);
}

static bool has_lost_keys(const struct bucket *bucket, const json_t *stream_state)
{
    uint64_t first = wisp_json_u64(stream_state, "first_seq", 0), last = wisp_json_u64(stream_state, "last_seq", 0);
    if (last < bucket->last_revision) return true;
    const struct wisp_state_entry *entry = bucket->jetstream->view.table.first;
    while (entry && (entry->bucket != bucket->number || entry->revision >= first)) entry = entry->next;
    return entry;
}

static void on_watched_info(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct bucket *bucket = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    int r = read_answer(bucket, message, failure, &answer, &err);
    if (r == -WISP_ERR_NOT_FOUND)
        begin_again(bucket, "it was removed");
    else if (r == 0 && !wisp_str_is(wisp_json_str(answer, "created"), bucket->created))
        begin_again(bucket, "it was made anew");
    else if (r == 0 && has_lost_keys(bucket, json_object_get(answer, "state")))
        begin_again(bucket, "it was purged");
    /* No answer shows by the missing heartbeats, too, if it matters. */
}

static void on_tick(uv_timer_t *timer)
{
    struct bucket *bucket = bucket_of(timer);
    struct wisp_err err = {0};
    if (uv_hrtime() / 1000000 - bucket->heard_ms > SILENCE_MS)
        begin_again(bucket, "it is silent");
    else if (bucket->step == STEP_CURRENT && !bucket->request && ++bucket->n_ticks % INFO_EVERY_TICKS == 0 &&
             ask(bucket, "STREAM.INFO", WISP_STR(""), on_watched_info, &err) < 0)
        lose(bucket, &err);
}

/* --- what is delivered --- */

static void grant(struct bucket *bucket, struct wisp_str subject)
{
    const struct wisp_str none = {0};
    /* Without it no more comes, which shows. */
    if (subject.len) (void)!wisp_bus_publish(bus_of(bucket), subject, none, NULL, 0, none, NULL);
}

static void on_control(struct bucket *bucket, const struct wisp_bus_message *message)
{
    uint64_t last = 0;
    struct wisp_str sequence = wisp_bus_header_get(message, "Nats-Last-Consumer");
    if (message->status != 100) {
        begin_again(bucket, "the consumer is gone");
        return;
    }
    if (message->reply.len) {
        grant(bucket, message->reply);
        return;
    }
    grant(bucket, wisp_bus_header_get(message, "Nats-Consumer-Stalled"));
    if (!sequence.len) return;
    if (wisp_parse_u64(sequence, UINT64_MAX, &last, NULL) < 0 || last != bucket->consumer_sequence)
        begin_again(bucket, "a message was missed");
    else if (bucket->step == STEP_LOADING && bucket->knows_to_load)
        finish_loading(bucket); /* idle: there is no more */
}

/* Other lattices have keys in it too. */
static bool is_ours(const struct bucket *bucket, struct wisp_str key)
{
    struct wisp_str lattice = wisp_str_from(bucket->jetstream->state.lattice), own = WISP_STR("wisp.");
    char after = '-';
    if (bucket->number != WISP_STATE_MANIFESTS) return true;
    if (wisp_str_starts_with(key, own)) {
        key = (struct wisp_str){key.ptr + own.len, key.len - own.len};
        after = '.';
    }
    if (!wisp_str_starts_with(key, lattice)) return false;
    return key.len == lattice.len || key.ptr[lattice.len] == after;
}

static int take_value(struct bucket *bucket, const struct wisp_bus_message *message, uint64_t revision,
                      struct wisp_err *err)
{
    struct wisp_state_view *view = &bucket->jetstream->view;
    struct wisp_str prefix = wisp_str_from(bucket->prefix), key;
    if (!wisp_str_starts_with(message->subject, prefix)) return 0;
    key = (struct wisp_str){message->subject.ptr + prefix.len, message->subject.len - prefix.len};
    if (!wisp_state_key_is_valid(key) || !is_ours(bucket, key)) return 0;
    if (wisp_state_js_is_marker(message)) {
        wisp_state_view_delete(view, bucket->number, key, revision);
    } else if (message->payload.len > WISP_STATE_VALUE_MAX) {
        WISP_LOG(WARN, "state", "a value is too large and is ignored", WISP_BYTES("key", key));
    } else {
        return wisp_state_view_put(view, bucket->number, key, message->payload, revision, err);
    }
    return 0;
}

static void on_delivery(const struct wisp_bus_message *message, void *env)
{
    struct bucket *bucket = env;
    struct wisp_state_js_position position;
    struct wisp_err err = {0};
    bucket->heard_ms = uv_hrtime() / 1000000;
    if (message->status) {
        on_control(bucket, message);
        return;
    }
    if (wisp_state_js_parse_position(message->reply, &position, &err) < 0) return;
    if (position.consumer_sequence != bucket->consumer_sequence + 1) {
        begin_again(bucket, "a message was missed");
        return;
    }
    bucket->consumer_sequence = position.consumer_sequence;
    if (position.stream_sequence > bucket->last_revision) bucket->last_revision = position.stream_sequence;
    int r = take_value(bucket, message, position.stream_sequence, &err);
    if (bucket->jetstream->state.is_closed) return;
    if (r < 0)
        lose(bucket, &err);
    else if (bucket->step == STEP_LOADING && position.pending == 0)
        finish_loading(bucket);
}

/* --- the way to it --- */

static void on_consumer(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct bucket *bucket = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    if (read_answer(bucket, message, failure, &answer, &err) < 0) {
        lose(bucket, &err);
        return;
    }
    bucket->knows_to_load = true;
    if (bucket->step == STEP_LOADING && !bucket->consumer_sequence && !wisp_json_u64(answer, "num_pending", 1))
        finish_loading(bucket);
}

static int consume(struct bucket *bucket, struct wisp_err *err)
{
    char subject[WISP_BUS_INBOX_MAX];
    WISP_CLEANUP_BUF struct wisp_buf config = {0};
    wisp_bus_unique_subject(bus_of(bucket), subject);
    wisp_state_js_consumer_config(bucket->name, subject, &config);
    bucket->step = STEP_LOADING;
    bucket->consumer_sequence = bucket->last_revision = bucket->n_ticks = 0;
    bucket->knows_to_load = false;
    bucket->heard_ms = uv_hrtime() / 1000000;
    wisp_state_view_begin(&bucket->jetstream->view, bucket->number);
    uv_timer_start(&bucket->timer, on_tick, WISP_STATE_JS_HEARTBEAT_MS, WISP_STATE_JS_HEARTBEAT_MS);
    int r = wisp_bus_subscribe(bus_of(bucket), wisp_str_from(subject), WISP_STR(""), on_delivery, bucket,
                               &bucket->delivery, err);
    return r < 0 ? r : ask(bucket, "CONSUMER.CREATE", wisp_buf_str(&config), on_consumer, err);
}

static void on_made(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct bucket *bucket = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    int r = read_answer(bucket, message, failure, &answer, &err);
    if (r == 0 || r == -WISP_ERR_EXISTS) /* somebody else was quicker */
        begin(bucket);
    else
        lose(bucket, &err);
}

/* The bucket of manifests is there as long as those of the lattice are, which somebody may have made with replicas. */
static int make_stream(struct bucket *bucket, struct wisp_err *err)
{
    bool is_shared = bucket->number == WISP_STATE_MANIFESTS;
    uint32_t n_replicas = is_shared ? bucket->jetstream->buckets[WISP_STATE_LATTICE].n_replicas : 1;
    if (!n_replicas) { /* soon */
        stop_bucket(bucket);
        uv_timer_start(&bucket->timer, on_retry, RETRY_MIN_MS, 0);
        return 0;
    }
    WISP_CLEANUP_BUF struct wisp_buf config = {0};
    wisp_state_js_stream_config(bucket->name, n_replicas, &config);
    return ask(bucket, "STREAM.CREATE", wisp_buf_str(&config), on_made, err);
}

static void on_info(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct bucket *bucket = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    int r = read_answer(bucket, message, failure, &answer, &err);
    if (r == -WISP_ERR_NOT_FOUND) {
        r = make_stream(bucket, &err);
    } else if (r == 0) {
        struct wisp_str created = wisp_json_str(answer, "created");
        bucket->n_replicas = (uint32_t)wisp_json_u64(json_object_get(answer, "config"), "num_replicas", 1);
        snprintf(bucket->created, sizeof bucket->created, "%.*s", WISP_STR_ARG(created));
        r = consume(bucket, &err);
    }
    if (r < 0) lose(bucket, &err);
}

static void begin(struct bucket *bucket)
{
    struct wisp_err err = {0};
    stop_bucket(bucket);
    if (wisp_bus_client_state(bus_of(bucket)) != WISP_BUS_CONNECTED) return; /* on_bus_state goes on */
    bucket->step = STEP_ASKING;
    if (ask(bucket, "STREAM.INFO", WISP_STR(""), on_info, &err) < 0) lose(bucket, &err);
}

static void on_bus_state(enum wisp_bus_state bus_state, const struct wisp_err *reason, void *env)
{
    struct jetstream *jetstream = env;
    bool is_there = bus_state == WISP_BUS_CONNECTED;
    if (bus_state == WISP_BUS_CONNECTING) return;
    if (!is_there) wisp_state_tell_reachable(&jetstream->state, false, reason);
    for (int i = 0; i < WISP_STATE_BUCKET_COUNT && !jetstream->state.is_closed; i++) {
        if (is_there)
            begin(&jetstream->buckets[i]);
        else
            stop_bucket(&jetstream->buckets[i]);
    }
}

/* --- writing --- */

static void put_free(struct put *put)
{
    if (put->prev)
        put->prev->next = put->next;
    else
        put->bucket->jetstream->puts = put->next;
    if (put->next) put->next->prev = put->prev;
    free(put);
}

static void put_done(struct put *put, uint64_t revision, const struct wisp_err *err)
{
    struct wisp_state *state = &put->bucket->jetstream->state;
    wisp_state_on_written *on_written = put->on_written;
    void *env = put->env;
    put_free(put);
    wisp_state_tell_written(state, on_written, env, revision, err);
}

static int put_send(struct put *put, struct wisp_err *err);

/* The key is not there, and yet has a last sequence: that of the mark its deletion left. */
static void on_last(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct put *put = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    uint64_t sequence = 0;
    put->request = NULL;
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : wisp_state_js_parse(message->payload, &answer, &err);
    if (r == 0) r = wisp_state_js_parse_marker(answer, &sequence, &err);
    if (r == 0 && !sequence) r = wisp_err_set(&err, WISP_ERR_EXISTS, "`%.*s` is there already", WISP_STR_ARG(put->key));
    if (r == 0) {
        put->expected = (int64_t)sequence;
        r = put_send(put, &err);
    }
    if (r < 0) put_done(put, 0, &err);
}

static int ask_for_last(struct put *put, struct wisp_err *err)
{
    struct bucket *bucket = put->bucket;
    char subject[PREFIX_MAX];
    WISP_CLEANUP_BUF struct wisp_buf key = {0}, payload = {0};
    wisp_buf_printf(&key, "%s%.*s", bucket->prefix, WISP_STR_ARG(put->key));
    wisp_state_js_get_last(wisp_buf_str(&key), &payload);
    int n = snprintf(subject, sizeof subject, "%s.STREAM.MSG.GET.KV_%s", bucket->jetstream->api, bucket->name);
    return wisp_bus_request(bus_of(bucket), (struct wisp_str){subject, (size_t)n}, NULL, 0, wisp_buf_str(&payload),
                            API_TIMEOUT_MS, on_last, put, &put->request, err);
}

static void on_put(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct put *put = env;
    struct bucket *bucket = put->bucket;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    put->request = NULL;
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : wisp_state_js_parse(message->payload, &answer, &err);
    if (r == -WISP_ERR_EXISTS && put->expected == 0) {
        r = ask_for_last(put, &err);
        if (r == 0) return;
    }
    /* Nobody takes it: the bucket is not there. */
    bool is_gone = r == -WISP_ERR_UNAVAILABLE && bucket->step == STEP_CURRENT;
    put_done(put, wisp_json_u64(answer, "seq", 0), r < 0 ? &err : NULL);
    if (is_gone && !bucket->jetstream->state.is_closed) begin_again(bucket, "a write was not taken");
}

static int put_send(struct put *put, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    char expected[24];
    struct wisp_bus_header headers[3];
    size_t n = 0;
    snprintf(expected, sizeof expected, "%" PRId64, put->expected);
    if (put->expected >= 0)
        headers[n++] =
            (struct wisp_bus_header){WISP_STR("Nats-Expected-Last-Subject-Sequence"), wisp_str_from(expected)};
    if (!put->has_value) {
        headers[n++] = (struct wisp_bus_header){WISP_STR("KV-Operation"), WISP_STR("PURGE")};
        headers[n++] = (struct wisp_bus_header){WISP_STR("Nats-Rollup"), WISP_STR("sub")};
    }
    wisp_buf_printf(&subject, "%s%.*s", put->bucket->put_prefix, WISP_STR_ARG(put->key));
    return wisp_bus_request(bus_of(put->bucket), wisp_buf_str(&subject), headers, n, put->value, API_TIMEOUT_MS, on_put,
                            put, &put->request, err);
}

static void jetstream_write(struct wisp_state *state, enum wisp_state_bucket bucket, struct wisp_str key,
                            const struct wisp_str *value, int64_t expected, wisp_state_on_written *on_written,
                            void *env)
{
    struct jetstream *jetstream = (struct jetstream *)state;
    struct wisp_err err = {0};
    size_t value_len = value ? value->len : 0;
    struct put *put = wisp_mem_calloc(1, sizeof *put + key.len + value_len);
    char *text = (char *)(put + 1);
    memcpy(text, key.ptr, key.len);
    if (value_len) memcpy(text + key.len, value->ptr, value_len);
    *put = (struct put){.next = jetstream->puts,
                        .bucket = &jetstream->buckets[bucket],
                        .on_written = on_written,
                        .env = env,
                        .key = {text, key.len},
                        .value = {text + key.len, value_len},
                        .has_value = value,
                        .expected = expected < 0 ? WISP_STATE_ANY_REVISION : expected};
    if (jetstream->puts) jetstream->puts->prev = put;
    jetstream->puts = put;
    int r = wisp_bus_client_state(state->bus) == WISP_BUS_CONNECTED
                ? put_send(put, &err)
                : wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "the lattice's state can't be reached");
    if (r == 0) return;
    put_free(put);
    wisp_state_defer(state, on_written, env, 0, &err);
}

/* --- life --- */

static void jetstream_stop(struct wisp_state *state)
{
    struct jetstream *jetstream = (struct jetstream *)state;
    wisp_bus_client_unwatch(state->bus, &jetstream->watch);
    while (jetstream->puts) {
        wisp_bus_request_cancel(jetstream->puts->request);
        put_free(jetstream->puts);
    }
    for (int i = 0; i < WISP_STATE_BUCKET_COUNT; i++) {
        stop_bucket(&jetstream->buckets[i]);
        wisp_state_close_handle(state, (uv_handle_t *)&jetstream->buckets[i].timer);
    }
}

static void jetstream_free(struct wisp_state *state)
{
    struct jetstream *jetstream = (struct jetstream *)state;
    wisp_state_table_deinit(&jetstream->view.table);
    free(jetstream);
}

static const struct wisp_state_ops ops = {jetstream_write, NULL, jetstream_stop, jetstream_free};

static void init_bucket(struct jetstream *jetstream, int number, const char *lattice, const char *js_domain)
{
    bool is_shared = number == WISP_STATE_MANIFESTS;
    const char *kind = is_shared ? "wadm_manifests" : number == WISP_STATE_LATTICE ? "LATTICEDATA_" : "CONFIGDATA_";
    const char *suffix = is_shared ? "" : lattice;
    struct bucket *bucket = &jetstream->buckets[number];
    bucket->jetstream = jetstream;
    bucket->number = (enum wisp_state_bucket)number;
    bucket->retry_ms = RETRY_MIN_MS;
    snprintf(bucket->name, sizeof bucket->name, "%s%s", kind, suffix);
    snprintf(bucket->prefix, sizeof bucket->prefix, "$KV.%s%s.", kind, suffix);
    if (js_domain)
        snprintf(bucket->put_prefix, sizeof bucket->put_prefix, "$JS.%s.API.$KV.%s%s.", js_domain, kind, suffix);
    else
        memcpy(bucket->put_prefix, bucket->prefix, sizeof bucket->prefix);
    uv_timer_init(jetstream->state.loop, &bucket->timer);
    bucket->timer.data = &jetstream->state;
    jetstream->state.n_open_handles++;
    uv_timer_start(&bucket->timer, on_retry, 0, 0);
}

static int check_domain(const char *js_domain, struct wisp_err *err)
{
    struct wisp_str domain = wisp_str_from(js_domain);
    if (!js_domain || (domain.len <= 100 && wisp_bus_subject_is_valid(domain) && !memchr(domain.ptr, '.', domain.len)))
        return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "not a name for a JetStream domain: `%s`", js_domain);
}

int wisp_state_open_jetstream(struct wisp_state **ret_state, uv_loop_t *loop, struct wisp_bus_client *bus,
                              const char *js_domain, const struct wisp_state_options *options, struct wisp_err *err)
{
    if (js_domain && !*js_domain) js_domain = NULL;
    int r = check_domain(js_domain, err);
    if (r < 0) return r;
    struct jetstream *jetstream = wisp_mem_calloc(1, sizeof *jetstream);
    r = wisp_state_init(&jetstream->state, &ops, loop, bus, options, err);
    if (r < 0) {
        free(jetstream);
        return r;
    }
    jetstream->view.state = &jetstream->state;
    snprintf(jetstream->api, sizeof jetstream->api, js_domain ? "$JS.%s.API" : "$JS.API%s", js_domain ? js_domain : "");
    for (int i = 0; i < WISP_STATE_BUCKET_COUNT; i++) init_bucket(jetstream, i, options->lattice, js_domain);
    jetstream->watch = (struct wisp_bus_watch){.on_state = on_bus_state, .env = jetstream};
    wisp_bus_client_watch(bus, &jetstream->watch);
    *ret_state = &jetstream->state;
    return 0;
}
