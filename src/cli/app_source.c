/* SPDX-License-Identifier: Apache-2.0 */
/* Where manifests come from: files, standard input, URLs; and what people call applications. */
#include "cli/app.h"

#include "base/json.h"
#include "base/nearest.h"
#include "capability/capability.h"
#include "web/web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLOSING_TURNS_MAX = 1000, URL_TIMEOUT_MS = 30 * 1000 };

/* --- reading --- */

static bool is_url(const char *word) { return !strncmp(word, "http://", 7) || !strncmp(word, "https://", 8); }

bool wisp_apps_is_file(const char *word)
{
    struct wisp_str text = wisp_str_from(word);
    struct stat status;
    if (strcmp(word, "-") == 0 || is_url(word) || strchr(word, '/')) return true;
    if (wisp_str_ends_with(text, WISP_STR(".yaml")) || wisp_str_ends_with(text, WISP_STR(".yml")) ||
        wisp_str_ends_with(text, WISP_STR(".json")))
        return true;
    return stat(word, &status) == 0 && !S_ISDIR(status.st_mode);
}

static int refuse_size(const char *file, struct wisp_err *err)
{
    return wisp_err_set(err, WISP_ERR_LIMIT, "%s: a manifest has at most %d bytes", file, WISP_APP_TEXT_MAX);
}

static int read_stream(const char *file, FILE *stream, struct wisp_buf *out, struct wisp_err *err)
{
    for (;;) {
        size_t n = fread(wisp_buf_reserve(out, 64 << 10), 1, 64 << 10, stream);
        out->len += n;
        if (out->len > WISP_APP_TEXT_MAX) return refuse_size(file, err);
        if (ferror(stream)) return wisp_err_os(err, errno, "%s", file);
        if (!n) return 0;
    }
}

struct download {
    const char *file;
    struct wisp_buf *out;
    struct wisp_err *err;
    int result;
    bool is_done;
};

static int on_body(const struct wisp_web_response *response, struct wisp_str bytes, void *env, struct wisp_err *err)
{
    struct download *download = env;
    if (response->status != 200) return 0;
    if (bytes.len > WISP_APP_TEXT_MAX - download->out->len) return refuse_size(download->file, err);
    wisp_buf_append_str(download->out, bytes);
    return 0;
}

static void on_downloaded(const struct wisp_web_response *response, const struct wisp_err *err, void *env)
{
    struct download *download = env;
    download->is_done = true;
    if (err) {
        *download->err = *err;
        download->result = -(int)err->kind;
    } else if (response->status != 200) {
        bool is_absent = response->status == 404 || response->status == 410;
        download->result = wisp_err_set(download->err, is_absent ? WISP_ERR_NOT_FOUND : WISP_ERR_UNAVAILABLE,
                                        "the server answered with status %ld", response->status);
    }
}

static int read_url(const char *url, struct wisp_buf *out, struct wisp_err *err)
{
    struct download download = {.file = url, .out = out, .err = err};
    struct wisp_web *web = NULL;
    uv_loop_t loop;
    int r = uv_loop_init(&loop);
    if (r < 0) return wisp_err_os(err, -r, "event loop");
    if ((r = wisp_web_new(&web, &loop, &(struct wisp_web_options){0}, err)) == 0) {
        struct wisp_web_ask ask = {
            .url = url, .timeout_ms = URL_TIMEOUT_MS, .on_body = on_body, .on_done = on_downloaded, .env = &download};
        wisp_web_start(web, &ask);
        while (!download.is_done) uv_run(&loop, UV_RUN_ONCE);
        wisp_web_free(web);
        r = download.result;
    }
    for (int i = 0; i < CLOSING_TURNS_MAX && uv_run(&loop, UV_RUN_NOWAIT);) i++;
    uv_loop_close(&loop);
    return r;
}

int wisp_apps_read_text(const char *file, struct wisp_buf *out, struct wisp_err *err)
{
    if (strcmp(file, "-") == 0) return read_stream("standard input", stdin, out, err);
    if (is_url(file)) return read_url(file, out, err);
    FILE *stream = fopen(file, "re");
    if (!stream) return wisp_err_os(err, errno, "manifest `%s`", file);
    int r = read_stream(file, stream, out, err);
    fclose(stream);
    return r;
}

