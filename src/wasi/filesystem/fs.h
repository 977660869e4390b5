/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:filesystem, shared by the fs_*.c files: descriptors, how a call is answered, and the functions of the interface.
 *
 * Inside these files an outcome is an errno, 0 for success; wisp_fs_code turns it into the guest's error-code. The ones
 * we make ourselves: EPERM a path leaves its directory, EROFS the directory is read-only, EBADF the descriptor was not
 * opened for this or is a directory, ENOTDIR it is none, ENOMEM too many descriptors.
 *
 * Files are read and written on the calling thread, like a web server does: at most WISP_FS_READ_MAX or
 * WISP_FS_WRITE_MAX bytes a call. What can take long on a busy disk is sync; that is where a thread pool would come in.
 */
#pragma once

#include "wasi/wasi_priv.h"

#include <sys/stat.h>

enum {
    WISP_FS_READ_MAX = 256 << 10,
    WISP_FS_WRITE_MAX = 1 << 20,
};

/* --- error codes (fs_error.c): name in the interface's order, errno --- */

#define WISP_FS_CODES(X)                                                                                               \
    X(ACCESS, EACCES)                                                                                                  \
    X(WOULD_BLOCK, EAGAIN)                                                                                             \
    X(ALREADY, EALREADY)                                                                                               \
    X(BAD_DESCRIPTOR, EBADF)                                                                                           \
    X(BUSY, EBUSY)                                                                                                     \
    X(DEADLOCK, EDEADLK)                                                                                               \
    X(QUOTA, EDQUOT)                                                                                                   \
    X(EXIST, EEXIST)                                                                                                   \
    X(FILE_TOO_LARGE, EFBIG)                                                                                           \
    X(ILLEGAL_BYTE_SEQUENCE, EILSEQ)                                                                                   \
    X(IN_PROGRESS, EINPROGRESS)                                                                                        \
    X(INTERRUPTED, EINTR)                                                                                              \
    X(INVALID, EINVAL)                                                                                                 \
    X(IO, EIO)                                                                                                         \
    X(IS_DIRECTORY, EISDIR)                                                                                            \
    X(LOOP, ELOOP)                                                                                                     \
    X(TOO_MANY_LINKS, EMLINK)                                                                                          \
    X(MESSAGE_SIZE, EMSGSIZE)                                                                                          \
    X(NAME_TOO_LONG, ENAMETOOLONG)                                                                                     \
    X(NO_DEVICE, ENODEV)                                                                                               \
    X(NO_ENTRY, ENOENT)                                                                                                \
    X(NO_LOCK, ENOLCK)                                                                                                 \
    X(INSUFFICIENT_MEMORY, ENOMEM)                                                                                     \
    X(INSUFFICIENT_SPACE, ENOSPC)                                                                                      \
    X(NOT_DIRECTORY, ENOTDIR)                                                                                          \
    X(NOT_EMPTY, ENOTEMPTY)                                                                                            \
    X(NOT_RECOVERABLE, ENOTRECOVERABLE)                                                                                \
    X(UNSUPPORTED, ENOTSUP)                                                                                            \
    X(NO_TTY, ENOTTY)                                                                                                  \
    X(NO_SUCH_DEVICE, ENXIO)                                                                                           \
    X(OVERFLOW, EOVERFLOW)                                                                                             \
    X(NOT_PERMITTED, EPERM)                                                                                            \
    X(PIPE, EPIPE)                                                                                                     \
    X(READ_ONLY, EROFS)                                                                                                \
    X(INVALID_SEEK, ESPIPE)                                                                                            \
    X(TEXT_FILE_BUSY, ETXTBSY)                                                                                         \
    X(CROSS_DEVICE, EXDEV)

enum wisp_fs_code {
#define X(name, os_errno) WISP_FS_##name,
    WISP_FS_CODES(X)
#undef X
        WISP_FS_CODE_COUNT
};

enum wisp_fs_code wisp_fs_code(int os_errno);
void wisp_fs_io_error(struct wisp_io_error *ret_error, const char *what, int os_errno);

/* --- descriptors (fs_descriptor.c) --- */

/* Labels of descriptor-flags, path-flags and open-flags. */
enum {
    WISP_FS_READ = 1 << 0,
    WISP_FS_WRITE = 1 << 1,
    WISP_FS_FILE_SYNC = 1 << 2,
    WISP_FS_DATA_SYNC = 1 << 3,
    WISP_FS_READ_SYNC = 1 << 4,
    WISP_FS_MUTATE_DIRECTORY = 1 << 5,

