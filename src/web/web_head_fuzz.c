/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of a server's responses, a line at a time, with trailers: by the first byte kept or only looked at. */
#include "web/web_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum_of(const struct wisp_web_field *fields, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < fields[i].name.len; k++) sum += (unsigned char)fields[i].name.ptr[k];
        for (size_t k = 0; k < fields[i].value.len; k++) sum += (unsigned char)fields[i].value.ptr[k];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile uint64_t seen;
    struct wisp_web_head head = {0};
    struct wisp_web_response response = {0};
    struct wisp_err err = {0};
    if (size == 0) return 0;
    struct wisp_str text = {(const char *)data + 1, size - 1};
    head.keeps_fields = data[0] % 2;
    wisp_web_head_reset(&head, &response);
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct wisp_str line = {text.ptr, end ? (size_t)(end - text.ptr) + 1 : text.len};
        text = (struct wisp_str){text.ptr + line.len, text.len - line.len};
        if (wisp_web_head_line(&head, &response, line, &err) < 0) break;
        seen += sum_of(response.fields, response.n_fields) + sum_of(response.trailers, response.n_trailers);
    }
    if (response.status < 0 || response.status > 999 || response.retry_after_ms >= 3600 * 1000) abort();
    seen += wisp_web_find(&response, "content-length").len;
    wisp_web_head_deinit(&head, &response);
    return 0;
}
