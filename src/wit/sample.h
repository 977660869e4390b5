/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: worlds made by hand, as the decoder makes them. */
#pragma once

#include "base/mem.h"
#include "component/plan.h"
#include "test.h"

enum { ITEMS_MAX = 32 };

/* An interface, or the imports or exports of a world, that a test adds to. */
struct items {
    struct wisp_item list[ITEMS_MAX];
    uint32_t n;
};

static struct wisp_arena arena; /* for the life of the process, which is that of one test */

static inline const struct wisp_type *prim(enum wisp_type_kind kind) { return wisp_type_primitive(kind); }
#define U8 prim(WISP_TYPE_U8)
#define STRING prim(WISP_TYPE_STRING)

static inline const struct wisp_type_name *make_name(const char *name, const struct wisp_type_name *alias_of)
{
    struct wisp_type_name *made = WISP_NEW(&arena, struct wisp_type_name);
    *made = (struct wisp_type_name){wisp_str_from(name), alias_of};
    return made;
}

static inline struct wisp_item *add(struct items *items, const char *name, enum wisp_item_kind kind)
{
    assert(items->n < ITEMS_MAX);
    struct wisp_item *item = &items->list[items->n++];
    *item = (struct wisp_item){.name = wisp_str_from(name), .kind = kind};
    return item;
}

/* Gives a value type a name in `items`; what refers to it from there on is the returned one. */
static inline const struct wisp_type *add_type(struct items *items, const char *name, const struct wisp_type *type)
{
    bool is_handle = type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW;
    struct wisp_type *copy = WISP_NEW(&arena, struct wisp_type);
    *copy = *type;
    copy->name = wisp_str_from(name);
    copy->named = make_name(name, is_handle && !type->name.len ? NULL : type->named);
    struct wisp_item *item = add(items, name, WISP_ITEM_TYPE);
    item->type = copy;
    item->type_name = copy->named;
    return copy;
}

/* A resource under one of its names. */
struct resource {
    struct wisp_resource *resource;
    const struct wisp_type_name *named;
};

static inline struct resource add_resource(struct items *items, const char *name)
{
    struct resource made = {WISP_NEW(&arena, struct wisp_resource), make_name(name, NULL)};
    made.resource->name = wisp_str_from(name);
    struct wisp_item *item = add(items, name, WISP_ITEM_TYPE);
    item->resource = made.resource;
    item->type_name = made.named;
    return made;
}

static inline struct resource add_alias(struct items *items, const char *name, struct resource of)
{
    struct wisp_item *item = add(items, name, WISP_ITEM_TYPE);
    item->resource = of.resource;
    item->type_name = make_name(name, of.named);
    return (struct resource){of.resource, item->type_name};
}

static inline const struct wisp_type *handle(enum wisp_type_kind kind, struct resource resource)
{
    struct wisp_type *copy = WISP_NEW(&arena, struct wisp_type);
    *copy = *wisp_type_handle(&arena, kind, resource.resource);
    copy->named = resource.named;
    return copy;
}
static inline const struct wisp_type *own(struct resource resource) { return handle(WISP_TYPE_OWN, resource); }
static inline const struct wisp_type *borrow(struct resource resource) { return handle(WISP_TYPE_BORROW, resource); }

struct field {
    const char *name;
    const struct wisp_type *type;
};

static inline struct wisp_type_field *make_fields(const struct field *fields, uint32_t n)
{
    struct wisp_type_field *made = WISP_NEW_ARRAY(&arena, struct wisp_type_field, n);
    for (uint32_t i = 0; i < n; i++)
        made[i] = (struct wisp_type_field){.name = wisp_str_from(fields[i].name), .type = fields[i].type};
    return made;
}

static inline const struct wisp_type *make_compound(enum wisp_type_kind kind, const struct field *fields, uint32_t n)
{
    struct wisp_err err;
    const struct wisp_type *type = NULL;
    CHECK_OK(wisp_type_compound(&arena, kind, make_fields(fields, n), n, &type, &err), &err);
    return type;
}
#define FIELDS(...) ((const struct field[]){__VA_ARGS__}), WISP_COUNT(((const struct field[]){__VA_ARGS__}))
#define COMPOUND(kind, ...) make_compound(WISP_TYPE_##kind, FIELDS(__VA_ARGS__))

static inline const struct wisp_type *make_list(const struct wisp_type *element)
{
    struct wisp_err err;
    const struct wisp_type *type = NULL;
    CHECK_OK(wisp_type_list(&arena, element, &type, &err), &err);
    return type;
}

static inline const struct wisp_type *make_option(const struct wisp_type *some)
{
    struct wisp_err err;
    const struct wisp_type *type = NULL;
    CHECK_OK(wisp_type_option(&arena, some, &type, &err), &err);
    return type;
}

static inline const struct wisp_type *make_result(const struct wisp_type *ok, const struct wisp_type *error)
{
    struct wisp_err err;
    const struct wisp_type *type = NULL;
    CHECK_OK(wisp_type_result(&arena, ok, error, &type, &err), &err);
    return type;
}

static inline const struct wisp_func_type *make_func(const struct wisp_type *result, const struct field *params,
                                                     uint32_t n)
{
    struct wisp_err err;
    const struct wisp_func_type *type = NULL;
    CHECK_OK(wisp_type_func(&arena, make_fields(params, n), n, result, &type, &err), &err);
    return type;
}

#define ADD_FUNC(items, name, result, ...)                                                                             \
    (add(items, name, WISP_ITEM_FUNC)->func = make_func(result, FIELDS(__VA_ARGS__)))
#define ADD_PLAIN_FUNC(items, name) (add(items, name, WISP_ITEM_FUNC)->func = make_func(NULL, NULL, 0))

static inline struct wisp_item *add_interface(struct items *items, const char *name, struct items *members)
{
    struct wisp_interface *interface = WISP_NEW(&arena, struct wisp_interface);
    *interface = (struct wisp_interface){members->list, members->n};
    struct wisp_item *item = add(items, name, WISP_ITEM_INTERFACE);
    item->interface = interface;
    return item;
}
