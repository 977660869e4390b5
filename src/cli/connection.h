/* SPDX-License-Identifier: Apache-2.0 */
/* How verbs reach a lattice. Each setting is what its flag says, else its variable, else the context, else built-in. */
#pragma once

#include "bus/client.h"
#include "cli/args.h"

/* As given by flags and variables; the first member of the values of every verb of the lattice. */
struct wisp_connection {
    const char *host, *jwt, *seed, *creds_path, *token;
    const char *tls_ca_path, *tls_cert_path, *tls_key_path;
    const char *topic_prefix, *js_domain, *lattice, *context;
    uint32_t port;       /* 0: not given */
    int tls_first;       /* -1: not given */
    uint64_t timeout_ms; /* 0: not given */
};
#define WISP_CONNECTION_UNSET {.tls_first = -1}

extern const struct wisp_arg_shared wisp_connection_options;

enum { WISP_CONNECTION_TIMEOUT_MS = 2000 };

/* What counts. Texts belong to the arena. */
struct wisp_connection_settings {
    struct wisp_bus_client_options bus;
    const char *lattice, *topic_prefix;
    const char *js_domain; /* may be NULL */
    uint64_t timeout_ms;
    bool is_timeout_given; /* and other than the default */
};

/* NOT_FOUND: no such context. INVALID: a context or credentials that can't be read. */
int wisp_connection_resolve(const struct wisp_connection *given, struct wisp_arena *arena,
                            struct wisp_connection_settings *ret_settings, struct wisp_err *err)
    __attribute__((warn_unused_result));
