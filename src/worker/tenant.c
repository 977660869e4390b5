/* SPDX-License-Identifier: Apache-2.0 */
/* Tenants: components by id, the generations of their code, their terms. */
#include "worker/remote.h"

#include <stdlib.h>

/* --- terms --- */

static void fill_limits(struct wisp_worker_limits *limits)
{
    if (!limits->timeout_ms) limits->timeout_ms = WISP_WORKER_TIMEOUT_MS;
    if (!limits->instances_max) limits->instances_max = WISP_WORKER_INSTANCES_MAX;
    if (!limits->queue_max) limits->queue_max = WISP_WORKER_QUEUE_MAX;
    if (limits->queue_max == UINT32_MAX) limits->queue_max = 0;
    if (!limits->body_bytes_max) limits->body_bytes_max = WISP_WORKER_BODY_BYTES_MAX;
}

struct wisp_terms *wisp_terms_new(struct wisp_worker *worker, const struct wisp_worker_limits *limits,
                                  struct wisp_surroundings *surroundings, struct wisp_wasi_app *app_taken)
{
    struct wisp_terms *terms = wisp_mem_calloc(1, sizeof *terms);
    terms->n_refs = 1;
    terms->limits = *limits;
    fill_limits(&terms->limits);
    terms->surroundings = *surroundings;
    *surroundings = (struct wisp_surroundings){0};
    terms->app = app_taken;
    terms->deadlines = wisp_deadline_class_get(worker, terms->limits.timeout_ms);
    return terms;
}

void wisp_terms_unref(struct wisp_terms *terms)
{
    if (!terms || --terms->n_refs) return;
    wisp_deadline_class_unref(terms->deadlines);
    wisp_surroundings_deinit(&terms->surroundings);
    wisp_wasi_app_unref(terms->app);
    json_decref(terms->policy_target);
    free(terms);
}

/* --- editions --- */

/* It may be the last reference of what is on the stack now: freed from the loop. */
void wisp_edition_unref(struct wisp_edition *edition)
{
    if (!edition || --edition->n_refs) return;
    struct wisp_worker *worker = edition->tenant->worker;
    wisp_ring_append(&worker->retired, &edition->retired);
    wisp_worker_stay_awake(worker);
}

static void edition_free(struct wisp_edition *edition)
{
    edition->tenant->n_editions--;
    wisp_program_deinit(&edition->program);
    free(edition->local_links);
    free(edition);
}

static int edition_new(struct wisp_edition **ret_edition, struct wisp_tenant *tenant, uint64_t generation,
                       const char *path, const struct wisp_worker_limits *limits, struct wisp_err *err)
{
    struct wisp_worker *worker = tenant->worker;
    struct wisp_edition *edition = wisp_mem_calloc(1, sizeof *edition);
    edition->tenant = tenant;
    edition->generation = generation;
    edition->n_refs = 1;
    tenant->n_editions++;
    int r = wisp_program_load(&edition->program, path, err);
    if (r == 0) r = wisp_program_check_memory(&edition->program, limits->memory_bytes_max, err);
    if (r == 0 && !worker->runtime.engine) r = wisp_worker_start_engine(worker, edition->program.component, err);
    if (r == 0) r = wisp_program_link(&edition->program, &worker->runtime, err);
    if (r < 0) {
        edition_free(edition);
        return r;
    }
    edition->http_handler = wisp_program_entry(&edition->program, WISP_PROGRAM_HTTP, NULL);
    *ret_edition = edition;
    return 0;
}

/* --- tenants --- */

struct wisp_tenant *wisp_tenant_find(struct wisp_worker *worker, struct wisp_str id)
{
    struct wisp_tenant *tenant = wisp_map_get(&worker->tenants_by_id, id);
    return tenant && !tenant->is_removed ? tenant : NULL;
}

static struct wisp_tenant *tenant_new(struct wisp_worker *worker, struct wisp_str id, uint32_t slot)
{
    struct wisp_tenant *tenant = wisp_mem_calloc(1, sizeof *tenant);
    tenant->worker = worker;
    tenant->id = wisp_mem_dup(id);
    tenant->slot = slot;
    tenant->counters = wisp_shared_mine(worker->shared, slot);
    wisp_ring_init(&tenant->queue);
    wisp_ring_append(&worker->tenants, &tenant->all);
    wisp_map_add(&worker->tenants_by_id, wisp_str_from(tenant->id), tenant);
    return tenant;
}

void wisp_tenant_forget_pending(struct wisp_tenant *tenant)
{
    struct wisp_tenant_pending *pending = &tenant->pending;
    wisp_ring_remove(&pending->loading);
    wisp_terms_unref(WISP_TAKE(pending->terms));
    free(WISP_TAKE(pending->path));
}

