/* SPDX-License-Identifier: Apache-2.0 */
/* A host, told anything: each line of the input is an event.
 *
 *     m TAIL PAYLOAD   a message on the control subject with that tail; {H} is the host's id
 *     s SUBJECT PAYLOAD  a message on any subject
 *     d KEY VALUE      LATTICEDATA tells a value; c: CONFIGDATA; D KEY, C KEY: deletions
 *     o                the oldest action that waits succeeds; r PAYLOAD: with that reply; f: it fails
 *     e PAYLOAD        it succeeds with that reply, sealed for the key that was last sent along with a request
 *     p ID             news that a provider's process has ended; P ID: is due to be started again; u ID: is up
 *     t                30 s pass
 *     b, B             the bus is gone, is back; l: the state is loaded; n: a new state is opened
 *     w JSON           is restored from (only as first line)
 *
 * Whatever comes: every message gets at most one reply, and everything that is said is JSON. */
#include "lattice/lattice.h"

#include "base/json.h"
#include "nkeys/nkeys.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PENDING_MAX = 4096, LINES_MAX = 400 };

struct host {
    struct wisp_lattice *lattice;
    struct wisp_lattice_now now;
    uint64_t pending[PENDING_MAX];
    size_t first, n_pending;
    uint64_t revision;
    uint8_t replies[LINES_MAX];
    size_t line;
    uint8_t asker[32]; /* the key that was last sent along */
};

static void check_said(struct host *host, const struct wisp_lattice_action *action)
{
    unsigned reply;
    char subject[32] = {0};
    WISP_CLEANUP_JSON json_t *json = NULL;
    if (action->payload.len && wisp_json_parse(action->payload, &json, NULL) < 0) abort();
    if (action->subject.len < sizeof subject) memcpy(subject, action->subject.ptr, action->subject.len);
    if (sscanf(subject, "reply.%u", &reply) == 1 && ++host->replies[reply] > 1) abort();
}

static void note_asker(struct host *host, const struct wisp_lattice_action *action)
{
    enum wisp_nkey_kind kind;
    for (size_t i = 0; i < action->n_headers; i++)
        if (wisp_str_is(action->headers[i].name, "WasmCloud-Host-Xkey") &&
            wisp_nkey_parse_public(action->headers[i].value, &kind, host->asker, NULL) < 0)
            abort();
}

static void take_actions(struct host *host)
{
    struct wisp_lattice_action action;
    while (wisp_lattice_next_action(host->lattice, &action)) {
        if (action.kind == WISP_LATTICE_PUBLISH) check_said(host, &action);
        note_asker(host, &action);
        if (action.id && host->n_pending < PENDING_MAX) host->pending[host->n_pending++] = action.id;
    }
}

static void answer(struct host *host, bool is_success, struct wisp_str payload, const struct wisp_bus_header *header)
{
    if (host->first == host->n_pending) return;
    struct wisp_lattice_done done = {
        .reply = {.payload = payload, .headers = header, .n_headers = header != NULL},
        .revision = ++host->revision,
        .secret = payload,
        .artifact = {.path = WISP_STR("/p"), .digest = payload, .plain_reference = WISP_STR("plain")}};
    WISP_CLEANUP_JSON json_t *claims = json_pack("{s:s,s:s}", "token", "t", "subject", "MSUB");
    done.artifact.claims = claims;
    if (!is_success) wisp_err_set(&done.err, host->revision % 3 ? WISP_ERR_EXISTS : WISP_ERR_LIMIT, "fuzzed");
    wisp_lattice_on_done(host->lattice, host->now, host->pending[host->first++], &done);
}

/* As a backend of secrets does. */
static void answer_sealed(struct host *host, struct wisp_str payload)
{
    static struct wisp_nkey backend;
    char public[WISP_NKEY_PUBLIC_LEN + 1];
    WISP_CLEANUP_BUF struct wisp_buf sealed = {0};
    if (!backend.public[0]) wisp_nkey_generate(&backend, WISP_NKEY_CURVE);
    wisp_nkey_public_text(&backend, public);
    wisp_xkey_seal(&backend, host->asker, payload, &sealed);
    struct wisp_bus_header header = {WISP_STR("Server-Response-Xkey"), wisp_str_from(public)};
    answer(host, true, wisp_buf_str(&sealed), &header);
}

