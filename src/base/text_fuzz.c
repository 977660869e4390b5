/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, texts that become JSON, sizes, durations, numbers. The first byte chooses the parser. */
#include "base/json.h"
#include "base/parse.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written and read again as the same. */
static void check_json(struct wisp_str text)
{
    WISP_CLEANUP_JSON json_t *value = NULL, *again = NULL;
    WISP_CLEANUP_BUF struct wisp_buf printed = {0};
    struct wisp_err err = {0};
    int r = wisp_json_parse(text, &value, &err);
    if ((r < 0) != (err.kind != WISP_ERR_NONE) || (r < 0) == (value != NULL)) abort();
    if (r < 0) return;
    wisp_json_print(value, &printed);
    if (wisp_json_parse(wisp_buf_str(&printed), &again, &err) < 0 || !json_equal(value, again)) abort();
}

/* Any bytes become a text; those that are UTF-8 stay as they are. */
static void check_text(struct wisp_str bytes)
{
    WISP_CLEANUP_JSON json_t *value = wisp_json_text(bytes);
    struct wisp_str text = {json_string_value(value), json_string_length(value)};
    if (!json_is_string(value) || !wisp_str_is_utf8(text)) abort();
    if (wisp_str_is_utf8(bytes) != wisp_str_equal(bytes, text)) abort();
}

static void check_numbers(struct wisp_str text)
{
    uint64_t number, limited;
    struct wisp_err err = {0};
    (void)!wisp_parse_size(text, &number, &err);
    (void)!wisp_parse_duration(text, &number, &err);
    if (wisp_parse_u64(text, UINT64_MAX, &number, &err) < 0) return;
    int r = wisp_parse_u64(text, 1000, &limited, &err);
    if ((r == 0) != (number <= 1000) || (r == 0 && limited != number)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct wisp_str text) = {check_json, check_text, check_numbers};
    if (size == 0) return 0;
    checks[data[0] % WISP_COUNT(checks)]((struct wisp_str){(const char *)data + 1, size - 1});
    return 0;
}
