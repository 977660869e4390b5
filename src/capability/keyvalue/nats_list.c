/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/nats_priv.h"

enum {
    PAGE_KEYS = 10000, /* a page costs a walk over all keys before it */
    PAGE_BYTES = 1 << 20,
};

static void return_page(struct wisp_nats_op *op, uint64_t cursor)
{
    wisp_keyvalue_return_keys(wisp_nats_op_stop(op), op->keys, op->n_keys, cursor);
}

static void add_key(struct wisp_nats_op *op, struct wisp_str key)
{
    if (op->n_keys == op->capacity) {
        op->capacity = op->capacity ? 2 * op->capacity : 64;
        struct wisp_str *keys = WISP_NEW_ARRAY(op->call->arena, struct wisp_str, op->capacity);
        if (op->n_keys) memcpy(keys, op->keys, op->n_keys * sizeof *keys);
        op->keys = keys;
    }
    op->keys[op->n_keys++] = wisp_arena_str(op->call->arena, key);
    op->size += key.len;
}

static void on_delivery(const struct wisp_bus_message *message, void *env)
{
    struct wisp_nats_op *op = env;
    struct wisp_state_js_position position;
    struct wisp_str prefix = wisp_str_from(op->prefix);
    op->heard_ms = uv_now(op->store->timer->loop);
    if (wisp_state_js_parse_position(message->reply, &position, NULL) < 0) return;
    bool is_key = position.stream_sequence > op->cursor && !wisp_state_js_is_marker(message) &&
                  wisp_str_starts_with(message->subject, prefix);
    struct wisp_str key = {message->subject.ptr + prefix.len, is_key ? message->subject.len - prefix.len : 0};
    if (is_key && wisp_str_is_utf8(key)) add_key(op, key);
    if (position.pending == 0)
        return_page(op, 0);
    else if (op->n_keys == PAGE_KEYS || op->size >= PAGE_BYTES)
        return_page(op, position.stream_sequence);
}

static void on_consumer(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct wisp_nats_op *op = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    op->request = NULL;
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : wisp_state_js_parse(message->payload, &answer, &err);
    const json_t *delivered = json_object_get(answer, "delivered");
    if (r < 0)
        wisp_nats_op_fail(op, &err);
    else if (!wisp_json_u64(answer, "num_pending", 0) && !wisp_json_u64(delivered, "consumer_seq", 0))
        return_page(op, 0);
}

static void consumer_config(const struct wisp_nats_op *op, const char *subject, struct wisp_buf *out)
{
    json_t *config = json_pack("{s:s, s:s, s:s, s:s+, s:s, s:b, s:i, s:b, s:i}", "deliver_subject", subject, //
                               "deliver_policy", "last_per_subject", "ack_policy", "none",                   //
                               "filter_subject", op->prefix, ">", "replay_policy", "instant",                //
                               "headers_only", 1, "max_deliver", 1, "mem_storage", 1, "num_replicas", 1);
    WISP_CLEANUP_JSON json_t *request = json_pack("{s:s+, s:o}", "stream_name", "KV_", op->bucket, "config", config);
    wisp_json_print(request, out);
}

int wisp_nats_op_list(struct wisp_nats_op *op, struct wisp_err *err)
{
    struct wisp_keyvalue_nats *store = op->store;
    const struct wisp_keyvalue_list_args *args = op->args;
    char subject[WISP_BUS_INBOX_MAX];
    WISP_CLEANUP_BUF struct wisp_buf config = {0};
    op->cursor = args->has_cursor ? args->cursor : 0;
    wisp_bus_unique_subject(store->bus, subject);
    consumer_config(op, subject, &config);
    int r = wisp_bus_subscribe(store->bus, wisp_str_from(subject), WISP_STR(""), on_delivery, op, &op->delivery, err);
    if (r < 0) return r;
    op->heard_ms = uv_now(store->timer->loop);
    wisp_nats_start_ticking(store);
    return wisp_nats_op_ask(op, "CONSUMER.CREATE", wisp_buf_str(&config), on_consumer, op, &op->request, err);
}
