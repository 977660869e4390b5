/* SPDX-License-Identifier: Apache-2.0 */
/* Writing WIT text. The first failure sticks: from then on nothing is written, and whoever started looks at `failed`
 * once, at the end. */
#pragma once

#include "base/mem.h"
#include "wit/model.h"

struct wisp_wit_printer {
    struct wisp_wit_model *model; /* NULL: types go by the names they were given, whatever scope those are from */
    struct wisp_wit_scope *scope; /* that the types are told in */
    struct wisp_buf *out;
    struct wisp_str subject; /* type or function that is being written, for messages */
    unsigned indent;
    size_t size; /* written so far, to all buffers */
    int failed;  /* 0, or the negative kind */
    struct wisp_err *err;
};

void wisp_wit_put_str(struct wisp_wit_printer *printer, struct wisp_str text);
#define wisp_wit_put(printer, literal) wisp_wit_put_str((printer), WISP_STR(literal))
void wisp_wit_put_name(struct wisp_wit_printer *printer, struct wisp_str name);
/* The spaces that a line starts with. */
void wisp_wit_put_indent(struct wisp_wit_printer *printer);
/* Keeps the first failure. */
void wisp_wit_fail(struct wisp_wit_printer *printer, enum wisp_err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- types and functions (print_type.c) --- */

/* A type where it is used: "list<point>". */
void wisp_wit_put_type(struct wisp_wit_printer *printer, const struct wisp_type *type);
/* A type that a scope defines, or another name for one that it has: whole lines. */
void wisp_wit_put_definition(struct wisp_wit_printer *printer, const struct wisp_wit_type *type);
/* "append: func(name: string) -> bool", without indent and semicolon. */
void wisp_wit_put_func(struct wisp_wit_printer *printer, const struct wisp_wit_func *func);
