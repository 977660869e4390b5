/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include "base/json.h"
#include "oci/digest.h"

#include <sys/utsname.h>

enum { ENTRIES_MAX = 1000 };

const char wisp_oci_manifest_types[] =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

static const char tar_layer[] = "application/vnd.oci.image.layer.v1.tar";
static const char par_layer[] = "application/vnd.wasmcloud.provider.archive.layer.v1+par";
static const char *const wasm_layers[] = {"application/wasm", "application/vnd.module.wasm.content.layer.v1+wasm"};

static bool is_wasm(struct wisp_str type)
{
    return wisp_str_is(type, wasm_layers[0]) || wisp_str_is(type, wasm_layers[1]);
}

static int check_layer_type(struct wisp_str type, enum wisp_oci_kind kind, struct wisp_err *err)
{
    bool is_par = wisp_str_is(type, par_layer);
    if (wisp_str_is(type, tar_layer) || (kind != WISP_OCI_PROVIDER && is_wasm(type)) ||
        (kind != WISP_OCI_COMPONENT && is_par))
        return 0;
    if (is_par) return wisp_err_set(err, WISP_ERR_INVALID, "artifact is a provider, not a component");
    if (is_wasm(type)) return wisp_err_set(err, WISP_ERR_INVALID, "artifact is a component, not a provider");
    return wisp_err_set(err, WISP_ERR_INVALID, "artifact is neither component nor provider: its layer is `%.100s`",
                        type.len ? type.ptr : "");
}

static int take_descriptor(const json_t *descriptor, struct wisp_oci_manifest *ret_manifest, struct wisp_err *err)
{
    ret_manifest->size = wisp_json_u64(descriptor, "size", UINT64_MAX);
    if (ret_manifest->size == UINT64_MAX) return wisp_err_set(err, WISP_ERR_INVALID, "size is missing");
    return wisp_oci_digest_parse(wisp_json_str(descriptor, "digest"), ret_manifest->digest, err);
}

static int take_layer(const json_t *layers, enum wisp_oci_kind kind, struct wisp_oci_manifest *ret_manifest,
                      struct wisp_err *err)
{
    size_t n = json_array_size(layers);
    if (n != 1)
        return wisp_err_set(err, WISP_ERR_INVALID, "artifact has %zu layers; components and providers have one", n);
    const json_t *layer = json_array_get(layers, 0);
    int r = check_layer_type(wisp_json_str(layer, "mediaType"), kind, err);
    if (r < 0) return r;
    return take_descriptor(layer, ret_manifest, err) < 0 ? wisp_err_wrap(err, "layer") : 0;
}

/* --- indexes --- */

/* Go's name of this machine's processor. */
static const char *machine(char *text, size_t size)
{
    struct utsname names;
    if (uname(&names) < 0) return "";
    if (!strcmp(names.machine, "x86_64")) return "amd64";
    if (!strcmp(names.machine, "aarch64")) return "arm64";
    size_t n = strnlen(names.machine, size - 1);
    memcpy(text, names.machine, n);
    text[n] = '\0';
    return text;
}

/* 0: not for us. An entry that names no platform is for everybody; "unknown" is how attestations are marked. */
static int rank(const json_t *entry, enum wisp_oci_kind kind)
{
    const json_t *platform = json_object_get(entry, "platform");
    struct wisp_str os = wisp_json_str(platform, "os"), architecture = wisp_json_str(platform, "architecture");
    char text[65];
    if (os.len == 0 && architecture.len == 0) return 1;
    if (kind != WISP_OCI_PROVIDER && wisp_str_is(architecture, "wasm")) return wisp_str_is(os, "wasip2") ? 3 : 2;
    if (kind == WISP_OCI_COMPONENT) return 0;
    return wisp_str_is(os, "linux") && wisp_str_is(architecture, machine(text, sizeof text)) ? 2 : 0;
}

static bool is_manifest(const json_t *entry)
{
    struct wisp_str type = wisp_json_str(entry, "mediaType");
    return type.len == 0 || wisp_str_is(type, "application/vnd.oci.image.manifest.v1+json") ||
           wisp_str_is(type, "application/vnd.docker.distribution.manifest.v2+json");
}

static int nothing_fits(const json_t *entries, enum wisp_oci_kind kind, struct wisp_err *err)
{
    char list[256] = "";
    size_t used = 0, i;
    const json_t *entry;
    json_array_foreach(entries, i, entry)
    {
        const json_t *platform = json_object_get(entry, "platform");
        int n =
            snprintf(list + used, sizeof list - used, "%s%.20s/%.20s", used ? ", " : "",
                     wisp_json_str(platform, "os").len ? wisp_json_str(platform, "os").ptr : "-",
                     wisp_json_str(platform, "architecture").len ? wisp_json_str(platform, "architecture").ptr : "-");
        if (n < 0 || (used += (size_t)n) >= sizeof list) break;
    }
    return wisp_err_set(err, WISP_ERR_NOT_FOUND, "index has no entry for %s, but %s",
                        kind == WISP_OCI_COMPONENT ? "wasm" : "this machine", list[0] ? list : "none at all");
}

static int take_entry(const json_t *entries, enum wisp_oci_kind kind, struct wisp_oci_manifest *ret_manifest,
                      struct wisp_err *err)
{
    const json_t *best = NULL, *entry;
    int best_rank = 0;
    size_t i;
    if (json_array_size(entries) > ENTRIES_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "index has more than %d entries", ENTRIES_MAX);
    json_array_foreach(entries, i, entry)
    {
        int entry_rank = is_manifest(entry) ? rank(entry, kind) : 0;
        if (entry_rank <= best_rank) continue;
        best = entry;
        best_rank = entry_rank;
    }
    if (!best) return nothing_fits(entries, kind, err);
    ret_manifest->is_index = true;
    return take_descriptor(best, ret_manifest, err) < 0 ? wisp_err_wrap(err, "entry of the index") : 0;
}

int wisp_oci_manifest_parse(struct wisp_str text, enum wisp_oci_kind kind, struct wisp_oci_manifest *ret_manifest,
                            struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *value = NULL;
    int r = wisp_json_parse(text, &value, err);
    if (r < 0) return wisp_err_wrap(err, "manifest");
    *ret_manifest = (struct wisp_oci_manifest){0};
    const json_t *layers = json_object_get(value, "layers"), *entries = json_object_get(value, "manifests");
    if (wisp_json_u64(value, "schemaVersion", 0) != 2)
        r = wisp_err_set(err, WISP_ERR_UNSUPPORTED, "not of schema version 2");
    /* One text that could be read as either would be a way to show different people different things. */
    else if (json_is_array(layers) && entries)
        r = wisp_err_set(err, WISP_ERR_INVALID, "both a manifest and an index");
    else if (json_is_array(layers))
        r = take_layer(layers, kind, ret_manifest, err);
    else if (json_is_array(entries))
        r = take_entry(entries, kind, ret_manifest, err);
    else
        r = wisp_err_set(err, WISP_ERR_INVALID, "neither `layers` nor `manifests`");
    return r < 0 ? wisp_err_wrap(err, "manifest") : 0;
}
