/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/capability.h"

#include "capability/kinds.h"

const struct wisp_provider_kind *const wisp_capability_kinds[] = {
    &wisp_keyvalue_sqlite,
    &wisp_keyvalue_redis,
    &wisp_keyvalue_nats,
    &wisp_keyvalue_vault,
    &wisp_blobstore_fs,
    &wisp_blobstore_s3,
    &wisp_blobstore_azure,
    &wisp_blobstore_nats,
    &wisp_messaging_nats,
    &wisp_messaging_kafka,
    &wisp_sqldb_postgres,
    &wisp_http_client,
};
const size_t wisp_capability_n_kinds = WISP_COUNT(wisp_capability_kinds);

const struct wisp_host_interface *const wisp_capability_interfaces[] = {
    &wisp_keyvalue_guest_store,
    &wisp_keyvalue_guest_atomics,
    &wisp_keyvalue_guest_batch,
    &wisp_keyvalue_guest_store_2,
    &wisp_keyvalue_guest_atomics_2,
    &wisp_keyvalue_guest_batch_2,
    &wisp_blobstore_guest_blobstore,
    &wisp_blobstore_guest_container,
    &wisp_blobstore_guest_types,
    &wisp_messaging_guest_types,
    &wisp_messaging_guest_producer,
    &wisp_messaging_guest_request,
    &wisp_http_guest_outgoing_handler,
};
const size_t wisp_capability_n_interfaces = WISP_COUNT(wisp_capability_interfaces);

const struct wisp_inside *const wisp_capability_insides[] = {
    &wisp_messaging_inside_handler,
    &wisp_keyvalue_inside_on_set,
    &wisp_keyvalue_inside_on_delete,
};
const size_t wisp_capability_n_insides = WISP_COUNT(wisp_capability_insides);

const struct wisp_provider_kind *wisp_capability_find(struct wisp_str name)
{
    for (size_t i = 0; i < wisp_capability_n_kinds; i++)
        if (wisp_str_is(name, wisp_capability_kinds[i]->name)) return wisp_capability_kinds[i];
    return NULL;
}
