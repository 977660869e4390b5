/* SPDX-License-Identifier: Apache-2.0 */
/* Caller and callee against each other, and each against messages written by hand, over a real nats-server. */
#include "wrpc/call.h"
#include "wrpc/serve.h"
#include "wrpc/wrpc_rig.h"

static const struct wisp_wrpc_function greet = {WISP_STR_INIT("test:greet/hello@1.0.0"), WISP_STR_INIT("greet")};
#define SUBJECT "default.greeter.wrpc.0.0.1.test:greet/hello@1.0.0.greet"

struct answer {
    unsigned n;
    bool has_result, is_pointer;
    struct wisp_str text;
    struct wisp_err err;
};

static void on_text(const void *result, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    answer->n++;
    answer->has_result = result;
    if (result) memcpy(&answer->text, result, answer->is_pointer ? sizeof(void *) : sizeof answer->text);
    if (err) answer->err = *err;
}

static struct wisp_wrpc_target target_of(struct wisp_wrpc_function function, uint64_t timeout_ms)
{
    static const struct wisp_bus_header headers[] = {
        {WISP_STR_INIT("source-id"), WISP_STR_INIT("me")},
        {WISP_STR_INIT("link-name"), WISP_STR_INIT("default")},
        {WISP_STR_INIT("traceparent"), WISP_STR_INIT("00-1-2-3")},
    };
    return (struct wisp_wrpc_target){.id = WISP_STR("greeter"),
                                     .function = function,
                                     .headers = headers,
                                     .n_headers = WISP_COUNT(headers),
                                     .timeout_ms = timeout_ms};
}

static struct wisp_wrpc_call *call(struct rig *rig, const char *type, const void *args, uint64_t timeout_ms,
                                   struct answer *answer)
{
    struct wisp_wrpc_call *started;
    struct wisp_wrpc_target target = target_of(greet, timeout_ms);
    CHECK_OK(wisp_wrpc_call_start(rig->caller.wrpc, &target, func_of(&rig->arena, type), args, &rig->arena, on_text,
                                  answer, &started, &rig->err),
             &rig->err);
    return started;
}

static void check_error(const struct answer *answer, enum wisp_err_kind kind, const char *words)
{
    CHECK_INT(answer->n, 1);
    CHECK(!answer->has_result);
    CHECK_INT(answer->err.kind, kind);
    CHECK_HAS(answer->err.text, words);
}

/* --- a greeter --- */

struct greeter {
    struct rig *rig;
    struct wisp_wrpc_service *service;
    const struct wisp_func_type *type;
    unsigned n_calls;
    bool keeps; /* calls wait for the test */
    struct wisp_wrpc_incoming *kept[64];
    const void *kept_args;
};

static void finish(struct greeter *greeter, struct wisp_wrpc_incoming *incoming, struct wisp_str name)
{
    struct wisp_arena *arena = wisp_wrpc_incoming_arena(incoming);
    struct wisp_str text = wisp_str_from(wisp_arena_printf(arena, "hello %.*s", WISP_STR_ARG(name)));
    CHECK_OK(wisp_wrpc_incoming_finish(incoming, &text, &greeter->rig->err), &greeter->rig->err);
}

static void on_greet(struct wisp_wrpc_incoming *incoming, const void *args, void *env)
{
    struct greeter *greeter = env;
    if (greeter->keeps)
        greeter->kept[greeter->n_calls] = incoming;
    else
        finish(greeter, incoming, *(const struct wisp_str *)args);
    greeter->kept_args = args;
    greeter->n_calls++;
}

static void greeter_init(struct greeter *greeter, struct rig *rig, const char *type)
{
    *greeter = (struct greeter){.rig = rig, .type = func_of(&rig->arena, type)};
    CHECK_OK(wisp_wrpc_service_new(&greeter->service, rig->callee.wrpc, WISP_STR("greeter"), &rig->err), &rig->err);
    CHECK_OK(wisp_wrpc_service_add(greeter->service, &greet, greeter->type, on_greet, greeter, &rig->err), &rig->err);
    settle(rig, &rig->callee.bus);
}

#define SETUP(rig_name)                                                                                                \
    struct rig rig_name;                                                                                               \
    rig_init(&rig_name)

