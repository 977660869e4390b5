/* SPDX-License-Identifier: Apache-2.0 */
#include "host/stop_signals.h"

#include <signal.h>

enum {
    /* timeout(1) and some supervisors send a signal to the process and to its group: that is once, not twice. */
    AGAIN_AFTER_MS = 500,
};

static const int numbers[WISP_STOP_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

static void on_signal(uv_signal_t *handle, int number)
{
    struct wisp_stop_signals *signals = handle->data;
    uint64_t now_ms = uv_now(handle->loop);
    if (signals->asked_at_ms && now_ms - signals->asked_at_ms < AGAIN_AFTER_MS) return;
    bool insists = signals->asked_at_ms != 0;
    if (!insists) signals->asked_at_ms = now_ms ? now_ms : 1;
    signals->on_stop(number, insists, signals->env);
}

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int wisp_stop_signals_init(struct wisp_stop_signals *signals, uv_loop_t *loop,
                           void (*on_stop)(int number, bool insists, void *env), void *env, struct wisp_err *err)
{
    *signals = (struct wisp_stop_signals){.on_stop = on_stop, .env = env};
    signal(SIGPIPE, SIG_IGN);
    int r = 0;
    for (size_t i = 0; i < WISP_STOP_SIGNALS; i++) {
        uv_signal_init(loop, &signals->handles[i]);
        signals->handles[i].data = signals;
        if (r < 0 || (numbers[i] == SIGHUP && is_ignored(SIGHUP))) continue;
        r = uv_signal_start(&signals->handles[i], on_signal, numbers[i]);
    }
    return r < 0 ? wisp_err_os(err, -r, "watch a signal") : 0;
}

void wisp_stop_signals_close(struct wisp_stop_signals *signals)
{
    for (size_t i = 0; i < WISP_STOP_SIGNALS; i++) uv_close((uv_handle_t *)&signals->handles[i], NULL);
}
