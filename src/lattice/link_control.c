/* SPDX-License-Identifier: Apache-2.0 */
/* link.put and link.del: changes of one key of the state, the spec of the link's source. Changes that wait for the same
 * key go into one write. */
#include "lattice/lattice_priv.h"

#include <stdlib.h>

enum {
    CONFIG_PATIENCE_MS = 1000, /* a config that was put a moment ago through another host may not be told yet */
    SPEC_PATIENCE_MS = 200,    /* nor a spec that is to lose a link */
    LOOK_AGAIN_MS = 50,
};

struct edit {
    struct wisp_link turn; /* in lattice->early_edits or record->edits */
    struct wisp_lattice *lattice;
    struct wisp_lattice_asker reply;
    json_t *link;    /* put: the whole; delete: source_id, name, wit_namespace, wit_package */
    json_t *removed; /* delete: what was there */
    bool is_delete;
    uint64_t begun_ms;
    struct wisp_lattice_timer look;
};

static struct edit *edit_of(struct wisp_link *turn) { return WISP_OWNER(turn, struct edit, turn); }

static void edit_free(struct edit *edit)
{
    wisp_ring_remove(&edit->turn);
    wisp_lattice_timer_disarm(edit->lattice, &edit->look);
    wisp_lattice_asker_deinit(&edit->reply);
    json_decref(edit->link);
    json_decref(edit->removed);
    edit->lattice->n_edits--;
    free(edit);
}

void wisp_lattice_edits_free(struct wisp_link *edits) { WISP_RING_EACH(at, edits) edit_free(edit_of(at)); }

/* --- outcomes --- */

static void refuse(struct edit *edit, const char *text)
{
    if (!edit->is_delete) {
        json_t *data = json_copy(edit->link);
        json_object_set_new(data, "error", wisp_json_text(wisp_str_from(text)));
        wisp_lattice_event(edit->lattice, "linkdef_set_failed", data);
    }
    wisp_lattice_refuse(edit->lattice, &edit->reply, text);
    edit_free(edit);
}

static bool has_secrets(const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *name = json_array_get(names, i);
        if (wisp_lattice_is_secret((struct wisp_str){json_string_value(name), json_string_length(name)})) return true;
    }
    return false;
}

/* For whoever listens by the plain ids, as providers did before they had keys. Never with secrets. */
static void publish_old_copies(struct wisp_lattice *lattice, const json_t *link)
{
    const json_t *source_names = json_object_get(link, "source_config");
    const json_t *target_names = json_object_get(link, "target_config");
    if (has_secrets(source_names) || has_secrets(target_names)) return;
    WISP_CLEANUP_JSON json_t *source_config = NULL, *target_config = NULL;
    if (wisp_lattice_config_merge(lattice, source_names, true, &source_config, NULL) < 0 ||
        wisp_lattice_config_merge(lattice, target_names, true, &target_config, NULL) < 0)
        return;
    WISP_CLEANUP_JSON json_t *wire = wisp_lattice_link_wire(link, source_config, target_config);
    wisp_lattice_publish(lattice, wisp_lattice_rpc_subject(lattice, wisp_json_str(link, "source_id"), "linkdefs.put"),
                         wire);
    wisp_lattice_publish(lattice, wisp_lattice_rpc_subject(lattice, wisp_json_str(link, "target"), "linkdefs.put"),
                         wire);
}

static void put_done(struct edit *edit)
{
    publish_old_copies(edit->lattice, edit->link);
    wisp_lattice_event(edit->lattice, "linkdef_set", json_incref(edit->link));
    wisp_lattice_answer(edit->lattice, &edit->reply, "successfully set link", NULL);
}

