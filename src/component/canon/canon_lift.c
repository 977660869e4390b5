/* SPDX-License-Identifier: Apache-2.0 */
/* Guest to native: from core values (lift_flat) and from linear memory (load). No guest code runs in between, so
 * memory keeps its place and pointers into it are used freely once their range is checked. */
#include "component/canon/canon_priv.h"

struct wisp_handle_loan {
    struct wisp_handle_loan *next;
    uint32_t index;
};

struct wisp_handle_taken {
    struct wisp_handle_taken *next;
    struct wisp_resource *resource;
    void *rep;
};

enum { LIFT_BYTES_PER_MEMORY_BYTE = 4, LIFT_BYTES_MAX = 256 << 20 };

static int load(struct wisp_canon *canon, const struct wisp_type *type, const uint8_t *at, void *native);

/* --- leaves --- */

static int lift_char(struct wisp_canon *canon, uint32_t c, void *native)
{
    if (c > 0x10ffff || (c & 0xfffff800) == 0xd800)
        return wisp_err_set(canon->err, WISP_ERR_GUEST, "invalid `char` bit pattern %#x", c);
    put_u32(native, c);
    return 0;
}

static int lift_own(struct wisp_canon *canon, struct wisp_resource *resource, uint32_t index, void *native)
{
    void *rep = NULL;
    int r = wisp_handles_take(canon->handles, index, resource, &rep, canon->err);
    if (r < 0) return r;
    struct wisp_handle_taken *taken = wisp_arena_alloc(canon->arena, sizeof *taken);
    *taken = (struct wisp_handle_taken){canon->taken, resource, rep};
    canon->taken = taken;
    put_pointer(native, rep);
    return 0;
}

static int lift_borrow(struct wisp_canon *canon, const struct wisp_resource *resource, uint32_t index, void *native)
{
    struct wisp_handle *handle;
    int r = wisp_handles_get(canon->handles, index, resource, &handle, canon->err);
    if (r < 0) return r;
    handle->lends++;
    if (canon->n_loans < WISP_COUNT(canon->loans)) {
        canon->loans[canon->n_loans++] = index;
    } else {
        struct wisp_handle_loan *loan = wisp_arena_alloc(canon->arena, sizeof *loan);
        *loan = (struct wisp_handle_loan){canon->more_loans, index};
        canon->more_loans = loan;
    }
    put_pointer(native, handle->rep);
    return 0;
}

static int refuse_case(struct wisp_canon *canon, const struct wisp_type *type, uint32_t tag)
{
    return wisp_err_set(canon->err, WISP_ERR_GUEST, "invalid variant discriminant %u: %s%.*s%shas %u cases", tag,
                        type->name.len ? "`" : "it ", WISP_STR_ARG(type->name), type->name.len ? "` " : "",
                        type->n_fields);
}

/* A list whose native form differs from the one in memory, element by element. */
static int convert_list(struct wisp_canon *canon, const struct wisp_type *element, const uint8_t *at, uint32_t len,
                        struct wisp_canon_list *list)
{
    size_t native_size = element->native_size;
    if (!may_lift(canon, (uint64_t)len * native_size)) return wisp_canon_refuse_size(canon);
    char *to = wisp_arena_alloc(canon->arena, (size_t)len * native_size);
    list->ptr = to;
    for (uint32_t i = 0; i < len; i++, at += element->size, to += native_size) {
        int r = load(canon, element, at, to);
        if (r < 0) return wisp_err_wrap(canon->err, "element %u", i);
    }
    return 0;
}

static int lift_list(struct wisp_canon *canon, const struct wisp_type *type, uint32_t pointer, uint32_t len,
                     void *native)
{
    const struct wisp_type *element = type->element;
    uint64_t size = (uint64_t)len * element->size;
    if (size > WISP_CANON_BYTES_MAX || !in_memory(canon, pointer, element->align, size))
        return wisp_canon_refuse_range(canon, "list", pointer, element->align, size);
    const uint8_t *at = canon->memory + pointer;
    struct wisp_canon_list list = {at, len};
    if (element->is_bytes) {
        /* A view costs nothing here, but whoever gets it may copy it. */
        if (!may_lift(canon, size)) return wisp_canon_refuse_size(canon);
        if (canon->copy) list.ptr = memcpy(wisp_arena_alloc(canon->arena, size), at, size);
    } else {
        int r = convert_list(canon, element, at, len, &list);
        if (r < 0) return r;
    }
    memcpy(native, &list, sizeof list);
    return 0;
}

static int lift_string(struct wisp_canon *canon, uint32_t pointer, uint32_t units, void *native)
{
    struct wisp_str string;
    int r = wisp_canon_lift_string(canon, pointer, units, &string);
    if (r < 0) return r;
    memcpy(native, &string, sizeof string);
    return 0;
}

/* --- from linear memory --- */

