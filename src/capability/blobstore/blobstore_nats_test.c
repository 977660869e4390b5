/* SPDX-License-Identifier: Apache-2.0 */
/* With a real nats-server. Other clients of object stores: tests/interop/objects_test.py. */
#include "bus/client_rig.h"
#include "capability/blobstore/blobstore_rig.h"

static void start_jetstream(struct nats *nats, const char *more)
{
    char config[512];
    snprintf(config, sizeof config, "jetstream { store_dir: \"%s/js\", max_mem: 64MB, %s }", nats->dir, more);
    nats_start(nats, config);
}

static void open_linked(struct rig *rig, struct nats *nats)
{
    char config[256];
    nats_init(nats);
    start_jetstream(nats, "");
    rig_open(rig, &wisp_blobstore_nats, NULL);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\"}", nats->url);
    rig_link(rig, "app", config, 0);
}

static void close_linked(struct rig *rig, struct nats *nats)
{
    rig_close(rig);
    nats_deinit(nats);
}

/* --- what other clients do --- */

struct reply {
    bool is_done;
    char text[4096];
};

static void on_reply(const struct wisp_bus_message *message, const struct wisp_err *err, void *env)
{
    struct reply *reply = env;
    reply->is_done = true;
    snprintf(reply->text, sizeof reply->text, "%.*s", err ? (int)strlen(err->text) : (int)message->payload.len,
             err ? err->text : message->payload.ptr);
}

static const char *say(struct told *told, const char *subject, const char *payload)
{
    static struct reply reply;
    struct wisp_bus_request *request;
    struct wisp_err err = {0};
    const struct wisp_bus_header rollup = {WISP_STR("Nats-Rollup"), WISP_STR("sub")};
    reply = (struct reply){0};
    CHECK_OK(wisp_bus_request(told->client, wisp_str_from(subject), &rollup, strstr(subject, ".M.") != NULL,
                              wisp_str_from(payload), 5000, on_reply, &reply, &request, &err),
             &err);
    AWAIT(told->loop, reply.is_done);
    return reply.text;
}

/* How many messages a bucket has. */
static unsigned count(struct told *told, const char *bucket)
{
    char subject[128];
    snprintf(subject, sizeof subject, "$JS.API.STREAM.INFO.OBJ_%s", bucket);
    const char *found = strstr(say(told, subject, ""), "\"messages\":");
    CHECK(found);
    return (unsigned)atoi(found + strlen("\"messages\":"));
}

/* The object "b" of the bucket "c" is what the text says. */
static void put_info(struct told *told, const char *info) { CHECK_HAS(say(told, "$O.c.M.Yg==", info), "\"seq\""); }

TEST(suite)
{
    struct rig rig;
    struct nats nats;
    open_linked(&rig, &nats);
    suite_containers(&rig);
    suite_objects(&rig);
    suite_copies(&rig);
    suite_lists(&rig);
    suite_large(&rig, 5 << 20);
    suite_broken(&rig, 2 << 20);
    suite_link_gone(&rig, 2 << 20);
    close_linked(&rig, &nats);
}

/* Also where there was another one, and where an upload was broken off. */
TEST(nothing_is_left_of_old_bytes)
{
    struct rig rig;
    struct nats nats;
    struct told told;
    struct wisp_wrpc_reader *status;
    union rig_result result;
    const char *error;
    open_linked(&rig, &nats);
    connect_to(&told, &rig.loop, nats.url);
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "c"), "");
    CHECK_TEXT(write_sized(&rig, "c", "b", 300 * 1024), ""); /* three messages, and what is known of it */
    CHECK_INT(count(&told, "c"), 4);
    CHECK_TEXT(write_text(&rig, "c", "b", "short"), "");
    while (count(&told, "c") != 2) uv_run(&rig.loop, UV_RUN_NOWAIT);
    struct wisp_wrpc_writer *writer = begin_write(&rig, "c", "b", &status, &error);
    CHECK(status && write_some(&rig, writer, 0, 1 << 20));
    wisp_wrpc_writer_abort(writer);
    CHECK(*status_of(&rig, status));
    while (count(&told, "c") != 2) uv_run(&rig.loop, UV_RUN_NOWAIT);
    CHECK_TEXT(get_text(&rig, "c", "b"), "short");
    CHECK_TEXT(object_do(&rig, WISP_BLOBSTORE_DELETE_OBJECT, "c", "b", &result), "");
    while (count(&told, "c") != 1) uv_run(&rig.loop, UV_RUN_NOWAIT); /* that it is gone */
    CHECK_TEXT(list(&rig, "c", -1, -1), "");
    CHECK_TEXT(write_text(&rig, "c", "b", "again"), "");
    CHECK_TEXT(get_text(&rig, "c", "b"), "again");
    wisp_bus_client_free(told.client);
    close_linked(&rig, &nats);
}

