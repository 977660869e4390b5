/* SPDX-License-Identifier: Apache-2.0 */
#include "host_data.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* --- the line --- */

int wisp_host_data_read(int fd, struct wisp_buf *ret_line, struct wisp_err *err)
{
    for (;;) {
        char *at = wisp_buf_reserve(ret_line, 65536);
        ssize_t n = read(fd, at, 65536);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "read standard input");
        const char *end = n > 0 ? memchr(at, '\n', (size_t)n) : NULL;
        ret_line->len += end ? (size_t)(end - at) : (size_t)n;
        if (ret_line->len > WISP_HOST_DATA_LINE_MAX)
            return wisp_err_set(err, WISP_ERR_LIMIT, "host data on standard input is longer than %d bytes",
                                WISP_HOST_DATA_LINE_MAX);
        if (end || n == 0) break;
    }
    if (wisp_str_trim(wisp_buf_str(ret_line)).len > 0) return 0;
    return wisp_err_set(err, WISP_ERR_INVALID, "there is no host data on standard input");
}

/* --- its fields --- */

static int take_text(const json_t *json, const char *key, const char *otherwise, const char **ret_text,
                     struct wisp_err *err)
{
    struct wisp_str text = wisp_json_str(json, key);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len))
        return wisp_err_set(err, WISP_ERR_INVALID, "host data: `%s` contains NUL", key);
    *ret_text = text.len > 0 ? text.ptr : otherwise;
    return *ret_text ? 0 : wisp_err_set(err, WISP_ERR_INVALID, "host data: there is no `%s`", key);
}

static int take_texts(struct wisp_host_data *data, struct wisp_err *err)
{
    const struct {
        const char *key, *otherwise, **to;
    } fields[] = {
        {"host_id", NULL, &data->host_id},
        {"lattice_rpc_prefix", NULL, &data->lattice},
        {"provider_key", NULL, &data->provider_id},
        {"lattice_rpc_url", "nats://127.0.0.1:4222", &data->bus_url},
        {"wisp_spans_subject", "", &data->spans_subject},
        {"wisp_rpc_socket", "", &data->bus_socket},
        {"lattice_rpc_user_jwt", "", &data->bus_jwt},
        {"lattice_rpc_user_seed", "", &data->bus_seed},
    };
    for (size_t i = 0; i < WISP_COUNT(fields); i++) {
        int r = take_text(data->json, fields[i].key, fields[i].otherwise, fields[i].to, err);
        if (r < 0) return r;
    }
    return 0;
}

/* Hosts before 1.1 have none. */
static int take_xkeys(struct wisp_host_data *data, struct wisp_err *err)
{
    struct wisp_str seed = wisp_json_str(data->json, "provider_xkey_private_key");
    struct wisp_str host = wisp_json_str(data->json, "host_xkey_public_key");
    enum wisp_nkey_kind kind;
    if (seed.len == 0 || host.len == 0) return 0;
    int r = wisp_nkey_from_seed(seed, &data->xkey, err);
    if (r < 0) return wisp_err_wrap(err, "host data: `provider_xkey_private_key`");
    if (data->xkey.kind != WISP_NKEY_CURVE)
        return wisp_err_set(err, WISP_ERR_INVALID, "host data: `provider_xkey_private_key` is no curve key");
    r = wisp_nkey_parse_public(host, &kind, data->host_xkey, err);
    if (r < 0) return wisp_err_wrap(err, "host data: `host_xkey_public_key`");
    if (kind != WISP_NKEY_CURVE)
        return wisp_err_set(err, WISP_ERR_INVALID, "host data: `host_xkey_public_key` is no curve key");
    wisp_nkey_public_text(&data->xkey, data->xkey_public);
    data->has_xkeys = true;
    return 0;
}

static enum wisp_log_level level_of(struct wisp_str text)
{
    static const struct {
        struct wisp_str name;
        enum wisp_log_level level;
    } levels[] = {{WISP_STR_INIT("critical"), WISP_LOG_ERROR}, {WISP_STR_INIT("error"), WISP_LOG_ERROR},
                  {WISP_STR_INIT("warn"), WISP_LOG_WARN},      {WISP_STR_INIT("info"), WISP_LOG_INFO},
                  {WISP_STR_INIT("debug"), WISP_LOG_DEBUG},    {WISP_STR_INIT("trace"), WISP_LOG_DEBUG}};
    for (size_t i = 0; i < WISP_COUNT(levels); i++)
        if (wisp_str_equal_nocase(text, levels[i].name)) return levels[i].level;
    return WISP_LOG_INFO;
}

