/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus text (exposition format 0.0.4) of a host: its components as the shared memory counts them, and its bus. */
#pragma once

#include "base/mem.h"
#include "host/admin.h"

void wisp_metrics_print(const struct wisp_admin_sources *sources, struct wisp_buf *out);
