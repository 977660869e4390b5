/* SPDX-License-Identifier: Apache-2.0 */
/* Applications as the state has them, in wadm's format: a record for each with all its versions, and an index of names.
 *
 *     {lattice}          ["counter", "shop"]
 *     {lattice}-{name}   {"manifests": {"v1": {...}, ...}, "deployed_version": "v1" or null}
 *
 * Ours adds to a record "last_deployed" and "is_deleting": an undeploy or delete that was interrupted goes on, since
 * the record stays until nothing of the application is left. */
#include "app/app_priv.h"

#include "base/log.h"

#include <stdlib.h>

struct wisp_str wisp_app_store_key(struct wisp_app *app, struct wisp_str name, struct wisp_buf *out)
{
    wisp_buf_printf(out, "%s-%.*s", app->lattice, WISP_STR_ARG(name));
    return wisp_buf_str(out);
}

struct wisp_app_record *wisp_app_record_find(const struct wisp_app *app, struct wisp_str name)
{
    return wisp_map_get(&app->records, name);
}

struct wisp_app_version *wisp_app_version_find(const struct wisp_app_record *record, struct wisp_str version)
{
    for (struct wisp_app_version *at = record->versions; at; at = at->next)
        if (wisp_str_equal(at->version, version)) return at;
    return NULL;
}

/* --- records --- */

static void versions_free(struct wisp_app_record *record)
{
    while (record->versions) {
        struct wisp_app_version *version = record->versions;
        record->versions = version->next;
        wisp_app_manifest_deinit(&version->manifest);
        wisp_arena_deinit(&version->arena);
        free(version);
    }
    record->deployed = record->last_deployed = NULL;
}

static void record_free(struct wisp_app *app, struct wisp_app_record *record)
{
    struct wisp_app_record **at = &app->first_record;
    while (*at != record) at = &(*at)->next;
    *at = record->next;
    wisp_map_remove(&app->records, wisp_str_from(record->name));
    /* The plan at hand points to its manifests. */
    wisp_app_plan_deinit(&app->plan);
    versions_free(record);
    json_decref(record->json);
    free(record->status_told);
    free(record->name);
    free(record);
}

static void read_version(struct wisp_app *app, const struct wisp_app_record *record, struct wisp_app_version ***end,
                         const char *name, const json_t *json)
{
    struct wisp_app_version *version = wisp_mem_calloc(1, sizeof *version);
    struct wisp_err err = {0};
    version->version = wisp_arena_str(&version->arena, wisp_str_from(name));
    if (wisp_app_manifest_from_json(&version->manifest, &version->arena, json, &err) < 0) {
        wisp_app_log(app, WISP_LOG_WARN, "application `%s`: version `%s` as it is stored can't be understood: %s",
                     record->name, name, err.text);
        wisp_app_manifest_deinit(&version->manifest);
        wisp_arena_deinit(&version->arena);
        free(version);
        return;
    }
    **end = version;
    *end = &version->next;
}

static void read_record(struct wisp_app *app, struct wisp_app_record *record)
{
    wisp_app_plan_deinit(&app->plan);
    versions_free(record);
    struct wisp_app_version **end = &record->versions;
    const char *name;
    json_t *json;
    json_object_foreach(json_object_get(record->json, "manifests"), name, json)
    {
        read_version(app, record, &end, name, json);
    }
    struct wisp_str deployed = wisp_json_str(record->json, "deployed_version");
    struct wisp_str last = wisp_json_str(record->json, "last_deployed");
    if (deployed.len) record->deployed = wisp_app_version_find(record, deployed);
    record->last_deployed = record->deployed ? record->deployed : wisp_app_version_find(record, last);
    record->is_deleting = wisp_json_bool(record->json, "is_deleting", false);
}

static struct wisp_app_record *need_record(struct wisp_app *app, struct wisp_str name)
{
    struct wisp_app_record *record = wisp_app_record_find(app, name);
    if (record || app->records.count >= app->apps_max) return record;
    record = wisp_mem_calloc(1, sizeof *record);
    record->name = wisp_mem_dup(name);
    record->next = app->first_record;
    app->first_record = record;
    wisp_map_add(&app->records, wisp_str_from(record->name), record);
    return record;
}

