/* SPDX-License-Identifier: Apache-2.0 */
#include "wrpc/http_types.h"

#include "component/host/host_signature.h"

static const char *const definitions[] = {
    "fields = list<tuple<string, list<list<u8>>>>",
    "method = variant{_, _, _, _, _, _, _, _, _, string}",
    "scheme = variant{_, _, string}",
    "request-rest = tuple<method, option<string>, option<scheme>, option<string>, fields>",
    "response-rest = tuple<u16, fields>",
    "field-size = record{option<string>, option<u32>}",
    WISP_HTTP_ERROR_CODE_TYPE,
};

static int pick(const struct wisp_func_type *func, uint32_t index, size_t native_size,
                const struct wisp_type **ret_type, struct wisp_err *err)
{
    *ret_type = func->params[index].type;
    if ((*ret_type)->native_size == native_size) return 0;
    return wisp_err_set(err, WISP_ERR_INTERNAL, "type %u of wrpc:http has %u bytes, its struct %zu", index,
                        (*ret_type)->native_size, native_size);
}

static int make(struct wisp_signature_names *names, struct wisp_wrpc_http_types *types, struct wisp_err *err)
{
    const struct wisp_func_type *func;
    int r = 0;
    for (size_t i = 0; r == 0 && i < WISP_COUNT(definitions); i++)
        r = wisp_signature_define(names, wisp_str_from(definitions[i]), err);
    if (r == 0)
        r = wisp_signature_parse(names, WISP_STR("(request-rest, response-rest, option<fields>, error-code)"), &func,
                                 err);
    if (r == 0) r = pick(func, 0, sizeof(struct wisp_wrpc_request_rest), &types->request_rest, err);
    if (r == 0) r = pick(func, 1, sizeof(struct wisp_wrpc_response_rest), &types->response_rest, err);
    if (r == 0) r = pick(func, 2, sizeof(struct wisp_wrpc_option_fields), &types->option_fields, err);
    if (r == 0) r = pick(func, 3, sizeof(struct wisp_wrpc_error_code), &types->error_code, err);
    return r;
}

int wisp_wrpc_http_types_make(struct wisp_arena *arena, const struct wisp_wrpc_http_types **ret_types,
                              struct wisp_err *err)
{
    struct wisp_map no_resources = {0};
    struct wisp_signature_names names = {.arena = arena, .resources = &no_resources};
    struct wisp_wrpc_http_types *types = WISP_NEW(arena, struct wisp_wrpc_http_types);
    int r = make(&names, types, err);
    wisp_map_deinit(&names.types);
    if (r == 0) *ret_types = types;
    return r;
}
