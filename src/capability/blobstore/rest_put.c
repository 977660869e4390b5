/* SPDX-License-Identifier: Apache-2.0 */
/* An object's bytes to the server: in one request if they fit in one part, else part by part, with one of them in
 * memory at a time. What is broken off leaves no object. */
#include "capability/blobstore/rest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

struct put {
    struct wisp_rest *rest;
    struct wisp_blobstore_upload *upload;
    struct wisp_rest_call *call; /* at work; NULL: we read */
    struct wisp_blobstore_id id;
    struct wisp_arena arena;
    struct wisp_buf part;
    EVP_MD_CTX *hash; /* of the part; NULL: nobody wants it */
    bool is_over;     /* all was read */
    struct wisp_rest_parts parts;
};

static void put_free(struct put *put)
{
    wisp_rest_call_cancel(put->call);
    EVP_MD_CTX_free(put->hash);
    wisp_buf_deinit(&put->part);
    wisp_buf_deinit(&put->parts.list);
    wisp_arena_deinit(&put->parts.arena);
    wisp_arena_deinit(&put->arena);
    free(put);
}

/* --- the end --- */

static void on_forgotten(struct wisp_rest_call *call, const struct wisp_err *err)
{
    (void)call;
    (void)err;
}

/* Nobody waits for it: a server that can't be told now has its own rules for uploads without an end. */
static void forget_parts(struct put *put)
{
    struct wisp_err err;
    if (put->parts.id.len == 0 || !put->rest->dialect->ask_forget) return;
    struct wisp_rest_call *call = wisp_rest_call_new(put->rest, "PUT", put->id, &err);
    if (!call) return;
    put->rest->dialect->ask_forget(call, &put->parts);
    call->on_done = on_forgotten;
    call->once = true;
    wisp_rest_call_send(call);
}

static void put_abort(struct wisp_blobstore_upload *upload)
{
    struct put *put = upload->user;
    wisp_rest_call_cancel(WISP_TAKE(put->call));
    forget_parts(put);
    put_free(put);
}

static void put_fail(struct put *put, const struct wisp_err *err)
{
    wisp_blobstore_upload_end(put->upload, err);
    forget_parts(put);
    put_free(put);
}

/* --- requests --- */

/* A PUT of the object, if nothing else is said. */
static struct wisp_rest_call *new_call(struct put *put,
                                       void (*on_done)(struct wisp_rest_call *call, const struct wisp_err *err))
{
    struct wisp_err err = {0};
    struct wisp_rest_call *call = wisp_rest_call_new(put->rest, "PUT", put->id, &err);
    if (!call) {
        put_fail(put, &err);
        return NULL;
    }
    call->user = put;
    call->on_done = on_done;
    put->call = call;
    return call;
}

/* True: it went wrong, and that was the end. */
static bool has_failed(struct put *put, struct wisp_rest_call *call, const struct wisp_err *call_err)
{
    struct wisp_err err;
    put->call = NULL;
    if (!call_err) return false;
    err = *call_err;
    wisp_rest_explain(call, &put->id, &err);
    put_fail(put, &err);
    return true;
}

static void on_stored(struct wisp_rest_call *call, const struct wisp_err *err)
{
    struct put *put = call->user;
    if (has_failed(put, call, err)) return;
    wisp_blobstore_upload_end(put->upload, NULL);
    put_free(put);
}

static void take_part(struct put *put, struct wisp_rest_call *call)
{
    uint8_t digest[32];
    call->body = wisp_buf_str(&put->part);
    if (!put->hash) return;
    if (!EVP_DigestFinal_ex(put->hash, digest, NULL)) wisp_mem_out(0);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(call->sha256 + 2 * i, 3, "%02x", digest[i]);
}

static void store_whole(struct put *put)
{
    struct wisp_rest_call *call = new_call(put, on_stored);
    if (!call) return;
    take_part(put, call);
    if (put->rest->dialect->ask_whole) put->rest->dialect->ask_whole(call);
    wisp_rest_call_send(call);
}

static void complete(struct put *put)
{
    struct wisp_rest_call *call = new_call(put, on_stored);
    if (!call) return;
    put->rest->dialect->ask_complete(call, &put->parts);
    wisp_rest_call_send(call);
}

static void read_on(struct put *put);

