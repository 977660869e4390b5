/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of host interfaces, and how a component's imports are matched with it. */
#include "component/host.h"

#include "base/mem.h"
#include "component/host/host_signature.h"
#include "component/host/opaque.h"
#include "component/plan.h"

#include <stdio.h>
#include <stdlib.h>

struct func {
    const struct wisp_host_func *entry;
    const struct wisp_func_type *type;
};

struct interface {
    const struct wisp_host_interface *entry;
    struct wisp_str name, version;
    struct wisp_map funcs;           /* to struct func */
    struct wisp_resource *resources; /* entry->n_resources */
};

struct wisp_host {
    struct wisp_arena arena;
    struct interface *interfaces;
    size_t n_interfaces;
    const struct wisp_host_fallback *fallback;
};

/* --- reading the tables --- */

static struct wisp_resource *find_resource(const struct interface *interface, struct wisp_str name)
{
    for (size_t i = 0; i < interface->entry->n_resources; i++)
        if (wisp_str_equal(interface->resources[i].name, name)) return &interface->resources[i];
    return NULL;
}

static int add_resources(struct wisp_host *host, struct interface *interface, struct wisp_err *err)
{
    const struct wisp_host_interface *entry = interface->entry;
    struct wisp_resource *resources = WISP_NEW_ARRAY(&host->arena, struct wisp_resource, entry->n_resources);
    interface->resources = resources;
    for (size_t i = 0; i < entry->n_resources; i++) {
        struct wisp_str name = wisp_str_from(entry->resources[i].name);
        if (find_resource(interface, name))
            return wisp_err_set(err, WISP_ERR_INTERNAL, "resource `%.*s` is defined twice", WISP_STR_ARG(name));
        resources[i] = (struct wisp_resource){.name = name,
                                              .owner = interface->name,
                                              .is_imported = true,
                                              .host = &entry->resources[i],
                                              .destructor = -1};
    }
    return 0;
}

static bool is_same_package(const struct interface *a, const struct interface *b)
{
    size_t n = strcspn(a->entry->name, "/");
    return strncmp(a->entry->name, b->entry->name, n) == 0 && strcspn(b->entry->name, "/") == n;
}

/* `of`: only in its package; NULL: anywhere. */
static size_t count_resources(const struct wisp_host *host, const struct interface *of, struct wisp_str name)
{
    size_t n = 0;
    for (size_t i = 0; i < host->n_interfaces; i++)
        if (!of || is_same_package(of, &host->interfaces[i])) n += find_resource(&host->interfaces[i], name) != NULL;
    return n;
}

/* Those of other interfaces, of the package or of all, that can't be mistaken. */
static void list_others(const struct wisp_host *host, const struct interface *user, bool is_package,
                        struct wisp_map *ret_resources)
{
    const struct interface *of = is_package ? user : NULL;
    for (const struct interface *other = host->interfaces; other < host->interfaces + host->n_interfaces; other++) {
        if (of && !is_same_package(of, other)) continue;
        for (size_t i = 0; i < other->entry->n_resources; i++)
            if (count_resources(host, of, other->resources[i].name) == 1)
                wisp_map_add(ret_resources, other->resources[i].name, &other->resources[i]);
    }
}

/* What names of resources mean in the signatures of one interface. */
static void list_resources(const struct wisp_host *host, const struct interface *user, struct wisp_map *ret_resources)
{
    for (size_t i = 0; i < user->entry->n_resources; i++)
        wisp_map_add(ret_resources, user->resources[i].name, &user->resources[i]);
    list_others(host, user, true, ret_resources);
    list_others(host, user, false, ret_resources);
}

static int check_sizes(const struct wisp_host_func *entry, const struct wisp_func_type *type, struct wisp_err *err)
{
    uint32_t result_size = type->result ? type->result->native_size : 0;
    if (entry->args_size != type->native_params_size)
        return wisp_err_set(err, WISP_ERR_INTERNAL, "the C struct of the arguments has %u bytes, `%s` needs %u",
                            entry->args_size, entry->signature, type->native_params_size);
    if (entry->result_size != result_size)
        return wisp_err_set(err, WISP_ERR_INTERNAL, "the C struct of the result has %u bytes, `%s` needs %u",
                            entry->result_size, entry->signature, result_size);
    return 0;
}

static int refuse_streams(const struct wisp_func_type *type, struct wisp_err *err)
{
    if (!type->has_streams) return 0;
    return wisp_err_set(err, WISP_ERR_INTERNAL, "guests of Preview 2 can't be given streams or futures");
}

