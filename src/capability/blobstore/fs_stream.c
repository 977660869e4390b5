/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and contents of objects, both ways: one piece at a time between a thread and the other end of the stream. */
#include "capability/blobstore/fs_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 128 * 1024 };

static struct wisp_blobstore_fs *fs_of(const struct wisp_blobstore_op *op)
{
    return (struct wisp_blobstore_fs *)op->store;
}

/* --- lists --- */

struct list {
    struct wisp_blobstore_fs_job job;
    struct wisp_blobstore_op *op;
    struct wisp_blobstore_listing listing;
};

static void list_run(struct wisp_blobstore_fs_job *job)
{
    struct list *list = (struct list *)job;
    job->r = wisp_blobstore_fs_list(job->fs, list->op->id.container, &list->listing, &job->err);
}

static void list_end(struct wisp_blobstore_fs_job *job)
{
    struct list *list = (struct list *)job;
    if (job->r < 0)
        wisp_blobstore_done(list->op, &job->err);
    else
        wisp_blobstore_listing_answer(&list->listing, list->op);
    wisp_blobstore_listing_deinit(&list->listing);
    free(list);
}

void wisp_blobstore_fs_run_list(struct wisp_blobstore_op *op)
{
    struct list *list = wisp_mem_calloc(1, sizeof *list);
    list->op = op;
    list->job.run = list_run;
    list->job.end = list_end;
    wisp_blobstore_fs_start(&list->job, fs_of(op));
}

/* --- reading --- */

struct get {
    struct wisp_blobstore_fs_job job;
    struct wisp_blobstore_op *op;             /* until there is a download */
    struct wisp_blobstore_download *download; /* NULL later: aborted */
    bool is_busy;
    int fd;
    uint64_t offset, end;
    size_t n; /* bytes in the buffer */
    char buffer[PIECE];
};

static void get_free(struct get *get)
{
    if (get->fd >= 0) close(get->fd);
    free(get);
}

static void get_abort(struct wisp_blobstore_download *download)
{
    struct get *get = download->user;
    get->download = NULL;
    if (!get->is_busy) get_free(get);
}

static void get_end(struct get *get, const struct wisp_err *err)
{
    wisp_blobstore_download_end(get->download, err);
    get_free(get);
}

static void get_read(struct wisp_blobstore_fs_job *job)
{
    struct get *get = (struct get *)job;
    uint64_t left = get->end - get->offset;
    ssize_t n = pread(get->fd, get->buffer, left < PIECE ? (size_t)left : PIECE, (off_t)get->offset);
    if (n > 0) get->n = (size_t)n;
    if (n < 0) job->r = wisp_err_os(&job->err, errno, "reading the object");
    if (n == 0) job->r = wisp_err_set(&job->err, WISP_ERR_UNAVAILABLE, "the object became shorter while it was read");
}

static void get_pump(struct wisp_blobstore_download *download)
{
    struct get *get = download->user;
    if (get->is_busy) return;
    if (get->offset == get->end || wisp_blobstore_download_is_unwanted(download)) {
        get_end(get, NULL);
        return;
    }
    if (wisp_blobstore_download_room(download) == 0) return;
    get->is_busy = true;
    wisp_blobstore_fs_start(&get->job, get->job.fs);
}

static void get_deliver(struct wisp_blobstore_fs_job *job)
{
    struct get *get = (struct get *)job;
    get->is_busy = false;
    if (!get->download) {
        get_free(get);
    } else if (job->r < 0) {
        get_end(get, &job->err);
    } else if (wisp_blobstore_download_write(get->download, (struct wisp_str){get->buffer, get->n}) < 0) {
        get_free(get);
    } else {
        get->offset += get->n;
        get_pump(get->download);
    }
}

static void get_open(struct wisp_blobstore_fs_job *job)
{
    struct get *get = (struct get *)job;
    struct wisp_blobstore_op *op = get->op;
    job->r = wisp_blobstore_fs_open_object(job->fs, &op->id, &get->fd, &op->created_at, &op->size, &job->err);
    get->end = op->end < op->size ? op->end : op->size;
    get->offset = op->start < get->end ? op->start : get->end;
}

static void get_begin(struct wisp_blobstore_fs_job *job)
{
    struct get *get = (struct get *)job;
    if (job->r < 0) {
        wisp_blobstore_done(get->op, &job->err);
        get_free(get);
        return;
    }
    job->run = get_read;
    job->end = get_deliver;
    get->download = wisp_blobstore_download_new(WISP_TAKE(get->op));
    get->download->user = get;
    get->download->on_room = get_pump;
    get->download->on_abort = get_abort;
    wisp_blobstore_download_start(get->download);
    get_pump(get->download);
}

void wisp_blobstore_fs_run_get(struct wisp_blobstore_op *op)
{
    struct get *get = wisp_mem_calloc(1, sizeof *get);
    get->op = op;
    get->fd = -1;
    get->job.run = get_open;
    get->job.end = get_begin;
    wisp_blobstore_fs_start(&get->job, fs_of(op));
}

/* --- writing --- */

