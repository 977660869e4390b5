/* SPDX-License-Identifier: Apache-2.0 */
/* What components and providers have in common: jobs that are done one after another, and what they leave behind. */
#include "lattice/lattice_priv.h"

#include <stdlib.h>

/* --- units --- */

static struct wisp_table *table_of(struct wisp_lattice *lattice, enum wisp_lattice_unit_kind kind)
{
    return kind == WISP_LATTICE_COMPONENT ? &lattice->components : &lattice->providers;
}

struct wisp_lattice_unit *wisp_lattice_unit_new(struct wisp_lattice *lattice, struct wisp_str id,
                                                enum wisp_lattice_unit_kind kind)
{
    struct wisp_lattice_unit *unit = wisp_mem_calloc(1, sizeof *unit);
    unit->lattice = lattice;
    unit->kind = kind;
    unit->annotations = json_object();
    unit->config_names = json_array();
    unit->config = json_object();
    unit->secrets = json_object();
    wisp_ring_init(&unit->jobs);
    wisp_table_init(&unit->deliveries, wisp_lattice_random(lattice));
    wisp_table_add(table_of(lattice, kind), id, &unit->entry);
    return unit;
}

void wisp_lattice_unit_free(struct wisp_lattice_unit *unit)
{
    struct wisp_lattice *lattice = unit->lattice;
    while (unit->n_jobs) wisp_lattice_job_free(wisp_lattice_job_first(unit));
    wisp_lattice_timer_disarm(lattice, &unit->refresh);
    wisp_lattice_timer_disarm(lattice, &unit->health);
    wisp_lattice_call_forget(lattice, &unit->health_call);
    wisp_lattice_deliveries_forget(unit);
    wisp_table_deinit(&unit->deliveries);
    wisp_lattice_uses_set(unit, NULL);
    json_decref(unit->annotations);
    json_decref(unit->config_names);
    json_decref(unit->claims);
    json_decref(unit->config);
    json_decref(unit->secrets);
    json_decref(unit->basis);
    json_decref(unit->token_claims);
    free(unit->builtin);
    wisp_nkey_wipe(&unit->xkey);
    free(unit->reference);
    free(unit->plain_reference);
    free(unit->digest);
    free(unit->path);
    wisp_table_remove(table_of(lattice, unit->kind), &unit->entry);
    free(unit);
}

struct wisp_str wisp_lattice_unit_id(const struct wisp_lattice_unit *unit) { return unit->entry.key; }

struct wisp_lattice_unit *wisp_lattice_component_find(struct wisp_lattice *lattice, struct wisp_str id)
{
    return wisp_table_get(&lattice->components, id);
}

struct wisp_lattice_unit *wisp_lattice_provider_find(struct wisp_lattice *lattice, struct wisp_str id)
{
    return wisp_table_get(&lattice->providers, id);
}

bool wisp_lattice_is_to_run(struct wisp_lattice *lattice, struct wisp_str id)
{
    return wisp_lattice_component_find(lattice, id) || wisp_lattice_provider_find(lattice, id);
}

void wisp_lattice_unit_store_spec(struct wisp_lattice_unit *unit, const char *reference)
{
    struct wisp_lattice_record *record = wisp_lattice_spec_need(unit->lattice, wisp_lattice_unit_id(unit));
    if (!record || record->value) return;
    record->value = json_pack("{s:s, s:[]}", "url", reference, "links");
    wisp_lattice_record_owe(record, 0);
}

void wisp_lattice_unit_touch(struct wisp_lattice_unit *unit)
{
    if (unit->kind == WISP_LATTICE_BUILTIN) {
        wisp_lattice_builtin_touch(unit);
        return;
    }
    if (unit->kind != WISP_LATTICE_COMPONENT) {
        wisp_lattice_provider_config_changed(unit);
        return;
    }
    unit->wants_refresh = true;
    unit->refresh_tries = 0;
    wisp_lattice_timer_disarm(unit->lattice, &unit->refresh);
    wisp_lattice_unit_go_on(unit);
}

/* --- jobs --- */

struct wisp_lattice_job *wisp_lattice_job_first(const struct wisp_lattice_unit *unit)
{
    return unit->n_jobs ? WISP_OWNER(unit->jobs.next, struct wisp_lattice_job, turn) : NULL;
}