static int add_func(struct wisp_host *host, struct interface *interface, const struct wisp_signature_names *names,
                    const struct wisp_host_func *entry, struct wisp_err *err)
{
    struct func *func = WISP_NEW(&host->arena, struct func);
    func->entry = entry;
    int r = wisp_signature_parse(names, wisp_str_from(entry->signature), &func->type, err);
    if (r == 0) r = refuse_streams(func->type, err);
    if (r < 0) return wisp_err_wrap(err, "signature `%s`", entry->signature);
    if ((r = check_sizes(entry, func->type, err)) < 0) return r;
    if (!wisp_map_add(&interface->funcs, wisp_str_from(entry->name), func))
        return wisp_err_set(err, WISP_ERR_INTERNAL, "defined twice");
    return 0;
}

static int add_funcs(struct wisp_host *host, struct interface *interface, struct wisp_signature_names *names,
                     struct wisp_err *err)
{
    for (const char *const *line = interface->entry->types; line && *line; line++)
        if (wisp_signature_define(names, wisp_str_from(*line), err) < 0) return wisp_err_wrap(err, "type `%s`", *line);
    for (size_t i = 0; i < interface->entry->n_funcs; i++)
        if (add_func(host, interface, names, &interface->entry->funcs[i], err) < 0)
            return wisp_err_wrap(err, "function `%s`", interface->entry->funcs[i].name);
    return 0;
}

static int check_unique(const struct wisp_host *host, const struct interface *interface, struct wisp_err *err)
{
    for (const struct interface *other = host->interfaces; other < interface; other++)
        if (wisp_str_equal(other->name, interface->name) && wisp_str_equal(other->version, interface->version))
            return wisp_err_set(err, WISP_ERR_INTERNAL, "registered twice");
    return 0;
}

static int read_interface(struct wisp_host *host, struct interface *interface, struct wisp_err *err)
{
    WISP_CLEANUP_MAP struct wisp_map resources = {0};
    list_resources(host, interface, &resources);
    struct wisp_signature_names names = {.arena = &host->arena, .resources = &resources};
    int r = add_funcs(host, interface, &names, err);
    wisp_map_deinit(&names.types);
    if (r == 0) return 0;
    /* Whatever is wrong with a table, it is our table. */
    err->kind = WISP_ERR_INTERNAL;
    return wisp_err_wrap(err, "host interface `%s`", interface->entry->name);
}

static int read_tables(struct wisp_host *host, const struct wisp_host_interface *const *interfaces, size_t n,
                       struct wisp_err *err)
{
    host->interfaces = WISP_NEW_ARRAY(&host->arena, struct interface, n);
    host->n_interfaces = n;
    /* All resources first: signatures name those of other interfaces too. */
    for (size_t i = 0; i < n; i++) {
        host->interfaces[i].entry = interfaces[i];
        host->interfaces[i].name = wisp_str_from(interfaces[i]->name);
        host->interfaces[i].version = wisp_str_from(interfaces[i]->version);
        int r = check_unique(host, &host->interfaces[i], err);
        if (r == 0) r = add_resources(host, &host->interfaces[i], err);
        if (r < 0) return wisp_err_wrap(err, "host interface `%s`", interfaces[i]->name);
    }
    for (size_t i = 0; i < n; i++) {
        int r = read_interface(host, &host->interfaces[i], err);
        if (r < 0) return r;
    }
    return 0;
}

int wisp_host_new(struct wisp_host **ret_host, const struct wisp_host_interface *const *interfaces, size_t n,
                  struct wisp_err *err)
{
    struct wisp_err local;
    struct wisp_host *host = wisp_mem_calloc(1, sizeof *host);
    int r = read_tables(host, interfaces, n, err ? err : &local);
    if (r < 0)
        wisp_host_free(host);
    else
        *ret_host = host;
    return r;
}

void wisp_host_free(struct wisp_host *host)
{
    if (!host) return;
    for (size_t i = 0; i < host->n_interfaces; i++) wisp_map_deinit(&host->interfaces[i].funcs);
    wisp_arena_deinit(&host->arena);
    free(host);
}

void wisp_host_freep(struct wisp_host **host) { wisp_host_free(*host); }

void wisp_host_set_fallback(struct wisp_host *host, const struct wisp_host_fallback *fallback)
{
    host->fallback = fallback;
}

const struct wisp_host_fallback *wisp_host_get_fallback(const struct wisp_host *host) { return host->fallback; }

/* --- comparing types --- */

/* The innermost pair that differs. */
struct difference {
    const struct wisp_type *want, *have; /* NULL: nothing there */
};

static bool same_shape(const struct wisp_type *want, const struct wisp_type *have, struct difference *difference);

