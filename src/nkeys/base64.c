/* SPDX-License-Identifier: Apache-2.0 */
#include "nkeys/nkeys.h"

#include <sodium.h>

static void encode(struct wisp_str bytes, struct wisp_buf *out, int variant)
{
    size_t size = sodium_base64_ENCODED_LEN(bytes.len, variant); /* with a NUL */
    char *text = wisp_buf_reserve(out, size);
    sodium_bin2base64(text, size, (const unsigned char *)bytes.ptr, bytes.len, variant);
    out->len += strlen(text);
}

static int value_of(char c, const char *last_two)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == last_two[0] ? 62 : c == last_two[1] ? 63 : -1;
}

/* Not libsodium's, which takes some bytes above 0x7f for letters (1.0.18). One text per value only: no white space, no
 * bits left over. */
static bool decode_letters(struct wisp_str text, const char *last_two, struct wisp_buf *out)
{
    char *bytes = wisp_buf_reserve(out, text.len / 4 * 3 + 3);
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.ptr[i], last_two);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        bytes[n++] = (char)(bits >> n_bits);
    }
    if (n_bits == 6 || bits & ((1u << n_bits) - 1)) return false;
    out->len += n;
    return true;
}

static int not_valid(size_t size, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_INVALID, "not valid base64 (%zu characters)", size);
}

void wisp_base64url_encode(struct wisp_str bytes, struct wisp_buf *out)
{
    encode(bytes, out, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

int wisp_base64url_decode(struct wisp_str text, struct wisp_buf *out, struct wisp_err *err)
{
    return decode_letters(text, "-_", out) ? 0 : not_valid(text.len, err);
}

void wisp_base64_encode(struct wisp_str bytes, struct wisp_buf *out)
{
    encode(bytes, out, sodium_base64_VARIANT_ORIGINAL);
}

int wisp_base64_decode(struct wisp_str text, struct wisp_buf *out, struct wisp_err *err)
{
    struct wisp_str letters = text;
    while (letters.len && text.len - letters.len < 2 && letters.ptr[letters.len - 1] == '=') letters.len--;
    bool ok = text.len % 4 == 0 && decode_letters(letters, "+/", out);
    return ok ? 0 : not_valid(text.len, err);
}