static int load_fields(struct wisp_canon *canon, const struct wisp_type *type, const uint8_t *at, char *native)
{
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        int r = load(canon, field->type, at + field->offset, native + field->native_offset);
        if (r < 0) return r;
    }
    return 0;
}

/* An enum's tag, a variant's, or the bits of flags. */
static uint32_t load_tag(const struct wisp_type *type, const uint8_t *at)
{
    uint32_t tag = 0;
    switch (type->tag_size) {
    case 1:
        return at[0];
    case 2:
        memcpy(&tag, at, 2);
        return tag;
    default:
        return get_u32(at);
    }
}

static int load_variant(struct wisp_canon *canon, const struct wisp_type *type, const uint8_t *at, char *native)
{
    uint32_t tag = load_tag(type, at);
    if (tag >= type->n_fields) return refuse_case(canon, type, tag);
    put_u32(native, tag);
    const struct wisp_type_field *chosen = &type->fields[tag];
    return chosen->type ? load(canon, chosen->type, at + chosen->offset, native + chosen->native_offset) : 0;
}

/* `at` is aligned and type->size bytes from it are in memory. */
static int load(struct wisp_canon *canon, const struct wisp_type *type, const uint8_t *at, void *native)
{
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        *(bool *)native = at[0] != 0;
        return 0;
    case WISP_TYPE_S8:
    case WISP_TYPE_U8:
    case WISP_TYPE_S16:
    case WISP_TYPE_U16:
    case WISP_TYPE_S32:
    case WISP_TYPE_U32:
    case WISP_TYPE_S64:
    case WISP_TYPE_U64:
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        copy_scalar(native, at, type->size);
        return 0;
    case WISP_TYPE_CHAR:
        return lift_char(canon, get_u32(at), native);
    case WISP_TYPE_STRING:
        return lift_string(canon, get_u32(at), get_u32(at + 4), native);
    case WISP_TYPE_LIST:
        return lift_list(canon, type, get_u32(at), get_u32(at + 4), native);
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        return load_fields(canon, type, at, native);
    case WISP_TYPE_FLAGS:
        put_u32(native, load_tag(type, at) & flags_mask(type));
        return 0;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return load_variant(canon, type, at, native);
    case WISP_TYPE_OWN:
        return lift_own(canon, type->resource, get_u32(at), native);
    case WISP_TYPE_BORROW:
        return lift_borrow(canon, type->resource, get_u32(at), native);
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
    case WISP_TYPE_COUNT:
        break;
    }
    __builtin_unreachable();
}

/* --- from core values --- */

static int lift_flat(struct wisp_canon *canon, const struct wisp_type *type, const union wisp_raw *flat, void *native);

static int lift_flat_fields(struct wisp_canon *canon, const struct wisp_type *type, const union wisp_raw *flat,
                            char *native)
{
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        int r = lift_flat(canon, field->type, flat, native + field->native_offset);
        if (r < 0) return r;
        flat += field->type->n_flat;
    }
    return 0;
}

/* Cases share core values: an f32 may travel as i32, and either of them, or an f64, as i64. Each of these
 * conversions keeps the low bits, and a wisp_raw holds those in the same place whatever its kind: so the payload
 * is lifted as if no other case was there. */
static int lift_flat_variant(struct wisp_canon *canon, const struct wisp_type *type, const union wisp_raw *flat,
                             char *native)
{
    uint32_t tag = flat->u32;
    if (tag >= type->n_fields) return refuse_case(canon, type, tag);
    put_u32(native, tag);
    const struct wisp_type_field *chosen = &type->fields[tag];
    return chosen->type ? lift_flat(canon, chosen->type, flat + 1, native + chosen->native_offset) : 0;
}

/* Takes type->n_flat values. */
static int lift_flat(struct wisp_canon *canon, const struct wisp_type *type, const union wisp_raw *flat, void *native)
{
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        *(bool *)native = flat->u32 != 0;
        return 0;
    case WISP_TYPE_S8:
    case WISP_TYPE_U8:
    case WISP_TYPE_S16:
    case WISP_TYPE_U16:
    case WISP_TYPE_S32:
    case WISP_TYPE_U32:
    case WISP_TYPE_S64:
    case WISP_TYPE_U64:
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
        copy_scalar(native, flat->bytes, type->size);
        return 0;
    case WISP_TYPE_CHAR:
        return lift_char(canon, flat->u32, native);
    case WISP_TYPE_STRING:
        return lift_string(canon, flat[0].u32, flat[1].u32, native);
    case WISP_TYPE_LIST:
        return lift_list(canon, type, flat[0].u32, flat[1].u32, native);
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        return lift_flat_fields(canon, type, flat, native);
    case WISP_TYPE_FLAGS:
        put_u32(native, flat->u32 & flags_mask(type));
        return 0;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return lift_flat_variant(canon, type, flat, native);
    case WISP_TYPE_OWN:
        return lift_own(canon, type->resource, flat->u32, native);
    case WISP_TYPE_BORROW:
        return lift_borrow(canon, type->resource, flat->u32, native);
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
    case WISP_TYPE_COUNT:
        break;
    }
    __builtin_unreachable();
}

