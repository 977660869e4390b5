/* SPDX-License-Identifier: Apache-2.0 */
/* Shared keys (learn.microsoft.com, "Authorize with Shared Key"). */
#include "capability/blobstore/azure_priv.h"
#include "nkeys/nkeys.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static void append_header(const struct wisp_azure_to_sign *what, const char *name, struct wisp_buf *out)
{
    for (size_t i = 0; i < what->headers->n; i++)
        if (strcmp(what->headers->list[i].name, name) == 0) wisp_buf_printf(out, "%s", what->headers->list[i].value);
    wisp_buf_append_char(out, '\n');
}

static void append_params(struct wisp_str query, struct wisp_buf *out)
{
    while (query.len) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        struct wisp_str param, rest = {0}, name, value;
        if (!wisp_str_split(query, '&', &param, &rest)) param = query;
        if (!wisp_str_split(param, '=', &name, &value)) name = param, value = (struct wisp_str){0};
        wisp_buf_printf(out, "\n%.*s:", WISP_STR_ARG(name));
        wisp_buf_append_str(out, wisp_rest_decode(wisp_arena_str(&arena, value)));
        query = rest;
    }
}

static void append_text(const struct wisp_azure_config *config, const struct wisp_azure_to_sign *what,
                        struct wisp_buf *out)
{
    static const char *const after_length[] = {"content-md5",         "content-type", "date",
                                               "if-modified-since",   "if-match",     "if-none-match",
                                               "if-unmodified-since", "range"};
    wisp_buf_printf(out, "%s\n", what->method);
    append_header(what, "content-encoding", out);
    append_header(what, "content-language", out);
    if (what->body_size) wisp_buf_printf(out, "%zu", what->body_size);
    wisp_buf_append_char(out, '\n');
    for (size_t i = 0; i < WISP_COUNT(after_length); i++) append_header(what, after_length[i], out);
    for (size_t i = 0; i < what->headers->n; i++)
        if (strncmp(what->headers->list[i].name, "x-ms-", 5) == 0)
            wisp_buf_printf(out, "%s:%s\n", what->headers->list[i].name, what->headers->list[i].value);
    wisp_buf_printf(out, "/%s", config->account);
    wisp_buf_append_str(out, what->path);
    append_params(what->query, out);
}

void wisp_azure_sign(const struct wisp_azure_config *config, const struct wisp_azure_to_sign *what,
                     struct wisp_buf *out)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    uint8_t digest[32];
    append_text(config, what, &text);
    if (!HMAC(EVP_sha256(), config->key.ptr, (int)config->key.len, (const uint8_t *)text.data, text.len, digest, NULL))
        wisp_mem_out(0);
    wisp_buf_printf(out, "SharedKey %s:", config->account);
    wisp_base64_encode((struct wisp_str){(const char *)digest, sizeof digest}, out);
}
