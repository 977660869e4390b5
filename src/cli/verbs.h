/* SPDX-License-Identifier: Apache-2.0 */
/* All verbs of the program. Each has a file of its own, or shares one with the verbs of its group: its table, its
 * values, what it does. */
#pragma once

#include "cli/args.h"

#include <stdio.h>

/* Verbs in the order that help lists them, by section. */
#define WISP_VERBS_LOCAL(X) X(run) X(inspect) X(compile) X(bindgen)
#define WISP_VERBS_HOSTS(X) X(up) X(down) X(host)
#define WISP_VERBS_LATTICE(X)                                                                                          \
    X(app) X(get) X(start) X(stop) X(scale) X(update) X(label) X(link) X(config) X(secrets) X(call) X(spy) X(events)   \
    X(logs)
#define WISP_VERBS_TOOLS(X) X(ctx) X(keys) X(drain) X(completions) X(help) X(version)
#define WISP_VERBS_HIDDEN(X) X(worker) /* the control process starts it */

/* clang-format off */
#define X(name) extern const struct wisp_verb wisp_verb_##name;
WISP_VERBS_LOCAL(X)
WISP_VERBS_HOSTS(X)
WISP_VERBS_LATTICE(X)
WISP_VERBS_TOOLS(X)
WISP_VERBS_HIDDEN(X)
#undef X
/* clang-format on */

struct wisp_verb_section {
    const char *heading;
    const struct wisp_verb *const *verbs; /* ends with NULL */
};
/* Without what is hidden; ends with a NULL heading. */
extern const struct wisp_verb_section wisp_verb_sections[];
/* Ends with NULL. */
extern const struct wisp_verb *const wisp_verbs[];

/* Follows words through groups as far as they name something; NULL when already the first does not. *ret_used: how many
 * of them did. */
const struct wisp_verb *wisp_verb_find(int n_words, const char *const *words, int *ret_used);
/* What `wisp WORD` or, in a group, `wisp GROUP WORD` might have been meant to be: a verb's name, or NULL. */
const char *wisp_verb_nearest(const struct wisp_verb *group, const char *word);
/* Calls back for every verb, in groups too, that is no group and not hidden. */
void wisp_verb_each(void (*on_verb)(const struct wisp_verb *verb));

/* help.c */
void wisp_help_overview(FILE *stream);
void wisp_help_verb(FILE *stream, const struct wisp_verb *verb);
