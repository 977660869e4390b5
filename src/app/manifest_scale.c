/* SPDX-License-Identifier: Apache-2.0 */
/* Scalers of manifests. */
#include "app/manifest_priv.h"

enum { SPREADS_MAX = 100, WEIGHT_MAX = 1000000, DEFAULT_WEIGHT = 100 };

static uint32_t read_number(struct wisp_app_checker *checker, const struct wisp_yaml_node *node, const char *key,
                            uint32_t max)
{
    size_t before = wisp_app_enter(checker, key);
    bool fits = node->kind == WISP_YAML_INTEGER && node->integer >= 0 && node->integer <= (int64_t)max;
    if (node->kind != WISP_YAML_INTEGER)
        wisp_app_error(checker, node, "expected a whole number, where there is %s", wisp_yaml_kind_name(node->kind));
    else if (!fits)
        wisp_app_error(checker, node, "%lld is not between 0 and %u", (long long)node->integer, max);
    wisp_app_leave(checker, before);
    return fits ? (uint32_t)node->integer : 0;
}

static void read_spread(struct wisp_app_checker *checker, const struct wisp_yaml_node *node,
                        struct wisp_app_spread *spread)
{
    static const char *const keys[] = {"name", "requirements", "weight", NULL};
    spread->weight = DEFAULT_WEIGHT;
    if (!wisp_app_check_map(checker, node, keys, false)) return;
    spread->name = wisp_app_text(checker, node, "name", true);
    spread->requirements = wisp_app_texts(checker, node, "requirements", true);
    const struct wisp_yaml_node *weight = wisp_yaml_get(node, "weight");
    if (weight && weight->kind != WISP_YAML_NULL) spread->weight = read_number(checker, weight, "weight", WEIGHT_MAX);
}

static void check_spreads(struct wisp_app_checker *checker, const struct wisp_yaml_node *list,
                          const struct wisp_app_spread *spreads, bool is_daemon)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        sum += spreads[i].weight;
        for (uint32_t k = 0; k < i; k++) {
            if (wisp_str_equal(spreads[i].name, spreads[k].name))
                wisp_app_error(checker, list->items[i], "there are two spreads `%.*s`", WISP_STR_ARG(spreads[i].name));
            else if (spreads[i].requirements && spreads[k].requirements &&
                     json_equal(spreads[i].requirements, spreads[k].requirements))
                wisp_app_error(checker, list->items[i], "the spreads `%.*s` and `%.*s` want the same hosts",
                               WISP_STR_ARG(spreads[k].name), WISP_STR_ARG(spreads[i].name));
        }
    }
    if (list->n && !sum && !is_daemon) wisp_app_error(checker, list, "all weights are 0, so nothing would run");
}

static void read_spreads(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                         struct wisp_app_scaler *scaler)
{
    const struct wisp_yaml_node *list = wisp_app_list(checker, properties, "spread");
    if (!list || !list->n || !wisp_app_count_fits(checker, list, "spreads", SPREADS_MAX)) return;
    struct wisp_app_spread *spreads = WISP_NEW_ARRAY(checker->arena, struct wisp_app_spread, list->n);
    size_t before = wisp_app_enter(checker, "spread");
    for (uint32_t i = 0; i < list->n; i++) {
        size_t outer = wisp_app_enter_item(checker, i);
        read_spread(checker, list->items[i], &spreads[i]);
        wisp_app_leave(checker, outer);
    }
    check_spreads(checker, list, spreads, scaler->is_daemon);
    wisp_app_leave(checker, before);
    scaler->spreads = spreads;
    scaler->n_spreads = list->n;
}

static void set_default_spread(struct wisp_app_checker *checker, struct wisp_app_scaler *scaler)
{
    struct wisp_app_spread *spread = WISP_NEW(checker->arena, struct wisp_app_spread);
    spread->name = WISP_STR("default");
    spread->weight = DEFAULT_WEIGHT;
    spread->requirements = wisp_app_keep(checker->manifest, json_object());
    scaler->spreads = spread;
    scaler->n_spreads = 1;
}

void wisp_app_read_scaler(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                          struct wisp_app_scaler *scaler)
{
    static const char *const keys[] = {"instances", "replicas", "spread", NULL};
    set_default_spread(checker, scaler);
    if (!properties) return;
    scaler->line = properties->line;
    scaler->column = properties->column;
    if (!wisp_app_check_map(checker, properties, keys, false)) return;
    const struct wisp_yaml_node *instances = wisp_yaml_get(properties, "instances"),
                                *replicas = wisp_yaml_get(properties, "replicas");
    if (instances && replicas)
        wisp_app_error(checker, replicas, "`replicas` is another name of `instances`; only one of them may be there");
    if (!instances && !replicas) wisp_app_error(checker, properties, "`instances` is missing");
    if (instances || replicas)
        scaler->instances = read_number(checker, instances ? instances : replicas, instances ? "instances" : "replicas",
                                        WISP_APP_INSTANCES_MAX);
    read_spreads(checker, properties, scaler);
}
