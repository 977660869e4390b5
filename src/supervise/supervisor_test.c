/* SPDX-License-Identifier: Apache-2.0 */
/* Hundreds of children on a virtual clock: a seeded world in which processes are numbers that are born, get ready,
 * die, hang and ignore signals. */
#include "supervise/supervisor.h"

#include "base/log.h"
#include "base/mem.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CHILDREN = 300, HOUR_MS = 3600 * 1000, PLANNED_MAX = CHILDREN * 8 };

/* Something that will happen to a process, unless it is gone by then. */
struct planned {
    uint64_t at_ms;
    struct process *process;
    enum { STARTS, GETS_READY, DIES, IS_PREPARED } what;
    struct wisp_child *child; /* IS_PREPARED */
};

struct process {
    struct process *next;
    struct wisp_child *child;
    bool is_alive, is_started, is_ready, has_control, ignores_drain, ignores_term;
    bool is_cancelled; /* signalled before it was started */
    int pid;
};

struct world {
    uint64_t now_ms, wake_ms, seed;
    struct planned planned[PLANNED_MAX];
    size_t n_planned;
    struct process *processes; /* every one that ever was, for freeing */
    unsigned n_alive, n_spawned, n_killed, n_told, n_due;
    bool is_calm; /* nothing goes wrong any more */
};

static uint64_t draw(struct world *world, uint64_t below)
{
    world->seed = world->seed * 6364136223846793005u + 1442695040888963407u;
    return (world->seed >> 33) % below;
}

static bool one_in(struct world *world, uint64_t n) { return draw(world, n) == 0; }

static void plan(struct world *world, struct process *process, uint64_t after_ms, int what)
{
    CHECK(world->n_planned < PLANNED_MAX);
    world->planned[world->n_planned++] = (struct planned){world->now_ms + after_ms, process, what, NULL};
}

static uint64_t world_now(void *env) { return ((struct world *)env)->now_ms; }
static void world_wake_at(void *env, uint64_t at_ms) { ((struct world *)env)->wake_ms = at_ms; }

/* A life: mostly ready soon and dying hours later; sometimes dead on arrival, never ready, or deaf. */
static int world_spawn(void *env, struct wisp_child *child, struct wisp_child_process *ret_process,
                       struct wisp_err *err)
{
    struct world *world = env;
    if (!world->is_calm && one_in(world, 20)) return wisp_err_set(err, WISP_ERR_OS, "fork: no");
    struct process *process = wisp_mem_calloc(1, sizeof *process);
    process->next = world->processes;
    world->processes = process;
    process->child = child;
    process->is_alive = true;
    process->has_control = world->is_calm || !one_in(world, 3);
    process->ignores_drain = one_in(world, 10);
    process->ignores_term = one_in(world, 2);
    world->n_alive++;
    process->pid = (int)++world->n_spawned;
    plan(world, process, world->is_calm ? 0 : draw(world, 4), STARTS);
    if (world->is_calm) {
        plan(world, process, 5, GETS_READY);
    } else {
        if (!one_in(world, 15)) plan(world, process, 1 + draw(world, 500), GETS_READY);
        if (one_in(world, 2)) plan(world, process, one_in(world, 3) ? 1 + draw(world, 50) : draw(world, HOUR_MS), DIES);
    }
    *ret_process = (struct wisp_child_process){process, process->has_control};
    return 0;
}

static void die(struct world *world, struct process *process, int wait_status)
{
    process->is_alive = false;
    world->n_alive--;
    wisp_child_exited(process->child, wait_status);
}

/* It can fail to, also when nobody wants it any more. */
static void start(struct world *world, struct process *process)
{
    struct wisp_err err = {0};
    process->is_started = true;
    if (one_in(world, 2) ? process->is_cancelled : !world->is_calm && one_in(world, 20)) {
        process->is_alive = false;
        world->n_alive--;
        wisp_err_set(&err, WISP_ERR_OS, "exec: no");
        wisp_child_unstartable(process->child, &err);
        return;
    }
    wisp_child_started(process->child, process->pid);
    if (process->is_cancelled) plan(world, process, 1, DIES);
}

