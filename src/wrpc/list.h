/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive list in a ring: an element knows its neighbours, so it leaves whatever list it is in without knowing it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Of a list, and of an element; zeroed: an element in no list. */
struct wisp_wrpc_link {
    struct wisp_wrpc_link *next, *previous;
};

#define WISP_WRPC_OWNER(type, member, link) ((type *)(void *)((char *)(link) - offsetof(type, member)))

static inline void wisp_wrpc_list_init(struct wisp_wrpc_link *list) { list->next = list->previous = list; }
static inline bool wisp_wrpc_list_is_empty(const struct wisp_wrpc_link *list) { return list->next == list; }
static inline bool wisp_wrpc_link_is_in(const struct wisp_wrpc_link *link) { return link->next != NULL; }

static inline void wisp_wrpc_list_remove(struct wisp_wrpc_link *link)
{
    if (!link->next) return;
    link->next->previous = link->previous;
    link->previous->next = link->next;
    *link = (struct wisp_wrpc_link){NULL, NULL};
}

/* As the last one. */
static inline void wisp_wrpc_list_add(struct wisp_wrpc_link *list, struct wisp_wrpc_link *link)
{
    *link = (struct wisp_wrpc_link){list, list->previous};
    list->previous->next = link;
    list->previous = link;
}

/* All elements of `from` to the initialised, empty `to`. */
static inline void wisp_wrpc_list_move(struct wisp_wrpc_link *from, struct wisp_wrpc_link *to)
{
    if (wisp_wrpc_list_is_empty(from)) return;
    *to = *from;
    to->next->previous = to->previous->next = to;
    wisp_wrpc_list_init(from);
}
