/* SPDX-License-Identifier: Apache-2.0 */
/* Reads as much of a core module as tells what its instances can change, and exports that.
 *
 * What an instance has besides its code: memories, globals, tables, and the segments it has not dropped. Tables and
 * segments change by a few instructions only, which are looked for in every function. The engine validates the same
 * bytes afterwards, so what counts here is that a valid module is read as the engine reads it: whatever isn't known to
 * be harmless, instructions of newer proposals among it, is refused, and a function must end where its size says. */
#include "wasm/expose.h"

#include "wasm/reader.h"

#include <stdio.h>

enum { KIND_FUNC, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL, KIND_TAG, KIND_COUNT };
enum {
    SECTION_CUSTOM = 0,
    SECTION_IMPORT = 2,
    SECTION_FUNCTION = 3,
    SECTION_MEMORY = 5,
    SECTION_GLOBAL = 6,
    SECTION_EXPORT = 7,
    SECTION_CODE = 10,
    SECTION_TAG = 13,
    HEADER_SIZE = 8,
    PAGE_SIZE_LOG2 = 16,
};

struct module {
    struct wisp_reader *r;
    uint32_t n_imported[KIND_COUNT], n_defined[KIND_COUNT]; /* defined: of functions, memories and globals only */
    uint32_t n_mutable;
    uint32_t mutables[WISP_WASM_EXPOSED_MAX]; /* indices of globals */
    const uint8_t *exports, *exports_end;     /* items of the section; NULL: there is none */
    uint32_t n_exports;
    const uint8_t *before, *behind; /* the sections around the exports */
};

static void refuse(struct module *m, const char *what) { wisp_reader_fail(m->r, WISP_ERR_UNSUPPORTED, "%s", what); }

/* --- types --- */

static void skip_reference_type(struct wisp_reader *r, uint8_t code)
{
    if (code == 0x63 || code == 0x64) wisp_read_s33(r); /* a heap type */
}

static void skip_value_type(struct wisp_reader *r) { skip_reference_type(r, wisp_read_byte(r)); }

enum { LIMITS_HAS_MAX = 1, LIMITS_SHARED = 2, LIMITS_64 = 4, LIMITS_PAGE_SIZE = 8 };

static uint8_t skip_limits(struct wisp_reader *r)
{
    uint8_t flags = wisp_read_byte(r);
    wisp_read_u64(r);
    if (flags & LIMITS_HAS_MAX) wisp_read_u64(r);
    return flags;
}

static void read_memory(struct module *m)
{
    uint8_t flags = skip_limits(m->r);
    if (flags & LIMITS_SHARED) refuse(m, "a memory is shared");
    if (flags & LIMITS_PAGE_SIZE && wisp_read_u32(m->r) != PAGE_SIZE_LOG2)
        refuse(m, "a memory has pages of its own size");
}

static bool is_number(uint8_t type) { return type >= 0x7b && type <= 0x7f; }

/* --- instructions --- */

enum immediate {
    NOTHING,
    BLOCK_TYPE,
    INDEX,
    TWO_INDICES,
    MEMARG,
    SIGNED_32,
    SIGNED_64,
    BYTES_4,
    BYTES_8,
    LABELS,
    TYPES,
    HEAP_TYPE,
    PREFIX_FC,
    PREFIX_FD,
    UNKNOWN,
};

