/* SPDX-License-Identifier: Apache-2.0 */
/* The kind blobstore-azure. */
#include "capability/blobstore/azure_priv.h"
#include "capability/kinds.h"
#include "nkeys/nkeys.h"

#include <openssl/rand.h>
#include <time.h>

enum { ATTEMPTS = 3, COPY_POLL_MS = 500 };

/* --- settings --- */

static bool is_account(struct wisp_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!(name.ptr[i] >= 'a' && name.ptr[i] <= 'z') && !(name.ptr[i] >= '0' && name.ptr[i] <= '9') &&
            name.ptr[i] != '-')
            return false;
    return name.len > 0 && name.len <= 63;
}

static int read_key(struct wisp_str text, struct wisp_arena *arena, struct wisp_str *ret_key, struct wisp_err *err)
{
    WISP_CLEANUP_WIPE struct wisp_buf key = {0};
    if (!text.len) return wisp_err_set(err, WISP_ERR_INVALID, "`storage_access_key` is missing");
    if (wisp_base64_decode(text, &key, NULL) < 0 || key.len == 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "`storage_access_key` is no base64");
    *ret_key = wisp_arena_str(arena, wisp_buf_str(&key));
    return 0;
}

int wisp_azure_config_read(const struct wisp_settings *settings, struct wisp_arena *arena,
                           struct wisp_azure_config *ret_config, struct wisp_err *err)
{
    struct wisp_str account = wisp_settings_get(settings, "storage_account");
    struct wisp_str location = wisp_settings_get(settings, "cloud_location");
    if (!is_account(account))
        return wisp_err_set(err, WISP_ERR_INVALID, "`STORAGE_ACCOUNT` must be the name of a storage account");
    int r = read_key(wisp_settings_get(settings, "storage_access_key"), arena, &ret_config->key, err);
    if (r < 0) return r;
    ret_config->account = wisp_arena_cstr(arena, account);
    const char *url = location.len ? wisp_arena_cstr(arena, location)
                                   : wisp_arena_printf(arena, "https://%s.blob.core.windows.net", ret_config->account);
    return wisp_rest_endpoint_read(url, "CLOUD_LOCATION", arena, &ret_config->endpoint, err);
}

/* --- the dialect: any call --- */

static void complete(struct wisp_rest_call *call)
{
    if (call->is_container)
        wisp_rest_call_param(call, "restype", WISP_STR("container"));
    else if (strcmp(call->method, "DELETE") == 0)
        wisp_rest_headers_add(&call->headers, "x-ms-delete-snapshots", "include");
    wisp_rest_headers_add(&call->headers, "x-ms-version", WISP_AZURE_VERSION);
}

static void sign(struct wisp_rest_call *call, struct wisp_rest_headers *headers, struct wisp_arena *arena,
                 struct wisp_buf *authorization)
{
    char *date = wisp_arena_alloc(arena, 32);
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, 32, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    wisp_rest_headers_add(headers, "x-ms-date", date);
    struct wisp_azure_to_sign what = {.method = call->method,
                                      .path = wisp_buf_str(&call->path),
                                      .query = wisp_buf_str(&call->query),
                                      .headers = headers,
                                      .body_size = call->body.len};
    wisp_azure_sign(&((struct wisp_azure *)call->rest)->config, &what, authorization);
}

static void read_head(struct wisp_rest_call *call, const struct wisp_web_response *response)
{
    struct wisp_str created = wisp_web_find(response, "x-ms-creation-time");
    call->code = wisp_arena_str(&call->arena, wisp_web_find(response, "x-ms-error-code"));
    call->copy_status = wisp_arena_str(&call->arena, wisp_web_find(response, "x-ms-copy-status"));
    if (created.len) call->created_at = wisp_rest_date(created);
}

/* --- uploads --- */

static void ask_whole(struct wisp_rest_call *call)
{
    wisp_rest_headers_add(&call->headers, "x-ms-blob-type", "BlockBlob");
}

/* Blocks that were sent belong to nobody until there is a list of them: what is broken off is forgotten by itself, and
 * what is random in their names keeps two uploads of one object apart. */
static void begin(struct wisp_rest_parts *parts)
{
    uint64_t id;
    if (RAND_bytes((unsigned char *)&id, sizeof id) != 1) wisp_mem_out(0);
    parts->id = wisp_str_from(wisp_arena_printf(&parts->arena, "%016llx", (unsigned long long)id));
    wisp_buf_append_str(&parts->list, WISP_STR("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>"));
}

static void append_block_id(struct wisp_buf *out, const struct wisp_rest_parts *parts)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%.16s%05u", parts->id.ptr, parts->n);
    wisp_base64_encode((struct wisp_str){text, (size_t)n}, out);
}

static void ask_part(struct wisp_rest_call *call, struct wisp_rest_parts *parts)
{
    WISP_CLEANUP_BUF struct wisp_buf id = {0};
    append_block_id(&id, parts);
    wisp_rest_call_param(call, "blockid", wisp_buf_str(&id));
    wisp_rest_call_param(call, "comp", WISP_STR("block"));
}

static int read_part(struct wisp_rest_call *call, struct wisp_rest_parts *parts, struct wisp_err *err)
{
    (void)call;
    (void)err;
    wisp_buf_append_str(&parts->list, WISP_STR("<Uncommitted>"));
    append_block_id(&parts->list, parts);
    wisp_buf_append_str(&parts->list, WISP_STR("</Uncommitted>"));
    return 0;
}

