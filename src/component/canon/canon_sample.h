/* SPDX-License-Identifier: Apache-2.0 */
/* For tests and fuzzers of the canonical ABI: a pretended guest, and types and values drawn from bytes or a seed. */
#pragma once

#include "component/canon.h"

#include <stdlib.h>

/* --- a guest: memory that moves at every realloc, so that the sanitizer sees each stale pointer --- */

struct sample_guest {
    struct wisp_canon canon;
    struct wisp_canon_options options;
    struct wisp_handles handles;
    struct wisp_arena arena;
    struct wisp_err err;
    struct wisp_borrow_scope scope;
    uint32_t top; /* realloc gives out what is above */
    int n_reallocs;
    int fail_after;                    /* reallocs that work before one traps; -1: all work */
    struct wisp_resource resources[3]; /* two of the host, one of this guest */
};

static inline int sample_realloc(struct wisp_canon *canon, uint32_t align, uint32_t size, uint32_t *ret_pointer)
{
    struct sample_guest *guest = canon->env;
    if (guest->fail_after == guest->n_reallocs++) return wisp_err_set(canon->err, WISP_ERR_GUEST, "trap in realloc");
    uint32_t at = (guest->top + align - 1) & ~(align - 1);
    uint64_t needed = (uint64_t)at + size;
    if (needed > UINT32_MAX) return wisp_err_set(canon->err, WISP_ERR_GUEST, "guest out of memory");
    uint64_t grown = needed > canon->memory_size ? needed + 64 : canon->memory_size;
    uint8_t *moved = calloc(1, grown ? grown : 1);
    if (canon->memory_size) memcpy(moved, canon->memory, canon->memory_size);
    free(canon->memory);
    canon->memory = moved;
    canon->memory_size = grown;
    guest->top = (uint32_t)needed;
    *ret_pointer = at;
    return 0;
}

static inline void sample_guest_init(struct sample_guest *guest, uint64_t memory_size, enum wisp_encoding encoding)
{
    *guest = (struct sample_guest){.options.encoding = encoding, .top = 8, .fail_after = -1};
    for (uint32_t i = 0; i < 3; i++) {
        static const char *const names[] = {"pollable", "fields", "cart"};
        guest->resources[i] = (struct wisp_resource){
            .name = wisp_str_from(names[i]), .index = i, .is_imported = i < 2, .destructor = -1, .instance = 7};
    }
    guest->canon = (struct wisp_canon){
        .options = &guest->options,
        .memory = calloc(1, memory_size ? memory_size : 1),
        .memory_size = memory_size,
        .handles = &guest->handles,
        .arena = &guest->arena,
        .err = &guest->err,
        .scope = &guest->scope,
        .realloc = sample_realloc,
        .env = guest,
    };
}

static inline void sample_forget(struct wisp_resource *resource, void *rep, void *env)
{
    (void)resource;
    (void)rep;
    if (env) ++*(int *)env;
}

static inline void sample_guest_deinit(struct sample_guest *guest)
{
    wisp_handles_deinit(&guest->handles, sample_forget, NULL);
    wisp_arena_deinit(&guest->arena);
    free(guest->canon.memory);
}

/* --- numbers: bytes of an input, then a generator --- */

struct sample_source {
    const uint8_t *bytes;
    size_t left;
    uint64_t state; /* 0: zeros only, once the bytes are used up */
};

static inline uint8_t sample_byte(struct sample_source *source)
{
    if (source->left) {
        source->left--;
        return *source->bytes++;
    }
    source->state ^= source->state << 13;
    source->state ^= source->state >> 7;
    source->state ^= source->state << 17;
    return (uint8_t)(source->state >> 24);
}

static inline uint32_t sample_below(struct sample_source *source, uint32_t n)
{
    uint32_t value = sample_byte(source);
    if (n > 256) value = value << 8 | sample_byte(source);
    return value % n;
}

static inline void sample_fill(struct sample_source *source, void *to, size_t size)
{
    for (size_t i = 0; i < size; i++) ((uint8_t *)to)[i] = sample_byte(source);
}

/* --- types --- */

struct sample_types {
    struct wisp_arena *arena;
    struct wisp_resource *resources; /* three, or NULL: no handles */
    bool with_borrows;
};

static inline const struct wisp_type *sample_type(struct sample_source *source, const struct sample_types *types,
                                                  int depth);

