/* SPDX-License-Identifier: Apache-2.0 */
/* Placement. A host has one set of annotations for a component id, so it serves one spread of a scaler. */
#include "app/plan_priv.h"

#include "base/json.h"

#include <stdlib.h>

/* --- who may --- */

static bool has_labels(const struct wisp_app_host *host, const json_t *requirements)
{
    const char *key;
    json_t *value;
    if (!json_object_size(requirements)) return true;
    json_object_foreach((json_t *)(uintptr_t)requirements, key, value)
    {
        const json_t *label = json_object_get(host->labels, key);
        if (!label || !json_equal(label, value)) return false;
    }
    return true;
}

static bool may_take(const struct wisp_app_target *target, const struct wisp_app_subject *subject,
                     const struct wisp_app_spread *spread)
{
    const struct wisp_app_host *host = target->host;
    if (!has_labels(host, spread->requirements)) return false;
    if (target->instance && !target->is_mine && !subject->component->is_provider) return false; /* somebody else's */
    return !host->is_draining || target->is_mine;
}

static void tell_no_host(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                         const struct wisp_app_spread *spread)
{
    WISP_CLEANUP_BUF struct wisp_buf labels = {0};
    const char *key;
    json_t *value;
    json_object_foreach(spread->requirements, key, value)
    {
        wisp_buf_printf(&labels, "%s`%s=%s`", labels.len ? " and " : "", key, json_string_value(value));
    }
    if (!planner->observed->n_hosts)
        wisp_app_status_set(planner, subject->status, WISP_APP_WAITING, "there is no host yet");
    else if (labels.len)
        wisp_app_status_set(planner, subject->status, WISP_APP_FAILED_STATE,
                            "spread `%.*s`: no host that takes it has label %.*s", WISP_STR_ARG(spread->name),
                            WISP_STR_ARG(wisp_buf_str(&labels)));
    else
        wisp_app_status_set(planner, subject->status, WISP_APP_FAILED_STATE,
                            "spread `%.*s`: all hosts are draining, or run `%.*s` for somebody else",
                            WISP_STR_ARG(spread->name), WISP_STR_ARG(subject->component->id));
}

/* --- how many for each spread --- */

static int by_weight(const void *a_, const void *b_)
{
    const struct wisp_app_spread *a = *(const struct wisp_app_spread *const *)a_,
                                 *b = *(const struct wisp_app_spread *const *)b_;
    if (a->weight != b->weight) return a->weight < b->weight ? 1 : -1;
    return a < b ? -1 : 1;
}

/* Shares by weight; what is left over goes to the heaviest, one each. `shares` in the order of the scaler's spreads. */
static void share_out(struct wisp_app_planner *planner, const struct wisp_app_scaler *scaler, uint32_t *shares)
{
    size_t n = scaler->n_spreads;
    const struct wisp_app_spread **order = WISP_NEW_ARRAY(&planner->plan->arena, const struct wisp_app_spread *, n);
    uint64_t sum = 0;
    uint32_t left = scaler->instances;
    for (size_t i = 0; i < n; i++) {
        order[i] = &scaler->spreads[i];
        sum += scaler->spreads[i].weight;
    }
    qsort(order, n, sizeof *order, by_weight);
    for (size_t i = 0; i < n; i++) {
        shares[i] = sum ? (uint32_t)((uint64_t)scaler->instances * scaler->spreads[i].weight / sum) : 0;
        left -= shares[i];
    }
    for (size_t i = 0; sum && left; i = (i + 1) % n) {
        if (!order[i]->weight) continue;
        shares[order[i] - scaler->spreads]++;
        left--;
    }
}

/* --- which host for which spread --- */

/* While hosts are given out. */
struct spread_state {
    const struct wisp_app_spread *spread;
    uint32_t wanted, n_hosts, n_possible;
};

static struct wisp_str spread_of(const struct wisp_app_target *target)
{
    struct wisp_str none = {0};
    return target->is_mine ? target->instance->spread : none;
}

