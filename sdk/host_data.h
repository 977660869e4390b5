/* SPDX-License-Identifier: Apache-2.0 */
/* What a host tells a provider process that it starts: one line of base64 on its standard input, JSON inside. */
#pragma once

#include "base/json.h"
#include "base/log.h"
#include "nkeys/nkeys.h"

enum { WISP_HOST_DATA_LINE_MAX = 4 * (WISP_JSON_SIZE_MAX / 3) + 1024 };

struct wisp_host_data {
    json_t *json;
    const char *host_id, *lattice, *provider_id;
    const char *bus_url, *bus_jwt, *bus_seed;
    const char *spans_subject; /* where a host of ours takes spans; empty: nowhere */
    const char *bus_socket; /* the path of a Unix socket of the same bus, from hosts of ours; empty: none */
    const json_t *config, *secrets, *links; /* of `json`; may be NULL */
    bool has_xkeys;                         /* links come sealed, on a subject of the key's */
    struct wisp_nkey xkey;
    char xkey_public[WISP_NKEY_PUBLIC_LEN + 1];
    uint8_t host_xkey[32];
    bool is_log_structured;
    enum wisp_log_level log_level;
};

/* The first line of what comes from the descriptor, which blocks; without white space around. INVALID when there is
 * none, LIMIT when it is too long. */
int wisp_host_data_read(int fd, struct wisp_buf *ret_line, struct wisp_err *err) __attribute__((warn_unused_result));
/* INVALID says what is wrong, never with a value. Holds secrets: deinit wipes the keys. */
int wisp_host_data_parse(struct wisp_str line, struct wisp_host_data *ret_data, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_host_data_deinit(struct wisp_host_data *data);
#define WISP_CLEANUP_HOST_DATA __attribute__((cleanup(wisp_host_data_deinit)))

/* A link as host data and messages have it, with the secrets of the provider's side in the clear and without those of
 * the other. The caller owes *ret_link a json_decref. */
int wisp_host_data_open_link(const struct wisp_host_data *data, const json_t *link, json_t **ret_link,
                             struct wisp_err *err) __attribute__((warn_unused_result));
