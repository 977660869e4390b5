/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a PostgreSQL server of Debian's as a child, and an instance of the kind that is linked to it. */
#pragma once

#include "base/json.h"
#include "bus/client_rig.h"
#include "capability/kinds.h"
#include "capability/postgres/postgres.h"
#include "provider/runtime.h"

#include <dirent.h>
#include <grp.h>
#include <pwd.h>

struct pg_server {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char dir[64], bin[128];
    uid_t uid;
    gid_t gid;
};

/* Newest of /usr/lib/postgresql. */
static inline void pg_find(char bin[128])
{
    DIR *dir = opendir("/usr/lib/postgresql");
    int newest = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (atoi(entry->d_name) > newest) newest = atoi(entry->d_name);
    if (dir) closedir(dir);
    if (!newest) wisp_test_skip("postgresql is not installed");
    snprintf(bin, 128, "/usr/lib/postgresql/%d/bin", newest);
}

/* A child as the user that PostgreSQL may run as, which ends with us. */
static inline pid_t pg_spawn(const struct pg_server *server, const char **args)
{
    pid_t parent = getpid(), pid = fork();
    if (pid) return pid;
    char path[160], log[96];
    snprintf(path, sizeof path, "%s/%s", server->bin, args[0]);
    snprintf(log, sizeof log, "%s/log", server->dir);
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(server->gid) < 0 || setuid(server->uid) < 0)) _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    if (chdir(server->dir) < 0) _exit(125);
    union {
        const char **given;
        char **wanted;
    } as = {args};
    execv(path, as.wanted);
    _exit(127);
}

static inline void pg_init(struct pg_server *server)
{
    char pw_option[96];
    *server = (struct pg_server){.port = free_port(), .uid = geteuid(), .gid = getegid()};
    pg_find(server->bin);
    make_dir(server->dir);
    if (geteuid() == 0) {
        const struct passwd *user = getpwnam("postgres");
        if (!user) wisp_test_skip("there is no user postgres");
        server->uid = user->pw_uid;
        server->gid = user->pw_gid;
    }
    write_text_file(server->dir, "password", "pa'ss\\word\n");
    CHECK_INT(chown(server->dir, server->uid, server->gid), 0);
    snprintf(pw_option, sizeof pw_option, "--pwfile=%s/password", server->dir);
    const char *args[] = {
        "initdb",    "--pgdata=data",      "--username=tester",         "--encoding=UTF8", "--locale=C",
        "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256", pw_option,         NULL};
    int status;
    pid_t pid = pg_spawn(server, args);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
}

/* Starts it, or starts it again, with one more setting. */
static inline void pg_start(struct pg_server *server, const char *setting)
{
    char port[8], socket_dir[96];
    snprintf(port, sizeof port, "%u", server->port);
    snprintf(socket_dir, sizeof socket_dir, "unix_socket_directories=%s", server->dir);
    const char *args[] = {"postgres", "-D",       "data", "-p",        port, "-c",    "listen_addresses=127.0.0.1",
                          "-c",       socket_dir, "-c",   "fsync=off", "-c", setting, NULL};
    server->pid = pg_spawn(server, args);
    while (!port_answers(server->port)) {
        int status;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid)
            wisp_test_fail(__FILE__, __LINE__, "postgres ended, see %s/log", server->dir);
        usleep(10000);
    }
}

