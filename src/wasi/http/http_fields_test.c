/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/http/http_priv.h"
#include "wasi/test_double.h"

static struct wisp_wasi_http *http;

static void begin(void)
{
    fake_start();
    http = wisp_wasi_http_new();
    wisp_wasi_http_attach(http, &fake.wasi, NULL);
}

static void finish(void)
{
    CHECK_INT(http->n_alive, 0);
    CHECK_INT(http->fields_heap, 0);
    wisp_wasi_http_reset(http);
    wisp_wasi_http_free(http);
    fake_stop();
}

static struct wisp_fields *new_fields(void)
{
    struct wisp_fields *fields;
    CHECK_INT(fake_invoke(&wisp_wasi_http_types, "[constructor]fields", NULL, 0, &fields, sizeof fields), 0);
    return fields;
}

static void drop(struct wisp_fields *fields) { CHECK(!fake_drop(&wisp_wasi_http_types, "fields", fields)); }

static struct wisp_bytes bytes(const char *text) { return (struct wisp_bytes){(const uint8_t *)text, strlen(text)}; }

/* "ok", or the case of header-error. */
static const char *text_of(const struct wisp_abi_result_header_error *result)
{
    static const char *const names[] = {"invalid-syntax", "forbidden", "immutable"};
    return result->is_error ? names[result->error] : "ok";
}

static const char *append(struct wisp_fields *fields, const char *name, const char *value)
{
    struct wisp_abi_fields_append_args args = {fields, wisp_str_from(name), bytes(value)};
    struct wisp_abi_result_header_error result;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.append", &args, &result), 0);
    return text_of(&result);
}

static const char *set(struct wisp_fields *fields, const char *name, const char *first, const char *second)
{
    const struct wisp_bytes values[] = {bytes(first), bytes(second ? second : "")};
    struct wisp_abi_fields_set_args args = {fields, wisp_str_from(name), {values, second ? 2 : 1}};
    struct wisp_abi_result_header_error result;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.set", &args, &result), 0);
    return text_of(&result);
}

static const char *delete(struct wisp_fields *fields, const char *name)
{
    struct wisp_abi_fields_name_args args = {fields, wisp_str_from(name)};
    struct wisp_abi_result_header_error result;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.delete", &args, &result), 0);
    return text_of(&result);
}

static bool has(struct wisp_fields *fields, const char *name)
{
    struct wisp_abi_fields_name_args args = {fields, wisp_str_from(name)};
    bool result;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.has", &args, &result), 0);
    return result;
}

/* "a,b" */
static const char *get(struct wisp_fields *fields, const char *name)
{
    struct wisp_abi_fields_name_args args = {fields, wisp_str_from(name)};
    struct wisp_abi_list_value list;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.get", &args, &list), 0);
    char *text = wisp_arena_printf(&fake.arena, "%s", "");
    for (size_t i = 0; i < list.len; i++)
        text = wisp_arena_printf(&fake.arena, "%s%s%.*s", text, i ? "," : "", (int)list.ptr[i].len,
                                 (const char *)list.ptr[i].ptr);
    return text;
}

/* "a=1 b=2" */
static const char *entries(struct wisp_fields *fields)
{
    struct wisp_abi_list_field list;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.entries", &fields, &list), 0);
    char *text = wisp_arena_printf(&fake.arena, "%s", "");
    for (size_t i = 0; i < list.len; i++)
        text = wisp_arena_printf(&fake.arena, "%s%s%.*s=%.*s", text, i ? " " : "", WISP_STR_ARG(list.ptr[i].name),
                                 (int)list.ptr[i].value.len, (const char *)list.ptr[i].value.ptr);
    return text;
}

TEST(order_case_and_duplicates_are_kept)
{
    begin();
    struct wisp_fields *fields = new_fields();
    CHECK_TEXT(append(fields, "X-One", "1"), "ok");
    CHECK_TEXT(append(fields, "two", "2"), "ok");
    CHECK_TEXT(append(fields, "x-one", "3"), "ok");
    CHECK_TEXT(append(fields, "empty", ""), "ok");
    CHECK_TEXT(entries(fields), "X-One=1 two=2 x-one=3 empty=");
    CHECK_TEXT(get(fields, "X-ONE"), "1,3");
    CHECK_TEXT(get(fields, "three"), "");
    CHECK(has(fields, "TWO") && has(fields, "empty") && !has(fields, "tw") && !has(fields, "bad name"));
    drop(fields);
    finish();
}

