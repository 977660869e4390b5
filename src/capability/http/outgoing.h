/* SPDX-License-Identifier: Apache-2.0 */
/* wrpc:http/outgoing-handler, as the kind `http-client` exports it and guests call it. Its structs are those of
 * wasi/http_outgoing.h. */
#pragma once

#include "provider/provider.h"

extern const struct wisp_provider_interface wisp_http_outgoing_handler;

/* The type of `handle`, for good: streams of it may outlive the instance that made them. INTERNAL when the table
 * contradicts itself. */
int wisp_http_outgoing_type(const struct wisp_func_type **ret_type, struct wisp_err *err)
    __attribute__((warn_unused_result));
