/* SPDX-License-Identifier: Apache-2.0 */
#include "app/plan_rig.h"

#define APP(name, components)                                                                                          \
    "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: " name ", annotations: {}}\nspec:\n  "      \
    "components:\n" components
#define COMPONENT(name, image, traits)                                                                                 \
    "  - {name: " name ", type: component, properties: {image: \"" image "\"}, traits: [" traits "]}\n"
#define PROVIDER(name, image, traits)                                                                                  \
    "  - {name: " name ", type: capability, properties: {image: \"" image "\"}, traits: [" traits "]}\n"
#define SPREAD(n, spread) "{type: spreadscaler, properties: {instances: " n ", spread: [" spread "]}}"
#define DAEMON(n, spread) "{type: daemonscaler, properties: {instances: " n ", spread: [" spread "]}}"
#define ZONE(zone, weight) "{name: " zone ", requirements: {zone: " zone "}, weight: " weight "}"
#define LINK(target, package)                                                                                          \
    "{type: link, properties: {target: " target ", namespace: acme, package: " package ", interfaces: [x]}}"

TEST(ids_are_those_of_the_original)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_str spread[] = {
        WISP_STR("SpreadScaler"), WISP_STR("hello-World"),    WISP_STR("http-comp"), WISP_STR("hello_world-http_comp"),
        WISP_STR("reg.io/c:1"),   WISP_STR("hello_world-cc"), WISP_STR("extern")};
    CHECK_STR(wisp_app_scaler_id(&arena, spread, WISP_COUNT(spread)),
              "31bf82efdf2920264d651789164ba1febc8009029b94dc0ea96fc8d0dbbf793d");
    const struct wisp_str link[] = {
        WISP_STR("LinkScaler"), WISP_STR("hello-World"), WISP_STR("default"),  WISP_STR("hello_world-http_comp"),
        WISP_STR("my-kv"),      WISP_STR("wasi"),        WISP_STR("keyvalue"), WISP_STR("store")};
    CHECK_STR(wisp_app_scaler_id(&arena, link, WISP_COUNT(link)),
              "32a97187daa87e72efc376d9424e648252b92ee58ec63bd6952fcb8648284200");
}

TEST(instances_are_shared_out_by_weight_and_over_hosts)
{
    rig_add_host("A", "{\"zone\": \"a\"}");
    rig_add_host("B", "{\"zone\": \"b\"}");
    rig_add_host("C", "{\"zone\": \"b\"}");
    rig_add_host("D", "{}");
    rig_deploy(0, APP("shop", COMPONENT("web", "r/web:1", SPREAD("103", ZONE("a", "80") ", " ZONE("b", "20")))));
    rig_converge();
    CHECK_INT(rig_count("A", "shop-web"), 83);
    CHECK_INT(rig_count("B", "shop-web"), 10);
    CHECK_INT(rig_count("C", "shop-web"), 10);
    CHECK_INT(rig_count("D", "shop-web"), 0);
    const struct wisp_app_scaler_status *status = rig_status("SpreadScaler", "shop-web");
    CHECK_INT(status->state, WISP_APP_DEPLOYED);
    CHECK_INT(status->found, 103);
    rig_reset();
}

TEST(what_is_left_over_goes_to_the_heaviest)
{
    rig_add_host("A", "{\"zone\": \"a\"}");
    rig_add_host("B", "{\"zone\": \"b\"}");
    rig_add_host("Z", "{\"zone\": \"z\"}");
    rig_deploy(
        0,
        APP("s", COMPONENT("c", "i",
                           SPREAD("10", ZONE("a", "33") ", " ZONE("b", "33") ", {name: z, requirements: {zone: z}}"))));
    rig_converge();
    CHECK_INT(rig_count("Z", "s-c"), 7);
    CHECK_INT(rig_count("A", "s-c"), 2);
    CHECK_INT(rig_count("B", "s-c"), 1);
    rig_reset();
}

