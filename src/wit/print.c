/* SPDX-License-Identifier: Apache-2.0 */
/* The document: world, packages, interfaces. What a scope uses is only known once its types and functions are written,
 * so these go to a buffer of their own first. */
#include "wit/wit.h"

#include "wit/printer.h"

/* Sends what is written from now on to `buf`; gives back where it went before. */
static struct wisp_buf *redirect(struct wisp_wit_printer *printer, struct wisp_buf *buf)
{
    struct wisp_buf *before = printer->out;
    printer->out = buf;
    return before;
}

/* Text that was counted when it went into its own buffer. */
static void put_buffered(struct wisp_wit_printer *printer, const struct wisp_buf *buf)
{
    wisp_buf_append_str(printer->out, wisp_buf_str(buf));
}

static void put_blank_line(struct wisp_wit_printer *printer) { wisp_wit_put(printer, "\n"); }

static void put_version(struct wisp_wit_printer *printer, const struct wisp_wit_package *package)
{
    if (!package->version.len) return;
    wisp_wit_put(printer, "@");
    wisp_wit_put_str(printer, package->version);
}

/* "wasi:http": either part may be a word of the language. */
static void put_package_name(struct wisp_wit_printer *printer, const struct wisp_wit_package *package)
{
    struct wisp_str namespace, name;
    if (!wisp_str_split(package->name, ':', &namespace, &name)) {
        wisp_wit_fail(printer, WISP_ERR_INVALID, "`%.*s` is no name of a package", WISP_STR_ARG(package->name));
        return;
    }
    wisp_wit_put_name(printer, namespace);
    wisp_wit_put(printer, ":");
    wisp_wit_put_name(printer, name);
}

/* How text in `package` calls an interface: "types" or "wasi:http/types@0.2.2". */
static void put_interface_name(struct wisp_wit_printer *printer, const struct wisp_wit_scope *interface,
                               const struct wisp_wit_package *package)
{
    bool is_near = interface->package == package;
    if (!is_near) {
        put_package_name(printer, interface->package);
        wisp_wit_put(printer, "/");
    }
    wisp_wit_put_name(printer, interface->name);
    if (!is_near) put_version(printer, interface->package);
}

/* --- what every scope is made of --- */

static void put_uses(struct wisp_wit_printer *printer, const struct wisp_wit_scope *scope,
                     const struct wisp_wit_package *package)
{
    for (const struct wisp_wit_use *use = scope->uses; use && !printer->failed; use = use->next) {
        wisp_wit_put_indent(printer);
        wisp_wit_put(printer, "use ");
        put_interface_name(printer, use->from, package);
        wisp_wit_put(printer, ".{");
        for (const struct wisp_wit_used *used = use->first; used; used = used->next) {
            wisp_wit_put_name(printer, used->name);
            if (!wisp_str_equal(used->name, used->local)) {
                wisp_wit_put(printer, " as ");
                wisp_wit_put_name(printer, used->local);
            }
            if (used->next) wisp_wit_put(printer, ", ");
        }
        wisp_wit_put(printer, "};\n");
    }
}

static void put_types(struct wisp_wit_printer *printer, const struct wisp_wit_scope *scope)
{
    size_t start = printer->out->len;
    for (const struct wisp_wit_type *type = scope->types; type && !printer->failed; type = type->next) {
        if (type->origin && type->origin->scope != scope) continue; /* a `use` */
        if (printer->out->len > start) put_blank_line(printer);
        wisp_wit_put_definition(printer, type);
    }
}

/* --- interfaces --- */

static void put_interface_body(struct wisp_wit_printer *printer, struct wisp_wit_scope *scope)
{
    WISP_CLEANUP_BUF struct wisp_buf body = {0};
    int r = wisp_wit_plan_scope(printer->model, scope, printer->err);
    if (r < 0) printer->failed = r;
    struct wisp_wit_scope *outer = printer->scope;
    struct wisp_buf *out = redirect(printer, &body);
    printer->scope = scope;
    printer->indent += 2;
    put_types(printer, scope);
    for (const struct wisp_wit_func *func = scope->funcs.first; func && !printer->failed; func = func->next) {
        if (body.len) put_blank_line(printer);
        wisp_wit_put_indent(printer);
        wisp_wit_put_func(printer, func);
        wisp_wit_put(printer, ";\n");
    }
    redirect(printer, out);
    put_uses(printer, scope, scope->package);
    if (scope->uses && body.len) put_blank_line(printer);
    put_buffered(printer, &body);
    printer->indent -= 2;
    printer->scope = outer;
}

