/* SPDX-License-Identifier: Apache-2.0 */
#include "nkeys/nkeys.h"

#include <sodium.h>

enum {
    SEED_PREFIX = 18 << 3, /* 'S' */
    PUBLIC_SIZE = 1 + 32 + 2,
    SEED_SIZE = 2 + 32 + 2,
};

/* Five bits of a letter in base32, then three zeros, so that the text begins with the letter. */
static const uint8_t prefixes[WISP_NKEY_KIND_COUNT] = {
    [WISP_NKEY_ACCOUNT] = 0,      [WISP_NKEY_CLUSTER] = 2 << 3,   [WISP_NKEY_MODULE] = 12 << 3,
    [WISP_NKEY_SERVER] = 13 << 3, [WISP_NKEY_OPERATOR] = 14 << 3, [WISP_NKEY_SERVICE] = 21 << 3,
    [WISP_NKEY_USER] = 20 << 3,   [WISP_NKEY_CURVE] = 23 << 3,
};

static bool find_kind(uint8_t prefix, enum wisp_nkey_kind *ret_kind)
{
    for (int kind = 0; kind < WISP_NKEY_KIND_COUNT; kind++) {
        if (prefixes[kind] != prefix) continue;
        *ret_kind = (enum wisp_nkey_kind)kind;
        return true;
    }
    return false;
}

static uint16_t crc16_xmodem(const uint8_t *bytes, size_t n)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc = (uint16_t)(crc ^ bytes[i] << 8);
        for (int bit = 0; bit < 8; bit++) crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

/* --- base32 --- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static void base32_encode(const uint8_t *bytes, size_t n, char *text)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | bytes[i];
        for (n_bits += 8; n_bits >= 5; n_bits -= 5) *text++ = letters[bits >> (n_bits - 5) & 31];
    }
    if (n_bits) *text++ = letters[bits << (5 - n_bits) & 31];
    *text = '\0';
}

static int letter_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= '2' && c <= '7') return c - '2' + 26;
    return -1;
}

/* `n` bytes of exactly the letters they need; bits left over must be zero, so that a key has one text only. */
static bool base32_decode(struct wisp_str text, uint8_t *bytes, size_t n)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t filled = 0;
    if (text.len != (n * 8 + 4) / 5) return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = letter_value(text.ptr[i]);
        if (value < 0) return false;
        bits = bits << 5 | (uint32_t)value;
        n_bits += 5;
        if (n_bits < 8) continue;
        n_bits -= 8;
        bytes[filled++] = (uint8_t)(bits >> n_bits);
    }
    return (bits & ((1u << n_bits) - 1)) == 0;
}

static void put_crc(uint8_t *bytes, size_t size)
{
    uint16_t crc = crc16_xmodem(bytes, size - 2);
    bytes[size - 2] = (uint8_t)crc;
    bytes[size - 1] = (uint8_t)(crc >> 8);
}

static bool has_crc(const uint8_t *bytes, size_t size)
{
    return (bytes[size - 2] | bytes[size - 1] << 8) == crc16_xmodem(bytes, size - 2);
}

/* --- keys --- */

static void derive_public(struct wisp_nkey *key)
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    if (key->kind == WISP_NKEY_CURVE)
        crypto_scalarmult_base(key->public, key->seed);
    else
        crypto_sign_seed_keypair(key->public, secret, key->seed);
    sodium_memzero(secret, sizeof secret);
}

void wisp_nkey_generate(struct wisp_nkey *ret_key, enum wisp_nkey_kind kind)
{
    if (sodium_init() < 0) wisp_mem_out(0);
    ret_key->kind = kind;
    randombytes_buf(ret_key->seed, sizeof ret_key->seed);
    derive_public(ret_key);
}

static struct wisp_str trim(struct wisp_str text)
{
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1])) text.len--;
    while (text.len && strchr(" \t\r\n", text.ptr[0])) text = (struct wisp_str){text.ptr + 1, text.len - 1};
    return text;
}

int wisp_nkey_from_seed(struct wisp_str text, struct wisp_nkey *ret_key, struct wisp_err *err)
{
    uint8_t bytes[SEED_SIZE];
    enum wisp_nkey_kind kind;
    bool ok = base32_decode(trim(text), bytes, sizeof bytes) && has_crc(bytes, sizeof bytes) &&
              (bytes[0] & 0xf8) == SEED_PREFIX && !(bytes[1] & 7) &&
              find_kind((uint8_t)((bytes[0] & 7) << 5 | bytes[1] >> 3), &kind);
    if (ok) {
        ret_key->kind = kind;
        memcpy(ret_key->seed, bytes + 2, sizeof ret_key->seed);
        derive_public(ret_key);
    }
    sodium_memzero(bytes, sizeof bytes);
    return ok ? 0
              : wisp_err_set(err, WISP_ERR_INVALID, "not an nkey seed (S..., %d letters and digits)",
                             WISP_NKEY_SEED_LEN);
}

void wisp_nkey_wipe(struct wisp_nkey *key) { sodium_memzero(key, sizeof *key); }

void wisp_nkey_public_text(const struct wisp_nkey *key, char text[WISP_NKEY_PUBLIC_LEN + 1])
{
    uint8_t bytes[PUBLIC_SIZE] = {prefixes[key->kind]};
    memcpy(bytes + 1, key->public, sizeof key->public);
    put_crc(bytes, sizeof bytes);
    base32_encode(bytes, sizeof bytes, text);
}

void wisp_nkey_seed_text(const struct wisp_nkey *key, char text[WISP_NKEY_SEED_LEN + 1])
{
    uint8_t prefix = prefixes[key->kind];
    uint8_t bytes[SEED_SIZE] = {(uint8_t)(SEED_PREFIX | prefix >> 5), (uint8_t)(prefix << 3)};
    memcpy(bytes + 2, key->seed, sizeof key->seed);
    put_crc(bytes, sizeof bytes);
    base32_encode(bytes, sizeof bytes, text);
    sodium_memzero(bytes, sizeof bytes);
}

int wisp_nkey_parse_public(struct wisp_str text, enum wisp_nkey_kind *ret_kind, uint8_t ret_public[32],
                           struct wisp_err *err)
{
    uint8_t bytes[PUBLIC_SIZE];
    enum wisp_nkey_kind kind;
    if (!base32_decode(text, bytes, sizeof bytes) || !has_crc(bytes, sizeof bytes) || !find_kind(bytes[0], &kind))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a public nkey (%d letters and digits)", WISP_NKEY_PUBLIC_LEN);
    *ret_kind = kind;
    memcpy(ret_public, bytes + 1, 32);
    return 0;
}

/* --- signatures --- */

void wisp_nkey_sign(const struct wisp_nkey *key, struct wisp_str bytes, uint8_t signature[WISP_NKEY_SIGNATURE_SIZE])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES]; /* the seed, then the public key */
    assert(key->kind != WISP_NKEY_CURVE);
    memcpy(secret, key->seed, sizeof key->seed);
    memcpy(secret + sizeof key->seed, key->public, sizeof key->public);
    crypto_sign_detached(signature, NULL, (const unsigned char *)bytes.ptr, bytes.len, secret);
    sodium_memzero(secret, sizeof secret);
}

bool wisp_nkey_verify(const uint8_t public_key[32], struct wisp_str bytes,
                      const uint8_t signature[WISP_NKEY_SIGNATURE_SIZE])
{
    return crypto_sign_verify_detached(signature, (const unsigned char *)bytes.ptr, bytes.len, public_key) == 0;
}