/* --- calls --- */

static void start_lift(struct wisp_canon *canon)
{
    canon->taken = NULL;
    canon->lift_left = canon->memory_size >= LIFT_BYTES_MAX / LIFT_BYTES_PER_MEMORY_BYTE
                           ? LIFT_BYTES_MAX
                           : canon->memory_size * LIFT_BYTES_PER_MEMORY_BYTE;
}

/* Whatever was owned by the guest is so again, or nobody would ever destroy it. */
static int undo_lift(struct wisp_canon *canon, int r)
{
    for (struct wisp_handle_taken *t = canon->taken; t; t = t->next)
        wisp_handles_adopt(canon->handles, t->resource, t->rep);
    canon->taken = NULL;
    return r;
}

static int fail_param(struct wisp_canon *canon, const struct wisp_func_type *type, uint32_t i, int r)
{
    const struct wisp_str name = type->params[i].name;
    (void)wisp_err_wrap(canon->err, "parameter %u%s%.*s%s", i + 1, name.len ? " `" : "", WISP_STR_ARG(name),
                        name.len ? "`" : "");
    return undo_lift(canon, r);
}

static int load_params(struct wisp_canon *canon, const struct wisp_func_type *type, uint32_t pointer, char *native)
{
    if (!in_memory(canon, pointer, type->params_align, type->params_size))
        return wisp_canon_refuse_range(canon, "parameters", pointer, type->params_align, type->params_size);
    const uint8_t *at = canon->memory + pointer;
    for (uint32_t i = 0; i < type->n_params; i++) {
        const struct wisp_type_field *param = &type->params[i];
        int r = load(canon, param->type, at + param->offset, native + param->native_offset);
        if (r < 0) return fail_param(canon, type, i, r);
    }
    return 0;
}

int wisp_canon_lift_params(struct wisp_canon *canon, const struct wisp_func_type *type, const union wisp_raw *flat,
                           void *native)
{
    start_lift(canon);
    if (type->params_in_memory) return load_params(canon, type, flat->u32, native);
    for (uint32_t i = 0; i < type->n_params; i++) {
        const struct wisp_type_field *param = &type->params[i];
        int r = lift_flat(canon, param->type, flat, (char *)native + param->native_offset);
        if (r < 0) return fail_param(canon, type, i, r);
        flat += param->type->n_flat;
    }
    return 0;
}

int wisp_canon_lift_result(struct wisp_canon *canon, const struct wisp_func_type *type, const union wisp_raw *flat,
                           void *native)
{
    const struct wisp_type *result = type->result;
    if (!result) return 0;
    start_lift(canon);
    int r;
    if (!type->result_in_memory)
        r = lift_flat(canon, result, flat, native);
    else if (!in_memory(canon, flat->u32, result->align, result->size))
        r = wisp_canon_refuse_range(canon, "the result", flat->u32, result->align, result->size);
    else
        r = load(canon, result, canon->memory + flat->u32, native);
    if (r < 0) {
        (void)wisp_err_wrap(canon->err, "result");
        return undo_lift(canon, r);
    }
    return 0;
}

void wisp_canon_end_borrows(struct wisp_canon *canon)
{
    /* A lent handle cannot be removed, so its index still means the same handle. */
    for (uint32_t i = 0; i < canon->n_loans; i++) canon->handles->slots[canon->loans[i]].lends--;
    for (struct wisp_handle_loan *loan = canon->more_loans; loan; loan = loan->next)
        canon->handles->slots[loan->index].lends--;
    canon->n_loans = 0;
    canon->more_loans = NULL;
}

/* --- refusals, for all of the canonical ABI --- */

int wisp_canon_refuse_range(struct wisp_canon *canon, const char *what, uint32_t pointer, uint32_t align, uint64_t size)
{
    if (size > WISP_CANON_BYTES_MAX)
        return wisp_err_set(canon->err, WISP_ERR_GUEST, "%s of %llu bytes, longer than %d", what,
                            (unsigned long long)size, WISP_CANON_BYTES_MAX);
    if (pointer & (align - 1))
        return wisp_err_set(canon->err, WISP_ERR_GUEST, "%s: unaligned pointer %#x, not a multiple of %u", what,
                            pointer, align);
    return wisp_err_set(canon->err, WISP_ERR_GUEST, "%s pointer/length out of bounds of memory: %llu bytes at %#x",
                        what, (unsigned long long)size, pointer);
}

int wisp_canon_refuse_size(struct wisp_canon *canon)
{
    return wisp_err_set(canon->err, WISP_ERR_LIMIT,
                        "the value stands for more than %d bytes per byte of memory, or %d MiB",
                        LIFT_BYTES_PER_MEMORY_BYTE, LIFT_BYTES_MAX >> 20);
}
