/* SPDX-License-Identifier: Apache-2.0 */
#include "wasm/expose.h"
#include "wasm/wasm_priv.h"

#include <stdlib.h>

int wisp_wasm_text_to_binary(struct wisp_str text, struct wisp_buf *ret_binary, struct wisp_err *err)
{
    if (wisp_str_starts_with(text, WISP_STR("\0asm"))) {
        wisp_buf_append_str(ret_binary, text);
        return 0;
    }
    wasm_byte_vec_t binary;
    wasmtime_error_t *error = wasmtime_wat2wasm(text.ptr, text.len, &binary);
    if (error) {
        /* The message is a small drawing of several lines: keep it, it shows the place. */
        wasm_byte_vec_t message;
        wasmtime_error_message(error, &message);
        int r = wisp_err_set(err, WISP_ERR_INVALID, "text format: %.*s", (int)message.size, message.data);
        wasm_byte_vec_delete(&message);
        wasmtime_error_delete(error);
        return r;
    }
    wisp_buf_append(ret_binary, binary.data, binary.size);
    wasm_byte_vec_delete(&binary);
    return 0;
}

/* Exposed when that is possible. Not then, the engine's own messages should say where in the module the fault is. */
static wasmtime_error_t *compile(struct wisp_wasm_engine *engine, struct wisp_str binary, const char *key,
                                 wasmtime_module_t **ret_compiled)
{
    WISP_CLEANUP_BUF struct wisp_buf exposed = {0};
    struct wisp_err why_not = {0};
    if (wisp_wasm_expose(binary, key, &exposed, &why_not) == 0) {
        wasmtime_error_t *error =
            wasmtime_module_new(engine->engine, (const uint8_t *)exposed.data, exposed.len, ret_compiled);
        if (!error) return NULL;
        wasmtime_error_delete(error);
    }
    return wasmtime_module_new(engine->engine, (const uint8_t *)binary.ptr, binary.len, ret_compiled);
}

static struct wisp_wasm_export *find_exposed(const struct wisp_wasm_module *module, const char *key, const char *what,
                                             uint32_t number)
{
    char name[WISP_WASM_EXPOSED_NAME_SIZE];
    wisp_wasm_exposed_name(key, what, number, name);
    return wisp_wasm_export_new(module, wisp_str_from(name));
}

static uint32_t find_all_exposed(struct wisp_wasm_module *module, const char *key, const char *what)
{
    uint32_t n = 0;
    struct wisp_wasm_export *found;
    while (n < WISP_WASM_EXPOSED_MAX && (found = find_exposed(module, key, what, n))) {
        uint32_t at = module->n_memories + n++;
        module->exposed = wisp_mem_realloc(module->exposed, (at + 1) * sizeof(struct wisp_wasm_export *));
        module->exposed[at] = found;
    }
    return n;
}

static void find_state(struct wisp_wasm_module *module, const char *key)
{
    struct wisp_wasm_export *all = find_exposed(module, key, WISP_WASM_EXPOSED_ALL, 0);
    if (!all) return;
    wisp_wasm_export_free(all);
    module->is_exposed = true;
    module->n_memories = find_all_exposed(module, key, WISP_WASM_EXPOSED_MEMORY);
    module->n_globals = find_all_exposed(module, key, WISP_WASM_EXPOSED_GLOBAL);
}

int wisp_wasm_module_new(struct wisp_wasm_module **ret_module, struct wisp_wasm_engine *engine, struct wisp_str binary,
                         bool *ret_was_cached, struct wisp_err *err)
{
    char key[WISP_WASM_CACHE_KEY_SIZE];
    wisp_wasm_cache_key(engine, binary, key);
    wasmtime_module_t *compiled = wisp_wasm_cache_load(engine, key);
    if (ret_was_cached) *ret_was_cached = compiled;
    if (!compiled && engine->never_compiles)
        return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "its compiled code is not in the code cache");
    if (!compiled) {
        wasmtime_error_t *error = compile(engine, binary, key, &compiled);
        if (error) return wisp_wasm_err_take(NULL, NULL, error, WISP_ERR_INVALID, err);
        wisp_wasm_cache_store(engine, key, compiled);
    }
    struct wisp_wasm_module *module = wisp_mem_calloc(1, sizeof *module);
    module->module = compiled;
    module->engine = engine;
    if (!engine->compile_only) find_state(module, key);
    *ret_module = module;
    return 0;
}

void wisp_wasm_module_free(struct wisp_wasm_module *module)
{
    if (!module) return;
    for (uint32_t i = 0; i < module->n_memories + module->n_globals; i++) wisp_wasm_export_free(module->exposed[i]);
    free(module->exposed);
    wasmtime_module_delete(module->module);
    free(module);
}

/* The handle is the engine's own object under our name. */
struct wisp_wasm_export *wisp_wasm_export_new(const struct wisp_wasm_module *module, struct wisp_str name)
{
    return (struct wisp_wasm_export *)wisp_engine_module_export_find(module->module, name.ptr, name.len);
}

void wisp_wasm_export_free(struct wisp_wasm_export *export_)
{
    if (export_) wisp_engine_module_export_delete((wisp_engine_module_export_t *)export_);
}

