/* SPDX-License-Identifier: Apache-2.0 */
/* wisp app validate, schema: no lattice is needed. */
#include "cli/app.h"

#include "base/json.h"
#include "cli/verbs.h"

#include <stdio.h>

struct values {
    struct wisp_arg_list files;
    struct wisp_image_options image;
    bool is_lenient, checks_images;
    int output;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults = {0};

/* --- validate --- */

struct count {
    uint32_t errors, warnings;
};

static json_t *problem_json(const char *file, const struct wisp_app_problem *problem)
{
    WISP_CLEANUP_BUF struct wisp_buf message = {0};
    wisp_buf_printf(&message, "%s%s%s", problem->path, *problem->path ? ": " : "", problem->text);
    json_t *json = json_object();
    json_object_set_new(json, "level", json_string(problem->is_error ? "Error" : "Warning"));
    json_object_set_new(json, "msg", wisp_json_text(wisp_buf_str(&message)));
    json_object_set_new(json, "file", wisp_json_text(wisp_str_from(file)));
    json_object_set_new(json, "line", json_integer(problem->line));
    json_object_set_new(json, "column", json_integer(problem->column));
    return json;
}

static void tell(const struct values *values, const char *file, const struct wisp_app_problems *problems,
                 json_t *errors, json_t *warnings, struct count *count)
{
    bool is_json = values->output == WISP_OUTPUT_JSON;
    for (uint32_t i = 0; i < problems->n; i++) {
        const struct wisp_app_problem *problem = &problems->list[i];
        if (is_json)
            json_array_append_new(problem->is_error ? errors : warnings, problem_json(file, problem));
        else
            wisp_apps_print_problem(stdout, file, problem);
    }
    if (problems->n_untold && !is_json) printf("%s: and %u more\n", file, problems->n_untold);
    if (!problems->n && !is_json) printf("%s: valid\n", strcmp(file, "-") == 0 ? "standard input" : file);
    count->errors += problems->n_errors;
    count->warnings += problems->n - (problems->n_errors < problems->n ? problems->n_errors : problems->n);
}

/* Negative only when it can't be read. */
static int check(const struct values *values, const char *file, json_t *errors, json_t *warnings, struct count *count,
                 struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_FREE struct wisp_app_problems *problems = wisp_mem_calloc(1, sizeof *problems);
    struct wisp_app_manifest manifest;
    int r = wisp_apps_parse(file, values->is_lenient, &arena, &manifest, problems, err);
    if (r == 0 && values->checks_images) wisp_apps_check_images(file, &manifest, &values->image, &arena, problems);
    wisp_app_manifest_deinit(&manifest);
    if (r < 0 && !problems->n) return r;
    tell(values, file, problems, errors, warnings, count);
    return 0;
}

static int run_validate(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    struct count count = {0};
    WISP_CLEANUP_JSON json_t *errors = json_array(), *warnings = json_array();
    for (size_t i = 0; i < values->files.count; i++) {
        int r = check(values, values->files.items[i], errors, warnings, &count, err);
        if (r < 0) return r;
    }
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_json_take(json_pack("{s:b, s:O, s:O, s:b}", "valid", !count.errors, "errors", errors, "warnings",
                                        warnings, "success", !count.errors));
    else if (count.errors || count.warnings)
        printf("%u error%s, %u warning%s\n", count.errors, count.errors == 1 ? "" : "s", count.warnings,
               count.warnings == 1 ? "" : "s");
    return count.errors ? wisp_err_exit_code(WISP_ERR_INVALID) : 0;
}

static const struct wisp_arg_option validate_options[] = {
    {.name = "lenient",
     .kind = WISP_ARG_FLAG,
     FIELD(is_lenient),
     .help = "keys that wadm silently ignores are warnings, not errors"},
    {.name = "check-image-refs",
     .kind = WISP_ARG_FLAG,
     FIELD(checks_images),
     .help = "fetch each image: what can't be had is an error"},
    {.name = "allowed-insecure",
     .kind = WISP_ARG_TEXT,
     .value = "A,B",
     FIELD(image.insecure),
     .env = "WISP_OCI_ALLOWED_INSECURE WASMCLOUD_OCI_ALLOWED_INSECURE",
     .help = "registries reached by plain HTTP"},
    WISP_OUTPUT_OPTION(struct values, output),
};
static const struct wisp_arg_operand validate_operands[] = {
    {.name = "FILE",
     .help = "manifests: files, URLs, or - for standard input",
     .is_required = true,
     .is_list = true,
     FIELD(files),
     .completion = WISP_COMPLETE_FILES},
};
const struct wisp_verb wisp_verb_app_validate = {
    .name = "app validate",
    .summary = "check manifests, without a lattice",
    .text =
        "Tells everything that is wrong as FILE:LINE:COLUMN: error: WHERE: what. The exit code is not 0 when there\n"
        "are errors; warnings alone are no failure.",
    .example = "wisp app validate shop.yaml\nwisp app validate deploy/*.yaml -o json",
    WISP_VERB_TABLES(validate_options, validate_operands, defaults),
    .run = run_validate,
};

/* --- schema --- */

static int run_schema(const void *values, struct wisp_err *err)
{
    (void)values;
    json_t *schema = wisp_app_schema();
    if (!schema) return wisp_err_set(err, WISP_ERR_INTERNAL, "the schema is no JSON");
    wisp_output_json_take(schema);
    return 0;
}

const struct wisp_verb wisp_verb_app_schema = {
    .name = "app schema",
    .summary = "the JSON Schema of manifests, for editors",
    .text = "An editor that speaks to a YAML language server takes it by a first line of the manifest:\n"
            "# yaml-language-server: $schema=oam.schema.json",
    .example = "wisp app schema > oam.schema.json",
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run_schema,
};
