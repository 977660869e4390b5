/* SPDX-License-Identifier: Apache-2.0 */
/* Components: scale, update, and what follows from changed configs and links.
 *
 *     SCALE, first start   FETCH ─ policy ─ resolve ─ spec and claims ─ COMPONENT_PUT ─ component_scaled
 *     SCALE, running       policy ─ resolve ─ COMPONENT_PUT (if anything differs) ─ component_scaled [─ UPDATE]
 *     SCALE to 0           COMPONENT_REMOVE ─ component_scaled 0
 *     UPDATE               FETCH ─ policy ─ resolve ─ claims ─ COMPONENT_PUT ─ component_scaled, component_scaled 0
 *     REFRESH              resolve ─ COMPONENT_PUT (if anything differs)
 *
 * Where the original host does things that nobody can want, we don't: to stop a component its image is not fetched
 * again and no policy is asked; an update really replaces the code, is asked of the policy, and tells when it failed; a
 * scale with both another count and allow_update does both; the first start is told once, not twice (whoever waits for
 * it takes the first); and events carry this host's real id. Kept, since clients see it: an update ends with a second
 * event of the new reference and 0 instances, for the set that was replaced. */
#include "lattice/lattice_priv.h"

#include "base/log.h"
#include "base/parse.h"

#include <stdlib.h>

enum { REFRESH_FIRST_MS = 500, REFRESH_MAX_MS = 60000 };

/* --- events --- */

static json_t *event_data(const struct wisp_lattice_unit *unit, const char *reference, json_t *annotations,
                          uint32_t instances_max)
{
    json_t *data = json_object();
    json_object_set(data, "annotations", annotations ? annotations : unit->annotations);
    json_object_set_new(data, "host_id", json_string(unit->lattice->host_id));
    json_object_set_new(data, "image_ref", wisp_json_text(wisp_str_from(reference)));
    json_object_set_new(data, "max_instances", json_integer(instances_max));
    json_object_set_new(data, "component_id", wisp_json_text(wisp_lattice_unit_id(unit)));
    return data;
}

static void tell_scaled(const struct wisp_lattice_unit *unit, const char *reference, json_t *annotations,
                        uint32_t instances_max)
{
    json_t *data = event_data(unit, reference, annotations, instances_max);
    if (unit->claims) {
        json_object_set_new(data, "public_key", wisp_json_text(wisp_json_str(unit->claims, "subject")));
        json_object_set_new(data, "claims", wisp_lattice_component_claims(unit->claims));
    }
    wisp_lattice_event(unit->lattice, "component_scaled", data);
}

static void fail(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    const struct wisp_lattice_unit *unit = job->unit;
    const json_t *claims = job->claims ? job->claims : unit->claims;
    uint32_t count = job->kind == WISP_LATTICE_SCALE ? job->count : unit->instances_max;
    json_t *data = event_data(unit, job->reference, job->annotations, count);
    json_object_set_new(data, "error", wisp_json_text(wisp_str_from(err->text)));
    if (claims) json_object_set_new(data, "public_key", wisp_json_text(wisp_json_str(claims, "subject")));
    wisp_lattice_event(unit->lattice, "component_scale_failed", data);
    wisp_lattice_log(unit->lattice, WISP_LOG_ERROR, "component `%.*s` could not be %s: %s",
                     WISP_STR_ARG(wisp_lattice_unit_id(unit)), job->kind == WISP_LATTICE_UPDATE ? "updated" : "scaled",
                     err->text);
    wisp_lattice_job_end(job);
}

/* --- limits --- */

static struct wisp_str setting(const struct wisp_lattice_job *job, const char *key)
{
    const json_t *annotations = job->annotations ? job->annotations : job->unit->annotations;
    struct wisp_str text = wisp_json_str(annotations, key);
    return text.len ? text : wisp_json_str(job->config, key);
}

