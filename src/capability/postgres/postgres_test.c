/* SPDX-License-Identifier: Apache-2.0 */
/* Queries, statements, connections: against a real server that comes and goes. */
#include "capability/postgres/postgres_rig.h"

#include <stdio.h>

#define INT4(n) ((struct wisp_pg_value){.tag = WISP_PG_INT4, .as.s32 = n})
#define TEXT(literal) ((struct wisp_pg_value){.tag = WISP_PG_TEXT, .as.text = WISP_STR(literal)})

struct here {
    struct pg_server server;
    struct pg_rig rig;
};

static void here_init(struct here *here, const char *more)
{
    pg_init(&here->server);
    pg_start(&here->server, "max_connections=20");
    pg_rig_init(&here->rig);
    pg_put_server(&here->rig, &here->server, "default", more);
}

static void here_deinit(struct here *here)
{
    pg_rig_deinit(&here->rig);
    pg_deinit(&here->server);
}

/* The number in the only cell. */
static int64_t number_of(struct here *here, const char *sql)
{
    struct pg_call call;
    pg_query(&here->rig, &call, sql, NULL, 0);
    if (call.fault >= 0 || call.err.kind) wisp_test_fail(__FILE__, __LINE__, "%s: %s%s", sql, call.text, call.err.text);
    CHECK_INT(call.n_rows, 1);
    const struct wisp_pg_value *value = &call.rows[0].entries[0].value;
    CHECK(value->tag == WISP_PG_INT8 || value->tag == WISP_PG_INT4);
    int64_t number = value->tag == WISP_PG_INT8 ? value->as.s64 : value->as.s32;
    pg_forget(&call);
    return number;
}

static void fails(struct here *here, const char *func, const char *link, const char *text, int fault, const char *words)
{
    struct pg_call call;
    pg_begin(&here->rig, &call, func, link, text, NULL, 0);
    pg_end(&here->rig, &call);
    if (call.fault != fault)
        wisp_test_fail(__FILE__, __LINE__, "%s: fault %d instead of %d: %s", text, call.fault, fault, call.text);
    CHECK_HAS(call.text, words);
    pg_forget(&call);
}

TEST(rows)
{
    struct here here;
    struct pg_call call;
    here_init(&here, "");
    pg_do(&here.rig, "CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL, n int);"
                     "INSERT INTO t (name, n) SELECT 'row ' || i, i * 2 FROM generate_series(1, 10000) i");
    const struct wisp_pg_value least = INT4(0);
    pg_query(&here.rig, &call, "SELECT id, name, n FROM t WHERE n > $1 ORDER BY id", &least, 1);
    CHECK_INT(call.fault, -1);
    CHECK_INT(call.n_rows, 10000);
    for (size_t i = 0; i < 10000; i++) {
        char name[16];
        snprintf(name, sizeof name, "row %zu", i + 1);
        CHECK_INT(call.rows[i].n, 3);
        CHECK_INT(call.rows[i].entries[0].value.as.s32, i + 1);
        CHECK_STR(call.rows[i].entries[1].value.as.text, name);
        CHECK_INT(call.rows[i].entries[2].value.as.s32, 2 * i + 2);
        CHECK_STR(call.rows[i].entries[2].name, "n");
    }
    pg_forget(&call);
    const struct wisp_pg_value pair[] = {TEXT("new"), {.tag = WISP_PG_NULL}};
    pg_query(&here.rig, &call, "INSERT INTO t (name, n) VALUES ($1, $2)", pair, 2);
    CHECK_INT(call.fault, -1);
    CHECK_INT(call.n_rows, 0);
    pg_forget(&call);
    pg_query(&here.rig, &call, "SELECT * FROM t WHERE id < 0", NULL, 0);
    CHECK_INT(call.n_rows, 0);
    pg_forget(&call);
    fails(&here, "query", "default", "INSERT INTO t (name) VALUES (NULL)", WISP_PG_FAULT_OTHER, "SQLSTATE 23502");
    fails(&here, "query", "default", "SELECT 1; SELECT 2", WISP_PG_FAULT_QUERY, "multiple commands");
    fails(&here, "query-batch", "default", "SELECT 1; SELECT 1/0; DROP TABLE t", WISP_PG_FAULT_PARAMS,
          "division by zero");
    fails(&here, "query", "other", "SELECT 1", WISP_PG_FAULT_OTHER, "no link `other`");
    CHECK_INT(number_of(&here, "SELECT count(*) FROM t WHERE n IS NULL"), 1);
    here_deinit(&here);
}

