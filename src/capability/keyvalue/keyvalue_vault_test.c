/* SPDX-License-Identifier: Apache-2.0 */
/* Against a server of the test's own that answers as Vault does, and, unlike a real one, also wrongly when it is told
 * to. Real ones are asked in tests/interop/vault_test.py. */
#include "capability/keyvalue/keyvalue_suite.h"

enum { SECRETS_MAX = 16, REQUEST_MAX = 2 << 20 };

struct secret {
    char path[128];
    json_t *data;
    json_int_t version;
};

struct vault {
    uv_loop_t *loop;
    uv_tcp_t listener;
    char addr[64];
    struct secret secrets[SECRETS_MAX];
    unsigned n_renewals, n_lost_swaps; /* n_lost_swaps: so many writes meet another's that was quicker */
    char increment[128];
    bool forbids_renewal;
    const char *lie; /* instead of any answer */
    struct peer *peers;
};

struct peer {
    uv_tcp_t tcp;
    struct peer *next;
    struct vault *vault;
    struct wisp_buf in;
};

static void answer(struct peer *peer, int status, const char *body)
{
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    wisp_buf_printf(&out, "HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                    status, strlen(body), body);
    uv_buf_t buf = uv_buf_init(out.data, (unsigned)out.len);
    int n = 0;
    uv_stream_set_blocking((uv_stream_t *)&peer->tcp, 1);
    while (buf.len && (n = uv_try_write((uv_stream_t *)&peer->tcp, &buf, 1)) > 0) buf.base += n, buf.len -= (size_t)n;
    uv_stream_set_blocking((uv_stream_t *)&peer->tcp, 0);
}

static struct secret *secret_of(struct vault *vault, struct wisp_str path)
{
    for (int i = 0; i < SECRETS_MAX; i++) {
        struct secret *secret = &vault->secrets[i];
        if (!secret->path[0]) snprintf(secret->path, sizeof secret->path, "%.*s", WISP_STR_ARG(path));
        if (wisp_str_is(path, secret->path)) return secret;
    }
    wisp_test_fail(__FILE__, __LINE__, "too many secrets");
}

static void read_secret(struct peer *peer, const struct secret *secret)
{
    if (!secret->data) {
        answer(peer, 404, "{\"errors\":[]}");
        return;
    }
    WISP_CLEANUP_JSON json_t *body =
        json_pack("{s:{s:O, s:{s:I}}}", "data", "data", secret->data, "metadata", "version", secret->version);
    WISP_CLEANUP_FREE char *text = json_dumps(body, 0);
    answer(peer, 200, text);
}

static void write_secret(struct peer *peer, struct secret *secret, const json_t *request)
{
    struct vault *vault = peer->vault;
    const json_t *cas = json_object_get(json_object_get(request, "options"), "cas");
    if (vault->n_lost_swaps) {
        vault->n_lost_swaps--;
        secret->version++;
    }
    CHECK(json_is_integer(cas));
    if (json_integer_value(cas) != secret->version) {
        answer(peer, 400, "{\"errors\":[\"check-and-set parameter did not match the current version\"]}");
        return;
    }
    json_decref(secret->data);
    secret->data = json_deep_copy(json_object_get(request, "data"));
    CHECK(json_is_object(secret->data));
    secret->version++;
    answer(peer, 200, "{\"data\":{\"version\":1}}");
}

static void serve(struct peer *peer, struct wisp_str head, struct wisp_str body)
{
    struct vault *vault = peer->vault;
    struct wisp_str method, rest, path;
    static const char data_prefix[] = "/v1/kv/data/";
    WISP_CLEANUP_JSON json_t *request = NULL;
    CHECK(wisp_str_split(head, ' ', &method, &rest) && wisp_str_split(rest, ' ', &path, &rest));
    if (body.len) CHECK_OK(wisp_json_parse(body, &request, &err), &err);
    if (vault->lie) {
        answer(peer, 200, vault->lie);
    } else if (!memmem(head.ptr, head.len, "X-Vault-Token: s.token", 22)) {
        answer(peer, 403, "{\"errors\":[\"permission denied\"]}");
    } else if (wisp_str_is(path, "/v1/auth/token/renew-self")) {
        vault->n_renewals++;
        struct wisp_str increment = wisp_json_str(request, "increment");
        snprintf(vault->increment, sizeof vault->increment, "%.*s", WISP_STR_ARG(increment));
        answer(peer, vault->forbids_renewal ? 400 : 200, "{}");
    } else if (wisp_str_starts_with(path, wisp_str_from(data_prefix))) {
        size_t n = strlen(data_prefix);
        struct secret *secret = secret_of(vault, (struct wisp_str){path.ptr + n, path.len - n});
        if (wisp_str_is(method, "GET"))
            read_secret(peer, secret);
        else
            write_secret(peer, secret, request);
    } else {
        answer(peer, 404, "{\"errors\":[\"no handler for route\"]}");
    }
}

static bool take_request(struct peer *peer)
{
    struct wisp_str in = wisp_buf_str(&peer->in);
    const char *end = in.len ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;
    if (!end) return false;
    struct wisp_str head = {in.ptr, (size_t)(end + 4 - in.ptr)};
    const char *length = memmem(head.ptr, head.len, "Content-Length: ", 16);
    size_t size = length ? strtoull(length + 16, NULL, 10) : 0;
    if (in.len < head.len + size) return false;
    serve(peer, head, (struct wisp_str){end + 4, size});
    size_t used = head.len + size;
    memmove(peer->in.data, peer->in.data + used, peer->in.len - used);
    peer->in.len -= used;
    return true;
}

static void on_vault_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct peer *peer = handle->data;
    CHECK(peer->in.len < REQUEST_MAX);
    *buf = uv_buf_init(wisp_buf_reserve(&peer->in, size), (unsigned)size);
}

