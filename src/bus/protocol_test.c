/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/protocol.h"
#include "test.h"

#define S(text) wisp_str_from(text)

static enum wisp_bus_parsed parse(enum wisp_bus_side side, const char *text, struct wisp_bus_frame *frame, size_t *used)
{
    struct wisp_bus_parser parser;
    wisp_bus_parser_init(&parser, side);
    return wisp_bus_parse(&parser, S(text), frame, used);
}

/* The whole of `text` is one frame, also when it comes byte by byte. */
static struct wisp_bus_frame one(enum wisp_bus_side side, const char *text)
{
    struct wisp_bus_frame frame;
    struct wisp_bus_parser parser;
    size_t used = 0;
    CHECK_INT(parse(side, text, &frame, &used), WISP_BUS_PARSED_FRAME);
    CHECK_INT(used, strlen(text));
    wisp_bus_parser_init(&parser, side);
    for (size_t len = 0; len < strlen(text); len++) {
        CHECK_INT(wisp_bus_parse(&parser, (struct wisp_str){text, len}, &frame, &used), WISP_BUS_PARSED_MORE);
        CHECK(len == 0 || parser.needed > len);
        CHECK(parser.needed <= strlen(text));
    }
    CHECK_INT(wisp_bus_parse(&parser, S(text), &frame, &used), WISP_BUS_PARSED_FRAME);
    CHECK_INT(parser.needed, 0);
    return frame;
}

static struct wisp_bus_frame at_server(const char *text) { return one(WISP_BUS_SIDE_SERVER, text); }
static struct wisp_bus_frame at_client(const char *text) { return one(WISP_BUS_SIDE_CLIENT, text); }

static void check_fault(enum wisp_bus_side side, const char *text, enum wisp_bus_parsed fault)
{
    struct wisp_bus_frame frame;
    size_t used;
    enum wisp_bus_parsed result = parse(side, text, &frame, &used);
    if (result != fault) wisp_test_fail(__FILE__, __LINE__, "`%s` gives %d, expected %d", text, result, fault);
}

