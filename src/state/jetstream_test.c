/* SPDX-License-Identifier: Apache-2.0 */
/* JetStream: what others do to the buckets, and what servers do. */
#include "state/state_rig.h"

#include "base/json.h"

static struct wisp_err err;

struct world {
    uv_loop_t loop;
    struct nats nats;
    struct party party;
    const char *domain;
};

static void start_server(struct world *world)
{
    char config[256], domain[64] = "";
    if (world->domain) snprintf(domain, sizeof domain, ", domain: %s", world->domain);
    snprintf(config, sizeof config, "jetstream { store_dir: \"%s/js\"%s }", world->nats.dir, domain);
    nats_start(&world->nats, config);
}

static void open_state(struct world *world)
{
    struct wisp_state_options options = party_options(&world->party);
    CHECK_OK(wisp_state_open_jetstream(&world->party.state, &world->loop, world->party.told.client, world->domain,
                                       &options, &err),
             &err);
}

static void setup(struct world *world, const char *domain)
{
    *world = (struct world){.domain = domain};
    CHECK_INT(uv_loop_init(&world->loop), 0);
    nats_init(&world->nats);
    start_server(world);
    party_connect(&world->party, &world->loop, world->nats.url);
    open_state(world);
    AWAIT(&world->loop, world->party.n_loaded);
}

static void teardown(struct world *world)
{
    party_leave(&world->party);
    end_loop(&world->loop);
    nats_deinit(&world->nats);
}

/* --- somebody else, who says it all by hand --- */

struct answer {
    unsigned n;
    char text[8192];
};

static void on_answer(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct answer *answer = env;
    struct wisp_str text = failure ? wisp_str_from(failure->text) : message->payload;
    answer->n++;
    snprintf(answer->text, sizeof answer->text, "%.*s", WISP_STR_ARG(text));
}

static struct answer answer;

static const char *ask(struct party *party, const char *subject, const struct wisp_bus_header *header,
                       const char *payload)
{
    answer.n = 0;
    CHECK_OK(wisp_bus_request(party->told.client, wisp_str_from(subject), header, header ? 1 : 0,
                              wisp_str_from(payload), 5000, on_answer, &answer, NULL, &err),
             &err);
    AWAIT(party->loop, answer.n);
    return answer.text;
}

TEST(the_buckets_are_what_kv_clients_expect)
{
    struct world world;
    setup(&world, NULL);
    WISP_CLEANUP_JSON json_t *info = NULL;
    ask(&world.party, "$JS.API.STREAM.INFO.KV_CONFIGDATA_test", NULL, "");
    CHECK_OK(wisp_json_parse(wisp_str_from(answer.text), &info, &err), &err);
    const json_t *config = json_object_get(info, "config");
    CHECK_STR(wisp_json_str(config, "name"), "KV_CONFIGDATA_test");
    CHECK_STR(wisp_json_str(config, "storage"), "file");
    CHECK_STR(wisp_json_str(config, "discard"), "new");
    CHECK_INT(wisp_json_u64(config, "max_msgs_per_subject", 0), 1);
    CHECK(wisp_json_bool(config, "allow_rollup_hdrs", false) && wisp_json_bool(config, "allow_direct", false) &&
          wisp_json_bool(config, "deny_delete", false));
    CHECK(party_write(&world.party, "k", "v", 0) > 0);
    CHECK_HAS(ask(&world.party, "$JS.API.DIRECT.GET.KV_LATTICEDATA_test.$KV.LATTICEDATA_test.k", NULL, ""), "v");
    teardown(&world);
}

TEST(what_others_put_and_delete)
{
    struct world world;
    struct wisp_bus_header del = {WISP_STR("KV-Operation"), WISP_STR("DEL")},
                           purge = {WISP_STR("KV-Operation"), WISP_STR("PURGE")};
    setup(&world, NULL);
    CHECK_HAS(ask(&world.party, "$KV.LATTICEDATA_test.a.b", NULL, "1"), "\"seq\"");
    CHECK_HAS(ask(&world.party, "$KV.LATTICEDATA_test.c", NULL, "2"), "\"seq\"");
    AWAIT(&world.loop, party_sees(&world.party, "a.b", "1") && party_sees(&world.party, "c", "2"));
    ask(&world.party, "$KV.LATTICEDATA_test.a.b", &del, "");
    ask(&world.party, "$KV.LATTICEDATA_test.c", &purge, "");
    AWAIT(&world.loop, world.party.n_deleted == 2);
    CHECK_INT(party_write(&world.party, "a.b", "no", 1), -(int)WISP_ERR_EXISTS);
    CHECK(party_write(&world.party, "a.b", "3", 0) > 0); /* over the other's mark */
    CHECK(party_write(&world.party, "c", "4", 0) > 0);
    teardown(&world);
}

