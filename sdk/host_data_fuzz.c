/* SPDX-License-Identifier: Apache-2.0 */
/* Host data, and links as messages have them: the first byte says which; a link meets a provider that has it or not. */
#include "host_data.h"
#include "provider/runtime.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_host_data(struct wisp_str json)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    struct wisp_host_data parsed;
    struct wisp_err err;
    if (wisp_host_data_parse(json, &parsed, &err) == 0) wisp_host_data_deinit(&parsed);
    wisp_base64_encode(json, &line);
    if (wisp_host_data_parse(wisp_buf_str(&line), &parsed, &err) < 0) return;
    for (size_t i = 0; i < json_array_size(parsed.links); i++) {
        json_t *opened;
        if (wisp_host_data_open_link(&parsed, json_array_get(parsed.links, i), &opened, &err) == 0) json_decref(opened);
    }
    wisp_host_data_deinit(&parsed);
}

/* A document: a link, or an array of them. Put, put again in other order, deleted. */
static void try_links(struct wisp_str text)
{
    static const struct wisp_provider_kind kind = {.name = "any"};
    struct wisp_host_data data = {.provider_id = "p"};
    struct wisp_provider_options options = {.kind = &kind, .id = "p", .lattice = "l", .host_id = "N"};
    struct wisp_provider *provider;
    struct wisp_err err;
    uv_loop_t loop;
    json_t *json, *opened;
    if (wisp_json_parse(text, &json, &err) < 0) return;
    uv_loop_init(&loop);
    options.loop = &loop;
    if (wisp_provider_new(&provider, &options, &err) < 0) abort();
    if (wisp_host_data_open_link(&data, json, &opened, &err) == 0) {
        if (wisp_provider_put_link(provider, opened, &err) == 0 && wisp_provider_put_link(provider, opened, &err) < 0)
            abort();
        wisp_provider_del_link(provider, opened);
        json_decref(opened);
    }
    wisp_provider_set_links(provider, json);
    (void)!wisp_provider_set_config(provider, json, json, &err);
    uv_run(&loop, UV_RUN_NOWAIT);
    wisp_provider_close(provider, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0) abort();
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wisp_log_configure(WISP_LOG_ERROR, WISP_LOG_TEXT);
    if (size == 0) return 0;
    struct wisp_str rest = {(const char *)data + 1, size - 1};
    if (data[0] == 'h')
        try_host_data(rest);
    else
        try_links(rest);
    return 0;
}
