/* SPDX-License-Identifier: Apache-2.0 */
/* Two or three handles on the same memory stand for as many processes; real processes where one has to die. */
#include "worker/shared.h"

#include "base/mem.h"
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct wisp_shared *host;
static struct wisp_shared *workers[4];

static struct wisp_shared *open_worker(uint32_t index)
{
    uint32_t n;
    int fds[1 + WISP_SHARED_WORKERS_MAX];
    struct wisp_err err = {0};
    struct wisp_shared *shared;
    const int *theirs = wisp_shared_fds(host, &n);
    for (uint32_t i = 0; i < n; i++) fds[i] = fcntl(theirs[i], F_DUPFD_CLOEXEC, 0);
    CHECK_OK(wisp_shared_open(&shared, fds, n, index, &err), &err);
    return shared;
}

static void start(uint32_t n_workers)
{
    struct wisp_err err = {0};
    CHECK_OK(wisp_shared_new(&host, n_workers, 10, &err), &err);
    for (uint32_t i = 0; i < 10; i++) wisp_shared_component_reset(host, i);
    for (uint32_t i = 0; i < n_workers; i++) workers[i] = open_worker(i);
}

static void stop(void)
{
    for (size_t i = 0; i < WISP_COUNT(workers); i++) wisp_shared_free(workers[i]);
    wisp_shared_free(host);
}

static bool was_woken(uint32_t worker)
{
    uint64_t count;
    return read(wisp_shared_wake_fd(workers[worker]), &count, sizeof count) == sizeof count;
}

TEST(limit_is_over_all_workers)
{
    start(2);
    CHECK_INT(wisp_shared_n_components(workers[0]), 10);
    CHECK(wisp_shared_acquire(workers[0], 3, 3));
    CHECK(wisp_shared_acquire(workers[1], 3, 3));
    CHECK(wisp_shared_acquire(workers[1], 3, 3));
    CHECK(!wisp_shared_acquire(workers[0], 3, 3));
    CHECK(wisp_shared_acquire(workers[0], 4, 3));
    CHECK_INT(wisp_shared_held(workers[0], 3), 1);
    CHECK_INT(wisp_shared_held(workers[1], 3), 2);
    stop();
}

TEST(place_goes_to_the_worker_that_waits)
{
    start(3);
    CHECK(wisp_shared_acquire(workers[0], 0, 1));
    CHECK(!wisp_shared_acquire(workers[1], 0, 1));
    CHECK(!wisp_shared_acquire(workers[2], 0, 1));
    CHECK(!was_woken(1) && !was_woken(2));
    wisp_shared_release(workers[0], 0, 1);
    CHECK_INT(wisp_shared_held(workers[0], 0), 0);
    CHECK_INT(wisp_shared_held(workers[1], 0), 1);
    CHECK(was_woken(1) && !was_woken(2));
    /* In turn, so that nobody starves, not even against the one that releases. */
    CHECK(!wisp_shared_acquire(workers[0], 0, 1));
    wisp_shared_release(workers[1], 0, 1);
    CHECK(was_woken(2));
    wisp_shared_release(workers[2], 0, 1);
    CHECK(was_woken(0));
    CHECK_INT(wisp_shared_held(workers[0], 0), 1);
    wisp_shared_release(workers[0], 0, 1);
    CHECK_INT(wisp_shared_held(workers[0], 0), 0);
    stop();
}

TEST(worker_that_waits_no_more_is_given_nothing)
{
    start(2);
    CHECK(wisp_shared_acquire(workers[0], 0, 1));
    CHECK(!wisp_shared_acquire(workers[1], 0, 1));
    wisp_shared_stop_waiting(workers[1], 0);
    wisp_shared_release(workers[0], 0, 1);
    CHECK(!was_woken(1));
    CHECK_INT(wisp_shared_held(workers[1], 0), 0);
    CHECK(wisp_shared_acquire(workers[0], 0, 1));
    stop();
}

TEST(lower_limit_holds_from_the_next_call_on)
{
    start(2);
    CHECK(wisp_shared_acquire(workers[0], 0, 2));
    CHECK(wisp_shared_acquire(workers[0], 0, 2));
    CHECK(!wisp_shared_acquire(workers[1], 0, 1));
    wisp_shared_release(workers[0], 0, 1);
    CHECK_INT(wisp_shared_held(workers[1], 0), 0);
    wisp_shared_release(workers[0], 0, 1);
    CHECK_INT(wisp_shared_held(workers[1], 0), 1);
    stop();
}

