/* SPDX-License-Identifier: Apache-2.0 */
/* A capability provider as its author writes it: functions that components call over links, and what to do when links
 * come and go. This is also the public interface of the SDK.
 *
 * One definition (struct wisp_provider_kind) runs in two places: in the workers of a host, where a component's call has
 * no hop (image reference `wisp://NAME`), and as a process of its own that speaks wasmCloud's provider protocol (sdk/).
 * Many instances of a kind may live in one process, each with an id, a configuration and links of its own.
 *
 *     struct get_args { struct wisp_str bucket, key; };
 *     struct get_result { uint32_t is_err; union { struct wisp_option_bytes value; struct keyvalue_error error; }; };
 *     static void get(struct wisp_provider_call *call, const void *args);
 *
 *     static const struct wisp_provider_func funcs[] = {
 *         { "get", "(string, string) -> result<option<list<u8>>, error>", get,
 *           WISP_HOST_SIZES(struct get_args, struct get_result) }, ...
 *
 * Signatures, and the C structs that belong to them, are those of component/host.h and component/types.h; besides,
 * stream<T> and future<T> (wrpc/stream.h). Structs whose sizes don't fit their signature are refused at start.
 *
 * Nothing here may block: everything runs on one loop, in one thread. */
#pragma once

#include "component/host.h"
#include "provider/settings.h"
#include "wrpc/stream.h"

#include <uv.h>

struct wisp_provider;
struct wisp_provider_call;
struct wisp_provider_link;

/* --- what a provider is --- */

/* Ends with wisp_provider_return or wisp_provider_fail, before it returns or later. */
typedef void wisp_provider_fn(struct wisp_provider_call *call, const void *args);

struct wisp_provider_func {
    const char *name;      /* "get" */
    const char *signature; /* "(T, ...) -> T" */
    wisp_provider_fn *fn;  /* NULL in an interface that the provider calls */
    uint32_t args_size, result_size;
};

struct wisp_provider_interface {
    const char *name; /* on the wire, with its version: "wrpc:keyvalue/store@0.2.0-draft" */
    /* Components reach it by their link for this interface: "wasi:keyvalue/store". NULL: `name` without version. */
    const char *link_interface;
    const struct wisp_provider_func *funcs;
    size_t n_funcs;
    const char *const *types; /* "error = variant{_, _, string}", as in component/host.h; NULL-terminated, or NULL */
};

/* Functions that may be NULL are not needed by this kind. */
struct wisp_provider_kind {
    const char *name;  /* "keyvalue-redis" */
    const char *about; /* a line for people: "Redis: keys as they are, buckets ignored" */
    const struct wisp_provider_interface *const *exports;
    size_t n_exports;
    const struct wisp_provider_interface *const *imports; /* what it calls at components it is linked to */
    size_t n_imports;
    /* Begins; sets provider->state. Not the place to wait for a server: what can't be reached yet is tried again by the
     * provider itself, and calls fail or wait meanwhile. An error is for settings that can't be. May be NULL. */
    int (*open)(struct wisp_provider *provider, struct wisp_err *err);
    /* It is about to be closed: no more work of its own is begun (requests and messages from outside are not taken any
     * more). What is under way may end, for some seconds: invocations, calls, and what is held. May be NULL. */
    void (*drain)(struct wisp_provider *provider);
    /* All links are gone, no call is in flight. Handles may close in the loop's next turns. May be NULL. */
    void (*close)(struct wisp_provider *provider);
    /* A link is there. An error is logged and the link is not taken (calls over it fail with that text). A link whose
     * settings change, its own or those it has from the provider, is a new one: put_link for it, then del_link for the
     * old one. May be NULL. */
    int (*put_link)(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err);
    /* Only for those put_link took. No call uses it any more, none of its handles may be left but closing ones. */
    void (*del_link)(struct wisp_provider *provider, struct wisp_provider_link *link);
    /* provider->settings are others; links that see them are replaced after this. An error: they are the old ones
     * again. May be NULL: what open read counts until the next start. */
    int (*config_changed)(struct wisp_provider *provider, struct wisp_err *err);
    /* False: not healthy, and `text` says why. May be NULL: healthy. */
    bool (*is_healthy)(struct wisp_provider *provider, struct wisp_buf *text);
};

