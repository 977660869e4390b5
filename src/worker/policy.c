/* SPDX-License-Identifier: Apache-2.0 */
/* One question for each function of an image; calls that come before its answer are held. */
#include "worker/policy.h"

#include "base/uuid.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum {
    QUESTIONS_MAX = 10000, /* then the oldest decision is forgotten */
    HELD_MAX = 10000,      /* calls */
    TIMEOUT_MS = 1000,
};

struct question {
    struct wisp_link all; /* in policy->questions, the oldest first */
    struct wisp_policy *policy;
    char *key;
    char id[WISP_UUID_LEN + 1];
    bool is_decided, is_permitted;
    char *message;         /* why not; may be NULL */
    struct wisp_link held; /* invocations, by their `turn`; none when it is decided */
};

struct wisp_policy {
    const struct wisp_worker_policy *options;
    struct wisp_bus_client *bus;
    json_t *labels;
    struct wisp_map by_key, by_id;
    struct wisp_link questions;
    uint32_t n_held;
    struct wisp_buf key; /* of the call in hand */
};

/* --- questions --- */

static struct question *question_new(struct wisp_policy *policy, struct wisp_str key)
{
    uint64_t random[2];
    struct question *question = wisp_mem_calloc(1, sizeof *question);
    question->policy = policy;
    question->key = wisp_mem_dup(key);
    if (getrandom(random, sizeof random, 0) != sizeof random) abort();
    wisp_uuid_print(random, question->id);
    wisp_ring_init(&question->held);
    wisp_ring_append(&policy->questions, &question->all);
    wisp_map_add(&policy->by_key, wisp_str_from(question->key), question);
    wisp_map_add(&policy->by_id, wisp_str_from(question->id), question);
    return question;
}

static void question_free(struct question *question)
{
    struct wisp_policy *policy = question->policy;
    wisp_map_remove(&policy->by_key, wisp_str_from(question->key));
    wisp_map_remove(&policy->by_id, wisp_str_from(question->id));
    wisp_ring_remove(&question->all);
    free(question->message);
    free(question->key);
    free(question);
}

static bool make_room(struct wisp_policy *policy)
{
    if (policy->by_key.count < QUESTIONS_MAX) return true;
    WISP_RING_EACH(at, &policy->questions)
    {
        struct question *oldest = WISP_OWNER(at, struct question, all);
        if (!oldest->is_decided) continue;
        question_free(oldest);
        return true;
    }
    return false;
}

/* --- calls --- */

/* Ends the call itself; the invocation is left to whoever calls this. */
static void deny(struct wisp_invocation *invocation, const char *why)
{
    invocation->tenant->counters->refused++;
    if (!why || !*why) why = "by the policy service";
    wisp_report_failure(invocation, "a call was denied", why);
    invocation->ops->on_denied(invocation, why);
}

void wisp_policy_let_go(struct wisp_invocation *invocation)
{
    wisp_ring_remove(&invocation->turn);
    invocation->worker->policy->n_held--;
}

static void admit(struct wisp_invocation *invocation)
{
    struct wisp_worker *worker = invocation->worker;
    struct wisp_edition *edition = invocation->edition;
    wisp_policy_let_go(invocation);
    wisp_admission_begin(invocation);
    if (edition) wisp_edition_unref(edition); /* admission has its own reference */
    if (worker->is_stopping) wisp_worker_settle(worker);
}

static void release(struct question *question)
{
    while (!wisp_ring_is_empty(&question->held)) {
        struct wisp_invocation *invocation = WISP_OWNER(question->held.next, struct wisp_invocation, turn);
        if (question->is_permitted) {
            admit(invocation);
        } else {
            deny(invocation, question->message);
            wisp_invocation_end(invocation);
        }
    }
}

/* --- decisions --- */

static int decode(struct wisp_str text, json_t **ret_decision, struct wisp_err *err)
{
    int r = wisp_json_parse(text, ret_decision, err);
    if (r < 0) return r;
    if (json_is_string(json_object_get(*ret_decision, "requestId")) &&
        json_is_boolean(json_object_get(*ret_decision, "permitted")))
        return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "its answer has no `requestId` or `permitted`");
}

static void decide(struct question *question, const json_t *decision)
{
    question->is_permitted = wisp_json_bool(decision, "permitted", false);
    free(question->message);
    question->message = wisp_mem_dup(wisp_json_str(decision, "message"));
}

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct question *question = env;
    WISP_CLEANUP_JSON json_t *decision = NULL;
    struct wisp_err problem = {0};
    if (!reply) {
        problem = *err;
    } else if (decode(reply->payload, &decision, &problem) == 0) {
        question->is_decided = true;
        decide(question, decision);
        release(question);
        return;
    }
    wisp_err_wrap(&problem, "the policy service did not decide");
    question->message = wisp_mem_dup(wisp_str_from(problem.text));
    release(question);
    question_free(question);
}