static void on_part_stored(struct wisp_rest_call *call, const struct wisp_err *call_err)
{
    struct put *put = call->user;
    struct wisp_err err = {0};
    if (has_failed(put, call, call_err)) return;
    if (put->rest->dialect->read_part(call, &put->parts, &err) < 0) {
        put_fail(put, &err);
        return;
    }
    put->part.len = 0;
    if (put->is_over)
        complete(put);
    else
        read_on(put);
}

static void store_part(struct put *put)
{
    struct wisp_err err = {0};
    if (put->parts.n == put->rest->dialect->n_parts_max) {
        wisp_err_set(&err, WISP_ERR_LIMIT, "an object has at most %u parts of %d bytes",
                     put->rest->dialect->n_parts_max, WISP_REST_PART);
        put_fail(put, &err);
        return;
    }
    struct wisp_rest_call *call = new_call(put, on_part_stored);
    if (!call) return;
    put->parts.n++;
    put->rest->dialect->ask_part(call, &put->parts);
    take_part(put, call);
    wisp_rest_call_send(call);
}

/* --- beginning with many parts --- */

static void on_many_begun(struct wisp_rest_call *call, const struct wisp_err *call_err)
{
    struct put *put = call->user;
    struct wisp_err err = {0};
    if (has_failed(put, call, call_err)) return;
    if (put->rest->dialect->read_begun(call, &put->parts, &err) < 0)
        put_fail(put, &err);
    else
        store_part(put);
}

static void begin_many(struct put *put)
{
    if (put->rest->dialect->begin) {
        put->rest->dialect->begin(&put->parts);
        store_part(put);
        return;
    }
    struct wisp_rest_call *call = new_call(put, on_many_begun);
    if (!call) return;
    put->rest->dialect->ask_begin(call);
    wisp_rest_call_send(call);
}

/* --- reading what is to be stored --- */

/* The part is full, or all there is. */
static void send_part(struct put *put)
{
    if (put->parts.id.len && put->part.len == 0)
        complete(put);
    else if (put->parts.id.len)
        store_part(put);
    else if (put->is_over)
        store_whole(put);
    else
        begin_many(put);
}

static void add_bytes(struct put *put, struct wisp_str bytes)
{
    if (put->hash && put->part.len == 0 && !EVP_DigestInit_ex(put->hash, EVP_sha256(), NULL)) wisp_mem_out(0);
    if (put->hash && !EVP_DigestUpdate(put->hash, bytes.ptr, bytes.len)) wisp_mem_out(0);
    wisp_buf_append_str(&put->part, bytes);
}

static void read_on(struct put *put)
{
    struct wisp_wrpc_reader *data = put->upload->data;
    struct wisp_str bytes;
    struct wisp_err err = {0};
    while (!put->is_over && put->part.len < WISP_REST_PART) {
        switch (wisp_wrpc_reader_peek(data, &bytes, &err)) {
        case WISP_WRPC_READING_WAIT:
            return;
        case WISP_WRPC_READING_FAILED:
            put_fail(put, &err);
            return;
        case WISP_WRPC_READING_END:
            if (put->part.len == 0) add_bytes(put, WISP_STR(""));
            put->is_over = true;
            break;
        case WISP_WRPC_READING_ITEM:
            if (bytes.len > WISP_REST_PART - put->part.len) bytes.len = WISP_REST_PART - put->part.len;
            add_bytes(put, bytes);
            wisp_wrpc_reader_consume(data, bytes.len);
        }
    }
    send_part(put);
}

static void on_ready(struct wisp_blobstore_upload *upload)
{
    struct put *put = upload->user;
    if (!put->call) read_on(put);
}

void wisp_rest_run_write(struct wisp_blobstore_op *op)
{
    struct put *put = wisp_mem_calloc(1, sizeof *put);
    struct wisp_rest_call *check = wisp_rest_op_call(op, "PUT", op->id);
    if (!check) { /* the names can't be */
        free(put);
        return;
    }
    wisp_rest_call_cancel(check);
    put->rest = (struct wisp_rest *)op->store;
    put->id = (struct wisp_blobstore_id){wisp_arena_str(&put->arena, op->id.container),
                                         wisp_arena_str(&put->arena, op->id.object)};
    if (put->rest->dialect->wants_sha256 && !(put->hash = EVP_MD_CTX_new())) wisp_mem_out(0);
    put->upload = wisp_blobstore_upload_new(op);
    put->upload->user = put;
    put->upload->on_ready = on_ready;
    put->upload->on_abort = put_abort;
    wisp_blobstore_upload_start(put->upload);
    read_on(put);
}
