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
    WISP_CLEANUP_TABLE struct wisp_table table;
    wisp_table_init(&table, 2);
    wisp_table_add(&table, WISP_STR("a"));
    wisp_table_add(&table, WISP_STR("first"));
    wisp_table_printf(&table, "longer %d", 1);
    wisp_table_add(&table, WISP_STR("second"));
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    wisp_table_print(&table, stream, 2);
    fclose(stream);
    CHECK_TEXT(text, "  a         first\n  longer 1  second\n");
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
