/* SPDX-License-Identifier: Apache-2.0 */
/* Where guest-facing interfaces with objects of their own (wasi:keyvalue, wasi:blobstore, wasi:http/outgoing-handler)
 * get what they do from: the provider that the guest's link leads to, in this process or over the bus. They translate
 * handles into functions of the wire interface. Implemented by whoever runs guests. */
#pragma once

#include "provider/provider.h"
#include "wasi/wasi.h"

enum { WISP_OUTSIDE_FAILED = 1 };

/* As wisp_wasi.outside of every invocation; NULL: there is nothing outside. */
struct wisp_outside {
    /* Calls `func` of `interface` by the invocation's link for interface->link_interface, and suspends until it is
     * answered. `args` and `result` are its native structs; the result's memory is call->arena's; streams are as in
     * wrpc/stream.h, and writers in `args` stay the caller's. 0; or WISP_OUTSIDE_FAILED, and `err` says why (NOT_FOUND:
     * there is no link; UNAVAILABLE, TIMEOUT, GUEST: the other side); or negative: return it at once, the guest is
     * being ended. Calls wait for a provider that is just being started again. */
    int (*call)(struct wisp_call *call, const struct wisp_provider_interface *interface,
                const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err);
};

/* The same, with NOT_FOUND for an invocation without an outside. */
int wisp_outside_call(struct wisp_call *call, const struct wisp_provider_interface *interface,
                      const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err)
    __attribute__((warn_unused_result));
