/* SPDX-License-Identifier: Apache-2.0 */
/* Simulations of applications on a lattice: every host has its part of the lattice and its manager.
 *
 *     app_sim SEED ...             each seed is a history; a failing one is named, and the program ends with 1
 *     app_sim --from A --count N   seeds A to A+N-1
 *
 * In a history applications are put, deployed, changed, undeployed and deleted while messages are lost and doubled,
 * hosts and leaders crash and are cut off, and in some the state is wiped. All the while no two managers act at a time,
 * and none touches what is not its own. Then everything heals, and what runs is what was deployed last, and nothing
 * else; and nobody does anything any more. */
#include "world.h"

enum { APPS = 5, IMAGES = 4, OPS_MAX = 2000, MANUAL = 2, ASK_DOUBT_MS = 10000 };

struct scenario;

/* A request to the API that changes something. */
struct op {
    struct scenario *scenario;
    size_t app;
    enum { PUT, DEPLOY, UNDEPLOY, DELETE } kind;
    uint32_t version;
    uint64_t begun_ms;
    bool is_done, was_accepted;
};

struct scenario {
    struct world world;
    struct op ops[OPS_MAX];
    size_t n_ops;
    uint32_t n_versions;
    json_t *manifests; /* "app/version" to what was put */
    bool is_busy, is_stormy, was_wiped;
    uint64_t n_commands, n_accepted;
    json_int_t most[APPS]; /* instances of one component that any version wants */
    int leader;            /* the last one that acted */
    uint64_t n_leaders;
};

static struct scenario *current; /* the world does not say whose it is */

static uint64_t pick(struct scenario *scenario, uint64_t below) { return world_random(&scenario->world, below); }

/* --- manifests --- */

static json_t *make_component(struct scenario *scenario, size_t i)
{
    static const char *const spreads[] = {"[]", "[{\"name\":\"a\",\"requirements\":{\"zone\":\"a\"}}]",
                                          "[{\"name\":\"a\",\"requirements\":{\"zone\":\"a\"},\"weight\":30},"
                                          "{\"name\":\"b\",\"requirements\":{\"zone\":\"b\"},\"weight\":70}]"};
    char name[16], image[32], config[16];
    snprintf(name, sizeof name, "c%zu", i);
    snprintf(image, sizeof image, "r/c:%llu", (unsigned long long)pick(scenario, IMAGES));
    snprintf(config, sizeof config, "k%llu", (unsigned long long)pick(scenario, 2));
    json_t *spread = json_loads(spreads[pick(scenario, 3)], 0, NULL);
    json_t *traits = json_pack("[{s:s, s:{s:I, s:o}}, {s:s, s:{s:{s:s}, s:s, s:s, s:[s]}}]", "type",
                               pick(scenario, 5) ? "spreadscaler" : "daemonscaler", "properties", "instances",
                               (json_int_t)(1 + pick(scenario, 6)), "spread", spread, "type", "link", "properties",
                               "target", "name", "p", "namespace", "wasi", "package",
                               pick(scenario, 2) ? "keyvalue" : "blobstore", "interfaces", "store");
    return json_pack("{s:s, s:s, s:{s:s, s:[{s:s, s:{s:s}}]}, s:o}", "name", name, "type", "component", "properties",
                     "image", image, "config", "name", config, "properties", "v", image, "traits", traits);
}

static json_t *make_manifest(struct scenario *scenario, size_t app, uint32_t version)
{
    char name[16], text[16], image[32];
    snprintf(name, sizeof name, "app%zu", app);
    snprintf(text, sizeof text, "v%u", version);
    snprintf(image, sizeof image, "r/p:%llu", (unsigned long long)pick(scenario, 2));
    json_t *components = json_array();
    /* One each with its config, so that no two of one application disagree about it. */
    json_array_append_new(components, make_component(scenario, pick(scenario, 2)));
    json_array_append_new(
        components, json_pack("{s:s, s:s, s:{s:s}}", "name", "p", "type", "capability", "properties", "image", image));
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:o}}", "apiVersion", "core.oam.dev/v1beta1", "kind",
                     "Application", "metadata", "name", name, "annotations", "version", text, "spec", "components",
                     components);
}

