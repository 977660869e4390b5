/* SPDX-License-Identifier: Apache-2.0 */
/* Stores and fibers.
 *
 * Guest code must run on a fiber to be able to suspend, and the engine makes one for every asynchronous call. So a task
 * is started as an asynchronous call of one host function, `entry`, which then runs the task in plain C on the fiber;
 * the task calls guest functions directly. A task that is nothing but one call needs no `entry`: the guest function is
 * what is called asynchronously. To suspend from anywhere below it, C code calls another host function,
 * `suspend`, whose future stays pending until the store is woken. Straight-line C on both sides, one fiber per store.
 */
#include "wasm/wasm_priv.h"

#include <stdlib.h>

enum { TABLE_ELEMENTS_MAX = 10 * 1000 * 1000 };

static struct wisp_wasm_store *store_of(wasmtime_caller_t *caller)
{
    return wasmtime_context_get_data(wasmtime_caller_context(caller));
}

static wasm_trap_t *trap_from(struct wisp_err *err)
{
    const char *text = err->kind ? err->text : "host function failed";
    return wasmtime_trap_new(text, strlen(text));
}

wasm_trap_t *wisp_wasm_host_callback(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n_values)
{
    const struct wisp_wasm_host_func *func = env;
    struct wisp_wasm_store *store = store_of(caller);
    if (func->fn(func->env, store, (union wisp_raw *)values, n_values) >= 0) return NULL;
    return trap_from(&store->err);
}

static wasm_trap_t *on_entry(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n_values)
{
    (void)env, (void)values, (void)n_values;
    struct wisp_wasm_store *store = store_of(caller);
    store->task_result = store->task(store->task_env, store->task_err);
    return NULL;
}

static bool may_go_on(void *env)
{
    struct wisp_wasm_store *store = env;
    if (!store->is_woken) return false;
    store->is_waiting = false;
    return true;
}

static void on_suspend(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args, size_t n_args,
                       wasmtime_val_t *results, size_t n_results, wasm_trap_t **trap_ret,
                       wasmtime_async_continuation_t *continuation_ret)
{
    (void)env, (void)args, (void)n_args, (void)results, (void)n_results, (void)trap_ret;
    *continuation_ret = (wasmtime_async_continuation_t){.callback = may_go_on, .env = store_of(caller)};
}

int wisp_wasm_define_entry(struct wisp_wasm_engine *engine, struct wisp_err *err)
{
    const struct wisp_wasm_func_type nullary = {0};
    engine->linker = wasmtime_linker_new(engine->engine);
    wasm_functype_t *type = wisp_wasm_functype(&nullary);
    wasmtime_error_t *error =
        wasmtime_linker_define_func_unchecked(engine->linker, "wisp", 4, "entry", 5, type, on_entry, NULL, NULL);
    if (!error)
        error =
            wasmtime_linker_define_async_func(engine->linker, "wisp", 4, "suspend", 7, type, on_suspend, NULL, NULL);
    wasm_functype_delete(type);
    return error ? wisp_wasm_err_take(NULL, NULL, error, WISP_ERR_INTERNAL, err) : 0;
}

/* Once per store: each time would take room in it. */
static void find_func(struct wisp_wasm_store *store, const char *name, wasmtime_func_t *func, bool *has_func)
{
    if (*has_func) return;
    wasmtime_extern_t item;
    bool found = wasmtime_linker_get(store->engine->linker, store->context, "wisp", 4, name, strlen(name), &item);
    assert(found && item.kind == WASMTIME_EXTERN_FUNC);
    (void)found;
    *func = item.of.func;
    *has_func = true;
}

struct wisp_wasm_store *wisp_wasm_store_new(struct wisp_wasm_engine *engine, void *data, uint64_t memory_bytes_max)
{
    assert(!engine->compile_only);
    wisp_wasm_make_room(engine);
    engine->n_stores++;
    struct wisp_wasm_store *store = wisp_mem_alloc(sizeof *store);
    /* The error's text is large and has no meaning before it is filled. */
    memset(store, 0, offsetof(struct wisp_wasm_store, err));
    store->err.kind = WISP_ERR_NONE;
    store->engine = engine;
    store->data = data;
    store->store = wasmtime_store_new(engine->engine, store, NULL);
    store->context = wasmtime_store_context(store->store);
    /* A pool's slots are limits in themselves. */
    if (!memory_bytes_max || memory_bytes_max > engine->memory_bytes_max) memory_bytes_max = engine->memory_bytes_max;
    if (!engine->is_pooled || memory_bytes_max < engine->memory_bytes_max)
        wasmtime_store_limiter(store->store, (int64_t)memory_bytes_max, TABLE_ELEMENTS_MAX, -1, -1, -1);
    /* Constant expressions that instantiating evaluates are code too, and can't yield before the store is preemptible:
     * far enough away for them, whose length is bounded, not to be interrupted. */
    wasmtime_context_set_epoch_deadline(store->context, UINT32_MAX);
    return store;
}

static void delete_store(void *env) { wasmtime_store_delete(env); }