static void take_record(struct wisp_app *app, struct wisp_str name, const struct wisp_str *value, uint64_t revision)
{
    struct wisp_app_record *record = wisp_app_record_find(app, name);
    if (!value) {
        /* While the state could not be reached, deletions may have been made by nobody. */
        bool is_doubtful = record && !record->is_deleting && (!app->is_loaded || !app->is_reachable);
        if (is_doubtful) {
            record->is_lost = true;
            record->revision = 0;
        } else if (record) {
            record_free(app, record);
        }
        wisp_app_touch(app);
        return;
    }
    json_t *json = NULL;
    struct wisp_err err = {0};
    if (record && revision && revision <= record->revision) return;
    if (wisp_json_parse(*value, &json, &err) < 0) {
        wisp_app_log(app, WISP_LOG_WARN, "application `%.*s` as it is stored can't be understood: %s",
                     WISP_STR_ARG(name), err.text);
        return;
    }
    record = need_record(app, name);
    if (!record) {
        wisp_app_log(app, WISP_LOG_ERROR, "there are more than %u applications: `%.*s` is left alone", app->apps_max,
                     WISP_STR_ARG(name));
        json_decref(json);
        return;
    }
    json_decref(record->json);
    record->json = json;
    record->revision = revision;
    record->is_lost = false;
    read_record(app, record);
    wisp_app_touch(app);
}

void wisp_app_store_on_state(struct wisp_app *app, struct wisp_str key, const struct wisp_str *value, uint64_t revision)
{
    struct wisp_str lattice = wisp_str_from(app->lattice);
    if (wisp_str_starts_with(key, WISP_STR("wisp."))) {
        if (wisp_str_ends_with(key, WISP_STR(".lease"))) wisp_app_lease_on_state(app, value, revision);
    } else if (wisp_str_equal(key, lattice)) {
        json_decref(WISP_TAKE(app->index));
        app->index_revision = value ? revision : 0;
        if (value && wisp_json_parse(*value, &app->index, NULL) < 0) app->index = NULL;
    } else if (key.len > lattice.len + 1) {
        take_record(app, (struct wisp_str){key.ptr + lattice.len + 1, key.len - lattice.len - 1}, value, revision);
    }
}

/* --- putting right --- */

static void on_repaired(struct wisp_app *app, const struct wisp_app_done *done, void *env)
{
    (void)env;
    if (done->err.kind && done->err.kind != WISP_ERR_EXISTS)
        wisp_app_log(app, WISP_LOG_WARN, "the list of applications could not be stored: %s", done->err.text);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *make_index(const struct wisp_app *app)
{
    size_t n = 0;
    const char **names = wisp_mem_calloc(app->records.count + 1, sizeof *names);
    for (const struct wisp_app_record *record = app->first_record; record; record = record->next)
        names[n++] = record->name;
    qsort(names, n, sizeof *names, compare_names);
    json_t *index = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(index, json_string(names[i]));
    free(names);
    return index;
}

void wisp_app_store_repair(struct wisp_app *app)
{
    if (!wisp_app_lease_is_valid(app)) return;
    for (struct wisp_app_record *record = app->first_record; record; record = record->next) {
        if (!record->is_lost) continue;
        WISP_CLEANUP_BUF struct wisp_buf key = {0};
        wisp_app_log(app, WISP_LOG_WARN, "application `%s` was lost from the state and is put back", record->name);
        record->is_lost = false;
        wisp_app_write(app, wisp_app_store_key(app, wisp_str_from(record->name), &key), record->json, 0, on_repaired,
                       NULL);
    }
    WISP_CLEANUP_JSON json_t *index = make_index(app);
    if ((app->index && json_equal(app->index, index)) || (!app->index && !json_array_size(index))) return;
    wisp_app_write(app, wisp_str_from(app->lattice), index, (int64_t)app->index_revision, on_repaired, NULL);
}

void wisp_app_store_deinit(struct wisp_app *app)
{
    while (app->first_record) record_free(app, app->first_record);
    wisp_map_deinit(&app->records);
    json_decref(app->index);
}
