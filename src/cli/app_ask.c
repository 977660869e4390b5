/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the deployment manager: wadm's API. */
#include "cli/app.h"

#include "base/json.h"
#include "base/nearest.h"

#include <stdlib.h>

#define PREFIX "wadm.api"
enum {
    RETRY_MS = 100,
    READ_MS = 700,          /* for an answer from memory; then it is asked again */
    TAKEOVER_MS = 6 * 1000, /* until another host leads, when the one that did is gone */
};

struct asked {
    bool is_done;
    struct wisp_buf payload;
    struct wisp_err err;
};

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct asked *asked = env;
    asked->is_done = true;
    if (reply)
        wisp_buf_append_str(&asked->payload, reply->payload);
    else
        asked->err = *err;
}

static bool is_one_of(const char *op, const char *const *ops)
{
    for (; *ops; ops++)
        if (strcmp(op, *ops) == 0) return true;
    return false;
}

static bool is_read(const struct wisp_apps_question *question)
{
    static const char *const writes[] = {"put", "deploy", "undeploy", "del", NULL};
    return !is_one_of(question->op, writes);
}

/* Twice is the same as once. */
static bool is_repeatable(const struct wisp_apps_question *question)
{
    static const char *const once[] = {"put", "del", NULL};
    return !is_one_of(question->op, once);
}

static int ask_once(struct wisp_lattice_client *client, const struct wisp_apps_question *question,
                    struct wisp_str payload, struct asked *asked, struct wisp_err *err)
{
    const struct wisp_connection_settings *settings = wisp_lattice_client_settings(client);
    uint64_t patience = settings->timeout_ms;
    if (is_read(question) && patience > READ_MS) patience = READ_MS;
    char subject[WISP_BUS_SUBJECT_MAX];
    snprintf(subject, sizeof subject, PREFIX ".%s.model.%s%s%s", settings->lattice, question->op,
             question->name ? "." : "", question->name ? question->name : "");
    struct wisp_bus_header header = {WISP_STR("Content-Type"), WISP_STR("application/json")};
    struct wisp_bus_request *request = NULL;
    int r = wisp_bus_request(wisp_lattice_client_bus(client), wisp_str_from(subject), &header,
                             question->is_manifest ? 1 : 0, payload, patience, on_reply, asked, &request, err);
    if (r < 0) return r;
    r = wisp_lattice_client_wait(client, &asked->is_done, UINT64_MAX, err);
    if (r < 0) wisp_bus_request_cancel(request);
    return r;
}

static int explain(const struct wisp_lattice_client *client, const struct wisp_err *cause, struct wisp_err *err)
{
    const struct wisp_connection_settings *settings = wisp_lattice_client_settings(client);
    if (cause->kind == WISP_ERR_UNAVAILABLE)
        return wisp_err_set(err, WISP_ERR_UNAVAILABLE,
                            "no host of lattice `%s` runs a deployment manager; is a host up? (`wisp get hosts`; "
                            "`wisp up -d` starts one)",
                            settings->lattice);
    if (cause->kind == WISP_ERR_TIMEOUT)
        return wisp_err_set(err, WISP_ERR_TIMEOUT,
                            "the deployment manager of lattice `%s` did not answer in time (--timeout-ms); what was "
                            "asked may yet be done",
                            settings->lattice);
    *err = *cause;
    return wisp_err_wrap(err, "lattice `%s`", settings->lattice);
}

/* Whether to ask again: nobody listens while a manager only begins, and nobody answers while one is taking over. */
static bool may_come(const struct wisp_lattice_client *client, const struct wisp_apps_question *question,
                     enum wisp_err_kind kind, uint64_t spent_ms)
{
    uint64_t timeout_ms = wisp_lattice_client_settings(client)->timeout_ms;
    if (kind == WISP_ERR_UNAVAILABLE) return spent_ms < timeout_ms;
    return kind == WISP_ERR_TIMEOUT && is_repeatable(question) &&
           spent_ms < (timeout_ms > TAKEOVER_MS ? timeout_ms : TAKEOVER_MS);
}

static int ask(struct wisp_lattice_client *client, const struct wisp_apps_question *question,
               struct wisp_buf *ret_reply, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf payload = {0};
    static const bool never = false;
    uint64_t begin = uv_hrtime() / 1000000;
    if (question->body) wisp_json_print(question->body, &payload);
    for (;;) {
        struct asked asked = {0};
        int r = ask_once(client, question, wisp_buf_str(&payload), &asked, err);
        if (r == 0 && !asked.err.kind) {
            *ret_reply = asked.payload;
            return 0;
        }
        wisp_buf_deinit(&asked.payload);
        if (r < 0) return r;
        if (!may_come(client, question, asked.err.kind, uv_hrtime() / 1000000 - begin))
            return explain(client, &asked.err, err);
        r = wisp_lattice_client_wait(client, &never, RETRY_MS, err);
        if (r < 0 && r != -WISP_ERR_TIMEOUT) return r;
    }
}

