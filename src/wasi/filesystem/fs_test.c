/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/filesystem/fs_test_tree.h"

#include <errno.h>

enum { FAILED, CLOSED };

static struct wisp_fs_descriptor *open_rw(const char *path)
{
    return fs_must_open(tree.base, path, 0, WISP_FS_READ | WISP_FS_WRITE);
}

/* --- calls on open files --- */

static int fs_self(const char *name, struct wisp_fs_descriptor *self)
{
    struct wisp_fs_result result;
    CHECK_INT(INVOKE(wisp_wasi_filesystem_types, name, &(struct wisp_fs_self_args){self}, &result), 0);
    return FS_CODE(result);
}
#define SYNC "[method]descriptor.sync"
#define SYNC_DATA "[method]descriptor.sync-data"

static int fs_get_u32(const char *name, struct wisp_fs_descriptor *self)
{
    struct wisp_fs_u32_result result;
    CHECK_INT(INVOKE(wisp_wasi_filesystem_types, name, &(struct wisp_fs_self_args){self}, &result), 0);
    CHECK(!result.is_error);
    return (int)result.ok;
}
#define GET_FLAGS "[method]descriptor.get-flags"
#define GET_TYPE "[method]descriptor.get-type"

static int fs_set_size(struct wisp_fs_descriptor *self, uint64_t size)
{
    struct wisp_fs_result result;
    CHECK_INT(FS_INVOKE("set-size", (&(struct wisp_fs_size_args){self, size}), &result), 0);
    return FS_CODE(result);
}

static int fs_read(struct wisp_fs_descriptor *self, uint64_t length, uint64_t offset, struct wisp_fs_read_bytes *ret)
{
    struct wisp_fs_read_result result;
    CHECK_INT(FS_INVOKE("read", (&(struct wisp_fs_read_args){self, length, offset}), &result), 0);
    if (!result.is_error) *ret = result.ok;
    return FS_CODE(result);
}

static void check_read(struct wisp_fs_descriptor *self, uint64_t length, uint64_t offset, const char *text, bool is_end)
{
    struct wisp_fs_read_bytes got;
    CHECK_INT(fs_read(self, length, offset, &got), OK);
    CHECK_STR(((struct wisp_str){(const char *)got.data.ptr, got.data.len}), text);
    CHECK_INT(got.is_end, is_end);
}

static int fs_write(struct wisp_fs_descriptor *self, const char *text, size_t size, uint64_t offset, uint64_t *ret_n)
{
    struct wisp_fs_size_result result;
    struct wisp_fs_write_args args = {self, {(const uint8_t *)text, size}, offset};
    CHECK_INT(FS_INVOKE("write", &args, &result), 0);
    if (!result.is_error && ret_n) *ret_n = result.ok;
    return FS_CODE(result);
}

static int fs_advise(struct wisp_fs_descriptor *self, uint64_t offset, uint64_t length, uint32_t advice)
{
    struct wisp_fs_result result;
    CHECK_INT(FS_INVOKE("advise", (&(struct wisp_fs_advise_args){self, offset, length, advice}), &result), 0);
    return FS_CODE(result);
}

static int fs_set_times(struct wisp_fs_descriptor *self, struct wisp_fs_new_timestamp accessed,
                        struct wisp_fs_new_timestamp modified)
{
    struct wisp_fs_result result;
    CHECK_INT(FS_INVOKE("set-times", (&(struct wisp_fs_set_times_args){self, accessed, modified}), &result), 0);
    return FS_CODE(result);
}

static bool fs_is_same(struct wisp_fs_descriptor *self, struct wisp_fs_descriptor *other)
{
    bool same;
    CHECK_INT(FS_INVOKE("is-same-object", (&(struct wisp_fs_same_args){self, other}), &same), 0);
    return same;
}

/* --- reading and writing --- */