static void world_tell(void *env, void *handle, const char *line)
{
    struct world *world = env;
    struct process *process = handle;
    CHECK(process->is_alive && process->has_control);
    CHECK_TEXT(line, "drain");
    world->n_told++;
    if (!process->ignores_drain) plan(world, process, 1 + draw(world, 2000), DIES);
}

static void world_signal(void *env, void *handle, int signal_number)
{
    struct world *world = env;
    struct process *process = handle;
    CHECK(process->is_alive);
    world->n_killed += signal_number == SIGKILL;
    if (!process->is_started)
        process->is_cancelled = true;
    else if (signal_number == SIGKILL || !process->ignores_term)
        plan(world, process, 1 + draw(world, 20), DIES);
}

static const struct wisp_supervisor_world vtable = {world_now, world_wake_at, world_spawn, world_tell, world_signal};

/* The owner of every second child prepares its starts: at once, or in its own time. */
static void on_due(struct wisp_child *child, void *env)
{
    struct world *world = env;
    world->n_due++;
    CHECK_INT(wisp_child_state(child), WISP_CHILD_HELD);
    if (one_in(world, 2)) {
        wisp_child_release(child);
        return;
    }
    plan(world, NULL, 1 + draw(world, 20000), IS_PREPARED);
    world->planned[world->n_planned - 1].child = child;
}

static void happen(struct world *world, struct planned planned)
{
    struct process *process = planned.process;
    if (planned.what == IS_PREPARED) {
        wisp_child_release(planned.child);
        return;
    }
    if (!process->is_alive) return;
    if (planned.what == STARTS) {
        start(world, process);
    } else if (!process->is_started) {
        plan(world, process, 1, planned.what);
    } else if (planned.what == DIES) {
        die(world, process, one_in(world, 2) ? SIGSEGV : 0);
    } else if (process->has_control && !process->is_ready) {
        process->is_ready = true;
        wisp_child_said(process->child, WISP_STR("ready 127.0.0.1:8000"));
    }
}

static size_t next_planned(const struct world *world)
{
    size_t next = 0;
    for (size_t i = 1; i < world->n_planned; i++)
        if (world->planned[i].at_ms < world->planned[next].at_ms) next = i;
    return next;
}

/* Lets time go on to the next thing that happens, at most to `until_ms`. False when that is reached. */
static bool advance(struct world *world, struct wisp_supervisor *supervisor, uint64_t until_ms)
{
    size_t next = next_planned(world);
    uint64_t planned_ms = world->n_planned ? world->planned[next].at_ms : UINT64_MAX;
    uint64_t wake_ms = world->wake_ms ? world->wake_ms : UINT64_MAX;
    uint64_t at_ms = planned_ms < wake_ms ? planned_ms : wake_ms;
    if (at_ms > until_ms) {
        world->now_ms = until_ms;
        return false;
    }
    if (at_ms > world->now_ms) world->now_ms = at_ms;
    if (planned_ms <= wake_ms) {
        struct planned planned = world->planned[next];
        world->planned[next] = world->planned[--world->n_planned];
        happen(world, planned);
    } else {
        wisp_supervisor_tick(supervisor);
    }
    return true;
}

static void world_deinit(struct world *world)
{
    for (struct process *process = world->processes, *next; process; process = next) {
        next = process->next;
        free(process);
    }
}

static void check_consistency(struct world *world, struct wisp_child **children)
{
    unsigned n_with_process = 0;
    for (size_t i = 0; i < CHILDREN; i++) {
        bool has_process = wisp_lifecycle_has_process(wisp_child_state(children[i]));
        CHECK(has_process || wisp_child_pid(children[i]) == 0);
        n_with_process += has_process;
        CHECK(wisp_child_pause_ms(children[i]) <= 30000);
    }
    CHECK_INT(n_with_process, world->n_alive);
}

/* What an operator might do at any time. */
static void meddle(struct world *world, struct wisp_child **children)
{
    struct wisp_child *child = children[draw(world, CHILDREN)];
    switch (draw(world, 6)) {
    case 2:
        wisp_child_hang(child, "it does nothing");
        break;
    case 3:
        wisp_child_release(child);
        break;
    case 0:
        wisp_child_stop(child);
        break;
    case 1:
        wisp_child_kill(child);
        break;
    default:
        wisp_child_start(child);
    }
}

