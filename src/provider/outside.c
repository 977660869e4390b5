/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/outside.h"

int wisp_outside_call(struct wisp_call *call, const struct wisp_provider_interface *interface,
                      const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err)
{
    const struct wisp_wasi *wasi = call->context;
    if (wasi->outside) return wasi->outside->call(call, interface, func, args, result, err);
    wisp_err_set(err, WISP_ERR_NOT_FOUND, "nothing is linked to `%s`", interface->link_interface);
    return WISP_OUTSIDE_FAILED;
}
