/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/lifecycle.h"

#include "base/str.h"

#include <assert.h>

static const char *const state_names[] = {
#define X(name, text) [WISP_CHILD_##name] = text,
    WISP_LIFECYCLE_STATES(X)
#undef X
};
static_assert(WISP_COUNT(state_names) == WISP_CHILD_STATE_COUNT, "every state has a name");

static const char *const event_names[] = {
#define X(name, text) [WISP_CHILD_EV_##name] = text,
    WISP_LIFECYCLE_EVENTS(X)
#undef X
};
static_assert(WISP_COUNT(event_names) == WISP_CHILD_EVENT_COUNT, "every event has a name");

static const struct wisp_lifecycle_policy default_policy = {
    .ready_timeout_ms = 60000,
    .ask_timeout_ms = 30000,
    .term_timeout_ms = 5000,
    .backoff_first_ms = 100,
    .backoff_max_ms = 30000,
    .healthy_after_ms = 60000,
};

void wisp_lifecycle_init(struct wisp_lifecycle *life, const struct wisp_lifecycle_policy *policy, uint64_t seed)
{
    *life = (struct wisp_lifecycle){.policy = default_policy, .random = seed | 1};
    if (!policy) return;
#define OVERRIDE(field)                                                                                                \
    if (policy->field) life->policy.field = policy->field
    OVERRIDE(ready_timeout_ms);
    OVERRIDE(ask_timeout_ms);
    OVERRIDE(term_timeout_ms);
    OVERRIDE(backoff_first_ms);
    OVERRIDE(backoff_max_ms);
    OVERRIDE(healthy_after_ms);
    OVERRIDE(failed_after);
    OVERRIDE(is_held);
#undef OVERRIDE
}

/* --- steps shared by handlers: enter a state, return the action --- */

static uint32_t enter(struct wisp_lifecycle *life, enum wisp_lifecycle_state state, uint64_t deadline_ms,
                      uint32_t action)
{
    life->state = state;
    life->deadline_ms = deadline_ms;
    return action;
}

/* xorshift64: jitter needs no better one. */
static uint64_t next_random(struct wisp_lifecycle *life)
{
    life->random ^= life->random << 13;
    life->random ^= life->random >> 7;
    life->random ^= life->random << 17;
    return life->random;
}

bool wisp_lifecycle_is_failed(const struct wisp_lifecycle *life)
{
    return life->policy.failed_after && life->failures >= life->policy.failed_after;
}

/* The pause before the next start: none after the first death, then doubling; somewhere in its upper half. */
static uint64_t pause_ms(struct wisp_lifecycle *life)
{
    uint64_t pause = life->policy.backoff_first_ms;
    bool is_failed = wisp_lifecycle_is_failed(life);
    if (life->failures <= 1 && !is_failed) return 0;
    for (uint32_t i = 2; i < life->failures && pause < life->policy.backoff_max_ms; i++) pause *= 2;
    if (pause > life->policy.backoff_max_ms || is_failed) pause = life->policy.backoff_max_ms;
    return pause - next_random(life) % (pause / 2 + 1);
}

static uint32_t launch(struct wisp_lifecycle *life, uint64_t now_ms)
{
    life->is_wanted = true;
    life->has_failed = false;
    return enter(life, WISP_CHILD_STARTING, now_ms + life->policy.ready_timeout_ms, WISP_CHILD_SPAWN);
}

static uint32_t go_down(struct wisp_lifecycle *life, uint64_t now_ms)
{
    (void)now_ms;
    life->is_wanted = false;
    life->failures = 0;
    return enter(life, WISP_CHILD_DOWN, 0, 0);
}

static uint32_t end_pause(struct wisp_lifecycle *life, uint64_t now_ms)
{
    return life->policy.is_held ? enter(life, WISP_CHILD_HELD, 0, WISP_CHILD_DUE) : launch(life, now_ms);
}

static uint32_t retry(struct wisp_lifecycle *life, uint64_t now_ms)
{
    life->has_failed = false;
    if (life->failures < UINT32_MAX) life->failures++;
    uint64_t pause = pause_ms(life);
    return pause ? enter(life, WISP_CHILD_BACKOFF, now_ms + pause, 0) : end_pause(life, now_ms);
}

/* --- handlers --- */

static uint32_t ignore(struct wisp_lifecycle *life, uint64_t now_ms)
{
    (void)life;
    (void)now_ms;
    return 0;
}

/* A process that could not even be made will hardly succeed a microsecond later. */
static uint32_t retry_later(struct wisp_lifecycle *life, uint64_t now_ms)
{
    if (!life->failures) life->failures = 1;
    return retry(life, now_ms);
}

static uint32_t mark_ready(struct wisp_lifecycle *life, uint64_t now_ms)
{
    return enter(life, WISP_CHILD_READY, now_ms + life->policy.healthy_after_ms, 0);
}

static uint32_t forget_failures(struct wisp_lifecycle *life, uint64_t now_ms)
{
    (void)now_ms;
    life->failures = 0;
    life->deadline_ms = 0;
    return 0;
}

static uint32_t ask(struct wisp_lifecycle *life, uint64_t now_ms)
{
    life->is_wanted = false;
    return enter(life, WISP_CHILD_STOPPING, now_ms + life->policy.ask_timeout_ms, WISP_CHILD_ASK);
}

static uint32_t terminate(struct wisp_lifecycle *life, uint64_t now_ms)
{
    return enter(life, WISP_CHILD_TERMINATING, now_ms + life->policy.term_timeout_ms, WISP_CHILD_TERM);
}

