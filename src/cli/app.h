/* SPDX-License-Identifier: Apache-2.0 */
/* Applications as verbs see them: manifests in files or in the lattice, and the lattice's deployment manager, which is
 * a host's or the original's (wadm). */
#pragma once

#include "app/manifest.h"
#include "cli/image.h"
#include "cli/lattice_client.h"
#include "cli/output.h"

extern const struct wisp_verb wisp_verb_app_put, wisp_verb_app_deploy, wisp_verb_app_undeploy, wisp_verb_app_delete;
extern const struct wisp_verb wisp_verb_app_list, wisp_verb_app_get, wisp_verb_app_status, wisp_verb_app_history;
extern const struct wisp_verb wisp_verb_app_validate, wisp_verb_app_plan, wisp_verb_app_diff, wisp_verb_app_schema;

/* --- manifests (app_source.c) --- */

/* A manifest in a file, or the name of an application in the lattice. Zeroed is a valid empty one. */
struct wisp_apps_source {
    const char *file;                  /* as it was written; NULL: it is a name */
    const char *name;                  /* of the application */
    const char *version;               /* NULL: none was given */
    struct wisp_arena arena;           /* of the texts */
    struct wisp_app_manifest manifest; /* of a file */
};
void wisp_apps_source_deinit(struct wisp_apps_source *source);
#define WISP_CLEANUP_APPS_SOURCE __attribute__((cleanup(wisp_apps_source_deinit)))

/* "-", a URL, a path that is there or ends as manifests do. */
bool wisp_apps_is_file(const char *word);
/* The file's, standard input's or URL's text; LIMIT beyond WISP_APP_TEXT_MAX. */
int wisp_apps_read_text(const char *file, struct wisp_buf *out, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* As wisp_app_manifest_parse, but what is no YAML at all is a problem among others, and they are in the file's order.
 * The text goes to the arena. */
int wisp_apps_parse(const char *file, bool is_lenient, struct wisp_arena *arena, struct wisp_app_manifest *ret_manifest,
                    struct wisp_app_problems *problems, struct wisp_err *err) __attribute__((warn_unused_result));
/* Images that can't be had are problems too; they are fetched for that. */
void wisp_apps_check_images(const char *file, const struct wisp_app_manifest *manifest,
                            const struct wisp_image_options *options, struct wisp_arena *arena,
                            struct wisp_app_problems *problems);
/* "file:3:5: error: spec.components[0]: text" */
void wisp_apps_print_problem(FILE *stream, const char *file, const struct wisp_app_problem *problem);

/* FILE, NAME or NAME@VERSION; `version` (may be NULL) is an operand of its own. Problems of a file are told on standard
 * error. */
int wisp_apps_source_read(struct wisp_apps_source *source, const char *word, const char *version, bool is_lenient,
                          struct wisp_err *err) __attribute__((warn_unused_result));
/* The same, but of a file the name alone counts; it need not be right otherwise. */
int wisp_apps_name_of(struct wisp_apps_source *source, const char *word, const char *version, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Subjects and keys are made of names. */
int wisp_apps_check_name(const char *name, struct wisp_err *err) __attribute__((warn_unused_result));

/* --- the manager (app_ask.c) --- */

struct wisp_apps_question {
    const char *op, *name; /* "deploy", "shop"; name NULL: none */
    const json_t *body;    /* NULL: empty */
    bool is_manifest;      /* `body` is one: it gets the header that says so */
    bool may_be_missing;   /* then NOT_FOUND is nothing that a user has to be told */
};
/* Its answer. Refusals are errors with its words: NOT_FOUND for what it does not know. A manager that is just taking
 * over is waited for. UNAVAILABLE: there is none. */
int wisp_apps_ask(struct wisp_lattice_client *client, const struct wisp_apps_question *question, json_t **ret_reply,
                  struct wisp_err *err) __attribute__((warn_unused_result));
/* NOT_FOUND, which says what there is instead. `version` may be NULL. */
int wisp_apps_explain_missing(struct wisp_lattice_client *client, const char *name, const char *version,
                              struct wisp_err *err) __attribute__((warn_unused_result));
/* {"version": v}; NULL when there is none. A new reference. */
json_t *wisp_apps_version_body(const char *version);
/* The summaries of all applications, an array. */
int wisp_apps_list(struct wisp_lattice_client *client, json_t **ret_list, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* That of one; borrowed, or NULL. */
const json_t *wisp_apps_find(const json_t *list, const char *name);
/* A stored manifest (version NULL: the latest) with its problems ignored. NOT_FOUND, not explained. */
int wisp_apps_fetch(struct wisp_lattice_client *client, const char *name, const char *version, struct wisp_arena *arena,
                    struct wisp_app_manifest *ret_manifest, struct wisp_err *err) __attribute__((warn_unused_result));
/* A text of a peer, without control characters, NUL-terminated. */
const char *wisp_apps_text(struct wisp_lattice_client *client, struct wisp_str text);

/* What a deploy of the source would do; printed. (app_plan.c) */
int wisp_apps_plan(struct wisp_lattice_client *client, const struct wisp_apps_source *source, bool is_json,
                   struct wisp_err *err) __attribute__((warn_unused_result));

/* --- changes (app_change.c) --- */

/* Puts a file's manifest, unless the lattice has just that; then the stored version is the one. *ret_version lives as
 * long as the client. */
int wisp_apps_put(struct wisp_lattice_client *client, const struct wisp_apps_source *source, const char **ret_version,
                  struct wisp_err *err) __attribute__((warn_unused_result));
/* Puts and deploys a file's manifest over a connection of its own, and waits; tells how it goes unless `is_quiet`. For
 * `wisp up FILE`. */
int wisp_apps_deploy(const struct wisp_connection *connection, const struct wisp_apps_source *source, bool is_quiet,
                     struct wisp_err *err) __attribute__((warn_unused_result));

/* --- waiting (app_wait.c) --- */

enum { WISP_APPS_WAIT_MS = 120 * 1000 };

#define WISP_APPS_WAIT_OPTION(values, field, text)                                                                     \
    {.name = "wait",                                                                                                   \
     .kind = WISP_ARG_DURATION,                                                                                        \
     .value = "TIME",                                                                                                  \
     .implied = "2m",                                                                                                  \
     .is_positive = true,                                                                                              \
     .help = text,                                                                                                     \
     .offset = offsetof(values, field)}

/* Before the change is asked for, so that nothing is missed. */
int wisp_apps_listen(struct wisp_lattice_client *client, const char *name, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Until its status is `goal` ("deployed", "undeployed"); prints how scalers get there unless `is_quiet`. The last
 * status in any case, a new reference, NULL when none came. TIMEOUT; UNAVAILABLE when it stays failed; CANCELLED: the
 * manager goes on. They say why it isn't there. */
int wisp_apps_wait(struct wisp_lattice_client *client, const char *name, const char *goal, uint64_t timeout_ms,
                   bool is_quiet, json_t **ret_status, struct wisp_err *err) __attribute__((warn_unused_result));
/* Of a scaler in a status: why it isn't as it should be; may be empty. */
struct wisp_str wisp_apps_why(const json_t *scaler);
/* "3/10", or "" when the manager does not say. */
void wisp_apps_counts(const json_t *scaler, struct wisp_buf *out);
