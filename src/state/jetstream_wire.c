/* SPDX-License-Identifier: Apache-2.0 */
#include "state/jetstream_wire.h"

#include "base/parse.h"
#include "nkeys/nkeys.h"

/* Codes of JetStream's API errors. */
enum {
    CODE_STREAM_NOT_FOUND = 10059,
    CODE_STREAM_EXISTS = 10058,
    CODE_NO_MESSAGE = 10037,
    CODE_CONSUMER_NOT_FOUND = 10014,
    CODE_WRONG_SEQUENCE = 10071,
    CODE_MESSAGE_TOO_LARGE = 10054,
    CODE_NO_RESOURCES = 10023,
    CODE_NO_STORAGE = 10047,
    CODE_STORE_FAILED = 10077, /* limits of the stream among others */
};

static void print(json_t *value, struct wisp_buf *out)
{
    wisp_json_print(value, out);
    json_decref(value);
}

void wisp_state_js_stream_config(const char *bucket, uint32_t n_replicas, struct wisp_buf *out)
{
    json_t *config =
        json_pack("{s:s+, s:[s++], s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:b, s:b, s:b, s:b}", "name",
                  "KV_", bucket,                                              //
                  "subjects", "$KV.", bucket, ".>",                           //
                  "storage", "file", "retention", "limits", "discard", "new", //
                  "num_replicas", (int)n_replicas, "max_msgs_per_subject", 1, //
                  "max_consumers", -1, "max_msgs", -1, "max_bytes", -1, "max_age", 0, "max_msg_size", -1,
                  "duplicate_window", (json_int_t)120000000000, //
                  "allow_rollup_hdrs", 1, "allow_direct", 1, "deny_delete", 1, "deny_purge", 0);
    print(config, out);
}

void wisp_state_js_consumer_config(const char *bucket, const char *deliver_subject, struct wisp_buf *out)
{
    json_t *config =
        json_pack("{s:s, s:s, s:s, s:s+++, s:s, s:b, s:I, s:i, s:b, s:i}", "deliver_subject", deliver_subject, //
                  "deliver_policy", "last_per_subject", "ack_policy", "none",                                  //
                  "filter_subject", "$KV.", bucket, ".", ">", "replay_policy", "instant", "flow_control", 1,   //
                  "idle_heartbeat", (json_int_t)WISP_STATE_JS_HEARTBEAT_MS * 1000000, "max_deliver", 1,        //
                  "mem_storage", 1, "num_replicas", 1);
    print(json_pack("{s:s+, s:o}", "stream_name", "KV_", bucket, "config", config), out);
}

void wisp_state_js_get_last(struct wisp_str subject, struct wisp_buf *out)
{
    print(json_pack("{s:o}", "last_by_subj", wisp_json_text(subject)), out);
}

static enum wisp_err_kind kind_of(uint64_t code, uint64_t err_code)
{
    switch (err_code) {
    case CODE_STREAM_NOT_FOUND:
    case CODE_CONSUMER_NOT_FOUND:
    case CODE_NO_MESSAGE:
        return WISP_ERR_NOT_FOUND;
    case CODE_STREAM_EXISTS:
    case CODE_WRONG_SEQUENCE:
        return WISP_ERR_EXISTS;
    case CODE_MESSAGE_TOO_LARGE:
    case CODE_NO_RESOURCES:
    case CODE_NO_STORAGE:
    case CODE_STORE_FAILED:
        return WISP_ERR_LIMIT;
    default:
        return code >= 500 && code < 600 ? WISP_ERR_UNAVAILABLE : WISP_ERR_INVALID;
    }
}

int wisp_state_js_parse(struct wisp_str payload, json_t **ret_answer, struct wisp_err *err)
{
    json_t *answer;
    int r = wisp_json_parse(payload, &answer, err);
    if (r < 0) return wisp_err_wrap(err, "answer of JetStream");
    const json_t *error = json_object_get(answer, "error");
    if (!json_is_object(answer)) {
        r = wisp_err_set(err, WISP_ERR_INVALID, "answer of JetStream is no object");
    } else if (error) {
        struct wisp_str text = wisp_json_str(error, "description");
        uint64_t code = wisp_json_u64(error, "code", 0), err_code = wisp_json_u64(error, "err_code", 0);
        r = wisp_err_set(err, kind_of(code, err_code), "JetStream: %.*s (%u)", WISP_STR_ARG(text), (unsigned)err_code);
    }
    if (r < 0)
        json_decref(answer);
    else
        *ret_answer = answer;
    return r;
}

/* $JS.ACK.STREAM.CONSUMER.DELIVERED.SSEQ.CSEQ.TIME.PENDING, or, since domains may be named,
 * $JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.DELIVERED.SSEQ.CSEQ.TIME.PENDING[.MORE...] */
int wisp_state_js_parse_position(struct wisp_str reply, struct wisp_state_js_position *ret_position,
                                 struct wisp_err *err)
{
    enum { TOKENS_MAX = 16, OLD_COUNT = 9, NEW_COUNT = 11 };
    struct wisp_str tokens[TOKENS_MAX], rest = reply;
    size_t n = 0;
    while (n < TOKENS_MAX - 1 && wisp_str_split(rest, '.', &tokens[n], &rest)) n++;
    tokens[n++] = rest;
    if ((n != OLD_COUNT && n < NEW_COUNT) || !wisp_str_is(tokens[0], "$JS") || !wisp_str_is(tokens[1], "ACK"))
        return wisp_err_set(err, WISP_ERR_INVALID, "not from JetStream: `%.*s`", WISP_STR_ARG(reply));
    const struct wisp_str *at = n == OLD_COUNT ? &tokens[5] : &tokens[7];
    struct wisp_state_js_position position;
    if (wisp_parse_u64(at[0], INT64_MAX, &position.stream_sequence, NULL) < 0 ||
        wisp_parse_u64(at[1], INT64_MAX, &position.consumer_sequence, NULL) < 0 ||
        wisp_parse_u64(at[3], UINT64_MAX, &position.pending, NULL) < 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "not a position: `%.*s`", WISP_STR_ARG(reply));
    *ret_position = position;
    return 0;
}

bool wisp_state_js_is_marker(const struct wisp_bus_message *message)
{
    struct wisp_str operation = wisp_bus_header_get(message, "KV-Operation");
    return wisp_str_is(operation, "DEL") || wisp_str_is(operation, "PURGE");
}

int wisp_state_js_parse_marker(const json_t *answer, uint64_t *ret_sequence, struct wisp_err *err)
{
    enum { HEADERS_MAX = 32 };
    const json_t *stored = json_object_get(answer, "message");
    struct wisp_bus_header headers[HEADERS_MAX];
    struct wisp_bus_message message = {.headers = headers};
    WISP_CLEANUP_BUF struct wisp_buf block = {0};
    int r = wisp_base64_decode(wisp_json_str(stored, "hdrs"), &block, err);
    if (r == 0 && block.len)
        r = wisp_bus_headers_decode(wisp_buf_str(&block), &message.status, headers, HEADERS_MAX, &message.n_headers,
                                    err);
    if (r < 0) return wisp_err_wrap(err, "message stored by JetStream");
    *ret_sequence = wisp_state_js_is_marker(&message) ? wisp_json_u64(stored, "seq", 0) : 0;
    return 0;
}
