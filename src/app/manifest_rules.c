/* SPDX-License-Identifier: Apache-2.0 */
/* What a manifest must keep to beyond its single fields. */
#include "app/manifest_priv.h"

#include "base/map.h"
#include "base/nearest.h"

#include <stdlib.h>

enum { NAME_MAX = 128 };

static struct wisp_yaml_node at(uint32_t line, uint32_t column)
{
    return (struct wisp_yaml_node){.line = line, .column = column};
}

/* --- names --- */

static bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool is_made_of(struct wisp_str text, const char *signs)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.ptr[i]) && (!text.ptr[i] || !strchr(signs, text.ptr[i]))) return false;
    return true;
}

static bool is_label(struct wisp_str part)
{
    return part.len && part.len <= 63 && is_letter(part.ptr[0]) && is_alnum(part.ptr[part.len - 1]) &&
           is_made_of(part, "-");
}

/* "[prefix/]name": a DNS name, and a word. */
static bool is_metadata_key(struct wisp_str key)
{
    struct wisp_str prefix, name = key, part;
    if (wisp_str_split(key, '/', &prefix, &name)) {
        if (prefix.len > 253) return false;
        while (wisp_str_split(prefix, '.', &part, &prefix))
            if (!is_label(part)) return false;
        if (!is_label(prefix)) return false;
    }
    return name.len && name.len <= 63 && is_alnum(name.ptr[0]) && is_alnum(name.ptr[name.len - 1]) &&
           is_made_of(name, "-_.");
}

static void check_keys(struct wisp_app_checker *checker, const struct wisp_yaml_node *map)
{
    for (uint32_t i = 0; map && map->kind == WISP_YAML_MAP && i < map->n; i++) {
        const struct wisp_yaml_node *key = map->entries[i].key;
        if (!is_metadata_key(key->text))
            wisp_app_error(checker, key,
                           "`%.*s` can't be a key: [DNS name/]name of letters, digits, `-`, `_` and `.`, at most 63",
                           WISP_STR_ARG(key->text));
    }
}

static void check_metadata(struct wisp_app_checker *checker, const struct wisp_yaml_node *metadata)
{
    const struct wisp_app_manifest *manifest = checker->manifest;
    const struct wisp_yaml_node *annotations = wisp_yaml_get(metadata, "annotations");
    size_t before = wisp_app_enter(checker, "metadata");
    if (manifest->name.len > NAME_MAX || !is_made_of(manifest->name, "-_"))
        wisp_app_error(checker, wisp_yaml_get(metadata, "name"),
                       "`%.*s` can't be a name: at most %d letters, digits, `-` and `_`", WISP_STR_ARG(manifest->name),
                       NAME_MAX);
    if (wisp_str_is(manifest->version, "latest"))
        wisp_app_error(checker, wisp_yaml_get(annotations, "version"),
                       "`latest` can't be a version: it means the newest one");
    check_keys(checker, annotations);
    check_keys(checker, wisp_yaml_get(metadata, "labels"));
    wisp_app_leave(checker, before);
}

/* --- components --- */

static void check_twins(struct wisp_app_checker *checker)
{
    WISP_CLEANUP_MAP struct wisp_map names = {0}, ids = {0};
    for (size_t i = 0; i < checker->manifest->n_components; i++) {
        const struct wisp_app_component *component = &checker->manifest->components[i], *other;
        struct wisp_yaml_node here = at(component->line, component->column);
        if (!component->name.len) continue;
        if ((other = wisp_map_get(&names, component->name)))
            wisp_app_error(checker, &here, "there are two components `%.*s`, the first is in line %u",
                           WISP_STR_ARG(component->name), other->line);
        else
            wisp_map_add(&names, component->name, (void *)(uintptr_t)component);
        bool is_shared = component->shared_app.len;
        if (is_shared) continue;
        if ((other = wisp_map_get(&ids, component->id)) && !wisp_str_equal(other->name, component->name))
            wisp_app_error(checker, &here, "`%.*s` and `%.*s` both have the id `%.*s`", WISP_STR_ARG(other->name),
                           WISP_STR_ARG(component->name), WISP_STR_ARG(component->id));
        else
            wisp_map_add(&ids, component->id, (void *)(uintptr_t)component);
    }
}

