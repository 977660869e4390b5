/* SPDX-License-Identifier: Apache-2.0 */
/* Types of WIT text, made on demand: a definition may use later ones, but not itself. */
#include "wit/text/syntax.h"

static int make_decl(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope, struct wisp_wit_decl *decl,
                     uint32_t depth, struct wisp_err *err);
static int make_ref(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                    const struct wisp_wit_ref *ref, uint32_t depth, const struct wisp_type **ret_type,
                    struct wisp_err *err);

static struct wisp_str id_of(struct wisp_arena *arena, const struct wisp_wit_decl_scope *scope)
{
    const struct wisp_wit_decl_package *package = scope->package;
    if (scope->is_inline) return scope->name;
    return wisp_str_from(wisp_arena_printf(arena, "%.*s/%.*s%s%.*s", WISP_STR_ARG(package->name),
                                           WISP_STR_ARG(scope->name), package->version.len ? "@" : "",
                                           WISP_STR_ARG(package->version)));
}

static int wrap(const struct wisp_wit_place *place, struct wisp_err *err)
{
    return wisp_err_wrap(err, "%s:%u:%u", place->file, place->line, place->column);
}

/* --- builtin types --- */

static const struct {
    const char *name;
    enum wisp_type_kind kind;
} primitives[] = {
    {"bool", WISP_TYPE_BOOL},   {"s8", WISP_TYPE_S8},     {"u8", WISP_TYPE_U8},         {"s16", WISP_TYPE_S16},
    {"u16", WISP_TYPE_U16},     {"s32", WISP_TYPE_S32},   {"u32", WISP_TYPE_U32},       {"s64", WISP_TYPE_S64},
    {"u64", WISP_TYPE_U64},     {"f32", WISP_TYPE_F32},   {"f64", WISP_TYPE_F64},       {"float32", WISP_TYPE_F32},
    {"float64", WISP_TYPE_F64}, {"char", WISP_TYPE_CHAR}, {"string", WISP_TYPE_STRING},
};

static int check_count(const struct wisp_wit_ref *ref, uint32_t min, uint32_t max, struct wisp_err *err)
{
    if (ref->n_args >= min && ref->n_args <= max) return 0;
    return wisp_wit_fail_at(&ref->place, err, "`%.*s` with %u types in brackets", WISP_STR_ARG(ref->name), ref->n_args);
}

static int make_args(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                     const struct wisp_wit_ref *ref, uint32_t depth, const struct wisp_type **args,
                     struct wisp_err *err)
{
    bool may_be_empty = wisp_str_is(ref->name, "result");
    for (uint32_t i = 0; i < ref->n_args; i++) {
        args[i] = NULL;
        if (!ref->args[i] && may_be_empty) continue;
        if (!ref->args[i]) return wisp_wit_fail_at(&ref->place, err, "`_` stands for no type here");
        int r = make_ref(document, scope, ref->args[i], depth + 1, &args[i], err);
        if (r < 0) return r;
    }
    return 0;
}

static int make_tuple(struct wisp_arena *arena, const struct wisp_type *const *args, uint32_t n,
                      const struct wisp_type **ret_type, struct wisp_err *err)
{
    struct wisp_type_field *fields = WISP_NEW_ARRAY(arena, struct wisp_type_field, n);
    for (uint32_t i = 0; i < n; i++) fields[i].type = args[i];
    return wisp_type_compound(arena, WISP_TYPE_TUPLE, fields, n, ret_type, err);
}

static int find_resource(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                         const struct wisp_wit_ref *ref, uint32_t depth, struct wisp_resource **ret_resource,
                         struct wisp_err *err)
{
    struct wisp_wit_decl *decl = ref ? wisp_map_get(&scope->types, ref->name) : NULL;
    if (!decl || ref->n_args)
        return wisp_wit_fail_at(&ref->place, err, "`%.*s` is no resource", WISP_STR_ARG(ref->name));
    int r = make_decl(document, scope, decl, depth, err);
    if (r < 0) return r;
    if (!decl->resource) return wisp_wit_fail_at(&ref->place, err, "`%.*s` is no resource", WISP_STR_ARG(ref->name));
    *ret_resource = decl->resource;
    return 0;
}

