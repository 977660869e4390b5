/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:http/types.fields: names in any case with byte values, in order, duplicates kept. */
#include "wasi/http/http_priv.h"

#include <stdlib.h>

/* --- what may be in it --- */

/* Bytes of a token (RFC 9110, section 5.6.2). */
static const bool is_token_byte[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1,         ['&'] = 1,         ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,         ['^'] = 1,         ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

bool wisp_wasi_http_is_token(struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_token_byte[(uint8_t)text.ptr[i]]) return false;
    return text.len > 0;
}

static bool is_valid_value(struct wisp_bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.ptr[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
    }
    return true;
}

/* Names that concern the connection rather than the message, and `host`, which is the request's authority. */
static bool is_forbidden_name(struct wisp_str name)
{
    static const struct wisp_str forbidden[] = {
        WISP_STR_INIT("te"),
        WISP_STR_INIT("host"),
        WISP_STR_INIT("upgrade"),
        WISP_STR_INIT("connection"),
        WISP_STR_INIT("keep-alive"),
        WISP_STR_INIT("http2-settings"),
        WISP_STR_INIT("proxy-connection"),
        WISP_STR_INIT("transfer-encoding"),
        WISP_STR_INIT("proxy-authenticate"),
        WISP_STR_INIT("proxy-authorization"),
    };
    for (size_t i = 0; i < WISP_COUNT(forbidden); i++)
        if (name.len == forbidden[i].len && wisp_str_equal_nocase(name, forbidden[i])) return true;
    return false;
}

/* --- storage --- */

enum store_result { STORED, STORE_TOO_LARGE, STORE_HEAP_FULL };

static void use_inline_storage(struct wisp_fields *fields)
{
    fields->entries = fields->inline_entries;
    fields->entries_capacity = WISP_FIELDS_INLINE_ENTRIES;
    fields->text = fields->inline_text;
    fields->text_capacity = WISP_FIELDS_INLINE_BYTES;
}

void wisp_fields_destroy(void *object)
{
    struct wisp_fields *fields = object;
    struct wisp_wasi_http *http = fields->object.http;
    if (fields->entries != fields->inline_entries) {
        http->fields_heap -= fields->entries_capacity * sizeof *fields->entries;
        free(fields->entries);
    }
    if (fields->text != fields->inline_text) {
        http->fields_heap -= fields->text_capacity;
        free(fields->text);
    }
}

/* Moves an array to the heap, or to a larger place there; both capacities in bytes. */
static void *grow(struct wisp_wasi_http *http, void *array, const void *inline_array, size_t capacity, size_t used,
                  size_t new_capacity)
{
    http->fields_heap += new_capacity;
    if (array != inline_array) {
        http->fields_heap -= capacity;
        return wisp_mem_realloc(array, new_capacity);
    }
    return memcpy(wisp_mem_alloc(new_capacity), array, used);
}

static enum store_result reserve(struct wisp_fields *fields, size_t n_entries, size_t text_size)
{
    struct wisp_wasi_http *http = fields->object.http;
    size_t entry_size = sizeof *fields->entries;
    n_entries += fields->n_entries;
    text_size += fields->text_size;
    if (text_size + n_entries * entry_size > WISP_WASI_HTTP_FIELDS_BYTES_MAX) return STORE_TOO_LARGE;
    bool more_entries = n_entries > fields->entries_capacity, more_text = text_size > fields->text_capacity;
    size_t more = (more_entries ? 2 * n_entries * entry_size : 0) + (more_text ? 2 * text_size : 0);
    if (http->fields_heap + more > WISP_WASI_HTTP_FIELDS_HEAP_MAX) return STORE_HEAP_FULL;
    if (more_entries) {
        fields->entries = grow(http, fields->entries, fields->inline_entries, fields->entries_capacity * entry_size,
                               fields->n_entries * entry_size, 2 * n_entries * entry_size);
        fields->entries_capacity = (uint32_t)(2 * n_entries);
    }
    if (more_text) {
        fields->text =
            grow(http, fields->text, fields->inline_text, fields->text_capacity, fields->text_size, 2 * text_size);
        fields->text_capacity = (uint32_t)(2 * text_size);
    }
    return STORED;
}

