/* SPDX-License-Identifier: Apache-2.0 */
#include "http/site.h"

#include "http/conn.h"

#include <assert.h>

enum { EXTRA_MAX = 8, CORS_MAX_AGE_SECS = 300 };

/* --- reading --- */

struct reading {
    const json_t *settings;
    json_t *cors, *tls; /* objects; may be NULL */
    struct wisp_arena *arena;
    struct wisp_err *err;
};

static struct wisp_str trimmed(struct wisp_str text)
{
    while (text.len && text.ptr[0] == ' ') text = (struct wisp_str){text.ptr + 1, text.len - 1};
    while (text.len && text.ptr[text.len - 1] == ' ') text.len--;
    return text;
}

/* Of a key "cors_max_age_secs" what stands in the object `cors` as "max_age_secs". Anything but a text is printed. */
static struct wisp_str nested(const struct reading *reading, const char *key)
{
    const json_t *object = strncmp(key, "cors_", 5) == 0 ? reading->cors : reading->tls;
    const char *short_key = strchr(key, '_');
    json_t *value = object && short_key ? json_object_get(object, short_key + 1) : NULL;
    if (!value || json_is_null(value)) return (struct wisp_str){0};
    if (json_is_string(value)) return (struct wisp_str){json_string_value(value), json_string_length(value)};
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(value, &text);
    return wisp_arena_str(reading->arena, wisp_buf_str(&text));
}

static struct wisp_str setting(const struct reading *reading, const char *key)
{
    struct wisp_str text = trimmed(wisp_json_str(reading->settings, key));
    bool may_be_nested = strncmp(key, "cors_", 5) == 0 || strncmp(key, "tls_", 4) == 0;
    return text.len || !may_be_nested ? text : trimmed(nested(reading, key));
}

static int read_number(const struct reading *reading, const char *key, uint64_t fallback, uint64_t *ret_number)
{
    struct wisp_str text = setting(reading, key);
    *ret_number = fallback;
    if (!text.len) return 0;
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || number > UINT32_MAX)
            return wisp_err_set(reading->err, WISP_ERR_INVALID, "setting `%s` is no number, or too large: `%.*s`", key,
                                WISP_STR_ARG(text));
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret_number = number;
    return 0;
}

static bool can_be_value(struct wisp_str text)
{
    const struct wisp_http_header header = {WISP_STR("x"), text};
    struct wisp_http_headers_facts facts;
    return wisp_http_headers_check(&header, 1, &facts, NULL) == 0;
}

/* A JSON list of texts; NULL when the setting is missing. */
static int read_list(const struct reading *reading, const char *key, json_t **ret_list)
{
    struct wisp_str text = setting(reading, key);
    *ret_list = NULL;
    if (!text.len) return 0;
    bool is_list = wisp_json_parse(text, ret_list, reading->err) == 0 && json_is_array(*ret_list) &&
                   json_array_size(*ret_list) <= WISP_HTTP_SITE_LIST_MAX;
    for (size_t i = 0; is_list && i < json_array_size(*ret_list); i++) {
        const json_t *item = json_array_get(*ret_list, i);
        is_list =
            json_is_string(item) && can_be_value((struct wisp_str){json_string_value(item), json_string_length(item)});
    }
    if (is_list) return 0;
    return wisp_err_set(reading->err, WISP_ERR_INVALID, "setting `%s` is no list of texts in JSON", key);
}

/* "a, b, c"; "*" for an empty list, `missing` for none. */
static int read_joined(const struct reading *reading, const char *key, const char *missing, struct wisp_str *ret_value)
{
    WISP_CLEANUP_JSON json_t *list = NULL;
    WISP_CLEANUP_BUF struct wisp_buf joined = {0};
    int r = read_list(reading, key, &list);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
        wisp_buf_printf(&joined, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
    if (!joined.len) wisp_buf_append_str(&joined, wisp_str_from(list ? "*" : missing));
    *ret_value = wisp_arena_str(reading->arena, wisp_buf_str(&joined));
    return r;
}

/* http://HOST or https://HOST, as browsers send it: nothing behind the host and port. */
static bool is_origin(struct wisp_str text)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < WISP_COUNT(schemes); i++) {
        struct wisp_str scheme = wisp_str_from(schemes[i]);
        if (!wisp_str_starts_with(text, scheme)) continue;
        return text.len > scheme.len && !memchr(text.ptr + scheme.len, '/', text.len - scheme.len);
    }
    return false;
}