/* 1: it was one. */
static int try_handle(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                      const struct wisp_wit_ref *ref, uint32_t depth, const struct wisp_type **ret_type,
                      struct wisp_err *err)
{
    bool is_own = wisp_str_is(ref->name, "own");
    if (!is_own && !wisp_str_is(ref->name, "borrow")) return 0;
    int r = check_count(ref, 1, 1, err);
    if (r < 0) return r;
    if (!ref->args[0]) return wisp_wit_fail_at(&ref->place, err, "`_` is no resource");
    struct wisp_resource *resource;
    if ((r = find_resource(document, scope, ref->args[0], depth, &resource, err)) < 0) return r;
    *ret_type = wisp_type_handle(&document->arena, is_own ? WISP_TYPE_OWN : WISP_TYPE_BORROW, resource);
    return 1;
}

enum { GENERIC_ARGS_MAX = 64 };

static const struct {
    const char *name;
    uint8_t min, max;
} generics[] = {{"list", 1, 1},   {"option", 1, 1}, {"result", 0, 2}, {"tuple", 1, GENERIC_ARGS_MAX},
                {"stream", 1, 1}, {"future", 1, 1}};

static int make_generic(struct wisp_arena *arena, const struct wisp_wit_ref *ref, const struct wisp_type *const *args,
                        const struct wisp_type **ret_type, struct wisp_err *err)
{
    if (wisp_str_is(ref->name, "list")) return wisp_type_list(arena, args[0], ret_type, err);
    if (wisp_str_is(ref->name, "option")) return wisp_type_option(arena, args[0], ret_type, err);
    if (wisp_str_is(ref->name, "tuple")) return make_tuple(arena, args, ref->n_args, ret_type, err);
    if (wisp_str_is(ref->name, "stream")) return wisp_type_stream(arena, WISP_TYPE_STREAM, args[0], ret_type, err);
    if (wisp_str_is(ref->name, "future")) return wisp_type_stream(arena, WISP_TYPE_FUTURE, args[0], ret_type, err);
    return wisp_type_result(arena, ref->n_args ? args[0] : NULL, ref->n_args > 1 ? args[1] : NULL, ret_type, err);
}

/* 1: it was one. */
static int try_builtin(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                       const struct wisp_wit_ref *ref, uint32_t depth, const struct wisp_type **ret_type,
                       struct wisp_err *err)
{
    for (size_t i = 0; i < WISP_COUNT(primitives); i++) {
        if (!wisp_str_is(ref->name, primitives[i].name)) continue;
        *ret_type = wisp_type_primitive(primitives[i].kind);
        int r = check_count(ref, 0, 0, err);
        return r < 0 ? r : 1;
    }
    for (size_t i = 0; i < WISP_COUNT(generics); i++) {
        if (!wisp_str_is(ref->name, generics[i].name)) continue;
        const struct wisp_type *args[GENERIC_ARGS_MAX];
        int r = check_count(ref, generics[i].min, generics[i].max, err);
        if (r < 0 || (r = make_args(document, scope, ref, depth, args, err)) < 0) return r;
        r = make_generic(&document->arena, ref, args, ret_type, err);
        return r < 0 ? wrap(&ref->place, err) : 1;
    }
    return try_handle(document, scope, ref, depth, ret_type, err);
}

static int make_ref(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                    const struct wisp_wit_ref *ref, uint32_t depth, const struct wisp_type **ret_type,
                    struct wisp_err *err)
{
    int r = ref->is_plain ? 0 : try_builtin(document, scope, ref, depth, ret_type, err);
    if (r) return r < 0 ? r : 0;
    struct wisp_wit_decl *decl = wisp_map_get(&scope->types, ref->name);
    if (!decl) return wisp_wit_fail_at(&ref->place, err, "there is no type `%.*s`", WISP_STR_ARG(ref->name));
    if ((r = check_count(ref, 0, 0, err)) < 0 || (r = make_decl(document, scope, decl, depth, err)) < 0) return r;
    if (decl->type) {
        *ret_type = decl->type;
        return 0;
    }
    struct wisp_type *handle = wisp_type_handle(&document->arena, WISP_TYPE_OWN, decl->resource);
    handle->named = decl->named;
    *ret_type = handle;
    return 0;
}

/* --- definitions --- */

static int make_members(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                        const struct wisp_wit_member *members, uint32_t n, uint32_t depth,
                        struct wisp_type_field **ret_fields, struct wisp_err *err)
{
    struct wisp_type_field *fields = WISP_NEW_ARRAY(&document->arena, struct wisp_type_field, n);
    for (uint32_t i = 0; i < n; i++) {
        fields[i].name = members[i].name;
        if (!members[i].type) continue;
        int r = make_ref(document, scope, members[i].type, depth + 1, &fields[i].type, err);
        if (r < 0) return r;
    }
    *ret_fields = fields;
    return 0;
}

