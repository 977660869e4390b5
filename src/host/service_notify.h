/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a service manager how the host is (sd_notify(3)). */
#pragma once

/* "READY=1", "STOPPING=1". Nothing happens without NOTIFY_SOCKET. */
void wisp_service_notify(const char *state);
