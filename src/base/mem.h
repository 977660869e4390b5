/* SPDX-License-Identifier: Apache-2.0 */
/* Heap allocation that ends the program when memory is out, and a growable byte buffer. */
#pragma once

#include "base/str.h"

#include <assert.h>
#include <stddef.h>

void *wisp_mem_alloc(size_t size) __attribute__((returns_nonnull, malloc));
void *wisp_mem_calloc(size_t count, size_t size) __attribute__((returns_nonnull, malloc));
void *wisp_mem_realloc(void *p, size_t size) __attribute__((returns_nonnull));
char *wisp_mem_dup(struct wisp_str s) __attribute__((returns_nonnull, malloc)); /* NUL-terminated */
void wisp_mem_out(size_t size) __attribute__((noreturn));
/* Overwrites a text that is a secret, and frees it. NULL is fine. */
void wisp_mem_wipe(char *text);

void wisp_mem_freep(void *pointer_to_pointer);
/* Frees a pointer from these functions or malloc at the end of the scope. */
#define WISP_CLEANUP_FREE __attribute__((cleanup(wisp_mem_freep)))
/* Closes a descriptor at the end of the scope unless it is negative. */
void wisp_fd_closep(int *fd);
#define WISP_CLEANUP_FD __attribute__((cleanup(wisp_fd_closep)))
/* The struct that a member belongs to. */
#define WISP_OWNER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))
/* Moves a value out and leaves an empty one behind. */
#define WISP_TAKE(pointer)                                                                                             \
    ({                                                                                                                 \
        __typeof__(pointer) taken_ = (pointer);                                                                        \
        (pointer) = NULL;                                                                                              \
        taken_;                                                                                                        \
    })
#define WISP_TAKE_FD(fd)                                                                                               \
    ({                                                                                                                 \
        int taken_ = (fd);                                                                                             \
        (fd) = -1;                                                                                                     \
        taken_;                                                                                                        \
    })

/* Zeroed is a valid empty buffer. Grows by doubling; whoever feeds it from a peer checks a limit first. */
struct wisp_buf {
    char *data;
    size_t len, capacity;
};

void wisp_buf_deinit(struct wisp_buf *buf);
#define WISP_CLEANUP_BUF __attribute__((cleanup(wisp_buf_deinit)))
/* The same for one that had a secret in it: all of it is overwritten first. Not what it left behind when it grew. */
void wisp_buf_wipe(struct wisp_buf *buf);
#define WISP_CLEANUP_WIPE __attribute__((cleanup(wisp_buf_wipe)))
/* Room for `size` more bytes; returns where they go. The caller adds to len what it wrote. */
char *wisp_buf_reserve(struct wisp_buf *buf, size_t size) __attribute__((returns_nonnull));
void wisp_buf_append(struct wisp_buf *buf, const void *bytes, size_t size);
void wisp_buf_append_str(struct wisp_buf *buf, struct wisp_str s);
void wisp_buf_append_char(struct wisp_buf *buf, char c);
void wisp_buf_printf(struct wisp_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct wisp_str wisp_buf_str(const struct wisp_buf *buf)
{
    return (struct wisp_str){buf->data, buf->len};
}
