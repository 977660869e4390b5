/* SPDX-License-Identifier: Apache-2.0 */
#include "component/host.h"

#include "component/host/host_signature.h"
#include "component/host/opaque.h"
#include "component/plan.h"
#include "test.h"

/* --- a small host --- */

static int nothing(struct wisp_call *call, const void *args, void *result)
{
    (void)call;
    (void)args;
    (void)result;
    return 0;
}

struct append_args {
    void *self;
    struct wisp_str name;
    struct wisp_bytes value;
};
struct append_result {
    uint32_t is_err, error;
};
struct blocking_read_args {
    void *self;
    uint64_t len;
};
struct blocking_read_result {
    uint32_t is_err;
    union {
        struct wisp_bytes bytes;
        uint32_t error;
    };
};
struct self_args {
    void *self;
};
struct body_result {
    uint32_t is_err;
    void *stream;
};

static const struct wisp_host_resource stream_resources[] = {{.name = "input-stream"}};
static const struct wisp_host_func stream_funcs[] = {
    {"[method]input-stream.read", "(borrow<input-stream>, u64) -> result<list<u8>, enum(2)>", nothing,
     WISP_HOST_SIZES(struct blocking_read_args, struct blocking_read_result)},
};
static const struct wisp_host_interface streams = {.name = "wasi:io/streams",
                                                   .version = "0.2.8",
                                                   .funcs = stream_funcs,
                                                   .n_funcs = WISP_COUNT(stream_funcs),
                                                   .resources = stream_resources,
                                                   .n_resources = WISP_COUNT(stream_resources)};

static const struct wisp_host_resource types_resources[] = {{.name = "fields"}, {.name = "incoming-body"}};
static const char *const types_types[] = {"header-error = variant{_, _, _}", NULL};
static const struct wisp_host_func types_funcs[] = {
    {"[method]fields.append", "(borrow<fields>, string, list<u8>) -> result<_, header-error>", nothing,
     WISP_HOST_SIZES(struct append_args, struct append_result)},
    {"[method]incoming-body.stream", "(borrow<incoming-body>) -> result<own<input-stream>>", nothing,
     WISP_HOST_SIZES(struct self_args, struct body_result)},
};
static const struct wisp_host_interface types = {.name = "wasi:http/types",
                                                 .version = "0.2.8",
                                                 .funcs = types_funcs,
                                                 .n_funcs = WISP_COUNT(types_funcs),
                                                 .resources = types_resources,
                                                 .n_resources = WISP_COUNT(types_resources),
                                                 .types = types_types};

static const struct wisp_host_interface *const all[] = {&types, &streams};

static struct wisp_err err;

/* --- a component that imports, its types written as signatures --- */

struct fixture {
    struct wisp_host *host;
    struct wisp_component component;
    struct wisp_arena arena;
    struct wisp_map names_of_resources;
    struct wisp_signature_names names;
    struct wisp_resource *resources[8];
    struct wisp_import_func imports[8];
    const struct wisp_host_func *funcs[8];
};

static struct fixture f;

static void start(void)
{
    f = (struct fixture){0};
    CHECK_OK(wisp_host_new(&f.host, all, WISP_COUNT(all), &err), &err);
    f.names = (struct wisp_signature_names){.arena = &f.arena, .resources = &f.names_of_resources};
    f.component.resources = f.resources;
    f.component.import_funcs = f.imports;
}

static void end(void)
{
    wisp_host_freep(&f.host);
    wisp_map_deinit(&f.names_of_resources);
    wisp_map_deinit(&f.names.types);
    wisp_arena_deinit(&f.arena);
}

static struct wisp_resource *import_resource(const char *interface, const char *name)
{
    struct wisp_resource *resource = WISP_NEW(&f.arena, struct wisp_resource);
    *resource = (struct wisp_resource){
        .name = wisp_str_from(name), .owner = wisp_str_from(interface), .is_imported = true, .destructor = -1};
    f.resources[f.component.n_resources++] = resource;
    wisp_map_add(&f.names_of_resources, resource->name, resource);
    return resource;
}

static void import_func(const char *interface, const char *name, const char *signature)
{
    struct wisp_import_func *import = &f.imports[f.component.n_import_funcs++];
    *import = (struct wisp_import_func){.interface = wisp_str_from(interface), .name = wisp_str_from(name)};
    CHECK_OK(wisp_signature_parse(&f.names, wisp_str_from(signature), &import->type, &err), &err);
}

static int bind(void) { return wisp_host_bind(f.host, &f.component, f.funcs, &err); }

