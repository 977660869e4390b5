/* SPDX-License-Identifier: Apache-2.0 */
/* The signals that end a control process: SIGINT, SIGTERM, SIGHUP. The first asks, another one insists. A SIGHUP that
 * was ignored when the program started (nohup) stays ignored; SIGPIPE is ignored from here on. One loop, one thread. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <uv.h>

enum { WISP_STOP_SIGNALS = 3 };

/* Caller's storage. */
struct wisp_stop_signals {
    uv_signal_t handles[WISP_STOP_SIGNALS];
    uint64_t asked_at_ms; /* 0: not yet */
    void (*on_stop)(int number, bool insists, void *env);
    void *env;
};

/* Failed or not, wisp_stop_signals_close follows. */
int wisp_stop_signals_init(struct wisp_stop_signals *signals, uv_loop_t *loop,
                           void (*on_stop)(int number, bool insists, void *env), void *env, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Its handles close in the loop's next turns. */
void wisp_stop_signals_close(struct wisp_stop_signals *signals);
