/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses the parser. What is accepted must give the same text again. */
#include "nkeys/nkeys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_keys(struct wisp_str text)
{
    struct wisp_nkey key = {0};
    char again[WISP_NKEY_SEED_LEN + 1];
    if (wisp_nkey_from_seed(text, &key, NULL) == 0) {
        wisp_nkey_seed_text(&key, again);
        assert(memmem(text.ptr, text.len, again, WISP_NKEY_SEED_LEN));
    }
    if (wisp_nkey_parse_public(text, &key.kind, key.public, NULL) == 0) {
        wisp_nkey_public_text(&key, again);
        assert(wisp_str_is(text, again));
    }
}

static void check_base64(struct wisp_str text)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0}, again = {0};
    if (wisp_base64_decode(text, &bytes, NULL) == 0) {
        wisp_base64_encode(wisp_buf_str(&bytes), &again);
        assert(wisp_str_equal(text, wisp_buf_str(&again)));
    }
    bytes.len = again.len = 0;
    if (wisp_base64url_decode(text, &bytes, NULL) == 0) {
        wisp_base64url_encode(wisp_buf_str(&bytes), &again);
        assert(wisp_str_equal(text, wisp_buf_str(&again)));
    }
}

static void check_jwt(struct wisp_str text)
{
    WISP_CLEANUP_BUF struct wisp_buf claims = {0};
    struct wisp_err err = {0};
    int r = wisp_jwt_verify(text, &claims, &err);
    assert(r == 0 || claims.len == 0);
    (void)r;
}

static void check_creds(struct wisp_str text)
{
    struct wisp_str jwt, seed;
    if (wisp_creds_parse(text, &jwt, &seed, NULL) < 0) return;
    assert(jwt.len && seed.len && jwt.ptr > text.ptr && jwt.ptr + jwt.len < seed.ptr);
    assert(seed.ptr + seed.len < text.ptr + text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct wisp_str) = {check_keys, check_base64, check_jwt, check_creds};
    if (size == 0) return 0;
    checks[data[0] % WISP_COUNT(checks)]((struct wisp_str){(const char *)data + 1, size - 1});
    return 0;
}
