/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/cache.h"

#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static struct wisp_oci_cache *open_cache(void)
{
    struct wisp_oci_cache *cache = NULL;
    struct wisp_err err = {0};
    if (!dir[0]) {
        strcpy(dir, "/tmp/wisp-oci-cache-XXXXXX");
        CHECK(mkdtemp(dir));
    }
    CHECK_OK(wisp_oci_cache_open(&cache, dir, &err), &err);
    return cache;
}

static void remove_all(struct wisp_oci_cache *cache)
{
    char command[100];
    wisp_oci_cache_unref(cache);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
}

TEST(blobs)
{
    struct wisp_oci_cache *cache = open_cache();
    struct wisp_oci_part part;
    struct wisp_err err = {0};
    char digest[WISP_OCI_DIGEST_LEN + 1];
    uint64_t size;
    wisp_oci_digest(WISP_STR("bytes"), digest);
    CHECK_INT(wisp_oci_cache_find(cache, WISP_OCI_BLOBS, digest, &size), -1);
    CHECK_OK(wisp_oci_part_start(cache, WISP_OCI_BLOBS, &part, &err), &err);
    CHECK_OK(wisp_oci_part_write(&part, "bytes", 5, &err), &err);
    CHECK_INT(wisp_oci_cache_find(cache, WISP_OCI_BLOBS, digest, &size), -1);
    CHECK_OK(wisp_oci_part_keep(cache, &part, digest, &err), &err);
    WISP_CLEANUP_FD int fd = wisp_oci_cache_find(cache, WISP_OCI_BLOBS, digest, &size);
    CHECK(fd >= 0);
    CHECK_INT(size, 5);
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    CHECK(wisp_oci_cache_read(cache, digest, 5, &bytes));
    CHECK_STR(wisp_buf_str(&bytes), "bytes");
    CHECK(!wisp_oci_cache_read(cache, digest, 4, &bytes));
    wisp_oci_cache_remove(cache, WISP_OCI_BLOBS, digest);
    CHECK(!wisp_oci_cache_read(cache, digest, 5, &bytes));
    remove_all(cache);
}

TEST(torn_writes)
{
    struct wisp_oci_cache *cache = open_cache();
    char digest[WISP_OCI_DIGEST_LEN + 1], found[WISP_OCI_DIGEST_LEN + 1], path[200];
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    wisp_oci_digest(WISP_STR("manifest"), digest);
    wisp_oci_cache_write(cache, digest, WISP_STR("manifest"));
    wisp_oci_cache_note(cache, "r.io/x:1", digest);
    CHECK(wisp_oci_cache_recall(cache, "r.io/x:1", found));
    CHECK_TEXT(found, digest);
    CHECK(!wisp_oci_cache_recall(cache, "r.io/x:2", found));
    snprintf(path, sizeof path, "%s/blobs/sha256-%s", dir, wisp_oci_digest_hex(digest));
    CHECK(truncate(path, 3) == 0);
    CHECK(!wisp_oci_cache_read(cache, digest, 100, &bytes));
    wisp_oci_digest(WISP_STR("r.io/x:1"), digest);
    snprintf(path, sizeof path, "%s/refs/%s", dir, wisp_oci_digest_hex(digest));
    CHECK(truncate(path, 30) == 0);
    CHECK(!wisp_oci_cache_recall(cache, "r.io/x:1", found));
    remove_all(cache);
}

TEST(leftovers)
{
    struct wisp_oci_cache *cache = open_cache();
    char old[200], young[200];
    snprintf(old, sizeof old, "%s/blobs/.part-1-old", dir);
    snprintf(young, sizeof young, "%s/blobs/.part-1-young", dir);
    close(open(old, O_CREAT | O_WRONLY, 0600));
    close(open(young, O_CREAT | O_WRONLY, 0600));
    CHECK(utimensat(AT_FDCWD, old, (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0) == 0);
    wisp_oci_cache_unref(cache);
    cache = open_cache();
    CHECK(access(old, F_OK) < 0);
    CHECK(access(young, F_OK) == 0);
    remove_all(cache);
}

TEST(others)
{
    struct wisp_oci_cache *cache = open_cache(), *again;
    struct wisp_err err = {0};
    char digest[WISP_OCI_DIGEST_LEN + 1], path[200];
    uint64_t size;
    wisp_oci_digest(WISP_STR("x"), digest);
    snprintf(path, sizeof path, "%s/exec/sha256-%s", dir, wisp_oci_digest_hex(digest));
    CHECK(symlink("/bin/true", path) == 0);
    CHECK_INT(wisp_oci_cache_find(cache, WISP_OCI_EXEC, digest, &size), -1);
    CHECK(chmod(dir, 0770) == 0);
    CHECK_FAILS(wisp_oci_cache_open(&again, dir, &err), DENIED);
    remove_all(cache);
}

TEST(what_nobody_uses_goes_when_it_is_too_large)
{
    struct wisp_oci_cache *cache = open_cache();
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    char digests[2][WISP_OCI_DIGEST_LEN + 1];
    uint64_t size;
    for (int i = 0; i < 2; i++) {
        struct wisp_str bytes = i ? WISP_STR("new") : WISP_STR("old");
        wisp_oci_digest(bytes, digests[i]);
        wisp_oci_cache_write(cache, digests[i], bytes);
    }
    WISP_CLEANUP_FD int fd = wisp_oci_cache_find(cache, WISP_OCI_BLOBS, digests[0], &size);
    CHECK(futimens(fd, old) == 0);
    wisp_oci_cache_unref(cache);
    setenv("WISP_CACHE_MAX", "1", 1);
    cache = open_cache();
    unsetenv("WISP_CACHE_MAX");
    CHECK_INT(wisp_oci_cache_find(cache, WISP_OCI_BLOBS, digests[0], &size), -1);
    WISP_CLEANUP_FD int there = wisp_oci_cache_find(cache, WISP_OCI_BLOBS, digests[1], &size);
    CHECK(there >= 0);
    remove_all(cache);
}
