/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/http/allowed_hosts.h"
#include "test.h"

static bool allows(const char *list, const char *authority)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_http_allowed_hosts allowed;
    struct wisp_http_host host;
    struct wisp_err err = {0};
    CHECK_OK(wisp_http_allowed_hosts_read(&allowed, wisp_str_from(list), &arena, &err), &err);
    CHECK(wisp_http_host_parse(wisp_str_from(authority), &host));
    if (!host.port) host.port = 443;
    return wisp_http_is_allowed_host(&allowed, &host);
}

TEST(lists)
{
    CHECK(allows("", "anything"));
    CHECK(allows("*", "anything:1"));
    CHECK(allows("a.com", "A.com"));
    CHECK(allows("a.com", "a.com.:8443"));
    CHECK(!allows("a.com", "b.a.com"));
    CHECK(!allows("a.com", "xa.com"));
    CHECK(allows(" a.com:443 , *.b.com:80 ,", "a.com"));
    CHECK(!allows("a.com:443", "a.com:444"));
    CHECK(allows("*.b.com", "x.y.b.com"));
    CHECK(!allows("*.b.com", "b.com"));
    CHECK(!allows("*.b.com", "xb.com"));
    CHECK(!allows("*.b.com:80", "x.b.com:81"));
    CHECK(allows("[::1]:80", "[::1]:80"));
    CHECK(allows("10.0.0.1", "10.0.0.1:5"));
    CHECK(!allows("10.0.0.1", "167772161"));
}

TEST(entries_that_are_none)
{
    static const char *const lists[] = {"a b", "a:",     "a:0",       "a:65536", "u@a",
                                        "*.",  "*a.com", "https://a", "a,b/c",   "[::g]"};
    for (size_t i = 0; i < WISP_COUNT(lists); i++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        struct wisp_http_allowed_hosts allowed;
        struct wisp_err err = {0};
        CHECK_FAILS(wisp_http_allowed_hosts_read(&allowed, wisp_str_from(lists[i]), &arena, &err), INVALID);
        CHECK_HAS(err.text, "is no host");
    }
}
