/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/rest.h"

static void on_page(struct wisp_rest_call *call, const struct wisp_err *call_err)
{
    struct wisp_rest_removal *removal = call->user;
    struct wisp_rest_page page;
    struct wisp_err err = {0};
    if (call_err) {
        wisp_rest_fail(removal->op, call, &removal->op->id, call_err);
        return;
    }
    if (wisp_rest_read_page(call, removal->token, &page, &err) < 0) {
        wisp_blobstore_done(removal->op, &err);
        return;
    }
    struct wisp_arena *arena = &removal->op->arena;
    struct wisp_str *names = WISP_NEW_ARRAY(arena, struct wisp_str, page.names.len);
    for (size_t i = 0; i < page.names.len; i++) names[i] = wisp_arena_str(arena, page.names.ptr[i]);
    removal->names = (struct wisp_blobstore_names){names, page.names.len};
    removal->token = wisp_arena_str(arena, page.token);
    removal->is_all = page.token.len > 0;
    wisp_rest_removal_next(removal);
}

static void ask_page(struct wisp_rest_removal *removal)
{
    struct wisp_rest_call *call = wisp_rest_op_call(removal->op, "GET", removal->op->id);
    if (!call) return;
    call->rest->dialect->ask_page(call, removal->token);
    call->user = removal;
    call->on_done = on_page;
    wisp_rest_call_send(call);
}

void wisp_rest_removal_next(struct wisp_rest_removal *removal)
{
    if (removal->names.len)
        ((struct wisp_rest *)removal->op->store)->dialect->remove(removal);
    else if (removal->is_all)
        ask_page(removal);
    else if (removal->deletes_container)
        wisp_rest_run_delete_container(removal->op);
    else
        wisp_blobstore_done(removal->op, NULL);
}

void wisp_rest_run_remove(struct wisp_blobstore_op *op)
{
    struct wisp_rest_removal *removal = WISP_NEW(&op->arena, struct wisp_rest_removal);
    const char *name = op->call->func->name;
    removal->op = op;
    removal->names = op->objects;
    removal->deletes_container = strcmp(name, "delete-container") == 0;
    removal->is_all = removal->deletes_container || strcmp(name, "clear-container") == 0;
    wisp_rest_removal_next(removal);
}
