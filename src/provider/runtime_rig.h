/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a small kind that greets, with a log of what happens to it. */
#pragma once

#include "base/json.h"
#include "provider/runtime.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

struct greeter {
    char log[4096];
    unsigned n_waiting;
    struct wisp_provider_call *waiting[16];
    bool refuses_config, is_ill;
    bool ends_when_cancelled;
};

__attribute__((format(printf, 2, 3))) static inline void note(struct greeter *greeter, const char *format, ...)
{
    va_list args;
    size_t used = strlen(greeter->log);
    va_start(args, format);
    vsnprintf(greeter->log + used, sizeof greeter->log - used, format, args);
    va_end(args);
}

static struct greeter the_greeter; /* a test is a process */

struct person {
    struct wisp_str name;
    uint8_t age;
};
struct greet_args {
    struct person person;
    struct wisp_str language;
};
struct greet_result {
    uint32_t is_err;
    struct wisp_str text;
};

static inline void greet(struct wisp_provider_call *call, const void *args)
{
    const struct greet_args *greet = args;
    struct wisp_str greeting = {0};
    if (call->link) greeting = wisp_settings_get(&call->link->settings, "greeting");
    if (!greeting.ptr) greeting = WISP_STR("Hello");
    const char *text = wisp_arena_printf(
        call->arena, "%.*s %.*s (%u, %.*s) from %.*s by %.*s", WISP_STR_ARG(greeting), WISP_STR_ARG(greet->person.name),
        greet->person.age, WISP_STR_ARG(greet->language), WISP_STR_ARG(call->source_id), WISP_STR_ARG(call->link_name));
    struct greet_result result = {greet->person.age > 100, wisp_str_from(text)};
    wisp_provider_return(call, &result);
}

static inline void on_wait_cancelled(struct wisp_provider_call *call)
{
    struct greeter *greeter = call->provider->state;
    note(greeter, "cancelled;");
    if (!greeter->ends_when_cancelled) return;
    for (unsigned i = 0; i < greeter->n_waiting; i++)
        if (greeter->waiting[i] == call) greeter->waiting[i] = greeter->waiting[--greeter->n_waiting];
    wisp_provider_return(call, &WISP_STR("late"));
}

static inline void wait_(struct wisp_provider_call *call, const void *args)
{
    struct greeter *greeter = call->provider->state;
    (void)args;
    call->on_cancel = on_wait_cancelled;
    greeter->waiting[greeter->n_waiting++] = call;
}

static inline void refuse(struct wisp_provider_call *call, const void *args)
{
    struct wisp_err err;
    (void)args;
    wisp_err_set(&err, WISP_ERR_DENIED, "not today");
    wisp_provider_fail(call, &err);
}

static inline int greeter_open(struct wisp_provider *provider, struct wisp_err *err)
{
    if (wisp_settings_get(&provider->settings, "broken").ptr)
        return wisp_err_set(err, WISP_ERR_INVALID, "it is broken");
    provider->state = &the_greeter;
    note(&the_greeter, "open;");
    return 0;
}

static inline void greeter_drain(struct wisp_provider *provider) { note(provider->state, "drain;"); }

static inline void greeter_close(struct wisp_provider *provider) { note(provider->state, "close;"); }

static inline int greeter_put_link(struct wisp_provider *provider, struct wisp_provider_link *link,
                                   struct wisp_err *err)
{
    struct wisp_str greeting = wisp_settings_get(&link->settings, "greeting");
    if (wisp_str_is(greeting, "rude")) return wisp_err_set(err, WISP_ERR_INVALID, "`greeting` must be polite");
    note(provider->state, "+%.*s/%.*s=%.*s;", WISP_STR_ARG(link->is_source ? link->target_id : link->source_id),
         WISP_STR_ARG(link->name), WISP_STR_ARG(greeting));
    link->state = malloc(1);
    return 0;
}

