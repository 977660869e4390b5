/* SPDX-License-Identifier: Apache-2.0 */
/* The lattice machine from within.
 *
 *     lattice.c     new and free, the in-calls, which message goes where
 *     output.c      actions, calls (actions that are answered), timers, random choices
 *     command.c     reading requests, answering them
 *     records.c     the replicated state as this host knows it, writing to it, putting it back
 *     links.c       links by source, target and identity        link_control.c   link.put, .del, .get
 *     config.c      configs and who uses them; config.*          claims.c         claims, host token
 *     resolve.c     names of configs to maps and secrets         secrets.c        one secret from a backend
 *     policy.c      one decision                                 events.c         events, heartbeat
 *     inventory.c   what this host is and runs       host_control.c   host.*, label.*, registry.put, auctions
 *     units.c       what components and providers share: jobs in order, config in use
 *     component.c   scale, update, refresh           provider.c       start, stop
 *     process.c     what provider processes do: health, exits, restarts; what they may not do
 *     builtin.c     providers of built-in kinds      http_routes.c    the built-in HTTP server
 *     provider_links.c  links to providers           host_data.c      what a provider gets at start
 *     save.c        what runs, saved and started again
 *
 * An in-call (wisp_lattice_on_*) sets `now`, changes what it has to, queues actions. Whatever waits for an answer is a
 * call, embedded in what waits; freeing that forgets the call. */
#pragma once

#include "lattice/lattice.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/ring.h"
#include "lattice/table.h"
#include "nkeys/nkeys.h"

enum {
    WISP_LATTICE_NAMES_MAX = 1000,      /* of configs in one list */
    WISP_LATTICE_INTERFACES_MAX = 1000, /* of one link */
    WISP_LATTICE_ID_MAX = 256,
    WISP_LATTICE_JOBS_MAX = 64,     /* that wait for one component or provider */
    WISP_LATTICE_EDITS_MAX = 10000, /* link and config changes that wait for the state */
    WISP_LATTICE_POLICY_CACHE_MAX = 10000,
    WISP_LATTICE_BACKENDS_MAX = 100,
    WISP_LATTICE_CLIENT_PATIENCE_MS = 1800, /* clients wait 2 s for a reply */
};

#define WISP_LATTICE_SECRET_PREFIX WISP_STR("SECRET")

struct wisp_lattice_job;
struct wisp_lattice_record;
struct wisp_lattice_unit;

/* --- output.c --- */

/* Zeroed: not armed. Embedded; disarmed before its owner goes. */
struct wisp_lattice_timer {
    uint64_t due_ms;
    size_t slot; /* in lattice->timers, from 1; 0: not armed */
    void (*on_due)(struct wisp_lattice_timer *timer, void *env);
    void *env;
};

/* An action that is answered. Zeroed: nobody waits. Embedded; forgotten before its owner goes. */
struct wisp_lattice_call {
    struct wisp_table_entry entry; /* in lattice->calls */
    uint64_t id;
    void (*on_done)(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env);
    void *env;
};

struct wisp_lattice_queued;

/* --- command.c --- */

/* Who waits for an answer. Zeroed: nobody. */
struct wisp_lattice_asker {
    char *subject;
};

enum wisp_lattice_field_kind {
    WISP_LATTICE_TEXT,
    WISP_LATTICE_COUNT, /* u32 */
    WISP_LATTICE_TIME,  /* u64 */
    WISP_LATTICE_FLAG,
    WISP_LATTICE_TEXTS, /* list */
    WISP_LATTICE_MAP,   /* of texts */
};

struct wisp_lattice_field {
    const char *name;
    enum wisp_lattice_field_kind kind;
    bool is_required;
};

/* --- records.c --- */

enum wisp_lattice_record_kind { WISP_LATTICE_SPEC, WISP_LATTICE_CLAIMS, WISP_LATTICE_ENTRY };