/* --- binding --- */

TEST(imports_find_functions_of_a_compatible_version)
{
    start();
    struct wisp_resource *stream = import_resource("wasi:io/streams@0.2.0", "input-stream");
    struct wisp_resource *body = import_resource("wasi:http/types@0.2.2", "incoming-body");
    import_resource("wasi:http/types@0.2.2", "fields");
    struct wisp_resource own_resource = {.name = WISP_STR("cart"), .destructor = -1};
    f.resources[f.component.n_resources++] = &own_resource;
    import_func("wasi:http/types@0.2.2", "[method]incoming-body.stream",
                "(borrow<incoming-body>) -> result<own<input-stream>>");
    import_func("wasi:io/streams@0.2.0", "[method]input-stream.read",
                "(borrow<input-stream>, u64) -> result<list<u8>, enum(2)>");
    import_func("wasi:http/types@0.2.2", "[method]fields.append",
                "(borrow<fields>, string, list<u8>) -> result<_, variant{_, _, _}>");
    CHECK_OK(bind(), &err);
    CHECK(f.funcs[0] == &types_funcs[1]);
    CHECK(f.funcs[1] == &stream_funcs[0]);
    CHECK(f.funcs[2] == &types_funcs[0]);
    CHECK(stream->host == &stream_resources[0]);
    CHECK(body->host == &types_resources[1]);
    CHECK(!own_resource.host);
    end();
}

static void check_refused(int r, const char *words)
{
    CHECK(r < 0);
    CHECK_HAS(err.text, words);
}

TEST(what_is_missing_is_told_with_what_is_there)
{
    start();
    import_func("wasi:io/streams@0.3.0", "read", "()");
    CHECK_FAILS(bind(), NOT_FOUND);
    check_refused(bind(), "import of function `read` of `wasi:io/streams@0.3.0`: this host has `wasi:io/streams` in "
                          "another version: 0.2.8");
    end();
    start();
    import_func("wasi:io/poll@0.2.0", "poll", "()");
    check_refused(bind(), "this host does not have it; of that package it has wasi:io/streams");
    end();
    start();
    import_func("shop:cart/items@1.0.0", "list", "()");
    check_refused(bind(), "this host has nothing of that package");
    end();
    start();
    import_func("wasi:http/types@0.2.2", "[method]fields.clone", "()");
    CHECK_FAILS(bind(), NOT_FOUND);
    check_refused(bind(), "version 0.2.8 of the interface does not have it, but: [method]fields.append, "
                          "[method]incoming-body.stream");
    end();
    start();
    import_func("", "run", "()");
    CHECK_FAILS(bind(), NOT_FOUND);
    check_refused(bind(), "imported outside of any interface");
    end();
}

TEST(resources_belong_to_their_interface)
{
    start();
    import_resource("wasi:io/streams@0.2.0", "output-stream");
    CHECK_FAILS(bind(), NOT_FOUND);
    CHECK_HAS(err.text,
              "import of resource `output-stream` of `wasi:io/streams@0.2.0`: this host has no such resource");
    end();
    start();
    import_resource("wasi:http/types@0.2.0", "input-stream");
    CHECK_FAILS(bind(), INVALID);
    CHECK_HAS(err.text, "in this host the resource belongs to `wasi:io/streams`");
    end();
    start();
    import_resource("", "fields");
    CHECK_FAILS(bind(), NOT_FOUND);
    CHECK_HAS(err.text, "outside of any interface");
    end();
    start();
    import_resource("wasi:http/types@1.0.0", "fields");
    CHECK_FAILS(bind(), NOT_FOUND);
    CHECK_HAS(err.text, "in another version: 0.2.8");
    end();
}

static void check_type_refused(const char *signature, const char *words)
{
    start();
    import_resource("wasi:http/types@0.2.2", "fields");
    import_resource("wasi:io/streams@0.2.0", "input-stream");
    import_func("wasi:http/types@0.2.2", "[method]fields.append", signature);
    CHECK_FAILS(bind(), INVALID);
    CHECK_HAS(err.text, words);
    CHECK_HAS(err.text, "host: `(borrow<fields>, string, list<u8>) -> result<_, header-error>`");
    end();
}

