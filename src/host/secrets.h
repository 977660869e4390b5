/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets backends that a host has itself, each only if its owner has set it up:
 *
 *     file    a directory; the key is a path in it. What leads out of it, also by links, is not there
 *     env     variables of the control process with a prefix; the key is what follows it
 *     vault   HashiCorp Vault or OpenBao, secrets engine KV version 2; the key is a secret's path
 *
 * Whoever may start components or providers here can read all that these have. Keys are anybody's and hostile. Values
 * are read at each request, but for variables: those are moved out of the environment at the beginning, so that no
 * child inherits them. No error has any part of a value. Owner: the loop thread. */
#pragma once

#include "lattice/lattice.h"

#include <uv.h>

#define WISP_SECRETS_MOUNT "secret"

enum { WISP_SECRETS_SIZE_MAX = 1 << 20 };

/* Borrowed. NULL: no such backend. */
struct wisp_secrets_options {
    const char *dir;
    const char *env_prefix;       /* not empty */
    const char *vault_url;        /* "https://vault:8200" */
    const char *vault_token_file; /* read at each request; NULL: VAULT_TOKEN of the environment, taken out of it */
    const char *vault_mount;      /* NULL: WISP_SECRETS_MOUNT */
    const char *const *ca_paths;  /* besides the system's certificates */
    size_t n_ca_paths;
};

struct wisp_secrets;

/* Before there are threads, since the environment changes. USAGE names the flag. */
int wisp_secrets_new(struct wisp_secrets **ret_secrets, uv_loop_t *loop, const struct wisp_secrets_options *options,
                     struct wisp_err *err) __attribute__((warn_unused_result));
/* Requests end without an outcome; the loop must run on to close what is left. NULL is fine. */
void wisp_secrets_free(struct wisp_secrets *secrets);

/* The names of those that are there. */
const char *const *wisp_secrets_backends(const struct wisp_secrets *secrets, size_t *ret_n);

/* Once, at once or later. `err` NULL: `value` is valid during the call, and wiped after it. */
typedef void wisp_secrets_on_done(struct wisp_str value, const struct wisp_err *err, void *env);
/* `place.field` of a file or a variable: the text in this field of the JSON object that it is. Of Vault's secrets the
 * field is "value" when none is named. Versions are Vault's only. */
void wisp_secrets_get(struct wisp_secrets *secrets, const struct wisp_lattice_secret_place *place,
                      wisp_secrets_on_done *on_done, void *env);
