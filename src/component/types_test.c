/* SPDX-License-Identifier: Apache-2.0 */
#include "component/types.h"

#include "test.h"

#define TYPE(kind) wisp_type_primitive(WISP_TYPE_##kind)

static const struct wisp_type *compound(struct wisp_arena *arena, enum wisp_type_kind kind,
                                        const struct wisp_type *const *parts, uint32_t n)
{
    struct wisp_type_field *fields = WISP_NEW_ARRAY(arena, struct wisp_type_field, n);
    const struct wisp_type *type = NULL;
    struct wisp_err err = {0};
    for (uint32_t i = 0; i < n; i++) {
        fields[i].name = wisp_str_from(wisp_arena_printf(arena, "f%u", i));
        fields[i].type = parts ? parts[i] : NULL;
    }
    CHECK_OK(wisp_type_compound(arena, kind, fields, n, &type, &err), &err);
    return type;
}

#define COMPOUND(arena, kind, ...)                                                                                     \
    compound(arena, WISP_TYPE_##kind, (const struct wisp_type *const[]){__VA_ARGS__},                                  \
             WISP_COUNT(((const struct wisp_type *const[]){__VA_ARGS__})))

static void check_layout(const struct wisp_type *type, uint32_t size, uint32_t align, uint32_t native_size,
                         uint32_t native_align)
{
    CHECK_INT(type->size, size);
    CHECK_INT(type->align, align);
    CHECK_INT(type->native_size, native_size);
    CHECK_INT(type->native_align, native_align);
}

static void check_flat(const uint8_t *flat, uint32_t n, const char *expected)
{
    char text[64] = "";
    for (uint32_t i = 0; i < n && i < 32; i++)
        text[i] = flat[i] == WISP_FLAT_I32   ? 'i'
                  : flat[i] == WISP_FLAT_I64 ? 'I'
                  : flat[i] == WISP_FLAT_F32 ? 'f'
                                             : 'F';
    CHECK_TEXT(text, expected);
}

TEST(primitives)
{
    check_layout(TYPE(BOOL), 1, 1, 1, 1);
    check_layout(TYPE(U16), 2, 2, 2, 2);
    check_layout(TYPE(S64), 8, 8, 8, 8);
    check_layout(TYPE(CHAR), 4, 4, 4, 4);
    check_layout(TYPE(STRING), 8, 4, 16, 8);
    check_flat(TYPE(F32)->flat, TYPE(F32)->n_flat, "f");
    check_flat(TYPE(STRING)->flat, TYPE(STRING)->n_flat, "ii");
    CHECK(TYPE(S8)->is_bytes && TYPE(F64)->is_bytes);
    CHECK(!TYPE(BOOL)->is_bytes && !TYPE(CHAR)->is_bytes && !TYPE(STRING)->is_bytes);
    CHECK(TYPE(STRING)->has_pointers && !TYPE(U8)->has_pointers);
}

TEST(record_is_a_c_struct)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct native {
        uint8_t a;
        double b;
        struct wisp_str c;
        uint8_t d;
    };
    const struct wisp_type *type = COMPOUND(&arena, RECORD, TYPE(U8), TYPE(F64), TYPE(STRING), TYPE(U8));
    check_layout(type, 32, 8, sizeof(struct native), _Alignof(struct native));
    CHECK_INT(type->fields[1].offset, 8);
    CHECK_INT(type->fields[3].offset, 24);
    CHECK_INT(type->fields[2].native_offset, offsetof(struct native, c));
    CHECK_INT(type->fields[3].native_offset, offsetof(struct native, d));
    check_flat(type->flat, type->n_flat, "iFiii");
    CHECK(!type->is_bytes && type->has_pointers && !type->has_handles);
}

