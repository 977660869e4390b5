/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/nats_priv.h"

#include "nkeys/nkeys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void wisp_objects_none(struct wisp_str name, struct wisp_err *err)
{
    wisp_err_set(err, WISP_ERR_NOT_FOUND, "object `%.*s` does not exist", WISP_STR_ARG(name));
}

void wisp_objects_info_deinit(struct wisp_objects_info *info)
{
    free(WISP_TAKE(info->link_bucket));
    free(WISP_TAKE(info->link_name));
}

/* --- reading --- */

struct wisp_objects_find {
    struct wisp_objects *objects;
    struct wisp_objects_ask *ask;
    char *bucket, *name;
    size_t name_len;
    unsigned n_followed;
    bool is_followed;
    wisp_objects_on_info *on_info;
    void *env;
};

const char *wisp_objects_find_bucket(const struct wisp_objects_find *find) { return find->bucket; }

void wisp_objects_find_cancel(struct wisp_objects_find *find)
{
    if (!find) return;
    wisp_objects_cancel(find->ask);
    free(find->bucket);
    free(find->name);
    free(find);
}

static void end(struct wisp_objects_find *find, struct wisp_objects_info *info, const struct wisp_err *err)
{
    find->on_info(info, err, find->env);
    if (info) wisp_objects_info_deinit(info);
    wisp_objects_find_cancel(find);
}

uint64_t wisp_objects_time(struct wisp_str text)
{
    char copy[32];
    struct tm tm = {0};
    snprintf(copy, sizeof copy, "%.*s", WISP_STR_ARG(text));
    time_t time = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) : 0;
    return time > 0 ? (uint64_t)time : 0;
}

static void copy_text(const json_t *object, const char *key, char *out, size_t size)
{
    struct wisp_str text = wisp_json_str(object, key);
    /* What is too long, or would be other subjects than one object's, is nobody's. */
    bool is_fine = text.len < size;
    for (size_t i = 0; is_fine && i < text.len; i++) is_fine = text.ptr[i] > ' ' && !strchr("*>.", text.ptr[i]);
    snprintf(out, size, "%.*s", is_fine ? (int)text.len : 0, text.ptr ? text.ptr : "");
}

int wisp_objects_info_read(struct wisp_str text, struct wisp_objects_info *info, struct wisp_err *err)
{
    WISP_CLEANUP_JSON json_t *value = NULL;
    int r = wisp_json_parse(text, &value, err);
    if (r < 0) return wisp_err_wrap(err, "what the bucket knows of the object");
    const json_t *options = json_object_get(value, "options"), *link = json_object_get(options, "link");
    info->exists = !wisp_json_bool(value, "deleted", false);
    info->size = wisp_json_u64(value, "size", 0);
    info->chunk_size = wisp_json_u64(options, "max_chunk_size", WISP_OBJECTS_CHUNK);
    copy_text(value, "nuid", info->nuid, sizeof info->nuid);
    copy_text(value, "digest", info->digest, sizeof info->digest);
    if (json_is_object(link)) info->link_bucket = wisp_mem_dup(wisp_json_str(link, "bucket"));
    if (wisp_json_str(link, "name").len) info->link_name = wisp_mem_dup(wisp_json_str(link, "name"));
    if (info->exists && !json_is_object(link) && !*info->nuid && info->size)
        return wisp_err_set(err, WISP_ERR_INVALID, "what the bucket knows of the object names no data");
    return 0;
}

static int read_answer(const json_t *answer, struct wisp_objects_info *info, struct wisp_err *err)
{
    const json_t *stored = json_object_get(answer, "message");
    WISP_CLEANUP_BUF struct wisp_buf text = {0};
    info->sequence = wisp_json_u64(stored, "seq", 0);
    info->created_at = wisp_objects_time(wisp_json_str(stored, "time"));
    int r = wisp_base64_decode(wisp_json_str(stored, "data"), &text, err);
    if (r < 0) return wisp_err_wrap(err, "what the bucket knows of the object");
    return wisp_objects_info_read(wisp_buf_str(&text), info, err);
}

static void look(struct wisp_objects_find *find);

