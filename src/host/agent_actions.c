/* SPDX-License-Identifier: Apache-2.0 */
/* What the lattice's machine wants done, and the outcomes on their way back to it. */
#include "host/agent_priv.h"

#include "base/json.h"
#include "base/log.h"
#include "capability/capability.h"
#include "host/admin.h"
#include "host/machine.h"
#include "host/providers.h"
#include "host/service_notify.h"
#include "nkeys/nkeys.h"
#include "wrpc/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEFAULT_REQUEST_TIMEOUT_MS = 10 * 1000, SHUTDOWN_DELAY_MS = 300 };

/* An action that waits for its outcome. */
struct pending {
    struct wisp_agent *agent;
    uint64_t id;
    struct wisp_link all; /* in agent->pending */
};

static struct pending *pending_new(struct wisp_agent *agent, uint64_t id)
{
    struct pending *pending = wisp_mem_alloc(sizeof *pending);
    *pending = (struct pending){.agent = agent, .id = id};
    wisp_ring_append(&agent->pending, &pending->all);
    return pending;
}

static void pending_free(struct pending *pending)
{
    wisp_ring_remove(&pending->all);
    free(pending);
}

/* Of clients that were closed without an outcome. */
void wisp_agent_pending_free(struct wisp_agent *agent)
{
    WISP_RING_EACH(at, &agent->pending) pending_free(WISP_OWNER(at, struct pending, all));
}

static void done(struct wisp_agent *agent, uint64_t id, const struct wisp_lattice_done *outcome)
{
    if (id) wisp_lattice_on_done(agent->lattice, wisp_agent_now(agent), id, outcome);
}

static void done_error(struct wisp_agent *agent, uint64_t id, const struct wisp_err *err)
{
    struct wisp_lattice_done outcome = {0};
    if (err) outcome.err = *err;
    done(agent, id, &outcome);
}

/* --- the bus --- */

/* Calls to providers and components go over the bus of calls, everything else over that of control. */
static struct wisp_bus_client *bus_for(const struct wisp_agent *agent, struct wisp_str subject)
{
    return wisp_str_starts_with(subject, WISP_STR("wasmbus.rpc.")) ? agent->rpc : agent->bus;
}

int wisp_agent_subscriptions_add(struct wisp_agent_subscription **list, struct wisp_bus_client *bus,
                                 struct wisp_str subject, struct wisp_str queue, wisp_bus_on_message *on_message,
                                 void *env, struct wisp_err *err)
{
    struct wisp_agent_subscription *entry = wisp_mem_calloc(1, sizeof *entry);
    int r = wisp_bus_subscribe(bus, subject, queue, on_message, env, &entry->subscription, err);
    if (r < 0) {
        free(entry);
        return r;
    }
    entry->subject = wisp_mem_dup(subject);
    entry->next = *list;
    *list = entry;
    return 0;
}

static void remove_subscription(struct wisp_agent_subscription **at)
{
    struct wisp_agent_subscription *entry = *at;
    *at = entry->next;
    wisp_bus_unsubscribe(entry->subscription);
    free(entry->subject);
    free(entry);
}

void wisp_agent_subscriptions_remove(struct wisp_agent_subscription **list, struct wisp_str subject)
{
    for (struct wisp_agent_subscription **at = list; *at; at = &(*at)->next) {
        if (!wisp_str_is(subject, (*at)->subject)) continue;
        remove_subscription(at);
        return;
    }
}

void wisp_agent_subscriptions_clear(struct wisp_agent_subscription **list)
{
    while (*list) remove_subscription(list);
}

static void on_message(const struct wisp_bus_message *message, void *env)
{
    struct wisp_agent *agent = env;
    wisp_lattice_on_message(agent->lattice, wisp_agent_now(agent), message);
}

static void subscribe(struct wisp_agent *agent, const struct wisp_lattice_action *action)
{
    struct wisp_err err = {0};
    if (wisp_agent_subscriptions_add(&agent->subscriptions, bus_for(agent, action->subject), action->subject,
                                     action->queue, on_message, agent, &err) < 0)
        wisp_agent_fail(agent, &err);
}

