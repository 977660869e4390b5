/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/par.h"

#include "oci/claims.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>

enum {
    READ_SIZE = 256 * 1024,
    ENTRIES_MAX = 256,
    NAME_MAX_SIZE = 128,
    CLAIMS_MAX = 1 << 20,
    FILES_MAX = 16, /* all that is unpacked, in files of the largest size */
};

struct par {
    struct archive *archive;
    const struct wisp_oci_par_options *options;
    const struct wisp_oci_par_sink *sink;
    uint64_t unpacked; /* of all entries so far */
    struct wisp_buf claims, targets /* names, for an error */;
    bool has_claims, has_target, has_world;
    char target_digest[WISP_OCI_DIGEST_LEN + 1], world_digest[WISP_OCI_DIGEST_LEN + 1];
};

const char *wisp_oci_par_target(void)
{
    static _Thread_local char target[80];
    struct utsname names;
    if (uname(&names) < 0) return "";
    snprintf(target, sizeof target, "%.64s-linux", names.machine);
    return target;
}

static bool is_gzip(struct wisp_str start) { return wisp_str_starts_with(start, WISP_STR("\x1f\x8b")); }

bool wisp_oci_par_is_one(struct wisp_str start)
{
    enum { MAGIC_AT = 257 };
    struct wisp_str magic = WISP_STR("ustar");
    return is_gzip(start) ||
           (start.len >= MAGIC_AT + magic.len && memcmp(start.ptr + MAGIC_AT, magic.ptr, magic.len) == 0);
}

/* --- entries --- */

static int archive_error(struct par *par, struct wisp_err *err)
{
    const char *text = archive_error_string(par->archive);
    int code = archive_errno(par->archive);
    if (code == ENOMEM || code == EIO) return wisp_err_os(err, code, "read provider archive");
    return wisp_err_set(err, WISP_ERR_INVALID, "provider archive is damaged: %s", text ? text : "unknown reason");
}

/* The next bytes of an entry, or none at its end. */
static int read_bytes(struct par *par, char *bytes, size_t size, struct wisp_str *ret_bytes, struct wisp_err *err)
{
    la_ssize_t n = archive_read_data(par->archive, bytes, size);
    if (n < 0) return archive_error(par, err);
    par->unpacked += (uint64_t)n;
    uint64_t max = (uint64_t)FILES_MAX * (par->options->size_max + CLAIMS_MAX);
    if (par->unpacked > max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "provider archive unpacks to more than %llu bytes",
                            (unsigned long long)max);
    *ret_bytes = (struct wisp_str){bytes, (size_t)n};
    return 0;
}

/* Feeds an entry to a function, which says no by an error. */
static int read_entry(struct par *par, const struct wisp_oci_par_sink *sink, struct wisp_err *err)
{
    WISP_CLEANUP_FREE char *space = wisp_mem_alloc(READ_SIZE);
    for (;;) {
        struct wisp_str bytes;
        int r = read_bytes(par, space, READ_SIZE, &bytes, err);
        if (r == 0 && bytes.len == 0) return 0;
        if (r == 0) r = sink->write(sink->env, bytes, err);
        if (r < 0) return r;
    }
}

static int add_claims(void *env, struct wisp_str bytes, struct wisp_err *err)
{
    struct par *par = env;
    if (par->claims.len + bytes.len > CLAIMS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "claims have more than %d bytes", CLAIMS_MAX);
    wisp_buf_append_str(&par->claims, bytes);
    return 0;
}

struct hashing {
    struct par *par;
    struct wisp_oci_hash hash;
    const struct wisp_oci_par_sink *sink; /* may be NULL */
    uint64_t size;
};

static int add_hashed(void *env, struct wisp_str bytes, struct wisp_err *err)
{
    struct hashing *hashing = env;
    hashing->size += bytes.len;
    if (hashing->size > hashing->par->options->size_max)
        return wisp_err_set(err, WISP_ERR_LIMIT, "larger than %llu bytes",
                            (unsigned long long)hashing->par->options->size_max);
    wisp_oci_hash_add(&hashing->hash, bytes.ptr, bytes.len);
    return hashing->sink ? hashing->sink->write(hashing->sink->env, bytes, err) : 0;
}

static int skip_bytes(void *env, struct wisp_str bytes, struct wisp_err *err)
{
    (void)env, (void)bytes, (void)err;
    return 0;
}

static const struct wisp_oci_par_sink nowhere = {.write = skip_bytes};

static int read_hashed(struct par *par, const struct wisp_oci_par_sink *sink, char *ret_digest, struct wisp_err *err)
{
    struct hashing hashing = {.par = par, .sink = sink};
    wisp_oci_hash_start(&hashing.hash);
    int r = read_entry(par, &(struct wisp_oci_par_sink){add_hashed, &hashing}, err);
    if (r == 0) wisp_oci_hash_end(&hashing.hash, ret_digest);
    wisp_oci_hash_deinit(&hashing.hash);
    return r;
}

/* "x86_64-linux" of "some/x86_64-linux.bin". */
static struct wisp_str stem_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct wisp_str name = wisp_str_from(slash ? slash + 1 : path);
    const char *dot = name.len > 1 ? memrchr(name.ptr + 1, '.', name.len - 1) : NULL;
    if (dot) name.len = (size_t)(dot - name.ptr);
    return name;
}

