/* SPDX-License-Identifier: Apache-2.0 */
/* wadm's API: `{prefix}.{lattice}.model.{op}[.{name}]`. Only the leader answers; see api_write.c for what changes
 * something. Beside the original's: plan, and history that answers. */
#include "app/app_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- answers --- */

void wisp_app_answer(struct wisp_app *app, struct wisp_str reply, json_t *answer_taken)
{
    if (reply.len) wisp_app_publish(app, reply, answer_taken);
    json_decref(answer_taken);
}

void wisp_app_answer_error(struct wisp_app *app, struct wisp_str reply, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wisp_app_answer(app, reply,
                    json_pack("{s:s, s:o}", "result", "error", "message", wisp_json_text(wisp_str_from(text))));
}

static void not_found(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "there is no application `%.*s`", WISP_STR_ARG(asked->name));
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:o}", "result", "notfound", "message", wisp_json_text(wisp_buf_str(&text))));
}

/* --- reading --- */

static const struct wisp_app_version *latest(const struct wisp_app_record *record)
{
    const struct wisp_app_version *at = record->versions;
    while (at && at->next) at = at->next;
    return at;
}

static json_t *optional(struct wisp_str text) { return text.len ? wisp_json_text(text) : json_null(); }

static json_t *summary(struct wisp_app *app, const struct wisp_app_record *record)
{
    const struct wisp_app_version *newest = latest(record);
    const struct wisp_str none = {0};
    json_t *status = wisp_app_status_json(app, record, &app->plan);
    json_t *state = json_object_get(status, "status");
    return json_pack("{s:s, s:o, s:o, s:o, s:O, s:o, s:O}", "name", record->name, "version",
                     wisp_json_text(newest ? newest->version : none), "description",
                     optional(newest ? newest->manifest.description : none), "deployed_version",
                     optional(record->deployed ? record->deployed->version : none), "status",
                     json_object_get(state, "type"), "detailed_status", status, "status_message",
                     json_object_get(state, "message"));
}

static json_t *summaries(struct wisp_app *app)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(app->index); i++) {
        const struct wisp_app_record *record =
            wisp_app_record_find(app, wisp_str_from(json_string_value(json_array_get(app->index, i))));
        if (record && !record->is_deleting) json_array_append_new(list, summary(app, record));
    }
    return list;
}

static struct wisp_app_record *find(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    struct wisp_app_record *record = wisp_app_record_find(app, asked->name);
    return record && !record->is_deleting ? record : NULL;
}

/* Of the request: {"version": "v"}; NULL and `latest`: the newest. */
static const struct wisp_app_version *asked_version(const struct wisp_app_record *record, struct wisp_str payload)
{
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (payload.len && wisp_json_parse(payload, &request, NULL) < 0) return NULL;
    struct wisp_str version = wisp_json_str(request, "version");
    return !version.len || wisp_str_is(version, "latest") ? latest(record) : wisp_app_version_find(record, version);
}

static void get(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    if (!asked->name.len) {
        wisp_app_answer(app, asked->reply,
                        json_pack("{s:s, s:s, s:o}", "result", "success", "message", "", "models", summaries(app)));
        return;
    }
    const struct wisp_app_record *record = find(app, asked);
    const struct wisp_app_version *version = record ? asked_version(record, asked->payload) : NULL;
    if (!version)
        not_found(app, asked);
    else
        wisp_app_answer(
            app, asked->reply,
            json_pack("{s:s, s:s, s:O}", "result", "success", "message", "", "manifest", version->manifest.json));
}

static void list(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    wisp_app_answer(app, asked->reply, summaries(app));
}

static void versions(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    const struct wisp_app_record *record = find(app, asked);
    if (!record) {
        not_found(app, asked);
        return;
    }
    json_t *found = json_array();
    for (const struct wisp_app_version *at = record->versions; at; at = at->next)
        json_array_append_new(
            found, json_pack("{s:o, s:b}", "version", wisp_json_text(at->version), "deployed", at == record->deployed));
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:s, s:o}", "result", "success", "message", "", "versions", found));
}

static void status(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:s, s:o}", "result", "ok", "message", "", "status",
                              wisp_app_status_json(app, find(app, asked), &app->plan)));
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

