/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of type definitions, then a signature. */
#include "component/host/host_signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wisp_arena arena = {0};
    struct wisp_map resources = {0};
    struct wisp_resource fields = {.name = WISP_STR("fields")};
    struct wisp_err err = {0};
    wisp_map_add(&resources, fields.name, &fields);
    struct wisp_signature_names names = {.arena = &arena, .resources = &resources};
    struct wisp_str rest = {(const char *)data, size}, line;
    for (int i = 0; i < 20 && wisp_str_split(rest, '\n', &line, &rest); i++)
        (void)!wisp_signature_define(&names, line, &err);
    const struct wisp_func_type *type = NULL;
    if (wisp_signature_parse(&names, rest, &type, &err) == 0 && type->result) wisp_type_text(&arena, type->result);
    wisp_map_deinit(&resources);
    wisp_map_deinit(&names.types);
    wisp_arena_deinit(&arena);
    return 0;
}
