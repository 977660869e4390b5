/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/document.h"

#include "component/array.h"
#include "wit/text/syntax.h"

#include <stdlib.h>

struct wisp_wit_document *wisp_wit_document_new(void) { return wisp_mem_calloc(1, sizeof(struct wisp_wit_document)); }

void wisp_wit_document_free(struct wisp_wit_document *document)
{
    if (!document) return;
    for (struct wisp_wit_decl_scope *scope = document->scopes; scope; scope = scope->next)
        wisp_map_deinit(&scope->types);
    for (struct wisp_wit_decl_package *package = document->packages; package; package = package->next) {
        wisp_map_deinit(&package->interfaces);
        wisp_map_deinit(&package->worlds);
        wisp_map_deinit(&package->aliases);
    }
    wisp_arena_deinit(&document->arena);
    free(document);
}

void wisp_wit_document_freep(struct wisp_wit_document **document) { wisp_wit_document_free(*document); }

void wisp_wit_scope_init(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                         struct wisp_wit_decl_package *package)
{
    scope->package = package;
    scope->next = document->scopes;
    document->scopes = scope;
}

static struct wisp_wit_decl_package *new_package(struct wisp_wit_document *document)
{
    struct wisp_wit_decl_package *package = WISP_NEW(&document->arena, struct wisp_wit_decl_package);
    package->next = document->packages;
    document->packages = package;
    return package;
}

static struct wisp_wit_decl_package *find_package(struct wisp_wit_document *document, struct wisp_str name,
                                                  struct wisp_str version)
{
    for (struct wisp_wit_decl_package *package = document->packages; package; package = package->next)
        if (wisp_str_equal(package->name, name) && wisp_str_equal(package->version, version)) return package;
    return NULL;
}

struct wisp_wit_decl_package *wisp_wit_package_of(struct wisp_wit_document *document, struct wisp_str name,
                                                  struct wisp_str version)
{
    struct wisp_wit_decl_package *package = find_package(document, name, version);
    if (package) return package;
    package = new_package(document);
    package->name = name;
    package->version = version;
    return package;
}

