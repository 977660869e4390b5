/* SPDX-License-Identifier: Apache-2.0 */
#include "app/yaml.h"

#include "base/map.h"
#include "base/parse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    struct wisp_arena *arena;
    struct wisp_map anchors; /* to struct anchor */
    uint32_t n_nodes, depth;
    size_t n_bytes; /* of all texts, aliases expanded */
    struct wisp_err *err;
};

/* What an alias stands for. */
struct anchor {
    struct wisp_yaml_node *node; /* NULL: it is still open, so an alias would contain itself */
    uint32_t size, depth;        /* nodes that it is made of; how deep they are nested */
    size_t n_bytes;
};

/* --- events --- */

static void drop_event(struct reader *reader)
{
    if (reader->has_event) yaml_event_delete(&reader->event);
    reader->has_event = false;
}

static int next_event(struct reader *reader)
{
    drop_event(reader);
    const yaml_parser_t *parser = &reader->parser;
    if (!yaml_parser_parse(&reader->parser, &reader->event))
        return wisp_err_set(reader->err, WISP_ERR_INVALID, "line %zu, column %zu: %s%s%s",
                            parser->problem_mark.line + 1, parser->problem_mark.column + 1,
                            parser->problem ? parser->problem : "not YAML", parser->context ? " " : "",
                            parser->context ? parser->context : "");
    reader->has_event = true;
    return 0;
}

static int fail_here(struct reader *reader, enum wisp_err_kind kind, const char *what)
{
    const yaml_mark_t *mark = &reader->event.start_mark;
    return wisp_err_set(reader->err, kind, "line %zu, column %zu: %s", mark->line + 1, mark->column + 1, what);
}

/* --- scalars --- */

static bool is_one_of(struct wisp_str text, const char *const *words)
{
    for (; *words; words++)
        if (wisp_str_is(text, *words)) return true;
    return false;
}

static bool is_all_digits(struct wisp_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
    return text.len > 0;
}

static bool looks_like_number(struct wisp_str text)
{
    struct wisp_str rest = text;
    if (rest.len && (rest.ptr[0] == '-' || rest.ptr[0] == '+')) rest.ptr++, rest.len--;
    if (!rest.len || !((rest.ptr[0] >= '0' && rest.ptr[0] <= '9') || (rest.ptr[0] == '.' && rest.len > 1)))
        return false;
    char *end;
    if (memchr(rest.ptr, 'x', rest.len) || memchr(rest.ptr, 'p', rest.len)) return false;
    strtod(text.ptr, &end); /* ends with NUL */
    return end == text.ptr + text.len;
}

static enum wisp_yaml_kind kind_of(struct wisp_yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    struct wisp_str digits = node->text;
    if (is_one_of(node->text, nulls)) return WISP_YAML_NULL;
    if (is_one_of(node->text, bools)) return WISP_YAML_BOOL;
    if (digits.len && (digits.ptr[0] == '-' || digits.ptr[0] == '+')) digits.ptr++, digits.len--;
    if (is_all_digits(digits)) {
        errno = 0;
        node->integer = strtoll(node->text.ptr, NULL, 10);
        return errno ? WISP_YAML_REAL : WISP_YAML_INTEGER;
    }
    return looks_like_number(node->text) ? WISP_YAML_REAL : WISP_YAML_TEXT;
}

static int read_scalar(struct reader *reader, struct wisp_yaml_node *node)
{
    struct wisp_str text = {(const char *)reader->event.data.scalar.value, reader->event.data.scalar.length};
    const char *tag = (const char *)reader->event.data.scalar.tag;
    bool is_plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if ((text.len && memchr(text.ptr, 0, text.len)) || !wisp_str_is_utf8(text))
        return fail_here(reader, WISP_ERR_INVALID, "a text with a NUL in it, or not UTF-8");
    if (tag && *tag && strcmp(tag, "!") != 0 && strcmp(tag, YAML_STR_TAG) != 0)
        return fail_here(reader, WISP_ERR_UNSUPPORTED, "tags like `!thing` mean nothing here");
    node->text = wisp_arena_str(reader->arena, text);
    node->kind = is_plain && !(tag && *tag) ? kind_of(node) : WISP_YAML_TEXT;
    return 0;
}

