/* SPDX-License-Identifier: Apache-2.0 */
/* Names of imports, exports, fields and parameters (Component Model, Explainer.md, "Import and Export Definitions"). */
#include "component/decode/decode.h"

static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* One fragment of a label: letters of one case, and digits. */
static bool is_fragment(struct wisp_str text, bool may_be_acronym)
{
    bool has_lower = false, has_upper = false;
    for (size_t i = 0; i < text.len; i++) {
        has_lower |= is_lower(text.ptr[i]);
        has_upper |= is_upper(text.ptr[i]);
        if (!is_lower(text.ptr[i]) && !is_upper(text.ptr[i]) && !is_digit(text.ptr[i])) return false;
    }
    return text.len > 0 && !(has_lower && has_upper) && (may_be_acronym || !has_upper);
}

/* Fragments joined by hyphens, the first of which starts with a letter. */
static bool is_kebab(struct wisp_str text, bool may_have_acronyms)
{
    if (!text.len || is_digit(text.ptr[0])) return false;
    struct wisp_str head, tail = text;
    while (wisp_str_split(tail, '-', &head, &tail))
        if (!is_fragment(head, may_have_acronyms)) return false;
    return is_fragment(tail, may_have_acronyms);
}

bool wisp_name_is_label(struct wisp_str text) { return is_kebab(text, true); }

/* --- versions --- */

static bool is_number(struct wisp_str text)
{
    if (!text.len || (text.len > 1 && text.ptr[0] == '0')) return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.ptr[i])) return false;
    return true;
}

/* Identifiers of a pre-release or build, separated by dots; numeric ones of a pre-release have no leading zero. */
static bool is_identifier_list(struct wisp_str text, bool is_prerelease)
{
    for (bool more = true; more;) {
        struct wisp_str head = text, tail = {0};
        more = wisp_str_split(text, '.', &head, &tail);
        bool all_digits = true;
        for (size_t i = 0; i < head.len; i++) {
            char c = head.ptr[i];
            if (!is_digit(c) && !is_lower(c) && !is_upper(c) && c != '-') return false;
            all_digits &= is_digit(c);
        }
        if (!head.len || (is_prerelease && all_digits && !is_number(head))) return false;
        text = tail;
    }
    return true;
}

bool wisp_name_is_semver(struct wisp_str text)
{
    struct wisp_str rest, major, minor, patch;
    if (wisp_str_split(text, '+', &text, &rest) && !is_identifier_list(rest, false)) return false;
    if (wisp_str_split(text, '-', &text, &rest) && !is_identifier_list(rest, true)) return false;
    return wisp_str_split(text, '.', &major, &rest) && wisp_str_split(rest, '.', &minor, &patch) && is_number(major) &&
           is_number(minor) && is_number(patch);
}

/* The part of a version that compatibility depends on: "1", "0.2", "0.0.3". */
static bool is_canonical_version(struct wisp_str text)
{
    struct wisp_str rest;
    if (!wisp_str_starts_with(text, WISP_STR("0."))) return is_number(text) && text.ptr[0] != '0';
    rest = (struct wisp_str){text.ptr + 2, text.len - 2};
    if (!wisp_str_starts_with(rest, WISP_STR("0."))) return is_number(rest) && rest.ptr[0] != '0';
    return is_number((struct wisp_str){rest.ptr + 2, rest.len - 2});
}

/* --- names --- */

static bool is_interface(struct wisp_str text)
{
    struct wisp_str namespace, package, interface, version;
    if (!wisp_str_split(text, ':', &namespace, &text) || !wisp_str_split(text, '/', &package, &interface)) return false;
    if (wisp_str_split(interface, '@', &interface, &version) && !wisp_name_is_semver(version) &&
        !is_canonical_version(version))
        return false;
    return is_kebab(namespace, false) && is_kebab(package, false) && wisp_name_is_label(interface);
}

static bool strip(struct wisp_str *text, struct wisp_str prefix)
{
    if (!wisp_str_starts_with(*text, prefix)) return false;
    *text = (struct wisp_str){text->ptr + prefix.len, text->len - prefix.len};
    return true;
}

bool wisp_name_parse(struct wisp_str text, struct wisp_extern_name *ret_name)
{
    struct wisp_extern_name name = {.text = text, .label = text};
    bool is_valid;
    if (strip(&name.label, WISP_STR("[constructor]"))) {
        name.kind = WISP_NAME_CONSTRUCTOR;
        name.resource = name.label;
        is_valid = wisp_name_is_label(name.label);
    } else if (strip(&name.label, WISP_STR("[method]")) || strip(&name.label, WISP_STR("[static]"))) {
        name.kind = text.ptr[1] == 'm' ? WISP_NAME_METHOD : WISP_NAME_STATIC;
        is_valid = wisp_str_split(name.label, '.', &name.resource, &name.label) && wisp_name_is_label(name.resource) &&
                   wisp_name_is_label(name.label);
    } else if (text.len && memchr(text.ptr, ':', text.len)) {
        name.kind = WISP_NAME_INTERFACE;
        is_valid = is_interface(text);
    } else {
        is_valid = wisp_name_is_label(text);
    }
    if (is_valid) *ret_name = name;
    return is_valid;
}

struct wisp_str wisp_name_canonical(struct wisp_arena *arena, const struct wisp_extern_name *name)
{
    bool is_member = name->kind == WISP_NAME_METHOD || name->kind == WISP_NAME_STATIC;
    struct wisp_str text = name->text;
    if (is_member && wisp_str_equal_nocase(name->resource, name->label))
        text = name->label;
    else if (is_member)
        text = (struct wisp_str){name->resource.ptr, (size_t)(name->text.ptr + name->text.len - name->resource.ptr)};
    char *lower = wisp_arena_cstr(arena, text);
    for (size_t i = 0; i < text.len; i++)
        if (is_upper(lower[i])) lower[i] = (char)(lower[i] - 'A' + 'a');
    return (struct wisp_str){lower, text.len};
}
