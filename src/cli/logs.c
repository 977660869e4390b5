/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/connection.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "host/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct values {
    struct wisp_connection connection;
    uint32_t n_lines, number;
    const char *state;
    bool is_following;
};

#define FIELD(name) .offset = offsetof(struct values, name)
enum { POLL_MS = 200, BLOCK_SIZE = 64 << 10 };

static volatile sig_atomic_t is_interrupted;
static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

/* Host `number` of this machine; the first one that runs, else the first one, when it is 0. */
static void select_host(struct wisp_paths *paths, uint32_t number)
{
    for (uint32_t i = 0; !number && i < WISP_PATHS_HOSTS_MAX; i++)
        if (wisp_paths_running_pid(paths, i)) number = i + 1;
    wisp_paths_select_host(paths, number ? number - 1 : 0);
}

static int open_log(const char *path, const char *lattice, int *ret_fd, struct wisp_err *err)
{
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*ret_fd >= 0) return 0;
    if (errno != ENOENT) return wisp_err_os(err, errno, "open `%s`", path);
    return wisp_err_set(err, WISP_ERR_NOT_FOUND,
                        "no detached host of lattice `%s` has logged on this machine (%s is not there); "
                        "`wisp up -d` starts one",
                        lattice, path);
}

/* Where the last n lines begin. */
static off_t find_last_lines(int fd, uint32_t n_lines)
{
    static char block[BLOCK_SIZE];
    off_t end = lseek(fd, 0, SEEK_END), at = end;
    uint64_t n = 0;
    while (at > 0) {
        size_t size = at < BLOCK_SIZE ? (size_t)at : BLOCK_SIZE;
        ssize_t got = pread(fd, block, size, at - (off_t)size);
        if (got != (ssize_t)size) return 0;
        for (size_t i = size; i-- > 0;) {
            off_t here = at - (off_t)size + (off_t)i;
            if (block[i] == '\n' && here + 1 != end && ++n == n_lines) return here + 1;
        }
        at -= (off_t)size;
    }
    return 0;
}

/* What there is from the descriptor's position on. */
static int copy(int fd, struct wisp_err *err)
{
    static char block[BLOCK_SIZE];
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "read the log");
        if (n == 0) return 0;
        if (fwrite(block, 1, (size_t)n, stdout) != (size_t)n) return 0; /* main says so */
    }
}

/* A full log is renamed and a new one begun: the rest of the old one first. */
static int follow(int *fd, const char *path, struct wisp_err *err)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int r = 0;
    while (r == 0 && !is_interrupted && fflush(stdout) == 0) {
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
        struct stat ours, named;
        bool is_renamed = fstat(*fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino != named.st_ino;
        r = copy(*fd, err);
        int fresh = r == 0 && is_renamed ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
        if (fresh < 0) continue;
        close(*fd);
        *fd = fresh;
    }
    return r;
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_connection_settings settings;
    struct wisp_paths paths;
    int r = wisp_connection_resolve(&values->connection, &arena, &settings, err);
    if (r == 0) r = wisp_paths_init(&paths, values->state, settings.lattice, err);
    if (r < 0) return r;
    select_host(&paths, values->number);
    WISP_CLEANUP_FD int fd = -1;
    if ((r = open_log(paths.log, settings.lattice, &fd, err)) < 0) return r;
    lseek(fd, values->n_lines ? find_last_lines(fd, values->n_lines) : 0, SEEK_SET);
    r = copy(fd, err);
    return r == 0 && values->is_following ? follow(&fd, paths.log, err) : r;
}

static const struct wisp_arg_option options[] = {
    {.name = "follow", .letter = 'f', .kind = WISP_ARG_FLAG, FIELD(is_following), .help = "go on until interrupted"},
    {.name = "lines",
     .letter = 'n',
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(n_lines),
     .help = "the last N lines only [all]"},
    {.name = "number",
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(number),
     .max = WISP_PATHS_HOSTS_MAX,
     .is_positive = true,
     .help = "the Nth host of this machine, when there are several [the first that runs]"},
    {.name = "state",
     .kind = WISP_ARG_TEXT,
     .value = "DIR",
     FIELD(state),
     .env = "WISP_STATE",
     .completion = WISP_COMPLETE_DIRS,
     .help = "state directory of the host, as `wisp up` was given it"},
    {.name = "lattice",
     .letter = 'x',
     .kind = WISP_ARG_TEXT,
     .value = "LATTICE",
     FIELD(connection.lattice),
     .env = "WISP_LATTICE WASMCLOUD_LATTICE",
     .help = "name of the lattice [default]"},
    {.name = "context",
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     FIELD(connection.context),
     .env = "WISP_CONTEXT",
     .help = "settings kept under that name [the default one of `wisp ctx list`]"},
};
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

const struct wisp_verb wisp_verb_logs = {
    .name = "logs",
    .summary = "what a detached host of this machine has logged",
    .example = "wisp logs\nwisp logs -f -n 20",
    .options = options,
    .n_options = WISP_COUNT(options),
    .defaults = &defaults,
    .values_size = sizeof defaults,
    .run = run,
};
