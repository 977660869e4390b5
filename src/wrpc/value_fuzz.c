/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes decoded as a type that the first bytes choose: what decodes encodes to the same bytes again (but for reserved
 * flags, and streams that came inline), a prefix of it never decodes differently, and nothing is read past the end. */
#include "component/host/host_signature.h"
#include "wrpc/value.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    const uint8_t *at, *end;
    struct wisp_arena arena;
    bool has_flags;
};

static unsigned take(struct fuzz *fuzz) { return fuzz->at < fuzz->end ? *fuzz->at++ : 0; }

static const struct wisp_type *make(struct fuzz *fuzz, int depth)
{
    static const enum wisp_type_kind compounds[] = {WISP_TYPE_RECORD, WISP_TYPE_TUPLE, WISP_TYPE_VARIANT,
                                                    WISP_TYPE_ENUM, WISP_TYPE_FLAGS};
    unsigned kind = take(fuzz) % 26;
    const struct wisp_type *type = NULL;
    if (kind <= WISP_TYPE_STRING || depth >= 6) return wisp_type_primitive(kind % (WISP_TYPE_STRING + 1));
    if (kind < 16) {
        if (wisp_type_list(&fuzz->arena, make(fuzz, depth + 1), &type, NULL) < 0) abort();
    } else if (kind < 18) {
        if (wisp_type_option(&fuzz->arena, make(fuzz, depth + 1), &type, NULL) < 0) abort();
    } else if (kind < 19) {
        const struct wisp_type *ok = make(fuzz, depth + 1);
        if (wisp_type_result(&fuzz->arena, ok, NULL, &type, NULL) < 0) abort();
    } else if (kind >= 24) {
        enum wisp_type_kind stream = kind == 24 ? WISP_TYPE_STREAM : WISP_TYPE_FUTURE;
        if (wisp_type_stream(&fuzz->arena, stream, make(fuzz, depth + 1), &type, NULL) < 0) abort();
    } else {
        enum wisp_type_kind compound = compounds[kind - 19];
        bool has_types = compound != WISP_TYPE_ENUM && compound != WISP_TYPE_FLAGS;
        uint32_t n = 1 + take(fuzz) % (has_types ? 4 : 32);
        struct wisp_type_field *fields = WISP_NEW_ARRAY(&fuzz->arena, struct wisp_type_field, n);
        for (uint32_t i = 0; has_types && i < n; i++) fields[i].type = make(fuzz, depth + 1);
        if (wisp_type_compound(&fuzz->arena, compound, fields, n, &type, NULL) < 0) abort();
        fuzz->has_flags |= compound == WISP_TYPE_FLAGS;
    }
    return type;
}

static void check(struct fuzz *fuzz, const struct wisp_type *type, struct wisp_str bytes)
{
    struct wisp_err err = {0};
    size_t used = 0, used_again;
    void *value = wisp_arena_alloc(&fuzz->arena, type->native_size);
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    struct wisp_wrpc_slots slots = {.arena = &fuzz->arena, .prefix = "0"}, again = slots;
    int r = wisp_wrpc_value_decode_with(type, bytes, &fuzz->arena, value, &slots, &used, &err);
    assert(used <= bytes.len);
    if (r < 0) assert(err.kind == WISP_ERR_INVALID || err.kind == WISP_ERR_LIMIT);
    if (r != 0) return;
    r = wisp_wrpc_value_encode_with(type, value, used, &again, &out, &err);
    assert(r == 0 && out.len <= used && again.n == slots.n);
    bool is_inline = false;
    for (uint32_t i = 0; i < slots.n; i++) {
        is_inline |= slots.items[i].is_inline;
        assert(strcmp(slots.items[i].path, again.items[i].path) == 0);
    }
    if (is_inline) return; /* encoded as "later" */
    assert(out.len == used);
    if (!fuzz->has_flags) assert(memcmp(out.data, bytes.ptr, used) == 0);
    r = wisp_wrpc_value_decode_with(type, wisp_buf_str(&out), &fuzz->arena, value, &again, &used_again, &err);
    assert(r == 0 && used_again == used);
    if (used == 0) return;
    r = wisp_wrpc_value_decode_with(type, (struct wisp_str){out.data, used - 1}, &fuzz->arena, value, &again,
                                    &used_again, &err);
    assert(r == WISP_WRPC_MORE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.at = data, .end = data + (size < 64 ? size : 64)};
    const struct wisp_type *type = make(&fuzz, 0);
    struct wisp_err err;
    size_t left = (size_t)(data + size - fuzz.at);
    char *copy = malloc(left ? left : 1);
    if (left > 0) memcpy(copy, fuzz.at, left);
    if (wisp_wrpc_type_check(type, &err) == 0) check(&fuzz, type, (struct wisp_str){copy, left});
    free(copy);
    wisp_arena_deinit(&fuzz.arena);
    return 0;
}
