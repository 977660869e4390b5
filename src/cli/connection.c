/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/connection.h"

#include "base/json.h"
#include "cli/context.h"
#include "host/paths.h"
#include "nkeys/nkeys.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const char *const booleans[] = {"false", "true", NULL};

#define FIELD(name) .offset = offsetof(struct wisp_connection, name)
static const struct wisp_arg_option options[] = {
    {.name = "ctl-host",
     .aliases = "rpc-host",
     .letter = 'r',
     .kind = WISP_ARG_TEXT,
     .value = "HOST",
     FIELD(host),
     .env = "WISP_CTL_HOST WASMCLOUD_CTL_HOST",
     .help = "name, address or nats:// URL of the bus [this machine's, else 127.0.0.1]"},
    {.name = "ctl-port",
     .aliases = "rpc-port",
     .letter = 'p',
     .kind = WISP_ARG_NUMBER,
     .value = "PORT",
     FIELD(port),
     .max = 65535,
     .is_positive = true,
     .env = "WISP_CTL_PORT WASMCLOUD_CTL_PORT",
     .help = "its port [4222]"},
    {.name = "lattice",
     .letter = 'x',
     .kind = WISP_ARG_TEXT,
     .value = "LATTICE",
     FIELD(lattice),
     .env = "WISP_LATTICE WASMCLOUD_LATTICE",
     .help = "name of the lattice [default]"},
    {.name = "timeout-ms",
     .aliases = "rpc-timeout-ms",
     .letter = 't',
     .kind = WISP_ARG_MILLISECONDS,
     .value = "TIME",
     FIELD(timeout_ms),
     .is_positive = true,
     .env = "WISP_CTL_TIMEOUT_MS WASMCLOUD_CTL_TIMEOUT_MS",
     .help = "patience with each answer, in ms or as 5s [2000]"},
    {.name = "context",
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     FIELD(context),
     .env = "WISP_CONTEXT",
     .help = "settings kept under that name [the default one of `wisp ctx list`]"},
    {.name = "ctl-jwt",
     .aliases = "rpc-jwt",
     .kind = WISP_ARG_TEXT,
     .value = "JWT",
     FIELD(jwt),
     .env = "WISP_CTL_JWT WASMCLOUD_CTL_JWT",
     .help = "user JWT, or a file that holds it"},
    {.name = "ctl-seed",
     .aliases = "rpc-seed",
     .kind = WISP_ARG_TEXT,
     .value = "SEED",
     FIELD(seed),
     .env = "WISP_CTL_SEED WASMCLOUD_CTL_SEED",
     .help = "nkey seed, or a file that holds it; without a JWT: plain nkey"},
    {.name = "ctl-credsfile",
     .aliases = "rpc-credsfile",
     .kind = WISP_ARG_TEXT,
     .value = "FILE",
     FIELD(creds_path),
     .env = "WISP_CTL_CREDS WASH_CTL_CREDS",
     .completion = WISP_COMPLETE_FILES,
     .help = "NATS credentials; used when no JWT is given"},
    {.name = "ctl-token",
     .kind = WISP_ARG_TEXT,
     .value = "TOKEN",
     FIELD(token),
     .env = "WISP_CTL_TOKEN",
     .help = "token of the bus"},
    {.name = "ctl-tls-ca-file",
     .aliases = "rpc-ca-file",
     .kind = WISP_ARG_TEXT,
     .value = "FILE",
     FIELD(tls_ca_path),
     .env = "WISP_CTL_TLS_CA_FILE WASH_CTL_TLS_CA_FILE",
     .completion = WISP_COMPLETE_FILES,
     .help = "who signs the bus's certificate; TLS is then a must"},
    {.name = "ctl-tls-cert-file",
     .aliases = "tlscert",
     .kind = WISP_ARG_TEXT,
     .value = "FILE",
     FIELD(tls_cert_path),
     .env = "WISP_CTL_TLS_CERT_FILE NATS_CERT",
     .completion = WISP_COMPLETE_FILES,
     .help = "client certificate; TLS is then a must"},
    {.name = "ctl-tls-key-file",
     .aliases = "tlskey",
     .kind = WISP_ARG_TEXT,
     .value = "FILE",
     FIELD(tls_key_path),
     .env = "WISP_CTL_TLS_KEY_FILE NATS_KEY",
     .completion = WISP_COMPLETE_FILES,
     .help = "its key"},
    {.name = "ctl-tls-first",
     .kind = WISP_ARG_CHOICE,
     .value = "BOOL",
     FIELD(tls_first),
     .choices = booleans,
     .implied = "true",
     .env = "WISP_CTL_TLS_FIRST WASH_CTL_TLS_FIRST",
     .help = "TLS before anything else [false]"},
    {.name = "ctl-topic-prefix",
     .kind = WISP_ARG_TEXT,
     .value = "SUBJECT",
     FIELD(topic_prefix),
     .env = "WISP_CTL_TOPIC_PREFIX WASMCLOUD_CTL_TOPIC_PREFIX",
     .help = "what control subjects begin with [wasmbus.ctl]"},
    {.name = "js-domain",
     .aliases = "domain",
     .kind = WISP_ARG_TEXT,
     .value = "DOMAIN",
     FIELD(js_domain),
     .env = "WISP_JS_DOMAIN WASMCLOUD_JS_DOMAIN",
     .help = "JetStream domain; no verb of today's needs it"},
};

