/* SPDX-License-Identifier: Apache-2.0 */
/* A worker of a host: orders come in, news goes out, other workers give places, and one day the parent is gone. */
#include "base/log.h"
#include "worker/builtin.h"
#include "worker/entrance.h"
#include "worker/handover.h"
#include "worker/observer.h"
#include "worker/remote.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    LOADING_NS = 5 * 1000 * 1000, /* after it the loop looks for requests again */
    UNSENT_MAX = 1 << 20,         /* news that the control process didn't take yet, before some is held back */
};

struct wisp_hosting {
    struct wisp_orders *orders; /* NULL: their end has come */
    struct wisp_handover *handover;
    uv_poll_t wake;
    uv_timer_t grace;
    bool has_wake, is_orphaned;
};

/* --- news --- */

void wisp_hosting_tell(struct wisp_worker *worker, json_t *news_taken)
{
    if (worker->hosting && worker->hosting->orders)
        wisp_orders_send(worker->hosting->orders, news_taken, -1);
    else
        json_decref(news_taken);
}

bool wisp_hosting_may_tell_more(const struct wisp_worker *worker)
{
    const struct wisp_orders *orders = worker->hosting ? worker->hosting->orders : NULL;
    return orders && wisp_orders_unsent(orders) < UNSENT_MAX;
}

static json_t *about(const char *what, struct wisp_str id, uint64_t generation)
{
    return json_pack("{s:s, s:o, s:I}", "is", what, "id", wisp_json_text(id), "generation", (json_int_t)generation);
}

static void add_failure(json_t *news, const struct wisp_err *err)
{
    json_object_set_new(news, "kind", json_string(wisp_err_name(err->kind)));
    json_object_set_new(news, "text", wisp_json_text(wisp_str_from(err->text)));
}

static void tell_failed(struct wisp_worker *worker, struct wisp_str id, uint64_t generation, const struct wisp_err *err)
{
    json_t *news = about("component-failed", id, generation);
    add_failure(news, err);
    wisp_hosting_tell(worker, news);
}

void wisp_hosting_on_ready(struct wisp_worker *worker, struct wisp_str id, uint64_t generation)
{
    wisp_hosting_tell(worker, about("component-ready", id, generation));
}

void wisp_hosting_on_gone(struct wisp_tenant *tenant, uint64_t generation)
{
    wisp_hosting_tell(tenant->worker, about("component-gone", wisp_str_from(tenant->id), generation));
}

/* --- components --- */

static void expect(struct wisp_tenant *tenant, uint64_t generation, struct wisp_str path, struct wisp_terms *terms)
{
    struct wisp_tenant_pending *pending = &tenant->pending;
    wisp_tenant_forget_pending(tenant);
    pending->generation = generation;
    pending->path = wisp_mem_dup(path);
    pending->terms = terms;
    wisp_ring_append(&tenant->worker->loading, &pending->loading);
    wisp_worker_stay_awake(tenant->worker);
    /* Calls may come before the code is there, and wait for it. */
    if (!tenant->terms) wisp_tenant_set_terms(tenant, wisp_terms_ref(terms));
}

static int take_component(struct wisp_worker *worker, const json_t *order, struct wisp_str id, uint64_t generation,
                          struct wisp_err *err)
{
    struct wisp_str path = wisp_json_str(order, "path");
    uint64_t slot = wisp_json_u64(order, "slot", UINT32_MAX);
    if (!id.len || !path.len || slot >= UINT32_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "an order without id, path or slot");
    struct wisp_terms *terms;
    int r = wisp_terms_from_order(&terms, worker, order, err);
    if (r < 0) return r;
    struct wisp_tenant *tenant;
    r = wisp_tenant_get(worker, id, (uint32_t)slot, &tenant, err);
    if (r < 0) {
        wisp_terms_unref(terms);
        return r;
    }
    if (!tenant->edition || tenant->edition->generation != generation) {
        expect(tenant, generation, path, terms);
        return 0;
    }
    wisp_tenant_forget_pending(tenant);
    wisp_tenant_set_terms(tenant, terms);
    wisp_hosting_on_ready(worker, id, generation);
    return 0;
}

static void on_component(struct wisp_worker *worker, const json_t *order)
{
    struct wisp_err err = {0};
    struct wisp_str id = wisp_json_str(order, "id");
    uint64_t generation = wisp_json_u64(order, "generation", 0);
    if (take_component(worker, order, id, generation, &err) < 0) tell_failed(worker, id, generation, &err);
}

static void load(struct wisp_tenant *tenant)
{
    struct wisp_worker *worker = tenant->worker;
    struct wisp_tenant_pending *pending = &tenant->pending;
    uint64_t generation = pending->generation;
    WISP_CLEANUP_FREE char *path = WISP_TAKE(pending->path);
    struct wisp_terms *terms = WISP_TAKE(pending->terms);
    struct wisp_str id = wisp_str_from(tenant->id);
    struct wisp_err err = {0};
    wisp_ring_remove(&pending->loading);
    struct wisp_edition *before = tenant->edition;
    int r = wisp_tenant_load(tenant, generation, path, terms, &err);
    if (r == 0) {
        /* First the new one asks for calls, then the old one no more. */
        wisp_remote_serve(tenant->edition);
        if (before) wisp_remote_unserve(before);
    } else if (r == -WISP_ERR_UNAVAILABLE) {
        wisp_hosting_tell(worker, about("component-uncached", id, generation));
    } else {
        tell_failed(worker, id, generation, &err);
        if (!tenant->edition) wisp_tenant_remove(tenant, "the component can't be run");
    }
}

