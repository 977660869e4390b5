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

/* Colours are for terminals, unless NO_COLOR is set or the terminal is dumb. */
bool wisp_output_has_colour(FILE *stream);
/* The sequence to begin with ("1" bold, "2" faint, "31" red), or "" without colours. */
const char *wisp_output_style(FILE *stream, const char *code);

/* "wisp: error: TEXT" on standard error; the exit code that goes with it. */
int wisp_output_error(const struct wisp_err *err);

/* Prints with two blanks of indentation and a line end, and takes the reference. Keys stay in the order they were
 * set. */
void wisp_output_json_take(json_t *value);
/* A JSON string; bytes that are no UTF-8 are replaced. */
json_t *wisp_output_json_text(struct wisp_str text);

/* "167,472 bytes (163.5 KiB)" */
void wisp_output_size(struct wisp_buf *out, uint64_t bytes);

/* Text in columns as wide as their widest cell. Cells are copied. Zeroed is a valid empty table. */
struct wisp_table {
    size_t n_columns;
    char **cells;
    size_t n_cells, capacity;
};
void wisp_table_init(struct wisp_table *table, size_t n_columns);
void wisp_table_add(struct wisp_table *table, struct wisp_str cell);
void wisp_table_printf(struct wisp_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Every line begins with `indent` blanks; nothing follows the last column. */
void wisp_table_print(const struct wisp_table *table, FILE *stream, int indent);
void wisp_table_deinit(struct wisp_table *table);
#define WISP_CLEANUP_TABLE __attribute__((cleanup(wisp_table_deinit)))
