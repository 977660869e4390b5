/* SPDX-License-Identifier: Apache-2.0 */
/* The objects behind wasi:http's handles.
 *
 * Ownership: an object has one reference per handle of the guest and per object that holds it, and goes back to the
 * invocation's store with the last one. So the end of an invocation may drop handles in any order, though a guest that
 * drops a parent before its children traps (refuse_drop). A body and its stream are one object with two handles. */
#pragma once

#include "wasi/http.h"
#include "wasi/http_abi.h"
#include "wasi/io.h"

#include "base/mem.h"

/* --- the store of objects (http.c) --- */

enum wisp_http_kind {
    WISP_HTTP_KIND_FIELDS,
    WISP_HTTP_KIND_REQUEST_IN,
    WISP_HTTP_KIND_REQUEST_OUT,
    WISP_HTTP_KIND_REQUEST_OPTIONS,
    WISP_HTTP_KIND_RESPONSE_OUT,
    WISP_HTTP_KIND_BODY_IN,
    WISP_HTTP_KIND_BODY_OUT,
    WISP_HTTP_KIND_TRAILERS,
    WISP_HTTP_KIND_COUNT
};

/* First member of each object. */
struct wisp_http_object {
    struct wisp_wasi_http *http;
    uint32_t refs;
    enum wisp_http_kind kind;
    struct wisp_http_object *next, *previous; /* all that are alive, in a ring; next: also the list of free ones */
};

struct wisp_wasi_http {
    struct wisp_wasi *wasi;
    struct wisp_http_request_in *request;     /* referenced until reset, so that detach finds it; NULL in a command */
    struct wisp_http_body_out *response_body; /* of the response that was set; not referenced, NULL once it is gone */
    enum wisp_wasi_http_response response;
    char problem[160];
    struct wisp_http_object alive; /* head of the ring */
    uint32_t n_alive, n_cached;    /* objects in the ring, and in free_objects */
    bool is_ending;                /* references don't count any more */
    size_t fields_heap;            /* bytes that `fields` allocated beyond their inline storage */
    struct wisp_http_object *free_objects[WISP_HTTP_KIND_COUNT];
};

/* A zeroed object with one reference. NULL after having trapped: too many are alive. */
void *wisp_http_object_new(struct wisp_call *call, enum wisp_http_kind kind);
/* The same outside of a call, where the limit doesn't count. */
void *wisp_http_object_make(struct wisp_wasi_http *http, enum wisp_http_kind kind);
void wisp_http_object_ref(void *object);
/* NULL is fine. Destroys the object with its last reference. */
void wisp_http_object_unref(void *object);
/* What the end of each kind means, besides giving its memory back. */
void wisp_fields_destroy(void *fields);
void wisp_http_request_in_destroy(void *request);
void wisp_http_request_out_destroy(void *request);
void wisp_http_response_out_destroy(void *response);
void wisp_http_body_out_destroy(void *body);
void wisp_http_trailers_destroy(void *trailers);

static inline struct wisp_wasi_http *wisp_http_of(const struct wisp_call *call)
{
    return ((struct wisp_wasi *)call->context)->http;
}

