/* SPDX-License-Identifier: Apache-2.0 */
#include "component/types.h"

#include "base/mem.h"

enum { FLAT_TOO_MANY = WISP_FLAT_PARAMS_MAX + 1, FLAGS_MAX = 32, SIZE_MAX_BYTES = 1 << 28, TEXT_ENOUGH = 1000 };

#define PRIMITIVE(kind_, size_, native_size_, flat_, any_bits)                                                         \
    [WISP_TYPE_##kind_] = {.kind = WISP_TYPE_##kind_,                                                                  \
                           .size = (size_),                                                                            \
                           .align = (size_),                                                                           \
                           .native_size = (native_size_),                                                              \
                           .native_align = (native_size_),                                                             \
                           .weight = 1,                                                                                \
                           .depth = 1,                                                                                 \
                           .is_bytes = (any_bits),                                                                     \
                           .n_flat = 1,                                                                                \
                           .flat = {WISP_FLAT_##flat_}}

static const struct wisp_type primitives[WISP_TYPE_STRING + 1] = {
    PRIMITIVE(BOOL, 1, 1, I32, false),
    PRIMITIVE(S8, 1, 1, I32, true),
    PRIMITIVE(U8, 1, 1, I32, true),
    PRIMITIVE(S16, 2, 2, I32, true),
    PRIMITIVE(U16, 2, 2, I32, true),
    PRIMITIVE(S32, 4, 4, I32, true),
    PRIMITIVE(U32, 4, 4, I32, true),
    PRIMITIVE(S64, 8, 8, I64, true),
    PRIMITIVE(U64, 8, 8, I64, true),
    PRIMITIVE(F32, 4, 4, F32, true),
    PRIMITIVE(F64, 8, 8, F64, true),
    PRIMITIVE(CHAR, 4, 4, I32, false),
    [WISP_TYPE_STRING] = {.kind = WISP_TYPE_STRING,
                          .size = 8,
                          .align = 4,
                          .native_size = sizeof(struct wisp_str),
                          .native_align = _Alignof(struct wisp_str),
                          .weight = 1,
                          .depth = 1,
                          .has_pointers = true,
                          .n_flat = 2,
                          .flat = {WISP_FLAT_I32, WISP_FLAT_I32}},
};

static_assert(sizeof(struct wisp_str) == 16 && sizeof(bool) == 1, "native layouts as types.h tells them");

const struct wisp_type *wisp_type_primitive(enum wisp_type_kind kind)
{
    assert(kind <= WISP_TYPE_STRING);
    return &primitives[kind];
}

static uint64_t align_up(uint64_t n, uint32_t align) { return (n + align - 1) / align * align; }

static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* --- what a type takes from its parts --- */

static int add_part(struct wisp_type *type, const struct wisp_type *part, struct wisp_err *err)
{
    if (part->depth >= WISP_TYPE_DEPTH_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "types are nested more than %d deep", WISP_TYPE_DEPTH_MAX);
    if (part->weight > WISP_TYPE_WEIGHT_MAX - type->weight)
        return wisp_err_set(err, WISP_ERR_LIMIT, "a type has more than %d parts", WISP_TYPE_WEIGHT_MAX);
    type->weight += part->weight;
    if (type->depth <= part->depth) type->depth = (uint8_t)(part->depth + 1);
    type->has_pointers |= part->has_pointers;
    type->has_handles |= part->has_handles;
    type->has_streams |= part->has_streams;
    return 0;
}

static void append_flat(struct wisp_type *type, const struct wisp_type *part)
{
    if (type->n_flat + part->n_flat > WISP_FLAT_PARAMS_MAX) {
        type->n_flat = FLAT_TOO_MANY;
        return;
    }
    memcpy(type->flat + type->n_flat, part->flat, part->n_flat);
    type->n_flat = (uint16_t)(type->n_flat + part->n_flat);
}

/* The core type that can carry either of two: CanonicalABI.md, "join". */
static uint8_t join(uint8_t a, uint8_t b)
{
    if (a == b) return a;
    bool both_32 = (a == WISP_FLAT_I32 || a == WISP_FLAT_F32) && (b == WISP_FLAT_I32 || b == WISP_FLAT_F32);
    return both_32 ? WISP_FLAT_I32 : WISP_FLAT_I64;
}

/* The payloads of a variant's cases share the flat values after the tag. */
static void join_flat(struct wisp_type *type, const struct wisp_type *payload)
{
    if (payload->n_flat + 1 > WISP_FLAT_PARAMS_MAX || type->n_flat == FLAT_TOO_MANY) {
        type->n_flat = FLAT_TOO_MANY;
        return;
    }
    for (uint16_t i = 0; i < payload->n_flat; i++) {
        uint8_t *slot = &type->flat[i + 1];
        *slot = i + 1 < type->n_flat ? join(*slot, payload->flat[i]) : payload->flat[i];
    }
    if (type->n_flat < payload->n_flat + 1) type->n_flat = (uint16_t)(payload->n_flat + 1);
}

static int set_sizes(struct wisp_type *type, uint64_t size, uint64_t native_size, struct wisp_err *err)
{
    size = align_up(size, type->align);
    native_size = align_up(native_size, type->native_align);
    if (size >= SIZE_MAX_BYTES || native_size >= SIZE_MAX_BYTES)
        return wisp_err_set(err, WISP_ERR_INVALID, "a type exceeds the maximum byte size");
    type->size = (uint32_t)size;
    type->native_size = (uint32_t)native_size;
    return 0;
}

/* --- makers --- */

int wisp_type_list(struct wisp_arena *arena, const struct wisp_type *element, const struct wisp_type **ret_type,
                   struct wisp_err *err)
{
    struct wisp_type *type = WISP_NEW(arena, struct wisp_type);
    *type = primitives[WISP_TYPE_STRING]; /* a pointer and a length in every layout */
    type->kind = WISP_TYPE_LIST;
    type->element = element;
    int r = add_part(type, element, err);
    if (r < 0) return r;
    *ret_type = type;
    return 0;
}

static int lay_out_record(struct wisp_type *type, struct wisp_err *err)
{
    uint64_t size = 0, native_size = 0;
    type->is_bytes = true;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        struct wisp_type_field *field = &type->fields[i];
        const struct wisp_type *part = field->type;
        int r = add_part(type, part, err);
        if (r < 0) return r;
        size = align_up(size, part->align);
        native_size = align_up(native_size, part->native_align);
        if (size >= SIZE_MAX_BYTES || native_size >= SIZE_MAX_BYTES)
            return wisp_err_set(err, WISP_ERR_INVALID, "a type exceeds the maximum byte size");
        field->offset = (uint32_t)size;
        field->native_offset = (uint32_t)native_size;
        type->is_bytes &= part->is_bytes && size == native_size;
        size += part->size;
        native_size += part->native_size;
        type->align = max_u32(type->align, part->align);
        type->native_align = max_u32(type->native_align, part->native_align);
        append_flat(type, part);
    }
    return set_sizes(type, size, native_size, err);
}

static int lay_out_flags(struct wisp_type *type, struct wisp_err *err)
{
    if (type->n_fields == 0 || type->n_fields > FLAGS_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "flags have %u labels, not 1 to %d", type->n_fields, FLAGS_MAX);
    type->tag_size = type->n_fields <= 8 ? 1 : type->n_fields <= 16 ? 2 : 4;
    type->size = type->align = type->tag_size;
    type->native_size = type->native_align = 4;
    type->is_bytes = type->n_fields == FLAGS_MAX;
    type->n_flat = 1;
    type->flat[0] = WISP_FLAT_I32;
    return 0;
}

/* Enum, variant, option, result: a tag, then room for the largest payload. */
static int lay_out_variant(struct wisp_type *type, struct wisp_err *err)
{
    if (type->n_fields == 0) return wisp_err_set(err, WISP_ERR_INVALID, "a variant or enum has no cases");
    uint32_t payload_align = 1, payload_size = 0, native_payload_align = 1, native_payload_size = 0;
    type->tag_size = type->n_fields <= 1 << 8 ? 1 : type->n_fields <= 1 << 16 ? 2 : 4;
    type->n_flat = 1;
    type->flat[0] = WISP_FLAT_I32;
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type *payload = type->fields[i].type;
        if (!payload) continue;
        int r = add_part(type, payload, err);
        if (r < 0) return r;
        payload_align = max_u32(payload_align, payload->align);
        payload_size = max_u32(payload_size, payload->size);
        native_payload_align = max_u32(native_payload_align, payload->native_align);
        native_payload_size = max_u32(native_payload_size, payload->native_size);
        join_flat(type, payload);
    }
    uint64_t offset = align_up(type->tag_size, payload_align);
    uint64_t native_offset = align_up(sizeof(uint32_t), native_payload_align);
    for (uint32_t i = 0; i < type->n_fields; i++) {
        type->fields[i].offset = (uint32_t)offset;
        type->fields[i].native_offset = (uint32_t)native_offset;
    }
    type->align = max_u32(type->tag_size, payload_align);
    type->native_align = max_u32(sizeof(uint32_t), native_payload_align);
    return set_sizes(type, offset + payload_size, native_offset + native_payload_size, err);
}