static void tenant_free(struct wisp_tenant *tenant)
{
    struct wisp_worker *worker = tenant->worker;
    wisp_report_flush(tenant);
    wisp_tenant_forget_pending(tenant);
    if (wisp_map_get(&worker->tenants_by_id, wisp_str_from(tenant->id)) == tenant)
        wisp_map_remove(&worker->tenants_by_id, wisp_str_from(tenant->id));
    wisp_ring_remove(&tenant->all);
    wisp_terms_unref(tenant->terms);
    free(tenant->id);
    free(tenant);
}

int wisp_tenant_get(struct wisp_worker *worker, struct wisp_str id, uint32_t slot, struct wisp_tenant **ret_tenant,
                    struct wisp_err *err)
{
    struct wisp_tenant *tenant = wisp_map_get(&worker->tenants_by_id, id);
    if (slot >= wisp_shared_n_components(worker->shared))
        return wisp_err_set(err, WISP_ERR_INVALID, "place %u of the shared memory, which has %u", slot,
                            wisp_shared_n_components(worker->shared));
    if (tenant && tenant->slot != slot && tenant->is_removed) {
        /* Its calls end in the place where they began; the one that comes back is another. */
        wisp_map_remove(&worker->tenants_by_id, id);
        tenant = NULL;
    }
    if (tenant && tenant->slot != slot)
        return wisp_err_set(err, WISP_ERR_INVALID, "it still runs in place %u of the shared memory, not %u",
                            tenant->slot, slot);
    if (!tenant) tenant = tenant_new(worker, id, slot);
    tenant->is_removed = false;
    worker->topology++;
    *ret_tenant = tenant;
    return 0;
}

void wisp_tenant_set_terms(struct wisp_tenant *tenant, struct wisp_terms *terms_taken)
{
    struct wisp_terms *before = tenant->terms;
    tenant->terms = terms_taken;
    tenant->worker->topology++;
    wisp_terms_unref(before);
    wisp_admission_retry(tenant);
}

int wisp_tenant_load(struct wisp_tenant *tenant, uint64_t generation, const char *path, struct wisp_terms *terms_taken,
                     struct wisp_err *err)
{
    struct wisp_edition *edition, *before = tenant->edition;
    int r = edition_new(&edition, tenant, generation, path, &terms_taken->limits, err);
    if (r < 0) {
        wisp_terms_unref(terms_taken);
        return r;
    }
    tenant->edition = edition;
    wisp_tenant_set_terms(tenant, terms_taken);
    wisp_edition_unref(before);
    return 0;
}

/* Those that wait still get what they came for. */
static void bind_queued(struct wisp_tenant *tenant, struct wisp_edition *edition)
{
    for (struct wisp_link *at = tenant->queue.next; at != &tenant->queue; at = at->next) {
        struct wisp_invocation *invocation = WISP_OWNER(at, struct wisp_invocation, turn);
        if (invocation->edition) continue;
        invocation->edition = edition;
        edition->n_refs++;
    }
}

void wisp_tenant_remove(struct wisp_tenant *tenant, const char *cause)
{
    struct wisp_edition *edition = WISP_TAKE(tenant->edition);
    tenant->is_removed = true;
    tenant->worker->topology++;
    wisp_tenant_forget_pending(tenant);
    if (edition) {
        wisp_remote_unserve(edition);
        bind_queued(tenant, edition);
    }
    while (!edition && tenant->n_queued)
        wisp_invocation_give_up(WISP_OWNER(tenant->queue.next, struct wisp_invocation, turn), cause);
    wisp_edition_unref(edition);
    if (!tenant->n_editions) tenant_free(tenant); /* otherwise with the last of them */
}

void wisp_tenants_collect(struct wisp_worker *worker)
{
    while (!wisp_ring_is_empty(&worker->retired)) {
        struct wisp_edition *edition = WISP_OWNER(worker->retired.next, struct wisp_edition, retired);
        struct wisp_tenant *tenant = edition->tenant;
        uint64_t generation = edition->generation;
        wisp_ring_remove(&edition->retired);
        edition_free(edition);
        wisp_hosting_on_gone(tenant, generation);
        if (tenant->is_removed && !tenant->n_editions) tenant_free(tenant);
    }
}

void wisp_tenants_deinit(struct wisp_worker *worker)
{
    for (struct wisp_link *at = worker->tenants.next; at != &worker->tenants; at = at->next)
        wisp_edition_unref(WISP_TAKE(WISP_OWNER(at, struct wisp_tenant, all)->edition));
    wisp_tenants_collect(worker);
    while (!wisp_ring_is_empty(&worker->tenants))
        tenant_free(WISP_OWNER(worker->tenants.next, struct wisp_tenant, all));
    wisp_map_deinit(&worker->tenants_by_id);
}
