/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be planned again (touch.c); a leader's. */
#pragma once

#include "app/app.h"

void wisp_app_touch(struct wisp_app *app, struct wisp_str name);
/* It may be that something has changed for it. */
void wisp_app_touch_later(struct wisp_app *app, struct wisp_str name);
/* Those that mention it. */
void wisp_app_touch_mentions(struct wisp_app *app, enum wisp_app_mentioned what, struct wisp_str text);
void wisp_app_touch_instance(struct wisp_app *app, const struct wisp_app_instance *instance);
/* Those for which something runs, but that are not stored. */
void wisp_app_touch_strays(struct wisp_app *app);
void wisp_app_touch_all(struct wisp_app *app);
/* The name whose turn it is, to be freed; NULL: none. */
char *wisp_app_touched_take(struct wisp_app *app);
void wisp_app_touched_clear(struct wisp_app *app);