int wisp_type_compound(struct wisp_arena *arena, enum wisp_type_kind kind, struct wisp_type_field *fields,
                       uint32_t n_fields, const struct wisp_type **ret_type, struct wisp_err *err)
{
    if (n_fields >= WISP_TYPE_WEIGHT_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "a type has more than %d parts", WISP_TYPE_WEIGHT_MAX);
    struct wisp_type *type = WISP_NEW(arena, struct wisp_type);
    *type = (struct wisp_type){.kind = kind,
                               .align = 1,
                               .native_align = 1,
                               .weight = 1 + (kind == WISP_TYPE_FLAGS || kind == WISP_TYPE_ENUM ? n_fields : 0),
                               .depth = 1,
                               .n_fields = n_fields,
                               .fields = fields};
    int r;
    switch (kind) {
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        r = lay_out_record(type, err);
        break;
    case WISP_TYPE_FLAGS:
        r = lay_out_flags(type, err);
        break;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        r = lay_out_variant(type, err);
        break;
    default:
        return wisp_err_set(err, WISP_ERR_INTERNAL, "type kind %d is not a compound", (int)kind);
    }
    if (r < 0) return r;
    *ret_type = type;
    return 0;
}

static int two_cases(struct wisp_arena *arena, enum wisp_type_kind kind, struct wisp_type_field first,
                     struct wisp_type_field second, const struct wisp_type **ret_type, struct wisp_err *err)
{
    struct wisp_type_field *cases = WISP_NEW_ARRAY(arena, struct wisp_type_field, 2);
    cases[0] = first;
    cases[1] = second;
    return wisp_type_compound(arena, kind, cases, 2, ret_type, err);
}

