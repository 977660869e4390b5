/* SPDX-License-Identifier: Apache-2.0 */
/* What engine/src/lib.rs adds to wasmtime's C API. Errors and ownership follow that API. */
#pragma once

#include <wasmtime.h>

/* As wasm_engine_new_with_config, which ends the process when the pool can't be reserved; this one returns NULL and sets
 * *error_ret. Takes `config` over either way. */
wasm_engine_t *wisp_engine_new(wasm_config_t *config, wasmtime_error_t **error_ret);

/* Resets memories with the kernel's PAGEMAP_SCAN where it has it, otherwise as before. */
void wisp_engine_pooling_pagemap_scan(wasmtime_pooling_allocation_config_t *config);

/* The library calls this in place of ioctl (engine/build renames the symbol); whoever links it defines it. `argument` is
 * that of ioctl. The engine makes one such call that matters: PAGEMAP_SCAN, to learn which pages of a memory to reset. */
int wisp_engine_ioctl(int fd, unsigned long request, void *argument);

/* An export of a module, found once by name, to be got from each instance without a lookup. */
typedef struct wisp_engine_module_export wisp_engine_module_export_t;
/* NULL when the module has no export of that name. The caller deletes it. */
wisp_engine_module_export_t *wisp_engine_module_export_find(const wasmtime_module_t *module, const char *name,
                                                            size_t name_len);
void wisp_engine_module_export_delete(wisp_engine_module_export_t *export_);
/* `export_` comes from the module that `instance` was made of; false otherwise. */
bool wisp_engine_instance_export_get(wasmtime_context_t *context, const wasmtime_instance_t *instance,
                                     const wisp_engine_module_export_t *export_, wasmtime_extern_t *item);

/* wasmtime_instance_new on a fiber: the start function may suspend or be preempted. Every pointer stays live until
 * the future is deleted; on failure *error_ret is set (traps too). */
wasmtime_call_future_t *wisp_engine_instance_new_async(wasmtime_context_t *context, const wasmtime_module_t *module,
                                                       const wasmtime_extern_t *imports, size_t n_imports,
                                                       wasmtime_instance_t *instance, wasm_trap_t **trap_ret,
                                                       wasmtime_error_t **error_ret);

enum { WISP_ENGINE_CALL_VALUES = 4 };
/* wasmtime_func_call_async for a function that takes up to four numbers and returns at most one, which is not checked.
 * `values` has room for four; it holds the arguments and receives the result. `func` is copied; the other pointers stay
 * live until the future is deleted. */
wasmtime_call_future_t *wisp_engine_call_async(wasmtime_context_t *context, const wasmtime_func_t *func,
                                               wasmtime_val_raw_t *values, wasm_trap_t **trap_ret,
                                               wasmtime_error_t **error_ret);

/* wasmtime_memory_data and wasmtime_memory_data_size in one. */
uint8_t *wisp_engine_memory_view(wasmtime_context_t *context, const wasmtime_memory_t *memory, uint64_t *size_ret);
