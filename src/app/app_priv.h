/* SPDX-License-Identifier: Apache-2.0 */
/* The manager from within. */
#pragma once

#include "app/app.h"
#include "base/json.h"

enum {
    WISP_APP_HOSTS_MAX = 10000,
    WISP_APP_UNITS_MAX = 10000,  /* components, and providers, of one host */
    WISP_APP_ITEMS_MAX = 100000, /* commands that are under way or held back */
    WISP_APP_LINKS_MAX = 100000,
    WISP_APP_CONFIGS_MAX = 100000,
    WISP_APP_ASKED_MAX = 1000, /* requests that wait for an earlier one's write */
};

/* --- actions, and requests under way (output.c) --- */

/* What whoever asked remembers of it; owned by the call. */
struct wisp_app_note {
    char *text;
    json_t *json;
    uint64_t number;
};
typedef void wisp_app_on_outcome(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note);

struct wisp_app_queued {
    struct wisp_app_action action;
    struct wisp_arena arena; /* of what the action points to */
    struct wisp_app_queued *next;
};

struct wisp_app_queued *wisp_app_emit(struct wisp_app *app, enum wisp_app_action_kind kind);
/* Nothing is said without the bus. False: it is larger than a message may be. */
bool wisp_app_publish(struct wisp_app *app, struct wisp_str subject, const json_t *payload);
void wisp_app_request(struct wisp_app *app, struct wisp_str subject, const json_t *payload, uint64_t timeout_ms,
                      wisp_app_on_outcome *on_outcome, struct wisp_app_note note_taken);
/* `value` NULL deletes. */
void wisp_app_write(struct wisp_app *app, struct wisp_str key, const json_t *value, uint64_t expected,
                    wisp_app_on_outcome *on_outcome, struct wisp_app_note note_taken);
