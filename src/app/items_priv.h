/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and what becomes of them (items.c). */
#pragma once

#include "app/app.h"
#include "base/json.h"

enum wisp_app_item_state { WISP_APP_ITEM_SENT, WISP_APP_ITEM_ACCEPTED, WISP_APP_ITEM_HELD, WISP_APP_ITEM_DONE };

/* A command that is under way, failed, or was done a while ago. */
struct wisp_app_item {
    char *key;
    enum wisp_app_item_state state;
    enum wisp_app_command_kind kind;
    char *host;       /* NULL: none in particular */
    char *app;        /* for which it was sent last */
    uint64_t sure_ms; /* from then on it has no effect any more that can't be seen */
    json_t *payload;  /* of the command */
    uint64_t serial;  /* a new one each time that it is sent */
    uint32_t plan;    /* number of the last plan that wanted it */
    struct wisp_link of_app;
    struct wisp_app_instance coming; /* what it brings to its host, while it is under way */
    uint32_t tries;
    uint64_t due_ms; /* SENT, ACCEPTED: an outcome must be there by then; HELD, DONE: may be sent again */
    bool was_due;    /* HELD, DONE: and that was looked at */
    char *cause;
    struct wisp_app_item *next;
};

/* What an event says of a command's outcome. */
struct wisp_app_outcome {
    struct wisp_str host, unit, reference;
    uint64_t count;      /* SCALE */
    struct wisp_str why; /* of a failure */
    bool is_failure;
};

struct wisp_app_item *wisp_app_item_find(const struct wisp_app *app, struct wisp_str key);
bool wisp_app_item_is_under_way(const struct wisp_app_item *item);
/* Sends it, unless it is under way, or was sent a short while ago, or there are too many. */
void wisp_app_item_send(struct wisp_app *app, const struct wisp_app_command *command);
/* True: such a command was under way, and this is what came of it. */
bool wisp_app_item_outcome(struct wisp_app *app, enum wisp_app_command_kind kind,
                           const struct wisp_app_outcome *outcome);
/* When nothing that was sent to the state for this application can come into effect unseen any more; 0: now. */
uint64_t wisp_app_items_sure_ms(const struct wisp_app *app, const char *name);
/* Those of an application: `of_app` of struct wisp_app_item. To be read only. */
struct wisp_link *wisp_app_items_of(const struct wisp_app *app, struct wisp_str name);
/* Accepted ones that the last plan of their application does not want any more have had their effect. */
void wisp_app_items_settle(struct wisp_app *app, struct wisp_str name);
/* Of this host, which has begun anew or is gone; NULL: all. */
void wisp_app_items_forget(struct wisp_app *app, const char *host);
/* When the next one is due. */
uint64_t wisp_app_items_next_ms(const struct wisp_app *app);
uint64_t wisp_app_items_tick(struct wisp_app *app);
void wisp_app_items_deinit(struct wisp_app *app);
