/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: types from text, random values of a type, and their comparison. */
#pragma once

#include "component/host/host_signature.h"
#include "component/host/opaque.h"
#include "test.h"
#include "wrpc/value.h"

#include <stdlib.h>

/* "(u32, list<string>) -> result<_, string>"; of resources there are `thing`, and `remote`, which lives elsewhere. */
static inline const struct wisp_func_type *func_of(struct wisp_arena *arena, const char *text)
{
    struct wisp_map resources = {0};
    struct wisp_resource *resource = WISP_NEW(arena, struct wisp_resource);
    resource->name = WISP_STR("thing");
    CHECK(wisp_map_add(&resources, resource->name, resource));
    struct wisp_resource *remote = WISP_NEW(arena, struct wisp_resource);
    *remote = (struct wisp_resource){.name = WISP_STR("remote"), .host = &wisp_opaque_resource};
    CHECK(wisp_map_add(&resources, remote->name, remote));
    struct wisp_signature_names names = {.arena = arena, .resources = &resources};
    const struct wisp_func_type *type;
    struct wisp_err err = {0};
    CHECK_OK(wisp_signature_parse(&names, wisp_str_from(text), &type, &err), &err);
    wisp_map_deinit(&names.types);
    wisp_map_deinit(&resources);
    return type;
}

static inline const struct wisp_type *type_of(struct wisp_arena *arena, const char *text)
{
    return func_of(arena, wisp_arena_printf(arena, "(%s)", text))->params[0].type;
}