/* --- the tree --- */

static int read_node(struct reader *reader, struct wisp_yaml_node **ret_node, uint32_t *ret_depth);

static int count(struct reader *reader, uint32_t n, size_t n_bytes)
{
    reader->n_nodes += n; /* neither overflows: both were within the limits before */
    reader->n_bytes += n_bytes;
    if (reader->n_nodes > WISP_APP_NODES_MAX || reader->n_bytes > 4 * WISP_APP_TEXT_MAX)
        return fail_here(reader, WISP_ERR_LIMIT, "there is too much in this document");
    return 0;
}

static int read_alias(struct reader *reader, struct wisp_yaml_node **ret_node, uint32_t *ret_depth)
{
    const char *name = (const char *)reader->event.data.alias.anchor;
    const struct anchor *anchor = wisp_map_get(&reader->anchors, wisp_str_from(name));
    if (!anchor) return fail_here(reader, WISP_ERR_INVALID, "an alias of an anchor that is not there");
    if (!anchor->node) return fail_here(reader, WISP_ERR_INVALID, "an alias inside of what it stands for");
    if (reader->depth + anchor->depth > WISP_APP_DEPTH_MAX)
        return fail_here(reader, WISP_ERR_LIMIT, "it is nested too deep");
    *ret_node = anchor->node;
    *ret_depth = anchor->depth;
    return count(reader, anchor->size, anchor->n_bytes);
}

static int read_list(struct reader *reader, struct wisp_yaml_node *node, uint32_t *ret_depth)
{
    uint32_t capacity = 0;
    for (;;) {
        int r = next_event(reader);
        if (r < 0) return r;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) return 0;
        if (node->n == capacity) {
            capacity = capacity ? capacity * 2 : 8;
            struct wisp_yaml_node **items = WISP_NEW_ARRAY(reader->arena, struct wisp_yaml_node *, capacity);
            if (node->n) memcpy(items, node->items, node->n * sizeof *items);
            node->items = items;
        }
        uint32_t depth = 0;
        if ((r = read_node(reader, &node->items[node->n], &depth)) < 0) return r;
        node->n++;
        if (depth > *ret_depth) *ret_depth = depth;
    }
}

static int read_entry(struct reader *reader, struct wisp_yaml_entry *entry, uint32_t *ret_depth)
{
    uint32_t ignored = 0;
    int r = read_node(reader, &entry->key, &ignored);
    if (r < 0) return r;
    if (entry->key->kind >= WISP_YAML_LIST) return fail_here(reader, WISP_ERR_INVALID, "a key that is no text");
    if ((r = next_event(reader)) < 0) return r;
    return read_node(reader, &entry->value, ret_depth);
}

static int read_map(struct reader *reader, struct wisp_yaml_node *node, uint32_t *ret_depth)
{
    uint32_t capacity = 0;
    for (;;) {
        int r = next_event(reader);
        if (r < 0) return r;
        if (reader->event.type == YAML_MAPPING_END_EVENT) return 0;
        if (node->n == capacity) {
            capacity = capacity ? capacity * 2 : 8;
            struct wisp_yaml_entry *entries = WISP_NEW_ARRAY(reader->arena, struct wisp_yaml_entry, capacity);
            if (node->n) memcpy(entries, node->entries, node->n * sizeof *entries);
            node->entries = entries;
        }
        uint32_t depth = 0;
        if ((r = read_entry(reader, &node->entries[node->n], &depth)) < 0) return r;
        node->n++;
        if (depth > *ret_depth) *ret_depth = depth;
    }
}

static const yaml_char_t *anchor_name(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static struct anchor *open_anchor(struct reader *reader)
{
    const yaml_char_t *name = anchor_name(&reader->event);
    if (!name) return NULL;
    struct wisp_str key = wisp_arena_str(reader->arena, wisp_str_from((const char *)name));
    struct anchor *anchor = WISP_NEW(reader->arena, struct anchor);
    wisp_map_remove(&reader->anchors, key);
    wisp_map_add(&reader->anchors, key, anchor);
    return anchor;
}

static int read_content(struct reader *reader, struct wisp_yaml_node *node, uint32_t *ret_depth)
{
    switch (reader->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, node);
    case YAML_SEQUENCE_START_EVENT:
        node->kind = WISP_YAML_LIST;
        return read_list(reader, node, ret_depth);
    case YAML_MAPPING_START_EVENT:
        node->kind = WISP_YAML_MAP;
        return read_map(reader, node, ret_depth);
    default:
        return fail_here(reader, WISP_ERR_INVALID, "expected a value");
    }
}

