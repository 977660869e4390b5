/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/provider_c.h"

#include "test.h"

static int make(const char *text, struct wisp_buf *header, struct wisp_buf *source, struct wisp_err *err)
{
    WISP_CLEANUP_WIT_DOCUMENT struct wisp_wit_document *document = wisp_wit_document_new();
    const struct wisp_wit_document_world *world;
    CHECK_OK(wisp_wit_document_add(document, 0, "a.wit", wisp_str_from(text), err), err);
    CHECK_OK(wisp_wit_document_world(document, 0, WISP_STR(""), &world, err), err);
    int r = wisp_wit_provider_c(world, WISP_STR("hello"), header, source, err);
    wisp_buf_append_char(header, 0);
    wisp_buf_append_char(source, 0);
    return r;
}

TEST(what_is_exported_is_served_and_what_is_imported_is_called)
{
    WISP_CLEANUP_BUF struct wisp_buf header = {0}, source = {0};
    struct wisp_err err = {0};
    CHECK_OK(make("package acme:hello@0.1.0;\n"
                  "interface greeter {\n"
                  "  record person { name: string, ages: list<u8>, default: option<u32> }\n"
                  "  variant problem { nobody, many(u32) }\n"
                  "  /// Says hello.\n"
                  "  greet: func(who: person, more: list<person>) -> result<string, problem>;\n"
                  "  read: func() -> tuple<stream<u8>, future<result>>;\n"
                  "}\n"
                  "interface handler { on-event: func(name: string); }\n"
                  "world provider { export greeter; import handler; }\n",
                  &header, &source, &err),
             &err);
    CHECK_HAS(header.data, "struct greeter_person {\n    struct wisp_str name;\n    struct wisp_bytes ages;\n"
                           "    struct greeter_option_u32 default_;\n};\n");
    CHECK_HAS(header.data,
              "struct greeter_problem {\n    uint32_t tag;\n    union {\n        uint32_t many;\n    };\n};\n");
    CHECK_HAS(header.data, "/* Says hello. */\nstruct greeter_greet_args {\n    struct greeter_person who;\n"
                           "    struct greeter_list_person more;\n};\n");
    CHECK_HAS(header.data,
              "struct greeter_greet_result {\n    uint32_t is_err;\n    union {\n        struct wisp_str ok;\n"
              "        struct greeter_problem error;\n    };\n};\n");
    CHECK_HAS(header.data, "struct greeter_read_result {\n    void *f0;\n    void *f1;\n};\n");
    CHECK_HAS(header.data, "int handler_on_event_call(struct wisp_provider *provider, const struct "
                           "handler_on_event_args *args, const struct wisp_provider_request *request,");
    CHECK_HAS(source.data,
              "    \"person = record{string, list<u8>, option<u32>}\",\n    \"problem = variant{_, u32}\",\n");
    CHECK_HAS(source.data, "\"(person, list<person>) -> result<string, problem>\"");
    CHECK_HAS(source.data, "\"() -> tuple<stream<u8>, future<result>>\"");
    CHECK_HAS(source.data, ".name = \"acme:hello/handler@0.1.0\"");
    CHECK_HAS(source.data, "hello_exports[1] = {&greeter_interface};");
}

TEST(names_of_c_that_others_have_already)
{
    WISP_CLEANUP_BUF struct wisp_buf header = {0}, source = {0};
    struct wisp_err err = {0};
    CHECK_OK(make("package a:b;\n"
                  "interface i {\n"
                  "  type id = u64;\n"
                  "  record list-id { int: id }\n"
                  "  record get-result { n: u8 }\n"
                  "  flags f { x, y }\n"
                  "  get: func(ids: list<id>, one: list-id, long: f) -> list<id>;\n"
                  "  end: func() -> stream<id>;\n"
                  "}\n"
                  "world w { export i; }\n",
                  &header, &source, &err),
             &err);
    CHECK_HAS(header.data, "struct i_list_id {\n    uint64_t int_;\n};\n");
    CHECK_HAS(header.data, "struct i_list_id_ {\n    const uint64_t *ptr;\n    size_t len;\n};\n");
    CHECK_HAS(header.data, "#define I_F_Y (UINT32_C(1) << 1)\n");
    CHECK_HAS(header.data, "    struct i_list_id_ ids;\n    struct i_list_id one;\n    uint32_t long_;\n");
    CHECK_HAS(header.data, "i_get_return(struct wisp_provider_call *call, struct i_get_result_ const *result)");
    CHECK_HAS(header.data, "i_end_return(struct wisp_provider_call *call, void * const *result)");
    CHECK_HAS(source.data, "\"(list<u64>, list-id, f) -> list<u64>\"");
}

TEST(names_of_the_sdk_are_left_alone)
{
    WISP_CLEANUP_BUF struct wisp_buf header = {0}, source = {0};
    struct wisp_err err = {0};
    CHECK_OK(make("package acme:tools;\n"
                  "interface wisp { record str { a: u8 } provider: func(x: str) -> u8; }\n"
                  "interface wisp-bytes { len: func(); }\n"
                  "interface wispy { len: func(); }\n"
                  "world w { export wisp; export wisp-bytes; export wispy; }\n",
                  &header, &source, &err),
             &err);
    CHECK_HAS(header.data, "struct tools_wisp_str {");
    CHECK_HAS(header.data, "void tools_wisp_provider_return(struct wisp_provider_call *call");
    CHECK_HAS(header.data, "void tools_wisp_bytes_len(struct wisp_provider_call *call);");
    CHECK_HAS(header.data, "void wispy_len(struct wisp_provider_call *call);");
}

TEST(what_c_has_no_words_for_is_refused)
{
    static const char *const bad[][2] = {
        {"package a:b; interface i { resource r; } world w { export i; }", "`r`: resources"},
        {"package a:b; world w { export f: func(); }", "functions outside of an interface"},
        {"package a:b; interface i { f: func(); } world w { export i; import i; }", "both imported and exported"},
        {"package a:b; world w {}", "the world has no interface"},
        {"package a:b; interface i { f: func(); f-return: func(); } world w { export i; }", "`f-return`: two of its"},
    };
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        WISP_CLEANUP_BUF struct wisp_buf header = {0}, source = {0};
        struct wisp_err err = {0};
        CHECK_INT(make(bad[i][0], &header, &source, &err), -WISP_ERR_UNSUPPORTED);
        CHECK_HAS(err.text, bad[i][1]);
    }
}
