/* SPDX-License-Identifier: Apache-2.0 */
/* The bus of a host and the state behind it: which it is, and what happens when it goes away.
 *
 *     NATS servers named             connect; JetStream keeps the state
 *     else our address is free       embedded bus
 *     else                           join what is there: another host's bus, or a NATS server
 *
 * On a bus without JetStream one host keeps the state for all: whoever answers already, or else this one. A host that
 * joined a bus at the place where its own would be puts one there when that bus has gone. */
#include "host/agent_priv.h"

#include "base/log.h"
#include "base/parse.h"
#include "host/service_notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PROBE_TIMEOUT_MS = 300,
    RETRY_MS = 250, /* and up to twice that */
};

static void look_for_state(struct wisp_agent *agent);

/* --- the embedded bus --- */

static void name_bus(struct wisp_agent *agent)
{
    snprintf(agent->bus_url, sizeof agent->bus_url, "nats://%s:%u", agent->bus_host, agent->bus_port);
}

/* For verbs and other hosts of this machine. */
static void note_bus(struct wisp_agent *agent)
{
    struct wisp_err err = {0};
    if (wisp_paths_write(agent->paths.state, "bus.url", wisp_str_from(agent->bus_url), &err) < 0)
        WISP_LOG(WARN, "host", "others on this machine may not find the bus", WISP_TEXT("error", err.text));
}

static int serve_bus(struct wisp_agent *agent, struct wisp_err *err)
{
    const struct wisp_agent_options *options = agent->options;
    const struct wisp_bus_server_options server = {
        .host = agent->bus_host,
        .port = agent->bus_port,
        .unix_path = agent->paths.socket,
        .server_name = "wisp",
        .token = options->bus_token,
        .tls = {options->bus_tls_cert_path, options->bus_tls_key_path, options->bus_tls_client_ca_path,
                options->is_bus_tls_first},
    };
    int r = wisp_bus_server_new(&agent->server, &agent->loop, &server, err);
    if (r < 0) return r;
    agent->bus_port = wisp_bus_server_port(agent->server);
    name_bus(agent);
    note_bus(agent);
    return 0;
}

/* The bus whose socket is in our state directory may be at another address than ours would be. */
static void find_neighbour(struct wisp_agent *agent)
{
    static const struct wisp_str scheme = WISP_STR_INIT("nats://");
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    if (wisp_paths_read(agent->paths.state, "bus.url", &url, NULL) < 0) return;
    struct wisp_str text = wisp_buf_str(&url);
    const char *colon = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    uint64_t port;
    if (!colon || !wisp_str_starts_with(text, scheme) || colon < text.ptr + scheme.len) return;
    struct wisp_str host = {text.ptr + scheme.len, (size_t)(colon - text.ptr) - scheme.len};
    if (wisp_parse_u64((struct wisp_str){colon + 1, text.len - (size_t)(colon + 1 - text.ptr)}, 65535, &port, NULL) < 0)
        return;
    snprintf(agent->bus_host, sizeof agent->bus_host, "%.*s", WISP_STR_ARG(host));
    agent->bus_port = (uint16_t)port;
    name_bus(agent);
}

/* --- connecting --- */

static void on_bus_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env);

static void fill_connection(struct wisp_bus_client_options *client, const struct wisp_agent_connection *connection)
{
    client->jwt = connection->jwt;
    client->seed = connection->seed;
    client->creds_path = connection->creds_path;
    client->tls.is_required = connection->is_tls;
    client->tls.is_first = connection->is_tls_first;
    client->tls.ca_path = connection->tls_ca_path;
    client->tls.cert_path = connection->tls_cert_path;
    client->tls.key_path = connection->tls_key_path;
}

/* Over a pair of sockets to our own bus: it is there as long as we are. */
static int connect_inside(struct wisp_agent *agent, struct wisp_bus_client_options *client, struct wisp_err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return wisp_err_os(err, errno, "make a socket pair");
    int r = wisp_bus_server_add_fd_take(agent->server, ends[0], err);
    if (r < 0) {
        close(ends[1]);
        return r;
    }
    client->fd = ends[1];
    return wisp_bus_client_new(&agent->bus, &agent->loop, client, err);
}

static int connect_bus(struct wisp_agent *agent, struct wisp_err *err)
{
    const struct wisp_agent_options *options = agent->options;
    struct wisp_bus_client_options client = {
        .fd = -1, .name = "wisp host", .token = options->bus_token, .on_state = on_bus_state, .env = agent};
    fill_connection(&client, &options->ctl);
    if (agent->server) {
        client.token = NULL;
        memset(&client.tls, 0, sizeof client.tls);
        return connect_inside(agent, &client, err);
    }
    const char *own[] = {agent->bus_url};
    client.urls = options->n_nats_urls ? options->nats_urls : own;
    client.n_urls = options->n_nats_urls ? options->n_nats_urls : 1;
    client.gives_up_at_start = true;
    return wisp_bus_client_new(&agent->bus, &agent->loop, &client, err);
}

static void on_rpc_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    (void)env;
    if (reason && (state == WISP_BUS_RECONNECTING || state == WISP_BUS_CLOSED))
        WISP_LOG(WARN, "host", "the bus of calls can't be reached", WISP_TEXT("error", reason->text));
}

