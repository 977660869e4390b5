/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include "test.h"

#include <stdio.h>
#include <sys/utsname.h>

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define LAYER(type, digest) "{\"mediaType\":\"" type "\",\"digest\":\"" digest "\",\"size\":12}"
#define MANIFEST(layers) "{\"schemaVersion\":2,\"config\":{},\"layers\":[" layers "]}"
#define ENTRY(digest, os, architecture)                                                                                \
    "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":5,\"digest\":\"" digest                    \
    "\",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" architecture "\"}}"
#define PLAIN_ENTRY(digest) "{\"size\":5,\"digest\":\"" digest "\"}"
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"
#define WASM "application/wasm"
#define PAR "application/vnd.wasmcloud.provider.archive.layer.v1+par"

static int parse(const char *text, enum wisp_oci_kind kind, struct wisp_oci_manifest *manifest, struct wisp_err *err)
{
    return wisp_oci_manifest_parse(wisp_str_from(text), kind, manifest, err);
}

static void check(const char *text, enum wisp_oci_kind kind, bool is_index, const char *digest)
{
    struct wisp_oci_manifest manifest;
    struct wisp_err err = {0};
    CHECK_OK(parse(text, kind, &manifest, &err), &err);
    CHECK_INT(manifest.is_index, is_index);
    CHECK_TEXT(manifest.digest, digest);
    CHECK_INT(manifest.size, is_index ? 5 : 12);
}

static void check_fails(const char *text, enum wisp_oci_kind kind, enum wisp_err_kind expected, const char *words)
{
    struct wisp_oci_manifest manifest;
    struct wisp_err err = {0};
    CHECK_INT(parse(text, kind, &manifest, &err), -(int)expected);
    CHECK_HAS(err.text, words);
}

TEST(layers)
{
    check(MANIFEST(LAYER(WASM, A)), WISP_OCI_COMPONENT, false, A);
    check(MANIFEST(LAYER("application/vnd.module.wasm.content.layer.v1+wasm", A)), WISP_OCI_COMPONENT, false, A);
    check(MANIFEST(LAYER("application/vnd.oci.image.layer.v1.tar", A)), WISP_OCI_COMPONENT, false, A);
    check(MANIFEST(LAYER("application/vnd.oci.image.layer.v1.tar", A)), WISP_OCI_PROVIDER, false, A);
    check(MANIFEST(LAYER(PAR, A)), WISP_OCI_PROVIDER, false, A);
    check(MANIFEST(LAYER(PAR, A)), WISP_OCI_FILE, false, A);
    check(MANIFEST(LAYER(WASM, A)), WISP_OCI_FILE, false, A);
    check_fails(MANIFEST(LAYER("text/plain", A)), WISP_OCI_FILE, WISP_ERR_INVALID, "neither component nor provider");
    check_fails(MANIFEST(LAYER(PAR, A)), WISP_OCI_COMPONENT, WISP_ERR_INVALID, "is a provider, not a component");
    check_fails(MANIFEST(LAYER(WASM, A)), WISP_OCI_PROVIDER, WISP_ERR_INVALID, "is a component, not a provider");
    check_fails(MANIFEST(LAYER("text/plain", A)), WISP_OCI_PROVIDER, WISP_ERR_INVALID, "text/plain");
    check_fails(MANIFEST(LAYER(WASM, A) "," LAYER(WASM, B)), WISP_OCI_COMPONENT, WISP_ERR_INVALID, "2 layers");
    check_fails(MANIFEST(""), WISP_OCI_COMPONENT, WISP_ERR_INVALID, "0 layers");
}

TEST(wasm_of_an_index)
{
    check(INDEX(ENTRY(A, "linux", "amd64") "," ENTRY(B, "wasip1", "wasm") "," ENTRY(C, "wasip2", "wasm")),
          WISP_OCI_COMPONENT, true, C);
    check(INDEX(ENTRY(A, "linux", "amd64") "," ENTRY(B, "wasi", "wasm")), WISP_OCI_COMPONENT, true, B);
    check(INDEX(ENTRY(A, "unknown", "unknown") "," PLAIN_ENTRY(B) "," PLAIN_ENTRY(C)), WISP_OCI_COMPONENT, true, B);
    check_fails(INDEX(ENTRY(A, "linux", "amd64")), WISP_OCI_COMPONENT, WISP_ERR_NOT_FOUND, "linux/amd64");
    check_fails(INDEX(""), WISP_OCI_COMPONENT, WISP_ERR_NOT_FOUND, "none at all");
}

TEST(machine_of_an_index)
{
    struct utsname names;
    CHECK(uname(&names) == 0);
    const char *name = !strcmp(names.machine, "x86_64")    ? "amd64"
                       : !strcmp(names.machine, "aarch64") ? "arm64"
                                                           : names.machine;
    char text[1000];
    snprintf(text, sizeof text, INDEX(PLAIN_ENTRY(A) "," ENTRY(B, "windows", "amd64") "," ENTRY(C, "linux", "%s")),
             name);
    check(text, WISP_OCI_PROVIDER, true, C);
    check(INDEX(PLAIN_ENTRY(A) "," ENTRY(B, "windows", "amd64")), WISP_OCI_PROVIDER, true, A);
    check_fails(INDEX(ENTRY(B, "windows", "amd64")), WISP_OCI_PROVIDER, WISP_ERR_NOT_FOUND, "windows/amd64");
}

TEST(wrong)
{
    check_fails("", WISP_OCI_COMPONENT, WISP_ERR_INVALID, "manifest: ");
    check_fails("[]", WISP_OCI_COMPONENT, WISP_ERR_UNSUPPORTED, "schema");
    check_fails("{\"schemaVersion\":1,\"fsLayers\":[]}", WISP_OCI_COMPONENT, WISP_ERR_UNSUPPORTED, "schema");
    check_fails("{\"schemaVersion\":2}", WISP_OCI_COMPONENT, WISP_ERR_INVALID, "neither");
    check_fails("{\"schemaVersion\":2,\"layers\":[],\"manifests\":[]}", WISP_OCI_COMPONENT, WISP_ERR_INVALID, "both");
    check_fails(MANIFEST(LAYER(WASM, "sha256:12")), WISP_OCI_COMPONENT, WISP_ERR_INVALID, "layer: digest");
    check_fails(MANIFEST(LAYER(WASM, "sha512:12")), WISP_OCI_COMPONENT, WISP_ERR_UNSUPPORTED, "layer: digest");
    check_fails(MANIFEST("{\"mediaType\":\"" WASM "\",\"digest\":\"" A "\",\"size\":-1}"), WISP_OCI_COMPONENT,
                WISP_ERR_INVALID, "size");
}