TEST(bytes_are_those_whose_layouts_agree)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *padded = COMPOUND(&arena, TUPLE, TYPE(U8), TYPE(U32), TYPE(S16));
    CHECK(padded->is_bytes);
    check_layout(padded, 12, 4, 12, 4);
    CHECK(COMPOUND(&arena, RECORD, padded, TYPE(F32))->is_bytes);
    CHECK(!COMPOUND(&arena, RECORD, TYPE(U8), TYPE(BOOL))->is_bytes);
    CHECK(compound(&arena, WISP_TYPE_FLAGS, NULL, 32)->is_bytes);
    CHECK(!compound(&arena, WISP_TYPE_FLAGS, NULL, 31)->is_bytes);
    CHECK(!compound(&arena, WISP_TYPE_FLAGS, NULL, 8)->is_bytes);
    CHECK(!compound(&arena, WISP_TYPE_ENUM, NULL, 256)->is_bytes);
}

TEST(tags_grow_with_the_number_of_cases)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    CHECK_INT(compound(&arena, WISP_TYPE_ENUM, NULL, 256)->tag_size, 1);
    check_layout(compound(&arena, WISP_TYPE_ENUM, NULL, 257), 2, 2, 4, 4);
    check_layout(compound(&arena, WISP_TYPE_ENUM, NULL, 65537), 4, 4, 4, 4);
    check_layout(compound(&arena, WISP_TYPE_FLAGS, NULL, 8), 1, 1, 4, 4);
    check_layout(compound(&arena, WISP_TYPE_FLAGS, NULL, 9), 2, 2, 4, 4);
    check_layout(compound(&arena, WISP_TYPE_FLAGS, NULL, 17), 4, 4, 4, 4);
}

TEST(variant_payloads_share_their_place)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_err err = {0};
    const struct wisp_type *variant = COMPOUND(&arena, VARIANT, NULL, TYPE(U8), TYPE(STRING), TYPE(F64));
    check_layout(variant, 16, 8, 24, 8);
    CHECK_INT(variant->fields[1].offset, 8);
    CHECK_INT(variant->fields[1].native_offset, 8);
    check_flat(variant->flat, variant->n_flat, "iIi");

    const struct wisp_type *option, *result;
    CHECK_OK(wisp_type_option(&arena, TYPE(U8), &option, &err), &err);
    check_layout(option, 2, 1, 8, 4);
    CHECK_INT(option->fields[1].offset, 1);
    CHECK_INT(option->fields[1].native_offset, 4);
    CHECK_OK(wisp_type_result(&arena, NULL, NULL, &result, &err), &err);
    check_layout(result, 1, 1, 4, 4);
    CHECK_OK(wisp_type_result(&arena, TYPE(F32), TYPE(U32), &result, &err), &err);
    check_flat(result->flat, result->n_flat, "ii");
    CHECK_OK(wisp_type_result(&arena, TYPE(F32), TYPE(F32), &result, &err), &err);
    check_flat(result->flat, result->n_flat, "if");
    CHECK_OK(wisp_type_result(&arena, TYPE(F32), TYPE(U64), &result, &err), &err);
    check_flat(result->flat, result->n_flat, "iI");
}

static const struct wisp_func_type *func(struct wisp_arena *arena, uint32_t n_params, const struct wisp_type *param,
                                         const struct wisp_type *result)
{
    struct wisp_type_field *params = WISP_NEW_ARRAY(arena, struct wisp_type_field, n_params);
    const struct wisp_func_type *type = NULL;
    struct wisp_err err = {0};
    for (uint32_t i = 0; i < n_params; i++) params[i] = (struct wisp_type_field){.name = WISP_STR("p"), .type = param};
    CHECK_OK(wisp_type_func(arena, params, n_params, result, &type, &err), &err);
    return type;
}

