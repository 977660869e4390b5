/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include "base/json.h"
#include "nkeys/nkeys.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct wisp_err err;
static const struct wisp_bus_server_url plain_server;

static json_t *login(struct wisp_bus_credentials credentials, const struct wisp_bus_server_url *server,
                     const char *nonce)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    json_t *object;
    CHECK_OK(wisp_bus_login_encode(&credentials, server, "me \"1\"", wisp_str_from(nonce), false, &text, &err), &err);
    CHECK_OK(wisp_json_parse(wisp_buf_str(&text), &object, &err), &err);
    return object;
}

TEST(what_every_login_says)
{
    WISP_CLEANUP_JSON json_t *object = login((struct wisp_bus_credentials){0}, &plain_server, NULL);
    CHECK_STR(wisp_json_str(object, "name"), "me \"1\"");
    CHECK_STR(wisp_json_str(object, "lang"), "c");
    CHECK(wisp_json_bool(object, "headers", false));
    CHECK(wisp_json_bool(object, "no_responders", false));
    CHECK(!wisp_json_bool(object, "verbose", true));
    CHECK_INT(wisp_json_u64(object, "protocol", 0), 1);
    CHECK(!json_object_get(object, "user") && !json_object_get(object, "sig") && !json_object_get(object, "nkey"));
}

TEST(credentials_of_the_url_win)
{
    struct wisp_bus_server_url server = {.user = (char[]){"u"}, .password = (char[]){"p"}};
    struct wisp_bus_credentials credentials = {.token = "t", .user = "other", .password = "other"};
    WISP_CLEANUP_JSON json_t *object = login(credentials, &server, NULL);
    CHECK_STR(wisp_json_str(object, "user"), "u");
    CHECK_STR(wisp_json_str(object, "pass"), "p");
    CHECK(!json_object_get(object, "auth_token"));
}

static void check_signature(const json_t *object, const struct wisp_nkey *key, const char *nonce)
{
    WISP_CLEANUP_BUF struct wisp_buf signature = {0};
    CHECK_OK(wisp_base64url_decode(wisp_json_str(object, "sig"), &signature, &err), &err);
    CHECK_INT(signature.len, WISP_NKEY_SIGNATURE_SIZE);
    CHECK(wisp_nkey_verify(key->public, wisp_str_from(nonce), (const uint8_t *)signature.data));
}

TEST(a_seed_signs_the_nonce)
{
    struct wisp_nkey key;
    char seed[WISP_NKEY_SEED_LEN + 1], public[WISP_NKEY_PUBLIC_LEN + 1];
    wisp_nkey_generate(&key, WISP_NKEY_USER);
    wisp_nkey_seed_text(&key, seed);
    wisp_nkey_public_text(&key, public);
    WISP_CLEANUP_JSON json_t *object = login((struct wisp_bus_credentials){.seed = seed}, &plain_server, "abc");
    CHECK_STR(wisp_json_str(object, "nkey"), public);
    check_signature(object, &key, "abc");
    WISP_CLEANUP_JSON json_t *with_jwt =
        login((struct wisp_bus_credentials){.jwt = "a.b.c", .seed = seed}, &plain_server, "abc");
    CHECK_STR(wisp_json_str(with_jwt, "jwt"), "a.b.c");
    CHECK(!json_object_get(with_jwt, "nkey"));
    check_signature(with_jwt, &key, "abc");
}

TEST(a_credentials_file_is_read)
{
    struct wisp_nkey key;
    char seed[WISP_NKEY_SEED_LEN + 1], path[] = "/tmp/wisp-test-XXXXXX";
    wisp_nkey_generate(&key, WISP_NKEY_USER);
    wisp_nkey_seed_text(&key, seed);
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    dprintf(fd,
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n"
            "-----BEGIN USER NKEY SEED-----\n%s\n------END USER NKEY SEED------\n",
            seed);
    close(fd);
    WISP_CLEANUP_JSON json_t *object = login((struct wisp_bus_credentials){.creds_path = path}, &plain_server, "n");
    unlink(path);
    CHECK_STR(wisp_json_str(object, "jwt"), "a.b.c");
    check_signature(object, &key, "n");
}

TEST(unusable_credentials_are_named_without_their_text)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_bus_credentials no_file = {.creds_path = "/nowhere/x.creds"}, bad_seed = {.seed = "SUAsecret"};
    CHECK_FAILS(wisp_bus_login_encode(&no_file, &plain_server, NULL, WISP_STR("n"), false, &text, &err), NOT_FOUND);
    CHECK_HAS(err.text, "/nowhere/x.creds");
    CHECK_FAILS(wisp_bus_login_encode(&bad_seed, &plain_server, NULL, WISP_STR("n"), false, &text, &err), INVALID);
    CHECK(!strstr(err.text, "secret"));
    CHECK_INT(text.len, 0);
}
