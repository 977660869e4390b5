/* SPDX-License-Identifier: Apache-2.0 */
/* Configs and links: put when they are absent or other ones, and taken away when nobody wants them any more. */
#include "app/plan_priv.h"

#include "base/json.h"

static char present; /* what sets hold */

/* --- configs --- */

/* Another deployed application that names it; with `gives`: that gives its content and comes before this one. */
static const struct wisp_app_desired *other_of(const struct wisp_app_planner *planner, struct wisp_str config,
                                               bool gives)
{
    struct wisp_link *mentions = wisp_app_wants_mentions(planner->wishes->wants, WISP_APP_MENTIONED_CONFIG, config);
    WISP_RING_EACH(at, mentions)
    {
        const struct wisp_app_mention *mention = WISP_OWNER(at, struct wisp_app_mention, with_text);
        const struct wisp_app_desired *other = mention->desired;
        int order = wisp_str_compare(other->manifest->name, planner->planned->name);
        if (order && other->is_deployed && (!gives || (mention->is_own && order < 0))) return other;
    }
    return NULL;
}

static void want_config(struct wisp_app_planner *planner, const struct wisp_app_desired *desired, struct wisp_str name,
                        json_t *wanted, const char *kind)
{
    const struct wisp_app_manifest *manifest = desired->manifest;
    if (!wisp_map_add(&planner->wanted_configs, name, &present)) return;
    const json_t *there = wisp_map_get(planner->observed->configs, name);
    struct wisp_app_scaler_status *status =
        wisp_app_status_add(planner, manifest->name,
                            wisp_app_scaler_id(&planner->plan->arena,
                                               (const struct wisp_str[]){wisp_str_from(kind), manifest->name, name}, 3),
                            kind, name);
    const struct wisp_app_desired *giver = wanted ? other_of(planner, name, true) : NULL;
    status->wanted = 1;
    status->found = there && (!wanted || json_equal(there, wanted));
    if (status->found) return;
    if (giver) {
        wisp_app_status_set(planner, status, WISP_APP_FAILED_STATE, "config `%.*s` is one of application `%.*s` too",
                            WISP_STR_ARG(name), WISP_STR_ARG(giver->manifest->name));
        return;
    }
    if (!wanted) {
        wisp_app_status_set(planner, status, WISP_APP_FAILED_STATE, "config `%.*s` is missing; somebody has to put it",
                            WISP_STR_ARG(name));
        return;
    }
    struct wisp_app_command command = {
        .kind = WISP_APP_PUT_CONFIG,
        .key = wisp_app_printf(planner, "config/%.*s", WISP_STR_ARG(name)),
        .app = manifest->name,
        .scaler_id = status->id,
        .name = name,
        .reason = there ? "it has other properties" : "it is not there",
    };
    wisp_app_status_set(planner, status, WISP_APP_RECONCILING, "%s", command.reason);
    if (wisp_app_command_add(planner, WISP_APP_PHASE_CONFIG, &command, json_incref(wanted), status))
        wisp_map_add(&planner->coming_configs, name, &present);
}

static void want_all(struct wisp_app_planner *planner, const struct wisp_app_desired *desired,
                     const struct wisp_app_config *configs, size_t n_configs, const struct wisp_app_secret *secrets,
                     size_t n_secrets)
{
    struct wisp_arena *arena = &planner->plan->arena;
    for (size_t i = 0; i < n_configs; i++)
        want_config(planner, desired, wisp_app_config_name(arena, desired->manifest->name, &configs[i]),
                    configs[i].properties, "ConfigScaler");
    for (size_t i = 0; i < n_secrets; i++) {
        WISP_CLEANUP_JSON json_t *config = wisp_app_secret_config(desired->manifest, &secrets[i]);
        want_config(planner, desired, wisp_app_secret_name(arena, desired->manifest->name, &secrets[i]), config,
                    "SecretScaler");
    }
}

static void want_side(struct wisp_app_planner *planner, const struct wisp_app_desired *desired,
                      const struct wisp_app_link_side *side)
{
    want_all(planner, desired, side->configs, side->n_configs, side->secrets, side->n_secrets);
}

