/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"
#include "cli/verbs.h"
#include "wasm/wasm.h"

struct values {
    int output;
};

static const struct wisp_arg_option options[] = {
    WISP_OUTPUT_OPTION(struct values, output),
};

static int run(const void *values, struct wisp_err *err)
{
    (void)err;
    if (((const struct values *)values)->output == WISP_OUTPUT_JSON) {
        wisp_output_json_take(json_pack("{s:s, s:s}", "wisp", WISP_VERSION, "engine", wisp_wasm_engine_version()));
        return 0;
    }
    printf("wisp %s (%s)\n", WISP_VERSION, wisp_wasm_engine_version());
    return 0;
}

static const struct values defaults;

const struct wisp_verb wisp_verb_version = {
    .name = "version",
    .summary = "this program's version, and its engine's",
    .text = "Also as `wisp --version` and `wisp -V`.",
    .example = "wisp version -o json",
    .options = options,
    .n_options = WISP_COUNT(options),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .run = run,
};
