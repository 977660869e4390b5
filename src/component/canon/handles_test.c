/* SPDX-License-Identifier: Apache-2.0 */
#include "component/canon.h"
#include "test.h"

static struct wisp_resource pollable = {.name = WISP_STR_INIT("pollable")};
static struct wisp_resource fields = {.name = WISP_STR_INIT("fields")};
static struct wisp_resource nameless, nameless_too;
static struct wisp_err err;

static void *rep(uintptr_t n) { return (void *)n; }

static uint32_t add(struct wisp_handles *handles, struct wisp_resource *resource, uintptr_t n)
{
    uint32_t index;
    CHECK_OK(wisp_handles_add(handles, resource, rep(n), true, NULL, &index, &err), &err);
    return index;
}

static uint32_t add_borrow(struct wisp_handles *handles, struct wisp_borrow_scope *scope, uintptr_t n)
{
    uint32_t index;
    CHECK_OK(wisp_handles_add(handles, &fields, rep(n), false, scope, &index, &err), &err);
    return index;
}

static void drop(struct wisp_handles *handles, uint32_t index, const struct wisp_resource *resource)
{
    void *got;
    bool own;
    CHECK_OK(wisp_handles_drop(handles, index, resource, &got, &own, &err), &err);
}

struct visited {
    uintptr_t reps[100];
    int n;
};

static void visit(struct wisp_resource *resource, void *got, void *env)
{
    struct visited *visited = env;
    CHECK(resource == &fields || resource == &pollable);
    visited->reps[visited->n++] = (uintptr_t)got;
}

static void deinit(struct wisp_handles *handles)
{
    struct visited visited = {0};
    wisp_handles_deinit(handles, visit, &visited);
}

TEST(indices_start_at_1_and_the_last_freed_is_used_first)
{
    struct wisp_handles handles = {0};
    for (uint32_t i = 1; i <= 40; i++) CHECK_INT(add(&handles, &fields, i), i);
    drop(&handles, 2, &fields);
    CHECK_INT(add(&handles, &fields, 0), 2);
    drop(&handles, 1, &fields);
    drop(&handles, 2, &fields);
    drop(&handles, 3, &fields);
    CHECK_INT(add(&handles, &fields, 0), 3);
    CHECK_INT(add(&handles, &fields, 0), 2);
    CHECK_INT(add(&handles, &fields, 0), 1);
    CHECK_INT(add(&handles, &fields, 0), 41);
    CHECK_INT(handles.n_live, 41);
    deinit(&handles);
}

static void check_unknown(struct wisp_handles *handles, uint32_t index, const char *text)
{
    struct wisp_handle *handle;
    void *got;
    bool own;
    CHECK_FAILS(wisp_handles_get(handles, index, &fields, &handle, &err), GUEST);
    CHECK_TEXT(err.text, text);
    CHECK_FAILS(wisp_handles_take(handles, index, &fields, &got, &err), GUEST);
    CHECK_TEXT(err.text, text);
    CHECK_FAILS(wisp_handles_drop(handles, index, &fields, &got, &own, &err), GUEST);
    CHECK_TEXT(err.text, text);
}

TEST(indices_that_mean_nothing_are_refused)
{
    struct wisp_handles handles = {0};
    check_unknown(&handles, 0, "unknown handle index 0");
    check_unknown(&handles, 1, "unknown handle index 1");
    add(&handles, &fields, 1);
    drop(&handles, add(&handles, &fields, 1), &fields);
    check_unknown(&handles, 0, "unknown handle index 0");
    check_unknown(&handles, 2, "unknown handle index 2");
    check_unknown(&handles, 3, "unknown handle index 3");
    check_unknown(&handles, UINT32_MAX, "unknown handle index 4294967295");
    deinit(&handles);
}

TEST(a_handle_keeps_its_type)
{
    struct wisp_handles handles = {0};
    uint32_t index = add(&handles, &pollable, 5);
    check_unknown(&handles, index, "handle index 1 used with the wrong type, expected `fields` but found `pollable`");
    CHECK_INT(handles.n_live, 1);
    struct wisp_handle *handle;
    CHECK_OK(wisp_handles_get(&handles, index, &pollable, &handle, &err), &err);
    CHECK(handle->rep == rep(5));
    deinit(&handles);
    handles = (struct wisp_handles){0};
    index = add(&handles, &nameless, 5);
    CHECK_FAILS(wisp_handles_get(&handles, index, &nameless_too, &handle, &err), GUEST);
    CHECK_HAS(err.text, "expected guest-defined resource but found a different guest-defined resource");
    drop(&handles, index, &nameless);
    deinit(&handles);
}

TEST(take_moves_an_own_handle_out)
{
    struct wisp_handles handles = {0};
    uint32_t index = add(&handles, &fields, 9);
    void *got;
    CHECK_OK(wisp_handles_take(&handles, index, &fields, &got, &err), &err);
    CHECK(got == rep(9));
    CHECK_INT(handles.n_live, 0);
    check_unknown(&handles, index, "unknown handle index 1");
    deinit(&handles);
}

