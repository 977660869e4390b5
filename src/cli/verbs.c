/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verbs.h"

#define VERBS(X) X(run) X(inspect) X(compile) X(completions) X(help) X(version)

const struct wisp_verb *const wisp_verbs[] = {
#define X(name) &wisp_verb_##name,
    VERBS(X)
#undef X
        & wisp_verb_worker,
    NULL,
};

const char *const wisp_verb_names[] = {
#define X(name) #name,
    VERBS(X)
#undef X
        NULL,
};

const struct wisp_verb *wisp_verb_find(const char *name)
{
    for (const struct wisp_verb *const *verb = wisp_verbs; *verb; verb++)
        if (strcmp((*verb)->name, name) == 0) return *verb;
    return NULL;
}
