/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/credentials.h"

#include "base/json.h"
#include "nkeys/nkeys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONFIG_MAX = 1 << 20, ANSWER_MAX = 64 * 1024, HELPER_TIMEOUT_MS = 10 * 1000 };

extern char **environ;

void wisp_oci_login_deinit(struct wisp_oci_login *login)
{
    wisp_mem_wipe(login->user);
    wisp_mem_wipe(login->password);
    *login = (struct wisp_oci_login){0};
}

static void set_login(struct wisp_oci_login *login, struct wisp_str user, struct wisp_str password)
{
    login->user = wisp_mem_dup(user);
    login->password = wisp_mem_dup(password);
}

/* --- the file --- */

/* Docker's own registry has its old URL for a key. */
static const char *key_of(const char *registry)
{
    return strcmp(registry, "docker.io") == 0 ? "https://index.docker.io/v1/" : registry;
}

/* "reg.io" is also found as "https://reg.io", "https://reg.io/v2/" and the like. */
static const json_t *entry_of(const json_t *auths, const char *registry)
{
    const json_t *exact = json_object_get(auths, key_of(registry));
    if (exact) return exact;
    const char *key;
    json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)auths, key, entry)
    {
        struct wisp_str host = wisp_str_from(key), rest;
        const char *scheme = strstr(key, "://");
        if (scheme) host = wisp_str_from(scheme + 3);
        wisp_str_split(host, '/', &host, &rest);
        if (wisp_str_is(host, registry)) return entry;
    }
    return NULL;
}

static int read_entry(const json_t *entry, struct wisp_oci_login *ret_login, struct wisp_err *err)
{
    WISP_CLEANUP_WIPE struct wisp_buf pair = {0};
    struct wisp_str user = wisp_json_str(entry, "username"), password = wisp_json_str(entry, "password");
    struct wisp_str auth = wisp_json_str(entry, "auth");
    if (auth.len) {
        if (wisp_base64_decode(auth, &pair, NULL) < 0 || !wisp_str_split(wisp_buf_str(&pair), ':', &user, &password))
            return wisp_err_set(err, WISP_ERR_INVALID, "`auth` is not base64 of USER:PASSWORD");
        /* Docker pads with NULs. */
        while (password.len && password.ptr[password.len - 1] == '\0') password.len--;
    }
    if (user.len) set_login(ret_login, user, password);
    return 0;
}

int wisp_oci_docker_config_read(struct wisp_str text, const char *registry, struct wisp_oci_login *ret_login,
                                char **ret_helper, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *config = NULL;
    *ret_login = (struct wisp_oci_login){0};
    *ret_helper = NULL;
    /* The parser's words could show a part of a password. */
    if (wisp_json_parse(text, &config, NULL) < 0) return wisp_err_set(err, WISP_ERR_INVALID, "not valid JSON");
    struct wisp_str helper = wisp_json_str(json_object_get(config, "credHelpers"), key_of(registry));
    if (!helper.len) helper = wisp_json_str(config, "credsStore");
    const json_t *entry = entry_of(json_object_get(config, "auths"), registry);
    int r = read_entry(entry, ret_login, err);
    if (r < 0 || ret_login->user || !helper.len) return r;
    for (size_t i = 0; i < helper.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", helper.ptr[i]) ||
            !helper.ptr[i])
            return wisp_err_set(err, WISP_ERR_INVALID, "name of the credential helper is not valid");
    *ret_helper = wisp_mem_dup(helper);
    return 0;
}

/* --- helpers --- */

struct helper {
    pid_t pid;
    int in, out; /* its standard input and output, our ends */
};

