/* SPDX-License-Identifier: Apache-2.0 */
/* What the flags of a host mean to its agent. */
#include "base/json.h"
#include "base/parse.h"
#include "cli/host_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

extern char **environ;

/* --- labels --- */

static int add_label(struct wisp_lattice_label *labels, size_t *n, struct wisp_str text, struct wisp_err *err)
{
    struct wisp_str key, value;
    if (!wisp_str_split(text, '=', &key, &value) || !key.len || (value.len && memchr(value.ptr, '=', value.len)))
        return wisp_err_set(err, WISP_ERR_USAGE, "label `%.*s` is not KEY=VALUE", WISP_STR_ARG(text));
    for (size_t i = 0; i < *n; i++)
        if (wisp_str_equal(labels[i].key, key)) {
            labels[i].value = value;
            return 0;
        }
    labels[(*n)++] = (struct wisp_lattice_label){key, value};
    return 0;
}

/* A flag beats a variable of the same key. */
static int collect_labels(const struct wisp_host_values *values, struct wisp_arena *arena,
                          struct wisp_lattice_options *lattice, struct wisp_err *err)
{
    static const struct wisp_str prefix = WISP_STR_INIT("WASMCLOUD_LABEL_");
    size_t n_variables = 0, n = 0;
    while (environ[n_variables]) n_variables++;
    struct wisp_lattice_label *labels =
        WISP_NEW_ARRAY(arena, struct wisp_lattice_label, n_variables + values->labels.count);
    for (size_t i = 0; i < n_variables; i++) {
        struct wisp_str variable = wisp_str_from(environ[i]);
        if (!wisp_str_starts_with(variable, prefix)) continue;
        int r = add_label(labels, &n, (struct wisp_str){variable.ptr + prefix.len, variable.len - prefix.len}, err);
        if (r < 0) return wisp_err_wrap(err, "environment");
    }
    for (size_t i = 0; i < values->labels.count; i++) {
        int r = add_label(labels, &n, wisp_str_from(values->labels.items[i]), err);
        if (r < 0) return wisp_err_wrap(err, "flag `--label`");
    }
    lattice->labels = labels;
    lattice->n_labels = n;
    return 0;
}

/* --- names --- */

static const char *friendly_name(struct wisp_arena *arena)
{
    static const char *const adjectives[] = {"amber",  "brisk",  "calm",   "clever", "crimson", "eager",  "gentle",
                                             "golden", "keen",   "lively", "mellow", "nimble",  "placid", "quiet",
                                             "rapid",  "silver", "steady", "sunny",  "tidy",    "vivid"};
    static const char *const nouns[] = {"bay",   "brook", "cedar",  "cliff", "comet", "dune",  "field",
                                        "fjord", "grove", "harbor", "heron", "lake",  "marsh", "meadow",
                                        "otter", "pine",  "reef",   "ridge", "river", "willow"};
    uint32_t random[3] = {0};
    if (getrandom(random, sizeof random, 0) < 0) random[0] = 7;
    return wisp_arena_printf(arena, "%s-%s-%04u", adjectives[random[0] % WISP_COUNT(adjectives)],
                             nouns[random[1] % WISP_COUNT(nouns)], random[2] % 9999 + 1);
}

/* "a,b" to two texts; empty ones are left out. */
static const char *const *split_list(struct wisp_arena *arena, const char *text, size_t *ret_n)
{
    struct wisp_str rest = wisp_str_from(text), item;
    const char **items = WISP_NEW_ARRAY(arena, const char *, rest.len / 2 + 1);
    *ret_n = 0;
    while (rest.len) {
        if (!wisp_str_split(rest, ',', &item, &rest)) {
            item = rest;
            rest.len = 0;
        }
        if (item.len) items[(*ret_n)++] = wisp_arena_cstr(arena, item);
    }
    return items;
}

/* What a connection has no setting of its own for is that of --nats-*; kinds of credentials are not mixed. */
static void fall_back(struct wisp_agent_connection *own, const struct wisp_host_values *values)
{
    if (!own->host) own->host = values->nats_host;
    if (!own->port) own->port = values->nats_port;
    if (!own->jwt && !own->seed && !own->creds_path) {
        own->jwt = values->nats_jwt;
        own->seed = values->nats_seed;
        own->creds_path = values->nats_creds;
    }
    if (!own->tls_ca_path) own->tls_ca_path = values->nats_ca;
    if (!own->tls_cert_path) {
        own->tls_cert_path = values->nats_cert;
        own->tls_key_path = values->nats_key;
    }
    own->is_tls = own->is_tls || values->nats_tls || own->tls_ca_path || own->tls_cert_path;
    own->is_tls_first = own->is_tls_first || values->nats_tls_first;
}

