/* SPDX-License-Identifier: Apache-2.0 */
/* One host's part in a lattice, without I/O: messages, changes of state, outcomes and a time go in, actions come out.
 * (wasmCloud 1.6 control interface, events, links, config, claims, policy and secrets; wire formats as there.)
 *
 *     struct wisp_lattice *lattice = wisp_lattice_new(&options);
 *     wisp_lattice_on_message(lattice, now, ...);
 *     while (wisp_lattice_next_action(lattice, &action)) perform(&action);
 *
 * Every action with an `id` is answered by exactly one call of wisp_lattice_on_done with that id, at once or much
 * later, in any order. One thread. Nothing here blocks, sleeps, reads a clock or makes random numbers of its own: two
 * machines that are fed the same give the same.
 *
 * What one host runs (components with their limits, providers) belongs to this machine. Links and configs belong to the
 * lattice: they are what the replicated state says, and are written there by compare-and-swap. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "bus/bus.h"

#include <jansson.h>

struct wisp_lattice;

/* The buckets of the state, with state.h's numbers. */
enum {
    WISP_LATTICE_DATA,   /* LATTICEDATA_{lattice} */
    WISP_LATTICE_CONFIG, /* CONFIGDATA_{lattice} */
    WISP_LATTICE_BUCKET_COUNT
};
enum { WISP_LATTICE_ANY_REVISION = -1 }; /* of `expected` in a STATE_WRITE */

struct wisp_lattice_label {
    struct wisp_str key, value;
};

#define WISP_LATTICE_SPANS "wisp.spans"

/* Everything is copied. Times in ms; zeros stand for the original's defaults. */
struct wisp_lattice_options {
    const char *lattice;    /* "default" */
    const char *ctl_prefix; /* "wasmbus.ctl" */
    const char *host_seed;  /* nkey seed of a server key (SN…) */
    const char *friendly_name, *version;
    const struct wisp_lattice_label *labels; /* the user's; hostcore.* are added */
    size_t n_labels;
    const char *ctl_host, *rpc_host; /* "nats://127.0.0.1:4222", as ping shows them; the latter also for providers */
    const char *rpc_socket;          /* a Unix socket of the latter, for providers that know of it; may be NULL */
    const char *log_level;           /* for providers; NULL: "info" */
    bool structured_logging;         /* for providers */
    const char *otel_config;         /* for providers, an object in JSON; NULL: they export nothing */
    bool takes_spans; /* from providers that know how, on WISP_LATTICE_SPANS.{lattice}.{host}: see sdk/spans.h */
    const char *rpc_jwt, *rpc_seed;  /* for HostData; may be NULL */
    const char *js_domain;           /* may be NULL */
    const char *policy_topic, *policy_changes_topic, *secrets_topic; /* NULL: off */
    uint64_t policy_timeout_ms, heartbeat_interval_ms, provider_shutdown_delay_ms, rpc_timeout_ms;
    bool refuses_component_auctions, refuses_provider_auctions;
    bool asks_config_service;        /* once at start */
    uint32_t components_max;         /* different components on this host; 0: 10,000 */
    uint32_t providers_max;          /* 0: 1,000 */
    uint32_t links_max, configs_max; /* that the machine keeps of the lattice; 0: 100,000 each */
    /* Built-in provider kinds beside "http-server": `wisp://NAME` runs them in this host's workers. Copied. */
    const char *const *builtin_kinds;
    size_t n_builtin_kinds;
    /* Secrets backends that this host has itself: asked by SECRET actions, those of any other name over the bus. */
    const char *const *secret_backends;
    size_t n_secret_backends;
    bool runs_real_images;       /* images of the original's providers are not replaced by the built-in kinds */
    uint64_t health_interval_ms; /* between two health checks of a provider process */
    uint32_t hung_after;         /* health checks in a row without an answer; then it is started again; 0: 3 */
    size_t payload_max;          /* what the bus carries in one message; 0: WISP_BUS_PAYLOAD_MAX */
    uint64_t seed;               /* of random choices: ids of events, jitter, keys when simulated */
    bool keys_from_seed;         /* simulation: keys are made of `seed` instead of the system's randomness */
};

