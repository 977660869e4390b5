/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of WIT.md, by recursive descent. Recursion is bounded by WISP_WIT_DEPTH_MAX. */
#include "wit/text/syntax.h"

#include "component/array.h"

#include <stdarg.h>
#include <stdio.h>

struct parser {
    struct wisp_wit_lexer lexer;
    struct wisp_wit_document *document;
    struct wisp_wit_decl_package *package;
    uint32_t depth;
    struct wisp_err *err;
};

int wisp_wit_fail_at(const struct wisp_wit_place *place, struct wisp_err *err, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return wisp_err_set(err, WISP_ERR_INVALID, "%s:%u:%u: %s", place->file, place->line, place->column, text);
}

/* --- tokens --- */

static bool is_next(const struct parser *p, const char *text) { return wisp_wit_token_is(&p->lexer.next, text); }

/* 1: it was there, and is taken. */
static int try_take(struct parser *p, const char *text)
{
    if (!is_next(p, text)) return 0;
    int r = wisp_wit_lexer_advance(&p->lexer);
    return r < 0 ? r : 1;
}

static int take(struct parser *p, const char *text)
{
    int r = try_take(p, text);
    if (r) return r < 0 ? r : 0;
    char expected[32];
    snprintf(expected, sizeof expected, "`%s`", text);
    return wisp_wit_lexer_fail(&p->lexer, expected);
}

static struct wisp_wit_place place_of(const struct parser *p)
{
    return (struct wisp_wit_place){p->lexer.file, p->lexer.next.line, p->lexer.next.column};
}

static int take_name(struct parser *p, const char *expected, struct wisp_str *ret_name)
{
    if (p->lexer.next.kind != WISP_WIT_TOKEN_NAME) return wisp_wit_lexer_fail(&p->lexer, expected);
    *ret_name = p->lexer.next.text;
    return wisp_wit_lexer_advance(&p->lexer);
}

static int count_decl(struct parser *p)
{
    if (++p->document->n_decls <= WISP_WIT_DECLS_MAX) return 0;
    return wisp_err_set(p->err, WISP_ERR_LIMIT, "%s:%u: more than %d types, functions and interfaces", p->lexer.file,
                        p->lexer.next.line, WISP_WIT_DECLS_MAX);
}

static struct wisp_str docs_of(struct parser *p) { return wisp_wit_docs_text(&p->document->arena, p->lexer.docs); }

/* --- types --- */

static int parse_ref(struct parser *p, struct wisp_wit_ref **ret_ref);

static int parse_args(struct parser *p, struct wisp_wit_ref *ref)
{
    uint32_t capacity = 0;
    int r;
    do {
        struct wisp_wit_ref **arg = WISP_PUSH(&p->document->arena, ref->args, ref->n_args, capacity);
        if ((r = try_take(p, "_")) < 0) return r;
        if (!r && (r = parse_ref(p, arg)) < 0) return r;
        if ((r = try_take(p, ",")) < 0) return r;
    } while (r && !is_next(p, ">"));
    return take(p, ">");
}

static int parse_ref(struct parser *p, struct wisp_wit_ref **ret_ref)
{
    struct wisp_wit_ref *ref = WISP_NEW(&p->document->arena, struct wisp_wit_ref);
    ref->place = place_of(p);
    ref->is_plain = p->lexer.next.is_escaped;
    if (++p->depth > WISP_WIT_DEPTH_MAX)
        return wisp_wit_fail_at(&ref->place, p->err, "types are nested more than %d deep", WISP_WIT_DEPTH_MAX);
    int r = take_name(p, "a type", &ref->name);
    if (r == 0 && (r = try_take(p, "<")) > 0) r = parse_args(p, ref);
    p->depth--;
    *ret_ref = ref;
    return r;
}

