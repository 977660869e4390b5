/* SPDX-License-Identifier: Apache-2.0 */
/* An object's bytes, at the pace of who reads them. */
#include "capability/blobstore/rest.h"

#include <stdlib.h>

struct get {
    struct wisp_blobstore_download *download; /* NULL: it has ended by itself */
    struct wisp_rest_call *call;
    uint64_t to_skip, left; /* of what comes; to_skip: the server doesn't know ranges */
};

static void get_abort(struct wisp_blobstore_download *download)
{
    struct get *get = download->user;
    wisp_rest_call_cancel(get->call);
    free(get);
}

static void on_room(struct wisp_blobstore_download *download)
{
    struct get *get = download->user;
    /* Of what nobody wants, the next bytes are the end. */
    wisp_rest_call_resume(get->call);
}

static void on_begin(struct wisp_rest_call *call)
{
    struct wisp_blobstore_op *op = call->user;
    struct get *get = wisp_mem_calloc(1, sizeof *get);
    get->call = call;
    get->to_skip = call->status == 200 ? op->start : 0;
    get->left = op->end - op->start;
    call->user = get;
    get->download = wisp_blobstore_download_new(op);
    get->download->user = get;
    get->download->on_room = on_room;
    get->download->on_abort = get_abort;
    wisp_blobstore_download_start(get->download);
}

static int on_bytes(struct wisp_rest_call *call, struct wisp_str bytes, struct wisp_err *err)
{
    struct get *get = call->user;
    size_t skipped = get->to_skip < bytes.len ? (size_t)get->to_skip : bytes.len;
    get->to_skip -= skipped;
    bytes = (struct wisp_str){bytes.ptr + skipped, bytes.len - skipped};
    if (bytes.len > get->left) bytes.len = (size_t)get->left;
    get->left -= bytes.len;
    if (wisp_blobstore_download_is_unwanted(get->download))
        return wisp_err_set(err, WISP_ERR_CANCELLED, "nobody reads it");
    if (bytes.len && wisp_blobstore_download_write(get->download, bytes) < 0) {
        get->download = NULL;
        return wisp_err_set(err, WISP_ERR_LIMIT, "the reader is too slow");
    }
    if (wisp_blobstore_download_room(get->download) == 0) wisp_rest_call_pause(call);
    return 0;
}

static void on_done(struct wisp_rest_call *call, const struct wisp_err *err)
{
    struct get *get = call->user;
    if (get->download) wisp_blobstore_download_end(get->download, err);
    free(get);
}

static void on_answered(struct wisp_rest_call *call, const struct wisp_err *err)
{
    if (call->has_begun) {
        on_done(call, err);
        return;
    }
    struct wisp_blobstore_op *op = call->user;
    if (err && call->status != 416) { /* a range behind the end has nothing in it */
        wisp_rest_fail(op, call, &op->id, err);
        return;
    }
    wisp_blobstore_download_end(wisp_blobstore_download_new(op), NULL);
}

void wisp_rest_run_get(struct wisp_blobstore_op *op)
{
    bool is_empty = op->start == op->end, is_all = op->start == 0 && op->end == UINT64_MAX;
    struct wisp_rest_call *call = wisp_rest_op_call(op, is_empty ? "HEAD" : "GET", op->id);
    if (!call) return;
    if (!is_empty && !is_all)
        wisp_rest_headers_add(&call->headers, "range",
                              wisp_arena_printf(&call->arena, "bytes=%llu-%llu", (unsigned long long)op->start,
                                                (unsigned long long)(op->end - 1)));
    call->on_done = on_answered;
    call->on_begin = is_empty ? NULL : on_begin;
    call->on_bytes = on_bytes;
    wisp_rest_call_send(call);
}
