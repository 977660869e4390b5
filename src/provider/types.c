/* SPDX-License-Identifier: Apache-2.0 */
/* A kind's tables, read and checked. */
#include "component/host/host_signature.h"
#include "provider/provider_priv.h"

#include <stdlib.h>

static const struct wisp_map no_resources;
static struct wisp_provider_types *all_types; /* as many as there are kinds */

static int check_size(const char *what, uint32_t have, uint32_t need, const char *signature, struct wisp_err *err)
{
    if (have == need) return 0;
    return wisp_err_set(err, WISP_ERR_INTERNAL, "the C struct of the %s has %u bytes, `%s` needs %u", what, have,
                        signature, need);
}

static int read_func(const struct wisp_provider_interface *interface, const struct wisp_provider_func *func,
                     const struct wisp_signature_names *names, bool is_export, struct wisp_provider_export *ret_export,
                     struct wisp_err *err)
{
    *ret_export = (struct wisp_provider_export){.interface = interface, .func = func};
    int r = wisp_signature_parse(names, wisp_str_from(func->signature), &ret_export->type, err);
    if (r == 0) {
        const struct wisp_func_type *type = ret_export->type;
        uint32_t result_size = type->result ? type->result->native_size : 0;
        r = check_size("arguments", func->args_size, type->native_params_size, func->signature, err);
        if (r == 0) r = check_size("result", func->result_size, result_size, func->signature, err);
    }
    if (r == 0 && is_export && !func->fn) r = wisp_err_set(err, WISP_ERR_INTERNAL, "there is nothing to call");
    return r < 0 ? wisp_err_wrap(err, "function `%s`", func->name) : 0;
}

static int read_funcs(const struct wisp_provider_interface *interface, const struct wisp_signature_names *names,
                      bool is_export, struct wisp_provider_export *ret_exports, struct wisp_err *err)
{
    for (size_t i = 0; i < interface->n_funcs; i++) {
        int r = read_func(interface, &interface->funcs[i], names, is_export, &ret_exports[i], err);
        if (r < 0) return r;
        for (size_t j = 0; j < i; j++)
            if (strcmp(interface->funcs[j].name, interface->funcs[i].name) == 0)
                return wisp_err_set(err, WISP_ERR_INTERNAL, "function `%s` is there twice", interface->funcs[i].name);
    }
    return 0;
}

static int read_interface(const struct wisp_provider_interface *interface, struct wisp_arena *arena, bool is_export,
                          struct wisp_provider_export *ret_exports, struct wisp_err *err)
{
    struct wisp_signature_names names = {.arena = arena, .resources = &no_resources};
    int r = 0;
    for (const char *const *type = interface->types; type && *type && r == 0; type++) {
        r = wisp_signature_define(&names, wisp_str_from(*type), err);
        if (r < 0) wisp_err_wrap(err, "type `%s`", *type);
    }
    if (r == 0) r = read_funcs(interface, &names, is_export, ret_exports, err);
    wisp_map_deinit(&names.types);
    return r < 0 ? wisp_err_wrap(err, "interface `%s`", interface->name) : 0;
}

int wisp_provider_interface_types(const struct wisp_provider_interface *interface, struct wisp_arena *arena,
                                  struct wisp_provider_export *ret_exports, struct wisp_err *err)
{
    int r = read_interface(interface, arena, false, ret_exports, err);
    if (r < 0 && err) err->kind = WISP_ERR_INTERNAL;
    return r < 0 ? -WISP_ERR_INTERNAL : 0;
}

static int read_interfaces(struct wisp_provider_types *types, const struct wisp_provider_interface *const *interfaces,
                           size_t n_interfaces, bool is_export, struct wisp_provider_export **ret_exports,
                           size_t *ret_n, struct wisp_err *err)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < n_interfaces; i++) n += interfaces[i]->n_funcs;
    struct wisp_provider_export *exports = WISP_NEW_ARRAY(&types->arena, struct wisp_provider_export, n);
    for (size_t i = 0; i < n_interfaces; i++) {
        int r = read_interface(interfaces[i], &types->arena, is_export, exports + at, err);
        if (r < 0) return r;
        at += interfaces[i]->n_funcs;
    }
    *ret_exports = exports;
    *ret_n = n;
    return 0;
}

static int read_kind(struct wisp_provider_types *types, struct wisp_err *err)
{
    const struct wisp_provider_kind *kind = types->kind;
    int r = read_interfaces(types, kind->exports, kind->n_exports, true, &types->exports, &types->n_exports, err);
    if (r == 0)
        r = read_interfaces(types, kind->imports, kind->n_imports, false, &types->imports, &types->n_imports, err);
    if (r == 0) return 0;
    /* A table that can't be read is our own defect, however it shows. */
    if (err) err->kind = WISP_ERR_INTERNAL;
    wisp_err_wrap(err, "provider `%s`", kind->name);
    return -WISP_ERR_INTERNAL;
}

int wisp_provider_types_get(const struct wisp_provider_kind *kind, const struct wisp_provider_types **ret_types,
                            struct wisp_err *err)
{
    struct wisp_provider_types *types = all_types;
    while (types && types->kind != kind) types = types->next;
    if (!types) {
        types = wisp_mem_calloc(1, sizeof *types);
        types->kind = kind;
        int r = read_kind(types, err);
        if (r < 0) {
            wisp_arena_deinit(&types->arena);
            free(types);
            return r;
        }
        types->next = all_types;
        all_types = types;
    }
    *ret_types = types;
    return 0;
}

const struct wisp_provider_export *wisp_provider_find(const struct wisp_provider *provider, struct wisp_str interface,
                                                      struct wisp_str func)
{
    const struct wisp_provider_types *types = wisp_provider_instance_of(provider)->types;
    for (size_t i = 0; i < types->n_exports; i++) {
        const struct wisp_provider_export *export_ = &types->exports[i];
        if (wisp_str_is(func, export_->func->name) && wisp_str_is(interface, export_->interface->name)) return export_;
    }
    return NULL;
}
