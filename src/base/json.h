/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from and for peers that may be hostile, thin over jansson. Objects keep the order of their keys.
 *
 * Readers of optional fields below take any value (also NULL) as object, so that lookups chain. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>

enum { WISP_JSON_SIZE_MAX = 8 << 20, WISP_JSON_DEPTH_MAX = 64 };

/* One JSON value, any kind, nothing after it. INVALID names line and column; LIMIT beyond the sizes above. Strings
 * may hold NUL. Duplicate keys: the last wins, as everywhere on the lattice. */
int wisp_json_parse(struct wisp_str text, json_t **ret_value, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Compact, without a line end. */
void wisp_json_print(const json_t *value, struct wisp_buf *out);

void wisp_json_freep(json_t **value);
#define WISP_CLEANUP_JSON __attribute__((cleanup(wisp_json_freep)))

/* Bytes that are no UTF-8 are replaced by U+FFFD. Never NULL. */
json_t *wisp_json_text(struct wisp_str text);
/* Borrowed from the value; empty when the field is missing or no string. */
struct wisp_str wisp_json_str(const json_t *object, const char *key);
/* `fallback` when it is missing, no integer, or negative. */
uint64_t wisp_json_u64(const json_t *object, const char *key, uint64_t fallback);
bool wisp_json_bool(const json_t *object, const char *key, bool fallback);
