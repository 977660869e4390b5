/* SPDX-License-Identifier: Apache-2.0 */
/* A header as anybody may send it: what is accepted is what we would write, but for version and unknown flags. */
#include "telemetry/trace.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct wisp_trace_context context;
    char text[WISP_TRACEPARENT_LEN + 1];
    if (!wisp_trace_parse((struct wisp_str){(const char *)bytes, size}, &context)) return 0;
    wisp_trace_print(&context, text);
    assert(strlen(text) == WISP_TRACEPARENT_LEN);
    assert(memcmp(text + 2, bytes + 2, WISP_TRACEPARENT_LEN - 4) == 0);
    return 0;
}
