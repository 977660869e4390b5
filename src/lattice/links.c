/* SPDX-License-Identifier: Apache-2.0 */
/* Links as found in specs: looked up by identity, by source (their record) and by target. */
#include "lattice/lattice_priv.h"

#include "base/log.h"

#include <stdlib.h>

static const struct wisp_lattice_field link_fields[] = {
    {"source_id", WISP_LATTICE_TEXT, true},       {"target", WISP_LATTICE_TEXT, true},
    {"name", WISP_LATTICE_TEXT, false},           {"wit_namespace", WISP_LATTICE_TEXT, true},
    {"wit_package", WISP_LATTICE_TEXT, true},     {"interfaces", WISP_LATTICE_TEXTS, false},
    {"source_config", WISP_LATTICE_TEXTS, false}, {"target_config", WISP_LATTICE_TEXTS, false},
};

static struct wisp_str name_of(const json_t *link)
{
    struct wisp_str name = wisp_json_str(link, "name");
    return name.len ? name : WISP_STR("default");
}

static void copy_field(json_t *to, const json_t *from, const char *key)
{
    json_object_set_new(to, key, wisp_json_text(wisp_json_str(from, key)));
}

json_t *wisp_lattice_link_parse(const json_t *value, struct wisp_str source)
{
    if (wisp_lattice_fields_check(value, link_fields, WISP_COUNT(link_fields), NULL) < 0) return NULL;
    if (!wisp_str_equal(wisp_json_str(value, "source_id"), source)) return NULL;
    json_t *link = json_object();
    copy_field(link, value, "source_id");
    copy_field(link, value, "target");
    json_object_set_new(link, "name", wisp_json_text(name_of(value)));
    copy_field(link, value, "wit_namespace");
    copy_field(link, value, "wit_package");
    json_object_set_new(link, "interfaces", wisp_lattice_list_of(value, "interfaces"));
    json_object_set_new(link, "source_config", wisp_lattice_list_of(value, "source_config"));
    json_object_set_new(link, "target_config", wisp_lattice_list_of(value, "target_config"));
    return link;
}

void wisp_lattice_link_identity(const json_t *link, struct wisp_buf *out)
{
    const struct wisp_str parts[] = {wisp_json_str(link, "source_id"), wisp_json_str(link, "wit_namespace"),
                                     wisp_json_str(link, "wit_package"), name_of(link), wisp_json_str(link, "target")};
    for (size_t i = 0; i < WISP_COUNT(parts); i++) {
        if (i) wisp_buf_append_char(out, '\n');
        wisp_buf_append_str(out, parts[i]);
    }
}

bool wisp_lattice_link_is_same(const json_t *a, const json_t *b)
{
    return wisp_str_equal(wisp_json_str(a, "wit_namespace"), wisp_json_str(b, "wit_namespace")) &&
           wisp_str_equal(wisp_json_str(a, "wit_package"), wisp_json_str(b, "wit_package")) &&
           wisp_str_equal(name_of(a), name_of(b));
}

struct wisp_lattice_link *wisp_lattice_link_find(struct wisp_lattice *lattice, struct wisp_str identity)
{
    return wisp_table_get(&lattice->links, identity);
}

struct wisp_lattice_end *wisp_lattice_end_find(struct wisp_lattice *lattice, struct wisp_str id)
{
    return wisp_table_get(&lattice->ends, id);
}

json_t *wisp_lattice_link_wire(const json_t *link, json_t *source_config, json_t *target_config)
{
    json_t *wire = json_object();
    copy_field(wire, link, "source_id");
    copy_field(wire, link, "target");
    json_object_set_new(wire, "name", wisp_json_text(name_of(link)));
    copy_field(wire, link, "wit_namespace");
    copy_field(wire, link, "wit_package");
    json_object_set_new(wire, "interfaces", wisp_lattice_list_of(link, "interfaces"));
    json_object_set_new(wire, "source_config", source_config ? json_incref(source_config) : json_object());
    json_object_set_new(wire, "target_config", target_config ? json_incref(target_config) : json_object());
    json_object_set_new(wire, "source_secrets", json_null());
    json_object_set_new(wire, "target_secrets", json_null());
    return wire;
}

