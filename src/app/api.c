/* SPDX-License-Identifier: Apache-2.0 */
/* wadm's API: `{prefix}.{lattice}.model.{op}[.{name}]`. Only the leader answers; see api_write.c for what changes
 * something. Beside the original's: plan, and history that answers. */
#include "app/api_priv.h"
#include "app/app_priv.h"
#include "app/hosts_priv.h"
#include "app/lease_priv.h"
#include "app/output_priv.h"
#include "app/run_priv.h"
#include "app/status_priv.h"
#include "app/store_priv.h"

#include <stdio.h>
#include <stdlib.h>

static void not_found(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "there is no application `%.*s`, or no such version of it", WISP_STR_ARG(asked->name));
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:o}", "result", "notfound", "message", wisp_json_text(wisp_buf_str(&text))));
}

static const struct wisp_app_version *latest(const struct wisp_app_record *record)
{
    const struct wisp_str none = {0};
    return wisp_app_asked_version(record, none);
}

/* --- reading --- */

static json_t *optional(struct wisp_str text) { return text.len ? wisp_json_text(text) : json_null(); }

static json_t *summary(const struct wisp_app_record *record, bool with_scalers)
{
    const struct wisp_app_version *newest = latest(record);
    const struct wisp_str none = {0};
    json_t *status = wisp_app_status_json(record);
    json_t *state = json_object_get(status, "status");
    /* As soon as it is asked for: clients of the original choose by that what they delete. */
    bool is_ending = !record->deployed && !record->trouble;
    if (is_ending) json_object_set_new(state, "type", json_string(wisp_app_state_name(WISP_APP_UNDEPLOYED)));
    if (!with_scalers) json_object_del(status, "scalers");
    return json_pack("{s:s, s:o, s:o, s:o, s:O, s:o, s:O}", "name", record->name, "version",
                     wisp_json_text(newest ? newest->version : none), "description",
                     optional(newest ? newest->manifest.description : none), "deployed_version",
                     optional(record->deployed ? record->deployed->version : none), "status",
                     json_object_get(state, "type"), "detailed_status", status, "status_message",
                     json_object_get(state, "message"));
}

static json_t *summaries(struct wisp_app *app, bool with_scalers)
{
    size_t n;
    json_t *list = json_array();
    WISP_CLEANUP_FREE const char **names = wisp_app_store_names(app, &n);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, summary(wisp_app_record_find(app, wisp_str_from(names[i])), with_scalers));
    return list;
}

static void answer_all(struct wisp_app *app, const struct wisp_app_asked *asked, bool is_bare)
{
    for (int with_scalers = 1; with_scalers >= 0; with_scalers--) {
        json_t *models = summaries(app, with_scalers);
        WISP_CLEANUP_JSON json_t *answer =
            is_bare ? models : json_pack("{s:s, s:s, s:o}", "result", "success", "message", "", "models", models);
        if (!asked->reply.len || wisp_app_publish(app, asked->reply, answer)) return;
    }
    wisp_app_answer_error(app, asked->reply, "there are too many applications for one message");
}

static void get(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (!asked->name.len) {
        answer_all(app, asked, false);
        return;
    }
    const struct wisp_app_record *record = wisp_app_asked_record(app, asked);
    if (!wisp_app_asked_json(app, asked, &request)) return;
    const struct wisp_app_version *version =
        record ? wisp_app_asked_version(record, wisp_json_str(request, "version")) : NULL;
    if (!version)
        not_found(app, asked);
    else
        wisp_app_answer(
            app, asked->reply,
            json_pack("{s:s, s:s, s:O}", "result", "success", "message", "", "manifest", version->manifest.json));
}

static void list(struct wisp_app *app, const struct wisp_app_asked *asked) { answer_all(app, asked, true); }

static json_t *version_json(const struct wisp_app_record *record, const struct wisp_app_version *version)
{
    const json_t *created =
        json_object_getn(json_object_get(record->json, "created"), version->version.ptr, version->version.len);
    json_t *json =
        json_pack("{s:o, s:b}", "version", wisp_json_text(version->version), "deployed", version == record->deployed);
    if (json_is_integer(created))
        json_object_set_new(json, "created", wisp_app_time_json((uint64_t)json_integer_value(created)));
    return json;
}

static void versions(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    const struct wisp_app_record *record = wisp_app_asked_record(app, asked);
    if (!record) {
        not_found(app, asked);
        return;
    }
    json_t *found = json_array();
    for (const struct wisp_app_version *at = record->versions; at; at = at->next)
        json_array_append_new(found, version_json(record, at));
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:s, s:o}", "result", "success", "message", "", "versions", found));
}