TEST(a_call)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    greeter_init(&greeter, &rig, "(string) -> string");
    call(&rig, "(string) -> string", &WISP_STR("world"), 5000, &answer);
    AWAIT(&rig.loop, answer.n);
    CHECK_STR(answer.text, "hello world");
    CHECK_INT(wisp_wrpc_service_in_flight(greeter.service), 0);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(the_caller_is_known)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    greeter_init(&greeter, &rig, "(string) -> string");
    greeter.keeps = true;
    call(&rig, "(string) -> string", &WISP_STR("world"), 5000, &answer);
    AWAIT(&rig.loop, greeter.n_calls);
    const struct wisp_wrpc_caller *caller = wisp_wrpc_incoming_caller(greeter.kept[0]);
    CHECK_STR(caller->source_id, "me");
    CHECK_STR(caller->link_name, "default");
    CHECK_STR(caller->traceparent, "00-1-2-3");
    CHECK_INT(caller->target_id.len, 0);
    CHECK_INT(wisp_wrpc_service_in_flight(greeter.service), 1);
    wisp_wrpc_incoming_fail(greeter.kept[0]);
    AWAIT(&rig.loop, answer.n);
    check_error(&answer, WISP_ERR_GUEST, "`test:greet/hello@1.0.0.greet` at `greeter` failed");
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(large_values_go_in_several_messages)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    size_t size = 5 << 20;
    char *name = wisp_arena_alloc(&rig.arena, size);
    for (size_t i = 0; i < size; i++) name[i] = (char)('a' + i % 23);
    greeter_init(&greeter, &rig, "(string) -> string");
    call(&rig, "(string) -> string", &(struct wisp_str){name, size}, 20000, &answer);
    AWAIT(&rig.loop, answer.n);
    CHECK(answer.has_result);
    CHECK_INT(answer.text.len, size + 6);
    CHECK(memcmp(answer.text.ptr + 6, name, size) == 0);

    answer = (struct answer){0};
    struct wisp_wrpc_call *started;
    struct wisp_wrpc_target target = target_of(greet, 1000);
    size = 17 << 20;
    name = wisp_arena_calloc(&rig.arena, size, 1);
    CHECK_FAILS(wisp_wrpc_call_start(rig.caller.wrpc, &target, greeter.type, &(struct wisp_str){name, size}, &rig.arena,
                                     on_text, &answer, &started, &rig.err),
                LIMIT);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(without_parameters_or_result)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    greeter_init(&greeter, &rig, "()");
    greeter.keeps = true;
    call(&rig, "()", NULL, 5000, &answer);
    AWAIT(&rig.loop, greeter.n_calls);
    CHECK_OK(wisp_wrpc_incoming_finish(greeter.kept[0], NULL, &rig.err), &rig.err);
    AWAIT(&rig.loop, answer.n);
    CHECK(!answer.has_result);
    CHECK_INT(answer.err.kind, WISP_ERR_NONE);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(handles_of_what_lives_elsewhere)
{
    SETUP(rig);
    struct answer answer = {.is_pointer = true};
    const struct wisp_func_type *type = func_of(&rig.arena, "(borrow<remote>, own<remote>) -> own<remote>");
    struct wisp_opaque *args[] = {wisp_opaque_new(WISP_STR("a")), wisp_opaque_new(WISP_STR("bc"))};
    struct wisp_wrpc_target target = target_of(greet, 5000);
    struct wisp_wrpc_call *started;
    listen_by_hand(&rig, SUBJECT);
    CHECK_OK(
        wisp_wrpc_call_start(rig.caller.wrpc, &target, type, args, &rig.arena, on_text, &answer, &started, &rig.err),
        &rig.err);
    wisp_opaque_free(args[0]);
    wisp_opaque_free(args[1]);
    AWAIT(&rig.loop, rig.n_heard);
    CHECK_HAS(heard(&rig), " 0161026263\n");
    char results[300];
    say(&rig, heard_reply(&rig), "S", "");
    snprintf(results, sizeof results, "%s.results", heard_reply(&rig));
    say(&rig, results, "", "03 \"new\"");
    AWAIT(&rig.loop, answer.n);
    struct wisp_opaque *made;
    memcpy(&made, &answer.text, sizeof made);
    CHECK_STR(((struct wisp_str){made->bytes, made->size}), "new");
    wisp_opaque_free(made);
    struct wisp_wrpc_service *service;
    CHECK_OK(wisp_wrpc_service_new(&service, rig.callee.wrpc, WISP_STR("greeter"), &rig.err), &rig.err);
    CHECK_FAILS(wisp_wrpc_service_add(service, &greet, type, on_greet, NULL, &rig.err), UNSUPPORTED);
    wisp_wrpc_service_free(service);
    rig_deinit(&rig);
}

