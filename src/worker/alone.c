/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/alone.h"

#include "capability/capability.h"
#include "worker/outgoing.h"

#include <stdlib.h>

#define HTTP_CLIENT "http-client"

static struct wisp_alone *alone_of(const struct wisp_call *call)
{
    const struct wisp_wasi *wasi = call->context;
    return WISP_OWNER((void *)(uintptr_t)wasi->outside, struct wisp_alone, outside);
}

/* --- whom a call goes to --- */

static int open_http_client(struct wisp_alone *alone, struct wisp_err *err)
{
    const struct wisp_provider_kind *kind = wisp_capability_find(WISP_STR(HTTP_CLIENT));
    if (alone->http_client) return 0;
    if (!kind) return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "there is no provider of the kind `" HTTP_CLIENT "`");
    const struct wisp_provider_options options = {
        .kind = kind, .id = HTTP_CLIENT, .lattice = "default", .host_id = "", .loop = alone->loop, .is_first = true};
    return wisp_provider_new(&alone->http_client, &options, err);
}

static const struct wisp_provider_export *find(struct wisp_alone *alone,
                                               const struct wisp_provider_interface *interface,
                                               const struct wisp_provider_func *func, struct wisp_err *err)
{
    const char *wanted = interface->link_interface ? interface->link_interface : interface->name;
    if (strcmp(wanted, "wasi:http/outgoing-handler") != 0) {
        wisp_err_set(err, WISP_ERR_NOT_FOUND, "nothing is linked to `%s`; `wisp run` has no links, use `wisp up`",
                     wanted);
        return NULL;
    }
    if (open_http_client(alone, err) < 0) return NULL;
    const struct wisp_provider_export *export_ =
        wisp_provider_find(alone->http_client, wisp_str_from(interface->name), wisp_str_from(func->name));
    if (!export_)
        wisp_err_set(err, WISP_ERR_INTERNAL, "`" HTTP_CLIENT "` does not have `%s` of `%s`", func->name,
                     interface->name);
    return export_;
}

static const struct wisp_provider_caller nobody;

/* --- calls that the guest stands still for --- */

static int call_alone(struct wisp_call *call, const struct wisp_provider_interface *interface,
                      const struct wisp_provider_func *func, const void *args, void *result, struct wisp_err *err)
{
    struct wisp_alone *alone = alone_of(call);
    const struct wisp_provider_export *export_ = find(alone, interface, func, err);
    struct wisp_outgoing_wait wait;
    if (!export_) {
        wisp_outgoing_discard(&alone->wire_types, interface, func, args, alone->loop);
        return WISP_OUTSIDE_FAILED;
    }
    /* Streams may be replaced in it. */
    void *own_args = wisp_arena_alloc(call->arena, export_->type->native_params_size);
    if (args) memcpy(own_args, args, export_->type->native_params_size);
    wisp_outgoing_wait_init(&wait, call, export_->type->result, result, err);
    wisp_outgoing_to_provider(&wait.outgoing, alone->http_client, export_, &nobody, own_args);
    return wisp_outgoing_wait(&wait);
}

/* --- calls that it doesn't: those of the provider itself --- */

struct wisp_outside_pending {
    struct wisp_provider_call *call;
    wisp_outside_on_done *on_done;
    void *env;
    bool is_over;
};

static void on_return(const void *result, const struct wisp_err *err, void *env)
{
    struct wisp_outside_pending *pending = env;
    bool was_started = pending->call != NULL;
    pending->is_over = true;
    pending->on_done(result, err, pending->env);
    if (was_started) free(pending);
}

static struct wisp_outside_pending *start(struct wisp_call *call, const struct wisp_provider_interface *interface,
                                          const struct wisp_provider_func *func, void *args,
                                          wisp_outside_on_done *on_done, void *env)
{
    struct wisp_alone *alone = alone_of(call);
    struct wisp_err err = {0};
    const struct wisp_provider_export *export_ = find(alone, interface, func, &err);
    if (!export_) {
        wisp_outgoing_discard(&alone->wire_types, interface, func, args, alone->loop);
        on_done(NULL, &err, env);
        return NULL;
    }
    struct wisp_outside_pending *pending = wisp_mem_calloc(1, sizeof *pending);
    pending->on_done = on_done;
    pending->env = env;
    pending->call = wisp_provider_call_start(alone->http_client, export_, &nobody, args, on_return, pending);
    if (!pending->is_over) return pending;
    free(pending);
    return NULL;
}

static void cancel(struct wisp_outside_pending *pending)
{
    wisp_provider_call_cancel(pending->call);
    free(pending);
}

/* --- life --- */

void wisp_alone_init(struct wisp_alone *alone, uv_loop_t *loop)
{
    *alone = (struct wisp_alone){.outside = {.call = call_alone, .start = start, .cancel = cancel}, .loop = loop};
}

void wisp_alone_deinit(struct wisp_alone *alone) { wisp_wire_types_deinit(&alone->wire_types); }

static void on_closed(void *env)
{
    struct wisp_alone *alone = env;
    alone->http_client = NULL;
    if (alone->on_closed) alone->on_closed(alone->env);
}

bool wisp_alone_close(struct wisp_alone *alone, void (*then)(void *env), void *env)
{
    if (!alone->http_client) return true;
    if (alone->is_closing) return false;
    alone->is_closing = true;
    alone->on_closed = then;
    alone->env = env;
    wisp_provider_close(alone->http_client, on_closed, alone);
    return false;
}
