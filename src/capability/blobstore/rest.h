/* SPDX-License-Identifier: Apache-2.0 */
/* Containers at a server that speaks HTTP and XML: what S3's and Azure's protocols have in common. What they have not
 * is a dialect. */
#pragma once

#include "capability/blobstore/store.h"
#include "capability/blobstore/xml.h"
#include "web/web.h"

enum {
    WISP_REST_PART = 8 << 20,        /* of an upload in parts; what is smaller goes in one request */
    WISP_REST_PAGE = 1000,           /* names of a list */
    WISP_REST_ANSWER_MAX = 16 << 20, /* bytes of an answer that is no object */
    WISP_REST_KEY_MAX = 1024,
    WISP_REST_HEADERS_MAX = 12, /* of a request, those that are signed included */
};

struct wisp_rest;
struct wisp_rest_call;
struct wisp_rest_removal;

/* An upload in parts: what the dialect has to know of it. */
struct wisp_rest_parts {
    struct wisp_arena arena;
    struct wisp_str id;   /* empty: it hasn't begun */
    struct wisp_buf list; /* of the request that completes it */
    unsigned n;           /* parts that were sent, the one under way included */
};

/* A page of a list. */
struct wisp_rest_page {
    struct wisp_blobstore_names names;
    struct wisp_str token; /* of the next one; empty: there is none */
};

/* Sorted. */
struct wisp_rest_headers {
    struct wisp_web_header list[WISP_REST_HEADERS_MAX];
    size_t n;
};
/* `name` in lower case; both stay the caller's. */
void wisp_rest_headers_add(struct wisp_rest_headers *headers, const char *name, const char *value);

/* The functions get calls that are new and give them method, parameters, headers and body, or that were answered, and
 * read them. Those that read fail with INVALID. */
struct wisp_rest_dialect {
    const char *no_container, *container_exists; /* codes of errors */
    unsigned n_parts_max;
    bool wants_sha256; /* of what is uploaded */
    /* What the server calls a container; in the arena. NULL: as it is called. */
    struct wisp_str (*container)(struct wisp_rest *rest, struct wisp_str name);
    /* All is in it, and it will be sent: what each call of the dialect has. */
    void (*complete)(struct wisp_rest_call *call);
    /* For each attempt. `headers` has the call's; values live in the arena, the authorization is a text. */
    void (*sign)(struct wisp_rest_call *call, struct wisp_rest_headers *headers, struct wisp_arena *arena,
                 struct wisp_buf *authorization);
    void (*read_head)(struct wisp_rest_call *call, const struct wisp_web_response *response); /* or NULL */
    void (*ask_page)(struct wisp_rest_call *call, struct wisp_str token);
    int (*read_page)(struct wisp_rest_call *call, struct wisp_rest_page *ret_page, struct wisp_err *err);
    /* Deletes the first of its names, some or all, and goes on with wisp_rest_removal_next, or ends the op. */
    void (*remove)(struct wisp_rest_removal *removal);
    /* Uploads: PUTs, if nothing else is said. The body of whole ones and of parts is there already. */
    void (*ask_whole)(struct wisp_rest_call *call); /* or NULL */
    void (*begin)(struct wisp_rest_parts *parts);   /* without the server; or NULL: */
    void (*ask_begin)(struct wisp_rest_call *call);
    int (*read_begun)(struct wisp_rest_call *call, struct wisp_rest_parts *parts, struct wisp_err *err);
    void (*ask_part)(struct wisp_rest_call *call, struct wisp_rest_parts *parts);
    int (*read_part)(struct wisp_rest_call *call, struct wisp_rest_parts *parts, struct wisp_err *err);
    void (*ask_complete)(struct wisp_rest_call *call, struct wisp_rest_parts *parts);
    void (*ask_forget)(struct wisp_rest_call *call, const struct wisp_rest_parts *parts); /* or NULL */
};

/* --- a link --- */