static inline const struct wisp_type *sample_compound(struct sample_source *source, const struct sample_types *types,
                                                      enum wisp_type_kind kind, int depth)
{
    bool has_payloads = kind == WISP_TYPE_RECORD || kind == WISP_TYPE_TUPLE || kind == WISP_TYPE_VARIANT;
    uint32_t n = 1 + sample_below(source, kind == WISP_TYPE_FLAGS ? 32 : has_payloads ? 5 : 300);
    struct wisp_type_field *fields = WISP_NEW_ARRAY(types->arena, struct wisp_type_field, n);
    for (uint32_t i = 0; i < n && has_payloads; i++)
        if (kind != WISP_TYPE_VARIANT || sample_below(source, 4))
            fields[i].type = sample_type(source, types, depth - 1);
    const struct wisp_type *type = NULL;
    return wisp_type_compound(types->arena, kind, fields, n, &type, NULL) < 0 ? wisp_type_primitive(WISP_TYPE_U8)
                                                                              : type;
}

static inline const struct wisp_type *sample_optional(struct sample_source *source, const struct sample_types *types,
                                                      int depth)
{
    return sample_below(source, 3) ? sample_type(source, types, depth - 1) : NULL;
}

/* Of any kind; near the leaves, where depth is 0, a primitive, handle, enum or flags. */
static inline const struct wisp_type *sample_type(struct sample_source *source, const struct sample_types *types,
                                                  int depth)
{
    static const enum wisp_type_kind leaves[] = {WISP_TYPE_ENUM, WISP_TYPE_FLAGS, WISP_TYPE_OWN, WISP_TYPE_BORROW};
    uint32_t choice = sample_below(source, depth > 0 ? WISP_TYPE_STREAM : WISP_TYPE_LIST + WISP_COUNT(leaves));
    enum wisp_type_kind kind = choice;
    if (depth <= 0 && choice >= WISP_TYPE_LIST) kind = leaves[choice - WISP_TYPE_LIST];
    const struct wisp_type *type = NULL, *ok;
    switch (kind) {
    case WISP_TYPE_LIST:
        (void)!wisp_type_list(types->arena, sample_type(source, types, depth - 1), &type, NULL);
        break;
    case WISP_TYPE_OPTION:
        (void)!wisp_type_option(types->arena, sample_type(source, types, depth - 1), &type, NULL);
        break;
    case WISP_TYPE_RESULT:
        ok = sample_optional(source, types, depth);
        (void)!wisp_type_result(types->arena, ok, sample_optional(source, types, depth), &type, NULL);
        break;
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
        if (!types->resources) return wisp_type_primitive(WISP_TYPE_STRING);
        if (!types->with_borrows) kind = WISP_TYPE_OWN;
        return wisp_type_handle(types->arena, kind, &types->resources[sample_below(source, 3)]);
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_ENUM:
    case WISP_TYPE_FLAGS:
        return sample_compound(source, types, kind, depth);
    default:
        return wisp_type_primitive(kind);
    }
    return type ? type : wisp_type_primitive(WISP_TYPE_U8);
}

/* A function of up to 6 parameters. */
static inline const struct wisp_func_type *sample_func(struct sample_source *source, struct sample_types types,
                                                       int depth)
{
    uint32_t n = sample_below(source, 7);
    struct wisp_type_field *params = WISP_NEW_ARRAY(types.arena, struct wisp_type_field, n);
    types.with_borrows = true;
    for (uint32_t i = 0; i < n; i++) params[i].type = sample_type(source, &types, depth);
    types.with_borrows = false;
    const struct wisp_type *result = sample_below(source, 4) ? sample_type(source, &types, depth) : NULL;
    const struct wisp_func_type *type = NULL;
    (void)!wisp_type_func(types.arena, params, n, result, &type, NULL);
    return type;
}

/* --- native values --- */

struct sample_list {
    void *ptr;
    size_t len;
};

static inline uint32_t sample_char(struct sample_source *source)
{
    switch (sample_below(source, 4)) {
    case 0:
        return 0x80 + sample_below(source, 0x80);
    case 1:
        return sample_below(source, 2) ? 0xd7ff : 0xe000 + sample_below(source, 0x2000);
    case 2:
        return 0x10ffff - sample_below(source, 0x1000);
    default:
        return sample_below(source, 0x80);
    }
}