static void check_shared(struct wisp_app_checker *checker, const struct wisp_app_component *component)
{
    struct wisp_yaml_node here = at(component->line, component->column);
    if (component->shared_app.len) {
        if (component->n_configs)
            wisp_app_error(checker, &here, "a component of another application has no config here");
        if (component->n_secrets)
            wisp_app_error(checker, &here, "a component of another application has no secrets here");
        if (component->n_scalers)
            wisp_app_error(checker, &here, "a component of another application is scaled there, not here");
    } else if (!component->n_scalers && !component->is_provider && component->name.len) {
        wisp_app_warning(checker, &here, "`%.*s` has no scaler, so nothing starts it", WISP_STR_ARG(component->name));
    }
}

static void check_secrets(struct wisp_app_checker *checker, uint32_t line, uint32_t column,
                          const struct wisp_app_secret *secrets, size_t n)
{
    const struct wisp_app_manifest *manifest = checker->manifest;
    struct wisp_yaml_node here = at(line, column);
    for (size_t i = 0; i < n; i++) {
        const struct wisp_app_policy *policy = NULL;
        for (size_t k = 0; k < manifest->n_policies; k++)
            if (wisp_str_equal(manifest->policies[k].name, secrets[i].policy)) policy = &manifest->policies[k];
        if (!secrets[i].policy.len) continue; /* told already */
        if (!policy)
            wisp_app_error(checker, &here, "secret `%.*s` names the policy `%.*s`, which is not there",
                           WISP_STR_ARG(secrets[i].name), WISP_STR_ARG(secrets[i].policy));
        else if (!wisp_str_is(policy->type, "policy.secret.wasmcloud.dev/v1alpha1"))
            wisp_app_error(checker, &here, "secret `%.*s` needs a policy of type policy.secret.wasmcloud.dev/v1alpha1",
                           WISP_STR_ARG(secrets[i].name));
        else if (!json_object_get(policy->properties, "backend"))
            wisp_app_error(checker, &here, "secret `%.*s`: policy `%.*s` has no property `backend`",
                           WISP_STR_ARG(secrets[i].name), WISP_STR_ARG(policy->name));
    }
}

/* --- links --- */

static const struct {
    const char *wit_namespace, *wit_package, *interfaces[5];
} known[] = {
    {"wasi", "blobstore", {"blobstore"}},
    {"wasi", "config", {"runtime", "store"}},
    {"wasi", "keyvalue", {"atomics", "store", "batch", "watch", "watcher"}},
    {"wasi", "http", {"incoming-handler", "outgoing-handler"}},
    {"wasi", "logging", {"logging"}},
    {"wrpc", "blobstore", {"blobstore"}},
    {"wrpc", "keyvalue", {"atomics", "store"}},
    {"wrpc", "http", {"incoming-handler", "outgoing-handler"}},
    {"wasmcloud", "messaging", {"consumer", "handler"}},
    {"wasmcloud", "postgres", {"query", "prepared"}},
};

static bool is_in(struct wisp_str word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n && words[i]; i++)
        if (wisp_str_is(word, words[i])) return true;
    return false;
}

static void check_interfaces(struct wisp_app_checker *checker, const struct wisp_app_link *link)
{
    struct wisp_yaml_node here = at(link->line, link->column);
    bool is_known_namespace = false;
    size_t i = 0;
    for (; i < WISP_COUNT(known); i++) {
        if (!wisp_str_is(link->wit_namespace, known[i].wit_namespace)) continue;
        is_known_namespace = true;
        if (wisp_str_is(link->wit_package, known[i].wit_package)) break;
    }
    if (!is_known_namespace || !link->wit_package.len) return;
    if (i == WISP_COUNT(known)) {
        wisp_app_warning(checker, &here, "there is no well-known package `%.*s:%.*s`",
                         WISP_STR_ARG(link->wit_namespace), WISP_STR_ARG(link->wit_package));
        return;
    }
    for (size_t k = 0; k < link->n_interfaces; k++)
        if (!is_in(link->interfaces[k], known[i].interfaces, WISP_COUNT(known[i].interfaces)))
            wisp_app_warning(checker, &here, "`%s:%s` has no well-known interface `%.*s`", known[i].wit_namespace,
                             known[i].wit_package, WISP_STR_ARG(link->interfaces[k]));
}