static void delete_done(struct edit *edit)
{
    struct wisp_lattice *lattice = edit->lattice;
    json_t *data = json_copy(edit->link);
    if (edit->removed) {
        json_object_set(data, "target", json_object_get(edit->removed, "target"));
        json_object_set_new(data, "interfaces", wisp_lattice_list_of(edit->removed, "interfaces"));
        wisp_lattice_link_tell_gone(lattice, edit->removed, wisp_json_str(edit->link, "source_id"));
        wisp_lattice_link_tell_gone(lattice, edit->removed, wisp_json_str(edit->removed, "target"));
    }
    wisp_lattice_event(lattice, "linkdef_deleted", data);
    wisp_lattice_answer(lattice, &edit->reply, "successfully deleted link", NULL);
}

/* --- applying --- */

static bool share_an_interface(const json_t *a, const json_t *b)
{
    const json_t *of_a = json_object_get(a, "interfaces"), *of_b = json_object_get(b, "interfaces");
    for (size_t i = 0; i < json_array_size(of_a); i++)
        for (size_t j = 0; j < json_array_size(of_b); j++)
            if (json_equal(json_array_get(of_a, i), json_array_get(of_b, j))) return true;
    return false;
}

static int apply_put(struct edit *edit, json_t *links, struct wisp_err *err)
{
    size_t place = SIZE_MAX;
    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *other = json_array_get(links, i);
        if (!wisp_lattice_link_is_same(other, edit->link)) continue;
        struct wisp_str target = wisp_json_str(other, "target");
        if (wisp_str_equal(target, wisp_json_str(edit->link, "target")))
            place = i;
        else if (share_an_interface(other, edit->link))
            return wisp_err_set(err, WISP_ERR_EXISTS,
                                "a link with this source, name, package and interface goes to `%.*s` already; delete "
                                "it first or use another link name",
                                WISP_STR_ARG(target));
    }
    if (place != SIZE_MAX)
        json_array_set(links, place, edit->link);
    else
        json_array_append(links, edit->link);
    return 0;
}

static void apply_delete(struct edit *edit, json_t *links)
{
    json_decref(WISP_TAKE(edit->removed));
    for (size_t i = 0; i < json_array_size(links) && !edit->removed; i++) {
        json_t *other = json_array_get(links, i);
        if (!wisp_lattice_link_is_same(other, edit->link)) continue;
        edit->removed = json_incref(other);
        json_array_remove(links, i);
    }
}

/* A copy of the spec whose list of links may be changed. */
static json_t *begin_value(const struct wisp_lattice_record *record)
{
    json_t *value = record->value ? json_copy(record->value) : json_pack("{s:s}", "url", "");
    json_t *links = json_object_get(value, "links");
    json_object_set_new(value, "links", json_is_array(links) ? json_copy(links) : json_array());
    return value;
}

/* False: the edit has been answered and is gone. */
static bool apply(struct wisp_lattice_record *record, struct edit *edit, json_t *links)
{
    struct wisp_err err = {0};
    if (edit->lattice->now.now_ms - edit->begun_ms > WISP_LATTICE_CLIENT_PATIENCE_MS) {
        refuse(edit, "the link could not be changed in time: others change links of the same source; try again");
        return false;
    }
    if (edit->is_delete && !record->value) {
        wisp_lattice_answer(edit->lattice, &edit->reply, "successfully deleted link (spec doesn't exist)", NULL);
        edit_free(edit);
        return false;
    }
    if (edit->is_delete) {
        apply_delete(edit, links);
    } else if (apply_put(edit, links, &err) < 0) {
        refuse(edit, err.text);
        return false;
    }
    return true;
}

json_t *wisp_lattice_edits_apply(struct wisp_lattice_record *record)
{
    record->n_in_flight = 0;
    if (wisp_ring_is_empty(&record->edits)) {
        record->one_by_one = false;
        return NULL;
    }
    WISP_CLEANUP_JSON json_t *value = begin_value(record);
    json_t *links = json_object_get(value, "links");
    WISP_RING_EACH(at, &record->edits)
    {
        if (record->one_by_one && record->n_in_flight) break;
        if (apply(record, edit_of(at), links)) record->n_in_flight++;
    }
    return record->n_in_flight ? WISP_TAKE(value) : NULL;
}

