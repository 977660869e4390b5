/* SPDX-License-Identifier: Apache-2.0 */
/* The kind blobstore-nats: object stores of NATS, of a cluster of its own or of the lattice's bus. */
#include "capability/blobstore/nats_priv.h"
#include "capability/kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TICK_MS = 100, LEAVE_MS = 1000 };

int wisp_objects_check_name(struct wisp_str container, struct wisp_err *err)
{
    if (wisp_nats_is_name(container)) return 0;
    return wisp_err_set(err, WISP_ERR_NOT_FOUND,
                        "container `%.*s` does not exist: NATS has letters, digits, '-' and '_' in their names",
                        WISP_STR_ARG(container));
}

int wisp_objects_check_id(struct wisp_blobstore_id id, struct wisp_err *err)
{
    int r = wisp_objects_check_name(id.container, err);
    if (r < 0) return r;
    if (!id.object.len || id.object.len > WISP_OBJECTS_NAME_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "an object's name has 1 to %d bytes", WISP_OBJECTS_NAME_MAX);
    return 0;
}

/* --- containers --- */

static void on_done(const json_t *answer, const struct wisp_err *failure, void *env)
{
    struct wisp_blobstore_op *op = env;
    struct wisp_err err = {0};
    (void)answer;
    if (failure && failure->kind == WISP_ERR_NOT_FOUND)
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "container `%.*s` does not exist", WISP_STR_ARG(op->id.container));
    else if (failure)
        err = *failure;
    wisp_blobstore_done(op, failure ? &err : NULL);
}

/* One that is there is as good, even if it has other settings. */
static void on_created(const json_t *answer, const struct wisp_err *err, void *env)
{
    on_done(answer, err && err->kind == WISP_ERR_EXISTS ? NULL : err, env);
}

static void on_looked(const json_t *answer, const struct wisp_err *err, void *env)
{
    struct wisp_blobstore_op *op = env;
    op->exists = !err;
    on_done(answer, err && err->kind == WISP_ERR_NOT_FOUND ? NULL : err, env);
}

static void on_info(const json_t *answer, const struct wisp_err *err, void *env)
{
    struct wisp_blobstore_op *op = env;
    if (!err) op->created_at = wisp_objects_time(wisp_json_str(answer, "created"));
    on_done(answer, err, env);
}

static void ask(struct wisp_blobstore_op *op, const char *what, const json_t *body, bool is_reading,
                wisp_objects_on_answer *on_answer)
{
    struct wisp_err err = {0};
    WISP_CLEANUP_BUF struct wisp_buf payload = {0};
    if (wisp_objects_check_name(op->id.container, &err) < 0) {
        wisp_blobstore_done(op, &err);
        return;
    }
    const char *bucket = wisp_arena_cstr(&op->arena, op->id.container);
    if (body) wisp_json_print(body, &payload);
    struct wisp_objects_request request = {.sort = is_reading ? WISP_OBJECTS_READS : WISP_OBJECTS_WRITES,
                                           .payload = wisp_buf_str(&payload),
                                           .on_answer = on_answer,
                                           .env = op};
    wisp_objects_ask_api(wisp_objects_of(op), what, bucket, &request);
}

static void run_create(struct wisp_blobstore_op *op)
{
    const char *bucket = wisp_arena_cstr(&op->arena, op->id.container);
    WISP_CLEANUP_JSON json_t *config = json_copy(wisp_objects_of(op)->config);
    struct wisp_err err = {0};
    if (!wisp_nats_is_name(op->id.container)) {
        wisp_err_set(&err, WISP_ERR_INVALID, "`%s` is no name for a container: letters, digits, '-' and '_' only",
                     bucket);
        wisp_blobstore_done(op, &err);
        return;
    }
    json_object_set_new(config, "name", json_pack("s+", "OBJ_", bucket));
    json_object_set_new(config, "subjects", json_pack("[s++, s++]", "$O.", bucket, ".C.>", "$O.", bucket, ".M.>"));
    ask(op, "STREAM.CREATE", config, false, on_created);
}

static void run_exists(struct wisp_blobstore_op *op)
{
    if (wisp_nats_is_name(op->id.container))
        ask(op, "STREAM.INFO", NULL, true, on_looked);
    else
        wisp_blobstore_done(op, NULL);
}
static void run_info(struct wisp_blobstore_op *op) { ask(op, "STREAM.INFO", NULL, true, on_info); }
static void run_clear(struct wisp_blobstore_op *op) { ask(op, "STREAM.PURGE", NULL, false, on_done); }
static void run_delete(struct wisp_blobstore_op *op) { ask(op, "STREAM.DELETE", NULL, false, on_done); }

