/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/call.h"

#include "component/value/wave.h"
#include "wit/wit.h"

enum { LISTED_MAX = 20 };

/* How a word names a function, the clearest first. */
enum fit { FIT_WITH_VERSION, FIT_WITHOUT_VERSION, FIT_WITHOUT_PACKAGE, FIT_NONE };

struct search {
    struct wisp_str word;
    struct wisp_call_function found;
    enum fit best;
    size_t n_best;
    struct wisp_buf fitting, all;
    size_t n_all;
};

/* "bucket.get" of "[method]bucket.get", as it is called on the wire. */
static struct wisp_str wire_name(struct wisp_str name)
{
    struct wisp_str kind, rest;
    return name.len && name.ptr[0] == '[' && wisp_str_split(name, ']', &kind, &rest) ? rest : name;
}

static bool is_joined(struct wisp_str word, struct wisp_str interface, struct wisp_str function)
{
    if (!interface.len) return wisp_str_equal(word, function);
    return word.len == interface.len + 1 + function.len && wisp_str_starts_with(word, interface) &&
           word.ptr[interface.len] == '.' && wisp_str_ends_with(word, function);
}

static enum fit fit(const struct search *search, struct wisp_str interface, struct wisp_str function)
{
    struct wisp_str plain = interface, version, package, name;
    if (is_joined(search->word, interface, function)) return FIT_WITH_VERSION;
    wisp_str_split(interface, '@', &plain, &version);
    if (is_joined(search->word, plain, function)) return FIT_WITHOUT_VERSION;
    if (wisp_str_split(plain, '/', &package, &name) && is_joined(search->word, name, function))
        return FIT_WITHOUT_PACKAGE;
    return FIT_NONE;
}

static void consider(struct search *search, struct wisp_str interface, const struct wisp_item *item)
{
    struct wisp_str function = wire_name(item->name);
    const char *dot = interface.len ? "." : "";
    if (search->n_all++ < LISTED_MAX)
        wisp_buf_printf(&search->all, "%s%.*s%s%.*s", search->all.len ? ", " : "", WISP_STR_ARG(interface), dot,
                        WISP_STR_ARG(function));
    enum fit quality = fit(search, interface, function);
    if (quality == FIT_NONE || quality > search->best) return;
    if (quality < search->best) {
        search->n_best = 0;
        search->fitting.len = 0;
    }
    search->best = quality;
    search->n_best++;
    wisp_buf_printf(&search->fitting, "%s%.*s%s%.*s", search->fitting.len ? ", " : "", WISP_STR_ARG(interface), dot,
                    WISP_STR_ARG(function));
    search->found = (struct wisp_call_function){{interface, function}, item->name, item->func};
}

static int judge(const struct search *search, const char *word, struct wisp_call_function *ret_function,
                 struct wisp_err *err)
{
    if (search->n_best == 1) {
        *ret_function = search->found;
        return 0;
    }
    if (search->n_best > 1)
        return wisp_err_set(err, WISP_ERR_USAGE, "`%s` may be any of: %.*s", word,
                            WISP_STR_ARG(wisp_buf_str(&search->fitting)));
    if (!search->n_all) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "the component exports no functions");
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "the component exports no function `%s`; it exports %.*s%s", word,
                        WISP_STR_ARG(wisp_buf_str(&search->all)), search->n_all > LISTED_MAX ? ", ..." : "");
}

int wisp_call_find(const struct wisp_component *component, const char *word, struct wisp_call_function *ret_function,
                   struct wisp_err *err)
{
    struct search search = {.word = wisp_str_from(word), .best = FIT_NONE};
    for (uint32_t i = 0; i < component->n_exports; i++) {
        const struct wisp_item *item = &component->exports[i];
        if (item->kind == WISP_ITEM_FUNC) consider(&search, (struct wisp_str){0}, item);
        for (uint32_t k = 0; item->kind == WISP_ITEM_INTERFACE && k < item->interface->n_items; k++)
            if (item->interface->items[k].kind == WISP_ITEM_FUNC)
                consider(&search, item->name, &item->interface->items[k]);
    }
    int r = judge(&search, word, ret_function, err);
    wisp_buf_deinit(&search.fitting);
    wisp_buf_deinit(&search.all);
    return r;
}

int wisp_call_arguments(const struct wisp_call_function *function, const struct wisp_arg_list *texts,
                        struct wisp_arena *arena, const void **ret_args, struct wisp_err *err)
{
    const struct wisp_func_type *type = function->type;
    if (texts->count != type->n_params) {
        WISP_CLEANUP_BUF struct wisp_buf signature = {0};
        wisp_wit_describe(type, function->item_name, &signature);
        return wisp_err_set(err, WISP_ERR_USAGE, "it takes %u argument%s, not %zu: %.*s", type->n_params,
                            type->n_params == 1 ? "" : "s", texts->count, WISP_STR_ARG(wisp_buf_str(&signature)));
    }
    char *args = wisp_arena_calloc(arena, 1, type->native_params_size);
    for (uint32_t i = 0; i < type->n_params; i++) {
        const struct wisp_type_field *param = &type->params[i];
        struct wisp_str text = wisp_str_from(texts->items[i]);
        if (param->type->kind == WISP_TYPE_STRING && (!text.len || text.ptr[0] != '"')) {
            if (!wisp_str_is_utf8(text))
                return wisp_err_set(err, WISP_ERR_USAGE, "argument `%.*s`: not UTF-8", WISP_STR_ARG(param->name));
            *(struct wisp_str *)(void *)(args + param->native_offset) = text;
            continue;
        }
        int r = wisp_wave_parse(arena, param->type, text, args + param->native_offset, err);
        if (r < 0)
            return wisp_err_wrap(err, "argument `%.*s`, which is a %s", WISP_STR_ARG(param->name),
                                 wisp_type_text(arena, param->type));
    }
    *ret_args = args;
    return 0;
}
