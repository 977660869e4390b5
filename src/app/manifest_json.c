/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest as the original writes it: deprecated forms replaced, absent and empty things left out. */
#include "app/manifest_priv.h"

#include "base/json.h"

static void set_text(json_t *object, const char *key, struct wisp_str text)
{
    if (text.len) json_object_set_new(object, key, wisp_json_text(text));
}

static void set_list(json_t *object, const char *key, json_t *list_taken)
{
    if (json_array_size(list_taken))
        json_object_set_new(object, key, list_taken);
    else
        json_decref(list_taken);
}

static json_t *configs_json(const struct wisp_app_config *configs, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *config = json_pack("{s:o}", "name", wisp_json_text(configs[i].name));
        if (configs[i].properties) json_object_set(config, "properties", configs[i].properties);
        json_array_append_new(list, config);
    }
    return list;
}

static json_t *secrets_json(const struct wisp_app_secret *secrets, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *properties = json_object();
        set_text(properties, "policy", secrets[i].policy);
        set_text(properties, "key", secrets[i].key);
        set_text(properties, "field", secrets[i].field);
        set_text(properties, "version", secrets[i].version);
        json_array_append_new(
            list, json_pack("{s:o, s:o}", "name", wisp_json_text(secrets[i].name), "properties", properties));
    }
    return list;
}

static void set_side(json_t *object, const struct wisp_app_link_side *side)
{
    set_list(object, "config", configs_json(side->configs, side->n_configs));
    set_list(object, "secrets", secrets_json(side->secrets, side->n_secrets));
}

static json_t *link_json(const struct wisp_app_link *link)
{
    json_t *interfaces = json_array(), *properties = json_object(), *target = json_object(), *source = json_object();
    for (size_t i = 0; i < link->n_interfaces; i++)
        json_array_append_new(interfaces, wisp_json_text(link->interfaces[i]));
    set_text(properties, "namespace", link->wit_namespace);
    set_text(properties, "package", link->wit_package);
    json_object_set_new(properties, "interfaces", interfaces);
    set_side(source, &link->source_side);
    if (json_object_size(source)) json_object_set(properties, "source", source);
    json_decref(source);
    set_text(target, "name", link->target);
    set_side(target, &link->target_side);
    json_object_set_new(properties, "target", target);
    if (!wisp_str_is(link->name, "default")) set_text(properties, "name", link->name);
    return json_pack("{s:s, s:o}", "type", "link", "properties", properties);
}

static json_t *scaler_json(const struct wisp_app_scaler *scaler, bool has_spread)
{
    json_t *properties = json_object(), *list = json_array();
    json_object_set_new(properties, "instances", json_integer(scaler->instances));
    for (size_t i = 0; has_spread && i < scaler->n_spreads; i++) {
        const struct wisp_app_spread *spread = &scaler->spreads[i];
        json_t *entry = json_object();
        set_text(entry, "name", spread->name);
        json_object_set(entry, "requirements", spread->requirements);
        json_object_set_new(entry, "weight", json_integer(spread->weight));
        json_array_append_new(list, entry);
    }
    set_list(properties, "spread", list);
    return json_pack("{s:s, s:o}", "type", scaler->is_daemon ? "daemonscaler" : "spreadscaler", "properties",
                     properties);
}

/* Traits in their order; those of other types as they are. */
static json_t *traits_json(const struct wisp_app_component *component, const struct wisp_yaml_node *node)
{
    const struct wisp_yaml_node *list = wisp_yaml_get(node, "traits");
    json_t *traits = json_array();
    size_t n_links = 0, n_scalers = 0;
    for (uint32_t i = 0; list && i < list->n; i++) {
        const struct wisp_yaml_node *type = wisp_yaml_get(list->items[i], "type");
        const struct wisp_yaml_node *properties = wisp_yaml_get(list->items[i], "properties");
        if (wisp_str_is(type->text, "link")) {
            json_array_append_new(traits, link_json(&component->links[n_links++]));
        } else if (wisp_str_is(type->text, "spreadscaler") || wisp_str_is(type->text, "daemonscaler")) {
            const struct wisp_yaml_node *spread = wisp_yaml_get(properties, "spread");
            json_array_append_new(traits, scaler_json(&component->scalers[n_scalers++], spread && spread->n));
        } else {
            json_array_append_new(traits, wisp_yaml_to_json(list->items[i]));
        }
    }
    return traits;
}

static json_t *component_json(const struct wisp_app_component *component, const struct wisp_yaml_node *node)
{
    json_t *properties = json_object(), *whole = json_object();
    set_text(properties, "image", component->image);
    if (component->shared_app.len)
        json_object_set_new(properties, "application",
                            json_pack("{s:o, s:o}", "name", wisp_json_text(component->shared_app), "component",
                                      wisp_json_text(component->shared_component)));
    if (component->has_explicit_id) set_text(properties, "id", component->id);
    set_list(properties, "config", configs_json(component->configs, component->n_configs));
    set_list(properties, "secrets", secrets_json(component->secrets, component->n_secrets));
    set_text(whole, "name", component->name);
    json_object_set_new(whole, "type", json_string(component->is_provider ? "capability" : "component"));
    json_object_set_new(whole, "properties", properties);
    set_list(whole, "traits", traits_json(component, node));
    return whole;
}

json_t *wisp_app_to_json(const struct wisp_app_manifest *manifest, const struct wisp_yaml_node *root)
{
    const struct wisp_yaml_node *list = wisp_yaml_get(wisp_yaml_get(root, "spec"), "components");
    json_t *metadata = json_object(), *spec = json_object(), *components = json_array(), *policies = json_array();
    set_text(metadata, "name", manifest->name);
    json_object_set(metadata, "annotations", manifest->annotations);
    if (json_object_size(manifest->labels)) json_object_set(metadata, "labels", manifest->labels);
    for (size_t i = 0; i < manifest->n_components; i++)
        json_array_append_new(components, component_json(&manifest->components[i], list->items[i]));
    for (size_t i = 0; i < manifest->n_policies; i++)
        json_array_append_new(policies, json_pack("{s:o, s:o, s:O}", "name", wisp_json_text(manifest->policies[i].name),
                                                  "type", wisp_json_text(manifest->policies[i].type), "properties",
                                                  manifest->policies[i].properties));
    json_object_set_new(spec, "components", components);
    set_list(spec, "policies", policies);
    return json_pack("{s:o, s:o, s:o, s:o}", "apiVersion", wisp_yaml_to_json(wisp_yaml_get(root, "apiVersion")), "kind",
                     wisp_yaml_to_json(wisp_yaml_get(root, "kind")), "metadata", metadata, "spec", spec);
}
