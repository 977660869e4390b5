/* SPDX-License-Identifier: Apache-2.0 */
/* Configs, secrets and links of manifests. */
#include "app/manifest_priv.h"

enum { CONFIGS_MAX = 1000, INTERFACES_MAX = 100 };

/* --- configs and secrets --- */

static void read_config(struct wisp_app_checker *checker, const struct wisp_yaml_node *node,
                        struct wisp_app_config *config)
{
    static const char *const keys[] = {"name", "properties", NULL};
    if (!wisp_app_check_map(checker, node, keys, false)) return;
    config->name = wisp_app_text(checker, node, "name", true);
    const struct wisp_yaml_node *properties = wisp_yaml_get(node, "properties");
    if (properties && properties->kind != WISP_YAML_NULL)
        config->properties = wisp_app_texts(checker, node, "properties", false);
}

static void read_secret(struct wisp_app_checker *checker, const struct wisp_yaml_node *node,
                        struct wisp_app_secret *secret)
{
    static const char *const keys[] = {"name", "properties", NULL};
    static const char *const property_keys[] = {"policy", "key", "field", "version", NULL};
    if (!wisp_app_check_map(checker, node, keys, true)) return;
    secret->name = wisp_app_text(checker, node, "name", true);
    const struct wisp_yaml_node *properties = wisp_yaml_get(node, "properties");
    if (!properties) {
        wisp_app_error(checker, node, "`properties` is missing");
        return;
    }
    size_t before = wisp_app_enter(checker, "properties");
    if (wisp_app_check_map(checker, properties, property_keys, true)) {
        secret->policy = wisp_app_text(checker, properties, "policy", true);
        secret->key = wisp_app_text(checker, properties, "key", true);
        secret->field = wisp_app_text(checker, properties, "field", false);
        secret->version = wisp_app_text(checker, properties, "version", false);
    }
    wisp_app_leave(checker, before);
}

void wisp_app_read_configs(struct wisp_app_checker *checker, const struct wisp_yaml_node *map,
                           const struct wisp_app_config **ret_configs, size_t *ret_n)
{
    const struct wisp_yaml_node *list = wisp_app_list(checker, map, "config");
    if (!list || !wisp_app_count_fits(checker, list, "configs", CONFIGS_MAX)) return;
    struct wisp_app_config *configs = WISP_NEW_ARRAY(checker->arena, struct wisp_app_config, list->n);
    size_t before = wisp_app_enter(checker, "config");
    for (uint32_t i = 0; i < list->n; i++) {
        size_t outer = wisp_app_enter_item(checker, i);
        read_config(checker, list->items[i], &configs[i]);
        wisp_app_leave(checker, outer);
    }
    wisp_app_leave(checker, before);
    *ret_configs = configs;
    *ret_n = list->n;
}

void wisp_app_read_secrets(struct wisp_app_checker *checker, const struct wisp_yaml_node *map,
                           const struct wisp_app_secret **ret_secrets, size_t *ret_n)
{
    const struct wisp_yaml_node *list = wisp_app_list(checker, map, "secrets");
    if (!list || !wisp_app_count_fits(checker, list, "secrets", CONFIGS_MAX)) return;
    struct wisp_app_secret *secrets = WISP_NEW_ARRAY(checker->arena, struct wisp_app_secret, list->n);
    size_t before = wisp_app_enter(checker, "secrets");
    for (uint32_t i = 0; i < list->n; i++) {
        size_t outer = wisp_app_enter_item(checker, i);
        read_secret(checker, list->items[i], &secrets[i]);
        wisp_app_leave(checker, outer);
    }
    wisp_app_leave(checker, before);
    *ret_secrets = secrets;
    *ret_n = list->n;
}

/* --- links --- */

static void read_side(struct wisp_app_checker *checker, const struct wisp_yaml_node *node,
                      struct wisp_app_link_side *side)
{
    wisp_app_read_configs(checker, node, &side->configs, &side->n_configs);
    wisp_app_read_secrets(checker, node, &side->secrets, &side->n_secrets);
}

