/* SPDX-License-Identifier: Apache-2.0 */
/* Against a server that is told what to answer; and, when WISP_S3_ENDPOINT names one (tests/e2e starts it), what every
 * kind must do against a real one. */
#include "capability/blobstore/rest_rig.h"
#include "capability/blobstore/s3_priv.h"

/* --- signatures: the examples of S3's documentation --- */

static const struct wisp_s3_config example = {.access_key = "AKIAIOSFODNN7EXAMPLE",
                                              .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                              .region = "us-east-1"};

static void check_signature(struct wisp_s3_to_sign what, const char *signature)
{
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    const struct wisp_web_header headers[] = {{"x-amz-content-sha256", what.payload_hash},
                                              {"x-amz-date", "20130524T000000Z"}};
    what.host = "examplebucket.s3.amazonaws.com";
    what.method = "GET";
    what.headers = headers;
    what.n_headers = 2;
    what.now = 1369353600;
    wisp_s3_sign(&example, &what, &out);
    wisp_buf_append_char(&out, '\0');
    CHECK_HAS(out.data, "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,");
    CHECK_HAS(out.data, "SignedHeaders=host;x-amz-content-sha256;x-amz-date,");
    CHECK_HAS(out.data, signature);
}

TEST(signatures)
{
    char empty[65];
    wisp_s3_hash(WISP_STR(""), empty);
    check_signature(
        (struct wisp_s3_to_sign){.path = WISP_STR("/"), .query = WISP_STR("lifecycle="), .payload_hash = empty},
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    check_signature((struct wisp_s3_to_sign){.path = WISP_STR("/"),
                                             .query = WISP_STR("max-keys=2&prefix=J"),
                                             .payload_hash = empty},
                    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/* --- settings --- */

static int read_config(struct wisp_arena *arena, struct wisp_setting *list, size_t n, struct wisp_s3_config *config,
                       struct wisp_err *err)
{
    struct wisp_settings settings = {list, n};
    return wisp_s3_config_read(&settings, arena, config, err);
}

TEST(settings)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_s3_config config;
    struct wisp_err err = {0};
    struct wisp_setting list[] = {
        {WISP_STR("config_json"),
         WISP_STR("{\"access_key_id\":\"k\",\"secret_access_key\":\"s\",\"region\":\"eu-west-1\",\"max_attempts\":99,"
                  "\"endpoint\":\"http://Store:9000/base/\",\"aliases\":{\"a\":\"json\",\"b\":\"other\"}}"),
         true},
        {WISP_STR("BUCKET_REGION"), WISP_STR("eu-central-1"), false},
        {WISP_STR("alias_a"), WISP_STR("config"), false},
    };
    CHECK_OK(read_config(&arena, list, 3, &config, &err), &err);
    CHECK_TEXT(config.endpoint.origin, "http://Store:9000");
    CHECK_TEXT(config.endpoint.host, "Store:9000");
    CHECK_TEXT(config.endpoint.base_path, "/base");
    CHECK_TEXT(config.bucket_region, "eu-central-1");
    CHECK_INT(config.n_attempts_max, 20);
    CHECK_STR(wisp_s3_bucket(&config, WISP_STR("a")), "config");
    CHECK_STR(wisp_s3_bucket(&config, WISP_STR("alias_b")), "other");
    CHECK_STR(wisp_s3_bucket(&config, WISP_STR("alias_c")), "alias_c");

    list[0] = (struct wisp_setting){WISP_STR("config_b64"),
                                    WISP_STR("eyJhY2Nlc3Nfa2V5X2lkIjoiayIsInNlY3JldF9hY2Nlc3Nfa2V5IjoicyJ9"), true};
    CHECK_OK(read_config(&arena, list, 1, &config, &err), &err);
    CHECK_TEXT(config.endpoint.origin, "https://s3.us-east-1.amazonaws.com");
}

TEST(settings_that_can_not_be)
{
    static const char *const bad[][2] = {
        {"", "needs `access_key_id`"},
        {"{\"access_key_id\":\"k\"", "`config_json` is no JSON"},
        {"[]", "`config_json` is no object"},
        {"{\"access_key_id\":\"k\"}", "needs `access_key_id`"},
        {"{\"access_key_id\":\"k\",\"secret_access_key\":\"HUSH\",\"sts_config\":{\"role\":\"r\"}}", "sts_config"},
        {"{\"access_key_id\":\"k\\ny\",\"secret_access_key\":\"HUSH\"}", "can't be sent"},
        {"{\"access_key_id\":\"k\",\"secret_access_key\":\"HUSH\",\"endpoint\":\"ftp://x\"}", "`endpoint`"},
        {"{\"access_key_id\":\"k\",\"secret_access_key\":\"HUSH\",\"endpoint\":\"http://a:b@x\"}", "`endpoint`"},
        {"{\"access_key_id\":\"k\",\"secret_access_key\":\"HUSH\",\"region\":\"a/b\"}", "`region`"},
    };
    for (size_t i = 0; i < WISP_COUNT(bad); i++) {
        WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
        struct wisp_s3_config config;
        struct wisp_err err = {0};
        struct wisp_setting list[] = {{WISP_STR("config_json"), wisp_str_from(bad[i][0]), true}};
        CHECK(read_config(&arena, list, 1, &config, &err) < 0);
        CHECK_HAS(err.text, bad[i][1]);
        CHECK(!strstr(err.text, "HUSH"));
    }
}

/* --- a server with a script --- */

static void server_open(struct server *server, void (*script)(struct server *server))
{
    static const char *const config[] = {
        "{\"config_json\": \"{\\\"access_key_id\\\":\\\"k\\\",\\\"secret_access_key\\\":\\\"HUSH\\\","
        "\\\"endpoint\\\":\\\"http://127.0.0.1:",
        "\\\"}\"}",
    };
    server_start(server, &wisp_blobstore_s3, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=k/", config, script);
}

static void busy_first(struct server *server)
{
    answer(server, "HEAD /c ", "503 Slow Down", "");
    hang_up(server);
    CHECK(hear(server));
    hang_up(server); /* without a word */
    answer(server, "HEAD /c ", "200 OK", "");
}

TEST(a_busy_server_is_asked_again)
{
    struct server server;
    server_open(&server, busy_first);
    CHECK(exists(&server.rig, "c", NULL));
    server_close(&server);
}

static void never_well(struct server *server)
{
    for (int i = 0; i < 3; i++)
        answer(server, "PUT /c ", "500 Oops", "<Error><Code>InternalError</Code><Message>not well</Message></Error>");
}

TEST(but_not_for_ever)
{
    struct server server;
    server_open(&server, never_well);
    CHECK_TEXT(container_do(&server.rig, WISP_BLOBSTORE_CREATE_CONTAINER, "c"),
               "container `c`: InternalError: not well");
    server_close(&server);
}

static void denied(struct server *server)
{
    answer(server, "GET /c/a%20b%2B ", "403 Forbidden", "<html>not <b>XML");
    for (int i = 0; i < 3; i++)
        answer(server, "x-amz-copy-source: /c/x%20y\r\n", "200 OK",
               "<Error><Code>SlowDown</Code><Message>later</Message></Error>");
    answer(server, "POST /c?delete= ", "200 OK",
           "<DeleteResult><Error><Key>o</Key><Code>AccessDenied</Code></Error></DeleteResult>");
    answer(server, "GET /c?encoding-type=url&list-type=2&max-keys=1000 ", "200 OK", "<ListBucketResult><Con");
}

TEST(answers_that_are_errors)
{
    struct server server;
    struct wisp_str name = WISP_STR("o");
    server_open(&server, denied);
    CHECK_TEXT(get_text(&server.rig, "c", "a b+"), "container `c`: the server answered with status 403");
    CHECK_HAS(ids_do(&server.rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("c", "x y"), id_of("d", "z")), "SlowDown: later");
    CHECK_HAS(delete_many(&server.rig, "c", &name, 1), "1 objects were not deleted, one of them `o`: AccessDenied");
    CHECK_HAS(list(&server.rig, "c", -1, -1), "the server's list: XML, byte");
    server_close(&server);
}

static void nobody(struct server *server) { (void)server; }

TEST(names_that_can_not_be)
{
    struct server server;
    union rig_result result;
    server_open(&server, nobody);
    const char *const containers[] = {"", ".", "..", "a/b"};
    for (size_t i = 0; i < WISP_COUNT(containers); i++)
        CHECK_HAS(container_do(&server.rig, WISP_BLOBSTORE_DELETE_CONTAINER, containers[i]), "can't have this name");
    CHECK_HAS(object_do(&server.rig, WISP_BLOBSTORE_DELETE_OBJECT, "c", "", &result), "needs a name");
    CHECK_HAS(write_text(&server.rig, "c", "", "x"), "needs a name");
    CHECK_HAS(get_text(&server.rig, "c", ""), "needs a name");
    CHECK_HAS(ids_do(&server.rig, WISP_BLOBSTORE_MOVE_OBJECT, id_of("c", ""), id_of("c", "x")), "needs a name");
    server_close(&server);
}

/* --- servers that go away --- */

static void cut_the_body(struct server *server)
{
    CHECK(hear(server));
    CHECK_HAS(server->heard, "\r\nrange: bytes=1-99\r\n");
    say(server, "HTTP/1.1 206 Partial Content\r\nContent-Length: 99\r\n\r\npart");
    hang_up(server);
}

TEST(a_download_that_is_cut_short)
{
    struct server server;
    server_open(&server, cut_the_body);
    CHECK_HAS(get_range(&server.rig, "c", "o", 1, 100), "GET http://127.0.0.1");
    server_close(&server);
}

static void know_no_ranges(struct server *server) { answer(server, "range: bytes=2-3\r\n", "200 OK", "abcdefgh"); }

TEST(a_server_without_ranges)
{
    struct server server;
    server_open(&server, know_no_ranges);
    CHECK_TEXT(get_range(&server.rig, "c", "o", 2, 4), "cd");
    server_close(&server);
}

#define BEGUN "<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>"

static void forget_second_part(struct server *server)
{
    answer(server, "POST /c/o?uploads= ", "200 OK", BEGUN);
    answer(server, "PUT /c/o?partNumber=1&uploadId=u%2F1 ", "200 OK", "");
    /* Three attempts, and libcurl's own on a connection that was kept. */
    for (int i = 0; i < 10; i++) {
        if (hear(server) && !strstr(server->heard, "PUT /c/o?partNumber=2&uploadId=u%2F1 ")) break;
        hang_up(server);
    }
    CHECK(server->heard);
    CHECK_HAS(server->heard, "DELETE /c/o?uploadId=u%2F1 ");
    say(server, "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST(an_upload_whose_server_goes_away)
{
    struct server server;
    server_open(&server, forget_second_part);
    CHECK_HAS(write_sized(&server.rig, "c", "o", 20 << 20), "container `c`: PUT http://127.0.0.1");
    server_close(&server);
}

static void be_told_to_forget(struct server *server)
{
    answer(server, "POST /c/o?uploads= ", "200 OK", BEGUN);
    answer(server, "PUT /c/o?partNumber=1&uploadId=u%2F1 ", "200 OK", "");
    answer(server, "DELETE /c/o?uploadId=u%2F1 ", "204 No Content", "");
}

TEST(an_upload_that_is_broken_off)
{
    struct server server;
    struct wisp_wrpc_reader *status;
    const char *error;
    server_open(&server, be_told_to_forget);
    struct wisp_wrpc_writer *writer = begin_write(&server.rig, "c", "o", &status, &error);
    CHECK(status);
    CHECK(write_some(&server.rig, writer, 0, 9 << 20));
    wisp_wrpc_writer_abort(writer);
    CHECK(*status_of(&server.rig, status));
    server_close(&server);
}

static void answer_nothing(struct server *server)
{
    CHECK(hear(server));
    __atomic_store_n(&server->has_heard, true, __ATOMIC_RELEASE);
    CHECK(!hear(server)); /* until the client goes */
}

TEST(closing_does_not_wait_for_the_server)
{
    struct server server;
    server_open(&server, answer_nothing);
    struct rig_call call = {.rig = &server.rig};
    struct wisp_blobstore_name_args args = {WISP_STR("c")};
    struct wisp_provider_caller caller = {WISP_STR("app"), WISP_STR("default"), WISP_STR("")};
    call.export_ = wisp_provider_find(server.rig.provider, wisp_str_from(wisp_blobstore_interface.name),
                                      WISP_STR("create-container"));
    wisp_provider_call_start(server.rig.provider, call.export_, &caller, &args, rig_on_return, &call);
    while (!__atomic_load_n(&server.has_heard, __ATOMIC_ACQUIRE)) {
        uv_run(&server.rig.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    rig_close(&server.rig);
    CHECK(call.is_done);
    CHECK_HAS(call.error, "transport: ");
    pthread_join(server.thread, NULL);
    close(server.connection);
    close(server.listener);
    free(server.heard);
}

/* --- a real server --- */

static void real_open(struct rig *rig)
{
    const char *endpoint = getenv("WISP_S3_ENDPOINT");
    char config[400];
    if (!endpoint) wisp_test_skip("WISP_S3_ENDPOINT names no server");
    rig_open(rig, &wisp_blobstore_s3, NULL);
    snprintf(config, sizeof config,
             "{\"config_json\": \"{\\\"access_key_id\\\":\\\"wispaccess\\\",\\\"secret_access_key\\\":"
             "\\\"wispsecret\\\",\\\"endpoint\\\":\\\"%s\\\"}\", \"alias_nick\": \"proper-name\"}",
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

TEST(real_aliases)
{
    struct rig rig;
    real_open(&rig);
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "alias_nick"), "");
    CHECK(exists(&rig, "nick", NULL) && exists(&rig, "proper-name", NULL));
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

TEST(real_lists_of_several_pages)
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
    CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_DELETE_CONTAINER, "pages"), "");
    CHECK(!exists(&rig, "pages", NULL));
    rig_close(&rig);
}
