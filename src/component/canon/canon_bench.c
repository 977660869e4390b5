/* SPDX-License-Identifier: Apache-2.0 */
/* Nanoseconds per lift and lower of the shapes that requests are made of. */
#include "component/canon.h"
#include "component/host/host_signature.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MEMORY_SIZE = 1 << 20, HEAP_START = 1 << 16, N_HEADERS = 20 };

struct bench {
    struct wisp_canon canon;
    struct wisp_canon_options options;
    struct wisp_handles handles;
    struct wisp_arena arena, types;
    struct wisp_err err;
    struct wisp_resource resource;
    struct wisp_map resources;
    struct wisp_signature_names names;
    uint32_t top, handle;
};

static int bump(struct wisp_canon *canon, uint32_t align, uint32_t size, uint32_t *ret_pointer)
{
    struct bench *b = canon->env;
    b->top = (b->top + align - 1) & ~(align - 1);
    *ret_pointer = b->top;
    b->top += size;
    return 0;
}

static void must(struct bench *b, int r)
{
    if (r >= 0) return;
    fprintf(stderr, "%s\n", b->err.text);
    exit(1);
}

static void start(struct bench *b)
{
    *b = (struct bench){.resource = {.name = WISP_STR("fields"), .is_imported = true}};
    b->canon = (struct wisp_canon){.options = &b->options,
                                   .memory = wisp_mem_calloc(1, MEMORY_SIZE),
                                   .memory_size = MEMORY_SIZE,
                                   .handles = &b->handles,
                                   .arena = &b->arena,
                                   .err = &b->err,
                                   .realloc = bump,
                                   .env = b};
    wisp_map_add(&b->resources, b->resource.name, &b->resource);
    b->names = (struct wisp_signature_names){.arena = &b->types, .resources = &b->resources};
    for (int i = 0; i < 4; i++)
        must(b, wisp_handles_add(&b->handles, &b->resource, b, true, NULL, &b->handle, &b->err));
}

static const struct wisp_func_type *signature(struct bench *b, const char *text)
{
    const struct wisp_func_type *type = NULL;
    must(b, wisp_signature_parse(&b->names, wisp_str_from(text), &type, &b->err));
    return type;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* The best of several rounds: the machine is shared. */
static void measure(struct bench *b, const char *what, void (*run)(struct bench *b, const void *env), const void *env)
{
    double best = 1e18;
    for (int round = 0; round < 20; round++) {
        enum { CALLS = 20000 };
        double start_ns = now_ns();
        for (int i = 0; i < CALLS; i++) run(b, env);
        double each = (now_ns() - start_ns) / CALLS;
        if (each < best) best = each;
    }
    printf("%-64s %8.1f ns\n", what, best);
}

struct call {
    const struct wisp_func_type *type;
    union wisp_raw flat[WISP_FLAT_PARAMS_MAX + 1];
    const void *native;
};

static void lift_params(struct bench *b, const void *env)
{
    const struct call *call = env;
    char native[512];
    must(b, wisp_canon_lift_params(&b->canon, call->type, call->flat, native));
    wisp_canon_end_borrows(&b->canon);
    wisp_arena_reset(&b->arena);
    __asm__ volatile("" : : "r"(native) : "memory");
}

static void lower_result(struct bench *b, const void *env)
{
    const struct call *call = env;
    union wisp_raw flat[WISP_FLAT_PARAMS_MAX + 1];
    memcpy(flat, call->flat, call->type->lower.n_params * sizeof *flat);
    b->top = HEAP_START;
    must(b, wisp_canon_lower_result(&b->canon, call->type, call->native, flat));
}

static void lift_result(struct bench *b, const void *env)
{
    const struct call *call = env;
    char native[512];
    must(b, wisp_canon_lift_result(&b->canon, call->type, call->flat, native));
    wisp_arena_reset(&b->arena);
    __asm__ volatile("" : : "r"(native) : "memory");
}

static void append_header(struct bench *b)
{
    struct call call = {.type = signature(b, "(borrow<fields>, string, list<u8>) -> result<_, enum(3)>")};
    memcpy(b->canon.memory + 1000, "content-type", 12);
    call.flat[0].u32 = b->handle;
    call.flat[1].u32 = 1000;
    call.flat[2].u32 = 12;
    call.flat[3].u32 = 2000;
    call.flat[4].u32 = 24;
    measure(b, "lift (borrow, string of 12, list<u8> of 24)", lift_params, &call);
    struct {
        uint32_t is_err, error;
    } result = {1, 2};
    call.native = &result;
    call.flat[5].u32 = 3000;
    measure(b, "lower result<_, enum>", lower_result, &call);
    struct call self = {.type = signature(b, "(borrow<fields>, string)")};
    memcpy(self.flat, call.flat, sizeof self.flat);
    measure(b, "lift (borrow, string of 12)", lift_params, &self);
}

static void header_list(struct bench *b)
{
    struct call call = {.type = signature(b, "(list<tuple<string, list<u8>>>) -> list<tuple<string, list<u8>>>")};
    struct pair {
        struct wisp_str name, value;
    } pairs[N_HEADERS];
    uint32_t words[4] = {1000, 12, 2000, 24};
    for (int i = 0; i < N_HEADERS; i++) {
        pairs[i] = (struct pair){WISP_STR("content-type"), WISP_STR("text/html; charset=utf-8")};
        memcpy(b->canon.memory + 4000 + 16 * i, words, sizeof words);
    }
    call.flat[0].u32 = 4000;
    call.flat[1].u32 = N_HEADERS;
    measure(b, "lift list<tuple<string, list<u8>>> of 20", lift_params, &call);
    struct {
        void *ptr;
        size_t len;
    } list = {pairs, N_HEADERS};
    call.native = &list;
    call.flat[2].u32 = 3000;
    measure(b, "lower list<tuple<string, list<u8>>> of 20", lower_result, &call);
}

static void error_code(struct bench *b)
{
    const char *definition =
        "error-code = variant{_, record{option<string>, option<u16>}, _, _, _, _, _, _, _, _, _, _, _, _, "
        "record{option<u8>, option<string>}, _, _, option<u64>, _, _, _, _, option<u32>, record{option<string>, "
        "option<u32>}, option<record{option<string>, option<u32>}>, option<u32>, record{option<string>, option<u32>}, "
        "_, option<u32>, record{option<string>, option<u32>}, option<u64>, option<u32>, record{option<string>, "
        "option<u32>}, option<string>, option<string>, _, _, _, option<string>}";
    must(b, wisp_signature_define(&b->names, wisp_str_from(definition), &b->err));
    struct call call = {.type = signature(b, "() -> result<_, error-code>")};
    struct {
        uint32_t is_err;
        struct {
            uint32_t tag;
            struct {
                uint32_t is_some;
                struct wisp_str text;
            } message;
        } error;
    } result = {1, {38, {1, WISP_STR("connection was closed")}}};
    call.native = &result;
    call.flat[0].u32 = 3000;
    measure(b, "lower result<_, error-code>, a case with a string", lower_result, &call);
    must(b, wisp_canon_lower_result(&b->canon, call.type, call.native, call.flat));
    call.flat[0].u32 = 3000;
    measure(b, "lift result<_, error-code>, a case with a string", lift_result, &call);
}

int main(void)
{
    struct bench b;
    start(&b);
    append_header(&b);
    header_list(&b);
    error_code(&b);
    free(b.canon.memory);
    free(b.handles.slots);
    wisp_map_deinit(&b.resources);
    wisp_map_deinit(&b.names.types);
    wisp_arena_deinit(&b.arena);
    wisp_arena_deinit(&b.types);
    return 0;
}
