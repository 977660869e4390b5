/* SPDX-License-Identifier: Apache-2.0 */
/* What instances of a module are before guest code runs in them, as far as guests have changed it.
 *
 * Instances of one module begin alike: what an instance can change is exported (expose.c), and all of it is numbers.
 * Globals are read from the first instance. Of memories only the pages are kept that guests have been seen to write:
 * after an instance that wrote to others it can't be put back, and the next new one is looked at for these too. */
#include "wasm/wasm_priv.h"

#include <stdlib.h>

enum {
    PAGE = 1 << 12,
    GROUP = 16,       /* pages that are learned of together: where one was written, others will be */
    LESSONS_MAX = 64, /* of guests that write elsewhere each time, no more is learned */
    CHECKED_MAX = 64 << 20,
};

/* Pages in a row, all of them zeros or all of them with their bytes. */
struct part {
    uint32_t first, n;
    uint8_t *bytes; /* NULL: zeros */
};

struct memory {
    uint64_t size;
    uint8_t *is_wanted; /* by page */
    bool has_news;      /* in is_wanted */
    uint32_t n_lessons; /* news so far */
    struct part *parts; /* in the order of the memory */
    uint32_t n_parts, parts_capacity;
    uint8_t *whole; /* to check with; NULL: unchecked */
};

struct wisp_wasm_original {
    const struct wisp_wasm_module *module;
    bool is_known; /* sizes and globals */
    struct memory *memories;
    wasmtime_val_t *globals;
};

struct wisp_wasm_original *wisp_wasm_original_new(const struct wisp_wasm_module *module)
{
    if (!module->is_exposed || !module->engine->remembers_written) return NULL;
    struct wisp_wasm_original *original = wisp_mem_calloc(1, sizeof *original);
    original->module = module;
    original->memories = wisp_mem_calloc(module->n_memories, sizeof *original->memories);
    original->globals = wisp_mem_calloc(module->n_globals, sizeof *original->globals);
    return original;
}

static void forget_parts(struct memory *memory)
{
    for (uint32_t i = 0; i < memory->n_parts; i++) free(memory->parts[i].bytes);
    memory->n_parts = 0;
}

void wisp_wasm_original_free(struct wisp_wasm_original *original)
{
    if (!original) return;
    for (uint32_t i = 0; i < original->module->n_memories; i++) {
        struct memory *memory = &original->memories[i];
        forget_parts(memory);
        free(memory->parts);
        free(memory->is_wanted);
        free(memory->whole);
    }
    free(original->memories);
    free(original->globals);
    free(original);
}

uint32_t wisp_wasm_original_externs(const struct wisp_wasm_original *original)
{
    return original->module->n_memories + original->module->n_globals;
}

/* --- looking at a new instance --- */

static bool is_zero(const uint8_t *page) { return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0; }

static void add_page(struct memory *memory, uint32_t index, const uint8_t *page)
{
    bool has_bytes = !is_zero(page);
    struct part *last = memory->n_parts ? &memory->parts[memory->n_parts - 1] : NULL;
    if (!last || last->first + last->n != index || (last->bytes != NULL) != has_bytes) {
        if (memory->n_parts == memory->parts_capacity) {
            memory->parts_capacity = memory->parts_capacity ? 2 * memory->parts_capacity : 16;
            memory->parts = wisp_mem_realloc(memory->parts, memory->parts_capacity * sizeof *memory->parts);
        }
        last = &memory->parts[memory->n_parts++];
        *last = (struct part){.first = index};
    }
    if (has_bytes) {
        last->bytes = wisp_mem_realloc(last->bytes, ((size_t)last->n + 1) * PAGE);
        memcpy(last->bytes + (size_t)last->n * PAGE, page, PAGE);
    }
    last->n++;
}

static bool look_at_memory(struct wisp_wasm_store *store, struct memory *memory, const struct wisp_wasm_extern *item)
{
    uint8_t *base;
    uint64_t size;
    wisp_wasm_memory(store, item, &base, &size);
    if (!memory->is_wanted) {
        memory->size = size;
        memory->is_wanted = wisp_mem_calloc(size / PAGE + 1, 1);
        if (WISP_WASM_IS_CHECKED && size <= CHECKED_MAX) memory->whole = memcpy(wisp_mem_alloc(size + 1), base, size);
    }
    if (size != memory->size) return false;
    if (!memory->has_news) return true;
    memory->has_news = false;
    memory->n_lessons++;
    forget_parts(memory);
    for (uint64_t i = 0; i < size / PAGE; i++)
        if (memory->is_wanted[i]) add_page(memory, (uint32_t)i, base + i * PAGE);
    return true;
}

