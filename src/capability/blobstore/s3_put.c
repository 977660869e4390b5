/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart uploads. */
#include "capability/blobstore/s3_priv.h"

#include <stdio.h>

void wisp_s3_ask_begin(struct wisp_rest_call *call)
{
    call->method = "POST";
    wisp_rest_call_param(call, "uploads", WISP_STR(""));
}

static void on_element(const struct wisp_xml_element *element, void *env)
{
    if (wisp_xml_is(element, "InitiateMultipartUploadResult", "UploadId")) *(struct wisp_str *)env = element->text;
}

int wisp_s3_read_begun(struct wisp_rest_call *call, struct wisp_rest_parts *parts, struct wisp_err *err)
{
    struct wisp_str id = {0};
    int r = wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_element, &id, err);
    if (r < 0) return r;
    if (id.len == 0) return wisp_err_set(err, WISP_ERR_INVALID, "the server gave the upload no name");
    parts->id = wisp_arena_str(&parts->arena, id);
    wisp_buf_append_str(&parts->list,
                        WISP_STR("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    return 0;
}

void wisp_s3_ask_part(struct wisp_rest_call *call, struct wisp_rest_parts *parts)
{
    char number[16];
    snprintf(number, sizeof number, "%u", parts->n);
    wisp_rest_call_param(call, "partNumber", wisp_str_from(number));
    wisp_rest_call_param(call, "uploadId", parts->id);
}

int wisp_s3_read_part(struct wisp_rest_call *call, struct wisp_rest_parts *parts, struct wisp_err *err)
{
    wisp_buf_printf(&parts->list, "<Part><PartNumber>%u</PartNumber><ETag>", parts->n);
    if (call->etag.len == 0 || !wisp_xml_append(&parts->list, call->etag))
        return wisp_err_set(err, WISP_ERR_INVALID, "the server gave a part no name");
    wisp_buf_append_str(&parts->list, WISP_STR("</ETag></Part>"));
    return 0;
}

void wisp_s3_ask_complete(struct wisp_rest_call *call, struct wisp_rest_parts *parts)
{
    wisp_buf_append_str(&parts->list, WISP_STR("</CompleteMultipartUpload>"));
    call->method = "POST";
    call->body = wisp_buf_str(&parts->list);
    wisp_rest_call_param(call, "uploadId", parts->id);
}

void wisp_s3_ask_forget(struct wisp_rest_call *call, const struct wisp_rest_parts *parts)
{
    call->method = "DELETE";
    wisp_rest_call_param(call, "uploadId", parts->id);
}
