/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/keyvalue/redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_redis_address address;
    struct wisp_err err;
    int r = wisp_redis_address_parse((struct wisp_str){(const char *)data, size}, &address, &err);
    if (r == 0 && (!address.host || !address.port || (address.password && strlen(address.password) > size)))
        __builtin_trap();
    wisp_redis_address_deinit(&address);
    return 0;
}