TEST(what_others_say_of_objects)
{
    struct rig rig;
    struct nats nats;
    struct told told;
    union rig_result result;
    open_linked(&rig, &nats);
    connect_to(&told, &rig.loop, nats.url);
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "c"), "");
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "d"), "");
    CHECK_TEXT(write_text(&rig, "d", "there", "elsewhere"), "");
    /* Links, to objects and in circles. */
    put_info(&told, "{\"name\":\"b\",\"options\":{\"link\":{\"bucket\":\"d\",\"name\":\"there\"}}}");
    CHECK_TEXT(get_text(&rig, "c", "b"), "elsewhere");
    CHECK_TEXT(object_do(&rig, WISP_BLOBSTORE_GET_OBJECT_INFO, "c", "b", &result), "");
    CHECK_INT(result.object.ok.size, 9);
    CHECK_TEXT(ids_do(&rig, WISP_BLOBSTORE_MOVE_OBJECT, id_of("c", "b"), id_of("c", "b")), "");
    CHECK_TEXT(ids_do(&rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("c", "b"), id_of("c", "copy")), "");
    CHECK_TEXT(get_text(&rig, "c", "copy"), "elsewhere");
    put_info(&told, "{\"name\":\"b\",\"options\":{\"link\":{\"bucket\":\"c\",\"name\":\"b\"}}}");
    CHECK_HAS(get_text(&rig, "c", "b"), "too many links");
    put_info(&told, "{\"name\":\"b\",\"options\":{\"link\":{\"bucket\":\"d\"}}}");
    CHECK_HAS(get_text(&rig, "c", "b"), "a link to a bucket");
    put_info(&told, "{\"name\":\"b\",\"options\":{\"link\":{\"bucket\":\"d.>\",\"name\":\"x\"}}}");
    CHECK_HAS(get_text(&rig, "c", "b"), "does not exist");
    /* Lies. */
    put_info(&told, "{\"name\":\"b\",\"nuid\":\"gone\",\"size\":7}");
    CHECK_HAS(get_text(&rig, "c", "b"), "while it was read");
    put_info(&told, "{\"name\":\"b\",\"nuid\":\"*\",\"size\":7}");
    CHECK_HAS(get_text(&rig, "c", "b"), "names no data");
    put_info(&told, "no JSON");
    CHECK_HAS(get_text(&rig, "c", "b"), "what the bucket knows of the object");
    CHECK_TEXT(list(&rig, "c", -1, -1), "copy");
    CHECK_HAS(say(&told, "$O.c.C.n1", "wrong"), "\"seq\"");
    put_info(&told, "{\"name\":\"b\",\"nuid\":\"n1\",\"size\":5,\"digest\":\"SHA-256=no\"}");
    CHECK_HAS(get_text(&rig, "c", "b"), "damaged");
    CHECK_TEXT(get_range(&rig, "c", "b", 1, 3), "ro");
    put_info(&told, "{\"name\":\"b\",\"nuid\":\"n1\",\"size\":5,\"options\":{\"max_chunk_size\":0}}");
    CHECK_TEXT(get_text(&rig, "c", "b"), "wrong");
    CHECK_HAS(get_text(&rig, "no.name", "b"), "does not exist");
    CHECK_HAS(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "no.name"), "no name for a container");
    CHECK_HAS(write_text(&rig, "c", "", "x"), "an object's name");
    CHECK(!exists(&rig, "no.name", NULL));
    wisp_bus_client_free(told.client);
    close_linked(&rig, &nats);
}