static enum immediate immediate_of(uint8_t code)
{
    if (code >= 0x45 && code <= 0xc4) return NOTHING; /* arithmetic */
    if (code >= 0x28 && code <= 0x3e) return MEMARG;
    if (code >= 0x20 && code <= 0x25) return INDEX; /* locals, globals, table.get */
    switch (code) {
    case 0x00: /* unreachable, nop, else, end, return, drop, select, ref.is_null, ref.as_non_null */
    case 0x01:
    case 0x05:
    case 0x0b:
    case 0x0f:
    case 0x1a:
    case 0x1b:
    case 0xd1:
    case 0xd4:
        return NOTHING;
    case 0x02: /* block, loop, if */
    case 0x03:
    case 0x04:
        return BLOCK_TYPE;
    case 0x0c: /* br, br_if, call, return_call, call_ref, return_call_ref */
    case 0x0d:
    case 0x10:
    case 0x12:
    case 0x14:
    case 0x15:
    case 0x3f: /* memory.size, memory.grow, ref.func, br_on_null, br_on_non_null */
    case 0x40:
    case 0xd2:
    case 0xd5:
    case 0xd6:
        return INDEX;
    case 0x11: /* call_indirect, return_call_indirect */
    case 0x13:
        return TWO_INDICES;
    case 0x0e:
        return LABELS;
    case 0x1c:
        return TYPES;
    case 0x41:
        return SIGNED_32;
    case 0x42:
        return SIGNED_64;
    case 0x43:
        return BYTES_4;
    case 0x44:
        return BYTES_8;
    case 0xd0:
        return HEAP_TYPE;
    case 0xfc:
        return PREFIX_FC;
    case 0xfd:
        return PREFIX_FD;
    default: /* exceptions, garbage-collected objects, threads, stack switching, table.set */
        return UNKNOWN;
    }
}

/* Alignment with, in bit 6, whether the index of a memory follows; offset. */
static void skip_memarg(struct wisp_reader *r)
{
    uint32_t align = wisp_read_u32(r);
    if (align & 1 << 6) wisp_read_u32(r);
    wisp_read_u64(r);
}

static void skip_block_type(struct wisp_reader *r)
{
    if (r->at < r->end && (*r->at == 0x63 || *r->at == 0x64))
        skip_value_type(r);
    else
        wisp_read_s33(r);
}

static void skip_fc(struct module *m)
{
    uint32_t code = wisp_read_u32(m->r);
    if (code <= 7 || (code >= 19 && code <= 22)) return; /* saturating conversions; 128-bit arithmetic */
    switch (code) {
    case 8: /* memory.init, memory.copy */
    case 10:
        wisp_read_u32(m->r);
        wisp_read_u32(m->r);
        return;
    case 11: /* memory.fill, table.size */
    case 16:
        wisp_read_u32(m->r);
        return;
    case 9:
    case 13:
        refuse(m, "a function drops a segment");
        return;
    case 12: /* init, copy, grow, fill */
    case 14:
    case 15:
    case 17:
        refuse(m, "a function changes a table");
        return;
    default:
        refuse(m, "an unknown instruction");
    }
}

static void skip_fd(struct module *m)
{
    uint32_t code = wisp_read_u32(m->r);
    if (code <= 11 || (code >= 84 && code <= 93)) skip_memarg(m->r);
    if (code == 12 || code == 13) wisp_read_bytes(m->r, 16);                            /* v128.const, i8x16.shuffle */
    if ((code >= 21 && code <= 34) || (code >= 84 && code <= 91)) wisp_read_byte(m->r); /* a lane */
    if (code > 275) refuse(m, "an unknown instruction");
}

static void skip_immediate(struct module *m, uint8_t code)
{
    struct wisp_reader *r = m->r;
    switch (immediate_of(code)) {
    case NOTHING:
        return;
    case BLOCK_TYPE:
        skip_block_type(r);
        return;
    case TWO_INDICES:
        wisp_read_u32(r);
        wisp_read_u32(r);
        return;
    case INDEX:
        wisp_read_u32(r);
        return;
    case MEMARG:
        skip_memarg(r);
        return;
    case SIGNED_32:
        wisp_skip_leb(r, 32);
        return;
    case SIGNED_64:
        wisp_skip_leb(r, 64);
        return;
    case BYTES_4:
        wisp_read_bytes(r, 4);
        return;
    case BYTES_8:
        wisp_read_bytes(r, 8);
        return;
    case LABELS:
        for (uint32_t n = wisp_read_count(r); n > 0 && !r->failed; n--) wisp_read_u32(r);
        wisp_read_u32(r);
        return;
    case TYPES:
        for (uint32_t n = wisp_read_count(r); n > 0 && !r->failed; n--) skip_value_type(r);
        return;
    case HEAP_TYPE:
        wisp_read_s33(r);
        return;
    case PREFIX_FC:
        skip_fc(m);
        return;
    case PREFIX_FD:
        skip_fd(m);
        return;
    case UNKNOWN:
        refuse(m, code == 0x26 ? "a function changes a table" : "an unknown instruction");
    }
}