/* That which it serves already, else the one with the most instances for each of its hosts. */
static struct spread_state *choose(const struct wisp_app_target *target, const struct wisp_app_subject *subject,
                                   struct spread_state *spreads, size_t n)
{
    struct wisp_str current = spread_of(target);
    struct spread_state *best = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!spreads[i].wanted || !may_take(target, subject, spreads[i].spread)) continue;
        if (wisp_str_equal(spreads[i].spread->name, current)) return &spreads[i];
        bool is_better = !best || (uint64_t)spreads[i].wanted * (best->n_hosts + 1) >
                                      (uint64_t)best->wanted * (spreads[i].n_hosts + 1);
        if (is_better) best = &spreads[i];
    }
    return best;
}

/* A spread without a host gets one of a spread that has several. */
static void help_out(struct wisp_app_target *targets, size_t n_targets, const struct wisp_app_subject *subject,
                     struct spread_state *spreads, struct spread_state *poor)
{
    for (size_t i = 0; i < n_targets; i++) {
        struct spread_state *rich = targets[i].spread ? &spreads[targets[i].spread - subject->scaler->spreads] : NULL;
        if (!rich || rich->n_hosts < 2 || !may_take(&targets[i], subject, poor->spread)) continue;
        rich->n_hosts--;
        targets[i].spread = poor->spread;
        poor->n_hosts++;
        return;
    }
}

static void give_hosts(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                       struct wisp_app_target *targets, struct spread_state *spreads)
{
    size_t n_targets = planner->observed->n_hosts, n = subject->scaler->n_spreads;
    for (size_t i = 0; i < n_targets; i++) {
        struct spread_state *chosen = choose(&targets[i], subject, spreads, n);
        if (!chosen) continue;
        targets[i].spread = chosen->spread;
        chosen->n_hosts++;
    }
    for (size_t i = 0; i < n; i++) {
        if (!spreads[i].wanted || spreads[i].n_hosts) continue;
        help_out(targets, n_targets, subject, spreads, &spreads[i]);
        if (spreads[i].n_hosts) continue;
        bool is_possible = false;
        for (size_t k = 0; k < n_targets; k++) is_possible |= may_take(&targets[k], subject, spreads[i].spread);
        if (is_possible)
            wisp_app_status_set(planner, subject->status, WISP_APP_FAILED_STATE,
                                "spread `%.*s`: every host it may use serves another spread already",
                                WISP_STR_ARG(spreads[i].spread->name));
        else
            tell_no_host(planner, subject, spreads[i].spread);
    }
}

/* --- how many on each host --- */

static uint32_t count_now(const struct wisp_app_target *target)
{
    return target->instance ? target->instance->count : 0;
}

struct liked {
    struct wisp_app_target *target;
    uint64_t liking;
};

static int by_liking(const void *a_, const void *b_)
{
    const struct liked *a = a_, *b = b_;
    if (a->liking != b->liking) return a->liking < b->liking ? 1 : -1;
    return a->target < b->target ? -1 : 1;
}

/* Gives one more to hosts of the spread that have `now`, until `left` is used up; what is left of it. Which hosts are
 * the first is another order for each id, so that not everything goes to the same ones. */
static uint32_t add_some(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                         struct wisp_app_target *targets, const struct wisp_app_spread *spread, uint32_t now,
                         uint32_t left)
{
    size_t n_targets = planner->observed->n_hosts, n = 0;
    struct liked *list = WISP_NEW_ARRAY(&planner->plan->arena, struct liked, left ? n_targets : 0);
    uint64_t id_hash = wisp_str_hash(subject->component->id);
    for (size_t i = 0; left && i < n_targets; i++) {
        bool fits = targets[i].spread == spread && !targets[i].host->is_unknown && targets[i].wanted == now;
        uint64_t hash = (wisp_str_hash(targets[i].host->id) ^ id_hash) * 0xbf58476d1ce4e5b9u;
        if (fits) list[n++] = (struct liked){&targets[i], hash ^ hash >> 31};
    }
    if (n) qsort(list, n, sizeof *list, by_liking);
    for (size_t i = 0; left && i < n; i++, left--) list[i].target->wanted++;
    return left;
}

/* A silent host keeps what it has; the others share the rest equally, those that have more now get what is left over.
 */
