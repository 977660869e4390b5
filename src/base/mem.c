/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void wisp_mem_out(size_t size)
{
    fprintf(stderr, "wisp: out of memory (asked for %zu bytes)\n", size);
    abort();
}

void *wisp_mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p) wisp_mem_out(size);
    return p;
}

void *wisp_mem_calloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p) wisp_mem_out(size);
    return p;
}

void *wisp_mem_realloc(void *p, size_t size)
{
    void *moved = realloc(p, size ? size : 1);
    if (!moved) wisp_mem_out(size);
    return moved;
}

char *wisp_mem_dup(struct wisp_str s)
{
    char *copy = wisp_mem_alloc(s.len + 1);
    if (s.len) memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

void wisp_mem_wipe(char *text)
{
    if (text) explicit_bzero(text, strlen(text));
    free(text);
}

void wisp_mem_freep(void *pointer_to_pointer)
{
    void *p;
    memcpy(&p, pointer_to_pointer, sizeof p);
    free(p);
}

void wisp_fd_closep(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

void wisp_buf_deinit(struct wisp_buf *buf)
{
    free(buf->data);
    *buf = (struct wisp_buf){0};
}

void wisp_buf_wipe(struct wisp_buf *buf)
{
    if (buf->data) explicit_bzero(buf->data, buf->capacity);
    wisp_buf_deinit(buf);
}

char *wisp_buf_reserve(struct wisp_buf *buf, size_t size)
{
    size_t needed;
    if (__builtin_add_overflow(buf->len, size, &needed) || needed > SIZE_MAX / 2) wisp_mem_out(SIZE_MAX);
    if (needed > buf->capacity || !buf->data) {
        size_t capacity = buf->capacity ? buf->capacity : 256;
        while (capacity < needed) capacity *= 2;
        buf->data = wisp_mem_realloc(buf->data, capacity);
        buf->capacity = capacity;
    }
    return buf->data + buf->len;
}

void wisp_buf_append(struct wisp_buf *buf, const void *bytes, size_t size)
{
    if (!size) return;
    memcpy(wisp_buf_reserve(buf, size), bytes, size);
    buf->len += size;
}

void wisp_buf_append_str(struct wisp_buf *buf, struct wisp_str s) { wisp_buf_append(buf, s.ptr, s.len); }

void wisp_buf_append_char(struct wisp_buf *buf, char c) { wisp_buf_append(buf, &c, 1); }

void wisp_buf_printf(struct wisp_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n <= 0) return;
    char *at = wisp_buf_reserve(buf, (size_t)n + 1);
    va_start(args, format);
    vsnprintf(at, (size_t)n + 1, format, args);
    va_end(args);
    buf->len += (size_t)n;
}