/* --- clients --- */

static void on_answer(struct world *world, struct host *host, const json_t *answer, void *env)
{
    struct op *op = env;
    struct wisp_str result = wisp_json_str(answer, "result");
    (void)host;
    if (op->is_done) world_fail(world, "a request was answered twice");
    op->is_done = true;
    op->was_accepted = wisp_str_is(result, "created") || wisp_str_is(result, "newversion") ||
                       wisp_str_is(result, "acknowledged") || wisp_str_is(result, "deleted");
    op->scenario->n_accepted += op->was_accepted;
}

static void ask(struct scenario *scenario, const char *verb, const char *payload, struct op op)
{
    char subject[128];
    if (scenario->n_ops == OPS_MAX) return;
    struct op *kept = &scenario->ops[scenario->n_ops++];
    *kept = op;
    kept->scenario = scenario;
    kept->begun_ms = scenario->world.now_ms;
    if (op.kind == PUT)
        snprintf(subject, sizeof subject, "wadm.api.default.model.put");
    else
        snprintf(subject, sizeof subject, "wadm.api.default.model.%s.app%zu", verb, op.app);
    world_ask(&scenario->world, subject, payload, on_answer, kept);
}

static json_int_t wanted_of(const struct world *world, const json_t *component);

static void note_most(struct scenario *scenario, size_t app, const json_t *manifest)
{
    const json_t *components = json_object_get(json_object_get(manifest, "spec"), "components");
    json_int_t wanted = wanted_of(&scenario->world, json_array_get(components, 0));
    if (wanted > scenario->most[app]) scenario->most[app] = wanted;
}

static void change_app(struct scenario *scenario)
{
    struct op op = {.app = pick(scenario, APPS)};
    uint64_t what = pick(scenario, 12);
    if (what < 4) {
        char key[32];
        op.kind = PUT;
        op.version = ++scenario->n_versions;
        json_t *manifest = make_manifest(scenario, op.app, op.version);
        char *text = json_dumps(manifest, JSON_COMPACT);
        snprintf(key, sizeof key, "app%zu/v%u", op.app, op.version);
        json_object_set_new(scenario->manifests, key, manifest);
        note_most(scenario, op.app, manifest);
        ask(scenario, "put", text, op);
        free(text);
    } else if (what < 9) {
        op.kind = DEPLOY;
        ask(scenario, "deploy", "", op);
    } else if (what < 11) {
        op.kind = UNDEPLOY;
        ask(scenario, "undeploy", "", op);
    } else {
        op.kind = DELETE;
        ask(scenario, "del", "", op);
    }
}

static void do_something(struct world *world, void *env)
{
    struct scenario *scenario = env;
    if (!scenario->is_busy) return;
    change_app(scenario);
    world_at(world, 20 + pick(scenario, 1500), do_something, scenario);
}

/* --- faults --- */

static void on_revive(struct world *world, void *env)
{
    struct host *host = env;
    (void)world;
    if (!host->lattice)
        host_start(host);
    else
        host_join(host);
}

static void break_something(struct world *world, void *env)
{
    struct scenario *scenario = env;
    if (!scenario->is_stormy) return;
    size_t i = pick(scenario, world->n_hosts);
    for (size_t k = 0; k < world->n_hosts && pick(scenario, 2); k++)
        if (world->hosts[k].app && wisp_app_is_leading(world->hosts[k].app)) i = k; /* more often the leader */
    struct host *host = &world->hosts[i];
    if (host->lattice && host->is_connected) {
        if (pick(scenario, 2))
            host_crash(host);
        else
            host_cut(host);
        world_at(world, 50 + pick(scenario, 9000), on_revive, host);
    }
    world_at(world, 500 + pick(scenario, 8000), break_something, scenario);
}

/* --- what must never happen --- */

static const json_t *unit_of(const json_t *inventory, const char *kind, struct wisp_str id)
{
    const json_t *list = json_object_get(inventory, kind);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (wisp_str_equal(wisp_json_str(json_array_get(list, i), "id"), id)) return json_array_get(list, i);
    return NULL;
}

