/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/claims.h"

#include "nkeys/nkeys.h"
#include "oci/digest.h"

#include "test.h"

#define MODULE                                                                                                         \
    "\0asm\1\0\0\0"                                                                                                    \
    "\1\x84\x80\x80\x80\0\1\x60\0\0" /* lengths in more bytes than they need */                                        \
    "\3\2\1\0"                                                                                                         \
    "\0\x14\3jwtnested old token"                                                                                      \
    "\x0a\x84\x80\0\1\2\0\x0b"                                                                                         \
    "\0\x0b\x09producers\0"
/* A component with that module, a component with that module and a token, and a name. Its hash is wascap's. */
static const char component[] = "\0asm\x0d\0\1\0"
                                "\1\xc1\x80\x80\x80\0" MODULE "\4\xeb\x80\x80\0"
                                "\0asm\x0d\0\1\0"
                                "\1\xc1\x80\x80\0" MODULE "\0\x9a\0\x0dwasmcloud_jwtnested token"
                                "\0\x89\x80\0\4name\0\2\1c";
static const char component_hash[] = "sha256:b0096e5e41af49a46e518fde9b1a4b2b7a8bdcfaf49a5094219843f32ec6744b";
static const char upper_hash[] = "B0096E5E41AF49A46E518FDE9B1A4B2B7A8BDCFAF49A5094219843F32EC6744B";

static struct wisp_arena arena;

static void add_section(struct wisp_buf *binary, const char *name, struct wisp_str content)
{
    size_t size = 1 + strlen(name) + content.len;
    wisp_buf_append_char(binary, '\0');
    for (; size > 0x7f; size >>= 7) wisp_buf_append_char(binary, (char)((size & 0x7f) | 0x80));
    wisp_buf_append_char(binary, (char)size);
    wisp_buf_append_char(binary, (char)strlen(name));
    wisp_buf_append_str(binary, wisp_str_from(name));
    wisp_buf_append_str(binary, content);
}

/* The component with a token in the section `name`, whose claims are `more` and the issuer's. */
static void sign(struct wisp_buf *binary, const char *name, const char *more)
{
    struct wisp_nkey key;
    char public[WISP_NKEY_PUBLIC_LEN + 1];
    WISP_CLEANUP_BUF struct wisp_buf claims = {0}, token = {0};
    wisp_nkey_generate(&key, WISP_NKEY_ACCOUNT);
    wisp_nkey_public_text(&key, public);
    wisp_buf_printf(&claims, "{\"iss\":\"%s\",\"sub\":\"Mx\",%s}", public, more);
    wisp_jwt_sign(&key, wisp_buf_str(&claims), &token);
    wisp_buf_append(binary, component, sizeof component - 1);
    add_section(binary, name, wisp_buf_str(&token));
}

static int read_signed(const char *name, const char *more, struct wisp_oci_claims *claims, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    sign(&binary, name, more);
    return wisp_oci_component_claims(&arena, wisp_buf_str(&binary), 1000, claims, err);
}

TEST(digest)
{
    char digest[WISP_OCI_DIGEST_LEN + 1];
    struct wisp_err err = {0};
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    CHECK_OK(wisp_oci_component_digest((struct wisp_str){component, sizeof component - 1}, digest, &err), &err);
    CHECK_TEXT(digest, component_hash);
    sign(&binary, "jwt", "\"wascap\":{}");
    CHECK_OK(wisp_oci_component_digest(wisp_buf_str(&binary), digest, &err), &err);
    CHECK_TEXT(digest, component_hash);
    add_section(&binary, "other", WISP_STR("x"));
    CHECK_OK(wisp_oci_component_digest(wisp_buf_str(&binary), digest, &err), &err);
    CHECK(strcmp(digest, component_hash) != 0);
}

