/* SPDX-License-Identifier: Apache-2.0 */
/* What every backend has to do, with two parties A and B on a real bus. */
#include "state/state_rig.h"

#include "bus/server.h"

struct proxy;

struct world {
    uv_loop_t loop;
    struct nats nats;               /* not started when the bus is embedded */
    struct wisp_bus_server *server; /* the embedded bus */
    struct party owner;             /* of a local state, where the backend needs one */
    struct party a, b;
    const struct backend *backend;
    struct proxy *proxy;
};

struct backend {
    bool is_embedded, has_jetstream; /* the bus */
    bool has_owner, a_is_local;
    int (*open)(struct world *world, struct party *party, struct wisp_err *err);
};

static struct wisp_err err;

static int open_local(struct world *world, struct party *party)
{
    struct wisp_state_options options = party_options(party);
    char directory[128];
    snprintf(directory, sizeof directory, "%s/deep/state", world->nats.dir);
    return wisp_state_open_local(&party->state, &world->loop, directory, party->told.client, &options, &err);
}

static int open_remote(struct world *world, struct party *party, struct wisp_err *error)
{
    struct wisp_state_options options = party_options(party);
    return wisp_state_open_remote(&party->state, &world->loop, party->told.client, &options, error);
}

static int open_jetstream(struct world *world, struct party *party, struct wisp_err *error)
{
    struct wisp_state_options options = party_options(party);
    return wisp_state_open_jetstream(&party->state, &world->loop, party->told.client, NULL, &options, error);
}

static const struct backend local = {.has_owner = true, .a_is_local = true, .open = open_remote};
static const struct backend remote = {.has_owner = true, .open = open_remote};
static const struct backend embedded = {
    .is_embedded = true, .has_owner = true, .a_is_local = true, .open = open_remote};
static const struct backend jetstream = {.has_jetstream = true, .open = open_jetstream};

static void start_server(struct world *world)
{
    char config[256] = "";
    struct wisp_bus_server_options options = {.host = "127.0.0.1", .port = world->nats.port};
    if (world->backend->has_jetstream)
        snprintf(config, sizeof config, "jetstream { store_dir: \"%s/js\" }", world->nats.dir);
    if (world->backend->is_embedded)
        CHECK_OK(wisp_bus_server_new(&world->server, &world->loop, &options, &err), &err);
    else
        nats_start(&world->nats, config);
}

static void kill_server(struct world *world)
{
    wisp_bus_server_free(WISP_TAKE(world->server));
    nats_kill(&world->nats);
}

static void join_at(struct world *world, struct party *party, const char *url)
{
    party_connect(party, &world->loop, url);
    bool is_local = party == &world->owner || (party == &world->a && world->backend->a_is_local);
    if (is_local)
        CHECK_OK(open_local(world, party), &err);
    else
        CHECK_OK(world->backend->open(world, party, &err), &err);
    AWAIT(&world->loop, party->n_loaded);
    CHECK(party->is_reachable);
}

static void join(struct world *world, struct party *party) { join_at(world, party, world->nats.url); }

static void setup(struct world *world, const struct backend *backend)
{
    *world = (struct world){.backend = backend};
    CHECK_INT(uv_loop_init(&world->loop), 0);
    nats_init(&world->nats);
    start_server(world);
    if (backend->has_owner && !backend->a_is_local) join(world, &world->owner);
    join(world, &world->a);
}

static void teardown(struct world *world)
{
    party_leave(&world->b);
    party_leave(&world->a);
    party_leave(&world->owner);
    kill_server(world);
    end_loop(&world->loop);
    nats_deinit(&world->nats);
}