static struct wisp_str owner_of(const json_t *unit)
{
    return wisp_json_str(json_object_get(unit, "annotations"), "wasmcloud.dev/appspec");
}

static void check_own(struct world *world, struct wisp_str subject, const json_t *payload)
{
    bool is_scale = memmem(subject.ptr, subject.len, ".component.scale.", 17);
    bool is_stop = memmem(subject.ptr, subject.len, ".provider.stop.", 15);
    for (size_t i = 0; i < world->n_hosts && (is_scale || is_stop); i++) {
        struct host *host = &world->hosts[i];
        if (!host->lattice || !wisp_str_is(wisp_json_str(payload, "host_id"), host->id)) continue;
        struct wisp_lattice_now now = {world->now_ms, 0};
        WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(host->lattice, now);
        struct wisp_str id = wisp_json_str(payload, is_scale ? "component_id" : "provider_id");
        const json_t *unit = unit_of(inventory, is_scale ? "components" : "providers", id);
        struct wisp_str mine = owner_of(payload);
        if (unit && !owner_of(unit).len) world_fail(world, "what a person started is touched: %.*s", WISP_STR_ARG(id));
        if (unit && is_scale && !wisp_str_equal(owner_of(unit), mine))
            world_fail(world, "`%.*s` is touched for `%.*s`", WISP_STR_ARG(id), WISP_STR_ARG(mine));
    }
}

static void on_command(struct world *world, struct host *host, struct wisp_str subject, const json_t *payload)
{
    struct scenario *scenario = current;
    bool is_question =
        memmem(subject.ptr, subject.len, ".host.get.", 10) || wisp_str_starts_with(subject, WISP_STR("wadm.api."));
    if (is_question) return;
    scenario->n_commands++;
    for (size_t i = 0; i < world->n_hosts; i++) {
        const struct host *other = &world->hosts[i];
        if (other != host && other->app && wisp_app_is_leading(other->app))
            world_fail(world, "managers %zu and %zu act at a time", host->index, i);
    }
    if (!wisp_app_is_leading(host->app)) world_fail(world, "manager %zu acts and does not lead", host->index);
    if (world->is_verbose) {
        char *text = json_dumps(payload, JSON_COMPACT);
        fprintf(stderr, "%llu manager %zu: %.*s %s\n", (unsigned long long)world->now_ms, host->index,
                WISP_STR_ARG(subject), text ? text : "");
        free(text);
    }
    scenario->n_leaders += scenario->leader != (int)host->index;
    scenario->leader = (int)host->index;
    check_own(world, subject, payload);
}

/* --- what must be in the end --- */

static json_t *stored(const struct world *world, int bucket, const char *key)
{
    const json_t *text = json_array_get(json_object_get(world->store[bucket], key), 0);
    json_t *value = NULL;
    if (text && wisp_json_parse((struct wisp_str){json_string_value(text), json_string_length(text)}, &value, NULL) < 0)
        world_fail(world, "`%s` is not JSON", key);
    return value;
}

/* What one application runs: {id: {count, image, hosts}}. */
static json_t *running_of(const struct world *world, const char *app)
{
    json_t *found = json_object();
    for (size_t i = 0; i < world->n_hosts; i++) {
        struct wisp_lattice_now now = {world->now_ms, 0};
        WISP_CLEANUP_JSON json_t *inventory = wisp_lattice_inventory(world->hosts[i].lattice, now);
        const char *const kinds[] = {"components", "providers"};
        for (int k = 0; k < 2; k++) {
            const json_t *list = json_object_get(inventory, kinds[k]);
            for (size_t j = 0; j < json_array_size(list); j++) {
                const json_t *unit = json_array_get(list, j);
                if (!wisp_str_is(owner_of(unit), app)) continue;
                const char *id = json_string_value(json_object_get(unit, "id"));
                json_int_t before = json_integer_value(json_array_get(json_object_get(found, id), 0));
                json_int_t count = k ? 1 : json_integer_value(json_object_get(unit, "max_instances"));
                json_object_set_new(found, id, json_pack("[I, O]", before + count, json_object_get(unit, "image_ref")));
            }
        }
    }
    return found;
}

