/* SPDX-License-Identifier: Apache-2.0 */
/* The kind blobstore-s3, and the operations that are a request or two. */
#include "capability/blobstore/s3_priv.h"
#include "capability/kinds.h"

#include <stdlib.h>

enum { STALL_TIMEOUT_MS = 30 * 1000 };

/* --- operations and calls --- */

void wisp_s3_explain(const struct wisp_s3_call *call, const struct wisp_blobstore_id *id, struct wisp_err *err)
{
    bool no_container = wisp_str_is(call->code, "NoSuchBucket") || (call->status == 404 && id->object.len == 0);
    if (no_container)
        wisp_err_set(err, WISP_ERR_NOT_FOUND, "container `%.*s` does not exist", WISP_STR_ARG(id->container));
    else if (call->status == 404)
        wisp_err_set(err, WISP_ERR_NOT_FOUND, "object `%.*s` does not exist in container `%.*s`",
                     WISP_STR_ARG(id->object), WISP_STR_ARG(id->container));
    else
        wisp_err_wrap(err, "container `%.*s`", WISP_STR_ARG(id->container));
}

void wisp_s3_fail(struct wisp_blobstore_op *op, const struct wisp_s3_call *call, const struct wisp_blobstore_id *id,
                  const struct wisp_err *err)
{
    struct wisp_err explained = *err;
    wisp_s3_explain(call, id, &explained);
    wisp_blobstore_done(op, &explained);
}

static void on_op_cancel(struct wisp_blobstore_op *op)
{
    struct wisp_err err = {0};
    wisp_s3_call_cancel(op->user);
    wisp_err_set(&err, WISP_ERR_CANCELLED, "given up");
    wisp_blobstore_done(op, &err);
}

static bool needs_object(enum wisp_blobstore_func func)
{
    return func == WISP_BLOBSTORE_COPY_OBJECT || func == WISP_BLOBSTORE_MOVE_OBJECT ||
           func == WISP_BLOBSTORE_DELETE_OBJECT || func == WISP_BLOBSTORE_GET_CONTAINER_DATA ||
           func == WISP_BLOBSTORE_GET_OBJECT_INFO || func == WISP_BLOBSTORE_HAS_OBJECT ||
           func == WISP_BLOBSTORE_WRITE_CONTAINER_DATA;
}

struct wisp_s3_call *wisp_s3_op_call(struct wisp_blobstore_op *op, const char *method, struct wisp_blobstore_id id)
{
    struct wisp_err err = {0};
    struct wisp_s3_call *call = NULL;
    enum wisp_blobstore_func func = (enum wisp_blobstore_func)(op->call->func - wisp_blobstore_interface.funcs);
    if (needs_object(func) && (id.object.len == 0 || op->id.object.len == 0))
        wisp_err_set(&err, WISP_ERR_INVALID, "an object needs a name");
    else
        call = wisp_s3_call_new((struct wisp_s3 *)op->store, method, id, &err);
    if (!call) {
        wisp_blobstore_done(op, &err);
        return NULL;
    }
    call->user = op;
    op->user = call;
    op->on_cancel = on_op_cancel;
    return call;
}

static void start(struct wisp_blobstore_op *op, const char *method, struct wisp_blobstore_id id,
                  void (*on_done)(struct wisp_s3_call *call, const struct wisp_err *err))
{
    struct wisp_s3_call *call = wisp_s3_op_call(op, method, id);
    if (!call) return;
    call->on_done = on_done;
    wisp_s3_call_send(call);
}

/* --- what is there --- */

static void on_looked(struct wisp_s3_call *call, const struct wisp_err *err)
{
    struct wisp_blobstore_op *op = call->user;
    op->exists = !err;
    op->size = call->size;
    op->created_at = op->id.object.len ? call->modified : 0;
    if (err)
        wisp_s3_fail(op, call, &op->id, err);
    else
        wisp_blobstore_done(op, NULL);
}

static void on_looked_for(struct wisp_s3_call *call, const struct wisp_err *err)
{
    if (err && call->status == 404)
        wisp_blobstore_done(call->user, NULL);
    else
        on_looked(call, err);
}

static void run_look(struct wisp_blobstore_op *op) { start(op, "HEAD", op->id, on_looked); }
static void run_look_for(struct wisp_blobstore_op *op) { start(op, "HEAD", op->id, on_looked_for); }

/* --- containers --- */

static void on_created(struct wisp_s3_call *call, const struct wisp_err *err)
{
    struct wisp_blobstore_op *op = call->user;
    if (err && !wisp_str_is(call->code, "BucketAlreadyOwnedByYou"))
        wisp_s3_fail(op, call, &op->id, err);
    else
        wisp_blobstore_done(op, NULL);
}

