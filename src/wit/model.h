/* SPDX-License-Identifier: Apache-2.0 */
/* A component's world put in the order of a WIT document: packages of interfaces, types and functions in scopes, and
 * for each type the name by which each scope knows it.
 *
 * In the binary a type has one identity per name that an import or export gave it (struct wisp_type_name), chained to
 * the one it is equal to. A scope that declares an identity calls the type by that name; a chain that leads to another
 * interface becomes a `use`. */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "component/plan.h"
#include "wit/name.h"

struct wisp_wit_scope;

struct wisp_wit_func {
    struct wisp_wit_func_name name;
    const struct wisp_func_type *type;
    struct wisp_wit_func *next;
};

struct wisp_wit_funcs {
    struct wisp_wit_func *first, *last;
};

/* A type that a scope has a name for. */
struct wisp_wit_type {
    struct wisp_str name;
    const struct wisp_item *item; /* what it is */
    struct wisp_wit_scope *scope;
    const struct wisp_wit_type *origin; /* the type it is another name of, set by the plan of its scope; NULL: none */
    struct wisp_wit_funcs funcs;        /* of a resource */
    struct wisp_wit_type *next;
};

/* One name in "use other.{name as local}". */
struct wisp_wit_used {
    struct wisp_str name, local;
    struct wisp_wit_used *next;
};

/* Neighbours from one other scope: a `use` line. */
struct wisp_wit_use {
    const struct wisp_wit_scope *from;
    struct wisp_wit_used *first, *last;
    struct wisp_wit_use *next;
};

/* An interface, inline or in a package, or the world itself. */
struct wisp_wit_scope {
    struct wisp_str name;
    struct wisp_wit_package *package; /* NULL: nothing outside can use its types */
    struct wisp_wit_type *types, *last_type;
    struct wisp_wit_funcs funcs;
    struct wisp_wit_use *uses, *last_use;
    unsigned n_renamed;                           /* used types whose own name was taken: makes the next name */
    struct wisp_map types_by_name, funcs_by_name; /* label, name in the binary */
    struct wisp_map identities;                   /* struct wisp_type_name and struct wisp_resource, to its types */
    struct wisp_wit_scope *next;                  /* in the package */
    struct wisp_wit_scope *next_made;             /* in the model */
};

struct wisp_wit_package {
    struct wisp_str name, version; /* "wasi:http", "0.2.2" */
    struct wisp_wit_scope *first, *last;
    struct wisp_wit_package *next;
};

/* An interface that the world imports or exports. */
struct wisp_wit_port {
    struct wisp_str name; /* of an inline interface */
    struct wisp_wit_scope *scope;
    struct wisp_wit_port *next;
};

struct wisp_wit_ports {
    struct wisp_wit_port *first, *last;
};

/* Zeroed is a valid empty model. */
struct wisp_wit_model {
    struct wisp_arena arena;
    struct wisp_wit_package root;  /* "root:component" */
    struct wisp_wit_scope *world;  /* its types and its imported functions */
    struct wisp_wit_funcs exports; /* functions */
    struct wisp_wit_ports imported, exported;
    struct wisp_wit_package *packages, *last_package; /* all but root */
    struct wisp_map packages_by_name, scopes_by_name; /* "wasi:http@0.2.2", "wasi:http/types@0.2.2" */
    struct wisp_map identities;                       /* as in a scope; the first one that declared it */
    struct wisp_wit_scope *made;
};

void wisp_wit_model_deinit(struct wisp_wit_model *model);
#define WISP_WIT_CLEANUP_MODEL __attribute__((cleanup(wisp_wit_model_deinit)))

/* Fills an empty model; everything in it borrows from the component. */
int wisp_wit_model_build(struct wisp_wit_model *model, const struct wisp_component *component, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- who a type is (resolve.c) --- */

/* Makes a scope's types known by `identity`, unless it knows it already. */
void wisp_wit_identify(struct wisp_arena *arena, struct wisp_map *identities, const void *identity,
                       struct wisp_wit_type *type);

/* Finds the origin of each of the scope's types, and from them what it uses. Once per scope, before referring. */
int wisp_wit_plan_scope(struct wisp_wit_model *model, struct wisp_wit_scope *scope, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* How `scope` calls a named type, or the resource of a handle. A type that it has no name for, but another interface
 * has, is added to what it uses. NULL when no scope within reach has a name for it. */
const struct wisp_wit_type *wisp_wit_refer(struct wisp_wit_model *model, struct wisp_wit_scope *scope,
                                           const struct wisp_type *type);
const struct wisp_wit_type *wisp_wit_refer_resource(struct wisp_wit_model *model, struct wisp_wit_scope *scope,
                                                    const struct wisp_resource *resource);