struct wisp_rest_endpoint {
    const char *origin;    /* "https://host:9000", without a path */
    const char *host;      /* as the Host header has it */
    const char *base_path; /* "" or "/prefix" */
};
/* In the arena. INVALID names the setting. */
int wisp_rest_endpoint_read(const char *url, const char *setting, struct wisp_arena *arena,
                            struct wisp_rest_endpoint *ret_endpoint, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* First member of what the kind has of a link, which is one allocation. Counted: calls that clean up outlive the link.
 */
struct wisp_rest {
    struct wisp_blobstore_store base;
    const struct wisp_rest_dialect *dialect;
    unsigned n_refs;
    uv_loop_t *loop;
    struct wisp_web *web; /* NULL before wisp_rest_open */
    struct wisp_arena arena;
    struct wisp_rest_endpoint endpoint;
    unsigned n_attempts_max;
};
/* `size` is that of the kind's struct, zeroed but for this. */
struct wisp_rest *wisp_rest_new(size_t size, const struct wisp_blobstore_ops *ops,
                                const struct wisp_rest_dialect *dialect, uv_loop_t *loop);
void wisp_rest_unref(struct wisp_rest *rest);
/* For put_link, when the settings were read (`r`): the link's state is there, or `rest` is gone. */
int wisp_rest_open(struct wisp_rest *rest, int r, struct wisp_provider_link *link, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_rest_del_link(struct wisp_provider *provider, struct wisp_provider_link *link);

/* --- one request, repeated when the server is away for a moment (rest_call.c) --- */

struct wisp_rest_call {
    struct wisp_rest *rest;
    struct wisp_arena arena;
    const char *method;
    struct wisp_buf path, query;
    bool is_container;                /* not one of an object */
    struct wisp_rest_headers headers; /* values live in the arena */
    struct wisp_str body;             /* borrowed */
    char sha256[65];                  /* of the body, hex; empty: not computed */
    bool once;                        /* not to be repeated, and given up after some seconds */
    uint64_t delay_ms;                /* of the first attempt */
    /* It has been answered. `err`: not at all, or by an error (NOT_FOUND, DENIED, ...; `status` and `code` say more).
     * The call is gone after this. */
    void (*on_done)(struct wisp_rest_call *call, const struct wisp_err *err);
    /* For an object: instead of the answer being kept, if it is none of an error. */
    void (*on_begin)(struct wisp_rest_call *call);
    int (*on_bytes)(struct wisp_rest_call *call, struct wisp_str bytes, struct wisp_err *err);
    void *user;
    /* the answer */
    long status;
    struct wisp_buf answer;
    struct wisp_str code; /* of an error: "NoSuchKey"; may be empty */
    struct wisp_str etag;
    struct wisp_str copy_status; /* the dialect's; may be empty */
    uint64_t size, created_at;   /* Content-Length; Last-Modified in s since 1970, 0 without */
    /* inside */
    struct wisp_web_request *request;
    uv_timer_t timer;
    unsigned n_attempts;
    bool has_begun;
};

/* "/container" or "/container/object". INVALID for names that can't be. */
struct wisp_rest_call *wisp_rest_call_new(struct wisp_rest *rest, const char *method, struct wisp_blobstore_id id,
                                          struct wisp_err *err);
/* In sorted order. */
void wisp_rest_call_param(struct wisp_rest_call *call, const char *name, struct wisp_str value);
void wisp_rest_call_send(struct wisp_rest_call *call);
/* Without on_done; not from on_begin, on_bytes. NULL is fine. */
void wisp_rest_call_cancel(struct wisp_rest_call *call);
void wisp_rest_call_pause(struct wisp_rest_call *call);
void wisp_rest_call_resume(struct wisp_rest_call *call);
/* "/container/object" behind the endpoint's path. INVALID for names that can't be. */
int wisp_rest_path(struct wisp_rest *rest, struct wisp_blobstore_id id, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Percent-encodes all but letters, digits, `-._~` and, if they are to stay, slashes. */
void wisp_rest_encode(struct wisp_buf *out, struct wisp_str text, bool keep_slashes);
/* The opposite, in place; `+` is a blank. */
struct wisp_str wisp_rest_decode(struct wisp_str text);
/* The seconds since 1970 of a date as HTTP has it; 0 when it is none. */
uint64_t wisp_rest_date(struct wisp_str text);

/* --- operations --- */

/* What an operation says of a call's error. */
void wisp_rest_explain(const struct wisp_rest_call *call, const struct wisp_blobstore_id *id, struct wisp_err *err);
/* Ends the op with a call's error. */
void wisp_rest_fail(struct wisp_blobstore_op *op, const struct wisp_rest_call *call, const struct wisp_blobstore_id *id,
                    const struct wisp_err *err);
/* A call of the op: cancelled with it. NULL: the op has ended. */
struct wisp_rest_call *wisp_rest_op_call(struct wisp_blobstore_op *op, const char *method, struct wisp_blobstore_id id);
/* The call's on_done: it has failed, or that was it. */
void wisp_rest_on_done(struct wisp_rest_call *call, const struct wisp_err *err);
void wisp_rest_on_created(struct wisp_rest_call *call, const struct wisp_err *err);
/* An object has been copied: with move-object, its source goes. */
void wisp_rest_on_copied(struct wisp_rest_call *call, const struct wisp_err *err);
/* An object isn't there any more. False: it is, or nobody knows. */
bool wisp_rest_is_gone(const struct wisp_rest_call *call, const struct wisp_err *err);

void wisp_rest_run_look(struct wisp_blobstore_op *op); /* info */
void wisp_rest_run_look_for(struct wisp_blobstore_op *op);
void wisp_rest_run_delete_container(struct wisp_blobstore_op *op); /* with or without what is in it: the server's way */
void wisp_rest_run_delete_object(struct wisp_blobstore_op *op);
void wisp_rest_run_list(struct wisp_blobstore_op *op);  /* rest_list.c */
void wisp_rest_run_get(struct wisp_blobstore_op *op);   /* rest_get.c */
void wisp_rest_run_write(struct wisp_blobstore_op *op); /* rest_put.c */

/* What the dialect reads of an answer to a page that was asked for with `token`. */
int wisp_rest_read_page(struct wisp_rest_call *call, struct wisp_str token, struct wisp_rest_page *ret_page,
                        struct wisp_err *err) __attribute__((warn_unused_result));

/* --- many objects at once: those that were named, or all of a container, page by page (rest_remove.c) --- */

struct wisp_rest_removal { /* in the op's arena */
    struct wisp_blobstore_op *op;
    bool is_all, deletes_container;
    struct wisp_blobstore_names names; /* still to be deleted */
    struct wisp_str token;
};
/* Clears a container, deletes it, deletes objects. */
void wisp_rest_run_remove(struct wisp_blobstore_op *op);
/* When the dialect has deleted `names`, or some of them and has changed it. */
void wisp_rest_removal_next(struct wisp_rest_removal *removal);