static int take_unique(struct parser *p, struct wisp_wit_member *members, uint32_t n, struct wisp_str *ret_name)
{
    struct wisp_wit_place place = place_of(p);
    int r = take_name(p, "a name", ret_name);
    if (r < 0) return r;
    if (n >= 4096) return wisp_wit_fail_at(&place, p->err, "more than 4096 members");
    for (uint32_t i = 0; i < n; i++)
        if (wisp_str_equal_nocase(members[i].name, *ret_name))
            return wisp_wit_fail_at(&place, p->err, "there are two `%.*s`", WISP_STR_ARG(*ret_name));
    return 0;
}

/* "name: type" between brackets, with commas; or for cases "name(type)", "name". */
enum member_form { WITH_TYPE, MAY_HAVE_PAYLOAD, NAME_ONLY };

static int parse_member(struct parser *p, enum member_form form, struct wisp_wit_member *member)
{
    if (form == NAME_ONLY) return 0;
    if (form == WITH_TYPE) {
        int r = take(p, ":");
        return r < 0 ? r : parse_ref(p, &member->type);
    }
    int r = try_take(p, "(");
    if (r <= 0) return r;
    r = parse_ref(p, &member->type);
    return r < 0 ? r : take(p, ")");
}

static int parse_members(struct parser *p, enum member_form form, const char *end, struct wisp_wit_member **ret_members,
                         uint32_t *ret_n)
{
    uint32_t n = 0, capacity = 0;
    struct wisp_wit_member *members = NULL;
    while (!is_next(p, end)) {
        struct wisp_str name;
        int r = take_unique(p, members, n, &name);
        if (r < 0) return r;
        struct wisp_wit_member *member = WISP_PUSH(&p->document->arena, members, n, capacity);
        member->name = name;
        if ((r = parse_member(p, form, member)) < 0) return r;
        if ((r = try_take(p, ",")) < 0) return r;
        if (!r) break;
    }
    *ret_members = members;
    *ret_n = n;
    return take(p, end);
}

/* --- functions --- */

static void add_func(struct wisp_wit_decl_scope *scope, struct wisp_wit_decl_func *func)
{
    if (scope->last_func)
        scope->last_func->next = func;
    else
        scope->funcs = func;
    scope->last_func = func;
}

static int check_new_func(const struct wisp_wit_decl_scope *scope, const struct wisp_wit_decl_func *func,
                          struct wisp_err *err)
{
    for (const struct wisp_wit_decl_func *other = scope->funcs; other; other = other->next)
        if (wisp_str_equal(other->name, func->name))
            return wisp_wit_fail_at(&func->place, err, "there are two functions `%.*s`", WISP_STR_ARG(func->name));
    if (wisp_map_get(&scope->types, func->name))
        return wisp_wit_fail_at(&func->place, err, "there is a type `%.*s` too", WISP_STR_ARG(func->name));
    return 0;
}

static int parse_params(struct parser *p, struct wisp_wit_decl_func *func)
{
    int r = take(p, "(");
    return r < 0 ? r : parse_members(p, WITH_TYPE, ")", &func->params, &func->n_params);
}

/* "func(...) -> type" */
static int parse_func_type(struct parser *p, struct wisp_wit_decl_func *func)
{
    int r = try_take(p, "async");
    if (r < 0 || (r = take(p, "func")) < 0 || (r = parse_params(p, func)) < 0) return r;
    r = try_take(p, "->");
    return r <= 0 ? r : parse_ref(p, &func->result);
}

static struct wisp_str joined(struct parser *p, const char *prefix, struct wisp_str a, const char *dot,
                              struct wisp_str b)
{
    return wisp_str_from(
        wisp_arena_printf(&p->document->arena, "%s%.*s%s%.*s", prefix, WISP_STR_ARG(a), dot, WISP_STR_ARG(b)));
}

static struct wisp_wit_ref *plain_ref(struct parser *p, const struct wisp_wit_decl *resource)
{
    struct wisp_wit_ref *ref = WISP_NEW(&p->document->arena, struct wisp_wit_ref);
    *ref = (struct wisp_wit_ref){.place = resource->place, .name = resource->name, .is_plain = true};
    return ref;
}

