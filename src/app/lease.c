/* SPDX-License-Identifier: Apache-2.0 */
/* Who leads: whoever holds the lease, a key that is written anew every third of its time.
 *
 *     wisp.{lattice}.lease   {"host": "N...", "epoch": "...", "began": 1767225600, "standbys": ["N...", ...],
 *                             "released": true if given up}
 *
 * Nobody compares clocks of different hosts: a follower waits from when it saw the last change, a leader counts from
 * when it asked for it, which was earlier, and stops at two thirds. A lease that vanishes was lost with the state: who
 * held it stops at once, and nobody takes it before its time would have been over.
 *
 * The standbys know what happens in the lattice as the leader does; the others give them time to take over before they
 * try, for these would have to ask every host.
 *
 * The epoch is made with the first lease and handed on: who finds another one than it remembers knows that the state
 * was lost in between, and that what is missing was deleted by nobody. */
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/lease_priv.h"
#include "app/output_priv.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { YOUNG_S = 600, JITTER_MS = 100, OTHERS_DOUBT_MS = 15000 };

bool wisp_app_lease_is_valid(const struct wisp_app *app)
{
    const struct wisp_app_lease *lease = &app->lease;
    return lease->is_held && app->is_connected && app->is_current &&
           app->now.now_ms - lease->renewed_ms < app->lease_ms * 2 / 3;
}

static uint64_t wall_s(const struct wisp_app *app) { return (uint64_t)(app->now.wall_ns / 1000000000); }

bool wisp_app_lease_is_young(const struct wisp_app *app)
{
    uint64_t now_s = wall_s(app);
    return now_s < app->lease.began_s || now_s - app->lease.began_s < YOUNG_S;
}

static void lost(struct wisp_app *app, const char *why)
{
    if (!app->lease.is_held) return;
    app->lease.is_held = false;
    app->lease.was_others = true; /* what was under way is forgotten */
    wisp_app_log(app, WISP_LOG_WARN, "this host does not manage the applications any more: %s", why);
}

static void won(struct wisp_app *app)
{
    if (app->lease.is_held) return;
    app->lease.is_held = true;
    app->lease.term++;
    wisp_app_log(app, WISP_LOG_INFO, "this host manages the applications of lattice `%s`", app->lattice);
    app->store_ms = 0;
    if (app->lease.was_others) app->sure_ms = app->now.now_ms + OTHERS_DOUBT_MS;
    app->lease.was_others = false;
}

static bool has_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)) && strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    return false;
}

/* --- writing --- */

/* May take over from this one. */
static bool can_stand_by(const struct wisp_app *app, const struct wisp_app_known_host *host)
{
    return host->beat_ms && !host->host.is_unknown && !host->host.is_draining && !host->is_passive &&
           !wisp_str_is(host->host.id, app->host_id);
}

