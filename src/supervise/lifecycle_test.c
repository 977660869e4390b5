/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/lifecycle.h"

#include "test.h"

#include <stdio.h>

static const struct wisp_lifecycle_policy policy = {
    .ready_timeout_ms = 1000,
    .ask_timeout_ms = 300,
    .term_timeout_ms = 50,
    .backoff_first_ms = 100,
    .backoff_max_ms = 3000,
    .healthy_after_ms = 6000,
};

/* --- every cell --- */

enum { NOW = 1000000, NONE = 0 };

#define EV(event) WISP_CHILD_EV_##event
#define ST(state) WISP_CHILD_##state

struct cell {
    enum wisp_lifecycle_state state;
    enum wisp_lifecycle_event event;
    enum wisp_lifecycle_state next;
    uint32_t action;
    uint64_t deadline_after_ms; /* 0: none; KEPT: as before */
};
enum { KEPT = 99999 };

/* The table as an operator would tell it. What isn't here can't happen. */
static const struct cell cells[] = {
    {ST(DOWN), EV(START), ST(STARTING), WISP_CHILD_SPAWN, 1000},
    {ST(DOWN), EV(STOP), ST(DOWN), 0, KEPT},
    {ST(DOWN), EV(KILL), ST(DOWN), 0, KEPT},
    {ST(DOWN), EV(RELEASE), ST(DOWN), 0, KEPT},
    {ST(DOWN), EV(HANG), ST(DOWN), 0, KEPT},

    {ST(STARTING), EV(START), ST(STARTING), 0, KEPT},
    {ST(STARTING), EV(STOP), ST(STOPPING), WISP_CHILD_ASK, 300},
    {ST(STARTING), EV(KILL), ST(KILLING), WISP_CHILD_SLAY, 50},
    {ST(STARTING), EV(READY), ST(READY), 0, 6000},
    {ST(STARTING), EV(EXIT), ST(STARTING), WISP_CHILD_SPAWN, 1000},
    {ST(STARTING), EV(FINISH), ST(DOWN), 0, NONE},
    {ST(STARTING), EV(SPAWN_FAILED), ST(BACKOFF), 0, 100},
    {ST(STARTING), EV(DEADLINE), ST(KILLING), WISP_CHILD_SLAY, 50},
    {ST(STARTING), EV(RELEASE), ST(STARTING), 0, KEPT},
    {ST(STARTING), EV(HANG), ST(KILLING), WISP_CHILD_SLAY, 50},

    {ST(READY), EV(START), ST(READY), 0, KEPT},
    {ST(READY), EV(STOP), ST(STOPPING), WISP_CHILD_ASK, 300},
    {ST(READY), EV(KILL), ST(KILLING), WISP_CHILD_SLAY, 50},
    {ST(READY), EV(READY), ST(READY), 0, KEPT},
    {ST(READY), EV(EXIT), ST(STARTING), WISP_CHILD_SPAWN, 1000},
    {ST(READY), EV(FINISH), ST(DOWN), 0, NONE},
    {ST(READY), EV(DEADLINE), ST(READY), 0, NONE},
    {ST(READY), EV(RELEASE), ST(READY), 0, KEPT},
    {ST(READY), EV(HANG), ST(KILLING), WISP_CHILD_SLAY, 50},

    {ST(STOPPING), EV(START), ST(STOPPING), 0, KEPT},
    {ST(STOPPING), EV(STOP), ST(STOPPING), 0, KEPT},
    {ST(STOPPING), EV(KILL), ST(KILLING), WISP_CHILD_SLAY, 50},
    {ST(STOPPING), EV(READY), ST(STOPPING), 0, KEPT},
    {ST(STOPPING), EV(EXIT), ST(DOWN), 0, NONE},
    {ST(STOPPING), EV(FINISH), ST(DOWN), 0, NONE},
    {ST(STOPPING), EV(DEADLINE), ST(TERMINATING), WISP_CHILD_TERM, 50},
    {ST(STOPPING), EV(RELEASE), ST(STOPPING), 0, KEPT},
    {ST(STOPPING), EV(HANG), ST(STOPPING), 0, KEPT},

    {ST(TERMINATING), EV(START), ST(TERMINATING), 0, KEPT},
    {ST(TERMINATING), EV(STOP), ST(TERMINATING), 0, KEPT},
    {ST(TERMINATING), EV(KILL), ST(KILLING), WISP_CHILD_SLAY, 50},
    {ST(TERMINATING), EV(READY), ST(TERMINATING), 0, KEPT},
    {ST(TERMINATING), EV(EXIT), ST(DOWN), 0, NONE},
    {ST(TERMINATING), EV(FINISH), ST(DOWN), 0, NONE},
    {ST(TERMINATING), EV(DEADLINE), ST(KILLING), WISP_CHILD_SLAY, 50},
    {ST(TERMINATING), EV(RELEASE), ST(TERMINATING), 0, KEPT},
    {ST(TERMINATING), EV(HANG), ST(TERMINATING), 0, KEPT},

    {ST(KILLING), EV(START), ST(KILLING), 0, KEPT},
    {ST(KILLING), EV(STOP), ST(KILLING), 0, KEPT},
    {ST(KILLING), EV(KILL), ST(KILLING), 0, KEPT},
    {ST(KILLING), EV(READY), ST(KILLING), 0, KEPT},
    {ST(KILLING), EV(EXIT), ST(DOWN), 0, NONE},
    {ST(KILLING), EV(FINISH), ST(DOWN), 0, NONE},
    {ST(KILLING), EV(DEADLINE), ST(KILLING), WISP_CHILD_SLAY, 50},
    {ST(KILLING), EV(RELEASE), ST(KILLING), 0, KEPT},
    {ST(KILLING), EV(HANG), ST(KILLING), 0, KEPT},

    {ST(BACKOFF), EV(START), ST(STARTING), WISP_CHILD_SPAWN, 1000},
    {ST(BACKOFF), EV(STOP), ST(DOWN), 0, NONE},
    {ST(BACKOFF), EV(KILL), ST(DOWN), 0, NONE},
    {ST(BACKOFF), EV(DEADLINE), ST(STARTING), WISP_CHILD_SPAWN, 1000},
    {ST(BACKOFF), EV(RELEASE), ST(BACKOFF), 0, KEPT},
    {ST(BACKOFF), EV(HANG), ST(BACKOFF), 0, KEPT},

    {ST(HELD), EV(START), ST(STARTING), WISP_CHILD_SPAWN, 1000},
    {ST(HELD), EV(STOP), ST(DOWN), 0, NONE},
    {ST(HELD), EV(KILL), ST(DOWN), 0, NONE},
    {ST(HELD), EV(RELEASE), ST(STARTING), WISP_CHILD_SPAWN, 1000},
    {ST(HELD), EV(HANG), ST(HELD), 0, KEPT},
};