TEST(dead_worker_gives_its_places_back)
{
    start(2);
    CHECK(wisp_shared_acquire(workers[0], 5, 2));
    CHECK(wisp_shared_acquire(workers[0], 5, 2));
    wisp_shared_mine(workers[0], 5)->calls = 7;
    wisp_shared_mine(workers[0], 5)->instances = 2;
    CHECK(!wisp_shared_acquire(workers[1], 5, 2));
    wisp_shared_worker_reset(host, 0);
    CHECK(was_woken(1));
    CHECK(wisp_shared_acquire(workers[1], 5, 2));
    CHECK(wisp_shared_acquire(workers[1], 5, 2));
    struct wisp_shared_counters sum;
    wisp_shared_read(host, 5, &sum);
    CHECK_INT(sum.calls, 7);
    CHECK_INT(sum.instances, 0);
    stop();
}

TEST(counters_are_summed)
{
    start(2);
    struct wisp_shared_counters *a = wisp_shared_mine(workers[0], 9), *b = wisp_shared_mine(workers[1], 9), sum;
    a->calls = 3, b->calls = 4;
    a->instances_peak = 10, b->instances_peak = 7;
    a->latency[2] = 1, b->latency[2] = 1, b->latency[WISP_SHARED_BUCKETS - 1] = 5;
    wisp_shared_read(host, 9, &sum);
    CHECK_INT(sum.calls, 7);
    CHECK_INT(sum.instances_peak, 10);
    CHECK_INT(sum.latency[2], 2);
    CHECK_INT(sum.latency[WISP_SHARED_BUCKETS - 1], 5);
    wisp_shared_component_reset(host, 9);
    wisp_shared_read(host, 9, &sum);
    CHECK_INT(sum.calls, 0);
    stop();
}

TEST(buckets)
{
    CHECK_INT(wisp_shared_bucket_of(0), 0);
    CHECK_INT(wisp_shared_bucket_of(999), 0);
    CHECK_INT(wisp_shared_bucket_of(1000), 1);
    CHECK_INT(wisp_shared_bucket_of(1999), 1);
    CHECK_INT(wisp_shared_bucket_of(2000), 2);
    CHECK_INT(wisp_shared_bucket_of(UINT64_MAX), WISP_SHARED_BUCKETS - 1);
    for (uint32_t i = 0; i + 1 < WISP_SHARED_BUCKETS; i++) {
        CHECK_INT(wisp_shared_bucket_of(wisp_shared_bucket_ns(i) - 1), i);
        CHECK_INT(wisp_shared_bucket_of(wisp_shared_bucket_ns(i)), i + 1);
    }
    CHECK(wisp_shared_bucket_ns(WISP_SHARED_BUCKETS - 1) == UINT64_MAX);
}

TEST(private_memory_serves_one_worker)
{
    struct wisp_shared *shared = wisp_shared_new_private(2);
    CHECK_INT(wisp_shared_wake_fd(shared), -1);
    CHECK(wisp_shared_acquire(shared, 1, 1));
    CHECK(!wisp_shared_acquire(shared, 1, 1));
    wisp_shared_release(shared, 1, 1);
    CHECK(wisp_shared_acquire(shared, 1, 1));
    wisp_shared_free(shared);
}

TEST(memory_of_another_size_is_refused)
{
    struct wisp_err err = {0};
    struct wisp_shared *shared;
    start(2);
    uint32_t n;
    const int *fds = wisp_shared_fds(host, &n);
    int mine[] = {fcntl(fds[0], F_DUPFD_CLOEXEC, 0), fcntl(fds[1], F_DUPFD_CLOEXEC, 0)};
    CHECK_FAILS(wisp_shared_open(&shared, mine, 2, 0, &err), INVALID);
    CHECK_FAILS(wisp_shared_new(&shared, 0, 1, &err), LIMIT);
    stop();
}

/* --- processes that race and die --- */

enum { LIMIT = 3, ROUNDS = 20000 };

struct scene {
    _Atomic int inside, most, n_done;
};

