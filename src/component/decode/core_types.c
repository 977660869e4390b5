/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/core_module_priv.h"

#include "base/mem.h"

#include <stdlib.h>

enum { MEMORY_32_PAGES_MAX = 65536 };
#define MEMORY_64_PAGES_MAX (UINT64_C(1) << 48)

static const char *const sort_names[WISP_CORE_SORT_COUNT] = {
    [WISP_CORE_FUNC] = "func",     [WISP_CORE_TABLE] = "table", [WISP_CORE_MEMORY] = "memory",
    [WISP_CORE_GLOBAL] = "global", [WISP_CORE_TAG] = "tag",
};

const char *wisp_core_sort_name(enum wisp_core_sort sort) { return sort_names[sort]; }

/* --- reading --- */

static wisp_core_type reference(uint8_t nullability, uint32_t heap) { return nullability | heap << 8; }

static uint32_t read_heap_type(struct wisp_reader *r)
{
    uint32_t offset = wisp_reader_offset(r);
    int64_t heap = wisp_read_s33(r);
    if (heap >= WISP_PLAN_ITEMS_MAX || heap < -64)
        wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "heap type out of range");
    return r->failed ? 0 : heap >= 0 ? (uint32_t)heap : WISP_CORE_HEAP_ABSTRACT | (heap & 0x7f);
}

wisp_core_type wisp_core_read_valtype(struct wisp_reader *r)
{
    uint32_t offset = wisp_reader_offset(r);
    uint8_t code = wisp_read_byte(r);
    switch (code) {
    case WISP_CORE_I32:
    case WISP_CORE_I64:
    case WISP_CORE_F32:
    case WISP_CORE_F64:
    case WISP_CORE_V128:
        return code;
    case WISP_CORE_REF:
    case WISP_CORE_REF_NULL:
        return reference(code, read_heap_type(r));
    case 0x65: /* shared heap types */
        wisp_reader_fail_at(r, offset, WISP_ERR_UNSUPPORTED, "shared references");
        return 0;
    default:
        if (code >= 0x68 && code <= 0x75) return reference(WISP_CORE_REF_NULL, WISP_CORE_HEAP_ABSTRACT | code);
        wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "malformed value type 0x%x", code);
        return 0;
    }
}

static uint32_t read_arity(struct wisp_reader *r)
{
    uint32_t n = wisp_read_count(r);
    if (n > WISP_CORE_ARITY_MAX) wisp_reader_fail(r, WISP_ERR_LIMIT, "a function type with %u values", n);
    return r->failed ? 0 : n;
}

const struct wisp_core_sig *wisp_core_read_sig(struct wisp_reader *r, struct wisp_arena *arena)
{
    struct wisp_core_sig *sig = WISP_NEW(arena, struct wisp_core_sig);
    uint32_t n_params = read_arity(r);
    /* The results' count is not known yet: read the parameters into a list of their own first. */
    wisp_core_type *params = WISP_NEW_ARRAY(arena, wisp_core_type, n_params);
    for (uint32_t i = 0; i < n_params && !r->failed; i++) params[i] = wisp_core_read_valtype(r);
    uint32_t n_results = read_arity(r);
    wisp_core_type *types = params;
    if (n_results) {
        types = WISP_NEW_ARRAY(arena, wisp_core_type, (size_t)n_params + n_results);
        if (n_params) memcpy(types, params, n_params * sizeof *params);
        for (uint32_t i = 0; i < n_results && !r->failed; i++) types[n_params + i] = wisp_core_read_valtype(r);
    }
    *sig = (struct wisp_core_sig){n_params, n_results, types};
    return sig;
}

