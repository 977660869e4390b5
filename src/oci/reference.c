/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/reference.h"

#include "oci/digest.h"

#include <limits.h>

enum { TEXT_MAX = 4096, REGISTRY_MAX = 253 + 6, REPOSITORY_MAX = 255, TAG_MAX = 128 };

static const char hub[] = "docker.io";

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

static struct wisp_str skip(struct wisp_str s, size_t n) { return (struct wisp_str){s.ptr + n, s.len - n}; }

static struct wisp_str lower(struct wisp_arena *arena, struct wisp_str s)
{
    char *copy = wisp_arena_cstr(arena, s);
    for (size_t i = 0; i < s.len; i++)
        if (is_upper(copy[i])) copy[i] = (char)(copy[i] + 'a' - 'A');
    return (struct wisp_str){copy, s.len};
}

/* Takes "SCHEME://" off, in any case of letters. */
static bool take_scheme(struct wisp_str *text, struct wisp_str scheme)
{
    if (text->len < scheme.len || !wisp_str_same_letters(text->ptr, scheme.ptr, scheme.len)) return false;
    *text = skip(*text, scheme.len);
    return true;
}

static bool take_registry_scheme(struct wisp_str *text)
{
    return take_scheme(text, WISP_STR("oci://")) || take_scheme(text, WISP_STR("https://")) ||
           take_scheme(text, WISP_STR("http://"));
}

/* --- files --- */

static int hex_value(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The path of a file:// URL: %XX stands for a byte there. */
static struct wisp_str unescape(struct wisp_arena *arena, struct wisp_str s)
{
    char *out = wisp_arena_cstr(arena, s);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int high = s.ptr[i] == '%' && s.len - i > 2 ? hex_value(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(s.ptr[i + 2]) : -1;
        if (low >= 0) i += 2;
        out[n++] = low >= 0 ? (char)(high << 4 | low) : s.ptr[i];
    }
    out[n] = '\0';
    return (struct wisp_str){out, n};
}

static int parse_path(struct wisp_arena *arena, struct wisp_str path, struct wisp_oci_reference *ret_reference,
                      struct wisp_err *err)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return wisp_err_set(err, WISP_ERR_INVALID, "path is not absolute: file:///PATH");
    if (memchr(path.ptr, '\0', path.len) || path.len >= PATH_MAX)
        return wisp_err_set(err, WISP_ERR_INVALID, "not a path");
    char *copy = wisp_arena_cstr(arena, path);
    *ret_reference = (struct wisp_oci_reference){.path = copy, .text = wisp_arena_printf(arena, "file://%s", copy)};
    return 0;
}

/* --- registries --- */

static bool is_port(struct wisp_str s)
{
    unsigned port = 0;
    if (s.len == 0 || s.len > 5) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.ptr[i])) return false;
        port = port * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return port > 0 && port < 65536;
}

static bool is_name(struct wisp_str host)
{
    if (host.len == 0 || host.ptr[0] == '-' || host.ptr[0] == '.') return false;
    for (size_t i = 0; i < host.len; i++)
        if (!is_lower(host.ptr[i]) && !is_digit(host.ptr[i]) && host.ptr[i] != '-' && host.ptr[i] != '.') return false;
    return true;
}

static bool is_ipv6(struct wisp_str host)
{
    if (host.len < 4 || host.ptr[0] != '[' || host.ptr[host.len - 1] != ']') return false;
    for (size_t i = 1; i + 1 < host.len; i++)
        if (hex_value(host.ptr[i]) < 0 && host.ptr[i] != ':' && host.ptr[i] != '.') return false;
    return true;
}

static bool is_registry(struct wisp_str s)
{
    struct wisp_str host = s;
    if (s.len == 0 || s.len > REGISTRY_MAX) return false;
    const char *colon = memrchr(s.ptr, ':', s.len), *bracket = memrchr(s.ptr, ']', s.len);
    if (colon && (!bracket || colon > bracket)) {
        host.len = (size_t)(colon - s.ptr);
        if (!is_port(skip(s, host.len + 1))) return false;
    }
    return is_name(host) || is_ipv6(host);
}

/* Parts of letters and digits, with single separators inside (also `__` and any number of `-`), between slashes. */
static bool is_repository(struct wisp_str s)
{
    if (s.len == 0 || s.len > REPOSITORY_MAX) return false;
    char before = '/';
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_plain = is_lower(c) || is_digit(c), was_plain = is_lower(before) || is_digit(before);
        if (!is_plain && !strchr("/._-", c)) return false;
        if (c == '\0' || (!is_plain && !was_plain && !(c == before && (c == '-' || c == '_')))) return false;
        before = c;
    }
    return is_lower(before) || is_digit(before);
}

static bool is_tag(struct wisp_str s)
{
    if (s.len == 0 || s.len > TAG_MAX || s.ptr[0] == '.' || s.ptr[0] == '-') return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_lower(s.ptr[i]) && !is_upper(s.ptr[i]) && !is_digit(s.ptr[i]) && s.ptr[i] != '_' && s.ptr[i] != '.' &&
            s.ptr[i] != '-')
            return false;
    return true;
}

