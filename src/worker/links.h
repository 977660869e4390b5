/* SPDX-License-Identifier: Apache-2.0 */
/* What the components of a host have outside (provider/outside.h): what their links lead to. */
#pragma once

#include "provider/outside.h"

/* For contexts that are the wasi of an invocation. */
extern const struct wisp_outside wisp_links_outside;
