/* SPDX-License-Identifier: Apache-2.0 */
#include "capability/blobstore/blobstore_rig.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct tree {
    char path[64];
    struct rig rig;
};

static char *at(struct tree *tree, const char *path)
{
    static char text[256];
    snprintf(text, sizeof text, "%s/%s", tree->path, path);
    return text;
}

static void tree_open(struct tree *tree)
{
    char config[128];
    strcpy(tree->path, "/tmp/wisp-blobs-XXXXXX");
    CHECK(mkdtemp(tree->path));
    rig_open(&tree->rig, &wisp_blobstore_fs, NULL);
    snprintf(config, sizeof config, "{\"ROOT\": \"%s/a/root\"}", tree->path);
    rig_link(&tree->rig, "app", config, 0);
}

static void remove_tree(const char *path)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    CHECK_INT(system(command), 0);
}

static void tree_close(struct tree *tree)
{
    rig_close(&tree->rig);
    remove_tree(tree->path);
}

#define ON_TREE(name, call)                                                                                            \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        struct tree tree;                                                                                              \
        tree_open(&tree);                                                                                              \
        call;                                                                                                          \
        tree_close(&tree);                                                                                             \
    }
ON_TREE(containers, suite_containers(&tree.rig))
ON_TREE(objects, suite_objects(&tree.rig))
ON_TREE(copies, suite_copies(&tree.rig))
ON_TREE(lists, suite_lists(&tree.rig))
ON_TREE(uploads_that_are_broken_off, suite_broken(&tree.rig, 1 << 20))
ON_TREE(links_that_go, suite_link_gone(&tree.rig, 8 << 20))

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

TEST(a_large_object_in_little_memory)
{
    struct tree tree;
    tree_open(&tree);
    suite_large(&tree.rig, 1 << 20);
    long before = peak_kib();
    suite_large(&tree.rig, 100 << 20);
    CHECK(peak_kib() - before < 32 * 1024);
    tree_close(&tree);
}

static int n_files(const char *path)
{
    char command[128];
    int n = -1;
    snprintf(command, sizeof command, "find '%s' -type f | wc -l", path);
    FILE *file = popen(command, "r");
    CHECK(file && fscanf(file, "%d", &n) == 1);
    pclose(file);
    return n;
}

TEST(nothing_is_left_of_what_was_broken_off)
{
    struct tree tree;
    tree_open(&tree);
    suite_broken(&tree.rig, 1 << 20);
    suite_link_gone(&tree.rig, 1 << 20);
    rig_close(&tree.rig);
    CHECK_INT(n_files(tree.path), 2); /* broken/it, gone/old */
    remove_tree(tree.path);
}

TEST(times_are_in_seconds)
{
    struct tree tree;
    union rig_result result;
    tree_open(&tree);
    uint64_t now = (uint64_t)time(NULL);
    struct wisp_blobstore_name_args one = {WISP_STR("one")};
    CHECK_TEXT(container_do(&tree.rig, WISP_BLOBSTORE_CREATE_CONTAINER, "one"), "");
    CHECK_TEXT(rig_call(&tree.rig, "app", WISP_BLOBSTORE_GET_CONTAINER_INFO, &one, &result), "");
    uint64_t at_ = result.container.created_at;
    CHECK(at_ == 0 || (at_ >= now - 1 && at_ <= now + 60)); /* 0: the file system doesn't keep it */
    tree_close(&tree);
}

/* --- escapes --- */

static const char *const bad_objects[] = {"",   ".",   "..",    "../x", "a/../../x", "/etc/passwd", "a//b",
                                          "a/", "./a", "a/./b", "a/..", "..\\x/..",  NULL};

