/* SPDX-License-Identifier: Apache-2.0 */
/* The object store of NATS (docs.nats.io, ADR-20), over a bus client: a container is a bucket, the stream OBJ_BUCKET.
 * An object's bytes are messages on $O.BUCKET.C.NUID, what is known of it the last message on $O.BUCKET.M.NAME (its
 * name in base64). An object that is written anew has another NUID, and the messages of the old one are purged.
 *
 *     nats.c        the kind: settings, links, containers
 *     nats_ask.c    requests, and connections that are lost
 *     nats_info.c   what is known of an object
 *     nats_walk.c   reading many messages of a stream
 *     nats_sink.c   writing one object
 *     nats_stream.c the two as the streams of calls
 *     nats_many.c   lists, and what is done with several objects
 *
 * What was lost with a connection is asked again when it only reads, and is an error when it writes. */
#pragma once

#include "base/json.h"
#include "capability/blobstore/store.h"
#include "capability/nats.h"
#include "state/jetstream_wire.h"

#include <openssl/evp.h>

enum {
    WISP_OBJECTS_WAIT_MS = 5000,
    WISP_OBJECTS_CHUNK = 128 * 1024,
    WISP_OBJECTS_NAME_MAX = 1024,
    WISP_OBJECTS_LINKS_MAX = 8, /* objects that stand for others */
    WISP_OBJECTS_NUID_LEN = 22,
    WISP_OBJECTS_DIGEST_LEN = 52, /* "SHA-256=" and base64 */
};

/* Of one link; its `state`. */
struct wisp_objects {
    struct wisp_blobstore_store base;
    struct wisp_provider *provider;
    struct wisp_nats_connection own; /* bus NULL: the lattice's */
    struct wisp_bus_client *bus;
    char *api;      /* "$JS.API" */
    json_t *config; /* of buckets that are made, but for their names */
    struct wisp_link asking, resting, walks;
    uv_timer_t *timer; /* runs while some rest or walk */
    struct wisp_bus_watch watch;
};

