/* SPDX-License-Identifier: Apache-2.0 */
/* wisp app: applications. */
#include "cli/app.h"

#include "cli/verbs.h"

static const struct wisp_verb *const verbs[] = {&wisp_verb_app_deploy,
                                                &wisp_verb_app_undeploy,
                                                &wisp_verb_app_list,
                                                &wisp_verb_app_status,
                                                &wisp_verb_app_plan,
                                                &wisp_verb_app_diff,
                                                &wisp_verb_app_put,
                                                &wisp_verb_app_get,
                                                &wisp_verb_app_history,
                                                &wisp_verb_app_delete,
                                                &wisp_verb_app_validate,
                                                &wisp_verb_app_schema,
                                                NULL};

const struct wisp_verb wisp_verb_app = {
    .name = "app",
    .aliases = "apps",
    .summary = "applications, by manifests",
    .text = "A manifest says what runs, where and how often, how it is linked and with what config. The lattice's\n"
            "deployment manager, which is in every host, makes it so and keeps it so.",
    .verbs = verbs,
    .example = "wisp app validate shop.yaml\nwisp app deploy shop.yaml --wait\nwisp app status shop",
};
