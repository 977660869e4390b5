/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that passes anything: a function type, core values and memory are drawn from the input. Lifting must read
 * nothing outside of memory; what it accepts must come back the same from a second guest. */
#include "component/canon/canon_sample.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_HANDLES = 12 };

static void start_guest(struct sample_guest *guest, const uint8_t *memory, size_t size, uint8_t choice)
{
    sample_guest_init(guest, size, (enum wisp_encoding)(choice % 3));
    if (size) memcpy(guest->canon.memory, memory, size);
    guest->canon.copy = choice & 4;
    guest->options.instance = choice & 8 ? 7 : 8;
    guest->top = (uint32_t)size;
}

static void add_handles(struct sample_guest *guest)
{
    for (uint32_t i = 0; i < N_HANDLES; i++) {
        uint32_t index;
        if (wisp_handles_add(&guest->handles, &guest->resources[i % 3], (void *)(uintptr_t)(i + 1), i % 4 != 0, NULL,
                             &index, NULL) < 0)
            abort();
    }
}

static void check_same(bool same)
{
    if (!same) abort();
}

static void must(const struct sample_guest *guest, int r)
{
    if (r >= 0) return;
    fprintf(stderr, "%s\n", guest->err.text);
    abort();
}

static void through_params(struct sample_guest *first, struct sample_guest *second, const struct wisp_func_type *type,
                           const union wisp_raw *flat, struct wisp_arena *arena)
{
    char *native = wisp_arena_calloc(arena, 1, type->native_params_size);
    char *again = wisp_arena_calloc(arena, 1, type->native_params_size);
    union wisp_raw passed[WISP_FLAT_PARAMS_MAX + 1];
    memset(passed, 0xcc, sizeof passed);
    bool lifted = wisp_canon_lift_params(&first->canon, type, flat, native) == 0;
    wisp_canon_end_borrows(&first->canon);
    for (uint32_t i = 0; i < first->handles.n_slots; i++) check_same(first->handles.slots[i].lends == 0);
    if (!lifted) {
        check_same(first->handles.n_live == N_HANDLES);
        return;
    }
    must(second, wisp_canon_lower_params(&second->canon, type, native, passed));
    must(second, wisp_canon_lift_params(&second->canon, type, passed, again));
    wisp_canon_end_borrows(&second->canon);
    for (uint32_t i = 0; i < type->n_params; i++) {
        uint32_t offset = type->params[i].native_offset;
        check_same(sample_equal(type->params[i].type, native + offset, again + offset));
    }
}

static void through_result(struct sample_guest *first, struct sample_guest *second, const struct wisp_func_type *type,
                           const union wisp_raw *flat, struct wisp_arena *arena)
{
    if (!type->result) return;
    char *native = wisp_arena_calloc(arena, 1, type->result->native_size);
    char *again = wisp_arena_calloc(arena, 1, type->result->native_size);
    union wisp_raw passed[WISP_FLAT_PARAMS_MAX + 1];
    memset(passed, 0xcc, sizeof passed);
    if (wisp_canon_lift_result(&first->canon, type, flat, native) < 0) return;
    uint32_t address = 0;
    if (type->result_in_memory) {
        must(second, sample_realloc(&second->canon, type->result->align, type->result->size, &address));
        passed[type->lower.n_params - 1].u32 = address;
    }
    must(second, wisp_canon_lower_result(&second->canon, type, native, passed));
    if (type->result_in_memory) passed[0].u32 = address;
    must(second, wisp_canon_lift_result(&second->canon, type, passed, again));
    check_same(sample_equal(type->result, native, again));
}

/* Input: a byte of choices for each guest, the number of bytes for the type, those, core values as 64-bit numbers
 * with a leading count, memory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) return 0;
    struct wisp_arena arena = {0};
    struct sample_guest first, second;
    struct sample_source source = {.bytes = data + 3, .left = data[2] < size - 3 ? data[2] : size - 3};
    const uint8_t *rest = source.bytes + source.left;
    struct sample_source values = {.bytes = rest, .left = (size_t)(data + size - rest)};
    union wisp_raw flat[WISP_FLAT_PARAMS_MAX + 1] = {0};
    size_t n_flat = sample_below(&values, WISP_COUNT(flat) + 1);
    for (size_t i = 0; i < n_flat; i++) sample_fill(&values, &flat[i].u64, sizeof flat[i].u64);
    start_guest(&first, values.bytes, values.left, data[0]);
    start_guest(&second, NULL, 0, (uint8_t)(data[1] & ~8));
    /* Both guests' values name the same resources. */
    struct sample_types types = {.arena = &arena, .resources = first.resources};
    const struct wisp_func_type *type = sample_func(&source, types, 4);
    if (type) {
        add_handles(&first);
        if (data[0] & 16)
            through_result(&first, &second, type, flat, &arena);
        else
            through_params(&first, &second, type, flat, &arena);
    }
    sample_guest_deinit(&first);
    sample_guest_deinit(&second);
    wisp_arena_deinit(&arena);
    return 0;
}
