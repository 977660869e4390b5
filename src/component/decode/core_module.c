/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/core_module.h"

#include "component/array.h"
#include "component/decode/core_module_priv.h"

enum {
    SECTION_CUSTOM = 0,
    SECTION_TYPE = 1,
    SECTION_IMPORT = 2,
    SECTION_FUNCTION = 3,
    SECTION_TABLE = 4,
    SECTION_MEMORY = 5,
    SECTION_GLOBAL = 6,
    SECTION_EXPORT = 7,
    SECTION_START = 8,
    SECTION_TAG = 13,
    SECTION_COUNT = 14,
};

/* Position of each section in the prescribed order; 0: no such section, or a custom one. */
static const uint8_t section_order[SECTION_COUNT] = {
    [SECTION_TYPE] = 1,     [SECTION_IMPORT] = 2, [SECTION_FUNCTION] = 3, [SECTION_TABLE] = 4, [SECTION_MEMORY] = 5,
    [SECTION_TAG] = 6,      [SECTION_GLOBAL] = 7, [SECTION_EXPORT] = 8,   [SECTION_START] = 9, [9] = 10 /* elements */,
    [12] = 11 /* counts */, [10] = 12 /* code */, [11] = 13 /* data */,
};

/* One index space while it grows. */
struct space {
    struct wisp_core_extern *items;
    uint32_t n, capacity;
};

struct module_reader {
    struct wisp_reader *r;
    struct wisp_arena *arena;
    struct wisp_core_info *info;
    const struct wisp_core_sig **sigs; /* NULL: a type that is not a function's */
    uint32_t n_types, types_capacity;
    struct space spaces[WISP_CORE_SORT_COUNT];
};

/* --- types --- */

static void add_type(struct module_reader *m, const struct wisp_core_sig *sig)
{
    if (m->n_types >= WISP_PLAN_ITEMS_MAX) {
        wisp_reader_fail(m->r, WISP_ERR_LIMIT, "more than %d types", WISP_PLAN_ITEMS_MAX);
        return;
    }
    *WISP_PUSH(m->arena, m->sigs, m->n_types, m->types_capacity) = sig;
}

static void skip_field_type(struct wisp_reader *r)
{
    if (r->at < r->end && (*r->at == 0x78 || *r->at == 0x77)) /* i8, i16 */
        wisp_read_byte(r);
    else
        wisp_core_read_valtype(r);
    if (wisp_read_byte(r) > 1) wisp_reader_fail(r, WISP_ERR_INVALID, "a mutability is neither 0 nor 1");
}

static void read_composite_type(struct module_reader *m, uint8_t code)
{
    struct wisp_reader *r = m->r;
    switch (code) {
    case 0x60:
        add_type(m, wisp_core_read_sig(r, m->arena));
        return;
    case 0x5f: /* struct */
        for (uint32_t n = wisp_read_count(r); n > 0 && !r->failed; n--) skip_field_type(r);
        add_type(m, NULL);
        return;
    case 0x5e: /* array */
        skip_field_type(r);
        add_type(m, NULL);
        return;
    case 0x5d: /* cont */
        wisp_read_s33(r);
        add_type(m, NULL);
        return;
    default:
        wisp_reader_fail_at(r, wisp_reader_offset(r) - 1, WISP_ERR_UNSUPPORTED, "core type 0x%x", code);
    }
}

static void read_sub_type(struct module_reader *m)
{
    uint8_t code = wisp_read_byte(m->r);
    if (code == 0x50 || code == 0x4f) { /* sub, sub final */
        for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) wisp_read_u32(m->r);
        code = wisp_read_byte(m->r);
    }
    if (!m->r->failed) read_composite_type(m, code);
}

static void read_rec_type(struct module_reader *m)
{
    if (m->r->at < m->r->end && *m->r->at == 0x4e) { /* rec */
        wisp_read_byte(m->r);
        for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) read_sub_type(m);
        return;
    }
    read_sub_type(m);
}

/* --- items --- */