TEST(file_is_read_at_offsets)
{
    start_tree();
    struct wisp_fs_descriptor *file = fs_must_open(tree.base, "file", 0, WISP_FS_READ);
    check_read(file, 5, 0, "hello", false);
    check_read(file, 100, 6, "world", false);
    check_read(file, 100, 11, "", true);
    check_read(file, 100, (uint64_t)INT64_MAX, "", true);
    struct wisp_fs_read_bytes got;
    CHECK_INT(fs_read(file, 100, UINT64_MAX, &got), WISP_FS_INVALID);
    check_read(file, UINT64_MAX, 0, "hello world", false);
    CHECK_INT(fs_write(file, "x", 1, 0, NULL), WISP_FS_BAD_DESCRIPTOR);
    CHECK_INT(fs_set_size(file, 0), WISP_FS_BAD_DESCRIPTOR);
    CHECK_INT(fs_self(SYNC, file), OK);
    CHECK_INT(fs_get_u32(GET_FLAGS, file), WISP_FS_READ);
    CHECK_INT(fs_get_u32(GET_TYPE, file), WISP_FS_TYPE_REGULAR_FILE);
    drop_descriptor(file);
    stop_tree();
}

TEST(file_is_written_at_offsets)
{
    start_tree();
    struct wisp_fs_descriptor *file = open_rw("file");
    uint64_t n;
    CHECK_INT(fs_write(file, "HELLO", 5, 0, &n), OK);
    CHECK_INT(n, 5);
    CHECK_INT(fs_write(file, "!", 1, 12, &n), OK);
    CHECK_INT(memcmp(text_of(tree.root, "file"), "HELLO world\0!", 14), 0);
    CHECK_INT(fs_write(file, "x", 1, UINT64_MAX, NULL), WISP_FS_INVALID);
    CHECK_INT(fs_write(file, "x", 1, INT64_MAX, NULL), WISP_FS_FILE_TOO_LARGE);
    CHECK_INT(fs_write(file, "", 0, 3, &n), OK);
    CHECK_INT(n, 0);
    CHECK_INT(fs_set_size(file, 4), OK);
    CHECK_TEXT(text_of(tree.root, "file"), "HELL");
    CHECK_INT(fs_set_size(file, UINT64_MAX), WISP_FS_INVALID);
    CHECK_INT(fs_self(SYNC, file), OK);
    CHECK_INT(fs_self(SYNC_DATA, file), OK);
    CHECK_INT(fs_get_u32(GET_FLAGS, file), WISP_FS_READ | WISP_FS_WRITE);
    drop_descriptor(file);
    stop_tree();
}

TEST(one_call_moves_a_bounded_amount)
{
    start_tree();
    struct wisp_fs_descriptor *file = open_rw("file");
    size_t size = 3 << 20;
    char *bytes = calloc(1, size);
    uint64_t n;
    CHECK_INT(fs_write(file, bytes, size, 0, &n), OK);
    CHECK_INT(n, WISP_FS_WRITE_MAX);
    struct wisp_fs_read_bytes got;
    CHECK_INT(fs_read(file, size, 0, &got), OK);
    CHECK_INT(got.data.len, WISP_FS_READ_MAX);
    CHECK(!got.is_end);
    free(bytes);
    drop_descriptor(file);
    stop_tree();
}

TEST(write_only_files_are_not_read)
{
    start_tree();
    struct wisp_fs_descriptor *file = fs_must_open(tree.base, "file", 0, WISP_FS_WRITE);
    struct wisp_fs_read_bytes got;
    CHECK_INT(fs_read(file, 1, 0, &got), WISP_FS_BAD_DESCRIPTOR);
    CHECK_INT(fs_get_u32(GET_FLAGS, file), WISP_FS_WRITE);
    struct wisp_fs_handle_result stream;
    CHECK_INT(FS_INVOKE("read-via-stream", (&(struct wisp_fs_size_args){file, 0}), &stream), 0);
    CHECK_INT(FS_CODE(stream), WISP_FS_BAD_DESCRIPTOR);
    drop_descriptor(file);
    stop_tree();
}

