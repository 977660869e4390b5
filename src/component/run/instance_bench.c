/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance costs: taken, called and put back, again and again. Prints "ns VALUE".
 * usage: component_instance_bench */
#include "base/mem.h"
#include "component/instance.h"
#include "wasm/wasm.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* As large as a small Rust component: 17 pages, some data, one function that touches memory. */
static const char text[] =
    "(component (core module $m (memory (export \"memory\") 17) (data (i32.const 1048576) \"some data\")"
    " (func (export \"run\") (i32.store (i32.const 1048000) (i32.const 1))))"
    " (core instance $i (instantiate $m)) (func (export \"run\") (canon lift (core func $i \"run\"))))";

static void must(int r, const struct wisp_err *err)
{
    if (r >= 0) return;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void once(struct wisp_linked *linked, const struct wisp_linked_export *run, struct wisp_err *err)
{
    struct wisp_instance *instance = NULL;
    must(wisp_instance_new(&instance, linked, &(struct wisp_instance_options){0}, err), err);
    if (wisp_instance_call(instance, run, NULL, NULL, err) != WISP_INSTANCE_DONE) must(-1, err);
    wisp_instance_free(instance);
}

int main(void)
{
    struct wisp_err err = {0};
    struct wisp_buf binary = {0};
    struct wisp_component *component = NULL;
    struct wisp_wasm_engine *engine = NULL;
    struct wisp_host *host = NULL;
    struct wisp_linked *linked = NULL;
    must(wisp_wasm_text_to_binary(wisp_str_from(text), &binary, &err), &err);
    must(wisp_component_new(&component, wisp_buf_str(&binary), NULL, &err), &err);
    must(wisp_wasm_engine_new(&engine, &(struct wisp_wasm_engine_options){.cache_dir = "", .remembers_written = true},
                              &err),
         &err);
    must(wisp_host_new(&host, NULL, 0, &err), &err);
    must(wisp_linked_new(&linked, engine, component, host, &err), &err);
    const struct wisp_linked_export *run = wisp_linked_export_find(linked, NULL, "run");
    if (!run) return 1;

    enum { WARM_UP = 1000, ROUNDS = 100000 };
    for (int i = 0; i < WARM_UP; i++) once(linked, run, &err);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < ROUNDS; i++) once(linked, run, &err);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
    printf("ns %.0f\n", ns / ROUNDS);
    wisp_linked_free(linked);
    wisp_host_free(host);
    wisp_wasm_engine_free(engine);
    wisp_component_free(component);
    wisp_buf_deinit(&binary);
    return 0;
}
