/* SPDX-License-Identifier: Apache-2.0 */
/* wisp bindgen provider. */
#include "cli/output.h"
#include "cli/verbs.h"
#include "wit/provider_c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct values {
    int output;
    const char *wit, *world, *directory, *name;
};

static const struct values defaults = {.world = "", .directory = "."};

/* --- files in --- */

enum { PATH_SIZE = 4096 };

static int add_file(struct wisp_wit_document *document, uint32_t folder, const char *path, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return wisp_err_os(err, errno, "`%s` can't be read", path);
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    for (;;) {
        ssize_t n = read(fd, wisp_buf_reserve(&text, 1 << 16), 1 << 16);
        if (n < 0) return wisp_err_os(err, errno, "`%s` can't be read", path);
        if (n == 0) break;
        text.len += (size_t)n;
        if (text.len > WISP_WIT_SOURCE_MAX) break; /* refused below */
    }
    return wisp_wit_document_add(document, folder, path, wisp_buf_str(&text), err);
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* All *.wit of a folder, as parts of one package. *ret_n: how many. */
static int add_folder(struct wisp_wit_document *document, uint32_t folder, const char *path, size_t *ret_n,
                      struct wisp_err *err)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_visible, alphasort), r = 0;
    if (n < 0) return wisp_err_os(err, errno, "`%s` can't be read", path);
    for (int i = 0; i < n; i++) {
        char file[PATH_SIZE];
        bool is_wit = wisp_str_ends_with(wisp_str_from(entries[i]->d_name), WISP_STR(".wit"));
        if (r == 0 && is_wit && snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name) < PATH_SIZE) {
            r = add_file(document, folder, file, err);
            ++*ret_n;
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* deps/NAME.wit and deps/NAME/ are a package each. */
static int add_dependencies(struct wisp_wit_document *document, const char *wit, struct wisp_err *err)
{
    char path[PATH_SIZE];
    struct dirent **entries;
    if (snprintf(path, sizeof path, "%s/deps", wit) >= PATH_SIZE || !is_folder(path)) return 0;
    int n = scandir(path, &entries, is_visible, alphasort), r = 0;
    if (n < 0) return wisp_err_os(err, errno, "`%s` can't be read", path);
    for (int i = 0; i < n; i++) {
        char item[PATH_SIZE];
        size_t n_files = 0;
        bool fits = snprintf(item, sizeof item, "%s/%s", path, entries[i]->d_name) < PATH_SIZE;
        if (r == 0 && fits && is_folder(item))
            r = add_folder(document, (uint32_t)i + 1, item, &n_files, err);
        else if (r == 0 && fits && wisp_str_ends_with(wisp_str_from(item), WISP_STR(".wit")))
            r = add_file(document, (uint32_t)i + 1, item, err);
        free(entries[i]);
    }
    free(entries);
    return r;
}

static int read_wit(struct wisp_wit_document *document, const char *wit, struct wisp_err *err)
{
    if (!is_folder(wit)) return add_file(document, 0, wit, err);
    size_t n_files = 0;
    int r = add_folder(document, 0, wit, &n_files, err);
    if (r < 0) return r;
    if (!n_files) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there are no .wit files in `%s`", wit);
    return add_dependencies(document, wit, err);
}

/* --- files out --- */

static int write_file(const char *path, struct wisp_str text, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0) return wisp_err_os(err, errno, "`%s` can't be written", path);
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0) return wisp_err_os(err, errno, "`%s` can't be written", path);
        text = (struct wisp_str){text.ptr + n, text.len - (size_t)n};
    }
    return 0;
}

static int check_name(const char *name, struct wisp_err *err)
{
    bool is_good = name[0] && !(name[0] >= '0' && name[0] <= '9');
    for (const char *c = name; *c; c++)
        is_good &=
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '-';
    if (is_good) return 0;
    return wisp_err_set(err, WISP_ERR_USAGE, "`%s` can't be a name in C", name);
}

static int run_provider(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
    const struct wisp_wit_document_world *world;
    int r = read_wit(document, values->wit, err);
    if (r == 0) r = wisp_wit_document_world(document, 0, wisp_str_from(values->world), &world, err);
    if (r < 0) return r;
    WISP_CLEANUP_FREE char *name = wisp_mem_dup(values->name ? wisp_str_from(values->name) : world->name);
    for (char *c = name; *c; c++)
        if (*c == '-') *c = '_';
    if ((r = check_name(name, err)) < 0) return r;
    WISP_CLEANUP_BUF struct wisp_buf header = {0}, source = {0};
    if ((r = wisp_wit_provider_c(world, wisp_str_from(name), &header, &source, err)) < 0) return r;
    char header_path[PATH_SIZE], source_path[PATH_SIZE];
    snprintf(header_path, sizeof header_path, "%s/%s.h", values->directory, name);
    snprintf(source_path, sizeof source_path, "%s/%s.c", values->directory, name);
    if ((r = write_file(header_path, wisp_buf_str(&header), err)) < 0) return r;
    if ((r = write_file(source_path, wisp_buf_str(&source), err)) < 0) return r;
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(
            json_pack("{s:s, s:s, s:s}", "world", world->id.ptr, "header", header_path, "source", source_path));
    else
        printf("%s\n%s\n", header_path, source_path);
    return 0;
}

#define FIELD(field) .offset = offsetof(struct values, field)
static const struct wisp_arg_option options[] = {
    {.name = "world",
     .letter = 'w',
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     .help = "which world of the package [the only one]",
     FIELD(world)},
    {.name = "directory",
     .letter = 'd',
     .kind = WISP_ARG_TEXT,
     .value = "DIR",
     .help = "where the files go [.]",
     .completion = WISP_COMPLETE_DIRS,
     FIELD(directory)},
    {.name = "name",
     .letter = 'n',
     .kind = WISP_ARG_TEXT,
     .value = "NAME",
     .help = "of the files and lists [the world's]",
     FIELD(name)},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand operands[] = {
    {.name = "WIT",
     .help = "a .wit file, or a folder of them with dependencies in its folder deps",
     .is_required = true,
     .completion = WISP_COMPLETE_FILES,
     FIELD(wit)},
};

static const struct wisp_verb provider = {
    .name = "bindgen provider",
    .summary = "make C for a capability provider from WIT",
    .text = "Makes NAME.h and NAME.c for a provider that is built with the SDK. What the world exports the provider\n"
            "serves: write the functions that the header declares. What it imports the provider can call at the\n"
            "components that it is linked to.\n",
    .example = "wisp bindgen provider wit --world provider --directory src",
    WISP_VERB_TABLES(options, operands, defaults),
    .run = run_provider,
};
static const struct wisp_verb *const verbs[] = {&provider, NULL};

const struct wisp_verb wisp_verb_bindgen = {
    .name = "bindgen",
    .summary = "make source code from WIT",
    .verbs = verbs,
    .example = "wisp bindgen provider wit",
};
