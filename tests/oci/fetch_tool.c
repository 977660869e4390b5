/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches references and prints, a JSON object a line, what became of each:
 *
 *     fetch_tool CACHE [option...] (component|provider|file) REFERENCE...
 *
 * --insecure REGISTRY, --login REGISTRY USER PASSWORD, --token REGISTRY TOKEN, --ca PATH, --latest, --files, --docker,
 * --size-max N, --stall-ms N, --parallel N, --cancel N (the Nth fetch, when its first bytes have come), --quit-ms N
 * (frees the client then, whatever is under way) */
#include "base/json.h"
#include "oci/oci.h"

#include <stdio.h>
#include <stdlib.h>

enum { MANY = 2000 };

struct fetch {
    struct wisp_oci_fetch *fetch;
    const char *reference;
    bool is_to_cancel;
};

static const char *insecure[MANY], *ca_paths[MANY];
static struct wisp_oci_credential credentials[MANY];
static struct fetch fetches[MANY];
static struct wisp_oci_client *client;
static uv_timer_t quit;

static void print(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    puts(text);
    fflush(stdout);
    free(text);
    json_decref(object);
}

static void set(json_t *object, const char *key, struct wisp_str value)
{
    if (value.len) json_object_set_new(object, key, wisp_json_text(value));
}

static json_t *claims_object(const struct wisp_oci_claims *claims)
{
    json_t *object = json_object();
    set(object, "issuer", claims->issuer);
    set(object, "subject", claims->subject);
    set(object, "name", claims->name);
    set(object, "version", claims->version);
    set(object, "call_alias", claims->call_alias);
    set(object, "vendor", claims->vendor);
    set(object, "config_schema", claims->config_schema);
    json_object_set_new(object, "revision", json_integer(claims->revision));
    json_t *tags = json_array();
    for (size_t i = 0; i < claims->n_tags; i++) json_array_append_new(tags, wisp_json_text(claims->tags[i]));
    json_object_set_new(object, "tags", tags);
    return object;
}

static void on_done(const struct wisp_oci_artifact *artifact, const struct wisp_err *err, void *env)
{
    struct fetch *fetch = env;
    fetch->fetch = NULL;
    json_t *object = json_object();
    set(object, "reference", wisp_str_from(fetch->reference));
    if (!artifact) {
        set(object, "error", wisp_str_from(wisp_err_name(err->kind)));
        set(object, "text", wisp_str_from(err->text));
        print(object);
        return;
    }
    set(object, "path", wisp_str_from(artifact->path));
    set(object, "digest", wisp_str_from(artifact->digest));
    set(object, "manifest", wisp_str_from(artifact->manifest_digest));
    json_object_set_new(object, "size", json_integer((json_int_t)artifact->size));
    json_object_set_new(object, "from_cache", json_boolean(artifact->is_from_cache));
    if (artifact->claims.token.len) json_object_set_new(object, "claims", claims_object(&artifact->claims));
    print(object);
}

static void on_progress(const struct wisp_oci_progress *progress, void *env)
{
    struct fetch *fetch = env;
    if (!fetch->is_to_cancel || !progress->done_bytes) return;
    wisp_oci_fetch_cancel(fetch->fetch);
    print(json_pack("{s:s,s:b}", "reference", fetch->reference, "cancelled", 1));
}

static void on_quit(uv_timer_t *timer)
{
    wisp_oci_client_free(WISP_TAKE(client));
    uv_close((uv_handle_t *)timer, NULL);
}

static int flag(char **argv, int i, struct wisp_oci_options *options, long *ret_cancel)
{
    const char *name = argv[i];
    if (!strcmp(name, "--latest")) return options->allow_latest = true, 1;
    if (!strcmp(name, "--files")) return options->allow_files = true, 1;
    if (!strcmp(name, "--docker")) return options->use_docker_config = true, 1;
    if (!strcmp(name, "--insecure")) return insecure[options->n_insecure++] = argv[i + 1], 2;
    if (!strcmp(name, "--ca")) return ca_paths[options->n_ca_paths++] = argv[i + 1], 2;
    if (!strcmp(name, "--size-max")) return options->size_max = strtoull(argv[i + 1], NULL, 10), 2;
    if (!strcmp(name, "--stall-ms")) return options->stall_timeout_ms = strtoull(argv[i + 1], NULL, 10), 2;
    if (!strcmp(name, "--parallel")) return options->parallel_max = (uint32_t)atoi(argv[i + 1]), 2;
    if (!strcmp(name, "--quit-ms")) return uv_timer_start(&quit, on_quit, strtoull(argv[i + 1], NULL, 10), 0), 2;
    if (!strcmp(name, "--cancel")) return *ret_cancel = atol(argv[i + 1]), 2;
    struct wisp_oci_credential *credential = &credentials[options->n_credentials];
    credential->registry = argv[i + 1];
    options->n_credentials++;
    if (!strcmp(name, "--token")) return credential->token = argv[i + 2], 3;
    if (!strcmp(name, "--login")) return credential->user = argv[i + 2], credential->password = argv[i + 3], 4;
    fprintf(stderr, "what is %s?\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    struct wisp_oci_options options = {
        .cache_dir = argv[1], .insecure = insecure, .credentials = credentials, .ca_paths = ca_paths};
    struct wisp_err err = {0};
    long cancel = 0;
    int i = 2;
    uv_timer_init(uv_default_loop(), &quit);
    while (i < argc && argv[i][0] == '-') i += flag(argv, i, &options, &cancel);
    if (i >= argc || argc - i > MANY) return 2;
    enum wisp_oci_kind kind = !strcmp(argv[i], "provider") ? WISP_OCI_PROVIDER
                              : !strcmp(argv[i], "file")   ? WISP_OCI_FILE
                                                           : WISP_OCI_COMPONENT;
    if (wisp_oci_client_new(&client, uv_default_loop(), &options, &err) < 0) {
        print(json_pack("{s:s,s:s}", "error", wisp_err_name(err.kind), "text", err.text));
        return 1;
    }
    for (int first = ++i; i < argc; i++) {
        struct fetch *fetch = &fetches[i - first];
        fetch->reference = argv[i];
        fetch->is_to_cancel = i - first + 1 == cancel;
        fetch->fetch = wisp_oci_fetch_start(client, &(struct wisp_oci_fetch_options){
                                                        .reference = argv[i],
                                                        .kind = kind,
                                                        .on_progress = on_progress,
                                                        .on_done = on_done,
                                                        .env = fetch,
                                                    });
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    wisp_oci_client_free(client);
    if (!uv_is_closing((uv_handle_t *)&quit)) uv_close((uv_handle_t *)&quit, NULL);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return uv_loop_close(uv_default_loop()) == 0 ? 0 : 3;
}
