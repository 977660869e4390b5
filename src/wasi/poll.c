/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:io/poll: pollables, waiting for them, and the invocation's timer. */
#include "wasi/wasi_priv.h"

#include <stdlib.h>

/* Asking whether one is ready may be a system call, and the guest isn't preempted meanwhile. */
enum { POLLABLES_MAX = 16384, NS_PER_MS = 1000000 };

/* --- timer --- */

/* One for an invocation, however many deadlines it has: the earliest of the wait in progress counts. */
struct wisp_wasi_timer {
    uv_timer_t handle;
    struct wisp_wasi *wasi;
    uint64_t deadline_ns; /* UINT64_MAX: not running */
};

static void on_timer(uv_timer_t *handle)
{
    struct wisp_wasi_timer *timer = handle->data;
    timer->deadline_ns = UINT64_MAX;
    wisp_instance_wake(timer->wasi->instance);
}

static struct wisp_wasi_timer *timer_of(struct wisp_wasi *wasi)
{
    if (wasi->timer) return wasi->timer;
    struct wisp_wasi_timer *timer = wisp_mem_calloc(1, sizeof *timer);
    uv_timer_init(wasi->loop, &timer->handle);
    timer->handle.data = timer;
    timer->wasi = wasi;
    timer->deadline_ns = UINT64_MAX;
    wasi->timer = timer;
    return timer;
}

void wisp_wasi_wake_at(struct wisp_wasi *wasi, uint64_t deadline_ns)
{
    struct wisp_wasi_timer *timer = timer_of(wasi);
    if (deadline_ns >= timer->deadline_ns) return;
    timer->deadline_ns = deadline_ns;
    uint64_t now_ns = uv_hrtime();
    uint64_t wait_ms = deadline_ns > now_ns ? (deadline_ns - now_ns - 1) / NS_PER_MS + 1 : 0;
    /* The loop's idea of now is as old as this turn of it, in which the guest may have computed for long. */
    uv_update_time(wasi->loop);
    uv_timer_start(&timer->handle, on_timer, wait_ms, 0);
}

int wisp_wasi_suspend(struct wisp_call *call)
{
    int r = wisp_call_suspend(call);
    if (r < 0) return r;
    struct wisp_wasi_timer *timer = ((struct wisp_wasi *)call->context)->timer;
    if (!timer || timer->deadline_ns == UINT64_MAX) return 0;
    timer->deadline_ns = UINT64_MAX;
    uv_timer_stop(&timer->handle);
    return 0;
}

static void free_timer(uv_handle_t *handle) { free(handle->data); }

void wisp_wasi_timer_close(struct wisp_wasi *wasi)
{
    if (!wasi->timer) return;
    struct wisp_wasi_timer *timer = WISP_TAKE(wasi->timer);
    uv_close((uv_handle_t *)&timer->handle, free_timer);
}

/* --- pollables that don't belong to a stream --- */

static bool always_ready(struct wisp_pollable *pollable)
{
    (void)pollable;
    return true;
}

static void free_pollable(struct wisp_pollable *pollable) { free(pollable); }

struct wisp_pollable *wisp_pollable_ready_new(struct wisp_wasi *wasi)
{
    static const struct wisp_pollable_ops ops = {.is_ready = always_ready, .drop = free_pollable};
    struct wisp_pollable *pollable = wisp_mem_alloc(sizeof *pollable);
    *pollable = (struct wisp_pollable){&ops, wasi};
    return pollable;
}

struct deadline {
    struct wisp_pollable base;
    uint64_t deadline_ns;
};

static bool deadline_is_ready(struct wisp_pollable *pollable)
{
    return uv_hrtime() >= ((struct deadline *)pollable)->deadline_ns;
}

static void deadline_arm(struct wisp_pollable *pollable)
{
    wisp_wasi_wake_at(pollable->wasi, ((struct deadline *)pollable)->deadline_ns);
}

struct wisp_pollable *wisp_pollable_at_new(struct wisp_wasi *wasi, uint64_t deadline_ns)
{
    static const struct wisp_pollable_ops ops = {deadline_is_ready, deadline_arm, free_pollable};
    struct deadline *deadline = wisp_mem_alloc(sizeof *deadline);
    *deadline = (struct deadline){{&ops, wasi}, deadline_ns};
    return &deadline->base;
}

/* --- waiting --- */

static bool is_any_ready(struct wisp_pollable *const *pollables, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (pollables[i]->ops->is_ready(pollables[i])) return true;
    return false;
}

int wisp_pollable_wait(struct wisp_call *call, struct wisp_pollable *const *pollables, size_t n)
{
    while (!is_any_ready(pollables, n)) {
        for (size_t i = 0; i < n; i++)
            if (pollables[i]->ops->arm) pollables[i]->ops->arm(pollables[i]);
        int r = wisp_wasi_suspend(call);
        if (r < 0) return r;
    }
    return 0;
}

/* --- the interface --- */

struct pollable_args {
    struct wisp_pollable *self;
};

static int pollable_ready(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    struct wisp_pollable *self = ((const struct pollable_args *)args)->self;
    *(bool *)result = self->ops->is_ready(self);
    return 0;
}

static int pollable_block(struct wisp_call *call, const void *args, void *result)
{
    (void)result;
    struct wisp_pollable *self = ((const struct pollable_args *)args)->self;
    return wisp_pollable_wait(call, &self, 1);
}

struct poll_args {
    struct {
        struct wisp_pollable *const *ptr;
        size_t len;
    } in;
};

struct poll_result {
    uint32_t *ptr;
    size_t len;
};

static int poll_list(struct wisp_call *call, const void *args, void *result)
{
    const struct poll_args *a = args;
    struct poll_result *ready = result;
    if (a->in.len == 0) return wisp_call_trap(call, "an empty list of pollables: there is nothing to wait for");
    if (a->in.len > POLLABLES_MAX)
        return wisp_call_trap(call, "%zu pollables at once, where %d are allowed", a->in.len, POLLABLES_MAX);
    *ready = (struct poll_result){WISP_NEW_ARRAY(call->arena, uint32_t, a->in.len), 0};
    /* What was ready may be so no longer when it is asked again: somebody else reads the same pipe. */
    while (ready->len == 0) {
        int r = wisp_pollable_wait(call, a->in.ptr, a->in.len);
        if (r < 0) return r;
        for (size_t i = 0; i < a->in.len; i++)
            if (a->in.ptr[i]->ops->is_ready(a->in.ptr[i])) ready->ptr[ready->len++] = (uint32_t)i;
    }
    return 0;
}

static void pollable_drop(void *rep, void *context)
{
    (void)context;
    struct wisp_pollable *pollable = rep;
    pollable->ops->drop(pollable);
}

static const struct wisp_host_func funcs[] = {
    {"[method]pollable.ready", "(borrow<pollable>) -> bool", pollable_ready,
     WISP_HOST_SIZES(struct pollable_args, bool)},
    {"[method]pollable.block", "(borrow<pollable>)", pollable_block, sizeof(struct pollable_args), 0},
    {"poll", "(list<borrow<pollable>>) -> list<u32>", poll_list, WISP_HOST_SIZES(struct poll_args, struct poll_result)},
};

static const struct wisp_host_resource resources[] = {{.name = "pollable", .drop = pollable_drop}};

const struct wisp_host_interface wisp_wasi_io_poll = {
    .name = "wasi:io/poll",
    .version = WISP_WASI_VERSION,
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
};