static void fill_connections(const struct wisp_host_values *values, struct wisp_agent_options *agent)
{
    agent->ctl = (struct wisp_agent_connection){.host = values->ctl_host,
                                                .port = values->ctl_port,
                                                .jwt = values->ctl_jwt,
                                                .seed = values->ctl_seed,
                                                .creds_path = values->ctl_creds,
                                                .is_tls = values->ctl_tls,
                                                .is_tls_first = values->ctl_tls_first,
                                                .tls_ca_path = values->ctl_ca,
                                                .tls_cert_path = values->ctl_cert,
                                                .tls_key_path = values->ctl_key};
    agent->rpc = (struct wisp_agent_connection){.host = values->rpc_host,
                                                .port = values->rpc_port,
                                                .jwt = values->rpc_jwt,
                                                .seed = values->rpc_seed,
                                                .creds_path = values->rpc_creds,
                                                .is_tls = values->rpc_tls,
                                                .is_tls_first = values->rpc_tls_first,
                                                .tls_ca_path = values->rpc_ca,
                                                .tls_cert_path = values->rpc_cert,
                                                .tls_key_path = values->rpc_key};
    agent->has_own_rpc =
        values->rpc_host || values->rpc_port || values->rpc_jwt || values->rpc_seed || values->rpc_creds;
    fall_back(&agent->ctl, values);
    fall_back(&agent->rpc, values);
}

/* The flag says no, the variable says whether. */
static int read_builtin_images(const struct wisp_host_values *values, bool *ret_runs_real_images, struct wisp_err *err)
{
    const char *text = getenv("WISP_BUILTIN_IMAGES");
    struct wisp_str value = wisp_str_from(text && *text ? text : "on");
    bool is_off = wisp_str_is(value, "off") || wisp_str_is(value, "false") || wisp_str_is(value, "0");
    if (!is_off && !wisp_str_is(value, "on") && !wisp_str_is(value, "true") && !wisp_str_is(value, "1"))
        return wisp_err_set(err, WISP_ERR_USAGE, "environment variable WISP_BUILTIN_IMAGES: `%s` is none of on, off",
                            text);
    *ret_runs_real_images = is_off || values->no_builtin_images;
    return 0;
}

/* Such variables are taken out of the environment: those that set up the host can't be among them. */
static int check_secrets(const struct wisp_host_values *values, struct wisp_err *err)
{
    struct wisp_str prefix = wisp_str_from(values->secrets_env_prefix);
    if ((values->secrets_vault_token_file || values->secrets_vault_mount) && !values->secrets_vault)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "flags `--secrets-vault-token-file` and `--secrets-vault-mount` need --secrets-vault");
    for (size_t i = 0; values->secrets_env_prefix && i < wisp_host_options.n_options; i++)
        for (struct wisp_str names = wisp_str_from(wisp_host_options.options[i].env), name; names.len;) {
            if (!wisp_str_split(names, ' ', &name, &names)) name = names, names.len = 0;
            if (wisp_str_starts_with(name, prefix))
                return wisp_err_set(err, WISP_ERR_USAGE,
                                    "flag `--secrets-env-prefix`: the host's own setting %.*s begins with `%s` too",
                                    WISP_STR_ARG(name), values->secrets_env_prefix);
        }
    return 0;
}