struct wisp_str wisp_lattice_rpc_subject(struct wisp_lattice *lattice, struct wisp_str id, const char *tail)
{
    const char *text =
        wisp_arena_printf(&lattice->arena, "wasmbus.rpc.%s.%.*s.%s", lattice->lattice, WISP_STR_ARG(id), tail);
    return wisp_str_from(text);
}

void wisp_lattice_link_tell_gone(struct wisp_lattice *lattice, const json_t *link, struct wisp_str id)
{
    if (!wisp_lattice_is_id(id)) return;
    WISP_CLEANUP_JSON json_t *wire = wisp_lattice_link_wire(link, NULL, NULL);
    wisp_lattice_publish(lattice, wisp_lattice_rpc_subject(lattice, id, "linkdefs.del"), wire);
}

json_t *wisp_lattice_links_united(json_t *value, const json_t *old)
{
    WISP_CLEANUP_JSON json_t *known = json_object();
    WISP_CLEANUP_BUF struct wisp_buf identity = {0};
    const json_t *new_links = json_object_get(value, "links"), *old_links = json_object_get(old, "links");
    WISP_CLEANUP_JSON json_t *missing = json_array();
    for (size_t i = 0; i < json_array_size(new_links); i++) {
        identity.len = 0;
        wisp_lattice_link_identity(json_array_get(new_links, i), &identity);
        json_object_setn_new_nocheck(known, identity.data, identity.len, json_true());
    }
    for (size_t i = 0; i < json_array_size(old_links); i++) {
        json_t *link = json_array_get(old_links, i);
        identity.len = 0;
        wisp_lattice_link_identity(link, &identity);
        if (!json_object_getn(known, identity.data, identity.len)) json_array_append(missing, link);
    }
    if (!json_array_size(missing)) return NULL;
    json_t *united = json_copy(value);
    json_t *links = json_is_array(new_links) ? json_copy(json_object_get(value, "links")) : json_array();
    json_array_extend(links, missing);
    json_object_set_new(united, "links", links);
    return united;
}

/* --- changes --- */

static void join_end(struct wisp_lattice *lattice, struct wisp_lattice_link *link)
{
    struct wisp_str id = wisp_json_str(link->json, "target");
    link->target = wisp_lattice_end_find(lattice, id);
    if (!link->target) {
        link->target = wisp_mem_calloc(1, sizeof *link->target);
        wisp_ring_init(&link->target->links);
        wisp_table_add(&lattice->ends, id, &link->target->entry);
    }
    wisp_ring_append(&link->target->links, &link->of_target);
}

static void leave_end(struct wisp_lattice *lattice, struct wisp_lattice_link *link)
{
    wisp_ring_remove(&link->of_target);
    if (!wisp_ring_is_empty(&link->target->links)) return;
    wisp_table_remove(&lattice->ends, &link->target->entry);
    free(link->target);
}

/* A provider of this host that is one of the link's ends. */
static struct wisp_lattice_unit *local_end(struct wisp_lattice *lattice, const json_t *link, const char *key)
{
    struct wisp_lattice_unit *unit = wisp_lattice_provider_find(lattice, wisp_json_str(link, key));
    return unit && unit->kind == WISP_LATTICE_PROVIDER ? unit : NULL;
}

static const char *const end_keys[] = {"source_id", "target"};

static void touch_builtins(struct wisp_lattice *lattice, const json_t *link)
{
    for (size_t i = 0; i < WISP_COUNT(end_keys); i++) {
        struct wisp_lattice_unit *unit = wisp_lattice_provider_find(lattice, wisp_json_str(link, end_keys[i]));
        if (unit && unit->kind == WISP_LATTICE_BUILTIN) wisp_lattice_builtin_touch(unit);
    }
}