int wisp_type_option(struct wisp_arena *arena, const struct wisp_type *some, const struct wisp_type **ret_type,
                     struct wisp_err *err)
{
    return two_cases(arena, WISP_TYPE_OPTION, (struct wisp_type_field){.name = WISP_STR("none")},
                     (struct wisp_type_field){.name = WISP_STR("some"), .type = some}, ret_type, err);
}

int wisp_type_result(struct wisp_arena *arena, const struct wisp_type *ok, const struct wisp_type *error,
                     const struct wisp_type **ret_type, struct wisp_err *err)
{
    return two_cases(arena, WISP_TYPE_RESULT, (struct wisp_type_field){.name = WISP_STR("ok"), .type = ok},
                     (struct wisp_type_field){.name = WISP_STR("error"), .type = error}, ret_type, err);
}

struct wisp_type *wisp_type_handle(struct wisp_arena *arena, enum wisp_type_kind own_or_borrow,
                                   struct wisp_resource *resource)
{
    assert(own_or_borrow == WISP_TYPE_OWN || own_or_borrow == WISP_TYPE_BORROW);
    struct wisp_type *type = WISP_NEW(arena, struct wisp_type);
    *type = (struct wisp_type){.kind = own_or_borrow,
                               .size = 4,
                               .align = 4,
                               .native_size = sizeof(void *),
                               .native_align = _Alignof(void *),
                               .weight = 1,
                               .depth = 1,
                               .has_handles = true,
                               .n_flat = 1,
                               .flat = {WISP_FLAT_I32},
                               .resource = resource};
    return type;
}

