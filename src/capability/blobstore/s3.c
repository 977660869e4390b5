/* SPDX-License-Identifier: Apache-2.0 */
/* The kind blobstore-s3. */
#include "capability/blobstore/s3_priv.h"
#include "capability/kinds.h"

#include <string.h>

/* --- the dialect --- */

static struct wisp_str container(struct wisp_rest *rest, struct wisp_str name)
{
    return wisp_s3_bucket(&((struct wisp_s3 *)rest)->config, name);
}

static void complete(struct wisp_rest_call *call)
{
    if (!call->sha256[0]) wisp_s3_hash(call->body, call->sha256);
}

static void sign(struct wisp_rest_call *call, struct wisp_rest_headers *headers, struct wisp_arena *arena,
                 struct wisp_buf *authorization)
{
    const struct wisp_s3_config *config = &((struct wisp_s3 *)call->rest)->config;
    char *date = wisp_arena_alloc(arena, 17);
    time_t now = time(NULL);
    wisp_s3_date(now, date);
    wisp_rest_headers_add(headers, "x-amz-content-sha256", call->sha256);
    wisp_rest_headers_add(headers, "x-amz-date", date);
    if (config->session_token) wisp_rest_headers_add(headers, "x-amz-security-token", config->session_token);
    struct wisp_s3_to_sign what = {.method = call->method,
                                   .host = call->rest->endpoint.host,
                                   .path = wisp_buf_str(&call->path),
                                   .query = wisp_buf_str(&call->query),
                                   .headers = headers->list,
                                   .n_headers = headers->n,
                                   .payload_hash = call->sha256,
                                   .now = now};
    wisp_s3_sign(config, &what, authorization);
}

static const struct wisp_rest_dialect dialect = {
    .no_container = "NoSuchBucket",
    .container_exists = "BucketAlreadyOwnedByYou",
    .n_parts_max = WISP_S3_PARTS_MAX,
    .wants_sha256 = true,
    .container = container,
    .complete = complete,
    .sign = sign,
    .ask_page = wisp_s3_ask_page,
    .read_page = wisp_s3_read_page,
    .remove = wisp_s3_remove,
    .ask_begin = wisp_s3_ask_begin,
    .read_begun = wisp_s3_read_begun,
    .ask_part = wisp_s3_ask_part,
    .read_part = wisp_s3_read_part,
    .ask_complete = wisp_s3_ask_complete,
    .ask_forget = wisp_s3_ask_forget,
};

/* --- operations that others have not --- */

static void run_create(struct wisp_blobstore_op *op)
{
    struct wisp_rest_call *call = wisp_rest_op_call(op, "PUT", op->id);
    if (!call) return;
    const struct wisp_s3_config *config = &((struct wisp_s3 *)call->rest)->config;
    const char *region = config->bucket_region ? config->bucket_region : config->region;
    if (strcmp(region, "us-east-1") != 0) /* the one that may not be named */
        call->body = wisp_str_from(wisp_arena_printf(
            &call->arena,
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>%s"
            "</LocationConstraint></CreateBucketConfiguration>",
            region));
    call->on_done = wisp_rest_on_created;
    wisp_rest_call_send(call);
}

static void run_copy(struct wisp_blobstore_op *op)
{
    WISP_CLEANUP_BUF struct wisp_buf source = {0};
    struct wisp_err err = {0};
    struct wisp_rest_call *call = wisp_rest_op_call(op, "PUT", op->target);
    if (!call) return;
    if (wisp_rest_path(call->rest, op->id, &source, &err) < 0) {
        wisp_rest_call_cancel(call);
        wisp_blobstore_done(op, &err);
        return;
    }
    wisp_rest_headers_add(&call->headers, "x-amz-copy-source", wisp_arena_cstr(&call->arena, wisp_buf_str(&source)));
    call->on_done = wisp_rest_on_copied;
    wisp_rest_call_send(call);
}

static const struct wisp_blobstore_ops ops = {{
    [WISP_BLOBSTORE_CLEAR_CONTAINER] = wisp_rest_run_remove,
    [WISP_BLOBSTORE_CONTAINER_EXISTS] = wisp_rest_run_look_for,
    [WISP_BLOBSTORE_CREATE_CONTAINER] = run_create,
    [WISP_BLOBSTORE_DELETE_CONTAINER] = wisp_rest_run_remove,
    [WISP_BLOBSTORE_GET_CONTAINER_INFO] = wisp_rest_run_look,
    [WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS] = wisp_rest_run_list,
    [WISP_BLOBSTORE_COPY_OBJECT] = run_copy,
    [WISP_BLOBSTORE_DELETE_OBJECT] = wisp_rest_run_delete_object,
    [WISP_BLOBSTORE_DELETE_OBJECTS] = wisp_rest_run_remove,
    [WISP_BLOBSTORE_GET_CONTAINER_DATA] = wisp_rest_run_get,
    [WISP_BLOBSTORE_GET_OBJECT_INFO] = wisp_rest_run_look,
    [WISP_BLOBSTORE_HAS_OBJECT] = wisp_rest_run_look_for,
    [WISP_BLOBSTORE_MOVE_OBJECT] = run_copy,
    [WISP_BLOBSTORE_WRITE_CONTAINER_DATA] = wisp_rest_run_write,
}};

/* --- links --- */

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    struct wisp_s3 *s3 = (struct wisp_s3 *)wisp_rest_new(sizeof *s3, &ops, &dialect, provider->loop);
    int r = wisp_s3_config_read(&link->settings, &s3->rest.arena, &s3->config, err);
    s3->rest.endpoint = s3->config.endpoint;
    s3->rest.n_attempts_max = s3->config.n_attempts_max;
    return wisp_rest_open(&s3->rest, r, link, err);
}

const struct wisp_provider_kind wisp_blobstore_s3 = {
    .name = "blobstore-s3",
    .about = "S3: containers are buckets of AWS or of another server that speaks its protocol",
    .exports = wisp_blobstore_exports,
    .n_exports = WISP_BLOBSTORE_EXPORT_COUNT,
    .put_link = put_link,
    .del_link = wisp_rest_del_link,
};
