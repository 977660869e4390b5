/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/spawner.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct wisp_spawner {
    uv_async_t async;
    size_t n_jobs; /* not reported yet */
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct wisp_link wanted, done;
    bool is_ending;
};

/* --- in the thread --- */

/* NULL: the end. */
static struct wisp_spawn_job *next_job(struct wisp_spawner *spawner)
{
    struct wisp_spawn_job *job = NULL;
    pthread_mutex_lock(&spawner->lock);
    while (wisp_ring_is_empty(&spawner->wanted) && !spawner->is_ending)
        pthread_cond_wait(&spawner->wake, &spawner->lock);
    if (!wisp_ring_is_empty(&spawner->wanted)) {
        job = WISP_OWNER(spawner->wanted.next, struct wisp_spawn_job, link);
        wisp_ring_remove(&job->link);
    }
    pthread_mutex_unlock(&spawner->lock);
    return job;
}

static void *run(void *env)
{
    struct wisp_spawner *spawner = env;
    for (struct wisp_spawn_job *job; (job = next_job(spawner));) {
        job->pid = atomic_load(&job->is_cancelled) ? wisp_err_set(&job->err, WISP_ERR_CANCELLED, "stopped")
                                                   : wisp_spawn_run(job->spawn, &job->err);
        pthread_mutex_lock(&spawner->lock);
        wisp_ring_append(&spawner->done, &job->link);
        pthread_mutex_unlock(&spawner->lock);
        uv_async_send(&spawner->async);
    }
    return NULL;
}

/* --- in the loop --- */

static void on_done(uv_async_t *async)
{
    struct wisp_spawner *spawner = async->data;
    struct wisp_link done;
    wisp_ring_init(&done);
    pthread_mutex_lock(&spawner->lock);
    wisp_ring_move(&spawner->done, &done);
    pthread_mutex_unlock(&spawner->lock);
    while (!wisp_ring_is_empty(&done)) {
        struct wisp_spawn_job *job = WISP_OWNER(done.next, struct wisp_spawn_job, link);
        const struct wisp_err err = job->err;
        wisp_ring_remove(&job->link);
        if (--spawner->n_jobs == 0) uv_unref((uv_handle_t *)async);
        job->on_done(job, job->pid, &err);
    }
}

void wisp_spawner_add(struct wisp_spawner *spawner, struct wisp_spawn_job *job)
{
    if (spawner->n_jobs++ == 0) uv_ref((uv_handle_t *)&spawner->async);
    pthread_mutex_lock(&spawner->lock);
    wisp_ring_append(&spawner->wanted, &job->link);
    pthread_cond_signal(&spawner->wake);
    pthread_mutex_unlock(&spawner->lock);
}

/* --- life --- */

static void on_closed(uv_handle_t *handle) { free(handle->data); }

/* Signals are for the loop's thread. */
static int start_thread(struct wisp_spawner *spawner)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&spawner->thread, NULL, run, spawner);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int wisp_spawner_new(struct wisp_spawner **ret_spawner, uv_loop_t *loop, struct wisp_err *err)
{
    struct wisp_spawner *spawner = wisp_mem_calloc(1, sizeof *spawner);
    int r = uv_async_init(loop, &spawner->async, on_done);
    if (r < 0) {
        free(spawner);
        return wisp_err_os(err, -r, "start a thread");
    }
    spawner->async.data = spawner;
    uv_unref((uv_handle_t *)&spawner->async);
    pthread_mutex_init(&spawner->lock, NULL);
    pthread_cond_init(&spawner->wake, NULL);
    wisp_ring_init(&spawner->wanted);
    wisp_ring_init(&spawner->done);
    r = start_thread(spawner);
    if (r) {
        uv_close((uv_handle_t *)&spawner->async, on_closed);
        return wisp_err_os(err, r, "start a thread");
    }
    *ret_spawner = spawner;
    return 0;
}

void wisp_spawner_free(struct wisp_spawner *spawner)
{
    if (!spawner) return;
    assert(spawner->n_jobs == 0);
    pthread_mutex_lock(&spawner->lock);
    spawner->is_ending = true;
    pthread_cond_signal(&spawner->wake);
    pthread_mutex_unlock(&spawner->lock);
    pthread_join(spawner->thread, NULL);
    pthread_mutex_destroy(&spawner->lock);
    pthread_cond_destroy(&spawner->wake);
    uv_close((uv_handle_t *)&spawner->async, on_closed);
}