/* A key of the state. `value` is what this host takes for true: as told, as acknowledged, or still to be written. */
struct wisp_lattice_record {
    struct wisp_table_entry entry; /* in lattice->records[bucket]; key as in the state */
    struct wisp_lattice *lattice;
    enum wisp_lattice_record_kind kind;
    int bucket;
    json_t *value;          /* an object; NULL: not there */
    uint64_t revision;      /* the last one known; 0: the state has no such key */
    uint64_t told;          /* the last one told, not counting acknowledgements */
    uint64_t told_in;       /* lattice->load when it was told last */
    uint64_t accepted_in;   /* lattice->epoch of the last acknowledgement */
    bool is_gone;           /* told as deleted while it is uncertain whether anybody did */
    struct wisp_link owed;  /* in lattice->owed while `value` is to be written */
    struct wisp_link edits; /* changes of links that wait, those in flight first */
    size_t n_in_flight;
    uint64_t written_at; /* revision that the write in flight expects */
    uint64_t epoch;      /* lattice->epoch when it began */
    bool one_by_one;     /* together the edits were too large */
    uint32_t tries;
    json_t *written;
    struct wisp_lattice_call write;
    struct wisp_lattice_timer retry;
    struct wisp_link links;     /* SPEC */
    struct wisp_link uses;      /* ENTRY */
    struct wisp_link in_routes; /* ENTRY: in lattice->in_routes while the built-in HTTP server's routes depend on it */
};

/* --- links.c --- */

struct wisp_lattice_link {
    struct wisp_table_entry entry; /* in lattice->links, by identity */
    struct wisp_link of_source;    /* in record->links */
    struct wisp_link of_target;    /* in target->links */
    struct wisp_lattice_record *record;
    struct wisp_lattice_end *target;
    json_t *json; /* with all its fields */
    bool is_stale;
};

/* What links point at, by id. */
struct wisp_lattice_end {
    struct wisp_table_entry entry;
    struct wisp_link links;
};

/* --- config.c --- */

/* A unit that uses a config. */
struct wisp_lattice_use {
    struct wisp_link link; /* in record->uses */
    struct wisp_lattice_record *record;
    struct wisp_lattice_unit *unit;
};

/* --- secrets.c, resolve.c, policy.c --- */

struct wisp_lattice_secret_task {
    struct wisp_lattice *lattice;
    json_t *reference;
    json_t *claims;          /* of the entity, may be NULL */
    const char *application; /* borrowed */
    bool has_refetched;
    struct wisp_nkey key;
    struct wisp_lattice_call call;
    /* `value` {kind, value} is the callee's; NULL with an error. */
    void (*on_done)(struct wisp_lattice_secret_task *task, json_t *value, const struct wisp_err *err);
};

/* Names to a merged map and secrets. Zeroed: idle. */
struct wisp_lattice_resolve {
    struct wisp_lattice *lattice;
    json_t *names;
    json_t *claims;
    char *application;
    bool may_miss; /* a missing config is an empty one */
    size_t next;
    uint32_t tries;
    json_t *config, *secrets;
    struct wisp_lattice_secret_task secret;
    struct wisp_lattice_timer wait;
    void (*on_done)(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env);
    void *env;
};

struct wisp_lattice_policy {
    struct wisp_lattice *lattice;
    char *cache_key;
    json_t *request;
    struct wisp_lattice_call call;
    void (*on_done)(struct wisp_lattice_policy *policy, const struct wisp_err *err, void *env);
    void *env;
};

/* --- units.c --- */

enum wisp_lattice_unit_kind {
    WISP_LATTICE_COMPONENT,
    WISP_LATTICE_PROVIDER,    /* a process */
    WISP_LATTICE_HTTP_SERVER, /* routes of the workers */
    WISP_LATTICE_BUILTIN,     /* a kind that the workers run */
};

struct wisp_lattice_limits {
    uint64_t memory_bytes_max, timeout_ms, body_bytes_max;
    uint32_t queue_max;
};