static void status(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:s, s:o}", "result", "ok", "message", "", "status",
                              wisp_app_status_json(wisp_app_record_find(app, asked->name))));
}

/* --- plan --- */

static const char *kind_name(enum wisp_app_command_kind kind)
{
    static const char *const names[] = {[WISP_APP_PUT_CONFIG] = "put-config",
                                        [WISP_APP_DELETE_CONFIG] = "delete-config",
                                        [WISP_APP_PUT_LINK] = "put-link",
                                        [WISP_APP_DELETE_LINK] = "delete-link",
                                        [WISP_APP_SCALE] = "scale",
                                        [WISP_APP_START_PROVIDER] = "start-provider",
                                        [WISP_APP_STOP_PROVIDER] = "stop-provider"};
    return names[kind];
}

static json_t *command_json(const struct wisp_app *app, const struct wisp_app_command *command)
{
    json_t *json =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:s}", "kind", kind_name(command->kind), "app",
                  wisp_json_text(command->app), "scaler", optional(command->scaler_id), "host", optional(command->host),
                  "name", optional(command->name), "reason", command->reason ? command->reason : "");
    if (command->payload) json_object_set(json, "payload", command->payload);
    if (command->kind == WISP_APP_SCALE) {
        const struct wisp_app_known_host *host = wisp_app_host_find(app, command->host);
        struct wisp_str id = wisp_json_str(command->payload, "component_id");
        const struct wisp_app_unit *unit = host ? wisp_app_unit_find(host, false, id) : NULL;
        json_object_set_new(json, "found", json_integer(unit ? unit->instance.count : 0));
    }
    return json;
}

/* With this manifest in the place of the application's: what would be done for it, and how its scalers would stand. */
static void answer_plan(struct wisp_app *app, const struct wisp_app_asked *asked,
                        const struct wisp_app_manifest *manifest)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_app_record *record = wisp_app_asked_record(app, asked);
    struct wisp_app_version version = {.manifest = *manifest};
    struct wisp_app_record shown = {.name = wisp_arena_cstr(&arena, manifest->name),
                                    .versions = record ? record->versions : NULL,
                                    .removed = record ? record->removed : NULL,
                                    .deployed = &version,
                                    .is_ours = true};
    struct wisp_app_desired desired = wisp_app_desire(&arena, &shown);
    struct wisp_app_plan plan;
    struct wisp_err err = {0};
    wisp_app_make_plan(app, &manifest->name, 1, &desired, &plan);
    json_t *commands = json_array();
    for (size_t i = 0; i < plan.n_commands; i++) json_array_append_new(commands, command_json(app, &plan.commands[i]));
    bool is_refused = wisp_app_check_deployable(app, manifest, &err) < 0;
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:o, s:o, s:o}", "result", is_refused ? "error" : "success", "message",
                              wisp_json_text(wisp_str_from(err.text)), "commands", commands, "scalers",
                              wisp_app_scalers_json(&plan.apps[0], NULL, NULL)));
    wisp_app_plan_deinit(&plan);
}

static void plan(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_JSON json_t *request = NULL;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    bool is_request = !asked->payload.len ||
                      (wisp_json_parse(asked->payload, &request, NULL) == 0 && !json_object_get(request, "spec"));
    if (is_request) {
        const struct wisp_app_record *record = wisp_app_asked_record(app, asked);
        const struct wisp_app_version *version =
            record ? wisp_app_asked_version(record, wisp_json_str(request, "version")) : NULL;
        if (version)
            answer_plan(app, asked, &version->manifest);
        else
            not_found(app, asked);
        return;
    }
    struct wisp_app_problems *problems = WISP_NEW(&arena, struct wisp_app_problems);
    struct wisp_app_manifest manifest;
    struct wisp_err err = {0};
    if (wisp_app_manifest_parse(&manifest, &arena, asked->payload, WISP_APP_YAML_OR_JSON, true, problems, &err) < 0)
        wisp_app_answer_error(app, asked->reply, "%s", err.text);
    else if (!wisp_str_equal(manifest.name, asked->name))
        wisp_app_answer_error(app, asked->reply, "the manifest is of application `%.*s`", WISP_STR_ARG(manifest.name));
    else
        answer_plan(app, asked, &manifest);
    wisp_app_manifest_deinit(&manifest);
}

/* --- who is asked --- */

static const struct op {
    const char *name;
    enum { NO_NAME, ANY_NAME, A_NAME } takes;
    bool writes;
    void (*serve)(struct wisp_app *app, const struct wisp_app_asked *asked);
} ops[] = {
    {"put", NO_NAME, true, wisp_app_api_put},
    {"get", ANY_NAME, false, get},
    {"list", NO_NAME, false, list},
    {"versions", A_NAME, false, versions},
    {"history", A_NAME, false, versions},
    {"status", A_NAME, false, status},
    {"deploy", A_NAME, true, wisp_app_api_deploy},
    {"undeploy", A_NAME, true, wisp_app_api_undeploy},
    {"del", A_NAME, true, wisp_app_api_delete},
    {"plan", A_NAME, false, plan},
};

