/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of objects, on their way out, in, and from one object to another. */
#include "capability/blobstore/nats_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BATCH_BYTES = 512 * 1024,
    PIECE = 128 * 1024,
};

/* --- the bytes of an object, or some of them --- */

struct source {
    struct wisp_objects_walk *walk;
    struct wisp_objects_info info;
    uint64_t start, end, at;
    EVP_MD_CTX *digest;   /* NULL: not all of them */
    struct wisp_buf rest; /* what has come and is not taken yet */
    size_t taken;
    bool is_over; /* all of it has come */
};

static void source_deinit(struct source *source)
{
    wisp_objects_walk_free(WISP_TAKE(source->walk));
    EVP_MD_CTX_free(source->digest);
    wisp_buf_deinit(&source->rest);
}

static struct wisp_str source_peek(const struct source *source)
{
    size_t n = source->rest.len - source->taken;
    return (struct wisp_str){source->rest.data + source->taken, n < PIECE ? n : PIECE};
}

static void source_take(struct source *source, size_t n)
{
    source->taken += n;
    if (source->taken < source->rest.len) return;
    source->taken = source->rest.len = 0;
    if (!source->is_over && source->walk) wisp_objects_walk_pull(source->walk);
}

static void source_add(struct source *source, struct wisp_str payload)
{
    uint64_t from = source->start > source->at ? source->start - source->at : 0;
    uint64_t to = source->end > source->at ? source->end - source->at : 0;
    if (source->digest && !EVP_DigestUpdate(source->digest, payload.ptr, payload.len)) wisp_mem_out(0);
    if (to > payload.len) to = payload.len;
    if (from < to) wisp_buf_append_str(&source->rest, (struct wisp_str){payload.ptr + from, (size_t)(to - from)});
    source->at += payload.len;
    if (source->at >= source->end) source->is_over = true;
}

/* All that is wanted has come. */
static int source_check(const struct source *source, struct wisp_err *err)
{
    char digest[WISP_OBJECTS_DIGEST_LEN + 1];
    if (!source->is_over)
        return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the object was written anew or removed while it was read");
    if (!source->digest || !*source->info.digest) return 0;
    wisp_objects_digest(source->digest, digest);
    if (source->at == source->info.size && strcmp(digest, source->info.digest) == 0) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "the object is damaged: its bytes are not those of its digest");
}

/* `env` is for the functions. */
static void source_begin(struct source *source, struct wisp_objects *objects, const char *bucket,
                         const struct wisp_objects_info *info, uint64_t start, uint64_t end,
                         const struct wisp_objects_walk_options *functions)
{
    struct wisp_objects_walk_options options = *functions;
    char subject[512];
    source->info = *info;
    source->end = end < info->size ? end : info->size;
    source->start = start < source->end ? start : source->end;
    source->is_over = source->start == source->end;
    bool is_whole = source->start == 0 && source->end == info->size;
    if (source->is_over) return;
    if (is_whole) source->digest = EVP_MD_CTX_new();
    if (is_whole && (!source->digest || !EVP_DigestInit_ex(source->digest, EVP_sha256(), NULL))) wisp_mem_out(0);
    snprintf(subject, sizeof subject, "$O.%s.C.%s", bucket, info->nuid);
    options.bucket = bucket;
    options.subject = subject;
    options.batch = info->chunk_size && info->chunk_size < BATCH_BYTES ? (unsigned)(BATCH_BYTES / info->chunk_size) : 1;
    if (options.batch > 64) options.batch = 64;
    source->walk = wisp_objects_walk_new(objects, &options);
}

/* --- reading --- */

struct get {
    struct wisp_blobstore_op *op;             /* until there is a download */
    struct wisp_blobstore_download *download; /* after that */
    struct wisp_objects *objects;
    struct wisp_objects_find *find;
    struct source source;
    bool is_pumping, is_ended; /* the walk has ended */
    struct wisp_err err;       /* of the walk */
};

static void get_free(struct get *get)
{
    source_deinit(&get->source);
    free(get);
}

static void get_abort(struct wisp_blobstore_download *download) { get_free(download->user); }

static void get_pump(struct wisp_blobstore_download *download)
{
    struct get *get = download->user;
    struct wisp_err err = get->err;
    struct wisp_str bytes;
    if (get->is_pumping) return;
    get->is_pumping = true;
    bool is_unwanted = wisp_blobstore_download_is_unwanted(download);
    while (!is_unwanted && (bytes = source_peek(&get->source)).len) {
        get->is_pumping = wisp_blobstore_download_room(download) > 0;
        if (!get->is_pumping) return;
        if (wisp_blobstore_download_write(download, bytes) < 0) {
            get_free(get);
            return;
        }
        source_take(&get->source, bytes.len);
    }
    get->is_pumping = false;
    if (!is_unwanted && !get->source.is_over && !get->is_ended) return;
    bool is_good = is_unwanted || (err.kind == WISP_ERR_NONE && source_check(&get->source, &err) == 0);
    wisp_blobstore_download_end(download, is_good ? NULL : &err);
    get_free(get);
}