int wisp_lattice_limits_read(const struct wisp_lattice_job *job, struct wisp_lattice_limits *ret_limits,
                             struct wisp_err *err)
{
    struct wisp_lattice_limits limits = {0};
    uint64_t queue_max = 0;
    struct wisp_str memory = setting(job, "wisp.max-memory"), timeout = setting(job, "wisp.timeout");
    struct wisp_str queue = setting(job, "wisp.queue"), body = setting(job, "wisp.max-body");
    if (memory.len && wisp_parse_size(memory, &limits.memory_bytes_max, err) < 0)
        return wisp_err_wrap(err, "wisp.max-memory");
    if (timeout.len && wisp_parse_duration(timeout, &limits.timeout_ms, err) < 0)
        return wisp_err_wrap(err, "wisp.timeout");
    if (queue.len && wisp_parse_u64(queue, UINT32_MAX, &queue_max, err) < 0) return wisp_err_wrap(err, "wisp.queue");
    if (body.len && wisp_parse_size(body, &limits.body_bytes_max, err) < 0) return wisp_err_wrap(err, "wisp.max-body");
    limits.queue_max = (uint32_t)queue_max;
    *ret_limits = limits;
    return 0;
}

/* --- COMPONENT_PUT --- */

/* Everything whose change must reach what runs: merged config, references of secrets, links. */
static json_t *make_basis(const struct wisp_lattice_unit *unit, const json_t *names, json_t *config)
{
    struct wisp_lattice *lattice = unit->lattice;
    json_t *basis = json_object(), *secrets = json_object(), *links = json_array();
    json_object_set(basis, "config", config);
    json_object_set_new(basis, "secrets", secrets);
    json_object_set_new(basis, "links", links);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *text = json_array_get(names, i);
        struct wisp_str name = {json_string_value(text), json_string_length(text)};
        struct wisp_lattice_record *record = wisp_lattice_record_find(lattice, WISP_LATTICE_CONFIG, name);
        if (wisp_lattice_is_secret(name) && record && record->value)
            json_object_setn_nocheck(secrets, name.ptr, name.len, record->value);
    }
    struct wisp_lattice_record *spec = wisp_lattice_spec_find(lattice, wisp_lattice_unit_id(unit));
    if (!spec) return basis;
    WISP_RING_EACH(at, &spec->links)
    json_array_append(links, WISP_OWNER(at, struct wisp_lattice_link, of_source)->json);
    return basis;
}

static const struct wisp_lattice_pair *keep_config(struct wisp_lattice *lattice, json_t *config, size_t *ret_n)
{
    const char *key;
    json_t *value;
    struct wisp_lattice_pair *pairs =
        WISP_NEW_ARRAY(&lattice->arena, struct wisp_lattice_pair, json_object_size(config));
    *ret_n = 0;
    json_object_foreach(config, key, value)
    {
        struct wisp_str text = {json_string_value(value), json_string_length(value)};
        pairs[(*ret_n)++] = (struct wisp_lattice_pair){wisp_lattice_keep(lattice, wisp_str_from(key)),
                                                       wisp_lattice_keep(lattice, text)};
    }
    return pairs;
}

static struct wisp_str keep_secret_value(struct wisp_lattice *lattice, const json_t *value, bool is_bytes)
{
    if (!is_bytes) return wisp_lattice_keep(lattice, wisp_json_str(value, "value"));
    const json_t *bytes = json_object_get(value, "value");
    char *copy = wisp_arena_alloc(&lattice->arena, json_array_size(bytes));
    for (size_t i = 0; i < json_array_size(bytes); i++) copy[i] = (char)json_integer_value(json_array_get(bytes, i));
    return (struct wisp_str){copy, json_array_size(bytes)};
}

static const struct wisp_lattice_secret *keep_secrets(struct wisp_lattice *lattice, json_t *secrets, size_t *ret_n)
{
    const char *key;
    json_t *value;
    struct wisp_lattice_secret *list =
        WISP_NEW_ARRAY(&lattice->arena, struct wisp_lattice_secret, json_object_size(secrets));
    *ret_n = 0;
    json_object_foreach(secrets, key, value)
    {
        bool is_bytes = wisp_str_is(wisp_json_str(value, "kind"), "Bytes");
        list[(*ret_n)++] = (struct wisp_lattice_secret){wisp_lattice_keep(lattice, wisp_str_from(key)),
                                                        keep_secret_value(lattice, value, is_bytes), is_bytes};
    }
    return list;
}

