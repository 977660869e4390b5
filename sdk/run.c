/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a provider process:
 *
 *     connect ── serve until ── shutdown message, signal, host gone, bus closed
 *                                 │
 *                               drain: no new calls; those in flight end, for some seconds at most
 *                                 │
 *                               close the instance; the bus gets what is on its way; exit
 *
 * The host kills a process once it has answered the shutdown message, so the answer comes after draining, but within
 * what hosts wait for it by default. */
#include "base/log.h"
#include "provider/runtime.h"
#include "sdk_priv.h"
#include "spans.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REPLY_AFTER_MS = 250, /* to the shutdown message; hosts wait 300 */
    DRAIN_MS = 5000,
    CLOSE_MS = 2000,
    FLUSH_MS = 1000,
    PARENT_EVERY_MS = 2000,
    CONNECT_MS = 15000, /* of the first attempt too: a host that starts hundreds of us at once is slow to answer */
    SUBJECT_MAX = 512,
};

enum state { SERVING, DRAINING, CLOSING, FLUSHING, OVER };

struct process {
    const struct wisp_host_data *data;
    uv_loop_t loop;
    struct wisp_bus_client *bus;
    struct wisp_wrpc *wrpc;
    struct wisp_provider *provider;
    struct wisp_wrpc_service *service;
    struct wisp_sdk_spans *spans; /* NULL: nobody takes them */
    uv_signal_t on_int, on_term;
    uv_timer_t limit, reply, look_at_parent;
    uv_poll_t parent;
    int parent_fd; /* -1: the kernel tells nothing of other processes, so the parent is looked at */
    pid_t parent_pid;
    unsigned n_draining; /* the service, the instance */
    char *reply_subject; /* of the shutdown message; NULL: none, or answered */
    bool was_connected;
    enum state state;
    int status;
};

/* --- the end --- */

static void on_flushed(void *env)
{
    struct process *process = env;
    process->state = OVER;
    uv_stop(&process->loop);
}

static void answer_shutdown(struct process *process)
{
    struct wisp_err err;
    if (!process->reply_subject) return;
    if (wisp_bus_publish(process->bus, wisp_str_from(process->reply_subject), WISP_STR(""), NULL, 0,
                         WISP_STR("shutting down"), &err) < 0)
        WISP_LOG(WARN, "provider", "the host can't be answered", WISP_TEXT("cause", err.text));
    free(WISP_TAKE(process->reply_subject));
}

static void on_provider_closed(void *env)
{
    struct process *process = env;
    process->provider = NULL;
    process->state = FLUSHING;
    wisp_sdk_spans_flush(process->spans);
    uv_timer_stop(&process->limit);
    answer_shutdown(process);
    wisp_bus_client_drain(process->bus, FLUSH_MS, on_flushed, process);
}

/* A call that never ends, or a kind that never closes. */
static void on_close_limit(uv_timer_t *timer)
{
    struct process *process = timer->data;
    WISP_LOG(ERROR, "provider", "calls don't end: stopping without them");
    answer_shutdown(process);
    process->status = wisp_err_exit_code(WISP_ERR_TIMEOUT);
    uv_stop(&process->loop);
}

static void close_provider(struct process *process)
{
    if (process->state != DRAINING) return;
    process->state = CLOSING;
    wisp_wrpc_service_free(WISP_TAKE(process->service));
    uv_timer_start(&process->limit, on_close_limit, CLOSE_MS, 0);
    wisp_provider_close(process->provider, on_provider_closed, process);
}

static void on_drained(void *env)
{
    struct process *process = env;
    if (--process->n_draining == 0) close_provider(process);
}

static void on_drain_limit(uv_timer_t *timer)
{
    struct process *process = timer->data;
    WISP_LOG(WARN, "provider", "calls are still in flight: they are cancelled",
             WISP_INT("calls", wisp_wrpc_service_in_flight(process->service)));
    close_provider(process);
}

static void stop(struct process *process, const char *cause)
{
    if (process->state != SERVING) return;
    WISP_LOG(INFO, "provider", "stopping", WISP_TEXT("provider", process->data->provider_id),
             WISP_TEXT("cause", cause));
    process->state = DRAINING;
    uv_timer_start(&process->limit, on_drain_limit, DRAIN_MS, 0);
    process->n_draining = 2;
    wisp_wrpc_service_drain(process->service, on_drained, process);
    wisp_provider_drain(process->provider, on_drained, process);
}

/* --- what ends it --- */

static void on_signal(uv_signal_t *signal, int number) { stop(signal->data, number == SIGINT ? "SIGINT" : "SIGTERM"); }