static int decode(struct wisp_str line, json_t **ret_json, struct wisp_err *err)
{
    WISP_CLEANUP_WIPE struct wisp_buf text = {0};
    int r = wisp_base64_decode(wisp_str_trim(line), &text, NULL);
    if (r < 0) return wisp_err_set(err, WISP_ERR_INVALID, "host data is no base64");
    r = wisp_json_parse(wisp_buf_str(&text), ret_json, err);
    if (r < 0) {
        wisp_err_wrap(err, "host data");
        return r;
    }
    if (json_is_object(*ret_json)) return 0;
    wisp_json_freep(ret_json);
    return wisp_err_set(err, WISP_ERR_INVALID, "host data is no object");
}

static int take_fields(struct wisp_host_data *data, struct wisp_err *err)
{
    int r = take_texts(data, err);
    if (r == 0) r = take_xkeys(data, err);
    if (r < 0) return r;
    data->config = json_object_get(data->json, "config");
    data->secrets = json_object_get(data->json, "secrets");
    data->links = json_object_get(data->json, "link_definitions");
    data->is_log_structured = wisp_json_bool(data->json, "structured_logging", false);
    data->log_level = level_of(wisp_json_str(data->json, "log_level"));
    return 0;
}

int wisp_host_data_parse(struct wisp_str line, struct wisp_host_data *ret_data, struct wisp_err *err)
{
    struct wisp_host_data data = {0};
    int r = decode(line, &data.json, err);
    if (r == 0) r = take_fields(&data, err);
    if (r < 0) {
        wisp_host_data_deinit(&data);
        return r;
    }
    *ret_data = data;
    return 0;
}

void wisp_host_data_deinit(struct wisp_host_data *data)
{
    json_decref(data->json);
    wisp_nkey_wipe(&data->xkey);
    *data = (struct wisp_host_data){0};
}

/* --- links --- */

static int take_bytes(const json_t *numbers, struct wisp_buf *out, struct wisp_err *err)
{
    size_t n = json_array_size(numbers);
    char *at = wisp_buf_reserve(out, n + 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *number = json_array_get(numbers, i);
        json_int_t value = json_integer_value(number);
        if (!json_is_integer(number) || value < 0 || value > 255)
            return wisp_err_set(err, WISP_ERR_INVALID, "sealed secrets are no bytes");
        at[i] = (char)value;
    }
    out->len += n;
    return 0;
}

static int open_secrets(const struct wisp_host_data *data, const json_t *numbers, json_t **ret_secrets,
                        struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf sealed = {0};
    WISP_CLEANUP_WIPE struct wisp_buf text = {0};
    if (!data->has_xkeys) return wisp_err_set(err, WISP_ERR_INVALID, "sealed secrets, but host data had no keys");
    int r = take_bytes(numbers, &sealed, err);
    if (r == 0) r = wisp_xkey_open(&data->xkey, data->host_xkey, wisp_buf_str(&sealed), &text, err);
    if (r < 0) return r;
    /* Not the parser's words: they may show a piece of the text. */
    r = wisp_json_parse(wisp_buf_str(&text), ret_secrets, NULL);
    return r < 0 ? wisp_err_set(err, WISP_ERR_INVALID, "sealed secrets are no JSON") : 0;
}

int wisp_host_data_open_link(const struct wisp_host_data *data, const json_t *link, json_t **ret_link,
                             struct wisp_err *err)
{
    if (!json_is_object(link)) return wisp_err_set(err, WISP_ERR_INVALID, "a link that is no object");
    bool is_source = wisp_str_is(wisp_json_str(link, "source_id"), data->provider_id);
    const char *key = is_source ? "source_secrets" : "target_secrets";
    const json_t *sealed = json_object_get(link, key);
    json_t *secrets = NULL;
    if (sealed && !json_is_null(sealed)) {
        int r = json_is_array(sealed) ? open_secrets(data, sealed, &secrets, err)
                                      : wisp_err_set(err, WISP_ERR_INVALID, "secrets that are not sealed");
        if (r < 0)
            return wisp_err_wrap(err, "link from `%.*s` to `%.*s`", WISP_STR_ARG(wisp_json_str(link, "source_id")),
                                 WISP_STR_ARG(wisp_json_str(link, "target")));
    }
    json_t *opened = json_copy((json_t *)(uintptr_t)link);
    json_object_del(opened, "source_secrets");
    json_object_del(opened, "target_secrets");
    if (secrets) json_object_set_new(opened, key, secrets);
    *ret_link = opened;
    return 0;
}