static int check(const struct wisp_host_values *values, struct wisp_err *err)
{
    int r = check_secrets(values, err);
    if (r < 0) return r;
    if (values->nats_jwt && !values->nats_seed)
        return wisp_err_set(err, WISP_ERR_USAGE, "flag `--nats-jwt` needs --nats-seed with it");
    if (values->nats_jwt && values->nats_creds)
        return wisp_err_set(err, WISP_ERR_USAGE, "flags `--nats-jwt` and `--nats-creds` exclude each other");
    if (values->connect_only && values->nats_urls.count)
        return wisp_err_set(err, WISP_ERR_USAGE, "flags `--nats-connect-only` and `--nats` exclude each other");
    if (values->policy_changes_topic && !values->policy_topic)
        return wisp_err_set(err, WISP_ERR_USAGE, "flag `--policy-changes-topic` needs --policy-topic");
    if ((values->oci_user || values->oci_password) && !values->oci_registry)
        return wisp_err_set(err, WISP_ERR_USAGE, "flags `--oci-user` and `--oci-password` need --oci-registry");
    if (!values->nats_cert != !values->nats_key || !values->ctl_cert != !values->ctl_key ||
        !values->rpc_cert != !values->rpc_key)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "a certificate (--nats-tls-cert-file, --ctl-..., --rpc-...) and its "
                            "key belong together");
    if (!values->bus_tls_cert != !values->bus_tls_key)
        return wisp_err_set(err, WISP_ERR_USAGE, "flags `--bus-tls-cert` and `--bus-tls-key` belong together");
    return 0;
}

static void fill_artifacts(const struct wisp_host_values *values, struct wisp_arena *arena,
                           struct wisp_oci_options *artifacts)
{
    *artifacts = (struct wisp_oci_options){.allow_latest = values->allow_latest,
                                           .allow_files = values->allow_file_load,
                                           .use_docker_config = true,
                                           .size_max = 0};
    artifacts->insecure = split_list(arena, values->allowed_insecure, &artifacts->n_insecure);
    artifacts->ca_paths = split_list(arena, values->tls_ca_paths, &artifacts->n_ca_paths);
    if (!values->oci_registry) return;
    struct wisp_oci_credential *credential = WISP_NEW(arena, struct wisp_oci_credential);
    *credential = (struct wisp_oci_credential){values->oci_registry, values->oci_user, values->oci_password, NULL};
    artifacts->credentials = credential;
    artifacts->n_credentials = 1;
}

/* After fill_artifacts. */
static void fill_secrets(const struct wisp_host_values *values, struct wisp_agent_options *agent)
{
    agent->secrets = (struct wisp_secrets_options){.dir = values->secrets_dir,
                                                   .env_prefix = values->secrets_env_prefix,
                                                   .vault_url = values->secrets_vault,
                                                   .vault_token_file = values->secrets_vault_token_file,
                                                   .vault_mount = values->secrets_vault_mount,
                                                   .ca_paths = agent->artifacts.ca_paths,
                                                   .n_ca_paths = agent->artifacts.n_ca_paths};
}

/* The same settings as wasmCloud's providers understand them. Headers are not among them. */
static const char *otel_config(const struct wisp_host_values *values, const struct wisp_telemetry_flags *flags,
                               struct wisp_arena *arena)
{
    static const char *const enable[] = {"enable_traces", "enable_metrics", "enable_logs"};
    static const char *const endpoint[] = {"traces_endpoint", "metrics_endpoint", "logs_endpoint"};
    WISP_CLEANUP_JSON json_t *config =
        json_pack("{s:b, s:s, s:s, s:s*}", "enable_observability", (int)flags->all, "protocol", "Http", "trace_level",
                  wisp_host_trace_levels[values->trace_level], "observability_endpoint", flags->endpoint);
    json_t *ca_paths = json_array();
    for (size_t i = 0; i < flags->n_ca_paths; i++) json_array_append_new(ca_paths, json_string(flags->ca_paths[i]));
    json_object_set_new(config, "additional_ca_paths", ca_paths);
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++) {
        if (flags->is_on[i]) json_object_set_new(config, enable[i], json_true());
        if (flags->endpoints[i]) json_object_set_new(config, endpoint[i], json_string(flags->endpoints[i]));
    }
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(config, &text);
    return wisp_arena_cstr(arena, wisp_buf_str(&text));
}

