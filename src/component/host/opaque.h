/* SPDX-License-Identifier: Apache-2.0 */
/* Resources that live elsewhere: those of imported interfaces which no table has (component/host.h, the fallback). What
 * this process has of one is a piece of bytes that means something to its maker only; a guest's handle stands for it.
 * Dropping the handle forgets the bytes, and tells nobody.
 *
 * As a native value, own<R> and borrow<R> of such a resource is a struct wisp_opaque *. */
#pragma once

#include "component/host.h"
#include "component/types.h"

struct wisp_opaque {
    size_t size;
    char bytes[];
};

/* What such resources are bound to. */
extern const struct wisp_host_resource wisp_opaque_resource;
static inline bool wisp_opaque_is(const struct wisp_type *type)
{
    return (type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW) &&
           type->resource->host == &wisp_opaque_resource;
}

/* Copies the bytes. Owned by whoever gets it, in the end a guest's handle. */
struct wisp_opaque *wisp_opaque_new(struct wisp_str bytes);
void wisp_opaque_free(struct wisp_opaque *opaque);
/* Those that the value owns; borrowed ones stay. For results that nobody wants. */
void wisp_opaque_value_free(const struct wisp_type *type, const void *value);
void wisp_opaque_params_free(const struct wisp_func_type *type, const void *args);
