/* SPDX-License-Identifier: Apache-2.0 */
/* The API (api.c, api_asked.c, api_write.c). */
#pragma once

#include "app/app.h"
#include "base/json.h"

struct wisp_app_asked {
    struct wisp_str op, name, reply, payload, content_type;
};
/* One that waits for its turn. */
struct wisp_app_waiting {
    struct wisp_app_asked asked;
    struct wisp_arena arena;
    struct wisp_app_waiting *next;
};

void wisp_app_api_on_message(struct wisp_app *app, const struct wisp_bus_message *message);
/* One after the other, as long as none of them writes. */
void wisp_app_api_go_on(struct wisp_app *app);
/* The lease is lost: those that wait are told. */
void wisp_app_api_refuse_all(struct wisp_app *app);
void wisp_app_api_deinit(struct wisp_app *app);
void wisp_app_answer(struct wisp_app *app, struct wisp_str reply, json_t *answer_taken);
/* {"result": "error", "message"} */
void wisp_app_answer_error(struct wisp_app *app, struct wisp_str reply, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The record, unless it is deleted or another lattice's. */
struct wisp_app_record *wisp_app_asked_record(struct wisp_app *app, const struct wisp_app_asked *asked);
/* The request, {"version": "v"} or nothing. False, and answered: it can't be understood. */
bool wisp_app_asked_json(struct wisp_app *app, const struct wisp_app_asked *asked, json_t **ret_request);
/* Empty and `latest`: the newest. NULL: there is no such version. */
const struct wisp_app_version *wisp_app_asked_version(const struct wisp_app_record *record, struct wisp_str version);
/* Why this manifest can't be deployed now: shared applications and ids. */
int wisp_app_check_deployable(const struct wisp_app *app, const struct wisp_app_manifest *manifest,
                              struct wisp_err *err);
void wisp_app_api_put(struct wisp_app *app, const struct wisp_app_asked *asked);
void wisp_app_api_deploy(struct wisp_app *app, const struct wisp_app_asked *asked);
void wisp_app_api_undeploy(struct wisp_app *app, const struct wisp_app_asked *asked);
void wisp_app_api_delete(struct wisp_app *app, const struct wisp_app_asked *asked);
