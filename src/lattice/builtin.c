/* SPDX-License-Identifier: Apache-2.0 */
/* Providers of built-in kinds, which the workers run themselves: no process, no hop.
 *
 *     START    policy ─ spec ─ config, secrets, links ─ BUILTIN_PUT ─ provider_started, health_check_passed
 *     REFRESH  config, secrets, links ─ BUILTIN_PUT, when anything differs from what the last one was made of
 *     STOP     BUILTIN_REMOVE ─ provider_stopped, answer
 *
 * References: wisp://KIND, the original's wasmcloud+builtin://KIND, and, unless the host wants real images, its images
 * of the same names. A link that can't be resolved is left out and tried again, like any change that fails. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum { PAUSE_MS = 20 /* of links that come one after another */, AGAIN_FIRST_MS = 500, AGAIN_MAX_MS = 60000 };

#define ORIGINAL_SCHEME WISP_STR("wasmcloud+builtin://")
#define OWN_SCHEME WISP_STR("wisp://")
#define IMAGES WISP_STR("ghcr.io/wasmcloud/")

/* --- references --- */

static struct wisp_str behind(struct wisp_str text, struct wisp_str prefix)
{
    return (struct wisp_str){text.ptr + prefix.len, text.len - prefix.len};
}

static struct wisp_str without_scheme(struct wisp_str reference)
{
    static const struct wisp_str schemes[] = {WISP_STR_INIT("oci://"), WISP_STR_INIT("https://"),
                                              WISP_STR_INIT("http://")};
    for (size_t i = 0; i < WISP_COUNT(schemes); i++)
        if (wisp_str_starts_with(reference, schemes[i])) return behind(reference, schemes[i]);
    return reference;
}

static bool is_known(const struct wisp_lattice *lattice, struct wisp_str kind)
{
    for (size_t i = 0; i < lattice->n_builtin_kinds; i++)
        if (wisp_str_is(kind, lattice->builtin_kinds[i])) return true;
    return false;
}

bool wisp_lattice_builtin_parse(const struct wisp_lattice *lattice, struct wisp_str reference,
                                struct wisp_str *ret_kind)
{
    bool is_own = wisp_str_starts_with(reference, OWN_SCHEME);
    if (is_own || wisp_str_starts_with(reference, ORIGINAL_SCHEME)) {
        *ret_kind = behind(reference, is_own ? OWN_SCHEME : ORIGINAL_SCHEME);
        return true;
    }
    struct wisp_str image = without_scheme(reference);
    if (lattice->runs_real_images || !wisp_str_starts_with(image, IMAGES)) return false;
    struct wisp_str name = behind(image, IMAGES), rest;
    wisp_str_split(name, '@', &name, &rest);
    wisp_str_split(name, ':', &name, &rest);
    *ret_kind = name;
    return is_known(lattice, name);
}

int wisp_lattice_builtin_check(const struct wisp_lattice *lattice, struct wisp_str reference, struct wisp_str kind,
                               struct wisp_err *err)
{
    if (is_known(lattice, kind)) return 0;
    WISP_CLEANUP_BUF struct wisp_buf names = {0};
    for (size_t i = 0; i < lattice->n_builtin_kinds; i++)
        wisp_buf_printf(&names, "%swisp://%s", i ? ", " : "", lattice->builtin_kinds[i]);
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "there is no built-in provider `%.*s`; known: %.*s",
                        WISP_STR_ARG(reference), WISP_STR_ARG(wisp_buf_str(&names)));
}

/* As the original shows them: images without their scheme, built-in ones by their names. */
char *wisp_lattice_builtin_plain(struct wisp_str reference)
{
    if (wisp_str_starts_with(reference, ORIGINAL_SCHEME)) return wisp_mem_dup(behind(reference, ORIGINAL_SCHEME));
    return wisp_mem_dup(without_scheme(reference));
}

/* --- what it depends on --- */

static void add_names(json_t *all, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) json_array_append(all, json_array_get(names, i));
}

static void each_link(const struct wisp_lattice_unit *unit, void (*visit)(json_t *all, json_t *link), json_t *all)
{
    struct wisp_lattice *lattice = unit->lattice;
    struct wisp_str id = wisp_lattice_unit_id(unit);
    struct wisp_lattice_record *spec = wisp_lattice_spec_find(lattice, id);
    struct wisp_lattice_end *end = wisp_lattice_end_find(lattice, id);
    if (spec) WISP_RING_EACH(at, &spec->links)
    visit(all, WISP_OWNER(at, struct wisp_lattice_link, of_source)->json);
    if (!end) return;
    WISP_RING_EACH(at, &end->links)
    {
        json_t *link = WISP_OWNER(at, struct wisp_lattice_link, of_target)->json;
        if (!wisp_str_equal(wisp_json_str(link, "source_id"), id)) visit(all, link);
    }
}

static void add_link_names(json_t *all, json_t *link)
{
    add_names(all, json_object_get(link, "source_config"));
    add_names(all, json_object_get(link, "target_config"));
}

static void add_link(json_t *all, json_t *link) { json_array_append(all, link); }

