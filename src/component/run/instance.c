/* SPDX-License-Identifier: Apache-2.0 */
/* Running an invocation: instantiate by the plan, call the export, serve the guest's calls to the host.
 *
 * Everything from run_call downwards runs on the store's fiber in plain C; see wasm/store.c. */
#include "component/run/instance_priv.h"

#include "base/mem.h"
#include "component/host/opaque.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NATIVE_ON_STACK = 1024 };

const char *wisp_instance_backtrace(struct wisp_instance *instance)
{
    return wisp_wasm_store_backtrace(instance->store);
}

static const struct wisp_wasm_extern *extern_at(struct wisp_instance *instance, uint32_t slot)
{
    if (!instance->has_extern[slot]) {
        const struct slot *place = &instance->linked->slots[slot];
        assert(place->step < instance->n_made);
        bool found = wisp_wasm_export_get(instance->store, &instance->core_instances[place->step], place->export_,
                                          &instance->externs[slot]);
        assert(found);
        (void)found;
        instance->has_extern[slot] = true;
    }
    return &instance->externs[slot];
}

uint64_t wisp_instance_memory_bytes(struct wisp_instance *instance)
{
    uint32_t slot = instance->linked->memory;
    uint8_t *base;
    uint64_t size = 0;
    if (slot != NO_SLOT && instance->has_extern[slot])
        wisp_wasm_memory(instance->store, &instance->externs[slot], &base, &size);
    return size;
}

/* --- the guest side of one call --- */

struct guest_side {
    struct wisp_canon canon;
    struct wisp_instance *instance;
    const struct option_slots *slots;
};

static void load_memory(struct guest_side *side)
{
    if (side->slots->memory == NO_SLOT) return;
    wisp_wasm_memory(side->instance->store, extern_at(side->instance, side->slots->memory), &side->canon.memory,
                     &side->canon.memory_size);
}

static int call_realloc(struct wisp_canon *canon, uint32_t align, uint32_t size, uint32_t *ret_pointer)
{
    struct guest_side *side = canon->env;
    struct wisp_instance *instance = side->instance;
    if (side->slots->realloc == NO_SLOT)
        return wisp_err_set(canon->err, WISP_ERR_GUEST, "a value must be put into memory, but there is no realloc");
    union wisp_raw values[4] = {{.u32 = 0}, {.u32 = 0}, {.u32 = align}, {.u32 = size}};
    bool outer = instance->may_not_leave;
    instance->may_not_leave = true;
    int r = wisp_wasm_call(instance->store, extern_at(instance, side->slots->realloc), values, 4, canon->err);
    instance->may_not_leave = outer;
    if (r < 0) return wisp_err_wrap(canon->err, "realloc");
    *ret_pointer = values[0].u32;
    load_memory(side);
    return 0;
}

static void open_side(struct guest_side *side, struct wisp_instance *instance, const struct wisp_canon_options *options,
                      const struct option_slots *slots, struct wisp_arena *arena, struct wisp_err *err)
{
    side->instance = instance;
    side->slots = slots;
    side->canon = (struct wisp_canon){
        .options = options,
        .handles = &instance->handles[options->instance],
        .arena = arena,
        .err = err,
        .realloc = call_realloc,
        .env = side,
    };
    load_memory(side);
}

/* --- calls of the guest to the host --- */

int wisp_call_trap(struct wisp_call *call, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return wisp_err_set(wisp_wasm_store_err(call->instance->store), WISP_ERR_GUEST, "%s", text);
}

int wisp_call_suspend(struct wisp_call *call)
{
    struct wisp_instance *instance = call->instance;
    instance->is_suspended = true;
    int r = wisp_wasm_suspend(instance->store, wisp_wasm_store_err(instance->store));
    instance->is_suspended = false;
    instance->is_wake_sent = false;
    return r;
}

void wisp_instance_wake(struct wisp_instance *instance)
{
    wisp_wasm_store_wake(instance->store);
    if (!instance->is_suspended || instance->is_wake_sent || wisp_wasm_store_is_running(instance->store)) return;
    instance->is_wake_sent = true;
    instance->options.on_wake(instance, instance->options.context);
}