static void put_interface(struct wisp_wit_printer *printer, struct wisp_wit_scope *scope)
{
    wisp_wit_put_indent(printer);
    wisp_wit_put(printer, "interface ");
    wisp_wit_put_name(printer, scope->name);
    wisp_wit_put(printer, " {\n");
    put_interface_body(printer, scope);
    wisp_wit_put_indent(printer);
    wisp_wit_put(printer, "}\n");
}

static void put_package(struct wisp_wit_printer *printer, const struct wisp_wit_package *package)
{
    wisp_wit_put(printer, "package ");
    put_package_name(printer, package);
    put_version(printer, package);
    wisp_wit_put(printer, " {\n");
    printer->indent += 2;
    for (struct wisp_wit_scope *scope = package->first; scope && !printer->failed; scope = scope->next)
        put_interface(printer, scope);
    printer->indent -= 2;
    wisp_wit_put(printer, "}\n");
}

/* --- the world --- */

static void put_ports(struct wisp_wit_printer *printer, const struct wisp_wit_ports *ports, struct wisp_str verb)
{
    for (const struct wisp_wit_port *port = ports->first; port && !printer->failed; port = port->next) {
        wisp_wit_put_indent(printer);
        wisp_wit_put_str(printer, verb);
        wisp_wit_put(printer, " ");
        if (port->scope->package) {
            put_interface_name(printer, port->scope, &printer->model->root);
            wisp_wit_put(printer, ";\n");
        } else {
            wisp_wit_put_name(printer, port->name);
            wisp_wit_put(printer, ": interface {\n");
            put_interface_body(printer, port->scope);
            wisp_wit_put_indent(printer);
            wisp_wit_put(printer, "}\n");
        }
    }
}

static void put_world_funcs(struct wisp_wit_printer *printer, const struct wisp_wit_funcs *funcs, struct wisp_str verb)
{
    for (const struct wisp_wit_func *func = funcs->first; func && !printer->failed; func = func->next) {
        wisp_wit_put_indent(printer);
        wisp_wit_put_str(printer, verb);
        wisp_wit_put(printer, " ");
        wisp_wit_put_func(printer, func);
        wisp_wit_put(printer, ";\n");
    }
}

static void put_world(struct wisp_wit_printer *printer)
{
    WISP_CLEANUP_BUF struct wisp_buf body = {0}, exports = {0};
    struct wisp_wit_model *model = printer->model;
    int r = wisp_wit_plan_scope(model, model->world, printer->err);
    if (r < 0) printer->failed = r;
    wisp_wit_put(printer, "world root {\n");
    size_t start = printer->out->len;
    printer->indent = 2;
    printer->scope = model->world;
    put_ports(printer, &model->imported, WISP_STR("import"));

    struct wisp_buf *out = redirect(printer, &body);
    put_types(printer, model->world);
    put_world_funcs(printer, &model->world->funcs, WISP_STR("import"));
    redirect(printer, &exports);
    put_world_funcs(printer, &model->exports, WISP_STR("export"));
    put_ports(printer, &model->exported, WISP_STR("export"));
    redirect(printer, out);

    put_uses(printer, model->world, &model->root);
    if (printer->out->len > start && body.len) put_blank_line(printer);
    put_buffered(printer, &body);
    if (printer->out->len > start && exports.len) put_blank_line(printer);
    put_buffered(printer, &exports);
    printer->indent = 0;
    wisp_wit_put(printer, "}\n");
}

static void put_document(struct wisp_wit_printer *printer)
{
    struct wisp_wit_model *model = printer->model;
    wisp_wit_put(printer, "package root:component;\n\n");
    for (struct wisp_wit_scope *scope = model->root.first; scope && !printer->failed; scope = scope->next) {
        put_interface(printer, scope);
        put_blank_line(printer);
    }
    put_world(printer);
    for (const struct wisp_wit_package *package = model->packages; package && !printer->failed;
         package = package->next) {
        put_package(printer, package);
        if (package->next) wisp_wit_put(printer, "\n\n");
    }
}

int wisp_wit_print(const struct wisp_component *component, struct wisp_buf *out, struct wisp_err *err)
{
    WISP_WIT_CLEANUP_MODEL struct wisp_wit_model model = {0};
    struct wisp_err local_err;
    struct wisp_wit_printer printer = {.model = &model, .out = out, .err = err ? err : &local_err};
    size_t before = out->len;
    printer.failed = wisp_wit_model_build(&model, component, printer.err);
    if (!printer.failed) put_document(&printer);
    if (printer.failed) out->len = before;
    return printer.failed;
}
