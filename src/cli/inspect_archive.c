/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect.h"

#include "cli/output.h"
#include "oci/claims.h"
#include "oci/par.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { START_SIZE = 512 };
static const uint64_t size_max = UINT64_C(1) << 32;

/* What is told of a provider. */
struct archive {
    const char *path;
    struct wisp_arena arena;
    struct wisp_oci_claims claims;
    json_t *targets; /* names, in order */
    uint64_t size;
    char digest[WISP_OCI_DIGEST_LEN + 1]; /* of the executable for this machine, as size is */
};

enum wisp_inspect_form wisp_inspect_form(const char *path)
{
    char start[START_SIZE];
    struct stat info;
    /* What a pipe gives can be read once only. */
    if (stat(path, &info) < 0 || !S_ISREG(info.st_mode)) return WISP_INSPECT_OTHER;
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, start, sizeof start);
    if (n <= 0) return WISP_INSPECT_OTHER;
    struct wisp_str bytes = {start, (size_t)n};
    if (wisp_oci_par_is_one(bytes)) return WISP_INSPECT_ARCHIVE;
    bool is_program = wisp_str_starts_with(bytes, WISP_STR("\177ELF")) || wisp_str_starts_with(bytes, WISP_STR("#!"));
    return is_program ? WISP_INSPECT_PROGRAM : WISP_INSPECT_OTHER;
}

static int count_bytes(void *env, struct wisp_str bytes, struct wisp_err *err)
{
    struct archive *archive = env;
    (void)err;
    archive->size += bytes.len;
    return 0;
}

static int read_targets(struct archive *archive, int64_t now, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *json = NULL;
    struct wisp_oci_claims same;
    int r = wisp_oci_claims_read(&archive->arena, archive->claims.token, now, &same, &json, err);
    if (r < 0) return r;
    const char *name;
    json_t *hash;
    json_object_foreach(json_object_get(json_object_get(json, "wascap"), "target_hashes"), name, hash)
    {
        if (strcmp(name, "world.wasm") != 0) json_array_append_new(archive->targets, json_string(name));
    }
    return 0;
}

static int read_archive(struct archive *archive, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open(archive->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return wisp_err_os(err, errno, "`%s` can't be read", archive->path);
    struct wisp_oci_par_options options = {.target = wisp_oci_par_target(), .size_max = size_max, .now = time(NULL)};
    struct wisp_oci_par_sink sink = {count_bytes, archive};
    int r = wisp_oci_par_read(fd, &options, &sink, &archive->arena, &archive->claims, archive->digest, err);
    if (r == 0) r = read_targets(archive, options.now, err);
    return r < 0 ? wisp_err_wrap(err, "`%s`", archive->path) : 0;
}

/* --- telling --- */

static void add_row(struct wisp_output_table *table, const char *title, struct wisp_str text)
{
    if (!text.len) return;
    wisp_output_table_printf(table, "%s", title);
    wisp_output_table_add(table, text);
}

static void print_text(const struct archive *archive)
{
    const struct wisp_oci_claims *claims = &archive->claims;
    WISP_CLEANUP_BUF struct wisp_buf size = {0}, targets = {0};
    wisp_output_size(&size, archive->size);
    for (size_t i = 0; i < json_array_size(archive->targets); i++)
        wisp_buf_printf(&targets, "%s%s", i ? ", " : "", json_string_value(json_array_get(archive->targets, i)));
    WISP_CLEANUP_OUTPUT_TABLE struct wisp_output_table table;
    wisp_output_table_init(&table, 2);
    add_row(&table, "provider", claims->name.len ? claims->name : WISP_STR("(without a name)"));
    add_row(&table, "vendor", claims->vendor);
    add_row(&table, "version", claims->version);
    wisp_output_table_printf(&table, "revision");
    wisp_output_table_printf(&table, "%d", claims->revision);
    add_row(&table, "targets", wisp_buf_str(&targets));
    add_row(&table, "size", wisp_buf_str(&size));
    add_row(&table, "digest", wisp_str_from(archive->digest));
    add_row(&table, "signed by", claims->issuer);
    add_row(&table, "key", claims->subject);
    wisp_output_table_print(&table, stdout, 0);
}

static void set_text(json_t *json, const char *key, struct wisp_str text)
{
    json_object_set_new(json, key, text.len ? wisp_output_json_text(text) : json_null());
}

static void print_json(const struct archive *archive)
{
    const struct wisp_oci_claims *claims = &archive->claims;
    json_t *json = json_object();
    json_object_set_new(json, "file", wisp_output_json_text(wisp_str_from(archive->path)));
    set_text(json, "name", claims->name);
    set_text(json, "vendor", claims->vendor);
    set_text(json, "version", claims->version);
    json_object_set_new(json, "revision", json_integer(claims->revision));
    json_object_set(json, "targets", archive->targets);
    json_object_set_new(json, "size", json_integer((json_int_t)archive->size));
    set_text(json, "digest", wisp_str_from(archive->digest));
    set_text(json, "issuer", claims->issuer);
    set_text(json, "service", claims->subject);
    wisp_output_json_take(json);
}

int wisp_inspect_archive(const char *path, bool is_json, struct wisp_err *err)
{
    struct archive archive = {.path = path, .targets = json_array()};
    int r = read_archive(&archive, err);
    if (r == 0) is_json ? print_json(&archive) : print_text(&archive);
    json_decref(archive.targets);
    wisp_arena_deinit(&archive.arena);
    return r;
}