/* "target: kv", or a map with name, config and secrets. */
static void read_target(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                        struct wisp_app_link *link)
{
    static const char *const keys[] = {"name", "config", "secrets", NULL};
    const struct wisp_yaml_node *target = wisp_yaml_get(properties, "target");
    if (!target) {
        wisp_app_error(checker, properties, "`target` is missing: which component does the link lead to?");
        return;
    }
    if (target->kind != WISP_YAML_MAP) {
        link->target = wisp_app_text(checker, properties, "target", true);
        return;
    }
    size_t before = wisp_app_enter(checker, "target");
    if (wisp_app_check_map(checker, target, keys, true)) {
        link->target = wisp_app_text(checker, target, "name", true);
        read_side(checker, target, &link->target_side);
    }
    wisp_app_leave(checker, before);
}

static void read_source(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                        struct wisp_app_link *link)
{
    static const char *const keys[] = {"config", "secrets", NULL};
    const struct wisp_yaml_node *source = wisp_yaml_get(properties, "source");
    if (!source) return;
    size_t before = wisp_app_enter(checker, "source");
    if (wisp_app_check_map(checker, source, keys, true)) read_side(checker, source, &link->source_side);
    wisp_app_leave(checker, before);
}

/* `source_config` and `target_config`: lists of configs, used where the newer form is absent. */
static void read_deprecated(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties, const char *key,
                            bool is_used, struct wisp_app_link_side *side)
{
    struct wisp_yaml_node *list = wisp_yaml_get(properties, key);
    if (!list) return;
    size_t before = wisp_app_enter(checker, key);
    wisp_app_warning(checker, list, "it is deprecated%s; write `%s: {config: [...]}`",
                     is_used ? "" : ", and without effect beside the newer form", key[0] == 's' ? "source" : "target");
    wisp_app_leave(checker, before);
    struct wisp_yaml_entry entry = {&(struct wisp_yaml_node){.kind = WISP_YAML_TEXT, .text = WISP_STR("config")}, list};
    struct wisp_yaml_node map = {.kind = WISP_YAML_MAP, .line = list->line, .column = list->column, .n = 1};
    map.entries = &entry;
    struct wisp_app_link_side ignored = {0};
    wisp_app_read_configs(checker, &map, is_used ? &side->configs : &ignored.configs,
                          is_used ? &side->n_configs : &ignored.n_configs);
}

static void read_interfaces(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                            struct wisp_app_link *link)
{
    const struct wisp_yaml_node *list = wisp_app_list(checker, properties, "interfaces");
    if (!list) {
        if (!wisp_yaml_get(properties, "interfaces")) wisp_app_error(checker, properties, "`interfaces` is missing");
        return;
    }
    size_t before = wisp_app_enter(checker, "interfaces");
    if (!list->n) wisp_app_error(checker, list, "it is empty");
    if (wisp_app_count_fits(checker, list, "interfaces", INTERFACES_MAX)) {
        struct wisp_str *interfaces = WISP_NEW_ARRAY(checker->arena, struct wisp_str, list->n);
        for (uint32_t i = 0; i < list->n; i++) {
            if (list->items[i]->kind == WISP_YAML_TEXT && list->items[i]->text.len)
                interfaces[link->n_interfaces++] = list->items[i]->text;
            else
                wisp_app_error(checker, list->items[i], "expected the name of an interface");
        }
        link->interfaces = interfaces;
    }
    wisp_app_leave(checker, before);
}

void wisp_app_read_link(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                        struct wisp_app_link *link)
{
    static const char *const keys[] = {"namespace", "package",       "interfaces",    "target", "source",
                                       "name",      "source_config", "target_config", NULL};
    *link = (struct wisp_app_link){.name = WISP_STR("default"), .line = properties->line, .column = properties->column};
    if (!wisp_app_check_map(checker, properties, keys, true)) return;
    link->wit_namespace = wisp_app_text(checker, properties, "namespace", true);
    link->wit_package = wisp_app_text(checker, properties, "package", true);
    struct wisp_str name = wisp_app_text(checker, properties, "name", false);
    if (name.len) link->name = name;
    read_interfaces(checker, properties, link);
    read_target(checker, properties, link);
    read_source(checker, properties, link);
    const struct wisp_yaml_node *target = wisp_yaml_get(properties, "target");
    read_deprecated(checker, properties, "source_config", !wisp_yaml_get(properties, "source"), &link->source_side);
    read_deprecated(checker, properties, "target_config", !target || target->kind != WISP_YAML_MAP, &link->target_side);
}
