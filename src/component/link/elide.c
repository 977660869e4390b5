/* SPDX-License-Identifier: Apache-2.0 */
#include "component/link/elide.h"

#include "component/array.h"
#include "component/decode/core_module.h"

enum {
    SECTION_CUSTOM = 0,
    SECTION_TYPE = 1,
    SECTION_IMPORT = 2,
    SECTION_FUNCTION = 3,
    SECTION_TABLE = 4,
    SECTION_EXPORT = 7,
    SECTION_START = 8,
    SECTION_ELEMENT = 9,
    SECTION_CODE = 10,
};

enum { OP_END = 0x0b, OP_CALL_INDIRECT = 0x11, OP_LOCAL_GET = 0x20, OP_I32_CONST = 0x41 };

/* A function's place in the chain: of the shim, the table slot that it calls; of the fixup, the import it is. */
struct link_func {
    const struct wisp_core_sig *sig;
    uint32_t position;
};

/* What is read of either module. `other` is set by anything that does not belong there. */
struct reading {
    struct wisp_reader *r;
    struct wisp_arena *arena;
    bool is_shim; /* otherwise a fixup */
    bool other, has_start;
    uint32_t start; /* fixup: the function to call, when has_start */
    const struct wisp_core_sig **sigs;
    uint32_t n_sigs;
    struct link_func *funcs;
    uint32_t n_funcs, funcs_capacity;
    struct wisp_core_item *exports; /* shim; type_index: of the function */
    uint32_t n_exports, exports_capacity;
    struct wisp_str table; /* shim: name of the exported table */
    uint32_t table_import; /* fixup: position of the imported table */
    uint32_t n_tables;
    uint32_t *slots; /* fixup: functions that the table is filled with */
    uint32_t n_slots;
};

/* --- reading the two modules --- */

static void read_types(struct reading *m)
{
    uint32_t n = wisp_read_count(m->r);
    m->sigs = WISP_NEW_ARRAY(m->arena, const struct wisp_core_sig *, n);
    for (; m->n_sigs < n && !m->r->failed && !m->other; m->n_sigs++) {
        m->other |= wisp_read_byte(m->r) != 0x60;
        if (!m->other) m->sigs[m->n_sigs] = wisp_core_read_sig(m->r, m->arena);
    }
}

static void add_func(struct reading *m, uint32_t type, uint32_t position)
{
    m->other |= type >= m->n_sigs;
    if (!m->other)
        *WISP_PUSH(m->arena, m->funcs, m->n_funcs, m->funcs_capacity) = (struct link_func){m->sigs[type], position};
}

static void read_imports(struct reading *m)
{
    uint32_t n = wisp_read_count(m->r);
    m->other |= m->is_shim && n > 0;
    for (uint32_t i = 0; i < n && !m->r->failed && !m->other; i++) {
        wisp_read_name(m->r);
        wisp_read_name(m->r);
        struct wisp_core_extern type = wisp_core_read_extern(m->r);
        if (type.sort == WISP_CORE_FUNC) {
            add_func(m, type.type_index, i);
        } else {
            m->other |= type.sort != WISP_CORE_TABLE || m->n_tables++ > 0;
            m->table_import = i;
        }
    }
}

static void read_functions(struct reading *m)
{
    uint32_t n = wisp_read_count(m->r);
    m->other |= !m->is_shim && n > 0;
    for (; n > 0 && !m->r->failed && !m->other; n--) add_func(m, wisp_read_u32(m->r), 0);
}

static void read_tables(struct reading *m)
{
    /* One table of function references. */
    m->other |= !m->is_shim || wisp_read_count(m->r) != 1 || wisp_read_byte(m->r) != 0x70;
    m->r->at = m->r->end;
    m->n_tables++;
}

