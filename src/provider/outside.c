/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/outside.h"

static void set_nothing_linked(const struct wisp_provider_interface *interface, struct wisp_err *err)
{
    wisp_err_set(err, WISP_ERR_NOT_FOUND, "nothing is linked to `%s`", interface->link_interface);
}

int wisp_outside_call(struct wisp_call *call, const struct wisp_provider_interface *interface,
                      const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err)
{
    const struct wisp_wasi *wasi = call->context;
    if (wasi->outside) return wasi->outside->call(call, interface, func, args, result, err);
    set_nothing_linked(interface, err);
    return WISP_OUTSIDE_FAILED;
}

struct wisp_outside_pending *wisp_outside_start(struct wisp_call *call, const struct wisp_provider_interface *interface,
                                                const struct wisp_provider_func *func, void *args,
                                                wisp_outside_on_done *on_done, void *env)
{
    const struct wisp_wasi *wasi = call->context;
    if (wasi->outside) return wasi->outside->start(call, interface, func, args, on_done, env);
    struct wisp_err err = {0};
    set_nothing_linked(interface, &err);
    on_done(NULL, &err, env);
    return NULL;
}

void wisp_outside_cancel(const struct wisp_wasi *wasi, struct wisp_outside_pending *pending)
{
    wasi->outside->cancel(pending);
}
