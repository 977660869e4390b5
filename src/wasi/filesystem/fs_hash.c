/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 of device and inode number, two times 64 bits. */
#include "wasi/filesystem/fs.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t key[2]; /* written once, before its first use */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    if (getrandom(key, sizeof key, 0) != sizeof key) abort();
}

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static void sip_rounds(uint64_t v[4], int n)
{
    while (n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t sip_words(const uint64_t *words, size_t n)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                     key[1] ^ 0x7465646279746573};
    for (size_t i = 0; i <= n; i++) {
        uint64_t word = i < n ? words[i] : (uint64_t)(n * sizeof *words) << 56; /* the length ends the message */
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct wisp_fs_hash_value wisp_fs_hash(const struct stat *st)
{
    pthread_once(&key_once, make_key);
    uint64_t words[] = {st->st_dev, st->st_ino, 0};
    struct wisp_fs_hash_value hash = {.lower = sip_words(words, WISP_COUNT(words))};
    words[2] = 1;
    hash.upper = sip_words(words, WISP_COUNT(words));
    return hash;
}
