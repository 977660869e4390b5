/* SPDX-License-Identifier: Apache-2.0 */
/* `wisp down`: ends hosts of this machine. Their processes are found by the locks they hold, not by what a stale file
 * says. */
#include "cli/output.h"
#include "cli/verbs.h"
#include "host/paths.h"
#include "nkeys/nkeys.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>

struct values {
    const char *lattice, *state, *host_id;
    bool is_all;
    int purge, output;
    uint64_t timeout_ms;
};

enum { PURGE_NONE, PURGE_ALL, PURGE_WADM, PURGE_WASMCLOUD };
static const char *const purges[] = {"none", "all", "wadm", "wasmcloud", NULL};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct wisp_arg_option options[] = {
    {.name = "lattice",
     .letter = 'x',
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     FIELD(lattice),
     .env = "WISP_LATTICE WASMCLOUD_LATTICE",
     .help = "lattice of the hosts [default]"},
    {.name = "state",
     .kind = WISP_ARG_TEXT,
     .value = "DIR",
     FIELD(state),
     .env = "WISP_STATE",
     .completion = WISP_COMPLETE_DIRS,
     .help = "what `wisp up` was given"},
    {.name = "host-id", .kind = WISP_ARG_TEXT, .value = "ID", FIELD(host_id), .help = "the host to end, N…"},
    {.name = "all", .kind = WISP_ARG_FLAG, FIELD(is_all), .help = "end all hosts of this lattice on this machine"},
    {.name = "purge-jetstream",
     .aliases = "flush-jetstream purge",
     .kind = WISP_ARG_CHOICE,
     .value = "WHAT",
     FIELD(purge),
     .choices = purges,
     .help = "also forget links, configs and what ran here: none, all, wadm, wasmcloud [none]"},
    {.name = "timeout",
     .kind = WISP_ARG_DURATION,
     .value = "TIME",
     FIELD(timeout_ms),
     .is_positive = true,
     .help = "wait for them to finish what is in flight [30s]"},
    {.name = "output",
     .letter = 'o',
     .kind = WISP_ARG_CHOICE,
     .value = "FORMAT",
     FIELD(output),
     .choices = wisp_output_formats,
     .help = "text or json [text]"},
};

struct host {
    uint32_t number;
    pid_t pid;
    char id[WISP_NKEY_PUBLIC_LEN + 1];
};

/* The host's id, from its key. */
static void read_id(const struct wisp_paths *paths, struct host *host)
{
    struct wisp_paths of_host = *paths;
    WISP_CLEANUP_BUF struct wisp_buf seed = {0};
    WISP_CLEANUP_NKEY struct wisp_nkey key = {0};
    wisp_paths_select_host(&of_host, host->number);
    snprintf(host->id, sizeof host->id, "host-%u", host->number);
    if (wisp_paths_read(of_host.host, "seed", &seed, NULL) == 0 &&
        wisp_nkey_from_seed(wisp_buf_str(&seed), &key, NULL) == 0)
        wisp_nkey_public_text(&key, host->id);
}

static size_t find_hosts(const struct wisp_paths *paths, struct host hosts[WISP_PATHS_HOSTS_MAX])
{
    size_t n = 0;
    for (uint32_t number = 0; number < WISP_PATHS_HOSTS_MAX; number++) {
        pid_t pid = wisp_paths_running_pid(paths, number);
        if (!pid) continue;
        hosts[n] = (struct host){.number = number, .pid = pid};
        read_id(paths, &hosts[n++]);
    }
    return n;
}

/* Leaves in `hosts` those that are meant. */
static int choose(const struct values *values, struct host *hosts, size_t *n, struct wisp_err *err)
{
    if (values->host_id) {
        for (size_t i = 0; i < *n; i++) {
            if (strcmp(hosts[i].id, values->host_id) != 0) continue;
            hosts[0] = hosts[i];
            *n = 1;
            return 0;
        }
        return wisp_err_set(err, WISP_ERR_NOT_FOUND,
                            "no host `%s` of lattice `%s` runs on this machine; `wisp stop host` ends hosts elsewhere",
                            values->host_id, values->lattice);
    }
    if (*n > 1 && !values->is_all)
        return wisp_err_set(err, WISP_ERR_USAGE,
                            "%zu hosts of lattice `%s` run on this machine; give --all, or --host-id with one of them", *n,
                            values->lattice);
    return 0;
}

