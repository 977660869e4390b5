/* SPDX-License-Identifier: Apache-2.0 */
#include "host/listener.h"

#include "base/mem.h"
#include "test.h"

#include <poll.h>
#include <unistd.h>

static void check_parses_to(const char *text, const char *expected)
{
    struct wisp_listen_address address;
    struct wisp_err err = {0};
    CHECK_OK(wisp_listen_address_parse(wisp_str_from(text), &address, &err), &err);
    char formatted[WISP_LISTEN_TEXT_MAX];
    wisp_listen_address_format(&address, formatted);
    CHECK_TEXT(formatted, expected);
}

TEST(addresses_as_people_write_them)
{
    check_parses_to("127.0.0.1:8000", "127.0.0.1:8000");
    check_parses_to("8000", "127.0.0.1:8000");
    check_parses_to(":80", "0.0.0.0:80");
    check_parses_to("[::1]:65535", "[::1]:65535");
    check_parses_to("[::]:0", "[::]:0");
}

TEST(nonsense_is_refused_with_an_example)
{
    static const char *const texts[] = {"",       "localhost", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                                        "::1:80", "[::1",      "[]:80",      "[::1]80",     "127.0.0.1:-1"};
    for (size_t i = 0; i < WISP_COUNT(texts); i++) {
        struct wisp_listen_address address;
        struct wisp_err err = {0};
        CHECK_FAILS(wisp_listen_address_parse(wisp_str_from(texts[i]), &address, &err), USAGE);
        CHECK_HAS(err.text, "127.0.0.1:8000");
    }
}

TEST(unknown_host_is_named)
{
    struct wisp_listen_address address;
    struct wisp_err err = {0};
    CHECK_FAILS(wisp_listen_address_parse(WISP_STR("no-such-host.invalid:80"), &address, &err), NOT_FOUND);
    CHECK_HAS(err.text, "no-such-host.invalid");
}

static struct wisp_listen_address any_port(void)
{
    struct wisp_listen_address address;
    struct wisp_err err = {0};
    CHECK_OK(wisp_listen_address_parse(WISP_STR("127.0.0.1:0"), &address, &err), &err);
    return address;
}

TEST(claimed_address_is_shared_by_ours_and_refused_to_others)
{
    struct wisp_listen_address address = any_port(), again;
    struct wisp_err err = {0};
    WISP_CLEANUP_FD int first = -1;
    WISP_CLEANUP_FD int second = -1;
    int other;
    CHECK_OK(wisp_listen_claim(&address, &first, &err), &err);
    CHECK_OK(wisp_listen_share(&address, &second, &err), &err);
    again = address;
    CHECK_FAILS(wisp_listen_claim(&again, &other, &err), EXISTS);
    CHECK_HAS(err.text, "is in use by another program");
    CHECK_HAS(err.text, "--addr");
}

TEST(forgotten_server_that_shares_its_port_is_noticed)
{
    struct wisp_listen_address address = any_port();
    struct wisp_err err = {0};
    WISP_CLEANUP_FD int first = -1;
    WISP_CLEANUP_FD int forgotten = -1;
    int ours;
    CHECK_OK(wisp_listen_claim(&address, &first, &err), &err);
    CHECK_OK(wisp_listen_share(&address, &forgotten, &err), &err);
    CHECK(listen(forgotten, 1) == 0);
    wisp_fd_closep(&first);
    CHECK_FAILS(wisp_listen_claim(&address, &ours, &err), EXISTS);
}

static bool has_connection(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, 0) == 1;
}

static void connect_once(const struct wisp_listen_address *address)
{
    WISP_CLEANUP_FD int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(client, (const struct sockaddr *)&address->socket_address, address->size) == 0);
}

TEST(share_gets_nothing_before_it_listens)
{
    struct wisp_listen_address address = any_port();
    struct wisp_err err = {0};
    WISP_CLEANUP_FD int first = -1;
    WISP_CLEANUP_FD int second = -1;
    CHECK_OK(wisp_listen_claim(&address, &first, &err), &err);
    CHECK_OK(wisp_listen_share(&address, &second, &err), &err);
    for (int i = 0; i < 50; i++) {
        connect_once(&address);
        WISP_CLEANUP_FD int taken = -1;
        CHECK(poll(&(struct pollfd){.fd = first, .events = POLLIN}, 1, 10000) == 1);
        CHECK((taken = accept(first, NULL, NULL)) >= 0);
    }
}

TEST(connections_are_spread_over_claim_and_shares)
{
    struct wisp_listen_address address = any_port();
    struct wisp_err err = {0};
    WISP_CLEANUP_FD int first = -1;
    WISP_CLEANUP_FD int second = -1;
    CHECK_OK(wisp_listen_claim(&address, &first, &err), &err);
    CHECK_OK(wisp_listen_share(&address, &second, &err), &err);
    CHECK(listen(second, 1024) == 0);
    for (int i = 0; i < 1000 && !(has_connection(first) && has_connection(second)); i++) connect_once(&address);
    CHECK(has_connection(first) && has_connection(second));
}