static void look_at_global(struct wisp_wasm_store *store, wasmtime_val_t *global, const struct wisp_wasm_extern *item)
{
    wasmtime_global_get(store->context, &((const wasmtime_extern_t *)item)->of.global, global);
}

bool wisp_wasm_original_look(struct wisp_wasm_original *original, struct wisp_wasm_store *store,
                             const struct wisp_wasm_instance *instance, struct wisp_wasm_extern *ret_externs)
{
    const struct wisp_wasm_module *module = original->module;
    for (uint32_t i = 0; i < module->n_memories + module->n_globals; i++) {
        bool found = wisp_wasm_export_get(store, instance, module->exposed[i], &ret_externs[i]);
        assert(found);
        (void)found;
    }
    bool is_alike = true;
    for (uint32_t i = 0; i < module->n_memories; i++)
        is_alike &= look_at_memory(store, &original->memories[i], &ret_externs[i]);
    for (uint32_t i = 0; i < module->n_globals && !original->is_known; i++)
        look_at_global(store, &original->globals[i], &ret_externs[module->n_memories + i]);
    original->is_known = true;
    return is_alike;
}

/* --- putting an instance back --- */

static void put_back_pages(const struct part *part, uint32_t first, uint32_t n, uint8_t *base)
{
    uint8_t *to = base + (uint64_t)first * PAGE;
    if (part->bytes)
        memcpy(to, part->bytes + (size_t)(first - part->first) * PAGE, (size_t)n * PAGE);
    else
        memset(to, 0, (size_t)n * PAGE);
}

static void want_group(struct memory *memory, uint32_t page)
{
    if (memory->n_lessons == LESSONS_MAX) return;
    memory->has_news = true;
    uint64_t first = page & ~(uint32_t)(GROUP - 1), n_pages = memory->size / PAGE;
    memset(&memory->is_wanted[first], 1, n_pages - first < GROUP ? n_pages - first : GROUP);
}

/* Puts back what is known of these pages, and notes those that aren't. */
static bool put_back_range(struct memory *memory, struct wisp_wasm_pages range, uint32_t *part_at, uint8_t *base)
{
    uint32_t at = range.first, end = range.first + range.n;
    bool is_complete = true;
    while (at < end) {
        while (*part_at < memory->n_parts && memory->parts[*part_at].first + memory->parts[*part_at].n <= at)
            ++*part_at;
        const struct part *part = *part_at < memory->n_parts ? &memory->parts[*part_at] : NULL;
        if (part && part->first <= at) {
            uint32_t stop = part->first + part->n < end ? part->first + part->n : end;
            put_back_pages(part, at, stop - at, base);
            at = stop;
        } else {
            want_group(memory, at++);
            is_complete = false;
        }
    }
    return is_complete;
}

static bool put_back_memory(struct wisp_wasm_store *store, struct memory *memory, const struct wisp_wasm_extern *item,
                            uint32_t *n_pages)
{
    uint8_t *base;
    uint64_t size;
    wisp_wasm_memory(store, item, &base, &size);
    if (size != memory->size) return false; /* it has grown, and none shrinks */
    struct wisp_wasm_pages ranges[WISP_WASM_WRITTEN_MAX];
    int n = wisp_wasm_written_pages(base, size, store->engine->kept_pages_max, ranges);
    bool is_complete = n >= 0;
    uint32_t part_at = 0;
    for (int i = 0; i < n; i++) {
        is_complete &= put_back_range(memory, ranges[i], &part_at, base);
        *n_pages += ranges[i].n;
    }
    if (memory->whole && is_complete && memcmp(base, memory->whole, size) != 0) abort();
    return is_complete;
}

static void put_back_global(struct wisp_wasm_store *store, const wasmtime_val_t *global,
                            const struct wisp_wasm_extern *item)
{
    wasmtime_error_t *error =
        wasmtime_global_set(store->context, &((const wasmtime_extern_t *)item)->of.global, global);
    assert(!error); /* it is a number of the type that was read, and mutable */
    (void)error;
}

bool wisp_wasm_original_is_learning(const struct wisp_wasm_original *original)
{
    bool has_news = false;
    for (uint32_t i = 0; i < original->module->n_memories; i++) has_news |= original->memories[i].has_news;
    return has_news;
}

bool wisp_wasm_original_put_back(struct wisp_wasm_original *original, struct wisp_wasm_store *store,
                                 const struct wisp_wasm_extern *externs, uint32_t *n_pages)
{
    const struct wisp_wasm_module *module = original->module;
    bool is_complete = true;
    for (uint32_t i = 0; i < module->n_memories; i++)
        is_complete &= put_back_memory(store, &original->memories[i], &externs[i], n_pages);
    for (uint32_t i = 0; i < module->n_globals; i++)
        put_back_global(store, &original->globals[i], &externs[module->n_memories + i]);
    return is_complete;
}
