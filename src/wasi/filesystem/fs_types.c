/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:filesystem/types and preopens: the tables. */
#include "wasi/filesystem/fs.h"

/* --- filesystem-error-code --- */

struct error_args {
    const struct wisp_io_error *error;
};
struct optional_code {
    uint32_t is_some, code;
};

static int error_code(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    const struct wisp_io_error *error = ((const struct error_args *)args)->error;
    bool is_ours = error->origin == WISP_IO_ERROR_FILESYSTEM;
    *(struct optional_code *)result = (struct optional_code){is_ours, is_ours ? error->code : 0};
    return 0;
}

/* --- preopens --- */

struct preopen {
    struct wisp_fs_descriptor *descriptor;
    struct wisp_str path;
};
struct preopens {
    struct preopen *ptr;
    size_t len;
};

static int get_directories(struct wisp_call *call, const void *args, void *result)
{
    (void)args;
    struct wisp_wasi *wasi = call->context;
    size_t n = wasi->config->n_preopens;
    if (wasi->n_descriptors + n > WISP_WASI_DESCRIPTORS_MAX)
        return wisp_call_trap(call, "more than %d open descriptors", WISP_WASI_DESCRIPTORS_MAX);
    struct preopen *list = WISP_NEW_ARRAY(call->arena, struct preopen, n);
    for (size_t i = 0; i < n; i++) {
        const struct wisp_wasi_preopen *preopen = &wasi->config->preopens[i];
        list[i] = (struct preopen){wisp_fs_descriptor_new(wasi, preopen->fd, S_IFDIR), preopen->guest_path};
        list[i].descriptor->is_preopen = list[i].descriptor->can_read = true;
        list[i].descriptor->can_mutate = !preopen->read_only;
    }
    *(struct preopens *)result = (struct preopens){list, n};
    return 0;
}

/* --- tables --- */

static void descriptor_drop(void *rep, void *context)
{
    (void)context;
    wisp_fs_descriptor_unref(rep);
}

static void entries_drop(void *rep, void *context)
{
    (void)context;
    wisp_fs_entries_free(rep);
}

#define METHOD "[method]descriptor."
#define SELF "(borrow<descriptor>"
#define FUNC(name, signature, fn, args, result) {METHOD name, SELF signature, fn, WISP_HOST_SIZES(args, result)}

