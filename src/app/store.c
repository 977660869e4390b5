/* SPDX-License-Identifier: Apache-2.0 */
/* Applications as the state has them, in wadm's format: a record for each with all its versions, and an index of names.
 *
 *     {lattice}          ["counter", "shop"]
 *     {lattice}-{name}   {"manifests": {"v1": {...}, ...}, "deployed_version": "v1" or null}
 *
 * Ours adds to a record: "lattice", since names of lattices may hold a `-` too; "last_deployed"; "created", times of
 * versions; and "removed", manifests that were deleted while something of them may be left. A record goes when it has
 * no manifests of either sort: so an undeploy or delete that was interrupted goes on. */
#include "app/app_priv.h"
#include "app/lease_priv.h"
#include "app/output_priv.h"
#include "app/store_priv.h"
#include "app/touch_priv.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    PATIENCE_MS = 3000, /* of followers, until they put back what the leader does not */
    INDEX_MS = 200,     /* between two changes of the index */
};

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

/* --- versions --- */

static void version_free(struct wisp_app_version *version)
{
    wisp_app_manifest_deinit(&version->manifest);
    wisp_arena_deinit(&version->arena);
    free(version);
}

static void free_all(struct wisp_app_version **list)
{
    while (*list) {
        struct wisp_app_version *version = *list;
        *list = version->next;
        version_free(version);
    }
}

/* Appends it; NULL, and `err` says why, when it can't be understood. */
static struct wisp_app_version *read_version(struct wisp_app_version **list, const char *app_name, const char *name,
                                             const json_t *json, struct wisp_err *err)
{
    struct wisp_app_version *version = wisp_mem_calloc(1, sizeof *version);
    version->version = wisp_arena_str(&version->arena, wisp_str_from(name));
    int r = wisp_app_manifest_from_json(&version->manifest, &version->arena, json, err);
    if (r >= 0 && !wisp_str_is(version->manifest.name, app_name))
        r = wisp_err_set(err, WISP_ERR_INVALID, "it is one of application `%.*s`",
                         WISP_STR_ARG(version->manifest.name));
    if (r < 0) {
        version_free(version);
        return NULL;
    }
    while (*list) list = &(*list)->next;
    return *list = version;
}

/* --- what it wants --- */

static void touch_neighbours(struct wisp_app *app, struct wisp_app_record *record)
{
    struct wisp_link *mentions = &record->desired.mentions;
    wisp_app_touch(app, wisp_str_from(record->name));
    if (!wisp_ring_is_member(mentions)) return;
    WISP_RING_EACH(at, mentions)
    {
        const struct wisp_app_mention *mention = WISP_OWNER(at, struct wisp_app_mention, of_app);
        struct wisp_str text = {mention->list->text, mention->list->len};
        wisp_app_touch_mentions(app, mention->what, text);
    }
}

/* Those that use its components: what they mean by that is another one now. */
static void list_users_again(struct wisp_app *app, const struct wisp_app_record *record)
{
    struct wisp_str name = wisp_str_from(record->name);
    struct wisp_link *users = wisp_app_wants_mentions(&app->wants, WISP_APP_MENTIONED_SHARED, name);
    size_t n = 0;
    WISP_CLEANUP_FREE struct wisp_app_desired **list = wisp_mem_calloc(app->records.count + 1, sizeof *list);
    WISP_RING_EACH(at, users)
    list[n++] = WISP_OWNER(at, struct wisp_app_mention, with_text)->desired;
    for (size_t i = 0; i < n; i++) {
        wisp_app_wants_remove(&app->wants, list[i]);
        wisp_app_wants_add(&app->wants, list[i]);
        wisp_app_touch(app, list[i]->manifest->name);
    }
}

static void unlist(struct wisp_app *app, struct wisp_app_record *record)
{
    touch_neighbours(app, record);
    wisp_app_wants_remove(&app->wants, &record->desired);
}

static size_t count(const struct wisp_app_version *list)
{
    size_t n = 0;
    for (; list; list = list->next) n++;
    return n;
}

