/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/test_double.h"

enum { ACCESS_DENIED = 1 };

TEST(no_socket_is_made)
{
    fake_start();
    uint32_t family = 0;
    struct {
        uint32_t is_error;
        union {
            void *socket;
            uint32_t error;
        };
    } result;
    CHECK_INT(INVOKE(wisp_wasi_sockets_tcp_create_socket, "create-tcp-socket", &family, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.error, ACCESS_DENIED);
    CHECK_INT(INVOKE(wisp_wasi_sockets_udp_create_socket, "create-udp-socket", &family, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.error, ACCESS_DENIED);
    fake_stop();
}

TEST(no_name_is_resolved)
{
    fake_start();
    void *network;
    CHECK_INT(fake_invoke(&wisp_wasi_sockets_instance_network, "instance-network", NULL, 0, &network, sizeof network),
              0);
    struct {
        void *network;
        struct wisp_str name;
    } args = {network, WISP_STR("example.org")};
    struct {
        uint32_t is_error;
        union {
            void *stream;
            uint32_t error;
        };
    } result;
    CHECK_INT(INVOKE(wisp_wasi_sockets_ip_name_lookup, "resolve-addresses", &args, &result), 0);
    CHECK_INT(result.is_error, 1);
    CHECK_INT(result.error, ACCESS_DENIED);
    CHECK(!fake_drop(&wisp_wasi_sockets_network, "network", network));
    fake_stop();
}

/* Nothing can call the methods of sockets; that they stay within their results is checked all the same. */
TEST(every_function_fills_its_result_and_no_more)
{
    static const struct wisp_host_interface *const interfaces[] = {
        &wisp_wasi_sockets_network, &wisp_wasi_sockets_ip_name_lookup, &wisp_wasi_sockets_tcp, &wisp_wasi_sockets_udp};
    fake_start();
    for (size_t i = 0; i < WISP_COUNT(interfaces); i++)
        for (size_t j = 0; j < interfaces[i]->n_funcs; j++) {
            const struct wisp_host_func *func = &interfaces[i]->funcs[j];
            void *args = wisp_arena_calloc(&fake.arena, 1, func->args_size);
            uint32_t *result = wisp_arena_alloc(&fake.arena, func->result_size);
            CHECK_INT(func->fn(&fake.call, args, result), 0);
            if (strstr(func->signature, "-> own<pollable>"))
                CHECK(!fake_drop(&wisp_wasi_io_poll, "pollable", *(void **)(void *)result));
            if (strstr(func->signature, "-> result<")) CHECK_INT(result[0], 1);
        }
    fake_stop();
}