TEST(prepared_statements)
{
    struct here here;
    struct pg_call prepare, calls[8];
    here_init(&here, ",\"POSTGRES_POOL_SIZE\":\"4\"");
    pg_do(&here.rig, "CREATE TABLE t (n int, b bytea)");
    pg_begin(&here.rig, &prepare, "prepare", "default", "INSERT INTO t SELECT $1, $2 FROM pg_sleep(0.01)", NULL, 0);
    pg_end(&here.rig, &prepare);
    CHECK_INT(prepare.fault, -1);
    /* At once, so that connections get it that did not prepare it. */
    struct wisp_pg_value params[8][2];
    for (int i = 0; i < 8; i++) {
        params[i][0] = INT4(i);
        params[i][1] = (struct wisp_pg_value){.tag = WISP_PG_BYTEA, .as.bytes = {(const uint8_t *)"\0\xff", 2}};
        pg_begin(&here.rig, &calls[i], "exec", "default", prepare.text, params[i], 2);
    }
    for (int i = 0; i < 8; i++) {
        pg_end(&here.rig, &calls[i]);
        CHECK_TEXT(calls[i].text, "");
        CHECK_INT(calls[i].n_affected, 1);
        pg_forget(&calls[i]);
    }
    CHECK_INT(number_of(&here, "SELECT sum(n * length(b)) FROM t"), 56);
    /* Whoever throws them away does no harm, nor does a table that changes. */
    for (int i = 0; i < 4; i++) pg_do(&here.rig, "DEALLOCATE ALL");
    pg_do(&here.rig, "ALTER TABLE t ADD COLUMN other text");
    for (int i = 0; i < 8; i++) {
        pg_begin(&here.rig, &calls[i], "exec", "default", prepare.text, params[i], 2);
        pg_end(&here.rig, &calls[i]);
        CHECK_TEXT(calls[i].text, "");
        pg_forget(&calls[i]);
    }
    /* The same again and again is one statement on each connection. */
    for (int i = 0; i < 100; i++) {
        pg_begin(&here.rig, &calls[0], "prepare", "default", "SELECT 'the same'", NULL, 0);
        pg_end(&here.rig, &calls[0]);
        CHECK_INT(calls[0].fault, -1);
        pg_forget(&calls[0]);
    }
    CHECK(number_of(&here, "SELECT count(*) FROM pg_prepared_statements") <= 4);
    /* More than a connection keeps. */
    for (int i = 0; i < 600; i++) {
        char sql[64];
        snprintf(sql, sizeof sql, "SELECT n + %d FROM t", i);
        pg_begin(&here.rig, &calls[0], "prepare", "default", sql, NULL, 0);
        pg_end(&here.rig, &calls[0]);
        pg_begin(&here.rig, &calls[1], "exec", "default", calls[0].text, NULL, 0);
        pg_end(&here.rig, &calls[1]);
        CHECK_INT(calls[1].n_affected, 16);
        pg_forget(&calls[0]);
        pg_forget(&calls[1]);
    }
    CHECK(number_of(&here, "SELECT count(*) FROM pg_prepared_statements") <= 256);
    fails(&here, "exec", "default", "prepared-statement-!", 100, "");
    fails(&here, "exec", "default", "whatever", 100, "");
    fails(&here, "exec", "default", prepare.text, WISP_PG_FAULT_PARAMS, "2");
    fails(&here, "prepare", "default", "SELEC", 0, "syntax error");
    pg_forget(&prepare);
    here_deinit(&here);
}

TEST(transactions_end_with_their_batch)
{
    struct here here;
    here_init(&here, ",\"POSTGRES_POOL_SIZE\":\"1\"");
    pg_do(&here.rig, "CREATE TABLE t (n int)");
    pg_do(&here.rig, "BEGIN; INSERT INTO t VALUES (1); COMMIT");
    pg_do(&here.rig, "BEGIN; INSERT INTO t VALUES (2)");
    CHECK_INT(number_of(&here, "SELECT count(*) FROM t"), 1);
    fails(&here, "query-batch", "default", "BEGIN; INSERT INTO t VALUES (3); SELECT nothing", WISP_PG_FAULT_QUERY,
          "nothing");
    CHECK_INT(number_of(&here, "SELECT count(*) FROM t"), 1);
    here_deinit(&here);
}

/* One connection for all: they take turns, and who waits too long is told so. */
TEST(exhausted_pool)
{
    struct here here;
    struct pg_call calls[20], slow, late;
    here_init(&here, ",\"POSTGRES_POOL_SIZE\":\"1\",\"POSTGRES_WAIT_MS\":\"500\"");
    for (int i = 0; i < 20; i++) pg_begin(&here.rig, &calls[i], "query", "default", "SELECT pg_backend_pid()", NULL, 0);
    for (int i = 0; i < 20; i++) {
        pg_end(&here.rig, &calls[i]);
        CHECK_INT(calls[i].fault, -1);
        CHECK_INT(calls[i].rows[0].entries[0].value.as.s32, calls[0].rows[0].entries[0].value.as.s32);
    }
    for (int i = 0; i < 20; i++) pg_forget(&calls[i]);
    pg_begin(&here.rig, &slow, "query", "default", "SELECT pg_sleep(2)", NULL, 0);
    pg_begin(&here.rig, &late, "query", "default", "SELECT 1", NULL, 0);
    pg_end(&here.rig, &late);
    CHECK_INT(late.fault, WISP_PG_FAULT_OTHER);
    CHECK_HAS(late.text, "all 1 connections to the database are busy");
    pg_end(&here.rig, &slow);
    CHECK_INT(slow.fault, -1);
    pg_forget(&slow);
    pg_forget(&late);
    here_deinit(&here);
}

