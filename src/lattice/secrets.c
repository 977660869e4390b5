/* SPDX-License-Identifier: Apache-2.0 */
/* One secret: from a backend of this host itself, in the clear; or from one on the bus: its key (asked for once), then
 * a sealed request and a sealed answer. */
#include "lattice/lattice_priv.h"

#include <sodium.h>
#include <stdlib.h>

enum { BACKEND_TIMEOUT_MS = 10000 };

struct backend {
    struct wisp_table_entry entry;
    uint8_t key[32];
};

static void finish(struct wisp_lattice_secret_task *task, json_t *value, const struct wisp_err *err)
{
    task->on_done(task, value, err);
}

static void fail(struct wisp_lattice_secret_task *task, enum wisp_err_kind kind, const char *text)
{
    struct wisp_err err = {0};
    wisp_err_set(&err, kind, "%s", text);
    finish(task, NULL, &err);
}

void wisp_lattice_secret_deinit(struct wisp_lattice_secret_task *task)
{
    if (!task->lattice) return;
    wisp_lattice_call_forget(task->lattice, &task->call);
    wisp_nkey_wipe(&task->key);
    json_decref(task->reference);
    json_decref(task->claims);
    *task = (struct wisp_lattice_secret_task){0};
}

void wisp_lattice_backends_deinit(struct wisp_lattice *lattice)
{
    for (struct backend *backend; (backend = wisp_table_first(&lattice->backends));) {
        wisp_table_remove(&lattice->backends, &backend->entry);
        free(backend);
    }
    wisp_table_deinit(&lattice->backends);
}

static void forget_backend(struct wisp_lattice *lattice, struct wisp_str name)
{
    struct backend *backend = wisp_table_get(&lattice->backends, name);
    if (!backend) return;
    wisp_table_remove(&lattice->backends, &backend->entry);
    free(backend);
}

static struct wisp_lattice_action *request(struct wisp_lattice_secret_task *task, const char *verb)
{
    struct wisp_lattice *lattice = task->lattice;
    struct wisp_str backend = wisp_json_str(task->reference, "backend");
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_REQUEST);
    action->subject = wisp_str_from(
        wisp_arena_printf(&lattice->arena, "%s.v1alpha1.%.*s.%s", lattice->secrets_topic, WISP_STR_ARG(backend), verb));
    action->timeout_ms = BACKEND_TIMEOUT_MS;
    return action;
}

/* --- the secret itself --- */

static bool are_bytes(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *byte = json_array_get(list, i);
        if (!json_is_integer(byte) || json_integer_value(byte) < 0 || json_integer_value(byte) > 255) return false;
    }
    return json_is_array(list);
}

static int parse_secret(struct wisp_str plain, json_t **ret_value, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *reply = NULL;
    if (wisp_json_parse(plain, &reply, NULL) < 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "the backend's answer is not JSON"); /* and is never quoted */
    const json_t *secret = json_object_get(reply, "secret");
    json_t *text = json_object_get(secret, "string_secret"), *bytes = json_object_get(secret, "binary_secret");
    if (json_is_string(text))
        *ret_value = json_pack("{s:s, s:O}", "kind", "String", "value", text);
    else if (are_bytes(bytes))
        *ret_value = json_pack("{s:s, s:O}", "kind", "Bytes", "value", bytes);
    else
        return wisp_err_set(err, WISP_ERR_INVALID, "the backend's answer has neither a string nor bytes");
    return 0;
}

/* {"error": "Name"} or {"error": {"Name": "text"}} */
static void describe_error(struct wisp_str payload, struct wisp_err *err, bool *ret_is_key_error)
{
    WISP_CLEANUP_JSON json_t *reply = NULL;
    *ret_is_key_error = false;
    if (wisp_json_parse(payload, &reply, NULL) < 0) {
        wisp_err_set(err, WISP_ERR_INVALID, "the backend's answer is neither sealed nor an error");
        return;
    }
    json_t *error = json_object_get(reply, "error");
    const char *name = json_is_string(error) ? json_string_value(error) : json_object_iter_key(json_object_iter(error));
    const json_t *detail = name ? json_object_get(error, name) : NULL;
    enum wisp_err_kind kind = WISP_ERR_DENIED;
    if (name && strcmp(name, "SecretNotFound") == 0) kind = WISP_ERR_NOT_FOUND;
    if (name && strcmp(name, "UpstreamError") == 0) kind = WISP_ERR_UNAVAILABLE;
    *ret_is_key_error = name && (strcmp(name, "DecryptionError") == 0 || strcmp(name, "InvalidXKey") == 0);
    wisp_err_set(err, kind, "the backend says %s%s%s", name ? name : "no, without a reason", detail ? ": " : "",
                 json_is_string(detail) ? json_string_value(detail) : "");
}

