/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/keyvalue_suite.h"

#include <sqlite3.h>

static void open_at(struct world *world, const char *dir)
{
    struct wisp_provider_options options = {.kind = &wisp_keyvalue_sqlite, .data_path = dir};
    CHECK_OK(open_world(world, &options), &err);
    CHECK_OK(put_link(world, "default", "{}", NULL), &err);
}

TEST(file)
{
    char dir[64];
    struct world world;
    make_dir(dir);
    open_at(&world, dir);
    check_all(&world, true, true);
    CHECK_TEXT(SET(&world, "kept", "yes"), "done");
    close_world(&world);
    open_at(&world, dir);
    CHECK_TEXT(GET(&world, "kept"), "some yes");
    close_world(&world);
    remove_tree(dir);
}

TEST(memory)
{
    struct world world;
    open_at(&world, NULL);
    check_all(&world, true, true);
    close_world(&world);
}

TEST(counts_beyond_what_sqlite_calls_a_number)
{
    struct world world;
    open_at(&world, NULL);
    CHECK_TEXT(say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "18446744073709551614"), "18446744073709551614");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "1"), "18446744073709551615");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "1"), "other: the sum is too large");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_SET, "b", "n", "x"), "done");
    CHECK_TEXT(say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "1"), "other: the value is no number");
    close_world(&world);
}

TEST(a_link_may_have_a_file_of_its_own)
{
    char dir[64], config[128];
    struct world world;
    make_dir(dir);
    open_at(&world, dir);
    snprintf(config, sizeof config, "{\"PATH\": \"%s/own.db\"}", dir);
    CHECK_OK(put_link(&world, "own", config, NULL), &err);
    CHECK_TEXT(say_over(&world, "own", WISP_KEYVALUE_SET, "b", "a", "own"), "done");
    CHECK_TEXT(GET(&world, "a"), "none");
    CHECK_TEXT(say_over(&world, "own", WISP_KEYVALUE_GET, "b", "a", NULL), "some own");
    CHECK_FAILS(put_link(&world, "relative", "{\"path\": \"own.db\"}", NULL), INVALID);
    CHECK_HAS(err.text, "absolute");
    CHECK_HAS(say_over(&world, "relative", WISP_KEYVALUE_GET, "b", "a", NULL), "absolute");
    close_world(&world);
    remove_tree(dir);
}

TEST(limits)
{
    struct world world;
    open_at(&world, NULL);
    size_t size = WISP_KEYVALUE_VALUE_MAX + 1;
    WISP_CLEANUP_FREE char *big = wisp_mem_calloc(size, 1);
    struct wisp_keyvalue_set_args set = {WISP_STR("b"), WISP_STR("a"), {(const uint8_t *)big, size}};
    CHECK_HAS(call_over(&world, "default", WISP_KEYVALUE_SET, &set).text, "other: a value has");
    set = (struct wisp_keyvalue_set_args){WISP_STR("b"), {big, WISP_KEYVALUE_KEY_MAX + 1}, {0}};
    CHECK_HAS(call_over(&world, "default", WISP_KEYVALUE_SET, &set).text, "other: a key has");
    set = (struct wisp_keyvalue_set_args){{big, WISP_KEYVALUE_BUCKET_MAX + 1}, WISP_STR("a"), {0}};
    CHECK_HAS(call_over(&world, "default", WISP_KEYVALUE_SET, &set).text, "other: the bucket's name");
    struct wisp_str *keys = (struct wisp_str *)(void *)big;
    struct wisp_keyvalue_keys_args many = {WISP_STR("b"), keys, WISP_KEYVALUE_BATCH_MAX + 1};
    CHECK_HAS(call_over(&world, "default", WISP_KEYVALUE_GET_MANY, &many).text, "keys in one call");
    close_world(&world);
}

/* Text is text: NUL, quotes. */
TEST(keys_may_hold_any_character)
{
    struct world world;
    open_at(&world, NULL);
    struct wisp_keyvalue_set_args set = {WISP_STR("b"), {"a\0b", 3}, {(const uint8_t *)"x", 1}};
    CHECK_TEXT(call_over(&world, "default", WISP_KEYVALUE_SET, &set).text, "done");
    CHECK_TEXT(GET(&world, "a"), "none");
    struct wisp_keyvalue_key_args get = {WISP_STR("b"), {"a\0b", 3}};
    CHECK_TEXT(call_over(&world, "default", WISP_KEYVALUE_GET, &get).text, "some x");
    CHECK_TEXT(SET(&world, "\xc3\xa4'; DROP TABLE entry", "y"), "done");
    CHECK_TEXT(GET(&world, "\xc3\xa4'; DROP TABLE entry"), "some y");
    close_world(&world);
}

enum { PROCESSES = 4, INCREMENTS = 500 };

static void increment_in_child(const char *dir)
{
    struct world world;
    struct outcome outcomes[16];
    struct wisp_keyvalue_increment_args args = {WISP_STR("b"), WISP_STR("n"), 1};
    open_at(&world, dir);
    for (int i = 0; i < INCREMENTS; i++) {
        struct outcome *outcome = &outcomes[i % 16];
        start_call(&world, "default", WISP_KEYVALUE_INCREMENT, &args, outcome);
        AWAIT(&world.loop, outcome->n);
        CHECK_INT(outcome->result.number.is_err, 0);
    }
    close_world(&world);
}