TEST(directories_are_no_files)
{
    start_tree();
    struct wisp_fs_read_bytes got;
    CHECK_INT(fs_read(tree.base, 1, 0, &got), WISP_FS_BAD_DESCRIPTOR);
    CHECK_INT(fs_write(tree.base, "x", 1, 0, NULL), WISP_FS_BAD_DESCRIPTOR);
    CHECK_INT(fs_set_size(tree.base, 0), WISP_FS_BAD_DESCRIPTOR);
    CHECK_INT(fs_advise(tree.base, 0, 0, 0), WISP_FS_BAD_DESCRIPTOR);
    CHECK_INT(fs_self(SYNC, tree.base), OK);
    CHECK_INT(fs_get_u32(GET_TYPE, tree.base), WISP_FS_TYPE_DIRECTORY);
    CHECK_INT(fs_get_u32(GET_FLAGS, tree.base), WISP_FS_READ | WISP_FS_MUTATE_DIRECTORY);
    CHECK_INT(fs_get_u32(GET_FLAGS, tree.read_only), WISP_FS_READ);
    struct wisp_fs_descriptor *file = open_rw("file"), *unused;
    CHECK_INT(fs_try_open(file, str("x")), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_path(MKDIR, file, str("x")), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_stat_at(file, 0, str("x"), NULL), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_readlink(file, str("x"), NULL), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_rename(tree.base, str("file"), file, str("x")), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_open(tree.base, 0, str("dir"), 0, WISP_FS_WRITE, &unused), WISP_FS_IS_DIRECTORY);
    drop_descriptor(file);
    stop_tree();
}

TEST(advice_is_taken)
{
    start_tree();
    struct wisp_fs_descriptor *file = open_rw("file");
    for (uint32_t advice = 0; advice < 6; advice++) CHECK_INT(fs_advise(file, 0, 100, advice), OK);
    CHECK_INT(fs_advise(file, UINT64_MAX, 1, 0), WISP_FS_INVALID);
    CHECK_INT(fs_advise(file, 0, UINT64_MAX, 0), WISP_FS_INVALID);
    drop_descriptor(file);
    stop_tree();
}

/* --- opening --- */

TEST(open_flags_do_what_they_say)
{
    start_tree();
    struct wisp_fs_descriptor *file = NULL;
    CHECK_INT(fs_open(tree.base, 0, str("new"), 0, WISP_FS_READ, &file), WISP_FS_NO_ENTRY);
    CHECK_INT(fs_open(tree.base, 0, str("new"), WISP_FS_CREATE, WISP_FS_WRITE, &file), OK);
    drop_descriptor(file);
    CHECK_INT(fs_open(tree.base, 0, str("new"), WISP_FS_CREATE | WISP_FS_EXCLUSIVE, WISP_FS_WRITE, &file),
              WISP_FS_EXIST);
    CHECK_INT(fs_open(tree.base, 0, str("file"), WISP_FS_TRUNCATE, WISP_FS_WRITE, &file), OK);
    CHECK_TEXT(text_of(tree.root, "file"), "");
    drop_descriptor(file);
    CHECK_INT(fs_open(tree.base, 0, str("file"), WISP_FS_DIRECTORY, WISP_FS_READ, &file), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_open(tree.base, 0, str("dir"), WISP_FS_DIRECTORY | WISP_FS_CREATE, 0, &file), WISP_FS_INVALID);
    CHECK_INT(fs_open(tree.base, 0, str("link_file"), 0, WISP_FS_READ, &file), WISP_FS_LOOP);
    CHECK_INT(fs_open(tree.base, 0, str("file"), 0, 0, &file), OK);
    CHECK_INT(fs_get_u32(GET_FLAGS, file), WISP_FS_READ);
    drop_descriptor(file);
    CHECK_INT(fs_open(tree.base, 0, str("file"), 0, WISP_FS_WRITE | WISP_FS_DATA_SYNC | WISP_FS_FILE_SYNC, &file), OK);
    CHECK_INT(fs_get_u32(GET_FLAGS, file), WISP_FS_WRITE | WISP_FS_DATA_SYNC | WISP_FS_FILE_SYNC);
    CHECK(fcntl(file->fd, F_GETFL) & O_SYNC);
    CHECK(fcntl(file->fd, F_GETFD) & FD_CLOEXEC);
    drop_descriptor(file);
    stop_tree();
}

