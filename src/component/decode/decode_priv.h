/* SPDX-License-Identifier: Apache-2.0 */
/* Between decode.c (sections and definitions) and decode_type.c (types). */
#pragma once

#include "component/decode/decode.h"

enum {
    WISP_DECODE_ITEMS_MAX = 1000000, /* definitions, fields, arguments of a file, all together */
};

struct wisp_decoder {
    struct wisp_arena *arena;
    struct wisp_ast *ast;
    uint32_t n_items;
    uint32_t depth; /* of nested components and types */
};

/* A count of things that are kept in memory. */
uint32_t wisp_decode_count(struct wisp_decoder *decoder, struct wisp_reader *reader);
/* Appends an empty definition; NULL after a failure. */
struct wisp_ast_def *wisp_decode_add(struct wisp_decoder *decoder, struct wisp_reader *reader,
                                     struct wisp_ast_body *body, uint32_t *capacity, enum wisp_ast_def_kind kind);
/* Counts the item that a definition adds to an index space. */
void wisp_decode_grow_space(struct wisp_reader *reader, struct wisp_ast_body *body, enum wisp_sort sort);

struct wisp_ast_type *wisp_decode_type(struct wisp_decoder *decoder, struct wisp_reader *reader);
struct wisp_ast_core_type *wisp_decode_core_type(struct wisp_decoder *decoder, struct wisp_reader *reader);
struct wisp_ast_canon *wisp_decode_canon(struct wisp_decoder *decoder, struct wisp_reader *reader);
/* An alias, as definition or inside a type. */
void wisp_decode_alias(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_body *body,
                       uint32_t *capacity);
/* An import of a component or component type, or an export of a component or instance type. */
void wisp_decode_external(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_body *body,
                          uint32_t *capacity, enum wisp_ast_def_kind kind);
