/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise/supervisor.h"

#include "base/log.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

enum {
    OUTPUT_LINES = 8, /* kept of a child's output, for the log of its death */
    OUTPUT_LINE_MAX = 200,
    OUTPUT_TEXT_MAX = OUTPUT_LINES * (OUTPUT_LINE_MAX + 3),
    LOGGED_LINES_MAX = 200, /* of one child's output, in a second */
    LOGGED_BYTES_MAX = 64 << 10,
    LOGGED_WINDOW_MS = 1000,
};

/* How much of a child's output went to the log in this second. */
struct logged {
    uint64_t since_ms, n_dropped;
    uint32_t n_lines, n_bytes;
};

struct wisp_child {
    struct wisp_child *next;
    struct wisp_supervisor *supervisor;
    struct wisp_child_handler handler;
    void *env;
    char *name, *running;
    struct wisp_lifecycle life;
    struct wisp_child_process process; /* handle NULL: none */
    pid_t pid;                         /* 0: it does not run yet */
    uint64_t started_ms;
    bool was_ready;
    struct wisp_err failure;
    char output[OUTPUT_LINES][OUTPUT_LINE_MAX + 1]; /* ring; the oldest is at output_next once it is full */
    size_t output_next, n_output;
    struct logged logged;
    char *reason; /* why it is killed, though it is wanted; NULL: it isn't */
};

struct wisp_supervisor {
    const struct wisp_supervisor_world *world;
    void *env;
    uint64_t seed;
    struct wisp_child *children; /* in the order they were added */
    struct wisp_child **tail;
};

static uint64_t now_ms(const struct wisp_supervisor *supervisor) { return supervisor->world->now_ms(supervisor->env); }

/* --- log --- */

/* "ABRT" of SIGABRT; real-time signals have no name. */
static const char *signal_text(int number, char *text, size_t size)
{
    const char *name = sigabbrev_np(number);
    if (name)
        snprintf(text, size, "SIG%s", name);
    else
        snprintf(text, size, "%d", number);
    return text;
}

/* The kept lines, oldest first, in one text. */
static const char *output_text(const struct wisp_child *child, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < child->n_output && used < size; i++) {
        const char *line = child->output[(child->output_next + OUTPUT_LINES - child->n_output + i) % OUTPUT_LINES];
        int n = snprintf(text + used, size - used, "%s%s", i ? " | " : "", line);
        if (n > 0) used += (size_t)n;
    }
    return text;
}

static void log_exit(const struct wisp_child *child, enum wisp_log_level level, const char *message,
                     const struct wisp_child_exit *exit)
{
    if (!wisp_log_is_on(level)) return;
    struct wisp_log_field fields[8];
    size_t n = 0;
    char signal_name[16], output[OUTPUT_TEXT_MAX];
    fields[n++] = WISP_TEXT("child", child->name);
    fields[n++] = WISP_INT("pid", exit->pid);
    if (WIFSIGNALED(exit->wait_status))
        fields[n++] = WISP_TEXT("signal", signal_text(WTERMSIG(exit->wait_status), signal_name, sizeof signal_name));
    else
        fields[n++] = WISP_INT("exit_code", WEXITSTATUS(exit->wait_status));
    fields[n++] = WISP_INT("ran_ms", exit->ran_ms);
    fields[n++] = WISP_TEXT("running", child->running);
    if (exit->failure.kind || exit->reason)
        fields[n++] = WISP_TEXT("reason", exit->reason ? exit->reason : exit->failure.text);
    if (child->n_output) fields[n++] = WISP_TEXT("last_output", output_text(child, output, sizeof output));
    if (child->life.state == WISP_CHILD_BACKOFF) fields[n++] = WISP_INT("again_in_ms", wisp_child_pause_ms(child));
    assert(n <= WISP_COUNT(fields));
    wisp_log_write(level, "supervise", message, fields, n);
}

/* After the step: the state says what comes next. `before` is the state it died in. */
static void log_what_follows(const struct wisp_child *child, const struct wisp_child_exit *exit,
                             enum wisp_lifecycle_state before, bool again)
{
    bool was_asked = before != WISP_CHILD_STARTING && before != WISP_CHILD_READY && !exit->reason;
    bool is_clean = WIFEXITED(exit->wait_status) && WEXITSTATUS(exit->wait_status) == 0;
    if (was_asked && (is_clean || before == WISP_CHILD_KILLING))
        log_exit(child, WISP_LOG_DEBUG, "child ended", exit);
    else if (was_asked)
        log_exit(child, WISP_LOG_WARN, "child ended, but not as it should", exit);
    else if (!again)
        log_exit(child, WISP_LOG_DEBUG, "child died, and its owner knows", exit);
    else if (wisp_lifecycle_is_failed(&child->life))
        log_exit(child, WISP_LOG_ERROR, "child has failed too often, starting it again rarely", exit);
    else if (child->life.state == WISP_CHILD_BACKOFF)
        log_exit(child, WISP_LOG_ERROR, "child keeps dying, starting it again later", exit);
    else
        log_exit(child, WISP_LOG_WARN, "child died, replacing it", exit);
}

