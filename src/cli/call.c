/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/call.h"

#include "cli/image.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "component/value/value_json.h"
#include "component/value/wave.h"
#include "wrpc/call.h"

struct values {
    struct wisp_connection connection;
    int output;
    const char *id, *function, *image, *insecure;
    struct wisp_arg_list args;
    struct wisp_call_http http;
    bool extracts_json;
};

#define FIELD(name) .offset = offsetof(struct values, name)

/* --- what it is called with --- */

/* The image that the lattice runs under this id. */
static int find_image(struct wisp_lattice_client *client, const struct values *values, const char **ret_image,
                      struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *inventories = NULL;
    *ret_image = values->image;
    if (values->image) return 0;
    int r = wisp_hosts_running(client, "components", values->id, NULL, &inventories, err);
    if (r < 0) return r;
    const json_t *entry = wisp_inventory_find(json_array_get(inventories, 0), "components", values->id);
    *ret_image = wisp_arena_cstr(wisp_lattice_client_arena(client), wisp_json_str(entry, "image_ref"));
    return 0;
}

static int load(struct wisp_lattice_client *client, const struct values *values, struct wisp_source *source,
                struct wisp_component **ret_component, struct wisp_err *err)
{
    struct wisp_image_options options = {.insecure = values->insecure};
    const char *image;
    int r = find_image(client, values, &image, err);
    if (r < 0) return r;
    r = wisp_image_read(source, image, &options, err);
    if (r == 0) r = wisp_component_new(ret_component, wisp_buf_str(&source->binary), NULL, err);
    return r < 0 ? wisp_err_wrap(err, "types of component `%s` (--image names another image)", values->id) : 0;
}

/* --- the call --- */

struct waiting {
    bool is_done;
    const void *result;
    struct wisp_err err;
};

static void on_result(const void *result, const struct wisp_err *err, void *env)
{
    struct waiting *waiting = env;
    waiting->is_done = true;
    waiting->result = result;
    if (err) waiting->err = *err;
}

static int invoke(struct wisp_lattice_client *client, struct wisp_wrpc *wrpc, const struct values *values,
                  const struct wisp_call_function *function, const void **ret_result, struct wisp_err *err)
{
    struct wisp_arena *arena = wisp_lattice_client_arena(client);
    struct wisp_bus_header source = {WISP_STR_INIT("source-id"), WISP_STR_INIT("wisp")};
    struct wisp_wrpc_target target = {.id = wisp_str_from(values->id),
                                      .function = function->on_wire,
                                      .headers = &source,
                                      .n_headers = 1,
                                      .timeout_ms = wisp_lattice_client_settings(client)->timeout_ms};
    const void *args;
    struct waiting waiting = {0};
    struct wisp_wrpc_call *call = NULL;
    int r = wisp_call_arguments(function, &values->args, arena, &args, err);
    if (r == 0) r = wisp_wrpc_call_start(wrpc, &target, function->type, args, arena, on_result, &waiting, &call, err);
    if (r == 0 && (r = wisp_lattice_client_wait(client, &waiting.is_done, UINT64_MAX, err)) < 0)
        wisp_wrpc_call_cancel(call);
    if (r == 0 && waiting.err.kind) {
        *err = waiting.err;
        r = -(int)waiting.err.kind;
    }
    if (r == 0) *ret_result = waiting.result;
    return r;
}

static int print_result(const struct values *values, const struct wisp_func_type *type, const void *result,
                        struct wisp_err *err)
{
    json_t *json = NULL;
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    int r = 0;
    if (values->output == WISP_OUTPUT_JSON) {
        if (type->result) r = wisp_value_to_json(type->result, result, &json, err);
        if (r == 0) wisp_output_success_take(json_pack("{s:o}", "result", json ? json : json_null()));
        return r;
    }
    if (!type->result) return 0;
    r = wisp_wave_print(&text, type->result, result, err);
    if (r == 0) printf("%.*s\n", WISP_STR_ARG(wisp_buf_str(&text)));
    return r;
}

static int call_function(struct wisp_lattice_client *client, struct wisp_wrpc *wrpc, const struct values *values,
                         struct wisp_err *err)
{
    WISP_CLEANUP_SOURCE struct wisp_source source = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
    struct wisp_call_function function;
    const void *result = NULL;
    int r = load(client, values, &source, &component, err);
    if (r == 0) r = wisp_call_find(component, values->function, &function, err);
    if (r == 0) r = invoke(client, wrpc, values, &function, &result, err);
    if (r == 0) r = print_result(values, function.type, result, err);
    return r;
}

/* --- HTTP --- */

static int print_response(const struct values *values, json_t *response, struct wisp_err *err)
{
    json_t *shown = json_incref(response);
    if (values->extracts_json) {
        struct wisp_str body = wisp_json_str(response, "body");
        json_decref(shown);
        int r = wisp_json_parse(body, &shown, err);
        if (r < 0) return wisp_err_wrap(err, "body of the response");
    }
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:o}", "response", shown));
    else
        wisp_output_json_take(shown);
    return 0;
}

