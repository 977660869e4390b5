/* SPDX-License-Identifier: Apache-2.0 */
#include "lattice/lattice_priv.h"

#include "base/uuid.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- actions --- */

struct wisp_lattice_queued {
    struct wisp_lattice_action action;
    struct wisp_lattice_queued *next;
};

struct wisp_lattice_action *wisp_lattice_emit(struct wisp_lattice *lattice, enum wisp_lattice_action_kind kind)
{
    struct wisp_lattice_queued *queued = WISP_NEW(&lattice->arena, struct wisp_lattice_queued);
    queued->action.kind = kind;
    *lattice->last = queued;
    lattice->last = &queued->next;
    return &queued->action;
}

bool wisp_lattice_next_action(struct wisp_lattice *lattice, struct wisp_lattice_action *ret_action)
{
    struct wisp_lattice_queued *queued = lattice->first;
    if (!queued) return false;
    *ret_action = queued->action;
    lattice->first = queued->next;
    if (!lattice->first) lattice->last = &lattice->first;
    return true;
}

struct wisp_str wisp_lattice_keep(struct wisp_lattice *lattice, struct wisp_str s)
{
    return wisp_arena_str(&lattice->arena, s);
}

struct wisp_str wisp_lattice_keep_json(struct wisp_lattice *lattice, const json_t *value)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(value, &text);
    return wisp_lattice_keep(lattice, wisp_buf_str(&text));
}

json_t *wisp_lattice_borrow(struct wisp_lattice *lattice, json_t *value)
{
    json_array_append(lattice->borrowed, value);
    return value;
}

void wisp_lattice_log(struct wisp_lattice *lattice, int level, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_LOG);
    action->level = level;
    action->text = wisp_lattice_keep(lattice, wisp_str_from(text));
}

void wisp_lattice_publish(struct wisp_lattice *lattice, struct wisp_str subject, const json_t *payload)
{
    if (!lattice->is_connected) return;
    struct wisp_lattice_action *action = wisp_lattice_emit(lattice, WISP_LATTICE_PUBLISH);
    action->subject = wisp_lattice_keep(lattice, subject);
    action->payload = wisp_lattice_keep_json(lattice, payload);
}

/* --- calls --- */

static struct wisp_str id_key(const uint64_t *id) { return (struct wisp_str){(const char *)id, sizeof *id}; }

void wisp_lattice_call_begin(
    struct wisp_lattice *lattice, struct wisp_lattice_call *call, struct wisp_lattice_action *action,
    void (*on_done)(struct wisp_lattice_call *call, const struct wisp_lattice_done *done, void *env), void *env)
{
    assert(!wisp_lattice_call_is_open(call));
    call->id = action->id = ++lattice->next_id;
    call->on_done = on_done;
    call->env = env;
    wisp_table_add(&lattice->calls, id_key(&call->id), &call->entry);
}

bool wisp_lattice_call_is_open(const struct wisp_lattice_call *call) { return call->entry.order.next != NULL; }

void wisp_lattice_call_forget(struct wisp_lattice *lattice, struct wisp_lattice_call *call)
{
    wisp_table_remove(&lattice->calls, &call->entry);
}

/* --- timers: a heap, earliest first; slots count from 1 --- */

static void place(struct wisp_lattice *lattice, struct wisp_lattice_timer *timer, size_t slot)
{
    lattice->timers[slot - 1] = timer;
    timer->slot = slot;
}

static void sift_up(struct wisp_lattice *lattice, struct wisp_lattice_timer *timer)
{
    size_t slot = timer->slot;
    for (; slot > 1 && lattice->timers[slot / 2 - 1]->due_ms > timer->due_ms; slot /= 2)
        place(lattice, lattice->timers[slot / 2 - 1], slot);
    place(lattice, timer, slot);
}