static void ask_complete(struct wisp_rest_call *call, struct wisp_rest_parts *parts)
{
    wisp_buf_append_str(&parts->list, WISP_STR("</BlockList>"));
    call->body = wisp_buf_str(&parts->list);
    wisp_rest_call_param(call, "comp", WISP_STR("blocklist"));
}

static const struct wisp_rest_dialect dialect = {
    .no_container = "ContainerNotFound",
    .container_exists = "ContainerAlreadyExists",
    .n_parts_max = WISP_AZURE_BLOCKS_MAX,
    .complete = complete,
    .sign = sign,
    .read_head = read_head,
    .ask_page = wisp_azure_ask_page,
    .read_page = wisp_azure_read_page,
    .remove = wisp_azure_remove,
    .ask_whole = ask_whole,
    .begin = begin,
    .ask_part = ask_part,
    .read_part = read_part,
    .ask_complete = ask_complete,
};

/* --- operations that others have not --- */

static void run_create(struct wisp_blobstore_op *op)
{
    struct wisp_rest_call *call = wisp_rest_op_call(op, "PUT", op->id);
    if (!call) return;
    call->on_done = wisp_rest_on_created;
    wisp_rest_call_send(call);
}

/* The server copies in its own time, and says how far it is. */
static void on_copying(struct wisp_rest_call *call, const struct wisp_err *call_err)
{
    struct wisp_blobstore_op *op = call->user;
    struct wisp_err err = {0};
    if (call_err || call->copy_status.len == 0 || wisp_str_is(call->copy_status, "success")) {
        wisp_rest_on_copied(call, call_err);
    } else if (wisp_str_is(call->copy_status, "pending")) {
        struct wisp_rest_call *next = wisp_rest_op_call(op, "HEAD", op->target);
        if (!next) return;
        next->on_done = on_copying;
        next->delay_ms = COPY_POLL_MS;
        wisp_rest_call_send(next);
    } else {
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "container `%.*s`: the server's copying ended as `%.20s`",
                     WISP_STR_ARG(op->target.container), wisp_arena_cstr(&call->arena, call->copy_status));
        wisp_blobstore_done(op, &err);
    }
}

static void run_copy(struct wisp_blobstore_op *op)
{
    WISP_CLEANUP_BUF struct wisp_buf source = {0};
    struct wisp_err err = {0};
    struct wisp_rest_call *call = wisp_rest_op_call(op, "PUT", op->target);
    if (!call) return;
    wisp_buf_printf(&source, "%s%s", call->rest->endpoint.origin, call->rest->endpoint.base_path);
    if (wisp_rest_path(call->rest, op->id, &source, &err) < 0) {
        wisp_rest_call_cancel(call);
        wisp_blobstore_done(op, &err);
        return;
    }
    wisp_rest_headers_add(&call->headers, "x-ms-copy-source", wisp_arena_cstr(&call->arena, wisp_buf_str(&source)));
    call->on_done = on_copying;
    wisp_rest_call_send(call);
}

static const struct wisp_blobstore_ops ops = {{
    [WISP_BLOBSTORE_CLEAR_CONTAINER] = wisp_rest_run_remove,
    [WISP_BLOBSTORE_CONTAINER_EXISTS] = wisp_rest_run_look_for,
    [WISP_BLOBSTORE_CREATE_CONTAINER] = run_create,
    [WISP_BLOBSTORE_DELETE_CONTAINER] = wisp_rest_run_delete_container,
    [WISP_BLOBSTORE_GET_CONTAINER_INFO] = wisp_rest_run_look,
    [WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS] = wisp_rest_run_list,
    [WISP_BLOBSTORE_COPY_OBJECT] = run_copy,
    [WISP_BLOBSTORE_DELETE_OBJECT] = wisp_rest_run_delete_object,
    [WISP_BLOBSTORE_DELETE_OBJECTS] = wisp_rest_run_remove,
    [WISP_BLOBSTORE_GET_CONTAINER_DATA] = wisp_rest_run_get,
    [WISP_BLOBSTORE_GET_OBJECT_INFO] = wisp_rest_run_look,
    [WISP_BLOBSTORE_HAS_OBJECT] = wisp_rest_run_look_for,
    [WISP_BLOBSTORE_MOVE_OBJECT] = run_copy,
    [WISP_BLOBSTORE_WRITE_CONTAINER_DATA] = wisp_rest_run_write,
}};

/* --- links --- */

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    struct wisp_azure *azure = (struct wisp_azure *)wisp_rest_new(sizeof *azure, &ops, &dialect, provider->loop);
    int r = wisp_azure_config_read(&link->settings, &azure->rest.arena, &azure->config, err);
    azure->rest.endpoint = azure->config.endpoint;
    azure->rest.n_attempts_max = ATTEMPTS;
    return wisp_rest_open(&azure->rest, r, link, err);
}

const struct wisp_provider_kind wisp_blobstore_azure = {
    .name = "blobstore-azure",
    .about = "Azure: containers of a storage account",
    .exports = wisp_blobstore_exports,
    .n_exports = WISP_BLOBSTORE_EXPORT_COUNT,
    .put_link = put_link,
    .del_link = wisp_rest_del_link,
};