/* Those that differ for a child whose restarts are held. */
static const struct cell held_cells[] = {
    {ST(STARTING), EV(EXIT), ST(HELD), WISP_CHILD_DUE, NONE},
    {ST(STARTING), EV(SPAWN_FAILED), ST(BACKOFF), 0, 100},
    {ST(READY), EV(EXIT), ST(HELD), WISP_CHILD_DUE, NONE},
    {ST(BACKOFF), EV(DEADLINE), ST(HELD), WISP_CHILD_DUE, NONE},
    {ST(BACKOFF), EV(START), ST(STARTING), WISP_CHILD_SPAWN, 1000},
};

/* The shortest way into each state. */
static void bring_to(struct wisp_lifecycle *life, enum wisp_lifecycle_state state, bool is_held)
{
    static const enum wisp_lifecycle_event ways[WISP_CHILD_STATE_COUNT][5] = {
        [ST(STARTING)] = {EV(START)},
        [ST(READY)] = {EV(START), EV(READY)},
        [ST(STOPPING)] = {EV(START), EV(READY), EV(STOP)},
        [ST(TERMINATING)] = {EV(START), EV(READY), EV(STOP), EV(DEADLINE)},
        [ST(KILLING)] = {EV(START), EV(READY), EV(KILL)},
        [ST(BACKOFF)] = {EV(START), EV(SPAWN_FAILED)},
        [ST(HELD)] = {EV(START), EV(EXIT)},
    };
    struct wisp_lifecycle_policy own = policy;
    own.is_held = is_held;
    wisp_lifecycle_init(life, &own, 42);
    for (size_t i = 0; life->state != state; i++) wisp_lifecycle_step(life, ways[state][i], NOW);
}

