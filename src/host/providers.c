/* SPDX-License-Identifier: Apache-2.0 */
#include "host/providers.h"

#include "base/log.h"
#include "base/mem.h"
#include "host/source.h"
#include "nkeys/nkeys.h"
#include "supervise/cgroup.h"
#include "supervise/confine.h"
#include "supervise/process.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    FAILED_AFTER = 5,
    RESTART_MAX_MS = 30000,
    /* After the shutdown message and its delay: SIGTERM, and SIGKILL for the whole family a second later. */
    ASK_TIMEOUT_MS = 500,
    TERM_TIMEOUT_MS = 500,
    OUTPUT_LINES = 5, /* in the report of an exit */
};

struct provider {
    struct wisp_providers *all;
    char *id, *path, *host_data;
    struct wisp_child *child;
    const char *argv[2];
    const char **env; /* of the next process; the texts are ours */
    struct wisp_confine *confine;
    struct wisp_err confine_err;     /* why it can't be confined as it should; kind NONE: it can */
    struct wisp_process_fd stdin_fd; /* what the next process reads; -1: nothing yet */
    uint64_t start_id, stop_id;      /* actions that wait for an outcome; 0: none */
    bool is_ending;                  /* its exit is asked for */
    uv_timer_t *grace;               /* it has said that it ends, and is given so long; NULL: none */
    bool has_run;                    /* since its last start was tried */
    struct provider *next;
};

struct wisp_providers {
    uv_timer_t patience; /* with those that were asked to end */
    struct wisp_supervisor *supervisor;
    struct wisp_lifecycle_policy policy;
    struct wisp_providers_handler handler;
    struct provider *first;
    bool is_stopping;
    void (*on_stopped)(void *env);
    void *stopped_env;
};

int wisp_providers_new(struct wisp_providers **ret_providers, uv_loop_t *loop, struct wisp_supervisor *supervisor,
                       const struct wisp_providers_options *options, struct wisp_err *err)
{
    struct wisp_providers *providers = wisp_mem_calloc(1, sizeof *providers);
    int r = uv_timer_init(loop, &providers->patience);
    if (r < 0) {
        free(providers);
        return wisp_err_os(err, -r, "start a timer");
    }
    providers->patience.data = providers;
    providers->supervisor = supervisor;
    providers->policy = (struct wisp_lifecycle_policy){
        .ask_timeout_ms = ASK_TIMEOUT_MS,
        .term_timeout_ms = TERM_TIMEOUT_MS,
        .backoff_max_ms = options->restart_max_ms ? options->restart_max_ms : RESTART_MAX_MS,
        .failed_after = options->failed_after ? options->failed_after : FAILED_AFTER,
        .is_held = true,
    };
    wisp_cgroup_sweep();
    *ret_providers = providers;
    return 0;
}

/* Holds secrets. */
static void forget_host_data(struct provider *provider) { wisp_mem_wipe(WISP_TAKE(provider->host_data)); }

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static void free_handle(uv_handle_t *handle) { free(handle); }

static void drop_grace(struct provider *provider)
{
    if (provider->grace) uv_close((uv_handle_t *)WISP_TAKE(provider->grace), free_handle);
}

void wisp_providers_free(struct wisp_providers *providers)
{
    if (!providers) return;
    while (providers->first) {
        struct provider *provider = providers->first;
        providers->first = provider->next;
        forget_host_data(provider);
        drop_grace(provider);
        wisp_fd_closep(&provider->stdin_fd.fd);
        wisp_confine_free(provider->confine);
        free(provider->env);
        free(provider->id);
        free(provider->path);
        free(provider);
    }
    uv_close((uv_handle_t *)&providers->patience, on_closed);
}

void wisp_providers_set_handler(struct wisp_providers *providers, const struct wisp_providers_handler *handler)
{
    providers->handler = *handler;
}

