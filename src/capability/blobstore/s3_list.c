/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of lists. Keys come percent-encoded, for XML can't express all of them. */
#include "capability/blobstore/s3_priv.h"

void wisp_s3_ask_page(struct wisp_rest_call *call, struct wisp_str token)
{
    if (token.len) wisp_rest_call_param(call, "continuation-token", token);
    wisp_rest_call_param(call, "encoding-type", WISP_STR("url"));
    wisp_rest_call_param(call, "list-type", WISP_STR("2"));
    wisp_rest_call_param(call, "max-keys", WISP_STR("1000"));
}

struct reading {
    struct wisp_str names[WISP_REST_PAGE];
    size_t n;
    bool is_encoded, is_truncated, has_too_many;
    struct wisp_str token;
};

static void on_element(const struct wisp_xml_element *element, void *env)
{
    struct reading *reading = env;
    if (wisp_xml_is(element, "Contents", "Key")) {
        if (reading->n == WISP_REST_PAGE)
            reading->has_too_many = true;
        else
            reading->names[reading->n++] = element->text;
    } else if (wisp_xml_is(element, "ListBucketResult", "IsTruncated")) {
        reading->is_truncated = wisp_str_is(element->text, "true");
    } else if (wisp_xml_is(element, "ListBucketResult", "NextContinuationToken")) {
        reading->token = element->text;
    } else if (wisp_xml_is(element, "ListBucketResult", "EncodingType")) {
        reading->is_encoded = wisp_str_is(element->text, "url");
    }
}

int wisp_s3_read_page(struct wisp_rest_call *call, struct wisp_rest_page *ret_page, struct wisp_err *err)
{
    struct reading *reading = WISP_NEW(&call->arena, struct reading);
    size_t n = 0;
    int r = wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_element, reading, err);
    if (r < 0) return wisp_err_wrap(err, "the server's list");
    if (reading->has_too_many || (reading->is_truncated && reading->token.len == 0))
        return wisp_err_set(err, WISP_ERR_INVALID, "the server's list contradicts itself");
    for (size_t i = 0; i < reading->n; i++) {
        struct wisp_str name = reading->is_encoded ? wisp_rest_decode(reading->names[i]) : reading->names[i];
        if (name.len && wisp_str_is_utf8(name)) reading->names[n++] = name;
    }
    *ret_page = (struct wisp_rest_page){.names = {reading->names, n}};
    if (reading->is_truncated) ret_page->token = reading->token;
    return 0;
}
