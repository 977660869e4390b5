/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/http_message.h"

#include "base/parse.h"
#include "http/chars.h"
#include "http/exchange.h"
#include "wrpc/value.h"
#include "wrpc/wire.h"

enum { MESSAGE_BYTES_MAX = WISP_WRPC_VALUE_BYTES_MAX };

/* --- decoding --- */

/* A value behind what the input has read. */
static void read_value(struct wisp_wrpc_input *input, const struct wisp_type *type, struct wisp_arena *arena,
                       void *value, struct wisp_err *err)
{
    struct wisp_str left = {input->at, wisp_wrpc_input_left(input)};
    size_t used = 0;
    if (input->state != WISP_WRPC_READ_OK) return;
    int r = wisp_wrpc_value_decode(type, left, arena, value, &used, err);
    input->at += used;
    if (r == WISP_WRPC_MORE)
        input->state = WISP_WRPC_READ_MORE;
    else if (r < 0)
        wisp_wrpc_input_fail(input, NULL);
}

static void read_front(struct wisp_wrpc_input *input, const struct wisp_wrpc_http_types *types,
                       struct wisp_arena *arena, struct wisp_wrpc_http_front *front, struct wisp_err *err)
{
    front->body = wisp_wrpc_read_bytes(input);
    front->is_body_here = front->body.len > 0;
    front->are_trailers_here = wisp_wrpc_read_flag(input, "a future that is neither 0 nor 1");
    if (front->are_trailers_here) read_value(input, types->option_fields, arena, &front->trailers, err);
}

static int judge(struct wisp_wrpc_input *input, struct wisp_err *err)
{
    if (input->state == WISP_WRPC_READ_MORE) return WISP_WRPC_MORE;
    size_t left = wisp_wrpc_input_left(input);
    if (input->state == WISP_WRPC_READ_OK && left == 0) return 0;
    if (input->state == WISP_WRPC_READ_OK) return wisp_err_set(err, WISP_ERR_INVALID, "%zu bytes follow its end", left);
    if (input->fault) return wisp_err_set(err, WISP_ERR_INVALID, "%s", input->fault);
    return -(int)(err ? err->kind : WISP_ERR_INVALID); /* set where it was found */
}

int wisp_wrpc_request_decode(const struct wisp_wrpc_http_types *types, struct wisp_str bytes, struct wisp_arena *arena,
                             struct wisp_wrpc_request *ret_request, struct wisp_err *err)
{
    struct wisp_wrpc_input input = wisp_wrpc_input(bytes);
    read_front(&input, types, arena, &ret_request->front, err);
    read_value(&input, types->request_rest, arena, &ret_request->rest, err);
    return judge(&input, err);
}

int wisp_wrpc_response_decode(const struct wisp_wrpc_http_types *types, struct wisp_str bytes, struct wisp_arena *arena,
                              struct wisp_wrpc_response *ret_response, struct wisp_err *err)
{
    struct wisp_wrpc_input input = wisp_wrpc_input(bytes);
    ret_response->is_error = wisp_wrpc_read_flag(&input, "a result that is neither 0 nor 1");
    if (ret_response->is_error) {
        read_value(&input, types->error_code, arena, &ret_response->error, err);
    } else {
        read_front(&input, types, arena, &ret_response->front, err);
        read_value(&input, types->response_rest, arena, &ret_response->rest, err);
    }
    return judge(&input, err);
}

int wisp_wrpc_trailers_decode(const struct wisp_wrpc_http_types *types, struct wisp_str bytes, struct wisp_arena *arena,
                              struct wisp_wrpc_option_fields *ret_trailers, struct wisp_err *err)
{
    struct wisp_wrpc_input input = wisp_wrpc_input(bytes);
    read_value(&input, types->option_fields, arena, ret_trailers, err);
    return judge(&input, err);
}

/* --- encoding --- */

int wisp_wrpc_trailers_encode(const struct wisp_wrpc_http_types *types, const struct wisp_wrpc_option_fields *trailers,
                              struct wisp_buf *out, struct wisp_err *err)
{
    return wisp_wrpc_value_encode(types->option_fields, trailers, MESSAGE_BYTES_MAX, out, err);
}

static int put_front(const struct wisp_wrpc_http_types *types, const struct wisp_wrpc_http_front *front,
                     struct wisp_buf *out, struct wisp_err *err)
{
    wisp_wrpc_put_bytes(out, front->is_body_here ? front->body : WISP_STR(""));
    wisp_buf_append_char(out, front->are_trailers_here);
    return front->are_trailers_here ? wisp_wrpc_trailers_encode(types, &front->trailers, out, err) : 0;
}

int wisp_wrpc_request_encode(const struct wisp_wrpc_http_types *types, const struct wisp_wrpc_request *request,
                             struct wisp_buf *out, struct wisp_err *err)
{
    int r = put_front(types, &request->front, out, err);
    return r < 0 ? r : wisp_wrpc_value_encode(types->request_rest, &request->rest, MESSAGE_BYTES_MAX, out, err);
}

