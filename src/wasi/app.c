/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/app.h"

#include <stdlib.h>

/* --- copying --- */

static int copy_text(struct wisp_wasi_app *app, struct wisp_str text, struct wisp_str *ret_copy, struct wisp_err *err)
{
    if (!wisp_str_is_utf8(text)) return wisp_err_set(err, WISP_ERR_INVALID, "not UTF-8");
    *ret_copy = wisp_arena_str(&app->arena, text);
    return 0;
}

static int by_name_and_age(const void *a, const void *b)
{
    const struct wisp_wasi_env *const *first = a, *const *second = b;
    int order = wisp_str_compare((*first)->name, (*second)->name);
    return order ? order : (*first > *second) - (*first < *second);
}

static int copy_config(struct wisp_wasi_app *app, const struct wisp_wasi_app *parts, struct wisp_err *err)
{
    WISP_CLEANUP_FREE const struct wisp_wasi_env **sorted = wisp_mem_calloc(parts->n_config + 1, sizeof *sorted);
    struct wisp_wasi_env *config = WISP_NEW_ARRAY(&app->arena, struct wisp_wasi_env, parts->n_config);
    for (size_t i = 0; i < parts->n_config; i++) sorted[i] = &parts->config[i];
    qsort(sorted, parts->n_config, sizeof *sorted, by_name_and_age);
    app->config = config;
    for (size_t i = 0; i < parts->n_config; i++) {
        if (i + 1 < parts->n_config && wisp_str_equal(sorted[i]->name, sorted[i + 1]->name)) continue;
        struct wisp_wasi_env *pair = &config[app->n_config++];
        int r = copy_text(app, sorted[i]->name, &pair->name, err);
        if (r == 0) r = copy_text(app, sorted[i]->value, &pair->value, err);
        if (r < 0) return wisp_err_wrap(err, "configuration value `%.*s`", WISP_STR_ARG(sorted[i]->name));
    }
    return 0;
}

static const struct wisp_wasi_secret *find_secret(const struct wisp_wasi_secret *secrets, size_t n,
                                                  struct wisp_str name)
{
    for (size_t i = 0; i < n; i++)
        if (wisp_str_equal(secrets[i].name, name)) return &secrets[i];
    return NULL;
}

static int copy_secrets(struct wisp_wasi_app *app, const struct wisp_wasi_app *parts, struct wisp_err *err)
{
    struct wisp_wasi_secret *secrets = WISP_NEW_ARRAY(&app->arena, struct wisp_wasi_secret, parts->n_secrets);
    app->secrets = secrets;
    for (size_t i = 0; i < parts->n_secrets; i++) {
        const struct wisp_wasi_secret *from = &parts->secrets[i];
        if (find_secret(from + 1, parts->n_secrets - i - 1, from->name)) continue;
        struct wisp_str value = {(const char *)from->value.ptr, from->value.len};
        if (!wisp_str_is_utf8(from->name) || (!from->is_bytes && !wisp_str_is_utf8(value)))
            return wisp_err_set(err, WISP_ERR_INVALID, "secret `%.*s`: not UTF-8", WISP_STR_ARG(from->name));
        value = wisp_arena_str(&app->arena, value);
        secrets[app->n_secrets++] = (struct wisp_wasi_secret){.name = wisp_arena_str(&app->arena, from->name),
                                                              .value = {(const uint8_t *)value.ptr, value.len},
                                                              .is_bytes = from->is_bytes};
    }
    return 0;
}

static const struct wisp_wasi_link *find_link(const struct wisp_wasi_link *links, size_t n, struct wisp_str name,
                                              struct wisp_str interface)
{
    for (size_t i = 0; i < n; i++)
        if (wisp_str_equal(links[i].interface, interface) && wisp_str_equal(links[i].name, name)) return &links[i];
    return NULL;
}

static int copy_links(struct wisp_wasi_app *app, const struct wisp_wasi_app *parts, struct wisp_err *err)
{
    struct wisp_wasi_link *links = WISP_NEW_ARRAY(&app->arena, struct wisp_wasi_link, parts->n_links);
    app->links = links;
    for (size_t i = 0; i < parts->n_links; i++) {
        const struct wisp_wasi_link *from = &parts->links[i];
        if (find_link(from + 1, parts->n_links - i - 1, from->name, from->interface)) continue;
        struct wisp_wasi_link *link = &links[app->n_links++];
        int r = copy_text(app, from->name, &link->name, err);
        if (r == 0) r = copy_text(app, from->interface, &link->interface, err);
        if (r == 0) r = copy_text(app, from->target, &link->target, err);
        if (r < 0) return wisp_err_wrap(err, "link for `%.*s`", WISP_STR_ARG(from->interface));
    }
    return 0;
}

/* --- life --- */

int wisp_wasi_app_new(struct wisp_wasi_app **ret_app, const struct wisp_wasi_app *parts, struct wisp_err *err)
{
    struct wisp_wasi_app *app = wisp_mem_calloc(1, sizeof *app);
    app->n_owners = 1;
    app->on_log = parts->on_log;
    app->on_log_env = parts->on_log_env;
    int r = copy_text(app, parts->component_id, &app->component_id, err);
    if (r == 0) r = copy_config(app, parts, err);
    if (r == 0) r = copy_secrets(app, parts, err);
    if (r == 0) r = copy_links(app, parts, err);
    if (r < 0)
        wisp_wasi_app_unref(app);
    else
        *ret_app = app;
    return r;
}

struct wisp_wasi_app *wisp_wasi_app_ref(struct wisp_wasi_app *app)
{
    app->n_owners++;
    return app;
}

void wisp_wasi_app_unref(struct wisp_wasi_app *app)
{
    if (!app || --app->n_owners) return;
    for (size_t i = 0; i < app->n_secrets; i++)
        explicit_bzero((void *)(uintptr_t)app->secrets[i].value.ptr, app->secrets[i].value.len);
    wisp_arena_deinit(&app->arena);
    free(app);
}

/* --- links --- */

const struct wisp_wasi_link *wisp_wasi_app_link(const struct wisp_wasi_app *app, struct wisp_str name,
                                                struct wisp_str interface)
{
    return app ? find_link(app->links, app->n_links, name, interface) : NULL;
}

struct wisp_str wisp_wasi_link_name(const struct wisp_wasi *wasi, struct wisp_str interface)
{
    for (size_t i = 0; i < wasi->n_chosen_links; i++)
        if (wisp_str_equal(wasi->chosen_links[i]->interface, interface)) return wasi->chosen_links[i]->name;
    return WISP_STR("default");
}
