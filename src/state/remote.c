/* SPDX-License-Identifier: Apache-2.0 */
#include "state/state_priv.h"
#include "state/wire.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ANSWER_TIMEOUT_MS = 3000,
    WRITE_TIMEOUT_MS = 5000,
    CHECK_EVERY_MS = 5000, /* is the owner there, and have we seen all of it? */
    RETRY_MIN_MS = 50,
    RETRY_MAX_MS = 2000,
};

struct remote_write {
    struct remote_write *prev, *next;
    struct remote *remote;
    struct wisp_bus_request *request;
    wisp_state_on_written *on_written;
    void *env;
};

struct remote {
    struct wisp_state state;
    struct wisp_state_view view;
    struct wisp_bus_watch watch;
    struct wisp_bus_subscription *changed;
    struct wisp_bus_request *request; /* hello or read */
    uv_timer_t timer;                 /* the next check, or the next attempt to read */
    uint64_t retry_ms;
    bool is_loading, is_current; /* reading; has read all and seen every change since */
    char owner[WISP_STATE_OWNER_LEN + 1];
    uint64_t revision; /* the last one seen */
    struct remote_write *writes;
};

static void begin(struct remote *remote);
static void check(struct remote *remote);

static void on_timer(uv_timer_t *timer)
{
    struct wisp_state *state = timer->data;
    struct remote *remote = (struct remote *)state;
    if (remote->is_current)
        check(remote);
    else
        begin(remote);
}

static void later(struct remote *remote, uint64_t ms) { uv_timer_start(&remote->timer, on_timer, ms, 0); }

/* What we have is old from now on; it is read again, sooner or later. */
static void lose(struct remote *remote, const struct wisp_err *reason)
{
    wisp_bus_request_cancel(WISP_TAKE(remote->request));
    remote->is_loading = remote->is_current = false;
    wisp_state_tell_reachable(&remote->state, false, reason);
    if (remote->state.is_closed) return;
    later(remote, remote->retry_ms);
    remote->retry_ms = remote->retry_ms * 2 < RETRY_MAX_MS ? remote->retry_ms * 2 : RETRY_MAX_MS;
}

static int ask(struct remote *remote, const char *word, uint64_t after, wisp_bus_on_reply *on_reply,
               struct wisp_err *err)
{
    char subject[WISP_STATE_SUBJECT_MAX], number[24];
    snprintf(number, sizeof number, "%" PRIu64, after);
    struct wisp_bus_header header = {WISP_STR(WISP_STATE_AFTER_HEADER), wisp_str_from(number)};
    return wisp_bus_request(remote->state.bus, wisp_state_subject(subject, remote->state.lattice, word), &header, 1,
                            WISP_STR(""), ANSWER_TIMEOUT_MS, on_reply, remote, &remote->request, err);
}

/* --- loading --- */

static bool is_owner(const struct remote *remote, const struct wisp_bus_message *message)
{
    return wisp_str_is(wisp_bus_header_get(message, WISP_STATE_OWNER_HEADER), remote->owner);
}

static int take_owner(struct remote *remote, const struct wisp_bus_message *message, struct wisp_err *err)
{
    struct wisp_str owner = wisp_bus_header_get(message, WISP_STATE_OWNER_HEADER);
    if (!owner.len || owner.len > WISP_STATE_OWNER_LEN)
        return wisp_err_set(err, WISP_ERR_INVALID, "the state's owner does not say who it is");
    if (!remote->owner[0]) {
        memcpy(remote->owner, owner.ptr, owner.len);
        remote->owner[owner.len] = '\0';
    }
    if (!is_owner(remote, message))
        return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the lattice's state has another owner");
    return 0;
}

static int take_record(struct remote *remote, struct wisp_str *rest, uint64_t *ret_revision, struct wisp_err *err)
{
    struct wisp_state_record record;
    int r = wisp_state_record_decode(rest, &record, err);
    if (r < 0) return r;
    *ret_revision = record.revision;
    if (record.has_value)
        return wisp_state_view_put(&remote->view, record.bucket, record.key, record.value, record.revision, err);
    wisp_state_view_delete(&remote->view, record.bucket, record.key, record.revision);
    return 0;
}

static void finish_loading(struct remote *remote, uint64_t revision)
{
    remote->revision = revision;
    remote->is_loading = false;
    remote->is_current = true;
    remote->retry_ms = RETRY_MIN_MS;
    later(remote, CHECK_EVERY_MS);
    for (int bucket = 0; bucket < WISP_STATE_BUCKET_COUNT; bucket++)
        wisp_state_view_end(&remote->view, (enum wisp_state_bucket)bucket);
    wisp_state_tell_reachable(&remote->state, true, NULL);
    wisp_state_tell_loaded(&remote->state);
}

static void on_page(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env);

