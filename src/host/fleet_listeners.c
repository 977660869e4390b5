/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of the built-in HTTP server. Every worker has a listening socket of its own for each, and the control
 * process keeps a copy while the worker runs or is back within a second, so that connections which nobody has accepted
 * yet survive their worker.
 *
 * Workers that an earlier control process left behind go on serving until ours have taken over their sockets and run
 * what the routes lead to. */
#include "host/fleet_priv.h"

#include "base/json.h"
#include "base/log.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    RETRY_MS = 5000,
    TAKE_TIMEOUT_MS = 10 * 1000, /* for all old workers: a busy machine lets one stand still for a while */
    TAKE_TIMEOUT_MIN_MS = 1000,  /* for each */
    PATIENCE_MS = 20 * 1000,
    OLD_MAX = 4 * WISP_SHARED_WORKERS_MAX,
};

/* --- sockets --- */

static int *find_old(struct wisp_fleet *fleet, const char *address)
{
    for (size_t i = 0; i < fleet->n_old; i++)
        for (size_t j = 0; j < fleet->old[i].n_listeners; j++) {
            struct wisp_handover_listener *old = &fleet->old[i].listeners[j];
            if (old->fd >= 0 && strcmp(old->address, address) == 0) return &old->fd;
        }
    return NULL;
}

/* Makes the address ours: the first socket. */
static int claim(struct wisp_fleet *fleet, struct wisp_fleet_listener *listener, struct wisp_err *err)
{
    if (listener->is_claimed) return 0;
    int r = wisp_listen_address_parse(wisp_str_from(listener->address), &listener->parsed, err);
    if (r < 0) return r;
    if (!find_old(fleet, listener->address)) r = wisp_listen_claim(&listener->parsed, &listener->fds[0], err);
    listener->is_claimed = r == 0;
    return r;
}

static int socket_for(struct wisp_fleet *fleet, struct wisp_fleet_listener *listener, uint32_t seat,
                      struct wisp_err *err)
{
    if (listener->fds[seat] >= 0) return 0;
    int *old = find_old(fleet, listener->address);
    if (old) {
        listener->fds[seat] = WISP_TAKE_FD(*old);
        return 0;
    }
    return wisp_listen_share(&listener->parsed, &listener->fds[seat], err);
}

static void report(struct wisp_fleet_listener *listener, const struct wisp_err *err)
{
    if (!listener->was_reported)
        WISP_LOG(ERROR, "host", "can't listen; trying again", WISP_TEXT("address", listener->address),
                 WISP_TEXT("error", err->text));
    listener->was_reported = true;
}

/* False: try again later. */
static bool tell_listener(struct wisp_seat *seat, struct wisp_fleet_listener *listener)
{
    struct wisp_err err = {0};
    if (listener->is_told[seat->index]) return true;
    if (claim(seat->fleet, listener, &err) < 0 || socket_for(seat->fleet, listener, seat->index, &err) < 0) {
        report(listener, &err);
        return false;
    }
    listener->was_reported = false;
    wisp_orders_send(seat->orders, json_pack("{s:s,s:s}", "do", "listen", "address", listener->address),
                     listener->fds[seat->index]);
    listener->is_told[seat->index] = true;
    return true;
}

void wisp_fleet_forget_told(struct wisp_seat *seat)
{
    for (struct wisp_fleet_listener *listener = seat->fleet->listeners; listener; listener = listener->next)
        listener->is_told[seat->index] = false;
}

static void on_retry(uv_timer_t *timer)
{
    struct wisp_fleet *fleet = timer->data;
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (fleet->seats[i].is_ready) wisp_fleet_tell_listeners(&fleet->seats[i]);
}

void wisp_fleet_tell_listeners(struct wisp_seat *seat)
{
    struct wisp_fleet *fleet = seat->fleet;
    if (fleet->routes) wisp_orders_send(seat->orders, json_incref(fleet->routes), -1);
    if (fleet->holds_back) return;
    bool is_complete = true;
    for (struct wisp_fleet_listener *listener = fleet->listeners; listener; listener = listener->next)
        is_complete = tell_listener(seat, listener) && is_complete;
    if (!is_complete && !fleet->is_draining) uv_timer_start(&fleet->retry, on_retry, RETRY_MS, 0);
}

void wisp_fleet_hold_listeners(struct wisp_seat *seat)
{
    if (wisp_listen_is_held_for(seat->child)) return;
    for (struct wisp_fleet_listener *listener = seat->fleet->listeners; listener; listener = listener->next)
        wisp_fd_closep(&listener->fds[seat->index]);
}

/* --- routes --- */

static struct wisp_fleet_listener *listener_for(struct wisp_fleet *fleet, struct wisp_str address)
{
    for (struct wisp_fleet_listener *listener = fleet->listeners; listener; listener = listener->next)
        if (wisp_str_is(address, listener->address)) return listener;
    struct wisp_fleet_listener *listener = wisp_mem_calloc(1, sizeof *listener);
    listener->address = wisp_mem_dup(address);
    listener->fds = wisp_mem_alloc(fleet->n_seats * sizeof *listener->fds);
    listener->is_told = wisp_mem_calloc(fleet->n_seats, sizeof *listener->is_told);
    for (uint32_t i = 0; i < fleet->n_seats; i++) listener->fds[i] = -1;
    listener->next = fleet->listeners;
    fleet->listeners = listener;
    return listener;
}

static void free_listener(struct wisp_fleet *fleet, struct wisp_fleet_listener *listener)
{
    for (uint32_t i = 0; i < fleet->n_seats; i++) wisp_fd_closep(&listener->fds[i]);
    free(listener->fds);
    free(listener->is_told);
    free(listener->address);
    free(listener);
}

