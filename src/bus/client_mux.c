/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/client_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { CLIENT_TOKEN_LEN = 22, RECYCLED_MAX = 1024, SUBJECT_KEEP_MAX = 256 };

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

struct wisp_bus_request {
    struct wisp_bus_mux_entry entry;
    struct wisp_bus_deadline deadline;
    wisp_bus_on_reply *on_reply;
    void *env;
    uint64_t timeout_ms;
    struct wisp_buf subject;       /* for errors */
    struct wisp_bus_request *next; /* recycled */
};

struct wisp_bus_inbox {
    struct wisp_bus_mux_entry entry;
    wisp_bus_on_message *on_message;
    void *env;
};

/* --- the table --- */

static void take_random(struct wisp_bus_mux *mux, char *out, size_t size)
{
    if (mux->n_random < size) {
        ssize_t n = getrandom(mux->random, sizeof mux->random, 0);
        mux->n_random = n > 0 ? (size_t)n : 0;
        assert(mux->n_random >= size);
        for (size_t i = 0; i < mux->n_random; i++) mux->random[i] = digits[(unsigned char)mux->random[i] % 62];
    }
    mux->n_random -= size;
    memcpy(out, mux->random + mux->n_random, size);
}

int wisp_bus_mux_init(struct wisp_bus_mux *mux, const char *inbox_prefix, struct wisp_err *err)
{
    struct wisp_str prefix = wisp_str_from(inbox_prefix ? inbox_prefix : "_INBOX");
    char token[CLIENT_TOKEN_LEN];
    if (prefix.len + CLIENT_TOKEN_LEN + WISP_BUS_MUX_TOKEN_LEN + 3 > sizeof mux->prefix ||
        !wisp_bus_subject_is_valid(prefix))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a prefix for inboxes: `%.*s`", WISP_STR_ARG(prefix));
    take_random(mux, token, sizeof token);
    mux->prefix_len =
        (size_t)snprintf(mux->prefix, sizeof mux->prefix, "%.*s.%.*s.", WISP_STR_ARG(prefix), CLIENT_TOKEN_LEN, token);
    return 0;
}

static void request_free(struct wisp_bus_request *request)
{
    wisp_buf_deinit(&request->subject);
    free(request);
}

void wisp_bus_mux_deinit(struct wisp_bus_mux *mux)
{
    for (uint32_t i = 0; i < mux->n_slots; i++) {
        struct wisp_bus_mux_entry *entry = mux->entries[i];
        if (entry && entry->is_request)
            request_free(WISP_OWNER(entry, struct wisp_bus_request, entry));
        else if (entry)
            free(WISP_OWNER(entry, struct wisp_bus_inbox, entry));
    }
    for (struct wisp_bus_request *request; (request = mux->recycled);) {
        mux->recycled = request->next;
        request_free(request);
    }
    free(mux->entries);
    free(mux->free_slots);
    mux->entries = NULL;
    mux->free_slots = NULL;
    mux->n_slots = mux->n_free = mux->capacity = 0;
}

static uint32_t take_slot(struct wisp_bus_mux *mux)
{
    if (mux->n_free) return mux->free_slots[--mux->n_free];
    if (mux->n_slots == mux->capacity) {
        mux->capacity = mux->capacity ? mux->capacity * 2 : 64;
        mux->entries = wisp_mem_realloc(mux->entries, mux->capacity * sizeof *mux->entries);
        mux->free_slots = wisp_mem_realloc(mux->free_slots, mux->capacity * sizeof *mux->free_slots);
    }
    return mux->n_slots++;
}

static size_t subject_len(const struct wisp_bus_mux *mux) { return mux->prefix_len + WISP_BUS_MUX_TOKEN_LEN; }

/* Gives the entry a subject and a place. The caller has checked that there is room. */
static void enter(struct wisp_bus_client *client, struct wisp_bus_mux_entry *entry)
{
    struct wisp_bus_mux *mux = &client->mux;
    entry->client = client;
    entry->slot = take_slot(mux);
    mux->entries[entry->slot] = entry;
    char *token = entry->subject + mux->prefix_len;
    memcpy(entry->subject, mux->prefix, mux->prefix_len);
    uint32_t number = entry->slot;
    for (int i = 0; i < WISP_BUS_MUX_SLOT_LEN; i++, number /= 62) token[i] = digits[number % 62];
    take_random(mux, token + WISP_BUS_MUX_SLOT_LEN, WISP_BUS_MUX_CHECK_LEN);
    token[WISP_BUS_MUX_TOKEN_LEN] = '\0';
}

