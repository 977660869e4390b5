/* SPDX-License-Identifier: Apache-2.0 */
/* Types, functions and definitions. */
#include "wit/printer.h"

static const char *const keywords[WISP_TYPE_COUNT] = {
    [WISP_TYPE_BOOL] = "bool",       [WISP_TYPE_S8] = "s8",         [WISP_TYPE_U8] = "u8",
    [WISP_TYPE_S16] = "s16",         [WISP_TYPE_U16] = "u16",       [WISP_TYPE_S32] = "s32",
    [WISP_TYPE_U32] = "u32",         [WISP_TYPE_S64] = "s64",       [WISP_TYPE_U64] = "u64",
    [WISP_TYPE_F32] = "f32",         [WISP_TYPE_F64] = "f64",       [WISP_TYPE_CHAR] = "char",
    [WISP_TYPE_STRING] = "string",   [WISP_TYPE_LIST] = "list",     [WISP_TYPE_RECORD] = "record",
    [WISP_TYPE_TUPLE] = "tuple",     [WISP_TYPE_FLAGS] = "flags",   [WISP_TYPE_ENUM] = "enum",
    [WISP_TYPE_VARIANT] = "variant", [WISP_TYPE_OPTION] = "option", [WISP_TYPE_RESULT] = "result",
    [WISP_TYPE_OWN] = "own",         [WISP_TYPE_BORROW] = "borrow",
};

static void put_keyword(struct wisp_wit_printer *printer, enum wisp_type_kind kind)
{
    wisp_wit_put_str(printer, wisp_str_from(keywords[kind]));
}

/* --- types where they are used --- */

static bool is_handle(const struct wisp_type *type)
{
    return type->kind == WISP_TYPE_OWN || type->kind == WISP_TYPE_BORROW;
}

struct named {
    struct wisp_str name; /* empty: none */
    bool is_resource;     /* and not the handle itself: `type h = borrow<r>` */
};

static struct named named_by(const struct wisp_wit_type *found)
{
    return found ? (struct named){found->name, found->item->resource} : (struct named){0};
}

/* The name by which the printer's scope knows the type, or the resource of the handle. */
static struct named name_of(struct wisp_wit_printer *printer, const struct wisp_type *type)
{
    if (printer->model) return named_by(wisp_wit_refer(printer->model, printer->scope, type));
    if (type->named) return (struct named){type->named->name, is_handle(type) && !type->name.len};
    if (type->name.len || !is_handle(type)) return (struct named){type->name, false};
    return (struct named){type->resource->name.len ? type->resource->name : WISP_STR("unnamed"), true};
}

static void put_result(struct wisp_wit_printer *printer, const struct wisp_type *type)
{
    const struct wisp_type *ok = type->fields[0].type, *error = type->fields[1].type;
    wisp_wit_put(printer, "result");
    if (!ok && !error) return;
    wisp_wit_put(printer, "<");
    if (ok)
        wisp_wit_put_type(printer, ok);
    else
        wisp_wit_put(printer, "_");
    if (error) {
        wisp_wit_put(printer, ", ");
        wisp_wit_put_type(printer, error);
    }
    wisp_wit_put(printer, ">");
}

static void put_tuple(struct wisp_wit_printer *printer, const struct wisp_type *type)
{
    wisp_wit_put(printer, "tuple<");
    for (uint32_t i = 0; i < type->n_fields && !printer->failed; i++) {
        if (i) wisp_wit_put(printer, ", ");
        wisp_wit_put_type(printer, type->fields[i].type);
    }
    wisp_wit_put(printer, ">");
}

/* A handle spelled out; `own` may be left out where the type is used, but not where it gets a name. */
static void put_handle(struct wisp_wit_printer *printer, const struct wisp_type *type)
{
    struct named resource = name_of(printer, type);
    if (!resource.is_resource && printer->model)
        resource = named_by(wisp_wit_refer_resource(printer->model, printer->scope, type->resource));
    if (!resource.is_resource) {
        wisp_wit_fail(printer, WISP_ERR_UNSUPPORTED, "the resource `%.*s` has no name here",
                      WISP_STR_ARG(type->resource->name));
        return;
    }
    put_keyword(printer, type->kind);
    wisp_wit_put(printer, "<");
    wisp_wit_put_name(printer, resource.name);
    wisp_wit_put(printer, ">");
}

/* A type by what it is made of. Those that WIT only knows by name can't be written here. */
static void put_structure(struct wisp_wit_printer *printer, const struct wisp_type *type)
{
    switch (type->kind) {
    case WISP_TYPE_LIST:
    case WISP_TYPE_OPTION:
        put_keyword(printer, type->kind);
        wisp_wit_put(printer, "<");
        wisp_wit_put_type(printer, type->kind == WISP_TYPE_LIST ? type->element : type->fields[1].type);
        wisp_wit_put(printer, ">");
        break;
    case WISP_TYPE_RESULT:
        put_result(printer, type);
        break;
    case WISP_TYPE_TUPLE:
        put_tuple(printer, type);
        break;
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
        put_handle(printer, type);
        break;
    default:
        if (type->kind > WISP_TYPE_STRING && printer->model)
            wisp_wit_fail(printer, WISP_ERR_UNSUPPORTED, "the %s `%.*s` has no name here", keywords[type->kind],
                          WISP_STR_ARG(type->name));
        put_keyword(printer, type->kind);
    }
}

