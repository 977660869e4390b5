/* SPDX-License-Identifier: Apache-2.0 */
#include "component/decode/decode.h"

#include "component/array.h"
#include "component/decode/decode_priv.h"

enum {
    SECTION_CUSTOM,
    SECTION_CORE_MODULE,
    SECTION_CORE_INSTANCE,
    SECTION_CORE_TYPE,
    SECTION_COMPONENT,
    SECTION_INSTANCE,
    SECTION_ALIAS,
    SECTION_TYPE,
    SECTION_CANON,
    SECTION_START,
    SECTION_IMPORT,
    SECTION_EXPORT,
    SECTION_VALUE,
    SECTION_COUNT
};

static const char *const sort_names[WISP_SORT_COUNT] = {
    [WISP_SORT_CORE_FUNC] = "core func",
    [WISP_SORT_CORE_TABLE] = "core table",
    [WISP_SORT_CORE_MEMORY] = "core memory",
    [WISP_SORT_CORE_GLOBAL] = "core global",
    [WISP_SORT_CORE_TAG] = "core tag",
    [WISP_SORT_CORE_TYPE] = "core type",
    [WISP_SORT_CORE_MODULE] = "core module",
    [WISP_SORT_CORE_INSTANCE] = "core instance",
    [WISP_SORT_FUNC] = "func",
    [WISP_SORT_TYPE] = "type",
    [WISP_SORT_COMPONENT] = "component",
    [WISP_SORT_INSTANCE] = "instance",
};

const char *wisp_sort_name(enum wisp_sort sort) { return sort_names[sort]; }

/* --- building blocks --- */

uint32_t wisp_decode_count(struct wisp_decoder *decoder, struct wisp_reader *reader)
{
    uint32_t n = wisp_read_count(reader);
    if (n > WISP_DECODE_ITEMS_MAX - decoder->n_items) {
        wisp_reader_fail(reader, WISP_ERR_LIMIT, "more than %d items in one component", WISP_DECODE_ITEMS_MAX);
        return 0;
    }
    decoder->n_items += n;
    return n;
}

struct wisp_ast_def *wisp_decode_add(struct wisp_decoder *decoder, struct wisp_reader *reader,
                                     struct wisp_ast_body *body, uint32_t *capacity, enum wisp_ast_def_kind kind)
{
    struct wisp_ast_def *def = WISP_PUSH(decoder->arena, body->defs, body->n_defs, *capacity);
    def->kind = kind;
    def->offset = wisp_reader_offset(reader);
    return def;
}

void wisp_decode_grow_space(struct wisp_reader *reader, struct wisp_ast_body *body, enum wisp_sort sort)
{
    if (++body->counts[sort] > WISP_PLAN_ITEMS_MAX)
        wisp_reader_fail(reader, WISP_ERR_LIMIT, "more than %d items of sort %s", WISP_PLAN_ITEMS_MAX,
                         wisp_sort_name(sort));
}

static void check_implements(struct wisp_reader *reader, const struct wisp_extern_name *name, enum wisp_sort sort)
{
    if (name->has_implements && sort != WISP_SORT_INSTANCE)
        wisp_reader_fail(reader, WISP_ERR_INVALID, "only instances can have an `implements`");
}

static enum wisp_sort read_core_sort(struct wisp_reader *reader)
{
    uint8_t byte = wisp_read_byte(reader);
    switch (byte) {
    case 0x10:
        return WISP_SORT_CORE_TYPE;
    case 0x11:
        return WISP_SORT_CORE_MODULE;
    case 0x12:
        return WISP_SORT_CORE_INSTANCE;
    default:
        if (byte > WISP_SORT_CORE_TAG && !reader->failed) wisp_reader_bad_byte(reader, byte, "core sort");
        return reader->failed ? WISP_SORT_CORE_FUNC : (enum wisp_sort)byte;
    }
}