static void leave(struct wisp_bus_mux_entry *entry)
{
    struct wisp_bus_mux *mux = &entry->client->mux;
    mux->entries[entry->slot] = NULL;
    mux->free_slots[mux->n_free++] = entry->slot;
}

static uint32_t digit_value(char c)
{
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0');
    if (c >= 'A' && c <= 'Z') return (uint32_t)(c - 'A' + 10);
    return c >= 'a' && c <= 'z' ? (uint32_t)(c - 'a' + 36) : WISP_BUS_MUX_ENTRIES_MAX;
}

/* The entry whose subject this is, or begins with before a dot; NULL when there is none (any more). */
static struct wisp_bus_mux_entry *find(const struct wisp_bus_mux *mux, struct wisp_str subject)
{
    size_t size = subject_len(mux);
    if (subject.len < size || (subject.len > size && subject.ptr[size] != '.')) return NULL;
    const char *token = subject.ptr + mux->prefix_len;
    uint64_t slot = 0;
    for (int i = WISP_BUS_MUX_SLOT_LEN; i-- > 0;) slot = slot * 62 + digit_value(token[i]);
    if (slot >= mux->n_slots || !mux->entries[slot]) return NULL;
    return memcmp(mux->entries[slot]->subject, subject.ptr, size) == 0 ? mux->entries[slot] : NULL;
}

static void on_reply(struct wisp_bus_request *request, const struct wisp_bus_message *message);

static void on_mux_message(const struct wisp_bus_message *message, void *env)
{
    struct wisp_bus_client *client = env;
    struct wisp_bus_mux_entry *entry = find(&client->mux, message->subject);
    if (!entry) return;
    if (!entry->is_request) {
        struct wisp_bus_inbox *inbox = WISP_OWNER(entry, struct wisp_bus_inbox, entry);
        inbox->on_message(message, inbox->env);
    } else if (message->subject.len == subject_len(&client->mux)) {
        on_reply(WISP_OWNER(entry, struct wisp_bus_request, entry), message);
    }
}

static int make_ready(struct wisp_bus_client *client, struct wisp_err *err)
{
    struct wisp_bus_mux *mux = &client->mux;
    if (mux->n_slots - mux->n_free >= WISP_BUS_MUX_ENTRIES_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "more than %d requests and inboxes", WISP_BUS_MUX_ENTRIES_MAX);
    if (mux->subscription) return 0;
    char pattern[WISP_BUS_INBOX_MAX + 2];
    snprintf(pattern, sizeof pattern, "%s>", mux->prefix);
    return wisp_bus_subscribe(client, wisp_str_from(pattern), WISP_STR(""), on_mux_message, client, &mux->subscription,
                              err);
}

/* --- requests --- */

static void recycle(struct wisp_bus_request *request)
{
    struct wisp_bus_mux *mux = &request->entry.client->mux;
    if (mux->n_recycled >= RECYCLED_MAX) {
        request_free(request);
        return;
    }
    if (request->subject.capacity > SUBJECT_KEEP_MAX) wisp_buf_deinit(&request->subject);
    request->subject.len = 0;
    request->next = mux->recycled;
    mux->recycled = request;
    mux->n_recycled++;
}

static struct wisp_bus_request *take_recycled(struct wisp_bus_mux *mux)
{
    struct wisp_bus_request *request = mux->recycled;
    if (!request) return wisp_mem_calloc(1, sizeof *request);
    mux->recycled = request->next;
    mux->n_recycled--;
    return request;
}

static void retire(struct wisp_bus_request *request)
{
    wisp_bus_deadline_clear(&request->entry.client->deadlines, &request->deadline);
    leave(&request->entry);
}

static void complete(struct wisp_bus_request *request, const struct wisp_bus_message *message,
                     const struct wisp_err *reason)
{
    struct wisp_bus_client *client = request->entry.client;
    bool was_in_callback = client->is_in_callback;
    retire(request);
    client->is_in_callback = true;
    request->on_reply(message, reason, request->env);
    client->is_in_callback = was_in_callback;
    recycle(request);
}

