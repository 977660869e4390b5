/* SPDX-License-Identifier: Apache-2.0 */
#include "nkeys/nkeys.h"

/* Takes a line off; without its end. */
static struct wisp_str next_line(struct wisp_str *text)
{
    struct wisp_str line = *text, rest = {0};
    wisp_str_split(*text, '\n', &line, &rest);
    *text = rest;
    while (line.len && strchr(" \t\r", line.ptr[line.len - 1])) line.len--;
    return line;
}

static bool is_fence(struct wisp_str line)
{
    return line.len > 6 && wisp_str_starts_with(line, WISP_STR("---")) && wisp_str_ends_with(line, WISP_STR("---"));
}

/* The line between the next two fences. Whatever stands outside is for people. */
static bool next_part(struct wisp_str *text, struct wisp_str *ret_part)
{
    while (text->len) {
        if (!is_fence(next_line(text))) continue;
        struct wisp_str part = next_line(text);
        while (text->len && part.len == 0) part = next_line(text);
        if (part.len == 0 || is_fence(part) || !is_fence(next_line(text))) return false;
        *ret_part = part;
        return true;
    }
    return false;
}

int wisp_creds_parse(struct wisp_str text, struct wisp_str *ret_jwt, struct wisp_str *ret_seed, struct wisp_err *err)
{
    struct wisp_str jwt, seed;
    if (!next_part(&text, &jwt))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a NATS credentials file: no JWT between two lines of ---");
    if (!next_part(&text, &seed))
        return wisp_err_set(err, WISP_ERR_INVALID, "not a NATS credentials file: no seed after the JWT");
    *ret_jwt = jwt;
    *ret_seed = seed;
    return 0;
}