static void publish(struct wisp_agent *agent, const struct wisp_lattice_action *action)
{
    struct wisp_err err = {0};
    if (wisp_bus_publish(bus_for(agent, action->subject), action->subject, action->reply, action->headers,
                         action->n_headers, action->payload, &err) < 0)
        WISP_LOG(WARN, "host", "a message could not be sent", WISP_BYTES("subject", action->subject),
                 WISP_TEXT("error", err.text));
}

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct pending *pending = env;
    struct wisp_lattice_done outcome = {0};
    if (err) outcome.err = *err;
    if (reply) outcome.reply = *reply;
    done(pending->agent, pending->id, &outcome);
    pending_free(pending);
}

static void request(struct wisp_agent *agent, const struct wisp_lattice_action *action)
{
    struct pending *pending = pending_new(agent, action->id);
    struct wisp_bus_request *unused;
    struct wisp_err err = {0};
    uint64_t timeout_ms = action->timeout_ms ? action->timeout_ms : DEFAULT_REQUEST_TIMEOUT_MS;
    if (wisp_bus_request(bus_for(agent, action->subject), action->subject, action->headers, action->n_headers,
                         action->payload, timeout_ms, on_reply, pending, &unused, &err) == 0)
        return;
    done_error(agent, action->id, &err);
    pending_free(pending);
}

/* --- state --- */

static void on_written(uint64_t revision, const struct wisp_err *err, void *env)
{
    struct pending *pending = env;
    struct wisp_lattice_done outcome = {.revision = revision};
    if (err) outcome.err = *err;
    done(pending->agent, pending->id, &outcome);
    pending_free(pending);
}

static void write_state(struct wisp_agent *agent, const struct wisp_lattice_action *action)
{
    if (!agent->state) {
        struct wisp_err err = {0};
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "the lattice's state is not there yet");
        done_error(agent, action->id, &err);
        return;
    }
    wisp_state_write(agent->state, (enum wisp_state_bucket)action->bucket, action->key,
                     action->has_value ? &action->value : NULL, action->expected, on_written,
                     pending_new(agent, action->id));
}

static void save(struct wisp_agent *agent, struct wisp_str what)
{
    struct wisp_err err = {0};
    if (wisp_paths_write(agent->paths.host, "running.json", what, &err) < 0)
        WISP_LOG(ERROR, "host", "what runs here could not be saved: it won't be started again after a restart",
                 WISP_TEXT("error", err.text));
}

/* --- artifacts --- */

static void set_text(json_t *claims, const char *key, struct wisp_str value)
{
    if (value.len) json_object_set_new(claims, key, wisp_json_text(value));
}

static void set_number(json_t *claims, const char *key, int64_t value)
{
    if (value) json_object_set_new(claims, key, json_integer(value));
}

static json_t *claims_to_json(const struct wisp_oci_claims *claims)
{
    if (!claims->token.len) return NULL;
    json_t *all = json_object(), *tags = json_array();
    set_text(all, "token", claims->token);
    set_text(all, "issuer", claims->issuer);
    set_text(all, "subject", claims->subject);
    set_text(all, "name", claims->name);
    set_text(all, "version", claims->version);
    set_text(all, "call_alias", claims->call_alias);
    set_text(all, "vendor", claims->vendor);
    set_text(all, "config_schema", claims->config_schema);
    json_object_set_new(all, "revision", json_integer(claims->revision));
    for (size_t i = 0; i < claims->n_tags; i++) json_array_append_new(tags, wisp_json_text(claims->tags[i]));
    json_object_set_new(all, "tags", tags);
    set_number(all, "issued_at", claims->issued_at);
    set_number(all, "expires_at", claims->expires_at);
    set_number(all, "not_before", claims->not_before);
    return all;
}

struct fetching {
    struct pending pending;
    struct wisp_buf plain;
    bool is_component;
};