/* --- problems --- */

/* "line 3, column 5: what" */
static void add_failure(struct wisp_app_problems *problems, struct wisp_arena *arena, const struct wisp_err *err)
{
    unsigned line = 0, column = 0;
    int used = 0;
    if (sscanf(err->text, "line %u, column %u: %n", &line, &column, &used) < 2 || !used) line = column = 0, used = 0;
    problems->list[0] =
        (struct wisp_app_problem){true, line, column, "", wisp_arena_printf(arena, "%s", err->text + used)};
    problems->n = problems->n_errors = 1;
}

static int compare_places(const void *a_, const void *b_)
{
    const struct wisp_app_problem *a = a_, *b = b_;
    if (a->line != b->line) return a->line < b->line ? -1 : 1;
    return a->column < b->column ? -1 : a->column > b->column;
}

/* A host would find out only when it has stopped what ran before. Newer hosts may know more of them: a warning. */
static void check_builtins(const struct wisp_app_manifest *manifest, struct wisp_app_problems *problems,
                           struct wisp_arena *arena)
{
    const char **names = WISP_NEW_ARRAY(arena, const char *, wisp_capability_n_kinds + 2);
    names[0] = "http-server";
    for (size_t i = 0; i < wisp_capability_n_kinds; i++) names[i + 1] = wisp_capability_kinds[i]->name;
    for (size_t i = 0; i < manifest->n_components && problems->n < WISP_APP_PROBLEMS_MAX; i++) {
        const struct wisp_app_component *component = &manifest->components[i];
        struct wisp_str name = component->image, prefix = WISP_STR("wisp://");
        bool is_known = !wisp_str_starts_with(name, prefix);
        if (is_known) continue;
        name = (struct wisp_str){name.ptr + prefix.len, name.len - prefix.len};
        for (size_t k = 0; names[k]; k++) is_known |= wisp_str_is(name, names[k]);
        if (is_known) continue;
        const char *nearest = wisp_nearest(name, names);
        problems->list[problems->n++] = (struct wisp_app_problem){
            .line = component->line,
            .column = component->column,
            .path = wisp_arena_printf(arena, "spec.components[%zu].properties.image", i),
            .text = wisp_arena_printf(arena, "this version knows no provider `%.*s`%s%s%s",
                                      WISP_STR_ARG(component->image), nearest ? "; did you mean `wisp://" : "",
                                      nearest ? nearest : "", nearest ? "`?" : ""),
        };
    }
}

int wisp_apps_parse(const char *file, bool is_lenient, struct wisp_arena *arena, struct wisp_app_manifest *ret_manifest,
                    struct wisp_app_problems *problems, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    bool is_json = wisp_str_ends_with(wisp_str_from(file), WISP_STR(".json"));
    *ret_manifest = (struct wisp_app_manifest){0};
    *problems = (struct wisp_app_problems){0};
    int r = wisp_apps_read_text(file, &text, err);
    if (r < 0) return r;
    r = wisp_app_manifest_parse(ret_manifest, arena, wisp_arena_str(arena, wisp_buf_str(&text)),
                                is_json ? WISP_APP_JSON : WISP_APP_YAML_OR_JSON, is_lenient, problems, err);
    if (r < 0 && !problems->n) add_failure(problems, arena, err);
    if (r == 0) check_builtins(ret_manifest, problems, arena);
    qsort(problems->list, problems->n, sizeof *problems->list, compare_places);
    return r;
}

void wisp_apps_print_problem(FILE *stream, const char *file, const struct wisp_app_problem *problem)
{
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    wisp_buf_printf(&line, "%s:", strcmp(file, "-") == 0 ? "standard input" : file);
    if (problem->line) wisp_buf_printf(&line, "%u:%u:", problem->line, problem->column);
    wisp_buf_printf(&line, " %s: %s%s%s", problem->is_error ? "error" : "warning", problem->path,
                    *problem->path ? ": " : "", problem->text);
    wisp_output_clean(line.data, line.len);
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n') line.data[i] = ' ';
    fprintf(stream, "%.*s\n", WISP_STR_ARG(wisp_buf_str(&line)));
}

