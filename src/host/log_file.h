/* SPDX-License-Identifier: Apache-2.0 */
/* The log file of a detached host: standard error of the control process and its workers. */
#pragma once

#include "base/err.h"

enum { WISP_LOG_FILE_BYTES_MAX = 16 << 20, WISP_LOG_FILE_KEPT = 4 };

/* Opens (appends to) the file and makes it standard output and standard error. Mode 0600. */
int wisp_log_file_open(const char *path, struct wisp_err *err) __attribute__((warn_unused_result));
/* When standard error's file has grown beyond the limit: PATH becomes PATH.1, PATH.1 becomes PATH.2, … and a new PATH
 * becomes standard error; its descriptor is returned, for others to write to. Otherwise -1. */
int wisp_log_file_rotate(const char *path);