static enum store_result add(struct wisp_fields *fields, struct wisp_str name, const void *value, size_t value_size)
{
    /* Checked one by one, for their sum could overflow. */
    if (name.len > WISP_WASI_HTTP_FIELDS_BYTES_MAX || value_size > WISP_WASI_HTTP_FIELDS_BYTES_MAX)
        return STORE_TOO_LARGE;
    enum store_result result = reserve(fields, 1, name.len + value_size);
    if (result != STORED) return result;
    struct wisp_fields_entry *entry = &fields->entries[fields->n_entries++];
    *entry = (struct wisp_fields_entry){fields->text_size, (uint32_t)name.len, (uint32_t)value_size};
    memcpy(fields->text + fields->text_size, name.ptr, name.len);
    if (value_size) memcpy(fields->text + fields->text_size + name.len, value, value_size);
    fields->text_size += (uint32_t)(name.len + value_size);
    return STORED;
}

static int trap_unless_stored(struct wisp_call *call, enum store_result result)
{
    switch (result) {
    case STORED:
        return 0;
    case STORE_TOO_LARGE:
        return wisp_call_trap(call, "`fields` larger than %d bytes", WISP_WASI_HTTP_FIELDS_BYTES_MAX);
    case STORE_HEAP_FULL:
        break;
    }
    return wisp_call_trap(call, "all `fields` together larger than %d bytes", WISP_WASI_HTTP_FIELDS_HEAP_MAX);
}

/* Takes out every entry of that name and closes the gaps. */
static void remove_all(struct wisp_fields *fields, struct wisp_str name)
{
    uint32_t kept = 0, text_size = 0;
    for (uint32_t i = 0; i < fields->n_entries; i++) {
        struct wisp_fields_entry entry = fields->entries[i];
        if (wisp_str_equal_nocase(wisp_fields_name(fields, i), name)) continue;
        uint32_t size = entry.name_size + entry.value_size;
        memmove(fields->text + text_size, fields->text + entry.at, size);
        entry.at = text_size;
        fields->entries[kept++] = entry;
        text_size += size;
    }
    fields->n_entries = kept;
    fields->text_size = text_size;
}

static struct wisp_fields *new_fields(struct wisp_call *call)
{
    struct wisp_fields *fields = wisp_wasi_http_object_new(call, WISP_WASI_HTTP_KIND_FIELDS);
    if (fields) use_inline_storage(fields);
    return fields;
}

/* NULL after having trapped. */
static struct wisp_fields *copy(struct wisp_call *call, const struct wisp_fields *fields)
{
    struct wisp_fields *clone = new_fields(call);
    if (!clone) return NULL;
    if (trap_unless_stored(call, reserve(clone, fields->n_entries, fields->text_size)) < 0) {
        wisp_wasi_http_object_unref(clone);
        return NULL;
    }
    memcpy(clone->entries, fields->entries, fields->n_entries * sizeof *fields->entries);
    memcpy(clone->text, fields->text, fields->text_size);
    clone->n_entries = fields->n_entries;
    clone->text_size = fields->text_size;
    return clone;
}

/* --- for the rest of wasi:http --- */

struct wisp_fields *wisp_fields_keep_consume(struct wisp_call *call, struct wisp_fields *fields)
{
    struct wisp_fields *kept = fields;
    if (fields->is_immutable) { /* a child: its parent shows it to others and counts its handles */
        kept = copy(call, fields);
        wisp_wasi_http_object_unref(fields);
        if (!kept) return NULL;
    }
    kept->is_immutable = true;
    return kept;
}

struct wisp_fields *wisp_fields_from_headers(struct wisp_wasi_http *http, const struct wisp_http_header *headers,
                                             size_t n)
{
    struct wisp_fields *fields = wisp_wasi_http_object_make(http, WISP_WASI_HTTP_KIND_FIELDS);
    use_inline_storage(fields);
    for (size_t i = 0; i < n; i++) {
        if (is_forbidden_name(headers[i].name)) continue;
        /* The server's limits on heads are below ours, so this can't fail but by configuration; then what doesn't
         * fit is left out. */
        if (add(fields, headers[i].name, headers[i].value.ptr, headers[i].value.len) != STORED) break;
    }
    fields->is_immutable = true;
    return fields;
}

