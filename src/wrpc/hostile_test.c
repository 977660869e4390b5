/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that say anything at any time, over a real nats-server: calls end once, with a result or an error, nothing is
 * kept, and those of others go on. WISP_SEED repeats a run. */
#include "wrpc/call.h"
#include "wrpc/serve.h"
#include "wrpc/wrpc_rig.h"

#include <stdlib.h>

enum { CALLS = 120, MESSAGES_MAX = 7, TIMEOUT_MS = 20 };

static const char *const types[] = {"(string) -> string", "(string)", "(string) -> result<list<u8>, string>",
                                    "(string) -> stream<u8>", "(stream<u8>, string) -> u32"};
static const struct wisp_wrpc_function names[] = {
    {WISP_STR_INIT("test:hostile/all@1.0.0"), WISP_STR_INIT("a")},
    {WISP_STR_INIT("test:hostile/all@1.0.0"), WISP_STR_INIT("b")},
    {WISP_STR_INIT("test:hostile/all@1.0.0"), WISP_STR_INIT("c")},
    {WISP_STR_INIT("test:hostile/all@1.0.0"), WISP_STR_INIT("d")},
    {WISP_STR_INIT("test:hostile/all@1.0.0"), WISP_STR_INIT("e")},
};

/* --- chance --- */

static uint64_t state;

static void seed(void)
{
    const char *wanted = getenv("WISP_SEED");
    state = wanted ? strtoull(wanted, NULL, 10) : 20;
    printf("WISP_SEED=%llu\n", (unsigned long long)state);
    state = state * 6364136223846793005u + 1442695040888963407u;
}

static size_t draw(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % n);
}

/* Bytes that are often nearly right. */
static struct wisp_str draw_payload(char bytes[64])
{
    static const struct wisp_str likely[] = {
        WISP_STR_INIT(""),
        WISP_STR_INIT("\x03"
                      "bob"),
        WISP_STR_INIT("\x00"),
        WISP_STR_INIT("\x01\x05hello"),
        WISP_STR_INIT("\x00\x03"
                      "abc"),
        WISP_STR_INIT("\xff\xff\xff\xff\x0f"),
        WISP_STR_INIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
    };
    if (draw(3)) return likely[draw(WISP_COUNT(likely))];
    size_t size = draw(64);
    for (size_t i = 0; i < size; i++) bytes[i] = (char)draw(256);
    return (struct wisp_str){bytes, size};
}

static size_t draw_headers(struct wisp_bus_header headers[3])
{
    static const struct wisp_bus_header all[] = {
        {WISP_STR_INIT("wisp-probe"), WISP_STR_INIT("1")},
        {WISP_STR_INIT("wisp-direct"), WISP_STR_INIT("1")},
        {WISP_STR_INIT("wisp-failed"), WISP_STR_INIT("1")},
        {WISP_STR_INIT("wisp-window"), WISP_STR_INIT("0")},
        {WISP_STR_INIT("wisp-window"), WISP_STR_INIT("18446744073709551615")},
        {WISP_STR_INIT("wisp-window"), WISP_STR_INIT("-1x")},
        {WISP_STR_INIT("source-id"), WISP_STR_INIT("\xff.>*")},
        {WISP_STR_INIT("traceparent"), WISP_STR_INIT("00-zz")},
    };
    size_t n = draw(4);
    for (size_t i = 0; i < n; i++) headers[i] = all[draw(WISP_COUNT(all))];
    return n;
}

static const char *draw_reply(void)
{
    static const char *const replies[] = {"", "", "S", "S.params", "_INBOX.nobody.1"};
    return replies[draw(WISP_COUNT(replies))];
}

static void say_anything(struct rig *rig, const char *inbox)
{
    static const char *const below[] = {
        "",          ".results", ".results",  ".results.0", ".results.0.1", ".results.x", ".params",
        ".params.0", ".credit",  ".credit.0", ".probe",     ".other",       ".params.9",  ".results.4294967296"};
    struct wisp_bus_header headers[3];
    char subject[300], bytes[64];
    size_t n = draw_headers(headers);
    snprintf(subject, sizeof subject, "%s%s", inbox, below[draw(WISP_COUNT(below))]);
    CHECK_OK(wisp_bus_publish(rig->hand.client, wisp_str_from(subject), wisp_str_from(draw_reply()), headers, n,
                              draw_payload(bytes), &rig->err),
             &rig->err);
}

/* --- honest ones --- */

struct answer {
    const struct wisp_func_type *type;
    struct rig *rig;
    unsigned n;
    bool is_text, has_text;
};

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    answer->n++;
    CHECK(!err || err->text[0]);
    if (!result) return;
    if (answer->is_text) answer->has_text = wisp_str_is(*(const struct wisp_str *)result, "bob");
    wisp_wrpc_value_close(answer->type->result, (void *)(uintptr_t)result);
}

