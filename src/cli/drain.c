/* SPDX-License-Identifier: Apache-2.0 */
/* wisp drain: empties caches. What is deleted here is named by us, not by the user, and belongs to nobody else. */
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "host/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct values {
    int output;
    const char *what;
};

enum { DEPTH_MAX = 32 };
static const char *const words[] = {"all", "oci", "lib", "dev", "downloads", NULL};

/* --- deleting --- */

struct removal {
    uint64_t n_files, bytes;
    struct wisp_err *err;
};

/* Everything in the directory; never through a symbolic link. Takes the descriptor. */
static int empty_directory(struct removal *removal, int fd, const char *name, int depth)
{
    DIR *directory = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    if (!directory) {
        close(fd);
        return wisp_err_set(removal->err, WISP_ERR_LIMIT, "`%s` can't be read, or is too deep", name);
    }
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(directory));) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue; /* gone meanwhile */
        bool is_directory = S_ISDIR(status.st_mode);
        int inner = is_directory ? openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (inner >= 0) r = empty_directory(removal, inner, entry->d_name, depth + 1);
        if (r < 0) break;
        if (unlinkat(fd, entry->d_name, is_directory ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT)
            r = wisp_err_os(removal->err, errno, "delete `%s`", entry->d_name);
        else if (!is_directory)
            removal->n_files++, removal->bytes += (uint64_t)status.st_size;
    }
    closedir(directory);
    return r;
}

/* 0 also when there is no such directory; then nothing is added to the list. */
static int drain(struct removal *removal, const char *path, json_t *drained)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return 0;
    if (fd < 0) return wisp_err_os(removal->err, errno, "open `%s`", path);
    if (fstat(fd, &status) < 0 || status.st_uid != geteuid()) {
        close(fd);
        return wisp_err_set(removal->err, WISP_ERR_DENIED, "`%s` belongs to another user; nothing in it was deleted",
                            path);
    }
    int r = empty_directory(removal, fd, path, 0);
    if (r < 0) return wisp_err_wrap(removal->err, "drain `%s`", path);
    json_array_append_new(drained, wisp_json_text(wisp_str_from(path)));
    return 0;
}

/* --- what there is --- */

/* A host may start providers and components from these files at any time. */
static int refuse_running_hosts(const struct wisp_paths *paths, struct wisp_err *err)
{
    char base[WISP_PATH_MAX];
    const char *slash = strrchr(paths->state, '/');
    snprintf(base, sizeof base, "%.*s", (int)(slash - paths->state), paths->state);
    DIR *directory = opendir(base);
    int r = 0;
    for (struct dirent *entry; directory && r == 0 && (entry = readdir(directory));) {
        struct wisp_paths lattice;
        if (entry->d_name[0] == '.') continue;
        if (wisp_paths_init(&lattice, base, entry->d_name, NULL) < 0) continue;
        for (uint32_t i = 0; i < WISP_PATHS_HOSTS_MAX && r == 0; i++) {
            int pid = wisp_paths_running_pid(&lattice, i);
            if (pid)
                r = wisp_err_set(err, WISP_ERR_EXISTS,
                                 "a host of lattice `%s` is running (process %d) and may need what would be deleted; "
                                 "`wisp down` ends it",
                                 entry->d_name, pid);
        }
    }
    if (directory) closedir(directory);
    return r;
}

static void join(char path[WISP_PATH_MAX], const char *directory, const char *name)
{
    snprintf(path, WISP_PATH_MAX, "%.*s/%s", WISP_PATH_MAX - 32, directory, name);
}

static bool is_meant(const char *what, const char *word)
{
    return strcmp(what, word) == 0 || (strcmp(what, "all") == 0 && strcmp(word, "dev") != 0);
}

static int drain_meant(struct removal *removal, const char *what, const struct wisp_paths *paths, json_t *drained)
{
    char base[WISP_PATH_MAX], path[WISP_PATH_MAX];
    const char *slash = strrchr(paths->cache, '/'), *root = getenv("WISP_CACHE");
    snprintf(base, sizeof base, "%.*s", (int)(slash - paths->cache), paths->cache);
    int r = 0;
    if (is_meant(what, "lib")) {
        join(path, root && *root ? root : base, "code");
        r = drain(removal, path, drained);
    }
    if (r == 0 && is_meant(what, "oci")) r = drain(removal, paths->cache, drained);
    if (r == 0 && is_meant(what, "downloads")) {
        join(path, base, "downloads");
        r = drain(removal, path, drained);
    }
    if (r == 0 && is_meant(what, "dev")) {
        join(path, base, "dev");
        r = drain(removal, path, drained);
    }
    return r;
}

static void print_text(const struct removal *removal, const json_t *drained)
{
    WISP_CLEANUP_BUF struct wisp_buf size = {0};
    wisp_output_size(&size, removal->bytes);
    for (size_t i = 0; i < json_array_size(drained); i++)
        printf("emptied %s\n", json_string_value(json_array_get(drained, i)));
    printf("%llu files deleted, %.*s\n", (unsigned long long)removal->n_files, WISP_STR_ARG(wisp_buf_str(&size)));
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    struct removal removal = {.err = err};
    struct wisp_paths paths;
    int r = wisp_paths_init(&paths, NULL, "default", err);
    if (r == 0 && (is_meant(values->what, "oci") || is_meant(values->what, "downloads")))
        r = refuse_running_hosts(&paths, err);
    if (r < 0) return r;
    WISP_CLEANUP_JSON json_t *drained = json_array();
    r = drain_meant(&removal, values->what, &paths, drained);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:O, s:I, s:I}", "drained", drained, "files", (json_int_t)removal.n_files,
                                           "bytes", (json_int_t)removal.bytes));
    else
        print_text(&removal, drained);
    return 0;
}

static const struct wisp_arg_option options[] = {WISP_OUTPUT_OPTION(struct values, output)};
static const struct wisp_arg_operand operands[] = {
    {.name = "CACHE",
     .help = "oci: artifacts of registries; lib: compiled code; dev: `wisp dev` sessions; downloads: tools; "
             "all: all of them but dev",
     .is_required = true,
     .offset = offsetof(struct values, what),
     .choices = words},
};
static const struct values defaults;

const struct wisp_verb wisp_verb_drain = {
    .name = "drain",
    .summary = "empty wisp's caches",
    .text = "What is deleted comes again when it is needed. Artifacts stay while a host runs on this machine.",
    .example = "wisp drain oci\nwisp drain all -o json",
    WISP_VERB_TABLES(options, operands, defaults),
    .run = run,
};