const struct wisp_arg_shared wisp_connection_options = {
    .heading = "connection (variables: `wisp help connection`)", .options = options, .n_options = WISP_COUNT(options)};

/* --- what the context says --- */

static const char *text_of(const json_t *context, const char *key, struct wisp_arena *arena)
{
    struct wisp_str text = wisp_json_str(context, key);
    return text.len ? wisp_arena_cstr(arena, text) : NULL;
}

static void fill(const char **field, const json_t *context, const char *key, struct wisp_arena *arena)
{
    if (!*field) *field = text_of(context, key, arena);
}

static void fill_from_context(struct wisp_connection *given, const json_t *context, struct wisp_arena *arena)
{
    uint64_t port = wisp_json_u64(context, "ctl_port", 0);
    if (!given->host && !given->port && port <= 65535) given->port = (uint32_t)port;
    fill(&given->host, context, "ctl_host", arena);
    /* One kind of credential is not mixed with another's half. */
    if (!given->jwt && !given->seed && !given->creds_path && !given->token) {
        fill(&given->jwt, context, "ctl_jwt", arena);
        fill(&given->seed, context, "ctl_seed", arena);
        fill(&given->creds_path, context, "ctl_credsfile", arena);
        fill(&given->token, context, "ctl_token", arena);
    }
    fill(&given->tls_ca_path, context, "ctl_tls_ca_file", arena);
    fill(&given->tls_cert_path, context, "ctl_tls_cert_file", arena);
    fill(&given->tls_key_path, context, "ctl_tls_key_file", arena);
    if (given->tls_first < 0) given->tls_first = wisp_json_bool(context, "ctl_tls_first", false);
    fill(&given->lattice, context, "lattice", arena);
    fill(&given->lattice, context, "lattice_prefix", arena);
    fill(&given->js_domain, context, "js_domain", arena);
    if (!given->timeout_ms) given->timeout_ms = wisp_json_u64(context, "ctl_timeout", 0);
}

/* --- what that comes to --- */

/* The text itself, or what the file of that name holds. */
static int file_or_text(const char **field, const char *what, struct wisp_arena *arena, struct wisp_err *err)
{
    struct stat status;
    if (!*field || stat(*field, &status) < 0 || !S_ISREG(status.st_mode)) return 0;
    const char *slash = strrchr(*field, '/');
    char directory[WISP_PATH_MAX / 2];
    struct wisp_str folder = slash ? (struct wisp_str){*field, (size_t)(slash - *field)} : WISP_STR(".");
    const char *name = slash ? slash + 1 : *field;
    if (folder.len >= sizeof directory || strlen(name) > NAME_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "%s: the file's path is too long", what);
    snprintf(directory, sizeof directory, "%.*s", WISP_STR_ARG(folder));
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    int r = wisp_paths_read(slash == *field ? "/" : directory, name, &text, err);
    if (r < 0) return wisp_err_wrap(err, "%s", what);
    while (text.len && strchr(" \t\r\n", text.data[text.len - 1])) text.len--;
    *field = wisp_arena_cstr(arena, wisp_buf_str(&text));
    return 0;
}

/* A JWT may be one that asks for no signature, but the protocol wants one all the same. */
static const char *throw_away_seed(struct wisp_arena *arena)
{
    WISP_CLEANUP_NKEY struct wisp_nkey key;
    wisp_nkey_generate(&key, WISP_NKEY_USER);
    char *text = wisp_arena_alloc(arena, WISP_NKEY_SEED_LEN + 1);
    wisp_nkey_seed_text(&key, text);
    return text;
}

/* A host that was killed leaves its socket behind. */
static bool is_answered(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return false;
    memcpy(address.sun_path, path, strlen(path) + 1);
    WISP_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return false;
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
}

