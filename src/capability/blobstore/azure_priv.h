/* SPDX-License-Identifier: Apache-2.0 */
/* Containers of an Azure storage account (REST of the blob service, authorized with the account's shared key). */
#pragma once

#include "capability/blobstore/rest.h"

/* Of the protocol: the last one that leaves names in lists as they are. */
#define WISP_AZURE_VERSION "2020-10-02"

enum { WISP_AZURE_BLOCKS_MAX = 50 * 1000 }; /* Azure's own limit */

/* --- settings --- */

struct wisp_azure_config {
    const char *account;
    struct wisp_str key; /* decoded */
    struct wisp_rest_endpoint endpoint;
};
/* In the arena. INVALID; values are not shown. */
int wisp_azure_config_read(const struct wisp_settings *settings, struct wisp_arena *arena,
                           struct wisp_azure_config *ret_config, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- signing (azure_sign.c) --- */

struct wisp_azure_to_sign {
    const char *method;
    struct wisp_str path, query; /* as sent; the query's parameters sorted */
    const struct wisp_rest_headers *headers;
    size_t body_size;
};
/* The value of Authorization. */
void wisp_azure_sign(const struct wisp_azure_config *config, const struct wisp_azure_to_sign *what,
                     struct wisp_buf *out);

/* --- a link --- */

struct wisp_azure {
    struct wisp_rest rest;
    struct wisp_azure_config config;
};

/* --- the dialect --- */

void wisp_azure_ask_page(struct wisp_rest_call *call, struct wisp_str token);
int wisp_azure_read_page(struct wisp_rest_call *call, struct wisp_rest_page *ret_page, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_azure_remove(struct wisp_rest_removal *removal); /* azure_delete.c */
