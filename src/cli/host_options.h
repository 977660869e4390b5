/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of `wisp up` and `wisp host`: those of the original's host and of its `up`, and wisp's own. */
#pragma once

#include "cli/args.h"
#include "host/agent.h"

/* First member of the values of both verbs. */
struct wisp_host_values {
    const char *lattice, *state, *host_seed, *topic_prefix, *js_domain;
    struct wisp_arg_list labels;

    struct wisp_arg_list nats_urls;
    const char *nats_host, *nats_jwt, *nats_seed, *nats_creds;
    const char *nats_ca, *nats_cert, *nats_key;
    uint32_t nats_port;
    bool connect_only;
    const char *ctl_host, *ctl_jwt, *ctl_seed, *ctl_creds, *ctl_ca, *ctl_cert, *ctl_key;
    const char *rpc_host, *rpc_jwt, *rpc_seed, *rpc_creds, *rpc_ca, *rpc_cert, *rpc_key;
    uint32_t ctl_port, rpc_port;
    bool nats_tls, nats_tls_first, bus_tls_first;
    int ctl_tls, ctl_tls_first, rpc_tls, rpc_tls_first; /* 0: false, 1: true */
    const char *bus_token, *bus_tls_cert, *bus_tls_key, *bus_tls_ca;

    uint64_t rpc_timeout_ms, shutdown_delay_ms, heartbeat_s, policy_timeout_ms;
    uint64_t health_interval_ms, restart_max_ms, provider_wait_ms;
    uint32_t hung_after, failed_after;
    bool no_builtin_images, disable_wadm;
    const char *policy_topic, *policy_changes_topic, *secrets_topic;
    const char *secrets_dir, *secrets_env_prefix, *secrets_vault, *secrets_vault_token_file, *secrets_vault_mount;
    bool config_service;
    int component_auction, provider_auction; /* 0: false, 1: true */

    bool allow_latest;
    int allow_file_load; /* 0: false, 1: true */
    const char *allowed_insecure, *oci_registry, *oci_user, *oci_password, *tls_ca_paths;

    uint32_t n_workers, components_max;
    uint64_t execution_ms, memory_bytes_max, component_bytes_max, body_bytes_max, grace_ms, drain_ms;

    const char *admin_address, *log_path;
    bool structured_logging;
    int log_level, log_format;

    bool observability, traces, metrics, logs;
    const char *otlp_endpoint, *otlp_endpoints[WISP_OTLP_SIGNALS];
    int otlp_protocol, trace_level;
};

/* Members of an initialiser; a verb may add its own. */
#define WISP_HOST_DEFAULTS                                                                                             \
    .lattice = "default", .component_auction = 1, .provider_auction = 1, .execution_ms = 600000,                       \
    .memory_bytes_max = 256 << 20, .component_bytes_max = 50 << 20, .log_level = WISP_LOG_INFO,                        \
    .trace_level = WISP_LOG_INFO

extern const struct wisp_arg_shared wisp_host_options;
/* What `trace_level` counts in. */
extern const char *const wisp_host_trace_levels[];

/* Fills in what the agent wants; texts belong to the arena, `values` is borrowed. USAGE names the flag. */
int wisp_host_options_resolve(const struct wisp_host_values *values, struct wisp_arena *arena,
                              struct wisp_agent_options *ret_options, struct wisp_err *err)
    __attribute__((warn_unused_result));
