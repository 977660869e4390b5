/* SPDX-License-Identifier: Apache-2.0 */
/* What the API changes: records are written by compare-and-swap, one request after the other, and answered for when
 * that is done. */
#include "app/api_priv.h"
#include "app/app_priv.h"
#include "app/output_priv.h"
#include "app/store_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECORD_SIZE_MAX = 900000 }; /* of a value of the state, with room for what is around it */

static uint64_t wall_s(const struct wisp_app *app) { return (uint64_t)(app->now.wall_ns / 1000000000); }

/* `text`: where to answer; `json`: [name, what is stored, answer]. */
static void on_written(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    struct wisp_str reply = wisp_str_from(note->text);
    struct wisp_str name = wisp_str_from(json_string_value(json_array_get(note->json, 0)));
    app->is_writing = false;
    if (!done->err.kind) {
        wisp_app_store_adopt(app, name, json_array_get(note->json, 1), done->revision);
        wisp_app_answer(app, reply, json_incref(json_array_get(note->json, 2)));
    } else if (done->err.kind == WISP_ERR_EXISTS) {
        wisp_app_answer_error(app, reply, "somebody else changed the application meanwhile; try again");
    } else {
        wisp_app_answer_error(app, reply, "the application could not be stored: %s", done->err.text);
    }
}

static void store(struct wisp_app *app, const struct wisp_app_asked *asked, struct wisp_str name, json_t *json,
                  json_t *answer_taken)
{
    const struct wisp_app_record *record = wisp_app_record_find(app, name);
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    json_object_set_new(json, "lattice", json_string(app->lattice));
    app->is_writing = true;
    wisp_app_write(app, wisp_app_store_key(app, name, &key), json, record ? record->revision : 0, on_written,
                   (struct wisp_app_note){.text = wisp_mem_dup(asked->reply),
                                          .json = json_pack("[o, O, o]", wisp_json_text(name), json, answer_taken)});
}

/* Manifests that are deleted stay with the record until what they made is cleared away. */
static void remove_version(json_t *whole, const char *version)
{
    enum { REMOVED_MAX = 100 };
    json_t *manifests = json_object_get(whole, "manifests"), *removed = json_object_get(whole, "removed");
    if (!json_is_array(removed)) {
        removed = json_array();
        json_object_set_new(whole, "removed", removed);
    }
    json_array_append(removed, json_object_get(manifests, version));
    while (json_array_size(removed) > REMOVED_MAX) json_array_remove(removed, 0);
    json_object_del(manifests, version);
    json_object_del(json_object_get(whole, "created"), version);
}

/* A copy that can be changed without the stored one's being. */
static json_t *copy_record(const struct wisp_app_record *record)
{
    json_t *whole = json_copy(record->json);
    const char *const keys[] = {"manifests", "removed", "created"};
    for (size_t i = 0; i < WISP_COUNT(keys); i++) {
        json_t *part = json_copy(json_object_get(whole, keys[i]));
        if (part) json_object_set_new(whole, keys[i], part);
    }
    return whole;
}

/* --- put --- */

/* 48 bits of time and 80 random ones, so that later ones sort later (ULID). */
static void make_version(struct wisp_app *app, char text[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t ms = (uint64_t)(app->now.wall_ns / 1000000);
    for (int i = 9; i >= 0; i--, ms >>= 5) text[i] = digits[ms & 31];
    for (int i = 10; i < 26; i++) text[i] = digits[wisp_app_random(app) & 31];
    text[26] = '\0';
}

static bool format_of(struct wisp_str content_type, enum wisp_app_format *ret_format)
{
    *ret_format = WISP_APP_YAML_OR_JSON;
    if (wisp_str_is(content_type, "application/json"))
        *ret_format = WISP_APP_JSON;
    else if (wisp_str_is(content_type, "application/yaml"))
        *ret_format = WISP_APP_YAML;
    else
        return !content_type.len;
    return true;
}

static size_t size_of(const json_t *value)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(value, &text);
    return text.len;
}

/* The oldest that is neither deployed nor the newest goes; false: there is none. */
static bool drop_oldest(json_t *whole, struct wisp_str newest)
{
    const char *name, *oldest = NULL;
    json_t *unused, *versions = json_object_get(whole, "manifests");
    struct wisp_str deployed = wisp_json_str(whole, "deployed_version");
    json_object_foreach(versions, name, unused)
    {
        if (!oldest && !wisp_str_is(deployed, name) && !wisp_str_is(newest, name)) oldest = name;
    }
    if (!oldest) return false;
    json_object_del(json_object_get(whole, "created"), oldest);
    return json_object_del(versions, oldest) == 0;
}

