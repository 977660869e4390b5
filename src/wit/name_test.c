/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/name.h"
#include "wit/sample.h"
#include "wit/wit.h"

TEST(names)
{
    struct wisp_wit_id id;
    CHECK(wisp_wit_id_parse(WISP_STR("wasi:http/types@0.2.2"), &id));
    CHECK_STR(id.package, "wasi:http");
    CHECK_STR(id.interface, "types");
    CHECK_STR(id.version, "0.2.2");
    CHECK(wisp_wit_id_parse(WISP_STR("a:b/c"), &id));
    CHECK_STR(id.version, "");
    CHECK(!wisp_wit_id_parse(WISP_STR("run"), &id));

    struct wisp_wit_func_name name = wisp_wit_func_name_parse(WISP_STR("[static]fields.from-list"));
    CHECK_INT(name.role, WISP_WIT_STATIC);
    CHECK_STR(name.resource, "fields");
    CHECK_STR(name.label, "from-list");
    CHECK_INT(wisp_wit_func_name_parse(WISP_STR("run")).role, WISP_WIT_FREE);
}

static void check_description(const char *name, const struct wisp_func_type *func, const char *expected)
{
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    wisp_wit_describe(func, wisp_str_from(name), &out);
    CHECK_STR(wisp_buf_str(&out), expected);
}

TEST(descriptions)
{
    struct items scope = {0};
    struct resource fields = add_resource(&scope, "fields");
    struct resource trailers = add_alias(&scope, "trailers", fields);
    const struct wisp_type *view = add_type(&scope, "view", borrow(fields));
    const struct wisp_type *key = add_type(&scope, "key", STRING);
    const struct wisp_func_type *func = make_func(
        make_result(NULL, make_list(key)), FIELDS({"self", borrow(fields)}, {"list", own(trailers)}, {"v", view}));
    check_description("[method]fields.set", func, "fields.set: func(%list: trailers, v: view) -> result<_, list<key>>");
    check_description(
        "[static]fields.set", func,
        "fields.set: static func(self: borrow<fields>, %list: trailers, v: view) -> result<_, list<key>>");
    check_description("run", make_func(NULL, NULL, 0), "run: func()");
    check_description("[constructor]fields", make_func(own(fields), FIELDS({"a", key})), "fields.constructor(a: key)");

    /* Without names: as much as there is. */
    struct wisp_resource unnamed = {0};
    const struct wisp_type *handle_type = wisp_type_handle(&arena, WISP_TYPE_BORROW, &unnamed);
    check_description("f", make_func(NULL, FIELDS({"a", handle_type}, {"b", COMPOUND(RECORD, {"x", U8})})),
                      "f: func(a: borrow<unnamed>, b: record)");
}