static int parse_constructor(struct parser *p, const struct wisp_wit_decl *resource, struct wisp_wit_decl_func *func)
{
    func->name = joined(p, "[constructor]", resource->name, "", WISP_STR(""));
    int r = parse_params(p, func);
    if (r < 0 || (r = try_take(p, "->")) < 0) return r;
    if (r) return parse_ref(p, &func->result);
    func->result = plain_ref(p, resource);
    return 0;
}

/* Its first parameter is the resource itself. */
static void add_self(struct parser *p, const struct wisp_wit_decl *resource, struct wisp_wit_decl_func *func)
{
    struct wisp_wit_member *params =
        WISP_NEW_ARRAY(&p->document->arena, struct wisp_wit_member, (size_t)func->n_params + 1);
    if (func->n_params) memcpy(params + 1, func->params, func->n_params * sizeof *params);
    struct wisp_wit_ref *borrow = WISP_NEW(&p->document->arena, struct wisp_wit_ref);
    *borrow = (struct wisp_wit_ref){.place = resource->place, .name = WISP_STR("borrow"), .n_args = 1};
    borrow->args = WISP_NEW_ARRAY(&p->document->arena, struct wisp_wit_ref *, 1);
    borrow->args[0] = plain_ref(p, resource);
    params[0] = (struct wisp_wit_member){WISP_STR("self"), borrow};
    func->params = params;
    func->n_params++;
}

static int parse_method(struct parser *p, const struct wisp_wit_decl *resource, struct wisp_wit_decl_func *func)
{
    struct wisp_str name;
    int r = take_name(p, "a method", &name);
    if (r < 0 || (r = take(p, ":")) < 0 || (r = try_take(p, "static")) < 0) return r;
    bool is_static = r > 0;
    func->name = joined(p, is_static ? "[static]" : "[method]", resource->name, ".", name);
    if ((r = parse_func_type(p, func)) < 0) return r;
    if (!is_static) add_self(p, resource, func);
    return 0;
}

static int skip_gates(struct parser *p, bool *ret_is_there);

static int parse_resource_body(struct parser *p, struct wisp_wit_decl_scope *scope,
                               const struct wisp_wit_decl *resource)
{
    int r;
    while (!is_next(p, "}")) {
        struct wisp_wit_decl_func *func = WISP_NEW(&p->document->arena, struct wisp_wit_decl_func);
        func->docs = docs_of(p);
        bool is_there;
        if ((r = count_decl(p)) < 0 || (r = skip_gates(p, &is_there)) < 0) return r;
        func->place = place_of(p);
        if ((r = try_take(p, "constructor")) < 0) return r;
        r = r ? parse_constructor(p, resource, func) : parse_method(p, resource, func);
        if (r < 0 || (r = take(p, ";")) < 0) return r;
        if (!is_there) continue;
        if ((r = check_new_func(scope, func, p->err)) < 0) return r;
        add_func(scope, func);
    }
    return take(p, "}");
}

/* --- definitions --- */

static int add_decl(struct parser *p, struct wisp_wit_decl_scope *scope, struct wisp_wit_decl *decl)
{
    int r = count_decl(p);
    if (r < 0) return r;
    if (!wisp_map_add(&scope->types, decl->name, decl))
        return wisp_wit_fail_at(&decl->place, p->err, "there are two types `%.*s`", WISP_STR_ARG(decl->name));
    for (const struct wisp_wit_decl_func *func = scope->funcs; func; func = func->next)
        if (wisp_str_equal(func->name, decl->name))
            return wisp_wit_fail_at(&decl->place, p->err, "there is a function `%.*s` too", WISP_STR_ARG(decl->name));
    if (scope->last)
        scope->last->next = decl;
    else
        scope->first = decl;
    scope->last = decl;
    return 0;
}

static struct wisp_wit_decl *new_decl(struct parser *p, enum wisp_wit_decl_kind kind, struct wisp_str docs)
{
    struct wisp_wit_decl *decl = WISP_NEW(&p->document->arena, struct wisp_wit_decl);
    *decl = (struct wisp_wit_decl){.kind = kind, .docs = docs, .place = place_of(p)};
    return decl;
}

