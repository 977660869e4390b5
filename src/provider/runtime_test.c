/* SPDX-License-Identifier: Apache-2.0 */
/* A kind in this process: its links, settings and calls. */
#include "provider/runtime_rig.h"

struct here {
    uv_loop_t loop;
    struct wisp_provider *provider;
    bool is_closed;
    struct wisp_err err;
};

static void here_init(struct here *here, const char *config)
{
    *here = (struct here){0};
    json_t *json = config ? json_of(config) : NULL;
    uv_loop_init(&here->loop);
    struct wisp_provider_options options = {.kind = &greeter_kind,
                                            .id = "gr",
                                            .lattice = "default",
                                            .host_id = "NHOST",
                                            .loop = &here->loop,
                                            .config = json};
    CHECK_OK(wisp_provider_new(&here->provider, &options, &here->err), &here->err);
    json_decref(json);
}

static void turn(struct here *here) { uv_run(&here->loop, UV_RUN_NOWAIT); }

static void on_closed(void *env) { *(bool *)env = true; }

static void here_deinit(struct here *here)
{
    wisp_provider_close(here->provider, on_closed, &here->is_closed);
    uv_run(&here->loop, UV_RUN_DEFAULT);
    CHECK(here->is_closed);
    CHECK_INT(uv_loop_close(&here->loop), 0);
}

static const char *log_of(struct here *here)
{
    static char text[4096];
    turn(here);
    turn(here);
    snprintf(text, sizeof text, "%s", the_greeter.log);
    the_greeter.log[0] = '\0';
    return text;
}

/* --- calls --- */

struct answer {
    unsigned n;
    bool is_err;
    char text[256];
    struct wisp_err err;
};

static void on_greeting(const void *result, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    answer->n++;
    if (err) answer->err = *err;
    if (!result) return;
    const struct greet_result *greeting = result;
    answer->is_err = greeting->is_err;
    snprintf(answer->text, sizeof answer->text, "%.*s", WISP_STR_ARG(greeting->text));
}

static void on_text(const void *result, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    answer->n++;
    if (err) answer->err = *err;
    if (result) snprintf(answer->text, sizeof answer->text, "%.*s", WISP_STR_ARG(*(const struct wisp_str *)result));
}

static const struct wisp_provider_export *find(struct here *here, const char *func)
{
    const struct wisp_provider_export *found =
        wisp_provider_find(here->provider, WISP_STR("acme:hello/greeter@0.1.0"), wisp_str_from(func));
    CHECK(found);
    return found;
}

static struct answer greet_as(struct here *here, const char *source, const char *name)
{
    struct answer answer = {0};
    struct greet_args args = {{WISP_STR("Ann"), 42}, WISP_STR("en")};
    struct wisp_provider_caller caller = {wisp_str_from(source), wisp_str_from(name), WISP_STR("00-t")};
    CHECK(!wisp_provider_call_start(here->provider, find(here, "greet"), &caller, &args, on_greeting, &answer));
    CHECK_INT(answer.n, 1);
    return answer;
}

static struct wisp_provider_call *start_waiting(struct here *here, const char *source, struct answer *answer)
{
    struct wisp_provider_caller caller = {.source_id = wisp_str_from(source)};
    struct wisp_provider_call *call =
        wisp_provider_call_start(here->provider, find(here, "wait"), &caller, NULL, on_text, answer);
    CHECK(call);
    return call;
}

TEST(a_call_without_and_with_a_link)
{
    struct here here;
    here_init(&here, NULL);
    struct answer answer = greet_as(&here, "app", "");
    CHECK_TEXT(answer.text, "Hello Ann (42, en) from app by default");
    CHECK_OK(put(here.provider, "app", "default", "{\"greeting\":\"Ahoy\"}", &here.err), &here.err);
    CHECK_OK(put(here.provider, "app", "other", "{\"Greeting\":\"Moin\"}", &here.err), &here.err);
    CHECK_TEXT(greet_as(&here, "app", "").text, "Ahoy Ann (42, en) from app by default");
    CHECK_TEXT(greet_as(&here, "app", "other").text, "Moin Ann (42, en) from app by other");
    CHECK_TEXT(greet_as(&here, "app2", "other").text, "Hello Ann (42, en) from app2 by other");
    CHECK(!wisp_provider_find(here.provider, WISP_STR("acme:hello/greeter@0.1.0"), WISP_STR("greets")));
    CHECK(!wisp_provider_find(here.provider, WISP_STR("acme:hello/greeter"), WISP_STR("greet")));
    here_deinit(&here);
    CHECK_TEXT(the_greeter.log, "open;+app/default=Ahoy;+app/other=Moin;-app/default=Ahoy;-app/other=Moin;close;");
}

