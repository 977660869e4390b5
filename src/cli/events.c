/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"

struct values {
    struct wisp_connection connection;
    int output;
    uint32_t count;
    struct wisp_arg_list names;
};

#define FIELD(name) .offset = offsetof(struct values, name)
#define TYPE_PREFIX "com.wasmcloud.lattice."

/* "key=value" of fields that are short; maps only by their number of entries. */
static void describe(json_t *data, struct wisp_buf *out)
{
    const char *key;
    json_t *value;
    json_object_foreach(data, key, value)
    {
        if (json_is_string(value) && !json_string_length(value)) continue;
        if (json_is_object(value) && !json_object_size(value)) continue;
        wisp_buf_printf(out, "%s%s=", out->len ? " " : "", key);
        if (json_is_string(value))
            wisp_buf_printf(out, "%s", json_string_value(value));
        else if (json_is_object(value))
            wisp_buf_printf(out, "{%zu}", json_object_size(value));
        else if (json_is_array(value))
            wisp_buf_printf(out, "[%zu]", json_array_size(value));
        else
            wisp_json_print(value, out);
    }
}

static void print_text(struct wisp_str name, const json_t *event)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0}, fields = {0};
    struct wisp_str time = wisp_json_str(event, "time"), source = wisp_json_str(event, "source");
    describe(json_object_get(event, "data"), &fields);
    wisp_buf_printf(&line, "%.*s  %-22.*s  %.8s  %.*s", (int)(time.len < 23 ? time.len : 23), time.len ? time.ptr : "",
                    WISP_STR_ARG(name), source.len >= 8 ? source.ptr : "-", WISP_STR_ARG(wisp_buf_str(&fields)));
    wisp_output_clean(line.data, line.len);
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n') line.data[i] = ' ';
    printf("%.*s\n", WISP_STR_ARG(wisp_buf_str(&line)));
}

static void print(const struct values *values, const struct wisp_lattice_message *message, size_t prefix_size)
{
    WISP_CLEANUP_JSON json_t *event = NULL;
    struct wisp_str name = message->subject;
    if (name.len > prefix_size) name = (struct wisp_str){name.ptr + prefix_size, name.len - prefix_size};
    if (wisp_json_parse(message->payload, &event, NULL) < 0) {
        wisp_output_note("an event `%.*s` that is no JSON was left out", WISP_STR_ARG(name));
    } else if (values->output == WISP_OUTPUT_JSON) {
        wisp_output_json_line(event);
    } else {
        print_text(name, event);
    }
    fflush(stdout);
}

static int subscribe(struct wisp_lattice_client *client, const struct values *values, const char *prefix,
                     struct wisp_err *err)
{
    struct wisp_arena *arena = wisp_lattice_client_arena(client);
    if (!values->names.count)
        return wisp_lattice_client_subscribe(client, wisp_arena_printf(arena, "%s>", prefix), err);
    for (size_t i = 0; i < values->names.count; i++) {
        int r = wisp_lattice_client_subscribe(client, wisp_arena_printf(arena, "%s%s", prefix, values->names.items[i]),
                                              err);
        if (r < 0) return wisp_err_wrap(err, "event `%s`", values->names.items[i]);
    }
    return 0;
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    int r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r < 0) return r;
    wisp_lattice_client_hold_signals(client);
    const char *prefix = wisp_arena_printf(wisp_lattice_client_arena(client), "wasmbus.evt.%s.",
                                           wisp_lattice_client_settings(client)->lattice);
    r = subscribe(client, values, prefix, err);
    for (uint32_t n = 0; r >= 0 && (!values->count || n < values->count) && !ferror(stdout); n++) {
        const struct wisp_lattice_message *message;
        r = wisp_lattice_client_next(client, UINT64_MAX, &message, err);
        if (r > 0) print(values, message, strlen(prefix));
    }
    return r < 0 && r != -WISP_ERR_CANCELLED ? r : wisp_lattice_client_check_complete(client, err);
}

static const struct wisp_arg_option options[] = {
    {.name = "count",
     .letter = 'n',
     .kind = WISP_ARG_NUMBER,
     .value = "N",
     FIELD(count),
     .help = "end after N events [until interrupted]"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const char *const names[] = {"host_started",        "host_stopped",          "host_heartbeat",
                                    "labels_changed",      "component_scaled",      "component_scale_failed",
                                    "provider_started",    "provider_start_failed", "provider_stopped",
                                    "provider_exited",     "provider_restarted",    "provider_failed",
                                    "health_check_passed", "health_check_failed",   "health_check_status",
                                    "linkdef_set",         "linkdef_set_failed",    "linkdef_deleted",
                                    "config_set",          "config_deleted",        NULL};
static const struct wisp_arg_operand operands[] = {
    {.name = "EVENT",
     .help = "component_scaled, linkdef_set, ... [all]",
     .is_list = true,
     FIELD(names),
     .choices = names},
};
static const struct values defaults = {.connection = WISP_CONNECTION_UNSET};

const struct wisp_verb wisp_verb_events = {
    .name = "events",
    .summary = "follow what happens in a lattice",
    .text = "One line per event, until interrupted: time, event, host, what it is about. With -o json: the events\n"
            "themselves, one a line.",
    .example = "wisp events\nwisp events component_scaled component_scale_failed -o json",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run,
};
