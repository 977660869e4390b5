/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/prepare.h"

#include "oci/claims.h"
#include "oci/par.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct source {
    const struct wisp_oci_prepare_options *options;
    int fd;
    uint64_t size;
    char digest[WISP_OCI_DIGEST_LEN + 1];
};

/* --- the file --- */

/* O_NONBLOCK: a pipe must not hold the thread. */
static int open_local(struct source *source, struct wisp_err *err)
{
    struct stat st;
    source->fd = open(source->options->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->fd < 0) return wisp_err_os(err, errno, "open");
    if (fstat(source->fd, &st) < 0) return wisp_err_os(err, errno, "stat");
    if (!S_ISREG(st.st_mode)) return wisp_err_set(err, WISP_ERR_INVALID, "not a regular file");
    source->size = (uint64_t)st.st_size;
    return 0;
}

static int open_blob(struct source *source, bool *ret_is_damaged, struct wisp_err *err)
{
    const struct wisp_oci_prepare_options *options = source->options;
    int r = options->part->fd < 0 ? 0 : wisp_oci_part_keep(options->cache, options->part, options->digest, err);
    if (r < 0) return r;
    source->fd = wisp_oci_cache_find(options->cache, WISP_OCI_BLOBS, options->digest, &source->size);
    if (source->fd >= 0) return 0;
    *ret_is_damaged = true;
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "blob %s is not in the cache", options->digest);
}

static int check_digest(struct source *source, bool *ret_is_damaged, struct wisp_err *err)
{
    const struct wisp_oci_prepare_options *options = source->options;
    if (options->path || strcmp(source->digest, options->digest) == 0) return 0;
    *ret_is_damaged = true;
    wisp_oci_cache_remove(options->cache, WISP_OCI_BLOBS, options->digest);
    return wisp_err_set(err, WISP_ERR_INVALID, "blob %s in the cache is damaged", options->digest);
}

static int too_large(uint64_t size_max, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_LIMIT, "larger than %llu bytes", (unsigned long long)size_max);
}

static int open_source(struct source *source, bool *ret_is_damaged, struct wisp_err *err)
{
    int r = source->options->path ? open_local(source, err) : open_blob(source, ret_is_damaged, err);
    return r == 0 && source->size > source->options->size_max ? too_large(source->options->size_max, err) : r;
}

/* Not mapped: a local file that is cut short while we look at it must not end the program. */
static int read_all(struct source *source, struct wisp_buf *ret_bytes, struct wisp_err *err)
{
    for (;;) {
        size_t room = ret_bytes->len < source->size ? source->size - ret_bytes->len + 1 : 4096;
        ssize_t n = read(source->fd, wisp_buf_reserve(ret_bytes, room), room);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "read");
        if (n == 0) break;
        ret_bytes->len += (size_t)n;
        if (ret_bytes->len > source->options->size_max) return too_large(source->options->size_max, err);
    }
    source->size = ret_bytes->len;
    return 0;
}

static const char *path_of(struct source *source, struct wisp_arena *arena, enum wisp_oci_shelf shelf,
                           const char *digest)
{
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    if (source->options->path) return wisp_arena_cstr(arena, wisp_str_from(source->options->path));
    wisp_oci_cache_path(source->options->cache, shelf, digest, &path);
    return wisp_arena_cstr(arena, wisp_str_from(path.data));
}

static const char *keep_digest(struct wisp_arena *arena, const char *digest)
{
    return wisp_arena_cstr(arena, wisp_str_from(digest));
}

/* --- components --- */

static int prepare_component(struct source *source, struct wisp_arena *arena, struct wisp_oci_artifact *artifact,
                             bool *ret_is_damaged, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    int r = read_all(source, &bytes, err);
    if (r < 0) return r;
    wisp_oci_digest(wisp_buf_str(&bytes), source->digest);
    r = check_digest(source, ret_is_damaged, err);
    if (r == 0) r = wisp_oci_component_claims(arena, wisp_buf_str(&bytes), time(NULL), &artifact->claims, err);
    if (r < 0) return r;
    artifact->path = path_of(source, arena, WISP_OCI_BLOBS, source->digest);
    artifact->digest = keep_digest(arena, source->digest);
    artifact->size = source->size;
    return 0;
}

/* --- providers --- */

struct extraction {
    struct wisp_oci_part part;
    uint64_t size;
};