struct wisp_app_desired wisp_app_desire(struct wisp_arena *arena, const struct wisp_app_record *record)
{
    const struct wisp_app_version *main = record->deployed ? record->deployed : record->last_deployed;
    if (!main) main = record->versions ? record->versions : record->removed;
    struct wisp_app_desired desired = {.manifest = &main->manifest, .is_deployed = record->deployed != NULL};
    const struct wisp_app_manifest **others =
        WISP_NEW_ARRAY(arena, const struct wisp_app_manifest *, count(record->versions) + count(record->removed));
    const struct wisp_app_version *const lists[] = {record->versions, record->removed};
    for (size_t i = 0; i < WISP_COUNT(lists); i++)
        for (const struct wisp_app_version *at = lists[i]; at; at = at->next)
            if (at != main) others[desired.n_others++] = &at->manifest;
    desired.others = others;
    return desired;
}

static void list(struct wisp_app *app, struct wisp_app_record *record)
{
    unlist(app, record);
    wisp_arena_reset(&record->arena);
    if (record->is_ours && !record->trouble && (record->versions || record->removed)) {
        record->desired = wisp_app_desire(&record->arena, record);
        wisp_app_wants_add(&app->wants, &record->desired);
        touch_neighbours(app, record);
    }
    list_users_again(app, record);
}

/* --- records --- */

static void forget_versions(struct wisp_app_record *record)
{
    free_all(&record->versions);
    free_all(&record->removed);
    record->deployed = record->last_deployed = NULL;
    free(WISP_TAKE(record->trouble));
}

static void record_free(struct wisp_app *app, struct wisp_app_record *record)
{
    struct wisp_app_record **at = &app->first_record;
    while (*at != record) at = &(*at)->next;
    *at = record->next;
    if (app->next_check == record) app->next_check = record->next;
    wisp_map_remove(&app->records, wisp_str_from(record->name));
    unlist(app, record);
    list_users_again(app, record);
    forget_versions(record);
    wisp_arena_deinit(&record->arena);
    json_decref(record->json);
    json_decref(record->scalers);
    json_decref(record->told);
    free(record->message);
    free(record->name);
    free(record);
}

static void read_trouble(struct wisp_app *app, struct wisp_app_record *record, const char *version,
                         const struct wisp_err *err)
{
    wisp_app_log(app, WISP_LOG_WARN, "application `%s`: version `%s` as it is stored can't be understood: %s",
                 record->name, version, err->text);
    if (!wisp_str_is(wisp_json_str(record->json, "deployed_version"), version)) return;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "version `%s` as it is stored can't be understood: %s", version, err->text);
    free(record->trouble);
    record->trouble = wisp_mem_dup(wisp_buf_str(&text));
}

/* It is to be listed afterwards. */
static void read_record(struct wisp_app *app, struct wisp_app_record *record)
{
    const char *name;
    json_t *json;
    const json_t *removed = json_object_get(record->json, "removed");
    struct wisp_err err = {0};
    unlist(app, record);
    forget_versions(record);
    json_object_foreach(json_object_get(record->json, "manifests"), name, json)
    {
        if (!read_version(&record->versions, record->name, name, json, &err)) read_trouble(app, record, name, &err);
    }
    for (size_t i = 0; i < json_array_size(removed); i++)
        (void)!read_version(&record->removed, record->name, "", json_array_get(removed, i), &err);
    struct wisp_str deployed = wisp_json_str(record->json, "deployed_version");
    struct wisp_str last = wisp_json_str(record->json, "last_deployed");
    if (deployed.len) record->deployed = wisp_app_version_find(record, deployed);
    record->last_deployed = record->deployed ? record->deployed : wisp_app_version_find(record, last);
    record->is_unplanned = true;
}

static bool is_in_index(const struct wisp_app *app, const char *name)
{
    for (size_t i = 0; i < json_array_size(app->index); i++)
        if (wisp_str_is(wisp_str_from(json_string_value(json_array_get(app->index, i))), name)) return true;
    return false;
}

/* What the original wrote does not name its lattice: then the index does. */
static void find_owner(struct wisp_app *app, struct wisp_app_record *record)
{
    struct wisp_str lattice = wisp_json_str(record->json, "lattice");
    bool is_ours = lattice.len ? wisp_str_is(lattice, app->lattice) : is_in_index(app, record->name);
    bool is_new = is_ours != record->is_ours;
    record->is_ours = is_ours;
    if (is_new) list(app, record);
}

