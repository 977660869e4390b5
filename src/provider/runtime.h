/* SPDX-License-Identifier: Apache-2.0 */
/* Running instances of provider kinds: for the workers of a host and for the SDK. One loop, one thread. */
#pragma once

#include "provider/provider.h"
#include "telemetry/trace.h"
#include "wrpc/serve.h"

/* A function of a kind with its type. */
struct wisp_provider_export {
    const struct wisp_provider_interface *interface;
    const struct wisp_provider_func *func;
    const struct wisp_func_type *type;
};

/* How an instance calls components. NULL function: over wRPC. */
struct wisp_provider_world {
    /* As wisp_provider_invoke, with the type at hand. UNAVAILABLE from the call itself: not here, try wRPC. */
    int (*invoke)(void *env, struct wisp_provider *provider, const struct wisp_provider_export *import,
                  const void *args, const struct wisp_provider_request *request, void **ret_handle,
                  struct wisp_err *err);
    void (*cancel)(void *env, void *handle);
    void *env;
};

/* What one call took. All is borrowed. */
struct wisp_provider_span {
    struct wisp_trace_context context;
    const uint8_t *parent_id;
    const char *interface, *func;
    struct wisp_str source_id, link_name;
    uint64_t took_ns;
    const char *failure; /* NULL: it has a result, which may be an error of the interface's own */
};

struct wisp_provider_options {
    const struct wisp_provider_kind *kind; /* with all it points to, borrowed for good */
    const char *id, *lattice, *host_id;
    uv_loop_t *loop;
    struct wisp_bus_client *bus; /* with wrpc; or both NULL */
    struct wisp_wrpc *wrpc;
    const char *bus_url;   /* may be NULL */
    const char *data_path; /* may be NULL */
    bool is_first;
    const json_t *config, *secrets; /* may be NULL; copied */
    struct wisp_provider_world world;
    /* When a call that came over wRPC, in a trace that is exported, has ended. What it does itself is then below its
     * span. NULL: nobody wants to know. */
    void (*on_span)(void *env, const struct wisp_provider_span *span);
    void *span_env;
    uint64_t call_timeout_ms; /* of calls of components that don't say; 0: 10 s */
};

/* Opens it. INTERNAL when the kind contradicts itself (a signature, a size); the kind's own errors, after which handles
 * of its may still close in the loop's next turns. */
int wisp_provider_new(struct wisp_provider **ret_provider, const struct wisp_provider_options *options,
                      struct wisp_err *err) __attribute__((warn_unused_result));
/* Before closing, for those who have time: the kind begins nothing more of its own; on_drained comes from the loop when
 * no call, no invocation and nothing held is under way, unless it is closed before. Calls are still taken. */
void wisp_provider_drain(struct wisp_provider *provider, void (*on_drained)(void *env), void *env);
/* No new calls; those in flight are cancelled, fail with UNAVAILABLE, and are waited for; then links go, the kind
 * closes, and on_closed (may be NULL) comes from the loop: the provider is gone. Once. */
void wisp_provider_close(struct wisp_provider *provider, void (*on_closed)(void *env), void *env);

/* A link as host data and `linkdefs.put` have it: source_id, target, name, wit_namespace, wit_package, interfaces,
 * source_config, target_config, and secrets in the clear under source_secrets, target_secrets (objects or null). The
 * same one again (same source, target, name, namespace, package) with other settings or interfaces replaces it; with
 * the same, nothing happens, unless it was refused: then it is tried again. INVALID when the provider is neither of its
 * ends, or it is malformed; the kind's error when it refuses it: calls over it fail with that. */
int wisp_provider_put_link(struct wisp_provider *provider, const json_t *link, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* As above, configs don't count. It was not there: nothing happens. */
void wisp_provider_del_link(struct wisp_provider *provider, const json_t *link);
/* All of them: those not in the array go. Errors of single links are logged. */
void wisp_provider_set_links(struct wisp_provider *provider, const json_t *links);
/* Copied. Links that see other settings then are replaced. When the kind refuses, all stays as it was. */
int wisp_provider_set_config(struct wisp_provider *provider, const json_t *config, const json_t *secrets,
                             struct wisp_err *err) __attribute__((warn_unused_result));
bool wisp_provider_is_healthy(struct wisp_provider *provider, struct wisp_buf *text);

/* NULL when it exports no such function. Valid for good. */
const struct wisp_provider_export *wisp_provider_find(const struct wisp_provider *provider, struct wisp_str interface,
                                                      struct wisp_str func);

/* The types of all functions of an interface, to ret_exports[interface->n_funcs]; they live in the arena. INTERNAL when
 * the table contradicts itself. */
int wisp_provider_interface_types(const struct wisp_provider_interface *interface, struct wisp_arena *arena,
                                  struct wisp_provider_export *ret_exports, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* A call from within this process. */
struct wisp_provider_caller {
    struct wisp_str source_id, link_name, traceparent;
};
/* Exactly once, perhaps before wisp_provider_call_start returns; not after cancel. `result` and what it points to are
 * valid during the callback. With `err` there is none. */
typedef void wisp_provider_on_return(const void *result, const struct wisp_err *err, void *env);
/* `args` and what they point to stay until on_return or cancel. Streams are piped here: writers in the arguments reach
 * the function as readers, and those of the result the caller. NULL when on_return has come already. */
struct wisp_provider_call *wisp_provider_call_start(struct wisp_provider *provider,
                                                    const struct wisp_provider_export *export_,
                                                    const struct wisp_provider_caller *caller, void *args,
                                                    wisp_provider_on_return *on_return, void *env);
void wisp_provider_call_cancel(struct wisp_provider_call *call);

/* Serves all exports over wRPC. The service is the caller's: to be drained and freed before the provider is closed. */
int wisp_provider_serve(struct wisp_provider *provider, struct wisp_wrpc_service *service, struct wisp_err *err)
    __attribute__((warn_unused_result));
