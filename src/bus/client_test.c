/* SPDX-License-Identifier: Apache-2.0 */
/* The client against what this file plays as a server, on one end of a socket pair. */
#include "bus/client_priv.h"

#include "bus/client_rig.h"

#include <poll.h>

struct pair {
    uv_loop_t loop;
    struct told told;
    int fd; /* the server's end */
    struct wisp_buf heard;
};

static void say(struct pair *pair, const char *text) { CHECK_INT(write(pair->fd, text, strlen(text)), strlen(text)); }

/* Lets the client run until it has said that. */
static void hear(struct pair *pair, const char *words)
{
    for (;;) {
        ssize_t n = recv(pair->fd, wisp_buf_reserve(&pair->heard, 65536), 65535, MSG_DONTWAIT);
        if (n > 0) pair->heard.len += (size_t)n;
        pair->heard.data[pair->heard.len] = '\0';
        if (strstr(pair->heard.data, words)) break;
        uv_run(&pair->loop, UV_RUN_NOWAIT); /* what it says wakes nobody here */
        if (n <= 0) poll(&(struct pollfd){.fd = pair->fd, .events = POLLIN}, 1, 1);
    }
    pair->heard.len = 0;
}

#define INFO "INFO {\"server_id\":\"S1\",\"max_payload\":1000,\"headers\":true}\r\n"

static void begin(struct pair *pair, struct wisp_bus_client_options options)
{
    int fds[2];
    *pair = (struct pair){0};
    CHECK_INT(uv_loop_init(&pair->loop), 0);
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pair->fd = fds[0];
    options.fd = fds[1];
    connect_with(&pair->told, &pair->loop, options);
}

static void log_in(struct pair *pair, struct wisp_bus_client_options options)
{
    begin(pair, options);
    say(pair, INFO);
    hear(pair, "PING\r\n");
    say(pair, "PONG\r\n");
    AWAIT(&pair->loop, pair->told.n_connected);
}

static void end(struct pair *pair)
{
    wisp_bus_client_free(pair->told.client);
    close(pair->fd);
    wisp_buf_deinit(&pair->heard);
    end_loop(&pair->loop);
}

static void count(const struct wisp_bus_message *message, void *env)
{
    (void)message;
    ++*(unsigned *)env;
}

TEST(a_login_and_what_info_says)
{
    struct pair pair;
    log_in(&pair, (struct wisp_bus_client_options){0});
    CHECK_STR(wisp_bus_client_server_id(pair.told.client), "S1");
    CHECK_INT(wisp_bus_client_payload_max(pair.told.client), 1000);
    CHECK(!wisp_bus_client_has_jetstream(pair.told.client));
    CHECK_INT(wisp_bus_client_state(pair.told.client), WISP_BUS_CONNECTED);
    end(&pair);
}

TEST(what_waits_goes_out_in_order_after_the_subscriptions)
{
    struct pair pair;
    unsigned n = 0;
    struct wisp_err err = {0};
    begin(&pair, (struct wisp_bus_client_options){0});
    struct wisp_bus_client *client = pair.told.client;
    CHECK_OK(wisp_bus_publish(client, WISP_STR("a"), WISP_STR(""), NULL, 0, WISP_STR("1"), &err), &err);
    CHECK_OK(wisp_bus_subscribe(client, WISP_STR("x.>"), WISP_STR("q"), count, &n, NULL, &err), &err);
    CHECK_OK(wisp_bus_publish(client, WISP_STR("b"), WISP_STR("r"), NULL, 0, WISP_STR("22"), &err), &err);
    say(&pair, INFO);
    hear(&pair, "PING\r\n");
    say(&pair, "PONG\r\n");
    hear(&pair, "SUB x.> q 1\r\nPUB a 1\r\n1\r\nPUB b r 2\r\n22\r\n");
    end(&pair);
}

