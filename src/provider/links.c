/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/log.h"
#include "provider/provider_priv.h"

#include <stdlib.h>

struct wisp_provider_kept_link {
    struct wisp_provider_link base;
    struct wisp_arena arena;
    struct wisp_link all;     /* in links, or gone_links */
    struct wisp_link of_peer; /* in those of its peer, unless it is gone */
    struct peer *peer;
    size_t n_users;
    struct wisp_err *refusal; /* of put_link; NULL: it took it */
    uint64_t round;           /* of set_links that had it last */
};

/* The other end of some links. */
struct peer {
    struct wisp_str id; /* may hold a NUL: JSON does */
    struct wisp_link links;
};

bool wisp_provider_link_has(const struct wisp_provider_link *link, const char *interface)
{
    for (size_t i = 0; i < link->n_interfaces; i++)
        if (wisp_str_is(link->interfaces[i], interface)) return true;
    return false;
}

struct wisp_provider_link *wisp_provider_kept_link_base(struct wisp_provider_kept_link *link) { return &link->base; }

static struct wisp_provider_kept_link *link_of_all(struct wisp_link *member)
{
    return WISP_OWNER(member, struct wisp_provider_kept_link, all);
}

static struct wisp_provider_kept_link *link_of_peer(struct wisp_link *member)
{
    return WISP_OWNER(member, struct wisp_provider_kept_link, of_peer);
}

static struct wisp_str peer_id(const struct wisp_provider_link *link)
{
    return link->is_source ? link->target_id : link->source_id;
}

/* --- from JSON --- */

static int read_text(const json_t *json, const char *key, struct wisp_str *ret_text, struct wisp_err *err)
{
    *ret_text = wisp_json_str(json, key);
    return ret_text->len > 0 ? 0 : wisp_err_set(err, WISP_ERR_INVALID, "a link without `%s`", key);
}

static int read_interfaces(const json_t *json, struct wisp_arena *arena, struct wisp_provider_link *ret_link,
                           struct wisp_err *err)
{
    const json_t *list = json_object_get(json, "interfaces");
    size_t n = json_array_size(list);
    struct wisp_str *interfaces = WISP_NEW_ARRAY(arena, struct wisp_str, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *name = json_array_get(list, i);
        if (!json_is_string(name)) return wisp_err_set(err, WISP_ERR_INVALID, "a link's interface is no text");
        interfaces[i] = (struct wisp_str){json_string_value(name), json_string_length(name)};
    }
    ret_link->interfaces = interfaces;
    ret_link->n_interfaces = n;
    return 0;
}

/* What makes a link this one and no other; texts are the JSON's. */
static int read_key(const struct wisp_provider *provider, const json_t *json, struct wisp_provider_link *ret_link,
                    struct wisp_err *err)
{
    int r;
    if ((r = read_text(json, "source_id", &ret_link->source_id, err)) < 0) return r;
    if ((r = read_text(json, "target", &ret_link->target_id, err)) < 0) return r;
    if ((r = read_text(json, "wit_namespace", &ret_link->wit_namespace, err)) < 0) return r;
    if ((r = read_text(json, "wit_package", &ret_link->wit_package, err)) < 0) return r;
    ret_link->name = wisp_json_str(json, "name");
    if (ret_link->name.len == 0) ret_link->name = WISP_STR("default");
    ret_link->is_source = wisp_str_equal(ret_link->source_id, provider->id);
    if (ret_link->is_source || wisp_str_equal(ret_link->target_id, provider->id)) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "a link from `%.*s` to `%.*s` came to provider `%.*s`",
                        WISP_STR_ARG(ret_link->source_id), WISP_STR_ARG(ret_link->target_id),
                        WISP_STR_ARG(provider->id));
}

static int read_link(const struct wisp_provider *provider, const json_t *json, struct wisp_arena *arena,
                     struct wisp_provider_link *ret_link, struct wisp_err *err)
{
    int r = read_key(provider, json, ret_link, err);
    if (r == 0) r = read_interfaces(json, arena, ret_link, err);
    if (r < 0) return r;
    bool is_source = ret_link->is_source;
    r = wisp_settings_read(&ret_link->own, json_object_get(json, is_source ? "source_config" : "target_config"),
                           json_object_get(json, is_source ? "source_secrets" : "target_secrets"), arena, err);
    if (r < 0)
        return wisp_err_wrap(err, "link from `%.*s` to `%.*s`", WISP_STR_ARG(ret_link->source_id),
                             WISP_STR_ARG(ret_link->target_id));
    return 0;
}

