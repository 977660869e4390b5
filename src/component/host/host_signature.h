/* SPDX-License-Identifier: Apache-2.0 */
/* The signature language of host.h, parsed into types:
 *
 *     signature   "(" [type {"," type}] ")" ["->" type]
 *     definition  name "=" type
 *     type        bool | s8 | ... | char | string | name
 *               | list<type> | option<type> | tuple<type, ...> | record{type, ...} | variant{type or _, ...}
 *               | enum(count) | flags(count) | result | result<type> | result<_, type> | result<type, type>
 *               | own<resource> | borrow<resource> | stream<type> | future<type>
 *
 * A name is one defined before, or that of a resource, which then means own. Streams and futures are for what goes over
 * wRPC: the tables of host.h may not have them. */
#pragma once

#include "component/types.h"

#include "base/map.h"

enum {
    WISP_SIGNATURE_SIZE_MAX = 1 << 16, /* bytes of text */
    WISP_SIGNATURE_DEPTH_MAX = 32,
    WISP_SIGNATURE_CASES_MAX = 4096, /* of an enum */
};

/* What names mean. */
struct wisp_signature_names {
    struct wisp_arena *arena;         /* receives the types and their names */
    const struct wisp_map *resources; /* to struct wisp_resource */
    struct wisp_map types;            /* to struct wisp_type; filled by definitions */
};

/* Both fail with INVALID that says what was expected at which column. */
int wisp_signature_define(struct wisp_signature_names *names, struct wisp_str definition, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_signature_parse(const struct wisp_signature_names *names, struct wisp_str signature,
                         const struct wisp_func_type **ret_type, struct wisp_err *err)
    __attribute__((warn_unused_result));
