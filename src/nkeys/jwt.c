/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "nkeys/nkeys.h"

void wisp_jwt_sign(const struct wisp_nkey *issuer, struct wisp_str claims, struct wisp_buf *out)
{
    uint8_t signature[WISP_NKEY_SIGNATURE_SIZE];
    size_t start = out->len;
    wisp_base64url_encode(WISP_STR("{\"typ\":\"jwt\",\"alg\":\"Ed25519\"}"), out);
    wisp_buf_append_char(out, '.');
    wisp_base64url_encode(claims, out);
    wisp_nkey_sign(issuer, (struct wisp_str){out->data + start, out->len - start}, signature);
    wisp_buf_append_char(out, '.');
    wisp_base64url_encode((struct wisp_str){(const char *)signature, sizeof signature}, out);
}

/* "Ed25519" is wascap's and NATS's first, "ed25519-nkey" NATS's of today. */
static int check_header(struct wisp_str part, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    WISP_CLEANUP_JSON json_t *header = NULL;
    if (wisp_base64url_decode(part, &text, err) < 0 || wisp_json_parse(wisp_buf_str(&text), &header, err) < 0)
        return wisp_err_wrap(err, "header");
    struct wisp_str type = wisp_json_str(header, "typ"), algorithm = wisp_json_str(header, "alg");
    if (!wisp_str_equal_nocase(type, WISP_STR("jwt")))
        return wisp_err_set(err, WISP_ERR_INVALID, "header: type is not `jwt`");
    if (!wisp_str_equal_nocase(algorithm, WISP_STR("ed25519")) &&
        !wisp_str_equal_nocase(algorithm, WISP_STR("ed25519-nkey")))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "header: algorithm is not Ed25519");
    return 0;
}

static int parse_issuer(struct wisp_str claims, uint8_t ret_public[32], struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *value = NULL;
    enum wisp_nkey_kind kind;
    if (wisp_json_parse(claims, &value, err) < 0) return wisp_err_wrap(err, "claims");
    if (wisp_nkey_parse_public(wisp_json_str(value, "iss"), &kind, ret_public, err) < 0)
        return wisp_err_wrap(err, "issuer");
    if (kind == WISP_NKEY_CURVE) return wisp_err_set(err, WISP_ERR_INVALID, "issuer: curve keys don't sign");
    return 0;
}

static int verify(struct wisp_str token, struct wisp_buf *claims, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0}, signature = {0};
    struct wisp_str header, claims_part, signature_part, rest;
    uint8_t issuer[32];
    if (!wisp_str_split(token, '.', &header, &rest) || !wisp_str_split(rest, '.', &claims_part, &signature_part))
        return wisp_err_set(err, WISP_ERR_INVALID, "not three parts with dots between them");
    int r = check_header(header, err);
    if (r < 0) return r;
    if (wisp_base64url_decode(claims_part, &text, err) < 0) return wisp_err_wrap(err, "claims");
    if (wisp_base64url_decode(signature_part, &signature, err) < 0) return wisp_err_wrap(err, "signature");
    if (signature.len != WISP_NKEY_SIGNATURE_SIZE)
        return wisp_err_set(err, WISP_ERR_INVALID, "signature: %zu bytes, not %d", signature.len,
                            WISP_NKEY_SIGNATURE_SIZE);
    r = parse_issuer(wisp_buf_str(&text), issuer, err);
    if (r < 0) return r;
    struct wisp_str signed_part = {token.ptr, header.len + 1 + claims_part.len};
    if (!wisp_nkey_verify(issuer, signed_part, (const uint8_t *)signature.data))
        return wisp_err_set(err, WISP_ERR_DENIED, "signature is not that of the issuer");
    wisp_buf_append_str(claims, wisp_buf_str(&text));
    return 0;
}

int wisp_jwt_verify(struct wisp_str token, struct wisp_buf *claims, struct wisp_err *err)
{
    return verify(token, claims, err) < 0 ? wisp_err_wrap(err, "JWT") : 0;
}