struct put {
    struct wisp_blobstore_fs_job job;
    struct wisp_blobstore_op *op;         /* until there is an upload */
    struct wisp_blobstore_upload *upload; /* NULL later: aborted */
    bool is_busy, is_over;
    int fd;
    char temporary[WISP_BLOBSTORE_FS_TEMPORARY_MAX];
    struct wisp_arena arena;
    struct wisp_blobstore_id id;
    size_t n; /* bytes in the buffer */
    char buffer[PIECE];
};

static void put_free(struct wisp_blobstore_fs_job *job)
{
    struct put *put = (struct put *)job;
    if (put->fd >= 0) close(put->fd);
    wisp_arena_deinit(&put->arena);
    free(put);
}

static void put_remove(struct wisp_blobstore_fs_job *job)
{
    unlinkat(job->fs->uploads, ((struct put *)job)->temporary, 0);
}

static void put_discard(struct put *put)
{
    put->job.run = put_remove;
    put->job.end = put_free;
    wisp_blobstore_fs_start(&put->job, put->job.fs);
}

static void put_fail(struct put *put, const struct wisp_err *err)
{
    wisp_blobstore_upload_end(put->upload, err);
    put_discard(put);
}

static void put_abort(struct wisp_blobstore_upload *upload)
{
    struct put *put = upload->user;
    put->upload = NULL;
    if (!put->is_busy) put_discard(put);
}

static void put_write(struct wisp_blobstore_fs_job *job)
{
    struct put *put = (struct put *)job;
    for (size_t at = 0; at < put->n;) {
        ssize_t n = write(put->fd, put->buffer + at, put->n - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            job->r = wisp_err_os(&job->err, errno, "writing the object");
            return;
        }
        at += (size_t)n;
    }
}

static void put_commit(struct wisp_blobstore_fs_job *job)
{
    struct put *put = (struct put *)job;
    job->r = wisp_blobstore_fs_commit(job->fs, put->fd, put->temporary, &put->id, &job->err);
}

static void put_pump(struct wisp_blobstore_upload *upload);

static void put_goes_on(struct wisp_blobstore_fs_job *job)
{
    struct put *put = (struct put *)job;
    put->is_busy = false;
    if (!put->upload) {
        put_discard(put);
    } else if (job->r < 0) {
        put_fail(put, &job->err);
    } else if (put->is_over) {
        wisp_blobstore_upload_end(put->upload, NULL);
        put_free(job);
    } else {
        put_pump(put->upload);
    }
}

static void put_start(struct put *put, void (*run)(struct wisp_blobstore_fs_job *job))
{
    put->is_busy = true;
    put->job.run = run;
    wisp_blobstore_fs_start(&put->job, put->job.fs);
}

static void put_pump(struct wisp_blobstore_upload *upload)
{
    struct put *put = upload->user;
    struct wisp_str bytes;
    struct wisp_err err = {0};
    if (put->is_busy) return;
    switch (wisp_wrpc_reader_peek(upload->data, &bytes, &err)) {
    case WISP_WRPC_READING_WAIT:
        return;
    case WISP_WRPC_READING_FAILED:
        put_fail(put, &err);
        return;
    case WISP_WRPC_READING_END:
        put->is_over = true;
        put_start(put, put_commit);
        return;
    case WISP_WRPC_READING_ITEM:
        put->n = bytes.len < PIECE ? bytes.len : PIECE;
        memcpy(put->buffer, bytes.ptr, put->n);
        wisp_wrpc_reader_consume(upload->data, put->n);
        put_start(put, put_write);
    }
}

static void put_open(struct wisp_blobstore_fs_job *job)
{
    struct put *put = (struct put *)job;
    WISP_CLEANUP_FD int container = -1;
    job->r = wisp_blobstore_fs_check_object(put->id.object, &job->err);
    if (job->r == 0) job->r = wisp_blobstore_fs_open_container(job->fs, put->id.container, &container, &job->err);
    if (job->r == 0) job->r = wisp_blobstore_fs_new_temporary(job->fs, put->temporary, &put->fd, &job->err);
}

static void put_begin(struct wisp_blobstore_fs_job *job)
{
    struct put *put = (struct put *)job;
    if (job->r < 0) {
        wisp_blobstore_done(put->op, &job->err);
        put_free(job);
        return;
    }
    job->end = put_goes_on;
    put->upload = wisp_blobstore_upload_new(WISP_TAKE(put->op));
    put->upload->user = put;
    put->upload->on_ready = put_pump;
    put->upload->on_abort = put_abort;
    wisp_blobstore_upload_start(put->upload);
    put_pump(put->upload);
}

void wisp_blobstore_fs_run_write(struct wisp_blobstore_op *op)
{
    struct put *put = wisp_mem_calloc(1, sizeof *put);
    put->op = op;
    put->fd = -1;
    put->job.run = put_open;
    put->job.end = put_begin;
    put->id = (struct wisp_blobstore_id){wisp_arena_str(&put->arena, op->id.container),
                                         wisp_arena_str(&put->arena, op->id.object)};
    wisp_blobstore_fs_start(&put->job, fs_of(op));
}