void wisp_wit_put_type(struct wisp_wit_printer *printer, const struct wisp_type *type)
{
    if (printer->failed) return;
    struct named named = name_of(printer, type);
    if (!named.name.len || (type->kind == WISP_TYPE_BORROW && named.is_resource))
        put_structure(printer, type);
    else
        wisp_wit_put_name(printer, named.name);
}

/* --- functions --- */

static void put_params(struct wisp_wit_printer *printer, const struct wisp_func_type *func, uint32_t first)
{
    wisp_wit_put(printer, "(");
    for (uint32_t i = first; i < func->n_params && !printer->failed; i++) {
        if (i > first) wisp_wit_put(printer, ", ");
        wisp_wit_put_name(printer, func->params[i].name);
        wisp_wit_put(printer, ": ");
        wisp_wit_put_type(printer, func->params[i].type);
    }
    wisp_wit_put(printer, ")");
}

void wisp_wit_put_func(struct wisp_wit_printer *printer, const struct wisp_wit_func *func)
{
    bool is_constructor = func->name.role == WISP_WIT_CONSTRUCTOR;
    const struct wisp_type *result = func->type->result;
    printer->subject = is_constructor ? func->name.resource : func->name.label;
    if (is_constructor) {
        wisp_wit_put(printer, "constructor");
    } else {
        wisp_wit_put_name(printer, func->name.label);
        wisp_wit_put_str(printer, func->name.role == WISP_WIT_STATIC ? WISP_STR(": static func") : WISP_STR(": func"));
    }
    /* The first parameter of a method is the resource. */
    put_params(printer, func->type, func->name.role == WISP_WIT_METHOD ? 1 : 0);
    /* A constructor gives its resource unless it says that it may fail. */
    if (!result || (is_constructor && result->kind == WISP_TYPE_OWN)) return;
    wisp_wit_put(printer, " -> ");
    wisp_wit_put_type(printer, result);
}

/* --- definitions --- */

static void put_resource(struct wisp_wit_printer *printer, const struct wisp_wit_type *resource)
{
    wisp_wit_put(printer, "resource ");
    wisp_wit_put_name(printer, resource->name);
    if (!resource->funcs.first) {
        wisp_wit_put(printer, ";\n");
        return;
    }
    wisp_wit_put(printer, " {\n");
    printer->indent += 2;
    for (const struct wisp_wit_func *func = resource->funcs.first; func && !printer->failed; func = func->next) {
        wisp_wit_put_indent(printer);
        wisp_wit_put_func(printer, func);
        wisp_wit_put(printer, ";\n");
    }
    printer->indent -= 2;
    wisp_wit_put_indent(printer);
    wisp_wit_put(printer, "}\n");
}

static void put_field(struct wisp_wit_printer *printer, enum wisp_type_kind kind, const struct wisp_type_field *field)
{
    wisp_wit_put_indent(printer);
    wisp_wit_put_name(printer, field->name);
    if (field->type) {
        bool is_case = kind == WISP_TYPE_VARIANT;
        wisp_wit_put_str(printer, is_case ? WISP_STR("(") : WISP_STR(": "));
        wisp_wit_put_type(printer, field->type);
        if (is_case) wisp_wit_put(printer, ")");
    }
    wisp_wit_put(printer, ",\n");
}

/* Record, flags, enum, variant. */
static void put_fields(struct wisp_wit_printer *printer, struct wisp_str name, const struct wisp_type *type)
{
    put_keyword(printer, type->kind);
    wisp_wit_put(printer, " ");
    wisp_wit_put_name(printer, name);
    wisp_wit_put(printer, " {\n");
    printer->indent += 2;
    for (uint32_t i = 0; i < type->n_fields && !printer->failed; i++) put_field(printer, type->kind, &type->fields[i]);
    printer->indent -= 2;
    wisp_wit_put_indent(printer);
    wisp_wit_put(printer, "}\n");
}

static bool has_body(enum wisp_type_kind kind)
{
    return kind == WISP_TYPE_RECORD || kind == WISP_TYPE_FLAGS || kind == WISP_TYPE_ENUM || kind == WISP_TYPE_VARIANT;
}

void wisp_wit_put_definition(struct wisp_wit_printer *printer, const struct wisp_wit_type *type)
{
    const struct wisp_item *item = type->item;
    printer->subject = type->name;
    wisp_wit_put_indent(printer);
    if (!type->origin && item->resource) {
        put_resource(printer, type);
    } else if (!type->origin && has_body(item->type->kind)) {
        put_fields(printer, type->name, item->type);
    } else {
        wisp_wit_put(printer, "type ");
        wisp_wit_put_name(printer, type->name);
        wisp_wit_put(printer, " = ");
        if (type->origin)
            wisp_wit_put_name(printer, type->origin->name);
        else
            put_structure(printer, item->type);
        wisp_wit_put(printer, ";\n");
    }
}
