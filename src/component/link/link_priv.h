/* SPDX-License-Identifier: Apache-2.0 */
/* The linker is a symbolic evaluator. A component's body is a list of definitions; evaluating one adds a value to one
 * of the index spaces of an environment. Instantiating a component evaluates its body in a new environment whose outer
 * one is where the component was defined, with the arguments as its imports.
 *
 * The same evaluation serves five purposes, told apart by where imports (and, in types, exports) come from:
 *
 *     checking              imports are made up from their types, and nothing reaches the plan (`dry`). The root, and
 *                           within it every nested definition, is checked once like this, for itself, whatever it
 *                           is instantiated with later
 *     linking the root      afterwards; the made-up imports become the world's, and the plan is filled
 *     instantiation         imports are the arguments; dry when whoever instantiates is
 *     making up a value     of a type: imports and exports are made up
 *     matching a type       the type's exports are taken from the value that must have the type
 *
 * Types are values too: evaluating a type in an environment gives a struct wisp_type whose resources are those of this
 * very instance. So subtyping is evaluation with given values, substitution comes for nothing, and generative
 * resources are the ones a new evaluation makes.
 *
 * Identity of named types. "External visibility" asks whether every record, variant, enum, flags and resource in the
 * type of an import or export was itself imported or exported before. A name is tied to a type index and not to the
 * type, so importing or exporting a type makes a copy (a new struct wisp_type; for a resource, new own<> and borrow<>),
 * and visibility is membership of these addresses in a set. */
#pragma once

#include "component/array.h"
#include "component/link/link.h"

enum {
    WISP_LINK_WORK_MAX = 1000000, /* definitions evaluated, types compared, ...: bounds time and memory */
    WISP_LINK_EVAL_WORK = 16,     /* what an evaluation costs by itself */
    WISP_LINK_DEPTH_MAX = 100,    /* evaluations within evaluations */
};

struct wisp_link_env;

enum wisp_link_type_kind {
    WISP_LINK_VALUE,
    WISP_LINK_FUNC,
    WISP_LINK_RESOURCE,
    WISP_LINK_COMPONENT,
    WISP_LINK_INSTANCE
};

struct wisp_link_type {
    enum wisp_link_type_kind kind;
    bool has_resources; /* refers to a resource from outside of it */
    const struct wisp_type_name *type_name; /* given by an import or export; NULL: none */
    const struct wisp_type *value;
    struct wisp_type *named; /* = value, when it is a copy made to be named */
    const struct wisp_type *handle; /* the own or borrow that a named copy was made of: what visibility knows */
    const struct wisp_func_type *func;
    struct wisp_resource *resource;
    const struct wisp_type *own, *borrow; /* RESOURCE */
    const struct wisp_link_env *definer;  /* RESOURCE: where it was defined; NULL when imported */
    const struct wisp_ast_body *body;     /* COMPONENT, INSTANCE: a closure of body and environment */
    struct wisp_link_env *outer;
};

struct wisp_link_func {
    const struct wisp_func_type *type;
    enum { WISP_LINK_ABSTRACT, WISP_LINK_IMPORTED, WISP_LINK_LIFTED } origin;
    uint32_t index; /* in import_funcs or lifted_funcs */
};

/* A component, or (when made up from its type) what is known of one. */
struct wisp_link_component {
    const struct wisp_ast_body *body;
    struct wisp_link_env *outer;
    const struct wisp_link_component *actual; /* the one given where this type was asked for; NULL: none */
};

struct wisp_link_module {
    const struct wisp_core_info *info;
    bool is_type; /* only its type is known */
};

struct wisp_link_instance;

struct wisp_link_value {
    enum wisp_sort sort;
    union {
        struct wisp_link_func *func;
        struct wisp_link_type *type;
        struct wisp_link_component *component;
        struct wisp_link_instance *instance;
        struct wisp_link_module *module;
    };
};

struct wisp_link_member {
    struct wisp_str name;
    const struct wisp_extern_name *parsed; /* NULL for arguments */
    struct wisp_link_value value;
};