static void simulate(uint64_t seed)
{
    struct world world = {.now_ms = 1, .seed = seed};
    struct wisp_supervisor *supervisor = wisp_supervisor_new(&vtable, &world, seed);
    struct wisp_child *children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        char name[32];
        snprintf(name, sizeof name, "child %zu", i);
        children[i] =
            wisp_child_add(supervisor, &(struct wisp_child_options){.name = name,
                                                                    .running = "a program",
                                                                    .policy = {.is_held = i % 2, .failed_after = i % 7},
                                                                    .handler = {.on_due = on_due},
                                                                    .env = &world});
        wisp_child_start(children[i]);
    }
    for (int i = 0; i < 20000; i++) {
        if (!advance(&world, supervisor, HOUR_MS)) break;
        if (draw(&world, 50) == 0) meddle(&world, children);
        if (i % 100 == 0) check_consistency(&world, children);
    }

    /* The storm is over: within two of the longest pauses, everything that is wanted runs. */
    world.is_calm = true;
    for (size_t i = 0; i < CHILDREN; i++) wisp_child_start(children[i]);
    for (size_t i = 0; i < world.n_planned; i++)
        if (world.planned[i].what == DIES) world.planned[i].at_ms = world.now_ms;
    uint64_t until_ms = world.now_ms + 120000;
    while (advance(&world, supervisor, until_ms)) continue;
    check_consistency(&world, children);
    for (size_t i = 0; i < CHILDREN; i++) CHECK_TEXT(wisp_lifecycle_state_name(wisp_child_state(children[i])), "ready");

    /* And it all ends in bounded time, however deaf the processes are. */
    wisp_supervisor_stop_all(supervisor);
    until_ms = world.now_ms + 30000 + 5000 + 100;
    while (advance(&world, supervisor, until_ms)) continue;
    CHECK(wisp_supervisor_is_idle(supervisor));
    CHECK_INT(world.n_alive, 0);
    CHECK(world.n_killed > 0 && world.n_told > 0 && world.n_due > 0);
    wisp_supervisor_free(supervisor);
    world_deinit(&world);
}

TEST(three_hundred_children_in_a_storm)
{
    freopen("/dev/null", "w", stderr); /* the log of thousands of deaths */
    const char *wanted = getenv("WISP_SEED");
    uint64_t first = wanted ? strtoull(wanted, NULL, 0) : 1, last = wanted ? first : 12;
    for (uint64_t seed = first; seed <= last; seed++) {
        printf("WISP_SEED=%llu\n", (unsigned long long)seed);
        simulate(seed);
    }
}

/* --- single stories --- */

struct story {
    struct world world;
    struct wisp_supervisor *supervisor;
    struct wisp_child *child;
    struct wisp_child_exit last_exit;
    int n_exits, n_states;
    char ready_text[64], reason[64];
    bool again;
};

static bool story_on_exit(struct wisp_child *child, const struct wisp_child_exit *exit, void *env)
{
    (void)child;
    struct story *story = env;
    story->last_exit = *exit;
    snprintf(story->reason, sizeof story->reason, "%s", exit->reason ? exit->reason : "");
    story->n_exits++;
    return story->again;
}

static void story_on_ready(struct wisp_child *child, struct wisp_str text, void *env)
{
    (void)child;
    struct story *story = env;
    snprintf(story->ready_text, sizeof story->ready_text, "%.*s", WISP_STR_ARG(text));
}

static void story_on_state(struct wisp_child *child, void *env)
{
    (void)child;
    ((struct story *)env)->n_states++;
}

static struct story *begin(void)
{
    struct story *story = wisp_mem_calloc(1, sizeof *story);
    story->world = (struct world){.now_ms = 1000, .seed = 3, .is_calm = true};
    story->again = true;
    story->supervisor = wisp_supervisor_new(&vtable, &story->world, 1);
    story->child = wisp_child_add(
        story->supervisor,
        &(struct wisp_child_options){
            .name = "worker 1",
            .running = "hello.wasm",
            .handler = {.on_state = story_on_state, .on_exit = story_on_exit, .on_ready = story_on_ready},
            .env = story,
        });
    wisp_child_start(story->child);
    CHECK(advance(&story->world, story->supervisor, story->world.now_ms)); /* the program runs */
    return story;
}