void wisp_wasm_store_free(struct wisp_wasm_store *store)
{
    if (!store) return;
    assert(!store->is_running);
    if (store->future) {
        store->is_running = true;
        wasmtime_call_future_delete(store->future);
        store->is_running = false;
        store->future = NULL;
    }
    if (store->trap) wasm_trap_delete(store->trap);
    if (store->error) wasmtime_error_delete(store->error);
    store->engine->n_stores--;
    wisp_wasm_clear_later(store->engine, delete_store, store->store);
    free(store->backtrace);
    free(store);
}

void wisp_wasm_store_reset(struct wisp_wasm_store *store)
{
    assert(!store->future && !store->is_running && !store->trap && !store->error);
    store->err.kind = WISP_ERR_NONE;
    store->is_preemptible = store->is_woken = store->is_waiting = store->is_instantiation = false;
}

void *wisp_wasm_store_data(struct wisp_wasm_store *store) { return store->data; }
struct wisp_err *wisp_wasm_store_err(struct wisp_wasm_store *store) { return &store->err; }
bool wisp_wasm_store_is_running(const struct wisp_wasm_store *store) { return store->is_running; }

bool wisp_wasm_store_in_task(const struct wisp_wasm_store *store) { return !store->is_instantiation; }
bool wisp_wasm_store_is_preemptible(const struct wisp_wasm_store *store) { return store->is_preemptible; }

const char *wisp_wasm_store_backtrace(const struct wisp_wasm_store *store)
{
    return store->backtrace ? store->backtrace : "";
}

/* How the engine's message begins when an instance, a stack, ... is wanted and none is left. */
static const char POOL_IS_FULL[] = "maximum concurrent limit of ";

static int engine_result(struct wisp_wasm_store *store, wasm_trap_t *trap, wasmtime_error_t *error,
                         struct wisp_err *err)
{
    if (!trap && !error) return 0;
    int r = wisp_wasm_err_take(store, trap, error, WISP_ERR_GUEST, err);
    if (err && strncmp(err->text, POOL_IS_FULL, sizeof POOL_IS_FULL - 1) == 0)
        r = wisp_err_set(err, WISP_ERR_LIMIT, "all %u instances are in use", store->engine->instances_max);
    return r;
}

int wisp_wasm_instantiate_prelinked(struct wisp_wasm_store *store, const struct wisp_wasm_prelinked *prelinked,
                                    struct wisp_wasm_instance *ret_instance, struct wisp_err *err)
{
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error =
        wasmtime_instance_pre_instantiate(prelinked->pre, store->context, (wasmtime_instance_t *)ret_instance, &trap);
    return engine_result(store, trap, error, err);
}

/* The engine's C values are smaller than our storage, so an array of ours isn't one of theirs. */
static wasmtime_extern_t *to_engine(const struct wisp_wasm_extern *imports, size_t n)
{
    wasmtime_extern_t *items = wisp_mem_alloc(n * sizeof *items);
    for (size_t i = 0; i < n; i++) memcpy(&items[i], &imports[i], sizeof items[i]);
    return items;
}

int wisp_wasm_instantiate(struct wisp_wasm_store *store, const struct wisp_wasm_module *module,
                          const struct wisp_wasm_extern *imports, size_t n_imports,
                          struct wisp_wasm_instance *ret_instance, struct wisp_err *err)
{
    wasm_trap_t *trap = NULL;
    WISP_CLEANUP_FREE wasmtime_extern_t *items = to_engine(imports, n_imports);
    wasmtime_error_t *error = wasmtime_instance_new(store->context, module->module, items, n_imports,
                                                    (wasmtime_instance_t *)ret_instance, &trap);
    return engine_result(store, trap, error, err);
}

void wisp_wasm_memory(struct wisp_wasm_store *store, const struct wisp_wasm_extern *memory, uint8_t **ret_base,
                      uint64_t *ret_size)
{
    const wasmtime_extern_t *item = (const wasmtime_extern_t *)memory;
    assert(item->kind == WASMTIME_EXTERN_MEMORY);
    *ret_base = wisp_engine_memory_view(store->context, &item->of.memory, ret_size);
}

/* --- running --- */

static void wake_ticker(struct wisp_wasm_engine *engine)
{
    struct wisp_wasm_ticker *ticker = &engine->ticker;
    pthread_mutex_lock(&ticker->lock);
    atomic_store(&ticker->is_idle, false);
    pthread_cond_signal(&ticker->wake);
    pthread_mutex_unlock(&ticker->lock);
}

/* Guests must not do without ticks: the counter is odd while one runs, whatever it calls. */
static void note_run(struct wisp_wasm_engine *engine)
{
    struct wisp_wasm_ticker *ticker = &engine->ticker;
    unsigned runs = atomic_load_explicit(&ticker->n_runs, memory_order_relaxed);
    atomic_store_explicit(&ticker->n_runs, runs + 1, memory_order_seq_cst);
    if (atomic_load_explicit(&ticker->is_idle, memory_order_seq_cst)) wake_ticker(engine);
}