/* Named values: an instance's exports, an instantiation's arguments, a component's imports. */
struct wisp_link_instance {
    struct wisp_link_member *members;
    uint32_t n, capacity;
    uint32_t *by_name; /* set by wisp_link_seal */
};

struct wisp_link_core_item {
    const struct wisp_core_extern *type;
    bool is_trampoline;
    uint32_t trampoline;
    struct wisp_core_ref ref;
};

/* Of a module (info, step), or put together from items. */
struct wisp_link_core_instance {
    const struct wisp_core_info *info;
    int32_t step;
    const struct wisp_ast_arg *names;
    struct wisp_link_core_item *items;
    uint32_t n;
    uint32_t *by_name;
};

struct wisp_link_core_type {
    const struct wisp_core_sig *sig;
    const struct wisp_core_info *module;
};

/* A set of addresses. Zeroed is a valid empty one. */
struct wisp_link_set {
    const void **slots;
    uint32_t n, capacity;
};

struct wisp_link_env {
    struct wisp_link_env *outer;
    const struct wisp_ast_body *body;
    bool checks;             /* evaluated to find mistakes in the definitions themselves */
    bool captures_resources; /* an outer alias brought a resource in */
    uint32_t instance;       /* number of the component instance in the plan */
    struct wisp_str owner;   /* interface whose type is being evaluated */
    uint32_t n[WISP_SORT_COUNT];
    struct wisp_link_core_item *core_items[WISP_CORE_SORT_COUNT];
    struct wisp_link_core_type *core_types;
    struct wisp_link_core_instance **core_instances;
    struct wisp_link_value *values[WISP_SORT_COUNT];
    struct wisp_link_instance imports, exports;
    struct wisp_link_set imported, visible; /* identities named by imports; by imports and exports */
};

struct wisp_linker {
    struct wisp_component *component;
    struct wisp_arena *scratch;
    struct wisp_err *err;
    uint32_t dry; /* > 0: nothing reaches the plan */
    uint32_t depth;
    bool is_located; /* the error says where it happened */
    uint32_t work_left;
    int32_t *plan_modules; /* by ordinal: position in the plan, or -1 */
    struct {
        uint32_t resources, import_funcs, export_funcs, lifted_funcs, modules, trampolines, steps, destructors,
            instances;
    } capacity;
};

/* --- link.c --- */

/* One evaluation of a body. */
struct wisp_link_eval {
    const struct wisp_ast_body *body;
    struct wisp_link_env *outer;
    const struct wisp_link_instance *args;   /* imports; NULL: make them up */
    const struct wisp_link_instance *source; /* exports of a type; NULL: make them up */
    struct wisp_str owner;
    bool checks, is_root_import, is_ascription;
    uint32_t instance;
    struct wisp_link_instance *ret_imports; /* receives the imports, unless NULL */
    bool *ret_captures_resources;           /* unless NULL */
};
int wisp_link_eval(struct wisp_linker *l, const struct wisp_link_eval *eval, struct wisp_link_instance **ret_exports)
    __attribute__((warn_unused_result));
/* A component's type or body with these arguments, by the component instance `parent`. */
int wisp_link_instantiate(struct wisp_linker *l, const struct wisp_link_component *component, uint32_t parent,
                          const struct wisp_link_instance *args, struct wisp_link_instance **ret_instance)
    __attribute__((warn_unused_result));

/* --- link_env.c --- */

/* LIMIT when the budget is used up. */
int wisp_link_charge(struct wisp_linker *l, uint32_t work) __attribute__((warn_unused_result));
/* Arena of types: the component's, or scratch in a dry evaluation. */
struct wisp_arena *wisp_link_types(struct wisp_linker *l);
int wisp_link_env_new(struct wisp_linker *l, const struct wisp_link_eval *eval, struct wisp_link_env **ret_env)
    __attribute__((warn_unused_result));
/* INVALID "... index out of bounds". */
int wisp_link_get(struct wisp_linker *l, const struct wisp_link_env *env, enum wisp_sort sort, uint32_t index,
                  struct wisp_link_value *ret_value) __attribute__((warn_unused_result));
int wisp_link_get_type(struct wisp_linker *l, const struct wisp_link_env *env, uint32_t index,
                       enum wisp_link_type_kind kind, struct wisp_link_type **ret_type)
    __attribute__((warn_unused_result));
