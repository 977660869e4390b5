/* SPDX-License-Identifier: Apache-2.0 */
#include "host/machine.h"

#include "base/mem.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

enum { TEXT_MAX = 4096 };

/* The first `size` - 1 bytes of a small file; "" when it can't be read. */
static struct wisp_str read_small(const char *path, char *text, size_t size)
{
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    struct wisp_str s = {text, n > 0 ? (size_t)n : 0};
    text[s.len] = '\0';
    while (s.len && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == ' ')) s.len--;
    return s;
}

uint32_t wisp_machine_quota(struct wisp_str quota, struct wisp_str period)
{
    uint64_t quota_us, period_us;
    if (wisp_parse_u64(quota, UINT64_MAX / 2, &quota_us, NULL) < 0) return UINT32_MAX;
    if (wisp_parse_u64(period, UINT64_MAX / 2, &period_us, NULL) < 0 || !period_us) return UINT32_MAX;
    uint64_t cores = (quota_us + period_us - 1) / period_us;
    return cores < 1 ? 1 : cores < UINT32_MAX ? (uint32_t)cores : UINT32_MAX;
}

static uint32_t quota_of_group(const char *mount, struct wisp_str group, bool is_v2)
{
    char path[TEXT_MAX], quota_text[64], period_text[64];
    if (is_v2) {
        snprintf(path, sizeof path, "%s%.*s/cpu.max", mount, WISP_STR_ARG(group));
        struct wisp_str quota = read_small(path, quota_text, sizeof quota_text), period = {0};
        wisp_str_split(quota, ' ', &quota, &period);
        return wisp_machine_quota(quota, period);
    }
    snprintf(path, sizeof path, "%s%.*s/cpu.cfs_quota_us", mount, WISP_STR_ARG(group));
    struct wisp_str quota = read_small(path, quota_text, sizeof quota_text);
    snprintf(path, sizeof path, "%s%.*s/cpu.cfs_period_us", mount, WISP_STR_ARG(group));
    return wisp_machine_quota(quota, read_small(path, period_text, sizeof period_text));
}

/* A quota holds for everything below the group that has it, so all groups up to the root count. Inside a container the
 * path may be one that only the outside has: then the root is what there is. */
static uint32_t quota_up_to_root(const char *mount, struct wisp_str group, bool is_v2)
{
    uint32_t least = UINT32_MAX;
    for (;;) {
        while (group.len && group.ptr[group.len - 1] == '/') group.len--;
        uint32_t cores = quota_of_group(mount, group, is_v2);
        if (cores < least) least = cores;
        if (!group.len) return least;
        while (group.len && group.ptr[group.len - 1] != '/') group.len--;
    }
}

static bool lists_cpu(struct wisp_str controllers)
{
    struct wisp_str each;
    while (wisp_str_split(controllers, ',', &each, &controllers))
        if (wisp_str_is(each, "cpu")) return true;
    return wisp_str_is(controllers, "cpu");
}

/* Lines are "ID:CONTROLLERS:PATH"; without controllers it is version 2. */
static uint32_t quota_cores(void)
{
    char text[TEXT_MAX];
    struct wisp_str rest = read_small("/proc/self/cgroup", text, sizeof text), line, id, controllers, group;
    uint32_t least = UINT32_MAX;
    while (rest.len) {
        if (!wisp_str_split(rest, '\n', &line, &rest)) line = rest, rest.len = 0;
        if (!wisp_str_split(line, ':', &id, &line) || !wisp_str_split(line, ':', &controllers, &group)) continue;
        uint32_t cores = UINT32_MAX;
        if (!controllers.len)
            cores = quota_up_to_root("/sys/fs/cgroup", group, true);
        else if (lists_cpu(controllers))
            cores = quota_up_to_root("/sys/fs/cgroup/cpu", group, false);
        if (cores < least) least = cores;
    }
    return least;
}

uint32_t wisp_machine_cores(void)
{
    cpu_set_t set;
    uint32_t cores = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = (uint32_t)CPU_COUNT(&set);
    else if (errno == EINVAL) /* more processors than the set has room for */
        cores = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t quota = quota_cores();
    if (quota < cores) cores = quota;
    return cores ? cores : 1;
}
