/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/nats_priv.h"

#include <stdlib.h>

struct wisp_objects_ask {
    struct wisp_link link; /* in asking or resting */
    struct wisp_objects *objects;
    struct wisp_objects_request what; /* subject and payload are in `text` */
    struct wisp_buf text;
    struct wisp_arena arena; /* the headers */
    struct wisp_bus_request *request;
    uint64_t deadline_ms;
};

static void free_ask(struct wisp_objects_ask *ask)
{
    wisp_ring_remove(&ask->link);
    if (ask->request) wisp_bus_request_cancel(WISP_TAKE(ask->request));
    wisp_buf_deinit(&ask->text);
    wisp_arena_deinit(&ask->arena);
    free(ask);
}

static void end(struct wisp_objects_ask *ask, const json_t *answer, const struct wisp_err *err)
{
    wisp_objects_on_answer *on_answer = ask->what.on_answer;
    void *env = ask->what.env;
    free_ask(ask);
    if (on_answer) on_answer(answer, err, env);
}

static void rest(struct wisp_objects_ask *ask)
{
    wisp_ring_remove(&ask->link);
    wisp_ring_append(&ask->objects->resting, &ask->link);
    wisp_objects_start_ticking(ask->objects);
}

static void on_reply(const struct wisp_bus_message *reply, const struct wisp_err *failure, void *env)
{
    struct wisp_objects_ask *ask = env;
    struct wisp_err err = {0};
    WISP_CLEANUP_JSON json_t *answer = NULL;
    ask->request = NULL;
    if (!failure) {
        int r = wisp_state_js_parse(reply->payload, &answer, &err);
        end(ask, answer, r < 0 ? &err : NULL);
        return;
    }
    /* Nobody was there to do it: JetStream is the last to be up again. */
    bool may_rest = failure->kind == WISP_ERR_UNAVAILABLE && ask->what.sort != WISP_OBJECTS_WRITES_IN_ORDER &&
                    uv_now(ask->objects->provider->loop) < ask->deadline_ms;
    if (may_rest) {
        rest(ask);
        return;
    }
    err = *failure;
    wisp_err_wrap(&err, "JetStream does not answer");
    end(ask, NULL, &err);
}

static void begin(struct wisp_objects_ask *ask)
{
    struct wisp_objects *objects = ask->objects;
    struct wisp_err err = {0};
    wisp_ring_remove(&ask->link);
    wisp_ring_append(&objects->asking, &ask->link);
    if (wisp_bus_request(objects->bus, ask->what.subject, ask->what.headers, ask->what.n_headers, ask->what.payload,
                         WISP_OBJECTS_WAIT_MS, on_reply, ask, &ask->request, &err) < 0)
        rest(ask); /* too much is on its way already; it ends with its time */
}

struct wisp_objects_ask *wisp_objects_ask(struct wisp_objects *objects, const struct wisp_objects_request *request)
{
    struct wisp_objects_ask *ask = wisp_mem_calloc(1, sizeof *ask);
    struct wisp_bus_header *headers = WISP_NEW_ARRAY(&ask->arena, struct wisp_bus_header, request->n_headers);
    ask->objects = objects;
    ask->what = *request;
    wisp_buf_append_str(&ask->text, request->subject);
    wisp_buf_append_str(&ask->text, request->payload);
    ask->what.subject = (struct wisp_str){ask->text.data, request->subject.len};
    ask->what.payload = (struct wisp_str){ask->text.data + request->subject.len, request->payload.len};
    for (size_t i = 0; i < request->n_headers; i++)
        headers[i] = (struct wisp_bus_header){wisp_arena_str(&ask->arena, request->headers[i].name),
                                              wisp_arena_str(&ask->arena, request->headers[i].value)};
    ask->what.headers = headers;
    ask->deadline_ms = uv_now(objects->provider->loop) + WISP_OBJECTS_WAIT_MS;
    begin(ask);
    return ask;
}

struct wisp_objects_ask *wisp_objects_ask_api(struct wisp_objects *objects, const char *what, const char *bucket,
                                              struct wisp_objects_request *request)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    wisp_buf_printf(&subject, "%s.%s.OBJ_%s", objects->api, what, bucket);
    request->subject = wisp_buf_str(&subject);
    return wisp_objects_ask(objects, request);
}

void wisp_objects_cancel(struct wisp_objects_ask *ask)
{
    if (ask) free_ask(ask);
}

void wisp_objects_tick_asks(struct wisp_objects *objects)
{
    struct wisp_link again;
    wisp_ring_init(&again);
    wisp_ring_move(&objects->resting, &again);
    while (!wisp_ring_is_empty(&again)) {
        struct wisp_objects_ask *ask = WISP_OWNER(again.next, struct wisp_objects_ask, link);
        if (uv_now(objects->provider->loop) < ask->deadline_ms) {
            begin(ask);
            continue;
        }
        struct wisp_err err = {0};
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "JetStream does not answer");
        end(ask, NULL, &err);
    }
}

void wisp_objects_lose_asks(struct wisp_objects *objects, const struct wisp_err *err)
{
    struct wisp_link before;
    wisp_ring_init(&before);
    wisp_ring_move(&objects->asking, &before);
    while (!wisp_ring_is_empty(&before)) {
        struct wisp_objects_ask *ask = WISP_OWNER(before.next, struct wisp_objects_ask, link);
        if (ask->what.sort != WISP_OBJECTS_READS) {
            end(ask, NULL, err);
            continue;
        }
        if (ask->request) wisp_bus_request_cancel(WISP_TAKE(ask->request));
        rest(ask);
    }
}

void wisp_objects_purge(struct wisp_objects *objects, const char *bucket, const char *nuid)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0}, payload = {0};
    WISP_CLEANUP_JSON json_t *filter = json_pack("{s:s++++}", "filter", "$O.", bucket, ".C.", nuid, "");
    wisp_buf_printf(&subject, "%s.STREAM.PURGE.OBJ_%s", objects->api, bucket);
    wisp_json_print(filter, &payload);
    struct wisp_err err = {0};
    /* Without it they only take up room. */
    (void)!wisp_bus_publish(objects->bus, wisp_buf_str(&subject), WISP_STR(""), NULL, 0, wisp_buf_str(&payload), &err);
}