int wisp_link_get_core(struct wisp_linker *l, const struct wisp_link_env *env, enum wisp_sort sort, uint32_t index,
                       struct wisp_link_core_item *ret_item) __attribute__((warn_unused_result));
/* Appends to the index space. */
void wisp_link_add(struct wisp_link_env *env, struct wisp_link_value value);
void wisp_link_add_core(struct wisp_link_env *env, struct wisp_link_core_item item);

void wisp_link_put(struct wisp_linker *l, struct wisp_link_instance *instance, struct wisp_link_member member);
/* Makes it searchable; *ret_duplicate is a name that occurs twice, or NULL. */
void wisp_link_seal(struct wisp_linker *l, struct wisp_link_instance *instance,
                    const struct wisp_link_member **ret_duplicate);
const struct wisp_link_member *wisp_link_find(const struct wisp_link_instance *instance, struct wisp_str name);

bool wisp_link_set_has(const struct wisp_link_set *set, const void *address);
void wisp_link_set_add(struct wisp_linker *l, struct wisp_link_set *set, const void *address);

/* --- link_type.c --- */

int wisp_link_type(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_type *ast,
                   struct wisp_link_type **ret_type) __attribute__((warn_unused_result));
/* A new identity, and the name unless it has one already. */
struct wisp_link_type *wisp_link_name_type(struct wisp_linker *l, const struct wisp_link_type *type,
                                           struct wisp_str name, struct wisp_str owner);
/* A new resource, imported when definer is NULL. */
struct wisp_link_type *wisp_link_resource(struct wisp_linker *l, const struct wisp_link_env *definer,
                                          struct wisp_str name, struct wisp_str owner);
int wisp_link_core_type(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_core_type *ast,
                        struct wisp_link_core_type *ret_type) __attribute__((warn_unused_result));

/* --- link_bind.c --- */

struct wisp_link_binding {
    const struct wisp_link_value *given; /* NULL: make a value up */
    struct wisp_str name, owner;
    bool is_root_import; /* made-up functions become imports of the component */
    bool is_nested;      /* within an imported instance */
    bool is_ascription;  /* of an export */
};
/* The value that an import or export of this type has: the given one, seen through the type, or a made-up one. INVALID
 * when the given one does not match. */
int wisp_link_bind(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_extern *type,
                   const struct wisp_link_binding *binding, struct wisp_link_value *ret_value)
    __attribute__((warn_unused_result));

/* --- link_visible.c --- */

/* Name rules of an import or export of env's body: annotated names fit the function's type, and everything in its type
 * is visible. Makes what it names visible. */
int wisp_link_check_external(struct wisp_linker *l, struct wisp_link_env *env, bool is_import,
                             const struct wisp_link_member *member) __attribute__((warn_unused_result));
/* Strong uniqueness. `what`: "import", "export". */
int wisp_link_check_unique(struct wisp_linker *l, const struct wisp_link_instance *names, const char *what)
    __attribute__((warn_unused_result));

/* --- link_core.c --- */

int wisp_link_core_instance(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
    __attribute__((warn_unused_result));
int wisp_link_alias_core(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_def *def)
    __attribute__((warn_unused_result));
/* Can a module be given where this type is asked for? */
int wisp_link_match_module(struct wisp_linker *l, const struct wisp_core_info *have, const struct wisp_core_info *want)
    __attribute__((warn_unused_result));

/* --- link_canon.c --- */

int wisp_link_canon(struct wisp_linker *l, struct wisp_link_env *env, const struct wisp_ast_canon *canon)
    __attribute__((warn_unused_result));
/* Remembers a destructor; UNSUPPORTED when it is not a module's function. */
int wisp_link_destructor(struct wisp_linker *l, const struct wisp_link_env *env, uint32_t core_func,
                         struct wisp_resource *resource) __attribute__((warn_unused_result));

/* --- link_world.c --- */

int wisp_link_world(struct wisp_linker *l, const struct wisp_link_instance *imports,
                    const struct wisp_link_instance *exports) __attribute__((warn_unused_result));