TEST(failures)
{
    struct here here;
    here_init(&here, NULL);
    struct answer answer = {0};
    struct wisp_provider_caller caller = {.source_id = WISP_STR("app")};
    CHECK(!wisp_provider_call_start(here.provider, find(&here, "refuse"), &caller, NULL, on_text, &answer));
    CHECK_INT(answer.n, 1);
    CHECK_INT(answer.err.kind, WISP_ERR_DENIED);
    CHECK_TEXT(answer.err.text, "not today");
    here_deinit(&here);
}

TEST(calls_that_end_later_or_are_cancelled)
{
    struct here here;
    struct answer answers[4] = {0};
    struct wisp_provider_call *calls[4];
    here_init(&here, NULL);
    for (int i = 0; i < 4; i++) calls[i] = start_waiting(&here, "app", &answers[i]);
    wisp_provider_return(the_greeter.waiting[2], &WISP_STR("two"));
    CHECK_TEXT(answers[2].text, "two");

    /* Ended by the function when it hears of it, or some time later. */
    the_greeter.ends_when_cancelled = true;
    the_greeter.waiting[2] = the_greeter.waiting[3];
    the_greeter.n_waiting = 3;
    wisp_provider_call_cancel(calls[0]);
    the_greeter.ends_when_cancelled = false;
    wisp_provider_call_cancel(calls[1]);
    CHECK_TEXT(log_of(&here), "open;cancelled;cancelled;");
    CHECK_INT(the_greeter.n_waiting, 2);
    wisp_provider_return(calls[1], &WISP_STR("nobody hears that"));
    CHECK_INT(answers[0].n + answers[1].n, 0);
    wisp_provider_return(calls[3], &WISP_STR("three"));
    CHECK_TEXT(answers[3].text, "three");
    here_deinit(&here);
}

TEST(closing_cancels_and_waits)
{
    struct here here;
    struct answer answers[2] = {0};
    here_init(&here, NULL);
    CHECK_OK(put(here.provider, "app", "default", "{\"greeting\":\"Hi\"}", &here.err), &here.err);
    start_waiting(&here, "app", &answers[0]);
    start_waiting(&here, "app", &answers[1]);
    wisp_provider_close(here.provider, on_closed, &here.is_closed);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(answers[i].n, 1);
        CHECK_INT(answers[i].err.kind, WISP_ERR_UNAVAILABLE);
        CHECK_HAS(answers[i].err.text, "`gr` is being stopped");
    }
    CHECK_TEXT(log_of(&here), "open;+app/default=Hi;cancelled;cancelled;");
    struct answer refused = greet_as(&here, "app", "");
    CHECK_INT(refused.err.kind, WISP_ERR_UNAVAILABLE);
    CHECK_FAILS(put(here.provider, "app", "more", "{}", &here.err), UNAVAILABLE);
    struct wisp_err err = {.kind = WISP_ERR_CANCELLED, .text = "given up"};
    wisp_provider_return(the_greeter.waiting[1], &WISP_STR("x"));
    CHECK_TEXT(log_of(&here), "");
    wisp_provider_fail(the_greeter.waiting[0], &err);
    CHECK_TEXT(log_of(&here), "-app/default=Hi;close;");
    uv_run(&here.loop, UV_RUN_DEFAULT);
    CHECK(here.is_closed);
    CHECK_INT(answers[0].n + answers[1].n, 2);
    CHECK_INT(uv_loop_close(&here.loop), 0);
}

