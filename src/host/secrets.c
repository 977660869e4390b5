/* SPDX-License-Identifier: Apache-2.0 */
#include "host/secrets_priv.h"

#include "wasi/filesystem/fs_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

/* --- files --- */

static int too_large(struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d KiB, the most that a secret may have",
                        WISP_SECRETS_SIZE_MAX >> 10);
}

/* Read in one piece of memory, so that growing leaves no copies behind. */
static int read_bytes(int fd, struct wisp_buf *bytes, struct wisp_err *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0) return wisp_err_os(err, errno, "file");
    if (!S_ISREG(status.st_mode)) return wisp_err_set(err, WISP_ERR_INVALID, "it is no file");
    if (status.st_size > WISP_SECRETS_SIZE_MAX) return too_large(err);
    wisp_buf_reserve(bytes, WISP_SECRETS_SIZE_MAX + 1);
    for (;;) {
        ssize_t n = read(fd, bytes->data + bytes->len, WISP_SECRETS_SIZE_MAX + 1 - bytes->len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "file");
        if (n == 0) return 0;
        bytes->len += (size_t)n;
        if (bytes->len > WISP_SECRETS_SIZE_MAX) return too_large(err);
    }
}

int wisp_secrets_read_file(int dir_fd, const char *path, struct wisp_buf *bytes, struct wisp_err *err)
{
    /* Not blocking: whatever it is, it must not hold up the host. */
    WISP_CLEANUP_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? wisp_err_os(err, errno, "file") : read_bytes(fd, bytes, err);
}

/* The directory is opened each time: it may be mounted anew. */
static int read_beneath(const char *dir, struct wisp_str key, struct wisp_buf *bytes, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_FD int base = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    if (base < 0) return wisp_err_os(err, errno, "its directory");
    int error = wisp_fs_open_beneath(&arena, base, key, O_RDONLY | O_NONBLOCK, 0, &fd);
    if (error == EPERM) return wisp_err_set(err, WISP_ERR_DENIED, "it leads out of the directory of secrets");
    if (error) return wisp_err_os(err, error, "file");
    return read_bytes(fd, bytes, err);
}

/* --- fields --- */

int wisp_secrets_pick(const json_t *fields, struct wisp_str field, struct wisp_buf *value, struct wisp_err *err)
{
    if (!json_is_object(fields))
        return wisp_err_set(err, WISP_ERR_INVALID, "it is no JSON object, so it has no fields");
    const json_t *text = json_object_getn(fields, field.ptr, field.len);
    if (!text) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "it has no field `%.*s`", WISP_STR_ARG(field));
    if (!json_is_string(text))
        return wisp_err_set(err, WISP_ERR_INVALID, "its field `%.*s` is no text", WISP_STR_ARG(field));
    wisp_buf_append(value, json_string_value(text), json_string_length(text));
    return 0;
}

static void hand_over(struct wisp_str secret, const struct wisp_lattice_secret_place *place,
                      wisp_secrets_on_done *on_done, void *env)
{
    WISP_CLEANUP_WIPE struct wisp_buf value = {0};
    WISP_CLEANUP_JSON json_t *fields = NULL;
    struct wisp_err err = {0};
    if (!place->field.len) {
        on_done(secret, NULL, env);
        return;
    }
    (void)!wisp_json_parse(secret, &fields, NULL); /* its error might quote */
    int r = wisp_secrets_pick(fields, place->field, &value, &err);
    on_done(wisp_buf_str(&value), r < 0 ? &err : NULL, env);
}

static void fail(wisp_secrets_on_done *on_done, void *env, const struct wisp_err *err)
{
    on_done((struct wisp_str){0}, err, env);
}

static void get_file(struct wisp_secrets *secrets, const struct wisp_lattice_secret_place *place,
                     wisp_secrets_on_done *on_done, void *env)
{
    WISP_CLEANUP_WIPE struct wisp_buf bytes = {0};
    struct wisp_err err = {0};
    if (read_beneath(secrets->dir, place->key, &bytes, &err) < 0)
        fail(on_done, env, &err);
    else
        hand_over(wisp_buf_str(&bytes), place, on_done, env);
}

/* --- variables --- */

/* A value out of the environment, where it is wiped: no child inherits it or finds it in /proc. */
static char *take_variable(const char *name)
{
    char *value = getenv(name), *copy = value ? wisp_mem_dup(wisp_str_from(value)) : NULL;
    if (value) explicit_bzero(value, strlen(value));
    unsetenv(name);
    return copy;
}