static int fill_telemetry(const struct wisp_host_values *values, struct wisp_arena *arena,
                          struct wisp_agent_options *agent, struct wisp_err *err)
{
    struct wisp_telemetry_flags flags = {.all = values->observability,
                                         .is_on = {[WISP_OTLP_TRACES] = values->traces,
                                                   [WISP_OTLP_METRICS] = values->metrics,
                                                   [WISP_OTLP_LOGS] = values->logs},
                                         .endpoint = values->otlp_endpoint,
                                         .ca_paths = agent->artifacts.ca_paths,
                                         .n_ca_paths = agent->artifacts.n_ca_paths};
    bool any = flags.all || values->traces || values->metrics || values->logs;
    if (any && values->otlp_protocol != 0)
        return wisp_err_set(
            err, WISP_ERR_UNSUPPORTED,
            "flag `--observability-protocol`: OTLP over gRPC is not supported; collectors take `http` too, "
            "on port 4318");
    memcpy(flags.endpoints, values->otlp_endpoints, sizeof flags.endpoints);
    int r = wisp_telemetry_settings(&flags, arena, &agent->telemetry, err);
    if (values->trace_level < WISP_LOG_INFO) agent->telemetry.urls[WISP_OTLP_TRACES] = NULL;
    if (r == 0 && any) agent->lattice.otel_config = otel_config(values, &flags, arena);
    agent->lattice.takes_spans = agent->telemetry.urls[WISP_OTLP_TRACES];
    return r;
}

int wisp_host_options_resolve(const struct wisp_host_values *values, struct wisp_arena *arena,
                              struct wisp_agent_options *ret_options, struct wisp_err *err)
{
    bool runs_real_images = false;
    int r = check(values, err);
    if (r == 0) r = read_builtin_images(values, &runs_real_images, err);
    if (r < 0) return r;
    *ret_options = (struct wisp_agent_options){
        .lattice = {.lattice = values->lattice,
                    .ctl_prefix = values->topic_prefix,
                    .host_seed = values->host_seed,
                    .friendly_name = friendly_name(arena),
                    .version = WISP_VERSION,
                    .rpc_jwt = values->rpc_jwt ? values->rpc_jwt : values->nats_jwt,
                    .rpc_seed = values->rpc_seed ? values->rpc_seed : values->nats_seed,
                    .js_domain = values->js_domain,
                    .policy_topic = values->policy_topic,
                    .policy_changes_topic = values->policy_changes_topic,
                    .secrets_topic = values->secrets_topic,
                    .policy_timeout_ms = values->policy_timeout_ms,
                    .heartbeat_interval_ms = values->heartbeat_s,
                    .provider_shutdown_delay_ms = values->shutdown_delay_ms,
                    .rpc_timeout_ms = values->rpc_timeout_ms,
                    .refuses_component_auctions = !values->component_auction,
                    .refuses_provider_auctions = !values->provider_auction,
                    .asks_config_service = values->config_service,
                    .components_max = values->components_max,
                    .runs_real_images = runs_real_images,
                    .health_interval_ms = values->health_interval_ms,
                    .hung_after = values->hung_after},
        .provider_failed_after = values->failed_after,
        .provider_restart_max_ms = (uint32_t)values->restart_max_ms,
        .provider_wait_ms = (uint32_t)values->provider_wait_ms,
        .app = {.is_passive = values->disable_wadm},
        .state_dir = values->state,
        .nats_urls = values->nats_urls.items,
        .n_nats_urls = values->nats_urls.count,
        .connect_only = values->connect_only,
        .bus_token = values->bus_token,
        .bus_tls_cert_path = values->bus_tls_cert,
        .bus_tls_key_path = values->bus_tls_key,
        .bus_tls_client_ca_path = values->bus_tls_ca,
        .is_bus_tls_first = values->bus_tls_first,
        .n_workers = values->n_workers,
        .memory_bytes_max = values->memory_bytes_max,
        .timeout_ms = values->execution_ms,
        .body_bytes_max = values->body_bytes_max,
        .component_bytes_max = values->component_bytes_max,
        .grace_ms = (uint32_t)values->grace_ms,
        .drain_ms = (uint32_t)values->drain_ms,
        .log_level = (enum wisp_log_level)values->log_level,
        .log_format = values->structured_logging ? WISP_LOG_JSON : (enum wisp_log_format)values->log_format,
        .admin_address = values->admin_address,
        .log_path = values->log_path,
    };
    fill_connections(values, ret_options);
    fill_artifacts(values, arena, &ret_options->artifacts);
    fill_secrets(values, ret_options);
    r = fill_telemetry(values, arena, ret_options, err);
    if (r < 0) return r;
    return collect_labels(values, arena, &ret_options->lattice, err);
}
