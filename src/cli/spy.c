/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/get.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"

#include <time.h>

struct values {
    struct wisp_connection connection;
    int output;
    const char *id;
    uint32_t count;
    bool is_experimental;
};

#define FIELD(name) .offset = offsetof(struct values, name)
enum { PAYLOAD_SHOWN_MAX = 2000 };

/* Calls to the component, and calls to what it is linked to (of which only its own are shown). */
static int subscribe(struct wisp_lattice_client *client, const struct values *values, struct wisp_err *err)
{
    struct wisp_arena *arena = wisp_lattice_client_arena(client);
    const char *lattice = wisp_lattice_client_settings(client)->lattice;
    WISP_CLEANUP_JSON json_t *links = NULL, *seen = json_object();
    int r = wisp_get_links(client, &links, err);
    if (r == 0)
        r = wisp_lattice_client_subscribe(client, wisp_arena_printf(arena, "%s.%s.wrpc.>", lattice, values->id), err);
    json_object_set_new(seen, values->id, json_true());
    for (size_t i = 0; i < json_array_size(links) && r == 0; i++) {
        const json_t *link = json_array_get(links, i);
        const char *target = json_string_value(json_object_get(link, "target"));
        if (!target || !wisp_str_is(wisp_json_str(link, "source_id"), values->id)) continue;
        if (json_object_get(seen, target) || wisp_word_check_id(target, NULL) < 0) continue;
        json_object_set_new(seen, target, json_true());
        r = wisp_lattice_client_subscribe(client, wisp_arena_printf(arena, "%s.%s.wrpc.>", lattice, target), err);
    }
    return r;
}

struct call {
    struct wisp_str from, to, operation, payload;
};

/* LATTICE.TO.wrpc.0.0.1.OPERATION */
static bool read_call(const struct wisp_lattice_message *message, const char *lattice, struct call *ret_call)
{
    struct wisp_bus_message view = {.headers = message->headers, .n_headers = message->n_headers};
    struct wisp_str rest = message->subject, version = WISP_STR("wrpc.0.0.1."), from;
    size_t skipped = strlen(lattice) + 1;
    if (rest.len < skipped) return false;
    rest.ptr += skipped;
    rest.len -= skipped;
    if (!wisp_str_split(rest, '.', &ret_call->to, &rest) || !wisp_str_starts_with(rest, version)) return false;
    from = wisp_bus_header_get(&view, "source-id");
    ret_call->from = from.len ? from : WISP_STR("(unnamed)");
    ret_call->operation = (struct wisp_str){rest.ptr + version.len, rest.len - version.len};
    ret_call->payload = message->payload;
    return true;
}

static void print_text(const struct call *call, const char *time)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    size_t shown = call->payload.len < PAYLOAD_SHOWN_MAX ? call->payload.len : PAYLOAD_SHOWN_MAX;
    wisp_buf_printf(&line, "%s  %.*s -> %.*s  %.*s  %zu bytes", time, WISP_STR_ARG(call->from), WISP_STR_ARG(call->to),
                    WISP_STR_ARG(call->operation), call->payload.len);
    if (shown) wisp_buf_printf(&line, "  ");
    json_t *text = wisp_json_text((struct wisp_str){call->payload.ptr, shown});
    wisp_buf_append(&line, json_string_value(text), json_string_length(text));
    json_decref(text);
    wisp_output_clean(line.data, line.len);
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n') line.data[i] = ' ';
    printf("%.*s%s\n", WISP_STR_ARG(wisp_buf_str(&line)), shown < call->payload.len ? "..." : "");
}

static void print_json(const struct call *call, const char *time)
{
    json_t *json = json_object();
    json_object_set_new(json, "time", json_string(time));
    json_object_set_new(json, "from", wisp_json_text(call->from));
    json_object_set_new(json, "to", wisp_json_text(call->to));
    json_object_set_new(json, "operation", wisp_json_text(call->operation));
    json_object_set_new(json, "payload", wisp_json_text(call->payload));
    wisp_output_json_line(json);
    json_decref(json);
}

/* Whether it was one of the component's. */
static bool print(struct wisp_lattice_client *client, const struct values *values,
                  const struct wisp_lattice_message *message)
{
    struct call call;
    if (!read_call(message, wisp_lattice_client_settings(client)->lattice, &call)) return false;
    if (!wisp_str_is(call.to, values->id) && !wisp_str_is(call.from, values->id)) return false;
    char text[32];
    time_t now = time(NULL);
    struct tm parts;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    if (values->output == WISP_OUTPUT_JSON)
        print_json(&call, text);
    else
        print_text(&call, text);
    fflush(stdout);
    return true;
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    int r = wisp_word_check_id(values->id, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r == 0) r = subscribe(client, values, err);
    if (r < 0) return r;
    wisp_lattice_client_hold_signals(client);
    wisp_output_note("spying on `%s` until interrupted", values->id);
    for (uint32_t n = 0; r >= 0 && (!values->count || n < values->count) && !ferror(stdout);) {
        const struct wisp_lattice_message *message;
        r = wisp_lattice_client_next(client, UINT64_MAX, &message, err);
        if (r > 0) n += print(client, values, message);
    }
    return r < 0 && r != -WISP_ERR_CANCELLED ? r : wisp_lattice_client_check_complete(client, err);
}

static const struct wisp_arg_option options[] = {
    {.name = "count",
     .letter = 'n',
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(count),
     .help = "end after N calls [until interrupted]"},
    {.name = "experimental",
     .kind = WISP_ARG_FLAG,
     FIELD(is_experimental),
     .help = "not needed; for scripts that have it"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand operands[] = {
    {.name = "COMPONENT", .help = "id of the component", .is_required = true, FIELD(id)},
};
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

const struct wisp_verb wisp_verb_spy = {
    .name = "spy",
    .summary = "follow the calls from and to a component",
    .text = "Time, caller, called, function, encoded parameters, for calls that go over the bus, until interrupted.\n"
            "Calls between components of one host don't go over the bus.",
    .example = "wisp spy echo\nwisp spy echo -o json --count 10",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run,
};