/* --- steps --- */

static void rearm(struct wisp_supervisor *supervisor)
{
    uint64_t next_ms = 0;
    for (const struct wisp_child *child = supervisor->children; child; child = child->next)
        if (child->life.deadline_ms && (!next_ms || child->life.deadline_ms < next_ms))
            next_ms = child->life.deadline_ms;
    supervisor->world->wake_at(supervisor->env, next_ms);
}

static void note_unstartable(struct wisp_child *child, const struct wisp_err *err)
{
    child->process = (struct wisp_child_process){0};
    child->failure = *err;
    WISP_LOG(ERROR, "supervise", "cannot start child, trying again later", WISP_TEXT("child", child->name),
             WISP_TEXT("running", child->running), WISP_TEXT("reason", err->text));
}

static void set_reason(struct wisp_child *child, const char *text)
{
    free(child->reason);
    child->reason = text ? wisp_mem_dup(wisp_str_from(text)) : NULL;
}

/* Returns whether there will be a process. */
static bool spawn(struct wisp_child *child)
{
    struct wisp_supervisor *supervisor = child->supervisor;
    struct wisp_err err = {0};
    child->was_ready = false;
    child->failure = (struct wisp_err){0};
    child->n_output = 0;
    child->logged = (struct logged){0};
    set_reason(child, NULL);
    child->started_ms = now_ms(supervisor);
    if (supervisor->world->spawn(supervisor->env, child, &child->process, &err) == 0) return true;
    note_unstartable(child, &err);
    return false;
}

static void send_signal(struct wisp_child *child, int number)
{
    child->supervisor->world->signal(child->supervisor->env, child->process.handle, number);
}

static void ask(struct wisp_child *child)
{
    if (child->process.has_control)
        child->supervisor->world->tell(child->supervisor->env, child->process.handle, "drain");
    else
        send_signal(child, SIGTERM);
}

static void log_impatience(const struct wisp_child *child, const char *message)
{
    WISP_LOG(WARN, "supervise", message, WISP_TEXT("child", child->name), WISP_INT("pid", child->pid),
             WISP_TEXT("running", child->running));
}

static void act(struct wisp_child *child, uint32_t action)
{
    switch (action) {
    case WISP_CHILD_ASK:
        ask(child);
        break;
    case WISP_CHILD_TERM:
        log_impatience(child, "child does not finish, sending SIGTERM");
        send_signal(child, SIGTERM);
        break;
    case WISP_CHILD_SLAY:
        log_impatience(child, child->reason            ? "child hangs, killing it"
                              : child->life.has_failed ? "child does not get ready, killing it"
                                                       : "killing child");
        send_signal(child, SIGKILL);
        break;
    default:
        assert(action == 0);
    }
}

static void step(struct wisp_child *child, enum wisp_lifecycle_event event);
static void note_ready(struct wisp_child *child, struct wisp_str text);

static void tell_state(struct wisp_child *child)
{
    if (child->handler.on_state) child->handler.on_state(child, child->env);
}

static void start_process(struct wisp_child *child)
{
    if (spawn(child))
        rearm(child->supervisor);
    else
        step(child, WISP_CHILD_EV_SPAWN_FAILED);
}

static void carry_out(struct wisp_child *child, uint32_t action, enum wisp_lifecycle_state before)
{
    if (action == WISP_CHILD_SPAWN) {
        start_process(child);
        return;
    }
    if (action != WISP_CHILD_DUE) act(child, action);
    rearm(child->supervisor);
    if (child->life.state != before) tell_state(child);
    if (action == WISP_CHILD_DUE) child->handler.on_due(child, child->env);
}

static void step(struct wisp_child *child, enum wisp_lifecycle_event event)
{
    enum wisp_lifecycle_state before = child->life.state;
    uint32_t action = wisp_lifecycle_step(&child->life, event, now_ms(child->supervisor));
    carry_out(child, action, before);
}

/* --- the owner's side --- */

struct wisp_child *wisp_child_add(struct wisp_supervisor *supervisor, const struct wisp_child_options *options)
{
    struct wisp_child *child = wisp_mem_calloc(1, sizeof *child);
    child->supervisor = supervisor;
    child->handler = options->handler;
    child->env = options->env;
    assert(!options->policy.is_held || options->handler.on_due);
    child->name = wisp_mem_dup(wisp_str_from(options->name));
    child->running = wisp_mem_dup(wisp_str_from(options->running));
    supervisor->seed = supervisor->seed * 6364136223846793005u + 1442695040888963407u;
    wisp_lifecycle_init(&child->life, &options->policy, supervisor->seed);
    *supervisor->tail = child;
    supervisor->tail = &child->next;
    return child;
}

