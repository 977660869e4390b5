/* SPDX-License-Identifier: Apache-2.0 */
/* What all components of a process share: the engine with its pool, and the host interfaces they may import. One
 * thread. */
#pragma once

#include "component/host.h"
#include "component/plan.h"
#include "wasm/wasm.h"

/* Zeroed is a valid empty one. */
struct wisp_runtime {
    struct wisp_host *host;
    struct wisp_wasm_engine *engine;
    uint32_t instances_max; /* that fit at once */
    /* What one component may need; zeros: whatever the engine was made for. */
    struct wisp_wasm_engine_options room;
};

/* Host interfaces of WASI and of capabilities; `fallback` (NULL: none) gets what they don't have, and is borrowed. */
int wisp_runtime_init(struct wisp_runtime *runtime, const struct wisp_host_fallback *fallback, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* An engine whose pool has slots as one component needs them, and no larger. */
int wisp_runtime_start_for(struct wisp_runtime *runtime, const struct wisp_component *component,
                           const struct wisp_wasm_engine_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* An engine for many components that are not known yet; it compiles nothing. */
int wisp_runtime_start_for_many(struct wisp_runtime *runtime, const struct wisp_wasm_engine_options *options,
                                struct wisp_err *err) __attribute__((warn_unused_result));
/* LIMIT, and what there is too much of, when this component doesn't fit into the pool's slots. */
int wisp_runtime_check(const struct wisp_runtime *runtime, const struct wisp_component *component, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* After all programs. */
void wisp_runtime_deinit(struct wisp_runtime *runtime);
