/* SPDX-License-Identifier: Apache-2.0 */
/* What a component of an application is given beside WASI: configuration, secrets, links, a place for its log. Behind
 * wasi:config, wasmcloud:secrets, wasmcloud:bus and wasi:logging. */
#pragma once

#include "wasi/wasi.h"

/* What is on the other side of an import. */
struct wisp_wasi_link {
    struct wisp_str name;      /* "default" */
    struct wisp_str interface; /* without version: "wasi:keyvalue/store" */
    struct wisp_str target;    /* id of a component or provider */
};

struct wisp_wasi_secret {
    struct wisp_str name;
    struct wisp_bytes value; /* UTF-8 unless is_bytes */
    bool is_bytes;
};

enum wisp_wasi_log_level {
    WISP_WASI_LOG_TRACE,
    WISP_WASI_LOG_DEBUG,
    WISP_WASI_LOG_INFO,
    WISP_WASI_LOG_WARN,
    WISP_WASI_LOG_ERROR,
    WISP_WASI_LOG_CRITICAL,
};

/* Immutable, but for the count of its owners. One thread. */
struct wisp_wasi_app {
    struct wisp_str component_id;
    const struct wisp_wasi_env *config; /* sorted by name */
    size_t n_config;
    const struct wisp_wasi_secret *secrets;
    size_t n_secrets;
    const struct wisp_wasi_link *links; /* each name and interface once */
    size_t n_links;
    /* A line of the guest's own (wasi:logging), UTF-8, cut at WISP_WASI_OUTPUT_LINE_MAX. NULL: goes to wisp's log. */
    void (*on_log)(enum wisp_wasi_log_level level, struct wisp_str context, struct wisp_str message,
                   struct wisp_str component_id, void *env);
    void *on_log_env;
    struct wisp_arena arena; /* the rest is private */
    uint32_t n_owners;
};

/* A copy of `parts` (its arena and n_owners don't count) that the caller owns. Of entries with the same name the last
 * one stays. INVALID, naming the entry but no value, when a text is not UTF-8. */
int wisp_wasi_app_new(struct wisp_wasi_app **ret_app, const struct wisp_wasi_app *parts, struct wisp_err *err)
    __attribute__((warn_unused_result));
struct wisp_wasi_app *wisp_wasi_app_ref(struct wisp_wasi_app *app);
/* The last owner's wipes the secrets. NULL is fine. */
void wisp_wasi_app_unref(struct wisp_wasi_app *app);

/* NULL when there is none. `app` may be NULL. */
const struct wisp_wasi_link *wisp_wasi_app_link(const struct wisp_wasi_app *app, struct wisp_str name,
                                                struct wisp_str interface);

/* By which link the invocation reaches this interface (without version): "default" unless the guest chose another. */
struct wisp_str wisp_wasi_link_name(const struct wisp_wasi *wasi, struct wisp_str interface);