static void drop_unwanted(struct wisp_fleet *fleet)
{
    for (struct wisp_fleet_listener **at = &fleet->listeners; *at;) {
        struct wisp_fleet_listener *listener = *at;
        if (listener->is_wanted) {
            at = &listener->next;
            continue;
        }
        *at = listener->next;
        json_t *order = json_pack("{s:s,s:s}", "do", "unlisten", "address", listener->address);
        wisp_fleet_tell(fleet, order);
        json_decref(order);
        free_listener(fleet, listener);
    }
}

static json_t *route_to_json(const struct wisp_lattice_route *route)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:O}", "address", wisp_json_text(route->address), "host",
                     wisp_json_text(route->host), "path", wisp_json_text(route->path), "component",
                     wisp_json_text(route->component), "settings", route->settings);
}

void wisp_fleet_set_routes(struct wisp_fleet *fleet, const struct wisp_lattice_route *routes, size_t n_routes)
{
    json_t *all = json_array();
    for (struct wisp_fleet_listener *listener = fleet->listeners; listener; listener = listener->next)
        listener->is_wanted = false;
    for (size_t i = 0; i < n_routes; i++) {
        listener_for(fleet, routes[i].address)->is_wanted = true;
        json_array_append_new(all, route_to_json(&routes[i]));
    }
    json_decref(fleet->routes);
    fleet->routes = json_pack("{s:s,s:o}", "do", "routes", "routes", all);
    drop_unwanted(fleet);
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (fleet->seats[i].is_ready) wisp_fleet_tell_listeners(&fleet->seats[i]);
    wisp_fleet_check_old(fleet);
}

void wisp_fleet_free_listeners(struct wisp_fleet *fleet)
{
    while (fleet->listeners) {
        struct wisp_fleet_listener *listener = fleet->listeners;
        fleet->listeners = listener->next;
        free_listener(fleet, listener);
    }
    for (size_t i = 0; i < fleet->n_old; i++) wisp_handover_taken_deinit(&fleet->old[i]);
    free(fleet->old);
    json_decref(fleet->routes);
}

/* --- workers that were left behind --- */

static void release_old(struct wisp_fleet *fleet)
{
    fleet->holds_back = false;
    uv_timer_stop(&fleet->patience);
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (fleet->seats[i].is_ready) wisp_fleet_tell_listeners(&fleet->seats[i]);
    for (size_t i = 0; i < fleet->n_old; i++) {
        wisp_handover_drain(&fleet->old[i]);
        wisp_handover_taken_deinit(&fleet->old[i]);
    }
    fleet->n_old = 0;
}

static void on_impatient(uv_timer_t *timer)
{
    WISP_LOG(WARN, "host", "not all that was served before is ready; ending the old workers nevertheless");
    release_old(timer->data);
}

static bool are_routes_ready(const struct wisp_fleet *fleet)
{
    size_t i;
    json_t *route;
    json_array_foreach(json_object_get(fleet->routes, "routes"), i, route)
    {
        const struct wisp_fleet_component *component =
            wisp_map_get(&fleet->components, wisp_json_str(route, "component"));
        if (!component || !wisp_fleet_component_is_ready(fleet, component)) return false;
    }
    return true;
}

void wisp_fleet_check_old(struct wisp_fleet *fleet)
{
    if (!fleet->holds_back || !fleet->routes || !json_array_size(json_object_get(fleet->routes, "routes"))) return;
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (!fleet->seats[i].is_ready) return;
    if (are_routes_ready(fleet)) release_old(fleet);
}

void wisp_fleet_on_worker_ready(struct wisp_seat *seat) { wisp_fleet_check_old(seat->fleet); }

static uint32_t until_ms(uint64_t deadline_ms)
{
    uint64_t now_ms = uv_hrtime() / 1000000;
    return now_ms + TAKE_TIMEOUT_MIN_MS < deadline_ms ? (uint32_t)(deadline_ms - now_ms) : TAKE_TIMEOUT_MIN_MS;
}

void wisp_fleet_take_over(struct wisp_fleet *fleet)
{
    uint64_t deadline_ms = uv_hrtime() / 1000000 + TAKE_TIMEOUT_MS;
    DIR *directory = opendir(fleet->options.paths->host);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)) && fleet->n_old < OLD_MAX) {
        char path[WISP_PATH_MAX + 300];
        struct wisp_err err = {0};
        struct wisp_str name = wisp_str_from(entry->d_name);
        if (!wisp_str_starts_with(name, WISP_STR("worker-")) || !wisp_str_ends_with(name, WISP_STR(".sock"))) continue;
        snprintf(path, sizeof path, "%s/%s", fleet->options.paths->host, entry->d_name);
        fleet->old = wisp_mem_realloc(fleet->old, (fleet->n_old + 1) * sizeof *fleet->old);
        if (wisp_handover_take(&fleet->old[fleet->n_old], path, until_ms(deadline_ms), &err) == 0)
            fleet->n_old++;
        else if (err.kind == WISP_ERR_UNAVAILABLE)
            unlink(path);
        else
            WISP_LOG(WARN, "host", "a worker of an earlier run can't be taken over from", WISP_TEXT("error", err.text));
    }
    if (directory) closedir(directory);
    fleet->holds_back = fleet->n_old > 0;
    if (!fleet->holds_back) return;
    WISP_LOG(INFO, "host", "taking over from workers of an earlier run", WISP_INT("workers", fleet->n_old));
    uv_timer_start(&fleet->patience, on_impatient, PATIENCE_MS, 0);
}