static void deliver(struct wisp_lattice *lattice, const struct wisp_lattice_link *link)
{
    for (size_t i = 0; i < WISP_COUNT(end_keys); i++) {
        struct wisp_lattice_unit *unit = local_end(lattice, link->json, end_keys[i]);
        if (unit) wisp_lattice_deliver(unit, link->entry.key);
    }
    touch_builtins(lattice, link->json);
}

static void drop(struct wisp_lattice *lattice, struct wisp_lattice_link *link)
{
    /* Whoever handled link.del has told the providers. A host that was away then tells its own. */
    for (size_t i = 0; lattice->is_uncertain && i < WISP_COUNT(end_keys); i++)
        if (local_end(lattice, link->json, end_keys[i]))
            wisp_lattice_link_tell_gone(lattice, link->json, wisp_json_str(link->json, end_keys[i]));
    touch_builtins(lattice, link->json);
    leave_end(lattice, link);
    wisp_ring_remove(&link->of_source);
    wisp_table_remove(&lattice->links, &link->entry);
    json_decref(link->json);
    free(link);
}

/* Returns whether anything is new. Takes `json` over. */
static bool take_link(struct wisp_lattice_record *record, json_t *json)
{
    struct wisp_lattice *lattice = record->lattice;
    WISP_CLEANUP_BUF struct wisp_buf identity = {0};
    wisp_lattice_link_identity(json, &identity);
    struct wisp_lattice_link *link = wisp_lattice_link_find(lattice, wisp_buf_str(&identity));
    bool is_known = link && (json_equal(link->json, json) || !link->is_stale); /* or told twice in one spec */
    if (link) link->is_stale = false;
    if (is_known || (!link && lattice->links.count >= lattice->links_max)) {
        if (!is_known && !lattice->has_said_links_full)
            wisp_lattice_log(lattice, WISP_LOG_ERROR, "the lattice has more than %u links: the others do nothing here",
                             lattice->links_max);
        lattice->has_said_links_full |= !is_known;
        json_decref(json);
        return false;
    }
    if (link) {
        json_decref(link->json);
        link->json = json;
    } else {
        link = wisp_mem_calloc(1, sizeof *link);
        link->record = record;
        link->json = json;
        wisp_table_add(&lattice->links, wisp_buf_str(&identity), &link->entry);
        wisp_ring_append(&record->links, &link->of_source);
        join_end(lattice, link);
    }
    deliver(lattice, link);
    return true;
}

static bool drop_stale(struct wisp_lattice_record *record)
{
    bool has_dropped = false;
    WISP_RING_EACH(at, &record->links)
    {
        struct wisp_lattice_link *link = WISP_OWNER(at, struct wisp_lattice_link, of_source);
        if (!link->is_stale) continue;
        drop(record->lattice, link);
        has_dropped = true;
    }
    return has_dropped;
}

void wisp_lattice_links_changed(struct wisp_lattice_record *record)
{
    struct wisp_lattice *lattice = record->lattice;
    struct wisp_str source = wisp_lattice_spec_id(record);
    const json_t *links = json_object_get(record->value, "links");
    bool is_changed = false;
    WISP_RING_EACH(at, &record->links) WISP_OWNER(at, struct wisp_lattice_link, of_source)->is_stale = true;
    for (size_t i = 0; i < json_array_size(links); i++) {
        json_t *json = wisp_lattice_link_parse(json_array_get(links, i), source);
        if (json) is_changed |= take_link(record, json);
    }
    is_changed |= drop_stale(record);
    if (!is_changed) return;
    struct wisp_lattice_unit *component = wisp_lattice_component_find(lattice, source);
    struct wisp_lattice_unit *provider = wisp_lattice_provider_find(lattice, source);
    if (component) wisp_lattice_unit_touch(component);
    if (provider && provider->kind == WISP_LATTICE_HTTP_SERVER) wisp_lattice_routes_touch(lattice);
}
