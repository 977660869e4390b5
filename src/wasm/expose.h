/* SPDX-License-Identifier: Apache-2.0 */
/* Exporting what instances of a module can change, so that they can be put back to what they were (original.c). */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    WISP_WASM_EXPOSED_MAX =
        1024, /* memories of a module, and globals that may change: dynamic linking makes hundreds */
    WISP_WASM_EXPOSED_NAME_SIZE = 96,
};
#define WISP_WASM_EXPOSED_ALL "all"
#define WISP_WASM_EXPOSED_MEMORY "memory"
#define WISP_WASM_EXPOSED_GLOBAL "global"

/* Writes the module (binary format) to ret_binary with more exports: its own memories, its own globals that may change,
 * each kind numbered from 0, and one ALL 0 whose only meaning is that these are all that an instance can change.
 * `key` is 64 characters that the module can't contain, its own digest for instance. Both NULL: only says whether it
 * can be done.
 * UNSUPPORTED, with ret_binary untouched, when there is more to an instance: instructions that change tables or drop
 * segments, globals that hold references, shared memory, anything that is not known here. INVALID when it is broken;
 * what is found valid here may still be refused by the engine. */
int wisp_wasm_expose(struct wisp_str binary, const char *key, struct wisp_buf *ret_binary, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* The name of such an export, with its NUL; `what` is one of the above. */
void wisp_wasm_exposed_name(const char *key, const char *what, uint32_t number,
                            char ret_name[WISP_WASM_EXPOSED_NAME_SIZE]);
