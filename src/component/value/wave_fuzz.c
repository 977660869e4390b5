/* SPDX-License-Identifier: Apache-2.0 */
/* A type by its number, then WAVE text: what is accepted must come back the same through text and through JSON. */
#include "component/value/value_json.h"
#include "component/value/value_sample.h"
#include "component/value/wave.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(struct wisp_buf *text, const struct wisp_type *type, const void *native)
{
    struct wisp_err err = {0};
    if (wisp_wave_print(text, type, native, &err) < 0) abort();
}

static void check_same(const struct wisp_type *type, const void *native, const struct wisp_buf *text)
{
    WISP_CLEANUP_BUF struct wisp_buf again = {0};
    print(&again, type, native);
    if (!wisp_str_equal(wisp_buf_str(text), wisp_buf_str(&again))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_err err = {0};
    const struct wisp_type *type = sample_type(&arena, (unsigned)(data[0] - 'A') % SAMPLE_TYPES);
    void *native = wisp_arena_alloc(&arena, type->native_size);
    if (wisp_wave_parse(&arena, type, (struct wisp_str){(const char *)data + 1, size - 1}, native, &err) < 0) return 0;
    print(&text, type, native);
    if (wisp_value_to_json(type, native, &json, &err) < 0) abort();
    if (wisp_wave_parse(&arena, type, wisp_buf_str(&text), native, &err) < 0) abort();
    check_same(type, native, &text);
    if (wisp_value_from_json(&arena, type, json, native, &err) < 0) abort();
    check_same(type, native, &text);
    return 0;
}