static void on_secret(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_secret_task *task = env;
    struct wisp_err err = done->err;
    if (err.kind) {
        finish(task, NULL, &err);
        return;
    }
    struct wisp_str sender_text = wisp_str_trim(wisp_bus_header_get(&done->reply, "Server-Response-Xkey"));
    bool is_key_error = false;
    if (!sender_text.len) {
        describe_error(done->reply.payload, &err, &is_key_error);
        /* A backend that was started again has another key than the one remembered. */
        if (is_key_error && !task->has_refetched) {
            task->has_refetched = true;
            forget_backend(task->lattice, wisp_json_str(task->reference, "backend"));
            wisp_lattice_secret_begin(task);
            return;
        }
        finish(task, NULL, &err);
        return;
    }
    WISP_CLEANUP_BUF struct wisp_buf plain = {0};
    enum wisp_nkey_kind kind;
    uint8_t sender[32];
    json_t *value = NULL;
    int r = wisp_nkey_parse_public(sender_text, &kind, sender, &err);
    if (r == 0 && kind != WISP_NKEY_CURVE) r = wisp_err_set(&err, WISP_ERR_INVALID, "the backend's key is no xkey");
    if (r == 0) r = wisp_xkey_open(&task->key, sender, done->reply.payload, &plain, &err);
    if (r == 0) r = parse_secret(wisp_buf_str(&plain), &value, &err);
    if (plain.len) sodium_memzero(plain.data, plain.len);
    finish(task, value, r < 0 ? &err : NULL);
}

static json_t *request_json(struct wisp_lattice_secret_task *task)
{
    const json_t *reference = task->reference;
    json_t *json = json_object();
    static const char *const optional[] = {"field", "version"};
    json_object_set_new(json, "key", wisp_json_text(wisp_json_str(reference, "key")));
    for (size_t i = 0; i < WISP_COUNT(optional); i++) {
        struct wisp_str text = wisp_json_str(reference, optional[i]);
        json_object_set_new(json, optional[i], text.len ? wisp_json_text(text) : json_null());
    }
    json_t *application = json_object();
    json_object_set_new(application, "name", task->application ? json_string(task->application) : json_null());
    json_object_set_new(application, "policy", wisp_json_text(wisp_json_str(reference, "policy")));
    json_t *context = json_object();
    json_object_set_new(context, "entity_jwt", wisp_json_text(wisp_json_str(task->claims, "token")));
    json_object_set_new(context, "host_jwt", json_string(task->lattice->host_token));
    json_object_set_new(context, "application", application);
    json_object_set_new(json, "context", context);
    return json;
}

static void ask_secret(struct wisp_lattice_secret_task *task, const uint8_t backend_key[32])
{
    struct wisp_lattice *lattice = task->lattice;
    WISP_CLEANUP_BUF struct wisp_buf plain = {0}, sealed = {0};
    WISP_CLEANUP_JSON json_t *json = request_json(task);
    char public[WISP_NKEY_PUBLIC_LEN + 1];
    wisp_lattice_make_key(lattice, WISP_NKEY_CURVE, &task->key);
    wisp_nkey_public_text(&task->key, public);
    wisp_json_print(json, &plain);
    wisp_xkey_seal(&task->key, backend_key, wisp_buf_str(&plain), &sealed);
    struct wisp_lattice_action *action = request(task, "get");
    struct wisp_bus_header *header = WISP_NEW(&lattice->arena, struct wisp_bus_header);
    *header =
        (struct wisp_bus_header){WISP_STR("WasmCloud-Host-Xkey"), wisp_lattice_keep(lattice, wisp_str_from(public))};
    action->headers = header;
    action->n_headers = 1;
    action->payload = wisp_lattice_keep(lattice, wisp_buf_str(&sealed));
    wisp_lattice_call_begin(lattice, &task->call, action, on_secret, task);
}

/* --- the backend's key --- */

static void on_backend_key(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_secret_task *task = env;
    struct wisp_str name = wisp_json_str(task->reference, "backend");
    struct wisp_err err = done->err;
    enum wisp_nkey_kind kind;
    uint8_t key[32];
    if (!err.kind && wisp_nkey_parse_public(wisp_str_trim(done->reply.payload), &kind, key, &err) == 0 &&
        kind != WISP_NKEY_CURVE)
        wisp_err_set(&err, WISP_ERR_INVALID, "not an xkey");
    if (err.kind) {
        wisp_err_wrap(&err, "key of secrets backend `%.*s`", WISP_STR_ARG(name));
        finish(task, NULL, &err);
        return;
    }
    struct wisp_lattice *lattice = task->lattice;
    if (!wisp_table_get(&lattice->backends, name) && lattice->backends.count < WISP_LATTICE_BACKENDS_MAX) {
        struct backend *backend = wisp_mem_calloc(1, sizeof *backend);
        memcpy(backend->key, key, sizeof key);
        wisp_table_add(&lattice->backends, name, &backend->entry);
    }
    ask_secret(task, key);
}