const struct wisp_http_header *wisp_fields_to_headers(struct wisp_call *call, const struct wisp_fields *fields,
                                                      size_t *ret_n)
{
    struct wisp_http_header *headers = wisp_arena_alloc(call->arena, fields->n_entries * sizeof *headers);
    size_t n = 0;
    for (uint32_t i = 0; i < fields->n_entries; i++) {
        struct wisp_str name = wisp_fields_name(fields, i);
        if (wisp_str_equal_nocase(name, WISP_STR("content-length"))) continue;
        headers[n++] = (struct wisp_http_header){name, wisp_fields_value(fields, i)};
    }
    *ret_n = n;
    return headers;
}

static bool parse_length(struct wisp_str text, uint64_t *ret_length)
{
    uint64_t length = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(uint8_t)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(length, 10, &length) || __builtin_add_overflow(length, digit, &length))
            return false;
    }
    *ret_length = length;
    return text.len > 0 && length != WISP_HTTP_LENGTH_UNKNOWN;
}

bool wisp_fields_content_length(const struct wisp_fields *fields, uint64_t *ret_length)
{
    *ret_length = WISP_HTTP_LENGTH_UNKNOWN;
    for (uint32_t i = 0; i < fields->n_entries; i++) {
        if (!wisp_str_equal_nocase(wisp_fields_name(fields, i), WISP_STR("content-length"))) continue;
        uint64_t length;
        if (!parse_length(wisp_fields_value(fields, i), &length)) return false;
        if (*ret_length != WISP_HTTP_LENGTH_UNKNOWN && *ret_length != length) return false;
        *ret_length = length;
    }
    return true;
}

/* --- host functions --- */

/* Whether the guest may change entries of this name: syntax first, then the name, then the object. */
static bool may_change(const struct wisp_fields *fields, struct wisp_str name, uint32_t *ret_error)
{
    if (!wisp_wasi_http_is_token(name))
        *ret_error = WISP_HEADER_INVALID_SYNTAX;
    else if (is_forbidden_name(name))
        *ret_error = WISP_HEADER_FORBIDDEN;
    else if (fields->is_immutable)
        *ret_error = WISP_HEADER_IMMUTABLE;
    else
        return true;
    return false;
}

int wisp_fields_host_new(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    struct wisp_fields *fields = new_fields(call);
    *(struct wisp_fields **)result = fields;
    return fields ? 0 : -WISP_ERR_GUEST;
}

/* 0 and *ret_error untouched, 1 and *ret_error, or negative: trap. */
static int fill(struct wisp_call *call, struct wisp_fields *fields, const struct wisp_abi_list_field *list,
                uint32_t *ret_error)
{
    for (size_t i = 0; i < list->len; i++) {
        const struct wisp_abi_field *field = &list->ptr[i];
        if (!may_change(fields, field->name, ret_error)) return 1;
        if (!is_valid_value(field->value)) {
            *ret_error = WISP_HEADER_INVALID_SYNTAX;
            return 1;
        }
        int r = trap_unless_stored(call, add(fields, field->name, field->value.ptr, field->value.len));
        if (r < 0) return r;
    }
    return 0;
}

int wisp_fields_host_from_list(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_abi_result_fields *ret = result;
    struct wisp_fields *fields = new_fields(call);
    if (!fields) return -WISP_ERR_GUEST;
    uint32_t error;
    int r = fill(call, fields, args, &error);
    if (r == 0) {
        *ret = (struct wisp_abi_result_fields){.is_error = WISP_ABI_OK, .of.fields = fields};
        return 0;
    }
    wisp_wasi_http_object_unref(fields);
    if (r > 0) *ret = (struct wisp_abi_result_fields){.is_error = WISP_ABI_ERROR, .of.error = error};
    return r < 0 ? r : 0;
}

