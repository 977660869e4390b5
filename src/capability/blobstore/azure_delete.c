/* SPDX-License-Identifier: Apache-2.0 */
/* Many objects, some requests at a time: Azure's batches are for 256 objects at most, and not every server has them. */
#include "capability/blobstore/azure_priv.h"

enum { AT_A_TIME = 16 };

/* In the op's arena. */
struct removing {
    struct wisp_rest_removal *removal;
    struct wisp_rest_call *calls[AT_A_TIME]; /* NULL: none */
    size_t n;
};

static void stop(struct removing *removing)
{
    for (size_t i = 0; i < AT_A_TIME; i++) wisp_rest_call_cancel(WISP_TAKE(removing->calls[i]));
}

static void on_op_cancel(struct wisp_blobstore_op *op)
{
    struct wisp_err err = {0};
    stop(op->user);
    wisp_err_set(&err, WISP_ERR_CANCELLED, "given up");
    wisp_blobstore_done(op, &err);
}

static int start_some(struct removing *removing, struct wisp_err *err);

/* Ends the op if something went wrong. */
static void go_on(struct removing *removing)
{
    struct wisp_err err = {0};
    if (start_some(removing, &err) < 0) {
        stop(removing);
        wisp_blobstore_done(removing->removal->op, &err);
    } else if (removing->n == 0) {
        wisp_rest_removal_next(removing->removal);
    }
}

static void on_deleted(struct wisp_rest_call *call, const struct wisp_err *err)
{
    struct removing *removing = call->user;
    struct wisp_blobstore_op *op = removing->removal->op;
    for (size_t i = 0; i < AT_A_TIME; i++)
        if (removing->calls[i] == call) removing->calls[i] = NULL;
    removing->n--;
    if (wisp_rest_is_gone(call, err)) {
        go_on(removing);
        return;
    }
    stop(removing);
    wisp_rest_fail(op, call, &op->id, err);
}

static int start_one(struct removing *removing, struct wisp_rest_call **slot, struct wisp_err *err)
{
    struct wisp_rest_removal *removal = removing->removal;
    struct wisp_blobstore_op *op = removal->op;
    struct wisp_str name = removal->names.ptr[0];
    if (name.len == 0) return wisp_err_set(err, WISP_ERR_INVALID, "an object needs a name");
    struct wisp_rest_call *call = wisp_rest_call_new((struct wisp_rest *)op->store, "DELETE",
                                                     (struct wisp_blobstore_id){op->id.container, name}, err);
    if (!call) return -1;
    removal->names.ptr++;
    removal->names.len--;
    call->user = removing;
    call->on_done = on_deleted;
    *slot = call;
    removing->n++;
    wisp_rest_call_send(call);
    return 0;
}

static int start_some(struct removing *removing, struct wisp_err *err)
{
    for (size_t i = 0; i < AT_A_TIME; i++) {
        if (removing->calls[i] || removing->removal->names.len == 0) continue;
        int r = start_one(removing, &removing->calls[i], err);
        if (r < 0) return r;
    }
    return 0;
}

void wisp_azure_remove(struct wisp_rest_removal *removal)
{
    struct removing *removing = WISP_NEW(&removal->op->arena, struct removing);
    removing->removal = removal;
    removal->op->user = removing;
    removal->op->on_cancel = on_op_cancel;
    go_on(removing);
}
