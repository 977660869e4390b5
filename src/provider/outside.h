/* SPDX-License-Identifier: Apache-2.0 */
/* Where guest-facing interfaces with objects of their own (wasi:keyvalue, wasi:blobstore, wasi:http/outgoing-handler)
 * get what they do from: the provider that the guest's link leads to, in this process or over the bus. They translate
 * handles into functions of the wire interface. Implemented by whoever runs guests. */
#pragma once

#include "provider/provider.h"
#include "wasi/wasi.h"

enum { WISP_OUTSIDE_FAILED = 1 };

/* A call that the guest does not stand still for. */
struct wisp_outside_pending;
/* `result` is the native struct; it and what it points to are valid during the callback only, and readers in it are the
 * callback's to close, then or later. Without a result `err` says why, as below. */
typedef void wisp_outside_on_done(const void *result, const struct wisp_err *err, void *env);

/* As wisp_wasi.outside of every invocation; NULL: there is nothing outside. */
struct wisp_outside {
    /* Calls `func` of `interface` by the invocation's link for interface->link_interface, and suspends until it is
     * answered. `args` and `result` are its native structs; the result's memory is call->arena's; streams are as in
     * wrpc/stream.h, and writers in `args` stay the caller's. 0; or WISP_OUTSIDE_FAILED, and `err` says why (NOT_FOUND:
     * there is no link; UNAVAILABLE, TIMEOUT, GUEST: the other side); or negative: return it at once, the guest is
     * being ended. Calls wait for a provider that is just being started again. */
    int (*call)(struct wisp_call *call, const struct wisp_provider_interface *interface,
                const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err);
    /* The same without waiting. `args` and what they point to stay until on_done or cancel; writers in them are
     * replaced by readers when they are piped, so whoever made them keeps them elsewhere too. on_done comes exactly
     * once, perhaps before this returns (then it returns NULL), else from the loop; not after cancel, which may be
     * called from anywhere on the thread but within the callbacks of streams of this call. Whoever calls this owes
     * on_done or cancel before the invocation's state (call->context) goes: wisp_wasi_http_reset sees to it for
     * outgoing requests. Does not suspend. */
    struct wisp_outside_pending *(*start)(struct wisp_call *call, const struct wisp_provider_interface *interface,
                                          const struct wisp_provider_func *func, void *args,
                                          wisp_outside_on_done *on_done, void *env);
    void (*cancel)(struct wisp_outside_pending *pending);
};

/* The same, with NOT_FOUND for an invocation without an outside. */
int wisp_outside_call(struct wisp_call *call, const struct wisp_provider_interface *interface,
                      const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err)
    __attribute__((warn_unused_result));
struct wisp_outside_pending *wisp_outside_start(struct wisp_call *call, const struct wisp_provider_interface *interface,
                                                const struct wisp_provider_func *func, void *args,
                                                wisp_outside_on_done *on_done, void *env);
/* Of the invocation that started it. */
void wisp_outside_cancel(const struct wisp_wasi *wasi, struct wisp_outside_pending *pending);