#define FOR_ALL(name)                                                                                                  \
    static void name(const struct backend *backend);                                                                   \
    TEST(local_##name) { name(&local); }                                                                               \
    TEST(remote_##name) { name(&remote); }                                                                             \
    TEST(embedded_##name) { name(&embedded); }                                                                         \
    TEST(jetstream_##name) { name(&jetstream); }                                                                       \
    static void name(const struct backend *backend)

FOR_ALL(writes_compare_and_swap)
{
    struct world world;
    setup(&world, backend);
    join(&world, &world.b);
    int64_t first = party_write(&world.a, "COMPONENT_x", "{\"url\":\"a\"}", 0);
    CHECK(first > 0);
    AWAIT(&world.loop, party_sees(&world.a, "COMPONENT_x", "{\"url\":\"a\"}") &&
                           party_sees(&world.b, "COMPONENT_x", "{\"url\":\"a\"}"));
    CHECK_INT(wisp_state_table_find(&world.b.seen, WISP_STATE_LATTICE, WISP_STR("COMPONENT_x"))->revision, first);
    CHECK_INT(party_write(&world.b, "COMPONENT_x", "no", 0), -(int)WISP_ERR_EXISTS);
    int64_t second = party_write(&world.b, "COMPONENT_x", "b", first);
    CHECK(second > first);
    CHECK_INT(party_write(&world.a, "COMPONENT_x", "no", first), -(int)WISP_ERR_EXISTS);
    CHECK_INT(party_write(&world.a, "COMPONENT_x", NULL, first), -(int)WISP_ERR_EXISTS);
    int64_t third = party_write(&world.a, "COMPONENT_x", "", WISP_STATE_ANY_REVISION);
    CHECK(third > second);
    AWAIT(&world.loop, party_sees(&world.b, "COMPONENT_x", "")); /* an empty value is a value */
    CHECK(party_write(&world.b, "COMPONENT_x", NULL, third) >= 0);
    AWAIT(&world.loop, party_sees(&world.a, "COMPONENT_x", "(none)"));
    CHECK_INT(party_write(&world.a, "COMPONENT_x", "no", third), -(int)WISP_ERR_EXISTS);
    CHECK(party_write(&world.a, "COMPONENT_x", "again", 0) > third); /* a deleted key is not there */
    CHECK(party_write(&world.a, "absent", NULL, WISP_STATE_ANY_REVISION) >= 0);
    AWAIT(&world.loop, party_sees(&world.b, "COMPONENT_x", "again"));
    CHECK_INT(world.a.n_changes, 5);
    CHECK_INT(world.b.n_changes, 5);
    teardown(&world);
}

FOR_ALL(a_late_joiner_sees_what_is_there)
{
    struct world world;
    struct written config = {0};
    struct wisp_str value = WISP_STR("{\"k\":\"v\"}");
    setup(&world, backend);
    CHECK(party_write(&world.a, "kept", "1", 0) > 0);
    CHECK(party_write(&world.a, "gone", "1", 0) > 0);
    CHECK(party_write(&world.a, "kept", "2", WISP_STATE_ANY_REVISION) > 0);
    CHECK(party_write(&world.a, "gone", NULL, WISP_STATE_ANY_REVISION) > 0);
    wisp_state_write(world.a.state, WISP_STATE_CONFIG, WISP_STR("kept"), &value, 0, on_written, &config);
    AWAIT(&world.loop, config.n);
    CHECK_INT(config.err.kind, 0);
    join(&world, &world.b);
    CHECK(party_sees(&world.b, "kept", "2"));
    CHECK(party_sees(&world.b, "gone", "(none)"));
    CHECK_STR(party_value(&world.b, WISP_STATE_CONFIG, "kept"), "{\"k\":\"v\"}");
    CHECK_INT(world.b.n_changes, 2);
    CHECK_INT(world.b.n_loaded, 1);
    teardown(&world);
}

FOR_ALL(what_cannot_be_written_is_said_from_the_loop)
{
    static const char *const keys[] = {"", ".x", "x.", "a..b", "a b", "a*", "\xc3\xa4", "a>"};
    struct world world;
    setup(&world, backend);
    for (size_t i = 0; i < WISP_COUNT(keys); i++)
        CHECK_INT(party_write(&world.a, keys[i], "v", 0), -(int)WISP_ERR_INVALID);
    char *large = wisp_mem_calloc(1, WISP_STATE_VALUE_MAX + 2);
    memset(large, 'x', WISP_STATE_VALUE_MAX + 1);
    CHECK_INT(party_write(&world.a, "large", large, 0), -(int)WISP_ERR_LIMIT);
    large[WISP_STATE_VALUE_MAX] = '\0'; /* allowed, but no message carries it */
    CHECK_INT(party_write(&world.a, "large", large, 0), -(int)WISP_ERR_LIMIT);
    large[WISP_STATE_VALUE_MAX - 2000] = '\0';
    CHECK(party_write(&world.a, "large", large, 0) > 0);
    CHECK(party_write(&world.a, "-/_=.0aZ", "v", 0) > 0);
    join(&world, &world.b);
    CHECK(party_sees(&world.b, "large", large));
    free(large);
    teardown(&world);
}

/* --- two writers --- */

enum { STEPS = 100 };

struct racer {
    struct party *party;
    unsigned n_done, n_refused;
};

static void race(struct racer *racer);

static void on_raced(uint64_t revision, const struct wisp_err *failure, void *env)
{
    struct racer *racer = env;
    (void)revision;
    if (failure) CHECK_INT(failure->kind, WISP_ERR_EXISTS);
    if (failure)
        racer->n_refused++;
    else
        racer->n_done++;
    if (racer->n_done < STEPS) race(racer);
}

/* Adds one to what it has seen. */
static void race(struct racer *racer)
{
    const struct wisp_state_entry *entry =
        wisp_state_table_find(&racer->party->seen, WISP_STATE_LATTICE, WISP_STR("counter"));
    char text[16];
    struct wisp_str value = {text, 0};
    WISP_CLEANUP_FREE char *old = entry ? wisp_mem_dup(wisp_buf_str(&entry->value)) : NULL;
    value.len = (size_t)snprintf(text, sizeof text, "%d", old ? atoi(old) + 1 : 1);
    wisp_state_write(racer->party->state, WISP_STATE_LATTICE, WISP_STR("counter"), &value,
                     entry ? (int64_t)entry->revision : 0, on_raced, racer);
}

FOR_ALL(two_writers_race)
{
    struct world world;
    setup(&world, backend);
    join(&world, &world.b);
    struct racer a = {.party = &world.a}, b = {.party = &world.b};
    race(&a);
    race(&b);
    AWAIT(&world.loop, a.n_done == STEPS && b.n_done == STEPS);
    char total[16];
    snprintf(total, sizeof total, "%d", 2 * STEPS);
    AWAIT(&world.loop, party_sees(&world.a, "counter", total) && party_sees(&world.b, "counter", total));
    CHECK(a.n_refused + b.n_refused > 0);
    teardown(&world);
}

struct many {
    unsigned n, n_failed;
};

static void on_one_of_many(uint64_t revision, const struct wisp_err *failure, void *env)
{
    struct many *many = env;
    (void)revision;
    many->n++;
    if (failure) many->n_failed++;
}

FOR_ALL(ten_thousand_writes_in_a_row)
{
    enum { COUNT = 10000, KEYS = 2000 };
    struct world world;
    struct many many = {0};
    char key[32], text[32];
    setup(&world, backend);
    join(&world, &world.b);
    for (int i = 0; i < COUNT; i++) {
        struct wisp_str value = {text, (size_t)snprintf(text, sizeof text, "{\"value\":\"%d\"}", i)};
        snprintf(key, sizeof key, "config-%d", i % KEYS);
        wisp_state_write(world.a.state, WISP_STATE_LATTICE, wisp_str_from(key), &value, WISP_STATE_ANY_REVISION,
                         on_one_of_many, &many);
    }
    AWAIT(&world.loop, many.n == COUNT);
    CHECK_INT(many.n_failed, 0);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "config-%d", i);
        snprintf(text, sizeof text, "{\"value\":\"%d\"}", COUNT - KEYS + i);
        AWAIT(&world.loop, party_sees(&world.b, key, text));
    }
    struct party late = {0};
    join(&world, &late);
    CHECK_INT(late.n_changes, KEYS);
    CHECK(party_sees(&late, "config-1999", "{\"value\":\"9999\"}"));
    party_leave(&late);
    teardown(&world);
}

/* --- trouble --- */

/* Between B and the server, so that B alone can be cut off. */
struct pipe_end {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct pipe_end *other;
    struct proxy *proxy;
    bool is_closing, is_connected;
};

struct proxy {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uint16_t port, to;
    bool is_cut;
    struct pipe_end *ends[64];
    size_t n_ends;
};

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)handle;
    *buf = uv_buf_init(wisp_mem_alloc(size), (unsigned)size);
}

