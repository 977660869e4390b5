/* SPDX-License-Identifier: Apache-2.0 */
/* What a component is once decoded, validated and linked within itself: its world (imports and exports with types) and
 * a flat, immutable plan of how to instantiate it. Nothing here knows the engine or a particular host.
 *
 * Components nested in others are evaluated away: a plan has core modules, steps that instantiate them, and
 * trampolines, which are the core functions that the canonical ABI makes. */
#pragma once

#include "component/types.h"
#include "wasm/reader.h"

enum {
    WISP_COMPONENT_SIZE_MAX = 512 << 20, /* bytes of a component's binary */
    WISP_COMPONENT_NESTING_MAX = 32,
    WISP_PLAN_STEPS_MAX = 1000,
    WISP_PLAN_ITEMS_MAX = WISP_READER_ITEMS_MAX, /* of any index space */
};

/* --- world --- */

enum wisp_item_kind { WISP_ITEM_FUNC, WISP_ITEM_INTERFACE, WISP_ITEM_TYPE, WISP_ITEM_MODULE, WISP_ITEM_COMPONENT };

struct wisp_interface;

/* A named import or export of a world, or member of an interface. */
struct wisp_item {
    struct wisp_str name; /* "wasi:http/types@0.2.2", "run", "[method]fields.append", "header-error" */
    enum wisp_item_kind kind;
    const struct wisp_func_type *func;       /* FUNC */
    const struct wisp_interface *interface;  /* INTERFACE */
    const struct wisp_type *type;            /* TYPE that is a value type */
    struct wisp_resource *resource;          /* TYPE that is a resource */
    const struct wisp_type_name *type_name;  /* TYPE: what this item names it */
};

/* An instance type: members in the order of the binary. */
struct wisp_interface {
    struct wisp_item *items;
    uint32_t n_items;
};

/* From the custom section "producers" of the component and its modules. */
struct wisp_producer {
    struct wisp_str field, name, version; /* "language", "Rust", "" */
};

/* --- plan --- */

/* An export of a core instance that the plan makes. */
struct wisp_core_ref {
    int32_t instance; /* index of the step that makes it; -1: none */
    struct wisp_str name;
};

enum wisp_encoding { WISP_UTF8, WISP_UTF16, WISP_LATIN1_UTF16 };

struct wisp_canon_options {
    enum wisp_encoding encoding;
    struct wisp_core_ref memory, realloc, post_return; /* instance -1 when absent */
    uint32_t instance; /* component instance whose handle table is used */
};

enum wisp_trampoline_kind {
    WISP_TRAMPOLINE_HOST,         /* canon lower of an imported function */
    WISP_TRAMPOLINE_GUEST,        /* canon lower of a function that another component instance lifts */
    WISP_TRAMPOLINE_RESOURCE_NEW,
    WISP_TRAMPOLINE_RESOURCE_REP,
    WISP_TRAMPOLINE_RESOURCE_DROP,
};

/* A core function made by the canonical ABI. */
struct wisp_trampoline {
    enum wisp_trampoline_kind kind;
    uint32_t index;                    /* own position in the plan */
    uint32_t import;                   /* HOST: index into component->import_funcs */
    uint32_t lifted;                   /* GUEST: index into component->lifted_funcs */
    const struct wisp_func_type *type; /* HOST, GUEST */
    struct wisp_canon_options options; /* HOST, GUEST; RESOURCE_*: only .instance */
    struct wisp_resource *resource;    /* RESOURCE_* */
    struct wisp_core_func_type core;   /* its core signature */
};

/* Where one import of a core module comes from. In the order of the module's import section. */
struct wisp_plan_import {
    struct wisp_str module, name;
    bool is_trampoline;
    uint32_t trampoline;      /* index, when is_trampoline */
    struct wisp_core_ref ref; /* otherwise */
};