static void sift_down(struct wisp_lattice *lattice, struct wisp_lattice_timer *timer)
{
    size_t slot = timer->slot;
    for (size_t below; (below = slot * 2) <= lattice->n_timers; slot = below) {
        if (below < lattice->n_timers && lattice->timers[below]->due_ms < lattice->timers[below - 1]->due_ms) below++;
        if (lattice->timers[below - 1]->due_ms >= timer->due_ms) break;
        place(lattice, lattice->timers[below - 1], slot);
    }
    place(lattice, timer, slot);
}

void wisp_lattice_timer_disarm(struct wisp_lattice *lattice, struct wisp_lattice_timer *timer)
{
    if (!timer->slot) return;
    struct wisp_lattice_timer *last = lattice->timers[--lattice->n_timers];
    if (last != timer) {
        place(lattice, last, timer->slot);
        sift_up(lattice, last);
        sift_down(lattice, last);
    }
    timer->slot = 0;
}

void wisp_lattice_timer_arm(struct wisp_lattice *lattice, struct wisp_lattice_timer *timer, uint64_t after_ms,
                            void (*on_due)(struct wisp_lattice_timer *timer, void *env), void *env)
{
    wisp_lattice_timer_disarm(lattice, timer);
    /* At least a millisecond, so that a timer that arms itself again can't keep the present going for ever. */
    if (__builtin_add_overflow(lattice->now.now_ms, after_ms ? after_ms : 1, &timer->due_ms))
        timer->due_ms = UINT64_MAX - 1;
    timer->on_due = on_due;
    timer->env = env;
    if (lattice->n_timers == lattice->timers_capacity) {
        lattice->timers_capacity = lattice->timers_capacity ? lattice->timers_capacity * 2 : 16;
        lattice->timers =
            wisp_mem_realloc(lattice->timers, lattice->timers_capacity * sizeof(struct wisp_lattice_timer *));
    }
    place(lattice, timer, ++lattice->n_timers);
    sift_up(lattice, timer);
}

void wisp_lattice_timers_run(struct wisp_lattice *lattice)
{
    while (lattice->n_timers && lattice->timers[0]->due_ms <= lattice->now.now_ms) {
        struct wisp_lattice_timer *timer = lattice->timers[0];
        wisp_lattice_timer_disarm(lattice, timer);
        timer->on_due(timer, timer->env);
    }
}

uint64_t wisp_lattice_next_tick_ms(const struct wisp_lattice *lattice)
{
    return lattice->n_timers ? lattice->timers[0]->due_ms : UINT64_MAX;
}

/* --- random choices --- */

/* splitmix64: ids and jitter need no better one. */
uint64_t wisp_lattice_random(struct wisp_lattice *lattice)
{
    uint64_t z = lattice->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t wisp_lattice_backoff_ms(struct wisp_lattice *lattice, uint32_t tries, uint64_t first_ms, uint64_t max_ms)
{
    uint64_t pause = first_ms;
    for (uint32_t i = 1; i < tries && pause < max_ms; i++) pause *= 2;
    if (pause > max_ms) pause = max_ms;
    return pause - wisp_lattice_random(lattice) % (pause / 2 + 1);
}

void wisp_lattice_uuid(struct wisp_lattice *lattice, char text[WISP_LATTICE_UUID_LEN + 1])
{
    uint64_t random[2];
    for (size_t i = 0; i < WISP_COUNT(random); i++) random[i] = wisp_lattice_random(lattice);
    wisp_uuid_print(random, text);
}

void wisp_lattice_make_key(struct wisp_lattice *lattice, enum wisp_nkey_kind kind, struct wisp_nkey *ret_key)
{
    if (!lattice->keys_from_seed) {
        wisp_nkey_generate(ret_key, kind);
        return;
    }
    char seed[WISP_NKEY_SEED_LEN + 1];
    *ret_key = (struct wisp_nkey){.kind = kind};
    for (size_t i = 0; i < sizeof ret_key->seed; i++) ret_key->seed[i] = (uint8_t)wisp_lattice_random(lattice);
    wisp_nkey_seed_text(ret_key, seed);
    int r = wisp_nkey_from_seed(wisp_str_from(seed), ret_key, NULL);
    assert(r == 0);
    (void)r;
}