static void read_limits(struct wisp_reader *r, struct wisp_core_extern *type, bool is_memory)
{
    enum { HAS_MAX = 1, SHARED = 2, IS_64 = 4, PAGE_SIZE = 8 };
    uint32_t offset = wisp_reader_offset(r);
    uint8_t flags = wisp_read_byte(r);
    if (flags > (HAS_MAX | SHARED | IS_64 | (is_memory ? PAGE_SIZE : 0)))
        wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "malformed limits flags 0x%x", flags);
    type->has_max = flags & HAS_MAX;
    type->is_shared = flags & SHARED;
    type->is_64 = flags & IS_64;
    type->min = type->is_64 ? wisp_read_u64(r) : wisp_read_u32(r);
    if (type->has_max) type->max = type->is_64 ? wisp_read_u64(r) : wisp_read_u32(r);
    type->page_size_log2 = 16;
    if (flags & PAGE_SIZE) {
        uint32_t log2 = wisp_read_u32(r);
        if (log2 > 16) wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "page size 2^%u", log2);
        type->page_size_log2 = (uint8_t)(log2 & 31);
    }
    if (r->failed) return;
    if (type->has_max && type->max < type->min)
        wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "the minimum size is larger than the maximum");
    if (type->is_shared && !type->has_max)
        wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "a shared memory or table needs a maximum size");
}

struct wisp_core_extern wisp_core_read_table_type(struct wisp_reader *r)
{
    struct wisp_core_extern type = {.sort = WISP_CORE_TABLE};
    uint32_t offset = wisp_reader_offset(r);
    type.type = wisp_core_read_valtype(r);
    if (!r->failed && (type.type & 0xff) != WISP_CORE_REF && (type.type & 0xff) != WISP_CORE_REF_NULL)
        wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "a table's elements must be references");
    read_limits(r, &type, false);
    return type;
}

struct wisp_core_extern wisp_core_read_memory_type(struct wisp_reader *r)
{
    struct wisp_core_extern type = {.sort = WISP_CORE_MEMORY};
    uint32_t offset = wisp_reader_offset(r);
    read_limits(r, &type, true);
    uint64_t most = type.is_64 ? MEMORY_64_PAGES_MAX : MEMORY_32_PAGES_MAX;
    if (!r->failed && type.page_size_log2 == 16 && (type.min > most || (type.has_max && type.max > most)))
        wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "memory size must be at most %llu pages",
                            (unsigned long long)most);
    return type;
}

struct wisp_core_extern wisp_core_read_global_type(struct wisp_reader *r)
{
    struct wisp_core_extern type = {.sort = WISP_CORE_GLOBAL, .type = wisp_core_read_valtype(r)};
    uint8_t flags = wisp_read_byte(r);
    if (flags & 2)
        wisp_reader_fail(r, WISP_ERR_UNSUPPORTED, "shared globals");
    else if (flags > 1)
        wisp_reader_fail(r, WISP_ERR_INVALID, "malformed mutability 0x%x", flags);
    type.is_mutable = flags & 1;
    return type;
}

struct wisp_core_extern wisp_core_read_tag_type(struct wisp_reader *r)
{
    struct wisp_core_extern type = {.sort = WISP_CORE_TAG};
    if (wisp_read_byte(r) != 0) wisp_reader_fail(r, WISP_ERR_INVALID, "malformed tag attribute");
    type.type_index = wisp_read_u32(r);
    return type;
}

struct wisp_core_extern wisp_core_read_extern(struct wisp_reader *r)
{
    uint32_t offset = wisp_reader_offset(r);
    uint8_t sort = wisp_read_byte(r);
    switch (sort) {
    case WISP_CORE_FUNC:
        return (struct wisp_core_extern){.sort = WISP_CORE_FUNC, .type_index = wisp_read_u32(r)};
    case WISP_CORE_TABLE:
        return wisp_core_read_table_type(r);
    case WISP_CORE_MEMORY:
        return wisp_core_read_memory_type(r);
    case WISP_CORE_GLOBAL:
        return wisp_core_read_global_type(r);
    case WISP_CORE_TAG:
        return wisp_core_read_tag_type(r);
    default:
        wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "malformed import kind 0x%x", sort);
        return (struct wisp_core_extern){0};
    }
}

/* The instructions a constant expression may have, by the immediates they take. Their types are the engine's to check.
 */
