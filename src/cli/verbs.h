/* SPDX-License-Identifier: Apache-2.0 */
/* All verbs of the program. Each has a file of its own: its table, its values, what it does. */
#pragma once

#include "cli/args.h"

#include <stdio.h>

extern const struct wisp_verb wisp_verb_run;
extern const struct wisp_verb wisp_verb_inspect;
extern const struct wisp_verb wisp_verb_compile;
extern const struct wisp_verb wisp_verb_completions;
extern const struct wisp_verb wisp_verb_help;
extern const struct wisp_verb wisp_verb_version;
extern const struct wisp_verb wisp_verb_worker; /* hidden: the control process starts it */

/* In the order that help lists them; ends with NULL. */
extern const struct wisp_verb *const wisp_verbs[];
/* NULL when there is none of that name. */
const struct wisp_verb *wisp_verb_find(const char *name);
/* Names of the verbs that are not hidden; ends with NULL. */
extern const char *const wisp_verb_names[];

/* help.c */
void wisp_help_overview(FILE *stream);
void wisp_help_verb(FILE *stream, const struct wisp_verb *verb);
