/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions of a policy service. What could not be decided (nobody answers, nonsense) is denied, and not remembered. */
#include "lattice/lattice_priv.h"

#include <stdio.h>
#include <stdlib.h>

struct decision {
    struct wisp_table_entry entry; /* in lattice->decisions, by what was asked */
    struct wisp_table_entry by_id; /* in lattice->decision_ids, by request id */
    bool is_permitted;
    char *message;
};

static void decision_free(struct wisp_lattice *lattice, struct decision *decision)
{
    wisp_table_remove(&lattice->decisions, &decision->entry);
    wisp_table_remove(&lattice->decision_ids, &decision->by_id);
    free(decision->message);
    free(decision);
}

void wisp_lattice_decisions_deinit(struct wisp_lattice *lattice)
{
    for (struct decision *decision; (decision = wisp_table_first(&lattice->decisions));)
        decision_free(lattice, decision);
    wisp_table_deinit(&lattice->decisions);
    wisp_table_deinit(&lattice->decision_ids);
}

static void decision_set(struct decision *decision, const json_t *reply)
{
    decision->is_permitted = wisp_json_bool(reply, "permitted", false);
    free(decision->message);
    decision->message = wisp_mem_dup(wisp_json_str(reply, "message"));
}

static void remember(struct wisp_lattice *lattice, const char *cache_key, struct wisp_str id, const json_t *reply)
{
    if (wisp_table_get(&lattice->decision_ids, id) || wisp_table_get(&lattice->decisions, wisp_str_from(cache_key)))
        return;
    if (lattice->decisions.count >= WISP_LATTICE_POLICY_CACHE_MAX)
        decision_free(lattice, wisp_table_first(&lattice->decisions));
    struct decision *decision = wisp_mem_calloc(1, sizeof *decision);
    decision_set(decision, reply);
    wisp_table_add(&lattice->decisions, wisp_str_from(cache_key), &decision->entry);
    wisp_table_add(&lattice->decision_ids, id, &decision->by_id);
}

static const struct wisp_lattice_field reply_fields[] = {
    {"requestId", WISP_LATTICE_TEXT, true},
    {"permitted", WISP_LATTICE_FLAG, true},
    {"message", WISP_LATTICE_TEXT, false},
};

void wisp_lattice_policy_changed(struct wisp_lattice *lattice, struct wisp_str payload)
{
    WISP_CLEANUP_JSON json_t *reply = NULL;
    if (wisp_lattice_decode(payload, "policy decision", reply_fields, WISP_COUNT(reply_fields), &reply, NULL) < 0)
        return;
    struct wisp_table_entry *entry = wisp_table_get(&lattice->decision_ids, wisp_json_str(reply, "requestId"));
    if (entry) decision_set(WISP_OWNER(entry, struct decision, by_id), reply);
}

/* --- asking --- */

static void finish(struct wisp_lattice_policy *policy, bool is_permitted, const char *message)
{
    struct wisp_err err = {0};
    if (!is_permitted) wisp_err_set(&err, WISP_ERR_DENIED, "policy denied it%s%s", *message ? ": " : "", message);
    policy->on_done(policy, is_permitted ? NULL : &err, policy->env);
}

static void on_reply(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_policy *policy = env;
    struct wisp_err err = done->err;
    WISP_CLEANUP_JSON json_t *reply = NULL;
    if (!err.kind &&
        wisp_lattice_decode(done->reply.payload, "answer", reply_fields, WISP_COUNT(reply_fields), &reply, &err) == 0) {
        struct wisp_str id = wisp_json_str(policy->request, "requestId");
        remember(policy->lattice, policy->cache_key, id, reply);
        WISP_CLEANUP_FREE char *message = wisp_mem_dup(wisp_json_str(reply, "message"));
        finish(policy, wisp_json_bool(reply, "permitted", false), message);
        return;
    }
    wisp_err_wrap(&err, "the policy service did not decide");
    policy->on_done(policy, &err, policy->env);
}

