/* SPDX-License-Identifier: Apache-2.0 */
/* What the component of `wisp run` has outside, without links: an HTTP client, opened when it is first used. One
 * thread. */
#pragma once

#include "provider/outside.h"
#include "provider/runtime.h"
#include "worker/wire_types.h"

/* Zeroed but for outside and loop, see init. */
struct wisp_alone {
    struct wisp_outside outside; /* for the wasi of its invocations */
    uv_loop_t *loop;
    struct wisp_provider *http_client; /* NULL: not opened */
    struct wisp_wire_types wire_types;
    bool is_closing;
    void (*on_closed)(void *env);
    void *env;
};

void wisp_alone_init(struct wisp_alone *alone, uv_loop_t *loop);
/* After all calls. True: it is closed. Otherwise that comes from the loop, and on_closed (may be NULL) with it. May be
 * called again. */
bool wisp_alone_close(struct wisp_alone *alone, void (*on_closed)(void *env), void *env);
/* When it is closed. */
void wisp_alone_deinit(struct wisp_alone *alone);
