/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/vault_wire.h"
#include "host/secrets_priv.h"

#include <fcntl.h>
#include <stdlib.h>

enum {
    TIMEOUT_MS = 10 * 1000,
    BODY_MAX = 2 * WISP_SECRETS_SIZE_MAX, /* all fields of a secret, and what Vault says about it */
    PATH_LEN_MAX = 1024,
};

struct ask {
    struct wisp_secrets *secrets;
    struct wisp_link all; /* in secrets->asks */
    struct wisp_web_request *request;
    struct wisp_buf received;
    char *field;
    wisp_secrets_on_done *on_done;
    void *env;
};

static void free_ask(struct ask *ask)
{
    wisp_ring_remove(&ask->all);
    wisp_buf_wipe(&ask->received);
    free(ask->field);
    free(ask);
}

static int on_body(const struct wisp_web_response *response, struct wisp_str bytes, void *env, struct wisp_err *err)
{
    struct ask *ask = env;
    (void)response;
    if (!ask->received.data) wisp_buf_reserve(&ask->received, BODY_MAX); /* it must not move */
    if (bytes.len > BODY_MAX - ask->received.len)
        return wisp_err_set(err, WISP_ERR_LIMIT, "answer of Vault: more than %d KiB", BODY_MAX >> 10);
    wisp_buf_append_str(&ask->received, bytes);
    return 0;
}

static int read_answer(const struct ask *ask, long status, struct wisp_buf *value, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *fields = NULL;
    uint64_t version;
    int r = wisp_vault_read(status, wisp_buf_str(&ask->received), &fields, &version, err);
    if (r < 0) return r;
    if (!json_object_size(fields)) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "Vault has no such secret");
    return wisp_secrets_pick(fields, wisp_str_from(ask->field), value, err);
}

static void on_answer(const struct wisp_web_response *response, const struct wisp_err *failure, void *env)
{
    struct ask *ask = env;
    WISP_CLEANUP_WIPE struct wisp_buf value = {0};
    struct wisp_err err = {0};
    if (failure)
        err = *failure;
    else
        (void)!read_answer(ask, response->status, &value, &err);
    ask->on_done(wisp_buf_str(&value), err.kind ? &err : NULL, ask->env);
    free_ask(ask);
}

/* The file's, each time: whoever renews tokens puts new ones there. With a NUL at its end. */
static int read_token(const struct wisp_secrets *secrets, struct wisp_buf *token, struct wisp_err *err)
{
    WISP_CLEANUP_WIPE struct wisp_buf bytes = {0};
    int r = 0;
    if (secrets->vault_token)
        wisp_buf_append_str(token, wisp_str_trim(wisp_str_from(secrets->vault_token)));
    else if ((r = wisp_secrets_read_file(AT_FDCWD, secrets->vault_token_file, &bytes, err)) < 0)
        r = wisp_err_wrap(err, "token of Vault, `%s`", secrets->vault_token_file);
    else
        wisp_buf_append_str(token, wisp_str_trim(wisp_buf_str(&bytes)));
    wisp_buf_append_char(token, '\0');
    if (r == 0 && (token->len == 1 || strlen(token->data) + 1 != token->len || !wisp_vault_is_plain(token->data)))
        r = wisp_err_set(err, WISP_ERR_INVALID, "token of Vault: empty, or with characters that can't be");
    return r;
}

static int make_url(const struct wisp_secrets *secrets, const struct wisp_lattice_secret_place *place,
                    struct wisp_buf *url, struct wisp_err *err)
{
    wisp_buf_printf(url, "%s/v1/%s/data/", secrets->vault_url, secrets->vault_mount);
    if (place->key.len > PATH_LEN_MAX || !wisp_vault_append_path(place->key, url))
        return wisp_err_set(err, WISP_ERR_INVALID, "no path of a secret in Vault");
    for (size_t i = 0; i < place->version.len; i++)
        if (place->version.ptr[i] < '0' || place->version.ptr[i] > '9' || i == 18)
            return wisp_err_set(err, WISP_ERR_INVALID, "its version is no number");
    if (place->version.len) wisp_buf_printf(url, "?version=%.*s", WISP_STR_ARG(place->version));
    wisp_buf_append_char(url, '\0');
    return 0;
}

