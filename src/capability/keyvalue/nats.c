/* SPDX-License-Identifier: Apache-2.0 */
/* NATS KV, of a cluster of its own or of the lattice's bus. When the latter has no JetStream, as the embedded one, and
 * no cluster was asked for, keys and values go to a file, so that what was written for NATS runs without it. */
#include "base/log.h"
#include "base/ring.h"
#include "capability/keyvalue/nats_store.h"
#include "capability/keyvalue/sqlite.h"
#include "capability/kinds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { URLS_MAX = 32 };

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
    struct wisp_bus_client *own; /* NULL: the lattice's bus */
    int ca_fd;                   /* `tls_ca` as a file; -1: none */
    struct wisp_keyvalue_nats *store;
    char *bucket; /* as set; NULL: the component's */
    bool may_fall_back, is_undecided, uses_fallback, is_watching;
    struct wisp_bus_watch watch; /* for those that were undecided */
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

/* Once the bus is connected it is known what it has. */
static void decide(struct link_state *link)
{
    link->is_undecided = false;
    link->uses_fallback = !wisp_bus_client_has_jetstream(link->provider->bus) && fall_back(link);
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

/* --- a cluster of its own --- */

/* The client takes files only. */
static int keep_ca(struct link_state *link, struct wisp_str pem, char path[64], struct wisp_err *err)
{
    link->ca_fd = memfd_create("tls_ca", MFD_CLOEXEC);
    if (link->ca_fd < 0 || write(link->ca_fd, pem.ptr, pem.len) != (ssize_t)pem.len)
        return wisp_err_os(err, errno, "`tls_ca`");
    snprintf(path, 64, "/proc/self/fd/%d", link->ca_fd);
    return 0;
}

static size_t split_urls(struct wisp_str list, struct wisp_arena *arena, const char *urls[URLS_MAX])
{
    size_t n = 0;
    for (bool is_more = true; is_more && n < URLS_MAX;) {
        struct wisp_str url = list, rest = {0};
        is_more = wisp_str_split(list, ',', &url, &rest);
        list = rest;
        while (url.len && url.ptr[0] == ' ') url.ptr++, url.len--;
        while (url.len && url.ptr[url.len - 1] == ' ') url.len--;
        if (url.len) urls[n++] = wisp_arena_cstr(arena, url);
    }
    return n;
}

static const char *text_of(const struct wisp_settings *settings, const char *key, struct wisp_arena *arena)
{
    struct wisp_str value = wisp_settings_get(settings, key);
    return value.len ? wisp_arena_cstr(arena, value) : NULL;
}

static int connect_own(struct link_state *link, const struct wisp_settings *settings, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const char *urls[URLS_MAX];
    char ca_path[64];
    struct wisp_str ca = wisp_settings_get(settings, "tls_ca");
    struct wisp_bus_client_options options = {
        .urls = urls,
        .n_urls = split_urls(wisp_settings_get(settings, "cluster_uri"), &arena, urls),
        .name = "wisp keyvalue-nats",
        .jwt = text_of(settings, "client_jwt", &arena),
        .seed = text_of(settings, "client_seed", &arena),
        .tls.ca_path = text_of(settings, "tls_ca_file", &arena),
    };
    if (options.jwt && !options.seed) return wisp_err_set(err, WISP_ERR_INVALID, "`client_jwt` needs `client_seed`");
    if (ca.len) {
        int r = keep_ca(link, ca, ca_path, err);
        if (r < 0) return r;
        options.tls.ca_path = ca_path;
    }
    options.tls.is_required = options.tls.ca_path != NULL;
    int r = wisp_bus_client_new(&link->own, link->provider->loop, &options, err);
    return r < 0 ? wisp_err_wrap(err, "`cluster_uri`") : 0;
}

/* --- links --- */

static void on_timer_closed(uv_handle_t *handle) { free(handle->data); }

static void free_link(struct link_state *link)
{
    if (link->is_watching) wisp_bus_client_unwatch(link->provider->bus, &link->watch);
    wisp_keyvalue_nats_free(link->store);
    wisp_bus_client_free(link->own);
    if (link->ca_fd >= 0) close(link->ca_fd);
    free(WISP_TAKE(link->bucket));
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

static int find_bus(struct link_state *link, const struct wisp_settings *settings, struct wisp_err *err)
{
    if (wisp_settings_get(settings, "cluster_uri").len) return connect_own(link, settings, err);
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
        .bus = link->own ? link->own : link->provider->bus,
        .js_domain = wisp_settings_get(settings, "js_domain"),
        .bucket = wisp_settings_get(settings, "bucket"),
    };
    /* Who says nothing at all wants something that works. */
    bool is_plain = !link->own && !options.bucket.len;
    int r = wisp_settings_bool(settings, "enable_bucket_auto_create", is_plain, &options.is_made, err);
    if (r < 0) return r;
    if (options.bucket.len) link->bucket = wisp_mem_dup(options.bucket);
    return link->uses_fallback ? 0 : wisp_keyvalue_nats_new(&link->store, link->provider->loop, &options, err);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    int r = wisp_keyvalue_check_link(link, err);
    if (r < 0) return r;
    struct link_state *state = wisp_mem_calloc(1, sizeof *state);
    state->provider = provider;
    state->ca_fd = -1;
    wisp_ring_init(&state->held);
    uv_timer_init(provider->loop, &state->timer);
    state->timer.data = state;
    r = find_bus(state, &link->settings, err);
    if (r == 0) r = make_store(state, &link->settings, err);
    if (r < 0) {
        free_link(state);
        return r;
    }
    link->state = state;
    if (state->own || state->uses_fallback || !state->may_fall_back) return 0;
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

const struct wisp_provider_kind wisp_keyvalue_nats = {
    .name = "keyvalue-nats",
    .about = "NATS KV: buckets of JetStream; without JetStream a file of this host",
    .exports = wisp_keyvalue_exports,
    .n_exports = WISP_KEYVALUE_EXPORT_COUNT,
    .open = open_kind,
    .close = close_kind,
    .put_link = put_link,
    .del_link = del_link,
};