static json_t *commands_json(const struct wisp_app_plan *plan)
{
    json_t *commands = json_array();
    for (size_t i = 0; i < plan->n_commands; i++) {
        const struct wisp_app_command *command = &plan->commands[i];
        json_t *json = json_pack("{s:s, s:o, s:o, s:o, s:s}", "kind", kind_name(command->kind), "app",
                                 wisp_json_text(command->app), "host", optional(command->host), "name",
                                 optional(command->name), "reason", command->reason ? command->reason : "");
        if (command->payload) json_object_set(json, "payload", command->payload);
        json_array_append_new(commands, json);
    }
    return commands;
}

/* With this manifest in the place of the application's. */
static void answer_plan(struct wisp_app *app, const struct wisp_app_asked *asked,
                        const struct wisp_app_manifest *manifest)
{
    const struct wisp_app_record *record = find(app, asked);
    const struct wisp_app_manifest *others[64];
    struct wisp_app_desired desired = {.manifest = manifest, .is_deployed = true, .others = others};
    for (const struct wisp_app_version *at = record ? record->versions : NULL; at && desired.n_others < 64;
         at = at->next)
        if (&at->manifest != manifest) others[desired.n_others++] = &at->manifest;
    struct wisp_app_plan plan;
    wisp_app_make_plan(app, &desired, &plan);
    struct wisp_app_version version = {.version = manifest->version};
    WISP_CLEANUP_FREE char *name = wisp_mem_dup(manifest->name);
    struct wisp_app_record shown = {.name = name, .deployed = &version};
    WISP_CLEANUP_JSON json_t *state = wisp_app_status_json(app, &shown, &plan);
    wisp_app_answer(app, asked->reply,
                    json_pack("{s:s, s:s, s:o, s:O}", "result", "success", "message", "", "commands",
                              commands_json(&plan), "scalers", json_object_get(state, "scalers")));
    wisp_app_plan_deinit(&plan);
}

static bool is_version_request(struct wisp_str payload)
{
    WISP_CLEANUP_JSON json_t *request = NULL;
    if (!payload.len) return true;
    return wisp_json_parse(payload, &request, NULL) == 0 && !json_object_get(request, "spec");
}

static void plan(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    if (is_version_request(asked->payload)) {
        const struct wisp_app_record *record = find(app, asked);
        const struct wisp_app_version *version = record ? asked_version(record, asked->payload) : NULL;
        if (version)
            answer_plan(app, asked, &version->manifest);
        else
            not_found(app, asked);
        return;
    }
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
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

static const struct {
    const char *op;
    bool needs_name;
    void (*serve)(struct wisp_app *app, const struct wisp_app_asked *asked);
} ops[] = {
    {"put", false, wisp_app_api_put},
    {"get", false, get},
    {"list", false, list},
    {"versions", true, versions},
    {"history", true, versions},
    {"status", true, status},
    {"deploy", true, wisp_app_api_deploy},
    {"undeploy", true, wisp_app_api_undeploy},
    {"del", true, wisp_app_api_delete},
    {"plan", true, plan},
};

static void serve(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    if (memchr(asked->name.len ? asked->name.ptr : "", '.', asked->name.len)) {
        wisp_app_answer_error(app, asked->reply, "`%.*s` can't be a name: letters, digits, `-` and `_`",
                              WISP_STR_ARG(asked->name));
        return;
    }
    for (size_t i = 0; i < WISP_COUNT(ops); i++) {
        if (!wisp_str_is(asked->op, ops[i].op)) continue;
        bool has_right_name = ops[i].needs_name ? asked->name.len > 0 : !asked->name.len || ops[i].serve == get;
        if (has_right_name)
            ops[i].serve(app, asked);
        else
            wisp_app_answer_error(app, asked->reply, "unsupported subject: `%.*s` %s a name", WISP_STR_ARG(asked->op),
                                  ops[i].needs_name ? "needs" : "does not take");
        return;
    }
    wisp_app_answer_error(app, asked->reply, "unsupported subject: there is no `%.*s`", WISP_STR_ARG(asked->op));
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
    serve(app, &asked);
}
