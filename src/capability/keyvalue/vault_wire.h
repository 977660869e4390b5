/* SPDX-License-Identifier: Apache-2.0 */
/* Vault's HTTP API, as far as reading and writing secrets of KV version 2 goes: what is in URLs and in answers. For the
 * provider of this folder, and for hosts that have their secrets there. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>

/* Whether a text can be in a URL or a header as it is. */
bool wisp_vault_is_plain(const char *text);
/* A secret's path, with slashes, to the end of a URL; false for one that has none, or leads out of the mount. */
bool wisp_vault_append_path(struct wisp_str path, struct wisp_buf *url) __attribute__((warn_unused_result));

/* The secret's fields, an object of the caller's, and its version, from the answer to GET /v1/MOUNT/data/PATH; an empty
 * object when there is no such secret, or none any more. INVALID also for mounts of version 1. */
int wisp_vault_read(long status, struct wisp_str body, json_t **ret_fields, uint64_t *ret_version, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Makes the error of {"errors": ["..."]}: DENIED (403), UNAVAILABLE (5xx) or INVALID. */
int wisp_vault_error(long status, struct wisp_str body, struct wisp_err *err);
/* Of version 1 it answers likewise, but keeps what is sent as it is, and knows nothing of versions. */
int wisp_vault_wrong_version(long status, struct wisp_err *err);
