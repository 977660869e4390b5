/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of signed artifacts in the state, and the host's own token. */
#include "lattice/lattice_priv.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static void copy_text(json_t *to, const char *key, const json_t *from, const char *from_key)
{
    json_object_set_new(to, key, wisp_json_text(wisp_json_str(from, from_key)));
}

static json_t *revision_text(const json_t *claims)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(json_object_get(claims, "revision")));
    return json_string(text);
}

void wisp_lattice_claims_store(struct wisp_lattice *lattice, const json_t *claims, bool is_provider)
{
    struct wisp_str subject = wisp_json_str(claims, "subject");
    if (!wisp_lattice_is_id(subject)) return;
    WISP_CLEANUP_JSON json_t *value = json_object();
    if (!is_provider) copy_text(value, "call_alias", claims, "call_alias");
    copy_text(value, "issuer", claims, "issuer");
    copy_text(value, "name", claims, "name");
    json_object_set_new(value, "revision", revision_text(claims));
    copy_text(value, "subject", claims, "subject");
    if (!is_provider) json_object_set_new(value, "tags", wisp_lattice_list_of(claims, "tags"));
    copy_text(value, "version", claims, "version");
    if (is_provider && wisp_json_str(claims, "config_schema").len)
        copy_text(value, "config_schema", claims, "config_schema");
    char key[WISP_LATTICE_ID_MAX + 16];
    int n = snprintf(key, sizeof key, "CLAIMS_%.*s", WISP_STR_ARG(subject));
    struct wisp_lattice_record *record =
        wisp_lattice_record_need(lattice, WISP_LATTICE_DATA, (struct wisp_str){key, (size_t)n});
    if (!record || (record->value && json_equal(record->value, value))) return;
    json_decref(record->value);
    record->value = WISP_TAKE(value);
    wisp_lattice_record_owe(record, 0);
}

/* --- claims.get --- */

static struct wisp_str either(const json_t *claims, const char *key, const char *alias)
{
    struct wisp_str text = wisp_json_str(claims, key);
    return text.len ? text : wisp_json_str(claims, alias);
}

static void set_both(json_t *to, const char *key, const char *alias, const json_t *claims)
{
    struct wisp_str text = either(claims, key, alias);
    json_object_set_new(to, key, wisp_json_text(text));
    json_object_set_new(to, alias, wisp_json_text(text));
}

/* A list, or in old records a text that is one already. */
static json_t *joined_tags(const json_t *claims)
{
    const json_t *tags = json_object_get(claims, "tags");
    if (json_is_string(tags)) return wisp_json_text(wisp_json_str(claims, "tags"));
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    for (size_t i = 0; i < json_array_size(tags); i++) {
        const json_t *tag = json_array_get(tags, i);
        if (i) wisp_buf_append_char(&text, ',');
        wisp_buf_append(&text, json_string_value(tag), json_string_length(tag));
    }
    return wisp_json_text(wisp_buf_str(&text));
}

static json_t *as_map(const json_t *claims)
{
    json_t *map = json_object();
    set_both(map, "issuer", "iss", claims);
    set_both(map, "revision", "rev", claims);
    set_both(map, "subject", "sub", claims);
    copy_text(map, "name", claims, "name");
    copy_text(map, "version", claims, "version");
    if (json_object_get(claims, "call_alias") || json_object_get(claims, "tags")) {
        copy_text(map, "call_alias", claims, "call_alias");
        json_object_set_new(map, "tags", joined_tags(claims));
    } else if (json_object_get(claims, "config_schema")) {
        copy_text(map, "config_schema", claims, "config_schema");
    }
    return map;
}

void wisp_lattice_claims_get(struct wisp_lattice *lattice, struct wisp_lattice_command *command)
{
    json_t *all = json_array();
    const struct wisp_table *table = &lattice->records[WISP_LATTICE_DATA];
    for (const struct wisp_lattice_record *record = wisp_table_first(table); record;
         record = wisp_table_next(table, record))
        if (record->kind == WISP_LATTICE_CLAIMS && record->value) json_array_append_new(all, as_map(record->value));
    wisp_lattice_answer(lattice, &command->reply, "", all);
}

/* --- tokens of ours: say who asks when secrets are asked for --- */

/* Signed by a new account. `details` is taken over. */
static char *sign(struct wisp_lattice *lattice, const char *subject, json_t *details)
{
    WISP_CLEANUP_NKEY struct wisp_nkey account = {0};
    char issuer[WISP_NKEY_PUBLIC_LEN + 1], id[WISP_LATTICE_UUID_LEN + 1];
    wisp_lattice_make_key(lattice, WISP_NKEY_ACCOUNT, &account);
    wisp_nkey_public_text(&account, issuer);
    wisp_lattice_uuid(lattice, id);
    WISP_CLEANUP_JSON json_t *claims =
        json_pack("{s:s, s:I, s:s, s:s, s:o, s:i}", "jti", id, "iat", (json_int_t)(lattice->now.wall_ns / 1000000000),
                  "iss", issuer, "sub", subject, "wascap", details, "wascap_revision", 3);
    WISP_CLEANUP_BUF struct wisp_buf text = {0}, token = {0};
    wisp_json_print(claims, &text);
    wisp_jwt_sign(&account, wisp_buf_str(&text), &token);
    return wisp_mem_dup(wisp_buf_str(&token));
}

char *wisp_lattice_host_token(struct wisp_lattice *lattice)
{
    return sign(lattice, lattice->host_id,
                json_pack("{s:s, s:{s:s}}", "name", lattice->friendly_name, "labels", "self_signed", "true"));
}

json_t *wisp_lattice_builtin_claims(struct wisp_lattice *lattice, struct wisp_str id)
{
    WISP_CLEANUP_NKEY struct wisp_nkey key = {.kind = WISP_NKEY_SERVICE};
    WISP_CLEANUP_BUF struct wisp_buf name = {0};
    char seed[WISP_NKEY_SEED_LEN + 1], subject[WISP_NKEY_PUBLIC_LEN + 1];
    wisp_buf_printf(&name, "wisp built-in provider %.*s", WISP_STR_ARG(id));
    crypto_generichash(key.seed, sizeof key.seed, (const unsigned char *)name.data, name.len, lattice->host_key.seed,
                       sizeof lattice->host_key.seed);
    wisp_nkey_seed_text(&key, seed);
    int r = wisp_nkey_from_seed(wisp_str_from(seed), &key, NULL);
    assert(r == 0);
    (void)r;
    sodium_memzero(seed, sizeof seed);
    wisp_nkey_public_text(&key, subject);
    json_t *details = json_pack("{s:s, s:s, s:{}}", "name", "built-in provider", "vendor", "wisp", "target_hashes");
    json_object_set_new(details, "name", wisp_json_text(id));
    char *token = sign(lattice, subject, details);
    json_t *claims = json_pack("{s:s, s:s}", "token", token, "subject", subject);
    free(token);
    return claims;
}
