/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:cli/stdin, stdout, stderr and terminal-*. */
#include "wasi/wasi_priv.h"

#include <unistd.h>

static struct wisp_wasi *wasi_of(const struct wisp_call *call) { return call->context; }

static struct wisp_output_stream *open_output(struct wisp_wasi *wasi, bool is_stderr)
{
    if (wasi->config->on_output) return wisp_line_output_new(wasi, is_stderr);
    return wisp_fd_output_new(wasi, is_stderr ? wasi->config->stderr_fd : wasi->config->stdout_fd);
}

static int get_stdin(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    *(struct wisp_input_stream **)result = wisp_fd_input_new(wasi_of(call), wasi_of(call)->config->stdin_fd);
    return 0;
}

static int get_stdout(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    *(struct wisp_output_stream **)result = open_output(wasi_of(call), false);
    return 0;
}

static int get_stderr(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    *(struct wisp_output_stream **)result = open_output(wasi_of(call), true);
    return 0;
}

/* --- terminals: resources without functions, of which only the presence says something --- */

struct terminal_result {
    uint32_t is_some;
    void *terminal;
};

static int answer_terminal(struct wisp_call *call, int fd, bool is_logged, struct terminal_result *result)
{
    bool is_terminal = fd >= 0 && !is_logged && isatty(fd);
    *result = (struct terminal_result){is_terminal, is_terminal ? call->context : NULL};
    return 0;
}

static int get_terminal_stdin(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    return answer_terminal(call, wasi_of(call)->config->stdin_fd, false, result);
}

static int get_terminal_stdout(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    const struct wisp_wasi_config *config = wasi_of(call)->config;
    return answer_terminal(call, config->stdout_fd, config->on_output != NULL, result);
}

static int get_terminal_stderr(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    const struct wisp_wasi_config *config = wasi_of(call)->config;
    return answer_terminal(call, config->stderr_fd, config->on_output != NULL, result);
}

/* --- the interfaces --- */

static const struct wisp_host_func stdin_funcs[] = {
    {"get-stdin", "() -> own<input-stream>", get_stdin, 0, sizeof(void *)}};
static const struct wisp_host_func stdout_funcs[] = {
    {"get-stdout", "() -> own<output-stream>", get_stdout, 0, sizeof(void *)}};
static const struct wisp_host_func stderr_funcs[] = {
    {"get-stderr", "() -> own<output-stream>", get_stderr, 0, sizeof(void *)}};

const struct wisp_host_interface wisp_wasi_cli_stdin = {
    .name = "wasi:cli/stdin", .version = WISP_WASI_VERSION, .funcs = stdin_funcs, .n_funcs = 1};
const struct wisp_host_interface wisp_wasi_cli_stdout = {
    .name = "wasi:cli/stdout", .version = WISP_WASI_VERSION, .funcs = stdout_funcs, .n_funcs = 1};
const struct wisp_host_interface wisp_wasi_cli_stderr = {
    .name = "wasi:cli/stderr", .version = WISP_WASI_VERSION, .funcs = stderr_funcs, .n_funcs = 1};

static const struct wisp_host_resource input_resources[] = {{.name = "terminal-input"}};
static const struct wisp_host_resource output_resources[] = {{.name = "terminal-output"}};

const struct wisp_host_interface wisp_wasi_cli_terminal_input = {
    .name = "wasi:cli/terminal-input", .version = WISP_WASI_VERSION, .resources = input_resources, .n_resources = 1};
const struct wisp_host_interface wisp_wasi_cli_terminal_output = {
    .name = "wasi:cli/terminal-output", .version = WISP_WASI_VERSION, .resources = output_resources, .n_resources = 1};

static const struct wisp_host_func terminal_stdin_funcs[] = {
    {"get-terminal-stdin", "() -> option<own<terminal-input>>", get_terminal_stdin, 0, sizeof(struct terminal_result)}};
static const struct wisp_host_func terminal_stdout_funcs[] = {{"get-terminal-stdout",
                                                               "() -> option<own<terminal-output>>",
                                                               get_terminal_stdout, 0, sizeof(struct terminal_result)}};
static const struct wisp_host_func terminal_stderr_funcs[] = {{"get-terminal-stderr",
                                                               "() -> option<own<terminal-output>>",
                                                               get_terminal_stderr, 0, sizeof(struct terminal_result)}};

const struct wisp_host_interface wisp_wasi_cli_terminal_stdin = {
    .name = "wasi:cli/terminal-stdin", .version = WISP_WASI_VERSION, .funcs = terminal_stdin_funcs, .n_funcs = 1};
const struct wisp_host_interface wisp_wasi_cli_terminal_stdout = {
    .name = "wasi:cli/terminal-stdout", .version = WISP_WASI_VERSION, .funcs = terminal_stdout_funcs, .n_funcs = 1};
const struct wisp_host_interface wisp_wasi_cli_terminal_stderr = {
    .name = "wasi:cli/terminal-stderr", .version = WISP_WASI_VERSION, .funcs = terminal_stderr_funcs, .n_funcs = 1};
