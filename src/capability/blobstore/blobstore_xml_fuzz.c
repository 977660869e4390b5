/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of object stores: any bytes are read or refused, and names that are read are UTF-8. */
#include "capability/blobstore/xml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct wisp_xml_element *element, void *env)
{
    size_t *n = env;
    ++*n;
    if (element->depth == 0 || element->depth > WISP_XML_DEPTH_MAX) abort();
    if (!wisp_str_is_utf8(element->text)) abort();
    for (size_t i = 0; i < element->depth; i++)
        if (element->path[i].len == 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf escaped = {0};
    struct wisp_err err;
    size_t n = 0;
    struct wisp_str text = {(const char *)data, size};
    if (wisp_xml_read(text, &arena, check, &n, &err) == 0 && n == 0) abort();
    wisp_buf_append(&escaped, "<a>", 3);
    if (!wisp_str_is_utf8(text) || !wisp_xml_append(&escaped, text)) return 0;
    wisp_buf_append(&escaped, "</a>", 4);
    n = 0;
    if (wisp_xml_read(wisp_buf_str(&escaped), &arena, check, &n, &err) < 0 || n != 1) abort();
    return 0;
}
