/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/printer.h"

#include "wit/wit.h"

#include <stdarg.h>
#include <stdio.h>

void wisp_wit_fail(struct wisp_wit_printer *printer, enum wisp_err_kind kind, const char *format, ...)
{
    if (printer->failed) return;
    char text[WISP_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printer->failed = wisp_err_set(printer->err, kind, "%s", text);
    if (printer->subject.len) wisp_err_wrap(printer->err, "`%.*s`", WISP_STR_ARG(printer->subject));
}

void wisp_wit_put_str(struct wisp_wit_printer *printer, struct wisp_str text)
{
    if (printer->failed) return;
    if (text.len > WISP_WIT_TEXT_MAX - printer->size) {
        wisp_wit_fail(printer, WISP_ERR_LIMIT, "the text would be larger than %d bytes", WISP_WIT_TEXT_MAX);
        return;
    }
    printer->size += text.len;
    wisp_buf_append_str(printer->out, text);
}

void wisp_wit_put_name(struct wisp_wit_printer *printer, struct wisp_str name)
{
    if (wisp_wit_is_keyword(name)) wisp_wit_put(printer, "%");
    wisp_wit_put_str(printer, name);
}

void wisp_wit_put_indent(struct wisp_wit_printer *printer)
{
    for (unsigned i = 0; i < printer->indent; i++) wisp_wit_put(printer, " ");
}
