/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor with real processes and the real clock. */
#include "supervise/launcher.h"

#include "supervise/process.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { CONTROL_FD = 3 };

struct scene {
    uv_loop_t loop;
    struct wisp_launcher *launcher;
    struct wisp_child *child;
    const char *script;
    const char *argv[4];
    int n_ready, n_exits, n_exits_wanted;
    int last_status;
};

static int prepare(struct wisp_child *child, struct wisp_process_spec *spec, void *env, struct wisp_err *err)
{
    (void)child;
    (void)err;
    struct scene *scene = env;
    scene->argv[0] = "sh";
    scene->argv[1] = "-c";
    scene->argv[2] = scene->script;
    *spec = (struct wisp_process_spec){.path = "/bin/sh", .argv = scene->argv, .control_as = CONTROL_FD};
    return 0;
}

static void on_ready(struct wisp_child *child, struct wisp_str text, void *env)
{
    (void)text;
    struct scene *scene = env;
    scene->n_ready++;
    if (scene->n_ready == 1) CHECK(kill(wisp_child_pid(child), SIGKILL) == 0);
    if (scene->n_ready == 2) wisp_child_stop(child);
}

static bool on_exit_child(struct wisp_child *child, const struct wisp_child_exit *exit, void *env)
{
    (void)child;
    struct scene *scene = env;
    scene->n_exits++;
    scene->last_status = exit->wait_status;
    return true;
}

static void on_state(struct wisp_child *child, void *env)
{
    struct scene *scene = env;
    if (wisp_child_state(child) == WISP_CHILD_DOWN) uv_stop(&scene->loop);
}

static void run_scene(struct scene *scene, struct wisp_lifecycle_policy policy)
{
    struct wisp_err err = {0};
    CHECK_INT(uv_loop_init(&scene->loop), 0);
    CHECK_OK(wisp_launcher_new(&scene->launcher, &scene->loop, &err), &err);
    struct wisp_supervisor *supervisor = wisp_launcher_supervisor(scene->launcher);
    scene->child = wisp_child_add(supervisor, &(struct wisp_child_options){
                                                  .name = "child",
                                                  .running = "sh",
                                                  .policy = policy,
                                                  .handler = {prepare, on_state, on_exit_child, on_ready},
                                                  .env = scene,
                                              });
    wisp_child_start(scene->child);
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    CHECK(wisp_supervisor_is_idle(supervisor));
    wisp_launcher_free(scene->launcher);
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&scene->loop), 0);
}

TEST(killed_child_comes_back_and_drains)
{
    struct scene scene = {.script = "echo ready >&3; read word <&3; test \"$word\" = drain"};
    run_scene(&scene, (struct wisp_lifecycle_policy){0});
    CHECK_INT(scene.n_ready, 2);
    CHECK_INT(scene.n_exits, 2);
    CHECK_INT(scene.last_status, 0);
}

TEST(deaf_child_is_terminated)
{
    struct scene scene = {.script = "echo ready >&3; exec sleep 1000"};
    run_scene(&scene, (struct wisp_lifecycle_policy){.ask_timeout_ms = 50});
    CHECK_INT(WTERMSIG(scene.last_status), SIGTERM);
}

TEST(stubborn_child_is_killed)
{
    struct scene scene = {.script = "trap '' TERM; echo ready >&3; while :; do sleep 1; done"};
    run_scene(&scene, (struct wisp_lifecycle_policy){.ask_timeout_ms = 50, .term_timeout_ms = 50});
    CHECK_INT(WTERMSIG(scene.last_status), SIGKILL);
}

/* --- descriptors --- */

TEST(limit_of_descriptors_is_raised_but_not_for_other_programs)
{
    struct rlimit before, limit;
    struct scene scene = {0};
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &(struct rlimit){200, before.rlim_max}), 0);
    scene.script = "test $(ulimit -n) = 200 && echo ready >&3; exec sleep 1000";
    run_scene(&scene, (struct wisp_lifecycle_policy){.ask_timeout_ms = 50});
    CHECK_INT(scene.n_ready, 2);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(limit.rlim_cur, before.rlim_max);
}

