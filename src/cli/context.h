/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: named ways to reach lattices, one JSON file each, as `wash` has them.
 *
 *     DIR/NAME.json   {"name", "lattice", "ctl_host", "ctl_port", "ctl_jwt", "ctl_seed", "ctl_credsfile",
 *                      "ctl_timeout" (ms), "ctl_tls_ca_file", "ctl_tls_first", "js_domain", ...}; whatever is missing,
 *                      null or "" is not set. Old name of lattice: lattice_prefix
 *     DIR/default     the name of the one that counts when none is named
 *
 * DIR is $WISP_CONTEXTS, $WASH_CONTEXTS, or ~/.config/wisp/contexts; when that one isn't there but ~/.wash/contexts is,
 * the latter. The context `host_config` is always there: without a file it sets nothing. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <jansson.h>

#define WISP_CONTEXT_BUILT_IN "host_config"
enum { WISP_HOME_PATH_MAX = 384, WISP_CONTEXTS_MAX = 1000 };

/* Where contexts are, or keys (`what`: "contexts", "keys"): `given` unless NULL, else by variables and places above.
 * Nothing is made. */
int wisp_home_directory(const char *what, const char *given, char path[WISP_HOME_PATH_MAX], struct wisp_err *err)
    __attribute__((warn_unused_result));
/* The directory and those above it, for this user only. */
int wisp_home_make(const char *path, struct wisp_err *err) __attribute__((warn_unused_result));
/* Names in the directory that end with `suffix`, without it, sorted: an array of strings. Empty when it isn't there. */
int wisp_home_list(const char *path, const char *suffix, json_t **ret_names, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* USAGE unless it is letters, digits, '_', '-', '.', not first a dot, and 100 at most. */
int wisp_home_check_name(const char *name, struct wisp_err *err) __attribute__((warn_unused_result));

/* Name of the default context. */
int wisp_context_default(const char *directory, struct wisp_buf *ret_name, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* `name` NULL: the default one. NOT_FOUND names those there are. */
int wisp_context_load(const char *directory, const char *name, json_t **ret_context, struct wisp_err *err)
    __attribute__((warn_unused_result));