void wisp_secrets_vault_get(struct wisp_secrets *secrets, const struct wisp_lattice_secret_place *place,
                            wisp_secrets_on_done *on_done, void *env)
{
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    WISP_CLEANUP_WIPE struct wisp_buf token = {0};
    struct wisp_err err = {0};
    if (make_url(secrets, place, &url, &err) < 0 || read_token(secrets, &token, &err) < 0) {
        on_done((struct wisp_str){0}, &err, env);
    } else {
        struct ask *ask = wisp_mem_calloc(1, sizeof *ask);
        *ask = (struct ask){.secrets = secrets, .on_done = on_done, .env = env};
        ask->field = wisp_mem_dup(place->field.len ? place->field : WISP_STR("value"));
        wisp_ring_append(&secrets->asks, &ask->all);
        ask->request =
            wisp_web_start(secrets->web, &(struct wisp_web_ask){
                                             .url = url.data,
                                             .method = "GET",
                                             .accept = "application/json",
                                             .timeout_ms = TIMEOUT_MS,
                                             .headers = &(struct wisp_web_header){"X-Vault-Token", token.data},
                                             .n_headers = 1,
                                             .on_body = on_body,
                                             .on_done = on_answer,
                                             .env = ask,
                                         });
    }
}

/* --- life --- */

static int check(const struct wisp_secrets *secrets, struct wisp_err *err)
{
    const char *url = secrets->vault_url;
    if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) || !wisp_vault_is_plain(url))
        return wisp_err_set(err, WISP_ERR_USAGE, "flag `--secrets-vault`: `%s` is no URL of http or https", url);
    if (!*secrets->vault_mount || !wisp_vault_is_plain(secrets->vault_mount))
        return wisp_err_set(err, WISP_ERR_USAGE, "flag `--secrets-vault-mount`: `%s` can't be a mount",
                            secrets->vault_mount);
    if (!secrets->vault_token_file && !secrets->vault_token)
        return wisp_err_set(
            err, WISP_ERR_USAGE,
            "flag `--secrets-vault` needs --secrets-vault-token-file, or VAULT_TOKEN in the environment");
    return 0;
}

int wisp_secrets_vault_open(struct wisp_secrets *secrets, const struct wisp_secrets_options *options,
                            struct wisp_err *err)
{
    const struct wisp_web_options web = {
        .ca_paths = options->ca_paths, .n_ca_paths = options->n_ca_paths, .stall_timeout_ms = TIMEOUT_MS};
    const char *mount = options->vault_mount ? options->vault_mount : WISP_SECRETS_MOUNT;
    secrets->vault_url = wisp_mem_dup(wisp_str_from(options->vault_url));
    secrets->vault_mount = wisp_mem_dup(wisp_str_from(mount));
    if (options->vault_token_file) secrets->vault_token_file = wisp_mem_dup(wisp_str_from(options->vault_token_file));
    for (size_t n = strlen(secrets->vault_url); n && secrets->vault_url[n - 1] == '/'; n--)
        secrets->vault_url[n - 1] = '\0';
    int r = check(secrets, err);
    if (r == 0) r = wisp_web_new(&secrets->web, secrets->loop, &web, err);
    if (r == 0) secrets->backends[secrets->n_backends++] = "vault";
    return r;
}

void wisp_secrets_vault_close(struct wisp_secrets *secrets)
{
    WISP_RING_EACH(at, &secrets->asks)
    {
        struct ask *ask = WISP_OWNER(at, struct ask, all);
        wisp_web_cancel(ask->request);
        free_ask(ask);
    }
    if (secrets->web) wisp_web_free(secrets->web);
}
