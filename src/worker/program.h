/* SPDX-License-Identifier: Apache-2.0 */
/* A component made ready to run: file, plan, compiled code. One thread. */
#pragma once

#include "component/instance.h"
#include "component/plan.h"
#include "worker/runtime.h"

/* Zeroed is a valid empty one. */
struct wisp_program {
    void *mapping; /* of the file */
    size_t mapping_size;
    struct wisp_buf converted; /* binary made of text */
    struct wisp_component *component;
    struct wisp_linked *linked;
};

/* Loads the component, binary or text; the file must not change while it runs. `program` is to be deinited in any
 * case. */
int wisp_program_load(struct wisp_program *program, const char *path, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* LIMIT when its instances start with more memory than this. */
int wisp_program_check_memory(const struct wisp_program *program, uint64_t memory_bytes_max, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Links it and compiles it, or finds it in the code cache. UNAVAILABLE when it isn't there and the runtime doesn't
 * compile. */
int wisp_program_link(struct wisp_program *program, const struct wisp_runtime *runtime, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* After all its instances are gone. */
void wisp_program_deinit(struct wisp_program *program);

enum wisp_program_entry {
    WISP_PROGRAM_HTTP,    /* wasi:http/incoming-handler.handle */
    WISP_PROGRAM_COMMAND, /* wasi:cli/run.run */
};
/* NULL, and INVALID in `err`, when the component doesn't export it as its interface has it. */
const struct wisp_linked_export *wisp_program_entry(const struct wisp_program *program, enum wisp_program_entry entry,
                                                    struct wisp_err *err);
