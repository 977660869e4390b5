/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:sockets: every function is there so that components link, and none opens a door: making a socket and resolving
 * a name are answered with access-denied. Since no socket can come into being, nothing ever calls the methods of one;
 * they answer the same. */
#include "wasi/wasi_priv.h"

enum { ACCESS_DENIED = 1 };

/* --- C types of the signatures: arguments that nothing looks at, results by size --- */

struct ipv4_socket_address {
    uint16_t port;
    uint8_t address[4];
};
struct ipv6_socket_address {
    uint16_t port;
    uint32_t flow_info;
    uint16_t address[8];
    uint32_t scope_id;
};
struct socket_address {
    uint32_t tag;
    union {
        struct ipv4_socket_address ipv4;
        struct ipv6_socket_address ipv6;
    };
};
struct optional_socket_address {
    uint32_t is_some;
    struct socket_address value;
};
struct ip_address {
    uint32_t tag;
    union {
        uint8_t ipv4[4];
        uint16_t ipv6[8];
    };
};
struct optional_ip_address {
    uint32_t is_some;
    struct ip_address value;
};
struct list {
    void *ptr;
    size_t len;
};

struct self_args {
    void *self;
};
struct self_bool_args {
    void *self;
    bool value;
};
struct self_u8_args {
    void *self;
    uint8_t value;
};
struct self_u32_args {
    void *self;
    uint32_t value;
};
struct self_u64_args {
    void *self;
    uint64_t value;
};
struct self_list_args {
    void *self;
    struct list list;
};
struct address_args {
    void *self, *network;
    struct socket_address address;
};
struct optional_address_args {
    void *self;
    struct optional_socket_address address;
};
struct resolve_args {
    void *network;
    struct wisp_str name;
};

/* A result whose ok has this type: is_error, then the error where the payload is. */
#define RESULT(name, ok_type)                                                                                          \
    struct name {                                                                                                      \
        uint32_t is_error;                                                                                             \
        union {                                                                                                        \
            ok_type ok;                                                                                                \
            uint32_t error;                                                                                            \
        };                                                                                                             \
    }
RESULT(small_result, uint32_t); /* nothing, bool, u8, u32: all as large as the error */
RESULT(u64_result, uint64_t);
RESULT(handle_result, void *);
struct handles2 {
    void *handles[2];
};
struct handles3 {
    void *handles[3];
};
RESULT(handles2_result, struct handles2);
RESULT(handles3_result, struct handles3);
RESULT(address_result, struct socket_address);
RESULT(optional_ip_result, struct optional_ip_address);
RESULT(list_result, struct list);

/* --- answers --- */

#define DENY(name, type)                                                                                               \
    static int name(struct wisp_call *call, const void *args, void *result)                                            \
    {                                                                                                                  \
        (void)call;                                                                                                    \
        (void)args;                                                                                                    \
        *(struct type *)result = (struct type){.is_error = 1, .error = ACCESS_DENIED};                                 \
        return 0;                                                                                                      \
    }
DENY(deny, small_result)
DENY(deny_u64, u64_result)
DENY(deny_handle, handle_result)
DENY(deny_handles2, handles2_result)
DENY(deny_handles3, handles3_result)
DENY(deny_address, address_result)
DENY(deny_optional_ip, optional_ip_result)
DENY(deny_list, list_result)

static int is_not_listening(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    *(bool *)result = false;
    return 0;
}

static int family_ipv4(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    *(uint32_t *)result = 0;
    return 0;
}

static int subscribe(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    *(struct wisp_pollable **)result = wisp_pollable_ready_new(call->context);
    return 0;
}

/* A guest may hold the network; it leads nowhere. */
static int instance_network(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    *(void **)result = call->context;
    return 0;
}

static int no_error_code(struct wisp_call *call, const void *args, void *result)
{
    struct optional_code {
        uint32_t is_some, code;
    };
    (void)call;
    (void)args;
    *(struct optional_code *)result = (struct optional_code){0};
    return 0;
}

/* --- network, instance-network, ip-name-lookup --- */

