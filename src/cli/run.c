/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "component/plan.h"
#include "host/control.h"
#include "host/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct values {
    const char *file, *address;
    uint32_t n_workers, instances_max;
    uint64_t memory_bytes_max, timeout_ms, body_bytes_max;
    struct wisp_arg_list env, dirs, args;
    int log_level, log_format;
};

/* In the order of their enums in base/log.h. */
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"auto", "text", "logfmt", "json", NULL};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct wisp_arg_option options[] = {
    {.name = "addr",
     .kind = WISP_ARG_TEXT,
     .value = "HOST:PORT",
     FIELD(address),
     .help = "listen here; port 0 is any free one [127.0.0.1:8000]"},
    {.name = "workers",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(n_workers),
     .max = WISP_CONTROL_WORKERS_MAX,
     .is_positive = true,
     .help = "worker processes [one per core]"},
    {.name = "env",
     .kind = WISP_ARG_LIST,
     .value = "NAME[=VALUE]",
     FIELD(env),
     .help = "the component's environment; without =VALUE, the value that wisp has itself"},
    {.name = "dir",
     .kind = WISP_ARG_LIST,
     .value = "HOST::GUEST[:ro]",
     FIELD(dirs),
     .completion = WISP_COMPLETE_DIRS,
     .help = "let the component use directory HOST under the name GUEST"},
    {.name = "max-memory",
     .kind = WISP_ARG_SIZE,
     .value = "SIZE",
     FIELD(memory_bytes_max),
     .is_positive = true,
     .help = "memory of one instance [4G]"},
    {.name = "timeout",
     .kind = WISP_ARG_DURATION,
     .value = "TIME",
     FIELD(timeout_ms),
     .is_positive = true,
     .help = "of one request [30s], or of a command [none]"},
    {.name = "max-instances",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(instances_max),
     .is_positive = true,
     .help = "requests answered at the same time by one worker [1000]"},
    {.name = "max-body",
     .kind = WISP_ARG_SIZE,
     .value = "SIZE",
     FIELD(body_bytes_max),
     .is_positive = true,
     .help = "body of one request [64M]"},
    {.name = "log-level",
     .kind = WISP_ARG_CHOICE,
     .value = "LEVEL",
     FIELD(log_level),
     .choices = log_levels,
     .env = "WISP_LOG_LEVEL",
     .help = "error, warn, info or debug [info]"},
    {.name = "log-format",
     .kind = WISP_ARG_CHOICE,
     .value = "FORMAT",
     FIELD(log_format),
     .choices = log_formats,
     .env = "WISP_LOG_FORMAT",
     .help = "auto, text, logfmt or json [auto: text on a terminal, else logfmt]"},
};

static const struct wisp_arg_operand operands[] = {
    {.name = "FILE",
     .help = "a component, binary (.wasm) or text (.wat)",
     .is_required = true,
     FIELD(file),
     .completion = WISP_COMPLETE_FILES},
};

/* --- what the component may see --- */

struct surroundings {
    struct wisp_arena arena;
    struct wisp_worker_component component;
    int *dir_fds; /* one per preopen */
};

static void surroundings_deinit(struct surroundings *around)
{
    for (size_t i = 0; i < around->component.n_preopens; i++) wisp_fd_closep(&around->dir_fds[i]);
    wisp_arena_deinit(&around->arena);
}

static int parse_env(struct surroundings *around, const char *text, struct wisp_worker_env *ret_env,
                     struct wisp_err *err)
{
    struct wisp_str name = wisp_str_from(text), value;
    bool has_value = wisp_str_split(name, '=', &name, &value);
    if (!name.len)
        return wisp_err_set(err, WISP_ERR_USAGE, "flag `--env`: a variable without a name; write --env NAME=VALUE");
    ret_env->name = wisp_arena_cstr(&around->arena, name);
    ret_env->value = has_value ? value.ptr : getenv(ret_env->name);
    /* The value stays out of the message: it may be a secret. */
    if (!ret_env->value)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "flag `--env`: %s is not in wisp's own environment; set it there, or write --env %s=VALUE",
                            ret_env->name, ret_env->name);
    if (!wisp_str_is_utf8(name) || !wisp_str_is_utf8(wisp_str_from(ret_env->value)))
        return wisp_err_set(err, WISP_ERR_USAGE, "flag `--env`: variable `%s` is not UTF-8", ret_env->name);
    return 0;
}