TEST(functions_flatten_until_too_long)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_func_type *type = func(&arena, 8, TYPE(STRING), NULL);
    CHECK(!type->params_in_memory && !type->result_in_memory);
    check_flat(type->lower.params, type->lower.n_params, "iiiiiiiiiiiiiiii");
    CHECK_INT(type->lower.n_results, 0);
    CHECK_INT(type->params_size, 64);
    CHECK_INT(type->native_params_size, 128);

    type = func(&arena, 17, TYPE(F64), TYPE(STRING));
    CHECK(type->params_in_memory && type->result_in_memory);
    check_flat(type->lower.params, type->lower.n_params, "ii");
    check_flat(type->lift.params, type->lift.n_params, "i");
    CHECK_INT(type->lower.n_results, 0);
    check_flat(type->lift.results, type->lift.n_results, "i");

    type = func(&arena, 0, NULL, TYPE(F32));
    check_flat(type->lower.results, type->lower.n_results, "f");
    CHECK_INT(type->native_params_size, 0);
    CHECK_INT(type->native_params_align, 1);
}

TEST(more_flat_values_than_fit_stay_more)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *nine = COMPOUND(&arena, TUPLE, TYPE(U8), TYPE(U8), TYPE(U8), TYPE(U8), TYPE(U8), TYPE(U8),
                                            TYPE(U8), TYPE(U8), TYPE(U8));
    CHECK_INT(nine->n_flat, 9);
    const struct wisp_type *many = COMPOUND(&arena, TUPLE, nine, nine);
    CHECK_INT(many->n_flat, WISP_FLAT_PARAMS_MAX + 1);
    CHECK_INT(COMPOUND(&arena, TUPLE, TYPE(U8), many)->n_flat, WISP_FLAT_PARAMS_MAX + 1);
    CHECK_INT(COMPOUND(&arena, VARIANT, TYPE(U8), many, TYPE(U8))->n_flat, WISP_FLAT_PARAMS_MAX + 1);
}

TEST(streams_are_pointers_to_something_else)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *stream, *future, *other;
    struct wisp_err err;
    CHECK_OK(wisp_type_stream(&arena, WISP_TYPE_STREAM, TYPE(STRING), &stream, &err), &err);
    CHECK_OK(wisp_type_stream(&arena, WISP_TYPE_FUTURE, stream, &future, &err), &err);
    CHECK_OK(wisp_type_stream(&arena, WISP_TYPE_STREAM, TYPE(U8), &other, &err), &err);
    check_layout(stream, 4, 4, 8, 8);
    CHECK(stream->has_streams && !stream->has_pointers && !stream->is_bytes);
    CHECK_TEXT(wisp_type_text(&arena, future), "future<stream<string>>");
    CHECK(!wisp_type_equal(stream, other) && !wisp_type_equal(stream, future));
    const struct wisp_type *record = COMPOUND(&arena, RECORD, TYPE(U8), stream);
    CHECK(record->has_streams && record->native_size == 16);
    struct {
        uint8_t number;
        void *stream;
    } value = {1, &value}, copy;
    wisp_value_copy(&arena, record, &value, &copy);
    CHECK(copy.stream == &value);
}

TEST(equality_is_by_structure_and_resource)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_resource fields = {.name = WISP_STR("fields")}, other = {.name = WISP_STR("fields")};
    const struct wisp_type *own = wisp_type_handle(&arena, WISP_TYPE_OWN, &fields);
    CHECK(wisp_type_equal(own, wisp_type_handle(&arena, WISP_TYPE_OWN, &fields)));
    CHECK(!wisp_type_equal(own, wisp_type_handle(&arena, WISP_TYPE_OWN, &other)));
    CHECK(!wisp_type_equal(own, wisp_type_handle(&arena, WISP_TYPE_BORROW, &fields)));
    CHECK(wisp_type_equal(COMPOUND(&arena, RECORD, TYPE(U8), own), COMPOUND(&arena, RECORD, TYPE(U8), own)));
    CHECK(!wisp_type_equal(COMPOUND(&arena, RECORD, TYPE(U8)), COMPOUND(&arena, RECORD, TYPE(S8))));
    CHECK(!wisp_type_equal(COMPOUND(&arena, RECORD, TYPE(U8)), COMPOUND(&arena, TUPLE, TYPE(U8))));
    CHECK(!wisp_type_equal(COMPOUND(&arena, VARIANT, TYPE(U8)), COMPOUND(&arena, VARIANT, NULL)));
}