static enum wisp_sort read_sort(struct wisp_reader *reader)
{
    uint8_t byte = wisp_read_byte(reader);
    switch (byte) {
    case 0x00:
        return read_core_sort(reader);
    case 0x01:
        return WISP_SORT_FUNC;
    case 0x02:
        wisp_reader_fail(reader, WISP_ERR_UNSUPPORTED, "component values");
        return WISP_SORT_FUNC;
    case 0x03:
        return WISP_SORT_TYPE;
    case 0x04:
        return WISP_SORT_COMPONENT;
    case 0x05:
        return WISP_SORT_INSTANCE;
    default:
        wisp_reader_bad_byte(reader, byte, "sort");
        return WISP_SORT_FUNC;
    }
}

static struct wisp_ast_ref read_ref(struct wisp_reader *reader)
{
    struct wisp_ast_ref ref = {.sort = read_sort(reader)};
    ref.index = wisp_read_u32(reader);
    return ref;
}

/* --- names --- */

static void read_attributes(struct wisp_reader *reader, struct wisp_extern_name *name)
{
    enum { IMPLEMENTS, VERSION_SUFFIX, EXTERNAL_ID, ATTRIBUTE_COUNT };
    bool seen[ATTRIBUTE_COUNT] = {false};
    for (uint32_t n = wisp_read_count(reader); n > 0 && !reader->failed; n--) {
        uint8_t kind = wisp_read_byte(reader);
        if (kind >= ATTRIBUTE_COUNT) {
            wisp_reader_bad_byte(reader, kind, "name attribute");
            return;
        }
        struct wisp_str value = wisp_read_name(reader);
        struct wisp_extern_name implemented;
        if (seen[kind]) wisp_reader_fail(reader, WISP_ERR_INVALID, "a name has the same attribute twice");
        seen[kind] = true;
        if (kind == VERSION_SUFFIX) wisp_reader_fail(reader, WISP_ERR_UNSUPPORTED, "version suffixes of names");
        if (kind != IMPLEMENTS) continue;
        if (!wisp_name_parse(value, &implemented) || implemented.kind != WISP_NAME_INTERFACE)
            wisp_reader_fail(reader, WISP_ERR_INVALID, "`implements` must be an interface, not `%.*s`",
                             WISP_STR_ARG(value));
        else if (name->kind == WISP_NAME_INTERFACE)
            wisp_reader_fail(reader, WISP_ERR_INVALID, "name `%.*s` is not valid with `implements`",
                             WISP_STR_ARG(name->text));
        name->has_implements = true;
    }
}

static struct wisp_extern_name *read_extern_name(struct wisp_decoder *decoder, struct wisp_reader *reader)
{
    struct wisp_extern_name *name = WISP_NEW(decoder->arena, struct wisp_extern_name);
    uint8_t form = wisp_read_byte(reader);
    if (form > 2) {
        wisp_reader_bad_byte(reader, form, "name");
        return name;
    }
    uint32_t offset = wisp_reader_offset(reader);
    struct wisp_str text = wisp_read_name(reader);
    if (!reader->failed && !wisp_name_parse(text, name))
        wisp_reader_fail_at(reader, offset, WISP_ERR_INVALID,
                            "`%.*s` is not a valid extern name (kebab case, or ns:package/interface@version)",
                            WISP_STR_ARG(text));
    if (form == 2) read_attributes(reader, name);
    return name;
}