/* Reading goes on where it was; what was being written is there whole, or it says that it is not. */
TEST(server_restarts)
{
    enum { SIZE = 8 << 20 };
    struct rig rig;
    struct nats nats;
    struct wisp_wrpc_reader *status;
    const char *error;
    static char expected[1 << 20];
    union rig_result result;
    struct wisp_str bytes;
    enum wisp_wrpc_reading reading;
    uint64_t at = 0;
    open_linked(&rig, &nats);
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "c"), "");
    CHECK_TEXT(write_text(&rig, "c", "new", "before"), "");
    CHECK_TEXT(write_sized(&rig, "c", "old", SIZE), "");
    struct wisp_wrpc_writer *writer = begin_write(&rig, "c", "new", &status, &error);
    CHECK(status && write_some(&rig, writer, 0, 1 << 20));
    CHECK_TEXT(begin_get(&rig, "c", "old", 0, UINT64_MAX, &result), "");
    while ((reading = wisp_wrpc_reader_peek(result.stream.ok.data, &bytes, &rig.err)) <= WISP_WRPC_READING_ITEM) {
        if (reading == WISP_WRPC_READING_WAIT) {
            uv_run(&rig.loop, UV_RUN_ONCE);
            continue;
        }
        fill(expected, at, bytes.len);
        CHECK(memcmp(expected, bytes.ptr, bytes.len) == 0);
        if (at < SIZE / 2 && at + bytes.len >= SIZE / 2) {
            nats_kill(&nats);
            start_jetstream(&nats, "");
        }
        at += bytes.len;
        wisp_wrpc_reader_consume(result.stream.ok.data, bytes.len);
    }
    wisp_wrpc_reader_close(result.stream.ok.data);
    CHECK_TEXT(status_of(&rig, result.stream.ok.status), "");
    CHECK_INT(at, SIZE);
    write_some(&rig, writer, 1 << 20, 2 << 20);
    wisp_wrpc_writer_end(writer);
    if (*status_of(&rig, status))
        CHECK_TEXT(get_text(&rig, "c", "new"), "before");
    else
        CHECK_INT(get_sized(&rig, "c", "new", ""), 2 << 20);
    CHECK_TEXT(write_text(&rig, "c", "new", "after"), "");
    CHECK_TEXT(get_text(&rig, "c", "new"), "after");
    close_linked(&rig, &nats);
}

TEST(two_writers_of_one_object)
{
    struct rig rig;
    struct nats nats;
    struct told told;
    struct wisp_wrpc_reader *status[2];
    struct wisp_wrpc_writer *writers[2];
    const char *error;
    open_linked(&rig, &nats);
    connect_to(&told, &rig.loop, nats.url);
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "c"), "");
    for (int i = 0; i < 2; i++) {
        writers[i] = begin_write(&rig, "c", "b", &status[i], &error);
        CHECK(status[i] && write_some(&rig, writers[i], 0, 300 * 1024));
    }
    for (int i = 0; i < 2; i++) {
        wisp_wrpc_writer_end(writers[i]);
        CHECK_TEXT(status_of(&rig, status[i]), "");
    }
    CHECK_INT(get_sized(&rig, "c", "b", ""), 300 * 1024);
    while (count(&told, "c") != 4) uv_run(&rig.loop, UV_RUN_NOWAIT);
    wisp_bus_client_free(told.client);
    close_linked(&rig, &nats);
}

TEST(settings)
{
    struct rig rig;
    struct nats nats;
    struct told told;
    char config[512];
    nats_init(&nats);
    start_jetstream(&nats, "domain: leaf");
    rig_open(&rig, &wisp_blobstore_nats, NULL);
    rig_link(&rig, "app", "{}", -WISP_ERR_INVALID);
    CHECK_HAS(rig.err.text, "`cluster_uri` is missing");
    rig_link(&rig, "app", "{\"storage_type\": \"paper\"}", -WISP_ERR_INVALID);
    rig_link(&rig, "app", "{\"num_replicas\": \"9\"}", -WISP_ERR_INVALID);
    rig_link(&rig, "app", "{\"max_age\": \"-1\"}", -WISP_ERR_INVALID);
    rig_link(&rig, "app", "{\"js_domain\": \"*\"}", -WISP_ERR_INVALID);
    snprintf(config, sizeof config,
             "{\"cluster_uri\": \"%s\", \"js_domain\": \"leaf\", \"storage_type\": \"memory\", \"max_age\": \"60\"}",
             nats.url);
    rig_link(&rig, "app", config, 0);
    suite_objects(&rig);
    connect_to(&told, &rig.loop, nats.url);
    const char *info = say(&told, "$JS.API.STREAM.INFO.OBJ_two", "");
    CHECK_HAS(info, "\"storage\":\"memory\"");
    CHECK_HAS(info, "\"max_age\":60000000000");
    wisp_bus_client_free(told.client);
    close_linked(&rig, &nats);
}

TEST(without_jetstream)
{
    struct rig rig;
    struct nats nats;
    char config[256];
    nats_init(&nats);
    nats_start(&nats, "");
    rig_open(&rig, &wisp_blobstore_nats, NULL);
    snprintf(config, sizeof config, "{\"cluster_uri\": \"%s\"}", nats.url);
    rig_link(&rig, "app", config, 0);
    CHECK_HAS(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "c"), "JetStream does not answer");
    close_linked(&rig, &nats);
}
