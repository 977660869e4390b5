/* SPDX-License-Identifier: Apache-2.0 */
/* The objects behind wasi:http's handles.
 *
 * Ownership: an object has one reference per handle of the guest and per object that holds it, and goes back to the
 * invocation's store with the last one. So the end of an invocation may drop handles in any order, though a guest that
 * drops a parent before its children traps (refuse_drop). A body and its stream are one object with two handles. */
#pragma once

#include "wasi/http.h"
#include "wasi/http/http_abi.h"
#include "wasi/http_outgoing.h"
#include "wasi/io.h"

#include "base/mem.h"

/* --- the store of objects (http.c) --- */

enum wisp_wasi_http_kind {
    WISP_WASI_HTTP_KIND_FIELDS,
    WISP_WASI_HTTP_KIND_REQUEST_IN,
    WISP_WASI_HTTP_KIND_REQUEST_OUT,
    WISP_WASI_HTTP_KIND_REQUEST_OPTIONS,
    WISP_WASI_HTTP_KIND_RESPONSE_OUT,
    WISP_WASI_HTTP_KIND_BODY_IN,
    WISP_WASI_HTTP_KIND_BODY_OUT,
    WISP_WASI_HTTP_KIND_TRAILERS,
    WISP_WASI_HTTP_KIND_RESPONSE_IN,
    WISP_WASI_HTTP_KIND_FUTURE_RESPONSE,
    WISP_WASI_HTTP_KIND_COUNT
};

/* First member of each object. */
struct wisp_wasi_http_object {
    struct wisp_wasi_http *http;
    uint32_t refs;
    enum wisp_wasi_http_kind kind;
    struct wisp_wasi_http_object *next, *previous; /* all that are alive, in a ring; next: also the list of free ones */
};

struct wisp_wasi_http {
    struct wisp_wasi *wasi;
    struct wisp_incoming_request *request;    /* referenced until reset, so that detach finds it; NULL in a command */
    struct wisp_outgoing_body *response_body; /* of the response that was set; not referenced, NULL once it is gone */
    enum wisp_wasi_http_response response;
    char problem[160];
    struct wisp_wasi_http_object alive; /* head of the ring */
    uint32_t n_alive, n_cached;         /* objects in the ring, and in free_objects */
    bool is_ending;                     /* references don't count any more */
    size_t fields_heap;                 /* bytes that `fields` allocated beyond their inline storage */
    struct wisp_wasi_http_object *free_objects[WISP_WASI_HTTP_KIND_COUNT];
};

/* A zeroed object with one reference. NULL after having trapped: too many are alive. */
void *wisp_wasi_http_object_new(struct wisp_call *call, enum wisp_wasi_http_kind kind);
/* The same outside of a call, where the limit doesn't count. */
void *wisp_wasi_http_object_make(struct wisp_wasi_http *http, enum wisp_wasi_http_kind kind);
void wisp_wasi_http_object_ref(void *object);
/* NULL is fine. Destroys the object with its last reference. */
void wisp_wasi_http_object_unref(void *object);
/* What the end of each kind means, besides giving its memory back. */
void wisp_fields_destroy(void *fields);
void wisp_incoming_request_destroy(void *request);
void wisp_outgoing_request_destroy(void *request);
void wisp_outgoing_response_destroy(void *response);
void wisp_outgoing_body_destroy(void *body);
void wisp_incoming_body_destroy(void *body);
void wisp_future_trailers_destroy(void *trailers);
void wisp_incoming_response_destroy(void *response);
void wisp_future_response_destroy(void *future);

static inline struct wisp_wasi_http *wisp_wasi_http_of(const struct wisp_call *call)
{
    return ((struct wisp_wasi *)call->context)->http;
}