/* Those beyond the first error, which is told as the error. */
static void tell_problems(const char *file, const struct wisp_app_problems *problems, bool has_failed)
{
    if (wisp_output_errors_are_json || (has_failed && problems->n == 1)) return;
    for (uint32_t i = 0; i < problems->n; i++) wisp_apps_print_problem(stderr, file, &problems->list[i]);
    if (problems->n_untold) fprintf(stderr, "%s: and %u more\n", file, problems->n_untold);
}

static int refuse(const char *file, const struct wisp_app_problems *problems, struct wisp_err *err)
{
    const struct wisp_app_problem *first = NULL;
    for (uint32_t i = 0; i < problems->n && !first; i++)
        if (problems->list[i].is_error) first = &problems->list[i];
    if (!first) return -(int)err->kind;
    char place[32] = "", more[64] = "";
    if (first->line) snprintf(place, sizeof place, ":%u:%u", first->line, first->column);
    if (problems->n_errors > 1)
        snprintf(more, sizeof more, "; %u errors in all: `wisp app validate` lists them", problems->n_errors);
    return wisp_err_set(err, err->kind, "%s%s: %s%s%s%s", strcmp(file, "-") == 0 ? "standard input" : file, place,
                        first->path, *first->path ? ": " : "", first->text, more);
}

/* --- images --- */

/* What stands in front of a relative path in this file's manifest; standard input has none but where we are. */
static struct wisp_str folder_of(const char *file)
{
    const char *slash = strcmp(file, "-") == 0 ? NULL : strrchr(file, '/');
    return slash ? (struct wisp_str){file, (size_t)(slash - file) + 1} : WISP_STR("");
}

/* file://./x.wasm is beside the manifest; hosts want to know where that is. */
static int resolve_image(const char *file, const json_t *component, struct wisp_err *err)
{
    json_t *properties = json_object_get(component, "properties");
    const char *image = json_string_value(json_object_get(properties, "image"));
    if (!image || is_url(file) || strncmp(image, "file://", 7) != 0 || image[7] == '/') return 0;
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    wisp_buf_printf(&path, "%.*s%s", WISP_STR_ARG(folder_of(file)), image + 7);
    char *real = realpath(path.data, NULL);
    if (!real)
        return wisp_err_os(err, errno, "%s: image `%s` of component `%.*s`", file, image,
                           WISP_STR_ARG(wisp_json_str(component, "name")));
    json_object_set_new(properties, "image", json_sprintf("file://%s", real));
    free(real);
    return 0;
}

static int resolve_images(const char *file, const json_t *manifest, struct wisp_err *err)
{
    const json_t *components = json_object_get(json_object_get(manifest, "spec"), "components");
    int r = 0;
    for (size_t i = 0; i < json_array_size(components) && r == 0; i++)
        r = resolve_image(file, json_array_get(components, i), err);
    return r;
}

static int check_image(const char *file, const struct wisp_app_component *component,
                       const struct wisp_image_options *options, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf reference = {0};
    struct wisp_str image = component->image, scheme = WISP_STR("file://");
    bool is_relative =
        !is_url(file) && wisp_str_starts_with(image, scheme) && image.len > scheme.len && image.ptr[scheme.len] != '/';
    if (is_relative)
        wisp_buf_printf(&reference, "file://%.*s%.*s", WISP_STR_ARG(folder_of(file)), (int)(image.len - scheme.len),
                        image.ptr + scheme.len);
    else
        wisp_buf_append_str(&reference, image);
    wisp_buf_append_char(&reference, '\0');
    return wisp_image_check(reference.data, component->is_provider, options, err);
}