wasm_functype_t *wisp_wasm_functype(const struct wisp_wasm_func_type *type)
{
    /* wasm.h numbers kinds i32, i64, f32, f64 from 0; the binary format counts down from 0x7f. */
    wasm_valtype_t *params[WISP_WASM_PARAMS_MAX], *results[WISP_WASM_RESULTS_MAX];
    for (size_t i = 0; i < type->n_params; i++) params[i] = wasm_valtype_new((wasm_valkind_t)(0x7f - type->params[i]));
    for (size_t i = 0; i < type->n_results; i++)
        results[i] = wasm_valtype_new((wasm_valkind_t)(0x7f - type->results[i]));
    wasm_valtype_vec_t param_vec, result_vec;
    wasm_valtype_vec_new(&param_vec, type->n_params, params);
    wasm_valtype_vec_new(&result_vec, type->n_results, results);
    return wasm_functype_new(&param_vec, &result_vec);
}

static int define(wasmtime_linker_t *linker, struct wisp_str module, struct wisp_str name,
                  const struct wisp_wasm_host_func *func, struct wisp_err *err)
{
    wasm_functype_t *type = wisp_wasm_functype(&func->type);
    wasmtime_error_t *error =
        wasmtime_linker_define_func_unchecked(linker, module.ptr, module.len, name.ptr, name.len, type,
                                              wisp_wasm_host_callback, (void *)(uintptr_t)func, NULL);
    wasm_functype_delete(type);
    return error ? wisp_wasm_err_take(NULL, NULL, error, WISP_ERR_INTERNAL, err) : 0;
}

int wisp_wasm_prelinked_new(struct wisp_wasm_prelinked **ret_prelinked, struct wisp_wasm_engine *engine,
                            const struct wisp_wasm_module *module, const struct wisp_wasm_named_host *imports, size_t n,
                            struct wisp_err *err)
{
    struct wisp_wasm_prelinked *prelinked = wisp_mem_calloc(1, sizeof *prelinked);
    wasmtime_linker_t *linker = wasmtime_linker_new(engine->engine);
    /* A module may import one name twice. */
    wasmtime_linker_allow_shadowing(linker, true);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = define(linker, imports[i].module, imports[i].name, imports[i].func, err);
    if (r == 0) {
        wasmtime_error_t *error = wasmtime_linker_instantiate_pre(linker, module->module, &prelinked->pre);
        if (error) r = wisp_wasm_err_take(NULL, NULL, error, WISP_ERR_INVALID, err);
    }
    wasmtime_linker_delete(linker); /* what it defined is held by `pre` */
    if (r < 0) {
        wisp_wasm_prelinked_free(prelinked);
        return r;
    }
    *ret_prelinked = prelinked;
    return 0;
}

void wisp_wasm_prelinked_free(struct wisp_wasm_prelinked *prelinked)
{
    if (!prelinked) return;
    if (prelinked->pre) wasmtime_instance_pre_delete(prelinked->pre);
    free(prelinked);
}

struct wisp_wasm_hosts {
    wasmtime_linker_t *linker;
};

/* Names in the linker are positions, as bytes. */
static struct wisp_str position_name(const size_t *index)
{
    static const char digits[] = "0123456789abcdef";
    static _Thread_local char name[2 * sizeof *index];
    for (size_t i = 0; i < sizeof name; i++) name[i] = digits[*index >> (4 * i) & 15];
    return (struct wisp_str){name, sizeof name};
}

int wisp_wasm_hosts_new(struct wisp_wasm_hosts **ret_hosts, struct wisp_wasm_engine *engine,
                        const struct wisp_wasm_host_func *const *funcs, size_t n, struct wisp_err *err)
{
    struct wisp_wasm_hosts *hosts = wisp_mem_calloc(1, sizeof *hosts);
    hosts->linker = wasmtime_linker_new(engine->engine);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = define(hosts->linker, WISP_STR("host"), position_name(&i), funcs[i], err);
    if (r < 0) {
        wisp_wasm_hosts_free(hosts);
        return r;
    }
    *ret_hosts = hosts;
    return 0;
}

void wisp_wasm_hosts_free(struct wisp_wasm_hosts *hosts)
{
    if (!hosts) return;
    wasmtime_linker_delete(hosts->linker);
    free(hosts);
}

static_assert(sizeof(wasmtime_extern_t) <= sizeof(struct wisp_wasm_extern), "storage holds the engine's value");
static_assert(sizeof(wasmtime_instance_t) <= sizeof(struct wisp_wasm_instance), "storage holds the engine's value");
static_assert(sizeof(wasmtime_val_raw_t) == sizeof(union wisp_raw), "values are passed through");

void wisp_wasm_hosts_get(struct wisp_wasm_store *store, const struct wisp_wasm_hosts *hosts, size_t index,
                         struct wisp_wasm_extern *ret_extern)
{
    struct wisp_str name = position_name(&index);
    bool found = wasmtime_linker_get(hosts->linker, store->context, "host", 4, name.ptr, name.len,
                                     (wasmtime_extern_t *)ret_extern);
    assert(found);
    (void)found;
}

bool wisp_wasm_export_get(struct wisp_wasm_store *store, const struct wisp_wasm_instance *instance,
                          const struct wisp_wasm_export *export_, struct wisp_wasm_extern *ret_extern)
{
    return wisp_engine_instance_export_get(store->context, (const wasmtime_instance_t *)instance,
                                           (const wisp_engine_module_export_t *)export_,
                                           (wasmtime_extern_t *)ret_extern);
}
