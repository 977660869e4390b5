/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/decode_priv.h"

#include <stdlib.h>

enum { LABEL_COUNT_FLAGS_MAX = 32 };

/* --- value types --- */

/* 0x7f down to 0x73. */
static bool primitive_kind(uint8_t code, enum wisp_type_kind *ret_kind)
{
    static const uint8_t kinds[] = {
        [0x7f - 0x73] = WISP_TYPE_BOOL,   [0x7e - 0x73] = WISP_TYPE_S8,  [0x7d - 0x73] = WISP_TYPE_U8,
        [0x7c - 0x73] = WISP_TYPE_S16,    [0x7b - 0x73] = WISP_TYPE_U16, [0x7a - 0x73] = WISP_TYPE_S32,
        [0x79 - 0x73] = WISP_TYPE_U32,    [0x78 - 0x73] = WISP_TYPE_S64, [0x77 - 0x73] = WISP_TYPE_U64,
        [0x76 - 0x73] = WISP_TYPE_F32,    [0x75 - 0x73] = WISP_TYPE_F64, [0x74 - 0x73] = WISP_TYPE_CHAR,
        [0x73 - 0x73] = WISP_TYPE_STRING,
    };
    if (code < 0x73 || code > 0x7f) return false;
    *ret_kind = kinds[code - 0x73];
    return true;
}

/* Names of types that are known but not implemented; NULL for anything else. */
static const char *unsupported_type(uint8_t code)
{
    switch (code) {
    case 0x63:
        return "the type map";
    case 0x64:
        return "the type error-context";
    case 0x65:
        return "the type future (WASI Preview 3)";
    case 0x66:
        return "the type stream (WASI Preview 3)";
    case 0x67:
        return "lists of fixed length";
    case 0x43:
        return "async function types (WASI Preview 3)";
    default:
        return NULL;
    }
}

static struct wisp_ast_valtype read_valtype(struct wisp_reader *reader)
{
    uint32_t offset = wisp_reader_offset(reader);
    int64_t code = wisp_read_s33(reader);
    enum wisp_type_kind kind;
    if (reader->failed) return (struct wisp_ast_valtype){0};
    if (code >= 0) return (struct wisp_ast_valtype){.is_present = true, .is_index = true, .index = (uint32_t)code};
    uint8_t byte = code >= -64 ? (uint8_t)(code & 0x7f) : 0;
    if (primitive_kind(byte, &kind)) return (struct wisp_ast_valtype){.is_present = true, .index = kind};
    if (byte == 0x64)
        wisp_reader_fail_at(reader, offset, WISP_ERR_UNSUPPORTED, "%s", unsupported_type(byte));
    else
        wisp_reader_fail_at(reader, offset, WISP_ERR_INVALID, "malformed value type");
    return (struct wisp_ast_valtype){0};
}

static struct wisp_ast_valtype read_optional_valtype(struct wisp_reader *reader)
{
    uint8_t is_present = wisp_read_byte(reader);
    if (is_present > 1) wisp_reader_bad_byte(reader, is_present, "optional type");
    return is_present == 1 ? read_valtype(reader) : (struct wisp_ast_valtype){0};
}

static struct wisp_str read_label(struct wisp_reader *reader)
{
    uint32_t offset = wisp_reader_offset(reader);
    struct wisp_str label = wisp_read_name(reader);
    if (!reader->failed && !wisp_name_is_label(label))
        wisp_reader_fail_at(reader, offset, WISP_ERR_INVALID, "name `%.*s` is not in kebab case", WISP_STR_ARG(label));
    return label;
}

