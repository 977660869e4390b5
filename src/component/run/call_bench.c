/* SPDX-License-Identifier: Apache-2.0 */
/* What a call from one component to another costs, string there and string back: composed into one component, and as
 * two components of which the callee is as new for each call. Prints "composed_ns VALUE", "linked_ns
 * VALUE". usage: component_call_bench */
#include "base/mem.h"
#include "component/instance.h"
#include "wasm/wasm.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LIBC                                                                                                           \
    " (core module $libc (memory (export \"memory\") 17) (data (i32.const 64) \"hello, other component\")\n"           \
    "  (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))\n"                           \
    " (core instance $libc (instantiate $libc))\n"
#define MEMORY " (memory (core memory $libc \"memory\")) (realloc (core func $libc \"realloc\"))"
#define FUNC "(func (param \"text\" string) (result string))"

#define CALLEE_BODY                                                                                                    \
    LIBC " (core module $m (import \"\" \"memory\" (memory 1)) (func (export \"echo\") (param i32 i32) (result i32)\n" \
         "  (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))\n"      \
         " (core instance $m (instantiate $m (with \"\" (instance $libc))))\n"                                         \
         " (func (export \"echo\") (param \"text\" string) (result string)\n"                                          \
         "  (canon lift (core func $m \"echo\")" MEMORY "))\n"
/* `func` is what it calls. */
#define CALLER_BODY(func)                                                                                              \
    LIBC " (core func $echo (canon lower (func " func ")" MEMORY "))\n"                                                \
         " (core module $m (import \"\" \"echo\" (func $echo (param i32 i32 i32)))\n"                                  \
         "  (func (export \"run\") (param i32)\n"                                                                      \
         "   (loop (call $echo (i32.const 64) (i32.const 22) (i32.const 16))\n"                                        \
         "    (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))\n"                                      \
         " (core instance $m (instantiate $m (with \"\" (instance (export \"echo\" (func $echo))))))\n"                \
         " (func (export \"run\") (param \"n\" u32) (canon lift (core func $m \"run\")))"

static const char callee_text[] = "(component" CALLEE_BODY ")";
static const char caller_text[] =
    "(component (import \"a:b/c\" (instance $i (export \"echo\" " FUNC ")))" CALLER_BODY("$i \"echo\"") ")";
static const char composed_text[] =
    "(component (component $callee " CALLEE_BODY
    ") (component $caller (import \"echo\" (func $f (param \"text\" string) (result "
    "string)))" CALLER_BODY("$f") ")"
                                  " (instance $callee (instantiate $callee))"
                                  " (instance $caller (instantiate $caller (with \"echo\" (func $callee \"echo\"))))"
                                  " (export \"run\" (func $caller \"run\")))";

struct program {
    struct wisp_buf binary;
    struct wisp_component *component;
    struct wisp_wasm_engine *engine;
    struct wisp_host *host;
    struct wisp_linked *linked;
};

static struct wisp_err err;

static void must(bool is_fine)
{
    if (is_fine) return;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static void load(struct program *program, const char *text, const struct wisp_host_fallback *fallback)
{
    *program = (struct program){0};
    must(wisp_wasm_text_to_binary(wisp_str_from(text), &program->binary, &err) == 0);
    must(wisp_component_new(&program->component, wisp_buf_str(&program->binary), NULL, &err) == 0);
    struct wisp_wasm_engine_options options = {.cache_dir = "", .instances_max = 4, .remembers_written = true};
    wisp_component_pool_needs(program->component, &options);
    must(wisp_wasm_engine_new(&program->engine, &options, &err) == 0);
    must(wisp_host_new(&program->host, NULL, 0, &err) == 0);
    wisp_host_set_fallback(program->host, fallback);
    must(wisp_linked_new(&program->linked, program->engine, program->component, program->host, &err) == 0);
}

static void unload(struct program *program)
{
    wisp_linked_free(program->linked);
    wisp_host_free(program->host);
    wisp_wasm_engine_free(program->engine);
    wisp_component_free(program->component);
    wisp_buf_deinit(&program->binary);
}

static bool accept_all(struct wisp_str interface, void *env)
{
    (void)interface, (void)env;
    return true;
}

static int call_fresh(struct wisp_call *call, const struct wisp_import_func *func, const void *args, void *result,
                      void *env)
{
    struct program *callee = env;
    struct wisp_instance *instance = NULL;
    must(wisp_instance_new(&instance, callee->linked, &(struct wisp_instance_options){0}, &err) == 0);
    const struct wisp_linked_export *echo = wisp_linked_export_find(callee->linked, "", "echo");
    must(wisp_instance_call(instance, echo, args, result, &err) == WISP_INSTANCE_DONE);
    wisp_value_copy(call->arena, func->type->result, result, result);
    wisp_instance_free(instance);
    return 0;
}

static void run(struct program *program, uint32_t n_calls)
{
    struct wisp_instance *instance = NULL;
    must(wisp_instance_new(&instance, program->linked, &(struct wisp_instance_options){0}, &err) == 0);
    const struct wisp_linked_export *export_ = wisp_linked_export_find(program->linked, "", "run");
    enum wisp_instance_state state = wisp_instance_call(instance, export_, &n_calls, NULL, &err);
    while (state == WISP_INSTANCE_PREEMPTED) state = wisp_instance_resume(instance);
    must(state == WISP_INSTANCE_DONE);
    wisp_instance_free(instance);
}

static void measure(const char *what, struct program *program, uint32_t n_instances, uint32_t n_calls)
{
    struct timespec from, to;
    run(program, 1000);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (uint32_t i = 0; i < n_instances; i++) run(program, n_calls);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    printf("%s_ns %.0f\n", what, ns / n_instances / n_calls);
}

int main(void)
{
    struct program callee, caller, composed;
    load(&callee, callee_text, NULL);
    const struct wisp_host_fallback fallback = {accept_all, call_fresh, &callee};
    load(&caller, caller_text, &fallback);
    load(&composed, composed_text, NULL);
    measure("composed", &composed, 1, 1000000);
    measure("linked", &caller, 1, 100000);
    measure("composed_fresh", &composed, 50000, 1);
    measure("linked_fresh", &caller, 50000, 1);
    unload(&composed);
    unload(&caller);
    unload(&callee);
    return 0;
}