int wisp_wrpc_response_encode(const struct wisp_wrpc_http_types *types, const struct wisp_wrpc_response *response,
                              struct wisp_buf *out, struct wisp_err *err)
{
    wisp_buf_append_char(out, response->is_error);
    if (response->is_error)
        return wisp_wrpc_value_encode(types->error_code, &response->error, MESSAGE_BYTES_MAX, out, err);
    int r = put_front(types, &response->front, out, err);
    return r < 0 ? r : wisp_wrpc_value_encode(types->response_rest, &response->rest, MESSAGE_BYTES_MAX, out, err);
}

/* --- fields --- */

static bool is_kept(struct wisp_str name, enum wisp_wrpc_http_fields_kind kind)
{
    if (kind == WISP_WRPC_HTTP_ALL || !wisp_http_is_reserved(name)) return true;
    return kind == WISP_WRPC_HTTP_END_TO_END && wisp_str_equal_nocase(name, WISP_STR("content-length"));
}

/* The entry of that name, or a new one. */
static struct wisp_wrpc_field *entry_of(struct wisp_wrpc_fields *fields, struct wisp_str name)
{
    for (size_t i = 0; i < fields->len; i++)
        if (wisp_str_equal_nocase(fields->ptr[i].name, name)) return &fields->ptr[i];
    struct wisp_wrpc_field *field = &fields->ptr[fields->len++];
    *field = (struct wisp_wrpc_field){.name = name};
    return field;
}

int wisp_wrpc_fields_from(const struct wisp_http_header *headers, size_t n, enum wisp_wrpc_http_fields_kind kind,
                          struct wisp_arena *arena, struct wisp_wrpc_fields *ret_fields, struct wisp_err *err)
{
    if (n > WISP_WRPC_HTTP_FIELDS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%zu headers are more than %d", n, WISP_WRPC_HTTP_FIELDS_MAX);
    ret_fields->ptr = WISP_NEW_ARRAY(arena, struct wisp_wrpc_field, n);
    ret_fields->len = 0;
    for (size_t i = 0; i < n; i++)
        if (is_kept(headers[i].name, kind)) entry_of(ret_fields, headers[i].name)->values.len++;
    for (size_t i = 0; i < ret_fields->len; i++) {
        struct wisp_wrpc_field *field = &ret_fields->ptr[i];
        field->values.ptr = WISP_NEW_ARRAY(arena, struct wisp_str, field->values.len);
        field->values.len = 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_kept(headers[i].name, kind)) continue;
        struct wisp_wrpc_field *field = entry_of(ret_fields, headers[i].name);
        field->values.ptr[field->values.len++] = headers[i].value;
    }
    return 0;
}

static int add_values(const struct wisp_wrpc_field *field, struct wisp_arena *arena, struct wisp_http_header *headers,
                      size_t *n, struct wisp_err *err)
{
    char *name = wisp_arena_cstr(arena, field->name);
    wisp_http_to_lower(name, field->name.len);
    if (field->name.len == 0 || !wisp_http_is_all(field->name, WISP_HTTP_TOKEN))
        return wisp_err_set(err, WISP_ERR_INVALID, "header %zu has a name that HTTP can't have", *n + 1);
    for (size_t i = 0; i < field->values.len; i++) {
        if (!wisp_http_is_all(field->values.ptr[i], WISP_HTTP_VALUE))
            return wisp_err_set(err, WISP_ERR_INVALID, "header `%s` has a value that HTTP can't have", name);
        headers[(*n)++] = (struct wisp_http_header){{name, field->name.len}, field->values.ptr[i]};
    }
    return 0;
}

int wisp_wrpc_fields_to(const struct wisp_wrpc_fields *fields, size_t n_max, enum wisp_wrpc_http_fields_kind kind,
                        struct wisp_arena *arena, const struct wisp_http_header **ret_headers, size_t *ret_n,
                        struct wisp_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < fields->len; i++) {
        n += fields->ptr[i].values.len;
        if (n > n_max) return wisp_err_set(err, WISP_ERR_LIMIT, "more than %zu headers", n_max);
    }
    struct wisp_http_header *headers = WISP_NEW_ARRAY(arena, struct wisp_http_header, n);
    *ret_headers = headers;
    *ret_n = 0;
    for (size_t i = 0; i < fields->len; i++) {
        int r = is_kept(fields->ptr[i].name, kind) ? add_values(&fields->ptr[i], arena, headers, ret_n, err) : 0;
        if (r < 0) return r;
    }
    return 0;
}

int wisp_wrpc_fields_length(const struct wisp_wrpc_fields *fields, uint64_t *ret_length, struct wisp_err *err)
{
    *ret_length = WISP_HTTP_LENGTH_UNKNOWN;
    for (size_t i = 0; i < fields->len; i++) {
        const struct wisp_wrpc_field *field = &fields->ptr[i];
        if (!wisp_str_equal_nocase(field->name, WISP_STR("content-length"))) continue;
        for (size_t j = 0; j < field->values.len; j++) {
            uint64_t length;
            if (wisp_parse_u64(field->values.ptr[j], UINT64_MAX - 1, &length, err) < 0)
                return wisp_err_set(err, WISP_ERR_INVALID, "a content-length is no number");
            if (*ret_length != WISP_HTTP_LENGTH_UNKNOWN && *ret_length != length)
                return wisp_err_set(err, WISP_ERR_INVALID, "two content-lengths contradict each other");
            *ret_length = length;
        }
    }
    return 0;
}
