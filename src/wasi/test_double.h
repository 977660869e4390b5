/* SPDX-License-Identifier: Apache-2.0 */
/* For the unit tests of this folder: one invocation without a guest. Host functions are called through their tables;
 * the executor's functions that they use are doubled here: suspending turns the loop until somebody wakes. Included
 * once by a test program. */
#pragma once

#include "wasi/wasi_priv.h"

#include "test.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

static struct {
    uv_loop_t loop;
    struct wisp_wasi_config config;
    struct wisp_wasi wasi;
    struct wisp_arena arena;
    struct wisp_call call;
    bool is_woken, is_cancelled;
    int n_suspensions;
    void (*on_suspend)(void); /* may scribble over what the guest would */
    char trap[512];           /* text of the last one */
} fake;

int wisp_call_trap(struct wisp_call *call, const char *format, ...)
{
    CHECK(call == &fake.call);
    va_list args;
    va_start(args, format);
    vsnprintf(fake.trap, sizeof fake.trap, format, args);
    va_end(args);
    return -(int)WISP_ERR_GUEST;
}

int wisp_call_suspend(struct wisp_call *call)
{
    CHECK(call == &fake.call);
    fake.n_suspensions++;
    if (fake.on_suspend) fake.on_suspend();
    if (fake.is_cancelled) return -(int)WISP_ERR_CANCELLED;
    while (!fake.is_woken) {
        bool is_anything_left = uv_run(&fake.loop, UV_RUN_ONCE);
        if (!fake.is_woken && !is_anything_left) wisp_test_fail(__FILE__, __LINE__, "suspended for ever");
    }
    fake.is_woken = false;
    return 0;
}

void wisp_instance_wake(struct wisp_instance *instance)
{
    CHECK(instance == fake.wasi.instance);
    fake.is_woken = true;
}

/* With fake.config as the test filled it. */
static inline void fake_start(void)
{
    signal(SIGPIPE, SIG_IGN);
    CHECK_INT(uv_loop_init(&fake.loop), 0);
    wisp_wasi_init(&fake.wasi, &fake.config, &fake.loop);
    fake.wasi.instance = (struct wisp_instance *)&fake; /* an address, no more */
    fake.call = (struct wisp_call){.instance = fake.wasi.instance,
                                   .context = &fake.wasi,
                                   .arena = &fake.arena,
                                   .interface = "test",
                                   .func = "test"};
}

/* Ends the invocation; everything it held must be gone by then. */
static inline void fake_stop(void)
{
    wisp_wasi_deinit(&fake.wasi);
    uv_run(&fake.loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&fake.loop), 0);
    wisp_arena_deinit(&fake.arena);
}

static inline const struct wisp_host_func *fake_func(const struct wisp_host_interface *interface, const char *name)
{
    for (size_t i = 0; i < interface->n_funcs; i++)
        if (strcmp(interface->funcs[i].name, name) == 0) return &interface->funcs[i];
    wisp_test_fail(__FILE__, __LINE__, "%s has no function %s", interface->name, name);
}

/* The result is filled with rubbish before: functions fill in all of it. */
static inline int fake_invoke(const struct wisp_host_interface *interface, const char *name, const void *args,
                              size_t args_size, void *result, size_t result_size)
{
    const struct wisp_host_func *func = fake_func(interface, name);
    CHECK_INT(func->args_size, args_size);
    CHECK_INT(func->result_size, result_size);
    if (result_size) memset(result, 0xa5, result_size);
    return func->fn(&fake.call, args, result);
}
#define INVOKE(interface, name, args, result)                                                                          \
    fake_invoke(&(interface), (name), (args), sizeof *(args), (result), sizeof *(result))

/* As the executor does for a guest's resource.drop: the reason of a refusal, or NULL. */
static inline const char *fake_drop(const struct wisp_host_interface *interface, const char *name, void *rep)
{
    for (size_t i = 0; i < interface->n_resources; i++) {
        const struct wisp_host_resource *resource = &interface->resources[i];
        if (strcmp(resource->name, name) != 0) continue;
        const char *refusal = resource->refuse_drop ? resource->refuse_drop(rep) : NULL;
        if (!refusal && resource->drop) resource->drop(rep, &fake.wasi);
        return refusal;
    }
    wisp_test_fail(__FILE__, __LINE__, "%s has no resource %s", interface->name, name);
}