TEST(text_is_wit)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_err err = {0};
    struct wisp_resource fields = {.name = WISP_STR("fields")};
    const struct wisp_type *own = wisp_type_handle(&arena, WISP_TYPE_OWN, &fields);
    const struct wisp_type *pair = COMPOUND(&arena, TUPLE, TYPE(STRING), own), *list, *result;
    CHECK_OK(wisp_type_list(&arena, pair, &list, &err), &err);
    CHECK_TEXT(wisp_type_text(&arena, list), "list<tuple<string, own<fields>>>");
    CHECK_OK(wisp_type_result(&arena, NULL, TYPE(U8), &result, &err), &err);
    CHECK_TEXT(wisp_type_text(&arena, result), "result<_, u8>");
    CHECK_TEXT(wisp_type_text(&arena, COMPOUND(&arena, VARIANT, NULL, TYPE(CHAR))), "variant{f0, f1(char)}");
    CHECK_TEXT(wisp_type_text(&arena, COMPOUND(&arena, RECORD, TYPE(U8), TYPE(BOOL))), "record{f0: u8, f1: bool}");
    struct wisp_type named = *list;
    named.name = WISP_STR("headers");
    CHECK_TEXT(wisp_type_text(&arena, COMPOUND(&arena, TUPLE, &named)), "tuple<headers>");
}

TEST(size_and_depth_have_limits)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_err err = {0};
    const struct wisp_type *type = TYPE(U8);
    for (int i = 1; i < WISP_TYPE_DEPTH_MAX; i++) CHECK_OK(wisp_type_list(&arena, type, &type, &err), &err);
    CHECK_FAILS(wisp_type_list(&arena, type, &type, &err), LIMIT);

    int r = 0;
    type = TYPE(U8);
    for (int i = 0; i < 20 && r == 0; i++) {
        struct wisp_type_field *fields = WISP_NEW_ARRAY(&arena, struct wisp_type_field, 2);
        fields[0].type = fields[1].type = type;
        r = wisp_type_compound(&arena, WISP_TYPE_TUPLE, fields, 2, &type, &err);
    }
    CHECK_INT(r, -WISP_ERR_LIMIT);
    CHECK_HAS(err.text, "more than 100000 parts");
    struct wisp_type_field label[33] = {{.name = WISP_STR("a")}};
    CHECK_FAILS(wisp_type_compound(&arena, WISP_TYPE_FLAGS, label, 33, &type, &err), INVALID);
    CHECK_FAILS(wisp_type_compound(&arena, WISP_TYPE_ENUM, label, 0, &type, &err), INVALID);
}

static const struct wisp_func_type *func_of(struct wisp_arena *arena, const char *param, const struct wisp_type *type,
                                            const struct wisp_type *result)
{
    struct wisp_err err = {0};
    const struct wisp_func_type *func;
    struct wisp_type_field *params = WISP_NEW_ARRAY(arena, struct wisp_type_field, 1);
    params[0] = (struct wisp_type_field){.name = wisp_str_from(param), .type = type};
    CHECK_OK(wisp_type_func(arena, params, type != NULL, result, &func, &err), &err);
    return func;
}

TEST(functions_are_equal_by_structure)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const struct wisp_type *record = COMPOUND(&arena, RECORD, TYPE(U8), TYPE(STRING)),
                           *same = COMPOUND(&arena, RECORD, TYPE(U8), TYPE(STRING)),
                           *other = COMPOUND(&arena, RECORD, TYPE(U8), TYPE(U8));
    const struct wisp_func_type *func = func_of(&arena, "a", record, TYPE(U8));
    CHECK(wisp_func_type_equal(func, func_of(&arena, "b", same, TYPE(U8))));
    CHECK(!wisp_func_type_equal(func, func_of(&arena, "a", other, TYPE(U8))));
    CHECK(!wisp_func_type_equal(func, func_of(&arena, "a", same, TYPE(S8))));
    CHECK(!wisp_func_type_equal(func, func_of(&arena, "a", same, NULL)));
    CHECK(!wisp_func_type_equal(func, func_of(&arena, "a", NULL, TYPE(U8))));
}

