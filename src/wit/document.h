/* SPDX-License-Identifier: Apache-2.0 */
/* WIT text read (Component Model, WIT.md): packages of interfaces and worlds, with their types made.
 *
 *     struct wisp_wit_document *document = wisp_wit_document_new();
 *     wisp_wit_document_add(document, package, "wit/world.wit", text, &err);    // every file, then
 *     wisp_wit_document_world(document, package, WISP_STR(""), &world, &err);   // as often as wanted
 *
 * What is behind `@unstable` does not exist. Texts may be hostile: sizes, counts and depths are bounded. Errors say
 * "FILE:LINE:COLUMN: ...". No I/O; one thread. */
#pragma once

#include "base/mem.h"
#include "component/types.h"

enum {
    WISP_WIT_SOURCE_MAX = 4 << 20,   /* bytes of one file */
    WISP_WIT_FILES_MAX = 1024,       /* of a document */
    WISP_WIT_DECLS_MAX = 1 << 16,    /* types, functions, interfaces and worlds of a document */
    WISP_WIT_INCLUDES_MAX = 1 << 12, /* entries of a world */
};

struct wisp_wit_document;
struct wisp_wit_document *wisp_wit_document_new(void) __attribute__((returns_nonnull));
/* With all types and texts it gave out. NULL is fine. */
void wisp_wit_document_free(struct wisp_wit_document *document);
void wisp_wit_document_freep(struct wisp_wit_document **document);
#define WISP_CLEANUP_WIT_DOCUMENT __attribute__((cleanup(wisp_wit_document_freep)))

/* Files of one directory are parts of one package, whose name at least one of them says: `folder` is any number that
 * they have in common. The text is copied. INVALID, LIMIT. */
int wisp_wit_document_add(struct wisp_wit_document *document, uint32_t folder, const char *file, struct wisp_str text,
                          struct wisp_err *err) __attribute__((warn_unused_result));

/* A named type of an interface. Resources have no type but handles to them. */
struct wisp_wit_document_type {
    struct wisp_str name, docs;
    const struct wisp_type *type; /* NULL: a resource */
    struct wisp_resource *resource;
    bool is_used; /* from another interface, by `use` */
};

struct wisp_wit_document_func {
    struct wisp_str name; /* as in a component: "get", "[method]bucket.get" */
    struct wisp_str docs;
    const struct wisp_func_type *type;
};

struct wisp_wit_document_interface {
    struct wisp_str id;   /* "wasi:keyvalue/store@0.2.0"; of an inline one its name */
    struct wisp_str name; /* "store" */
    struct wisp_str docs;
    const struct wisp_wit_document_type *types; /* in an order in which each uses earlier ones only */
    uint32_t n_types;
    const struct wisp_wit_document_func *funcs;
    uint32_t n_funcs;
};

struct wisp_wit_document_world {
    struct wisp_str id, name; /* "acme:hello/provider@0.1.0", "provider" */
    const struct wisp_wit_document_interface *const *imports, *const *exports;
    uint32_t n_imports, n_exports;
    const struct wisp_wit_document_func *import_funcs, *export_funcs; /* of the world itself */
    uint32_t n_import_funcs, n_export_funcs;
};

/* A world of that folder's package by its name; empty: the only one. NOT_FOUND lists those there are; INVALID for
 * names that mean nothing and types that contain themselves; UNSUPPORTED. Valid as long as the document. */
int wisp_wit_document_world(struct wisp_wit_document *document, uint32_t folder, struct wisp_str name,
                            const struct wisp_wit_document_world **ret_world, struct wisp_err *err)
    __attribute__((warn_unused_result));