/* --- making and freeing --- */

static struct wisp_settings copy_settings(const struct wisp_settings *own, const struct wisp_settings *more,
                                          struct wisp_arena *arena)
{
    size_t n = own->n + (more ? more->n : 0);
    struct wisp_setting *list = WISP_NEW_ARRAY(arena, struct wisp_setting, n);
    for (size_t i = 0; i < n; i++) {
        list[i] = i < own->n ? own->list[i] : more->list[i - own->n];
        list[i].key = wisp_arena_str(arena, list[i].key);
        list[i].value = wisp_arena_str(arena, list[i].value);
    }
    return (struct wisp_settings){list, n};
}

static struct peer *peer_get(struct wisp_provider_instance *instance, struct wisp_str id)
{
    struct peer *peer = wisp_map_get(&instance->peers, id);
    if (peer) return peer;
    peer = wisp_mem_alloc(sizeof *peer);
    peer->id = (struct wisp_str){wisp_mem_dup(id), id.len};
    wisp_ring_init(&peer->links);
    wisp_map_add(&instance->peers, peer->id, peer);
    return peer;
}

/* A copy of `terms` and what the provider's settings add to it. */
static struct wisp_provider_kept_link *link_new(struct wisp_provider_instance *instance,
                                                const struct wisp_provider_link *terms)
{
    struct wisp_provider_kept_link *link = wisp_mem_calloc(1, sizeof *link);
    struct wisp_provider_link *base = &link->base;
    struct wisp_arena *arena = &link->arena;
    *base = *terms;
    base->provider = &instance->base;
    base->source_id = wisp_arena_str(arena, terms->source_id);
    base->target_id = wisp_arena_str(arena, terms->target_id);
    base->name = wisp_arena_str(arena, terms->name);
    base->wit_namespace = wisp_arena_str(arena, terms->wit_namespace);
    base->wit_package = wisp_arena_str(arena, terms->wit_package);
    struct wisp_str *interfaces = WISP_NEW_ARRAY(arena, struct wisp_str, terms->n_interfaces);
    for (size_t i = 0; i < terms->n_interfaces; i++) interfaces[i] = wisp_arena_str(arena, terms->interfaces[i]);
    base->interfaces = interfaces;
    base->settings = copy_settings(&terms->own, &instance->base.settings, arena);
    base->own = (struct wisp_settings){base->settings.list, terms->own.n};
    base->state = NULL;
    return link;
}

static void link_free(struct wisp_provider_kept_link *link)
{
    struct wisp_arena arena = link->arena;
    wisp_ring_remove(&link->all);
    free(link);
    wisp_arena_deinit(&arena);
}

static void del_link(struct wisp_provider_kept_link *link)
{
    struct wisp_provider *provider = link->base.provider;
    if (!link->refusal && provider->kind->del_link) provider->kind->del_link(provider, &link->base);
    link_free(link);
}

/* No new call gets it; del_link follows. */
static void link_drop(struct wisp_provider_instance *instance, struct wisp_provider_kept_link *link)
{
    struct peer *peer = link->peer;
    wisp_ring_remove(&link->of_peer);
    wisp_ring_remove(&link->all);
    instance->n_links--;
    wisp_ring_append(&instance->gone_links, &link->all);
    wisp_provider_look_later(instance);
    if (!wisp_ring_is_empty(&peer->links)) return;
    wisp_map_remove(&instance->peers, peer->id);
    free((char *)(uintptr_t)peer->id.ptr);
    free(peer);
}

static void link_add(struct wisp_provider_instance *instance, struct wisp_provider_kept_link *link)
{
    link->peer = peer_get(instance, peer_id(&link->base));
    wisp_ring_append(&link->peer->links, &link->of_peer);
    wisp_ring_append(&instance->links, &link->all);
    instance->n_links++;
}

