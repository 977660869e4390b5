/* SPDX-License-Identifier: Apache-2.0 */
#include "http/site.h"

#include "http/conn_rig.h"

static struct wisp_arena arena;
static struct wisp_http_site site;

static int read_site(const char *settings, struct wisp_err *err)
{
    json_t *json = json_loads(settings, 0, NULL);
    CHECK(json);
    int r = wisp_http_site_read(&site, json, &arena, err);
    json_decref(json);
    return r;
}

static void use(const char *settings)
{
    struct wisp_err err = {0};
    CHECK_OK(read_site(settings, &err), &err);
}

/* --- settings --- */

TEST(nothing_is_said)
{
    use("{}");
    CHECK(!wisp_http_site_may_answer(&site) && !wisp_http_site_has_headers(&site));
    CHECK(site.timeout_ms == 0 && !site.tls_cert_path);
    wisp_arena_deinit(&arena);
}

TEST(everything_is_said)
{
    use("{\"timeout_ms\": \" 250 \", \"readonly_mode\": \"true\", \"cache_control\": \"no-store\","
        "\"cors_allowed_origins\": \"[\\\"https://a.com/\\\", \\\"http://b:81\\\"]\", \"cors_allowed_headers\": \"[]\","
        "\"cors_exposed_headers\": \"[\\\"x\\\", \\\"y\\\"]\", \"cors_max_age_secs\": \"7\","
        "\"tls_cert_file\": \"/c.pem\", \"tls_priv_key_file\": \"/k.pem\"}");
    CHECK_INT(site.timeout_ms, 250);
    CHECK(site.is_read_only && site.has_cors);
    CHECK_STR(site.cache_control, "no-store");
    CHECK_INT(site.cors.n_origins, 2);
    CHECK_STR(site.cors.origins[0], "https://a.com");
    CHECK_STR(site.cors.allow_headers, "*");
    CHECK_STR(site.cors.allow_methods, "GET, POST, PUT, DELETE, HEAD, OPTIONS");
    CHECK_STR(site.cors.expose_headers, "x, y");
    CHECK_STR(site.cors.max_age, "7");
    CHECK_TEXT(site.tls_cert_path, "/c.pem");
    CHECK_TEXT(site.tls_key_path, "/k.pem");
    wisp_arena_deinit(&arena);
}

TEST(objects_of_old_configurations)
{
    use("{\"cors\": \"{\\\"allowed_origins\\\": [\\\"*\\\"], \\\"max_age_secs\\\": 5}\","
        "\"tls\": \"{\\\"cert_file\\\": \\\"/c\\\", \\\"priv_key_file\\\": \\\"/k\\\"}\"}");
    CHECK(site.has_cors && site.cors.n_origins == 0);
    CHECK_STR(site.cors.max_age, "5");
    CHECK_TEXT(site.tls_key_path, "/k");
    use("{\"cors\": \"null\", \"tls\": \"{}\"}");
    CHECK(!site.has_cors && !site.tls_cert_path);
    wisp_arena_deinit(&arena);
}

TEST(settings_that_cannot_be)
{
    static const struct {
        const char *settings, *words;
    } cases[] = {
        {"{\"timeout_ms\": \"soon\"}", "timeout_ms"},
        {"{\"timeout_ms\": \"99999999999\"}", "timeout_ms"},
        {"{\"cache_control\": \"a\\nb\"}", "cache_control"},
        {"{\"cors_allowed_origins\": \"a.com\"}", "cors_allowed_origins"},
        {"{\"cors_allowed_origins\": \"[\\\"a.com\\\"]\"}", "`a.com` is no URL"},
        {"{\"cors_allowed_origins\": \"[\\\"http://a.com/b\\\"]\"}", "without a path"},
        {"{\"cors_allowed_methods\": \"[1]\"}", "cors_allowed_methods"},
        {"{\"cors_exposed_headers\": \"[\\\"a\\\\r\\\\nb\\\"]\"}", "cors_exposed_headers"},
        {"{\"tls_cert_file\": \"/c\"}", "both"},
        {"{\"tls_priv_key_file\": \"/k\"}", "both"},
        {"{\"tls\": \"[]\"}", "`tls` is no object"},
    };
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct wisp_err err = {0};
        CHECK_FAILS(read_site(cases[i].settings, &err), INVALID);
        CHECK_HAS(err.text, cases[i].words);
    }
    wisp_arena_deinit(&arena);
}

/* --- requests --- */

static void answer(struct rig *rig)
{
    if (wisp_http_site_answer(&site, rig->exchange)) return;
    wisp_http_site_decorate(&site, rig->exchange);
    const struct wisp_http_header header = {WISP_STR("x-own"), WISP_STR("1")};
    CHECK_OK(wisp_http_reply(rig->exchange, 200, &header, 1, WISP_STR("hello"), &rig->err), &rig->err);
}

static const char *ask(const char *settings, const char *request)
{
    static char text[4096];
    use(settings);
    struct rig rig;
    rig_init(&rig, rig_options());
    rig.on_request = answer;
    client_says(&rig, request);
    snprintf(text, sizeof text, "%s", received(&rig));
    rig_deinit(&rig);
    wisp_arena_deinit(&arena);
    return text;
}

#define CORS "{\"cors_allowed_origins\": \"[\\\"http://good\\\"]\", \"cache_control\": \"no-store\"}"
#define FROM(origin) "Host: a\r\nOrigin: " origin "\r\n"

TEST(read_only)
{
    const char *text = ask("{\"readonly_mode\": \"true\"}", POST "Content-Length: 0\r\n\r\n");
    CHECK_HAS(text, "HTTP/1.1 405 ");
    CHECK_HAS(text, "allow: GET, HEAD\r\n");
    CHECK_HAS(ask("{\"readonly_mode\": \"true\"}", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200 ");
}

TEST(origins)
{
    const char *text = ask(CORS, "GET / HTTP/1.1\r\n" FROM("http://good") "\r\n");
    CHECK_HAS(text, "access-control-allow-origin: http://good\r\n");
    CHECK_HAS(text, "access-control-expose-headers: *\r\n");
    CHECK_HAS(text, "vary: origin\r\n");
    CHECK_HAS(text, "cache-control: no-store\r\n");
    CHECK_HAS(text, "x-own: 1\r\n");
    text = ask(CORS, "GET / HTTP/1.1\r\n" FROM("http://bad") "\r\n");
    CHECK(!strstr(text, "allow-origin"));
    CHECK_HAS(text, "hello");
}

TEST(preflights)
{
    const char *text =
        ask(CORS, "OPTIONS / HTTP/1.1\r\n" FROM("http://good") "Access-Control-Request-Method: PUT\r\n\r\n");
    CHECK_HAS(text, "HTTP/1.1 200 ");
    CHECK_HAS(text, "access-control-allow-origin: http://good\r\n");
    CHECK_HAS(text, "access-control-allow-methods: GET, POST, PUT, DELETE, HEAD, OPTIONS\r\n");
    CHECK_HAS(text, "access-control-max-age: 300\r\n");
    CHECK_HAS(text, "content-length: 0\r\n");
    CHECK(!strstr(text, "x-own"));
    /* Without a method that it asks for, it is a request like others. */
    CHECK_HAS(ask(CORS, "OPTIONS / HTTP/1.1\r\n" FROM("http://good") "\r\n"), "x-own: 1\r\n");
}