void wisp_hosting_load_some(struct wisp_worker *worker)
{
    uint64_t start_ns = uv_hrtime();
    while (!wisp_ring_is_empty(&worker->loading) && uv_hrtime() - start_ns < LOADING_NS)
        load(WISP_OWNER(worker->loading.next, struct wisp_tenant, pending.loading));
}

static void on_remove(struct wisp_worker *worker, const json_t *order)
{
    struct wisp_tenant *tenant = wisp_tenant_find(worker, wisp_json_str(order, "id"));
    if (tenant) wisp_tenant_remove(tenant, "the component was removed");
}

/* --- sockets --- */

static void on_listen(struct wisp_worker *worker, const json_t *order, int fd)
{
    struct wisp_str address = wisp_json_str(order, "address");
    struct wisp_entrance *entrance;
    struct wisp_err err = {0};
    int r = fd < 0 ? wisp_err_set(&err, WISP_ERR_INVALID, "no socket came with it") : 0;
    if (r == 0) r = wisp_entrance_get(worker, address, &entrance, &err);
    if (r == 0) r = wisp_entrance_listen(entrance, WISP_TAKE_FD(fd), &err);
    if (fd >= 0) close(fd);
    json_t *news =
        json_pack("{s:s, s:o}", "is", r < 0 ? "listen-failed" : "listening", "address", wisp_json_text(address));
    if (r < 0) add_failure(news, &err);
    wisp_hosting_tell(worker, news);
}

static void on_unlisten(struct wisp_worker *worker, const json_t *order)
{
    for (struct wisp_entrance *at = worker->entrances; at; at = at->next)
        if (wisp_str_is(wisp_json_str(order, "address"), at->address))
            wisp_entrance_unlisten(at, wisp_worker_drain_ms(worker));
}

static void on_log(int fd)
{
    if (fd < 0) return;
    (void)dup2(fd, STDERR_FILENO);
    close(fd);
}

/* --- orders --- */

static void on_routes(struct wisp_worker *worker, const json_t *order)
{
    wisp_entrances_set_routes(worker, json_object_get(order, "routes"));
}

static void on_drain(struct wisp_worker *worker, const json_t *order)
{
    (void)order;
    wisp_worker_drain(worker);
}

/* Those that come without a descriptor. */
static void on_plain_order(struct wisp_worker *worker, const json_t *order)
{
    static const struct {
        const char *what;
        void (*on_order)(struct wisp_worker *worker, const json_t *order);
    } all[] = {
        {"component", on_component},
        {"remove", on_remove},
        {"provider", wisp_builtin_on_order},
        {"provider-remove", wisp_builtin_on_remove},
        {"unlisten", on_unlisten},
        {"routes", on_routes},
        {"drain", on_drain},
    };
    struct wisp_str what = wisp_json_str(order, "do");
    for (size_t i = 0; i < WISP_COUNT(all); i++) {
        if (!wisp_str_is(what, all[i].what)) continue;
        all[i].on_order(worker, order);
        return;
    }
    WISP_LOG(WARN, "worker", "unknown order", WISP_BYTES("do", what));
}

static void on_order(struct wisp_orders *orders, const json_t *order, int fd, void *env)
{
    (void)orders;
    struct wisp_worker *worker = env;
    struct wisp_str what = wisp_json_str(order, "do");
    if (worker->is_stopping) {
        if (fd >= 0) close(fd);
    } else if (wisp_str_is(what, "listen")) {
        on_listen(worker, order, fd);
    } else if (wisp_str_is(what, "log")) {
        on_log(fd);
    } else {
        if (fd >= 0) close(fd);
        on_plain_order(worker, order);
    }
}

static void on_orders_closed(struct wisp_orders *orders, const struct wisp_err *err, void *env)
{
    struct wisp_worker *worker = env;
    if (err->kind) WISP_LOG(ERROR, "worker", "broken orders", WISP_TEXT("cause", err->text));
    worker->hosting->orders = NULL;
    wisp_orders_free(orders);
    wisp_hosting_on_orphaned(worker);
}

/* --- the parent is gone --- */

static void on_grace_over(uv_timer_t *timer)
{
    WISP_LOG(INFO, "worker", "nobody took over: finishing what is in flight");
    wisp_worker_drain(timer->data);
}