static struct wisp_wit_decl_scope *new_scope(struct parser *p)
{
    struct wisp_wit_decl_scope *scope = WISP_NEW(&p->document->arena, struct wisp_wit_decl_scope);
    wisp_wit_scope_init(p->document, scope, p->package);
    return scope;
}

static const struct {
    const char *word;
    enum wisp_wit_decl_kind kind;
    enum member_form form;
} definitions[] = {
    {"record", WISP_WIT_RECORD, WITH_TYPE},     {"variant", WISP_WIT_VARIANT, MAY_HAVE_PAYLOAD},
    {"enum", WISP_WIT_ENUM, NAME_ONLY},         {"flags", WISP_WIT_FLAGS, NAME_ONLY},
    {"resource", WISP_WIT_RESOURCE, NAME_ONLY}, {"type", WISP_WIT_ALIAS, WITH_TYPE},
};

static int parse_definition_body(struct parser *p, struct wisp_wit_decl_scope *scope, struct wisp_wit_decl *decl,
                                 enum member_form form)
{
    int r;
    if (decl->kind == WISP_WIT_ALIAS) {
        r = take(p, "=");
        if (r < 0 || (r = parse_ref(p, &decl->of)) < 0) return r;
        return take(p, ";");
    }
    if (decl->kind == WISP_WIT_RESOURCE) {
        if ((r = try_take(p, ";"))) return r < 0 ? r : 0;
        r = take(p, "{");
        return r < 0 ? r : parse_resource_body(p, scope, decl);
    }
    if ((r = take(p, "{")) < 0 || (r = parse_members(p, form, "}", &decl->members, &decl->n_members)) < 0) return r;
    if (decl->n_members) return 0;
    return wisp_wit_fail_at(&decl->place, p->err, "`%.*s` has no members", WISP_STR_ARG(decl->name));
}

/* 1: there was one. */
static int try_definition(struct parser *p, struct wisp_wit_decl_scope *scope, struct wisp_str docs)
{
    for (size_t i = 0; i < WISP_COUNT(definitions); i++) {
        int r = try_take(p, definitions[i].word);
        if (r < 0) return r;
        if (!r) continue;
        struct wisp_wit_decl *decl = new_decl(p, definitions[i].kind, docs);
        if ((r = take_name(p, "a name", &decl->name)) < 0 || (r = add_decl(p, scope, decl)) < 0) return r;
        r = parse_definition_body(p, scope, decl, definitions[i].form);
        return r < 0 ? r : 1;
    }
    return 0;
}

/* --- paths and use --- */

static int parse_path(struct parser *p, struct wisp_wit_path *path)
{
    path->place = place_of(p);
    int r = take_name(p, "an interface", &path->name);
    if (r < 0 || (r = try_take(p, ":")) <= 0) return r;
    struct wisp_str name;
    if ((r = take_name(p, "a package", &name)) < 0 || (r = take(p, "/")) < 0) return r;
    path->package = joined(p, "", path->name, ":", name);
    if ((r = take_name(p, "an interface", &path->name)) < 0 || (r = try_take(p, "@")) <= 0) return r;
    return wisp_wit_lexer_version(&p->lexer, &path->version);
}

static int parse_used_names(struct parser *p, struct wisp_wit_decl_scope *scope, const struct wisp_wit_path *path)
{
    int r = 1;
    while (r && !is_next(p, "}")) {
        struct wisp_wit_decl *decl = new_decl(p, WISP_WIT_USE, (struct wisp_str){0});
        decl->from = path;
        if ((r = take_name(p, "a type", &decl->used)) < 0) return r;
        decl->name = decl->used;
        if ((r = try_take(p, "as")) < 0 || (r && (r = take_name(p, "a name", &decl->name)) < 0)) return r;
        if ((r = add_decl(p, scope, decl)) < 0 || (r = try_take(p, ",")) < 0) return r;
    }
    return take(p, "}");
}

