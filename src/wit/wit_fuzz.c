/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the world of whatever the decoder accepts, and describes its functions. */
#include "wit/wit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_str binary = {(const char *)data, size};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
    WISP_CLEANUP_BUF struct wisp_buf text = {0}, descriptions = {0};
    struct wisp_err err = {0};
    if (wisp_component_new(&component, binary, NULL, &err) < 0) return 0;
    int r = wisp_wit_print(component, &text, &err);
    /* What was decoded is well-formed: it may be beyond WIT or too large, but never wrong. */
    assert(r == 0 || r == -WISP_ERR_UNSUPPORTED || r == -WISP_ERR_LIMIT);
    assert((r == 0) == (text.len > 0));
    for (uint32_t i = 0; i < component->n_import_funcs; i++)
        wisp_wit_describe(component->import_funcs[i].type, component->import_funcs[i].name, &descriptions);
    return 0;
}
