/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/lattice_priv.h"

/* "1day 2h 3m 4s": as Rust programs of the lattice write durations. */
void wisp_lattice_uptime_text(uint64_t seconds, struct wisp_buf *out)
{
    enum { YEAR = 31557600, MONTH = 2630016, DAY = 86400 };
    const struct {
        uint64_t value;
        const char *one, *many;
    } parts[] = {
        {seconds / YEAR, "year", "years"},
        {seconds % YEAR / MONTH, "month", "months"},
        {seconds % YEAR % MONTH / DAY, "day", "days"},
        {seconds % YEAR % MONTH % DAY / 3600, "h", "h"},
        {seconds % YEAR % MONTH % DAY % 3600 / 60, "m", "m"},
        {seconds % YEAR % MONTH % DAY % 60, "s", "s"},
    };
    const char *gap = "";
    for (size_t i = 0; i < WISP_COUNT(parts); i++) {
        if (!parts[i].value) continue;
        wisp_buf_printf(out, "%s%llu%s", gap, (unsigned long long)parts[i].value,
                        parts[i].value == 1 ? parts[i].one : parts[i].many);
        gap = " ";
    }
    if (!*gap) wisp_buf_append_str(out, WISP_STR("0s"));
}

static void set_uptime(const struct wisp_lattice *lattice, uint64_t now_ms, json_t *to)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    uint64_t seconds = now_ms > lattice->start_ms ? (now_ms - lattice->start_ms) / 1000 : 0;
    wisp_lattice_uptime_text(seconds, &text);
    json_object_set_new(to, "uptime_human", wisp_json_text(wisp_buf_str(&text)));
    json_object_set_new(to, "uptime_seconds", json_integer((json_int_t)seconds));
}

json_t *wisp_lattice_host_json(const struct wisp_lattice *lattice)
{
    json_t *host = json_pack("{s:s, s:s, s:O, s:s}", "id", lattice->host_id, "friendly_name", lattice->friendly_name,
                             "labels", lattice->labels, "lattice", lattice->lattice);
    set_uptime(lattice, lattice->now.now_ms, host);
    json_object_set_new(host, "version", json_string(lattice->version));
    json_object_set_new(host, "ctl_host", json_string(lattice->ctl_host));
    json_object_set_new(host, "rpc_host", json_string(lattice->rpc_host));
    if (lattice->js_domain) json_object_set_new(host, "js_domain", json_string(lattice->js_domain));
    return host;
}

/* Ours alone: the original's readers ignore it. NULL: nothing. */
static json_t *own_json(const struct wisp_lattice_unit *unit, enum wisp_lattice_detail detail)
{
    json_t *own = wisp_lattice_process_state(unit);
    if (detail != WISP_LATTICE_FULL) return own;
    if (!own) own = json_object();
    if (unit->digest) json_object_set_new(own, "digest", wisp_json_text(wisp_str_from(unit->digest)));
    json_object_set(own, "config", unit->config_names);
    return own;
}

static json_t *unit_json(const struct wisp_lattice_unit *unit, enum wisp_lattice_detail detail)
{
    bool is_component = unit->kind == WISP_LATTICE_COMPONENT;
    json_t *json = json_object();
    const char *reference = is_component ? unit->reference : unit->plain_reference;
    json_object_set_new(json, "id", wisp_json_text(wisp_lattice_unit_id(unit)));
    json_object_set_new(json, "image_ref", wisp_json_text(wisp_str_from(reference)));
    struct wisp_str name = wisp_json_str(unit->claims, "name");
    if (name.len) json_object_set_new(json, "name", wisp_json_text(name));
    json_object_set_new(json, "annotations",
                        detail != WISP_LATTICE_BRIEF ? json_incref(unit->annotations) : json_object());
    json_int_t revision = json_integer_value(json_object_get(unit->claims, "revision"));
    json_object_set_new(json, "revision", json_integer(revision));
    if (is_component) json_object_set_new(json, "max_instances", json_integer(unit->instances_max));
    json_t *own = own_json(unit, detail);
    if (own) json_object_set_new(json, "wisp", own);
    return json;
}

static json_t *units_json(const struct wisp_table *table, enum wisp_lattice_detail detail)
{
    json_t *units = json_array();
    for (const struct wisp_lattice_unit *unit = wisp_table_first(table); unit; unit = wisp_table_next(table, unit))
        if (unit->is_running) json_array_append_new(units, unit_json(unit, detail));
    return units;
}

static json_t *inventory_at(const struct wisp_lattice *lattice, uint64_t now_ms, enum wisp_lattice_detail detail)
{
    json_t *inventory = json_pack("{s:s, s:s, s:s, s:O}", "host_id", lattice->host_id, "friendly_name",
                                  lattice->friendly_name, "version", lattice->version, "labels", lattice->labels);
    set_uptime(lattice, now_ms, inventory);
    json_object_set_new(inventory, "components", units_json(&lattice->components, detail));
    json_object_set_new(inventory, "providers", units_json(&lattice->providers, detail));
    return inventory;
}

json_t *wisp_lattice_inventory_json(const struct wisp_lattice *lattice, enum wisp_lattice_detail detail)
{
    return inventory_at(lattice, lattice->now.now_ms, detail);
}

json_t *wisp_lattice_inventory(const struct wisp_lattice *lattice, struct wisp_lattice_now now)
{
    return inventory_at(lattice, now.now_ms, WISP_LATTICE_HEARTBEAT);
}
