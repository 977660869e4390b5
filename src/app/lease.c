/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads: whoever holds the lease, a key that is written anew every third of its time. Nobody compares clocks of
 * different hosts: a follower waits from when it saw the last change, a leader counts from when it asked for it, which
 * was earlier, and stops at two thirds. */
#include "app/app_priv.h"

#include "base/log.h"

#include <stdlib.h>

static struct wisp_str key_of(struct wisp_app *app, struct wisp_buf *out)
{
    wisp_buf_printf(out, "wisp.%s.lease", app->lattice);
    return wisp_buf_str(out);
}

bool wisp_app_lease_is_valid(const struct wisp_app *app)
{
    const struct wisp_app_lease *lease = &app->lease;
    return lease->is_held && app->is_connected && app->is_reachable &&
           app->now.now_ms - lease->renewed_ms < app->lease_ms * 2 / 3;
}

static void lost(struct wisp_app *app, const char *why)
{
    if (!app->lease.is_held) return;
    app->lease.is_held = false;
    wisp_app_items_forget(app);
    wisp_app_log(app, WISP_LOG_WARN, "applications are managed by another host now: %s", why);
}

static void won(struct wisp_app *app)
{
    if (app->lease.is_held) return;
    app->lease.is_held = true;
    wisp_app_log(app, WISP_LOG_INFO, "this host manages the applications of lattice `%s`", app->lattice);
    wisp_app_items_forget(app);
    wisp_app_hosts_ask(app);
    wisp_app_store_repair(app);
    wisp_app_touch(app);
}

struct writing {
    uint64_t sent_ms;
};

static void on_written(struct wisp_app *app, const struct wisp_app_done *done, void *env)
{
    struct writing *writing = env;
    struct wisp_app_lease *lease = &app->lease;
    uint64_t sent_ms = writing->sent_ms;
    free(writing);
    lease->is_writing = false;
    lease->next_ms = app->now.now_ms + app->lease_ms / 3;
    if (done->err.kind == WISP_ERR_NONE) {
        lease->renewed_ms = sent_ms;
        if (done->revision > lease->revision) lease->revision = done->revision;
        lease->seen_ms = app->now.now_ms;
        if (!app->is_stopped) won(app);
    } else if (done->err.kind == WISP_ERR_EXISTS) {
        lost(app, "it has taken the lease");
        lease->next_ms = app->now.now_ms + 50; /* by then its change has come */
    }
}

static void write_lease(struct wisp_app *app)
{
    struct wisp_app_lease *lease = &app->lease;
    struct writing *writing = wisp_mem_calloc(1, sizeof *writing);
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    WISP_CLEANUP_JSON json_t *value = json_pack("{s:s}", "host", app->host_id);
    writing->sent_ms = app->now.now_ms;
    lease->is_writing = true;
    wisp_app_write(app, key_of(app, &key), value, (int64_t)lease->revision, on_written, writing);
}

void wisp_app_lease_on_state(struct wisp_app *app, const struct wisp_str *value, uint64_t revision)
{
    struct wisp_app_lease *lease = &app->lease;
    WISP_CLEANUP_JSON json_t *json = NULL;
    if (value && revision <= lease->revision) return; /* our own, known already */
    lease->revision = value ? revision : 0;
    lease->seen_ms = app->now.now_ms;
    bool is_ours =
        value && wisp_json_parse(*value, &json, NULL) == 0 && wisp_str_is(wisp_json_str(json, "host"), app->host_id);
    if (value && !is_ours) lost(app, "it has taken the lease");
    if (!value) { /* given up, or lost with the bucket: not all at once */
        app->random = app->random * 6364136223846793005u + 1442695040888963407u;
        lease->seen_ms = 0;
        lease->next_ms = app->now.now_ms + (app->random >> 33) % 100;
    }
}

uint64_t wisp_app_lease_tick(struct wisp_app *app)
{
    struct wisp_app_lease *lease = &app->lease;
    if (lease->is_held && !wisp_app_lease_is_valid(app)) lost(app, "the lease could not be renewed in time");
    if (app->is_passive || app->is_stopped || !app->is_loaded || !app->is_connected || !app->is_reachable)
        return UINT64_MAX;
    if (lease->is_writing) return lease->is_held ? lease->renewed_ms + app->lease_ms * 2 / 3 : UINT64_MAX;
    uint64_t due = lease->next_ms;
    if (!lease->is_held && lease->revision && lease->seen_ms + app->lease_ms > due)
        due = lease->seen_ms + app->lease_ms;
    if (app->now.now_ms < due) return due;
    write_lease(app);
    return UINT64_MAX;
}

static void on_dropped(struct wisp_app *app, const struct wisp_app_done *done, void *env)
{
    (void)app;
    (void)done;
    (void)env;
}

void wisp_app_lease_drop(struct wisp_app *app)
{
    if (!app->lease.is_held) return;
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    app->lease.is_held = false;
    wisp_app_write(app, key_of(app, &key), NULL, (int64_t)app->lease.revision, on_dropped, NULL);
}
