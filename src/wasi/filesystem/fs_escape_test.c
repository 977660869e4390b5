/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that try to get out of their directory. */
#include "wasi/filesystem/fs_path.h"
#include "wasi/filesystem/fs_test_tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

/* --- paths that lead out, and what each is answered with --- */

static const struct {
    const char *path;
    int code;      /* of opening it, following links */
    int code_walk; /* the errno of the walk without openat2 */
} leading_out[] = {
    {"..", WISP_FS_NOT_PERMITTED, EXDEV},
    {"../", WISP_FS_NOT_PERMITTED, EXDEV},
    {"../outside/secret", WISP_FS_NOT_PERMITTED, EXDEV},
    {"../root/file", WISP_FS_NOT_PERMITTED, EXDEV},
    {"dir/../../outside/secret", WISP_FS_NOT_PERMITTED, EXDEV},
    {"./dir/./inner/../../../outside/secret", WISP_FS_NOT_PERMITTED, EXDEV},
    {"dir//..//..//outside/secret", WISP_FS_NOT_PERMITTED, EXDEV},
    {"/", WISP_FS_NOT_PERMITTED, EXDEV},
    {"//", WISP_FS_NOT_PERMITTED, EXDEV},
    {"/etc/passwd", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_up", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_up/outside/secret", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_out", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_out/", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_out/secret", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_far_up", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_far_up/outside/secret", WISP_FS_NOT_PERMITTED, EXDEV},
    {"dir/../link_up/root/file", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_etc", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_etc/", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_etc/passwd", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_etc/nonexistent", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_passwd", WISP_FS_NOT_PERMITTED, EXDEV},
    {"dangling_out", WISP_FS_NOT_PERMITTED, EXDEV},
    {"link_loop", WISP_FS_LOOP, ELOOP},
    {"link_loop/x", WISP_FS_LOOP, ELOOP},
    {"nothing", WISP_FS_NO_ENTRY, ENOENT},
    {"dangling", WISP_FS_NO_ENTRY, ENOENT},
    {"nothing/../file", WISP_FS_NO_ENTRY, ENOENT},
    {"file/../file", WISP_FS_NOT_DIRECTORY, ENOTDIR},
    {"file/", WISP_FS_NOT_DIRECTORY, ENOTDIR},
    {"link_file/", WISP_FS_NOT_DIRECTORY, ENOTDIR},
    {"file/.", WISP_FS_NOT_DIRECTORY, ENOTDIR},
    /* and some that stay inside */
    {".", OK, 0},
    {"./", OK, 0},
    {"file", OK, 0},
    {".//file", OK, 0},
    {"dir", OK, 0},
    {"dir/", OK, 0},
    {"dir//", OK, 0},
    {"dir/.", OK, 0},
    {"dir/..", OK, 0},
    {"dir/../", OK, 0},
    {"dir/../file", OK, 0},
    {"dir/inner/../../file", OK, 0},
    {"link_file", OK, 0},
    {"link_dir/file", OK, 0},
    {"link_dir/", OK, 0},
    {"link_inner/deep", OK, 0},
    {"link_inner/../file", OK, 0},
    {"link_inner/link_back", OK, 0},
    {"link_inner/..//../file", OK, 0},
};

TEST(opening_stays_inside)
{
    start_tree();
    for (size_t i = 0; i < WISP_COUNT(leading_out); i++) {
        int code = fs_try_open(tree.base, str(leading_out[i].path));
        if (code != leading_out[i].code)
            wisp_test_fail(__FILE__, __LINE__, "%s: %d, expected %d", leading_out[i].path, code, leading_out[i].code);
        CHECK_INT(fs_try_open(tree.read_only, str(leading_out[i].path)), leading_out[i].code);
        CHECK_INT(fs_stat_at(tree.base, WISP_FS_FOLLOW, str(leading_out[i].path), NULL), leading_out[i].code);
        CHECK_INT(fs_hash_at(tree.base, WISP_FS_FOLLOW, str(leading_out[i].path), NULL), leading_out[i].code);
    }
    stop_tree();
}

static ino_t inode_of(int fd)
{
    struct stat st;
    CHECK_INT(fstat(fd, &st), 0);
    return st.st_ino;
}

static int kernel_open(const char *path, int flags, int *ret_fd)
{
    return wisp_fs_open_beneath(&fake.arena, tree.root, str(path), flags, 0666, ret_fd);
}

TEST(walk_agrees_with_the_kernel)
{
    static const int flags[] = {O_RDONLY, O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY | O_NOFOLLOW, O_PATH | O_DIRECTORY};
    start_tree();
    for (size_t i = 0; i < WISP_COUNT(leading_out); i++) {
        int fd = -1, error = wisp_fs_walk_beneath(&fake.arena, tree.root, leading_out[i].path, O_RDONLY, 0, &fd);
        if (error != leading_out[i].code_walk)
            wisp_test_fail(__FILE__, __LINE__, "%s: %s", leading_out[i].path, strerror(error));
        if (!error) close(fd);
        for (size_t j = 0; j < WISP_COUNT(flags); j++) {
            int walked = -1, opened = -1;
            error = wisp_fs_walk_beneath(&fake.arena, tree.root, leading_out[i].path, flags[j], 0, &walked);
            int expected = kernel_open(leading_out[i].path, flags[j], &opened);
            if (error == EXDEV) error = EPERM;
            if (error != expected)
                wisp_test_fail(__FILE__, __LINE__, "%s with %#x: %s, but the kernel: %s", leading_out[i].path,
                               (unsigned)flags[j], strerror(error), strerror(expected));
            if (error) continue;
            CHECK_INT(inode_of(walked), inode_of(opened));
            close(walked);
            close(opened);
        }
    }
    stop_tree();
}

/* Paths made of these in any order. */
TEST(walk_agrees_with_the_kernel_on_random_paths)
{
    static const char *const parts[] = {"file",     "dir",        "inner",    "deep",      "..",      ".",
                                        "link_dir", "link_inner", "link_up",  "link_file", "nothing", "",
                                        "dangling", "link_back",  "link_out", "link_loop", "..",      "dir"};
    start_tree();
    uint32_t state = 12345;
    int n_opened = 0;
    for (int i = 0; i < 20000; i++) {
        char path[256] = "";
        state = state * 1664525 + 1013904223;
        for (uint32_t n = 1 + (state >> 24) % 7; n; n--) {
            state = state * 1664525 + 1013904223;
            strcat(path, parts[(state >> 16) % WISP_COUNT(parts)]);
            if (n > 1 || state >> 31) strcat(path, "/");
        }
        if (!*path) continue;
        int walked = -1, opened = -1, flags = state & 1 << 12 ? O_PATH | O_NOFOLLOW : O_RDONLY;
        int error = wisp_fs_walk_beneath(&fake.arena, tree.root, path, flags, 0, &walked);
        int expected = kernel_open(path, flags, &opened);
        if (error == EXDEV) error = EPERM;
        if (error != expected)
            wisp_test_fail(__FILE__, __LINE__, "%s: %s, but the kernel: %s", path, strerror(error), strerror(expected));
        wisp_arena_reset(&fake.arena);
        if (error) continue;
        n_opened++;
        CHECK_INT(inode_of(walked), inode_of(opened));
        close(walked);
        close(opened);
    }
    CHECK(n_opened > 1000);
    stop_tree();
}

TEST(walk_makes_files_where_the_kernel_would)
{
    static const struct {
        const char *path;
        int flags, error;
    } cases[] = {
        {"new", O_WRONLY | O_CREAT, 0},
        {"new", O_WRONLY | O_CREAT | O_EXCL, EEXIST},
        {"dir/inner/new", O_WRONLY | O_CREAT | O_EXCL, 0},
        {"link_dir/new", O_WRONLY | O_CREAT | O_EXCL, 0},
        {"link_file", O_WRONLY | O_CREAT | O_EXCL, EEXIST},
        {"dangling_out", O_WRONLY | O_CREAT, EXDEV},
        {"dangling", O_WRONLY | O_CREAT | O_NOFOLLOW, ELOOP},
        {"dangling", O_WRONLY | O_CREAT, 0},
        {"../new", O_WRONLY | O_CREAT, EXDEV},
        {"link_out/new", O_WRONLY | O_CREAT, EXDEV},
        {"new_directory/", O_WRONLY | O_CREAT, EISDIR},
    };
    start_tree();
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        int fd = -1;
        CHECK_INT(wisp_fs_walk_beneath(&fake.arena, tree.root, cases[i].path, cases[i].flags, 0666, &fd),
                  cases[i].error);
        if (fd >= 0) close(fd);
    }
    CHECK_INT(faccessat(tree.root, "nothing", F_OK, 0), 0);
    CHECK_INT(faccessat(tree.outer, "outside/made", F_OK, 0), -1);
    CHECK_INT(faccessat(tree.outer, "outside/new", F_OK, 0), -1);
    stop_tree();
}

TEST(walk_has_limits)
{
    start_tree();
    char path[4096] = "";
    for (int i = 0; i < 1000; i++) strcat(path, "./");
    strcat(path, "file");
    int fd = -1;
    CHECK_INT(wisp_fs_walk_beneath(&fake.arena, tree.root, path, O_RDONLY, 0, &fd), 0);
    close(fd);
    path[0] = '\0';
    for (int i = 0; i < 200; i++) {
        strcat(path, "d/");
        CHECK_INT(mkdirat(tree.root, path, 0777), 0);
    }
    CHECK_INT(wisp_fs_walk_beneath(&fake.arena, tree.root, path, O_RDONLY, 0, &fd), ENAMETOOLONG);
    stop_tree();
}

/* --- paths that are no paths --- */

TEST(malformed_paths_are_refused_everywhere)
{
    static char too_long[5000], long_name[301];
    memset(too_long, 'x', sizeof too_long);
    for (size_t i = 0; i < sizeof too_long; i += 100) too_long[i + 99] = '/';
    memset(long_name, 'x', 300);
    const struct {
        struct wisp_str path;
        int code;
    } cases[] = {
        {{NULL, 0}, WISP_FS_NO_ENTRY},
        {WISP_STR(""), WISP_FS_NO_ENTRY},
        {WISP_STR("/file"), WISP_FS_NOT_PERMITTED},
        {WISP_STR("fi\0le"), WISP_FS_INVALID},
        {WISP_STR("file\0"), WISP_FS_INVALID},
        {WISP_STR("\0"), WISP_FS_INVALID},
        {{too_long, sizeof too_long}, WISP_FS_NAME_TOO_LONG},
        {{long_name, 300}, WISP_FS_NAME_TOO_LONG},
        {WISP_STR("../x"), WISP_FS_NOT_PERMITTED},
        {WISP_STR("link_out/secret"), WISP_FS_NOT_PERMITTED},
        {WISP_STR("link_etc/passwd"), WISP_FS_NOT_PERMITTED},
    };
    start_tree();
    struct wisp_fs_new_timestamp now = {.tag = 1};
    struct wisp_fs_descriptor *unused;
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct wisp_str path = cases[i].path, fine = WISP_STR("file");
        CHECK_INT(fs_try_open(tree.base, path), cases[i].code);
        CHECK_INT(fs_open(tree.base, 0, path, WISP_FS_CREATE, WISP_FS_WRITE, &unused), cases[i].code);
        CHECK_INT(fs_open(tree.base, WISP_FS_FOLLOW, path, WISP_FS_CREATE | WISP_FS_TRUNCATE, WISP_FS_WRITE, &unused),
                  cases[i].code);
        CHECK_INT(fs_stat_at(tree.base, 0, path, NULL), cases[i].code);
        CHECK_INT(fs_hash_at(tree.base, 0, path, NULL), cases[i].code);
        CHECK_INT(fs_set_times_at(tree.base, 0, path, now, now), cases[i].code);
        CHECK_INT(fs_path(MKDIR, tree.base, path), cases[i].code);
        CHECK_INT(fs_path(RMDIR, tree.base, path), cases[i].code);
        CHECK_INT(fs_path(UNLINK, tree.base, path), cases[i].code);
        CHECK_INT(fs_readlink(tree.base, path, NULL), cases[i].code);
        CHECK_INT(fs_rename(tree.base, path, tree.base, WISP_STR("new")), cases[i].code);
        CHECK_INT(fs_rename(tree.base, fine, tree.base, path), cases[i].code);
        CHECK_INT(fs_link(tree.base, 0, path, tree.base, WISP_STR("new")), cases[i].code);
        CHECK_INT(fs_link(tree.base, 0, fine, tree.base, path), cases[i].code);
        CHECK_INT(fs_symlink(tree.base, fine, path), cases[i].code);
    }
    CHECK_TEXT(text_of(tree.root, "file"), "hello world");
    CHECK_TEXT(text_of(tree.outer, "outside/secret"), "the secret");
    stop_tree();
}

