/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests and the fuzzer of values in text: types with names. */
#pragma once

#include "component/types.h"

#include <stdlib.h>

static inline const struct wisp_type *sample_done(int r, const struct wisp_type *const *type)
{
    if (r < 0) abort();
    return *type;
}

static inline const struct wisp_type *sample_compound(struct wisp_arena *arena, enum wisp_type_kind kind,
                                                      const struct wisp_type_field *fields, uint32_t n)
{
    const struct wisp_type *type = NULL;
    struct wisp_type_field *copy = WISP_NEW_ARRAY(arena, struct wisp_type_field, n);
    memcpy(copy, fields, n * sizeof *copy);
    return sample_done(wisp_type_compound(arena, kind, copy, n, &type, NULL), &type);
}
#define COMPOUND(arena, kind, ...)                                                                                     \
    sample_compound((arena), WISP_TYPE_##kind, (const struct wisp_type_field[]){__VA_ARGS__},                          \
                    WISP_COUNT(((const struct wisp_type_field[]){__VA_ARGS__})))
#define FIELD(name_, type_) {.name = WISP_STR_INIT(name_), .type = (type_)}
#define PART(type_) {.type = (type_)}
#define LABEL(name_) {.name = WISP_STR_INIT(name_)}
#define PRIMITIVE(kind) wisp_type_primitive(WISP_TYPE_##kind)

static inline const struct wisp_type *sample_list(struct wisp_arena *arena, const struct wisp_type *element)
{
    const struct wisp_type *type = NULL;
    return sample_done(wisp_type_list(arena, element, &type, NULL), &type);
}

static inline const struct wisp_type *sample_option(struct wisp_arena *arena, const struct wisp_type *some)
{
    const struct wisp_type *type = NULL;
    return sample_done(wisp_type_option(arena, some, &type, NULL), &type);
}

static inline const struct wisp_type *sample_result(struct wisp_arena *arena, const struct wisp_type *ok,
                                                    const struct wisp_type *error)
{
    const struct wisp_type *type = NULL;
    return sample_done(wisp_type_result(arena, ok, error, &type, NULL), &type);
}

enum { SAMPLE_TYPES = 24 };

/* One type of each form, and some within others. */
static inline const struct wisp_type *sample_type(struct wisp_arena *arena, unsigned which)
{
    if (which <= WISP_TYPE_STRING) return wisp_type_primitive((enum wisp_type_kind)which);
    const struct wisp_type *direction = COMPOUND(arena, ENUM, LABEL("south"), LABEL("none"), LABEL("ok"), LABEL("W"));
    const struct wisp_type *all_optional = COMPOUND(arena, RECORD, FIELD("a", sample_option(arena, PRIMITIVE(U8))),
                                                    FIELD("b", sample_option(arena, PRIMITIVE(STRING))));
    switch (which) {
    case 13:
        return direction;
    case 14:
        return COMPOUND(arena, FLAGS, LABEL("read"), LABEL("write"), LABEL("err"));
    case 15:
        return all_optional;
    case 16:
        return COMPOUND(arena, TUPLE, PART(PRIMITIVE(STRING)), PART(PRIMITIVE(S32)), PART(PRIMITIVE(CHAR)));
    case 17:
        return COMPOUND(arena, VARIANT, LABEL("empty"), FIELD("days", PRIMITIVE(U32)), FIELD("some", all_optional));
    case 18:
        return sample_option(arena, direction);
    case 19:
        return sample_option(arena, sample_option(arena, sample_result(arena, PRIMITIVE(F32), NULL)));
    case 20:
        return sample_result(arena, PRIMITIVE(STRING), PRIMITIVE(U64));
    case 21:
        return sample_result(arena, NULL, NULL);
    case 22:
        return sample_list(arena, sample_list(arena, sample_option(arena, PRIMITIVE(STRING))));
    default:
        return sample_list(arena, COMPOUND(arena, RECORD, FIELD("must-have", PRIMITIVE(F64)),
                                           FIELD("maybe", sample_option(arena, direction)),
                                           FIELD("rest", sample_list(arena, all_optional))));
    }
}
