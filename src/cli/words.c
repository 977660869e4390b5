/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

bool wisp_word_is_host_id(const char *text)
{
    return text[0] == 'N' && strlen(text) == WISP_HOST_ID_LEN &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == WISP_HOST_ID_LEN;
}

int wisp_word_check_id(const char *text, struct wisp_err *err)
{
    if (*text && !text[strspn(text, LETTERS DIGITS "_-")]) return 0;
    return wisp_err_set(err, WISP_ERR_USAGE, "`%s` can't be an id: letters, digits, `_` and `-`", text);
}

int wisp_word_check_config(const char *text, struct wisp_err *err)
{
    if (*text && !text[strspn(text, LETTERS DIGITS "_-=/")]) return 0;
    return wisp_err_set(err, WISP_ERR_USAGE,
                        "`%s` can't be the name of a config: letters, digits, `_`, `-`, `=` and `/`", text);
}

static int add_pair(json_t *map, struct wisp_str pair, const char *what, struct wisp_err *err)
{
    struct wisp_str key, value;
    /* The text stays out of the message: without "=" all of it may be a value that nobody should see. */
    if (!wisp_str_split(pair, '=', &key, &value) || !key.len)
        return wisp_err_set(err, WISP_ERR_USAGE, "%s: write KEY=VALUE", what);
    if (!wisp_str_is_utf8(pair)) return wisp_err_set(err, WISP_ERR_USAGE, "%s: it is not UTF-8", what);
    json_object_setn_new(map, key.ptr, key.len, wisp_json_text(value));
    return 0;
}

int wisp_word_pairs(const struct wisp_arg_list *list, char separator, const char *what, json_t **ret_map,
                    struct wisp_err *err)
{
    json_t *map = json_object();
    int r = 0;
    for (size_t i = 0; i < list->count && r == 0; i++) {
        struct wisp_str rest = wisp_str_from(list->items[i]), pair;
        while (r == 0 && separator && wisp_str_split(rest, separator, &pair, &rest)) r = add_pair(map, pair, what, err);
        if (r == 0) r = add_pair(map, rest, what, err);
    }
    if (r == 0)
        *ret_map = map;
    else
        json_decref(map);
    return r;
}

json_t *wisp_word_list_json(const struct wisp_arg_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, wisp_json_text(wisp_str_from(list->items[i])));
    return array;
}

/* Nobody means what a registry calls "docker.io/library/app.wasm:latest". */
static bool can_only_be_path(const char *text)
{
    const struct wisp_str all = wisp_str_from(text), suffix = WISP_STR(".wasm");
    size_t n_first = strcspn(text, "/");
    bool names_registry = text[n_first] && (memchr(text, '.', n_first) || memchr(text, ':', n_first) ||
                                            wisp_str_is((struct wisp_str){text, n_first}, "localhost"));
    if (strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0) return true;
    return !names_registry && all.len > suffix.len && memcmp(text + all.len - suffix.len, suffix.ptr, suffix.len) == 0;
}

int wisp_word_reference(const char *text, struct wisp_arena *arena, const char **ret_reference, struct wisp_err *err)
{
    bool has_scheme = strncmp(text, "file://", 7) == 0;
    const char *path = has_scheme ? text + 7 : text;
    *ret_reference = text;
    if (path[0] == '/') {
        if (!has_scheme) *ret_reference = wisp_arena_printf(arena, "file://%s", path);
        return 0;
    }
    if (access(path, F_OK) < 0) {
        if (!has_scheme && !can_only_be_path(text)) return 0;
        return wisp_err_os(err, errno, "`%s`", text);
    }
    char *real = realpath(path, NULL);
    if (!real) return wisp_err_os(err, errno, "`%s`", path);
    *ret_reference = wisp_arena_printf(arena, "file://%s", real);
    free(real);
    return 0;
}

int wisp_word_confirm(const char *question, const char *instead, struct wisp_err *err)
{
    if (!isatty(STDIN_FILENO))
        return wisp_err_set(err, WISP_ERR_USAGE, "%s; there is no terminal to ask on: %s", question, instead);
    fprintf(stderr, "%s; are you sure? [y/N] ", question);
    char line[16] = "";
    if (fgets(line, sizeof line, stdin) && (strcasecmp(line, "y\n") == 0 || strcasecmp(line, "yes\n") == 0)) return 0;
    return wisp_err_set(err, WISP_ERR_CANCELLED, "nothing was done");
}

/* --- hosts --- */

static int compare_uptime(const void *a, const void *b)
{
    uint64_t x = wisp_json_u64(*(json_t *const *)a, "uptime_seconds", 0);
    uint64_t y = wisp_json_u64(*(json_t *const *)b, "uptime_seconds", 0);
    return x < y ? 1 : x > y ? -1 : 0;
}

static json_t *sorted_by_uptime(json_t *hosts_taken)
{
    size_t n = json_array_size(hosts_taken);
    WISP_CLEANUP_FREE json_t **each = wisp_mem_calloc(n + 1, sizeof *each);
    for (size_t i = 0; i < n; i++) each[i] = json_array_get(hosts_taken, i);
    qsort(each, n, sizeof *each, compare_uptime);
    json_t *sorted = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_is_object(each[i])) json_array_append(sorted, each[i]);
    json_decref(hosts_taken);
    return sorted;
}

