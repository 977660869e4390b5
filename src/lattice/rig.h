/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a machine with a small world around it. State writes, fetches, components and processes succeed at once
 * unless their kind is held; requests and secrets wait for the test. Everything that was asked for is kept until it is
 * taken. */
#pragma once

#include "lattice/lattice.h"

#include "base/arena.h"
#include "base/json.h"

#include "test.h"

#include <stdio.h>

enum { RIG_KINDS = WISP_LATTICE_LOG + 1, RIG_ACTIONS_MAX = 200000 };

struct rig {
    struct wisp_lattice *lattice;
    struct wisp_lattice_now now;
    struct wisp_arena arena;
    struct wisp_lattice_action **actions;
    size_t n_actions;
    bool is_held[RIG_KINDS];
    json_t *claims;     /* of whatever is fetched */
    const char *digest; /* of whatever is fetched; NULL: made of the reference */
    json_t *buckets[2]; /* key to [text, revision] */
    uint64_t revision;
    uint32_t n_replies;
};

static inline struct wisp_str rig_keep(struct rig *rig, struct wisp_str s) { return wisp_arena_str(&rig->arena, s); }

/* --- what the machine asks for --- */

static inline void rig_copy_component(struct rig *rig, struct wisp_lattice_component *to)
{
    struct wisp_lattice_pair *config = WISP_NEW_ARRAY(&rig->arena, struct wisp_lattice_pair, to->n_config);
    struct wisp_lattice_secret *secrets = WISP_NEW_ARRAY(&rig->arena, struct wisp_lattice_secret, to->n_secrets);
    struct wisp_lattice_target *links = WISP_NEW_ARRAY(&rig->arena, struct wisp_lattice_target, to->n_links);
    for (size_t i = 0; i < to->n_config; i++)
        config[i] = (struct wisp_lattice_pair){rig_keep(rig, to->config[i].key), rig_keep(rig, to->config[i].value)};
    for (size_t i = 0; i < to->n_secrets; i++)
        secrets[i] = (struct wisp_lattice_secret){rig_keep(rig, to->secrets[i].name),
                                                  rig_keep(rig, to->secrets[i].value), to->secrets[i].is_bytes};
    for (size_t i = 0; i < to->n_links; i++)
        links[i] =
            (struct wisp_lattice_target){rig_keep(rig, to->links[i].link_name), rig_keep(rig, to->links[i].interface),
                                         rig_keep(rig, to->links[i].target)};
    struct wisp_str *texts[] = {&to->id, &to->reference, &to->digest, &to->path, &to->policy_target};
    for (size_t i = 0; i < WISP_COUNT(texts); i++) *texts[i] = rig_keep(rig, *texts[i]);
    to->config = config;
    to->secrets = secrets;
    to->links = links;
}

static inline struct wisp_lattice_action *rig_copy(struct rig *rig, const struct wisp_lattice_action *action)
{
    struct wisp_lattice_action *copy = WISP_NEW(&rig->arena, struct wisp_lattice_action);
    *copy = *action;
    struct wisp_str *texts[] = {&copy->subject,
                                &copy->queue,
                                &copy->reply,
                                &copy->payload,
                                &copy->key,
                                &copy->value,
                                &copy->reference,
                                &copy->text,
                                &copy->secret.backend,
                                &copy->secret.key,
                                &copy->secret.field,
                                &copy->secret.version,
                                &copy->provider.id,
                                &copy->provider.reference,
                                &copy->provider.plain_reference,
                                &copy->provider.path,
                                &copy->provider.host_data,
                                &copy->provider.xkey,
                                &copy->builtin.id,
                                &copy->builtin.kind};
    for (size_t i = 0; i < WISP_COUNT(texts); i++) *texts[i] = rig_keep(rig, *texts[i]);
    struct wisp_bus_header *headers = WISP_NEW_ARRAY(&rig->arena, struct wisp_bus_header, action->n_headers);
    for (size_t i = 0; i < action->n_headers; i++)
        headers[i] =
            (struct wisp_bus_header){rig_keep(rig, action->headers[i].name), rig_keep(rig, action->headers[i].value)};
    copy->headers = headers;
    rig_copy_component(rig, &copy->component);
    struct wisp_lattice_route *routes = WISP_NEW_ARRAY(&rig->arena, struct wisp_lattice_route, action->n_routes);
    for (size_t i = 0; i < action->n_routes; i++) {
        routes[i] = action->routes[i];
        struct wisp_str *parts[] = {&routes[i].provider, &routes[i].link_name, &routes[i].component,
                                    &routes[i].address,  &routes[i].host,      &routes[i].path};
        for (size_t k = 0; k < WISP_COUNT(parts); k++) *parts[k] = rig_keep(rig, *parts[k]);
        json_incref(routes[i].settings);
    }
    copy->routes = routes;
    json_incref(copy->registries);
    json_incref(copy->provider.confine);
    json_t **parts[] = {&copy->builtin.config, &copy->builtin.secrets, &copy->builtin.links};
    for (size_t i = 0; i < WISP_COUNT(parts); i++)
        if (*parts[i]) *parts[i] = json_deep_copy(*parts[i]);
    return copy;
}