static void fill(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                 struct wisp_app_target *targets, const struct spread_state *spread)
{
    size_t n_targets = planner->observed->n_hosts;
    uint32_t left = spread->wanted, n = 0;
    for (size_t i = 0; i < n_targets; i++) {
        if (targets[i].spread != spread->spread) continue;
        n += !targets[i].host->is_unknown;
        if (!targets[i].host->is_unknown) continue;
        targets[i].wanted = count_now(&targets[i]);
        left -= targets[i].wanted < left ? targets[i].wanted : left;
    }
    if (!n) return;
    uint32_t each = left / n, more = left % n;
    for (size_t i = 0; i < n_targets; i++) {
        if (targets[i].spread != spread->spread || targets[i].host->is_unknown) continue;
        bool keeps_more = more && count_now(&targets[i]) > each;
        targets[i].wanted = each + keeps_more;
        more -= keeps_more;
    }
    add_some(planner, subject, targets, spread->spread, each, more);
}

/* Providers: one on a host. First those that run already. */
static void fill_providers(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                           struct wisp_app_target *targets, struct spread_state *spread)
{
    uint32_t left = spread->wanted;
    for (size_t i = 0; left && i < planner->observed->n_hosts; i++) {
        if (targets[i].spread != spread->spread || !targets[i].instance) continue;
        targets[i].wanted = 1;
        left--;
    }
    spread->wanted = add_some(planner, subject, targets, spread->spread, 0, left); /* that found no host */
}

static void fill_daemon(struct wisp_app_target *targets, size_t n_targets, uint32_t instances)
{
    for (size_t i = 0; i < n_targets; i++)
        if (targets[i].spread) targets[i].wanted = targets[i].host->is_unknown ? count_now(&targets[i]) : instances;
}

static struct wisp_app_target *make_targets(struct wisp_app_planner *planner, const struct wisp_app_subject *subject)
{
    const struct wisp_app_observed *observed = planner->observed;
    const struct wisp_app_component *component = subject->component;
    struct wisp_app_target *targets = WISP_NEW_ARRAY(&planner->plan->arena, struct wisp_app_target, observed->n_hosts);
    const struct wisp_app_listed *units = wisp_map_get(
        component->is_provider ? &observed->units->providers : &observed->units->components, component->id);
    for (size_t i = 0; i < observed->n_hosts; i++) targets[i].host = observed->hosts[i];
    if (!units) return targets;
    WISP_RING_EACH(at, &units->all)
    {
        const struct wisp_app_instance *instance = WISP_OWNER(at, struct wisp_app_instance, with_id);
        struct wisp_app_target *target =
            instance->host->position < observed->n_hosts ? &targets[instance->host->position] : NULL;
        if (!target || !instance->count || (target->instance && instance->is_coming)) continue;
        target->instance = instance;
        target->is_mine = wisp_str_equal(instance->app, subject->manifest->name);
    }
    return targets;
}

struct wisp_app_target *wisp_app_place_instances(struct wisp_app_planner *planner,
                                                 const struct wisp_app_subject *subject)
{
    const struct wisp_app_scaler *scaler = subject->scaler;
    size_t n = scaler->n_spreads, n_hosts = planner->observed->n_hosts;
    struct wisp_app_target *targets = make_targets(planner, subject);
    struct spread_state *spreads = WISP_NEW_ARRAY(&planner->plan->arena, struct spread_state, n);
    uint32_t *shares = WISP_NEW_ARRAY(&planner->plan->arena, uint32_t, n);
    share_out(planner, scaler, shares);
    for (size_t i = 0; i < n; i++)
        spreads[i] = (struct spread_state){.spread = &scaler->spreads[i],
                                           .wanted = scaler->is_daemon ? scaler->instances : shares[i]};
    give_hosts(planner, subject, targets, spreads);
    for (size_t i = 0; i < n && !scaler->is_daemon; i++) {
        if (!subject->component->is_provider) {
            fill(planner, subject, targets, &spreads[i]);
            continue;
        }
        uint32_t wanted = spreads[i].wanted;
        fill_providers(planner, subject, targets, &spreads[i]);
        if (spreads[i].wanted && spreads[i].n_hosts)
            wisp_app_status_set(planner, subject->status, WISP_APP_FAILED_STATE,
                                "spread `%.*s`: %u hosts are wanted, and %u fit", WISP_STR_ARG(spreads[i].spread->name),
                                wanted, wanted - spreads[i].wanted);
    }
    if (scaler->is_daemon)
        fill_daemon(targets, n_hosts, subject->component->is_provider ? !!scaler->instances : scaler->instances);
    return targets;
}
