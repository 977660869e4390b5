/* SPDX-License-Identifier: Apache-2.0 */
/* Named configs: maps of texts that components, providers and links name. */
#include "lattice/lattice_priv.h"

#include <stdlib.h>

bool wisp_lattice_is_secret(struct wisp_str name) { return wisp_str_starts_with(name, WISP_LATTICE_SECRET_PREFIX); }

static struct wisp_str text_at(const json_t *list, size_t i)
{
    const json_t *text = json_array_get(list, i);
    return (struct wisp_str){json_string_value(text), json_string_length(text)};
}

int wisp_lattice_config_merge(struct wisp_lattice *lattice, const json_t *names, bool may_miss, json_t **ret_config,
                              struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *merged = json_object();
    for (size_t i = 0; i < json_array_size(names); i++) {
        struct wisp_str name = text_at(names, i);
        if (wisp_lattice_is_secret(name)) continue;
        struct wisp_lattice_record *record = wisp_lattice_record_find(lattice, WISP_LATTICE_CONFIG, name);
        if (record && record->value)
            json_object_update(merged, record->value);
        else if (!may_miss)
            return wisp_err_set(err, WISP_ERR_NOT_FOUND, "config `%.*s` not found", WISP_STR_ARG(name));
    }
    *ret_config = WISP_TAKE(merged);
    return 0;
}

/* --- who uses what --- */

static void uses_clear(struct wisp_lattice_unit *unit)
{
    for (size_t i = 0; i < unit->n_uses; i++) {
        wisp_ring_remove(&unit->uses[i].link);
        wisp_lattice_record_settle(unit->uses[i].record);
    }
    free(unit->uses);
    unit->uses = NULL;
    unit->n_uses = 0;
}

void wisp_lattice_uses_set(struct wisp_lattice_unit *unit, const json_t *names)
{
    uses_clear(unit);
    size_t n = json_array_size(names);
    if (!n) return;
    unit->uses = wisp_mem_calloc(n, sizeof *unit->uses);
    for (size_t i = 0; i < n; i++) {
        struct wisp_lattice_use *use = &unit->uses[unit->n_uses];
        use->record = wisp_lattice_record_need(unit->lattice, WISP_LATTICE_CONFIG, text_at(names, i));
        if (!use->record) continue;
        use->unit = unit;
        wisp_ring_append(&use->record->uses, &use->link);
        unit->n_uses++;
    }
}

void wisp_lattice_config_changed(struct wisp_lattice_record *record)
{
    if (record->in_routes.next) wisp_lattice_routes_touch(record->lattice);
    WISP_RING_EACH(at, &record->uses)
    wisp_lattice_unit_touch(WISP_OWNER(at, struct wisp_lattice_use, link)->unit);
}

/* --- requests --- */

/* A config.put or config.del on its way to the state. */
struct change {
    struct wisp_lattice *lattice;
    struct wisp_link link; /* in lattice->config_changes */
    struct wisp_lattice_call call;
    struct wisp_lattice_asker reply;
    char *name;
    json_t *value; /* NULL: delete */
    uint64_t epoch;
};

static void change_free(struct change *change)
{
    wisp_ring_remove(&change->link);
    wisp_lattice_call_forget(change->lattice, &change->call);
    wisp_lattice_asker_deinit(&change->reply);
    json_decref(change->value);
    change->lattice->n_edits--;
    free(change->name);
    free(change);
}

void wisp_lattice_config_changes_free(struct wisp_lattice *lattice)
{
    WISP_RING_EACH(at, &lattice->config_changes) change_free(WISP_OWNER(at, struct change, link));
}

static void on_written(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct change *change = env;
    struct wisp_lattice *lattice = change->lattice;
    if (done->err.kind) {
        struct wisp_err err = done->err;
        wisp_err_wrap(&err, "config `%s` could not be %s", change->name, change->value ? "written" : "deleted");
        wisp_lattice_refuse(lattice, &change->reply, err.text);
        change_free(change);
        return;
    }
    wisp_lattice_record_accept(lattice, WISP_LATTICE_CONFIG, wisp_str_from(change->name), change->value, done->revision,
                               change->epoch);
    wisp_lattice_event(lattice, change->value ? "config_set" : "config_deleted",
                       json_pack("{s:s}", "config_name", change->name));
    wisp_lattice_answer(lattice, &change->reply,
                        change->value ? "successfully put config" : "successfully deleted config", NULL);
    change_free(change);
}

/* Configs are written whole: the last one wins, so there is no revision to compare. `value` is taken over. */
static void begin(struct wisp_lattice *lattice, struct wisp_lattice_command *command, json_t *value)
{
    struct change *change = wisp_mem_calloc(1, sizeof *change);
    change->lattice = lattice;
    change->reply = command->reply;
    command->reply = (struct wisp_lattice_asker){0};
    change->name = wisp_mem_dup(command->name);
    change->value = value;
    change->epoch = lattice->epoch;
    lattice->n_edits++;
    wisp_ring_append(&lattice->config_changes, &change->link);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_STATE_WRITE);
    action->bucket = WISP_LATTICE_CONFIG;
    action->key = wisp_lattice_keep(lattice, command->name);
    action->has_value = value != NULL;
    if (value) action->value = wisp_lattice_keep(lattice, command->payload); /* as it came */
    action->expected = WISP_LATTICE_ANY_REVISION;
    wisp_lattice_call_begin(lattice, &change->call, action, on_written, change);
}

static bool can_begin(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    const char *reason = NULL;
    if (!wisp_lattice_is_id(command->name))
        reason = "a config's name has letters, digits and -_=/ only, at most 256";
    else if (lattice->n_edits >= WISP_LATTICE_EDITS_MAX)
        reason = "too many changes of configs are waiting; try again";
    if (reason) wisp_lattice_refuse(lattice, &command->reply, reason);
    return !reason;
}

void wisp_lattice_config_put(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    struct wisp_err err = {0};
    json_t *value = NULL;
    if (!can_begin(lattice, command)) return;
    if (wisp_json_parse(command->payload, &value, &err) < 0 || !wisp_lattice_is_map(value)) {
        if (!err.kind) wisp_err_set(&err, WISP_ERR_INVALID, "not a map of strings");
        wisp_err_wrap(&err, "failed to deserialize config");
        json_decref(value);
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return;
    }
    begin(lattice, command, value);
}

void wisp_lattice_config_del(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    if (can_begin(lattice, command)) begin(lattice, command, NULL);
}

void wisp_lattice_config_get(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    const struct wisp_lattice_record *record = wisp_lattice_record_find(lattice, WISP_LATTICE_CONFIG, command->name);
    if (record && record->value)
        wisp_lattice_answer(lattice, &command->reply, "", json_incref(record->value));
    else
        wisp_lattice_answer(lattice, &command->reply, "Configuration not found", NULL);
}
