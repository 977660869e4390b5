/* SPDX-License-Identifier: Apache-2.0 */
/* Random types and values, lowered and lifted again. A failure prints the seed, which repeats it. */
#include "component/canon/canon_sample.h"
#include "test.h"

#include <stdio.h>

enum { SEEDS = 3000 };

struct trip {
    struct sample_guest guest;
    struct wisp_arena arena; /* types and the value given */
    struct sample_source source;
    const struct wisp_func_type *type;
    uint64_t seed;
};

static void start(struct trip *trip, uint64_t seed, enum wisp_encoding encoding)
{
    *trip = (struct trip){.source.state = seed * 0x9e3779b97f4a7c15u, .seed = seed};
    sample_guest_init(&trip->guest, 8, encoding);
    struct sample_types types = {.arena = &trip->arena, .resources = trip->guest.resources};
    trip->type = sample_func(&trip->source, types, 4);
    CHECK(trip->type);
}

static void finish(struct trip *trip)
{
    sample_guest_deinit(&trip->guest);
    wisp_arena_deinit(&trip->arena);
}

static void must(struct trip *trip, int r, const char *what)
{
    if (r < 0)
        wisp_test_fail(__FILE__, __LINE__, "seed %llu: %s: %s", (unsigned long long)trip->seed, what,
                       trip->guest.err.text);
}

/* No value that was written without overlaps may be refused: so memory is cut to what is used. */
static void cut_memory(struct sample_guest *guest)
{
    guest->canon.memory_size = guest->top;
    guest->canon.memory = realloc(guest->canon.memory, guest->top);
}

static void params_trip(struct trip *trip)
{
    const struct wisp_func_type *type = trip->type;
    char *given = wisp_arena_calloc(&trip->arena, 1, type->native_params_size);
    char *got = wisp_arena_alloc(&trip->arena, type->native_params_size);
    for (uint32_t i = 0; i < type->n_params; i++)
        sample_value(&trip->source, &trip->arena, type->params[i].type, given + type->params[i].native_offset);
    union wisp_raw flat[WISP_FLAT_PARAMS_MAX + 1];
    memset(flat, 0xcc, sizeof flat);
    /* Borrows of the guest's own resource come as representations: another instance makes them handles. */
    trip->guest.options.instance = 3;
    must(trip, wisp_canon_lower_params(&trip->guest.canon, type, given, flat), "lower_params");
    cut_memory(&trip->guest);
    must(trip, wisp_canon_lift_params(&trip->guest.canon, type, flat, got), "lift_params");
    wisp_canon_end_borrows(&trip->guest.canon);
    for (uint32_t i = 0; i < type->n_params; i++) {
        uint32_t offset = type->params[i].native_offset;
        if (!sample_equal(type->params[i].type, given + offset, got + offset))
            wisp_test_fail(__FILE__, __LINE__, "seed %llu: parameter %u (%s) differs", (unsigned long long)trip->seed,
                           i, wisp_type_text(&trip->arena, type->params[i].type));
    }
}

static void result_trip(struct trip *trip)
{
    const struct wisp_func_type *type = trip->type;
    if (!type->result) return;
    char *given = wisp_arena_calloc(&trip->arena, 1, type->result->native_size);
    char *got = wisp_arena_alloc(&trip->arena, type->result->native_size);
    sample_value(&trip->source, &trip->arena, type->result, given);
    union wisp_raw flat[WISP_FLAT_PARAMS_MAX + 1];
    memset(flat, 0xcc, sizeof flat);
    uint32_t address = 0;
    if (type->result_in_memory) {
        CHECK(sample_realloc(&trip->guest.canon, type->result->align, type->result->size, &address) == 0);
        flat[type->lower.n_params - 1].u32 = address;
    }
    must(trip, wisp_canon_lower_result(&trip->guest.canon, type, given, flat), "lower_result");
    if (type->result_in_memory) flat[0].u32 = address;
    cut_memory(&trip->guest);
    trip->guest.canon.copy = true;
    must(trip, wisp_canon_lift_result(&trip->guest.canon, type, flat, got), "lift_result");
    memset(trip->guest.canon.memory, 0xdd, trip->guest.canon.memory_size);
    if (!sample_equal(type->result, given, got))
        wisp_test_fail(__FILE__, __LINE__, "seed %llu: result (%s) differs", (unsigned long long)trip->seed,
                       wisp_type_text(&trip->arena, type->result));
}

