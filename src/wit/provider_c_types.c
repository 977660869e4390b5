/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/provider_c_priv.h"

/* What a name for the type is made of: "option_list_person". */
static void put_shape(struct wisp_wit_c_writer *w, const char *prefix, const struct wisp_type *type,
                      struct wisp_buf *out)
{
    static const char *const words[WISP_TYPE_COUNT] = {
        [WISP_TYPE_BOOL] = "bool",     [WISP_TYPE_S8] = "s8",         [WISP_TYPE_U8] = "u8",
        [WISP_TYPE_S16] = "s16",       [WISP_TYPE_U16] = "u16",       [WISP_TYPE_S32] = "s32",
        [WISP_TYPE_U32] = "u32",       [WISP_TYPE_S64] = "s64",       [WISP_TYPE_U64] = "u64",
        [WISP_TYPE_F32] = "f32",       [WISP_TYPE_F64] = "f64",       [WISP_TYPE_CHAR] = "char",
        [WISP_TYPE_STRING] = "string", [WISP_TYPE_LIST] = "list",     [WISP_TYPE_TUPLE] = "tuple",
        [WISP_TYPE_OPTION] = "option", [WISP_TYPE_RESULT] = "result", [WISP_TYPE_STREAM] = "stream",
        [WISP_TYPE_FUTURE] = "future",
    };
    if (type->name.len && type->owner.len) {
        const char *owner = wisp_wit_c_prefix(w, type->owner);
        bool is_own = strcmp(owner, prefix) == 0;
        wisp_buf_printf(out, "%s%s%s", is_own ? "" : owner, is_own ? "" : "_", wisp_wit_c_name(w, type->name, false));
        return;
    }
    wisp_buf_printf(out, "%s", words[type->kind] ? words[type->kind] : "type");
    if (type->element) {
        wisp_buf_append_char(out, '_');
        put_shape(w, prefix, type->element, out);
    }
    if (type->kind != WISP_TYPE_TUPLE && type->kind != WISP_TYPE_OPTION && type->kind != WISP_TYPE_RESULT) return;
    for (uint32_t i = type->kind == WISP_TYPE_OPTION; i < type->n_fields; i++) {
        wisp_buf_append_char(out, '_');
        if (type->fields[i].type)
            put_shape(w, prefix, type->fields[i].type, out);
        else
            wisp_buf_append_char(out, '_');
    }
}

const char *wisp_wit_c_primitive(enum wisp_type_kind kind)
{
    static const char *const names[WISP_TYPE_COUNT] = {
        [WISP_TYPE_BOOL] = "bool",
        [WISP_TYPE_S8] = "int8_t",
        [WISP_TYPE_U8] = "uint8_t",
        [WISP_TYPE_S16] = "int16_t",
        [WISP_TYPE_U16] = "uint16_t",
        [WISP_TYPE_S32] = "int32_t",
        [WISP_TYPE_U32] = "uint32_t",
        [WISP_TYPE_S64] = "int64_t",
        [WISP_TYPE_U64] = "uint64_t",
        [WISP_TYPE_F32] = "float",
        [WISP_TYPE_F64] = "double",
        [WISP_TYPE_CHAR] = "uint32_t",
        [WISP_TYPE_STRING] = "struct wisp_str",
        [WISP_TYPE_FLAGS] = "uint32_t",
        [WISP_TYPE_ENUM] = "uint32_t",
        [WISP_TYPE_STREAM] = "void *",
        [WISP_TYPE_FUTURE] = "void *",
    };
    return names[kind];
}

void wisp_wit_c_put_docs(struct wisp_buf *out, struct wisp_str docs)
{
    if (!docs.len) return;
    wisp_buf_append_str(out, WISP_STR("/* "));
    for (size_t i = 0; i < docs.len; i++) {
        bool is_sign =
            i > 0 && ((docs.ptr[i - 1] == '*' && docs.ptr[i] == '/') || (docs.ptr[i - 1] == '/' && docs.ptr[i] == '*'));
        if (is_sign) wisp_buf_append_char(out, ' '); /* no comment begins or ends in it */
        if (docs.ptr[i] == '\n')
            wisp_buf_append_str(out, WISP_STR("\n * "));
        else
            wisp_buf_append_char(out, docs.ptr[i]);
    }
    wisp_buf_append_str(out, WISP_STR(" */\n"));
}

