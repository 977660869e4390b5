/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider's config may ask for: each line is KEY VALUE. */
#include "supervise/confine.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { SETTINGS_MAX = 100 };
    struct wisp_confine_setting settings[SETTINGS_MAX];
    struct wisp_str rest = {(const char *)data, size}, line;
    size_t n = 0;
    for (bool more = true; more && n < SETTINGS_MAX;) {
        more = wisp_str_split(rest, '\n', &line, &rest);
        if (!more) line = rest;
        struct wisp_confine_setting setting = {line, {0}};
        wisp_str_split(line, ' ', &setting.key, &setting.value);
        if (wisp_str_is(setting.key, "user") && setting.value.len && setting.value.ptr[0] > '9')
            continue; /* asks NSS */
        settings[n++] = setting;
    }
    for (size_t i = 0; i <= n; i++) {
        WISP_CLEANUP_CONFINE struct wisp_confine *confine = NULL;
        struct wisp_err err = {0};
        if (wisp_confine_new(&confine, i < n ? &settings[i] : settings, i < n ? 1 : n, &err) < 0) {
            if (!err.kind || confine) abort();
            continue;
        }
        if (confine) wisp_confine_passes(confine, "HOME=/");
        if (confine && wisp_confine_cpu_us(confine) > 1025ull * 100000) abort();
    }
    return 0;
}