static struct provider *find(struct wisp_providers *providers, struct wisp_str id)
{
    struct provider *provider = providers->first;
    while (provider && !wisp_str_is(id, provider->id)) provider = provider->next;
    return provider;
}

/* The outcome of what was asked for last, once. */
static void tell(struct provider *provider, uint64_t *id, const struct wisp_err *err)
{
    uint64_t asked = *id;
    *id = 0;
    if (asked) provider->all->handler.on_done(asked, err, provider->all->handler.env);
}

/* --- what happens to a process --- */

/* Those of the host's variables that it may have. */
static void make_env(struct provider *provider)
{
    size_t n = 0, n_all = 0;
    while (environ[n_all]) n_all++;
    free(provider->env);
    provider->env = wisp_mem_calloc(n_all + 1, sizeof *provider->env);
    for (size_t i = 0; i < n_all; i++)
        if (wisp_confine_passes(provider->confine, environ[i])) provider->env[n++] = environ[i];
}

/* One line of base64 on standard input, which then is at its end. */
static int prepare(struct wisp_child *child, struct wisp_process_spec *spec, void *env, struct wisp_err *err)
{
    (void)child;
    struct provider *provider = env;
    provider->has_run = false;
    if (provider->confine_err.kind) {
        *err = provider->confine_err;
        return -(int)err->kind;
    }
    WISP_CLEANUP_WIPE struct wisp_buf line = {0};
    wisp_base64_encode(wisp_str_from(provider->host_data), &line);
    wisp_buf_append(&line, "\r\n", 2);
    wisp_fd_closep(&provider->stdin_fd.fd);
    int r = wisp_memory_file_new("host data", wisp_buf_str(&line), &provider->stdin_fd.fd, err);
    if (r < 0) return r;
    lseek(provider->stdin_fd.fd, 0, SEEK_SET);
    make_env(provider);
    *spec = (struct wisp_process_spec){.path = provider->path,
                                       .argv = provider->argv,
                                       .env = provider->env,
                                       .fds = &provider->stdin_fd,
                                       .n_fds = 1,
                                       .capture_output = true,
                                       .is_contained = true,
                                       .confine = provider->confine};
    return 0;
}

static void tell_news(struct provider *provider, enum wisp_lattice_provider_news news,
                      const struct wisp_lattice_provider_report *report)
{
    provider->all->handler.on_news(wisp_str_from(provider->id), news, report, provider->all->handler.env);
}

static void check_all_stopped(struct wisp_providers *providers)
{
    if (!providers->on_stopped) return;
    for (const struct provider *provider = providers->first; provider; provider = provider->next)
        if (wisp_child_state(provider->child) != WISP_CHILD_DOWN) return;
    uv_timer_stop(&providers->patience);
    void (*on_stopped)(void *) = WISP_TAKE(providers->on_stopped);
    on_stopped(providers->stopped_env);
}

static void note_down(struct provider *provider)
{
    struct wisp_err err = {0};
    drop_grace(provider);
    wisp_err_set(&err, WISP_ERR_CANCELLED, "stopped");
    provider->is_ending = false;
    tell(provider, &provider->start_id, &err);
    tell(provider, &provider->stop_id, NULL);
    check_all_stopped(provider->all);
}

/* The first start is an answer to somebody; a later one is tried for as long as it takes. */
static void note_unstartable(struct wisp_child *child, struct provider *provider)
{
    struct wisp_err err = *wisp_child_failure(child);
    if (!err.kind) wisp_err_set(&err, WISP_ERR_OS, "`%s` could not be started", provider->path);
    if (provider->start_id) {
        tell(provider, &provider->start_id, &err);
        wisp_child_stop(child);
        return;
    }
    const struct wisp_lattice_provider_report report = {.failures = wisp_child_failures(child),
                                                        .is_failed = wisp_child_is_failed(child),
                                                        .pause_ms = wisp_child_pause_ms(child),
                                                        .reason = err.text};
    tell_news(provider, WISP_LATTICE_PROVIDER_EXITED, &report);
}