TEST(nobody_serves_it)
{
    SETUP(rig);
    struct answer answer = {0};
    call(&rig, "(string) -> string", &WISP_STR("world"), 5000, &answer);
    AWAIT(&rig.loop, answer.n);
    check_error(&answer, WISP_ERR_UNAVAILABLE, "nobody serves `test:greet/hello@1.0.0.greet` at `greeter`");
    rig_deinit(&rig);
}

TEST(deadline_and_cancel)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answers[3] = {0};
    greeter_init(&greeter, &rig, "(string) -> string");
    greeter.keeps = true;
    call(&rig, "(string) -> string", &WISP_STR("a"), 10000, &answers[0]);
    call(&rig, "(string) -> string", &WISP_STR("b"), 50, &answers[1]);
    struct wisp_wrpc_call *cancelled = call(&rig, "(string) -> string", &WISP_STR("c"), 60, &answers[2]);
    AWAIT(&rig.loop, greeter.n_calls == 3);
    wisp_wrpc_call_cancel(cancelled);
    AWAIT(&rig.loop, answers[1].n);
    check_error(&answers[1], WISP_ERR_TIMEOUT, "50 ms");
    for (unsigned i = 0; i < 3; i++) finish(&greeter, greeter.kept[i], WISP_STR("you"));
    AWAIT(&rig.loop, answers[0].n);
    CHECK_STR(answers[0].text, "hello you");
    settle(&rig, &rig.caller.bus);
    CHECK_INT(answers[2].n, 0);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

static void on_drained(void *env) { ++*(unsigned *)env; }

TEST(draining_loses_no_call)
{
    SETUP(rig);
    struct greeter greeter, other;
    struct answer answers[60] = {0};
    unsigned n_drained = 0, n_answered = 0;
    greeter_init(&greeter, &rig, "(string) -> string");
    greeter.keeps = true;
    for (unsigned i = 0; i < 20; i++) call(&rig, "(string) -> string", &WISP_STR("x"), 20000, &answers[i]);
    AWAIT(&rig.loop, greeter.n_calls >= 10);
    greeter_init(&other, &rig, "(string) -> string");
    /* Some of these are on their way to the first one when it asks for no more. */
    for (unsigned i = 20; i < 60; i++) call(&rig, "(string) -> string", &WISP_STR("x"), 20000, &answers[i]);
    settle(&rig, &rig.hand);
    wisp_wrpc_service_drain(greeter.service, on_drained, &n_drained);
    settle(&rig, &rig.caller.bus);
    settle(&rig, &rig.callee.bus);
    settle(&rig, &rig.callee.bus);
    CHECK_INT(greeter.n_calls + other.n_calls, 60);
    CHECK_INT(n_drained, 0);
    for (unsigned i = 0; i < greeter.n_calls; i++) finish(&greeter, greeter.kept[i], WISP_STR("x"));
    AWAIT(&rig.loop, n_drained == 1);
    wisp_wrpc_service_free(greeter.service);
    while (n_answered < 60) {
        uv_run(&rig.loop, UV_RUN_ONCE);
        n_answered = 0;
        for (unsigned i = 0; i < 60; i++) n_answered += answers[i].n;
    }
    for (unsigned i = 0; i < 60; i++) CHECK_STR(answers[i].text, "hello x");
    wisp_wrpc_service_free(other.service);
    rig_deinit(&rig);
}

TEST(a_service_that_goes_leaves_its_calls_to_their_owner)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    greeter_init(&greeter, &rig, "(string) -> string");
    greeter.keeps = true;
    call(&rig, "(string) -> string", &WISP_STR("a"), 10000, &answer);
    AWAIT(&rig.loop, greeter.n_calls);
    wisp_wrpc_service_free(greeter.service);
    finish(&greeter, greeter.kept[0], *(const struct wisp_str *)greeter.kept_args);
    AWAIT(&rig.loop, answer.n);
    CHECK_STR(answer.text, "hello a");
    rig_deinit(&rig);
}

