/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that write a provider in C: names, types as structs, types in signatures, functions. */
#pragma once

#include "base/map.h"
#include "wit/provider_c.h"

struct wisp_wit_c_writer {
    const struct wisp_wit_document_world *world;
    struct wisp_arena arena;
    struct wisp_map known; /* types that were defined, by what they are: how a field of them is written */
    struct wisp_map taken; /* names in C */
    /* The interface at hand, the words that its signatures have for types, and what those mean. */
    const char *interface;
    struct wisp_map words;
    struct wisp_buf types;
    struct wisp_buf *header, *source;
    struct wisp_str name;
    int failed;
    struct wisp_err *err;
};

/* --- names (provider_c_names.c); texts are the arena's --- */

/* It can't be written; the first cause counts. */
void wisp_wit_c_fail(struct wisp_wit_c_writer *w, const char *what, struct wisp_str which);
/* "get-many" as "get_many"; in capitals for constants. */
char *wisp_wit_c_name(struct wisp_wit_c_writer *w, struct wisp_str name, bool in_capitals);
/* Of something that has no prefix: no word of C. */
char *wisp_wit_c_field_name(struct wisp_wit_c_writer *w, struct wisp_str name);
/* False: something has the name already. C has several spaces of names: structs and enums are of "type", say. */
bool wisp_wit_c_take(struct wisp_wit_c_writer *w, const char *space, const char *name);
/* Takes the name, with as many of the sign at its end as needed; with underscores. */
const char *wisp_wit_c_unique_with(struct wisp_wit_c_writer *w, const char *space, const char *name, char sign);
const char *wisp_wit_c_unique(struct wisp_wit_c_writer *w, const char *space, const char *name);
/* What the names of an interface begin with. */
char *wisp_wit_c_prefix(struct wisp_wit_c_writer *w, struct wisp_str id);

/* --- types in C (provider_c_types.c) --- */

bool wisp_wit_c_is_enum_or_flags(const struct wisp_type *type);
/* NULL: it is none. */
const char *wisp_wit_c_primitive(enum wisp_type_kind kind);
void wisp_wit_c_put_docs(struct wisp_buf *out, struct wisp_str docs);
void wisp_wit_c_put_field(struct wisp_wit_c_writer *w, const char *indent, const char *type, const char *name);
/* What tells a type from all others: for one with a name that and where it is from. */
void wisp_wit_c_put_identity(const struct wisp_type *type, struct wisp_buf *out);
/* The type as a field has it; defines it where that is needed, or anyway, by this name. */
const char *wisp_wit_c_define(struct wisp_wit_c_writer *w, const char *prefix, const struct wisp_type *type);
const char *wisp_wit_c_define_new(struct wisp_wit_c_writer *w, const char *prefix, const char *name,
                                  const struct wisp_type *type);

/* --- types in signatures (provider_c_signature.c) --- */

void wisp_wit_c_begin_words(struct wisp_wit_c_writer *w, struct wisp_str interface);
void wisp_wit_c_put_signature(struct wisp_wit_c_writer *w, const struct wisp_func_type *type, struct wisp_buf *out);
