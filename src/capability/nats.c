/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/nats.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    URLS_MAX = 32,
    NAME_MAX_LEN = 200,
};

/* The client takes files only. */
static int keep_ca(struct wisp_nats_connection *connection, struct wisp_str pem, char path[64], struct wisp_err *err)
{
    connection->ca_fd = memfd_create("tls_ca", MFD_CLOEXEC);
    if (connection->ca_fd < 0 || write(connection->ca_fd, pem.ptr, pem.len) != (ssize_t)pem.len)
        return wisp_err_os(err, errno, "`tls_ca`");
    snprintf(path, 64, "/proc/self/fd/%d", connection->ca_fd);
    return 0;
}

static size_t split_urls(struct wisp_str list, struct wisp_arena *arena, const char *urls[URLS_MAX])
{
    size_t n = 0;
    for (bool is_more = true; is_more && n < URLS_MAX;) {
        struct wisp_str url = list, rest = {0};
        is_more = wisp_str_split(list, ',', &url, &rest);
        list = rest;
        while (url.len && url.ptr[0] == ' ') url.ptr++, url.len--;
        while (url.len && url.ptr[url.len - 1] == ' ') url.len--;
        if (url.len) urls[n++] = wisp_arena_cstr(arena, url);
    }
    return n;
}

static const char *text_of(const struct wisp_settings *settings, const char *key, struct wisp_arena *arena)
{
    struct wisp_str value = wisp_settings_get(settings, key);
    return value.len ? wisp_arena_cstr(arena, value) : NULL;
}

int wisp_nats_connect(struct wisp_nats_connection *connection, uv_loop_t *loop, const struct wisp_settings *settings,
                      const char *name, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const char *urls[URLS_MAX];
    char ca_path[64];
    struct wisp_str ca = wisp_settings_get(settings, "tls_ca");
    struct wisp_bus_client_options options = {
        .urls = urls,
        .n_urls = split_urls(wisp_settings_get(settings, "cluster_uri"), &arena, urls),
        .name = name,
        .jwt = text_of(settings, "client_jwt", &arena),
        .seed = text_of(settings, "client_seed", &arena),
        .tls.ca_path = text_of(settings, "tls_ca_file", &arena),
    };
    *connection = WISP_NATS_NO_CONNECTION;
    if (options.jwt && !options.seed) return wisp_err_set(err, WISP_ERR_INVALID, "`client_jwt` needs `client_seed`");
    if (ca.len) {
        int r = keep_ca(connection, ca, ca_path, err);
        if (r < 0) return r;
        options.tls.ca_path = ca_path;
    }
    options.tls.is_required = options.tls.ca_path != NULL;
    int r = wisp_bus_client_new(&connection->bus, loop, &options, err);
    return r < 0 ? wisp_err_wrap(err, "`cluster_uri`") : 0;
}

void wisp_nats_disconnect(struct wisp_nats_connection *connection)
{
    wisp_bus_client_free(WISP_TAKE(connection->bus));
    if (connection->ca_fd >= 0) close(connection->ca_fd);
    connection->ca_fd = -1;
}

bool wisp_nats_is_name(struct wisp_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i], lower = (char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-') return false;
    }
    return name.len > 0 && name.len <= NAME_MAX_LEN;
}
