/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP on the wire: each side against messages written by hand, among them what the original's host and HTTP server
 * send. */
#include "wrpc/http_rig.h"

#define SUBJECT "default.app.wrpc.0.0.1.wrpc:http/incoming-handler@0.1.0.handle"

#define SETUP(name)                                                                                                    \
    struct http_rig name;                                                                                              \
    http_rig_init(&name);                                                                                              \
    serve_app(&name)

static char *below(struct http_rig *rig, const char *path)
{
    return wisp_arena_printf(&rig->base.arena, "%s.%s", heard_reply(&rig->base), path);
}

/* --- the served side --- */

static void listen_for_results(struct http_rig *rig)
{
    listen_by_hand(&rig->base, "C");
    listen_by_hand(&rig->base, "C.>");
}

TEST(the_originals_get)
{
    SETUP(rig);
    use_echo(&rig);
    listen_for_results(&rig);
    say(&rig.base, SUBJECT, "C", "00 00 00 01 01 2f 01 00 01 09 6c 6f 63 61 6c 68 6f 73 74 00");
    AWAIT(&rig.base.loop, rig.base.n_heard >= 3);
    CHECK_TEXT(rig.log, "GET http://localhost/;");
    CHECK_INT(heard_on(&rig.base, "C"), 2); /* it did not say that it heard the first accept */
    CHECK_HAS(heard(&rig.base), "\nC.results 000000c80100\nC.results \n");
    /* Body and trailers, with the ends that mean nothing between them. */
    say(&rig.base, below(&rig, "params"), "", "");
    say(&rig.base, below(&rig, "params.0"), "", "");
    say(&rig.base, below(&rig, "params.0.0"), "", "00");
    say(&rig.base, below(&rig, "params.0.0"), "", "");
    say(&rig.base, below(&rig, "params.0.1"), "", "00");
    say(&rig.base, below(&rig, "params.0.1"), "", "");
    AWAIT(&rig.base.loop, heard_on(&rig.base, "C.results.0.1") == 2);
    CHECK_HAS(heard(&rig.base), "C.results.0.0 00\nC.results.0.0 \nC.results.0.1 00\nC.results.0.1 \n");
    CHECK_TEXT(rig.log, "GET http://localhost/;complete;");
    http_rig_deinit(&rig);
}

TEST(pieces_of_a_body_do_not_matter)
{
    SETUP(rig);
    rig.on_request = rig.on_body = read_all;
    listen_for_results(&rig);
    /* POST /, the head in two messages, the body's begin before the second. */
    say(&rig.base, SUBJECT, "C", "00 00 02 01");
    AWAIT(&rig.base.loop, rig.base.n_heard >= 1);
    const char *body = below(&rig, "params.0.0");
    say(&rig.base, body, "", "03 \"a\"");
    say(&rig.base, below(&rig, "params"), "", "01 \"/\" 00 00 00");
    say(&rig.base, body, "", "\"b\"");
    say(&rig.base, body, "", "\"c\" 81");
    say(&rig.base, body, "", "01");
    for (int i = 0; i < 129; i++) say(&rig.base, body, "", "\"d\"");
    say(&rig.base, body, "", "01 \"e\" 00");
    AWAIT(&rig.base.loop, rig.body.len == 133);
    CHECK_INT(heard_on(&rig.base, "C.results"), 0);
    say(&rig.base, below(&rig, "params.0.1"), "", "");
    AWAIT(&rig.base.loop, heard_on(&rig.base, "C.results") == 2);
    CHECK_HAS(heard(&rig.base), "C.results 0003313333");
    CHECK(wisp_str_starts_with(wisp_buf_str(&rig.body), WISP_STR("abcddd")));
    http_rig_deinit(&rig);
}