static void make_room(const struct wisp_app *app, json_t *whole, struct wisp_str newest)
{
    json_t *removed = json_object_get(whole, "removed");
    while (json_object_size(json_object_get(whole, "manifests")) > app->versions_max && drop_oldest(whole, newest))
        continue;
    while (size_of(whole) > RECORD_SIZE_MAX) {
        if (json_array_size(removed))
            json_array_remove(removed, 0);
        else if (!drop_oldest(whole, newest))
            return;
    }
}

static json_t *warnings_of(const struct wisp_app_problems *problems)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < problems->n; i++) {
        const struct wisp_app_problem *problem = &problems->list[i];
        char text[768];
        snprintf(text, sizeof text, "line %u, column %u: %s: %s", problem->line, problem->column, problem->path,
                 problem->text);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static json_t *put_answer(const char *result, const struct wisp_app_manifest *manifest, struct wisp_str version,
                          size_t n_versions, const struct wisp_app_problems *problems)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "application `%.*s` has version `%.*s` now", WISP_STR_ARG(manifest->name),
                    WISP_STR_ARG(version));
    return json_pack("{s:s, s:o, s:o, s:I, s:o, s:o}", "result", result, "name", wisp_json_text(manifest->name),
                     "current_version", wisp_json_text(version), "total_versions", (json_int_t)n_versions, "message",
                     wisp_json_text(wisp_buf_str(&text)), "warnings", warnings_of(problems));
}

/* The stored form of a manifest: it names its version. */
static json_t *with_version(const struct wisp_app_manifest *manifest, struct wisp_str version)
{
    json_t *json = json_deep_copy(manifest->json);
    json_object_set_new(json_object_get(json_object_get(json, "metadata"), "annotations"), "version",
                        wisp_json_text(version));
    return json;
}

static void add_version(struct wisp_app *app, json_t *whole, struct wisp_str version, json_t *manifest)
{
    json_t *created = json_object_get(whole, "created");
    if (!created) {
        created = json_object();
        json_object_set_new(whole, "created", created);
    }
    json_object_setn_nocheck(json_object_get(whole, "manifests"), version.ptr, version.len, manifest);
    json_object_setn_new_nocheck(created, version.ptr, version.len, json_integer((json_int_t)wall_s(app)));
    make_room(app, whole, version);
}

static void put_manifest(struct wisp_app *app, const struct wisp_app_asked *asked,
                         const struct wisp_app_manifest *manifest, const struct wisp_app_problems *problems)
{
    const struct wisp_app_record *record = wisp_app_record_find(app, manifest->name);
    char made[27];
    make_version(app, made);
    struct wisp_str version = manifest->version.len ? manifest->version : wisp_str_from(made);
    WISP_CLEANUP_JSON json_t *json = with_version(manifest, version);
    WISP_CLEANUP_JSON json_t *whole =
        record ? copy_record(record) : json_pack("{s:{}, s:n}", "manifests", "deployed_version");
    json_t *versions = json_object_get(whole, "manifests");
    const char *result = json_object_size(versions) ? "newversion" : "created";
    const json_t *same = json_object_getn(versions, version.ptr, version.len);
    if (same && !json_equal(same, json)) {
        wisp_app_answer_error(app, asked->reply,
                              "version `%.*s` of application `%.*s` is there already, with other content; versions "
                              "don't change, choose another one",
                              WISP_STR_ARG(version), WISP_STR_ARG(manifest->name));
        return;
    }
    if (!same) add_version(app, whole, version, json);
    json_t *answer = put_answer(result, manifest, version, json_object_size(versions), problems);
    if (same)
        wisp_app_answer(app, asked->reply, answer);
    else
        store(app, asked, manifest->name, whole, answer);
}

/* Why an application can't be there; NULL: it can. */
static const char *name_trouble(const struct wisp_app *app, struct wisp_str name)
{
    const struct wisp_app_record *record = wisp_app_record_find(app, name);
    if (record && !record->is_ours) return "its name is that of a key of another lattice in the store";
    return !record && app->records.count >= app->apps_max ? "there are as many applications as there can be" : NULL;
}