/* Names of all configs and secrets that play a part. */
static json_t *names_of(const struct wisp_lattice_unit *unit, const json_t *own)
{
    json_t *names = json_array();
    add_names(names, own);
    each_link(unit, add_link_names, names);
    return names;
}

/* Everything whose change must reach the workers; of secrets their references. */
static json_t *make_basis(const struct wisp_lattice_unit *unit, json_t *own_names)
{
    json_t *basis = json_object(), *links = json_array(), *configs = json_object();
    WISP_CLEANUP_JSON json_t *names = names_of(unit, own_names);
    each_link(unit, add_link, links);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *text = json_array_get(names, i);
        struct wisp_str name = {json_string_value(text), json_string_length(text)};
        struct wisp_lattice_record *record = wisp_lattice_record_find(unit->lattice, WISP_LATTICE_CONFIG, name);
        if (record && record->value) json_object_setn_nocheck(configs, name.ptr, name.len, record->value);
    }
    json_object_set(basis, "names", own_names);
    json_object_set_new(basis, "links", links);
    json_object_set_new(basis, "configs", configs);
    return basis;
}

/* --- BUILTIN_PUT --- */

static void put_done(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env);

static void put(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    struct wisp_lattice *lattice = unit->lattice;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_BUILTIN_PUT);
    action->builtin = (struct wisp_lattice_builtin){
        .id = wisp_lattice_keep(lattice, wisp_lattice_unit_id(unit)),
        .kind = wisp_lattice_keep(lattice, wisp_str_from(unit->builtin)),
        .config = wisp_lattice_borrow(lattice, job->config),
        .secrets = wisp_lattice_borrow(lattice, job->secrets),
        .links = wisp_lattice_borrow(lattice, job->resolved_links),
    };
    job->is_at_process = true;
    wisp_lattice_call_begin(lattice, &job->call, action, put_done, job);
}

static void again_due(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    wisp_lattice_unit_go_on(env);
}

static void try_again_later(struct wisp_lattice_unit *unit)
{
    uint64_t pause = wisp_lattice_backoff_ms(unit->lattice, ++unit->refresh_tries, AGAIN_FIRST_MS, AGAIN_MAX_MS);
    unit->wants_refresh = true;
    unit->has_left_out = true; /* so that it is tried though nothing has changed */
    wisp_lattice_timer_disarm(unit->lattice, &unit->refresh);
    wisp_lattice_timer_arm(unit->lattice, &unit->refresh, pause, again_due, unit);
}

void wisp_lattice_builtin_adopted(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    WISP_CLEANUP_JSON json_t *names = names_of(unit, unit->config_names);
    wisp_lattice_uses_set(unit, names);
    unit->has_left_out = job->has_left_out;
    unit->wants_refresh = true; /* in case something has changed on the way */
    if (job->has_left_out)
        try_again_later(unit);
    else
        unit->refresh_tries = 0;
}

static void refresh_failed(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    struct wisp_lattice_unit *unit = job->unit;
    wisp_lattice_log(unit->lattice, WISP_LOG_ERROR, "provider `%.*s` goes on with its old config and links: %s",
                     WISP_STR_ARG(wisp_lattice_unit_id(unit)), err->text);
    try_again_later(unit);
    wisp_lattice_job_end(job);
}

static void put_done(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_job *job = env;
    if (job->kind == WISP_LATTICE_START) {
        if (done->err.kind)
            wisp_lattice_provider_failed(job, &done->err);
        else
            wisp_lattice_provider_started(job);
    } else if (done->err.kind) {
        refresh_failed(job, &done->err);
    } else {
        wisp_lattice_job_adopt(job);
        wisp_lattice_builtin_adopted(job);
        wisp_lattice_job_end(job);
    }
}

/* --- jobs --- */

static void resolved(struct wisp_lattice_job *job, const struct wisp_err *err)
{
    struct wisp_err own = {0};
    if (!err && wisp_lattice_confine_refuse(job->confine, &own) < 0) err = &own;
    if (!err)
        put(job);
    else if (job->kind == WISP_LATTICE_START)
        wisp_lattice_provider_failed(job, err);
    else
        refresh_failed(job, err);
}

void wisp_lattice_builtin_job(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    unit->wants_refresh = false;
    job->basis = make_basis(unit, job->config_names ? job->config_names : unit->config_names);
    if (job->kind == WISP_LATTICE_REFRESH && !unit->has_left_out && json_equal(job->basis, unit->basis)) {
        wisp_lattice_job_end(job);
        return;
    }
    wisp_lattice_host_data_begin(job, resolved);
}

void wisp_lattice_builtin_touch(struct wisp_lattice_unit *unit)
{
    struct wisp_lattice *lattice = unit->lattice;
    unit->wants_refresh = true;
    unit->refresh_tries = 0;
    if (unit->refresh.slot && unit->refresh.due_ms <= lattice->now.now_ms + PAUSE_MS) return;
    wisp_lattice_timer_disarm(lattice, &unit->refresh);
    wisp_lattice_timer_arm(lattice, &unit->refresh, PAUSE_MS, again_due, unit);
}
