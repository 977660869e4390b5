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

bool wisp_output_errors_are_json;

void wisp_output_clean(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        /* C1 controls are C2 80 to C2 9F in UTF-8. */
        bool is_c1 = c == 0xc2 && i + 1 < size && ((unsigned char)text[i + 1] & 0xe0) == 0x80;
        if (is_c1) text[i] = text[i + 1] = '?';
        if ((c < 0x20 && c != '\n') || c == 0x7f) text[i] = '?';
    }
}

static void print_json_error(const struct wisp_err *err)
{
    json_t *json = json_object();
    json_object_set_new(json, "success", json_false());
    json_object_set_new(json, "error", wisp_output_json_text(wisp_str_from(err->text)));
    json_object_set_new(json, "kind", json_string(wisp_err_name(err->kind)));
    json_dumpf(json, stderr, JSON_INDENT(2));
    fputc('\n', stderr);
    json_decref(json);
}

int wisp_output_error(const struct wisp_err *err)
{
    fflush(stdout);
    if (wisp_output_errors_are_json) {
        print_json_error(err);
        return wisp_err_exit_code(err->kind);
    }
    char text[sizeof err->text];
    memcpy(text, err->text, sizeof text);
    wisp_output_clean(text, strlen(text));
    fprintf(stderr, "wisp: %serror:%s %s\n", wisp_output_style(stderr, "31"), wisp_output_style(stderr, "0"), text);
    return wisp_err_exit_code(err->kind);
}

void wisp_output_note(const char *format, ...)
{
    if (wisp_output_errors_are_json) return;
    char text[WISP_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wisp_output_clean(text, strlen(text));
    fflush(stdout);
    fprintf(stderr, "wisp: %s\n", text);
}

void wisp_output_json_take(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
}

void wisp_output_success_take(json_t *object)
{
    json_object_set_new(object, "success", json_true());
    wisp_output_json_take(object);
}

void wisp_output_json_line(const json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT);
    putchar('\n');
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

void wisp_output_duration(struct wisp_buf *out, uint64_t seconds)
{
    unsigned long long s = seconds;
    if (s < 60)
        wisp_buf_printf(out, "%llus", s);
    else if (s < 3600)
        wisp_buf_printf(out, "%llum %llus", s / 60, s % 60);
    else if (s < 86400)
        wisp_buf_printf(out, "%lluh %llum", s / 3600, s / 60 % 60);
    else
        wisp_buf_printf(out, "%llud %lluh", s / 86400, s / 3600 % 24);
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

enum { COLUMNS_MAX = 16 };

void wisp_output_table_init(struct wisp_output_table *table, size_t n_columns)
{
    assert(n_columns <= COLUMNS_MAX);
    *table = (struct wisp_output_table){.n_columns = n_columns};
}

void wisp_output_table_init_head(struct wisp_output_table *table, const char *const *headings)
{
    size_t n = 0;
    while (headings[n]) n++;
    wisp_output_table_init(table, n);
    table->has_head = true;
    for (size_t i = 0; i < n; i++) wisp_output_table_add(table, wisp_str_from(headings[i]));
}

void wisp_output_table_add(struct wisp_output_table *table, struct wisp_str cell)
{
    if (table->n_cells == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 32;
        table->cells = wisp_mem_realloc(table->cells, table->capacity * sizeof *table->cells);
    }
    char *text = wisp_mem_dup(cell);
    wisp_output_clean(text, cell.len);
    for (char *end = text; (end = strchr(end, '\n'));) *end = ' ';
    table->cells[table->n_cells++] = text;
}

void wisp_output_table_printf(struct wisp_output_table *table, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wisp_output_table_add(table, wisp_str_from(text));
}

void wisp_output_table_print(const struct wisp_output_table *table, FILE *stream, int indent)
{
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t width = strlen(table->cells[i]), *column = &widths[i % table->n_columns];
        if (width > *column) *column = width;
    }
    for (size_t row = 0; row < table->n_cells; row += table->n_columns) {
        bool is_head = table->has_head && row == 0;
        size_t n = table->n_cells - row < table->n_columns ? table->n_cells - row : table->n_columns;
        while (n > 1 && !*table->cells[row + n - 1]) n--;
        fprintf(stream, "%*s%s", indent, "", is_head ? wisp_output_style(stream, "1") : "");
        for (size_t i = 0; i + 1 < n; i++) fprintf(stream, "%-*s  ", (int)widths[i], table->cells[row + i]);
        fprintf(stream, "%s%s\n", table->cells[row + n - 1], is_head ? wisp_output_style(stream, "0") : "");
    }
}

void wisp_output_table_deinit(struct wisp_output_table *table)
{
    for (size_t i = 0; i < table->n_cells; i++) free(table->cells[i]);
    free(table->cells);
    *table = (struct wisp_output_table){0};
}