static int connect_rpc(struct wisp_agent *agent, struct wisp_err *err)
{
    const struct wisp_agent_connection *rpc = &agent->options->rpc;
    agent->rpc = agent->bus;
    if (!agent->options->has_own_rpc) return 0;
    char url[256];
    const char *urls[] = {url};
    snprintf(url, sizeof url, "nats://%s:%u", rpc->host ? rpc->host : "127.0.0.1", rpc->port ? rpc->port : WISP_BUS_PORT);
    struct wisp_bus_client_options client = {
        .fd = -1, .urls = urls, .n_urls = 1, .name = "wisp host rpc", .on_state = on_rpc_state, .env = agent};
    if (!rpc->host && !rpc->port && agent->options->n_nats_urls) {
        client.urls = agent->options->nats_urls;
        client.n_urls = agent->options->n_nats_urls;
    }
    fill_connection(&client, rpc);
    return wisp_bus_client_new(&agent->rpc, &agent->loop, &client, err);
}

int wisp_agent_bus_open(struct wisp_agent *agent, struct wisp_err *err)
{
    const struct wisp_agent_options *options = agent->options;
    snprintf(agent->bus_host, sizeof agent->bus_host, "%s", options->ctl.host ? options->ctl.host : "127.0.0.1");
    agent->bus_port = (uint16_t)(options->ctl.port ? options->ctl.port : WISP_BUS_PORT);
    name_bus(agent);
    if (!options->n_nats_urls && !options->connect_only) {
        int r = serve_bus(agent, err);
        if (r < 0 && r != -WISP_ERR_EXISTS) return wisp_err_wrap(err, "embedded bus");
        agent->joined_own_address = r < 0;
        if (r < 0 && access(agent->paths.socket, F_OK) == 0) find_neighbour(agent);
    }
    int r = connect_bus(agent, err);
    return r < 0 ? r : connect_rpc(agent, err);
}

/* --- the state --- */

static void on_change(enum wisp_state_bucket bucket, struct wisp_str key, const struct wisp_str *value,
                      uint64_t revision, void *env)
{
    struct wisp_agent *agent = env;
    if (bucket != WISP_STATE_MANIFESTS)
        wisp_lattice_on_state(agent->lattice, wisp_agent_now(agent), bucket, key, value, revision);
    wisp_agent_app_on_state(agent, bucket, key, value, revision);
}

static void on_loaded(void *env)
{
    struct wisp_agent *agent = env;
    wisp_lattice_on_state_loaded(agent->lattice, wisp_agent_now(agent));
    wisp_agent_app_on_state_loaded(agent);
    if (agent->is_ready) return;
    agent->is_ready = true;
    if (access(agent->paths.socket, F_OK) < 0) note_bus(agent); /* nobody here serves one */
    wisp_agent_perform_all(agent);
    WISP_LOG(INFO, "host", "host is up", WISP_TEXT("lattice", agent->options->lattice.lattice),
             WISP_TEXT("name", agent->options->lattice.friendly_name),
             WISP_TEXT("host", wisp_lattice_host_id(agent->lattice)));
    wisp_service_notify("READY=1");
    if (!agent->options->on_ready) return;
    agent->options->on_ready(&(struct wisp_agent_ready){wisp_lattice_host_id(agent->lattice),
                                                        agent->options->lattice.friendly_name, agent->bus_url,
                                                        agent->paths.log, agent->server != NULL,
                                                        wisp_fleet_n_workers(agent->fleet)},
                             agent->options->env);
}

static void on_retry(uv_timer_t *timer) { look_for_state(timer->data); }

static void retry_soon(struct wisp_agent *agent)
{
    uint64_t jitter = (uint64_t)(uv_hrtime() / 1000 % RETRY_MS);
    uv_timer_start(&agent->retry, on_retry, RETRY_MS + jitter, 0);
}

static void on_reachable(bool is_reachable, const struct wisp_err *reason, void *env)
{
    struct wisp_agent *agent = env;
    wisp_lattice_on_state_reachable(agent->lattice, wisp_agent_now(agent), is_reachable);
    wisp_agent_app_on_state_reachable(agent, is_reachable);
    if (is_reachable) {
        uv_timer_stop(&agent->retry);
        return;
    }
    WISP_LOG(WARN, "host", "the lattice's state can't be reached; what runs goes on",
             WISP_TEXT("error", reason ? reason->text : ""));
    if (agent->is_state_remote) retry_soon(agent);
}

static struct wisp_state_options state_options(struct wisp_agent *agent)
{
    return (struct wisp_state_options){.lattice = agent->options->lattice.lattice,
                                       .handler = {on_change, on_loaded, on_reachable},
                                       .env = agent};
}