static void on_vault_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer *peer = stream->data;
    (void)buf;
    if (n < 0) {
        uv_read_stop(stream);
        return;
    }
    peer->in.len += (size_t)n;
    while (take_request(peer)) {
    }
}

static void on_vault_accept(uv_stream_t *listener, int status)
{
    struct vault *vault = listener->data;
    struct peer *peer = wisp_mem_calloc(1, sizeof *peer);
    CHECK_INT(status, 0);
    peer->vault = vault;
    peer->next = vault->peers;
    vault->peers = peer;
    uv_tcp_init(listener->loop, &peer->tcp);
    peer->tcp.data = peer;
    CHECK_INT(uv_accept(listener, (uv_stream_t *)&peer->tcp), 0);
    uv_read_start((uv_stream_t *)&peer->tcp, on_vault_alloc, on_vault_read);
}

static void on_peer_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;
    wisp_buf_deinit(&peer->in);
    free(peer);
}

static void open_vault(struct world *world, struct vault *vault)
{
    struct wisp_provider_options options = {.kind = &wisp_keyvalue_vault};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint16_t port = free_port();
    CHECK_OK(open_world(world, &options), &err);
    *vault = (struct vault){.loop = &world->loop};
    snprintf(vault->addr, sizeof vault->addr, "http://127.0.0.1:%u", port);
    address.sin_port = htons(port);
    uv_tcp_init(&world->loop, &vault->listener);
    vault->listener.data = vault;
    CHECK_INT(uv_tcp_bind(&vault->listener, (struct sockaddr *)&address, 0), 0);
    CHECK_INT(uv_listen((uv_stream_t *)&vault->listener, 8, on_vault_accept), 0);
}

static int link_vault(struct world *world, const struct vault *vault, const char *name, const char *more,
                      const char *secrets)
{
    char config[512];
    snprintf(config, sizeof config, "{\"ADDR\": \"%s/\", \"mount\": \"kv\"%s}", vault->addr, more);
    return put_link(world, name, config, secrets);
}

static void close_vault(struct world *world, struct vault *vault)
{
    close_provider(world);
    while (vault->peers) {
        struct peer *peer = vault->peers;
        vault->peers = peer->next;
        uv_close((uv_handle_t *)&peer->tcp, on_peer_closed);
    }
    uv_close((uv_handle_t *)&vault->listener, NULL);
    close_world(world);
    for (int i = 0; i < SECRETS_MAX; i++) json_decref(vault->secrets[i].data);
}

static const char secret_token[] = "{\"token\": \"s.token\"}";

TEST(suite)
{
    struct world world;
    struct vault vault;
    open_vault(&world, &vault);
    CHECK_OK(link_vault(&world, &vault, "default", "", secret_token), &err);
    check_all(&world, true, false);
    CHECK(!find_verb(&world, WISP_KEYVALUE_INCREMENT));
    close_vault(&world, &vault);
}

