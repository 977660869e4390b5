/* SPDX-License-Identifier: Apache-2.0 */
#include "state/jetstream_wire.h"
#include "state/wire.h"

#include "nkeys/nkeys.h"
#include "test.h"

static struct wisp_err err;

TEST(records)
{
    WISP_CLEANUP_BUF struct wisp_buf bytes = {0};
    struct wisp_state_record put = {WISP_STATE_CONFIG, WISP_STR("key"), WISP_STR("value"), true, 0x0102030405060708},
                             gone = {WISP_STATE_LATTICE, WISP_STR("k"), WISP_STR(""), false, 7}, read;
    wisp_state_record_encode(&put, &bytes);
    wisp_state_record_encode(&gone, &bytes);
    struct wisp_str rest = wisp_buf_str(&bytes);
    CHECK_OK(wisp_state_record_decode(&rest, &read, &err), &err);
    CHECK(read.bucket == WISP_STATE_CONFIG && read.has_value && read.revision == put.revision);
    CHECK_STR(read.key, "key");
    CHECK_STR(read.value, "value");
    CHECK_OK(wisp_state_record_decode(&rest, &read, &err), &err);
    CHECK(!read.has_value && rest.len == 0 && read.revision == 7);
    for (size_t size = 0; size < bytes.len; size++) {
        rest = (struct wisp_str){bytes.data, size};
        int r = 0;
        while (r == 0 && rest.len) r = wisp_state_record_decode(&rest, &read, &err);
        if (size && size != WISP_STATE_RECORD_OVERHEAD + 8) CHECK_INT(r, -(int)WISP_ERR_INVALID);
    }
}

TEST(records_that_cannot_be)
{
    struct wisp_state_record read;
    static const char bad_bucket[] = "\x85\1\0\0\0\0\0\0\0\0\0\0\0\0\0k",
                      bad_key[] = "\x81\1\0\0\0\0\0\0\0\0\0\0\0\0\0*",
                      too_long[] = "\x81\1\0\0\0\0\xff\0\0\0\0\0\0\0\0k",
                      value_of_none[] = "\1\1\0\1\0\0\0\0\0\0\0\0\0\0\0kv";
    struct wisp_str all[] = {{bad_bucket, sizeof bad_bucket - 1},
                             {bad_key, sizeof bad_key - 1},
                             {too_long, sizeof too_long - 1},
                             {value_of_none, sizeof value_of_none - 1}};
    for (size_t i = 0; i < WISP_COUNT(all); i++) CHECK_FAILS(wisp_state_record_decode(&all[i], &read, &err), INVALID);
}

TEST(errors_travel_by_name)
{
    struct wisp_bus_header header = {WISP_STR(WISP_STATE_ERROR_HEADER), WISP_STR("exists")};
    struct wisp_bus_message message = {.headers = &header, .n_headers = 1, .payload = WISP_STR("why")};
    CHECK_FAILS(wisp_state_header_error(&message, &err), EXISTS);
    CHECK_TEXT(err.text, "why");
    header.value = WISP_STR("something else");
    CHECK_FAILS(wisp_state_header_error(&message, &err), INTERNAL);
    message.n_headers = 0;
    CHECK_INT(wisp_state_header_error(&message, &err), 0);
}

TEST(positions_in_both_forms)
{
    struct wisp_state_js_position position;
    CHECK_OK(wisp_state_js_parse_position(WISP_STR("$JS.ACK.S.C.1.20.3.1700000000000.4"), &position, &err), &err);
    CHECK(position.stream_sequence == 20 && position.consumer_sequence == 3 && position.pending == 4);
    CHECK_OK(wisp_state_js_parse_position(WISP_STR("$JS.ACK.hub.ABC.S.C.1.20.3.1700000000000.4"), &position, &err),
             &err);
    CHECK(position.stream_sequence == 20 && position.consumer_sequence == 3 && position.pending == 4);
    CHECK_OK(wisp_state_js_parse_position(WISP_STR("$JS.ACK._.ABC.S.C.1.21.3.17.4.rnd.more"), &position, &err), &err);
    CHECK_INT(position.stream_sequence, 21);
    static const char *const bad[] = {"",
                                      "$JS.ACK",
                                      "$JS.ACK.S.C.1.x.3.17.4",
                                      "$JS.ACK.S.C.1.-1.3.17.4",
                                      "a.b.c.d.e.f.g.h.i",
                                      "$JS.ACK.S.C.1.2.3.17.4.5",
                                      "$JS.ACK.S.C.1.99999999999999999999.3.17.4"};
    for (size_t i = 0; i < WISP_COUNT(bad); i++)
        CHECK_FAILS(wisp_state_js_parse_position(wisp_str_from(bad[i]), &position, &err), INVALID);
}

