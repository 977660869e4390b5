/* SPDX-License-Identifier: Apache-2.0 */
/* Reads any text as WIT, makes the world that it has, and C of that. */
#include "wit/provider_c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
    int r = wisp_wit_document_add(document, 0, "a.wit", (struct wisp_str){(const char *)data, size}, &err);
    const struct wisp_wit_document_world *world;
    if (r == 0) r = wisp_wit_document_world(document, 0, WISP_STR(""), &world, &err);
    WISP_CLEANUP_BUF struct wisp_buf header = {0}, source = {0};
    if (r == 0) r = wisp_wit_provider_c(world, WISP_STR("fuzz"), &header, &source, &err);
    assert(r == 0 || (r == -(int)err.kind && err.text[0] && err.kind != WISP_ERR_INTERNAL));
    return 0;
}