/* HOST may have colons, GUEST may not have two in a row. */
static int parse_dir(struct surroundings *around, const char *text, struct wisp_worker_preopen *ret_dir,
                     struct wisp_err *err)
{
    const char *separator = strstr(text, "::");
    struct wisp_str guest = wisp_str_from(separator ? separator + 2 : "");
    ret_dir->read_only = wisp_str_ends_with(guest, WISP_STR(":ro"));
    if (ret_dir->read_only) guest.len -= 3;
    if (!separator || separator == text || !guest.len)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "flag `--dir`: `%s` is not HOST::GUEST or HOST::GUEST:ro; for example --dir ./data::/data",
                            text);
    if (!wisp_str_is_utf8(guest)) return wisp_err_set(err, WISP_ERR_USAGE, "flag `--dir`: GUEST is not UTF-8");
    ret_dir->host_path = wisp_arena_cstr(&around->arena, (struct wisp_str){text, (size_t)(separator - text)});
    ret_dir->guest_path = wisp_arena_cstr(&around->arena, guest);
    return 0;
}

static int open_dirs(struct surroundings *around, const struct values *values, struct wisp_err *err)
{
    if (values->dirs.count > WISP_CONTROL_DIRS_MAX)
        return wisp_err_set(err, WISP_ERR_USAGE, "flag `--dir` may be given %d times at most", WISP_CONTROL_DIRS_MAX);
    struct wisp_worker_preopen *dirs = WISP_NEW_ARRAY(&around->arena, struct wisp_worker_preopen, values->dirs.count);
    around->component.preopens = dirs;
    around->dir_fds = WISP_NEW_ARRAY(&around->arena, int, values->dirs.count);
    for (size_t i = 0; i < values->dirs.count; i++) {
        int r = parse_dir(around, values->dirs.items[i], &dirs[i], err);
        if (r < 0) return r;
        int fd = open(dirs[i].host_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return wisp_err_os(err, errno, "flag `--dir`: open directory `%s`", dirs[i].host_path);
        around->dir_fds[i] = fd;
        around->component.n_preopens++;
    }
    return 0;
}

static int surroundings_init(struct surroundings *around, const struct values *values, struct wisp_err *err)
{
    *around = (struct surroundings){0};
    struct wisp_worker_env *env = WISP_NEW_ARRAY(&around->arena, struct wisp_worker_env, values->env.count);
    for (size_t i = 0; i < values->env.count; i++) {
        int r = parse_env(around, values->env.items[i], &env[i], err);
        if (r < 0) return r;
    }
    for (size_t i = 0; i < values->args.count; i++)
        if (!wisp_str_is_utf8(wisp_str_from(values->args.items[i])))
            return wisp_err_set(err, WISP_ERR_USAGE, "argument %zu of the component is not UTF-8", i + 1);
    around->component = (struct wisp_worker_component){
        .args = values->args.items,
        .n_args = values->args.count,
        .env = env,
        .n_env = values->env.count,
        .limits = {.memory_bytes_max = values->memory_bytes_max,
                   .timeout_ms = values->timeout_ms,
                   .instances_max = values->instances_max,
                   .body_bytes_max = values->body_bytes_max},
    };
    return open_dirs(around, values, err);
}

/* --- running --- */

/* Listening everywhere is no address to go to. */
static struct wisp_str address_to_try(const char *address, struct wisp_buf *text)
{
    const char *port = strrchr(address, ':');
    bool is_anywhere = strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0;
    wisp_buf_printf(text, "http://%s%s", is_anywhere ? "localhost" : address, is_anywhere ? port : "");
    return wisp_buf_str(text);
}

static void on_serving(void *env, const char *address, uint32_t n_workers)
{
    const struct wisp_source *source = env;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_str url = address_to_try(address, &text);
    if (!isatty(STDERR_FILENO)) {
        WISP_LOG(INFO, "host", "serving", WISP_BYTES("url", url), WISP_TEXT("component", source->name),
                 WISP_INT("workers", n_workers));
        return;
    }
    const char *bold = wisp_output_style(stderr, "1"), *plain = wisp_output_style(stderr, "0");
    fprintf(stderr, "\n  %s is served at %s%.*s/%s by %u worker%s\n\n  try:   curl -i %.*s/\n  stop:  Ctrl-C\n\n",
            source->name, bold, WISP_STR_ARG(url), plain, n_workers, n_workers == 1 ? "" : "s", WISP_STR_ARG(url));
}

static int serve(const struct values *values, struct surroundings *around, struct wisp_source *source, int fd,
                 struct wisp_err *err)
{
    struct wisp_control_options control = {
        .component = around->component,
        .component_fd = fd,
        .dir_fds = around->dir_fds,
        .n_workers = values->n_workers,
        .log_level = values->log_level,
        .log_format = values->log_format,
        .on_serving = on_serving,
        .env = source,
    };
    if (wisp_listen_address_parse(wisp_str_from(values->address), &control.address, err) < 0)
        return wisp_err_wrap(err, "flag `--addr`");
    return wisp_control_run(&control, err);
}

static int run_command(struct surroundings *around, int fd, struct wisp_err *err)
{
    around->component.path = wisp_arena_printf(&around->arena, "/proc/self/fd/%d", fd);
    int exit_code;
    int r = wisp_worker_command_run(&around->component, NULL, &exit_code, err);
    return r < 0 ? r : exit_code;
}

/* Looks at the component only to know what it is for; the bytes go on in a memory file. */
static int find_world(const struct wisp_source *source, enum wisp_source_world *ret_world, struct wisp_err *err)
{
    WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
    int r = wisp_component_new(&component, wisp_buf_str(&source->binary), NULL, err);
    if (r < 0) return wisp_err_wrap(err, "component `%s`", source->name);
    *ret_world = wisp_source_world(component);
    if (*ret_world != WISP_SOURCE_OTHER) return 0;
    wisp_source_refuse_world(component, err);
    return wisp_err_wrap(err, "component `%s`", source->name);
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_SOURCE struct wisp_source source = {0};
    WISP_CLEANUP_FD int fd = -1;
    __attribute__((cleanup(surroundings_deinit))) struct surroundings around = {0};
    enum wisp_source_world world = WISP_SOURCE_OTHER;
    wisp_log_configure(values->log_level, values->log_format);
    int r = surroundings_init(&around, values, err);
    if (r == 0) r = wisp_source_read(&source, values->file, err);
    if (r == 0) r = find_world(&source, &world, err);
    if (r == 0) r = wisp_source_to_memory_file(&source, &fd, err);
    if (r < 0) return r;
    wisp_buf_deinit(&source.binary);
    around.component.name = source.name;
    return world == WISP_SOURCE_HTTP ? serve(values, &around, &source, fd, err) : run_command(&around, fd, err);
}

static const struct values defaults = {.address = "127.0.0.1:8000", .log_level = WISP_LOG_INFO};

const struct wisp_verb wisp_verb_run = {
    .name = "run",
    .summary = "serve a component over HTTP, or run it as a command",
    .text = "A component that exports wasi:http/incoming-handler is served: every request gets an instance as new,\n"
            "worker processes that are replaced when they die, until SIGINT or SIGTERM; then requests in flight\n"
            "are finished (a second signal ends at once).\n"
            "\n"
            "A component that exports wasi:cli/run is run, with ARGS and with wisp's standard input, output and\n"
            "error, and wisp ends with its exit code.\n"
            "\n"
            "The component sees nothing of the machine but what the flags give it. Values of --env are visible\n"
            "in the list of processes like any argument of wisp; give secrets as --env NAME.",
    .example = "wisp run hello.wasm --addr 127.0.0.1:8080\n"
               "wisp run --env TOKEN --dir ./data::/data:ro --timeout 5s api.wasm\n"
               "wisp run --dir .::/work tool.wasm -- --verbose /work/input.txt",
    .options = options,
    .n_options = WISP_COUNT(options),
    .operands = operands,
    .n_operands = WISP_COUNT(operands),
    .rest = "ARGS",
    .rest_offset = offsetof(struct values, args),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run,
};
