/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/provider_c.h"

#include "base/map.h"

#include <ctype.h>
#include <stdlib.h>

enum { SIGNATURE_MAX = 1 << 16 }; /* that host_signature.h takes */

struct writer {
    const struct wisp_wit_document_world *world;
    struct wisp_arena arena;
    struct wisp_map known; /* C names of types that were defined */
    struct wisp_buf *header, *source;
    struct wisp_str name;
    int failed;
    struct wisp_err *err;
};

static void fail(struct writer *w, const char *what, struct wisp_str which)
{
    if (w->failed) return;
    w->failed = wisp_err_set(w->err, WISP_ERR_UNSUPPORTED, "`%.*s`: %s", WISP_STR_ARG(which), what);
}

/* --- names --- */

static bool is_c_word(struct wisp_str name)
{
    static const char *const words[] = {
        "auto",   "break",  "case",     "char",   "const",    "continue", "default", "do",      "double", "else",
        "enum",   "extern", "float",    "for",    "goto",     "if",       "inline",  "int",     "long",   "register",
        "return", "short",  "signed",   "sizeof", "static",   "struct",   "switch",  "typedef", "union",  "unsigned",
        "void",   "while",  "volatile", "bool",   "restrict", "true",     "false",   "asm",     "typeof",
    };
    for (size_t i = 0; i < WISP_COUNT(words); i++)
        if (wisp_str_is(name, words[i])) return true;
    return false;
}

/* "get-many" as "get_many"; in capitals for constants. */
static char *c_name(struct writer *w, struct wisp_str name, bool in_capitals)
{
    char *made = wisp_arena_cstr(&w->arena, name);
    for (char *c = made; *c; c++)
        *c = (char)(*c == '-' || *c == '.' || *c == ':' ? '_' : in_capitals ? toupper(*c) : tolower(*c));
    return !in_capitals && is_c_word(wisp_str_from(made)) ? wisp_arena_printf(&w->arena, "%s_", made) : made;
}

/* "acme:hello/greeter@0.1.0" in parts. */
static void take_apart(struct wisp_str id, struct wisp_str *ret_package, struct wisp_str *ret_interface)
{
    struct wisp_str version;
    *ret_package = (struct wisp_str){0};
    *ret_interface = id;
    wisp_str_split(id, '/', ret_package, ret_interface);
    wisp_str_split(*ret_interface, '@', ret_interface, &version);
}

static bool is_other_of_that_name(const struct wisp_wit_document_interface *interface, struct wisp_str id)
{
    struct wisp_str package, name;
    take_apart(id, &package, &name);
    return wisp_str_equal(interface->name, name) && !wisp_str_equal(interface->id, id);
}

static char *prefix_of(struct writer *w, struct wisp_str id)
{
    struct wisp_str package, name, space;
    take_apart(id, &package, &name);
    bool is_twice = false;
    for (uint32_t i = 0; i < w->world->n_exports; i++) is_twice |= is_other_of_that_name(w->world->exports[i], id);
    for (uint32_t i = 0; i < w->world->n_imports; i++) is_twice |= is_other_of_that_name(w->world->imports[i], id);
    if (!is_twice) return c_name(w, name, false);
    wisp_str_split(package, ':', &space, &package);
    return wisp_arena_printf(&w->arena, "%s_%s", c_name(w, package, false), c_name(w, name, false));
}

/* What a name for the type is made of: "option_list_person". */
static void put_shape(struct writer *w, const char *prefix, const struct wisp_type *type, struct wisp_buf *out)
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
        const char *owner = prefix_of(w, type->owner);
        bool is_own = strcmp(owner, prefix) == 0;
        wisp_buf_printf(out, "%s%s%s", is_own ? "" : owner, is_own ? "" : "_", c_name(w, type->name, false));
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

/* --- types in C --- */

static const char *define(struct writer *w, const char *prefix, const struct wisp_type *type);

static const char *primitive(enum wisp_type_kind kind)
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

