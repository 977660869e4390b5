/* SPDX-License-Identifier: Apache-2.0 */
/* The component binary format as a tree of definitions (Component Model, Binary.md; layer 1, version 0x0d).
 *
 * Decoding checks everything that a definition shows by itself: framing, numbers, UTF-8, names, counts, nesting. What
 * needs the index spaces (that an index exists and means the right sort, that types fit) is link's. Types and built-ins
 * of Preview 3, values and start functions are UNSUPPORTED as soon as they are met. Names borrow from the binary. */
#pragma once

#include "component/decode/core_module.h"
#include "component/plan.h"

/* Index spaces. The first five are those of enum wisp_core_sort. */
enum wisp_sort {
    WISP_SORT_CORE_FUNC,
    WISP_SORT_CORE_TABLE,
    WISP_SORT_CORE_MEMORY,
    WISP_SORT_CORE_GLOBAL,
    WISP_SORT_CORE_TAG,
    WISP_SORT_CORE_TYPE,
    WISP_SORT_CORE_MODULE,
    WISP_SORT_CORE_INSTANCE,
    WISP_SORT_FUNC,
    WISP_SORT_TYPE,
    WISP_SORT_COMPONENT,
    WISP_SORT_INSTANCE,
    WISP_SORT_COUNT
};
/* "core module", "func", ... */
const char *wisp_sort_name(enum wisp_sort sort);

/* --- names (decode_name.c) --- */

enum wisp_name_kind {
    WISP_NAME_LABEL,
    WISP_NAME_CONSTRUCTOR, /* [constructor]resource */
    WISP_NAME_METHOD,      /* [method]resource.label */
    WISP_NAME_STATIC,      /* [static]resource.label */
    WISP_NAME_INTERFACE,   /* ns:package/interface@version */
};

/* Name of an import or export of a component, instance, or type of these. */
struct wisp_extern_name {
    struct wisp_str text;
    enum wisp_name_kind kind;
    struct wisp_str resource, label; /* CONSTRUCTOR, METHOD, STATIC */
    bool has_implements;             /* only instances may have that attribute */
};

bool wisp_name_is_label(struct wisp_str text);
/* False when the text is no name of this kind of place. */
bool wisp_name_parse(struct wisp_str text, struct wisp_extern_name *ret_name);
bool wisp_name_is_semver(struct wisp_str text);
/* What two names must not share in one scope: lower case, annotations other than [constructor] removed. */
struct wisp_str wisp_name_canonical(struct wisp_arena *arena, const struct wisp_extern_name *name);

/* --- tree --- */

/* A value type where it is used: primitive, or an index into the type space. */
struct wisp_ast_valtype {
    bool is_present, is_index;
    uint32_t index; /* enum wisp_type_kind when not is_index */
};

struct wisp_ast_field {
    struct wisp_str name;
    struct wisp_ast_valtype type;
};

struct wisp_ast_body;

enum wisp_ast_type_kind { WISP_AST_VALUE, WISP_AST_FUNC, WISP_AST_COMPONENT, WISP_AST_INSTANCE, WISP_AST_RESOURCE };

struct wisp_ast_type {
    enum wisp_ast_type_kind kind;
    enum wisp_type_kind value_kind; /* VALUE */
    struct wisp_ast_field *fields;  /* record .. enum: fields; list, option: the one part; result: ok, error;
                                       FUNC: parameters, then the result. VALUE of a primitive kind: none */
    uint32_t n_fields;
    uint32_t index;             /* own, borrow: the resource; RESOURCE: destructor, a core function */
    bool has_destructor;        /* RESOURCE */
    struct wisp_ast_body *body; /* COMPONENT, INSTANCE */
};

struct wisp_ast_module_decl {
    enum { WISP_AST_MODULE_IMPORT, WISP_AST_MODULE_TYPE, WISP_AST_MODULE_ALIAS, WISP_AST_MODULE_EXPORT } kind;
    uint32_t offset;
    struct wisp_core_item item;      /* IMPORT, EXPORT */
    const struct wisp_core_sig *sig; /* TYPE */
    uint32_t outer, index;           /* ALIAS of a core type */
};

