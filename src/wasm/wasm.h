/* SPDX-License-Identifier: Apache-2.0 */
/* The core WebAssembly engine, and the only door to it: compiled modules, instances, fibers, limits, code cache.
 *
 *     engine   one per process: configuration, memory pool, code cache, a ticker for preemption
 *      ├ module   compiled code, from the cache or from bytes
 *      ├ prelinked   a module with every import bound to host functions, once: the cheap way to instances
 *      └ store    one invocation: its instances, its fiber, its limits; freed as a whole
 *
 * An engine and everything made of it belong to one thread; the ticker is the only other thread. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/ring.h"
#include "base/str.h"
#include "wasm/raw.h"

/* --- values --- */

enum { WISP_WASM_PARAMS_MAX = 17, WISP_WASM_RESULTS_MAX = 1 };

/* Kinds are the bytes of the binary format: 0x7f i32, 0x7e i64, 0x7d f32, 0x7c f64. */
struct wisp_wasm_func_type {
    uint8_t n_params, n_results;
    uint8_t params[WISP_WASM_PARAMS_MAX];
    uint8_t results[WISP_WASM_RESULTS_MAX];
};

/* A function, memory, table, global or tag of a store. A value; valid while the store is. */
struct wisp_wasm_extern {
    uint64_t storage[6];
};

/* --- engine --- */

enum {
    WISP_WASM_TICK_MS = 5,             /* a guest that doesn't yield is preempted after one to two ticks */
    WISP_WASM_STACK_BYTES = 512 << 10, /* of guest code; host functions have as much again on the same fiber */
};

struct wisp_wasm_engine_options {
    uint32_t instances_max; /* invocations alive at once; 0: 1000 */
    /* What one invocation takes of the pool; 0 means 1 each. */
    uint32_t modules, memories, tables;
    uint32_t processes;          /* with an engine like this that share the machine's memory; 0: this one alone */
    uint64_t memory_bytes_max;   /* of one linear memory; 0: 4 GiB */
    uint64_t table_elements_max; /* 0: 20,000 */
    const char *cache_dir; /* code cache; NULL: the user's (below $WISP_CACHE, $XDG_CACHE_HOME or ~/.cache); "": none */
    bool compile_only;     /* makes modules and fills the cache, can't instantiate; needs no pool */
    bool never_compiles;   /* modules come from the code cache only */
    /* Asks the kernel less often which pages guests have written; switches transparent huge pages off for the process
     * and those that it starts later. Nobody but the engine's thread, and system calls that it makes, writes to guests'
     * memory. */
    bool remembers_written;
};

