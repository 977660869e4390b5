/* SPDX-License-Identifier: Apache-2.0 */
/* The http-server provider as a program of its own: requests from outside go to components that it is linked to.
 * (Within a host the workers do this without a hop: image wisp://http-server.)
 *
 *     listener ── one for each address ── routes ── one for each link; requests in flight keep theirs
 *
 * By address: the first route of a listener gets all its requests. By path: there is one listener, and each route has a
 * path that must be the request's. */
#pragma once

#include "base/ring.h"
#include "http/site.h"
#include "provider/provider.h"
#include "wrpc/http.h"

extern const struct wisp_provider_kind wisp_http_front_kind;

/* --- listener.c --- */

/* State of an instance. */
struct wisp_http_front {
    struct wisp_provider *provider; /* until it is closed */
    struct wisp_link listeners;     /* also those that stop */
    struct wisp_link requests;
    struct wisp_http_listening *by_path; /* NULL: by address */
    bool is_draining, is_closed;
};

struct wisp_http_route {
    unsigned n_refs; /* its link's, its requests' */
    struct wisp_arena arena;
    struct wisp_str target, name, path;
    struct wisp_http_site site;
    struct wisp_http_tls *tls;             /* NULL: plain */
    struct wisp_http_listening *listening; /* NULL: none (any more) */
    struct wisp_link link;
};
void wisp_http_route_unref(struct wisp_http_route *route);

/* That at an address ("127.0.0.1:8000"), which is opened if there is none. */
int wisp_http_front_listen(struct wisp_http_front *front, struct wisp_str address, struct wisp_http_tls *tls,
                           struct wisp_http_listening **ret_listening, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Behind the one for the same component and link name if there is one, which it replaces then; else at the end. */
void wisp_http_front_add(struct wisp_http_listening *listening, struct wisp_http_route *route);
/* The last one of a listener that is not by path ends it; requests in flight are finished. */
void wisp_http_front_remove(struct wisp_http_route *route);
/* EXISTS when another component or link has the path. */
int wisp_http_front_check_path(const struct wisp_http_front *front, const struct wisp_http_route *route,
                               struct wisp_err *err) __attribute__((warn_unused_result));
/* No more requests. */
void wisp_http_front_drain(struct wisp_http_front *front);
/* Ends all at once and is freed when its handles are. */
void wisp_http_front_close(struct wisp_http_front *front);

/* --- settings.c --- */

/* Settings as site.h wants them: keys in lower case; config_json, config_b64 instead of all others. The caller owes
 * a json_decref. */
int wisp_http_settings_read(const struct wisp_settings *settings, json_t **ret_object, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Site and TLS of a route. */
int wisp_http_route_read(struct wisp_http_route *route, const json_t *settings, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_http_address_parse(struct wisp_str text, char *ret_host, size_t host_size, uint16_t *ret_port,
                            struct wisp_err *err) __attribute__((warn_unused_result));
