/* SPDX-License-Identifier: Apache-2.0 */
#include "host/paths.h"

#include "base/mem.h"
#include "host/log_file.h"
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A directory of this test's own; the process of a test has one. */
static const char *folder(void)
{
    static char path[] = "/tmp/wisp-paths-XXXXXX";
    if (strcmp(path + sizeof path - 7, "XXXXXX") == 0) CHECK(mkdtemp(path) != NULL);
    return path;
}

static void remove_folder(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder());
    CHECK_INT(system(command), 0);
}

TEST(hosts_of_one_machine_have_numbers)
{
    struct wisp_paths first, second;
    struct wisp_err err = {0};
    CHECK_OK(wisp_paths_init(&first, folder(), "default", &err), &err);
    CHECK_OK(wisp_paths_init(&second, folder(), "default", &err), &err);
    CHECK_OK(wisp_paths_claim_host(&first, &err), &err);
    CHECK_OK(wisp_paths_claim_host(&second, &err), &err);
    CHECK_INT(first.host_number, 0);
    CHECK_INT(second.host_number, 1);
    CHECK_INT(wisp_paths_running_pid(&first, 0), 0); /* has not said who it is */
    CHECK_OK(wisp_paths_write(first.host, "pid", WISP_STR("4711\n"), &err), &err);
    CHECK_INT(wisp_paths_running_pid(&second, 0), 4711);
    wisp_paths_deinit(&first);
    CHECK_INT(wisp_paths_running_pid(&second, 0), 0); /* the file is stale now */
    CHECK_OK(wisp_paths_claim_host(&first, &err), &err);
    CHECK_INT(first.host_number, 0);
    wisp_paths_deinit(&first);
    wisp_paths_deinit(&second);
    remove_folder();
}

TEST(directories_of_others_are_refused)
{
    struct wisp_paths paths;
    struct wisp_err err = {0};
    char path[64];
    snprintf(path, sizeof path, "%s/default", folder());
    CHECK_INT(mkdir(path, 0700), 0);
    strcat(path, "/host-0");
    CHECK_INT(mkdir(path, 0700), 0);
    CHECK_INT(chmod(path, 0777), 0);
    CHECK_OK(wisp_paths_init(&paths, folder(), "default", &err), &err);
    CHECK_FAILS(wisp_paths_claim_host(&paths, &err), DENIED);
    remove_folder();
}

TEST(lattices_share_no_directory)
{
    struct wisp_paths first, second;
    struct wisp_err err = {0};
    CHECK_OK(wisp_paths_init(&first, folder(), "default", &err), &err);
    CHECK_OK(wisp_paths_init(&second, folder(), "other", &err), &err);
    CHECK_OK(wisp_paths_claim_host(&first, &err), &err);
    CHECK_OK(wisp_paths_claim_host(&second, &err), &err);
    CHECK_INT(second.host_number, 0);
    CHECK(strcmp(first.host, second.host) != 0);
    CHECK_FAILS(wisp_paths_init(&second, folder(), "../default", &err), INVALID);
    wisp_paths_deinit(&first);
    remove_folder();
}

TEST(files_are_replaced_as_a_whole)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    struct wisp_err err = {0};
    CHECK_OK(wisp_paths_write(folder(), "f", WISP_STR("one"), &err), &err);
    CHECK_OK(wisp_paths_write(folder(), "f", WISP_STR("second"), &err), &err);
    CHECK_OK(wisp_paths_read(folder(), "f", &bytes, &err), &err);
    CHECK_STR(wisp_buf_str(&bytes), "second");
    CHECK_FAILS(wisp_paths_read(folder(), "absent", &bytes, &err), NOT_FOUND);
    CHECK_FAILS(wisp_paths_write("/nowhere", "f", WISP_STR(""), &err), NOT_FOUND);
    remove_folder();
}

TEST(socket_names_must_fit)
{
    struct wisp_paths paths;
    struct wisp_err err = {0};
    char path[128];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[100] = '\0';
    CHECK_FAILS(wisp_paths_init(&paths, path, "default", &err), INVALID);
    CHECK_HAS(err.text, "--state");
}

TEST(log_file_moves_on_when_it_is_large)
{
    char path[64], old[72];
    struct wisp_err err = {0};
    struct stat status;
    snprintf(path, sizeof path, "%s/wisp.log", folder());
    snprintf(old, sizeof old, "%s.1", path);
    /* In a process of its own: its standard error becomes the file. */
    pid_t pid = fork();
    if (pid == 0) {
        if (wisp_log_file_open(path, &err) < 0 || wisp_log_file_rotate(path) >= 0) _exit(1);
        if (ftruncate(STDERR_FILENO, WISP_LOG_FILE_BYTES_MAX) < 0) _exit(2);
        if (wisp_log_file_rotate(path) != STDERR_FILENO) _exit(3);
        _exit(write(STDERR_FILENO, "fresh\n", 6) == 6 ? 0 : 4);
    }
    int wait_status;
    CHECK(waitpid(pid, &wait_status, 0) == pid && wait_status == 0);
    CHECK_INT(stat(old, &status), 0);
    CHECK_INT(status.st_size, WISP_LOG_FILE_BYTES_MAX);
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(status.st_size, 6);
    remove_folder();
}