/* Notes why the response went wrong, the first reason only. */
void wisp_http_problem_set(struct wisp_wasi_http *http, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- fields (http_fields.c) --- */

struct wisp_fields_entry {
    uint32_t at; /* in the text: the name, right behind it the value */
    uint32_t name_size, value_size;
};
enum { WISP_FIELDS_INLINE_ENTRIES = 8, WISP_FIELDS_INLINE_BYTES = 320 };

/* Entries in order, their text packed in the same order. Small ones need no allocation. */
struct wisp_fields {
    struct wisp_http_object object;
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
bool wisp_http_is_token(struct wisp_str text);

/* --- requests (http_request.c, http_sending.c) --- */

/* Views into `name`. */
struct wisp_abi_method wisp_http_method_from(struct wisp_str name);
struct wisp_abi_scheme wisp_http_scheme_from(struct wisp_str name);

/* What the exchange says is read from there while it is alive; detach copies it here. */
struct wisp_http_request_in {
    struct wisp_http_object object;
    struct wisp_fields *headers; /* made when first asked for; references beyond ours are the guest's handles */
    bool is_consumed;
    uint32_t copy_sizes[4]; /* of method, target, scheme, authority: one after the other in `copy` */
    char *copy;
};
/* Makes the request independent of the exchange, which is about to end. */
void wisp_http_request_in_detach(struct wisp_http_request_in *request, const struct wisp_http_exchange *exchange);
struct wisp_http_request_out {
    struct wisp_http_object object;
    struct wisp_fields *headers;
    struct wisp_http_body_out *body; /* NULL until asked for */
    uint32_t method, scheme;         /* enum wisp_http_method, enum wisp_http_scheme */
    bool has_target, has_scheme, has_authority;
    struct wisp_buf method_other, scheme_other, target, authority;
};

enum wisp_http_timeout {
    WISP_HTTP_TIMEOUT_CONNECT,
    WISP_HTTP_TIMEOUT_FIRST_BYTE,
    WISP_HTTP_TIMEOUT_BETWEEN_BYTES,
    WISP_HTTP_TIMEOUT_COUNT
};
struct wisp_http_request_options {
    struct wisp_http_object object;
    struct wisp_abi_option_u64 timeouts_ns[WISP_HTTP_TIMEOUT_COUNT];
};

const char *wisp_http_request_in_refuse_drop(const void *rep);
const char *wisp_http_request_out_refuse_drop(const void *rep);
wisp_host_fn wisp_http_host_request_method, wisp_http_host_request_path, wisp_http_host_request_scheme,
    wisp_http_host_request_authority, wisp_http_host_request_headers, wisp_http_host_request_consume;
wisp_host_fn wisp_http_host_sending_new, wisp_http_host_sending_body, wisp_http_host_sending_method,
    wisp_http_host_sending_set_method, wisp_http_host_sending_path, wisp_http_host_sending_set_path,
    wisp_http_host_sending_scheme, wisp_http_host_sending_set_scheme, wisp_http_host_sending_authority,
    wisp_http_host_sending_set_authority, wisp_http_host_sending_headers, wisp_http_host_send;
wisp_host_fn wisp_http_host_options_new, wisp_http_host_options_connect, wisp_http_host_options_set_connect,
    wisp_http_host_options_first_byte, wisp_http_host_options_set_first_byte, wisp_http_host_options_between_bytes,
    wisp_http_host_options_set_between_bytes;

/* --- incoming bodies (http_body_in.c) --- */

/* The body of the exchange's request: incoming-body and its input-stream. */
struct wisp_http_body_in {
    struct wisp_http_object object;
    struct wisp_input_stream stream;
    bool is_stream_taken, is_stream_alive;
    bool is_failed; /* a read has reported so */
};

/* future-trailers */
struct wisp_http_trailers {
    struct wisp_http_object object;
    struct wisp_fields *fields; /* NULL: none, or not yet taken */
    bool is_taken;
    uint32_t n_pollables;
};
struct wisp_http_body_in *wisp_http_body_in_new(struct wisp_call *call);

const char *wisp_http_body_in_refuse_drop(const void *rep);
const char *wisp_http_trailers_refuse_drop(const void *rep);
wisp_host_fn wisp_http_host_body_in_stream, wisp_http_host_body_in_finish, wisp_http_host_trailers_subscribe,
    wisp_http_host_trailers_get;

/* --- outgoing bodies (http_body_out.c) --- */

enum wisp_http_sink {
    WISP_HTTP_SINK_UNSET,    /* the response was not set yet: what is written collects in `unsent` */
    WISP_HTTP_SINK_EXCHANGE, /* it goes to the client */
    WISP_HTTP_SINK_COUNT,    /* of an outgoing request: counted and thrown away, since none is ever sent */
    WISP_HTTP_SINK_CLOSED,   /* it goes nowhere any more */
};

/* outgoing-body and its output-stream. */
struct wisp_http_body_out {
    struct wisp_http_object object;
    struct wisp_output_stream stream;
    enum wisp_http_sink sink;
    bool is_request; /* belongs to an outgoing-request */
    bool is_stream_taken, is_stream_alive;
    bool is_finished;         /* before the response was set: to be ended then */
    bool is_broken;           /* dropped unfinished, or finished with the wrong length */
    uint64_t length, written; /* of content-length, or WISP_HTTP_LENGTH_UNKNOWN */
    struct wisp_buf unsent;
    struct wisp_fields *trailers; /* while is_finished */
};
/* What `body` of a request or response does: makes the outgoing-body at the first call, which goes to *body and, with a
 * reference of its own, to *ret_body; answers an error afterwards, or when the headers' content-length is nonsense. */
int wisp_http_body_out_give(struct wisp_call *call, struct wisp_http_body_out **body, const struct wisp_fields *headers,
                            bool is_request, struct wisp_abi_result_handle *ret_body);
/* The guest's handle to the outgoing-body is dropped. */
void wisp_http_body_out_drop(struct wisp_http_body_out *body);
/* The response has started: from now on what is written goes to the exchange; so does what was written before. */
void wisp_http_body_out_connect(struct wisp_call *call, struct wisp_http_body_out *body);
/* No response body of this invocation is sent any further: the exchange has ended. */
void wisp_http_body_out_close(struct wisp_http_body_out *body);

const char *wisp_http_body_out_refuse_drop(const void *rep);
wisp_host_fn wisp_http_host_body_out_write, wisp_http_host_body_out_finish;

/* --- responses (http_response.c) --- */

struct wisp_http_response_out {
    struct wisp_http_object object;
    struct wisp_fields *headers;
    struct wisp_http_body_out *body; /* NULL until asked for */
    uint16_t status;
};

/* Whether a response of this status has no body by the protocol's rules. */
bool wisp_http_has_no_body(const struct wisp_http_exchange *exchange, uint16_t status);

const char *wisp_http_response_out_refuse_drop(const void *rep);
wisp_host_fn wisp_http_host_response_new, wisp_http_host_response_status, wisp_http_host_response_set_status,
    wisp_http_host_response_headers, wisp_http_host_response_body, wisp_http_host_outparam_set,
    wisp_http_host_outparam_informational;
