/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of lists. */
#include "capability/blobstore/azure_priv.h"

void wisp_azure_ask_page(struct wisp_rest_call *call, struct wisp_str token)
{
    wisp_rest_call_param(call, "comp", WISP_STR("list"));
    if (token.len) wisp_rest_call_param(call, "marker", token);
    wisp_rest_call_param(call, "maxresults", WISP_STR("1000"));
}

struct reading {
    struct wisp_str names[WISP_REST_PAGE];
    size_t n;
    bool has_too_many;
    struct wisp_str token;
};

static void on_element(const struct wisp_xml_element *element, void *env)
{
    struct reading *reading = env;
    if (wisp_xml_is(element, "EnumerationResults", "NextMarker")) reading->token = element->text;
    if (!wisp_xml_is(element, "Blob", "Name") || element->text.len == 0) return;
    if (reading->n == WISP_REST_PAGE)
        reading->has_too_many = true;
    else
        reading->names[reading->n++] = element->text;
}

int wisp_azure_read_page(struct wisp_rest_call *call, struct wisp_rest_page *ret_page, struct wisp_err *err)
{
    struct reading *reading = WISP_NEW(&call->arena, struct reading);
    int r = wisp_xml_read(wisp_buf_str(&call->answer), &call->arena, on_element, reading, err);
    if (r < 0) return wisp_err_wrap(err, "the server's list");
    if (reading->has_too_many) return wisp_err_set(err, WISP_ERR_INVALID, "the server's list is longer than asked for");
    *ret_page = (struct wisp_rest_page){.names = {reading->names, reading->n}, .token = reading->token};
    return 0;
}
