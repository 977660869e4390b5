/* SPDX-License-Identifier: Apache-2.0 */
#include "wasi/http/http_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- objects --- */

/* Objects kept for the next invocation; what goes beyond is given back to the heap. */
enum { CACHED_MAX = 32 };

static const size_t object_sizes[WISP_WASI_HTTP_KIND_COUNT] = {
    [WISP_WASI_HTTP_KIND_FIELDS] = sizeof(struct wisp_fields),
    [WISP_WASI_HTTP_KIND_REQUEST_IN] = sizeof(struct wisp_incoming_request),
    [WISP_WASI_HTTP_KIND_REQUEST_OUT] = sizeof(struct wisp_outgoing_request),
    [WISP_WASI_HTTP_KIND_REQUEST_OPTIONS] = sizeof(struct wisp_request_options),
    [WISP_WASI_HTTP_KIND_RESPONSE_OUT] = sizeof(struct wisp_outgoing_response),
    [WISP_WASI_HTTP_KIND_BODY_IN] = sizeof(struct wisp_incoming_body),
    [WISP_WASI_HTTP_KIND_BODY_OUT] = sizeof(struct wisp_outgoing_body),
    [WISP_WASI_HTTP_KIND_TRAILERS] = sizeof(struct wisp_future_trailers),
    [WISP_WASI_HTTP_KIND_RESPONSE_IN] = sizeof(struct wisp_incoming_response),
    [WISP_WASI_HTTP_KIND_FUTURE_RESPONSE] = sizeof(struct wisp_future_response),
};

/* Only what comes before the inline storage of `fields` needs to be zero. */
static size_t zeroed_size(enum wisp_wasi_http_kind kind)
{
    return kind == WISP_WASI_HTTP_KIND_FIELDS ? offsetof(struct wisp_fields, inline_entries) : object_sizes[kind];
}

void *wisp_wasi_http_object_make(struct wisp_wasi_http *http, enum wisp_wasi_http_kind kind)
{
    struct wisp_wasi_http_object *object = http->free_objects[kind];
    if (object) {
        http->free_objects[kind] = object->next;
        http->n_cached--;
    } else {
        object = wisp_mem_alloc(object_sizes[kind]);
    }
    memset(object, 0, zeroed_size(kind));
    struct wisp_wasi_http_object *head = &http->alive;
    *object =
        (struct wisp_wasi_http_object){.http = http, .refs = 1, .kind = kind, .next = head, .previous = head->previous};
    head->previous = head->previous->next = object;
    http->n_alive++;
    return object;
}

void *wisp_wasi_http_object_new(struct wisp_call *call, enum wisp_wasi_http_kind kind)
{
    struct wisp_wasi_http *http = wisp_wasi_http_of(call);
    if (http->n_alive >= WISP_WASI_HTTP_OBJECTS_MAX) {
        (void)wisp_call_trap(call, "more than %d wasi:http resources alive", WISP_WASI_HTTP_OBJECTS_MAX);
        return NULL;
    }
    return wisp_wasi_http_object_make(http, kind);
}

void wisp_wasi_http_object_ref(void *object) { ((struct wisp_wasi_http_object *)object)->refs++; }

static void destroy(struct wisp_wasi_http_object *object)
{
    static void (*const destroyers[WISP_WASI_HTTP_KIND_COUNT])(void *object) = {
        [WISP_WASI_HTTP_KIND_FIELDS] = wisp_fields_destroy,
        [WISP_WASI_HTTP_KIND_REQUEST_IN] = wisp_incoming_request_destroy,
        [WISP_WASI_HTTP_KIND_REQUEST_OUT] = wisp_outgoing_request_destroy,
        [WISP_WASI_HTTP_KIND_RESPONSE_OUT] = wisp_outgoing_response_destroy,
        [WISP_WASI_HTTP_KIND_BODY_OUT] = wisp_outgoing_body_destroy,
        [WISP_WASI_HTTP_KIND_BODY_IN] = wisp_incoming_body_destroy,
        [WISP_WASI_HTTP_KIND_TRAILERS] = wisp_future_trailers_destroy,
        [WISP_WASI_HTTP_KIND_RESPONSE_IN] = wisp_incoming_response_destroy,
        [WISP_WASI_HTTP_KIND_FUTURE_RESPONSE] = wisp_future_response_destroy,
    };
    if (destroyers[object->kind]) destroyers[object->kind](object);
}

