/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to those who are not there yet or not there any more, over a real nats-server. */
#include "wrpc/call.h"
#include "wrpc/serve.h"
#include "wrpc/wrpc_rig.h"

static const struct wisp_wrpc_function get = {WISP_STR_INIT("test:kv/store@1.0.0"), WISP_STR_INIT("get")};
#define SUBJECT "default.kv.wrpc.0.0.1.test:kv/store@1.0.0.get"

struct answer {
    unsigned n;
    uint32_t number;
    struct wisp_err err;
};

static void on_number(const void *result, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    answer->n++;
    if (result) answer->number = *(const uint32_t *)result;
    if (err) answer->err = *err;
}

static void start_unknown(struct rig *rig, uint64_t timeout_ms, uint64_t wait_ms, uint64_t unknown_wait_ms,
                          struct answer *answer)
{
    static const struct wisp_bus_header headers[] = {{WISP_STR_INIT("source-id"), WISP_STR_INIT("me")}};
    struct wisp_wrpc_call *call;
    struct wisp_wrpc_target target = {.id = WISP_STR("kv"),
                                      .function = get,
                                      .headers = headers,
                                      .n_headers = 1,
                                      .timeout_ms = timeout_ms,
                                      .wait_ms = wait_ms,
                                      .unknown_wait_ms = unknown_wait_ms};
    *answer = (struct answer){0};
    CHECK_OK(wisp_wrpc_call_start(rig->caller.wrpc, &target, func_of(&rig->arena, "(string) -> u32"), &WISP_STR("key"),
                                  &rig->arena, on_number, answer, &call, &rig->err),
             &rig->err);
}

static void start(struct rig *rig, uint64_t timeout_ms, uint64_t wait_ms, struct answer *answer)
{
    start_unknown(rig, timeout_ms, wait_ms, 0, answer);
}

struct kv {
    struct wisp_wrpc_service *service;
    struct rig *rig;
    struct wisp_wrpc_incoming *kept;
    bool keeps;
    unsigned n_calls;
    char source[16], key[16];
};

static void on_get(struct wisp_wrpc_incoming *incoming, const void *args, void *env)
{
    struct kv *kv = env;
    struct wisp_str key = *(const struct wisp_str *)args, source = wisp_wrpc_incoming_caller(incoming)->source_id;
    snprintf(kv->key, sizeof kv->key, "%.*s", WISP_STR_ARG(key));
    snprintf(kv->source, sizeof kv->source, "%.*s", WISP_STR_ARG(source));
    kv->n_calls++;
    if (kv->keeps)
        kv->kept = incoming;
    else
        CHECK_OK(wisp_wrpc_incoming_finish(incoming, &(uint32_t){42}, &kv->rig->err), &kv->rig->err);
}

static void kv_init(struct kv *kv, struct rig *rig)
{
    *kv = (struct kv){.rig = rig};
    CHECK_OK(wisp_wrpc_service_new(&kv->service, rig->callee.wrpc, WISP_STR("kv"), &rig->err), &rig->err);
    CHECK_OK(wisp_wrpc_service_add(kv->service, &get, func_of(&rig->arena, "(string) -> u32"), on_get, kv, &rig->err),
             &rig->err);
}

/* A callee by hand: accepts, and is there as long as it listens. */
struct hand {
    struct wisp_bus_subscription *listens;
    char caller[256];
};

static void accept_by_hand(struct hand *hand, struct rig *rig, bool may_be_probed)
{
    const struct wisp_bus_header header = {WISP_STR("wisp-probe"), WISP_STR("1")};
    CHECK_OK(
        wisp_bus_subscribe(rig->hand.client, WISP_STR("S.>"), WISP_STR(""), on_heard, rig, &hand->listens, &rig->err),
        &rig->err);
    snprintf(hand->caller, sizeof hand->caller, "%s", heard_reply(rig));
    CHECK_OK(wisp_bus_publish(rig->hand.client, wisp_str_from(hand->caller), WISP_STR("S"), &header, may_be_probed,
                              WISP_STR(""), &rig->err),
             &rig->err);
    if (!may_be_probed) AWAIT(&rig->loop, heard_on(rig, "S.params"));
    settle(rig, &rig->hand);
    settle(rig, &rig->caller.bus);
}

#define SETUP                                                                                                          \
    struct rig rig;                                                                                                    \
    struct answer answer;                                                                                              \
    struct kv kv;                                                                                                      \
    rig_init(&rig)

static void pass_time(struct rig *rig, uint64_t ms)
{
    uint64_t until = uv_hrtime() / 1000000 + ms;
    while (uv_hrtime() / 1000000 < until) uv_run(&rig->loop, UV_RUN_NOWAIT);
}

TEST(a_call_waits_for_somebody_who_serves_it)
{
    SETUP;
    start(&rig, 20000, 10000, &answer);
    pass_time(&rig, 50);
    CHECK_INT(answer.n, 0);
    kv_init(&kv, &rig);
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.number, 42);
    CHECK_INT(kv.n_calls, 1);
    CHECK_TEXT(kv.key, "key");
    CHECK_TEXT(kv.source, "me");
    wisp_wrpc_service_free(kv.service);
    rig_deinit(&rig);
}