static struct wisp_app_record *need_record(struct wisp_app *app, struct wisp_str name)
{
    struct wisp_app_record *record = wisp_app_record_find(app, name);
    if (record) return record;
    if (app->records.count >= app->apps_max) {
        wisp_app_log(app, WISP_LOG_ERROR, "there are more than %u applications: `%.*s` is left alone", app->apps_max,
                     WISP_STR_ARG(name));
        return NULL;
    }
    record = wisp_mem_calloc(1, sizeof *record);
    record->name = wisp_mem_dup(name);
    record->next = app->first_record;
    app->first_record = record;
    wisp_map_add(&app->records, wisp_str_from(record->name), record);
    return record;
}

static bool has_manifests(const json_t *json) { return json_object_size(json_object_get(json, "manifests")) > 0; }

void wisp_app_store_adopt(struct wisp_app *app, struct wisp_str name, const json_t *json, uint64_t revision)
{
    struct wisp_app_record *record = wisp_app_record_find(app, name);
    if (has_manifests(json) != has_manifests(record ? record->json : NULL)) app->is_index_right = false;
    if (!record && json) record = need_record(app, name);
    app->store_ms = 0;
    if (!record) return;
    if (!json) {
        record_free(app, record);
        return;
    }
    json_decref(record->json);
    record->json = json_incref((json_t *)(uintptr_t)json);
    record->revision = revision;
    record->is_lost = record->is_missing = false;
    read_record(app, record);
    find_owner(app, record);
    list(app, record);
}

/* --- what the state says --- */

static void take_record(struct wisp_app *app, struct wisp_str name, const struct wisp_str *value, uint64_t revision)
{
    struct wisp_app_record *record = wisp_app_record_find(app, name);
    /* Our own writes are known already when they are told. While it is read anew, what is told counts. */
    bool is_old = app->is_current && record && revision && revision <= record->revision;
    if (is_old || (!value && !record)) return;
    if (!value && !app->is_current) {
        record->is_missing = true;
        record->revision = 0;
        return;
    }
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_err err = {0};
    if (value && wisp_json_parse(*value, &json, &err) == 0 && !json_is_object(json_object_get(json, "manifests")))
        wisp_err_set(&err, WISP_ERR_INVALID, "there is no object `manifests`");
    if (!err.kind) {
        wisp_app_store_adopt(app, name, json, revision);
        return;
    }
    /* Perhaps the index of another lattice whose name begins as ours does; what was known of ours stays. */
    wisp_app_log(app, WISP_LOG_DEBUG, "`%.*s` as it is stored can't be understood: %s", WISP_STR_ARG(name), err.text);
    if (record) record->revision = revision;
}

static void take_index(struct wisp_app *app, const struct wisp_str *value, uint64_t revision)
{
    bool is_old = app->is_current && revision && revision <= app->index_revision;
    if (is_old) return;
    json_decref(WISP_TAKE(app->index));
    app->index_revision = value ? revision : 0;
    if (value && wisp_json_parse(*value, &app->index, NULL) < 0) app->index = NULL;
    for (struct wisp_app_record *record = app->first_record; record; record = record->next) find_owner(app, record);
    app->store_ms = 0;
    app->is_index_right = false;
}

void wisp_app_store_on_state(struct wisp_app *app, struct wisp_str key, const struct wisp_str *value, uint64_t revision)
{
    struct wisp_str lattice = wisp_str_from(app->lattice);
    if (wisp_str_starts_with(key, WISP_STR("wisp.")))
        wisp_app_lease_on_state(app, value, revision);
    else if (wisp_str_equal(key, lattice))
        take_index(app, value, revision);
    else if (wisp_str_starts_with(key, lattice) && key.len > lattice.len + 1 && key.ptr[lattice.len] == '-')
        take_record(app, (struct wisp_str){key.ptr + lattice.len + 1, key.len - lattice.len - 1}, value, revision);
}

void wisp_app_store_on_opened(struct wisp_app *app)
{
    for (struct wisp_app_record *record = app->first_record; record; record = record->next) {
        record->is_missing = true; /* unless it is told again */
        record->revision = 0;
    }
    app->index_revision = 0;
    json_decref(WISP_TAKE(app->index));
}

