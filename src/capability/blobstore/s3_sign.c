/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Signature Version 4 (docs.aws.amazon.com, "Authenticating Requests: Using the Authorization Header"). libcurl has
 * it too, but older ones sort no parameters and sign no session token. */
#include "capability/blobstore/s3_priv.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

static void hex(const uint8_t digest[32], char out[65])
{
    for (size_t i = 0; i < 32; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void wisp_s3_hash(struct wisp_str bytes, char out[65])
{
    uint8_t digest[32];
    if (!EVP_Digest(bytes.len ? bytes.ptr : "", bytes.len, digest, NULL, EVP_sha256(), NULL)) wisp_mem_out(0);
    hex(digest, out);
}

void wisp_s3_date(time_t now, char out[17])
{
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm);
}

static bool is_signed(const char *name) { return strncmp(name, "x-amz-", 6) == 0; }

static void append_signed_names(const struct wisp_s3_to_sign *what, struct wisp_buf *out)
{
    wisp_buf_append_str(out, WISP_STR("host"));
    for (size_t i = 0; i < what->n_headers; i++)
        if (is_signed(what->headers[i].name)) wisp_buf_printf(out, ";%s", what->headers[i].name);
}

static void hash_request(const struct wisp_s3_to_sign *what, char out[65])
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_buf_printf(&text, "%s\n", what->method);
    wisp_buf_append_str(&text, what->path);
    wisp_buf_append_char(&text, '\n');
    wisp_buf_append_str(&text, what->query);
    wisp_buf_printf(&text, "\nhost:%s\n", what->host);
    for (size_t i = 0; i < what->n_headers; i++)
        if (is_signed(what->headers[i].name))
            wisp_buf_printf(&text, "%s:%s\n", what->headers[i].name, what->headers[i].value);
    wisp_buf_append_char(&text, '\n');
    append_signed_names(what, &text);
    wisp_buf_printf(&text, "\n%s", what->payload_hash);
    wisp_s3_hash(wisp_buf_str(&text), out);
}

static void hmac(const uint8_t *key, size_t key_size, struct wisp_str text, uint8_t out[32])
{
    if (!HMAC(EVP_sha256(), key, (int)key_size, (const uint8_t *)text.ptr, text.len, out, NULL)) wisp_mem_out(0);
}

static void derive_key(const struct wisp_s3_config *config, struct wisp_str day, uint8_t key[32])
{
    struct wisp_buf secret = {0};
    wisp_buf_printf(&secret, "AWS4%s", config->secret_key);
    hmac((const uint8_t *)secret.data, secret.len, day, key);
    hmac(key, 32, wisp_str_from(config->region), key);
    hmac(key, 32, WISP_STR("s3"), key);
    hmac(key, 32, WISP_STR("aws4_request"), key);
    OPENSSL_cleanse(secret.data, secret.len);
    wisp_buf_deinit(&secret);
}

void wisp_s3_sign(const struct wisp_s3_config *config, const struct wisp_s3_to_sign *what, struct wisp_buf *out)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    char date[17], request_hash[65], signature[65];
    uint8_t key[32], digest[32];
    wisp_s3_date(what->now, date);
    hash_request(what, request_hash);
    wisp_buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/s3/aws4_request\n%s", date, date, config->region,
                    request_hash);
    derive_key(config, (struct wisp_str){date, 8}, key);
    hmac(key, sizeof key, wisp_buf_str(&text), digest);
    hex(digest, signature);
    OPENSSL_cleanse(key, sizeof key);
    wisp_buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/s3/aws4_request,SignedHeaders=", config->access_key,
                    date, config->region);
    append_signed_names(what, out);
    wisp_buf_printf(out, ",Signature=%s", signature);
}
