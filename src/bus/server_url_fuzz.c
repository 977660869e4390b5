/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are URLs that a user gave; a last line in brackets is what a server says of its cluster. How a server is shown
 * has no secret in it, and is understood as the same server. */
#include "bus/client_priv.h"

#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shown(const struct wisp_bus_server_url *server)
{
    struct wisp_bus_servers again = {0};
    struct wisp_str shown = wisp_str_from(server->shown);
    if (wisp_bus_servers_add(&again, shown, NULL) < 0) abort();
    const struct wisp_bus_server_url *same = &again.list[0];
    if (!server->host != !same->host || (server->host && strcmp(server->host, same->host) != 0)) abort();
    if (!server->path != !same->path || (server->path && strcmp(server->path, same->path) != 0)) abort();
    if (same->user || same->password || same->token) abort();
    if (server->host && (server->port != same->port || server->wants_tls != same->wants_tls)) abort();
    wisp_bus_servers_deinit(&again);
}

static void learn(struct wisp_bus_servers *servers, struct wisp_str text)
{
    WISP_CLEANUP_JSON json_t *urls = NULL;
    if (servers->count == 0 || wisp_json_parse(text, &urls, NULL) < 0) return;
    size_t current = text.len % servers->count;
    const char *host = servers->list[current].host;
    current = wisp_bus_servers_learn(servers, current, urls);
    if (current >= servers->count || servers->list[current].host != host) abort();
    current = wisp_bus_servers_learn(servers, current, urls);
    if (current >= servers->count || servers->list[current].host != host) abort();
    wisp_bus_servers_put_last(servers, current);
    if (servers->list[servers->count - 1].host != host) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_bus_servers servers = {0};
    struct wisp_str text = {(const char *)data, size}, line;
    struct wisp_err err;
    for (bool more = true; more;) {
        more = wisp_str_split(text, '\n', &line, &text);
        if (!more) line = text;
        if (line.len && line.ptr[0] == '[' && !more)
            learn(&servers, line);
        else
            (void)!wisp_bus_servers_add(&servers, line, &err);
    }
    if (servers.count > WISP_BUS_SERVERS_MAX) abort();
    for (size_t i = 0; i < servers.count; i++) check_shown(&servers.list[i]);
    wisp_bus_servers_deinit(&servers);
    return 0;
}
