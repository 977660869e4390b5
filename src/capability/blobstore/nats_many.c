/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of objects: of one, and of all of a container; and removing them. */
#include "capability/blobstore/listing.h"
#include "capability/blobstore/nats_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NAMES_MAX = 1000 * 1000, /* of a container that is listed: they are sorted first */
    NAMES_BYTES_MAX = 128 << 20,
    LIST_BATCH = 500,
    TELLS_MAX = 20,
};

/* --- one --- */

static void info_on_info(struct wisp_objects_info *info, const struct wisp_err *failure, void *env)
{
    struct wisp_blobstore_op *op = env;
    struct wisp_err err = {0};
    bool is_has = wisp_blobstore_func_of(op->call) == WISP_BLOBSTORE_HAS_OBJECT;
    if (failure) {
        wisp_blobstore_done(op, failure);
        return;
    }
    if (!info->exists && !is_has) wisp_objects_none(op->id.object, &err);
    op->exists = info->exists;
    op->size = info->size;
    op->created_at = info->created_at;
    wisp_blobstore_done(op, err.kind == WISP_ERR_NONE ? NULL : &err);
}

void wisp_objects_run_info(struct wisp_blobstore_op *op)
{
    struct wisp_err err = {0};
    if (wisp_objects_check_id(op->id, &err) < 0)
        wisp_blobstore_done(op, &err);
    else
        wisp_objects_find(wisp_objects_of(op), op->id.container, op->id.object, true, info_on_info, op);
}

/* --- removing --- */

struct removal {
    struct wisp_blobstore_op *op;
    struct wisp_objects *objects;
    char *bucket, *nuid;
    struct wisp_blobstore_names names;
    size_t next;
    unsigned n_tells;
};

static void remove_next(struct removal *removal);

static void removal_end(struct removal *removal, const struct wisp_err *err)
{
    wisp_blobstore_done(removal->op, err);
    free(removal->bucket);
    free(removal->nuid);
    free(removal);
}

static void on_removed(const json_t *answer, const struct wisp_err *err, void *env)
{
    struct removal *removal = env;
    bool is_other = err && err->kind == WISP_ERR_EXISTS && removal->n_tells++ < TELLS_MAX; /* it was written anew */
    (void)answer;
    if (err && !is_other) {
        removal_end(removal, err);
        return;
    }
    if (!err) wisp_objects_purge(removal->objects, removal->bucket, removal->nuid);
    if (!err) removal->next++;
    remove_next(removal);
}

static void on_removal_info(struct wisp_objects_info *info, const struct wisp_err *err, void *env)
{
    struct removal *removal = env;
    struct wisp_str name = removal->names.ptr[removal->next];
    if (err) {
        removal_end(removal, err);
        return;
    }
    if (!info->exists) {
        removal->next++;
        remove_next(removal);
        return;
    }
    WISP_CLEANUP_JSON json_t *gone = wisp_objects_new_info(removal->bucket, name, info->nuid);
    json_object_set_new(gone, "size", json_integer(0));
    json_object_set_new(gone, "chunks", json_integer(0));
    json_object_set_new(gone, "deleted", json_true());
    free(removal->nuid);
    removal->nuid = wisp_mem_dup(wisp_str_from(info->nuid));
    wisp_objects_tell(removal->objects, removal->bucket, name, gone, info->sequence, on_removed, removal);
}

static void remove_next(struct removal *removal)
{
    struct wisp_err err = {0};
    if (removal->next == removal->names.len) {
        removal_end(removal, NULL);
        return;
    }
    struct wisp_str name = removal->names.ptr[removal->next];
    if (wisp_objects_check_id((struct wisp_blobstore_id){removal->op->id.container, name}, &err) < 0)
        removal_end(removal, &err);
    else
        wisp_objects_find(removal->objects, removal->op->id.container, name, false, on_removal_info, removal);
}

static void start_removal(struct wisp_blobstore_op *op, struct wisp_blobstore_names names)
{
    struct removal *removal = wisp_mem_calloc(1, sizeof *removal);
    *removal = (struct removal){.op = op, .objects = wisp_objects_of(op), .names = names};
    removal->bucket = wisp_mem_dup(op->id.container);
    remove_next(removal);
}

void wisp_objects_run_delete(struct wisp_blobstore_op *op)
{
    start_removal(op, (struct wisp_blobstore_names){&op->id.object, 1});
}
void wisp_objects_run_delete_many(struct wisp_blobstore_op *op) { start_removal(op, op->objects); }

/* --- lists --- */

struct list {
    struct wisp_blobstore_op *op;
    struct wisp_objects_walk *walk;
    struct wisp_blobstore_listing listing;
    size_t bytes;
    bool is_too_long;
};

static void list_on_message(struct wisp_str payload, void *env)
{
    struct list *list = env;
    WISP_CLEANUP_JSON json_t *info = NULL;
    if (wisp_json_parse(payload, &info, NULL) < 0 || wisp_json_bool(info, "deleted", false)) return;
    struct wisp_str name = wisp_json_str(info, "name");
    if (!name.len) return;
    list->bytes += name.len;
    list->is_too_long |= list->listing.n >= NAMES_MAX || list->bytes > NAMES_BYTES_MAX;
    if (!list->is_too_long) wisp_blobstore_listing_add(&list->listing, name);
}

static void list_on_batch(void *env) { wisp_objects_walk_pull(((struct list *)env)->walk); }

static void list_on_end(const struct wisp_err *failure, void *env)
{
    struct list *list = env;
    struct wisp_err err = {0};
    if (failure) err = *failure;
    if (!failure && list->is_too_long)
        wisp_err_set(&err, WISP_ERR_LIMIT, "the container has too many objects to list them");
    if (err.kind != WISP_ERR_NONE) {
        wisp_blobstore_done(list->op, &err);
    } else {
        wisp_blobstore_listing_sort(&list->listing);
        wisp_blobstore_listing_answer(&list->listing, list->op);
    }
    wisp_objects_walk_free(list->walk);
    wisp_blobstore_listing_deinit(&list->listing);
    free(list);
}

void wisp_objects_run_list(struct wisp_blobstore_op *op)
{
    struct wisp_err err = {0};
    char subject[256];
    if (wisp_objects_check_name(op->id.container, &err) < 0) {
        wisp_blobstore_done(op, &err);
        return;
    }
    struct list *list = wisp_mem_calloc(1, sizeof *list);
    const char *bucket = wisp_arena_cstr(&list->listing.arena, op->id.container);
    snprintf(subject, sizeof subject, "$O.%s.M.>", bucket);
    const struct wisp_objects_walk_options options = {.bucket = bucket,
                                                      .subject = subject,
                                                      .is_last_only = true,
                                                      .batch = LIST_BATCH,
                                                      .on_message = list_on_message,
                                                      .on_batch = list_on_batch,
                                                      .on_end = list_on_end,
                                                      .env = list};
    list->op = op;
    list->walk = wisp_objects_walk_new(wisp_objects_of(op), &options);
}