int wisp_fields_host_get(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_abi_fields_name_args *arg = args;
    const struct wisp_fields *fields = arg->self;
    struct wisp_bytes *values = wisp_arena_alloc(call->arena, fields->n_entries * sizeof *values);
    size_t n = 0;
    for (uint32_t i = 0; i < fields->n_entries; i++) {
        if (!wisp_str_equal_nocase(wisp_fields_name(fields, i), arg->name)) continue;
        struct wisp_str value = wisp_fields_value(fields, i);
        values[n++] = (struct wisp_bytes){(const uint8_t *)value.ptr, value.len};
    }
    *(struct wisp_abi_list_value *)result = (struct wisp_abi_list_value){values, n};
    return 0;
}

int wisp_fields_host_has(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_abi_fields_name_args *arg = args;
    bool *ret_has = result;
    *ret_has = false;
    for (uint32_t i = 0; i < arg->self->n_entries && !*ret_has; i++)
        *ret_has = wisp_str_equal_nocase(wisp_fields_name(arg->self, i), arg->name);
    return 0;
}

int wisp_fields_host_set(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_abi_fields_set_args *arg = args;
    struct wisp_abi_result_header_error *ret = result;
    *ret = (struct wisp_abi_result_header_error){.is_error = WISP_ABI_ERROR};
    if (!wisp_wasi_http_is_token(arg->name)) {
        ret->error = WISP_HEADER_INVALID_SYNTAX;
        return 0;
    }
    for (size_t i = 0; i < arg->values.len; i++) {
        if (is_valid_value(arg->values.ptr[i])) continue;
        ret->error = WISP_HEADER_INVALID_SYNTAX;
        return 0;
    }
    if (!may_change(arg->self, arg->name, &ret->error)) return 0;
    remove_all(arg->self, arg->name);
    for (size_t i = 0; i < arg->values.len; i++) {
        int r = trap_unless_stored(call, add(arg->self, arg->name, arg->values.ptr[i].ptr, arg->values.ptr[i].len));
        if (r < 0) return r;
    }
    ret->is_error = WISP_ABI_OK;
    return 0;
}

int wisp_fields_host_delete(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_abi_fields_name_args *arg = args;
    struct wisp_abi_result_header_error *ret = result;
    *ret = (struct wisp_abi_result_header_error){.is_error = WISP_ABI_ERROR};
    if (!may_change(arg->self, arg->name, &ret->error)) return 0;
    remove_all(arg->self, arg->name);
    ret->is_error = WISP_ABI_OK;
    return 0;
}

int wisp_fields_host_append(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_abi_fields_append_args *arg = args;
    struct wisp_abi_result_header_error *ret = result;
    *ret = (struct wisp_abi_result_header_error){.is_error = WISP_ABI_ERROR, .error = WISP_HEADER_INVALID_SYNTAX};
    if (!is_valid_value(arg->value)) return 0;
    if (!may_change(arg->self, arg->name, &ret->error)) return 0;
    ret->is_error = WISP_ABI_OK;
    return trap_unless_stored(call, add(arg->self, arg->name, arg->value.ptr, arg->value.len));
}

int wisp_fields_host_entries(struct wisp_call *call, const void *args, void *result)
{
    const struct wisp_fields *fields = *(struct wisp_fields *const *)args;
    struct wisp_abi_field *list = wisp_arena_alloc(call->arena, fields->n_entries * sizeof *list);
    for (uint32_t i = 0; i < fields->n_entries; i++) {
        struct wisp_str value = wisp_fields_value(fields, i);
        list[i] = (struct wisp_abi_field){wisp_fields_name(fields, i), {(const uint8_t *)value.ptr, value.len}};
    }
    *(struct wisp_abi_list_field *)result = (struct wisp_abi_list_field){list, fields->n_entries};
    return 0;
}

int wisp_fields_host_clone(struct wisp_call *call, const void *args, void *result)
{
    struct wisp_fields *clone = copy(call, *(struct wisp_fields *const *)args);
    *(struct wisp_fields **)result = clone;
    return clone ? 0 : -WISP_ERR_GUEST;
}
