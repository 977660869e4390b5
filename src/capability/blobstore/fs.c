/* SPDX-License-Identifier: Apache-2.0 */
/* The kind blobstore-fs: a directory of this host for each link. */
#include "capability/blobstore/fs_priv.h"
#include "capability/kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- jobs --- */

void wisp_blobstore_fs_unref(struct wisp_blobstore_fs *fs)
{
    if (--fs->n_refs) return;
    if (fs->root >= 0) close(fs->root);
    if (fs->uploads >= 0) close(fs->uploads);
    free(fs);
}

static void run_job(uv_work_t *work)
{
    struct wisp_blobstore_fs_job *job = WISP_OWNER(work, struct wisp_blobstore_fs_job, work);
    job->run(job);
}

static void end_job(uv_work_t *work, int status)
{
    struct wisp_blobstore_fs_job *job = WISP_OWNER(work, struct wisp_blobstore_fs_job, work);
    struct wisp_blobstore_fs *fs = job->fs;
    (void)status;
    job->end(job);
    wisp_blobstore_fs_unref(fs);
}

void wisp_blobstore_fs_start(struct wisp_blobstore_fs_job *job, struct wisp_blobstore_fs *fs)
{
    job->fs = fs;
    job->r = 0;
    job->err = (struct wisp_err){0};
    fs->n_refs++;
    if (uv_queue_work(fs->loop, &job->work, run_job, end_job) < 0) wisp_mem_out(0);
}

/* --- operations without streams --- */

struct op_job {
    struct wisp_blobstore_fs_job base;
    struct wisp_blobstore_op *op;
    wisp_blobstore_fs_op *fn;
};

static void run_op(struct wisp_blobstore_fs_job *base)
{
    struct op_job *job = (struct op_job *)base;
    base->r = job->fn(base->fs, job->op, &base->err);
}

static void end_op(struct wisp_blobstore_fs_job *base)
{
    struct op_job *job = (struct op_job *)base;
    wisp_blobstore_done(job->op, base->r < 0 ? &base->err : NULL);
    free(job);
}

static void start_op(struct wisp_blobstore_op *op, wisp_blobstore_fs_op *fn)
{
    struct op_job *job = wisp_mem_calloc(1, sizeof *job);
    *job = (struct op_job){{.run = run_op, .end = end_op}, op, fn};
    wisp_blobstore_fs_start(&job->base, (struct wisp_blobstore_fs *)op->store);
}

#define RUN(name, function)                                                                                            \
    static void name(struct wisp_blobstore_op *op) { start_op(op, function); }
RUN(run_clear, wisp_blobstore_fs_clear)
RUN(run_container_exists, wisp_blobstore_fs_container_exists)
RUN(run_create, wisp_blobstore_fs_create)
RUN(run_delete_container, wisp_blobstore_fs_delete_container)
RUN(run_container_info, wisp_blobstore_fs_container_info)
RUN(run_copy, wisp_blobstore_fs_copy)
RUN(run_delete_object, wisp_blobstore_fs_delete_object)
RUN(run_delete_objects, wisp_blobstore_fs_delete_objects)
RUN(run_object_info, wisp_blobstore_fs_object_info)
RUN(run_has_object, wisp_blobstore_fs_has_object)
RUN(run_move, wisp_blobstore_fs_move)

static const struct wisp_blobstore_ops ops = {{
    [WISP_BLOBSTORE_CLEAR_CONTAINER] = run_clear,
    [WISP_BLOBSTORE_CONTAINER_EXISTS] = run_container_exists,
    [WISP_BLOBSTORE_CREATE_CONTAINER] = run_create,
    [WISP_BLOBSTORE_DELETE_CONTAINER] = run_delete_container,
    [WISP_BLOBSTORE_GET_CONTAINER_INFO] = run_container_info,
    [WISP_BLOBSTORE_LIST_CONTAINER_OBJECTS] = wisp_blobstore_fs_run_list,
    [WISP_BLOBSTORE_COPY_OBJECT] = run_copy,
    [WISP_BLOBSTORE_DELETE_OBJECT] = run_delete_object,
    [WISP_BLOBSTORE_DELETE_OBJECTS] = run_delete_objects,
    [WISP_BLOBSTORE_GET_CONTAINER_DATA] = wisp_blobstore_fs_run_get,
    [WISP_BLOBSTORE_GET_OBJECT_INFO] = run_object_info,
    [WISP_BLOBSTORE_HAS_OBJECT] = run_has_object,
    [WISP_BLOBSTORE_MOVE_OBJECT] = run_move,
    [WISP_BLOBSTORE_WRITE_CONTAINER_DATA] = wisp_blobstore_fs_run_write,
}};

