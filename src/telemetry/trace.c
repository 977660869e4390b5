/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/trace.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* --- the header --- */

/* Upper case is not valid. */
static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* False also when all are zero. */
static bool parse_hex(const char *text, uint8_t *bytes, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = (uint8_t)(high << 4 | low);
        any |= bytes[i];
    }
    return any != 0;
}

bool wisp_trace_parse(struct wisp_str text, struct wisp_trace_context *ret_context)
{
    const char *at = text.ptr;
    uint8_t version = 0, flags = 0;
    if (text.len < WISP_TRACEPARENT_LEN || at[2] != '-' || at[35] != '-' || at[52] != '-') return false;
    if (digit(at[0]) < 0 || digit(at[1]) < 0 || digit(at[53]) < 0 || digit(at[54]) < 0) return false;
    parse_hex(at, &version, 1);
    parse_hex(at + 53, &flags, 1);
    if (version == 0xff || (version == 0 && text.len != WISP_TRACEPARENT_LEN)) return false;
    if (text.len > WISP_TRACEPARENT_LEN && at[WISP_TRACEPARENT_LEN] != '-') return false;
    struct wisp_trace_context context = {.is_sampled = flags & 1};
    if (!parse_hex(at + 3, context.trace_id, 16) || !parse_hex(at + 36, context.span_id, 8)) return false;
    *ret_context = context;
    return true;
}

static char *print_hex(char *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

void wisp_trace_print(const struct wisp_trace_context *context, char out[WISP_TRACEPARENT_LEN + 1])
{
    out[0] = out[1] = '0';
    out[2] = '-';
    char *at = print_hex(out + 3, context->trace_id, 16);
    *at++ = '-';
    at = print_hex(at, context->span_id, 8);
    snprintf(at, 4, "-0%d", context->is_sampled);
}

/* --- new spans --- */

/* splitmix64: ids must differ, not be secret. */
static uint64_t random_number(void)
{
    static _Thread_local uint64_t state;
    while (!state)
        if (getrandom(&state, sizeof state, 0) != sizeof state)
            state = (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)&state;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return z ? z : 1;
}

static void random_id(uint8_t *id, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t number = random_number();
        memcpy(id + i, &number, 8);
    }
}

uint64_t wisp_trace_threshold(double ratio)
{
    if (!(ratio > 0)) return 0;
    return ratio >= 1 ? UINT64_C(1) << 63 : (uint64_t)(ratio * 0x1p63);
}

static bool is_chosen(const struct wisp_trace_sampler *sampler, const uint8_t trace_id[16])
{
    uint64_t number = 0;
    for (int i = 8; i < 16; i++) number = number << 8 | trace_id[i];
    return number >> 1 < sampler->threshold;
}

void wisp_trace_begin(const struct wisp_trace_sampler *sampler, const struct wisp_trace_context *parent,
                      struct wisp_trace_context *ret_context)
{
    if (parent)
        memcpy(ret_context->trace_id, parent->trace_id, sizeof ret_context->trace_id);
    else
        random_id(ret_context->trace_id, sizeof ret_context->trace_id);
    random_id(ret_context->span_id, sizeof ret_context->span_id);
    ret_context->is_sampled =
        parent && sampler->follows_parent ? parent->is_sampled : is_chosen(sampler, ret_context->trace_id);
}
