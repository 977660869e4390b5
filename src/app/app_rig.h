/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: managers in the small world of app_rig_world.h, and questions to them. */
#pragma once

#include "app/app_rig_world.h"

/* --- requests --- */

static inline void rig_reply(size_t manager, uint64_t id, json_t *reply_taken)
{
    struct wisp_app_done done = {.reply.payload = wisp_str_from(rig_print_taken(reply_taken))};
    wisp_app_on_done(rig.managers[manager].app, rig.now, id, &done);
}

static inline void rig_time_out(size_t manager, uint64_t id)
{
    struct wisp_app_done done = {0};
    wisp_err_set(&done.err, WISP_ERR_TIMEOUT, "no answer");
    wisp_app_on_done(rig.managers[manager].app, rig.now, id, &done);
}

static inline void rig_wait_for_time_out(size_t manager, const struct wisp_app_action *action)
{
    CHECK(rig.n_pending < RIG_PENDING_MAX);
    rig.pending[rig.n_pending++] = (struct rig_pending){manager, action->id, rig.now.now_ms + action->timeout_ms};
}

static inline json_t *rig_yes(void) { return json_pack("{s:b, s:s}", "success", 1, "message", ""); }

static inline void rig_ask_host(size_t manager, const struct wisp_app_action *action, const char *tail,
                                const json_t *payload)
{
    const char *id = strrchr(tail, '.') + 1;
    struct rig_host *host = rig_host(id);
    bool is_get = strncmp(tail, "host.get", 8) == 0;
    if (!host || !host->is_up || (!is_get && host->mood == RIG_SILENT)) {
        rig_wait_for_time_out(manager, action);
        return;
    }
    if (is_get) {
        json_t *answer = rig_yes();
        json_object_set_new(answer, "response", rig_inventory(host));
        rig_reply(manager, action->id, answer);
        return;
    }
    bool refuses = host->mood == RIG_REFUSES;
    uint64_t call = action->id;
    rig_reply(manager, call, json_pack("{s:b, s:s}", "success", !refuses, "message", refuses ? "no room" : ""));
    rig_do(host, tail, payload);
}

static inline void rig_request(size_t manager, const struct wisp_app_action *action)
{
    static const char prefix[] = "wasmbus.ctl.v1.default.";
    const char *subject = rig_text(action->subject), *text = rig_text(action->payload);
    WISP_CLEANUP_JSON json_t *payload = *text ? rig_parse(text) : NULL;
    if (strncmp(subject, "wadm.api.", 9) == 0) {
        const char *reply = wisp_arena_printf(&rig.arena, "manager.%zu.%llu", manager, (unsigned long long)action->id);
        rig_deliver(subject, reply, text);
        return;
    }
    CHECK(strncmp(subject, prefix, sizeof prefix - 1) == 0);
    const char *tail = subject + sizeof prefix - 1;
    bool is_get = strncmp(tail, "host.get", 8) == 0;
    rig.n_commands += !is_get;
    rig.n_asked[manager] += is_get;
    if (!is_get) CHECK(wisp_app_is_leading(rig.managers[manager].app));
    if (strncmp(tail, "config.", 7) && strncmp(tail, "link.", 5)) {
        rig_ask_host(manager, action, tail, payload);
        return;
    }
    bool is_put = strstr(tail, ".put");
    rig_reply(manager, action->id, rig_yes());
    if (tail[0] == 'l')
        rig_link(payload, is_put);
    else
        rig_change(1, tail + 11, is_put ? text : NULL);
}

static inline void rig_ping(const char *reply)
{
    for (size_t i = 0; i < rig.n_hosts; i++) {
        if (!rig.hosts[i].is_up) continue;
        json_t *answer = rig_yes();
        json_object_set_new(answer, "response", json_pack("{s:s}", "id", rig.hosts[i].id));
        rig_deliver(reply, "", rig_print_taken(answer));
    }
}

/* To one that asked as a client of the API does. */
static inline void rig_answer_manager(const char *subject, const char *payload)
{
    size_t manager;
    unsigned long long id;
    struct wisp_app_done done = {.reply.payload = wisp_str_from(payload)};
    if (sscanf(subject, "manager.%zu.%llu", &manager, &id) == 2 && rig.managers[manager].app)
        wisp_app_on_done(rig.managers[manager].app, rig.now, id, &done);
}

static inline void rig_publish(size_t manager, const struct wisp_app_action *action)
{
    const char *subject = rig_text(action->subject), *payload = rig_text(action->payload);
    CHECK(rig.n_said < RIG_SAID_MAX);
    rig.said[rig.n_said++] = (struct rig_said){subject, payload, manager};
    if (strstr(subject, ".host.ping")) rig_ping(rig_text(action->reply));
    if (strstr(subject, ".alive.") || strstr(subject, ".who") || strstr(subject, "wadm.status."))
        rig_deliver(subject, "", payload);
    rig_answer_manager(subject, payload);
}