static int read_origins(const struct reading *reading, struct wisp_http_cors *cors)
{
    WISP_CLEANUP_JSON json_t *list = NULL;
    int r = read_list(reading, "cors_allowed_origins", &list);
    if (r < 0) return r;
    size_t n = json_array_size(list);
    struct wisp_str *origins = WISP_NEW_ARRAY(reading->arena, struct wisp_str, n);
    for (size_t i = 0; i < n; i++) {
        struct wisp_str origin = wisp_str_from(json_string_value(json_array_get(list, i)));
        if (wisp_str_is(origin, "*")) return 0;
        if (origin.len && origin.ptr[origin.len - 1] == '/') origin.len--;
        if (!is_origin(origin))
            return wisp_err_set(reading->err, WISP_ERR_INVALID,
                                "setting `cors_allowed_origins`: `%.*s` is no URL of http or https without a path",
                                WISP_STR_ARG(origin));
        origins[i] = wisp_arena_str(reading->arena, origin);
    }
    cors->origins = origins;
    cors->n_origins = n;
    return 0;
}

static int read_cors(const struct reading *reading, struct wisp_http_site *site)
{
    static const char *const keys[] = {"cors_allowed_origins", "cors_allowed_headers", "cors_allowed_methods",
                                       "cors_exposed_headers", "cors_max_age_secs"};
    struct wisp_http_cors *cors = &site->cors;
    uint64_t max_age_secs = 0;
    for (size_t i = 0; i < WISP_COUNT(keys); i++) site->has_cors |= setting(reading, keys[i]).len > 0;
    if (!site->has_cors) return 0;
    int r = read_origins(reading, cors);
    if (r == 0)
        r = read_joined(reading, keys[1], "accept, accept-language, content-type, content-language",
                        &cors->allow_headers);
    if (r == 0) r = read_joined(reading, keys[2], "GET, POST, PUT, DELETE, HEAD, OPTIONS", &cors->allow_methods);
    if (r == 0) r = read_joined(reading, keys[3], "*", &cors->expose_headers);
    if (r == 0) r = read_number(reading, keys[4], CORS_MAX_AGE_SECS, &max_age_secs);
    cors->max_age = wisp_str_from(wisp_arena_printf(reading->arena, "%llu", (unsigned long long)max_age_secs));
    return r;
}

static int read_tls(const struct reading *reading, struct wisp_http_site *site)
{
    struct wisp_str cert = setting(reading, "tls_cert_file"), key = setting(reading, "tls_priv_key_file");
    if (!cert.len && !key.len) return 0;
    if (!cert.len || !key.len)
        return wisp_err_set(reading->err, WISP_ERR_INVALID, "TLS needs both tls_cert_file and tls_priv_key_file");
    site->tls_cert_path = wisp_arena_printf(reading->arena, "%.*s", WISP_STR_ARG(cert));
    site->tls_key_path = wisp_arena_printf(reading->arena, "%.*s", WISP_STR_ARG(key));
    return 0;
}

static int read_all(const struct reading *reading, struct wisp_http_site *site)
{
    int r = read_number(reading, "timeout_ms", 0, &site->timeout_ms);
    if (r == 0) r = read_cors(reading, site);
    if (r == 0) r = read_tls(reading, site);
    if (r < 0) return r;
    site->is_read_only = wisp_str_is(setting(reading, "readonly_mode"), "true");
    site->cache_control = wisp_arena_str(reading->arena, setting(reading, "cache_control"));
    if (can_be_value(site->cache_control)) return 0;
    return wisp_err_set(reading->err, WISP_ERR_INVALID, "setting `cache_control` can't be a header's value");
}

static int read_object(const struct reading *reading, const char *key, json_t **ret_object)
{
    struct wisp_str text = trimmed(wisp_json_str(reading->settings, key));
    if (!text.len) return 0;
    if (wisp_json_parse(text, ret_object, reading->err) == 0 &&
        (json_is_object(*ret_object) || json_is_null(*ret_object)))
        return 0;
    return wisp_err_set(reading->err, WISP_ERR_INVALID, "setting `%s` is no object in JSON", key);
}

int wisp_http_site_read(struct wisp_http_site *ret_site, const json_t *settings, struct wisp_arena *arena,
                        struct wisp_err *err)
{
    struct reading reading = {.settings = settings, .arena = arena, .err = err};
    *ret_site = (struct wisp_http_site){0};
    int r = read_object(&reading, "cors", &reading.cors);
    if (r == 0) r = read_object(&reading, "tls", &reading.tls);
    if (r == 0) r = read_all(&reading, ret_site);
    json_decref(reading.cors);
    json_decref(reading.tls);
    return r;
}

/* --- headers --- */

struct headers {
    struct wisp_http_header items[EXTRA_MAX];
    size_t n;
};

static void put(struct headers *headers, struct wisp_str name, struct wisp_str value)
{
    assert(headers->n < EXTRA_MAX);
    headers->items[headers->n++] = (struct wisp_http_header){name, value};
}

static struct wisp_str header_of(const struct wisp_http_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->n_headers; i++)
        if (wisp_str_is(exchange->headers[i].name, name)) return exchange->headers[i].value;
    return (struct wisp_str){0};
}