TEST(other_types_are_refused_and_shown)
{
    check_type_refused("(borrow<fields>, string) -> result<_, variant{_, _, _}>",
                       "types differ in the number of parameters");
    check_type_refused(
        "(borrow<fields>, string, list<u16>) -> result<_, variant{_, _, _}>",
        "types differ in parameter 3: the component has `u16`, this host `u8`. Component: `(borrow<fields>, "
        "string, list<u16>) -> result<_, variant{0, 1, 2}>`");
    check_type_refused("(own<fields>, string, list<u8>) -> result<_, variant{_, _, _}>",
                       "parameter 1: the component has `own<fields>`, this host `borrow<fields>`");
    check_type_refused("(borrow<input-stream>, string, list<u8>) -> result<_, variant{_, _, _}>",
                       "parameter 1: the component has `borrow<input-stream>`, this host `borrow<fields>`");
    check_type_refused("(borrow<fields>, string, list<u8>) -> result<_, variant{_, _}>",
                       "the result: the component has `variant{0, 1}`, this host `header-error`");
    check_type_refused("(borrow<fields>, string, list<u8>) -> result<_, enum(3)>", "the component has `enum{0, 1, 2}`");
    check_type_refused("(borrow<fields>, string, list<u8>) -> result<_, variant{_, u8, _}>",
                       "the component has `u8`, this host `nothing`");
    check_type_refused("(borrow<fields>, string, list<u8>)",
                       "the component has `nothing`, this host `result<_, header-error>`");
}

/* --- the fallback --- */

static bool accepts_shop(struct wisp_str interface, void *env)
{
    (*(int *)env)++;
    return wisp_str_starts_with(interface, WISP_STR("shop:")) || !interface.len;
}

static int n_asked;
static const struct wisp_host_fallback fallback = {.accepts = accepts_shop, .env = &n_asked};

static void start_with_fallback(void)
{
    start();
    n_asked = 0;
    CHECK(!wisp_host_get_fallback(f.host));
    wisp_host_set_fallback(f.host, &fallback);
}

TEST(fallback_gets_what_no_table_has)
{
    start_with_fallback();
    /* A resource type that no function uses. */
    struct wisp_resource *basket = import_resource("shop:cart/types@1.0.0", "basket");
    import_func("shop:cart/items@1.0.0", "list", "(string) -> result<list<string>, enum(3)>");
    import_func("", "run", "()");
    f.funcs[0] = f.funcs[1] = &types_funcs[0];
    CHECK_OK(bind(), &err);
    CHECK(!f.funcs[0] && !f.funcs[1] && basket->host == &wisp_opaque_resource);
    CHECK_INT(n_asked, 3);
    import_func("bank:account/items@1.0.0", "list", "()");
    CHECK_FAILS(bind(), NOT_FOUND);
    CHECK_HAS(err.text, "this host has nothing of that package");
    end();
}

TEST(fallback_never_gets_what_a_table_has)
{
    start_with_fallback();
    import_func("wasi:io/streams@0.3.0", "read", "()");
    CHECK_FAILS(bind(), NOT_FOUND);
    CHECK_HAS(err.text, "in another version: 0.2.8");
    CHECK_INT(n_asked, 0);
    end();
}

TEST(only_handles_of_its_own_go_through_the_fallback)
{
    start_with_fallback();
    import_resource("shop:cart/items@1.0.0", "basket");
    import_func("shop:cart/items@1.0.0", "[method]basket.add", "(borrow<basket>, u32)");
    CHECK_OK(bind(), &err);
    end();
    start_with_fallback();
    import_resource("wasi:io/streams@0.2.0", "input-stream");
    import_func("shop:cart/items@1.0.0", "open", "() -> result<own<input-stream>>");
    CHECK_FAILS(bind(), UNSUPPORTED);
    CHECK_HAS(err.text, "handles of `input-stream`, a resource of this host, can't be passed");
    CHECK_HAS(err.text, "the result has one: `result<own<input-stream>>`");
    end();
}

/* --- resources of the same name --- */

static void check_table_refused(const struct wisp_host_interface *const *interfaces, size_t n, const char *words)
{
    struct wisp_host *host = NULL;
    CHECK_FAILS(wisp_host_new(&host, interfaces, n, &err), INTERNAL);
    CHECK_HAS(err.text, words);
    CHECK(!host);
    CHECK_FAILS(wisp_host_new(&host, interfaces, n, NULL), INTERNAL);
}

static const struct wisp_host_resource target_resources[] = {{.name = "target"}};
static const struct wisp_host_func target_funcs[] = {{"use", "(borrow<target>)", nothing, sizeof(struct self_args), 0}};
#define TARGETS(name_, version_)                                                                                       \
    {.name = (name_),                                                                                                  \
     .version = (version_),                                                                                            \
     .funcs = target_funcs,                                                                                            \
     .n_funcs = 1,                                                                                                     \
     .resources = target_resources,                                                                                    \
     .n_resources = 1}