static int check_may_leave(struct wisp_instance *instance, const struct trampoline *trampoline)
{
    struct wisp_err *err = wisp_wasm_store_err(instance->store);
    if (instance->may_not_leave)
        return wisp_err_set(err, WISP_ERR_GUEST, "the guest calls out of its realloc or post-return function");
    if (!instance->is_looked_at) instance->has_called_early = true;
    if (instance->n_made < trampoline->n_steps_needed)
        return wisp_err_set(err, WISP_ERR_GUEST,
                            "a start function calls an import that needs a later instance's memory");
    return 0;
}

static int refuse_entry(struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_GUEST,
                        "cannot enter component instance: the caller is the same, within it, or around it");
}

/* Room for a native value: on the stack when it is small. */
static void *native_space(struct wisp_arena *arena, char *small, uint32_t size)
{
    return size <= NATIVE_ON_STACK ? small : wisp_arena_alloc(arena, size);
}

static int call_host(const struct trampoline *trampoline, struct guest_side *side, union wisp_raw *values)
{
    struct wisp_instance *instance = side->instance;
    const struct wisp_func_type *type = trampoline->plan->type;
    uint32_t result_size = type->result ? type->result->native_size : 0;
    _Alignas(16) char args_space[NATIVE_ON_STACK], result_space[NATIVE_ON_STACK];
    void *args = native_space(&instance->call_arena, args_space, type->native_params_size);
    void *result = native_space(&instance->call_arena, result_space, result_size);
    memset(result, 0, result_size);
    int r = wisp_canon_lift_params(&side->canon, type, values, args);
    if (r < 0) return r;
    struct wisp_call call = {
        .instance = instance,
        .context = instance->options.context,
        .arena = &instance->call_arena,
        .interface = trampoline->interface,
        .func = trampoline->name,
    };
    const struct wisp_host_fallback *fallback = instance->linked->fallback;
    r = trampoline->func ? trampoline->func->fn(&call, args, result)
                         : fallback->call(&call, trampoline->import, args, result, fallback->env);
    if (!trampoline->func && type->has_handles) wisp_opaque_params_free(type, args);
    wisp_canon_end_borrows(&side->canon);
    if (r < 0) return r;
    /* The guest has run none of its code meanwhile: its memory is where and as large as it was. */
    return wisp_canon_lower_result(&side->canon, type, result, values);
}

int wisp_instance_enter_host(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values)
{
    (void)n_values;
    const struct trampoline *trampoline = env;
    struct wisp_instance *instance = wisp_wasm_store_data(store);
    struct wisp_err *err = wisp_wasm_store_err(store);
    err->kind = WISP_ERR_NONE;
    int r = check_may_leave(instance, trampoline);
    if (r < 0) return r;
    struct guest_side side;
    open_side(&side, instance, &trampoline->plan->options, &trampoline->slots, &instance->call_arena, err);
    r = call_host(trampoline, &side, values);
    if (instance->call_arena.chunks) wisp_arena_reset(&instance->call_arena);
    if (r < 0 && err->kind != WISP_ERR_CANCELLED)
        return wisp_err_wrap(err, "%s#%s", trampoline->interface, trampoline->name);
    return r;
}

static struct wisp_handles *handles_of(struct wisp_instance *instance, const struct trampoline *trampoline)
{
    return &instance->handles[trampoline->plan->options.instance];
}

int wisp_instance_resource_new(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values)
{
    (void)n_values;
    const struct trampoline *trampoline = env;
    struct wisp_instance *instance = wisp_wasm_store_data(store);
    int r = check_may_leave(instance, trampoline);
    if (r < 0) return r;
    uint32_t index;
    r = wisp_handles_add(handles_of(instance, trampoline), trampoline->plan->resource, (void *)(uintptr_t)values[0].u32,
                         true, NULL, &index, wisp_wasm_store_err(store));
    if (r == 0) values[0].u32 = index;
    return r;
}