int wisp_type_stream(struct wisp_arena *arena, enum wisp_type_kind stream_or_future, const struct wisp_type *element,
                     const struct wisp_type **ret_type, struct wisp_err *err)
{
    assert(stream_or_future == WISP_TYPE_STREAM || stream_or_future == WISP_TYPE_FUTURE);
    struct wisp_type *type = WISP_NEW(arena, struct wisp_type);
    *type = (struct wisp_type){.kind = stream_or_future,
                               .size = 4,
                               .align = 4,
                               .native_size = sizeof(void *),
                               .native_align = _Alignof(void *),
                               .weight = 1,
                               .depth = 1,
                               .n_flat = 1,
                               .flat = {WISP_FLAT_I32},
                               .element = element};
    int r = add_part(type, element, err);
    if (r < 0) return r;
    type->has_streams = true;
    type->has_pointers = false;
    *ret_type = type;
    return 0;
}

/* --- functions --- */

static void flatten_params(const struct wisp_type *params, struct wisp_core_func_type *core, bool *ret_in_memory)
{
    *ret_in_memory = params->n_flat > WISP_FLAT_PARAMS_MAX;
    core->n_params = *ret_in_memory ? 1 : (uint8_t)params->n_flat;
    core->params[0] = WISP_FLAT_I32;
    if (!*ret_in_memory) memcpy(core->params, params->flat, params->n_flat);
}

int wisp_type_func(struct wisp_arena *arena, struct wisp_type_field *params, uint32_t n_params,
                   const struct wisp_type *result, const struct wisp_func_type **ret_type, struct wisp_err *err)
{
    if (n_params >= WISP_TYPE_WEIGHT_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "a function has more than %d parameters", WISP_TYPE_WEIGHT_MAX);
    /* Both layouts of the parameters are those of a tuple. */
    struct wisp_type tuple = {
        .align = 1, .native_align = 1, .weight = 1, .depth = 1, .n_fields = n_params, .fields = params};
    int r = lay_out_record(&tuple, err);
    if (r < 0) return r;
    struct wisp_func_type *func = WISP_NEW(arena, struct wisp_func_type);
    *func = (struct wisp_func_type){.n_params = n_params,
                                    .params = params,
                                    .result = result,
                                    .native_params_size = tuple.native_size,
                                    .native_params_align = tuple.native_align,
                                    .params_size = tuple.size,
                                    .params_align = tuple.align,
                                    .params_layout = params,
                                    .has_handles = tuple.has_handles || (result && result->has_handles),
                                    .has_streams = tuple.has_streams || (result && result->has_streams)};
    flatten_params(&tuple, &func->lower, &func->params_in_memory);
    func->lift = func->lower;
    if (result && result->n_flat > WISP_FLAT_RESULTS_MAX) {
        func->result_in_memory = true;
        func->lower.params[func->lower.n_params++] = WISP_FLAT_I32;
        func->lift.results[func->lift.n_results++] = WISP_FLAT_I32;
    } else if (result && result->n_flat == 1) {
        func->lower.results[func->lower.n_results++] = result->flat[0];
        func->lift.results[func->lift.n_results++] = result->flat[0];
    }
    *ret_type = func;
    return 0;
}

/* --- equality --- */

static bool optional_equal(const struct wisp_type *a, const struct wisp_type *b)
{
    return a && b ? wisp_type_equal(a, b) : a == b;
}

bool wisp_type_equal(const struct wisp_type *a, const struct wisp_type *b)
{
    if (a == b) return true;
    if (a->kind != b->kind || a->weight != b->weight || a->n_fields != b->n_fields) return false;
    if (a->kind == WISP_TYPE_OWN || a->kind == WISP_TYPE_BORROW) return a->resource == b->resource;
    if (a->element) return wisp_type_equal(a->element, b->element);
    for (uint32_t i = 0; i < a->n_fields; i++) {
        if (!wisp_str_equal(a->fields[i].name, b->fields[i].name)) return false;
        if (!optional_equal(a->fields[i].type, b->fields[i].type)) return false;
    }
    return true;
}