static int start_helper(const char *program, struct helper *ret_helper, struct wisp_err *err)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) < 0) return wisp_err_os(err, errno, "pipe");
    if (pipe2(out, O_CLOEXEC) < 0) {
        int r = wisp_err_os(err, errno, "pipe");
        close(in[0]), close(in[1]);
        return r;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    char *argv[] = {wisp_mem_dup(wisp_str_from(program)), (char[]){"get"}, NULL};
    int failure = posix_spawnp(&ret_helper->pid, program, &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(argv[0]);
    close(in[0]), close(out[1]);
    ret_helper->in = in[1];
    ret_helper->out = out[0];
    if (failure == 0) return 0;
    close(in[1]), close(out[0]);
    return wisp_err_os(err, failure, "start");
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int read_answer(int fd, int64_t end_ms, struct wisp_buf *ret_answer, struct wisp_err *err)
{
    while (ret_answer->len < ANSWER_MAX) {
        int64_t left_ms = end_ms - now_ms();
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int ready = left_ms > 0 ? poll(&poll_fd, 1, (int)left_ms) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return wisp_err_set(err, WISP_ERR_TIMEOUT, "no answer for %d s", HELPER_TIMEOUT_MS / 1000);
        ssize_t n = read(fd, wisp_buf_reserve(ret_answer, 4096), 4096);
        if (n == 0) return 0;
        if (n > 0) ret_answer->len += (size_t)n;
    }
    return wisp_err_set(err, WISP_ERR_LIMIT, "answer has more than %d bytes", ANSWER_MAX);
}

/* Whether it has ended well. One that doesn't end by itself in time is ended. */
static bool reap(pid_t pid, int64_t end_ms)
{
    int status = 0;
    int64_t left_ms = end_ms - now_ms();
    WISP_CLEANUP_FD int fd = pidfd_open(pid, 0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    if (fd < 0 || left_ms <= 0 || poll(&poll_fd, 1, (int)left_ms) <= 0) kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int ask_helper(const char *name, const char *registry, struct wisp_buf *ret_answer, bool *ret_knows,
                      struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf program = {0}, question = {0};
    struct helper helper;
    wisp_buf_printf(&program, "docker-credential-%s", name);
    wisp_buf_append_char(&program, '\0');
    wisp_buf_printf(&question, "%s\n", key_of(registry));
    int r = start_helper(program.data, &helper, err);
    if (r < 0) return wisp_err_wrap(err, "%s", program.data);
    /* Less than a pipe holds. A helper that is gone already makes SIGPIPE, which wisp_web_new has turned off. */
    if (write(helper.in, question.data, question.len) < 0) {
    }
    close(helper.in);
    int64_t end_ms = now_ms() + HELPER_TIMEOUT_MS;
    r = read_answer(helper.out, end_ms, ret_answer, err);
    close(helper.out);
    *ret_knows = reap(helper.pid, r == 0 ? end_ms : 0) && r == 0;
    return r < 0 ? wisp_err_wrap(err, "%s", program.data) : 0;
}

static int login_by_helper(const char *name, const char *registry, struct wisp_oci_login *ret_login,
                           struct wisp_err *err)
{
    WISP_CLEANUP_WIPE struct wisp_buf answer = {0};
    WISP_CLEANUP_JSON json_t *value = NULL;
    bool knows;
    int r = ask_helper(name, registry, &answer, &knows, err);
    if (r < 0 || !knows) return r; /* a helper that knows nothing says so by its exit code */
    r = wisp_json_parse(wisp_buf_str(&answer), &value, NULL);
    if (r < 0) return wisp_err_set(err, WISP_ERR_INVALID, "docker-credential-%s: answer is not JSON", name);
    struct wisp_str user = wisp_json_str(value, "Username"), secret = wisp_json_str(value, "Secret");
    if (wisp_str_is(user, "<token>"))
        return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "docker-credential-%s: identity tokens are not supported", name);
    if (user.len) set_login(ret_login, user, secret);
    return 0;
}

/* --- both --- */

static int read_config(const char *path, struct wisp_buf *ret_text, struct wisp_err *err)
{
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : wisp_err_os(err, errno, "open");
    for (;;) {
        ssize_t n = read(fd, wisp_buf_reserve(ret_text, 4096), 4096);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return wisp_err_os(err, errno, "read");
        if (n == 0) return 0;
        ret_text->len += (size_t)n;
        if (ret_text->len > CONFIG_MAX) return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d bytes", CONFIG_MAX);
    }
}

int wisp_oci_docker_login(const char *registry, struct wisp_oci_login *ret_login, struct wisp_err *err)
{
    const char *folder = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    char path[4096];
    WISP_CLEANUP_WIPE struct wisp_buf text = {0};
    WISP_CLEANUP_FREE char *helper = NULL;
    *ret_login = (struct wisp_oci_login){0};
    bool is_set = folder && *folder;
    if (!is_set && (!home || !*home)) return 0;
    snprintf(path, sizeof path, "%s%s/config.json", is_set ? folder : home, is_set ? "" : "/.docker");
    int r = read_config(path, &text, err);
    if (r < 0) return wisp_err_wrap(err, "%s", path);
    if (text.len == 0) return 0;
    r = wisp_oci_docker_config_read(wisp_buf_str(&text), registry, ret_login, &helper, err);
    wisp_buf_wipe(&text); /* a helper may take its time */
    if (r < 0) return wisp_err_wrap(err, "%s", path);
    return helper ? login_by_helper(helper, registry, ret_login, err) : 0;
}