static struct wisp_ast_extern read_extern(struct wisp_reader *reader)
{
    struct wisp_ast_extern type = {0};
    uint8_t byte = wisp_read_byte(reader);
    switch (byte) {
    case 0x00:
        if (wisp_read_byte(reader) != 0x11)
            wisp_reader_bad_byte(reader, reader->failed ? 0 : reader->at[-1], "core import or export");
        type.sort = WISP_SORT_CORE_MODULE;
        break;
    case 0x01:
        type.sort = WISP_SORT_FUNC;
        break;
    case 0x02:
        wisp_reader_fail(reader, WISP_ERR_UNSUPPORTED, "component values");
        break;
    case 0x03: {
        uint8_t bound = wisp_read_byte(reader);
        type.sort = WISP_SORT_TYPE;
        type.is_sub_resource = bound == 1;
        if (bound > 1) wisp_reader_bad_byte(reader, bound, "type bound");
        if (bound == 1) return type;
        break;
    }
    case 0x04:
        type.sort = WISP_SORT_COMPONENT;
        break;
    case 0x05:
        type.sort = WISP_SORT_INSTANCE;
        break;
    default:
        wisp_reader_bad_byte(reader, byte, "import or export kind");
    }
    type.index = wisp_read_u32(reader);
    return type;
}

/* --- definitions --- */

/* What a section's reader works on. */
struct section {
    struct wisp_decoder *decoder;
    struct wisp_reader *r;
    struct wisp_ast_body *body;
    uint32_t *capacity;
};

static struct wisp_ast_body *read_component(struct wisp_decoder *decoder, struct wisp_reader *reader);

static struct wisp_ast_def *add(struct section *s, enum wisp_ast_def_kind kind, enum wisp_sort sort)
{
    wisp_decode_grow_space(s->r, s->body, sort);
    return wisp_decode_add(s->decoder, s->r, s->body, s->capacity, kind);
}

static void read_core_module(struct section *s)
{
    struct wisp_ast_def *def = add(s, WISP_AST_DEF_CORE_MODULE, WISP_SORT_CORE_MODULE);
    struct wisp_core_info *module = wisp_core_module_read(s->r, s->decoder->arena, &s->decoder->ast->producers);
    module->ordinal = s->decoder->ast->n_modules++;
    def->module = module;
}

static void read_component_section(struct section *s)
{
    struct wisp_ast_def *def = add(s, WISP_AST_DEF_COMPONENT, WISP_SORT_COMPONENT);
    def->component = read_component(s->decoder, s->r);
}

static struct wisp_ast_arg *read_args(struct section *s, uint32_t *ret_n,
                                      void (*read)(struct section *, struct wisp_ast_arg *))
{
    uint32_t n = wisp_decode_count(s->decoder, s->r);
    struct wisp_ast_arg *args = WISP_NEW_ARRAY(s->decoder->arena, struct wisp_ast_arg, n);
    for (uint32_t i = 0; i < n && !s->r->failed; i++) read(s, &args[i]);
    *ret_n = n;
    return args;
}

static void read_core_arg(struct section *s, struct wisp_ast_arg *arg)
{
    arg->name.text = wisp_read_name(s->r);
    uint8_t sort = wisp_read_byte(s->r);
    if (sort != 0x12) wisp_reader_bad_byte(s->r, sort, "instantiation argument");
    arg->ref = (struct wisp_ast_ref){WISP_SORT_CORE_INSTANCE, wisp_read_u32(s->r)};
}

static void read_core_member(struct section *s, struct wisp_ast_arg *arg)
{
    arg->name.text = wisp_read_name(s->r);
    arg->ref.sort = read_core_sort(s->r);
    if (!s->r->failed && arg->ref.sort > WISP_SORT_CORE_TAG)
        wisp_reader_fail(s->r, WISP_ERR_INVALID, "a core instance cannot export an item of sort %s",
                         wisp_sort_name(arg->ref.sort));
    arg->ref.index = wisp_read_u32(s->r);
}

static void read_arg(struct section *s, struct wisp_ast_arg *arg)
{
    arg->name.text = wisp_read_name(s->r);
    arg->ref = read_ref(s->r);
}

static bool is_external(enum wisp_sort sort) { return sort == WISP_SORT_CORE_MODULE || sort >= WISP_SORT_FUNC; }

