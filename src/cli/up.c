/* SPDX-License-Identifier: Apache-2.0 */
/* `wisp up` for people, `wisp host` for service managers: the same host, started differently. */
#include "cli/app.h"
#include "cli/host_options.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "host/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct values {
    struct wisp_host_values host;
    bool is_detached;
    int output;
    const char *manifest;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct wisp_arg_option up_options[] = {
    {.name = "detached",
     .aliases = "detach",
     .letter = 'd',
     .kind = WISP_ARG_FLAG,
     FIELD(is_detached),
     .help = "return when the host is up; it runs on in the background"},
    {.name = "output",
     .letter = 'o',
     .kind = WISP_ARG_CHOICE,
     .value = "FORMAT",
     FIELD(output),
     .choices = wisp_output_formats,
     .help = "text or json [text]"},
    {.name = "wadm-manifest",
     .kind = WISP_ARG_TEXT,
     .value = "FILE",
     FIELD(manifest),
     .env = "WADM_MANIFEST",
     .completion = WISP_COMPLETE_FILES,
     .help = "the same as FILE"},
};

/* What a host says to a process of the same program that waits for it, as it is in memory. */
struct report {
    bool is_ready, serves_bus;
    pid_t pid;
    struct wisp_err err;
    char host_id[64], bus_url[256], log_path[512];
};

static void copy_text(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from); }

static void send_report(int fd, const struct report *report)
{
    ssize_t n;
    do n = write(fd, report, sizeof *report); /* below PIPE_BUF: in one piece */
    while (n < 0 && errno == EINTR);
}

static void send_ready(int *fd, const struct wisp_agent_ready *ready)
{
    struct report report = {.is_ready = true, .serves_bus = ready->serves_bus, .pid = getpid()};
    copy_text(report.host_id, sizeof report.host_id, ready->host_id);
    copy_text(report.bus_url, sizeof report.bus_url, ready->bus_url);
    copy_text(report.log_path, sizeof report.log_path, ready->log_path ? ready->log_path : "");
    send_report(*fd, &report);
    wisp_fd_closep(fd);
    *fd = -1;
}

static bool receive_report(int fd, struct report *ret_report)
{
    _Static_assert(sizeof *ret_report <= 4096, "a pipe takes it in one piece");
    ssize_t n;
    do n = read(fd, ret_report, sizeof *ret_report);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *ret_report;
}

/* --- the application --- */

/* As a client of the host that has just come up. */
static int deploy(const struct wisp_apps_source *source, const struct wisp_agent_options *options,
                  const struct report *report, bool is_quiet, struct wisp_err *err)
{
    const struct wisp_agent_connection *ctl = &options->ctl;
    struct wisp_paths paths;
    char local[sizeof paths.socket + 8];
    struct wisp_connection connection = {.host = report->bus_url,
                                         .lattice = options->lattice.lattice,
                                         .topic_prefix = options->lattice.ctl_prefix,
                                         .jwt = ctl->jwt,
                                         .seed = ctl->seed,
                                         .creds_path = ctl->creds_path,
                                         .token = options->bus_token,
                                         .tls_ca_path = ctl->tls_ca_path,
                                         .tls_cert_path = ctl->tls_cert_path,
                                         .tls_key_path = ctl->tls_key_path,
                                         .tls_first = ctl->is_tls_first};
    int r = report->serves_bus ? wisp_paths_init(&paths, options->state_dir, options->lattice.lattice, err) : 0;
    if (r < 0) return r;
    if (report->serves_bus) {
        snprintf(local, sizeof local, "unix:%s", paths.socket);
        connection.host = local;
    }
    r = wisp_apps_deploy(&connection, source, is_quiet, err);
    return r < 0 ? wisp_err_wrap(err, "the host is up, but its application is not") : 0;
}

static int read_manifest(struct wisp_apps_source *source, const char *file, struct wisp_err *err)
{
    int r = file ? wisp_apps_source_read(source, file, NULL, false, err) : 0;
    if (r < 0 || !file || source->file) return r;
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no manifest `%s`", file);
}

/* --- in front of people --- */