static void trips(enum wisp_encoding encoding, void (*run)(struct trip *trip))
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct trip trip;
        start(&trip, seed, encoding);
        run(&trip);
        finish(&trip);
    }
}

TEST(params_utf8) { trips(WISP_UTF8, params_trip); }
TEST(params_utf16) { trips(WISP_UTF16, params_trip); }
TEST(params_latin1_utf16) { trips(WISP_LATIN1_UTF16, params_trip); }
TEST(results_utf8) { trips(WISP_UTF8, result_trip); }
TEST(results_utf16) { trips(WISP_UTF16, result_trip); }
TEST(results_latin1_utf16) { trips(WISP_LATIN1_UTF16, result_trip); }

/* --- a trap in the middle: every owned representation is still somewhere --- */

static uint32_t count_owns(const struct wisp_type *type, const char *native)
{
    uint32_t n = 0, tag;
    struct sample_list list;
    switch (type->kind) {
    case WISP_TYPE_OWN:
        return 1;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; i < type->n_fields; i++)
            n += count_owns(type->fields[i].type, native + type->fields[i].native_offset);
        return n;
    case WISP_TYPE_LIST:
        memcpy(&list, native, sizeof list);
        for (size_t i = 0; i < list.len; i++)
            n += count_owns(type->element, (char *)list.ptr + i * type->element->native_size);
        return n;
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        memcpy(&tag, native, 4);
        return type->fields[tag].type ? count_owns(type->fields[tag].type, native + type->fields[tag].native_offset)
                                      : 0;
    default:
        return 0;
    }
}

static void trap_trip(struct trip *trip)
{
    const struct wisp_func_type *type = trip->type;
    char *given = wisp_arena_calloc(&trip->arena, 1, type->native_params_size);
    uint32_t n_owns = 0;
    for (uint32_t i = 0; i < type->n_params; i++) {
        sample_value(&trip->source, &trip->arena, type->params[i].type, given + type->params[i].native_offset);
        n_owns += count_owns(type->params[i].type, given + type->params[i].native_offset);
    }
    union wisp_raw flat[WISP_FLAT_PARAMS_MAX + 1];
    trip->guest.fail_after = (int)sample_below(&trip->source, 6);
    (void)!wisp_canon_lower_params(&trip->guest.canon, type, given, flat);
    int n_left = 0;
    wisp_handles_deinit(&trip->guest.handles, sample_forget, &n_left);
    CHECK_INT(n_left, n_owns);
}

TEST(a_trap_in_realloc_loses_no_owned_resource) { trips(WISP_UTF8, trap_trip); }

/* Bad strings after own handles: what was taken out is put back. */
static void bad_lift_trip(struct trip *trip)
{
    const struct wisp_func_type *type = trip->type;
    char *given = wisp_arena_calloc(&trip->arena, 1, type->native_params_size);
    char *got = wisp_arena_alloc(&trip->arena, type->native_params_size);
    uint32_t n_owns = 0;
    for (uint32_t i = 0; i < type->n_params; i++) {
        sample_value(&trip->source, &trip->arena, type->params[i].type, given + type->params[i].native_offset);
        n_owns += count_owns(type->params[i].type, given + type->params[i].native_offset);
    }
    union wisp_raw flat[WISP_FLAT_PARAMS_MAX + 1];
    must(trip, wisp_canon_lower_params(&trip->guest.canon, type, given, flat), "lower_params");
    struct sample_guest *guest = &trip->guest;
    for (uint32_t i = 0; i < guest->canon.memory_size; i += 1 + sample_below(&trip->source, 9))
        guest->canon.memory[i] = 0xff;
    bool lifted = wisp_canon_lift_params(&guest->canon, type, flat, got) == 0;
    wisp_canon_end_borrows(&guest->canon);
    for (uint32_t i = 0; i < guest->handles.n_slots; i++) CHECK_INT(guest->handles.slots[i].lends, 0);
    int n_left = 0;
    wisp_handles_deinit(&guest->handles, sample_forget, &n_left);
    if (!lifted) CHECK_INT(n_left, n_owns);
}

TEST(a_lift_that_fails_gives_handles_back) { trips(WISP_UTF8, bad_lift_trip); }