TEST(named_pipes_do_not_block)
{
    start_tree();
    CHECK_INT(mkfifoat(tree.root, "pipe", 0666), 0);
    struct wisp_fs_descriptor *pipe = NULL;
    struct wisp_fs_read_bytes got;
    CHECK_INT(fs_open(tree.base, 0, str("pipe"), 0, WISP_FS_WRITE, &pipe), WISP_FS_NO_SUCH_DEVICE);
    CHECK_INT(fs_open(tree.base, 0, str("pipe"), 0, WISP_FS_READ, &pipe), OK);
    CHECK_INT(fs_get_u32(GET_TYPE, pipe), WISP_FS_TYPE_FIFO);
    CHECK_INT(fs_read(pipe, 1, 0, &got), WISP_FS_INVALID_SEEK);
    drop_descriptor(pipe);
    stop_tree();
}

TEST(number_of_descriptors_is_limited)
{
    start_tree();
    static struct wisp_fs_descriptor *held[WISP_WASI_DESCRIPTORS_MAX];
    int n = 0, code;
    while ((code = fs_open(tree.base, 0, str("file"), 0, WISP_FS_READ, &held[n])) == OK) n++;
    CHECK_INT(code, WISP_FS_INSUFFICIENT_MEMORY);
    CHECK_INT(n, WISP_WASI_DESCRIPTORS_MAX - 2);
    struct wisp_fs_handle_result entries;
    CHECK_INT(FS_INVOKE("read-directory", &(struct wisp_fs_self_args){tree.base}, &entries), 0);
    CHECK_INT(FS_CODE(entries), WISP_FS_INSUFFICIENT_MEMORY);
    uint64_t list[2];
    CHECK(fake_invoke(&wisp_wasi_filesystem_preopens, "get-directories", NULL, 0, list, sizeof list) < 0);
    CHECK_HAS(fake.trap, "more than 1024 open descriptors");
    drop_descriptor(held[--n]);
    CHECK_INT(fs_open(tree.base, 0, str("file"), 0, WISP_FS_READ, &held[n]), OK);
    for (int i = 0; i <= n; i++) drop_descriptor(held[i]);
    stop_tree();
}

/* --- attributes --- */

TEST(stat_tells_all)
{
    start_tree();
    struct wisp_fs_descriptor *file = open_rw("file");
    struct wisp_fs_stat st, at;
    CHECK_INT(fs_stat(file, &st), OK);
    CHECK_INT(fs_stat_at(tree.base, 0, str("file"), &at), OK);
    CHECK_INT(memcmp(&st.modified.value.seconds, &at.modified.value.seconds, sizeof(uint64_t)), 0);
    CHECK_INT(st.type, WISP_FS_TYPE_REGULAR_FILE);
    CHECK_INT(st.size, 11);
    CHECK_INT(st.link_count, 1);
    CHECK(st.accessed.is_some && st.modified.is_some && st.changed.is_some);
    CHECK(st.modified.value.seconds > 1700000000 && st.modified.value.nanoseconds < 1000000000);
    CHECK_INT(fs_stat_at(tree.base, WISP_FS_FOLLOW, str("link_file"), &at), OK);
    CHECK_INT(at.type, WISP_FS_TYPE_REGULAR_FILE);
    CHECK_INT(fs_stat_at(tree.base, 0, str("link_file"), &at), OK);
    CHECK_INT(at.type, WISP_FS_TYPE_SYMBOLIC_LINK);
    CHECK_INT(fs_stat_at(tree.read_only, 0, str("."), &at), OK);
    CHECK_INT(at.type, WISP_FS_TYPE_DIRECTORY);
    drop_descriptor(file);
    stop_tree();
}

