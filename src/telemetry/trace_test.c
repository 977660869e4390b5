/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/trace.h"

#include "test.h"

#define HEADER "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct wisp_trace_sampler all = {.follows_parent = true, .threshold = UINT64_C(1) << 63};
static const struct wisp_trace_sampler none = {.follows_parent = true};

TEST(header_is_read_and_written)
{
    struct wisp_trace_context context;
    char text[WISP_TRACEPARENT_LEN + 1];
    CHECK(wisp_trace_parse(WISP_STR(HEADER), &context));
    CHECK_INT(context.trace_id[0], 0x0a);
    CHECK_INT(context.span_id[7], 0x31);
    CHECK(context.is_sampled);
    wisp_trace_print(&context, text);
    CHECK_TEXT(text, HEADER);
}

TEST(later_version_may_have_more)
{
    struct wisp_trace_context context;
    CHECK(wisp_trace_parse(WISP_STR("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02-what"), &context));
    CHECK(!context.is_sampled);
}

TEST(malformed_headers_are_none)
{
    static const char *const headers[] = {
        "",
        "00",
        HEADER "-more",
        HEADER "0",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
    };
    struct wisp_trace_context context;
    for (size_t i = 0; i < WISP_COUNT(headers); i++) CHECK(!wisp_trace_parse(wisp_str_from(headers[i]), &context));
}

TEST(child_belongs_to_its_parent)
{
    struct wisp_trace_context parent, child;
    CHECK(wisp_trace_parse(WISP_STR(HEADER), &parent));
    wisp_trace_begin(&none, &parent, &child);
    CHECK(memcmp(parent.trace_id, child.trace_id, sizeof child.trace_id) == 0);
    CHECK(memcmp(parent.span_id, child.span_id, sizeof child.span_id) != 0);
    CHECK(child.is_sampled);
    parent.is_sampled = false;
    wisp_trace_begin(&all, &parent, &child);
    CHECK(!child.is_sampled);
}

TEST(roots_differ_and_are_chosen_by_ratio)
{
    const struct wisp_trace_sampler half = {.threshold = wisp_trace_threshold(0.5)};
    struct wisp_trace_context context, before = {0};
    int n_sampled = 0;
    for (int i = 0; i < 10000; i++) {
        wisp_trace_begin(&half, NULL, &context);
        CHECK(memcmp(context.trace_id, before.trace_id, sizeof context.trace_id) != 0);
        n_sampled += context.is_sampled;
        before = context;
        wisp_trace_begin(&all, NULL, &context);
        CHECK(context.is_sampled);
        wisp_trace_begin(&none, NULL, &context);
        CHECK(!context.is_sampled);
    }
    CHECK(n_sampled > 4500 && n_sampled < 5500); /* ten standard deviations */
    CHECK(wisp_trace_threshold(0) == 0 && wisp_trace_threshold(2) == UINT64_C(1) << 63);
}
