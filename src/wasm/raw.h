/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* One core WebAssembly value as the engine passes it; unused bytes are undefined. */
union wisp_raw {
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float f32;
    double f64;
    uint8_t bytes[16];
};