TEST(processes_share_a_file)
{
    char dir[64];
    pid_t pids[PROCESSES];
    struct world world;
    make_dir(dir);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        CHECK(pids[i] >= 0);
        if (pids[i] == 0) {
            increment_in_child(dir);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        CHECK_INT(waitpid(pids[i], &status, 0), pids[i]);
        CHECK_INT(status, 0);
    }
    open_at(&world, dir);
    CHECK_TEXT(GET(&world, "n"), "some 2000");
    close_world(&world);
    remove_tree(dir);
}

static void count_when_open(const char *dir, int gate)
{
    char byte;
    struct world world;
    CHECK_INT(read(gate, &byte, 1), 0);
    open_at(&world, dir);
    CHECK(strtol(say(&world, WISP_KEYVALUE_INCREMENT, "b", "n", "1"), NULL, 10) > 0);
    close_world(&world);
}

/* The first workers of a host, the file not being there. */
TEST(processes_begin_at_once)
{
    for (int round = 0; round < 10; round++) {
        char dir[64];
        int gate[2], status;
        pid_t pids[PROCESSES];
        struct world world;
        make_dir(dir);
        CHECK_INT(pipe(gate), 0);
        for (int i = 0; i < PROCESSES; i++) {
            pids[i] = fork();
            CHECK(pids[i] >= 0);
            if (pids[i] == 0) {
                close(gate[1]);
                count_when_open(dir, gate[0]);
                _exit(0);
            }
        }
        close(gate[1]);
        close(gate[0]);
        for (int i = 0; i < PROCESSES; i++) {
            CHECK_INT(waitpid(pids[i], &status, 0), pids[i]);
            CHECK_INT(status, 0);
        }
        open_at(&world, dir);
        CHECK_TEXT(GET(&world, "n"), "some 4");
        close_world(&world);
        remove_tree(dir);
    }
}

/* Somebody holds the lock: the loop goes on, the call waits, and reads are answered. */
TEST(a_locked_file_is_waited_for)
{
    char dir[64], command[256];
    struct world world;
    struct outcome waiting, cancelled;
    int lock[2], unlock[2];
    char byte;
    make_dir(dir);
    open_at(&world, dir);
    CHECK_TEXT(SET(&world, "a", "old"), "done");
    CHECK_INT(pipe2(lock, O_CLOEXEC), 0);
    CHECK_INT(pipe2(unlock, O_CLOEXEC), 0);
    snprintf(command, sizeof command, "%s/keyvalue.db", dir);
    pid_t pid = fork();
    if (pid == 0) {
        sqlite3 *db;
        bool is_locked = sqlite3_open(command, &db) == SQLITE_OK &&
                         sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
        if (!is_locked || write(lock[1], "x", 1) != 1 || read(unlock[0], &byte, 1) != 1) _exit(1);
        _exit(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK);
    }
    CHECK_INT(read(lock[0], &byte, 1), 1);
    struct wisp_keyvalue_set_args set = {WISP_STR("b"), WISP_STR("a"), {(const uint8_t *)"new", 3}};
    struct wisp_keyvalue_set_args other = {WISP_STR("b"), WISP_STR("b"), {(const uint8_t *)"no", 2}};
    start_call(&world, "default", WISP_KEYVALUE_SET, &set, &waiting);
    struct wisp_provider_call *call = start_call(&world, "default", WISP_KEYVALUE_SET, &other, &cancelled);
    CHECK(call);
    CHECK_TEXT(GET(&world, "a"), "some old");
    CHECK_INT(waiting.n, 0);
    wisp_provider_call_cancel(call);
    CHECK_INT(write(unlock[1], "x", 1), 1);
    AWAIT(&world.loop, waiting.n);
    CHECK_TEXT(waiting.text, "done");
    CHECK_TEXT(GET(&world, "a"), "some new");
    CHECK_TEXT(GET(&world, "b"), "none");
    CHECK_INT(cancelled.n, 0);
    int status;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    close_world(&world);
    remove_tree(dir);
}

/* The write-ahead log is moved into the file while the store is used. */
TEST(the_log_does_not_grow_for_ever)
{
    char dir[64], path[128];
    struct world world;
    struct stat stat_of_log;
    make_dir(dir);
    open_at(&world, dir);
    WISP_CLEANUP_FREE char *value = wisp_mem_calloc(100001, 1);
    memset(value, 'v', 100000);
    for (int i = 0; i < 300; i++) CHECK_TEXT(SET(&world, "a", value), "done");
    snprintf(path, sizeof path, "%s/keyvalue.db-wal", dir);
    CHECK_INT(stat(path, &stat_of_log), 0);
    CHECK(stat_of_log.st_size < 25 << 20);
    close_world(&world);
    remove_tree(dir);
}

TEST(a_file_that_is_no_database_is_left_alone)
{
    char dir[64], path[128];
    struct wisp_provider_options options = {.kind = &wisp_keyvalue_sqlite, .data_path = dir};
    struct world world;
    struct stat before, after;
    make_dir(dir);
    snprintf(path, sizeof path, "%s/keyvalue.db", dir);
    write_text_file(dir, "keyvalue.db", "This is something else, and somebody may want to have it back.");
    CHECK_INT(stat(path, &before), 0);
    CHECK_FAILS(open_world(&world, &options), OS);
    CHECK_HAS(err.text, "keyvalue.db`: file is not a database");
    CHECK_INT(stat(path, &after), 0);
    CHECK_INT(after.st_size, before.st_size);
    end_loop(&world.loop);
    remove_tree(dir);
}