void wisp_child_start(struct wisp_child *child) { step(child, WISP_CHILD_EV_START); }
void wisp_child_stop(struct wisp_child *child) { step(child, WISP_CHILD_EV_STOP); }
void wisp_child_kill(struct wisp_child *child) { step(child, WISP_CHILD_EV_KILL); }
void wisp_child_release(struct wisp_child *child) { step(child, WISP_CHILD_EV_RELEASE); }

static bool is_wanted(const struct wisp_child *child)
{
    return child->life.state == WISP_CHILD_STARTING || child->life.state == WISP_CHILD_READY;
}

void wisp_child_hang(struct wisp_child *child, const char *reason)
{
    if (is_wanted(child)) set_reason(child, reason);
    step(child, WISP_CHILD_EV_HANG);
}

enum wisp_lifecycle_state wisp_child_state(const struct wisp_child *child) { return child->life.state; }
pid_t wisp_child_pid(const struct wisp_child *child) { return child->pid; }

uint64_t wisp_child_pause_ms(const struct wisp_child *child)
{
    uint64_t now = now_ms(child->supervisor);
    return child->life.state == WISP_CHILD_BACKOFF && child->life.deadline_ms > now ? child->life.deadline_ms - now : 0;
}

uint32_t wisp_child_failures(const struct wisp_child *child) { return child->life.failures; }

bool wisp_child_is_failed(const struct wisp_child *child) { return wisp_lifecycle_is_failed(&child->life); }

const struct wisp_err *wisp_child_failure(const struct wisp_child *child) { return &child->failure; }

size_t wisp_child_last_output(const struct wisp_child *child, struct wisp_str *ret_lines, size_t max)
{
    size_t n = child->n_output < max ? child->n_output : max;
    for (size_t i = 0; i < n; i++)
        ret_lines[i] = wisp_str_from(child->output[(child->output_next + OUTPUT_LINES - n + i) % OUTPUT_LINES]);
    return n;
}

int wisp_child_prepare(struct wisp_child *child, struct wisp_process_spec *spec, struct wisp_err *err)
{
    return child->handler.prepare(child, spec, child->env, err);
}

/* --- the process's side --- */

void wisp_child_started(struct wisp_child *child, pid_t pid)
{
    child->pid = pid;
    child->started_ms = now_ms(child->supervisor);
    WISP_LOG(DEBUG, "supervise", "child started", WISP_TEXT("child", child->name), WISP_INT("pid", pid),
             WISP_TEXT("running", child->running));
    if (child->life.state != WISP_CHILD_STARTING) return; /* its owner has thought better of it */
    tell_state(child);
    if (!child->process.has_control) note_ready(child, (struct wisp_str){0});
}

void wisp_child_unstartable(struct wisp_child *child, const struct wisp_err *err)
{
    bool is_wanted = child->life.state == WISP_CHILD_STARTING;
    if (is_wanted) note_unstartable(child, err);
    child->process = (struct wisp_child_process){0};
    step(child, is_wanted ? WISP_CHILD_EV_SPAWN_FAILED : WISP_CHILD_EV_EXIT);
}

static void note_failure(struct wisp_child *child, struct wisp_str rest)
{
    struct wisp_str name = rest, text = {0};
    wisp_str_split(rest, ' ', &name, &text);
    enum wisp_err_kind kind = WISP_ERR_INTERNAL;
    for (enum wisp_err_kind each = WISP_ERR_NONE + 1; each < WISP_ERR_COUNT; each++)
        if (wisp_str_is(name, wisp_err_name(each))) kind = each;
    wisp_err_set(&child->failure, kind, "%.*s", WISP_STR_ARG(text));
}

static void note_ready(struct wisp_child *child, struct wisp_str text)
{
    child->was_ready = true;
    WISP_LOG(DEBUG, "supervise", "child is ready", WISP_TEXT("child", child->name), WISP_INT("pid", child->pid),
             WISP_INT("after_ms", now_ms(child->supervisor) - child->started_ms));
    if (child->handler.on_ready) child->handler.on_ready(child, text, child->env);
    step(child, WISP_CHILD_EV_READY);
}

void wisp_child_said(struct wisp_child *child, struct wisp_str line)
{
    struct wisp_str word = line, rest = {0};
    wisp_str_split(line, ' ', &word, &rest);
    if (wisp_str_is(word, "ready"))
        note_ready(child, rest);
    else if (wisp_str_is(word, "failed"))
        note_failure(child, rest);
    else
        WISP_LOG(DEBUG, "supervise", "child said something unknown", WISP_TEXT("child", child->name),
                 WISP_BYTES("line", line));
}