TEST(requests_that_are_wrong)
{
    SETUP(rig);
    static const struct {
        const char *params, *answer;
    } cases[] = {
        {"00 00 0a", "C.results \n"},                                        /* no such method */
        {"00 02", "C.results \n"},                                           /* no such future */
        {"00 00 00 00 00 00 00 00", "C.results \n"},                         /* a byte too much */
        {"00 00 09 01 \" \" 00 00 00 00", "C.results 000b4261642052657175"}, /* no token: 400 Bad Requ... */
        {"00 00 00 01 01 \"x\" 00 00 00", "C.results 000b"},                 /* a path without slash */
        {"00 00 00 01 03 \"/\" 0d 0a 00 00 00", "C.results 000b"},           /* a path of two lines */
        {"00 00 00 00 00 01 03 \"a@b\" 00", "C.results 000b"},               /* user information */
        {"00 00 00 00 00 00 01 01 \" \" 01 01 \"x\"", "C.results 000b"},     /* a header's name */
        {"00 00 00 00 00 00 01 01 \"a\" 01 01 0a", "C.results 000b"},        /* a header's value */
        {"01 \"x\" 01 00 00 00 00 00 01 0e \"content-length\" 01 01 \"2\"", "C.results 000b"}, /* a body too short */
        {"00 01 01 01 01 \" \" 01 00 00 00 00 00 00", "C.results 000b"},                       /* trailers */
    };
    listen_for_results(&rig);
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        forget(&rig.base);
        say(&rig.base, SUBJECT, "C", cases[i].params);
        AWAIT(&rig.base.loop, rig.base.n_heard >= 2);
        AWAIT(&rig.base.loop, wisp_wrpc_service_in_flight(rig.service) == 0);
        settle(&rig.base, &rig.base.hand);
        CHECK_HAS(heard(&rig.base), cases[i].answer);
    }
    CHECK_TEXT(rig.log, "");
    http_rig_deinit(&rig);
}

TEST(bodies_that_are_wrong)
{
    SETUP(rig);
    static const struct {
        const char *path, *hex, *outcome, *answer;
    } cases[] = {
        {"params.0.0", "80 00", "malformed;", "C.results 000b"},          /* a length that is longer than needed */
        {"params.0.0", "ff ff ff ff 1f", "malformed;", "C.results 000b"}, /* one that is too large */
        {"params.0.0", "", "malformed;", "C.results 000b"},               /* broken off */
        {"params.0.1", "02", "malformed;", "C.results 000b"},             /* no option */
    };
    rig.on_request = rig.on_body = read_all;
    listen_for_results(&rig);
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        forget(&rig.base);
        rig.log[0] = '\0';
        say(&rig.base, SUBJECT, "C", "00 00 02 00 00 00 00");
        AWAIT(&rig.base.loop, rig.base.n_heard >= 1);
        say(&rig.base, below(&rig, "params"), "", "");
        say(&rig.base, below(&rig, cases[i].path), "", cases[i].hex);
        AWAIT(&rig.base.loop, heard_on(&rig.base, "C.results") == 2);
        CHECK_HAS(rig.log, cases[i].outcome);
        CHECK_HAS(heard(&rig.base), cases[i].answer);
    }
    http_rig_deinit(&rig);
}

TEST(a_body_that_stops_coming)
{
    SETUP(rig);
    rig.on_request = rig.on_body = read_all;
    listen_for_results(&rig);
    say(&rig.base, SUBJECT, "C", "00 00 02 00 00 00 00");
    AWAIT(&rig.base.loop, heard_on(&rig.base, "C.results") == 2);
    CHECK_HAS(rig.log, "timeout;");
    CHECK_HAS(heard(&rig.base), "C.results 000f526571756573742054696d656f7574"); /* Request Timeout */
    forget(&rig.base);
    say(&rig.base, SUBJECT, "C", "00 00");
    AWAIT(&rig.base.loop, heard_on(&rig.base, "C.results") > 0);
    http_rig_deinit(&rig);
}

