/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/sqlite.h"
#include "capability/keyvalue/sqlite_watch.h"
#include "capability/kinds.h"

#include <stdlib.h>

struct state {
    struct wisp_keyvalue_kind kind;
    struct wisp_keyvalue_sqlite *store;
};

struct link_state {
    struct wisp_keyvalue_sqlite *own; /* NULL: the provider's store */
    struct wisp_sqlite_watch *watch;  /* of a link to a component; NULL: none, or another worker does it */
};

/* A link with a `path` of its own has a store of its own. */
static void run(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const void *args)
{
    const struct state *state = call->provider->state;
    const struct link_state *link = call->link->state;
    wisp_keyvalue_sqlite_run(link->own ? link->own : state->store, call, verb, args);
}

/* *ret_store is NULL when no path is set. */
static int open_path(const struct wisp_settings *settings, uv_loop_t *loop, struct wisp_keyvalue_sqlite **ret_store,
                     struct wisp_err *err)
{
    struct wisp_str path = wisp_settings_get(settings, "path");
    *ret_store = NULL;
    if (!path.len) return 0;
    if (path.ptr[0] != '/' || memchr(path.ptr, '\0', path.len))
        return wisp_err_set(err, WISP_ERR_INVALID, "`path` must be the absolute path of a file");
    WISP_CLEANUP_FREE char *text = wisp_mem_dup(path);
    return wisp_keyvalue_sqlite_open(ret_store, loop, text, err);
}

static int open_kind(struct wisp_provider *provider, struct wisp_err *err)
{
    struct state *state = wisp_mem_calloc(1, sizeof *state);
    state->kind.run = run;
    int r = open_path(&provider->settings, provider->loop, &state->store, err);
    if (r == 0 && !state->store) r = wisp_keyvalue_sqlite_open_default(&state->store, provider, "keyvalue.db", err);
    if (r < 0)
        free(state);
    else
        provider->state = state;
    return r;
}

static void close_kind(struct wisp_provider *provider)
{
    struct state *state = WISP_TAKE(provider->state);
    wisp_keyvalue_sqlite_close(state->store);
    free(state);
}

static void free_link(struct link_state *state)
{
    wisp_sqlite_watch_free(state->watch);
    wisp_keyvalue_sqlite_close(state->own);
    free(state);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    const struct state *kept = provider->state;
    bool is_watched = link->is_source && wisp_provider_link_has(link, "watcher");
    int r = is_watched ? 0 : wisp_keyvalue_check_link(link, err);
    if (r < 0) return r;
    struct link_state *state = wisp_mem_calloc(1, sizeof *state);
    r = open_path(&link->own, provider->loop, &state->own, err);
    if (r == 0 && is_watched && provider->is_first)
        r = wisp_sqlite_watch_new(&state->watch, link, state->own ? state->own : kept->store, err);
    if (r < 0)
        free_link(state);
    else
        link->state = state;
    return r;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    (void)provider;
    free_link(WISP_TAKE(link->state));
}

static const struct wisp_provider_interface *const imports[] = {&wisp_keyvalue_watcher};

const struct wisp_provider_kind wisp_keyvalue_sqlite = {
    .name = "keyvalue-sqlite",
    .about = "SQLite: a file of this host, shared by its workers; buckets separate keys",
    .exports = wisp_keyvalue_exports,
    .n_exports = WISP_KEYVALUE_EXPORT_COUNT,
    .imports = imports,
    .n_imports = WISP_COUNT(imports),
    .open = open_kind,
    .close = close_kind,
    .put_link = put_link,
    .del_link = del_link,
};