TEST(two_services_share_the_calls)
{
    SETUP(rig);
    struct greeter one, two;
    struct answer answers[40] = {0};
    greeter_init(&one, &rig, "(string) -> string");
    greeter_init(&two, &rig, "(string) -> string");
    for (unsigned i = 0; i < 40; i++) {
        call(&rig, "(string) -> string", &WISP_STR("x"), 10000, &answers[i]);
        AWAIT(&rig.loop, answers[i].n);
    }
    CHECK_INT(one.n_calls + two.n_calls, 40);
    CHECK(one.n_calls > 0 && two.n_calls > 0);
    wisp_wrpc_service_free(one.service);
    wisp_wrpc_service_free(two.service);
    rig_deinit(&rig);
}

TEST(functions_that_cannot_be_served_or_called)
{
    SETUP(rig);
    struct wisp_wrpc_service *service;
    struct wisp_wrpc_call *started;
    struct answer answer = {0};
    const struct wisp_func_type *type = func_of(&rig.arena, "(own<thing>)");
    struct wisp_wrpc_target target = target_of(greet, 0);
    CHECK_FAILS(wisp_wrpc_service_new(&service, rig.callee.wrpc, WISP_STR("a b"), &rig.err), INVALID);
    CHECK_OK(wisp_wrpc_service_new(&service, rig.callee.wrpc, WISP_STR("x"), &rig.err), &rig.err);
    CHECK_FAILS(wisp_wrpc_service_add(service, &greet, type, on_greet, NULL, &rig.err), UNSUPPORTED);
    CHECK_HAS(rig.err.text, "own<thing>");
    CHECK_FAILS(
        wisp_wrpc_call_start(rig.caller.wrpc, &target, type, NULL, &rig.arena, on_text, &answer, &started, &rig.err),
        UNSUPPORTED);
    target.id = WISP_STR("*");
    CHECK_FAILS(wisp_wrpc_call_start(rig.caller.wrpc, &target, func_of(&rig.arena, "()"), NULL, &rig.arena, on_text,
                                     &answer, &started, &rig.err),
                INVALID);
    wisp_wrpc_service_free(service);
    rig_deinit(&rig);
}