/* The deadline is for a process that SIGKILL does not reach yet (it waits for a disk): ask again. */
static uint32_t slay(struct wisp_lifecycle *life, uint64_t now_ms)
{
    return enter(life, WISP_CHILD_KILLING, now_ms + life->policy.term_timeout_ms, WISP_CHILD_SLAY);
}

static uint32_t slay_for_good(struct wisp_lifecycle *life, uint64_t now_ms)
{
    life->is_wanted = false;
    return slay(life, now_ms);
}

static uint32_t give_up_waiting(struct wisp_lifecycle *life, uint64_t now_ms)
{
    life->has_failed = true;
    return slay(life, now_ms);
}

static uint32_t note_wanted(struct wisp_lifecycle *life, uint64_t now_ms)
{
    (void)now_ms;
    life->is_wanted = true;
    return 0;
}

static uint32_t note_unwanted(struct wisp_lifecycle *life, uint64_t now_ms)
{
    (void)now_ms;
    life->is_wanted = false;
    return 0;
}

static uint32_t settle(struct wisp_lifecycle *life, uint64_t now_ms)
{
    if (!life->is_wanted) return go_down(life, now_ms);
    return life->has_failed ? retry(life, now_ms) : launch(life, now_ms);
}

typedef uint32_t handler(struct wisp_lifecycle *life, uint64_t now_ms);

/* Every pair that a child, an operator or the clock can cause has a handler. An empty cell can't happen: no process
 * can say anything in DOWN, BACKOFF and HELD, and there is no deadline in DOWN and HELD. */
#define EV(name) [WISP_CHILD_EV_##name]
static handler *const table[WISP_CHILD_STATE_COUNT][WISP_CHILD_EVENT_COUNT] = {
    [WISP_CHILD_DOWN] = {EV(START) = launch, EV(STOP) = ignore, EV(KILL) = ignore, EV(RELEASE) = ignore,
                         EV(HANG) = ignore},
    [WISP_CHILD_STARTING] = {EV(START) = ignore, EV(STOP) = ask, EV(KILL) = slay_for_good, EV(READY) = mark_ready,
                             EV(EXIT) = retry, EV(FINISH) = go_down, EV(SPAWN_FAILED) = retry_later,
                             EV(DEADLINE) = give_up_waiting, EV(RELEASE) = ignore, EV(HANG) = give_up_waiting},
    [WISP_CHILD_READY] = {EV(START) = ignore, EV(STOP) = ask, EV(KILL) = slay_for_good, EV(READY) = ignore,
                          EV(EXIT) = retry, EV(FINISH) = go_down, EV(DEADLINE) = forget_failures, EV(RELEASE) = ignore,
                          EV(HANG) = give_up_waiting},
    [WISP_CHILD_STOPPING] = {EV(START) = note_wanted, EV(STOP) = note_unwanted, EV(KILL) = slay_for_good,
                             EV(READY) = ignore, EV(EXIT) = settle, EV(FINISH) = go_down, EV(DEADLINE) = terminate,
                             EV(RELEASE) = ignore, EV(HANG) = ignore},
    [WISP_CHILD_TERMINATING] = {EV(START) = note_wanted, EV(STOP) = note_unwanted, EV(KILL) = slay_for_good,
                                EV(READY) = ignore, EV(EXIT) = settle, EV(FINISH) = go_down, EV(DEADLINE) = slay,
                                EV(RELEASE) = ignore, EV(HANG) = ignore},
    [WISP_CHILD_KILLING] = {EV(START) = note_wanted, EV(STOP) = note_unwanted, EV(KILL) = note_unwanted,
                            EV(READY) = ignore, EV(EXIT) = settle, EV(FINISH) = go_down, EV(DEADLINE) = slay,
                            EV(RELEASE) = ignore, EV(HANG) = ignore},
    [WISP_CHILD_BACKOFF] = {EV(START) = launch, EV(STOP) = go_down, EV(KILL) = go_down, EV(DEADLINE) = end_pause,
                            EV(RELEASE) = ignore, EV(HANG) = ignore},
    [WISP_CHILD_HELD] = {EV(START) = launch, EV(STOP) = go_down, EV(KILL) = go_down, EV(RELEASE) = launch,
                         EV(HANG) = ignore},
};
#undef EV

bool wisp_lifecycle_accepts(enum wisp_lifecycle_state state, enum wisp_lifecycle_event event)
{
    assert(state < WISP_CHILD_STATE_COUNT && event < WISP_CHILD_EVENT_COUNT);
    return table[state][event] != NULL;
}

uint32_t wisp_lifecycle_step(struct wisp_lifecycle *life, enum wisp_lifecycle_event event, uint64_t now_ms)
{
    assert(wisp_lifecycle_accepts(life->state, event));
    return table[life->state][event](life, now_ms);
}

bool wisp_lifecycle_has_process(enum wisp_lifecycle_state state)
{
    return state != WISP_CHILD_DOWN && state != WISP_CHILD_BACKOFF && state != WISP_CHILD_HELD;
}

const char *wisp_lifecycle_state_name(enum wisp_lifecycle_state state)
{
    assert(state < WISP_CHILD_STATE_COUNT);
    return state_names[state];
}

const char *wisp_lifecycle_event_name(enum wisp_lifecycle_event event)
{
    assert(event < WISP_CHILD_EVENT_COUNT);
    return event_names[event];
}
