/* SPDX-License-Identifier: Apache-2.0 */
/* The manager from within. */
#pragma once

#include "app/app.h"
#include "base/json.h"
#include "base/ring.h"

enum {
    WISP_APP_HOSTS_MAX = 10000,
    WISP_APP_UNITS_MAX = 10000,  /* components, and providers, of one host */
    WISP_APP_ITEMS_MAX = 100000, /* commands that are under way or held back */
    WISP_APP_LINKS_MAX = 100000,
    WISP_APP_CONFIGS_MAX = 100000,
};

/* --- requests under way (output.c) --- */

typedef void wisp_app_on_outcome(struct wisp_app *app, const struct wisp_app_done *done, void *env);

struct wisp_app_queued {
    struct wisp_app_action action;
    struct wisp_arena arena; /* of what the action points to */
    struct wisp_app_queued *next;
};

/* Adds an action; what it points to is copied to its arena by the functions below. */
struct wisp_app_queued *wisp_app_emit(struct wisp_app *app, enum wisp_app_action_kind kind);
void wisp_app_publish(struct wisp_app *app, struct wisp_str subject, const json_t *payload);
void wisp_app_request(struct wisp_app *app, struct wisp_str subject, const json_t *payload,
                      wisp_app_on_outcome *on_outcome, void *env);
/* `value` NULL deletes. */
void wisp_app_write(struct wisp_app *app, struct wisp_str key, const json_t *value, int64_t expected,
                    wisp_app_on_outcome *on_outcome, void *env);
