/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: the components in tests/corpus/decode, and binaries written by hand. */
#pragma once

#include "base/mem.h"
#include "component/plan.h"
#include "test.h"

#include <stdio.h>

/* The file's bytes, in the arena. */
static inline struct wisp_str sample_read(struct wisp_arena *arena, const char *name)
{
    const char *here = strrchr(__FILE__, '/');
    char *path = wisp_arena_printf(arena, "%.*s/../../../tests/corpus/decode/%s.wasm", (int)(here ? here - __FILE__ : 1),
                                   here ? __FILE__ : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file) wisp_test_fail(__FILE__, __LINE__, "cannot open %s", path);
    WISP_CLEANUP_BUF struct wisp_buf buf = {0};
    size_t n;
    while ((n = fread(wisp_buf_reserve(&buf, 4096), 1, 4096, file)) > 0) buf.len += n;
    fclose(file);
    return wisp_arena_str(arena, wisp_buf_str(&buf));
}

static inline struct wisp_component *sample_load(struct wisp_arena *arena, const char *name, bool keep_shims)
{
    struct wisp_component *component = NULL;
    struct wisp_err err = {0};
    CHECK_OK(wisp_component_new(&component, sample_read(arena, name),
                                &(struct wisp_component_options){.keep_shims = keep_shims}, &err),
             &err);
    return component;
}

/* --- binaries by hand: sections of a component or core module --- */

#define SAMPLE_COMPONENT WISP_STR("\0asm\x0d\0\1\0")
#define SAMPLE_MODULE WISP_STR("\0asm\1\0\0\0")

/* Appends a section with these contents. At most 127 bytes, so that its size is one byte. */
static inline void sample_section(struct wisp_buf *buf, uint8_t id, struct wisp_str contents)
{
    wisp_buf_append_char(buf, (char)id);
    wisp_buf_append_char(buf, (char)contents.len);
    wisp_buf_append_str(buf, contents);
}

#define SAMPLE_SECTION(buf, id, literal) sample_section((buf), (id), WISP_STR(literal))
