/* SPDX-License-Identifier: Apache-2.0 */
/* What users, registries, token servers and Docker's configuration say. The first byte chooses the parser. */
#include "oci/challenge.h"
#include "oci/credentials.h"
#include "oci/digest.h"
#include "oci/manifest.h"
#include "oci/reference.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted is the same when its canonical text is parsed. */
static void check_reference(struct wisp_str text)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf plain = {0};
    struct wisp_oci_reference reference, again;
    wisp_oci_reference_plain(text, &plain);
    if (wisp_oci_reference_parse(&arena, text, &reference, NULL) < 0 || reference.path) return;
    assert(!strpbrk(reference.text, " \r\n?#%\\\"<>"));
    int r = wisp_oci_reference_parse(&arena, wisp_str_from(reference.text), &again, NULL);
    assert(r == 0 && strcmp(reference.text, again.text) == 0);
    (void)r;
}

static void check_manifest(struct wisp_str text)
{
    for (int kind = 0; kind < 3; kind++) {
        struct wisp_oci_manifest manifest;
        if (wisp_oci_manifest_parse(text, (enum wisp_oci_kind)kind, &manifest, NULL) < 0) continue;
        assert(strlen(manifest.digest) == WISP_OCI_DIGEST_LEN);
    }
}

static void check_challenge(struct wisp_str text)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    WISP_CLEANUP_BUF struct wisp_buf url = {0};
    struct wisp_oci_challenge challenge = wisp_oci_challenge_parse(&arena, text);
    if (challenge.scheme != WISP_OCI_AUTH_BEARER) return;
    if (wisp_oci_token_url(&challenge, "repository:x:pull", false, &url, NULL) < 0) return;
    assert(wisp_str_starts_with(wisp_buf_str(&url), WISP_STR("https://")));
    for (size_t i = 0; i < url.len; i++) assert((unsigned char)url.data[i] > ' ');
}

static void check_token(struct wisp_str text)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    const char *token;
    uint64_t valid_ms;
    if (wisp_oci_token_parse(&arena, text, &token, &valid_ms, NULL) == 0) assert(!strpbrk(token, " \r\n"));
}

static void check_docker_config(struct wisp_str text)
{
    struct wisp_oci_login login = {0};
    WISP_CLEANUP_FREE char *helper = NULL;
    if (wisp_oci_docker_config_read(text, "r.io", &login, &helper, NULL) == 0 && helper) assert(!strchr(helper, '/'));
    wisp_oci_login_deinit(&login);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct wisp_str) = {check_reference, check_manifest, check_challenge, check_token,
                                                      check_docker_config};
    if (size == 0) return 0;
    checks[data[0] % WISP_COUNT(checks)]((struct wisp_str){(const char *)data + 1, size - 1});
    return 0;
}
