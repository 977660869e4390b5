/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a core module. One that the engine takes is never called broken, and what comes out with more exports is
 * one that the engine takes too, and can be exposed again. */
#include "wasm/expose.h"

#include <stdio.h>
#include <stdlib.h>
#include <wispengine.h>

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what, const struct wisp_err *err)
{
    if (condition) return;
    fprintf(stderr, "%s (%s)\n", what, err->text);
    abort();
}

static bool is_valid(const void *data, size_t size)
{
    static wasm_engine_t *engine;
    if (!engine) engine = wasm_engine_new();
    wasmtime_error_t *error = wasmtime_module_validate(engine, data, size);
    if (error) wasmtime_error_delete(error);
    return !error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_BUF struct wisp_buf exposed = {0}, again = {0};
    struct wisp_err err = {0};
    struct wisp_str binary = {(const char *)data, size};
    int r = wisp_wasm_expose(binary, KEY, &exposed, &err);
    require(wisp_wasm_expose(binary, NULL, NULL, &err) == r, "asking whether it can be done gives another answer",
            &err);
    bool was_valid = is_valid(data, size);
    if (r < 0) {
        require(err.text[0], "an error without text", &err);
        require(!exposed.len, "something was written", &err);
        require(!was_valid || r != -WISP_ERR_INVALID, "a valid module is called broken", &err);
        return 0;
    }
    require(!was_valid || is_valid(exposed.data, exposed.len), "what came out is not valid", &err);
    require(wisp_wasm_expose(wisp_buf_str(&exposed), OTHER, &again, &err) == 0 || err.kind == WISP_ERR_LIMIT,
            "it can't be read again", &err);
    return 0;
}