void wisp_core_skip_const_expr(struct wisp_reader *r)
{
    while (!r->failed) {
        uint32_t offset = wisp_reader_offset(r), code;
        switch (code = wisp_read_byte(r)) {
        case 0x0b: /* end */
            return;
        case 0x41: /* i32.const */
            wisp_skip_leb(r, 32);
            break;
        case 0x42: /* i64.const */
            wisp_skip_leb(r, 64);
            break;
        case 0x43: /* f32.const */
            wisp_read_bytes(r, 4);
            break;
        case 0x44: /* f64.const */
            wisp_read_bytes(r, 8);
            break;
        case 0x23: /* global.get */
        case 0xd2: /* ref.func */
            wisp_read_u32(r);
            break;
        case 0xd0: /* ref.null */
            wisp_read_s33(r);
            break;
        case 0x6a: /* i32.add, sub, mul */
        case 0x6b:
        case 0x6c:
        case 0x7c: /* i64.add, sub, mul */
        case 0x7d:
        case 0x7e:
            break;
        case 0xfd: /* v128.const */
            if (wisp_read_u32(r) != 12)
                wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "constant expression required");
            wisp_read_bytes(r, 16);
            break;
        case 0xfb: { /* struct.new .. array.new_fixed take a type; array.new_fixed a count too; i31 and converts nothing
                      */
            uint32_t op = wisp_read_u32(r);
            if (op <= 8) wisp_read_u32(r);
            if (op == 8) wisp_read_u32(r);
            break;
        }
        default:
            wisp_reader_fail_at(r, offset, WISP_ERR_INVALID, "constant expression required, found opcode 0x%x", code);
        }
    }
}

/* --- lookup --- */

static int compare_items(const struct wisp_core_item *a, const struct wisp_core_item *b)
{
    int order = wisp_str_compare(a->module, b->module);
    return order ? order : wisp_str_compare(a->name, b->name);
}

static int compare_positions(const void *a, const void *b, void *items)
{
    const struct wisp_core_item *list = items;
    return compare_items(&list[*(const uint32_t *)a], &list[*(const uint32_t *)b]);
}

static uint32_t *sorted_positions(struct wisp_core_item *items, uint32_t n, struct wisp_arena *arena,
                                  const struct wisp_core_item **ret_duplicate)
{
    uint32_t *positions = WISP_NEW_ARRAY(arena, uint32_t, n);
    for (uint32_t i = 0; i < n; i++) positions[i] = i;
    if (n) qsort_r(positions, n, sizeof *positions, compare_positions, items);
    for (uint32_t i = 1; i < n; i++)
        if (compare_items(&items[positions[i - 1]], &items[positions[i]]) == 0) *ret_duplicate = &items[positions[i]];
    return positions;
}

bool wisp_core_index(struct wisp_core_info *info, struct wisp_arena *arena, const struct wisp_core_item **ret_duplicate)
{
    *ret_duplicate = NULL;
    info->imports_by_name = sorted_positions(info->imports, info->n_imports, arena, ret_duplicate);
    info->exports_by_name = sorted_positions(info->exports, info->n_exports, arena, ret_duplicate);
    return !*ret_duplicate;
}

static const struct wisp_core_item *find(const struct wisp_core_item *items, const uint32_t *positions, uint32_t n,
                                         const struct wisp_core_item *key)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_items(key, &items[positions[middle]]);
        if (order == 0) return &items[positions[middle]];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct wisp_core_item *wisp_core_find_export(const struct wisp_core_info *info, struct wisp_str name)
{
    return find(info->exports, info->exports_by_name, info->n_exports, &(struct wisp_core_item){.name = name});
}

const struct wisp_core_item *wisp_core_find_import(const struct wisp_core_info *info, struct wisp_str module,
                                                   struct wisp_str name)
{
    return find(info->imports, info->imports_by_name, info->n_imports,
                &(struct wisp_core_item){.module = module, .name = name});
}

/* --- matching --- */

static bool is_reference(wisp_core_type type)
{
    return (type & 0xff) == WISP_CORE_REF || (type & 0xff) == WISP_CORE_REF_NULL;
}

/* A reference whose meaning depends on a module's type section. */
static bool is_concrete(wisp_core_type type) { return is_reference(type) && !(type >> 8 & WISP_CORE_HEAP_ABSTRACT); }

static bool valtype_equal(wisp_core_type a, wisp_core_type b)
{
    if (a == b) return true;
    return (is_concrete(a) && is_reference(b)) || (is_reference(a) && is_concrete(b));
}

bool wisp_core_sig_equal(const struct wisp_core_sig *a, const struct wisp_core_sig *b)
{
    if (a == b) return true;
    if (a->n_params != b->n_params || a->n_results != b->n_results) return false;
    for (uint32_t i = 0; i < a->n_params + a->n_results; i++)
        if (!valtype_equal(a->types[i], b->types[i])) return false;
    return true;
}