void wisp_app_store_on_loaded(struct wisp_app *app)
{
    bool is_same_state = app->lease.epoch[0] && wisp_str_is(wisp_str_from(app->epoch), app->lease.epoch);
    for (struct wisp_app_record *record = app->first_record, *after; record; record = after) {
        after = record->next;
        if (!record->is_missing) continue;
        if (is_same_state || !record->is_ours)
            record_free(app, record); /* somebody deleted it meanwhile */
        else
            record->is_lost = true;
    }
    memcpy(app->epoch, app->lease.epoch, sizeof app->epoch);
    app->store_ms = 0;
    app->is_index_right = false;
    app->patient_ms = app->now.now_ms + PATIENCE_MS;
    wisp_app_touch_all(app);
}

/* --- putting right --- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **wisp_app_store_names(const struct wisp_app *app, size_t *ret_n)
{
    size_t n = 0;
    const char **names = wisp_mem_calloc(app->records.count + 1, sizeof *names);
    for (const struct wisp_app_record *record = app->first_record; record; record = record->next)
        if (record->is_ours && json_object_size(json_object_get(record->json, "manifests"))) names[n++] = record->name;
    qsort(names, n, sizeof *names, compare_names);
    *ret_n = n;
    return names;
}

static void on_index(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    if (done->err.kind) {
        app->is_index_right = false;
        app->store_ms = wisp_app_sooner(app->store_ms, app->now.now_ms + PATIENCE_MS);
    }
    if (done->err.kind || done->revision <= app->index_revision) return;
    json_decref(app->index);
    app->index = WISP_TAKE(note->json);
    app->index_revision = done->revision;
}

static void put_index(struct wisp_app *app)
{
    size_t n = 0;
    WISP_CLEANUP_FREE const char **names = wisp_app_store_names(app, &n);
    WISP_CLEANUP_JSON json_t *index = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(index, json_string(names[i]));
    app->is_index_right = true; /* until that fails */
    if ((app->index && json_equal(app->index, index)) || (!app->index && !n)) return;
    app->index_ms = app->now.now_ms + INDEX_MS;
    wisp_app_write(app, wisp_str_from(app->lattice), index, app->index_revision, on_index,
                   (struct wisp_app_note){.json = json_incref(index)});
}

static void on_put_back(struct wisp_app *app, const struct wisp_app_done *done, struct wisp_app_note *note)
{
    struct wisp_app_record *record = wisp_app_record_find(app, wisp_str_from(note->text));
    if (!done->err.kind && (!record || !record->revision)) {
        wisp_app_store_adopt(app, wisp_str_from(note->text), note->json, done->revision);
    } else if (done->err.kind && done->err.kind != WISP_ERR_EXISTS && record && !record->revision) {
        record->is_lost = true;
        app->store_ms = app->now.now_ms + PATIENCE_MS;
    }
}

static void put_back(struct wisp_app *app, struct wisp_app_record *record)
{
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    record->is_lost = false; /* until that fails; if there is another one by now, it is told */
    wisp_app_log(app, WISP_LOG_WARN, "application `%s` was lost with the state and is put back", record->name);
    wisp_app_write(
        app, wisp_app_store_key(app, wisp_str_from(record->name), &key), record->json, 0, on_put_back,
        (struct wisp_app_note){.text = wisp_mem_dup(wisp_str_from(record->name)), .json = json_incref(record->json)});
}

uint64_t wisp_app_store_tick(struct wisp_app *app)
{
    bool is_leading = wisp_app_lease_is_valid(app);
    if (!app->is_current || app->is_stopped) return UINT64_MAX;
    if (!is_leading && app->store_ms < app->patient_ms) app->store_ms = app->patient_ms;
    if (app->now.now_ms < app->store_ms) return app->store_ms;
    app->store_ms = UINT64_MAX;
    for (struct wisp_app_record *record = app->first_record; record; record = record->next)
        if (record->is_lost) put_back(app, record);
    if (!is_leading || app->is_index_right) return app->store_ms;
    if (app->now.now_ms >= app->index_ms)
        put_index(app);
    else
        app->store_ms = wisp_app_sooner(app->store_ms, app->index_ms);
    return app->store_ms;
}

void wisp_app_store_deinit(struct wisp_app *app)
{
    while (app->first_record) record_free(app, app->first_record);
    wisp_map_deinit(&app->records);
    wisp_app_wants_deinit(&app->wants);
    json_decref(app->index);
}
