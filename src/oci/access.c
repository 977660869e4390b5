/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/client_priv.h"

#include "nkeys/nkeys.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PASSES_MAX = 256,
    ANSWER_MAX = 1 << 20,
    ANSWER_TIMEOUT_MS = 30 * 1000,
    EARLY_MS = 10 * 1000, /* a pass is not used in its last seconds */
};

static char *copy(const char *text) { return text ? wisp_mem_dup(wisp_str_from(text)) : NULL; }

/* --- passes --- */

static void free_pass(struct wisp_oci_pass *pass)
{
    free(pass->key);
    wisp_mem_wipe(pass->header);
    free(pass);
}

/* "registry/repository" */
static char *key_of(const struct wisp_oci_reference *reference)
{
    WISP_CLEANUP_BUF struct wisp_buf key = {0};
    wisp_buf_printf(&key, "%s/%s", reference->registry, reference->repository);
    return wisp_mem_dup(wisp_buf_str(&key));
}

const char *wisp_oci_pass_find(struct wisp_oci_client *client, const struct wisp_oci_reference *reference)
{
    WISP_CLEANUP_FREE char *key = key_of(reference);
    for (struct wisp_oci_pass *pass = client->passes; pass; pass = pass->next)
        if (pass->expires_ms > uv_now(client->loop) && strcmp(pass->key, key) == 0) return pass->header;
    return NULL;
}

/* Those for which `prefix` is the beginning of the key, up to its end or a slash. */
static void drop_passes(struct wisp_oci_client *client, const char *prefix)
{
    size_t n = prefix ? strlen(prefix) : 0;
    for (struct wisp_oci_pass **link = &client->passes; *link;) {
        struct wisp_oci_pass *pass = *link;
        bool fits = !prefix || (strncmp(pass->key, prefix, n) == 0 && (pass->key[n] == '/' || !pass->key[n]));
        if (!fits) {
            link = &pass->next;
            continue;
        }
        *link = pass->next;
        free_pass(pass);
    }
}

void wisp_oci_passes_drop(struct wisp_oci_client *client, const char *registry) { drop_passes(client, registry); }

static void add_pass(struct wisp_oci_client *client, const struct wisp_oci_reference *reference, const char *header,
                     uint64_t valid_ms)
{
    struct wisp_oci_pass *pass = wisp_mem_calloc(1, sizeof *pass);
    pass->key = key_of(reference);
    pass->header = copy(header);
    pass->expires_ms = uv_now(client->loop) + (valid_ms > 2 * EARLY_MS ? valid_ms - EARLY_MS : valid_ms / 2);
    drop_passes(client, pass->key);
    pass->next = client->passes;
    client->passes = pass;
    struct wisp_oci_pass **link = &client->passes;
    for (unsigned n = 0; *link && n < PASSES_MAX; n++) link = &(*link)->next;
    if (*link) {
        free_pass(*link); /* the oldest, and the last */
        *link = NULL;
    }
}

/* --- accounts --- */

static void free_account(struct wisp_oci_account *account)
{
    free(account->registry);
    wisp_mem_wipe(account->user);
    wisp_mem_wipe(account->password);
    wisp_mem_wipe(account->token);
    free(account);
}

void wisp_oci_accounts_free(struct wisp_oci_client *client)
{
    for (struct wisp_oci_account *account; (account = client->accounts);) {
        client->accounts = account->next;
        free_account(account);
    }
}

static struct wisp_oci_account **find_account(struct wisp_oci_client *client, const char *registry)
{
    struct wisp_oci_account **link = &client->accounts;
    while (*link && strcasecmp((*link)->registry, registry) != 0) link = &(*link)->next;
    return link;
}

void wisp_oci_client_set_credential(struct wisp_oci_client *client, const struct wisp_oci_credential *credential)
{
    struct wisp_oci_account **link = find_account(client, credential->registry), *old = *link;
    struct wisp_oci_account *account = wisp_mem_calloc(1, sizeof *account);
    *account = (struct wisp_oci_account){
        .next = old ? old->next : NULL,
        .registry = copy(credential->registry),
        .user = copy(credential->user),
        .password = copy(credential->password),
        .token = copy(credential->token),
    };
    *link = account;
    if (old) free_account(old);
    wisp_oci_passes_drop(client, credential->registry);
}

/* --- from a challenge to a pass --- */

/* What is known about who we are, while a pass is being got. */
struct login_job {
    struct wisp_oci_job job;
    char *registry;
    struct wisp_oci_login login;
    struct wisp_oci_challenge challenge; /* of the download's arena */
    struct wisp_err problem;
};

static void use(struct wisp_oci_download *download, const char *scheme, const char *value, uint64_t valid_ms)
{
    WISP_CLEANUP_WIPE struct wisp_buf header = {0};
    wisp_buf_printf(&header, "%s %s", scheme, value);
    wisp_buf_append_char(&header, '\0');
    for (size_t i = 0; i + 1 < header.len; i++)
        if (header.data[i] < ' ' || header.data[i] == 0x7f) header.data[i] = '?'; /* no second header */
    add_pass(download->client, &download->reference, header.data, valid_ms);
    download->again(download);
}

static void basic_value(const struct wisp_oci_login *login, struct wisp_buf *out)
{
    WISP_CLEANUP_WIPE struct wisp_buf pair = {0};
    wisp_buf_printf(&pair, "%s:%s", login->user, login->password ? login->password : "");
    wisp_base64_encode(wisp_buf_str(&pair), out);
    wisp_buf_append_char(out, '\0');
}

static void deny(struct wisp_oci_download *download, const struct wisp_err *problem, const char *text)
{
    struct wisp_err err = {0};
    bool has_problem = problem && problem->kind;
    wisp_err_set(&err, WISP_ERR_DENIED, "%s%s%s%s", text, has_problem ? " (" : "", has_problem ? problem->text : "",
                 has_problem ? ")" : "");
    wisp_oci_download_finish(download, NULL, &err);
}

