/* SPDX-License-Identifier: Apache-2.0 */
/* Many objects in one request. */
#include "capability/blobstore/s3_priv.h"

#include "nkeys/nkeys.h"

#include <openssl/evp.h>

struct refusals {
    size_t n;
    struct wisp_str code, key;
};

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

static void on_removed(struct wisp_rest_call *call, const struct wisp_err *call_err)
{
    struct wisp_rest_removal *removal = call->user;
    struct refusals refusals = {0};
    struct wisp_err err = {0};
    if (call_err) {
        wisp_rest_fail(removal->op, call, &removal->op->id, call_err);
    } else if (call->answer.len &&
               wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_refusal, &refusals, &err) < 0) {
        wisp_err_wrap(&err, "the server's answer");
        wisp_blobstore_done(removal->op, &err);
    } else if (refusals.n) {
        wisp_err_set(&err, WISP_ERR_DENIED, "%zu objects were not deleted, one of them `%.200s`: %.100s", refusals.n,
                     wisp_arena_cstr(&call->arena, refusals.key), wisp_arena_cstr(&call->arena, refusals.code));
        wisp_blobstore_done(removal->op, &err);
    } else {
        wisp_rest_removal_next(removal);
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

void wisp_s3_remove(struct wisp_rest_removal *removal)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    struct wisp_blobstore_op *op = removal->op;
    struct wisp_blobstore_names some = removal->names;
    struct wisp_err err = {0};
    if (some.len > WISP_REST_PAGE) some.len = WISP_REST_PAGE;
    removal->names.ptr += some.len;
    removal->names.len -= some.len;
    if (!append_request(&text, some)) {
        wisp_err_set(&err, WISP_ERR_UNSUPPORTED, "an object's name has control characters");
        wisp_blobstore_done(op, &err);
        return;
    }
    struct wisp_rest_call *call =
        wisp_rest_op_call(op, "POST", (struct wisp_blobstore_id){.container = op->id.container});
    if (!call) return;
    call->body = wisp_arena_str(&call->arena, wisp_buf_str(&text));
    const char *md5 = md5_of(call->body, &call->arena);
    if (md5) wisp_rest_headers_add(&call->headers, "content-md5", md5);
    wisp_rest_call_param(call, "delete", WISP_STR(""));
    call->user = removal;
    call->on_done = on_removed;
    wisp_rest_call_send(call);
}