static void on_state(struct wisp_child *child, void *env)
{
    struct provider *provider = env;
    enum wisp_lifecycle_state state = wisp_child_state(child);
    if (state == WISP_CHILD_STARTING || state == WISP_CHILD_READY) provider->has_run = true;
    if (state == WISP_CHILD_READY)
        tell(provider, &provider->start_id, NULL);
    else if (state == WISP_CHILD_DOWN)
        note_down(provider);
    else if (state == WISP_CHILD_BACKOFF && !provider->has_run)
        note_unstartable(child, provider);
}

static bool on_exit_provider(struct wisp_child *child, const struct wisp_child_exit *exit, void *env)
{
    (void)child;
    (void)exit;
    struct provider *provider = env;
    provider->all->handler.on_ended(wisp_str_from(provider->id), provider->all->handler.env);
    return !provider->is_ending;
}

static void on_ended(struct wisp_child *child, const struct wisp_child_exit *exit, void *env)
{
    struct provider *provider = env;
    enum wisp_lifecycle_state state = wisp_child_state(child);
    if (state != WISP_CHILD_BACKOFF && state != WISP_CHILD_HELD) return; /* asked for */
    struct wisp_str output[OUTPUT_LINES];
    const struct wisp_lattice_provider_report report = {
        .has_run = true,
        .signal_number = WIFSIGNALED(exit->wait_status) ? WTERMSIG(exit->wait_status) : 0,
        .exit_status = WIFEXITED(exit->wait_status) ? WEXITSTATUS(exit->wait_status) : 0,
        .ran_ms = exit->ran_ms,
        .pause_ms = wisp_child_pause_ms(child),
        .failures = wisp_child_failures(child),
        .is_failed = wisp_child_is_failed(child),
        .reason = exit->reason,
        .output = output,
        .n_output = wisp_child_last_output(child, output, OUTPUT_LINES),
    };
    tell_news(provider, WISP_LATTICE_PROVIDER_EXITED, &report);
}

static void on_due(struct wisp_child *child, void *env)
{
    (void)child;
    tell_news(env, WISP_LATTICE_PROVIDER_DUE, NULL);
}

static void on_ready(struct wisp_child *child, struct wisp_str text, void *env)
{
    (void)child;
    (void)text;
    tell_news(env, WISP_LATTICE_PROVIDER_UP, NULL);
}

/* --- what is wanted --- */

static void set_text(char **text, struct wisp_str value)
{
    free(*text);
    *text = wisp_mem_dup(value);
}

static struct provider *add(struct wisp_providers *providers, const struct wisp_lattice_provider *what)
{
    struct provider *provider = wisp_mem_calloc(1, sizeof *provider);
    provider->all = providers;
    provider->stdin_fd = (struct wisp_process_fd){-1, STDIN_FILENO};
    set_text(&provider->id, what->id);
    WISP_CLEANUP_FREE char *reference = wisp_mem_dup(what->plain_reference);
    provider->child = wisp_child_add(providers->supervisor,
                                     &(struct wisp_child_options){
                                         .name = provider->id,
                                         .running = reference,
                                         .policy = providers->policy,
                                         .handler = {prepare, on_state, on_exit_provider, on_ready, on_ended, on_due},
                                         .env = provider,
                                     });
    provider->next = providers->first;
    providers->first = provider;
    return provider;
}

static void read_confine(struct provider *provider, json_t *confine)
{
    const char *key;
    json_t *value;
    size_t n = 0;
    WISP_CLEANUP_FREE struct wisp_confine_setting *settings =
        wisp_mem_calloc(json_object_size(confine) + 1, sizeof *settings);
    json_object_foreach(confine, key, value) settings[n++] =
        (struct wisp_confine_setting){wisp_str_from(key), {json_string_value(value), json_string_length(value)}};
    wisp_confine_free(provider->confine);
    provider->confine_err = (struct wisp_err){0};
    if (wisp_confine_new(&provider->confine, settings, n, &provider->confine_err) < 0) provider->confine = NULL;
}