static void free_end(uv_handle_t *handle)
{
    struct pipe_end *end = handle->data;
    for (size_t i = 0; i < end->proxy->n_ends; i++)
        if (end->proxy->ends[i] == end) end->proxy->ends[i] = end->proxy->ends[--end->proxy->n_ends];
    free(end);
}

static void close_end(struct pipe_end *end)
{
    if (end->is_closing) return;
    end->is_closing = true;
    uv_close((uv_handle_t *)&end->tcp, free_end);
    if (end->other) close_end(end->other);
}

static void on_passed(uv_write_t *write, int status)
{
    (void)status;
    free(write->data);
    free(write);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct pipe_end *end = stream->data;
    if (n > 0 && !end->other->is_closing) {
        uv_write_t *write = wisp_mem_calloc(1, sizeof *write);
        uv_buf_t out = uv_buf_init(buf->base, (unsigned)n);
        write->data = buf->base;
        CHECK_INT(uv_write(write, (uv_stream_t *)&end->other->tcp, &out, 1, on_passed), 0);
        return;
    }
    free(buf->base);
    if (n < 0) close_end(end);
}

static void on_through(uv_connect_t *connect, int status)
{
    struct pipe_end *end = connect->data;
    if (status == UV_ECANCELED) return;
    if (status < 0) {
        close_end(end);
        return;
    }
    uv_read_start((uv_stream_t *)&end->tcp, on_alloc, on_bytes);
    uv_read_start((uv_stream_t *)&end->other->tcp, on_alloc, on_bytes);
}

