/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/http/http_priv.h"
#include "wasi/test_double.h"

static struct wisp_wasi_http *http;
static struct wisp_outgoing_request *request;

#define TYPES wisp_wasi_http_types

static struct wisp_fields *new_fields(void)
{
    struct wisp_fields *fields;
    CHECK_INT(fake_invoke(&TYPES, "[constructor]fields", NULL, 0, &fields, sizeof fields), 0);
    return fields;
}

static void begin(void)
{
    fake_start();
    http = wisp_wasi_http_new();
    wisp_wasi_http_attach(http, &fake.wasi, NULL);
    struct wisp_fields *fields = new_fields();
    CHECK_INT(INVOKE(TYPES, "[constructor]outgoing-request", &fields, &request), 0);
}

static void finish(void)
{
    CHECK_INT(http->n_alive, 0);
    wisp_wasi_http_reset(http);
    wisp_wasi_http_free(http);
    fake_stop();
}

static void drop_request(void) { CHECK(!fake_drop(&TYPES, "outgoing-request", request)); }

TEST(methods)
{
    begin();
    struct wisp_abi_method method;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.method", &request, &method), 0);
    CHECK_INT(method.tag, WISP_WASI_HTTP_METHOD_GET);
    static const struct {
        struct wisp_abi_method method;
        bool is_error;
    } cases[] = {
        {{WISP_WASI_HTTP_METHOD_PATCH, {0}}, false},
        {{WISP_WASI_HTTP_METHOD_OTHER, WISP_STR_INIT("PURGE")}, false},
        {{WISP_WASI_HTTP_METHOD_OTHER, WISP_STR_INIT("two words")}, true},
        {{WISP_WASI_HTTP_METHOD_OTHER, WISP_STR_INIT("")}, true},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct wisp_abi_set_method_args args = {request, cases[i].method};
        struct wisp_abi_result result;
        CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.set-method", &args, &result), 0);
        CHECK_INT(result.is_error, cases[i].is_error);
    }
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.method", &request, &method), 0);
    CHECK_INT(method.tag, WISP_WASI_HTTP_METHOD_OTHER);
    CHECK_STR(method.other, "PURGE");
    drop_request();
    finish();
}

static bool accepts(const char *setter, const char *text)
{
    struct wisp_abi_set_text_args args = {request, {text != NULL, wisp_str_from(text)}};
    struct wisp_abi_result result;
    CHECK_INT(INVOKE(TYPES, setter, &args, &result), 0);
    return !result.is_error;
}

/* "(none)" when there is none. */
static const char *value_of(const char *getter)
{
    struct wisp_abi_option_str value;
    CHECK_INT(INVOKE(TYPES, getter, &request, &value), 0);
    return value.is_some ? wisp_arena_cstr(&fake.arena, value.value) : "(none)";
}

TEST(paths)
{
    begin();
    const char *getter = "[method]outgoing-request.path-with-query";
    const char *setter = "[method]outgoing-request.set-path-with-query";
    CHECK_TEXT(value_of(getter), "(none)");
    CHECK(accepts(setter, "/a/b?c=d&e={f}"));
    CHECK_TEXT(value_of(getter), "/a/b?c=d&e={f}");
    CHECK(accepts(setter, "*") && accepts(setter, "?q") && accepts(setter, ""));
    static const char *const bad[] = {"a", "/a b", "/a\r\nx: y", "/#part", "/\x80", "/\x7f", "http://x/", "/<a>"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++) CHECK(!accepts(setter, bad[i]));
    CHECK_TEXT(value_of(getter), "");
    CHECK(accepts(setter, NULL));
    CHECK_TEXT(value_of(getter), "(none)");
    drop_request();
    finish();
}

