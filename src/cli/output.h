/* SPDX-License-Identifier: Apache-2.0 */
/* What verbs print: text for people, JSON for programs, errors for both. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>

/* -o */
enum { WISP_OUTPUT_TEXT, WISP_OUTPUT_JSON };
extern const char *const wisp_output_formats[];
/* The option for it; the field is an int. */
#define WISP_OUTPUT_OPTION(values, field)                                                                              \
    {.name = "output",                                                                                                 \
     .letter = 'o',                                                                                                    \
     .kind = WISP_ARG_CHOICE,                                                                                          \
     .value = "FORMAT",                                                                                                \
     .help = "text or json [text]",                                                                                    \
     .offset = offsetof(values, field),                                                                                \
     .choices = wisp_output_formats}

/* Colours are for terminals, unless NO_COLOR is set or the terminal is dumb. */
bool wisp_output_has_colour(FILE *stream);
/* The sequence to begin with ("1" bold, "2" faint, "31" red), or "" without colours. */
const char *wisp_output_style(FILE *stream, const char *code);

/* Prints "wisp: error: TEXT", or {"success":false,"error":TEXT,"kind":NAME} when errors are JSON, on standard error;
 * the exit code that goes with it. */
int wisp_output_error(const struct wisp_err *err);
extern bool wisp_output_errors_are_json; /* set by main before a verb runs */
/* "wisp: TEXT" on standard error: progress, hints. Not when errors are JSON: then standard error has that or nothing.
 */
void wisp_output_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a peer says may hold sequences that control a terminal: control characters but line ends become '?'. */
void wisp_output_clean(char *text, size_t size);

/* Prints with two blanks of indentation and a line end, and takes the reference. Keys stay in the order they were
 * set. */
void wisp_output_json_take(json_t *value);
/* The same after "success": true was added to the object. */
void wisp_output_success_take(json_t *object);
/* On one line. */
void wisp_output_json_line(const json_t *value);
/* A JSON string; bytes that are no UTF-8 are replaced. */
json_t *wisp_output_json_text(struct wisp_str text);

/* "2m 3s", "1d 2h": the two largest units. */
void wisp_output_duration(struct wisp_buf *out, uint64_t seconds);
/* "167,472 bytes (163.5 KiB)" */
void wisp_output_size(struct wisp_buf *out, uint64_t bytes);

/* Text in columns as wide as their widest cell. Cells are copied, without control characters. Zeroed is a valid empty
 * table. */
struct wisp_output_table {
    size_t n_columns;
    bool has_head; /* the first row is headings */
    char **cells;
    size_t n_cells, capacity;
};
void wisp_output_table_init(struct wisp_output_table *table, size_t n_columns);
/* One column for each of the headings, which end with NULL. */
void wisp_output_table_init_head(struct wisp_output_table *table, const char *const *headings);
void wisp_output_table_add(struct wisp_output_table *table, struct wisp_str cell);
void wisp_output_table_printf(struct wisp_output_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Every line begins with `indent` blanks; nothing follows the last column. */
void wisp_output_table_print(const struct wisp_output_table *table, FILE *stream, int indent);
void wisp_output_table_deinit(struct wisp_output_table *table);
#define WISP_CLEANUP_OUTPUT_TABLE __attribute__((cleanup(wisp_output_table_deinit)))
