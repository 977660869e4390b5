/* SPDX-License-Identifier: Apache-2.0 */
/* Providers of built-in kinds: orders to run them, and the way from there to "all workers have it".
 *
 * A worker answers each order for a provider with one piece of news, in the order in which it got them; what it says
 * while later orders are on their way to it is overtaken. */
#include "host/fleet_priv.h"

#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* --- a directory of its own --- */

/* Letters, digits, - and _ as they are; anything else as .XX: different ids never share one. */
static void safe_name(struct wisp_str id, struct wisp_buf *out)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
            wisp_buf_append_char(out, c);
        else
            wisp_buf_printf(out, ".%02x", (unsigned char)c);
    }
}

static int make_directory(const struct wisp_fleet *fleet, struct wisp_str id, struct wisp_buf *path,
                          struct wisp_err *err)
{
    wisp_buf_printf(path, "%s/providers", fleet->options.paths->state);
    wisp_buf_append_char(path, '\0');
    if (mkdir(path->data, 0700) < 0 && errno != EEXIST) return wisp_err_os(err, errno, "make `%s`", path->data);
    path->data[path->len - 1] = '/';
    safe_name(id, path);
    wisp_buf_append_char(path, '\0');
    if (mkdir(path->data, 0700) < 0 && errno != EEXIST) return wisp_err_os(err, errno, "make `%s`", path->data);
    WISP_CLEANUP_FREE char *absolute = realpath(path->data, NULL);
    if (!absolute) return wisp_err_os(err, errno, "find `%s`", path->data);
    path->len = 0;
    wisp_buf_append(path, absolute, strlen(absolute) + 1);
    return 0;
}

/* --- orders --- */

static json_t *make_order(const struct wisp_lattice_builtin *what, const char *data_path)
{
    return json_pack("{s:s,s:o,s:o,s:O,s:O,s:O,s:s}", "do", "provider", "id", wisp_json_text(what->id), "kind",
                     wisp_json_text(what->kind), "config", what->config, "secrets", what->secrets, "links", what->links,
                     "data_path", data_path);
}

static void tell_seat(struct wisp_seat *seat, struct wisp_fleet_provider *provider)
{
    provider->n_told[seat->index]++;
    wisp_orders_send(seat->orders, json_incref(provider->order), -1);
}

static void tell_ready_seats(struct wisp_fleet *fleet, struct wisp_fleet_provider *provider)
{
    for (uint32_t i = 0; i < fleet->n_seats; i++)
        if (fleet->seats[i].is_ready) tell_seat(&fleet->seats[i], provider);
}

static void tell_removal(struct wisp_fleet *fleet, const char *id)
{
    json_t *order = json_pack("{s:s,s:s}", "do", "provider-remove", "id", id);
    wisp_fleet_tell(fleet, order);
    json_decref(order);
}

void wisp_fleet_tell_providers(struct wisp_seat *seat)
{
    struct wisp_map *providers = &seat->fleet->providers;
    for (size_t i = 0; i < providers->capacity; i++) {
        struct wisp_fleet_provider *provider = providers->slots[i].value;
        if (!provider) continue;
        provider->n_told[seat->index] = 0;
        tell_seat(seat, provider);
    }
}

/* --- outcomes --- */

static void tell_done(struct wisp_fleet_provider *provider, const struct wisp_err *err)
{
    wisp_fleet_on_done *on_done = WISP_TAKE(provider->on_done);
    if (on_done) on_done(err, provider->env, provider->done_id);
}

static void free_provider(struct wisp_fleet_provider *provider)
{
    json_decref(provider->order);
    json_decref(provider->good_order);
    free(provider->n_told);
    free(provider->id);
    free(provider);
}

static void forget(struct wisp_fleet *fleet, struct wisp_fleet_provider *provider)
{
    wisp_map_remove(&fleet->providers, wisp_str_from(provider->id));
    free_provider(provider);
}

/* All workers that are there have answered to all that they were told. */
static bool is_settled(const struct wisp_fleet *fleet, const struct wisp_fleet_provider *provider)
{
    bool any = false;
    for (uint32_t i = 0; i < fleet->n_seats; i++) {
        if (!fleet->seats[i].is_ready) continue;
        if (provider->n_told[i]) return false;
        any = true;
    }
    return any;
}

static void check_ready(struct wisp_fleet *fleet, struct wisp_fleet_provider *provider)
{
    if (!provider->on_done || !is_settled(fleet, provider)) return;
    if (!provider->good_order) WISP_LOG(INFO, "host", "built-in provider serves", WISP_TEXT("provider", provider->id));
    json_decref(provider->good_order);
    provider->good_order = json_incref(provider->order);
    tell_done(provider, NULL);
}