TEST(names_that_lead_out)
{
    struct tree tree;
    union rig_result result;
    tree_open(&tree);
    CHECK_TEXT(container_do(&tree.rig, WISP_BLOBSTORE_CREATE_CONTAINER, "in"), "");
    for (const char *const *name = bad_objects; *name; name++) {
        CHECK(*write_text(&tree.rig, "in", *name, "x"));
        CHECK(*get_text(&tree.rig, "in", *name));
        CHECK(*ids_do(&tree.rig, WISP_BLOBSTORE_COPY_OBJECT, id_of("in", "a"), id_of("in", *name)));
        CHECK(*ids_do(&tree.rig, WISP_BLOBSTORE_MOVE_OBJECT, id_of("in", *name), id_of("in", "a")));
        CHECK(*object_do(&tree.rig, WISP_BLOBSTORE_DELETE_OBJECT, "in", *name, &result));
    }
    const char *const containers[] = {"", ".", "..", "../a", "in/..", "/tmp", "in/", "a/b", ".wisp-uploads"};
    for (size_t i = 0; i < WISP_COUNT(containers); i++) {
        CHECK(*container_do(&tree.rig, WISP_BLOBSTORE_CREATE_CONTAINER, containers[i]));
        CHECK(*container_do(&tree.rig, WISP_BLOBSTORE_DELETE_CONTAINER, containers[i]));
        CHECK(*write_text(&tree.rig, containers[i], "x", "x"));
    }
    CHECK_INT(n_files(tree.path), 0);
    tree_close(&tree);
}

TEST(links_that_lead_out)
{
    struct tree tree;
    tree_open(&tree);
    CHECK_TEXT(container_do(&tree.rig, WISP_BLOBSTORE_CREATE_CONTAINER, "in"), "");
    CHECK_TEXT(container_do(&tree.rig, WISP_BLOBSTORE_CREATE_CONTAINER, "other"), "");
    CHECK_TEXT(write_text(&tree.rig, "other", "x", "theirs"), "");
    CHECK_TEXT(write_text(&tree.rig, "in", "own", "mine"), "");
    FILE *secret = fopen(at(&tree, "secret"), "w");
    CHECK(secret && fputs("secret", secret) >= 0 && fclose(secret) == 0);
    CHECK_INT(symlink("../../../secret", at(&tree, "a/root/in/up")), 0);
    CHECK_INT(symlink("/etc/passwd", at(&tree, "a/root/in/absolute")), 0);
    CHECK_INT(symlink("../other", at(&tree, "a/root/in/sideways")), 0);
    CHECK_INT(symlink("../..", at(&tree, "a/root/out")), 0);
    CHECK_INT(symlink("own", at(&tree, "a/root/in/alias")), 0);
    CHECK_HAS(get_text(&tree.rig, "in", "up"), "leads out of container `in`");
    CHECK_HAS(get_text(&tree.rig, "in", "absolute"), "leads out");
    CHECK_HAS(get_text(&tree.rig, "in", "sideways/x"), "leads out");
    CHECK_HAS(write_text(&tree.rig, "in", "sideways/y", "x"), "leads out");
    CHECK_HAS(get_text(&tree.rig, "out", "secret"), "leads out of the store");
    CHECK_HAS(write_text(&tree.rig, "out", "secret", "x"), "leads out of the store");
    CHECK_TEXT(get_text(&tree.rig, "in", "alias"), "mine");
    CHECK_TEXT(write_text(&tree.rig, "in", "up", "replaced"), ""); /* the link, not what it leads to */
    CHECK_TEXT(get_text(&tree.rig, "in", "up"), "replaced");
    CHECK_TEXT(container_do(&tree.rig, WISP_BLOBSTORE_CLEAR_CONTAINER, "in"), "");
    CHECK_TEXT(get_text(&tree.rig, "other", "x"), "theirs");
    CHECK_INT(access(at(&tree, "secret"), R_OK), 0);
    tree_close(&tree);
}

TEST(what_is_no_regular_file_is_no_object)
{
    struct tree tree;
    tree_open(&tree);
    CHECK_TEXT(container_do(&tree.rig, WISP_BLOBSTORE_CREATE_CONTAINER, "in"), "");
    CHECK_INT(mkfifo(at(&tree, "a/root/in/pipe"), 0600), 0);
    CHECK(!exists(&tree.rig, "in", "pipe"));
    CHECK_HAS(get_text(&tree.rig, "in", "pipe"), "does not exist");
    CHECK_TEXT(list(&tree.rig, "in", -1, -1), "");
    tree_close(&tree);
}

