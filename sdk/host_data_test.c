/* SPDX-License-Identifier: Apache-2.0 */
#include "host_data.h"
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

static char *line_of(const char *json)
{
    struct wisp_buf line = {0};
    wisp_base64_encode(wisp_str_from(json), &line);
    wisp_buf_append(&line, "\r\n", 3);
    return line.data;
}

static int parse(const char *json, struct wisp_host_data *data, struct wisp_err *err)
{
    WISP_CLEANUP_FREE char *line = line_of(json);
    return wisp_host_data_parse(wisp_str_from(line), data, err);
}

#define LEAST "\"host_id\":\"N1\",\"lattice_rpc_prefix\":\"l\",\"provider_key\":\"p\""

TEST(fields_and_defaults)
{
    struct wisp_host_data data;
    struct wisp_err err;
    CHECK_OK(parse("{" LEAST "}", &data, &err), &err);
    CHECK_TEXT(data.host_id, "N1");
    CHECK_TEXT(data.lattice, "l");
    CHECK_TEXT(data.provider_id, "p");
    CHECK_TEXT(data.bus_url, "nats://127.0.0.1:4222");
    CHECK_TEXT(data.bus_socket, "");
    CHECK_TEXT(data.bus_jwt, "");
    CHECK(!data.has_xkeys && !data.config && !data.is_log_structured);
    CHECK_INT(data.log_level, WISP_LOG_INFO);
    wisp_host_data_deinit(&data);

    CHECK_OK(parse("{" LEAST ",\"lattice_rpc_url\":\"nats://x:1\",\"wisp_rpc_socket\":\"/run/s\","
                   "\"structured_logging\":true,\"log_level\":\"trace\","
                   "\"config\":{\"a\":\"b\"},\"link_definitions\":[1]}",
                   &data, &err),
             &err);
    CHECK_TEXT(data.bus_url, "nats://x:1");
    CHECK_TEXT(data.bus_socket, "/run/s");
    CHECK(data.is_log_structured);
    CHECK_INT(data.log_level, WISP_LOG_DEBUG);
    CHECK_INT(json_array_size(data.links), 1);
    wisp_host_data_deinit(&data);
}

static void check_refused(const char *json, const char *words)
{
    struct wisp_host_data data;
    struct wisp_err err;
    CHECK_FAILS(parse(json, &data, &err), INVALID);
    CHECK_HAS(err.text, words);
}

TEST(what_is_wrong)
{
    struct wisp_host_data data;
    struct wisp_err err;
    CHECK_FAILS(wisp_host_data_parse(WISP_STR("not base64!"), &data, &err), INVALID);
    CHECK_TEXT(err.text, "host data is no base64");
    check_refused("", "host data: not valid JSON");
    check_refused("[]", "host data is no object");
    check_refused("{}", "no `host_id`");
    check_refused("{\"host_id\":\"N\",\"lattice_rpc_prefix\":\"l\"}", "no `provider_key`");
    check_refused("{\"host_id\":\"a\\u0000b\",\"lattice_rpc_prefix\":\"l\"}", "`host_id` contains NUL");
    check_refused("{" LEAST ",\"provider_xkey_private_key\":\"SXNO\",\"host_xkey_public_key\":\"X\"}",
                  "`provider_xkey_private_key`");
}

struct pair {
    struct wisp_nkey host, provider;
    struct wisp_host_data data;
    struct wisp_err err;
};

static void pair_init(struct pair *pair)
{
    char seed[WISP_NKEY_SEED_LEN + 1], public[WISP_NKEY_PUBLIC_LEN + 1], json[512];
    wisp_nkey_generate(&pair->host, WISP_NKEY_CURVE);
    wisp_nkey_generate(&pair->provider, WISP_NKEY_CURVE);
    wisp_nkey_seed_text(&pair->provider, seed);
    wisp_nkey_public_text(&pair->host, public);
    snprintf(json, sizeof json, "{" LEAST ",\"provider_xkey_private_key\":\"%s\",\"host_xkey_public_key\":\"%s\"}",
             seed, public);
    CHECK_OK(parse(json, &pair->data, &pair->err), &pair->err);
    CHECK(pair->data.has_xkeys);
    wisp_nkey_public_text(&pair->provider, public);
    CHECK_TEXT(pair->data.xkey_public, public);
}