static void read_exports(struct reading *m)
{
    m->other |= !m->is_shim;
    for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed && !m->other; n--) {
        struct wisp_str name = wisp_read_name(m->r);
        uint8_t sort = wisp_read_byte(m->r);
        uint32_t index = wisp_read_u32(m->r);
        if (sort == WISP_CORE_TABLE)
            m->table = name;
        else
            *WISP_PUSH(m->arena, m->exports, m->n_exports, m->exports_capacity) =
                (struct wisp_core_item){.name = name, .type = {.type_index = index}};
        m->other |= (sort == WISP_CORE_FUNC && index >= m->n_funcs) || sort > WISP_CORE_TABLE;
    }
}

/* One active segment at offset 0 of table 0: a list of functions. */
static void read_elements(struct reading *m)
{
    m->other |= m->is_shim || wisp_read_count(m->r) != 1 || wisp_read_u32(m->r) != 0;
    m->other |= wisp_read_byte(m->r) != OP_I32_CONST || wisp_read_byte(m->r) != 0 || wisp_read_byte(m->r) != OP_END;
    if (m->other) return;
    uint32_t n = wisp_read_count(m->r);
    m->slots = WISP_NEW_ARRAY(m->arena, uint32_t, n);
    for (; m->n_slots < n && !m->r->failed && !m->other; m->n_slots++) {
        m->slots[m->n_slots] = wisp_read_u32(m->r);
        m->other |= m->slots[m->n_slots] >= m->n_funcs;
    }
}

/* local.get 0 .. local.get n-1, i32.const slot, call_indirect of its own type in table 0, end */
static void read_body(struct reading *m, struct link_func *func)
{
    struct wisp_reader body = wisp_reader_part(m->r, wisp_read_u32(m->r));
    m->other |= wisp_read_u32(&body) != 0; /* locals */
    for (uint32_t i = 0; i < func->sig->n_params && !body.failed && !m->other; i++)
        m->other |= wisp_read_byte(&body) != OP_LOCAL_GET || wisp_read_u32(&body) != i;
    m->other |= wisp_read_byte(&body) != OP_I32_CONST;
    int64_t slot = wisp_read_s33(&body);
    m->other |= slot < 0 || wisp_read_byte(&body) != OP_CALL_INDIRECT;
    uint32_t type = wisp_read_u32(&body), table = wisp_read_u32(&body);
    m->other |= wisp_read_byte(&body) != OP_END || body.failed || !wisp_reader_at_end(&body) || table != 0;
    m->other |= type >= m->n_sigs || !wisp_core_sig_equal(m->sigs[type < m->n_sigs ? type : 0], func->sig);
    func->position = (uint32_t)slot;
}

static void read_code(struct reading *m)
{
    m->other |= wisp_read_count(m->r) != m->n_funcs || !m->is_shim;
    for (uint32_t i = 0; i < m->n_funcs && !m->r->failed && !m->other; i++) read_body(m, &m->funcs[i]);
}

static void read_section(struct reading *m, uint8_t id)
{
    switch (id) {
    case SECTION_TYPE:
        read_types(m);
        break;
    case SECTION_IMPORT:
        read_imports(m);
        break;
    case SECTION_FUNCTION:
        read_functions(m);
        break;
    case SECTION_TABLE:
        read_tables(m);
        break;
    case SECTION_EXPORT:
        read_exports(m);
        break;
    case SECTION_START:
        m->has_start = true;
        m->start = wisp_read_u32(m->r);
        m->other |= m->is_shim || m->start >= m->n_funcs;
        break;
    case SECTION_ELEMENT:
        read_elements(m);
        break;
    case SECTION_CODE:
        read_code(m);
        break;
    default:
        m->other = true;
    }
}

/* False when it is not a module of this kind. */
static bool read_module(struct wisp_arena *arena, struct wisp_str bytes, bool is_shim, struct reading *ret_reading)
{
    struct wisp_err ignored = {0};
    struct wisp_reader r;
    wisp_reader_init(&r, bytes, &ignored);
    struct reading m = {.arena = arena, .is_shim = is_shim};
    wisp_read_bytes(&r, 8); /* the header, which was checked before */
    while (!r.failed && !m.other && !wisp_reader_at_end(&r)) {
        uint8_t id = wisp_read_byte(&r);
        struct wisp_reader section = wisp_reader_part(&r, wisp_read_u32(&r));
        m.r = &section;
        if (id != SECTION_CUSTOM) read_section(&m, id);
        m.other |= section.failed || (id != SECTION_CUSTOM && !wisp_reader_at_end(&section));
    }
    *ret_reading = m;
    return !r.failed && !m.other && m.n_tables == 1 && (is_shim ? m.table.len > 0 : m.slots != NULL);
}

