/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about names: what an annotated name says of its function, which types must have a name before they can be used
 * in an import or export, and which names are too much alike. */
#include "component/link/link_priv.h"

#include <stdlib.h>

/* --- visibility --- */

static bool needs_name(const struct wisp_type *type)
{
    switch (type->kind) {
    case WISP_TYPE_RECORD:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_ENUM:
    case WISP_TYPE_FLAGS:
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
        return true;
    default:
        return false;
    }
}

/* What is named: by the scope, and by the instance that is being looked at. */
struct names {
    const struct wisp_link_set *scope, *instance;
};

static bool is_named(const struct names *names, const void *address)
{
    return wisp_link_set_has(names->scope, address) || (names->instance && wisp_link_set_has(names->instance, address));
}

static int check_use(struct wisp_linker *l, const struct names *names, const struct wisp_type *type);

static int check_parts(struct wisp_linker *l, const struct names *names, const struct wisp_type *type)
{
    int r = type->element ? check_use(l, names, type->element) : 0;
    for (uint32_t i = 0; i < type->n_fields && r == 0; i++)
        if (type->fields[i].type) r = check_use(l, names, type->fields[i].type);
    return r;
}

/* A type where it is used: named, or of a kind that needs no name and made of such types. */
static int check_use(struct wisp_linker *l, const struct names *names, const struct wisp_type *type)
{
    int r = wisp_link_charge(l, 1);
    if (r < 0) return r;
    if (!needs_name(type)) return check_parts(l, names, type);
    if (is_named(names, type)) return 0;
    return wisp_err_set(l->err, WISP_ERR_INVALID,
                        "its type uses `%s`, which was not itself imported or exported before",
                        wisp_type_text(l->scratch, type));
}

static int check_func(struct wisp_linker *l, const struct names *names, const struct wisp_func_type *type)
{
    int r = type->result ? check_use(l, names, type->result) : 0;
    for (uint32_t i = 0; i < type->n_params && r == 0; i++) r = check_use(l, names, type->params[i].type);
    return r;
}

static int check_instance(struct wisp_linker *l, const struct names *names, const struct wisp_link_instance *instance);

/* An instance type as a type: by what an instance of it would have. */
static int check_instance_type(struct wisp_linker *l, const struct names *names, const struct wisp_link_type *type)
{
    struct wisp_link_instance *instance;
    l->dry++;
    int r = wisp_link_eval(l, &(struct wisp_link_eval){.body = type->body, .outer = type->outer}, &instance);
    if (r == 0) r = check_instance(l, names, instance);
    l->dry--;
    return r;
}

/* A type that is about to get a name: its parts must have theirs. */
static int check_type(struct wisp_linker *l, const struct names *names, const struct wisp_link_type *type)
{
    switch (type->kind) {
    case WISP_LINK_VALUE:
        if (type->value->kind == WISP_TYPE_OWN || type->value->kind == WISP_TYPE_BORROW)
            return check_use(l, names, type->handle ? type->handle : type->value);
        return check_parts(l, names, type->value);
    case WISP_LINK_FUNC:
        return check_func(l, names, type->func);
    case WISP_LINK_INSTANCE:
        return check_instance_type(l, names, type);
    default: /* resources have no parts; component types were checked where they were defined */
        return 0;
    }
}

static int check_value(struct wisp_linker *l, const struct names *names, const struct wisp_link_value *value)
{
    switch (value->sort) {
    case WISP_SORT_FUNC:
        return check_func(l, names, value->func->type);
    case WISP_SORT_TYPE:
        return check_type(l, names, value->type);
    case WISP_SORT_INSTANCE:
        return check_instance(l, names, value->instance);
    default:
        return 0;
    }
}

static int add_names(struct wisp_linker *l, struct wisp_link_set *set, const struct wisp_link_value *value)
{
    int r = wisp_link_charge(l, 1);
    if (r < 0) return r;
    if (value->sort == WISP_SORT_INSTANCE) {
        for (uint32_t i = 0; i < value->instance->n && r == 0; i++)
            r = add_names(l, set, &value->instance->members[i].value);
        return r;
    }
    if (value->sort != WISP_SORT_TYPE) return 0;
    if (value->type->kind == WISP_LINK_VALUE) {
        wisp_link_set_add(l, set, value->type->value);
    } else if (value->type->kind == WISP_LINK_RESOURCE) {
        wisp_link_set_add(l, set, value->type->own);
        wisp_link_set_add(l, set, value->type->borrow);
    }
    return 0;
}

static int copy_set(struct wisp_linker *l, struct wisp_link_set *to, const struct wisp_link_set *from)
{
    int r = wisp_link_charge(l, from->n);
    for (uint32_t i = 0; i < from->capacity && r == 0; i++)
        if (from->slots[i]) wisp_link_set_add(l, to, from->slots[i]);
    return r;
}

