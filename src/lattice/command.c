/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/lattice_priv.h"

#include <stdlib.h>

/* --- reading --- */

/* Names, references and the like travel on as C strings, in subjects and keys: a NUL has no business in them. */
static bool is_text(const json_t *value)
{
    return json_is_string(value) && !memchr(json_string_value(value), '\0', json_string_length(value));
}

bool wisp_lattice_is_map(json_t *value)
{
    const char *key;
    json_t *member;
    if (!json_is_object(value)) return false;
    json_object_foreach(value, key, member) if (!is_text(member)) return false;
    return true;
}

static bool is_list_of_texts(const json_t *value)
{
    if (!json_is_array(value) || json_array_size(value) > WISP_LATTICE_NAMES_MAX) return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!is_text(json_array_get(value, i))) return false;
    return true;
}

static bool is_number(const json_t *value, uint64_t max)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 && (uint64_t)json_integer_value(value) <= max;
}

static bool has_kind(json_t *value, enum wisp_lattice_field_kind kind)
{
    switch (kind) {
    case WISP_LATTICE_TEXT:
        return is_text(value);
    case WISP_LATTICE_COUNT:
        return is_number(value, UINT32_MAX);
    case WISP_LATTICE_TIME:
        return is_number(value, INT64_MAX);
    case WISP_LATTICE_FLAG:
        return json_is_boolean(value);
    case WISP_LATTICE_TEXTS:
        return is_list_of_texts(value);
    case WISP_LATTICE_MAP:
        return wisp_lattice_is_map(value);
    }
    return false;
}

static const char *const kind_names[] = {
    [WISP_LATTICE_TEXT] = "a string",
    [WISP_LATTICE_COUNT] = "a number from 0 to 4294967295",
    [WISP_LATTICE_TIME] = "a number of 0 or more",
    [WISP_LATTICE_FLAG] = "true or false",
    [WISP_LATTICE_TEXTS] = "a list of at most 1000 strings",
    [WISP_LATTICE_MAP] = "a map of strings",
};

int wisp_lattice_fields_check(const json_t *object, const struct wisp_lattice_field *fields, size_t n_fields,
                              struct wisp_err *err)
{
    if (!json_is_object(object)) return wisp_err_set(err, WISP_ERR_INVALID, "not a JSON object");
    for (size_t i = 0; i < n_fields; i++) {
        json_t *value = json_object_get(object, fields[i].name);
        if (!value || (json_is_null(value) && !fields[i].is_required)) {
            if (fields[i].is_required) return wisp_err_set(err, WISP_ERR_INVALID, "missing field `%s`", fields[i].name);
        } else if (!has_kind(value, fields[i].kind)) {
            return wisp_err_set(err, WISP_ERR_INVALID, "field `%s` is not %s", fields[i].name,
                                kind_names[fields[i].kind]);
        }
    }
    return 0;
}

int wisp_lattice_decode(struct wisp_str payload, const char *what, const struct wisp_lattice_field *fields,
                        size_t n_fields, json_t **ret_object, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *object = NULL;
    int r = wisp_json_parse(payload, &object, err);
    if (r == 0) r = wisp_lattice_fields_check(object, fields, n_fields, err);
    if (r < 0) return wisp_err_wrap(err, "failed to deserialize %s", what);
    *ret_object = WISP_TAKE(object);
    return 0;
}

/* Ids become keys of the state and parts of subjects. */
bool wisp_lattice_is_id(struct wisp_str id)
{
    if (!id.len || id.len > WISP_LATTICE_ID_MAX) return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr("-_=/", c, 4) ||
              (c == '.' && i && i + 1 < id.len && id.ptr[i - 1] != '.')))
            return false;
    }
    return true;
}

json_t *wisp_lattice_list_of(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_array(value) ? json_incref(value) : json_array();
}

json_t *wisp_lattice_map_of(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_object(value) ? json_incref(value) : json_object();
}

json_t *wisp_lattice_given_map(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_object(value) ? json_incref(value) : NULL;
}

/* --- answering --- */

void wisp_lattice_asker_deinit(struct wisp_lattice_asker *reply)
{
    free(reply->subject);
    reply->subject = NULL;
}

static void respond(struct wisp_lattice *lattice, struct wisp_lattice_asker *reply, bool is_success,
                    const char *message, json_t *response)
{
    if (reply->subject) {
        WISP_CLEANUP_JSON json_t *envelope = json_object();
        json_object_set_new(envelope, "success", json_boolean(is_success));
        json_object_set_new(envelope, "message", wisp_json_text(wisp_str_from(message)));
        if (response) json_object_set(envelope, "response", response);
        struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_PUBLISH);
        action->subject = wisp_lattice_keep(lattice, wisp_str_from(reply->subject));
        action->payload = wisp_lattice_keep_json(lattice, envelope);
        if (action->payload.len > lattice->payload_max)
            action->payload =
                WISP_STR("{\"success\":false,\"message\":\"the answer is larger than a message may be\"}");
    }
    json_decref(response);
    wisp_lattice_asker_deinit(reply);
}

void wisp_lattice_answer(struct wisp_lattice *lattice, struct wisp_lattice_asker *reply, const char *message,
                         json_t *response)
{
    respond(lattice, reply, true, message, response);
}

void wisp_lattice_refuse(struct wisp_lattice *lattice, struct wisp_lattice_asker *reply, const char *message)
{
    respond(lattice, reply, false, message, NULL);
}