static void log_dropped(struct wisp_child *child)
{
    if (child->logged.n_dropped)
        WISP_LOG(WARN, child->name, "output came too fast, lines are left out", WISP_INT("pid", child->pid),
                 WISP_INT("lines", child->logged.n_dropped));
    child->logged.n_dropped = 0;
}

static void log_output(struct wisp_child *child, struct wisp_str line)
{
    struct logged *logged = &child->logged;
    uint64_t now = now_ms(child->supervisor);
    if (now - logged->since_ms >= LOGGED_WINDOW_MS) {
        log_dropped(child);
        *logged = (struct logged){.since_ms = now};
    }
    if (logged->n_lines >= LOGGED_LINES_MAX || logged->n_bytes + line.len > LOGGED_BYTES_MAX) {
        logged->n_dropped++;
        return;
    }
    logged->n_lines++;
    logged->n_bytes += (uint32_t)line.len;
    WISP_LOG(INFO, child->name, "output", WISP_INT("pid", child->pid), WISP_BYTES("line", line));
}

void wisp_child_printed(struct wisp_child *child, struct wisp_str line)
{
    log_output(child, line);
    char *kept = child->output[child->output_next];
    size_t size = line.len < OUTPUT_LINE_MAX ? line.len : OUTPUT_LINE_MAX;
    if (size) memcpy(kept, line.ptr, size);
    kept[size] = '\0';
    child->output_next = (child->output_next + 1) % OUTPUT_LINES;
    if (child->n_output < OUTPUT_LINES) child->n_output++;
}

void wisp_child_ran_out(struct wisp_child *child, uint64_t limit_bytes)
{
    char text[96];
    snprintf(text, sizeof text, "it ran out of memory: its limit is %.6g MiB", (double)limit_bytes / (1 << 20));
    if (is_wanted(child)) set_reason(child, text);
}

void wisp_child_exited(struct wisp_child *child, int wait_status)
{
    const struct wisp_child_exit exit = {
        .pid = child->pid,
        .wait_status = wait_status,
        .ran_ms = now_ms(child->supervisor) - child->started_ms,
        .was_ready = child->was_ready,
        .failure = child->failure,
        .reason = child->reason,
    };
    log_dropped(child);
    bool again = !child->handler.on_exit || child->handler.on_exit(child, &exit, child->env);
    enum wisp_lifecycle_state before = child->life.state;
    child->process = (struct wisp_child_process){0};
    child->pid = 0;
    uint32_t action =
        wisp_lifecycle_step(&child->life, again ? WISP_CHILD_EV_EXIT : WISP_CHILD_EV_FINISH, now_ms(child->supervisor));
    log_what_follows(child, &exit, before, again);
    if (child->handler.on_ended) child->handler.on_ended(child, &exit, child->env);
    carry_out(child, action, before);
}

/* --- all --- */

struct wisp_supervisor *wisp_supervisor_new(const struct wisp_supervisor_world *world, void *env, uint64_t seed)
{
    struct wisp_supervisor *supervisor = wisp_mem_calloc(1, sizeof *supervisor);
    supervisor->world = world;
    supervisor->env = env;
    supervisor->seed = seed;
    supervisor->tail = &supervisor->children;
    return supervisor;
}

void wisp_supervisor_free(struct wisp_supervisor *supervisor)
{
    if (!supervisor) return;
    for (struct wisp_child *child = supervisor->children, *next; child; child = next) {
        assert(!child->process.handle);
        next = child->next;
        free(child->name);
        free(child->running);
        free(child->reason);
        free(child);
    }
    free(supervisor);
}

void wisp_supervisor_tick(struct wisp_supervisor *supervisor)
{
    uint64_t now = now_ms(supervisor);
    for (struct wisp_child *child = supervisor->children; child; child = child->next)
        if (child->life.deadline_ms && child->life.deadline_ms <= now) step(child, WISP_CHILD_EV_DEADLINE);
    rearm(supervisor);
}

void wisp_supervisor_stop_all(struct wisp_supervisor *supervisor)
{
    for (struct wisp_child *child = supervisor->children; child; child = child->next) wisp_child_stop(child);
}

void wisp_supervisor_kill_all(struct wisp_supervisor *supervisor)
{
    for (struct wisp_child *child = supervisor->children; child; child = child->next) wisp_child_kill(child);
}

bool wisp_supervisor_is_idle(const struct wisp_supervisor *supervisor)
{
    for (const struct wisp_child *child = supervisor->children; child; child = child->next)
        if (child->life.state != WISP_CHILD_DOWN) return false;
    return true;
}
