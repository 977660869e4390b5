/* SPDX-License-Identifier: Apache-2.0 */
/* The NATS client protocol, both directions, without I/O: bytes in → frames, frames → bytes.
 *
 * The owner keeps what it has read and not yet used in one contiguous buffer and hands all of it to the parser, again
 * and again: each frame found is made of views into that buffer, and its bytes are dropped by the owner before the next
 * call. Nothing is copied or allocated. One thread per parser. */
#pragma once

#include "bus/bus.h"

enum {
    WISP_BUS_LINE_MAX = 4096,             /* what a server takes as one control line without its operation's name */
    WISP_BUS_INFO_LINE_MAX = 1 << 20,     /* what a client takes: a cluster's INFO names all its servers */
    WISP_BUS_SIDE_PAYLOAD_MAX = 64 << 20, /* the most a server can be configured to send */
};

enum wisp_bus_op {
    /* from client to server */
    WISP_BUS_OP_CONNECT,
    WISP_BUS_OP_PUB, /* also HPUB: its `headers` are not empty */
    WISP_BUS_OP_SUB,
    WISP_BUS_OP_UNSUB,
    /* from server to client */
    WISP_BUS_OP_INFO,
    WISP_BUS_OP_MSG, /* also HMSG: its `headers` are not empty */
    WISP_BUS_OP_OK,
    WISP_BUS_OP_ERR,
    /* both */
    WISP_BUS_OP_PING,
    WISP_BUS_OP_PONG,
};

/* Views into the buffer that was parsed. Fields that an operation does not have are empty or 0. Sizes and counts are
 * checked; subjects, queues and sids are one token without blanks, but nothing else about them is. */
struct wisp_bus_frame {
    enum wisp_bus_op op;
    struct wisp_str subject; /* PUB, SUB, MSG */
    struct wisp_str reply;   /* PUB, MSG; may be empty */
    struct wisp_str queue;   /* SUB; may be empty */
    struct wisp_str sid;     /* SUB, UNSUB, MSG */
    uint64_t max;            /* UNSUB: messages in all after which it takes effect; 0: at once */
    struct wisp_str headers; /* PUB, MSG: the header block, to be read by wisp_bus_headers_decode */
    struct wisp_str payload; /* PUB, MSG: without headers */
    struct wisp_str text;    /* CONNECT, INFO: JSON; ERR: the text without quotes */
};

enum wisp_bus_parsed {
    WISP_BUS_PARSED_MORE, /* no whole frame yet; what `needed` says */
    WISP_BUS_PARSED_FRAME,
    /* The peer is in error; it is to be cut off. wisp_bus_fault_text has the words. */
    WISP_BUS_PARSED_UNKNOWN_OPERATION,
    WISP_BUS_PARSED_BAD_ARGUMENTS,
    WISP_BUS_PARSED_LINE_TOO_LONG,
    WISP_BUS_PARSED_PAYLOAD_TOO_LARGE,
};

enum wisp_bus_side { WISP_BUS_SIDE_SERVER, WISP_BUS_SIDE_CLIENT }; /* who reads */

struct wisp_bus_parser {
    enum wisp_bus_side side;
    size_t line_bytes_max, payload_bytes_max; /* payload: with headers. May be changed between frames */
    size_t scanned;                           /* bytes of the frame known to hold no line end */
    size_t needed; /* after MORE: bytes of the frame the buffer must hold before anything new can be found; at most
                    * line and payload maxima and some 20 more */
};

/* Limits: those of the side above; a server sets payload_bytes_max to its own. */
void wisp_bus_parser_init(struct wisp_bus_parser *parser, enum wisp_bus_side side);
/* Looks at `bytes`, all that is there from the first byte of a frame on. FRAME: *ret_frame, and *ret_used is how many
 * bytes it took. After MORE the same bytes are to come again, with more behind them; they may have moved. After a fault
 * the parser is of no more use. */
enum wisp_bus_parsed wisp_bus_parse(struct wisp_bus_parser *parser, struct wisp_str bytes,
                                    struct wisp_bus_frame *ret_frame, size_t *ret_used);
/* As servers spell it in -ERR, such as "Unknown Protocol Operation". */
const char *wisp_bus_fault_text(enum wisp_bus_parsed fault);

/* A sid that is a decimal number, as this project's clients make them; 0 when it is not. */
uint64_t wisp_bus_sid_number(struct wisp_str sid);

/* Writes digits, at most 20; returns where they end. */
char *wisp_bus_put_number(char *at, uint64_t number);

/* Appenders. Arguments are trusted to be what the protocol wants (bus.h has the checks). */
#define WISP_BUS_PING_LINE WISP_STR("PING\r\n")
#define WISP_BUS_PONG_LINE WISP_STR("PONG\r\n")
#define WISP_BUS_OK_LINE WISP_STR("+OK\r\n")
/* PUB, or HPUB when the header block is not empty. `reply` may be empty. */
void wisp_bus_encode_pub(struct wisp_buf *out, struct wisp_str subject, struct wisp_str reply, struct wisp_str headers,
                         struct wisp_str payload);
void wisp_bus_encode_sub(struct wisp_buf *out, struct wisp_str subject, struct wisp_str queue, uint64_t sid);
/* `max` as in the frame. */
void wisp_bus_encode_unsub(struct wisp_buf *out, uint64_t sid, uint64_t max);
/* MSG, or HMSG when the header block is not empty. */
void wisp_bus_encode_msg(struct wisp_buf *out, struct wisp_str subject, struct wisp_str sid, struct wisp_str reply,
                         struct wisp_str headers, struct wisp_str payload);
/* "CONNECT JSON\r\n", "INFO JSON\r\n". The JSON has no line ends. */
void wisp_bus_encode_connect(struct wisp_buf *out, struct wisp_str json);
void wisp_bus_encode_info(struct wisp_buf *out, struct wisp_str json);
/* "-ERR 'text'\r\n". */
void wisp_bus_encode_err(struct wisp_buf *out, const char *text);