/* NOT_FOUND when there can be no container of this name; INVALID when there can be no object. */
int wisp_objects_check_name(struct wisp_str container, struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_objects_check_id(struct wisp_blobstore_id id, struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_objects_start_ticking(struct wisp_objects *objects);

/* --- requests --- */

/* `answer` as wisp_state_js_parse has it, NULL with an error. The ask is gone then. */
typedef void wisp_objects_on_answer(const json_t *answer, const struct wisp_err *err, void *env);

struct wisp_objects_request {
    enum {
        WISP_OBJECTS_READS, /* asked again when the connection was lost */
        WISP_OBJECTS_WRITES,
        WISP_OBJECTS_WRITES_IN_ORDER, /* nor asked again when nobody was there */
    } sort;
    struct wisp_str subject, payload; /* copied */
    const struct wisp_bus_header *headers;
    size_t n_headers;
    wisp_objects_on_answer *on_answer;
    void *env;
};
struct wisp_objects_ask;
/* Never calls back before it returns. */
struct wisp_objects_ask *wisp_objects_ask(struct wisp_objects *objects, const struct wisp_objects_request *request);
/* To JetStream's API about a bucket: "STREAM.INFO". */
struct wisp_objects_ask *wisp_objects_ask_api(struct wisp_objects *objects, const char *what, const char *bucket,
                                              struct wisp_objects_request *request);
/* NULL is fine. */
void wisp_objects_cancel(struct wisp_objects_ask *ask);
void wisp_objects_tick_asks(struct wisp_objects *objects);
void wisp_objects_lose_asks(struct wisp_objects *objects, const struct wisp_err *err);
/* Removes the messages of an object's bytes; nobody waits for that. */
void wisp_objects_purge(struct wisp_objects *objects, const char *bucket, const char *nuid);

/* --- what is known of an object --- */

struct wisp_objects_info {
    char nuid[64];
    char digest[128];
    uint64_t size, chunk_size, created_at;
    uint64_t sequence; /* of the message that says so; also when there is no object (any more) */
    bool exists;
    char *link_bucket, *link_name; /* it stands for another one; name NULL: for a bucket */
};
/* Of the message's text; the other fields stay. To be deinited also when it failed. */
int wisp_objects_info_read(struct wisp_str text, struct wisp_objects_info *info, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_objects_info_deinit(struct wisp_objects_info *info);
/* The caller's: `info` with exists false when there is none; an error also when there is no such container. */
typedef void wisp_objects_on_info(struct wisp_objects_info *info, const struct wisp_err *err, void *env);
struct wisp_objects_find;
/* `is_followed`: what it stands for instead. */
struct wisp_objects_find *wisp_objects_find(struct wisp_objects *objects, struct wisp_str bucket, struct wisp_str name,
                                            bool is_followed, wisp_objects_on_info *on_info, void *env);
/* The bucket where it was found. Until on_info returns. */
const char *wisp_objects_find_bucket(const struct wisp_objects_find *find);
void wisp_objects_find_cancel(struct wisp_objects_find *find);
/* Sets what is known; expects it to have been that of `sequence`. EXISTS when it was not. */
struct wisp_objects_ask *wisp_objects_tell(struct wisp_objects *objects, const char *bucket, struct wisp_str name,
                                           const json_t *info, uint64_t sequence, wisp_objects_on_answer *on_answer,
                                           void *env);
/* {"name", "bucket", "nuid", "mtime"}, and "options" when it has a chunk size. The caller's. */
json_t *wisp_objects_new_info(const char *bucket, struct wisp_str name, const char *nuid);
uint64_t wisp_objects_time(struct wisp_str text); /* seconds since 1970 of "2024-01-31T23:59:59Z"; 0: not known */
/* An error that there is none, in words. */
void wisp_objects_none(struct wisp_str name, struct wisp_err *err);

/* --- many messages --- */

struct wisp_objects_walk;
struct wisp_objects_walk_options {
    const char *bucket, *subject; /* copied */
    bool is_last_only;            /* of each subject */
    unsigned batch;
    void (*on_message)(struct wisp_str payload, void *env); /* must not free the walk */
    void (*on_batch)(void *env);                            /* pull, or leave it for later */
    void (*on_end)(const struct wisp_err *err, void *env);  /* NULL: that was all. To be freed then */
    void *env;
};
/* Begins with the first batch. */
struct wisp_objects_walk *wisp_objects_walk_new(struct wisp_objects *objects,
                                                const struct wisp_objects_walk_options *options);
void wisp_objects_walk_pull(struct wisp_objects_walk *walk);
/* NULL is fine. */
void wisp_objects_walk_free(struct wisp_objects_walk *walk);
void wisp_objects_tick_walks(struct wisp_objects *objects);
void wisp_objects_lose_walks(struct wisp_objects *objects);

/* --- writing --- */

struct wisp_objects_sink;
/* `err`: it failed. Else there is room again, or it is done. */
typedef void wisp_objects_on_sink(struct wisp_objects_sink *sink, const struct wisp_err *err, void *env);
/* Looks whether the container is there first. */
struct wisp_objects_sink *wisp_objects_sink_new(struct wisp_objects *objects, struct wisp_blobstore_id id,
                                                wisp_objects_on_sink *on_event, void *env);
/* 0 until the first event. */
size_t wisp_objects_sink_room(const struct wisp_objects_sink *sink);
void wisp_objects_sink_write(struct wisp_objects_sink *sink, struct wisp_str bytes); /* at most the room */
void wisp_objects_sink_end(struct wisp_objects_sink *sink);
bool wisp_objects_sink_is_done(const struct wisp_objects_sink *sink);
/* Before it is done: what was there stays. NULL is fine. */
void wisp_objects_sink_free(struct wisp_objects_sink *sink);

/* "SHA-256=..." of what the context has. */
void wisp_objects_digest(EVP_MD_CTX *context, char text[WISP_OBJECTS_DIGEST_LEN + 1]);

/* --- calls --- */

static inline struct wisp_objects *wisp_objects_of(const struct wisp_blobstore_op *op)
{
    return (struct wisp_objects *)op->store;
}
void wisp_objects_run_get(struct wisp_blobstore_op *op);
void wisp_objects_run_write(struct wisp_blobstore_op *op);
void wisp_objects_run_copy(struct wisp_blobstore_op *op);
void wisp_objects_run_move(struct wisp_blobstore_op *op);
void wisp_objects_run_list(struct wisp_blobstore_op *op);
void wisp_objects_run_info(struct wisp_blobstore_op *op); /* also has-object */
void wisp_objects_run_delete(struct wisp_blobstore_op *op);
void wisp_objects_run_delete_many(struct wisp_blobstore_op *op);