TEST(a_body_that_nobody_reads_is_bounded)
{
    SETUP(rig);
    size_t size = 1 << 20;
    char *piece = wisp_arena_calloc(&rig.base.arena, 1, size);
    memcpy(piece, "\xfd\xff\x3f", 3); /* a chunk that fills the message */
    listen_for_results(&rig);
    say(&rig.base, SUBJECT, "C", "00 00 02 00 00 00 00");
    AWAIT(&rig.base.loop, rig.exchange && rig.base.n_heard >= 1);
    const char *body = below(&rig, "params.0.0");
    for (int i = 0; i < 5; i++)
        CHECK_OK(wisp_bus_publish(rig.base.hand.client, wisp_str_from(body), WISP_STR(""), NULL, 0,
                                  (struct wisp_str){piece, size}, &rig.base.err),
                 &rig.base.err);
    AWAIT(&rig.base.loop, !rig.exchange);
    CHECK_HAS(rig.log, "large;");
    AWAIT(&rig.base.loop, heard_on(&rig.base, "C.results") == 2);
    http_rig_deinit(&rig);
}

/* --- the forwarding side --- */

/* Waits for the forwarded request; the inbox to answer to. */
static void await_request(struct http_rig *rig, char inbox[256])
{
    AWAIT(&rig->base.loop, rig->base.n_heard > 0);
    strcpy(inbox, heard_reply(&rig->base));
}

static void say_to(struct http_rig *rig, const char *inbox, const char *path, const char *reply, const char *hex)
{
    say(&rig->base, wisp_arena_printf(&rig->base.arena, "%s%s", inbox, path), reply, hex);
}

static void by_hand(struct http_rig *rig)
{
    http_rig_init(rig);
    listen_by_hand(&rig->base, "default.>");
    listen_by_hand(&rig->base, "S.>");
}

TEST(what_is_forwarded)
{
    struct http_rig rig;
    char inbox[256];
    by_hand(&rig);
    client_says(&rig, "GET / HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nx: 1\r\nX: 2\r\n\r\n");
    await_request(&rig, inbox);
    CHECK_HAS(heard(&rig.base), SUBJECT " reply:_INBOX.");
    CHECK_HAS(heard(&rig.base), " source-id:front target-id:app wisp-window:1048576 "
                                "000100"                             /* body to come, no trailers */
                                "0001012f0100"                       /* get, path, scheme */
                                "01096c6f63616c686f7374"             /* authority */
                                "0204686f737401096c6f63616c686f7374" /* host */
                                "01780201310132\n");
    forget(&rig.base);
    say_to(&rig, inbox, "", "S", "");
    AWAIT(&rig.base.loop, rig.base.n_heard == 3);
    CHECK_TEXT(heard(&rig.base), "S.params \nS.params.0.0 00\nS.params.0.0 \n");
    /* Status 200 without headers, as the original's host answers. */
    say_to(&rig, inbox, ".results", "", "00 00 00 c8 01 00");
    say_to(&rig, inbox, ".results", "", "");
    say_to(&rig, inbox, ".results.0", "", "");
    say_to(&rig, inbox, ".results.0.0", "", "02 \"ok\" 00");
    say_to(&rig, inbox, ".results.0.0", "", "");
    say_to(&rig, inbox, ".results.0.1", "", "01 01 01 \"t\" 01 01 \"u\"");
    say_to(&rig, inbox, ".results.0.1", "", "");
    AWAIT(&rig.base.loop, ends_with(&rig, "\r\n\r\n2\r\nok\r\n0\r\nt: u\r\n\r\n"));
    CHECK_HAS(received(&rig), "HTTP/1.1 200 OK\r\n");
    http_rig_deinit(&rig);
}