static const struct wisp_fs_new_timestamp keep = {.tag = 0}, now = {.tag = 1};

static struct wisp_fs_new_timestamp at_time(uint64_t seconds, uint32_t nanoseconds)
{
    return (struct wisp_fs_new_timestamp){.tag = 2, .value = {seconds, nanoseconds}};
}

TEST(times_are_set)
{
    start_tree();
    struct wisp_fs_descriptor *file = open_rw("file");
    struct wisp_fs_stat st;
    CHECK_INT(fs_set_times(file, at_time(1000, 1), at_time(2000, 2)), OK);
    CHECK_INT(fs_stat(file, &st), OK);
    CHECK_INT(st.accessed.value.seconds, 1000);
    CHECK_INT(st.accessed.value.nanoseconds, 1);
    CHECK_INT(st.modified.value.seconds, 2000);
    CHECK_INT(st.modified.value.nanoseconds, 2);
    CHECK_INT(fs_set_times(file, keep, now), OK);
    CHECK_INT(fs_stat(file, &st), OK);
    CHECK_INT(st.accessed.value.seconds, 1000);
    CHECK(st.modified.value.seconds > 1700000000);
    CHECK_INT(fs_set_times(file, keep, at_time(0, 1000000000)), WISP_FS_INVALID);
    CHECK_INT(fs_set_times(file, at_time(0, UTIME_OMIT), keep), WISP_FS_INVALID);
    CHECK_INT(fs_set_times(file, at_time(UINT64_MAX, 0), keep), WISP_FS_INVALID);
    drop_descriptor(file);
    stop_tree();
}

TEST(times_are_set_by_path_of_link_or_target)
{
    start_tree();
    struct wisp_fs_stat link, file;
    CHECK_INT(fs_set_times_at(tree.base, WISP_FS_FOLLOW, str("link_file"), keep, at_time(3000, 0)), OK);
    CHECK_INT(fs_set_times_at(tree.base, 0, str("link_file"), keep, at_time(4000, 0)), OK);
    CHECK_INT(fs_stat_at(tree.base, 0, str("link_file"), &link), OK);
    CHECK_INT(fs_stat_at(tree.base, 0, str("file"), &file), OK);
    CHECK_INT(link.modified.value.seconds, 4000);
    CHECK_INT(file.modified.value.seconds, 3000);
    CHECK_INT(fs_set_times_at(tree.base, 0, str("dir/"), keep, at_time(5000, 0)), OK);
    CHECK_INT(fs_stat_at(tree.base, 0, str("dir"), &file), OK);
    CHECK_INT(file.modified.value.seconds, 5000);
    CHECK_INT(fs_set_times_at(tree.base, WISP_FS_FOLLOW, str("link_passwd"), keep, now), WISP_FS_NOT_PERMITTED);
    stop_tree();
}

TEST(identity_is_told_without_telling_inodes)
{
    start_tree();
    struct wisp_fs_descriptor *one = open_rw("file"), *two = open_rw("link_file"), *other = open_rw("dir/file");
    CHECK(fs_is_same(one, two));
    CHECK(fs_is_same(tree.base, tree.read_only));
    CHECK(!fs_is_same(one, other));
    CHECK(!fs_is_same(one, tree.base));
    struct wisp_fs_hash_result result;
    struct wisp_fs_hash_value before, at, different;
    CHECK_INT(FS_INVOKE("metadata-hash", &(struct wisp_fs_self_args){one}, &result), 0);
    CHECK_INT(FS_CODE(result), OK);
    before = result.ok;
    CHECK_INT(fs_write(one, "more", 4, 100, NULL), OK);
    CHECK_INT(fs_hash_at(tree.base, WISP_FS_FOLLOW, str("link_file"), &at), OK);
    CHECK(at.lower == before.lower && at.upper == before.upper);
    CHECK_INT(fs_hash_at(tree.base, 0, str("link_file"), &different), OK);
    CHECK(different.lower != before.lower && different.upper != before.upper);
    struct stat st;
    CHECK_INT(fstat(one->fd, &st), 0);
    CHECK(before.lower != st.st_ino && before.upper != st.st_ino && before.lower != before.upper);
    drop_descriptor(one);
    drop_descriptor(two);
    drop_descriptor(other);
    stop_tree();
}

