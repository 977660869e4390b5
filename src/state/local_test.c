/* SPDX-License-Identifier: Apache-2.0 */
/* The local state's file: kept across kill -9, damage, a full disk. */
#include "state/state_rig.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/resource.h>

struct home {
    uv_loop_t loop;
    struct party party;
    char directory[64];
};

static struct wisp_err err;

static int try_open(struct home *home)
{
    struct wisp_state_options options = party_options(&home->party);
    return wisp_state_open_local(&home->party.state, &home->loop, home->directory, NULL, &options, &err);
}

static void open_home(struct home *home)
{
    home->party = (struct party){.loop = &home->loop};
    CHECK_OK(try_open(home), &err);
    AWAIT(&home->loop, home->party.n_loaded);
}

static void close_home(struct home *home)
{
    party_leave(&home->party);
    uv_run(&home->loop, UV_RUN_DEFAULT);
}

static void setup(struct home *home)
{
    *home = (struct home){0};
    CHECK_INT(uv_loop_init(&home->loop), 0);
    make_dir(home->directory);
    open_home(home);
}

static void teardown(struct home *home)
{
    close_home(home);
    CHECK_INT(uv_loop_close(&home->loop), 0);
    remove_tree(home->directory);
}

static void reopen(struct home *home)
{
    close_home(home);
    open_home(home);
}

static void file_path(const struct home *home, const char *name, char path[128])
{
    snprintf(path, 128, "%s/%s", home->directory, name);
}

static off_t log_size(const struct home *home)
{
    char path[128];
    struct stat stat_;
    file_path(home, "state.db-wal", path);
    return stat(path, &stat_) == 0 ? stat_.st_size : 0;
}

/* Files in the directory whose name begins so. */
static unsigned count_files(const struct home *home, const char *prefix)
{
    DIR *directory = opendir(home->directory);
    unsigned n = 0;
    CHECK(directory);
    for (struct dirent *entry; (entry = readdir(directory));) n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    closedir(directory);
    return n;
}

TEST(what_is_only_said_again_is_not_written)
{
    struct home home;
    setup(&home);
    int64_t revision = party_write(&home.party, "lease", "mine", 0);
    revision = party_write(&home.party, "lease", "mine", revision); /* room for those to come */
    off_t size = log_size(&home);
    for (int i = 0; i < 1000; i++) {
        int64_t next = party_write(&home.party, "lease", "mine", revision);
        CHECK(next > revision);
        revision = next;
    }
    CHECK_INT(log_size(&home), size);
    /* Another value is, and nothing of before is accepted any more. */
    int64_t other = party_write(&home.party, "lease", "yours", revision);
    CHECK(other > revision && log_size(&home) > size);
    for (int i = 0; i < 100; i++) other = party_write(&home.party, "lease", "yours", other);
    reopen(&home);
    int64_t later = party_write(&home.party, "a", "1", 0);
    CHECK(later > other);
    CHECK_INT(party_write(&home.party, "lease", "mine", other), -WISP_ERR_EXISTS);
    teardown(&home);
}

TEST(values_and_revisions_are_kept)
{
    struct home home;
    setup(&home);
    CHECK_INT(party_write(&home.party, "a", "1", 0), 1);
    CHECK_INT(party_write(&home.party, "b", "2", 0), 2);
    CHECK_INT(party_write(&home.party, "a", "3", 1), 3);
    CHECK_INT(party_write(&home.party, "b", NULL, 2), 4);
    CHECK_INT(party_write(&home.party, "b", NULL, WISP_STATE_ANY_REVISION), 4); /* nothing to do */
    reopen(&home);
    CHECK_INT(home.party.n_changes, 1);
    CHECK(party_sees(&home.party, "a", "3"));
    CHECK_INT(party_write(&home.party, "c", "4", 0), 5); /* goes on after the deletion */
    reopen(&home);
    CHECK_INT(party_write(&home.party, "a", "5", 3), 6);
    char path[128];
    struct stat status;
    file_path(&home, "state.db", path);
    CHECK_INT(stat(path, &status), 0);
    CHECK_INT(status.st_mode & 0777, 0600);
    teardown(&home);
}