static int call_http(struct wisp_lattice_client *client, struct wisp_wrpc *wrpc, const struct values *values,
                     struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *response = NULL;
    if (values->args.count)
        return wisp_err_set(err, WISP_ERR_USAGE, "an HTTP handler takes no arguments; flags --http-* make the request");
    int r = wisp_call_http(client, wrpc, values->id, &values->http, &response, err);
    return r < 0 ? r : print_response(values, response, err);
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_LATTICE_CLIENT struct wisp_lattice_client *client = NULL;
    struct wisp_wrpc *wrpc = NULL;
    int r = wisp_word_check_id(values->id, err);
    if (r == 0) r = wisp_lattice_client_new(&client, &values->connection, err);
    if (r < 0) return r;
    struct wisp_wrpc_options options = {.loop = wisp_lattice_client_loop(client),
                                        .bus = wisp_lattice_client_bus(client),
                                        .lattice = wisp_lattice_client_settings(client)->lattice};
    r = wisp_wrpc_new(&wrpc, &options, err);
    if (r == 0) r = (wisp_call_is_http(values->function) ? call_http : call_function)(client, wrpc, values, err);
    wisp_wrpc_free(wrpc);
    return r;
}

/* --- tables --- */

#define HTTP_TEXT(flag, what, variable, field, text)                                                                   \
    {.name = "http-" flag,                                                                                             \
     .kind = WISP_ARG_TEXT,                                                                                            \
     .value = what,                                                                                                    \
     FIELD(http.field),                                                                                                \
     .env = "WISP_CALL_HTTP_" variable " WASH_CALL_INVOKE_HTTP_" variable,                                             \
     .help = text}
static const struct wisp_arg_option options[] = {
    {.name = "image",
     .kind = WISP_ARG_TEXT,
     .value = "REF",
     FIELD(image),
     .completion = WISP_COMPLETE_FILES,
     .help = "component whose types are meant, a file or HOST/NAME:TAG [what the lattice runs]"},
    {.name = "allowed-insecure",
     .kind = WISP_ARG_TEXT,
     .value = "A,B",
     FIELD(insecure),
     .env = "WISP_OCI_ALLOWED_INSECURE WASMCLOUD_OCI_ALLOWED_INSECURE",
     .help = "registries reached by plain HTTP"},
    HTTP_TEXT("method", "METHOD", "METHOD", method, "of an HTTP request [GET]"),
    HTTP_TEXT("path", "PATH", "PATH", path, "its path with query [/]"),
    HTTP_TEXT("scheme", "SCHEME", "SCHEME", scheme, "http or https [http]"),
    HTTP_TEXT("host", "HOST", "HOST", host, "host that it is for [localhost]"),
    {.name = "http-port",
     .kind = WISP_ARG_NUMBER,
     .value = "PORT",
     FIELD(http.port),
     .max = 65535,
     .env = "WISP_CALL_HTTP_PORT WASH_CALL_INVOKE_HTTP_PORT",
     .help = "port that it is for [8080]"},
    HTTP_TEXT("body", "TEXT", "BODY", body, "its body [none]"),
    HTTP_TEXT("body-path", "FILE", "BODY_PATH", body_path, "a file with its body"),
    HTTP_TEXT("content-type", "TYPE", "CONTENT_TYPE", content_type, "type of its body"),
    {.name = "http-response-extract-json",
     .kind = WISP_ARG_FLAG,
     FIELD(extracts_json),
     .env = "WASH_CALL_HTTP_RESPONSE_EXTRACT_JSON",
     .help = "the response's body is JSON; show that only"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand operands[] = {
    {.name = "COMPONENT", .help = "id of the component", .is_required = true, FIELD(id)},
    {.name = "FUNCTION",
     .help = "INTERFACE.FUNCTION; version and package may be left out when it is clear without",
     .is_required = true,
     FIELD(function)},
    {.name = "ARG",
     .help = "arguments as WAVE: 42, \"text\", [1, 2], {name: \"x\"}, some(1)",
     .is_list = true,
     FIELD(args)},
};
static const struct values defaults = {
    .connection = WISP_CONNECTION_UNSET,
    .http = {.scheme = "http", .host = "localhost", .port = 8080, .method = "GET", .path = "/"},
};

const struct wisp_verb wisp_verb_call = {
    .name = "call",
    .summary = "call a function of a running component",
    .text = "Arguments and result are values as WIT has them, written in WAVE; a string may go without quotes. With\n"
            "-o json the result is JSON. wasi:http/incoming-handler.handle is called with a request that the flags\n"
            "--http-* make.",
    .example = "wisp call calc acme:calc/math.add 2 3\n"
               "wisp call greeter greet World\n"
               "wisp call hello wasi:http/incoming-handler.handle --http-path /name",
    WISP_VERB_TABLES(options, operands, defaults),
    .shared = &wisp_connection_options,
    .run = run,
};