static void get_on_message(struct wisp_str payload, void *env) { source_add(&((struct get *)env)->source, payload); }

static void get_on_batch(void *env)
{
    struct get *get = env;
    if (!get->source.rest.len && !get->source.is_over)
        wisp_objects_walk_pull(get->source.walk); /* nothing of it is wanted */
    else
        get_pump(get->download);
}

static void get_on_end(const struct wisp_err *err, void *env)
{
    struct get *get = env;
    get->is_ended = true;
    if (err) get->err = *err;
    wisp_objects_walk_free(WISP_TAKE(get->source.walk));
    get_pump(get->download);
}

static void get_on_info(struct wisp_objects_info *info, const struct wisp_err *failure, void *env)
{
    struct get *get = env;
    struct wisp_blobstore_op *op = get->op;
    struct wisp_err err = {0};
    const char *bucket = wisp_objects_find_bucket(get->find);
    if (failure || !info->exists) {
        if (!failure) wisp_objects_none(op->id.object, &err);
        wisp_blobstore_done(op, failure ? failure : &err);
        get_free(get);
        return;
    }
    uint64_t start = op->start, end = op->end;
    get->download = wisp_blobstore_download_new(WISP_TAKE(get->op));
    get->download->user = get;
    get->download->on_room = get_pump;
    get->download->on_abort = get_abort;
    const struct wisp_objects_walk_options functions = {
        .on_message = get_on_message, .on_batch = get_on_batch, .on_end = get_on_end, .env = get};
    source_begin(&get->source, get->objects, bucket, info, start, end, &functions);
    wisp_blobstore_download_start(get->download);
    get_pump(get->download);
}

void wisp_objects_run_get(struct wisp_blobstore_op *op)
{
    struct wisp_err err = {0};
    if (wisp_objects_check_id(op->id, &err) < 0) {
        wisp_blobstore_done(op, &err);
        return;
    }
    struct get *get = wisp_mem_calloc(1, sizeof *get);
    get->op = op;
    get->objects = wisp_objects_of(op);
    get->find = wisp_objects_find(get->objects, op->id.container, op->id.object, true, get_on_info, get);
}

/* --- writing --- */

struct put {
    struct wisp_blobstore_op *op;         /* until there is an upload */
    struct wisp_blobstore_upload *upload; /* after that */
    struct wisp_objects_sink *sink;
    bool is_over;
};

static void put_free(struct put *put)
{
    wisp_objects_sink_free(put->sink);
    free(put);
}

static void put_abort(struct wisp_blobstore_upload *upload) { put_free(upload->user); }

static void put_end(struct put *put, const struct wisp_err *err)
{
    if (put->upload)
        wisp_blobstore_upload_end(put->upload, err);
    else
        wisp_blobstore_done(put->op, err);
    put_free(put);
}

static void put_pump(struct wisp_blobstore_upload *upload)
{
    struct put *put = upload->user;
    struct wisp_str bytes;
    struct wisp_err err = {0};
    for (size_t room; !put->is_over && (room = wisp_objects_sink_room(put->sink)) > 0;) {
        switch (wisp_wrpc_reader_peek(upload->data, &bytes, &err)) {
        case WISP_WRPC_READING_WAIT:
            return;
        case WISP_WRPC_READING_FAILED:
            put_end(put, &err);
            return;
        case WISP_WRPC_READING_END:
            put->is_over = true;
            wisp_objects_sink_end(put->sink);
            return;
        case WISP_WRPC_READING_ITEM:
            if (bytes.len > room) bytes.len = room;
            wisp_objects_sink_write(put->sink, bytes);
            wisp_wrpc_reader_consume(upload->data, bytes.len);
        }
    }
}

static void put_on_event(struct wisp_objects_sink *sink, const struct wisp_err *err, void *env)
{
    struct put *put = env;
    if (err || wisp_objects_sink_is_done(sink)) {
        put_end(put, err);
        return;
    }
    if (!put->upload) {
        put->upload = wisp_blobstore_upload_new(WISP_TAKE(put->op));
        put->upload->user = put;
        put->upload->on_ready = put_pump;
        put->upload->on_abort = put_abort;
        wisp_blobstore_upload_start(put->upload);
    }
    put_pump(put->upload);
}

void wisp_objects_run_write(struct wisp_blobstore_op *op)
{
    struct wisp_err err = {0};
    if (wisp_objects_check_id(op->id, &err) < 0) {
        wisp_blobstore_done(op, &err);
        return;
    }
    struct put *put = wisp_mem_calloc(1, sizeof *put);
    put->op = op;
    put->sink = wisp_objects_sink_new(wisp_objects_of(op), op->id, put_on_event, put);
}