TEST(writes_to_one_key_in_one_turn_are_in_order)
{
    struct home home;
    struct written written[6] = {0};
    struct wisp_str one = WISP_STR("1"), two = WISP_STR("2"), key = WISP_STR("k");
    setup(&home);
    wisp_state_write(home.party.state, WISP_STATE_LATTICE, key, &one, 0, on_written, &written[0]);
    wisp_state_write(home.party.state, WISP_STATE_LATTICE, key, &two, 0, on_written, &written[1]); /* is there now */
    wisp_state_write(home.party.state, WISP_STATE_LATTICE, key, &two, 1, on_written, &written[2]);
    wisp_state_write(home.party.state, WISP_STATE_LATTICE, key, NULL, 2, on_written, &written[3]);
    wisp_state_write(home.party.state, WISP_STATE_LATTICE, key, &one, 0, on_written, &written[4]);
    wisp_state_write(home.party.state, WISP_STATE_CONFIG, key, NULL, WISP_STATE_ANY_REVISION, on_written, &written[5]);
    AWAIT(&home.loop, written[5].n);
    CHECK_INT(written[1].err.kind, WISP_ERR_EXISTS);
    CHECK_INT(written[2].revision, 2);
    CHECK_INT(written[3].revision, 3);
    CHECK_INT(written[4].revision, 4);
    CHECK_INT(written[5].err.kind, 0);
    CHECK_INT(home.party.n_changes, 4);
    reopen(&home);
    CHECK(party_sees(&home.party, "k", "1"));
    teardown(&home);
}

TEST(one_process_at_a_time)
{
    struct home home, other = {0};
    setup(&home);
    memcpy(other.directory, home.directory, sizeof other.directory);
    CHECK_INT(uv_loop_init(&other.loop), 0);
    CHECK_FAILS(try_open(&other), EXISTS);
    CHECK_HAS(err.text, home.directory);
    uv_run(&other.loop, UV_RUN_DEFAULT);
    close_home(&home);
    open_home(&other);
    close_home(&other);
    CHECK_INT(uv_loop_close(&other.loop), 0);
    open_home(&home);
    teardown(&home);
}

/* --- kill -9 --- */

enum { VALUE_SIZE = 3000, KEYS = 7 };

struct writer {
    struct home *home;
    int pipe;
    uint32_t next, acknowledged;
};

static void write_next(struct writer *writer);

static void on_acknowledged(uint64_t revision, const struct wisp_err *failure, void *env)
{
    struct writer *writer = env;
    CHECK(!failure && revision);
    writer->acknowledged++;
    CHECK_INT(write(writer->pipe, &writer->acknowledged, sizeof writer->acknowledged), sizeof writer->acknowledged);
    write_next(writer);
}

/* Number N goes to key N % KEYS; every fifth is a deletion. */
static void write_next(struct writer *writer)
{
    char key[16], value[VALUE_SIZE];
    struct wisp_str text = {value, VALUE_SIZE};
    uint32_t n = ++writer->next;
    snprintf(key, sizeof key, "k%u", n % KEYS);
    memset(value, 'a' + (int)(n % 26), sizeof value);
    memcpy(value, &n, sizeof n);
    wisp_state_write(writer->home->party.state, WISP_STATE_LATTICE, wisp_str_from(key), n % 5 ? &text : NULL,
                     WISP_STATE_ANY_REVISION, on_acknowledged, writer);
}

