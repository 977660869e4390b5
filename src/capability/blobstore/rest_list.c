/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, a page at a time. */
#include "capability/blobstore/rest.h"

#include <stdlib.h>

struct list {
    struct wisp_rest *rest;
    struct wisp_blobstore_download *download;
    struct wisp_rest_call *call; /* for a page; NULL: there is one */
    struct wisp_arena arena;     /* the page's */
    struct wisp_rest_page page;
    size_t next;
    uint64_t at, start, end; /* of names; those from start to end are wanted */
    struct wisp_blobstore_id id;
};

/* A page that is followed by itself would be read for ever. */
int wisp_rest_read_page(struct wisp_rest_call *call, struct wisp_str token, struct wisp_rest_page *ret_page,
                        struct wisp_err *err)
{
    int r = call->rest->dialect->read_page(call, ret_page, err);
    if (r < 0 || !ret_page->token.len || !wisp_str_equal(ret_page->token, token)) return r;
    return wisp_err_set(err, WISP_ERR_INVALID, "the server's list does not go on");
}

static void list_free(struct list *list)
{
    wisp_rest_call_cancel(list->call);
    wisp_arena_deinit(&list->arena);
    free((char *)(uintptr_t)list->id.container.ptr);
    free(list);
}

static void list_end(struct list *list, const struct wisp_err *err)
{
    wisp_blobstore_download_end(list->download, err);
    list_free(list);
}

static void list_abort(struct wisp_blobstore_download *download) { list_free(download->user); }

/* Keeps the call's page; the call goes. */
static int take_page(struct list *list, struct wisp_rest_call *call, struct wisp_err *err)
{
    struct wisp_rest_page page;
    int r = wisp_rest_read_page(call, list->page.token, &page, err);
    if (r < 0) return r;
    wisp_arena_deinit(&list->arena);
    list->arena = call->arena;
    call->arena = (struct wisp_arena){0};
    list->page = page;
    list->next = 0;
    return 0;
}

static void list_pump(struct wisp_blobstore_download *download);

static void on_page(struct wisp_rest_call *call, const struct wisp_err *call_err)
{
    struct list *list = call->user;
    struct wisp_err err = {0};
    list->call = NULL;
    if (call_err) {
        err = *call_err;
        wisp_rest_explain(call, &list->id, &err);
        list_end(list, &err);
    } else if (take_page(list, call, &err) < 0) {
        list_end(list, &err);
    } else {
        list_pump(list->download);
    }
}

static void ask_page(struct list *list)
{
    struct wisp_err err = {0};
    list->call = wisp_rest_call_new(list->rest, "GET", list->id, &err);
    if (!list->call) {
        list_end(list, &err);
        return;
    }
    list->call->user = list;
    list->call->on_done = on_page;
    list->rest->dialect->ask_page(list->call, list->page.token);
    wisp_rest_call_send(list->call);
}

static void list_pump(struct wisp_blobstore_download *download)
{
    struct list *list = download->user;
    if (list->call && !wisp_blobstore_download_is_unwanted(download)) return;
    for (; list->next < list->page.names.len && list->at < list->end; list->next++, list->at++) {
        if (wisp_blobstore_download_is_unwanted(download)) break;
        if (list->at < list->start) continue;
        if (wisp_blobstore_download_room(download) == 0) return;
        if (wisp_blobstore_download_put(download, list->page.names.ptr[list->next]) < 0) {
            list_free(list);
            return;
        }
    }
    bool wants_more = list->at < list->end && !wisp_blobstore_download_is_unwanted(download);
    if (wants_more && list->page.token.len)
        ask_page(list);
    else
        list_end(list, NULL);
}

static void on_first_page(struct wisp_rest_call *call, const struct wisp_err *call_err)
{
    struct wisp_blobstore_op *op = call->user;
    struct wisp_err err = {0};
    if (call_err) {
        wisp_rest_fail(op, call, &op->id, call_err);
        return;
    }
    struct list *list = wisp_mem_calloc(1, sizeof *list);
    list->rest = call->rest;
    list->start = op->start;
    list->end = op->end;
    list->id.container = (struct wisp_str){wisp_mem_dup(op->id.container), op->id.container.len};
    if (take_page(list, call, &err) < 0) {
        wisp_blobstore_done(op, &err);
        list_free(list);
        return;
    }
    list->download = wisp_blobstore_download_new(op);
    list->download->user = list;
    list->download->on_room = list_pump;
    list->download->on_abort = list_abort;
    wisp_blobstore_download_start(list->download);
    list_pump(list->download);
}

void wisp_rest_run_list(struct wisp_blobstore_op *op)
{
    struct wisp_rest_call *call = wisp_rest_op_call(op, "GET", op->id);
    if (!call) return;
    call->on_done = on_first_page;
    call->rest->dialect->ask_page(call, (struct wisp_str){0});
    wisp_rest_call_send(call);
}