TEST(draining_waits_for_what_is_under_way)
{
    struct here here;
    struct answer answers[2] = {0};
    bool is_drained = false;
    here_init(&here, NULL);
    start_waiting(&here, "app", &answers[0]);
    wisp_provider_hold(here.provider);
    wisp_provider_drain(here.provider, on_closed, &is_drained);
    CHECK_TEXT(log_of(&here), "open;drain;");
    start_waiting(&here, "app", &answers[1]); /* calls are still taken */
    wisp_provider_return(the_greeter.waiting[0], &WISP_STR("0"));
    wisp_provider_return(the_greeter.waiting[1], &WISP_STR("1"));
    CHECK_INT(answers[0].n + answers[1].n, 2);
    CHECK_TEXT(log_of(&here), "");
    CHECK(!is_drained);
    wisp_provider_release(here.provider);
    CHECK(!is_drained);
    uv_run(&here.loop, UV_RUN_DEFAULT);
    CHECK(is_drained);
    here_deinit(&here);
}

/* --- links --- */

TEST(a_changed_link_is_a_new_one)
{
    struct here here;
    struct answer answer = {0};
    here_init(&here, NULL);
    CHECK_OK(put(here.provider, "app", "default", "{\"greeting\":\"one\",\"x\":\"1\"}", &here.err), &here.err);
    CHECK_OK(put(here.provider, "app", "default", "{\"x\":\"1\",\"greeting\":\"one\"}", &here.err), &here.err);
    CHECK_TEXT(log_of(&here), "open;+app/default=one;");
    start_waiting(&here, "app", &answer);
    CHECK_OK(put(here.provider, "app", "default", "{\"greeting\":\"two\"}", &here.err), &here.err);
    CHECK_TEXT(log_of(&here), "+app/default=two;");
    CHECK_HAS(greet_as(&here, "app", "").text, "two Ann");
    wisp_provider_return(the_greeter.waiting[0], &WISP_STR("done"));
    CHECK_TEXT(log_of(&here), "-app/default=one;");
    del(here.provider, "app", "other");
    del(here.provider, "app", "default");
    del(here.provider, "app", "default");
    CHECK_TEXT(log_of(&here), "-app/default=two;");
    CHECK_HAS(greet_as(&here, "app", "").text, "Hello Ann");
    here_deinit(&here);
}

TEST(a_link_that_is_refused)
{
    struct here here;
    here_init(&here, NULL);
    CHECK_OK(put(here.provider, "app", "default", "{\"greeting\":\"one\"}", &here.err), &here.err);
    CHECK_FAILS(put(here.provider, "app", "default", "{\"greeting\":\"rude\"}", &here.err), INVALID);
    CHECK_TEXT(here.err.text, "link `default` from `app` to `gr`: `greeting` must be polite");
    CHECK_TEXT(log_of(&here), "open;+app/default=one;-app/default=one;");
    struct answer answer = greet_as(&here, "app", "");
    CHECK_INT(answer.err.kind, WISP_ERR_INVALID);
    CHECK_HAS(answer.err.text, "must be polite");
    CHECK_FAILS(put(here.provider, "app", "default", "{\"greeting\":\"rude\"}", &here.err), INVALID);
    CHECK_OK(put(here.provider, "app", "default", "{}", &here.err), &here.err);
    CHECK_HAS(greet_as(&here, "app", "").text, "Hello Ann");
    here_deinit(&here);
}

static int put_text(struct here *here, const char *text)
{
    json_t *json = json_of(text);
    int r = wisp_provider_put_link(here->provider, json, &here->err);
    json_decref(json);
    return r;
}

TEST(malformed_links)
{
    struct here here;
    here_init(&here, NULL);
    CHECK_FAILS(put_text(&here, "[]"), INVALID);
    CHECK_FAILS(put_text(&here, "{\"source_id\":\"app\"}"), INVALID);
    CHECK_FAILS(put_text(&here, "{\"source_id\":\"app\",\"target\":\"kv\",\"wit_namespace\":\"a\",\"wit_package\":"
                                "\"b\"}"),
                INVALID);
    CHECK_HAS(here.err.text, "from `app` to `kv` came to provider `gr`");
    CHECK_FAILS(put_text(&here, "{\"source_id\":\"app\",\"target\":\"gr\",\"wit_namespace\":\"a\",\"wit_package\":"
                                "\"b\",\"interfaces\":[1]}"),
                INVALID);
    CHECK_FAILS(put(here.provider, "app", "default", "{\"password\":17}", &here.err), INVALID);
    CHECK_HAS(here.err.text, "configuration: `password` is no text");
    CHECK_TEXT(log_of(&here), "open;");
    here_deinit(&here);
}

