/* SPDX-License-Identifier: Apache-2.0 */
/* WIT, the text form of interfaces and worlds (Component Model, WIT.md).
 *
 * A component carries its world in binary form; printing turns it back into WIT that any WIT tool reads. Nothing here
 * does I/O or keeps state. */
#pragma once

#include "base/mem.h"
#include "component/plan.h"

enum {
    WISP_WIT_TEXT_MAX = 64 << 20, /* bytes of text: shared types let a small binary describe a huge one */
};

/* Appends the component's world as one WIT document: the package `root:component` with the world `root`, then a
 * `package ... { }` for each package that its imports and exports come from. Interfaces that are both imported and
 * exported are printed once, with the members of both.
 *
 * UNSUPPORTED names what the component does that WIT has no words for (importing a core module, exporting a type from
 * its root, using a type of an inline interface elsewhere); LIMIT when the text would exceed WISP_WIT_TEXT_MAX. `out`
 * is unchanged on failure. */
int wisp_wit_print(const struct wisp_component *component, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Appends one function on one line, for people: "fields.append: func(name: field-name, value: field-value) ->
 * result<_, header-error>". `name` is that of the item ("[method]fields.append"); types go by the names they were
 * given, whatever interface those are from. Text beyond WISP_WIT_TEXT_MAX is left out. */
void wisp_wit_describe(const struct wisp_func_type *func, struct wisp_str name, struct wisp_buf *out);

/* Appends an identifier, with the % in front that it needs when it is also a word of the language. */
void wisp_wit_append_name(struct wisp_buf *out, struct wisp_str name);