TEST(a_host_that_serves_two_spreads_serves_one)
{
    rig_add_host("A", "{\"zone\": \"a\", \"disk\": \"ssd\"}");
    rig_add_host("B", "{\"zone\": \"a\"}");
    rig_deploy(
        0, APP("s", COMPONENT("c", "i",
                              SPREAD("4", ZONE("a", "50") ", {name: ssd, requirements: {disk: ssd}, weight: 50}"))));
    rig_converge();
    CHECK_INT(rig_count("A", "s-c"), 2);
    CHECK_INT(rig_count("B", "s-c"), 2);
    CHECK_INT(rig_status("SpreadScaler", "s-c")->state, WISP_APP_DEPLOYED);
    rig_reset();
}

TEST(why_not_is_told)
{
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("1", ZONE("east", "1")))));
    rig_plan();
    CHECK_INT(rig_status("SpreadScaler", "s-c")->state, WISP_APP_WAITING);
    rig_add_host("A", "{}");
    CHECK_INT(rig_plan()->n_commands, 0);
    const struct wisp_app_scaler_status *status = rig_status("SpreadScaler", "s-c");
    CHECK_INT(status->state, WISP_APP_FAILED_STATE);
    CHECK_STR(status->message, "spread `east`: no host that takes it has label `zone=east`");
    rig.hosts[0].host.labels = rig_json("{\"zone\": \"east\"}");
    const json_t *payload = rig_keep(rig_plan()->commands[0].payload);
    rig.held[rig.n_held++] = (struct wisp_app_held){
        .key = WISP_STR("scale/A/s-c"), .payload = payload, .cause = WISP_STR("image not found"), .tries = 3};
    CHECK_INT(rig_plan()->n_commands, 0);
    CHECK_STR(rig_status("SpreadScaler", "s-c")->message, "image not found (tried 3 times)");
    CHECK_INT(rig_status("SpreadScaler", "s-c")->state, WISP_APP_FAILED_STATE);
    CHECK(rig.plan.apps[0].is_unsettled);
    /* Another image is not held back. */
    rig_deploy(0, APP("s", COMPONENT("c", "i:2", SPREAD("1", ZONE("east", "1")))));
    CHECK_INT(rig_plan()->n_commands, 1);
    rig_reset();
}

TEST(a_new_version_goes_from_host_to_host_and_nothing_goes_before_it_is_there)
{
    rig_add_host("A", "{}");
    rig_add_host("B", "{}");
    rig_deploy(0, APP("s", COMPONENT("c", "r/c:1", SPREAD("6", ""))));
    rig_converge();
    rig_deploy(0, APP("s", COMPONENT("c", "r/c:2", SPREAD("2", ""))));
    const struct wisp_app_plan *plan = rig_plan();
    CHECK_INT(plan->n_commands, 1);
    CHECK_STR(plan->commands[0].host, "A");
    CHECK_STR(wisp_json_str(plan->commands[0].payload, "component_ref"), "r/c:2");
    CHECK(wisp_json_bool(plan->commands[0].payload, "allow_update", false));
    rig_do(&plan->commands[0]);
    plan = rig_plan();
    CHECK_INT(plan->n_commands, 1);
    CHECK_STR(plan->commands[0].host, "B");
    rig_converge();
    CHECK_INT(rig_count("A", "s-c") + rig_count("B", "s-c"), 2);
    rig_reset();
}

TEST(what_is_removed_waits_for_what_replaces_it)
{
    rig_add_host("A", "{\"zone\": \"a\"}");
    rig_add_host("B", "{\"zone\": \"b\"}");
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("4", ZONE("a", "1")))));
    rig_converge();
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("4", ZONE("b", "1")))));
    const struct wisp_app_plan *plan = rig_plan();
    CHECK_INT(plan->n_commands, 1);
    CHECK_STR(plan->commands[0].host, "B");
    rig_do(&plan->commands[0]);
    CHECK_INT(rig_count("A", "s-c"), 4);
    rig_converge();
    CHECK_INT(rig_count("A", "s-c"), 0);
    CHECK_INT(rig_count("B", "s-c"), 4);
    rig_reset();
}

