/* SPDX-License-Identifier: Apache-2.0 */
#include "state/local_priv.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

static struct wisp_str owner_of(const struct wisp_state_local *local) { return wisp_str_from(local->owner); }

/* The other end asks again, so a full bus is no reason to do more. */
static void publish(struct wisp_state_local *local, struct wisp_str subject, const struct wisp_bus_header *headers,
                    size_t n_headers, struct wisp_str payload)
{
    struct wisp_err err = {0};
    if (wisp_bus_publish(local->state.bus, subject, (struct wisp_str){0}, headers, n_headers, payload, &err) < 0)
        WISP_LOG(DEBUG, "state", "can't answer on the bus", WISP_TEXT("reason", err.text));
}

static struct wisp_str number_text(char buf[24], uint64_t number)
{
    return (struct wisp_str){buf, (size_t)snprintf(buf, 24, "%" PRIu64, number)};
}

/* --- requests --- */

static void on_hello(const struct wisp_bus_message *message, void *env)
{
    struct wisp_state_local *local = env;
    wisp_state_service_answer(local, message->reply, local->revision, NULL);
}

static size_t page_max(const struct wisp_state_local *local)
{
    size_t payload_max = wisp_bus_client_payload_max(local->state.bus);
    return payload_max > WISP_STATE_MESSAGE_OVERHEAD ? payload_max - WISP_STATE_MESSAGE_OVERHEAD : 0;
}

/* Returns whether there is more. The first record always fits: a value is never larger than that. */
static bool fill_page(struct wisp_state_local *local, uint64_t *after)
{
    struct wisp_buf *page = &local->service.page;
    size_t max = page_max(local) + WISP_STATE_KEY_MAX + WISP_STATE_RECORD_OVERHEAD;
    page->len = 0;
    for (struct wisp_state_entry *entry = local->table.first; entry; entry = entry->next) {
        if (entry->revision <= *after) continue;
        struct wisp_state_record record = {entry->bucket, entry->key, wisp_buf_str(&entry->value), true,
                                           entry->revision};
        size_t size = WISP_STATE_RECORD_OVERHEAD + record.key.len + record.value.len;
        if (page->len + size > max) return true;
        wisp_state_record_encode(&record, page);
        *after = entry->revision;
    }
    return false;
}

static void on_read(const struct wisp_bus_message *message, void *env)
{
    struct wisp_state_local *local = env;
    char revision[24], last[24];
    uint64_t after = 0;
    struct wisp_err err = {0};
    if (wisp_state_header_u64(message, WISP_STATE_AFTER_HEADER, &after, &err) < 0) {
        wisp_state_service_answer(local, message->reply, 0, &err);
        return;
    }
    if (!message->reply.len) return;
    bool has_more = fill_page(local, &after);
    struct wisp_bus_header headers[] = {
        {WISP_STR(WISP_STATE_OWNER_HEADER), owner_of(local)},
        {WISP_STR(WISP_STATE_REVISION_HEADER), number_text(revision, local->revision)},
        {WISP_STR(WISP_STATE_AFTER_HEADER), number_text(last, after)},
        {WISP_STR(WISP_STATE_MORE_HEADER), WISP_STR("1")},
    };
    publish(local, message->reply, headers, has_more ? 4 : 3, wisp_buf_str(&local->service.page));
}

static void on_write(const struct wisp_bus_message *message, void *env)
{
    struct wisp_state_local *local = env;
    struct wisp_state_record record;
    struct wisp_str rest = message->payload;
    struct wisp_err err = {0};
    int64_t expected = 0;
    int r = wisp_state_header_expected(message, &expected, &err);
    if (r == 0) r = wisp_state_record_decode(&rest, &record, &err);
    if (r == 0 && rest.len) r = wisp_err_set(&err, WISP_ERR_INVALID, "bytes behind the record");
    if (r < 0)
        wisp_state_service_answer(local, message->reply, 0, &err);
    else
        wisp_state_local_enqueue(local, &record, expected, message->reply, NULL, NULL);
}

void wisp_state_service_answer(struct wisp_state_local *local, struct wisp_str reply, uint64_t revision,
                               const struct wisp_err *err)
{
    char number[24];
    if (!reply.len || local->state.is_closed) return;
    struct wisp_bus_header headers[] = {
        {WISP_STR(WISP_STATE_OWNER_HEADER), owner_of(local)},
        {WISP_STR(WISP_STATE_REVISION_HEADER), number_text(number, revision)},
    };
    if (err)
        headers[1] =
            (struct wisp_bus_header){WISP_STR(WISP_STATE_ERROR_HEADER), wisp_str_from(wisp_err_name(err->kind))};
    publish(local, reply, headers, 2, err ? wisp_str_from(err->text) : WISP_STR(""));
}

/* --- changes --- */

void wisp_state_service_publish(struct wisp_state_local *local, const struct wisp_state_record *record)
{
    if (!local->service.write || local->state.is_closed) return;
    struct wisp_bus_header header = {WISP_STR(WISP_STATE_OWNER_HEADER), owner_of(local)};
    struct wisp_buf *page = &local->service.page;
    page->len = 0;
    wisp_state_record_encode(record, page);
    publish(local, wisp_str_from(local->service.changed), &header, 1, wisp_buf_str(page));
}

void wisp_state_service_announce(struct wisp_state_local *local)
{
    char number[24];
    struct wisp_bus_header headers[] = {
        {WISP_STR(WISP_STATE_OWNER_HEADER), owner_of(local)},
        {WISP_STR(WISP_STATE_REVISION_HEADER), number_text(number, local->revision)},
    };
    publish(local, wisp_str_from(local->service.changed), headers, 2, WISP_STR(""));
}

/* --- life --- */

static int listen_to(struct wisp_state_local *local, const char *word, wisp_bus_on_message *on_message,
                     struct wisp_bus_subscription **ret_subscription, struct wisp_err *err)
{
    char subject[WISP_STATE_SUBJECT_MAX];
    return wisp_bus_subscribe(local->state.bus, wisp_state_subject(subject, local->state.lattice, word), WISP_STR(""),
                              on_message, local, ret_subscription, err);
}

int wisp_state_service_start(struct wisp_state_local *local, struct wisp_err *err)
{
    struct wisp_state_service *service = &local->service;
    wisp_state_subject(service->changed, local->state.lattice, "changed");
    int r = listen_to(local, "hello", on_hello, &service->hello, err);
    if (r == 0) r = listen_to(local, "read", on_read, &service->read, err);
    if (r == 0) r = listen_to(local, "write", on_write, &service->write, err);
    if (r == 0) wisp_state_service_announce(local);
    return r;
}

void wisp_state_service_stop(struct wisp_state_local *local)
{
    struct wisp_state_service *service = &local->service;
    wisp_bus_unsubscribe(WISP_TAKE(service->hello));
    wisp_bus_unsubscribe(WISP_TAKE(service->read));
    wisp_bus_unsubscribe(WISP_TAKE(service->write));
}
