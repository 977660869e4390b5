/* SPDX-License-Identifier: Apache-2.0 */
#include "component/host/opaque.h"

#include "base/mem.h"

#include <stdlib.h>

static void drop(void *rep, void *context)
{
    (void)context;
    wisp_opaque_free(rep);
}

const struct wisp_host_resource wisp_opaque_resource = {.name = "resource of another component or provider",
                                                        .drop = drop};

struct wisp_opaque *wisp_opaque_new(struct wisp_str bytes)
{
    struct wisp_opaque *opaque = wisp_mem_alloc(sizeof *opaque + bytes.len);
    opaque->size = bytes.len;
    if (bytes.len > 0) memcpy(opaque->bytes, bytes.ptr, bytes.len);
    return opaque;
}

void wisp_opaque_free(struct wisp_opaque *opaque) { free(opaque); }

static void free_owned(const struct wisp_type *type, const void *slot, void *env)
{
    struct wisp_opaque *opaque;
    (void)env;
    if (type->kind != WISP_TYPE_OWN || !wisp_opaque_is(type)) return;
    memcpy(&opaque, slot, sizeof opaque);
    wisp_opaque_free(opaque);
}

void wisp_opaque_value_free(const struct wisp_type *type, const void *value)
{
    if (type->has_handles) wisp_value_visit(type, value, free_owned, NULL);
}

void wisp_opaque_params_free(const struct wisp_func_type *type, const void *args)
{
    for (uint32_t i = 0; type->has_handles && i < type->n_params; i++)
        wisp_opaque_value_free(type->params[i].type, (const char *)args + type->params[i].native_offset);
}