TEST(one_turn_is_one_write)
{
    struct pair pair;
    struct wisp_err err = {0};
    struct wisp_bus_header header = {WISP_STR("K"), WISP_STR("v")};
    log_in(&pair, (struct wisp_bus_client_options){0});
    for (int i = 0; i < 3; i++)
        CHECK_OK(wisp_bus_publish(pair.told.client, WISP_STR("s"), WISP_STR(""), &header, 1, WISP_STR("p"), &err),
                 &err);
    hear(&pair, "HPUB s 18 19\r\nNATS/1.0\r\nK: v\r\n\r\np\r\nHPUB s 18 19\r\nNATS/1.0\r\nK: v\r\n\r\np\r\n"
                "HPUB s 18 19\r\nNATS/1.0\r\nK: v\r\n\r\np\r\n");
    end(&pair);
}

TEST(what_cannot_be_published)
{
    struct pair pair;
    struct wisp_err err = {0};
    char large[1001];
    memset(large, 'x', sizeof large);
    log_in(&pair, (struct wisp_bus_client_options){.pending_bytes_max = 2000});
    struct wisp_bus_client *client = pair.told.client;
    struct wisp_str none = {0}, payload = {large, 1000};
    struct wisp_bus_header bad[] = {{WISP_STR("K"), WISP_STR("a\r\nB: c")}, {WISP_STR("K:"), WISP_STR("v")}};
    CHECK_FAILS(wisp_bus_publish(client, WISP_STR("a.*"), none, NULL, 0, none, &err), INVALID);
    CHECK_FAILS(wisp_bus_publish(client, WISP_STR("a b"), none, NULL, 0, none, &err), INVALID);
    CHECK_FAILS(wisp_bus_publish(client, WISP_STR("a"), WISP_STR("b\r\nPUB"), NULL, 0, none, &err), INVALID);
    CHECK_FAILS(wisp_bus_publish(client, WISP_STR("a"), none, &bad[0], 1, none, &err), INVALID);
    CHECK_FAILS(wisp_bus_publish(client, WISP_STR("a"), none, &bad[1], 1, none, &err), INVALID);
    CHECK_FAILS(wisp_bus_publish(client, WISP_STR("a"), none, NULL, 0, (struct wisp_str){large, 1001}, &err), LIMIT);
    CHECK_FAILS(wisp_bus_subscribe(client, WISP_STR("a.>.b"), none, count, NULL, NULL, &err), INVALID);
    CHECK_FAILS(wisp_bus_subscribe(client, WISP_STR("a"), WISP_STR("q q"), count, NULL, NULL, &err), INVALID);
    CHECK_OK(wisp_bus_publish(client, WISP_STR("a"), none, NULL, 0, payload, &err), &err);
    CHECK_FAILS(wisp_bus_publish(client, WISP_STR("a"), none, NULL, 0, payload, &err), LIMIT); /* pending */
    end(&pair);
}

struct once {
    struct wisp_bus_subscription *subscription;
    unsigned n;
};

static void unsubscribe_itself(const struct wisp_bus_message *message, void *env)
{
    struct once *once = env;
    CHECK_STR(message->payload, "1");
    once->n++;
    wisp_bus_unsubscribe(once->subscription);
}

TEST(no_message_after_unsubscribe_nor_for_the_next_owner_of_the_place)
{
    struct pair pair;
    struct wisp_err err = {0};
    struct once once = {0};
    unsigned n = 0;
    log_in(&pair, (struct wisp_bus_client_options){0});
    struct wisp_bus_client *client = pair.told.client;
    CHECK_OK(
        wisp_bus_subscribe(client, WISP_STR("a"), WISP_STR(""), unsubscribe_itself, &once, &once.subscription, &err),
        &err);
    hear(&pair, "SUB a 1\r\n");
    say(&pair, "MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n");
    hear(&pair, "UNSUB 1\r\n");
    CHECK_INT(once.n, 1);
    CHECK_OK(wisp_bus_subscribe(client, WISP_STR("b"), WISP_STR(""), count, &n, NULL, &err), &err);
    hear(&pair, "SUB b 1048577\r\n");
    say(&pair,
        "MSG a 1 1\r\n3\r\nMSG b 0 0\r\n\r\nMSG b 77777777777777777777 0\r\n\r\nMSG b 1048577 0\r\n\r\nPING\r\n");
    hear(&pair, "PONG\r\n");
    CHECK_INT(n, 1);
    end(&pair);
}

