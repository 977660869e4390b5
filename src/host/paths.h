/* SPDX-License-Identifier: Apache-2.0 */
/* Where a host keeps things.
 *
 *     STATE = DIR/LATTICE, where DIR is --state, $WISP_STATE, or $XDG_STATE_HOME/wisp (~/.local/state/wisp)
 *
 *     STATE/bus.sock               the embedded bus
 *     STATE/state.db               links, configs, claims of the lattice (the owner's)
 *     STATE/host-N/lock            held by the running host number N of this machine: 0, 1, ...
 *     STATE/host-N/seed            its key
 *     STATE/host-N/running.json    what it ran last, and labels set by command
 *     STATE/host-N/pid             of its control process
 *     STATE/host-N/wisp.log        its log when detached; wisp.log.1 … are older
 *     STATE/host-N/worker-PID.sock hand-over of listening sockets
 *
 * Directories are made with mode 0700. Artifacts and code are in the cache: $XDG_CACHE_HOME/wisp. */
#pragma once

#include "base/err.h"
#include "base/str.h"

enum { WISP_PATH_MAX = 512, WISP_PATHS_HOSTS_MAX = 64 };

struct wisp_paths {
    char state[WISP_PATH_MAX];   /* STATE */
    char socket[WISP_PATH_MAX];  /* STATE/bus.sock */
    char host[WISP_PATH_MAX];    /* STATE/host-N; empty before wisp_paths_claim_host */
    char log[WISP_PATH_MAX];     /* STATE/host-N/wisp.log */
    char cache[WISP_PATH_MAX];   /* artifacts */
    int lock_fd;                 /* -1: no host claimed */
    uint32_t host_number;
};

/* Fills in the paths of a lattice; makes nothing. `state` (DIR) NULL: variables or default. `host` is that of number 0.
 * INVALID when HOME is not set or a path would be too long (Unix sockets allow 107 bytes). */
int wisp_paths_init(struct wisp_paths *paths, const char *state, const char *lattice, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* The same for host number N. */
void wisp_paths_select_host(struct wisp_paths *paths, uint32_t number);
/* Makes the directories and takes the first host number that no running process has. */
int wisp_paths_claim_host(struct wisp_paths *paths, struct wisp_err *err) __attribute__((warn_unused_result));
/* Lets go of the host's lock. */
void wisp_paths_deinit(struct wisp_paths *paths);

/* Process id in STATE/host-N/pid when a process holds that host's lock, else 0. */
int wisp_paths_running_pid(const struct wisp_paths *paths, uint32_t number);

/* Whole small file; NOT_FOUND, LIMIT beyond 16 MiB. */
struct wisp_buf;
int wisp_paths_read(const char *directory, const char *name, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Replaces a file in `directory` as a whole: written beside it, synced, renamed. Mode 0600. */
int wisp_paths_write(const char *directory, const char *name, struct wisp_str bytes, struct wisp_err *err)
    __attribute__((warn_unused_result));