int wisp_instance_resource_rep(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values)
{
    (void)n_values;
    const struct trampoline *trampoline = env;
    struct wisp_instance *instance = wisp_wasm_store_data(store);
    struct wisp_handle *handle;
    int r = wisp_handles_get(handles_of(instance, trampoline), values[0].u32, trampoline->plan->resource, &handle,
                             wisp_wasm_store_err(store));
    if (r == 0) values[0].u32 = (uint32_t)(uintptr_t)handle->rep;
    return r;
}

/* Before the handle is gone: a representation that may not be dropped stays in the table. */
static int ask_host(struct wisp_handles *handles, uint32_t index, const struct wisp_resource *resource,
                    struct wisp_err *err)
{
    struct wisp_handle *handle;
    int r = wisp_handles_get(handles, index, resource, &handle, err);
    if (r < 0 || !handle->is_own) return r;
    const char *refusal = resource->host->refuse_drop(handle->rep);
    if (!refusal) return 0;
    return wisp_err_set(err, WISP_ERR_GUEST, "`%.*s` must not be dropped yet: %s", WISP_STR_ARG(resource->name),
                        refusal);
}

int wisp_instance_resource_drop(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values)
{
    (void)n_values;
    const struct trampoline *trampoline = env;
    struct wisp_instance *instance = wisp_wasm_store_data(store);
    struct wisp_resource *resource = trampoline->plan->resource;
    struct wisp_err *err = wisp_wasm_store_err(store);
    int r = check_may_leave(instance, trampoline);
    if (r < 0) return r;
    struct wisp_handles *handles = handles_of(instance, trampoline);
    if (resource->host && resource->host->refuse_drop) r = ask_host(handles, values[0].u32, resource, err);
    if (r < 0) return r;
    void *rep;
    bool own;
    r = wisp_handles_drop(handles, values[0].u32, resource, &rep, &own, err);
    if (r < 0 || !own) return r;
    if (resource->host) {
        if (resource->host->drop) resource->host->drop(rep, instance->options.context);
        return 0;
    }
    if (trampoline->is_recursive) return refuse_entry(err);
    if (resource->destructor < 0) return 0;
    union wisp_raw arg = {.u32 = (uint32_t)(uintptr_t)rep};
    uint32_t slot = instance->linked->destructors[resource->destructor];
    return wisp_wasm_call(store, extern_at(instance, slot), &arg, 1, err);
}

/* --- calls into the guest: of the host, or of another guest within the component --- */

static int post_return(struct wisp_instance *instance, const struct wisp_linked_export *export_, union wisp_raw *values,
                       struct wisp_err *err)
{
    if (export_->slots.post_return == NO_SLOT) return 0;
    instance->may_not_leave = true;
    int r = wisp_wasm_call(instance->store, extern_at(instance, export_->slots.post_return), values,
                           export_->lifted->type->lift.n_results, err);
    instance->may_not_leave = false;
    return r < 0 ? wisp_err_wrap(err, "post-return") : 0;
}

/* The core function, once its arguments are in `values`; the result goes to `result`, and to `values` for
 * post_return. */
static int call_lifted(struct guest_side *side, const struct wisp_linked_export *export_, union wisp_raw *values,
                       void *result)
{
    struct wisp_instance *instance = side->instance;
    const struct wisp_func_type *type = export_->lifted->type;
    size_t n_values = type->lift.n_params > type->lift.n_results ? type->lift.n_params : type->lift.n_results;
    int r = wisp_wasm_call(instance->store, extern_at(instance, export_->core), values, n_values, side->canon.err);
    if (r < 0 || !type->result) return r;
    load_memory(side);
    r = wisp_canon_lift_result(&side->canon, type, values, result);
    return r < 0 ? wisp_err_wrap(side->canon.err, "result of `%s`", export_->name) : 0;
}

