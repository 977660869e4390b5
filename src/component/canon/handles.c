/* SPDX-License-Identifier: Apache-2.0 */
/* Handle tables. Free slots form a list through next_free, so that the index freed last is given out first: the
 * specification fixes this order and guests can see it. */
#include "component/canon.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

static uint32_t take_slot(struct wisp_handles *handles)
{
    handles->n_live++;
    if (handles->free_head) {
        uint32_t index = handles->free_head;
        handles->free_head = handles->slots[index].next_free;
        return index;
    }
    if (handles->n_slots == handles->capacity) {
        handles->capacity = handles->capacity ? 2 * handles->capacity : FIRST_CAPACITY;
        handles->slots = wisp_mem_realloc(handles->slots, handles->capacity * sizeof *handles->slots);
    }
    if (handles->n_slots == 0) handles->slots[handles->n_slots++] = (struct wisp_handle){0};
    return handles->n_slots++;
}

static void free_slot(struct wisp_handles *handles, uint32_t index)
{
    handles->slots[index] = (struct wisp_handle){.next_free = handles->free_head};
    handles->free_head = index;
    handles->n_live--;
}

int wisp_handles_add(struct wisp_handles *handles, struct wisp_resource *resource, void *rep, bool is_own,
                     struct wisp_borrow_scope *scope, uint32_t *ret_index, struct wisp_err *err)
{
    if (handles->n_live >= WISP_HANDLES_MAX - 1)
        return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d resource handles", WISP_HANDLES_MAX - 1);
    uint32_t index = take_slot(handles);
    handles->slots[index] = (struct wisp_handle){.resource = resource, .rep = rep, .is_own = is_own, .scope = scope};
    if (scope) scope->n_borrows++;
    *ret_index = index;
    return 0;
}

void wisp_handles_adopt(struct wisp_handles *handles, struct wisp_resource *resource, void *rep)
{
    uint32_t index = take_slot(handles);
    handles->slots[index] = (struct wisp_handle){.resource = resource, .rep = rep, .is_own = true};
}

/* For messages: "`fields`", or what there is to say of a resource without a name. */
struct resource_text {
    char text[100];
};

static struct resource_text resource_text(const struct wisp_resource *resource)
{
    struct resource_text r;
    const char *nameless = resource->is_imported ? "a resource without a name" : "guest-defined resource";
    if (resource->name.len)
        snprintf(r.text, sizeof r.text, "`%.*s`", WISP_STR_ARG(resource->name));
    else
        snprintf(r.text, sizeof r.text, "%s", nameless);
    return r;
}

static int refuse_get(const struct wisp_handle *found, uint32_t index, const struct wisp_resource *resource,
                      struct wisp_err *err)
{
    if (!found) return wisp_err_set(err, WISP_ERR_GUEST, "unknown handle index %u", index);
    struct resource_text want = resource_text(resource), have = resource_text(found->resource);
    bool same_text = strcmp(want.text, have.text) == 0;
    return wisp_err_set(err, WISP_ERR_GUEST, "handle index %u used with the wrong type, expected %s but found %s%s",
                        index, want.text, same_text ? "a different " : "", have.text);
}

int wisp_handles_get(struct wisp_handles *handles, uint32_t index, const struct wisp_resource *resource,
                     struct wisp_handle **ret_handle, struct wisp_err *err)
{
    struct wisp_handle *handle = index < handles->n_slots ? &handles->slots[index] : NULL;
    if (!handle || handle->resource != resource)
        return refuse_get(handle && handle->resource ? handle : NULL, index, resource, err);
    *ret_handle = handle;
    return 0;
}

static int refuse_lent(uint32_t index, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_GUEST, "handle index %u: cannot remove owned resource while borrowed", index);
}

int wisp_handles_take(struct wisp_handles *handles, uint32_t index, const struct wisp_resource *resource,
                      void **ret_rep, struct wisp_err *err)
{
    struct wisp_handle *handle;
    int r = wisp_handles_get(handles, index, resource, &handle, err);
    if (r < 0) return r;
    if (handle->lends) return refuse_lent(index, err);
    if (!handle->is_own)
        return wisp_err_set(err, WISP_ERR_GUEST, "handle index %u is borrowed, it cannot be passed on as owned", index);
    *ret_rep = handle->rep;
    free_slot(handles, index);
    return 0;
}

int wisp_handles_drop(struct wisp_handles *handles, uint32_t index, const struct wisp_resource *resource,
                      void **ret_rep, bool *ret_own, struct wisp_err *err)
{
    struct wisp_handle *handle;
    int r = wisp_handles_get(handles, index, resource, &handle, err);
    if (r < 0) return r;
    if (handle->lends) return refuse_lent(index, err);
    if (handle->scope) handle->scope->n_borrows--;
    *ret_rep = handle->rep;
    *ret_own = handle->is_own;
    free_slot(handles, index);
    return 0;
}

int wisp_borrow_scope_end(const struct wisp_borrow_scope *scope, struct wisp_err *err)
{
    if (scope->n_borrows == 0) return 0;
    return wisp_err_set(err, WISP_ERR_GUEST, "borrow handles still remain at the end of the call: %u of them",
                        scope->n_borrows);
}

static void visit_own(struct wisp_handles *handles, void (*visit)(struct wisp_resource *resource, void *rep, void *env),
                      void *env)
{
    /* Last first: what is made later tends to depend on what was made before (a stream on its body). */
    for (uint32_t i = handles->n_slots; i-- > 0;) {
        struct wisp_handle *handle = &handles->slots[i];
        if (handle->resource && handle->is_own) visit(handle->resource, handle->rep, env);
    }
}

void wisp_handles_deinit(struct wisp_handles *handles,
                         void (*visit)(struct wisp_resource *resource, void *rep, void *env), void *env)
{
    visit_own(handles, visit, env);
    free(handles->slots);
    *handles = (struct wisp_handles){0};
}

void wisp_handles_reset(struct wisp_handles *handles,
                        void (*visit)(struct wisp_resource *resource, void *rep, void *env), void *env)
{
    if (handles->capacity > FIRST_CAPACITY) {
        wisp_handles_deinit(handles, visit, env);
        return;
    }
    visit_own(handles, visit, env);
    *handles = (struct wisp_handles){.slots = handles->slots, .capacity = handles->capacity};
}
