/* SPDX-License-Identifier: Apache-2.0 */
/* Containers as directories, objects as files beneath them. What touches the disk runs in libuv's threads. */
#pragma once

#include "capability/blobstore/listing.h"

#include <uv.h>

/* --- a link's directories --- */

/* Counted, for work that goes on after the link has gone. */
struct wisp_blobstore_fs {
    struct wisp_blobstore_store base;
    uv_loop_t *loop;
    unsigned n_refs; /* the loop's */
    int root, uploads;
};
void wisp_blobstore_fs_unref(struct wisp_blobstore_fs *fs);

/* --- what is done there: any thread (fs_files.c) --- */

enum { WISP_BLOBSTORE_FS_TEMPORARY_MAX = 40 };

/* The directory that objects being written are in; made if needed. */
#define WISP_BLOBSTORE_FS_UPLOADS ".wisp-uploads"

/* INVALID for names that can't be; DENIED for what leads out of the root or container; NOT_FOUND. */
int wisp_blobstore_fs_open_container(const struct wisp_blobstore_fs *fs, struct wisp_str name, int *ret_fd,
                                     struct wisp_err *err) __attribute__((warn_unused_result));
/* For reading; a regular file. */
int wisp_blobstore_fs_open_object(const struct wisp_blobstore_fs *fs, const struct wisp_blobstore_id *id, int *ret_fd,
                                  uint64_t *ret_created_at, uint64_t *ret_size, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* A new file among the uploads; `name` gets its name. */
int wisp_blobstore_fs_new_temporary(const struct wisp_blobstore_fs *fs, char *name, int *ret_fd, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* It becomes the object. */
int wisp_blobstore_fs_commit(const struct wisp_blobstore_fs *fs, int fd, const char *temporary,
                             const struct wisp_blobstore_id *id, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_blobstore_fs_check_object(struct wisp_str name, struct wisp_err *err) __attribute__((warn_unused_result));

/* Whole operations: parameters and results in `op`. */
typedef int wisp_blobstore_fs_op(const struct wisp_blobstore_fs *fs, struct wisp_blobstore_op *op,
                                 struct wisp_err *err);
wisp_blobstore_fs_op wisp_blobstore_fs_clear, wisp_blobstore_fs_container_exists, wisp_blobstore_fs_create,
    wisp_blobstore_fs_delete_container, wisp_blobstore_fs_container_info, wisp_blobstore_fs_copy,
    wisp_blobstore_fs_delete_object, wisp_blobstore_fs_delete_objects, wisp_blobstore_fs_object_info,
    wisp_blobstore_fs_has_object, wisp_blobstore_fs_move;

/* The names of a container's objects, sorted. LIMIT when there are too many. */
int wisp_blobstore_fs_list(const struct wisp_blobstore_fs *fs, struct wisp_str container,
                           struct wisp_blobstore_listing *listing, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Uploads that a process left behind when it died. */
void wisp_blobstore_fs_sweep(const struct wisp_blobstore_fs *fs);

/* --- work in a thread, and its end in the loop (fs.c) --- */

struct wisp_blobstore_fs_job {
    uv_work_t work;
    struct wisp_blobstore_fs *fs;
    void (*run)(struct wisp_blobstore_fs_job *job); /* in a thread; fills err */
    void (*end)(struct wisp_blobstore_fs_job *job); /* in the loop; may start it again */
    int r;
    struct wisp_err err;
};
void wisp_blobstore_fs_start(struct wisp_blobstore_fs_job *job, struct wisp_blobstore_fs *fs);

/* --- streams (fs_stream.c) --- */

void wisp_blobstore_fs_run_list(struct wisp_blobstore_op *op);
void wisp_blobstore_fs_run_get(struct wisp_blobstore_op *op);
void wisp_blobstore_fs_run_write(struct wisp_blobstore_op *op);
