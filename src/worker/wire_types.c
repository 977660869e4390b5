/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/wire_types.h"

struct known {
    const struct wisp_provider_interface *interface; /* its address is the key */
    struct wisp_provider_export *funcs;
};

static struct wisp_str key_of(const struct wisp_provider_interface *const *interface)
{
    return (struct wisp_str){(const char *)interface, sizeof *interface};
}

static struct known *learn(struct wisp_wire_types *types, const struct wisp_provider_interface *interface,
                           struct wisp_err *err)
{
    struct known *known = WISP_NEW(&types->arena, struct known);
    known->interface = interface;
    known->funcs = WISP_NEW_ARRAY(&types->arena, struct wisp_provider_export, interface->n_funcs);
    if (wisp_provider_interface_types(interface, &types->arena, known->funcs, err) < 0) return NULL;
    wisp_map_add(&types->by_interface, key_of(&known->interface), known);
    return known;
}

const struct wisp_func_type *wisp_wire_type(struct wisp_wire_types *types,
                                            const struct wisp_provider_interface *interface,
                                            const struct wisp_provider_func *func, struct wisp_err *err)
{
    struct known *known = wisp_map_get(&types->by_interface, key_of(&interface));
    if (!known) known = learn(types, interface, err);
    return known ? known->funcs[func - interface->funcs].type : NULL;
}

void wisp_wire_types_deinit(struct wisp_wire_types *types)
{
    wisp_map_deinit(&types->by_interface);
    wisp_arena_deinit(&types->arena);
}
