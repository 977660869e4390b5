/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one supervised child as a state machine. An event and the time go in; the next state, actions for
 * whoever owns the process, and a deadline come out. No I/O, no clock of its own.
 *
 *              START                 READY
 *      DOWN ─────────► STARTING ───────────────► READY
 *       ▲                │  │ too slow             │ │
 *       │          EXIT  │  └───────┐         EXIT │ │ STOP
 *       │                ▼          │              │ ▼
 *       │ STOP       BACKOFF ◄──────┼──────────────┘ STOPPING     ask, and let it finish its work
 *       ├──────────────  │          │                │ deadline
 *       │                ▼          ▼                ▼
 *       │            STARTING     KILLING ◄────── TERMINATING     SIGTERM
 *       │ EXIT                      │    deadline    │
 *       └───────────────────────────┴────────────────┘
 *
 * A child that dies is started again at once; if it dies again before it was ready for `healthy_after_ms`, after a
 * pause that doubles each time up to `backoff_max_ms`, with jitter, so that many don't come back in the same moment.
 * After `failed_after` deaths in a row it has failed: it is still tried, after the longest pause each time.
 * START while it is being stopped means: again, as soon as it is gone.
 *
 * A child whose policy says `is_held` is not started again just so: when its pause is over it goes to HELD, the owner
 * gets DUE, prepares what the new process needs, however long that takes, and says RELEASE. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WISP_LIFECYCLE_STATES(X)                                                                                       \
    X(DOWN, "down")               /* not running, not wanted */                                                        \
    X(STARTING, "starting")       /* running, not ready yet */                                                         \
    X(READY, "ready")             /* running, doing its work */                                                        \
    X(STOPPING, "stopping")       /* asked to finish */                                                                \
    X(TERMINATING, "terminating") /* had SIGTERM */                                                                    \
    X(KILLING, "killing")         /* had SIGKILL */                                                                    \
    X(BACKOFF, "backoff")         /* not running, to be started at the deadline */                                     \
    X(HELD, "held")               /* not running, to be started when the owner says RELEASE */

#define WISP_LIFECYCLE_EVENTS(X)                                                                                       \
    X(START, "start")               /* the owner wants it to run */                                                    \
    X(STOP, "stop")                 /* the owner wants it to finish its work and end */                                \
    X(KILL, "kill")                 /* the owner wants it gone now */                                                  \
    X(READY, "ready")               /* the child says that it is ready */                                              \
    X(EXIT, "exit")                 /* the process is gone */                                                          \
    X(FINISH, "finish")             /* the process is gone, and the owner says: not again */                           \
    X(SPAWN_FAILED, "spawn-failed") /* the action SPAWN could not be done */                                           \
    X(DEADLINE, "deadline")         /* deadline_ms has come */                                                         \
    X(RELEASE, "release")           /* the owner has prepared the start that was DUE */                                \
    X(HANG, "hang")                 /* the owner says that it does nothing any more: kill it, start it again */

enum wisp_lifecycle_state {
#define X(name, ...) WISP_CHILD_##name,
    WISP_LIFECYCLE_STATES(X)
#undef X
        WISP_CHILD_STATE_COUNT
};

enum wisp_lifecycle_event {
#define X(name, ...) WISP_CHILD_EV_##name,
    WISP_LIFECYCLE_EVENTS(X)
#undef X
        WISP_CHILD_EVENT_COUNT
};

/* Bits; at most one of them is asked for by a step. */
enum wisp_lifecycle_action {
    WISP_CHILD_SPAWN = 1, /* start the process; if that fails, feed SPAWN_FAILED */
    WISP_CHILD_ASK = 2,   /* ask the process to finish */
    WISP_CHILD_TERM = 4,  /* send SIGTERM */
    WISP_CHILD_SLAY = 8,  /* send SIGKILL */
    WISP_CHILD_DUE = 16,  /* tell the owner that the next start is due */
};

/* Milliseconds; 0: the default in brackets. */
struct wisp_lifecycle_policy {
    uint32_t ready_timeout_ms; /* from spawn to ready, then it is killed and started again [60,000] */
    uint32_t ask_timeout_ms;   /* from the request to SIGTERM [30,000] */
    uint32_t term_timeout_ms;  /* from SIGTERM to SIGKILL [5,000] */
    uint32_t backoff_first_ms; /* pause after the second death in a row [100] */
    uint32_t backoff_max_ms;   /* [30,000] */
    uint32_t healthy_after_ms; /* ready for so long: earlier deaths are forgotten [60,000] */
    uint32_t failed_after;     /* deaths in a row until the longest pause [never] */
    bool is_held;              /* the owner releases each new start after a death */
};

/* Caller's storage; wisp_lifecycle_init before the first step. */
struct wisp_lifecycle {
    struct wisp_lifecycle_policy policy; /* without zeros */
    enum wisp_lifecycle_state state;
    uint64_t deadline_ms; /* feed DEADLINE at this time; 0: none */
    uint32_t failures;    /* deaths in a row */
    bool is_wanted;       /* start it again when the process that is being stopped is gone */
    bool has_failed;      /* being killed because it wasn't ready in time, or hangs */
    uint64_t random;      /* state of the jitter */
};

/* `policy` may be NULL. `seed` makes the jitter. */
void wisp_lifecycle_init(struct wisp_lifecycle *life, const struct wisp_lifecycle_policy *policy, uint64_t seed);

/* Whether the event can happen in the state at all; feeding one that can't is a defect of the caller. */
bool wisp_lifecycle_accepts(enum wisp_lifecycle_state state, enum wisp_lifecycle_event event);

/* Returns the action to take, or 0. Read deadline_ms again afterwards: every step may set or clear it. */
uint32_t wisp_lifecycle_step(struct wisp_lifecycle *life, enum wisp_lifecycle_event event, uint64_t now_ms);

/* It died too often in a row. */
bool wisp_lifecycle_is_failed(const struct wisp_lifecycle *life);
/* There is a process in this state. */
bool wisp_lifecycle_has_process(enum wisp_lifecycle_state state);
const char *wisp_lifecycle_state_name(enum wisp_lifecycle_state state);
const char *wisp_lifecycle_event_name(enum wisp_lifecycle_event event);
