/* SPDX-License-Identifier: Apache-2.0 */
/* What users write, taken apart and checked: every part may go into a URL or a path as it is. */
#pragma once

#include "base/arena.h"
#include "oci/oci.h"

/* Strings are the arena's. Either `path`, or the others. */
struct wisp_oci_reference {
    const char *path;       /* absolute */
    const char *registry;   /* lower case, HOST[:PORT]; short names belong to docker.io */
    const char *repository; /* lower case */
    const char *tag;        /* in the case it was written in; "latest" when there was neither tag nor digest, or NULL */
    const char *digest;     /* "sha256:HEX" or NULL */
    const char *text;       /* all of it, the same for different spellings */
};

/* INVALID says which part is wrong. */
int wisp_oci_reference_parse(struct wisp_arena *arena, struct wisp_str text, struct wisp_oci_reference *ret_reference,
                             struct wisp_err *err) __attribute__((warn_unused_result));
/* Where the registry's API is: that of Docker's has another name. */
const char *wisp_oci_registry_host(const char *registry);