static inline bool rig_take_one(size_t i)
{
    struct rig_manager *manager = &rig.managers[i];
    struct wisp_app_action action;
    if (!manager->app || !wisp_app_next_action(manager->app, &action)) return false;
    if (action.kind == WISP_APP_LOG) rig.n_logs++;
    if (wisp_str_is(action.subject, "wasmbus.evt.default.*")) manager->follows = action.kind == WISP_APP_SUBSCRIBE;
    if (action.kind == WISP_APP_LOG && getenv("RIG_LOG"))
        printf("  %llu m%zu: %.*s\n", (unsigned long long)rig.now.now_ms, i, WISP_STR_ARG(action.text));
    if (action.kind == WISP_APP_PUBLISH && manager->is_on_bus) rig_publish(i, &action);
    if (action.kind == WISP_APP_REQUEST && manager->is_on_bus) rig_request(i, &action);
    if (action.kind == WISP_APP_REQUEST && !manager->is_on_bus) rig_wait_for_time_out(i, &action);
    if (action.kind == WISP_APP_STATE_WRITE && !manager->holds_writes) rig_write(i, &action);
    return true;
}

static inline void rig_run(void)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < RIG_MANAGERS; i++)
            while (rig_take_one(i)) more = true;
    }
}

/* --- time --- */

static inline uint64_t rig_next(void)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < RIG_MANAGERS; i++)
        if (rig.managers[i].app && wisp_app_next_tick_ms(rig.managers[i].app) < next)
            next = wisp_app_next_tick_ms(rig.managers[i].app);
    for (size_t i = 0; i < rig.n_pending; i++)
        if (rig.pending[i].due_ms < next) next = rig.pending[i].due_ms;
    for (size_t i = 0; i < rig.n_hosts; i++)
        if (rig.hosts[i].beat_ms < next) next = rig.hosts[i].beat_ms;
    return next;
}

static inline void rig_due(void)
{
    for (size_t i = 0; i < rig.n_pending; i++) {
        struct rig_pending pending = rig.pending[i];
        if (pending.due_ms > rig.now.now_ms) continue;
        rig.pending[i--] = rig.pending[--rig.n_pending];
        if (rig.managers[pending.manager].app) rig_time_out(pending.manager, pending.id);
    }
    for (size_t i = 0; i < rig.n_hosts; i++) {
        struct rig_host *host = &rig.hosts[i];
        if (host->beat_ms > rig.now.now_ms) continue;
        host->beat_ms += 30000;
        rig_heartbeat(host);
    }
    for (size_t i = 0; i < RIG_MANAGERS; i++)
        if (rig.managers[i].app) wisp_app_on_tick(rig.managers[i].app, rig.now);
    rig_run();
}

static inline void rig_go_to(uint64_t ms)
{
    rig.now.wall_ns += (int64_t)(ms - rig.now.now_ms) * 1000000;
    rig.now.now_ms = ms;
}

/* Time passes, tick by tick. */
static inline void rig_wait(uint64_t ms)
{
    uint64_t end = rig.now.now_ms + ms, n = 0;
    rig_run();
    for (uint64_t next; (next = rig_next()) <= end;) {
        if (next > rig.now.now_ms) rig_go_to(next);
        rig_due();
        CHECK(++n < 100 + ms); /* it never ticks without end */
    }
    rig_go_to(end);
}

/* --- managers --- */

static inline void rig_start_manager(size_t i)
{
    static const char *const ids[] = {"A", "B", "C", "D"};
    struct wisp_err err = {0};
    struct wisp_app_options options = {.host_id = ids[i], .seed = i + 1, .lease_ms = rig.lease_ms};
    CHECK_OK(wisp_app_new(&rig.managers[i].app, &options, rig.now, &err), &err);
    rig.managers[i].is_on_bus = true;
    wisp_app_on_bus(rig.managers[i].app, rig.now, true);
    rig_load(i);
    rig_run();
}

/* It is gone without a word. */
static inline void rig_kill_manager(size_t i)
{
    wisp_app_free(rig.managers[i].app);
    rig.managers[i] = (struct rig_manager){0};
    for (size_t k = 0; k < rig.n_pending; k++)
        if (rig.pending[k].manager == i) rig.pending[k--] = rig.pending[--rig.n_pending];
}

static inline int rig_leader(void)
{
    int leader = -1;
    for (int i = 0; i < RIG_MANAGERS; i++)
        if (rig.managers[i].app && wisp_app_is_leading(rig.managers[i].app)) {
            CHECK(leader < 0);
            leader = i;
        }
    return leader;
}

static inline void rig_new(void)
{
    memset(&rig, 0, sizeof rig);
    rig.now = (struct wisp_app_now){.now_ms = 1000, .wall_ns = 1767225600000000000};
    for (int i = 0; i < RIG_BUCKETS; i++) rig.store[i] = json_object();
    /* A lattice that has been there for a while. */
    rig_set(2, "wisp.default.lease",
            "{\"host\": \"OLD\", \"epoch\": \"0123456789abcdef\", \"began\": 1700000000, \"released\": true}");
}

