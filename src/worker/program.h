/* SPDX-License-Identifier: Apache-2.0 */
/* A component made ready to run: file, plan, compiled code, host interfaces, and what its instances may see. Serving
 * and commands share it. One thread. */
#pragma once

#include "base/arena.h"
#include "component/instance.h"
#include "component/plan.h"
#include "wasi/wasi.h"
#include "wasm/wasm.h"
#include "worker/worker.h"

/* Zeroed is a valid empty one. */
struct wisp_program {
    const struct wisp_worker_component *what; /* borrowed */
    void *mapping;                            /* of the file */
    size_t mapping_size;
    struct wisp_buf converted; /* binary made of text */
    struct wisp_host *host;
    struct wisp_component *component;
    struct wisp_wasm_engine *engine;
    struct wisp_linked *linked;
    const struct wisp_linked_export *entry; /* the function to call */
    uint32_t instances_max;                 /* that fit at once */
    struct wisp_wasi_config config;         /* its standard streams are for the caller to fill */
    struct wisp_arena arena;                /* of the config */
};

enum wisp_program_world {
    WISP_PROGRAM_HTTP,    /* the entry is wasi:http/incoming-handler.handle */
    WISP_PROGRAM_COMMAND, /* the entry is wasi:cli/run.run */
};

struct wisp_program_options {
    enum wisp_program_world world;
    uint32_t instances_max;
    uint32_t n_workers; /* that share the machine; 0: 1 */
    const char *cache_dir;
};

/* Loads, links and compiles (or finds in the code cache). INVALID when the component doesn't export the entry as its
 * interface has it. `program` is to be deinited in any case. */
int wisp_program_init(struct wisp_program *program, const struct wisp_worker_component *what,
                      const struct wisp_program_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* After all its instances are gone. */
void wisp_program_deinit(struct wisp_program *program);
#define WISP_CLEANUP_PROGRAM __attribute__((cleanup(wisp_program_deinit)))