static struct edit *next_in_flight(struct wisp_lattice_record *record)
{
    if (!record->n_in_flight) return NULL;
    record->n_in_flight--;
    return edit_of(record->edits.next);
}

void wisp_lattice_edits_done(struct wisp_lattice_record *record)
{
    for (struct edit *edit; (edit = next_in_flight(record));) {
        if (edit->is_delete)
            delete_done(edit);
        else
            put_done(edit);
        edit_free(edit);
    }
}

void wisp_lattice_edits_failed(struct wisp_lattice_record *record, const struct wisp_err *err)
{
    if (err->kind == WISP_ERR_LIMIT && record->n_in_flight > 1) {
        record->one_by_one = true;
        record->n_in_flight = 0;
        return;
    }
    struct wisp_err wrapped = *err;
    wisp_err_wrap(&wrapped, "the link could not be written to the lattice's state");
    for (struct edit *edit; (edit = next_in_flight(record));) refuse(edit, wrapped.text);
}

/* --- requests --- */

static struct edit *edit_new(struct wisp_lattice *lattice, struct wisp_lattice_command *command, json_t *link)
{
    struct edit *edit = wisp_mem_calloc(1, sizeof *edit);
    edit->lattice = lattice;
    edit->reply = command->reply;
    command->reply = (struct wisp_lattice_asker){0};
    edit->link = link;
    edit->begun_ms = lattice->now.now_ms;
    lattice->n_edits++;
    wisp_ring_append(&lattice->early_edits, &edit->turn);
    return edit;
}

static void enqueue(struct edit *edit)
{
    struct wisp_lattice *lattice = edit->lattice;
    struct wisp_lattice_record *record = wisp_lattice_spec_need(lattice, wisp_json_str(edit->link, "source_id"));
    if (!record) {
        refuse(edit, "there are too many components and providers with links on this lattice");
        return;
    }
    wisp_ring_remove(&edit->turn);
    wisp_ring_append(&record->edits, &edit->turn);
    wisp_lattice_timer_disarm(lattice, &record->retry);
    wisp_lattice_record_push(record);
}

/* The first name of either list that is no config of the lattice; empty: none. */
static struct wisp_str missing_config(struct wisp_lattice *lattice, const json_t *link)
{
    static const char *const keys[] = {"source_config", "target_config"};
    for (size_t k = 0; k < WISP_COUNT(keys); k++) {
        const json_t *names = json_object_get(link, keys[k]);
        for (size_t i = 0; i < json_array_size(names); i++) {
            const json_t *text = json_array_get(names, i);
            struct wisp_str name = {json_string_value(text), json_string_length(text)};
            const struct wisp_lattice_record *record = wisp_lattice_record_find(lattice, WISP_LATTICE_CONFIG, name);
            if (!record || !record->value) return name.len ? name : WISP_STR("(empty)");
        }
    }
    return (struct wisp_str){0};
}

static void look_put(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    struct edit *edit = env;
    struct wisp_str missing = missing_config(edit->lattice, edit->link);
    if (!missing.len) {
        enqueue(edit);
    } else if (edit->lattice->now.now_ms - edit->begun_ms < CONFIG_PATIENCE_MS) {
        wisp_lattice_timer_arm(edit->lattice, &edit->look, LOOK_AGAIN_MS, look_put, edit);
    } else {
        struct wisp_err err = {0};
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "%s `%.*s` not found",
                     wisp_lattice_is_secret(missing) ? "Secret reference" : "Configuration", WISP_STR_ARG(missing));
        refuse(edit, err.text);
    }
}

static void look_delete(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    struct edit *edit = env;
    const struct wisp_lattice_record *record =
        wisp_lattice_spec_find(edit->lattice, wisp_json_str(edit->link, "source_id"));
    if ((!record || !record->value) && edit->lattice->now.now_ms - edit->begun_ms < SPEC_PATIENCE_MS)
        wisp_lattice_timer_arm(edit->lattice, &edit->look, LOOK_AGAIN_MS, look_delete, edit);
    else
        enqueue(edit);
}

