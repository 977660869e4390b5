/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/filesystem/fs.h"

#include <errno.h>
#include <stdio.h>

static_assert(WISP_FS_CODE_COUNT == 37, "as many as the interface has");

enum wisp_fs_code wisp_fs_code(int os_errno)
{
    switch (os_errno) {
#define X(name, value)                                                                                                 \
    case value:                                                                                                        \
        return WISP_FS_##name;
        WISP_FS_CODES(X)
#undef X
    case ENOSYS:
        return WISP_FS_UNSUPPORTED;
    case EMFILE:
    case ENFILE:
        return WISP_FS_INSUFFICIENT_MEMORY;
    default:
        return WISP_FS_IO;
    }
}

void wisp_fs_io_error(struct wisp_io_error *ret_error, const char *what, int os_errno)
{
    *ret_error = (struct wisp_io_error){.origin = WISP_IO_ERROR_FILESYSTEM, .code = wisp_fs_code(os_errno)};
    snprintf(ret_error->text, sizeof ret_error->text, "%s: %s", what, strerror(os_errno));
}
