/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include "base/json.h"
#include "test.h"

static struct wisp_err err;

static struct wisp_bus_server_url *one(struct wisp_bus_servers *servers, const char *url)
{
    wisp_bus_servers_deinit(servers);
    CHECK_OK(wisp_bus_servers_add(servers, wisp_str_from(url), &err), &err);
    return &servers->list[0];
}

TEST(urls_of_all_forms)
{
    struct wisp_bus_servers servers = {0};
    struct wisp_bus_server_url *server = one(&servers, "localhost");
    CHECK_TEXT(server->host, "localhost");
    CHECK_INT(server->port, 4222);
    CHECK_TEXT(server->shown, "nats://localhost:4222");
    server = one(&servers, "nats://us%40r:p@ss:w%3Frd@10.0.0.1:14222");
    CHECK_TEXT(server->user, "us@r");
    CHECK_TEXT(server->password, "p@ss:w?rd");
    CHECK_TEXT(server->host, "10.0.0.1");
    CHECK_TEXT(server->shown, "nats://10.0.0.1:14222");
    server = one(&servers, "tls://t0ken@[::1]:99/");
    CHECK_TEXT(server->token, "t0ken");
    CHECK_TEXT(server->host, "::1");
    CHECK_TEXT(server->shown, "tls://[::1]:99");
    CHECK(server->wants_tls);
    server = one(&servers, "fe80::1");
    CHECK_TEXT(server->host, "fe80::1");
    CHECK_INT(server->port, 4222);
    server = one(&servers, "unix:/run/wisp/bus.sock");
    CHECK_TEXT(server->path, "/run/wisp/bus.sock");
    CHECK_TEXT(server->shown, "unix:/run/wisp/bus.sock");
    wisp_bus_servers_deinit(&servers);
}

TEST(urls_that_are_none)
{
    struct wisp_bus_servers servers = {0};
    static const char *const bad[] = {"",     "nats://",  "host:0", "host:65536",      "host:12x", "nats://a b",
                                      "[::1", "[::1]x:4", "unix:",  "nats://user:pw@", "@",        ":4222"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++)
        CHECK_FAILS(wisp_bus_servers_add(&servers, wisp_str_from(bad[i]), &err), INVALID);
    CHECK_FAILS(wisp_bus_servers_add(&servers, WISP_STR("http://a"), &err), UNSUPPORTED);
    CHECK_FAILS(wisp_bus_servers_add(&servers, WISP_STR("ws://a:80"), &err), UNSUPPORTED);
    CHECK_INT(servers.count, 0);
    char longest[200] = "unix:";
    memset(longest + 5, 'x', 180);
    CHECK_FAILS(wisp_bus_servers_add(&servers, wisp_str_from(longest), &err), INVALID);
    wisp_bus_servers_deinit(&servers);
}

TEST(an_error_shows_no_password)
{
    struct wisp_bus_servers servers = {0};
    CHECK_FAILS(wisp_bus_servers_add(&servers, WISP_STR("nats://user:secret@host:port"), &err), INVALID);
    CHECK(!strstr(err.text, "secret"));
    wisp_bus_servers_deinit(&servers);
}

static size_t learn(struct wisp_bus_servers *servers, size_t current, const char *json)
{
    json_t *urls;
    CHECK_OK(wisp_json_parse(wisp_str_from(json), &urls, &err), &err);
    current = wisp_bus_servers_learn(servers, current, urls);
    json_decref(urls);
    return current;
}

TEST(a_cluster_is_learned_and_forgotten)
{
    struct wisp_bus_servers servers = {0};
    one(&servers, "tls://u:p@one.example:4222");
    size_t current = learn(&servers, 0, "[\"one.example:4222\",\"10.0.0.2:4222\",\"two.example:1\",7,\"[bad\"]");
    CHECK_INT(current, 0);
    CHECK_INT(servers.count, 3);
    CHECK_TEXT(servers.list[1].host, "10.0.0.2");
    CHECK_TEXT(servers.list[1].tls_name, "one.example"); /* an address is in nobody's certificate */
    CHECK_TEXT(servers.list[2].tls_name, "two.example");
    CHECK_TEXT(servers.list[2].user, "u");
    CHECK(servers.list[2].wants_tls);
    servers.next = 3;
    current = learn(&servers, 2, "[\"10.0.0.3:4222\"]"); /* the one in use stays, the given one too */
    CHECK_INT(current, 1);
    CHECK_TEXT(servers.list[current].host, "two.example");
    CHECK_INT(servers.count, 3);
    CHECK_TEXT(servers.list[2].host, "10.0.0.3");
    CHECK_INT(servers.next, 2);
    CHECK_INT(learn(&servers, current, "[]"), current); /* says nothing */
    CHECK_INT(servers.count, 3);
    wisp_bus_servers_put_last(&servers, 0);
    CHECK_TEXT(servers.list[2].host, "one.example");
    CHECK_INT(servers.next, 0);
    wisp_bus_servers_deinit(&servers);
}

TEST(what_is_learned_is_bounded)
{
    struct wisp_bus_servers servers = {0};
    one(&servers, "a");
    for (int round = 0; round < 4; round++) {
        json_t *urls = json_array();
        char url[32];
        for (int i = 0; i < 200; i++) {
            snprintf(url, sizeof url, "h%d:%d", round, i + 1);
            json_array_append_new(urls, json_string(url));
        }
        CHECK_INT(wisp_bus_servers_learn(&servers, 0, urls), 0);
        json_decref(urls);
        CHECK_INT(servers.count, 201);
    }
    wisp_bus_servers_deinit(&servers);
}

static uint64_t zero(void) { return 0; }

TEST(a_shuffle_keeps_all)
{
    struct wisp_bus_servers servers = {0};
    for (int i = 0; i < 4; i++) {
        char url[2] = {(char)('a' + i), 0};
        CHECK_OK(wisp_bus_servers_add(&servers, wisp_str_from(url), &err), &err);
    }
    wisp_bus_servers_shuffle(&servers, zero);
    unsigned seen = 0;
    for (size_t i = 0; i < servers.count; i++) seen |= 1u << (servers.list[i].host[0] - 'a');
    CHECK_INT(seen, 15);
    CHECK(servers.list[0].host[0] != 'a');
    wisp_bus_servers_deinit(&servers);
}