static void put_docs(struct wisp_buf *out, struct wisp_str docs)
{
    if (!docs.len) return;
    wisp_buf_append_str(out, WISP_STR("/* "));
    for (size_t i = 0; i < docs.len; i++) {
        if (docs.ptr[i] == '\n')
            wisp_buf_append_str(out, WISP_STR("\n * "));
        else if (docs.ptr[i] != '*' || i + 1 == docs.len || docs.ptr[i + 1] != '/')
            wisp_buf_append_char(out, docs.ptr[i]);
    }
    wisp_buf_append_str(out, WISP_STR(" */\n"));
}

static void put_constants(struct writer *w, const char *name, const struct wisp_type *type)
{
    bool are_flags = type->kind == WISP_TYPE_FLAGS;
    char *capitals = c_name(w, wisp_str_from(name), true);
    if (are_flags && type->n_fields > 32) fail(w, "flags with more than 32 labels", type->name);
    wisp_buf_printf(w->header, "enum %s {\n", name);
    for (uint32_t i = 0; i < type->n_fields; i++)
        wisp_buf_printf(w->header, are_flags ? "    %s_%s = 1u << %u,\n" : "    %s_%s = %u,\n", capitals,
                        c_name(w, type->fields[i].name, true), i);
    wisp_buf_append_str(w->header, WISP_STR("};\n"));
}

static void put_field(struct writer *w, const char *indent, const char *type, const char *name)
{
    wisp_buf_printf(w->header, "%s%s%s%s;\n", indent, type, type[strlen(type) - 1] == '*' ? "" : " ", name);
}

static void put_cases(struct writer *w, const char *const *types, const char *const *names, uint32_t n)
{
    bool has_payload = false;
    for (uint32_t i = 0; i < n; i++) has_payload |= types[i] != NULL;
    if (!has_payload) return;
    wisp_buf_append_str(w->header, WISP_STR("    union {\n"));
    for (uint32_t i = 0; i < n; i++)
        if (types[i]) put_field(w, "        ", types[i], names[i]);
    wisp_buf_append_str(w->header, WISP_STR("    };\n"));
}

static void put_struct(struct writer *w, const char *name, const struct wisp_type *type, const char *const *types)
{
    const char **names = WISP_NEW_ARRAY(&w->arena, const char *, type->n_fields + 1);
    for (uint32_t i = 0; i < type->n_fields; i++)
        names[i] = type->kind == WISP_TYPE_TUPLE ? wisp_arena_printf(&w->arena, "f%u", i)
                                                 : c_name(w, type->fields[i].name, false);
    if (type->kind == WISP_TYPE_VARIANT) put_constants(w, wisp_arena_printf(&w->arena, "%s_tag", name), type);
    wisp_buf_printf(w->header, "struct %s {\n", name);
    switch (type->kind) {
    case WISP_TYPE_LIST:
        wisp_buf_printf(w->header, "    const %s%s*ptr;\n    size_t len;\n", types[0],
                        types[0][strlen(types[0]) - 1] == '*' ? "" : " ");
        break;
    case WISP_TYPE_OPTION:
        wisp_buf_printf(w->header, "    uint32_t is_some;\n"), put_field(w, "    ", types[1], "value");
        break;
    case WISP_TYPE_RESULT:
        put_field(w, "    ", "uint32_t", "is_err");
        put_cases(w, types, (const char *const[]){"ok", "error"}, 2);
        break;
    case WISP_TYPE_VARIANT:
        put_field(w, "    ", "uint32_t", "tag");
        put_cases(w, types, names, type->n_fields);
        break;
    default:
        for (uint32_t i = 0; i < type->n_fields; i++) put_field(w, "    ", types[i], names[i]);
    }
    wisp_buf_append_str(w->header, WISP_STR("};\n"));
}

static bool is_enum_or_flags(const struct wisp_type *type)
{
    return type->kind == WISP_TYPE_ENUM || type->kind == WISP_TYPE_FLAGS;
}

