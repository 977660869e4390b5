/* SPDX-License-Identifier: Apache-2.0 */
#include "host/source.h"

#include "component/plan.h"
#include "wasm/wasm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_STEP = 1 << 20 };

static int open_file(const char *path, int *ret_fd, size_t *ret_size_hint, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) return wisp_err_os(err, errno, "open `%s`", path);
    if (S_ISDIR(status.st_mode))
        return wisp_err_set(err, WISP_ERR_INVALID,
                            "`%s` is a directory; name the component's file, for example "
                            "target/wasm32-wasip2/release/NAME.wasm",
                            path);
    *ret_size_hint = S_ISREG(status.st_mode) && status.st_size > 0 ? (size_t)status.st_size : 0;
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

static int too_big(const char *path, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_LIMIT, "`%s` is larger than %d MiB, the most that a component may have", path,
                        WISP_COMPONENT_SIZE_MAX >> 20);
}

/* Also of pipes: the size is known only at the end. */
static int read_all(const char *path, struct wisp_buf *bytes, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = -1;
    size_t size_hint = 0;
    int r = open_file(path, &fd, &size_hint, err);
    if (r < 0) return r;
    if (size_hint > WISP_COMPONENT_SIZE_MAX) return too_big(path, err);
    wisp_buf_reserve(bytes, size_hint + 1);
    for (;;) {
        if (bytes->capacity - bytes->len < 1) wisp_buf_reserve(bytes, READ_STEP);
        ssize_t n = read(fd, bytes->data + bytes->len, bytes->capacity - bytes->len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "read `%s`", path);
        if (n == 0) return 0;
        bytes->len += (size_t)n;
        if (bytes->len > WISP_COMPONENT_SIZE_MAX) return too_big(path, err);
    }
}

static bool is_binary(struct wisp_str bytes)
{
    return wisp_str_starts_with(bytes, (struct wisp_str)WISP_STR_INIT("\0asm"));
}

/* Text of WebAssembly begins with a form or a comment. */
static bool looks_like_text(struct wisp_str bytes)
{
    size_t i = 0;
    while (i < bytes.len && strchr(" \t\r\n", bytes.ptr[i]) && bytes.ptr[i]) i++;
    return i < bytes.len && (bytes.ptr[i] == '(' || bytes.ptr[i] == ';');
}

static int not_webassembly(const char *path, struct wisp_str bytes, struct wisp_err *err)
{
    if (!bytes.len) return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is empty", path);
    char shown[3 * 8 + 1] = "";
    for (size_t i = 0; i < bytes.len && i < 8; i++) snprintf(shown + 3 * i, 4, "%02x ", (unsigned char)bytes.ptr[i]);
    return wisp_err_set(err, WISP_ERR_INVALID,
                        "`%s` is not WebAssembly: it begins with %snot with 00 61 73 6d (binary) or a parenthesis "
                        "(text); components come from cargo build --target wasm32-wasip2, componentize-py, jco, ...",
                        path, shown);
}

int wisp_source_read(struct wisp_source *ret_source, const char *path, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    int r = read_all(path, &bytes, err);
    if (r < 0) return r;
    size_t file_size = bytes.len;
    bool was_text = false;
    if (!is_binary(wisp_buf_str(&bytes))) {
        if (!looks_like_text(wisp_buf_str(&bytes))) return not_webassembly(path, wisp_buf_str(&bytes), err);
        if (wisp_wasm_text_to_binary(wisp_buf_str(&bytes), &binary, err) < 0) return wisp_err_wrap(err, "`%s`", path);
        was_text = true;
    }
    struct wisp_buf *result = was_text ? &binary : &bytes;
    *ret_source = (struct wisp_source){
        .name = wisp_mem_dup(wisp_str_from(basename(path))),
        .binary = *result,
        .file_size = file_size,
        .was_text = was_text,
    };
    *result = (struct wisp_buf){0};
    return 0;
}

void wisp_source_deinit(struct wisp_source *source)
{
    free(source->name);
    wisp_buf_deinit(&source->binary);
    *source = (struct wisp_source){0};
}

static int write_all(int fd, struct wisp_str bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
    return 0;
}

int wisp_memory_file_new(const char *name, struct wisp_str bytes, int *ret_fd, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write_all(fd, bytes) < 0) return wisp_err_os(err, errno, "make a memory file for the %s", name);
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return wisp_err_os(err, errno, "seal the memory file of the %s", name);
    *ret_fd = WISP_TAKE_FD(fd);
    return 0;
}

int wisp_source_to_memory_file(const struct wisp_source *source, int *ret_fd, struct wisp_err *err)
{
    return wisp_memory_file_new("component", wisp_buf_str(&source->binary), ret_fd, err);
}

enum wisp_source_world wisp_source_world(const struct wisp_component *component)
{
    if (wisp_component_export(component, "wasi:http/incoming-handler@0.2", "handle")) return WISP_SOURCE_HTTP;
    if (wisp_component_export(component, "wasi:cli/run@0.2", "run")) return WISP_SOURCE_COMMAND;
    return WISP_SOURCE_OTHER;
}

int wisp_source_refuse_world(const struct wisp_component *component, struct wisp_err *err)
{
    enum { NAMED_MAX = 8 };
    WISP_CLEANUP_BUF struct wisp_buf names = {0};
    for (uint32_t i = 0; i < component->n_exports && i < NAMED_MAX; i++)
        wisp_buf_printf(&names, "%s`%.*s`", i ? ", " : "", WISP_STR_ARG(component->exports[i].name));
    if (component->n_exports > NAMED_MAX) wisp_buf_printf(&names, " and %u more", component->n_exports - NAMED_MAX);
    wisp_buf_append_char(&names, '\0');
    return wisp_err_set(err, WISP_ERR_UNSUPPORTED,
                        "it exports %s, but neither wasi:http/incoming-handler@0.2, which `wisp run` would serve, nor "
                        "wasi:cli/run@0.2, which it would run",
                        component->n_exports ? names.data : "nothing");
}