/* --- names --- */

TEST(directories_are_made_and_removed)
{
    start_tree();
    CHECK_INT(fs_path(MKDIR, tree.base, str("new")), OK);
    CHECK_INT(fs_path(MKDIR, tree.base, str("new")), WISP_FS_EXIST);
    CHECK_INT(fs_path(MKDIR, tree.base, str("new/below/")), OK);
    CHECK_INT(fs_path(MKDIR, tree.base, str("nothing/below")), WISP_FS_NO_ENTRY);
    CHECK_INT(fs_path(MKDIR, tree.base, str("file/below")), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_path(RMDIR, tree.base, str("new")), WISP_FS_NOT_EMPTY);
    CHECK_INT(fs_path(RMDIR, tree.base, str("new/below/")), OK);
    CHECK_INT(fs_path(RMDIR, tree.base, str("file")), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_path(RMDIR, tree.base, str("new")), OK);
    CHECK_INT(fs_path(UNLINK, tree.base, str("dir")), WISP_FS_IS_DIRECTORY);
    CHECK_INT(fs_path(UNLINK, tree.base, str("dir/")), WISP_FS_IS_DIRECTORY);
    CHECK_INT(fs_path(UNLINK, tree.base, str("file/")), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_path(UNLINK, tree.base, str("file")), OK);
    CHECK_INT(fs_path(UNLINK, tree.base, str("file")), WISP_FS_NO_ENTRY);
    stop_tree();
}

TEST(names_are_changed)
{
    start_tree();
    struct wisp_fs_descriptor *dir = fs_must_open(tree.base, "dir", WISP_FS_DIRECTORY, WISP_FS_READ);
    CHECK_INT(fs_rename(tree.base, str("file"), dir, str("inner/moved")), OK);
    CHECK_TEXT(text_of(tree.root, "dir/inner/moved"), "hello world");
    CHECK_INT(fs_rename(dir, str("inner/moved"), tree.base, str("dir/file")), OK);
    CHECK_TEXT(text_of(tree.root, "dir/file"), "hello world");
    CHECK_INT(fs_rename(tree.base, str("dir/file/"), tree.base, str("x")), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_rename(tree.base, str("dir/inner/"), tree.base, str("inner/")), OK);
    CHECK_INT(fs_rename(tree.base, str("inner"), tree.base, str("inner/below")), WISP_FS_INVALID);
    CHECK_INT(fs_rename(tree.base, str("nothing"), tree.base, str("x")), WISP_FS_NO_ENTRY);
    CHECK_INT(fs_rename(tree.base, str("inner"), tree.base, str("dir")), WISP_FS_NOT_EMPTY);
    drop_descriptor(dir);
    stop_tree();
}

