/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/image.h"

#include "base/arena.h"
#include "cli/output.h"
#include "host/paths.h"
#include "oci/oci.h"

#include <errno.h>
#include <unistd.h>

enum { CLOSING_TURNS_MAX = 1000 };

struct fetching {
    struct wisp_source *source; /* NULL: only whether it can be had */
    struct wisp_err *err;
    const char *reference;
    enum wisp_oci_kind kind;
    int result;
    bool is_done, has_noted;
};

bool wisp_image_is_artifact(const char *reference)
{
    if (strncmp(reference, "oci://", 6) == 0 || strncmp(reference, "http://", 7) == 0 ||
        strncmp(reference, "https://", 8) == 0)
        return true;
    size_t size = strcspn(reference, "/");
    struct wisp_str registry = {reference, size};
    if (!reference[size] || !size || *reference == '.') return false;
    return memchr(reference, '.', size) || memchr(reference, ':', size) || wisp_str_is(registry, "localhost");
}

static void on_progress(const struct wisp_oci_progress *progress, void *env)
{
    (void)progress;
    struct fetching *fetching = env;
    if (!fetching->has_noted) wisp_output_note("downloading %s", fetching->reference);
    fetching->has_noted = true;
}

static void on_done(const struct wisp_oci_artifact *artifact, const struct wisp_err *err, void *env)
{
    struct fetching *fetching = env;
    fetching->is_done = true;
    if (!artifact) {
        *fetching->err = *err;
        fetching->result = -(int)err->kind;
        return;
    }
    if (artifact->is_from_cache)
        wisp_output_note("the registry of %s can't be reached; this is what the cache has", fetching->reference);
    if (fetching->source) fetching->result = wisp_source_read(fetching->source, artifact->path, fetching->err);
}

/* "a,b" */
static const char **split(struct wisp_arena *arena, const char *text, size_t *ret_n)
{
    struct wisp_str rest = wisp_str_from(text), each;
    const char **items = WISP_NEW_ARRAY(arena, const char *, rest.len + 1);
    while (rest.len) {
        if (!wisp_str_split(rest, ',', &each, &rest)) {
            each = rest;
            rest.len = 0;
        }
        if (each.len) items[(*ret_n)++] = wisp_arena_cstr(arena, each);
    }
    return items;
}

static char *registry_of(struct wisp_arena *arena, const char *reference)
{
    const char *scheme = strstr(reference, "://");
    const char *begin = scheme ? scheme + 3 : reference;
    return wisp_arena_cstr(arena, (struct wisp_str){begin, strcspn(begin, "/")});
}

static int fetch(struct fetching *fetching, uv_loop_t *loop, const struct wisp_oci_options *options)
{
    struct wisp_oci_client *client;
    int r = wisp_oci_client_new(&client, loop, options, fetching->err);
    if (r < 0) return r;
    struct wisp_oci_fetch_options what = {.reference = fetching->reference,
                                          .kind = fetching->kind,
                                          .on_progress = on_progress,
                                          .on_done = on_done,
                                          .env = fetching};
    wisp_oci_fetch_start(client, &what);
    while (!fetching->is_done) uv_run(loop, UV_RUN_ONCE);
    wisp_oci_client_free(client);
    return fetching->result;
}

static int fetch_artifact(struct fetching *fetching, const struct wisp_image_options *options, struct wisp_err *err)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_paths paths;
    struct wisp_oci_credential credential = {registry_of(&arena, fetching->reference), options->user, options->password,
                                             NULL};
    struct wisp_oci_options oci = {.allow_latest = true,
                                   .use_docker_config = true,
                                   .credentials = &credential,
                                   .n_credentials = options->user ? 1 : 0};
    int r = wisp_paths_init(&paths, NULL, "default", err);
    if (r < 0) return r;
    oci.cache_dir = paths.cache;
    if (options->insecure) oci.insecure = split(&arena, options->insecure, &oci.n_insecure);
    uv_loop_t loop;
    if ((r = uv_loop_init(&loop)) < 0) return wisp_err_os(err, -r, "event loop");
    fetching->err = err;
    r = fetch(fetching, &loop, &oci);
    for (int i = 0; i < CLOSING_TURNS_MAX && uv_run(&loop, UV_RUN_NOWAIT);) i++;
    uv_loop_close(&loop);
    return r;
}

int wisp_image_read(struct wisp_source *ret_source, const char *reference, const struct wisp_image_options *options,
                    struct wisp_err *err)
{
    if (strncmp(reference, "file://", 7) == 0) return wisp_source_read(ret_source, reference + 7, err);
    if (!wisp_image_is_artifact(reference)) return wisp_source_read(ret_source, reference, err);
    struct fetching fetching = {.source = ret_source, .reference = reference, .kind = WISP_OCI_COMPONENT};
    return fetch_artifact(&fetching, options, err);
}

int wisp_image_check(const char *reference, bool is_provider, const struct wisp_image_options *options,
                     struct wisp_err *err)
{
    static const char *const built_in[] = {"wisp://", "wasmcloud+builtin://"};
    for (size_t i = 0; i < WISP_COUNT(built_in); i++)
        if (strncmp(reference, built_in[i], strlen(built_in[i])) == 0) return 0;
    const char *path = strncmp(reference, "file://", 7) == 0 ? reference + 7 : reference;
    if (path != reference || !wisp_image_is_artifact(reference))
        return access(path, is_provider ? X_OK : R_OK) == 0 ? 0 : wisp_err_os(err, errno, "`%s`", path);
    struct fetching fetching = {.reference = reference, .kind = is_provider ? WISP_OCI_PROVIDER : WISP_OCI_COMPONENT};
    return fetch_artifact(&fetching, options, err);
}
