/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/program.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the file --- */

/* Mapped, so that workers share its pages and what is compiled already is never read. */
static int map_file(struct wisp_program *program, struct wisp_err *err)
{
    const char *path = program->what->path;
    WISP_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) return wisp_err_os(err, errno, "open `%s`", path);
    if (!S_ISREG(status.st_mode) || status.st_size == 0)
        return wisp_err_set(err, WISP_ERR_INVALID, "`%s` is no file or empty", path);
    if (status.st_size > WISP_COMPONENT_SIZE_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "`%s` is larger than %d MiB", path, WISP_COMPONENT_SIZE_MAX >> 20);
    void *mapping = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) return wisp_err_os(err, errno, "map `%s`", path);
    program->mapping = mapping;
    program->mapping_size = (size_t)status.st_size;
    return 0;
}

static int load(struct wisp_program *program, struct wisp_err *err)
{
    int r = map_file(program, err);
    if (r < 0) return r;
    struct wisp_str binary = {program->mapping, program->mapping_size};
    if (!wisp_str_starts_with(binary, (struct wisp_str)WISP_STR_INIT("\0asm"))) {
        r = wisp_wasm_text_to_binary(binary, &program->converted, err);
        if (r < 0) return r;
        binary = wisp_buf_str(&program->converted);
    }
    return wisp_component_new(&program->component, binary, &(struct wisp_component_options){0}, err);
}

/* --- the engine --- */

/* A pool whose slots are what this component needs, and no larger. */
static int make_engine(struct wisp_program *program, const struct wisp_program_options *options, struct wisp_err *err)
{
    const struct wisp_component *component = program->component;
    uint64_t limit = program->what->limits.memory_bytes_max;
    for (uint32_t i = 0; i < component->n_steps; i++) {
        uint64_t pages = component->modules[component->steps[i].module].memory_pages_min;
        if (limit && pages > limit >> 16)
            return wisp_err_set(err, WISP_ERR_LIMIT,
                                "the component starts with %llu KiB of memory, the limit is %llu KiB",
                                (unsigned long long)(pages << 6), (unsigned long long)(limit >> 10));
    }
    struct wisp_wasm_engine_options engine = {.instances_max = options->instances_max,
                                              .processes = options->n_workers,
                                              .memory_bytes_max = limit,
                                              .cache_dir = options->cache_dir};
    wisp_component_pool_needs(component, &engine);
    int r = wisp_wasm_engine_new(&program->engine, &engine, err);
    if (r < 0) return r;
    uint32_t fits = wisp_wasm_engine_instances_max(program->engine);
    program->instances_max = options->instances_max < fits ? options->instances_max : fits;
    return 0;
}

/* --- the entry --- */

static bool is_own(const struct wisp_type *type, const char *resource)
{
    return type->kind == WISP_TYPE_OWN && type->resource->host && strcmp(type->resource->host->name, resource) == 0;
}

static bool is_handle_func(const struct wisp_func_type *type)
{
    return type->n_params == 2 && !type->result && is_own(type->params[0].type, "incoming-request") &&
           is_own(type->params[1].type, "response-outparam");
}

static bool is_run_func(const struct wisp_func_type *type)
{
    const struct wisp_type *result = type->result;
    return type->n_params == 0 && result && result->kind == WISP_TYPE_RESULT && !result->fields[0].type &&
           !result->fields[1].type;
}

/* The type is the component's word; what we pass and get must fit to it. */
static int find_entry(struct wisp_program *program, enum wisp_program_world world, struct wisp_err *err)
{
    static const struct {
        const char *interface, *func;
        bool (*is_right)(const struct wisp_func_type *type);
    } entries[] = {
        [WISP_PROGRAM_HTTP] = {"wasi:http/incoming-handler", "handle", is_handle_func},
        [WISP_PROGRAM_COMMAND] = {"wasi:cli/run", "run", is_run_func},
    };
    const char *interface = entries[world].interface, *func = entries[world].func;
    const struct wisp_export_func *export_ = wisp_component_export(program->component, interface, func);
    program->entry = wisp_linked_export_find(program->linked, interface, func);
    if (!export_ || !program->entry)
        return wisp_err_set(err, WISP_ERR_INVALID, "the component does not export %s", interface);
    if (!entries[world].is_right(export_->type))
        return wisp_err_set(err, WISP_ERR_INVALID, "the component's %s has a `%s` of another type", interface, func);
    return 0;
}

/* --- what instances may see --- */

static int open_preopens(struct wisp_program *program, struct wisp_err *err)
{
    const struct wisp_worker_component *what = program->what;
    struct wisp_wasi_preopen *preopens = WISP_NEW_ARRAY(&program->arena, struct wisp_wasi_preopen, what->n_preopens);
    program->config.preopens = preopens;
    for (size_t i = 0; i < what->n_preopens; i++) {
        int fd = open(what->preopens[i].host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return wisp_err_os(err, errno, "open directory `%s`", what->preopens[i].host_path);
        preopens[i] = (struct wisp_wasi_preopen){
            .fd = fd,
            .guest_path = wisp_str_from(what->preopens[i].guest_path),
            .read_only = what->preopens[i].read_only,
        };
        program->config.n_preopens++;
    }
    return 0;
}

static int make_config(struct wisp_program *program, struct wisp_err *err)
{
    const struct wisp_worker_component *what = program->what;
    struct wisp_str *args = WISP_NEW_ARRAY(&program->arena, struct wisp_str, what->n_args + 1);
    args[0] = wisp_str_from(what->name);
    for (size_t i = 0; i < what->n_args; i++) args[i + 1] = wisp_str_from(what->args[i]);
    struct wisp_wasi_env *env = WISP_NEW_ARRAY(&program->arena, struct wisp_wasi_env, what->n_env);
    for (size_t i = 0; i < what->n_env; i++)
        env[i] = (struct wisp_wasi_env){wisp_str_from(what->env[i].name), wisp_str_from(what->env[i].value)};
    program->config = (struct wisp_wasi_config){
        .args = args,
        .n_args = what->n_args + 1,
        .env = env,
        .n_env = what->n_env,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
    };
    int r = open_preopens(program, err);
    return r < 0 ? r : wisp_wasi_config_check(&program->config, err);
}

/* --- all of it --- */

int wisp_program_init(struct wisp_program *program, const struct wisp_worker_component *what,
                      const struct wisp_program_options *options, struct wisp_err *err)
{
    *program = (struct wisp_program){.what = what};
    int r = wisp_host_new(&program->host, wisp_wasi_interfaces, wisp_wasi_n_interfaces, err);
    if (r == 0) r = make_config(program, err);
    if (r < 0) return r;
    r = load(program, err);
    if (r == 0) r = make_engine(program, options, err);
    if (r == 0) r = wisp_linked_new(&program->linked, program->engine, program->component, program->host, err);
    if (r == 0) r = find_entry(program, options->world, err);
    return r < 0 ? wisp_err_wrap(err, "component `%s`", what->name) : 0;
}

void wisp_program_deinit(struct wisp_program *program)
{
    wisp_linked_free(program->linked);
    wisp_wasm_engine_free(program->engine);
    wisp_component_free(program->component);
    wisp_host_free(program->host);
    wisp_buf_deinit(&program->converted);
    if (program->mapping) munmap(program->mapping, program->mapping_size);
    for (size_t i = 0; i < program->config.n_preopens; i++) close(program->config.preopens[i].fd);
    wisp_arena_deinit(&program->arena);
    *program = (struct wisp_program){0};
}
