/* SPDX-License-Identifier: Apache-2.0 */
#include "app/api_priv.h"
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/lease_priv.h"
#include "app/output_priv.h"
#include "app/run_priv.h"
#include "app/status_priv.h"
#include "app/store_priv.h"

#include <stdlib.h>

static char *text_or(const char *text, const char *otherwise)
{
    return wisp_mem_dup(wisp_str_from(text && *text ? text : otherwise));
}

int wisp_app_new(struct wisp_app **ret_app, const struct wisp_app_options *options, struct wisp_app_now now,
                 struct wisp_err *err)
{
    if (!options->host_id || !*options->host_id)
        return wisp_err_set(err, WISP_ERR_INVALID, "a manager of applications needs the id of its host");
    struct wisp_app *app = wisp_mem_calloc(1, sizeof *app);
    app->lattice = text_or(options->lattice, "default");
    app->ctl_prefix = text_or(options->ctl_prefix, "wasmbus.ctl");
    app->api_prefix = text_or(options->api_prefix, "wadm.api");
    app->host_id = text_or(options->host_id, "");
    app->lease_ms = options->lease_ms ? options->lease_ms : 2000;
    app->reconcile_ms = options->reconcile_ms ? options->reconcile_ms : 30000;
    app->command_timeout_ms = options->command_timeout_ms ? options->command_timeout_ms : 2000;
    app->host_lease_ms = options->host_lease_ms;
    app->apps_max = options->apps_max ? options->apps_max : 10000;
    app->versions_max = options->versions_max ? options->versions_max : 100;
    app->is_passive = options->is_passive;
    app->random = options->seed * 2 + 1;
    app->now = now;
    wisp_ring_init(&app->touched_first);
    wisp_ring_init(&app->touched_then);
    *ret_app = app;
    return 0;
}

void wisp_app_free(struct wisp_app *app)
{
    if (!app) return;
    app->lease.is_held = false; /* so that nothing is touched or asked any more */
    wisp_app_api_deinit(app);
    wisp_app_run_deinit(app);
    wisp_app_store_deinit(app);
    wisp_app_view_clear(app);
    wisp_app_hosts_deinit(app);
    wisp_app_output_deinit(app);
    free(app->lattice);
    free(app->ctl_prefix);
    free(app->api_prefix);
    free(app->host_id);
    free(app);
}

/* --- time --- */

static void advance(struct wisp_app *app, struct wisp_app_now now)
{
    if (now.now_ms >= app->now.now_ms) app->now = now;
}

static void look_who_leads(struct wisp_app *app)
{
    bool has_ended = app->term && (!app->lease.is_held || app->lease.term != app->term);
    if (has_ended) {
        wisp_app_run_end(app);
        wisp_app_api_refuse_all(app);
        app->term = 0;
    }
    if (!app->lease.is_held || app->term) return;
    app->term = app->lease.term;
    wisp_app_run_begin(app);
}

static void settle(struct wisp_app *app)
{
    uint64_t next = wisp_app_lease_tick(app);
    look_who_leads(app);
    wisp_app_api_go_on(app);
    if (app->lease.is_held || app->lease.is_named)
        wisp_app_hosts_follow(app, true);
    else if (app->lease.is_others)
        wisp_app_hosts_follow(app, false);
    next = wisp_app_sooner(next, wisp_app_hosts_tick(app));
    next = wisp_app_sooner(next, wisp_app_store_tick(app));
    app->next_ms = wisp_app_sooner(next, wisp_app_run_tick(app));
}

void wisp_app_on_tick(struct wisp_app *app, struct wisp_app_now now)
{
    advance(app, now);
    settle(app);
}

uint64_t wisp_app_next_tick_ms(const struct wisp_app *app) { return app->next_ms; }

/* --- messages --- */

/* The subject is `first`, the lattice, `then`, and something after that. */
static bool is_below(struct wisp_str subject, const char *first, const char *then, const struct wisp_app *app)
{
    const char *const parts[] = {first, app->lattice, then};
    for (size_t i = 0; i < WISP_COUNT(parts); i++) {
        struct wisp_str part = wisp_str_from(parts[i]);
        if (!wisp_str_starts_with(subject, part)) return false;
        subject = (struct wisp_str){subject.ptr + part.len, subject.len - part.len};
    }
    return true;
}