static int on_token_bytes(const struct wisp_web_response *response, struct wisp_str bytes, void *env,
                          struct wisp_err *err)
{
    struct wisp_oci_download *download = env;
    (void)response;
    if (download->body.len + bytes.len > ANSWER_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "token server's answer has more than %d bytes", ANSWER_MAX);
    wisp_buf_append_str(&download->body, bytes);
    return 0;
}

static void take_token(struct wisp_oci_download *download)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const char *token;
    uint64_t valid_ms;
    struct wisp_err err = {0};
    int r = wisp_oci_token_parse(&arena, wisp_buf_str(&download->body), &token, &valid_ms, &err);
    wisp_buf_wipe(&download->body);
    if (r < 0) {
        wisp_oci_download_finish(download, NULL, &err);
        return;
    }
    use(download, "Bearer", token, valid_ms);
}

static void on_token(const struct wisp_web_response *response, const struct wisp_err *failure, void *env)
{
    struct wisp_oci_download *download = env;
    struct wisp_err err = {0};
    download->request = NULL;
    if (failure) {
        err = *failure;
        wisp_err_wrap(&err, "token server");
        wisp_oci_download_retry(download, &err, 0);
    } else if (response->status == 200) {
        take_token(download);
    } else if (response->status == 429 || response->status >= 500) {
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "token server answered %ld", response->status);
        wisp_oci_download_retry(download, &err, response->retry_after_ms);
    } else {
        wisp_err_set(&err, WISP_ERR_DENIED, "token server refused the credentials, or their absence (%ld)",
                     response->status);
        wisp_oci_download_finish(download, NULL, &err);
    }
}

static void ask_for_token(struct wisp_oci_download *download, const struct wisp_oci_challenge *challenge,
                          const struct wisp_oci_login *login)
{
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    WISP_CLEANUP_WIPE struct wisp_buf header = {0};
    struct wisp_err err = {0};
    const char *scope = wisp_arena_printf(&download->arena, "repository:%s:pull", download->reference.repository);
    bool is_insecure = wisp_oci_client_is_insecure(download->client, download->reference.registry);
    if (wisp_oci_token_url(challenge, scope, is_insecure, &url, &err) < 0) {
        wisp_oci_download_finish(download, NULL, &err);
        return;
    }
    wisp_buf_append_char(&url, '\0');
    if (login->user) {
        wisp_buf_append_str(&header, WISP_STR("Basic "));
        basic_value(login, &header);
    }
    download->body.len = 0;
    download->request = wisp_web_start(download->client->web, &(struct wisp_web_ask){
                                                                  .url = url.data,
                                                                  .authorization = header.data,
                                                                  .timeout_ms = ANSWER_TIMEOUT_MS,
                                                                  .on_body = on_token_bytes,
                                                                  .on_done = on_token,
                                                                  .env = download,
                                                              });
}

static void answer(struct wisp_oci_download *download, const struct wisp_oci_challenge *challenge,
                   const struct wisp_oci_login *login, const struct wisp_err *problem)
{
    if (challenge->scheme == WISP_OCI_AUTH_BEARER) {
        ask_for_token(download, challenge, login);
    } else if (challenge->scheme == WISP_OCI_AUTH_BASIC && login->user) {
        WISP_CLEANUP_WIPE struct wisp_buf value = {0};
        basic_value(login, &value);
        use(download, "Basic", value.data, UINT32_MAX);
    } else if (challenge->scheme == WISP_OCI_AUTH_BASIC) {
        deny(download, problem, "registry wants credentials, and there are none for it");
    } else {
        deny(download, problem, "registry wants to be asked in a way that is not supported");
    }
}

static void run_login(struct wisp_oci_job *job)
{
    struct login_job *login = (struct login_job *)(void *)job;
    if (wisp_oci_docker_login(login->registry, &login->login, &login->problem) < 0)
        wisp_err_wrap(&login->problem, "credentials");
}

static void login_done(struct wisp_oci_job *job)
{
    struct login_job *login = (struct login_job *)(void *)job;
    if (job->download) answer(job->download, &login->challenge, &login->login, &login->problem);
    wisp_oci_login_deinit(&login->login);
    free(login->registry);
    free(login);
}

static void look_up(struct wisp_oci_download *download, const struct wisp_oci_challenge *challenge)
{
    struct login_job *login = wisp_mem_calloc(1, sizeof *login);
    login->job.run = run_login;
    login->job.done = login_done;
    login->registry = copy(download->reference.registry);
    login->challenge = *challenge;
    wisp_oci_job_start(&login->job, download);
}

void wisp_oci_download_authorize(struct wisp_oci_download *download, struct wisp_str header)
{
    struct wisp_oci_client *client = download->client;
    WISP_CLEANUP_FREE char *key = key_of(&download->reference);
    drop_passes(client, key);
    if (download->has_authorized) {
        deny(download, NULL, "registry refuses, also with credentials");
        return;
    }
    download->has_authorized = true;
    /* Its values are views of the header, which goes with the response. */
    struct wisp_oci_challenge challenge =
        wisp_oci_challenge_parse(&download->arena, wisp_arena_str(&download->arena, header));
    const struct wisp_oci_account *account = *find_account(client, download->reference.registry);
    if (account && account->token)
        use(download, "Bearer", account->token, UINT32_MAX);
    else if (account)
        answer(download, &challenge, &(struct wisp_oci_login){account->user, account->password}, NULL);
    else if (client->options.use_docker_config)
        look_up(download, &challenge);
    else
        answer(download, &challenge, &(struct wisp_oci_login){0}, NULL);
}