static const struct wisp_lattice_target *keep_links(struct wisp_lattice *lattice, const json_t *links, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(links); i++)
        n += json_array_size(json_object_get(json_array_get(links, i), "interfaces"));
    struct wisp_lattice_target *targets = WISP_NEW_ARRAY(&lattice->arena, struct wisp_lattice_target, n);
    *ret_n = 0;
    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *link = json_array_get(links, i), *interfaces = json_object_get(link, "interfaces");
        for (size_t j = 0; j < json_array_size(interfaces); j++) {
            char *interface = wisp_arena_printf(
                &lattice->arena, "%.*s:%.*s/%s", WISP_STR_ARG(wisp_json_str(link, "wit_namespace")),
                WISP_STR_ARG(wisp_json_str(link, "wit_package")), json_string_value(json_array_get(interfaces, j)));
            targets[(*ret_n)++] = (struct wisp_lattice_target){
                .link_name = wisp_lattice_keep(lattice, wisp_json_str(link, "name")),
                .interface = wisp_str_from(interface),
                .target = wisp_lattice_keep(lattice, wisp_json_str(link, "target")),
            };
        }
    }
    return targets;
}

static struct wisp_str keep_either(struct wisp_lattice *lattice, const char *text, const char *fallback)
{
    return wisp_lattice_keep(lattice, wisp_str_from(text ? text : fallback));
}

static void put_done(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env);

static void put(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_COMPONENT_PUT);
    struct wisp_lattice_component *component = &action->component;
    component->id = wisp_lattice_keep(lattice, wisp_lattice_unit_id(unit));
    component->generation = job->generation ? job->generation : unit->generation;
    component->reference = keep_either(lattice, job->path ? job->reference : unit->reference, job->reference);
    component->digest = keep_either(lattice, job->digest, unit->digest);
    component->path = keep_either(lattice, job->path, unit->path);
    component->instances_max = job->count;
    component->config = keep_config(lattice, job->config, &component->n_config);
    component->secrets = keep_secrets(lattice, job->secrets, &component->n_secrets);
    component->links = keep_links(lattice, json_object_get(job->basis, "links"), &component->n_links);
    component->memory_bytes_max = job->limits.memory_bytes_max;
    component->timeout_ms = job->limits.timeout_ms;
    component->body_bytes_max = job->limits.body_bytes_max;
    component->queue_max = job->limits.queue_max;
    if (lattice->policy_topic) component->policy_target = wisp_lattice_policy_target(job, component->reference);
    wisp_lattice_call_begin(lattice, &job->call, action, put_done, job);
}

/* --- outcomes --- */

static void try_again_later(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    wisp_lattice_unit_go_on(env);
}

/* What runs stays as it was; nobody waits for the change, so it is tried again for as long as it takes. */
static void refresh_failed(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    struct wisp_lattice_unit *unit = job->unit;
    wisp_lattice_log(unit->lattice, WISP_LOG_ERROR, "component `%.*s` goes on with its old config and links: %s",
                     WISP_STR_ARG(wisp_lattice_unit_id(unit)), err->text);
    unit->wants_refresh = true;
    unit->refresh_tries++;
    uint64_t pause = wisp_lattice_backoff_ms(unit->lattice, unit->refresh_tries, REFRESH_FIRST_MS, REFRESH_MAX_MS);
    wisp_lattice_timer_arm(unit->lattice, &unit->refresh, pause, try_again_later, unit);
    wisp_lattice_job_end(job);
}

static void scaled(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice_job *update =
        job->allows_update && job->reference && strcmp(job->reference, unit->reference) != 0
            ? wisp_lattice_job_new(unit, WISP_LATTICE_UPDATE)
            : NULL;
    if (update) update->reference = wisp_mem_dup(wisp_str_from(job->reference));
    tell_scaled(unit, unit->reference, NULL, unit->instances_max);
    wisp_lattice_job_end(job);
}

