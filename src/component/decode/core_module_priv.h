/* SPDX-License-Identifier: Apache-2.0 */
/* Between core_module.c (sections) and core_types.c (types, lookup, matching). */
#pragma once

#include "component/decode/core_module.h"

struct wisp_core_extern wisp_core_read_table_type(struct wisp_reader *reader);
struct wisp_core_extern wisp_core_read_memory_type(struct wisp_reader *reader);
struct wisp_core_extern wisp_core_read_global_type(struct wisp_reader *reader);
struct wisp_core_extern wisp_core_read_tag_type(struct wisp_reader *reader);
/* Up to and including its end. */
void wisp_core_skip_const_expr(struct wisp_reader *reader);