void wisp_apps_check_images(const char *file, const struct wisp_app_manifest *manifest,
                            const struct wisp_image_options *options, struct wisp_arena *arena,
                            struct wisp_app_problems *problems)
{
    for (size_t i = 0; i < manifest->n_components && problems->n < WISP_APP_PROBLEMS_MAX; i++) {
        const struct wisp_app_component *component = &manifest->components[i];
        struct wisp_err err = {0};
        if (!component->image.len || check_image(file, component, options, &err) == 0) continue;
        problems->n_errors++;
        problems->list[problems->n++] = (struct wisp_app_problem){
            .is_error = true,
            .line = component->line,
            .column = component->column,
            .path = wisp_arena_printf(arena, "spec.components[%zu].properties.image", i),
            .text = wisp_arena_printf(arena, "%s", err.text),
        };
    }
}

/* --- names --- */

void wisp_apps_source_deinit(struct wisp_apps_source *source)
{
    wisp_app_manifest_deinit(&source->manifest);
    wisp_arena_deinit(&source->arena);
}

int wisp_apps_check_name(const char *name, struct wisp_err *err)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (*name && !name[size]) return 0;
    return wisp_err_set(err, WISP_ERR_USAGE,
                        "`%s` is neither a file that is there nor the name of an application (letters, digits, `_`, "
                        "`-`, and perhaps @VERSION)",
                        name);
}

/* NAME[@VERSION] */
static int read_name(struct wisp_apps_source *source, const char *word, const char *version, struct wisp_err *err)
{
    const char *at = strchr(word, '@');
    source->name = wisp_arena_cstr(&source->arena, (struct wisp_str){word, at ? (size_t)(at - word) : strlen(word)});
    if (at && version && strcmp(at + 1, version) != 0)
        return wisp_err_set(err, WISP_ERR_USAGE, "two versions are named, `%s` and `%s`", at + 1, version);
    source->version = at ? at + 1 : version;
    if (source->version && !*source->version) return wisp_err_set(err, WISP_ERR_USAGE, "`%s`: which version?", word);
    return wisp_apps_check_name(source->name, err);
}

static int read_file(struct wisp_apps_source *source, const char *file, bool is_lenient,
                     struct wisp_app_problems *problems, struct wisp_err *err)
{
    source->file = file;
    int r = wisp_apps_parse(file, is_lenient, &source->arena, &source->manifest, problems, err);
    const struct wisp_app_manifest *manifest = &source->manifest;
    if (manifest->name.len) source->name = wisp_arena_cstr(&source->arena, manifest->name);
    if (manifest->version.len) source->version = wisp_arena_cstr(&source->arena, manifest->version);
    return r;
}

int wisp_apps_source_read(struct wisp_apps_source *source, const char *word, const char *version, bool is_lenient,
                          struct wisp_err *err)
{
    if (!wisp_apps_is_file(word)) return read_name(source, word, version, err);
    WISP_CLEANUP_FREE struct wisp_app_problems *problems = wisp_mem_calloc(1, sizeof *problems);
    int r = read_file(source, word, is_lenient, problems, err);
    tell_problems(word, problems, r < 0);
    if (r < 0) return problems->n ? refuse(word, problems, err) : r;
    if ((r = resolve_images(word, source->manifest.json, err)) < 0) return r;
    if (version && (!source->version || strcmp(version, source->version) != 0))
        return wisp_err_set(err, WISP_ERR_USAGE, "version `%s` is asked for, but %s has %s%s", version, word,
                            source->version ? "version " : "none", source->version ? source->version : "");
    return 0;
}

int wisp_apps_name_of(struct wisp_apps_source *source, const char *word, const char *version, struct wisp_err *err)
{
    if (!wisp_apps_is_file(word)) return read_name(source, word, version, err);
    WISP_CLEANUP_FREE struct wisp_app_problems *problems = wisp_mem_calloc(1, sizeof *problems);
    int r = read_file(source, word, true, problems, err);
    source->version = version;
    if (source->name) return wisp_apps_check_name(source->name, err);
    return r < 0 ? (problems->n ? refuse(word, problems, err) : r)
                 : wisp_err_set(err, WISP_ERR_INVALID, "%s names no application", word);
}