static void add_item(struct module_reader *m, const struct wisp_core_extern *type)
{
    struct space *space = &m->spaces[type->sort];
    if (space->n >= WISP_PLAN_ITEMS_MAX) {
        wisp_reader_fail(m->r, WISP_ERR_LIMIT, "more than %d items of one kind", WISP_PLAN_ITEMS_MAX);
        return;
    }
    *WISP_PUSH(m->arena, space->items, space->n, space->capacity) = *type;
}

static void resolve_sig(struct module_reader *m, struct wisp_core_extern *type)
{
    if (m->r->failed || (type->sort != WISP_CORE_FUNC && type->sort != WISP_CORE_TAG)) return;
    if (type->type_index >= m->n_types)
        wisp_reader_fail(m->r, WISP_ERR_INVALID, "type index out of bounds: %u of %u", type->type_index, m->n_types);
    else if (!(type->sig = m->sigs[type->type_index]))
        wisp_reader_fail(m->r, WISP_ERR_INVALID, "type %u is not a function type", type->type_index);
}

static void read_imports(struct module_reader *m)
{
    uint32_t n = wisp_read_count(m->r);
    m->info->imports = WISP_NEW_ARRAY(m->arena, struct wisp_core_item, n);
    for (uint32_t i = 0; i < n && !m->r->failed; i++) {
        struct wisp_core_item *import = &m->info->imports[i];
        import->module = wisp_read_name(m->r);
        import->name = wisp_read_name(m->r);
        import->type = wisp_core_read_extern(m->r);
        resolve_sig(m, &import->type);
        if (!m->r->failed) add_item(m, &import->type);
        m->info->n_imports++;
    }
}

static void read_functions(struct module_reader *m)
{
    for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) {
        struct wisp_core_extern type = {.sort = WISP_CORE_FUNC, .type_index = wisp_read_u32(m->r)};
        resolve_sig(m, &type);
        if (!m->r->failed) add_item(m, &type);
    }
}

static void read_tables(struct module_reader *m)
{
    struct wisp_core_module *plan = &m->info->plan;
    for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) {
        bool has_init = m->r->at < m->r->end && *m->r->at == 0x40;
        if (has_init && (wisp_read_byte(m->r), wisp_read_byte(m->r)))
            wisp_reader_fail(m->r, WISP_ERR_INVALID, "zero byte expected");
        struct wisp_core_extern type = wisp_core_read_table_type(m->r);
        if (has_init) wisp_core_skip_const_expr(m->r);
        if (m->r->failed) return;
        add_item(m, &type);
        plan->n_tables++;
        if (plan->table_elements_min < type.min) plan->table_elements_min = type.min;
    }
}

static void read_memories(struct module_reader *m)
{
    struct wisp_core_module *plan = &m->info->plan;
    for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) {
        struct wisp_core_extern type = wisp_core_read_memory_type(m->r);
        if (m->r->failed) return;
        add_item(m, &type);
        uint64_t max = type.has_max ? type.max : UINT64_MAX;
        if (plan->memory_pages_min < type.min) plan->memory_pages_min = type.min;
        if (!plan->n_memories || plan->memory_pages_max < max) plan->memory_pages_max = max;
        plan->n_memories++;
    }
}

static void read_globals(struct module_reader *m)
{
    for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) {
        struct wisp_core_extern type = wisp_core_read_global_type(m->r);
        wisp_core_skip_const_expr(m->r);
        if (!m->r->failed) add_item(m, &type);
    }
}

static void read_tags(struct module_reader *m)
{
    for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) {
        struct wisp_core_extern type = wisp_core_read_tag_type(m->r);
        resolve_sig(m, &type);
        if (!m->r->failed) add_item(m, &type);
    }
}

static void read_exports(struct module_reader *m)
{
    uint32_t n = wisp_read_count(m->r);
    m->info->exports = WISP_NEW_ARRAY(m->arena, struct wisp_core_item, n);
    for (uint32_t i = 0; i < n && !m->r->failed; i++) {
        struct wisp_core_item *item = &m->info->exports[i];
        item->name = wisp_read_name(m->r);
        uint32_t offset = wisp_reader_offset(m->r);
        uint8_t sort = wisp_read_byte(m->r);
        uint32_t index = wisp_read_u32(m->r);
        if (m->r->failed) return;
        if (sort >= WISP_CORE_SORT_COUNT)
            wisp_reader_fail_at(m->r, offset, WISP_ERR_INVALID, "export kind 0x%x", sort);
        else if (index >= m->spaces[sort].n)
            wisp_reader_fail_at(m->r, offset, WISP_ERR_INVALID, "export `%.*s`: %s index out of bounds",
                                WISP_STR_ARG(item->name), wisp_core_sort_name(sort));
        else
            item->type = m->spaces[sort].items[index];
        m->info->n_exports++;
    }
}

