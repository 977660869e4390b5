/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/builtin.h"

#include "base/log.h"
#include "capability/capability.h"
#include "worker/remote.h"
#include "worker/world.h"

#include <stdlib.h>

enum { ID_SIZE_MAX = 256, LINKS_MAX = 100000 };

/* --- reading orders --- */

static bool is_object(const json_t *value) { return !value || json_is_object(value); }

static int read_name(struct wisp_str *ret_name, const json_t *json, const char *key, struct wisp_err *err)
{
    *ret_name = wisp_json_str(json, key);
    if (!ret_name->len || ret_name->len > ID_SIZE_MAX || memchr(ret_name->ptr, '\0', ret_name->len))
        return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is missing, or no name", key);
    return 0;
}

static const json_t *member(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    return json_is_null(value) ? NULL : value;
}

static int read_links(struct wisp_builtin_order *order, const json_t *json, struct wisp_err *err)
{
    order->links = member(json, "links");
    if (order->links && !json_is_array(order->links)) return wisp_err_set(err, WISP_ERR_INVALID, "`links` is no list");
    if (json_array_size(order->links) > LINKS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "it has more than %d links", LINKS_MAX);
    for (size_t i = 0; i < json_array_size(order->links); i++)
        if (!json_is_object(json_array_get(order->links, i)))
            return wisp_err_set(err, WISP_ERR_INVALID, "link %zu is no object", i);
    return 0;
}

int wisp_builtin_order_read(struct wisp_builtin_order *ret_order, const json_t *json, struct wisp_err *err)
{
    struct wisp_builtin_order order = {.config = member(json, "config"),
                                       .secrets = member(json, "secrets"),
                                       .data_path = wisp_json_str(json, "data_path")};
    int r = read_name(&order.id, json, "id", err);
    if (r == 0) r = read_name(&order.kind, json, "kind", err);
    if (r == 0 && !is_object(order.config)) r = wisp_err_set(err, WISP_ERR_INVALID, "`config` is no object");
    if (r == 0 && !is_object(order.secrets)) r = wisp_err_set(err, WISP_ERR_INVALID, "`secrets` is no object");
    if (r == 0 && order.data_path.len &&
        (order.data_path.ptr[0] != '/' || memchr(order.data_path.ptr, '\0', order.data_path.len)))
        r = wisp_err_set(err, WISP_ERR_INVALID, "`data_path` is no absolute path");
    if (r == 0) r = read_links(&order, json, err);
    if (r == 0) *ret_order = order;
    return r;
}

/* --- news --- */

static void tell_ready(struct wisp_worker *worker, struct wisp_str id, uint64_t generation)
{
    (void)generation;
    wisp_hosting_tell(worker, json_pack("{s:s, s:o}", "is", "provider-ready", "id", wisp_json_text(id)));
}

static void tell_failed(struct wisp_worker *worker, struct wisp_str id, const struct wisp_err *err)
{
    WISP_LOG(ERROR, "worker", "a provider can't be run", WISP_BYTES("provider", id), WISP_TEXT("cause", err->text));
    wisp_hosting_tell(worker,
                      json_pack("{s:s, s:o, s:s, s:o}", "is", "provider-failed", "id", wisp_json_text(id), "kind",
                                wisp_err_name(err->kind), "text", wisp_json_text(wisp_str_from(err->text))));
}

/* --- the end of one --- */

static void builtin_free(struct wisp_builtin *builtin)
{
    wisp_wrpc_service_free(builtin->service);
    wisp_ring_remove(&builtin->all);
    json_decref(builtin->source_links);
    free(builtin->data_path);
    free(builtin->id);
    free(builtin);
}

static void on_timer_closed(uv_handle_t *handle) { builtin_free(handle->data); }

static void on_provider_closed(void *env)
{
    struct wisp_builtin *builtin = env;
    struct wisp_worker *worker = builtin->worker;
    wisp_ring_remove(&builtin->all);
    uv_close((uv_handle_t *)&builtin->patience, on_timer_closed);
    if (worker->is_stopping) wisp_worker_settle(worker);
}