/* --- backends of this host --- */

static bool is_own(const struct wisp_lattice *lattice, struct wisp_str backend)
{
    for (size_t i = 0; i < lattice->n_secret_backends; i++)
        if (wisp_str_is(backend, lattice->secret_backends[i])) return true;
    return false;
}

static json_t *value_of(struct wisp_str secret)
{
    if (wisp_str_is_utf8(secret)) return json_pack("{s:s, s:o}", "kind", "String", "value", wisp_json_text(secret));
    json_t *bytes = json_array();
    for (size_t i = 0; i < secret.len; i++) json_array_append_new(bytes, json_integer((uint8_t)secret.ptr[i]));
    return json_pack("{s:s, s:o}", "kind", "Bytes", "value", bytes);
}

static void on_own_secret(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env)
{
    (void)call;
    struct wisp_lattice_secret_task *task = env;
    struct wisp_err err = done->err;
    struct wisp_str backend = wisp_json_str(task->reference, "backend"), key = wisp_json_str(task->reference, "key");
    if (err.kind) wisp_err_wrap(&err, "key `%.*s` of backend `%.*s`", WISP_STR_ARG(key), WISP_STR_ARG(backend));
    finish(task, err.kind ? NULL : value_of(done->secret), err.kind ? &err : NULL);
}

/* Without a token: whoever is told to run something here is trusted with what its owner has put there. */
static void ask_own(struct wisp_lattice_secret_task *task)
{
    struct wisp_lattice *lattice = task->lattice;
    const json_t *reference = task->reference;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_SECRET);
    action->secret = (struct wisp_lattice_secret_place){
        .backend = wisp_lattice_keep(lattice, wisp_json_str(reference, "backend")),
        .key = wisp_lattice_keep(lattice, wisp_json_str(reference, "key")),
        .field = wisp_lattice_keep(lattice, wisp_json_str(reference, "field")),
        .version = wisp_lattice_keep(lattice, wisp_json_str(reference, "version")),
    };
    wisp_lattice_call_begin(lattice, &task->call, action, on_own_secret, task);
}

/* --- what may be asked --- */

/* A token of a subject: nothing that could make another subject of it. */
static bool is_backend_name(struct wisp_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= WISP_LATTICE_ID_MAX;
}

static bool is_policy(struct wisp_str text)
{
    WISP_CLEANUP_JSON json_t *policy = NULL;
    return wisp_json_parse(text, &policy, NULL) == 0 && json_is_string(json_object_get(policy, "type")) &&
           json_is_object(json_object_get(policy, "properties"));
}

static const char *reason_against(const struct wisp_lattice_secret_task *task)
{
    static const char *const required[] = {"name", "type", "backend", "key", "policy"};
    if (!task->lattice->secrets_topic) return "this host has no secrets topic, and itself no backend of that name";
    if (!wisp_json_str(task->claims, "token").len) return "only signed components and providers may have secrets";
    for (size_t i = 0; i < WISP_COUNT(required); i++)
        if (!wisp_json_str(task->reference, required[i]).len)
            return "its reference lacks one of name, type, backend, key, policy";
    if (!is_backend_name(wisp_json_str(task->reference, "backend")))
        return "its backend's name is not letters, digits, - and _";
    if (!is_policy(wisp_json_str(task->reference, "policy"))) return "its policy is not JSON with type and properties";
    return NULL;
}

void wisp_lattice_secret_begin(struct wisp_lattice_secret_task *task)
{
    struct wisp_str name = wisp_json_str(task->reference, "backend");
    if (is_own(task->lattice, name) && wisp_json_str(task->reference, "name").len) {
        ask_own(task);
        return;
    }
    const char *reason = reason_against(task);
    if (reason) {
        fail(task, WISP_ERR_DENIED, reason);
        return;
    }
    const struct backend *backend = wisp_table_get(&task->lattice->backends, name);
    if (backend)
        ask_secret(task, backend->key);
    else
        wisp_lattice_call_begin(task->lattice, &task->call, request(task, "server_xkey"), on_backend_key, task);
}

/* --- for providers --- */

json_t *wisp_lattice_secrets_seal(struct wisp_lattice *lattice, const json_t *secrets, const struct wisp_nkey *to)
{
    if (!json_object_size(secrets)) return json_null();
    WISP_CLEANUP_BUF struct wisp_buf plain = {0}, sealed = {0};
    wisp_json_print(secrets, &plain);
    wisp_xkey_seal(&lattice->xkey, to->public, wisp_buf_str(&plain), &sealed);
    sodium_memzero(plain.data, plain.len);
    json_t *bytes = json_array();
    for (size_t i = 0; i < sealed.len; i++) json_array_append_new(bytes, json_integer((uint8_t)sealed.data[i]));
    return bytes;
}