/* What ran before goes on. */
static void fail(struct wisp_fleet *fleet, struct wisp_fleet_provider *provider, const struct wisp_err *err)
{
    if (!provider->on_done) {
        WISP_LOG(ERROR, "host", "a worker can't run a built-in provider", WISP_TEXT("provider", provider->id),
                 WISP_TEXT("error", err->text));
        return;
    }
    tell_done(provider, err);
    if (provider->good_order) {
        json_decref(provider->order);
        provider->order = json_incref(provider->good_order);
        tell_ready_seats(fleet, provider);
    } else {
        tell_removal(fleet, provider->id);
        forget(fleet, provider);
    }
}

static void on_failed(struct wisp_fleet *fleet, struct wisp_fleet_provider *provider, const json_t *order)
{
    struct wisp_str text = wisp_json_str(order, "text"), kind = wisp_json_str(order, "kind");
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_INVALID, "%.*s", WISP_STR_ARG(text));
    for (int k = 1; k < WISP_ERR_COUNT; k++)
        if (wisp_str_is(kind, wisp_err_name((enum wisp_err_kind)k))) err.kind = (enum wisp_err_kind)k;
    fail(fleet, provider, &err);
}

bool wisp_fleet_on_provider(struct wisp_seat *seat, const char *what, const json_t *order)
{
    struct wisp_fleet *fleet = seat->fleet;
    bool is_failure = strcmp(what, "provider-failed") == 0;
    if (!is_failure && strcmp(what, "provider-ready") != 0) return false;
    struct wisp_fleet_provider *provider = wisp_map_get(&fleet->providers, wisp_json_str(order, "id"));
    if (!provider || !provider->n_told[seat->index]) return true;
    if (--provider->n_told[seat->index]) return true; /* overtaken by a later order */
    if (is_failure)
        on_failed(fleet, provider, order);
    else
        check_ready(fleet, provider);
    return true;
}

void wisp_fleet_provider_worker_gone(struct wisp_seat *seat)
{
    struct wisp_map *providers = &seat->fleet->providers;
    for (size_t i = 0; i < providers->capacity; i++) {
        struct wisp_fleet_provider *provider = providers->slots[i].value;
        if (!provider) continue;
        provider->n_told[seat->index] = 0;
        check_ready(seat->fleet, provider);
        wisp_fleet_tell_ended(seat->fleet, provider->id);
    }
}

/* --- what is wanted --- */

static struct wisp_fleet_provider *add(struct wisp_fleet *fleet, struct wisp_str id)
{
    struct wisp_fleet_provider *provider = wisp_mem_calloc(1, sizeof *provider);
    provider->id = wisp_mem_dup(id);
    provider->n_told = wisp_mem_calloc(fleet->n_seats, sizeof *provider->n_told);
    wisp_map_add(&fleet->providers, wisp_str_from(provider->id), provider);
    return provider;
}

static void cancel(struct wisp_fleet_provider *provider)
{
    struct wisp_err err = {0};
    if (!provider->on_done) return;
    wisp_err_set(&err, WISP_ERR_CANCELLED, "a later command for `%s` took its place", provider->id);
    tell_done(provider, &err);
}

void wisp_fleet_put_provider(struct wisp_fleet *fleet, const struct wisp_lattice_builtin *what,
                             wisp_fleet_on_done *on_done, void *env, uint64_t id)
{
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    struct wisp_err err = {0};
    if (make_directory(fleet, what->id, &path, &err) < 0) {
        on_done(&err, env, id);
        return;
    }
    struct wisp_fleet_provider *provider = wisp_map_get(&fleet->providers, what->id);
    if (provider)
        cancel(provider);
    else
        provider = add(fleet, what->id);
    json_decref(provider->order);
    provider->order = make_order(what, path.data);
    provider->on_done = on_done;
    provider->env = env;
    provider->done_id = id;
    tell_ready_seats(fleet, provider);
}

void wisp_fleet_remove_provider(struct wisp_fleet *fleet, struct wisp_str provider_id, wisp_fleet_on_done *on_done,
                                void *env, uint64_t id)
{
    struct wisp_fleet_provider *provider = wisp_map_get(&fleet->providers, provider_id);
    if (provider) {
        cancel(provider);
        WISP_LOG(INFO, "host", "built-in provider is stopped", WISP_TEXT("provider", provider->id));
        tell_removal(fleet, provider->id);
        forget(fleet, provider);
    }
    on_done(NULL, env, id);
}

void wisp_fleet_free_providers(struct wisp_fleet *fleet)
{
    for (size_t i = 0; i < fleet->providers.capacity; i++)
        if (fleet->providers.slots[i].value) free_provider(fleet->providers.slots[i].value);
    wisp_map_deinit(&fleet->providers);
}