void wisp_app_plan_configs(struct wisp_app_planner *planner, const struct wisp_app_desired *desired)
{
    for (size_t i = 0; i < desired->manifest->n_components; i++) {
        const struct wisp_app_component *component = &desired->manifest->components[i];
        want_all(planner, desired, component->configs, component->n_configs, component->secrets, component->n_secrets);
        for (size_t k = 0; k < component->n_links; k++) {
            want_side(planner, desired, &component->links[k].source_side);
            want_side(planner, desired, &component->links[k].target_side);
        }
    }
}

bool wisp_app_has_configs(struct wisp_app_planner *planner, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *text = json_array_get(names, i);
        struct wisp_str name = {json_string_value(text), json_string_length(text)};
        if (!wisp_map_get(&planner->coming_configs, name) && !wisp_map_get(planner->observed->configs, name))
            return false;
    }
    return true;
}

/* --- links --- */

/* A link of a manifest as the lattice would have it. */
struct wanted {
    struct wisp_str source, target;
    const struct wisp_app_link *link;
    json_t *interfaces, *source_config, *target_config; /* set by list_parts */
};

/* Deleting and replacing goes by that. */
static struct wisp_str identity_of(struct wisp_app_planner *planner, const struct wanted *wanted)
{
    return wisp_app_printf(planner, "%.*s\n%.*s\n%.*s:%.*s", WISP_STR_ARG(wanted->source),
                           WISP_STR_ARG(wanted->link->name), WISP_STR_ARG(wanted->link->wit_namespace),
                           WISP_STR_ARG(wanted->link->wit_package));
}

static const struct wisp_app_component *component_of(const struct wisp_app_manifest *manifest, struct wisp_str name)
{
    for (size_t i = 0; i < manifest->n_components; i++)
        if (wisp_str_equal(manifest->components[i].name, name)) return &manifest->components[i];
    return NULL;
}

/* False, and *ret_problem says why, when one of its ends can't be linked; false without source: is not known at all. */
static bool make_wanted(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest,
                        const struct wisp_app_component *component, const struct wisp_app_link *link,
                        struct wanted *wanted, const char **ret_problem)
{
    const struct wisp_app_component *target = component_of(manifest, link->target);
    *wanted = (struct wanted){.link = link};
    *ret_problem = target ? NULL : "its target is not there";
    if (!target) return false;
    wanted->source = wisp_app_id_of(planner, component, ret_problem);
    wanted->target = wisp_app_id_of(planner, target, ret_problem);
    return !*ret_problem;
}

static void list_parts(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest,
                       struct wanted *wanted)
{
    const struct wisp_app_link *link = wanted->link;
    wanted->interfaces = json_array();
    for (size_t i = 0; i < link->n_interfaces; i++)
        json_array_append_new(wanted->interfaces, wisp_json_text(link->interfaces[i]));
    wanted->source_config = wisp_app_names(planner, manifest, link->source_side.configs, link->source_side.n_configs,
                                           link->source_side.secrets, link->source_side.n_secrets);
    wanted->target_config = wisp_app_names(planner, manifest, link->target_side.configs, link->target_side.n_configs,
                                           link->target_side.secrets, link->target_side.n_secrets);
}

static void wanted_deinit(struct wanted *wanted)
{
    json_decref(wanted->interfaces);
    json_decref(wanted->source_config);
    json_decref(wanted->target_config);
}
#define CLEANUP_WANTED __attribute__((cleanup(wanted_deinit)))

static bool is_same_set(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b)) return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        bool is_there = false;
        for (size_t k = 0; k < json_array_size(b); k++)
            is_there |= json_equal(json_array_get(a, i), json_array_get(b, k));
        if (!is_there) return false;
    }
    return true;
}

static bool have_common(const json_t *a, const json_t *b)
{
    for (size_t i = 0; i < json_array_size(a); i++)
        for (size_t k = 0; k < json_array_size(b); k++)
            if (json_equal(json_array_get(a, i), json_array_get(b, k))) return true;
    return false;
}

