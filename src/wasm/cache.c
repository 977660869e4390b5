/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled code on disk: DIR/KEY.cwasm, mapped into every worker, and DIR/KEY.sum with its SHA-256.
 *
 * Loading machine code is running it, so only files that nobody else can have written are used: directory and files
 * belong to this user and are writable by no one else. Both files appear by rename, so a torn write is never seen; a
 * pair that doesn't match is compiled anew, as is one that was removed to keep the cache small. */
#include "wasm/wasm_priv.h"

#include "base/log.h"
#include "base/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGEST_SIZE = 32 };

static void hex(const unsigned char *bytes, size_t n, char *ret_text)
{
    for (size_t i = 0; i < n; i++) sprintf(ret_text + 2 * i, "%02x", bytes[i]);
}

static void digest(struct wisp_str first, struct wisp_str second, char *ret_hex)
{
    unsigned char bytes[DIGEST_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && EVP_DigestUpdate(md, first.ptr, first.len) &&
              EVP_DigestUpdate(md, second.ptr, second.len) && EVP_DigestFinal_ex(md, bytes, NULL);
    EVP_MD_CTX_free(md);
    if (!ok) wisp_mem_out(0);
    hex(bytes, sizeof bytes, ret_hex);
}

void wisp_wasm_cache_key(const struct wisp_wasm_engine *engine, struct wisp_str binary, char *ret_key)
{
    digest(wisp_str_from(engine->tunables), binary, ret_key);
}

static bool make_dirs(char *path)
{
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        char kept = *p;
        *p = '\0';
        bool ok = mkdir(path, 0700) == 0 || errno == EEXIST;
        *p = kept;
        if (!ok) return false;
        if (!kept) return true;
    }
}

static bool is_ours_alone(int fd, mode_t wanted_type)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == wanted_type && st.st_uid == geteuid() &&
           !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int open_dir(const char *dir)
{
    int fd = open(dir, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && !is_ours_alone(fd, S_IFDIR)) {
        WISP_LOG(WARN, "cache", "code cache is not used: others can write to it", WISP_TEXT("dir", dir));
        close(fd);
        return -1;
    }
    return fd;
}

char *wisp_wasm_cache_dir(const char *wanted)
{
    char path[4096];
    const char *root = getenv("WISP_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (wanted)
        n = snprintf(path, sizeof path, "%s", wanted);
    else if (root && *root)
        n = snprintf(path, sizeof path, "%s/code", root);
    else if (xdg && *xdg)
        n = snprintf(path, sizeof path, "%s/wisp/code", xdg);
    else if (home && *home)
        n = snprintf(path, sizeof path, "%s/.cache/wisp/code", home);
    else
        return NULL;
    if (n <= 0 || (size_t)n >= sizeof path || !make_dirs(path)) return NULL;
    WISP_CLEANUP_FD int fd = open_dir(path);
    return fd < 0 ? NULL : wisp_mem_dup(wisp_str_from(path));
}

static bool read_sum(int dir_fd, const char *key, char *ret_hex)
{
    char name[80];
    snprintf(name, sizeof name, "%s.sum", key);
    WISP_CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || !is_ours_alone(fd, S_IFREG)) return false;
    ssize_t n = read(fd, ret_hex, 2 * DIGEST_SIZE);
    ret_hex[2 * DIGEST_SIZE] = '\0';
    wisp_trim_note_use(fd, NULL);
    return n == 2 * DIGEST_SIZE;
}

static bool sum_matches(int fd, const char *expected)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size <= 0) return false;
    size_t size = (size_t)st.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED) return false;
    char actual[2 * DIGEST_SIZE + 1];
    digest((struct wisp_str){bytes, size}, (struct wisp_str){0}, actual);
    munmap(bytes, size);
    return strcmp(actual, expected) == 0;
}

wasmtime_module_t *wisp_wasm_cache_load(struct wisp_wasm_engine *engine, const char *key)
{
    if (!engine->cache_dir) return NULL;
    char sum[2 * DIGEST_SIZE + 1], name[80], path[64];
    WISP_CLEANUP_FD int dir_fd = open_dir(engine->cache_dir);
    if (dir_fd < 0 || !read_sum(dir_fd, key, sum)) return NULL;
    snprintf(name, sizeof name, "%s.cwasm", key);
    WISP_CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || !is_ours_alone(fd, S_IFREG) || !sum_matches(fd, sum)) return NULL;
    wisp_trim_note_use(fd, NULL);
    /* By descriptor, so that what was checked is what is mapped. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    wasmtime_module_t *module = NULL;
    wasmtime_error_t *error = wasmtime_module_deserialize_file(engine->engine, path, &module);
    if (error) {
        wasmtime_error_delete(error);
        return NULL;
    }
    return module;
}

static bool write_file(int dir_fd, const char *name, struct wisp_str bytes)
{
    char staged[112];
    snprintf(staged, sizeof staged, ".%s.%d", name, (int)getpid());
    WISP_CLEANUP_FD int fd = openat(dir_fd, staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return false;
    bool ok = true;
    while (ok && bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        ok = n > 0;
        if (ok) bytes = (struct wisp_str){bytes.ptr + n, bytes.len - (size_t)n};
    }
    ok = ok && fsync(fd) == 0 && renameat(dir_fd, staged, dir_fd, name) == 0;
    if (!ok) unlinkat(dir_fd, staged, 0);
    return ok;
}

void wisp_wasm_cache_store(struct wisp_wasm_engine *engine, const char *key, const wasmtime_module_t *module)
{
    if (!engine->cache_dir) return;
    WISP_CLEANUP_FD int dir_fd = open_dir(engine->cache_dir);
    if (dir_fd < 0) return;
    wasm_byte_vec_t code;
    wasmtime_error_t *error = wasmtime_module_serialize(module, &code);
    if (error) {
        wasmtime_error_delete(error);
        return;
    }
    char sum[2 * DIGEST_SIZE + 1], name[80];
    struct wisp_str bytes = {code.data, code.size};
    digest(bytes, (struct wisp_str){0}, sum);
    snprintf(name, sizeof name, "%s.cwasm", key);
    bool ok = write_file(dir_fd, name, bytes);
    snprintf(name, sizeof name, "%s.sum", key);
    ok = ok && write_file(dir_fd, name, wisp_str_from(sum));
    if (!ok)
        WISP_LOG(WARN, "cache", "compiled code could not be kept", WISP_TEXT("dir", engine->cache_dir),
                 WISP_TEXT("why", strerror(errno)));
    wasm_byte_vec_delete(&code);
    (void)wisp_trim(&dir_fd, 1, wisp_trim_limit()); /* what workers have mapped stays theirs */
}