/* From the caller's core values to the callee's and back; native values in between are views of either memory. */
static int call_guest(const struct trampoline *trampoline, struct guest_side *caller, struct guest_side *callee,
                      union wisp_raw *values)
{
    struct wisp_instance *instance = caller->instance;
    const struct wisp_linked_export *export_ = trampoline->callee;
    const struct wisp_func_type *type = trampoline->plan->type;
    struct wisp_borrow_scope scope = {0};
    _Alignas(16) char args_space[NATIVE_ON_STACK], result_space[NATIVE_ON_STACK];
    union wisp_raw inner[WISP_FLAT_PARAMS_MAX + 1];
    void *args = native_space(caller->canon.arena, args_space, type->native_params_size);
    void *result = native_space(caller->canon.arena, result_space, type->result ? type->result->native_size : 0);
    callee->canon.scope = &scope;
    int r = wisp_canon_lift_params(&caller->canon, type, values, args);
    if (r == 0) r = wisp_canon_lower_params(&callee->canon, export_->lifted->type, args, inner);
    if (r == 0) r = call_lifted(callee, export_, inner, result);
    if (r < 0) return r;
    wisp_canon_end_borrows(&caller->canon);
    load_memory(caller);
    r = wisp_canon_lower_result(&caller->canon, type, result, values);
    if (r == 0) r = post_return(instance, export_, inner, caller->canon.err);
    return r < 0 ? r : wisp_borrow_scope_end(&scope, caller->canon.err);
}

int wisp_instance_enter_guest(void *env, struct wisp_wasm_store *store, union wisp_raw *values, size_t n_values)
{
    (void)n_values;
    const struct trampoline *trampoline = env;
    struct wisp_instance *instance = wisp_wasm_store_data(store);
    const struct wisp_canon_options *from = &trampoline->plan->options, *to = &trampoline->callee->lifted->options;
    struct wisp_err *err = wisp_wasm_store_err(store);
    err->kind = WISP_ERR_NONE;
    int r = check_may_leave(instance, trampoline);
    if (r < 0) return r;
    if (trampoline->is_recursive) return refuse_entry(err);
    /* Not the instance's: calls of the callee to the host empty that. */
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct guest_side caller, callee;
    open_side(&caller, instance, from, &trampoline->slots, &arena, err);
    open_side(&callee, instance, to, &trampoline->callee->slots, &arena, err);
    return call_guest(trampoline, &caller, &callee, values);
}

static int run_start(struct wisp_instance *instance, struct wisp_err *err)
{
    if (instance->has_started || instance->linked->start == NO_SLOT) return 0;
    instance->has_started = true;
    int r = wisp_wasm_call(instance->store, extern_at(instance, instance->linked->start), NULL, 0, err);
    return r < 0 ? wisp_err_wrap(err, "start-up") : 0;
}

/* The guest's side of the call of an export. */
static void open_export(struct guest_side *side, struct wisp_instance *instance)
{
    const struct wisp_linked_export *export_ = instance->export_;
    open_side(side, instance, &export_->lifted->options, &export_->slots, &instance->arena, instance->err);
    side->canon.scope = &instance->scope;
    side->canon.copy = true;
}

/* The task on the fiber. */
static int run_call(void *env, struct wisp_err *err)
{
    struct wisp_instance *instance = env;
    const struct wisp_linked_export *export_ = instance->export_;
    union wisp_raw values[WISP_FLAT_PARAMS_MAX + 1];
    int r = run_start(instance, err);
    if (r < 0) return r;
    struct guest_side side;
    open_export(&side, instance);
    instance->has_args = true; /* also when this fails */
    r = wisp_canon_lower_params(&side.canon, export_->lifted->type, instance->args, values);
    if (r < 0) return r;
    r = call_lifted(&side, export_, values, instance->result);
    return r < 0 ? r : post_return(instance, export_, values, err);
}

/* Of a call without a task. */
static int take_result(struct wisp_instance *instance)
{
    const struct wisp_linked_export *export_ = instance->export_;
    const struct wisp_func_type *type = export_->lifted->type;
    if (!export_->is_plain || !type->result) return 0;
    struct guest_side side;
    open_export(&side, instance);
    int r = wisp_canon_lift_result(&side.canon, type, instance->values, instance->result);
    return r < 0 ? wisp_err_wrap(instance->err, "result of `%s`", export_->name) : 0;
}