static void take(struct provider *provider, const struct wisp_lattice_provider *what)
{
    forget_host_data(provider);
    set_text(&provider->host_data, what->host_data);
    set_text(&provider->path, what->path);
    provider->argv[0] = provider->path;
    read_confine(provider, what->confine);
}

void wisp_providers_start(struct wisp_providers *providers, const struct wisp_lattice_provider *what, uint64_t id)
{
    struct provider *provider = find(providers, what->id);
    if (!provider) provider = add(providers, what);
    take(provider, what);
    provider->is_ending = false;
    provider->start_id = id;
    wisp_child_start(provider->child);
}

void wisp_providers_release(struct wisp_providers *providers, const struct wisp_lattice_provider *what)
{
    struct provider *provider = find(providers, what->id);
    if (!provider || providers->is_stopping) return;
    take(provider, what);
    wisp_child_release(provider->child);
}

void wisp_providers_hang(struct wisp_providers *providers, struct wisp_str provider_id, struct wisp_str reason)
{
    struct provider *provider = find(providers, provider_id);
    WISP_CLEANUP_FREE char *text = wisp_mem_dup(reason);
    if (provider && !provider->is_ending) wisp_child_hang(provider->child, text);
}

void wisp_providers_expect_end(struct wisp_providers *providers, struct wisp_str provider_id)
{
    struct provider *provider = find(providers, provider_id);
    if (provider) provider->is_ending = true;
}

static void on_grace_over(uv_timer_t *timer)
{
    struct provider *provider = timer->data;
    drop_grace(provider);
    wisp_child_stop(provider->child);
}

void wisp_providers_stop(struct wisp_providers *providers, struct wisp_str provider_id, uint64_t grace_ms, uint64_t id)
{
    struct provider *provider = find(providers, provider_id);
    if (!provider || wisp_child_state(provider->child) == WISP_CHILD_DOWN) {
        providers->handler.on_done(id, NULL, providers->handler.env);
        return;
    }
    provider->stop_id = id;
    if (!grace_ms || !provider->is_ending || wisp_child_state(provider->child) != WISP_CHILD_READY) {
        wisp_child_stop(provider->child);
        return;
    }
    drop_grace(provider);
    provider->grace = wisp_mem_alloc(sizeof *provider->grace);
    uv_timer_init(providers->patience.loop, provider->grace);
    provider->grace->data = provider;
    uv_timer_start(provider->grace, on_grace_over, grace_ms, 0);
}

static void stop_rest(uv_timer_t *timer)
{
    struct wisp_providers *providers = timer->data;
    for (struct provider *provider = providers->first; provider; provider = provider->next)
        if (wisp_child_state(provider->child) != WISP_CHILD_DOWN) wisp_child_stop(provider->child);
}

void wisp_providers_stop_all(struct wisp_providers *providers, uint64_t patience_ms, void (*on_stopped)(void *env),
                             void *env)
{
    providers->is_stopping = true;
    providers->on_stopped = on_stopped;
    providers->stopped_env = env;
    for (struct provider *provider = providers->first; provider; provider = provider->next) {
        enum wisp_lifecycle_state state = wisp_child_state(provider->child);
        provider->is_ending = true;
        /* Nobody has asked those that are only to be started. */
        if (state == WISP_CHILD_BACKOFF || state == WISP_CHILD_HELD) wisp_child_stop(provider->child);
    }
    uv_timer_start(&providers->patience, stop_rest, patience_ms, 0);
    check_all_stopped(providers);
}

void wisp_providers_each_path(const struct wisp_providers *providers, void (*visit)(const char *path, void *env),
                              void *env)
{
    for (const struct provider *provider = providers->first; provider; provider = provider->next)
        if (provider->path) visit(provider->path, env);
}