TEST(pieces_of_any_size_are_put_together)
{
    static const char bytes[] = "HMSG a 1 r 17 19\r\nNATS/1.0\r\nA:b\r\n\r\n!!\r\nMSG a 1 0\r\n\r\n+OK\r\nPING\r\n";
    struct pair pair;
    struct wisp_err err = {0};
    unsigned n = 0;
    log_in(&pair, (struct wisp_bus_client_options){0});
    CHECK_OK(wisp_bus_subscribe(pair.told.client, WISP_STR("a"), WISP_STR(""), count, &n, NULL, &err), &err);
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        CHECK_INT(write(pair.fd, bytes + i, 1), 1);
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    hear(&pair, "PONG\r\n");
    CHECK_INT(n, 2);
    end(&pair);
}

/* --- requests and inboxes --- */

struct answer {
    unsigned n;
    enum wisp_err_kind kind;
    char text[1100];
};

static void on_answer(const struct wisp_bus_message *reply, const struct wisp_err *err, void *env)
{
    struct answer *answer = env;
    answer->n++;
    answer->kind = err ? err->kind : WISP_ERR_NONE;
    struct wisp_str text = err ? wisp_str_from(err->text) : reply->payload;
    snprintf(answer->text, sizeof answer->text, "%.*s", WISP_STR_ARG(text));
}

/* Where the last request on `ask` wants its answer. */
static void reply_subject(struct pair *pair, char out[128])
{
    hear(pair, "PUB ask ");
    CHECK_INT(sscanf(strstr(pair->heard.data, "PUB ask "), "PUB ask %127s", out), 1);
}

static void ask(struct pair *pair, uint64_t timeout_ms, struct answer *answer, struct wisp_bus_request **ret_request)
{
    struct wisp_err err = {0};
    CHECK_OK(wisp_bus_request(pair->told.client, WISP_STR("ask"), NULL, 0, WISP_STR("?"), timeout_ms, on_answer, answer,
                              ret_request, &err),
             &err);
}

TEST(requests_share_a_subscription_and_end_once)
{
    struct pair pair;
    struct answer first = {0}, second = {0}, cancelled = {0};
    struct wisp_bus_request *request;
    char reply[128], other[128], text[600];
    log_in(&pair, (struct wisp_bus_client_options){.inbox_prefix = "_MINE.x"});
    ask(&pair, 60000, &first, NULL);
    reply_subject(&pair, reply);
    CHECK(strstr(pair.heard.data, "SUB _MINE.x."));
    ask(&pair, 60000, &cancelled, &request);
    reply_subject(&pair, other);
    wisp_bus_request_cancel(request);
    snprintf(text, sizeof text, "MSG %s.deeper 1 1\r\n0\r\nMSG %s 1 1\r\n1\r\nMSG %s 1 1\r\n2\r\n", reply, reply,
             reply);
    say(&pair, text);
    AWAIT(&pair.loop, first.n);
    CHECK_TEXT(first.text, "1");
    ask(&pair, 60000, &second, NULL); /* in the first one's place */
    reply_subject(&pair, other);
    CHECK(!strstr(pair.heard.data, "SUB "));
    CHECK(strcmp(reply, other) != 0);
    snprintf(text, sizeof text, "MSG %s 1 1\r\n3\r\nMSG %s 1 1\r\n4\r\n", reply, other);
    say(&pair, text);
    AWAIT(&pair.loop, second.n);
    CHECK_TEXT(second.text, "4");
    CHECK_INT(first.n, 1);
    CHECK_INT(cancelled.n, 0);
    end(&pair);
}

