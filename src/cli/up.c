/* SPDX-License-Identifier: Apache-2.0 */
/* `wisp up` for people, `wisp host` for service managers: the same host, started differently. */
#include "cli/host_options.h"
#include "cli/output.h"
#include "cli/verbs.h"

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
};

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

/* --- in the background --- */

/* What the child says to the waiting parent, as it is in memory: they are the same program. */
struct report {
    bool is_ready;
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

static void on_ready_detached(const struct wisp_agent_ready *ready, void *env)
{
    int *fd = env;
    struct report report = {.is_ready = true, .pid = getpid()};
    copy_text(report.host_id, sizeof report.host_id, ready->host_id);
    copy_text(report.bus_url, sizeof report.bus_url, ready->bus_url);
    copy_text(report.log_path, sizeof report.log_path, ready->log_path);
    send_report(*fd, &report);
    wisp_fd_closep(fd);
    *fd = -1;
}

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

static int print_report(const struct report *report, int output)
{
    const char *address = strstr(report->bus_url, "://");
    address = address ? address + 3 : report->bus_url;
    if (output == WISP_OUTPUT_JSON) {
        wisp_output_json_take(json_pack("{s:b,s:s,s:s,s:s,s:s,s:I}", "success", 1, "wasmcloud_log", report->log_path,
                                        "kill_cmd", "wisp down", "nats_url", address, "host_id", report->host_id,
                                        "pid", (json_int_t)report->pid));
        return 0;
    }
    printf("host %s is up\n  bus   %s\n  log   %s\n  stop  wisp down\n", report->host_id, report->bus_url,
           report->log_path);
    return 0;
}

static int run_detached(struct wisp_agent_options *options, int output, struct wisp_err *err)
{
    int ends[2];
    struct report report;
    _Static_assert(sizeof report <= 4096, "a pipe takes it in one piece");
    if (pipe2(ends, O_CLOEXEC) < 0) return wisp_err_os(err, errno, "make a pipe");
    pid_t pid = fork();
    if (pid < 0) return wisp_err_os(err, errno, "fork");
    if (pid == 0) {
        close(ends[0]);
        run_child(options, ends[1]);
    }
    close(ends[1]);
    ssize_t n;
    do n = read(ends[0], &report, sizeof report);
    while (n < 0 && errno == EINTR);
    close(ends[0]);
    if (n != (ssize_t)sizeof report) {
        int status = 0;
        waitpid(pid, &status, 0);
        return wisp_err_set(err, WISP_ERR_INTERNAL, "the host ended before it was up (status %d)", status);
    }
    if (report.is_ready) return print_report(&report, output);
    *err = report.err;
    return -(int)err->kind;
}

/* --- both --- */

static int run_up(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_agent_options options;
    int r = wisp_host_options_resolve(&values->host, &arena, &options, err);
    if (r < 0) return r;
    return values->is_detached ? run_detached(&options, values->output, err) : run_here(&values->host, &options, err);
}

static const struct values up_defaults = {.host = {WISP_HOST_DEFAULTS, .allow_file_load = true}};

const struct wisp_verb wisp_verb_up = {
    .name = "up",
    .summary = "start a host, and the bus if there is none",
    .text = "The host joins its lattice and waits to be told what to run. Without --nats it brings a bus of its own, at\n"
            "--nats-host and --nats-port, for processes of this user on this machine; a second `wisp up` joins the\n"
            "first. What it was told to run is started again after a restart.",
    .example = "wisp up\n"
               "wisp up -d && wisp start component file://$PWD/hello.wasm hello\n"
               "wisp up --nats nats://nats.example:4222 --nats-creds host.creds --lattice prod",
    .options = up_options,
    .n_options = WISP_COUNT(up_options),
    .shared = &wisp_host_options,
    .defaults = &up_defaults,
    .values_size = sizeof(struct values),
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
