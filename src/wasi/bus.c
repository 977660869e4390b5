/* SPDX-License-Identifier: Apache-2.0 */
/* wasmcloud:bus/lattice: the guest chooses by which of its links it reaches an interface, until it ends or chooses
 * again. Version 1.0.0 keeps silent about links that don't exist, 2.0.0 says so. */
#include "wasi/app.h"
#include "wasi/wasi_priv.h"

#include <stdlib.h>

enum { TARGET_TEXT_MAX = 512 };

/* call-target-interface */
struct target {
    struct wisp_buf interface; /* "wasi:keyvalue/store" */
};

static void free_target(struct target *target)
{
    wisp_buf_deinit(&target->interface);
    free(target);
}

static void drop_target(void *rep, void *context)
{
    (void)context;
    free_target(rep);
}

struct target_args {
    struct wisp_str namespace, package, interface;
};

static int make_target(struct wisp_call *call, const void *args, void *result)
{
    const struct target_args *parts = args;
    if (parts->namespace.len + parts->package.len + parts->interface.len > TARGET_TEXT_MAX)
        return wisp_call_trap(call, "the name of an interface has more than %d bytes", TARGET_TEXT_MAX);
    struct target *target = wisp_mem_calloc(1, sizeof *target);
    wisp_buf_append_str(&target->interface, parts->namespace);
    wisp_buf_append_char(&target->interface, ':');
    wisp_buf_append_str(&target->interface, parts->package);
    wisp_buf_append_char(&target->interface, '/');
    wisp_buf_append_str(&target->interface, parts->interface);
    *(struct target **)result = target;
    return 0;
}

struct set_args {
    struct wisp_str name;
    struct target *const *targets;
    size_t n_targets;
};
struct set_result {
    uint32_t is_err;
    struct wisp_str error;
};

static const struct wisp_wasi_link *link_of(const struct wisp_wasi *wasi, const struct set_args *set, size_t i)
{
    return wisp_wasi_app_link(wasi->app, set->name, wisp_buf_str(&set->targets[i]->interface));
}

/* Position of the first target that has no such link; n_targets when all have. */
static size_t find_unlinked(const struct wisp_wasi *wasi, const struct set_args *set)
{
    size_t i = 0;
    while (i < set->n_targets && link_of(wasi, set, i)) i++;
    return i;
}

static void choose(struct wisp_wasi *wasi, const struct wisp_wasi_link *link)
{
    /* An interface is in the list once: never more than the application has links. */
    if (!wasi->chosen_links) wasi->chosen_links = wisp_mem_calloc(wasi->app->n_links, sizeof(struct wisp_wasi_link *));
    size_t i = 0;
    while (i < wasi->n_chosen_links && !wisp_str_equal(wasi->chosen_links[i]->interface, link->interface)) i++;
    if (i < wasi->n_chosen_links) wasi->chosen_links[i] = wasi->chosen_links[--wasi->n_chosen_links];
    if (!wisp_str_is(link->name, "default")) wasi->chosen_links[wasi->n_chosen_links++] = link;
}

static void finish_targets(struct wisp_wasi *wasi, const struct set_args *set, bool must_choose)
{
    for (size_t i = 0; i < set->n_targets && must_choose; i++) choose(wasi, link_of(wasi, set, i));
    for (size_t i = 0; i < set->n_targets; i++) free_target(set->targets[i]);
}

static int set_link_name(struct wisp_call *call, const void *args, void *result)
{
    const struct set_args *set = args;
    struct set_result *outcome = result;
    size_t unlinked = find_unlinked(call->context, set);
    *outcome = (struct set_result){.is_err = unlinked < set->n_targets};
    if (outcome->is_err)
        outcome->error = wisp_str_from(wisp_arena_printf(call->arena, "interface `%.*s` has no link named `%.*s`",
                                                         WISP_STR_ARG(wisp_buf_str(&set->targets[unlinked]->interface)),
                                                         WISP_STR_ARG(set->name)));
    finish_targets(call->context, set, !outcome->is_err);
    return 0;
}

static int set_link_name_silently(struct wisp_call *call, const void *args, void *result)
{
    (void)result;
    const struct set_args *set = args;
    finish_targets(call->context, set, find_unlinked(call->context, set) == set->n_targets);
    return 0;
}

#define TARGET_FUNC                                                                                                    \
    {"[constructor]call-target-interface", "(string, string, string) -> own<call-target-interface>", make_target,      \
     WISP_HOST_SIZES(struct target_args, struct target *)}

static const struct wisp_host_func funcs_1[] = {
    TARGET_FUNC,
    {"set-link-name", "(string, list<call-target-interface>)", set_link_name_silently, sizeof(struct set_args), 0},
};
static const struct wisp_host_func funcs_2[] = {
    TARGET_FUNC,
    {"set-link-name", "(string, list<call-target-interface>) -> result<_, string>", set_link_name,
     WISP_HOST_SIZES(struct set_args, struct set_result)},
};
static const struct wisp_host_resource resources[] = {{.name = "call-target-interface", .drop = drop_target}};

const struct wisp_host_interface wisp_wasmcloud_bus_lattice_1 = {
    .name = "wasmcloud:bus/lattice",
    .version = "1.0.0",
    .funcs = funcs_1,
    .n_funcs = WISP_COUNT(funcs_1),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
};
const struct wisp_host_interface wisp_wasmcloud_bus_lattice_2 = {
    .name = "wasmcloud:bus/lattice",
    .version = "2.0.0",
    .funcs = funcs_2,
    .n_funcs = WISP_COUNT(funcs_2),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
};
