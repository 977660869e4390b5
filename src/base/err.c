/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct kind_row {
    const char *name;
    int http_status;
    int exit_code;
};

static const struct kind_row kinds[WISP_ERR_COUNT] = {[WISP_ERR_NONE] = {"none", 200, 0},
#define X(kind, name, status, code, meaning) [WISP_ERR_##kind] = {name, status, code},
                                                      WISP_ERR_KINDS(X)
#undef X
};

__attribute__((format(printf, 4, 0)))
static int fill(struct wisp_err *err, enum wisp_err_kind kind, int os_errno, const char *format, va_list args)
{
    assert(kind > WISP_ERR_NONE && kind < WISP_ERR_COUNT);
    if (err) {
        err->kind = kind;
        err->os_errno = os_errno;
        vsnprintf(err->text, sizeof err->text, format, args);
        if (os_errno) {
            size_t used = strlen(err->text);
            snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(os_errno));
        }
    }
    return -(int)kind;
}

int wisp_err_set(struct wisp_err *err, enum wisp_err_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = fill(err, kind, 0, format, args);
    va_end(args);
    return result;
}

static enum wisp_err_kind kind_of_errno(int os_errno)
{
    switch (os_errno) {
    case ENOENT:
    case ENOTDIR:
        return WISP_ERR_NOT_FOUND;
    case EEXIST:
    case EADDRINUSE:
        return WISP_ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return WISP_ERR_DENIED;
    case ETIMEDOUT:
        return WISP_ERR_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return WISP_ERR_UNAVAILABLE;
    default:
        return WISP_ERR_OS;
    }
}

int wisp_err_os(struct wisp_err *err, int os_errno, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int result = fill(err, kind_of_errno(os_errno), os_errno, format, args);
    va_end(args);
    return result;
}

int wisp_err_wrap(struct wisp_err *err, const char *format, ...)
{
    if (!err) return -WISP_ERR_INTERNAL;
    assert(err->kind != WISP_ERR_NONE);
    char context[WISP_ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(context, sizeof context, format, args);
    va_end(args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof context ? (size_t)n : sizeof context - 1;
    if (size + 2 < sizeof err->text) {
        size_t kept = strnlen(err->text, sizeof err->text - size - 3);
        memmove(err->text + size + 2, err->text, kept);
        memcpy(err->text, context, size);
        memcpy(err->text + size, ": ", 2);
        err->text[size + 2 + kept] = '\0';
    }
    return -(int)err->kind;
}

static const struct kind_row *row_of(enum wisp_err_kind kind)
{
    assert(kind >= WISP_ERR_NONE && kind < WISP_ERR_COUNT);
    return &kinds[kind];
}

const char *wisp_err_name(enum wisp_err_kind kind) { return row_of(kind)->name; }
int wisp_err_http_status(enum wisp_err_kind kind) { return row_of(kind)->http_status; }
int wisp_err_exit_code(enum wisp_err_kind kind) { return row_of(kind)->exit_code; }
