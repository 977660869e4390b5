/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
enum { REDZONE = 16 };
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
enum { REDZONE = 0 };
#endif

enum { CHUNK_SIZE = 8192, ALIGNMENT = 16 };

struct wisp_arena_chunk {
    struct wisp_arena_chunk *older;
    size_t size; /* of the bytes after this header */
};

static_assert(sizeof(struct wisp_arena_chunk) % ALIGNMENT == 0, "payload stays aligned");

static char *payload(struct wisp_arena_chunk *chunk) { return (char *)(chunk + 1); }

static void free_chunk(struct wisp_arena_chunk *chunk)
{
    UNPOISON(payload(chunk), chunk->size);
    free(chunk);
}

void wisp_arena_deinit(struct wisp_arena *arena)
{
    while (arena->chunks) {
        struct wisp_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->older;
        free_chunk(chunk);
    }
    *arena = (struct wisp_arena){0};
}

void wisp_arena_reset(struct wisp_arena *arena)
{
    struct wisp_arena_chunk *kept = NULL;
    while (arena->chunks) {
        struct wisp_arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->older;
        if (!kept && chunk->size == CHUNK_SIZE)
            kept = chunk;
        else
            free_chunk(chunk);
    }
    *arena = (struct wisp_arena){0};
    if (kept) {
        kept->older = NULL;
        arena->chunks = kept;
        arena->next = payload(kept);
        arena->end = arena->next + kept->size;
        POISON(arena->next, kept->size);
    }
}

static void *alloc_slow(struct wisp_arena *arena, size_t padded)
{
    /* A large piece gets a chunk of its own below the current one, whose free rest stays in use. */
    bool large = padded > CHUNK_SIZE / 2;
    size_t size = large ? padded : CHUNK_SIZE;
    if (size > SIZE_MAX - sizeof(struct wisp_arena_chunk)) wisp_mem_out(size);
    struct wisp_arena_chunk *chunk = wisp_mem_alloc(sizeof *chunk + size);
    chunk->size = size;
    POISON(payload(chunk), size);
    if (large && arena->chunks) {
        chunk->older = arena->chunks->older;
        arena->chunks->older = chunk;
        return payload(chunk);
    }
    chunk->older = arena->chunks;
    arena->chunks = chunk;
    arena->next = payload(chunk) + padded;
    arena->end = payload(chunk) + size;
    return payload(chunk);
}

void *wisp_arena_alloc(struct wisp_arena *arena, size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT - REDZONE) wisp_mem_out(size);
    size_t padded = ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1)) + REDZONE;
    if (padded == 0) padded = ALIGNMENT;
    void *p;
    if ((size_t)(arena->end - arena->next) >= padded) {
        p = arena->next;
        arena->next += padded;
    } else {
        p = alloc_slow(arena, padded);
    }
    UNPOISON(p, size);
    return p;
}

void *wisp_arena_calloc(struct wisp_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) wisp_mem_out(SIZE_MAX);
    return memset(wisp_arena_alloc(arena, total), 0, total);
}

char *wisp_arena_cstr(struct wisp_arena *arena, struct wisp_str s)
{
    char *copy = wisp_arena_alloc(arena, s.len + 1);
    if (s.len) memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct wisp_str wisp_arena_str(struct wisp_arena *arena, struct wisp_str s)
{
    return (struct wisp_str){wisp_arena_cstr(arena, s), s.len};
}

char *wisp_arena_printf(struct wisp_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t size = n < 0 ? 0 : (size_t)n;
    char *text = wisp_arena_alloc(arena, size + 1);
    va_start(args, format);
    vsnprintf(text, size + 1, format, args);
    va_end(args);
    return text;
}
