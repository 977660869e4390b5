/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/claims.h"

#include "nkeys/nkeys.h"
#include "oci/digest.h"

enum {
    TOKEN_MAX = 1 << 20,
    TAGS_MAX = 1000,
    HASHED_SINCE_REVISION = 3, /* of wascap: the hash is over the binary as wisp_oci_component_digest has it */
};

static struct wisp_str text_of(struct wisp_arena *arena, const json_t *object, const char *key)
{
    struct wisp_str text = wisp_json_str(object, key);
    return text.len ? wisp_arena_str(arena, text) : (struct wisp_str){0};
}

static int64_t date_of(const json_t *object, const char *key)
{
    uint64_t seconds = wisp_json_u64(object, key, 0);
    return seconds > INT64_MAX ? INT64_MAX : (int64_t)seconds;
}

static void read_tags(struct wisp_arena *arena, const json_t *metadata, struct wisp_oci_claims *claims)
{
    const json_t *tags = json_object_get(metadata, "tags"), *tag;
    size_t n = json_array_size(tags), i;
    if (n > TAGS_MAX) n = TAGS_MAX;
    struct wisp_str *texts = WISP_NEW_ARRAY(arena, struct wisp_str, n);
    json_array_foreach(tags, i, tag)
    {
        if (i == n) break;
        if (json_is_string(tag))
            texts[claims->n_tags++] =
                wisp_arena_str(arena, (struct wisp_str){json_string_value(tag), json_string_length(tag)});
    }
    claims->tags = texts;
}

static void read_metadata(struct wisp_arena *arena, const json_t *metadata, struct wisp_oci_claims *claims)
{
    claims->name = text_of(arena, metadata, "name");
    claims->version = text_of(arena, metadata, "ver");
    claims->call_alias = text_of(arena, metadata, "call_alias");
    claims->vendor = text_of(arena, metadata, "vendor");
    uint64_t revision = wisp_json_u64(metadata, "rev", 0);
    claims->revision = revision > INT32_MAX ? INT32_MAX : (int32_t)revision;
    const json_t *schema = json_object_get(metadata, "config_schema");
    if (schema && !json_is_null(schema)) {
        WISP_CLEANUP_BUF struct wisp_buf text = {0};
        wisp_json_print(schema, &text);
        claims->config_schema = wisp_arena_str(arena, wisp_buf_str(&text));
    }
    read_tags(arena, metadata, claims);
}

static int check_dates(const struct wisp_oci_claims *claims, int64_t now, struct wisp_err *err)
{
    if (claims->expires_at && claims->expires_at < now)
        return wisp_err_set(err, WISP_ERR_DENIED, "claims expired %lld s ago", (long long)(now - claims->expires_at));
    if (claims->not_before > now)
        return wisp_err_set(err, WISP_ERR_DENIED, "claims are valid in %lld s only",
                            (long long)(claims->not_before - now));
    return 0;
}

int wisp_oci_claims_read(struct wisp_arena *arena, struct wisp_str token, int64_t now,
                         struct wisp_oci_claims *ret_claims, json_t **ret_json, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    *ret_json = NULL;
    if (token.len > TOKEN_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "claims have more than %d bytes", TOKEN_MAX);
    int r = wisp_jwt_verify(token, &text, err);
    if (r == 0) r = wisp_json_parse(wisp_buf_str(&text), ret_json, err);
    if (r < 0) return wisp_err_wrap(err, "claims");
    const json_t *value = *ret_json, *metadata = json_object_get(value, "wascap");
    if (!json_is_object(metadata)) return wisp_err_set(err, WISP_ERR_INVALID, "claims: no `wascap`");
    *ret_claims = (struct wisp_oci_claims){
        .token = wisp_arena_str(arena, token),
        .issuer = text_of(arena, value, "iss"),
        .subject = text_of(arena, value, "sub"),
        .issued_at = date_of(value, "iat"),
        .expires_at = date_of(value, "exp"),
        .not_before = date_of(value, "nbf"),
    };
    if (!ret_claims->subject.len) return wisp_err_set(err, WISP_ERR_INVALID, "claims: no subject");
    read_metadata(arena, metadata, ret_claims);
    return check_dates(ret_claims, now, err);
}

static int check_digest(struct wisp_str binary, const json_t *claims, struct wisp_err *err)
{
    char digest[WISP_OCI_DIGEST_LEN + 1];
    if (wisp_json_u64(claims, "wascap_revision", 0) < HASHED_SINCE_REVISION) return 0;
    int r = wisp_oci_component_digest(binary, digest, err);
    if (r < 0) return r;
    if (wisp_str_equal_nocase(wisp_json_str(json_object_get(claims, "wascap"), "hash"),
                              wisp_str_from(wisp_oci_digest_hex(digest))))
        return 0;
    return wisp_err_set(err, WISP_ERR_DENIED, "claims were not signed for this component: its hash is another");
}

int wisp_oci_component_claims(struct wisp_arena *arena, struct wisp_str binary, int64_t now,
                              struct wisp_oci_claims *ret_claims, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *claims = NULL;
    struct wisp_str token;
    *ret_claims = (struct wisp_oci_claims){0};
    int r = wisp_oci_component_token(binary, &token, err);
    if (r < 0 || token.len == 0) return r;
    r = wisp_oci_claims_read(arena, token, now, ret_claims, &claims, err);
    return r < 0 ? r : check_digest(binary, claims, err);
}
