/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a component from text, linked on an engine of its own. */
#pragma once

#include "base/mem.h"
#include "component/instance.h"
#include "test.h"
#include "wasm/wasm.h"

struct sample {
    struct wisp_buf binary;
    struct wisp_component *component;
    struct wisp_wasm_engine *engine;
    struct wisp_host *host;
    struct wisp_linked *linked;
};

struct sample_options {
    const struct wisp_host_interface *interface; /* NULL: the host has none */
    const struct wisp_host_fallback *fallback;   /* NULL: none */
    uint32_t instances_max;                      /* 0: 4 */
    bool remembers_written;                      /* otherwise each call gets a new instance */
};

static inline void sample_start(struct sample *sample, const char *text, const struct sample_options *options)
{
    struct wisp_err err = {0};
    *sample = (struct sample){0};
    CHECK_OK(wisp_wasm_text_to_binary(wisp_str_from(text), &sample->binary, &err), &err);
    CHECK_OK(wisp_component_new(&sample->component, wisp_buf_str(&sample->binary), NULL, &err), &err);
    struct wisp_wasm_engine_options engine = {
        .instances_max = options->instances_max ? options->instances_max : 4,
        .cache_dir = "",
        .remembers_written = options->remembers_written,
    };
    wisp_component_pool_needs(sample->component, &engine);
    CHECK_OK(wisp_wasm_engine_new(&sample->engine, &engine, &err), &err);
    CHECK_OK(wisp_host_new(&sample->host, &options->interface, options->interface ? 1 : 0, &err), &err);
    wisp_host_set_fallback(sample->host, options->fallback);
    CHECK_OK(wisp_linked_new(&sample->linked, sample->engine, sample->component, sample->host, &err), &err);
}

/* Its instances are freed before. */
static inline void sample_end(struct sample *sample)
{
    wisp_linked_free(sample->linked);
    wisp_host_free(sample->host);
    wisp_wasm_engine_free(sample->engine);
    wisp_component_free(sample->component);
    wisp_buf_deinit(&sample->binary);
}