static void on_parent_look(uv_timer_t *timer)
{
    struct process *process = timer->data;
    if (getppid() != process->parent_pid) stop(process, "the host is gone");
}

static void on_parent_end(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    uv_poll_stop(poll);
    stop(poll->data, "the host is gone");
}

static void watch_parent(struct process *process)
{
    process->parent_pid = getppid();
    process->parent_fd = pidfd_open(process->parent_pid, 0);
    if (process->parent_fd >= 0) {
        uv_poll_init(&process->loop, &process->parent, process->parent_fd);
        process->parent.data = process;
        uv_poll_start(&process->parent, UV_READABLE, on_parent_end);
    }
    /* When it ended in between, the descriptor may be of another process with its number. */
    if (process->parent_fd < 0 || getppid() != process->parent_pid)
        uv_timer_start(&process->look_at_parent, on_parent_look, PARENT_EVERY_MS, PARENT_EVERY_MS);
}

static void on_reply_limit(uv_timer_t *timer) { answer_shutdown(timer->data); }

static void on_shutdown(const struct wisp_bus_message *message, void *env)
{
    struct process *process = env;
    WISP_CLEANUP_JSON json_t *json = NULL;
    if (wisp_json_parse(message->payload, &json, NULL) < 0) return;
    /* Copies of this provider on other hosts get the same message. */
    if (!wisp_str_is(wisp_json_str(json, "host_id"), process->data->host_id)) return;
    if (message->reply.len > 0 && process->state < FLUSHING) {
        free(process->reply_subject);
        process->reply_subject = wisp_mem_dup(message->reply);
        uv_timer_start(&process->reply, on_reply_limit, REPLY_AFTER_MS, 0);
    }
    stop(process, "the host says so");
}

static void on_bus_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    struct process *process = env;
    if (state == WISP_BUS_CONNECTED) {
        if (!process->was_connected)
            WISP_LOG(INFO, "provider", "provider is up", WISP_TEXT("provider", process->data->provider_id),
                     WISP_TEXT("bus", wisp_bus_client_url(process->bus)));
        process->was_connected = true;
    } else if (state == WISP_BUS_RECONNECTING) {
        WISP_LOG(WARN, "provider", "the bus is gone, connecting again", WISP_TEXT("cause", reason->text));
    } else if (state == WISP_BUS_CLOSED) {
        WISP_LOG(ERROR, "provider", "the bus can't be used", WISP_TEXT("cause", reason->text));
        if (!process->was_connected) process->status = wisp_err_exit_code(reason->kind);
        stop(process, "there is no bus");
    }
}

/* --- what hosts say --- */

static void on_health(const struct wisp_bus_message *message, void *env)
{
    struct process *process = env;
    WISP_CLEANUP_BUF struct wisp_buf text = {0}, answer = {0};
    struct wisp_err err;
    if (message->reply.len == 0 || process->state >= CLOSING) return;
    bool is_healthy = wisp_provider_is_healthy(process->provider, &text);
    WISP_CLEANUP_JSON json_t *json = json_pack("{s:b}", "healthy", is_healthy);
    if (text.len > 0) json_object_set_new(json, "message", wisp_json_text(wisp_buf_str(&text)));
    wisp_json_print(json, &answer);
    if (wisp_bus_publish(process->bus, message->reply, WISP_STR(""), NULL, 0, wisp_buf_str(&answer), &err) < 0)
        WISP_LOG(WARN, "provider", "health can't be told", WISP_TEXT("cause", err.text));
}

static void log_link_error(const struct wisp_err *err)
{
    WISP_LOG(WARN, "provider", "link not taken", WISP_TEXT("cause", err->text));
}

static void on_link_put(const struct wisp_bus_message *message, void *env)
{
    struct process *process = env;
    WISP_CLEANUP_JSON json_t *json = NULL, *opened = NULL;
    struct wisp_err err = {0};
    if (process->state != SERVING) return;
    int r = wisp_json_parse(message->payload, &json, &err);
    if (r == 0) r = wisp_host_data_open_link(process->data, json, &opened, &err);
    if (r == 0) r = wisp_provider_put_link(process->provider, opened, &err);
    if (r < 0) log_link_error(&err);
}

static void on_link_del(const struct wisp_bus_message *message, void *env)
{
    struct process *process = env;
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_err err = {0};
    if (process->state != SERVING) return;
    if (wisp_json_parse(message->payload, &json, &err) < 0)
        WISP_LOG(WARN, "provider", "a link's end can't be understood", WISP_TEXT("cause", err.text));
    else
        wisp_provider_del_link(process->provider, json);
}

