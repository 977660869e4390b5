/* SPDX-License-Identifier: Apache-2.0 */
/* An object's bytes to the server: in one request if they fit in one part, else as a multipart upload, part by part.
 * What is broken off leaves no object. */
#include "capability/blobstore/s3_priv.h"

#include <stdio.h>
#include <stdlib.h>

struct put {
    struct wisp_s3 *s3;
    struct wisp_blobstore_upload *upload;
    struct wisp_s3_call *call; /* at work; NULL: we read */
    struct wisp_blobstore_id id;
    struct wisp_arena arena;
    struct wisp_buf part;
    EVP_MD_CTX *hash; /* of the part */
    bool is_over;     /* all was read */
    struct wisp_str upload_id;
    struct wisp_buf parts; /* of the request that completes it */
    unsigned n_parts;
};

static void put_free(struct put *put)
{
    wisp_s3_call_cancel(put->call);
    EVP_MD_CTX_free(put->hash);
    wisp_buf_deinit(&put->part);
    wisp_buf_deinit(&put->parts);
    wisp_arena_deinit(&put->arena);
    free(put);
}

/* --- the end --- */

static void on_forgotten(struct wisp_s3_call *call, const struct wisp_err *err)
{
    (void)call;
    (void)err;
}

/* Nobody waits for it: a server that can't be told now has its own rules for uploads without an end. */
static void forget_parts(struct put *put)
{
    struct wisp_err err;
    if (put->upload_id.len == 0) return;
    struct wisp_s3_call *call = wisp_s3_call_new(put->s3, "DELETE", put->id, &err);
    if (!call) return;
    wisp_s3_call_param(call, "uploadId", put->upload_id);
    call->on_done = on_forgotten;
    call->once = true;
    wisp_s3_call_send(call);
}