static void on_reply(struct wisp_bus_request *request, const struct wisp_bus_message *message)
{
    struct wisp_err err = {0};
    if (message->status == WISP_BUS_STATUS_NO_RESPONDERS && !message->payload.len) {
        wisp_err_set(&err, WISP_ERR_UNAVAILABLE, "nobody answers on %.*s",
                     WISP_STR_ARG(wisp_buf_str(&request->subject)));
        complete(request, NULL, &err);
    } else {
        complete(request, message, NULL);
    }
}

static void on_timeout(struct wisp_bus_deadline *deadline)
{
    struct wisp_bus_request *request = WISP_OWNER(deadline, struct wisp_bus_request, deadline);
    struct wisp_err err = {0};
    wisp_err_set(&err, WISP_ERR_TIMEOUT, "no answer on %.*s within %llu ms",
                 WISP_STR_ARG(wisp_buf_str(&request->subject)), (unsigned long long)request->timeout_ms);
    complete(request, NULL, &err);
}

void wisp_bus_mux_fail_requests(struct wisp_bus_client *client, const struct wisp_err *reason)
{
    struct wisp_bus_mux *mux = &client->mux;
    for (uint32_t i = 0; i < mux->n_slots; i++) /* callbacks may cancel others; new ones are refused now */
        if (mux->entries[i] && mux->entries[i]->is_request)
            complete(WISP_OWNER(mux->entries[i], struct wisp_bus_request, entry), NULL, reason);
}

int wisp_bus_request(struct wisp_bus_client *client, struct wisp_str subject, const struct wisp_bus_header *headers,
                     size_t n_headers, struct wisp_str payload, uint64_t timeout_ms, wisp_bus_on_reply *on_done,
                     void *env, struct wisp_bus_request **ret_request, struct wisp_err *err)
{
    int r = make_ready(client, err);
    if (r < 0) return r;
    struct wisp_bus_request *request = take_recycled(&client->mux);
    request->entry.is_request = true;
    request->on_reply = on_done;
    request->env = env;
    request->timeout_ms = timeout_ms;
    enter(client, &request->entry);
    struct wisp_str reply = {request->entry.subject, subject_len(&client->mux)};
    r = wisp_bus_publish(client, subject, reply, headers, n_headers, payload, err);
    if (r < 0) {
        leave(&request->entry);
        recycle(request);
        return r;
    }
    wisp_buf_append_str(&request->subject, subject);
    wisp_bus_deadline_set(&client->deadlines, &request->deadline, timeout_ms, on_timeout);
    if (ret_request) *ret_request = request;
    return 0;
}

void wisp_bus_request_cancel(struct wisp_bus_request *request)
{
    if (!request) return;
    retire(request);
    recycle(request);
}

/* --- inboxes --- */

struct wisp_bus_inbox *wisp_bus_inbox_open(struct wisp_bus_client *client, wisp_bus_on_message *on_message, void *env)
{
    if (make_ready(client, NULL) < 0) return NULL;
    struct wisp_bus_inbox *inbox = wisp_mem_calloc(1, sizeof *inbox);
    inbox->on_message = on_message;
    inbox->env = env;
    enter(client, &inbox->entry);
    return inbox;
}

struct wisp_str wisp_bus_inbox_subject(const struct wisp_bus_inbox *inbox)
{
    return (struct wisp_str){inbox->entry.subject, subject_len(&inbox->entry.client->mux)};
}

void wisp_bus_inbox_close(struct wisp_bus_inbox *inbox)
{
    if (!inbox) return;
    leave(&inbox->entry);
    free(inbox);
}

void wisp_bus_unique_subject(struct wisp_bus_client *client, char subject[WISP_BUS_INBOX_MAX])
{
    struct wisp_bus_mux *mux = &client->mux;
    size_t prefix_len = mux->prefix_len - CLIENT_TOKEN_LEN - 1;
    memcpy(subject, mux->prefix, prefix_len);
    take_random(mux, subject + prefix_len, CLIENT_TOKEN_LEN);
    subject[prefix_len + CLIENT_TOKEN_LEN] = '\0';
}