void wisp_app_log(struct wisp_app *app, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Calls whoever waits for this. */
void wisp_app_calls_done(struct wisp_app *app, uint64_t id, const struct wisp_app_done *done);
void wisp_app_output_deinit(struct wisp_app *app);

/* --- what is known of the lattice (hosts.c, view.c) --- */

struct wisp_app_known_host {
    struct wisp_str id;
    char *id_text;
    json_t *labels, *components, *providers; /* by id: {reference, annotations, count | health, trouble} */
    char *friendly_name;
    uint64_t heard_ms, beat_ms; /* beat: of a manager like this one; 0: none yet */
    bool has_inventory, is_unknown, is_draining;
    struct wisp_app_known_host *next;
};

void wisp_app_hosts_on_event(struct wisp_app *app, const struct wisp_bus_message *message);
void wisp_app_hosts_on_beat(struct wisp_app *app, const struct wisp_bus_message *message);
/* An answer to a ping of all hosts. */
void wisp_app_hosts_on_pong(struct wisp_app *app, const struct wisp_bus_message *message);
/* Asks all hosts who they are and what they run. */
void wisp_app_hosts_ask(struct wisp_app *app);
/* Those that were silent for too long are unknown, then gone. When to look again. */
uint64_t wisp_app_hosts_tick(struct wisp_app *app);
void wisp_app_hosts_deinit(struct wisp_app *app);

void wisp_app_view_on_state(struct wisp_app *app, int bucket, struct wisp_str key, const struct wisp_str *value);
void wisp_app_view_deinit(struct wisp_app *app);

/* --- applications as they are stored (store.c) --- */

struct wisp_app_version {
    struct wisp_str version; /* of the manifest */
    struct wisp_app_manifest manifest;
    struct wisp_arena arena;
    struct wisp_app_version *next;
};

struct wisp_app_record {
    char *name;
    json_t *json; /* {"manifests": {version: manifest, ...}, "deployed_version", ...} */
    uint64_t revision;
    struct wisp_app_version *versions; /* in the order in which they were put */
    struct wisp_app_version *deployed; /* one of them; NULL: none */
    struct wisp_app_version *last_deployed;
    bool is_deleting;  /* goes when nothing of it is left */
    bool is_lost;      /* was deleted by nobody: to be put back */
    char *status_told; /* published last */
    struct wisp_app_record *next;
};

struct wisp_app_record *wisp_app_record_find(const struct wisp_app *app, struct wisp_str name);
struct wisp_app_version *wisp_app_version_find(const struct wisp_app_record *record, struct wisp_str version);
void wisp_app_store_on_state(struct wisp_app *app, struct wisp_str key, const struct wisp_str *value,
                             uint64_t revision);
/* A leader's: puts back what was lost, and the index when it is not what it should be. */
void wisp_app_store_repair(struct wisp_app *app);
struct wisp_str wisp_app_store_key(struct wisp_app *app, struct wisp_str name, struct wisp_buf *out);
void wisp_app_store_deinit(struct wisp_app *app);

/* --- the lease (lease.c) --- */

struct wisp_app_lease {
    uint64_t revision;   /* of the key; 0: it is not there */
    uint64_t seen_ms;    /* when it changed last, by our clock */
    uint64_t renewed_ms; /* when the last renewal that succeeded was sent; 0: we don't hold it */
    uint64_t next_ms;    /* to renew, or to try */
    bool is_writing, is_held;
};
void wisp_app_lease_on_state(struct wisp_app *app, const struct wisp_str *value, uint64_t revision);
uint64_t wisp_app_lease_tick(struct wisp_app *app);
void wisp_app_lease_drop(struct wisp_app *app);
bool wisp_app_lease_is_valid(const struct wisp_app *app);

/* --- commands (run.c) --- */

/* A command that is under way, or that failed. */
struct wisp_app_item {
    char *key;
    enum { WISP_APP_ITEM_SENT, WISP_APP_ITEM_ACCEPTED, WISP_APP_ITEM_HELD, WISP_APP_ITEM_DONE } state;
    bool was_looked_at; /* since it was due */
    uint32_t tries;
    uint64_t due_ms; /* SENT, ACCEPTED: an outcome must be there by then; HELD, DONE: may be sent again */
    char *cause;
    struct wisp_app_item *next;
};

/* Something is different: plan soon. */
void wisp_app_touch(struct wisp_app *app);
void wisp_app_run_tick(struct wisp_app *app);
uint64_t wisp_app_run_next(const struct wisp_app *app);
/* The outcome of a command came by an event, or can be seen. NULL cause: success. */
void wisp_app_item_outcome(struct wisp_app *app, struct wisp_str key, const char *cause);
void wisp_app_items_forget(struct wisp_app *app);
/* A plan for what is stored, with `changed` in the place of its application (NULL: as it is stored). To be deinited. */
void wisp_app_make_plan(struct wisp_app *app, const struct wisp_app_desired *changed, struct wisp_app_plan *ret_plan);
void wisp_app_run_deinit(struct wisp_app *app);

/* --- status (status.c) --- */

/* Of one application, from the plan at hand; a new reference. */
json_t *wisp_app_status_json(const struct wisp_app *app, const struct wisp_app_record *record,
                             const struct wisp_app_plan *plan);
void wisp_app_status_publish(struct wisp_app *app);

/* --- the API (api.c, api_write.c) --- */

struct wisp_app_asked {
    struct wisp_str op, name, reply, payload, content_type;
};
void wisp_app_api_on_message(struct wisp_app *app, const struct wisp_bus_message *message);
void wisp_app_answer(struct wisp_app *app, struct wisp_str reply, json_t *answer_taken);
/* {"result": "error", "message"} */
void wisp_app_answer_error(struct wisp_app *app, struct wisp_str reply, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void wisp_app_api_put(struct wisp_app *app, const struct wisp_app_asked *asked);
void wisp_app_api_deploy(struct wisp_app *app, const struct wisp_app_asked *asked);
void wisp_app_api_undeploy(struct wisp_app *app, const struct wisp_app_asked *asked);
void wisp_app_api_delete(struct wisp_app *app, const struct wisp_app_asked *asked);

/* --- the machine --- */

struct wisp_app {
    char *lattice, *ctl_prefix, *api_prefix, *host_id;
    uint64_t lease_ms, reconcile_ms, command_timeout_ms, host_lease_ms;
    uint32_t apps_max, versions_max;
    bool is_passive;
    struct wisp_app_now now;
    uint64_t next_ms; /* of the next tick */
    uint64_t random;

    struct wisp_app_queued *first, *last, *taken; /* actions; the one handed out last */
    struct wisp_map calls;                        /* by id, to struct call of output.c */
    uint64_t next_id;

    bool is_connected, is_reachable, is_loaded, is_stopped, has_subscribed;
    struct wisp_app_lease lease;

    struct wisp_map hosts; /* by id */
    struct wisp_app_known_host *first_host;
    uint64_t asked_ms, beat_ms;             /* when hosts were asked; when we beat next */
    struct wisp_map specs;                  /* source id to links, a json_t * array */
    struct wisp_map configs;                /* name to json_t * */
    struct wisp_map spec_keys, config_keys; /* what the keys of these two are */

    struct wisp_map records; /* by name */
    struct wisp_app_record *first_record;
    json_t *index; /* as stored; NULL: none */
    uint64_t index_revision;

    struct wisp_map items; /* by key */
    struct wisp_app_item *first_item;
    bool is_dirty, was_settled;
    uint64_t items_ms;         /* when an item changes */
    uint64_t plan_ms, full_ms; /* not before; at the latest */
    struct wisp_app_plan plan; /* the last one made as a leader */
};
