/* SPDX-License-Identifier: Apache-2.0 */
/* A component's file, as the commands that take FILE read it. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct wisp_component;

struct wisp_source {
    char *name;             /* last part of the path: "hello.wasm" */
    struct wisp_buf binary; /* a component or core module, not looked into yet */
    size_t file_size;
    bool was_text;
};

/* Reads the whole file and turns text into binary. Errors name the file and say what to try: NOT_FOUND, DENIED, LIMIT
 * beyond WISP_COMPONENT_SIZE_MAX, INVALID when it is a directory, empty, or neither WebAssembly nor its text. */
int wisp_source_read(struct wisp_source *ret_source, const char *path, struct wisp_err *err)
    __attribute__((warn_unused_result));
void wisp_source_deinit(struct wisp_source *source);
#define WISP_CLEANUP_SOURCE __attribute__((cleanup(wisp_source_deinit)))

/* The binary in a sealed memory file, which other processes can be given; nothing can change it. */
int wisp_source_to_memory_file(const struct wisp_source *source, int *ret_fd, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Any bytes in such a file. `name` is for people who look into /proc. */
int wisp_memory_file_new(const char *name, struct wisp_str bytes, int *ret_fd, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* What `wisp run` does with a component. */
enum wisp_source_world {
    WISP_SOURCE_OTHER,
    WISP_SOURCE_HTTP,    /* exports wasi:http/incoming-handler */
    WISP_SOURCE_COMMAND, /* exports wasi:cli/run */
};
enum wisp_source_world wisp_source_world(const struct wisp_component *component);
/* Fills `err` with what the component exports and what `wisp run` needs. */
int wisp_source_refuse_world(const struct wisp_component *component, struct wisp_err *err);
