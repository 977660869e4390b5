/* SPDX-License-Identifier: Apache-2.0 */
/* Who subscribed to what: a tree of tokens, and a cache of which subscriptions subjects lead to.
 *
 *     root ─"orders"─▶ node ─"eu"─▶ node: subscriptions of "orders.eu"
 *                        ├─star──▶ node: those of "orders.*"
 *                        └─tail──▶ node: those of "orders.>"
 *
 * A node keeps its plain subscriptions in one ring and each queue group in a ring of its own. Children are not in the
 * nodes: one table finds (parent, token), (node, queue) and queue names. Matching goes level by level, so that its work
 * is bounded by the tree's size and nothing recurses. Any change makes all of the cache stale at once. */
#pragma once

#include "bus/table.h"

struct wisp_bus_node;
struct wisp_bus_group;

/* A subscription as far as the sublist is concerned; its user embeds it. */
struct wisp_bus_sub_link {
    struct wisp_link link; /* of the node or the group */
    struct wisp_bus_node *node;
    struct wisp_bus_group *group; /* NULL: no queue */
};

/* subs[0, n_plain) each get the message; of each group one of subs[start, start + count) does. */
struct wisp_bus_match_group {
    uint32_t start, count;
};
struct wisp_bus_match {
    struct wisp_bus_sub_link **subs;
    struct wisp_bus_match_group *groups;
    uint32_t n_plain, n_groups, n_subs; /* n_subs: plain ones and those of all groups */
    uint32_t subs_capacity, groups_capacity;
};

struct wisp_bus_match_slot {
    uint64_t generation, hash; /* generation 0: empty */
    struct wisp_buf subject;
    struct wisp_bus_match match;
};

struct wisp_bus_nodes {
    struct wisp_bus_node **at;
    size_t count, capacity;
};

struct wisp_bus_sublist {
    uint64_t secret, generation, next_id;
    struct wisp_bus_table table;
    struct wisp_bus_node *root;
    size_t count;
    struct wisp_bus_match_slot *cache;
    size_t cached; /* subscriptions there is room for in the cache */
    unsigned next_victim;
    struct wisp_bus_match_slot uncached;                    /* result for a subject that isn't worth a place there */
    struct wisp_bus_nodes frontier, next_frontier, matched; /* scratch of a match */
    uint64_t matches;                                       /* counts them: marks queues seen in this one */
};

/* `secret`: random. */
void wisp_bus_sublist_init(struct wisp_bus_sublist *list, uint64_t secret);
/* Nothing is subscribed any more. */
void wisp_bus_sublist_deinit(struct wisp_bus_sublist *list);
/* `pattern` is a valid one; `queue` may be empty. Both are copied as needed. */
void wisp_bus_sublist_add(struct wisp_bus_sublist *list, struct wisp_bus_sub_link *sub, struct wisp_str pattern,
                          struct wisp_str queue);
void wisp_bus_sublist_remove(struct wisp_bus_sublist *list, struct wisp_bus_sub_link *sub);
/* Nothing for a subject with an empty token; '*' and '>' in it are ordinary tokens. The result's arrays stay until the
 * next match, whatever is added or removed meanwhile (but what was removed is still in them). */
const struct wisp_bus_match *wisp_bus_sublist_match(struct wisp_bus_sublist *list, struct wisp_str subject);
