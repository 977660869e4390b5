/* SPDX-License-Identifier: Apache-2.0 */
/* Links on their way to a provider of this host. Publishing is all there is, no acknowledgement, and a process that is
 * just starting does not listen yet: what is sent before its first sign of health is sent once more then. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum { AGAIN_FIRST_MS = 200, AGAIN_MAX_MS = 30000 };

struct delivery {
    struct wisp_table_entry entry; /* in unit->deliveries, by the link's identity */
    struct wisp_lattice_unit *unit;
    struct wisp_lattice_resolve resolve;
    struct wisp_lattice_timer again;
    json_t *link, *source_config, *source_secrets;
    uint32_t tries;
};

static void cancel(struct delivery *delivery)
{
    wisp_lattice_resolve_deinit(&delivery->resolve);
    wisp_lattice_timer_disarm(delivery->unit->lattice, &delivery->again);
    json_decref(WISP_TAKE(delivery->link));
    json_decref(WISP_TAKE(delivery->source_config));
    json_decref(WISP_TAKE(delivery->source_secrets));
}

static void delivery_free(struct delivery *delivery)
{
    cancel(delivery);
    wisp_table_remove(&delivery->unit->deliveries, &delivery->entry);
    free(delivery);
}

void wisp_lattice_deliveries_forget(struct wisp_lattice_unit *unit)
{
    for (struct delivery *delivery; (delivery = wisp_table_first(&unit->deliveries));) delivery_free(delivery);
}

static void begin(struct delivery *delivery);

static void on_again(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    begin(env);
}

static void try_later(struct delivery *delivery, const struct wisp_err *err)
{
    struct wisp_lattice_unit *unit = delivery->unit;
    if (!delivery->tries)
        wisp_lattice_log(unit->lattice, WISP_LOG_WARN,
                         "link `%.*s` from `%.*s` can't be given to provider `%.*s` yet: %s",
                         WISP_STR_ARG(wisp_json_str(delivery->link, "name")),
                         WISP_STR_ARG(wisp_json_str(delivery->link, "source_id")),
                         WISP_STR_ARG(wisp_lattice_unit_id(unit)), err->text);
    uint64_t pause = wisp_lattice_backoff_ms(unit->lattice, ++delivery->tries, AGAIN_FIRST_MS, AGAIN_MAX_MS);
    wisp_lattice_timer_arm(unit->lattice, &delivery->again, pause, on_again, delivery);
}

static void target_resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env)
{
    struct delivery *delivery = env;
    struct wisp_lattice_unit *unit = delivery->unit;
    struct wisp_lattice *lattice = unit->lattice;
    if (err) {
        try_later(delivery, err);
        return;
    }
    WISP_CLEANUP_JSON json_t *wire = wisp_lattice_link_wire(delivery->link, delivery->source_config, resolve->config);
    json_object_set_new(wire, "source_secrets",
                        wisp_lattice_secrets_seal(lattice, delivery->source_secrets, &unit->xkey));
    json_object_set_new(wire, "target_secrets", wisp_lattice_secrets_seal(lattice, resolve->secrets, &unit->xkey));
    wisp_lattice_publish(lattice, wisp_lattice_rpc_subject(lattice, wisp_str_from(unit->xkey_text), "linkdefs.put"),
                         wire);
    cancel(delivery);
    if (unit->was_checked && lattice->is_connected) delivery_free(delivery);
}

static void source_resolved(struct wisp_lattice_resolve *resolve, const struct wisp_err *err, void *env)
{
    struct delivery *delivery = env;
    if (err) {
        try_later(delivery, err);
        return;
    }
    struct wisp_lattice_unit *unit = delivery->unit;
    delivery->source_config = WISP_TAKE(resolve->config);
    delivery->source_secrets = WISP_TAKE(resolve->secrets);
    wisp_lattice_resolve_begin(unit->lattice, &delivery->resolve, json_object_get(delivery->link, "target_config"),
                               unit->claims, unit->annotations, false, target_resolved, delivery);
}

static void begin(struct delivery *delivery)
{
    struct wisp_lattice_unit *unit = delivery->unit;
    const struct wisp_lattice_link *link = wisp_lattice_link_find(unit->lattice, delivery->entry.key);
    cancel(delivery);
    if (!link) {
        delivery_free(delivery);
        return;
    }
    if (!unit->is_running) return; /* its start repeats what waits */
    delivery->link = json_incref(link->json);
    wisp_lattice_resolve_begin(unit->lattice, &delivery->resolve, json_object_get(delivery->link, "source_config"),
                               unit->claims, unit->annotations, false, source_resolved, delivery);
}

void wisp_lattice_deliver(struct wisp_lattice_unit *unit, struct wisp_str identity)
{
    struct delivery *delivery = wisp_table_get(&unit->deliveries, identity);
    if (!delivery) {
        delivery = wisp_mem_calloc(1, sizeof *delivery);
        delivery->unit = unit;
        wisp_table_add(&unit->deliveries, identity, &delivery->entry);
    }
    delivery->tries = 0;
    begin(delivery);
}

void wisp_lattice_deliveries_repeat(struct wisp_lattice_unit *unit)
{
    struct delivery *next;
    for (struct delivery *delivery = wisp_table_first(&unit->deliveries); delivery; delivery = next) {
        next = wisp_table_next(&unit->deliveries, delivery);
        delivery->tries = 0;
        begin(delivery);
    }
}