/* `now_ms` is monotonic and starts anywhere; `wall_ns` is ns since 1970 for the dates in events and claims. */
struct wisp_lattice_now {
    uint64_t now_ms;
    int64_t wall_ns;
};

/* LIMIT or INVALID for options that can't be (seed, topic, lattice name). */
int wisp_lattice_new(struct wisp_lattice **ret_lattice, const struct wisp_lattice_options *options,
                     struct wisp_lattice_now now, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_lattice_free(struct wisp_lattice *lattice);

const char *wisp_lattice_host_id(const struct wisp_lattice *lattice); /* N… */
/* Whether this host has been told to run a component or provider of that id, and not to stop it. */
bool wisp_lattice_is_to_run(struct wisp_lattice *lattice, struct wisp_str id);
/* Those it began with, the user's and hostcore.*; as requests to the policy service have them. Borrowed. */
const json_t *wisp_lattice_startup_labels(const struct wisp_lattice *lattice);
/* The inventory, as host.get and heartbeats have it. The caller owns the reference. */
json_t *wisp_lattice_inventory(const struct wisp_lattice *lattice, struct wisp_lattice_now now);

/* --- in --- */

/* A message on one of the subjects that SUBSCRIBE actions asked for. */
void wisp_lattice_on_message(struct wisp_lattice *lattice, struct wisp_lattice_now now,
                             const struct wisp_bus_message *message);
/* As state.h tells it; buckets by the same numbers. `value` NULL: deleted. */
void wisp_lattice_on_state(struct wisp_lattice *lattice, struct wisp_lattice_now now, int bucket, struct wisp_str key,
                           const struct wisp_str *value, uint64_t revision);
/* All that was there has been told: at start (then the host announces itself), and after each time the state could not
 * be reached (then the host puts back what it runs and links it knows that are gone though nobody deleted them). */
void wisp_lattice_on_state_loaded(struct wisp_lattice *lattice, struct wisp_lattice_now now);
/* The state can't be reached, or can be reached again: deletions told from here to wisp_lattice_on_state_loaded may
 * have been made by nobody. The loss of the bus (next function) implies it. */
void wisp_lattice_on_state_reachable(struct wisp_lattice *lattice, struct wisp_lattice_now now, bool is_reachable);
/* A state was opened in place of an earlier one: from here to wisp_lattice_on_state_loaded everything there is will be
 * told, and what is not told is not there. For the first one it may be left out. */
void wisp_lattice_on_state_opened(struct wisp_lattice *lattice, struct wisp_lattice_now now);
/* The bus is there or not. Without it nothing is stopped, deleted or forgotten; what has to be said is said later if it
 * still matters. */
void wisp_lattice_on_bus(struct wisp_lattice *lattice, struct wisp_lattice_now now, bool is_connected);
/* Time passes. Call at wisp_lattice_next_tick_ms at the latest; more often does no harm. */
void wisp_lattice_on_tick(struct wisp_lattice *lattice, struct wisp_lattice_now now);
uint64_t wisp_lattice_next_tick_ms(const struct wisp_lattice *lattice); /* UINT64_MAX: none */

/* What came of an action. Only the fields of its kind count. `err` kind NONE: success. */
struct wisp_lattice_done {
    struct wisp_err err;
    struct wisp_bus_message reply; /* REQUEST */
    uint64_t revision;             /* STATE_WRITE */
    struct {                       /* FETCH */
        struct wisp_str path, digest, plain_reference;
        json_t *claims; /* borrowed; NULL: unsigned. {token, issuer, subject, name, version, revision, call_alias, tags,
                         * vendor, config_schema, issued_at, expires_at, not_before}, absent ones left out */
    } artifact;
    struct wisp_str secret; /* SECRET: bytes; to the component a text when they are UTF-8 */
};
void wisp_lattice_on_done(struct wisp_lattice *lattice, struct wisp_lattice_now now, uint64_t id,
                          const struct wisp_lattice_done *done);

/* What a provider process does, told by whoever runs it. */
enum wisp_lattice_provider_news {
    WISP_LATTICE_PROVIDER_UP,     /* the process runs */
    WISP_LATTICE_PROVIDER_EXITED, /* unasked, or could not be started again; with a report */
    WISP_LATTICE_PROVIDER_DUE,    /* it is to be started again now: wants PROVIDER_RESTART_READY */
};

struct wisp_lattice_provider_report {
    bool has_run;      /* false: it could not even be started, `reason` says why */
    int signal_number; /* that ended it; 0: it exited with `exit_status` */
    int exit_status;
    uint64_t ran_ms, pause_ms;     /* pause before the next start */
    uint32_t failures;             /* deaths in a row, this one included */
    bool is_failed;                /* which is more than is taken: tried again after the longest pause only */
    const char *reason;            /* why it was killed; NULL: it wasn't, or not by us */
    const struct wisp_str *output; /* its last lines */
    size_t n_output;
};
/* `report` NULL but for EXITED. */
void wisp_lattice_on_provider(struct wisp_lattice *lattice, struct wisp_lattice_now now, struct wisp_str provider_id,
                              enum wisp_lattice_provider_news news, const struct wisp_lattice_provider_report *report);

/* What the host ran before, as a SAVE action gave it: it is started again once the state is loaded, and what can't be
 * is tried again until it runs or a command says otherwise. Once, before that. INVALID when it is nothing of the kind
 * (then nothing is restored). */
int wisp_lattice_restore(struct wisp_lattice *lattice, struct wisp_str saved, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* The host is asked to end (signal): announces it, then gives STOP_HOST. */
void wisp_lattice_stop(struct wisp_lattice *lattice, struct wisp_lattice_now now);

/* Provider processes are told over the bus to end: nobody needs them any more. After STOP_HOST. */
void wisp_lattice_shutdown_providers(struct wisp_lattice *lattice, struct wisp_lattice_now now);

/* --- out --- */

enum wisp_lattice_action_kind {
    WISP_LATTICE_SUBSCRIBE,        /* subject, queue */
    WISP_LATTICE_UNSUBSCRIBE,      /* subject */
    WISP_LATTICE_PUBLISH,          /* subject, reply, headers, payload */
    WISP_LATTICE_REQUEST,          /* id; subject, headers, payload, timeout_ms */
    WISP_LATTICE_STATE_WRITE,      /* id; bucket, key, value or none, expected */
    WISP_LATTICE_FETCH,            /* id; reference, is_provider */
    WISP_LATTICE_SECRET,           /* id; secret: of one of options.secret_backends */
    WISP_LATTICE_CREDENTIALS,      /* registries: map of registry to {username, password, token} */
    WISP_LATTICE_COMPONENT_PUT,    /* id; component: runs it, or changes what runs: done when the new one serves */
    WISP_LATTICE_COMPONENT_REMOVE, /* id; component.id: done when it takes no more calls */
    WISP_LATTICE_PROVIDER_START,   /* id; provider: done when the process runs */
    WISP_LATTICE_PROVIDER_ENDING,  /* provider.id: is asked over the bus to end; its exit is no surprise from here on */
    WISP_LATTICE_PROVIDER_STOP, /* id; provider.id, timeout_ms: let it end by itself for so long; done when it is gone
                                 */
    WISP_LATTICE_PROVIDER_HANG, /* provider.id, text: does not answer; to be killed, then as if it had died */
    WISP_LATTICE_PROVIDER_RESTART_READY, /* provider: fresh host data for the start that is due */
    WISP_LATTICE_BUILTIN_PUT,    /* id; builtin: runs it in all workers, or changes what runs: done when all have it */
    WISP_LATTICE_BUILTIN_REMOVE, /* id; builtin.id: done when it takes no more calls */
    WISP_LATTICE_HTTP,           /* routes: all of them, replaces the earlier ones */
    WISP_LATTICE_SAVE, /* payload: JSON of what runs here, to be given to wisp_lattice_restore after a restart; after
                        * every change of it, and labels set by command. A host that was told to stop (host.stop)
                        * saves that it runs nothing */
    WISP_LATTICE_STOP_HOST, /* timeout_ms: finish what is in flight and end */
    WISP_LATTICE_LOG,       /* level, text: something people should know */
};

struct wisp_lattice_pair {
    struct wisp_str key, value;
};

struct wisp_lattice_secret {
    struct wisp_str name, value;
    bool is_bytes;
};

/* Where a secret is, as a reference says it; by anybody in the lattice. Empty: not said. */
struct wisp_lattice_secret_place {
    struct wisp_str backend, key, field, version;
};

/* One entry of a component's link table. */
struct wisp_lattice_target {
    struct wisp_str link_name; /* "default" */
    struct wisp_str interface; /* "wasi:keyvalue/store", without version */
    struct wisp_str target;    /* component or provider id */
};

struct wisp_lattice_component {
    struct wisp_str id;
    uint64_t generation; /* of the code: a new number for every new digest or start */
    struct wisp_str reference, digest, path;
    uint32_t instances_max;                 /* on this host; UINT32_MAX: unbounded */
    const struct wisp_lattice_pair *config; /* merged */
    size_t n_config;
    const struct wisp_lattice_secret *secrets;
    size_t n_secrets;
    const struct wisp_lattice_target *links; /* where its imports go */
    size_t n_links;
    /* Limits by annotation or config `wisp.max-memory`, `wisp.timeout`, `wisp.queue`, `wisp.max-body`; 0: the host's.
     */
    uint64_t memory_bytes_max, timeout_ms, body_bytes_max;
    uint32_t queue_max;
    struct wisp_str policy_target; /* JSON: how the policy service knows it, in questions about its calls; empty: off */
};

struct wisp_lattice_provider {
    struct wisp_str id, reference, plain_reference, path;
    struct wisp_str host_data; /* JSON, for its standard input; secret */
    struct wisp_str xkey;      /* X…, whose subject gets its links */
    json_t *confine; /* borrowed: what `wisp.confine.KEY` says, KEY to text (supervise/confine.h); NULL: nothing */
};

/* A provider of a built-in kind, whole. JSON is borrowed and in the form of worker/orders.h. */
struct wisp_lattice_builtin {
    struct wisp_str id, kind; /* "keyvalue-redis" */
    json_t *config;           /* map of texts */
    json_t *secrets;          /* name to text or {"bytes": base64} */
    json_t *links;            /* array: with both sides' configs and secrets, in the clear */
};

/* A route of the built-in HTTP server: what a link from an http-server provider to a component says. */
struct wisp_lattice_route {
    struct wisp_str provider, link_name, component;
    struct wisp_str address;    /* "0.0.0.0:8000" */
    struct wisp_str host, path; /* empty: any */
    json_t *settings;           /* borrowed: all keys of the link's and provider's config, lower case */
};

/* Views: valid until the next call on the lattice. */
struct wisp_lattice_action {
    enum wisp_lattice_action_kind kind;
    uint64_t id; /* 0: no answer is expected */
    struct wisp_str subject, queue, reply, payload;
    const struct wisp_bus_header *headers;
    size_t n_headers;
    uint64_t timeout_ms;
    int bucket;
    struct wisp_str key, value;
    bool has_value;
    int64_t expected;
    struct wisp_str reference;
    bool is_provider;
    struct wisp_lattice_secret_place secret;
    json_t *registries; /* borrowed */
    struct wisp_lattice_component component;
    struct wisp_lattice_provider provider;
    struct wisp_lattice_builtin builtin;
    const struct wisp_lattice_route *routes;
    size_t n_routes;
    int level; /* enum wisp_log_level */
    struct wisp_str text;
};

/* The oldest action not taken yet; false: none. */
bool wisp_lattice_next_action(struct wisp_lattice *lattice, struct wisp_lattice_action *ret_action);