/* Those that were standbys stay it. */
static json_t *choose_standbys(struct wisp_app *app)
{
    json_t *list = json_array();
    char(*standbys)[WISP_APP_HOST_ID_MAX + 1] = app->lease.standbys;
    for (size_t i = 0; i < WISP_APP_STANDBYS; i++) {
        const struct wisp_app_known_host *host = wisp_app_host_find(app, wisp_str_from(standbys[i]));
        if (host && can_stand_by(app, host)) json_array_append_new(list, wisp_json_text(host->host.id));
        standbys[i][0] = '\0';
    }
    for (const struct wisp_app_known_host *host = app->first_host; host; host = host->next) {
        bool is_full = json_array_size(list) >= WISP_APP_STANDBYS;
        if (!is_full && can_stand_by(app, host) && !has_text(list, host->id))
            json_array_append_new(list, wisp_json_text(host->host.id));
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        snprintf(standbys[i], sizeof standbys[i], "%s", json_string_value(json_array_get(list, i)));
    return list;
}

static json_t *make_value(struct wisp_app *app)
{
    struct wisp_app_lease *lease = &app->lease;
    if (!lease->epoch[0]) {
        uint64_t random = wisp_app_random(app) << 32 ^ wisp_app_random(app);
        snprintf(lease->epoch, sizeof lease->epoch, "%016llx", (unsigned long long)random);
        lease->began_s = wall_s(app);
    }
    return json_pack("{s:s, s:s, s:I, s:o}", "host", app->host_id, "epoch", lease->epoch, "began",
                     (json_int_t)lease->began_s, "standbys", choose_standbys(app));
}

static struct wisp_str key_of(struct wisp_app *app, struct wisp_buf *out)
{
    wisp_buf_printf(out, "wisp.%s.lease", app->lattice);
    return wisp_buf_str(out);
}

/* `number`: when it was sent. */
static void on_written(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    struct wisp_app_lease *lease = &app->lease;
    lease->is_writing = false;
    lease->next_ms = app->now.now_ms + app->lease_ms / 3;
    if (done->err.kind == WISP_ERR_EXISTS) lost(app, "another one has taken that over");
    if (done->err.kind || app->is_stopped || !app->is_current) return;
    if (done->revision > lease->revision) lease->revision = done->revision;
    lease->renewed_ms = note->number;
    lease->next_ms = note->number + app->lease_ms / 3;
    snprintf(app->epoch, sizeof app->epoch, "%s", lease->epoch);
    won(app);
}

static void write_lease(struct wisp_app *app)
{
    struct wisp_app_lease *lease = &app->lease;
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    WISP_CLEANUP_JSON json_t *value = make_value(app);
    lease->is_writing = true;
    wisp_app_write(app, key_of(app, &key), value, lease->revision, on_written,
                   (struct wisp_app_note){.number = app->now.now_ms});
}

static void on_released(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    (void)app;
    (void)done;
    (void)note;
}

void wisp_app_lease_release(struct wisp_app *app)
{
    if (!wisp_app_lease_is_valid(app)) return;
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    WISP_CLEANUP_JSON json_t *value = make_value(app);
    json_object_set_new(value, "released", json_true());
    app->lease.is_held = false;
    wisp_app_write(app, key_of(app, &key), value, app->lease.revision, on_released, (struct wisp_app_note){0});
}

/* --- what the state says --- */

static void take_standbys(struct wisp_app *app, const json_t *list)
{
    struct wisp_app_lease *lease = &app->lease;
    for (size_t i = 0; i < WISP_APP_STANDBYS; i++) {
        const char *id = json_string_value(json_array_get(list, i));
        snprintf(lease->standbys[i], sizeof lease->standbys[i], "%s", id ? id : "");
    }
    lease->is_named = has_text(list, app->host_id);
}

static void take_value(struct wisp_app *app, const json_t *value)
{
    struct wisp_app_lease *lease = &app->lease;
    struct wisp_str epoch = wisp_json_str(value, "epoch");
    bool is_ours = wisp_str_is(wisp_json_str(value, "host"), app->host_id),
         is_released = wisp_json_bool(value, "released", false);
    snprintf(lease->epoch, sizeof lease->epoch, "%.*s", WISP_STR_ARG(epoch));
    lease->began_s = wisp_json_u64(value, "began", 0);
    if (app->is_current) snprintf(app->epoch, sizeof app->epoch, "%s", lease->epoch);
    take_standbys(app, json_object_get(value, "standbys"));
    lease->is_others = !is_ours;
    if (!is_ours) lost(app, "another one has taken that over");
    if (!is_ours) lease->was_others = !is_released;
    /* Ours: of an earlier life of this host, or a moment ago; nobody else can have it. */
    if (is_ours || is_released)
        lease->free_ms = app->now.now_ms + (is_ours ? 0 : wisp_app_random(app) % JITTER_MS);
    else
        lease->free_ms = app->now.now_ms + app->lease_ms;
    if (!is_ours && !lease->is_named && lease->standbys[0][0]) lease->free_ms += app->lease_ms / 2;
}

void wisp_app_lease_reset(struct wisp_app *app)
{
    struct wisp_app_lease *lease = &app->lease;
    lost(app, "the lease has vanished with the state");
    lease->revision = 0;
    lease->is_others = false;
    lease->epoch[0] = '\0';
    lease->free_ms = app->now.now_ms + app->lease_ms + wisp_app_random(app) % JITTER_MS;
}

void wisp_app_lease_on_state(struct wisp_app *app, const struct wisp_str *value, uint64_t revision)
{
    struct wisp_app_lease *lease = &app->lease;
    WISP_CLEANUP_JSON json_t *json = NULL;
    bool is_old = app->is_current && revision && revision <= lease->revision;
    if (is_old) return;
    if (!value) {
        wisp_app_lease_reset(app);
        return;
    }
    lease->revision = revision;
    if (wisp_json_parse(*value, &json, NULL) < 0) json = json_null();
    take_value(app, json);
}

/* --- time --- */

uint64_t wisp_app_lease_tick(struct wisp_app *app)
{
    struct wisp_app_lease *lease = &app->lease;
    if (lease->is_held && !wisp_app_lease_is_valid(app)) lost(app, "the lease could not be renewed in time");
    if (app->is_passive || app->is_stopped || !app->is_connected || !app->is_current) return UINT64_MAX;
    uint64_t end = lease->is_held ? lease->renewed_ms + app->lease_ms * 2 / 3 : UINT64_MAX;
    if (lease->is_writing) return end;
    uint64_t due = lease->is_held || lease->next_ms > lease->free_ms ? lease->next_ms : lease->free_ms;
    if (app->now.now_ms < due) return wisp_app_sooner(due, end);
    write_lease(app);
    return end;
}