/* Of the event at hand. *ret_depth: how deep it is nested in itself, 1 for a scalar. */
static int read_node(struct reader *reader, struct wisp_yaml_node **ret_node, uint32_t *ret_depth)
{
    if (reader->event.type == YAML_ALIAS_EVENT) return read_alias(reader, ret_node, ret_depth);
    uint32_t before = reader->n_nodes, depth = 0;
    size_t bytes_before = reader->n_bytes;
    bool is_scalar = reader->event.type == YAML_SCALAR_EVENT;
    int r = count(reader, 1, is_scalar ? reader->event.data.scalar.length : 0);
    if (r < 0) return r;
    if (++reader->depth > WISP_APP_DEPTH_MAX) return fail_here(reader, WISP_ERR_LIMIT, "it is nested too deep");
    struct wisp_yaml_node *node = WISP_NEW(reader->arena, struct wisp_yaml_node);
    node->line = (uint32_t)reader->event.start_mark.line + 1;
    node->column = (uint32_t)reader->event.start_mark.column + 1;
    struct anchor *anchor = open_anchor(reader);
    if ((r = read_content(reader, node, &depth)) < 0) return r;
    reader->depth--;
    *ret_node = node;
    *ret_depth = depth + 1;
    if (anchor) *anchor = (struct anchor){node, reader->n_nodes - before, depth + 1, reader->n_bytes - bytes_before};
    return 0;
}

static int read_document(struct reader *reader, struct wisp_yaml_node **ret_root)
{
    uint32_t depth = 0;
    int r;
    do {
        if ((r = next_event(reader)) < 0) return r;
    } while (reader->event.type == YAML_STREAM_START_EVENT || reader->event.type == YAML_DOCUMENT_START_EVENT);
    if (reader->event.type == YAML_STREAM_END_EVENT)
        return wisp_err_set(reader->err, WISP_ERR_INVALID, "the document is empty");
    if ((r = read_node(reader, ret_root, &depth)) < 0) return r;
    if ((r = next_event(reader)) < 0 || (r = next_event(reader)) < 0) return r;
    if (reader->event.type != YAML_STREAM_END_EVENT)
        return fail_here(reader, WISP_ERR_INVALID, "there is a second document; one file has one application");
    return 0;
}

int wisp_yaml_parse(struct wisp_str text, struct wisp_arena *arena, struct wisp_yaml_node **ret_root,
                    struct wisp_err *err)
{
    if (text.len > WISP_APP_TEXT_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "larger than %d bytes", WISP_APP_TEXT_MAX);
    struct reader reader = {.arena = arena, .err = err};
    if (!yaml_parser_initialize(&reader.parser)) wisp_mem_out(sizeof reader.parser);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)(text.len ? text.ptr : ""), text.len);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    int r = read_document(&reader, ret_root);
    drop_event(&reader);
    yaml_parser_delete(&reader.parser);
    wisp_map_deinit(&reader.anchors);
    return r;
}

/* --- what is in it --- */

struct wisp_yaml_node *wisp_yaml_get(const struct wisp_yaml_node *map, const char *key)
{
    if (!map || map->kind != WISP_YAML_MAP) return NULL;
    for (uint32_t i = 0; i < map->n; i++)
        if (wisp_str_is(map->entries[i].key->text, key)) return map->entries[i].value;
    return NULL;
}