static void close_provider(struct wisp_builtin *builtin)
{
    if (builtin->is_closing) return;
    builtin->is_closing = true;
    uv_timer_stop(&builtin->patience);
    wisp_wrpc_service_free(WISP_TAKE(builtin->service));
    wisp_provider_close(builtin->provider, on_provider_closed, builtin);
}

/* Its provider may be on the stack: it is closed from the loop. */
static void on_patience(uv_timer_t *timer) { close_provider(timer->data); }

static void advance(struct wisp_builtin *builtin)
{
    if (!builtin->is_removed || builtin->is_closing || builtin->service || builtin->n_calls) return;
    uv_timer_start(&builtin->patience, on_patience, 0, 0);
}

static void on_drained(void *env)
{
    struct wisp_builtin *builtin = env;
    struct wisp_worker *worker = builtin->worker;
    wisp_wrpc_service_free(WISP_TAKE(builtin->service));
    advance(builtin);
    if (worker->is_stopping) wisp_worker_settle(worker);
}

static void drain(struct wisp_builtin *builtin)
{
    if (builtin->is_draining) return;
    builtin->is_draining = true;
    for (size_t i = 0; i < json_array_size(builtin->source_links); i++)
        wisp_provider_del_link(builtin->provider, json_array_get(builtin->source_links, i));
    if (builtin->service) wisp_wrpc_service_drain(builtin->service, on_drained, builtin);
}

/* Nobody finds it any more; what is in flight finishes, or is broken off when it takes too long. */
static void take_away(struct wisp_builtin *builtin)
{
    struct wisp_worker *worker = builtin->worker;
    if (builtin->is_removed) return;
    builtin->is_removed = true;
    wisp_map_remove(&worker->builtins_by_id, wisp_str_from(builtin->id));
    worker->topology++;
    drain(builtin);
    uv_timer_start(&builtin->patience, on_patience, wisp_worker_drain_ms(worker), 0);
    advance(builtin);
}

void wisp_builtin_release(struct wisp_builtin *builtin)
{
    builtin->n_calls--;
    advance(builtin);
}

/* --- a new one --- */

static struct wisp_builtin *builtin_new(struct wisp_worker *worker, const struct wisp_builtin_order *order)
{
    struct wisp_builtin *builtin = wisp_mem_calloc(1, sizeof *builtin);
    builtin->worker = worker;
    builtin->id = wisp_mem_dup(order->id);
    if (order->data_path.len) builtin->data_path = wisp_mem_dup(order->data_path);
    return builtin;
}

static int open_provider(struct wisp_builtin *builtin, const struct wisp_provider_kind *kind,
                         const struct wisp_builtin_order *order, struct wisp_err *err)
{
    struct wisp_worker *worker = builtin->worker;
    const struct wisp_worker_host *host = worker->options->host;
    const struct wisp_provider_options options = {
        .kind = kind,
        .id = builtin->id,
        .lattice = host->lattice,
        .host_id = host->host_id,
        .loop = &worker->loop,
        .bus = wisp_remote_bus(worker),
        .wrpc = wisp_remote_wrpc(worker),
        .bus_url = wisp_remote_bus(worker) ? wisp_bus_client_url(wisp_remote_bus(worker)) : NULL,
        .data_path = builtin->data_path,
        .is_first = host->index == 0,
        .config = order->config,
        .secrets = order->secrets,
        .world = wisp_world_of(worker),
    };
    return wisp_provider_new(&builtin->provider, &options, err);
}

/* From now on it takes calls of this worker's components; those of others once it is served. */
static void begin(struct wisp_builtin *builtin)
{
    struct wisp_worker *worker = builtin->worker;
    uv_timer_init(&worker->loop, &builtin->patience);
    builtin->patience.data = builtin;
    wisp_ring_append(&worker->builtins, &builtin->all);
    wisp_map_add(&worker->builtins_by_id, wisp_str_from(builtin->id), builtin);
    worker->topology++;
}

static int serve(struct wisp_builtin *builtin, struct wisp_err *err)
{
    struct wisp_wrpc *wrpc = wisp_remote_wrpc(builtin->worker);
    if (!wrpc) return 0;
    int r = wisp_wrpc_service_new(&builtin->service, wrpc, wisp_str_from(builtin->id), err);
    return r == 0 ? wisp_provider_serve(builtin->provider, builtin->service, err) : r;
}

