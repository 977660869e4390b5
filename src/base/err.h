/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: one fixed-size value, owned by the caller, filled where the failure happens and given context on the
 * way up. Making an error never allocates and never fails; text that does not fit is cut.
 *
 * Every fallible function returns 0, or a negative number and fills its last argument:
 *
 *     if (wisp_wasm_module_new(&module, engine, bytes, err) < 0)
 *         return wisp_err_wrap(err, "component `%s`", name);
 *
 * Expected outcomes (end of stream, would block, absent key) are results of their own, never errors. */
#pragma once

#include <stddef.h>

/* kind, name in JSON, HTTP status, exit code of the program, meaning */
#define WISP_ERR_KINDS(X)                                                                                              \
    X(INVALID, "invalid", 400, 2, "input is malformed")                                                                \
    X(USAGE, "usage", 400, 2, "a command, flag or value is wrong")                                                     \
    X(UNSUPPORTED, "unsupported", 501, 3, "well-formed, but not implemented here")                                     \
    X(NOT_FOUND, "not-found", 404, 4, "no such thing")                                                                 \
    X(EXISTS, "exists", 409, 5, "already there or already in use")                                                     \
    X(DENIED, "denied", 403, 6, "not allowed")                                                                         \
    X(UNAVAILABLE, "unavailable", 503, 7, "cannot be reached or is overloaded; may work later")                        \
    X(TIMEOUT, "timeout", 504, 8, "took longer than allowed")                                                          \
    X(LIMIT, "limit", 413, 9, "a configured limit was reached")                                                        \
    X(GUEST, "guest", 500, 10, "the WebAssembly guest failed (trap or broken contract)")                               \
    X(CANCELLED, "cancelled", 499, 11, "given up by whoever asked")                                                    \
    X(OS, "os", 500, 12, "the operating system refused")                                                               \
    X(INTERNAL, "internal", 500, 13, "a defect in wisp")

enum wisp_err_kind {
    WISP_ERR_NONE,
#define X(kind, ...) WISP_ERR_##kind,
    WISP_ERR_KINDS(X)
#undef X
        WISP_ERR_COUNT
};

enum { WISP_ERR_TEXT_MAX = 1024 };

/* A zeroed struct means "no error". */
struct wisp_err {
    enum wisp_err_kind kind;
    int os_errno; /* errno of the failed call, 0 when none */
    char text[WISP_ERR_TEXT_MAX];
};

/* Fill `err` and return -kind. `err` may be NULL: then only the result tells. */
int wisp_err_set(struct wisp_err *err, enum wisp_err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As wisp_err_set, for a failed system call: the text ends with the meaning of `os_errno`, and the kind follows
 * from it (ENOENT: NOT_FOUND, EACCES: DENIED, EADDRINUSE: EXISTS, ...; otherwise OS). */
int wisp_err_os(struct wisp_err *err, int os_errno, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put "context: " in front of the text; returns -kind again. */
int wisp_err_wrap(struct wisp_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Names and numbers of a kind, from the table above. */
const char *wisp_err_name(enum wisp_err_kind kind);
int wisp_err_http_status(enum wisp_err_kind kind);
int wisp_err_exit_code(enum wisp_err_kind kind);