static int once(bool *has, const char *what, struct wisp_err *err)
{
    if (*has) return wisp_err_set(err, WISP_ERR_INVALID, "provider archive has `%s` twice", what);
    *has = true;
    return 0;
}

static void note_target(struct par *par, struct wisp_str stem)
{
    if (par->targets.len) wisp_buf_append(&par->targets, ", ", 2);
    for (size_t i = 0; i < stem.len; i++) {
        char c = stem.ptr[i];
        wisp_buf_append_char(&par->targets, c > ' ' && c < 0x7f ? c : '?');
    }
}

static int take_entry(struct par *par, const char *path, struct wisp_err *err)
{
    struct wisp_str stem = stem_of(path);
    int r;
    if (wisp_str_is(stem, "claims")) {
        r = once(&par->has_claims, "claims", err);
        return r < 0 ? r : read_entry(par, &(struct wisp_oci_par_sink){add_claims, par}, err);
    }
    if (wisp_str_is(stem, "world")) {
        r = once(&par->has_world, "world", err);
        return r < 0 ? r : read_hashed(par, NULL, par->world_digest, err);
    }
    note_target(par, stem);
    if (wisp_str_is(stem, par->options->target)) {
        r = once(&par->has_target, par->options->target, err);
        return r < 0 ? r : read_hashed(par, par->sink, par->target_digest, err);
    }
    return read_entry(par, &nowhere, err);
}

static int read_entries(struct par *par, struct wisp_err *err)
{
    struct archive_entry *entry;
    for (unsigned n = 0;; n++) {
        int status = archive_read_next_header(par->archive, &entry);
        if (status == ARCHIVE_EOF) return 0;
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return archive_error(par, err);
        const char *path = archive_entry_pathname(entry);
        if (n == ENTRIES_MAX)
            return wisp_err_set(err, WISP_ERR_LIMIT, "provider archive has more than %d files", ENTRIES_MAX);
        if (!path || strlen(path) > NAME_MAX_SIZE)
            return wisp_err_set(err, WISP_ERR_LIMIT, "provider archive has a name of none or more than %d bytes",
                                NAME_MAX_SIZE);
        bool is_file = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);
        /* What is skipped is unpacked all the same, and a link may have content: it counts. */
        int r = is_file ? take_entry(par, path, err) : read_entry(par, &nowhere, err);
        if (r < 0) return wisp_err_wrap(err, "provider archive: %s", path);
    }
}

/* --- what must fit together --- */

/* Who trusts it all the same takes the archive out of the way. */
#define HOW_TO " (to run it without: unpack it and start its executable by file://, with --allow-file-load)"

static int check_hash(const json_t *hashes, const char *name, const char *digest, struct wisp_err *err)
{
    struct wisp_str hash = wisp_json_str(hashes, name);
    if (!hash.len) return wisp_err_set(err, WISP_ERR_INVALID, "provider archive: claims have no hash of `%s`", name);
    if (!wisp_str_equal_nocase(hash, wisp_str_from(wisp_oci_digest_hex(digest))))
        return wisp_err_set(err, WISP_ERR_INVALID, "provider archive: `%s` is not what its claims were signed for" HOW_TO,
                            name);
    return 0;
}

static int check(struct par *par, struct wisp_arena *arena, struct wisp_oci_claims *ret_claims, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *claims = NULL;
    if (!par->has_claims) return wisp_err_set(err, WISP_ERR_INVALID, "not a provider archive: no claims.jwt in it");
    struct wisp_str token = wisp_buf_str(&par->claims);
    while (token.len && strchr(" \t\r\n", token.ptr[token.len - 1])) token.len--;
    int r = wisp_oci_claims_read(arena, token, par->options->now, ret_claims, &claims, err);
    if (r < 0) return wisp_err_wrap(err, "provider archive is refused" HOW_TO);
    if (!par->has_target)
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "provider has no executable for %s, but for: %.*s",
                            par->options->target, WISP_STR_ARG(wisp_buf_str(&par->targets)));
    const json_t *hashes = json_object_get(json_object_get(claims, "wascap"), "target_hashes");
    r = check_hash(hashes, par->options->target, par->target_digest, err);
    if (r == 0 && par->has_world) r = check_hash(hashes, "world.wasm", par->world_digest, err);
    return r;
}

static int open_archive(struct par *par, int fd, struct wisp_err *err)
{
    par->archive = archive_read_new();
    if (!par->archive) wisp_mem_out(0);
    archive_read_support_format_tar(par->archive);
    archive_read_support_filter_gzip(par->archive);
    return archive_read_open_fd(par->archive, fd, READ_SIZE) == ARCHIVE_OK ? 0 : archive_error(par, err);
}

int wisp_oci_par_read(int fd, const struct wisp_oci_par_options *options, const struct wisp_oci_par_sink *sink,
                      struct wisp_arena *arena, struct wisp_oci_claims *ret_claims,
                      char ret_digest[WISP_OCI_DIGEST_LEN + 1], struct wisp_err *err)
{
    struct par par = {.options = options, .sink = sink};
    int r = open_archive(&par, fd, err);
    if (r == 0) r = read_entries(&par, err);
    if (r == 0) r = check(&par, arena, ret_claims, err);
    if (r == 0) memcpy(ret_digest, par.target_digest, sizeof par.target_digest);
    archive_read_free(par.archive);
    wisp_buf_deinit(&par.claims);
    wisp_buf_deinit(&par.targets);
    return r;
}
