/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from the bus: records, answers of JetStream, positions. Records are read as they are written. */
#include "state/jetstream_wire.h"
#include "state/wire.h"

#include <stdlib.h>

static void check_records(struct wisp_str bytes)
{
    WISP_CLEANUP_BUF struct wisp_buf again = {0};
    struct wisp_str rest = bytes;
    struct wisp_state_record record;
    while (rest.len && wisp_state_record_decode(&rest, &record, NULL) == 0) wisp_state_record_encode(&record, &again);
    size_t used = bytes.len - rest.len;
    if (again.len != used) abort();
    /* The unused bits of the first byte don't exist: all of them are read. */
    if (used && memcmp(again.data, bytes.ptr, used) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 << 20) return 0;
    struct wisp_str text = {(const char *)data + 1, size - 1};
    struct wisp_state_js_position position;
    uint64_t sequence;
    json_t *answer;
    switch (data[0] % 3) {
    case 0:
        check_records(text);
        break;
    case 1:
        if (wisp_state_js_parse(text, &answer, NULL) < 0) break;
        if (wisp_state_js_parse_marker(answer, &sequence, NULL) < 0) sequence = 0;
        json_decref(answer);
        break;
    default:
        if (wisp_state_js_parse_position(text, &position, NULL) == 0 && position.stream_sequence > INT64_MAX) abort();
    }
    return 0;
}