static json_t *claims_json(const struct wisp_lattice *lattice, const json_t *claims)
{
    if (!claims) return json_null();
    char issued_at[24];
    json_int_t issued = json_integer_value(json_object_get(claims, "issued_at"));
    const json_t *expires = json_object_get(claims, "expires_at");
    snprintf(issued_at, sizeof issued_at, "%lld", (long long)issued);
    bool is_expired = json_is_integer(expires) && json_integer_value(expires) < lattice->now.wall_ns / 1000000000;
    json_t *json = json_object();
    json_object_set_new(json, "publicKey", wisp_json_text(wisp_json_str(claims, "subject")));
    json_object_set_new(json, "issuer", wisp_json_text(wisp_json_str(claims, "issuer")));
    json_object_set_new(json, "issuedAt", json_string(issued_at));
    json_object_set_new(json, "expiresAt",
                        json_is_integer(expires) ? json_integer(json_integer_value(expires)) : json_null());
    json_object_set_new(json, "expired", json_boolean(is_expired));
    return json;
}

static json_t *body_json(const struct wisp_lattice_job *job, struct wisp_str reference, uint32_t count)
{
    bool is_component = job->unit->kind == WISP_LATTICE_COMPONENT;
    json_t *body = json_object();
    json_object_set_new(body, is_component ? "componentId" : "providerId",
                        wisp_json_text(wisp_lattice_unit_id(job->unit)));
    json_object_set_new(body, "imageRef", wisp_json_text(reference));
    if (is_component) json_object_set_new(body, "maxInstances", json_integer(count));
    json_object_set(body, "annotations", job->annotations ? job->annotations : job->unit->annotations);
    const json_t *claims = job->claims ? job->claims : job->unit->claims;
    json_object_set_new(body, "claims", claims_json(job->unit->lattice, claims));
    return body;
}

struct wisp_str wisp_lattice_policy_target(const struct wisp_lattice_job *job, struct wisp_str reference)
{
    WISP_CLEANUP_JSON json_t *body = body_json(job, reference, 0);
    return wisp_lattice_keep_json(job->unit->lattice, body);
}

static json_t *request_json(struct wisp_lattice *lattice, const struct wisp_lattice_job *job, const char *reference)
{
    bool is_component = job->unit->kind == WISP_LATTICE_COMPONENT;
    char id[WISP_LATTICE_UUID_LEN + 1];
    wisp_lattice_uuid(lattice, id);
    json_t *body = body_json(job, wisp_str_from(reference), job->count);
    return json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:s, s:O}}", "requestId", id, "kind",
                     is_component ? "startComponent" : "startProvider", "version", "v1", "request", body, "host",
                     "publicKey", lattice->host_id, "lattice", lattice->lattice, "labels", lattice->startup_labels);
}

void wisp_lattice_policy_begin(
    struct wisp_lattice *lattice, struct wisp_lattice_policy *policy, const struct wisp_lattice_job *job,
    void (*on_done)(struct wisp_lattice_policy *policy, const struct wisp_err *err, void *env), void *env)
{
    wisp_lattice_policy_deinit(policy);
    *policy = (struct wisp_lattice_policy){.lattice = lattice, .on_done = on_done, .env = env};
    if (!lattice->policy_topic) {
        finish(policy, true, "");
        return;
    }
    bool is_component = job->unit->kind == WISP_LATTICE_COMPONENT;
    const char *reference = is_component ? job->reference : job->plain_reference;
    struct wisp_str id = wisp_lattice_unit_id(job->unit);
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    wisp_buf_printf(&key, "%s\n%.*s\n%s", is_component ? "component" : "provider", WISP_STR_ARG(id), reference);
    const struct decision *known = wisp_table_get(&lattice->decisions, wisp_buf_str(&key));
    if (known) {
        WISP_CLEANUP_FREE char *message = wisp_mem_dup(wisp_str_from(known->message));
        finish(policy, known->is_permitted, message);
        return;
    }
    policy->cache_key = wisp_mem_dup(wisp_buf_str(&key));
    policy->request = request_json(lattice, job, reference);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_REQUEST);
    action->subject = wisp_lattice_keep(lattice, wisp_str_from(lattice->policy_topic));
    action->payload = wisp_lattice_keep_json(lattice, policy->request);
    action->timeout_ms = lattice->policy_timeout_ms;
    wisp_lattice_call_begin(lattice, &policy->call, action, on_reply, policy);
}

void wisp_lattice_policy_deinit(struct wisp_lattice_policy *policy)
{
    if (!policy->lattice) return;
    wisp_lattice_call_forget(policy->lattice, &policy->call);
    free(policy->cache_key);
    json_decref(policy->request);
    *policy = (struct wisp_lattice_policy){0};
}