/* To behind the `end` that belongs to no block. */
static void skip_expression(struct module *m)
{
    enum { BLOCK = 0x02, IF = 0x04, END = 0x0b };
    for (uint64_t depth = 1; depth > 0 && !m->r->failed;) {
        uint8_t code = wisp_read_byte(m->r);
        if (code >= BLOCK && code <= IF) depth++;
        if (code == END) depth--;
        skip_immediate(m, code);
    }
}

/* --- sections --- */

static void read_imports(struct module *m)
{
    for (uint32_t n = wisp_read_count(m->r); n > 0 && !m->r->failed; n--) {
        wisp_read_name(m->r);
        wisp_read_name(m->r);
        uint8_t kind = wisp_read_byte(m->r);
        switch (kind) {
        case KIND_FUNC:
            wisp_read_u32(m->r);
            break;
        case KIND_TABLE:
            skip_value_type(m->r);
            skip_limits(m->r);
            break;
        case KIND_MEMORY:
            read_memory(m);
            break;
        case KIND_GLOBAL:
            skip_value_type(m->r);
            wisp_read_byte(m->r);
            break;
        default:
            refuse(m, "an import of an unknown kind");
            return;
        }
        m->n_imported[kind]++;
    }
}

static void read_functions(struct module *m)
{
    m->n_defined[KIND_FUNC] = wisp_read_count(m->r);
    m->r->at = m->r->end;
}

static void read_memories(struct module *m)
{
    uint32_t n = m->n_defined[KIND_MEMORY] = wisp_read_count(m->r);
    if (n > WISP_WASM_EXPOSED_MAX) refuse(m, "it has many memories");
    for (; n > 0 && !m->r->failed; n--) read_memory(m);
}

static void read_globals(struct module *m)
{
    uint32_t n = m->n_defined[KIND_GLOBAL] = wisp_read_count(m->r);
    for (uint32_t i = 0; i < n && !m->r->failed; i++) {
        uint8_t type = wisp_read_byte(m->r);
        skip_reference_type(m->r, type);
        bool is_mutable = wisp_read_byte(m->r);
        skip_expression(m);
        if (!is_mutable) continue;
        if (!is_number(type)) {
            refuse(m, "a global that may change holds no number");
        } else if (m->n_mutable == WISP_WASM_EXPOSED_MAX) {
            refuse(m, "it has many globals that may change");
        } else {
            m->mutables[m->n_mutable++] = m->n_imported[KIND_GLOBAL] + i;
        }
    }
}

static void read_exports(struct module *m)
{
    m->n_exports = wisp_read_count(m->r);
    m->exports = m->r->at;
    m->exports_end = m->r->at = m->r->end;
}

static void read_code(struct module *m)
{
    struct wisp_reader *section = m->r;
    for (uint32_t n = wisp_read_count(section); n > 0 && !section->failed; n--) {
        struct wisp_reader body = wisp_reader_part(section, wisp_read_u32(section));
        m->r = &body;
        for (uint32_t k = wisp_read_count(&body); k > 0 && !body.failed; k--) {
            wisp_read_u32(&body);
            skip_value_type(&body);
        }
        skip_expression(m);
        wisp_reader_finish_part(section, &body, "function");
        m->r = section;
    }
}

static void read_section(struct module *m, uint8_t id)
{
    switch (id) {
    case SECTION_IMPORT:
        read_imports(m);
        return;
    case SECTION_FUNCTION:
        read_functions(m);
        return;
    case SECTION_MEMORY:
        read_memories(m);
        return;
    case SECTION_GLOBAL:
        read_globals(m);
        return;
    case SECTION_EXPORT:
        read_exports(m);
        return;
    case SECTION_TAG:
        refuse(m, "it has exceptions");
        return;
    case SECTION_CODE:
        read_code(m);
        return;
    default: /* types, tables, start, elements, data and custom sections say nothing about what changes */
        m->r->at = m->r->end;
    }
}

/* The exports' place is known by the sections that must come before them. */
static bool is_before_exports(uint8_t id) { return id > SECTION_CUSTOM && id < SECTION_EXPORT; }

