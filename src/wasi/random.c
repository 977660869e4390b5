/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:random. The insecure variants come from the same source: the kernel's is fast enough, and nobody has to reason
 * about a second one. */
#include "wasi/wasi_priv.h"

#include <errno.h>
#include <sys/random.h>

/* Beyond this the guest is asked to do it in pieces: one call can't be preempted. */
enum { BYTES_MAX = 16 << 20 };

static int fill(struct wisp_call *call, void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = getrandom((char *)buffer + done, size - done, 0);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return wisp_call_trap(call, "the host has no randomness: %s", strerror(errno));
    }
    return 0;
}

static int get_bytes(struct wisp_call *call, const void *args, void *result)
{
    uint64_t size = *(const uint64_t *)args;
    if (size > BYTES_MAX)
        return wisp_call_trap(call, "%llu random bytes at once, where %d are allowed", (unsigned long long)size,
                              BYTES_MAX);
    uint8_t *bytes = wisp_arena_alloc(call->arena, (size_t)size);
    *(struct wisp_bytes *)result = (struct wisp_bytes){bytes, (size_t)size};
    return fill(call, bytes, (size_t)size);
}

static int get_u64(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    return fill(call, result, sizeof(uint64_t));
}

struct seed {
    uint64_t first, second;
};

static int get_seed(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    return fill(call, result, sizeof(struct seed));
}

static const struct wisp_host_func secure_funcs[] = {
    {"get-random-bytes", "(u64) -> list<u8>", get_bytes, WISP_HOST_SIZES(uint64_t, struct wisp_bytes)},
    {"get-random-u64", "() -> u64", get_u64, 0, sizeof(uint64_t)},
};

static const struct wisp_host_func insecure_funcs[] = {
    {"get-insecure-random-bytes", "(u64) -> list<u8>", get_bytes, WISP_HOST_SIZES(uint64_t, struct wisp_bytes)},
    {"get-insecure-random-u64", "() -> u64", get_u64, 0, sizeof(uint64_t)},
};

static const struct wisp_host_func seed_funcs[] = {
    {"insecure-seed", "() -> tuple<u64, u64>", get_seed, 0, sizeof(struct seed)},
};

const struct wisp_host_interface wisp_wasi_random = {
    .name = "wasi:random/random",
    .version = WISP_WASI_VERSION,
    .funcs = secure_funcs,
    .n_funcs = WISP_COUNT(secure_funcs),
};
const struct wisp_host_interface wisp_wasi_random_insecure = {
    .name = "wasi:random/insecure",
    .version = WISP_WASI_VERSION,
    .funcs = insecure_funcs,
    .n_funcs = WISP_COUNT(insecure_funcs),
};
const struct wisp_host_interface wisp_wasi_random_insecure_seed = {
    .name = "wasi:random/insecure-seed",
    .version = WISP_WASI_VERSION,
    .funcs = seed_funcs,
    .n_funcs = WISP_COUNT(seed_funcs),
};
