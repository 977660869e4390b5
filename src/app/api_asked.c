/* SPDX-License-Identifier: Apache-2.0 */
/* What the API's requests have in common. */
#include "app/api_priv.h"
#include "app/app_priv.h"
#include "app/output_priv.h"
#include "app/store_priv.h"

#include <stdarg.h>
#include <stdio.h>

/* --- answers --- */

void wisp_app_answer(struct wisp_app *app, struct wisp_str reply, json_t *answer_taken)
{
    if (reply.len && !wisp_app_publish(app, reply, answer_taken))
        wisp_app_answer_error(app, reply, "the answer is larger than a message may be");
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

/* --- what is asked --- */

struct wisp_app_record *wisp_app_asked_record(struct wisp_app *app, const struct wisp_app_asked *asked)
{
    struct wisp_app_record *record = wisp_app_record_find(app, asked->name);
    bool is_there = record && record->is_ours && json_object_size(json_object_get(record->json, "manifests"));
    return is_there ? record : NULL;
}

bool wisp_app_asked_json(struct wisp_app *app, const struct wisp_app_asked *asked, json_t **ret_request)
{
    struct wisp_err err = {0};
    *ret_request = NULL;
    if (!asked->payload.len || wisp_json_parse(asked->payload, ret_request, &err) == 0) return true;
    wisp_app_answer_error(app, asked->reply, "the request can't be understood: %s", err.text);
    return false;
}

const struct wisp_app_version *wisp_app_asked_version(const struct wisp_app_record *record, struct wisp_str version)
{
    const struct wisp_app_version *at = record->versions;
    if (version.len && !wisp_str_is(version, "latest")) return wisp_app_version_find(record, version);
    while (at && at->next) at = at->next;
    return at;
}