static void check_cell(const struct cell *cell, bool is_held)
{
    struct wisp_lifecycle life;
    bring_to(&life, cell->state, is_held || cell->state == ST(HELD));
    uint64_t deadline_before_ms = life.deadline_ms;
    uint32_t action = wisp_lifecycle_step(&life, cell->event, NOW);
    const char *from = wisp_lifecycle_state_name(cell->state), *event = wisp_lifecycle_event_name(cell->event);
    if (life.state != cell->next)
        wisp_test_fail(__FILE__, __LINE__, "%s + %s leads to %s, expected %s", from, event,
                       wisp_lifecycle_state_name(life.state), wisp_lifecycle_state_name(cell->next));
    if (action != cell->action)
        wisp_test_fail(__FILE__, __LINE__, "%s + %s asks for action %u, expected %u", from, event, action,
                       cell->action);
    if (cell->next == ST(BACKOFF) && cell->deadline_after_ms != KEPT) {
        CHECK(life.deadline_ms >= NOW + cell->deadline_after_ms / 2);
        CHECK(life.deadline_ms <= NOW + cell->deadline_after_ms);
    } else {
        uint64_t expected = cell->deadline_after_ms == KEPT ? deadline_before_ms
                            : cell->deadline_after_ms       ? NOW + cell->deadline_after_ms
                                                            : 0;
        CHECK_INT(life.deadline_ms, expected);
    }
}

TEST(every_cell_does_what_the_list_says)
{
    for (size_t i = 0; i < WISP_COUNT(cells); i++) check_cell(&cells[i], false);
    for (size_t i = 0; i < WISP_COUNT(held_cells); i++) check_cell(&held_cells[i], true);
}

TEST(every_other_cell_is_empty)
{
    bool is_listed[WISP_CHILD_STATE_COUNT][WISP_CHILD_EVENT_COUNT] = {0};
    for (size_t i = 0; i < WISP_COUNT(cells); i++) is_listed[cells[i].state][cells[i].event] = true;
    for (enum wisp_lifecycle_state state = 0; state < WISP_CHILD_STATE_COUNT; state++)
        for (enum wisp_lifecycle_event event = 0; event < WISP_CHILD_EVENT_COUNT; event++)
            CHECK_INT(wisp_lifecycle_accepts(state, event), is_listed[state][event]);
}

/* --- stories --- */

static struct wisp_lifecycle ready_child(void)
{
    struct wisp_lifecycle life;
    bring_to(&life, ST(READY), false);
    return life;
}

TEST(start_while_stopping_starts_again_when_it_is_gone)
{
    struct wisp_lifecycle life = ready_child();
    wisp_lifecycle_step(&life, EV(STOP), NOW);
    wisp_lifecycle_step(&life, EV(START), NOW);
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW), WISP_CHILD_SPAWN);
    CHECK_INT(life.state, ST(STARTING));
    CHECK_INT(life.failures, 0);
}

TEST(stop_after_start_while_stopping_takes_it_back)
{
    struct wisp_lifecycle life = ready_child();
    wisp_lifecycle_step(&life, EV(STOP), NOW);
    wisp_lifecycle_step(&life, EV(START), NOW);
    wisp_lifecycle_step(&life, EV(STOP), NOW);
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW), 0);
    CHECK_INT(life.state, ST(DOWN));
}

TEST(pauses_double_up_to_the_limit_with_jitter)
{
    struct wisp_lifecycle life = ready_child();
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW), WISP_CHILD_SPAWN);
    uint64_t expected = 100, now_ms = NOW;
    for (int i = 0; i < 12; i++) {
        CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), now_ms), 0);
        CHECK_INT(life.state, ST(BACKOFF));
        uint64_t pause = life.deadline_ms - now_ms;
        CHECK(pause >= expected / 2 && pause <= expected);
        now_ms = life.deadline_ms;
        CHECK_INT(wisp_lifecycle_step(&life, EV(DEADLINE), now_ms), WISP_CHILD_SPAWN);
        expected = expected * 2 > 3000 ? 3000 : expected * 2;
    }
}