#define ERROR_CODE "error-code = enum(21)"
#define FAMILY "ip-address-family = enum(2)"
#define IPV4 "ipv4-address = tuple<u8, u8, u8, u8>"
#define IPV6 "ipv6-address = tuple<u16, u16, u16, u16, u16, u16, u16, u16>"
#define ADDRESS "ip-address = variant{ipv4-address, ipv6-address}"
#define SOCKET_ADDRESS "ip-socket-address = variant{record{u16, ipv4-address}, record{u16, u32, ipv6-address, u32}}"

static const char *const network_types[] = {ERROR_CODE, NULL};
static const struct wisp_host_func network_funcs[] = {
    {"network-error-code", "(borrow<error>) -> option<error-code>", no_error_code,
     WISP_HOST_SIZES(struct self_args, uint64_t)},
};
static const struct wisp_host_resource network_resources[] = {{.name = "network"}};
const struct wisp_host_interface wisp_wasi_sockets_network = {
    .name = "wasi:sockets/network",
    .version = WISP_WASI_VERSION,
    .funcs = network_funcs,
    .n_funcs = WISP_COUNT(network_funcs),
    .resources = network_resources,
    .n_resources = WISP_COUNT(network_resources),
    .types = network_types,
};

static const struct wisp_host_func instance_network_funcs[] = {
    {"instance-network", "() -> own<network>", instance_network, 0, sizeof(void *)},
};
const struct wisp_host_interface wisp_wasi_sockets_instance_network = {
    .name = "wasi:sockets/instance-network",
    .version = WISP_WASI_VERSION,
    .funcs = instance_network_funcs,
    .n_funcs = WISP_COUNT(instance_network_funcs),
};

static const char *const lookup_types[] = {ERROR_CODE, IPV4, IPV6, ADDRESS, NULL};
static const struct wisp_host_func lookup_funcs[] = {
    {"resolve-addresses", "(borrow<network>, string) -> result<own<resolve-address-stream>, error-code>", deny_handle,
     WISP_HOST_SIZES(struct resolve_args, struct handle_result)},
    {"[method]resolve-address-stream.resolve-next-address",
     "(borrow<resolve-address-stream>) -> result<option<ip-address>, error-code>", deny_optional_ip,
     WISP_HOST_SIZES(struct self_args, struct optional_ip_result)},
    {"[method]resolve-address-stream.subscribe", "(borrow<resolve-address-stream>) -> own<pollable>", subscribe,
     WISP_HOST_SIZES(struct self_args, void *)},
};
static const struct wisp_host_resource lookup_resources[] = {{.name = "resolve-address-stream"}};
const struct wisp_host_interface wisp_wasi_sockets_ip_name_lookup = {
    .name = "wasi:sockets/ip-name-lookup",
    .version = WISP_WASI_VERSION,
    .funcs = lookup_funcs,
    .n_funcs = WISP_COUNT(lookup_funcs),
    .resources = lookup_resources,
    .n_resources = WISP_COUNT(lookup_resources),
    .types = lookup_types,
};

/* --- tcp --- */

#define TCP(name, params, result, fn, args, result_type)                                                               \
    {"[method]tcp-socket." name, "(borrow<tcp-socket>" params ")" result, fn, WISP_HOST_SIZES(args, result_type)}
#define TCP_GET_U64(name) TCP(name, "", " -> result<u64, error-code>", deny_u64, struct self_args, struct u64_result)
#define TCP_SET_U64(name)                                                                                              \
    TCP(name, ", u64", " -> result<_, error-code>", deny, struct self_u64_args, struct small_result)
#define TCP_STEP(name) TCP(name, "", " -> result<_, error-code>", deny, struct self_args, struct small_result)
#define TCP_TO_ADDRESS(name)                                                                                           \
    TCP(name, ", borrow<network>, ip-socket-address", " -> result<_, error-code>", deny, struct address_args,          \
        struct small_result)
#define TCP_ADDRESS(name)                                                                                              \
    TCP(name, "", " -> result<ip-socket-address, error-code>", deny_address, struct self_args, struct address_result)

