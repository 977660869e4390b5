/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling ahead of time: the code cache gets everything that a worker will look for in it. */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct wisp_component;

struct wisp_compiled {
    uint32_t n_modules;  /* that a worker needs */
    uint32_t n_compiled; /* of these; the others were in the cache */
    uint64_t took_us;
};

int wisp_compile(struct wisp_compiled *ret_compiled, const struct wisp_component *component, struct wisp_err *err)
    __attribute__((warn_unused_result));