static inline void greeter_del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    note(provider->state, "-%.*s/%.*s=%.*s;", WISP_STR_ARG(link->is_source ? link->target_id : link->source_id),
         WISP_STR_ARG(link->name), WISP_STR_ARG(wisp_settings_get(&link->settings, "greeting")));
    free(link->state);
}

static inline int greeter_config_changed(struct wisp_provider *provider, struct wisp_err *err)
{
    struct greeter *greeter = provider->state;
    note(greeter, "config;");
    return greeter->refuses_config ? wisp_err_set(err, WISP_ERR_INVALID, "no") : 0;
}

static inline bool greeter_is_healthy(struct wisp_provider *provider, struct wisp_buf *text)
{
    struct greeter *greeter = provider->state;
    if (greeter->is_ill) wisp_buf_append_str(text, WISP_STR("a cold"));
    return !greeter->is_ill;
}

static const struct wisp_provider_func greeter_funcs[] = {
    {"greet", "(person, string) -> result<string, string>", greet,
     WISP_HOST_SIZES(struct greet_args, struct greet_result)},
    {"wait", "() -> string", wait_, 0, sizeof(struct wisp_str)},
    {"refuse", "()", refuse, 0, 0},
};
static const char *const greeter_types[] = {"person = record{string, u8}", NULL};
static const struct wisp_provider_interface greeter_interface = {.name = "acme:hello/greeter@0.1.0",
                                                                 .funcs = greeter_funcs,
                                                                 .n_funcs = WISP_COUNT(greeter_funcs),
                                                                 .types = greeter_types};
static const struct wisp_provider_func listener_funcs[] = {
    {"heard", "(string) -> string", NULL, WISP_HOST_SIZES(struct wisp_str, struct wisp_str)}};
static const struct wisp_provider_interface listener_interface = {
    .name = "acme:hello/listener@0.1.0", .funcs = listener_funcs, .n_funcs = WISP_COUNT(listener_funcs)};

static const struct wisp_provider_interface *const greeter_exports[] = {&greeter_interface};
static const struct wisp_provider_interface *const greeter_imports[] = {&listener_interface};
static const struct wisp_provider_kind greeter_kind = {.name = "greeter",
                                                       .about = "Greets",
                                                       .exports = greeter_exports,
                                                       .n_exports = WISP_COUNT(greeter_exports),
                                                       .imports = greeter_imports,
                                                       .n_imports = WISP_COUNT(greeter_imports),
                                                       .open = greeter_open,
                                                       .drain = greeter_drain,
                                                       .close = greeter_close,
                                                       .put_link = greeter_put_link,
                                                       .del_link = greeter_del_link,
                                                       .config_changed = greeter_config_changed,
                                                       .is_healthy = greeter_is_healthy};

static inline json_t *json_of(const char *text)
{
    json_t *json;
    struct wisp_err err;
    CHECK_OK(wisp_json_parse(wisp_str_from(text), &json, &err), &err);
    return json;
}

/* From SOURCE to the greeter, whose configuration is an object's text. */
static inline json_t *link_json(const char *source, const char *name, const char *config)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"source_id\":\"%s\",\"target\":\"gr\",\"name\":\"%s\",\"wit_namespace\":\"acme\","
             "\"wit_package\":\"hello\",\"interfaces\":[\"greeter\"],\"source_config\":{\"greeting\":\"no\"},"
             "\"target_config\":%s,\"source_secrets\":null,\"target_secrets\":null}",
             source, name, config);
    return json_of(text);
}

static inline int put(struct wisp_provider *provider, const char *source, const char *name, const char *config,
                      struct wisp_err *err)
{
    json_t *link = link_json(source, name, config);
    int r = wisp_provider_put_link(provider, link, err);
    json_decref(link);
    return r;
}

static inline void del(struct wisp_provider *provider, const char *source, const char *name)
{
    json_t *link = link_json(source, name, "{}");
    wisp_provider_del_link(provider, link);
    json_decref(link);
}
