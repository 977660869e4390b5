/* SPDX-License-Identifier: Apache-2.0 */
/* Host interfaces: C functions and resources that components import.
 *
 * A host function is registered with its WIT signature; it gets its parameters as one native C struct (see types.h)
 * and fills its result in another. The sizes of both C types are registered too and compared, when the table is read,
 * with what the signature says, so that a struct that does not match fails at start, not at run time.
 *
 *     struct append_args { struct fields *self; struct wisp_str name; struct wisp_bytes value; };
 *     struct append_result { uint32_t is_err; uint32_t error; };
 *     static int fields_append(struct wisp_call *call, const void *args, void *result);
 *
 *     { "[method]fields.append", "(borrow<fields>, string, list<u8>) -> result<_, header-error>",
 *       fields_append, WISP_HOST_SIZES(struct append_args, struct append_result) }
 *
 * Parameters borrow: strings and byte lists point into guest memory (or into the call's arena when they had to be
 * converted) and are valid until the function returns or suspends. Results are copied into guest memory after it
 * returns; what they point to must live until then (call->arena does), and must not be guest memory, such as a
 * parameter that is handed back: the guest's realloc runs first. */
#pragma once

#include "component/types.h"

struct wisp_call;

/* list<u8> */
struct wisp_bytes {
    const uint8_t *ptr;
    size_t len;
};

/* Returns 0, or traps the guest: `return wisp_call_trap(call, "...")`. */
typedef int wisp_host_fn(struct wisp_call *call, const void *args, void *result);

struct wisp_host_func {
    const char *name;      /* as in the component's import: "get-random-bytes", "[method]fields.append" */
    const char *signature; /* "(T, ...)" or "(T, ...) -> T", types in WIT syntax, without parameter names */
    wisp_host_fn *fn;
    uint32_t args_size, result_size; /* of the C structs, 0 for none */
};
#define WISP_HOST_SIZES(args, result) sizeof(args), sizeof(result)

struct wisp_host_resource {
    /* As signatures write it; unique within its interface. Signatures of other interfaces may use the name when only
     * one interface of their package, or of all, has it; an interface's own resource comes first. */
    const char *name;
    /* The guest's last handle to an owned representation is gone. Not called after own<R> was passed to a host
     * function. May not suspend. */
    void (*drop)(void *rep, void *context);
    /* Asked before a guest's own resource.drop of an owned representation: NULL, or why that traps ("its stream is
     * still open"). Not asked when the invocation ends: then drop is called for whatever is left, in any order.
     * NULL: always allowed. */
    const char *(*refuse_drop)(const void *rep);
};

struct wisp_host_interface {
    const char *name;    /* without version: "wasi:http/types" */
    const char *version; /* newest one implemented: "0.2.8"; every 0.2.x of an import is satisfied */
    const struct wisp_host_func *funcs;
    size_t n_funcs;
    const struct wisp_host_resource *resources; /* those this interface defines */
    size_t n_resources;
    /* Named types for the signatures of this interface: "header-error = variant{_, _, _}". Compound types are
     * anonymous and positional: record{T, T}, variant{T, _}, enum(N), flags(N), tuple<T>, list<T>, option<T>,
     * result, result<T>, result<_, E>, result<T, E>. Later lines may use earlier ones. NULL-terminated, or NULL. */
    const char *const *types;
};

/* All interfaces a component may import. Made once at start, immutable afterwards, shared by plans. */
struct wisp_host;
/* `interfaces` are borrowed for good. A table that contradicts itself is an INTERNAL error that names the entry. */
int wisp_host_new(struct wisp_host **ret_host, const struct wisp_host_interface *const *interfaces, size_t n,
                  struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_host_free(struct wisp_host *host);
void wisp_host_freep(struct wisp_host **host);

struct wisp_import_func;

/* Serves functions of interfaces that no table has: other components' and capability providers'. */
struct wisp_host_fallback {
    /* Whether the functions of this imported interface ("acme:shop/stock@1.2.0"; empty: the root's) go to `call`. Not
     * asked about interfaces whose name is in a table, whatever their version. */
    bool (*accepts)(struct wisp_str interface, void *env);
    /* As a wisp_host_fn, for any function. Handles are those of component/host/opaque.h: owned ones among the arguments
     * are freed when it has returned, and those in the result are the guest's. `func` is an element of component->import_funcs, `args` and `result` are the
     * structs of its type, `result` zeroed. Arguments may be used while the call is suspended: the guest stands still
     * until it returns, and a cancelled one is not freed before. */
    int (*call)(struct wisp_call *call, const struct wisp_import_func *func, const void *args, void *result, void *env);
    void *env;
};
/* Before components are bound; borrowed for the host's life. */
void wisp_host_set_fallback(struct wisp_host *host, const struct wisp_host_fallback *fallback);
/* NULL when there is none. */
const struct wisp_host_fallback *wisp_host_get_fallback(const struct wisp_host *host);

struct wisp_component;

/* Satisfies a component's imports: for every imported function of `component` (in the order of import_funcs) the host
 * function with the compatible name and the same type goes to ret_funcs, or NULL when it is the fallback's; resources
 * it imports are bound. NOT_FOUND names the import, and the versions of the interface we do have or the functions it
 * has; INVALID when types differ (both are shown); UNSUPPORTED when a handle of a resource of ours, or
 * of the guest's, would have to go through the fallback; resources of interfaces that are the fallback's are opaque
 * (component/host/opaque.h). */
int wisp_host_bind(const struct wisp_host *host, struct wisp_component *component,
                   const struct wisp_host_func **ret_funcs, struct wisp_err *err) __attribute__((warn_unused_result));

/* What a host function may use while it runs. */
struct wisp_call {
    struct wisp_instance *instance; /* caller */
    void *context;                  /* what the instance was made with: the invocation's state, e.g. struct wisp_wasi */
    struct wisp_arena *arena;       /* scratch; emptied after the host function's result has been copied */
    const char *interface, *func;   /* for messages */
};

/* Ends the guest with a trap that says this. Always returns a negative number. */
int wisp_call_trap(struct wisp_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Suspends the invocation until wisp_instance_wake(call->instance); other invocations of this thread go on. Guest
 * memory may not be touched by others meanwhile, but borrowed parameters must be copied before, for the guest may be
 * gone: negative when the invocation was cancelled; return that number at once. May return early; check again. */
int wisp_call_suspend(struct wisp_call *call) __attribute__((warn_unused_result));