/* --- the start itself --- */

struct start_scene {
    uv_loop_t loop;
    struct wisp_launcher *launcher;
    struct wisp_child *children[50];
    const char *path;
    const char *argv[2];
    int n_states, n_starts, n_down;
    char reason[sizeof(struct wisp_err)];
};

static int prepare_start(struct wisp_child *child, struct wisp_process_spec *spec, void *env, struct wisp_err *err)
{
    (void)child;
    (void)err;
    struct start_scene *scene = env;
    scene->argv[0] = scene->path;
    *spec = (struct wisp_process_spec){.path = scene->path, .argv = scene->argv};
    return 0;
}

static void on_start_state(struct wisp_child *child, void *env)
{
    struct start_scene *scene = env;
    enum wisp_lifecycle_state state = wisp_child_state(child);
    scene->n_states++;
    if (state == WISP_CHILD_STARTING) scene->n_starts++;
    if (state == WISP_CHILD_BACKOFF) {
        snprintf(scene->reason, sizeof scene->reason, "%s", wisp_child_failure(child)->text);
        wisp_child_stop(child);
    }
    if (state == WISP_CHILD_DOWN) scene->n_down++;
}

static void add_start(struct start_scene *scene, size_t i)
{
    scene->children[i] = wisp_child_add(wisp_launcher_supervisor(scene->launcher),
                                        &(struct wisp_child_options){
                                            .name = "child",
                                            .running = scene->path,
                                            .handler = {.prepare = prepare_start, .on_state = on_start_state},
                                            .env = scene,
                                        });
    wisp_child_start(scene->children[i]);
}

static void begin_starts(struct start_scene *scene, const char *path)
{
    struct wisp_err err = {0};
    *scene = (struct start_scene){.path = path};
    CHECK_INT(uv_loop_init(&scene->loop), 0);
    CHECK_OK(wisp_launcher_new(&scene->launcher, &scene->loop, &err), &err);
}

static void end_starts(struct start_scene *scene)
{
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    CHECK(wisp_supervisor_is_idle(wisp_launcher_supervisor(scene->launcher)));
    wisp_launcher_free(scene->launcher);
    uv_run(&scene->loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&scene->loop), 0);
}

TEST(program_that_cannot_run_is_told_with_its_reason)
{
    struct start_scene scene;
    begin_starts(&scene, "/nonexistent/x");
    add_start(&scene, 0);
    CHECK_INT(scene.n_states, 0); /* nobody has waited for it */
    CHECK_INT(wisp_child_state(scene.children[0]), WISP_CHILD_STARTING);
    end_starts(&scene);
    CHECK_TEXT(scene.reason, "run `/nonexistent/x`: No such file or directory");
    CHECK_INT(scene.n_down, 1);
    CHECK_INT(scene.n_starts, 0);
}

TEST(many_at_once_of_which_some_are_stopped_before_they_run)
{
    struct start_scene scene;
    begin_starts(&scene, "/bin/true");
    for (size_t i = 0; i < WISP_COUNT(scene.children); i++) add_start(&scene, i);
    CHECK_INT(scene.n_starts, 0);
    for (size_t i = 0; i < WISP_COUNT(scene.children); i++) {
        if (i % 3 == 0) wisp_child_kill(scene.children[i]);
        if (i % 3 == 1) wisp_child_stop(scene.children[i]);
    }
    while (scene.n_starts < 16) CHECK(uv_run(&scene.loop, UV_RUN_ONCE) || scene.n_starts == 16);
    for (size_t i = 0; i < WISP_COUNT(scene.children); i++) wisp_child_stop(scene.children[i]);
    end_starts(&scene);
    CHECK_INT(scene.n_down, WISP_COUNT(scene.children));
}