/* --- rewriting the plan --- */

struct pair {
    struct wisp_component *component;
    int32_t shim_step, fixup_step;
    struct reading shim, fixup;
    uint32_t n_left; /* references to the shim that must stay */
};

typedef void visit_ref(struct wisp_core_ref *ref, void *env);

static void visit_options(struct wisp_canon_options *options, visit_ref *visit, void *env)
{
    visit(&options->memory, env);
    visit(&options->realloc, env);
    visit(&options->post_return, env);
}

/* Every reference to a core instance but those of imports. */
static void visit_refs(struct wisp_component *component, visit_ref *visit, void *env)
{
    for (uint32_t i = 0; i < component->n_trampolines; i++)
        visit_options(&component->trampolines[i].options, visit, env);
    for (uint32_t i = 0; i < component->n_lifted_funcs; i++) {
        visit(&component->lifted_funcs[i].core, env);
        visit_options(&component->lifted_funcs[i].options, visit, env);
    }
    for (uint32_t i = 0; i < component->n_destructors; i++) visit(&component->destructors[i], env);
    visit(&component->start, env);
}

/* What the shim's export calls in the end: one of the fixup's imports. NULL when that cannot be told. */
static const struct wisp_plan_import *source_of(const struct pair *pair, struct wisp_str name)
{
    for (uint32_t i = 0; i < pair->shim.n_exports; i++) {
        if (!wisp_str_equal(pair->shim.exports[i].name, name)) continue;
        const struct link_func *entry = &pair->shim.funcs[pair->shim.exports[i].type.type_index];
        if (entry->position >= pair->fixup.n_slots) return NULL;
        const struct link_func *target = &pair->fixup.funcs[pair->fixup.slots[entry->position]];
        if (!wisp_core_sig_equal(entry->sig, target->sig)) return NULL;
        return &pair->component->steps[pair->fixup_step].imports[target->position];
    }
    return NULL;
}

static void replace_ref(struct wisp_core_ref *ref, void *env)
{
    struct pair *pair = env;
    if (ref->instance != pair->shim_step) return;
    const struct wisp_plan_import *source = source_of(pair, ref->name);
    if (source && !source->is_trampoline)
        *ref = source->ref;
    else
        pair->n_left++;
}

static void replace_import(struct pair *pair, int32_t step, struct wisp_plan_import *import)
{
    if (import->is_trampoline || import->ref.instance != pair->shim_step) return;
    const struct wisp_plan_import *source = source_of(pair, import->ref.name);
    if (!source || (!source->is_trampoline && source->ref.instance >= step)) {
        pair->n_left++;
        return;
    }
    import->is_trampoline = source->is_trampoline;
    import->trampoline = source->trampoline;
    import->ref = source->ref;
}

struct renumbering {
    int32_t first, second; /* steps that are gone, in order */
};

static int32_t renumbered(const struct renumbering *gone, int32_t step)
{
    return step - (step > gone->first) - (step > gone->second);
}

static void renumber_ref(struct wisp_core_ref *ref, void *env) { ref->instance = renumbered(env, ref->instance); }

static void remove_unused_modules(struct wisp_component *component, struct wisp_arena *arena)
{
    uint32_t *positions = WISP_NEW_ARRAY(arena, uint32_t, component->n_modules), n = 0;
    for (uint32_t i = 0; i < component->n_steps; i++) positions[component->steps[i].module] = 1;
    for (uint32_t i = 0; i < component->n_modules; i++) {
        if (!positions[i]) continue;
        component->modules[n] = component->modules[i];
        positions[i] = n++;
    }
    component->n_modules = n;
    for (uint32_t i = 0; i < component->n_steps; i++)
        component->steps[i].module = positions[component->steps[i].module];
}