/* The one that it stands for. */
static int follow(struct wisp_objects_find *find, const struct wisp_objects_info *info, struct wisp_err *err)
{
    if (!info->link_name) return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is a link to a bucket", find->name);
    if (++find->n_followed > WISP_OBJECTS_LINKS_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "`%s` leads through too many links", find->name);
    int r = wisp_objects_check_id(
        (struct wisp_blobstore_id){wisp_str_from(info->link_bucket), wisp_str_from(info->link_name)}, err);
    if (r < 0) return r;
    free(find->bucket);
    free(find->name);
    find->bucket = wisp_mem_dup(wisp_str_from(info->link_bucket));
    find->name = wisp_mem_dup(wisp_str_from(info->link_name));
    find->name_len = strlen(find->name);
    look(find);
    return 0;
}

static void on_answer(const json_t *answer, const struct wisp_err *failure, void *env)
{
    struct wisp_objects_find *find = env;
    struct wisp_objects_info info = {0};
    struct wisp_err err = {0};
    find->ask = NULL;
    if (failure) err = *failure;
    int r = failure ? -(int)failure->kind : read_answer(answer, &info, &err);
    if (r == -WISP_ERR_NOT_FOUND && strstr(err.text, "(10059)")) {
        wisp_err_set(&err, WISP_ERR_NOT_FOUND, "container `%s` does not exist", find->bucket);
        end(find, NULL, &err);
    } else if (r < 0 && r != -WISP_ERR_NOT_FOUND) {
        wisp_objects_info_deinit(&info);
        end(find, NULL, &err);
    } else if (r < 0 || !info.exists || !info.link_bucket || !find->is_followed) {
        end(find, &info, NULL);
    } else {
        r = follow(find, &info, &err);
        wisp_objects_info_deinit(&info);
        if (r < 0) end(find, NULL, &err);
    }
}

static void append_subject(const char *bucket, struct wisp_str name, struct wisp_buf *out)
{
    wisp_buf_printf(out, "$O.%s.M.", bucket);
    size_t before = out->len;
    wisp_base64url_encode(name, out);
    while ((out->len - before) % 4) wisp_buf_append_char(out, '=');
}

static void look(struct wisp_objects_find *find)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0}, payload = {0};
    append_subject(find->bucket, (struct wisp_str){find->name, find->name_len}, &subject);
    wisp_state_js_get_last(wisp_buf_str(&subject), &payload);
    struct wisp_objects_request request = {
        .sort = WISP_OBJECTS_READS, .payload = wisp_buf_str(&payload), .on_answer = on_answer, .env = find};
    find->ask = wisp_objects_ask_api(find->objects, "STREAM.MSG.GET", find->bucket, &request);
}

struct wisp_objects_find *wisp_objects_find(struct wisp_objects *objects, struct wisp_str bucket, struct wisp_str name,
                                            bool is_followed, wisp_objects_on_info *on_info, void *env)
{
    struct wisp_objects_find *find = wisp_mem_calloc(1, sizeof *find);
    *find = (struct wisp_objects_find){.objects = objects, .is_followed = is_followed, .on_info = on_info, .env = env};
    find->bucket = wisp_mem_dup(bucket);
    find->name = wisp_mem_dup(name);
    find->name_len = name.len;
    look(find);
    return find;
}

/* --- writing --- */

json_t *wisp_objects_new_info(const char *bucket, struct wisp_str name, const char *nuid)
{
    char now[32];
    struct tm tm;
    time_t time_now = time(NULL);
    gmtime_r(&time_now, &tm);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_pack("{s:o, s:s, s:s, s:s}", "name", wisp_json_text(name), "bucket", bucket, "nuid", nuid, "mtime",
                     now);
}

struct wisp_objects_ask *wisp_objects_tell(struct wisp_objects *objects, const char *bucket, struct wisp_str name,
                                           const json_t *info, uint64_t sequence, wisp_objects_on_answer *on_answer_fn,
                                           void *env)
{
    WISP_CLEANUP_BUF struct wisp_buf subject = {0}, payload = {0};
    char expected[24];
    snprintf(expected, sizeof expected, "%" PRIu64, sequence);
    const struct wisp_bus_header headers[] = {
        {WISP_STR("Nats-Rollup"), WISP_STR("sub")},
        {WISP_STR("Nats-Expected-Last-Subject-Sequence"), wisp_str_from(expected)},
    };
    append_subject(bucket, name, &subject);
    wisp_json_print(info, &payload);
    struct wisp_objects_request request = {.sort = WISP_OBJECTS_WRITES,
                                           .subject = wisp_buf_str(&subject),
                                           .payload = wisp_buf_str(&payload),
                                           .headers = headers,
                                           .n_headers = WISP_COUNT(headers),
                                           .on_answer = on_answer_fn,
                                           .env = env};
    return wisp_objects_ask(objects, &request);
}
