/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static enum wisp_log_level max_level = WISP_LOG_INFO;
static enum wisp_log_format format = WISP_LOG_AUTO;
static void (*sink)(const struct wisp_log_record *record, void *env);
static void *sink_env;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const level_colours[] = {"31", "33", "32", "2"};

void wisp_log_configure(enum wisp_log_level level, enum wisp_log_format wanted)
{
    max_level = level;
    format = wanted;
}

void wisp_log_set_sink(void (*new_sink)(const struct wisp_log_record *record, void *env), void *env)
{
    sink = new_sink;
    sink_env = env;
}

bool wisp_log_is_on(enum wisp_log_level level) { return level <= max_level; }

static void append_json_text(struct wisp_buf *line, struct wisp_str text)
{
    wisp_buf_append_char(line, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            wisp_buf_printf(line, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            wisp_buf_printf(line, "\\u%04x", c);
        else
            wisp_buf_append_char(line, (char)c);
    }
    wisp_buf_append_char(line, '"');
}

static bool needs_quotes(struct wisp_str text)
{
    if (!text.len) return true;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
    }
    return false;
}

static void append_text(struct wisp_buf *line, struct wisp_str text)
{
    if (needs_quotes(text))
        append_json_text(line, text);
    else
        wisp_buf_append_str(line, text);
}

static void append_fields(struct wisp_buf *line, const struct wisp_log_field *fields, size_t n_fields, bool json)
{
    for (size_t i = 0; i < n_fields; i++) {
        const struct wisp_log_field *field = &fields[i];
        wisp_buf_printf(line, json ? ",\"%s\":" : " %s=", field->key);
        if (field->kind == WISP_LOG_FIELD_INT)
            wisp_buf_printf(line, "%lld", (long long)field->number);
        else if (json)
            append_json_text(line, field->text);
        else
            append_text(line, field->text);
    }
}

static void append_head(struct wisp_buf *line, enum wisp_log_format shape, enum wisp_log_level level, const char *scope,
                        const char *message)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    int ms = (int)(now.tv_nsec / 1000000);
    const char *name = level_names[level];
    if (shape == WISP_LOG_JSON) {
        wisp_buf_printf(line, "{\"time\":\"%s.%03dZ\",\"level\":\"%s\",\"scope\":\"%s\",\"message\":", stamp, ms, name,
                        scope);
        append_json_text(line, wisp_str_from(message));
    } else if (shape == WISP_LOG_TEXT) {
        bool colour = !getenv("NO_COLOR");
        wisp_buf_printf(line, "%s.%03d ", stamp + 11, ms);
        if (colour) wisp_buf_printf(line, "\033[%sm", level_colours[level]);
        wisp_buf_printf(line, "%-5s", name);
        if (colour) wisp_buf_printf(line, "\033[0m");
        wisp_buf_printf(line, " %s: %s", scope, message);
    } else {
        wisp_buf_printf(line, "time=%s.%03dZ level=%s scope=%s msg=", stamp, ms, name, scope);
        append_text(line, wisp_str_from(message));
    }
}

void wisp_log_write(enum wisp_log_level level, const char *scope, const char *message,
                    const struct wisp_log_field *fields, size_t n_fields)
{
    enum wisp_log_format shape = format;
    if (shape == WISP_LOG_AUTO) shape = isatty(STDERR_FILENO) ? WISP_LOG_TEXT : WISP_LOG_LOGFMT;
    WISP_CLEANUP_BUF struct wisp_buf line = {0};
    append_head(&line, shape, level, scope, message);
    append_fields(&line, fields, n_fields, shape == WISP_LOG_JSON);
    if (shape == WISP_LOG_JSON) wisp_buf_append_char(&line, '}');
    wisp_buf_append_char(&line, '\n');
    ssize_t written = write(STDERR_FILENO, line.data, line.len);
    (void)written;
    const struct wisp_log_record record = {level, scope, message, fields, n_fields};
    if (sink) sink(&record, sink_env);
}