static bool same_parts(const struct wisp_type *want, const struct wisp_type *have, struct difference *difference)
{
    switch (want->kind) {
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
        return want->resource->host == have->resource->host;
    case WISP_TYPE_LIST:
        return same_shape(want->element, have->element, difference);
    default:
        break;
    }
    for (uint32_t i = 0; i < want->n_fields; i++)
        if (!same_shape(want->fields[i].type, have->fields[i].type, difference)) return false;
    return true;
}

/* Host signatures are positional, so names of fields and cases don't count. */
static bool same_shape(const struct wisp_type *want, const struct wisp_type *have, struct difference *difference)
{
    if (want == have) return true;
    bool comparable = want && have && want->kind == have->kind && want->n_fields == have->n_fields;
    if (comparable && same_parts(want, have, difference)) return true;
    if (!difference->want && !difference->have) *difference = (struct difference){want, have};
    return false;
}

static void write_signature(struct wisp_buf *buf, struct wisp_arena *arena, const struct wisp_func_type *type)
{
    wisp_buf_append_char(buf, '(');
    for (uint32_t i = 0; i < type->n_params; i++)
        wisp_buf_printf(buf, "%s%s", i ? ", " : "", wisp_type_text(arena, type->params[i].type));
    wisp_buf_append_char(buf, ')');
    if (type->result) wisp_buf_printf(buf, " -> %s", wisp_type_text(arena, type->result));
}

static int refuse_type(const struct wisp_func_type *want, const struct func *have, const char *where,
                       const struct difference *difference, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    write_signature(&text, &arena, want);
    const char *want_part = difference->want ? wisp_type_text(&arena, difference->want) : "nothing";
    const char *have_part = difference->have ? wisp_type_text(&arena, difference->have) : "nothing";
    return wisp_err_set(err, WISP_ERR_INVALID,
                        "types differ in %s: the component has `%s`, this host `%s`. Component: `%.*s`, host: `%s`",
                        where, want_part, have_part, WISP_STR_ARG(wisp_buf_str(&text)), have->entry->signature);
}

static int check_type(const struct wisp_func_type *want, const struct func *have, struct wisp_err *err)
{
    struct difference difference = {0};
    if (want->n_params != have->type->n_params)
        return refuse_type(want, have, "the number of parameters", &difference, err);
    for (uint32_t i = 0; i < want->n_params; i++) {
        char where[32];
        snprintf(where, sizeof where, "parameter %u", i + 1);
        if (!same_shape(want->params[i].type, have->type->params[i].type, &difference))
            return refuse_type(want, have, where, &difference, err);
    }
    if (!same_shape(want->result, have->type->result, &difference))
        return refuse_type(want, have, "the result", &difference, err);
    return 0;
}

/* --- finding what is imported --- */

static const struct interface *find_interface(const struct wisp_host *host, struct wisp_str want)
{
    for (size_t i = 0; i < host->n_interfaces; i++)
        if (wisp_version_matches(want, host->interfaces[i].name, host->interfaces[i].version))
            return &host->interfaces[i];
    return NULL;
}

static void append_word(struct wisp_buf *list, struct wisp_str word)
{
    if (list->len) wisp_buf_append(list, ", ", 2);
    wisp_buf_append_str(list, word);
}

static int refuse_interface(const struct wisp_host *host, struct wisp_str want, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf versions = {0}, neighbours = {0};
    struct wisp_str name = want, version, package, rest;
    (void)wisp_str_split(want, '@', &name, &version);
    bool has_package = wisp_str_split(name, '/', &package, &rest);
    for (size_t i = 0; i < host->n_interfaces; i++) {
        const struct interface *have = &host->interfaces[i];
        if (wisp_str_equal(have->name, name)) append_word(&versions, have->version);
        if (has_package && wisp_str_starts_with(have->name, package) && have->name.ptr[package.len] == '/')
            append_word(&neighbours, have->name);
    }
    if (versions.len)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "this host has `%.*s` in another version: %.*s",
                            WISP_STR_ARG(name), WISP_STR_ARG(wisp_buf_str(&versions)));
    if (neighbours.len)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "this host does not have it; of that package it has %.*s",
                            WISP_STR_ARG(wisp_buf_str(&neighbours)));
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "this host has nothing of that package");
}

static int refuse_func(const struct interface *interface, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf names = {0};
    for (size_t i = 0; i < interface->entry->n_funcs; i++)
        append_word(&names, wisp_str_from(interface->entry->funcs[i].name));
    return wisp_err_set(err, WISP_ERR_NOT_FOUND,
                        "this host's version %.*s of the interface does not have it, but: %.*s",
                        WISP_STR_ARG(interface->version), WISP_STR_ARG(wisp_buf_str(&names)));
}

