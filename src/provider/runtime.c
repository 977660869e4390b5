/* SPDX-License-Identifier: Apache-2.0 */
/* Instances come and go. */
#include "base/log.h"
#include "provider/provider_priv.h"

#include <stdlib.h>

static void instance_free(struct wisp_provider_instance *instance)
{
    wisp_provider_free_calls(instance);
    wisp_map_deinit(&instance->peers);
    wisp_arena_deinit(&instance->settings_arena);
    wisp_arena_deinit(&instance->arena);
    free(instance);
}

static struct wisp_str copy(struct wisp_provider_instance *instance, const char *text)
{
    return wisp_arena_str(&instance->arena, wisp_str_from(text));
}

static struct wisp_provider_instance *instance_new(const struct wisp_provider_options *options)
{
    struct wisp_provider_instance *instance = wisp_mem_calloc(1, sizeof *instance);
    instance->base = (struct wisp_provider){.kind = options->kind,
                                            .id = copy(instance, options->id),
                                            .lattice = copy(instance, options->lattice),
                                            .host_id = copy(instance, options->host_id),
                                            .loop = options->loop,
                                            .bus = options->bus,
                                            .wrpc = options->wrpc,
                                            .is_first = options->is_first};
    if (options->bus_url) instance->base.bus_url = copy(instance, options->bus_url).ptr;
    if (options->data_path) instance->base.data_path = copy(instance, options->data_path).ptr;
    instance->world = options->world;
    instance->on_span = options->on_span;
    instance->span_env = options->span_env;
    instance->call_timeout_ms = options->call_timeout_ms ? options->call_timeout_ms : WISP_PROVIDER_CALL_TIMEOUT_MS;
    wisp_ring_init(&instance->links);
    wisp_ring_init(&instance->gone_links);
    wisp_ring_init(&instance->calls);
    wisp_ring_init(&instance->kept_calls);
    wisp_ring_init(&instance->invocations);
    return instance;
}

int wisp_provider_new(struct wisp_provider **ret_provider, const struct wisp_provider_options *options,
                      struct wisp_err *err)
{
    struct wisp_provider_instance *instance = instance_new(options);
    struct wisp_provider *provider = &instance->base;
    const struct wisp_provider_kind *kind = options->kind;
    int r = wisp_provider_types_get(kind, &instance->types, err);
    if (r == 0)
        r = wisp_settings_read(&provider->settings, options->config, options->secrets, &instance->settings_arena, err);
    if (r == 0 && kind->open) r = kind->open(provider, err);
    if (r < 0) {
        wisp_provider_cancel_invocations(instance);
        instance_free(instance);
        return r;
    }
    uv_timer_init(options->loop, &instance->later);
    *ret_provider = provider;
    return 0;
}

int wisp_provider_set_config(struct wisp_provider *provider, const json_t *config, const json_t *secrets,
                             struct wisp_err *err)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    struct wisp_arena arena = {0}, *old_arena = &instance->settings_arena;
    struct wisp_settings settings, old = provider->settings;
    int r = wisp_settings_read(&settings, config, secrets, &arena, err);
    if (r == 0 && !instance->is_closing && !wisp_settings_equal(&settings, &old)) {
        provider->settings = settings;
        if (provider->kind->config_changed) r = provider->kind->config_changed(provider, err);
        if (r == 0) {
            struct wisp_arena swapped = *old_arena;
            *old_arena = arena;
            arena = swapped;
            wisp_provider_renew_links(instance);
        } else {
            provider->settings = old;
        }
    }
    wisp_arena_deinit(&arena);
    return r;
}

bool wisp_provider_is_healthy(struct wisp_provider *provider, struct wisp_buf *text)
{
    const struct wisp_provider_kind *kind = provider->kind;
    return kind->is_healthy ? kind->is_healthy(provider, text) : true;
}

/* --- what is done later --- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct wisp_provider_instance *instance = WISP_OWNER(handle, struct wisp_provider_instance, later);
    void (*on_closed)(void *env) = instance->on_closed;
    void *env = instance->closed_env;
    instance_free(instance);
    if (on_closed) on_closed(env);
}

/* The kind's handles close in the turn after it was closed; the instance stays for what they look at. */
static void on_kind_closed(uv_timer_t *timer) { uv_close((uv_handle_t *)timer, on_handle_closed); }

static void close_kind(struct wisp_provider_instance *instance)
{
    instance->is_closed = true;
    if (instance->base.kind->close) instance->base.kind->close(&instance->base);
    wisp_provider_cancel_invocations(instance);
    uv_timer_start(&instance->later, on_kind_closed, 0, 0);
}

static void look_whether_drained(struct wisp_provider_instance *instance)
{
    void (*on_drained)(void *env) = instance->on_drained;
    if (!on_drained || instance->n_calls > 0 || instance->n_holds > 0 || !wisp_ring_is_empty(&instance->invocations))
        return;
    instance->on_drained = NULL;
    on_drained(instance->drained_env);
}

static void on_later(uv_timer_t *timer)
{
    struct wisp_provider_instance *instance = WISP_OWNER(timer, struct wisp_provider_instance, later);
    wisp_provider_free_links(instance);
    look_whether_drained(instance);
    if (instance->is_closing && instance->n_calls == 0 && wisp_ring_is_empty(&instance->gone_links))
        close_kind(instance);
}

void wisp_provider_look_later(struct wisp_provider_instance *instance)
{
    if (!instance->is_closed && !uv_is_active((uv_handle_t *)&instance->later))
        uv_timer_start(&instance->later, on_later, 0, 0);
}

void wisp_provider_drain(struct wisp_provider *provider, void (*on_drained)(void *env), void *env)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    instance->on_drained = on_drained;
    instance->drained_env = env;
    if (provider->kind->drain) provider->kind->drain(provider);
    wisp_provider_look_later(instance);
}

void wisp_provider_hold(struct wisp_provider *provider) { wisp_provider_instance_of(provider)->n_holds++; }

void wisp_provider_release(struct wisp_provider *provider)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    instance->n_holds--;
    wisp_provider_something_ended(instance);
}

void wisp_provider_close(struct wisp_provider *provider, void (*on_closed)(void *env), void *env)
{
    struct wisp_provider_instance *instance = wisp_provider_instance_of(provider);
    instance->is_closing = true;
    instance->on_drained = NULL;
    instance->on_closed = on_closed;
    instance->closed_env = env;
    wisp_provider_cancel_calls(instance);
    wisp_provider_remove_links(instance);
    wisp_provider_look_later(instance);
}