TEST(values_are_base64_in_fields)
{
    struct world world;
    struct vault vault;
    open_vault(&world, &vault);
    CHECK_OK(link_vault(&world, &vault, "default", "", secret_token), &err);
    CHECK_TEXT(say(&world, WISP_KEYVALUE_SET, "team/app one", "k", "ab"), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_SET, "team/app one", "l", "abc"), "done");
    CHECK_TEXT(vault.secrets[0].path, "team/app%20one");
    CHECK_TEXT(json_string_value(json_object_get(vault.secrets[0].data, "k")), "YWI");
    CHECK_TEXT(json_string_value(json_object_get(vault.secrets[0].data, "l")), "YWJj");
    json_object_set_new(vault.secrets[0].data, "padded", json_string("YWI="));
    json_object_set_new(vault.secrets[0].data, "plain", json_string("not base64!"));
    json_object_set_new(vault.secrets[0].data, "number", json_integer(1));
    CHECK_TEXT(say(&world, WISP_KEYVALUE_GET, "team/app one", "padded", NULL), "some ab");
    CHECK_HAS(say(&world, WISP_KEYVALUE_GET, "team/app one", "plain", NULL), "other: ");
    CHECK_HAS(say(&world, WISP_KEYVALUE_GET, "team/app one", "number", NULL), "other: the field is no text");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_GET, "../../sys", "a", NULL), "no-such-store");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_GET, "a//b", "a", NULL), "no-such-store");
    close_vault(&world, &vault);
}

TEST(changes_of_others_are_kept)
{
    struct world world;
    struct vault vault;
    open_vault(&world, &vault);
    CHECK_OK(link_vault(&world, &vault, "default", "", secret_token), &err);
    CHECK_TEXT(SET(&world, "a", "1"), "done");
    vault.n_lost_swaps = 3;
    CHECK_TEXT(SET(&world, "b", "2"), "done");
    CHECK_TEXT(GET(&world, "a"), "some 1");
    CHECK_TEXT(GET(&world, "b"), "some 2");
    vault.n_lost_swaps = 1000;
    CHECK_HAS(SET(&world, "c", "3"), "other: Vault answered 400: check-and-set");
    close_vault(&world, &vault);
}

TEST(tokens)
{
    struct world world;
    struct vault vault;
    open_vault(&world, &vault);
    CHECK_OK(link_vault(&world, &vault, "wrong", "", "{\"token\": \"s.other\"}"), &err);
    CHECK_TEXT(say_over(&world, "wrong", WISP_KEYVALUE_GET, "b", "a", NULL), "access-denied");
    CHECK_FAILS(link_vault(&world, &vault, "none", "", NULL), INVALID);
    CHECK_HAS(err.text, "`token` is missing");
    CHECK_FAILS(link_vault(&world, &vault, "bad", "", "{\"token\": \"a\\r\\nb\"}"), INVALID);
    CHECK_FAILS(link_vault(&world, &vault, "interval", ", \"token_refresh_interval\": \"0\"", secret_token), INVALID);
    CHECK_INT(vault.n_renewals, 0);
    CHECK_OK(link_vault(&world, &vault, "default",
                        ", \"token_refresh_interval\": \"1\", \"TOKEN_INCREMENT_TTL\": \"5m\"", secret_token),
             &err);
    AWAIT(&world.loop, vault.n_renewals == 2);
    CHECK_TEXT(vault.increment, "5m");
    close_vault(&world, &vault);
}

TEST(wrong_answers)
{
    static const char *const lies[] = {"", "[]", "{}", "{\"data\":7}", "nonsense", "{\"data\":{\"data\":{\"a\":{}}}}"};
    struct world world;
    struct vault vault;
    open_vault(&world, &vault);
    CHECK_OK(link_vault(&world, &vault, "default", "", secret_token), &err);
    for (size_t i = 0; i < WISP_COUNT(lies); i++) {
        vault.lie = lies[i];
        CHECK_HAS(GET(&world, "a"), "other: ");
    }
    vault.lie = "{\"data\":{\"data\":null,\"metadata\":{\"version\":2}}}"; /* a secret that was deleted */
    CHECK_TEXT(GET(&world, "a"), "none");
    close_vault(&world, &vault);
}

TEST(nobody_there_and_cancelled)
{
    struct world world;
    struct vault vault;
    struct outcome outcome;
    struct wisp_keyvalue_key_args get = {WISP_STR("b"), WISP_STR("a")};
    char config[64];
    open_vault(&world, &vault);
    snprintf(config, sizeof config, "{\"addr\": \"http://127.0.0.1:%u\"}", free_port());
    CHECK_OK(put_link(&world, "default", config, secret_token), &err);
    const char *text = GET(&world, "a");
    CHECK_HAS(text, "other: ");
    CHECK(!strstr(text, "s.token"));
    CHECK_FAILS(put_link(&world, "certs", "{\"certs\": \"/nonexistent.pem\"}", secret_token), NOT_FOUND);
    CHECK_FAILS(put_link(&world, "addr", "{\"addr\": \"ftp://x\"}", secret_token), INVALID);
    CHECK_OK(link_vault(&world, &vault, "there", "", secret_token), &err);
    struct wisp_provider_call *call = start_call(&world, "there", WISP_KEYVALUE_GET, &get, &outcome);
    wisp_provider_call_cancel(call);
    start_call(&world, "there", WISP_KEYVALUE_GET, &get, &outcome);
    close_vault(&world, &vault);
}
