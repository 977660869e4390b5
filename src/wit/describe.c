/* SPDX-License-Identifier: Apache-2.0 */
#include "wit/printer.h"
#include "wit/wit.h"

void wisp_wit_describe(const struct wisp_func_type *func, struct wisp_str name, struct wisp_buf *out)
{
    struct wisp_wit_printer printer = {.out = out};
    struct wisp_wit_func named = {.name = wisp_wit_func_name_parse(name), .type = func};
    if (named.name.role != WISP_WIT_FREE) {
        wisp_wit_put_name(&printer, named.name.resource);
        wisp_wit_put(&printer, ".");
    }
    wisp_wit_put_func(&printer, &named);
}
