/* SPDX-License-Identifier: Apache-2.0 */
#include "host/providers.h"

#include "base/log.h"
#include "base/mem.h"
#include "host/source.h"
#include "nkeys/nkeys.h"
#include "supervise/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FAILED_AFTER = 5, /* deaths in a row until it counts as failed */
    ASK_TIMEOUT_MS = 1000,
};

struct provider {
    struct wisp_providers *all;
    char *id, *path, *host_data;
    struct wisp_child *child;
    const char *argv[2];
    struct wisp_process_fd stdin_fd; /* what the next process reads; -1: nothing yet */
    uint64_t start_id, stop_id;      /* actions that wait for an outcome; 0: none */
    uint32_t n_deaths;
    struct provider *next;
};

struct wisp_providers {
    struct wisp_supervisor *supervisor;
    struct wisp_providers_handler handler;
    struct provider *first;
};

static const char *const environment[] = {NULL};

int wisp_providers_new(struct wisp_providers **ret_providers, struct wisp_supervisor *supervisor, struct wisp_err *err)
{
    (void)err;
    struct wisp_providers *providers = wisp_mem_calloc(1, sizeof *providers);
    providers->supervisor = supervisor;
    *ret_providers = providers;
    return 0;
}

/* Holds secrets. */
static void forget_host_data(struct provider *provider)
{
    if (provider->host_data) explicit_bzero(provider->host_data, strlen(provider->host_data));
    free(provider->host_data);
    provider->host_data = NULL;
}

void wisp_providers_free(struct wisp_providers *providers)
{
    if (!providers) return;
    while (providers->first) {
        struct provider *provider = providers->first;
        providers->first = provider->next;
        forget_host_data(provider);
        wisp_fd_closep(&provider->stdin_fd.fd);
        free(provider->id);
        free(provider->path);
        free(provider);
    }
    free(providers);
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

/* One line of base64 on standard input, which then is at its end. */
static int prepare(struct wisp_child *child, struct wisp_process_spec *spec, void *env, struct wisp_err *err)
{
    (void)child;
    struct provider *provider = env;
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    wisp_base64_encode(wisp_str_from(provider->host_data), &line);
    wisp_buf_append(&line, "\r\n", 2);
    wisp_fd_closep(&provider->stdin_fd.fd);
    int r = wisp_memory_file_new("host data", wisp_buf_str(&line), &provider->stdin_fd.fd, err);
    explicit_bzero(line.data, line.len);
    if (r < 0) return r;
    lseek(provider->stdin_fd.fd, 0, SEEK_SET);
    *spec = (struct wisp_process_spec){.path = provider->path,
                                       .argv = provider->argv,
                                       .env = environment,
                                       .fds = &provider->stdin_fd,
                                       .n_fds = 1,
                                       .capture_output = true};
    return 0;
}

static void on_state(struct wisp_child *child, void *env)
{
    struct provider *provider = env;
    enum wisp_lifecycle_state state = wisp_child_state(child);
    if (state == WISP_CHILD_READY) {
        tell(provider, &provider->start_id, NULL);
    } else if (state == WISP_CHILD_DOWN) {
        struct wisp_err err = {0};
        wisp_err_set(&err, WISP_ERR_CANCELLED, "stopped");
        tell(provider, &provider->start_id, &err);
        tell(provider, &provider->stop_id, NULL);
    } else if (state == WISP_CHILD_BACKOFF && provider->start_id) {
        struct wisp_err err = {0};
        wisp_err_set(&err, WISP_ERR_OS, "`%s` could not be started, see the log", provider->path);
        tell(provider, &provider->start_id, &err);
        wisp_child_stop(child);
    }
}

static bool on_exit_provider(struct wisp_child *child, const struct wisp_child_exit *exit, void *env)
{
    (void)child;
    struct provider *provider = env;
    char text[96];
    if (WIFSIGNALED(exit->wait_status))
        snprintf(text, sizeof text, "killed by signal %d after %llu ms", WTERMSIG(exit->wait_status),
                 (unsigned long long)exit->ran_ms);
    else
        snprintf(text, sizeof text, "exit status %d after %llu ms", WEXITSTATUS(exit->wait_status),
                 (unsigned long long)exit->ran_ms);
    if (wisp_child_state(child) != WISP_CHILD_READY) return true;
    provider->n_deaths = exit->ran_ms < 60000 ? provider->n_deaths + 1 : 1;
    provider->all->handler.on_news(
        wisp_str_from(provider->id),
        provider->n_deaths < FAILED_AFTER ? WISP_LATTICE_PROVIDER_EXITED : WISP_LATTICE_PROVIDER_FAILED, text,
        provider->all->handler.env);
    return true;
}

static void on_ready(struct wisp_child *child, struct wisp_str text, void *env)
{
    (void)child;
    (void)text;
    struct provider *provider = env;
    provider->all->handler.on_news(wisp_str_from(provider->id), WISP_LATTICE_PROVIDER_UP, "",
                                   provider->all->handler.env);
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
                                         .policy = {.ask_timeout_ms = ASK_TIMEOUT_MS},
                                         .handler = {prepare, on_state, on_exit_provider, on_ready},
                                         .env = provider,
                                     });
    provider->next = providers->first;
    providers->first = provider;
    return provider;
}

void wisp_providers_refresh(struct wisp_providers *providers, const struct wisp_lattice_provider *what)
{
    struct provider *provider = find(providers, what->id);
    if (!provider) return;
    forget_host_data(provider);
    set_text(&provider->host_data, what->host_data);
}

void wisp_providers_start(struct wisp_providers *providers, const struct wisp_lattice_provider *what, uint64_t id)
{
    struct provider *provider = find(providers, what->id);
    if (!provider) provider = add(providers, what);
    set_text(&provider->path, what->path);
    provider->argv[0] = provider->path;
    wisp_providers_refresh(providers, what);
    provider->n_deaths = 0;
    provider->start_id = id;
    wisp_child_start(provider->child);
}

void wisp_providers_stop(struct wisp_providers *providers, struct wisp_str provider_id, uint64_t id)
{
    struct provider *provider = find(providers, provider_id);
    if (!provider || wisp_child_state(provider->child) == WISP_CHILD_DOWN) {
        providers->handler.on_done(id, NULL, providers->handler.env);
        return;
    }
    provider->stop_id = id;
    wisp_child_stop(provider->child);
}

void wisp_providers_stop_all(struct wisp_providers *providers)
{
    for (struct provider *provider = providers->first; provider; provider = provider->next)
        if (wisp_child_state(provider->child) != WISP_CHILD_DOWN) wisp_child_stop(provider->child);
}
