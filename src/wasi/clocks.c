/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:clocks/monotonic-clock and wall-clock. */
#include "wasi/wasi_priv.h"

#include <time.h>

struct datetime {
    uint64_t seconds;
    uint32_t nanoseconds;
};

/* --- monotonic-clock: the loop's own clock, so that deadlines need no conversion --- */

static int monotonic_now(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    *(uint64_t *)result = uv_hrtime();
    return 0;
}

static int monotonic_resolution(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    struct timespec resolution = {0};
    clock_getres(CLOCK_MONOTONIC, &resolution);
    *(uint64_t *)result = (uint64_t)resolution.tv_sec * 1000000000 + (uint64_t)resolution.tv_nsec;
    return 0;
}

static int subscribe_instant(struct wisp_call *call, const void *args, void *result)
{
    *(struct wisp_pollable **)result = wisp_pollable_at_new(call->context, *(const uint64_t *)args);
    return 0;
}

static int subscribe_duration(struct wisp_call *call, const void *args, void *result)
{
    uint64_t now = uv_hrtime(), duration = *(const uint64_t *)args;
    uint64_t deadline = duration > UINT64_MAX - now ? UINT64_MAX : now + duration;
    *(struct wisp_pollable **)result = wisp_pollable_at_new(call->context, deadline);
    return 0;
}

static const struct wisp_host_func monotonic_funcs[] = {
    {"now", "() -> u64", monotonic_now, 0, sizeof(uint64_t)},
    {"resolution", "() -> u64", monotonic_resolution, 0, sizeof(uint64_t)},
    {"subscribe-instant", "(u64) -> own<pollable>", subscribe_instant,
     WISP_HOST_SIZES(uint64_t, struct wisp_pollable *)},
    {"subscribe-duration", "(u64) -> own<pollable>", subscribe_duration,
     WISP_HOST_SIZES(uint64_t, struct wisp_pollable *)},
};

const struct wisp_host_interface wisp_wasi_clocks_monotonic_clock = {
    .name = "wasi:clocks/monotonic-clock",
    .version = WISP_WASI_VERSION,
    .funcs = monotonic_funcs,
    .n_funcs = WISP_COUNT(monotonic_funcs),
};

/* --- wall-clock --- */

static int wall_now(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) < 0 || now.tv_sec < 0)
        return wisp_call_trap(call, "the host's clock is set before 1970");
    *(struct datetime *)result = (struct datetime){(uint64_t)now.tv_sec, (uint32_t)now.tv_nsec};
    return 0;
}

static int wall_resolution(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    struct timespec resolution = {0};
    clock_getres(CLOCK_REALTIME, &resolution);
    *(struct datetime *)result = (struct datetime){(uint64_t)resolution.tv_sec, (uint32_t)resolution.tv_nsec};
    return 0;
}

static const struct wisp_host_func wall_funcs[] = {
    {"now", "() -> datetime", wall_now, 0, sizeof(struct datetime)},
    {"resolution", "() -> datetime", wall_resolution, 0, sizeof(struct datetime)},
};

static const char *const wall_types[] = {"datetime = record{u64, u32}", NULL};

const struct wisp_host_interface wisp_wasi_clocks_wall_clock = {
    .name = "wasi:clocks/wall-clock",
    .version = WISP_WASI_VERSION,
    .funcs = wall_funcs,
    .n_funcs = WISP_COUNT(wall_funcs),
    .types = wall_types,
};