TEST(all_error_codes)
{
    static const struct {
        const char *result, *status;
    } cases[] = {
        {"01 00", "504"},
        {"01 01 01 01 \"x\" 01 05", "502"},
        {"01 01 00 00", "502"},
        {"01 02", "502"},
        {"01 03", "503"},
        {"01 04", "502"},
        {"01 05", "502"},
        {"01 06", "502"},
        {"01 07", "502"},
        {"01 08", "504"},
        {"01 09", "504"},
        {"01 0a", "504"},
        {"01 0b", "503"},
        {"01 0c", "502"},
        {"01 0d", "502"},
        {"01 0e 01 28 01 01 \"x\"", "502"},
        {"01 0f", "403"},
        {"01 10", "411"},
        {"01 11 01 80 01", "413"},
        {"01 12", "405"},
        {"01 13", "400"},
        {"01 14", "414"},
        {"01 15 01 05", "431"},
        {"01 16 01 01 01 \"n\" 01 05", "431"},
        {"01 17 00", "431"},
        {"01 18 00 00", "431"},
        {"01 19", "502"},
        {"01 1a 00", "502"},
        {"01 1b 01 01 \"n\" 00", "502"},
        {"01 1c 00", "502"},
        {"01 1d 00", "502"},
        {"01 1e 00 01 09", "502"},
        {"01 1f 01 01 \"x\"", "502"},
        {"01 20 00", "502"},
        {"01 21", "504"},
        {"01 22", "502"},
        {"01 23", "502"},
        {"01 24", "508"},
        {"01 25", "500"},
        {"01 26 01 01 \"x\"", "500"},
        {"01 26 00", "500"},
        /* And what is none. */
        {"01 27", "502"},
        {"02", "502"},
        {"00 00 00 64 00", "502"},                      /* status 100 */
        {"00 00 00 c8 01 01 01 0a 01 01 \"x\"", "502"}, /* a header of two lines */
        {"00 00 00 c8 01 01 0e \"content-length\" 01 01 \"x\"", "502"},
        {"", "500"},
    };
    struct http_rig rig;
    char inbox[256], status[32];
    by_hand(&rig);
    for (size_t i = 0; i < WISP_COUNT(cases); i++) {
        settle(&rig.base, &rig.base.caller.bus);
        settle(&rig.base, &rig.base.hand);
        forget(&rig.base);
        rig.received.len = 0;
        client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        await_request(&rig, inbox);
        say_to(&rig, inbox, "", "S", "");
        say_to(&rig, inbox, ".results", "", cases[i].result);
        snprintf(status, sizeof status, "HTTP/1.1 %s ", cases[i].status);
        AWAIT(&rig.base.loop, ends_with(&rig, "\n") && has_received(&rig, "\r\n\r\n"));
        CHECK_HAS(received(&rig), status);
    }
    http_rig_deinit(&rig);
}

TEST(a_response_that_stops_coming)
{
    struct http_rig rig;
    char inbox[256];
    by_hand(&rig);
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await_request(&rig, inbox);
    say_to(&rig, inbox, "", "S", "");
    say_to(&rig, inbox, ".results", "", "00 00 00 c8 01 00");
    say_to(&rig, inbox, ".results.0.0", "", "05 \"ab\"");
    AWAIT(&rig.base.loop, has_received(&rig, "ab"));
    AWAIT(&rig.base.loop, rig.is_over);
    CHECK_INT(rig.front_outcome, WISP_HTTP_ABORTED);
    http_rig_deinit(&rig);
}