static void end(struct story *story)
{
    wisp_child_kill(story->child);
    while (advance(&story->world, story->supervisor, story->world.now_ms + 1000)) continue;
    CHECK(wisp_supervisor_is_idle(story->supervisor));
    wisp_supervisor_free(story->supervisor);
    world_deinit(&story->world);
    free(story);
}

static void pass(struct story *story, uint64_t ms)
{
    uint64_t until_ms = story->world.now_ms + ms;
    while (advance(&story->world, story->supervisor, until_ms)) continue;
}

static void crash(struct story *story, int wait_status) { die(&story->world, story->world.processes, wait_status); }

TEST(ready_carries_its_text)
{
    struct story *story = begin();
    CHECK_INT(wisp_child_state(story->child), WISP_CHILD_STARTING);
    pass(story, 10);
    CHECK_INT(wisp_child_state(story->child), WISP_CHILD_READY);
    CHECK_TEXT(story->ready_text, "127.0.0.1:8000");
    end(story);
}

TEST(a_death_is_repaired_in_the_same_moment)
{
    struct story *story = begin();
    pass(story, 100);
    pid_t first = wisp_child_pid(story->child);
    crash(story, SIGKILL);
    pass(story, 0);
    CHECK(wisp_child_pid(story->child) != 0 && wisp_child_pid(story->child) != first);
    CHECK_INT(story->last_exit.pid, first);
    CHECK_INT(story->last_exit.wait_status, SIGKILL);
    CHECK_INT(story->last_exit.ran_ms, 100);
    CHECK(story->last_exit.was_ready);
    end(story);
}

TEST(the_owner_can_forbid_a_new_start)
{
    struct story *story = begin();
    pass(story, 100);
    story->again = false;
    crash(story, 3 << 8);
    CHECK_INT(wisp_child_state(story->child), WISP_CHILD_DOWN);
    CHECK_INT(wisp_child_pid(story->child), 0);
    end(story);
}

TEST(a_failure_comes_with_its_kind_and_text)
{
    struct story *story = begin();
    wisp_child_said(story->child, WISP_STR("failed not-found component `x`: import `a:b/c` is not here"));
    story->again = false;
    crash(story, 4 << 8);
    CHECK_INT(story->last_exit.failure.kind, WISP_ERR_NOT_FOUND);
    CHECK_TEXT(story->last_exit.failure.text, "component `x`: import `a:b/c` is not here");
    end(story);
}

TEST(nonsense_on_the_control_channel_changes_nothing)
{
    struct story *story = begin();
    pass(story, 100);
    int n_states = story->n_states;
    wisp_child_said(story->child, WISP_STR(""));
    wisp_child_said(story->child, WISP_STR("readyish"));
    wisp_child_said(story->child, WISP_STR("failed"));
    wisp_child_said(story->child, WISP_STR("failed nonsense-kind and text"));
    wisp_child_said(story->child, WISP_STR("\xff\xfe\x00 ready"));
    CHECK_INT(story->n_states, n_states);
    CHECK_INT(wisp_child_state(story->child), WISP_CHILD_READY);
    end(story);
}

static char *captured_log(struct story *story, void (*act)(struct story *))
{
    char path[] = "/tmp/wisp-supervisor-test-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    fflush(stderr);
    FILE *log = freopen(path, "w", stderr);
    CHECK(log != NULL);
    act(story);
    FILE *file = fdopen(fd, "r");
    static char text[16384];
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    unlink(path);
    return text;
}

static void abort_with_output(struct story *story)
{
    pass(story, 61234);
    wisp_child_printed(story->child, WISP_STR("first line"));
    for (int i = 0; i < 10; i++) wisp_child_printed(story->child, WISP_STR("a line"));
    wisp_child_printed(story->child, WISP_STR("assertion failed"));
    crash(story, SIGABRT);
}

TEST(the_log_tells_pid_signal_time_and_last_output)
{
    struct story *story = begin();
    char pid[32];
    snprintf(pid, sizeof pid, "pid=%d", (int)wisp_child_pid(story->child));
    const char *log = captured_log(story, abort_with_output);
    CHECK_HAS(log, "child died, replacing it");
    const char *line = strstr(log, "child died");
    CHECK_HAS(line, "child=\"worker 1\"");
    CHECK_HAS(line, pid);
    CHECK_HAS(line, "signal=SIGABRT");
    CHECK_HAS(line, "ran_ms=61234");
    CHECK_HAS(line, "running=hello.wasm");
    CHECK_HAS(line, "a line | assertion failed");
    CHECK(!strstr(line, "first line"));
    end(story);
}

