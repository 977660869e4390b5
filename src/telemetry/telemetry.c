/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/telemetry.h"

#include "telemetry/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    TICK_MS = 1000,
    BATCH_BYTES = 1 << 20,
    QUEUE_BYTES = 4 << 20,
    METRICS_BYTES = 32 << 20, /* all components of a large host */
    RETRY_MIN_MS = 1000,
    RETRY_MAX_MS = 30 * 1000,
    RETRY_AFTER_MAX_MS = 120 * 1000, /* as a collector may ask for */
    BATCH_LIFE_MS = 5 * 60 * 1000,
    STALL_MS = 30 * 1000,
    TIMERS = 3 + WISP_OTLP_SIGNALS,
};

static const char *const signal_names[] = {"traces", "metrics", "logs"};

/* One signal's way out. */
struct channel {
    struct wisp_telemetry *telemetry;
    enum wisp_otlp_signal signal;
    const char *url; /* NULL: not exported */
    struct wisp_telemetry_queue queue;
    struct wisp_buf batch; /* a request's body; empty: none */
    size_t n_in_batch;
    struct wisp_web_request *request; /* NULL: none is on its way */
    uv_timer_t *retry;
    uint64_t retry_ms, give_up_ms;
    uint64_t n_dropped;
    bool is_failing; /* and that was logged */
};

struct wisp_telemetry {
    const struct wisp_telemetry_options *options;
    uv_loop_t *loop;
    struct wisp_web *web;
    uv_timer_t timers[TIMERS];
    uv_timer_t *tick, *collecting, *flushing;
    size_t n_closed;
    struct channel channels[WISP_OTLP_SIGNALS];
    struct wisp_buf resource;
    void (*collect)(void *env);
    void *collect_env;
    void (*on_flushed)(void *env); /* NULL: not flushing */
    void *flushed_env;
};

/* --- items --- */

void wisp_telemetry_add(struct wisp_telemetry *telemetry, enum wisp_otlp_signal signal, struct wisp_str items, size_t n)
{
    struct channel *channel = &telemetry->channels[signal];
    if (channel->url) wisp_telemetry_queue_push(&channel->queue, items, n);
}

void wisp_telemetry_note_dropped(struct wisp_telemetry *telemetry, enum wisp_otlp_signal signal, uint64_t n)
{
    telemetry->channels[signal].n_dropped += n;
}

uint64_t wisp_telemetry_dropped(const struct wisp_telemetry *telemetry, enum wisp_otlp_signal signal)
{
    return telemetry->channels[signal].n_dropped;
}

/* What we say about deliveries that fail is not a thing to be delivered. */
static void on_log(const struct wisp_log_record *record, void *env)
{
    if (strcmp(record->scope, "telemetry") == 0) return;
    WISP_CLEANUP_BUF struct wisp_buf item = {0};
    wisp_otlp_log(&item, record);
    wisp_telemetry_add(env, WISP_OTLP_LOGS, wisp_buf_str(&item), 1);
}

static void collect(struct wisp_telemetry *telemetry)
{
    struct channel *metrics = &telemetry->channels[WISP_OTLP_METRICS];
    if (!metrics->url || !telemetry->collect) return;
    wisp_telemetry_queue_clear(&metrics->queue);
    telemetry->collect(telemetry->collect_env);
}

/* --- one request --- */

static void send_next(struct channel *channel);
static void on_retry(uv_timer_t *timer);

static uint64_t with_jitter(uint64_t ms)
{
    uint32_t number = 0;
    if (getrandom(&number, sizeof number, 0) < 0) number = UINT32_MAX / 2;
    return ms / 2 + ms / 2 * number / UINT32_MAX + 1;
}

static bool may_work_later(long status) { return status == 429 || status == 502 || status == 503 || status == 504; }

static void forget_batch(struct channel *channel)
{
    channel->batch.len = channel->n_in_batch = 0;
    channel->retry_ms = 0;
}

static void check_flushed(struct wisp_telemetry *telemetry)
{
    if (!telemetry->on_flushed) return;
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++)
        if (telemetry->channels[i].batch.len) return;
    uv_timer_stop(telemetry->flushing);
    WISP_TAKE(telemetry->on_flushed)(telemetry->flushed_env);
}