TEST(a_source_with_a_nul_in_its_name)
{
    struct here here;
    here_init(&here, NULL);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(put(here.provider, "a\\u0000b", "default", "{}", &here.err), &here.err);
        log_of(&here);
        del(here.provider, "a\\u0000b", "default");
        log_of(&here);
    }
    here_deinit(&here);
}

TEST(links_of_several_packages_and_directions)
{
    struct here here;
    here_init(&here, NULL);
    CHECK_OK(put_text(&here, "{\"source_id\":\"app\",\"target\":\"gr\",\"wit_namespace\":\"wasi\",\"wit_package\":"
                             "\"x\",\"interfaces\":[\"greeter\"],\"target_config\":{\"greeting\":\"wrong\"}}"),
             &here.err);
    CHECK_HAS(greet_as(&here, "app", "").text, "wrong Ann");
    CHECK_OK(put(here.provider, "app", "default", "{\"greeting\":\"right\"}", &here.err), &here.err);
    CHECK_HAS(greet_as(&here, "app", "").text, "right Ann");
    CHECK_OK(put_text(&here, "{\"source_id\":\"gr\",\"target\":\"app2\",\"wit_namespace\":\"acme\",\"wit_package\":"
                             "\"hello\",\"interfaces\":[\"listener\"],\"source_config\":{\"greeting\":\"src\"}}"),
             &here.err);
    CHECK_HAS(greet_as(&here, "app2", "").text, "Hello Ann");
    CHECK_TEXT(log_of(&here), "open;+app/default=wrong;+app/default=right;+app2/default=src;");
    here_deinit(&here);
}

static void set_links(struct here *here, json_t *list)
{
    wisp_provider_set_links(here->provider, list);
    json_decref(list);
}

TEST(all_links_at_once)
{
    struct here here;
    here_init(&here, NULL);
    set_links(&here, json_pack("[o,o]", link_json("a", "default", "{}"), link_json("b", "default", "{}")));
    CHECK_TEXT(log_of(&here), "open;+a/default=;+b/default=;");
    set_links(&here, json_pack("[o,o,i]", link_json("c", "default", "{\"greeting\":\"rude\"}"),
                               link_json("b", "default", "{}"), 7));
    CHECK_TEXT(log_of(&here), "-a/default=;");
    CHECK_HAS(greet_as(&here, "c", "").err.text, "must be polite");
    set_links(&here, json_array());
    CHECK_TEXT(log_of(&here), "-b/default=;");
    CHECK_HAS(greet_as(&here, "c", "").text, "Hello");
    here_deinit(&here);
}

/* --- configuration --- */

static int set_config(struct here *here, const char *text)
{
    json_t *config = json_of(text);
    int r = wisp_provider_set_config(here->provider, config, NULL, &here->err);
    json_decref(config);
    return r;
}

TEST(configuration_reaches_links)
{
    struct here here;
    here_init(&here, "{\"greeting\":\"all\"}");
    CHECK_OK(put(here.provider, "a", "default", "{}", &here.err), &here.err);
    CHECK_OK(put(here.provider, "b", "default", "{\"greeting\":\"own\"}", &here.err), &here.err);
    CHECK_HAS(greet_as(&here, "a", "").text, "all Ann");
    CHECK_HAS(greet_as(&here, "b", "").text, "own Ann");
    CHECK_TEXT(log_of(&here), "open;+a/default=all;+b/default=own;");

    CHECK_OK(set_config(&here, "{\"greeting\":\"all\"}"), &here.err);
    CHECK_TEXT(log_of(&here), "");
    CHECK_OK(set_config(&here, "{\"greeting\":\"new\"}"), &here.err);
    CHECK_HAS(greet_as(&here, "a", "").text, "new Ann");
    CHECK_TEXT(log_of(&here), "config;+a/default=new;+b/default=own;-a/default=all;-b/default=own;");

    the_greeter.refuses_config = true;
    CHECK_FAILS(set_config(&here, "{\"greeting\":\"newer\"}"), INVALID);
    CHECK_TEXT(log_of(&here), "config;");
    CHECK_STR(wisp_settings_get(&here.provider->settings, "greeting"), "new");
    CHECK_FAILS(set_config(&here, "{\"greeting\":7}"), INVALID);
    here_deinit(&here);
}

