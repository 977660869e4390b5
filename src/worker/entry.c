/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/entry.h"

#include "capability/capability.h"

#include <stdlib.h>

struct wisp_entry {
    struct wisp_entry_target target;
    struct wisp_arena arena;
    void *args;   /* the guest's; NULL before they were made */
    void *result; /* of the wire; NULL: none */
};

/* --- which export it is --- */

bool wisp_entry_get(const struct wisp_edition *edition, const struct wisp_inside *inside,
                    struct wisp_entry_target *ret_target)
{
    const struct wisp_program *program = &edition->program;
    struct wisp_str interface = wisp_str_from(inside->interface->name), name = wisp_str_from(inside->func->name);
    if (wisp_component_export_exact(program->component, interface, name)) return false;
    const struct wisp_export_func *func = wisp_component_export_exact(
        program->component, wisp_str_from(inside->guest_interface), wisp_str_from(inside->guest_func));
    const struct wisp_linked_export *export_ = func ? wisp_linked_export_of(program->linked, func) : NULL;
    *ret_target = (struct wisp_entry_target){inside, func, export_};
    return export_ && inside->fits(func->type);
}

bool wisp_entry_find(const struct wisp_edition *edition, struct wisp_str interface, struct wisp_str func,
                     struct wisp_entry_target *ret_target)
{
    for (size_t i = 0; i < wisp_capability_n_insides; i++) {
        const struct wisp_inside *inside = wisp_capability_insides[i];
        if (wisp_str_is(interface, inside->interface->name) && wisp_str_is(func, inside->func->name))
            return wisp_entry_get(edition, inside, ret_target);
    }
    return false;
}

bool wisp_entry_is_behind(const struct wisp_edition *edition, const struct wisp_export_func *func)
{
    struct wisp_entry_target target;
    for (size_t i = 0; i < wisp_capability_n_insides; i++)
        if (wisp_entry_get(edition, wisp_capability_insides[i], &target) && target.func == func) return true;
    return false;
}

/* --- a call of it --- */

void wisp_entry_begin(struct wisp_invocation *invocation, const struct wisp_entry_target *target)
{
    struct wisp_entry *entry = wisp_mem_calloc(1, sizeof *entry);
    entry->target = *target;
    entry->result = invocation->result;
    invocation->entry = entry;
    invocation->export_ = target->export_;
}

int wisp_entry_prepare(struct wisp_invocation *invocation)
{
    struct wisp_entry *entry = invocation->entry;
    if (!entry) return 0;
    const struct wisp_func_type *type = entry->target.func->type;
    void *args = wisp_arena_calloc(&entry->arena, 1, type->native_params_size);
    int r = entry->target.inside->enter(invocation->args, &entry->arena, args, &invocation->err);
    if (r < 0) return r;
    invocation->args = entry->args = args;
    invocation->result = type->result ? wisp_arena_calloc(&entry->arena, 1, type->result->native_size) : NULL;
    return 0;
}

void wisp_entry_leave(struct wisp_invocation *invocation)
{
    struct wisp_entry *entry = invocation->entry;
    if (!entry || !entry->result) return;
    entry->target.inside->leave(invocation->result, &entry->arena, entry->result);
    invocation->result = entry->result;
}

void wisp_entry_drop(struct wisp_invocation *invocation)
{
    struct wisp_entry *entry = invocation->entry;
    if (!entry || !entry->args) return;
    bool is_guests = invocation->instance && wisp_instance_has_args(invocation->instance);
    if (!is_guests) entry->target.inside->drop(entry->args);
    entry->args = NULL;
}

void wisp_entry_end(struct wisp_invocation *invocation)
{
    struct wisp_entry *entry = WISP_TAKE(invocation->entry);
    if (!entry) return;
    wisp_arena_deinit(&entry->arena);
    free(entry);
}