static void on_config(const struct wisp_bus_message *message, void *env)
{
    struct process *process = env;
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_err err = {0};
    if (process->state != SERVING) return;
    int r = wisp_json_parse(message->payload, &json, &err);
    if (r == 0) r = wisp_provider_set_config(process->provider, json, process->data->secrets, &err);
    if (r < 0) WISP_LOG(WARN, "provider", "configuration not taken", WISP_TEXT("cause", err.text));
}

static int listen_to(struct process *process, const char *id, const char *what, wisp_bus_on_message *on_message,
                     struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    struct wisp_bus_subscription *subscription;
    wisp_buf_printf(&subject, "wasmbus.rpc.%s.%s.%s", process->data->lattice, id, what);
    if (!wisp_bus_subject_is_valid(wisp_buf_str(&subject)))
        return wisp_err_set(err, WISP_ERR_INVALID, "`%.*s` can't be a subject", WISP_STR_ARG(wisp_buf_str(&subject)));
    return wisp_bus_subscribe(process->bus, wisp_buf_str(&subject), WISP_STR(""), on_message, process, &subscription,
                              err);
}

static int listen_to_hosts(struct process *process, struct wisp_err *err)
{
    const struct wisp_host_data *data = process->data;
    const char *id = data->provider_id;
    int r;
    if ((r = listen_to(process, id, "health", on_health, err)) < 0) return r;
    if ((r = listen_to(process, id, "default.shutdown", on_shutdown, err)) < 0) return r;
    if ((r = listen_to(process, data->has_xkeys ? data->xkey_public : id, "linkdefs.put", on_link_put, err)) < 0)
        return r;
    if ((r = listen_to(process, id, "linkdefs.del", on_link_del, err)) < 0) return r;
    return listen_to(process, id, "config.update", on_config, err);
}

/* --- the beginning --- */

static int make_data_dir(const struct wisp_host_data *data, const char **ret_path, struct wisp_err *err)
{
    struct wisp_str text = wisp_json_str(data->config, "data_dir");
    struct stat status;
    *ret_path = NULL;
    if (text.len == 0) return 0;
    if (mkdir(text.ptr, 0700) < 0 && errno != EEXIST) return wisp_err_os(err, errno, "make `data_dir` `%s`", text.ptr);
    if (stat(text.ptr, &status) < 0) return wisp_err_os(err, errno, "look at `data_dir` `%s`", text.ptr);
    if (!S_ISDIR(status.st_mode))
        return wisp_err_set(err, WISP_ERR_INVALID, "`data_dir` `%s` is no directory", text.ptr);
    *ret_path = text.ptr;
    return 0;
}

static int connect_bus(struct process *process, struct wisp_err *err)
{
    const struct wisp_host_data *data = process->data;
    WISP_CLEANUP_BUF struct wisp_buf name = {0}, socket_url = {0};
    wisp_buf_printf(&name, "provider %s%c", data->provider_id, '\0');
    wisp_buf_printf(&socket_url, "unix:%s%c", data->bus_socket, '\0');
    /* A hop over a Unix socket costs two thirds of one over TCP. Who may not use it has the other. */
    const char *const urls[] = {data->bus_url, socket_url.data};
    struct wisp_bus_client_options options = {.urls = urls,
                                              .n_urls = *data->bus_socket ? 2 : 1,
                                              .name = name.data,
                                              .jwt = *data->bus_jwt ? data->bus_jwt : NULL,
                                              .seed = *data->bus_seed ? data->bus_seed : NULL,
                                              .connect_timeout_ms = CONNECT_MS,
                                              .gives_up_at_start = true,
                                              .on_state = on_bus_state,
                                              .env = process};
    int r = wisp_bus_client_new(&process->bus, &process->loop, &options, err);
    if (r < 0) return r;
    struct wisp_wrpc_options wrpc = {.loop = &process->loop, .bus = process->bus, .lattice = data->lattice};
    return wisp_wrpc_new(&process->wrpc, &wrpc, err);
}

static int open_provider(struct process *process, const struct wisp_provider_kind *kind, struct wisp_err *err)
{
    const struct wisp_host_data *data = process->data;
    const char *data_path;
    int r = make_data_dir(data, &data_path, err);
    if (r < 0) return r;
    if (*data->spans_subject) process->spans = wisp_sdk_spans_new(&process->loop, process->bus, data);
    struct wisp_provider_options options = {.kind = kind,
                                            .id = data->provider_id,
                                            .lattice = data->lattice,
                                            .host_id = data->host_id,
                                            .loop = &process->loop,
                                            .bus = process->bus,
                                            .wrpc = process->wrpc,
                                            .bus_url = wisp_bus_client_url(process->bus),
                                            .data_path = data_path,
                                            .is_first = true,
                                            .on_span = process->spans ? wisp_sdk_spans_add : NULL,
                                            .span_env = process->spans,
                                            .config = data->config,
                                            .secrets = data->secrets};
    return wisp_provider_new(&process->provider, &options, err);
}