void wisp_provider_free_links(struct wisp_provider_instance *instance)
{
    WISP_RING_EACH(at, &instance->gone_links)
    {
        struct wisp_provider_kept_link *link = link_of_all(at);
        if (link->n_users == 0) del_link(link);
    }
}

void wisp_provider_remove_links(struct wisp_provider_instance *instance)
{
    while (!wisp_ring_is_empty(&instance->links)) link_drop(instance, link_of_all(instance->links.next));
}

/* --- changes --- */

static bool is_same_link(const struct wisp_provider_link *a, const struct wisp_provider_link *b)
{
    return wisp_str_equal(a->source_id, b->source_id) && wisp_str_equal(a->target_id, b->target_id) &&
           wisp_str_equal(a->name, b->name) && wisp_str_equal(a->wit_namespace, b->wit_namespace) &&
           wisp_str_equal(a->wit_package, b->wit_package);
}

static struct wisp_provider_kept_link *find_link(const struct wisp_provider_instance *instance,
                                                 const struct wisp_provider_link *wanted)
{
    struct peer *peer = wisp_map_get(&instance->peers, peer_id(wanted));
    if (!peer) return NULL;
    WISP_RING_EACH(at, &peer->links)
    if (is_same_link(&link_of_peer(at)->base, wanted)) return link_of_peer(at);
    return NULL;
}

static bool are_terms_equal(const struct wisp_provider_link *a, const struct wisp_provider_link *b)
{
    if (a->n_interfaces != b->n_interfaces || !wisp_settings_equal(&a->own, &b->own)) return false;
    for (size_t i = 0; i < a->n_interfaces; i++)
        if (!wisp_str_equal(a->interfaces[i], b->interfaces[i])) return false;
    return true;
}

/* The kind gets the new one first. One that it does not take is kept all the same, to say why. */
static int link_put(struct wisp_provider_instance *instance, const struct wisp_provider_link *terms,
                    struct wisp_provider_kept_link *old, struct wisp_err *err)
{
    struct wisp_provider *provider = &instance->base;
    struct wisp_provider_kept_link *link = link_new(instance, terms);
    int r = provider->kind->put_link ? provider->kind->put_link(provider, &link->base, err) : 0;
    if (r < 0) {
        wisp_err_wrap(err, "link `%.*s` from `%.*s` to `%.*s`", WISP_STR_ARG(link->base.name),
                      WISP_STR_ARG(link->base.source_id), WISP_STR_ARG(link->base.target_id));
        link->refusal = WISP_NEW(&link->arena, struct wisp_err);
        *link->refusal = *err;
    }
    link->round = instance->round;
    link_add(instance, link);
    if (old) link_drop(instance, old);
    return r;
}

/* Once for as long as it is the same. */
static void log_refusal(const struct wisp_provider_instance *instance, const struct wisp_err *before,
                        const struct wisp_err *err)
{
    if (before && strcmp(before->text, err->text) == 0) return;
    WISP_LOG(WARN, "provider", "link not taken", WISP_BYTES("provider", instance->base.id),
             WISP_TEXT("cause", err->text));
}

/* *ret_before: why it was refused before; NULL: it wasn't. Valid until control returns to the loop. */
static int put_link(struct wisp_provider_instance *instance, const json_t *json, const struct wisp_err **ret_before,
                    struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_provider_link terms = {0};
    int r = read_link(&instance->base, json, &arena, &terms, err);
    *ret_before = NULL;
    if (r < 0) return r;
    struct wisp_provider_kept_link *old = find_link(instance, &terms);
    if (old) *ret_before = old->refusal;
    if (old && !old->refusal && are_terms_equal(&old->base, &terms)) {
        old->round = instance->round;
        return 0;
    }
    if (!old && instance->n_links >= WISP_PROVIDER_LINKS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "there are %d links already", WISP_PROVIDER_LINKS_MAX);
    return link_put(instance, &terms, old, err);
}

int wisp_provider_put_link(struct wisp_provider *provider, const json_t *json, struct wisp_err *err)
{
    struct wisp_err none;
    const struct wisp_err *before;
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    if (!instance->is_closing) return put_link(instance, json, &before, err ? err : &none);
    return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the provider is being closed");
}

