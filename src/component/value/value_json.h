/* SPDX-License-Identifier: Apache-2.0 */
/* Values as JSON, by type:
 *
 *     numbers, bool, string     themselves; a u64 or s64 beyond what JSON's users hold (2^63), nan, inf, -inf: a string
 *     char                      string           record              object, every field; options may be left out in
 *     list, tuple               array                                input
 *     flags                     array of names   enum, variant       "case", or {"case": payload}
 *     option                    null or the value; of an option of an option: null or {"some": value}
 *     result                    {"ok": value} or {"err": value}, null without a payload */
#pragma once

#include "component/types.h"

#include "base/json.h"

/* *ret_json is the caller's. UNSUPPORTED for handles; INTERNAL for a case that the type doesn't have. */
int wisp_value_to_json(const struct wisp_type *type, const void *native, json_t **ret_json, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Fills `native` (type->native_size bytes); strings and lists go to the arena. INVALID names the place and what was
 * expected there; LIMIT as wisp_wave_parse. */
int wisp_value_from_json(struct wisp_arena *arena, const struct wisp_type *type, const json_t *json, void *native,
                         struct wisp_err *err) __attribute__((warn_unused_result));