/* After `use`. */
static int parse_use(struct parser *p, struct wisp_wit_decl_scope *scope)
{
    struct wisp_wit_path *path = WISP_NEW(&p->document->arena, struct wisp_wit_path);
    int r = parse_path(p, path);
    if (r < 0 || (r = take(p, ".")) < 0 || (r = take(p, "{")) < 0) return r;
    if ((r = parse_used_names(p, scope, path)) < 0) return r;
    return take(p, ";");
}

/* --- gates: @since(version = 1.2.3), @unstable(feature = x), @deprecated(version = 1.2.3) --- */

static int skip_gate(struct parser *p, bool *is_there)
{
    struct wisp_str kind, key, value;
    int r = take_name(p, "`since`, `unstable` or `deprecated`", &kind);
    if (r < 0 || (r = take(p, "(")) < 0 || (r = take_name(p, "a key", &key)) < 0 || (r = take(p, "=")) < 0) return r;
    r = wisp_str_is(key, "version") ? wisp_wit_lexer_version(&p->lexer, &value) : take_name(p, "a feature", &value);
    if (wisp_str_is(kind, "unstable")) *is_there = false;
    return r < 0 ? r : take(p, ")");
}

static int skip_gates(struct parser *p, bool *ret_is_there)
{
    *ret_is_there = true;
    int r;
    while ((r = try_take(p, "@")) > 0)
        if ((r = skip_gate(p, ret_is_there)) < 0) return r;
    return r;
}

/* --- interfaces and worlds --- */

static int parse_interface_item(struct parser *p, struct wisp_wit_decl_scope *scope)
{
    struct wisp_str docs = docs_of(p);
    bool is_there;
    int r = skip_gates(p, &is_there);
    if (r < 0) return r;
    if (!is_there) scope = new_scope(p); /* goes nowhere */
    if ((r = try_definition(p, scope, docs))) return r < 0 ? r : 0;
    if ((r = try_take(p, "use"))) return r < 0 ? r : parse_use(p, scope);
    struct wisp_wit_decl_func *func = WISP_NEW(&p->document->arena, struct wisp_wit_decl_func);
    func->docs = docs;
    func->place = place_of(p);
    if ((r = count_decl(p)) < 0 || (r = take_name(p, "a definition or a function", &func->name)) < 0) return r;
    if ((r = take(p, ":")) < 0 || (r = parse_func_type(p, func)) < 0 || (r = take(p, ";")) < 0) return r;
    if ((r = check_new_func(scope, func, p->err)) == 0) add_func(scope, func);
    return r;
}

static int parse_interface_body(struct parser *p, struct wisp_wit_decl_scope *scope)
{
    int r = take(p, "{");
    while (r == 0 && !is_next(p, "}")) r = parse_interface_item(p, scope);
    return r < 0 ? r : take(p, "}");
}

static int parse_interface(struct parser *p, struct wisp_str docs, bool is_there)
{
    struct wisp_wit_decl_scope *scope = new_scope(p);
    scope->docs = docs;
    scope->place = place_of(p);
    int r = take_name(p, "a name", &scope->name);
    if (r < 0 || (r = count_decl(p)) < 0) return r;
    if (is_there && !wisp_map_add(&p->package->interfaces, scope->name, scope))
        return wisp_wit_fail_at(&scope->place, p->err, "there are two interfaces `%.*s`", WISP_STR_ARG(scope->name));
    return parse_interface_body(p, scope);
}

