/* SPDX-License-Identifier: Apache-2.0 */
/* Archives as wasmCloud's own tool makes them are in tests/oci; here is what it would not make. */
#include "oci/par.h"

#include "nkeys/nkeys.h"

#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct wisp_arena arena;

/* A header as POSIX has it and the content, padded. */
static void add_typed(struct wisp_buf *tar, const char *name, char type, struct wisp_str content)
{
    char header[512] = {0};
    unsigned sum = 0;
    snprintf(header, 100, "%s", name);
    memcpy(header + 100, "0000644", 8);
    snprintf(header + 124, 12, "%011zo", content.len);
    memset(header + 148, ' ', 8);
    header[156] = type;
    if (type == '1' || type == '2') memcpy(header + 157, "target", 6);
    memcpy(header + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof header; i++) sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    wisp_buf_append(tar, header, sizeof header);
    wisp_buf_append_str(tar, content);
    while (tar->len % 512) wisp_buf_append_char(tar, '\0');
}

static void add(struct wisp_buf *tar, const char *name, const char *content)
{
    add_typed(tar, name, '0', wisp_str_from(content));
}

static void add_claims(struct wisp_buf *tar, const char *const names[], const char *const contents[], size_t n)
{
    struct wisp_nkey key;
    char public[WISP_NKEY_PUBLIC_LEN + 1], digest[WISP_OCI_DIGEST_LEN + 1];
    WISP_CLEANUP_BUF struct wisp_buf claims = {0}, token = {0};
    wisp_nkey_generate(&key, WISP_NKEY_ACCOUNT);
    wisp_nkey_public_text(&key, public);
    wisp_buf_printf(&claims, "{\"iss\":\"%s\",\"sub\":\"Vx\",\"wascap\":{\"name\":\"p\",\"target_hashes\":{", public);
    for (size_t i = 0; i < n; i++) {
        wisp_oci_digest(wisp_str_from(contents[i]), digest);
        wisp_buf_printf(&claims, "%s\"%s\":\"%s\"", i ? "," : "", names[i], wisp_oci_digest_hex(digest));
    }
    wisp_buf_printf(&claims, "}}}");
    wisp_jwt_sign(&key, wisp_buf_str(&claims), &token);
    add_typed(tar, "claims.jwt", '0', wisp_buf_str(&token));
}

static void add_good_claims(struct wisp_buf *tar)
{
    add_claims(tar, (const char *const[]){"t-linux"}, (const char *const[]){"program"}, 1);
}

static int collect(void *env, struct wisp_str bytes, struct wisp_err *err)
{
    (void)err;
    wisp_buf_append_str(env, bytes);
    return 0;
}

static int read_limited(const struct wisp_buf *tar, uint64_t size_max, struct wisp_buf *program, struct wisp_err *err)
{
    static const char end[1024];
    struct wisp_oci_par_options options = {"t-linux", size_max, 1000};
    struct wisp_oci_par_sink sink = {collect, program};
    struct wisp_oci_claims claims;
    char digest[WISP_OCI_DIGEST_LEN + 1];
    WISP_CLEANUP_FD int fd = memfd_create("tar", MFD_CLOEXEC);
    CHECK(write(fd, tar->data, tar->len) == (ssize_t)tar->len && write(fd, end, sizeof end) == sizeof end);
    lseek(fd, 0, SEEK_SET);
    program->len = 0;
    return wisp_oci_par_read(fd, &options, &sink, &arena, &claims, digest, err);
}

static void check_fails(struct wisp_buf *tar, enum wisp_err_kind kind, const char *words)
{
    WISP_CLEANUP_BUF struct wisp_buf program = {0};
    struct wisp_err err = {0};
    CHECK_INT(read_limited(tar, 10000, &program, &err), -(int)kind);
    CHECK_HAS(err.text, words);
    tar->len = 0;
}

TEST(any_order_and_folder)
{
    WISP_CLEANUP_BUF struct wisp_buf tar = {0}, program = {0};
    struct wisp_err err = {0};
    add_typed(&tar, "dir/", '5', WISP_STR(""));
    add(&tar, "other-linux.bin", "something else");
    add(&tar, "dir/t-linux.exe", "program");
    add_good_claims(&tar);
    CHECK_OK(read_limited(&tar, 10000, &program, &err), &err);
    CHECK_STR(wisp_buf_str(&program), "program");
}

