/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/nats_priv.h"

#include "nkeys/nkeys.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    WINDOW = 64,     /* requests of one call at once */
    SWAPS_MAX = 100, /* of an increment: each failure is another's success */
};

static struct wisp_str key_of(const struct wisp_nats_op *op, size_t i)
{
    switch (op->verb) {
    case WISP_KEYVALUE_GET_MANY:
    case WISP_KEYVALUE_DELETE_MANY:
        return ((const struct wisp_keyvalue_keys_args *)op->args)->keys[i];
    case WISP_KEYVALUE_SET_MANY:
        return ((const struct wisp_keyvalue_pairs_args *)op->args)->pairs[i].key;
    default:
        return ((const struct wisp_keyvalue_key_args *)op->args)->key;
    }
}

static void next_parts(struct wisp_nats_op *op);

static void return_result(struct wisp_nats_op *op)
{
    struct wisp_provider_call *call = wisp_nats_op_stop(op);
    switch (op->verb) {
    case WISP_KEYVALUE_GET:
        wisp_keyvalue_return_value(call, op->values[0].pair.value);
        break;
    case WISP_KEYVALUE_EXISTS:
        wisp_keyvalue_return_exists(call, op->values[0].is_some);
        break;
    case WISP_KEYVALUE_INCREMENT:
        wisp_keyvalue_return_number(call, op->parts[0].sum);
        break;
    case WISP_KEYVALUE_GET_MANY:
        wisp_keyvalue_return_values(call, op->values, op->n);
        break;
    default:
        wisp_keyvalue_return_done(call);
    }
}

static void finish_part(struct wisp_nats_op *op)
{
    op->n_done++;
    if (op->n_done == op->n)
        return_result(op);
    else
        next_parts(op);
}

static bool is_swap_lost(const struct wisp_nats_op *op, int r)
{
    return op->verb == WISP_KEYVALUE_INCREMENT && r == -WISP_ERR_EXISTS;
}

static int read_part(struct wisp_nats_part *part, struct wisp_err *err);

static void rest(struct wisp_nats_part *part)
{
    wisp_ring_append(&part->op->store->resting, &part->link);
    wisp_nats_start_ticking(part->op->store);
}

bool wisp_nats_part_begin_again(struct wisp_nats_part *part)
{
    if (part->is_writing) return false;
    wisp_bus_request_cancel(WISP_TAKE(part->request));
    rest(part);
    return true;
}

/* Nobody was there to do it, so that nothing was done: it may be tried again. */
static bool rests(struct wisp_nats_part *part, const struct wisp_err *failure)
{
    struct wisp_keyvalue_nats *store = part->op->store;
    if (!failure || failure->kind != WISP_ERR_UNAVAILABLE || uv_now(store->timer->loop) >= part->op->deadline_ms)
        return false;
    rest(part);
    return true;
}

static void on_written(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct wisp_nats_part *part = env;
    struct wisp_nats_op *op = part->op;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    part->request = NULL;
    if (rests(part, failure)) return;
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : wisp_state_js_parse(message->payload, &answer, &err);
    if (is_swap_lost(op, r) && op->n_swaps++ < SWAPS_MAX)
        r = read_part(part, &err);
    else if (r == 0) {
        finish_part(op);
        return;
    }
    if (r < 0) wisp_nats_op_fail(op, &err);
}

static int write_part(struct wisp_nats_part *part, const struct wisp_bus_header *headers, size_t n_headers,
                      struct wisp_bytes value, struct wisp_err *err)
{
    struct wisp_nats_op *op = part->op;
    struct wisp_str key = key_of(op, part->index);
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s%s%.*s", op->store->put, op->prefix, WISP_STR_ARG(key));
    struct wisp_str payload = {(const char *)value.ptr, value.len};
    part->is_writing = true;
    return wisp_bus_request(op->store->bus, wisp_buf_str(&subject), headers, n_headers, payload, WISP_KEYVALUE_WAIT_MS,
                            on_written, part, &part->request, err);
}

static int write_sum(struct wisp_nats_part *part, struct wisp_err *err)
{
    char expected[24], sum[24];
    int n = snprintf(sum, sizeof sum, "%" PRIu64, part->sum);
    snprintf(expected, sizeof expected, "%" PRIu64, part->revision);
    struct wisp_bus_header header = {WISP_STR("Nats-Expected-Last-Subject-Sequence"), wisp_str_from(expected)};
    return write_part(part, &header, 1, (struct wisp_bytes){(const uint8_t *)sum, (size_t)n}, err);
}

static int remove_part(struct wisp_nats_part *part, struct wisp_err *err)
{
    const struct wisp_bus_header headers[] = {
        {WISP_STR("KV-Operation"), WISP_STR("PURGE")},
        {WISP_STR("Nats-Rollup"), WISP_STR("sub")},
    };
    return write_part(part, headers, WISP_COUNT(headers), (struct wisp_bytes){0}, err);
}