static void take_message(struct wisp_app *app, const struct wisp_bus_message *message)
{
    bool is_event = is_below(message->subject, "wasmbus.evt.", ".", app),
         is_beat = is_below(message->subject, "wisp.app.", ".alive.", app),
         is_pong = is_below(message->subject, "wisp.app.", ".pong.", app),
         is_status = is_below(message->subject, "wadm.status.", ".", app);
    if (!is_event && !is_beat && !is_pong && !is_status) wisp_app_api_on_message(app, message);
    if (!app->follows) return; /* it may just have ended */
    if (is_event) wisp_app_on_event(app, message);
    if (is_beat) wisp_app_hosts_on_beat(app, message);
    if (is_pong) wisp_app_hosts_on_pong(app, message);
    if (is_status) wisp_app_status_on_message(app, message);
}

void wisp_app_on_message(struct wisp_app *app, struct wisp_app_now now, const struct wisp_bus_message *message)
{
    advance(app, now);
    if (is_below(message->subject, "wisp.app.", ".who", app))
        app->beat_ms = 0;
    else if (!app->is_passive)
        take_message(app, message);
    settle(app);
}

static void subscribe(struct wisp_app *app, struct wisp_buf *subject)
{
    struct wisp_app_queued *queued = wisp_app_emit(app, WISP_APP_SUBSCRIBE);
    queued->action.subject = wisp_arena_str(&queued->arena, wisp_buf_str(subject));
    subject->len = 0;
}

static void subscribe_all(struct wisp_app *app)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    if (app->has_subscribed) return;
    app->has_subscribed = true;
    wisp_buf_printf(&subject, "wisp.app.%s.who", app->lattice);
    subscribe(app, &subject);
    if (app->is_passive) return;
    wisp_buf_printf(&subject, "wisp.app.%s.pong.%s", app->lattice, app->host_id);
    subscribe(app, &subject);
    wisp_buf_printf(&subject, "%s.%s.>", app->api_prefix, app->lattice);
    subscribe(app, &subject);
}

void wisp_app_on_bus(struct wisp_app *app, struct wisp_app_now now, bool is_connected)
{
    advance(app, now);
    bool is_back = is_connected && !app->is_connected;
    app->is_connected = is_connected;
    if (is_back) {
        app->beat_ms = 0;
        subscribe_all(app);
        if (app->follows) wisp_app_hosts_begin(app);
    }
    settle(app);
}

/* --- the state --- */

void wisp_app_on_state(struct wisp_app *app, struct wisp_app_now now, int bucket, struct wisp_str key,
                       const struct wisp_str *value, uint64_t revision)
{
    advance(app, now);
    if (app->is_passive) return;
    if (bucket == WISP_APP_BUCKET_MANIFESTS)
        wisp_app_store_on_state(app, key, value, revision);
    else
        wisp_app_view_on_state(app, bucket, key, value);
    if (app->is_current) settle(app);
}

void wisp_app_on_state_loaded(struct wisp_app *app, struct wisp_app_now now)
{
    advance(app, now);
    if (app->is_passive) return;
    wisp_app_store_on_loaded(app);
    app->is_current = app->was_current = true;
    settle(app);
}

void wisp_app_on_state_reachable(struct wisp_app *app, struct wisp_app_now now, bool is_reachable)
{
    advance(app, now);
    if (!is_reachable) app->is_current = false; /* until it is loaded again */
    settle(app);
}

void wisp_app_on_state_opened(struct wisp_app *app, struct wisp_app_now now)
{
    advance(app, now);
    app->is_current = false;
    if (app->was_current) {
        wisp_app_lease_reset(app);
        wisp_app_store_on_opened(app);
        wisp_app_view_clear(app);
    }
    settle(app);
}

void wisp_app_on_done(struct wisp_app *app, struct wisp_app_now now, uint64_t id, const struct wisp_app_done *done)
{
    advance(app, now);
    wisp_app_calls_done(app, id, done);
    settle(app);
}

void wisp_app_stop(struct wisp_app *app, struct wisp_app_now now)
{
    advance(app, now);
    if (app->is_stopped) return;
    app->is_stopped = true;
    wisp_app_hosts_say_draining(app);
    wisp_app_lease_release(app);
    settle(app);
}

bool wisp_app_is_leading(const struct wisp_app *app) { return wisp_app_lease_is_valid(app); }
