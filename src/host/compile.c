/* SPDX-License-Identifier: Apache-2.0 */
#include "host/compile.h"

#include "component/plan.h"
#include "wasm/wasm.h"

#include <stdlib.h>
#include <uv.h>

static int compile_module(struct wisp_wasm_engine *engine, struct wisp_str binary, bool *ret_was_cached,
                          struct wisp_err *err)
{
    struct wisp_wasm_module *module;
    int r = wisp_wasm_module_new(&module, engine, binary, ret_was_cached, err);
    if (r == 0) wisp_wasm_module_free(module);
    return r;
}

int wisp_compile(struct wisp_compiled *ret_compiled, const struct wisp_component *component, struct wisp_err *err)
{
    struct wisp_compiled compiled = {0};
    uint64_t start_ns = uv_hrtime();
    __attribute__((cleanup(wisp_wasm_engine_freep))) struct wisp_wasm_engine *engine = NULL;
    WISP_CLEANUP_FREE bool *is_done = wisp_mem_calloc(component->n_modules, sizeof *is_done);
    int r = wisp_wasm_engine_new(&engine, &(struct wisp_wasm_engine_options){.compile_only = true}, err);
    if (r < 0) return r;
    for (uint32_t i = 0; i < component->n_steps; i++) {
        uint32_t module = component->steps[i].module;
        if (is_done[module]) continue;
        is_done[module] = true;
        bool was_cached = false;
        r = compile_module(engine, component->modules[module].bytes, &was_cached, err);
        if (r < 0) return wisp_err_wrap(err, "core module %u", module);
        compiled.n_modules++;
        compiled.n_compiled += !was_cached;
    }
    compiled.took_us = (uv_hrtime() - start_ns) / 1000;
    *ret_compiled = compiled;
    return 0;
}