/* Notes why the response went wrong, the first reason only. */
void wisp_wasi_http_problem_set(struct wisp_wasi_http *http, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- fields (http_fields.c) --- */

struct wisp_fields_entry {
    uint32_t at; /* in the text: the name, right behind it the value */
    uint32_t name_size, value_size;
};
enum { WISP_FIELDS_INLINE_ENTRIES = 8, WISP_FIELDS_INLINE_BYTES = 320 };

/* Entries in order, their text packed in the same order. Small ones need no allocation. */
struct wisp_fields {
    struct wisp_wasi_http_object object;
    bool is_immutable;
    uint32_t n_entries, entries_capacity, text_size, text_capacity;
    struct wisp_fields_entry *entries;
    char *text;
    struct wisp_fields_entry inline_entries[WISP_FIELDS_INLINE_ENTRIES];
    char inline_text[WISP_FIELDS_INLINE_BYTES];
};

static inline struct wisp_str wisp_fields_name(const struct wisp_fields *fields, uint32_t i)
{
    return (struct wisp_str){fields->text + fields->entries[i].at, fields->entries[i].name_size};
}
static inline struct wisp_str wisp_fields_value(const struct wisp_fields *fields, uint32_t i)
{
    const struct wisp_fields_entry *entry = &fields->entries[i];
    return (struct wisp_str){fields->text + entry->at + entry->name_size, entry->value_size};
}
/* What a response, request or finished body keeps of the `fields` it is given: that object, or a copy when it is the
 * child of another one. Immutable from now on. NULL after having trapped, with `fields` gone as well. */
struct wisp_fields *wisp_fields_keep_consume(struct wisp_call *call, struct wisp_fields *fields);
/* Immutable, from what the server parsed, without the names that guests may not see or set. */
struct wisp_fields *wisp_fields_from_headers(struct wisp_wasi_http *http, const struct wisp_http_header *headers,
                                             size_t n);
/* As the server wants them, in the call's arena, without content-length; views into `fields`. */
const struct wisp_http_header *wisp_fields_to_headers(struct wisp_call *call, const struct wisp_fields *fields,
                                                      size_t *ret_n);
/* WISP_HTTP_LENGTH_UNKNOWN when there is none; false when it is no number or there are several different ones. */
bool wisp_fields_content_length(const struct wisp_fields *fields, uint64_t *ret_length);

wisp_host_fn wisp_fields_host_new, wisp_fields_host_from_list, wisp_fields_host_get, wisp_fields_host_has,
    wisp_fields_host_set, wisp_fields_host_delete, wisp_fields_host_append, wisp_fields_host_entries,
    wisp_fields_host_clone;

/* A non-empty token: a header's name, a method. */
bool wisp_wasi_http_is_token(struct wisp_str text);

/* --- requests (http_incoming_request.c, http_outgoing_request.c) --- */

/* Views into `name`. */
struct wisp_abi_method wisp_wasi_http_method_from(struct wisp_str name);
struct wisp_abi_scheme wisp_wasi_http_scheme_from(struct wisp_str name);

/* What the exchange says is read from there while it is alive; detach copies it here. */
struct wisp_incoming_request {
    struct wisp_wasi_http_object object;
    struct wisp_fields *headers; /* made when first asked for; references beyond ours are the guest's handles */
    bool is_consumed;
    uint32_t copy_sizes[4]; /* of method, target, scheme, authority: one after the other in `copy` */
    char *copy;
};
/* Makes the request independent of the exchange, which is about to end. */
void wisp_incoming_request_detach(struct wisp_incoming_request *request, const struct wisp_http_exchange *exchange);
struct wisp_outgoing_request {
    struct wisp_wasi_http_object object;
    struct wisp_fields *headers;
    struct wisp_outgoing_body *body; /* NULL until asked for */
    uint32_t method, scheme;         /* enum wisp_wasi_http_method, enum wisp_wasi_http_scheme */
    bool has_target, has_scheme, has_authority;
    struct wisp_buf method_other, scheme_other, target, authority;
};

enum wisp_wasi_http_timeout {
    WISP_WASI_HTTP_TIMEOUT_CONNECT,
    WISP_WASI_HTTP_TIMEOUT_FIRST_BYTE,
    WISP_WASI_HTTP_TIMEOUT_BETWEEN_BYTES,
    WISP_WASI_HTTP_TIMEOUT_COUNT
};
struct wisp_request_options {
    struct wisp_wasi_http_object object;
    struct wisp_abi_option_u64 timeouts_ns[WISP_WASI_HTTP_TIMEOUT_COUNT];
};

const char *wisp_incoming_request_refuse_drop(const void *rep);
const char *wisp_outgoing_request_refuse_drop(const void *rep);
wisp_host_fn wisp_wasi_http_host_request_method, wisp_wasi_http_host_request_path, wisp_wasi_http_host_request_scheme,
    wisp_wasi_http_host_request_authority, wisp_wasi_http_host_request_headers, wisp_wasi_http_host_request_consume;
wisp_host_fn wisp_wasi_http_host_outgoing_new, wisp_wasi_http_host_outgoing_body, wisp_wasi_http_host_outgoing_method,
    wisp_wasi_http_host_outgoing_set_method, wisp_wasi_http_host_outgoing_path, wisp_wasi_http_host_outgoing_set_path,
    wisp_wasi_http_host_outgoing_scheme, wisp_wasi_http_host_outgoing_set_scheme,
    wisp_wasi_http_host_outgoing_authority, wisp_wasi_http_host_outgoing_set_authority,
    wisp_wasi_http_host_outgoing_headers;
wisp_host_fn wisp_wasi_http_host_options_new, wisp_wasi_http_host_options_connect,
    wisp_wasi_http_host_options_set_connect, wisp_wasi_http_host_options_first_byte,
    wisp_wasi_http_host_options_set_first_byte, wisp_wasi_http_host_options_between_bytes,
    wisp_wasi_http_host_options_set_between_bytes;

/* --- incoming bodies (http_incoming_body.c) --- */

/* Where a body and its trailers come from: both NULL for the exchange's request. Owned. */
struct wisp_incoming_source {
    struct wisp_wrpc_reader *body, *trailers;
};
void wisp_incoming_source_close(struct wisp_incoming_source *source);

/* incoming-body and its input-stream. */
struct wisp_incoming_body {
    struct wisp_wasi_http_object object;
    struct wisp_input_stream stream;
    struct wisp_incoming_source source; /* until `finish` */
    bool is_stream_taken, is_stream_alive;
};

/* future-trailers */
struct wisp_future_trailers {
    struct wisp_wasi_http_object object;
    struct wisp_incoming_source source;
    struct wisp_fields *fields; /* NULL: none, or not yet taken */
    bool is_taken;
    bool is_received; /* of a response: `reading` says how */
    enum wisp_wrpc_reading reading;
    uint32_t n_pollables;
};
/* Takes the source, if it succeeds. */
struct wisp_incoming_body *wisp_incoming_body_new(struct wisp_call *call, struct wisp_incoming_source *source);

const char *wisp_incoming_body_refuse_drop(const void *rep);
const char *wisp_future_trailers_refuse_drop(const void *rep);
wisp_host_fn wisp_wasi_http_host_body_in_stream, wisp_wasi_http_host_body_in_finish,
    wisp_wasi_http_host_trailers_subscribe, wisp_wasi_http_host_trailers_get;

/* --- outgoing bodies (http_outgoing_body.c) --- */

enum wisp_wasi_http_sink {
    WISP_WASI_HTTP_SINK_UNSET, /* the response was not set, the request not sent: what is written collects in `unsent`
                                */
    WISP_WASI_HTTP_SINK_EXCHANGE, /* it goes to the client */
    WISP_WASI_HTTP_SINK_WRITER,   /* it goes to the server */
    WISP_WASI_HTTP_SINK_CLOSED,   /* it goes nowhere any more */
};

/* outgoing-body and its output-stream. */
struct wisp_outgoing_body {
    struct wisp_wasi_http_object object;
    struct wisp_output_stream stream;
    enum wisp_wasi_http_sink sink;
    bool is_request; /* belongs to an outgoing-request */
    bool is_stream_taken, is_stream_alive;
    bool is_finished;         /* before the response was set: to be ended then */
    bool is_broken;           /* dropped unfinished, or finished with the wrong length */
    uint64_t length, written; /* of content-length, or WISP_HTTP_LENGTH_UNKNOWN */
    struct wisp_buf unsent;
    struct wisp_fields *trailers;                      /* while is_finished */
    struct wisp_wrpc_writer *writer, *trailers_writer; /* while SINK_WRITER; ours to end */
};
/* What `body` of a request or response does: makes the outgoing-body at the first call, which goes to *body and, with a
 * reference of its own, to *ret_body; answers an error afterwards, or when the headers' content-length is nonsense. */
int wisp_outgoing_body_give(struct wisp_call *call, struct wisp_outgoing_body **body, const struct wisp_fields *headers,
                            bool is_request, struct wisp_abi_result_handle *ret_body);
/* The guest's handle to the outgoing-body is dropped. */
void wisp_outgoing_body_drop(struct wisp_outgoing_body *body);
/* The response has started: from now on what is written goes to the exchange; so does what was written before. */
void wisp_outgoing_body_connect(struct wisp_call *call, struct wisp_outgoing_body *body);
/* The request goes out by these writers, whose end is the body's business from here on. False: they are broken off
 * already, and gone. */
bool wisp_outgoing_body_connect_writers(struct wisp_call *call, struct wisp_outgoing_body *body,
                                        struct wisp_wrpc_writer *writer, struct wisp_wrpc_writer *trailers_writer);
/* Its bytes go nowhere any more: the exchange has ended, or the request was not taken. */
void wisp_outgoing_body_close(struct wisp_outgoing_body *body);

const char *wisp_outgoing_body_refuse_drop(const void *rep);
wisp_host_fn wisp_wasi_http_host_body_out_write, wisp_wasi_http_host_body_out_finish;

/* --- responses (http_outgoing_response.c, http_incoming_response.c) --- */

struct wisp_outgoing_response {
    struct wisp_wasi_http_object object;
    struct wisp_fields *headers;
    struct wisp_outgoing_body *body; /* NULL until asked for */
    uint16_t status;
};

/* What has become of a sent request. */
struct wisp_future_response {
    struct wisp_wasi_http_object object;
    struct wisp_outgoing_request *request; /* lends its texts until it is answered; then NULL */
    void (*on_drop)(void *env);
    void *on_drop_env;
    bool is_taken, is_error;
    uint32_t n_pollables;
    struct wisp_incoming_response *response; /* until it is taken; NULL: not answered yet, or with an error */
    struct wisp_abi_error_code error;
    struct wisp_arena arena; /* of its texts */
};
struct wisp_incoming_response {
    struct wisp_wasi_http_object object;
    struct wisp_fields *headers;
    struct wisp_incoming_source source; /* until it is consumed */
    uint16_t status;
    bool is_consumed;
};

const char *wisp_incoming_response_refuse_drop(const void *rep);
const char *wisp_future_response_refuse_drop(const void *rep);
wisp_host_fn wisp_wasi_http_host_in_status, wisp_wasi_http_host_in_headers, wisp_wasi_http_host_in_consume,
    wisp_wasi_http_host_future_subscribe, wisp_wasi_http_host_future_get;

/* Whether a response of this status has no body by the protocol's rules. */
bool wisp_wasi_http_has_no_body(const struct wisp_http_exchange *exchange, uint16_t status);

const char *wisp_outgoing_response_refuse_drop(const void *rep);
wisp_host_fn wisp_wasi_http_host_response_new, wisp_wasi_http_host_response_status,
    wisp_wasi_http_host_response_set_status, wisp_wasi_http_host_response_headers, wisp_wasi_http_host_response_body,
    wisp_wasi_http_host_outparam_set, wisp_wasi_http_host_outparam_informational;
