/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, a page at a time. Keys come percent-encoded, for XML can't express all of them. */
#include "capability/blobstore/s3_priv.h"

#include <stdlib.h>

/* --- a page --- */

void wisp_s3_page_ask(struct wisp_s3_call *call, struct wisp_str token)
{
    if (token.len) wisp_s3_call_param(call, "continuation-token", token);
    wisp_s3_call_param(call, "encoding-type", WISP_STR("url"));
    wisp_s3_call_param(call, "list-type", WISP_STR("2"));
    wisp_s3_call_param(call, "max-keys", WISP_STR("1000"));
}

struct reading {
    struct wisp_str names[WISP_S3_PAGE];
    size_t n;
    bool is_encoded, is_truncated, has_too_many;
    struct wisp_str token;
};

static void on_element(const struct wisp_xml_element *element, void *env)
{
    struct reading *reading = env;
    if (wisp_xml_is(element, "Contents", "Key")) {
        if (reading->n == WISP_S3_PAGE)
            reading->has_too_many = true;
        else
            reading->names[reading->n++] = element->text;
    } else if (wisp_xml_is(element, "ListBucketResult", "IsTruncated")) {
        reading->is_truncated = wisp_str_is(element->text, "true");
    } else if (wisp_xml_is(element, "ListBucketResult", "NextContinuationToken")) {
        reading->token = element->text;
    } else if (wisp_xml_is(element, "ListBucketResult", "EncodingType")) {
        reading->is_encoded = wisp_str_is(element->text, "url");
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* In place. */
static struct wisp_str decode(struct wisp_str text)
{
    char *out = (char *)(uintptr_t)text.ptr;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int high = c == '%' && i + 2 < text.len ? digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? digit(text.ptr[i + 2]) : -1;
        if (low >= 0) i += 2;
        out[n++] = low >= 0 ? (char)(high << 4 | low) : c == '+' ? ' ' : c;
    }
    return (struct wisp_str){text.ptr, n};
}

int wisp_s3_page_read(struct wisp_s3_call *call, struct wisp_s3_page *ret_page, struct wisp_err *err)
{
    struct reading *reading = WISP_NEW(&call->arena, struct reading);
    size_t n = 0;
    int r = wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_element, reading, err);
    if (r < 0) return wisp_err_wrap(err, "the server's list");
    if (reading->has_too_many || (reading->is_truncated && reading->token.len == 0))
        return wisp_err_set(err, WISP_ERR_INVALID, "the server's list contradicts itself");
    for (size_t i = 0; i < reading->n; i++) {
        struct wisp_str name = reading->is_encoded ? decode(reading->names[i]) : reading->names[i];
        if (name.len && wisp_str_is_utf8(name)) reading->names[n++] = name;
    }
    *ret_page = (struct wisp_s3_page){.names = {reading->names, n}};
    if (reading->is_truncated) ret_page->token = reading->token;
    return 0;
}

/* --- a list --- */

struct list {
    struct wisp_s3 *s3;
    struct wisp_blobstore_download *download;
    struct wisp_s3_call *call; /* for a page; NULL: there is one */
    struct wisp_arena arena;   /* the page's */
    struct wisp_s3_page page;
    size_t next;
    uint64_t at, start, end; /* of names; those from start to end are wanted */
    struct wisp_blobstore_id id;
};

static void list_free(struct list *list)
{
    wisp_s3_call_cancel(list->call);
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
static int take_page(struct list *list, struct wisp_s3_call *call, struct wisp_err *err)
{
    struct wisp_s3_page page;
    int r = wisp_s3_page_read(call, &page, err);
    if (r < 0) return r;
    wisp_arena_deinit(&list->arena);
    list->arena = call->arena;
    call->arena = (struct wisp_arena){0};
    list->page = page;
    list->next = 0;
    return 0;
}

static void list_pump(struct wisp_blobstore_download *download);

static void on_page(struct wisp_s3_call *call, const struct wisp_err *call_err)
{
    struct list *list = call->user;
    struct wisp_err err = {0};
    list->call = NULL;
    if (call_err) {
        err = *call_err;
        wisp_s3_explain(call, &list->id, &err);
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
    list->call = wisp_s3_call_new(list->s3, "GET", list->id, &err);
    if (!list->call) {
        list_end(list, &err);
        return;
    }
    list->call->user = list;
    list->call->on_done = on_page;
    wisp_s3_page_ask(list->call, list->page.token);
    wisp_s3_call_send(list->call);
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

static void on_first_page(struct wisp_s3_call *call, const struct wisp_err *call_err)
{
    struct wisp_blobstore_op *op = call->user;
    struct wisp_err err = {0};
    if (call_err) {
        wisp_s3_fail(op, call, &op->id, call_err);
        return;
    }
    struct list *list = wisp_mem_calloc(1, sizeof *list);
    list->s3 = call->s3;
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

void wisp_s3_run_list(struct wisp_blobstore_op *op)
{
    struct wisp_s3_call *call = wisp_s3_op_call(op, "GET", op->id);
    if (!call) return;
    call->on_done = on_first_page;
    wisp_s3_page_ask(call, (struct wisp_str){0});
    wisp_s3_call_send(call);
}