static const char *constant(struct wisp_wit_c_writer *w, const char *of, struct wisp_str label)
{
    return wisp_wit_c_unique(w, "constant",
                             wisp_arena_printf(&w->arena, "%s_%s", wisp_wit_c_name(w, wisp_str_from(of), true),
                                               wisp_wit_c_name(w, label, true)));
}

static void put_enum(struct wisp_wit_c_writer *w, const char *name, const struct wisp_type *type)
{
    wisp_buf_printf(w->header, "enum %s {\n", name);
    for (uint32_t i = 0; i < type->n_fields; i++)
        wisp_buf_printf(w->header, "    %s = %u,\n", constant(w, name, type->fields[i].name), i);
    wisp_buf_append_str(w->header, WISP_STR("};\n"));
}

/* No enum: its constants are an int. */
static void put_flags(struct wisp_wit_c_writer *w, const char *name, const struct wisp_type *type)
{
    if (type->n_fields > 32) wisp_wit_c_fail(w, "flags with more than 32 labels", type->name);
    for (uint32_t i = 0; i < type->n_fields; i++)
        wisp_buf_printf(w->header, "#define %s (UINT32_C(1) << %u)\n", constant(w, name, type->fields[i].name), i);
}

void wisp_wit_c_put_field(struct wisp_wit_c_writer *w, const char *indent, const char *type, const char *name)
{
    wisp_buf_printf(w->header, "%s%s%s%s;\n", indent, type, type[strlen(type) - 1] == '*' ? "" : " ", name);
}

static void put_cases(struct wisp_wit_c_writer *w, const char *const *types, const char *const *names, uint32_t n)
{
    bool has_payload = false;
    for (uint32_t i = 0; i < n; i++) has_payload |= types[i] != NULL;
    if (!has_payload) return;
    wisp_buf_append_str(w->header, WISP_STR("    union {\n"));
    for (uint32_t i = 0; i < n; i++)
        if (types[i]) wisp_wit_c_put_field(w, "        ", types[i], names[i]);
    wisp_buf_append_str(w->header, WISP_STR("    };\n"));
}

static void put_struct(struct wisp_wit_c_writer *w, const char *name, const struct wisp_type *type,
                       const char *const *types)
{
    const char **names = WISP_NEW_ARRAY(&w->arena, const char *, type->n_fields + 1);
    for (uint32_t i = 0; i < type->n_fields; i++)
        names[i] = type->kind == WISP_TYPE_TUPLE ? wisp_arena_printf(&w->arena, "f%u", i)
                                                 : wisp_wit_c_field_name(w, type->fields[i].name);
    if (type->kind == WISP_TYPE_VARIANT)
        put_enum(w, wisp_wit_c_unique(w, "type", wisp_arena_printf(&w->arena, "%s_tag", name)), type);
    wisp_buf_printf(w->header, "struct %s {\n", name);
    switch (type->kind) {
    case WISP_TYPE_LIST:
        wisp_buf_printf(w->header, "    const %s%s*ptr;\n    size_t len;\n", types[0],
                        types[0][strlen(types[0]) - 1] == '*' ? "" : " ");
        break;
    case WISP_TYPE_OPTION:
        wisp_buf_printf(w->header, "    uint32_t is_some;\n"), wisp_wit_c_put_field(w, "    ", types[1], "value");
        break;
    case WISP_TYPE_RESULT:
        wisp_wit_c_put_field(w, "    ", "uint32_t", "is_err");
        put_cases(w, types, (const char *const[]){"ok", "error"}, 2);
        break;
    case WISP_TYPE_VARIANT:
        wisp_wit_c_put_field(w, "    ", "uint32_t", "tag");
        put_cases(w, types, names, type->n_fields);
        break;
    default:
        for (uint32_t i = 0; i < type->n_fields; i++) wisp_wit_c_put_field(w, "    ", types[i], names[i]);
    }
    wisp_buf_append_str(w->header, WISP_STR("};\n"));
}

