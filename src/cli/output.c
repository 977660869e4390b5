/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

const char *const wisp_output_formats[] = {"text", "json", NULL};

bool wisp_output_has_colour(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (no_colour && *no_colour) return false;
    if (terminal && strcmp(terminal, "dumb") == 0) return false;
    return isatty(fileno(stream));
}

const char *wisp_output_style(FILE *stream, const char *code)
{
    static const struct {
        const char *code, *sequence;
    } styles[] = {{"0", "\033[0m"}, {"1", "\033[1m"}, {"2", "\033[2m"}, {"31", "\033[31m"}, {"36", "\033[36m"}};
    if (!wisp_output_has_colour(stream)) return "";
    for (size_t i = 0; i < WISP_COUNT(styles); i++)
        if (strcmp(styles[i].code, code) == 0) return styles[i].sequence;
    return "";
}

int wisp_output_error(const struct wisp_err *err)
{
    fflush(stdout);
    fprintf(stderr, "wisp: %serror:%s %s\n", wisp_output_style(stderr, "31"), wisp_output_style(stderr, "0"),
            err->text);
    return wisp_err_exit_code(err->kind);
}

void wisp_output_json_take(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
}

json_t *wisp_output_json_text(struct wisp_str text)
{
    json_t *json = json_stringn(text.len ? text.ptr : "", text.len);
    if (json) return json;
    WISP_CLEANUP_BUF struct wisp_buf ascii = {0};
    for (size_t i = 0; i < text.len; i++)
        wisp_buf_append_char(&ascii, (unsigned char)text.ptr[i] < 128 ? text.ptr[i] : '?');
    return json_stringn(ascii.data, ascii.len);
}

static void append_grouped(struct wisp_buf *out, uint64_t number)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) wisp_buf_append_char(out, ',');
        wisp_buf_append_char(out, digits[i]);
    }
}

void wisp_output_size(struct wisp_buf *out, uint64_t bytes)
{
    append_grouped(out, bytes);
    wisp_buf_printf(out, " byte%s", bytes == 1 ? "" : "s");
    if (bytes >= 1u << 20)
        wisp_buf_printf(out, " (%.1f MiB)", (double)bytes / (1u << 20));
    else if (bytes >= 1u << 10)
        wisp_buf_printf(out, " (%.1f KiB)", (double)bytes / (1u << 10));
}

/* --- tables --- */

void wisp_table_init(struct wisp_table *table, size_t n_columns)
{
    *table = (struct wisp_table){.n_columns = n_columns};
}

void wisp_table_add(struct wisp_table *table, struct wisp_str cell)
{
    if (table->n_cells == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 32;
        table->cells = wisp_mem_realloc(table->cells, table->capacity * sizeof *table->cells);
    }
    table->cells[table->n_cells++] = wisp_mem_dup(cell);
}

void wisp_table_printf(struct wisp_table *table, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wisp_table_add(table, wisp_str_from(text));
}

static size_t width_of_column(const struct wisp_table *table, size_t column)
{
    size_t width = 0;
    for (size_t i = column; i < table->n_cells; i += table->n_columns)
        if (strlen(table->cells[i]) > width) width = strlen(table->cells[i]);
    return width;
}

void wisp_table_print(const struct wisp_table *table, FILE *stream, int indent)
{
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % table->n_columns;
        if (column == 0) fprintf(stream, "%*s", indent, "");
        if (column + 1 == table->n_columns || i + 1 == table->n_cells)
            fprintf(stream, "%s\n", table->cells[i]);
        else
            fprintf(stream, "%-*s  ", (int)width_of_column(table, column), table->cells[i]);
    }
}

void wisp_table_deinit(struct wisp_table *table)
{
    for (size_t i = 0; i < table->n_cells; i++) free(table->cells[i]);
    free(table->cells);
    *table = (struct wisp_table){0};
}
