/* SPDX-License-Identifier: Apache-2.0 */
/* What the API changes: records are written by compare-and-swap, and answered for when that is done. */
#include "app/app_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* A write under way and what to answer when it is there. */
struct writing {
    char *reply;
    json_t *answer;
};

static void on_written(struct wisp_app *app, const struct wisp_app_done *done, void *env)
{
    struct writing *writing = env;
    struct wisp_str reply = wisp_str_from(writing->reply);
    if (done->err.kind == WISP_ERR_EXISTS)
        wisp_app_answer_error(app, reply, "somebody else changed the application meanwhile; try again");
    else if (done->err.kind)
        wisp_app_answer_error(app, reply, "the application could not be stored: %s", done->err.text);
    else
        wisp_app_answer(app, reply, json_incref(writing->answer));
    json_decref(writing->answer);
    free(writing->reply);
    free(writing);
}

/* The index is put right by the next plan; readers go by it. */
static void put_index(struct wisp_app *app, struct wisp_str name);

static void store(struct wisp_app *app, const struct wisp_app_asked *asked, struct wisp_str name, const json_t *json,
                  json_t *answer_taken)
{
    struct wisp_app_record *record = wisp_app_record_find(app, name);
    struct writing *writing = wisp_mem_calloc(1, sizeof *writing);
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    *writing = (struct writing){wisp_mem_dup(asked->reply), answer_taken};
    wisp_app_write(app, wisp_app_store_key(app, name, &key), json, record ? (int64_t)record->revision : 0, on_written,
                   writing);
    if (!record) put_index(app, name);
}

static void on_index(struct wisp_app *app, const struct wisp_app_done *done, void *env)
{
    (void)env;
    if (done->err.kind) app->full_ms = app->now.now_ms; /* the next plan looks at it again */
}

static void put_index(struct wisp_app *app, struct wisp_str name)
{
    json_t *index = json_array();
    bool is_in = false;
    for (size_t i = 0; i < json_array_size(app->index); i++) {
        json_t *other = json_array_get(app->index, i);
        if (!is_in && wisp_str_compare(name, wisp_str_from(json_string_value(other))) <= 0) {
            if (!wisp_str_is(name, json_string_value(other))) json_array_append_new(index, wisp_json_text(name));
            is_in = true;
        }
        json_array_append(index, other);
    }
    if (!is_in) json_array_append_new(index, wisp_json_text(name));
    wisp_app_write(app, wisp_str_from(app->lattice), index, (int64_t)app->index_revision, on_index, NULL);
    json_decref(index);
}

/* --- put --- */

