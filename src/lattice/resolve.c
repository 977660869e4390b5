/* SPDX-License-Identifier: Apache-2.0 */
/* A list of config names becomes one map, and the secrets that it names. */
#include "lattice/lattice_priv.h"

#include <stdlib.h>

enum { LOOK_AGAIN_MS = 100, LOOKS_MAX = 20 };

static void finish(struct wisp_lattice_resolve *resolve, const struct wisp_err *err)
{
    resolve->on_done(resolve, err, resolve->env);
}

static void resolve_config(struct wisp_lattice_resolve *resolve);

static void look_again(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    resolve_config(env);
}

/* A config that was put a moment ago, through another host, may not be told yet: look again for a while. */
static void resolve_config(struct wisp_lattice_resolve *resolve)
{
    struct wisp_err err = {0};
    int r = wisp_lattice_config_merge(resolve->lattice, resolve->names, resolve->may_miss, &resolve->config, &err);
    if (r < 0 && ++resolve->tries < LOOKS_MAX)
        wisp_lattice_timer_arm(resolve->lattice, &resolve->wait, LOOK_AGAIN_MS, look_again, resolve);
    else
        finish(resolve, r < 0 ? &err : NULL);
}

static void next_secret(struct wisp_lattice_resolve *resolve);

static void on_secret(struct wisp_lattice_secret_task *task, json_t *value, const struct wisp_err *err)
{
    struct wisp_lattice_resolve *resolve = WISP_OWNER(task, struct wisp_lattice_resolve, secret);
    if (err) {
        struct wisp_err wrapped = *err;
        struct wisp_str name = wisp_json_str(task->reference, "name");
        wisp_err_wrap(&wrapped, "secret `%.*s`", WISP_STR_ARG(name));
        wisp_lattice_secret_deinit(task);
        finish(resolve, &wrapped);
        return;
    }
    struct wisp_str name = wisp_json_str(task->reference, "name");
    json_object_setn_new_nocheck(resolve->secrets, name.ptr, name.len, value);
    wisp_lattice_secret_deinit(task);
    next_secret(resolve);
}

static void begin_secret(struct wisp_lattice_resolve *resolve, json_t *reference)
{
    resolve->secret = (struct wisp_lattice_secret_task){
        .lattice = resolve->lattice,
        .reference = json_incref(reference),
        .claims = json_incref(resolve->claims),
        .application = resolve->application,
        .on_done = on_secret,
    };
    wisp_lattice_secret_begin(&resolve->secret);
}

static void look_for_secret(struct wisp_lattice_timer *timer, void *env)
{
    (void)timer;
    next_secret(env);
}

/* Secrets first, since they take time; configs as they are when all is there. */
static void next_secret(struct wisp_lattice_resolve *resolve)
{
    for (; resolve->next < json_array_size(resolve->names); resolve->next++) {
        const json_t *text = json_array_get(resolve->names, resolve->next);
        struct wisp_str name = {json_string_value(text), json_string_length(text)};
        if (!wisp_lattice_is_secret(name)) continue;
        struct wisp_lattice_record *record = wisp_lattice_record_find(resolve->lattice, WISP_LATTICE_CONFIG, name);
        if (record && record->value) {
            resolve->next++;
            begin_secret(resolve, record->value);
            return;
        }
        if (++resolve->tries < LOOKS_MAX) {
            wisp_lattice_timer_arm(resolve->lattice, &resolve->wait, LOOK_AGAIN_MS, look_for_secret, resolve);
            return;
        }
        struct wisp_err err = {0};
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "secret reference `%.*s` not found", WISP_STR_ARG(name));
        finish(resolve, &err);
        return;
    }
    resolve_config(resolve);
}

void wisp_lattice_resolve_begin(struct wisp_lattice *lattice, struct wisp_lattice_resolve *resolve, json_t *names,
                                json_t *claims, const json_t *annotations, bool may_miss,
                                void (*on_done)(struct wisp_lattice_resolve *resolve, const struct wisp_err *err,
                                                void *env),
                                void *env)
{
    struct wisp_str application = wisp_json_str(annotations, "wasmcloud.dev/appspec");
    wisp_lattice_resolve_deinit(resolve);
    *resolve = (struct wisp_lattice_resolve){
        .lattice = lattice,
        .names = json_incref(names),
        .claims = json_incref(claims),
        .application = application.len ? wisp_mem_dup(application) : NULL,
        .may_miss = may_miss,
        .secrets = json_object(),
        .on_done = on_done,
        .env = env,
    };
    next_secret(resolve);
}

void wisp_lattice_resolve_deinit(struct wisp_lattice_resolve *resolve)
{
    if (!resolve->lattice) return;
    wisp_lattice_timer_disarm(resolve->lattice, &resolve->wait);
    wisp_lattice_secret_deinit(&resolve->secret);
    json_decref(resolve->names);
    json_decref(resolve->claims);
    json_decref(resolve->config);
    json_decref(resolve->secrets);
    free(resolve->application);
    *resolve = (struct wisp_lattice_resolve){0};
}