/* --- links as the last name: nothing goes through them --- */

TEST(what_changes_names_does_not_follow_links)
{
    start_tree();
    static const char *const links[] = {"link_out", "link_etc", "link_passwd", "link_up", "dangling_out"};
    for (size_t i = 0; i < WISP_COUNT(links); i++) {
        char slashed[64];
        snprintf(slashed, sizeof slashed, "%s/", links[i]);
        CHECK_INT(fs_path(MKDIR, tree.base, str(links[i])), WISP_FS_EXIST);
        CHECK_INT(fs_path(MKDIR, tree.base, str(slashed)), WISP_FS_EXIST);
        CHECK_INT(fs_path(RMDIR, tree.base, str(links[i])), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_path(RMDIR, tree.base, str(slashed)), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_path(UNLINK, tree.base, str(slashed)), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_rename(tree.base, str(slashed), tree.base, str("moved")), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_rename(tree.base, str("dir"), tree.base, str(slashed)), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_rename(tree.base, str("file"), tree.base, str(slashed)), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_link(tree.base, 0, str(slashed), tree.base, str("linked")), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_link(tree.base, 0, str("file"), tree.base, str(slashed)), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_link(tree.base, 0, str("file"), tree.base, str(links[i])), WISP_FS_EXIST);
        CHECK_INT(fs_symlink(tree.base, str("file"), str(links[i])), WISP_FS_EXIST);
        CHECK_INT(fs_symlink(tree.base, str("file"), str(slashed)), WISP_FS_NOT_DIRECTORY);
        CHECK_INT(fs_readlink(tree.base, str(slashed), NULL), WISP_FS_NOT_DIRECTORY);
    }
    struct wisp_fs_stat st;
    CHECK_INT(fs_stat_at(tree.base, 0, str("link_etc"), &st), OK);
    CHECK_INT(st.type, WISP_FS_TYPE_SYMBOLIC_LINK);
    CHECK_INT(st.size, 4);
    CHECK_INT(fs_readlink(tree.base, str("link_etc"), NULL), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_path(UNLINK, tree.base, str("link_passwd")), OK);
    CHECK_INT(access("/etc/passwd", F_OK), 0);
    stop_tree();
}

