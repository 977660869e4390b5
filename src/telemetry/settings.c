/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/settings.h"

#include "base/parse.h"

#include <stdlib.h>

enum { PAIRS_MAX = 64 };

static const char *const paths[] = {"/v1/traces", "/v1/metrics", "/v1/logs"};
static const char *const flag_names[] = {"--override-traces-endpoint", "--override-metrics-endpoint",
                                         "--override-logs-endpoint"};

/* A variable that is empty counts as not set. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* --- endpoints --- */

/* The part of a URL behind its authority. */
static int find_path(const char *url, const char *name, const char **ret_path, struct wisp_err *err)
{
    const char *authority = strstr(url, "://");
    if (!authority || (!wisp_str_starts_with(wisp_str_from(url), WISP_STR("http://")) &&
                       !wisp_str_starts_with(wisp_str_from(url), WISP_STR("https://"))))
        return wisp_err_set(err, WISP_ERR_USAGE, "%s is not a URL of http or https", name);
    authority += 3;
    size_t size = strcspn(authority, "/?#");
    if (!size) return wisp_err_set(err, WISP_ERR_USAGE, "%s names no host", name);
    if (memchr(authority, '@', size))
        return wisp_err_set(err, WISP_ERR_USAGE, "%s: credentials belong into OTEL_EXPORTER_OTLP_HEADERS", name);
    *ret_path = authority + size;
    return 0;
}

static int endpoint(const struct wisp_telemetry_flags *flags, enum wisp_otlp_signal signal, struct wisp_arena *arena,
                    const char **ret_url, struct wisp_err *err)
{
    const char *common = flags->endpoint ? flags->endpoint : "http://localhost:4318", *path;
    if (flags->endpoints[signal]) {
        *ret_url = flags->endpoints[signal];
        return find_path(*ret_url, flag_names[signal], &path, err);
    }
    int r = find_path(common, "--override-observability-endpoint", &path, err);
    if (r < 0) return r;
    if (*path == '\0' || strcmp(path, "/") == 0)
        *ret_url = wisp_arena_printf(arena, "%.*s%s", (int)(path - common), common, paths[signal]);
    else
        *ret_url = common;
    return 0;
}

/* --- lists of pairs --- */

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(struct wisp_arena *arena, struct wisp_str text, const char **ret_text)
{
    char *out = wisp_arena_alloc(arena, text.len + 1), *at = out;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            *at++ = text.ptr[i];
            continue;
        }
        int high = i + 2 < text.len ? hex(text.ptr[i + 1]) : -1, low = high >= 0 ? hex(text.ptr[i + 2]) : -1;
        if (low < 0) return false;
        *at++ = (char)(high << 4 | low);
        i += 2;
    }
    *at = '\0';
    *ret_text = out;
    for (const char *c = out; c < at; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) return false;
    return true;
}

static struct wisp_str trim(struct wisp_str text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) text.ptr++, text.len--;
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

static bool is_token(const char *name) { return *name && !name[strcspn(name, " \t\"(),/:;<=>?@[\\]{}")]; }

/* Names and values of "a=b,c=d". */
static int parse_pairs(const char *name, struct wisp_arena *arena, struct wisp_web_header *pairs, size_t *ret_n,
                       struct wisp_err *err)
{
    struct wisp_str rest = wisp_str_from(variable(name)), pair, key, value;
    for (*ret_n = 0; rest.len;) {
        if (!wisp_str_split(rest, ',', &pair, &rest)) pair = rest, rest.len = 0;
        pair = trim(pair);
        if (!pair.len) continue;
        if (*ret_n == PAIRS_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "%s has more than %d pairs", name, PAIRS_MAX);
        struct wisp_web_header *at = &pairs[*ret_n];
        if (!wisp_str_split(pair, '=', &key, &value) || !decode(arena, trim(key), &at->name) ||
            !decode(arena, trim(value), &at->value) || !is_token(at->name))
            return wisp_err_set(err, WISP_ERR_USAGE, "variable %s: number %zu is not NAME=VALUE", name, *ret_n + 1);
        ++*ret_n;
    }
    return 0;
}

static int parse_headers(struct wisp_arena *arena, struct wisp_telemetry_options *options, struct wisp_err *err)
{
    struct wisp_web_header *headers = WISP_NEW_ARRAY(arena, struct wisp_web_header, PAIRS_MAX);
    options->headers = headers;
    return parse_pairs("OTEL_EXPORTER_OTLP_HEADERS", arena, headers, &options->n_headers, err);
}

