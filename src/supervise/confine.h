/* SPDX-License-Identifier: Apache-2.0 */
/* What a child may not do, as its operator asked for. It is applied between fork and exec, whole or not at all: what
 * the kernel or our rights don't allow is an error of the start, never a weaker confinement. The exception is memory,
 * and a warning says so.
 *
 *     user      "name", "uid" or "uid:gid": runs as that user, with its groups (needs root)
 *     memory    "256M": limit of a control group of its own; where there is none that is ours to divide (cgroup v2), of
 *               what each of its processes may have as data (RLIMIT_DATA)
 *     cpu       "0.5", "2": cores, of a control group only
 *     paths     "/usr,/etc,/var/lib/x:rw": what it may read and execute, and write with `:rw`; nothing else, but for
 *               its own program (Landlock)
 *     seccomp   "default": system calls that change or look into the machine fail with EPERM; "none"
 *     env       "PATH,LANG,AWS_*": variables of the host that it gets
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

enum { WISP_CONFINE_GROUPS_MAX = 64, WISP_CONFINE_PATHS_MAX = 64 };

struct wisp_confine_setting {
    struct wisp_str key, value; /* "memory", "256M" */
};

struct wisp_confine;
/* INVALID names the key. NULL in *ret_confine when nothing is asked for. */
int wisp_confine_new(struct wisp_confine **ret_confine, const struct wisp_confine_setting *settings, size_t n,
                     struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_confine_free(struct wisp_confine *confine); /* NULL is fine */
#define WISP_CLEANUP_CONFINE __attribute__((cleanup(wisp_confine_freep)))
static inline void wisp_confine_freep(struct wisp_confine **confine) { wisp_confine_free(*confine); }

/* Whether a variable ("NAME=value") is on its list; NULL: none is. */
bool wisp_confine_passes(const struct wisp_confine *confine, const char *variable);

/* --- for spawn.c --- */

struct sock_fprog;

/* What the child applies, made by the parent: only system calls are left to do. Zeroed with fds of -1: nothing. */
struct wisp_confined {
    bool has_user;
    uid_t uid;
    gid_t gid, groups[WISP_CONFINE_GROUPS_MAX];
    size_t n_groups;
    int ruleset_fd;                  /* Landlock; -1: none */
    const struct sock_fprog *filter; /* NULL: none */
};
int wisp_confine_prepare(const struct wisp_confine *confine, const char *program, struct wisp_confined *ret_confined,
                         struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_confined_deinit(struct wisp_confined *confined);
/* In the child, first the user, then the rest. NULL, or what could not be done (a constant text), with errno. */
const char *wisp_confined_apply_user(const struct wisp_confined *confined);
const char *wisp_confined_apply(const struct wisp_confined *confined);

/* Of its control group; 0: none asked for. */
uint64_t wisp_confine_memory_bytes(const struct wisp_confine *confine);
uint64_t wisp_confine_cpu_us(const struct wisp_confine *confine); /* per 100 ms */
