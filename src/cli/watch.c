/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch.h"

#include "cli/output.h"

#include <unistd.h>

static int pause_for(struct wisp_lattice_client *client, uint64_t ms, struct wisp_err *err)
{
    static const bool never = false;
    int r = wisp_lattice_client_wait(client, &never, ms, err);
    return r == -WISP_ERR_TIMEOUT ? 0 : r;
}

int wisp_watch(struct wisp_lattice_client *client, uint64_t period_ms, bool is_json,
               int (*show)(struct wisp_lattice_client *client, const void *values, struct wisp_err *err),
               const void *values, struct wisp_err *err)
{
    if (period_ms) wisp_lattice_client_hold_signals(client);
    bool is_redrawn = period_ms && !is_json && isatty(STDOUT_FILENO);
    if (is_redrawn) fputs("\033[2J\033[H", stdout);
    int r = show(client, values, err);
    if (r == -WISP_ERR_CANCELLED && period_ms) return 0;
    if (r < 0 || !period_ms) return r;
    for (;;) {
        fflush(stdout);
        if (ferror(stdout)) return 0; /* the reader is gone; main says so */
        r = pause_for(client, period_ms, err);
        if (r == 0 && is_redrawn) fputs("\033[2J\033[H", stdout);
        if (r == 0) r = show(client, values, err);
        if (r == -WISP_ERR_CANCELLED) return 0;
        if (r < 0) wisp_output_error(err);
    }
}
