/* SPDX-License-Identifier: Apache-2.0 */
#include "app/app_priv.h"

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
    app->lease_ms = options->lease_ms ? options->lease_ms : 3000;
    app->reconcile_ms = options->reconcile_ms ? options->reconcile_ms : 30000;
    app->command_timeout_ms = options->command_timeout_ms ? options->command_timeout_ms : 2000;
    app->host_lease_ms = options->host_lease_ms;
    app->apps_max = options->apps_max ? options->apps_max : 10000;
    app->versions_max = options->versions_max ? options->versions_max : 100;
    app->is_passive = options->is_passive;
    app->random = options->seed * 2 + 1;
    app->now = now;
    app->items_ms = UINT64_MAX;
    *ret_app = app;
    return 0;
}

void wisp_app_free(struct wisp_app *app)
{
    if (!app) return;
    wisp_app_run_deinit(app);
    wisp_app_store_deinit(app);
    wisp_app_view_deinit(app);
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
    if (now.now_ms > app->now.now_ms) app->now = now;
}

static void settle(struct wisp_app *app)
{
    app->next_ms = wisp_app_lease_tick(app);
    uint64_t hosts_ms = wisp_app_hosts_tick(app);
    wisp_app_run_tick(app);
    uint64_t run_ms = wisp_app_run_next(app);
    if (hosts_ms < app->next_ms) app->next_ms = hosts_ms;
    if (run_ms < app->next_ms) app->next_ms = run_ms;
}

void wisp_app_on_tick(struct wisp_app *app, struct wisp_app_now now)
{
    advance(app, now);
    settle(app);
}

uint64_t wisp_app_next_tick_ms(const struct wisp_app *app) { return app->next_ms; }

/* --- in --- */

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

void wisp_app_on_message(struct wisp_app *app, struct wisp_app_now now, const struct wisp_bus_message *message)
{
    advance(app, now);
    if (is_below(message->subject, "wasmbus.evt.", ".", app))
        wisp_app_hosts_on_event(app, message);
    else if (is_below(message->subject, "wisp.app.", ".alive.", app))
        wisp_app_hosts_on_beat(app, message);
    else if (is_below(message->subject, "wisp.app.", ".pong.", app))
        wisp_app_hosts_on_pong(app, message);
    else
        wisp_app_api_on_message(app, message);
    settle(app);
}

void wisp_app_on_state(struct wisp_app *app, struct wisp_app_now now, int bucket, struct wisp_str key,
                       const struct wisp_str *value, uint64_t revision)
{
    advance(app, now);
    if (bucket == WISP_APP_BUCKET_MANIFESTS)
        wisp_app_store_on_state(app, key, value, revision);
    else
        wisp_app_view_on_state(app, bucket, key, value);
    if (app->is_loaded) settle(app);
}

void wisp_app_on_state_loaded(struct wisp_app *app, struct wisp_app_now now)
{
    advance(app, now);
    app->is_loaded = app->is_reachable = true;
    wisp_app_store_repair(app);
    wisp_app_touch(app);
    settle(app);
}

void wisp_app_on_state_reachable(struct wisp_app *app, struct wisp_app_now now, bool is_reachable)
{
    advance(app, now);
    app->is_reachable = is_reachable;
    settle(app);
}

void wisp_app_on_state_opened(struct wisp_app *app, struct wisp_app_now now)
{
    advance(app, now);
    app->is_loaded = false;
    app->lease = (struct wisp_app_lease){0};
    app->index_revision = 0;
    json_decref(WISP_TAKE(app->index));
    /* What will not be told again is not there, or was lost with the state before. */
    for (struct wisp_app_record *record = app->first_record; record; record = record->next) {
        record->revision = 0;
        record->is_lost = !record->is_deleting;
    }
}

static void subscribe(struct wisp_app *app, const char *format, const char *text, const char *more)
{
    struct wisp_app_queued *queued = wisp_app_emit(app, WISP_APP_SUBSCRIBE);
    queued->action.subject =
        wisp_str_from(wisp_arena_printf(&queued->arena, "%s%s%s%s", format, text, more ? "." : "", more ? more : ""));
}

static void subscribe_all(struct wisp_app *app)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    if (app->has_subscribed) return;
    app->has_subscribed = true;
    subscribe(app, "wasmbus.evt.", app->lattice, "*");
    subscribe(app, "wisp.app.", app->lattice, "alive.*");
    wisp_buf_printf(&text, "%s.pong.%s", app->lattice, app->host_id);
    wisp_buf_append_char(&text, 0);
    subscribe(app, "wisp.app.", text.data, NULL);
    text.len = 0;
    wisp_buf_printf(&text, "%s.%s.>", app->api_prefix, app->lattice);
    wisp_buf_append_char(&text, 0);
    if (!app->is_passive) subscribe(app, text.data, "", NULL);
}

void wisp_app_on_bus(struct wisp_app *app, struct wisp_app_now now, bool is_connected)
{
    advance(app, now);
    bool is_back = is_connected && !app->is_connected;
    app->is_connected = is_connected;
    if (is_back) {
        subscribe_all(app);
        /* Nobody could be heard: their silence begins now. */
        for (struct wisp_app_known_host *host = app->first_host; host; host = host->next) {
            host->heard_ms = app->now.now_ms;
            if (host->beat_ms) host->beat_ms = app->now.now_ms;
        }
        app->beat_ms = 0;
        wisp_app_hosts_ask(app);
        wisp_app_touch(app);
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
    app->is_stopped = true;
    wisp_app_lease_drop(app);
}

bool wisp_app_is_leading(const struct wisp_app *app) { return wisp_app_lease_is_valid(app); }
