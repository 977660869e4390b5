/* SPDX-License-Identifier: Apache-2.0 */
/* Components as sections of sections: just enough to find the claims' section, and to hash all others as wascap does.
 */
#include "oci/claims.h"
#include "oci/digest.h"

enum {
    PREAMBLE_SIZE = 8,
    DEPTH_MAX = 32,
    LENGTH_SIZE_MAX = 5,
    SECTION_CUSTOM = 0,
    SECTION_CORE_MODULE = 1, /* of a component */
    SECTION_COMPONENT = 4,   /* of a component */
};

static const char module_preamble[PREAMBLE_SIZE + 1] = "\0asm\1\0\0\0";
static const char component_preamble[PREAMBLE_SIZE + 1] = "\0asm\x0d\0\1\0";

/* What is left of a binary; whether it is a component or a core module. */
struct walk {
    struct wisp_str rest;
    bool is_component;
};

struct section {
    uint8_t id;
    struct wisp_str content;
};

static bool take_length(struct wisp_str *rest, uint32_t *ret_length)
{
    uint64_t length = 0;
    for (size_t i = 0; i < LENGTH_SIZE_MAX && i < rest->len; i++) {
        uint8_t byte = (uint8_t)rest->ptr[i];
        length |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        *rest = (struct wisp_str){rest->ptr + i + 1, rest->len - i - 1};
        *ret_length = (uint32_t)length;
        return length <= UINT32_MAX;
    }
    return false;
}

static int start(struct walk *walk, struct wisp_str binary, struct wisp_err *err)
{
    bool is_long_enough = binary.len >= PREAMBLE_SIZE;
    bool is_component = is_long_enough && memcmp(binary.ptr, component_preamble, PREAMBLE_SIZE) == 0;
    if (!is_component && (!is_long_enough || memcmp(binary.ptr, module_preamble, PREAMBLE_SIZE) != 0))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a WebAssembly binary");
    *walk = (struct walk){{binary.ptr + PREAMBLE_SIZE, binary.len - PREAMBLE_SIZE}, is_component};
    return 0;
}

/* 1: a section; 0: the end. */
static int next(struct walk *walk, struct section *ret_section, struct wisp_err *err)
{
    uint32_t size;
    if (walk->rest.len == 0) return 0;
    ret_section->id = (uint8_t)walk->rest.ptr[0];
    walk->rest = (struct wisp_str){walk->rest.ptr + 1, walk->rest.len - 1};
    if (!take_length(&walk->rest, &size) || size > walk->rest.len)
        return wisp_err_set(err, WISP_ERR_INVALID, "WebAssembly section %u is cut short", ret_section->id);
    ret_section->content = (struct wisp_str){walk->rest.ptr, size};
    walk->rest = (struct wisp_str){walk->rest.ptr + size, walk->rest.len - size};
    return 1;
}

static bool is_claims(const struct section *section, struct wisp_str *ret_token)
{
    struct wisp_str rest = section->content;
    uint32_t size;
    if (section->id != SECTION_CUSTOM || !take_length(&rest, &size) || size > rest.len) return false;
    struct wisp_str name = {rest.ptr, size};
    *ret_token = (struct wisp_str){rest.ptr + size, rest.len - size};
    return wisp_str_is(name, "wasmcloud_jwt") || wisp_str_is(name, "jwt");
}

static bool is_nested(const struct walk *walk, const struct section *section)
{
    return walk->is_component && (section->id == SECTION_CORE_MODULE || section->id == SECTION_COMPONENT);
}

int wisp_oci_component_token(struct wisp_str binary, struct wisp_str *ret_token, struct wisp_err *err)
{
    struct walk walk;
    struct section section;
    int r = start(&walk, binary, err);
    if (r < 0) return r;
    while ((r = next(&walk, &section, err)) > 0)
        if (is_claims(&section, ret_token)) return 0;
    *ret_token = (struct wisp_str){0};
    return r;
}

/* --- the digest --- */

static size_t length_size(uint64_t length)
{
    size_t n = 1;
    while (length >>= 7) n++;
    return n;
}

static void hash_head(struct wisp_oci_hash *hash, uint8_t id, uint64_t length)
{
    uint8_t bytes[1 + 10] = {id};
    size_t n = 1;
    do {
        bytes[n++] = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    } while (length >>= 7);
    wisp_oci_hash_add(hash, bytes, n);
}

/* Lengths stand before what they measure: the first pass adds up, without looking at contents. */
static int stripped_size(struct wisp_str binary, unsigned depth, uint64_t *ret_size, struct wisp_err *err)
{
    struct walk walk;
    struct section section;
    struct wisp_str token;
    uint64_t total = PREAMBLE_SIZE;
    int r = start(&walk, binary, err);
    if (r == 0 && depth > DEPTH_MAX)
        r = wisp_err_set(err, WISP_ERR_LIMIT, "WebAssembly components are nested deeper than %d", DEPTH_MAX);
    while (r >= 0 && (r = next(&walk, &section, err)) > 0) {
        uint64_t size = section.content.len;
        if (is_claims(&section, &token)) continue;
        if (is_nested(&walk, &section)) r = stripped_size(section.content, depth + 1, &size, err);
        total += 1 + length_size(size) + size;
    }
    *ret_size = total;
    return r < 0 ? r : 0;
}

static int hash_stripped(struct wisp_oci_hash *hash, struct wisp_str binary, unsigned depth, struct wisp_err *err);

static int hash_nested(struct wisp_oci_hash *hash, const struct section *section, unsigned depth, struct wisp_err *err)
{
    uint64_t size;
    int r = stripped_size(section->content, depth, &size, err);
    if (r < 0) return r;
    hash_head(hash, section->id, size);
    return hash_stripped(hash, section->content, depth, err);
}

static int hash_stripped(struct wisp_oci_hash *hash, struct wisp_str binary, unsigned depth, struct wisp_err *err)
{
    struct walk walk;
    struct section section;
    struct wisp_str token;
    int r = start(&walk, binary, err);
    if (r < 0) return r;
    wisp_oci_hash_add(hash, walk.is_component ? component_preamble : module_preamble, PREAMBLE_SIZE);
    while (r >= 0 && (r = next(&walk, &section, err)) > 0) {
        if (is_claims(&section, &token)) continue;
        if (is_nested(&walk, &section)) {
            r = hash_nested(hash, &section, depth + 1, err);
            continue;
        }
        hash_head(hash, section.id, section.content.len);
        wisp_oci_hash_add(hash, section.content.ptr, section.content.len);
    }
    return r < 0 ? r : 0;
}

int wisp_oci_component_digest(struct wisp_str binary, char ret_digest[WISP_OCI_DIGEST_LEN + 1], struct wisp_err *err)
{
    WISP_CLEANUP_HASH struct wisp_oci_hash hash = {0};
    uint64_t size;
    int r = stripped_size(binary, 0, &size, err); /* refuses what is nested too deep */
    if (r < 0) return r;
    wisp_oci_hash_start(&hash);
    r = hash_stripped(&hash, binary, 0, err);
    if (r == 0) wisp_oci_hash_end(&hash, ret_digest);
    return r;
}
