/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests: write TEST(name) { ... } and it runs, in a process of its own with a time limit; it is registered in
 * no list. A failed check prints both values and ends the test.
 *
 *     program              runs all, prints one line each and a total
 *     program NAME ...     runs those whose name contains one of the words */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct wisp_test {
    const char *name;
    void (*run)(void);
    const char *file;
    int line;
};

#define TEST(test_name)                                                                                        \
    static void test_##test_name(void);                                                                        \
    static const struct wisp_test test_entry_##test_name = {#test_name, test_##test_name, __FILE__, __LINE__}; \
    static const struct wisp_test *const test_pointer_##test_name                                              \
        __attribute__((used, section("wisp_tests"))) = &test_entry_##test_name;                                \
    static void test_##test_name(void)

void wisp_test_fail(const char *file, int line, const char *format, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
/* Ends the test as skipped, with the reason printed. */
void wisp_test_skip(const char *reason) __attribute__((noreturn));

#define CHECK(condition) \
    do { \
        if (!(condition)) wisp_test_fail(__FILE__, __LINE__, "%s", #condition); \
    } while (0)
#define CHECK_INT(actual, expected) \
    do { \
        long long a_ = (long long)(actual), e_ = (long long)(expected); \
        if (a_ != e_) wisp_test_fail(__FILE__, __LINE__, "%s is %lld, expected %lld", #actual, a_, e_); \
    } while (0)
#define CHECK_TEXT(actual, expected) \
    do { \
        const char *a_ = (actual), *e_ = (expected); \
        if (!a_ || strcmp(a_, e_) != 0) \
            wisp_test_fail(__FILE__, __LINE__, "%s is\n  %s\nexpected\n  %s", #actual, a_ ? a_ : "(null)", e_); \
    } while (0)
#define CHECK_STR(actual, expected) \
    do { \
        struct wisp_str a_ = (actual), e_ = wisp_str_from(expected); \
        if (!wisp_str_equal(a_, e_)) \
            wisp_test_fail(__FILE__, __LINE__, "%s is\n  %.*s\nexpected\n  %s", #actual, WISP_STR_ARG(a_), e_.ptr); \
    } while (0)
/* The text contains the words. */
#define CHECK_HAS(actual, words) \
    do { \
        const char *a_ = (actual), *w_ = (words); \
        if (!a_ || !strstr(a_, w_)) \
            wisp_test_fail(__FILE__, __LINE__, "%s is\n  %s\nwithout\n  %s", #actual, a_ ? a_ : "(null)", w_); \
    } while (0)
/* A call that returns 0 or fills `err`. */
#define CHECK_OK(call, err) \
    do { \
        if ((call) < 0) wisp_test_fail(__FILE__, __LINE__, "%s: %s", #call, (err)->text); \
    } while (0)
/* A call that must fail with this kind. */
#define CHECK_FAILS(call, err_kind) \
    do { \
        int r_ = (call); \
        if (r_ != -(int)WISP_ERR_##err_kind) \
            wisp_test_fail(__FILE__, __LINE__, "%s returned %d, expected -%s", #call, r_, #err_kind); \
    } while (0)