static int refuse_root(struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "it is imported outside of any interface, this host has only those");
}

/* An interface that a table has is never the fallback's, not even in a version that the table doesn't satisfy. */
static bool falls_back(const struct wisp_host *host, struct wisp_str want)
{
    if (!host->fallback) return false;
    struct wisp_str name = want, version;
    (void)wisp_str_split(want, '@', &name, &version);
    for (size_t i = 0; i < host->n_interfaces; i++)
        if (wisp_str_equal(host->interfaces[i].name, name)) return false;
    return host->fallback->accepts(want, host->fallback->env);
}

static int refuse_resource(const struct wisp_host *host, struct wisp_str name, struct wisp_err *err)
{
    for (size_t i = 0; i < host->n_interfaces; i++)
        if (find_resource(&host->interfaces[i], name))
            return wisp_err_set(err, WISP_ERR_INVALID, "in this host the resource belongs to `%.*s`",
                                WISP_STR_ARG(host->interfaces[i].name));
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "this host has no such resource");
}

static int bind_resource(const struct wisp_host *host, struct wisp_resource *resource, struct wisp_err *err)
{
    if (falls_back(host, resource->owner)) {
        resource->host = &wisp_opaque_resource;
        return 0;
    }
    const struct interface *interface = find_interface(host, resource->owner);
    const struct wisp_resource *have = interface ? find_resource(interface, resource->name) : NULL;
    if (have) {
        resource->host = have->host;
        return 0;
    }
    int r;
    if (!resource->owner.len)
        r = refuse_root(err);
    else if (!interface)
        r = refuse_interface(host, resource->owner, err);
    else
        r = refuse_resource(host, resource->name, err);
    (void)wisp_err_wrap(err, "import of resource `%.*s` of `%.*s`", WISP_STR_ARG(resource->name),
                        WISP_STR_ARG(resource->owner));
    return r;
}

/* Handles of what lives elsewhere can go there; ours mean nothing to others. */
static void find_own_resource(const struct wisp_type *type, const struct wisp_resource **ret_resource)
{
    if (!type || !type->has_handles || *ret_resource) return;
    if (type->resource) {
        if (!wisp_opaque_is(type)) *ret_resource = type->resource;
        return;
    }
    find_own_resource(type->element, ret_resource);
    for (uint32_t i = 0; i < type->n_fields; i++) find_own_resource(type->fields[i].type, ret_resource);
}

static int check_handles(const char *where, const struct wisp_type *type, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_resource *resource = NULL;
    find_own_resource(type, &resource);
    if (!resource) return 0;
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                        "handles of `%.*s`, a resource of %s, can't be passed to other components or providers; %s has "
                        "one: `%s`",
                        WISP_STR_ARG(resource->name), resource->host ? "this host" : "the component itself", where,
                        wisp_type_text(&arena, type));
}

static int check_fallback(const struct wisp_func_type *type, struct wisp_err *err)
{
    for (uint32_t i = 0; i < type->n_params; i++) {
        char where[32];
        snprintf(where, sizeof where, "parameter %u", i + 1);
        int r = check_handles(where, type->params[i].type, err);
        if (r < 0) return r;
    }
    return check_handles("the result", type->result, err);
}

static int bind_func(const struct wisp_host *host, const struct wisp_import_func *import,
                     const struct wisp_host_func **ret_func, struct wisp_err *err)
{
    if (falls_back(host, import->interface)) {
        *ret_func = NULL;
        return check_fallback(import->type, err);
    }
    if (!import->interface.len) return refuse_root(err);
    const struct interface *interface = find_interface(host, import->interface);
    if (!interface) return refuse_interface(host, import->interface, err);
    const struct func *func = wisp_map_get(&interface->funcs, import->name);
    if (!func) return refuse_func(interface, err);
    *ret_func = func->entry;
    return check_type(import->type, func, err);
}

int wisp_host_bind(const struct wisp_host *host, struct wisp_component *component,
                   const struct wisp_host_func **ret_funcs, struct wisp_err *err)
{
    for (uint32_t i = 0; i < component->n_resources; i++) {
        if (!component->resources[i]->is_imported) continue;
        int r = bind_resource(host, component->resources[i], err);
        if (r < 0) return r;
    }
    for (uint32_t i = 0; i < component->n_import_funcs; i++) {
        const struct wisp_import_func *import = &component->import_funcs[i];
        int r = bind_func(host, import, &ret_funcs[i], err);
        if (r == 0) continue;
        (void)wisp_err_wrap(err, "import of function `%.*s` of `%.*s`", WISP_STR_ARG(import->name),
                            WISP_STR_ARG(import->interface));
        return r;
    }
    return 0;
}