static bool is_list_equal(const json_t *a, const json_t *b)
{
    return (!json_array_size(a) && !json_array_size(b)) || json_equal(a, b);
}

static void push_names(const json_t *names, struct wisp_str *parts, size_t *n)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *text = json_array_get(names, i);
        parts[(*n)++] = (struct wisp_str){json_string_value(text), json_string_length(text)};
    }
}

static struct wisp_str link_id(struct wisp_app_planner *planner, struct wisp_str app, const struct wanted *wanted)
{
    struct wisp_arena *arena = &planner->plan->arena;
    size_t n = 7, most = n + json_array_size(wanted->interfaces) + json_array_size(wanted->source_config) +
                         json_array_size(wanted->target_config);
    struct wisp_str *parts = WISP_NEW_ARRAY(arena, struct wisp_str, most);
    const struct wisp_str first[] = {
        WISP_STR("LinkScaler"),   app, wanted->link->name, wanted->source, wanted->target, wanted->link->wit_namespace,
        wanted->link->wit_package};
    memcpy(parts, first, sizeof first);
    push_names(wanted->interfaces, parts, &n);
    push_names(wanted->source_config, parts, &n);
    push_names(wanted->target_config, parts, &n);
    return wisp_app_scaler_id(arena, parts, n);
}

/* What the lattice has under this source, name and package. */
struct standing {
    bool is_there;  /* just as it is wanted */
    bool is_in_way; /* leads elsewhere by one of its interfaces */
};

static bool is_at(const struct wisp_app_observed_link *link, const struct wanted *wanted)
{
    return wisp_str_equal(link->name, wanted->link->name) &&
           wisp_str_equal(link->wit_package, wanted->link->wit_package) &&
           wisp_str_equal(link->wit_namespace, wanted->link->wit_namespace);
}

static struct standing look(struct wisp_app_planner *planner, const struct wanted *wanted)
{
    struct standing standing = {0};
    const struct wisp_app_observed_links *links = wisp_map_get(planner->observed->links, wanted->source);
    for (size_t i = 0; links && i < links->n; i++) {
        const struct wisp_app_observed_link *link = &links->list[i];
        if (!is_at(link, wanted)) continue;
        bool is_same_target = wisp_str_equal(link->target, wanted->target);
        standing.is_in_way |= !is_same_target && have_common(link->interfaces, wanted->interfaces);
        standing.is_there |= is_same_target && is_same_set(link->interfaces, wanted->interfaces) &&
                             is_list_equal(link->source_config, wanted->source_config) &&
                             is_list_equal(link->target_config, wanted->target_config);
    }
    return standing;
}

static void unlink_one(struct wisp_app_planner *planner, enum wisp_app_phase phase, struct wisp_str app,
                       const struct wanted *wanted, const char *reason, struct wisp_app_scaler_status *status)
{
    struct wisp_str identity = identity_of(planner, wanted);
    json_t *payload =
        json_pack("{s:o, s:o, s:o, s:o}", "source_id", wisp_json_text(wanted->source), "name",
                  wisp_json_text(wanted->link->name), "wit_namespace", wisp_json_text(wanted->link->wit_namespace),
                  "wit_package", wisp_json_text(wanted->link->wit_package));
    struct wisp_app_command command = {.kind = WISP_APP_DELETE_LINK,
                                       .key = wisp_app_printf(planner, "unlink/%.*s", WISP_STR_ARG(identity)),
                                       .app = app,
                                       .reason = reason};
    if (status) command.scaler_id = status->id;
    wisp_app_command_add(planner, phase, &command, payload, status);
}

