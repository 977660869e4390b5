/* SPDX-License-Identifier: Apache-2.0 */
/* Values as wRPC sends them: native C values (component/types.h) by their type to bytes and back. One after the other,
 * without padding or type tags; integers as LEB128, floats little-endian, lists with their count.
 *
 * Handles mean something within one process only: types that hold some are UNSUPPORTED. */
#pragma once

#include "component/types.h"

#include "base/mem.h"

enum {
    WISP_WRPC_VALUE_BYTES_MAX = 16 << 20,  /* encoded parameters or result of one call, unless configured */
    WISP_WRPC_NATIVE_BYTES_MAX = 64 << 20, /* what one decoded value may take, beside the bytes it was decoded from */
};

/* UNSUPPORTED when values of the type can't be sent, and names the part that is why. */
int wisp_wrpc_type_check(const struct wisp_type *type, struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_wrpc_func_check(const struct wisp_func_type *type, struct wisp_err *err) __attribute__((warn_unused_result));

/* Appends. INVALID for a tag that is no case or a char that is no scalar value, LIMIT when it becomes longer than
 * bytes_max; part of it may have been appended then. */
int wisp_wrpc_value_encode(const struct wisp_type *type, const void *value, size_t bytes_max, struct wisp_buf *out,
                           struct wisp_err *err) __attribute__((warn_unused_result));
/* `args` is the struct of all parameters; they are sent like a tuple. */
int wisp_wrpc_params_encode(const struct wisp_func_type *type, const void *args, size_t bytes_max, struct wisp_buf *out,
                            struct wisp_err *err) __attribute__((warn_unused_result));

enum { WISP_WRPC_MORE = 1 };
/* Fills `value` (type->native_size bytes) from the first bytes of `bytes`, and says how many those are. Returns
 * WISP_WRPC_MORE when they end within the value: try again with more. INVALID says at which byte
 * and what is wrong; LIMIT: the native value would become too large. What the value points to is in the arena or in
 * `bytes`. */
int wisp_wrpc_value_decode(const struct wisp_type *type, struct wisp_str bytes, struct wisp_arena *arena, void *value,
                           size_t *ret_used, struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_wrpc_params_decode(const struct wisp_func_type *type, struct wisp_str bytes, struct wisp_arena *arena,
                            void *args, size_t *ret_used, struct wisp_err *err) __attribute__((warn_unused_result));
