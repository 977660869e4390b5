/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/frame.h"

#include "worker/orders.h"

#include <sys/socket.h>
#include <unistd.h>

enum { HAS_FD = 1u << 31, READ_SIZE = 64 << 10 };

union fd_message {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(WISP_FRAME_FDS_MAX * sizeof(int))];
};

/* --- reading --- */

static void keep_fds(struct wisp_frame_reader *reader, struct cmsghdr *part)
{
    size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
        if (reader->n_fds < WISP_FRAME_FDS_MAX) {
            reader->fds[reader->n_fds++] = fd;
        } else {
            reader->is_flooded = true;
            close(fd);
        }
    }
}

ssize_t wisp_frame_receive(struct wisp_frame_reader *reader, int socket_fd)
{
    union fd_message control;
    struct iovec part = {wisp_buf_reserve(&reader->bytes, READ_SIZE), READ_SIZE};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
    if (n < 0) return n;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at))
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS) keep_fds(reader, at);
    if (message.msg_flags & MSG_CTRUNC) reader->is_flooded = true;
    reader->bytes.len += (size_t)n;
    return n;
}

static uint32_t head_of(const struct wisp_buf *bytes)
{
    const uint8_t *at = (const uint8_t *)bytes->data;
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void drop(struct wisp_buf *bytes, size_t size)
{
    bytes->len -= size;
    memmove(bytes->data, bytes->data + size, bytes->len);
}

int wisp_frame_next(struct wisp_frame_reader *reader, json_t **ret_frame, int *ret_fd, struct wisp_err *err)
{
    if (reader->is_flooded) return wisp_err_set(err, WISP_ERR_LIMIT, "too many descriptors");
    if (reader->bytes.len < WISP_FRAME_HEAD_SIZE) return 0;
    uint32_t head = head_of(&reader->bytes), size = head & ~(uint32_t)HAS_FD;
    if (size > WISP_ORDER_SIZE_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "a frame of %u bytes", size);
    if (reader->bytes.len - WISP_FRAME_HEAD_SIZE < size) return 0;
    if (head & HAS_FD && !reader->n_fds)
        return wisp_err_set(err, WISP_ERR_INVALID, "a frame without the descriptor that it speaks of");
    int r = wisp_json_parse((struct wisp_str){reader->bytes.data + WISP_FRAME_HEAD_SIZE, size}, ret_frame, err);
    if (r < 0) return r;
    drop(&reader->bytes, WISP_FRAME_HEAD_SIZE + size);
    *ret_fd = -1;
    if (head & HAS_FD) {
        *ret_fd = reader->fds[0];
        memmove(reader->fds, reader->fds + 1, --reader->n_fds * sizeof *reader->fds);
    }
    return 1;
}

void wisp_frame_reader_deinit(struct wisp_frame_reader *reader)
{
    wisp_buf_deinit(&reader->bytes);
    while (reader->n_fds) close(reader->fds[--reader->n_fds]);
}

/* --- writing --- */

void wisp_frame_print(const json_t *frame, bool has_fd, struct wisp_buf *out)
{
    size_t at = out->len;
    (void)wisp_buf_reserve(out, WISP_FRAME_HEAD_SIZE);
    out->len += WISP_FRAME_HEAD_SIZE;
    wisp_json_print(frame, out);
    uint32_t head = (uint32_t)(out->len - at - WISP_FRAME_HEAD_SIZE);
    if (has_fd) head |= HAS_FD;
    for (int i = 0; i < WISP_FRAME_HEAD_SIZE; i++) out->data[at + (size_t)i] = (char)(head >> 8 * i);
}

ssize_t wisp_frame_send(int socket_fd, const void *bytes, size_t size, int fd)
{
    union fd_message control = {0};
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof fd);
        control.head =
            (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL);
}