TEST(nothing_is_done_on_doubt)
{
    rig_add_host("A", "{}");
    struct rig_host *b = rig_add_host("B", "{}");
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("4", "")) PROVIDER("p", "q", "")));
    rig_converge();
    b->host.is_unknown = true;
    CHECK_INT(rig_plan()->n_commands, 0);
    CHECK_INT(rig_status("SpreadScaler", "s-c")->state, WISP_APP_DEPLOYED);
    b->host.is_unknown = false;
    rig.apps[0].is_deployed = false;
    rig.is_complete = false;
    CHECK_INT(rig_plan()->n_commands, 0);
    rig.is_complete = true;
    rig.is_connected = false;
    CHECK_INT(rig_plan()->n_commands, 0);
    rig.is_connected = true;
    rig_converge();
    CHECK_INT(rig_count("A", "s-c") + rig_count("B", "s-c"), 0);
    rig_reset();
}

TEST(a_host_that_is_gone_is_replaced)
{
    rig_add_host("A", "{}");
    rig_add_host("B", "{}");
    rig_add_host("C", "{}");
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("5", ""))));
    rig_converge();
    for (size_t i = 0; i < 3; i++) CHECK(rig_count(rig.hosts[i].host.id.ptr, "s-c") >= 1);
    CHECK_INT(rig_count("A", "s-c") + rig_count("B", "s-c") + rig_count("C", "s-c"), 5);
    rig.n_hosts = 2;
    rig_converge();
    CHECK_INT(rig_count("A", "s-c") + rig_count("B", "s-c"), 5);
    rig_reset();
}

TEST(configs_and_links_are_put_changed_and_taken_away)
{
    rig_add_host("A", "{}");
    rig_deploy(0, APP("s", "  - {name: c, type: component, properties: {image: i, config: [{name: a, properties: {k: "
                           "v}}]}, traits: [" SPREAD("1", "") ", " LINK("p", "one") ", " LINK(
                               "p", "two") "]}\n" PROVIDER("p", "q", "")));
    const struct wisp_app_plan *plan = rig_plan();
    CHECK_INT(plan->commands[0].kind, WISP_APP_PUT_CONFIG);
    rig_converge();
    CHECK_INT(rig.n_links, 2);
    CHECK(wisp_map_get(&rig.configs, WISP_STR("s-a")));
    rig.n_links = 1; /* one is lost */
    rig_converge();
    CHECK_INT(rig.n_links, 2);
    /* A new version keeps what it needs, and the rest goes. */
    struct wisp_app_manifest old = rig.manifests[0];
    const struct wisp_app_manifest *others[] = {&old};
    rig.n_apps = 0;
    rig_deploy(0, APP("s", "  - {name: c, type: component, properties: {image: i, config: [{name: a, properties: {k: "
                           "w}}]}, traits: [" SPREAD("1", "") ", " LINK("p", "two") "]}\n" PROVIDER("p", "q", "")));
    rig.apps[0].others = others;
    rig.apps[0].n_others = 1;
    rig_converge();
    CHECK_INT(rig.n_links, 1);
    CHECK_STR(rig.links[0].wit_package, "two");
    CHECK_STR(wisp_json_str(wisp_map_get(&rig.configs, WISP_STR("s-a")), "k"), "w");
    rig.apps[0].is_deployed = false;
    rig_converge();
    CHECK_INT(rig.n_links, 0);
    CHECK_INT(rig.configs.count, 0);
    CHECK_INT(rig.hosts[0].n_components + rig.hosts[0].n_providers, 0);
    wisp_app_manifest_deinit(&old);
    rig_reset();
}

TEST(a_link_that_leads_elsewhere_is_put_right)
{
    rig_add_host("A", "{}");
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("1", "") ", " LINK("p", "one")) PROVIDER("p", "q", "")
                               PROVIDER("p2", "q", "")));
    rig_converge();
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("1", "") ", " LINK("p2", "one")) PROVIDER("p", "q", "")
                               PROVIDER("p2", "q", "")));
    rig_converge();
    CHECK_INT(rig.n_links, 1);
    CHECK_STR(rig.links[0].target, "s-p2");
    rig_reset();
}

TEST(a_config_of_others_is_waited_for)
{
    rig_add_host("A", "{}");
    rig_deploy(
        0, APP("s", "  - {name: c, type: component, properties: {image: i, config: [{name: theirs}]}, traits: [" SPREAD(
                        "1", "") "]}\n"));
    CHECK_INT(rig_plan()->n_commands, 0);
    CHECK_STR(rig_status("ConfigScaler", "theirs")->message, "config `theirs` is missing; somebody has to put it");
    wisp_map_add(&rig.configs, WISP_STR("theirs"), rig_json("{}"));
    rig_converge();
    CHECK_INT(rig_count("A", "s-c"), 1);
    rig.apps[0].is_deployed = false;
    rig_converge();
    CHECK(wisp_map_get(&rig.configs, WISP_STR("theirs")));
    rig_reset();
}