/* Its parts are defined first. */
static const char *define_new(struct writer *w, const char *prefix, char *name, const struct wisp_type *type)
{
    const char **types = WISP_NEW_ARRAY(&w->arena, const char *, type->n_fields + 1);
    if (type->kind == WISP_TYPE_LIST) types[0] = define(w, prefix, type->element);
    for (uint32_t i = 0; i < type->n_fields && !is_enum_or_flags(type); i++)
        if (type->fields[i].type) types[i] = define(w, prefix, type->fields[i].type);
    if (is_enum_or_flags(type)) {
        put_constants(w, name, type);
        return "uint32_t";
    }
    put_struct(w, name, type, types);
    return wisp_arena_printf(&w->arena, "struct %s", name);
}

/* The type as a field has it; defines it where that is needed. */
static const char *define(struct writer *w, const char *prefix, const struct wisp_type *type)
{
    if (type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW) {
        fail(w, "resources can't be in the functions of a provider in C", type->resource->name);
        return "void *";
    }
    if (type->element && (type->kind == WISP_TYPE_STREAM || type->kind == WISP_TYPE_FUTURE))
        define(w, prefix, type->element);
    if (primitive(type->kind) && !is_enum_or_flags(type)) return primitive(type->kind);
    if (type->kind == WISP_TYPE_LIST && type->element->kind == WISP_TYPE_U8) return "struct wisp_bytes";
    WISP_CLEANUP_BUF struct wisp_buf shape = {0};
    if (type->name.len && type->owner.len) prefix = prefix_of(w, type->owner);
    put_shape(w, prefix, type, &shape);
    char *name = wisp_arena_printf(&w->arena, "%s_%.*s", prefix, WISP_STR_ARG(wisp_buf_str(&shape)));
    const char *known = wisp_map_get(&w->known, wisp_str_from(name));
    if (known) return known;
    known = define_new(w, prefix, name, type);
    wisp_map_add(&w->known, wisp_str_from(name), wisp_arena_printf(&w->arena, "%s", known));
    return known;
}

/* --- types in signatures --- */

static void put_signature_type(struct writer *w, const struct wisp_type *type, struct wisp_buf *out);

static void put_parts(struct writer *w, const char *word, const struct wisp_type *type, uint32_t from, char open,
                      char close, struct wisp_buf *out)
{
    wisp_buf_printf(out, "%s%c", word, open);
    for (uint32_t i = from; i < type->n_fields; i++) {
        if (i > from) wisp_buf_append_str(out, WISP_STR(", "));
        if (type->fields[i].type)
            put_signature_type(w, type->fields[i].type, out);
        else
            wisp_buf_append_char(out, '_');
    }
    wisp_buf_append_char(out, close);
}

static void put_result(struct writer *w, const struct wisp_type *type, struct wisp_buf *out)
{
    if (!type->fields[0].type && !type->fields[1].type)
        wisp_buf_append_str(out, WISP_STR("result"));
    else if (!type->fields[1].type) {
        wisp_buf_append_str(out, WISP_STR("result<"));
        put_signature_type(w, type->fields[0].type, out);
        wisp_buf_append_char(out, '>');
    } else {
        put_parts(w, "result", type, 0, '<', '>', out);
    }
}

static void put_element(struct writer *w, const char *word, const struct wisp_type *type, struct wisp_buf *out)
{
    wisp_buf_printf(out, "%s<", word);
    put_signature_type(w, type->element, out);
    wisp_buf_append_char(out, '>');
}