/* A component or provider of this host. */
struct wisp_lattice_unit {
    struct wisp_table_entry entry; /* in lattice->components or ->providers, by id */
    struct wisp_lattice *lattice;
    enum wisp_lattice_unit_kind kind;
    bool is_running;
    char *reference, *plain_reference, *digest, *path;
    json_t *annotations;  /* never NULL */
    json_t *config_names; /* never NULL */
    json_t *claims;       /* of the artifact; NULL: unsigned */
    json_t *config;       /* merged; never NULL */
    json_t *secrets;      /* name to {kind, value}; never NULL */
    struct wisp_lattice_use *uses;
    size_t n_uses;
    struct wisp_link jobs; /* the first one is being done */
    size_t n_jobs;
    bool wants_refresh; /* something that it depends on has changed since the last look */
    uint32_t refresh_tries;
    struct wisp_lattice_timer refresh;
    /* components */
    uint64_t generation;
    uint32_t instances_max;
    struct wisp_lattice_limits limits;
    json_t *basis; /* what the last COMPONENT_PUT or BUILTIN_PUT was made of */
    /* providers of built-in kinds */
    char *builtin;
    json_t *token_claims; /* as whom it asks for secrets; NULL: nobody can */
    bool has_left_out;    /* some link's config or secrets could not be had */
    /* providers */
    struct wisp_nkey xkey;
    char xkey_text[WISP_NKEY_PUBLIC_LEN + 1];
    bool is_healthy;
    bool was_checked; /* has answered since its last start */
    bool awaits_up;   /* has been given new data for its next start */
    bool is_down;     /* the process has ended and is not back */
    bool is_failed;   /* has ended too often in a row, and not been healthy since */
    uint32_t n_silent; /* health checks in a row without an answer */
    uint32_t n_restarts, n_failures;
    uint64_t ended_ms;
    struct wisp_lattice_timer health;
    struct wisp_lattice_call health_call;
    struct wisp_table deliveries; /* by identity of the link */
};

enum wisp_lattice_job_kind {
    WISP_LATTICE_SCALE,
    WISP_LATTICE_UPDATE,
    WISP_LATTICE_REFRESH,
    WISP_LATTICE_START,
    WISP_LATTICE_STOP,
    WISP_LATTICE_RESTART,
};

/* Something to be done with a unit. The jobs of a unit are done one after another. */
struct wisp_lattice_job {
    struct wisp_link turn; /* in unit->jobs */
    struct wisp_lattice_unit *unit;
    enum wisp_lattice_job_kind kind;
    bool is_begun;
    bool is_at_process; /* START: the process may be there already */
    bool has_aborted;   /* STOP: there was only a START, which was given up */
    bool has_left_out;  /* some link was, since it could not be resolved */
    struct wisp_lattice_asker reply;
    char *reference;
    json_t *annotations; /* NULL: as they are */
    json_t *config_names;
    uint32_t count;
    bool allows_update;
    /* gathered on the way */
    char *path, *digest, *plain_reference;
    json_t *claims, *config, *secrets, *basis, *confine;
    struct wisp_lattice_limits limits;
    uint64_t generation;
    uint32_t tries;
    struct wisp_lattice_call call;
    struct wisp_lattice_timer timer;
    struct wisp_lattice_policy policy;
    struct wisp_lattice_resolve resolve;
    /* RESTART, START of a provider: links one by one */
    json_t *links, *resolved_links;
    size_t next_link;
    json_t *link_config; /* of the link's source, while that of its target is asked for */
    json_t *link_secrets;
    void (*on_host_data)(struct wisp_lattice_job *job, const struct wisp_err *err);
};

/* --- the machine --- */

struct wisp_lattice {
    struct wisp_lattice_now now;
    uint64_t random, start_ms, next_id, next_generation;

    /* options */
    char *lattice, *ctl_prefix, *friendly_name, *version, *ctl_host, *rpc_host, *log_level, *rpc_jwt, *rpc_seed;
    char *rpc_socket, *otel_config;
    bool takes_spans;
    char *js_domain, *policy_topic, *policy_changes_topic, *secrets_topic;
    uint64_t policy_timeout_ms, heartbeat_interval_ms, provider_shutdown_delay_ms, rpc_timeout_ms;
    bool refuses_component_auctions, refuses_provider_auctions, asks_config_service, keys_from_seed, structured_logging;
    uint32_t components_max, providers_max, links_max, configs_max;
    size_t payload_max;
    char **builtin_kinds; /* "http-server" first */
    size_t n_builtin_kinds;
    char **secret_backends; /* of this host itself */
    size_t n_secret_backends;
    bool runs_real_images;
    uint64_t health_interval_ms;
    uint32_t hung_after;

    struct wisp_nkey host_key, xkey;
    char host_id[WISP_NKEY_PUBLIC_LEN + 1], xkey_text[WISP_NKEY_PUBLIC_LEN + 1];
    char *host_token;
    json_t *labels, *startup_labels;
    json_t *label_edits; /* what commands made of them: key to text, or to null where it was deleted */