static bool poll(struct wisp_wasm_store *store)
{
    struct wisp_wasm_engine *engine = store->engine;
    if (engine->n_running++ == 0) note_run(engine);
    store->is_running = true;
    bool done = wasmtime_call_future_poll(store->future);
    store->is_running = false;
    if (--engine->n_running == 0) note_run(engine);
    return done;
}

static void make_preemptible(struct wisp_wasm_store *store)
{
    if (store->is_preemptible) return;
    store->is_preemptible = true;
    /* The current tick is partly over: two of them make sure of a whole one. */
    wasmtime_context_set_epoch_deadline(store->context, 2);
    wasmtime_context_epoch_deadline_async_yield_and_update(store->context, 2);
}

static enum wisp_wasm_state finish(struct wisp_wasm_store *store)
{
    wasmtime_call_future_delete(store->future);
    store->future = NULL;
    if (store->trap || store->error) {
        wasm_trap_t *trap = store->trap;
        wasmtime_error_t *error = store->error;
        store->trap = NULL;
        store->error = NULL;
        (void)engine_result(store, trap, error, store->task_err);
        return WISP_WASM_FAILED;
    }
    return store->task_result < 0 ? WISP_WASM_FAILED : WISP_WASM_DONE;
}

enum wisp_wasm_state wisp_wasm_store_resume(struct wisp_wasm_store *store)
{
    assert(store->future && !store->is_running);
    if (poll(store)) return finish(store);
    return store->is_waiting ? WISP_WASM_SUSPENDED : WISP_WASM_PREEMPTED;
}

enum wisp_wasm_state wisp_wasm_store_start(struct wisp_wasm_store *store, wisp_wasm_task_fn *task, void *env,
                                           struct wisp_err *err)
{
    assert(!store->future);
    make_preemptible(store);
    find_func(store, "entry", &store->entry, &store->has_entry);
    store->task = task;
    store->task_env = env;
    store->task_err = err;
    store->is_instantiation = false;
    store->future =
        wasmtime_func_call_async(store->context, &store->entry, NULL, 0, NULL, 0, &store->trap, &store->error);
    return wisp_wasm_store_resume(store);
}

enum wisp_wasm_state wisp_wasm_store_start_call(struct wisp_wasm_store *store, const struct wisp_wasm_extern *func,
                                                union wisp_raw *values, struct wisp_err *err)
{
    static_assert((int)WISP_WASM_CALL_VALUES == (int)WISP_ENGINE_CALL_VALUES, "room for as many values");
    const wasmtime_extern_t *item = (const wasmtime_extern_t *)func;
    assert(!store->future && item->kind == WASMTIME_EXTERN_FUNC);
    make_preemptible(store);
    store->task_result = 0;
    store->task_err = err;
    store->is_instantiation = false;
    store->future = wisp_engine_call_async(store->context, &item->of.func, (wasmtime_val_raw_t *)values, &store->trap,
                                           &store->error);
    return wisp_wasm_store_resume(store);
}

enum wisp_wasm_state wisp_wasm_store_start_instantiate(struct wisp_wasm_store *store,
                                                       const struct wisp_wasm_module *module,
                                                       const struct wisp_wasm_extern *imports, size_t n_imports,
                                                       struct wisp_wasm_instance *ret_instance, struct wisp_err *err)
{
    assert(!store->future);
    make_preemptible(store);
    store->is_instantiation = true;
    store->task_result = 0;
    store->task_err = err;
    WISP_CLEANUP_FREE wasmtime_extern_t *items = to_engine(imports, n_imports);
    store->future = wisp_engine_instance_new_async(store->context, module->module, items, n_imports,
                                                   (wasmtime_instance_t *)ret_instance, &store->trap, &store->error);
    return wisp_wasm_store_resume(store);
}

int wisp_wasm_call(struct wisp_wasm_store *store, const struct wisp_wasm_extern *func, union wisp_raw *values,
                   size_t n_values, struct wisp_err *err)
{
    const wasmtime_extern_t *item = (const wasmtime_extern_t *)func;
    assert(item->kind == WASMTIME_EXTERN_FUNC);
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error =
        wasmtime_func_call_unchecked(store->context, &item->of.func, (wasmtime_val_raw_t *)values, n_values, &trap);
    if (!trap && !error) return 0;
    return wisp_wasm_err_take(store, trap, error, WISP_ERR_GUEST, err);
}

int wisp_wasm_suspend(struct wisp_wasm_store *store, struct wisp_err *err)
{
    assert(store->is_running);
    if (store->is_woken) {
        store->is_woken = false;
        return 0;
    }
    find_func(store, "suspend", &store->suspend, &store->has_suspend);
    store->is_waiting = true;
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error = wasmtime_func_call_unchecked(store->context, &store->suspend, NULL, 0, &trap);
    store->is_waiting = false;
    store->is_woken = false;
    if (!trap && !error) return 0;
    if (trap) wasm_trap_delete(trap);
    if (error) wasmtime_error_delete(error);
    return wisp_err_set(err, WISP_ERR_CANCELLED, "the invocation was cancelled");
}

void wisp_wasm_store_wake(struct wisp_wasm_store *store) { store->is_woken = true; }
