/* SPDX-License-Identifier: Apache-2.0 */
/* wasi:logging */
#include "wasi/app.h"
#include "wasi/wasi_priv.h"

#include "base/log.h"

struct log_args {
    uint32_t level;
    struct wisp_str context, message;
};

/* Whole characters only. */
static struct wisp_str cut(struct wisp_str text)
{
    if (text.len <= WISP_WASI_OUTPUT_LINE_MAX) return text;
    text.len = WISP_WASI_OUTPUT_LINE_MAX;
    while (((uint8_t)text.ptr[text.len] & 0xc0) == 0x80) text.len--;
    return text;
}

static void log_here(enum wisp_wasi_log_level level, struct wisp_str context, struct wisp_str message)
{
    static const enum wisp_log_level levels[] = {
        [WISP_WASI_LOG_TRACE] = WISP_LOG_DEBUG, [WISP_WASI_LOG_DEBUG] = WISP_LOG_DEBUG,
        [WISP_WASI_LOG_INFO] = WISP_LOG_INFO,   [WISP_WASI_LOG_WARN] = WISP_LOG_WARN,
        [WISP_WASI_LOG_ERROR] = WISP_LOG_ERROR, [WISP_WASI_LOG_CRITICAL] = WISP_LOG_ERROR,
    };
    if (!wisp_log_is_on(levels[level])) return;
    const struct wisp_log_field fields[] = {WISP_BYTES("message", message), WISP_BYTES("context", context)};
    wisp_log_write(levels[level], "guest", "guest log", fields, context.len ? 2 : 1);
}

static int log_line(struct wisp_call *call, const void *args, void *result)
{
    (void)result;
    const struct log_args *line = args;
    const struct wisp_wasi_app *app = ((const struct wisp_wasi *)call->context)->app;
    struct wisp_str context = cut(line->context), message = cut(line->message);
    if (app && app->on_log)
        app->on_log(line->level, context, message, app->component_id, app->on_log_env);
    else
        log_here(line->level, context, message);
    return 0;
}

static const struct wisp_host_func funcs[] = {
    {"log", "(enum(6), string, string)", log_line, sizeof(struct log_args), 0},
};

const struct wisp_host_interface wisp_wasi_logging = {
    .name = "wasi:logging/logging",
    .version = "0.1.0-draft",
    .funcs = funcs,
    .n_funcs = WISP_COUNT(funcs),
};
