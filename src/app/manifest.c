/* SPDX-License-Identifier: Apache-2.0 */
#include "app/manifest_priv.h"

#include "base/json.h"
#include "base/nearest.h"

#include <stdio.h>

enum { TRAITS_MAX = 1000, POLICIES_MAX = 1000 };

/* --- traits --- */

enum trait { TRAIT_LINK, TRAIT_SPREAD, TRAIT_DAEMON, TRAIT_OTHER };

static enum trait kind_of(struct wisp_app_checker *checker, const struct wisp_yaml_node *node, struct wisp_str type)
{
    static const char *const names[] = {"link", "spreadscaler", "daemonscaler", NULL};
    for (int i = 0; names[i]; i++)
        if (wisp_str_is(type, names[i])) return (enum trait)i;
    const char *nearest = type.len ? wisp_nearest(type, names) : NULL;
    if (type.len)
        wisp_app_warning(checker, node, "a trait of type `%.*s` means nothing here%s%s%s", WISP_STR_ARG(type),
                         nearest ? "; did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : "");
    return TRAIT_OTHER;
}

/* Arrays of the component with room for all its traits. */
struct traits {
    struct wisp_app_link *links;
    struct wisp_app_scaler *scalers;
    const struct wisp_app_component *component;
    size_t n_links, n_scalers;
};

static void read_trait(struct wisp_app_checker *checker, const struct wisp_yaml_node *node, struct traits *traits)
{
    static const char *const keys[] = {"type", "properties", NULL};
    if (!wisp_app_check_map(checker, node, keys, false)) return;
    enum trait kind = kind_of(checker, node, wisp_app_text(checker, node, "type", true));
    const struct wisp_yaml_node *properties = wisp_yaml_get(node, "properties");
    if (!properties) {
        wisp_app_error(checker, node, "`properties` is missing");
        return;
    }
    size_t before = wisp_app_enter(checker, "properties");
    if (kind == TRAIT_LINK) {
        wisp_app_read_link(checker, properties, &traits->links[traits->n_links++]);
    } else if (kind != TRAIT_OTHER) {
        struct wisp_app_scaler *scaler = &traits->scalers[traits->n_scalers++];
        scaler->is_daemon = kind == TRAIT_DAEMON;
        wisp_app_read_scaler(checker, properties, scaler);
        if (traits->n_scalers > 1)
            wisp_app_error(checker, node, "a second scaler; the first is in line %u", traits->scalers[0].line);
    }
    wisp_app_leave(checker, before);
}

static void read_traits(struct wisp_app_checker *checker, const struct wisp_yaml_node *node,
                        struct wisp_app_component *component)
{
    const struct wisp_yaml_node *list = wisp_app_list(checker, node, "traits");
    uint32_t n = list ? list->n : 0;
    if (list && !wisp_app_count_fits(checker, list, "traits", TRAITS_MAX)) return;
    struct traits traits = {.component = component};
    traits.links = WISP_NEW_ARRAY(checker->arena, struct wisp_app_link, n);
    traits.scalers = WISP_NEW_ARRAY(checker->arena, struct wisp_app_scaler, (size_t)n + 1);
    size_t before = wisp_app_enter(checker, "traits");
    for (uint32_t i = 0; i < n; i++) {
        size_t outer = wisp_app_enter_item(checker, i);
        read_trait(checker, list->items[i], &traits);
        wisp_app_leave(checker, outer);
    }
    wisp_app_leave(checker, before);
    if (!traits.n_scalers && component->is_provider && component->image.len) {
        wisp_app_read_scaler(checker, NULL, traits.scalers);
        traits.scalers[traits.n_scalers++].instances = 1;
    }
    component->links = traits.links;
    component->n_links = traits.n_links;
    component->scalers = traits.scalers;
    component->n_scalers = traits.n_scalers;
}

/* --- components --- */

static void read_shared(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                        struct wisp_app_component *component)
{
    static const char *const keys[] = {"name", "component", NULL};
    const struct wisp_yaml_node *shared = wisp_yaml_get(properties, "application");
    if (!shared) return;
    size_t before = wisp_app_enter(checker, "application");
    if (wisp_app_check_map(checker, shared, keys, true)) {
        component->shared_app = wisp_app_text(checker, shared, "name", true);
        component->shared_component = wisp_app_text(checker, shared, "component", true);
    }
    wisp_app_leave(checker, before);
}

static void read_properties(struct wisp_app_checker *checker, const struct wisp_yaml_node *node,
                            struct wisp_app_component *component)
{
    static const char *const keys[] = {"image", "application", "id", "config", "secrets", NULL};
    const struct wisp_yaml_node *properties = wisp_yaml_get(node, "properties");
    if (!properties) {
        wisp_app_error(checker, node, "`properties` is missing");
        return;
    }
    size_t before = wisp_app_enter(checker, "properties");
    if (wisp_app_check_map(checker, properties, keys, false)) {
        component->image = wisp_app_text(checker, properties, "image", false);
        component->id = wisp_app_text(checker, properties, "id", false);
        component->has_explicit_id = component->id.len > 0;
        read_shared(checker, properties, component);
        wisp_app_read_configs(checker, properties, &component->configs, &component->n_configs);
        wisp_app_read_secrets(checker, properties, &component->secrets, &component->n_secrets);
        bool is_shared = wisp_yaml_get(properties, "application");
        if (!is_shared && !wisp_yaml_get(properties, "image"))
            wisp_app_error(checker, properties, "`image` is missing: what is to run?");
        if (is_shared && wisp_yaml_get(properties, "image"))
            wisp_app_error(checker, properties, "either `image` or `application` can be there, not both");
    }
    wisp_app_leave(checker, before);
}

static void read_component(struct wisp_app_checker *checker, const struct wisp_yaml_node *node,
                           struct wisp_app_component *component)
{
    static const char *const keys[] = {"name", "type", "properties", "traits", NULL};
    component->line = node->line;
    component->column = node->column;
    if (!wisp_app_check_map(checker, node, keys, true)) return;
    component->name = wisp_app_text(checker, node, "name", true);
    struct wisp_str type = wisp_app_text(checker, node, "type", true);
    component->is_provider = wisp_str_is(type, "capability");
    if (type.len && !component->is_provider && !wisp_str_is(type, "component") && !wisp_str_is(type, "actor"))
        wisp_app_error(checker, wisp_yaml_get(node, "type"),
                       "a component's type is `component` or `capability`, not `%.*s`", WISP_STR_ARG(type));
    read_properties(checker, node, component);
    read_traits(checker, node, component);
    if (!component->id.len) {
        bool is_shared = component->shared_app.len;
        component->id = wisp_app_make_id(checker->arena, is_shared ? component->shared_app : checker->manifest->name,
                                         is_shared ? component->shared_component : component->name);
    }
}

static void read_components(struct wisp_app_checker *checker, const struct wisp_yaml_node *spec)
{
    const struct wisp_yaml_node *list = wisp_app_list(checker, spec, "components");
    if (!list) {
        if (!wisp_yaml_get(spec, "components")) wisp_app_error(checker, spec, "`components` is missing");
        return;
    }
    if (!wisp_app_count_fits(checker, list, "components", WISP_APP_COMPONENTS_MAX)) return;
    struct wisp_app_component *components = WISP_NEW_ARRAY(checker->arena, struct wisp_app_component, list->n);
    size_t before = wisp_app_enter(checker, "components");
    for (uint32_t i = 0; i < list->n; i++) {
        size_t outer = wisp_app_enter_item(checker, i);
        read_component(checker, list->items[i], &components[i]);
        wisp_app_leave(checker, outer);
    }
    wisp_app_leave(checker, before);
    checker->manifest->components = components;
    checker->manifest->n_components = list->n;
}

/* --- the rest --- */

static void read_policies(struct wisp_app_checker *checker, const struct wisp_yaml_node *spec)
{
    static const char *const keys[] = {"name", "type", "properties", NULL};
    const struct wisp_yaml_node *list = wisp_app_list(checker, spec, "policies");
    if (!list || !wisp_app_count_fits(checker, list, "policies", POLICIES_MAX)) return;
    struct wisp_app_policy *policies = WISP_NEW_ARRAY(checker->arena, struct wisp_app_policy, list->n);
    size_t before = wisp_app_enter(checker, "policies");
    for (uint32_t i = 0; i < list->n; i++) {
        size_t outer = wisp_app_enter_item(checker, i);
        if (wisp_app_check_map(checker, list->items[i], keys, true)) {
            policies[i].name = wisp_app_text(checker, list->items[i], "name", true);
            policies[i].type = wisp_app_text(checker, list->items[i], "type", true);
            policies[i].properties = wisp_app_texts(checker, list->items[i], "properties", true);
        }
        wisp_app_leave(checker, outer);
    }
    wisp_app_leave(checker, before);
    checker->manifest->policies = policies;
    checker->manifest->n_policies = list->n;
}

static void read_spec(struct wisp_app_checker *checker, const struct wisp_yaml_node *root)
{
    static const char *const keys[] = {"components", "policies", NULL};
    const struct wisp_yaml_node *spec = wisp_yaml_get(root, "spec");
    if (!spec) {
        wisp_app_error(checker, root, "`spec` is missing");
        return;
    }
    size_t before = wisp_app_enter(checker, "spec");
    if (wisp_app_check_map(checker, spec, keys, true)) {
        read_policies(checker, spec);
        read_components(checker, spec);
    }
    wisp_app_leave(checker, before);
}

static void read_metadata(struct wisp_app_checker *checker, const struct wisp_yaml_node *root)
{
    static const char *const keys[] = {"name", "annotations", "labels", NULL};
    struct wisp_app_manifest *manifest = checker->manifest;
    const struct wisp_yaml_node *metadata = wisp_yaml_get(root, "metadata");
    if (!metadata) {
        wisp_app_error(checker, root, "`metadata` is missing");
        return;
    }
    size_t before = wisp_app_enter(checker, "metadata");
    if (wisp_app_check_map(checker, metadata, keys, true)) {
        manifest->name = wisp_app_text(checker, metadata, "name", true);
        manifest->annotations = wisp_app_texts(checker, metadata, "annotations", true);
        manifest->labels = wisp_app_texts(checker, metadata, "labels", false);
        manifest->version = wisp_json_str(manifest->annotations, "version");
        manifest->description = wisp_json_str(manifest->annotations, "description");
        manifest->is_shared =
            wisp_str_is(wisp_json_str(manifest->annotations, "experimental.wasmcloud.dev/shared"), "true");
    }
    wisp_app_leave(checker, before);
}

/* The original does not look at them. */
static void check_constant(struct wisp_app_checker *checker, const struct wisp_yaml_node *root, const char *key,
                           const char *wanted)
{
    struct wisp_str value = wisp_app_text(checker, root, key, true);
    if (!value.len || wisp_str_is(value, wanted)) return;
    size_t before = wisp_app_enter(checker, key);
    wisp_app_problem(checker, !checker->is_lenient, wisp_yaml_get(root, key), "expected `%s`", wanted);
    wisp_app_leave(checker, before);
}

static void read_root(struct wisp_app_checker *checker, const struct wisp_yaml_node *root)
{
    static const char *const keys[] = {"apiVersion", "kind", "metadata", "spec", NULL};
    if (!wisp_app_check_map(checker, root, keys, false)) return;
    check_constant(checker, root, "apiVersion", "core.oam.dev/v1beta1");
    check_constant(checker, root, "kind", "Application");
    read_metadata(checker, root);
    read_spec(checker, root);
    wisp_app_check_rules(checker, root);
}

static int outcome(const struct wisp_app_problems *problems, struct wisp_err *err)
{
    for (uint32_t i = 0; i < problems->n; i++) {
        const struct wisp_app_problem *problem = &problems->list[i];
        if (!problem->is_error) continue;
        char more[48] = "";
        if (problems->n_errors > 1) snprintf(more, sizeof more, " (and %u more)", problems->n_errors - 1);
        return wisp_err_set(err, WISP_ERR_INVALID, "line %u, column %u: %s%s%s%s", problem->line, problem->column,
                            problem->path, problem->path[0] ? ": " : "", problem->text, more);
    }
    return problems->n_errors ? wisp_err_set(err, WISP_ERR_INVALID, "the manifest is wrong") : 0;
}

int wisp_app_manifest_parse(struct wisp_app_manifest *ret_manifest, struct wisp_arena *arena, struct wisp_str text,
                            enum wisp_app_format format, bool is_lenient, struct wisp_app_problems *problems,
                            struct wisp_err *err)
{
    *ret_manifest = (struct wisp_app_manifest){0};
    *problems = (struct wisp_app_problems){0};
    WISP_CLEANUP_JSON json_t *json = NULL;
    int r = format == WISP_APP_JSON ? wisp_json_parse(text, &json, err) : 0;
    if (r < 0) return r;
    struct wisp_yaml_node *root;
    if ((r = wisp_yaml_parse(text, arena, &root, err)) < 0) return r;
    struct wisp_app_checker checker = {
        .arena = arena, .manifest = ret_manifest, .problems = problems, .is_lenient = is_lenient};
    read_root(&checker, root);
    r = outcome(problems, err);
    if (r == 0) ret_manifest->json = wisp_app_keep(ret_manifest, wisp_app_to_json(ret_manifest, root));
    return r;
}

int wisp_app_manifest_from_json(struct wisp_app_manifest *ret_manifest, struct wisp_arena *arena, const json_t *json,
                                struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(json, &text);
    struct wisp_app_problems *problems = WISP_NEW(arena, struct wisp_app_problems);
    int r = wisp_app_manifest_parse(ret_manifest, arena, wisp_arena_str(arena, wisp_buf_str(&text)), WISP_APP_JSON,
                                    true, problems, err);
    /* Rules may have been others when it was stored: what could be read is what was deployed. */
    if (r < 0 && ret_manifest->name.len && ret_manifest->components) {
        *err = (struct wisp_err){0};
        if (!ret_manifest->json) ret_manifest->json = wisp_app_keep(ret_manifest, json_deep_copy(json));
        return 0;
    }
    return r;
}

void wisp_app_manifest_deinit(struct wisp_app_manifest *manifest)
{
    json_decref(manifest->kept);
    *manifest = (struct wisp_app_manifest){0};
}