/* Where the hosts that run here are, though none of them serves the bus. */
static const char *joined_url(const struct wisp_paths *paths, struct wisp_arena *arena)
{
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    bool is_running = false;
    for (uint32_t i = 0; i < WISP_PATHS_HOSTS_MAX && !is_running; i++)
        is_running = wisp_paths_running_pid(paths, i) != 0;
    if (!is_running || wisp_paths_read(paths->state, "bus.url", &url, NULL) < 0) return NULL;
    return wisp_arena_cstr(arena, wisp_buf_str(&url));
}

/* This machine's embedded bus, or what its hosts have joined, when nothing says where to go. */
static const char *local_url(const char *lattice, struct wisp_arena *arena)
{
    struct wisp_paths paths;
    if (wisp_paths_init(&paths, NULL, lattice, NULL) < 0) return NULL;
    if (!is_answered(paths.socket)) return joined_url(&paths, arena);
    return wisp_arena_printf(arena, "unix:%s", paths.socket);
}

static const char *find_url(const struct wisp_connection *given, struct wisp_arena *arena)
{
    const char *host = given->host ? given->host : "127.0.0.1";
    if (strstr(host, "://") || strncmp(host, "unix:", 5) == 0) return host;
    const char *local = given->host || given->port ? NULL : local_url(given->lattice, arena);
    if (local) return local;
    bool is_ipv6 = strchr(host, ':') && *host != '[';
    return wisp_arena_printf(arena, "nats://%s%s%s:%u", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "",
                             given->port ? given->port : WISP_BUS_PORT);
}

/* Tokens of subjects: "prefix" may have several. */
static int check_subject(const char *text, const char *what, struct wisp_err *err)
{
    if (wisp_bus_subject_is_valid(wisp_str_from(text))) return 0;
    return wisp_err_set(err, WISP_ERR_USAGE, "`%s` can't be %s: no blanks, no wildcards", text, what);
}

static int settle(struct wisp_connection *given, struct wisp_arena *arena, struct wisp_connection_settings *settings,
                  struct wisp_err *err)
{
    if (!given->lattice) given->lattice = "default";
    int r = check_subject(given->lattice, "the name of a lattice", err);
    if (r == 0) r = check_subject(given->topic_prefix ? given->topic_prefix : "x", "a prefix of subjects", err);
    if (r == 0 && strchr(given->lattice, '.'))
        r = wisp_err_set(err, WISP_ERR_USAGE, "`%s` can't be the name of a lattice: no dots", given->lattice);
    if (r == 0) r = file_or_text(&given->jwt, "JWT", arena, err);
    if (r == 0) r = file_or_text(&given->seed, "seed", arena, err);
    if (r < 0) return r;
    if (given->jwt && !given->seed) given->seed = throw_away_seed(arena);
    const char **urls = WISP_NEW_ARRAY(arena, const char *, 1);
    urls[0] = find_url(given, arena);
    *settings = (struct wisp_connection_settings){
        .lattice = given->lattice,
        .topic_prefix = given->topic_prefix ? given->topic_prefix : "wasmbus.ctl",
        .js_domain = given->js_domain,
        .timeout_ms = given->timeout_ms ? given->timeout_ms : WISP_CONNECTION_TIMEOUT_MS,
        .is_timeout_given = given->timeout_ms && given->timeout_ms != WISP_CONNECTION_TIMEOUT_MS,
        .bus = {.urls = urls,
                .n_urls = 1,
                .fd = -1,
                .name = "wisp",
                .token = given->token,
                .jwt = given->jwt,
                .seed = given->seed,
                .creds_path = given->jwt ? NULL : given->creds_path,
                .tls = {.is_required = given->tls_ca_path || given->tls_cert_path,
                        .is_first = given->tls_first == 1,
                        .ca_path = given->tls_ca_path,
                        .cert_path = given->tls_cert_path,
                        .key_path = given->tls_key_path}},
    };
    return 0;
}

int wisp_connection_resolve(const struct wisp_connection *given, struct wisp_arena *arena,
                            struct wisp_connection_settings *ret_settings, struct wisp_err *err)
{
    char directory[WISP_HOME_PATH_MAX];
    WISP_CLEANUP_JSON json_t *context = NULL;
    int r = wisp_home_directory("contexts", NULL, directory, err);
    if (r == 0)
        r = wisp_context_load(directory, given->context, &context, err);
    else if (!given->context)
        r = 0; /* where nobody has a home there are no contexts */
    if (r < 0) return r;
    struct wisp_connection filled = *given;
    fill_from_context(&filled, context, arena);
    return settle(&filled, arena, ret_settings, err);
}
