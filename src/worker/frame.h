/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of orders.h on a socket, without a loop. */
#pragma once

#include "base/json.h"

#include <stdint.h>
#include <sys/types.h>

enum {
    WISP_FRAME_HEAD_SIZE = 4,
    WISP_FRAME_FDS_MAX = 16, /* descriptors that came for frames not complete yet */
};

/* --- reading --- */

/* Zeroed is a valid empty one. */
struct wisp_frame_reader {
    struct wisp_buf bytes;
    int fds[WISP_FRAME_FDS_MAX];
    uint32_t n_fds;
    bool is_flooded; /* more descriptors came than frames could use */
};
/* One recvmsg(2): bytes received, 0 at the end, -1 with errno. */
ssize_t wisp_frame_receive(struct wisp_frame_reader *reader, int socket_fd);
/* The next complete frame: 1, and the caller owns both results (*ret_fd -1: none). 0: there is none yet. */
int wisp_frame_next(struct wisp_frame_reader *reader, json_t **ret_frame, int *ret_fd, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_frame_reader_deinit(struct wisp_frame_reader *reader);

/* --- writing --- */

/* Appends it. */
void wisp_frame_print(const json_t *frame, bool has_fd, struct wisp_buf *out);
/* sendmsg(2) with a descriptor (-1: none), never a signal. */
ssize_t wisp_frame_send(int socket_fd, const void *bytes, size_t size, int fd);