TEST(links_to_absolute_paths_are_not_made)
{
    start_tree();
    CHECK_INT(fs_symlink(tree.base, str("/etc"), str("new")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_symlink(tree.base, str("/"), str("new")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_symlink(tree.base, WISP_STR("a\0b"), str("new")), WISP_FS_INVALID);
    CHECK_INT(fs_symlink(tree.base, str(""), str("new")), WISP_FS_NO_ENTRY);
    CHECK_INT(fs_symlink(tree.base, str("../outside/secret"), str("new")), OK);
    CHECK_INT(fs_try_open(tree.base, str("new")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_stat_at(tree.base, WISP_FS_FOLLOW, str("new"), NULL), WISP_FS_NOT_PERMITTED);
    stop_tree();
}

TEST(link_moved_up_leads_out_no_more_than_before)
{
    start_tree();
    CHECK_INT(fs_symlink(tree.base, str("../../file"), str("dir/inner/two_up")), OK);
    CHECK_INT(fs_try_open(tree.base, str("dir/inner/two_up")), OK);
    CHECK_INT(fs_rename(tree.base, str("dir/inner/two_up"), tree.base, str("two_up")), OK);
    CHECK_INT(fs_try_open(tree.base, str("two_up")), WISP_FS_NOT_PERMITTED);
    stop_tree();
}

TEST(opened_directory_is_a_root_of_its_own)
{
    start_tree();
    struct wisp_fs_descriptor *inner = fs_must_open(tree.base, "dir/inner", WISP_FS_DIRECTORY, WISP_FS_READ);
    CHECK_INT(fs_try_open(inner, str("deep")), OK);
    CHECK_INT(fs_try_open(inner, str("..")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_try_open(inner, str("../file")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_try_open(inner, str("link_back")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_path(UNLINK, inner, str("../file")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_rename(tree.base, str("file"), inner, str("../../../outside/file")), WISP_FS_NOT_PERMITTED);
    drop_descriptor(inner);
    stop_tree();
}

TEST(dots_as_last_name_are_refused)
{
    start_tree();
    static const char *const paths[] = {".", "dir/.", "dir/..", "dir/inner/..", "./", "dir/../"};
    for (size_t i = 0; i < WISP_COUNT(paths); i++) {
        CHECK_INT(fs_path(MKDIR, tree.base, str(paths[i])), WISP_FS_EXIST);
        CHECK_INT(fs_path(RMDIR, tree.base, str(paths[i])), WISP_FS_INVALID);
        CHECK_INT(fs_path(UNLINK, tree.base, str(paths[i])), WISP_FS_IS_DIRECTORY);
        CHECK_INT(fs_rename(tree.base, str(paths[i]), tree.base, str("new")), WISP_FS_BUSY);
        CHECK_INT(fs_rename(tree.base, str("dir"), tree.base, str(paths[i])), WISP_FS_BUSY);
    }
    CHECK_INT(fs_path(RMDIR, tree.base, str("..")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_path(MKDIR, tree.base, str("dir/../..")), WISP_FS_NOT_PERMITTED);
    CHECK_INT(fs_path(RMDIR, tree.base, str("nothing/..")), WISP_FS_NO_ENTRY);
    stop_tree();
}

/* --- links of /proc --- */

TEST(magic_links_are_refused)
{
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0) wisp_test_skip("no /proc");
    fake_start();
    char path[64];
    static const char *const links[] = {"cwd", "root", "exe", "fd/0", "root/etc/passwd", "cwd/.", "ns/mnt"};
    for (size_t i = 0; i < WISP_COUNT(links); i++) {
        snprintf(path, sizeof path, "%d/%s", (int)getpid(), links[i]);
        int fd = -1, error = wisp_fs_open_beneath(&fake.arena, proc, str(path), O_PATH, 0, &fd);
        CHECK(error == ELOOP || error == EPERM || error == ENOENT);
        CHECK_INT(fd, -1);
        error = wisp_fs_walk_beneath(&fake.arena, proc, path, O_PATH, 0, &fd);
        CHECK(error == EXDEV || error == ENOENT || error == ENOTDIR);
        CHECK_INT(fd, -1);
    }
    close(proc);
    fake_stop();
}

/* --- races: while the guest acts on `swap/...`, somebody swaps what `swap` is, a directory or a link out --- */

static atomic_bool is_racing;
static const char *const swap_names[] = {"swap_dir", "swap_link"};

static void *swap_for_ever(void *arg)
{
    (void)arg;
    while (atomic_load(&is_racing))
        for (int i = 0; i < 2; i++)
            syscall(SYS_renameat2, tree.root, swap_names[i], tree.root, "swap", 2 /* RENAME_EXCHANGE */);
    return NULL;
}

static pthread_t start_race(void)
{
    CHECK_INT(mkdirat(tree.root, "swap", 0777), 0);
    CHECK_INT(mkdirat(tree.root, "swap_dir", 0777), 0);
    CHECK_INT(symlinkat("../outside", tree.root, "swap_link"), 0);
    make_file(tree.root, "swap/secret", "decoy");
    make_file(tree.root, "swap_dir/secret", "decoy");
    pthread_t thread;
    atomic_store(&is_racing, true);
    CHECK_INT(pthread_create(&thread, NULL, swap_for_ever, NULL), 0);
    return thread;
}

static void stop_race(pthread_t thread)
{
    atomic_store(&is_racing, false);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_TEXT(text_of(tree.outer, "outside/secret"), "the secret");
    int outside = openat(tree.outer, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_INT(faccessat(outside, "made", F_OK, 0), -1);
    CHECK_INT(faccessat(outside, "made_dir", F_OK, 0), -1);
    CHECK_INT(faccessat(outside, "moved", F_OK, 0), -1);
    CHECK_INT(faccessat(outside, "linked", F_OK, 0), -1);
    close(outside);
}

enum { RACE_ROUNDS = 3000 };

TEST(swapped_link_never_opens_the_outside)
{
    start_tree();
    pthread_t thread = start_race();
    int n_opened = 0, n_refused = 0;
    for (int i = 0; i < RACE_ROUNDS; i++) {
        struct wisp_fs_descriptor *descriptor = NULL;
        int code = fs_open(tree.base, WISP_FS_FOLLOW, str("swap/secret"), 0, WISP_FS_READ, &descriptor);
        code == OK ? n_opened++ : n_refused++;
        if (code != OK) continue;
        char text[32] = {0};
        CHECK(pread(descriptor->fd, text, sizeof text - 1, 0) > 0);
        CHECK_TEXT(text, "decoy");
        drop_descriptor(descriptor);
        wisp_arena_reset(&fake.arena);
    }
    stop_race(thread);
    printf("     %d opened, %d refused\n", n_opened, n_refused);
    stop_tree();
}

TEST(swapped_link_never_walks_outside)
{
    start_tree();
    pthread_t thread = start_race();
    for (int i = 0; i < RACE_ROUNDS; i++) {
        int fd = -1;
        if (wisp_fs_walk_beneath(&fake.arena, tree.root, i % 2 ? "swap/secret" : "swap/../swap/secret", O_RDONLY, 0,
                                 &fd) == 0) {
            char text[32] = {0};
            CHECK(read(fd, text, sizeof text - 1) > 0);
            CHECK_TEXT(text, "decoy");
            close(fd);
        }
        wisp_arena_reset(&fake.arena);
    }
    stop_race(thread);
    stop_tree();
}

TEST(swapped_link_never_changes_the_outside)
{
    start_tree();
    pthread_t thread = start_race();
    struct wisp_fs_new_timestamp at = {.tag = 2, .value = {1, 0}};
    struct wisp_fs_descriptor *made = NULL;
    for (int i = 0; i < RACE_ROUNDS; i++) {
        struct wisp_fs_descriptor *base = tree.base;
        fs_path(UNLINK, base, str("swap/secret"));
        fs_path(MKDIR, base, str("swap/made_dir"));
        if (fs_open(base, WISP_FS_FOLLOW, str("swap/made"), WISP_FS_CREATE | WISP_FS_TRUNCATE, WISP_FS_WRITE, &made) ==
            OK)
            drop_descriptor(made);
        fs_rename(base, str("swap/made"), base, str("swap/moved"));
        fs_link(base, 0, str("file"), base, str("swap/linked"));
        fs_set_times_at(base, WISP_FS_FOLLOW, str("swap/secret"), at, at);
        fs_path(UNLINK, base, str("swap/linked"));
        wisp_arena_reset(&fake.arena);
    }
    struct stat st;
    stop_race(thread);
    CHECK_INT(fstatat(tree.outer, "outside/secret", &st, 0), 0);
    CHECK(st.st_mtim.tv_sec > 1);
    stop_tree();
}

/* The directory that a path is resolved in is carried out of the tree while the guest goes up from it. */
static void *carry_for_ever(void *arg)
{
    (void)arg;
    while (atomic_load(&is_racing)) {
        renameat(tree.root, "dir/inner", tree.outer, "outside/inner");
        renameat(tree.outer, "outside/inner", tree.root, "dir/inner");
    }
    return NULL;
}

TEST(directory_carried_out_is_no_way_out)
{
    start_tree();
    make_file(tree.root, "dir/secret", "decoy");
    pthread_t thread;
    atomic_store(&is_racing, true);
    CHECK_INT(pthread_create(&thread, NULL, carry_for_ever, NULL), 0);
    for (int i = 0; i < RACE_ROUNDS; i++) {
        int fds[2] = {-1, -1};
        int first = wisp_fs_open_beneath(&fake.arena, tree.root, str("dir/inner/../secret"), O_RDONLY, 0, &fds[0]);
        int second = wisp_fs_walk_beneath(&fake.arena, tree.root, "dir/inner/../secret", O_RDONLY, 0, &fds[1]);
        for (int j = 0; j < 2; j++) {
            if (j ? second : first) continue;
            char text[32] = {0};
            CHECK(read(fds[j], text, sizeof text - 1) > 0);
            CHECK_TEXT(text, "decoy");
            close(fds[j]);
        }
        wisp_arena_reset(&fake.arena);
    }
    atomic_store(&is_racing, false);
    CHECK_INT(pthread_join(thread, NULL), 0);
    stop_tree();
}
