/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/settings.h"

#include "test.h"

#include <stdlib.h>

static struct wisp_arena arena;
static struct wisp_telemetry_options options;
static struct wisp_err err;

/* Each test is a process of its own. */
static int settings(const struct wisp_telemetry_flags *flags)
{
    err = (struct wisp_err){0};
    return wisp_telemetry_settings(flags, &arena, &options, &err);
}

static int with(const char *variable, const char *value)
{
    setenv(variable, value, 1);
    return settings(&(struct wisp_telemetry_flags){.all = true});
}

TEST(nothing_is_exported_unless_asked)
{
    CHECK_INT(settings(&(struct wisp_telemetry_flags){.endpoint = "rubbish"}), 0);
    for (int i = 0; i < WISP_OTLP_SIGNALS; i++) CHECK(!options.urls[i]);
    wisp_arena_deinit(&arena);
}

TEST(endpoints)
{
    struct wisp_telemetry_flags flags = {.is_on = {[WISP_OTLP_LOGS] = true}};
    CHECK_OK(settings(&flags), &err);
    CHECK_TEXT(options.urls[WISP_OTLP_LOGS], "http://localhost:4318/v1/logs");
    CHECK(!options.urls[WISP_OTLP_TRACES] && !options.urls[WISP_OTLP_METRICS]);
    flags = (struct wisp_telemetry_flags){
        .all = true, .endpoint = "https://c:1/", .endpoints[WISP_OTLP_METRICS] = "http://m"};
    CHECK_OK(settings(&flags), &err);
    CHECK_TEXT(options.urls[WISP_OTLP_TRACES], "https://c:1/v1/traces");
    CHECK_TEXT(options.urls[WISP_OTLP_METRICS], "http://m");
    flags.endpoint = "http://c/own/path";
    CHECK_OK(settings(&flags), &err);
    CHECK_TEXT(options.urls[WISP_OTLP_LOGS], "http://c/own/path");
    static const char *const bad[] = {"", "c:4318", "ftp://c", "http://", "http:///v1", "http://a:b@c"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        flags.endpoint = bad[i];
        CHECK_INT(settings(&flags), -WISP_ERR_USAGE);
    }
    flags = (struct wisp_telemetry_flags){.all = true, .is_on[WISP_OTLP_TRACES] = true};
    CHECK_INT(settings(&flags), -WISP_ERR_USAGE);
    wisp_arena_deinit(&arena);
}

TEST(headers)
{
    CHECK_OK(with("OTEL_EXPORTER_OTLP_HEADERS", " a = 1 ,, x-key=b%20c%3D=,"), &err);
    CHECK_INT(options.n_headers, 2);
    CHECK_TEXT(options.headers[0].name, "a");
    CHECK_TEXT(options.headers[0].value, "1");
    CHECK_TEXT(options.headers[1].value, "b c==");
    static const char *const bad[] = {"secret",     "=secret",     "a=secret%0d%0aX: y", "a b=secret",
                                      "a=secret%4", "a=secret%zz", "a:=secret",          "a=secret%00"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        CHECK_INT(with("OTEL_EXPORTER_OTLP_HEADERS", bad[i]), -WISP_ERR_USAGE);
        CHECK(!strstr(err.text, "secret"));
    }
    wisp_arena_deinit(&arena);
}

TEST(resource)
{
    CHECK_OK(with("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,zone=b"), &err);
    CHECK_INT(options.n_resource, 2);
    CHECK(wisp_str_is(options.resource[0].text, "mine"));
    CHECK_TEXT(options.resource[1].key, "zone");
    CHECK_OK(with("OTEL_SERVICE_NAME", "other"), &err);
    CHECK(wisp_str_is(options.resource[0].text, "other"));
    wisp_arena_deinit(&arena);
}

TEST(numbers_and_sampler)
{
    CHECK_OK(with("OTEL_METRIC_EXPORT_INTERVAL", "500"), &err);
    CHECK_INT(options.metric_interval_ms, 500);
    CHECK_INT(options.timeout_ms, 10000);
    CHECK(options.sampler.follows_parent && options.sampler.threshold == UINT64_C(1) << 63);
    CHECK_OK(with("OTEL_TRACES_SAMPLER", "always_off"), &err);
    CHECK(!options.sampler.follows_parent && !options.sampler.threshold);
    CHECK_OK(with("OTEL_TRACES_SAMPLER_ARG", "0.25"), &err);
    CHECK_OK(with("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), &err);
    CHECK(options.sampler.follows_parent && options.sampler.threshold == UINT64_C(1) << 61);
    CHECK_INT(with("OTEL_TRACES_SAMPLER_ARG", "1.5"), -WISP_ERR_USAGE);
    CHECK_INT(with("OTEL_TRACES_SAMPLER", "jaeger_remote"), -WISP_ERR_USAGE);
    CHECK_OK(with("OTEL_TRACES_SAMPLER", ""), &err);
    CHECK_INT(with("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), -WISP_ERR_USAGE);
    wisp_arena_deinit(&arena);
}