/* As Docker has it: the first part is a host when it looks like one. */
static bool looks_like_host(struct wisp_str s)
{
    return wisp_str_is(s, "localhost") || (s.len && (memchr(s.ptr, '.', s.len) || memchr(s.ptr, ':', s.len)));
}

static void split_name(struct wisp_arena *arena, struct wisp_str name, struct wisp_str *ret_registry,
                       struct wisp_str *ret_repository)
{
    if (wisp_str_split(name, '/', ret_registry, ret_repository) && looks_like_host(*ret_registry)) return;
    const char *folder = name.len && memchr(name.ptr, '/', name.len) ? "" : "library/";
    *ret_registry = wisp_str_from(hub);
    *ret_repository = wisp_str_from(wisp_arena_printf(arena, "%s%.*s", folder, WISP_STR_ARG(name)));
}

static int parse_registry(struct wisp_arena *arena, struct wisp_str text, struct wisp_oci_reference *ret_reference,
                          struct wisp_err *err)
{
    struct wisp_str name = text, digest = {0}, tag = {0}, registry, repository;
    char parsed[WISP_OCI_DIGEST_LEN + 1];
    bool has_digest = wisp_str_split(text, '@', &name, &digest);
    if (has_digest) {
        int r = wisp_oci_digest_parse(lower(arena, digest), parsed, err);
        if (r < 0) return r;
    }
    const char *slash = name.len ? memrchr(name.ptr, '/', name.len) : NULL;
    const char *colon = name.len ? memrchr(name.ptr, ':', name.len) : NULL;
    bool has_tag = colon && (!slash || colon > slash);
    if (has_tag) {
        tag = skip(name, (size_t)(colon - name.ptr) + 1);
        name.len = (size_t)(colon - name.ptr);
        if (!is_tag(tag)) return wisp_err_set(err, WISP_ERR_INVALID, "tag is not valid");
    }
    split_name(arena, lower(arena, name), &registry, &repository);
    if (!is_registry(registry)) return wisp_err_set(err, WISP_ERR_INVALID, "registry is not valid: HOST[:PORT]/NAME");
    if (!is_repository(repository))
        return wisp_err_set(err, WISP_ERR_INVALID,
                            "name in the registry is not valid: letters, digits, `.`, `_`, `-` "
                            "between `/`");
    if (!has_tag && !has_digest) tag = WISP_STR("latest");
    *ret_reference = (struct wisp_oci_reference){
        .registry = wisp_arena_cstr(arena, registry),
        .repository = wisp_arena_cstr(arena, repository),
        .tag = tag.len ? wisp_arena_cstr(arena, tag) : NULL,
        .digest = has_digest ? wisp_arena_cstr(arena, (struct wisp_str){parsed, WISP_OCI_DIGEST_LEN}) : NULL,
    };
    ret_reference->text = wisp_arena_printf(arena, "%s/%s%s%s%s%s", ret_reference->registry, ret_reference->repository,
                                            tag.len ? ":" : "", tag.len ? ret_reference->tag : "",
                                            has_digest ? "@" : "", has_digest ? parsed : "");
    return 0;
}

int wisp_oci_reference_parse(struct wisp_arena *arena, struct wisp_str text, struct wisp_oci_reference *ret_reference,
                             struct wisp_err *err)
{
    if (text.len > TEXT_MAX) return wisp_err_set(err, WISP_ERR_INVALID, "reference is longer than %d bytes", TEXT_MAX);
    if (take_scheme(&text, WISP_STR("file://"))) {
        take_scheme(&text, WISP_STR("localhost"));
        return parse_path(arena, unescape(arena, text), ret_reference, err);
    }
    if (text.len && text.ptr[0] == '/') return parse_path(arena, text, ret_reference, err);
    bool has_scheme = take_registry_scheme(&text);
    if (!has_scheme && memmem(text.ptr, text.len, "://", 3))
        return wisp_err_set(err, WISP_ERR_INVALID, "scheme is none of file, oci, https, http");
    return parse_registry(arena, text, ret_reference, err);
}

const char *wisp_oci_registry_host(const char *registry)
{
    return strcmp(registry, hub) == 0 ? "registry-1.docker.io" : registry;
}

void wisp_oci_reference_plain(struct wisp_str reference, struct wisp_buf *out)
{
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    if (take_scheme(&reference, WISP_STR("file://"))) {
        wisp_buf_append_str(out, unescape(&arena, reference));
        return;
    }
    const char *other = reference.len ? memmem(reference.ptr, reference.len, "://", 3) : NULL;
    if (take_registry_scheme(&reference) || (!other && reference.len && reference.ptr[0] != '/'))
        reference = lower(&arena, reference);
    else if (other)
        reference = skip(reference, (size_t)(other - reference.ptr) + 3);
    wisp_buf_append_str(out, reference);
}