static const struct wisp_blobstore_ops ops = {{
    [WISP_BLOBSTORE_CLEAR_CONTAINER] = run_clear,
    [WISP_BLOBSTORE_CONTAINER_EXISTS] = run_exists,
    [WISP_BLOBSTORE_CREATE_CONTAINER] = run_create,
    [WISP_BLOBSTORE_DELETE_CONTAINER] = run_delete,
    [WISP_BLOBSTORE_GET_CONTAINER_INFO] = run_info,
    [WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS] = wisp_objects_run_list,
    [WISP_BLOBSTORE_COPY_OBJECT] = wisp_objects_run_copy,
    [WISP_BLOBSTORE_DELETE_OBJECT] = wisp_objects_run_delete,
    [WISP_BLOBSTORE_DELETE_OBJECTS] = wisp_objects_run_delete_many,
    [WISP_BLOBSTORE_GET_CONTAINER_DATA] = wisp_objects_run_get,
    [WISP_BLOBSTORE_GET_OBJECT_INFO] = wisp_objects_run_info,
    [WISP_BLOBSTORE_HAS_OBJECT] = wisp_objects_run_info,
    [WISP_BLOBSTORE_MOVE_OBJECT] = wisp_objects_run_move,
    [WISP_BLOBSTORE_WRITE_CONTAINER_DATA] = wisp_objects_run_write,
}};

/* --- time, and connections that are lost --- */

static void on_tick(uv_timer_t *timer)
{
    struct wisp_objects *objects = timer->data;
    wisp_objects_tick_asks(objects);
    wisp_objects_tick_walks(objects);
    if (wisp_ring_is_empty(&objects->resting) && wisp_ring_is_empty(&objects->walks)) uv_timer_stop(timer);
}

void wisp_objects_start_ticking(struct wisp_objects *objects)
{
    if (!uv_is_active((uv_handle_t *)objects->timer)) uv_timer_start(objects->timer, on_tick, TICK_MS, TICK_MS);
}

static void on_bus_state(enum wisp_bus_state state, const struct wisp_err *reason, void *env)
{
    struct wisp_objects *objects = env;
    struct wisp_err err = {0};
    if (state != WISP_BUS_RECONNECTING) return;
    wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "the connection was lost before the answer came: %s", reason->text);
    wisp_objects_lose_walks(objects);
    wisp_objects_lose_asks(objects, &err);
}

/* --- links --- */

static void on_timer_closed(uv_handle_t *handle) { free(handle); }

/* What was just said (of chunks that are not wanted) still goes out. */
struct leaving {
    struct wisp_nats_connection connection;
    uv_timer_t timer; /* the client is not to be freed by its own callback */
};

static void on_leaving_closed(uv_handle_t *handle) { free(handle->data); }

static void on_left(uv_timer_t *timer)
{
    struct leaving *leaving = timer->data;
    wisp_nats_disconnect(&leaving->connection);
    uv_close((uv_handle_t *)timer, on_leaving_closed);
}

static void on_drained(void *env) { uv_timer_start(&((struct leaving *)env)->timer, on_left, 0, 0); }

static void leave(uv_loop_t *loop, struct wisp_nats_connection connection)
{
    struct leaving *leaving = wisp_mem_calloc(1, sizeof *leaving);
    leaving->connection = connection;
    uv_timer_init(loop, &leaving->timer);
    leaving->timer.data = leaving;
    wisp_bus_client_drain(connection.bus, LEAVE_MS, on_drained, leaving);
}

static void free_objects(struct wisp_objects *objects)
{
    if (objects->bus) wisp_bus_client_unwatch(objects->bus, &objects->watch);
    if (objects->own.bus && wisp_bus_client_state(objects->own.bus) == WISP_BUS_CONNECTED)
        leave(objects->provider->loop, objects->own);
    else
        wisp_nats_disconnect(&objects->own);
    uv_close((uv_handle_t *)objects->timer, on_timer_closed);
    json_decref(objects->config);
    free(objects->api);
    free(objects);
}

