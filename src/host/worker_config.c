/* SPDX-License-Identifier: Apache-2.0 */
#include "host/worker_config.h"

#include "worker/shared.h"

/* Numbers are 8 bytes as they are in memory; texts are a number and as many bytes; lists are a number and the items.
 * The number of a text is its length plus one, 0 for NULL. */

/* --- writing --- */

static void put_number(struct wisp_buf *out, uint64_t value) { wisp_buf_append(out, &value, sizeof value); }

static void put_text(struct wisp_buf *out, const char *text)
{
    put_number(out, text ? strlen(text) + 1 : 0);
    if (text) wisp_buf_append(out, text, strlen(text));
}

static void put_component(struct wisp_buf *out, const struct wisp_worker_component *component)
{
    put_text(out, component->name);
    put_text(out, component->path);
    put_number(out, component->n_args);
    for (size_t i = 0; i < component->n_args; i++) put_text(out, component->args[i]);
    put_number(out, component->n_env);
    for (size_t i = 0; i < component->n_env; i++) {
        put_text(out, component->env[i].name);
        put_text(out, component->env[i].value);
    }
    put_number(out, component->n_preopens);
    for (size_t i = 0; i < component->n_preopens; i++) {
        put_text(out, component->preopens[i].host_path);
        put_text(out, component->preopens[i].guest_path);
        put_number(out, component->preopens[i].read_only);
    }
}

static void put_limits(struct wisp_buf *out, const struct wisp_worker_limits *limits)
{
    put_number(out, limits->memory_bytes_max);
    put_number(out, limits->timeout_ms);
    put_number(out, limits->instances_max);
    put_number(out, limits->queue_max);
    put_number(out, limits->body_bytes_max);
}

static void put_bus(struct wisp_buf *out, const struct wisp_worker_bus *bus)
{
    put_number(out, bus->n_urls);
    for (size_t i = 0; i < bus->n_urls; i++) put_text(out, bus->urls[i]);
    put_text(out, bus->jwt);
    put_text(out, bus->seed);
    put_text(out, bus->creds_path);
    put_text(out, bus->token);
    put_text(out, bus->tls_ca_path);
    put_text(out, bus->tls_cert_path);
    put_text(out, bus->tls_key_path);
    put_number(out, bus->is_tls);
    put_number(out, bus->is_tls_first);
}

static void put_policy(struct wisp_buf *out, const struct wisp_worker_policy *policy)
{
    put_text(out, policy->topic);
    put_text(out, policy->changes_topic);
    put_text(out, policy->labels);
    put_number(out, policy->timeout_ms);
}

static void put_host(struct wisp_buf *out, const struct wisp_worker_host *host)
{
    put_number(out, host != NULL);
    if (!host) return;
    put_number(out, host->n_shared_fds);
    put_number(out, host->index);
    put_number(out, host->instances_max);
    put_number(out, host->memory_bytes_max);
    put_number(out, host->grace_ms);
    put_number(out, host->provider_wait_ms);
    put_text(out, host->handover_dir);
    put_text(out, host->lattice);
    put_text(out, host->host_id);
    put_number(out, host->telemetry.traces);
    put_number(out, host->telemetry.logs);
    put_number(out, host->telemetry.sampler.follows_parent);
    put_number(out, host->telemetry.sampler.threshold);
    put_bus(out, &host->bus);
    put_policy(out, &host->policy);
}

void wisp_worker_config_encode(const struct wisp_worker_config *config, struct wisp_buf *bytes)
{
    put_host(bytes, config->options.host);
    put_component(bytes, &config->options.component);
    put_limits(bytes, &config->options.component.limits);
    put_number(bytes, config->options.n_workers);
    put_number(bytes, config->options.drain_ms);
    put_text(bytes, config->options.cache_dir);
    put_number(bytes, config->log_level);
    put_number(bytes, config->log_format);
}

/* --- reading --- */

struct reader {
    struct wisp_arena *arena;
    struct wisp_str rest;
    bool is_bad; /* sticky: everything read from now on is zero */
};

static uint64_t get_number(struct reader *reader, uint64_t max)
{
    uint64_t value;
    if (reader->is_bad || reader->rest.len < sizeof value) {
        reader->is_bad = true;
        return 0;
    }
    memcpy(&value, reader->rest.ptr, sizeof value);
    reader->rest.ptr += sizeof value;
    reader->rest.len -= sizeof value;
    if (value <= max) return value;
    reader->is_bad = true;
    return 0;
}

static const char *get_text(struct reader *reader)
{
    uint64_t number = get_number(reader, SIZE_MAX);
    if (!number) return NULL;
    if (number - 1 > reader->rest.len) {
        reader->is_bad = true;
        return NULL;
    }
    struct wisp_str text = {reader->rest.ptr, (size_t)number - 1};
    reader->rest.ptr += text.len;
    reader->rest.len -= text.len;
    return wisp_arena_cstr(reader->arena, text);
}

/* Every item takes a number at least, so the bytes that are left bound what a count can make us allocate. */
static size_t get_count(struct reader *reader) { return (size_t)get_number(reader, reader->rest.len / 8); }

