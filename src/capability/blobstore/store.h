/* SPDX-License-Identifier: Apache-2.0 */
/* What a kind of blobstore has to do: operations on containers and objects that end later, and streams of bytes or
 * names at the pace of whoever is at the other end. Everything here is the loop's. */
#pragma once

#include "base/ring.h"
#include "capability/blobstore/blobstore.h"

struct wisp_blobstore_op;

/* Each gets the parameters in `op` and ends with wisp_blobstore_done, before it returns or later; those of streams may
 * end with wisp_blobstore_download_new or wisp_blobstore_upload_new instead, and go on with that. */
struct wisp_blobstore_ops {
    void (*run[WISP_BLOBSTORE_N_FUNCS])(struct wisp_blobstore_op *op);
};

/* Of one link: link->state. First member of what the kind has of it. */
struct wisp_blobstore_store {
    const struct wisp_blobstore_ops *ops;
    struct wisp_link downloads, uploads; /* streams that go on after their calls */
};
void wisp_blobstore_store_init(struct wisp_blobstore_store *store, const struct wisp_blobstore_ops *ops);
/* For del_link: every stream gets its on_abort and breaks off, saying this. */
void wisp_blobstore_store_abort(struct wisp_blobstore_store *store, const char *text);

/* --- one call --- */

struct wisp_blobstore_op {
    struct wisp_blobstore_store *store;
    struct wisp_provider_call *call;
    struct wisp_arena arena; /* until it ends */
    /* Parameters, in that arena. The container's name is always in `id`. */
    struct wisp_blobstore_id id, target;
    struct wisp_blobstore_names objects;
    uint64_t start, end;                             /* of bytes: start <= end; of names: offset and offset + limit */
    struct wisp_wrpc_reader *data;                   /* what to write; wisp_blobstore_upload_new takes it */
    bool exists;                                     /* results */
    uint64_t created_at, size;                       /* likewise */
    void (*on_cancel)(struct wisp_blobstore_op *op); /* nobody waits any more; it must still end. NULL: it will */
    void *user;                                      /* the kind's */
};
enum wisp_blobstore_func wisp_blobstore_func_of(const struct wisp_provider_call *call);
/* The op is gone. `err` NULL: it was done. */
void wisp_blobstore_done(struct wisp_blobstore_op *op, const struct wisp_err *err);

/* --- streams --- */

/* From the store: bytes, or names. */
struct wisp_blobstore_download {
    struct wisp_link link;
    struct wisp_wrpc_writer *data, *status;                     /* status NULL: of 0.1.0 */
    void (*on_room)(struct wisp_blobstore_download *download);  /* there is room again, or nobody wants it any more */
    void (*on_abort)(struct wisp_blobstore_download *download); /* it is gone after this */
    void *user;
};
/* Answers the call with it; the op is gone. The kind fills the functions and starts it. */
struct wisp_blobstore_download *wisp_blobstore_download_new(struct wisp_blobstore_op *op);
void wisp_blobstore_download_start(struct wisp_blobstore_download *download); /* on_room may come */
size_t wisp_blobstore_download_room(const struct wisp_blobstore_download *download);
bool wisp_blobstore_download_is_unwanted(const struct wisp_blobstore_download *download);
/* An error has been the end of it: don't use it any more. */
int wisp_blobstore_download_write(struct wisp_blobstore_download *download, struct wisp_str bytes)
    __attribute__((warn_unused_result));
int wisp_blobstore_download_put(struct wisp_blobstore_download *download, struct wisp_str name)
    __attribute__((warn_unused_result));
/* NULL: it was all. Else it breaks off, and the status says why. */
void wisp_blobstore_download_end(struct wisp_blobstore_download *download, const struct wisp_err *err);

/* To the store. */
struct wisp_blobstore_upload {
    struct wisp_link link;
    struct wisp_wrpc_reader *data;
    struct wisp_wrpc_writer *status; /* NULL: of 0.1.0, and the call is not answered yet */
    struct wisp_provider_call *call; /* then */
    void (*on_ready)(struct wisp_blobstore_upload *upload);
    void (*on_abort)(struct wisp_blobstore_upload *upload);
    void *user;
};
/* Answers the call with the status to come, if its version has one; the op is gone. */
struct wisp_blobstore_upload *wisp_blobstore_upload_new(struct wisp_blobstore_op *op);
void wisp_blobstore_upload_start(struct wisp_blobstore_upload *upload); /* on_ready may come, as that of a reader */
void wisp_blobstore_upload_end(struct wisp_blobstore_upload *upload, const struct wisp_err *err);
