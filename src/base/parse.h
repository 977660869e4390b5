/* SPDX-License-Identifier: Apache-2.0 */
/* Values as people write them in flags, variables and manifests. All refuse trailing text and overflow. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* Decimal digits only. */
int wisp_parse_u64(struct wisp_str text, uint64_t max, uint64_t *ret_value, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Bytes: a number with an optional suffix K, M, G, T (powers of 1024; Ki, KiB, KB also understood as such). */
int wisp_parse_size(struct wisp_str text, uint64_t *ret_bytes, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Milliseconds: a number with ms, s, m or h; a bare number means seconds. */
int wisp_parse_duration(struct wisp_str text, uint64_t *ret_ms, struct wisp_err *err)
    __attribute__((warn_unused_result));