/* --- changes --- */

static bool is_same(const struct wisp_builtin *builtin, const struct wisp_builtin_order *order)
{
    return wisp_str_is(order->kind, builtin->provider->kind->name) &&
           wisp_str_equal(order->data_path, wisp_str_from(builtin->data_path));
}

static json_t *without_settings(const json_t *link)
{
    static const char *const keys[] = {"source_id", "target", "name", "wit_namespace", "wit_package"};
    json_t *copy = json_object();
    for (size_t i = 0; i < WISP_COUNT(keys); i++)
        json_object_set_new(copy, keys[i], wisp_json_text(wisp_json_str(link, keys[i])));
    return copy;
}

static void set_links(struct wisp_builtin *builtin, const json_t *links)
{
    WISP_CLEANUP_JSON json_t *none = json_array();
    json_t *source_links = json_array();
    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *link = json_array_get(links, i);
        if (wisp_str_is(wisp_json_str(link, "source_id"), builtin->id))
            json_array_append_new(source_links, without_settings(link));
    }
    json_decref(builtin->source_links);
    builtin->source_links = source_links;
    wisp_provider_set_links(builtin->provider, links ? links : none);
}

static int make(struct wisp_worker *worker, const struct wisp_provider_kind *kind,
                const struct wisp_builtin_order *order, struct wisp_err *err)
{
    struct wisp_builtin *builtin = builtin_new(worker, order);
    int r = open_provider(builtin, kind, order, err);
    if (r < 0) {
        builtin_free(builtin);
        return r;
    }
    begin(builtin);
    set_links(builtin, order->links);
    r = serve(builtin, err);
    if (r < 0) take_away(builtin);
    return r;
}

static int change(struct wisp_builtin *builtin, const struct wisp_builtin_order *order, struct wisp_err *err)
{
    int r = wisp_provider_set_config(builtin->provider, order->config, order->secrets, err);
    if (r == 0) set_links(builtin, order->links);
    return r;
}

static int run(struct wisp_worker *worker, const struct wisp_builtin_order *order, struct wisp_err *err)
{
    struct wisp_builtin *before = wisp_builtin_find(worker, order->id);
    if (before && is_same(before, order)) return change(before, order, err);
    const struct wisp_provider_kind *kind = wisp_capability_find(order->kind);
    if (!kind)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "this host has no provider of the kind `%.*s`",
                            WISP_STR_ARG(order->kind));
    if (before) take_away(before);
    return make(worker, kind, order, err);
}

void wisp_builtin_on_order(struct wisp_worker *worker, const json_t *json)
{
    struct wisp_builtin_order order = {0};
    struct wisp_err err = {0};
    int r = wisp_builtin_order_read(&order, json, &err);
    if (r == 0) r = run(worker, &order, &err);
    if (r < 0)
        tell_failed(worker, wisp_json_str(json, "id"), &err);
    else
        wisp_remote_when_served(worker, tell_ready, order.id, 0);
}

void wisp_builtin_on_remove(struct wisp_worker *worker, const json_t *order)
{
    struct wisp_builtin *builtin = wisp_builtin_find(worker, wisp_json_str(order, "id"));
    if (builtin) take_away(builtin);
}

struct wisp_builtin *wisp_builtin_find(const struct wisp_worker *worker, struct wisp_str id)
{
    return wisp_map_get(&worker->builtins_by_id, id);
}

/* --- the end of all --- */

void wisp_builtins_drain(struct wisp_worker *worker)
{
    WISP_RING_EACH(at, &worker->builtins) drain(WISP_OWNER(at, struct wisp_builtin, all));
}

bool wisp_builtins_finish(struct wisp_worker *worker)
{
    WISP_RING_EACH(at, &worker->builtins)
    {
        struct wisp_builtin *builtin = WISP_OWNER(at, struct wisp_builtin, all);
        take_away(builtin);
        if (worker->is_hard) close_provider(builtin);
    }
    return wisp_ring_is_empty(&worker->builtins);
}

void wisp_builtins_deinit(struct wisp_worker *worker) { wisp_map_deinit(&worker->builtins_by_id); }