TEST(nobody_there_is_told_at_once_and_silence_after_the_timeout)
{
    struct pair pair;
    struct answer refused = {0}, silent = {0};
    char reply[128], text[300];
    log_in(&pair, (struct wisp_bus_client_options){0});
    ask(&pair, 60000, &refused, NULL);
    reply_subject(&pair, reply);
    snprintf(text, sizeof text, "HMSG %s 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", reply);
    say(&pair, text);
    AWAIT(&pair.loop, refused.n);
    CHECK_INT(refused.kind, WISP_ERR_UNAVAILABLE);
    CHECK_TEXT(refused.text, "nobody answers on ask");
    ask(&pair, 30, &silent, NULL);
    AWAIT(&pair.loop, silent.n);
    CHECK_INT(silent.kind, WISP_ERR_TIMEOUT);
    CHECK_HAS(silent.text, "no answer on ask within 30 ms");
    end(&pair);
}

TEST(a_lost_connection_ends_every_request_of_a_given_socket)
{
    struct pair pair;
    struct answer answers[3] = {0};
    struct wisp_err err = {0};
    log_in(&pair, (struct wisp_bus_client_options){0});
    for (int i = 0; i < 3; i++) ask(&pair, 60000, &answers[i], NULL);
    hear(&pair, "PUB ask");
    shutdown(pair.fd, SHUT_RDWR);
    AWAIT(&pair.loop, pair.told.is_closed);
    for (int i = 0; i < 3; i++) CHECK_INT(answers[i].kind, WISP_ERR_UNAVAILABLE);
    CHECK_FAILS(wisp_bus_publish(pair.told.client, WISP_STR("a"), WISP_STR(""), NULL, 0, WISP_STR(""), &err),
                UNAVAILABLE);
    end(&pair);
}

struct echo {
    struct wisp_buf subjects;
};

static void note_subject(const struct wisp_bus_message *message, void *env)
{
    wisp_buf_append_str(env, message->subject);
    wisp_buf_append_char(env, ' ');
}

TEST(an_inbox_hears_its_subject_and_all_below)
{
    struct pair pair;
    WISP_CLEANUP_BUF struct wisp_buf subjects = {0};
    log_in(&pair, (struct wisp_bus_client_options){0});
    struct wisp_bus_inbox *inbox = wisp_bus_inbox_open(pair.told.client, note_subject, &subjects);
    struct wisp_bus_inbox *other = wisp_bus_inbox_open(pair.told.client, note_subject, &subjects);
    char subject[128], text[1024], expected[400];
    snprintf(subject, sizeof subject, "%.*s", WISP_STR_ARG(wisp_bus_inbox_subject(inbox)));
    CHECK(!wisp_str_is(wisp_bus_inbox_subject(other), subject));
    hear(&pair, "SUB _INBOX.");
    wisp_bus_inbox_close(other);
    char guess[128];
    strcpy(guess, subject);
    guess[strlen(guess) - 1] ^= 1; /* right place, wrong check */
    snprintf(text, sizeof text,
             "MSG %s 1 0\r\n\r\nMSG %s.results.0 1 0\r\n\r\nMSG %sx 1 0\r\n\r\nMSG %s 1 0\r\n\r\nMSG _INBOX 1 "
             "0\r\n\r\nPING\r\n",
             subject, subject, subject, guess);
    say(&pair, text);
    hear(&pair, "PONG");
    snprintf(expected, sizeof expected, "%s %s.results.0 ", subject, subject);
    CHECK_STR(wisp_buf_str(&subjects), expected);
    wisp_bus_inbox_close(inbox);
    end(&pair);
}

/* --- trouble --- */