static void give_back(struct wisp_wasi_http_object *object)
{
    struct wisp_wasi_http *http = object->http;
    object->previous->next = object->next;
    object->next->previous = object->previous;
    http->n_alive--;
#ifndef __SANITIZE_ADDRESS__ /* there, reusing memory would hide a use after free */
    if (http->n_cached < CACHED_MAX) {
        object->next = http->free_objects[object->kind];
        http->free_objects[object->kind] = object;
        http->n_cached++;
        return;
    }
#endif
    free(object);
}

void wisp_wasi_http_object_unref(void *pointer)
{
    struct wisp_wasi_http_object *object = pointer;
    if (!object || object->http->is_ending || --object->refs > 0) return;
    destroy(object);
    give_back(object);
}

/* What a guest can make us lose, by giving a bad address for the handle it gets: a representation without a handle.
 * References between such objects don't matter any more, so all are destroyed before the first one's memory goes. */
static void destroy_leftovers(struct wisp_wasi_http *http)
{
    http->is_ending = true;
    for (struct wisp_wasi_http_object *object = http->alive.next; object != &http->alive; object = object->next)
        destroy(object);
    while (http->n_alive) give_back(http->alive.next);
    http->is_ending = false;
}

/* --- the invocation's state --- */

struct wisp_wasi_http *wisp_wasi_http_new(void)
{
    struct wisp_wasi_http *http = wisp_mem_calloc(1, sizeof *http);
    http->alive.next = http->alive.previous = &http->alive;
    return http;
}

void wisp_wasi_http_free(struct wisp_wasi_http *http)
{
    if (!http) return;
    assert(!http->wasi);
    for (size_t kind = 0; kind < WISP_COUNT(http->free_objects); kind++) {
        for (struct wisp_wasi_http_object *next, *object = http->free_objects[kind]; object; object = next) {
            next = object->next;
            free(object);
        }
    }
    free(http);
}

void wisp_wasi_http_attach(struct wisp_wasi_http *http, struct wisp_wasi *wasi, struct wisp_http_exchange *exchange)
{
    assert(!http->wasi && http->n_alive == 0);
    http->wasi = wasi;
    wasi->http = http;
    wasi->exchange = exchange;
    if (exchange) http->request = wisp_wasi_http_object_make(http, WISP_WASI_HTTP_KIND_REQUEST_IN);
}

bool wisp_wasi_http_is_valid_request(const struct wisp_http_exchange *exchange)
{
    return wisp_str_is_utf8(exchange->target) && wisp_str_is_utf8(exchange->authority);
}

void wisp_wasi_http_handle_args(struct wisp_wasi_http *http, struct wisp_wasi_http_handle_args *ret_args)
{
    wisp_wasi_http_object_ref(http->request);
    /* There is one response-outparam per exchange, and all it can do concerns this state. */
    *ret_args = (struct wisp_wasi_http_handle_args){.request = http->request, .outparam = http};
}

void wisp_wasi_http_on_body(struct wisp_wasi_http *http)
{
    if (http->wasi->instance) wisp_instance_wake(http->wasi->instance);
}

void wisp_wasi_http_on_drain(struct wisp_wasi_http *http)
{
    if (http->wasi->instance) wisp_instance_wake(http->wasi->instance);
}

void wisp_wasi_http_detach(struct wisp_wasi_http *http)
{
    struct wisp_wasi *wasi = http->wasi;
    struct wisp_http_exchange *exchange = wasi->exchange;
    if (!exchange) return;
    wisp_incoming_request_detach(http->request, exchange);
    if (http->response_body) wisp_outgoing_body_close(http->response_body);
    if (http->response == WISP_WASI_HTTP_STREAMING) http->response = WISP_WASI_HTTP_COMPLETE;
    wasi->exchange = NULL;
    /* Whatever it waits for at the exchange has come to its end. */
    if (wasi->instance) wisp_instance_wake(wasi->instance);
}

void wisp_wasi_http_reset(struct wisp_wasi_http *http)
{
    if (!http->wasi) return;
    wisp_wasi_http_object_unref(WISP_TAKE(http->request));
    if (http->n_alive) destroy_leftovers(http);
    assert(http->n_alive == 0 && http->fields_heap == 0);
    http->wasi->http = NULL;
    http->wasi->exchange = NULL;
    http->wasi = NULL;
    http->response = WISP_WASI_HTTP_NOT_SET;
    http->problem[0] = '\0';
}

enum wisp_wasi_http_response wisp_wasi_http_response(const struct wisp_wasi_http *http) { return http->response; }

const char *wisp_wasi_http_problem(const struct wisp_wasi_http *http) { return http->problem; }

void wisp_wasi_http_problem_set(struct wisp_wasi_http *http, const char *format, ...)
{
    if (http->problem[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(http->problem, sizeof http->problem, format, args);
    va_end(args);
}