/* --- an instance --- */

/* To be read; only `state` is the kind's to write. */
struct wisp_provider {
    const struct wisp_provider_kind *kind;
    struct wisp_str id, lattice, host_id;
    struct wisp_settings settings; /* until config_changed */
    uv_loop_t *loop;
    struct wisp_bus_client *bus; /* that of calls; NULL: there is none */
    const char *bus_url;         /* where it is, without credentials: "nats://127.0.0.1:4222"; NULL: none */
    struct wisp_wrpc *wrpc;      /* NULL without a bus */
    /* A directory of its own that exists, is private to this user and outlives restarts; NULL: there is none. Several
     * processes of this host may use it at once. */
    const char *data_path;
    /* Processes of this host run the same instance with the same links (workers): each gets its part of the calls. The
     * first does what only one of them may do. */
    bool is_first;
    void *state;
};

/* One of its links; the provider's side of it. */
struct wisp_provider_link {
    struct wisp_provider *provider;
    struct wisp_str source_id, target_id, name; /* name: "default" */
    struct wisp_str wit_namespace, wit_package;
    const struct wisp_str *interfaces;
    size_t n_interfaces;
    bool is_source;                /* the provider is its source: it calls the target */
    struct wisp_settings settings; /* the link's, then those of the provider that it does not have */
    struct wisp_settings own;      /* the link's alone */
    void *state;                   /* the kind's */
};
/* The link's interfaces have this one ("handler"). */
bool wisp_provider_link_has(const struct wisp_provider_link *link, const char *interface);

/* --- a call --- */

/* Lives until it is ended by return or fail. */
struct wisp_provider_call {
    struct wisp_provider *provider;
    const struct wisp_provider_func *func;
    const struct wisp_func_type *type;    /* the function's, also for writers in its result */
    struct wisp_str source_id, link_name; /* the caller and its link's name, as it says */
    struct wisp_provider_link *link;      /* that link; NULL: there is none. It stays while the call does */
    struct wisp_str traceparent;          /* may be empty */
    struct wisp_arena *arena;             /* the call's */
    /* To be set by a function that goes on after it returned: nobody waits for the result any more. The arguments are
     * gone when it returns; the call must still be ended. NULL: it will simply be ended some time. */
    void (*on_cancel)(struct wisp_provider_call *call);
    void *user; /* the function's */
};
/* Arguments may be used until the call is ended or cancelled. Readers among them are the function's to close, writers
 * in the result its to end or abort. */

/* `result` (NULL: the function has none) and what it points to are used before this returns. */
void wisp_provider_return(struct wisp_provider_call *call, const void *result);
/* For what the result can't express: the caller traps or gets an error of the transport. The text reaches callers in
 * the same process only. */
void wisp_provider_fail(struct wisp_provider_call *call, const struct wisp_err *err);

/* --- calling components --- */

struct wisp_provider_invocation;
/* `result` is valid as long as the arena; NULL with `err`: UNAVAILABLE (nobody runs it), TIMEOUT, GUEST, ... */
typedef void wisp_provider_on_result(const void *result, const struct wisp_err *err, void *env);
/* What a call of a component needs besides its arguments. Zeroed is valid but for the first three. */
struct wisp_provider_request {
    struct wisp_str target_id;
    struct wisp_arena *arena; /* for the result */
    wisp_provider_on_result *on_result;
    void *env;
    uint64_t timeout_ms;         /* 0: the default of calls */
    struct wisp_str traceparent; /* what it is a part of (W3C Trace Context); empty: a trace of its own */
};
/* Calls a function of one of kind->imports at a component. Arguments and request are copied or sent before it returns.
 * on_result comes exactly once, from the loop, unless it is cancelled or this fails. */
int wisp_provider_invoke(struct wisp_provider *provider, const struct wisp_provider_interface *interface,
                         const struct wisp_provider_func *func, const void *args,
                         const struct wisp_provider_request *request, struct wisp_provider_invocation **ret_invocation,
                         struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_provider_invocation_cancel(struct wisp_provider_invocation *invocation);

/* Something is under way that is neither a call nor an invocation, and draining waits for it. As often as release. */
void wisp_provider_hold(struct wisp_provider *provider);
void wisp_provider_release(struct wisp_provider *provider);