void wisp_app_log(struct wisp_app *app, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Calls whoever waits for this. */
void wisp_app_calls_done(struct wisp_app *app, uint64_t id, const struct wisp_app_done *done);
void wisp_app_output_deinit(struct wisp_app *app);

/* --- what is known of the lattice (hosts.c, running.c, events.c, view.c) --- */

/* What runs on a host. */
struct wisp_app_unit {
    struct wisp_app_instance instance;
    char *id, *reference, *trouble; /* that its texts are */
    uint32_t inventory;             /* number of the last one of its host that had it */
    struct wisp_link of_host;
};

struct wisp_app_known_host {
    struct wisp_app_host host; /* as the planner sees it */
    char *id, *friendly_name;
    json_t *labels;
    struct wisp_map units[2]; /* [is_provider]: id to struct wisp_app_unit */
    struct wisp_link all_units;
    uint64_t heard_ms, beat_ms; /* beat: of a manager like this one; 0: none yet */
    uint64_t ask_ms;            /* when to ask for its inventory again, while there is none */
    bool has_inventory;
    bool is_passive;            /* its manager never leads */
    bool is_asking, asks_again; /* its inventory; and again after that */
    uint32_t inventory;         /* number of the last one */
    uint64_t digest;            /* of the heartbeat that says all that is known; 0: none */
    struct wisp_app_known_host *next;
};

struct wisp_app_known_host *wisp_app_host_find(const struct wisp_app *app, struct wisp_str id);
/* NULL when the id can't be one, or there are too many. */
struct wisp_app_known_host *wisp_app_host_need(struct wisp_app *app, struct wisp_str id);
/* It is there. */
void wisp_app_host_heard(struct wisp_app *app, struct wisp_app_known_host *host);
void wisp_app_host_set_draining(struct wisp_app *app, struct wisp_app_known_host *host, bool is_draining);
void wisp_app_host_forget(struct wisp_app *app, struct wisp_app_known_host *host);
/* Asks it what it runs. */
void wisp_app_host_ask(struct wisp_app *app, struct wisp_app_known_host *host);
/* `is_heartbeat`: which may leave out annotations. */
void wisp_app_host_take(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *inventory,
                        bool is_heartbeat);
void wisp_app_hosts_on_beat(struct wisp_app *app, const struct wisp_bus_message *message);
/* An answer to a ping of all hosts. */
void wisp_app_hosts_on_pong(struct wisp_app *app, const struct wisp_bus_message *message);
/* The bus is back: everybody's silence begins now, and all are asked who they are. */
void wisp_app_hosts_begin(struct wisp_app *app);
/* Hears what happens on hosts, or forgets them: whoever leads, or may have to at once, needs to know. */
void wisp_app_hosts_follow(struct wisp_app *app, bool follows);
/* This manager leads from now on, so it is the one that asks. */
void wisp_app_hosts_ask_all(struct wisp_app *app);
/* Of all that are not silent it is known what they run. */
bool wisp_app_hosts_are_known(const struct wisp_app *app);
/* Those of which it is known what they run, by id, ascending. Valid until the next call on the manager. */
const struct wisp_app_host *const *wisp_app_hosts_list(struct wisp_app *app, size_t *ret_n);
/* Those that were silent for too long are unknown, then gone. When to look again. */
uint64_t wisp_app_hosts_tick(struct wisp_app *app);
void wisp_app_hosts_say_draining(struct wisp_app *app);
void wisp_app_hosts_deinit(struct wisp_app *app);

struct wisp_app_unit *wisp_app_unit_find(const struct wisp_app_known_host *host, bool is_provider, struct wisp_str id);
/* It runs so: `id`, `reference`, `count`, `annotations` and `is_provider` of what is given. NULL: there are too many.
 */
struct wisp_app_unit *wisp_app_unit_put(struct wisp_app *app, struct wisp_app_known_host *host,
                                        const struct wisp_app_instance *now);
void wisp_app_unit_set_health(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_app_unit *unit,
                              int health, struct wisp_str trouble);
void wisp_app_unit_remove(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_app_unit *unit);
void wisp_app_units_clear(struct wisp_app *app, struct wisp_app_known_host *host);

void wisp_app_on_event(struct wisp_app *app, const struct wisp_bus_message *message);

void wisp_app_view_on_state(struct wisp_app *app, int bucket, struct wisp_str key, const struct wisp_str *value);
void wisp_app_view_clear(struct wisp_app *app);

/* --- applications as they are stored (store.c) --- */

struct wisp_app_version {
    struct wisp_str version; /* of the manifest */
    struct wisp_app_manifest manifest;
    struct wisp_arena arena;
    struct wisp_app_version *next;
};

struct wisp_app_record {
    char *name;
    json_t *json; /* as stored */
    uint64_t revision;
    struct wisp_app_version *versions; /* in the order in which they were put; none: it was deleted */
    struct wisp_app_version *removed;  /* what they made is still to be cleared away */
    struct wisp_app_version *deployed; /* one of `versions`; NULL: none */
    struct wisp_app_version *last_deployed;
    struct wisp_app_desired desired; /* among the wants while it can be understood */
    struct wisp_arena arena;         /* of `desired` */
    char *trouble;                   /* why the deployed version can't be understood */
    bool is_ours;                    /* not of another lattice whose name begins as ours does */
    bool is_missing;                 /* it is not in the state any more, perhaps because that was lost */
    bool is_lost;                    /* because it was, and it is to be put back */
    bool is_unplanned;               /* changed after it was planned last */
    bool is_unsettled;               /* something needs to be done, by the last plan */
    bool was_complete;               /* what was known of the lattice then */
    enum wisp_app_state state;       /* by the last plan */
    char *message;                   /* what is wrong; NULL: nothing */
    json_t *scalers;                 /* as a status lists them; NULL: none yet */
    json_t *told;                    /* the status that was published last */
    struct wisp_app_record *next;
};

struct wisp_app_record *wisp_app_record_find(const struct wisp_app *app, struct wisp_str name);
struct wisp_app_version *wisp_app_version_find(const struct wisp_app_record *record, struct wisp_str version);
void wisp_app_store_on_state(struct wisp_app *app, struct wisp_str key, const struct wisp_str *value,
                             uint64_t revision);
void wisp_app_store_on_loaded(struct wisp_app *app);
void wisp_app_store_on_opened(struct wisp_app *app);
/* The new content of a record (NULL: none), as it was accepted by the state. */
void wisp_app_store_adopt(struct wisp_app *app, struct wisp_str name, const json_t *json, uint64_t revision);
/* Puts back what was lost; a leader also puts the index right. When to try again. */
uint64_t wisp_app_store_tick(struct wisp_app *app);
struct wisp_str wisp_app_store_key(struct wisp_app *app, struct wisp_str name, struct wisp_buf *out);
/* What a record wants. */
struct wisp_app_desired wisp_app_desire(struct wisp_arena *arena, const struct wisp_app_record *record);
/* Names of all that are not deleted, ascending; a new array of borrowed texts. */
const char **wisp_app_store_names(const struct wisp_app *app, size_t *ret_n);
void wisp_app_store_deinit(struct wisp_app *app);

/* --- the lease (lease.c) --- */

enum { WISP_APP_STANDBYS = 2, WISP_APP_HOST_ID_MAX = 128 };

struct wisp_app_lease {
    uint64_t revision;   /* of the key; 0: it is not there */
    uint64_t free_ms;    /* when it may be taken, unless it changes until then */
    uint64_t renewed_ms; /* when the last renewal that succeeded was sent */
    uint64_t next_ms;    /* to renew, or to try */
    bool is_writing, is_held;
    uint32_t term;                                              /* a new one each time that it is won */
    bool is_others;                                             /* somebody else has, or had it last */
    bool is_named;                                              /* this host stands by */
    char standbys[WISP_APP_STANDBYS][WISP_APP_HOST_ID_MAX + 1]; /* "": none */
    bool was_others;                                            /* who held it last did not end in order */
    char epoch[17];   /* of the state: another one, and it was lost in between; empty: there is none */
    uint64_t began_s; /* when the epoch did, since 1970 */
};
void wisp_app_lease_on_state(struct wisp_app *app, const struct wisp_str *value, uint64_t revision);
/* The state is another one, perhaps without a lease. */
void wisp_app_lease_reset(struct wisp_app *app);
uint64_t wisp_app_lease_tick(struct wisp_app *app);
void wisp_app_lease_release(struct wisp_app *app);
bool wisp_app_lease_is_valid(const struct wisp_app *app);
/* The state is so new that it may have been another one which knew more. */
bool wisp_app_lease_is_young(const struct wisp_app *app);

/* --- commands (items.c, observe.c, run.c) --- */

enum wisp_app_item_state { WISP_APP_ITEM_SENT, WISP_APP_ITEM_ACCEPTED, WISP_APP_ITEM_HELD, WISP_APP_ITEM_DONE };

/* A command that is under way, failed, or was done a while ago. */
struct wisp_app_item {
    char *key;
    enum wisp_app_item_state state;
    enum wisp_app_command_kind kind;
    char *host;       /* NULL: none in particular */
    char *app;        /* for which it was sent last */
    uint64_t sure_ms; /* from then on it has no effect any more that can't be seen */
    json_t *payload;  /* of the command */
    uint64_t serial;  /* a new one each time that it is sent */
    uint32_t plan;    /* number of the last plan that wanted it */
    struct wisp_link of_app;
    struct wisp_app_instance coming; /* what it brings to its host, while it is under way */
    uint32_t tries;
    uint64_t due_ms; /* SENT, ACCEPTED: an outcome must be there by then; HELD, DONE: may be sent again */
    bool was_due;    /* HELD, DONE: and that was looked at */
    char *cause;
    struct wisp_app_item *next;
};

/* What an event says of a command's outcome. */
struct wisp_app_outcome {
    struct wisp_str host, unit, reference;
    uint64_t count;      /* SCALE */
    struct wisp_str why; /* of a failure */
    bool is_failure;
};

struct wisp_app_item *wisp_app_item_find(const struct wisp_app *app, struct wisp_str key);
bool wisp_app_item_is_under_way(const struct wisp_app_item *item);
/* Sends it, unless it is under way, or was sent a short while ago, or there are too many. */
void wisp_app_item_send(struct wisp_app *app, const struct wisp_app_command *command);
/* True: such a command was under way, and this is what came of it. */
bool wisp_app_item_outcome(struct wisp_app *app, enum wisp_app_command_kind kind,
                           const struct wisp_app_outcome *outcome);
/* When nothing that was sent to the state for this application can come into effect unseen any more; 0: now. */
uint64_t wisp_app_items_sure_ms(const struct wisp_app *app, const char *name);
/* Those of an application: `of_app` of struct wisp_app_item. To be read only. */
struct wisp_link *wisp_app_items_of(const struct wisp_app *app, struct wisp_str name);
/* Accepted ones that the last plan of their application does not want any more have had their effect. */
void wisp_app_items_settle(struct wisp_app *app, struct wisp_str name);
/* Of this host, which has begun anew or is gone; NULL: all. */
void wisp_app_items_forget(struct wisp_app *app, const char *host);
/* When the next one is due. */
uint64_t wisp_app_items_tick(struct wisp_app *app);
void wisp_app_items_deinit(struct wisp_app *app);

/* What is known of the lattice is enough to remove something. */
bool wisp_app_is_complete(const struct wisp_app *app);
/* A plan of these, with `changed` in the place of its application (NULL: as it is stored). To be deinited. */
void wisp_app_make_plan(struct wisp_app *app, const struct wisp_str *names, size_t n_names,
                        const struct wisp_app_desired *changed, struct wisp_app_plan *ret_plan);

/* This manager leads from now on; it does not any more. */
void wisp_app_run_begin(struct wisp_app *app);
void wisp_app_run_end(struct wisp_app *app);
/* When there is something to do next. */
uint64_t wisp_app_run_tick(struct wisp_app *app);
void wisp_app_run_deinit(struct wisp_app *app);

/* --- what is to be planned again (touch.c); a leader's --- */

void wisp_app_touch(struct wisp_app *app, struct wisp_str name);
/* It may be that something has changed for it. */
void wisp_app_touch_later(struct wisp_app *app, struct wisp_str name);
/* Those that mention it. */
void wisp_app_touch_mentions(struct wisp_app *app, enum wisp_app_mentioned what, struct wisp_str text);
void wisp_app_touch_instance(struct wisp_app *app, const struct wisp_app_instance *instance);
/* Those for which something runs, but that are not stored. */
void wisp_app_touch_strays(struct wisp_app *app);
void wisp_app_touch_all(struct wisp_app *app);
/* The name whose turn it is, to be freed; NULL: none. */
char *wisp_app_touched_take(struct wisp_app *app);
void wisp_app_touched_clear(struct wisp_app *app);

/* --- status (status.c) --- */

/* As wadm has it; a new reference. */
json_t *wisp_app_status_json(const struct wisp_app_record *record);
/* The scalers of a plan; with the time, which may be NULL, for those that were not in the same state before. */
json_t *wisp_app_scalers_json(const struct wisp_app_planned *planned, const json_t *before, json_t *since);
/* The outcome of a plan. */
void wisp_app_status_take(struct wisp_app *app, struct wisp_app_record *record, const struct wisp_app_planned *planned);
/* If it is another one now. */
void wisp_app_status_publish(struct wisp_app *app, struct wisp_app_record *record);
/* A leader's word. */
void wisp_app_status_on_message(struct wisp_app *app, const struct wisp_bus_message *message);
/* Asks the leader how all stand: this manager begins to stand by. */
void wisp_app_status_ask(struct wisp_app *app);
/* "2026-01-02T03:04:05Z" */
json_t *wisp_app_time_json(uint64_t seconds);

/* --- the API (api.c, api_asked.c, api_write.c) --- */

struct wisp_app_asked {
    struct wisp_str op, name, reply, payload, content_type;
};
/* One that waits for its turn. */
struct wisp_app_waiting {
    struct wisp_app_asked asked;
    struct wisp_arena arena;
    struct wisp_app_waiting *next;
};

void wisp_app_api_on_message(struct wisp_app *app, const struct wisp_bus_message *message);
/* One after the other, as long as none of them writes. */
void wisp_app_api_go_on(struct wisp_app *app);
/* The lease is lost: those that wait are told. */
void wisp_app_api_refuse_all(struct wisp_app *app);
void wisp_app_api_deinit(struct wisp_app *app);
void wisp_app_answer(struct wisp_app *app, struct wisp_str reply, json_t *answer_taken);
/* {"result": "error", "message"} */
void wisp_app_answer_error(struct wisp_app *app, struct wisp_str reply, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The record, unless it is deleted or another lattice's. */
struct wisp_app_record *wisp_app_asked_record(struct wisp_app *app, const struct wisp_app_asked *asked);
/* The request, {"version": "v"} or nothing. False, and answered: it can't be understood. */
bool wisp_app_asked_json(struct wisp_app *app, const struct wisp_app_asked *asked, json_t **ret_request);
/* Empty and `latest`: the newest. NULL: there is no such version. */
const struct wisp_app_version *wisp_app_asked_version(const struct wisp_app_record *record, struct wisp_str version);
/* Why this manifest can't be deployed now: shared applications and ids. */
int wisp_app_check_deployable(const struct wisp_app *app, const struct wisp_app_manifest *manifest,
                              struct wisp_err *err);
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

    bool is_connected; /* to the bus */
    bool is_current;   /* the state is reachable, and everything in it was told */
    bool was_current, is_stopped, has_subscribed;
    struct wisp_app_lease lease;
    uint32_t term; /* of the lease, in which this manager leads; 0: it does not */

    struct wisp_map hosts; /* by id */
    struct wisp_app_known_host *first_host;
    bool follows;                           /* what happens on hosts */
    uint64_t hosts_ms, beat_ms;             /* when to look at hosts; when to beat */
    uint64_t settled_ms;                    /* by then all hosts have answered to a ping */
    uint64_t asked_ms;                      /* and by then all that this manager asked when it began to lead */
    size_t n_unheard;                       /* hosts that are not silent, of which it is not known what they run */
    size_t n_untold;                        /* all of which it is not known */
    const struct wisp_app_host **host_list; /* see wisp_app_hosts_list */
    size_t n_listed;
    bool is_listed;                         /* `host_list` is right */
    struct wisp_app_units units;            /* all that runs, and all that is under way */
    struct wisp_map specs;                  /* source id to struct wisp_app_observed_links */
    struct wisp_map configs;                /* name to json_t * */
    struct wisp_map spec_keys, config_keys; /* what the keys of these two are */

    struct wisp_map records; /* by name */
    struct wisp_app_record *first_record;
    struct wisp_app_record *next_check; /* NULL: the first one */
    struct wisp_app_wants wants;        /* of those that are ours and can be understood */
    json_t *index;                      /* as stored; NULL: none */
    uint64_t index_revision;
    uint64_t store_ms;   /* when to put right what is stored */
    uint64_t patient_ms; /* until then that is the leader's business */
    char epoch[17];      /* of the state, as last seen */

    struct wisp_app_waiting *first_waiting, *last_waiting;
    uint32_t n_waiting;
    bool is_writing; /* for the API */

    struct wisp_map items;        /* by key */
    struct wisp_map items_of_app; /* to struct wisp_app_listed */
    struct wisp_app_item *first_item;
    uint32_t n_sent; /* items in that state */
    uint64_t items_ms, next_serial;
    uint64_t sure_ms; /* until then an earlier leader's commands may come into effect unseen */

    struct wisp_map touched; /* by name */
    struct wisp_link touched_first, touched_then;
    uint64_t plan_ms;             /* not before */
    uint64_t check_ms, strays_ms; /* when to touch the next one, and strays, though nothing is known to have changed */
    uint64_t clear_ms;            /* when to look for what was deleted and is not there any more */
    uint32_t plan_number;
    bool was_ready, was_complete; /* to start something, to stop something; when that was looked at last */
};

/* xorshift-like; not for secrets. */
static inline uint64_t wisp_app_random(struct wisp_app *app)
{
    app->random = app->random * 6364136223846793005u + 1442695040888963407u;
    return app->random >> 33;
}

static inline uint64_t wisp_app_sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }
