/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int open_preopens(struct wisp_surroundings *surroundings, const struct wisp_worker_component *what,
                         struct wisp_err *err)
{
    struct wisp_wasi_preopen *preopens =
        WISP_NEW_ARRAY(&surroundings->arena, struct wisp_wasi_preopen, what->n_preopens);
    surroundings->config.preopens = preopens;
    for (size_t i = 0; i < what->n_preopens; i++) {
        int fd = open(what->preopens[i].host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return wisp_err_os(err, errno, "open directory `%s`", what->preopens[i].host_path);
        preopens[i] = (struct wisp_wasi_preopen){
            .fd = fd,
            .guest_path = wisp_str_from(what->preopens[i].guest_path),
            .read_only = what->preopens[i].read_only,
        };
        surroundings->config.n_preopens++;
    }
    return 0;
}

int wisp_surroundings_init(struct wisp_surroundings *surroundings, const struct wisp_worker_component *what,
                           struct wisp_err *err)
{
    *surroundings = (struct wisp_surroundings){0};
    struct wisp_str *args = WISP_NEW_ARRAY(&surroundings->arena, struct wisp_str, what->n_args + 1);
    args[0] = wisp_str_from(what->name);
    for (size_t i = 0; i < what->n_args; i++) args[i + 1] = wisp_str_from(what->args[i]);
    struct wisp_wasi_env *env = WISP_NEW_ARRAY(&surroundings->arena, struct wisp_wasi_env, what->n_env);
    for (size_t i = 0; i < what->n_env; i++)
        env[i] = (struct wisp_wasi_env){wisp_str_from(what->env[i].name), wisp_str_from(what->env[i].value)};
    surroundings->config = (struct wisp_wasi_config){
        .args = args,
        .n_args = what->n_args + 1,
        .env = env,
        .n_env = what->n_env,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
    };
    int r = open_preopens(surroundings, what, err);
    return r < 0 ? r : wisp_wasi_config_check(&surroundings->config, err);
}

void wisp_surroundings_deinit(struct wisp_surroundings *surroundings)
{
    for (size_t i = 0; i < surroundings->config.n_preopens; i++) close(surroundings->config.preopens[i].fd);
    wisp_arena_deinit(&surroundings->arena);
    *surroundings = (struct wisp_surroundings){0};
}