static size_t hosts_in(const struct world *world, const json_t *requirements)
{
    size_t n = 0;
    for (size_t i = 0; i < world->n_hosts; i++) {
        const char *zone = json_string_value(json_object_get(requirements, "zone"));
        n += !zone || strcmp(zone, i % 2 ? "b" : "a") == 0;
    }
    return n;
}

static json_int_t wanted_of(const struct world *world, const json_t *component)
{
    const json_t *scaler = json_array_get(json_object_get(component, "traits"), 0);
    const json_t *properties = json_object_get(scaler, "properties"), *spread = json_object_get(properties, "spread");
    json_int_t n = json_integer_value(json_object_get(properties, "instances"));
    if (!scaler) return 1;
    if (!wisp_str_is(wisp_json_str(scaler, "type"), "daemonscaler")) return n;
    size_t n_hosts = json_array_size(spread) ? 0 : world->n_hosts;
    for (size_t i = 0; i < json_array_size(spread); i++)
        n_hosts += hosts_in(world, json_object_get(json_array_get(spread, i), "requirements"));
    return n * (json_int_t)n_hosts;
}

/* What replaces something is there before that goes, and no more than that. Who was away may have kept what was given
 * to others meanwhile: this counts while nobody is. */
static void watch(struct world *world, void *env)
{
    struct scenario *scenario = env;
    const char *id;
    json_t *found;
    for (size_t i = 0; i < APPS; i++) {
        char app[16];
        snprintf(app, sizeof app, "app%zu", i);
        WISP_CLEANUP_JSON json_t *running = running_of(world, app);
        json_object_foreach(running, id, found)
        {
            json_int_t count = json_integer_value(json_array_get(found, 0)), most = 2 * scenario->most[i];
            if (!strstr(id, "-p") && count > most) world_fail(world, "%s has %lld instances: too many", id, count);
        }
    }
    if (scenario->is_busy) world_at(world, 100, watch, scenario);
}

static void check_links(struct world *world, const char *app, const json_t *component)
{
    char key[64], target[32];
    const char *name = json_string_value(json_object_get(component, "name"));
    const json_t *trait = json_array_get(json_object_get(component, "traits"), 1);
    struct wisp_str package = wisp_json_str(json_object_get(trait, "properties"), "package");
    size_t n = 0;
    snprintf(key, sizeof key, "COMPONENT_%s-%s", app, name);
    snprintf(target, sizeof target, "%s-p", app);
    WISP_CLEANUP_JSON json_t *spec = stored(world, 0, key);
    const json_t *links = json_object_get(spec, "links");
    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *link = json_array_get(links, i);
        n += wisp_str_equal(wisp_json_str(link, "wit_package"), package) &&
             wisp_str_is(wisp_json_str(link, "target"), target);
    }
    if (n != 1 || json_array_size(links) != 1)
        world_fail(world, "%s-%s has %zu links, %zu of them right", app, name, json_array_size(links), n);
}

static void check_deployed(struct world *world, const char *app, const json_t *manifest)
{
    WISP_CLEANUP_JSON json_t *running = running_of(world, app);
    const json_t *components = json_object_get(json_object_get(manifest, "spec"), "components");
    for (size_t i = 0; i < json_array_size(components); i++) {
        char id[64];
        const json_t *component = json_array_get(components, i);
        snprintf(id, sizeof id, "%s-%s", app, json_string_value(json_object_get(component, "name")));
        const json_t *found = json_object_get(running, id);
        json_int_t wanted = wanted_of(world, component), count = json_integer_value(json_array_get(found, 0));
        const json_t *image = json_object_get(json_object_get(component, "properties"), "image");
        bool is_component = wisp_str_is(wisp_json_str(component, "type"), "component");
        if (count != wanted) world_fail(world, "%s has %lld instances, not %lld", id, count, wanted);
        if (is_component && !json_equal(json_array_get(found, 1), image))
            world_fail(world, "%s runs another image than `%s`", id, json_string_value(image));
        if (is_component) check_links(world, app, component);
    }
    if (json_object_size(running) != json_array_size(components))
        world_fail(world, "%s has %zu units, not %zu", app, json_object_size(running), json_array_size(components));
}