bool wisp_func_type_equal(const struct wisp_func_type *a, const struct wisp_func_type *b)
{
    if (a->n_params != b->n_params || !optional_equal(a->result, b->result)) return false;
    for (uint32_t i = 0; i < a->n_params; i++)
        if (!wisp_type_equal(a->params[i].type, b->params[i].type)) return false;
    return true;
}

static bool same_shape(const struct wisp_type *a, const struct wisp_type *b)
{
    if (a == b) return true;
    if (!a || !b || a->kind != b->kind || a->weight != b->weight || a->n_fields != b->n_fields) return false;
    if (a->resource != b->resource) return false;
    if (!same_shape(a->element, b->element)) return false;
    for (uint32_t i = 0; i < a->n_fields; i++)
        if (!same_shape(a->fields[i].type, b->fields[i].type)) return false;
    return true;
}

bool wisp_func_type_same_shape(const struct wisp_func_type *a, const struct wisp_func_type *b)
{
    if (a->n_params != b->n_params || !same_shape(a->result, b->result)) return false;
    for (uint32_t i = 0; i < a->n_params; i++)
        if (!same_shape(a->params[i].type, b->params[i].type)) return false;
    return true;
}

/* --- copies of native values --- */

struct native_list {
    void *ptr;
    size_t len;
};

static void copy_pointed(struct wisp_arena *arena, const struct wisp_type *type, char *value);

static void copy_list(struct wisp_arena *arena, const struct wisp_type *element, void *value)
{
    struct native_list list;
    memcpy(&list, value, sizeof list);
    size_t size = list.len * element->native_size;
    char *items = wisp_arena_alloc(arena, size);
    if (size) memcpy(items, list.ptr, size);
    list.ptr = items;
    memcpy(value, &list, sizeof list);
    if (!element->has_pointers) return;
    for (size_t i = 0; i < list.len; i++) copy_pointed(arena, element, items + i * element->native_size);
}

/* Replaces what `value`, a copy already, points to. */
static void copy_pointed(struct wisp_arena *arena, const struct wisp_type *type, char *value)
{
    if (!type || !type->has_pointers) return;
    uint32_t tag;
    switch (type->kind) {
    case WISP_TYPE_STRING:
        copy_list(arena, wisp_type_primitive(WISP_TYPE_U8), value);
        return;
    case WISP_TYPE_LIST:
        copy_list(arena, type->element, value);
        return;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; i < type->n_fields; i++)
            copy_pointed(arena, type->fields[i].type, value + type->fields[i].native_offset);
        return;
    default: /* variants */
        memcpy(&tag, value, sizeof tag);
        assert(tag < type->n_fields);
        copy_pointed(arena, type->fields[tag].type, value + type->fields[tag].native_offset);
        return;
    }
}

void wisp_value_copy(struct wisp_arena *arena, const struct wisp_type *type, const void *from, void *to)
{
    if (to != from) memcpy(to, from, type->native_size);
    copy_pointed(arena, type, to);
}

/* --- what is not plain data --- */

void wisp_value_visit(const struct wisp_type *type, const void *value, wisp_value_visitor *visitor, void *env)
{
    if (!type || (!type->has_handles && !type->has_streams)) return;
    struct native_list list;
    const char *at = value;
    uint32_t tag;
    switch (type->kind) {
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
        visitor(type, value, env);
        return;
    case WISP_TYPE_LIST:
        memcpy(&list, value, sizeof list);
        at = list.ptr;
        for (size_t i = 0; i < list.len; i++, at += type->element->native_size)
            wisp_value_visit(type->element, at, visitor, env);
        return;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; i < type->n_fields; i++)
            wisp_value_visit(type->fields[i].type, at + type->fields[i].native_offset, visitor, env);
        return;
    default: /* variants */
        memcpy(&tag, value, sizeof tag);
        if (tag < type->n_fields)
            wisp_value_visit(type->fields[tag].type, at + type->fields[tag].native_offset, visitor, env);
        return;
    }
}

/* --- text --- */