static void on_change(const struct wisp_bus_message *message, void *env)
{
    const struct wisp_policy *policy = env;
    WISP_CLEANUP_JSON json_t *decision = NULL;
    struct wisp_err ignored = {0};
    if (decode(message->payload, &decision, &ignored) < 0) return;
    struct question *question = wisp_map_get(&policy->by_id, wisp_json_str(decision, "requestId"));
    if (question && question->is_decided) decide(question, decision);
}

/* --- asking --- */

static json_t *request_json(const struct question *question, const struct wisp_invocation *invocation,
                            const struct wisp_wrpc_function *function)
{
    const struct wisp_worker_host *host = invocation->worker->options->host;
    json_t *target = invocation->terms->policy_target, *claims = json_object_get(target, "claims");
    const json_t *expires = json_object_get(claims, "expiresAt");
    if (json_is_integer(expires))
        json_object_set_new(claims, "expired", json_boolean(json_integer_value(expires) < time(NULL)));
    return json_pack("{s:s, s:s, s:s, s:{s:o, s:o, s:O}, s:{s:s, s:s, s:O}}", "requestId", question->id, "kind",
                     "performInvocation", "version", "v1", "request", "interface", wisp_json_text(function->interface),
                     "function", wisp_json_text(function->name), "target", target, "host", "publicKey", host->host_id,
                     "lattice", host->lattice, "labels", question->policy->labels);
}

static int ask(struct question *question, const struct wisp_invocation *invocation,
               const struct wisp_wrpc_function *function, struct wisp_err *err)
{
    const struct wisp_policy *policy = question->policy;
    uint64_t timeout_ms = policy->options->timeout_ms;
    WISP_CLEANUP_JSON json_t *json = request_json(question, invocation, function);
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_bus_request *request; /* never cancelled: it ends by itself, or with the client */
    wisp_json_print(json, &text);
    return wisp_bus_request(policy->bus, wisp_str_from(policy->options->topic), NULL, 0, wisp_buf_str(&text),
                            timeout_ms ? timeout_ms : TIMEOUT_MS, on_reply, question, &request, err);
}

/* NULL when there can't be one, with why. */
static struct question *question_about(struct wisp_policy *policy, const struct wisp_invocation *invocation,
                                       const struct wisp_wrpc_function *function, struct wisp_err *err)
{
    struct wisp_str reference = wisp_json_str(invocation->terms->policy_target, "imageRef");
    policy->key.len = 0;
    wisp_buf_printf(&policy->key, "%s\n%.*s\n%.*s\n%.*s", invocation->tenant->id, WISP_STR_ARG(function->interface),
                    WISP_STR_ARG(function->name), WISP_STR_ARG(reference));
    struct question *question = wisp_map_get(&policy->by_key, wisp_buf_str(&policy->key));
    if (question) return question;
    if (!make_room(policy)) {
        wisp_err_set(err, WISP_ERR_LIMIT, "too many questions wait for the policy service");
        return NULL;
    }
    question = question_new(policy, wisp_buf_str(&policy->key));
    if (ask(question, invocation, function, err) == 0) return question;
    question_free(question);
    wisp_err_wrap(err, "the policy service can't be asked");
    return NULL;
}

bool wisp_policy_ask(struct wisp_invocation *invocation, const struct wisp_wrpc_function *function)
{
    struct wisp_policy *policy = invocation->worker->policy;
    struct wisp_err err = {0};
    struct question *question = question_about(policy, invocation, function, &err);
    if (question && question->is_permitted) return true;
    if (question && !question->is_decided && policy->n_held < HELD_MAX) {
        invocation->state = WISP_INVOCATION_HELD;
        if (invocation->edition) invocation->edition->n_refs++;
        wisp_ring_append(&question->held, &invocation->turn);
        policy->n_held++;
    } else {
        const char *too_many = "too many calls wait for the policy service";
        deny(invocation, !question ? err.text : question->is_decided ? question->message : too_many);
        wisp_invocation_drop(invocation);
    }
    return false;
}

/* --- life --- */

int wisp_policy_start(struct wisp_worker *worker, struct wisp_bus_client *bus, struct wisp_err *err)
{
    struct wisp_policy *policy = worker->policy = wisp_mem_calloc(1, sizeof *policy);
    const struct wisp_worker_policy *options = policy->options = &worker->options->host->policy;
    struct wisp_bus_subscription *changes;
    policy->bus = bus;
    wisp_ring_init(&policy->questions);
    int r = wisp_json_parse(wisp_str_from(options->labels ? options->labels : "{}"), &policy->labels, err);
    if (r < 0 || !options->changes_topic) return r;
    return wisp_bus_subscribe(bus, wisp_str_from(options->changes_topic), WISP_STR(""), on_change, policy, &changes,
                              err);
}

void wisp_policy_free(struct wisp_policy *policy)
{
    if (!policy) return;
    while (!wisp_ring_is_empty(&policy->questions))
        question_free(WISP_OWNER(policy->questions.next, struct question, all));
    wisp_map_deinit(&policy->by_key);
    wisp_map_deinit(&policy->by_id);
    wisp_buf_deinit(&policy->key);
    json_decref(policy->labels);
    free(policy);
}