static inline void rig_free(void)
{
    for (size_t i = 0; i < RIG_MANAGERS; i++)
        if (rig.managers[i].app) rig_kill_manager(i);
    for (size_t i = 0; i < rig.n_hosts; i++) {
        json_decref(rig.hosts[i].labels);
        json_decref(rig.hosts[i].components);
        json_decref(rig.hosts[i].providers);
        json_decref(rig.hosts[i].waiting);
    }
    for (int i = 0; i < RIG_BUCKETS; i++) json_decref(rig.store[i]);
    wisp_arena_deinit(&rig.arena);
}

/* --- asking --- */

static inline const char *rig_said_last(const char *subject)
{
    for (size_t i = rig.n_said; i-- > 0;)
        if (strcmp(rig.said[i].subject, subject) == 0) return rig.said[i].payload;
    return NULL;
}

static inline size_t rig_said_count(const char *subject)
{
    size_t n = 0;
    for (size_t i = 0; i < rig.n_said; i++) n += strcmp(rig.said[i].subject, subject) == 0;
    return n;
}

/* Asks; the answer comes to the subject that is returned. */
static inline const char *rig_send(const char *tail, const char *payload)
{
    const char *reply = wisp_arena_printf(&rig.arena, "reply.%u", ++rig.n_replies);
    rig_deliver(wisp_arena_printf(&rig.arena, "wadm.api.default.model.%s", tail), reply, payload);
    rig_run();
    return reply;
}

static inline json_t *rig_answer(const char *reply)
{
    CHECK_INT(rig_said_count(reply), 1);
    return rig_parse(rig_said_last(reply));
}

static inline json_t *rig_ask(const char *tail, const char *payload) { return rig_answer(rig_send(tail, payload)); }

static inline void rig_check_json(const json_t *actual, const char *expected, const char *file, int line)
{
    char *text = wisp_arena_cstr(&rig.arena, wisp_str_from(expected));
    for (char *at = text; *at; at++)
        if (*at == '\'') *at = '"';
    WISP_CLEANUP_JSON json_t *wanted = rig_parse(text);
    if (!json_equal(actual, wanted))
        wisp_test_fail(file, line, "JSON is\n  %s\nexpected\n  %s",
                       actual ? rig_print_taken(json_incref((json_t *)(uintptr_t)actual)) : "(none)", text);
}
#define CHECK_JSON(actual, expected) rig_check_json(actual, expected, __FILE__, __LINE__)

/* A field of the answer. */
static inline const char *rig_ask_for(const char *tail, const char *payload, const char *field)
{
    WISP_CLEANUP_JSON json_t *answer = rig_ask(tail, payload);
    return rig_text(wisp_json_str(answer, field));
}

/* As the API says it. */
static inline const char *rig_state_of(const char *name)
{
    WISP_CLEANUP_JSON json_t *answer = rig_ask(wisp_arena_printf(&rig.arena, "status.%s", name), "");
    const json_t *status = json_object_get(json_object_get(answer, "status"), "status");
    return rig_text(wisp_json_str(status, "type"));
}

static inline const char *rig_message_of(const char *name)
{
    WISP_CLEANUP_JSON json_t *answer = rig_ask(wisp_arena_printf(&rig.arena, "status.%s", name), "");
    const json_t *status = json_object_get(json_object_get(answer, "status"), "status");
    return rig_text(wisp_json_str(status, "message"));
}

/* In all. */
static inline uint64_t rig_count(const char *id)
{
    uint64_t n = 0;
    for (size_t i = 0; i < rig.n_hosts; i++)
        if (rig.hosts[i].is_up)
            n += wisp_json_u64(json_object_get(rig.hosts[i].components, id), "max_instances", 0) +
                 (json_object_get(rig.hosts[i].providers, id) ? 1 : 0);
    return n;
}

/* --- stories --- */

static inline void rig_deploy(const char *name, const char *manifest)
{
    CHECK(strcmp(rig_ask_for("put", manifest, "result"), "error") != 0);
    CHECK_TEXT(rig_ask_for(wisp_arena_printf(&rig.arena, "deploy.%s", name), "", "result"), "acknowledged");
}

/* Three hosts of our kind, D and E of the original's. */
static inline void rig_begin(size_t n_managers)
{
    static const char *const ids[] = {"A", "B", "C", "D", "E"};
    rig_new();
    for (size_t i = 0; i < WISP_COUNT(ids); i++) rig_add_host(ids[i], i < 3 ? "{\"kind\": \"ours\"}" : "{}");
    for (size_t i = n_managers; i < 3; i++) rig.hosts[i].is_up = false;
    for (size_t i = 0; i < n_managers; i++) rig_start_manager(i);
    rig_wait(2000);
    CHECK(rig_leader() >= 0);
}

static inline void rig_kill_host(size_t i)
{
    rig.hosts[i].is_up = false;
    if (i < RIG_MANAGERS && rig.managers[i].app) rig_kill_manager(i);
}

static inline void rig_all_are(enum rig_mood mood)
{
    for (size_t i = 0; i < rig.n_hosts; i++) rig.hosts[i].mood = mood;
}
