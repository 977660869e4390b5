/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/host_options.h"

#include "base/json.h"
#include "base/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

extern char **environ;

/* In the order of their enums in base/log.h. */
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"auto", "text", "logfmt", "json", NULL};
static const char *const trace_levels[] = {"error", "warn", "info", "debug", "trace", NULL};
static const char *const protocols[] = {"http", "grpc", NULL};
static const char *const booleans[] = {"false", "true", NULL};

#define FIELD(name) .offset = offsetof(struct wisp_host_values, name)
#define TEXT(flag, what, field, variable, text)                                                                        \
    {.name = flag, .kind = WISP_ARG_TEXT, .value = what, FIELD(field), .env = variable, .help = text}
#define FILE_(flag, others, field, variable, text)                                                                     \
    {.name = flag,                                                                                                     \
     .aliases = others,                                                                                                \
     .kind = WISP_ARG_TEXT,                                                                                            \
     .value = "FILE",                                                                                                  \
     FIELD(field),                                                                                                     \
     .env = variable,                                                                                                  \
     .completion = WISP_COMPLETE_FILES,                                                                                \
     .help = text}
#define FLAG(flag, field, variable, text)                                                                              \
    {.name = flag, .kind = WISP_ARG_FLAG, FIELD(field), .env = variable, .help = text}
#define BOOL(flag, field, variable, text)                                                                              \
    {.name = flag,                                                                                                     \
     .kind = WISP_ARG_CHOICE,                                                                                          \
     .value = "BOOL",                                                                                                  \
     .implied = "true",                                                                                                \
     .choices = booleans,                                                                                              \
     FIELD(field),                                                                                                     \
     .env = variable,                                                                                                  \
     .help = text}
#define UNUSED(flag, what, variable, text)                                                                             \
    {.name = flag, .kind = (what) ? WISP_ARG_TEXT : WISP_ARG_FLAG, .value = what, .env = variable, .unused = text}
#define BUS_IS_BUILT_IN "the bus is built in, or yours with --nats"
#define HOST_IS_THIS "the host is this program"
#define CLUSTERS_ARE_GONE "hosts sign nothing for each other"
#define MANAGER_IS_BUILT_IN "the manager of applications is built in"
#define PORT(flag, field, variable, text)                                                                              \
    {.name = flag, .kind = WISP_ARG_NUMBER, .value = "PORT", FIELD(field), .max = 65535, .env = variable, .help = text}
#define MILLISECONDS(flag, others, field, variable, text)                                                              \
    {.name = flag,                                                                                                     \
     .aliases = others,                                                                                                \
     .kind = WISP_ARG_MILLISECONDS,                                                                                    \
     .value = "MS",                                                                                                    \
     FIELD(field),                                                                                                     \
     .env = variable,                                                                                                  \
     .help = text}
#define BYTES(flag, others, field, variable, text)                                                                     \
    {.name = flag,                                                                                                     \
     .aliases = others,                                                                                                \
     .kind = WISP_ARG_SIZE,                                                                                            \
     .value = "SIZE",                                                                                                  \
     FIELD(field),                                                                                                     \
     .env = variable,                                                                                                  \
     .help = text}

