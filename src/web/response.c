/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web_priv.h"

#include <stdlib.h>

enum {
    HEADER_VALUE_MAX = 8 * 1024, /* of those that have a place of their own */
    HEAD_SIZE_MAX = 256 * 1024,
    HEAD_FIELDS_MAX = 1000,
};

static struct wisp_str trim(struct wisp_str text)
{
    while (text.len && strchr(" \t", text.ptr[0])) text.ptr++, text.len--;
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1])) text.len--;
    return text;
}

static uint64_t leading_number(struct wisp_str text)
{
    uint64_t value = 0;
    size_t i;
    for (i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        if (value > UINT64_MAX / 100) return UINT64_MAX;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return i ? value : UINT64_MAX;
}

void wisp_web_head_reset(struct wisp_web_head *head, struct wisp_web_response *response)
{
    wisp_arena_reset(&head->arena);
    head->n_fields = head->size = head->n_head_fields = 0;
    head->is_complete = false;
    response->status = 0;
    response->challenge.len = response->digest.len = 0;
    response->range_start = UINT64_MAX;
    response->retry_after_ms = 0;
    response->fields = response->trailers = NULL;
    response->n_fields = response->n_trailers = 0;
}

void wisp_web_head_deinit(struct wisp_web_head *head, struct wisp_web_response *response)
{
    wisp_arena_deinit(&head->arena);
    free(head->fields);
    wisp_buf_deinit(&response->challenge);
    wisp_buf_deinit(&response->digest);
}

static bool is_named(struct wisp_str name, struct wisp_str other) { return wisp_str_equal_nocase(name, other); }

static void note_field(struct wisp_web_response *response, struct wisp_str name, struct wisp_str value)
{
    if (is_named(name, WISP_STR("WWW-Authenticate"))) {
        if (response->challenge.len + value.len > HEADER_VALUE_MAX) return;
        if (response->challenge.len) wisp_buf_append(&response->challenge, ", ", 2);
        wisp_buf_append_str(&response->challenge, value);
    } else if (is_named(name, WISP_STR("Docker-Content-Digest"))) {
        response->digest.len = 0;
        if (value.len <= HEADER_VALUE_MAX) wisp_buf_append_str(&response->digest, value);
    } else if (is_named(name, WISP_STR("Content-Range"))) {
        struct wisp_str bytes = WISP_STR("bytes ");
        if (wisp_str_starts_with(value, bytes))
            response->range_start = leading_number((struct wisp_str){value.ptr + bytes.len, value.len - bytes.len});
    } else if (is_named(name, WISP_STR("Retry-After"))) {
        uint64_t seconds = leading_number(value);
        response->retry_after_ms = seconds < 3600 ? seconds * 1000 : 0;
    }
}

static int keep_field(struct wisp_web_head *head, struct wisp_web_response *response, struct wisp_str name,
                      struct wisp_str value, struct wisp_err *err)
{
    head->size += name.len + value.len;
    if (head->size > HEAD_SIZE_MAX || head->n_fields == HEAD_FIELDS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "the response has too many headers");
    if (head->n_fields == head->n_allocated) {
        head->n_allocated = head->n_allocated ? 2 * head->n_allocated : 16;
        head->fields = wisp_mem_realloc(head->fields, head->n_allocated * sizeof *head->fields);
    }
    head->fields[head->n_fields++] =
        (struct wisp_web_field){wisp_arena_str(&head->arena, name), wisp_arena_str(&head->arena, value)};
    response->fields = head->fields;
    if (head->is_complete) {
        response->trailers = head->fields + head->n_head_fields;
        response->n_trailers = head->n_fields - head->n_head_fields;
    } else {
        response->n_fields = head->n_fields;
    }
    return 0;
}

/* "HTTP/1.1 200 OK": the head of the next response, after 100 Continue for example. */
static void begin(struct wisp_web_head *head, struct wisp_web_response *response, struct wisp_str line)
{
    struct wisp_str version, rest;
    wisp_web_head_reset(head, response);
    if (!wisp_str_split(line, ' ', &version, &rest)) return;
    uint64_t status = leading_number(rest);
    if (status < 1000) response->status = (long)status;
}

int wisp_web_head_line(struct wisp_web_head *head, struct wisp_web_response *response, struct wisp_str line,
                       struct wisp_err *err)
{
    struct wisp_str name, value;
    bool is_trailer = head->is_complete && response->status >= 200;
    if (!is_trailer && wisp_str_starts_with(line, WISP_STR("HTTP/"))) {
        begin(head, response, line);
        return 0;
    }
    if (trim(line).len == 0) {
        if (!head->is_complete) head->n_head_fields = head->n_fields;
        head->is_complete = true;
        return 0;
    }
    if (!wisp_str_split(line, ':', &name, &value)) return 0;
    if (!is_trailer) note_field(response, name, trim(value));
    return head->keeps_fields ? keep_field(head, response, name, trim(value), err) : 0;
}

struct wisp_str wisp_web_find(const struct wisp_web_response *response, const char *name)
{
    for (size_t i = 0; i < response->n_fields; i++)
        if (wisp_str_equal_nocase(response->fields[i].name, wisp_str_from(name))) return response->fields[i].value;
    return (struct wisp_str){0};
}