static void start(struct rig *rig, const char *id, size_t which, uint64_t timeout_ms, struct answer *answer)
{
    static const struct wisp_bus_header headers[] = {{WISP_STR_INIT("source-id"), WISP_STR_INIT("me")}};
    struct wisp_wrpc_call *call;
    const struct wisp_wrpc_target target = {.id = wisp_str_from(id),
                                            .function = names[which],
                                            .headers = headers,
                                            .n_headers = draw(2),
                                            .timeout_ms = timeout_ms};
    *answer = (struct answer){.type = func_of(&rig->arena, types[which]), .rig = rig, .is_text = which == 0};
    CHECK_OK(wisp_wrpc_call_start(rig->caller.wrpc, &target, answer->type, &WISP_STR("bob"), &rig->arena, on_result,
                                  answer, &call, &rig->err),
             &rig->err);
}

static const struct wisp_func_type *served[WISP_COUNT(types)];

static void on_call(struct wisp_wrpc_incoming *incoming, const void *args, void *env)
{
    const struct wisp_func_type *const *type = env;
    struct wisp_err err;
    if (type == &served[0]) {
        (void)!wisp_wrpc_incoming_finish(incoming, args, &err);
        return;
    }
    wisp_wrpc_params_close(*type, (void *)(uintptr_t)args);
    wisp_wrpc_incoming_fail(incoming);
}

static struct wisp_wrpc_service *serve(struct rig *rig, const char *id)
{
    struct wisp_wrpc_service *service;
    CHECK_OK(wisp_wrpc_service_new(&service, rig->callee.wrpc, wisp_str_from(id), &rig->err), &rig->err);
    for (size_t i = 0; i < WISP_COUNT(types); i++) {
        served[i] = func_of(&rig->arena, types[i]);
        CHECK_OK(wisp_wrpc_service_add(service, &names[i], served[i], on_call, &served[i], &rig->err), &rig->err);
    }
    settle(rig, &rig->callee.bus);
    return service;
}

static void check_honest_call(struct rig *rig)
{
    struct answer answer;
    start(rig, "honest", 0, 20000, &answer);
    AWAIT(&rig->loop, answer.n);
    CHECK(answer.has_text);
}

/* --- */

TEST(callees)
{
    struct rig rig;
    seed();
    rig_init(&rig);
    struct wisp_wrpc_service *honest = serve(&rig, "honest");
    listen_by_hand(&rig, "default.hostile.>");
    for (int i = 0; i < CALLS; i++) {
        struct answer answer;
        size_t n_messages = draw(MESSAGES_MAX);
        forget(&rig);
        start(&rig, "hostile", draw(4), TIMEOUT_MS, &answer);
        AWAIT(&rig.loop, rig.n_heard || answer.n);
        if (!rig.n_heard) continue;
        char inbox[256];
        snprintf(inbox, sizeof inbox, "%s", heard_reply(&rig));
        for (size_t k = 0; k < n_messages; k++) say_anything(&rig, inbox);
        AWAIT(&rig.loop, answer.n);
        say_anything(&rig, inbox); /* too late */
        settle(&rig, &rig.hand);
        CHECK_INT(answer.n, 1);
        if (i % 20 == 0) check_honest_call(&rig);
    }
    check_honest_call(&rig);
    wisp_wrpc_service_free(honest);
    rig_deinit(&rig);
}

TEST(callers)
{
    struct rig rig;
    seed();
    rig_init(&rig);
    struct wisp_wrpc_service *honest = serve(&rig, "honest");
    listen_by_hand(&rig, "C.>");
    for (int i = 0; i < CALLS; i++) {
        struct wisp_bus_header headers[3];
        char subject[100], bytes[64];
        size_t n = draw_headers(headers), n_messages = draw(MESSAGES_MAX);
        forget(&rig);
        snprintf(subject, sizeof subject, "default.honest.wrpc.0.0.1.test:hostile/all@1.0.0.%c", (char)('a' + draw(5)));
        CHECK_OK(wisp_bus_publish(rig.hand.client, wisp_str_from(subject),
                                  wisp_str_from(draw(8) ? "C.x" : draw_reply()), headers, n, draw_payload(bytes),
                                  &rig.err),
                 &rig.err);
        settle(&rig, &rig.hand);
        settle(&rig, &rig.callee.bus);
        settle(&rig, &rig.hand);
        if (!strstr(heard(&rig), "C.x reply:")) continue; /* refused, or answered in one message */
        char inbox[256];
        snprintf(inbox, sizeof inbox, "%s", heard_reply(&rig));
        for (size_t k = 0; k < n_messages; k++) say_anything(&rig, inbox);
        if (i % 20 == 0) check_honest_call(&rig);
    }
    check_honest_call(&rig);
    AWAIT(&rig.loop, wisp_wrpc_service_in_flight(honest) == 0); /* by the idle timeout at the latest */
    wisp_wrpc_service_free(honest);
    rig_deinit(&rig);
}