TEST(but_not_for_ever)
{
    SETUP;
    start(&rig, 20000, 30, &answer);
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_HAS(answer.err.text, "nobody serves");
    start(&rig, 30, 20000, &answer);
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_TIMEOUT);
    (void)kv;
    rig_deinit(&rig);
}

TEST(and_hardly_for_what_nobody_is_to_run)
{
    SETUP;
    start_unknown(&rig, 60000, 60000, 30, &answer);
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_HAS(answer.err.text, "nobody serves `test:kv/store@1.0.0.get` at `kv`, and no host is to run it");
    /* A host that says so is believed. */
    listen_by_hand(&rig, "wasmbus.rpc.default.kv.runs");
    start_unknown(&rig, 60000, 60000, 20000, &answer);
    AWAIT(&rig.loop, rig.n_heard);
    CHECK_HAS(heard(&rig), "wasmbus.rpc.default.kv.runs reply:_INBOX.");
    say(&rig, heard_reply(&rig), "", "");
    settle(&rig, &rig.hand);
    settle(&rig, &rig.caller.bus);
    kv_init(&kv, &rig);
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.number, 42);
    wisp_wrpc_service_free(kv.service);
    settle(&rig, &rig.callee.bus);
    /* Who has served something lately need not be asked for. */
    forget(&rig);
    start_unknown(&rig, 60000, 60, 10, &answer);
    AWAIT(&rig.loop, answer.n);
    CHECK_HAS(answer.err.text, "nobody serves");
    CHECK(!strstr(answer.err.text, "no host"));
    CHECK_INT(rig.n_heard, 0);
    rig_deinit(&rig);
}

TEST(a_callee_that_ended_while_it_answered)
{
    SETUP;
    struct hand hand;
    (void)kv;
    listen_by_hand(&rig, SUBJECT);
    start(&rig, 60000, 60000, &answer);
    AWAIT(&rig.loop, rig.n_heard);
    accept_by_hand(&hand, &rig, false);
    /* Still there, whatever was said. */
    wisp_wrpc_target_ended(rig.caller.wrpc, WISP_STR("kv"));
    wisp_wrpc_target_ended(rig.caller.wrpc, WISP_STR("other"));
    AWAIT(&rig.loop, strstr(heard(&rig), "\nS.probe reply:"));
    say(&rig, heard_reply(&rig), "", "");
    settle(&rig, &rig.hand);
    settle(&rig, &rig.caller.bus);
    CHECK_INT(answer.n, 0);
    wisp_bus_unsubscribe(hand.listens);
    settle(&rig, &rig.hand);
    wisp_wrpc_target_ended(rig.caller.wrpc, WISP_STR("kv"));
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_HAS(answer.err.text, "ended while it answered");
    rig_deinit(&rig);
}

TEST(a_callee_that_ended_before_it_took_the_call)
{
    SETUP;
    (void)kv;
    /* The call goes to one that does not take it. */
    listen_by_hand(&rig, SUBJECT);
    start(&rig, 60000, 0, &answer);
    AWAIT(&rig.loop, rig.n_heard);
    wisp_wrpc_target_ended(rig.caller.wrpc, WISP_STR("kv"));
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_HAS(answer.err.text, "nobody said in time that he took the call");
    /* It may have been done: also with time to wait it is not sent again. */
    forget(&rig);
    answer.n = 0;
    start(&rig, 60000, 60000, &answer);
    AWAIT(&rig.loop, rig.n_heard);
    wisp_wrpc_target_ended(rig.caller.wrpc, WISP_STR("kv"));
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_INT(rig.n_heard, 1);
    rig_deinit(&rig);
}

TEST(one_that_says_nothing_is_asked_whether_it_is_there)
{
    SETUP;
    struct hand hand;
    (void)kv;
    listen_by_hand(&rig, SUBJECT);
    start(&rig, 0, 0, &answer);
    AWAIT(&rig.loop, rig.n_heard);
    accept_by_hand(&hand, &rig, true);
    wisp_bus_unsubscribe(hand.listens);
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_HAS(answer.err.text, "ended while it answered");
    rig_deinit(&rig);
}

TEST(our_own_say_that_they_may_be_asked_and_answer)
{
    SETUP;
    kv_init(&kv, &rig);
    kv.keeps = true;
    settle(&rig, &rig.callee.bus);
    start(&rig, 60000, 0, &answer);
    AWAIT(&rig.loop, kv.n_calls);
    settle(&rig, &rig.callee.bus);
    settle(&rig, &rig.caller.bus);
    listen_by_hand(&rig, "_INBOX.>");
    /* Once because it takes long, and it answers. */
    AWAIT(&rig.loop, rig.n_heard == 2);
    CHECK_HAS(heard(&rig), ".probe reply:_INBOX.");
    settle(&rig, &rig.caller.bus);
    CHECK_INT(answer.n, 0);
    CHECK_OK(wisp_wrpc_incoming_finish(kv.kept, &(uint32_t){42}, &rig.err), &rig.err);
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.number, 42);
    wisp_wrpc_service_free(kv.service);
    rig_deinit(&rig);
}
