/* SPDX-License-Identifier: Apache-2.0 */
/* Application manifests (Open Application Model as wadm 0.21 has it: core.oam.dev/v1beta1, kind Application): read from
 * YAML or JSON, checked, and written again. No I/O.
 *
 * Texts may be hostile: sizes, depths, counts and aliases are bounded. Everything wrong is told, not just the first
 * thing, each with its place. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

#include <jansson.h>

enum {
    WISP_APP_TEXT_MAX = 1 << 20,      /* bytes of a manifest */
    WISP_APP_DEPTH_MAX = 64,          /* of nesting */
    WISP_APP_NODES_MAX = 100000,      /* scalars, maps and lists, aliases expanded */
    WISP_APP_COMPONENTS_MAX = 1000,   /* of one manifest */
    WISP_APP_INSTANCES_MAX = 1000000, /* of one scaler */
    WISP_APP_PROBLEMS_MAX = 100,      /* that are told */
};

struct wisp_app_problem {
    bool is_error;         /* else a warning */
    uint32_t line, column; /* from 1; 0: not known (JSON without places) */
    const char *path;      /* "spec.components[0].traits[1].properties" */
    const char *text;      /* "unknown key `instnces`; did you mean `instances`?" */
};

struct wisp_app_problems {
    struct wisp_app_problem list[WISP_APP_PROBLEMS_MAX];
    uint32_t n, n_errors;
    uint32_t n_untold; /* more than there is room for */
};

/* A named config. Without properties somebody else keeps it. */
struct wisp_app_config {
    struct wisp_str name;
    json_t *properties; /* object of strings; NULL: external */
};

struct wisp_app_secret {
    struct wisp_str name, policy, key, field, version; /* field, version may be empty */
};

/* What one end of a link is given. */
struct wisp_app_link_side {
    const struct wisp_app_config *configs;
    size_t n_configs;
    const struct wisp_app_secret *secrets;
    size_t n_secrets;
};

struct wisp_app_link {
    struct wisp_str name; /* "default" when not given */
    struct wisp_str wit_namespace, wit_package;
    const struct wisp_str *interfaces;
    size_t n_interfaces;
    struct wisp_str target; /* a component of the manifest, by name */
    struct wisp_app_link_side source_side, target_side;
    uint32_t line, column;
};

struct wisp_app_spread {
    struct wisp_str name;
    json_t *requirements; /* object of strings: labels */
    uint32_t weight;      /* 100 when not given */
};

struct wisp_app_scaler {
    bool is_daemon; /* `instances` on each eligible host, else in all */
    uint32_t instances;
    const struct wisp_app_spread *spreads; /* never empty: without any, one `default` without requirements */
    size_t n_spreads;
    uint32_t line, column;
};

struct wisp_app_component {
    struct wisp_str name;
    bool is_provider;      /* type: capability */
    struct wisp_str image; /* empty: shared */
    struct wisp_str shared_app, shared_component;
    struct wisp_str id; /* explicit one, or that made of the names (see wisp_app_make_id) */
    bool has_explicit_id;
    const struct wisp_app_config *configs;
    size_t n_configs;
    const struct wisp_app_secret *secrets;
    size_t n_secrets;
    const struct wisp_app_link *links;
    size_t n_links;
    const struct wisp_app_scaler *scalers; /* a provider without any: one instance; a component: none */
    size_t n_scalers;
    uint32_t line, column;
};

struct wisp_app_policy {
    struct wisp_str name, type;
    json_t *properties;
};

struct wisp_app_manifest {
    struct wisp_str name, version, description; /* version: empty when there is no such annotation */
    bool is_shared;
    json_t *annotations, *labels;
    const struct wisp_app_policy *policies;
    size_t n_policies;
    const struct wisp_app_component *components;
    size_t n_components;
    json_t *json; /* the whole, as the original writes it: deprecated keys replaced, empty ones left out */
    json_t *kept; /* owns all JSON of the manifest */
};

enum wisp_app_format { WISP_APP_YAML_OR_JSON, WISP_APP_YAML, WISP_APP_JSON };

/* Everything goes to the arena; JSON objects live until wisp_app_manifest_deinit. With errors among the problems it is
 * -INVALID with the first one in `err`; warnings alone are no failure. `is_lenient`: keys that the original silently
 * drops, and constants that it does not check, are warnings instead of errors. */
int wisp_app_manifest_parse(struct wisp_app_manifest *ret_manifest, struct wisp_arena *arena, struct wisp_str text,
                            enum wisp_app_format format, bool is_lenient, struct wisp_app_problems *problems,
                            struct wisp_err *err) __attribute__((warn_unused_result));
/* From JSON that a store holds: everything that can be read counts, so that what the original accepted still works. */
int wisp_app_manifest_from_json(struct wisp_app_manifest *ret_manifest, struct wisp_arena *arena, const json_t *json,
                                struct wisp_err *err) __attribute__((warn_unused_result));
void wisp_app_manifest_deinit(struct wisp_app_manifest *manifest);

/* YAML of a JSON value, for people. */
void wisp_app_yaml_print(json_t *value, struct wisp_buf *out);
/* The JSON Schema (draft-07) of manifests; a new reference. Stricter than the original's: trait properties are checked.
 */
json_t *wisp_app_schema(void);

/* "shop", "http-comp" -> "shop-http_comp". */
struct wisp_str wisp_app_make_id(struct wisp_arena *arena, struct wisp_str app, struct wisp_str component);
/* Names of configs in the lattice: made of app and name when it has properties, else as it is; secrets "SECRET_...". */
struct wisp_str wisp_app_config_name(struct wisp_arena *arena, struct wisp_str app,
                                     const struct wisp_app_config *config);
struct wisp_str wisp_app_secret_name(struct wisp_arena *arena, struct wisp_str app,
                                     const struct wisp_app_secret *secret);
/* What the config of a secret holds, a new reference; NULL when its policy is not in the manifest. */
json_t *wisp_app_secret_config(const struct wisp_app_manifest *manifest, const struct wisp_app_secret *secret);