struct wisp_lattice_job *wisp_lattice_job_new(struct wisp_lattice_unit *unit, enum wisp_lattice_job_kind kind)
{
    if (unit->n_jobs >= WISP_LATTICE_JOBS_MAX) return NULL;
    struct wisp_lattice_job *job = wisp_mem_calloc(1, sizeof *job);
    job->unit = unit;
    job->kind = kind;
    wisp_ring_append(&unit->jobs, &job->turn);
    unit->n_jobs++;
    return job;
}

void wisp_lattice_job_cancel(struct wisp_lattice_job *job)
{
    struct wisp_lattice *lattice = job->unit->lattice;
    wisp_lattice_call_forget(lattice, &job->call);
    wisp_lattice_timer_disarm(lattice, &job->timer);
    wisp_lattice_policy_deinit(&job->policy);
    wisp_lattice_resolve_deinit(&job->resolve);
}

void wisp_lattice_job_free(struct wisp_lattice_job *job)
{
    wisp_lattice_job_cancel(job);
    wisp_ring_remove(&job->turn);
    job->unit->n_jobs--;
    wisp_lattice_asker_deinit(&job->reply);
    json_t *values[] = {job->annotations, job->config_names, job->claims,      job->config,       job->secrets,
                        job->basis,       job->links,        job->link_config, job->link_secrets, job->resolved_links,
                        job->confine};
    for (size_t i = 0; i < WISP_COUNT(values); i++) json_decref(values[i]);
    free(job->reference);
    free(job->path);
    free(job->digest);
    free(job->plain_reference);
    free(job);
}

void wisp_lattice_unit_go_on(struct wisp_lattice_unit *unit)
{
    bool is_idle = !unit->n_jobs && !unit->refresh.slot;
    bool can_refresh = unit->kind == WISP_LATTICE_COMPONENT || unit->kind == WISP_LATTICE_BUILTIN;
    if (can_refresh && is_idle && unit->is_running && unit->wants_refresh)
        wisp_lattice_job_new(unit, WISP_LATTICE_REFRESH);
    struct wisp_lattice_job *job = wisp_lattice_job_first(unit);
    if (!job) {
        if (!unit->is_running) wisp_lattice_unit_free(unit);
        return;
    }
    if (job->is_begun) return;
    job->is_begun = true;
    if (unit->kind == WISP_LATTICE_COMPONENT)
        wisp_lattice_component_job(job);
    else
        wisp_lattice_provider_job(job);
}

void wisp_lattice_job_end(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    wisp_lattice_job_free(job);
    wisp_lattice_unit_go_on(unit);
}

/* --- what a job gathers --- */

static void move_text(char **to, char **from)
{
    if (!*from) return;
    free(*to);
    *to = WISP_TAKE(*from);
}

static void move_json(json_t **to, json_t **from)
{
    if (!*from) return;
    json_decref(*to);
    *to = WISP_TAKE(*from);
}

void wisp_lattice_job_adopt(struct wisp_lattice_job *job)
{
    struct wisp_lattice_unit *unit = job->unit;
    move_text(&unit->reference, &job->reference);
    move_text(&unit->plain_reference, &job->plain_reference);
    move_text(&unit->digest, &job->digest);
    move_text(&unit->path, &job->path);
    move_json(&unit->annotations, &job->annotations);
    move_json(&unit->config_names, &job->config_names);
    move_json(&unit->claims, &job->claims);
    move_json(&unit->config, &job->config);
    move_json(&unit->secrets, &job->secrets);
    move_json(&unit->basis, &job->basis);
    wisp_lattice_uses_set(unit, unit->config_names);
}

void wisp_lattice_job_fetch(struct wisp_lattice_job *job, bool is_provider,
                            void (*on_done)(struct wisp_lattice_call *call, const struct wisp_lattice_done *done,
                                            void *env))
{
    struct wisp_lattice *lattice = job->unit->lattice;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_FETCH);
    action->reference = wisp_lattice_keep(lattice, wisp_str_from(job->reference));
    action->is_provider = is_provider;
    wisp_lattice_call_begin(lattice, &job->call, action, on_done, job);
}

void wisp_lattice_job_take_artifact(struct wisp_lattice_job *job, const struct wisp_lattice_done *done)
{
    job->path = wisp_mem_dup(done->artifact.path);
    job->digest = wisp_mem_dup(done->artifact.digest);
    job->plain_reference = wisp_mem_dup(done->artifact.plain_reference);
    job->claims = json_is_object(done->artifact.claims) ? json_deep_copy(done->artifact.claims) : NULL;
}