static void take_variables(struct wisp_secrets *secrets)
{
    size_t n_all = 0, prefix_size = strlen(secrets->env_prefix);
    while (environ[n_all]) n_all++;
    secrets->variables = wisp_mem_calloc(n_all + 1, sizeof *secrets->variables);
    for (char **at = environ; *at;) {
        struct wisp_str name, value;
        if (strncmp(*at, secrets->env_prefix, prefix_size) != 0 ||
            !wisp_str_split(wisp_str_from(*at), '=', &name, &value) || name.len < prefix_size) {
            at++;
            continue;
        }
        struct wisp_secrets_variable *variable = &secrets->variables[secrets->n_variables++];
        variable->name = wisp_mem_dup(name);
        variable->value = take_variable(variable->name); /* the next one takes its place */
    }
}

static void get_variable(struct wisp_secrets *secrets, const struct wisp_lattice_secret_place *place,
                         wisp_secrets_on_done *on_done, void *env)
{
    struct wisp_err err = {0};
    size_t prefix_size = strlen(secrets->env_prefix);
    for (size_t i = 0; i < secrets->n_variables; i++) {
        if (!wisp_str_is(place->key, secrets->variables[i].name + prefix_size)) continue;
        hand_over(wisp_str_from(secrets->variables[i].value), place, on_done, env);
        return;
    }
    wisp_err_set(&err, WISP_ERR_NOT_FOUND, "this host was not given such a variable (%s...)", secrets->env_prefix);
    fail(on_done, env, &err);
}

/* --- all --- */

static char *dup_text(const char *text) { return text ? wisp_mem_dup(wisp_str_from(text)) : NULL; }

static int open_file(struct wisp_secrets *secrets, const char *dir, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return wisp_err_os(err, errno, "flag `--secrets-dir`: `%s`", dir);
    secrets->dir = *dir == '/' ? dup_text(dir) : realpath(dir, NULL); /* the working directory may change */
    if (!secrets->dir) return wisp_err_os(err, errno, "flag `--secrets-dir`: `%s`", dir);
    secrets->backends[secrets->n_backends++] = "file";
    return 0;
}

static int open_env(struct wisp_secrets *secrets, const char *prefix, struct wisp_err *err)
{
    if (!*prefix || strchr(prefix, '='))
        return wisp_err_set(err, WISP_ERR_USAGE, "flag `--secrets-env-prefix`: `%s` is no beginning of a name", prefix);
    secrets->env_prefix = dup_text(prefix);
    take_variables(secrets);
    secrets->backends[secrets->n_backends++] = "env";
    return 0;
}

int wisp_secrets_new(struct wisp_secrets **ret_secrets, uv_loop_t *loop, const struct wisp_secrets_options *options,
                     struct wisp_err *err)
{
    struct wisp_secrets *secrets = wisp_mem_calloc(1, sizeof *secrets);
    secrets->loop = loop;
    wisp_ring_init(&secrets->asks);
    int r = 0;
    if (options->vault_url) {
        if (!options->vault_token_file) secrets->vault_token = take_variable("VAULT_TOKEN");
        r = wisp_secrets_vault_open(secrets, options, err);
    }
    if (r == 0 && options->dir) r = open_file(secrets, options->dir, err);
    if (r == 0 && options->env_prefix) r = open_env(secrets, options->env_prefix, err);
    if (r < 0) {
        wisp_secrets_free(secrets);
        return r;
    }
    *ret_secrets = secrets;
    return 0;
}

void wisp_secrets_free(struct wisp_secrets *secrets)
{
    if (!secrets) return;
    wisp_secrets_vault_close(secrets);
    for (size_t i = 0; i < secrets->n_variables; i++) {
        free(secrets->variables[i].name);
        wisp_mem_wipe(secrets->variables[i].value);
    }
    free(secrets->variables);
    free(secrets->dir);
    free(secrets->env_prefix);
    free(secrets->vault_url);
    free(secrets->vault_token_file);
    free(secrets->vault_mount);
    wisp_mem_wipe(secrets->vault_token);
    free(secrets);
}

const char *const *wisp_secrets_backends(const struct wisp_secrets *secrets, size_t *ret_n)
{
    *ret_n = secrets->n_backends;
    return secrets->backends;
}

void wisp_secrets_get(struct wisp_secrets *secrets, const struct wisp_lattice_secret_place *place,
                      wisp_secrets_on_done *on_done, void *env)
{
    struct wisp_err err = {0};
    if (secrets->dir && wisp_str_is(place->backend, "file")) {
        get_file(secrets, place, on_done, env);
    } else if (secrets->env_prefix && wisp_str_is(place->backend, "env")) {
        get_variable(secrets, place, on_done, env);
    } else if (secrets->web && wisp_str_is(place->backend, "vault")) {
        wisp_secrets_vault_get(secrets, place, on_done, env);
    } else {
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "this host has no such backend");
        fail(on_done, env, &err);
    }
}
