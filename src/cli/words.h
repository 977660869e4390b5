/* SPDX-License-Identifier: Apache-2.0 */
/* What people write on the command line for hosts, components, images and settings. */
#pragma once

#include "cli/lattice_client.h"

enum { WISP_HOST_ID_LEN = 56 };

bool wisp_word_is_host_id(const char *text);
/* USAGE unless it can be the id of a component or provider: letters, digits, '_', '-'. */
int wisp_word_check_id(const char *text, struct wisp_err *err) __attribute__((warn_unused_result));
/* Names of configs become a token of a subject and a key. */
int wisp_word_check_config(const char *text, struct wisp_err *err) __attribute__((warn_unused_result));
/* "k=v" each, in all of them; with `separator` not NUL, several in one item. Borrowed text is copied. */
int wisp_word_pairs(const struct wisp_arg_list *list, char separator, const char *what, json_t **ret_map,
                    struct wisp_err *err) __attribute__((warn_unused_result));
json_t *wisp_word_list_json(const struct wisp_arg_list *list);
/* A path becomes file:// with the real path; anything else stays as it is, but what can only be a path is NOT_FOUND when
 * it is not there. The text belongs to the arena. */
int wisp_word_reference(const char *text, struct wisp_arena *arena, const char **ret_reference, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* "yes" on a terminal; USAGE, with what to write instead, when there is none to ask on. */
int wisp_word_confirm(const char *question, const char *instead, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* --- what runs --- */

/* All hosts' answers to a ping, longest running first. UNAVAILABLE when there is none. `patience_ms` is waited for in
 * full; 0: until no more answers come. */
int wisp_hosts_ping(struct wisp_lattice_client *client, uint64_t patience_ms, json_t **ret_hosts, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* An id as it is; else the beginning of an id, or a part of a friendly name, of a host that answers. NOT_FOUND, or
 * USAGE with all that match. The text belongs to the client. */
int wisp_hosts_find(struct wisp_lattice_client *client, const char *word, const char **ret_host_id,
                    struct wisp_err *err) __attribute__((warn_unused_result));
int wisp_hosts_inventory(struct wisp_lattice_client *client, const char *host_id, json_t **ret_inventory,
                         struct wisp_err *err) __attribute__((warn_unused_result));
/* Of all hosts, in the order of wisp_hosts_ping. */
int wisp_hosts_inventories(struct wisp_lattice_client *client, json_t **ret_inventories, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* The entry of that id in "components" or "providers" (`kind`), or NULL. Borrowed. */
json_t *wisp_inventory_find(const json_t *inventory, const char *kind, const char *id);
/* Inventories that have it: an array. NOT_FOUND when none has. `host_word` NULL: all hosts are looked at. */
int wisp_hosts_running(struct wisp_lattice_client *client, const char *kind, const char *id, const char *host_word,
                       json_t **ret_inventories, struct wisp_err *err) __attribute__((warn_unused_result));
