/* SPDX-License-Identifier: Apache-2.0 */
/* Workers, what they are told, and what they say to it. */
#include "host/fleet_priv.h"

#include "base/log.h"
#include "host/source.h"
#include "host/worker_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READY_TIMEOUT_MS = 60 * 1000,
    TERM_AFTER_DRAIN_MS = 3000, /* a worker ends its drain by itself; this is how late it may be */
};

/* --- a worker's orders --- */

/* Everything that was told so far, to a worker that is new. */
static void tell_all(struct wisp_seat *seat)
{
    struct wisp_fleet *fleet = seat->fleet;
    wisp_fleet_forget_told(seat);
    wisp_fleet_tell_providers(seat); /* before the components that call them */
    for (size_t i = 0; i < fleet->components.capacity; i++) {
        struct wisp_fleet_component *component = fleet->components.slots[i].value;
        if (component) wisp_orders_send(seat->orders, json_incref(component->order), -1);
    }
    wisp_fleet_tell_listeners(seat);
}

static void on_order(struct wisp_orders *orders, const json_t *order, int fd, void *env)
{
    (void)orders;
    struct wisp_seat *seat = env;
    const char *what = json_string_value(json_object_get(order, "is"));
    wisp_fd_closep(&fd);
    if (!what) return;
    if (strcmp(what, "ready") == 0) {
        seat->is_ready = true;
        tell_all(seat);
        wisp_fleet_on_worker_ready(seat);
    } else if (strcmp(what, "telemetry") == 0) {
        const struct wisp_fleet_options *options = &seat->fleet->options;
        if (options->on_telemetry) options->on_telemetry(order, options->telemetry_env);
    } else if (!wisp_fleet_on_provider(seat, what, order)) {
        wisp_fleet_on_component(seat, what, order);
    }
}

static void on_orders_closed(struct wisp_orders *orders, const struct wisp_err *err, void *env)
{
    (void)orders;
    struct wisp_seat *seat = env;
    if (err && err->kind)
        WISP_LOG(ERROR, "host", "a worker does not keep to the protocol", WISP_TEXT("error", err->text),
                 WISP_INT("worker", seat->index));
    seat->is_ready = false;
}

void wisp_fleet_tell(struct wisp_fleet *fleet, json_t *order)
{
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (fleet->seats[i].is_ready) wisp_orders_send(fleet->seats[i].orders, json_incref(order), -1);
}

/* --- processes --- */

static int make_config(struct wisp_seat *seat, uint32_t n_shared_fds, struct wisp_err *err)
{
    const struct wisp_fleet_options *options = &seat->fleet->options;
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0}, labels = {0};
    if (options->policy.topic) wisp_json_print(options->policy.labels, &labels);
    WISP_CLEANUP_FREE char *labels_text = wisp_mem_dup(wisp_buf_str(&labels));
    const struct wisp_worker_host host = {
        .n_shared_fds = n_shared_fds,
        .index = seat->index,
        .memory_bytes_max = options->memory_bytes_max,
        .grace_ms = options->grace_ms,
        .provider_wait_ms = options->provider_wait_ms,
        .handover_dir = options->paths->host,
        .lattice = options->lattice,
        .host_id = options->host_id,
        .telemetry = options->telemetry,
        .bus = options->bus,
        .policy = {options->policy.topic, options->policy.changes_topic, labels_text, options->policy.timeout_ms},
    };
    const struct wisp_worker_config config = {
        .options = {.host = &host, .n_workers = seat->fleet->n_seats, .drain_ms = options->drain_ms},
        .log_level = options->log_level,
        .log_format = options->log_format,
    };
    wisp_worker_config_encode(&config, &bytes);
    wisp_fd_closep(&seat->config_fd);
    return wisp_memory_file_new("configuration", wisp_buf_str(&bytes), &seat->config_fd, err);
}

