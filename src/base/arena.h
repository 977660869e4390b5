/* SPDX-License-Identifier: Apache-2.0 */
/* Arena: many small allocations with one lifetime (a request, a message, a decoded component).
 * Out of memory ends the program: whatever a peer or a guest can make large is checked against a limit first. */
#pragma once

#include "base/str.h"

#include <stddef.h>

struct wisp_arena_chunk;

/* Zeroed is a valid empty arena. One owner, one thread. */
struct wisp_arena {
    char *next, *end;
    struct wisp_arena_chunk *chunks;
};

/* Frees everything; the arena is empty again and may be used on. */
void wisp_arena_deinit(struct wisp_arena *arena);
/* Forgets everything but keeps one chunk of ordinary size, for arenas that are used again and again. */
void wisp_arena_reset(struct wisp_arena *arena);

/* `size` bytes, aligned to 16, uninitialised; never NULL. Size 0 gives a valid, unusable pointer. */
void *wisp_arena_alloc(struct wisp_arena *arena, size_t size) __attribute__((returns_nonnull, malloc));
/* `count` × `size` bytes set to zero; an overflowing product ends the program. */
void *wisp_arena_calloc(struct wisp_arena *arena, size_t count, size_t size) __attribute__((returns_nonnull, malloc));
/* Copies; the string has a terminating NUL after its last byte, not counted in len. */
struct wisp_str wisp_arena_str(struct wisp_arena *arena, struct wisp_str s);
char *wisp_arena_cstr(struct wisp_arena *arena, struct wisp_str s);
char *wisp_arena_printf(struct wisp_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define WISP_CLEANUP_ARENA __attribute__((cleanup(wisp_arena_deinit)))
#define WISP_NEW(arena, type) ((type *)wisp_arena_calloc(arena, 1, sizeof(type)))
#define WISP_NEW_ARRAY(arena, type, count) ((type *)wisp_arena_calloc(arena, count, sizeof(type)))
