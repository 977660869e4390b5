/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: an instance of a messaging kind, and a component that keeps what it is given. */
#pragma once

#include "base/json.h"
#include "bus/client_rig.h"
#include "capability/kinds.h"
#include "capability/messaging/messaging.h"
#include "provider/runtime.h"

enum { DELIVERIES_MAX = 20000 };

/* handle-message, called. */
struct given {
    char subject[64], body[64], reply[64], trace[64];
    wisp_provider_on_result *on_result;
    void *env;
    bool is_answered;
};

struct messaging_rig {
    uv_loop_t *loop;
    struct wisp_provider *provider;
    struct given *given;
    size_t n_given, n_cancelled, n_open, n_open_max;
    bool answers;           /* at the next turn */
    const char *with_error; /* NULL: well */
    uv_timer_t timer;
    bool is_closed, has_timer;
    struct wisp_err err;
};

static inline void rig_answer(struct given *given, const char *error)
{
    struct wisp_messaging_result result = {error != NULL, wisp_str_from(error)};
    given->is_answered = true;
    given->on_result(&result, NULL, given->env);
}

static inline void rig_on_timer(uv_timer_t *timer)
{
    struct messaging_rig *rig = timer->data;
    for (size_t i = 0; i < rig->n_given; i++) {
        if (rig->given[i].is_answered) continue;
        rig->n_open--;
        rig_answer(&rig->given[i], rig->with_error);
    }
}

static inline int rig_invoke(void *env, struct wisp_provider *provider, const struct wisp_provider_export *import,
                             const void *args, const struct wisp_provider_request *request, void **ret_handle,
                             struct wisp_err *err)
{
    struct messaging_rig *rig = env;
    const struct wisp_broker_message *message = args;
    (void)provider;
    CHECK_TEXT(import->func->name, "handle-message");
    CHECK_STR(request->target_id, "app");
    if (rig->n_given == DELIVERIES_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "too many");
    struct given *given = &rig->given[rig->n_given++];
    *given = (struct given){.on_result = request->on_result, .env = request->env};
    snprintf(given->trace, sizeof given->trace, "%.*s", WISP_STR_ARG(request->traceparent));
    snprintf(given->subject, sizeof given->subject, "%.*s", WISP_STR_ARG(message->subject));
    snprintf(given->body, sizeof given->body, "%.*s", (int)message->body.len, (const char *)message->body.ptr);
    if (message->reply_to.is_some)
        snprintf(given->reply, sizeof given->reply, "%.*s", WISP_STR_ARG(message->reply_to.subject));
    if (++rig->n_open > rig->n_open_max) rig->n_open_max = rig->n_open;
    if (rig->answers) uv_timer_start(&rig->timer, rig_on_timer, 0, 0);
    *ret_handle = given;
    return 0;
}

static inline void rig_cancel(void *env, void *handle)
{
    struct messaging_rig *rig = env;
    ((struct given *)handle)->is_answered = true;
    rig->n_open--;
    rig->n_cancelled++;
}

static inline void messaging_rig_init(struct messaging_rig *rig, uv_loop_t *loop, const struct wisp_provider_kind *kind,
                                      struct wisp_bus_client *bus, struct wisp_wrpc *wrpc, const char *bus_url,
                                      const char *host_id, bool is_first)
{
    *rig = (struct messaging_rig){.loop = loop, .answers = true};
    rig->given = wisp_mem_calloc(DELIVERIES_MAX, sizeof *rig->given);
    uv_timer_init(loop, &rig->timer);
    rig->timer.data = rig;
    struct wisp_provider_options options = {.kind = kind,
                                            .id = "msg",
                                            .lattice = "default",
                                            .host_id = host_id,
                                            .loop = loop,
                                            .bus = bus,
                                            .wrpc = wrpc,
                                            .bus_url = bus_url,
                                            .is_first = is_first,
                                            .world = {.invoke = rig_invoke, .cancel = rig_cancel, .env = rig}};
    CHECK_OK(wisp_provider_new(&rig->provider, &options, &rig->err), &rig->err);
}

static inline void rig_on_closed(void *env) { *(bool *)env = true; }