/* The server hears of it too, and the place in the pool is free at once. */
TEST(cancelled_query)
{
    struct here here;
    struct pg_call slow, waiting;
    here_init(&here, ",\"POSTGRES_POOL_SIZE\":\"1\"");
    pg_do(&here.rig, "CREATE TABLE t (n int)");
    pg_begin(&here.rig, &slow, "query", "default", "SELECT pg_sleep(600) /* slow */", NULL, 0);
    pg_begin(&here.rig, &waiting, "query", "default", "INSERT INTO t VALUES (1)", NULL, 0);
    struct pg_server *server = &here.server;
    pg_put_server(&here.rig, server, "second", "");
    bool is_running = false;
    while (!is_running) {
        struct pg_call look;
        pg_begin(&here.rig, &look, "query", "second",
                 "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%/* slow%' AND pid <> "
                 "pg_backend_pid()",
                 NULL, 0);
        pg_end(&here.rig, &look);
        is_running = look.rows[0].entries[0].value.as.s64 == 1;
        pg_forget(&look);
    }
    wisp_provider_call_cancel(slow.call);
    wisp_provider_call_cancel(waiting.call);
    CHECK_INT(number_of(&here, "SELECT count(*) FROM t"), 0);
    while (number_of(&here, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%/* slow%' "
                            "AND pid <> pg_backend_pid()"))
        uv_run(&here.rig.loop, UV_RUN_NOWAIT);
    here_deinit(&here);
}

/* Under load: what was in flight fails, what comes later waits for the server. */
TEST(server_restarts)
{
    struct here here;
    enum { N = 60 };
    static struct pg_call calls[N];
    unsigned n_lost = 0;
    here_init(&here, "");
    for (unsigned round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            pg_begin(&here.rig, &calls[i], "query", "default", "SELECT 1::int4 FROM pg_sleep(0.02)", NULL, 0);
        pg_end(&here.rig, &calls[0]);
        pg_kill(&here.server);
        for (int i = 0; i < 5; i++) uv_run(&here.rig.loop, UV_RUN_NOWAIT);
        pg_start(&here.server, "fsync=off");
        for (int i = 0; i < N; i++) {
            pg_end(&here.rig, &calls[i]);
            if (calls[i].fault >= 0) {
                n_lost++;
                CHECK_INT(calls[i].fault, WISP_PG_FAULT_OTHER);
            } else {
                CHECK_INT(calls[i].rows[0].entries[0].value.as.s32, 1);
            }
            pg_forget(&calls[i]);
        }
        CHECK_INT(number_of(&here, "SELECT 42"), 42);
    }
    CHECK(n_lost > 0 && n_lost <= 3 * 10);
    here_deinit(&here);
}

TEST(nobody_there)
{
    struct pg_rig rig;
    struct pg_call call;
    char config[512];
    pg_rig_init(&rig);
    snprintf(
        config, sizeof config,
        "{\"POSTGRES_HOST\":\"127.0.0.1\",\"POSTGRES_PORT\":\"%u\",\"POSTGRES_USERNAME\":\"u\",\"POSTGRES_DATABASE\":"
        "\"d\",\"POSTGRES_WAIT_MS\":\"300\"}",
        free_port());
    pg_put(&rig, "default", config, "null");
    pg_query(&rig, &call, "SELECT 1", NULL, 0);
    CHECK_INT(call.fault, WISP_PG_FAULT_OTHER);
    CHECK_HAS(call.text, "no connection to the database: ");
    pg_forget(&call);
    json_t *link =
        pg_link("bad", "{\"POSTGRES_HOST\":\"h\",\"POSTGRES_PORT\":\"1\",\"POSTGRES_DATABASE\":\"d\"}", "null");
    CHECK_FAILS(wisp_provider_put_link(rig.provider, link, &rig.err), INVALID);
    CHECK_HAS(rig.err.text, "POSTGRES_USERNAME");
    json_decref(link);
    pg_rig_deinit(&rig);
}

/* A wrong password is told at once, and never shown. */
TEST(refused)
{
    struct here here;
    struct pg_call call;
    char config[512];
    here_init(&here, "");
    snprintf(config, sizeof config,
             "{\"POSTGRES_HOST\":\"127.0.0.1\",\"POSTGRES_PORT\":\"%u\",\"POSTGRES_USERNAME\":\"tester\","
             "\"POSTGRES_DATABASE\":\"postgres\",\"POSTGRES_WAIT_MS\":\"3600000\"}",
             here.server.port);
    pg_put(&here.rig, "wrong", config, "{\"POSTGRES_PASSWORD\":\"guessed\"}");
    CHECK_INT(number_of(&here, "SELECT 1"), 1); /* it has started */
    pg_begin(&here.rig, &call, "query", "wrong", "SELECT 1", NULL, 0);
    pg_end(&here.rig, &call);
    CHECK_HAS(call.text, "password authentication failed");
    CHECK(!strstr(call.text, "guessed"));
    pg_forget(&call);
    /* By the Unix socket, without one. */
    snprintf(
        config, sizeof config,
        "{\"POSTGRES_HOST\":\"%s\",\"POSTGRES_PORT\":\"%u\",\"POSTGRES_USERNAME\":\"tester\",\"POSTGRES_DATABASE\":"
        "\"postgres\"}",
        here.server.dir, here.server.port);
    pg_put(&here.rig, "local", config, "null");
    pg_begin(&here.rig, &call, "query", "local", "SELECT 1", NULL, 0);
    pg_end(&here.rig, &call);
    CHECK_INT(call.fault, -1);
    pg_forget(&call);
    here_deinit(&here);
}

TEST(tls)
{
    struct here here;
    struct pg_call call;
    char more[256], path[96];
    pg_init(&here.server);
    make_certificates(here.server.dir);
    snprintf(path, sizeof path, "%s/server.key", here.server.dir);
    CHECK_INT(chown(path, here.server.uid, here.server.gid), 0);
    CHECK_INT(chmod(path, 0600), 0);
    CHECK_INT(chmod(here.server.dir, 0755), 0);
    write_text_file(here.server.dir, "data/pg_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n");
    write_text_file(here.server.dir, "data/postgresql.auto.conf",
                    "ssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.key'\n");
    pg_start(&here.server, "fsync=off");
    pg_rig_init(&here.rig);
    pg_put_server(&here.rig, &here.server, "default", ",\"POSTGRES_TLS_REQUIRED\":\"yes\"");
    CHECK_INT(number_of(&here, "SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()"), 1);
    snprintf(more, sizeof more, ",\"POSTGRES_TLS_CA_FILE\":\"%s/ca.pem\",\"POSTGRES_HOST\":\"localhost\"",
             here.server.dir);
    pg_put_server(&here.rig, &here.server, "checked", more);
    pg_begin(&here.rig, &call, "query", "checked", "SELECT 1", NULL, 0);
    pg_end(&here.rig, &call);
    CHECK_TEXT(call.text, "");
    CHECK_INT(call.fault, -1);
    pg_forget(&call);
    snprintf(more, sizeof more, ",\"POSTGRES_TLS_CA_FILE\":\"%s/client.pem\",\"POSTGRES_WAIT_MS\":\"300\"",
             here.server.dir);
    pg_put_server(&here.rig, &here.server, "other", more);
    pg_begin(&here.rig, &call, "query", "other", "SELECT 1", NULL, 0);
    pg_end(&here.rig, &call);
    CHECK_HAS(call.text, "certificate verify failed");
    pg_forget(&call);
    here_deinit(&here);
}

TEST(shared_pool)
{
    struct here here;
    struct pg_call call;
    here_init(&here, "");
    CHECK_INT(number_of(&here, "SELECT 1"), 1);
    const char *more = ",\"POSTGRES_SHARE_CONNECTIONS_BY_URL\":\"true\",\"POSTGRES_POOL_SIZE\":\"1\"";
    pg_put_server(&here.rig, &here.server, "a", more);
    pg_put_server(&here.rig, &here.server, "b", more);
    int32_t pids[2];
    for (int i = 0; i < 2; i++) {
        pg_begin(&here.rig, &call, "query", i ? "b" : "a", "SELECT pg_backend_pid()", NULL, 0);
        pg_end(&here.rig, &call);
        CHECK_INT(call.fault, -1);
        pids[i] = call.rows[0].entries[0].value.as.s32;
        pg_forget(&call);
    }
    CHECK_INT(pids[0], pids[1]);
    json_t *link = pg_link("a", "{}", "null");
    wisp_provider_del_link(here.rig.provider, link);
    json_decref(link);
    pg_begin(&here.rig, &call, "query", "b", "SELECT 1", NULL, 0);
    pg_end(&here.rig, &call);
    CHECK_INT(call.fault, -1);
    pg_forget(&call);
    here_deinit(&here);
}