TEST(subjects)
{
    struct wisp_buf out = {0};
    struct wisp_err err = {0};
    static const struct {
        struct wisp_wrpc_function function;
        const char *subject;
    } cases[] = {
        {{WISP_STR_INIT("wrpc:http/incoming-handler@0.1.0"), WISP_STR_INIT("handle")},
         "default.echo.wrpc.0.0.1.wrpc:http/incoming-handler@0.1.0.handle"},
        {{WISP_STR_INIT(""), WISP_STR_INIT("run")}, "default.echo.wrpc.0.0.1.run"},
        {{WISP_STR_INIT("a:b/c"), WISP_STR_INIT("[method]bucket.get")}, "default.echo.wrpc.0.0.1.a:b/c.bucket.get"},
        {{WISP_STR_INIT("a:b/c"), WISP_STR_INIT("[constructor]bucket")}, "default.echo.wrpc.0.0.1.a:b/c.bucket"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        out.len = 0;
        CHECK_OK(wisp_wrpc_subject(WISP_STR("default"), WISP_STR("echo"), &cases[i].function, &out, &err), &err);
        CHECK_STR(wisp_buf_str(&out), cases[i].subject);
    }
    wisp_buf_deinit(&out);
}

/* --- our callee, a caller by hand --- */

static void say_params(struct rig *rig, const char *hex)
{
    say(rig, wisp_arena_printf(&rig->arena, "%s.params", heard_reply(rig)), "", hex);
}

TEST(the_callees_part_of_the_handshake)
{
    SETUP(rig);
    struct greeter greeter;
    greeter_init(&greeter, &rig, "(string) -> string");
    listen_by_hand(&rig, "C.>");
    listen_by_hand(&rig, "C");

    /* All in the first message: what is waited for is that the caller hears. */
    say(&rig, SUBJECT, "C", "03 \"bob\"");
    AWAIT(&rig.loop, rig.n_heard >= 1);
    CHECK_HAS(heard(&rig), "C reply:_INBOX.");
    say_params(&rig, "");
    AWAIT(&rig.loop, heard_on(&rig, "C.results") == 2);
    CHECK_HAS(heard(&rig), "C.results 0968656c6c6f20626f62\nC.results \n");
    forget(&rig);

    /* In pieces, among messages that mean nothing, the end of the parameters before or after their being complete. */
    say(&rig, SUBJECT, "C", "");
    AWAIT(&rig.loop, rig.n_heard == 1);
    char params[300], stray[300];
    snprintf(params, sizeof params, "%s.params", heard_reply(&rig));
    snprintf(stray, sizeof stray, "%s.params.0", heard_reply(&rig));
    say(&rig, stray, "", "");
    say(&rig, heard_reply(&rig), "", "aa");
    say(&rig, params, "", "03");
    say(&rig, params, "", "\"b\"");
    say(&rig, params, "", "\"ob\"");
    say(&rig, stray, "", "ff");
    say(&rig, params, "", "");
    AWAIT(&rig.loop, rig.n_heard == 3);
    CHECK_HAS(heard(&rig), "C.results 0968656c6c6f20626f62\nC.results \n");
    CHECK_INT(greeter.n_calls, 2);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(a_caller_that_says_nothing_gets_a_second_accept_before_its_answer)
{
    SETUP(rig);
    struct greeter greeter;
    greeter_init(&greeter, &rig, "(string) -> string");
    listen_by_hand(&rig, "C.>");
    listen_by_hand(&rig, "C");
    say(&rig, SUBJECT, "C", "03 \"bob\"");
    AWAIT(&rig.loop, heard_on(&rig, "C.results") == 2);
    CHECK_INT(heard_on(&rig, "C"), 2);
    const char *first = strstr(heard(&rig), "C reply:_INBOX."), *second = strstr(first + 1, "C reply:_INBOX.");
    CHECK(strstr(second, "\nC.results 0968656c6c6f20626f62\nC.results \n"));
    CHECK(strncmp(first, second, (size_t)(second - first)) == 0);
    say_params(&rig, "");
    settle(&rig, &rig.hand);
    settle(&rig, &rig.callee.bus);
    CHECK_INT(greeter.n_calls, 1);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(a_call_that_nobody_has_yet_ends_with_the_service)
{
    SETUP(rig);
    struct greeter greeter;
    greeter_init(&greeter, &rig, "(string) -> string");
    listen_by_hand(&rig, "C");
    listen_by_hand(&rig, "C.results");
    say(&rig, SUBJECT, "C", "03 \"bob\"");
    AWAIT(&rig.loop, rig.n_heard >= 1);
    wisp_wrpc_service_free(greeter.service);
    AWAIT(&rig.loop, heard_on(&rig, "C.results") > 0);
    rig_deinit(&rig);
}

TEST(a_soon_answer_to_one_of_our_own_is_a_single_message)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    greeter_init(&greeter, &rig, "(string) -> string");
    listen_by_hand(&rig, "_INBOX.>");
    call(&rig, "(string) -> string", &WISP_STR("bob"), 5000, &answer);
    AWAIT(&rig.loop, answer.n);
    settle(&rig, &rig.caller.bus);
    settle(&rig, &rig.hand);
    CHECK_STR(answer.text, "hello bob");
    CHECK_HAS(heard(&rig), ".results 0968656c6c6f20626f62\n");
    CHECK_INT(rig.n_heard, 1);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(a_soon_answer_of_several_messages_is_an_ordinary_one)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    enum { SIZE = 3 << 19 }; /* half a message more than one */
    char *large = wisp_arena_alloc(&rig.arena, SIZE);
    memset(large, 'x', SIZE);
    greeter_init(&greeter, &rig, "(string) -> string");
    greeter.keeps = true;
    call(&rig, "(string) -> string", &WISP_STR("bob"), 5000, &answer);
    AWAIT(&rig.loop, greeter.n_calls);
    finish(&greeter, greeter.kept[0], (struct wisp_str){large, SIZE});
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.text.len, SIZE + strlen("hello "));
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(a_soon_failure_too)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    greeter_init(&greeter, &rig, "(string) -> string");
    greeter.keeps = true;
    listen_by_hand(&rig, "_INBOX.>");
    call(&rig, "(string) -> string", &WISP_STR("bob"), 5000, &answer);
    while (!greeter.n_calls) uv_run(&rig.loop, UV_RUN_ONCE);
    wisp_wrpc_incoming_fail(greeter.kept[0]);
    AWAIT(&rig.loop, answer.n && rig.n_heard);
    check_error(&answer, WISP_ERR_GUEST, "failed");
    CHECK_HAS(heard(&rig), ".results wisp-failed:1 \n");
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(an_answer_that_takes_longer_is_announced_by_the_accept)
{
    SETUP(rig);
    struct greeter greeter;
    struct answer answer = {0};
    greeter_init(&greeter, &rig, "(string) -> string");
    greeter.keeps = true;
    listen_by_hand(&rig, "_INBOX.>");
    call(&rig, "(string) -> string", &WISP_STR("bob"), 5000, &answer);
    AWAIT(&rig.loop, rig.n_heard == 1);
    CHECK_HAS(heard(&rig), " reply:_INBOX.");
    CHECK_HAS(heard(&rig), " wisp-probe:1 \n");
    settle(&rig, &rig.caller.bus);
    finish(&greeter, greeter.kept[0], WISP_STR("bob"));
    AWAIT(&rig.loop, answer.n && rig.n_heard == 3); /* nothing was said by the caller */
    CHECK_STR(answer.text, "hello bob");
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(parameters_that_are_wrong)
{
    SETUP(rig);
    struct greeter greeter;
    greeter_init(&greeter, &rig, "(string) -> string");
    listen_by_hand(&rig, "C.results");
    say(&rig, SUBJECT, "C", "02 c3 28");          /* no UTF-8 */
    say(&rig, SUBJECT, "C", "01 \"x\" 00");       /* more than there should be */
    say(&rig, SUBJECT, "C", "ff ff ff ff 0f aa"); /* stops coming */
    AWAIT(&rig.loop, rig.n_heard == 2);
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(greeter.service) == 0);
    CHECK_TEXT(heard(&rig), "C.results wisp-failed:1 \nC.results wisp-failed:1 \n");
    say(&rig, SUBJECT, "", "01 \"x\"");    /* nowhere to answer to */
    say(&rig, SUBJECT, "a.b", "01 \"x\""); /* there is nobody */
    AWAIT(&rig.loop, greeter.n_calls == 1);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(parameters_that_end_in_the_middle)
{
    SETUP(rig);
    struct greeter greeter;
    greeter_init(&greeter, &rig, "(string) -> string");
    listen_by_hand(&rig, "C");
    listen_by_hand(&rig, "C.results");
    say(&rig, SUBJECT, "C", "03 \"b\"");
    AWAIT(&rig.loop, rig.n_heard == 1);
    char params[300];
    snprintf(params, sizeof params, "%s.params", heard_reply(&rig));
    say(&rig, params, "", "");
    AWAIT(&rig.loop, rig.n_heard == 2);
    CHECK_HAS(heard(&rig), "C.results wisp-failed:1 \n");
    CHECK_INT(greeter.n_calls, 0);
    wisp_wrpc_service_free(greeter.service);
    rig_deinit(&rig);
}

TEST(a_call_without_its_parameters_ends_with_the_service)
{
    SETUP(rig);
    struct greeter greeter;
    greeter_init(&greeter, &rig, "(string) -> string");
    listen_by_hand(&rig, "C.results");
    say(&rig, SUBJECT, "C", "03 \"b\"");
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(greeter.service) == 1);
    wisp_wrpc_service_free(greeter.service);
    AWAIT(&rig.loop, rig.n_heard == 1);
    CHECK_TEXT(heard(&rig), "C.results wisp-failed:1 \n");
    rig_deinit(&rig);
}

/* --- our caller, a callee by hand --- */

/* Waits for the call and returns the caller's inbox. */
static void await_call(struct rig *rig, char inbox[256])
{
    AWAIT(&rig->loop, rig->n_heard > 0);
    strcpy(inbox, heard_reply(rig));
}

static void say_to(struct rig *rig, const char *inbox, const char *below, const char *reply, const char *hex)
{
    char subject[400];
    snprintf(subject, sizeof subject, "%s%s", inbox, below);
    say(rig, subject, reply, hex);
}

TEST(the_callers_part_of_the_handshake)
{
    SETUP(rig);
    struct answer answer = {0};
    char inbox[256];
    listen_by_hand(&rig, "default.>");
    listen_by_hand(&rig, "S.>");
    call(&rig, "(string) -> string", &WISP_STR("bob"), 5000, &answer);
    await_call(&rig, inbox);
    CHECK_HAS(heard(&rig), SUBJECT " reply:_INBOX.");
    CHECK_HAS(heard(&rig), " source-id:me link-name:default traceparent:00-1-2-3 wisp-direct:1 03626f62\n");
    forget(&rig);
    say_to(&rig, inbox, "", "S", "");
    AWAIT(&rig.loop, rig.n_heard == 1);
    CHECK_TEXT(heard(&rig), "S.params \n");
    say_to(&rig, inbox, ".results.0", "", "");
    say_to(&rig, inbox, ".results", "", "02");
    say_to(&rig, inbox, "", "T", "");
    say_to(&rig, inbox, ".results", "", "\"h\"");
    say_to(&rig, inbox, ".resultsx", "", "\"h\"");
    say_to(&rig, inbox, ".results", "", "\"i\"");
    say_to(&rig, inbox, ".results", "", "");
    AWAIT(&rig.loop, answer.n);
    CHECK_STR(answer.text, "hi");
    say_to(&rig, inbox, ".results", "", "00");
    settle(&rig, &rig.hand);
    settle(&rig, &rig.caller.bus);
    CHECK_INT(answer.n, 1);
    rig_deinit(&rig);
}

TEST(answers_that_are_wrong)
{
    SETUP(rig);
    static const struct {
        const char *accept; /* reply of it; NULL: none comes */
        const char *results[3];
        enum wisp_err_kind kind;
        const char *words;
    } cases[] = {
        {"S", {"", NULL}, WISP_ERR_GUEST, "ended without a result"},
        {"S", {"02 68", "", NULL}, WISP_ERR_GUEST, "ended without a whole result"},
        {"S", {"01 ff", NULL}, WISP_ERR_INVALID, "not UTF-8"},
        {"S", {"01 68 00", NULL}, WISP_ERR_INVALID, "1 bytes follow"},
        {"", {NULL}, WISP_ERR_INVALID, "without a subject"},
        {NULL, {"", NULL}, WISP_ERR_GUEST, "ended without a result"},
        {"S", {NULL}, WISP_ERR_TIMEOUT, "within 100 ms"},
    };
    listen_by_hand(&rig, "default.>");
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct answer answer = {0};
        char inbox[256];
        forget(&rig);
        call(&rig, "(string) -> string", &WISP_STR("bob"), cases[i].kind == WISP_ERR_TIMEOUT ? 100 : 5000, &answer);
        await_call(&rig, inbox);
        if (cases[i].accept) say_to(&rig, inbox, "", cases[i].accept, "");
        for (const char *const *result = cases[i].results; *result; result++)
            say_to(&rig, inbox, ".results", "", *result);
        AWAIT(&rig.loop, answer.n);
        check_error(&answer, cases[i].kind, cases[i].words);
    }
    rig_deinit(&rig);
}

TEST(the_rest_of_large_parameters_follows_the_accept)
{
    SETUP(rig);
    struct answer answer = {0};
    char inbox[256];
    size_t size = (1 << 20) + 1000;
    listen_by_hand(&rig, "default.>");
    listen_by_hand(&rig, "S.>");
    call(&rig, "(string) -> string", &(struct wisp_str){wisp_arena_calloc(&rig.arena, 1, size), size}, 5000, &answer);
    await_call(&rig, inbox);
    size_t first = rig.heard.len;
    CHECK(first > (1 << 21) - 2048 && first < (1 << 21) + 512);
    forget(&rig);
    say_to(&rig, inbox, "", "S", "");
    AWAIT(&rig.loop, rig.n_heard == 2);
    CHECK_INT(heard_on(&rig, "S.params"), 2);
    CHECK_HAS(heard(&rig), "\nS.params \n");
    say_to(&rig, inbox, ".results", "", "00");
    AWAIT(&rig.loop, answer.n);
    CHECK_INT(answer.text.len, 0);
    rig_deinit(&rig);
}