static void link_one(struct wisp_app_planner *planner, struct wisp_str app, const struct wanted *wanted,
                     struct wisp_app_scaler_status *status)
{
    struct standing standing = look(planner, wanted);
    struct wisp_str identity = identity_of(planner, wanted);
    status->found = standing.is_there && !standing.is_in_way;
    if (status->found) return;
    wisp_app_status_set(planner, status, WISP_APP_RECONCILING, "%s",
                        standing.is_in_way ? "another link is in its place" : "it is not there, or is another one");
    if (standing.is_in_way && planner->observed->is_complete)
        unlink_one(planner, WISP_APP_PHASE_UNLINK_FIRST, app, wanted, "it leads elsewhere", status);
    json_t *payload = json_pack("{s:o, s:o, s:o, s:o, s:o, s:O, s:O, s:O}", "source_id", wisp_json_text(wanted->source),
                                "target", wisp_json_text(wanted->target), "name", wisp_json_text(wanted->link->name),
                                "wit_namespace", wisp_json_text(wanted->link->wit_namespace), "wit_package",
                                wisp_json_text(wanted->link->wit_package), "interfaces", wanted->interfaces,
                                "source_config", wanted->source_config, "target_config", wanted->target_config);
    struct wisp_app_command command = {.kind = WISP_APP_PUT_LINK,
                                       .key = wisp_app_printf(planner, "link/%.*s", WISP_STR_ARG(identity)),
                                       .app = app,
                                       .scaler_id = status->id,
                                       .reason = "it is not there, or is another one"};
    wisp_app_command_add(planner, WISP_APP_PHASE_LINK, &command, payload, status);
}

static void want_link(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest,
                      const struct wisp_app_component *component, const struct wisp_app_link *link)
{
    CLEANUP_WANTED struct wanted wanted;
    const char *problem;
    bool is_whole = make_wanted(planner, manifest, component, link, &wanted, &problem);
    if (is_whole) list_parts(planner, manifest, &wanted);
    struct wisp_str name = wisp_app_printf(planner, "%.*s -(%.*s:%.*s)-> %.*s",
                                           WISP_STR_ARG(wanted.source.len ? wanted.source : component->name),
                                           WISP_STR_ARG(link->wit_namespace), WISP_STR_ARG(link->wit_package),
                                           WISP_STR_ARG(wanted.source.len ? wanted.target : link->target));
    struct wisp_str id = is_whole ? link_id(planner, manifest->name, &wanted) : name;
    struct wisp_app_scaler_status *status = wisp_app_status_add(planner, manifest->name, id, "LinkScaler", name);
    status->wanted = 1;
    if (!is_whole) {
        wisp_app_status_set(planner, status, WISP_APP_FAILED_STATE, "%s", problem);
        return;
    }
    wisp_map_add(&planner->wanted_links, identity_of(planner, &wanted), &present);
    link_one(planner, manifest->name, &wanted, status);
}

void wisp_app_plan_links(struct wisp_app_planner *planner, const struct wisp_app_desired *desired)
{
    const struct wisp_app_manifest *manifest = desired->manifest;
    for (size_t i = 0; i < manifest->n_components; i++)
        for (size_t k = 0; k < manifest->components[i].n_links; k++)
            want_link(planner, manifest, &manifest->components[i], &manifest->components[i].links[k]);
}

/* --- what is not wanted any more --- */

static bool is_observed(struct wisp_app_planner *planner, const struct wanted *wanted)
{
    const struct wisp_app_observed_links *links = wisp_map_get(planner->observed->links, wanted->source);
    for (size_t i = 0; links && i < links->n; i++)
        if (is_at(&links->list[i], wanted) && wisp_str_equal(links->list[i].target, wanted->target)) return true;
    return false;
}

static bool has_such(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest,
                     const struct wanted *wanted)
{
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct wisp_app_component *component = &manifest->components[i];
        for (size_t k = 0; k < component->n_links; k++) {
            struct wanted other;
            const char *problem;
            if (make_wanted(planner, manifest, component, &component->links[k], &other, &problem) &&
                wisp_str_equal(other.source, wanted->source) &&
                wisp_str_equal(identity_of(planner, &other), identity_of(planner, wanted)))
                return true;
        }
    }
    return false;
}

