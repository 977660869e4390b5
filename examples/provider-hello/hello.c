/* SPDX-License-Identifier: Apache-2.0 */
/* A provider of acme:hello/greeter. Settings of a link, or of the provider for all its links:
 *     greeting     what English begins with; "Hello" */
#include "greeter.h" /* made from hello.wit */

static struct wisp_str hello_in(struct wisp_str language, const struct wisp_settings *settings)
{
    if (wisp_str_is(language, "de")) return WISP_STR("Hallo");
    if (wisp_str_is(language, "fr")) return WISP_STR("Bonjour");
    if (!wisp_str_is(language, "en")) return WISP_STR("");
    struct wisp_str greeting = wisp_settings_get(settings, "greeting");
    return greeting.len > 0 ? greeting : WISP_STR("Hello");
}

void greeter_greet(struct wisp_provider_call *call, const struct greeter_greet_args *args)
{
    struct greeter_greet_result result = {0};
    struct wisp_str hello = hello_in(args->language, call->link ? &call->link->settings : &call->provider->settings);
    if (hello.len == 0) {
        result.is_err = 1;
        result.error =
            wisp_str_from(wisp_arena_printf(call->arena, "nobody here speaks `%.*s`", WISP_STR_ARG(args->language)));
    } else {
        result.ok = wisp_str_from(wisp_arena_printf(call->arena, "%.*s %.*s (%u)", WISP_STR_ARG(hello),
                                                    WISP_STR_ARG(args->who.name), args->who.age));
    }
    greeter_greet_return(call, &result);
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    (void)provider;
    if (wisp_settings_get(&link->settings, "greeting").len > 64)
        return wisp_err_set(err, WISP_ERR_INVALID, "`greeting` is longer than anybody would listen to");
    WISP_LOG(INFO, "hello", "somebody to greet", WISP_BYTES("source", link->source_id));
    return 0;
}

static const struct wisp_provider_kind hello = {
    .name = "hello", .about = "greets people", GREETER_INTERFACES, .put_link = put_link};

int main(int argc, char **argv) { return wisp_provider_main(&hello, argc, argv); }