static bool limits_match(const struct wisp_core_extern *have, const struct wisp_core_extern *want)
{
    if (have->is_shared != want->is_shared || have->is_64 != want->is_64) return false;
    if (have->page_size_log2 != want->page_size_log2 || have->min < want->min) return false;
    return !want->has_max || (have->has_max && have->max <= want->max);
}

bool wisp_core_matches(const struct wisp_core_extern *have, const struct wisp_core_extern *want)
{
    if (have->sort != want->sort) return false;
    switch (want->sort) {
    case WISP_CORE_FUNC:
    case WISP_CORE_TAG:
        return wisp_core_sig_equal(have->sig, want->sig);
    case WISP_CORE_TABLE:
        return valtype_equal(have->type, want->type) && limits_match(have, want);
    case WISP_CORE_MEMORY:
        return limits_match(have, want);
    default:
        if (have->is_mutable != want->is_mutable) return false;
        /* An immutable global of a reference type may be a subtype's; the engine knows the hierarchy. */
        if (!want->is_mutable && is_reference(have->type) && is_reference(want->type)) return true;
        return valtype_equal(have->type, want->type);
    }
}

bool wisp_core_sig_is(const struct wisp_core_sig *sig, const struct wisp_core_func_type *flat)
{
    if (sig->n_params != flat->n_params || sig->n_results != flat->n_results) return false;
    for (uint32_t i = 0; i < sig->n_params; i++)
        if (sig->types[i] != flat->params[i]) return false;
    for (uint32_t i = 0; i < sig->n_results; i++)
        if (sig->types[sig->n_params + i] != flat->results[i]) return false;
    return true;
}

/* --- text --- */

static const char *valtype_name(wisp_core_type type)
{
    switch (type) {
    case WISP_CORE_I32:
        return "i32";
    case WISP_CORE_I64:
        return "i64";
    case WISP_CORE_F32:
        return "f32";
    case WISP_CORE_F64:
        return "f64";
    case WISP_CORE_V128:
        return "v128";
    default:
        return type == reference(WISP_CORE_REF_NULL, WISP_CORE_HEAP_ABSTRACT | WISP_CORE_HEAP_FUNC) ? "funcref" : "ref";
    }
}

static void write_types(struct wisp_buf *buf, const char *word, const wisp_core_type *types, uint32_t n)
{
    enum { SHOWN_MAX = 20 };
    if (!n) return;
    wisp_buf_printf(buf, " (%s", word);
    for (uint32_t i = 0; i < n && i < SHOWN_MAX; i++) wisp_buf_printf(buf, " %s", valtype_name(types[i]));
    wisp_buf_printf(buf, "%s)", n > SHOWN_MAX ? " ..." : "");
}

char *wisp_core_extern_text(struct wisp_arena *arena, const struct wisp_core_extern *type)
{
    WISP_CLEANUP_BUF struct wisp_buf buf = {0};
    wisp_buf_printf(&buf, "(%s", wisp_core_sort_name(type->sort));
    if (type->sort == WISP_CORE_FUNC || type->sort == WISP_CORE_TAG) {
        write_types(&buf, "param", type->sig->types, type->sig->n_params);
        write_types(&buf, "result", type->sig->types + type->sig->n_params, type->sig->n_results);
    }
    if (type->sort == WISP_CORE_TABLE || type->sort == WISP_CORE_MEMORY) {
        wisp_buf_printf(&buf, "%s %llu", type->is_64 ? " i64" : "", (unsigned long long)type->min);
        if (type->has_max) wisp_buf_printf(&buf, " %llu", (unsigned long long)type->max);
        if (type->is_shared) wisp_buf_printf(&buf, " shared");
    }
    if (type->sort == WISP_CORE_TABLE) wisp_buf_printf(&buf, " %s", valtype_name(type->type));
    if (type->sort == WISP_CORE_GLOBAL)
        wisp_buf_printf(&buf, type->is_mutable ? " (mut %s)" : " %s", valtype_name(type->type));
    wisp_buf_printf(&buf, ")");
    return wisp_arena_cstr(arena, wisp_buf_str(&buf));
}
