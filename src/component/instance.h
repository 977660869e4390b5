/* SPDX-License-Identifier: Apache-2.0 */
/* Running components: link one with an engine and a host once, then take an instance for each invocation, which finds
 * it as a new one: an instance that served another one before has been put back to what it was when it was made.
 *
 * An invocation runs on a fiber of its own on the thread that started it. Host functions may suspend it; the engine
 * preempts it after a time slice. In both cases control comes back to whoever called wisp_instance_run, who runs other
 * things and resumes it later. */
#pragma once

#include "component/host.h"
#include "component/plan.h"

struct wisp_wasm_engine;

struct wisp_wasm_engine_options;
/* Fills in what one invocation of this component takes of an engine's pool. */
void wisp_component_pool_needs(const struct wisp_component *component, struct wisp_wasm_engine_options *options);

/* A component whose imports are satisfied and whose modules are compiled. Immutable; used by one thread. */
struct wisp_linked;
/* Compiles what the engine's code cache doesn't have. `component` and `host` are borrowed for its life. */
int wisp_linked_new(struct wisp_linked **ret_linked, struct wisp_wasm_engine *engine, struct wisp_component *component,
                    const struct wisp_host *host, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_linked_free(struct wisp_linked *linked);
void wisp_linked_freep(struct wisp_linked **linked);

/* An exported function of a linked component, looked up once. NULL when there is none. Freed with `linked`. */
struct wisp_linked_export;
/* As wisp_component_export. */
const struct wisp_linked_export *wisp_linked_export_find(struct wisp_linked *linked, const char *interface,
                                                         const char *name);
/* The one that is listed as `func` in component->export_funcs; NULL when it only re-exports an import. */
const struct wisp_linked_export *wisp_linked_export_of(const struct wisp_linked *linked,
                                                       const struct wisp_export_func *func);

struct wisp_instance_options {
    void *context;             /* host functions get it as call->context */
    uint64_t memory_bytes_max; /* over all linear memories; 0: the engine's limit */
    /* Called by wisp_instance_wake, on any event that lets a suspended invocation go on. Must not run the instance
     * itself: it queues it to be run by the loop. */
    void (*on_wake)(struct wisp_instance *instance, void *context);
};

enum wisp_instance_state {
    WISP_INSTANCE_DONE,      /* the function returned; result has been written */
    WISP_INSTANCE_SUSPENDED, /* a host function waits; resume after on_wake */
    WISP_INSTANCE_PREEMPTED, /* time slice used up; resume when others had their turn */
    WISP_INSTANCE_FAILED,    /* trap or error, see `err`; the instance can only be freed */
};

struct wisp_instance;
/* Never fails for want of the guest's help: code of the guest first runs in wisp_instance_run.
 * LIMIT when the engine has no free slot. */
int wisp_instance_new(struct wisp_instance **ret_instance, struct wisp_linked *linked,
                      const struct wisp_instance_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Ends the invocation, wherever it is; drops its resources (host destructors run with the context). NULL is fine. */
void wisp_instance_free(struct wisp_instance *instance);

/* Starts the call of an export. `args` and `result` are native values (types.h) that stay valid until DONE or FAILED,
 * lists and strings in the result live in the instance's arena. Once per instance may a call be in progress.
 *
 * `args` may be what another instance's call of an import gave to its host function, when wisp_func_type_equal says so
 * for both functions: the structs are the same then. That host function must see to it that this instance is done or
 * freed before it returns, and wisp_value_copy the result into its call->arena before this instance is freed. It may
 * run this instance itself, within its own fiber. */
enum wisp_instance_state wisp_instance_call(struct wisp_instance *instance, const struct wisp_linked_export *export_,
                                            const void *args, void *result, struct wisp_err *err);
/* Continues it. `err` is the one given to wisp_instance_call. */
enum wisp_instance_state wisp_instance_resume(struct wisp_instance *instance);

/* The guest has got the arguments of its call: owned representations among them are the instance's. Before (code of the
 * guest runs first) they are the caller's still. */
bool wisp_instance_has_args(const struct wisp_instance *instance);

/* Lets a suspended invocation go on: calls on_wake, at most once until it is resumed. Harmless when it isn't
 * suspended: its next suspension then returns at once. */
void wisp_instance_wake(struct wisp_instance *instance);

/* Of the linear memory that its host calls use, now; 0 when it made none that uses one. */
uint64_t wisp_instance_memory_bytes(struct wisp_instance *instance);

/* The engine's backtrace after FAILED, several lines, or empty. Valid until the instance is freed. */
const char *wisp_instance_backtrace(struct wisp_instance *instance);
