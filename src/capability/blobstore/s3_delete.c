/* SPDX-License-Identifier: Apache-2.0 */
/* Many objects at once: those that were named, or all of a container, page by page. */
#include "capability/blobstore/s3_priv.h"

#include "nkeys/nkeys.h"

/* In the op's arena; op->user is the call of the moment. */
struct removal {
    struct wisp_blobstore_op *op;
    bool is_all, deletes_container;
    struct wisp_blobstore_names names; /* still to be deleted */
    struct wisp_str token;
};

struct refusals {
    size_t n;
    struct wisp_str code, key;
};

static void next_step(struct removal *removal);

static void send_call(struct wisp_s3_call *call, struct removal *removal,
                      void (*on_done)(struct wisp_s3_call *call, const struct wisp_err *err))
{
    call->user = removal;
    call->on_done = on_done;
    wisp_s3_call_send(call);
}

static void fail(struct removal *removal, struct wisp_s3_call *call, const struct wisp_err *err)
{
    wisp_s3_fail(removal->op, call, &removal->op->id, err);
}

/* --- deleting --- */

/* <Error> within a result is about one object. */
static void on_refusal(const struct wisp_xml_element *element, void *env)
{
    struct refusals *refusals = env;
    if (wisp_xml_is(element, "Error", "Code") && !wisp_str_is(element->text, "NoSuchKey")) {
        refusals->n++;
        refusals->code = element->text;
    }
    if (wisp_xml_is(element, "Error", "Key")) refusals->key = element->text;
}

static void on_deleted(struct wisp_s3_call *call, const struct wisp_err *call_err)
{
    struct removal *removal = call->user;
    struct refusals refusals = {0};
    struct wisp_err err = {0};
    if (call_err) {
        fail(removal, call, call_err);
    } else if (call->answer.len &&
               wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_refusal, &refusals, &err) < 0) {
        wisp_err_wrap(&err, "the server's answer");
        wisp_blobstore_done(removal->op, &err);
    } else if (refusals.n) {
        wisp_err_set(&err, WISP_ERR_DENIED, "%zu objects were not deleted, one of them `%.200s`: %.100s", refusals.n,
                     wisp_arena_cstr(&call->arena, refusals.key), wisp_arena_cstr(&call->arena, refusals.code));
        wisp_blobstore_done(removal->op, &err);
    } else {
        next_step(removal);
    }
}

static bool append_request(struct wisp_buf *text, struct wisp_blobstore_names names)
{
    wisp_buf_append_str(text, WISP_STR("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    for (size_t i = 0; i < names.len; i++) {
        wisp_buf_append_str(text, WISP_STR("<Object><Key>"));
        if (!wisp_xml_append(text, names.ptr[i])) return false;
        wisp_buf_append_str(text, WISP_STR("</Key></Object>"));
    }
    wisp_buf_append_str(text, WISP_STR("<Quiet>true</Quiet></Delete>"));
    return true;
}

/* S3 wants this one digest, whatever else is signed. */
static char *md5_of(struct wisp_str bytes, struct wisp_arena *arena)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!EVP_Digest(bytes.ptr, bytes.len, digest, &size, EVP_md5(), NULL)) return NULL;
    wisp_base64_encode((struct wisp_str){(char *)digest, size}, &text);
    return wisp_arena_cstr(arena, wisp_buf_str(&text));
}

static void delete_some(struct removal *removal)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_blobstore_op *op = removal->op;
    struct wisp_blobstore_names some = removal->names;
    struct wisp_err err = {0};
    if (some.len > WISP_S3_PAGE) some.len = WISP_S3_PAGE;
    removal->names.ptr += some.len;
    removal->names.len -= some.len;
    if (!append_request(&text, some)) {
        wisp_err_set(&err, WISP_ERR_UNSUPPORTED, "an object's name has control characters");
        wisp_blobstore_done(op, &err);
        return;
    }
    struct wisp_s3_call *call = wisp_s3_op_call(op, "POST", (struct wisp_blobstore_id){.container = op->id.container});
    if (!call) return;
    call->body = wisp_arena_str(&call->arena, wisp_buf_str(&text));
    const char *md5 = md5_of(call->body, &call->arena);
    if (md5) wisp_s3_call_header(call, "content-md5", md5);
    wisp_s3_call_param(call, "delete", WISP_STR(""));
    send_call(call, removal, on_deleted);
}

/* --- all of a container --- */

static void on_container_deleted(struct wisp_s3_call *call, const struct wisp_err *err)
{
    struct removal *removal = call->user;
    if (err)
        fail(removal, call, err);
    else
        wisp_blobstore_done(removal->op, NULL);
}

static void delete_container(struct removal *removal)
{
    struct wisp_s3_call *call = wisp_s3_op_call(removal->op, "DELETE", removal->op->id);
    if (!call) return;
    send_call(call, removal, on_container_deleted);
}

static void on_page(struct wisp_s3_call *call, const struct wisp_err *call_err)
{
    struct removal *removal = call->user;
    struct wisp_s3_page page;
    struct wisp_err err = {0};
    if (call_err) {
        fail(removal, call, call_err);
        return;
    }
    if (wisp_s3_page_read(call, &page, &err) < 0) {
        wisp_blobstore_done(removal->op, &err);
        return;
    }
    struct wisp_arena *arena = &removal->op->arena;
    struct wisp_str *names = WISP_NEW_ARRAY(arena, struct wisp_str, page.names.len);
    for (size_t i = 0; i < page.names.len; i++) names[i] = wisp_arena_str(arena, page.names.ptr[i]);
    removal->names = (struct wisp_blobstore_names){names, page.names.len};
    removal->token = wisp_arena_str(arena, page.token);
    removal->is_all = page.token.len > 0;
    next_step(removal);
}

static void ask_page(struct removal *removal)
{
    struct wisp_s3_call *call = wisp_s3_op_call(removal->op, "GET", removal->op->id);
    if (!call) return;
    wisp_s3_page_ask(call, removal->token);
    send_call(call, removal, on_page);
}

static void next_step(struct removal *removal)
{
    if (removal->names.len)
        delete_some(removal);
    else if (removal->is_all)
        ask_page(removal);
    else if (removal->deletes_container)
        delete_container(removal);
    else
        wisp_blobstore_done(removal->op, NULL);
}

void wisp_s3_run_delete(struct wisp_blobstore_op *op)
{
    struct removal *removal = WISP_NEW(&op->arena, struct removal);
    const char *name = op->call->func->name;
    removal->op = op;
    removal->names = op->objects;
    removal->deletes_container = strcmp(name, "delete-container") == 0;
    removal->is_all = removal->deletes_container || strcmp(name, "clear-container") == 0;
    next_step(removal);
}
