/* SPDX-License-Identifier: Apache-2.0 */
/* Simulations of the lattice:
 *
 *     lattice_sim SEED ...          each seed is a history; a failing one is named, and the program ends with 1
 *     lattice_sim --from A --count N   seeds A to A+N-1
 *     lattice_sim --scale HOSTS     messages and CPU time of one host per heartbeat interval, as a line of JSON
 *
 * In a history hosts crash, are cut off and come back while clients change links and configs and scale components; in
 * some the store is wiped. Then everything heals and must agree: every host with the store, what runs with what was
 * accepted, and the store with some order of the acknowledged writes. */
#include "world.h"

enum {
    COMPONENTS = 8,
    NAMES = 3,
    TARGETS = 3,
    CONFIGS = 6,
    DOUBT_MS = 15000, /* a request without an answer has done what it will do after that */
    ACTIONS_PER_SECOND_MAX = 4000,
};

/* --- histories of keys --- */

/* A change that a client asked for. */
struct operation {
    uint64_t begun_ms, done_ms; /* done_ms 0: nobody said */
    bool is_acknowledged, is_void;
    char *value; /* NULL: absent */
};

struct history {
    char name[64];
    struct operation *operations[4096];
    size_t n_operations;
};

struct scenario {
    struct world world;
    struct history links[COMPONENTS][NAMES];
    struct history configs[CONFIGS + 1]; /* the last one is in use everywhere and never deleted */
    bool is_busy, is_stormy, has_providers;
    uint64_t n_values;
};

static struct operation *begin_operation(struct scenario *scenario, struct history *history, const char *value)
{
    struct operation *operation = wisp_mem_calloc(1, sizeof *operation);
    operation->begun_ms = scenario->world.now_ms;
    operation->value = value ? wisp_mem_dup(wisp_str_from(value)) : NULL;
    if (history->n_operations == WISP_COUNT(history->operations))
        world_fail(&scenario->world, "too many operations on %s", history->name);
    history->operations[history->n_operations++] = operation;
    return operation;
}

static void on_changed(struct world *world, struct host *host, const json_t *envelope, void *env)
{
    struct operation *operation = env;
    (void)host;
    const char *message = json_string_value(json_object_get(envelope, "message"));
    operation->done_ms = world->now_ms;
    if (json_is_true(json_object_get(envelope, "success")))
        operation->is_acknowledged = !strstr(message, "doesn't exist");
    else
        operation->is_void = strstr(message, "already") || strstr(message, "in time") || strstr(message, "not found");
}

/* Somebody's later change, begun after this one was over, has been acknowledged. */
static bool is_superseded(const struct history *history, const struct operation *operation)
{
    uint64_t over_ms = operation->is_acknowledged ? operation->done_ms : operation->begun_ms + DOUBT_MS;
    for (size_t i = 0; i < history->n_operations; i++)
        if (history->operations[i]->is_acknowledged && history->operations[i]->begun_ms > over_ms) return true;
    return false;
}

