/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that read manifests. */
#pragma once

#include "app/yaml.h"

/* Where we are, and what was found wrong so far. */
struct wisp_app_checker {
    struct wisp_arena *arena;
    struct wisp_app_manifest *manifest;
    struct wisp_app_problems *problems;
    bool is_lenient;
    char path[512]; /* cut when longer */
    size_t path_len;
};

/* --- manifest_check.c --- */

void wisp_app_problem(struct wisp_app_checker *checker, bool is_error, const struct wisp_yaml_node *node,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
#define wisp_app_error(checker, node, ...) wisp_app_problem((checker), true, (node), __VA_ARGS__)
#define wisp_app_warning(checker, node, ...) wisp_app_problem((checker), false, (node), __VA_ARGS__)
/* Goes into a key or an item; the length to go back to. */
size_t wisp_app_enter(struct wisp_app_checker *checker, const char *key);
size_t wisp_app_enter_item(struct wisp_app_checker *checker, uint32_t index);
void wisp_app_leave(struct wisp_app_checker *checker, size_t length);

/* False, and told, when it is no map. Keys beside `keys` (ends with NULL) are errors, or warnings when the original
 * drops them and the checker is lenient; doubled ones are errors. */
bool wisp_app_check_map(struct wisp_app_checker *checker, const struct wisp_yaml_node *node, const char *const *keys,
                        bool original_drops);
/* A field's text; empty, and told, when it is missing though it is required, or something else. */
struct wisp_str wisp_app_text(struct wisp_app_checker *checker, const struct wisp_yaml_node *map, const char *key,
                              bool is_required);
/* A field that is a list; NULL when it is not there, told when it is something else. */
const struct wisp_yaml_node *wisp_app_list(struct wisp_app_checker *checker, const struct wisp_yaml_node *map,
                                           const char *key);
/* A field that is an object of texts, as JSON that the manifest owns; an empty one when it is missing. */
json_t *wisp_app_texts(struct wisp_app_checker *checker, const struct wisp_yaml_node *map, const char *key,
                       bool is_required);
/* Keeps a JSON value until the manifest goes. */
json_t *wisp_app_keep(struct wisp_app_manifest *manifest, json_t *value_taken);
bool wisp_app_count_fits(struct wisp_app_checker *checker, const struct wisp_yaml_node *node, const char *what,
                         uint32_t max);

/* --- manifest_link.c, manifest_scale.c --- */

void wisp_app_read_configs(struct wisp_app_checker *checker, const struct wisp_yaml_node *map,
                           const struct wisp_app_config **ret_configs, size_t *ret_n);
void wisp_app_read_secrets(struct wisp_app_checker *checker, const struct wisp_yaml_node *map,
                           const struct wisp_app_secret **ret_secrets, size_t *ret_n);
void wisp_app_read_link(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                        struct wisp_app_link *link);
void wisp_app_read_scaler(struct wisp_app_checker *checker, const struct wisp_yaml_node *properties,
                          struct wisp_app_scaler *scaler);

/* --- manifest_rules.c: what goes beyond single fields --- */

void wisp_app_check_rules(struct wisp_app_checker *checker, const struct wisp_yaml_node *root);

/* --- manifest_json.c --- */

json_t *wisp_app_to_json(const struct wisp_app_manifest *manifest, const struct wisp_yaml_node *root);