TEST(jitter_differs_between_children)
{
    uint64_t first = 0;
    bool differs = false;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct wisp_lifecycle life;
        wisp_lifecycle_init(&life, &policy, seed * 7919);
        wisp_lifecycle_step(&life, EV(START), NOW);
        for (int i = 0; i < 6; i++) {
            wisp_lifecycle_step(&life, EV(EXIT), NOW);
            if (life.state == ST(BACKOFF) && i < 5) wisp_lifecycle_step(&life, EV(DEADLINE), NOW);
        }
        if (!first) first = life.deadline_ms;
        differs |= first != life.deadline_ms;
    }
    CHECK(differs);
}

TEST(a_minute_of_health_forgets_earlier_deaths)
{
    struct wisp_lifecycle life = ready_child();
    wisp_lifecycle_step(&life, EV(EXIT), NOW);
    wisp_lifecycle_step(&life, EV(EXIT), NOW);
    wisp_lifecycle_step(&life, EV(DEADLINE), life.deadline_ms);
    wisp_lifecycle_step(&life, EV(READY), NOW + 200);
    CHECK_INT(life.deadline_ms, NOW + 200 + 6000);
    wisp_lifecycle_step(&life, EV(DEADLINE), life.deadline_ms);
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW + 7000), WISP_CHILD_SPAWN);
}

TEST(a_child_that_is_never_ready_counts_as_dying)
{
    struct wisp_lifecycle life;
    bring_to(&life, ST(STARTING), false);
    CHECK_INT(wisp_lifecycle_step(&life, EV(DEADLINE), NOW + 1000), WISP_CHILD_SLAY);
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW + 1001), WISP_CHILD_SPAWN);
    CHECK_INT(wisp_lifecycle_step(&life, EV(DEADLINE), NOW + 2001), WISP_CHILD_SLAY);
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW + 2002), 0);
    CHECK_INT(life.state, ST(BACKOFF));
}

TEST(a_child_that_is_never_ready_can_still_be_stopped)
{
    struct wisp_lifecycle life;
    bring_to(&life, ST(STARTING), false);
    wisp_lifecycle_step(&life, EV(DEADLINE), NOW + 1000);
    wisp_lifecycle_step(&life, EV(STOP), NOW + 1000);
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW + 1001), 0);
    CHECK_INT(life.state, ST(DOWN));
}

TEST(a_hung_child_is_killed_and_started_again)
{
    struct wisp_lifecycle life = ready_child();
    CHECK_INT(wisp_lifecycle_step(&life, EV(HANG), NOW), WISP_CHILD_SLAY);
    CHECK_INT(wisp_lifecycle_step(&life, EV(HANG), NOW), 0);
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW), WISP_CHILD_SPAWN);
    CHECK_INT(life.failures, 1);
    wisp_lifecycle_step(&life, EV(READY), NOW);
    wisp_lifecycle_step(&life, EV(HANG), NOW);
    wisp_lifecycle_step(&life, EV(STOP), NOW);
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW), 0);
    CHECK_INT(life.state, ST(DOWN));
}

TEST(a_held_child_waits_for_its_owner_after_each_pause)
{
    struct wisp_lifecycle life;
    bring_to(&life, ST(HELD), true);
    CHECK_INT(wisp_lifecycle_step(&life, EV(RELEASE), NOW), WISP_CHILD_SPAWN);
    wisp_lifecycle_step(&life, EV(READY), NOW);
    CHECK_INT(wisp_lifecycle_step(&life, EV(RELEASE), NOW), 0); /* a late one counts for nothing */
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW), 0);
    CHECK_INT(life.state, ST(BACKOFF));
    CHECK_INT(wisp_lifecycle_step(&life, EV(RELEASE), NOW), 0); /* nor does an early one */
    CHECK_INT(wisp_lifecycle_step(&life, EV(DEADLINE), life.deadline_ms), WISP_CHILD_DUE);
    CHECK_INT(life.state, ST(HELD));
    CHECK_INT(wisp_lifecycle_step(&life, EV(RELEASE), NOW), WISP_CHILD_SPAWN);
    CHECK_INT(wisp_lifecycle_step(&life, EV(SPAWN_FAILED), NOW), 0);
    CHECK_INT(wisp_lifecycle_step(&life, EV(DEADLINE), life.deadline_ms), WISP_CHILD_DUE);
}

