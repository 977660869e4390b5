/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "base/ring.h"
#include "host/secrets.h"
#include "web/web.h"

struct wisp_secrets_variable {
    char *name, *value;
};

struct wisp_secrets {
    uv_loop_t *loop;
    char *dir, *env_prefix;
    struct wisp_secrets_variable *variables;
    size_t n_variables;
    const char *backends[3];
    size_t n_backends;

    char *vault_url, *vault_token_file, *vault_token, *vault_mount;
    struct wisp_web *web;
    struct wisp_link asks; /* of Vault, in flight */
};

/* A whole file beneath a directory (AT_FDCWD: anywhere), a regular one of at most WISP_SECRETS_SIZE_MAX. */
int wisp_secrets_read_file(int dir_fd, const char *path, struct wisp_buf *bytes, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Appends the text that a field has. */
int wisp_secrets_pick(const json_t *fields, struct wisp_str field, struct wisp_buf *value, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* secrets_vault.c */
int wisp_secrets_vault_open(struct wisp_secrets *secrets, const struct wisp_secrets_options *options,
                            struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_secrets_vault_close(struct wisp_secrets *secrets);
void wisp_secrets_vault_get(struct wisp_secrets *secrets, const struct wisp_lattice_secret_place *place,
                            wisp_secrets_on_done *on_done, void *env);