static inline void rig_forget(struct rig *rig, size_t i)
{
    struct wisp_lattice_action *action = rig->actions[i];
    json_decref(action->registries);
    json_decref(action->provider.confine);
    json_decref(action->builtin.config);
    json_decref(action->builtin.secrets);
    json_decref(action->builtin.links);
    for (size_t k = 0; k < action->n_routes; k++) json_decref(action->routes[k].settings);
    memmove(rig->actions + i, rig->actions + i + 1, (rig->n_actions - i - 1) * sizeof(struct wisp_lattice_action *));
    rig->n_actions--;
}

/* --- the world --- */

static inline void rig_tell(struct rig *rig, int bucket, const char *key, const char *value, uint64_t revision)
{
    struct wisp_str text = wisp_str_from(value);
    wisp_lattice_on_state(rig->lattice, rig->now, bucket, wisp_str_from(key), value ? &text : NULL, revision);
}

/* Compare and swap on the rig's state, then told; returns -kind and fills *done. */
static inline void rig_write(struct rig *rig, const struct wisp_lattice_action *action, struct wisp_lattice_done *done)
{
    char key[600];
    snprintf(key, sizeof key, "%.*s", WISP_STR_ARG(action->key));
    json_t *bucket = rig->buckets[action->bucket];
    json_int_t known = json_integer_value(json_array_get(json_object_get(bucket, key), 1));
    if (action->expected != WISP_LATTICE_ANY_REVISION && action->expected != known) {
        wisp_err_set(&done->err, WISP_ERR_EXISTS, "revision is %lld, not %lld", (long long)known,
                     (long long)action->expected);
        return;
    }
    done->revision = ++rig->revision;
    if (action->has_value)
        json_object_set_new(bucket, key, json_pack("[o,I]", wisp_json_text(action->value), (json_int_t)rig->revision));
    else
        json_object_del(bucket, key);
}

static inline void rig_done(struct rig *rig, const struct wisp_lattice_action *action, struct wisp_lattice_done *done)
{
    wisp_lattice_on_done(rig->lattice, rig->now, action->id, done);
}

static inline void rig_perform(struct rig *rig, const struct wisp_lattice_action *action)
{
    struct wisp_lattice_done done = {0};
    if (rig->is_held[action->kind] || !action->id || action->kind == WISP_LATTICE_REQUEST ||
        action->kind == WISP_LATTICE_SECRET)
        return;
    if (action->kind == WISP_LATTICE_STATE_WRITE) rig_write(rig, action, &done);
    if (action->kind == WISP_LATTICE_FETCH) {
        done.artifact.path = WISP_STR("/cache/artifact");
        done.artifact.digest = rig->digest ? wisp_str_from(rig->digest) : action->reference;
        done.artifact.plain_reference = action->reference;
        done.artifact.claims = rig->claims;
    }
    rig_done(rig, action, &done);
    if (action->kind == WISP_LATTICE_STATE_WRITE && !done.err.kind) {
        char key[600];
        snprintf(key, sizeof key, "%.*s", WISP_STR_ARG(action->key));
        wisp_lattice_on_state(rig->lattice, rig->now, action->bucket, action->key,
                              action->has_value ? &action->value : NULL, done.revision);
    }
}

/* Takes the machine's actions until it has no more. */
static inline void rig_run(struct rig *rig)
{
    struct wisp_lattice_action action;
    while (wisp_lattice_next_action(rig->lattice, &action)) {
        struct wisp_lattice_action *copy = rig_copy(rig, &action);
        CHECK(rig->n_actions < RIG_ACTIONS_MAX);
        rig->actions[rig->n_actions++] = copy;
        rig_perform(rig, copy);
    }
}

static inline void rig_new_empty(struct rig *rig, const struct wisp_lattice_options *options)
{
    struct wisp_err err = {0};
    *rig = (struct rig){.now = {.now_ms = 1000, .wall_ns = 1740477600123456789}};
    rig->actions = wisp_mem_calloc(RIG_ACTIONS_MAX, sizeof *rig->actions);
    rig->buckets[0] = json_object();
    rig->buckets[1] = json_object();
    CHECK_OK(wisp_lattice_new(&rig->lattice, options, rig->now, &err), &err);
}

