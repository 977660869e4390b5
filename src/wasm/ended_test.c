/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "wasm/wasm_priv.h"

enum { IDLE_MAX = 8, IDLE = 20 };

static struct wisp_wasm_engine *engine;
static struct wisp_err err;

static void set_up(void)
{
    struct wisp_wasm_engine_options options = {
        .instances_max = 2 * IDLE_MAX, .cache_dir = "", .remembers_written = true};
    CHECK_OK(wisp_wasm_engine_new(&engine, &options, &err), &err);
    if (!engine->remembers_written) wisp_test_skip("no pool, or no count of faults");
}

static void tear_down(void) { wisp_wasm_engine_free(engine); }

static int n_cleared;

static void clear(void *env)
{
    (void)env;
    n_cleared++;
}

static void clear_two(void *env)
{
    (void)env;
    wisp_wasm_clear_later(engine, clear, NULL);
    wisp_wasm_clear_all(engine); /* changes nothing from here */
    n_cleared++;
}

TEST(a_few_are_cleared_up_together)
{
    set_up();
    n_cleared = 0;
    wisp_wasm_clear_later(engine, clear, NULL);
    CHECK_INT(n_cleared, 1);
    wisp_wasm_turn_begin(engine);
    for (int i = 1; i <= 6; i++) {
        wisp_wasm_clear_later(engine, clear, NULL);
        CHECK_INT(n_cleared, 1 + i / WISP_WASM_ENDED_MAX * WISP_WASM_ENDED_MAX);
    }
    wisp_wasm_clear_all(engine);
    CHECK_INT(n_cleared, 7);
    wisp_wasm_clear_later(engine, clear_two, NULL);
    CHECK_INT(n_cleared, 7);
    wisp_wasm_turn_end(engine);
    CHECK_INT(n_cleared, 9);
    tear_down();
}

static struct wisp_wasm_idle idle[IDLE];
static bool is_given_up[IDLE];

static void give_up(struct wisp_wasm_idle *which) { is_given_up[which - idle] = true; }

static void add(int i, uint32_t n_pages)
{
    idle[i] = (struct wisp_wasm_idle){.n_pages = n_pages, .give_up = give_up};
    is_given_up[i] = false;
    wisp_wasm_idle_add(engine, &idle[i]);
}

static void remove_all(void)
{
    for (int i = 0; i < IDLE; i++)
        if (wisp_ring_is_member(&idle[i].link)) wisp_wasm_idle_remove(engine, &idle[i]);
    CHECK_INT(engine->n_idle + engine->n_idle_pages, 0);
}

TEST(idle_ones_are_bounded_in_number)
{
    set_up();
    for (int i = 0; i < IDLE; i++) add(i, 1);
    CHECK_INT(engine->n_idle, IDLE_MAX);
    for (int i = 0; i < IDLE; i++) CHECK_INT(is_given_up[i], i < IDLE - IDLE_MAX);
    remove_all();
    tear_down();
}

TEST(idle_ones_are_bounded_in_size)
{
    set_up();
    uint32_t third = engine->idle_pages_max / 3;
    for (int i = 0; i < 3; i++) add(i, third);
    wisp_wasm_idle_remove(engine, &idle[1]);
    add(3, third);
    for (int i = 0; i < 4; i++) CHECK(!is_given_up[i]);
    add(4, third);
    CHECK(is_given_up[0] && !is_given_up[2]);
    add(5, 2 * third);
    CHECK(is_given_up[2] && is_given_up[3] && !is_given_up[4]);
    remove_all();
    tear_down();
}