static inline struct wisp_str sample_string(struct sample_source *source, struct wisp_arena *arena)
{
    uint32_t n = sample_below(source, 20);
    bool latin1 = sample_below(source, 2);
    char *text = wisp_arena_alloc(arena, 4 * n), *to = text;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t c = latin1 ? sample_below(source, 0x100) : sample_char(source);
        if (c < 0x80) {
            *to++ = (char)c;
        } else if (c < 0x800) {
            *to++ = (char)(0xc0 | c >> 6);
            *to++ = (char)(0x80 | (c & 0x3f));
        } else if (c < 0x10000) {
            *to++ = (char)(0xe0 | c >> 12);
            *to++ = (char)(0x80 | (c >> 6 & 0x3f));
            *to++ = (char)(0x80 | (c & 0x3f));
        } else {
            *to++ = (char)(0xf0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 0x3f));
            *to++ = (char)(0x80 | (c >> 6 & 0x3f));
            *to++ = (char)(0x80 | (c & 0x3f));
        }
    }
    return (struct wisp_str){text, (size_t)(to - text)};
}

static inline void sample_value(struct sample_source *source, struct wisp_arena *arena, const struct wisp_type *type,
                                char *native);

static inline void sample_list_value(struct sample_source *source, struct wisp_arena *arena,
                                     const struct wisp_type *type, char *native)
{
    size_t size = type->element->native_size;
    struct sample_list list = {.len = sample_below(source, 5)};
    list.ptr = wisp_arena_calloc(arena, list.len, size);
    for (size_t i = 0; i < list.len; i++) sample_value(source, arena, type->element, (char *)list.ptr + i * size);
    memcpy(native, &list, sizeof list);
}

static inline void sample_value(struct sample_source *source, struct wisp_arena *arena, const struct wisp_type *type,
                                char *native)
{
    uint32_t number;
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        *native = (char)sample_below(source, 2);
        return;
    case WISP_TYPE_CHAR:
        number = sample_char(source);
        memcpy(native, &number, 4);
        return;
    case WISP_TYPE_STRING: {
        struct wisp_str string = sample_string(source, arena);
        memcpy(native, &string, sizeof string);
        return;
    }
    case WISP_TYPE_LIST:
        sample_list_value(source, arena, type, native);
        return;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; i < type->n_fields; i++)
            sample_value(source, arena, type->fields[i].type, native + type->fields[i].native_offset);
        return;
    case WISP_TYPE_FLAGS:
        sample_fill(source, &number, 4);
        if (type->n_fields < 32) number &= (1u << type->n_fields) - 1;
        memcpy(native, &number, 4);
        return;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        number = sample_below(source, type->n_fields);
        memcpy(native, &number, 4);
        if (type->fields[number].type)
            sample_value(source, arena, type->fields[number].type, native + type->fields[number].native_offset);
        return;
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW: {
        void *rep = (void *)(uintptr_t)(1 + sample_below(source, 1000));
        memcpy(native, &rep, sizeof rep);
        return;
    }
    default:
        sample_fill(source, native, type->native_size);
        return;
    }
}

static inline bool sample_equal(const struct wisp_type *type, const char *a, const char *b)
{
    uint32_t tag;
    struct sample_list list, other;
    switch (type->kind) {
    case WISP_TYPE_STRING:
        memcpy(&list, a, sizeof list);
        memcpy(&other, b, sizeof other);
        return list.len == other.len && (list.len == 0 || memcmp(list.ptr, other.ptr, list.len) == 0);
    case WISP_TYPE_LIST:
        memcpy(&list, a, sizeof list);
        memcpy(&other, b, sizeof other);
        if (list.len != other.len) return false;
        for (size_t i = 0, size = type->element->native_size; i < list.len; i++)
            if (!sample_equal(type->element, (char *)list.ptr + i * size, (char *)other.ptr + i * size)) return false;
        return true;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; i < type->n_fields; i++) {
            uint32_t offset = type->fields[i].native_offset;
            if (!sample_equal(type->fields[i].type, a + offset, b + offset)) return false;
        }
        return true;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        if (memcmp(a, b, 4) != 0) return false;
        memcpy(&tag, a, 4);
        const struct wisp_type_field *chosen = &type->fields[tag];
        return !chosen->type || sample_equal(chosen->type, a + chosen->native_offset, b + chosen->native_offset);
    default:
        return memcmp(a, b, type->native_size) == 0;
    }
}
