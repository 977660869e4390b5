/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `wisp call`. */
#pragma once

#include "cli/lattice_client.h"
#include "component/plan.h"
#include "wrpc/wrpc.h"

/* A function that a component exports. */
struct wisp_call_function {
    struct wisp_wrpc_function on_wire;
    struct wisp_str item_name; /* "[method]bucket.get" */
    const struct wisp_func_type *type;
};

/* By what people write: INTERFACE.FUNCTION with or without the version and the package of the interface, or the name of
 * a function of the world. NOT_FOUND names what there is, USAGE the functions that are meant. Views into the
 * component. */
int wisp_call_find(const struct wisp_component *component, const char *word, struct wisp_call_function *ret_function,
                   struct wisp_err *err) __attribute__((warn_unused_result));

/* Values in WAVE (a string may go without quotes) to the struct of all parameters, in the arena. */
int wisp_call_arguments(const struct wisp_call_function *function, const struct wisp_arg_list *texts,
                        struct wisp_arena *arena, const void **ret_args, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- HTTP --- */

struct wisp_call_http {
    const char *scheme, *host, *method, *path, *body, *body_path, *content_type;
    uint32_t port;
};

/* wasi:http/incoming-handler.handle, in any version, or as wRPC calls it. */
bool wisp_call_is_http(const char *word);
/* {"status", "headers": {NAME: VALUE}, "body"}; several values of a header are joined by ", ". */
int wisp_call_http(struct wisp_lattice_client *client, struct wisp_wrpc *wrpc, const char *component_id,
                   const struct wisp_call_http *request, json_t **ret_response, struct wisp_err *err)
    __attribute__((warn_unused_result));
