/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: made, ended, and put back to what they were when they were made.
 *
 * Each call gets an instance that no call has left anything in. Making one is most of what a small call costs, so one
 * that has ended well is put back, when all that it consists of can be: the core instances by the engine's side
 * (wasm.h), handles and flags here. Whatever ended otherwise, or can't be put back, is freed, and the next call gets a
 * new one. */
#include "component/run/instance_priv.h"

#include "base/mem.h"

#include <stdlib.h>

/* A component whose instances can't be put back so often in a row, since each grows its memory for instance, is not
 * tried any more. */
enum { NOT_BACK_MAX = 16 };

static struct wisp_instance *make(struct wisp_linked *linked, const struct wisp_instance_options *options)
{
    const struct wisp_component *component = linked->component;
    size_t handles_size = component->n_instances * sizeof(struct wisp_handles);
    size_t cores_size = component->n_steps * sizeof(struct wisp_wasm_instance);
    size_t externs_size = linked->n_slots * sizeof(struct wisp_wasm_extern);
    size_t originals_size = linked->n_originals * sizeof(struct wisp_wasm_extern);
    struct wisp_instance *instance =
        wisp_mem_alloc(sizeof *instance + handles_size + cores_size + externs_size + originals_size + linked->n_slots);
    memset(instance, 0, sizeof *instance);
    instance->linked = linked;
    char *behind = (char *)(instance + 1);
    instance->handles = memset(behind, 0, handles_size);
    instance->core_instances = (struct wisp_wasm_instance *)(void *)(behind += handles_size);
    instance->externs = (struct wisp_wasm_extern *)(void *)(behind += cores_size);
    instance->originals = (struct wisp_wasm_extern *)(void *)(behind += externs_size);
    instance->has_extern = memset(behind + originals_size, 0, linked->n_slots);
    instance->store = wisp_wasm_store_new(linked->engine, instance, options->memory_bytes_max);
    linked->counts.made++;
    return instance;
}

static void drop_left_over(struct wisp_resource *resource, void *rep, void *env)
{
    struct wisp_instance *instance = env;
    /* What guests define ends with the guest's memory. */
    if (resource->host && resource->host->drop) resource->host->drop(rep, instance->options.context);
}

static void discard(struct wisp_instance *instance)
{
    wisp_wasm_store_free(instance->store);
    for (uint32_t i = 0; i < instance->linked->component->n_instances; i++)
        wisp_handles_deinit(&instance->handles[i], drop_left_over, instance);
    wisp_arena_deinit(&instance->arena);
    wisp_arena_deinit(&instance->call_arena);
    free(instance->imports);
    free(instance);
}

/* --- putting back --- */

void wisp_instance_look(struct wisp_instance *instance)
{
    struct wisp_linked *linked = instance->linked;
    uint64_t limit = instance->options.memory_bytes_max;
    instance->is_looked_at = true;
    /* What start functions did may have come from anywhere, another time otherwise. */
    if (instance->has_called_early) linked->can_put_back = false;
    if (!linked->can_put_back) return;
    if (!linked->is_looked_at) linked->first_limit = limit;
    linked->is_looked_at = true;
    instance->can_put_back = !linked->has_start || limit == linked->first_limit;
    if (!instance->can_put_back) return;
    struct wisp_wasm_extern *externs = instance->originals;
    for (uint32_t i = 0; i < linked->component->n_steps; i++) {
        struct wisp_wasm_original *original = linked->steps[i].original;
        instance->can_put_back &=
            wisp_wasm_original_look(original, instance->store, &instance->core_instances[i], externs);
        externs += wisp_wasm_original_externs(original);
    }
}

static bool put_back_steps(struct wisp_instance *instance)
{
    const struct wisp_linked *linked = instance->linked;
    const struct wisp_wasm_extern *externs = instance->originals;
    bool is_complete = true;
    instance->idle.n_pages = 0;
    for (uint32_t i = 0; i < linked->component->n_steps; i++) {
        struct wisp_wasm_original *original = linked->steps[i].original;
        is_complete &= wisp_wasm_original_put_back(original, instance->store, externs, &instance->idle.n_pages);
        externs += wisp_wasm_original_externs(original);
    }
    return is_complete;
}

static void remove_idle(struct wisp_instance *instance)
{
    wisp_wasm_idle_remove(instance->linked->engine, &instance->idle);
    wisp_ring_remove(&instance->idle_here);
}

static void give_up(struct wisp_wasm_idle *idle)
{
    struct wisp_instance *instance = WISP_OWNER(idle, struct wisp_instance, idle);
    wisp_ring_remove(&instance->idle_here);
    discard(instance);
}

static bool is_learning(const struct wisp_linked *linked)
{
    bool is_learning = false;
    for (uint32_t i = 0; i < linked->component->n_steps; i++)
        is_learning |= wisp_wasm_original_is_learning(linked->steps[i].original);
    return is_learning;
}

static void put_back(void *env)
{
    struct wisp_instance *instance = env;
    struct wisp_linked *linked = instance->linked;
    if (!put_back_steps(instance)) {
        if (!is_learning(linked) && ++linked->n_not_back == NOT_BACK_MAX) linked->can_put_back = false;
        discard(instance);
        return;
    }
    linked->n_not_back = 0;
    wisp_wasm_store_reset(instance->store);
    instance->has_started = instance->has_args = instance->is_wake_sent = false;
    instance->idle.give_up = give_up;
    wisp_ring_append(&linked->idle, &instance->idle_here);
    wisp_wasm_idle_add(linked->engine, &instance->idle);
}

static bool has_ended_well(const struct wisp_instance *instance)
{
    return instance->has_args && !instance->export_ && !instance->has_failed;
}

void wisp_instance_free(struct wisp_instance *instance)
{
    if (!instance) return;
    if (!instance->linked->can_put_back || !instance->can_put_back || !has_ended_well(instance)) {
        discard(instance);
        return;
    }
    /* With the context of this call. */
    for (uint32_t i = 0; i < instance->linked->component->n_instances; i++)
        wisp_handles_reset(&instance->handles[i], drop_left_over, instance);
    wisp_arena_reset(&instance->arena);
    wisp_arena_reset(&instance->call_arena);
    wisp_wasm_clear_later(instance->linked->engine, put_back, instance);
}

void wisp_instances_free_idle(struct wisp_linked *linked)
{
    linked->can_put_back = false;
    wisp_wasm_clear_all(linked->engine);
    while (!wisp_ring_is_empty(&linked->idle)) {
        struct wisp_instance *instance = WISP_OWNER(linked->idle.next, struct wisp_instance, idle_here);
        remove_idle(instance);
        discard(instance);
    }
}

/* --- making --- */

/* One that was put back, of those with the same limit; others are of no more use. */
static struct wisp_instance *take_idle(struct wisp_linked *linked, uint64_t memory_bytes_max)
{
    while (!wisp_ring_is_empty(&linked->idle)) {
        struct wisp_instance *instance = WISP_OWNER(linked->idle.previous, struct wisp_instance, idle_here);
        remove_idle(instance);
        if (instance->options.memory_bytes_max == memory_bytes_max) {
            linked->counts.put_back++;
            return instance;
        }
        discard(instance);
    }
    return NULL;
}

int wisp_instance_new(struct wisp_instance **ret_instance, struct wisp_linked *linked,
                      const struct wisp_instance_options *options, struct wisp_err *err)
{
    (void)err;
    struct wisp_instance *instance = take_idle(linked, options->memory_bytes_max);
    if (!instance) instance = make(linked, options);
    instance->options = *options;
    *ret_instance = instance;
    return 0;
}