void wisp_hosting_on_orphaned(struct wisp_worker *worker)
{
    struct wisp_hosting *hosting = worker->hosting;
    uint32_t grace_ms = worker->options->host->grace_ms;
    if (hosting->is_orphaned || worker->are_handles_closed) return;
    hosting->is_orphaned = true;
    if (!grace_ms) {
        wisp_worker_stop_hard(worker);
        return;
    }
    if (worker->is_stopping) return;
    WISP_LOG(WARN, "worker", "the control process is gone, serving on for a while", WISP_INT("ms", grace_ms));
    uv_timer_start(&hosting->grace, on_grace_over, grace_ms, 0);
}

static void on_handover(struct wisp_handover *handover, void *env)
{
    const struct wisp_worker *worker = env;
    for (const struct wisp_entrance *at = worker->entrances; at; at = at->next)
        for (size_t i = 0; i < at->n_fds; i++) wisp_handover_give(handover, at->address, at->fds[i]);
}

static void on_handover_drain(void *env)
{
    struct wisp_worker *worker = env;
    worker->has_successors = true;
    wisp_worker_drain(worker);
}

/* --- other workers --- */

static void on_wake(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    struct wisp_worker *worker = poll->data;
    uint64_t count;
    ssize_t n = read(wisp_shared_wake_fd(worker->shared), &count, sizeof count);
    (void)n;
    wisp_admission_on_wake(worker);
}

/* --- life --- */

static int open_shared(struct wisp_worker *worker, struct wisp_err *err)
{
    const struct wisp_worker_host *host = worker->options->host;
    if (host->n_shared_fds < 2 || host->index >= host->n_shared_fds - 1)
        return wisp_err_set(err, WISP_ERR_INVALID, "worker %u of %u", host->index, host->n_shared_fds);
    int r = wisp_shared_open(&worker->shared, host->shared_fds, host->n_shared_fds, host->index, err);
    if (r == 0)
        worker->n_running = wisp_mem_calloc(wisp_shared_n_components(worker->shared), sizeof *worker->n_running);
    return r;
}

static int start_engine(struct wisp_worker *worker, struct wisp_err *err)
{
    const struct wisp_worker_host *host = worker->options->host;
    uint32_t wanted = host->instances_max ? host->instances_max : WISP_WORKER_INSTANCES_MAX;
    /* A quarter more, for components that others call. */
    const struct wisp_wasm_engine_options engine = {
        .instances_max = wanted + wanted / 4 + 1,
        .processes = worker->options->n_workers,
        .memory_bytes_max = host->memory_bytes_max,
        .cache_dir = worker->options->cache_dir,
    };
    int r = wisp_runtime_start_for_many(&worker->runtime, &engine, err);
    if (r < 0) return r;
    worker->places_max = worker->runtime.instances_max - worker->runtime.instances_max / 5;
    if (wisp_wasm_engine_is_reduced(worker->runtime.engine))
        WISP_LOG(WARN, "worker", "this machine has less room for instances than asked for",
                 WISP_INT("asked", engine.instances_max), WISP_INT("instances", worker->runtime.instances_max),
                 WISP_TEXT("allocation", wisp_wasm_engine_allocation(worker->runtime.engine)));
    return 0;
}

int wisp_hosting_start(struct wisp_worker *worker, struct wisp_err *err)
{
    static const struct wisp_orders_handler orders_handler = {on_order, on_orders_closed};
    static const struct wisp_handover_handler handover_handler = {on_handover, on_handover_drain};
    const struct wisp_worker_host *host = worker->options->host;
    struct wisp_hosting *hosting = worker->hosting = wisp_mem_calloc(1, sizeof *hosting);
    uv_timer_init(&worker->loop, &hosting->grace);
    hosting->grace.data = hosting->wake.data = worker;
    int r = wisp_orders_new(&hosting->orders, &worker->loop, host->orders_fd, &orders_handler, worker, err);
    if (r == 0) r = open_shared(worker, err);
    if (r == 0) r = start_engine(worker, err);
    if (r == 0 && host->handover_dir)
        r = wisp_handover_new(&hosting->handover, &worker->loop, host->handover_dir, &handover_handler, worker, err);
    if (r == 0) r = wisp_remote_start(worker, err);
    if (r < 0) return r;
    uv_poll_init(&worker->loop, &hosting->wake, wisp_shared_wake_fd(worker->shared));
    uv_poll_start(&hosting->wake, UV_READABLE, on_wake);
    hosting->has_wake = true;
    wisp_observer_start(worker);
    wisp_hosting_tell(worker, json_pack("{s:s}", "is", "ready"));
    return 0;
}

void wisp_hosting_close(struct wisp_worker *worker)
{
    struct wisp_hosting *hosting = worker->hosting;
    if (!hosting) return;
    uv_close((uv_handle_t *)&hosting->grace, NULL);
    if (hosting->has_wake) uv_close((uv_handle_t *)&hosting->wake, NULL);
    wisp_handover_free(WISP_TAKE(hosting->handover));
    wisp_observer_stop(worker);
    wisp_orders_free(WISP_TAKE(hosting->orders));
}

void wisp_hosting_free(struct wisp_worker *worker)
{
    wisp_observer_free(worker);
    free(worker->hosting);
    worker->hosting = NULL;
}