TEST(interfaces_may_have_resources_of_the_same_name)
{
    static const struct wisp_host_resource newer_resources[] = {{.name = "target"}};
    struct wisp_host_interface older = TARGETS("bus:api/links", "1.0.0"), newer = TARGETS("bus:api/links", "2.0.0");
    newer.resources = newer_resources;
    const struct wisp_host_interface *const list[] = {&older, &newer};
    start();
    wisp_host_freep(&f.host);
    CHECK_OK(wisp_host_new(&f.host, list, 2, &err), &err);
    struct wisp_resource *target = import_resource("bus:api/links@2.0.0", "target");
    import_func("bus:api/links@2.0.0", "use", "(borrow<target>)");
    CHECK_OK(bind(), &err);
    CHECK(target->host == &newer_resources[0]);
    end();
    /* Nobody else can say which one is meant. */
    struct wisp_host_interface user = TARGETS("bus:api/user", "1.0.0");
    user.resources = NULL;
    user.n_resources = 0;
    const struct wisp_host_interface *const list_with_user[] = {&older, &newer, &user};
    check_table_refused(list_with_user, 3, "host interface `bus:api/user`: function `use`: signature");
}

/* --- tables that contradict themselves --- */

static void check_func_refused(const struct wisp_host_func *func, const char *words)
{
    struct wisp_host_interface interface = {.name = "a:b/c", .version = "1.0.0", .funcs = func, .n_funcs = 1};
    const struct wisp_host_interface *const list[] = {&interface, &streams};
    check_table_refused(list, 2, words);
}

TEST(sizes_of_c_structs_are_checked)
{
    check_func_refused(
        &(struct wisp_host_func){"f", "(u8, u64)", nothing, 8, 0},
        "host interface `a:b/c`: function `f`: the C struct of the arguments has 8 bytes, `(u8, u64)` needs 16");
    check_func_refused(&(struct wisp_host_func){"f", "(u8) -> string", nothing, 1, 8},
                       "the C struct of the result has 8 bytes, `(u8) -> string` needs 16");
    check_func_refused(&(struct wisp_host_func){"f", "()", nothing, 0, 4}, "`()` needs 0");
}

TEST(bad_signatures_are_named)
{
    check_func_refused(&(struct wisp_host_func){"f", "(x)", nothing, 0, 0},
                       "host interface `a:b/c`: function `f`: signature `(x)`: expected a type at column 2");
    static const char *const bad_types[] = {"a = b", NULL};
    struct wisp_host_interface interface = {.name = "a:b/c", .version = "1.0.0", .types = bad_types};
    const struct wisp_host_interface *const list[] = {&interface};
    check_table_refused(list, 1, "host interface `a:b/c`: type `a = b`: expected a type at column 5");
}

TEST(guests_are_given_no_streams)
{
    static const struct wisp_host_func funcs[] = {{"read", "() -> stream<u8>", nothing, 0, sizeof(void *)}};
    static const struct wisp_host_interface table = {.name = "a:b/c", .version = "1.0.0", .funcs = funcs, .n_funcs = 1};
    const struct wisp_host_interface *interfaces[] = {&table};
    check_table_refused(interfaces, 1, "streams or futures");
}

TEST(nothing_is_registered_twice)
{
    const struct wisp_host_interface *const list[] = {&streams, &types, &streams};
    check_table_refused(list, 3, "host interface `wasi:io/streams`: registered twice");
    static const struct wisp_host_resource same_resources[] = {{.name = "r"}, {.name = "r"}};
    struct wisp_host_interface two = {
        .name = "a:b/c", .version = "1.0.0", .resources = same_resources, .n_resources = 2};
    const struct wisp_host_interface *const list_of_two[] = {&two};
    check_table_refused(list_of_two, 1, "host interface `a:b/c`: resource `r` is defined twice");
    struct wisp_host_interface empty = {.name = "a:b/c", .version = "1.0.0"};
    const struct wisp_host_interface *const twice[] = {&empty, &empty};
    check_table_refused(twice, 2, "host interface `a:b/c`: registered twice");
    static const struct wisp_host_func same[] = {{"f", "()", nothing, 0, 0}, {"f", "()", nothing, 0, 0}};
    struct wisp_host_interface interface = {.name = "a:b/c", .version = "1.0.0", .funcs = same, .n_funcs = 2};
    const struct wisp_host_interface *const list_of_one[] = {&interface};
    check_table_refused(list_of_one, 1, "function `f`: defined twice");
}
