/* SPDX-License-Identifier: Apache-2.0 */
/* The kind `http-client` from within: an instance (client.c), and one request on its way (transfer.c). */
#pragma once

#include "base/ring.h"
#include "capability/http/allowed_hosts.h"
#include "capability/http/outgoing.h"
#include "wasi/http_outgoing.h"
#include "web/web.h"

/* What connections are made with, as long as requests use it. */
struct wisp_http_backing {
    struct wisp_web *web;
    uint32_t n_refs;
};
void wisp_http_backing_unref(struct wisp_http_backing *backing);

struct wisp_http_client {
    struct wisp_provider *provider;
    struct wisp_http_backing *backing;
    struct wisp_http_allowed_hosts allowed;
    struct wisp_arena arena; /* of `allowed` */
    const struct wisp_func_type *handle;
    struct wisp_link transfers;
    uint32_t n_transfers;
};

enum { WISP_HTTP_TRANSFERS_MAX = 1000 }; /* requests in progress of an instance, each with a connection */

wisp_provider_fn wisp_http_client_handle;
struct wisp_http_transfer;
/* Ends it at once: a response is broken off, a call fails. */
void wisp_http_transfer_stop(struct wisp_link *link);
