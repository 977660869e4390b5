/* SPDX-License-Identifier: Apache-2.0 */
/* What linking needs to know of a core module: imports and exports with their types, whether it has a start function,
 * and how much it allocates. Function bodies and constant expressions are left to the engine, which validates them
 * when it compiles the module. */
#pragma once

#include "component/plan.h"
#include "wasm/reader.h"

enum wisp_core_sort {
    WISP_CORE_FUNC,
    WISP_CORE_TABLE,
    WISP_CORE_MEMORY,
    WISP_CORE_GLOBAL,
    WISP_CORE_TAG,
    WISP_CORE_SORT_COUNT
};
/* "func", "table", ... */
const char *wisp_core_sort_name(enum wisp_core_sort sort);

/* A core value type. Numbers and v128 are their byte. References are WISP_CORE_REF or WISP_CORE_REF_NULL plus the heap
 * type, shifted left by 8: an abstract one as its byte with WISP_CORE_HEAP_ABSTRACT, otherwise a type index. */
typedef uint32_t wisp_core_type;
enum {
    WISP_CORE_I32 = 0x7f,
    WISP_CORE_I64 = 0x7e,
    WISP_CORE_F32 = 0x7d,
    WISP_CORE_F64 = 0x7c,
    WISP_CORE_V128 = 0x7b,
    WISP_CORE_REF = 0x64,
    WISP_CORE_REF_NULL = 0x63,
    WISP_CORE_HEAP_ABSTRACT = 1 << 23,
    WISP_CORE_HEAP_FUNC = 0x70,
    WISP_CORE_ARITY_MAX = 1000, /* parameters, and results, of a function; engines have the same limit */
};

struct wisp_core_sig {
    uint32_t n_params, n_results;
    const wisp_core_type *types; /* parameters, then results */
};

/* Type of an import or export. */
struct wisp_core_extern {
    enum wisp_core_sort sort;
    uint32_t type_index;             /* func, tag: as the binary says it */
    const struct wisp_core_sig *sig; /* func, tag */
    wisp_core_type type;             /* table: element; global: content */
    bool is_mutable, is_shared, is_64, has_max;
    uint8_t page_size_log2;
    uint64_t min, max; /* table, memory; max only when has_max */
};

struct wisp_core_item {
    struct wisp_str module, name; /* module: imports only */
    struct wisp_core_extern type;
};

/* A core module, or a core module type (then `plan` says nothing). */
struct wisp_core_info {
    struct wisp_core_module plan;
    struct wisp_core_item *imports, *exports;
    uint32_t n_imports, n_exports;
    uint32_t *imports_by_name, *exports_by_name; /* positions, sorted by (module, name) */
    uint32_t ordinal;                            /* of the modules in the file */
};

/* Producers of a component and its modules, each once. */
struct wisp_producers {
    struct wisp_arena *arena; /* of the list */
    struct wisp_producer *items;
    uint32_t n, capacity, n_read;
};

/* Reads a whole module. `arena` receives the result; names are borrowed. Duplicate imports and exports are refused. */
struct wisp_core_info *wisp_core_module_read(struct wisp_reader *reader, struct wisp_arena *arena,
                                             struct wisp_producers *producers);
/* The rest of a custom section "producers". Broken ones are ignored, as the format's convention demands. */
void wisp_producers_read(struct wisp_producers *producers, struct wisp_reader section);

/* Pieces shared with core types in components. Each fails through the reader. */
wisp_core_type wisp_core_read_valtype(struct wisp_reader *reader);
/* After the byte 0x60. */
const struct wisp_core_sig *wisp_core_read_sig(struct wisp_reader *reader, struct wisp_arena *arena);
/* An externtype; `sig` is left to the caller, who knows the types. */
struct wisp_core_extern wisp_core_read_extern(struct wisp_reader *reader);
/* Fills the sorted positions. False when two items have the same names: *ret_duplicate is one of them. */
bool wisp_core_index(struct wisp_core_info *info, struct wisp_arena *arena,
                     const struct wisp_core_item **ret_duplicate);

/* NULL when there is none. */
const struct wisp_core_item *wisp_core_find_export(const struct wisp_core_info *info, struct wisp_str name);
const struct wisp_core_item *wisp_core_find_import(const struct wisp_core_info *info, struct wisp_str module,
                                                   struct wisp_str name);

bool wisp_core_sig_equal(const struct wisp_core_sig *a, const struct wisp_core_sig *b);
/* May `have` be given where `want` is imported? References to types of a module are left to the engine. */
bool wisp_core_matches(const struct wisp_core_extern *have, const struct wisp_core_extern *want);
/* "(func (param i32 i32) (result i32))", "(memory 1)", for messages. */
char *wisp_core_extern_text(struct wisp_arena *arena, const struct wisp_core_extern *type);
/* The signature that the canonical ABI flattens to. */
bool wisp_core_sig_is(const struct wisp_core_sig *sig, const struct wisp_core_func_type *flat);
