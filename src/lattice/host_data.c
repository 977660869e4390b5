/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider process reads at its start: who it is, its config and secrets, and its links with theirs. The same is
 * gathered for a built-in provider, whose secrets stay in the clear on their way to the workers. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdlib.h>

static void next_link(struct wisp_lattice_job *job);

static const json_t *link_at(const struct wisp_lattice_job *job) { return json_array_get(job->links, job->next_link); }

static void target_resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env);
static void source_resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env);

/* As whom it asks for secrets. */
static json_t *claims_of(const struct wisp_lattice_job *job)
{
    if (job->unit->kind == WISP_LATTICE_BUILTIN) return job->unit->token_claims;
    return job->claims ? job->claims : job->unit->claims;
}

/* {kind, value} becomes a text or {"bytes": base64}. */
static json_t *open_secrets(const json_t *secrets)
{
    const char *name;
    json_t *secret, *open = json_object();
    json_object_foreach((json_t *)(uintptr_t)secrets, name, secret)
    {
        json_t *value = json_object_get(secret, "value");
        if (json_is_string(value)) {
            json_object_set(open, name, value);
            continue;
        }
        WISP_CLEANUP_BUF struct wisp_buf bytes = {0}, text = {0};
        for (size_t i = 0; i < json_array_size(value); i++)
            wisp_buf_append_char(&bytes, (char)json_integer_value(json_array_get(value, i)));
        wisp_base64_encode(wisp_buf_str(&bytes), &text);
        json_object_set_new(open, name, json_pack("{s:o}", "bytes", wisp_json_text(wisp_buf_str(&text))));
    }
    return open;
}

static json_t *link_secrets(const struct wisp_lattice_job *job, const json_t *secrets)
{
    if (job->unit->kind == WISP_LATTICE_BUILTIN) return json_object_size(secrets) ? open_secrets(secrets) : json_null();
    return wisp_lattice_secrets_seal(job->unit->lattice, secrets, &job->unit->xkey);
}

static void resolve_side(struct wisp_lattice_job *job, const char *key,
                         void (*on_done)(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env))
{
    struct wisp_lattice_unit *unit = job->unit;
    wisp_lattice_resolve_begin(unit->lattice, &job->resolve, json_object_get(link_at(job), key), claims_of(job),
                               job->annotations ? job->annotations : unit->annotations, false, on_done, job);
}

static void leave_out_of_process(struct wisp_lattice_job *job, const json_t *link)
{
    WISP_CLEANUP_BUF struct wisp_buf identity = {0};
    wisp_lattice_link_identity(link, &identity);
    wisp_lattice_deliver(job->unit, wisp_buf_str(&identity));
}

/* The provider starts without it; it is delivered when it can be. */
static void leave_out(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    const json_t *link = link_at(job);
    bool is_news = !job->unit->has_left_out;
    job->has_left_out = true;
    if (is_news)
        wisp_lattice_log(job->unit->lattice, WISP_LOG_WARN, "link `%.*s` from `%.*s` to `%.*s` is left out for now: %s",
                         WISP_STR_ARG(wisp_json_str(link, "name")), WISP_STR_ARG(wisp_json_str(link, "source_id")),
                         WISP_STR_ARG(wisp_json_str(link, "target")), err->text);
    if (job->unit->kind == WISP_LATTICE_PROVIDER) leave_out_of_process(job, link);
    job->next_link++;
    next_link(job);
}

static void target_resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env)
{
    struct wisp_lattice_job *job = env;
    if (err) {
        leave_out(job, err);
        return;
    }
    json_t *wire = wisp_lattice_link_wire(link_at(job), job->link_config, resolve->config);
    json_object_set_new(wire, "source_secrets", link_secrets(job, job->link_secrets));
    json_object_set_new(wire, "target_secrets", link_secrets(job, resolve->secrets));
    json_array_append_new(job->resolved_links, wire);
    job->next_link++;
    next_link(job);
}

static void source_resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env)
{
    struct wisp_lattice_job *job = env;
    if (err) {
        leave_out(job, err);
        return;
    }
    json_decref(job->link_config);
    json_decref(job->link_secrets);
    job->link_config = WISP_TAKE(resolve->config);
    job->link_secrets = WISP_TAKE(resolve->secrets);
    resolve_side(job, "target_config", target_resolved);
}

static void on_turn(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    resolve_side(env, "source_config", source_resolved);
}

/* Links that need nobody's answer follow each other at once; so that thousands don't nest, every 16th takes a turn. */
static void next_link(struct wisp_lattice_job *job)
{
    if (job->next_link >= json_array_size(job->links))
        job->on_host_data(job, NULL);
    else if (job->next_link % 16 == 15)
        wisp_lattice_timer_arm(job->unit->lattice, &job->timer, 0, on_turn, job);
    else
        resolve_side(job, "source_config", source_resolved);
}

static void add_links(struct wisp_lattice_job *job)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    struct wisp_str id = wisp_lattice_unit_id(job->unit);
    struct wisp_lattice_record *spec = wisp_lattice_spec_find(lattice, id);
    struct wisp_lattice_end *end = wisp_lattice_end_find(lattice, id);
    if (spec) WISP_RING_EACH(at, &spec->links)
    json_array_append(job->links, WISP_OWNER(at, struct wisp_lattice_link, of_source)->json);
    if (!end) return;
    WISP_RING_EACH(at, &end->links)
    {
        json_t *json = WISP_OWNER(at, struct wisp_lattice_link, of_target)->json;
        if (!wisp_str_equal(wisp_json_str(json, "source_id"), id)) json_array_append(job->links, json);
    }
}