/* --- from one to another --- */

struct copy {
    struct wisp_blobstore_op *op;
    struct wisp_objects *objects;
    struct wisp_objects_find *find;
    struct source source;
    struct wisp_objects_sink *sink;
    char *bucket;
    bool is_move, is_pumping, is_ending, is_ended;
};

static void copy_end(struct copy *copy, const struct wisp_err *err)
{
    struct wisp_blobstore_op *op = copy->op;
    bool is_move = copy->is_move;
    source_deinit(&copy->source);
    wisp_objects_sink_free(copy->sink);
    wisp_objects_find_cancel(copy->find);
    free(copy->bucket);
    free(copy);
    if (err || !is_move)
        wisp_blobstore_done(op, err);
    else
        wisp_objects_run_delete(op);
}

static void copy_pump(struct copy *copy)
{
    struct wisp_err err = {0};
    struct wisp_str bytes;
    if (copy->is_pumping || copy->is_ending) return;
    copy->is_pumping = true;
    for (size_t room; (room = wisp_objects_sink_room(copy->sink)) > 0 && (bytes = source_peek(&copy->source)).len;) {
        if (bytes.len > room) bytes.len = room;
        wisp_objects_sink_write(copy->sink, bytes);
        source_take(&copy->source, bytes.len);
    }
    copy->is_pumping = false;
    if (source_peek(&copy->source).len || (!copy->source.is_over && !copy->is_ended)) return;
    if (source_check(&copy->source, &err) < 0) {
        copy_end(copy, &err);
        return;
    }
    copy->is_ending = true;
    wisp_objects_sink_end(copy->sink);
}

static void copy_on_message(struct wisp_str payload, void *env) { source_add(&((struct copy *)env)->source, payload); }
static void copy_on_batch(void *env) { copy_pump(env); }

static void copy_on_end(const struct wisp_err *err, void *env)
{
    struct copy *copy = env;
    copy->is_ended = true;
    wisp_objects_walk_free(WISP_TAKE(copy->source.walk));
    if (err)
        copy_end(copy, err);
    else
        copy_pump(copy);
}

static void copy_on_sink(struct wisp_objects_sink *sink, const struct wisp_err *err, void *env)
{
    struct copy *copy = env;
    const struct wisp_objects_walk_options functions = {
        .on_message = copy_on_message, .on_batch = copy_on_batch, .on_end = copy_on_end, .env = copy};
    if (err || wisp_objects_sink_is_done(sink)) {
        copy_end(copy, err);
        return;
    }
    if (copy->bucket) { /* it is open now */
        const struct wisp_objects_info info = copy->source.info;
        char *bucket = WISP_TAKE(copy->bucket);
        source_begin(&copy->source, copy->objects, bucket, &info, 0, UINT64_MAX, &functions);
        free(bucket);
    }
    copy_pump(copy);
}

static void copy_on_info(struct wisp_objects_info *info, const struct wisp_err *failure, void *env)
{
    struct copy *copy = env;
    struct wisp_err err = {0};
    struct wisp_objects_find *find = WISP_TAKE(copy->find);
    if (!failure && !info->exists) wisp_objects_none(copy->op->id.object, &err);
    bool is_same = wisp_str_equal(copy->op->id.container, copy->op->target.container) &&
                   wisp_str_equal(copy->op->id.object, copy->op->target.object);
    if (is_same) copy->is_move = false;
    if (failure || err.kind != WISP_ERR_NONE || is_same) {
        copy_end(copy, failure ? failure : err.kind != WISP_ERR_NONE ? &err : NULL);
        return;
    }
    copy->source.info = *info;
    copy->source.info.link_bucket = copy->source.info.link_name = NULL;
    copy->bucket = wisp_mem_dup(wisp_str_from(wisp_objects_find_bucket(find)));
    copy->sink = wisp_objects_sink_new(copy->objects, copy->op->target, copy_on_sink, copy);
}

static void start_copy(struct wisp_blobstore_op *op, bool is_move)
{
    struct wisp_err err = {0};
    if (wisp_objects_check_id(op->id, &err) < 0 || wisp_objects_check_id(op->target, &err) < 0) {
        wisp_blobstore_done(op, &err);
        return;
    }
    struct copy *copy = wisp_mem_calloc(1, sizeof *copy);
    copy->op = op;
    copy->is_move = is_move;
    copy->objects = wisp_objects_of(op);
    copy->find = wisp_objects_find(copy->objects, op->id.container, op->id.object, true, copy_on_info, copy);
}

void wisp_objects_run_copy(struct wisp_blobstore_op *op) { start_copy(op, false); }
void wisp_objects_run_move(struct wisp_blobstore_op *op) { start_copy(op, true); }
