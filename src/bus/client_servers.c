/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <stdlib.h>

static void server_deinit(struct wisp_bus_server_url *server)
{
    free(server->host);
    free(server->path);
    free(server->tls_name);
    free(server->user);
    wisp_mem_wipe(server->password);
    wisp_mem_wipe(server->token);
    free(server->shown);
}

void wisp_bus_servers_deinit(struct wisp_bus_servers *servers)
{
    for (size_t i = 0; i < servers->count; i++) server_deinit(&servers->list[i]);
    free(servers->list);
    *servers = (struct wisp_bus_servers){0};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *dup_unescaped(struct wisp_str text)
{
    char *copy = wisp_mem_alloc(text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool is_escape = text.ptr[i] == '%' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 &&
                         hex_digit(text.ptr[i + 2]) >= 0;
        copy[n++] = is_escape ? (char)(hex_digit(text.ptr[i + 1]) * 16 + hex_digit(text.ptr[i + 2])) : text.ptr[i];
        if (is_escape) i += 2;
    }
    copy[n] = '\0';
    return copy;
}

/* "USER:PASSWORD", or a token. */
static void parse_user_info(struct wisp_str info, struct wisp_bus_server_url *server)
{
    struct wisp_str user, password;
    if (!info.len) return;
    if (wisp_str_split(info, ':', &user, &password)) {
        server->user = dup_unescaped(user);
        server->password = dup_unescaped(password);
    } else {
        server->token = dup_unescaped(info);
    }
}

/* The last one splits: passwords with a bare '@' are common. */
static bool split_last(struct wisp_str s, char c, struct wisp_str *ret_head, struct wisp_str *ret_tail)
{
    const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;
    if (!at) return false;
    struct wisp_str whole = s;
    *ret_head = (struct wisp_str){whole.ptr, (size_t)(at - whole.ptr)};
    *ret_tail = (struct wisp_str){at + 1, whole.len - ret_head->len - 1};
    return true;
}

static bool host_is_plausible(struct wisp_str host)
{
    if (!host.len || host.len > 255) return false;
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] >= 0x7f || strchr("/[]@?#\"\\", host.ptr[i])) return false;
    return true;
}

/* "HOST[:PORT]", "[IPV6][:PORT]". */
static int parse_place(struct wisp_str place, struct wisp_bus_server_url *server, struct wisp_err *err)
{
    struct wisp_str host = place, rest = {0}, port = {0};
    uint64_t number = WISP_BUS_PORT;
    if (place.len && place.ptr[0] == '[') {
        if (!wisp_str_split(place, ']', &host, &rest) || (rest.len && rest.ptr[0] != ':'))
            return wisp_err_set(err, WISP_ERR_INVALID, "not an address: `%.*s`", WISP_STR_ARG(place));
        host = (struct wisp_str){host.ptr + 1, host.len - 1};
        port = rest.len ? (struct wisp_str){rest.ptr + 1, rest.len - 1} : rest;
    } else if (split_last(place, ':', &host, &port) && memchr(host.ptr, ':', host.len)) {
        host = place; /* an IPv6 address without brackets */
        port.len = 0;
    }
    if (!host_is_plausible(host)) return wisp_err_set(err, WISP_ERR_INVALID, "not a host: `%.*s`", WISP_STR_ARG(host));
    if (port.len && (wisp_parse_u64(port, 65535, &number, err) < 0 || !number))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a port: `%.*s`", WISP_STR_ARG(port));
    server->host = wisp_mem_dup(host);
    server->port = (uint16_t)number;
    server->tls_name = wisp_mem_dup(host);
    return 0;
}

static void show(struct wisp_bus_server_url *server)
{
    struct wisp_buf text = {0};
    if (server->path)
        wisp_buf_printf(&text, "unix:%s", server->path);
    else
        wisp_buf_printf(&text, strchr(server->host, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
                        server->wants_tls ? "tls" : "nats", server->host, server->port);
    wisp_buf_append_char(&text, '\0');
    server->shown = text.data;
}

static bool take_scheme(struct wisp_str *url, const char *scheme)
{
    struct wisp_str prefix = wisp_str_from(scheme);
    if (!wisp_str_starts_with(*url, prefix)) return false;
    *url = (struct wisp_str){url->ptr + prefix.len, url->len - prefix.len};
    return true;
}

static int parse(struct wisp_str url, struct wisp_bus_server_url *server, struct wisp_err *err)
{
    struct wisp_str rest = url, user_info = {0};
    if (take_scheme(&rest, "unix://") || take_scheme(&rest, "unix:")) {
        while (wisp_str_starts_with(rest, WISP_STR("//"))) rest = (struct wisp_str){rest.ptr + 1, rest.len - 1};
        if (!rest.len || rest.len > 100 || memchr(rest.ptr, '\0', rest.len))
            return wisp_err_set(err, WISP_ERR_INVALID, "a Unix socket's path has 1 to 100 bytes");
        server->path = wisp_mem_dup(rest);
    } else {
        server->wants_tls = take_scheme(&rest, "tls://");
        if (!server->wants_tls) take_scheme(&rest, "nats://");
        if (memmem(rest.ptr, rest.len, "://", 3))
            return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "a bus's url begins with nats://, tls:// or unix:");
        if (split_last(rest, '@', &user_info, &rest)) parse_user_info(user_info, server);
        if (rest.len && rest.ptr[rest.len - 1] == '/') rest.len--;
        int r = parse_place(rest, server, err);
        if (r < 0) return r;
    }
    show(server);
    return 0;
}

