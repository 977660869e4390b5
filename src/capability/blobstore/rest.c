/* SPDX-License-Identifier: Apache-2.0 */
/* Links to a server, and the operations that are a request or two. */
#include "capability/blobstore/rest.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { STALL_TIMEOUT_MS = 30 * 1000 };

/* --- where the server is --- */

struct parts {
    CURLU *url;
    char *scheme, *host, *port, *path;
};

static void parts_deinit(struct parts *parts)
{
    curl_free(parts->scheme);
    curl_free(parts->host);
    curl_free(parts->port);
    curl_free(parts->path);
    curl_url_cleanup(parts->url);
}

static bool split_url(const char *url, struct parts *parts)
{
    char *extra = NULL;
    parts->url = curl_url();
    bool ok = parts->url && curl_url_set(parts->url, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(parts->url, CURLUPART_SCHEME, &parts->scheme, 0) == CURLUE_OK &&
              curl_url_get(parts->url, CURLUPART_HOST, &parts->host, 0) == CURLUE_OK &&
              curl_url_get(parts->url, CURLUPART_PATH, &parts->path, 0) == CURLUE_OK &&
              (strcmp(parts->scheme, "http") == 0 || strcmp(parts->scheme, "https") == 0);
    if (ok && (curl_url_get(parts->url, CURLUPART_QUERY, &extra, 0) == CURLUE_OK ||
               curl_url_get(parts->url, CURLUPART_USER, &extra, 0) == CURLUE_OK))
        ok = false;
    curl_free(extra);
    if (ok && curl_url_get(parts->url, CURLUPART_PORT, &parts->port, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
        parts->port = NULL;
    return ok;
}

int wisp_rest_endpoint_read(const char *url, const char *setting, struct wisp_arena *arena,
                            struct wisp_rest_endpoint *ret_endpoint, struct wisp_err *err)
{
    __attribute__((cleanup(parts_deinit))) struct parts parts = {0};
    if (!split_url(url, &parts))
        return wisp_err_set(err, WISP_ERR_INVALID, "`%s` must be a URL of http or https", setting);
    ret_endpoint->host = parts.port ? wisp_arena_printf(arena, "%s:%s", parts.host, parts.port)
                                    : wisp_arena_cstr(arena, wisp_str_from(parts.host));
    ret_endpoint->origin = wisp_arena_printf(arena, "%s://%s", parts.scheme, ret_endpoint->host);
    size_t size = strlen(parts.path);
    while (size && parts.path[size - 1] == '/') size--;
    ret_endpoint->base_path = wisp_arena_cstr(arena, (struct wisp_str){parts.path, size});
    return 0;
}

/* --- links --- */

struct wisp_rest *wisp_rest_new(size_t size, const struct wisp_blobstore_ops *ops,
                                const struct wisp_rest_dialect *dialect, uv_loop_t *loop)
{
    struct wisp_rest *rest = wisp_mem_calloc(1, size);
    wisp_blobstore_store_init(&rest->base, ops);
    rest->dialect = dialect;
    rest->n_refs = 1;
    rest->loop = loop;
    return rest;
}

void wisp_rest_unref(struct wisp_rest *rest)
{
    if (--rest->n_refs) return;
    wisp_web_free(rest->web);
    wisp_arena_deinit(&rest->arena);
    free(rest);
}

int wisp_rest_open(struct wisp_rest *rest, int r, struct wisp_provider_link *link, struct wisp_err *err)
{
    struct wisp_web_options options = {.stall_timeout_ms = STALL_TIMEOUT_MS};
    if (r == 0) r = wisp_web_new(&rest->web, rest->loop, &options, err);
    if (r < 0)
        wisp_rest_unref(rest);
    else
        link->state = rest;
    return r;
}

void wisp_rest_del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    struct wisp_rest *rest = link->state;
    (void)provider;
    wisp_blobstore_store_abort(&rest->base, "the link is gone");
    wisp_rest_unref(rest);
}

/* --- operations and calls --- */

static bool has_code(const struct wisp_rest_call *call, const char *code) { return wisp_str_is(call->code, code); }

void wisp_rest_explain(const struct wisp_rest_call *call, const struct wisp_blobstore_id *id, struct wisp_err *err)
{
    bool no_container =
        has_code(call, call->rest->dialect->no_container) || (call->status == 404 && id->object.len == 0);
    if (no_container)
        wisp_err_set(err, WISP_ERR_NOT_FOUND, "container `%.*s` does not exist", WISP_STR_ARG(id->container));
    else if (call->status == 404)
        wisp_err_set(err, WISP_ERR_NOT_FOUND, "object `%.*s` does not exist in container `%.*s`",
                     WISP_STR_ARG(id->object), WISP_STR_ARG(id->container));
    else
        wisp_err_wrap(err, "container `%.*s`", WISP_STR_ARG(id->container));
}

void wisp_rest_fail(struct wisp_blobstore_op *op, const struct wisp_rest_call *call, const struct wisp_blobstore_id *id,
                    const struct wisp_err *err)
{
    struct wisp_err explained = *err;
    wisp_rest_explain(call, id, &explained);
    wisp_blobstore_done(op, &explained);
}

static void on_op_cancel(struct wisp_blobstore_op *op)
{
    struct wisp_err err = {0};
    wisp_rest_call_cancel(op->user);
    wisp_err_set(&err, WISP_ERR_CANCELLED, "given up");
    wisp_blobstore_done(op, &err);
}

static bool needs_object(enum wisp_blobstore_func func)
{
    return func == WISP_BLOBSTORE_COPY_OBJECT || func == WISP_BLOBSTORE_MOVE_OBJECT ||
           func == WISP_BLOBSTORE_DELETE_OBJECT || func == WISP_BLOBSTORE_GET_CONTAINER_DATA ||
           func == WISP_BLOBSTORE_GET_OBJECT_INFO || func == WISP_BLOBSTORE_HAS_OBJECT ||
           func == WISP_BLOBSTORE_WRITE_CONTAINER_DATA;
}

struct wisp_rest_call *wisp_rest_op_call(struct wisp_blobstore_op *op, const char *method, struct wisp_blobstore_id id)
{
    struct wisp_err err = {0};
    struct wisp_rest_call *call = NULL;
    enum wisp_blobstore_func func = wisp_blobstore_func_of(op->call);
    if (needs_object(func) && (id.object.len == 0 || op->id.object.len == 0))
        wisp_err_set(&err, WISP_ERR_INVALID, "an object needs a name");
    else
        call = wisp_rest_call_new((struct wisp_rest *)op->store, method, id, &err);
    if (!call) {
        wisp_blobstore_done(op, &err);
        return NULL;
    }
    call->user = op;
    op->user = call;
    op->on_cancel = on_op_cancel;
    return call;
}

static void start(struct wisp_blobstore_op *op, const char *method,
                  void (*on_done)(struct wisp_rest_call *call, const struct wisp_err *err))
{
    struct wisp_rest_call *call = wisp_rest_op_call(op, method, op->id);
    if (!call) return;
    call->on_done = on_done;
    wisp_rest_call_send(call);
}

void wisp_rest_on_done(struct wisp_rest_call *call, const struct wisp_err *err)
{
    struct wisp_blobstore_op *op = call->user;
    if (err)
        wisp_rest_fail(op, call, &op->id, err);
    else
        wisp_blobstore_done(op, NULL);
}

/* --- what is there --- */

static void on_looked(struct wisp_rest_call *call, const struct wisp_err *err)
{
    struct wisp_blobstore_op *op = call->user;
    op->exists = !err;
    op->size = call->size;
    op->created_at = call->created_at;
    wisp_rest_on_done(call, err);
}

static void on_looked_for(struct wisp_rest_call *call, const struct wisp_err *err)
{
    if (err && call->status == 404)
        wisp_blobstore_done(call->user, NULL);
    else
        on_looked(call, err);
}

void wisp_rest_run_look(struct wisp_blobstore_op *op) { start(op, "HEAD", on_looked); }
void wisp_rest_run_look_for(struct wisp_blobstore_op *op) { start(op, "HEAD", on_looked_for); }

/* --- containers --- */

void wisp_rest_on_created(struct wisp_rest_call *call, const struct wisp_err *err)
{
    bool was_there = err && has_code(call, call->rest->dialect->container_exists);
    wisp_rest_on_done(call, was_there ? NULL : err);
}

void wisp_rest_run_delete_container(struct wisp_blobstore_op *op) { start(op, "DELETE", wisp_rest_on_done); }

/* --- objects --- */

bool wisp_rest_is_gone(const struct wisp_rest_call *call, const struct wisp_err *err)
{
    return !err || (call->status == 404 && !has_code(call, call->rest->dialect->no_container));
}

static void on_deleted(struct wisp_rest_call *call, const struct wisp_err *err)
{
    wisp_rest_on_done(call, wisp_rest_is_gone(call, err) ? NULL : err);
}

void wisp_rest_run_delete_object(struct wisp_blobstore_op *op) { start(op, "DELETE", on_deleted); }

void wisp_rest_on_copied(struct wisp_rest_call *call, const struct wisp_err *err)
{
    struct wisp_blobstore_op *op = call->user;
    bool is_move = strcmp(op->call->func->name, "move-object") == 0;
    bool is_same =
        wisp_str_equal(op->id.container, op->target.container) && wisp_str_equal(op->id.object, op->target.object);
    if (err)
        wisp_rest_fail(op, call, has_code(call, call->rest->dialect->no_container) ? &op->target : &op->id, err);
    else if (is_move && !is_same)
        wisp_rest_run_delete_object(op);
    else
        wisp_blobstore_done(op, NULL);
}
