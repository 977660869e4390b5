/* SPDX-License-Identifier: Apache-2.0 */
/* The bus's vocabulary: subjects, messages, headers, as NATS has them.
 *
 * A subject is tokens joined by '.'; a token is one or more bytes other than '.', blank, tab, CR, LF. In a subscription
 * '*' stands for one token and a last '>' for one or more. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WISP_BUS_SUBJECT_MAX = 4096,
    WISP_BUS_PORT = 4222,
    WISP_BUS_PAYLOAD_MAX = 1 << 20, /* headers included; what servers allow by default */
    WISP_BUS_STATUS_NO_RESPONDERS = 503,
};

/* A subject that can be published to: no wildcards. */
bool wisp_bus_subject_is_valid(struct wisp_str subject);
/* One that can be subscribed to. */
bool wisp_bus_pattern_is_valid(struct wisp_str pattern);
bool wisp_bus_pattern_matches(struct wisp_str pattern, struct wisp_str subject);

struct wisp_bus_header {
    struct wisp_str name, value; /* names keep their case; neither holds CR or LF */
};

/* A message as a subscriber sees it: views, valid during the callback. */
struct wisp_bus_message {
    struct wisp_str subject, reply; /* reply: empty when none is wanted */
    uint16_t status;                /* of the header line, 0 when there is none: 503 is "no responders" */
    const struct wisp_bus_header *headers;
    size_t n_headers;
    struct wisp_str payload;
};

/* The first value of that name, exact case; empty when there is none. */
struct wisp_str wisp_bus_header_get(const struct wisp_bus_message *message, const char *name);

/* Header block of HPUB and HMSG: "NATS/1.0[ STATUS[ TEXT]]\r\n" (name ": "? value "\r\n")* "\r\n". */
void wisp_bus_headers_encode(const struct wisp_bus_header *headers, size_t n_headers, struct wisp_buf *out);
/* Values are trimmed of surrounding blanks. At most `max` go to `headers`; LIMIT when there are more. */
int wisp_bus_headers_decode(struct wisp_str block, uint16_t *ret_status, struct wisp_bus_header *headers, size_t max,
                            size_t *ret_n, struct wisp_err *err) __attribute__((warn_unused_result));