/* --- links --- */

/* A source id as the name of a file. */
static void append_escaped(struct wisp_buf *path, struct wisp_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                        c == '_' || (c == '.' && i > 0);
        if (is_plain)
            wisp_buf_append_char(path, c);
        else
            wisp_buf_printf(path, "%%%02x", (unsigned char)c);
    }
}

static int choose_root(const struct wisp_provider *provider, const struct wisp_provider_link *link,
                       struct wisp_buf *ret_path, struct wisp_err *err)
{
    struct wisp_str root = wisp_settings_get(&link->settings, "root");
    if (root.len) {
        if (root.ptr[0] != '/' || memchr(root.ptr, '\0', root.len))
            return wisp_err_set(err, WISP_ERR_INVALID, "`root` must be an absolute path");
        wisp_buf_append_str(ret_path, root);
    } else {
        if (!provider->data_path)
            return wisp_err_set(err, WISP_ERR_INVALID, "`root` is needed: there is no directory for data");
        wisp_buf_printf(ret_path, "%s/", provider->data_path);
        append_escaped(ret_path, link->source_id);
    }
    wisp_buf_append_char(ret_path, '\0');
    return 0;
}

static int make_directories(char *path, mode_t mode)
{
    for (char *at = path + 1;; at++) {
        char c = *at;
        if (c && c != '/') continue;
        *at = '\0';
        int r = mkdir(path, mode);
        *at = c;
        if (r < 0 && errno != EEXIST) return -1;
        if (!c) return 0;
    }
}

static int open_directories(struct wisp_blobstore_fs *fs, char *path, mode_t mode, struct wisp_err *err)
{
    if (make_directories(path, mode) < 0) return wisp_err_os(err, errno, "directory `%s`", path);
    fs->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fs->root < 0) return wisp_err_os(err, errno, "directory `%s`", path);
    if (mkdirat(fs->root, WISP_BLOBSTORE_FS_UPLOADS, 0700) < 0 && errno != EEXIST)
        return wisp_err_os(err, errno, "directory `%s/" WISP_BLOBSTORE_FS_UPLOADS "`", path);
    fs->uploads = openat(fs->root, WISP_BLOBSTORE_FS_UPLOADS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fs->uploads < 0) return wisp_err_os(err, errno, "directory `%s/" WISP_BLOBSTORE_FS_UPLOADS "`", path);
    return 0;
}

static void run_sweep(struct wisp_blobstore_fs_job *job) { wisp_blobstore_fs_sweep(job->fs); }
static void end_sweep(struct wisp_blobstore_fs_job *job) { free(job); }

static int put_link(struct wisp_provider *provider, struct wisp_provider_link *link, struct wisp_err *err)
{
    WISP_CLEANUP_BUF struct wisp_buf path = {0};
    int r = choose_root(provider, link, &path, err);
    if (r < 0) return r;
    struct wisp_blobstore_fs *fs = wisp_mem_calloc(1, sizeof *fs);
    *fs = (struct wisp_blobstore_fs){.loop = provider->loop, .n_refs = 1, .root = -1, .uploads = -1};
    wisp_blobstore_store_init(&fs->base, &ops);
    r = open_directories(fs, path.data, wisp_settings_get(&link->settings, "root").len ? 0777 : 0700, err);
    if (r < 0) {
        wisp_blobstore_fs_unref(fs);
        return r;
    }
    link->state = fs;
    if (!provider->is_first) return 0;
    struct wisp_blobstore_fs_job *sweep = wisp_mem_calloc(1, sizeof *sweep);
    sweep->run = run_sweep;
    sweep->end = end_sweep;
    wisp_blobstore_fs_start(sweep, fs);
    return 0;
}

static void del_link(struct wisp_provider *provider, struct wisp_provider_link *link)
{
    struct wisp_blobstore_fs *fs = link->state;
    (void)provider;
    wisp_blobstore_store_abort(&fs->base, "the link is gone");
    wisp_blobstore_fs_unref(fs);
}

const struct wisp_provider_kind wisp_blobstore_fs = {
    .name = "blobstore-fs",
    .about = "files: containers are directories below `root`, objects are files in them",
    .exports = wisp_blobstore_exports,
    .n_exports = WISP_BLOBSTORE_EXPORT_COUNT,
    .put_link = put_link,
    .del_link = del_link,
};