static void say(struct host *host, struct wisp_str head, struct wisp_str payload, bool is_control)
{
    char reply[32];
    WISP_CLEANUP_BUF struct wisp_buf subject = {0};
    if (is_control) wisp_buf_append_str(&subject, WISP_STR("wasmbus.ctl.v1.default."));
    for (size_t i = 0; i < head.len; i++) {
        struct wisp_str rest = {head.ptr + i, head.len - i};
        if (wisp_str_starts_with(rest, WISP_STR("{H}"))) {
            wisp_buf_append_str(&subject, wisp_str_from(wisp_lattice_host_id(host->lattice)));
            i += 2;
        } else {
            wisp_buf_append_char(&subject, head.ptr[i]);
        }
    }
    snprintf(reply, sizeof reply, "reply.%zu", host->line);
    struct wisp_bus_message message = {
        .subject = wisp_buf_str(&subject), .reply = wisp_str_from(reply), .payload = payload};
    wisp_lattice_on_message(host->lattice, host->now, &message);
}

static void feed(struct host *host, char kind, struct wisp_str rest)
{
    struct wisp_lattice *lattice = host->lattice;
    struct wisp_str head = rest, tail = {0};
    struct wisp_lattice_provider_report report = {
        .has_run = true, .signal_number = 9, .is_failed = host->line % 2, .output = &rest, .n_output = 1};
    wisp_str_split(rest, ' ', &head, &tail);
    switch (kind) {
    case 'm':
        say(host, head, tail, true);
        break;
    case 's':
        say(host, head, tail, false);
        break;
    case 'd':
        wisp_lattice_on_state(lattice, host->now, 0, head, &tail, ++host->revision);
        break;
    case 'c':
        wisp_lattice_on_state(lattice, host->now, 1, head, &tail, ++host->revision);
        break;
    case 'D':
        wisp_lattice_on_state(lattice, host->now, 0, head, NULL, tail.len ? 0 : ++host->revision);
        break;
    case 'C':
        wisp_lattice_on_state(lattice, host->now, 1, head, NULL, tail.len ? 0 : ++host->revision);
        break;
    case 'o':
        answer(host, true, WISP_STR("{\"healthy\":true}"), NULL);
        break;
    case 'r':
        answer(host, true, rest, NULL);
        break;
    case 'e':
        answer_sealed(host, rest);
        break;
    case 'f':
        answer(host, false, rest, NULL);
        break;
    case 'p':
        report.failures = (uint32_t)host->line;
        wisp_lattice_on_provider(lattice, host->now, rest, WISP_LATTICE_PROVIDER_EXITED, &report);
        break;
    case 'P':
        wisp_lattice_on_provider(lattice, host->now, rest, WISP_LATTICE_PROVIDER_DUE, NULL);
        break;
    case 'u':
        wisp_lattice_on_provider(lattice, host->now, rest, WISP_LATTICE_PROVIDER_UP, NULL);
        break;
    case 't':
        host->now.now_ms += 30000;
        wisp_lattice_on_tick(lattice, host->now);
        break;
    case 'b':
        wisp_lattice_on_bus(lattice, host->now, false);
        break;
    case 'B':
        wisp_lattice_on_bus(lattice, host->now, true);
        break;
    case 'l':
        wisp_lattice_on_state_loaded(lattice, host->now);
        break;
    case 'n':
        wisp_lattice_on_state_opened(lattice, host->now);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"keyvalue-redis", "messaging-nats"}, *const backends[] = {"file"};
    struct wisp_lattice_options options = {.seed = 1,
                                           .builtin_kinds = kinds,
                                           .n_builtin_kinds = WISP_COUNT(kinds),
                                           .secret_backends = backends,
                                           .n_secret_backends = WISP_COUNT(backends),
                                           .keys_from_seed = true,
                                           .friendly_name = "fuzz",
                                           .secrets_topic = "secrets",
                                           .policy_changes_topic = "changes",
                                           .policy_topic = size % 2 ? "policy" : NULL};
    if (!options.policy_topic) options.policy_changes_topic = NULL;
    struct host *host = wisp_mem_calloc(1, sizeof *host);
    struct wisp_str text = {(const char *)data, size}, line;
    if (wisp_lattice_new(&host->lattice, &options, host->now, NULL) < 0) abort();
    bool more = true;
    for (; more && host->line < LINES_MAX; host->line++) {
        more = wisp_str_split(text, '\n', &line, &text);
        if (!more) line = text;
        struct wisp_str rest = {line.ptr + (line.len > 1 ? 2 : line.len), line.len - (line.len > 1 ? 2 : line.len)};
        struct wisp_err err;
        if (host->line == 0 && line.len && line.ptr[0] == 'w' && wisp_lattice_restore(host->lattice, rest, &err) < 0 &&
            !err.kind)
            abort();
        if (host->line == 0) wisp_lattice_on_state_loaded(host->lattice, host->now);
        if (line.len) feed(host, line.ptr[0], rest);
        take_actions(host);
    }
    wisp_lattice_stop(host->lattice, host->now);
    take_actions(host);
    wisp_lattice_free(host->lattice);
    free(host);
    return 0;
}