/* --- settings --- */

TEST(data_is_kept_for_each_source)
{
    char path[] = "/tmp/wisp-blobs-XXXXXX";
    struct rig rig;
    CHECK(mkdtemp(path));
    for (int round = 0; round < 2; round++) {
        rig_open(&rig, &wisp_blobstore_fs, path);
        rig_link(&rig, "app", "{}", 0);
        rig_link(&rig, "../app", "{}", 0);
        if (round == 0) CHECK_TEXT(container_do(&rig, WISP_BLOBSTORE_CREATE_CONTAINER, "c"), "");
        if (round == 0) CHECK_TEXT(write_text(&rig, "c", "x", "kept"), "");
        CHECK_TEXT(get_text(&rig, "c", "x"), "kept");
        union rig_result result;
        struct wisp_blobstore_name_args args = {WISP_STR("c")};
        CHECK_TEXT(rig_call(&rig, "../app", WISP_BLOBSTORE_CONTAINER_EXISTS, &args, &result), "");
        CHECK(!result.boolean.ok);
        rig_close(&rig);
    }
    char inside[128];
    snprintf(inside, sizeof inside, "%s/%%2e.%%2fapp", path);
    CHECK_INT(access(inside, F_OK), 0);
    remove_tree(path);
}

TEST(settings_that_can_not_be)
{
    struct rig rig;
    rig_open(&rig, &wisp_blobstore_fs, NULL);
    rig_link(&rig, "app", "{\"root\": \"relative\"}", -WISP_ERR_INVALID);
    CHECK_HAS(rig.err.text, "`root` must be an absolute path");
    rig_link(&rig, "app", "{}", -WISP_ERR_INVALID);
    CHECK_HAS(rig.err.text, "`root` is needed");
    rig_link(&rig, "app", "{\"root\": \"/dev/null/x\"}", -WISP_ERR_NOT_FOUND);
    CHECK_HAS(rig.err.text, "/dev/null/x");
    rig_close(&rig);
}

/* --- as older hosts call it: 0.1.0, without statuses --- */

static void start_old(struct rig *rig, struct rig_call *call, enum wisp_blobstore_func func, void *args,
                      struct wisp_provider_call **ret_call)
{
    struct wisp_provider_caller caller = {WISP_STR("app"), WISP_STR("default"), WISP_STR("")};
    *call = (struct rig_call){.rig = rig};
    call->export_ = wisp_provider_find(rig->provider, WISP_STR("wrpc:blobstore/blobstore@0.1.0"),
                                       wisp_str_from(wisp_blobstore_interface.funcs[func].name));
    CHECK(call->export_);
    *ret_call = wisp_provider_call_start(rig->provider, call->export_, &caller, args, rig_on_return, call);
}

static const char *old_call(struct rig *rig, enum wisp_blobstore_func func, void *args, union rig_result *ret_result)
{
    static struct rig_call call;
    struct wisp_provider_call *started;
    start_old(rig, &call, func, args, &started);
    while (!call.is_done) uv_run(&rig->loop, UV_RUN_ONCE);
    *ret_result = call.result;
    return call.error;
}

static const char *read_old(struct rig *rig, struct wisp_wrpc_reader *data)
{
    static struct wisp_buf buf;
    struct wisp_str bytes;
    enum wisp_wrpc_reading reading;
    buf.len = 0;
    while ((reading = wisp_wrpc_reader_peek(data, &bytes, &rig->err)) <= WISP_WRPC_READING_ITEM) {
        if (reading == WISP_WRPC_READING_WAIT) {
            uv_run(&rig->loop, UV_RUN_ONCE);
            continue;
        }
        wisp_buf_append_str(&buf, bytes);
        wisp_wrpc_reader_consume(data, bytes.len);
    }
    wisp_wrpc_reader_close(data);
    wisp_buf_append_char(&buf, '\0');
    return reading == WISP_WRPC_READING_END ? buf.data : "broken off";
}