static void adopt(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    bool is_new_code = job->path != NULL;
    char *wanted = is_new_code ? NULL : WISP_TAKE(job->reference); /* the code that runs stays what it is */
    wisp_lattice_job_adopt(job);
    job->reference = wanted;
    unit->is_running = true;
    unit->instances_max = job->count;
    unit->limits = job->limits;
    if (job->generation) unit->generation = job->generation;
    unit->refresh_tries = 0;
    unit->wants_refresh = true; /* in case something has changed on the way */
    wisp_lattice_restored(unit);
    wisp_lattice_save_touch(unit->lattice);
}

static void put_done(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    struct wisp_lattice_unit *unit = job->unit;
    if (done->err.kind && job->kind == WISP_LATTICE_REFRESH) {
        refresh_failed(job, &done->err);
    } else if (done->err.kind) {
        fail(job, &done->err);
    } else {
        adopt(job);
        if (job->kind == WISP_LATTICE_SCALE) {
            scaled(job);
            return;
        }
        if (job->kind == WISP_LATTICE_UPDATE) {
            tell_scaled(unit, unit->reference, NULL, unit->instances_max);
            tell_scaled(unit, unit->reference, NULL, 0);
        }
        wisp_lattice_job_end(job);
    }
}

/* --- steps --- */

static void resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env)
{
    struct wisp_lattice_job *job = env;
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_err limits_err = {0};
    if (err && job->kind == WISP_LATTICE_REFRESH) {
        refresh_failed(job, err);
        return;
    }
    if (err) {
        fail(job, err);
        return;
    }
    job->config = WISP_TAKE(resolve->config);
    job->secrets = WISP_TAKE(resolve->secrets);
    job->basis = make_basis(unit, job->config_names ? job->config_names : unit->config_names, job->config);
    if (wisp_lattice_limits_read(job, &job->limits, &limits_err) < 0) {
        if (job->kind == WISP_LATTICE_SCALE) {
            fail(job, &limits_err);
            return;
        }
        wisp_lattice_log(unit->lattice, WISP_LOG_WARN, "component `%.*s` keeps its limits: %s",
                         WISP_STR_ARG(wisp_lattice_unit_id(unit)), limits_err.text);
        job->limits = unit->limits;
    }
    if (job->path) {
        if (job->claims) wisp_lattice_claims_store(unit->lattice, job->claims, false);
        if (!unit->is_running) wisp_lattice_unit_store_spec(unit, job->reference);
        bool is_same_code = unit->is_running && unit->digest && strcmp(unit->digest, job->digest) == 0;
        job->generation = is_same_code ? 0 : ++unit->lattice->next_generation;
    }
    put(job);
}

static void begin_resolve(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    wisp_lattice_resolve_begin(unit->lattice, &job->resolve, job->config_names ? job->config_names : unit->config_names,
                               job->claims ? job->claims : unit->claims,
                               job->annotations ? job->annotations : unit->annotations,
                               job->kind == WISP_LATTICE_REFRESH, resolved, job);
}

static void permitted(struct wisp_lattice_policy *policy, const struct wisp_err *err, void *env)
{
    (void)policy;
    struct wisp_lattice_job *job = env;
    const struct wisp_lattice_unit *unit = job->unit;
    bool is_unchanged = job->kind == WISP_LATTICE_SCALE && unit->is_running && job->count == unit->instances_max &&
                        json_equal(job->config_names, unit->config_names) &&
                        (!job->annotations || json_equal(job->annotations, unit->annotations));
    if (err)
        fail(job, err);
    else if (is_unchanged)
        scaled(job);
    else
        begin_resolve(job);
}

static void fetched(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    if (done->err.kind) {
        fail(job, &done->err);
        return;
    }
    wisp_lattice_job_take_artifact(job, done);
    wisp_lattice_policy_begin(job->unit->lattice, &job->policy, job, permitted, job);
}

static void removed(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    struct wisp_lattice_unit *unit = job->unit;
    if (done->err.kind && done->err.kind != WISP_ERR_NOT_FOUND) {
        fail(job, &done->err);
        return;
    }
    unit->is_running = false;
    unit->wants_refresh = false;
    wisp_lattice_timer_disarm(unit->lattice, &unit->refresh);
    wisp_lattice_uses_set(unit, NULL);
    wisp_lattice_save_touch(unit->lattice);
    tell_scaled(unit, job->reference, job->annotations, 0);
    wisp_lattice_job_end(job);
}