static void check_target(struct wisp_app_checker *checker, const struct wisp_app_component *component,
                         const struct wisp_app_link *link)
{
    const struct wisp_app_manifest *manifest = checker->manifest;
    struct wisp_yaml_node here = at(link->line, link->column);
    const char **names = WISP_NEW_ARRAY(checker->arena, const char *, manifest->n_components + 1);
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct wisp_app_component *other = &manifest->components[i];
        names[i] = other->name.len ? wisp_arena_cstr(checker->arena, other->name) : "?";
        if (!wisp_str_equal(other->name, link->target)) continue;
        if (component->is_provider && other->is_provider)
            wisp_app_warning(checker, &here,
                             "a link from provider `%.*s` to provider `%.*s`: few providers know what to do with it",
                             WISP_STR_ARG(component->name), WISP_STR_ARG(other->name));
        return;
    }
    if (!link->target.len) return; /* told already */
    const char *nearest = wisp_nearest(link->target, names);
    wisp_app_error(checker, &here, "the link leads to `%.*s`, which is no component of this application%s%s%s",
                   WISP_STR_ARG(link->target), nearest ? "; did you mean `" : "", nearest ? nearest : "",
                   nearest ? "`?" : "");
}

static bool have_common_interface(const struct wisp_app_link *a, const struct wisp_app_link *b)
{
    for (size_t i = 0; i < a->n_interfaces; i++)
        for (size_t k = 0; k < b->n_interfaces; k++)
            if (wisp_str_equal(a->interfaces[i], b->interfaces[k])) return true;
    return false;
}

static void check_twin_links(struct wisp_app_checker *checker, const struct wisp_app_component *component, size_t i)
{
    const struct wisp_app_link *link = &component->links[i];
    for (size_t k = 0; k < i; k++) {
        const struct wisp_app_link *other = &component->links[k];
        struct wisp_yaml_node here = at(link->line, link->column);
        if (wisp_str_equal(link->name, other->name) && wisp_str_equal(link->wit_namespace, other->wit_namespace) &&
            wisp_str_equal(link->wit_package, other->wit_package) && have_common_interface(link, other)) {
            wisp_app_error(checker, &here,
                           "the link in line %u has the same name, package and interface; give one of them a `name`",
                           other->line);
            return;
        }
    }
}

/* --- configs: one name is one thing --- */

struct config_use {
    const struct wisp_app_config *config;
    uint32_t line;
};

static void check_configs(struct wisp_app_checker *checker, struct wisp_map *uses, uint32_t line, uint32_t column,
                          const struct wisp_app_config *configs, size_t n)
{
    struct wisp_yaml_node here = at(line, column);
    for (size_t i = 0; i < n; i++) {
        if (!configs[i].properties || !configs[i].name.len) continue;
        const struct config_use *first = wisp_map_get(uses, configs[i].name);
        if (first && !json_equal(first->config->properties, configs[i].properties)) {
            wisp_app_error(checker, &here,
                           "config `%.*s` has other properties in line %u, and one would overwrite the other",
                           WISP_STR_ARG(configs[i].name), first->line);
        } else if (!first) {
            struct config_use *use = WISP_NEW(checker->arena, struct config_use);
            *use = (struct config_use){&configs[i], line};
            wisp_map_add(uses, configs[i].name, use);
        }
    }
}

static void check_links(struct wisp_app_checker *checker, const struct wisp_app_component *component,
                        struct wisp_map *uses)
{
    for (size_t i = 0; i < component->n_links; i++) {
        const struct wisp_app_link *link = &component->links[i];
        check_target(checker, component, link);
        check_interfaces(checker, link);
        check_twin_links(checker, component, i);
        check_configs(checker, uses, link->line, link->column, link->source_side.configs, link->source_side.n_configs);
        check_configs(checker, uses, link->line, link->column, link->target_side.configs, link->target_side.n_configs);
        check_secrets(checker, link->line, link->column, link->source_side.secrets, link->source_side.n_secrets);
        check_secrets(checker, link->line, link->column, link->target_side.secrets, link->target_side.n_secrets);
    }
}

void wisp_app_check_rules(struct wisp_app_checker *checker, const struct wisp_yaml_node *root)
{
    WISP_CLEANUP_MAP struct wisp_map uses = {0};
    check_metadata(checker, wisp_yaml_get(root, "metadata"));
    size_t spec = wisp_app_enter(checker, "spec"), before = wisp_app_enter(checker, "components");
    check_twins(checker);
    for (size_t i = 0; i < checker->manifest->n_components; i++) {
        const struct wisp_app_component *component = &checker->manifest->components[i];
        size_t outer = wisp_app_enter_item(checker, (uint32_t)i);
        check_shared(checker, component);
        check_secrets(checker, component->line, component->column, component->secrets, component->n_secrets);
        check_configs(checker, &uses, component->line, component->column, component->configs, component->n_configs);
        check_links(checker, component, &uses);
        wisp_app_leave(checker, outer);
    }
    wisp_app_leave(checker, before);
    wisp_app_leave(checker, spec);
}