static void put_links(struct process *process)
{
    for (size_t i = 0; i < json_array_size(process->data->links); i++) {
        WISP_CLEANUP_JSON json_t *opened = NULL;
        struct wisp_err err = {0};
        int r = wisp_host_data_open_link(process->data, json_array_get(process->data->links, i), &opened, &err);
        if (r == 0) r = wisp_provider_put_link(process->provider, opened, &err);
        if (r < 0) log_link_error(&err);
    }
}

static int begin(struct process *process, const struct wisp_provider_kind *kind, struct wisp_err *err)
{
    int r;
    if ((r = connect_bus(process, err)) < 0) return r;
    if ((r = open_provider(process, kind, err)) < 0) return r;
    put_links(process);
    if ((r = listen_to_hosts(process, err)) < 0) return r;
    r = wisp_wrpc_service_new(&process->service, process->wrpc, wisp_str_from(process->data->provider_id), err);
    return r < 0 ? r : wisp_provider_serve(process->provider, process->service, err);
}

static void init_handles(struct process *process)
{
    uv_timer_t *timers[] = {&process->limit, &process->reply, &process->look_at_parent};
    uv_signal_t *signals[] = {&process->on_int, &process->on_term};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < WISP_COUNT(timers); i++) {
        uv_timer_init(&process->loop, timers[i]);
        timers[i]->data = process;
    }
    for (size_t i = 0; i < WISP_COUNT(signals); i++) {
        uv_signal_init(&process->loop, signals[i]);
        signals[i]->data = process;
        uv_signal_start(signals[i], on_signal, i == 0 ? SIGINT : SIGTERM);
    }
    watch_parent(process);
}

/* A kind that does not close keeps the loop busy: then what is left goes with the process. */
static void end(struct process *process)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&process->limit,          (uv_handle_t *)&process->reply,
                              (uv_handle_t *)&process->look_at_parent, (uv_handle_t *)&process->on_int,
                              (uv_handle_t *)&process->on_term,        (uv_handle_t *)&process->parent};
    size_t n_handles = WISP_COUNT(handles) - (process->parent_fd < 0);
    free(process->reply_subject);
    if (process->provider) return;
    wisp_sdk_spans_free(process->spans);
    wisp_wrpc_free(process->wrpc);
    wisp_bus_client_free(process->bus);
    for (size_t i = 0; i < n_handles; i++) uv_close(handles[i], NULL);
    uv_run(&process->loop, UV_RUN_DEFAULT);
    uv_loop_close(&process->loop);
    wisp_fd_closep(&process->parent_fd);
}

static void set_true(void *env) { *(bool *)env = true; }

/* What was begun is taken back. */
static int give_up(struct process *process, const struct wisp_err *err)
{
    WISP_LOG(ERROR, "provider", "provider can't start", WISP_TEXT("provider", process->data->provider_id),
             WISP_TEXT("cause", err->text));
    bool is_closed = !process->provider;
    wisp_wrpc_service_free(WISP_TAKE(process->service));
    if (process->provider) wisp_provider_close(WISP_TAKE(process->provider), set_true, &is_closed);
    while (!is_closed && uv_run(&process->loop, UV_RUN_ONCE)) {
    }
    end(process);
    return wisp_err_exit_code(err->kind);
}

int wisp_sdk_run(const struct wisp_provider_kind *kind, const struct wisp_host_data *data)
{
    struct process *process = wisp_mem_calloc(1, sizeof *process);
    struct wisp_err err = {0};
    process->data = data;
    int r = uv_loop_init(&process->loop);
    if (r < 0) {
        free(process);
        fprintf(stderr, "%s: no event loop: %s\n", kind->name, uv_strerror(r));
        return wisp_err_exit_code(WISP_ERR_OS);
    }
    init_handles(process);
    r = begin(process, kind, &err);
    if (r < 0) {
        int status = give_up(process, &err);
        free(process);
        return status;
    }
    uv_run(&process->loop, UV_RUN_DEFAULT);
    int status = process->status;
    bool is_clean = !process->provider;
    end(process);
    if (is_clean) free(process);
    return status;
}
