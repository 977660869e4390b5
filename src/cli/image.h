/* SPDX-License-Identifier: Apache-2.0 */
/* A component's binary, or a provider's program, by the reference of its image: a file, or an artifact of a registry
 * (through the cache that hosts of this machine use too). */
#pragma once

#include "cli/args.h"
#include "host/source.h"

struct wisp_image_options {
    const char *insecure;        /* registries reached by plain HTTP, separated by commas; NULL: none */
    const char *user, *password; /* NULL: what Docker knows */
};

/* Whether it can only mean an artifact: "oci://…", or a registry's name in front of a '/'. */
bool wisp_image_is_artifact(const char *reference);
/* Errors as wisp_source_read and wisp_oci_fetch_start have them. Says on standard error that it downloads when that
 * takes long. */
int wisp_image_read(struct wisp_source *ret_source, const char *reference, const struct wisp_image_options *options,
                    struct wisp_err *err) __attribute__((warn_unused_result));
/* That it can be had, by fetching it. What is built into hosts ("wisp://…") is taken as there. */
int wisp_image_check(const char *reference, bool is_provider, const struct wisp_image_options *options,
                     struct wisp_err *err) __attribute__((warn_unused_result));
