/* SPDX-License-Identifier: Apache-2.0 */
/* Plans, and what follows from them (observe.c, run.c). */
#pragma once

#include "app/app.h"

/* What is known of the lattice is enough to remove something. */
bool wisp_app_is_complete(const struct wisp_app *app);
/* A plan of these, with `changed` in the place of its application (NULL: as it is stored). To be deinited. */
void wisp_app_make_plan(struct wisp_app *app, const struct wisp_str *names, size_t n_names,
                        const struct wisp_app_desired *changed, struct wisp_app_plan *ret_plan);

/* This manager leads from now on; it does not any more. */
void wisp_app_run_begin(struct wisp_app *app);
void wisp_app_run_end(struct wisp_app *app);
/* When there is something to do next. */
uint64_t wisp_app_run_tick(struct wisp_app *app);
void wisp_app_run_deinit(struct wisp_app *app);
