/* SPDX-License-Identifier: Apache-2.0 */
/* What `wisp inspect` says of something that runs, and of providers. */
#pragma once

#include "cli/connection.h"

/* Where it runs, its image, its links, and names of the configs it gets. NOT_FOUND when no host runs it. */
int wisp_inspect_running(const struct wisp_connection *connection, const char *id, bool is_json, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* By how it begins. OTHER: also what can't be read. */
enum wisp_inspect_form {
    WISP_INSPECT_OTHER,
    WISP_INSPECT_ARCHIVE, /* of a provider */
    WISP_INSPECT_PROGRAM, /* of this machine's, or a script */
};
enum wisp_inspect_form wisp_inspect_form(const char *path);
/* A provider archive's claims, verified, and what it has executables for. Errors of wisp_oci_par_read. */
int wisp_inspect_archive(const char *path, bool is_json, struct wisp_err *err) __attribute__((warn_unused_result));