static bool has_header(const struct wisp_http_response *response, struct wisp_str name)
{
    for (size_t i = 0; i < response->n_headers; i++)
        if (wisp_str_equal_nocase(response->headers[i].name, name)) return true;
    return false;
}

static bool is_allowed_origin(const struct wisp_http_cors *cors, struct wisp_str origin)
{
    for (size_t i = 0; i < cors->n_origins; i++)
        if (wisp_str_equal(cors->origins[i], origin)) return true;
    return false;
}

/* An origin that isn't allowed gets no header, and the browser refuses. */
static void put_origin(struct headers *headers, const struct wisp_http_cors *cors, struct wisp_str origin)
{
    if (!cors->n_origins) {
        put(headers, WISP_STR("access-control-allow-origin"), WISP_STR("*"));
        return;
    }
    put(headers, WISP_STR("vary"), WISP_STR("origin"));
    if (is_allowed_origin(cors, origin)) put(headers, WISP_STR("access-control-allow-origin"), origin);
}

static void gather(struct headers *headers, const struct wisp_http_exchange *exchange,
                   const struct wisp_http_response *response)
{
    const struct wisp_http_site *site = exchange->site;
    struct wisp_str cache_control = WISP_STR("cache-control");
    if (site->cache_control.len && !has_header(response, cache_control))
        put(headers, cache_control, site->cache_control);
    if (!site->has_cors || has_header(response, WISP_STR("access-control-allow-origin"))) return;
    put_origin(headers, &site->cors, header_of(exchange, "origin"));
    put(headers, WISP_STR("access-control-expose-headers"), site->cors.expose_headers);
}

static int start_with_more(struct wisp_http_exchange *exchange, const struct wisp_http_response *response,
                           struct wisp_err *err)
{
    struct headers extra = {.n = 0};
    gather(&extra, exchange, response);
    WISP_CLEANUP_FREE struct wisp_http_header *all = wisp_mem_calloc(response->n_headers + extra.n + 1, sizeof *all);
    if (response->n_headers) memcpy(all, response->headers, response->n_headers * sizeof *all);
    memcpy(all + response->n_headers, extra.items, extra.n * sizeof *all);
    struct wisp_http_response longer = *response;
    longer.headers = all;
    longer.n_headers = response->n_headers + extra.n;
    return wisp_http_conn_ops.start(exchange, &longer, err);
}

/* A connection's exchanges with another `start`: those that no site has something to say about don't pay for it. */
void wisp_http_site_decorate(const struct wisp_http_site *site, struct wisp_http_exchange *exchange)
{
    static struct wisp_http_exchange_ops ops;
    assert(exchange->ops == &wisp_http_conn_ops);
    if (!ops.start) {
        ops = wisp_http_conn_ops;
        ops.start = start_with_more;
    }
    exchange->site = site;
    exchange->ops = &ops;
}

/* --- answers --- */

static void reply(struct wisp_http_exchange *exchange, uint16_t status, const struct wisp_http_header *headers,
                  size_t n_headers, struct wisp_str body)
{
    if (wisp_http_reply(exchange, status, headers, n_headers, body, NULL) < 0) wisp_http_abort(exchange);
}

static void answer_preflight(const struct wisp_http_cors *cors, struct wisp_http_exchange *exchange)
{
    const struct wisp_http_header headers[] = {
        {WISP_STR("access-control-allow-methods"), cors->allow_methods},
        {WISP_STR("access-control-allow-headers"), cors->allow_headers},
        {WISP_STR("access-control-max-age"), cors->max_age},
    };
    reply(exchange, 200, headers, WISP_COUNT(headers), (struct wisp_str){0});
}

static bool is_preflight(const struct wisp_http_exchange *exchange)
{
    return wisp_str_is(exchange->method, "OPTIONS") && header_of(exchange, "origin").len &&
           header_of(exchange, "access-control-request-method").len;
}

bool wisp_http_site_answer(const struct wisp_http_site *site, struct wisp_http_exchange *exchange)
{
    if (site->has_cors && is_preflight(exchange)) {
        wisp_http_site_decorate(site, exchange);
        answer_preflight(&site->cors, exchange);
        return true;
    }
    if (site->is_read_only && !wisp_str_is(exchange->method, "GET") && !wisp_str_is(exchange->method, "HEAD")) {
        static const struct wisp_http_header headers[] = {
            {WISP_STR_INIT("content-type"), WISP_STR_INIT("text/plain")},
            {WISP_STR_INIT("allow"), WISP_STR_INIT("GET, HEAD")},
        };
        wisp_http_site_decorate(site, exchange);
        reply(exchange, 405, headers, WISP_COUNT(headers), WISP_STR("Method Not Allowed\n"));
        return true;
    }
    return false;
}
