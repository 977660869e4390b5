/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor with real processes and the real clock. */
#include "supervise/launcher.h"

#include "supervise/process.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
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