/* Loaded, announced, nothing kept of that. */
static inline void rig_new(struct rig *rig, const struct wisp_lattice_options *options)
{
    struct wisp_lattice_options defaults = {
        .friendly_name = "calm-lake-0007", .version = "1.6.2", .seed = 7, .keys_from_seed = true};
    rig_new_empty(rig, options ? options : &defaults);
    wisp_lattice_on_state_loaded(rig->lattice, rig->now);
    rig->now.now_ms++;
    wisp_lattice_on_tick(rig->lattice, rig->now);
    rig_run(rig);
    while (rig->n_actions) rig_forget(rig, rig->n_actions - 1);
}

static inline void rig_free(struct rig *rig)
{
    while (rig->n_actions) rig_forget(rig, rig->n_actions - 1);
    wisp_lattice_free(rig->lattice);
    json_decref(rig->buckets[0]);
    json_decref(rig->buckets[1]);
    json_decref(rig->claims);
    wisp_arena_deinit(&rig->arena);
    free(rig->actions);
}
#define WISP_CLEANUP_RIG __attribute__((cleanup(rig_free)))

/* Time passes, tick by tick. */
static inline void rig_wait(struct rig *rig, uint64_t ms)
{
    uint64_t end = rig->now.now_ms + ms;
    for (uint64_t next; (next = wisp_lattice_next_tick_ms(rig->lattice)) <= end;) {
        if (next > rig->now.now_ms) rig->now.now_ms = next;
        wisp_lattice_on_tick(rig->lattice, rig->now);
        rig_run(rig);
    }
    rig->now.now_ms = end;
}

/* --- looking --- */

static inline json_t *rig_parse(struct wisp_str text)
{
    struct wisp_err err = {0};
    json_t *value;
    CHECK_OK(wisp_json_parse(text, &value, &err), &err);
    return value;
}

/* A key's value in the rig's state. */
static inline json_t *rig_stored(const struct rig *rig, int bucket, const char *key)
{
    const json_t *text = json_array_get(json_object_get(rig->buckets[bucket], key), 0);
    CHECK(text);
    return rig_parse((struct wisp_str){json_string_value(text), json_string_length(text)});
}

static inline size_t rig_count(const struct rig *rig, enum wisp_lattice_action_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < rig->n_actions; i++) n += rig->actions[i]->kind == kind;
    return n;
}

static inline struct wisp_lattice_action *rig_find(struct rig *rig, enum wisp_lattice_action_kind kind,
                                                   const char *subject)
{
    for (size_t i = 0; i < rig->n_actions; i++) {
        struct wisp_lattice_action *action = rig->actions[i];
        if (action->kind != kind || (subject && !wisp_str_is(action->subject, subject))) continue;
        memmove(rig->actions + i, rig->actions + i + 1,
                (rig->n_actions - i - 1) * sizeof(struct wisp_lattice_action *));
        rig->n_actions--;
        return action;
    }
    return NULL;
}

/* The oldest of that kind, which must be there. `subject` NULL: any. References to JSON are the test's. */
static inline struct wisp_lattice_action *rig_take(struct rig *rig, enum wisp_lattice_action_kind kind,
                                                   const char *subject)
{
    struct wisp_lattice_action *action = rig_find(rig, kind, subject);
    if (!action)
        wisp_test_fail(__FILE__, __LINE__, "no action of kind %d for %s", kind, subject ? subject : "anything");
    return action;
}

static inline void rig_clear(struct rig *rig)
{
    while (rig->n_actions) rig_forget(rig, rig->n_actions - 1);
}

/* Compact text of JSON, kept with the rig. */
static inline const char *rig_print(struct rig *rig, const json_t *value)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    wisp_json_print(value, &text);
    return wisp_arena_cstr(&rig->arena, wisp_buf_str(&text));
}

/* Same members and values, in whatever order. `expected` is JSON in which ' stands for ". */
static inline void rig_check_json(struct rig *rig, const json_t *actual, const char *expected, const char *file,
                                  int line)
{
    char *text = wisp_arena_cstr(&rig->arena, wisp_str_from(expected));
    for (char *at = text; *at; at++)
        if (*at == '\'') *at = '"';
    WISP_CLEANUP_JSON json_t *wanted = rig_parse(wisp_str_from(text));
    if (!json_equal(actual, wanted))
        wisp_test_fail(file, line, "JSON is\n  %s\nexpected\n  %s", actual ? rig_print(rig, actual) : "(none)", text);
}
#define CHECK_JSON(rig, actual, expected) rig_check_json(rig, actual, expected, __FILE__, __LINE__)

