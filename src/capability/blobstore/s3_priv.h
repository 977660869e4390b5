/* SPDX-License-Identifier: Apache-2.0 */
/* Containers as buckets of a server that speaks S3 (AWS Signature Version 4, path-style addresses). */
#pragma once

#include "capability/blobstore/store.h"
#include "capability/blobstore/xml.h"
#include "web/web.h"

#include <openssl/evp.h>
#include <time.h>

enum {
    WISP_S3_PART = 8 << 20,        /* of a multipart upload; what is smaller goes in one request */
    WISP_S3_PARTS_MAX = 10 * 1000, /* S3's own limit */
    WISP_S3_PAGE = 1000,           /* names of a list, of a deletion */
    WISP_S3_ANSWER_MAX = 16 << 20, /* bytes of an answer that is no object */
    WISP_S3_KEY_MAX = 1024,
};

/* --- settings (s3_config.c) --- */

struct wisp_s3_alias {
    struct wisp_str name, bucket;
};
struct wisp_s3_config {
    const char *access_key, *secret_key, *session_token, *region, *bucket_region; /* some NULL */
    const char *origin;    /* "https://host:9000", without a path */
    const char *host;      /* as the Host header has it */
    const char *base_path; /* "" or "/prefix" */
    const struct wisp_s3_alias *aliases;
    size_t n_aliases;
    unsigned n_attempts_max;
};
/* In the arena. INVALID, or UNSUPPORTED for roles to be assumed; values are not shown. */
int wisp_s3_config_read(const struct wisp_settings *settings, struct wisp_arena *arena,
                        struct wisp_s3_config *ret_config, struct wisp_err *err) __attribute__((warn_unused_result));
struct wisp_str wisp_s3_bucket(const struct wisp_s3_config *config, struct wisp_str container);

/* --- signing (s3_sign.c) --- */

struct wisp_s3_to_sign {
    const char *method, *host;
    struct wisp_str path, query;           /* as sent; the query's parameters sorted */
    const struct wisp_web_header *headers; /* besides host; those of x-amz-, sorted, in lower case */
    size_t n_headers;
    const char *payload_hash; /* SHA-256, hex */
    time_t now;
};
/* The value of Authorization. The date must be among the headers as wisp_s3_date writes it. */
void wisp_s3_sign(const struct wisp_s3_config *config, const struct wisp_s3_to_sign *what, struct wisp_buf *out);
void wisp_s3_date(time_t now, char out[17]); /* "20130524T000000Z" */
void wisp_s3_hash(struct wisp_str bytes, char out[65]);
void wisp_s3_hex(const uint8_t digest[32], char out[65]);
/* Percent-encodes all but letters, digits, `-._~` and, if they are to stay, slashes. */
void wisp_s3_encode(struct wisp_buf *out, struct wisp_str text, bool keep_slashes);

/* --- a link --- */

/* Counted: calls that clean up outlive the link. */
struct wisp_s3 {
    struct wisp_blobstore_store base;
    unsigned n_refs;
    uv_loop_t *loop;
    struct wisp_web *web;
    struct wisp_arena arena;
    struct wisp_s3_config config;
};
void wisp_s3_unref(struct wisp_s3 *s3);

/* --- one request, repeated when the server is away for a moment (s3_call.c) --- */

enum { WISP_S3_HEADERS_MAX = 8 };

struct wisp_s3_call {
    struct wisp_s3 *s3;
    struct wisp_arena arena;
    const char *method;
    struct wisp_buf path, query;
    /* Sorted, lower case; those of x-amz- are signed. Values live in the arena. */
    struct wisp_web_header headers[WISP_S3_HEADERS_MAX];
    size_t n_headers;
    struct wisp_str body;  /* borrowed */
    char payload_hash[65]; /* of the body; empty: not computed yet */
    bool once;             /* not to be repeated, and given up after some seconds */
    /* It has been answered. `err`: not at all, or by an error (NOT_FOUND, DENIED, ...; `status` and `code` say more).
     * The call is gone after this. */
    void (*on_done)(struct wisp_s3_call *call, const struct wisp_err *err);
    /* For an object: instead of the answer being kept, if it is none of an error. */
    void (*on_begin)(struct wisp_s3_call *call);
    int (*on_bytes)(struct wisp_s3_call *call, struct wisp_str bytes, struct wisp_err *err);
    void *user;
    /* the answer */
    long status;
    struct wisp_buf answer;
    struct wisp_str code; /* of an error: "NoSuchKey"; may be empty */
    struct wisp_str etag;
    uint64_t size, modified; /* Content-Length; Last-Modified in s since 1970, 0 without */
    /* inside */
    struct wisp_web_request *request;
    uv_timer_t timer;
    unsigned n_attempts;
    bool has_begun;
    struct wisp_err error;
};

/* "/bucket" or "/bucket/key". INVALID for names that can't be. */
struct wisp_s3_call *wisp_s3_call_new(struct wisp_s3 *s3, const char *method, struct wisp_blobstore_id id,
                                      struct wisp_err *err);
/* In sorted order. */
void wisp_s3_call_param(struct wisp_s3_call *call, const char *name, struct wisp_str value);
void wisp_s3_call_header(struct wisp_s3_call *call, const char *name, const char *value);
void wisp_s3_call_send(struct wisp_s3_call *call);
/* Without on_done; not from on_begin, on_bytes. NULL is fine. */
void wisp_s3_call_cancel(struct wisp_s3_call *call);
void wisp_s3_call_pause(struct wisp_s3_call *call);
void wisp_s3_call_resume(struct wisp_s3_call *call);

/* --- operations --- */

/* What an operation says of a call's error. */
void wisp_s3_explain(const struct wisp_s3_call *call, const struct wisp_blobstore_id *id, struct wisp_err *err);
/* Ends the op with a call's error. */
void wisp_s3_fail(struct wisp_blobstore_op *op, const struct wisp_s3_call *call, const struct wisp_blobstore_id *id,
                  const struct wisp_err *err);
/* A call of the op: cancelled with it. NULL: the op has ended. */
struct wisp_s3_call *wisp_s3_op_call(struct wisp_blobstore_op *op, const char *method, struct wisp_blobstore_id id);

/* A page of a list (s3_list.c). */
struct wisp_s3_page {
    struct wisp_blobstore_names names;
    struct wisp_str token; /* of the next one; empty: there is none */
};
void wisp_s3_page_ask(struct wisp_s3_call *call, struct wisp_str token);
/* All in the call's arena. */
int wisp_s3_page_read(struct wisp_s3_call *call, struct wisp_s3_page *ret_page, struct wisp_err *err)
    __attribute__((warn_unused_result));

void wisp_s3_run_list(struct wisp_blobstore_op *op);
/* Clears a container, deletes it, deletes objects (s3_delete.c). */
void wisp_s3_run_delete(struct wisp_blobstore_op *op);
void wisp_s3_run_get(struct wisp_blobstore_op *op);   /* s3_get.c */
void wisp_s3_run_write(struct wisp_blobstore_op *op); /* s3_put.c */