static void get_component(struct reader *reader, struct wisp_worker_component *component)
{
    component->name = get_text(reader);
    component->path = get_text(reader);

    component->n_args = get_count(reader);
    const char **args = WISP_NEW_ARRAY(reader->arena, const char *, component->n_args);
    for (size_t i = 0; i < component->n_args; i++) args[i] = get_text(reader);
    component->args = args;

    component->n_env = get_count(reader);
    struct wisp_worker_env *env = WISP_NEW_ARRAY(reader->arena, struct wisp_worker_env, component->n_env);
    for (size_t i = 0; i < component->n_env; i++) {
        env[i].name = get_text(reader);
        env[i].value = get_text(reader);
    }
    component->env = env;

    component->n_preopens = get_count(reader);
    struct wisp_worker_preopen *preopens =
        WISP_NEW_ARRAY(reader->arena, struct wisp_worker_preopen, component->n_preopens);
    for (size_t i = 0; i < component->n_preopens; i++) {
        preopens[i].host_path = get_text(reader);
        preopens[i].guest_path = get_text(reader);
        preopens[i].read_only = get_number(reader, 1);
    }
    component->preopens = preopens;
}

static void get_limits(struct reader *reader, struct wisp_worker_limits *limits)
{
    limits->memory_bytes_max = get_number(reader, UINT64_MAX);
    limits->timeout_ms = get_number(reader, UINT64_MAX);
    limits->instances_max = (uint32_t)get_number(reader, UINT32_MAX);
    limits->queue_max = (uint32_t)get_number(reader, UINT32_MAX);
    limits->body_bytes_max = get_number(reader, UINT64_MAX);
}

static void get_bus(struct reader *reader, struct wisp_worker_bus *bus)
{
    /* Each takes eight bytes at least. */
    bus->n_urls = get_number(reader, reader->rest.len / 8);
    const char **urls = WISP_NEW_ARRAY(reader->arena, const char *, bus->n_urls);
    for (size_t i = 0; i < bus->n_urls; i++) urls[i] = get_text(reader);
    bus->urls = urls;
    bus->jwt = get_text(reader);
    bus->seed = get_text(reader);
    bus->creds_path = get_text(reader);
    bus->token = get_text(reader);
    bus->tls_ca_path = get_text(reader);
    bus->tls_cert_path = get_text(reader);
    bus->tls_key_path = get_text(reader);
    bus->is_tls = get_number(reader, 1);
    bus->is_tls_first = get_number(reader, 1);
}

static void get_policy(struct reader *reader, struct wisp_worker_policy *policy)
{
    policy->topic = get_text(reader);
    policy->changes_topic = get_text(reader);
    policy->labels = get_text(reader);
    policy->timeout_ms = get_number(reader, UINT64_MAX);
}

static const struct wisp_worker_host *get_host(struct reader *reader)
{
    if (!get_number(reader, 1)) return NULL;
    struct wisp_worker_host *host = WISP_NEW(reader->arena, struct wisp_worker_host);
    host->n_shared_fds = (uint32_t)get_number(reader, WISP_SHARED_WORKERS_MAX + 1);
    host->index = (uint32_t)get_number(reader, WISP_SHARED_WORKERS_MAX - 1);
    host->instances_max = (uint32_t)get_number(reader, UINT32_MAX);
    host->memory_bytes_max = get_number(reader, UINT64_MAX);
    host->grace_ms = (uint32_t)get_number(reader, UINT32_MAX);
    host->provider_wait_ms = (uint32_t)get_number(reader, UINT32_MAX);
    host->handover_dir = get_text(reader);
    host->lattice = get_text(reader);
    host->host_id = get_text(reader);
    host->telemetry.traces = get_number(reader, 1);
    host->telemetry.logs = get_number(reader, 1);
    host->telemetry.sampler.follows_parent = get_number(reader, 1);
    host->telemetry.sampler.threshold = get_number(reader, UINT64_MAX);
    get_bus(reader, &host->bus);
    get_policy(reader, &host->policy);
    return host;
}

int wisp_worker_config_decode(struct wisp_arena *arena, struct wisp_str bytes, struct wisp_worker_config *ret_config,
                              struct wisp_err *err)
{
    struct reader reader = {.arena = arena, .rest = bytes};
    struct wisp_worker_config config = {0};
    config.options.host = get_host(&reader);
    get_component(&reader, &config.options.component);
    get_limits(&reader, &config.options.component.limits);
    config.options.n_workers = (uint32_t)get_number(&reader, UINT32_MAX);
    config.options.drain_ms = (uint32_t)get_number(&reader, UINT32_MAX);
    config.options.cache_dir = get_text(&reader);
    config.log_level = get_number(&reader, WISP_LOG_DEBUG);
    config.log_format = get_number(&reader, WISP_LOG_JSON);
    if (reader.is_bad || reader.rest.len) return wisp_err_set(err, WISP_ERR_INVALID, "worker configuration is broken");
    *ret_config = config;
    return 0;
}
