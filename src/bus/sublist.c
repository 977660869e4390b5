/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/sublist.h"

#include <assert.h>
#include <stdlib.h>

enum {
    CACHE_SETS = 1024, /* power of two */
    CACHE_WAYS = 4,
    CACHED_SUBJECT_MAX = 256,
    CACHED_SUBS_MAX = 1 << 20, /* 8 MiB of pointers */
};

enum key_kind { KEY_NODE, KEY_GROUP, KEY_QUEUE };

/* In the table: what (kind, owner, name) leads to. First member of what it is the key of. */
struct key {
    struct wisp_bus_entry entry;
    enum key_kind kind;
    uint64_t owner; /* id of the parent node; 0 for queues */
    struct wisp_str name;
};

struct wisp_bus_node {
    struct key key; /* not in the table for root, stars and tails */
    uint64_t id;
    struct wisp_bus_node *parent, *star, *tail;
    struct wisp_link subs;
    struct wisp_link groups;
    size_t n_children; /* stars and tails too */
    char token[];
};

/* A queue's name, whichever nodes have groups of it: in a match they are one group. */
struct queue {
    struct key key;
    size_t n_groups;
    uint64_t match; /* number of the match that gave it a slot */
    uint32_t slot;
    char name[];
};

struct wisp_bus_group {
    struct key key;
    struct wisp_link link; /* of the node */
    struct wisp_link subs;
    uint32_t n_subs;
    struct queue *queue;
};

/* --- keys --- */

static uint64_t hash_of(const struct wisp_bus_sublist *list, enum key_kind kind, uint64_t owner, struct wisp_str name)
{
    return wisp_bus_hash(list->secret, owner * 4 + kind, name);
}

static void *find(const struct wisp_bus_sublist *list, enum key_kind kind, uint64_t owner, struct wisp_str name)
{
    struct wisp_bus_entry *entry = wisp_bus_table_first(&list->table, hash_of(list, kind, owner, name));
    for (; entry; entry = wisp_bus_entry_next(entry)) {
        struct key *key = WISP_OWNER(entry, struct key, entry);
        if (key->kind == kind && key->owner == owner && wisp_str_equal(key->name, name)) return key;
    }
    return NULL;
}

static void add_key(struct wisp_bus_sublist *list, struct key *key, enum key_kind kind, uint64_t owner,
                    struct wisp_str name)
{
    *key = (struct key){.kind = kind, .owner = owner, .name = name};
    key->entry.hash = hash_of(list, kind, owner, name);
    wisp_bus_table_add(&list->table, &key->entry);
}

/* --- tokens --- */

/* The token at *offset of `subject`; *offset then is behind it and its dot, or past the end after the last one. */
static bool next_token(struct wisp_str subject, size_t *offset, struct wisp_str *ret_token)
{
    if (*offset > subject.len) return false;
    const char *at = subject.ptr + *offset, *dot = memchr(at, '.', subject.len - *offset);
    *ret_token = (struct wisp_str){at, dot ? (size_t)(dot - at) : subject.len - *offset};
    *offset += ret_token->len + 1;
    return true;
}

static bool is_wildcard(struct wisp_str token, char c) { return token.len == 1 && token.ptr[0] == c; }

/* --- the tree --- */

static struct wisp_bus_node *new_node(struct wisp_bus_sublist *list, struct wisp_bus_node *parent,
                                      struct wisp_str token)
{
    struct wisp_bus_node *node = wisp_mem_calloc(1, sizeof *node + token.len);
    node->id = ++list->next_id;
    node->parent = parent;
    wisp_ring_init(&node->subs);
    wisp_ring_init(&node->groups);
    if (parent) parent->n_children++;
    return node;
}

