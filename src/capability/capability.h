/* SPDX-License-Identifier: Apache-2.0 */
/* The provider kinds that come with wisp, and the host interfaces through which guests use those that have objects. */
#pragma once

#include "provider/inside.h"

/* NULL when there is none of this name ("keyvalue-redis"). */
const struct wisp_provider_kind *wisp_capability_find(struct wisp_str name);
extern const struct wisp_provider_kind *const wisp_capability_kinds[];
extern const size_t wisp_capability_n_kinds;

/* For wisp_host_new, beside those of wasi/wasi.h. */
extern const struct wisp_host_interface *const wisp_capability_interfaces[];
extern const size_t wisp_capability_n_interfaces;

/* Exports with objects that stand for functions of the wire. */
extern const struct wisp_inside *const wisp_capability_insides[];
extern const size_t wisp_capability_n_insides;