TEST(providers_run_once_on_a_host)
{
    rig_add_host("A", "{}");
    rig_add_host("B", "{}");
    rig_deploy(0, APP("s", PROVIDER("p", "file:///bin/p1", SPREAD("1", "")) PROVIDER("d", "q", DAEMON("1", ""))));
    rig_converge();
    CHECK(!rig_provider_at("A", "s-p") != !rig_provider_at("B", "s-p"));
    CHECK(rig_provider_at("A", "s-d") && rig_provider_at("B", "s-d"));
    const char *first = rig_provider_at("A", "s-p") ? "A" : "B";
    struct rig_host *host = rig_host(wisp_str_from(first));
    struct wisp_app_instance *unit = rig_unit(host->providers, host->n_providers, WISP_STR("s-p"));
    unit->reference = WISP_STR("/bin/p1"); /* as inventories have it */
    CHECK_INT(rig_plan()->n_commands, 0);
    rig_deploy(0, APP("s", PROVIDER("p", "file:///bin/p2", SPREAD("3", "")) PROVIDER("d", "q", DAEMON("1", ""))));
    rig_converge();
    CHECK_STR(rig_provider_at("A", "s-p")->reference, "file:///bin/p2");
    CHECK_STR(rig_provider_at("B", "s-p")->reference, "file:///bin/p2");
    CHECK_STR(rig_status("SpreadScaler", "s-p")->message, "spread `default`: 3 hosts are wanted, and 2 fit");
    rig.hosts[0].providers[0].health = WISP_APP_FAILED;
    rig.hosts[0].providers[0].trouble = WISP_STR("exit status 1");
    rig_plan();
    CHECK_INT(wisp_app_state_of(rig.plan.apps[0].scalers, rig.plan.apps[0].n_scalers), WISP_APP_FAILED_STATE);
    rig_reset();
}

TEST(only_what_is_its_own_is_touched)
{
    struct rig_host *a = rig_add_host("A", "{}");
    a->components[a->n_components++] =
        (struct wisp_app_instance){.id = WISP_STR("s-c"), .reference = WISP_STR("x"), .count = 9};
    a->components[a->n_components++] = (struct wisp_app_instance){
        .id = WISP_STR("other"),
        .reference = WISP_STR("x"),
        .count = 1,
        .annotations = rig_json("{\"wasmcloud.dev/managed-by\": \"wadm\", \"wasmcloud.dev/appspec\": \"gone\"}")};
    a->providers[a->n_providers++] =
        (struct wisp_app_instance){.id = WISP_STR("s-p"), .reference = WISP_STR("x"), .count = 1};
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("1", "")) PROVIDER("p", "q", "")));
    rig_converge();
    CHECK_INT(rig_count("A", "s-c"), 9);
    CHECK_INT(rig_count("A", "other"), 0);
    CHECK_INT(rig_status("SpreadScaler", "s-c")->state, WISP_APP_FAILED_STATE);
    CHECK_INT(rig_status("SpreadScaler", "s-p")->state, WISP_APP_DEPLOYED);
    rig.apps[0].is_deployed = false;
    rig_converge();
    CHECK_INT(rig_count("A", "s-c"), 9);
    CHECK(rig_provider_at("A", "s-p"));
    rig_reset();
}

TEST(a_shared_provider_stays_while_it_is_used)
{
    rig_add_host("A", "{}");
    static const char shared[] =
        "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: base, annotations: "
        "{experimental.wasmcloud.dev/shared: \"true\"}}\nspec:\n  components:\n"
        "  - {name: kv, type: capability, properties: {image: q, id: the-kv}}\n";
    rig_deploy(0, shared);
    rig_deploy(
        1, APP("s", COMPONENT("c", "i",
                              SPREAD("1", "") ", " LINK("kv", "one")) "  - {name: kv, type: capability, properties: "
                                                                      "{application: {name: base, component: kv}}}\n"));
    rig_converge();
    CHECK_STR(rig.links[0].target, "the-kv");
    rig.apps[0].is_deployed = false;
    rig_converge();
    CHECK(rig_provider_at("A", "the-kv"));
    CHECK_HAS(rig_status("LinkScaler", "s-c -(acme:one)-> the-kv")->message.ptr, "is not deployed");
    rig.apps[1].is_deployed = false;
    rig_converge();
    CHECK(!rig_provider_at("A", "the-kv"));
    CHECK_INT(rig.n_links, 0);
    rig_reset();
}