TEST(flow_control)
{
    struct http_rig rig;
    char inbox[256];
    by_hand(&rig);
    client_says(&rig, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n");
    await_request(&rig, inbox);
    forget(&rig.base);
    struct wisp_bus_header window = {WISP_STR("wisp-window"), WISP_STR("4")};
    CHECK_OK(wisp_bus_publish(rig.base.hand.client, wisp_str_from(inbox), WISP_STR("S"), &window, 1, WISP_STR(""),
                              &rig.base.err),
             &rig.base.err);
    AWAIT(&rig.base.loop, rig.base.n_heard == 2);
    CHECK_TEXT(heard(&rig.base), "S.params \nS.params.0.0 0430313233\n");
    say_to(&rig, inbox, ".credit", "", "03"); /* less than before means nothing */
    say_to(&rig, inbox, ".credit", "", "80"); /* nor does half a number */
    say_to(&rig, inbox, ".credit", "", "09");
    AWAIT(&rig.base.loop, rig.base.n_heard == 3);
    CHECK_HAS(heard(&rig.base), "S.params.0.0 053435363738\n");
    forget(&rig.base);
    /* The response is read, which allows more of it. */
    size_t size = 900 << 10;
    char *piece = wisp_arena_calloc(&rig.base.arena, 1, size + 3);
    memcpy(piece, "\x80\xa0\x38", 3);
    say_to(&rig, inbox, ".results", "", "00 00 00 c8 01 00");
    CHECK_OK(wisp_bus_publish(rig.base.hand.client,
                              wisp_str_from(wisp_arena_printf(&rig.base.arena, "%s.results.0.0", inbox)), WISP_STR(""),
                              NULL, 0, (struct wisp_str){piece, size + 3}, &rig.base.err),
             &rig.base.err);
    AWAIT(&rig.base.loop, rig.base.n_heard >= 1);
    CHECK_HAS(heard(&rig.base), "S.credit ");
    http_rig_deinit(&rig);
}

TEST(a_client_slower_than_a_sender_without_flow_control)
{
    struct http_rig rig;
    char inbox[256];
    by_hand(&rig);
    size_t size = 1 << 20;
    char *piece = wisp_arena_calloc(&rig.base.arena, 1, size);
    memcpy(piece, "\xfd\xff\x3f", 3); /* a chunk that fills the message */
    client_connect(&rig);
    uv_read_stop((uv_stream_t *)&rig.tcp);
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await_request(&rig, inbox);
    const char *body = wisp_arena_printf(&rig.base.arena, "%s.results.0.0", inbox);
    say_to(&rig, inbox, "", "S", "");
    say_to(&rig, inbox, ".results", "", "00 00 00 c8 01 00");
    /* The kernel's buffers take some of it, too. */
    for (int i = 0; i < 60 && rig.n_front_closed == 0; i++) {
        CHECK_OK(wisp_bus_publish(rig.base.hand.client, wisp_str_from(body), WISP_STR(""), NULL, 0,
                                  (struct wisp_str){piece, size}, &rig.base.err),
                 &rig.base.err);
        settle(&rig.base, &rig.base.hand);
        settle(&rig.base, &rig.base.caller.bus);
    }
    CHECK_INT(rig.n_front_closed, 1);
    CHECK_INT(rig.front_outcome, WISP_HTTP_ABORTED);
    http_rig_deinit(&rig);
}

TEST(a_response_that_is_not_what_it_says)
{
    static const char *const bodies[] = {"03 \"abc\"", "01 \"a\" 00", "80 00", ""};
    for (size_t i = 0; i < WISP_COUNT(bodies); i++) {
        struct http_rig rig;
        char inbox[256];
        by_hand(&rig);
        client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        await_request(&rig, inbox);
        say_to(&rig, inbox, "", "S", "");
        say_to(&rig, inbox, ".results", "", "00 00 01 00 c8 01 01 0e \"content-length\" 01 01 \"2\"");
        AWAIT(&rig.base.loop, has_received(&rig, "\r\n\r\n"));
        say_to(&rig, inbox, ".results.0.0", "", bodies[i]);
        AWAIT(&rig.base.loop, rig.is_over);
        CHECK_INT(rig.front_outcome, WISP_HTTP_ABORTED);
        http_rig_deinit(&rig);
    }
}

TEST(a_whole_response_in_one_message)
{
    struct http_rig rig;
    char inbox[256];
    by_hand(&rig);
    client_says(&rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await_request(&rig, inbox);
    say_to(&rig, inbox, "", "S", "");
    say_to(&rig, inbox, ".results", "", "00 02 \"ok\" 01 00 c8 01 00");
    AWAIT(&rig.base.loop, has_received(&rig, "ok"));
    http_rig_deinit(&rig);
}