static const char *const tcp_types[] = {ERROR_CODE, FAMILY, IPV4, IPV6, SOCKET_ADDRESS, NULL};
static const struct wisp_host_func tcp_funcs[] = {
    TCP_TO_ADDRESS("start-bind"),
    TCP_STEP("finish-bind"),
    TCP_TO_ADDRESS("start-connect"),
    TCP("finish-connect", "", " -> result<tuple<own<input-stream>, own<output-stream>>, error-code>", deny_handles2,
        struct self_args, struct handles2_result),
    TCP_STEP("start-listen"),
    TCP_STEP("finish-listen"),
    TCP("accept", "", " -> result<tuple<own<tcp-socket>, own<input-stream>, own<output-stream>>, error-code>",
        deny_handles3, struct self_args, struct handles3_result),
    TCP_ADDRESS("local-address"),
    TCP_ADDRESS("remote-address"),
    TCP("is-listening", "", " -> bool", is_not_listening, struct self_args, bool),
    TCP("address-family", "", " -> ip-address-family", family_ipv4, struct self_args, uint32_t),
    TCP_SET_U64("set-listen-backlog-size"),
    TCP("keep-alive-enabled", "", " -> result<bool, error-code>", deny, struct self_args, struct small_result),
    TCP("set-keep-alive-enabled", ", bool", " -> result<_, error-code>", deny, struct self_bool_args,
        struct small_result),
    TCP_GET_U64("keep-alive-idle-time"),
    TCP_SET_U64("set-keep-alive-idle-time"),
    TCP_GET_U64("keep-alive-interval"),
    TCP_SET_U64("set-keep-alive-interval"),
    TCP("keep-alive-count", "", " -> result<u32, error-code>", deny, struct self_args, struct small_result),
    TCP("set-keep-alive-count", ", u32", " -> result<_, error-code>", deny, struct self_u32_args, struct small_result),
    TCP("hop-limit", "", " -> result<u8, error-code>", deny, struct self_args, struct small_result),
    TCP("set-hop-limit", ", u8", " -> result<_, error-code>", deny, struct self_u8_args, struct small_result),
    TCP_GET_U64("receive-buffer-size"),
    TCP_SET_U64("set-receive-buffer-size"),
    TCP_GET_U64("send-buffer-size"),
    TCP_SET_U64("set-send-buffer-size"),
    TCP("subscribe", "", " -> own<pollable>", subscribe, struct self_args, void *),
    TCP("shutdown", ", enum(3)", " -> result<_, error-code>", deny, struct self_u32_args, struct small_result),
};
static const struct wisp_host_resource tcp_resources[] = {{.name = "tcp-socket"}};
const struct wisp_host_interface wisp_wasi_sockets_tcp = {
    .name = "wasi:sockets/tcp",
    .version = WISP_WASI_VERSION,
    .funcs = tcp_funcs,
    .n_funcs = WISP_COUNT(tcp_funcs),
    .resources = tcp_resources,
    .n_resources = WISP_COUNT(tcp_resources),
    .types = tcp_types,
};

static const char *const create_types[] = {ERROR_CODE, FAMILY, NULL};
static const struct wisp_host_func tcp_create_funcs[] = {
    {"create-tcp-socket", "(ip-address-family) -> result<own<tcp-socket>, error-code>", deny_handle,
     WISP_HOST_SIZES(uint32_t, struct handle_result)},
};
const struct wisp_host_interface wisp_wasi_sockets_tcp_create_socket = {
    .name = "wasi:sockets/tcp-create-socket",
    .version = WISP_WASI_VERSION,
    .funcs = tcp_create_funcs,
    .n_funcs = WISP_COUNT(tcp_create_funcs),
    .types = create_types,
};

/* --- udp --- */

#define UDP(name, params, result, fn, args, result_type)                                                               \
    {"[method]udp-socket." name, "(borrow<udp-socket>" params ")" result, fn, WISP_HOST_SIZES(args, result_type)}
#define UDP_GET_U64(name) UDP(name, "", " -> result<u64, error-code>", deny_u64, struct self_args, struct u64_result)
#define UDP_SET_U64(name)                                                                                              \
    UDP(name, ", u64", " -> result<_, error-code>", deny, struct self_u64_args, struct small_result)