static inline void messaging_rig_deinit(struct messaging_rig *rig)
{
    wisp_provider_close(rig->provider, rig_on_closed, &rig->is_closed);
    AWAIT(rig->loop, rig->is_closed);
    uv_close((uv_handle_t *)&rig->timer, NULL);
    uv_run(rig->loop, UV_RUN_NOWAIT);
    free(rig->given);
}

/* From the provider to "app" (config: the source's), or the other way (the target's). */
static inline int rig_put(struct messaging_rig *rig, bool is_source, const char *name, const char *config)
{
    char text[16384];
    json_t *json;
    struct wisp_err err;
    snprintf(text, sizeof text,
             "{\"source_id\":\"%s\",\"target\":\"%s\",\"name\":\"%s\",\"wit_namespace\":\"wasmcloud\","
             "\"wit_package\":\"messaging\",\"interfaces\":[\"%s\"],\"source_config\":%s,\"target_config\":%s,"
             "\"source_secrets\":null,\"target_secrets\":null}",
             is_source ? "msg" : "app", is_source ? "app" : "msg", name, is_source ? "handler" : "consumer",
             is_source ? config : "{}", is_source ? "{}" : config);
    CHECK_OK(wisp_json_parse(wisp_str_from(text), &json, &err), &err);
    int r = wisp_provider_put_link(rig->provider, json, &rig->err);
    json_decref(json);
    return r;
}

static inline void rig_del(struct messaging_rig *rig, bool is_source, const char *name)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:[s], s:{}, s:{}, s:n, s:n}", "source_id", is_source ? "msg" : "app", "target",
        is_source ? "app" : "msg", "name", name, "wit_namespace", "wasmcloud", "wit_package", "messaging", "interfaces",
        is_source ? "handler" : "consumer", "source_config", "target_config", "source_secrets", "target_secrets");
    CHECK(json);
    wisp_provider_del_link(rig->provider, json);
    json_decref(json);
}

/* --- calls of the component's --- */

struct messaging_call {
    union {
        struct wisp_broker_message publish;
        struct wisp_messaging_request_args request;
    } args;
    bool is_request, is_done, is_err;
    char text[256]; /* the error, or the body of the reply */
    struct wisp_err err;
    struct wisp_provider_call *call;
};

static inline void rig_on_return(const void *result, const struct wisp_err *err, void *env)
{
    struct messaging_call *call = env;
    call->is_done = true;
    if (err) {
        call->err = *err;
        return;
    }
    struct wisp_str text = {0};
    if (call->is_request) {
        const struct wisp_messaging_request_result *answer = result;
        call->is_err = answer->is_err;
        text = answer->is_err ? answer->error
                              : (struct wisp_str){(const char *)answer->message.body.ptr, answer->message.body.len};
    } else {
        const struct wisp_messaging_result *answer = result;
        call->is_err = answer->is_err;
        if (answer->is_err) text = answer->error;
    }
    CHECK(wisp_str_is_utf8(text));
    snprintf(call->text, sizeof call->text, "%.*s", WISP_STR_ARG(text));
}

static inline void rig_call(struct messaging_rig *rig, struct messaging_call *call, const char *func, const char *trace)
{
    struct wisp_provider_caller caller = {WISP_STR("app"), WISP_STR("default"), wisp_str_from(trace)};
    const struct wisp_provider_export *found =
        wisp_provider_find(rig->provider, WISP_STR("wasmcloud:messaging/consumer@0.2.0"), wisp_str_from(func));
    CHECK(found);
    call->call = wisp_provider_call_start(rig->provider, found, &caller, &call->args, rig_on_return, call);
}

static inline void rig_publish(struct messaging_rig *rig, struct messaging_call *call, const char *subject,
                               const char *body)
{
    *call = (struct messaging_call){
        .args.publish = {.subject = wisp_str_from(subject), .body = {(const uint8_t *)body, strlen(body)}}};
    rig_call(rig, call, "publish", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01");
}

static inline void rig_request(struct messaging_rig *rig, struct messaging_call *call, const char *subject,
                               const char *body, uint32_t timeout_ms)
{
    *call = (struct messaging_call){
        .is_request = true,
        .args.request = {wisp_str_from(subject), {(const uint8_t *)body, strlen(body)}, timeout_ms}};
    rig_call(rig, call, "request", "");
}
