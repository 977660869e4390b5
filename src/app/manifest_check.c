/* SPDX-License-Identifier: Apache-2.0 */
#include "app/manifest_priv.h"

#include "base/map.h"
#include "base/nearest.h"

#include <stdarg.h>
#include <stdio.h>

void wisp_app_problem(struct wisp_app_checker *checker, bool is_error, const struct wisp_yaml_node *node,
                      const char *format, ...)
{
    struct wisp_app_problems *problems = checker->problems;
    problems->n_errors += is_error;
    if (problems->n == WISP_APP_PROBLEMS_MAX) {
        problems->n_untold++;
        return;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problems->list[problems->n++] = (struct wisp_app_problem){
        .is_error = is_error,
        .line = node ? node->line : 0,
        .column = node ? node->column : 0,
        .path = wisp_arena_cstr(checker->arena, (struct wisp_str){checker->path, checker->path_len}),
        .text = wisp_arena_cstr(checker->arena, wisp_str_from(text)),
    };
}

/* --- the path --- */

static size_t entered(struct wisp_app_checker *checker, int n)
{
    size_t before = checker->path_len, room = sizeof checker->path - before;
    checker->path_len += (size_t)n < room ? (size_t)n : room - 1;
    return before;
}

size_t wisp_app_enter(struct wisp_app_checker *checker, const char *key)
{
    size_t at = checker->path_len;
    return entered(checker, snprintf(checker->path + at, sizeof checker->path - at, "%s%.80s", at ? "." : "", key));
}

size_t wisp_app_enter_item(struct wisp_app_checker *checker, uint32_t index)
{
    size_t at = checker->path_len;
    return entered(checker, snprintf(checker->path + at, sizeof checker->path - at, "[%u]", index));
}

void wisp_app_leave(struct wisp_app_checker *checker, size_t length)
{
    checker->path_len = length;
    checker->path[length] = '\0';
}

/* --- maps and fields --- */

static void unknown_key(struct wisp_app_checker *checker, const struct wisp_yaml_node *key, const char *const *keys,
                        bool original_drops)
{
    const char *nearest = wisp_nearest(key->text, keys);
    wisp_app_problem(checker, !(original_drops && checker->is_lenient), key, "unknown key `%.*s`%s%s%s",
                     WISP_STR_ARG(key->text), nearest ? "; did you mean `" : "", nearest ? nearest : "",
                     nearest ? "`?" : "");
}

static bool is_known(struct wisp_str key, const char *const *keys)
{
    for (; *keys; keys++)
        if (wisp_str_is(key, *keys)) return true;
    return false;
}

static void check_doubles(struct wisp_app_checker *checker, const struct wisp_yaml_node *node)
{
    WISP_CLEANUP_MAP struct wisp_map seen = {0};
    for (uint32_t i = 0; i < node->n; i++) {
        struct wisp_yaml_node *key = node->entries[i].key;
        const struct wisp_yaml_node *first = wisp_map_get(&seen, key->text);
        if (first)
            wisp_app_error(checker, key, "`%.*s` is there twice, first in line %u", WISP_STR_ARG(key->text),
                           first->line);
        else
            wisp_map_add(&seen, key->text, key);
    }
}

static bool is_map(struct wisp_app_checker *checker, const struct wisp_yaml_node *node)
{
    if (node->kind == WISP_YAML_MAP) return true;
    wisp_app_error(checker, node, "expected a map, where there is %s", wisp_yaml_kind_name(node->kind));
    return false;
}

bool wisp_app_check_map(struct wisp_app_checker *checker, const struct wisp_yaml_node *node, const char *const *keys,
                        bool original_drops)
{
    if (!is_map(checker, node)) return false;
    check_doubles(checker, node);
    for (uint32_t i = 0; i < node->n; i++)
        if (!is_known(node->entries[i].key->text, keys))
            unknown_key(checker, node->entries[i].key, keys, original_drops);
    return true;
}

static void not_a_text(struct wisp_app_checker *checker, const struct wisp_yaml_node *node)
{
    bool can_be_quoted = node->kind != WISP_YAML_LIST && node->kind != WISP_YAML_MAP && node->text.len;
    wisp_app_error(checker, node, "expected a text, where there is %s%s%.*s%s", wisp_yaml_kind_name(node->kind),
                   can_be_quoted ? "; write it in quotes: \"" : "", can_be_quoted ? (int)node->text.len : 0,
                   can_be_quoted ? node->text.ptr : "", can_be_quoted ? "\"" : "");
}

struct wisp_str wisp_app_text(struct wisp_app_checker *checker, const struct wisp_yaml_node *map, const char *key,
                              bool is_required)
{
    const struct wisp_yaml_node *node = wisp_yaml_get(map, key);
    struct wisp_str none = {0};
    if (!node) {
        if (is_required) wisp_app_error(checker, map, "`%s` is missing", key);
        return none;
    }
    size_t before = wisp_app_enter(checker, key);
    if (node->kind != WISP_YAML_TEXT)
        not_a_text(checker, node);
    else if (is_required && !node->text.len)
        wisp_app_error(checker, node, "it is empty");
    wisp_app_leave(checker, before);
    return node->kind == WISP_YAML_TEXT ? node->text : none;
}

const struct wisp_yaml_node *wisp_app_list(struct wisp_app_checker *checker, const struct wisp_yaml_node *map,
                                           const char *key)
{
    const struct wisp_yaml_node *node = wisp_yaml_get(map, key);
    if (!node || node->kind == WISP_YAML_LIST) return node;
    size_t before = wisp_app_enter(checker, key);
    wisp_app_error(checker, node, "expected a list, where there is %s", wisp_yaml_kind_name(node->kind));
    wisp_app_leave(checker, before);
    return NULL;
}

json_t *wisp_app_keep(struct wisp_app_manifest *manifest, json_t *value_taken)
{
    if (!manifest->kept) manifest->kept = json_array();
    json_array_append_new(manifest->kept, value_taken);
    return value_taken;
}

json_t *wisp_app_texts(struct wisp_app_checker *checker, const struct wisp_yaml_node *map, const char *key,
                       bool is_required)
{
    const struct wisp_yaml_node *node = wisp_yaml_get(map, key);
    json_t *texts = json_object();
    if (!node && is_required) wisp_app_error(checker, map, "`%s` is missing; it may be empty: {}", key);
    size_t before = wisp_app_enter(checker, key);
    if (node && is_map(checker, node)) {
        check_doubles(checker, node);
        for (uint32_t i = 0; i < node->n; i++) {
            const struct wisp_yaml_entry *entry = &node->entries[i];
            if (entry->value->kind == WISP_YAML_TEXT)
                json_object_setn_new_nocheck(texts, entry->key->text.ptr, entry->key->text.len,
                                             json_stringn(entry->value->text.ptr, entry->value->text.len));
            else
                not_a_text(checker, entry->value);
        }
    }
    wisp_app_leave(checker, before);
    return wisp_app_keep(checker->manifest, texts);
}

bool wisp_app_count_fits(struct wisp_app_checker *checker, const struct wisp_yaml_node *node, const char *what,
                         uint32_t max)
{
    if (node->n <= max) return true;
    wisp_app_error(checker, node, "%u %s, at most %u are possible", node->n, what, max);
    return false;
}
