/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/verbs.h"
#include "base/nearest.h"

#define X(name) &wisp_verb_##name,
static const struct wisp_verb *const local[] = {WISP_VERBS_LOCAL(X) NULL};
static const struct wisp_verb *const hosts[] = {WISP_VERBS_HOSTS(X) NULL};
static const struct wisp_verb *const lattice[] = {WISP_VERBS_LATTICE(X) NULL};
static const struct wisp_verb *const tools[] = {WISP_VERBS_TOOLS(X) NULL};
const struct wisp_verb *const wisp_verbs[] = {WISP_VERBS_LOCAL(X) WISP_VERBS_HOSTS(X) WISP_VERBS_LATTICE(X)
                                                  WISP_VERBS_TOOLS(X) WISP_VERBS_HIDDEN(X) NULL};
#undef X

const struct wisp_verb_section wisp_verb_sections[] = {
    {"one component", local}, {"hosts", hosts}, {"the lattice", lattice}, {"tools", tools}, {NULL, NULL}};

static const struct wisp_verb *find(const struct wisp_verb *const *verbs, const char *word)
{
    for (; *verbs; verbs++)
        if (strcmp(wisp_verb_word(*verbs), word) == 0 || wisp_args_has_word((*verbs)->aliases, wisp_str_from(word)))
            return *verbs;
    return NULL;
}

const struct wisp_verb *wisp_verb_find(int n_words, const char *const *words, int *ret_used)
{
    const struct wisp_verb *verb = NULL;
    const struct wisp_verb *const *verbs = wisp_verbs;
    int used = 0;
    while (verbs && used < n_words) {
        const struct wisp_verb *next = find(verbs, words[used]);
        if (!next) break;
        verb = next;
        verbs = verb->verbs;
        used++;
    }
    *ret_used = used;
    return verb;
}

const char *wisp_verb_nearest(const struct wisp_verb *group, const char *word)
{
    const char *words[64];
    size_t n = 0;
    for (const struct wisp_verb *const *verb = group ? group->verbs : wisp_verbs; *verb; verb++)
        if (!(*verb)->is_hidden && n < WISP_COUNT(words) - 1) words[n++] = wisp_verb_word(*verb);
    words[n] = NULL;
    const char *nearest = wisp_nearest(wisp_str_from(word), words);
    return nearest ? find(group ? group->verbs : wisp_verbs, nearest)->name : NULL;
}

static void each(const struct wisp_verb *const *verbs, void (*on_verb)(const struct wisp_verb *verb))
{
    for (; *verbs; verbs++) {
        if ((*verbs)->is_hidden) continue;
        if ((*verbs)->verbs)
            each((*verbs)->verbs, on_verb); /* as deep as the tables are: two */
        else
            on_verb(*verbs);
    }
}

void wisp_verb_each(void (*on_verb)(const struct wisp_verb *verb)) { each(wisp_verbs, on_verb); }
