/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/challenge.h"

#include "test.h"

static struct wisp_arena arena;

static const char *parsed(const char *header)
{
    wisp_arena_deinit(&arena);
    struct wisp_oci_challenge c = wisp_oci_challenge_parse(&arena, wisp_str_from(header));
    if (c.scheme == WISP_OCI_AUTH_NONE) return "none";
    if (c.scheme == WISP_OCI_AUTH_BASIC) return "basic";
    return wisp_arena_printf(&arena, "%.*s | %.*s | %.*s", WISP_STR_ARG(c.realm), WISP_STR_ARG(c.service),
                             WISP_STR_ARG(c.scope));
}

TEST(challenges)
{
    CHECK_TEXT(parsed("Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x/y:pull,push\""),
               "https://a/t | s | repository:x/y:pull,push");
    CHECK_TEXT(parsed("bearer  realm = \"https://a/\\\"t\" , SERVICE=s"), "https://a/\"t | s | ");
    CHECK_TEXT(parsed("Basic realm=\"x\", Bearer realm=\"https://a\",error=\"invalid_token\""), "https://a |  | ");
    CHECK_TEXT(parsed("Bearer realm=\"https://a\", Basic realm=\"x\""), "https://a |  | ");
    CHECK_TEXT(parsed("Basic realm=\"Registry\""), "basic");
    CHECK_TEXT(parsed("Basic"), "basic");
    CHECK_TEXT(parsed("Bearer realm=https://a/t?b=c"), "https://a/t?b=c |  | ");
    CHECK_TEXT(parsed("Negotiate"), "none");
    CHECK_TEXT(parsed("Bearer service=\"s\""), "none");
    CHECK_TEXT(parsed(""), "none");
    CHECK_TEXT(parsed("\"\"\"="), "none");
    CHECK_TEXT(parsed("Bearer realm=\"unclosed"), "unclosed |  | ");
}

static void check_url(const char *header, bool allow_http, const char *expected)
{
    struct wisp_oci_challenge c = wisp_oci_challenge_parse(&arena, wisp_str_from(header));
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    struct wisp_err err = {0};
    if (!expected) {
        CHECK_FAILS(wisp_oci_token_url(&c, "repository:x:pull", allow_http, &url, &err), DENIED);
        return;
    }
    CHECK_OK(wisp_oci_token_url(&c, "repository:x:pull", allow_http, &url, &err), &err);
    CHECK_STR(wisp_buf_str(&url), expected);
}

TEST(token_urls)
{
    check_url("Bearer realm=\"https://a/t\",service=\"s t\",scope=\"repository:x/y:pull\"", false,
              "https://a/t?service=s+t&scope=repository%3ax%2fy%3apull");
    check_url("Bearer realm=\"https://a/t?k=v\"", false, "https://a/t?k=v&scope=repository%3ax%3apull");
    check_url("Bearer realm=\"http://a/t\"", true, "http://a/t?scope=repository%3ax%3apull");
    check_url("Bearer realm=\"http://a/t\"", false, NULL);
    check_url("Bearer realm=\"https://u:p@a/t\"", false, NULL);
    check_url("Bearer realm=\"file:///etc/passwd\"", true, NULL);
    check_url("Bearer realm=\"nonsense\"", true, NULL);
}

TEST(tokens)
{
    const char *token;
    uint64_t valid_ms;
    struct wisp_err err = {0};
    CHECK_OK(wisp_oci_token_parse(&arena, WISP_STR("{\"token\":\"abc\",\"expires_in\":300}"), &token, &valid_ms, &err),
             &err);
    CHECK_TEXT(token, "abc");
    CHECK_INT(valid_ms, 300000);
    CHECK_OK(wisp_oci_token_parse(&arena, WISP_STR("{\"access_token\":\"x\"}"), &token, &valid_ms, &err), &err);
    CHECK_TEXT(token, "x");
    CHECK_INT(valid_ms, 60000);
    CHECK_FAILS(wisp_oci_token_parse(&arena, WISP_STR("{\"token\":\"a\\r\\nb: c\"}"), &token, &valid_ms, &err),
                INVALID);
    CHECK_FAILS(wisp_oci_token_parse(&arena, WISP_STR("{\"token\":\"\"}"), &token, &valid_ms, &err), INVALID);
    CHECK_FAILS(wisp_oci_token_parse(&arena, WISP_STR("secret"), &token, &valid_ms, &err), INVALID);
    CHECK(!strstr(err.text, "secret"));
}
