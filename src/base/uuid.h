/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs of version 4. */
#pragma once

#include <stdint.h>
#include <stdio.h>

enum { WISP_UUID_LEN = 36 };

/* Of 128 random bits, six of which are not used. */
static inline void wisp_uuid_print(const uint64_t random[2], char text[WISP_UUID_LEN + 1])
{
    uint64_t a = random[0], b = random[1];
    snprintf(text, WISP_UUID_LEN + 1, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
             (unsigned)(a & 0xfff), (unsigned)(0x8000 | (b >> 48 & 0x3fff)), (unsigned long long)(b & 0xffffffffffff));
}
