/* SPDX-License-Identifier: Apache-2.0 */
/* Types of the interfaces that guests' objects are translated to (provider/outside.h), read once each. One thread. */
#pragma once

#include "base/map.h"
#include "provider/runtime.h"

/* Zeroed is a valid empty one. */
struct wisp_wire_types {
    struct wisp_map by_interface;
    struct wisp_arena arena;
};

/* Of an element of interface->funcs; valid as long as `types`. NULL, and INTERNAL in `err`: the table contradicts
 * itself. */
const struct wisp_func_type *wisp_wire_type(struct wisp_wire_types *types,
                                            const struct wisp_provider_interface *interface,
                                            const struct wisp_provider_func *func, struct wisp_err *err);
void wisp_wire_types_deinit(struct wisp_wire_types *types);
