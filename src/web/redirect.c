/* SPDX-License-Identifier: Apache-2.0 */
#include "web/web_priv.h"

#include <stdlib.h>

enum { REDIRECTS_MAX = 5 };

bool wisp_web_is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

struct origin {
    char *scheme, *host, *port;
};

static void origin_deinit(struct origin *origin)
{
    curl_free(origin->scheme);
    curl_free(origin->host);
    curl_free(origin->port);
}

static bool origin_of(const char *text, struct origin *ret_origin)
{
    CURLU *url = curl_url();
    bool ok = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_SCHEME, &ret_origin->scheme, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_HOST, &ret_origin->host, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_PORT, &ret_origin->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    curl_url_cleanup(url);
    return ok;
}

static bool same(const char *a, const char *b) { return wisp_str_equal_nocase(wisp_str_from(a), wisp_str_from(b)); }

int wisp_web_turn_to(struct wisp_web_request *request, const char *target, struct wisp_err *err)
{
    __attribute__((cleanup(origin_deinit))) struct origin from = {0}, to = {0};
    if (request->n_redirects++ == REDIRECTS_MAX)
        return wisp_err_set(err, WISP_ERR_DENIED, "more than %d redirects", REDIRECTS_MAX);
    if (!origin_of(request->ask.url, &from) || !origin_of(target, &to) ||
        (!same(to.scheme, "https") && !same(to.scheme, "http")))
        return wisp_err_set(err, WISP_ERR_DENIED, "redirected to something that is no URL of http or https");
    if (same(from.scheme, "https") && !same(to.scheme, "https"))
        return wisp_err_set(err, WISP_ERR_DENIED, "redirected from https to %s", to.scheme);
    if (request->ask.authorization &&
        !(same(from.scheme, to.scheme) && same(from.host, to.host) && same(from.port, to.port))) {
        wisp_mem_wipe((char *)(uintptr_t)request->ask.authorization);
        request->ask.authorization = NULL;
    }
    free((char *)(uintptr_t)request->ask.url);
    request->ask.url = wisp_mem_dup(wisp_str_from(target));
    return 0;
}