static void run_out(struct story *story)
{
    wisp_child_ran_out(story->child, (64 << 20) + (1 << 19));
    crash(story, SIGKILL);
    CHECK_TEXT(story->reason, "it ran out of memory: its limit is 64.5 MiB");
    pass(story, 60000);
    crash(story, SIGKILL);
    CHECK_TEXT(story->reason, ""); /* that was the one before */
    pass(story, 60000);
    wisp_child_stop(story->child);
    wisp_child_ran_out(story->child, 64 << 20); /* while it ends anyway */
}

TEST(the_log_tells_that_memory_ran_out)
{
    struct story *story = begin();
    const char *log = captured_log(story, run_out);
    CHECK_HAS(log, "reason=\"it ran out of memory: its limit is 64.5 MiB\"");
    CHECK(!strstr(strstr(log, "reason=") + 1, "reason="));
    end(story);
}

static void crash_often(struct story *story)
{
    for (int i = 0; i < 4; i++) {
        pass(story, 10000);
        crash(story, 134 << 8);
    }
}

static void print_much(struct story *story)
{
    for (int i = 0; i < 100000; i++) wisp_child_printed(story->child, WISP_STR("again and again"));
    pass(story, 1000);
    wisp_child_printed(story->child, WISP_STR("and later"));
    for (int i = 0; i < 1000; i++) wisp_child_printed(story->child, WISP_STR("more"));
    crash(story, 1 << 8);
}

TEST(output_without_end_is_counted_only)
{
    struct story *story = begin();
    pass(story, 2000);
    static char log[1 << 20];
    char path[] = "/tmp/wisp-supervisor-test-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && freopen(path, "w", stderr));
    print_much(story);
    fflush(stderr);
    ssize_t n = read(fd, log, sizeof log - 1);
    CHECK(n > 0 && n < 200000);
    CHECK_HAS(log, "lines=99800");
    CHECK_HAS(log, "and later");
    CHECK_HAS(log, "lines=801");
    close(fd);
    unlink(path);
    struct wisp_str lines[5];
    CHECK_INT(wisp_child_last_output(story->child, lines, 5), 0); /* of the new process */
    end(story);
}

TEST(what_hangs_is_killed_and_counts_as_dead)
{
    struct story *story = begin();
    pass(story, 100);
    wisp_child_hang(story->child, "no answer to three health checks");
    CHECK_INT(wisp_child_state(story->child), WISP_CHILD_KILLING);
    pass(story, 100);
    CHECK_INT(wisp_child_state(story->child), WISP_CHILD_READY);
    CHECK_INT(story->n_exits, 1);
    CHECK_INT(wisp_child_failures(story->child), 1);
    end(story);
}

/* Five hundred that are healthy: after the minute in which they prove it nothing wakes up for them any more. */
TEST(healthy_children_cost_nothing)
{
    enum { MANY = 500 };
    struct world world = {.now_ms = 1, .seed = 9, .is_calm = true};
    struct wisp_supervisor *supervisor = wisp_supervisor_new(&vtable, &world, 9);
    struct wisp_child *children[MANY];
    for (size_t i = 0; i < MANY; i++) {
        children[i] = wisp_child_add(supervisor, &(struct wisp_child_options){.name = "provider", .running = "x"});
        wisp_child_start(children[i]);
    }
    while (advance(&world, supervisor, 100000)) continue;
    CHECK_INT(world.n_alive, MANY);
    CHECK_INT(world.wake_ms, 0);
    CHECK_INT(world.n_planned, 0);
    wisp_supervisor_kill_all(supervisor);
    while (advance(&world, supervisor, 200000)) continue;
    wisp_supervisor_free(supervisor);
    world_deinit(&world);
}

TEST(the_log_tells_exit_code_and_pause)
{
    struct story *story = begin();
    const char *log = captured_log(story, crash_often);
    CHECK_HAS(log, "child keeps dying, starting it again later");
    CHECK_HAS(log, "exit_code=134");
    CHECK_HAS(log, "again_in_ms=");
    end(story);
}
