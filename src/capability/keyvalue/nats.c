/* SPDX-License-Identifier: Apache-2.0 */
/* NATS KV, of a cluster of its own or of the lattice's bus. When the latter has no JetStream, as the embedded one, and
 * no cluster was asked for, keys and values go to a file, so that what was written for NATS runs without it. */
#include "capability/nats.h"
#include "base/log.h"
#include "base/ring.h"
#include "capability/keyvalue/nats_store.h"
#include "capability/keyvalue/nats_watch.h"
#include "capability/keyvalue/sqlite_watch.h"
#include "capability/kinds.h"

#include <stdlib.h>

struct state {
    struct wisp_keyvalue_kind kind;
    struct wisp_keyvalue_sqlite *fallback; /* made when first needed */
};

/* A call that waits until it is known where keys and values are. */
struct held {
    struct wisp_link place; /* in its link's ring */
    struct wisp_provider_call *call;
    enum wisp_keyvalue_verb verb;
    const void *args;
};

struct link_state {
    struct wisp_provider *provider;
    struct wisp_nats_connection own; /* bus NULL: the lattice's */
    struct wisp_keyvalue_nats *store;
    char *bucket; /* as set; NULL: the component's */
    bool may_fall_back, is_undecided, uses_fallback, is_watching;
    struct wisp_bus_watch watch;        /* for those that were undecided */
    struct wisp_provider_link *watched; /* a component is told of changes; NULL: none, or another worker does it */
    struct wisp_nats_watch *keys;       /* of it */
    struct wisp_sqlite_watch *file_keys;
    struct wisp_link held;
    uv_timer_t timer; /* for those */
};

/* --- calls --- */

static void run_fallback(const struct link_state *link, struct wisp_provider_call *call, enum wisp_keyvalue_verb verb,
                         const void *args)
{
    const struct state *state = call->provider->state;
    if (link->bucket) {
        /* Every argument struct begins with the bucket. */
        void *copy = wisp_arena_alloc(call->arena, call->func->args_size);
        memcpy(copy, args, call->func->args_size);
        *(struct wisp_str *)copy = wisp_str_from(link->bucket);
        args = copy;
    }
    wisp_keyvalue_sqlite_run(state->fallback, call, verb, args);
}

static void let_go(struct held *held)
{
    wisp_ring_remove(&held->place);
    held->call->on_cancel = NULL;
}

static void on_cancel(struct wisp_provider_call *call)
{
    let_go(call->user);
    wisp_keyvalue_fail_cancelled(call);
}

static void on_late(uv_timer_t *timer)
{
    struct link_state *link = timer->data;
    while (!wisp_ring_is_empty(&link->held)) {
        struct held *held = WISP_OWNER(link->held.next, struct held, place);
        let_go(held);
        wisp_keyvalue_fail(held->call, WISP_KEYVALUE_OTHER, "the bus of the lattice can't be reached");
    }
}

static void hold(struct link_state *link, struct wisp_provider_call *call, enum wisp_keyvalue_verb verb,
                 const void *args)
{
    struct held *held = WISP_NEW(call->arena, struct held);
    *held = (struct held){.call = call, .verb = verb, .args = args};
    if (wisp_ring_is_empty(&link->held)) uv_timer_start(&link->timer, on_late, WISP_KEYVALUE_WAIT_MS, 0);
    wisp_ring_append(&link->held, &held->place);
    call->user = held;
    call->on_cancel = on_cancel;
}

static void run(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const void *args)
{
    struct link_state *link = call->link->state;
    if (link->is_undecided)
        hold(link, call, verb, args);
    else if (link->uses_fallback)
        run_fallback(link, call, verb, args);
    else
        wisp_keyvalue_nats_run(link->store, call, verb, args);
}

/* --- where --- */

static bool fall_back(struct link_state *link)
{
    struct state *state = link->provider->state;
    struct wisp_err err = {0};
    int r =
        state->fallback ? 0 : wisp_keyvalue_sqlite_open_default(&state->fallback, link->provider, "keyvalue.db", &err);
    WISP_LOG(WARN, "keyvalue", "the bus has no JetStream and no `cluster_uri` is set: a file takes its place",
             WISP_BYTES("provider", link->provider->id), WISP_TEXT("error", err.text));
    return r == 0;
}

static int start_watching(struct link_state *link, struct wisp_err *err)
{
    const struct state *state = link->provider->state;
    if (!link->watched) return 0;
    if (link->uses_fallback) return wisp_sqlite_watch_new(&link->file_keys, link->watched, state->fallback, err);
    return wisp_nats_watch_new(&link->keys, link->watched, link->own.bus ? link->own.bus : link->provider->bus, err);
}