static int parse(const char *text)
{
    json_t *answer = NULL;
    int r = wisp_state_js_parse(wisp_str_from(text), &answer, &err);
    json_decref(answer);
    return r;
}

#define ERROR(code, err_code) "{\"error\":{\"code\":" #code ",\"err_code\":" #err_code ",\"description\":\"words\"}}"

TEST(answers_of_the_api)
{
    CHECK_INT(parse("{\"stream\":\"KV_x\",\"seq\":3}"), 0);
    CHECK_FAILS(parse(ERROR(404, 10059)), NOT_FOUND);
    CHECK_HAS(err.text, "words (10059)");
    CHECK_FAILS(parse(ERROR(400, 10058)), EXISTS);
    CHECK_FAILS(parse(ERROR(400, 10071)), EXISTS);
    CHECK_FAILS(parse(ERROR(503, 10008)), UNAVAILABLE);
    CHECK_FAILS(parse(ERROR(400, 10054)), LIMIT);
    CHECK_FAILS(parse("{\"error\":7}"), INVALID);
    CHECK_FAILS(parse("[]"), INVALID);
    CHECK_FAILS(parse("nonsense"), INVALID);
}

TEST(marks_of_deletion)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    uint64_t sequence = 9;
    json_t *answer;
    wisp_buf_printf(&text, "{\"message\":{\"subject\":\"s\",\"seq\":42,\"hdrs\":\"");
    wisp_base64_encode(WISP_STR("NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n\r\n"), &text);
    wisp_buf_printf(&text, "\"}}");
    CHECK_OK(wisp_state_js_parse(wisp_buf_str(&text), &answer, &err), &err);
    CHECK_OK(wisp_state_js_parse_marker(answer, &sequence, &err), &err);
    CHECK_INT(sequence, 42);
    json_decref(answer);
    CHECK_OK(wisp_state_js_parse(WISP_STR("{\"message\":{\"seq\":42,\"data\":\"eA==\"}}"), &answer, &err), &err);
    CHECK_OK(wisp_state_js_parse_marker(answer, &sequence, &err), &err);
    CHECK_INT(sequence, 0);
    json_decref(answer);
}

TEST(buckets_are_as_kv_clients_make_them)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    WISP_CLEANUP_JSON json_t *config = NULL;
    wisp_state_js_stream_config("LATTICEDATA_default", 1, &text);
    CHECK_OK(wisp_json_parse(wisp_buf_str(&text), &config, &err), &err);
    CHECK_STR(wisp_json_str(config, "name"), "KV_LATTICEDATA_default");
    CHECK_TEXT(json_string_value(json_array_get(json_object_get(config, "subjects"), 0)), "$KV.LATTICEDATA_default.>");
    CHECK_STR(wisp_json_str(config, "storage"), "file");
    CHECK_STR(wisp_json_str(config, "discard"), "new");
    CHECK_INT(wisp_json_u64(config, "max_msgs_per_subject", 0), 1);
    CHECK_INT(wisp_json_u64(config, "num_replicas", 0), 1);
    CHECK(wisp_json_bool(config, "allow_rollup_hdrs", false) && wisp_json_bool(config, "allow_direct", false) &&
          wisp_json_bool(config, "deny_delete", false) && !wisp_json_bool(config, "deny_purge", true));
}
