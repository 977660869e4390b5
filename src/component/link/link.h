/* SPDX-License-Identifier: Apache-2.0 */
/* Validates a decoded component and links it within itself: fills the component's world and plan. */
#pragma once

#include "component/decode/decode.h"

/* `component` has its arena and binary; everything else is filled. INVALID, UNSUPPORTED or LIMIT on failure, and the
 * component is then only good for being freed. */
int wisp_component_link(struct wisp_component *component, const struct wisp_ast *ast, struct wisp_err *err)
    __attribute__((warn_unused_result));