static void put_signature_type(struct writer *w, const struct wisp_type *type, struct wisp_buf *out)
{
    if (out->len > SIGNATURE_MAX) {
        fail(w, "its type is too large", type->name);
        return;
    }
    switch (type->kind) {
    case WISP_TYPE_LIST:
        put_element(w, "list", type, out);
        break;
    case WISP_TYPE_STREAM:
        put_element(w, "stream", type, out);
        break;
    case WISP_TYPE_FUTURE:
        put_element(w, "future", type, out);
        break;
    case WISP_TYPE_RECORD:
        put_parts(w, "record", type, 0, '{', '}', out);
        break;
    case WISP_TYPE_VARIANT:
        put_parts(w, "variant", type, 0, '{', '}', out);
        break;
    case WISP_TYPE_TUPLE:
        put_parts(w, "tuple", type, 0, '<', '>', out);
        break;
    case WISP_TYPE_OPTION:
        put_parts(w, "option", type, 1, '<', '>', out);
        break;
    case WISP_TYPE_RESULT:
        put_result(w, type, out);
        break;
    case WISP_TYPE_ENUM:
        wisp_buf_printf(out, "enum(%u)", type->n_fields);
        break;
    case WISP_TYPE_FLAGS:
        wisp_buf_printf(out, "flags(%u)", type->n_fields);
        break;
    default: {
        char *text = wisp_type_text(&w->arena, type);
        wisp_buf_printf(out, "%s", text);
    }
    }
}

static void put_signature(struct writer *w, const struct wisp_func_type *type, struct wisp_buf *out)
{
    wisp_buf_append_char(out, '(');
    for (uint32_t i = 0; i < type->n_params; i++) {
        if (i) wisp_buf_append_str(out, WISP_STR(", "));
        put_signature_type(w, type->params[i].type, out);
    }
    wisp_buf_append_char(out, ')');
    if (!type->result) return;
    wisp_buf_append_str(out, WISP_STR(" -> "));
    put_signature_type(w, type->result, out);
}

/* --- functions --- */

/* What C knows of a function. */
struct func {
    const struct wisp_wit_document_func *decl;
    char *name;         /* "greeter_greet" */
    char *args;         /* "struct greeter_greet_args"; NULL: it has no parameters */
    const char *result; /* NULL: none */
};

/* What has no name in WIT gets the function's. */
static const char *define_result(struct writer *w, const char *prefix, const char *func, const struct wisp_type *type)
{
    bool is_plain = type->name.len || primitive(type->kind);
    bool is_bytes = type->kind == WISP_TYPE_LIST && type->element->kind == WISP_TYPE_U8;
    bool has_handle = type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW;
    if (is_plain || is_bytes || has_handle) return define(w, prefix, type);
    return define_new(w, prefix, wisp_arena_printf(&w->arena, "%s_result", func), type);
}

static void put_args(struct writer *w, const char *prefix, struct func *func)
{
    const struct wisp_func_type *type = func->decl->type;
    const char **types = WISP_NEW_ARRAY(&w->arena, const char *, type->n_params + 1);
    for (uint32_t i = 0; i < type->n_params; i++) types[i] = define(w, prefix, type->params[i].type);
    if (type->result) func->result = define_result(w, prefix, func->name, type->result);
    put_docs(w->header, func->decl->docs);
    if (!type->n_params) return;
    func->args = wisp_arena_printf(&w->arena, "struct %s_args", func->name);
    wisp_buf_printf(w->header, "%s {\n", func->args);
    for (uint32_t i = 0; i < type->n_params; i++)
        put_field(w, "    ", types[i], c_name(w, type->params[i].name, false));
    wisp_buf_append_str(w->header, WISP_STR("};\n"));
}

static void put_served(struct writer *w, const struct func *func)
{
    const char *name = func->name;
    if (func->args)
        wisp_buf_printf(w->header, "void %s(struct wisp_provider_call *call, const %s *args);\n", name, func->args);
    else
        wisp_buf_printf(w->header, "void %s(struct wisp_provider_call *call);\n", name);
    wisp_buf_printf(
        w->source,
        "static void call_%s(struct wisp_provider_call *call, const void *args)\n{\n%s    %s(call%s);\n}\n\n", name,
        func->args ? "" : "    (void)args;\n", name, func->args ? ", args" : "");
    if (func->result)
        wisp_buf_printf(w->header,
                        "static inline void %s_return(struct wisp_provider_call *call, const %s%s*result)\n{\n"
                        "    wisp_provider_return(call, result);\n}\n\n",
                        name, func->result, func->result[strlen(func->result) - 1] == '*' ? "" : " ");
    else
        wisp_buf_printf(w->header,
                        "static inline void %s_return(struct wisp_provider_call *call)\n{\n"
                        "    wisp_provider_return(call, NULL);\n}\n\n",
                        name);
}

