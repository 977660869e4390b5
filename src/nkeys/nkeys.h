/* SPDX-License-Identifier: Apache-2.0 */
/* nkeys: Ed25519 and X25519 keys in NATS's text form, what is signed with them, and boxes sealed with them.
 *
 * Text: base32 (RFC 4648, no padding) of prefix, 32 key bytes, CRC16 (XMODEM, little endian). Public keys begin with a
 * letter for their kind and have 56 characters, seeds begin with S and that letter and have 58. Everything that holds a
 * seed is wiped by its deinit. Any thread. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum wisp_nkey_kind {
    WISP_NKEY_ACCOUNT,  /* A */
    WISP_NKEY_CLUSTER,  /* C */
    WISP_NKEY_MODULE,   /* M, a component */
    WISP_NKEY_SERVER,   /* N, a host */
    WISP_NKEY_OPERATOR, /* O */
    WISP_NKEY_SERVICE,  /* V, a provider */
    WISP_NKEY_USER,     /* U */
    WISP_NKEY_CURVE,    /* X, for boxes */
    WISP_NKEY_KIND_COUNT
};

enum {
    WISP_NKEY_PUBLIC_LEN = 56,
    WISP_NKEY_SEED_LEN = 58,
    WISP_NKEY_SIGNATURE_SIZE = 64,
    WISP_XKEY_OVERHEAD = 4 + 24 + 16, /* "xkv1", nonce, tag */
};

/* A key pair. A value; may be copied, each copy is to be wiped. */
struct wisp_nkey {
    enum wisp_nkey_kind kind;
    uint8_t seed[32];
    uint8_t public[32];
};

/* Random. */
void wisp_nkey_generate(struct wisp_nkey *ret_key, enum wisp_nkey_kind kind);
/* INVALID (which never repeats the text) when it is no seed. Surrounding white space is fine. */
int wisp_nkey_from_seed(struct wisp_str text, struct wisp_nkey *ret_key, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_nkey_wipe(struct wisp_nkey *key);
#define WISP_CLEANUP_NKEY __attribute__((cleanup(wisp_nkey_wipe)))

void wisp_nkey_public_text(const struct wisp_nkey *key, char text[WISP_NKEY_PUBLIC_LEN + 1]);
void wisp_nkey_seed_text(const struct wisp_nkey *key, char text[WISP_NKEY_SEED_LEN + 1]);
/* Public key text to kind and key. */
int wisp_nkey_parse_public(struct wisp_str text, enum wisp_nkey_kind *ret_kind, uint8_t ret_public[32],
                           struct wisp_err *err) __attribute__((warn_unused_result));

/* Not for curve keys. */
void wisp_nkey_sign(const struct wisp_nkey *key, struct wisp_str bytes, uint8_t signature[WISP_NKEY_SIGNATURE_SIZE]);
bool wisp_nkey_verify(const uint8_t public_key[32], struct wisp_str bytes,
                      const uint8_t signature[WISP_NKEY_SIGNATURE_SIZE]);

/* xkeys: for `recipient`'s eyes, from `sender`. Both are curve keys. Appends size + WISP_XKEY_OVERHEAD bytes. */
void wisp_xkey_seal(const struct wisp_nkey *sender, const uint8_t recipient[32], struct wisp_str plain,
                    struct wisp_buf *out);
/* Appends the plain text. DENIED when it was not sealed by `sender` for `recipient`, INVALID when it is no box. */
int wisp_xkey_open(const struct wisp_nkey *recipient, const uint8_t sender[32], struct wisp_str sealed,
                   struct wisp_buf *out, struct wisp_err *err) __attribute__((warn_unused_result));

/* --- tokens and files --- */

/* base64url without padding. */
void wisp_base64url_encode(struct wisp_str bytes, struct wisp_buf *out);
int wisp_base64url_decode(struct wisp_str text, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Standard alphabet, padded. */
void wisp_base64_encode(struct wisp_str bytes, struct wisp_buf *out);
int wisp_base64_decode(struct wisp_str text, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Appends header.claims.signature over {"typ":"jwt","alg":"Ed25519"} and `claims`, JSON text as given. */
void wisp_jwt_sign(const struct wisp_nkey *issuer, struct wisp_str claims, struct wisp_buf *out);
/* Appends the claims' JSON text. DENIED when the signature is not that of the `iss` inside. Dates are the caller's. */
int wisp_jwt_verify(struct wisp_str token, struct wisp_buf *claims, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* The two parts of a NATS credentials file, as views of its text. */
int wisp_creds_parse(struct wisp_str text, struct wisp_str *ret_jwt, struct wisp_str *ret_seed, struct wisp_err *err)
    __attribute__((warn_unused_result));
