/* SPDX-License-Identifier: Apache-2.0 */
#include "host/machine.h"

#include "test.h"

#include <sched.h>

TEST(quotas_round_up)
{
    CHECK_INT(wisp_machine_quota(WISP_STR("100000"), WISP_STR("100000")), 1);
    CHECK_INT(wisp_machine_quota(WISP_STR("150000"), WISP_STR("100000")), 2);
    CHECK_INT(wisp_machine_quota(WISP_STR("1000"), WISP_STR("100000")), 1);
    CHECK_INT(wisp_machine_quota(WISP_STR("800000"), WISP_STR("100000")), 8);
}

TEST(no_quota_is_none)
{
    CHECK_INT(wisp_machine_quota(WISP_STR("max"), WISP_STR("100000")), UINT32_MAX);
    CHECK_INT(wisp_machine_quota(WISP_STR("-1"), WISP_STR("100000")), UINT32_MAX);
    CHECK_INT(wisp_machine_quota(WISP_STR(""), WISP_STR("")), UINT32_MAX);
    CHECK_INT(wisp_machine_quota(WISP_STR("100000"), WISP_STR("0")), UINT32_MAX);
    CHECK_INT(wisp_machine_quota(WISP_STR("99999999999999999999999"), WISP_STR("1")), UINT32_MAX);
}

TEST(affinity_counts)
{
    cpu_set_t one;
    CHECK(sched_getaffinity(0, sizeof one, &one) == 0);
    int first = 0;
    while (!CPU_ISSET(first, &one)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    CHECK_INT(wisp_machine_cores(), 1);
}
