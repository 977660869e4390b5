/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive rings: lists whose members hold the pointers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Member of a ring, or its head. Out of any ring: next is NULL. */
struct wisp_link {
    struct wisp_link *next, *previous;
};

static inline void wisp_ring_init(struct wisp_link *head) { head->next = head->previous = head; }
static inline bool wisp_ring_is_empty(const struct wisp_link *head) { return head->next == head; }
static inline void wisp_ring_append(struct wisp_link *head, struct wisp_link *link)
{
    *link = (struct wisp_link){head, head->previous};
    head->previous = head->previous->next = link;
}
static inline void wisp_ring_prepend(struct wisp_link *head, struct wisp_link *link)
{
    wisp_ring_append(head->next, link);
}
static inline void wisp_ring_remove(struct wisp_link *link)
{
    if (!link->next) return;
    link->next->previous = link->previous;
    link->previous->next = link->next;
    *link = (struct wisp_link){0};
}
static inline bool wisp_ring_is_member(const struct wisp_link *link) { return link->next != NULL; }
/* All members of `from` to the empty ring `to`. */
static inline void wisp_ring_move(struct wisp_link *from, struct wisp_link *to)
{
    if (wisp_ring_is_empty(from)) return;
    *to = *from;
    to->next->previous = to->previous->next = to;
    wisp_ring_init(from);
}
/* The body may remove `at`, but no other member. */
#define WISP_RING_EACH(at, head)                                                                                       \
    for (struct wisp_link *at = (head)->next, *after_##at = at->next; at != (head);                                    \
         at = after_##at, after_##at = at->next)