    WISP_FS_FOLLOW = 1 << 0,

    WISP_FS_CREATE = 1 << 0,
    WISP_FS_DIRECTORY = 1 << 1,
    WISP_FS_EXCLUSIVE = 1 << 2,
    WISP_FS_TRUNCATE = 1 << 3,
};

enum wisp_fs_type {
    WISP_FS_TYPE_UNKNOWN,
    WISP_FS_TYPE_BLOCK_DEVICE,
    WISP_FS_TYPE_CHARACTER_DEVICE,
    WISP_FS_TYPE_DIRECTORY,
    WISP_FS_TYPE_FIFO,
    WISP_FS_TYPE_SYMBOLIC_LINK,
    WISP_FS_TYPE_REGULAR_FILE,
    WISP_FS_TYPE_SOCKET,
};

/* An open file or directory. Shared by its handle and the streams on it. */
struct wisp_fs_descriptor {
    struct wisp_wasi *wasi;
    uint32_t refs;
    int fd;
    bool is_preopen; /* fd belongs to the configuration */
    enum wisp_fs_type type;
    bool can_read, can_write;
    bool can_mutate;     /* the preopen it comes from is not read-only */
    uint32_t sync_flags; /* those asked for at opening */
};

/* ENOMEM when the invocation holds as many descriptors as it may. Asked before the system call. */
int wisp_fs_check_room(const struct wisp_wasi *wasi);
/* Takes `fd`. The other fields are zero; the caller fills in what it may do. */
struct wisp_fs_descriptor *wisp_fs_descriptor_new(struct wisp_wasi *wasi, int fd, mode_t mode);
struct wisp_fs_descriptor *wisp_fs_descriptor_ref(struct wisp_fs_descriptor *descriptor);
void wisp_fs_descriptor_unref(struct wisp_fs_descriptor *descriptor);
enum wisp_fs_type wisp_fs_type_of(mode_t mode);
/* pread, told in unsigned numbers: an offset that is negative for the kernel fails with EINVAL, others just end. */
ssize_t wisp_fs_read_at(const struct wisp_fs_descriptor *descriptor, void *buffer, size_t size, uint64_t offset);

/* --- streams (fs_stream.c): each holds a reference --- */

struct wisp_input_stream *wisp_fs_input_new(struct wisp_fs_descriptor *descriptor, uint64_t offset);
struct wisp_output_stream *wisp_fs_output_new(struct wisp_fs_descriptor *descriptor, uint64_t offset);
struct wisp_output_stream *wisp_fs_append_new(struct wisp_fs_descriptor *descriptor);

/* --- directory streams (fs_dir.c) --- */

struct wisp_fs_entries;
void wisp_fs_entries_free(struct wisp_fs_entries *entries);

/* --- C types of the interface's signatures --- */

struct wisp_fs_datetime {
    uint64_t seconds;
    uint32_t nanoseconds;
};
struct wisp_fs_stat {
    uint32_t type;
    uint64_t link_count, size;
    struct wisp_fs_optional_datetime {
        uint32_t is_some;
        struct wisp_fs_datetime value;
    } accessed, modified, changed;
};
struct wisp_fs_new_timestamp {
    uint32_t tag; /* no-change, now, timestamp */
    struct wisp_fs_datetime value;
};

#define WISP_FS_RESULT(name, ok_type)                                                                                  \
    struct name {                                                                                                      \
        uint32_t is_error;                                                                                             \
        union {                                                                                                        \
            ok_type ok;                                                                                                \
            uint32_t error;                                                                                            \
        };                                                                                                             \
    }
struct wisp_fs_result {
    uint32_t is_error;
    uint32_t error;
};
WISP_FS_RESULT(wisp_fs_handle_result, void *);
WISP_FS_RESULT(wisp_fs_u32_result, uint32_t);
WISP_FS_RESULT(wisp_fs_size_result, uint64_t);
WISP_FS_RESULT(wisp_fs_text_result, struct wisp_str);
WISP_FS_RESULT(wisp_fs_stat_result, struct wisp_fs_stat);
struct wisp_fs_hash_value {
    uint64_t lower, upper;
};
WISP_FS_RESULT(wisp_fs_hash_result, struct wisp_fs_hash_value);
struct wisp_fs_read_bytes {
    struct wisp_bytes data;
    bool is_end;
};
WISP_FS_RESULT(wisp_fs_read_result, struct wisp_fs_read_bytes);
struct wisp_fs_optional_entry {
    uint32_t is_some;
    struct {
        uint32_t type;
        struct wisp_str name;
    } value;
};
WISP_FS_RESULT(wisp_fs_entry_result, struct wisp_fs_optional_entry);
#undef WISP_FS_RESULT