void wisp_provider_del_link(struct wisp_provider *provider, const json_t *json)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    struct wisp_provider_link key = {0};
    if (read_key(provider, json, &key, NULL) < 0) return;
    struct wisp_provider_kept_link *link = find_link(instance, &key);
    if (link) link_drop(instance, link);
}

void wisp_provider_set_links(struct wisp_provider *provider, const json_t *links)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    if (instance->is_closing) return;
    instance->round++;
    for (size_t i = 0; i < json_array_size(links); i++) {
        struct wisp_err err;
        const struct wisp_err *before;
        if (put_link(instance, json_array_get(links, i), &before, &err) < 0) log_refusal(instance, before, &err);
    }
    WISP_RING_EACH(at, &instance->links)
    if (link_of_all(at)->round != instance->round) link_drop(instance, link_of_all(at));
}

static bool is_up_to_date(const struct wisp_provider_link *link)
{
    struct wisp_settings added = {link->settings.list + link->own.n, link->settings.n - link->own.n};
    return wisp_settings_equal(&added, &link->provider->settings);
}

void wisp_provider_renew_links(struct wisp_provider_instance *instance)
{
    struct wisp_link old_links;
    wisp_ring_init(&old_links);
    wisp_ring_move(&instance->links, &old_links);
    while (!wisp_ring_is_empty(&old_links)) {
        struct wisp_provider_kept_link *link = link_of_all(old_links.next);
        struct wisp_err err;
        wisp_ring_remove(&link->all);
        wisp_ring_append(&instance->links, &link->all);
        if (!is_up_to_date(&link->base) && link_put(instance, &link->base, link, &err) < 0)
            log_refusal(instance, link->refusal, &err);
    }
}

/* --- use --- */

/* How well a link fits calls of an interface ("wasi:keyvalue/store"): by its namespace and package, and by what it says
 * of interfaces. Links of other packages are better than none: the caller says that it has one by this name. */
static int fitness(const struct wisp_provider_link *link, struct wisp_str interface)
{
    struct wisp_str namespace, package, rest, name;
    if (!wisp_str_split(interface, ':', &namespace, &rest) || !wisp_str_split(rest, '/', &package, &name)) return 1;
    if (!wisp_str_equal(link->wit_namespace, namespace) || !wisp_str_equal(link->wit_package, package)) return 1;
    for (size_t i = 0; i < link->n_interfaces; i++)
        if (wisp_str_equal(link->interfaces[i], name)) return 3;
    return 2;
}

static struct wisp_str link_interface(const struct wisp_provider_interface *interface)
{
    if (interface->link_interface) return wisp_str_from(interface->link_interface);
    struct wisp_str name = wisp_str_from(interface->name), version;
    (void)wisp_str_split(name, '@', &name, &version);
    return name;
}

struct wisp_provider_kept_link *wisp_provider_use_link(struct wisp_provider_instance *instance,
                                                       struct wisp_str source_id, struct wisp_str name,
                                                       const struct wisp_provider_interface *interface,
                                                       struct wisp_err *err)
{
    struct peer *peer = wisp_map_get(&instance->peers, source_id);
    struct wisp_provider_kept_link *best = NULL;
    int best_fitness = 0;
    if (!peer) return NULL;
    WISP_RING_EACH(at, &peer->links)
    {
        struct wisp_provider_kept_link *link = link_of_peer(at);
        if (link->base.is_source || !wisp_str_equal(link->base.name, name)) continue;
        int its_fitness = fitness(&link->base, link_interface(interface));
        if (its_fitness <= best_fitness) continue;
        best = link;
        best_fitness = its_fitness;
    }
    if (!best) return NULL;
    if (best->refusal) {
        *err = *best->refusal;
        return NULL;
    }
    best->n_users++;
    return best;
}

void wisp_provider_unuse_link(struct wisp_provider_kept_link *link)
{
    if (!link || --link->n_users > 0 || wisp_ring_is_member(&link->of_peer)) return;
    wisp_provider_look_later(wisp_provider_instance_of(link->base.provider));
}