struct wisp_ast_core_type {
    const struct wisp_core_sig *sig; /* NULL: a module type */
    struct wisp_ast_module_decl *decls;
    uint32_t n_decls;
};

struct wisp_ast_ref {
    enum wisp_sort sort;
    uint32_t index;
};

/* "with" argument, or member of an instance made of definitions. */
struct wisp_ast_arg {
    struct wisp_extern_name name; /* of core and "with" arguments: only text */
    struct wisp_ast_ref ref;
};

/* Type of an import, or ascribed to an export. */
struct wisp_ast_extern {
    enum wisp_sort sort;  /* CORE_MODULE, FUNC, TYPE, COMPONENT, INSTANCE */
    bool is_sub_resource; /* TYPE: a fresh resource; otherwise equal to the type `index` */
    uint32_t index;
};

struct wisp_ast_canon {
    enum { WISP_AST_LIFT, WISP_AST_LOWER, WISP_AST_RESOURCE_NEW, WISP_AST_RESOURCE_DROP, WISP_AST_RESOURCE_REP } kind;
    uint32_t index; /* LIFT: core function; LOWER: function; otherwise: type */
    uint32_t type;  /* LIFT */
    enum wisp_encoding encoding;
    bool has_memory, has_realloc, has_post_return;
    uint32_t memory, realloc, post_return;
};

enum wisp_ast_def_kind {
    WISP_AST_DEF_CORE_MODULE,
    WISP_AST_DEF_CORE_INSTANCE,
    WISP_AST_DEF_CORE_TYPE,
    WISP_AST_DEF_COMPONENT,
    WISP_AST_DEF_INSTANCE,
    WISP_AST_DEF_ALIAS_EXPORT,
    WISP_AST_DEF_ALIAS_CORE_EXPORT,
    WISP_AST_DEF_ALIAS_OUTER,
    WISP_AST_DEF_TYPE,
    WISP_AST_DEF_CANON,
    WISP_AST_DEF_IMPORT,
    WISP_AST_DEF_EXPORT,      /* of a component: a definition gets a name */
    WISP_AST_DEF_EXPORT_DECL, /* of a type: only what it will be */
};

struct wisp_ast_def {
    enum wisp_ast_def_kind kind;
    uint32_t offset;
    union {
        struct wisp_core_info *module;
        struct wisp_ast_core_type *core_type;
        struct wisp_ast_body *component;
        struct wisp_ast_type *type;
        struct wisp_ast_canon *canon;
        struct { /* CORE_INSTANCE, INSTANCE */
            bool is_instantiate;
            uint32_t index; /* of the module or component */
            struct wisp_ast_arg *args;
            uint32_t n_args;
        } instance;
        struct {
            enum wisp_sort sort;
            uint32_t instance; /* exports */
            struct wisp_str name;
            uint32_t outer, index; /* outer */
        } alias;
        struct { /* IMPORT, EXPORT, EXPORT_DECL */
            struct wisp_extern_name *name;
            struct wisp_ast_ref ref; /* EXPORT */
            bool has_type;           /* EXPORT: ascribed */
            struct wisp_ast_extern type;
        } external;
    };
};

enum wisp_ast_body_kind { WISP_AST_BODY_COMPONENT, WISP_AST_BODY_COMPONENT_TYPE, WISP_AST_BODY_INSTANCE_TYPE };

/* A component, or a component or instance type: definitions in order. */
struct wisp_ast_body {
    enum wisp_ast_body_kind kind;
    uint32_t offset;
    struct wisp_ast_def *defs;
    uint32_t n_defs;
    uint32_t counts[WISP_SORT_COUNT]; /* how many items the definitions add to each index space */
    uint32_t n_imports, n_exports;
};

struct wisp_ast {
    struct wisp_ast_body *root;
    uint32_t n_modules;
    struct wisp_producers producers;
};

/* `arena` owns the tree, `lasting` what the component keeps (producers). */
int wisp_component_decode(struct wisp_ast *ret_ast, struct wisp_arena *arena, struct wisp_arena *lasting,
                          struct wisp_str binary, struct wisp_err *err) __attribute__((warn_unused_result));
