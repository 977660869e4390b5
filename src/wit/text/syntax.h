/* SPDX-License-Identifier: Apache-2.0 */
/* WIT as it stands in files: names are not looked up yet. Everything lives in the document's arena. */
#pragma once

#include "wit/document.h"
#include "wit/text/lexer.h"

#include "base/map.h"

enum { WISP_WIT_DEPTH_MAX = 64 }; /* of types in types as they are written */

/* Where something stands. */
struct wisp_wit_place {
    const char *file;
    uint32_t line, column;
};

/* A type where it is used: "list<point>". */
struct wisp_wit_ref {
    struct wisp_wit_place place;
    struct wisp_str name;       /* "list", "point" */
    struct wisp_wit_ref **args; /* a NULL one is `_` */
    uint32_t n_args;
    bool is_plain; /* no builtin name: it was escaped */
};

/* A field, case, label or parameter. */
struct wisp_wit_member {
    struct wisp_str name;
    struct wisp_wit_ref *type; /* NULL: none */
};

/* "wasi:http/types@0.2.0", or a name of the same package. */
struct wisp_wit_path {
    struct wisp_wit_place place;
    struct wisp_str package; /* "wasi:http"; empty: one's own */
    struct wisp_str name, version;
};

enum wisp_wit_decl_kind {
    WISP_WIT_RECORD,
    WISP_WIT_VARIANT,
    WISP_WIT_ENUM,
    WISP_WIT_FLAGS,
    WISP_WIT_RESOURCE,
    WISP_WIT_ALIAS, /* type a = b */
    WISP_WIT_USE,   /* use path.{used as name} */
};

struct wisp_wit_decl {
    enum wisp_wit_decl_kind kind;
    struct wisp_wit_place place;
    struct wisp_str name, docs;
    struct wisp_wit_member *members;
    uint32_t n_members;
    struct wisp_wit_ref *of;          /* ALIAS */
    const struct wisp_wit_path *from; /* USE */
    struct wisp_str used;
    /* Filled by types.c. */
    enum { WISP_WIT_UNKNOWN, WISP_WIT_BEING_MADE, WISP_WIT_MADE } state;
    const struct wisp_type *type;
    struct wisp_resource *resource;
    const struct wisp_type_name *named;
    struct wisp_wit_decl *next;
};

struct wisp_wit_decl_func {
    struct wisp_wit_place place;
    struct wisp_str name, docs;
    struct wisp_wit_member *params;
    uint32_t n_params;
    struct wisp_wit_ref *result; /* NULL: none */
    struct wisp_wit_decl_func *next;
};

/* Of an interface, or of a world. */
struct wisp_wit_decl_scope {
    struct wisp_wit_decl_package *package;
    struct wisp_str name, docs;
    struct wisp_wit_place place;
    struct wisp_map types; /* to struct wisp_wit_decl */
    struct wisp_wit_decl *first, *last;
    struct wisp_wit_decl_func *funcs, *last_func;
    bool is_inline;
    struct wisp_wit_document_interface *made; /* by types.c */
    struct wisp_wit_decl_scope *next;         /* in the document */
};

struct wisp_wit_decl_port {
    bool is_export;
    struct wisp_wit_path path;             /* unless one of the others is there */
    struct wisp_wit_decl_scope *interface; /* an inline one */
    struct wisp_wit_decl_func *func;
    struct wisp_wit_decl_port *next;
};

struct wisp_wit_decl_world {
    struct wisp_wit_decl_scope scope;
    struct wisp_wit_decl_port *ports, *last_port;
    struct wisp_wit_decl_include {
        struct wisp_wit_path path;
        struct wisp_wit_rename {
            struct wisp_wit_place place;
            struct wisp_str from, to;
            struct wisp_wit_rename *next;
        } *renames; /* include path with { from as to } */
        struct wisp_wit_decl_include *next;
    } *includes;
    bool is_being_made;
    struct wisp_wit_decl_world *next;
};

struct wisp_wit_decl_package {
    struct wisp_str name, version;   /* "wasi:http", "0.2.0"; empty: not said yet */
    struct wisp_map interfaces;      /* to struct wisp_wit_decl_scope */
    struct wisp_map worlds, aliases; /* to struct wisp_wit_decl_world; to struct wisp_wit_path: top-level `use` */
    struct wisp_wit_decl_world *first_world, *last_world;
    struct wisp_wit_decl_package *next;
};

struct wisp_wit_document {
    struct wisp_arena arena;
    struct wisp_wit_decl_package *packages;
    struct wisp_wit_decl_scope *scopes;
    struct wisp_wit_decl_package *folders[WISP_WIT_FILES_MAX];
    uint32_t n_files, n_decls;
};

/* --- parse.c --- */
int wisp_wit_parse_file(struct wisp_wit_document *document, struct wisp_wit_decl_package *package, const char *file,
                        struct wisp_str text, struct wisp_err *err) __attribute__((warn_unused_result));
/* INVALID at a place. */
int wisp_wit_fail_at(const struct wisp_wit_place *place, struct wisp_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- document.c --- */

/* Adds it to the document; an existing one with that name and version is the same. */
struct wisp_wit_decl_package *wisp_wit_package_of(struct wisp_wit_document *document, struct wisp_str name,
                                                  struct wisp_str version);
void wisp_wit_scope_init(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                         struct wisp_wit_decl_package *package);
/* The interface or world that a path means, as seen from a package. */
int wisp_wit_find(struct wisp_wit_document *document, struct wisp_wit_decl_package *from,
                  const struct wisp_wit_path *path, struct wisp_wit_decl_scope **ret_interface,
                  struct wisp_wit_decl_world **ret_world, struct wisp_err *err) __attribute__((warn_unused_result));

/* --- types.c --- */

/* Makes an interface's types and functions, once. */
int wisp_wit_make_interface(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                            const struct wisp_wit_document_interface **ret_interface, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_wit_make_func(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                       const struct wisp_wit_decl_func *decl, struct wisp_wit_document_func *ret_func,
                       struct wisp_err *err) __attribute__((warn_unused_result));
