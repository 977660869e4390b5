/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's configuration from any bytes: what is accepted can be written and read again. */
#include "host/worker_config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0}, again = {0};
    struct wisp_worker_config config, same;
    struct wisp_err err = {0};
    if (wisp_worker_config_decode(&arena, (struct wisp_str){(const char *)data, size}, &config, &err) < 0) {
        if (err.kind != WISP_ERR_INVALID) abort();
        return 0;
    }
    wisp_worker_config_encode(&config, &bytes);
    /* Not always the bytes it came from: a text ends at a NUL. */
    if (wisp_worker_config_decode(&arena, wisp_buf_str(&bytes), &same, &err) < 0) abort();
    wisp_worker_config_encode(&same, &again);
    if (!wisp_str_equal(wisp_buf_str(&bytes), wisp_buf_str(&again))) abort();
    return 0;
}