struct wisp_fs_self_args {
    struct wisp_fs_descriptor *self;
};
struct wisp_fs_size_args {
    struct wisp_fs_descriptor *self;
    uint64_t size;
};
struct wisp_fs_advise_args {
    struct wisp_fs_descriptor *self;
    uint64_t offset, length;
    uint32_t advice;
};
struct wisp_fs_set_times_args {
    struct wisp_fs_descriptor *self;
    struct wisp_fs_new_timestamp accessed, modified;
};
struct wisp_fs_read_args {
    struct wisp_fs_descriptor *self;
    uint64_t length, offset;
};
struct wisp_fs_write_args {
    struct wisp_fs_descriptor *self;
    struct wisp_bytes buffer;
    uint64_t offset;
};
struct wisp_fs_path_args {
    struct wisp_fs_descriptor *self;
    struct wisp_str path;
};
struct wisp_fs_flags_path_args {
    struct wisp_fs_descriptor *self;
    uint32_t path_flags;
    struct wisp_str path;
};
struct wisp_fs_set_times_at_args {
    struct wisp_fs_descriptor *self;
    uint32_t path_flags;
    struct wisp_str path;
    struct wisp_fs_new_timestamp accessed, modified;
};
struct wisp_fs_link_args {
    struct wisp_fs_descriptor *self;
    uint32_t old_path_flags;
    struct wisp_str old_path;
    struct wisp_fs_descriptor *new_descriptor;
    struct wisp_str new_path;
};
struct wisp_fs_rename_args {
    struct wisp_fs_descriptor *self;
    struct wisp_str old_path;
    struct wisp_fs_descriptor *new_descriptor;
    struct wisp_str new_path;
};
struct wisp_fs_symlink_args {
    struct wisp_fs_descriptor *self;
    struct wisp_str old_path, new_path;
};
struct wisp_fs_open_args {
    struct wisp_fs_descriptor *self;
    uint32_t path_flags;
    struct wisp_str path;
    uint32_t open_flags, flags;
};
struct wisp_fs_same_args {
    struct wisp_fs_descriptor *self, *other;
};
struct wisp_fs_entries_args {
    struct wisp_fs_entries *self;
};

/* Names the object, not its state: guest libraries make a file's inode number of it, which must not change when the
 * file is written. Keyed by a secret of this process, so that it tells nothing about the host (fs_hash.c). */
struct wisp_fs_hash_value wisp_fs_hash(const struct stat *st);

/* --- functions of the interface --- */

/* fs_file.c */
wisp_host_fn wisp_fs_read_via_stream, wisp_fs_write_via_stream, wisp_fs_append_via_stream, wisp_fs_advise,
    wisp_fs_sync_data, wisp_fs_sync, wisp_fs_get_flags, wisp_fs_get_type, wisp_fs_set_size, wisp_fs_read, wisp_fs_write;
/* fs_stat.c */
wisp_host_fn wisp_fs_stat, wisp_fs_stat_at, wisp_fs_set_times, wisp_fs_set_times_at, wisp_fs_is_same_object,
    wisp_fs_metadata_hash, wisp_fs_metadata_hash_at;
/* fs_at.c */
wisp_host_fn wisp_fs_open_at, wisp_fs_create_directory_at, wisp_fs_remove_directory_at, wisp_fs_unlink_file_at,
    wisp_fs_rename_at, wisp_fs_link_at, wisp_fs_symlink_at, wisp_fs_readlink_at;
/* fs_dir.c */
wisp_host_fn wisp_fs_read_directory, wisp_fs_read_directory_entry;

/* Fills a result whose first member is is_error, whose error is at `error`. */
static inline int wisp_fs_answer(uint32_t *is_error, uint32_t *error, int os_errno)
{
    *is_error = os_errno != 0;
    if (os_errno) *error = wisp_fs_code(os_errno);
    return 0;
}
#define WISP_FS_ANSWER(result, os_errno) wisp_fs_answer(&(result)->is_error, &(result)->error, (os_errno))