int wisp_wit_document_add(struct wisp_wit_document *document, uint32_t folder, const char *file, struct wisp_str text,
                          struct wisp_err *err)
{
    if (text.len > WISP_WIT_SOURCE_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%s: larger than %d bytes", file, WISP_WIT_SOURCE_MAX);
    if (document->n_files++ == WISP_WIT_FILES_MAX || folder >= WISP_WIT_FILES_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%s: more than %d files", file, WISP_WIT_FILES_MAX);
    if (!document->folders[folder]) document->folders[folder] = new_package(document);
    return wisp_wit_parse_file(document, document->folders[folder],
                               wisp_arena_cstr(&document->arena, wisp_str_from(file)),
                               wisp_arena_str(&document->arena, text), err);
}

/* --- what paths mean --- */

int wisp_wit_find(struct wisp_wit_document *document, struct wisp_wit_decl_package *from,
                  const struct wisp_wit_path *path, struct wisp_wit_decl_scope **ret_interface,
                  struct wisp_wit_decl_world **ret_world, struct wisp_err *err)
{
    struct wisp_wit_decl_package *package = from;
    const struct wisp_wit_path *alias = path->package.len ? NULL : wisp_map_get(&from->aliases, path->name);
    if (alias) path = alias;
    if (path->package.len) package = find_package(document, path->package, path->version);
    if (!package)
        return wisp_wit_fail_at(&path->place, err, "there is no package `%.*s%s%.*s` among the files",
                                WISP_STR_ARG(path->package), path->version.len ? "@" : "", WISP_STR_ARG(path->version));
    *ret_interface = wisp_map_get(&package->interfaces, path->name);
    *ret_world = wisp_map_get(&package->worlds, path->name);
    if (*ret_interface || *ret_world) return 0;
    return wisp_wit_fail_at(&path->place, err, "there is no interface or world `%.*s`", WISP_STR_ARG(path->name));
}

/* --- worlds --- */

/* Lists of a world that is being put together. */
struct gathered {
    struct wisp_wit_document *document;
    const struct wisp_wit_document_interface **interfaces[2]; /* imports, exports */
    struct wisp_wit_document_func *funcs[2];
    uint32_t n_interfaces[2], interface_capacity[2], n_funcs[2], func_capacity[2], n;
    struct wisp_err *err;
};

static int add_interface(struct gathered *g, bool is_export, struct wisp_wit_decl_scope *scope)
{
    const struct wisp_wit_document_interface *interface;
    int r = wisp_wit_make_interface(g->document, scope, &interface, g->err);
    if (r < 0) return r;
    for (uint32_t i = 0; i < g->n_interfaces[is_export]; i++)
        if (wisp_str_equal(g->interfaces[is_export][i]->id, interface->id)) return 0;
    *WISP_PUSH(&g->document->arena, g->interfaces[is_export], g->n_interfaces[is_export],
               g->interface_capacity[is_export]) = interface;
    return 0;
}

static int add_port(struct gathered *g, struct wisp_wit_decl_world *world, const struct wisp_wit_decl_port *port)
{
    if (++g->n > WISP_WIT_INCLUDES_MAX)
        return wisp_err_set(g->err, WISP_ERR_LIMIT, "world `%.*s` has more than %d imports and exports",
                            WISP_STR_ARG(world->scope.name), WISP_WIT_INCLUDES_MAX);
    if (port->interface) return add_interface(g, port->is_export, port->interface);
    if (port->func)
        return wisp_wit_make_func(g->document, &world->scope, port->func,
                                  WISP_PUSH(&g->document->arena, g->funcs[port->is_export], g->n_funcs[port->is_export],
                                            g->func_capacity[port->is_export]),
                                  g->err);
    struct wisp_wit_decl_scope *scope;
    struct wisp_wit_decl_world *other;
    int r = wisp_wit_find(g->document, world->scope.package, &port->path, &scope, &other, g->err);
    if (r < 0) return r;
    if (!scope) return wisp_wit_fail_at(&port->path.place, g->err, "`%.*s` is a world", WISP_STR_ARG(port->path.name));
    return add_interface(g, port->is_export, scope);
}

/* Names of what an include has added, which is all behind `from`. */
static int apply_rename(struct gathered *g, const struct wisp_wit_rename *rename, const uint32_t from[static 4])
{
    bool is_found = false;
    for (int exports = 0; exports < 2; exports++) {
        for (uint32_t i = from[exports]; i < g->n_interfaces[exports]; i++) {
            if (!wisp_str_equal(g->interfaces[exports][i]->id, rename->from)) continue;
            struct wisp_wit_document_interface *copy =
                WISP_NEW(&g->document->arena, struct wisp_wit_document_interface);
            *copy = *g->interfaces[exports][i];
            copy->id = copy->name = rename->to;
            g->interfaces[exports][i] = copy;
            is_found = true;
        }
        for (uint32_t i = from[2 + exports]; i < g->n_funcs[exports]; i++) {
            if (!wisp_str_equal(g->funcs[exports][i].name, rename->from)) continue;
            g->funcs[exports][i].name = rename->to;
            is_found = true;
        }
    }
    if (is_found) return 0;
    return wisp_wit_fail_at(&rename->place, g->err, "the world has no import or export `%.*s`",
                            WISP_STR_ARG(rename->from));
}

static int add_world(struct gathered *g, struct wisp_wit_decl_world *world);

static int add_include(struct gathered *g, struct wisp_wit_decl_world *world,
                       const struct wisp_wit_decl_include *include)
{
    struct wisp_wit_decl_scope *scope;
    struct wisp_wit_decl_world *other;
    int r = wisp_wit_find(g->document, world->scope.package, &include->path, &scope, &other, g->err);
    if (r < 0) return r;
    if (!other)
        return wisp_wit_fail_at(&include->path.place, g->err, "`%.*s` is no world", WISP_STR_ARG(include->path.name));
    if (other->is_being_made) return wisp_wit_fail_at(&include->path.place, g->err, "the world includes itself");
    const uint32_t from[] = {g->n_interfaces[0], g->n_interfaces[1], g->n_funcs[0], g->n_funcs[1]};
    r = add_world(g, other);
    for (const struct wisp_wit_rename *rename = include->renames; r == 0 && rename; rename = rename->next)
        r = apply_rename(g, rename, from);
    return r;
}

static int add_world(struct gathered *g, struct wisp_wit_decl_world *world)
{
    if (++g->n > WISP_WIT_INCLUDES_MAX) return wisp_err_set(g->err, WISP_ERR_LIMIT, "too many worlds are included");
    world->is_being_made = true;
    int r = 0;
    for (const struct wisp_wit_decl_include *include = world->includes; r == 0 && include; include = include->next)
        r = add_include(g, world, include);
    for (const struct wisp_wit_decl_port *port = world->ports; r == 0 && port; port = port->next)
        r = add_port(g, world, port);
    world->is_being_made = false;
    return r;
}

static int pick(struct wisp_wit_decl_package *package, struct wisp_str name, struct wisp_wit_decl_world **ret_world,
                struct wisp_err *err)
{
    struct wisp_wit_decl_world *only = package ? package->first_world : NULL;
    *ret_world = name.len && package ? wisp_map_get(&package->worlds, name) : only && !only->next ? only : NULL;
    if (*ret_world) return 0;
    if (!only) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "the package has no world");
    WISP_CLEANUP_BUF struct wisp_buf names = {0};
    for (const struct wisp_wit_decl_world *world = only; world; world = world->next)
        wisp_buf_printf(&names, "%s`%.*s`", names.len ? ", " : "", WISP_STR_ARG(world->scope.name));
    if (!name.len)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "the package has several worlds, say which: %.*s",
                            WISP_STR_ARG(wisp_buf_str(&names)));
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no world `%.*s`, but %.*s", WISP_STR_ARG(name),
                        WISP_STR_ARG(wisp_buf_str(&names)));
}

