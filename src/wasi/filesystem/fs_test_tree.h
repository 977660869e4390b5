/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of wasi:filesystem: a directory tree with things outside of it, opened as preopens `/` (writable) and
 * `/ro` (the same, read-only), and every function of the interface as a C function that gives back the error code. */
#pragma once

#include "wasi/filesystem/fs.h"
#include "wasi/test_double.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { OK = -1 }; /* beside enum wisp_fs_code */

static struct {
    char path[64]; /* of the directory that holds all */
    int outer, root;
    struct wisp_fs_descriptor *base, *read_only;
} tree;

static inline void make_file(int directory, const char *path, const char *text)
{
    int fd = openat(directory, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static inline char *text_of(int directory, const char *path)
{
    static char text[256];
    memset(text, 0, sizeof text);
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    CHECK(read(fd, text, sizeof text - 1) >= 0);
    close(fd);
    return text;
}

/* outside/secret · root/{file,dir/{file,inner/deep},link_* } */
static inline void make_tree(void)
{
    static const char *const links[][2] = {
        {"file", "link_file"},
        {"dir", "link_dir"},
        {"..", "link_up"},
        {"../outside", "link_out"},
        {"/etc", "link_etc"},
        {"/etc/passwd", "link_passwd"},
        {"link_loop", "link_loop"},
        {"nothing", "dangling"},
        {"dir/../dir/inner", "link_inner"},
        {"dir/inner/../../..", "link_far_up"},
        {"../../file", "dir/inner/link_back"},
        {"../outside/made", "dangling_out"},
    };
    strcpy(tree.path, "/tmp/wisp-fs-test-XXXXXX");
    CHECK(mkdtemp(tree.path));
    tree.outer = open(tree.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(tree.outer >= 0);
    static const char *const directories[] = {"outside", "root", "root/dir", "root/dir/inner"};
    for (size_t i = 0; i < WISP_COUNT(directories); i++) CHECK_INT(mkdirat(tree.outer, directories[i], 0777), 0);
    tree.root = openat(tree.outer, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(tree.root >= 0);
    make_file(tree.outer, "outside/secret", "the secret");
    make_file(tree.root, "file", "hello world");
    make_file(tree.root, "dir/file", "in dir");
    make_file(tree.root, "dir/inner/deep", "deep");
    for (size_t i = 0; i < WISP_COUNT(links); i++) CHECK_INT(symlinkat(links[i][0], tree.root, links[i][1]), 0);
}

static inline void start_tree(void)
{
    static struct wisp_wasi_preopen preopens[2];
    make_tree();
    preopens[0] = (struct wisp_wasi_preopen){tree.root, WISP_STR("/"), false};
    preopens[1] = (struct wisp_wasi_preopen){tree.root, WISP_STR("/ro"), true};
    fake.config = (struct wisp_wasi_config){.preopens = preopens, .n_preopens = 2};
    fake_start();
    struct {
        struct {
            struct wisp_fs_descriptor *descriptor;
            struct wisp_str path;
        } *ptr;
        size_t len;
    } list;
    CHECK_INT(fake_invoke(&wisp_wasi_filesystem_preopens, "get-directories", NULL, 0, &list, sizeof list), 0);
    CHECK_INT(list.len, 2);
    CHECK_STR(list.ptr[0].path, "/");
    CHECK_STR(list.ptr[1].path, "/ro");
    tree.base = list.ptr[0].descriptor;
    tree.read_only = list.ptr[1].descriptor;
}

static inline void drop_descriptor(struct wisp_fs_descriptor *descriptor)
{
    CHECK(!fake_drop(&wisp_wasi_filesystem_types, "descriptor", descriptor));
}

static inline void stop_tree(void)
{
    drop_descriptor(tree.base);
    drop_descriptor(tree.read_only);
    CHECK_INT(fake.wasi.n_descriptors, 0);
    fake_stop();
    close(tree.root);
    close(tree.outer);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", tree.path);
    CHECK_INT(system(command), 0);
}

/* --- the functions --- */

#define FS_INVOKE(name, args, result) INVOKE(wisp_wasi_filesystem_types, "[method]descriptor." name, args, result)
#define FS_CODE(result) ((result).is_error ? (int)(result).error : OK)

static inline struct wisp_str str(const char *text) { return wisp_str_from(text); }

static inline int fs_open(struct wisp_fs_descriptor *self, uint32_t path_flags, struct wisp_str path,
                          uint32_t open_flags, uint32_t flags, struct wisp_fs_descriptor **ret_descriptor)
{
    struct wisp_fs_handle_result result;
    struct wisp_fs_open_args args = {self, path_flags, path, open_flags, flags};
    CHECK_INT(FS_INVOKE("open-at", &args, &result), 0);
    if (!result.is_error) *ret_descriptor = result.ok;
    return FS_CODE(result);
}

/* Following links, for reading; closed again. */
static inline int fs_try_open(struct wisp_fs_descriptor *self, struct wisp_str path)
{
    struct wisp_fs_descriptor *descriptor = NULL;
    int code = fs_open(self, WISP_FS_FOLLOW, path, 0, WISP_FS_READ, &descriptor);
    if (code == OK) drop_descriptor(descriptor);
    return code;
}

static inline struct wisp_fs_descriptor *fs_must_open(struct wisp_fs_descriptor *self, const char *path,
                                                      uint32_t open_flags, uint32_t flags)
{
    struct wisp_fs_descriptor *descriptor = NULL;
    CHECK_INT(fs_open(self, WISP_FS_FOLLOW, str(path), open_flags, flags, &descriptor), OK);
    return descriptor;
}

static inline int fs_stat(struct wisp_fs_descriptor *self, struct wisp_fs_stat *ret_stat)
{
    struct wisp_fs_stat_result result;
    CHECK_INT(FS_INVOKE("stat", &(struct wisp_fs_self_args){self}, &result), 0);
    *ret_stat = result.ok;
    return FS_CODE(result);
}

static inline int fs_stat_at(struct wisp_fs_descriptor *self, uint32_t flags, struct wisp_str path,
                             struct wisp_fs_stat *ret_stat)
{
    struct wisp_fs_stat_result result;
    CHECK_INT(FS_INVOKE("stat-at", (&(struct wisp_fs_flags_path_args){self, flags, path}), &result), 0);
    if (ret_stat) *ret_stat = result.ok;
    return FS_CODE(result);
}

static inline int fs_path(const char *name, struct wisp_fs_descriptor *self, struct wisp_str path)
{
    struct wisp_fs_result result;
    CHECK_INT(INVOKE(wisp_wasi_filesystem_types, name, (&(struct wisp_fs_path_args){self, path}), &result), 0);
    return FS_CODE(result);
}
#define MKDIR "[method]descriptor.create-directory-at"
#define RMDIR "[method]descriptor.remove-directory-at"
#define UNLINK "[method]descriptor.unlink-file-at"

static inline int fs_rename(struct wisp_fs_descriptor *self, struct wisp_str old_path,
                            struct wisp_fs_descriptor *new_descriptor, struct wisp_str new_path)
{
    struct wisp_fs_result result;
    CHECK_INT(
        FS_INVOKE("rename-at", (&(struct wisp_fs_rename_args){self, old_path, new_descriptor, new_path}), &result), 0);
    return FS_CODE(result);
}

static inline int fs_link(struct wisp_fs_descriptor *self, uint32_t flags, struct wisp_str old_path,
                          struct wisp_fs_descriptor *new_descriptor, struct wisp_str new_path)
{
    struct wisp_fs_result result;
    struct wisp_fs_link_args args = {self, flags, old_path, new_descriptor, new_path};
    CHECK_INT(FS_INVOKE("link-at", &args, &result), 0);
    return FS_CODE(result);
}

static inline int fs_symlink(struct wisp_fs_descriptor *self, struct wisp_str old_path, struct wisp_str new_path)
{
    struct wisp_fs_result result;
    CHECK_INT(FS_INVOKE("symlink-at", (&(struct wisp_fs_symlink_args){self, old_path, new_path}), &result), 0);
    return FS_CODE(result);
}

static inline int fs_readlink(struct wisp_fs_descriptor *self, struct wisp_str path, struct wisp_str *ret_text)
{
    struct wisp_fs_text_result result;
    CHECK_INT(FS_INVOKE("readlink-at", (&(struct wisp_fs_path_args){self, path}), &result), 0);
    if (ret_text) *ret_text = result.ok;
    return FS_CODE(result);
}

static inline int fs_set_times_at(struct wisp_fs_descriptor *self, uint32_t flags, struct wisp_str path,
                                  struct wisp_fs_new_timestamp accessed, struct wisp_fs_new_timestamp modified)
{
    struct wisp_fs_result result;
    struct wisp_fs_set_times_at_args args = {self, flags, path, accessed, modified};
    CHECK_INT(FS_INVOKE("set-times-at", &args, &result), 0);
    return FS_CODE(result);
}

static inline int fs_hash_at(struct wisp_fs_descriptor *self, uint32_t flags, struct wisp_str path,
                             struct wisp_fs_hash_value *ret_hash)
{
    struct wisp_fs_hash_result result;
    CHECK_INT(FS_INVOKE("metadata-hash-at", (&(struct wisp_fs_flags_path_args){self, flags, path}), &result), 0);
    if (ret_hash) *ret_hash = result.ok;
    return FS_CODE(result);
}