static const struct wisp_host_func funcs[] = {
    FUNC("read-via-stream", ", u64) -> result<own<input-stream>, error-code>", wisp_fs_read_via_stream,
         struct wisp_fs_size_args, struct wisp_fs_handle_result),
    FUNC("write-via-stream", ", u64) -> result<own<output-stream>, error-code>", wisp_fs_write_via_stream,
         struct wisp_fs_size_args, struct wisp_fs_handle_result),
    FUNC("append-via-stream", ") -> result<own<output-stream>, error-code>", wisp_fs_append_via_stream,
         struct wisp_fs_self_args, struct wisp_fs_handle_result),
    FUNC("advise", ", u64, u64, advice) -> result<_, error-code>", wisp_fs_advise, struct wisp_fs_advise_args,
         struct wisp_fs_result),
    FUNC("sync-data", ") -> result<_, error-code>", wisp_fs_sync_data, struct wisp_fs_self_args, struct wisp_fs_result),
    FUNC("get-flags", ") -> result<descriptor-flags, error-code>", wisp_fs_get_flags, struct wisp_fs_self_args,
         struct wisp_fs_u32_result),
    FUNC("get-type", ") -> result<descriptor-type, error-code>", wisp_fs_get_type, struct wisp_fs_self_args,
         struct wisp_fs_u32_result),
    FUNC("set-size", ", u64) -> result<_, error-code>", wisp_fs_set_size, struct wisp_fs_size_args,
         struct wisp_fs_result),
    FUNC("set-times", ", new-timestamp, new-timestamp) -> result<_, error-code>", wisp_fs_set_times,
         struct wisp_fs_set_times_args, struct wisp_fs_result),
    FUNC("read", ", u64, u64) -> result<tuple<list<u8>, bool>, error-code>", wisp_fs_read, struct wisp_fs_read_args,
         struct wisp_fs_read_result),
    FUNC("write", ", list<u8>, u64) -> result<u64, error-code>", wisp_fs_write, struct wisp_fs_write_args,
         struct wisp_fs_size_result),
    FUNC("read-directory", ") -> result<own<directory-entry-stream>, error-code>", wisp_fs_read_directory,
         struct wisp_fs_self_args, struct wisp_fs_handle_result),
    FUNC("sync", ") -> result<_, error-code>", wisp_fs_sync, struct wisp_fs_self_args, struct wisp_fs_result),
    FUNC("create-directory-at", ", string) -> result<_, error-code>", wisp_fs_create_directory_at,
         struct wisp_fs_path_args, struct wisp_fs_result),
    FUNC("stat", ") -> result<descriptor-stat, error-code>", wisp_fs_stat, struct wisp_fs_self_args,
         struct wisp_fs_stat_result),
    FUNC("stat-at", ", path-flags, string) -> result<descriptor-stat, error-code>", wisp_fs_stat_at,
         struct wisp_fs_flags_path_args, struct wisp_fs_stat_result),
    FUNC("set-times-at", ", path-flags, string, new-timestamp, new-timestamp) -> result<_, error-code>",
         wisp_fs_set_times_at, struct wisp_fs_set_times_at_args, struct wisp_fs_result),
    FUNC("link-at", ", path-flags, string, borrow<descriptor>, string) -> result<_, error-code>", wisp_fs_link_at,
         struct wisp_fs_link_args, struct wisp_fs_result),
    FUNC("open-at", ", path-flags, string, open-flags, descriptor-flags) -> result<own<descriptor>, error-code>",
         wisp_fs_open_at, struct wisp_fs_open_args, struct wisp_fs_handle_result),
    FUNC("readlink-at", ", string) -> result<string, error-code>", wisp_fs_readlink_at, struct wisp_fs_path_args,
         struct wisp_fs_text_result),
    FUNC("remove-directory-at", ", string) -> result<_, error-code>", wisp_fs_remove_directory_at,
         struct wisp_fs_path_args, struct wisp_fs_result),
    FUNC("rename-at", ", string, borrow<descriptor>, string) -> result<_, error-code>", wisp_fs_rename_at,
         struct wisp_fs_rename_args, struct wisp_fs_result),
    FUNC("symlink-at", ", string, string) -> result<_, error-code>", wisp_fs_symlink_at, struct wisp_fs_symlink_args,
         struct wisp_fs_result),
    FUNC("unlink-file-at", ", string) -> result<_, error-code>", wisp_fs_unlink_file_at, struct wisp_fs_path_args,
         struct wisp_fs_result),
    FUNC("is-same-object", ", borrow<descriptor>) -> bool", wisp_fs_is_same_object, struct wisp_fs_same_args, bool),
    FUNC("metadata-hash", ") -> result<metadata-hash-value, error-code>", wisp_fs_metadata_hash,
         struct wisp_fs_self_args, struct wisp_fs_hash_result),
    FUNC("metadata-hash-at", ", path-flags, string) -> result<metadata-hash-value, error-code>",
         wisp_fs_metadata_hash_at, struct wisp_fs_flags_path_args, struct wisp_fs_hash_result),
    {"[method]directory-entry-stream.read-directory-entry",
     "(borrow<directory-entry-stream>) -> result<option<directory-entry>, error-code>", wisp_fs_read_directory_entry,
     WISP_HOST_SIZES(struct wisp_fs_entries_args, struct wisp_fs_entry_result)},
    {"filesystem-error-code", "(borrow<error>) -> option<error-code>", error_code,
     WISP_HOST_SIZES(struct error_args, struct optional_code)},
};

static const struct wisp_host_resource resources[] = {
    {.name = "descriptor", .drop = descriptor_drop},
    {.name = "directory-entry-stream", .drop = entries_drop},
};

static const char *const types[] = {
    "datetime = record{u64, u32}",
    "descriptor-type = enum(8)",
    "descriptor-flags = flags(6)",
    "path-flags = flags(1)",
    "open-flags = flags(4)",
    "descriptor-stat = record{descriptor-type, u64, u64, option<datetime>, option<datetime>, option<datetime>}",
    "new-timestamp = variant{_, _, datetime}",
    "directory-entry = record{descriptor-type, string}",
    "error-code = enum(37)",
    "advice = enum(6)",
    "metadata-hash-value = record{u64, u64}",
    NULL,
};

const struct wisp_host_interface wisp_wasi_filesystem_types = {
    .name = "wasi:filesystem/types",
    .version = WISP_WASI_VERSION,
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
    .resources = resources,
    .n_resources = WISP_COUNT(resources),
    .types = types,
};

static const struct wisp_host_func preopen_funcs[] = {
    {"get-directories", "() -> list<tuple<own<descriptor>, string>>", get_directories, 0, sizeof(struct preopens)},
};

const struct wisp_host_interface wisp_wasi_filesystem_preopens = {
    .name = "wasi:filesystem/preopens",
    .version = WISP_WASI_VERSION,
    .funcs = preopen_funcs,
    .n_funcs = WISP_COUNT(preopen_funcs),
};
