/* SPDX-License-Identifier: Apache-2.0 */
/* WASI 0.2: what an invocation may see of the outside, and the host interfaces that show it. */
#pragma once

#include "base/mem.h"
#include "component/host.h"
#include "component/instance.h"

#include <uv.h>

/* Newest WASI 0.2 that is implemented. */
#define WISP_WASI_VERSION "0.2.12"

struct wisp_outside;

struct wisp_wasi_env {
    struct wisp_str name, value;
};

/* A directory of the host that the guest may use. */
struct wisp_wasi_preopen {
    int fd;                     /* O_DIRECTORY, owned by whoever made the config */
    struct wisp_str guest_path; /* "/data" */
    bool read_only;
};

/* Same for all invocations of a component; immutable; borrowed. All texts are UTF-8 without NUL: see
 * wisp_wasi_config_check. */
struct wisp_wasi_config {
    const struct wisp_str *args;
    size_t n_args;
    const struct wisp_wasi_env *env;
    size_t n_env;
    const struct wisp_wasi_preopen *preopens;
    size_t n_preopens;
    /* Descriptors of the guest's standard streams; -1: stdin is at its end, output is discarded. Their flags are left
     * alone (they may be shared with a shell). The program must ignore SIGPIPE. */
    int stdin_fd, stdout_fd, stderr_fd;
    /* When set, whole lines of stdout and stderr go here instead of to a descriptor (a worker logs them): without the
     * newline, cut at WISP_WASI_OUTPUT_LINE_MAX, any bytes; the rest without a newline at the end of the invocation. */
    void (*on_output)(struct wisp_str line, bool is_stderr, void *env);
    void *on_output_env;
};

enum {
    WISP_WASI_OUTPUT_LINE_MAX = 8192, /* bytes of a line given to on_output */
    WISP_WASI_DESCRIPTORS_MAX = 1024, /* files and directories that one invocation may hold open */
};

/* State of one invocation: `call->context` of every WASI host function is a pointer to it. Caller's storage. */
struct wisp_wasi {
    const struct wisp_wasi_config *config;
    uv_loop_t *loop;
    struct wisp_instance *instance; /* set by the owner right after wisp_instance_new */
    bool has_exited;                /* wasi:cli/exit was called: the trap that follows is no failure */
    uint8_t exit_code;
    struct wisp_wasi_timer *timer; /* pending wake-up, made when first needed */
    struct wisp_http_exchange *exchange; /* the request being answered; NULL outside of HTTP and once the client left */
    struct wisp_wasi_http *http;         /* state of wasi:http; NULL until used */
    uint32_t n_descriptors;              /* files and directories that the guest holds now */
    struct wisp_buf stdout_line, stderr_line; /* begun lines for on_output */
    struct wisp_wasi_app *app; /* app.h; set by the owner after init, who gives a reference away; NULL: on its own */
    const struct wisp_wasi_link **chosen_links; /* of the app's, those that the guest chose instead of "default" */
    size_t n_chosen_links;
    const struct wisp_outside *outside; /* provider/outside.h; set by the owner after init; NULL: nothing outside */
};

/* Refuses what a guest could not be given: texts that are not UTF-8 or hold a NUL, variables without a name or with `=`
 * in it, a preopen without a path. INVALID names the culprit, never a variable's value. For use when a configuration
 * is made: nothing checks it later. */
int wisp_wasi_config_check(const struct wisp_wasi_config *config, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Zeroes and fills. */
void wisp_wasi_init(struct wisp_wasi *wasi, const struct wisp_wasi_config *config, uv_loop_t *loop);
/* After wisp_instance_free. */
void wisp_wasi_deinit(struct wisp_wasi *wasi);

/* Every host interface that wisp has: WASI 0.2, what isn't implemented yet answering with the interface's own error, and
 * those of app.h. */
extern const struct wisp_host_interface *const wisp_wasi_interfaces[];
extern const size_t wisp_wasi_n_interfaces;