static int refuse(const json_t *reply, struct wisp_err *err)
{
    struct wisp_str result = wisp_json_str(reply, "result"), message = wisp_json_str(reply, "message");
    bool is_unknown = wisp_str_is(result, "notfound");
    if (!is_unknown && !wisp_str_is(result, "error")) return 0;
    if (!message.len)
        message = is_unknown ? WISP_STR("there is no such application or version") : WISP_STR("(no reason)");
    char words[WISP_ERR_TEXT_MAX];
    snprintf(words, sizeof words, "%.*s", WISP_STR_ARG(message));
    wisp_output_clean(words, strlen(words));
    return wisp_err_set(err, is_unknown ? WISP_ERR_NOT_FOUND : wisp_lattice_kind_of_refusal(words),
                        "the deployment manager: %s", words);
}

static const char *nearest_of(struct wisp_lattice_client *client, const json_t *list, const char *name)
{
    size_t n = json_array_size(list);
    WISP_CLEANUP_FREE const char **names = wisp_mem_calloc(n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++) names[i] = wisp_apps_text(client, wisp_json_str(json_array_get(list, i), "name"));
    return wisp_nearest(wisp_str_from(name), names);
}

int wisp_apps_explain_missing(struct wisp_lattice_client *client, const char *name, const char *version,
                              struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *list = NULL;
    struct wisp_err own = {0};
    if (wisp_apps_list(client, &list, &own) < 0) return -WISP_ERR_NOT_FOUND; /* as it was said */
    if (wisp_apps_find(list, name))
        return wisp_err_set(err, WISP_ERR_NOT_FOUND,
                            "application `%s` has no version `%s`; `wisp app history %s` shows all", name,
                            version ? version : "", name);
    const char *nearest = nearest_of(client, list, name);
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no application `%s` in lattice `%s`; %s%s%s", name,
                        wisp_lattice_client_settings(client)->lattice,
                        nearest ? "did you mean `" : "`wisp app list` shows all", nearest ? nearest : "",
                        nearest ? "`?" : "");
}

int wisp_apps_ask(struct wisp_lattice_client *client, const struct wisp_apps_question *question, json_t **ret_reply,
                  struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    WISP_CLEANUP_JSON json_t *reply = NULL;
    int r = ask(client, question, &text, err);
    if (r < 0) return r;
    r = wisp_json_parse(wisp_buf_str(&text), &reply, err);
    if (r < 0) return wisp_err_wrap(err, "answer of the deployment manager");
    r = refuse(reply, err);
    bool is_unknown = r < 0 && question->name && wisp_str_is(wisp_json_str(reply, "result"), "notfound");
    if (is_unknown && !question->may_be_missing)
        return wisp_apps_explain_missing(client, question->name,
                                         json_string_value(json_object_get(question->body, "version")), err);
    if (r < 0) return r;
    *ret_reply = WISP_TAKE(reply);
    return 0;
}

json_t *wisp_apps_version_body(const char *version)
{
    return version ? json_pack("{s:o}", "version", wisp_json_text(wisp_str_from(version))) : NULL;
}

int wisp_apps_list(struct wisp_lattice_client *client, json_t **ret_list, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *reply = NULL;
    int r = wisp_apps_ask(client, &(struct wisp_apps_question){.op = "list"}, &reply, err);
    if (r < 0) return r;
    if (!json_is_array(reply))
        return wisp_err_set(err, WISP_ERR_INVALID, "the deployment manager's list of applications is no list");
    *ret_list = WISP_TAKE(reply);
    return 0;
}

const json_t *wisp_apps_find(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (wisp_str_is(wisp_json_str(json_array_get(list, i), "name"), name)) return json_array_get(list, i);
    return NULL;
}

int wisp_apps_fetch(struct wisp_lattice_client *client, const char *name, const char *version, struct wisp_arena *arena,
                    struct wisp_app_manifest *ret_manifest, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *reply = NULL, *body = wisp_apps_version_body(version);
    struct wisp_apps_question question = {.op = "get", .name = name, .body = body, .may_be_missing = true};
    int r = wisp_apps_ask(client, &question, &reply, err);
    if (r < 0) return r;
    const json_t *manifest = json_object_get(reply, "manifest");
    if (!json_is_object(manifest))
        return wisp_err_set(err, WISP_ERR_INVALID, "the deployment manager gave no manifest of `%s`", name);
    return wisp_app_manifest_from_json(ret_manifest, arena, manifest, err);
}

const char *wisp_apps_text(struct wisp_lattice_client *client, struct wisp_str text)
{
    char *copy = wisp_arena_cstr(wisp_lattice_client_arena(client), text);
    wisp_output_clean(copy, strlen(copy));
    return copy;
}