static void put_called(struct writer *w, const char *prefix, const struct func *func, uint32_t index)
{
    const char *args = func->args ? wisp_arena_printf(&w->arena, "const %s *args, ", func->args) : "";
    wisp_buf_printf(w->header,
                    "/* As wisp_provider_invoke; the result is %s%s. */\n"
                    "int %s_call(struct wisp_provider *provider, struct wisp_str target_id, %suint64_t timeout_ms,\n"
                    "    struct wisp_arena *arena, wisp_provider_on_result *on_result, void *env,\n"
                    "    struct wisp_provider_invocation **ret_invocation, struct wisp_err *err)\n"
                    "    __attribute__((warn_unused_result));\n\n",
                    func->result ? "a const " : "none", func->result ? func->result : "", func->name, args);
    wisp_buf_printf(w->source,
                    "int %s_call(struct wisp_provider *provider, struct wisp_str target_id, %suint64_t timeout_ms,\n"
                    "    struct wisp_arena *arena, wisp_provider_on_result *on_result, void *env,\n"
                    "    struct wisp_provider_invocation **ret_invocation, struct wisp_err *err)\n{\n"
                    "    return wisp_provider_invoke(provider, &%s, &%s_funcs[%u], target_id, %s, timeout_ms, arena, "
                    "on_result, env,\n        ret_invocation, err);\n}\n\n",
                    func->name, args, prefix, prefix, index, func->args ? "args" : "NULL");
}

static void put_table(struct writer *w, const char *prefix, const struct wisp_wit_document_interface *interface,
                      const struct func *funcs, bool is_served)
{
    wisp_buf_printf(w->source, "static const struct wisp_provider_func %s_funcs[] = {\n", prefix);
    for (uint32_t i = 0; i < interface->n_funcs; i++) {
        const struct func *func = &funcs[i];
        WISP_CLEANUP_BUF struct wisp_buf signature = {0};
        put_signature(w, func->decl->type, &signature);
        wisp_buf_printf(w->source, "    {.name = \"%.*s\",\n     .signature = \"%.*s\",\n",
                        WISP_STR_ARG(func->decl->name), WISP_STR_ARG(wisp_buf_str(&signature)));
        if (is_served) wisp_buf_printf(w->source, "     .fn = call_%s,\n", func->name);
        wisp_buf_printf(w->source, "     .args_size = %s%s%s, .result_size = %s%s%s},\n", func->args ? "sizeof(" : "0",
                        func->args ? func->args : "", func->args ? ")" : "", func->result ? "sizeof(" : "0",
                        func->result ? func->result : "", func->result ? ")" : "");
    }
    wisp_buf_printf(w->source,
                    "};\nconst struct wisp_provider_interface %s = {\n    .name = \"%.*s\",\n"
                    "    .funcs = %s_funcs,\n    .n_funcs = %u,\n};\n\n",
                    prefix, WISP_STR_ARG(interface->id), prefix, interface->n_funcs);
}

