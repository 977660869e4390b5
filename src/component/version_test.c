/* SPDX-License-Identifier: Apache-2.0 */
#include "component/plan.h"
#include "test.h"

static bool matches(const char *want, const char *name, const char *version)
{
    return wisp_version_matches(wisp_str_from(want), wisp_str_from(name), wisp_str_from(version));
}

TEST(same_name_and_compatible_version)
{
    CHECK(matches("wasi:http/types@0.2.2", "wasi:http/types", "0.2.8"));
    CHECK(matches("wasi:http/types@0.2.12", "wasi:http/types", "0.2.8"));
    CHECK(!matches("wasi:http/types@0.3.0", "wasi:http/types", "0.2.8"));
    CHECK(!matches("wasi:http/types@1.2.0", "wasi:http/types", "0.2.8"));
    CHECK(matches("a:b/c@1.0.0", "a:b/c", "1.9.3"));
    CHECK(!matches("a:b/c@2.0.0", "a:b/c", "1.9.3"));
    CHECK(!matches("wasi:http/handler@0.2.2", "wasi:http/types", "0.2.2"));
}

TEST(patch_counts_below_0_1)
{
    CHECK(matches("a:b/c@0.0.3", "a:b/c", "0.0.3"));
    CHECK(!matches("a:b/c@0.0.3", "a:b/c", "0.0.4"));
}

TEST(prereleases_match_themselves_only)
{
    CHECK(matches("wasi:keyvalue/store@0.2.0-draft", "wasi:keyvalue/store", "0.2.0-draft"));
    CHECK(!matches("wasi:keyvalue/store@0.2.0-draft", "wasi:keyvalue/store", "0.2.0"));
    CHECK(!matches("wasi:keyvalue/store@0.2.1", "wasi:keyvalue/store", "0.2.0-draft2"));
    CHECK(matches("a:b/c@1.2.3+build.5", "a:b/c", "1.2.4"));
}

TEST(without_a_version)
{
    CHECK(matches("wasi:logging/logging", "wasi:logging/logging", "0.1.0-draft"));
    CHECK(matches("wasi:logging/logging", "wasi:logging/logging", ""));
    CHECK(!matches("wasi:logging/logging@0.1.0", "wasi:logging/logging", ""));
    CHECK(matches("run", "run", ""));
}

TEST(canonical_versions_are_prefixes)
{
    CHECK(matches("wasi:http/types@0.2", "wasi:http/types", "0.2.8"));
    CHECK(!matches("wasi:http/types@0.3", "wasi:http/types", "0.2.8"));
    CHECK(matches("a:b/c@1", "a:b/c", "1.4.0"));
}
