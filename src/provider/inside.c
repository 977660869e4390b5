/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/inside.h"

bool wisp_inside_is_own(const struct wisp_type *type, const struct wisp_host_resource *resource)
{
    return type->kind == WISP_TYPE_OWN && type->resource->host == resource;
}