static int parse_put(struct wisp_str payload, json_t **ret_link, struct wisp_err *err)
{
    static const struct wisp_lattice_field fields[] = {
        {"source_id", WISP_LATTICE_TEXT, true},       {"target", WISP_LATTICE_TEXT, true},
        {"name", WISP_LATTICE_TEXT, false},           {"wit_namespace", WISP_LATTICE_TEXT, true},
        {"wit_package", WISP_LATTICE_TEXT, true},     {"interfaces", WISP_LATTICE_TEXTS, true},
        {"source_config", WISP_LATTICE_TEXTS, false}, {"target_config", WISP_LATTICE_TEXTS, false},
    };
    WISP_CLEANUP_JSON json_t *request = NULL;
    int r = wisp_lattice_decode(payload, "wrpc link definition", fields, WISP_COUNT(fields), &request, err);
    if (r < 0) return r;
    if (!wisp_lattice_is_id(wisp_json_str(request, "source_id")) ||
        !wisp_lattice_is_id(wisp_json_str(request, "target")))
        return wisp_err_set(err, WISP_ERR_INVALID, "source and target of a link must be ids (letters, digits, -_=./)");
    *ret_link = wisp_lattice_link_parse(request, wisp_json_str(request, "source_id"));
    return 0;
}

static int parse_delete(struct wisp_str payload, json_t **ret_link, struct wisp_err *err)
{
    static const struct wisp_lattice_field fields[] = {
        {"source_id", WISP_LATTICE_TEXT, true},
        {"name", WISP_LATTICE_TEXT, false},
        {"wit_namespace", WISP_LATTICE_TEXT, true},
        {"wit_package", WISP_LATTICE_TEXT, true},
    };
    WISP_CLEANUP_JSON json_t *request = NULL;
    int r = wisp_lattice_decode(payload, "wrpc link definition", fields, WISP_COUNT(fields), &request, err);
    if (r < 0) return r;
    if (!wisp_lattice_is_id(wisp_json_str(request, "source_id")))
        return wisp_err_set(err, WISP_ERR_INVALID, "the source of a link must be an id (letters, digits, -_=./)");
    *ret_link = json_object();
    for (size_t i = 0; i < WISP_COUNT(fields); i++) {
        struct wisp_str text = wisp_json_str(request, fields[i].name);
        if (!text.len && wisp_str_is(wisp_str_from(fields[i].name), "name")) text = WISP_STR("default");
        json_object_set_new(*ret_link, fields[i].name, wisp_json_text(text));
    }
    return 0;
}

static struct edit *begin(struct wisp_lattice *lattice, struct wisp_lattice_command *command, bool is_delete)
{
    struct wisp_err err = {0};
    json_t *link = NULL;
    int r = is_delete ? parse_delete(command->payload, &link, &err) : parse_put(command->payload, &link, &err);
    if (r == 0 && lattice->n_edits >= WISP_LATTICE_EDITS_MAX) {
        json_decref(link);
        r = wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "too many changes of links are waiting; try again");
    }
    if (r < 0) {
        wisp_lattice_refuse(lattice, &command->reply, err.text);
        return NULL;
    }
    struct edit *edit = edit_new(lattice, command, link);
    edit->is_delete = is_delete;
    return edit;
}

void wisp_lattice_link_put(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    struct edit *edit = begin(lattice, command, false);
    if (edit) look_put(NULL, edit);
}

void wisp_lattice_link_del(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    struct edit *edit = begin(lattice, command, true);
    if (edit) look_delete(NULL, edit);
}

void wisp_lattice_link_get(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    json_t *links = json_array();
    for (struct wisp_lattice_link *link = wisp_table_first(&lattice->links); link;
         link = wisp_table_next(&lattice->links, link))
        json_array_append(links, link->json);
    wisp_lattice_answer(lattice, &command->reply, "", links);
}