/* 48 bits of time and 80 random ones, so that later ones sort later (ULID). */
static void make_version(struct wisp_app *app, char text[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t ms = (uint64_t)(app->now.wall_ns / 1000000);
    for (int i = 9; i >= 0; i--, ms >>= 5) text[i] = digits[ms & 31];
    for (int i = 10; i < 26; i++) {
        app->random = app->random * 6364136223846793005u + 1442695040888963407u;
        text[i] = digits[app->random >> 59];
    }
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

static void drop_oldest(struct wisp_app *app, json_t *versions, struct wisp_str deployed)
{
    while (json_object_size(versions) > app->versions_max) {
        const char *name = json_object_iter_key(json_object_iter(versions));
        if (wisp_str_is(deployed, name)) /* the next one */
            name = json_object_iter_key(json_object_iter_next(versions, json_object_iter(versions)));
        if (!name) return;
        json_object_del(versions, name);
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

static void put_manifest(struct wisp_app *app, const struct wisp_app_asked *asked,
                         const struct wisp_app_manifest *manifest, const struct wisp_app_problems *problems)
{
    struct wisp_app_record *record = wisp_app_record_find(app, manifest->name);
    char made[27];
    make_version(app, made);
    struct wisp_str version = manifest->version.len ? manifest->version : wisp_str_from(made);
    json_t *json = json_deep_copy(manifest->json);
    json_object_set_new(json_object_get(json_object_get(json, "metadata"), "annotations"), "version",
                        wisp_json_text(version));
    WISP_CLEANUP_JSON json_t *whole =
        record ? json_deep_copy(record->json) : json_pack("{s:{}, s:n}", "manifests", "deployed_version");
    json_t *versions = json_object_get(whole, "manifests");
    const json_t *same = json_object_getn(versions, version.ptr, version.len);
    bool is_new = !same;
    if (same && !json_equal(same, json)) {
        wisp_app_answer_error(
            app, asked->reply,
            "version `%.*s` of application `%.*s` is there already, with other content; versions don't "
            "change, choose another one",
            WISP_STR_ARG(version), WISP_STR_ARG(manifest->name));
        json_decref(json);
        return;
    }
    json_object_del(whole, "is_deleting");
    json_object_setn_new_nocheck(versions, version.ptr, version.len, json);
    drop_oldest(app, versions, wisp_json_str(whole, "deployed_version"));
    json_t *answer =
        put_answer(record ? "newversion" : "created", manifest, version, json_object_size(versions), problems);
    bool is_settled = record && !is_new && !record->is_deleting;
    if (is_settled)
        wisp_app_answer(app, asked->reply, answer);
    else
        store(app, asked, manifest->name, whole, answer);
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
    if (wisp_app_manifest_parse(&manifest, &arena, asked->payload, format, true, problems, &err) < 0)
        wisp_app_answer_error(app, asked->reply, "%s", err.text);
    else if (!wisp_app_record_find(app, manifest.name) && app->records.count >= app->apps_max)
        wisp_app_answer_error(app, asked->reply, "there are %u applications, the most that are possible",
                              app->apps_max);
    else
        put_manifest(app, asked, &manifest, problems);
    wisp_app_manifest_deinit(&manifest);
}

/* --- deploy --- */

static json_t *deploy_answer(const struct wisp_app_record *record, struct wisp_str version, const char *text)
{
    return json_pack("{s:s, s:s, s:o, s:s}", "result", "acknowledged", "name", record->name, "version",
                     version.len ? wisp_json_text(version) : json_null(), "message", text);
}

static struct wisp_app_record *find(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    struct wisp_app_record *record = wisp_app_record_find(app, asked->name);
    if (record && !record->is_deleting && record->versions) return record;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "there is no application `%.*s`", WISP_STR_ARG(asked->name));
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:o, s:o, s:n}", "result", "notfound", "message",
                              wisp_json_text(wisp_buf_str(&text)), "name", wisp_json_text(asked->name), "version"));
    return NULL;
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

static int check_deployable(const struct wisp_app *app, const struct wisp_app_record *record,
                            const struct wisp_app_manifest *manifest, struct wisp_err *err)
{
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

/* True, and answered, when it can't be understood. */
static bool read_version(struct wisp_app *app, const struct wisp_app_asked *asked, json_t **ret_request,
                         struct wisp_str *ret_version)
{
    struct wisp_err err = {0};
    if (asked->payload.len && wisp_json_parse(asked->payload, ret_request, &err) < 0) {
        wisp_app_answer_error(app, asked->reply, "the request can't be understood: %s", err.text);
        return true;
    }
    *ret_version = wisp_json_str(*ret_request, "version");
    return false;
}

void wisp_app_api_deploy(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_JSON json_t *request = NULL;
    struct wisp_str wanted;
    struct wisp_err err = {0};
    struct wisp_app_record *record = find(app, asked);
    if (!record || read_version(app, asked, &request, &wanted)) return;
    const struct wisp_app_version *version = record->versions;
    if (wanted.len && !wisp_str_is(wanted, "latest"))
        version = wisp_app_version_find(record, wanted);
    else
        while (version->next) version = version->next;
    if (!version) {
        wisp_app_answer(app, asked->reply,
                        json_pack("{s:s, s:s, s:s, s:o}", "result", "notfound", "message",
                                  "the application has no such version", "name", record->name, "version",
                                  wisp_json_text(wanted)));
        return;
    }
    if (check_deployable(app, record, &version->manifest, &err) < 0) {
        wisp_app_answer(app, asked->reply,
                        json_pack("{s:s, s:s, s:s, s:o}", "result", "error", "message", err.text, "name", record->name,
                                  "version", wisp_json_text(version->version)));
        return;
    }
    WISP_CLEANUP_JSON json_t *whole = json_copy(record->json);
    json_object_set_new(whole, "deployed_version", wisp_json_text(version->version));
    json_object_set_new(whole, "last_deployed", wisp_json_text(version->version));
    store(app, asked, asked->name, whole, deploy_answer(record, version->version, "the application is being deployed"));
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
    struct wisp_app_record *record = find(app, asked);
    if (!record || is_in_use(app, asked, record)) return;
    if (!record->deployed) {
        wisp_app_answer(app, asked->reply, deploy_answer(record, none, "the application is not deployed"));
        return;
    }
    WISP_CLEANUP_JSON json_t *whole = json_copy(record->json);
    json_object_set_new(whole, "deployed_version", json_null());
    json_object_set_new(whole, "last_deployed", wisp_json_text(record->deployed->version));
    store(app, asked, asked->name, whole, deploy_answer(record, none, "the application is being undeployed"));
}

static void answer_delete(struct wisp_app *app, const struct wisp_app_asked *asked, const char *result,
                          const char *text, bool is_undeployed)
{
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:s, s:b}", "result", result, "message", text, "undeploy", is_undeployed));
}

void wisp_app_api_delete(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_JSON json_t *request = NULL;
    struct wisp_str wanted;
    struct wisp_app_record *record = wisp_app_record_find(app, asked->name);
    if (read_version(app, asked, &request, &wanted)) return;
    const struct wisp_app_version *version = record && wanted.len ? wisp_app_version_find(record, wanted) : NULL;
    bool is_there = record && !record->is_deleting && record->versions && (!wanted.len || version);
    if (!is_there) {
        answer_delete(app, asked, "noop", "there is no such application or version", false);
        return;
    }
    bool is_all = !wanted.len || !record->versions->next,
         is_deployed = record->deployed && (is_all || version == record->deployed);
    if (is_deployed && is_in_use(app, asked, record)) return;
    WISP_CLEANUP_JSON json_t *whole = json_deep_copy(record->json);
    if (is_all) {
        json_object_set_new(whole, "is_deleting", json_true());
    } else if (!is_deployed) {
        json_object_deln(json_object_get(whole, "manifests"), wanted.ptr, wanted.len);
    }
    if (is_deployed) {
        json_object_set_new(whole, "deployed_version", json_null());
        json_object_set_new(whole, "last_deployed", wisp_json_text(record->deployed->version));
    }
    store(app, asked, asked->name, whole,
          json_pack("{s:s, s:s, s:b}", "result", "deleted", "message",
                    is_deployed ? "it is deleted, and what ran of it is being stopped" : "it is deleted", "undeploy",
                    is_deployed));
}