static void name_decl(struct wisp_wit_document *document, const struct wisp_wit_decl_scope *scope,
                      struct wisp_wit_decl *decl, const struct wisp_type_name *alias_of)
{
    struct wisp_type_name *named = WISP_NEW(&document->arena, struct wisp_type_name);
    *named = (struct wisp_type_name){decl->name, alias_of};
    decl->named = named;
    if (!decl->type) return;
    struct wisp_type *copy = WISP_NEW(&document->arena, struct wisp_type);
    *copy = *decl->type;
    copy->named = named;
    if (!alias_of || !copy->name.len) {
        copy->name = decl->name;
        copy->owner = id_of(&document->arena, scope);
    }
    decl->type = copy;
}

static int make_compound(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                         struct wisp_wit_decl *decl, uint32_t depth, struct wisp_err *err)
{
    static const enum wisp_type_kind kinds[] = {[WISP_WIT_RECORD] = WISP_TYPE_RECORD,
                                                [WISP_WIT_VARIANT] = WISP_TYPE_VARIANT,
                                                [WISP_WIT_ENUM] = WISP_TYPE_ENUM,
                                                [WISP_WIT_FLAGS] = WISP_TYPE_FLAGS};
    struct wisp_type_field *fields;
    int r = make_members(document, scope, decl->members, decl->n_members, depth, &fields, err);
    if (r < 0) return r;
    if (wisp_type_compound(&document->arena, kinds[decl->kind], fields, decl->n_members, &decl->type, err) < 0)
        return wrap(&decl->place, err);
    name_decl(document, scope, decl, NULL);
    return 0;
}

static int make_use(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope, struct wisp_wit_decl *decl,
                    uint32_t depth, struct wisp_err *err)
{
    struct wisp_wit_decl_scope *from = NULL;
    struct wisp_wit_decl_world *world = NULL;
    int r = wisp_wit_find(document, scope->package, decl->from, &from, &world, err);
    if (r < 0) return r;
    struct wisp_wit_decl *used = from ? wisp_map_get(&from->types, decl->used) : NULL;
    if (!used)
        return wisp_wit_fail_at(&decl->place, err, "`%.*s` has no type `%.*s`", WISP_STR_ARG(decl->from->name),
                                WISP_STR_ARG(decl->used));
    if ((r = make_decl(document, from, used, depth, err)) < 0) return r;
    decl->type = used->type;
    decl->resource = used->resource;
    name_decl(document, scope, decl, used->named);
    return 0;
}

static int make_alias(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope, struct wisp_wit_decl *decl,
                      uint32_t depth, struct wisp_err *err)
{
    const struct wisp_wit_decl *other = decl->of->n_args ? NULL : wisp_map_get(&scope->types, decl->of->name);
    int r = make_ref(document, scope, decl->of, depth + 1, &decl->type, err);
    if (r < 0) return r;
    if (other && other->resource && !other->type) {
        decl->resource = other->resource;
        decl->type = NULL;
    }
    name_decl(document, scope, decl, other ? other->named : NULL);
    return 0;
}

static int make_resource(struct wisp_wit_document *document, const struct wisp_wit_decl_scope *scope,
                         struct wisp_wit_decl *decl)
{
    decl->resource = WISP_NEW(&document->arena, struct wisp_resource);
    *decl->resource =
        (struct wisp_resource){.name = decl->name, .owner = id_of(&document->arena, scope), .destructor = -1};
    name_decl(document, scope, decl, NULL);
    return 0;
}

static int make_decl(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope, struct wisp_wit_decl *decl,
                     uint32_t depth, struct wisp_err *err)
{
    if (decl->state == WISP_WIT_MADE) return 0;
    if (decl->state == WISP_WIT_BEING_MADE)
        return wisp_wit_fail_at(&decl->place, err, "`%.*s` is made of itself", WISP_STR_ARG(decl->name));
    if (depth > WISP_TYPE_DEPTH_MAX * 2) return wisp_wit_fail_at(&decl->place, err, "types are nested too deep");
    decl->state = WISP_WIT_BEING_MADE;
    int r;
    if (decl->kind == WISP_WIT_USE)
        r = make_use(document, scope, decl, depth + 1, err);
    else if (decl->kind == WISP_WIT_ALIAS)
        r = make_alias(document, scope, decl, depth + 1, err);
    else if (decl->kind == WISP_WIT_RESOURCE)
        r = make_resource(document, scope, decl);
    else
        r = make_compound(document, scope, decl, depth + 1, err);
    decl->state = r < 0 ? WISP_WIT_UNKNOWN : WISP_WIT_MADE;
    return r;
}

