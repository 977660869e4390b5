/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/provider_c_priv.h"

enum { SIGNATURE_MAX = 1 << 16 }; /* that host_signature.h takes */

static void put_signature_type(struct wisp_wit_c_writer *w, const struct wisp_type *type, struct wisp_buf *out);

static void put_parts(struct wisp_wit_c_writer *w, const char *word, const struct wisp_type *type, uint32_t from,
                      char open, char close, struct wisp_buf *out)
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

static void put_result(struct wisp_wit_c_writer *w, const struct wisp_type *type, struct wisp_buf *out)
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

static void put_element(struct wisp_wit_c_writer *w, const char *word, const struct wisp_type *type,
                        struct wisp_buf *out)
{
    wisp_buf_printf(out, "%s<", word);
    put_signature_type(w, type->element, out);
    wisp_buf_append_char(out, '>');
}

/* All of it, whatever its name. */
static void put_structure(struct wisp_wit_c_writer *w, const struct wisp_type *type, struct wisp_buf *out)
{
    if (out->len > SIGNATURE_MAX) {
        wisp_wit_c_fail(w, "its type is too large", type->name);
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

void wisp_wit_c_begin_words(struct wisp_wit_c_writer *w, struct wisp_str interface)
{
    static const char *const builtin[] = {"bool",   "s8",      "u8",   "s16",   "u16",    "s32",    "u32",
                                          "s64",    "u64",     "f32",  "f64",   "char",   "string", "list",
                                          "option", "result",  "own",  "flags", "stream", "future", "tuple",
                                          "record", "variant", "enum", "borrow"};
    wisp_map_deinit(&w->words);
    w->words = (struct wisp_map){0};
    w->types.len = 0;
    w->interface = wisp_arena_cstr(&w->arena, interface);
    for (size_t i = 0; i < WISP_COUNT(builtin); i++) wisp_wit_c_take(w, w->interface, builtin[i]);
}

static void put_signature_type(struct wisp_wit_c_writer *w, const struct wisp_type *type, struct wisp_buf *out)
{
    bool is_alike =
        type->kind == WISP_TYPE_RECORD || type->kind == WISP_TYPE_VARIANT || wisp_wit_c_is_enum_or_flags(type);
    if (!is_alike || !type->name.len) {
        put_structure(w, type, out);
        return;
    }
    WISP_CLEANUP_BUF struct wisp_buf identity = {0}, text = {0};
    wisp_wit_c_put_identity(type, &identity);
    char *word = wisp_map_get(&w->words, wisp_buf_str(&identity));
    if (!word) {
        word = wisp_arena_cstr(&w->arena, type->name);
        word = wisp_arena_printf(&w->arena, "%s", wisp_wit_c_unique_with(w, w->interface, word, '-'));
        put_structure(w, type, &text);
        wisp_buf_printf(&w->types, "    \"%s = %.*s\",\n", word, WISP_STR_ARG(wisp_buf_str(&text)));
        wisp_map_add(&w->words, wisp_arena_str(&w->arena, wisp_buf_str(&identity)), word);
    }
    wisp_buf_printf(out, "%s", word);
}

void wisp_wit_c_put_signature(struct wisp_wit_c_writer *w, const struct wisp_func_type *type, struct wisp_buf *out)
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