static int write_part(void *env, struct wisp_str bytes, struct wisp_err *err)
{
    struct extraction *extraction = env;
    extraction->size += bytes.len;
    return wisp_oci_part_write(&extraction->part, bytes.ptr, bytes.len, err);
}

static int extract(struct source *source, struct wisp_arena *arena, struct wisp_oci_artifact *artifact,
                   struct wisp_err *err)
{
    const struct wisp_oci_prepare_options *options = source->options;
    struct wisp_oci_par_options par = {wisp_oci_par_target(), options->size_max, time(NULL)};
    struct extraction extraction = {.part.fd = -1};
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    char digest[WISP_OCI_DIGEST_LEN + 1];
    int r = wisp_oci_part_start(options->cache, WISP_OCI_EXEC, &extraction.part, err);
    if (r < 0) return r;
    r = wisp_oci_par_read(source->fd, &par, &(struct wisp_oci_par_sink){write_part, &extraction}, arena,
                          &artifact->claims, digest, err);
    if (r < 0) {
        wisp_oci_part_discard(options->cache, &extraction.part);
        return r;
    }
    r = wisp_oci_part_keep(options->cache, &extraction.part, digest, err);
    if (r < 0) return r;
    wisp_oci_cache_path(options->cache, WISP_OCI_EXEC, digest, &path);
    artifact->path = wisp_arena_cstr(arena, wisp_str_from(path.data));
    artifact->digest = keep_digest(arena, digest);
    artifact->size = extraction.size;
    return 0;
}

/* A local program that is in no archive. */
static int take_program(struct source *source, struct wisp_arena *arena, struct wisp_oci_artifact *artifact,
                        struct wisp_err *err)
{
    if (!source->options->path) return wisp_err_set(err, WISP_ERR_INVALID, "not a provider archive");
    if (access(source->options->path, X_OK) < 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "neither a provider archive nor executable");
    artifact->path = path_of(source, arena, WISP_OCI_EXEC, source->digest);
    artifact->digest = keep_digest(arena, source->digest);
    artifact->size = source->size;
    return 0;
}

static int prepare_provider(struct source *source, struct wisp_arena *arena, struct wisp_oci_artifact *artifact,
                            bool *ret_is_damaged, struct wisp_err *err)
{
    char start[512];
    int r = wisp_oci_hash_file(source->fd, source->options->size_max, source->digest, err);
    if (r == 0) r = check_digest(source, ret_is_damaged, err);
    if (r < 0) return r;
    ssize_t n = pread(source->fd, start, sizeof start, 0);
    if (n < 0) return wisp_err_os(err, errno, "read");
    return wisp_oci_par_is_one((struct wisp_str){start, (size_t)n}) ? extract(source, arena, artifact, err)
                                                                    : take_program(source, arena, artifact, err);
}

/* --- either --- */

static int prepare_file(struct source *source, struct wisp_arena *arena, struct wisp_oci_artifact *artifact,
                        bool *ret_is_damaged, struct wisp_err *err)
{
    int r = wisp_oci_hash_file(source->fd, source->options->size_max, source->digest, err);
    if (r == 0) r = check_digest(source, ret_is_damaged, err);
    if (r < 0) return r;
    artifact->path = path_of(source, arena, WISP_OCI_BLOBS, source->digest);
    artifact->digest = keep_digest(arena, source->digest);
    artifact->size = source->size;
    return 0;
}

int wisp_oci_prepare(const struct wisp_oci_prepare_options *options, struct wisp_arena *arena,
                     struct wisp_oci_artifact *ret_artifact, bool *ret_is_damaged, struct wisp_err *err)
{
    static int (*const prepare[])(struct source *, struct wisp_arena *, struct wisp_oci_artifact *, bool *,
                                  struct wisp_err *) = {
        [WISP_OCI_COMPONENT] = prepare_component,
        [WISP_OCI_PROVIDER] = prepare_provider,
        [WISP_OCI_FILE] = prepare_file,
    };
    struct source source = {.options = options, .fd = -1};
    *ret_is_damaged = false;
    int r = open_source(&source, ret_is_damaged, err);
    if (r == 0) r = prepare[options->kind](&source, arena, ret_artifact, ret_is_damaged, err);
    if (source.fd >= 0) close(source.fd);
    return r;
}
