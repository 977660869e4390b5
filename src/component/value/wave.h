/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text: WAVE, the WebAssembly Value Encoding (wasm-tools, crate `wasm-wave`), read and written by type.
 *
 *     true   -9   6.022e+23   nan   'x'   "tab\t\u{2603}"   ("abc", 123)   [1, 2]   {a: 1, b: "two"}   {read, write}
 *     days(30)   south   some(1)   none   ok(1)   err("oops")   "for some(..) or ok(..) too"   // comment
 *
 * Fields of a record that are none may be left out; {:} is the record without any. A multi-line string stands between
 * two lines of triple quotes, indented like the second. A label that is a keyword gets a % in front.
 *
 * For what people type and read: reading takes time in proportion to the text and to the number of a type's fields. */
#pragma once

#include "component/types.h"

#include "base/mem.h"

enum {
    WISP_WAVE_TEXT_MAX = 8 << 20,    /* bytes of text */
    WISP_VALUE_BYTES_MAX = 64 << 20, /* of the native value that a text may stand for, beside its strings */
};

/* Fills `native` (type->native_size bytes) from a text that holds this value and nothing else; strings and lists go to
 * the arena. INVALID says what was expected at which line and column; UNSUPPORTED for handles, which have no text. */
int wisp_wave_parse(struct wisp_arena *arena, const struct wisp_type *type, struct wisp_str text, void *native,
                    struct wisp_err *err) __attribute__((warn_unused_result));

/* Appends the value on one line; control characters and such that change the direction of text are escaped. Fails as
 * above, and with INTERNAL for a case that the type doesn't have. */
int wisp_wave_print(struct wisp_buf *out, const struct wisp_type *type, const void *native, struct wisp_err *err)
    __attribute__((warn_unused_result));
