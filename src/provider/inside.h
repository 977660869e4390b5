/* SPDX-License-Identifier: Apache-2.0 */
/* The opposite of outside.h: exports of guests whose parameters are objects, and that stand for a function of a wire
 * interface. Who calls `handle-message` of wasmcloud:messaging/handler@0.2.0 gets `handle` of 0.3.0's incoming-handler
 * where a component has that instead. Defined beside the objects; used by whoever runs guests. */
#pragma once

#include "provider/provider.h"

struct wisp_inside {
    const struct wisp_provider_interface *interface; /* on the wire */
    const struct wisp_provider_func *func;           /* of it */
    const char *guest_interface, *guest_func;        /* "wasmcloud:messaging/incoming-handler@0.3.0", "handle" */
    /* A component may export anything of this name: whether its type is the one that the functions below are for. */
    bool (*fits)(const struct wisp_func_type *type);
    /* The guest's arguments of those on the wire. What they point to may be the latter's, or in the arena. */
    int (*enter)(const void *args, struct wisp_arena *arena, void *ret_args, struct wisp_err *err);
    /* Of arguments that no guest got: frees the representations. */
    void (*drop)(void *args);
    /* The result on the wire of the guest's; points to the latter's, or into the arena. NULL: functions without. */
    void (*leave)(const void *guest_result, struct wisp_arena *arena, void *ret_result);
};
/* For `fits`: own<R> of this resource of ours. */
bool wisp_inside_is_own(const struct wisp_type *type, const struct wisp_host_resource *resource);