static void remove_steps(struct wisp_component *component, struct wisp_arena *arena, struct renumbering gone)
{
    uint32_t n = 0;
    for (int32_t i = 0; i < (int32_t)component->n_steps; i++)
        if (i != gone.first && i != gone.second) component->steps[n++] = component->steps[i];
    component->n_steps = n;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < component->steps[i].n_imports; k++)
            if (!component->steps[i].imports[k].is_trampoline) renumber_ref(&component->steps[i].imports[k].ref, &gone);
    visit_refs(component, renumber_ref, &gone);
    remove_unused_modules(component, arena);
}

/* The pair is this one only when nobody else can write the shim's table. */
static bool owns_table(const struct pair *pair)
{
    for (int32_t step = 0; step < (int32_t)pair->component->n_steps; step++) {
        const struct wisp_plan_step *s = &pair->component->steps[step];
        for (uint32_t i = 0; i < s->n_imports && step != pair->fixup_step; i++)
            if (!s->imports[i].is_trampoline && s->imports[i].ref.instance == pair->shim_step &&
                wisp_str_equal(s->imports[i].ref.name, pair->shim.table))
                return false;
    }
    return true;
}

/* Finds the shim that a fixup belongs to. */
static bool find_pair(struct wisp_component *component, struct wisp_arena *arena, int32_t fixup_step,
                      struct pair *ret_pair)
{
    const struct wisp_plan_step *fixup = &component->steps[fixup_step];
    struct pair pair = {.component = component, .fixup_step = fixup_step};
    if (!read_module(arena, component->modules[fixup->module].bytes, false, &pair.fixup)) return false;
    const struct wisp_plan_import *table = &fixup->imports[pair.fixup.table_import];
    pair.shim_step = table->ref.instance;
    const struct wisp_plan_step *shim = &component->steps[pair.shim_step];
    if (!read_module(arena, component->modules[shim->module].bytes, true, &pair.shim)) return false;
    *ret_pair = pair;
    return wisp_str_equal(table->ref.name, pair.shim.table) && owns_table(&pair);
}

/* A fixup's start function calls what main would have called itself at the end of its start-up, had its imports been
 * there: it becomes the plan's, when nothing is instantiated afterwards. */
static bool take_start(struct pair *pair)
{
    struct wisp_component *component = pair->component;
    if (!pair->fixup.has_start) return true;
    const struct link_func *func = &pair->fixup.funcs[pair->fixup.start];
    const struct wisp_plan_import *source = &component->steps[pair->fixup_step].imports[func->position];
    bool is_last = pair->fixup_step == (int32_t)component->n_steps - 1;
    bool is_plain = func->sig->n_params == 0 && func->sig->n_results == 0;
    if (!is_last || !is_plain || source->is_trampoline || component->start.instance >= 0) return false;
    component->start = source->ref;
    return true;
}

/* True when the two steps are gone. */
static bool elide(struct pair *pair, struct wisp_arena *arena)
{
    struct wisp_component *component = pair->component;
    for (int32_t step = 0; step < (int32_t)component->n_steps; step++)
        for (uint32_t i = 0; i < component->steps[step].n_imports && step != pair->fixup_step; i++)
            replace_import(pair, step, &component->steps[step].imports[i]);
    visit_refs(component, replace_ref, pair);
    if (pair->n_left || !take_start(pair)) return false;
    remove_steps(component, arena, (struct renumbering){pair->shim_step, pair->fixup_step});
    return true;
}

void wisp_plan_elide_shims(struct wisp_component *component)
{
    for (int32_t step = 0; step < (int32_t)component->n_steps; step++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        struct pair pair;
        /* Both steps are before the next one to look at, so that two fewer are behind it. */
        if (find_pair(component, &arena, step, &pair) && elide(&pair, &arena)) step -= 2;
    }
}
