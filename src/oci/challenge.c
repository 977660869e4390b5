/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/challenge.h"

#include "base/json.h"

#include <curl/curl.h>

enum { TOKEN_MAX = 64 * 1024, VALID_DEFAULT_S = 60, VALID_MAX_S = 24 * 3600 };

/* --- the header --- */

struct reader {
    const char *at, *end;
};

static void skip_any(struct reader *reader, const char *set)
{
    while (reader->at < reader->end && *reader->at && strchr(set, *reader->at)) reader->at++;
}

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~/", c));
}

static struct wisp_str take_token(struct reader *reader)
{
    const char *start = reader->at;
    while (reader->at < reader->end && is_token_char(*reader->at)) reader->at++;
    return (struct wisp_str){start, (size_t)(reader->at - start)};
}

static struct wisp_str take_quoted(struct reader *reader, struct wisp_arena *arena)
{
    char *text = wisp_arena_alloc(arena, (size_t)(reader->end - reader->at) + 1);
    size_t n = 0;
    for (reader->at++; reader->at < reader->end && *reader->at != '"'; reader->at++) {
        if (*reader->at == '\\' && reader->end - reader->at > 1) reader->at++;
        text[n++] = *reader->at;
    }
    if (reader->at < reader->end) reader->at++;
    text[n] = '\0';
    return (struct wisp_str){text, n};
}

static struct wisp_str take_value(struct reader *reader, struct wisp_arena *arena)
{
    skip_any(reader, " \t");
    if (reader->at < reader->end && *reader->at == '"') return take_quoted(reader, arena);
    struct wisp_str token = take_token(reader);
    /* token68, or a value that should have been quoted */
    while (reader->at < reader->end && !strchr(" \t,", *reader->at)) reader->at++;
    return (struct wisp_str){token.ptr, (size_t)(reader->at - token.ptr)};
}

static void note_parameter(struct wisp_oci_challenge *challenge, struct wisp_str name, struct wisp_str value)
{
    if (wisp_str_equal_nocase(name, WISP_STR("realm")))
        challenge->realm = value;
    else if (wisp_str_equal_nocase(name, WISP_STR("service")))
        challenge->service = value;
    else if (wisp_str_equal_nocase(name, WISP_STR("scope")))
        challenge->scope = value;
}

static struct wisp_oci_challenge new_challenge(struct wisp_str scheme)
{
    struct wisp_oci_challenge challenge = {0};
    if (wisp_str_equal_nocase(scheme, WISP_STR("bearer")))
        challenge.scheme = WISP_OCI_AUTH_BEARER;
    else if (wisp_str_equal_nocase(scheme, WISP_STR("basic")))
        challenge.scheme = WISP_OCI_AUTH_BASIC;
    return challenge;
}

static void keep_better(struct wisp_oci_challenge *best, const struct wisp_oci_challenge *other)
{
    bool is_complete = other->scheme != WISP_OCI_AUTH_BEARER || other->realm.len;
    if (is_complete && other->scheme > best->scheme) *best = *other;
}

struct wisp_oci_challenge wisp_oci_challenge_parse(struct wisp_arena *arena, struct wisp_str header)
{
    struct wisp_oci_challenge best = {0}, current = {0};
    struct reader reader = {header.ptr, header.ptr + header.len};
    if (header.len == 0) return best;
    while (reader.at < reader.end) {
        skip_any(&reader, " \t,");
        struct wisp_str word = take_token(&reader);
        if (word.len == 0) break;
        skip_any(&reader, " \t");
        if (reader.at < reader.end && *reader.at == '=') {
            reader.at++;
            note_parameter(&current, word, take_value(&reader, arena));
            continue;
        }
        keep_better(&best, &current);
        current = new_challenge(word);
    }
    keep_better(&best, &current);
    return best;
}

/* --- the token server --- */

static void url_freep(CURLU **url) { curl_url_cleanup(*url); }
static void part_freep(char **part) { curl_free(*part); }
#define CLEANUP_PART __attribute__((cleanup(part_freep)))

static bool is_plain_url(CURLU *url, bool allow_http)
{
    CLEANUP_PART char *scheme = NULL, *user = NULL, *password = NULL;
    curl_url_get(url, CURLUPART_USER, &user, 0);
    curl_url_get(url, CURLUPART_PASSWORD, &password, 0);
    if (user || password || curl_url_get(url, CURLUPART_SCHEME, &scheme, 0)) return false;
    return strcmp(scheme, "https") == 0 || (allow_http && strcmp(scheme, "http") == 0);
}

static bool add_query(CURLU *url, const char *name, struct wisp_str value)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "%s=%.*s", name, WISP_STR_ARG(value));
    wisp_buf_append_char(&text, '\0');
    return curl_url_set(url, CURLUPART_QUERY, text.data, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK;
}

int wisp_oci_token_url(const struct wisp_oci_challenge *challenge, const char *scope, bool allow_http,
                       struct wisp_buf *ret_url, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf realm = {0};
    __attribute__((cleanup(url_freep))) CURLU *url = curl_url();
    CLEANUP_PART char *text = NULL;
    if (!url) wisp_mem_out(0);
    wisp_buf_append_str(&realm, challenge->realm);
    wisp_buf_append_char(&realm, '\0');
    if (strlen(realm.data) + 1 != realm.len || curl_url_set(url, CURLUPART_URL, realm.data, 0) != CURLUE_OK ||
        !is_plain_url(url, allow_http))
        return wisp_err_set(err, WISP_ERR_DENIED, "registry sends to a token server that is not at an https:// URL");
    struct wisp_str wanted = challenge->scope.len ? challenge->scope : wisp_str_from(scope);
    bool ok = (!challenge->service.len || add_query(url, "service", challenge->service)) &&
              add_query(url, "scope", wanted) && curl_url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK;
    if (!ok) return wisp_err_set(err, WISP_ERR_INVALID, "registry's challenge makes no URL");
    wisp_buf_append_str(ret_url, wisp_str_from(text));
    return 0;
}

/* Nothing that could begin another header. */
static bool is_header_safe(struct wisp_str token)
{
    if (token.len == 0 || token.len > TOKEN_MAX) return false;
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] <= ' ' || token.ptr[i] >= 0x7f) return false;
    return true;
}

int wisp_oci_token_parse(struct wisp_arena *arena, struct wisp_str body, const char **ret_token, uint64_t *ret_valid_ms,
                         struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *value = NULL;
    /* The parser's words could show a part of the token. */
    if (wisp_json_parse(body, &value, NULL) < 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "token server's answer is not JSON");
    struct wisp_str token = wisp_json_str(value, "token");
    if (!token.len) token = wisp_json_str(value, "access_token");
    if (!is_header_safe(token)) return wisp_err_set(err, WISP_ERR_INVALID, "token server's answer has no usable token");
    uint64_t seconds = wisp_json_u64(value, "expires_in", VALID_DEFAULT_S);
    *ret_valid_ms = (seconds < VALID_MAX_S ? seconds : VALID_MAX_S) * 1000;
    *ret_token = wisp_arena_cstr(arena, token);
    return 0;
}