static int end_host(const struct host *host, uint64_t timeout_ms, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = pidfd_open(host->pid, 0);
    if (fd < 0) return errno == ESRCH ? 0 : wisp_err_os(err, errno, "process %d", (int)host->pid);
    if (kill(host->pid, SIGTERM) < 0 && errno != ESRCH) return wisp_err_os(err, errno, "end process %d", (int)host->pid);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int n = poll(&poll_fd, 1, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
    if (n > 0) return 0;
    return wisp_err_set(err, WISP_ERR_TIMEOUT, "host %s (process %d) is still finishing what is in flight", host->id,
                        (int)host->pid);
}

/* Files of hosts that don't run; those of running ones stay. */
static void purge(const struct wisp_paths *paths, json_t *purged)
{
    static const char *const of_lattice[] = {"state.db", "state.db-wal", "state.db-shm"};
    char path[WISP_PATH_MAX + 32];
    for (uint32_t number = 0; number < WISP_PATHS_HOSTS_MAX; number++) {
        struct wisp_paths of_host = *paths;
        if (wisp_paths_running_pid(paths, number)) return; /* the state is in use */
        wisp_paths_select_host(&of_host, number);
        snprintf(path, sizeof path, "%s/running.json", of_host.host);
        if (unlink(path) == 0) json_array_append_new(purged, json_string(path));
    }
    for (size_t i = 0; i < WISP_COUNT(of_lattice); i++) {
        snprintf(path, sizeof path, "%s/%s", paths->state, of_lattice[i]);
        if (unlink(path) == 0) json_array_append_new(purged, json_string(path));
    }
}

static void print(const struct values *values, const struct host *hosts, size_t n, json_t *purged)
{
    if (values->output == WISP_OUTPUT_JSON) {
        json_t *ids = json_array();
        for (size_t i = 0; i < n; i++) json_array_append_new(ids, json_string(hosts[i].id));
        wisp_output_json_take(json_pack("{s:b,s:o,s:b,s:b,s:O}", "success", 1, "hosts_stopped", ids, "wadm_stopped",
                                        n > 0, "nats_stopped", n > 0, "purged", purged));
        return;
    }
    if (!n) printf("no host of lattice %s runs on this machine\n", values->lattice);
    for (size_t i = 0; i < n; i++) printf("host %s is down\n", hosts[i].id);
    if (json_array_size(purged)) printf("links, configs and what ran here are forgotten\n");
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    struct wisp_paths paths;
    struct host hosts[WISP_PATHS_HOSTS_MAX];
    int r = wisp_paths_init(&paths, values->state, values->lattice, err);
    if (r < 0) return r;
    size_t n = find_hosts(&paths, hosts);
    r = choose(values, hosts, &n, err);
    for (size_t i = 0; i < n && r == 0; i++) r = end_host(&hosts[i], values->timeout_ms, err);
    if (r < 0) return r;
    json_t *purged = json_array();
    if (values->purge == PURGE_ALL || values->purge == PURGE_WASMCLOUD) purge(&paths, purged);
    print(values, hosts, n, purged);
    json_decref(purged);
    return 0;
}

static const struct values defaults = {.lattice = "default", .timeout_ms = 30000};

const struct wisp_verb wisp_verb_down = {
    .name = "down",
    .summary = "end hosts of this machine that run in the background",
    .text = "They finish what is in flight. What they ran is remembered and started again by the next `wisp up`,\n"
            "unless --purge is given.",
    .example = "wisp down\nwisp down --all --purge all",
    .options = options,
    .n_options = WISP_COUNT(options),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run,
};