TEST(set_replaces_and_delete_removes_all_of_a_name)
{
    begin();
    struct wisp_fields *fields = new_fields();
    append(fields, "a", "1");
    append(fields, "b", "2");
    append(fields, "A", "3");
    CHECK_TEXT(set(fields, "a", "4", "5"), "ok");
    CHECK_TEXT(entries(fields), "b=2 a=4 a=5");
    CHECK_TEXT(delete (fields, "A"), "ok");
    CHECK_TEXT(entries(fields), "b=2");
    CHECK_TEXT(delete (fields, "not-there"), "ok");
    drop(fields);
    finish();
}

TEST(bad_names_and_values_are_refused)
{
    static const char *const bad_names[] = {"", "a b", "a:", "\xc3\xa9", "a\nb", "(a)", "a/b", "a,b", "\"a\"", "a\x7f"};
    static const char *const bad_values[] = {"a\nb", "a\rb", "\x01", "a\x7f", "\x1f"};
    begin();
    struct wisp_fields *fields = new_fields();
    for (size_t i = 0; i < WISP_COUNT(bad_names); i++) {
        CHECK_TEXT(append(fields, bad_names[i], "v"), "invalid-syntax");
        CHECK_TEXT(set(fields, bad_names[i], "v", NULL), "invalid-syntax");
        CHECK_TEXT(delete (fields, bad_names[i]), "invalid-syntax");
        CHECK_TEXT(get(fields, bad_names[i]), "");
    }
    for (size_t i = 0; i < WISP_COUNT(bad_values); i++) {
        CHECK_TEXT(append(fields, "a", bad_values[i]), "invalid-syntax");
        CHECK_TEXT(set(fields, "a", "good", bad_values[i]), "invalid-syntax");
    }
    CHECK_TEXT(append(fields, "a!#$%&'*+-.^_`|~Z9", "tab\there, bytes \x80\xff"), "ok");
    CHECK_TEXT(entries(fields), "a!#$%&'*+-.^_`|~Z9=tab\there, bytes \x80\xff");
    drop(fields);
    finish();
}

TEST(connection_headers_are_forbidden)
{
    static const char *const names[] = {"Connection",          "keep-alive",       "Proxy-Authenticate",
                                        "proxy-authorization", "proxy-connection", "TE",
                                        "transfer-encoding",   "Upgrade",          "host",
                                        "HTTP2-Settings"};
    begin();
    struct wisp_fields *fields = new_fields();
    for (size_t i = 0; i < WISP_COUNT(names); i++) {
        CHECK_TEXT(append(fields, names[i], "v"), "forbidden");
        CHECK_TEXT(set(fields, names[i], "v", NULL), "forbidden");
        CHECK_TEXT(delete (fields, names[i]), "forbidden");
        CHECK_TEXT(set(fields, names[i], "\n", NULL), "invalid-syntax");
        struct wisp_abi_field entry = {wisp_str_from(names[i]), bytes("v")};
        struct wisp_abi_list_field list = {&entry, 1};
        struct wisp_abi_result_fields result;
        CHECK_INT(INVOKE(wisp_wasi_http_types, "[static]fields.from-list", &list, &result), 0);
        CHECK(result.is_error && result.of.error == WISP_HEADER_FORBIDDEN);
    }
    CHECK_TEXT(append(fields, "trailer", "v"), "ok");
    drop(fields);
    finish();
}

TEST(from_list_and_clone)
{
    begin();
    const struct wisp_abi_field list[] = {{WISP_STR("B"), bytes("1")}, {WISP_STR("a"), bytes("")}};
    struct wisp_abi_list_field args = {list, 2};
    struct wisp_abi_result_fields result;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[static]fields.from-list", &args, &result), 0);
    CHECK(!result.is_error);
    struct wisp_fields *fields = result.of.fields, *clone;
    fields->is_immutable = true;
    CHECK_TEXT(append(fields, "c", "2"), "immutable");
    CHECK_TEXT(set(fields, "c", "2", NULL), "immutable");
    CHECK_TEXT(delete (fields, "a"), "immutable");
    CHECK_TEXT(append(fields, "host", "2"), "forbidden");
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.clone", &fields, &clone), 0);
    CHECK_TEXT(append(clone, "c", "2"), "ok");
    CHECK_TEXT(entries(clone), "B=1 a= c=2");
    CHECK_TEXT(entries(fields), "B=1 a=");
    drop(fields);
    drop(clone);

    args = (struct wisp_abi_list_field){(struct wisp_abi_field[]){{WISP_STR("a"), bytes("\n")}}, 1};
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[static]fields.from-list", &args, &result), 0);
    CHECK(result.is_error && result.of.error == WISP_HEADER_INVALID_SYNTAX);
    finish();
}