#define UDP_ADDRESS(name)                                                                                              \
    UDP(name, "", " -> result<ip-socket-address, error-code>", deny_address, struct self_args, struct address_result)

static const char *const udp_types[] = {
    ERROR_CODE,
    FAMILY,
    IPV4,
    IPV6,
    SOCKET_ADDRESS,
    "incoming-datagram = record{list<u8>, ip-socket-address}",
    "outgoing-datagram = record{list<u8>, option<ip-socket-address>}",
    NULL,
};
static const struct wisp_host_func udp_funcs[] = {
    UDP("start-bind", ", borrow<network>, ip-socket-address", " -> result<_, error-code>", deny, struct address_args,
        struct small_result),
    UDP("finish-bind", "", " -> result<_, error-code>", deny, struct self_args, struct small_result),
    UDP("stream", ", option<ip-socket-address>",
        " -> result<tuple<own<incoming-datagram-stream>, own<outgoing-datagram-stream>>, error-code>", deny_handles2,
        struct optional_address_args, struct handles2_result),
    UDP_ADDRESS("local-address"),
    UDP_ADDRESS("remote-address"),
    UDP("address-family", "", " -> ip-address-family", family_ipv4, struct self_args, uint32_t),
    UDP("unicast-hop-limit", "", " -> result<u8, error-code>", deny, struct self_args, struct small_result),
    UDP("set-unicast-hop-limit", ", u8", " -> result<_, error-code>", deny, struct self_u8_args, struct small_result),
    UDP_GET_U64("receive-buffer-size"),
    UDP_SET_U64("set-receive-buffer-size"),
    UDP_GET_U64("send-buffer-size"),
    UDP_SET_U64("set-send-buffer-size"),
    UDP("subscribe", "", " -> own<pollable>", subscribe, struct self_args, void *),
    {"[method]incoming-datagram-stream.receive",
     "(borrow<incoming-datagram-stream>, u64) -> result<list<incoming-datagram>, error-code>", deny_list,
     WISP_HOST_SIZES(struct self_u64_args, struct list_result)},
    {"[method]incoming-datagram-stream.subscribe", "(borrow<incoming-datagram-stream>) -> own<pollable>", subscribe,
     WISP_HOST_SIZES(struct self_args, void *)},
    {"[method]outgoing-datagram-stream.check-send", "(borrow<outgoing-datagram-stream>) -> result<u64, error-code>",
     deny_u64, WISP_HOST_SIZES(struct self_args, struct u64_result)},
    {"[method]outgoing-datagram-stream.send",
     "(borrow<outgoing-datagram-stream>, list<outgoing-datagram>) -> result<u64, error-code>", deny_u64,
     WISP_HOST_SIZES(struct self_list_args, struct u64_result)},
    {"[method]outgoing-datagram-stream.subscribe", "(borrow<outgoing-datagram-stream>) -> own<pollable>", subscribe,
     WISP_HOST_SIZES(struct self_args, void *)},
};
static const struct wisp_host_resource udp_resources[] = {
    {.name = "udp-socket"}, {.name = "incoming-datagram-stream"}, {.name = "outgoing-datagram-stream"}};
const struct wisp_host_interface wisp_wasi_sockets_udp = {
    .name = "wasi:sockets/udp",
    .version = WISP_WASI_VERSION,
    .funcs = udp_funcs,
    .n_funcs = WISP_COUNT(udp_funcs),
    .resources = udp_resources,
    .n_resources = WISP_COUNT(udp_resources),
    .types = udp_types,
};

static const struct wisp_host_func udp_create_funcs[] = {
    {"create-udp-socket", "(ip-address-family) -> result<own<udp-socket>, error-code>", deny_handle,
     WISP_HOST_SIZES(uint32_t, struct handle_result)},
};
const struct wisp_host_interface wisp_wasi_sockets_udp_create_socket = {
    .name = "wasi:sockets/udp-create-socket",
    .version = WISP_WASI_VERSION,
    .funcs = udp_create_funcs,
    .n_funcs = WISP_COUNT(udp_create_funcs),
    .types = create_types,
};