static void print_banner(const struct wisp_agent_ready *ready, void *env)
{
    const struct wisp_host_values *host = env;
    if (!isatty(STDERR_FILENO)) return;
    const char *bold = wisp_output_style(stderr, "1"), *plain = wisp_output_style(stderr, "0");
    fprintf(stderr,
            "\n  %s%s%s is up in lattice %s\n  %s\n\n  bus:   %s%s\n  try:   wisp get hosts\n"
            "         wisp start component file://$PWD/hello.wasm hello\n  stop:  Ctrl-C\n\n",
            bold, ready->friendly_name, plain, host->lattice, ready->host_id, ready->bus_url,
            ready->serves_bus ? " (embedded)" : "");
}

static int run_here(const struct wisp_host_values *host, struct wisp_agent_options *options, struct wisp_err *err)
{
    struct wisp_host_values copy = *host;
    wisp_log_configure(options->log_level, options->log_format);
    options->on_ready = print_banner;
    options->env = &copy;
    return wisp_agent_run(options, err);
}

struct foreground {
    struct wisp_host_values host;
    int fd;
};

static void on_ready_here(const struct wisp_agent_ready *ready, void *env)
{
    struct foreground *foreground = env;
    print_banner(ready, &foreground->host);
    send_ready(&foreground->fd, ready);
}

/* Nobody's child, so that the host has no other children than its own. */
static void deploy_when_ready(const struct wisp_apps_source *source, const struct wisp_agent_options *options, int fd)
    __attribute__((noreturn));
static void deploy_when_ready(const struct wisp_apps_source *source, const struct wisp_agent_options *options, int fd)
{
    struct report report;
    struct wisp_err err = {0};
    if (fork() != 0) _exit(0);
    if (!receive_report(fd, &report)) _exit(0); /* it says itself why */
    int r = deploy(source, options, &report, false, &err);
    if (r < 0 && r != -WISP_ERR_CANCELLED) wisp_output_error(&err);
    fflush(stdout);
    _exit(0);
}

static int run_here_with(const struct wisp_apps_source *source, const struct wisp_host_values *host,
                         struct wisp_agent_options *options, struct wisp_err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return wisp_err_os(err, errno, "make a pipe");
    pid_t pid = fork();
    if (pid < 0) return wisp_err_os(err, errno, "fork");
    if (pid == 0) {
        close(ends[1]);
        deploy_when_ready(source, options, ends[0]);
    }
    close(ends[0]);
    waitpid(pid, NULL, 0);
    struct foreground foreground = {.host = *host, .fd = ends[1]};
    wisp_log_configure(options->log_level, options->log_format);
    options->on_ready = on_ready_here;
    options->env = &foreground;
    return wisp_agent_run(options, err);
}

/* --- in the background --- */

static void on_ready_detached(const struct wisp_agent_ready *ready, void *env) { send_ready(env, ready); }

static void run_child(struct wisp_agent_options *options, int fd) __attribute__((noreturn));
static void run_child(struct wisp_agent_options *options, int fd)
{
    struct report report = {0};
    int null_fd = open("/dev/null", O_RDWR);
    setsid();
    if (null_fd >= 0) dup2(null_fd, STDIN_FILENO);
    if (null_fd > STDERR_FILENO) close(null_fd);
    wisp_log_configure(options->log_level, options->log_format);
    options->is_detached = true;
    options->on_ready = on_ready_detached;
    options->env = &fd;
    int r = wisp_agent_run(options, &report.err);
    if (r == 0) _exit(0);
    if (fd >= 0)
        send_report(fd, &report);
    else
        wisp_output_error(&report.err); /* to the log file */
    _exit(wisp_err_exit_code(report.err.kind));
}

/* `source`: what it runs besides; without a file nothing. */
static void print_report(const struct report *report, const struct wisp_apps_source *source, int output)
{
    const char *address = strstr(report->bus_url, "://");
    address = address ? address + 3 : report->bus_url;
    if (output == WISP_OUTPUT_JSON) {
        json_t *json =
            json_pack("{s:b,s:s,s:s,s:s,s:s,s:I}", "success", 1, "wasmcloud_log", report->log_path, "kill_cmd",
                      "wisp down", "nats_url", address, "host_id", report->host_id, "pid", (json_int_t)report->pid);
        if (source->file) json_object_set_new(json, "model_name", json_string(source->name));
        wisp_output_json_take(json);
        return;
    }
    printf("host %s is up\n  bus   %s\n  log   %s\n  stop  wisp down\n", report->host_id, report->bus_url,
           report->log_path);
}