static json_t *seal(struct pair *pair, const char *text)
{
    WISP_CLEANUP_BUF struct wisp_buf sealed = {0};
    wisp_xkey_seal(&pair->host, pair->provider.public, wisp_str_from(text), &sealed);
    json_t *numbers = json_array();
    for (size_t i = 0; i < sealed.len; i++) json_array_append_new(numbers, json_integer((uint8_t)sealed.data[i]));
    return numbers;
}

static json_t *link_with(const char *target, json_t *secrets)
{
    return json_pack("{s:s, s:s, s:o, s:[i]}", "source_id", "app", "target", target, "target_secrets", secrets,
                     "source_secrets", 1);
}

static int open_link(struct pair *pair, json_t *link, json_t **ret_opened)
{
    int r = wisp_host_data_open_link(&pair->data, link, ret_opened, &pair->err);
    json_decref(link);
    return r;
}

TEST(links_are_opened)
{
    struct pair pair;
    json_t *opened;
    pair_init(&pair);
    json_t *link = link_with("p", seal(&pair, "{\"password\":{\"kind\":\"String\",\"value\":\"s3cret\"}}"));
    CHECK_OK(open_link(&pair, link, &opened), &pair.err);
    const json_t *secret = json_object_get(json_object_get(opened, "target_secrets"), "password");
    CHECK_STR(wisp_json_str(secret, "value"), "s3cret");
    CHECK(!json_object_get(opened, "source_secrets"));
    json_decref(opened);

    CHECK_OK(open_link(&pair, link_with("p", json_null()), &opened), &pair.err);
    CHECK(!json_object_get(opened, "target_secrets"));
    json_decref(opened);
    wisp_host_data_deinit(&pair.data);
}

TEST(links_that_cannot_be_opened)
{
    struct pair pair, other;
    json_t *opened;
    pair_init(&pair);
    pair_init(&other);
    CHECK_FAILS(open_link(&pair, link_with("p", seal(&other, "{}")), &opened), DENIED);
    CHECK_FAILS(open_link(&pair, link_with("p", seal(&pair, "s3cret")), &opened), INVALID);
    CHECK_TEXT(pair.err.text, "link from `app` to `p`: sealed secrets are no JSON");
    CHECK_FAILS(open_link(&pair, link_with("p", json_pack("[i]", 256)), &opened), INVALID);
    CHECK_FAILS(open_link(&pair, link_with("p", json_array()), &opened), INVALID);
    CHECK_FAILS(open_link(&pair, link_with("p", json_string("clear")), &opened), INVALID);
    CHECK_FAILS(open_link(&pair, json_array(), &opened), INVALID);
    wisp_host_data_deinit(&other.data);
    wisp_host_data_deinit(&pair.data);
}

/* --- reading --- */

static int read_from_pipe(const char *bytes, size_t size, struct wisp_buf *line, struct wisp_err *err)
{
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    if (fork() == 0) {
        close(fds[0]);
        for (size_t at = 0; at < size;) {
            ssize_t n = write(fds[1], bytes + at, size - at);
            if (n < 0) break;
            at += (size_t)n;
        }
        _exit(0);
    }
    close(fds[1]);
    int r = wisp_host_data_read(fds[0], line, err);
    close(fds[0]);
    return r;
}

TEST(the_line)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0}, more = {0}, none = {0}, large = {0};
    struct wisp_err err;
    CHECK_OK(read_from_pipe("abc\r\nrest", 9, &line, &err), &err);
    CHECK_STR(wisp_buf_str(&line), "abc\r");
    CHECK_OK(read_from_pipe("abc", 3, &more, &err), &err);
    CHECK_STR(wisp_buf_str(&more), "abc");
    CHECK_FAILS(read_from_pipe(" \r\n", 3, &none, &err), INVALID);
    CHECK_FAILS(read_from_pipe("", 0, &none, &err), INVALID);
    CHECK_HAS(err.text, "no host data on standard input");
    size_t size = 100 << 20;
    WISP_CLEANUP_FREE char *bytes = malloc(size);
    memset(bytes, 'A', size);
    CHECK_FAILS(read_from_pipe(bytes, size, &large, &err), LIMIT);
    CHECK(large.len < (size_t)WISP_HOST_DATA_LINE_MAX + 65536 + 1);
}
