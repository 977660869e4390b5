/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/provider_c_priv.h"

#include <ctype.h>

void wisp_wit_c_fail(struct wisp_wit_c_writer *w, const char *what, struct wisp_str which)
{
    if (w->failed) return;
    w->failed = wisp_err_set(w->err, WISP_ERR_UNSUPPORTED, "`%.*s`: %s", WISP_STR_ARG(which), what);
}

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
char *wisp_wit_c_name(struct wisp_wit_c_writer *w, struct wisp_str name, bool in_capitals)
{
    char *made = wisp_arena_cstr(&w->arena, name);
    for (char *c = made; *c; c++)
        *c = (char)(*c == '-' || *c == '.' || *c == ':' ? '_' : in_capitals ? toupper(*c) : tolower(*c));
    return made;
}

/* Of something that has no prefix. */
char *wisp_wit_c_field_name(struct wisp_wit_c_writer *w, struct wisp_str name)
{
    char *made = wisp_wit_c_name(w, name, false);
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
bool wisp_wit_c_take(struct wisp_wit_c_writer *w, const char *space, const char *name)
{
    return wisp_map_add(&w->taken, wisp_str_from(wisp_arena_printf(&w->arena, "%s %s", space, name)), w);
}

/* With as many of the sign at its end as it takes. */
const char *wisp_wit_c_unique_with(struct wisp_wit_c_writer *w, const char *space, const char *name, char sign)
{
    while (!wisp_wit_c_take(w, space, name)) name = wisp_arena_printf(&w->arena, "%s%c", name, sign);
    return name;
}

const char *wisp_wit_c_unique(struct wisp_wit_c_writer *w, const char *space, const char *name)
{
    return wisp_wit_c_unique_with(w, space, name, '_');
}

/* How much of an interface's id its names in C begin with. */
enum prefix { INTERFACE, WITH_PACKAGE, WITH_ALL };

static char *prefix_at(struct wisp_wit_c_writer *w, struct wisp_str id, enum prefix how)
{
    struct wisp_str package, name, space;
    if (how == WITH_ALL) {
        char *all = wisp_arena_cstr(&w->arena, id);
        for (char *c = all; *c; c++)
            if (!isalnum((unsigned char)*c)) *c = '_';
        return wisp_wit_c_name(w, wisp_str_from(all), false);
    }
    take_apart(id, &package, &name);
    if (how == INTERFACE || !package.len) return wisp_wit_c_name(w, name, false);
    wisp_str_split(package, ':', &space, &package);
    return wisp_arena_printf(&w->arena, "%s_%s", wisp_wit_c_name(w, package, false), wisp_wit_c_name(w, name, false));
}

static bool has_twin(struct wisp_wit_c_writer *w, struct wisp_str id, enum prefix how)
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

char *wisp_wit_c_prefix(struct wisp_wit_c_writer *w, struct wisp_str id)
{
    enum prefix how = INTERFACE;
    while (how < WITH_ALL && (has_twin(w, id, how) || is_ours(prefix_at(w, id, how)))) how++;
    return prefix_at(w, id, how);
}