/* OTEL_SERVICE_NAME comes before a service.name among the attributes. */
static int parse_resource(struct wisp_arena *arena, struct wisp_telemetry_options *options, struct wisp_err *err)
{
    struct wisp_web_header *pairs = WISP_NEW_ARRAY(arena, struct wisp_web_header, PAIRS_MAX);
    struct wisp_log_field *resource = WISP_NEW_ARRAY(arena, struct wisp_log_field, PAIRS_MAX + 1);
    const char *service = variable("OTEL_SERVICE_NAME");
    size_t n;
    int r = parse_pairs("OTEL_RESOURCE_ATTRIBUTES", arena, pairs, &n, err);
    if (r < 0) return r;
    options->resource = resource;
    options->n_resource = 1;
    for (size_t i = 0; i < n; i++)
        if (strcmp(pairs[i].name, "service.name") != 0)
            resource[options->n_resource++] = WISP_TEXT(pairs[i].name, pairs[i].value);
        else if (!service)
            service = pairs[i].value;
    resource[0] = WISP_TEXT("service.name", service ? service : "wasmcloud-host");
    return 0;
}

/* --- numbers and the sampler --- */

static int parse_ms(const char *name, uint64_t fallback, uint64_t *ret_ms, struct wisp_err *err)
{
    const char *text = variable(name);
    *ret_ms = fallback;
    if (!text) return 0;
    if (wisp_parse_u64(wisp_str_from(text), 24 * 3600 * 1000, ret_ms, NULL) < 0 || !*ret_ms)
        return wisp_err_set(err, WISP_ERR_USAGE, "variable %s is not a number of milliseconds", name);
    return 0;
}

static int parse_ratio(double *ret_ratio, struct wisp_err *err)
{
    const char *text = variable("OTEL_TRACES_SAMPLER_ARG");
    char *end = NULL;
    *ret_ratio = text ? strtod(text, &end) : 1;
    if (text && (*end || !(*ret_ratio >= 0 && *ret_ratio <= 1)))
        return wisp_err_set(err, WISP_ERR_USAGE, "variable OTEL_TRACES_SAMPLER_ARG is not a number between 0 and 1");
    return 0;
}

static int parse_sampler(struct wisp_trace_sampler *sampler, struct wisp_err *err)
{
    static const struct wisp_str prefix = WISP_STR_INIT("parentbased_");
    const char *text = variable("OTEL_TRACES_SAMPLER");
    double ratio = 1;
    if (!text) text = "parentbased_always_on";
    sampler->follows_parent = wisp_str_starts_with(wisp_str_from(text), prefix);
    const char *root = sampler->follows_parent ? text + prefix.len : text;
    int r = 0;
    if (strcmp(root, "traceidratio") == 0)
        r = parse_ratio(&ratio, err);
    else if (strcmp(root, "always_off") == 0)
        ratio = 0;
    else if (strcmp(root, "always_on") != 0)
        r = wisp_err_set(err, WISP_ERR_USAGE,
                         "variable OTEL_TRACES_SAMPLER: `%s` is none of always_on, always_off, "
                         "traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio",
                         text);
    sampler->threshold = wisp_trace_threshold(ratio);
    return r;
}

/* --- all of it --- */

int wisp_telemetry_settings(const struct wisp_telemetry_flags *flags, struct wisp_arena *arena,
                            struct wisp_telemetry_options *ret_options, struct wisp_err *err)
{
    struct wisp_telemetry_options options = {.ca_paths = flags->ca_paths, .n_ca_paths = flags->n_ca_paths};
    bool any = false;
    int r = 0;
    for (int i = 0; i < WISP_OTLP_SIGNALS && r == 0; i++) {
        if (!flags->all && !flags->is_on[i]) continue;
        if (flags->all && flags->is_on[i])
            return wisp_err_set(err, WISP_ERR_USAGE,
                                "flag `--enable-observability` stands for all signals: it excludes "
                                "--enable-traces, --enable-metrics and --enable-logs");
        any = true;
        r = endpoint(flags, (enum wisp_otlp_signal)i, arena, &options.urls[i], err);
    }
    if (r == 0 && any) r = parse_headers(arena, &options, err);
    if (r == 0 && any) r = parse_resource(arena, &options, err);
    if (r == 0 && any) r = parse_sampler(&options.sampler, err);
    if (r == 0 && any) r = parse_ms("OTEL_EXPORTER_OTLP_TIMEOUT", 10000, &options.timeout_ms, err);
    if (r == 0 && any) r = parse_ms("OTEL_METRIC_EXPORT_INTERVAL", 10000, &options.metric_interval_ms, err);
    if (r == 0) *ret_options = options;
    return r;
}
