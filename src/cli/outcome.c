/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/outcome.h"

int wisp_outcome_listen(struct wisp_lattice_client *client, const struct wisp_outcome *outcome, struct wisp_err *err)
{
    struct wisp_arena *arena = wisp_lattice_client_arena(client);
    const char *lattice = wisp_lattice_client_settings(client)->lattice;
    const char *success = wisp_arena_printf(arena, "wasmbus.evt.%s.%s", lattice, outcome->success);
    const char *failure = wisp_arena_printf(arena, "wasmbus.evt.%s.%s", lattice, outcome->failure);
    wisp_lattice_client_hold_signals(client);
    int r = wisp_lattice_client_subscribe(client, success, err);
    return r < 0 ? r : wisp_lattice_client_subscribe(client, failure, err);
}

static bool is_about(const json_t *event, const struct wisp_outcome *outcome)
{
    const json_t *data = json_object_get(event, "data"), *max = json_object_get(data, "max_instances");
    struct wisp_str image_ref = wisp_json_str(data, "image_ref");
    if (!wisp_str_is(wisp_json_str(event, "source"), outcome->host_id)) return false;
    if (!wisp_str_is(wisp_json_str(data, outcome->id_field), outcome->id)) return false;
    if (outcome->image_ref && image_ref.len && !wisp_str_is(image_ref, outcome->image_ref)) return false;
    return outcome->max_instances < 0 || !json_is_integer(max) || json_integer_value(max) == outcome->max_instances;
}

/* Whether it counts; *ret_failure is filled when it tells of a failure. */
static bool read_event(const struct wisp_lattice_message *message, const struct wisp_outcome *outcome,
                       struct wisp_err *ret_failure)
{
    WISP_CLEANUP_JSON json_t *event = NULL;
    if (wisp_json_parse(message->payload, &event, NULL) < 0 || !is_about(event, outcome)) return false;
    bool has_failed = wisp_str_ends_with(message->subject, wisp_str_from(outcome->failure));
    const char *error = json_string_value(json_object_get(json_object_get(event, "data"), "error"));
    if (has_failed)
        wisp_err_set(ret_failure, error ? wisp_lattice_kind_of_refusal(error) : WISP_ERR_DENIED,
                     "host %s could not %s: %s", outcome->host_id, outcome->what, error ? error : "(no reason)");
    return true;
}

static int still_in_progress(const struct wisp_outcome *outcome, int cause, uint64_t patience_ms, struct wisp_err *err)
{
    char how[64] = "interrupted";
    if (!cause) snprintf(how, sizeof how, "no word within %.1f s", (double)patience_ms / 1000);
    return wisp_err_set(err, cause ? (enum wisp_err_kind) - cause : WISP_ERR_TIMEOUT,
                        "%s; still in progress: host %s has accepted to %s and may yet do it (or fail); "
                        "`wisp get inventory %s` shows what runs there",
                        how, outcome->host_id, outcome->what, outcome->host_id);
}

int wisp_outcome_wait(struct wisp_lattice_client *client, const struct wisp_outcome *outcome, struct wisp_err *err)
{
    const struct wisp_connection_settings *settings = wisp_lattice_client_settings(client);
    uint64_t patience = settings->is_timeout_given ? settings->timeout_ms : outcome->patience_ms;
    uint64_t end = uv_hrtime() / 1000000 + patience;
    for (;;) {
        uint64_t now = uv_hrtime() / 1000000;
        const struct wisp_lattice_message *message;
        int r = now < end ? wisp_lattice_client_next(client, end - now, &message, err) : 0;
        if (r == 0 || r == -WISP_ERR_CANCELLED) return still_in_progress(outcome, r, patience, err);
        if (r < 0) return r;
        struct wisp_err failure = {0};
        if (!read_event(message, outcome, &failure)) continue;
        if (failure.kind) *err = failure;
        return failure.kind ? -(int)failure.kind : 0;
    }
}