static void check_gone(struct world *world, const char *app)
{
    char prefix[32];
    const char *key;
    json_t *unused;
    WISP_CLEANUP_JSON json_t *running = running_of(world, app);
    if (json_object_size(running)) world_fail(world, "something of %s is left: %s", app, json_dumps(running, 0));
    snprintf(prefix, sizeof prefix, "%s-", app);
    json_object_foreach(world->store[1], key, unused)
    {
        if (strncmp(key, prefix, strlen(prefix)) == 0) world_fail(world, "config `%s` is left", key);
    }
}

/* The last thing that was asked for and accepted holds, if nothing was asked for that nobody knows the end of. */
static void check_accepted(struct scenario *scenario, size_t app, const json_t *record)
{
    struct world *world = &scenario->world;
    const struct op *last = NULL;
    for (size_t i = 0; i < scenario->n_ops; i++) {
        const struct op *op = &scenario->ops[i];
        if (op->app != app || op->kind == PUT) continue;
        if (op->was_accepted || !op->is_done) last = op;
    }
    if (!last || !last->is_done || scenario->was_wiped) return;
    bool is_deployed = wisp_json_str(record, "deployed_version").len;
    if (is_deployed != (last->kind == DEPLOY))
        world_fail(world, "app%zu is %sdeployed, against what was accepted last", app, is_deployed ? "" : "not ");
}

static void check_all(struct scenario *scenario)
{
    struct world *world = &scenario->world;
    for (size_t i = 0; i < APPS; i++) {
        char app[16], key[32];
        snprintf(app, sizeof app, "app%zu", i);
        snprintf(key, sizeof key, "default-app%zu", i);
        WISP_CLEANUP_JSON json_t *record = stored(world, 2, key);
        struct wisp_str version = wisp_json_str(record, "deployed_version");
        check_accepted(scenario, i, record);
        if (record && json_object_get(record, "removed")) world_fail(world, "%s is not cleared away", app);
        if (record && !json_object_size(json_object_get(record, "manifests"))) world_fail(world, "%s is left", app);
        if (version.len)
            check_deployed(world, app,
                           json_object_getn(json_object_get(record, "manifests"), version.ptr, version.len));
        else
            check_gone(world, app);
    }
    WISP_CLEANUP_JSON json_t *manual = running_of(world, "");
    for (size_t i = 0; i < MANUAL; i++) {
        char id[16];
        snprintf(id, sizeof id, "manual%zu", i);
        if (json_integer_value(json_array_get(json_object_get(manual, id), 0)) != 2)
            world_fail(world, "%s is not as it was", id);
    }
}

static size_t count_following(const struct world *world)
{
    size_t n = 0;
    for (size_t i = 0; i < world->n_hosts; i++)
        for (const struct route *route = world->hosts[i].routes; route; route = route->next)
            n += route->is_app && strcmp(route->pattern, "wasmbus.evt.default.*") == 0;
    return n;
}

static void check_quiet(struct scenario *scenario)
{
    uint64_t before = scenario->n_commands;
    world_run(&scenario->world, scenario->world.now_ms + 120000);
    size_t n_following = count_following(&scenario->world);
    if (n_following != 3) world_fail(&scenario->world, "%zu managers hear of all hosts, not 3", n_following);
    if (scenario->n_commands != before)
        world_fail(&scenario->world, "%llu commands though nothing has changed",
                   (unsigned long long)(scenario->n_commands - before));
}

/* --- one history --- */