/* Another deployed application has one from the same source, with that name and package. */
static bool is_wanted_by_others(struct wisp_app_planner *planner, const struct wanted *wanted)
{
    struct wisp_link *mentions =
        wisp_app_wants_mentions(planner->wishes->wants, WISP_APP_MENTIONED_SOURCE, wanted->source);
    WISP_RING_EACH(at, mentions)
    {
        const struct wisp_app_desired *other = WISP_OWNER(at, struct wisp_app_mention, with_text)->desired;
        bool is_other = !wisp_str_equal(other->manifest->name, planner->planned->name);
        if (is_other && other->is_deployed && has_such(planner, other->manifest, wanted)) return true;
    }
    return false;
}

/* Deleting goes by source, name and package: one that is wanted there is put in its place instead. */
static void drop_link(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest,
                      const struct wanted *wanted)
{
    if (!wanted->source.len || !is_observed(planner, wanted)) return;
    struct wisp_str identity = identity_of(planner, wanted);
    if (wisp_map_get(&planner->wanted_links, identity) || is_wanted_by_others(planner, wanted)) return;
    wisp_map_add(&planner->wanted_links, identity, &present); /* once */
    unlink_one(planner, WISP_APP_PHASE_UNLINK, manifest->name, wanted, "the application does not want it", NULL);
}

static void drop_links(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest)
{
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct wisp_app_component *component = &manifest->components[i];
        for (size_t k = 0; k < component->n_links; k++) {
            struct wanted wanted;
            const char *problem;
            (void)!make_wanted(planner, manifest, component, &component->links[k], &wanted, &problem);
            drop_link(planner, manifest, &wanted);
        }
    }
}

void wisp_app_plan_unlink(struct wisp_app_planner *planner, const struct wisp_app_desired *desired)
{
    if (!planner->observed->is_complete) return;
    drop_links(planner, desired->manifest);
    for (size_t i = 0; i < desired->n_others; i++) drop_links(planner, desired->others[i]);
}

static void drop_config(struct wisp_app_planner *planner, struct wisp_str app, struct wisp_str name)
{
    if (wisp_map_get(&planner->wanted_configs, name) || !wisp_map_get(planner->observed->configs, name)) return;
    if (other_of(planner, name, false)) return;
    wisp_map_add(&planner->wanted_configs, name, &present); /* once */
    struct wisp_app_command command = {.kind = WISP_APP_DELETE_CONFIG,
                                       .key = wisp_app_printf(planner, "forget/%.*s", WISP_STR_ARG(name)),
                                       .app = app,
                                       .name = name,
                                       .reason = "the application does not want it"};
    wisp_app_command_add(planner, WISP_APP_PHASE_FORGET, &command, NULL, NULL);
}

static void drop_side(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest,
                      const struct wisp_app_config *configs, size_t n_configs, const struct wisp_app_secret *secrets,
                      size_t n_secrets)
{
    struct wisp_arena *arena = &planner->plan->arena;
    for (size_t i = 0; i < n_configs; i++)
        if (configs[i].properties)
            drop_config(planner, manifest->name, wisp_app_config_name(arena, manifest->name, &configs[i]));
    for (size_t i = 0; i < n_secrets; i++)
        drop_config(planner, manifest->name, wisp_app_secret_name(arena, manifest->name, &secrets[i]));
}

static void drop_configs(struct wisp_app_planner *planner, const struct wisp_app_manifest *manifest)
{
    for (size_t i = 0; i < manifest->n_components; i++) {
        const struct wisp_app_component *component = &manifest->components[i];
        drop_side(planner, manifest, component->configs, component->n_configs, component->secrets,
                  component->n_secrets);
        for (size_t k = 0; k < component->n_links; k++) {
            const struct wisp_app_link_side *sides[] = {&component->links[k].source_side,
                                                        &component->links[k].target_side};
            for (size_t j = 0; j < WISP_COUNT(sides); j++)
                drop_side(planner, manifest, sides[j]->configs, sides[j]->n_configs, sides[j]->secrets,
                          sides[j]->n_secrets);
        }
    }
}

void wisp_app_plan_forget(struct wisp_app_planner *planner, const struct wisp_app_desired *desired)
{
    if (!planner->observed->is_complete) return;
    drop_configs(planner, desired->manifest);
    for (size_t i = 0; i < desired->n_others; i++) drop_configs(planner, desired->others[i]);
}
