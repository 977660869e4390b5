/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that are in two groups, and questions that two groups ask. */
#pragma once

#include "cli/lattice_client.h"

extern const struct wisp_verb wisp_verb_link_query; /* get.c; the same as `get links` */
extern const struct wisp_verb wisp_verb_get_config; /* config.c; the same as `config get` */

int wisp_get_links(struct wisp_lattice_client *client, json_t **ret_links, struct wisp_err *err)
    __attribute__((warn_unused_result));