static void begin_remove(struct wisp_lattice_job *job)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_COMPONENT_REMOVE);
    action->component.id = wisp_lattice_keep(lattice, wisp_lattice_unit_id(job->unit));
    wisp_lattice_call_begin(lattice, &job->call, action, removed, job);
}

static void begin_scale(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    if (!*job->reference && unit->reference) {
        free(job->reference);
        job->reference = wisp_mem_dup(wisp_str_from(unit->reference));
    }
    if (job->count == 0 && unit->is_running) {
        begin_remove(job);
    } else if (job->count == 0) {
        tell_scaled(unit, job->reference, job->annotations, 0);
        wisp_lattice_job_end(job);
    } else if (unit->is_running) {
        wisp_lattice_policy_begin(unit->lattice, &job->policy, job, permitted, job);
    } else {
        wisp_lattice_job_fetch(job, false, fetched);
    }
}

static void begin_update(struct wisp_lattice_job *job)
{
    const struct wisp_lattice_unit *unit = job->unit;
    if (!unit->is_running || strcmp(unit->reference, job->reference) == 0) {
        wisp_lattice_job_end(job);
        return;
    }
    job->count = unit->instances_max;
    wisp_lattice_job_fetch(job, false, fetched);
}

static void begin_refresh(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    WISP_CLEANUP_JSON json_t *config = NULL;
    unit->wants_refresh = false;
    job->count = unit->instances_max;
    job->reference = wisp_mem_dup(wisp_str_from(unit->reference));
    if (wisp_lattice_config_merge(unit->lattice, unit->config_names, true, &config, NULL) == 0) {
        WISP_CLEANUP_JSON json_t *basis = make_basis(unit, unit->config_names, config);
        if (json_equal(basis, unit->basis)) {
            wisp_lattice_job_end(job);
            return;
        }
    }
    begin_resolve(job);
}

void wisp_lattice_component_job(struct wisp_lattice_job *job)
{
    if (job->kind == WISP_LATTICE_SCALE)
        begin_scale(job);
    else if (job->kind == WISP_LATTICE_UPDATE)
        begin_update(job);
    else
        begin_refresh(job);
}

/* --- requests --- */

#define TOO_MANY "too many commands wait for this component; try again"

static const struct wisp_lattice_field scale_fields[] = {
    {"component_ref", WISP_LATTICE_TEXT, false}, {"component_id", WISP_LATTICE_TEXT, true},
    {"count", WISP_LATTICE_COUNT, false},        {"host_id", WISP_LATTICE_TEXT, false},
    {"config", WISP_LATTICE_TEXTS, false},       {"annotations", WISP_LATTICE_MAP, false},
    {"allow_update", WISP_LATTICE_FLAG, false},
};

static int check_scale(struct wisp_lattice *lattice, const json_t *request, struct wisp_err *err)
{
    int r = wisp_lattice_fields_check(request, scale_fields, WISP_COUNT(scale_fields), err);
    if (r < 0) return r;
    struct wisp_str id = wisp_json_str(request, "component_id");
    bool is_new = !wisp_lattice_component_find(lattice, id);
    if (!wisp_lattice_is_id(id))
        return wisp_err_set(err, WISP_ERR_INVALID, "a component's id has letters, digits and -_=./ only, at most %d",
                            WISP_LATTICE_ID_MAX);
    if (is_new && wisp_json_u64(request, "count", 0) && !wisp_json_str(request, "component_ref").len)
        return wisp_err_set(err, WISP_ERR_INVALID, "component_ref is empty and `%.*s` does not run here",
                            WISP_STR_ARG(id));
    if (is_new && lattice->components.count >= lattice->components_max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "this host has its limit of %u components", lattice->components_max);
    return 0;
}

