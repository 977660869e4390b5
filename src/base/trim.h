/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that are caches, kept within a size: what was used longest ago goes first. When a file was used is its access
 * time, noted by whoever uses it, since few file systems do. What was used within the last day stays however large it
 * is, so whoever has to find a file again notes its use more often than that. Any number of processes may do this at
 * once. Any thread. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* In bytes, for each cache: $WISP_CACHE_MAX (as wisp_parse_size; 0: no limit), else 4 GiB. */
uint64_t wisp_trim_limit(void);

/* It is in use now; NULL path: the descriptor's file. Nothing is done when that was noted an hour ago. */
void wisp_trim_note_use(int fd, const char *path);

struct wisp_trimmed {
    uint64_t n_files, bytes; /* removed */
    uint64_t left_bytes;
};
/* Removes until nine tenths of the limit are left if there is more than that (0: never). Names that begin with a dot
 * are files being written: they stay for a day. Says at level debug what it removes. */
struct wisp_trimmed wisp_trim(const int *folder_fds, size_t n_folders, uint64_t limit_bytes);
