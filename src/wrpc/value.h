/* SPDX-License-Identifier: Apache-2.0 */
/* Values as wRPC sends them: native C values (component/types.h) by their type to bytes and back. One after the other,
 * without padding or type tags; integers as LEB128, floats little-endian, lists with their count.
 *
 * Handles of resources that live elsewhere (component/host/opaque.h) are the bytes that they stand for, as list<u8>;
 * others mean something within one process only and are UNSUPPORTED. Streams and futures are placeholders ("later"), or
 * decoded also whole ("inline"); slots tell where they are. */
#pragma once

#include "component/types.h"

#include "base/mem.h"

enum {
    WISP_WRPC_VALUE_BYTES_MAX = 16 << 20,  /* encoded parameters or result of one call, unless configured */
    WISP_WRPC_NATIVE_BYTES_MAX = 64 << 20, /* what one decoded value may take, beside the bytes it was decoded from */
    WISP_WRPC_PATH_MAX = 128,              /* bytes of "0.1.17" with its NUL */
    WISP_WRPC_SLOTS_MAX = 16 << 10,        /* streams, futures and handles of one value */
};

/* A place in a value that holds no plain data: a stream, a future, or (decoded only) an opaque handle, whose bytes are
 * `bytes`. */
struct wisp_wrpc_slot {
    const struct wisp_type *type;
    const void *from;      /* encoded: a `void *` in the native value */
    void *at;              /* decoded: where such a one belongs; NULL as yet */
    const char *path;      /* "0.1" */
    bool is_inline;        /* decoded: all of it came with the value, */
    struct wisp_str bytes; /* namely this, encoded as on its path but without the end. Part of what was decoded */
};
/* In the order of the value. Made of zeros and an arena. */
struct wisp_wrpc_slots {
    struct wisp_arena *arena;
    const char *prefix; /* of all paths: "0" for a result; NULL: none */
    struct wisp_wrpc_slot *items;
    uint32_t n, capacity;
};

/* UNSUPPORTED when values of the type can't be sent, and names the part that is why. */
int wisp_wrpc_type_check(const struct wisp_type *type, struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_wrpc_func_check(const struct wisp_func_type *type, struct wisp_err *err) __attribute__((warn_unused_result));

/* Those that take slots add what they meet to them, also when they fail. NULL: streams, futures and handles that are
 * received are UNSUPPORTED.
 *
 * Appends. INVALID for a tag that is no case or a char that is no scalar value, LIMIT when it becomes longer than
 * bytes_max; part of it may have been appended then. */
int wisp_wrpc_value_encode(const struct wisp_type *type, const void *value, size_t bytes_max, struct wisp_buf *out,
                           struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_wrpc_value_encode_with(const struct wisp_type *type, const void *value, size_t bytes_max,
                                struct wisp_wrpc_slots *slots, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* `args` is the struct of all parameters; they are sent like a tuple. */
int wisp_wrpc_params_encode(const struct wisp_func_type *type, const void *args, size_t bytes_max,
                            struct wisp_wrpc_slots *slots, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));

enum { WISP_WRPC_MORE = 1 };
/* Fills `value` (type->native_size bytes) from the first bytes of `bytes`, and says how many those are. Returns
 * WISP_WRPC_MORE when they end within the value: try again with more. INVALID says at which byte
 * and what is wrong; LIMIT: the native value would become too large. What the value points to is in the arena or in
 * `bytes`. */
int wisp_wrpc_value_decode(const struct wisp_type *type, struct wisp_str bytes, struct wisp_arena *arena, void *value,
                           size_t *ret_used, struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_wrpc_value_decode_with(const struct wisp_type *type, struct wisp_str bytes, struct wisp_arena *arena,
                                void *value, struct wisp_wrpc_slots *slots, size_t *ret_used, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_wrpc_params_decode(const struct wisp_func_type *type, struct wisp_str bytes, struct wisp_arena *arena,
                            void *args, struct wisp_wrpc_slots *slots, size_t *ret_used, struct wisp_err *err)
    __attribute__((warn_unused_result));
