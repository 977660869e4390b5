/* SPDX-License-Identifier: Apache-2.0 */
/* Following an application until it is as it was asked to be. */
#include "cli/app.h"

#include "base/json.h"
#include "cli/words.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    LOOK_MS = 1000,            /* though nothing was said */
    CONFIRM_MS = 250,          /* the first answer may be older than the change */
    FAILED_PATIENCE_MS = 5000, /* what fails may come right at the next attempt */
};

struct waiting {
    struct wisp_lattice_client *client;
    const char *name, *goal;
    bool is_quiet, is_terminal;
    json_t *shown;    /* by scaler, the line that was printed last */
    size_t n_lines;   /* on the terminal, to be drawn over */
    json_t *status;   /* the last one */
    bool has_changed; /* it was something else than the goal */
    bool looks_again; /* soon, to be sure */
    bool is_failed;
    uint64_t failed_ms; /* when it was for the first time; attempts go on and may change that for a while */
};

static uint64_t now_ms(void) { return uv_hrtime() / 1000000; }

int wisp_apps_listen(struct wisp_lattice_client *client, const char *name, struct wisp_err *err)
{
    const char *subject = wisp_arena_printf(wisp_lattice_client_arena(client), "wadm.status.%s.%s",
                                            wisp_lattice_client_settings(client)->lattice, name);
    wisp_lattice_client_hold_signals(client);
    return wisp_lattice_client_subscribe(client, subject, err);
}

/* --- showing --- */

struct wisp_str wisp_apps_why(const json_t *scaler)
{
    struct wisp_str message = wisp_json_str(json_object_get(scaler, "status"), "message");
    return message.len ? message : wisp_json_str(scaler, "message");
}

void wisp_apps_counts(const json_t *scaler, struct wisp_buf *out)
{
    const json_t *wanted = json_object_get(scaler, "wanted"), *found = json_object_get(scaler, "found");
    if (!json_is_integer(wanted) || !json_is_integer(found)) return;
    wisp_buf_printf(out, "%lld/%lld", (long long)json_integer_value(found), (long long)json_integer_value(wanted));
}

static struct wisp_str type_of(const json_t *owner) { return wisp_json_str(json_object_get(owner, "status"), "type"); }

/* On one line, without what controls a terminal. */
static void scaler_line(const json_t *scaler, struct wisp_buf *out)
{
    struct wisp_str why = wisp_apps_why(scaler);
    WISP_CLEANUP_BUF struct wisp_buf counts = {0};
    wisp_apps_counts(scaler, &counts);
    wisp_buf_printf(out, "  %-11.*s  %.*s", WISP_STR_ARG(type_of(scaler)), WISP_STR_ARG(wisp_json_str(scaler, "name")));
    if (counts.len) wisp_buf_printf(out, "  %.*s", WISP_STR_ARG(wisp_buf_str(&counts)));
    if (why.len) wisp_buf_printf(out, "  %.*s", WISP_STR_ARG(why));
    wisp_output_clean(out->data, out->len);
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '\n') out->data[i] = ' ';
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

static void redraw(struct waiting *waiting, const json_t *scalers)
{
    int width = terminal_width();
    if (waiting->n_lines) printf("\033[%zuA\033[J", waiting->n_lines);
    waiting->n_lines = json_array_size(scalers);
    for (size_t i = 0; i < waiting->n_lines; i++) {
        WISP_CLEANUP_BUF struct wisp_buf line = {0};
        scaler_line(json_array_get(scalers, i), &line);
        printf("%.*s\n", line.len < (size_t)width ? (int)line.len : width, line.data);
    }
}

/* Lines of those that are different now. */
static void print_news(struct waiting *waiting, const json_t *scalers)
{
    for (size_t i = 0; i < json_array_size(scalers); i++) {
        const json_t *scaler = json_array_get(scalers, i);
        WISP_CLEANUP_BUF struct wisp_buf line = {0}, key = {0};
        scaler_line(scaler, &line);
        wisp_buf_printf(&key, "%.*s %.*s", WISP_STR_ARG(wisp_json_str(scaler, "id")),
                        WISP_STR_ARG(wisp_json_str(scaler, "name")));
        json_t *text = wisp_json_text(wisp_buf_str(&line));
        if (!json_equal(json_object_getn(waiting->shown, key.data, key.len), text))
            printf("%.*s\n", WISP_STR_ARG(wisp_buf_str(&line)));
        json_object_setn_new(waiting->shown, key.data, key.len, text);
    }
}

static void show(struct waiting *waiting)
{
    const json_t *scalers = json_object_get(waiting->status, "scalers");
    if (waiting->is_quiet) return;
    if (waiting->is_terminal)
        redraw(waiting, scalers);
    else
        print_news(waiting, scalers);
    fflush(stdout);
}

/* --- why not --- */