void wisp_app_api_put(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_app_problems *problems = WISP_NEW(&arena, struct wisp_app_problems);
    struct wisp_app_manifest manifest;
    struct wisp_err err = {0};
    enum wisp_app_format format;
    if (!format_of(asked->content_type, &format)) {
        wisp_app_answer_error(app, asked->reply,
                              "content type `%.*s`: application/json and application/yaml are understood",
                              WISP_STR_ARG(asked->content_type));
        return;
    }
    int r = wisp_app_manifest_parse(&manifest, &arena, asked->payload, format, true, problems, &err);
    const char *trouble = r < 0 ? err.text : name_trouble(app, manifest.name);
    if (trouble)
        wisp_app_answer_error(app, asked->reply, "%s", trouble);
    else
        put_manifest(app, asked, &manifest, problems);
    wisp_app_manifest_deinit(&manifest);
}

/* --- deploy --- */

static void answer_change(struct wisp_app *app, const struct wisp_app_asked *asked, const char *result,
                          struct wisp_str version, const char *text)
{
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:o, s:o, s:o}", "result", result, "message", wisp_json_text(wisp_str_from(text)),
                              "name", wisp_json_text(asked->name), "version",
                              version.len ? wisp_json_text(version) : json_null()));
}

static void answer_missing(struct wisp_app *app, const struct wisp_app_asked *asked, struct wisp_str version)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    bool is_known = wisp_app_asked_record(app, asked);
    wisp_buf_printf(&text, is_known ? "application `%.*s` has no such version" : "there is no application `%.*s`",
                    WISP_STR_ARG(asked->name));
    wisp_buf_append_char(&text, '\0');
    answer_change(app, asked, "notfound", version, text.data);
}

/* An id of this manifest that another deployed application has too. */
static const struct wisp_app_record *id_owner(const struct wisp_app *app, const struct wisp_app_record *record,
                                              const struct wisp_app_component *component)
{
    for (const struct wisp_app_record *other = app->first_record; other; other = other->next) {
        const struct wisp_app_manifest *manifest = other->deployed ? &other->deployed->manifest : NULL;
        for (size_t i = 0; manifest && other != record && i < manifest->n_components; i++)
            if (!manifest->components[i].shared_app.len && wisp_str_equal(manifest->components[i].id, component->id))
                return other;
    }
    return NULL;
}

static int check_shared(const struct wisp_app *app, const struct wisp_app_component *component, struct wisp_err *err)
{
    const struct wisp_app_record *other = wisp_app_record_find(app, component->shared_app);
    const struct wisp_app_manifest *manifest = other && other->deployed ? &other->deployed->manifest : NULL;
    if (!manifest)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "`%.*s` needs application `%.*s`, which is not deployed",
                            WISP_STR_ARG(component->name), WISP_STR_ARG(component->shared_app));
    if (!manifest->is_shared)
        return wisp_err_set(err, WISP_ERR_DENIED,
                            "application `%.*s` does not share its components; the annotation "
                            "experimental.wasmcloud.dev/shared: \"true\" would",
                            WISP_STR_ARG(component->shared_app));
    for (size_t i = 0; i < manifest->n_components; i++)
        if (wisp_str_equal(manifest->components[i].name, component->shared_component) &&
            manifest->components[i].is_provider == component->is_provider)
            return 0;
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "application `%.*s` has no %s `%.*s`",
                        WISP_STR_ARG(component->shared_app), component->is_provider ? "capability" : "component",
                        WISP_STR_ARG(component->shared_component));
}

int wisp_app_check_deployable(const struct wisp_app *app, const struct wisp_app_manifest *manifest,
                              struct wisp_err *err)
{
    const struct wisp_app_record *record = wisp_app_record_find(app, manifest->name);
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct wisp_app_component *component = &manifest->components[i];
        int r = component->shared_app.len ? check_shared(app, component, err) : 0;
        const struct wisp_app_record *owner = component->shared_app.len ? NULL : id_owner(app, record, component);
        if (owner)
            r = wisp_err_set(err, WISP_ERR_EXISTS, "the id `%.*s` of `%.*s` is that of a component of application `%s`",
                             WISP_STR_ARG(component->id), WISP_STR_ARG(component->name), owner->name);
        if (r < 0) return r;
    }
    return 0;
}

/* `version` NULL: none. */
static void change_deployed(struct wisp_app *app, const struct wisp_app_asked *asked,
                            const struct wisp_app_record *record, const struct wisp_app_version *version,
                            const char *text)
{
    WISP_CLEANUP_JSON json_t *whole = copy_record(record);
    json_t *name = version ? wisp_json_text(version->version) : json_null();
    json_object_set(whole, "last_deployed", version ? name : json_object_get(whole, "deployed_version"));
    json_object_set(whole, "deployed_version", name);
    store(app, asked, asked->name, whole,
          json_pack("{s:s, s:s, s:s, s:o}", "result", "acknowledged", "message", text, "name", record->name, "version",
                    name));
}