static bool is_too_large(const struct fetching *fetching, const struct wisp_oci_artifact *artifact,
                         struct wisp_err *err)
{
    uint64_t max = fetching->pending.agent->options->component_bytes_max;
    if (!fetching->is_component || !max || artifact->size <= max) return false;
    wisp_err_set(err, WISP_ERR_LIMIT, "the component has %llu bytes; this host takes %llu (--max-component-size-bytes)",
                 (unsigned long long)artifact->size, (unsigned long long)max);
    return true;
}

static void on_fetched(const struct wisp_oci_artifact *artifact, const struct wisp_err *err, void *env)
{
    struct fetching *fetching = env;
    struct wisp_lattice_done outcome = {0};
    if (err) outcome.err = *err;
    if (artifact && !is_too_large(fetching, artifact, &outcome.err)) {
        outcome.artifact.path = wisp_str_from(artifact->path);
        outcome.artifact.digest = wisp_str_from(artifact->digest);
        outcome.artifact.plain_reference = wisp_buf_str(&fetching->plain);
        outcome.artifact.claims = claims_to_json(&artifact->claims);
        if (artifact->is_from_cache)
            WISP_LOG(WARN, "host", "the registry can't be asked; using what is in the cache",
                     WISP_BYTES("reference", wisp_buf_str(&fetching->plain)), WISP_TEXT("digest", artifact->digest));
    }
    done(fetching->pending.agent, fetching->pending.id, &outcome);
    json_decref(outcome.artifact.claims);
    wisp_buf_deinit(&fetching->plain);
    free(fetching);
}

static void fetch(struct wisp_agent *agent, const struct wisp_lattice_action *action)
{
    struct fetching *fetching = wisp_mem_calloc(1, sizeof *fetching);
    WISP_CLEANUP_FREE char *reference = wisp_mem_dup(action->reference);
    fetching->pending = (struct pending){.agent = agent, .id = action->id};
    fetching->is_component = !action->is_provider;
    wisp_oci_reference_plain(action->reference, &fetching->plain);
    wisp_oci_fetch_start(agent->artifacts, &(struct wisp_oci_fetch_options){
                                               .reference = reference,
                                               .kind = action->is_provider ? WISP_OCI_PROVIDER : WISP_OCI_COMPONENT,
                                               .on_done = on_fetched,
                                               .env = fetching,
                                           });
}

/* --- secrets --- */

static void on_secret(struct wisp_str value, const struct wisp_err *err, void *env)
{
    struct pending *pending = env;
    struct wisp_lattice_done outcome = {.secret = value};
    if (err) outcome.err = *err;
    done(pending->agent, pending->id, &outcome);
    pending_free(pending);
}

