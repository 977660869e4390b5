/* SPDX-License-Identifier: Apache-2.0 */
/* Short-cuts the shim and fixup modules that component tools emit.
 *
 * A lowered function needs the importer's memory, which exists only after the importer was instantiated with that very
 * function. So tools instantiate a shim first, whose exports call through a table; then the importer, given the shim's
 * exports; then a fixup module, which writes the lowered functions into the shim's table. Our trampolines find their
 * memory when they are called, so the importer can have them from the start:
 *
 *     shim    exports functions, each one only `local.get 0..n; i32.const k; call_indirect`, and its table "$imports"
 *     fixup   imports functions and that table, and has nothing but one active segment that fills the table with them
 */
#pragma once

#include "component/plan.h"

/* Rewrites the plan. Whatever does not look exactly like that, or would have to come from an instance that is made
 * later than its importer, is left alone. */
void wisp_plan_elide_shims(struct wisp_component *component);
