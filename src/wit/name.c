/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/name.h"

#include "wit/wit.h"

bool wisp_wit_id_parse(struct wisp_str text, struct wisp_wit_id *ret_id)
{
    struct wisp_wit_id id = {0};
    if (!wisp_str_split(text, '/', &id.package, &id.interface)) return false;
    wisp_str_split(id.interface, '@', &id.interface, &id.version);
    *ret_id = id;
    return true;
}

static bool strip(struct wisp_str *text, struct wisp_str prefix)
{
    if (!wisp_str_starts_with(*text, prefix)) return false;
    *text = (struct wisp_str){text->ptr + prefix.len, text->len - prefix.len};
    return true;
}

struct wisp_wit_func_name wisp_wit_func_name_parse(struct wisp_str text)
{
    struct wisp_wit_func_name name = {.role = WISP_WIT_FREE, .label = text};
    if (strip(&text, WISP_STR("[constructor]")))
        return (struct wisp_wit_func_name){.role = WISP_WIT_CONSTRUCTOR, .resource = text};
    if (strip(&text, WISP_STR("[method]")))
        name.role = WISP_WIT_METHOD;
    else if (strip(&text, WISP_STR("[static]")))
        name.role = WISP_WIT_STATIC;
    if (name.role != WISP_WIT_FREE) wisp_str_split(text, '.', &name.resource, &name.label);
    return name;
}

bool wisp_wit_is_keyword(struct wisp_str name)
{
    static const char *const keywords[] = {
        "as",   "async", "bool",   "borrow", "char",    "constructor", "enum",     "error-context", "export",
        "f32",  "f64",   "flags",  "from",   "func",    "future",      "import",   "include",       "interface",
        "list", "map",   "option", "own",    "package", "record",      "resource", "result",        "s16",
        "s32",  "s64",   "s8",     "static", "stream",  "string",      "tuple",    "type",          "u16",
        "u32",  "u64",   "u8",     "use",    "variant", "with",        "world",
    };
    for (size_t i = 0; i < WISP_COUNT(keywords); i++)
        if (wisp_str_is(name, keywords[i])) return true;
    return false;
}

void wisp_wit_append_name(struct wisp_buf *out, struct wisp_str name)
{
    if (wisp_wit_is_keyword(name)) wisp_buf_append_char(out, '%');
    wisp_buf_append_str(out, name);
}
