/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the machine is ours. */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* Processors that this process may use at the same time: those of its affinity mask, at most what the quota of its
 * control group comes to (rounded up). At least 1. */
uint32_t wisp_machine_cores(void);

/* The quota that the files of a control group state, in whole processors; UINT32_MAX: none. Version 2: cpu.max,
 * "QUOTA PERIOD" or "max PERIOD". Version 1: quota and period have a file each, and -1 is none. */
uint32_t wisp_machine_quota(struct wisp_str quota, struct wisp_str period);
