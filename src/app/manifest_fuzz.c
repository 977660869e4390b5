/* SPDX-License-Identifier: Apache-2.0 */
/* Reads any text as a manifest; what is accepted is written and read again. */
#include "app/manifest.h"

#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_app_problems problems;
    struct wisp_app_manifest manifest, again = {0};
    struct wisp_err err = {0};
    struct wisp_str text = {(const char *)data + 1, size ? size - 1 : 0};
    if (!size) return 0;
    int r = wisp_app_manifest_parse(&manifest, &arena, text, (enum wisp_app_format)(data[0] % 3), data[0] & 4,
                                    &problems, &err);
    assert(r == 0 || (r == -(int)err.kind && err.text[0] && err.kind != WISP_ERR_INTERNAL));
    if (r == 0) {
        r = wisp_app_manifest_from_json(&again, &arena, manifest.json, &err);
        assert(r == 0 && json_equal(manifest.json, again.json));
    }
    wisp_app_manifest_deinit(&again);
    wisp_app_manifest_deinit(&manifest);
    return 0;
}