/* What an instance exports may use the types that it exports. */
static int check_instance(struct wisp_linker *l, const struct names *names, const struct wisp_link_instance *instance)
{
    struct wisp_link_set own = {0};
    struct names with_own = {names->scope, &own};
    int r = names->instance ? copy_set(l, &own, names->instance) : 0;
    for (uint32_t i = 0; i < instance->n && r == 0; i++) r = add_names(l, &own, &instance->members[i].value);
    for (uint32_t i = 0; i < instance->n && r == 0; i++) {
        r = check_value(l, &with_own, &instance->members[i].value);
        if (r < 0) wisp_err_wrap(l->err, "`%.*s`", WISP_STR_ARG(instance->members[i].name));
    }
    return r;
}

/* --- annotated names --- */

/* The resource that was imported or exported under this name in the same scope. */
static int find_resource(struct wisp_linker *l, const struct wisp_link_instance *scope, struct wisp_str name,
                         const struct wisp_link_type **ret_resource)
{
    *ret_resource = NULL;
    int r = wisp_link_charge(l, 1 + scope->n / 16);
    if (r < 0) return r;
    for (uint32_t i = 0; i < scope->n; i++) {
        const struct wisp_link_member *member = &scope->members[i];
        if (member->value.sort == WISP_SORT_TYPE && member->value.type->kind == WISP_LINK_RESOURCE &&
            wisp_str_equal(member->name, name))
            *ret_resource = member->value.type;
    }
    if (!*ret_resource)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "no resource `%.*s` was imported or exported before",
                            WISP_STR_ARG(name));
    return 0;
}

static bool returns_own(const struct wisp_func_type *func, const struct wisp_type *own)
{
    const struct wisp_type *result = func->result;
    return result && (result == own || (result->kind == WISP_TYPE_RESULT && result->fields[0].type == own));
}

static int check_annotation(struct wisp_linker *l, const struct wisp_link_instance *scope,
                            const struct wisp_link_member *member)
{
    const struct wisp_extern_name *name = member->parsed;
    if (name->kind == WISP_NAME_LABEL || name->kind == WISP_NAME_INTERFACE) return 0;
    if (member->value.sort != WISP_SORT_FUNC)
        return wisp_err_set(l->err, WISP_ERR_INVALID, "this name is a function's, and it is not a func");
    const struct wisp_link_type *resource;
    int r = find_resource(l, scope, name->resource, &resource);
    if (r < 0) return r;
    const struct wisp_func_type *func = member->value.func->type;
    if (name->kind == WISP_NAME_CONSTRUCTOR && !returns_own(func, resource->own))
        return wisp_err_set(l->err, WISP_ERR_INVALID, "a constructor should return `own<%.*s>` or a result of it",
                            WISP_STR_ARG(name->resource));
    if (name->kind == WISP_NAME_METHOD &&
        (!func->n_params || !wisp_str_is(func->params[0].name, "self") || func->params[0].type != resource->borrow))
        return wisp_err_set(l->err, WISP_ERR_INVALID, "a method's first parameter should be `self: borrow<%.*s>`",
                            WISP_STR_ARG(name->resource));
    return 0;
}

int wisp_link_check_external(struct wisp_linker *l, struct wisp_link_env *env, bool is_import,
                             const struct wisp_link_member *member)
{
    int r = check_annotation(l, is_import ? &env->imports : &env->exports, member);
    if (r < 0) return r;
    /* Instance types are held to visibility where they are used. */
    if (env->body->kind == WISP_AST_BODY_INSTANCE_TYPE) return 0;
    struct names names = {.scope = is_import ? &env->imported : &env->visible};
    r = check_value(l, &names, &member->value);
    if (r < 0)
        return wisp_err_wrap(l->err, "%s not valid to be used as %s", wisp_sort_name(member->value.sort),
                             is_import ? "import" : "export");
    if (is_import) r = add_names(l, &env->imported, &member->value);
    return r < 0 ? r : add_names(l, &env->visible, &member->value);
}

/* --- uniqueness --- */

static int compare_canonical(const void *a, const void *b)
{
    return wisp_str_compare(*(const struct wisp_str *)a, *(const struct wisp_str *)b);
}

int wisp_link_check_unique(struct wisp_linker *l, const struct wisp_link_instance *names, const char *what)
{
    struct wisp_str *canonical = WISP_NEW_ARRAY(l->scratch, struct wisp_str, names->n);
    for (uint32_t i = 0; i < names->n; i++) canonical[i] = wisp_name_canonical(l->scratch, names->members[i].parsed);
    if (names->n) qsort(canonical, names->n, sizeof *canonical, compare_canonical);
    for (uint32_t i = 1; i < names->n; i++)
        if (wisp_str_equal(canonical[i - 1], canonical[i]))
            return wisp_err_set(l->err, WISP_ERR_INVALID,
                                "%s name `%.*s` conflicts with another, equal or too similar, name", what,
                                WISP_STR_ARG(canonical[i]));
    return 0;
}
