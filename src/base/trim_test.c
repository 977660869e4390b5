/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trim.h"

#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KIB = 1024, FILE_SIZE = 64 * KIB, HOUR_S = 3600 };

static int folders[2];
static char paths[2][64];

static void setup(void)
{
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "/tmp/wisp-trim-XXXXXX");
        CHECK(mkdtemp(paths[i]));
        folders[i] = open(paths[i], O_RDONLY | O_DIRECTORY);
        CHECK(folders[i] >= 0);
    }
}

static void teardown(void)
{
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    for (int i = 0; i < 2; i++) {
        static const char *const names[] = {"a", "b", "c", "d", ".part"};
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) (void)utimensat(folders[i], names[k], old, 0);
        (void)wisp_trim(&folders[i], 1, 1);
        close(folders[i]);
        CHECK(rmdir(paths[i]) == 0);
    }
}

static void put(int folder, const char *name, int unused_h)
{
    static char bytes[FILE_SIZE];
    int fd = openat(folders[folder], name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(write(fd, bytes, sizeof bytes) == sizeof bytes);
    struct timespec used = {.tv_sec = time(NULL) - (time_t)unused_h * HOUR_S};
    CHECK(futimens(fd, (struct timespec[2]){used, {.tv_sec = 1}}) == 0);
    close(fd);
}

static bool is_there(int folder, const char *name) { return faccessat(folders[folder], name, F_OK, 0) == 0; }

TEST(what_was_used_longest_ago_goes_first)
{
    setup();
    put(0, "a", 50);
    put(1, "b", 90);
    put(0, "c", 30);
    put(1, "d", 40);
    struct wisp_trimmed trimmed = wisp_trim(folders, 2, 4 * FILE_SIZE);
    CHECK_INT(trimmed.n_files, 0);
    CHECK_INT(trimmed.left_bytes, 4 * FILE_SIZE);
    trimmed = wisp_trim(folders, 2, 3 * FILE_SIZE); /* nine tenths of that: two */
    CHECK_INT(trimmed.n_files, 2);
    CHECK_INT(trimmed.bytes, 2 * FILE_SIZE);
    CHECK_INT(trimmed.left_bytes, 2 * FILE_SIZE);
    CHECK(!is_there(0, "a") && !is_there(1, "b") && is_there(0, "c") && is_there(1, "d"));
    teardown();
}

TEST(what_was_used_today_stays)
{
    setup();
    put(0, "a", 50);
    put(0, "b", 23);
    put(0, "c", 90);
    char path[80];
    snprintf(path, sizeof path, "%s/a", paths[0]);
    wisp_trim_note_use(-1, path);
    CHECK_INT(wisp_trim(folders, 2, FILE_SIZE).n_files, 1);
    CHECK(is_there(0, "a") && is_there(0, "b") && !is_there(0, "c"));
    teardown();
}

TEST(what_is_being_written_stays_for_a_day)
{
    setup();
    put(0, ".part", 2);
    CHECK_INT(wisp_trim(folders, 2, 1).n_files, 0);
    CHECK(is_there(0, ".part"));
    teardown();
}

TEST(the_limit_is_the_users)
{
    unsetenv("WISP_CACHE_MAX");
    CHECK_INT(wisp_trim_limit(), 4ll << 30);
    setenv("WISP_CACHE_MAX", "10M", 1);
    CHECK_INT(wisp_trim_limit(), 10 << 20);
    setenv("WISP_CACHE_MAX", "0", 1);
    CHECK_INT(wisp_trim_limit(), 0);
    setenv("WISP_CACHE_MAX", "much", 1);
    CHECK_INT(wisp_trim_limit(), 4ll << 30);
    setup();
    put(0, "a", 90);
    CHECK_INT(wisp_trim(folders, 2, 0).n_files, 0);
    teardown();
    unsetenv("WISP_CACHE_MAX");
}
