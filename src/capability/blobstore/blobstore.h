/* SPDX-License-Identifier: Apache-2.0 */
/* `wrpc:blobstore/blobstore@0.2.0`: containers with objects, as it is on the wire; for those who serve it (store.h) and
 * for guests' calls of it (guest.c). All errors are texts. Version 0.1.0, which older hosts call, has no statuses: what
 * breaks off a stream of it just ends it, and writing is answered when the object is there. */
#pragma once

#include "provider/provider.h"

/* In the order of the table below. */
enum wisp_blobstore_func {
    WISP_BLOBSTORE_CLEAR_CONTAINER,
    WISP_BLOBSTORE_CONTAINER_EXISTS,
    WISP_BLOBSTORE_CREATE_CONTAINER,
    WISP_BLOBSTORE_DELETE_CONTAINER,
    WISP_BLOBSTORE_GET_CONTAINER_INFO,
    WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS,
    WISP_BLOBSTORE_COPY_OBJECT,
    WISP_BLOBSTORE_DELETE_OBJECT,
    WISP_BLOBSTORE_DELETE_OBJECTS,
    WISP_BLOBSTORE_GET_CONTAINER_DATA,
    WISP_BLOBSTORE_GET_OBJECT_INFO,
    WISP_BLOBSTORE_HAS_OBJECT,
    WISP_BLOBSTORE_MOVE_OBJECT,
    WISP_BLOBSTORE_WRITE_CONTAINER_DATA,
    WISP_BLOBSTORE_N_FUNCS
};

/* Their functions are those of any store: link->state is a struct wisp_blobstore_store. */
extern const struct wisp_provider_interface wisp_blobstore_interface, wisp_blobstore_interface_1;
extern const struct wisp_provider_interface *const wisp_blobstore_exports[];
enum { WISP_BLOBSTORE_EXPORT_COUNT = 2 };

/* --- parameters --- */

struct wisp_blobstore_id {
    struct wisp_str container, object;
};
struct wisp_blobstore_name_args {
    struct wisp_str name;
};
struct wisp_blobstore_option_u64 {
    uint32_t is_some;
    uint64_t value;
};
struct wisp_blobstore_list_args {
    struct wisp_str name;
    struct wisp_blobstore_option_u64 limit, offset;
};
struct wisp_blobstore_ids_args {
    struct wisp_blobstore_id source, target;
};
struct wisp_blobstore_id_args {
    struct wisp_blobstore_id id;
};
struct wisp_blobstore_names {
    const struct wisp_str *ptr;
    size_t len;
};
struct wisp_blobstore_objects_args {
    struct wisp_str container;
    struct wisp_blobstore_names objects;
};
struct wisp_blobstore_data_args {
    struct wisp_blobstore_id id;
    uint64_t start, end; /* the byte at `end` is not part of it */
};
struct wisp_blobstore_write_args {
    struct wisp_blobstore_id id;
    void *data; /* stream<u8> */
};

/* --- results --- */

struct wisp_blobstore_result { /* also what a status is */
    uint32_t is_err;
    struct wisp_str error;
};
struct wisp_blobstore_bool_result {
    uint32_t is_err;
    union {
        bool ok;
        struct wisp_str error;
    };
};
struct wisp_blobstore_container_result {
    uint32_t is_err;
    union {
        uint64_t created_at; /* s since 1970; 0: not known */
        struct wisp_str error;
    };
};
struct wisp_blobstore_object_result {
    uint32_t is_err;
    union {
        struct {
            uint64_t created_at, size;
        } ok;
        struct wisp_str error;
    };
};
struct wisp_blobstore_stream_result { /* of bytes or names; the status says whether all of them came */
    uint32_t is_err;
    union {
        struct {
            void *data, *status;
        } ok;
        struct wisp_str error;
    };
};
struct wisp_blobstore_stream_1_result { /* of 0.1.0 */
    uint32_t is_err;
    union {
        void *data;
        struct wisp_str error;
    };
};
struct wisp_blobstore_write_result {
    uint32_t is_err;
    union {
        void *status; /* comes when the object is there */
        struct wisp_str error;
    };
};
