/* SPDX-License-Identifier: Apache-2.0 */
/* A kind over a real bus: its functions called by wRPC, and components that it calls. */
#include "provider/runtime_rig.h"
#include "wrpc/call.h"
#include "wrpc/wrpc_rig.h"

struct served {
    struct rig rig;
    struct wisp_provider *provider;
    struct wisp_wrpc_service *service;
    bool is_drained, is_closed;
    const char *traceparent; /* of calls; NULL: none */
    char spans[1000];
};

static void on_span(void *env, const struct wisp_provider_span *span)
{
    struct served *served = env;
    struct wisp_trace_context above = span->context;
    char text[WISP_TRACEPARENT_LEN + 1];
    size_t len = strlen(served->spans);
    CHECK(memcmp(span->parent_id, span->context.span_id, sizeof above.span_id) != 0);
    CHECK(span->took_ns > 0);
    memcpy(above.span_id, span->parent_id, sizeof above.span_id);
    wisp_trace_print(&above, text);
    snprintf(served->spans + len, sizeof served->spans - len, "%s %s %s %.*s %.*s %s;", text, span->interface,
             span->func, WISP_STR_ARG(span->source_id), WISP_STR_ARG(span->link_name),
             span->failure ? span->failure : "-");
}

static void set_true(void *env) { *(bool *)env = true; }

static void served_init(struct served *served)
{
    memset(served, 0, sizeof *served);
    struct rig *rig = &served->rig;
    rig_init(rig);
    struct wisp_provider_options options = {.kind = &greeter_kind,
                                            .id = "gr",
                                            .lattice = "default",
                                            .host_id = "NHOST",
                                            .loop = &rig->loop,
                                            .bus = rig->callee.bus.client,
                                            .wrpc = rig->callee.wrpc,
                                            .bus_url = rig->nats.url,
                                            .on_span = on_span,
                                            .span_env = served};
    CHECK_OK(wisp_provider_new(&served->provider, &options, &rig->err), &rig->err);
    CHECK_OK(wisp_wrpc_service_new(&served->service, rig->callee.wrpc, WISP_STR("gr"), &rig->err), &rig->err);
    CHECK_OK(wisp_provider_serve(served->provider, served->service, &rig->err), &rig->err);
    settle(rig, &rig->callee.bus);
}

static void served_close(struct served *served)
{
    wisp_wrpc_service_drain(served->service, set_true, &served->is_drained);
    AWAIT(&served->rig.loop, served->is_drained);
    wisp_wrpc_service_free(served->service);
    wisp_provider_close(served->provider, set_true, &served->is_closed);
    AWAIT(&served->rig.loop, served->is_closed);
    rig_deinit(&served->rig);
}

struct answer {
    unsigned n;
    uint32_t is_err;
    struct wisp_str text;
    struct wisp_err err;
};

static void on_greeting(const void *result, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    answer->n++;
    if (err) answer->err = *err;
    if (!result) return;
    answer->is_err = ((const struct greet_result *)result)->is_err;
    answer->text = ((const struct greet_result *)result)->text;
}

static void on_text(const void *result, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    answer->n++;
    if (err) answer->err = *err;
    if (result) answer->text = *(const struct wisp_str *)result;
}

static struct wisp_wrpc_call *call(struct served *served, const char *func, const char *link_name, const void *args,
                                   wisp_wrpc_on_result *on_result, struct answer *answer)
{
    struct wisp_bus_header headers[3] = {{WISP_STR("source-id"), WISP_STR("app")}};
    size_t n = 1;
    if (link_name) headers[n++] = (struct wisp_bus_header){WISP_STR("link-name"), wisp_str_from(link_name)};
    if (served->traceparent)
        headers[n++] = (struct wisp_bus_header){WISP_STR("traceparent"), wisp_str_from(served->traceparent)};
    struct wisp_wrpc_function function = {WISP_STR("acme:hello/greeter@0.1.0"), wisp_str_from(func)};
    struct wisp_wrpc_target target = {
        .id = WISP_STR("gr"), .function = function, .headers = headers, .n_headers = n, .timeout_ms = 5000};
    const struct wisp_provider_export *export_ =
        wisp_provider_find(served->provider, function.interface, function.name);
    struct wisp_wrpc_call *started;
    struct rig *rig = &served->rig;
    CHECK_OK(wisp_wrpc_call_start(rig->caller.wrpc, &target, export_->type, args, &rig->arena, on_result, answer,
                                  &started, &rig->err),
             &rig->err);
    return started;
}

TEST(calls_over_the_bus)
{
    struct served served;
    struct answer answers[4] = {0};
    struct greet_args young = {{WISP_STR("Ann"), 42}, WISP_STR("en")}, old = {{WISP_STR("Bob"), 101}, WISP_STR("en")};
    served_init(&served);
    CHECK_OK(put(served.provider, "app", "one", "{\"greeting\":\"Ahoy\"}", &served.rig.err), &served.rig.err);
    call(&served, "greet", NULL, &young, on_greeting, &answers[0]);
    call(&served, "greet", "one", &old, on_greeting, &answers[1]);
    call(&served, "refuse", NULL, NULL, on_text, &answers[2]);
    call(&served, "wait", NULL, NULL, on_text, &answers[3]);
    AWAIT(&served.rig.loop, the_greeter.n_waiting);
    wisp_provider_return(the_greeter.waiting[0], &WISP_STR("at last"));
    AWAIT(&served.rig.loop, answers[0].n && answers[1].n && answers[2].n && answers[3].n);
    CHECK_STR(answers[0].text, "Hello Ann (42, en) from app by default");
    CHECK_STR(answers[1].text, "Ahoy Bob (101, en) from app by one");
    CHECK_INT(answers[1].is_err, 1);
    CHECK_INT(answers[2].err.kind, WISP_ERR_GUEST);
    CHECK_STR(answers[3].text, "at last");
    served_close(&served);
}