/* After `import` or `export`: a path, or "name: func(...)", or "name: interface { ... }". */
static int parse_port(struct parser *p, struct wisp_wit_decl_world *world, bool is_export, bool is_there)
{
    struct wisp_wit_decl_port *port = WISP_NEW(&p->document->arena, struct wisp_wit_decl_port);
    port->is_export = is_export;
    struct wisp_wit_lexer before = p->lexer;
    struct wisp_wit_place place = place_of(p);
    struct wisp_str docs = docs_of(p), name;
    int r = count_decl(p);
    if (r < 0 || (r = take_name(p, "an interface or a function", &name)) < 0 || (r = try_take(p, ":")) < 0) return r;
    if (r && is_next(p, "interface")) {
        port->interface = new_scope(p);
        port->interface->name = name;
        port->interface->is_inline = true;
        r = take(p, "interface");
        if (r == 0) r = parse_interface_body(p, port->interface);
    } else if (r && (is_next(p, "func") || is_next(p, "async"))) {
        port->func = WISP_NEW(&p->document->arena, struct wisp_wit_decl_func);
        *port->func = (struct wisp_wit_decl_func){.place = place, .name = name, .docs = docs};
        r = parse_func_type(p, port->func);
        if (r == 0) r = take(p, ";");
    } else {
        p->lexer = before;
        r = parse_path(p, &port->path);
        if (r == 0) r = take(p, ";");
    }
    if (r < 0 || !is_there) return r;
    if (world->last_port)
        world->last_port->next = port;
    else
        world->ports = port;
    world->last_port = port;
    return 0;
}

/* "{ from as to, ... }" */
static int parse_renames(struct parser *p, struct wisp_wit_decl_include *include)
{
    int r = take(p, "{");
    bool goes_on = r == 0;
    while (goes_on && !is_next(p, "}")) {
        struct wisp_wit_rename *rename = WISP_NEW(&p->document->arena, struct wisp_wit_rename);
        rename->place = place_of(p);
        if ((r = count_decl(p)) < 0 || (r = take_name(p, "a name", &rename->from)) < 0 || (r = take(p, "as")) < 0 ||
            (r = take_name(p, "a name", &rename->to)) < 0)
            return r;
        rename->next = include->renames;
        include->renames = rename;
        if ((r = try_take(p, ",")) < 0) return r;
        goes_on = r > 0;
    }
    return r < 0 ? r : take(p, "}");
}

static int parse_include(struct parser *p, struct wisp_wit_decl_world *world, bool is_there)
{
    struct wisp_wit_decl_include *include = WISP_NEW(&p->document->arena, struct wisp_wit_decl_include);
    int r = parse_path(p, &include->path);
    if (r < 0 || (r = try_take(p, "with")) < 0) return r;
    bool has_renames = r > 0;
    if (has_renames && (r = parse_renames(p, include)) < 0) return r;
    if (is_there) {
        include->next = world->includes;
        world->includes = include;
    }
    if (!has_renames) return take(p, ";");
    return (r = try_take(p, ";")) < 0 ? r : 0; /* it is not needed behind braces */
}

static int parse_world_item(struct parser *p, struct wisp_wit_decl_world *world)
{
    struct wisp_str docs = docs_of(p);
    bool is_there;
    int r = skip_gates(p, &is_there);
    if (r < 0) return r;
    if ((r = try_take(p, "import"))) return r < 0 ? r : parse_port(p, world, false, is_there);
    if ((r = try_take(p, "export"))) return r < 0 ? r : parse_port(p, world, true, is_there);
    if ((r = try_take(p, "include"))) return r < 0 ? r : parse_include(p, world, is_there);
    if ((r = try_take(p, "use"))) return r < 0 ? r : parse_use(p, &world->scope);
    if ((r = try_definition(p, &world->scope, docs))) return r < 0 ? r : 0;
    return wisp_wit_lexer_fail(&p->lexer, "`import`, `export`, `include`, `use` or a definition");
}

static int add_new_world(struct parser *p, struct wisp_wit_decl_world *world)
{
    if (!wisp_map_add(&p->package->worlds, world->scope.name, world))
        return wisp_wit_fail_at(&world->scope.place, p->err, "there are two worlds `%.*s`",
                                WISP_STR_ARG(world->scope.name));
    if (p->package->last_world)
        p->package->last_world->next = world;
    else
        p->package->first_world = world;
    p->package->last_world = world;
    return 0;
}

