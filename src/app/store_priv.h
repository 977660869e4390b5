/* SPDX-License-Identifier: Apache-2.0 */
/* Applications as they are stored (store.c). */
#pragma once

#include "app/app.h"
#include "base/json.h"

struct wisp_app_version {
    struct wisp_str version; /* of the manifest */
    struct wisp_app_manifest manifest;
    struct wisp_arena arena;
    struct wisp_app_version *next;
};

struct wisp_app_record {
    char *name;
    json_t *json; /* as stored */
    uint64_t revision;
    struct wisp_app_version *versions; /* in the order in which they were put; none: it was deleted */
    struct wisp_app_version *removed;  /* what they made is still to be cleared away */
    struct wisp_app_version *deployed; /* one of `versions`; NULL: none */
    struct wisp_app_version *last_deployed;
    struct wisp_app_desired desired; /* among the wants while it can be understood */
    struct wisp_arena arena;         /* of `desired` */
    char *trouble;                   /* why the deployed version can't be understood */
    bool is_ours;                    /* not of another lattice whose name begins as ours does */
    bool is_missing;                 /* it is not in the state any more, perhaps because that was lost */
    bool is_lost;                    /* because it was, and it is to be put back */
    bool is_unplanned;               /* changed after it was planned last */
    bool is_unsettled;               /* something needs to be done, by the last plan */
    bool was_complete;               /* what was known of the lattice then */
    enum wisp_app_state state;       /* by the last plan */
    char *message;                   /* what is wrong; NULL: nothing */
    json_t *scalers;                 /* as a status lists them; NULL: none yet */
    json_t *told;                    /* the status that was published last */
    struct wisp_app_record *next;
};

struct wisp_app_record *wisp_app_record_find(const struct wisp_app *app, struct wisp_str name);
struct wisp_app_version *wisp_app_version_find(const struct wisp_app_record *record, struct wisp_str version);
void wisp_app_store_on_state(struct wisp_app *app, struct wisp_str key, const struct wisp_str *value,
                             uint64_t revision);
void wisp_app_store_on_loaded(struct wisp_app *app);
void wisp_app_store_on_opened(struct wisp_app *app);
/* The new content of a record (NULL: none), as it was accepted by the state. */
void wisp_app_store_adopt(struct wisp_app *app, struct wisp_str name, const json_t *json, uint64_t revision);
/* Puts back what was lost; a leader also puts the index right. When to try again. */
uint64_t wisp_app_store_tick(struct wisp_app *app);
struct wisp_str wisp_app_store_key(struct wisp_app *app, struct wisp_str name, struct wisp_buf *out);
/* What a record wants. */
struct wisp_app_desired wisp_app_desire(struct wisp_arena *arena, const struct wisp_app_record *record);
/* Names of all that are not deleted, ascending; a new array of borrowed texts. */
const char **wisp_app_store_names(const struct wisp_app *app, size_t *ret_n);
void wisp_app_store_deinit(struct wisp_app *app);
