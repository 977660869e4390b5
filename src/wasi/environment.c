/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:cli/environment and exit. */
#include "wasi/wasi_priv.h"

static const struct wisp_wasi_config *config_of(const struct wisp_call *call)
{
    return ((const struct wisp_wasi *)call->context)->config;
}

/* --- environment: the configuration has the layout of the answers --- */

struct variables_result {
    const struct wisp_wasi_env *ptr;
    size_t len;
};
struct arguments_result {
    const struct wisp_str *ptr;
    size_t len;
};
struct cwd_result {
    uint32_t is_some;
    struct wisp_str path;
};

static int get_environment(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    *(struct variables_result *)result = (struct variables_result){config_of(call)->env, config_of(call)->n_env};
    return 0;
}

static int get_arguments(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    *(struct arguments_result *)result = (struct arguments_result){config_of(call)->args, config_of(call)->n_args};
    return 0;
}

/* None: a guest starts at the root of its preopens. */
static int initial_cwd(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    *(struct cwd_result *)result = (struct cwd_result){0};
    return 0;
}

static const struct wisp_host_func environment_funcs[] = {
    {"get-environment", "() -> list<tuple<string, string>>", get_environment, 0, sizeof(struct variables_result)},
    {"get-arguments", "() -> list<string>", get_arguments, 0, sizeof(struct arguments_result)},
    {"initial-cwd", "() -> option<string>", initial_cwd, 0, sizeof(struct cwd_result)},
};

const struct wisp_host_interface wisp_wasi_cli_environment = {
    .name = "wasi:cli/environment",
    .version = WISP_WASI_VERSION,
    .funcs = environment_funcs,
    .n_funcs = WISP_COUNT(environment_funcs),
};

/* --- exit: a trap is the way out of the guest; the owner of the invocation sees has_exited --- */

static int leave(struct wisp_call *call, uint8_t code)
{
    struct wisp_wasi *wasi = call->context;
    wasi->has_exited = true;
    wasi->exit_code = code;
    return wisp_call_trap(call, "the guest exited with code %u", code);
}

static int exit_with_result(struct wisp_call *call, const void *args, void *result)
{
    (void)result;
    return leave(call, *(const uint32_t *)args != 0);
}

static int exit_with_code(struct wisp_call *call, const void *args, void *result)
{
    (void)result;
    return leave(call, *(const uint8_t *)args);
}

static const struct wisp_host_func exit_funcs[] = {
    {"exit", "(result)", exit_with_result, sizeof(uint32_t), 0},
    {"exit-with-code", "(u8)", exit_with_code, sizeof(uint8_t), 0},
};

const struct wisp_host_interface wisp_wasi_cli_exit = {
    .name = "wasi:cli/exit",
    .version = WISP_WASI_VERSION,
    .funcs = exit_funcs,
    .n_funcs = WISP_COUNT(exit_funcs),
};
