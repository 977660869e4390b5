/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration and secrets of a provider or of a link to it, as text. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

struct wisp_setting {
    struct wisp_str key, value;
    bool is_secret; /* no message, log or error may show its value */
};

/* Zeroed is valid and empty. Secrets come first; a key may occur several times, the first one counts. */
struct wisp_settings {
    const struct wisp_setting *list;
    size_t n;
};

/* `config` and `secrets` (NULL: none) are objects; values are strings, secrets also {"bytes": BASE64} or, as host data
 * has them, {"kind": "String" | "Bytes", "value": ...}. Copies go to the arena. INVALID names the key, never a value.
 */
int wisp_settings_read(struct wisp_settings *ret_settings, const json_t *config, const json_t *secrets,
                       struct wisp_arena *arena, struct wisp_err *err) __attribute__((warn_unused_result));
/* The value of a key, ASCII letters in any case; `ptr` NULL when there is none (an empty value has one). */
struct wisp_str wisp_settings_get(const struct wisp_settings *settings, const char *key);
bool wisp_settings_equal(const struct wisp_settings *a, const struct wisp_settings *b);

/* The same with a default, and INVALID that names the key when the value is not of the kind. true/false, yes/no, 1/0.
 */
int wisp_settings_bool(const struct wisp_settings *settings, const char *key, bool otherwise, bool *ret_value,
                       struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_settings_uint(const struct wisp_settings *settings, const char *key, uint64_t otherwise, uint64_t *ret_value,
                       struct wisp_err *err) __attribute__((warn_unused_result));