/* Calling functions need the table, serving ones are in it. */
static void put_interface(struct writer *w, const struct wisp_wit_document_interface *interface, bool is_served)
{
    char *prefix = prefix_of(w, interface->id);
    wisp_buf_printf(w->header, "/* --- %.*s --- */\n\n", WISP_STR_ARG(interface->id));
    put_docs(w->header, interface->docs);
    wisp_buf_printf(w->header, "extern const struct wisp_provider_interface %s;\n\n", prefix);
    for (uint32_t i = 0; i < interface->n_types; i++) {
        const struct wisp_wit_document_type *type = &interface->types[i];
        if (type->resource)
            fail(w, "resources can't be in the interfaces of a provider in C", type->name);
        else if (!type->is_used)
            define(w, prefix, type->type);
    }
    struct func *funcs = WISP_NEW_ARRAY(&w->arena, struct func, interface->n_funcs);
    for (uint32_t i = 0; i < interface->n_funcs; i++) {
        funcs[i] = (struct func){
            .decl = &interface->funcs[i],
            .name = wisp_arena_printf(&w->arena, "%s_%s", prefix, c_name(w, interface->funcs[i].name, false))};
        put_args(w, prefix, &funcs[i]);
        if (is_served)
            put_served(w, &funcs[i]);
        else
            wisp_buf_append_char(w->header, '\n');
    }
    put_table(w, prefix, interface, funcs, is_served);
    for (uint32_t i = 0; i < interface->n_funcs && !is_served; i++) put_called(w, prefix, &funcs[i], i);
}

static void put_list(struct writer *w, const char *what, const struct wisp_wit_document_interface *const *list,
                     uint32_t n)
{
    char *name = c_name(w, w->name, false);
    wisp_buf_printf(w->header, "extern const struct wisp_provider_interface *const %s_%s[%u];\n", name, what,
                    n ? n : 1);
    wisp_buf_printf(w->source, "const struct wisp_provider_interface *const %s_%s[%u] = {", name, what, n ? n : 1);
    for (uint32_t i = 0; i < n; i++) wisp_buf_printf(w->source, "%s&%s", i ? ", " : "", prefix_of(w, list[i]->id));
    wisp_buf_printf(w->source, "%s};\n", n ? "" : "NULL");
}

static void put_all(struct writer *w)
{
    const struct wisp_wit_document_world *world = w->world;
    char *name = c_name(w, w->name, false), *capitals = c_name(w, w->name, true);
    wisp_buf_printf(w->header,
                    "/* Made from the WIT world `%.*s` by `wisp bindgen provider`; not to be edited. */\n#pragma "
                    "once\n\n#include <wisp/provider.h>\n\n",
                    WISP_STR_ARG(world->id));
    wisp_buf_printf(
        w->source,
        "/* Made from the WIT world `%.*s` by `wisp bindgen provider`; not to be edited. */\n#include \"%.*s.h\"\n\n",
        WISP_STR_ARG(world->id), WISP_STR_ARG(w->name));
    for (uint32_t i = 0; i < world->n_exports; i++) put_interface(w, world->exports[i], true);
    for (uint32_t i = 0; i < world->n_imports; i++) put_interface(w, world->imports[i], false);
    wisp_buf_append_str(w->header, WISP_STR("/* --- for struct wisp_provider_kind --- */\n\n"));
    put_list(w, "exports", world->exports, world->n_exports);
    put_list(w, "imports", world->imports, world->n_imports);
    wisp_buf_printf(w->header,
                    "#define %s_INTERFACES \\\n    .exports = %s_exports, .n_exports = %u, .imports = %s_imports, "
                    ".n_imports = %u\n",
                    capitals, name, world->n_exports, name, world->n_imports);
}

int wisp_wit_provider_c(const struct wisp_wit_document_world *world, struct wisp_str name, struct wisp_buf *header,
                        struct wisp_buf *source, struct wisp_err *err)
{
    struct writer w = {.world = world, .header = header, .source = source, .name = name, .err = err};
    if (world->n_import_funcs || world->n_export_funcs)
        fail(&w, "functions outside of an interface can't be reached by links", world->id);
    for (uint32_t i = 0; i < world->n_imports; i++)
        for (uint32_t k = 0; k < world->n_exports; k++)
            if (world->imports[i] == world->exports[k])
                fail(&w, "an interface can't be both imported and exported", world->imports[i]->id);
    if (!world->n_imports && !world->n_exports) fail(&w, "the world has no interface", world->id);
    if (!w.failed) put_all(&w);
    wisp_map_deinit(&w.known);
    wisp_arena_deinit(&w.arena);
    return w.failed;
}
