/* SPDX-License-Identifier: Apache-2.0 */
/* What the folders below define; capability.c makes tables of it. */
#pragma once

#include "provider/inside.h"

extern const struct wisp_provider_kind wisp_keyvalue_sqlite, wisp_keyvalue_nats, wisp_keyvalue_redis,
    wisp_keyvalue_vault;
extern const struct wisp_provider_kind wisp_blobstore_fs, wisp_blobstore_s3, wisp_blobstore_azure, wisp_blobstore_nats;
extern const struct wisp_provider_kind wisp_messaging_nats, wisp_messaging_kafka;
extern const struct wisp_provider_kind wisp_sqldb_postgres;
extern const struct wisp_provider_kind wisp_http_client;

extern const struct wisp_host_interface wisp_keyvalue_guest_store, wisp_keyvalue_guest_atomics,
    wisp_keyvalue_guest_batch, wisp_keyvalue_guest_store_2, wisp_keyvalue_guest_atomics_2, wisp_keyvalue_guest_batch_2;
extern const struct wisp_host_interface wisp_blobstore_guest_blobstore, wisp_blobstore_guest_container,
    wisp_blobstore_guest_types;
extern const struct wisp_host_interface wisp_http_guest_outgoing_handler;
extern const struct wisp_inside wisp_messaging_inside_handler, wisp_keyvalue_inside_on_set,
    wisp_keyvalue_inside_on_delete;
extern const struct wisp_host_interface wisp_messaging_guest_types, wisp_messaging_guest_producer,
    wisp_messaging_guest_request;