struct wisp_wasm_engine;
int wisp_wasm_engine_new(struct wisp_wasm_engine **ret_engine, const struct wisp_wasm_engine_options *options,
                         struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_wasm_engine_free(struct wisp_wasm_engine *engine);
void wisp_wasm_engine_freep(struct wisp_wasm_engine **engine);
/* How instances get their memory, one line for people: "pool of 1000 instances" or why it is smaller than asked. */
const char *wisp_wasm_engine_allocation(const struct wisp_wasm_engine *engine);
/* Whether the machine's limits made the engine do with less than was asked for. */
bool wisp_wasm_engine_is_reduced(const struct wisp_wasm_engine *engine);
/* Invocations that fit at once. */
uint32_t wisp_wasm_engine_instances_max(const struct wisp_wasm_engine *engine);
const char *wisp_wasm_engine_version(void);

/* WebAssembly text (module or component) to binary. INVALID names line and column. Binary passes through. */
int wisp_wasm_text_to_binary(struct wisp_str text, struct wisp_buf *ret_binary, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- modules --- */

struct wisp_wasm_module;
/* From the code cache, or compiled and put there. *ret_was_cached may be NULL. A cache that can't be used (full,
 * read-only, writable by others) costs time, never correctness. UNAVAILABLE when it isn't in the cache and the engine
 * never compiles. */
int wisp_wasm_module_new(struct wisp_wasm_module **ret_module, struct wisp_wasm_engine *engine, struct wisp_str binary,
                         bool *ret_was_cached, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_wasm_module_free(struct wisp_wasm_module *module);

/* An export, looked up once. NULL when the module has none of that name. */
struct wisp_wasm_export;
struct wisp_wasm_export *wisp_wasm_export_new(const struct wisp_wasm_module *module, struct wisp_str name);
void wisp_wasm_export_free(struct wisp_wasm_export *export_);

/* --- host functions --- */

struct wisp_wasm_store;

/* `values` holds the arguments and receives the result. Negative traps the guest with the text in
 * wisp_wasm_store_err(store). Runs on the store's fiber when the guest was started by wisp_wasm_store_start. */
typedef int wisp_wasm_host_fn(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values);

struct wisp_wasm_host_func {
    struct wisp_wasm_func_type type;
    wisp_wasm_host_fn *fn;
    void *env; /* borrowed for the life of what it is bound into */
};

/* Host functions that stores of this engine can use as imports, by position. The functions (not the array) are
 * borrowed for its life. */
struct wisp_wasm_hosts;
int wisp_wasm_hosts_new(struct wisp_wasm_hosts **ret_hosts, struct wisp_wasm_engine *engine,
                        const struct wisp_wasm_host_func *const *funcs, size_t n, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_wasm_hosts_free(struct wisp_wasm_hosts *hosts);

struct wisp_wasm_named_host {
    struct wisp_str module, name; /* of the import */
    const struct wisp_wasm_host_func *func;
};
struct wisp_wasm_prelinked;
int wisp_wasm_prelinked_new(struct wisp_wasm_prelinked **ret_prelinked, struct wisp_wasm_engine *engine,
                            const struct wisp_wasm_module *module, const struct wisp_wasm_named_host *imports, size_t n,
                            struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_wasm_prelinked_free(struct wisp_wasm_prelinked *prelinked);

/* --- stores --- */

/* `data` is what wisp_wasm_store_data gives back. memory_bytes_max: of one linear memory, 0: the engine's. */
struct wisp_wasm_store *wisp_wasm_store_new(struct wisp_wasm_engine *engine, void *data, uint64_t memory_bytes_max);
/* Cancels what is suspended in it: its host functions see their suspension fail and return. Not from within the
 * store's own fiber. */
void wisp_wasm_store_free(struct wisp_wasm_store *store);
/* Between these, what has ended (freed stores among it) may be cleared up later, a few together, which costs less.
 * Until then stores keep their places and their memory; those that are needed for new stores are given back. Without
 * them, or outside, all is cleared up at once. */
void wisp_wasm_turn_begin(struct wisp_wasm_engine *engine);
void wisp_wasm_turn_end(struct wisp_wasm_engine *engine);
/* Calls `clear`, which may free stores and put instances back and runs no guest: now, or by the turn's end. */
void wisp_wasm_clear_later(struct wisp_wasm_engine *engine, void (*clear)(void *env), void *env);
/* What waits for that, now; nothing when called by `clear`. */
void wisp_wasm_clear_all(struct wisp_wasm_engine *engine);

void *wisp_wasm_store_data(struct wisp_wasm_store *store);
/* Where a host function puts the reason of the trap it asks for. */
struct wisp_err *wisp_wasm_store_err(struct wisp_wasm_store *store);
/* The engine's message and backtrace of the last trap; "" when there was none. Valid until the store is freed. */
const char *wisp_wasm_store_backtrace(const struct wisp_wasm_store *store);

struct wisp_wasm_instance {
    uint64_t storage[2];
};

/* Instantiates without running guest code: the module has no start function. Before wisp_wasm_store_start. */
int wisp_wasm_instantiate_prelinked(struct wisp_wasm_store *store, const struct wisp_wasm_prelinked *prelinked,
                                    struct wisp_wasm_instance *ret_instance, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_wasm_instantiate(struct wisp_wasm_store *store, const struct wisp_wasm_module *module,
                          const struct wisp_wasm_extern *imports, size_t n_imports,
                          struct wisp_wasm_instance *ret_instance, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_wasm_hosts_get(struct wisp_wasm_store *store, const struct wisp_wasm_hosts *hosts, size_t index,
                         struct wisp_wasm_extern *ret_extern);
bool wisp_wasm_export_get(struct wisp_wasm_store *store, const struct wisp_wasm_instance *instance,
                          const struct wisp_wasm_export *export_, struct wisp_wasm_extern *ret_extern);

/* Base and size in bytes; valid until guest code runs. */
void wisp_wasm_memory(struct wisp_wasm_store *store, const struct wisp_wasm_extern *memory, uint8_t **ret_base,
                      uint64_t *ret_size);

/* --- putting instances back --- */

/* What instances of a module are before guest code runs in them: an instance that guest code has ended well in can be
 * made that again, which costs a fraction of a new one. Learned from the instances themselves. All instances that one
 * original is used for are made alike: of this module, with imports that hold the same values; a start function has
 * had nothing from outside. */
struct wisp_wasm_original;
/* NULL when instances of this module can't be put back: for what they can change (expose.h), or since the kernel can't
 * tell what they have written. `module` is borrowed. */
struct wisp_wasm_original *wisp_wasm_original_new(const struct wisp_wasm_module *module);
void wisp_wasm_original_free(struct wisp_wasm_original *original);
/* How many externs each instance has to keep for it. */
uint32_t wisp_wasm_original_externs(const struct wisp_wasm_original *original);
/* Of every new instance, before guest code runs in it; fills its externs. False when it isn't like the others, since
 * a start function could get less memory or more: then it must not be put back. */
bool wisp_wasm_original_look(struct wisp_wasm_original *original, struct wisp_wasm_store *store,
                             const struct wisp_wasm_instance *instance, struct wisp_wasm_extern *ret_externs)
    __attribute__((warn_unused_result));
/* Memories and globals become what they were, all of them, or the result is false and the instance is of no more use:
 * a memory has grown, very much was written, or pages that have not been looked at yet. The number of pages that were
 * written, and stay in use, is added to *n_pages. */
bool wisp_wasm_original_put_back(struct wisp_wasm_original *original, struct wisp_wasm_store *store,
                                 const struct wisp_wasm_extern *externs, uint32_t *n_pages)
    __attribute__((warn_unused_result));
/* An instance could not be put back for want of something that the next new one will be looked at for. */
bool wisp_wasm_original_is_learning(const struct wisp_wasm_original *original);
/* The store with all its instances put back: as if nothing had been started in it. */
void wisp_wasm_store_reset(struct wisp_wasm_store *store);

/* Something with a store that waits to be used again. Member of whatever it is. */
struct wisp_wasm_idle {
    struct wisp_link link;
    uint32_t n_pages; /* that stay in use for it */
    /* It is taken out already; frees its store. */
    void (*give_up)(struct wisp_wasm_idle *idle);
};
/* Until it is removed, or given up, the oldest first: for its place in the pool, or when half of the places would be
 * idle ones', or when those would keep very much memory. */
void wisp_wasm_idle_add(struct wisp_wasm_engine *engine, struct wisp_wasm_idle *idle);
void wisp_wasm_idle_remove(struct wisp_wasm_engine *engine, struct wisp_wasm_idle *idle);

/* --- running guest code --- */

enum wisp_wasm_state {
    WISP_WASM_DONE,
    WISP_WASM_SUSPENDED, /* in wisp_wasm_suspend; resuming is useful after wisp_wasm_store_wake */
    WISP_WASM_PREEMPTED,
    WISP_WASM_FAILED,
};

/* Runs on the store's fiber and may call guest functions; 0 or negative with `err` filled. */
typedef int wisp_wasm_task_fn(void *env, struct wisp_err *err);

/* Starts `task` on the fiber and runs it until it ends, suspends or is preempted. One at a time per store; `err` and
 * `env` stay valid until it is DONE or FAILED. */
enum wisp_wasm_state wisp_wasm_store_start(struct wisp_wasm_store *store, wisp_wasm_task_fn *task, void *env,
                                           struct wisp_err *err);
enum { WISP_WASM_CALL_VALUES = 4 };
/* The same for nothing but one call of a guest function that takes at most so many values and returns at most one:
 * cheaper than a task that makes it. `values` has room for all of them, holds the arguments and receives the result;
 * it stays valid until the call is DONE or FAILED. */
enum wisp_wasm_state wisp_wasm_store_start_call(struct wisp_wasm_store *store, const struct wisp_wasm_extern *func,
                                                union wisp_raw *values, struct wisp_err *err);
/* Starts instantiating a module whose start function runs guest code; `imports` and ret_instance stay valid. */
enum wisp_wasm_state wisp_wasm_store_start_instantiate(struct wisp_wasm_store *store,
                                                       const struct wisp_wasm_module *module,
                                                       const struct wisp_wasm_extern *imports, size_t n_imports,
                                                       struct wisp_wasm_instance *ret_instance, struct wisp_err *err);
enum wisp_wasm_state wisp_wasm_store_resume(struct wisp_wasm_store *store);
/* Guest code, or a host function that it called, is on the stack now. */
bool wisp_wasm_store_is_running(const struct wisp_wasm_store *store);
/* A task or a call (not an instantiation) was started last. */
bool wisp_wasm_store_in_task(const struct wisp_wasm_store *store);
/* Guest code has been started: modules can no longer be instantiated outside of the fiber. */
bool wisp_wasm_store_is_preemptible(const struct wisp_wasm_store *store);

/* On the fiber: suspends until wisp_wasm_store_wake, at once when that was called since the last suspension.
 * Negative when the store is being freed. */
int wisp_wasm_suspend(struct wisp_wasm_store *store, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_wasm_store_wake(struct wisp_wasm_store *store);

/* On the fiber: calls a guest function. `values` holds the arguments and receives the result. GUEST with the trap's
 * message when it traps. */
int wisp_wasm_call(struct wisp_wasm_store *store, const struct wisp_wasm_extern *func, union wisp_raw *values,
                   size_t n_values, struct wisp_err *err) __attribute__((warn_unused_result));
