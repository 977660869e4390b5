/* SPDX-License-Identifier: Apache-2.0 */
/* Boxes: "xkv1", a random nonce, and what NaCl's crypto_box makes (tag and cipher text). */
#include "nkeys/nkeys.h"

#include <sodium.h>

enum {
    VERSION_SIZE = 4,
    HEAD_SIZE = VERSION_SIZE + crypto_box_NONCEBYTES,
};

static const uint8_t version[VERSION_SIZE] = {'x', 'k', 'v', '1'};

void wisp_xkey_seal(const struct wisp_nkey *sender, const uint8_t recipient[32], struct wisp_str plain,
                    struct wisp_buf *out)
{
    assert(sender->kind == WISP_NKEY_CURVE);
    if (sodium_init() < 0) wisp_mem_out(0);
    uint8_t *sealed = (uint8_t *)wisp_buf_reserve(out, plain.len + WISP_XKEY_OVERHEAD);
    memcpy(sealed, version, sizeof version);
    randombytes_buf(sealed + VERSION_SIZE, crypto_box_NONCEBYTES);
    /* A public key of small order has no box: what comes out then can be opened by nobody. */
    if (crypto_box_easy(sealed + HEAD_SIZE, (const unsigned char *)plain.ptr, plain.len, sealed + VERSION_SIZE,
                        recipient, sender->seed) < 0)
        randombytes_buf(sealed + HEAD_SIZE, plain.len + crypto_box_MACBYTES);
    out->len += plain.len + WISP_XKEY_OVERHEAD;
}

int wisp_xkey_open(const struct wisp_nkey *recipient, const uint8_t sender[32], struct wisp_str sealed,
                   struct wisp_buf *out, struct wisp_err *err)
{
    if (recipient->kind != WISP_NKEY_CURVE)
        return wisp_err_set(err, WISP_ERR_INVALID, "a box can be opened with a curve key (X...) only");
    if (sealed.len < WISP_XKEY_OVERHEAD || memcmp(sealed.ptr, version, sizeof version) != 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "not a box sealed with an xkey (%zu bytes)", sealed.len);
    const uint8_t *bytes = (const uint8_t *)sealed.ptr;
    size_t plain_size = sealed.len - WISP_XKEY_OVERHEAD;
    char *plain = wisp_buf_reserve(out, plain_size + 1); /* never without room: libsodium writes to it */
    if (crypto_box_open_easy((unsigned char *)plain, bytes + HEAD_SIZE, sealed.len - HEAD_SIZE, bytes + VERSION_SIZE,
                             sender, recipient->seed) < 0)
        return wisp_err_set(err, WISP_ERR_DENIED, "box was not sealed by this sender for this recipient");
    out->len += plain_size;
    return 0;
}