static void read_member(struct section *s, struct wisp_ast_arg *arg)
{
    struct wisp_extern_name *name = read_extern_name(s->decoder, s->r);
    arg->name = *name;
    arg->ref = read_ref(s->r);
    check_implements(s->r, name, arg->ref.sort);
    if (!s->r->failed && !is_external(arg->ref.sort))
        wisp_reader_fail(s->r, WISP_ERR_INVALID, "an instance cannot export an item of sort %s",
                         wisp_sort_name(arg->ref.sort));
}

static void read_core_instances(struct section *s)
{
    for (uint32_t n = wisp_decode_count(s->decoder, s->r); n > 0 && !s->r->failed; n--) {
        struct wisp_ast_def *def = add(s, WISP_AST_DEF_CORE_INSTANCE, WISP_SORT_CORE_INSTANCE);
        uint8_t form = wisp_read_byte(s->r);
        if (form > 1) wisp_reader_bad_byte(s->r, form, "core instance");
        def->instance.is_instantiate = form == 0;
        if (form == 0) def->instance.index = wisp_read_u32(s->r);
        def->instance.args = read_args(s, &def->instance.n_args, form == 0 ? read_core_arg : read_core_member);
    }
}

static void read_instances(struct section *s)
{
    for (uint32_t n = wisp_decode_count(s->decoder, s->r); n > 0 && !s->r->failed; n--) {
        struct wisp_ast_def *def = add(s, WISP_AST_DEF_INSTANCE, WISP_SORT_INSTANCE);
        uint8_t form = wisp_read_byte(s->r);
        if (form > 1) wisp_reader_bad_byte(s->r, form, "instance");
        def->instance.is_instantiate = form == 0;
        if (form == 0) def->instance.index = wisp_read_u32(s->r);
        def->instance.args = read_args(s, &def->instance.n_args, form == 0 ? read_arg : read_member);
    }
}

static bool may_alias_outer(enum wisp_sort sort)
{
    return sort == WISP_SORT_CORE_TYPE || sort == WISP_SORT_CORE_MODULE || sort == WISP_SORT_TYPE ||
           sort == WISP_SORT_COMPONENT;
}

void wisp_decode_alias(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_body *body,
                       uint32_t *capacity)
{
    uint32_t offset = wisp_reader_offset(reader);
    enum wisp_sort sort = read_sort(reader);
    uint8_t target = wisp_read_byte(reader);
    if (reader->failed) return;
    if (target > 2)
        wisp_reader_bad_byte(reader, target, "alias");
    else if (target == 2 ? !may_alias_outer(sort) : target == 1 ? sort > WISP_SORT_CORE_TAG : !is_external(sort))
        wisp_reader_fail_at(reader, offset, WISP_ERR_INVALID, "items of sort %s cannot be aliased like this",
                            wisp_sort_name(sort));
    static const enum wisp_ast_def_kind kinds[] = {WISP_AST_DEF_ALIAS_EXPORT, WISP_AST_DEF_ALIAS_CORE_EXPORT,
                                                   WISP_AST_DEF_ALIAS_OUTER};
    if (reader->failed) return;
    struct wisp_ast_def *def = wisp_decode_add(decoder, reader, body, capacity, kinds[target]);
    def->offset = offset;
    def->alias.sort = sort;
    if (target == 2) {
        def->alias.outer = wisp_read_u32(reader);
        def->alias.index = wisp_read_u32(reader);
    } else {
        def->alias.instance = wisp_read_u32(reader);
        def->alias.name = wisp_read_name(reader);
    }
    wisp_decode_grow_space(reader, body, sort);
}

static void read_aliases(struct section *s)
{
    for (uint32_t n = wisp_decode_count(s->decoder, s->r); n > 0 && !s->r->failed; n--)
        wisp_decode_alias(s->decoder, s->r, s->body, s->capacity);
}

static void read_core_types(struct section *s)
{
    for (uint32_t n = wisp_decode_count(s->decoder, s->r); n > 0 && !s->r->failed; n--) {
        struct wisp_ast_def *def = add(s, WISP_AST_DEF_CORE_TYPE, WISP_SORT_CORE_TYPE);
        def->core_type = wisp_decode_core_type(s->decoder, s->r);
    }
}

