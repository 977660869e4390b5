/* SPDX-License-Identifier: Apache-2.0 */
/* A host of a lattice: the control process behind `wisp up` and `wisp host`. It brings the outside together with the
 * lattice's state machine (lattice/lattice.h): bus, replicated state, artifacts, workers, provider processes.
 *
 * The bus is the embedded one unless NATS servers are named. If its address is taken by another host's bus, or by a
 * NATS server, that one is used; should it end, one of the hosts that joined it puts a bus in its place. */
#pragma once

#include "app/app.h"
#include "base/err.h"
#include "base/log.h"
#include "host/secrets.h"
#include "lattice/lattice.h"
#include "oci/oci.h"
#include "telemetry/settings.h"

enum {
    WISP_AGENT_GRACE_MS = 30 * 1000, /* workers go on serving for so long when the control process is gone */
    WISP_AGENT_DRAIN_MS = 10 * 1000,
};

/* How to reach a bus. Texts may be NULL. */
struct wisp_agent_connection {
    const char *host; /* NULL: 127.0.0.1 */
    uint32_t port;    /* 0: 4222 */
    const char *jwt, *seed, *creds_path;
    bool is_tls, is_tls_first;
    const char *tls_ca_path, *tls_cert_path, *tls_key_path;
};

struct wisp_agent_ready {
    const char *host_id, *friendly_name, *bus_url;
    const char *log_path; /* of a detached host */
    bool serves_bus;      /* the embedded one is in this process */
    uint32_t n_workers;
};

/* Everything is borrowed until wisp_agent_run returns. Zeros and NULLs stand for defaults. */
struct wisp_agent_options {
    struct wisp_lattice_options lattice; /* host_seed NULL: the one kept in the state directory */
    const char *state_dir;               /* as wisp_paths_init has it */
    struct wisp_app_options app;         /* lattice, host and seed are filled in */

    /* --- bus --- */
    const char *const *nats_urls; /* NATS servers; none: the embedded bus at ctl.host and ctl.port */
    size_t n_nats_urls;
    bool connect_only; /* never start a bus, join what is at ctl.host and ctl.port */
    struct wisp_agent_connection ctl, rpc;
    bool has_own_rpc;      /* else calls go over the control connection, and `rpc` does not count */
    const char *bus_token; /* of the embedded bus: needed when it listens wider than on loopback */
    const char *bus_tls_cert_path, *bus_tls_key_path, *bus_tls_client_ca_path;
    bool is_bus_tls_first;

    struct wisp_oci_options artifacts; /* cache_dir NULL: the user's */
    struct wisp_secrets_options secrets;

    /* --- workers --- */
    uint32_t n_workers; /* 0: one per core */
    uint64_t memory_bytes_max, timeout_ms, body_bytes_max, component_bytes_max;
    uint32_t grace_ms, drain_ms;
    enum wisp_log_level log_level;
    enum wisp_log_format log_format;

    uint32_t provider_failed_after, provider_restart_max_ms; /* providers.h */
    uint32_t provider_wait_ms; /* calls wait so long for a provider that nobody runs right now; 0: 10 s */

    const char *admin_address; /* health, readiness, metrics; NULL: none */
    struct wisp_telemetry_options telemetry;

    bool is_detached; /* standard output and error go to the log file, which is kept from growing without bound */
    const char *log_path; /* NULL: that in the state directory, which else becomes a link to it */
    /* The host is there: it answers on the lattice. Called once; may be NULL. */
    void (*on_ready)(const struct wisp_agent_ready *ready, void *env);
    void *env;
};

/* Runs the host until it is stopped: by SIGTERM, SIGINT, SIGHUP, or over the lattice. */
int wisp_agent_run(const struct wisp_agent_options *options, struct wisp_err *err) __attribute__((warn_unused_result));