static int compare_labels(const void *a, const void *b)
{
    const struct wisp_str *x = a, *y = b;
    size_t common = x->len < y->len ? x->len : y->len;
    int order = 0;
    for (size_t i = 0; i < common && order == 0; i++) order = (x->ptr[i] | 0x20) - (y->ptr[i] | 0x20);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Labels of one type must differ by more than case. They are kebab case here, so that setting bit 5 is all it takes. */
static void check_labels_unique(struct wisp_decoder *decoder, struct wisp_reader *reader,
                                const struct wisp_ast_field *fields, uint32_t n)
{
    if (reader->failed || n < 2) return;
    struct wisp_str *labels = WISP_NEW_ARRAY(decoder->arena, struct wisp_str, n);
    for (uint32_t i = 0; i < n; i++) labels[i] = fields[i].name;
    qsort(labels, n, sizeof *labels, compare_labels);
    for (uint32_t i = 1; i < n; i++)
        if (compare_labels(&labels[i - 1], &labels[i]) == 0)
            wisp_reader_fail(reader, WISP_ERR_INVALID, "name `%.*s` conflicts with previous name `%.*s`",
                             WISP_STR_ARG(labels[i]), WISP_STR_ARG(labels[i - 1]));
}

enum payload { PAYLOAD_NONE, PAYLOAD_TYPE, PAYLOAD_CASE };

static void read_fields(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_type *type,
                        bool has_names, enum payload payload)
{
    uint32_t n = wisp_decode_count(decoder, reader);
    /* One more, for the result of a function. */
    type->fields = WISP_NEW_ARRAY(decoder->arena, struct wisp_ast_field, n + 1);
    type->n_fields = n;
    for (uint32_t i = 0; i < n && !reader->failed; i++) {
        struct wisp_ast_field *field = &type->fields[i];
        if (has_names) field->name = read_label(reader);
        if (payload == PAYLOAD_TYPE) field->type = read_valtype(reader);
        if (payload != PAYLOAD_CASE) continue;
        field->type = read_optional_valtype(reader);
        uint8_t zero = wisp_read_byte(reader);
        if (zero) wisp_reader_bad_byte(reader, zero, "zero byte of a variant case");
    }
    if (has_names) check_labels_unique(decoder, reader, type->fields, n);
}

static void set_parts(struct wisp_decoder *decoder, struct wisp_ast_type *type, struct wisp_ast_valtype first,
                      struct wisp_ast_valtype second)
{
    type->fields = WISP_NEW_ARRAY(decoder->arena, struct wisp_ast_field, 2);
    type->fields[0].type = first;
    type->fields[1].type = second;
    type->n_fields = 2;
}

static void read_value_type(struct wisp_decoder *decoder, struct wisp_reader *reader, uint8_t code,
                            struct wisp_ast_type *type)
{
    static const uint8_t kinds[] = {
        [0x72 - 0x68] = WISP_TYPE_RECORD, [0x71 - 0x68] = WISP_TYPE_VARIANT, [0x70 - 0x68] = WISP_TYPE_LIST,
        [0x6f - 0x68] = WISP_TYPE_TUPLE,  [0x6e - 0x68] = WISP_TYPE_FLAGS,   [0x6d - 0x68] = WISP_TYPE_ENUM,
        [0x6b - 0x68] = WISP_TYPE_OPTION, [0x6a - 0x68] = WISP_TYPE_RESULT,  [0x69 - 0x68] = WISP_TYPE_OWN,
        [0x68 - 0x68] = WISP_TYPE_BORROW,
    };
    type->kind = WISP_AST_VALUE;
    type->value_kind = kinds[code - 0x68];
    switch (type->value_kind) {
    case WISP_TYPE_RECORD:
        read_fields(decoder, reader, type, true, PAYLOAD_TYPE);
        break;
    case WISP_TYPE_VARIANT:
        read_fields(decoder, reader, type, true, PAYLOAD_CASE);
        break;
    case WISP_TYPE_TUPLE:
        read_fields(decoder, reader, type, false, PAYLOAD_TYPE);
        break;
    case WISP_TYPE_FLAGS:
    case WISP_TYPE_ENUM:
        read_fields(decoder, reader, type, true, PAYLOAD_NONE);
        break;
    case WISP_TYPE_LIST:
    case WISP_TYPE_OPTION:
        set_parts(decoder, type, read_valtype(reader), (struct wisp_ast_valtype){0});
        return;
    case WISP_TYPE_RESULT: {
        struct wisp_ast_valtype ok = read_optional_valtype(reader);
        set_parts(decoder, type, ok, read_optional_valtype(reader));
        return;
    }
    default: /* own, borrow */
        type->index = wisp_read_u32(reader);
        return;
    }
    if (!reader->failed && type->n_fields == 0)
        wisp_reader_fail(reader, WISP_ERR_INVALID, "a record, variant, tuple, flags or enum without members");
    if (type->value_kind == WISP_TYPE_FLAGS && type->n_fields > LABEL_COUNT_FLAGS_MAX)
        wisp_reader_fail(reader, WISP_ERR_INVALID, "cannot have more than %d flags", LABEL_COUNT_FLAGS_MAX);
}

/* --- functions, resources --- */

static void read_func_type(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_type *type)
{
    type->kind = WISP_AST_FUNC;
    read_fields(decoder, reader, type, true, PAYLOAD_TYPE);
    uint8_t form = wisp_read_byte(reader);
    if (reader->failed) return;
    if (form == 0) {
        type->fields[type->n_fields].type = read_valtype(reader);
    } else if (form == 1) {
        uint8_t zero = wisp_read_byte(reader);
        if (zero) wisp_reader_bad_byte(reader, zero, "number of results");
    } else {
        wisp_reader_bad_byte(reader, form, "function results");
    }
}

static void read_resource_type(struct wisp_reader *reader, struct wisp_ast_type *type)
{
    type->kind = WISP_AST_RESOURCE;
    uint8_t rep = wisp_read_byte(reader);
    if (rep != 0x7f && !reader->failed)
        wisp_reader_fail(reader, rep == 0x7e ? WISP_ERR_UNSUPPORTED : WISP_ERR_INVALID,
                         "resources are represented by i32, not by type 0x%x", rep);
    uint8_t has_destructor = wisp_read_byte(reader);
    if (has_destructor > 1) wisp_reader_bad_byte(reader, has_destructor, "optional destructor");
    type->has_destructor = has_destructor == 1;
    if (type->has_destructor) type->index = wisp_read_u32(reader);
}

/* --- component and instance types --- */

static void check_decl_alias(struct wisp_reader *reader, const struct wisp_ast_body *body, uint32_t n_before)
{
    if (reader->failed || body->n_defs == n_before) return;
    const struct wisp_ast_def *def = &body->defs[n_before];
    enum wisp_sort sort = def->alias.sort;
    bool is_fine = def->kind == WISP_AST_DEF_ALIAS_OUTER ? sort == WISP_SORT_TYPE || sort == WISP_SORT_CORE_TYPE
                                                         : def->kind == WISP_AST_DEF_ALIAS_EXPORT &&
                                                               (sort == WISP_SORT_TYPE || sort == WISP_SORT_INSTANCE);
    if (!is_fine)
        wisp_reader_fail_at(reader, def->offset, WISP_ERR_INVALID,
                            "aliases in component and instance types may only refer to types or instances");
}

static void read_decl(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_body *body,
                      uint32_t *capacity)
{
    uint8_t kind = wisp_read_byte(reader);
    if (reader->failed) return;
    uint32_t n_before = body->n_defs;
    switch (kind) {
    case 0x00: {
        struct wisp_ast_def *def = wisp_decode_add(decoder, reader, body, capacity, WISP_AST_DEF_CORE_TYPE);
        wisp_decode_grow_space(reader, body, WISP_SORT_CORE_TYPE);
        def->core_type = wisp_decode_core_type(decoder, reader);
        return;
    }
    case 0x01: {
        struct wisp_ast_def *def = wisp_decode_add(decoder, reader, body, capacity, WISP_AST_DEF_TYPE);
        wisp_decode_grow_space(reader, body, WISP_SORT_TYPE);
        def->type = wisp_decode_type(decoder, reader);
        if (!reader->failed && def->type->kind == WISP_AST_RESOURCE)
            wisp_reader_fail_at(reader, def->offset, WISP_ERR_INVALID,
                                "resources can only be defined within a concrete component");
        return;
    }
    case 0x02:
        wisp_decode_alias(decoder, reader, body, capacity);
        check_decl_alias(reader, body, n_before);
        return;
    case 0x04:
        wisp_decode_external(decoder, reader, body, capacity, WISP_AST_DEF_EXPORT_DECL);
        return;
    case 0x03:
        if (body->kind == WISP_AST_BODY_COMPONENT_TYPE) {
            wisp_decode_external(decoder, reader, body, capacity, WISP_AST_DEF_IMPORT);
            return;
        }
        /* fall through */
    default:
        wisp_reader_bad_byte(reader, kind, "component or instance type declaration");
    }
}

static void read_body_type(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_type *type,
                           enum wisp_ast_body_kind kind)
{
    struct wisp_ast_body *body = type->body = WISP_NEW(decoder->arena, struct wisp_ast_body);
    type->kind = kind == WISP_AST_BODY_COMPONENT_TYPE ? WISP_AST_COMPONENT : WISP_AST_INSTANCE;
    body->kind = kind;
    body->offset = wisp_reader_offset(reader);
    if (++decoder->depth > WISP_COMPONENT_NESTING_MAX)
        wisp_reader_fail(reader, WISP_ERR_LIMIT, "types are nested more than %d deep", WISP_COMPONENT_NESTING_MAX);
    uint32_t capacity = 0;
    for (uint32_t n = wisp_decode_count(decoder, reader); n > 0 && !reader->failed; n--)
        read_decl(decoder, reader, body, &capacity);
    decoder->depth--;
}

struct wisp_ast_type *wisp_decode_type(struct wisp_decoder *decoder, struct wisp_reader *reader)
{
    struct wisp_ast_type *type = WISP_NEW(decoder->arena, struct wisp_ast_type);
    uint8_t code = wisp_read_byte(reader);
    if (reader->failed) return type;
    if (primitive_kind(code, &type->value_kind))
        type->kind = WISP_AST_VALUE;
    else if (code >= 0x68 && code <= 0x72 && code != 0x6c)
        read_value_type(decoder, reader, code, type);
    else if (code == 0x40)
        read_func_type(decoder, reader, type);
    else if (code == 0x41)
        read_body_type(decoder, reader, type, WISP_AST_BODY_COMPONENT_TYPE);
    else if (code == 0x42)
        read_body_type(decoder, reader, type, WISP_AST_BODY_INSTANCE_TYPE);
    else if (code == 0x3f)
        read_resource_type(reader, type);
    else if (unsupported_type(code))
        wisp_reader_fail_at(reader, wisp_reader_offset(reader) - 1, WISP_ERR_UNSUPPORTED, "%s", unsupported_type(code));
    else
        wisp_reader_bad_byte(reader, code, "component defined type");
    return type;
}

/* --- core types --- */

static void read_core_alias(struct wisp_reader *reader, struct wisp_ast_module_decl *decl)
{
    decl->kind = WISP_AST_MODULE_ALIAS;
    uint8_t sort = wisp_read_byte(reader);
    if (sort != 0x10) wisp_reader_bad_byte(reader, sort, "outer alias kind");
    uint8_t target = wisp_read_byte(reader);
    if (target != 0x01) wisp_reader_bad_byte(reader, target, "outer alias target");
    decl->outer = wisp_read_u32(reader);
    decl->index = wisp_read_u32(reader);
}

static void read_module_decl(struct wisp_decoder *decoder, struct wisp_reader *reader,
                             struct wisp_ast_module_decl *decl)
{
    decl->offset = wisp_reader_offset(reader);
    uint8_t kind = wisp_read_byte(reader);
    switch (kind) {
    case 0x00:
        decl->kind = WISP_AST_MODULE_IMPORT;
        decl->item.module = wisp_read_name(reader);
        decl->item.name = wisp_read_name(reader);
        decl->item.type = wisp_core_read_extern(reader);
        return;
    case 0x01: {
        decl->kind = WISP_AST_MODULE_TYPE;
        uint8_t code = wisp_read_byte(reader);
        if (code == 0x60)
            decl->sig = wisp_core_read_sig(reader, decoder->arena);
        else if (code == 0x50)
            wisp_reader_bad_byte(reader, code, "type in a module type");
        else
            wisp_reader_fail(reader, WISP_ERR_UNSUPPORTED, "core types other than functions in a module type");
        return;
    }
    case 0x02:
        read_core_alias(reader, decl);
        return;
    case 0x03:
        decl->kind = WISP_AST_MODULE_EXPORT;
        decl->item.name = wisp_read_name(reader);
        decl->item.type = wisp_core_read_extern(reader);
        return;
    default:
        wisp_reader_bad_byte(reader, kind, "type definition");
    }
}

struct wisp_ast_core_type *wisp_decode_core_type(struct wisp_decoder *decoder, struct wisp_reader *reader)
{
    struct wisp_ast_core_type *type = WISP_NEW(decoder->arena, struct wisp_ast_core_type);
    uint8_t code = wisp_read_byte(reader);
    if (code == 0x60) {
        type->sig = wisp_core_read_sig(reader, decoder->arena);
    } else if (code == 0x50) {
        uint32_t n = wisp_decode_count(decoder, reader);
        type->decls = WISP_NEW_ARRAY(decoder->arena, struct wisp_ast_module_decl, n);
        type->n_decls = n;
        for (uint32_t i = 0; i < n && !reader->failed; i++) read_module_decl(decoder, reader, &type->decls[i]);
    } else if (code == 0x00 || code == 0x4e || code == 0x4f || code == 0x5e || code == 0x5f) {
        wisp_reader_fail(reader, WISP_ERR_UNSUPPORTED, "core types of the GC proposal in a component");
    } else {
        wisp_reader_bad_byte(reader, code, "core type");
    }
    return type;
}