static struct wisp_bus_node *child_of(struct wisp_bus_sublist *list, struct wisp_bus_node *node, struct wisp_str token)
{
    if (is_wildcard(token, '*')) {
        if (!node->star) node->star = new_node(list, node, (struct wisp_str){0});
        return node->star;
    }
    if (is_wildcard(token, '>')) {
        if (!node->tail) node->tail = new_node(list, node, (struct wisp_str){0});
        return node->tail;
    }
    struct wisp_bus_node *child = find(list, KEY_NODE, node->id, token);
    if (child) return child;
    child = new_node(list, node, token);
    memcpy(child->token, token.ptr, token.len);
    add_key(list, &child->key, KEY_NODE, node->id, (struct wisp_str){child->token, token.len});
    return child;
}

static bool is_unused(const struct wisp_bus_node *node)
{
    return node->n_children == 0 && wisp_ring_is_empty(&node->subs) && wisp_ring_is_empty(&node->groups);
}

static void prune(struct wisp_bus_sublist *list, struct wisp_bus_node *node)
{
    while (node->parent && is_unused(node)) {
        struct wisp_bus_node *parent = node->parent;
        if (parent->star == node)
            parent->star = NULL;
        else if (parent->tail == node)
            parent->tail = NULL;
        else
            wisp_bus_table_remove(&list->table, &node->key.entry);
        parent->n_children--;
        free(node);
        node = parent;
    }
}

static struct queue *queue_of(struct wisp_bus_sublist *list, struct wisp_str name)
{
    struct queue *queue = find(list, KEY_QUEUE, 0, name);
    if (queue) return queue;
    queue = wisp_mem_calloc(1, sizeof *queue + name.len);
    memcpy(queue->name, name.ptr, name.len);
    add_key(list, &queue->key, KEY_QUEUE, 0, (struct wisp_str){queue->name, name.len});
    return queue;
}

static struct wisp_bus_group *group_of(struct wisp_bus_sublist *list, struct wisp_bus_node *node, struct wisp_str name)
{
    struct wisp_bus_group *group = find(list, KEY_GROUP, node->id, name);
    if (group) return group;
    group = wisp_mem_calloc(1, sizeof *group);
    group->queue = queue_of(list, name);
    group->queue->n_groups++;
    wisp_ring_init(&group->subs);
    wisp_ring_append(&node->groups, &group->link);
    add_key(list, &group->key, KEY_GROUP, node->id, group->queue->key.name);
    return group;
}

static void free_group(struct wisp_bus_sublist *list, struct wisp_bus_group *group)
{
    struct queue *queue = group->queue;
    wisp_bus_table_remove(&list->table, &group->key.entry);
    wisp_ring_remove(&group->link);
    free(group);
    if (--queue->n_groups > 0) return;
    wisp_bus_table_remove(&list->table, &queue->key.entry);
    free(queue);
}

void wisp_bus_sublist_add(struct wisp_bus_sublist *list, struct wisp_bus_sub_link *sub, struct wisp_str pattern,
                          struct wisp_str queue)
{
    struct wisp_bus_node *node = list->root;
    struct wisp_str token;
    for (size_t offset = 0; next_token(pattern, &offset, &token);) node = child_of(list, node, token);
    sub->node = node;
    sub->group = queue.len ? group_of(list, node, queue) : NULL;
    if (sub->group) sub->group->n_subs++;
    wisp_ring_append(sub->group ? &sub->group->subs : &node->subs, &sub->link);
    list->count++;
    list->generation++;
}

void wisp_bus_sublist_remove(struct wisp_bus_sublist *list, struct wisp_bus_sub_link *sub)
{
    wisp_ring_remove(&sub->link);
    if (sub->group && --sub->group->n_subs == 0) free_group(list, sub->group);
    prune(list, sub->node);
    list->count--;
    list->generation++;
}

void wisp_bus_sublist_init(struct wisp_bus_sublist *list, uint64_t secret)
{
    *list = (struct wisp_bus_sublist){.secret = secret, .generation = 1};
    list->root = new_node(list, NULL, (struct wisp_str){0});
    list->cache = wisp_mem_calloc((size_t)CACHE_SETS * CACHE_WAYS, sizeof *list->cache);
}