TEST(settings)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_settings settings, same;
    struct wisp_err err;
    json_t *config = json_of("{\"url\":\"plain\",\"b\":\"Yes\",\"n\":\"17\",\"empty\":\"\"}");
    json_t *secrets = json_of("{\"URL\":\"secret\",\"key\":{\"bytes\":\"AAEC\"},\"old\":{\"kind\":\"Bytes\",\"value\":"
                              "[104,105]},\"text\":{\"kind\":\"String\",\"value\":\"t\"}}");
    bool flag;
    uint64_t number;
    CHECK_OK(wisp_settings_read(&settings, config, secrets, &arena, &err), &err);
    CHECK_OK(wisp_settings_read(&same, config, secrets, &arena, &err), &err);
    CHECK(wisp_settings_equal(&settings, &same));
    CHECK_INT(settings.n, 8);
    CHECK_STR(wisp_settings_get(&settings, "url"), "secret");
    CHECK_STR(wisp_settings_get(&settings, "OLD"), "hi");
    CHECK_STR(wisp_settings_get(&settings, "text"), "t");
    CHECK_INT(wisp_settings_get(&settings, "key").len, 3);
    CHECK(wisp_settings_get(&settings, "empty").ptr);
    CHECK(!wisp_settings_get(&settings, "none").ptr);
    CHECK_OK(wisp_settings_bool(&settings, "b", false, &flag, &err), &err);
    CHECK(flag);
    CHECK_OK(wisp_settings_bool(&settings, "none", false, &flag, &err), &err);
    CHECK(!flag);
    CHECK_FAILS(wisp_settings_bool(&settings, "n", false, &flag, &err), INVALID);
    CHECK_OK(wisp_settings_uint(&settings, "n", 3, &number, &err), &err);
    CHECK_INT(number, 17);
    CHECK_FAILS(wisp_settings_uint(&settings, "text", 3, &number, &err), INVALID);
    CHECK_TEXT(err.text, "`text` is no number");
    json_decref(secrets);
    secrets = json_of("{\"key\":{\"bytes\":\"secret!\"}}");
    CHECK_FAILS(wisp_settings_read(&same, NULL, secrets, &arena, &err), INVALID);
    CHECK_TEXT(err.text, "secrets: `key` has bytes that are no base64");
    json_decref(secrets);
    json_decref(config);
}

/* --- kinds that contradict themselves --- */

static void check_defect(const struct wisp_provider_kind *kind, const char *words)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct wisp_provider *provider;
    struct wisp_err err;
    struct wisp_provider_options options = {
        .kind = kind, .id = "gr", .lattice = "default", .host_id = "N", .loop = &loop};
    CHECK_FAILS(wisp_provider_new(&provider, &options, &err), INTERNAL);
    CHECK_HAS(err.text, words);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&loop), 0);
}

TEST(defects_of_kinds)
{
    struct wisp_provider_func func = greeter_funcs[0];
    struct wisp_provider_interface interface = {.name = "a:b/c", .funcs = &func, .n_funcs = 1, .types = greeter_types};
    const struct wisp_provider_interface *interfaces[] = {&interface};
    struct wisp_provider_kind kind = {.name = "bad", .exports = interfaces, .n_exports = 1};
    func.args_size++;
    check_defect(&kind, "provider `bad`: interface `a:b/c`: function `greet`: the C struct of the arguments has");
    func = greeter_funcs[0];
    func.result_size = 0;
    check_defect(&kind, "the C struct of the result has 0 bytes");
    func = greeter_funcs[0];
    func.fn = NULL;
    check_defect(&kind, "nothing to call");
    func = greeter_funcs[0];
    func.signature = "(human)";
    check_defect(&kind, "expected a type at column 2");
    interface.types = (const char *const[]){"person = record{", NULL};
    check_defect(&kind, "type `person = record{`");
}