TEST(what_is_on_its_way_is_waited_for_and_not_put_elsewhere)
{
    rig_add_host("A", "{}");
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("1", "")) PROVIDER("p", "q", "")));
    rig_converge();
    rig.hosts[0].components[0].is_coming = rig.hosts[0].providers[0].is_coming = true;
    rig_add_host("B", "{}");
    rig_add_host("C", "{}");
    const struct wisp_app_plan *plan = rig_plan();
    CHECK_INT(plan->n_commands, 2);
    for (size_t i = 0; i < plan->n_commands; i++) CHECK_STR(plan->commands[i].host, "A");
    CHECK_INT(rig_status("SpreadScaler", "s-c")->found, 0);
    CHECK_INT(rig_status("SpreadScaler", "s-c")->state, WISP_APP_RECONCILING);
    rig_reset();
}

TEST(one_thing_each_is_spread_over_hosts)
{
    static const char *const names[] = {"A", "B", "C", "D"};
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    for (size_t i = 0; i < WISP_COUNT(names); i++) rig_add_host(names[i], "{}");
    wisp_buf_printf(&text, "%s",
                    "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: s, annotations: "
                    "{}}\nspec:\n  components:\n");
    for (int i = 0; i < 40; i++)
        wisp_buf_printf(&text,
                        "  - {name: c%d, type: component, properties: {image: i}, traits: [" SPREAD("1", "") "]}\n", i);
    wisp_buf_append_char(&text, 0);
    rig_deploy(0, text.data);
    rig_converge();
    for (size_t i = 0; i < WISP_COUNT(names); i++) CHECK(rig.hosts[i].n_components >= 4);
    rig_reset();
}

TEST(what_runs_for_nobody_goes_once_its_host_is_heard)
{
    rig_add_host("A", "{}");
    rig_deploy(0, APP("s", COMPONENT("c", "i", SPREAD("1", ""))));
    rig_converge();
    rig.n_apps = 0;
    CHECK_INT(rig_plan()->n_commands, 1);
    rig.hosts[0].host.is_unknown = true;
    CHECK_INT(rig_plan()->n_commands, 0);
    CHECK(rig.plan.apps[0].is_unsettled);
    wisp_app_manifest_deinit(&rig.manifests[0]);
    rig_reset();
}

/* --- anything at all --- */

static uint64_t random_state;
static uint32_t rnd(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void random_app(size_t i)
{
    static const char *const spreads[] = {"", ZONE("a", "10"), ZONE("a", "10") ", " ZONE("b", "30"),
                                          ZONE("b", "1") ", {name: ssd, requirements: {disk: ssd}}"};
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text,
                    "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: app%zu, annotations: "
                    "{}}\nspec:\n  components:\n",
                    i);
    uint32_t n = 1 + rnd(3);
    for (uint32_t k = 0; k < n; k++)
        wisp_buf_printf(&text,
                        "  - {name: c%u, type: component, properties: {image: \"i:%u\", config: [{name: x%u, "
                        "properties: {v: \"%u\"}}]}, traits: "
                        "[{type: %s, properties: {instances: %u, spread: [%s]}}, " LINK("p", "l%u") "]}\n",
                        k, rnd(3), rnd(2), 1u, rnd(4) ? "spreadscaler" : "daemonscaler", rnd(9), spreads[rnd(4)],
                        rnd(2));
    wisp_buf_printf(&text,
                    "  - {name: p, type: capability, properties: {image: \"p:%u\"}, traits: [{type: spreadscaler, "
                    "properties: {instances: %u, spread: [%s]}}]}\n",
                    rnd(2), rnd(3), spreads[rnd(4)]);
    wisp_buf_append_char(&text, 0);
    rig_deploy(i, rig_str(wisp_buf_str(&text)).ptr);
}