void wisp_app_api_deploy(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_JSON json_t *request = NULL;
    struct wisp_err err = {0};
    if (!wisp_app_asked_json(app, asked, &request)) return;
    struct wisp_str wanted = wisp_json_str(request, "version");
    const struct wisp_app_record *record = wisp_app_asked_record(app, asked);
    const struct wisp_app_version *version = record ? wisp_app_asked_version(record, wanted) : NULL;
    if (!version)
        answer_missing(app, asked, wanted);
    else if (wisp_app_check_deployable(app, &version->manifest, &err) < 0)
        answer_change(app, asked, "error", version->version, err.text);
    else
        change_deployed(app, asked, record, version, "the application is being deployed");
}

/* --- undeploy and delete --- */

/* Names of deployed applications that use what this one shares; empty: none. */
static void put_users(const struct wisp_app *app, const struct wisp_app_record *record, struct wisp_buf *out)
{
    for (const struct wisp_app_record *other = app->first_record; other; other = other->next) {
        const struct wisp_app_manifest *manifest = other->deployed ? &other->deployed->manifest : NULL;
        bool uses = false;
        for (size_t i = 0; manifest && other != record && i < manifest->n_components; i++)
            uses |= wisp_str_is(manifest->components[i].shared_app, record->name);
        if (uses) wisp_buf_printf(out, "%s`%s`", out->len ? ", " : "", other->name);
    }
}

static bool is_in_use(struct wisp_app *app, const struct wisp_app_asked *asked, const struct wisp_app_record *record)
{
    WISP_CLEANUP_BUF struct wisp_buf users = {0};
    if (record->deployed) put_users(app, record, &users);
    if (!users.len) return false;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "application `%s` is used by %.*s; undeploy these first", record->name,
                    WISP_STR_ARG(wisp_buf_str(&users)));
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:o, s:s, s:n, s:b}", "result", "error", "message",
                              wisp_json_text(wisp_buf_str(&text)), "name", record->name, "version", "undeploy", 0));
    return true;
}

void wisp_app_api_undeploy(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    const struct wisp_str none = {0};
    const struct wisp_app_record *record = wisp_app_asked_record(app, asked);
    if (!record)
        answer_missing(app, asked, none);
    else if (is_in_use(app, asked, record))
        return;
    else if (!wisp_json_str(record->json, "deployed_version").len)
        answer_change(app, asked, "acknowledged", none, "the application is not deployed");
    else
        change_deployed(app, asked, record, NULL, "the application is being undeployed");
}

static void remove_all(json_t *whole)
{
    const char *name;
    json_t *unused;
    WISP_CLEANUP_JSON json_t *versions = json_copy(json_object_get(whole, "manifests"));
    json_object_foreach(versions, name, unused) { remove_version(whole, name); }
}

static void delete(struct wisp_app *app, const struct wisp_app_asked *asked, const struct wisp_app_record *record,
                   struct wisp_str version, bool is_deployed)
{
    WISP_CLEANUP_JSON json_t *whole = copy_record(record);
    WISP_CLEANUP_FREE char *name = wisp_mem_dup(version);
    if (version.len)
        remove_version(whole, name);
    else
        remove_all(whole);
    if (is_deployed) json_object_set_new(whole, "deployed_version", json_null());
    store(app, asked, asked->name, whole,
          json_pack("{s:s, s:s, s:b}", "result", "deleted", "message",
                    is_deployed ? "it is deleted, and what ran of it is being stopped" : "it is deleted", "undeploy",
                    is_deployed || !json_object_size(json_object_get(whole, "manifests"))));
}

void wisp_app_api_delete(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (!wisp_app_asked_json(app, asked, &request)) return;
    const struct wisp_app_record *record = wisp_app_asked_record(app, asked);
    struct wisp_str version = wisp_json_str(request, "version");
    const json_t *versions = record ? json_object_get(record->json, "manifests") : NULL;
    bool is_there = record && (!version.len || json_object_getn(versions, version.ptr, version.len));
    struct wisp_str deployed = is_there ? wisp_json_str(record->json, "deployed_version") : (struct wisp_str){0};
    bool is_deployed = deployed.len && (!version.len || wisp_str_equal(version, deployed));
    if (!is_there)
        wisp_app_answer(app, asked->reply,
                        json_pack("{s:s, s:s, s:b}", "result", "noop", "message",
                                  "there is no such application or version", "undeploy", 0));
    else if (!is_deployed || !is_in_use(app, asked, record))
        delete (app, asked, record, version, is_deployed);
}
