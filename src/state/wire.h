/* SPDX-License-Identifier: Apache-2.0 */
/* How the owner of a local state serves others over the bus. Subjects below "$WISP.STATE.{lattice}.":
 *
 *     hello    request; answer: Owner, Revision
 *     read     request, After: R; answer: Owner, Revision, After, perhaps More; payload: records in the order of their
 *              revisions, those behind R, as many as fit
 *     write    request, Expected; payload: one record; answer: Owner, Revision, or Error (a kind) and its text as
 * payload changed  from the owner, Owner; payload: one record; or Revision and none: here I am
 *
 * Names in capitals are headers with "Wisp-" in front. Owner is another text each time the state is opened. Revisions
 * count changes, one by one: who sees a gap, or another owner, reads all again. */
#pragma once

#include "base/mem.h"
#include "bus/bus.h"
#include "state/state.h"

#define WISP_STATE_OWNER_HEADER "Wisp-Owner"
#define WISP_STATE_REVISION_HEADER "Wisp-Revision"
#define WISP_STATE_AFTER_HEADER "Wisp-After"
#define WISP_STATE_MORE_HEADER "Wisp-More"
#define WISP_STATE_EXPECTED_HEADER "Wisp-Expected"
#define WISP_STATE_ERROR_HEADER "Wisp-Error"

enum {
    WISP_STATE_OWNER_LEN = 22,
    WISP_STATE_SUBJECT_MAX = 256,
    WISP_STATE_RECORD_OVERHEAD = 1 + 2 + 4 + 8,
    /* Headers, key and record's head: what is not value in a message. */
    WISP_STATE_MESSAGE_OVERHEAD = 1024,
};

struct wisp_state_record {
    enum wisp_state_bucket bucket;
    struct wisp_str key, value;
    bool has_value; /* false: deleted */
    uint64_t revision;
};

void wisp_state_record_encode(const struct wisp_state_record *record, struct wisp_buf *out);
/* Takes one off the front; views into it. INVALID for a key, bucket or size that can't be. */
int wisp_state_record_decode(struct wisp_str *rest, struct wisp_state_record *ret_record, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* "$WISP.STATE.{lattice}.{word}". */
struct wisp_str wisp_state_subject(char buf[WISP_STATE_SUBJECT_MAX], const char *lattice, const char *word);

/* A decimal number; INVALID when it is missing or none. */
int wisp_state_header_u64(const struct wisp_bus_message *message, const char *name, uint64_t *ret_value,
                          struct wisp_err *err) __attribute__((warn_unused_result));
/* Of WISP_STATE_EXPECTED_HEADER: also "-1". */
int wisp_state_header_expected(const struct wisp_bus_message *message, int64_t *ret_expected, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* The error an answer carries; 0 when it carries none. */
int wisp_state_header_error(const struct wisp_bus_message *message, struct wisp_err *err)
    __attribute__((warn_unused_result));