static int parse_world(struct parser *p, struct wisp_str docs, bool is_there)
{
    struct wisp_wit_decl_world *world = WISP_NEW(&p->document->arena, struct wisp_wit_decl_world);
    wisp_wit_scope_init(p->document, &world->scope, p->package);
    world->scope.docs = docs;
    world->scope.place = place_of(p);
    int r = take_name(p, "a name", &world->scope.name);
    if (r < 0 || (r = count_decl(p)) < 0 || (is_there && (r = add_new_world(p, world)) < 0)) return r;
    r = take(p, "{");
    while (r == 0 && !is_next(p, "}")) r = parse_world_item(p, world);
    return r < 0 ? r : take(p, "}");
}

/* --- files --- */

/* "use wasi:http/types@0.2.0 as t;" */
static int parse_alias(struct parser *p)
{
    struct wisp_wit_path *path = WISP_NEW(&p->document->arena, struct wisp_wit_path);
    int r = parse_path(p, path);
    if (r < 0) return r;
    struct wisp_str name = path->name;
    if ((r = try_take(p, "as")) < 0 || (r && (r = take_name(p, "a name", &name)) < 0)) return r;
    if (!wisp_map_add(&p->package->aliases, name, path))
        return wisp_wit_fail_at(&path->place, p->err, "`%.*s` is used twice", WISP_STR_ARG(name));
    return take(p, ";");
}

static int parse_file_item(struct parser *p);

static int parse_nested(struct parser *p, struct wisp_str name, struct wisp_str version)
{
    struct wisp_wit_decl_package *outer = p->package;
    p->package = wisp_wit_package_of(p->document, name, version);
    int r = take(p, "{");
    while (r == 0 && !is_next(p, "}")) r = parse_file_item(p);
    p->package = outer;
    return r < 0 ? r : take(p, "}");
}

/* "package ns:name@version;" or the same with a body. */
static int parse_package(struct parser *p)
{
    struct wisp_wit_place place = place_of(p);
    struct wisp_str ns, name, version = {0};
    int r = take_name(p, "a namespace", &ns);
    if (r < 0 || (r = take(p, ":")) < 0 || (r = take_name(p, "a package", &name)) < 0) return r;
    name = joined(p, "", ns, ":", name);
    if ((r = try_take(p, "@")) < 0 || (r && (r = wisp_wit_lexer_version(&p->lexer, &version)) < 0)) return r;
    if (is_next(p, "{")) {
        if (++p->depth > 1) return wisp_wit_fail_at(&place, p->err, "a package inside of a package");
        r = parse_nested(p, name, version);
        p->depth--;
        return r;
    }
    struct wisp_wit_decl_package *package = p->package;
    if (package->name.len && (!wisp_str_equal(package->name, name) || !wisp_str_equal(package->version, version)))
        return wisp_wit_fail_at(&place, p->err, "another file of this folder says that the package is `%.*s`",
                                WISP_STR_ARG(package->name));
    package->name = name;
    package->version = version;
    return take(p, ";");
}

static int parse_file_item(struct parser *p)
{
    struct wisp_str docs = docs_of(p);
    bool is_there;
    int r = skip_gates(p, &is_there);
    if (r < 0) return r;
    if ((r = try_take(p, "package"))) return r < 0 ? r : parse_package(p);
    if ((r = try_take(p, "interface"))) return r < 0 ? r : parse_interface(p, docs, is_there);
    if ((r = try_take(p, "world"))) return r < 0 ? r : parse_world(p, docs, is_there);
    if ((r = try_take(p, "use"))) return r < 0 ? r : parse_alias(p);
    return wisp_wit_lexer_fail(&p->lexer, "`package`, `interface`, `world` or `use`");
}

int wisp_wit_parse_file(struct wisp_wit_document *document, struct wisp_wit_decl_package *package, const char *file,
                        struct wisp_str text, struct wisp_err *err)
{
    struct parser parser = {.document = document, .package = package, .err = err};
    int r = wisp_wit_lexer_init(&parser.lexer, file, text, err);
    while (r == 0 && parser.lexer.next.kind != WISP_WIT_TOKEN_END) r = parse_file_item(&parser);
    return r;
}
