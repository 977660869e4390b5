/* SPDX-License-Identifier: Apache-2.0 */
#include "host/compile.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "component/plan.h"
#include "host/source.h"

struct values {
    const char *file;
    int output;
};

static const struct wisp_arg_option options[] = {
    WISP_OUTPUT_OPTION(struct values, output),
};

static const struct wisp_arg_operand operands[] = {
    {.name = "FILE",
     .help = "a component, binary (.wasm) or text (.wat)",
     .is_required = true,
     .offset = offsetof(struct values, file),
     .completion = WISP_COMPLETE_FILES},
};

static void print_text(const struct wisp_source *source, const struct wisp_compiled *compiled)
{
    if (compiled->n_compiled)
        printf("%s: compiled %u of %u core module%s in %.1f ms\n", source->name, compiled->n_compiled,
               compiled->n_modules, compiled->n_modules == 1 ? "" : "s", (double)compiled->took_us / 1000);
    else
        printf("%s: in the code cache already, %u core module%s (looked up in %.1f ms)\n", source->name,
               compiled->n_modules, compiled->n_modules == 1 ? "" : "s", (double)compiled->took_us / 1000);
}

static void print_json(const struct wisp_source *source, const struct wisp_compiled *compiled)
{
    json_t *json = json_object();
    json_object_set_new(json, "file", wisp_output_json_text(wisp_str_from(source->name)));
    json_object_set_new(json, "size", json_integer((json_int_t)source->file_size));
    json_object_set_new(json, "modules", json_integer(compiled->n_modules));
    json_object_set_new(json, "compiled", json_integer(compiled->n_compiled));
    json_object_set_new(json, "milliseconds", json_real((double)compiled->took_us / 1000));
    wisp_output_json_take(json);
}

static int run(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    WISP_CLEANUP_SOURCE struct wisp_source source = {0};
    WISP_CLEANUP_COMPONENT struct wisp_component *component = NULL;
    int r = wisp_source_read(&source, values->file, err);
    if (r < 0) return r;
    struct wisp_compiled compiled;
    r = wisp_component_new(&component, wisp_buf_str(&source.binary), NULL, err);
    if (r == 0) r = wisp_compile(&compiled, component, err);
    if (r < 0) return wisp_err_wrap(err, "component `%s`", source.name);
    if (values->output == WISP_OUTPUT_JSON)
        print_json(&source, &compiled);
    else
        print_text(&source, &compiled);
    return 0;
}

static const struct values defaults;

const struct wisp_verb wisp_verb_compile = {
    .name = "compile",
    .summary = "compile a component ahead of time",
    .text = "Fills the code cache (below $WISP_CACHE, $XDG_CACHE_HOME/wisp or ~/.cache/wisp), so that the first\n"
            "`wisp run` starts as fast as any later one.",
    .example = "wisp compile hello.wasm",
    .options = options,
    .n_options = WISP_COUNT(options),
    .operands = operands,
    .n_operands = WISP_COUNT(operands),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run,
};
