/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as they come from the other process, in two pieces. */
#include "worker/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool take_all(struct wisp_frame_reader *reader)
{
    for (;;) {
        json_t *frame;
        int fd;
        struct wisp_err err;
        int r = wisp_frame_next(reader, &frame, &fd, &err);
        if (r <= 0) return r == 0;
        json_decref(frame);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct wisp_frame_reader reader = {0};
    wisp_buf_append(&reader.bytes, bytes, size / 2);
    if (take_all(&reader)) {
        wisp_buf_append(&reader.bytes, bytes + size / 2, size - size / 2);
        (void)take_all(&reader);
    }
    wisp_frame_reader_deinit(&reader);
    return 0;
}