TEST(a_link_that_was_refused_fails_calls)
{
    struct served served;
    struct answer answer = {0};
    struct greet_args args = {{WISP_STR("Ann"), 42}, WISP_STR("en")};
    served_init(&served);
    CHECK_FAILS(put(served.provider, "app", "default", "{\"greeting\":\"rude\"}", &served.rig.err), INVALID);
    call(&served, "greet", NULL, &args, on_greeting, &answer);
    AWAIT(&served.rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_GUEST);
    served_close(&served);
}

TEST(calls_in_exported_traces_have_spans)
{
    struct served served;
    struct answer answer = {0};
    served_init(&served);
    served.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    call(&served, "refuse", NULL, NULL, on_text, &answer);
    call(&served, "wait", NULL, NULL, on_text, &answer);
    AWAIT(&served.rig.loop, the_greeter.n_waiting);
    struct wisp_str below = the_greeter.waiting[0]->traceparent;
    CHECK_INT(below.len, WISP_TRACEPARENT_LEN);
    CHECK(wisp_str_starts_with(below, WISP_STR("00-4bf92f3577b34da6a3ce929d0e0e4736-")));
    CHECK(!wisp_str_is(below, served.traceparent));
    wisp_provider_return(the_greeter.waiting[0], &WISP_STR("at last"));
    AWAIT(&served.rig.loop, answer.n == 2);
    CHECK_TEXT(served.spans, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 acme:hello/greeter@0.1.0 refuse "
                             "app default not today;00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 "
                             "acme:hello/greeter@0.1.0 wait app default -;");
    served.spans[0] = '\0';
    served.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"; /* not exported */
    call(&served, "refuse", NULL, NULL, on_text, &answer);
    served.traceparent = NULL;
    call(&served, "refuse", NULL, NULL, on_text, &answer);
    AWAIT(&served.rig.loop, answer.n == 4);
    CHECK_TEXT(served.spans, "");
    served_close(&served);
}

TEST(closing_with_calls_in_flight)
{
    struct served served;
    struct answer answer = {0};
    served_init(&served);
    call(&served, "wait", NULL, NULL, on_text, &answer);
    AWAIT(&served.rig.loop, the_greeter.n_waiting);
    wisp_wrpc_service_free(served.service);
    wisp_provider_close(served.provider, set_true, &served.is_closed);
    AWAIT(&served.rig.loop, answer.n);
    CHECK_INT(answer.err.kind, WISP_ERR_GUEST);
    CHECK_TEXT(the_greeter.log, "open;cancelled;");
    wisp_provider_return(the_greeter.waiting[0], &WISP_STR("too late"));
    AWAIT(&served.rig.loop, served.is_closed);
    rig_deinit(&served.rig);
}

/* --- components that it calls --- */

static void on_heard_call(struct wisp_wrpc_incoming *incoming, const void *args, void *env)
{
    struct rig *rig = env;
    const struct wisp_wrpc_caller *caller = wisp_wrpc_incoming_caller(incoming);
    CHECK_STR(caller->source_id, "gr");
    CHECK_STR(caller->target_id, "app");
    CHECK_STR(caller->traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    CHECK_OK(wisp_wrpc_incoming_finish(incoming, args, &rig->err), &rig->err);
}

TEST(invocations_over_the_bus)
{
    struct served served;
    struct answer answers[2] = {0};
    struct rig *rig = &served.rig;
    struct wisp_provider_invocation *invocation;
    struct wisp_wrpc_service *app;
    struct wisp_wrpc_function heard_function = {WISP_STR("acme:hello/listener@0.1.0"), WISP_STR("heard")};
    served_init(&served);
    struct wisp_provider_request request = {.target_id = WISP_STR("app"), .arena = &rig->arena, .on_result = on_text};
#define INVOKE(answer)                                                                                                 \
    request.env = (answer);                                                                                            \
    CHECK_OK(wisp_provider_invoke(served.provider, &listener_interface, &listener_funcs[0], &WISP_STR("echo"),         \
                                  &request, &invocation, &rig->err),                                                   \
             &rig->err)
    INVOKE(&answers[0]);
    AWAIT(&rig->loop, answers[0].n);
    CHECK_INT(answers[0].err.kind, WISP_ERR_UNAVAILABLE);

    CHECK_OK(wisp_wrpc_service_new(&app, rig->caller.wrpc, WISP_STR("app"), &rig->err), &rig->err);
    CHECK_OK(wisp_wrpc_service_add(app, &heard_function, func_of(&rig->arena, "(string) -> string"), on_heard_call, rig,
                                   &rig->err),
             &rig->err);
    settle(rig, &rig->caller.bus);
    request.traceparent = WISP_STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    INVOKE(&answers[1]);
    AWAIT(&rig->loop, answers[1].n);
    CHECK_STR(answers[1].text, "echo");
    INVOKE(&answers[1]);
    wisp_provider_invocation_cancel(invocation);
    INVOKE(&answers[1]); /* goes with the provider */
    wisp_wrpc_service_free(app);
    served_close(&served);
}