static void config_resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env)
{
    struct wisp_lattice_job *job = env;
    if (err) {
        job->on_host_data(job, err);
        return;
    }
    const json_t *annotations = job->annotations ? job->annotations : job->unit->annotations;
    job->config = WISP_TAKE(resolve->config);
    job->confine = wisp_lattice_confine_take(job->config, annotations);
    bool is_open = job->unit->kind == WISP_LATTICE_BUILTIN;
    job->secrets = is_open ? open_secrets(resolve->secrets) : WISP_TAKE(resolve->secrets);
    wisp_lattice_deliveries_forget(job->unit);
    add_links(job);
    next_link(job);
}

void wisp_lattice_host_data_begin(struct wisp_lattice_job *job,
                                  void (*on_done)(struct wisp_lattice_job *job, const struct wisp_err *err))
{
    struct wisp_lattice_unit *unit = job->unit;
    json_t **old[] = {&job->config, &job->secrets, &job->links, &job->resolved_links, &job->confine};
    for (size_t i = 0; i < WISP_COUNT(old); i++) json_decref(WISP_TAKE(*old[i]));
    job->links = json_array();
    job->resolved_links = json_array();
    job->next_link = 0;
    job->has_left_out = false;
    job->on_host_data = on_done;
    wisp_lattice_resolve_begin(unit->lattice, &job->resolve, job->config_names ? job->config_names : unit->config_names,
                               claims_of(job), job->annotations ? job->annotations : unit->annotations,
                               job->kind != WISP_LATTICE_START, config_resolved, job);
}

/* --- JSON --- */

static json_t *otel_config(const struct wisp_lattice *lattice)
{
    json_t *config = lattice->otel_config ? json_loads(lattice->otel_config, 0, NULL) : NULL;
    if (json_is_object(config)) return config;
    json_decref(config);
    return json_pack("{s:b, s:s, s:[], s:s}", "enable_observability", 0, "protocol", "Http", "additional_ca_paths",
                     "trace_level", lattice->log_level);
}

static json_t *make(const struct wisp_lattice_job *job)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    char instance_id[WISP_LATTICE_UUID_LEN + 1], seed[WISP_NKEY_SEED_LEN + 1];
    wisp_lattice_uuid(lattice, instance_id);
    wisp_nkey_seed_text(&job->unit->xkey, seed);
    json_t *data =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{}, s:s, s:O, s:[], s:O, s:O, s:s, s:s, s:I, s:b, s:s}", "host_id",
                  lattice->host_id, "lattice_rpc_prefix", lattice->lattice, "link_name", "default",
                  "lattice_rpc_user_jwt", lattice->rpc_jwt ? lattice->rpc_jwt : "", "lattice_rpc_user_seed",
                  lattice->rpc_seed ? lattice->rpc_seed : "", "lattice_rpc_url", lattice->rpc_host, "env_values",
                  "instance_id", instance_id, "link_definitions", job->resolved_links, "cluster_issuers", "config",
                  job->config, "secrets", job->secrets, "host_xkey_public_key", lattice->xkey_text,
                  "provider_xkey_private_key", seed, "default_rpc_timeout_ms", (json_int_t)lattice->rpc_timeout_ms,
                  "structured_logging", (int)lattice->structured_logging, "log_level", lattice->log_level);
    if (lattice->rpc_socket) json_object_set_new(data, "wisp_rpc_socket", json_string(lattice->rpc_socket));
    json_object_set_new(data, "provider_key", wisp_json_text(wisp_lattice_unit_id(job->unit)));
    json_object_set_new(data, "otel_config", otel_config(lattice));
    if (lattice->takes_spans)
        json_object_set_new(data, "wisp_spans_subject",
                            json_sprintf(WISP_LATTICE_SPANS ".%s.%s", lattice->lattice, lattice->host_id));
    return data;
}

void wisp_lattice_host_data_fill(struct wisp_lattice_job *job, struct wisp_lattice_action *action)
{
    const struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    WISP_CLEANUP_JSON json_t *data = make(job);
    const char *reference = job->reference ? job->reference : unit->reference;
    const char *plain = job->plain_reference ? job->plain_reference : unit->plain_reference;
    action->provider = (struct wisp_lattice_provider){
        .id = wisp_lattice_keep(lattice, wisp_lattice_unit_id(unit)),
        .reference = wisp_lattice_keep(lattice, wisp_str_from(reference)),
        .plain_reference = wisp_lattice_keep(lattice, wisp_str_from(plain)),
        .path = wisp_lattice_keep(lattice, wisp_str_from(job->path ? job->path : unit->path)),
        .host_data = wisp_lattice_keep_json(lattice, data),
        .xkey = wisp_lattice_keep(lattice, wisp_str_from(unit->xkey_text)),
        .confine = job->confine ? wisp_lattice_borrow(lattice, job->confine) : NULL,
    };
}
