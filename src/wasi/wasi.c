/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/app.h"
#include "wasi/http.h"
#include "wasi/wasi_priv.h"

#include <stdlib.h>

void wisp_wasi_init(struct wisp_wasi *wasi, const struct wisp_wasi_config *config, uv_loop_t *loop)
{
    *wasi = (struct wisp_wasi){.config = config, .loop = loop};
}

void wisp_wasi_deinit(struct wisp_wasi *wasi)
{
    wisp_wasi_timer_close(wasi);
    wisp_line_output_finish(wasi);
    free(wasi->chosen_links);
    wisp_wasi_app_unref(wasi->app);
}

/* --- checking a configuration --- */

static bool is_text(struct wisp_str s) { return wisp_str_is_utf8(s) && !(s.len && memchr(s.ptr, '\0', s.len)); }

static int check_env(const struct wisp_wasi_env *env, struct wisp_err *err)
{
    if (!env->name.len || !is_text(env->name) || memchr(env->name.ptr, '=', env->name.len))
        return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` is no name for an environment variable",
                            WISP_STR_ARG(env->name));
    if (!is_text(env->value))
        return wisp_err_set(err, WISP_ERR_INVALID, "the value of the environment variable `%.*s` is not UTF-8 text",
                            WISP_STR_ARG(env->name));
    return 0;
}

int wisp_wasi_config_check(const struct wisp_wasi_config *config, struct wisp_err *err)
{
    for (size_t i = 0; i < config->n_args; i++)
        if (!is_text(config->args[i]))
            return wisp_err_set(err, WISP_ERR_INVALID, "argument %zu of the guest is not UTF-8 text", i);
    for (size_t i = 0; i < config->n_env; i++) {
        int r = check_env(&config->env[i], err);
        if (r < 0) return r;
    }
    for (size_t i = 0; i < config->n_preopens; i++)
        if (!config->preopens[i].guest_path.len || !is_text(config->preopens[i].guest_path))
            return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` is no path for a directory of the guest",
                                WISP_STR_ARG(config->preopens[i].guest_path));
    return 0;
}

/* --- all interfaces --- */

const struct wisp_host_interface *const wisp_wasi_interfaces[] = {
    &wisp_wasi_io_error,
    &wisp_wasi_io_poll,
    &wisp_wasi_io_streams,
    &wisp_wasi_clocks_monotonic_clock,
    &wisp_wasi_clocks_wall_clock,
    &wisp_wasi_random,
    &wisp_wasi_random_insecure,
    &wisp_wasi_random_insecure_seed,
    &wisp_wasi_cli_environment,
    &wisp_wasi_cli_exit,
    &wisp_wasi_cli_stdin,
    &wisp_wasi_cli_stdout,
    &wisp_wasi_cli_stderr,
    &wisp_wasi_cli_terminal_input,
    &wisp_wasi_cli_terminal_output,
    &wisp_wasi_cli_terminal_stdin,
    &wisp_wasi_cli_terminal_stdout,
    &wisp_wasi_cli_terminal_stderr,
    &wisp_wasi_filesystem_types,
    &wisp_wasi_filesystem_preopens,
    &wisp_wasi_sockets_network,
    &wisp_wasi_sockets_instance_network,
    &wisp_wasi_sockets_ip_name_lookup,
    &wisp_wasi_sockets_tcp,
    &wisp_wasi_sockets_tcp_create_socket,
    &wisp_wasi_sockets_udp,
    &wisp_wasi_sockets_udp_create_socket,
    &wisp_wasi_http_types,
    &wisp_wasi_config_store,
    &wisp_wasi_config_runtime,
    &wisp_wasi_logging,
    &wisp_wasmcloud_bus_lattice_1,
    &wisp_wasmcloud_bus_lattice_2,
    &wisp_wasmcloud_secrets_store,
    &wisp_wasmcloud_secrets_reveal,
};
const size_t wisp_wasi_n_interfaces = WISP_COUNT(wisp_wasi_interfaces);