static int open_orders(struct wisp_seat *seat, struct wisp_err *err)
{
    int ends[2];
    static const struct wisp_orders_handler handler = {on_order, on_orders_closed};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return wisp_err_os(err, errno, "make a socket pair");
    wisp_fd_closep(&seat->orders_fd);
    seat->orders_fd = ends[1];
    wisp_orders_free(seat->orders);
    seat->orders = NULL;
    return wisp_orders_new(&seat->orders, seat->fleet->loop, ends[0], &handler, seat, err);
}

static int prepare(struct wisp_child *child, struct wisp_process_spec *spec, void *env, struct wisp_err *err)
{
    (void)child;
    struct wisp_seat *seat = env;
    uint32_t n_shared;
    const int *shared = wisp_shared_fds(seat->fleet->shared, &n_shared);
    int r = make_config(seat, n_shared, err);
    if (r == 0) r = open_orders(seat, err);
    if (r < 0) return r;
    size_t n = 0;
    seat->fds[n++] = (struct wisp_process_fd){seat->config_fd, WISP_WORKER_FD_CONFIG};
    seat->fds[n++] = (struct wisp_process_fd){seat->orders_fd, WISP_WORKER_FD_ORDERS};
    for (uint32_t i = 0; i < n_shared; i++)
        seat->fds[n++] = (struct wisp_process_fd){shared[i], WISP_WORKER_FD_FIRST_SHARED + (int)i};
    *spec = (struct wisp_process_spec){.argv = seat->argv,
                                       .fds = seat->fds,
                                       .n_fds = n,
                                       .control_as = WISP_WORKER_FD_CONTROL,
                                       .outlives_parent = true};
    return 0;
}

void wisp_fleet_tell_ended(struct wisp_fleet *fleet, const char *id)
{
    if (fleet->options.on_ended) fleet->options.on_ended(wisp_str_from(id), fleet->options.ended_env);
}

static bool on_exit_worker(struct wisp_child *child, const struct wisp_child_exit *exit, void *env)
{
    (void)child;
    struct wisp_seat *seat = env;
    seat->is_ready = false;
    wisp_handover_forget(seat->fleet->options.paths->host, exit->pid);
    wisp_shared_worker_reset(seat->fleet->shared, seat->index);
    wisp_fleet_on_worker_gone(seat);
    wisp_fleet_provider_worker_gone(seat);
    return !seat->fleet->is_draining;
}

static void on_state(struct wisp_child *child, void *env)
{
    (void)child;
    struct wisp_seat *seat = env;
    struct wisp_fleet *fleet = seat->fleet;
    /* The child has its end by now, or never will. */
    wisp_fd_closep(&seat->orders_fd);
    wisp_fleet_hold_listeners(seat);
    if (!fleet->is_draining || !fleet->on_drained) return;
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (wisp_child_state(fleet->seats[i].child) != WISP_CHILD_DOWN) return;
    void (*on_drained)(void *) = WISP_TAKE(fleet->on_drained);
    on_drained(fleet->drained_env);
}

static void add_seat(struct wisp_fleet *fleet, uint32_t index)
{
    struct wisp_seat *seat = &fleet->seats[index];
    char name[32];
    *seat = (struct wisp_seat){.fleet = fleet, .index = index, .config_fd = -1, .orders_fd = -1};
    snprintf(seat->number, sizeof seat->number, "%u", index + 1);
    snprintf(name, sizeof name, "worker %u", index + 1);
    memcpy(seat->argv, (const char *[]){"wisp", "worker", seat->number, fleet->options.lattice, NULL},
           sizeof seat->argv);
    seat->child = wisp_child_add(fleet->options.supervisor,
                                 &(struct wisp_child_options){
                                     .name = name,
                                     .running = "components",
                                     .policy = {.ready_timeout_ms = READY_TIMEOUT_MS,
                                                .ask_timeout_ms = fleet->options.drain_ms + TERM_AFTER_DRAIN_MS},
                                     .handler = {prepare, on_state, on_exit_worker, NULL},
                                     .env = seat,
                                 });
}