TEST(claims)
{
    struct wisp_oci_claims claims;
    struct wisp_err err = {0};
    char more[400];
    snprintf(more, sizeof more,
             "\"iat\":7,\"exp\":1000,\"nbf\":1000,\"wascap_revision\":3,\"wascap\":{\"hash\":\"%s\",\"name\":\"n\","
             "\"rev\":9,"
             "\"ver\":\"v\",\"tags\":[\"a\",5,\"b\"],\"call_alias\":null}",
             upper_hash);
    CHECK_OK(read_signed("wasmcloud_jwt", more, &claims, &err), &err);
    CHECK_STR(claims.subject, "Mx");
    CHECK_STR(claims.name, "n");
    CHECK_STR(claims.version, "v");
    CHECK_INT(claims.call_alias.len, 0);
    CHECK_INT(claims.revision, 9);
    CHECK_INT(claims.n_tags, 2);
    CHECK_STR(claims.tags[1], "b");
    CHECK_INT(claims.issued_at, 7);
    CHECK_INT(claims.expires_at, 1000);
    CHECK_INT(claims.not_before, 1000);
}

TEST(claims_that_do_not_hold)
{
    struct wisp_oci_claims claims;
    struct wisp_err err = {0};
    CHECK_FAILS(read_signed("jwt", "\"exp\":999,\"wascap\":{}", &claims, &err), DENIED);
    CHECK_HAS(err.text, "expired 1 s ago");
    CHECK_FAILS(read_signed("jwt", "\"nbf\":1001,\"wascap\":{}", &claims, &err), DENIED);
    CHECK_FAILS(read_signed("jwt", "\"wascap_revision\":3,\"wascap\":{\"hash\":\"00\"}", &claims, &err), DENIED);
    CHECK_FAILS(read_signed("jwt", "\"wascap_revision\":3,\"wascap\":{}", &claims, &err), DENIED);
    CHECK_FAILS(read_signed("jwt", "\"wascap\":1", &claims, &err), INVALID);
    /* Older ones had another hash, which is not looked at. */
    CHECK_OK(read_signed("jwt", "\"wascap_revision\":2,\"wascap\":{\"hash\":\"00\"}", &claims, &err), &err);
}

TEST(none)
{
    struct wisp_oci_claims claims;
    struct wisp_err err = {0};
    CHECK_OK(wisp_oci_component_claims(&arena, (struct wisp_str){component, sizeof component - 1}, 0, &claims, &err),
             &err);
    CHECK_INT(claims.token.len, 0);
    CHECK_OK(read_signed("jwts", "\"exp\":1", &claims, &err), &err);
    CHECK_INT(claims.token.len, 0);
}

TEST(wrong_binaries)
{
    struct wisp_oci_claims claims;
    char digest[WISP_OCI_DIGEST_LEN + 1];
    CHECK_FAILS(wisp_oci_component_claims(&arena, WISP_STR(""), 0, &claims, NULL), INVALID);
    CHECK_FAILS(wisp_oci_component_claims(&arena, WISP_STR("\0asm\2\0\0\0"), 0, &claims, NULL), INVALID);
    CHECK_FAILS(wisp_oci_component_claims(&arena, WISP_STR("\0asm\1\0\0\0\0"), 0, &claims, NULL), INVALID);
    CHECK_FAILS(wisp_oci_component_claims(&arena, WISP_STR("\0asm\1\0\0\0\0\5ab"), 0, &claims, NULL), INVALID);
    CHECK_FAILS(wisp_oci_component_claims(&arena, WISP_STR("\0asm\1\0\0\0\0\xff\xff\xff\xff\x7f"), 0, &claims, NULL),
                INVALID);
    CHECK_FAILS(wisp_oci_component_digest(WISP_STR("\0asm\x0d\0\1\0\1\3abc"), digest, NULL), INVALID);
}

TEST(depth)
{
    char binary[64 * 10];
    char digest[WISP_OCI_DIGEST_LEN + 1];
    size_t size = 0;
    /* Each holds all the rest. */
    for (size_t i = 0; i < 64; i++) {
        size_t rest = sizeof binary - size - 8;
        memcpy(binary + size, "\0asm\x0d\0\1\0", 8);
        size += 8;
        if (rest < 3 + 8) break;
        binary[size++] = 4;
        binary[size++] = (char)(((rest - 3) & 0x7f) | 0x80);
        binary[size++] = (char)((rest - 3) >> 7);
    }
    CHECK_FAILS(wisp_oci_component_digest((struct wisp_str){binary, sizeof binary}, digest, NULL), LIMIT);
}
