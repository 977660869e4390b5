/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/capability.h"

#include "capability/kinds.h"

const struct wisp_provider_kind *const wisp_capability_kinds[] = {NULL};
const size_t wisp_capability_n_kinds = 0;

const struct wisp_host_interface *const wisp_capability_interfaces[] = {NULL};
const size_t wisp_capability_n_interfaces = 0;

const struct wisp_provider_kind *wisp_capability_find(struct wisp_str name)
{
    for (size_t i = 0; i < wisp_capability_n_kinds; i++)
        if (wisp_str_is(name, wisp_capability_kinds[i]->name)) return wisp_capability_kinds[i];
    return NULL;
}