static void read_types(struct section *s)
{
    for (uint32_t n = wisp_decode_count(s->decoder, s->r); n > 0 && !s->r->failed; n--) {
        struct wisp_ast_def *def = add(s, WISP_AST_DEF_TYPE, WISP_SORT_TYPE);
        def->type = wisp_decode_type(s->decoder, s->r);
    }
}

void wisp_decode_external(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_body *body,
                          uint32_t *capacity, enum wisp_ast_def_kind kind)
{
    struct wisp_ast_def *def = wisp_decode_add(decoder, reader, body, capacity, kind);
    def->external.name = read_extern_name(decoder, reader);
    def->external.type = read_extern(reader);
    check_implements(reader, def->external.name, def->external.type.sort);
    wisp_decode_grow_space(reader, body, def->external.type.sort);
    if (kind == WISP_AST_DEF_IMPORT)
        body->n_imports++;
    else
        body->n_exports++;
}

static void read_imports(struct section *s)
{
    for (uint32_t n = wisp_decode_count(s->decoder, s->r); n > 0 && !s->r->failed; n--)
        wisp_decode_external(s->decoder, s->r, s->body, s->capacity, WISP_AST_DEF_IMPORT);
}

static void read_exports(struct section *s)
{
    for (uint32_t n = wisp_decode_count(s->decoder, s->r); n > 0 && !s->r->failed; n--) {
        struct wisp_ast_def *def = wisp_decode_add(s->decoder, s->r, s->body, s->capacity, WISP_AST_DEF_EXPORT);
        def->external.name = read_extern_name(s->decoder, s->r);
        def->external.ref = read_ref(s->r);
        if (!s->r->failed && !is_external(def->external.ref.sort))
            wisp_reader_fail(s->r, WISP_ERR_INVALID, "a component cannot export an item of sort %s",
                             wisp_sort_name(def->external.ref.sort));
        check_implements(s->r, def->external.name, def->external.ref.sort);
        uint8_t has_type = wisp_read_byte(s->r);
        if (has_type > 1) wisp_reader_bad_byte(s->r, has_type, "optional export type");
        def->external.has_type = has_type == 1;
        if (def->external.has_type) def->external.type = read_extern(s->r);
        wisp_decode_grow_space(s->r, s->body, def->external.ref.sort);
        s->body->n_exports++;
    }
}

static void read_canons(struct section *s)
{
    for (uint32_t n = wisp_decode_count(s->decoder, s->r); n > 0 && !s->r->failed; n--) {
        struct wisp_ast_def *def = wisp_decode_add(s->decoder, s->r, s->body, s->capacity, WISP_AST_DEF_CANON);
        def->canon = wisp_decode_canon(s->decoder, s->r);
        wisp_decode_grow_space(s->r, s->body, def->canon->kind == WISP_AST_LIFT ? WISP_SORT_FUNC : WISP_SORT_CORE_FUNC);
    }
}

static void refuse_start(struct section *s)
{
    wisp_reader_fail(s->r, WISP_ERR_UNSUPPORTED, "start functions of components");
}

static void refuse_value(struct section *s) { wisp_reader_fail(s->r, WISP_ERR_UNSUPPORTED, "component values"); }

/* --- components --- */

static void (*const readers[SECTION_COUNT])(struct section *) = {
    [SECTION_CORE_MODULE] = read_core_module,
    [SECTION_CORE_INSTANCE] = read_core_instances,
    [SECTION_CORE_TYPE] = read_core_types,
    [SECTION_COMPONENT] = read_component_section,
    [SECTION_INSTANCE] = read_instances,
    [SECTION_ALIAS] = read_aliases,
    [SECTION_TYPE] = read_types,
    [SECTION_CANON] = read_canons,
    [SECTION_START] = refuse_start,
    [SECTION_IMPORT] = read_imports,
    [SECTION_EXPORT] = read_exports,
    [SECTION_VALUE] = refuse_value,
};

