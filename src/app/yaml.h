/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML or JSON document as a tree that knows where everything stands. Over libyaml; plain scalars mean what YAML 1.2
 * says (the core schema): null, true, false, numbers, else text. */
#pragma once

#include "app/manifest.h"
#include "base/mem.h"

enum wisp_yaml_kind {
    WISP_YAML_NULL,
    WISP_YAML_BOOL,
    WISP_YAML_INTEGER,
    WISP_YAML_REAL,
    WISP_YAML_TEXT,
    WISP_YAML_LIST,
    WISP_YAML_MAP
};

struct wisp_yaml_entry {
    struct wisp_yaml_node *key, *value;
};

/* In the arena of the document. */
struct wisp_yaml_node {
    enum wisp_yaml_kind kind;
    uint32_t line, column; /* from 1 */
    struct wisp_str text;  /* of any scalar, as it stands; UTF-8 without NUL */
    int64_t integer;       /* INTEGER that fits; else the kind is REAL */
    uint32_t n;            /* LIST, MAP */
    union {
        struct wisp_yaml_node **items;
        struct wisp_yaml_entry *entries; /* keys are TEXT, in the order of the document; perhaps doubled */
    };
};

/* One document. Aliases are expanded: the same node stands in several places, and the sum of all places is limited by
 * WISP_APP_NODES_MAX. INVALID with line and column, LIMIT. */
int wisp_yaml_parse(struct wisp_str text, struct wisp_arena *arena, struct wisp_yaml_node **ret_root,
                    struct wisp_err *err) __attribute__((warn_unused_result));
/* NULL when it is no map or has no such key. */
struct wisp_yaml_node *wisp_yaml_get(const struct wisp_yaml_node *map, const char *key);
/* A new reference. */
json_t *wisp_yaml_to_json(const struct wisp_yaml_node *node);
const char *wisp_yaml_kind_name(enum wisp_yaml_kind kind); /* "a list" */