TEST(hashes)
{
    WISP_CLEANUP_BUF struct wisp_buf tar = {0};
    add_good_claims(&tar);
    add(&tar, "t-linux.bin", "other program");
    check_fails(&tar, WISP_ERR_INVALID, "not what its claims were signed for");
    add_claims(&tar, NULL, NULL, 0);
    add(&tar, "t-linux.bin", "program");
    check_fails(&tar, WISP_ERR_INVALID, "no hash of `t-linux`");
    add_good_claims(&tar);
    add(&tar, "t-linux.bin", "program");
    add(&tar, "world.wasm", "world");
    check_fails(&tar, WISP_ERR_INVALID, "no hash of `world.wasm`");
}

TEST(missing)
{
    WISP_CLEANUP_BUF struct wisp_buf tar = {0};
    check_fails(&tar, WISP_ERR_INVALID, "no claims.jwt");
    add(&tar, "t-linux.bin", "program");
    check_fails(&tar, WISP_ERR_INVALID, "no claims.jwt");
    add_good_claims(&tar);
    add(&tar, "a-linux.bin", "1");
    add(&tar, "b-\x1b[2J.bin", "2");
    check_fails(&tar, WISP_ERR_NOT_FOUND, "no executable for t-linux, but for: a-linux, b-?[2J");
    add(&tar, "claims.jwt", "a.b.c");
    check_fails(&tar, WISP_ERR_INVALID, "claims");
}

TEST(twice)
{
    WISP_CLEANUP_BUF struct wisp_buf tar = {0};
    add_good_claims(&tar);
    add_good_claims(&tar);
    check_fails(&tar, WISP_ERR_INVALID, "`claims` twice");
    add_good_claims(&tar);
    add(&tar, "t-linux.bin", "program");
    add(&tar, "x/t-linux", "program");
    check_fails(&tar, WISP_ERR_INVALID, "`t-linux` twice");
}

TEST(links_are_no_files)
{
    WISP_CLEANUP_BUF struct wisp_buf tar = {0};
    add_good_claims(&tar);
    add_typed(&tar, "t-linux.bin", '2', WISP_STR(""));
    check_fails(&tar, WISP_ERR_NOT_FOUND, "no executable");
}

TEST(limits)
{
    enum { LARGE = 17 << 20 };
    WISP_CLEANUP_BUF struct wisp_buf tar = {0}, program = {0};
    struct wisp_err err = {0};
    char name[200];
    WISP_CLEANUP_FREE char *large = wisp_mem_calloc(1, LARGE + 1);
    add_good_claims(&tar);
    add(&tar, "t-linux.bin", "program");
    CHECK_FAILS(read_limited(&tar, 6, &program, &err), LIMIT);
    CHECK_HAS(err.text, "larger than 6");
    tar.len = 0;
    memset(large, 'x', LARGE);
    add(&tar, "other.bin", large);
    check_fails(&tar, WISP_ERR_LIMIT, "unpacks to more than");
    add_typed(&tar, "x", 'x', WISP_STR("15 comment=pax\n"));
    add_typed(&tar, "link.bin", '1', wisp_str_from(large)); /* which may have content, after such a header */
    check_fails(&tar, WISP_ERR_LIMIT, "unpacks to more than");
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "t%d.bin", i);
        add(&tar, name, "");
    }
    check_fails(&tar, WISP_ERR_LIMIT, "more than 256 files");
}

TEST(cut_short)
{
    WISP_CLEANUP_BUF struct wisp_buf tar = {0}, program = {0};
    struct wisp_err err = {0};
    add_good_claims(&tar);
    add_typed(&tar, "t-linux.bin", '0', WISP_STR("program"));
    tar.data[tar.len - 1024 + 124 + 5] = '7'; /* says it is larger */
    CHECK(read_limited(&tar, 10000, &program, &err) < 0);
    CHECK_HAS(err.text, "damaged");
}

TEST(kinds_of_files)
{
    WISP_CLEANUP_BUF struct wisp_buf tar = {0};
    add(&tar, "x", "");
    CHECK(wisp_oci_par_is_one(wisp_buf_str(&tar)));
    CHECK(wisp_oci_par_is_one(WISP_STR("\x1f\x8b\x08")));
    CHECK(!wisp_oci_par_is_one(WISP_STR("\x7f"
                                        "ELF")));
    CHECK(!wisp_oci_par_is_one(WISP_STR("")));
}