static void child(const struct home *home, int pipe_fd, uint32_t first)
{
    struct home own = {0};
    struct writer writer = {.home = &own, .pipe = pipe_fd, .next = first, .acknowledged = first};
    memcpy(own.directory, home->directory, sizeof own.directory);
    CHECK_INT(uv_loop_init(&own.loop), 0);
    open_home(&own);
    for (int i = 0; i < 3; i++) write_next(&writer); /* several in one commit */
    uv_run(&own.loop, UV_RUN_DEFAULT);
    _exit(1);
}

/* Starts a writer, kills it after some acknowledgements and a random pause; returns the last one acknowledged. */
static uint32_t write_and_kill(const struct home *home, uint32_t first, unsigned n_wanted)
{
    int fds[2];
    uint32_t last = first, number;
    uint16_t pause;
    CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        child(home, fds[1], first);
    }
    close(fds[1]);
    for (unsigned i = 0; i < n_wanted; i++) CHECK_INT(read(fds[0], &last, sizeof last), sizeof last);
    CHECK_INT(getrandom(&pause, sizeof pause, 0), sizeof pause);
    usleep(pause % 4000);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (read(fds[0], &number, sizeof number) == sizeof number) last = number;
    close(fds[0]);
    return last;
}

/* Everything up to `acknowledged` is there, unless a later write to the key is; and each value is whole. */
static uint32_t check_kept(const struct party *party, uint32_t acknowledged)
{
    uint32_t highest = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        char key[16];
        uint32_t expected = acknowledged, n = 0;
        while (expected && expected % KEYS != k) expected--;
        snprintf(key, sizeof key, "k%u", k);
        struct wisp_str value = party_value(party, WISP_STATE_LATTICE, key);
        if (value.len == VALUE_SIZE) {
            memcpy(&n, value.ptr, sizeof n);
            CHECK_INT(n % KEYS, k);
            for (size_t i = sizeof n; i < value.len; i++) CHECK_INT(value.ptr[i], 'a' + (int)(n % 26));
        } else { /* deleted: by the expected write, or by one that was not acknowledged any more */
            CHECK_STR(value, "(none)");
            n = expected;
            while (n % 5 && n && n < acknowledged + 10) n += KEYS;
            CHECK(n % 5 == 0);
        }
        CHECK(n >= expected);
        if (n > highest) highest = n;
    }
    return highest > acknowledged ? highest : acknowledged;
}

TEST(a_killed_writer_loses_nothing_it_was_told)
{
    struct home home;
    uint32_t last = 0;
    setup(&home);
    for (unsigned round = 0; round < 25; round++) {
        close_home(&home);
        last = write_and_kill(&home, last, 1 + round % 9);
        open_home(&home);
        last = check_kept(&home.party, last);
    }
    CHECK_INT(count_files(&home, "state.db.damaged"), 0);
    teardown(&home);
}

/* --- the disk --- */

static void scribble(const struct home *home, const char *name, off_t at, size_t size)
{
    char path[128], noise[4096];
    file_path(home, name, path);
    memset(noise, 0x5a, sizeof noise);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    for (size_t done = 0; done < size; done += sizeof noise)
        CHECK_INT(pwrite(fd, noise, sizeof noise, at + (off_t)done), sizeof noise);
    close(fd);
}

TEST(a_damaged_file_is_set_aside)
{
    for (int part = 0; part < 2; part++) {
        struct home home;
        char key[16];
        setup(&home);
        for (int i = 0; i < 500; i++) {
            snprintf(key, sizeof key, "key%d", i);
            CHECK_INT(party_write(&home.party, key, "some value", 0), i + 1);
        }
        close_home(&home);
        scribble(&home, "state.db", part ? 4096 : 0, 8192);
        open_home(&home);
        CHECK_INT(home.party.n_changes, 0);
        CHECK_INT(count_files(&home, "state.db.damaged-"), 1);
        CHECK(party_write(&home.party, "key", "new", 0) > 500); /* never seen before */
        reopen(&home);
        CHECK(party_sees(&home.party, "key", "new"));
        CHECK(party_write(&home.party, "key", "newer", WISP_STATE_ANY_REVISION) > 501);
        teardown(&home);
    }
}

