/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include "test.h"

#include <stdlib.h>

static const char *size_text(uint64_t bytes)
{
    static struct wisp_buf text;
    text.len = 0;
    wisp_output_size(&text, bytes);
    wisp_buf_append_char(&text, '\0');
    return text.data;
}

TEST(sizes_for_people)
{
    CHECK_TEXT(size_text(0), "0 bytes");
    CHECK_TEXT(size_text(1), "1 byte");
    CHECK_TEXT(size_text(1000), "1,000 bytes");
    CHECK_TEXT(size_text(167472), "167,472 bytes (163.5 KiB)");
    CHECK_TEXT(size_text(19293798), "19,293,798 bytes (18.4 MiB)");
}

TEST(columns_are_aligned_and_nothing_trails)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    wisp_output_table_add(&table, WISP_STR("a"));
    wisp_output_table_add(&table, WISP_STR("first"));
    wisp_output_table_printf(&table, "longer %d", 1);
    wisp_output_table_add(&table, WISP_STR("second"));
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    wisp_output_table_print(&table, stream, 2);
    fclose(stream);
    CHECK_TEXT(text, "  a         first\n  longer 1  second\n");
    free(text);
}

TEST(empty_cells_at_the_end_leave_no_blanks)
{
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 3);
    static const char *const cells[] = {"a", "b", "", "c", "", "", "d"};
    for (size_t i = 0; i < WISP_COUNT(cells); i++) wisp_output_table_add(&table, wisp_str_from(cells[i]));
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    wisp_output_table_print(&table, stream, 0);
    fclose(stream);
    CHECK_TEXT(text, "a  b\nc\nd\n");
    free(text);
}

TEST(no_colours_in_files)
{
    FILE *file = tmpfile();
    CHECK(!wisp_output_has_colour(file));
    CHECK_TEXT(wisp_output_style(file, "31"), "");
    fclose(file);
}

TEST(json_text_survives_any_bytes)
{
    json_t *json = wisp_output_json_text(WISP_STR("a\xff\0z"));
    CHECK(json_string_length(json) == 4);
    CHECK(memcmp(json_string_value(json), "a?\0z", 4) == 0);
    json_decref(json);
}

TEST(durations_for_people)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {{0, "0s"}, {59, "59s"}, {61, "1m 1s"}, {3723, "1h 2m"}, {90000, "1d 1h"}};
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        WISP_CLEANUP_BUF struct wisp_buf text = {0};
        wisp_output_duration(&text, cases[i].seconds);
        CHECK_STR(wisp_buf_str(&text), cases[i].text);
    }
}

TEST(nothing_controls_the_terminal)
{
    char text[] = "a\033[2J\n\xc2\x9b!\x7f\xc3\xa9";
    wisp_output_clean(text, sizeof text - 1);
    CHECK_TEXT(text, "a?[2J\n?\?!?\xc3\xa9");
    static const char *const headings[] = {"ONE", "TWO", NULL};
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init_head(&table, headings);
    wisp_output_table_add(&table, WISP_STR("x\ny"));
    wisp_output_table_add(&table, WISP_STR("\033"));
    char *printed = NULL;
    size_t size;
    FILE *stream = open_memstream(&printed, &size);
    wisp_output_table_print(&table, stream, 0);
    fclose(stream);
    CHECK_TEXT(printed, "ONE  TWO\nx y  ?\n");
    free(printed);
}