/* --- life --- */

int wisp_fleet_new(struct wisp_fleet **ret_fleet, uv_loop_t *loop, const struct wisp_fleet_options *options,
                   struct wisp_err *err)
{
    struct wisp_fleet *fleet = wisp_mem_calloc(1, sizeof *fleet);
    *fleet = (struct wisp_fleet){.options = *options, .loop = loop, .n_seats = options->n_workers};
    if (fleet->n_seats > WISP_SHARED_WORKERS_MAX) fleet->n_seats = WISP_SHARED_WORKERS_MAX;
    uint32_t n_components = options->components_max ? options->components_max : WISP_FLEET_COMPONENTS_MAX;
    int r = wisp_shared_new(&fleet->shared, fleet->n_seats, n_components, err);
    if (r < 0) {
        free(fleet);
        return r;
    }
    fleet->free_slots = wisp_mem_calloc(n_components, sizeof *fleet->free_slots);
    while (fleet->n_free_slots < n_components)
        fleet->free_slots[fleet->n_free_slots] = n_components - 1 - fleet->n_free_slots, fleet->n_free_slots++;
    uv_timer_init(loop, &fleet->retry);
    uv_timer_init(loop, &fleet->patience);
    fleet->retry.data = fleet->patience.data = fleet;
    wisp_fleet_take_over(fleet);
    fleet->seats = wisp_mem_calloc(fleet->n_seats, sizeof *fleet->seats);
    for (uint32_t i = 0; i < fleet->n_seats; i++) add_seat(fleet, i);
    for (uint32_t i = 0; i < fleet->n_seats; i++) wisp_child_start(fleet->seats[i].child);
    *ret_fleet = fleet;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct wisp_fleet *fleet = handle->data;
    if (++fleet->n_closed == 2) free(fleet);
}

void wisp_fleet_free(struct wisp_fleet *fleet)
{
    if (!fleet) return;
    for (uint32_t i = 0; i < fleet->n_seats; i++) {
        struct wisp_seat *seat = &fleet->seats[i];
        wisp_orders_free(seat->orders);
        wisp_fd_closep(&seat->config_fd);
        wisp_fd_closep(&seat->orders_fd);
    }
    wisp_fleet_free_components(fleet);
    wisp_fleet_free_providers(fleet);
    wisp_fleet_free_listeners(fleet);
    wisp_shared_free(fleet->shared);
    free(fleet->seats);
    free(fleet->free_slots);
    uv_close((uv_handle_t *)&fleet->retry, on_timer_closed);
    uv_close((uv_handle_t *)&fleet->patience, on_timer_closed);
}

void wisp_fleet_drain(struct wisp_fleet *fleet, void (*on_drained)(void *env), void *env)
{
    fleet->is_draining = true;
    fleet->on_drained = on_drained;
    fleet->drained_env = env;
    uv_timer_stop(&fleet->retry);
    wisp_fleet_end_compiling(fleet);
    bool any = false;
    for (uint32_t i = 0; i < fleet->n_seats; i++) {
        any = any || wisp_child_state(fleet->seats[i].child) != WISP_CHILD_DOWN;
        wisp_child_stop(fleet->seats[i].child);
    }
    if (any || !fleet->on_drained) return;
    fleet->on_drained = NULL;
    on_drained(env);
}

void wisp_fleet_set_log(struct wisp_fleet *fleet, int fd)
{
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (fleet->seats[i].is_ready)
            wisp_orders_send(fleet->seats[i].orders, json_pack("{s:s}", "do", "log"), fd);
}

uint32_t wisp_fleet_n_workers(const struct wisp_fleet *fleet) { return fleet->n_seats; }

bool wisp_fleet_is_serving(const struct wisp_fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (fleet->seats[i].is_ready) return true;
    return false;
}

const struct wisp_shared *wisp_fleet_shared(const struct wisp_fleet *fleet) { return fleet->shared; }
