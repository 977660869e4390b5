/* SPDX-License-Identifier: Apache-2.0 */
/* C for a capability provider (provider/provider.h) made from a world: what the world exports the provider serves, what
 * it imports the provider calls at components. */
#pragma once

#include "wit/document.h"

/* Appends a header and a source file. `name` is that of the header without ".h". Names in C: interface `greeter` gives
 * `greeter_...`, with dashes as underscores; when two interfaces of a world have the same name, that of the package
 * goes in front, or the whole id. A type whose name another has in C already gets an underscore at its end.
 * UNSUPPORTED: resources, functions of the world itself, flags with more than 32 labels, functions whose names are the
 * same in C. */
int wisp_wit_provider_c(const struct wisp_wit_document_world *world, struct wisp_str name, struct wisp_buf *header,
                        struct wisp_buf *source, struct wisp_err *err) __attribute__((warn_unused_result));
