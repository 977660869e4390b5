/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log: level, scope, message, fields. One line per record on standard error: readable and coloured on
 * a terminal, logfmt in a pipe, JSON when asked. Only the owner of a task logs its failure, once.
 *
 *     WISP_LOG(WARN, "worker", "worker died, replacing it", WISP_INT("pid", pid), WISP_TEXT("signal", "SIGKILL"));
 *
 * Never put a secret into a record. Records are written whole with one write(2) and are safe from any thread. */
#pragma once

#include "base/str.h"

#include <stdint.h>

enum wisp_log_level { WISP_LOG_ERROR, WISP_LOG_WARN, WISP_LOG_INFO, WISP_LOG_DEBUG };
enum wisp_log_format { WISP_LOG_AUTO, WISP_LOG_TEXT, WISP_LOG_LOGFMT, WISP_LOG_JSON };

struct wisp_log_field {
    const char *key;
    enum { WISP_LOG_FIELD_INT, WISP_LOG_FIELD_STR } kind;
    int64_t number;
    struct wisp_str text;
};

#define WISP_INT(key, value) ((struct wisp_log_field){(key), WISP_LOG_FIELD_INT, (int64_t)(value), {0}})
#define WISP_TEXT(key, cstring) ((struct wisp_log_field){(key), WISP_LOG_FIELD_STR, 0, wisp_str_from(cstring)})
#define WISP_BYTES(key, str) ((struct wisp_log_field){(key), WISP_LOG_FIELD_STR, 0, (str)})

#define WISP_LOG(level, scope, message, ...)                                                                           \
    do {                                                                                                               \
        if (wisp_log_is_on(WISP_LOG_##level)) {                                                                        \
            const struct wisp_log_field fields_[] = {{0}, ##__VA_ARGS__};                                              \
            wisp_log_write(WISP_LOG_##level, (scope), (message), fields_ + 1, WISP_COUNT(fields_) - 1);                \
        }                                                                                                              \
    } while (0)

/* Process-wide; set once at start, before other threads. */
void wisp_log_configure(enum wisp_log_level max_level, enum wisp_log_format format);
bool wisp_log_is_on(enum wisp_log_level level);
void wisp_log_write(enum wisp_log_level level, const char *scope, const char *message,
                    const struct wisp_log_field *fields, size_t n_fields);

struct wisp_log_record {
    enum wisp_log_level level;
    const char *scope, *message;
    const struct wisp_log_field *fields;
    size_t n_fields;
};
/* Gets every record as well, from the thread that logs it; it must not log. NULL: nobody (any more). */
void wisp_log_set_sink(void (*sink)(const struct wisp_log_record *record, void *env), void *env);