/* Whoever holds the file keeps the state for everybody. */
static void keep_state(struct wisp_agent *agent)
{
    struct wisp_state_options options = state_options(agent);
    struct wisp_state *local;
    struct wisp_err err = {0};
    int r = wisp_state_open_local(&local, &agent->loop, agent->paths.state, agent->bus, &options, &err);
    if (r == -WISP_ERR_EXISTS) { /* another host of this machine is just about to */
        retry_soon(agent);
        return;
    }
    if (r < 0) {
        wisp_agent_fail(agent, &err);
        return;
    }
    if (agent->state) {
        WISP_LOG(INFO, "host", "this host keeps the lattice's state from now on");
        wisp_state_close(agent->state);
        wisp_lattice_on_state_opened(agent->lattice, wisp_agent_now(agent));
        wisp_agent_app_on_state_opened(agent);
    }
    agent->state = local;
    agent->is_state_remote = false;
}

static void on_probed(bool is_there, void *env)
{
    struct wisp_agent *agent = env;
    agent->is_probing = false;
    if (agent->is_stopping || (agent->state && !agent->is_state_remote)) return;
    if (!is_there) {
        keep_state(agent);
        return;
    }
    if (agent->state) return; /* it finds its way back by itself */
    struct wisp_state_options options = state_options(agent);
    struct wisp_err err = {0};
    agent->is_state_remote = true;
    if (wisp_state_open_remote(&agent->state, &agent->loop, agent->bus, &options, &err) < 0)
        wisp_agent_fail(agent, &err);
}

/* Only hosts of the owner's machine can take its place: the state is in that machine's directory. */
static bool may_keep_state(const struct wisp_agent *agent)
{
    return !agent->state || !agent->options->n_nats_urls;
}

static void take_over_bus(struct wisp_agent *agent)
{
    struct wisp_err err;
    if (!agent->joined_own_address || agent->server || serve_bus(agent, &err) < 0) return;
    agent->joined_own_address = false;
    WISP_LOG(INFO, "host", "the bus is gone; this host serves it from now on", WISP_TEXT("url", agent->bus_url));
}

static void look_for_state(struct wisp_agent *agent)
{
    bool keeps_state = agent->state && !agent->is_state_remote; /* perhaps on another host's bus */
    if (agent->is_stopping) return;
    if (wisp_bus_client_state(agent->bus) != WISP_BUS_CONNECTED) {
        take_over_bus(agent);
        if (!keeps_state || agent->joined_own_address) retry_soon(agent);
        return;
    }
    if (keeps_state || agent->is_probing || !may_keep_state(agent)) return;
    agent->is_probing = true;
    wisp_state_probe_remote(agent->bus, agent->options->lattice.lattice, PROBE_TIMEOUT_MS, on_probed, agent);
}

static void open_state(struct wisp_agent *agent)
{
    if (!wisp_bus_client_has_jetstream(agent->bus)) {
        look_for_state(agent);
        return;
    }
    struct wisp_state_options options = state_options(agent);
    struct wisp_err err = {0};
    if (wisp_state_open_jetstream(&agent->state, &agent->loop, agent->bus, agent->options->lattice.js_domain, &options,
                                  &err) < 0)
        wisp_agent_fail(agent, &err);
}

/* --- what happens to the connection --- */

static void on_connected(struct wisp_agent *agent)
{
    WISP_LOG(INFO, "host", agent->server ? "serving the bus" : "connected to the bus",
             WISP_TEXT("url", agent->server ? agent->bus_url : wisp_bus_client_url(agent->bus)));
    if (agent->lattice) {
        wisp_lattice_on_bus(agent->lattice, wisp_agent_now(agent), true);
        wisp_agent_app_on_bus(agent, true);
        return;
    }
    if (agent->options->n_nats_urls) snprintf(agent->bus_url, sizeof agent->bus_url, "%s", wisp_bus_client_url(agent->bus));
    struct wisp_err err = {0};
    if (wisp_agent_lattice_open(agent, &err) < 0)
        wisp_agent_fail(agent, &err);
    else
        open_state(agent);
}

static void on_bus_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    struct wisp_agent *agent = env;
    if (agent->is_stopping) return;
    if (state == WISP_BUS_CONNECTED) {
        on_connected(agent);
    } else if (state == WISP_BUS_CLOSED && !agent->lattice) {
        struct wisp_err err = *reason;
        /* It names the server; the URLs as they were given may hold a password. */
        wisp_err_wrap(&err, "no way to the bus");
        wisp_agent_fail(agent, &err);
    } else if (state == WISP_BUS_CLOSED || state == WISP_BUS_RECONNECTING) {
        WISP_LOG(WARN, "host", "the bus can't be reached; what runs goes on",
                 WISP_TEXT("error", reason ? reason->text : ""));
        if (agent->lattice) wisp_lattice_on_bus(agent->lattice, wisp_agent_now(agent), false);
        wisp_agent_app_on_bus(agent, false);
        if (agent->joined_own_address) retry_soon(agent);
    }
}

void wisp_agent_bus_close(struct wisp_agent *agent)
{
    if (agent->state) wisp_state_close(agent->state);
    agent->state = NULL;
    if (agent->rpc != agent->bus) wisp_bus_client_free(agent->rpc);
    wisp_bus_client_free(agent->bus);
    if (agent->server) wisp_bus_server_free(agent->server);
    agent->bus = agent->rpc = NULL;
    agent->server = NULL;
}