static bool is_same(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static void check_history(struct scenario *scenario, const struct history *history, const char *value)
{
    static const struct operation absent = {.is_acknowledged = true};
    if (!value && !is_superseded(history, &absent)) return;
    for (size_t i = 0; i < history->n_operations; i++) {
        const struct operation *operation = history->operations[i];
        if (!operation->is_void && is_same(operation->value, value) && !is_superseded(history, operation)) return;
    }
    for (size_t i = 0; i < history->n_operations; i++) {
        const struct operation *operation = history->operations[i];
        fprintf(stderr, "  %llu-%llu %s%s%s\n", (unsigned long long)operation->begun_ms,
                (unsigned long long)operation->done_ms, operation->value ? operation->value : "absent",
                operation->is_acknowledged ? ", acknowledged" : "", operation->is_void ? ", refused" : "");
    }
    world_fail(&scenario->world, "%s is `%s`: an acknowledged write is lost", history->name, value ? value : "absent");
}

/* --- clients --- */

static uint64_t pick(struct scenario *scenario, uint64_t below) { return world_random(&scenario->world, below); }

static void change_link(struct scenario *scenario)
{
    char payload[512], target[32];
    size_t source = pick(scenario, COMPONENTS), name = pick(scenario, NAMES);
    struct history *history = &scenario->links[source][name];
    if (pick(scenario, 3) == 0) {
        snprintf(payload, sizeof payload,
                 "{\"source_id\":\"c%zu\",\"name\":\"n%zu\",\"wit_namespace\":\"a\",\"wit_package\":\"b\"}", source,
                 name);
        world_ask(&scenario->world, "wasmbus.ctl.v1.default.link.del", payload, on_changed,
                  begin_operation(scenario, history, NULL));
        return;
    }
    snprintf(target, sizeof target, "t%llu", (unsigned long long)pick(scenario, TARGETS));
    snprintf(
        payload, sizeof payload,
        "{\"source_id\":\"c%zu\",\"target\":\"%s\",\"name\":\"n%zu\",\"wit_namespace\":\"a\",\"wit_package\":\"b\","
        "\"interfaces\":[\"i\"],\"source_config\":[],\"target_config\":[]}",
        source, target, name);
    world_ask(&scenario->world, "wasmbus.ctl.v1.default.link.put", payload, on_changed,
              begin_operation(scenario, history, target));
}

static void change_config(struct scenario *scenario, size_t index)
{
    char subject[128], value[64];
    struct history *history = &scenario->configs[index];
    bool is_delete = index < CONFIGS && pick(scenario, 3) == 0;
    snprintf(subject, sizeof subject, "wasmbus.ctl.v1.default.config.%s.%s", is_delete ? "del" : "put", history->name);
    snprintf(value, sizeof value, "{\"v\":\"%llu\"}", (unsigned long long)++scenario->n_values);
    world_ask(&scenario->world, subject, is_delete ? "" : value, on_changed,
              begin_operation(scenario, history, is_delete ? NULL : value));
}

struct scale {
    char id[16];
    uint32_t count;
};

static void on_scaled(struct world *world, struct host *host, const json_t *envelope, void *env)
{
    const struct scale *scale = env;
    (void)world;
    if (!json_is_true(json_object_get(envelope, "success"))) return;
    if (scale->count)
        json_object_set_new(host->expected, scale->id, json_integer(scale->count));
    else
        json_object_del(host->expected, scale->id);
}

static void scale_component(struct scenario *scenario, const struct scale *scale)
{
    struct world *world = &scenario->world;
    const struct host *host = &world->hosts[pick(scenario, world->n_hosts)];
    char subject[256], payload[256];
    snprintf(subject, sizeof subject, "wasmbus.ctl.v1.default.component.scale.%s", host->id);
    snprintf(payload, sizeof payload,
             "{\"component_ref\":\"x/y:1\",\"component_id\":\"%s\",\"count\":%u,\"config\":[\"base\"]}", scale->id,
             scale->count);
    struct scale *kept = wisp_mem_calloc(1, sizeof *kept);
    *kept = *scale;
    world_ask(world, subject, payload, on_scaled, kept);
}

static void scale_some(struct scenario *scenario)
{
    struct scale scale = {.count = (uint32_t)pick(scenario, 4)};
    snprintf(scale.id, sizeof scale.id, "c%llu", (unsigned long long)pick(scenario, COMPONENTS));
    scale_component(scenario, &scale);
}

static void do_something(struct world *world, void *env)
{
    struct scenario *scenario = env;
    if (!scenario->is_busy) return;
    switch (pick(scenario, 8)) {
    case 0:
    case 1:
    case 2:
        change_link(scenario);
        break;
    case 3:
    case 4:
        change_config(scenario, pick(scenario, CONFIGS + 1));
        break;
    case 5:
    case 6:
        scale_some(scenario);
        break;
    default:
        world_ask(world, "wasmbus.ctl.v1.default.host.ping", "", NULL, NULL);
        break;
    }
    world_at(world, 1 + pick(scenario, 60), do_something, scenario);
}

/* --- faults --- */

static void on_revive(struct world *world, void *env)
{
    (void)world;
    struct host *host = env;
    if (!host->lattice)
        host_start(host);
    else
        host_join(host);
}

static void break_something(struct world *world, void *env)
{
    struct scenario *scenario = env;
    if (!scenario->is_stormy) return;
    struct host *host = &world->hosts[pick(scenario, world->n_hosts)];
    if (host->lattice && host->is_connected) {
        if (pick(scenario, 2))
            host_crash(host);
        else
            host_cut(host);
        world_at(world, 50 + pick(scenario, 15000), on_revive, host);
    }
    world_at(world, 200 + pick(scenario, 5000), break_something, scenario);
}

static void heal(struct scenario *scenario)
{
    struct world *world = &scenario->world;
    scenario->is_busy = scenario->is_stormy = world->kills_processes = false;
    world->weather = (struct weather){.delay_max_ms = 5};
    for (size_t i = 0; i < world->n_hosts; i++) on_revive(world, &world->hosts[i]);
}

/* --- checks --- */

static json_t *stored_value(const struct world *world, int bucket, const char *key)
{
    const json_t *text = json_array_get(json_object_get(world->store[bucket], key), 0);
    json_t *value = NULL;
    if (text && wisp_json_parse((struct wisp_str){json_string_value(text), json_string_length(text)}, &value, NULL) < 0)
        world_fail(world, "`%s` is not JSON", key);
    return value;
}

static void add_to_set(json_t *set, json_t *value)
{
    char *text = json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    json_object_set_new(set, text, json_true());
    free(text);
}

static json_t *links_in_store(const struct world *world)
{
    json_t *set = json_object();
    const char *key;
    json_t *unused;
    json_object_foreach(world->store[0], key, unused)
    {
        WISP_CLEANUP_JSON json_t *spec = stored_value(world, 0, key);
        const json_t *links = json_object_get(spec, "links");
        for (size_t i = 0; i < json_array_size(links); i++) add_to_set(set, json_array_get(links, i));
    }
    return set;
}

static void check_same(const struct host *host, const char *what, const json_t *actual, const json_t *expected)
{
    if (json_equal(actual, expected)) return;
    char *a = json_dumps(actual, JSON_SORT_KEYS | JSON_ENCODE_ANY),
         *e = json_dumps(expected, JSON_SORT_KEYS | JSON_ENCODE_ANY);
    world_fail(host->world, "host %zu has %s\n  %s\nexpected\n  %s", host->index, what, a ? a : "none", e ? e : "none");
}

static void check_view(struct scenario *scenario, struct host *host)
{
    struct world *world = &scenario->world;
    WISP_CLEANUP_JSON json_t *known = host_ask(host, "link.get"), *set = json_object();
    WISP_CLEANUP_JSON json_t *stored = links_in_store(world);
    for (size_t i = 0; i < json_array_size(known); i++) add_to_set(set, json_array_get(known, i));
    check_same(host, "links", set, stored);
    for (size_t i = 0; i <= CONFIGS; i++) {
        char tail[128];
        snprintf(tail, sizeof tail, "config.get.%s", scenario->configs[i].name);
        WISP_CLEANUP_JSON json_t *config = host_ask(host, tail);
        WISP_CLEANUP_JSON json_t *value = stored_value(world, 1, scenario->configs[i].name);
        if (config || value) check_same(host, "a config", config, value);
    }
}

static json_t *targets_in_store(const struct world *world, const char *id)
{
    char key[64], text[256];
    json_t *set = json_object();
    snprintf(key, sizeof key, "COMPONENT_%s", id);
    WISP_CLEANUP_JSON json_t *spec = stored_value(world, 0, key);
    const json_t *links = json_object_get(spec, "links");
    for (size_t i = 0; i < json_array_size(links); i++) {
        const json_t *link = json_array_get(links, i);
        snprintf(text, sizeof text, "%s a:b/i %s", json_string_value(json_object_get(link, "name")),
                 json_string_value(json_object_get(link, "target")));
        json_object_set_new(set, text, json_true());
    }
    return set;
}

static void check_running(struct scenario *scenario, struct host *host)
{
    struct world *world = &scenario->world;
    const char *id;
    json_t *running;
    WISP_CLEANUP_JSON json_t *counts = json_object();
    WISP_CLEANUP_JSON json_t *base = stored_value(world, 1, "base");
    json_object_foreach(host->running, id, running)
    {
        WISP_CLEANUP_JSON json_t *targets = targets_in_store(world, id), *set = json_object();
        const json_t *links = json_object_get(running, "links");
        for (size_t i = 0; i < json_array_size(links); i++)
            json_object_set_new(set, json_string_value(json_array_get(links, i)), json_true());
        json_object_set(counts, id, json_object_get(running, "count"));
        check_same(host, "a component with the config", json_object_get(running, "config"), base);
        check_same(host, "a component with the links", set, targets);
    }
    check_same(host, "components", counts, host->expected);
}

/* Whatever died, hung or crashed: once it is calm, everything that is to run does. */
static void check_processes(const struct world *world, const struct host *host)
{
    for (int i = 0; i < PROVIDERS_MAX; i++)
        if (!host->processes[i].id[0] || host->processes[i].state != UP)
            world_fail(world, "host %zu: provider %d `%s` is in state %d", host->index, i, host->processes[i].id,
                       (int)host->processes[i].state);
}

static void check_writes(struct scenario *scenario)
{
    const struct world *world = &scenario->world;
    for (size_t source = 0; source < COMPONENTS; source++) {
        char key[64];
        snprintf(key, sizeof key, "COMPONENT_c%zu", source);
        WISP_CLEANUP_JSON json_t *spec = stored_value(world, 0, key);
        const json_t *links = json_object_get(spec, "links");
        for (size_t name = 0; name < NAMES; name++) {
            const char *target = NULL;
            char wanted[32];
            snprintf(wanted, sizeof wanted, "n%zu", name);
            for (size_t i = 0; i < json_array_size(links); i++)
                if (is_same(json_string_value(json_object_get(json_array_get(links, i), "name")), wanted))
                    target = json_string_value(json_object_get(json_array_get(links, i), "target"));
            check_history(scenario, &scenario->links[source][name], target);
        }
    }
    for (size_t i = 0; i <= CONFIGS; i++)
        check_history(
            scenario, &scenario->configs[i],
            json_string_value(json_array_get(json_object_get(world->store[1], scenario->configs[i].name), 0)));
}

static void check_all(struct scenario *scenario)
{
    struct world *world = &scenario->world;
    for (size_t i = 0; i < world->n_hosts; i++) {
        struct host *host = &world->hosts[i];
        check_view(scenario, host);
        check_running(scenario, host);
        if (scenario->has_providers) check_processes(world, host);
        if (host->n_actions_most > ACTIONS_PER_SECOND_MAX)
            world_fail(world, "host %zu did %llu things in a second", i, (unsigned long long)host->n_actions_most);
    }
    check_writes(scenario);
}

/* In the quiet a host does its heartbeat and health checks (a request and an event each) and no more. */
static void check_quiet(struct scenario *scenario, uint64_t ms)
{
    struct world *world = &scenario->world;
    for (size_t i = 0; i < world->n_hosts; i++)
        world->hosts[i].n_actions_in_window = world->hosts[i].n_actions_most = 0;
    world_run(world, world->now_ms + ms);
    for (size_t i = 0; i < world->n_hosts; i++)
        if (world->hosts[i].n_actions_most > 5 + 2 * PROVIDERS_MAX)
            world_fail(world, "host %zu did %llu things in a quiet second", i,
                       (unsigned long long)world->hosts[i].n_actions_most);
}

/* --- one history --- */

static void start_providers(struct scenario *scenario, const struct host *host)
{
    for (int i = 0; i < PROVIDERS_MAX; i++) {
        char subject[256], payload[256];
        snprintf(subject, sizeof subject, "wasmbus.ctl.v1.default.provider.start.%s", host->id);
        snprintf(payload, sizeof payload, "{\"provider_ref\":\"x/p:1\",\"provider_id\":\"p%d\",\"config\":[\"base\"]}",
                 i);
        world_ask(&scenario->world, subject, payload, NULL, NULL);
    }
}

static void scenario_init(struct scenario *scenario, uint64_t seed, size_t n_hosts, bool has_apps)
{
    world_init(&scenario->world, seed, n_hosts);
    scenario->world.has_apps = has_apps;
    for (size_t source = 0; source < COMPONENTS; source++)
        for (size_t name = 0; name < NAMES; name++)
            snprintf(scenario->links[source][name].name, 64, "link n%zu of c%zu", name, source);
    for (size_t i = 0; i < CONFIGS; i++) snprintf(scenario->configs[i].name, 64, "k%zu", i);
    snprintf(scenario->configs[CONFIGS].name, 64, "base");
    for (size_t i = 0; i < n_hosts; i++) host_start(&scenario->world.hosts[i]);
    world_run(&scenario->world, 2000);
    change_config(scenario, CONFIGS);
    world_run(&scenario->world, 4000);
}

static void history_free(struct history *history)
{
    for (size_t i = 0; i < history->n_operations; i++) {
        free(history->operations[i]->value);
        free(history->operations[i]);
    }
}

static void scenario_free(struct scenario *scenario)
{
    struct world *world = &scenario->world;
    for (size_t i = 0; i < world->n_requests; i++)
        if (world->requests[i].on_answer == on_scaled) free(world->requests[i].env);
    for (size_t source = 0; source < COMPONENTS; source++)
        for (size_t name = 0; name < NAMES; name++) history_free(&scenario->links[source][name]);
    for (size_t i = 0; i <= CONFIGS; i++) history_free(&scenario->configs[i]);
    world_deinit(world);
    free(scenario);
}

static void be_busy(struct scenario *scenario, uint64_t ms, bool is_stormy)
{
    struct world *world = &scenario->world;
    scenario->is_busy = true;
    scenario->is_stormy = is_stormy;
    world->kills_processes = true;
    do_something(world, scenario);
    if (is_stormy) break_something(world, scenario);
    world_run(world, world->now_ms + ms);
}

static void run_history(uint64_t seed, bool is_verbose)
{
    enum { BUSY_MS = 40000, HEAL_MS = 120000, QUIET_MS = 20000 };
    struct scenario *scenario = wisp_mem_calloc(1, sizeof *scenario);
    struct world *world = &scenario->world;
    uint64_t mood = seed * 0x9e3779b97f4a7c15u >> 32;
    scenario_init(scenario, seed, 2 + mood % 5, false);
    world->seed = seed;
    world->is_verbose = is_verbose;
    for (size_t i = 0; i < world->n_hosts; i++) start_providers(scenario, &world->hosts[i]);
    scenario->has_providers = true;
    world_live(world, NULL);
    world_run(world, 6000);
    /* Each history has its own weather, some have none. */
    world->weather = (struct weather){
        .lost = mood / 5 % 4 * 20, .doubled = mood / 20 % 3 * 30, .delay_max_ms = mood / 60 % 2 ? 200 : 5};
    be_busy(scenario, BUSY_MS, mood / 120 % 4 != 0);
    heal(scenario);
    world_run(world, world->now_ms + HEAL_MS);
    check_all(scenario);
    check_quiet(scenario, QUIET_MS);
    if (mood / 480 % 2) {
        world_wipe(world);
        world_run(world, world->now_ms + 10000);
        check_all(scenario);
        be_busy(scenario, BUSY_MS / 4, true);
        heal(scenario);
        world_run(world, world->now_ms + HEAL_MS);
        check_all(scenario);
        check_quiet(scenario, QUIET_MS);
    }
    printf("seed %llu: %zu hosts, %zu requests, %llu events, %llu deaths of processes, %llu hung, %llu restarts%s\n",
           (unsigned long long)seed, world->n_hosts, world->n_requests, (unsigned long long)world->n_events_done,
           (unsigned long long)world->n_deaths, (unsigned long long)world->n_hangs,
           (unsigned long long)world->n_restarts, mood / 480 % 2 ? ", wiped" : "");
    scenario_free(scenario);
}

/* --- many hosts --- */

/* Per host and interval. */
struct cost {
    double in, out, cpu_us;
    bool leads, is_sampled;
};

static bool leads(const struct host *host) { return host->app && wisp_app_is_leading(host->app); }

static struct cost cost_of(const struct host *host, double intervals)
{
    return (struct cost){(double)host->n_in / intervals, (double)host->n_out / intervals,
                         (double)host->cpu_ns / intervals / 1000, leads(host), host->is_sampled};
}

static int by_cpu(const void *a, const void *b)
{
    double difference = ((const struct cost *)a)->cpu_us - ((const struct cost *)b)->cpu_us;
    return difference < 0 ? -1 : difference > 0;
}

static int by_in(const void *a, const void *b)
{
    double difference = ((const struct cost *)a)->in - ((const struct cost *)b)->in;
    return difference < 0 ? -1 : difference > 0;
}

/* Medians over all hosts, and what the leading one has to do. CPU: of those that are sampled. */
static void print_costs(const struct world *world, double intervals)
{
    struct cost *costs = wisp_mem_calloc(world->n_hosts, sizeof *costs), leader = {0};
    size_t n = 0;
    for (size_t i = 0; i < world->n_hosts; i++) {
        costs[n] = cost_of(&world->hosts[i], intervals);
        if (costs[n].leads) leader = costs[n];
        n++;
    }
    qsort(costs, n, sizeof *costs, by_in);
    struct cost median = costs[n / 2];
    size_t n_sampled = 0;
    for (size_t i = 0; i < n; i++)
        if (costs[i].is_sampled) costs[n_sampled++] = costs[i];
    qsort(costs, n_sampled, sizeof *costs, by_cpu);
    printf("{\"hosts\":%zu,\"messages_in\":%.1f,\"messages_out\":%.1f,\"cpu_us\":%.1f,"
           "\"leader\":{\"messages_in\":%.1f,\"messages_out\":%.1f,\"cpu_us\":%.1f}}\n",
           world->n_hosts, median.in, median.out, costs[n_sampled / 2].cpu_us, leader.in, leader.out, leader.cpu_us);
    free(costs);
}

/* The same churn whatever the number of hosts: 100 changes of links and configs and a scale per host each 30 s. */
static void churn(struct world *world, void *env)
{
    struct scenario *scenario = env;
    for (int i = 0; i < 10; i++) {
        change_link(scenario);
        change_config(scenario, pick(scenario, CONFIGS + 1));
    }
    for (size_t i = 0; i < world->n_hosts / 5; i++) scale_some(scenario);
    struct host *host = &world->hosts[pick(scenario, world->n_hosts)];
    if (host->lattice) {
        host_crash(host);
        world_at(world, 2000, on_revive, host);
    }
    if (scenario->is_busy) world_at(world, 6000, churn, scenario);
}

static void begin_counting(struct world *world)
{
    enum { SAMPLED = 10 };
    for (size_t i = 0; i < world->n_hosts; i++) {
        struct host *host = &world->hosts[i];
        host->n_in = host->n_out = host->cpu_ns = 0;
        host->is_sampled = i % (world->n_hosts / SAMPLED + 1) == 0 || leads(host);
    }
    world->cold = wisp_mem_calloc(1, CACHE_SIZE);
}

static void run_scale(size_t n_hosts)
{
    enum { INTERVALS = 4, INTERVAL_MS = 30000 };
    struct scenario *scenario = wisp_mem_calloc(1, sizeof *scenario);
    struct world *world = &scenario->world;
    scenario_init(scenario, 1, n_hosts, true);
    scenario->is_busy = true;
    churn(world, scenario);
    world_run(world, world->now_ms + INTERVAL_MS);
    begin_counting(world);
    world_run(world, world->now_ms + INTERVALS * INTERVAL_MS);
    print_costs(world, INTERVALS);
    free(WISP_TAKE(world->cold));
    scenario->is_busy = false;
    world_run(world, world->now_ms + INTERVAL_MS);
    heal(scenario);
    world_run(world, world->now_ms + INTERVAL_MS);
    check_all(scenario);
    scenario_free(scenario);
}

int main(int argc, char **argv)
{
    uint64_t from = 0, count = 0;
    bool is_verbose = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0)
            is_verbose = true;
        else if (strcmp(argv[i], "--scale") == 0 && i + 1 < argc)
            run_scale((size_t)strtoull(argv[++i], NULL, 10));
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
