/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/provider_c.h"

#include "base/map.h"

#include <ctype.h>
#include <stdlib.h>

enum { SIGNATURE_MAX = 1 << 16 }; /* that host_signature.h takes */

struct writer {
    const struct wisp_wit_document_world *world;
    struct wisp_arena arena;
    struct wisp_map known; /* types that were defined, by what they are: how a field of them is written */
    struct wisp_map taken; /* names in C */
    /* The interface at hand, the words that its signatures have for types, and what those mean. */
    const char *interface;
    struct wisp_map words;
    struct wisp_buf types;
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
        "void",   "while",  "volatile", "bool",   "restrict", "true",     "false",   "asm",     "typeof", "errno",
        "linux",  "unix",   "stdin",    "stdout", "stderr",   "nullptr",  "alignas", "alignof",
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
    return made;
}

/* Of something that has no prefix. */
static char *field_name(struct writer *w, struct wisp_str name)
{
    char *made = c_name(w, name, false);
    return is_c_word(wisp_str_from(made)) ? wisp_arena_printf(&w->arena, "%s_", made) : made;
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

/* False: something has the name already. C has several spaces of names: structs and enums are of "type", say. */
static bool take(struct writer *w, const char *space, const char *name)
{
    return wisp_map_add(&w->taken, wisp_str_from(wisp_arena_printf(&w->arena, "%s %s", space, name)), w);
}

/* With as many of the sign at its end as it takes. */
static const char *unique_with(struct writer *w, const char *space, const char *name, char sign)
{
    while (!take(w, space, name)) name = wisp_arena_printf(&w->arena, "%s%c", name, sign);
    return name;
}

static const char *unique(struct writer *w, const char *space, const char *name)
{
    return unique_with(w, space, name, '_');
}

/* How much of an interface's id its names in C begin with. */
enum prefix { INTERFACE, WITH_PACKAGE, WITH_ALL };

static char *prefix_at(struct writer *w, struct wisp_str id, enum prefix how)
{
    struct wisp_str package, name, space;
    if (how == WITH_ALL) {
        char *all = wisp_arena_cstr(&w->arena, id);
        for (char *c = all; *c; c++)
            if (!isalnum((unsigned char)*c)) *c = '_';
        return c_name(w, wisp_str_from(all), false);
    }
    take_apart(id, &package, &name);
    if (how == INTERFACE || !package.len) return c_name(w, name, false);
    wisp_str_split(package, ':', &space, &package);
    return wisp_arena_printf(&w->arena, "%s_%s", c_name(w, package, false), c_name(w, name, false));
}

static bool has_twin(struct writer *w, struct wisp_str id, enum prefix how)
{
    const struct wisp_wit_document_interface *const *lists[] = {w->world->exports, w->world->imports};
    const uint32_t counts[] = {w->world->n_exports, w->world->n_imports};
    const char *prefix = prefix_at(w, id, how);
    for (int list = 0; list < 2; list++)
        for (uint32_t i = 0; i < counts[list]; i++)
            if (!wisp_str_equal(lists[list][i]->id, id) && !strcmp(prefix_at(w, lists[list][i]->id, how), prefix))
                return true;
    return false;
}

/* The SDK's names begin with this. */
static bool is_ours(const char *prefix) { return strcmp(prefix, "wisp") == 0 || strncmp(prefix, "wisp_", 5) == 0; }

static char *prefix_of(struct writer *w, struct wisp_str id)
{
    enum prefix how = INTERFACE;
    while (how < WITH_ALL && (has_twin(w, id, how) || is_ours(prefix_at(w, id, how)))) how++;
    return prefix_at(w, id, how);
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

static const char *constant(struct writer *w, const char *of, struct wisp_str label)
{
    return unique(w, "constant",
                  wisp_arena_printf(&w->arena, "%s_%s", c_name(w, wisp_str_from(of), true), c_name(w, label, true)));
}

static void put_enum(struct writer *w, const char *name, const struct wisp_type *type)
{
    wisp_buf_printf(w->header, "enum %s {\n", name);
    for (uint32_t i = 0; i < type->n_fields; i++)
        wisp_buf_printf(w->header, "    %s = %u,\n", constant(w, name, type->fields[i].name), i);
    wisp_buf_append_str(w->header, WISP_STR("};\n"));
}

/* No enum: its constants are an int. */
static void put_flags(struct writer *w, const char *name, const struct wisp_type *type)
{
    if (type->n_fields > 32) fail(w, "flags with more than 32 labels", type->name);
    for (uint32_t i = 0; i < type->n_fields; i++)
        wisp_buf_printf(w->header, "#define %s (UINT32_C(1) << %u)\n", constant(w, name, type->fields[i].name), i);
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
                                                 : field_name(w, type->fields[i].name);
    if (type->kind == WISP_TYPE_VARIANT)
        put_enum(w, unique(w, "type", wisp_arena_printf(&w->arena, "%s_tag", name)), type);
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
static const char *define_new(struct writer *w, const char *prefix, const char *name, const struct wisp_type *type)
{
    const char **types = WISP_NEW_ARRAY(&w->arena, const char *, type->n_fields + 1);
    if (type->kind == WISP_TYPE_LIST) types[0] = define(w, prefix, type->element);
    for (uint32_t i = 0; i < type->n_fields && !is_enum_or_flags(type); i++)
        if (type->fields[i].type) types[i] = define(w, prefix, type->fields[i].type);
    if (is_enum_or_flags(type)) {
        type->kind == WISP_TYPE_ENUM ? put_enum(w, name, type) : put_flags(w, name, type);
        return "uint32_t";
    }
    put_struct(w, name, type, types);
    return wisp_arena_printf(&w->arena, "struct %s", name);
}

/* What tells a type from all others: for one with a name that and where it is from. */
static void put_identity(const struct wisp_type *type, struct wisp_buf *out)
{
    if (type->name.len && type->owner.len) {
        wisp_buf_printf(out, "%.*s#%.*s", WISP_STR_ARG(type->owner), WISP_STR_ARG(type->name));
        return;
    }
    wisp_buf_printf(out, "%d(", (int)type->kind);
    if (type->element) put_identity(type->element, out);
    for (uint32_t i = 0; i < type->n_fields; i++) {
        wisp_buf_append_char(out, ',');
        if (type->fields[i].type) put_identity(type->fields[i].type, out);
    }
    wisp_buf_append_char(out, ')');
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
    WISP_CLEANUP_BUF struct wisp_buf shape = {0}, identity = {0};
    if (type->name.len && type->owner.len) prefix = prefix_of(w, type->owner);
    put_identity(type, &identity);
    char *known = wisp_map_get(&w->known, wisp_buf_str(&identity));
    if (known) return known;
    put_shape(w, prefix, type, &shape);
    const char *name = wisp_arena_printf(&w->arena, "%s_%.*s", prefix, WISP_STR_ARG(wisp_buf_str(&shape)));
    known = wisp_arena_printf(&w->arena, "%s", define_new(w, prefix, unique(w, "type", name), type));
    wisp_map_add(&w->known, wisp_arena_str(&w->arena, wisp_buf_str(&identity)), known);
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

/* All of it, whatever its name. */
static void put_structure(struct writer *w, const struct wisp_type *type, struct wisp_buf *out)
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
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW: /* refused already */
        break;
    default: /* the name of a type that is another's is none that the signature knows */
        wisp_buf_printf(out, "%s", wisp_type_text(&w->arena, wisp_type_primitive(type->kind)));
    }
}

static void begin_words(struct writer *w, struct wisp_str interface)
{
    static const char *const builtin[] = {"bool",   "s8",      "u8",   "s16",   "u16",    "s32",    "u32",
                                          "s64",    "u64",     "f32",  "f64",   "char",   "string", "list",
                                          "option", "result",  "own",  "flags", "stream", "future", "tuple",
                                          "record", "variant", "enum", "borrow"};
    wisp_map_deinit(&w->words);
    w->words = (struct wisp_map){0};
    w->types.len = 0;
    w->interface = wisp_arena_cstr(&w->arena, interface);
    for (size_t i = 0; i < WISP_COUNT(builtin); i++) take(w, w->interface, builtin[i]);
}

static void put_signature_type(struct writer *w, const struct wisp_type *type, struct wisp_buf *out)
{
    bool is_alike = type->kind == WISP_TYPE_RECORD || type->kind == WISP_TYPE_VARIANT || is_enum_or_flags(type);
    if (!is_alike || !type->name.len) {
        put_structure(w, type, out);
        return;
    }
    WISP_CLEANUP_BUF struct wisp_buf identity = {0}, text = {0};
    put_identity(type, &identity);
    char *word = wisp_map_get(&w->words, wisp_buf_str(&identity));
    if (!word) {
        word = wisp_arena_cstr(&w->arena, type->name);
        word = wisp_arena_printf(&w->arena, "%s", unique_with(w, w->interface, word, '-'));
        put_structure(w, type, &text);
        wisp_buf_printf(&w->types, "    \"%s = %.*s\",\n", word, WISP_STR_ARG(wisp_buf_str(&text)));
        wisp_map_add(&w->words, wisp_arena_str(&w->arena, wisp_buf_str(&identity)), word);
    }
    wisp_buf_printf(out, "%s", word);
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
    return define_new(w, prefix, unique(w, "type", wisp_arena_printf(&w->arena, "%s_result", func)), type);
}

static void put_args(struct writer *w, const char *prefix, struct func *func)
{
    const struct wisp_func_type *type = func->decl->type;
    const char **types = WISP_NEW_ARRAY(&w->arena, const char *, type->n_params + 1);
    for (uint32_t i = 0; i < type->n_params; i++) types[i] = define(w, prefix, type->params[i].type);
    if (type->result) func->result = define_result(w, prefix, func->name, type->result);
    put_docs(w->header, func->decl->docs);
    if (!type->n_params) return;
    const char *name = unique(w, "type", wisp_arena_printf(&w->arena, "%s_args", func->name));
    func->args = wisp_arena_printf(&w->arena, "struct %s", name);
    wisp_buf_printf(w->header, "%s {\n", func->args);
    for (uint32_t i = 0; i < type->n_params; i++) put_field(w, "    ", types[i], field_name(w, type->params[i].name));
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
                        "static inline void %s_return(struct wisp_provider_call *call, %s const *result)\n{\n"
                        "    wisp_provider_return(call, result);\n}\n\n",
                        name, func->result);
    else
        wisp_buf_printf(w->header,
                        "static inline void %s_return(struct wisp_provider_call *call)\n{\n"
                        "    wisp_provider_return(call, NULL);\n}\n\n",
                        name);
}

static void put_called(struct writer *w, const char *prefix, const struct func *func, uint32_t index)
{
    const char *head = wisp_arena_printf(
        &w->arena,
        "int %s_call(struct wisp_provider *provider, %s%s%sconst struct wisp_provider_request *request,\n"
        "    struct wisp_provider_invocation **ret_invocation, struct wisp_err *err)",
        func->name, func->args ? "const " : "", func->args ? func->args : "", func->args ? " *args, " : "");
    wisp_buf_printf(w->header,
                    "/* As wisp_provider_invoke; the result is %s%s. */\n%s\n    "
                    "__attribute__((warn_unused_result));\n\n",
                    func->result ? "a " : "none", func->result ? func->result : "", head);
    wisp_buf_printf(w->source,
                    "%s\n{\n    return wisp_provider_invoke(provider, &%s_interface, &%s_funcs[%u], %s, request, "
                    "ret_invocation, err);\n}\n\n",
                    head, prefix, prefix, index, func->args ? "args" : "NULL");
}

static void put_entry(struct writer *w, const struct func *func, bool is_served, struct wisp_buf *out)
{
    wisp_buf_printf(out, "    {.name = \"%.*s\",\n     .signature = \"", WISP_STR_ARG(func->decl->name));
    put_signature(w, func->decl->type, out);
    wisp_buf_append_str(out, WISP_STR("\",\n"));
    if (is_served) wisp_buf_printf(out, "     .fn = call_%s,\n", func->name);
    wisp_buf_append_str(out, WISP_STR("     .args_size = "));
    wisp_buf_printf(out, func->args ? "sizeof(%s)" : "0", func->args);
    wisp_buf_append_str(out, WISP_STR(", .result_size = "));
    wisp_buf_printf(out, func->result ? "sizeof(%s)" : "0", func->result);
    wisp_buf_append_str(out, WISP_STR("},\n"));
}

static void put_table(struct writer *w, const char *prefix, const struct wisp_wit_document_interface *interface,
                      const struct func *funcs, bool is_served)
{
    WISP_CLEANUP_BUF struct wisp_buf entries = {0};
    begin_words(w, interface->id);
    for (uint32_t i = 0; i < interface->n_funcs; i++) put_entry(w, &funcs[i], is_served, &entries);
    if (w->types.len)
        wisp_buf_printf(w->source, "static const char *const %s_types[] = {\n%.*s    NULL,\n};\n", prefix,
                        WISP_STR_ARG(wisp_buf_str(&w->types)));
    if (entries.len)
        wisp_buf_printf(w->source, "static const struct wisp_provider_func %s_funcs[] = {\n%.*s};\n", prefix,
                        WISP_STR_ARG(wisp_buf_str(&entries)));
    wisp_buf_printf(w->source, "const struct wisp_provider_interface %s_interface = {\n    .name = \"%.*s\",\n", prefix,
                    WISP_STR_ARG(interface->id));
    if (w->types.len) wisp_buf_printf(w->source, "    .types = %s_types,\n", prefix);
    if (entries.len) wisp_buf_printf(w->source, "    .funcs = %s_funcs,\n", prefix);
    wisp_buf_printf(w->source, "    .n_funcs = %u,\n};\n\n", interface->n_funcs);
}

/* Calling functions need the table, serving ones are in it. */
static void put_interface(struct writer *w, const struct wisp_wit_document_interface *interface, bool is_served)
{
    char *prefix = prefix_of(w, interface->id);
    wisp_buf_printf(w->header, "/* --- %.*s --- */\n\n", WISP_STR_ARG(interface->id));
    put_docs(w->header, interface->docs);
    wisp_buf_printf(w->header, "extern const struct wisp_provider_interface %s_interface;\n\n", prefix);
    for (uint32_t i = 0; i < interface->n_types; i++) {
        const struct wisp_wit_document_type *type = &interface->types[i];
        if (type->resource)
            fail(w, "resources can't be in the interfaces of a provider in C", type->name);
        else if (!type->is_used)
            define(w, prefix, type->type);
    }
    struct func *funcs = WISP_NEW_ARRAY(&w->arena, struct func, interface->n_funcs);
    for (uint32_t i = 0; i < interface->n_funcs; i++) {
        const struct wisp_wit_document_func *decl = &interface->funcs[i];
        char *name = wisp_arena_printf(&w->arena, "%s_%s", prefix, c_name(w, decl->name, false));
        funcs[i] = (struct func){.decl = decl, .name = name};
        const char *helper = wisp_arena_printf(&w->arena, "%s_%s", name, is_served ? "return" : "call");
        if (!take(w, "", name) || !take(w, "", helper)) fail(w, "two of its names are the same in C", decl->name);
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
    for (uint32_t i = 0; i < n; i++)
        wisp_buf_printf(w->source, "%s&%s_interface", i ? ", " : "", prefix_of(w, list[i]->id));
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
    wisp_map_deinit(&w.taken);
    wisp_map_deinit(&w.words);
    wisp_buf_deinit(&w.types);
    wisp_arena_deinit(&w.arena);
    return w.failed;
}