    bool is_connected, is_started, is_stopping;
    bool is_unreachable; /* the state says so */
    bool is_uncertain;   /* the state was out of reach and has not been told anew */
    uint64_t epoch;      /* a new number whenever that changes */
    uint64_t load;       /* a new number whenever everything is told anew */
    bool is_loading;     /* and until it has been told */

    /* output */
    struct wisp_arena arena;
    json_t *borrowed; /* values that queued actions point into */
    struct wisp_lattice_queued *first, **last;
    struct wisp_table calls;
    struct wisp_lattice_timer **timers;
    size_t n_timers, timers_capacity;

    /* the state */
    struct wisp_table records[WISP_LATTICE_BUCKET_COUNT];
    struct wisp_link owed;
    bool was_reset[WISP_LATTICE_BUCKET_COUNT];
    uint64_t told_most[WISP_LATTICE_BUCKET_COUNT]; /* highest revision told since the state was out of reach */
    size_t n_edits;
    struct wisp_link early_edits; /* that wait for something to be told before they are edits of a record */
    struct wisp_link config_changes, in_routes;
    struct wisp_table links, ends;
    bool has_said_links_full, has_said_records_full;

    struct wisp_table components, providers;
    struct wisp_table backends;  /* keys of secrets backends */
    struct wisp_table decisions; /* of the policy service, by what was asked */
    struct wisp_table decision_ids;
    uint64_t routes_due_ms;
    struct wisp_lattice_timer heartbeat, heartbeat_once, routes, probe, save, restore, doubt;
    uint64_t save_due_ms;
    uint32_t restore_tries;
    json_t *waiting_components, *waiting_providers; /* by id: to be started again */
    bool has_said_heartbeat_large;
    char *probe_subject;
    struct wisp_lattice_call config_service;
};