/* The host in a process of its own; until it is up, or why it isn't. */
static int start_detached(struct wisp_agent_options *options, struct report *ret_report, struct wisp_err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return wisp_err_os(err, errno, "make a pipe");
    pid_t pid = fork();
    if (pid < 0) return wisp_err_os(err, errno, "fork");
    if (pid == 0) {
        close(ends[0]);
        run_child(options, ends[1]);
    }
    close(ends[1]);
    bool is_told = receive_report(ends[0], ret_report);
    close(ends[0]);
    if (!is_told) {
        int status = 0;
        waitpid(pid, &status, 0);
        return wisp_err_set(err, WISP_ERR_INTERNAL, "the host ended before it was up (status %d)", status);
    }
    if (ret_report->is_ready) return 0;
    *err = ret_report->err;
    return -(int)err->kind;
}

static int run_detached(const struct wisp_apps_source *source, struct wisp_agent_options *options, int output,
                        struct wisp_err *err)
{
    struct report report;
    bool is_json = output == WISP_OUTPUT_JSON;
    int r = start_detached(options, &report, err);
    if (r < 0) return r;
    if (!is_json) print_report(&report, source, output);
    fflush(stdout);
    if (source->file) r = deploy(source, options, &report, is_json, err);
    if (r == 0 && is_json) print_report(&report, source, output);
    return r;
}

/* --- both --- */

static int run_up(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_APPS_SOURCE struct wisp_apps_source source = {0};
    struct wisp_agent_options options;
    int r = wisp_host_options_resolve(&values->host, &arena, &options, err);
    if (r == 0) r = read_manifest(&source, values->manifest, err);
    if (r < 0) return r;
    if (values->is_detached) return run_detached(&source, &options, values->output, err);
    return source.file ? run_here_with(&source, &values->host, &options, err) : run_here(&values->host, &options, err);
}

static const struct wisp_arg_operand up_operands[] = {
    {.name = "FILE",
     .help = "manifest of an application that it is to run: a file, a URL, or - for standard input",
     FIELD(manifest),
     .completion = WISP_COMPLETE_FILES},
};
static const struct values up_defaults = {.host = {WISP_HOST_DEFAULTS, .allow_file_load = 1}};

const struct wisp_verb wisp_verb_up = {
    .name = "up",
    .summary = "start a host, and the bus if there is none",
    .text =
        "The host joins its lattice and waits to be told what to run. Without --nats it brings a bus of its own, at\n"
        "--nats-host and --nats-port, for processes of this user on this machine; a second `wisp up` joins the\n"
        "first. What it was told to run is started again after a restart.\n\n"
        "With a manifest, its application is deployed when the host is up; `wisp app status` tells how it stands.",
    .example = "wisp up\n"
               "wisp up -d shop.yaml\n"
               "wisp up --nats nats://nats.example:4222 --nats-creds host.creds --lattice prod",
    WISP_VERB_TABLES(up_options, up_operands, up_defaults),
    .shared = &wisp_host_options,
    .run = run_up,
};

static int run_host(const void *values, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_agent_options options;
    int r = wisp_host_options_resolve(values, &arena, &options, err);
    return r < 0 ? r : run_here(values, &options, err);
}

static const struct wisp_host_values host_defaults = {WISP_HOST_DEFAULTS};

const struct wisp_verb wisp_verb_host = {
    .name = "host",
    .summary = "a host for service managers",
    .text = "The same as `wisp up` in the foreground, and tells systemd when it is ready and when it stops.\n"
            "deploy/systemd/wisp.service is a unit for it. References file:// need --allow-file-load.",
    .example = "wisp host --lattice prod --nats nats://nats.example:4222 --http-admin 127.0.0.1:9090",
    .shared = &wisp_host_options,
    .defaults = &host_defaults,
    .values_size = sizeof(struct wisp_host_values),
    .run = run_host,
};
