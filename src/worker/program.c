/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/program.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the file --- */

/* Mapped, so that workers share its pages and what is compiled already is never read. */
static int map_file(struct wisp_program *program, const char *path, struct wisp_err *err)
{
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

int wisp_program_load(struct wisp_program *program, const char *path, struct wisp_err *err)
{
    *program = (struct wisp_program){0};
    int r = map_file(program, path, err);
    if (r < 0) return r;
    struct wisp_str binary = {program->mapping, program->mapping_size};
    if (!wisp_str_starts_with(binary, (struct wisp_str)WISP_STR_INIT("\0asm"))) {
        r = wisp_wasm_text_to_binary(binary, &program->converted, err);
        if (r < 0) return r;
        binary = wisp_buf_str(&program->converted);
    }
    return wisp_component_new(&program->component, binary, &(struct wisp_component_options){0}, err);
}

/* --- linking --- */

int wisp_program_check_memory(const struct wisp_program *program, uint64_t memory_bytes_max, struct wisp_err *err)
{
    const struct wisp_component *component = program->component;
    for (uint32_t i = 0; memory_bytes_max && i < component->n_steps; i++) {
        uint64_t pages = component->modules[component->steps[i].module].memory_pages_min;
        if (pages > memory_bytes_max >> 16)
            return wisp_err_set(err, WISP_ERR_LIMIT,
                                "the component starts with %llu KiB of memory, the limit is %llu KiB",
                                (unsigned long long)(pages << 6), (unsigned long long)(memory_bytes_max >> 10));
    }
    return 0;
}

int wisp_program_link(struct wisp_program *program, const struct wisp_runtime *runtime, struct wisp_err *err)
{
    int r = wisp_runtime_check(runtime, program->component, err);
    return r < 0 ? r : wisp_linked_new(&program->linked, runtime->engine, program->component, runtime->host, err);
}

void wisp_program_deinit(struct wisp_program *program)
{
    wisp_linked_free(program->linked);
    wisp_component_free(program->component);
    wisp_buf_deinit(&program->converted);
    if (program->mapping) munmap(program->mapping, program->mapping_size);
    *program = (struct wisp_program){0};
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
const struct wisp_linked_export *wisp_program_entry(const struct wisp_program *program, enum wisp_program_entry entry,
                                                    struct wisp_err *err)
{
    static const struct {
        const char *interface, *func;
        bool (*is_right)(const struct wisp_func_type *type);
    } entries[] = {
        [WISP_PROGRAM_HTTP] = {"wasi:http/incoming-handler", "handle", is_handle_func},
        [WISP_PROGRAM_COMMAND] = {"wasi:cli/run", "run", is_run_func},
    };
    const char *interface = entries[entry].interface, *func = entries[entry].func;
    const struct wisp_export_func *found = wisp_component_export(program->component, interface, func);
    const struct wisp_linked_export *export_ = wisp_linked_export_find(program->linked, interface, func);
    if (!found || !export_) {
        wisp_err_set(err, WISP_ERR_INVALID, "the component does not export %s", interface);
        return NULL;
    }
    if (entries[entry].is_right(found->type)) return export_;
    wisp_err_set(err, WISP_ERR_INVALID, "the component's %s has a `%s` of another type", interface, func);
    return NULL;
}