TEST(many_entries_move_to_the_heap_and_back)
{
    begin();
    struct wisp_fields *fields = new_fields();
    char name[32], value[64];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "name-%d", i);
        snprintf(value, sizeof value, "value of the number %d", i);
        CHECK_TEXT(append(fields, name, value), "ok");
    }
    CHECK_TEXT(get(fields, "NAME-499"), "value of the number 499");
    CHECK(http->fields_heap > 10000);
    for (int i = 0; i < 500; i += 2) {
        snprintf(name, sizeof name, "name-%d", i);
        CHECK_TEXT(delete (fields, name), "ok");
    }
    CHECK_INT(fields->n_entries, 250);
    CHECK_TEXT(get(fields, "name-499"), "value of the number 499");
    CHECK_TEXT(get(fields, "name-1"), "value of the number 1");
    drop(fields);
    CHECK_INT(http->fields_heap, 0);
    finish();
}

TEST(fields_have_a_largest_size)
{
    begin();
    struct wisp_fields *fields = new_fields();
    static char value[WISP_WASI_HTTP_FIELDS_BYTES_MAX + 1];
    memset(value, 'x', sizeof value - 1);
    struct wisp_abi_fields_append_args args = {fields, WISP_STR("a"), {(const uint8_t *)value, sizeof value - 1}};
    struct wisp_abi_result_header_error result;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.append", &args, &result), -WISP_ERR_GUEST);
    CHECK_HAS(fake.trap, "larger than 131072 bytes");
    args.value.len = 100000;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.append", &args, &result), 0);
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]fields.append", &args, &result), -WISP_ERR_GUEST);
    drop(fields);
    finish();
}

TEST(all_fields_together_have_a_largest_size)
{
    begin();
    struct wisp_fields *all[WISP_WASI_HTTP_FIELDS_HEAP_MAX / 100000 + 1];
    static char value[60000];
    memset(value, 'x', sizeof value);
    struct wisp_abi_result_header_error result;
    size_t n = 0;
    int r;
    do {
        all[n] = new_fields();
        struct wisp_abi_fields_append_args args = {all[n], WISP_STR("a"), {(const uint8_t *)value, sizeof value}};
        r = INVOKE(wisp_wasi_http_types, "[method]fields.append", &args, &result);
        n++;
    } while (r == 0 && n < WISP_COUNT(all));
    CHECK_INT(r, -WISP_ERR_GUEST);
    CHECK_HAS(fake.trap, "all `fields` together larger than 4194304 bytes");
    while (n > 0) drop(all[--n]);
    finish();
}

TEST(too_many_resources_trap)
{
    begin();
    static struct wisp_fields *all[WISP_WASI_HTTP_OBJECTS_MAX];
    for (size_t i = 0; i < WISP_COUNT(all); i++) all[i] = new_fields();
    struct wisp_fields *one_more;
    CHECK_INT(fake_invoke(&wisp_wasi_http_types, "[constructor]fields", NULL, 0, &one_more, sizeof one_more),
              -WISP_ERR_GUEST);
    CHECK_HAS(fake.trap, "more than 10000 wasi:http resources");
    for (size_t i = 0; i < WISP_COUNT(all); i++) drop(all[i]);
    finish();
}

TEST(content_length_is_read_strictly)
{
    static const struct {
        const char *first, *second;
        bool is_right;
        uint64_t length;
    } cases[] = {
        {NULL, NULL, true, WISP_HTTP_LENGTH_UNKNOWN},
        {"0", NULL, true, 0},
        {"12", "12", true, 12},
        {"12", "13", false, 0},
        {"", NULL, false, 0},
        {"1 ", NULL, false, 0},
        {"-1", NULL, false, 0},
        {"0x1", NULL, false, 0},
        {"18446744073709551614", NULL, true, UINT64_MAX - 1},
        {"18446744073709551615", NULL, false, 0},
        {"18446744073709551616", NULL, false, 0},
    };
    begin();
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        struct wisp_fields *fields = new_fields();
        if (cases[i].first) append(fields, "Content-Length", cases[i].first);
        if (cases[i].second) append(fields, "content-length", cases[i].second);
        uint64_t length;
        CHECK_INT(wisp_fields_content_length(fields, &length), cases[i].is_right);
        if (cases[i].is_right) CHECK(length == cases[i].length);
        drop(fields);
    }
    finish();
}

TEST(representations_without_a_handle_are_cleaned_up)
{
    begin();
    /* What a guest can lose by giving a bad address for a result: a response that holds its headers and body. */
    struct wisp_fields *fields = new_fields();
    append(fields, "a", "1");
    struct wisp_outgoing_response *response;
    struct wisp_abi_result_handle body;
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[constructor]outgoing-response", &fields, &response), 0);
    CHECK_INT(INVOKE(wisp_wasi_http_types, "[method]outgoing-response.body", &response, &body), 0);
    CHECK(http->n_alive == 3);
    wisp_wasi_http_reset(http);
    CHECK(http->n_alive == 0);
    wisp_wasi_http_free(http);
    fake_stop();
}