int wisp_hosts_ping(struct wisp_lattice_client *client, uint64_t patience_ms, json_t **ret_hosts, struct wisp_err *err)
{
    json_t *hosts = NULL;
    struct wisp_lattice_question question = {.tail = "host.ping", .timeout_ms = patience_ms};
    int r = wisp_lattice_client_gather(client, &question, 0, &hosts, err);
    if (r < 0) return r;
    hosts = sorted_by_uptime(hosts);
    if (!json_array_size(hosts)) {
        json_decref(hosts);
        return wisp_lattice_client_refuse_empty(client, err);
    }
    *ret_hosts = hosts;
    return 0;
}

static bool host_matches(const json_t *host, const char *word)
{
    struct wisp_str id = wisp_json_str(host, "id"), name = wisp_json_str(host, "friendly_name");
    struct wisp_str want = wisp_str_from(word);
    if (want.len <= id.len && wisp_str_equal_nocase((struct wisp_str){id.ptr, want.len}, want)) return true;
    for (size_t i = 0; i + want.len <= name.len; i++)
        if (wisp_str_equal_nocase((struct wisp_str){name.ptr + i, want.len}, want)) return true;
    return false;
}

int wisp_hosts_find(struct wisp_lattice_client *client, const char *word, const char **ret_host_id,
                    struct wisp_err *err)
{
    *ret_host_id = word;
    if (wisp_word_is_host_id(word)) return 0;
    WISP_CLEANUP_JSON json_t *hosts = NULL;
    int r = wisp_hosts_ping(client, 0, &hosts, err);
    if (r < 0) return r;
    WISP_CLEANUP_BUF struct wisp_buf all = {0};
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(hosts); i++) {
        const json_t *host = json_array_get(hosts, i);
        if (!host_matches(host, word)) continue;
        struct wisp_str id = wisp_json_str(host, "id"), name = wisp_json_str(host, "friendly_name");
        wisp_buf_printf(&all, "%s%.*s (%.*s)", n++ ? ", " : "", WISP_STR_ARG(id), WISP_STR_ARG(name));
        *ret_host_id = wisp_arena_cstr(wisp_lattice_client_arena(client), id);
    }
    if (n == 1 && wisp_word_is_host_id(*ret_host_id)) return 0;
    if (n > 1)
        return wisp_err_set(err, WISP_ERR_USAGE, "`%s` may be any of %zu hosts: %.*s", word, n,
                            WISP_STR_ARG(wisp_buf_str(&all)));
    return wisp_err_set(err, WISP_ERR_NOT_FOUND,
                        "no host has an id that begins with `%s`, or a name with it; `wisp get hosts` lists all", word);
}

int wisp_hosts_inventory(struct wisp_lattice_client *client, const char *host_id, json_t **ret_inventory,
                         struct wisp_err *err)
{
    WISP_CLEANUP_LATTICE_REPLY struct wisp_lattice_reply reply = {0};
    struct wisp_lattice_question question = {.tail = "host.get", .host_id = host_id};
    int r = wisp_lattice_client_ask(client, &question, &reply, err);
    if (r < 0) return r;
    if (!json_is_object(reply.response))
        return wisp_err_set(err, WISP_ERR_INVALID, "host %s answered without an inventory", host_id);
    *ret_inventory = json_incref(reply.response);
    return 0;
}

int wisp_hosts_inventories(struct wisp_lattice_client *client, json_t **ret_inventories, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *hosts = NULL, *inventories = json_array();
    int r = wisp_hosts_ping(client, 0, &hosts, err);
    for (size_t i = 0; i < json_array_size(hosts) && r == 0; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(hosts, i), "id"));
        json_t *inventory = NULL;
        if (!id || !wisp_word_is_host_id(id)) continue;
        r = wisp_hosts_inventory(client, id, &inventory, err);
        if (r == 0) json_array_append_new(inventories, inventory);
        if (r == -WISP_ERR_NOT_FOUND) r = 0; /* it has just ended */
    }
    if (r == 0) *ret_inventories = WISP_TAKE(inventories);
    return r;
}

json_t *wisp_inventory_find(const json_t *inventory, const char *kind, const char *id)
{
    json_t *entries = json_object_get(inventory, kind);
    if (!entries && strcmp(kind, "components") == 0) entries = json_object_get(inventory, "actors");
    for (size_t i = 0; i < json_array_size(entries); i++)
        if (wisp_str_is(wisp_json_str(json_array_get(entries, i), "id"), id)) return json_array_get(entries, i);
    return NULL;
}

static int collect(struct wisp_lattice_client *client, const char *host_word, json_t **ret_inventories,
                   struct wisp_err *err)
{
    if (!host_word) return wisp_hosts_inventories(client, ret_inventories, err);
    const char *host_id;
    json_t *inventory = NULL;
    int r = wisp_hosts_find(client, host_word, &host_id, err);
    if (r == 0) r = wisp_hosts_inventory(client, host_id, &inventory, err);
    if (r == 0) json_array_append_new(*ret_inventories = json_array(), inventory);
    return r;
}

int wisp_hosts_running(struct wisp_lattice_client *client, const char *kind, const char *id, const char *host_word,
                       json_t **ret_inventories, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *all = NULL, *found = json_array();
    int r = wisp_word_check_id(id, err);
    if (r == 0) r = collect(client, host_word, &all, err);
    if (r < 0) return r;
    for (size_t i = 0; i < json_array_size(all); i++)
        if (wisp_inventory_find(json_array_get(all, i), kind, id)) json_array_append(found, json_array_get(all, i));
    if (!json_array_size(found))
        return wisp_err_set(err, WISP_ERR_NOT_FOUND, "%.*s `%s` runs on %s; `wisp get inventory` shows what runs",
                            (int)strlen(kind) - 1, kind, id, host_word ? "that host not at all" : "no host");
    *ret_inventories = WISP_TAKE(found);
    return 0;
}