static void run_create(struct wisp_blobstore_op *op)
{
    struct wisp_s3_call *call = wisp_s3_op_call(op, "PUT", op->id);
    if (!call) return;
    const struct wisp_s3_config *config = &call->s3->config;
    const char *region = config->bucket_region ? config->bucket_region : config->region;
    if (strcmp(region, "us-east-1") != 0) /* the one that may not be named */
        call->body = wisp_str_from(wisp_arena_printf(
            &call->arena,
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>%s"
            "</LocationConstraint></CreateBucketConfiguration>",
            region));
    call->on_done = on_created;
    wisp_s3_call_send(call);
}

/* --- objects --- */

static void on_deleted(struct wisp_s3_call *call, const struct wisp_err *err)
{
    struct wisp_blobstore_op *op = call->user;
    bool was_gone = call->status == 404 && !wisp_str_is(call->code, "NoSuchBucket");
    if (err && !was_gone)
        wisp_s3_fail(op, call, &op->id, err);
    else
        wisp_blobstore_done(op, NULL);
}

static void run_delete_object(struct wisp_blobstore_op *op) { start(op, "DELETE", op->id, on_deleted); }

static void on_copied(struct wisp_s3_call *call, const struct wisp_err *err)
{
    struct wisp_blobstore_op *op = call->user;
    bool is_move = strcmp(op->call->func->name, "move-object") == 0;
    bool is_same =
        wisp_str_equal(op->id.container, op->target.container) && wisp_str_equal(op->id.object, op->target.object);
    if (err)
        wisp_s3_fail(op, call, wisp_str_is(call->code, "NoSuchBucket") ? &op->target : &op->id, err);
    else if (is_move && !is_same)
        run_delete_object(op);
    else
        wisp_blobstore_done(op, NULL);
}

static void run_copy(struct wisp_blobstore_op *op)
{
    WISP_CLEANUP_BUF struct wisp_buf source = {0};
    struct wisp_s3_call *call = wisp_s3_op_call(op, "PUT", op->target);
    if (!call) return;
    wisp_buf_append_char(&source, '/');
    wisp_s3_encode(&source, wisp_s3_bucket(&call->s3->config, op->id.container), false);
    wisp_buf_append_char(&source, '/');
    wisp_s3_encode(&source, op->id.object, true);
    wisp_s3_call_header(call, "x-amz-copy-source", wisp_arena_cstr(&call->arena, wisp_buf_str(&source)));
    call->on_done = on_copied;
    wisp_s3_call_send(call);
}

static const struct wisp_blobstore_ops ops = {{
    [WISP_BLOBSTORE_CLEAR_CONTAINER] = wisp_s3_run_delete,
    [WISP_BLOBSTORE_CONTAINER_EXISTS] = run_look_for,
    [WISP_BLOBSTORE_CREATE_CONTAINER] = run_create,
    [WISP_BLOBSTORE_DELETE_CONTAINER] = wisp_s3_run_delete,
    [WISP_BLOBSTORE_GET_CONTAINER_INFO] = run_look,
    [WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS] = wisp_s3_run_list,
    [WISP_BLOBSTORE_COPY_OBJECT] = run_copy,
    [WISP_BLOBSTORE_DELETE_OBJECT] = run_delete_object,
    [WISP_BLOBSTORE_DELETE_OBJECTS] = wisp_s3_run_delete,
    [WISP_BLOBSTORE_GET_CONTAINER_DATA] = wisp_s3_run_get,
    [WISP_BLOBSTORE_GET_OBJECT_INFO] = run_look,
    [WISP_BLOBSTORE_HAS_OBJECT] = run_look_for,
    [WISP_BLOBSTORE_MOVE_OBJECT] = run_copy,
    [WISP_BLOBSTORE_WRITE_CONTAINER_DATA] = wisp_s3_run_write,
}};

/* --- links --- */

void wisp_s3_unref(struct wisp_s3 *s3)
{
    if (--s3->n_refs) return;
    wisp_web_free(s3->web);
    wisp_arena_deinit(&s3->arena);
    free(s3);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    struct wisp_s3 *s3 = wisp_mem_calloc(1, sizeof *s3);
    struct wisp_web_options options = {.stall_timeout_ms = STALL_TIMEOUT_MS};
    wisp_blobstore_store_init(&s3->base, &ops);
    s3->n_refs = 1;
    s3->loop = provider->loop;
    int r = wisp_s3_config_read(&link->settings, &s3->arena, &s3->config, err);
    if (r == 0) r = wisp_web_new(&s3->web, s3->loop, &options, err);
    if (r < 0)
        wisp_s3_unref(s3);
    else
        link->state = s3;
    return r;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    struct wisp_s3 *s3 = link->state;
    (void)provider;
    wisp_blobstore_store_abort(&s3->base, "the link is gone");
    wisp_s3_unref(s3);
}

static const struct wisp_provider_interface *const exports[] = {&wisp_blobstore_interface};

const struct wisp_provider_kind wisp_blobstore_s3 = {
    .name = "blobstore-s3",
    .about = "S3: containers are buckets of AWS or of another server that speaks its protocol",
    .exports = exports,
    .n_exports = WISP_COUNT(exports),
    .put_link = put_link,
    .del_link = del_link,
};
