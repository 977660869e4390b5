/* SPDX-License-Identifier: Apache-2.0 */
/* Maps from texts to rings of what has that text in common. */
#pragma once

#include "app/plan.h"

struct wisp_app_listed *wisp_app_listed_need(struct wisp_map *map, struct wisp_str text);
/* To be read only; empty when there is none. */
struct wisp_link *wisp_app_listed_in(const struct wisp_map *map, struct wisp_str text);
/* When nothing is left in it. */
void wisp_app_listed_release(struct wisp_map *map, struct wisp_str text);
void wisp_app_listed_deinit(struct wisp_map *map);
