/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop feels of many children that are asked for at once: how long it was away at the longest, and until all
 * run.
 *
 *     supervise_launcher_bench [CHILDREN] */
#include "base/log.h"
#include "base/mem.h"
#include "supervise/launcher.h"
#include "supervise/process.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHILDREN = 500, STEP_MS = 1 };

struct bench {
    uv_loop_t loop;
    uv_timer_t timer;
    struct wisp_launcher *launcher;
    size_t n, n_ready, n_down;
    uint64_t begin_ns, last_ns, away_ns, all_ready_ns;
    struct wisp_child **children;
};

static const char *const argv[] = {"sleep", "1000", NULL};

static int prepare(struct wisp_child *child, struct wisp_process_spec *spec, void *env, struct wisp_err *err)
{
    (void)child;
    (void)env;
    (void)err;
    *spec =
        (struct wisp_process_spec){.path = "/bin/sleep", .argv = argv, .capture_output = true, .is_contained = true};
    return 0;
}

static void on_state(struct wisp_child *child, void *env)
{
    struct bench *bench = env;
    bench->n_ready += wisp_child_state(child) == WISP_CHILD_READY;
    bench->n_down += wisp_child_state(child) == WISP_CHILD_DOWN;
    if (bench->n_ready == bench->n && !bench->all_ready_ns) bench->all_ready_ns = uv_hrtime();
}

/* Asked to come every millisecond: what it is late, the loop was away. */
static void on_step(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    uint64_t now_ns = uv_hrtime();
    if (now_ns - bench->last_ns > bench->away_ns) bench->away_ns = now_ns - bench->last_ns;
    bench->last_ns = now_ns;
}

static void start_all(struct bench *bench)
{
    struct wisp_supervisor *supervisor = wisp_launcher_supervisor(bench->launcher);
    const struct wisp_child_options options = {
        .name = "child", .running = "sleep", .handler = {.prepare = prepare, .on_state = on_state}, .env = bench};
    for (size_t i = 0; i < bench->n; i++) {
        bench->children[i] = wisp_child_add(supervisor, &options);
        wisp_child_start(bench->children[i]);
    }
}

int main(int argc, char **words)
{
    struct wisp_err err = {0};
    struct bench bench = {.n = argc > 1 ? (size_t)strtoul(words[1], NULL, 10) : CHILDREN};
    bench.children = wisp_mem_calloc(bench.n, sizeof(struct wisp_child *));
    wisp_log_configure(WISP_LOG_ERROR, WISP_LOG_TEXT);
    uv_loop_init(&bench.loop);
    if (wisp_launcher_new(&bench.launcher, &bench.loop, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    uv_timer_init(&bench.loop, &bench.timer);
    bench.timer.data = &bench;
    uv_timer_start(&bench.timer, on_step, STEP_MS, STEP_MS);
    bench.begin_ns = bench.last_ns = uv_hrtime();
    start_all(&bench);
    while (bench.n_ready < bench.n || bench.last_ns < bench.all_ready_ns) uv_run(&bench.loop, UV_RUN_ONCE);
    printf("%zu children: all run after %.0f ms, the loop was away for %.1f ms at the longest\n", bench.n,
           (double)(bench.all_ready_ns - bench.begin_ns) / 1e6, (double)bench.away_ns / 1e6);
    for (size_t i = 0; i < bench.n; i++) wisp_child_kill(bench.children[i]);
    while (bench.n_down < bench.n) uv_run(&bench.loop, UV_RUN_ONCE);
    wisp_launcher_free(bench.launcher);
    uv_close((uv_handle_t *)&bench.timer, NULL);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    free(bench.children);
    return 0;
}
