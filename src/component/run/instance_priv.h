/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by linked.c and instance.c only. */
#pragma once

#include "component/canon.h"
#include "component/instance.h"
#include "wasm/wasm.h"

enum { NO_SLOT = UINT32_MAX };

/* An export of a core instance, found once by name; each instance keeps what it got for it at the same position. */
struct slot {
    uint32_t step;
    struct wisp_wasm_export *export_;
    struct wisp_str name;
};

/* Positions of what canonical options name, NO_SLOT when absent. */
struct option_slots {
    uint32_t memory, realloc, post_return;
};

struct trampoline {
    const struct wisp_trampoline *plan;
    const struct wisp_linked *linked;
    /* HOST */
    const struct wisp_import_func *import;
    const struct wisp_host_func *func;       /* NULL: the fallback's */
    const char *interface, *name;            /* for messages */
    const struct wisp_linked_export *callee; /* GUEST */
    struct option_slots slots;               /* HOST, GUEST: of the caller */
    bool is_recursive;       /* GUEST, RESOURCE_DROP: from a component instance into itself, a parent or child: traps */
    uint32_t n_steps_needed; /* steps that must be made before it can be called */
    struct wisp_wasm_host_func core;
};

struct step_import {
    bool is_trampoline;
    uint32_t index; /* of the trampoline, or of the slot */
};

struct step {
    struct wisp_wasm_module *module;       /* shared between steps of one module */
    struct wisp_wasm_prelinked *prelinked; /* every import is a trampoline and no start function: one engine call */
    struct step_import *imports;           /* otherwise */
    uint32_t n_imports;
    bool has_start;
    struct wisp_wasm_original *original; /* NULL: an instance of this step can't be put back */
};

/* A function that a guest defines: exported, or for other components within this one. */
struct wisp_linked_export {
    const struct wisp_lifted_func *lifted;
    const char *name; /* for messages */
    struct option_slots slots;
    uint32_t core; /* slot */
    /* Few values in, one out at most, and no guest code but the function itself: no start-up, realloc or post-return.
     * So are HTTP handlers, and their call needs no task around it. */
    bool is_plain;
};

struct wisp_linked {
    struct wisp_arena arena;
    struct wisp_wasm_engine *engine;
    const struct wisp_component *component;
    const struct wisp_host_fallback *fallback; /* NULL: no import needs it */
    struct wisp_wasm_module **modules;         /* by the component's module index; NULL where no step uses it */
    struct trampoline *trampolines;
    struct step *steps;
    struct wisp_wasm_hosts *hosts; /* the trampolines, for steps without prelinking; NULL when there are none */
    struct slot *slots;
    uint32_t n_slots, slots_capacity;
    /* Instances that have ended well and were put back wait here for the next call, the last one first. */
    struct wisp_link idle;
    bool can_put_back;    /* all steps can, and it is worth trying */
    bool has_start;       /* some step has */
    bool is_looked_at;    /* an instance was */
    uint64_t first_limit; /* of its memories */
    uint32_t n_originals; /* externs of an instance's originals */
    uint32_t n_not_back;  /* how often it could not be done, in a row */
    struct {
        uint64_t made, put_back;
    } counts;
    uint32_t start;                    /* slot of component->start */
    uint32_t memory;                   /* slot of the memory that host calls use; NO_SLOT: none does */
    uint32_t *destructors;             /* slots of component->destructors */
    struct wisp_linked_export *lifted; /* by the component's index of lifted functions */
};

struct wisp_instance {
    struct wisp_linked *linked;
    struct wisp_wasm_store *store;
    struct wisp_instance_options options;
    struct wisp_arena arena;      /* results of exports */
    struct wisp_arena call_arena; /* parameters and results of the host call in progress */
    uint32_t next_step, n_made;   /* steps begun, steps done */
    bool is_suspended, is_wake_sent;
    bool may_not_leave; /* in realloc or post-return: no calls out of the guest */
    bool has_failed, has_started, has_args;
    bool is_looked_at;                /* by its originals: all steps are made */
    bool can_put_back;                /* as all like it, see wisp_wasm_original_look */
    bool has_called_early;            /* start functions called out */
    struct wisp_link idle_here;       /* in linked->idle */
    struct wisp_wasm_idle idle;       /* the engine's */
    struct wisp_wasm_extern *imports; /* of the step being instantiated */
    /* The call in progress. */
    const struct wisp_linked_export *export_;
    const void *args;
    void *result;
    struct wisp_err *err;
    struct wisp_borrow_scope scope;
    union wisp_raw values[WISP_WASM_CALL_VALUES]; /* of a plain one */
    /* Arrays behind this struct. */
    struct wisp_handles *handles;              /* by component instance */
    struct wisp_wasm_instance *core_instances; /* by step */
    struct wisp_wasm_extern *externs;          /* by slot, valid where has_extern */
    bool *has_extern;
    struct wisp_wasm_extern *originals; /* what can change, by step */
};

/* All steps are made and no guest code has run (life.c). */
void wisp_instance_look(struct wisp_instance *instance);
/* Those that wait to be used again. */
void wisp_instances_free_idle(struct wisp_linked *linked);

/* The core function behind every trampoline (instance.c). */
int wisp_instance_enter_host(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values);
int wisp_instance_enter_guest(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values);
int wisp_instance_resource_new(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values);
int wisp_instance_resource_rep(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values);
int wisp_instance_resource_drop(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values);