static int take_page(struct remote *remote, const struct wisp_bus_message *message, struct wisp_err *err)
{
    uint64_t revision = 0, after = 0, ignored;
    struct wisp_str rest = message->payload;
    int r = wisp_state_header_error(message, err);
    if (r == 0) r = take_owner(remote, message, err);
    if (r == 0) r = wisp_state_header_u64(message, WISP_STATE_REVISION_HEADER, &revision, err);
    if (r == 0) r = wisp_state_header_u64(message, WISP_STATE_AFTER_HEADER, &after, err);
    while (r == 0 && rest.len && !remote->state.is_closed) r = take_record(remote, &rest, &ignored, err);
    if (r < 0 || remote->state.is_closed) return r;
    bool has_more = wisp_bus_header_get(message, WISP_STATE_MORE_HEADER).len;
    if (has_more && after <= remote->revision)
        return wisp_err_set(err, WISP_ERR_INVALID, "pages of the lattice's state that don't go on");
    remote->revision = after;
    if (has_more) return ask(remote, "read", after, on_page, err);
    finish_loading(remote, revision);
    return 0;
}

static void on_page(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct remote *remote = env;
    struct wisp_err err = {0};
    remote->request = NULL;
    if (failure)
        lose(remote, failure);
    else if (take_page(remote, message, &err) < 0)
        lose(remote, &err);
}

static void begin(struct remote *remote)
{
    struct wisp_err err = {0};
    uv_timer_stop(&remote->timer);
    wisp_bus_request_cancel(WISP_TAKE(remote->request));
    remote->is_current = false;
    remote->is_loading = wisp_bus_client_state(remote->state.bus) == WISP_BUS_CONNECTED;
    if (!remote->is_loading) return; /* on_bus_state goes on */
    remote->owner[0] = '\0';
    remote->revision = 0;
    for (int bucket = 0; bucket < WISP_STATE_BUCKET_COUNT; bucket++)
        wisp_state_view_begin(&remote->view, (enum wisp_state_bucket)bucket);
    if (ask(remote, "read", 0, on_page, &err) < 0) lose(remote, &err);
}

/* --- changes --- */

static void on_changed(const struct wisp_bus_message *message, void *env)
{
    struct remote *remote = env;
    struct wisp_err err = {0};
    struct wisp_str rest = message->payload;
    uint64_t revision = 0;
    if (remote->is_loading && !remote->owner[0]) return; /* what comes first has all of that */
    if (!remote->is_loading && !remote->is_current) return;
    if (!is_owner(remote, message)) {
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "the lattice's state has a new owner");
        lose(remote, &err);
        return;
    }
    if (!rest.len) return;
    struct wisp_state_record record;
    struct wisp_str peek = rest;
    if (wisp_state_record_decode(&peek, &record, &err) < 0 || peek.len) return;
    if (remote->is_current && record.revision <= remote->revision) return;
    if (remote->is_current && record.revision != remote->revision + 1) {
        WISP_LOG(DEBUG, "state", "a change was missed, reading all again", WISP_INT("revision", record.revision));
        begin(remote);
        return;
    }
    if (remote->is_current) remote->revision = record.revision;
    if (take_record(remote, &rest, &revision, &err) < 0) lose(remote, &err);
}

static void on_checked(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct remote *remote = env;
    struct wisp_err err = {0};
    uint64_t revision = 0;
    remote->request = NULL;
    if (failure)
        lose(remote, failure);
    else if (wisp_state_header_u64(message, WISP_STATE_REVISION_HEADER, &revision, &err) < 0)
        lose(remote, &err);
    else if (!is_owner(remote, message) || revision != remote->revision)
        begin(remote);
    else
        later(remote, CHECK_EVERY_MS);
}

static void check(struct remote *remote)
{
    struct wisp_err err = {0};
    if (ask(remote, "hello", 0, on_checked, &err) < 0) lose(remote, &err);
}

static void on_bus_state(enum wisp_bus_state bus_state, const struct wisp_err *reason, void *env)
{
    struct remote *remote = env;
    if (bus_state == WISP_BUS_CONNECTED)
        begin(remote);
    else if (bus_state != WISP_BUS_CONNECTING)
        lose(remote, reason);
}

/* --- writing --- */

static void forget(struct remote_write *write)
{
    if (write->prev)
        write->prev->next = write->next;
    else
        write->remote->writes = write->next;
    if (write->next) write->next->prev = write->prev;
    free(write);
}

static void on_write_answer(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct remote_write *write = env;
    struct remote *remote = write->remote;
    wisp_state_on_written *on_written = write->on_written;
    void *caller = write->env;
    struct wisp_err err = {0};
    uint64_t revision = 0;
    forget(write);
    if (failure) err = *failure;
    if (failure && failure->kind == WISP_ERR_UNAVAILABLE && remote->is_current)
        lose(remote, failure); /* there is no owner now */
    else if (!failure && wisp_state_header_error(message, &err) == 0)
        (void)!wisp_state_header_u64(message, WISP_STATE_REVISION_HEADER, &revision, &err);
    wisp_state_tell_written(&remote->state, on_written, caller, revision, err.kind ? &err : NULL);
}

