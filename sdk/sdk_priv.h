/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "host_data.h"
#include "provider/provider.h"

/* Prints what a kind offers, as JSON. */
void wisp_sdk_describe(const struct wisp_provider_kind *kind);
/* Is an instance of the kind until it is over; the exit status. `data` is borrowed. */
int wisp_sdk_run(const struct wisp_provider_kind *kind, const struct wisp_host_data *data);