static const char *const kind_names[WISP_TYPE_COUNT] = {
    [WISP_TYPE_BOOL] = "bool",       [WISP_TYPE_S8] = "s8",         [WISP_TYPE_U8] = "u8",
    [WISP_TYPE_S16] = "s16",         [WISP_TYPE_U16] = "u16",       [WISP_TYPE_S32] = "s32",
    [WISP_TYPE_U32] = "u32",         [WISP_TYPE_S64] = "s64",       [WISP_TYPE_U64] = "u64",
    [WISP_TYPE_F32] = "f32",         [WISP_TYPE_F64] = "f64",       [WISP_TYPE_CHAR] = "char",
    [WISP_TYPE_STRING] = "string",   [WISP_TYPE_LIST] = "list",     [WISP_TYPE_RECORD] = "record",
    [WISP_TYPE_TUPLE] = "tuple",     [WISP_TYPE_FLAGS] = "flags",   [WISP_TYPE_ENUM] = "enum",
    [WISP_TYPE_VARIANT] = "variant", [WISP_TYPE_OPTION] = "option", [WISP_TYPE_RESULT] = "result",
    [WISP_TYPE_OWN] = "own",         [WISP_TYPE_BORROW] = "borrow", [WISP_TYPE_STREAM] = "stream",
    [WISP_TYPE_FUTURE] = "future",
};

static void append_cstr(struct wisp_buf *buf, const char *text) { wisp_buf_append_str(buf, wisp_str_from(text)); }

static void write_type(struct wisp_buf *buf, const struct wisp_type *type);

static void write_result(struct wisp_buf *buf, const struct wisp_type *type)
{
    const struct wisp_type *ok = type->fields[0].type, *error = type->fields[1].type;
    if (!ok && !error) return;
    wisp_buf_append_char(buf, '<');
    if (ok)
        write_type(buf, ok);
    else
        wisp_buf_append_char(buf, '_');
    if (error) {
        append_cstr(buf, ", ");
        write_type(buf, error);
    }
    wisp_buf_append_char(buf, '>');
}

/* An anonymous record, variant, enum or flags: "record{a: u8, b: string}", "enum{a, b}". */
static void write_fields(struct wisp_buf *buf, const struct wisp_type *type)
{
    bool is_tuple = type->kind == WISP_TYPE_TUPLE;
    wisp_buf_append_char(buf, is_tuple ? '<' : '{');
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        if (buf->len > TEXT_ENOUGH) return;
        if (i) append_cstr(buf, ", ");
        if (!is_tuple) wisp_buf_append_str(buf, field->name);
        if (!field->type) continue;
        if (type->kind == WISP_TYPE_RECORD) append_cstr(buf, ": ");
        if (type->kind == WISP_TYPE_VARIANT) wisp_buf_append_char(buf, '(');
        write_type(buf, field->type);
        if (type->kind == WISP_TYPE_VARIANT) wisp_buf_append_char(buf, ')');
    }
    wisp_buf_append_char(buf, is_tuple ? '>' : '}');
}

/* Stops once the text is longer than anybody reads, which also bounds the work. */
static void write_type(struct wisp_buf *buf, const struct wisp_type *type)
{
    if (buf->len > TEXT_ENOUGH) return;
    if (type->name.len) {
        wisp_buf_append_str(buf, type->name);
        return;
    }
    append_cstr(buf, kind_names[type->kind]);
    switch (type->kind) {
    case WISP_TYPE_LIST:
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
    case WISP_TYPE_OPTION:
        wisp_buf_append_char(buf, '<');
        write_type(buf, type->element ? type->element : type->fields[1].type);
        wisp_buf_append_char(buf, '>');
        break;
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
        wisp_buf_append_char(buf, '<');
        wisp_buf_append_str(buf, type->resource->name.len ? type->resource->name : WISP_STR("resource"));
        wisp_buf_append_char(buf, '>');
        break;
    case WISP_TYPE_RESULT:
        write_result(buf, type);
        break;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_ENUM:
    case WISP_TYPE_FLAGS:
        write_fields(buf, type);
        break;
    default:
        break;
    }
}

char *wisp_type_text(struct wisp_arena *arena, const struct wisp_type *type)
{
    WISP_CLEANUP_BUF struct wisp_buf buf = {0};
    write_type(&buf, type);
    return wisp_arena_cstr(arena, wisp_buf_str(&buf));
}