/* What is stored, if it is a value. */
static int take_value(struct wisp_nats_part *part, const json_t *answer, struct wisp_err *err)
{
    struct wisp_nats_op *op = part->op;
    const json_t *stored = json_object_get(answer, "message");
    struct wisp_keyvalue_maybe_pair *pair = &op->values[part->index];
    uint64_t marker;
    int r = wisp_state_js_parse_marker(answer, &marker, err);
    if (r < 0) return r;
    part->revision = wisp_json_u64(stored, "seq", 0);
    if (marker) return 0;
    WISP_CLEANUP_BUF struct wisp_buf value = {0};
    if ((r = wisp_base64_decode(wisp_json_str(stored, "data"), &value, err)) < 0) return r;
    op->size += value.len;
    if (op->size > WISP_KEYVALUE_ANSWER_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "the values are too large for one answer");
    uint8_t *copy = wisp_arena_alloc(op->call->arena, value.len);
    if (value.len) memcpy(copy, value.data, value.len);
    pair->is_some = true;
    pair->pair.value = (struct wisp_bytes){copy, value.len};
    return 0;
}

static int swap(struct wisp_nats_part *part, struct wisp_err *err)
{
    struct wisp_nats_op *op = part->op;
    uint64_t delta = ((const struct wisp_keyvalue_increment_args *)op->args)->delta;
    struct wisp_bytes value = op->values[0].pair.value;
    struct wisp_str text =
        op->values[0].is_some ? (struct wisp_str){(const char *)value.ptr, value.len} : WISP_STR("0");
    int r = wisp_keyvalue_add(text, delta, &part->sum, err);
    return r < 0 ? r : write_sum(part, err);
}

/* "No message" is an answer, "no stream" isn't. */
static bool is_no_key(int r, struct wisp_str payload)
{
    static const char no_stream[] = "10059";
    return r == -WISP_ERR_NOT_FOUND && !memmem(payload.ptr, payload.len, no_stream, strlen(no_stream));
}

static void on_read(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct wisp_nats_part *part = env;
    struct wisp_nats_op *op = part->op;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    part->request = NULL;
    if (rests(part, failure)) return;
    part->revision = 0;
    op->values[part->index] = (struct wisp_keyvalue_maybe_pair){.pair.key = key_of(op, part->index)};
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : wisp_state_js_parse(message->payload, &answer, &err);
    if (r == 0)
        r = take_value(part, answer, &err);
    else if (!failure && is_no_key(r, message->payload))
        r = 0;
    if (r == 0 && op->verb == WISP_KEYVALUE_INCREMENT)
        r = swap(part, &err);
    else if (r == 0) {
        finish_part(op);
        return;
    }
    if (r < 0) wisp_nats_op_fail(op, &err);
}

static int read_part(struct wisp_nats_part *part, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0}, payload = {0};
    wisp_buf_printf(&subject, "%s%.*s", part->op->prefix, WISP_STR_ARG(key_of(part->op, part->index)));
    wisp_state_js_get_last(wisp_buf_str(&subject), &payload);
    part->is_writing = false;
    return wisp_nats_op_ask(part->op, "STREAM.MSG.GET", wisp_buf_str(&payload), on_read, part, &part->request, err);
}

int wisp_nats_part_begin(struct wisp_nats_part *part, struct wisp_err *err)
{
    const struct wisp_nats_op *op = part->op;
    switch (op->verb) {
    case WISP_KEYVALUE_SET:
        return write_part(part, NULL, 0, ((const struct wisp_keyvalue_set_args *)op->args)->value, err);
    case WISP_KEYVALUE_SET_MANY:
        return write_part(part, NULL, 0, ((const struct wisp_keyvalue_pairs_args *)op->args)->pairs[part->index].value,
                          err);
    case WISP_KEYVALUE_DELETE:
    case WISP_KEYVALUE_DELETE_MANY:
        return remove_part(part, err);
    default:
        return read_part(part, err);
    }
}

static void next_parts(struct wisp_nats_op *op)
{
    struct wisp_err err = {0};
    while (op->n_begun < op->n && op->n_begun - op->n_done < WINDOW) {
        struct wisp_nats_part *part = &op->parts[op->n_begun];
        *part = (struct wisp_nats_part){.op = op, .index = op->n_begun++};
        if (wisp_nats_part_begin(part, &err) < 0) {
            wisp_nats_op_fail(op, &err);
            return;
        }
    }
}

void wisp_nats_op_begin_keys(struct wisp_nats_op *op)
{
    op->n = op->verb == WISP_KEYVALUE_GET_MANY || op->verb == WISP_KEYVALUE_DELETE_MANY
                ? ((const struct wisp_keyvalue_keys_args *)op->args)->n
            : op->verb == WISP_KEYVALUE_SET_MANY ? ((const struct wisp_keyvalue_pairs_args *)op->args)->n
                                                 : 1;
    for (size_t i = 0; i < op->n; i++) {
        struct wisp_str key = key_of(op, i);
        if (wisp_state_key_is_valid(key)) continue;
        wisp_keyvalue_fail(wisp_nats_op_stop(op), WISP_KEYVALUE_OTHER,
                           "`%.*s` is no key for NATS: letters, digits and -/_=. only, at most %d", WISP_STR_ARG(key),
                           WISP_STATE_KEY_MAX);
        return;
    }
    op->parts = WISP_NEW_ARRAY(op->call->arena, struct wisp_nats_part, op->n);
    op->values = WISP_NEW_ARRAY(op->call->arena, struct wisp_keyvalue_maybe_pair, op->n);
    if (op->n)
        next_parts(op);
    else
        return_result(op);
}
