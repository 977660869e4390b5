/* SPDX-License-Identifier: Apache-2.0 */
/* Containers as buckets of a server that speaks S3 (AWS Signature Version 4, path-style addresses). */
#pragma once

#include "capability/blobstore/rest.h"

#include <time.h>

enum { WISP_S3_PARTS_MAX = 10 * 1000 }; /* S3's own limit */

/* --- settings (s3_config.c) --- */

struct wisp_s3_alias {
    struct wisp_str name, bucket;
};
struct wisp_s3_config {
    const char *access_key, *secret_key, *session_token, *region, *bucket_region; /* some NULL */
    struct wisp_rest_endpoint endpoint;
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

/* --- a link --- */

struct wisp_s3 {
    struct wisp_rest rest;
    struct wisp_s3_config config;
};

/* --- the dialect (s3_list.c, s3_delete.c, s3_put.c) --- */

void wisp_s3_ask_page(struct wisp_rest_call *call, struct wisp_str token);
int wisp_s3_read_page(struct wisp_rest_call *call, struct wisp_rest_page *ret_page, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_s3_remove(struct wisp_rest_removal *removal);

void wisp_s3_ask_begin(struct wisp_rest_call *call);
int wisp_s3_read_begun(struct wisp_rest_call *call, struct wisp_rest_parts *parts, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_s3_ask_part(struct wisp_rest_call *call, struct wisp_rest_parts *parts);
int wisp_s3_read_part(struct wisp_rest_call *call, struct wisp_rest_parts *parts, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_s3_ask_complete(struct wisp_rest_call *call, struct wisp_rest_parts *parts);
void wisp_s3_ask_forget(struct wisp_rest_call *call, const struct wisp_rest_parts *parts);