static struct pipe_end *end_new(struct proxy *proxy)
{
    struct pipe_end *end = wisp_mem_calloc(1, sizeof *end);
    end->proxy = proxy;
    uv_tcp_init(proxy->loop, &end->tcp);
    end->tcp.data = end->connect.data = end;
    CHECK(proxy->n_ends < WISP_COUNT(proxy->ends));
    proxy->ends[proxy->n_ends++] = end;
    return end;
}

static void on_arrival(uv_stream_t *listener, int status)
{
    struct proxy *proxy = listener->data;
    struct sockaddr_in address;
    CHECK_INT(status, 0);
    struct pipe_end *near = end_new(proxy);
    CHECK_INT(uv_accept(listener, (uv_stream_t *)&near->tcp), 0);
    if (proxy->is_cut) {
        close_end(near);
        return;
    }
    struct pipe_end *far = end_new(proxy);
    near->other = far;
    far->other = near;
    uv_ip4_addr("127.0.0.1", proxy->to, &address);
    CHECK_INT(uv_tcp_connect(&far->connect, &far->tcp, (struct sockaddr *)&address, on_through), 0);
}

static void proxy_start(struct proxy *proxy, uv_loop_t *loop, uint16_t to)
{
    struct sockaddr_in address;
    *proxy = (struct proxy){.loop = loop, .port = free_port(), .to = to};
    uv_tcp_init(loop, &proxy->listener);
    proxy->listener.data = proxy;
    uv_ip4_addr("127.0.0.1", proxy->port, &address);
    CHECK_INT(uv_tcp_bind(&proxy->listener, (struct sockaddr *)&address, 0), 0);
    CHECK_INT(uv_listen((uv_stream_t *)&proxy->listener, 16, on_arrival), 0);
}