static void read_start(struct module_reader *m)
{
    uint32_t index = wisp_read_u32(m->r);
    const struct space *funcs = &m->spaces[WISP_CORE_FUNC];
    m->info->plan.has_start = true;
    if (m->r->failed) return;
    if (index >= funcs->n)
        wisp_reader_fail(m->r, WISP_ERR_INVALID, "start function index out of bounds");
    else if (funcs->items[index].sig->n_params || funcs->items[index].sig->n_results)
        wisp_reader_fail(m->r, WISP_ERR_INVALID, "the start function has parameters or results");
}

static void read_types(struct module_reader *m)
{
    for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) read_rec_type(m);
}

typedef void read_section(struct module_reader *m);
/* Sections without an entry are the engine's business. */
static read_section *const readers[SECTION_COUNT] = {
    [SECTION_TYPE] = read_types,     [SECTION_IMPORT] = read_imports,  [SECTION_FUNCTION] = read_functions,
    [SECTION_TABLE] = read_tables,   [SECTION_MEMORY] = read_memories, [SECTION_TAG] = read_tags,
    [SECTION_GLOBAL] = read_globals, [SECTION_EXPORT] = read_exports,  [SECTION_START] = read_start,
};

static void check_header(struct wisp_reader *r)
{
    struct wisp_str header = wisp_read_bytes(r, 8);
    if (!r->failed && memcmp(header.ptr, "\0asm\1\0\0\0", 8) != 0)
        wisp_reader_fail_at(r, wisp_reader_offset(r) - 8, WISP_ERR_INVALID,
                            "expected the header of a core module (version 1)");
}

static void read_sections(struct module_reader *m, struct wisp_reader *r, struct wisp_producers *producers)
{
    uint8_t last = 0;
    while (!r->failed && !wisp_reader_at_end(r)) {
        uint32_t offset = wisp_reader_offset(r);
        uint8_t id = wisp_read_byte(r);
        struct wisp_reader section = wisp_reader_part(r, wisp_read_u32(r));
        if (r->failed) return;
        if (id == SECTION_CUSTOM) {
            struct wisp_str name = wisp_read_name(&section);
            if (wisp_str_is(name, "producers")) wisp_producers_read(producers, section);
            section.at = section.end;
        } else if (id >= SECTION_COUNT || !section_order[id]) {
            wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "malformed section id %u", id);
        } else if (section_order[id] <= last) {
            wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "section %u out of order", id);
        } else {
            last = section_order[id];
            m->r = &section;
            if (readers[id])
                readers[id](m);
            else
                section.at = section.end;
        }
        wisp_reader_finish_part(r, &section, "section");
    }
}

struct wisp_core_info *wisp_core_module_read(struct wisp_reader *reader, struct wisp_arena *arena,
                                             struct wisp_producers *producers)
{
    struct wisp_core_info *info = WISP_NEW(arena, struct wisp_core_info);
    struct module_reader m = {.r = reader, .arena = arena, .info = info};
    uint32_t start = wisp_reader_offset(reader);
    info->plan.bytes = (struct wisp_str){(const char *)reader->at, (size_t)(reader->end - reader->at)};
    info->plan.memory_pages_max = UINT64_MAX;
    check_header(reader);
    read_sections(&m, reader, producers);
    const struct wisp_core_item *duplicate;
    if (!reader->failed && !wisp_core_index(info, arena, &duplicate))
        wisp_reader_fail_at(reader, start, WISP_ERR_INVALID, "core module has two imports or exports `%.*s` `%.*s`",
                            WISP_STR_ARG(duplicate->module), WISP_STR_ARG(duplicate->name));
    return info;
}