TEST(open_refuses)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    struct wisp_provider *provider;
    struct wisp_err err;
    json_t *config = json_of("{\"broken\":\"yes\"}");
    struct wisp_provider_options options = {
        .kind = &greeter_kind, .id = "gr", .lattice = "default", .host_id = "N", .loop = &loop, .config = config};
    CHECK_FAILS(wisp_provider_new(&provider, &options, &err), INVALID);
    CHECK_TEXT(err.text, "it is broken");
    json_decref(config);
    CHECK_INT(uv_loop_close(&loop), 0);
}

/* --- calling components --- */

struct world {
    struct here *here;
    bool is_elsewhere;
    wisp_provider_on_result *on_result;
    void *result_env;
    unsigned n_cancelled;
};

static int world_invoke(void *env, struct wisp_provider *provider, const struct wisp_provider_export *import,
                        const void *args, const struct wisp_provider_request *request, void **ret_handle,
                        struct wisp_err *err)
{
    struct world *world = env;
    (void)provider, (void)args;
    CHECK_TEXT(import->func->name, "heard");
    CHECK_INT(request->timeout_ms, 10000);
    CHECK_STR(request->traceparent, "00-trace");
    if (world->is_elsewhere)
        return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "`%.*s` is not here", WISP_STR_ARG(request->target_id));
    world->on_result = request->on_result;
    world->result_env = request->env;
    *ret_handle = world;
    return 0;
}

static void world_cancel(void *env, void *handle)
{
    struct world *world = env;
    CHECK(handle == world);
    world->n_cancelled++;
}

TEST(invocations_in_this_process)
{
    struct here here = {0};
    struct world world = {.here = &here};
    struct answer answer = {0};
    struct wisp_provider_invocation *invocation;
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    uv_loop_init(&here.loop);
    struct wisp_provider_options options = {.kind = &greeter_kind,
                                            .id = "gr",
                                            .lattice = "default",
                                            .host_id = "N",
                                            .loop = &here.loop,
                                            .world = {world_invoke, world_cancel, &world}};
    CHECK_OK(wisp_provider_new(&here.provider, &options, &here.err), &here.err);
    const struct wisp_provider_request request = {.target_id = WISP_STR("app"),
                                                  .arena = &arena,
                                                  .on_result = on_text,
                                                  .env = &answer,
                                                  .traceparent = WISP_STR("00-trace")};
#define INVOKE()                                                                                                       \
    wisp_provider_invoke(here.provider, &listener_interface, &listener_funcs[0], &WISP_STR("x"), &request,             \
                         &invocation, &here.err)
    CHECK_OK(INVOKE(), &here.err);
    world.on_result(&WISP_STR("ok"), NULL, world.result_env);
    CHECK_TEXT(answer.text, "ok");
    CHECK_OK(INVOKE(), &here.err);
    wisp_provider_invocation_cancel(invocation);
    CHECK_INT(world.n_cancelled, 1);
    CHECK_OK(INVOKE(), &here.err);
    world.is_elsewhere = true;
    CHECK_FAILS(INVOKE(), UNAVAILABLE);
    CHECK_FAILS(wisp_provider_invoke(here.provider, &greeter_interface, &greeter_funcs[1], NULL, &request, &invocation,
                                     &here.err),
                INTERNAL);
    here_deinit(&here);
    CHECK_INT(world.n_cancelled, 2);
    CHECK_INT(answer.n, 1);
}

TEST(health)
{
    struct here here;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    here_init(&here, NULL);
    CHECK(wisp_provider_is_healthy(here.provider, &text));
    the_greeter.is_ill = true;
    CHECK(!wisp_provider_is_healthy(here.provider, &text));
    CHECK_STR(wisp_buf_str(&text), "a cold");
    here_deinit(&here);
}
