/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's configuration as a source of user names and passwords: $DOCKER_CONFIG or ~/.docker, config.json in it, and
 * the helper programs it names. Blocks (a helper has 10 s): for a pool thread. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

struct wisp_oci_login {
    char *user, *password; /* NULL: none known */
};

void wisp_oci_login_deinit(struct wisp_oci_login *login); /* wipes */

/* No entry for the registry is no error. */
int wisp_oci_docker_login(const char *registry, struct wisp_oci_login *ret_login, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* What a configuration says about a registry: a login, or the name of a helper to be asked. */
int wisp_oci_docker_config_read(struct wisp_str text, const char *registry, struct wisp_oci_login *ret_login,
                                char **ret_helper, struct wisp_err *err) __attribute__((warn_unused_result));
