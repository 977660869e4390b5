/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/nats_priv.h"
#include "capability/nats.h"

#include <stdlib.h>

enum { TICK_MS = 100 };

/* --- the end of a call --- */

struct wisp_provider_call *wisp_nats_op_stop(struct wisp_nats_op *op)
{
    if (op->request) wisp_bus_request_cancel(WISP_TAKE(op->request));
    for (size_t i = 0; i < op->n_begun; i++) {
        wisp_ring_remove(&op->parts[i].link);
        if (op->parts[i].request) wisp_bus_request_cancel(WISP_TAKE(op->parts[i].request));
    }
    wisp_bus_unsubscribe(WISP_TAKE(op->delivery));
    wisp_ring_remove(&op->link);
    op->call->on_cancel = NULL;
    return op->call;
}

static void on_cancel(struct wisp_provider_call *call)
{
    wisp_nats_op_stop(call->user);
    wisp_keyvalue_fail_cancelled(call);
}

static void forget(struct wisp_keyvalue_nats *store, const char *bucket)
{
    for (size_t i = 0; i < WISP_NATS_KNOWN_MAX; i++)
        if (store->known[i] && strcmp(store->known[i], bucket) == 0) free(WISP_TAKE(store->known[i]));
}

void wisp_nats_op_fail(struct wisp_nats_op *op, const struct wisp_err *err)
{
    forget(op->store, op->bucket);
    wisp_keyvalue_fail_with(wisp_nats_op_stop(op), err);
}

/* --- time --- */

/* Whether calls are left that list keys. */
static bool end_still_listings(struct wisp_keyvalue_nats *store)
{
    struct wisp_err err = {0};
    bool is_any = false;
    WISP_RING_EACH(link, &store->ops)
    {
        struct wisp_nats_op *op = WISP_OWNER(link, struct wisp_nats_op, link);
        if (!op->delivery) continue;
        is_any = true;
        if (uv_now(store->timer->loop) - op->heard_ms < WISP_KEYVALUE_WAIT_MS) continue;
        wisp_err_set(&err, WISP_ERR_TIMEOUT, "JetStream stopped listing keys");
        wisp_nats_op_fail(op, &err);
        break; /* others may be gone with it; they have their turn */
    }
    return is_any;
}

static void on_tick(uv_timer_t *timer)
{
    struct wisp_keyvalue_nats *store = timer->data;
    struct wisp_link again;
    struct wisp_err err = {0};
    wisp_ring_init(&again);
    wisp_ring_move(&store->resting, &again);
    while (!wisp_ring_is_empty(&again)) {
        struct wisp_nats_part *part = WISP_OWNER(again.next, struct wisp_nats_part, link);
        wisp_ring_remove(&part->link);
        if (wisp_nats_part_begin(part, &err) < 0) wisp_nats_op_fail(part->op, &err);
    }
    if (!end_still_listings(store) && wisp_ring_is_empty(&store->resting)) uv_timer_stop(timer);
}

void wisp_nats_start_ticking(struct wisp_keyvalue_nats *store)
{
    if (!uv_is_active((uv_handle_t *)store->timer)) uv_timer_start(store->timer, on_tick, TICK_MS, TICK_MS);
}

int wisp_nats_op_ask(struct wisp_nats_op *op, const char *what, struct wisp_str payload, wisp_bus_on_reply *on_reply,
                     void *env, struct wisp_bus_request **ret_request, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s.%s.KV_%s", op->store->api, what, op->bucket);
    return wisp_bus_request(op->store->bus, wisp_buf_str(&subject), NULL, 0, payload, WISP_KEYVALUE_WAIT_MS, on_reply,
                            env, ret_request, err);
}

/* --- the bucket --- */

static void begin(struct wisp_nats_op *op)
{
    struct wisp_err err = {0};
    if (op->verb != WISP_KEYVALUE_LIST_KEYS)
        wisp_nats_op_begin_keys(op);
    else if (wisp_nats_op_list(op, &err) < 0)
        wisp_nats_op_fail(op, &err);
}

static void remember(struct wisp_keyvalue_nats *store, const char *bucket)
{
    forget(store, bucket);
    char **place = &store->known[store->next_known++ % WISP_NATS_KNOWN_MAX];
    free(*place);
    *place = wisp_mem_dup(wisp_str_from(bucket));
}

static void on_made(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct wisp_nats_op *op = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    op->request = NULL;
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : wisp_state_js_parse(message->payload, &answer, &err);
    if (r < 0 && r != -WISP_ERR_EXISTS) {
        wisp_err_wrap(&err, "making the bucket `%s`", op->bucket);
        wisp_nats_op_fail(op, &err);
        return;
    }
    remember(op->store, op->bucket);
    begin(op);
}

static int make_bucket(struct wisp_nats_op *op, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf config = {0};
    wisp_state_js_stream_config(op->bucket, 1, &config);
    return wisp_nats_op_ask(op, "STREAM.CREATE", wisp_buf_str(&config), on_made, op, &op->request, err);
}

static void on_info(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct wisp_nats_op *op = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    op->request = NULL;
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : wisp_state_js_parse(message->payload, &answer, &err);
    if (failure) {
        wisp_err_wrap(&err, "JetStream does not answer");
    } else if (r == 0) {
        remember(op->store, op->bucket);
        begin(op);
    } else if (r == -WISP_ERR_NOT_FOUND && !op->store->is_made) {
        wisp_keyvalue_fail(wisp_nats_op_stop(op), WISP_KEYVALUE_NO_SUCH_STORE, "no bucket");
        return;
    } else if (r == -WISP_ERR_NOT_FOUND) {
        r = make_bucket(op, &err);
    }
    if (r < 0) wisp_nats_op_fail(op, &err);
}

