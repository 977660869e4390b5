/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/provider_c_priv.h"

#include <stdlib.h>

/* What C knows of a function. */
struct func {
    const struct wisp_wit_document_func *decl;
    char *name;         /* "greeter_greet" */
    char *args;         /* "struct greeter_greet_args"; NULL: it has no parameters */
    const char *result; /* NULL: none */
};

/* What has no name in WIT gets the function's. */
static const char *define_result(struct wisp_wit_c_writer *w, const char *prefix, const char *func,
                                 const struct wisp_type *type)
{
    bool is_plain = type->name.len || wisp_wit_c_primitive(type->kind);
    bool is_bytes = type->kind == WISP_TYPE_LIST && type->element->kind == WISP_TYPE_U8;
    bool has_handle = type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW;
    if (is_plain || is_bytes || has_handle) return wisp_wit_c_define(w, prefix, type);
    return wisp_wit_c_define_new(w, prefix,
                                 wisp_wit_c_unique(w, "type", wisp_arena_printf(&w->arena, "%s_result", func)), type);
}

static void put_args(struct wisp_wit_c_writer *w, const char *prefix, struct func *func)
{
    const struct wisp_func_type *type = func->decl->type;
    const char **types = WISP_NEW_ARRAY(&w->arena, const char *, type->n_params + 1);
    for (uint32_t i = 0; i < type->n_params; i++) types[i] = wisp_wit_c_define(w, prefix, type->params[i].type);
    if (type->result) func->result = define_result(w, prefix, func->name, type->result);
    wisp_wit_c_put_docs(w->header, func->decl->docs);
    if (!type->n_params) return;
    const char *name = wisp_wit_c_unique(w, "type", wisp_arena_printf(&w->arena, "%s_args", func->name));
    func->args = wisp_arena_printf(&w->arena, "struct %s", name);
    wisp_buf_printf(w->header, "%s {\n", func->args);
    for (uint32_t i = 0; i < type->n_params; i++)
        wisp_wit_c_put_field(w, "    ", types[i], wisp_wit_c_field_name(w, type->params[i].name));
    wisp_buf_append_str(w->header, WISP_STR("};\n"));
}

static void put_served(struct wisp_wit_c_writer *w, const struct func *func)
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

static void put_called(struct wisp_wit_c_writer *w, const char *prefix, const struct func *func, uint32_t index)
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

static void put_entry(struct wisp_wit_c_writer *w, const struct func *func, bool is_served, struct wisp_buf *out)
{
    wisp_buf_printf(out, "    {.name = \"%.*s\",\n     .signature = \"", WISP_STR_ARG(func->decl->name));
    wisp_wit_c_put_signature(w, func->decl->type, out);
    wisp_buf_append_str(out, WISP_STR("\",\n"));
    if (is_served) wisp_buf_printf(out, "     .fn = call_%s,\n", func->name);
    wisp_buf_append_str(out, WISP_STR("     .args_size = "));
    wisp_buf_printf(out, func->args ? "sizeof(%s)" : "0", func->args);
    wisp_buf_append_str(out, WISP_STR(", .result_size = "));
    wisp_buf_printf(out, func->result ? "sizeof(%s)" : "0", func->result);
    wisp_buf_append_str(out, WISP_STR("},\n"));
}

static void put_table(struct wisp_wit_c_writer *w, const char *prefix,
                      const struct wisp_wit_document_interface *interface, const struct func *funcs, bool is_served)
{
    WISP_CLEANUP_BUF struct wisp_buf entries = {0};
    wisp_wit_c_begin_words(w, interface->id);
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
static void put_interface(struct wisp_wit_c_writer *w, const struct wisp_wit_document_interface *interface,
                          bool is_served)
{
    char *prefix = wisp_wit_c_prefix(w, interface->id);
    wisp_buf_printf(w->header, "/* --- %.*s --- */\n\n", WISP_STR_ARG(interface->id));
    wisp_wit_c_put_docs(w->header, interface->docs);
    wisp_buf_printf(w->header, "extern const struct wisp_provider_interface %s_interface;\n\n", prefix);
    for (uint32_t i = 0; i < interface->n_types; i++) {
        const struct wisp_wit_document_type *type = &interface->types[i];
        if (type->resource)
            wisp_wit_c_fail(w, "resources can't be in the interfaces of a provider in C", type->name);
        else if (!type->is_used)
            wisp_wit_c_define(w, prefix, type->type);
    }
    struct func *funcs = WISP_NEW_ARRAY(&w->arena, struct func, interface->n_funcs);
    for (uint32_t i = 0; i < interface->n_funcs; i++) {
        const struct wisp_wit_document_func *decl = &interface->funcs[i];
        char *name = wisp_arena_printf(&w->arena, "%s_%s", prefix, wisp_wit_c_name(w, decl->name, false));
        funcs[i] = (struct func){.decl = decl, .name = name};
        const char *helper = wisp_arena_printf(&w->arena, "%s_%s", name, is_served ? "return" : "call");
        if (!wisp_wit_c_take(w, "", name) || !wisp_wit_c_take(w, "", helper))
            wisp_wit_c_fail(w, "two of its names are the same in C", decl->name);
        put_args(w, prefix, &funcs[i]);
        if (is_served)
            put_served(w, &funcs[i]);
        else
            wisp_buf_append_char(w->header, '\n');
    }
    put_table(w, prefix, interface, funcs, is_served);
    for (uint32_t i = 0; i < interface->n_funcs && !is_served; i++) put_called(w, prefix, &funcs[i], i);
}

static void put_list(struct wisp_wit_c_writer *w, const char *what,
                     const struct wisp_wit_document_interface *const *list, uint32_t n)
{
    char *name = wisp_wit_c_name(w, w->name, false);
    wisp_buf_printf(w->header, "extern const struct wisp_provider_interface *const %s_%s[%u];\n", name, what,
                    n ? n : 1);
    wisp_buf_printf(w->source, "const struct wisp_provider_interface *const %s_%s[%u] = {", name, what, n ? n : 1);
    for (uint32_t i = 0; i < n; i++)
        wisp_buf_printf(w->source, "%s&%s_interface", i ? ", " : "", wisp_wit_c_prefix(w, list[i]->id));
    wisp_buf_printf(w->source, "%s};\n", n ? "" : "NULL");
}

static void put_all(struct wisp_wit_c_writer *w)
{
    const struct wisp_wit_document_world *world = w->world;
    char *name = wisp_wit_c_name(w, w->name, false), *capitals = wisp_wit_c_name(w, w->name, true);
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
    struct wisp_wit_c_writer w = {.world = world, .header = header, .source = source, .name = name, .err = err};
    if (world->n_import_funcs || world->n_export_funcs)
        wisp_wit_c_fail(&w, "functions outside of an interface can't be reached by links", world->id);
    for (uint32_t i = 0; i < world->n_imports; i++)
        for (uint32_t k = 0; k < world->n_exports; k++)
            if (world->imports[i] == world->exports[k])
                wisp_wit_c_fail(&w, "an interface can't be both imported and exported", world->imports[i]->id);
    if (!world->n_imports && !world->n_exports) wisp_wit_c_fail(&w, "the world has no interface", world->id);
    if (!w.failed) put_all(&w);
    wisp_map_deinit(&w.known);
    wisp_map_deinit(&w.taken);
    wisp_map_deinit(&w.words);
    wisp_buf_deinit(&w.types);
    wisp_arena_deinit(&w.arena);
    return w.failed;
}