/* A core module's bytes and what the plan needs to know of them. */
struct wisp_core_module {
    struct wisp_str bytes;   /* borrowed from the component's binary */
    bool has_start;          /* instantiating it runs guest code */
    uint32_t n_memories, n_tables;          /* defined, not imported */
    uint64_t memory_pages_min, memory_pages_max; /* largest of the defined ones; max: UINT64_MAX when not given */
    uint64_t table_elements_min;
};

/* Instantiate a module; the step's index is the core instance's. */
struct wisp_plan_step {
    uint32_t module;
    struct wisp_plan_import *imports;
    uint32_t n_imports;
};

/* An imported function, flattened over all imported interfaces. */
struct wisp_import_func {
    struct wisp_str interface; /* "wasi:http/types@0.2.2"; empty for a function imported by the root */
    struct wisp_str name;
    const struct wisp_func_type *type;
};

/* canon lift */
struct wisp_lifted_func {
    const struct wisp_func_type *type;
    struct wisp_core_ref core;
    struct wisp_canon_options options;
};

/* An exported function, flattened over all exported interfaces. */
struct wisp_export_func {
    struct wisp_str interface, name;
    uint32_t lifted; /* index into lifted_funcs; UINT32_MAX when it re-exports an import */
    const struct wisp_func_type *type;
};

struct wisp_component {
    struct wisp_arena arena; /* owns everything below but the binary */
    struct wisp_str binary;  /* borrowed: must outlive the component */
    struct wisp_item *imports, *exports;
    uint32_t n_imports, n_exports;
    struct wisp_producer *producers;
    uint32_t n_producers;
    struct wisp_resource **resources;
    uint32_t n_resources;
    struct wisp_import_func *import_funcs;
    uint32_t n_import_funcs;
    struct wisp_export_func *export_funcs;
    uint32_t n_export_funcs;
    struct wisp_lifted_func *lifted_funcs;
    uint32_t n_lifted_funcs;
    struct wisp_core_module *modules;
    uint32_t n_modules;
    struct wisp_trampoline *trampolines;
    uint32_t n_trampolines;
    struct wisp_plan_step *steps;
    uint32_t n_steps;
    struct wisp_core_ref start; /* [] -> [], to be called once after the last step; instance -1: nothing */
    struct wisp_core_ref *destructors; /* what wisp_resource.destructor counts */
    uint32_t n_destructors;
    uint32_t *instance_parents; /* of each component instance, the one that instantiated it; the root's: UINT32_MAX */
    uint32_t n_instances;       /* each has a handle table; 0 is the root */
};

struct wisp_component_options {
    /* Keep the shim and fixup modules that component tools emit instead of short-cutting them: the reference path. */
    bool keep_shims;
};

/* Decodes, validates and links. `binary` is borrowed for the component's life. INVALID says what is wrong at which
 * byte offset; UNSUPPORTED names the feature (Preview 3 types and built-ins, values, GC, ...). A core module gives
 * INVALID with text that says what it is and how to make a component of it. Any thread. */
int wisp_component_new(struct wisp_component **ret_component, struct wisp_str binary,
                       const struct wisp_component_options *options, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_component_free(struct wisp_component *component);
void wisp_component_freep(struct wisp_component **component);
#define WISP_CLEANUP_COMPONENT __attribute__((cleanup(wisp_component_freep)))

/* Finds an exported function, of exactly this interface ("acme:shop/stock@1.2.0"; empty: the root). */
const struct wisp_export_func *wisp_component_export_exact(const struct wisp_component *component,
                                                           struct wisp_str interface, struct wisp_str name);
/* The same, or else one of a version that wisp_version_matches. */
const struct wisp_export_func *wisp_component_export(const struct wisp_component *component, const char *interface,
                                                     const char *name);

/* Does an implementation `have` ("wasi:http/types", newest version "0.2.8") satisfy an import named `want`
 * ("wasi:http/types@0.2.2")? Same name, and compatible version: same major, or for 0.x same minor. An import without a
 * version takes any; a pre-release matches only itself. */
bool wisp_version_matches(struct wisp_str want, struct wisp_str have_name, struct wisp_str have_version);
