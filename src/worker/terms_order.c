/* SPDX-License-Identifier: Apache-2.0 */
/* Terms as orders say them. */
#include "worker/worker_priv.h"

#include "base/log.h"
#include "nkeys/nkeys.h"

static void on_guest_output(struct wisp_str line, bool is_stderr, void *env)
{
    const struct wisp_wasi_app *app = env;
    WISP_LOG(INFO, "guest", is_stderr ? "stderr" : "stdout", WISP_BYTES("line", line),
             WISP_BYTES("component", app->component_id));
}

static struct wisp_str text_of(const json_t *value)
{
    return (struct wisp_str){json_string_value(value), json_string_length(value)};
}

static int read_config(struct wisp_wasi_app *app, const json_t *config, struct wisp_err *err)
{
    struct wisp_wasi_env *entries = WISP_NEW_ARRAY(&app->arena, struct wisp_wasi_env, json_object_size(config));
    const char *key;
    json_t *value;
    app->config = entries;
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        if (!json_is_string(value))
            return wisp_err_set(err, WISP_ERR_INVALID, "the value of config `%s` is no text", key);
        entries[app->n_config++] = (struct wisp_wasi_env){wisp_str_from(key), text_of(value)};
    }
    return 0;
}

static int read_secret(struct wisp_wasi_app *app, const char *name, const json_t *value,
                       struct wisp_wasi_secret *ret_secret, struct wisp_err *err)
{
    struct wisp_str text = text_of(value);
    ret_secret->name = wisp_str_from(name);
    ret_secret->is_bytes = json_is_object(value);
    if (ret_secret->is_bytes) {
        WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
        int r = wisp_base64_decode(wisp_json_str(value, "bytes"), &bytes, err);
        text = wisp_arena_str(&app->arena, wisp_buf_str(&bytes));
        if (bytes.len) explicit_bzero(bytes.data, bytes.len);
        if (r < 0) return wisp_err_set(err, WISP_ERR_INVALID, "secret `%s` is not in base64", name);
    } else if (!json_is_string(value)) {
        return wisp_err_set(err, WISP_ERR_INVALID, "secret `%s` is neither text nor bytes", name);
    }
    ret_secret->value = (struct wisp_bytes){(const uint8_t *)text.ptr, text.len};
    return 0;
}

static int read_secrets(struct wisp_wasi_app *app, const json_t *secrets, struct wisp_err *err)
{
    struct wisp_wasi_secret *entries = WISP_NEW_ARRAY(&app->arena, struct wisp_wasi_secret, json_object_size(secrets));
    const char *key;
    json_t *value;
    app->secrets = entries;
    json_object_foreach((json_t *)(uintptr_t)secrets, key, value)
    {
        int r = read_secret(app, key, value, &entries[app->n_secrets], err);
        if (r < 0) return r;
        app->n_secrets++;
    }
    return 0;
}

static int read_links(struct wisp_wasi_app *app, const json_t *links, struct wisp_err *err)
{
    size_t n = json_array_size(links);
    struct wisp_wasi_link *entries = WISP_NEW_ARRAY(&app->arena, struct wisp_wasi_link, n);
    app->links = entries;
    for (; app->n_links < n; app->n_links++) {
        const json_t *link = json_array_get(links, app->n_links);
        struct wisp_wasi_link *entry = &entries[app->n_links];
        *entry = (struct wisp_wasi_link){wisp_json_str(link, "name"), wisp_json_str(link, "interface"),
                                         wisp_json_str(link, "target")};
        if (!entry->name.len || !entry->interface.len || !entry->target.len)
            return wisp_err_set(err, WISP_ERR_INVALID, "a link without name, interface or target");
    }
    return 0;
}

static int read_app(struct wisp_wasi_app **ret_app, const json_t *order, struct wisp_err *err)
{
    struct wisp_wasi_app parts = {.component_id = wisp_json_str(order, "id")};
    int r = read_config(&parts, json_object_get(order, "config"), err);
    if (r == 0) r = read_secrets(&parts, json_object_get(order, "secrets"), err);
    if (r == 0) r = read_links(&parts, json_object_get(order, "links"), err);
    if (r == 0) r = wisp_wasi_app_new(ret_app, &parts, err);
    for (size_t i = 0; i < parts.n_secrets; i++) {
        const struct wisp_wasi_secret *secret = &parts.secrets[i];
        if (secret->is_bytes) explicit_bzero((void *)(uintptr_t)secret->value.ptr, secret->value.len);
    }
    wisp_arena_deinit(&parts.arena);
    return r;
}

/* Without it a policy service could not be asked about the component's calls. */
static int read_policy_target(json_t **ret_target, const struct wisp_worker *worker, const json_t *order,
                              struct wisp_err *err)
{
    if (!worker->policy) return 0;
    int r = wisp_json_parse(wisp_json_str(order, "policy_target"), ret_target, err);
    if (r == 0 && !json_is_object(*ret_target)) r = wisp_err_set(err, WISP_ERR_INVALID, "it is no object");
    return r < 0 ? wisp_err_wrap(err, "policy_target") : 0;
}

static uint32_t number_of(const json_t *order, const char *key)
{
    uint64_t number = wisp_json_u64(order, key, 0);
    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

int wisp_terms_from_order(struct wisp_terms **ret_terms, struct wisp_worker *worker, const json_t *order,
                          struct wisp_err *err)
{
    /* What components of this platform have always been told. */
    static const struct wisp_str arguments[] = {WISP_STR_INIT("main.wasm")};
    struct wisp_wasi_app *app;
    WISP_CLEANUP_JSON json_t *policy_target = NULL;
    int r = read_policy_target(&policy_target, worker, order, err);
    if (r == 0) r = read_app(&app, order, err);
    if (r < 0) return r;
    const struct wisp_worker_limits limits = {
        .memory_bytes_max = wisp_json_u64(order, "memory_bytes_max", 0),
        .timeout_ms = wisp_json_u64(order, "timeout_ms", 0),
        .instances_max = number_of(order, "instances_max"),
        .queue_max = number_of(order, "queue_max"),
        .body_bytes_max = wisp_json_u64(order, "body_bytes_max", 0),
    };
    struct wisp_surroundings surroundings = {
        .config = {.args = arguments,
                   .n_args = WISP_COUNT(arguments),
                   .stdin_fd = -1,
                   .stdout_fd = -1,
                   .stderr_fd = -1,
                   .on_output = on_guest_output,
                   .on_output_env = app},
    };
    *ret_terms = wisp_terms_new(worker, &limits, &surroundings, app);
    (*ret_terms)->policy_target = WISP_TAKE(policy_target);
    return 0;
}