static void expect_closed(const char *bytes, enum wisp_err_kind kind, const char *words)
{
    struct pair pair;
    log_in(&pair, (struct wisp_bus_client_options){0});
    say(&pair, bytes);
    AWAIT(&pair.loop, pair.told.is_closed);
    CHECK_INT(pair.told.reason.kind, kind);
    CHECK_HAS(pair.told.reason.text, words);
    end(&pair);
}

TEST(what_a_server_may_not_say)
{
    expect_closed("HELLO\r\n", WISP_ERR_INVALID, "Unknown Protocol Operation");
    expect_closed("MSG a\r\n", WISP_ERR_INVALID, "");
    expect_closed("MSG a 1 99999999999\r\n", WISP_ERR_INVALID, "");
    expect_closed("INFO []\r\n", WISP_ERR_INVALID, "INFO");
    expect_closed("INFO {\r\n", WISP_ERR_INVALID, "INFO");
}

TEST(errors_of_the_server_say_why)
{
    expect_closed("-ERR 'Authorization Violation'\r\n", WISP_ERR_DENIED, "Authorization Violation");
    expect_closed("-ERR 'User Authentication Expired'\r\n", WISP_ERR_DENIED, "Expired");
}

TEST(a_refused_subject_does_not_end_the_connection)
{
    struct pair pair;
    log_in(&pair, (struct wisp_bus_client_options){0});
    say(&pair, "-ERR 'Permissions Violation for Publish to \"x\"'\r\nPING\r\n");
    hear(&pair, "PONG\r\n");
    CHECK_INT(wisp_bus_client_state(pair.told.client), WISP_BUS_CONNECTED);
    say(&pair, "-ERR 'Slow Consumer'\r\n");
    shutdown(pair.fd, SHUT_RDWR);
    AWAIT(&pair.loop, pair.told.is_closed);
    CHECK_HAS(pair.told.reason.text, "Slow Consumer");
    end(&pair);
}

TEST(a_silent_server_is_given_up)
{
    struct pair pair;
    log_in(&pair, (struct wisp_bus_client_options){.ping_interval_ms = 20});
    AWAIT(&pair.loop, pair.told.is_closed);
    CHECK_INT(pair.told.reason.kind, WISP_ERR_TIMEOUT);
    CHECK_HAS(pair.told.reason.text, "two pings");
    end(&pair);
    begin(&pair, (struct wisp_bus_client_options){.connect_timeout_ms = 20});
    AWAIT(&pair.loop, pair.told.is_closed);
    CHECK_HAS(pair.told.reason.text, "no answer within 20 ms");
    end(&pair);
}

TEST(tls_that_is_required_is_not_skipped)
{
    struct pair pair;
    begin(&pair, (struct wisp_bus_client_options){.tls.is_required = true, .password = "secret", .user = "u"});
    say(&pair, INFO);
    AWAIT(&pair.loop, pair.told.is_closed);
    CHECK_INT(pair.told.reason.kind, WISP_ERR_DENIED);
    CHECK_INT(recv(pair.fd, wisp_buf_reserve(&pair.heard, 100), 100, MSG_DONTWAIT), 0); /* it has said nothing */
    end(&pair);
    begin(&pair, (struct wisp_bus_client_options){0});
    say(&pair, "INFO {\"tls_required\":true}\r\nMSG a 1 0\r\n\r\n"); /* somebody's bytes ahead of TLS */
    AWAIT(&pair.loop, pair.told.is_closed);
    CHECK_HAS(pair.told.reason.text, "ahead of TLS");
    end(&pair);
}

static void on_flush(const struct wisp_err *err, void *env) { *(int *)env = err ? -(int)err->kind : 1; }

static void set_true(void *env) { *(bool *)env = true; }