bool wisp_wit_c_is_enum_or_flags(const struct wisp_type *type)
{
    return type->kind == WISP_TYPE_ENUM || type->kind == WISP_TYPE_FLAGS;
}

/* Its parts are defined first. */
const char *wisp_wit_c_define_new(struct wisp_wit_c_writer *w, const char *prefix, const char *name,
                                  const struct wisp_type *type)
{
    const char **types = WISP_NEW_ARRAY(&w->arena, const char *, type->n_fields + 1);
    if (type->kind == WISP_TYPE_LIST) types[0] = wisp_wit_c_define(w, prefix, type->element);
    for (uint32_t i = 0; i < type->n_fields && !wisp_wit_c_is_enum_or_flags(type); i++)
        if (type->fields[i].type) types[i] = wisp_wit_c_define(w, prefix, type->fields[i].type);
    if (wisp_wit_c_is_enum_or_flags(type)) {
        type->kind == WISP_TYPE_ENUM ? put_enum(w, name, type) : put_flags(w, name, type);
        return "uint32_t";
    }
    put_struct(w, name, type, types);
    return wisp_arena_printf(&w->arena, "struct %s", name);
}

/* What tells a type from all others: for one with a name that and where it is from. */
void wisp_wit_c_put_identity(const struct wisp_type *type, struct wisp_buf *out)
{
    if (type->name.len && type->owner.len) {
        wisp_buf_printf(out, "%.*s#%.*s", WISP_STR_ARG(type->owner), WISP_STR_ARG(type->name));
        return;
    }
    wisp_buf_printf(out, "%d(", (int)type->kind);
    if (type->element) wisp_wit_c_put_identity(type->element, out);
    for (uint32_t i = 0; i < type->n_fields; i++) {
        wisp_buf_append_char(out, ',');
        if (type->fields[i].type) wisp_wit_c_put_identity(type->fields[i].type, out);
    }
    wisp_buf_append_char(out, ')');
}

/* The type as a field has it; defines it where that is needed. */
const char *wisp_wit_c_define(struct wisp_wit_c_writer *w, const char *prefix, const struct wisp_type *type)
{
    if (type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW) {
        wisp_wit_c_fail(w, "resources can't be in the functions of a provider in C", type->resource->name);
        return "void *";
    }
    if (type->element && (type->kind == WISP_TYPE_STREAM || type->kind == WISP_TYPE_FUTURE))
        wisp_wit_c_define(w, prefix, type->element);
    if (wisp_wit_c_primitive(type->kind) && !wisp_wit_c_is_enum_or_flags(type)) return wisp_wit_c_primitive(type->kind);
    if (type->kind == WISP_TYPE_LIST && type->element->kind == WISP_TYPE_U8) return "struct wisp_bytes";
    WISP_CLEANUP_BUF struct wisp_buf shape = {0}, identity = {0};
    if (type->name.len && type->owner.len) prefix = wisp_wit_c_prefix(w, type->owner);
    wisp_wit_c_put_identity(type, &identity);
    char *known = wisp_map_get(&w->known, wisp_buf_str(&identity));
    if (known) return known;
    put_shape(w, prefix, type, &shape);
    const char *name = wisp_arena_printf(&w->arena, "%s_%.*s", prefix, WISP_STR_ARG(wisp_buf_str(&shape)));
    known =
        wisp_arena_printf(&w->arena, "%s", wisp_wit_c_define_new(w, prefix, wisp_wit_c_unique(w, "type", name), type));
    wisp_map_add(&w->known, wisp_arena_str(&w->arena, wisp_buf_str(&identity)), known);
    return known;
}
