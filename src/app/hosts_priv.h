/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the lattice (hosts.c, running.c, events.c, view.c). */
#pragma once

#include "app/app.h"
#include "base/json.h"

/* What runs on a host. */
struct wisp_app_unit {
    struct wisp_app_instance instance;
    char *id, *reference, *trouble; /* that its texts are */
    uint32_t inventory;             /* number of the last one of its host that had it */
    struct wisp_link of_host;
};

struct wisp_app_known_host {
    struct wisp_app_host host; /* as the planner sees it */
    char *id, *friendly_name;
    json_t *labels;
    struct wisp_map units[2]; /* [is_provider]: id to struct wisp_app_unit */
    struct wisp_link all_units;
    uint64_t heard_ms, beat_ms; /* beat: of a manager like this one; 0: none yet */
    uint64_t ask_ms;            /* when to ask for its inventory again, while there is none */
    bool has_inventory;
    bool is_passive;            /* its manager never leads */
    bool is_asking, asks_again; /* its inventory; and again after that */
    uint32_t inventory;         /* number of the last one */
    uint64_t digest;            /* of the heartbeat that says all that is known; 0: none */
    struct wisp_app_known_host *next;
};

struct wisp_app_known_host *wisp_app_host_find(const struct wisp_app *app, struct wisp_str id);
/* NULL when the id can't be one, or there are too many. */
struct wisp_app_known_host *wisp_app_host_need(struct wisp_app *app, struct wisp_str id);
/* It is there. */
void wisp_app_host_heard(struct wisp_app *app, struct wisp_app_known_host *host);
void wisp_app_host_set_draining(struct wisp_app *app, struct wisp_app_known_host *host, bool is_draining);
void wisp_app_host_forget(struct wisp_app *app, struct wisp_app_known_host *host);
/* Asks it what it runs. */
void wisp_app_host_ask(struct wisp_app *app, struct wisp_app_known_host *host);
/* `is_heartbeat`: which may leave out annotations. */
void wisp_app_host_take(struct wisp_app *app, struct wisp_app_known_host *host, const json_t *inventory,
                        bool is_heartbeat);
void wisp_app_hosts_on_beat(struct wisp_app *app, const struct wisp_bus_message *message);
/* An answer to a ping of all hosts. */
void wisp_app_hosts_on_pong(struct wisp_app *app, const struct wisp_bus_message *message);
/* The bus is back: everybody's silence begins now, and all are asked who they are. */
void wisp_app_hosts_begin(struct wisp_app *app);
/* Hears what happens on hosts, or forgets them: whoever leads, or may have to at once, needs to know. */
void wisp_app_hosts_follow(struct wisp_app *app, bool follows);
/* This manager leads from now on, so it is the one that asks. */
void wisp_app_hosts_ask_all(struct wisp_app *app);
/* Of all that are not silent it is known what they run. */
bool wisp_app_hosts_are_known(const struct wisp_app *app);
/* Those of which it is known what they run, by id, ascending. Valid until the next call on the manager. */
const struct wisp_app_host *const *wisp_app_hosts_list(struct wisp_app *app, size_t *ret_n);
/* Those that were silent for too long are unknown, then gone. When to look again. */
uint64_t wisp_app_hosts_tick(struct wisp_app *app);
void wisp_app_hosts_say_draining(struct wisp_app *app);
void wisp_app_hosts_deinit(struct wisp_app *app);

struct wisp_app_unit *wisp_app_unit_find(const struct wisp_app_known_host *host, bool is_provider, struct wisp_str id);
/* It runs so: `id`, `reference`, `count`, `annotations` and `is_provider` of what is given. NULL: there are too many.
 */
struct wisp_app_unit *wisp_app_unit_put(struct wisp_app *app, struct wisp_app_known_host *host,
                                        const struct wisp_app_instance *now);
void wisp_app_unit_set_health(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_app_unit *unit,
                              int health, struct wisp_str trouble);
void wisp_app_unit_remove(struct wisp_app *app, struct wisp_app_known_host *host, struct wisp_app_unit *unit);
void wisp_app_units_clear(struct wisp_app *app, struct wisp_app_known_host *host);

void wisp_app_on_event(struct wisp_app *app, const struct wisp_bus_message *message);

void wisp_app_view_on_state(struct wisp_app *app, int bucket, struct wisp_str key, const struct wisp_str *value);
void wisp_app_view_clear(struct wisp_app *app);