static int send_write(struct remote *remote, const struct wisp_state_record *record, int64_t expected,
                      struct remote_write *write, struct wisp_err *err)
{
    char subject[WISP_STATE_SUBJECT_MAX], number[24];
    WISP_CLEANUP_BUF struct wisp_buf payload = {0};
    snprintf(number, sizeof number, "%" PRId64, expected);
    struct wisp_bus_header header = {WISP_STR(WISP_STATE_EXPECTED_HEADER), wisp_str_from(number)};
    if (!remote->is_current) return wisp_err_set(err, WISP_ERR_UNAVAILABLE, "the lattice's state can't be reached");
    wisp_state_record_encode(record, &payload);
    return wisp_bus_request(remote->state.bus, wisp_state_subject(subject, remote->state.lattice, "write"), &header, 1,
                            wisp_buf_str(&payload), WRITE_TIMEOUT_MS, on_write_answer, write, &write->request, err);
}

static void remote_write(struct wisp_state *state, enum wisp_state_bucket bucket, struct wisp_str key,
                         const struct wisp_str *value, int64_t expected, wisp_state_on_written *on_written, void *env)
{
    struct remote *remote = (struct remote *)state;
    struct wisp_err err = {0};
    struct wisp_state_record record = {.bucket = bucket, .key = key, .has_value = value};
    if (value) record.value = *value;
    struct remote_write *write = wisp_mem_calloc(1, sizeof *write);
    *write = (struct remote_write){.remote = remote, .on_written = on_written, .env = env, .next = remote->writes};
    if (remote->writes) remote->writes->prev = write;
    remote->writes = write;
    if (send_write(remote, &record, expected < 0 ? WISP_STATE_ANY_REVISION : expected, write, &err) == 0) return;
    forget(write);
    wisp_state_defer(state, on_written, env, 0, &err);
}

/* --- life --- */

static void remote_stop(struct wisp_state *state)
{
    struct remote *remote = (struct remote *)state;
    wisp_bus_client_unwatch(state->bus, &remote->watch);
    wisp_bus_unsubscribe(WISP_TAKE(remote->changed));
    wisp_bus_request_cancel(WISP_TAKE(remote->request));
    while (remote->writes) {
        wisp_bus_request_cancel(remote->writes->request);
        forget(remote->writes);
    }
    wisp_state_close_handle(state, (uv_handle_t *)&remote->timer);
}

static void remote_free(struct wisp_state *state)
{
    struct remote *remote = (struct remote *)state;
    wisp_state_table_deinit(&remote->view.table);
    free(remote);
}

static const struct wisp_state_ops ops = {remote_write, NULL, remote_stop, remote_free};

int wisp_state_open_remote(struct wisp_state **ret_state, uv_loop_t *loop, struct wisp_bus_client *bus,
                           const struct wisp_state_options *options, struct wisp_err *err)
{
    char subject[WISP_STATE_SUBJECT_MAX];
    struct remote *remote = wisp_mem_calloc(1, sizeof *remote);
    int r = wisp_state_init(&remote->state, &ops, loop, bus, options, err);
    if (r < 0) {
        free(remote);
        return r;
    }
    remote->view.state = &remote->state;
    remote->retry_ms = RETRY_MIN_MS;
    uv_timer_init(loop, &remote->timer);
    remote->timer.data = &remote->state;
    remote->state.n_open_handles++;
    remote->watch = (struct wisp_bus_watch){.on_state = on_bus_state, .env = remote};
    wisp_bus_client_watch(bus, &remote->watch);
    r = wisp_bus_subscribe(bus, wisp_state_subject(subject, remote->state.lattice, "changed"), WISP_STR(""), on_changed,
                           remote, &remote->changed, err);
    if (r < 0) {
        wisp_state_abandon(&remote->state);
        return r;
    }
    later(remote, 0);
    *ret_state = &remote->state;
    return 0;
}

/* --- the probe --- */

struct probe {
    void (*on_answer)(bool is_there, void *env);
    void *env;
};

static void on_probed(const struct wisp_bus_message *message, const struct wisp_err *failure, void *env)
{
    struct probe *probe = env;
    bool is_there = !failure && wisp_bus_header_get(message, WISP_STATE_OWNER_HEADER).len;
    void (*on_answer)(bool is_there, void *env) = probe->on_answer;
    void *caller = probe->env;
    free(probe);
    on_answer(is_there, caller);
}

static void on_flush_failed(const struct wisp_err *err, void *env)
{
    (void)err;
    on_probed(NULL, &(struct wisp_err){.kind = WISP_ERR_UNAVAILABLE}, env);
}

void wisp_state_probe_remote(struct wisp_bus_client *bus, const char *lattice, uint64_t timeout_ms,
                             void (*on_answer)(bool is_there, void *env), void *env)
{
    char subject[WISP_STATE_SUBJECT_MAX];
    struct probe *probe = wisp_mem_calloc(1, sizeof *probe);
    *probe = (struct probe){on_answer, env};
    int r = strlen(lattice) <= 128 ? 0 : -1;
    if (r == 0)
        r = wisp_bus_request(bus, wisp_state_subject(subject, lattice, "hello"), NULL, 0, WISP_STR(""), timeout_ms,
                             on_probed, probe, NULL, NULL);
    /* Answered from the loop, as always. */
    if (r < 0) wisp_bus_flush(bus, 0, on_flush_failed, probe);
}