static void append_reasons(struct wisp_buf *out, const json_t *status, const char *goal)
{
    const json_t *scalers = json_object_get(status, "scalers");
    for (size_t i = 0; i < json_array_size(scalers); i++) {
        const json_t *scaler = json_array_get(scalers, i);
        struct wisp_str why = wisp_apps_why(scaler), type = type_of(scaler);
        if (wisp_str_is(type, goal)) continue;
        wisp_buf_printf(out, "%s%.*s: %.*s", out->len ? "; " : "", WISP_STR_ARG(wisp_json_str(scaler, "name")),
                        WISP_STR_ARG(why.len ? why : type));
    }
    struct wisp_str message = wisp_json_str(json_object_get(status, "status"), "message");
    if (!out->len) wisp_buf_append_str(out, message);
    if (!out->len) wisp_buf_printf(out, "it is %.*s", WISP_STR_ARG(type_of(status)));
    wisp_output_clean(out->data, out->len);
}

static int refuse(const struct waiting *waiting, enum wisp_err_kind kind, const char *how, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf reasons = {0};
    if (waiting->status)
        append_reasons(&reasons, waiting->status, waiting->goal);
    else
        wisp_buf_append_str(&reasons, WISP_STR("the deployment manager says nothing about it"));
    return wisp_err_set(err, kind, "`%s` is not %s%s: %.*s", waiting->name, waiting->goal, how,
                        WISP_STR_ARG(wisp_buf_str(&reasons)));
}

/* --- looking --- */

static bool has_any_of(const json_t *inventory, const char *kind, const char *name)
{
    const json_t *entries = json_object_get(inventory, kind);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *annotations = json_object_get(json_array_get(entries, i), "annotations");
        if (wisp_str_is(wisp_json_str(annotations, "wasmcloud.dev/appspec"), name)) return true;
    }
    return false;
}

/* 1 when nothing is left on any host that carries the application's name, else 0. */
static int is_cleared(struct wisp_lattice_client *client, const char *name, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *inventories = NULL;
    int r = wisp_hosts_inventories(client, &inventories, err);
    if (r < 0) return r;
    for (size_t i = 0; i < json_array_size(inventories); i++) {
        const json_t *inventory = json_array_get(inventories, i);
        if (has_any_of(inventory, "components", name) || has_any_of(inventory, "providers", name)) return 0;
    }
    return 1;
}

/* 1: it is as it should be. */
static int look(struct waiting *waiting, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *reply = NULL;
    struct wisp_apps_question question = {.op = "status", .name = waiting->name};
    int r = wisp_apps_ask(waiting->client, &question, &reply, err);
    /* It may be that another manager is taking over. */
    if (r == -WISP_ERR_UNAVAILABLE || r == -WISP_ERR_TIMEOUT) return 0;
    if (r < 0) return r;
    json_decref(waiting->status);
    waiting->status = json_incref(json_object_get(reply, "status"));
    show(waiting);
    struct wisp_str type = type_of(waiting->status);
    waiting->is_failed = wisp_str_is(type, "failed");
    if (waiting->is_failed && !waiting->failed_ms) waiting->failed_ms = now_ms();
    bool is_there = wisp_str_is(type, waiting->goal);
    if (!is_there) waiting->has_changed = true;
    bool was_seen = waiting->looks_again;
    waiting->looks_again = is_there;
    if (is_there && !waiting->has_changed && !was_seen) return 0;
    if (is_there && strcmp(waiting->goal, "undeployed") == 0) return is_cleared(waiting->client, waiting->name, err);
    return is_there;
}

static int wait_on(struct waiting *waiting, uint64_t timeout_ms, struct wisp_err *err)
{
    uint64_t end = now_ms() + timeout_ms;
    for (;;) {
        int r = look(waiting, err);
        if (r > 0) return 0;
        uint64_t now = now_ms(), pause = waiting->looks_again ? CONFIRM_MS : LOOK_MS;
        if (r == 0 && now >= end) {
            char how[48];
            snprintf(how, sizeof how, " after %.0f s", (double)timeout_ms / 1000);
            return refuse(waiting, WISP_ERR_TIMEOUT, how, err);
        }
        if (r == 0 && waiting->is_failed && now - waiting->failed_ms >= FAILED_PATIENCE_MS)
            return refuse(waiting, WISP_ERR_UNAVAILABLE, "", err);
        const struct wisp_lattice_message *message;
        if (r == 0) r = wisp_lattice_client_next(waiting->client, end - now < pause ? end - now : pause, &message, err);
        if (r == -WISP_ERR_CANCELLED)
            return refuse(waiting, WISP_ERR_CANCELLED, ", and the manager goes on with it; interrupted", err);
        if (r < 0) return r;
    }
}

int wisp_apps_wait(struct wisp_lattice_client *client, const char *name, const char *goal, uint64_t timeout_ms,
                   bool is_quiet, json_t **ret_status, struct wisp_err *err)
{
    struct waiting waiting = {.client = client,
                              .name = name,
                              .goal = goal,
                              .is_quiet = is_quiet,
                              .is_terminal = isatty(STDOUT_FILENO),
                              .shown = json_object()};
    int r = wait_on(&waiting, timeout_ms, err);
    json_decref(waiting.shown);
    *ret_status = waiting.status;
    return r;
}
