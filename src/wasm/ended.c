/* SPDX-License-Identifier: Apache-2.0 */
/* What has ended and is to be cleared up, and what waits to be used again. */
#include "wasm/wasm_priv.h"

static void clear_now(struct wisp_wasm_engine *engine)
{
    engine->is_clearing = true;
    wisp_wasm_written_hold();
    while (engine->n_ended) {
        struct wisp_wasm_ended ended = engine->ended[--engine->n_ended];
        ended.clear(ended.env);
    }
    wisp_wasm_written_release();
    engine->is_clearing = false;
}

/* In a turn a few are cleared up together, see written.c; more at once would only be more memory in use. */
void wisp_wasm_clear_later(struct wisp_wasm_engine *engine, void (*clear)(void *env), void *env)
{
    if (engine->is_clearing) {
        clear(env);
        return;
    }
    engine->ended[engine->n_ended++] = (struct wisp_wasm_ended){clear, env};
    if (!engine->is_in_turn || engine->n_ended == WISP_WASM_ENDED_MAX) clear_now(engine);
}

void wisp_wasm_clear_all(struct wisp_wasm_engine *engine)
{
    if (!engine->is_clearing) clear_now(engine);
}

void wisp_wasm_turn_begin(struct wisp_wasm_engine *engine) { engine->is_in_turn = engine->remembers_written; }

void wisp_wasm_turn_end(struct wisp_wasm_engine *engine)
{
    engine->is_in_turn = false;
    clear_now(engine);
}

/* --- idle ones --- */

static void give_up_oldest(struct wisp_wasm_engine *engine)
{
    struct wisp_wasm_idle *idle = WISP_OWNER(engine->idle.next, struct wisp_wasm_idle, link);
    wisp_wasm_idle_remove(engine, idle);
    idle->give_up(idle);
}

void wisp_wasm_idle_add(struct wisp_wasm_engine *engine, struct wisp_wasm_idle *idle)
{
    uint32_t n_max = engine->instances_max / 2;
    while (engine->n_idle && (engine->n_idle >= n_max || engine->n_idle_pages + idle->n_pages > engine->idle_pages_max))
        give_up_oldest(engine);
    engine->n_idle++;
    engine->n_idle_pages += idle->n_pages;
    wisp_ring_append(&engine->idle, &idle->link);
}

void wisp_wasm_idle_remove(struct wisp_wasm_engine *engine, struct wisp_wasm_idle *idle)
{
    engine->n_idle--;
    engine->n_idle_pages -= idle->n_pages;
    wisp_ring_remove(&idle->link);
}

void wisp_wasm_make_room(struct wisp_wasm_engine *engine)
{
    if (engine->n_stores + engine->n_ended < engine->instances_max) return;
    wisp_wasm_clear_all(engine); /* they still have their places in the pool */
    if (engine->n_stores < engine->instances_max || !engine->n_idle) return;
    give_up_oldest(engine);
    wisp_wasm_clear_all(engine);
}
