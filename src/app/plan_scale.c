/* SPDX-License-Identifier: Apache-2.0 */
/* Components: how many instances on which host, in which version. */
#include "app/plan_priv.h"

#include "base/json.h"

json_t *wisp_app_annotations(const struct wisp_app_subject *subject, struct wisp_str spread)
{
    return json_pack("{s:s, s:o, s:o, s:o}", "wasmcloud.dev/managed-by", "wadm", "wasmcloud.dev/appspec",
                     wisp_json_text(subject->manifest->name), "wasmcloud.dev/scaler", wisp_json_text(subject->id),
                     "wasmcloud.dev/spread_name", wisp_json_text(spread));
}

/* What a host is told. */
static bool scale(struct wisp_app_planner *planner, const struct wisp_app_subject *subject, enum wisp_app_phase phase,
                  const struct wisp_app_target *target, uint32_t count, struct wisp_str reason)
{
    const struct wisp_app_component *component = subject->component;
    json_t *names = wisp_app_names(planner, subject->manifest, component->configs, component->n_configs,
                                   component->secrets, component->n_secrets);
    struct wisp_str spread = target->spread ? target->spread->name : WISP_STR("default");
    json_t *payload = json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:b}", "component_ref",
                                wisp_json_text(component->image), "component_id", wisp_json_text(component->id),
                                "annotations", wisp_app_annotations(subject, spread), "count", (json_int_t)count,
                                "host_id", wisp_json_text(target->host->id), "config", names, "allow_update", 1);
    struct wisp_app_command command = {
        .kind = WISP_APP_SCALE,
        .key = wisp_app_printf(planner, "scale/%.*s/%.*s", WISP_STR_ARG(target->host->id), WISP_STR_ARG(component->id)),
        .app = subject->manifest->name,
        .scaler_id = subject->id,
        .host = target->host->id,
        .reason = reason.ptr,
    };
    return wisp_app_command_add(planner, phase, &command, payload, subject->status);
}

static bool is_current(const struct wisp_app_target *target, const struct wisp_app_subject *subject)
{
    return wisp_str_equal(target->instance->reference, subject->component->image);
}

/* More, or another version: true when something is still to come on this host. */
static bool raise(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                  const struct wisp_app_target *target, uint32_t *updates_left)
{
    bool is_there = target->instance && !target->instance->is_coming;
    uint32_t now = is_there ? target->instance->count : 0;
    if (target->host->is_unknown || !target->wanted) return false;
    if (is_there && !is_current(target, subject)) {
        if (!*updates_left) return true;
        --*updates_left;
        scale(planner, subject, WISP_APP_PHASE_UP, target, target->wanted,
              wisp_app_printf(planner, "another version: `%.*s` is there", WISP_STR_ARG(target->instance->reference)));
        return true;
    }
    /* Marks of another scaler or spread of this application are left as they are: some hosts never change them. */
    if (now >= target->wanted) return false;
    scale(planner, subject, WISP_APP_PHASE_UP, target, target->wanted,
          wisp_app_printf(planner, "%u of %u instances of spread `%.*s` are there", now, target->wanted,
                          WISP_STR_ARG(target->spread->name)));
    return true;
}

static void lower(struct wisp_app_planner *planner, const struct wisp_app_subject *subject,
                  const struct wisp_app_target *target)
{
    if (!target->instance || target->host->is_unknown || !planner->observed->is_complete) return;
    if (!target->is_mine) return;
    if (target->instance->count <= target->wanted && target->spread) return;
    if (target->spread && target->wanted && !is_current(target, subject)) return; /* the update comes first */
    scale(planner, subject, WISP_APP_PHASE_DOWN, target, target->wanted,
          target->spread ? wisp_app_printf(planner, "%u instances are there, %u are wanted", target->instance->count,
                                           target->wanted)
                         : wisp_app_printf(planner, "no spread wants it on this host"));
}

void wisp_app_plan_component(struct wisp_app_planner *planner, const struct wisp_app_subject *subject)
{
    struct wisp_app_scaler_status *status = subject->status;
    size_t n = planner->observed->n_hosts;
    struct wisp_app_target *targets = wisp_app_place_instances(planner, subject);
    uint32_t updates_left = planner->wishes->updates_max ? planner->wishes->updates_max : 1, n_silent = 0;
    bool is_waiting = false;
    for (size_t i = 0; i < n; i++) {
        const struct wisp_app_target *target = &targets[i];
        bool counts = target->instance && !target->instance->is_coming && target->spread &&
                      is_current(target, subject) && target->is_mine;
        status->wanted += subject->scaler->is_daemon ? target->wanted : 0;
        if (counts) status->found += target->instance->count;
        n_silent += counts && target->host->is_unknown;
        is_waiting |= raise(planner, subject, target, &updates_left);
    }
    if (!subject->scaler->is_daemon) status->wanted = subject->scaler->instances;
    if (is_waiting) {
        wisp_app_status_set(planner, status, WISP_APP_RECONCILING, "%u of %u instances are there", status->found,
                            status->wanted);
        return; /* nothing goes before what replaces it is there */
    }
    if (n_silent) wisp_app_status_set(planner, status, WISP_APP_DEPLOYED, "%u of its hosts are silent", n_silent);
    for (size_t i = 0; i < n; i++) lower(planner, subject, &targets[i]);
}