static void on_sent(struct channel *channel)
{
    if (channel->is_failing)
        WISP_LOG(INFO, "telemetry", "the collector takes it again", WISP_TEXT("signal", signal_names[channel->signal]),
                 WISP_INT("dropped", channel->n_dropped));
    channel->is_failing = false;
    forget_batch(channel);
    send_next(channel);
}

static void on_failed(struct channel *channel, bool may_work, uint64_t retry_after_ms, const char *cause)
{
    struct wisp_telemetry *telemetry = channel->telemetry;
    uint64_t now_ms = uv_now(telemetry->loop);
    if (!channel->is_failing)
        WISP_LOG(WARN, "telemetry", may_work ? "not delivered, trying again" : "not delivered",
                 WISP_TEXT("signal", signal_names[channel->signal]), WISP_TEXT("cause", cause));
    channel->is_failing = true;
    if (!may_work || telemetry->on_flushed || now_ms >= channel->give_up_ms) {
        channel->n_dropped += channel->n_in_batch;
        forget_batch(channel);
        if (telemetry->on_flushed) wisp_telemetry_queue_clear(&channel->queue);
        check_flushed(telemetry);
        return;
    }
    channel->retry_ms = channel->retry_ms ? channel->retry_ms * 2 : RETRY_MIN_MS;
    if (channel->retry_ms > RETRY_MAX_MS) channel->retry_ms = RETRY_MAX_MS;
    if (retry_after_ms > RETRY_AFTER_MAX_MS) retry_after_ms = RETRY_AFTER_MAX_MS;
    uint64_t wait_ms = with_jitter(channel->retry_ms);
    uv_timer_start(channel->retry, on_retry, wait_ms > retry_after_ms ? wait_ms : retry_after_ms, 0);
}

static void on_done(const struct wisp_web_response *response, const struct wisp_err *err, void *env)
{
    struct channel *channel = env;
    channel->request = NULL;
    if (err && err->kind) {
        on_failed(channel, err->kind != WISP_ERR_DENIED && err->kind != WISP_ERR_INVALID, 0, err->text);
    } else if (response->status >= 200 && response->status < 300) {
        on_sent(channel);
    } else {
        char cause[48];
        snprintf(cause, sizeof cause, "the collector answers with %ld", response->status);
        on_failed(channel, may_work_later(response->status), response->retry_after_ms, cause);
    }
}

static void post(struct channel *channel)
{
    const struct wisp_telemetry_options *options = channel->telemetry->options;
    channel->request = wisp_web_start(channel->telemetry->web, &(struct wisp_web_ask){
                                                                   .url = channel->url,
                                                                   .timeout_ms = options->timeout_ms,
                                                                   .content_type = "application/x-protobuf",
                                                                   .body = wisp_buf_str(&channel->batch),
                                                                   .headers = options->headers,
                                                                   .n_headers = options->n_headers,
                                                                   .on_done = on_done,
                                                                   .env = channel,
                                                               });
}

/* Unless one is on its way, or waits for its next attempt. */
static void send_next(struct channel *channel)
{
    struct wisp_telemetry *telemetry = channel->telemetry;
    WISP_CLEANUP_BUF struct wisp_buf items = {0};
    channel->n_dropped += wisp_telemetry_queue_take_dropped(&channel->queue);
    if (channel->batch.len) return;
    channel->n_in_batch = wisp_telemetry_queue_take(&channel->queue, &items, BATCH_BYTES);
    if (!channel->n_in_batch) {
        check_flushed(telemetry);
        return;
    }
    wisp_otlp_request(&channel->batch, wisp_buf_str(&telemetry->resource), wisp_buf_str(&items));
    channel->give_up_ms = uv_now(telemetry->loop) + BATCH_LIFE_MS;
    post(channel);
}

/* --- timers --- */

static void on_tick(uv_timer_t *timer)
{
    struct wisp_telemetry *telemetry = timer->data;
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++)
        if (telemetry->channels[i].url) send_next(&telemetry->channels[i]);
}

static void on_collect(uv_timer_t *timer) { collect(timer->data); }

static void on_retry(uv_timer_t *timer)
{
    struct wisp_telemetry *telemetry = timer->data;
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++)
        if (telemetry->channels[i].retry == timer) post(&telemetry->channels[i]);
}

static void on_flush_over(uv_timer_t *timer)
{
    struct wisp_telemetry *telemetry = timer->data;
    if (telemetry->on_flushed) WISP_TAKE(telemetry->on_flushed)(telemetry->flushed_env);
}

