/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/sqlite.h"
#include "capability/kinds.h"

#include <stdlib.h>

struct state {
    struct wisp_keyvalue_kind kind;
    struct wisp_keyvalue_sqlite *store;
};

/* A link with a `path` of its own has a store of its own. */
static void run(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const void *args)
{
    const struct state *state = call->provider->state;
    struct wisp_keyvalue_sqlite *own = call->link->state;
    wisp_keyvalue_sqlite_run(own ? own : state->store, call, verb, args);
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

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    int r = wisp_keyvalue_check_link(link, err);
    if (r < 0) return r;
    struct wisp_keyvalue_sqlite *store;
    r = open_path(&link->own, provider->loop, &store, err);
    if (r == 0) link->state = store;
    return r;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    (void)provider;
    wisp_keyvalue_sqlite_close(WISP_TAKE(link->state));
}

const struct wisp_provider_kind wisp_keyvalue_sqlite = {
    .name = "keyvalue-sqlite",
    .about = "SQLite: a file of this host, shared by its workers; buckets separate keys",
    .exports = wisp_keyvalue_exports,
    .n_exports = WISP_KEYVALUE_EXPORT_COUNT,
    .open = open_kind,
    .close = close_kind,
    .put_link = put_link,
    .del_link = del_link,
};