TEST(hard_links_are_made_of_files)
{
    start_tree();
    CHECK_INT(fs_link(tree.base, 0, str("file"), tree.base, str("dir/linked")), OK);
    CHECK_TEXT(text_of(tree.root, "dir/linked"), "hello world");
    CHECK_INT(fs_link(tree.base, 0, str("file"), tree.base, str("dir/linked")), WISP_FS_EXIST);
    CHECK_INT(fs_link(tree.base, 0, str("dir"), tree.base, str("x")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_link(tree.base, 0, str("nothing"), tree.base, str("x")), WISP_FS_NO_ENTRY);
    CHECK_INT(fs_link(tree.base, 0, str("nothing/"), tree.base, str("x")), WISP_FS_NO_ENTRY);
    CHECK_INT(fs_link(tree.base, 0, str("file/"), tree.base, str("x")), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(fs_link(tree.base, 0, str("dir/"), tree.base, str("x")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_link(tree.base, 0, str("file"), tree.base, str("x/")), WISP_FS_NO_ENTRY);
    CHECK_INT(fs_link(tree.base, 0, str("file"), tree.base, str("dir/")), WISP_FS_EXIST);
    CHECK_INT(fs_link(tree.base, WISP_FS_FOLLOW, str("link_file"), tree.base, str("x")), WISP_FS_INVALID);
    stop_tree();
}

TEST(symbolic_links_are_made_and_read)
{
    start_tree();
    struct wisp_str text;
    CHECK_INT(fs_symlink(tree.base, str("dir/file"), str("new")), OK);
    CHECK_INT(fs_readlink(tree.base, str("new"), &text), OK);
    CHECK_STR(text, "dir/file");
    CHECK_INT(fs_try_open(tree.base, str("new")), OK);
    CHECK_INT(fs_readlink(tree.base, str("file"), NULL), WISP_FS_INVALID);
    CHECK_INT(fs_readlink(tree.base, str("dir/"), NULL), WISP_FS_INVALID);
    CHECK_INT(fs_readlink(tree.base, str("new/"), NULL), WISP_FS_NOT_DIRECTORY);
    CHECK_INT(symlinkat("\xff\xfe", tree.root, "odd"), 0);
    CHECK_INT(fs_readlink(tree.base, str("odd"), NULL), WISP_FS_ILLEGAL_BYTE_SEQUENCE);
    stop_tree();
}

/* --- read-only --- */

TEST(read_only_preopens_change_nothing)
{
    start_tree();
    struct wisp_fs_descriptor *ro = tree.read_only, *rw = tree.base, *unused = NULL;
    CHECK_INT(fs_open(ro, 0, str("file"), 0, WISP_FS_WRITE, &unused), WISP_FS_READ_ONLY);
    CHECK_INT(fs_open(ro, 0, str("new"), WISP_FS_CREATE, WISP_FS_READ, &unused), WISP_FS_READ_ONLY);
    CHECK_INT(fs_open(ro, 0, str("file"), WISP_FS_TRUNCATE, WISP_FS_READ, &unused), WISP_FS_READ_ONLY);
    CHECK_INT(fs_open(ro, 0, str("dir"), 0, WISP_FS_READ | WISP_FS_MUTATE_DIRECTORY, &unused), WISP_FS_READ_ONLY);
    CHECK_INT(fs_path(MKDIR, ro, str("new")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_path(RMDIR, ro, str("dir/inner")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_path(UNLINK, ro, str("file")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_symlink(ro, str("file"), str("new")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_rename(ro, str("file"), ro, str("new")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_rename(ro, str("file"), rw, str("new")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_rename(rw, str("file"), ro, str("new")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_link(ro, 0, str("file"), rw, str("new")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_link(rw, 0, str("file"), ro, str("new")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_set_times_at(ro, 0, str("file"), now, now), WISP_FS_READ_ONLY);
    CHECK_INT(fs_set_times(ro, now, now), WISP_FS_READ_ONLY);
    struct wisp_fs_descriptor *dir = fs_must_open(ro, "dir", WISP_FS_DIRECTORY, WISP_FS_READ);
    struct wisp_fs_descriptor *file = fs_must_open(ro, "file", 0, WISP_FS_READ);
    CHECK_INT(fs_path(UNLINK, dir, str("file")), WISP_FS_READ_ONLY);
    CHECK_INT(fs_set_times(file, now, now), WISP_FS_READ_ONLY);
    CHECK_INT(fs_write(file, "x", 1, 0, NULL), WISP_FS_BAD_DESCRIPTOR);
    CHECK_INT(fs_get_u32(GET_FLAGS, dir), WISP_FS_READ);
    check_read(file, 100, 0, "hello world", false);
    drop_descriptor(dir);
    drop_descriptor(file);
    stop_tree();
}

/* --- directory streams --- */

static int next_entry(void *entries, struct wisp_fs_optional_entry *ret_entry)
{
    struct wisp_fs_entry_result result;
    CHECK_INT(
        INVOKE(wisp_wasi_filesystem_types, "[method]directory-entry-stream.read-directory-entry", &entries, &result),
        0);
    if (!result.is_error) *ret_entry = result.ok;
    return FS_CODE(result);
}

static void *open_entries(struct wisp_fs_descriptor *self)
{
    struct wisp_fs_handle_result result;
    CHECK_INT(FS_INVOKE("read-directory", &(struct wisp_fs_self_args){self}, &result), 0);
    CHECK_INT(FS_CODE(result), OK);
    return result.ok;
}

static void drop_entries(void *entries)
{
    CHECK(!fake_drop(&wisp_wasi_filesystem_types, "directory-entry-stream", entries));
}

TEST(entries_come_without_dots)
{
    start_tree();
    struct wisp_fs_descriptor *dir = fs_must_open(tree.base, "dir", WISP_FS_DIRECTORY, WISP_FS_READ);
    void *streams[] = {open_entries(dir), open_entries(dir)};
    for (int i = 0; i < 2; i++) {
        struct wisp_fs_optional_entry entry;
        int n_files = 0, n_directories = 0;
        while (next_entry(streams[i], &entry) == OK && entry.is_some) {
            if (wisp_str_is(entry.value.name, "file") && entry.value.type == WISP_FS_TYPE_REGULAR_FILE) n_files++;
            if (wisp_str_is(entry.value.name, "inner") && entry.value.type == WISP_FS_TYPE_DIRECTORY) n_directories++;
            CHECK(entry.value.name.ptr[0] != '.');
        }
        CHECK(n_files == 1 && n_directories == 1);
        CHECK_INT(next_entry(streams[i], &entry), OK);
        CHECK_INT(entry.is_some, 0);
    }
    drop_descriptor(dir);
    drop_entries(streams[0]);
    drop_entries(streams[1]);
    stop_tree();
}

TEST(names_that_are_no_text_are_errors)
{
    start_tree();
    make_file(tree.root, "dir/inner/\xff", "x");
    struct wisp_fs_descriptor *dir = fs_must_open(tree.base, "dir/inner", WISP_FS_DIRECTORY, WISP_FS_READ);
    void *entries = open_entries(dir);
    struct wisp_fs_optional_entry entry = {1, {0}};
    int n_good = 0, n_bad = 0;
    for (int i = 0; i < 10 && entry.is_some; i++) {
        int code = next_entry(entries, &entry);
        CHECK(code == OK || code == WISP_FS_ILLEGAL_BYTE_SEQUENCE);
        n_good += code == OK && entry.is_some;
        n_bad += code != OK;
    }
    CHECK_INT(n_good, 2);
    CHECK_INT(n_bad, 1);
    drop_entries(entries);
    drop_descriptor(dir);
    stop_tree();
}

TEST(files_have_no_entries)
{
    start_tree();
    struct wisp_fs_descriptor *file = open_rw("file");
    struct wisp_fs_handle_result result;
    CHECK_INT(FS_INVOKE("read-directory", &(struct wisp_fs_self_args){file}, &result), 0);
    CHECK_INT(FS_CODE(result), WISP_FS_NOT_DIRECTORY);
    drop_descriptor(file);
    stop_tree();
}

/* --- error codes --- */

TEST(codes_are_in_the_order_of_the_interface)
{
    CHECK_INT(wisp_fs_code(EACCES), 0);
    CHECK_INT(wisp_fs_code(EEXIST), 7);
    CHECK_INT(wisp_fs_code(EIO), 13);
    CHECK_INT(wisp_fs_code(ENOENT), 20);
    CHECK_INT(wisp_fs_code(ENOTDIR), 24);
    CHECK_INT(wisp_fs_code(EPERM), 31);
    CHECK_INT(wisp_fs_code(EXDEV), 36);
    CHECK_INT(wisp_fs_code(EMFILE), WISP_FS_INSUFFICIENT_MEMORY);
    CHECK_INT(wisp_fs_code(ESTALE), WISP_FS_IO);
}