/* Instances of an application that have no counterpart in its manifest. */
static void check_no_strays(void)
{
    for (size_t i = 0; i < rig.n_hosts; i++)
        for (size_t k = 0; k < rig.hosts[i].n_components; k++) {
            struct wisp_str app = wisp_json_str(rig.hosts[i].components[k].annotations, "wasmcloud.dev/appspec");
            bool is_there = false;
            for (size_t j = 0; j < rig.n_apps; j++)
                is_there |= rig.apps[j].is_deployed && wisp_str_equal(rig.apps[j].manifest->name, app);
            CHECK(is_there);
        }
}

static bool is_same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static void check_same_command(const struct wisp_app_command *a, const struct wisp_app_command *b)
{
    CHECK_INT(a->kind, b->kind);
    CHECK(wisp_str_equal(a->key, b->key) && wisp_str_equal(a->app, b->app) && wisp_str_equal(a->host, b->host));
    CHECK(a->payload == b->payload || json_equal(a->payload, b->payload));
    CHECK(is_same_text(a->reason, b->reason));
}

static void check_same_state(const struct wisp_app_planned *a, const struct wisp_app_planned *b)
{
    CHECK_INT(a->n_scalers, b->n_scalers);
    CHECK_INT(a->is_unsettled, b->is_unsettled);
    for (size_t i = 0; i < a->n_scalers; i++) {
        CHECK(wisp_str_equal(a->scalers[i].id, b->scalers[i].id));
        CHECK_INT(a->scalers[i].state, b->scalers[i].state);
        CHECK_INT(a->scalers[i].found, b->scalers[i].found);
        CHECK(wisp_str_equal(a->scalers[i].message, b->scalers[i].message));
    }
}

/* What is planned for some of them is what a plan of all has for these. */
static void check_parts_of_plan(void)
{
    const struct wisp_app_plan *all = rig_plan();
    struct wisp_app_plan part;
    struct wisp_str names[2 * RIG_APPS + RIG_UNITS];
    size_t n = 0, n_found = 0;
    for (size_t i = 0; i < rig_index.n_names; i++)
        if (rnd(2)) names[n++] = rig_index.names[i];
    rig_make_plan(names, n, &part);
    for (size_t i = 0; i < all->n_commands; i++) {
        bool is_named = false;
        for (size_t k = 0; k < n; k++) is_named |= wisp_str_equal(names[k], all->commands[i].app);
        if (!is_named) continue;
        CHECK(n_found < part.n_commands);
        check_same_command(&all->commands[i], &part.commands[n_found++]);
    }
    CHECK_INT(part.n_commands, n_found);
    for (size_t i = 0; i < all->n_apps; i++)
        for (size_t k = 0; k < n; k++)
            if (wisp_str_equal(names[k], all->apps[i].name)) check_same_state(&all->apps[i], &part.apps[k]);
    wisp_app_plan_deinit(&part);
}

TEST(whatever_happens_it_converges)
{
    static const char *const labels[] = {"{}", "{\"zone\": \"a\"}", "{\"zone\": \"b\"}",
                                         "{\"zone\": \"a\", \"disk\": \"ssd\"}"};
    static const char *const names[] = {"A", "B", "C", "D", "E", "F"};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        rig_reset();
        random_state = seed;
        uint32_t n_hosts = 1 + rnd(6);
        for (uint32_t i = 0; i < n_hosts; i++) rig_add_host(names[i], labels[rnd(4)]);
        for (int step = 0; step < 12; step++) {
            size_t i = rnd(3);
            if (i > rig.n_apps) i = rig.n_apps;
            random_app(i);
            if (!rnd(4)) rig.apps[i].is_deployed = false;
            if (!rnd(4) && rig.n_hosts > 1) rig.n_hosts--;
            rig.is_complete = rnd(8);
            check_parts_of_plan();
            rig.is_complete = true;
            const struct wisp_app_plan *plan = rig_plan();
            for (size_t k = rnd((uint32_t)plan->n_commands + 1); k-- > 0;) rig_do(&plan->commands[k]);
            check_parts_of_plan();
            rig_converge();
            check_no_strays();
        }
    }
    rig_reset();
}
