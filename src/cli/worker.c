/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verbs.h"
#include "host/worker_config.h"

/* Its arguments are for people who look at the list of processes. */
struct values {
    const char *number, *component;
};

static const struct wisp_arg_operand operands[] = {
    {.name = "NUMBER", .help = "which worker it is", .offset = offsetof(struct values, number)},
    {.name = "COMPONENT", .help = "what it runs", .offset = offsetof(struct values, component)},
};

static int run(const void *values, struct wisp_err *err)
{
    (void)values;
    (void)err;
    return wisp_worker_process_main();
}

static const struct values defaults;

const struct wisp_verb wisp_verb_worker = {
    .name = "worker",
    .summary = "a worker process of `wisp run`",
    .text = "Started by the control process, with its configuration in a memory file. Not for people.",
    .example = "wisp run hello.wasm",
    .operands = operands,
    .n_operands = WISP_COUNT(operands),
    .defaults = &defaults,
    .values_size = sizeof(struct values),
    .is_hidden = true,
    .run = run,
};