static void proxy_cut(struct proxy *proxy)
{
    proxy->is_cut = true;
    for (size_t i = 0; i < proxy->n_ends; i++) close_end(proxy->ends[i]);
}

FOR_ALL(who_was_away_learns_what_changed)
{
    struct world world;
    struct proxy proxy;
    char url[64];
    setup(&world, backend);
    proxy_start(&proxy, &world.loop, world.nats.port);
    snprintf(url, sizeof url, "127.0.0.1:%u", proxy.port);
    join_at(&world, &world.b, url);
    CHECK(party_write(&world.a, "stays", "1", 0) > 0);
    CHECK(party_write(&world.a, "changes", "1", 0) > 0);
    CHECK(party_write(&world.a, "goes", "1", 0) > 0);
    AWAIT(&world.loop, party_sees(&world.b, "goes", "1"));
    proxy_cut(&proxy);
    AWAIT(&world.loop, !world.b.is_reachable);
    CHECK_INT(party_write(&world.b, "stays", "x", WISP_STATE_ANY_REVISION), -(int)WISP_ERR_UNAVAILABLE);
    CHECK(party_write(&world.a, "changes", "2", WISP_STATE_ANY_REVISION) > 0);
    CHECK(party_write(&world.a, "goes", NULL, WISP_STATE_ANY_REVISION) > 0);
    CHECK(party_write(&world.a, "comes", "1", 0) > 0);
    unsigned n_loaded = world.b.n_loaded, n_changes = world.b.n_changes;
    proxy.is_cut = false;
    AWAIT(&world.loop, world.b.n_loaded > n_loaded);
    CHECK(world.b.is_reachable);
    CHECK(party_sees(&world.b, "stays", "1"));
    CHECK(party_sees(&world.b, "changes", "2"));
    CHECK(party_sees(&world.b, "goes", "(none)"));
    CHECK(party_sees(&world.b, "comes", "1"));
    CHECK_INT(world.b.n_changes - n_changes, 3);
    CHECK(party_write(&world.b, "stays", "x", WISP_STATE_ANY_REVISION) > 0);
    uv_close((uv_handle_t *)&proxy.listener, NULL);
    teardown(&world);
}

FOR_ALL(the_bus_is_killed_and_comes_back)
{
    struct world world;
    setup(&world, backend);
    join(&world, &world.b);
    CHECK(party_write(&world.a, "k", "1", 0) > 0);
    AWAIT(&world.loop, party_sees(&world.b, "k", "1"));
    kill_server(&world);
    AWAIT(&world.loop, !world.b.is_reachable);
    start_server(&world);
    AWAIT(&world.loop, world.b.n_loaded >= 2);
    CHECK(party_sees(&world.b, "k", "1"));
    CHECK_INT(world.b.n_deleted, 0);
    AWAIT(&world.loop, world.a.is_reachable);
    CHECK(party_write(&world.b, "k", "2", WISP_STATE_ANY_REVISION) > 0);
    AWAIT(&world.loop, party_sees(&world.a, "k", "2"));
    teardown(&world);
}

static void never(uint64_t revision, const struct wisp_err *failure, void *env)
{
    (void)revision;
    (void)failure;
    (void)env;
    CHECK(!"called");
}

static void close_at_change(enum wisp_state_bucket bucket, struct wisp_str key, const struct wisp_str *value,
                            uint64_t revision, void *env)
{
    struct party *party = env;
    party_on_change(bucket, key, value, revision, env);
    wisp_state_close(WISP_TAKE(party->state));
}