TEST(no_file_at_all_but_a_directory_in_its_place)
{
    struct home home = {0};
    char path[128];
    CHECK_INT(uv_loop_init(&home.loop), 0);
    make_dir(home.directory);
    file_path(&home, "state.db", path);
    CHECK_INT(mkdir(path, 0700), 0);
    open_home(&home);
    CHECK_INT(party_write(&home.party, "k", "v", 0), -(int)WISP_ERR_OS);
    CHECK_INT(rmdir(path), 0);
    CHECK(party_write(&home.party, "k", "v", 0) > 0); /* as soon as it can be */
    reopen(&home);
    CHECK(party_sees(&home.party, "k", "v"));
    teardown(&home);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(a_full_disk_fails_the_writes_and_keeps_the_rest)
{
    struct home home;
    char *large = wisp_mem_calloc(1, 200001);
    memset(large, 'x', 200000);
    signal(SIGXFSZ, SIG_IGN);
    setup(&home);
    CHECK_INT(party_write(&home.party, "before", "1", 0), 1);
    limit_files(150000);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(party_write(&home.party, "large", large, 0), -(int)WISP_ERR_OS);
        CHECK(party_sees(&home.party, "before", "1"));
    }
    CHECK_INT(home.party.n_changes, 1);
    limit_files(0);
    int64_t revision = party_write(&home.party, "large", large, 0);
    CHECK_INT(revision, 2);
    reopen(&home);
    CHECK(party_sees(&home.party, "before", "1"));
    CHECK(party_sees(&home.party, "large", large));
    CHECK_INT(home.party.n_changes, 2);
    free(large);
    teardown(&home);
}

TEST(writes_of_one_new_key_fail_together)
{
    struct home home;
    struct written written[3] = {0};
    char *large = wisp_mem_calloc(1, 200001);
    memset(large, 'x', 200000);
    signal(SIGXFSZ, SIG_IGN);
    setup(&home);
    limit_files(150000);
    const struct wisp_str value = wisp_str_from(large);
    for (int i = 0; i < 3; i++)
        wisp_state_write(home.party.state, WISP_STATE_LATTICE, WISP_STR("k"), i == 1 ? NULL : &value,
                         WISP_STATE_ANY_REVISION, on_written, &written[i]);
    AWAIT(home.party.loop, written[2].n);
    limit_files(0);
    for (int i = 0; i < 3; i++) CHECK_INT(written[i].err.kind, WISP_ERR_OS);
    CHECK_INT(party_write(&home.party, "k", "1", 0), 1);
    reopen(&home);
    CHECK(party_sees(&home.party, "k", "1"));
    free(large);
    teardown(&home);
}

TEST(a_directory_that_cannot_be_written_to_is_read)
{
    struct home home;
    if (geteuid() != 0) wisp_test_skip("needs root, to become somebody else");
    setup(&home);
    CHECK_INT(party_write(&home.party, "k", "1", 0), 1);
    close_home(&home);
    char path[128];
    file_path(&home, "state.db", path);
    CHECK_INT(chmod(path, 0644), 0);
    file_path(&home, "state.lock", path);
    CHECK_INT(chmod(path, 0644), 0);
    CHECK_INT(chmod(home.directory, 0755), 0);
    CHECK_INT(seteuid(65534), 0);
    open_home(&home);
    CHECK(party_sees(&home.party, "k", "1"));
    CHECK_INT(party_write(&home.party, "k", "2", 1), -(int)WISP_ERR_OS);
    CHECK_INT(seteuid(0), 0);
    CHECK_INT(party_write(&home.party, "k", "2", 1), 2); /* and as soon as it can be */
    reopen(&home);
    CHECK(party_sees(&home.party, "k", "2"));
    teardown(&home);
}
