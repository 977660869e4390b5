/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/nats_priv.h"

#include "nkeys/nkeys.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WINDOW = 8,     /* chunks on their way */
    TELLS_MAX = 20, /* each failure is another writer's success */
    SLACK = 4096,   /* of a message, for its subject and headers */
};

struct chunk {
    struct wisp_objects_sink *sink;
    struct wisp_objects_ask *ask; /* NULL: free */
};

struct wisp_objects_sink {
    struct wisp_objects *objects;
    char *bucket, *name;
    size_t name_len;
    char nuid[WISP_OBJECTS_NUID_LEN + 1], old_nuid[64];
    uint64_t old_sequence;
    struct wisp_objects_find *find;
    struct wisp_objects_ask *tell;
    struct chunk chunks[WINDOW];
    unsigned n_under_way, n_tells;
    struct wisp_buf piece; /* of the next chunk */
    size_t chunk_size;
    EVP_MD_CTX *digest;
    uint64_t size, n_chunks;
    bool is_open, is_over, is_done, is_failed, is_unknown;
    wisp_objects_on_sink *on_event;
    void *env;
};

/* Letters and digits, as NATS' own clients name things. */
static void make_nuid(char nuid[WISP_OBJECTS_NUID_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t bytes[WISP_OBJECTS_NUID_LEN];
    if (RAND_bytes(bytes, sizeof bytes) != 1) wisp_mem_out(0);
    for (size_t i = 0; i < sizeof bytes; i++) nuid[i] = digits[bytes[i] % 62];
    nuid[WISP_OBJECTS_NUID_LEN] = '\0';
}

void wisp_objects_digest(EVP_MD_CTX *context, char text[WISP_OBJECTS_DIGEST_LEN + 1])
{
    uint8_t digest[32];
    WISP_CLEANUP_BUF struct wisp_buf buf = {0};
    if (!EVP_DigestFinal_ex(context, digest, NULL)) wisp_mem_out(0);
    wisp_buf_append_str(&buf, WISP_STR("SHA-256="));
    wisp_base64url_encode((struct wisp_str){(const char *)digest, sizeof digest}, &buf);
    snprintf(text, WISP_OBJECTS_DIGEST_LEN + 1, "%.*s=", (int)buf.len, buf.data);
}

static void fail(struct wisp_objects_sink *sink, const struct wisp_err *err)
{
    if (sink->is_failed) return;
    sink->is_failed = true;
    sink->on_event(sink, err, sink->env);
}

/* --- what is known of it --- */

static void tell(struct wisp_objects_sink *sink);

static void on_found(struct wisp_objects_info *info, const struct wisp_err *err, void *env)
{
    struct wisp_objects_sink *sink = env;
    sink->find = NULL;
    if (err) {
        fail(sink, err);
        return;
    }
    sink->old_sequence = info->sequence;
    memcpy(sink->old_nuid, info->exists ? info->nuid : "", info->exists ? sizeof sink->old_nuid : 1);
    if (sink->is_over) {
        tell(sink);
        return;
    }
    sink->is_open = true;
    sink->on_event(sink, NULL, sink->env);
}

static void find(struct wisp_objects_sink *sink)
{
    sink->find = wisp_objects_find(sink->objects, wisp_str_from(sink->bucket),
                                   (struct wisp_str){sink->name, sink->name_len}, false, on_found, sink);
}

static void on_told(const json_t *answer, const struct wisp_err *err, void *env)
{
    struct wisp_objects_sink *sink = env;
    (void)answer;
    sink->tell = NULL;
    if (err && err->kind == WISP_ERR_EXISTS && sink->n_tells++ < TELLS_MAX) {
        find(sink); /* another writer was faster */
        return;
    }
    if (err) {
        sink->is_unknown = err->kind == WISP_ERR_UNAVAILABLE || err->kind == WISP_ERR_TIMEOUT;
        fail(sink, err);
        return;
    }
    if (*sink->old_nuid) wisp_objects_purge(sink->objects, sink->bucket, sink->old_nuid);
    sink->is_done = true;
    sink->on_event(sink, NULL, sink->env);
}

static void tell(struct wisp_objects_sink *sink)
{
    char digest[WISP_OBJECTS_DIGEST_LEN + 1];
    struct wisp_str name = {sink->name, sink->name_len};
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (!copy || !EVP_MD_CTX_copy_ex(copy, sink->digest)) wisp_mem_out(0);
    wisp_objects_digest(copy, digest);
    EVP_MD_CTX_free(copy);
    WISP_CLEANUP_JSON json_t *info = wisp_objects_new_info(sink->bucket, name, sink->nuid);
    json_object_set_new(info, "options", json_pack("{s:I}", "max_chunk_size", (json_int_t)sink->chunk_size));
    json_object_set_new(info, "size", json_integer((json_int_t)sink->size));
    json_object_set_new(info, "chunks", json_integer((json_int_t)sink->n_chunks));
    json_object_set_new(info, "digest", json_string(digest));
    sink->tell = wisp_objects_tell(sink->objects, sink->bucket, name, info, sink->old_sequence, on_told, sink);
}

/* --- bytes --- */

static void end_if_over(struct wisp_objects_sink *sink)
{
    if (sink->is_over && !sink->n_under_way && !sink->tell && !sink->find) tell(sink);
}

static void on_kept(const json_t *answer, const struct wisp_err *err, void *env)
{
    struct chunk *chunk = env;
    struct wisp_objects_sink *sink = chunk->sink;
    (void)answer;
    chunk->ask = NULL;
    sink->n_under_way--;
    if (err)
        fail(sink, err);
    else if (sink->is_over)
        end_if_over(sink);
    else
        sink->on_event(sink, NULL, sink->env);
}

static void send_chunk(struct wisp_objects_sink *sink)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    struct chunk *chunk = sink->chunks;
    while (chunk->ask) chunk++;
    wisp_buf_printf(&subject, "$O.%s.C.%s", sink->bucket, sink->nuid);
    struct wisp_objects_request request = {.sort = WISP_OBJECTS_WRITES_IN_ORDER,
                                           .subject = wisp_buf_str(&subject),
                                           .payload = wisp_buf_str(&sink->piece),
                                           .on_answer = on_kept,
                                           .env = chunk};
    chunk->sink = sink;
    chunk->ask = wisp_objects_ask(sink->objects, &request);
    sink->n_under_way++;
    sink->n_chunks++;
    sink->piece.len = 0;
}