int wisp_wit_document_world(struct wisp_wit_document *document, uint32_t folder, struct wisp_str name,
                            const struct wisp_wit_document_world **ret_world, struct wisp_err *err)
{
    struct wisp_wit_decl_package *package = folder < WISP_WIT_FILES_MAX ? document->folders[folder] : NULL;
    struct wisp_wit_decl_world *world;
    if (package && !package->name.len)
        return wisp_err_set(err, WISP_ERR_INVALID,
                            "no file says the package's name, as in `package acme:hello@0.1.0;`");
    int r = pick(package, name, &world, err);
    if (r < 0) return r;
    struct gathered g = {.document = document, .err = err};
    if ((r = add_world(&g, world)) < 0) return r;
    struct wisp_wit_document_world *made = WISP_NEW(&document->arena, struct wisp_wit_document_world);
    *made = (struct wisp_wit_document_world){
        .id = wisp_str_from(wisp_arena_printf(&document->arena, "%.*s/%.*s%s%.*s", WISP_STR_ARG(package->name),
                                              WISP_STR_ARG(world->scope.name), package->version.len ? "@" : "",
                                              WISP_STR_ARG(package->version))),
        .name = world->scope.name,
        .imports = g.interfaces[0],
        .exports = g.interfaces[1],
        .n_imports = g.n_interfaces[0],
        .n_exports = g.n_interfaces[1],
        .import_funcs = g.funcs[0],
        .export_funcs = g.funcs[1],
        .n_import_funcs = g.n_funcs[0],
        .n_export_funcs = g.n_funcs[1],
    };
    *ret_world = made;
    return 0;
}