static void free_slot(struct wisp_bus_match_slot *slot)
{
    free(slot->match.subs);
    free(slot->match.groups);
    wisp_buf_deinit(&slot->subject);
    *slot = (struct wisp_bus_match_slot){0};
}

static void empty_cache(struct wisp_bus_sublist *list)
{
    for (size_t i = 0; i < (size_t)CACHE_SETS * CACHE_WAYS; i++) free_slot(&list->cache[i]);
    list->cached = 0;
}

void wisp_bus_sublist_deinit(struct wisp_bus_sublist *list)
{
    assert(list->count == 0 && is_unused(list->root));
    empty_cache(list);
    free_slot(&list->uncached);
    free(list->cache);
    free(list->root);
    free(list->frontier.at);
    free(list->next_frontier.at);
    free(list->matched.at);
    wisp_bus_table_deinit(&list->table);
}

/* --- matching --- */

static void push(struct wisp_bus_nodes *nodes, struct wisp_bus_node *node)
{
    if (!node) return;
    if (nodes->count == nodes->capacity) {
        nodes->capacity = nodes->capacity ? nodes->capacity * 2 : 16;
        nodes->at = wisp_mem_realloc(nodes->at, nodes->capacity * sizeof(struct wisp_bus_node *));
    }
    nodes->at[nodes->count++] = node;
}

/* Nodes that the subject leads to go to list->matched. */
static void find_nodes(struct wisp_bus_sublist *list, struct wisp_str subject)
{
    struct wisp_str token;
    list->matched.count = list->frontier.count = 0;
    push(&list->frontier, list->root);
    for (size_t offset = 0; list->frontier.count > 0 && next_token(subject, &offset, &token);) {
        if (token.len == 0) {
            list->matched.count = 0;
            return;
        }
        list->next_frontier.count = 0;
        for (size_t i = 0; i < list->frontier.count; i++) {
            struct wisp_bus_node *node = list->frontier.at[i];
            push(&list->matched, node->tail);
            push(&list->next_frontier, node->star);
            if (node->n_children > (size_t)!!node->star + !!node->tail)
                push(&list->next_frontier, find(list, KEY_NODE, node->id, token));
        }
        struct wisp_bus_nodes done = list->frontier;
        list->frontier = list->next_frontier;
        list->next_frontier = done;
    }
    for (size_t i = 0; i < list->frontier.count; i++) push(&list->matched, list->frontier.at[i]);
}

static bool has_empty_token(struct wisp_str subject)
{
    struct wisp_str token;
    for (size_t offset = 0; next_token(subject, &offset, &token);)
        if (token.len == 0) return true;
    return false;
}

static void add_to_match(struct wisp_bus_match *match, struct wisp_bus_sub_link *sub)
{
    if (match->n_subs == match->subs_capacity) {
        match->subs_capacity = match->subs_capacity ? match->subs_capacity * 2 : 4;
        match->subs = wisp_mem_realloc(match->subs, match->subs_capacity * sizeof(struct wisp_bus_sub_link *));
    }
    match->subs[match->n_subs++] = sub;
}

static void count_group(struct wisp_bus_match *match, const struct wisp_bus_group *group, uint64_t number)
{
    struct queue *queue = group->queue;
    if (queue->match != number) {
        queue->match = number;
        queue->slot = match->n_groups++;
        if (queue->slot == match->groups_capacity) {
            match->groups_capacity = match->groups_capacity ? match->groups_capacity * 2 : 4;
            match->groups =
                wisp_mem_realloc(match->groups, match->groups_capacity * sizeof(struct wisp_bus_match_group));
        }
        match->groups[queue->slot].count = 0;
    }
    match->groups[queue->slot].count += group->n_subs;
}