size_t wisp_objects_sink_room(const struct wisp_objects_sink *sink)
{
    bool has_room = sink->is_open && !sink->is_failed && !sink->is_over && sink->n_under_way < WINDOW;
    return has_room ? sink->chunk_size - sink->piece.len : 0;
}

void wisp_objects_sink_write(struct wisp_objects_sink *sink, struct wisp_str bytes)
{
    if (!EVP_DigestUpdate(sink->digest, bytes.ptr, bytes.len)) wisp_mem_out(0);
    sink->size += bytes.len;
    wisp_buf_append_str(&sink->piece, bytes);
    if (sink->piece.len == sink->chunk_size) send_chunk(sink);
}

void wisp_objects_sink_end(struct wisp_objects_sink *sink)
{
    sink->is_over = true;
    if (sink->piece.len) send_chunk(sink);
    end_if_over(sink);
}

bool wisp_objects_sink_is_done(const struct wisp_objects_sink *sink) { return sink->is_done; }

/* --- life --- */

struct wisp_objects_sink *wisp_objects_sink_new(struct wisp_objects *objects, struct wisp_blobstore_id id,
                                                wisp_objects_on_sink *on_event, void *env)
{
    struct wisp_objects_sink *sink = wisp_mem_calloc(1, sizeof *sink);
    size_t most = wisp_bus_client_payload_max(objects->bus);
    *sink = (struct wisp_objects_sink){.objects = objects, .on_event = on_event, .env = env};
    sink->bucket = wisp_mem_dup(id.container);
    sink->name = wisp_mem_dup(id.object);
    sink->name_len = id.object.len;
    sink->chunk_size = most < WISP_OBJECTS_CHUNK + SLACK && most > 2 * SLACK ? most - SLACK : WISP_OBJECTS_CHUNK;
    make_nuid(sink->nuid);
    sink->digest = EVP_MD_CTX_new();
    if (!sink->digest || !EVP_DigestInit_ex(sink->digest, EVP_sha256(), NULL)) wisp_mem_out(0);
    find(sink);
    return sink;
}

void wisp_objects_sink_free(struct wisp_objects_sink *sink)
{
    if (!sink) return;
    wisp_objects_find_cancel(sink->find);
    wisp_objects_cancel(sink->tell);
    for (size_t i = 0; i < WINDOW; i++) wisp_objects_cancel(sink->chunks[i].ask);
    /* Behind what is on its way: one connection keeps the order. After a lost answer it may be there all the same. */
    if (!sink->is_done && !sink->is_unknown && sink->n_chunks)
        wisp_objects_purge(sink->objects, sink->bucket, sink->nuid);
    EVP_MD_CTX_free(sink->digest);
    wisp_buf_deinit(&sink->piece);
    free(sink->bucket);
    free(sink->name);
    free(sink);
}