static void put_abort(struct wisp_blobstore_upload *upload)
{
    struct put *put = upload->user;
    wisp_s3_call_cancel(WISP_TAKE(put->call));
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

static struct wisp_s3_call *new_call(struct put *put, const char *method,
                                     void (*on_done)(struct wisp_s3_call *call, const struct wisp_err *err))
{
    struct wisp_err err = {0};
    struct wisp_s3_call *call = wisp_s3_call_new(put->s3, method, put->id, &err);
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
static bool has_failed(struct put *put, struct wisp_s3_call *call, const struct wisp_err *call_err)
{
    struct wisp_err err;
    put->call = NULL;
    if (!call_err) return false;
    err = *call_err;
    wisp_s3_explain(call, &put->id, &err);
    put_fail(put, &err);
    return true;
}

static void on_stored(struct wisp_s3_call *call, const struct wisp_err *err)
{
    struct put *put = call->user;
    if (has_failed(put, call, err)) return;
    wisp_blobstore_upload_end(put->upload, NULL);
    put_free(put);
}

static void take_part(struct put *put, struct wisp_s3_call *call)
{
    uint8_t digest[32];
    if (!EVP_DigestFinal_ex(put->hash, digest, NULL)) wisp_mem_out(0);
    wisp_s3_hex(digest, call->payload_hash);
    call->body = wisp_buf_str(&put->part);
}

static void store_whole(struct put *put)
{
    struct wisp_s3_call *call = new_call(put, "PUT", on_stored);
    if (!call) return;
    take_part(put, call);
    wisp_s3_call_send(call);
}

static void complete(struct put *put)
{
    struct wisp_s3_call *call = new_call(put, "POST", on_stored);
    if (!call) return;
    wisp_buf_append_str(&put->parts, WISP_STR("</CompleteMultipartUpload>"));
    call->body = wisp_buf_str(&put->parts);
    wisp_s3_call_param(call, "uploadId", put->upload_id);
    wisp_s3_call_send(call);
}

static void read_on(struct put *put);

static void on_part_stored(struct wisp_s3_call *call, const struct wisp_err *call_err)
{
    struct put *put = call->user;
    struct wisp_err err = {0};
    if (has_failed(put, call, call_err)) return;
    wisp_buf_printf(&put->parts, "<Part><PartNumber>%u</PartNumber><ETag>", put->n_parts);
    if (call->etag.len == 0 || !wisp_xml_append(&put->parts, call->etag)) {
        wisp_err_set(&err, WISP_ERR_INVALID, "the server gave a part no name");
        put_fail(put, &err);
        return;
    }
    wisp_buf_append_str(&put->parts, WISP_STR("</ETag></Part>"));
    put->part.len = 0;
    if (put->is_over)
        complete(put);
    else
        read_on(put);
}

static void store_part(struct put *put)
{
    char number[16];
    struct wisp_err err = {0};
    if (put->n_parts == WISP_S3_PARTS_MAX) {
        wisp_err_set(&err, WISP_ERR_LIMIT, "an object has at most %d parts of %d bytes", WISP_S3_PARTS_MAX,
                     WISP_S3_PART);
        put_fail(put, &err);
        return;
    }
    struct wisp_s3_call *call = new_call(put, "PUT", on_part_stored);
    if (!call) return;
    snprintf(number, sizeof number, "%u", ++put->n_parts);
    wisp_s3_call_param(call, "partNumber", wisp_str_from(number));
    wisp_s3_call_param(call, "uploadId", put->upload_id);
    take_part(put, call);
    wisp_s3_call_send(call);
}

/* --- beginning with many parts --- */

static void on_element(const struct wisp_xml_element *element, void *env)
{
    if (wisp_xml_is(element, "InitiateMultipartUploadResult", "UploadId")) *(struct wisp_str *)env = element->text;
}

static void on_many_begun(struct wisp_s3_call *call, const struct wisp_err *call_err)
{
    struct put *put = call->user;
    struct wisp_str id = {0};
    struct wisp_err err = {0};
    if (has_failed(put, call, call_err)) return;
    int r = wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_element, &id, &err);
    if (r == 0 && id.len == 0) r = wisp_err_set(&err, WISP_ERR_INVALID, "the server gave the upload no name");
    if (r < 0) {
        put_fail(put, &err);
        return;
    }
    put->upload_id = wisp_arena_str(&put->arena, id);
    wisp_buf_append_str(&put->parts,
                        WISP_STR("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    store_part(put);
}

static void begin_many(struct put *put)
{
    struct wisp_s3_call *call = new_call(put, "POST", on_many_begun);
    if (!call) return;
    wisp_s3_call_param(call, "uploads", WISP_STR(""));
    wisp_s3_call_send(call);
}

/* --- reading what is to be stored --- */

/* The part is full, or all there is. */
static void send_part(struct put *put)
{
    if (put->upload_id.len && put->part.len == 0)
        complete(put);
    else if (put->upload_id.len)
        store_part(put);
    else if (put->is_over)
        store_whole(put);
    else
        begin_many(put);
}

static void add_bytes(struct put *put, struct wisp_str bytes)
{
    if (put->part.len == 0 && !EVP_DigestInit_ex(put->hash, EVP_sha256(), NULL)) wisp_mem_out(0);
    if (!EVP_DigestUpdate(put->hash, bytes.ptr, bytes.len)) wisp_mem_out(0);
    wisp_buf_append_str(&put->part, bytes);
}

static void read_on(struct put *put)
{
    struct wisp_wrpc_reader *data = put->upload->data;
    struct wisp_str bytes;
    struct wisp_err err = {0};
    while (!put->is_over && put->part.len < WISP_S3_PART) {
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
            if (bytes.len > WISP_S3_PART - put->part.len) bytes.len = WISP_S3_PART - put->part.len;
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

void wisp_s3_run_write(struct wisp_blobstore_op *op)
{
    struct put *put = wisp_mem_calloc(1, sizeof *put);
    struct wisp_s3_call *check = wisp_s3_op_call(op, "PUT", op->id);
    if (!check) { /* the names can't be */
        free(put);
        return;
    }
    wisp_s3_call_cancel(check);
    put->s3 = (struct wisp_s3 *)op->store;
    put->id = (struct wisp_blobstore_id){wisp_arena_str(&put->arena, op->id.container),
                                         wisp_arena_str(&put->arena, op->id.object)};
    put->hash = EVP_MD_CTX_new();
    if (!put->hash) wisp_mem_out(0);
    put->upload = wisp_blobstore_upload_new(op);
    put->upload->user = put;
    put->upload->on_ready = on_ready;
    put->upload->on_abort = put_abort;
    wisp_blobstore_upload_start(put->upload);
    read_on(put);
}
