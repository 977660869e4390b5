/* SPDX-License-Identifier: Apache-2.0 */
/* A provider of acme:hello/greeter. Settings of a link, or of the provider for all its links:
 *     greeting     what English begins with; "Hello" */
#include <wisp/provider.h>

/* --- acme:hello/greeter@0.1.0, in C: the structs of hello.wit --- */

struct greeter_person {
    struct wisp_str name;
    uint8_t age;
};
struct greeter_greet_args {
    struct greeter_person who;
    struct wisp_str language;
};
struct greeter_greet_result {
    uint32_t is_err;
    union {
        struct wisp_str ok, error;
    };
};
static wisp_provider_fn greeter_greet;

static const char *const greeter_types[] = {"person = record{string, u8}", NULL};
static const struct wisp_provider_func greeter_funcs[] = {
    {"greet", "(person, string) -> result<string, string>", greeter_greet,
     WISP_HOST_SIZES(struct greeter_greet_args, struct greeter_greet_result)},
};
static const struct wisp_provider_interface greeter = {.name = "acme:hello/greeter@0.1.0",
                                                       .funcs = greeter_funcs,
                                                       .n_funcs = WISP_COUNT(greeter_funcs),
                                                       .types = greeter_types};

/* --- what it does --- */

static struct wisp_str hello_in(struct wisp_str language, const struct wisp_settings *settings)
{
    if (wisp_str_is(language, "de")) return WISP_STR("Hallo");
    if (wisp_str_is(language, "fr")) return WISP_STR("Bonjour");
    if (!wisp_str_is(language, "en")) return WISP_STR("");
    struct wisp_str greeting = wisp_settings_get(settings, "greeting");
    return greeting.len > 0 ? greeting : WISP_STR("Hello");
}

static void greeter_greet(struct wisp_provider_call *call, const void *args)
{
    const struct greeter_greet_args *in = args;
    struct greeter_greet_result result = {0};
    struct wisp_str hello = hello_in(in->language, call->link ? &call->link->settings : &call->provider->settings);
    if (hello.len == 0) {
        result.is_err = 1;
        result.error =
            wisp_str_from(wisp_arena_printf(call->arena, "nobody here speaks `%.*s`", WISP_STR_ARG(in->language)));
    } else {
        result.ok = wisp_str_from(wisp_arena_printf(call->arena, "%.*s %.*s (%u)", WISP_STR_ARG(hello),
                                                    WISP_STR_ARG(in->who.name), in->who.age));
    }
    wisp_provider_return(call, &result);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    (void)provider;
    if (wisp_settings_get(&link->settings, "greeting").len > 64)
        return wisp_err_set(err, WISP_ERR_INVALID, "`greeting` is longer than anybody would listen to");
    WISP_LOG(INFO, "hello", "somebody to greet", WISP_BYTES("source", link->source_id));
    return 0;
}

static const struct wisp_provider_interface *const exports[] = {&greeter};
static const struct wisp_provider_kind hello = {.name = "hello",
                                                .about = "greets people",
                                                .exports = exports,
                                                .n_exports = WISP_COUNT(exports),
                                                .put_link = put_link};

int main(int argc, char **argv) { return wisp_provider_main(&hello, argc, argv); }