TEST(a_lent_handle_stays)
{
    struct wisp_handles handles = {0};
    uint32_t index = add(&handles, &fields, 9);
    struct wisp_handle *handle;
    CHECK_OK(wisp_handles_get(&handles, index, &fields, &handle, &err), &err);
    handle->lends = 2;
    void *got;
    bool own;
    CHECK_FAILS(wisp_handles_take(&handles, index, &fields, &got, &err), GUEST);
    CHECK_HAS(err.text, "cannot remove owned resource while borrowed");
    CHECK_FAILS(wisp_handles_drop(&handles, index, &fields, &got, &own, &err), GUEST);
    CHECK_HAS(err.text, "cannot remove owned resource while borrowed");
    handle->lends = 0;
    CHECK_OK(wisp_handles_drop(&handles, index, &fields, &got, &own, &err), &err);
    CHECK(own && got == rep(9));
    deinit(&handles);
}

TEST(borrows_must_be_dropped_before_the_call_returns)
{
    struct wisp_handles handles = {0};
    struct wisp_borrow_scope scope = {0};
    uint32_t first = add_borrow(&handles, &scope, 1), second = add_borrow(&handles, &scope, 2);
    CHECK_INT(scope.n_borrows, 2);
    void *got;
    bool own;
    CHECK_FAILS(wisp_handles_take(&handles, first, &fields, &got, &err), GUEST);
    CHECK_HAS(err.text, "handle index 1 is borrowed");
    CHECK_OK(wisp_handles_drop(&handles, first, &fields, &got, &own, &err), &err);
    CHECK(!own && got == rep(1));
    CHECK_FAILS(wisp_borrow_scope_end(&scope, &err), GUEST);
    CHECK_HAS(err.text, "borrow handles still remain at the end of the call: 1");
    /* A borrow that is lent on stays too. */
    struct wisp_handle *handle;
    CHECK_OK(wisp_handles_get(&handles, second, &fields, &handle, &err), &err);
    handle->lends++;
    CHECK_FAILS(wisp_handles_drop(&handles, second, &fields, &got, &own, &err), GUEST);
    handle->lends--;
    drop(&handles, second, &fields);
    CHECK_OK(wisp_borrow_scope_end(&scope, &err), &err);
    deinit(&handles);
}

TEST(deinit_visits_what_is_owned_last_first)
{
    struct wisp_handles handles = {0};
    struct wisp_borrow_scope scope = {0};
    add(&handles, &fields, 10);
    add_borrow(&handles, &scope, 11);
    add(&handles, &pollable, 12);
    drop(&handles, add(&handles, &fields, 13), &fields);
    add(&handles, &fields, 14);
    struct visited visited = {0};
    wisp_handles_deinit(&handles, visit, &visited);
    CHECK_INT(visited.n, 3);
    CHECK_INT(visited.reps[0], 14);
    CHECK_INT(visited.reps[1], 12);
    CHECK_INT(visited.reps[2], 10);
    CHECK_INT(handles.n_slots + handles.n_live, 0);
    wisp_handles_deinit(&handles, visit, &visited);
    CHECK_INT(visited.n, 3);
}

TEST(a_table_that_was_reset_is_as_a_new_one)
{
    for (uint32_t n = 3; n < 100; n *= 9) {
        struct wisp_handles handles = {0};
        struct wisp_borrow_scope scope = {0};
        for (uint32_t i = 1; i < n; i++) add(&handles, &fields, i);
        add_borrow(&handles, &scope, n);
        drop(&handles, 2, &fields);
        struct visited visited = {0};
        wisp_handles_reset(&handles, visit, &visited);
        CHECK_INT(visited.n, n - 2);
        check_unknown(&handles, 1, "unknown handle index 1");
        CHECK_INT(add(&handles, &pollable, 1), 1);
        CHECK_INT(add(&handles, &pollable, 2), 2);
        CHECK_INT(handles.n_live, 2);
        deinit(&handles);
    }
}

TEST(the_table_is_bounded)
{
    struct wisp_handles handles = {0};
    uint32_t index;
    int r = 0;
    for (uint32_t i = 1; i < WISP_HANDLES_MAX && r == 0; i++)
        r = wisp_handles_add(&handles, &fields, NULL, false, NULL, &index, &err);
    CHECK_INT(r, 0);
    CHECK_INT(index, WISP_HANDLES_MAX - 1);
    CHECK_FAILS(wisp_handles_add(&handles, &fields, NULL, false, NULL, &index, &err), LIMIT);
    drop(&handles, 77, &fields);
    CHECK_INT(add(&handles, &fields, 3), 77);
    /* What is left over when a call fails is kept even then. */
    wisp_handles_adopt(&handles, &fields, rep(4));
    struct visited visited = {0};
    wisp_handles_deinit(&handles, visit, &visited);
    CHECK_INT(visited.n, 2);
    CHECK_INT(visited.reps[0], 4);
}