static int read_module(struct module *m, struct wisp_reader *r)
{
    wisp_read_bytes(r, HEADER_SIZE);
    m->before = m->behind = r->at;
    while (!r->failed && !wisp_reader_at_end(r)) {
        const uint8_t *start = r->at;
        uint8_t id = wisp_read_byte(r);
        struct wisp_reader section = wisp_reader_part(r, wisp_read_u32(r));
        if (r->failed) break;
        m->r = &section;
        read_section(m, id);
        wisp_reader_finish_part(r, &section, "section");
        if (is_before_exports(id)) m->before = m->behind = r->at;
        if (id != SECTION_EXPORT) continue;
        m->before = start;
        m->behind = r->at;
    }
    return r->failed;
}

/* --- writing --- */

static void append_u32(struct wisp_buf *out, uint32_t value)
{
    do {
        uint8_t byte = value & 0x7f;
        value >>= 7;
        if (value) byte |= 0x80;
        wisp_buf_append(out, &byte, 1);
    } while (value);
}

static void append_export(struct wisp_buf *out, const char *key, const char *what, uint32_t number, uint8_t kind,
                          uint32_t index)
{
    char name[WISP_WASM_EXPOSED_NAME_SIZE];
    wisp_wasm_exposed_name(key, what, number, name);
    append_u32(out, (uint32_t)strlen(name));
    wisp_buf_append(out, name, strlen(name));
    wisp_buf_append(out, &kind, 1);
    append_u32(out, index);
}

static void append_bytes(struct wisp_buf *out, const uint8_t *from, const uint8_t *to)
{
    if (to > from) wisp_buf_append(out, from, (size_t)(to - from));
}

/* The first thing there is, for a name that only says that all has been exposed. */
static int find_anything(const struct module *m, uint8_t *ret_kind)
{
    static const uint8_t kinds[] = {KIND_FUNC, KIND_MEMORY, KIND_GLOBAL, KIND_TABLE};
    for (size_t i = 0; i < WISP_COUNT(kinds); i++) {
        *ret_kind = kinds[i];
        if (m->n_imported[kinds[i]] || m->n_defined[kinds[i]]) return 0;
    }
    return -1;
}

void wisp_wasm_exposed_name(const char *key, const char *what, uint32_t number,
                            char ret_name[WISP_WASM_EXPOSED_NAME_SIZE])
{
    snprintf(ret_name, WISP_WASM_EXPOSED_NAME_SIZE, "wisp %s %s %u", key, what, number);
}

int wisp_wasm_expose(struct wisp_str binary, const char *key, struct wisp_buf *ret_binary, struct wisp_err *err)
{
    struct wisp_reader reader;
    wisp_reader_init(&reader, binary, err);
    struct module m = {0};
    int r = read_module(&m, &reader);
    if (r < 0) return r;
    uint8_t kind;
    if (find_anything(&m, &kind) < 0) return wisp_err_set(err, WISP_ERR_UNSUPPORTED, "there is nothing in it");
    if (!ret_binary) return 0;

    WISP_CLEANUP_BUF struct wisp_buf exports = {0};
    append_u32(&exports, m.n_exports + 1 + m.n_defined[KIND_MEMORY] + m.n_mutable);
    append_bytes(&exports, m.exports, m.exports_end);
    append_export(&exports, key, WISP_WASM_EXPOSED_ALL, 0, kind, 0);
    for (uint32_t i = 0; i < m.n_defined[KIND_MEMORY]; i++)
        append_export(&exports, key, WISP_WASM_EXPOSED_MEMORY, i, KIND_MEMORY, m.n_imported[KIND_MEMORY] + i);
    for (uint32_t i = 0; i < m.n_mutable; i++)
        append_export(&exports, key, WISP_WASM_EXPOSED_GLOBAL, i, KIND_GLOBAL, m.mutables[i]);

    const uint8_t *start = (const uint8_t *)binary.ptr, *end = start + binary.len;
    append_bytes(ret_binary, start, m.before);
    wisp_buf_append(ret_binary, &(uint8_t){SECTION_EXPORT}, 1);
    append_u32(ret_binary, (uint32_t)exports.len);
    wisp_buf_append_str(ret_binary, wisp_buf_str(&exports));
    append_bytes(ret_binary, m.behind, end);
    return 0;
}