/* NULL, and answered, when there is none for this subject. */
static const struct op *find_op(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    bool has_name = asked->name.len > 0;
    if (has_name && memchr(asked->name.ptr, '.', asked->name.len)) {
        wisp_app_answer_error(app, asked->reply, "`%.*s` can't be a name: letters, digits, `-` and `_`",
                              WISP_STR_ARG(asked->name));
        return NULL;
    }
    for (size_t i = 0; i < WISP_COUNT(ops); i++) {
        if (!wisp_str_is(asked->op, ops[i].name)) continue;
        if (ops[i].takes == ANY_NAME || has_name == (ops[i].takes == A_NAME)) return &ops[i];
        wisp_app_answer_error(app, asked->reply, "unsupported subject: `%s` %s a name", ops[i].name,
                              has_name ? "does not take" : "needs");
        return NULL;
    }
    wisp_app_answer_error(app, asked->reply, "unsupported subject: there is no `%.*s`", WISP_STR_ARG(asked->op));
    return NULL;
}

/* --- one after the other --- */

static void wait(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    if (app->n_waiting >= WISP_APP_ASKED_MAX) {
        wisp_app_answer_error(app, asked->reply, "%u requests wait already; try again later", app->n_waiting);
        return;
    }
    struct wisp_app_waiting *waiting = wisp_mem_calloc(1, sizeof *waiting);
    waiting->asked = *asked;
    struct wisp_str *texts[] = {&waiting->asked.op, &waiting->asked.name, &waiting->asked.reply,
                                &waiting->asked.payload, &waiting->asked.content_type};
    for (size_t i = 0; i < WISP_COUNT(texts); i++) *texts[i] = wisp_arena_str(&waiting->arena, *texts[i]);
    if (app->last_waiting)
        app->last_waiting->next = waiting;
    else
        app->first_waiting = waiting;
    app->last_waiting = waiting;
    app->n_waiting++;
}

static struct wisp_app_waiting *take_waiting(struct wisp_app *app)
{
    struct wisp_app_waiting *waiting = app->first_waiting;
    app->first_waiting = waiting->next;
    if (!app->first_waiting) app->last_waiting = NULL;
    app->n_waiting--;
    return waiting;
}

static void waiting_free(struct wisp_app_waiting *waiting)
{
    wisp_arena_deinit(&waiting->arena);
    free(waiting);
}

void wisp_app_api_go_on(struct wisp_app *app)
{
    while (!app->is_writing && app->first_waiting) {
        struct wisp_app_waiting *waiting = take_waiting(app);
        const struct op *op = find_op(app, &waiting->asked);
        if (op) op->serve(app, &waiting->asked);
        waiting_free(waiting);
    }
}

void wisp_app_api_refuse_all(struct wisp_app *app)
{
    while (app->first_waiting) {
        struct wisp_app_waiting *waiting = take_waiting(app);
        wisp_app_answer_error(app, waiting->asked.reply, "another host manages the applications by now; try again");
        waiting_free(waiting);
    }
}

void wisp_app_api_deinit(struct wisp_app *app)
{
    while (app->first_waiting) waiting_free(take_waiting(app));
}

void wisp_app_api_on_message(struct wisp_app *app, const struct wisp_bus_message *message)
{
    if (!wisp_app_lease_is_valid(app)) return; /* the leader answers */
    WISP_CLEANUP_BUF struct wisp_buf prefix = {0};
    wisp_buf_printf(&prefix, "%s.%s.", app->api_prefix, app->lattice);
    if (!wisp_str_starts_with(message->subject, wisp_buf_str(&prefix))) return;
    struct wisp_str rest = {message->subject.ptr + prefix.len, message->subject.len - prefix.len}, category;
    struct wisp_app_asked asked = {.reply = message->reply,
                                   .payload = message->payload,
                                   .content_type = wisp_bus_header_get(message, "Content-Type")};
    if (!wisp_str_split(rest, '.', &category, &asked.op) || !wisp_str_is(category, "model")) {
        wisp_app_answer_error(app, asked.reply, "unsupported subject: `%.*s`", WISP_STR_ARG(message->subject));
        return;
    }
    wisp_str_split(asked.op, '.', &asked.op, &asked.name);
    const struct op *op = find_op(app, &asked);
    if (op && op->writes && (app->is_writing || app->first_waiting))
        wait(app, &asked);
    else if (op)
        op->serve(app, &asked);
}