void wisp_telemetry_flush(struct wisp_telemetry *telemetry, uint64_t timeout_ms, void (*on_flushed)(void *env),
                          void *env)
{
    collect(telemetry);
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++) {
        struct channel *channel = &telemetry->channels[i];
        if (!channel->url) continue;
        if (uv_is_active((uv_handle_t *)channel->retry)) {
            uv_timer_stop(channel->retry);
            post(channel);
        }
        send_next(channel);
    }
    telemetry->on_flushed = on_flushed;
    telemetry->flushed_env = env;
    uv_timer_start(telemetry->flushing, on_flush_over, timeout_ms, 0);
    check_flushed(telemetry);
}

/* --- life --- */

void wisp_telemetry_set_resource(struct wisp_telemetry *telemetry, const struct wisp_log_field *attributes, size_t n)
{
    const struct wisp_telemetry_options *options = telemetry->options;
    struct wisp_log_field *all = wisp_mem_calloc(options->n_resource + n, sizeof *all);
    if (options->n_resource) memcpy(all, options->resource, options->n_resource * sizeof *all);
    if (n) memcpy(all + options->n_resource, attributes, n * sizeof *all);
    telemetry->resource.len = 0;
    wisp_otlp_resource(&telemetry->resource, all, options->n_resource + n);
    free(all);
}

void wisp_telemetry_set_collect(struct wisp_telemetry *telemetry, void (*collect_)(void *env), void *env)
{
    telemetry->collect = collect_;
    telemetry->collect_env = env;
}

static void init_channels(struct wisp_telemetry *telemetry)
{
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++) {
        struct channel *channel = &telemetry->channels[i];
        channel->telemetry = telemetry;
        channel->signal = (enum wisp_otlp_signal)i;
        channel->url = telemetry->options->urls[i];
        channel->retry = &telemetry->timers[3 + i];
        wisp_telemetry_queue_init(&channel->queue, i == WISP_OTLP_METRICS ? METRICS_BYTES : QUEUE_BYTES);
    }
}

int wisp_telemetry_new(struct wisp_telemetry **ret_telemetry, uv_loop_t *loop,
                       const struct wisp_telemetry_options *options, struct wisp_err *err)
{
    struct wisp_telemetry *telemetry = wisp_mem_calloc(1, sizeof *telemetry);
    const struct wisp_web_options web = {
        .ca_paths = options->ca_paths, .n_ca_paths = options->n_ca_paths, .stall_timeout_ms = STALL_MS};
    int r = wisp_web_new(&telemetry->web, loop, &web, err);
    if (r < 0) {
        free(telemetry);
        return r;
    }
    telemetry->options = options;
    telemetry->loop = loop;
    for (int i = 0; i < TIMERS; i++) {
        uv_timer_init(loop, &telemetry->timers[i]);
        telemetry->timers[i].data = telemetry;
    }
    telemetry->tick = &telemetry->timers[0];
    telemetry->collecting = &telemetry->timers[1];
    telemetry->flushing = &telemetry->timers[2];
    init_channels(telemetry);
    wisp_telemetry_set_resource(telemetry, NULL, 0);
    uv_timer_start(telemetry->tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(telemetry->collecting, on_collect, options->metric_interval_ms, options->metric_interval_ms);
    if (options->urls[WISP_OTLP_LOGS]) wisp_log_set_sink(on_log, telemetry);
    *ret_telemetry = telemetry;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct wisp_telemetry *telemetry = handle->data;
    if (++telemetry->n_closed < TIMERS) return;
    free(telemetry);
}

void wisp_telemetry_free(struct wisp_telemetry *telemetry)
{
    if (!telemetry) return;
    if (telemetry->options->urls[WISP_OTLP_LOGS]) wisp_log_set_sink(NULL, NULL);
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++) {
        struct channel *channel = &telemetry->channels[i];
        wisp_web_cancel(channel->request);
        wisp_telemetry_queue_deinit(&channel->queue);
        wisp_buf_deinit(&channel->batch);
    }
    wisp_buf_deinit(&telemetry->resource);
    wisp_web_free(telemetry->web);
    for (int i = 0; i < TIMERS; i++) uv_close((uv_handle_t *)&telemetry->timers[i], on_closed);
}