static const struct wisp_arg_option options[] = {
    {.name = "lattice",
     .letter = 'x',
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     FIELD(lattice),
     .env = "WISP_LATTICE WASMCLOUD_LATTICE",
     .help = "the lattice to join [default]"},
    {.name = "label",
     .aliases = "labels",
     .letter = 'l',
     .kind = WISP_ARG_LIST,
     .value = "KEY=VALUE",
     FIELD(labels),
     .help = "a label of this host; also WASMCLOUD_LABEL_key=value"},
    {.name = "state",
     .kind = WISP_ARG_TEXT,
     .value = "DIR",
     FIELD(state),
     .env = "WISP_STATE",
     .completion = WISP_COMPLETE_DIRS,
     .help = "state of this machine's hosts, a directory for each lattice [~/.local/state/wisp]"},
    TEXT("host-seed", "SEED", host_seed, "WISP_HOST_SEED WASMCLOUD_HOST_SEED",
         "the host's nkey seed, SN… [kept in the state]"),
    {.name = "workers",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(n_workers),
     .max = 256,
     .is_positive = true,
     .env = "WISP_WORKERS",
     .help = "worker processes [one per core]"},
    {.name = "http-admin",
     .aliases = "metrics-addr",
     .kind = WISP_ARG_TEXT,
     .value = "HOST:PORT",
     FIELD(admin_address),
     .env = "WISP_HTTP_ADMIN WASMCLOUD_HTTP_ADMIN",
     .help = "serve /livez, /readyz and /metrics here [off]"},

    {.name = "nats",
     .aliases = "nats-remote-url",
     .kind = WISP_ARG_LIST,
     .value = "URL",
     FIELD(nats_urls),
     .env = "WISP_NATS NATS_REMOTE_URL",
     .help = "use NATS servers instead of the embedded bus"},
    TEXT("nats-host", "HOST", nats_host, "WISP_NATS_HOST WASMCLOUD_NATS_HOST",
         "where the bus is or is to be [127.0.0.1]"),
    PORT("nats-port", nats_port, "WISP_NATS_PORT WASMCLOUD_NATS_PORT", "its port [4222]"),
    {.name = "nats-connect-only",
     .kind = WISP_ARG_FLAG,
     FIELD(connect_only),
     .env = "NATS_CONNECT_ONLY",
     .help = "join the bus that is there, never start one"},
    {.name = "nats-creds",
     .aliases = "nats-credsfile",
     .kind = WISP_ARG_TEXT,
     .value = "FILE",
     FIELD(nats_creds),
     .env = "WASMCLOUD_NATS_CREDS NATS_CREDSFILE",
     .completion = WISP_COMPLETE_FILES,
     .help = "credentials file"},
    TEXT("nats-jwt", "JWT", nats_jwt, "WASMCLOUD_NATS_JWT", "user JWT, with --nats-seed"),
    TEXT("nats-seed", "SEED", nats_seed, "WASMCLOUD_NATS_SEED", "user nkey seed"),
    FLAG("nats-tls", nats_tls, "WISP_NATS_TLS", "the bus must have TLS"),
    FLAG("nats-tls-first", nats_tls_first, "WISP_NATS_TLS_FIRST", "TLS before the server's greeting"),
    FILE_("nats-tls-ca-file", "nats-tls-ca tlsca", nats_ca, "WISP_NATS_TLS_CA_FILE NATS_CA",
          "CA of its certificate; TLS is then a must"),
    FILE_("nats-tls-cert-file", "nats-tls-cert tlscert", nats_cert, "WISP_NATS_TLS_CERT_FILE NATS_CERT",
          "the host's certificate, for a bus that asks for one; TLS is then a must"),
    FILE_("nats-tls-key-file", "nats-tls-key tlskey", nats_key, "WISP_NATS_TLS_KEY_FILE NATS_KEY", "its key"),
    {.name = "js-domain",
     .aliases = "wasmcloud-js-domain nats-js-domain",
     .kind = WISP_ARG_TEXT,
     .value = "DOMAIN",
     FIELD(js_domain),
     .env = "WASMCLOUD_JS_DOMAIN NATS_JS_DOMAIN",
     .help = "JetStream domain of the state"},
    TEXT("bus-token", "TOKEN", bus_token, "WISP_BUS_TOKEN",
         "of the embedded bus; needed to listen wider than on loopback"),
    TEXT("bus-tls-cert", "FILE", bus_tls_cert, "WISP_BUS_TLS_CERT", "certificate of the embedded bus"),
    TEXT("bus-tls-key", "FILE", bus_tls_key, "WISP_BUS_TLS_KEY", "its key"),
    FLAG("bus-tls-first", bus_tls_first, "WISP_BUS_TLS_FIRST", "TLS before its greeting"),
    TEXT("bus-tls-client-ca", "FILE", bus_tls_ca, "WISP_BUS_TLS_CLIENT_CA", "clients need a certificate of this CA"),

    TEXT("ctl-host", "HOST", ctl_host, "WASMCLOUD_CTL_HOST", "control connection, if other than --nats-host"),
    PORT("ctl-port", ctl_port, "WASMCLOUD_CTL_PORT", "its port"),
    TEXT("ctl-jwt", "JWT", ctl_jwt, "WASMCLOUD_CTL_JWT", "its user JWT"),
    TEXT("ctl-seed", "SEED", ctl_seed, "WASMCLOUD_CTL_SEED", "its seed"),
    {.name = "ctl-creds",
     .aliases = "ctl-credsfile",
     .kind = WISP_ARG_TEXT,
     .value = "FILE",
     FIELD(ctl_creds),
     .env = "WASMCLOUD_CTL_CREDS",
     .help = "its credentials file"},
    BOOL("ctl-tls", ctl_tls, "WASMCLOUD_CTL_TLS", "it uses TLS"),
    BOOL("ctl-tls-first", ctl_tls_first, "WASMCLOUD_CTL_TLS_FIRST", "TLS before the server's greeting"),
    FILE_("ctl-tls-ca-file", NULL, ctl_ca, "WASMCLOUD_CTL_TLS_CA_FILE", "its CA"),
    FILE_("ctl-tls-cert-file", NULL, ctl_cert, "WISP_CTL_TLS_CERT_FILE", "the host's certificate for it"),
    FILE_("ctl-tls-key-file", NULL, ctl_key, "WISP_CTL_TLS_KEY_FILE", "its key"),
    TEXT("rpc-host", "HOST", rpc_host, "WASMCLOUD_RPC_HOST", "connection of calls, if other than that of control"),
    PORT("rpc-port", rpc_port, "WASMCLOUD_RPC_PORT", "its port"),
    TEXT("rpc-jwt", "JWT", rpc_jwt, "WASMCLOUD_RPC_JWT", "its user JWT"),
    TEXT("rpc-seed", "SEED", rpc_seed, "WASMCLOUD_RPC_SEED", "its seed"),
    {.name = "rpc-creds",
     .aliases = "rpc-credsfile",
     .kind = WISP_ARG_TEXT,
     .value = "FILE",
     FIELD(rpc_creds),
     .env = "WASMCLOUD_RPC_CREDS",
     .help = "its credentials file"},
    BOOL("rpc-tls", rpc_tls, "WASMCLOUD_RPC_TLS", "it uses TLS"),
    BOOL("rpc-tls-first", rpc_tls_first, "WASMCLOUD_RPC_TLS_FIRST", "TLS before the server's greeting"),
    FILE_("rpc-tls-ca-file", NULL, rpc_ca, "WASMCLOUD_RPC_TLS_CA_FILE", "its CA"),
    FILE_("rpc-tls-cert-file", NULL, rpc_cert, "WISP_RPC_TLS_CERT_FILE", "the host's certificate for it"),
    FILE_("rpc-tls-key-file", NULL, rpc_key, "WISP_RPC_TLS_KEY_FILE", "its key"),
    TEXT("ctl-topic-prefix", "PREFIX", topic_prefix, "WASMCLOUD_CTL_TOPIC_PREFIX", "of control subjects [wasmbus.ctl]"),
    MILLISECONDS("rpc-timeout-ms", NULL, rpc_timeout_ms, "WASMCLOUD_RPC_TIMEOUT_MS", "of health checks [2000]"),
    {.name = "heartbeat-interval-seconds",
     .kind = WISP_ARG_DURATION,
     .value = "SECONDS",
     FIELD(heartbeat_s),
     .is_positive = true,
     .env = "WASMCLOUD_HEARTBEAT_INTERVAL",
     .help = "between heartbeats [30]"},
    MILLISECONDS("provider-shutdown-delay-ms", "provider-shutdown-delay provider-delay", shutdown_delay_ms,
                 "WASMCLOUD_PROV_SHUTDOWN_DELAY_MS", "for providers to end by themselves [300]"),
    {.name = "provider-health-interval",
     .kind = WISP_ARG_DURATION,
     .value = "TIME",
     FIELD(health_interval_ms),
     .is_positive = true,
     .env = "WISP_PROVIDER_HEALTH_INTERVAL",
     .help = "between health checks of a provider [30s]"},
    {.name = "provider-hung-after",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(hung_after),
     .max = 1000000,
     .is_positive = true,
     .env = "WISP_PROVIDER_HUNG_AFTER",
     .help = "health checks without an answer until it is started again [3]"},
    {.name = "provider-failed-after",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(failed_after),
     .max = 1000000,
     .is_positive = true,
     .env = "WISP_PROVIDER_FAILED_AFTER",
     .help = "ends in a row until a provider counts as failed and is tried rarely [5]"},
    {.name = "provider-restart-max",
     .kind = WISP_ARG_DURATION,
     .value = "TIME",
     FIELD(restart_max_ms),
     .is_positive = true,
     .env = "WISP_PROVIDER_RESTART_MAX",
     .help = "longest pause before it is started again [30s]"},
    {.name = "provider-wait",
     .kind = WISP_ARG_DURATION,
     .value = "TIME",
     FIELD(provider_wait_ms),
     .is_positive = true,
     .env = "WISP_PROVIDER_WAIT",
     .help = "calls wait for a provider that is being started again [10s]"},
    {.name = "disable-wadm",
     .aliases = "no-apps",
     .kind = WISP_ARG_FLAG,
     FIELD(disable_wadm),
     .help = "applications are another manager's: this host never manages them"},
    {.name = "no-builtin-images",
     .kind = WISP_ARG_FLAG,
     FIELD(no_builtin_images),
     .help = "run images of wasmCloud's providers themselves, not what is built in; also WISP_BUILTIN_IMAGES=off"},
    {.name = "enable-component-auction",
     .kind = WISP_ARG_CHOICE,
     .value = "BOOL",
     FIELD(component_auction),
     .choices = booleans,
     .env = "WASMCLOUD_COMPONENT_AUCTION_ENABLED",
     .help = "bid for components [true]"},
    {.name = "enable-provider-auction",
     .kind = WISP_ARG_CHOICE,
     .value = "BOOL",
     FIELD(provider_auction),
     .choices = booleans,
     .env = "WASMCLOUD_PROVIDER_AUCTION_ENABLED",
     .help = "bid for providers [true]"},
    FLAG("config-service-enabled", config_service, "WASMCLOUD_CONFIG_SERVICE",
         "ask a configuration service for registry credentials"),
    TEXT("policy-topic", "TOPIC", policy_topic, "WASMCLOUD_POLICY_TOPIC",
         "ask this policy service before starting anything, and about calls"),
    TEXT("policy-changes-topic", "TOPIC", policy_changes_topic, "WASMCLOUD_POLICY_CHANGES_TOPIC",
         "where it tells of changes"),
    MILLISECONDS("policy-timeout-ms", NULL, policy_timeout_ms, "WASMCLOUD_POLICY_TIMEOUT", "for its answers [1000]"),
    TEXT("secrets-topic", "TOPIC", secrets_topic, "WASMCLOUD_SECRETS_TOPIC",
         "of secrets backends, for example wasmcloud.secrets [off]"),
    {.name = "secrets-dir",
     .kind = WISP_ARG_TEXT,
     .value = "DIR",
     FIELD(secrets_dir),
     .env = "WISP_SECRETS_DIR",
     .completion = WISP_COMPLETE_DIRS,
     .help = "secrets backend `file`: the files of a directory [off]"},
    TEXT("secrets-env-prefix", "PREFIX", secrets_env_prefix, "WISP_SECRETS_ENV_PREFIX",
         "secrets backend `env`: variables that begin so, as APP_SECRET_ [off]"),
    TEXT("secrets-vault", "URL", secrets_vault, "WISP_SECRETS_VAULT",
         "secrets backend `vault`: a server of HashiCorp Vault's API, KV version 2 [off]"),
    FILE_("secrets-vault-token-file", NULL, secrets_vault_token_file, "WISP_SECRETS_VAULT_TOKEN_FILE",
          "its token, read at each request [variable VAULT_TOKEN]"),
    TEXT("secrets-vault-mount", "MOUNT", secrets_vault_mount, "WISP_SECRETS_VAULT_MOUNT",
         "where it has them [" WISP_SECRETS_MOUNT "]"),

    FLAG("allow-latest", allow_latest, "WASMCLOUD_OCI_ALLOW_LATEST", "allow images tagged `latest`"),
    TEXT("allowed-insecure", "A,B", allowed_insecure, "WASMCLOUD_OCI_ALLOWED_INSECURE",
         "registries reached by plain HTTP"),
    BOOL("allow-file-load", allow_file_load, "WASMCLOUD_ALLOW_FILE_LOAD", "allow file:// references"),
    TEXT("oci-registry", "HOST", oci_registry, "WASMCLOUD_OCI_REGISTRY OCI_REGISTRY",
         "registry that the next two are for"),
    TEXT("oci-user", "USER", oci_user, "WASMCLOUD_OCI_USER OCI_REGISTRY_USER", "user there"),
    TEXT("oci-password", "PASSWORD", oci_password, "WASMCLOUD_OCI_PASSWORD OCI_REGISTRY_PASSWORD", "password there"),
    TEXT("tls-ca-path", "A,B", tls_ca_paths, "WASMCLOUD_TLS_CA_PATH",
         "more CAs to trust, of registries, OpenTelemetry collectors and Vault"),

    MILLISECONDS("max-execution-time-ms", "max-execution-time max-time-ms", execution_ms,
                 "WISP_TIMEOUT WASMCLOUD_MAX_EXECUTION_TIME_MS", "of one call [600000]"),
    BYTES("max-linear-memory-bytes", "max-linear-memory max-memory", memory_bytes_max,
          "WISP_MAX_MEMORY WASMCLOUD_MAX_LINEAR_MEMORY", "of one instance [256M]"),
    BYTES("max-component-size-bytes", "max-component-size", component_bytes_max, "WASMCLOUD_MAX_COMPONENT_SIZE",
          "of a component's file [50M]"),
    BYTES("max-body", NULL, body_bytes_max, "WISP_MAX_BODY", "of one HTTP request [64M]"),
    {.name = "max-components",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(components_max),
     .max = 100000,
     .is_positive = true,
     .env = "WASMCLOUD_MAX_COMPONENTS",
     .help = "different components on this host [10000]"},
    MILLISECONDS("grace-ms", NULL, grace_ms, "WISP_GRACE_MS",
                 "workers serve on without the control process for [30000]"),
    MILLISECONDS("drain-ms", NULL, drain_ms, "WISP_DRAIN_MS", "to finish what is in flight when stopping [10000]"),
    UNUSED("feature", "A,B", "WASMCLOUD_EXPERIMENTAL_FEATURES", "what it would turn on is always on"),
    UNUSED("flame-graph", "FILE", "WASMCLOUD_FLAME_GRAPH", "`perf record` shows a host and its guests"),
    UNUSED("nats-version", "VERSION", "NATS_VERSION", BUS_IS_BUILT_IN),
    UNUSED("nats-websocket-port", "PORT", "NATS_WEBSOCKET_PORT", "the embedded bus has no websockets"),
    UNUSED("nats-config-file", "FILE", "NATS_CONFIG", "start nats-server with it and give its URL with --nats"),
    UNUSED("wasmcloud-version", "VERSION", "WASMCLOUD_VERSION", HOST_IS_THIS),
    UNUSED("host-path", "FILE", "WASMCLOUD_HOST_PATH", HOST_IS_THIS),
    UNUSED("wasmcloud-start-only", NULL, NULL, "nothing is ever downloaded to start a host"),
    UNUSED("multi-local", NULL, NULL, "a machine may have as many hosts as you start"),
    UNUSED("cluster-seed", "SEED", "WASMCLOUD_CLUSTER_SEED", CLUSTERS_ARE_GONE),
    UNUSED("cluster-issuers", "KEYS", "WASMCLOUD_CLUSTER_ISSUERS", CLUSTERS_ARE_GONE),
    UNUSED("enable-ipv6", NULL, "WASMCLOUD_ENABLE_IPV6", "addresses say it themselves, such as [::]:8000"),
    UNUSED("wadm-version", "VERSION", "WADM_VERSION", MANAGER_IS_BUILT_IN),
    UNUSED("wadm-js-domain", "DOMAIN", "WADM_JS_DOMAIN", MANAGER_IS_BUILT_IN),

    {.name = "log-level",
     .aliases = "structured-log-level",
     .kind = WISP_ARG_CHOICE,
     .value = "LEVEL",
     FIELD(log_level),
     .choices = log_levels,
     .env = "WISP_LOG_LEVEL WASMCLOUD_LOG_LEVEL",
     .help = "error, warn, info or debug [info]"},
    FILE_("host-log-path", NULL, log_path, "WISP_HOST_LOG_PATH WASMCLOUD_HOST_LOG_PATH",
          "log file when detached [host-N/wisp.log in the state]"),
    {.name = "log-format",
     .kind = WISP_ARG_CHOICE,
     .value = "FORMAT",
     FIELD(log_format),
     .choices = log_formats,
     .env = "WISP_LOG_FORMAT",
     .help = "auto, text, logfmt or json [auto]"},
    FLAG("enable-structured-logging", structured_logging, "WASMCLOUD_STRUCTURED_LOGGING_ENABLED",
         "the same as --log-format json"),

    FLAG("enable-observability", observability, "WASMCLOUD_OBSERVABILITY_ENABLED",
         "send traces, metrics and logs to an OpenTelemetry collector"),
    FLAG("enable-traces", traces, "WASMCLOUD_TRACES_ENABLED", "send traces only"),
    FLAG("enable-metrics", metrics, "WASMCLOUD_METRICS_ENABLED", "send metrics only"),
    FLAG("enable-logs", logs, "WASMCLOUD_LOGS_ENABLED", "send logs only"),
    TEXT("override-observability-endpoint", "URL", otlp_endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT",
         "the collector [http://localhost:4318]; also OTEL_EXPORTER_OTLP_HEADERS"),
    TEXT("override-traces-endpoint", "URL", otlp_endpoints[WISP_OTLP_TRACES], "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
         "for traces, path included"),
    TEXT("override-metrics-endpoint", "URL", otlp_endpoints[WISP_OTLP_METRICS], "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
         "for metrics, path included"),
    TEXT("override-logs-endpoint", "URL", otlp_endpoints[WISP_OTLP_LOGS], "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
         "for logs, path included"),
    {.name = "observability-protocol",
     .kind = WISP_ARG_CHOICE,
     .value = "NAME",
     FIELD(otlp_protocol),
     .choices = protocols,
     .env = "WASMCLOUD_OBSERVABILITY_PROTOCOL",
     .help = "http (OTLP, protobuf); grpc is not supported [http]"},
    {.name = "trace-level",
     .kind = WISP_ARG_CHOICE,
     .value = "LEVEL",
     FIELD(trace_level),
     .choices = trace_levels,
     .env = "WASMCLOUD_TRACE_LEVEL",
     .help = "of spans; calls are info, so warn and error mean none [info]"},
};

const struct wisp_arg_shared wisp_host_options = {"host", options, WISP_COUNT(options)};

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
    for (size_t i = 0; values->secrets_env_prefix && i < WISP_COUNT(options); i++)
        for (struct wisp_str names = wisp_str_from(options[i].env), name; names.len;) {
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
                  trace_levels[values->trace_level], "observability_endpoint", flags->endpoint);
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
