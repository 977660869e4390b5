/* SPDX-License-Identifier: Apache-2.0 */
/* Runs components without a host, as told on standard input, one JSON object a line; answers each with one line:
 *
 *     {"load": FILE}                                   a component and an instance of it, in place of the last
 *     {"new": true}                                    a fresh instance of the same component
 *     {"call": FUNCTION, "args": [WAVE ...], "expect": WAVE}     "expect" is left out for functions without a result
 *
 *     ok                       the result was what is expected
 *     differs: RESULT
 *     trap: TEXT
 *     invalid: TEXT            as wisp_err_name says, when there is nothing to run */
#include "base/json.h"
#include "component/instance.h"
#include "component/value/wave.h"
#include "wasm/wasm.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
    struct wisp_host *host;
    struct wisp_buf binary;
    struct wisp_component *component;
    struct wisp_wasm_engine *engine;
    struct wisp_linked *linked;
    struct wisp_instance *instance;
} s;

static void unload(void)
{
    wisp_instance_free(s.instance);
    wisp_linked_free(s.linked);
    wisp_wasm_engine_free(s.engine);
    wisp_component_free(s.component);
    wisp_buf_deinit(&s.binary);
    s.instance = NULL;
    s.linked = NULL;
    s.engine = NULL;
    s.component = NULL;
    s.binary = (struct wisp_buf){0};
}

static int read_file(const char *path, struct wisp_buf *buf, struct wisp_err *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "%s", path);
    size_t n;
    while ((n = fread(wisp_buf_reserve(buf, 65536), 1, 65536, file)) > 0) buf->len += n;
    fclose(file);
    return 0;
}

static int make_instance(struct wisp_err *err)
{
    wisp_instance_free(s.instance);
    s.instance = NULL;
    if (!s.linked) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "no component is loaded");
    return wisp_instance_new(&s.instance, s.linked, &(struct wisp_instance_options){0}, err);
}

static int load(const char *path, struct wisp_err *err)
{
    unload();
    int r = read_file(path, &s.binary, err);
    if (r == 0) r = wisp_component_new(&s.component, wisp_buf_str(&s.binary), NULL, err);
    if (r < 0) return r;
    struct wisp_wasm_engine_options options = {.instances_max = 2, .cache_dir = ""};
    wisp_component_pool_needs(s.component, &options);
    r = wisp_wasm_engine_new(&s.engine, &options, err);
    if (r == 0) r = wisp_linked_new(&s.linked, s.engine, s.component, s.host, err);
    return r < 0 ? r : make_instance(err);
}

static int parse_args(struct wisp_arena *arena, const struct wisp_func_type *type, const json_t *args, char *native,
                      struct wisp_err *err)
{
    if (json_array_size(args) != type->n_params)
        return wisp_err_set(err, WISP_ERR_USAGE, "the function has %u parameters", type->n_params);
    for (uint32_t i = 0; i < type->n_params; i++) {
        struct wisp_str wave = wisp_str_from(json_string_value(json_array_get(args, i)));
        int r = wisp_wave_parse(arena, type->params[i].type, wave, native + type->params[i].native_offset, err);
        if (r < 0) return r;
    }
    return 0;
}

/* Both as text, so that equal values need not be the same bytes. */
static int print_verdict(struct wisp_arena *arena, const struct wisp_type *type, const void *result,
                         struct wisp_str expected, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf have = {0}, want = {0};
    void *native = wisp_arena_alloc(arena, type->native_size);
    int r = wisp_wave_parse(arena, type, expected, native, err);
    if (r == 0) r = wisp_wave_print(&want, type, native, err);
    if (r == 0) r = wisp_wave_print(&have, type, result, err);
    if (r < 0) return r;
    if (wisp_str_equal(wisp_buf_str(&have), wisp_buf_str(&want)))
        printf("ok\n");
    else
        printf("differs: %.*s\n", WISP_STR_ARG(wisp_buf_str(&have)));
    return 0;
}

static int call(const json_t *command, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_str name = wisp_json_str(command, "call");
    if (!s.instance) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no instance");
    const struct wisp_export_func *func = wisp_component_export_exact(s.component, (struct wisp_str){0}, name);
    if (!func) return wisp_err_set(err, WISP_ERR_NOT_FOUND, "no function `%.*s`", WISP_STR_ARG(name));
    const struct wisp_linked_export *export_ = wisp_linked_export_of(s.linked, func);
    const struct wisp_type *type = func->type->result;
    char *args = wisp_arena_alloc(&arena, func->type->native_params_size);
    void *result = wisp_arena_alloc(&arena, type ? type->native_size : 0);
    int r = export_ ? parse_args(&arena, func->type, json_object_get(command, "args"), args, err)
                    : wisp_err_set(err, WISP_ERR_UNSUPPORTED, "the function is an import");
    if (r < 0) return r;
    enum wisp_instance_state state = wisp_instance_call(s.instance, export_, args, result, err);
    while (state == WISP_INSTANCE_PREEMPTED) state = wisp_instance_resume(s.instance);
    if (state != WISP_INSTANCE_DONE) {
        printf("trap: %s\n", err->text);
        wisp_instance_free(s.instance);
        s.instance = NULL;
        return 0;
    }
    if (type) return print_verdict(&arena, type, result, wisp_json_str(command, "expect"), err);
    printf("ok\n");
    return 0;
}

static int run(struct wisp_str line, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *command = NULL;
    int r = wisp_json_parse(line, &command, err);
    if (r < 0) return r;
    if (json_object_get(command, "call")) return call(command, err);
    struct wisp_str path = wisp_json_str(command, "load");
    r = path.len ? load(path.ptr, err) : make_instance(err);
    if (r == 0) printf("ok\n");
    return r;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    struct wisp_err err = {0};
    if (wisp_host_new(&s.host, NULL, 0, &err) < 0) return 1;
    while ((len = getline(&line, &capacity, stdin)) > 0) {
        if (run((struct wisp_str){line, (size_t)len}, &err) < 0) printf("%s: %s\n", wisp_err_name(err.kind), err.text);
        fflush(stdout);
    }
    unload();
    wisp_host_free(s.host);
    free(line);
    return 0;
}
