/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets go from a worker to a control process that did not start it: after the first one was killed, the
 * next one starts new workers on the very sockets of the old, so that no connection is lost, and then ends the old.
 *
 * The worker listens on DIR/worker-PID.sock and speaks frames of orders.h with whoever runs as the same user:
 *
 *     {"do":"handover"}  →  {"is":"listener", "address"} + descriptor, for each;  {"is":"handed-over", "listeners":N}
 *     {"do":"drain"}        it finishes what is in flight and ends
 *
 * A client that leaves changes nothing. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* --- the worker --- */

struct wisp_handover;
struct wisp_handover_handler {
    /* Calls wisp_handover_give for every listening socket. */
    void (*on_handover)(struct wisp_handover *handover, void *env);
    void (*on_drain)(void *env);
};
/* Removes what is left of an earlier process with this id. */
int wisp_handover_new(struct wisp_handover **ret_handover, uv_loop_t *loop, const char *dir,
                      const struct wisp_handover_handler *handler, void *env, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* In on_handover only. `fd` stays the caller's. */
void wisp_handover_give(struct wisp_handover *handover, const char *address, int fd);
/* Removes the socket. Its handles close in the loop's next turns. NULL is fine. */
void wisp_handover_free(struct wisp_handover *handover);
/* Removes what a worker that was killed could not remove itself. */
void wisp_handover_forget(const char *dir, pid_t pid);

/* --- the control process; blocking, for its start --- */

enum { WISP_HANDOVER_LISTENERS_MAX = 1024 };

struct wisp_handover_listener {
    char *address; /* as the "listen" order had it */
    int fd;
};
/* What one old worker gave. */
struct wisp_handover_taken {
    struct wisp_handover_listener *listeners;
    size_t n_listeners;
    int fd; /* to the worker */
};
/* Connects to a worker's socket and takes its listening sockets, which it goes on serving. UNAVAILABLE when nobody is
 * there (the file is left over: remove it), TIMEOUT, DENIED when it belongs to another user. */
int wisp_handover_take(struct wisp_handover_taken *ret_taken, const char *path, uint32_t timeout_ms,
                       struct wisp_err *err) __attribute__((warn_unused_result));
/* The worker may end now: the new ones serve. Harmless when it is gone. */
void wisp_handover_drain(const struct wisp_handover_taken *taken);
/* Closes what was not taken out (fd -1). */
void wisp_handover_taken_deinit(struct wisp_handover_taken *taken);