/* Room for the groups' subscriptions behind the plain ones; `count` then counts those that are there. */
static void place_groups(struct wisp_bus_match *match)
{
    uint32_t n = match->n_subs;
    for (uint32_t i = 0; i < match->n_groups; i++) {
        match->groups[i].start = n;
        n += match->groups[i].count;
        match->groups[i].count = 0;
    }
    while (match->n_subs < n) add_to_match(match, NULL);
}

static void fill_group(struct wisp_bus_match *match, const struct wisp_bus_group *group)
{
    struct wisp_bus_match_group *place = &match->groups[group->queue->slot];
    for (struct wisp_link *at = group->subs.next; at != &group->subs; at = at->next)
        match->subs[place->start + place->count++] = WISP_OWNER(at, struct wisp_bus_sub_link, link);
}

static void collect(struct wisp_bus_sublist *list, struct wisp_bus_match *match)
{
    struct wisp_link *at;
    uint64_t number = ++list->matches;
    match->n_plain = match->n_groups = match->n_subs = 0;
    for (size_t i = 0; i < list->matched.count; i++) {
        struct wisp_bus_node *node = list->matched.at[i];
        for (at = node->subs.next; at != &node->subs; at = at->next)
            add_to_match(match, WISP_OWNER(at, struct wisp_bus_sub_link, link));
        for (at = node->groups.next; at != &node->groups; at = at->next)
            count_group(match, WISP_OWNER(at, struct wisp_bus_group, link), number);
    }
    match->n_plain = match->n_subs;
    place_groups(match);
    for (size_t i = 0; match->n_groups > 0 && i < list->matched.count; i++) {
        struct wisp_bus_node *node = list->matched.at[i];
        for (at = node->groups.next; at != &node->groups; at = at->next)
            fill_group(match, WISP_OWNER(at, struct wisp_bus_group, link));
    }
}

/* --- the cache --- */

static bool holds(const struct wisp_bus_match_slot *slot, uint64_t generation, uint64_t hash, struct wisp_str subject)
{
    return slot->hash == hash && slot->generation == generation &&
           wisp_str_equal(wisp_buf_str(&slot->subject), subject);
}

static struct wisp_bus_match_slot *slot_for(struct wisp_bus_sublist *list, uint64_t hash, struct wisp_str subject)
{
    if (subject.len > CACHED_SUBJECT_MAX) return &list->uncached;
    if (list->cached > CACHED_SUBS_MAX) empty_cache(list);
    struct wisp_bus_match_slot *set = &list->cache[(hash & (CACHE_SETS - 1)) * CACHE_WAYS];
    for (unsigned i = 0; i < CACHE_WAYS; i++)
        if (set[i].generation != list->generation) return &set[i];
    return &set[list->next_victim++ % CACHE_WAYS];
}

static void look_up(struct wisp_bus_sublist *list, struct wisp_bus_match_slot *slot, uint64_t hash,
                    struct wisp_str subject)
{
    uint32_t capacity = slot->match.subs_capacity;
    find_nodes(list, subject);
    /* The walk may have ended before it came to an empty token. */
    if (list->matched.count > 0 && has_empty_token(subject)) list->matched.count = 0;
    collect(list, &slot->match);
    slot->generation = list->generation;
    slot->hash = hash;
    slot->subject.len = 0;
    wisp_buf_append_str(&slot->subject, subject);
    if (slot != &list->uncached) list->cached += slot->match.subs_capacity - capacity;
}

const struct wisp_bus_match *wisp_bus_sublist_match(struct wisp_bus_sublist *list, struct wisp_str subject)
{
    uint64_t hash = wisp_bus_hash(list->secret, 0, subject);
    struct wisp_bus_match_slot *set = &list->cache[(hash & (CACHE_SETS - 1)) * CACHE_WAYS];
    for (unsigned i = 0; i < CACHE_WAYS; i++)
        if (holds(&set[i], list->generation, hash, subject)) return &set[i].match;
    struct wisp_bus_match_slot *slot = slot_for(list, hash, subject);
    look_up(list, slot, hash, subject);
    return &slot->match;
}