static int read_config(struct wisp_objects *objects, const struct wisp_settings *settings, struct wisp_err *err)
{
    enum { AGE_MAX_S = 100 * 365 * 24 * 3600U, REPLICAS_MAX = 5 };
    struct wisp_str type = wisp_settings_get(settings, "storage_type");
    uint64_t max_age, n_replicas;
    bool is_compressed;
    bool is_memory = wisp_str_is(type, "memory") || wisp_str_is(type, "Memory") || wisp_str_is(type, "1");
    if (type.len && !is_memory && !wisp_str_is(type, "file") && !wisp_str_is(type, "File") && !wisp_str_is(type, "0"))
        return wisp_err_set(err, WISP_ERR_INVALID, "`storage_type` is `file` or `memory`");
    int r = wisp_settings_uint(settings, "max_age", 0, &max_age, err);
    if (r == 0) r = wisp_settings_uint(settings, "num_replicas", 1, &n_replicas, err);
    if (r == 0) r = wisp_settings_bool(settings, "compression", false, &is_compressed, err);
    if (r < 0) return r;
    if (max_age > AGE_MAX_S) return wisp_err_set(err, WISP_ERR_INVALID, "`max_age` is too many seconds");
    if (n_replicas < 1 || n_replicas > REPLICAS_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "`num_replicas` is not from 1 to %d", REPLICAS_MAX);
    objects->config = json_pack("{s:s, s:s, s:s, s:i, s:I, s:i, s:i, s:i, s:b, s:b}", "storage",
                                is_memory ? "memory" : "file", "retention", "limits", "discard", "new",       //
                                "num_replicas", (int)n_replicas, "max_age", (json_int_t)max_age * 1000000000, //
                                "max_consumers", -1, "max_msgs", -1, "max_bytes", -1,                         //
                                "allow_rollup_hdrs", 1, "allow_direct", 1);
    if (is_compressed) json_object_set_new(objects->config, "compression", json_string("s2"));
    return 0;
}

static int find_bus(struct wisp_objects *objects, const struct wisp_settings *settings, struct wisp_err *err)
{
    struct wisp_str domain = wisp_settings_get(settings, "js_domain");
    WISP_CLEANUP_BUF struct wisp_buf api = {0};
    if (domain.len && !wisp_nats_is_name(domain)) return wisp_err_set(err, WISP_ERR_INVALID, "`js_domain` is no name");
    wisp_buf_printf(&api, domain.len ? "$JS.%.*s.API" : "$JS.API%.*s", WISP_STR_ARG(domain));
    objects->api = wisp_mem_dup(wisp_buf_str(&api));
    if (wisp_settings_get(settings, "cluster_uri").len) {
        int r = wisp_nats_connect(&objects->own, objects->provider->loop, settings, "wisp blobstore-nats", err);
        if (r < 0) return r;
    }
    struct wisp_bus_client *bus = objects->own.bus ? objects->own.bus : objects->provider->bus;
    if (!bus) return wisp_err_set(err, WISP_ERR_INVALID, "there is no bus: `cluster_uri` is missing");
    objects->bus = bus;
    objects->watch = (struct wisp_bus_watch){.on_state = on_bus_state, .env = objects};
    wisp_bus_client_watch(bus, &objects->watch);
    return 0;
}

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    struct wisp_objects *objects = wisp_mem_calloc(1, sizeof *objects);
    objects->provider = provider;
    objects->own = WISP_NATS_NO_CONNECTION;
    wisp_blobstore_store_init(&objects->base, &ops);
    wisp_ring_init(&objects->asking);
    wisp_ring_init(&objects->resting);
    wisp_ring_init(&objects->walks);
    objects->timer = wisp_mem_calloc(1, sizeof *objects->timer);
    uv_timer_init(provider->loop, objects->timer);
    objects->timer->data = objects;
    int r = read_config(objects, &link->settings, err);
    if (r == 0) r = find_bus(objects, &link->settings, err);
    if (r < 0)
        free_objects(objects);
    else
        link->state = objects;
    return r;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    struct wisp_objects *objects = WISP_TAKE(link->state);
    (void)provider;
    wisp_blobstore_store_abort(&objects->base, "the link is gone");
    free_objects(objects);
}

const struct wisp_provider_kind wisp_blobstore_nats = {
    .name = "blobstore-nats",
    .about = "NATS object stores: containers are buckets of JetStream",
    .exports = wisp_blobstore_exports,
    .n_exports = WISP_BLOBSTORE_EXPORT_COUNT,
    .put_link = put_link,
    .del_link = del_link,
};