static const char *text_or_null(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void set_credentials(struct wisp_agent *agent, json_t *registries)
{
    const char *registry;
    json_t *entry;
    json_object_foreach(registries, registry, entry) wisp_oci_client_set_credential(
        agent->artifacts, &(struct wisp_oci_credential){registry, text_or_null(entry, "username"),
                                                        text_or_null(entry, "password"), text_or_null(entry, "token")});
}

/* --- components and providers --- */

static void on_fleet_done(const struct wisp_err *err, void *env, uint64_t id) { done_error(env, id, err); }

static void on_provider_done(uint64_t id, const struct wisp_err *err, void *env) { done_error(env, id, err); }

static void on_provider_news(struct wisp_str provider_id, enum wisp_lattice_provider_news news,
                             const struct wisp_lattice_provider_report *report, void *env)
{
    struct wisp_agent *agent = env;
    wisp_lattice_on_provider(agent->lattice, wisp_agent_now(agent), provider_id, news, report);
}

/* A process that served it is gone: whoever waits for its answer should know. */
static void on_ended(struct wisp_str id, void *env)
{
    struct wisp_agent *agent = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    const struct wisp_str none = {0};
    wisp_buf_printf(&subject, "%s.%s.%.*s", WISP_WRPC_ENDED, agent->options->lattice.lattice, WISP_STR_ARG(id));
    if (wisp_bus_publish(agent->rpc, wisp_buf_str(&subject), none, NULL, 0, none, &err) < 0)
        WISP_LOG(WARN, "host", "callers could not be told that a process is gone", WISP_TEXT("error", err.text));
}

/* --- all of them --- */

static void write_log(const struct wisp_lattice_action *action)
{
    const struct wisp_log_field none[1];
    if (!wisp_log_is_on((enum wisp_log_level)action->level)) return;
    WISP_CLEANUP_FREE char *text = wisp_mem_dup(action->text);
    wisp_log_write((enum wisp_log_level)action->level, "lattice", text, none, 0);
}

static void perform(struct wisp_agent *agent, const struct wisp_lattice_action *action)
{
    switch (action->kind) {
    case WISP_LATTICE_SUBSCRIBE:
        subscribe(agent, action);
        break;
    case WISP_LATTICE_UNSUBSCRIBE:
        wisp_agent_subscriptions_remove(&agent->subscriptions, action->subject);
        break;
    case WISP_LATTICE_PUBLISH:
        publish(agent, action);
        break;
    case WISP_LATTICE_REQUEST:
        request(agent, action);
        break;
    case WISP_LATTICE_STATE_WRITE:
        write_state(agent, action);
        break;
    case WISP_LATTICE_FETCH:
        fetch(agent, action);
        break;
    case WISP_LATTICE_SECRET:
        wisp_secrets_get(agent->secrets, &action->secret, on_secret, pending_new(agent, action->id));
        break;
    case WISP_LATTICE_CREDENTIALS:
        set_credentials(agent, action->registries);
        break;
    case WISP_LATTICE_COMPONENT_PUT:
        wisp_fleet_put(agent->fleet, &action->component, on_fleet_done, agent, action->id);
        break;
    case WISP_LATTICE_COMPONENT_REMOVE:
        wisp_fleet_remove(agent->fleet, action->component.id, on_fleet_done, agent, action->id);
        break;
    case WISP_LATTICE_PROVIDER_START:
        wisp_providers_start(agent->providers, &action->provider, action->id);
        break;
    case WISP_LATTICE_PROVIDER_STOP:
        wisp_providers_stop(agent->providers, action->provider.id, action->timeout_ms, action->id);
        break;
    case WISP_LATTICE_PROVIDER_RESTART_READY:
        wisp_providers_release(agent->providers, &action->provider);
        break;
    case WISP_LATTICE_PROVIDER_ENDING:
        wisp_providers_expect_end(agent->providers, action->provider.id);
        break;
    case WISP_LATTICE_PROVIDER_HANG:
        wisp_providers_hang(agent->providers, action->provider.id, action->text);
        break;
    case WISP_LATTICE_BUILTIN_PUT:
        wisp_fleet_put_provider(agent->fleet, &action->builtin, on_fleet_done, agent, action->id);
        break;
    case WISP_LATTICE_BUILTIN_REMOVE:
        wisp_fleet_remove_provider(agent->fleet, action->builtin.id, on_fleet_done, agent, action->id);
        break;
    case WISP_LATTICE_HTTP:
        wisp_fleet_set_routes(agent->fleet, action->routes, action->n_routes);
        break;
    case WISP_LATTICE_SAVE:
        save(agent, action->payload);
        break;
    case WISP_LATTICE_STOP_HOST:
        wisp_agent_begin_stop(agent, action->timeout_ms);
        break;
    case WISP_LATTICE_LOG:
        write_log(action);
        break;
    }
}

void wisp_agent_perform_all(struct wisp_agent *agent)
{
    struct wisp_lattice_action action;
    while (wisp_lattice_next_action(agent->lattice, &action)) perform(agent, &action);
}

/* --- the lattice's machine --- */

/* The key of this host: kept, so that it is the same host after a restart. */
static int host_seed(struct wisp_agent *agent, char seed[WISP_NKEY_SEED_LEN + 1], struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf kept = {0};
    WISP_CLEANUP_NKEY struct wisp_nkey key;
    if (wisp_paths_read(agent->paths.host, "seed", &kept, NULL) < 0 ||
        wisp_nkey_from_seed(wisp_buf_str(&kept), &key, NULL) < 0 || key.kind != WISP_NKEY_SERVER) {
        wisp_nkey_generate(&key, WISP_NKEY_SERVER);
        wisp_nkey_seed_text(&key, seed);
        return wisp_paths_write(agent->paths.host, "seed", wisp_str_from(seed), err);
    }
    wisp_nkey_seed_text(&key, seed);
    return 0;
}

static int open_fleet(struct wisp_agent *agent, struct wisp_err *err)
{
    const struct wisp_agent_options *options = agent->options;
    const struct wisp_agent_connection *rpc = agent->rpc == agent->bus ? &options->ctl : &options->rpc;
    struct wisp_fleet_options fleet = {
        .supervisor = wisp_launcher_supervisor(agent->launcher),
        .paths = &agent->paths,
        .n_workers = options->n_workers ? options->n_workers : wisp_machine_cores(),
        .components_max = options->lattice.components_max,
        .memory_bytes_max = options->memory_bytes_max,
        .timeout_ms = options->timeout_ms,
        .body_bytes_max = options->body_bytes_max,
        .grace_ms = options->grace_ms ? options->grace_ms : WISP_AGENT_GRACE_MS,
        .provider_wait_ms = options->provider_wait_ms,
        .drain_ms = options->drain_ms ? options->drain_ms : WISP_AGENT_DRAIN_MS,
        .lattice = options->lattice.lattice,
        .host_id = wisp_lattice_host_id(agent->lattice),
        .log_level = options->log_level,
        .log_format = options->log_format,
        .telemetry = {.traces = options->telemetry.urls[WISP_OTLP_TRACES],
                      .logs = options->telemetry.urls[WISP_OTLP_LOGS],
                      .sampler = options->telemetry.sampler},
        .on_telemetry = wisp_agent_on_telemetry,
        .telemetry_env = agent,
        .on_ended = on_ended,
        .ended_env = agent,
        .bus = {.jwt = rpc->jwt,
                .seed = rpc->seed,
                .creds_path = rpc->creds_path,
                .tls_ca_path = rpc->tls_ca_path,
                .tls_cert_path = rpc->tls_cert_path,
                .tls_key_path = rpc->tls_key_path,
                .is_tls = rpc->is_tls,
                .is_tls_first = rpc->is_tls_first,
                .token = options->bus_token},
        .policy = {.topic = options->lattice.policy_topic,
                   .changes_topic = options->lattice.policy_changes_topic,
                   .labels = wisp_lattice_startup_labels(agent->lattice),
                   .timeout_ms = options->lattice.policy_timeout_ms},
    };
    static char socket_url[WISP_PATH_MAX + 8], rpc_url[256]; /* one process, one agent */
    static const char *urls[2];
    const char *const *all = urls;
    snprintf(socket_url, sizeof socket_url, "unix:%s", agent->paths.socket);
    snprintf(rpc_url, sizeof rpc_url, "%s", wisp_bus_client_url(agent->rpc));
    fleet.bus.n_urls = 1;
    if (options->n_nats_urls && (agent->rpc == agent->bus || (!rpc->host && !rpc->port)))
        all = options->nats_urls, fleet.bus.n_urls = options->n_nats_urls;
    else if (agent->rpc != agent->bus)
        urls[0] = rpc_url;
    else if (agent->server ||
             access(agent->paths.socket, F_OK) == 0) /* the bus may pass to a host of another lattice */
        urls[0] = socket_url, urls[1] = agent->bus_url, fleet.bus.n_urls = 2;
    else
        urls[0] = agent->bus_url;
    fleet.bus.urls = all;
    return wisp_fleet_new(&agent->fleet, &agent->loop, &fleet, err);
}

static void restore(struct wisp_agent *agent)
{
    WISP_CLEANUP_BUF struct wisp_buf saved = {0};
    struct wisp_err err = {0};
    if (wisp_paths_read(agent->paths.host, "running.json", &saved, &err) < 0) {
        if (err.kind == WISP_ERR_NOT_FOUND) return;
    } else if (wisp_lattice_restore(agent->lattice, wisp_buf_str(&saved), &err) == 0) {
        return;
    }
    WISP_LOG(ERROR, "host", "what ran here before is not known; nothing is started again",
             WISP_TEXT("error", err.text));
}

int wisp_agent_lattice_open(struct wisp_agent *agent, struct wisp_err *err)
{
    struct wisp_lattice_options options = agent->options->lattice;
    char seed[WISP_NKEY_SEED_LEN + 1];
    if (!options.host_seed) {
        int r = host_seed(agent, seed, err);
        if (r < 0) return r;
        options.host_seed = seed;
    }
    if (!options.ctl_host) options.ctl_host = agent->bus_url;
    if (!options.rpc_host)
        options.rpc_host = agent->rpc == agent->bus ? agent->bus_url : wisp_bus_client_url(agent->rpc);
    if (agent->rpc == agent->bus && agent->server) options.rpc_socket = agent->paths.socket;
    if (!options.seed) options.seed = uv_hrtime();
    WISP_CLEANUP_FREE const char **kinds = wisp_mem_calloc(wisp_capability_n_kinds + 1, sizeof *kinds);
    for (size_t i = 0; i < wisp_capability_n_kinds; i++) kinds[i] = wisp_capability_kinds[i]->name;
    options.builtin_kinds = kinds;
    options.n_builtin_kinds = wisp_capability_n_kinds;
    options.secret_backends = wisp_secrets_backends(agent->secrets, &options.n_secret_backends);
    int r = wisp_lattice_new(&agent->lattice, &options, wisp_agent_now(agent), err);
    explicit_bzero(seed, sizeof seed);
    if (r < 0) return r;
    restore(agent);
    if ((r = open_fleet(agent, err)) < 0) return r;
    wisp_providers_set_handler(agent->providers,
                               &(struct wisp_providers_handler){on_provider_done, on_provider_news, on_ended, agent});
    if (agent->admin)
        wisp_admin_set_sources(agent->admin, &(struct wisp_admin_sources){
                                                 agent->options->lattice.lattice, wisp_lattice_host_id(agent->lattice),
                                                 agent->fleet, agent->server, agent->telemetry});
    wisp_agent_telemetry_begin(agent);
    wisp_agent_runs_open(agent);
    wisp_lattice_on_bus(agent->lattice, wisp_agent_now(agent), true);
    wisp_agent_perform_all(agent);
    return wisp_agent_app_open(agent, err);
}

/* --- the way out --- */

static void end_when_idle(struct wisp_agent *agent)
{
    if (wisp_supervisor_is_idle(wisp_launcher_supervisor(agent->launcher))) uv_stop(&agent->loop);
}

static void on_bus_drained(void *env) { end_when_idle(env); }

/* What was said last (host_stopped, replies) is on its way out before the connection ends. */
static void on_all_stopped(void *env)
{
    struct wisp_agent *agent = env;
    if (wisp_bus_client_state(agent->bus) == WISP_BUS_CONNECTED)
        wisp_bus_client_drain(agent->bus, 1000, on_bus_drained, agent);
    else
        end_when_idle(agent);
}

/* What components had in flight is finished, so that nobody needs the providers any more. */
static void on_fleet_drained(void *env)
{
    struct wisp_agent *agent = env;
    uint64_t delay_ms = agent->options->lattice.provider_shutdown_delay_ms;
    wisp_lattice_shutdown_providers(agent->lattice, wisp_agent_now(agent));
    wisp_agent_perform_all(agent);
    wisp_providers_stop_all(agent->providers, delay_ms ? delay_ms : SHUTDOWN_DELAY_MS, on_all_stopped, agent);
}

void wisp_agent_begin_stop(struct wisp_agent *agent, uint64_t timeout_ms)
{
    (void)timeout_ms; /* the workers' own drain time bounds it */
    if (agent->is_stopping) return;
    agent->is_stopping = true;
    wisp_agent_app_stop(agent);
    wisp_service_notify("STOPPING=1");
    if (agent->admin) wisp_admin_set_ready(agent->admin, false);
    uv_timer_stop(&agent->retry);
    if (!agent->fleet) {
        uv_stop(&agent->loop);
        return;
    }
    wisp_fleet_drain(agent->fleet, on_fleet_drained, agent);
}