/* --- functions and interfaces --- */

int wisp_wit_make_func(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                       const struct wisp_wit_decl_func *decl, struct wisp_wit_document_func *ret_func,
                       struct wisp_err *err)
{
    struct wisp_type_field *params;
    const struct wisp_type *result = NULL;
    int r = make_members(document, scope, decl->params, decl->n_params, 0, &params, err);
    if (r < 0 || (decl->result && (r = make_ref(document, scope, decl->result, 0, &result, err)) < 0)) return r;
    *ret_func = (struct wisp_wit_document_func){.name = decl->name, .docs = decl->docs};
    if (wisp_type_func(&document->arena, params, decl->n_params, result, &ret_func->type, err) < 0)
        return wrap(&decl->place, err);
    return 0;
}

/* What a type uses comes before it, once: `order` counts them. */
struct order {
    struct wisp_wit_document_type *list;
    uint32_t n;
};

static bool is_listed(const struct order *order, struct wisp_str name)
{
    for (uint32_t i = 0; i < order->n; i++)
        if (wisp_str_equal(order->list[i].name, name)) return true;
    return false;
}

static void list_ref(struct wisp_wit_decl_scope *scope, const struct wisp_wit_ref *ref, struct order *order);

static void list_decl(struct wisp_wit_decl_scope *scope, const struct wisp_wit_decl *decl, struct order *order)
{
    if (is_listed(order, decl->name)) return;
    for (uint32_t i = 0; i < decl->n_members; i++) list_ref(scope, decl->members[i].type, order);
    list_ref(scope, decl->of, order);
    if (is_listed(order, decl->name)) return;
    order->list[order->n++] = (struct wisp_wit_document_type){.name = decl->name,
                                                              .docs = decl->docs,
                                                              .type = decl->type,
                                                              .resource = decl->resource,
                                                              .is_used = decl->kind == WISP_WIT_USE};
}

/* Depth is that of types, which were made before. */
static void list_ref(struct wisp_wit_decl_scope *scope, const struct wisp_wit_ref *ref, struct order *order)
{
    if (!ref) return;
    for (uint32_t i = 0; i < ref->n_args; i++) list_ref(scope, ref->args[i], order);
    const struct wisp_wit_decl *decl = wisp_map_get(&scope->types, ref->name);
    if (decl) list_decl(scope, decl, order);
}

static int make_types(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                      struct wisp_wit_document_interface *made, struct wisp_err *err)
{
    struct order order = {WISP_NEW_ARRAY(&document->arena, struct wisp_wit_document_type, scope->types.count), 0};
    for (struct wisp_wit_decl *decl = scope->first; decl; decl = decl->next) {
        int r = make_decl(document, scope, decl, 0, err);
        if (r < 0) return r;
    }
    for (struct wisp_wit_decl *decl = scope->first; decl; decl = decl->next) list_decl(scope, decl, &order);
    made->types = order.list;
    made->n_types = order.n;
    return 0;
}

static int make_funcs(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                      struct wisp_wit_document_interface *made, struct wisp_err *err)
{
    for (const struct wisp_wit_decl_func *decl = scope->funcs; decl; decl = decl->next) made->n_funcs++;
    struct wisp_wit_document_func *funcs =
        WISP_NEW_ARRAY(&document->arena, struct wisp_wit_document_func, made->n_funcs);
    struct wisp_wit_document_func *func = funcs;
    for (const struct wisp_wit_decl_func *decl = scope->funcs; decl; decl = decl->next) {
        int r = wisp_wit_make_func(document, scope, decl, func++, err);
        if (r < 0) return r;
    }
    made->funcs = funcs;
    return 0;
}

int wisp_wit_make_interface(struct wisp_wit_document *document, struct wisp_wit_decl_scope *scope,
                            const struct wisp_wit_document_interface **ret_interface, struct wisp_err *err)
{
    if (!scope->made) {
        struct wisp_wit_document_interface *made = WISP_NEW(&document->arena, struct wisp_wit_document_interface);
        *made = (struct wisp_wit_document_interface){
            .id = id_of(&document->arena, scope), .name = scope->name, .docs = scope->docs};
        int r = make_types(document, scope, made, err);
        if (r < 0 || (r = make_funcs(document, scope, made, err)) < 0) return r;
        scope->made = made;
    }
    *ret_interface = scope->made;
    return 0;
}