static inline void pg_kill(struct pg_server *server)
{
    if (!server->pid) return;
    kill(server->pid, SIGQUIT); /* at once, with its children */
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

static inline void pg_deinit(struct pg_server *server)
{
    pg_kill(server);
    remove_tree(server->dir);
}

/* --- the provider --- */

struct pg_rig {
    uv_loop_t loop;
    struct wisp_provider *provider;
    bool is_closed;
    struct wisp_err err;
};

/* Something that was asked and its answer. */
struct pg_call {
    struct wisp_arena arena;
    union {
        struct wisp_pg_query_args query;
        struct wisp_pg_exec_args exec;
        struct wisp_str sql;
    } args;
    const struct wisp_provider_export *func;
    struct wisp_provider_call *call;
    bool is_done;
    struct wisp_err err; /* the call failed */
    int fault;           /* -1: none; of the query; for exec: WISP_PG_EXEC_* + 100, or that of its query */
    char text[1200];     /* the error, or the token */
    struct wisp_pg_row *rows;
    size_t n_rows;
    uint64_t n_affected;
};

static inline json_t *pg_link(const char *name, const char *config, const char *secrets)
{
    char text[2048];
    json_t *json;
    struct wisp_err err;
    snprintf(text, sizeof text,
             "{\"source_id\":\"app\",\"target\":\"pg\",\"name\":\"%s\",\"wit_namespace\":\"wasmcloud\","
             "\"wit_package\":\"postgres\",\"interfaces\":[\"query\",\"prepared\"],\"source_config\":{},"
             "\"target_config\":%s,\"source_secrets\":null,\"target_secrets\":%s}",
             name, config, secrets);
    CHECK_OK(wisp_json_parse(wisp_str_from(text), &json, &err), &err);
    return json;
}

static inline void pg_rig_init(struct pg_rig *rig)
{
    *rig = (struct pg_rig){0};
    uv_loop_init(&rig->loop);
    struct wisp_provider_options options = {
        .kind = &wisp_sqldb_postgres, .id = "pg", .lattice = "default", .host_id = "NHOST", .loop = &rig->loop};
    CHECK_OK(wisp_provider_new(&rig->provider, &options, &rig->err), &rig->err);
}

static inline void pg_put(struct pg_rig *rig, const char *name, const char *config, const char *secrets)
{
    json_t *json = pg_link(name, config, secrets);
    CHECK_OK(wisp_provider_put_link(rig->provider, json, &rig->err), &rig->err);
    json_decref(json);
}

/* Over TCP, with a password; `more` are further settings ("" or ",\"K\":\"V\""). */
static inline void pg_put_server(struct pg_rig *rig, const struct pg_server *server, const char *name, const char *more)
{
    char config[512];
    snprintf(config, sizeof config,
             "{\"POSTGRES_HOST\":\"127.0.0.1\",\"POSTGRES_PORT\":\"%u\",\"POSTGRES_USERNAME\":\"tester\","
             "\"POSTGRES_DATABASE\":\"postgres\"%s}",
             server->port, more);
    pg_put(rig, name, config, "{\"POSTGRES_PASSWORD\":\"pa'ss\\\\word\"}");
}

static inline void pg_on_closed(void *env) { *(bool *)env = true; }

static inline void pg_rig_deinit(struct pg_rig *rig)
{
    wisp_provider_close(rig->provider, pg_on_closed, &rig->is_closed);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    CHECK(rig->is_closed);
    CHECK_INT(uv_loop_close(&rig->loop), 0);
}

/* --- calls --- */

static inline void pg_keep_error(struct pg_call *call, uint32_t fault, struct wisp_str text)
{
    CHECK(wisp_str_is_utf8(text));
    call->fault = (int)fault;
    snprintf(call->text, sizeof call->text, "%.*s", WISP_STR_ARG(text));
}

static inline void pg_keep_rows(struct pg_call *call, const struct wisp_pg_query_result *result)
{
    call->n_rows = result->rows.len;
    struct {
        struct wisp_pg_row *ptr;
        size_t len;
    } copy;
    wisp_value_copy(&call->arena, call->func->type->result->fields[0].type, &result->rows, &copy);
    call->rows = copy.ptr;
}

static inline void pg_on_return(const void *result, const struct wisp_err *err, void *env)
{
    struct pg_call *call = env;
    call->is_done = true;
    call->fault = -1;
    if (err) {
        call->err = *err;
        return;
    }
    const char *name = call->func->func->name;
    if (strcmp(name, "query") == 0) {
        const struct wisp_pg_query_result *query = result;
        if (query->is_err)
            pg_keep_error(call, query->error.fault, query->error.text);
        else
            pg_keep_rows(call, query);
    } else if (strcmp(name, "query-batch") == 0) {
        const struct wisp_pg_batch_result *batch = result;
        if (batch->is_err) pg_keep_error(call, batch->error.fault, batch->error.text);
    } else if (strcmp(name, "prepare") == 0) {
        const struct wisp_pg_prepare_result *prepare = result;
        if (prepare->is_err)
            pg_keep_error(call, 0, prepare->error.text);
        else
            snprintf(call->text, sizeof call->text, "%.*s", WISP_STR_ARG(prepare->token));
    } else {
        const struct wisp_pg_exec_result *exec = result;
        if (!exec->is_err)
            call->n_affected = exec->n_affected;
        else if (exec->error.tag == WISP_PG_EXEC_QUERY_ERROR)
            pg_keep_error(call, exec->error.query.fault, exec->error.query.text);
        else if (exec->error.tag == WISP_PG_EXEC_UNEXPECTED)
            pg_keep_error(call, 102, exec->error.text);
        else
            call->fault = 100;
    }
}

static inline void pg_begin(struct pg_rig *rig, struct pg_call *call, const char *func, const char *link,
                            const char *text, const struct wisp_pg_value *params, size_t n)
{
    bool is_query = strncmp(func, "query", 5) == 0;
    struct wisp_provider_caller caller = {WISP_STR("app"), wisp_str_from(link), WISP_STR("")};
    *call = (struct pg_call){.args.query = {wisp_str_from(text), {params, n}}};
    call->func = wisp_provider_find(
        rig->provider,
        wisp_str_from(is_query ? "wasmcloud:postgres/query@0.1.1-draft" : "wasmcloud:postgres/prepared@0.1.1-draft"),
        wisp_str_from(func));
    CHECK(call->func);
    call->call = wisp_provider_call_start(rig->provider, call->func, &caller, &call->args, pg_on_return, call);
}

static inline void pg_end(struct pg_rig *rig, struct pg_call *call) { AWAIT(&rig->loop, call->is_done); }

/* Over the link "default". Its values are there until pg_forget. */
static inline void pg_query(struct pg_rig *rig, struct pg_call *call, const char *sql,
                            const struct wisp_pg_value *params, size_t n)
{
    pg_begin(rig, call, "query", "default", sql, params, n);
    pg_end(rig, call);
}

static inline void pg_forget(struct pg_call *call) { wisp_arena_deinit(&call->arena); }

/* A query-batch that succeeds. */
static inline void pg_do(struct pg_rig *rig, const char *sql)
{
    struct pg_call call;
    pg_begin(rig, &call, "query-batch", "default", sql, NULL, 0);
    pg_end(rig, &call);
    if (call.fault >= 0 || call.err.kind) wisp_test_fail(__FILE__, __LINE__, "%s: %s%s", sql, call.text, call.err.text);
    pg_forget(&call);
}
