/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/links.h"

#include "worker/outgoing.h"
#include "worker/remote.h"

#include <stdlib.h>

/* Where a call goes. */
struct destination {
    struct wisp_builtin *builtin; /* NULL: over the bus */
    const struct wisp_provider_export *export_;
    struct wisp_str target_id, link_name;
    const struct wisp_func_type *type;
};

/* --- by links --- */

static struct wisp_str link_interface(const struct wisp_provider_interface *interface)
{
    struct wisp_str name = wisp_str_from(interface->link_interface ? interface->link_interface : interface->name);
    struct wisp_str version;
    (void)wisp_str_split(name, '@', &name, &version);
    return name;
}

static int find_link(const struct wisp_invocation *caller, struct wisp_str interface, struct destination *to,
                     struct wisp_err *err)
{
    to->link_name = wisp_wasi_link_name(&caller->wasi, interface);
    const struct wisp_wasi_link *link = wisp_wasi_app_link(caller->terms->app, to->link_name, interface);
    if (!link)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "nothing is linked to `%.*s` by the name `%.*s`",
                            WISP_STR_ARG(interface), WISP_STR_ARG(to->link_name));
    to->target_id = link->target;
    return 0;
}

/* There may be two tables of the same name. */
static bool is_same(struct wisp_worker *worker, const struct wisp_provider_export *export_,
                    const struct wisp_provider_interface *interface, const struct wisp_provider_func *func)
{
    if (export_->interface == interface) return true;
    struct wisp_err err;
    const struct wisp_func_type *type = wisp_wire_type(&worker->wire_types, interface, func, &err);
    return type && wisp_func_type_same_shape(type, export_->type);
}

static int find_export(struct wisp_worker *worker, const struct wisp_provider_interface *interface,
                       const struct wisp_provider_func *func, struct destination *to, struct wisp_err *err)
{
    to->export_ = wisp_provider_find(to->builtin->provider, wisp_str_from(interface->name), wisp_str_from(func->name));
    if (!to->export_)
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "provider `%s` does not have `%s` of `%s`", to->builtin->id,
                            func->name, interface->name);
    if (!is_same(worker, to->export_, interface, func))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "provider `%s` has `%s` of `%s` with another type",
                            to->builtin->id, func->name, interface->name);
    to->type = to->export_->type;
    return 0;
}

static int find(const struct wisp_invocation *caller, const struct wisp_provider_interface *interface,
                const struct wisp_provider_func *func, struct destination *to, struct wisp_err *err)
{
    struct wisp_worker *worker = caller->worker;
    *to = (struct destination){0};
    int r = find_link(caller, link_interface(interface), to, err);
    if (r < 0) return r;
    to->builtin = wisp_builtin_find(worker, to->target_id);
    if (to->builtin) return find_export(worker, interface, func, to, err);
    if (!wisp_remote_wrpc(worker))
        return wisp_err_set(err, WISP_ERR_UNAVAILABLE,
                            "provider `%.*s` is not in this worker, and there is no bus to reach others",
                            WISP_STR_ARG(to->target_id));
    to->type = wisp_wire_type(&worker->wire_types, interface, func, err);
    return to->type ? 0 : -(int)err->kind;
}

static void start_outgoing(struct wisp_outgoing *outgoing, const struct wisp_invocation *caller,
                           const struct destination *to, const struct wisp_provider_interface *interface,
                           const struct wisp_provider_func *func, void *args, struct wisp_arena *arena)
{
    const struct wisp_wrpc_function function = {wisp_str_from(interface->name), wisp_str_from(func->name)};
    if (to->builtin)
        wisp_outgoing_to_builtin(outgoing, caller, to->builtin, to->export_, to->link_name, args);
    else
        wisp_outgoing_to_bus(outgoing, caller, to->target_id, to->link_name, &function, to->type, args, arena);
}

/* --- calls that guests stand still for --- */

static int call_link(struct wisp_call *call, const struct wisp_provider_interface *interface,
                     const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err)
{
    const struct wisp_invocation *caller = wisp_invocation_of(call->context);
    struct destination to;
    struct wisp_outgoing_wait wait;
    if (find(caller, interface, func, &to, err) < 0) {
        wisp_outgoing_discard(&caller->worker->wire_types, interface, func, args, caller->wasi.loop);
        return WISP_OUTSIDE_FAILED;
    }
    /* Streams may be replaced in it. */
    void *own_args = wisp_arena_alloc(call->arena, to.type->native_params_size);
    if (args) memcpy(own_args, args, to.type->native_params_size);
    wisp_outgoing_wait_init(&wait, call, to.type->result, result, err);
    start_outgoing(&wait.outgoing, caller, &to, interface, func, own_args, call->arena);
    return wisp_outgoing_wait(&wait);
}

/* --- calls that they don't --- */

struct wisp_outside_pending {
    struct wisp_outgoing outgoing;
    struct wisp_arena arena;
    wisp_outside_on_done *on_done;
    void *env;
    bool is_starting, is_over;
};

static void pending_free(struct wisp_outside_pending *pending)
{
    wisp_arena_deinit(&pending->arena);
    free(pending);
}

static void on_end(struct wisp_outgoing *outgoing, const void *result, const struct wisp_err *err)
{
    struct wisp_outside_pending *pending = WISP_OWNER(outgoing, struct wisp_outside_pending, outgoing);
    pending->is_over = true;
    pending->on_done(result, err, pending->env);
    if (!pending->is_starting) pending_free(pending);
}

static struct wisp_outside_pending *start(struct wisp_call *call, const struct wisp_provider_interface *interface,
                                          const struct wisp_provider_func *func, void *args,
                                          wisp_outside_on_done *on_done, void *env)
{
    const struct wisp_invocation *caller = wisp_invocation_of(call->context);
    struct destination to;
    struct wisp_err err = {0};
    if (find(caller, interface, func, &to, &err) < 0) {
        wisp_outgoing_discard(&caller->worker->wire_types, interface, func, args, caller->wasi.loop);
        on_done(NULL, &err, env);
        return NULL;
    }
    struct wisp_outside_pending *pending = wisp_mem_calloc(1, sizeof *pending);
    pending->outgoing.on_end = on_end;
    pending->on_done = on_done;
    pending->env = env;
    pending->is_starting = true;
    start_outgoing(&pending->outgoing, caller, &to, interface, func, args, &pending->arena);
    pending->is_starting = false;
    if (!pending->is_over) return pending;
    pending_free(pending);
    return NULL;
}

static void cancel(struct wisp_outside_pending *pending)
{
    wisp_outgoing_cancel(&pending->outgoing);
    pending_free(pending);
}

const struct wisp_outside wisp_links_outside = {.call = call_link, .start = start, .cancel = cancel};