TEST(shapes_are_without_names)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_err err = {0};
    const struct wisp_type *named = COMPOUND(&arena, RECORD, TYPE(U32), TYPE(STRING)), *other, *list, *other_list;
    struct wisp_type_field *fields = WISP_NEW_ARRAY(&arena, struct wisp_type_field, 2);
    fields[0].type = TYPE(U32);
    fields[1].type = TYPE(STRING);
    CHECK_OK(wisp_type_compound(&arena, WISP_TYPE_RECORD, fields, 2, &other, &err), &err);
    CHECK_OK(wisp_type_list(&arena, named, &list, &err), &err);
    CHECK_OK(wisp_type_list(&arena, other, &other_list, &err), &err);
    const struct wisp_func_type *a = func_of(&arena, "a", list, named);
    CHECK(!wisp_func_type_equal(a, func_of(&arena, "a", other_list, other)));
    CHECK(wisp_func_type_same_shape(a, func_of(&arena, "b", other_list, other)));
    CHECK(!wisp_func_type_same_shape(a, func_of(&arena, "a", other_list, NULL)));
    CHECK(!wisp_func_type_same_shape(a, func_of(&arena, "a", other, other)));
    CHECK(!wisp_func_type_same_shape(a, func_of(&arena, "a", list, COMPOUND(&arena, RECORD, TYPE(U32), TYPE(U32)))));
    CHECK(!wisp_func_type_same_shape(a, func_of(&arena, "a", list, COMPOUND(&arena, TUPLE, TYPE(U32), TYPE(STRING)))));
}

TEST(copies_share_nothing)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_err err = {0};
    const struct wisp_type *names, *numbers, *maybe;
    CHECK_OK(wisp_type_list(&arena, TYPE(STRING), &names, &err), &err);
    CHECK_OK(wisp_type_list(&arena, TYPE(U32), &numbers, &err), &err);
    CHECK_OK(wisp_type_option(&arena, names, &maybe, &err), &err);
    struct value {
        uint8_t small;
        struct {
            uint32_t is_some;
            struct {
                struct wisp_str *ptr;
                size_t len;
            } names;
        } maybe;
        struct {
            uint32_t *ptr;
            size_t len;
        } numbers;
    };
    const struct wisp_type *type = COMPOUND(&arena, TUPLE, TYPE(U8), maybe, numbers);
    CHECK_INT(type->native_size, sizeof(struct value));
    char text[] = "one";
    struct wisp_str strings[] = {{text, 3}, {NULL, 0}};
    uint32_t integers[] = {1, 2, 3};
    struct value value = {7, {1, {strings, 2}}, {integers, 3}}, copy;
    wisp_value_copy(&arena, type, &value, &copy);
    memset(text, 'x', sizeof text);
    memset(strings, 0, sizeof strings);
    memset(integers, 0, sizeof integers);
    CHECK_INT(copy.small, 7);
    CHECK_INT(copy.maybe.names.len, 2);
    CHECK_STR(copy.maybe.names.ptr[0], "one");
    CHECK_STR(copy.maybe.names.ptr[1], "");
    CHECK_INT(copy.numbers.len, 3);
    CHECK_INT(copy.numbers.ptr[2], 3);
    /* What the case leaves out is no pointer. */
    value.maybe.is_some = 0;
    value.maybe.names.ptr = (struct wisp_str *)(uintptr_t)1;
    wisp_value_copy(&arena, type, &value, &copy);
    CHECK_INT(copy.maybe.is_some, 0);
}