/* Takes and gives back as a worker does: what waits is started when a place is given. */
static void work(struct wisp_shared *shared, struct scene *scene, uint32_t limit)
{
    struct pollfd watch = {.fd = wisp_shared_wake_fd(shared), .events = POLLIN};
    for (int i = 0; i < ROUNDS; i++) {
        bool has = wisp_shared_acquire(shared, 0, limit);
        while (!has) {
            uint64_t count;
            if (poll(&watch, 1, 10000) != 1) _exit(1); /* nobody woke us */
            (void)!read(watch.fd, &count, sizeof count);
            has = wisp_shared_held(shared, 0) > 0 || wisp_shared_acquire(shared, 0, limit);
        }
        int inside = atomic_fetch_add(&scene->inside, 1) + 1, most = atomic_load(&scene->most);
        while (inside > most && !atomic_compare_exchange_weak(&scene->most, &most, inside)) continue;
        if (i % 2) sched_yield();
        atomic_fetch_sub(&scene->inside, 1);
        wisp_shared_stop_waiting(shared, 0);
        while (wisp_shared_held(shared, 0) > 0) wisp_shared_release(shared, 0, limit);
    }
    atomic_fetch_add(&scene->n_done, 1);
    _exit(0);
}

TEST(racing_workers_keep_to_the_limit_and_none_is_forgotten)
{
    start(4);
    /* A place of another component serves as memory that all see. */
    struct scene *scene = (struct scene *)(void *)wisp_shared_mine(workers[0], 9);
    pid_t pids[4];
    fflush(NULL);
    for (uint32_t i = 0; i < 4; i++)
        if ((pids[i] = fork()) == 0) work(workers[i], scene, LIMIT);
    for (uint32_t i = 0; i < 4; i++) {
        int status;
        CHECK_INT(waitpid(pids[i], &status, 0), pids[i]);
        CHECK_INT(status, 0);
    }
    CHECK_INT(scene->n_done, 4);
    CHECK(scene->most <= LIMIT);
    stop();
}

/* On one processor, whoever is given a place runs at once, and may be through with it before the giver goes on. */
TEST(a_place_that_comes_back_before_its_giver_goes_on_is_not_forgotten)
{
    start(2);
    struct scene *scene = (struct scene *)(void *)wisp_shared_mine(workers[0], 9);
    cpu_set_t all, one;
    pid_t pids[2];
    CHECK_INT(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    CHECK_INT(sched_setaffinity(0, sizeof one, &one), 0);
    fflush(NULL);
    for (uint32_t i = 0; i < 2; i++)
        if ((pids[i] = fork()) == 0) work(workers[i], scene, 1);
    CHECK_INT(sched_setaffinity(0, sizeof all, &all), 0);
    for (uint32_t i = 0; i < 2; i++) {
        int status;
        CHECK_INT(waitpid(pids[i], &status, 0), pids[i]);
        CHECK_INT(status, 0);
    }
    CHECK_INT(scene->most, 1);
    stop();
}

TEST(workers_killed_anywhere_leave_nothing_behind)
{
    start(3);
    struct scene *scene = (struct scene *)(void *)wisp_shared_mine(workers[0], 9);
    fflush(NULL);
    for (int round = 0; round < 30; round++) {
        pid_t pids[3];
        for (uint32_t i = 0; i < 3; i++)
            if ((pids[i] = fork()) == 0) work(workers[i], scene, LIMIT);
        usleep((useconds_t)(round * 100));
        for (uint32_t i = 0; i < 3; i++) {
            kill(pids[i], SIGKILL);
            CHECK_INT(waitpid(pids[i], NULL, 0), pids[i]);
            wisp_shared_worker_reset(host, i);
        }
        for (uint32_t i = 0; i < 3; i++) CHECK_INT(wisp_shared_held(workers[i], 0), 0);
        for (int i = 0; i < LIMIT; i++) CHECK(wisp_shared_acquire(workers[0], 0, LIMIT));
        CHECK(!wisp_shared_acquire(workers[1], 0, LIMIT));
        wisp_shared_stop_waiting(workers[1], 0);
        for (int i = 0; i < LIMIT; i++) wisp_shared_release(workers[0], 0, LIMIT);
    }
    stop();
}