/* What the answer warns of. */
static const char *scale_warning(struct wisp_lattice *lattice, const json_t *request)
{
    struct wisp_str reference = wisp_json_str(request, "component_ref");
    const struct wisp_lattice_unit *unit = wisp_lattice_component_find(lattice, wisp_json_str(request, "component_id"));
    bool is_other = unit && unit->is_running && reference.len && !wisp_str_is(reference, unit->reference);
    if (!is_other || !wisp_json_u64(request, "count", 0) || wisp_json_bool(request, "allow_update", false)) return "";
    return wisp_arena_printf(&lattice->arena,
                             "component runs from `%s`, not `%.*s`: it is scaled, its image stays; set allow_update or "
                             "use update to change it",
                             unit->reference, WISP_STR_ARG(reference));
}

int wisp_lattice_component_begin(struct wisp_lattice *lattice, const json_t *request, struct wisp_lattice_asker *asker,
                                 struct wisp_err *err)
{
    int r = check_scale(lattice, request, err);
    if (r < 0) return r;
    struct wisp_str id = wisp_json_str(request, "component_id");
    struct wisp_lattice_unit *unit = wisp_lattice_component_find(lattice, id);
    if (!unit) unit = wisp_lattice_unit_new(lattice, id, WISP_LATTICE_COMPONENT);
    struct wisp_lattice_job *job = wisp_lattice_job_new(unit, WISP_LATTICE_SCALE);
    if (!job) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, TOO_MANY);
    job->reference = wisp_mem_dup(wisp_json_str(request, "component_ref"));
    job->count = (uint32_t)wisp_json_u64(request, "count", 0);
    job->config_names = wisp_lattice_list_of(request, "config");
    job->annotations = wisp_lattice_given_map(request, "annotations");
    job->allows_update = wisp_json_bool(request, "allow_update", false);
    if (asker) wisp_lattice_answer(lattice, asker, scale_warning(lattice, request), NULL);
    wisp_lattice_unit_go_on(unit);
    return 0;
}

void wisp_lattice_component_scale(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *request = NULL;
    int r = wisp_lattice_decode(command->payload, "component scale command", scale_fields, WISP_COUNT(scale_fields),
                                &request, &err);
    if (r == 0) r = wisp_lattice_component_begin(lattice, request, &command->reply, &err);
    if (r < 0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    struct wisp_str id = wisp_json_str(request, "component_id");
    json_object_deln(lattice->waiting_components, id.ptr, id.len);
    wisp_lattice_save_touch(lattice);
}

void wisp_lattice_component_update(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    static const struct wisp_lattice_field fields[] = {
        {"component_id", WISP_LATTICE_TEXT, false},
        {"new_component_ref", WISP_LATTICE_TEXT, false},
        {"host_id", WISP_LATTICE_TEXT, false},
        {"annotations", WISP_LATTICE_MAP, false},
    };
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (wisp_lattice_decode(command->payload, "component update command", fields, WISP_COUNT(fields), &request, &err) <
        0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    struct wisp_str id = wisp_json_str(request, "component_id");
    struct wisp_str reference = wisp_json_str(request, "new_component_ref");
    struct wisp_lattice_unit *unit = wisp_lattice_component_find(lattice, id);
    if (!unit || !unit->is_running) {
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "component %.*s not found", WISP_STR_ARG(id));
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    if (wisp_str_is(reference, unit->reference)) {
        const char *text = wisp_arena_printf(&lattice->arena, "component %.*s already updated to %s", WISP_STR_ARG(id),
                                             unit->reference);
        wisp_lattice_answer(lattice, &command->reply, text, NULL);
        return;
    }
    struct wisp_lattice_job *job = wisp_lattice_job_new(unit, WISP_LATTICE_UPDATE);
    if (!job) {
        wisp_lattice_refuse(lattice, &command->reply, TOO_MANY);
        return;
    }
    const char *text = wisp_arena_printf(&lattice->arena, "component %.*s updating from %s to %.*s", WISP_STR_ARG(id),
                                         unit->reference, WISP_STR_ARG(reference));
    wisp_lattice_answer(lattice, &command->reply, text, NULL);
    job->reference = wisp_mem_dup(reference);
    job->annotations = wisp_lattice_given_map(request, "annotations");
    wisp_lattice_unit_go_on(unit);
}