TEST(a_child_that_died_too_often_is_tried_rarely)
{
    struct wisp_lifecycle_policy own = policy;
    struct wisp_lifecycle life;
    own.failed_after = 3;
    wisp_lifecycle_init(&life, &own, 42);
    wisp_lifecycle_step(&life, EV(START), NOW);
    for (uint32_t deaths = 1; deaths < 10; deaths++) {
        CHECK(!wisp_lifecycle_is_failed(&life) || deaths > 3);
        wisp_lifecycle_step(&life, EV(EXIT), NOW);
        CHECK_INT(wisp_lifecycle_is_failed(&life), deaths >= 3);
        if (deaths >= 3) CHECK(life.deadline_ms >= NOW + 1500);
        if (life.state == ST(BACKOFF)) wisp_lifecycle_step(&life, EV(DEADLINE), NOW);
    }
    wisp_lifecycle_step(&life, EV(READY), NOW);
    wisp_lifecycle_step(&life, EV(DEADLINE), life.deadline_ms);
    CHECK(!wisp_lifecycle_is_failed(&life));
    CHECK_INT(wisp_lifecycle_step(&life, EV(EXIT), NOW), WISP_CHILD_SPAWN);
}

/* --- random sequences --- */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* What must hold after any step, whatever came before. */
static void check_invariants(const struct wisp_lifecycle *life, uint64_t now_ms)
{
    bool may_wait_for_ever =
        life->state == ST(DOWN) || life->state == ST(HELD) || (life->state == ST(READY) && life->failures == 0);
    CHECK(life->deadline_ms || may_wait_for_ever);
    if (life->deadline_ms) CHECK(life->deadline_ms >= now_ms);
    if (life->state == ST(DOWN)) CHECK(!life->is_wanted && !life->deadline_ms);
    if (life->state == ST(BACKOFF)) CHECK(life->deadline_ms <= now_ms + policy.backoff_max_ms);
    if (life->state == ST(HELD)) CHECK(life->is_wanted && life->policy.is_held && !life->deadline_ms);
}

static void run_random_child(uint64_t seed)
{
    struct wisp_lifecycle life;
    struct wisp_lifecycle_policy own = policy;
    own.is_held = seed % 2;
    own.failed_after = seed % 3 ? 4 : 0;
    wisp_lifecycle_init(&life, &own, seed);
    uint64_t now_ms = NOW;
    int processes = 0;
    for (int i = 0; i < 500; i++) {
        enum wisp_lifecycle_event event = next_random(&seed) % WISP_CHILD_EVENT_COUNT;
        if (!wisp_lifecycle_accepts(life.state, event)) continue;
        /* Only the action SPAWN can fail, and we let it succeed or fail at once. */
        if (event == EV(SPAWN_FAILED)) continue;
        if (event == EV(DEADLINE)) {
            if (!life.deadline_ms) continue;
            now_ms = life.deadline_ms;
        } else if (life.deadline_ms > now_ms) {
            now_ms += next_random(&seed) % (life.deadline_ms - now_ms + 1);
        }
        if (event == EV(EXIT) || event == EV(FINISH)) processes--;
        uint32_t action = wisp_lifecycle_step(&life, event, now_ms);
        if (action == WISP_CHILD_SPAWN) {
            if (next_random(&seed) % 4 == 0)
                CHECK_INT(wisp_lifecycle_step(&life, EV(SPAWN_FAILED), now_ms), 0);
            else
                processes++;
        } else if (action == WISP_CHILD_DUE) {
            CHECK_INT(life.state, ST(HELD));
        } else if (action) {
            CHECK_INT(processes, 1);
        }
        CHECK_INT(processes, wisp_lifecycle_has_process(life.state));
        check_invariants(&life, now_ms);
    }
    /* Whatever happened: stopped for good it ends, within a bounded number of steps. */
    wisp_lifecycle_step(&life, EV(STOP), now_ms);
    for (int i = 0; i < 3 && wisp_lifecycle_has_process(life.state); i++)
        wisp_lifecycle_step(&life, i < 2 ? EV(DEADLINE) : EV(EXIT), life.deadline_ms);
    CHECK_INT(life.state, ST(DOWN));
}

TEST(random_events_keep_the_invariants)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) run_random_child(seed * 2654435761u);
}
