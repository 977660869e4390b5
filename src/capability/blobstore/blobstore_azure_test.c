/* SPDX-License-Identifier: Apache-2.0 */
/* Against a server that is told what to answer; and, when WISP_AZURE_ENDPOINT names one with an account (tests/e2e
 * starts it), what every kind must do against a real one. */
#include "capability/blobstore/azure_priv.h"
#include "capability/blobstore/rest_rig.h"

/* --- signatures --- */

static void check_signature(struct wisp_azure_to_sign what, struct wisp_rest_headers headers, const char *signature)
{
    static const struct wisp_azure_config config = {.account = "myaccount", .key = WISP_STR_INIT("secret")};
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    what.headers = &headers;
    wisp_azure_sign(&config, &what, &out);
    CHECK_STR(wisp_buf_str(&out), signature);
}

TEST(signatures)
{
    /* The text to sign is an example of Azure's documentation. */
    check_signature(
        (struct wisp_azure_to_sign){.method = "GET",
                                    .path = WISP_STR("/mycontainer"),
                                    .query = WISP_STR("comp=metadata&restype=container&timeout=20")},
        (struct wisp_rest_headers){{{"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}, {"x-ms-version", "2015-02-21"}}, 2},
        "SharedKey myaccount:u782AEZSCdPgGXSvCImAdStQSg/O3eLX2iiw+7vs9ws=");
    check_signature(
        (struct wisp_azure_to_sign){
            .method = "PUT", .path = WISP_STR("/my/a%20b"), .query = WISP_STR("blockid=YQ%3D%3D"), .body_size = 11},
        (struct wisp_rest_headers){{{"content-type", "text/plain"},
                                    {"range", "bytes=0-9"},
                                    {"x-ms-blob-type", "BlockBlob"},
                                    {"x-ms-date", "Sun, 20 Nov 2011 17:13:24 GMT"}},
                                   4},
        "SharedKey myaccount:5dsGGVBql3eOWjFvBvSlQH9OeAtWXRCpALYiS6Q8lzY=");
}

/* --- settings --- */

static int read_config(struct wisp_arena *arena, const char *account, const char *key, const char *location,
                       struct wisp_azure_config *config, struct wisp_err *err)
{
    const struct wisp_setting list[] = {{WISP_STR("storage_access_key"), wisp_str_from(key), true},
                                        {WISP_STR("STORAGE_ACCOUNT"), wisp_str_from(account), false},
                                        {WISP_STR("CLOUD_LOCATION"), wisp_str_from(location), false}};
    return wisp_azure_config_read(&(struct wisp_settings){list, *location ? 3 : 2}, arena, config, err);
}

TEST(settings)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_azure_config config = {0};
    struct wisp_err err = {0};
    CHECK_OK(read_config(&arena, "acct", "c2VjcmV0", "", &config, &err), &err);
    CHECK_TEXT(config.account, "acct");
    CHECK_STR(config.key, "secret");
    CHECK_TEXT(config.endpoint.origin, "https://acct.blob.core.windows.net");
    CHECK_TEXT(config.endpoint.base_path, "");
    CHECK_OK(read_config(&arena, "acct", "c2VjcmV0", "http://127.0.0.1:10000/acct", &config, &err), &err);
    CHECK_TEXT(config.endpoint.origin, "http://127.0.0.1:10000");
    CHECK_TEXT(config.endpoint.base_path, "/acct");
}

TEST(settings_that_can_not_be)
{
    static const char *const bad[][4] = {
        {"", "c2VjcmV0", "", "`STORAGE_ACCOUNT`"},
        {"acct/x", "c2VjcmV0", "", "`STORAGE_ACCOUNT`"},
        {"acct", "", "", "`storage_access_key` is missing"},
        {"acct", "HUSH!", "", "`storage_access_key` is no base64"},
        {"acct", "c2VjcmV0", "ftp://x", "`CLOUD_LOCATION`"},
        {"acct", "c2VjcmV0", "https://x/?sig=HUSH", "`CLOUD_LOCATION`"},
    };
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        struct wisp_azure_config config = {0};
        struct wisp_err err = {0};
        CHECK(read_config(&arena, bad[i][0], bad[i][1], bad[i][2], &config, &err) < 0);
        CHECK_HAS(err.text, bad[i][3]);
        CHECK(!strstr(err.text, "HUSH"));
    }
}

/* --- a server with a script --- */

static void server_open(struct server *server, void (*script)(struct server *server))
{
    static const char *const config[] = {
        "{\"STORAGE_ACCOUNT\": \"acct\", \"STORAGE_ACCESS_KEY\": \"c2VjcmV0\", "
        "\"CLOUD_LOCATION\": \"http://127.0.0.1:",
        "/acct\"}",
    };
    server_start(server, &wisp_blobstore_azure, "\r\nAuthorization: SharedKey acct:", config, script);
}

static void answer_errors(struct server *server)
{
    answer(server, "GET /acct/c/a%20b%2B ", "403 Forbidden",
           "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code>"
           "<Message>not you\nRequestId:1</Message></Error>");
    answer(server, "PUT /acct/c?restype=container ", "409 Conflict",
           "<Error><Code>ContainerBeingDeleted</Code><Message>later</Message></Error>");
    answer(server, "GET /acct/c?comp=list&maxresults=1000&restype=container ", "200 OK", "<EnumerationResults><Blo");
    CHECK(hear(server));
    say(server, "HTTP/1.1 404 Not Found\r\nx-ms-error-code: ContainerNotFound\r\nContent-Length: 0\r\n\r\n");
}

TEST(answers_that_are_errors)
{
    struct server server;
    union rig_result result;
    server_open(&server, answer_errors);
    CHECK_TEXT(get_text(&server.rig, "c", "a b+"), "container `c`: AuthenticationFailed: not you");
    CHECK_TEXT(container_do(&server.rig, WISP_BLOBSTORE_CREATE_CONTAINER, "c"),
               "container `c`: ContainerBeingDeleted: later");
    CHECK_HAS(list(&server.rig, "c", -1, -1), "the server's list: XML, byte");
    CHECK_TEXT(object_do(&server.rig, WISP_BLOBSTORE_GET_OBJECT_INFO, "c", "o", &result),
               "container `c` does not exist");
    server_close(&server);
}

static void list_pages(struct server *server)
{
    answer(server, "GET /acct/c?comp=list&maxresults=1000&restype=container ", "200 OK",
           "<EnumerationResults><Blobs><Blob><Name>a&amp;</Name><Properties><Etag>x</Etag></Properties></Blob></Blobs>"
           "<NextMarker>m/1</NextMarker></EnumerationResults>");
    answer(server, "GET /acct/c?comp=list&marker=m%2F1&maxresults=1000&restype=container ", "200 OK",
           "<EnumerationResults><Blobs /><NextMarker>m2</NextMarker></EnumerationResults>");
    answer(server, "&marker=m2&", "200 OK",
           "<EnumerationResults><Blobs><Blob><Name>b</Name></Blob></Blobs><NextMarker /></EnumerationResults>");
}

TEST(lists_of_several_pages)
{
    struct server server;
    server_open(&server, list_pages);
    CHECK_TEXT(list(&server.rig, "c", -1, -1), "a& b");
    server_close(&server);
}

static void list_in_circles(struct server *server)
{
    for (int i = 0; i < 4; i++)
        answer(server, i % 2 ? "&marker=m&" : "GET /acct/c?comp=list&maxresults=", "200 OK",
               "<EnumerationResults><Blobs /><NextMarker>m</NextMarker></EnumerationResults>");
}

TEST(a_list_that_does_not_go_on)
{
    struct server server;
    server_open(&server, list_in_circles);
    CHECK_TEXT(list(&server.rig, "c", -1, -1), "the server's list does not go on");
    CHECK_TEXT(container_do(&server.rig, WISP_BLOBSTORE_CLEAR_CONTAINER, "c"), "the server's list does not go on");
    server_close(&server);
}

/* --- copies that take their time --- */

static void say_copying(struct server *server, const char *words, const char *status)
{
    char text[200];
    CHECK(hear(server));
    CHECK_HAS(server->heard, words);
    snprintf(text, sizeof text, "HTTP/1.1 202 Accepted\r\nx-ms-copy-status: %s\r\nContent-Length: 0\r\n\r\n", status);
    say(server, text);
}

static void copy_slowly(struct server *server)
{
    say_copying(server, "PUT /acct/d/z ", "pending");
    CHECK_HAS(server->heard, "\r\nx-ms-copy-source: http://127.0.0.1:");
    CHECK_HAS(server->heard, "/acct/c/x%20y\r\n");
    say_copying(server, "HEAD /acct/d/z ", "pending");
    say_copying(server, "HEAD /acct/d/z ", "success");
    answer(server, "DELETE /acct/c/x%20y ", "202 Accepted", "");
    CHECK_HAS(server->heard, "\r\nx-ms-delete-snapshots: include\r\n");
    say_copying(server, "PUT /acct/d/z ", "aborted");
}

TEST(copies_that_take_their_time)
{
    struct server server;
    server_open(&server, copy_slowly);
    CHECK_TEXT(ids_do(&server.rig, WISP_BLOBSTORE_MOVE_OBJECT, id_of("c", "x y"), id_of("d", "z")), "");
    CHECK_TEXT(ids_do(&server.rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("c", "x y"), id_of("d", "z")),
               "container `d`: the server's copying ended as `aborted`");
    server_close(&server);
}

/* --- names --- */

static void nobody(struct server *server) { (void)server; }

/* Above all no name that is none may become a request about the whole container. */
TEST(names_that_can_not_be)
{
    struct server server;
    union rig_result result;
    struct wisp_str none = WISP_STR("");
    server_open(&server, nobody);
    CHECK_HAS(delete_many(&server.rig, "c", &none, 1), "needs a name");
    CHECK_HAS(object_do(&server.rig, WISP_BLOBSTORE_DELETE_OBJECT, "c", "", &result), "needs a name");
    CHECK_HAS(write_text(&server.rig, "c", "", "x"), "needs a name");
    CHECK_HAS(container_do(&server.rig, WISP_BLOBSTORE_DELETE_CONTAINER, ".."), "can't have this name");
    CHECK_HAS(ids_do(&server.rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("..", "x"), id_of("c", "x")),
              "can't have this name");
    server_close(&server);
}

/* --- a real server --- */

static void real_open(struct rig *rig)
{
    const char *endpoint = getenv("WISP_AZURE_ENDPOINT"), *account = getenv("WISP_AZURE_ACCOUNT");
    const char *key = getenv("WISP_AZURE_KEY");
    char config[400];
    if (!endpoint || !account || !key) wisp_test_skip("WISP_AZURE_ENDPOINT names no server");
    rig_open(rig, &wisp_blobstore_azure, NULL);
    snprintf(config, sizeof config,
             "{\"STORAGE_ACCOUNT\": \"%s\", \"STORAGE_ACCESS_KEY\": \"%s\", \"CLOUD_LOCATION\": \"%s\"}", account, key,
             endpoint);
    rig_link(rig, "app", config, 0);
}

#define ON_REAL(name, call)                                                                                            \
    TEST(real_##name)                                                                                                  \
    {                                                                                                                  \
        struct rig rig;                                                                                                \
        real_open(&rig);                                                                                               \
        call;                                                                                                          \
        rig_close(&rig);                                                                                               \
    }
ON_REAL(containers, suite_containers(&rig))
ON_REAL(objects, suite_objects(&rig))
ON_REAL(copies, suite_copies(&rig))
ON_REAL(lists, suite_lists(&rig))
ON_REAL(uploads_that_are_broken_off, suite_broken(&rig, 20 << 20))
ON_REAL(links_that_go, suite_link_gone(&rig, 20 << 20))

TEST(real_wrong_keys)
{
    struct rig rig;
    char config[400];
    real_open(&rig);
    snprintf(config, sizeof config,
             "{\"STORAGE_ACCOUNT\": \"%s\", \"STORAGE_ACCESS_KEY\": \"c2VjcmV0\", \"CLOUD_LOCATION\": \"%s\"}",
             getenv("WISP_AZURE_ACCOUNT"), getenv("WISP_AZURE_ENDPOINT"));
    rig_link(&rig, "app", config, 0);
    CHECK_HAS(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "mine"), "AuthorizationFailure");
    rig_close(&rig);
}

TEST(real_times)
{
    struct rig rig;
    union rig_result result;
    struct wisp_blobstore_name_args name = {WISP_STR("times")};
    uint64_t before = (uint64_t)time(NULL) - 60;
    real_open(&rig);
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "times"), "");
    CHECK_TEXT(rig_call(&rig, "app", WISP_BLOBSTORE_GET_CONTAINER_INFO, &name, &result), "");
    CHECK(result.container.created_at > before);
    CHECK_TEXT(write_text(&rig, "times", "a", "x"), "");
    CHECK_TEXT(object_do(&rig, WISP_BLOBSTORE_GET_OBJECT_INFO, "times", "a", &result), "");
    CHECK(result.object.ok.created_at > before);
    rig_close(&rig);
}

TEST(real_large_objects_in_little_memory)
{
    struct rig rig;
    real_open(&rig);
    suite_large(&rig, 10 << 20);
    long before = peak_kib();
    suite_large(&rig, 100 << 20);
    CHECK(peak_kib() - before < 64 * 1024);
    rig_close(&rig);
}

TEST(real_many_objects)
{
    struct rig rig;
    char name[16];
    real_open(&rig);
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "pages"), "");
    for (int i = 0; i < 1100; i++) {
        snprintf(name, sizeof name, "o%04d", i);
        CHECK_TEXT(write_text(&rig, "pages", name, ""), "");
    }
    CHECK_TEXT(list(&rig, "pages", 3, 998), "o0998 o0999 o1000");
    CHECK_INT(strlen(list(&rig, "pages", -1, -1)), 1100 * 6 - 1);
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CLEAR_CONTAINER, "pages"), "");
    CHECK_TEXT(list(&rig, "pages", -1, -1), "");
    rig_close(&rig);
}
