/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of this folder only. */
#pragma once

#include "base/ring.h"
#include "wasm/wasm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <wispengine.h>

/* In builds with sanitizers: every remembered answer (written.c) against the kernel's, and every memory that was put
 * back (original.c) against a whole copy. */
#if defined(__SANITIZE_ADDRESS__)
#define WISP_WASM_IS_CHECKED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WISP_WASM_IS_CHECKED true
#endif
#endif
#ifndef WISP_WASM_IS_CHECKED
#define WISP_WASM_IS_CHECKED false
#endif

enum { WISP_WASM_ENDED_MAX = 4 };

struct wisp_wasm_engine {
    wasm_engine_t *engine;
    wasmtime_linker_t *linker; /* the two functions that every store needs: entry and suspend */
    char *cache_dir;           /* NULL: no cache */
    char tunables[160];        /* whatever compiled code depends on, part of the cache key */
    char allocation[200];
    bool is_reduced, is_pooled, compile_only, never_compiles, remembers_written;
    uint32_t kept_pages_max; /* of a memory that has been written to, for its instance to be put back */
    uint32_t instances_max;
    unsigned n_running; /* stores, each but one within a host function of another one */
    uint32_t n_stores;
    bool is_in_turn, is_clearing;
    uint32_t n_ended;
    struct wisp_wasm_ended {
        void (*clear)(void *env);
        void *env;
    } ended[WISP_WASM_ENDED_MAX];                  /* in this turn, to be cleared up */
    struct wisp_link idle;                         /* struct wisp_wasm_idle, the oldest first */
    uint32_t n_idle, n_idle_pages, idle_pages_max; /* pages: written ones, which stay in use */
    uint64_t memory_bytes_max;
    struct wisp_wasm_ticker {
        pthread_t thread;
        bool is_started;
        pthread_mutex_t lock; /* guards sleeping and waking up only */
        pthread_cond_t wake;
        atomic_bool is_idle, must_stop;
        atomic_uint n_runs; /* calls into guests, so that the ticker sees whether any happened */
    } ticker;
};

struct wisp_wasm_module {
    wasmtime_module_t *module;
    struct wisp_wasm_engine *engine;
    bool is_exposed; /* what its instances can change is `exposed`: memories, then globals */
    uint32_t n_memories, n_globals;
    struct wisp_wasm_export **exposed;
};

struct wisp_wasm_prelinked {
    wasmtime_instance_pre_t *pre;
};

struct wisp_wasm_store {
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    struct wisp_wasm_engine *engine;
    void *data;
    /* The call in progress. */
    wasmtime_call_future_t *future;
    wasm_trap_t *trap;
    wasmtime_error_t *error;
    wisp_wasm_task_fn *task;
    void *task_env;
    int task_result;
    struct wisp_err *task_err;
    wasmtime_func_t entry; /* must stay in place while the future lives */
    wasmtime_func_t suspend;
    bool has_entry, has_suspend, is_preemptible, is_running, is_waiting, is_woken, is_instantiation;
    char *backtrace;
    struct wisp_err err; /* last, for its size */
};

/* Takes `trap` or `error` (one of them may be NULL) and turns it into a GUEST error with the first line of its
 * message; the whole is kept as the store's backtrace when there is a store. */
int wisp_wasm_err_take(struct wisp_wasm_store *store, wasm_trap_t *trap, wasmtime_error_t *error,
                       enum wisp_err_kind kind, struct wisp_err *err);
wasm_functype_t *wisp_wasm_functype(const struct wisp_wasm_func_type *type);
/* Adapter that the engine calls; env is a struct wisp_wasm_host_func. */
wasm_trap_t *wisp_wasm_host_callback(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n_values);
/* Defines entry and suspend. */
int wisp_wasm_define_entry(struct wisp_wasm_engine *engine, struct wisp_err *err);

/* Which pages were written (written.c). From now on, on this thread, the kernel is asked only after page faults; false
 * where that can't be relied on. Counted: each call that returned true is taken back by one of forget. */
bool wisp_wasm_written_remember(void);
void wisp_wasm_written_forget(void);
/* Between these, the count of faults is read once at most: only stores are deleted and instances put back there, and no
 * guest runs. */
void wisp_wasm_written_hold(void);
void wisp_wasm_written_release(void);
/* Of this thread, with remembering on: questions that went to the kernel, and that did not; how often the count of
 * faults was read. */
struct wisp_wasm_written_counts {
    uint64_t n_asked, n_remembered, n_counted;
};
struct wisp_wasm_written_counts wisp_wasm_written_counts(void);

/* Pages in a row of a memory, of which `first` is counted from its begin. */
struct wisp_wasm_pages {
    uint32_t first, n;
};
enum { WISP_WASM_WRITTEN_MAX = 512 };
/* Which pages of a memory were written since its place in the pool was last given to the kernel: ranges, in order.
 * -1 when there are more ranges than that or more than pages_max pages, and where answers aren't remembered. */
int wisp_wasm_written_pages(const void *base, uint64_t size, uint32_t pages_max,
                            struct wisp_wasm_pages ret_ranges[WISP_WASM_WRITTEN_MAX]);

/* Whether the kernel has PAGEMAP_SCAN. */
bool wisp_wasm_written_has_scan(void);
/* For tests: from now on, the pages of this thread's engine are found as on kernels that don't have it. */
void wisp_wasm_written_do_not_scan(void);

/* Before a store is made: gives up what has ended, and what is idle, when the pool is full. */
void wisp_wasm_make_room(struct wisp_wasm_engine *engine);

/* Code cache (cache.c). load: NULL when absent or not to be trusted. */
wasmtime_module_t *wisp_wasm_cache_load(struct wisp_wasm_engine *engine, const char *key);
void wisp_wasm_cache_store(struct wisp_wasm_engine *engine, const char *key, const wasmtime_module_t *module);
enum { WISP_WASM_CACHE_KEY_SIZE = 65 };
void wisp_wasm_cache_key(const struct wisp_wasm_engine *engine, struct wisp_str binary, char *ret_key);
/* The user's cache directory for compiled code, made if need be; NULL when it can't be used. Caller frees. */
char *wisp_wasm_cache_dir(const char *wanted);
