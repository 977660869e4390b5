/* SPDX-License-Identifier: Apache-2.0 */
/* Provider archives. Nothing beyond the limit may come out of one. */
#include "oci/par.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 100000 };

static int count(void *env, struct wisp_str bytes, struct wisp_err *err)
{
    size_t *total = env;
    (void)err;
    *total += bytes.len;
    assert(*total <= LIMIT);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_oci_par_options options = {"x86_64-linux", LIMIT, 1000};
    struct wisp_oci_claims claims;
    char digest[WISP_OCI_DIGEST_LEN + 1];
    size_t total = 0;
    WISP_CLEANUP_FD int fd = memfd_create("par", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    lseek(fd, 0, SEEK_SET);
    (void)!wisp_oci_par_read(fd, &options, &(struct wisp_oci_par_sink){count, &total}, &arena, &claims, digest, NULL);
    return 0;
}
