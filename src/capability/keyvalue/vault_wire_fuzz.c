/* SPDX-License-Identifier: Apache-2.0 */
/* What a server may answer: a line with its status, then the body; the first line is a path as well. */
#include "capability/keyvalue/vault_wire.h"

#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_str text = {(const char *)data, size}, line, body;
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    WISP_CLEANUP_JSON json_t *fields = NULL;
    struct wisp_err err = {0};
    uint64_t version;
    if (!wisp_str_split(text, '\n', &line, &body)) return 0;
    if (wisp_vault_append_path(line, &url)) {
        if (url.len < line.len || memmem(url.data, url.len, "/../", 4) || memchr(url.data, '?', url.len)) abort();
    }
    char status[8] = "";
    memcpy(status, line.ptr, line.len < sizeof status ? line.len : sizeof status - 1);
    int r = wisp_vault_read(strtol(status, NULL, 10), body, &fields, &version, &err);
    if (r == 0 ? !json_is_object(fields) : !err.kind || fields) abort();
    return 0;
}