TEST(what_clients_send)
{
    struct wisp_bus_frame frame = at_server("CONNECT {\"verbose\":false} \r\n");
    CHECK_INT(frame.op, WISP_BUS_OP_CONNECT);
    CHECK_STR(frame.text, "{\"verbose\":false}");
    frame = at_server("PUB a.b 5\r\nhello\r\n");
    CHECK_INT(frame.op, WISP_BUS_OP_PUB);
    CHECK_STR(frame.subject, "a.b");
    CHECK_INT(frame.reply.len, 0);
    CHECK_STR(frame.payload, "hello");
    frame = at_server("pub\ta   inbox.1 0\r\n\r\n");
    CHECK_STR(frame.reply, "inbox.1");
    CHECK_INT(frame.payload.len, 0);
    frame = at_server("HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    CHECK_STR(frame.headers, "NATS/1.0\r\n\r\n");
    CHECK_STR(frame.payload, "hi");
    frame = at_server("SUB a.> workers 17\r\n");
    CHECK_INT(frame.op, WISP_BUS_OP_SUB);
    CHECK_STR(frame.queue, "workers");
    CHECK_STR(frame.sid, "17");
    CHECK_INT(wisp_bus_sid_number(frame.sid), 17);
    frame = at_server("SUB a 1\n");
    CHECK_INT(frame.queue.len, 0);
    frame = at_server("UNSUB 17 5\r\n");
    CHECK_INT(frame.op, WISP_BUS_OP_UNSUB);
    CHECK_INT(frame.max, 5);
    CHECK_INT(at_server("UNSUB 17\r\n").max, 0);
    CHECK_INT(at_server("ping\r\n").op, WISP_BUS_OP_PING);
    CHECK_INT(at_server("PONG  \r\n").op, WISP_BUS_OP_PONG);
}

TEST(what_servers_send)
{
    struct wisp_bus_frame frame = at_client("INFO {\"a\":1}\r\n");
    CHECK_INT(frame.op, WISP_BUS_OP_INFO);
    CHECK_STR(frame.text, "{\"a\":1}");
    frame = at_client("MSG a 3 r 2\r\nhi\r\n");
    CHECK_INT(frame.op, WISP_BUS_OP_MSG);
    CHECK_STR(frame.sid, "3");
    CHECK_STR(frame.reply, "r");
    frame = at_client("HMSG a 3 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    CHECK_INT(frame.op, WISP_BUS_OP_MSG);
    CHECK_INT(frame.headers.len, 16);
    CHECK_INT(frame.payload.len, 0);
    CHECK_INT(at_client("+OK\r\n").op, WISP_BUS_OP_OK);
    frame = at_client("-ERR 'Stale Connection'\r\n");
    CHECK_INT(frame.op, WISP_BUS_OP_ERR);
    CHECK_STR(frame.text, "Stale Connection");
    CHECK_STR(at_client("-ERR plain\r\n").text, "plain");
}

TEST(faults)
{
    const char *unknown[] = {"\r\n",
                             "FOO\r\n",
                             "GET / HTTP/1.1\r\n",
                             "MSG a 1 0\r\n\r\n",
                             "CONNECTED {}\r\n",
                             "PUB a 3\r\nabcd\r\n",
                             "PUB a 3\r\nabc\n",
                             "+OK\r\n"};
    for (size_t i = 0; i < WISP_COUNT(unknown); i++)
        check_fault(WISP_BUS_SIDE_SERVER, unknown[i], WISP_BUS_PARSED_UNKNOWN_OPERATION);
    const char *bad[] = {"PUB\r\n",        "PUB a\r\n",       "PUB a x\r\n",          "PUB a b c 3\r\n",
                         "PUB a -1\r\n",   "PUB a 1e3\r\n",   "PUB a 1234567890\r\n", "HPUB a 3\r\n",
                         "HPUB a 3 2\r\n", "SUB a\r\n",       "SUB a b c d\r\n",      "UNSUB\r\n",
                         "UNSUB 1 x\r\n",  "UNSUB 1 2 3\r\n", "CONNECT\r\n",          "PUB a\rb 1\r\n"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++)
        check_fault(WISP_BUS_SIDE_SERVER, bad[i], WISP_BUS_PARSED_BAD_ARGUMENTS);
    check_fault(WISP_BUS_SIDE_SERVER, "PUB a 1048577\r\n", WISP_BUS_PARSED_PAYLOAD_TOO_LARGE);
    check_fault(WISP_BUS_SIDE_SERVER, "HPUB a 1 999999999\r\n", WISP_BUS_PARSED_PAYLOAD_TOO_LARGE);
    check_fault(WISP_BUS_SIDE_CLIENT, "PUB a 0\r\n\r\n", WISP_BUS_PARSED_UNKNOWN_OPERATION);
    check_fault(WISP_BUS_SIDE_CLIENT, "MSG a 1\r\n", WISP_BUS_PARSED_BAD_ARGUMENTS);
    CHECK_TEXT(wisp_bus_fault_text(WISP_BUS_PARSED_PAYLOAD_TOO_LARGE), "Maximum Payload Violation");
}

TEST(longest_line)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    struct wisp_bus_frame frame;
    size_t used;
    wisp_buf_append_str(&line, WISP_STR("SUB "));
    memset(wisp_buf_reserve(&line, 8192), 'a', 8192);
    line.len += WISP_BUS_LINE_MAX - 2;
    memcpy(line.data + line.len, " 1\r\n", 5);
    CHECK_INT(parse(WISP_BUS_SIDE_SERVER, line.data, &frame, &used), WISP_BUS_PARSED_FRAME);
    memcpy(line.data + line.len, "a 1\r\n", 6);
    CHECK_INT(parse(WISP_BUS_SIDE_SERVER, line.data, &frame, &used), WISP_BUS_PARSED_LINE_TOO_LONG);
    memset(line.data + line.len, 'a', 100);
    line.data[line.len + 100] = '\0';
    CHECK_INT(parse(WISP_BUS_SIDE_SERVER, line.data, &frame, &used), WISP_BUS_PARSED_LINE_TOO_LONG);
}

TEST(what_is_encoded_is_understood)
{
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    struct wisp_str none = {0}, headers = WISP_STR("NATS/1.0\r\n\r\n");
    wisp_bus_encode_connect(&out, WISP_STR("{}"));
    wisp_bus_encode_pub(&out, WISP_STR("a.b"), none, none, WISP_STR("hi"));
    wisp_bus_encode_pub(&out, WISP_STR("a"), WISP_STR("r"), headers, none);
    wisp_bus_encode_sub(&out, WISP_STR("a.*"), none, 1);
    wisp_bus_encode_sub(&out, WISP_STR("a.*"), WISP_STR("q"), UINT64_MAX);
    wisp_bus_encode_unsub(&out, 1, 0);
    wisp_bus_encode_unsub(&out, 10, 90);
    CHECK_STR(wisp_buf_str(&out), "CONNECT {}\r\nPUB a.b 2\r\nhi\r\nHPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\nSUB a.* 1\r\n"
                                  "SUB a.* q 18446744073709551615\r\nUNSUB 1\r\nUNSUB 10 90\r\n");
    out.len = 0;
    wisp_bus_encode_info(&out, WISP_STR("{}"));
    wisp_bus_encode_msg(&out, WISP_STR("a"), WISP_STR("1"), none, none, none);
    wisp_bus_encode_msg(&out, WISP_STR("a"), WISP_STR("1"), WISP_STR("r"), headers, WISP_STR("x"));
    wisp_bus_encode_err(&out, "Stale Connection");
    CHECK_STR(wisp_buf_str(&out), "INFO {}\r\nMSG a 1 0\r\n\r\nHMSG a 1 r 12 13\r\nNATS/1.0\r\n\r\nx\r\n"
                                  "-ERR 'Stale Connection'\r\n");
}