/* "{H}" is the host's id, "'" a quote. */
static inline const char *rig_text(struct rig *rig, const char *text)
{
    WISP_CLEANUP_BUF struct wisp_buf out = {0};
    for (const char *at = text; *at; at++) {
        if (strncmp(at, "{H}", 3) == 0) {
            wisp_buf_append_str(&out, wisp_str_from(wisp_lattice_host_id(rig->lattice)));
            at += 2;
        } else {
            wisp_buf_append_char(&out, *at == '\'' ? '"' : *at);
        }
    }
    return wisp_arena_cstr(&rig->arena, wisp_buf_str(&out));
}

/* Sends a request; its reply comes to the subject that is returned. */
static inline const char *rig_send(struct rig *rig, const char *tail, const char *payload)
{
    const char *reply = wisp_arena_printf(&rig->arena, "reply.%u", ++rig->n_replies);
    const char *subject = wisp_arena_printf(&rig->arena, "wasmbus.ctl.v1.default.%s", rig_text(rig, tail));
    struct wisp_bus_message message = {.subject = wisp_str_from(subject),
                                       .reply = wisp_str_from(reply),
                                       .payload = wisp_str_from(rig_text(rig, payload))};
    wisp_lattice_on_message(rig->lattice, rig->now, &message);
    rig_run(rig);
    return reply;
}

/* The envelope that came to the subject; there must be exactly one. */
static inline json_t *rig_reply_to(struct rig *rig, const char *subject)
{
    json_t *envelope = rig_parse(rig_take(rig, WISP_LATTICE_PUBLISH, subject)->payload);
    CHECK(!rig_find(rig, WISP_LATTICE_PUBLISH, subject));
    return envelope;
}

/* Asks and gets the envelope at once. */
static inline json_t *rig_ask(struct rig *rig, const char *tail, const char *payload)
{
    return rig_reply_to(rig, rig_send(rig, tail, payload));
}

static inline void rig_check_answer(struct rig *rig, const char *tail, const char *payload, const char *expected,
                                    const char *file, int line)
{
    WISP_CLEANUP_JSON json_t *envelope = rig_ask(rig, tail, payload);
    rig_check_json(rig, envelope, expected, file, line);
}
#define CHECK_ANSWER(rig, tail, payload, expected) rig_check_answer(rig, tail, payload, expected, __FILE__, __LINE__)

/* Data of the oldest event of that name, which must be there; the envelope is checked. The test owns the reference. */
static inline json_t *rig_event(struct rig *rig, const char *name)
{
    const char *subject = wisp_arena_printf(&rig->arena, "wasmbus.evt.default.%s", name);
    WISP_CLEANUP_JSON json_t *event = rig_parse(rig_take(rig, WISP_LATTICE_PUBLISH, subject)->payload);
    const char *type = wisp_arena_printf(&rig->arena, "com.wasmcloud.lattice.%s", name);
    CHECK_STR(wisp_json_str(event, "type"), type);
    CHECK_STR(wisp_json_str(event, "specversion"), "1.0");
    CHECK_STR(wisp_json_str(event, "source"), wisp_lattice_host_id(rig->lattice));
    CHECK_STR(wisp_json_str(event, "datacontenttype"), "application/json");
    CHECK_STR(wisp_json_str(event, "time"), "2025-02-25T10:00:00.123456789Z");
    CHECK_INT(wisp_json_str(event, "id").len, 36);
    return json_incref(json_object_get(event, "data"));
}

static inline void rig_check_event(struct rig *rig, const char *name, const char *expected, const char *file, int line)
{
    WISP_CLEANUP_JSON json_t *data = rig_event(rig, name);
    rig_check_json(rig, data, rig_text(rig, expected), file, line);
}
#define CHECK_EVENT(rig, name, expected) rig_check_event(rig, name, expected, __FILE__, __LINE__)

static inline bool rig_has_event(struct rig *rig, const char *name)
{
    const char *subject = wisp_arena_printf(&rig->arena, "wasmbus.evt.default.%s", name);
    for (size_t i = 0; i < rig->n_actions; i++)
        if (rig->actions[i]->kind == WISP_LATTICE_PUBLISH && wisp_str_is(rig->actions[i]->subject, subject))
            return true;
    return false;
}

/* Answers a REQUEST. */
static inline void rig_reply(struct rig *rig, const struct wisp_lattice_action *action, const char *payload)
{
    struct wisp_lattice_done done = {.reply = {.payload = wisp_str_from(rig_text(rig, payload))}};
    rig_done(rig, action, &done);
    rig_run(rig);
}

static inline void rig_fail(struct rig *rig, const struct wisp_lattice_action *action, enum wisp_err_kind kind,
                            const char *text)
{
    struct wisp_lattice_done done = {0};
    wisp_err_set(&done.err, kind, "%s", text);
    rig_done(rig, action, &done);
    rig_run(rig);
}
