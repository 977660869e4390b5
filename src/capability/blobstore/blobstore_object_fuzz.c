/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of an object in a bucket of NATS, as anybody may have written it: it is read or refused, and what names
 * its data is one word of a subject. */
#include "capability/blobstore/nats_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_objects_info info = {0};
    struct wisp_err err;
    int r = wisp_objects_info_read((struct wisp_str){(const char *)data, size}, &info, &err);
    if (memchr(info.nuid, '\0', sizeof info.nuid) == NULL || strpbrk(info.nuid, " .*>\r\n\t")) abort();
    bool has_data = !info.exists || info.link_bucket || *info.nuid || !info.size;
    if (r == 0 && !has_data) abort();
    wisp_objects_info_deinit(&info);
    return 0;
}