TEST(the_bucket_of_manifests_is_shared_by_lattices)
{
    struct world world;
    setup(&world, NULL);
    static const char *const others[] = {"other", "other-app", "tests-app", "wisp.other.lease", "wisp.tests.lease"};
    for (size_t i = 0; i < WISP_COUNT(others); i++) {
        char subject[64];
        snprintf(subject, sizeof subject, "$KV.wadm_manifests.%s", others[i]);
        CHECK_HAS(ask(&world.party, subject, NULL, "theirs"), "\"seq\"");
    }
    CHECK_HAS(ask(&world.party, "$KV.wadm_manifests.test", NULL, "index"), "\"seq\"");
    CHECK_HAS(ask(&world.party, "$KV.wadm_manifests.test-app", NULL, "ours"), "\"seq\"");
    CHECK_HAS(ask(&world.party, "$KV.wadm_manifests.wisp.test.lease", NULL, "lease"), "\"seq\"");
    AWAIT(&world.loop, wisp_str_is(party_value(&world.party, WISP_STATE_MANIFESTS, "wisp.test.lease"), "lease"));
    CHECK_STR(party_value(&world.party, WISP_STATE_MANIFESTS, "test"), "index");
    CHECK_STR(party_value(&world.party, WISP_STATE_MANIFESTS, "test-app"), "ours");
    for (size_t i = 0; i < WISP_COUNT(others); i++)
        CHECK_STR(party_value(&world.party, WISP_STATE_MANIFESTS, others[i]), "(none)");
    teardown(&world);
}

TEST(a_domain)
{
    struct world world;
    setup(&world, "hub");
    int64_t revision = party_write(&world.party, "k", "1", 0);
    CHECK(revision > 0);
    CHECK(party_write(&world.party, "k", NULL, revision) > revision);
    CHECK(party_write(&world.party, "k", "2", 0) > revision);
    AWAIT(&world.loop, party_sees(&world.party, "k", "2"));
    teardown(&world);
    struct wisp_state *state;
    struct wisp_state_options options = {.lattice = "test"};
    CHECK_FAILS(wisp_state_open_jetstream(&state, NULL, NULL, "a.b", &options, &err), INVALID);
}

TEST(a_bucket_that_is_removed_is_made_again)
{
    struct world world;
    setup(&world, NULL);
    CHECK(party_write(&world.party, "k", "1", 0) > 0);
    AWAIT(&world.loop, party_sees(&world.party, "k", "1"));
    CHECK_HAS(ask(&world.party, "$JS.API.STREAM.DELETE.KV_LATTICEDATA_test", NULL, ""), "\"success\":true");
    /* A write notices at once; without one, the silence is noticed after some seconds. */
    CHECK_INT(party_write(&world.party, "other", "1", 0), -(int)WISP_ERR_UNAVAILABLE);
    AWAIT(&world.loop, world.party.n_loaded == 2);
    CHECK(party_sees(&world.party, "k", "(none)"));
    CHECK_INT(world.party.n_deleted, 1);
    CHECK_INT(party_write(&world.party, "k", "2", 0), 1); /* counts anew */
    AWAIT(&world.loop, party_sees(&world.party, "k", "2"));
    teardown(&world);
}

TEST(a_bucket_that_vanishes_silently)
{
    struct world world;
    setup(&world, NULL);
    CHECK(party_write(&world.party, "k", "1", 0) > 0);
    AWAIT(&world.loop, party_sees(&world.party, "k", "1"));
    CHECK_HAS(ask(&world.party, "$JS.API.STREAM.DELETE.KV_LATTICEDATA_test", NULL, ""), "\"success\":true");
    AWAIT(&world.loop, world.party.n_loaded == 2 && world.party.n_deleted == 1);
    CHECK_INT(party_write(&world.party, "k", "2", 0), 1);
    AWAIT(&world.loop, party_sees(&world.party, "k", "2"));
    CHECK_HAS(ask(&world.party, "$JS.API.STREAM.PURGE.KV_LATTICEDATA_test", NULL, ""), "\"success\":true");
    AWAIT(&world.loop, party_sees(&world.party, "k", "(none)"));
    AWAIT(&world.loop, world.party.n_loaded == 3);
    teardown(&world);
}

