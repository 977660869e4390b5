/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of functions of the wire that a component answers by an export with objects (provider/inside.h): the
 * invocation's arguments and result are those of the wire for its caller, and the guest's for the guest. */
#pragma once

#include "provider/inside.h"
#include "worker/worker_priv.h"

struct wisp_entry_target {
    const struct wisp_inside *inside;
    const struct wisp_export_func *func;
    const struct wisp_linked_export *export_;
};
/* One that stands for a function of the wire, if the component does not export that itself. False: it has none. */
bool wisp_entry_find(const struct wisp_edition *edition, struct wisp_str interface, struct wisp_str func,
                     struct wisp_entry_target *ret_target);
/* The same for one of wisp_capability_insides. */
bool wisp_entry_get(const struct wisp_edition *edition, const struct wisp_inside *inside,
                    struct wisp_entry_target *ret_target);
/* This export has objects and is called as what it stands for. */
bool wisp_entry_is_behind(const struct wisp_edition *edition, const struct wisp_export_func *func);

/* For an invocation that is being made, whose args and result are set, by ones of the wire. They stay until it ends. */
void wisp_entry_begin(struct wisp_invocation *invocation, const struct wisp_entry_target *target);
/* The rest does nothing for invocations without an entry. Makes the guest's arguments; LIMIT in invocation->err. */
int wisp_entry_prepare(struct wisp_invocation *invocation) __attribute__((warn_unused_result));
/* The guest has returned: the result is that of the wire now. */
void wisp_entry_leave(struct wisp_invocation *invocation);
/* Before its instance is freed: what the guest did not get goes; the memory goes with wisp_entry_end. */
void wisp_entry_drop(struct wisp_invocation *invocation);
void wisp_entry_end(struct wisp_invocation *invocation);