TEST(flush_waits_for_its_own_pong)
{
    struct pair pair;
    int first = 0, second = 0, late = 0;
    log_in(&pair, (struct wisp_bus_client_options){0});
    wisp_bus_flush(pair.told.client, 60000, on_flush, &first);
    wisp_bus_flush(pair.told.client, 60000, on_flush, &second);
    hear(&pair, "PING\r\nPING\r\n");
    say(&pair, "PONG\r\n");
    AWAIT(&pair.loop, first);
    CHECK_INT(first, 1);
    CHECK_INT(second, 0);
    wisp_bus_flush(pair.told.client, 10, on_flush, &late);
    AWAIT(&pair.loop, late);
    CHECK_INT(late, -(int)WISP_ERR_TIMEOUT);
    say(&pair, "PONG\r\nPONG\r\nPONG\r\nPONG\r\n"); /* more than it asked for */
    AWAIT(&pair.loop, second);
    CHECK_INT(second, 1);
    end(&pair);
}

TEST(drain_hears_what_is_on_its_way)
{
    struct pair pair;
    struct wisp_err err = {0};
    unsigned n = 0;
    bool is_drained = false;
    log_in(&pair, (struct wisp_bus_client_options){0});
    CHECK_OK(wisp_bus_subscribe(pair.told.client, WISP_STR("a"), WISP_STR(""), count, &n, NULL, &err), &err);
    wisp_bus_client_drain(pair.told.client, 60000, set_true, &is_drained);
    CHECK_FAILS(wisp_bus_subscribe(pair.told.client, WISP_STR("b"), WISP_STR(""), count, &n, NULL, &err), UNAVAILABLE);
    hear(&pair, "UNSUB 1\r\nPING\r\n");
    say(&pair, "MSG a 1 0\r\n\r\nPONG\r\n");
    hear(&pair, "PING\r\n");
    CHECK_INT(n, 1);
    CHECK(!is_drained);
    say(&pair, "PONG\r\n");
    AWAIT(&pair.loop, is_drained);
    end(&pair);
}

TEST(drain_ends_in_time_and_when_there_is_nobody)
{
    struct pair pair;
    bool is_drained = false;
    log_in(&pair, (struct wisp_bus_client_options){0});
    wisp_bus_client_drain(pair.told.client, 20, set_true, &is_drained);
    AWAIT(&pair.loop, is_drained);
    end(&pair);
    is_drained = false;
    log_in(&pair, (struct wisp_bus_client_options){0});
    shutdown(pair.fd, SHUT_RDWR);
    AWAIT(&pair.loop, pair.told.is_closed);
    wisp_bus_client_drain(pair.told.client, 60000, set_true, &is_drained);
    AWAIT(&pair.loop, is_drained);
    end(&pair);
}

/* --- deadlines --- */

static unsigned n_due;
static void count_due(struct wisp_bus_deadline *deadline)
{
    CHECK_INT(deadline->place, 0);
    n_due++;
}

TEST(deadlines_keep_their_order)
{
    uv_loop_t loop;
    struct wisp_bus_deadlines deadlines;
    static struct wisp_bus_deadline many[500];
    CHECK_INT(uv_loop_init(&loop), 0);
    wisp_bus_deadlines_init(&deadlines, &loop);
    for (unsigned i = 0; i < 500; i++)
        wisp_bus_deadline_set(&deadlines, &many[i], i % 2 ? 1000000 - i * 7919 % 1000 : i * 7919 % 13, count_due);
    for (unsigned i = 1; i < 500; i += 4) wisp_bus_deadline_clear(&deadlines, &many[i]);
    for (size_t i = 2; i <= deadlines.count; i++) CHECK(deadlines.heap[i / 2]->at_ms <= deadlines.heap[i]->at_ms);
    AWAIT(&loop, n_due == 250);
    CHECK_INT(deadlines.count, 125);
    for (unsigned i = 3; i < 500; i += 4) wisp_bus_deadline_clear(&deadlines, &many[i]);
    wisp_bus_deadlines_deinit(&deadlines);
    uv_run(&loop, UV_RUN_DEFAULT); /* nothing keeps it alive */
    uv_close((uv_handle_t *)&deadlines.timer, NULL);
    end_loop(&loop);
}