TEST(version_0_1_0)
{
    struct tree tree;
    union rig_result result;
    struct rig_call call;
    struct wisp_provider_call *started;
    tree_open(&tree);
    struct rig *rig = &tree.rig;
    struct wisp_blobstore_name_args name = {WISP_STR("c")};
    CHECK_TEXT(old_call(rig, WISP_BLOBSTORE_CREATE_CONTAINER, &name, &result), "");
    CHECK_TEXT(old_call(rig, WISP_BLOBSTORE_CONTAINER_EXISTS, &name, &result), "");
    CHECK(result.boolean.ok);
    /* Writing is answered when the object is there. */
    struct wisp_wrpc_writer *writer = wisp_wrpc_writer_new(data_type(rig));
    struct wisp_blobstore_write_args write = {id_of("c", "b"), writer};
    start_old(rig, &call, WISP_BLOBSTORE_WRITE_CONTAINER_DATA, &write, &started);
    CHECK(write_some(rig, writer, 0, 300 * 1024));
    CHECK(!call.is_done);
    wisp_wrpc_writer_end(writer);
    while (!call.is_done) uv_run(&rig->loop, UV_RUN_ONCE);
    CHECK_TEXT(call.error, "");
    CHECK_INT(get_sized(rig, "c", "b", ""), 300 * 1024);
    CHECK_TEXT(write_text(rig, "c", "b", "text"), "");
    struct wisp_blobstore_data_args get = {id_of("c", "b"), 1, 3};
    CHECK_TEXT(old_call(rig, WISP_BLOBSTORE_GET_CONTAINER_DATA, &get, &result), "");
    CHECK_TEXT(read_old(rig, result.write.status), "ex");
    struct wisp_blobstore_id_args id = {id_of("c", "b")};
    CHECK_TEXT(old_call(rig, WISP_BLOBSTORE_GET_OBJECT_INFO, &id, &result), "");
    CHECK_INT(result.object.ok.size, 4);
    struct wisp_blobstore_list_args list_args = {WISP_STR("c"), {0}, {0}};
    WISP_CLEANUP_ARENA struct wisp_arena arena = {0};
    struct wisp_str first;
    enum wisp_wrpc_reading reading;
    CHECK_TEXT(old_call(rig, WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS, &list_args, &result), "");
    while ((reading = wisp_wrpc_reader_next(result.write.status, &arena, &first, &rig->err)) == WISP_WRPC_READING_WAIT)
        uv_run(&rig->loop, UV_RUN_ONCE);
    CHECK_INT(reading, WISP_WRPC_READING_ITEM);
    CHECK_STR(first, "b");
    wisp_wrpc_reader_close(result.write.status);
    /* What is broken off, by its writer or since nobody waits, leaves what was there. */
    write.data = writer = wisp_wrpc_writer_new(data_type(rig));
    start_old(rig, &call, WISP_BLOBSTORE_WRITE_CONTAINER_DATA, &write, &started);
    CHECK(write_some(rig, writer, 0, 300 * 1024));
    wisp_wrpc_writer_abort(writer);
    while (!call.is_done) uv_run(&rig->loop, UV_RUN_ONCE);
    CHECK(*call.error);
    write.data = writer = wisp_wrpc_writer_new(data_type(rig));
    start_old(rig, &call, WISP_BLOBSTORE_WRITE_CONTAINER_DATA, &write, &started);
    CHECK(write_some(rig, writer, 0, 300 * 1024));
    wisp_provider_call_cancel(started);
    while (write_some(rig, writer, 0, 300 * 1024)) {
    }
    wisp_wrpc_writer_abort(writer);
    CHECK_TEXT(get_text(rig, "c", "b"), "text");
    struct wisp_blobstore_id_args none = {id_of("c", "none")};
    CHECK_HAS(old_call(rig, WISP_BLOBSTORE_GET_OBJECT_INFO, &none, &result), "does not exist");
    tree_close(&tree);
}