TEST(no_jetstream)
{
    struct world world = {0};
    CHECK_INT(uv_loop_init(&world.loop), 0);
    nats_init(&world.nats);
    nats_start(&world.nats, "");
    party_connect(&world.party, &world.loop, world.nats.url);
    open_state(&world);
    AWAIT(&world.loop, world.party.n_unreachable);
    CHECK_INT(world.party.reason.kind, WISP_ERR_UNAVAILABLE);
    CHECK_HAS(world.party.reason.text, "JetStream");
    CHECK_INT(party_write(&world.party, "k", "1", 0), -(int)WISP_ERR_UNAVAILABLE);
    nats_kill(&world.nats);
    start_server(&world); /* with it */
    AWAIT(&world.loop, world.party.is_reachable);
    CHECK(party_write(&world.party, "k", "1", 0) > 0);
    teardown(&world);
}

/* --- a cluster --- */

static void start_node(struct nats *nodes, int i)
{
    char config[1024];
    snprintf(
        config, sizeof config,
        "server_name: n%d\njetstream { store_dir: \"%s/js\" }\ncluster { name: c, listen: \"127.0.0.1:%u\", routes: ["
        "\"nats-route://127.0.0.1:%u\", \"nats-route://127.0.0.1:%u\", \"nats-route://127.0.0.1:%u\"] }",
        i, nodes[i].dir, nodes[i].cluster_port, nodes[0].cluster_port, nodes[1].cluster_port, nodes[2].cluster_port);
    nats_start(&nodes[i], config);
}

static void make_replicated(struct party *party, const char *kind)
{
    char subject[128], config[256];
    snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.KV_%s_test", kind);
    snprintf(config, sizeof config,
             "{\"name\":\"KV_%s_test\",\"subjects\":[\"$KV.%s_test.>\"],\"num_replicas\":3,\"storage\":\"file\","
             "\"max_msgs_per_subject\":5,\"discard\":\"new\",\"allow_rollup_hdrs\":true,\"deny_delete\":true}",
             kind, kind);
    /* The cluster has to find its leader first. */
    while (!strstr(ask(party, subject, NULL, config), "\"created\"")) usleep(100000);
}

TEST(a_leader_is_lost)
{
    struct world world = {0};
    struct nats nodes[3];
    CHECK_INT(uv_loop_init(&world.loop), 0);
    for (int i = 0; i < 3; i++) nats_init(&nodes[i]);
    for (int i = 0; i < 3; i++) start_node(nodes, i);
    party_connect(&world.party, &world.loop, nodes[0].url);
    make_replicated(&world.party, "LATTICEDATA");
    make_replicated(&world.party, "CONFIGDATA");
    open_state(&world);
    AWAIT(&world.loop, world.party.n_loaded);
    CHECK(party_write(&world.party, "k", "1", 0) > 0);
    WISP_CLEANUP_JSON json_t *info = NULL;
    ask(&world.party, "$JS.API.STREAM.INFO.KV_LATTICEDATA_test", NULL, "");
    CHECK_OK(wisp_json_parse(wisp_str_from(answer.text), &info, &err), &err);
    struct wisp_str leader = wisp_json_str(json_object_get(info, "cluster"), "leader");
    CHECK(leader.len == 2);
    nats_kill(&nodes[leader.ptr[1] - '0']);
    int64_t revision;
    while ((revision = party_write(&world.party, "k", "2", WISP_STATE_ANY_REVISION)) < 0) {
        CHECK(revision == -(int)WISP_ERR_UNAVAILABLE || revision == -(int)WISP_ERR_TIMEOUT);
        usleep(50000);
    }
    AWAIT(&world.loop, party_sees(&world.party, "k", "2"));
    AWAIT(&world.loop, world.party.is_reachable);
    CHECK_INT(world.party.n_deleted, 0);
    party_leave(&world.party);
    end_loop(&world.loop);
    for (int i = 0; i < 3; i++) nats_deinit(&nodes[i]);
}