/* output.c: a new action; text fields are to be copied with wisp_lattice_keep. */
struct wisp_lattice_action *wisp_lattice_emit(struct wisp_lattice *lattice, enum wisp_lattice_action_kind kind);
struct wisp_str wisp_lattice_keep(struct wisp_lattice *lattice, struct wisp_str s);
/* Prints the value where actions may point. */
struct wisp_str wisp_lattice_keep_json(struct wisp_lattice *lattice, const json_t *value);
/* Keeps a reference until the actions are taken; returns the value. */
json_t *wisp_lattice_borrow(struct wisp_lattice *lattice, json_t *value);
void wisp_lattice_log(struct wisp_lattice *lattice, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Makes the action one that is answered: `on_done` is called unless the call is forgotten first. */
void wisp_lattice_call_begin(
    struct wisp_lattice *lattice, struct wisp_lattice_call *call, struct wisp_lattice_action *action,
    void (*on_done)(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env), void *env);
bool wisp_lattice_call_is_open(const struct wisp_lattice_call *call);
void wisp_lattice_call_forget(struct wisp_lattice *lattice, struct wisp_lattice_call *call);
void wisp_lattice_timer_arm(struct wisp_lattice *lattice, struct wisp_lattice_timer *timer, uint64_t after_ms,
                            void (*on_due)(struct wisp_lattice_timer *timer, void *env), void *env);
void wisp_lattice_timer_disarm(struct wisp_lattice *lattice, struct wisp_lattice_timer *timer);
void wisp_lattice_timers_run(struct wisp_lattice *lattice);
uint64_t wisp_lattice_random(struct wisp_lattice *lattice);
/* Pause before try number `tries` (from 1): doubling from `first_ms` up to `max_ms`, somewhere in its upper half. */
uint64_t wisp_lattice_backoff_ms(struct wisp_lattice *lattice, uint32_t tries, uint64_t first_ms, uint64_t max_ms);
enum { WISP_LATTICE_UUID_LEN = 36 };
void wisp_lattice_uuid(struct wisp_lattice *lattice, char text[WISP_LATTICE_UUID_LEN + 1]);
void wisp_lattice_make_key(struct wisp_lattice *lattice, enum wisp_nkey_kind kind, struct wisp_nkey *ret_key);
/* Publishes when the bus is there; otherwise it is not worth saying later. */
void wisp_lattice_publish(struct wisp_lattice *lattice, struct wisp_str subject, const json_t *payload);

/* command.c */
int wisp_lattice_fields_check(const json_t *object, const struct wisp_lattice_field *fields, size_t n_fields,
                              struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_lattice_decode(struct wisp_str payload, const char *what, const struct wisp_lattice_field *fields,
                        size_t n_fields, json_t **ret_object, struct wisp_err *err) __attribute__((warn_unused_result));
bool wisp_lattice_is_map(json_t *value);
bool wisp_lattice_is_id(struct wisp_str id);
/* The field, or a new empty one of the type. The caller owns the reference. */
json_t *wisp_lattice_list_of(const json_t *object, const char *key);
json_t *wisp_lattice_map_of(const json_t *object, const char *key);
/* NULL when it was left out. */
json_t *wisp_lattice_given_map(const json_t *object, const char *key);
/* Answers and forgets who asked. `response` (may be NULL) is taken over. */
void wisp_lattice_answer(struct wisp_lattice *lattice, struct wisp_lattice_asker *reply, const char *message,
                         json_t *response);
void wisp_lattice_refuse(struct wisp_lattice *lattice, struct wisp_lattice_asker *reply, const char *message);
void wisp_lattice_asker_deinit(struct wisp_lattice_asker *reply);

/* A request on the control subjects. */
struct wisp_lattice_command {
    struct wisp_str name; /* what is in the place of a host id or config name; may be empty */
    struct wisp_str payload;
    struct wisp_lattice_asker reply;
};
typedef void wisp_lattice_on_command(struct wisp_lattice *lattice, struct wisp_lattice_command *command);
wisp_lattice_on_command wisp_lattice_host_ping, wisp_lattice_host_get, wisp_lattice_host_stop, wisp_lattice_label_put,
    wisp_lattice_label_del, wisp_lattice_registry_put, wisp_lattice_component_auction, wisp_lattice_provider_auction,
    wisp_lattice_component_scale, wisp_lattice_component_update, wisp_lattice_provider_start,
    wisp_lattice_provider_stop, wisp_lattice_link_put, wisp_lattice_link_del, wisp_lattice_link_get,
    wisp_lattice_claims_get, wisp_lattice_config_put, wisp_lattice_config_get, wisp_lattice_config_del;

/* host_control.c */
void wisp_lattice_end(struct wisp_lattice *lattice, uint64_t timeout_ms);
void wisp_lattice_probe_begin(struct wisp_lattice *lattice);
void wisp_lattice_probe_heard(struct wisp_lattice *lattice, struct wisp_str payload);
void wisp_lattice_ask_config_service(struct wisp_lattice *lattice);

/* lattice.c */
void wisp_lattice_subscriptions_end(struct wisp_lattice *lattice);

/* events.c */
void wisp_lattice_event(struct wisp_lattice *lattice, const char *name, json_t *data); /* takes `data` over */
void wisp_lattice_heartbeat_begin(struct wisp_lattice *lattice);
/* A heartbeat soon, not at the same time as everybody else. */
void wisp_lattice_heartbeat_soon(struct wisp_lattice *lattice);
json_t *wisp_lattice_component_claims(const json_t *claims);
json_t *wisp_lattice_provider_claims(const json_t *claims);

/* inventory.c */
json_t *wisp_lattice_host_json(const struct wisp_lattice *lattice);
enum wisp_lattice_detail {
    WISP_LATTICE_BRIEF,     /* no annotations: the host runs very much */
    WISP_LATTICE_HEARTBEAT, /* what wasmCloud's inventories have */
    WISP_LATTICE_FULL,      /* and in `wisp`, which its readers ignore, digests and the names of configs */
};
json_t *wisp_lattice_inventory_json(const struct wisp_lattice *lattice, enum wisp_lattice_detail detail);
void wisp_lattice_uptime_text(uint64_t seconds, struct wisp_buf *out);

/* claims.c */
char *wisp_lattice_host_token(struct wisp_lattice *lattice);
/* {token, subject} of a built-in provider: its key is made of the host's key and its id, so it stays the same. */
json_t *wisp_lattice_builtin_claims(struct wisp_lattice *lattice, struct wisp_str id);
void wisp_lattice_claims_store(struct wisp_lattice *lattice, const json_t *claims, bool is_provider);

/* records.c */
void wisp_lattice_records_init(struct wisp_lattice *lattice);
void wisp_lattice_records_deinit(struct wisp_lattice *lattice);
void wisp_lattice_records_told(struct wisp_lattice *lattice, int bucket, struct wisp_str key,
                               const struct wisp_str *value, uint64_t revision);
/* Everything has been told: judges what is gone. */
void wisp_lattice_records_loaded(struct wisp_lattice *lattice);
struct wisp_lattice_record *wisp_lattice_record_find(struct wisp_lattice *lattice, int bucket, struct wisp_str key);
/* Makes an empty one when there is none; NULL when there are too many. */
struct wisp_lattice_record *wisp_lattice_record_need(struct wisp_lattice *lattice, int bucket, struct wisp_str key);
struct wisp_lattice_record *wisp_lattice_spec_find(struct wisp_lattice *lattice, struct wisp_str id);
struct wisp_lattice_record *wisp_lattice_spec_need(struct wisp_lattice *lattice, struct wisp_str id);
struct wisp_str wisp_lattice_spec_id(const struct wisp_lattice_record *record);
/* A write that was begun in that epoch has been acknowledged. `value` NULL: deleted. */
void wisp_lattice_record_accept(struct wisp_lattice *lattice, int bucket, struct wisp_str key, json_t *value,
                                uint64_t revision, uint64_t epoch);
/* To be written soon, after at most `spread_ms`. */
void wisp_lattice_record_owe(struct wisp_lattice_record *record, uint64_t spread_ms);
void wisp_lattice_record_push(struct wisp_lattice_record *record);
/* Frees it when nobody needs it. */
void wisp_lattice_record_settle(struct wisp_lattice_record *record);

/* link_control.c: what records.c asks for when it writes. The edits that go into the write are counted in n_in_flight;
 * those that can't be done are answered. Returns the value to write, or NULL: nothing to do. */
json_t *wisp_lattice_edits_apply(struct wisp_lattice_record *record);
void wisp_lattice_edits_done(struct wisp_lattice_record *record);
void wisp_lattice_edits_failed(struct wisp_lattice_record *record, const struct wisp_err *err);
void wisp_lattice_edits_free(struct wisp_link *edits);

/* links.c */
void wisp_lattice_links_changed(struct wisp_lattice_record *record);
json_t *wisp_lattice_link_parse(const json_t *value, struct wisp_str source); /* NULL: not a link */
struct wisp_lattice_link *wisp_lattice_link_find(struct wisp_lattice *lattice, struct wisp_str identity);
struct wisp_lattice_end *wisp_lattice_end_find(struct wisp_lattice *lattice, struct wisp_str id);
/* Same namespace, package and name; the source is that of the spec. */
bool wisp_lattice_link_is_same(const json_t *a, const json_t *b);
void wisp_lattice_link_identity(const json_t *link, struct wisp_buf *out);
/* "wasmbus.rpc.{lattice}.{id}.{tail}" where actions may point. */
struct wisp_str wisp_lattice_rpc_subject(struct wisp_lattice *lattice, struct wisp_str id, const char *tail);
/* Tells who listens for `id` that the link is gone. */
void wisp_lattice_link_tell_gone(struct wisp_lattice *lattice, const json_t *link, struct wisp_str id);
/* As sent to providers: names of configs become maps, secrets null. */
json_t *wisp_lattice_link_wire(const json_t *link, json_t *source_config, json_t *target_config);
/* Links of `old` (a spec) that `value` lacks are added to a copy of it; NULL: nothing is missing. */
json_t *wisp_lattice_links_united(json_t *value, const json_t *old);

/* config.c */
void wisp_lattice_config_changed(struct wisp_lattice_record *record);
void wisp_lattice_config_changes_free(struct wisp_lattice *lattice);
void wisp_lattice_uses_set(struct wisp_lattice_unit *unit, const json_t *names);
bool wisp_lattice_is_secret(struct wisp_str name);
/* Merged map of the names that are configs, left to right. A missing one is NOT_FOUND unless `may_miss`. */
int wisp_lattice_config_merge(struct wisp_lattice *lattice, const json_t *names, bool may_miss, json_t **ret_config,
                              struct wisp_err *err) __attribute__((warn_unused_result));

/* resolve.c */
void wisp_lattice_resolve_begin(struct wisp_lattice *lattice, struct wisp_lattice_resolve *resolve, json_t *names,
                                json_t *claims, const json_t *annotations, bool may_miss,
                                void (*on_done)(struct wisp_lattice_resolve *resolve, const struct wisp_err *err,
                                                void *env),
                                void *env);
void wisp_lattice_resolve_deinit(struct wisp_lattice_resolve *resolve);

/* secrets.c */
void wisp_lattice_secret_begin(struct wisp_lattice_secret_task *task);
void wisp_lattice_secret_deinit(struct wisp_lattice_secret_task *task);
void wisp_lattice_backends_deinit(struct wisp_lattice *lattice);
/* Sealed for the provider, as a list of bytes; null when there are none. */
json_t *wisp_lattice_secrets_seal(struct wisp_lattice *lattice, const json_t *secrets, const struct wisp_nkey *to);

/* policy.c: calls back at once when no policy service is set. */
void wisp_lattice_policy_begin(
    struct wisp_lattice *lattice, struct wisp_lattice_policy *policy, const struct wisp_lattice_job *job,
    void (*on_done)(struct wisp_lattice_policy *policy, const struct wisp_err *err, void *env), void *env);
/* A component as the target of its calls, JSON; kept like what actions have. */
struct wisp_str wisp_lattice_policy_target(const struct wisp_lattice_job *job, struct wisp_str reference);
void wisp_lattice_policy_deinit(struct wisp_lattice_policy *policy);
void wisp_lattice_policy_changed(struct wisp_lattice *lattice, struct wisp_str payload);
void wisp_lattice_decisions_deinit(struct wisp_lattice *lattice);

/* units.c */
struct wisp_lattice_unit *wisp_lattice_unit_new(struct wisp_lattice *lattice, struct wisp_str id,
                                                enum wisp_lattice_unit_kind kind);
void wisp_lattice_unit_free(struct wisp_lattice_unit *unit);
struct wisp_str wisp_lattice_unit_id(const struct wisp_lattice_unit *unit);
struct wisp_lattice_unit *wisp_lattice_component_find(struct wisp_lattice *lattice, struct wisp_str id);
struct wisp_lattice_unit *wisp_lattice_provider_find(struct wisp_lattice *lattice, struct wisp_str id);
/* NULL when too many wait. */
struct wisp_lattice_job *wisp_lattice_job_new(struct wisp_lattice_unit *unit, enum wisp_lattice_job_kind kind);
/* Begins the unit's next job if none is being done; frees a unit that is not running and has none. */
void wisp_lattice_unit_go_on(struct wisp_lattice_unit *unit);
/* Ends the first job; the unit goes on (and may be gone afterwards). */
void wisp_lattice_job_end(struct wisp_lattice_job *job);
void wisp_lattice_job_free(struct wisp_lattice_job *job);
/* What was gathered moves from the job to the unit. */
void wisp_lattice_job_adopt(struct wisp_lattice_job *job);
/* Forgets everything that the job waits for. */
void wisp_lattice_job_cancel(struct wisp_lattice_job *job);
struct wisp_lattice_job *wisp_lattice_job_first(const struct wisp_lattice_unit *unit);
/* The spec of a component or provider that starts, if there is none yet. */
void wisp_lattice_unit_store_spec(struct wisp_lattice_unit *unit, const char *reference);
/* Something that the unit depends on has changed. */
void wisp_lattice_unit_touch(struct wisp_lattice_unit *unit);
/* FETCH, and what came of it into the job. */
void wisp_lattice_job_fetch(struct wisp_lattice_job *job, bool is_provider,
                            void (*on_done)(struct wisp_lattice_call *call, const struct wisp_lattice_done *done,
                                            void *env));
void wisp_lattice_job_take_artifact(struct wisp_lattice_job *job, const struct wisp_lattice_done *done);

/* component.c, provider.c: a request, checked, answered (`asker` may be NULL) and begun. */
int wisp_lattice_component_begin(struct wisp_lattice *lattice, const json_t *request, struct wisp_lattice_asker *asker,
                                 struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_lattice_provider_begin(struct wisp_lattice *lattice, const json_t *request, struct wisp_lattice_asker *asker,
                                struct wisp_err *err) __attribute__((warn_unused_result));
/* The first step of a job. */
void wisp_lattice_component_job(struct wisp_lattice_job *job);
void wisp_lattice_provider_job(struct wisp_lattice_job *job);
/* The config in use has changed. */
void wisp_lattice_provider_config_changed(struct wisp_lattice_unit *unit);
/* {host_id, provider_id}, as events about providers begin. */
json_t *wisp_lattice_provider_data(const struct wisp_lattice_unit *unit);
void wisp_lattice_provider_publish_config(struct wisp_lattice_unit *unit);
/* A START or the job of a built-in one: it runs; it can't. */
void wisp_lattice_provider_started(struct wisp_lattice_job *job);
void wisp_lattice_provider_failed(struct wisp_lattice_job *job, const struct wisp_err *err);

/* process.c */
void wisp_lattice_process_watch(struct wisp_lattice_unit *unit);
void wisp_lattice_process_unwatch(struct wisp_lattice_unit *unit);
/* A RESTART job. */
void wisp_lattice_process_restart(struct wisp_lattice_job *job);
void wisp_lattice_process_news_heard(struct wisp_lattice_unit *unit, enum wisp_lattice_provider_news news,
                                     const struct wisp_lattice_provider_report *report);
/* For inventories; NULL: nothing to tell. */
json_t *wisp_lattice_process_state(const struct wisp_lattice_unit *unit);
/* Takes `wisp.confine.*` out of a provider's config; with those of the annotations, which count more, they are returned
 * without that prefix. NULL: there are none. */
json_t *wisp_lattice_confine_take(json_t *config, const json_t *annotations);

/* builtin.c */
/* The reference is that of a built-in provider, known or not: its kind's name, within the reference. */
bool wisp_lattice_builtin_parse(const struct wisp_lattice *lattice, struct wisp_str reference,
                                struct wisp_str *ret_kind);
/* UNSUPPORTED names those that there are. */
int wisp_lattice_builtin_check(const struct wisp_lattice *lattice, struct wisp_str reference, struct wisp_str kind,
                               struct wisp_err *err) __attribute__((warn_unused_result));
char *wisp_lattice_builtin_plain(struct wisp_str reference);
void wisp_lattice_builtin_job(struct wisp_lattice_job *job);    /* START after it is permitted, or REFRESH */
void wisp_lattice_builtin_adopted(struct wisp_lattice_job *job); /* what it was asked for is what runs */
void wisp_lattice_builtin_touch(struct wisp_lattice_unit *unit); /* something that it depends on has changed */

/* It has no process that could be confined. */
int wisp_lattice_confine_refuse(const json_t *confine, struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_lattice_limits_read(const struct wisp_lattice_job *job, struct wisp_lattice_limits *ret_limits,
                             struct wisp_err *err) __attribute__((warn_unused_result));

/* host_data.c: resolves the unit's config and links for a START, RESTART or REFRESH job, then calls back. */
void wisp_lattice_host_data_begin(struct wisp_lattice_job *job,
                                  void (*on_done)(struct wisp_lattice_job *job, const struct wisp_err *err));
/* Fills action->provider with it. */
void wisp_lattice_host_data_fill(struct wisp_lattice_job *job, struct wisp_lattice_action *action);

/* provider_links.c */
void wisp_lattice_deliver(struct wisp_lattice_unit *unit, struct wisp_str identity);
void wisp_lattice_deliveries_forget(struct wisp_lattice_unit *unit);
/* The provider has been started, or has answered for the first time. */
void wisp_lattice_deliveries_repeat(struct wisp_lattice_unit *unit);

/* save.c */
void wisp_lattice_save_touch(struct wisp_lattice *lattice); /* what runs here has changed */
/* Before anybody is told of the change: saves now what would be saved when this turn is over. */
void wisp_lattice_save_pending(struct wisp_lattice *lattice);
void wisp_lattice_save_nothing(struct wisp_lattice *lattice);
void wisp_lattice_restore_begin(struct wisp_lattice *lattice);
/* What `label_edits` was. INVALID: nothing of the kind. */
int wisp_lattice_labels_restore(struct wisp_lattice *lattice, json_t *edits, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* It runs, or has been commanded otherwise: no more to be started again. */
void wisp_lattice_restored(struct wisp_lattice_unit *unit);

/* http_routes.c */
int wisp_lattice_routing_mode_check(json_t *config, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_lattice_routes_touch(struct wisp_lattice *lattice);
