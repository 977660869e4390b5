/* SPDX-License-Identifier: Apache-2.0 */
/* wisp keys gen, get, list. */
#include "base/json.h"
#include "base/nearest.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "host/paths.h"
#include "nkeys/nkeys.h"

#include <sodium.h>

struct values {
    int output;
    const char *type, *name, *directory;
};

#define FIELD(name) .offset = offsetof(struct values, name)
static const struct values defaults;

static const char *const types[] = {"account", "user",    "module",   "component", "service", "provider", "server",
                                    "host",    "cluster", "operator", "curve",     "x25519",  NULL};
static const enum wisp_nkey_kind kinds[] = {
    WISP_NKEY_ACCOUNT, WISP_NKEY_USER,   WISP_NKEY_MODULE,  WISP_NKEY_MODULE,   WISP_NKEY_SERVICE, WISP_NKEY_SERVICE,
    WISP_NKEY_SERVER,  WISP_NKEY_SERVER, WISP_NKEY_CLUSTER, WISP_NKEY_OPERATOR, WISP_NKEY_CURVE,   WISP_NKEY_CURVE,
};
static_assert(WISP_COUNT(types) == WISP_COUNT(kinds) + 1, "a kind for each type");

static int find_kind(const char *type, enum wisp_nkey_kind *ret_kind, struct wisp_err *err)
{
    for (size_t i = 0; types[i]; i++) {
        if (!wisp_str_equal_nocase(wisp_str_from(type), wisp_str_from(types[i]))) continue;
        *ret_kind = kinds[i];
        return 0;
    }
    const char *nearest = wisp_nearest(wisp_str_from(type), types);
    return wisp_err_set(err, WISP_ERR_USAGE, "there is no kind of key `%s`%s%s%s", type,
                        nearest ? "; did you mean `" : "; `wisp help keys gen` lists them", nearest ? nearest : "",
                        nearest ? "`?" : "");
}

static int run_gen(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    enum wisp_nkey_kind kind = WISP_NKEY_USER;
    int r = find_kind(values->type, &kind, err);
    if (r < 0) return r;
    WISP_CLEANUP_NKEY struct wisp_nkey key;
    char public[WISP_NKEY_PUBLIC_LEN + 1], seed[WISP_NKEY_SEED_LEN + 1];
    wisp_nkey_generate(&key, kind);
    wisp_nkey_public_text(&key, public);
    wisp_nkey_seed_text(&key, seed);
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:s, s:s}", "public_key", public, "seed", seed));
    else
        printf("public key  %s\nseed        %s\n\nThe seed is the secret; it is kept nowhere else.\n", public, seed);
    sodium_memzero(seed, sizeof seed);
    return 0;
}

static int run_get(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    char directory[WISP_HOME_PATH_MAX], file[128];
    struct wisp_str name = wisp_str_from(values->name);
    int r = wisp_home_check_name(values->name, err);
    if (r == 0) r = wisp_home_directory("keys", values->directory, directory, err);
    if (r < 0) return r;
    bool has_suffix = wisp_str_ends_with(name, WISP_STR(".nk"));
    snprintf(file, sizeof file, "%s%s", values->name, has_suffix ? "" : ".nk");
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    WISP_CLEANUP_NKEY struct wisp_nkey key = {0};
    if ((r = wisp_paths_read(directory, file, &text, err)) < 0)
        return r == -WISP_ERR_NOT_FOUND
                   ? wisp_err_set(err, WISP_ERR_NOT_FOUND, "there is no key `%s` in %s", values->name, directory)
                   : r;
    r = wisp_nkey_from_seed(wisp_buf_str(&text), &key, err);
    sodium_memzero(text.data, text.len);
    if (r < 0) return wisp_err_wrap(err, "key file `%s/%s`", directory, file);
    char seed[WISP_NKEY_SEED_LEN + 1];
    wisp_nkey_seed_text(&key, seed);
    if (values->output == WISP_OUTPUT_JSON)
        wisp_output_success_take(json_pack("{s:s}", "seed", seed));
    else
        printf("%s\n", seed);
    sodium_memzero(seed, sizeof seed);
    return 0;
}

static int run_list(const void *values_, struct wisp_err *err)
{
    const struct values *values = values_;
    char directory[WISP_HOME_PATH_MAX];
    WISP_CLEANUP_JSON json_t *names = NULL;
    int r = wisp_home_directory("keys", values->directory, directory, err);
    if (r == 0) r = wisp_home_list(directory, ".nk", &names, err);
    if (r < 0) return r;
    if (values->output == WISP_OUTPUT_JSON) {
        wisp_output_success_take(json_pack("{s:O}", "keys", names));
        return 0;
    }
    for (size_t i = 0; i < json_array_size(names); i++) printf("%s\n", json_string_value(json_array_get(names, i)));
    if (!json_array_size(names)) wisp_output_note("there are no keys in %s", directory);
    return 0;
}

#define OPTION_DIRECTORY                                                                                               \
    {.name = "directory",                                                                                              \
     .letter = 'd',                                                                                                    \
     .kind = WISP_ARG_TEXT,                                                                                            \
     .value = "DIR",                                                                                                   \
     FIELD(directory),                                                                                                 \
     .env = "WISP_KEYS WASH_KEYS",                                                                                     \
     .completion = WISP_COMPLETE_DIRS,                                                                                 \
     .help = "where keys are [~/.config/wisp/keys, else ~/.wash/keys]"}
static const struct wisp_arg_option gen_options[] = {WISP_OUTPUT_OPTION(struct values, output)};
static const struct wisp_arg_option options[] = {OPTION_DIRECTORY, WISP_OUTPUT_OPTION(struct values, output)};
static const struct wisp_arg_operand gen_operands[] = {
    {.name = "TYPE",
     .help = "account, user, component (module), provider (service), host (server), cluster, operator, curve (x25519)",
     .is_required = true,
     FIELD(type)},
};
static const struct wisp_arg_operand get_operands[] = {
    {.name = "NAME", .help = "of the key, with or without .nk", .is_required = true, FIELD(name)},
};

static const struct wisp_verb verb_gen = {
    .name = "keys gen",
    .summary = "make a key pair; it is printed, not kept",
    .example = "wisp keys gen account\nwisp keys gen host -o json | jq -r .seed",
    WISP_VERB_TABLES(gen_options, gen_operands, defaults),
    .run = run_gen,
};
static const struct wisp_verb verb_get = {
    .name = "keys get",
    .summary = "print the seed of a key that is kept",
    .example = "wisp keys get me_account",
    WISP_VERB_TABLES(options, get_operands, defaults),
    .run = run_get,
};
static const struct wisp_verb verb_list = {
    .name = "keys list",
    .summary = "names of the keys that are kept",
    .example = "wisp keys list",
    .options = options,
    .n_options = WISP_COUNT(options),
    .defaults = &defaults,
    .values_size = sizeof defaults,
    .run = run_list,
};

static const struct wisp_verb *const verbs[] = {&verb_gen, &verb_get, &verb_list, NULL};
const struct wisp_verb wisp_verb_keys = {
    .name = "keys",
    .summary = "key pairs of hosts, accounts, components, ...",
    .verbs = verbs,
    .example = "wisp keys gen account\nwisp keys list",
};
