/* SPDX-License-Identifier: Apache-2.0 */
#include "host/log_file.h"

#include "base/log.h"
#include "host/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int wisp_log_file_open(const char *path, struct wisp_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return wisp_err_os(err, errno, "open log file `%s`", path);
    int r = dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ? errno : 0;
    close(fd);
    return r ? wisp_err_os(err, r, "log file `%s`", path) : 0;
}

static void shift(const char *path, int from)
{
    char old[WISP_PATH_MAX + 16], new[WISP_PATH_MAX + 16];
    if (from)
        snprintf(old, sizeof old, "%s.%d", path, from);
    else
        snprintf(old, sizeof old, "%s", path);
    snprintf(new, sizeof new, "%s.%d", path, from + 1);
    rename(old, new); /* most don't exist yet */
}

int wisp_log_file_rotate(const char *path)
{
    struct stat status;
    if (fstat(STDERR_FILENO, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size < WISP_LOG_FILE_BYTES_MAX)
        return -1;
    for (int i = WISP_LOG_FILE_KEPT - 1; i >= 0; i--) shift(path, i);
    struct wisp_err err;
    if (wisp_log_file_open(path, &err) == 0) return STDERR_FILENO;
    /* Goes to the old file, which is still open. */
    WISP_LOG(ERROR, "host", "can't begin a new log file", WISP_TEXT("error", err.text));
    return -1;
}