static void begin(struct scenario *scenario, uint64_t seed)
{
    struct world *world = &scenario->world;
    world_init(world, seed, 3 + seed % 3);
    world->has_apps = true;
    world->on_command = on_command;
    scenario->leader = -1;
    scenario->manifests = json_object();
    current = scenario;
    /* A lattice that has been there for a while: what nobody knows is cleared away. */
    json_object_set_new(world->store[2], "wisp.default.lease",
                        json_pack("[s, I]",
                                  "{\"host\":\"OLD\",\"epoch\":\"0123456789abcdef\",\"began\":1,\"released\":true}",
                                  (json_int_t)++world->revision));
    for (size_t i = 0; i < world->n_hosts; i++) host_start(&world->hosts[i]);
    world_live(world, NULL);
    world_run(world, 2000);
    for (size_t i = 0; i < world->n_hosts; i++) {
        char subject[256];
        snprintf(subject, sizeof subject, "wasmbus.ctl.v1.default.label.put.%s", world->hosts[i].id);
        world_ask(world, subject, i % 2 ? "{\"key\":\"zone\",\"value\":\"b\"}" : "{\"key\":\"zone\",\"value\":\"a\"}",
                  NULL, NULL);
    }
    for (size_t i = 0; i < MANUAL; i++) {
        char subject[256], payload[128];
        snprintf(subject, sizeof subject, "wasmbus.ctl.v1.default.component.scale.%s", world->hosts[i].id);
        snprintf(payload, sizeof payload, "{\"component_ref\":\"x:1\",\"component_id\":\"manual%zu\",\"count\":2}", i);
        world_ask(world, subject, payload, NULL, NULL);
    }
    world_run(world, 5000);
}

static void heal(struct scenario *scenario)
{
    struct world *world = &scenario->world;
    scenario->is_busy = scenario->is_stormy = false;
    world->weather = (struct weather){.delay_max_ms = 5};
    for (size_t i = 0; i < world->n_hosts; i++) on_revive(world, &world->hosts[i]);
    world_run(world, world->now_ms + 10000);
    /* Labels that were given while a host ran are lost with it. */
    for (size_t i = 0; i < world->n_hosts; i++) {
        char subject[256];
        snprintf(subject, sizeof subject, "wasmbus.ctl.v1.default.label.put.%s", world->hosts[i].id);
        world_ask(world, subject, i % 2 ? "{\"key\":\"zone\",\"value\":\"b\"}" : "{\"key\":\"zone\",\"value\":\"a\"}",
                  NULL, NULL);
    }
    world_run(world, world->now_ms + 190000); /* outcomes that were lost are given up, and the backoff is over */
}

static void run_history(uint64_t seed, bool is_verbose)
{
    struct scenario *scenario = wisp_mem_calloc(1, sizeof *scenario);
    struct world *world = &scenario->world;
    uint64_t mood = seed * 0x9e3779b97f4a7c15u >> 40;
    begin(scenario, seed);
    world->is_verbose = is_verbose;
    world->weather = (struct weather){
        .lost = mood / 2 % 3 * 20, .doubled = mood / 6 % 3 * 30, .delay_max_ms = mood / 18 % 2 ? 100 : 5};
    scenario->is_busy = true;
    scenario->is_stormy = mood / 36 % 4 != 0;
    do_something(world, scenario);
    if (scenario->is_stormy)
        break_something(world, scenario);
    else
        watch(world, scenario);
    world_run(world, world->now_ms + 60000);
    heal(scenario);
    check_all(scenario);
    check_quiet(scenario);
    if (mood / 144 % 3 == 0) {
        scenario->was_wiped = true;
        world_wipe(world);
        world_run(world, world->now_ms + 60000);
        check_all(scenario);
        check_quiet(scenario);
    }
    printf("seed %llu: %zu hosts, %zu requests, %llu accepted, %llu commands, %llu leaders%s%s\n",
           (unsigned long long)seed, world->n_hosts, scenario->n_ops, (unsigned long long)scenario->n_accepted,
           (unsigned long long)scenario->n_commands, (unsigned long long)scenario->n_leaders,
           mood / 36 % 4 ? ", stormy" : "", scenario->was_wiped ? ", wiped" : "");
    json_decref(scenario->manifests);
    world_deinit(world);
    free(scenario);
}

int main(int argc, char **argv)
{
    uint64_t from = 0, count = 0;
    bool is_verbose = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0)
            is_verbose = true;
        else if (strcmp(argv[i], "--from") == 0 && i + 1 < argc)
            from = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
            count = strtoull(argv[++i], NULL, 10);
        else
            run_history(strtoull(argv[i], NULL, 10), is_verbose);
    }
    for (uint64_t seed = from; seed < from + count; seed++) run_history(seed, is_verbose);
    return 0;
}