FOR_ALL(nothing_is_told_after_close)
{
    struct world world;
    struct wisp_str value = WISP_STR("v");
    setup(&world, backend);
    join(&world, &world.b);
    for (int i = 0; i < 10; i++)
        wisp_state_write(world.b.state, WISP_STATE_LATTICE, WISP_STR("k"), &value, WISP_STATE_ANY_REVISION, never,
                         NULL);
    wisp_state_write(world.b.state, WISP_STATE_LATTICE, WISP_STR("bad key"), &value, 0, never, NULL);
    wisp_state_close(WISP_TAKE(world.b.state));
    unsigned n_changes = world.b.n_changes;
    CHECK(party_write(&world.a, "other", "1", 0) > 0);
    CHECK_INT(world.b.n_changes, n_changes);
    CHECK(party_write(&world.a, "another", "1", 0) > 0);
    struct party c;
    party_connect(&c, &world.loop, world.nats.url);
    struct wisp_state_options options = party_options(&c);
    options.handler.on_change = close_at_change; /* from within a callback, while it loads */
    if (backend == &jetstream)
        CHECK_OK(wisp_state_open_jetstream(&c.state, &world.loop, c.told.client, NULL, &options, &err), &err);
    else
        CHECK_OK(wisp_state_open_remote(&c.state, &world.loop, c.told.client, &options, &err), &err);
    AWAIT(&world.loop, !c.state);
    CHECK_INT(c.n_changes, 1);
    CHECK_INT(c.n_loaded, 0);
    party_leave(&c);
    teardown(&world);
}

static void on_probe(bool is_there, void *env) { *(int *)env = is_there ? 1 : -1; }

TEST(the_probe_finds_an_owner)
{
    struct world world;
    int answer = 0;
    setup(&world, &local);
    wisp_state_probe_remote(world.a.told.client, "test", 5000, on_probe, &answer);
    AWAIT(&world.loop, answer);
    CHECK_INT(answer, 1);
    answer = 0;
    wisp_state_probe_remote(world.a.told.client, "other", 5000, on_probe, &answer);
    AWAIT(&world.loop, answer);
    CHECK_INT(answer, -1);
    answer = 0;
    wisp_state_probe_remote(world.a.told.client, "no name", 5000, on_probe, &answer);
    AWAIT(&world.loop, answer);
    CHECK_INT(answer, -1);
    teardown(&world);
}

static void on_flushed(const struct wisp_err *failure, void *env)
{
    CHECK(!failure);
    *(bool *)env = true;
}

TEST(another_owner_is_noticed)
{
    struct world world;
    setup(&world, &remote);
    join(&world, &world.b);
    CHECK(party_write(&world.a, "goes", "1", 0) > 0);
    CHECK(party_write(&world.a, "stays", "1", 0) > 0);
    AWAIT(&world.loop, party_sees(&world.b, "stays", "1"));
    wisp_state_close(WISP_TAKE(world.owner.state));
    bool is_flushed = false; /* the server knows that it does not serve any more */
    wisp_bus_flush(world.owner.told.client, 20000, on_flushed, &is_flushed);
    AWAIT(&world.loop, is_flushed);
    CHECK(world.b.is_reachable);
    CHECK_INT(party_write(&world.b, "stays", "x", WISP_STATE_ANY_REVISION), -(int)WISP_ERR_UNAVAILABLE);
    CHECK(!world.b.is_reachable);
    struct party alone = {.loop = &world.loop}; /* without a bus: nobody hears of it */
    CHECK_OK(open_local(&world, &alone), &err);
    AWAIT(&world.loop, alone.n_loaded);
    CHECK(party_write(&alone, "goes", NULL, WISP_STATE_ANY_REVISION) > 0);
    party_leave(&alone);
    unsigned n_loaded = world.b.n_loaded;
    CHECK_OK(open_local(&world, &world.owner), &err);
    AWAIT(&world.loop, world.b.n_loaded > n_loaded);
    CHECK(party_sees(&world.b, "goes", "(none)"));
    CHECK(party_sees(&world.b, "stays", "1"));
    CHECK(party_write(&world.b, "stays", "x", WISP_STATE_ANY_REVISION) > 0);
    AWAIT(&world.loop, party_sees(&world.a, "stays", "x"));
    teardown(&world);
}