/* Once the bus is connected it is known what it has. */
static void decide(struct link_state *link)
{
    struct wisp_err err = {0};
    link->is_undecided = false;
    link->uses_fallback = !wisp_bus_client_has_jetstream(link->provider->bus) && fall_back(link);
    if (start_watching(link, &err) < 0)
        WISP_LOG(WARN, "keyvalue", "keys can't be watched", WISP_BYTES("provider", link->provider->id),
                 WISP_TEXT("error", err.text));
    while (!wisp_ring_is_empty(&link->held)) {
        struct held *held = WISP_OWNER(link->held.next, struct held, place);
        let_go(held);
        run(held->call, held->verb, held->args);
    }
    uv_timer_stop(&link->timer);
}

static void on_bus_state(enum wisp_bus_state bus_state, const struct wisp_err *reason, void *env)
{
    struct link_state *link = env;
    (void)reason;
    if (bus_state == WISP_BUS_CONNECTED && link->is_undecided) decide(link);
}

/* --- links --- */

static void on_timer_closed(uv_handle_t *handle) { free(handle->data); }

static void free_link(struct link_state *link)
{
    if (link->is_watching) wisp_bus_client_unwatch(link->provider->bus, &link->watch);
    wisp_nats_watch_free(link->keys);
    wisp_sqlite_watch_free(link->file_keys);
    wisp_keyvalue_nats_free(link->store);
    wisp_nats_disconnect(&link->own);
    free(WISP_TAKE(link->bucket));
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

static int find_bus(struct link_state *link, const struct wisp_settings *settings, struct wisp_err *err)
{
    if (wisp_settings_get(settings, "cluster_uri").len)
        return wisp_nats_connect(&link->own, link->provider->loop, settings, "wisp keyvalue-nats", err);
    link->may_fall_back = !wisp_settings_get(settings, "js_domain").len;
    if (link->provider->bus) return 0;
    if (!link->may_fall_back || !fall_back(link))
        return wisp_err_set(err, WISP_ERR_INVALID, "there is no bus: `cluster_uri` is missing");
    link->uses_fallback = true;
    return 0;
}

static int make_store(struct link_state *link, const struct wisp_settings *settings, struct wisp_err *err)
{
    struct wisp_keyvalue_nats_options options = {
        .bus = link->own.bus ? link->own.bus : link->provider->bus,
        .js_domain = wisp_settings_get(settings, "js_domain"),
        .bucket = wisp_settings_get(settings, "bucket"),
    };
    /* Who says nothing at all wants something that works. */
    bool is_plain = !link->own.bus && !options.bucket.len;
    int r = wisp_settings_bool(settings, "enable_bucket_auto_create", is_plain, &options.is_made, err);
    if (r < 0) return r;
    if (options.bucket.len) link->bucket = wisp_mem_dup(options.bucket);
    return link->uses_fallback ? 0 : wisp_keyvalue_nats_new(&link->store, link->provider->loop, &options, err);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    bool is_watched = link->is_source && wisp_provider_link_has(link, "watcher");
    int r = is_watched ? 0 : wisp_keyvalue_check_link(link, err);
    if (r < 0) return r;
    struct link_state *state = wisp_mem_calloc(1, sizeof *state);
    state->provider = provider;
    if (is_watched && provider->is_first) state->watched = link;
    state->own = WISP_NATS_NO_CONNECTION;
    wisp_ring_init(&state->held);
    uv_timer_init(provider->loop, &state->timer);
    state->timer.data = state;
    r = find_bus(state, &link->settings, err);
    if (r == 0) r = make_store(state, &link->settings, err);
    bool is_decided = state->own.bus || state->uses_fallback || !state->may_fall_back;
    if (r == 0 && is_decided) r = start_watching(state, err);
    if (r < 0) {
        free_link(state);
        return r;
    }
    link->state = state;
    if (is_decided) return 0;
    if (wisp_bus_client_state(provider->bus) == WISP_BUS_CONNECTED) {
        decide(state);
        return 0;
    }
    state->is_undecided = state->is_watching = true;
    state->watch = (struct wisp_bus_watch){.on_state = on_bus_state, .env = state};
    wisp_bus_client_watch(provider->bus, &state->watch);
    return 0;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    (void)provider;
    free_link(WISP_TAKE(link->state));
}

/* --- life --- */

static int open_kind(struct wisp_provider *provider, struct wisp_err *err)
{
    (void)err;
    struct state *state = wisp_mem_calloc(1, sizeof *state);
    state->kind.run = run;
    provider->state = state;
    return 0;
}

static void close_kind(struct wisp_provider *provider)
{
    struct state *state = WISP_TAKE(provider->state);
    wisp_keyvalue_sqlite_close(state->fallback);
    free(state);
}

static const struct wisp_provider_interface *const imports[] = {&wisp_keyvalue_watcher};

const struct wisp_provider_kind wisp_keyvalue_nats = {
    .name = "keyvalue-nats",
    .about = "NATS KV: buckets of JetStream; without JetStream a file of this host",
    .exports = wisp_keyvalue_exports,
    .n_exports = WISP_KEYVALUE_EXPORT_COUNT,
    .imports = imports,
    .n_imports = WISP_COUNT(imports),
    .open = open_kind,
    .close = close_kind,
    .put_link = put_link,
    .del_link = del_link,
};