static bool is_known(const struct wisp_keyvalue_nats *store, const char *bucket)
{
    for (size_t i = 0; i < WISP_NATS_KNOWN_MAX; i++)
        if (store->known[i] && strcmp(store->known[i], bucket) == 0) return true;
    return false;
}

static int look(struct wisp_nats_op *op, struct wisp_err *err)
{
    return wisp_nats_op_ask(op, "STREAM.INFO", WISP_STR(""), on_info, op, &op->request, err);
}

void wisp_keyvalue_nats_run(struct wisp_keyvalue_nats *store, struct wisp_provider_call *call,
                            enum wisp_keyvalue_verb verb, const void *args)
{
    struct wisp_nats_op *op = WISP_NEW(call->arena, struct wisp_nats_op);
    struct wisp_str bucket = store->bucket ? wisp_str_from(store->bucket) : *(const struct wisp_str *)args;
    struct wisp_err err = {0};
    if (!bucket.len) bucket = WISP_STR("default");
    if (!wisp_nats_is_name(bucket)) {
        wisp_keyvalue_fail(call, WISP_KEYVALUE_NO_SUCH_STORE, "no bucket");
        return;
    }
    *op = (struct wisp_nats_op){.store = store, .call = call, .verb = verb, .args = args};
    op->deadline_ms = uv_now(store->timer->loop) + WISP_KEYVALUE_WAIT_MS;
    op->bucket = wisp_arena_cstr(call->arena, bucket);
    op->prefix = wisp_arena_printf(call->arena, "$KV.%s.", op->bucket);
    wisp_ring_append(&store->ops, &op->link);
    call->user = op;
    call->on_cancel = on_cancel;
    if (is_known(store, op->bucket))
        begin(op);
    else if (look(op, &err) < 0)
        wisp_nats_op_fail(op, &err);
}

/* --- connections that are lost --- */

/* Answers to what was asked over it don't come any more. */
static bool survives(struct wisp_nats_op *op)
{
    bool is_looking = op->request && !op->delivery;
    if (op->delivery) return false;
    if (is_looking) {
        wisp_bus_request_cancel(WISP_TAKE(op->request));
        return look(op, NULL) == 0;
    }
    for (size_t i = 0; i < op->n_begun; i++)
        if (op->parts[i].request && !wisp_nats_part_begin_again(&op->parts[i])) return false;
    return true;
}

static void on_bus_state(enum wisp_bus_state bus_state, const struct wisp_err *reason, void *env)
{
    struct wisp_keyvalue_nats *store = env;
    struct wisp_link before;
    struct wisp_err err = {0};
    if (bus_state != WISP_BUS_RECONNECTING) return;
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "the connection was lost before the answer came: %s", reason->text);
    wisp_ring_init(&before);
    wisp_ring_move(&store->ops, &before);
    while (!wisp_ring_is_empty(&before)) {
        struct wisp_nats_op *op = WISP_OWNER(before.next, struct wisp_nats_op, link);
        wisp_ring_remove(&op->link);
        wisp_ring_append(&store->ops, &op->link);
        if (!survives(op)) wisp_nats_op_fail(op, &err);
    }
}

/* --- life --- */

int wisp_keyvalue_nats_new(struct wisp_keyvalue_nats **ret_store, uv_loop_t *loop,
                           const struct wisp_keyvalue_nats_options *options, struct wisp_err *err)
{
    struct wisp_str domain = options->js_domain, bucket = options->bucket;
    if (domain.len && !wisp_nats_is_name(domain)) return wisp_err_set(err, WISP_ERR_INVALID, "`js_domain` is no name");
    if (bucket.len && !wisp_nats_is_name(bucket))
        return wisp_err_set(err, WISP_ERR_INVALID, "`bucket` is no name of a bucket");
    struct wisp_keyvalue_nats *store = wisp_mem_calloc(1, sizeof *store);
    WISP_CLEANUP_BUF struct wisp_buf api = {0}, put = {0};
    wisp_buf_printf(&api, domain.len ? "$JS.%.*s.API" : "$JS.API%.*s", WISP_STR_ARG(domain));
    if (domain.len) wisp_buf_printf(&put, "$JS.%.*s.API.", WISP_STR_ARG(domain));
    store->bus = options->bus;
    wisp_ring_init(&store->ops);
    wisp_ring_init(&store->resting);
    store->api = wisp_mem_dup(wisp_buf_str(&api));
    store->put = wisp_mem_dup(wisp_buf_str(&put));
    if (bucket.len) store->bucket = wisp_mem_dup(bucket);
    store->is_made = options->is_made;
    store->timer = wisp_mem_calloc(1, sizeof *store->timer);
    uv_timer_init(loop, store->timer);
    store->timer->data = store;
    store->watch = (struct wisp_bus_watch){.on_state = on_bus_state, .env = store};
    wisp_bus_client_watch(store->bus, &store->watch);
    *ret_store = store;
    return 0;
}

static void free_timer(uv_handle_t *handle) { free(handle); }

void wisp_keyvalue_nats_free(struct wisp_keyvalue_nats *store)
{
    if (!store) return;
    wisp_bus_client_unwatch(store->bus, &store->watch);
    uv_close((uv_handle_t *)store->timer, free_timer);
    for (size_t i = 0; i < WISP_NATS_KNOWN_MAX; i++) free(store->known[i]);
    free(store->api);
    free(store->put);
    free(store->bucket);
    free(store);
}
