/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/context.h"

#include "base/json.h"
#include "host/paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- directories --- */

static const char *variable(const char *prefix, const char *what)
{
    char name[64];
    int n = snprintf(name, sizeof name, "%s", prefix);
    for (; *what && n < (int)sizeof name - 1; what++) name[n++] = (char)(*what & ~0x20);
    name[n] = '\0';
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int wisp_home_directory(const char *what, const char *given, char path[WISP_HOME_PATH_MAX], struct wisp_err *err)
{
    if (!given) given = variable("WISP_", what);
    if (!given) given = variable("WASH_", what);
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");
    int n;
    if (given)
        n = snprintf(path, WISP_HOME_PATH_MAX, "%s", given);
    else if (xdg && *xdg == '/')
        n = snprintf(path, WISP_HOME_PATH_MAX, "%s/wisp/%s", xdg, what);
    else if (home && *home)
        n = snprintf(path, WISP_HOME_PATH_MAX, "%s/.config/wisp/%s", home, what);
    else
        return wisp_err_set(err, WISP_ERR_INVALID, "HOME is not set; give the directory with --directory");
    if (n >= 0 && n < WISP_HOME_PATH_MAX && !given && home && !is_directory(path)) {
        char wash[WISP_HOME_PATH_MAX];
        int size = snprintf(wash, sizeof wash, "%s/.wash/%s", home, what);
        if (size < WISP_HOME_PATH_MAX && is_directory(wash)) memcpy(path, wash, (size_t)size + 1);
    }
    if (n < WISP_HOME_PATH_MAX) return 0;
    return wisp_err_set(err, WISP_ERR_LIMIT, "the directory of %s has a path of more than %d bytes", what,
                        WISP_HOME_PATH_MAX - 1);
}

int wisp_home_make(const char *path, struct wisp_err *err)
{
    char part[WISP_HOME_PATH_MAX];
    size_t len = strnlen(path, sizeof part - 1);
    memcpy(part, path, len);
    part[len] = '\0';
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0') continue;
        char kept = part[i];
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST) return wisp_err_os(err, errno, "make directory `%s`", part);
        part[i] = kept;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

int wisp_home_list(const char *path, const char *suffix, json_t **ret_names, struct wisp_err *err)
{
    json_t *found[WISP_CONTEXTS_MAX];
    size_t n = 0;
    DIR *directory = opendir(path);
    if (!directory && errno != ENOENT) return wisp_err_os(err, errno, "directory `%s`", path);
    for (struct dirent *entry; directory && (entry = readdir(directory)) && n < WISP_COUNT(found);) {
        struct wisp_str name = wisp_str_from(entry->d_name);
        if (name.ptr[0] == '.' || !wisp_str_ends_with(name, wisp_str_from(suffix)) || !wisp_str_is_utf8(name)) continue;
        found[n++] = json_stringn(name.ptr, name.len - strlen(suffix));
    }
    if (directory) closedir(directory);
    qsort(found, n, sizeof found[0], compare);
    *ret_names = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(*ret_names, found[i]);
    return 0;
}

int wisp_home_check_name(const char *name, struct wisp_err *err)
{
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    if (*name && *name != '.' && !name[good] && good <= 100) return 0;
    return wisp_err_set(err, WISP_ERR_USAGE,
                        "`%s` can't be a name: letters, digits, `_`, `-` and `.`, not first a dot, at most 100", name);
}

/* --- contexts --- */

int wisp_context_default(const char *directory, struct wisp_buf *ret_name, struct wisp_err *err)
{
    size_t before = ret_name->len;
    int r = wisp_paths_read(directory, "default", ret_name, err);
    if (r < 0 && r != -WISP_ERR_NOT_FOUND) return wisp_err_wrap(err, "default context");
    while (ret_name->len > before && strchr(" \r\n", ret_name->data[ret_name->len - 1])) ret_name->len--;
    if (ret_name->len == before) wisp_buf_append_str(ret_name, WISP_STR(WISP_CONTEXT_BUILT_IN));
    wisp_buf_append_char(ret_name, '\0');
    ret_name->len--;
    return 0;
}

static int no_such_context(const char *directory, const char *name, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *names = NULL;
    int r = wisp_home_list(directory, ".json", &names, err);
    if (r < 0) return r;
    WISP_CLEANUP_BUF struct wisp_buf all = {0};
    wisp_buf_append_str(&all, WISP_STR(WISP_CONTEXT_BUILT_IN));
    for (size_t i = 0; i < json_array_size(names); i++)
        wisp_buf_printf(&all, ", %s", json_string_value(json_array_get(names, i)));
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no context `%s`; there are: %.*s", name,
                        WISP_STR_ARG(wisp_buf_str(&all)));
}

int wisp_context_load(const char *directory, const char *name, json_t **ret_context, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf chosen = {0}, text = {0};
    int r = 0;
    if (!name) r = wisp_context_default(directory, &chosen, err);
    if (r < 0) return r;
    if (!name) name = chosen.data;
    if ((r = wisp_home_check_name(name, err)) < 0) return wisp_err_wrap(err, "context");
    char file[128];
    snprintf(file, sizeof file, "%s.json", name);
    r = wisp_paths_read(directory, file, &text, err);
    if (r == -WISP_ERR_NOT_FOUND) {
        if (strcmp(name, WISP_CONTEXT_BUILT_IN) != 0) return no_such_context(directory, name, err);
        *ret_context = json_object();
        return 0;
    }
    if (r == 0) r = wisp_json_parse(wisp_buf_str(&text), ret_context, err);
    if (r == 0 && !json_is_object(*ret_context)) {
        wisp_json_freep(ret_context);
        r = wisp_err_set(err, WISP_ERR_INVALID, "it is no JSON object");
    }
    return r < 0 ? wisp_err_wrap(err, "context `%s` (%s/%s)", name, directory, file) : 0;
}