static enum wisp_instance_state translate(struct wisp_instance *instance, enum wisp_wasm_state state)
{
    switch (state) {
    case WISP_WASM_DONE:
        if (wisp_wasm_store_in_task(instance->store) && take_result(instance) < 0) break;
        if (wisp_borrow_scope_end(&instance->scope, instance->err) < 0) break;
        return WISP_INSTANCE_DONE;
    case WISP_WASM_SUSPENDED:
        return WISP_INSTANCE_SUSPENDED;
    case WISP_WASM_PREEMPTED:
        return WISP_INSTANCE_PREEMPTED;
    case WISP_WASM_FAILED:
        break;
    }
    instance->has_failed = true;
    return WISP_INSTANCE_FAILED;
}

static const struct wisp_wasm_extern *gather_imports(struct wisp_instance *instance, const struct step *step)
{
    free(instance->imports);
    instance->imports = wisp_mem_alloc(step->n_imports * sizeof *instance->imports);
    for (uint32_t i = 0; i < step->n_imports; i++) {
        if (step->imports[i].is_trampoline)
            wisp_wasm_hosts_get(instance->store, instance->linked->hosts, step->imports[i].index,
                                &instance->imports[i]);
        else
            instance->imports[i] = *extern_at(instance, step->imports[i].index);
    }
    return instance->imports;
}

static enum wisp_instance_state start_call(struct wisp_instance *instance)
{
    const struct wisp_linked_export *export_ = instance->export_;
    instance->scope = (struct wisp_borrow_scope){0};
    if (!export_->is_plain)
        return translate(instance, wisp_wasm_store_start(instance->store, run_call, instance, instance->err));
    struct guest_side side;
    open_export(&side, instance);
    instance->has_args = true;
    if (wisp_canon_lower_params(&side.canon, export_->lifted->type, instance->args, instance->values) < 0)
        return translate(instance, WISP_WASM_FAILED);
    return translate(instance, wisp_wasm_store_start_call(instance->store, extern_at(instance, export_->core),
                                                          instance->values, instance->err));
}

/* Runs the plan from next_step on, then the call. Stops early when guest code suspends or is preempted. */
static enum wisp_instance_state advance(struct wisp_instance *instance)
{
    const struct wisp_linked *linked = instance->linked;
    while (instance->next_step < linked->component->n_steps) {
        uint32_t index = instance->next_step++;
        const struct step *step = &linked->steps[index];
        struct wisp_wasm_instance *made = &instance->core_instances[index];
        int r = 0;
        if (step->prelinked) {
            r = wisp_wasm_instantiate_prelinked(instance->store, step->prelinked, made, instance->err);
        } else if (!step->has_start && !wisp_wasm_store_is_preemptible(instance->store)) {
            r = wisp_wasm_instantiate(instance->store, step->module, gather_imports(instance, step), step->n_imports,
                                      made, instance->err);
        } else {
            enum wisp_wasm_state state = wisp_wasm_store_start_instantiate(
                instance->store, step->module, gather_imports(instance, step), step->n_imports, made, instance->err);
            if (state != WISP_WASM_DONE) return translate(instance, state);
        }
        if (r < 0) return translate(instance, WISP_WASM_FAILED);
        instance->n_made = instance->next_step;
    }
    if (!instance->is_looked_at) wisp_instance_look(instance);
    return start_call(instance);
}

enum wisp_instance_state wisp_instance_call(struct wisp_instance *instance, const struct wisp_linked_export *export_,
                                            const void *args, void *result, struct wisp_err *err)
{
    assert(!instance->export_ && !instance->has_failed);
    instance->export_ = export_;
    instance->args = args;
    instance->has_args = false;
    instance->result = result;
    instance->err = err;
    enum wisp_instance_state state = advance(instance);
    if (state == WISP_INSTANCE_DONE) instance->export_ = NULL;
    return state;
}

bool wisp_instance_has_args(const struct wisp_instance *instance) { return instance->has_args; }

enum wisp_instance_state wisp_instance_resume(struct wisp_instance *instance)
{
    bool was_call = wisp_wasm_store_in_task(instance->store);
    enum wisp_instance_state state = translate(instance, wisp_wasm_store_resume(instance->store));
    if (state == WISP_INSTANCE_DONE && !was_call) {
        instance->n_made = instance->next_step;
        state = advance(instance);
    }
    if (state == WISP_INSTANCE_DONE) instance->export_ = NULL;
    return state;
}