static struct wisp_bus_server_url *append(struct wisp_bus_servers *servers)
{
    servers->list = wisp_mem_realloc(servers->list, (servers->count + 1) * sizeof *servers->list);
    struct wisp_bus_server_url *server = &servers->list[servers->count++];
    *server = (struct wisp_bus_server_url){0};
    return server;
}

static void remove_at(struct wisp_bus_servers *servers, size_t at)
{
    server_deinit(&servers->list[at]);
    servers->count--;
    memmove(&servers->list[at], &servers->list[at + 1], (servers->count - at) * sizeof *servers->list);
    if (servers->next > at) servers->next--;
}

int wisp_bus_servers_add(struct wisp_bus_servers *servers, struct wisp_str url, struct wisp_err *err)
{
    if (servers->count >= WISP_BUS_SERVERS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d servers", WISP_BUS_SERVERS_MAX);
    int r = parse(url, append(servers), err);
    if (r < 0) remove_at(servers, servers->count - 1);
    return r;
}

static void swap(struct wisp_bus_server_url *a, struct wisp_bus_server_url *b)
{
    struct wisp_bus_server_url moved = *a;
    *a = *b;
    *b = moved;
}

void wisp_bus_servers_shuffle(struct wisp_bus_servers *servers, uint64_t (*random)(void))
{
    struct wisp_bus_server_url *list = servers->list;
    size_t n_near = 0; /* nothing is nearer than a Unix socket */
    for (size_t i = 0; i < servers->count; i++)
        if (list[i].path) swap(&list[i], &list[n_near++]);
    for (size_t n = servers->count; n > n_near + 1; n--) swap(&list[n - 1], &list[n_near + random() % (n - n_near)]);
}

void wisp_bus_servers_put_last(struct wisp_bus_servers *servers, size_t current)
{
    servers->next = 0;
    if (current >= servers->count) return;
    struct wisp_bus_server_url moved = servers->list[current];
    memmove(&servers->list[current], &servers->list[current + 1],
            (servers->count - current - 1) * sizeof *servers->list);
    servers->list[servers->count - 1] = moved;
}

static bool is_same_place(const struct wisp_bus_server_url *a, const struct wisp_bus_server_url *b)
{
    return a->host && b->host && a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool is_named(const json_t *connect_urls, const struct wisp_bus_server_url *server)
{
    size_t i;
    const json_t *item;
    json_array_foreach(connect_urls, i, item)
    {
        struct wisp_bus_server_url other = {0};
        struct wisp_str text = {json_string_value(item), json_string_length(item)};
        bool is_same = text.len && parse_place(text, &other, NULL) == 0 && is_same_place(server, &other);
        server_deinit(&other);
        if (is_same) return true;
    }
    return false;
}

static size_t forget(struct wisp_bus_servers *servers, size_t current, const json_t *connect_urls)
{
    for (size_t i = servers->count; i-- > 0;) {
        if (i == current || !servers->list[i].is_learned || is_named(connect_urls, &servers->list[i])) continue;
        remove_at(servers, i);
        if (i < current) current--;
    }
    return current;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static void learn(struct wisp_bus_servers *servers, size_t current, struct wisp_str text)
{
    if (servers->count >= WISP_BUS_SERVERS_MAX) return;
    struct wisp_bus_server_url *server = append(servers), *teller = &servers->list[current];
    bool is_known = parse_place(text, server, NULL) < 0;
    for (size_t i = 0; !is_known && i + 1 < servers->count; i++) is_known = is_same_place(&servers->list[i], server);
    if (is_known) {
        remove_at(servers, servers->count - 1);
        return;
    }
    server->is_learned = true;
    server->wants_tls = teller->wants_tls;
    if (teller->user) server->user = wisp_mem_dup(wisp_str_from(teller->user));
    if (teller->password) server->password = wisp_mem_dup(wisp_str_from(teller->password));
    if (teller->token) server->token = wisp_mem_dup(wisp_str_from(teller->token));
    if (is_address(server->host) && teller->tls_name) {
        free(server->tls_name);
        server->tls_name = wisp_mem_dup(wisp_str_from(teller->tls_name));
    }
    show(server);
}

size_t wisp_bus_servers_learn(struct wisp_bus_servers *servers, size_t current, const json_t *connect_urls)
{
    if (!json_array_size(connect_urls) || json_array_size(connect_urls) > WISP_BUS_SERVERS_MAX) return current;
    current = forget(servers, current, connect_urls);
    size_t i;
    const json_t *item;
    json_array_foreach(connect_urls, i, item)
        learn(servers, current, (struct wisp_str){json_string_value(item), json_string_length(item)});
    return current;
}