TEST(authorities)
{
    begin();
    const char *setter = "[method]outgoing-request.set-authority";
    static const char *const good[] = {
        "example.org", "example.org:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "user:pass@example.org:1", "a:"};
    static const char *const bad[] = {"",        ":80", "a/b", "a b", "a:b",      "a:1:2", "[::1",
                                      "::1]:80", "x@",  "a?b", "a#b", "\xc3\xa9", "a[1]"};
    for (size_t i = 0; i < WISP_COUNT(good); i++)
        if (!accepts(setter, good[i])) wisp_test_fail(__FILE__, __LINE__, "%s refused", good[i]);
    for (size_t i = 0; i < WISP_COUNT(bad); i++)
        if (accepts(setter, bad[i])) wisp_test_fail(__FILE__, __LINE__, "%s accepted", bad[i]);
    CHECK_TEXT(value_of("[method]outgoing-request.authority"), "a:");
    drop_request();
    finish();
}

static bool accepts_scheme(bool is_some, uint32_t tag, const char *other)
{
    struct wisp_abi_set_scheme_args args = {request, {is_some, {tag, wisp_str_from(other)}}};
    struct wisp_abi_result result;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.set-scheme", &args, &result), 0);
    return !result.is_error;
}

TEST(schemes)
{
    begin();
    struct wisp_abi_option_scheme scheme;
    CHECK(accepts_scheme(true, WISP_WASI_HTTP_SCHEME_HTTPS, NULL));
    CHECK(!accepts_scheme(true, WISP_WASI_HTTP_SCHEME_OTHER, "1a") &&
          !accepts_scheme(true, WISP_WASI_HTTP_SCHEME_OTHER, ""));
    CHECK(!accepts_scheme(true, WISP_WASI_HTTP_SCHEME_OTHER, "a b"));
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.scheme", &request, &scheme), 0);
    CHECK(scheme.is_some && scheme.value.tag == WISP_WASI_HTTP_SCHEME_HTTPS);
    CHECK(accepts_scheme(true, WISP_WASI_HTTP_SCHEME_OTHER, "git+ssh"));
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.scheme", &request, &scheme), 0);
    CHECK(scheme.is_some && scheme.value.tag == WISP_WASI_HTTP_SCHEME_OTHER);
    CHECK_STR(scheme.value.other, "git+ssh");
    CHECK(accepts_scheme(false, 0, NULL));
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.scheme", &request, &scheme), 0);
    CHECK(!scheme.is_some);
    drop_request();
    finish();
}

TEST(timeouts_are_kept)
{
    static const char *const names[] = {"connect", "first-byte", "between-bytes"};
    begin();
    struct wisp_request_options *options;
    CHECK_INT(fake_invoke(&TYPES, "[constructor]request-options", NULL, 0, &options, sizeof options), 0);
    for (uint64_t i = 0; i < WISP_COUNT(names); i++) {
        struct wisp_abi_set_timeout_args args = {options, {WISP_ABI_SOME, 1000 + i}};
        struct wisp_abi_result result;
        char name[64];
        snprintf(name, sizeof name, "[method]request-options.set-%s-timeout", names[i]);
        CHECK_INT(INVOKE(TYPES, name, &args, &result), 0);
        CHECK(!result.is_error);
    }
    for (uint64_t i = 0; i < WISP_COUNT(names); i++) {
        struct wisp_abi_option_u64 timeout;
        char name[64];
        snprintf(name, sizeof name, "[method]request-options.%s-timeout", names[i]);
        CHECK_INT(INVOKE(TYPES, name, &options, &timeout), 0);
        CHECK(timeout.is_some && timeout.value == 1000 + i);
    }
    CHECK(!fake_drop(&TYPES, "request-options", options));
    drop_request();
    finish();
}

TEST(headers_are_an_immutable_child)
{
    begin();
    struct wisp_fields *headers;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.headers", &request, &headers), 0);
    CHECK(headers->is_immutable);
    CHECK_HAS(fake_drop(&TYPES, "outgoing-request", request), "headers");
    CHECK(!fake_drop(&TYPES, "fields", headers));
    drop_request();
    finish();
}

TEST(body_can_be_had_once_and_counts)
{
    begin();
    struct wisp_abi_result_handle body, stream;
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.body", &request, &body), 0);
    CHECK(!body.is_error);
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-request.body", &request, &stream), 0);
    CHECK(stream.is_error);
    CHECK_INT(INVOKE(TYPES, "[method]outgoing-body.write", &body.value, &stream), 0);
    CHECK(!stream.is_error);
    struct wisp_output_stream *output = stream.value;
    struct wisp_io_error error;
    size_t room;
    CHECK_INT(output->ops->check_write(output, &room, &error), WISP_STREAM_OK);
    CHECK(room > 0 && output->ops->is_ready(output));
    CHECK_INT(output->ops->write(output, "hello", 5, &error), WISP_STREAM_OK);
    CHECK_HAS(fake_drop(&TYPES, "outgoing-body", body.value), "stream");
    output->ops->drop(output);
    drop_request();
    struct wisp_abi_finish_args args = {.body = body.value};
    struct wisp_abi_result_error_code result;
    CHECK_INT(INVOKE(TYPES, "[static]outgoing-body.finish", &args, &result), 0);
    CHECK(!result.is_error);
    finish();
}
