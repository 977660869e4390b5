/* SPDX-License-Identifier: Apache-2.0 */
/* redis://[USER[:PASSWORD]@]HOST[:PORT][/DB] */
#pragma once

#include "base/err.h"
#include "base/mem.h"

struct wisp_redis_address {
    bool is_tls;
    char *host;            /* without brackets */
    char *user, *password; /* NULL: none */
    uint16_t port;
    uint32_t db;
};

/* INVALID says what is wrong without showing any of it. The caller deinits it in any case. */
int wisp_redis_address_parse(struct wisp_str url, struct wisp_redis_address *ret_address, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_redis_address_deinit(struct wisp_redis_address *address);
