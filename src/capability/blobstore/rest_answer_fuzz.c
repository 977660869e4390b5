/* SPDX-License-Identifier: Apache-2.0 */
/* What object stores and their links' settings say. The first byte chooses: pages of lists, the beginning of an upload,
 * settings as JSON, names that are encoded. Whatever a server says, the next request to it is one line of a URL. */
#include "base/json.h"
#include "capability/blobstore/azure_priv.h"
#include "capability/blobstore/s3_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_visible(struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~') abort();
}

static void call_deinit(struct wisp_rest_call *call)
{
    wisp_arena_deinit(&call->arena);
    wisp_buf_deinit(&call->path);
    wisp_buf_deinit(&call->query);
    wisp_buf_deinit(&call->answer);
}
#define CLEANUP_CALL __attribute__((cleanup(call_deinit)))

static void check_page(struct wisp_str answer,
                       int (*read)(struct wisp_rest_call *call, struct wisp_rest_page *page, struct wisp_err *err),
                       void (*ask)(struct wisp_rest_call *call, struct wisp_str token))
{
    CLEANUP_CALL struct wisp_rest_call call = {0}, next = {0};
    struct wisp_rest_page page = {0};
    struct wisp_err err;
    wisp_buf_append_str(&call.answer, answer);
    if (read(&call, &page, &err) < 0) return;
    if (page.names.len > WISP_REST_PAGE) abort();
    for (size_t i = 0; i < page.names.len; i++)
        if (page.names.ptr[i].len == 0 || !wisp_str_is_utf8(page.names.ptr[i])) abort();
    ask(&next, page.token);
    check_visible(wisp_buf_str(&next.query));
}

static void check_pages(struct wisp_str answer)
{
    check_page(answer, wisp_s3_read_page, wisp_s3_ask_page);
    check_page(answer, wisp_azure_read_page, wisp_azure_ask_page);
}

static void check_upload(struct wisp_str answer)
{
    CLEANUP_CALL struct wisp_rest_call call = {0}, part = {.etag = answer};
    struct wisp_rest_parts parts = {0};
    struct wisp_err err;
    wisp_buf_append_str(&call.answer, answer);
    if (wisp_s3_read_begun(&call, &parts, &err) == 0) {
        parts.n++;
        wisp_s3_ask_part(&part, &parts);
        check_visible(wisp_buf_str(&part.query));
    }
    (void)!wisp_s3_read_part(&part, &parts, &err);
    wisp_buf_deinit(&parts.list);
    wisp_arena_deinit(&parts.arena);
}

static void check_endpoint(const struct wisp_rest_endpoint *endpoint)
{
    check_visible(wisp_str_from(endpoint->origin));
    check_visible(wisp_str_from(endpoint->host));
    check_visible(wisp_str_from(endpoint->base_path));
}

static void check_settings(struct wisp_str text)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf authorization = {0};
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_settings settings = {0};
    struct wisp_s3_config s3;
    struct wisp_azure_config azure;
    struct wisp_err err;
    if (wisp_json_parse(text, &json, &err) < 0 || !json_is_object(json)) return;
    if (wisp_settings_read(&settings, json_object_get(json, "config"), json_object_get(json, "secrets"), &arena, &err) <
        0)
        return;
    if (wisp_s3_config_read(&settings, &arena, &s3, &err) == 0) {
        struct wisp_s3_to_sign what = {.method = "GET", .host = s3.endpoint.host, .payload_hash = ""};
        check_endpoint(&s3.endpoint);
        wisp_s3_bucket(&s3, WISP_STR("alias_a"));
        wisp_s3_sign(&s3, &what, &authorization);
        for (size_t i = 0; i < authorization.len; i++)
            if ((unsigned char)authorization.data[i] < ' ') abort();
    }
    if (wisp_azure_config_read(&settings, &arena, &azure, &err) == 0) check_endpoint(&azure.endpoint);
}

static void check_name(struct wisp_str name)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0}, copy = {0};
    wisp_rest_encode(&text, name, name.len % 2);
    check_visible(wisp_buf_str(&text));
    if (!wisp_str_equal(wisp_rest_decode(wisp_buf_str(&text)), name)) abort();
    wisp_buf_append_str(&copy, name);
    if (wisp_rest_decode(wisp_buf_str(&copy)).len > name.len) abort();
    (void)wisp_rest_date(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct wisp_str text) = {check_pages, check_upload, check_settings, check_name};
    if (size == 0) return 0;
    checks[data[0] % WISP_COUNT(checks)]((struct wisp_str){(const char *)data + 1, size - 1});
    return 0;
}