json_t *wisp_yaml_to_json(const struct wisp_yaml_node *node)
{
    json_t *made;
    switch (node->kind) {
    case WISP_YAML_NULL:
        return json_null();
    case WISP_YAML_BOOL:
        return json_boolean(node->text.ptr[0] == 't' || node->text.ptr[0] == 'T');
    case WISP_YAML_INTEGER:
        return json_integer(node->integer);
    case WISP_YAML_REAL: {
        double value = strtod(node->text.ptr, NULL);
        return isfinite(value) ? json_real(value) : json_stringn(node->text.ptr, node->text.len);
    }
    case WISP_YAML_TEXT:
        return json_stringn(node->text.ptr, node->text.len);
    case WISP_YAML_LIST:
        made = json_array();
        for (uint32_t i = 0; i < node->n; i++) json_array_append_new(made, wisp_yaml_to_json(node->items[i]));
        return made;
    case WISP_YAML_MAP:
        made = json_object();
        for (uint32_t i = 0; i < node->n; i++)
            json_object_setn_new_nocheck(made, node->entries[i].key->text.ptr, node->entries[i].key->text.len,
                                         wisp_yaml_to_json(node->entries[i].value));
        return made;
    }
    return json_null();
}

const char *wisp_yaml_kind_name(enum wisp_yaml_kind kind)
{
    static const char *const names[] = {
        [WISP_YAML_NULL] = "nothing",  [WISP_YAML_BOOL] = "true or false", [WISP_YAML_INTEGER] = "a number",
        [WISP_YAML_REAL] = "a number", [WISP_YAML_TEXT] = "a text",        [WISP_YAML_LIST] = "a list",
        [WISP_YAML_MAP] = "a map"};
    return names[kind];
}

/* --- writing --- */

static int append(void *env, unsigned char *bytes, size_t size)
{
    wisp_buf_append(env, bytes, size);
    return 1;
}

/* Plain text that would be read as something else is quoted. */
static yaml_scalar_style_t style_of(struct wisp_str text)
{
    struct wisp_yaml_node node = {.text = text};
    return kind_of(&node) == WISP_YAML_TEXT ? YAML_ANY_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
}

static void emit_scalar(yaml_emitter_t *emitter, struct wisp_str text, yaml_scalar_style_t style)
{
    yaml_event_t event;
    yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text.ptr, (int)text.len, 1, 1, style);
    yaml_emitter_emit(emitter, &event);
}

static void emit_value(yaml_emitter_t *emitter, json_t *value);

static void emit_map(yaml_emitter_t *emitter, json_t *value)
{
    yaml_event_t event;
    const char *key;
    json_t *member;
    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
                                        json_object_size(value) ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE);
    yaml_emitter_emit(emitter, &event);
    json_object_foreach(value, key, member)
    {
        emit_scalar(emitter, wisp_str_from(key), style_of(wisp_str_from(key)));
        emit_value(emitter, member);
    }
    yaml_mapping_end_event_initialize(&event);
    yaml_emitter_emit(emitter, &event);
}

static void emit_list(yaml_emitter_t *emitter, const json_t *value)
{
    yaml_event_t event;
    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
                                         json_array_size(value) ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE);
    yaml_emitter_emit(emitter, &event);
    for (size_t i = 0; i < json_array_size(value); i++) emit_value(emitter, json_array_get(value, i));
    yaml_sequence_end_event_initialize(&event);
    yaml_emitter_emit(emitter, &event);
}

static void emit_value(yaml_emitter_t *emitter, json_t *value)
{
    if (json_is_object(value)) {
        emit_map(emitter, value);
    } else if (json_is_array(value)) {
        emit_list(emitter, value);
    } else if (json_is_string(value)) {
        struct wisp_str text = {json_string_value(value), json_string_length(value)};
        emit_scalar(emitter, text, style_of(text));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        emit_scalar(emitter, wisp_str_from(text), YAML_PLAIN_SCALAR_STYLE);
        free(text);
    }
}

void wisp_app_yaml_print(json_t *value, struct wisp_buf *out)
{
    yaml_emitter_t emitter;
    yaml_event_t event;
    if (!yaml_emitter_initialize(&emitter)) wisp_mem_out(sizeof emitter);
    yaml_emitter_set_output(&emitter, append, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    yaml_emitter_emit(&emitter, &event);
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    yaml_emitter_emit(&emitter, &event);
    emit_value(&emitter, value);
    yaml_document_end_event_initialize(&event, 1);
    yaml_emitter_emit(&emitter, &event);
    yaml_stream_end_event_initialize(&event);
    yaml_emitter_emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
}
