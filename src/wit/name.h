/* SPDX-License-Identifier: Apache-2.0 */
/* Names as they stand in a component's binary, taken apart. */
#pragma once

#include "base/str.h"

/* "wasi:http/types@0.2.2" */
struct wisp_wit_id {
    struct wisp_str package;   /* "wasi:http" */
    struct wisp_str interface; /* "types" */
    struct wisp_str version;   /* "0.2.2"; empty when there is none */
};

/* False for a plain label, which names an inline interface or a function. */
bool wisp_wit_id_parse(struct wisp_str text, struct wisp_wit_id *ret_id);

enum wisp_wit_role { WISP_WIT_FREE, WISP_WIT_CONSTRUCTOR, WISP_WIT_METHOD, WISP_WIT_STATIC };

/* "[method]fields.append" */
struct wisp_wit_func_name {
    enum wisp_wit_role role;
    struct wisp_str resource; /* "fields"; empty when FREE */
    struct wisp_str label;    /* "append"; empty for a constructor */
};

struct wisp_wit_func_name wisp_wit_func_name_parse(struct wisp_str text);

/* Is the identifier a word of the language, too? */
bool wisp_wit_is_keyword(struct wisp_str name);