static void check_header(struct wisp_reader *reader)
{
    uint32_t offset = wisp_reader_offset(reader);
    if (reader->end - reader->at >= 8 && memcmp(reader->at, "\0asm\1\0\0\0", 8) == 0) {
        wisp_reader_fail(
            reader, WISP_ERR_INVALID,
            "this is a core module, not a component: build for the target wasm32-wasip2, or make a component "
            "of it with `wasm-tools component new` (and the WASI adapter, for a wasip1 module)");
        return;
    }
    struct wisp_str header = wisp_read_bytes(reader, 8);
    if (reader->failed) return;
    if (memcmp(header.ptr, "\0asm", 4) != 0)
        wisp_reader_fail_at(reader, offset, WISP_ERR_INVALID, "not WebAssembly: the magic number is missing");
    else if (memcmp(header.ptr + 4, "\x0d\0\1\0", 4) != 0)
        wisp_reader_fail_at(reader, offset + 4, WISP_ERR_INVALID, "unknown binary version 0x%x, layer %u",
                            (uint8_t)header.ptr[4] | (uint8_t)header.ptr[5] << 8,
                            (unsigned)((uint8_t)header.ptr[6] | (uint8_t)header.ptr[7] << 8));
}

static void read_custom(struct wisp_decoder *decoder, struct wisp_reader *section)
{
    struct wisp_str name = wisp_read_name(section);
    if (decoder->depth == 1 && wisp_str_is(name, "producers")) wisp_producers_read(&decoder->ast->producers, *section);
    if (!section->failed) section->at = section->end;
}

static void read_sections(struct wisp_decoder *decoder, struct wisp_reader *reader, struct wisp_ast_body *body)
{
    uint32_t capacity = 0;
    while (!reader->failed && !wisp_reader_at_end(reader)) {
        uint8_t id = wisp_read_byte(reader);
        if (id >= SECTION_COUNT) {
            wisp_reader_bad_byte(reader, id, "section: malformed section id");
            return;
        }
        struct wisp_reader section = wisp_reader_part(reader, wisp_read_u32(reader));
        if (reader->failed) return;
        if (id == SECTION_CUSTOM)
            read_custom(decoder, &section);
        else
            readers[id](&(struct section){decoder, &section, body, &capacity});
        wisp_reader_finish_part(reader, &section, "section");
    }
}

static struct wisp_ast_body *read_component(struct wisp_decoder *decoder, struct wisp_reader *reader)
{
    struct wisp_ast_body *body = WISP_NEW(decoder->arena, struct wisp_ast_body);
    body->kind = WISP_AST_BODY_COMPONENT;
    body->offset = wisp_reader_offset(reader);
    if (++decoder->depth > WISP_COMPONENT_NESTING_MAX)
        wisp_reader_fail(reader, WISP_ERR_LIMIT, "components are nested more than %d deep", WISP_COMPONENT_NESTING_MAX);
    check_header(reader);
    read_sections(decoder, reader, body);
    decoder->depth--;
    return body;
}

int wisp_component_decode(struct wisp_ast *ret_ast, struct wisp_arena *arena, struct wisp_arena *lasting,
                          struct wisp_str binary, struct wisp_err *err)
{
    if (binary.len > WISP_COMPONENT_SIZE_MAX)
        return wisp_err_set(err, WISP_ERR_LIMIT, "a component of %zu bytes, at most %d are supported", binary.len,
                            WISP_COMPONENT_SIZE_MAX);
    *ret_ast = (struct wisp_ast){.producers = {.arena = lasting}};
    struct wisp_decoder decoder = {.arena = arena, .ast = ret_ast};
    struct wisp_reader reader;
    wisp_reader_init(&reader, binary, err);
    ret_ast->root = read_component(&decoder, &reader);
    return reader.failed;
}
