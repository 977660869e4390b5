/* SPDX-License-Identifier: Apache-2.0 */
#include "sdk_priv.h"

#include "base/json.h"

#include <stdio.h>

static json_t *describe_interface(const struct wisp_provider_interface *interface)
{
    json_t *funcs = json_array(), *types = json_array();
    for (size_t i = 0; i < interface->n_funcs; i++)
        json_array_append_new(funcs, json_pack("{s:s, s:s}", "name", interface->funcs[i].name, "signature",
                                               interface->funcs[i].signature));
    for (const char *const *type = interface->types; type && *type; type++)
        json_array_append_new(types, json_string(*type));
    struct wisp_str name = wisp_str_from(interface->name), link_name = name, version;
    (void)wisp_str_split(name, '@', &link_name, &version);
    if (interface->link_interface) link_name = wisp_str_from(interface->link_interface);
    return json_pack("{s:s, s:s%, s:o, s:o}", "name", interface->name, "link_interface", link_name.ptr, link_name.len,
                     "functions", funcs, "types", types);
}

static json_t *describe_interfaces(const struct wisp_provider_interface *const *interfaces, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, describe_interface(interfaces[i]));
    return list;
}

void wisp_sdk_describe(const struct wisp_provider_kind *kind)
{
    WISP_CLEANUP_JSON json_t *json =
        json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", kind->name, "about", kind->about ? kind->about : "", "wisp",
                  WISP_VERSION, "exports", describe_interfaces(kind->exports, kind->n_exports), "imports",
                  describe_interfaces(kind->imports, kind->n_imports));
    json_dumpf(json, stdout, JSON_INDENT(2));
    printf("\n");
}
