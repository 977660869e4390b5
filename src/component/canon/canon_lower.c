/* SPDX-License-Identifier: Apache-2.0 */
/* Native to guest: to core values (lower_flat) and to linear memory (store). Strings and lists are placed by the
 * guest's realloc, after which memory may have moved: so places in it are kept as addresses.
 *
 * Bytes that no field covers (padding, the rest of a shorter case) are not written: the guest must never see what
 * the host had there. */
#include "component/canon/canon_priv.h"

static int store(struct wisp_canon *canon, const struct wisp_type *type, const void *native, uint32_t address);

int wisp_canon_alloc(struct wisp_canon *canon, uint32_t align, uint64_t size, uint32_t *ret_pointer)
{
    if (size > UINT32_MAX)
        return wisp_err_set(canon->err, WISP_ERR_LIMIT, "a value of %llu bytes is too long for a component",
                            (unsigned long long)size);
    uint32_t pointer;
    int r = canon->realloc(canon, align, (uint32_t)size, &pointer);
    if (r < 0) return r;
    if (pointer & (align - 1))
        return wisp_err_set(canon->err, WISP_ERR_GUEST,
                            "realloc return: result not aligned: unaligned pointer %#x, "
                            "not a multiple of %u",
                            pointer, align);
    if (!in_memory(canon, pointer, align, size))
        return wisp_err_set(canon->err, WISP_ERR_GUEST, "realloc return: beyond end of memory: %llu bytes at %#x",
                            (unsigned long long)size, pointer);
    *ret_pointer = pointer;
    return 0;
}

/* --- leaves --- */

static int lower_own(struct wisp_canon *canon, struct wisp_resource *resource, const void *native, uint32_t *ret_index)
{
    int r = wisp_handles_add(canon->handles, resource, get_pointer(native), true, NULL, ret_index, canon->err);
    if (r == 0) canon->n_owns++;
    return r;
}

static int lower_borrow(struct wisp_canon *canon, struct wisp_resource *resource, const void *native,
                        uint32_t *ret_index)
{
    void *rep = get_pointer(native);
    if (!resource->is_imported && resource->instance == canon->options->instance) {
        /* The instance that defines a resource gets the representation itself. */
        *ret_index = (uint32_t)(uintptr_t)rep;
        return 0;
    }
    return wisp_handles_add(canon->handles, resource, rep, false, canon->scope, ret_index, canon->err);
}

static int lower_string(struct wisp_canon *canon, const void *native, uint32_t *ret_pointer, uint32_t *ret_units)
{
    struct wisp_str string;
    memcpy(&string, native, sizeof string);
    return wisp_canon_lower_string(canon, string, ret_pointer, ret_units);
}

/* Bytes that the fields of an is_bytes type cover: less than its size when there is padding. */
static uint32_t covered_size(const struct wisp_type *type)
{
    if (type->kind != WISP_TYPE_RECORD && type->kind != WISP_TYPE_TUPLE) return type->size;
    uint32_t size = 0;
    for (uint32_t i = 0; i < type->n_fields; i++) size += covered_size(type->fields[i].type);
    return size;
}

static int lower_list(struct wisp_canon *canon, const struct wisp_type *type, const void *native, uint32_t *ret_pointer,
                      uint32_t *ret_len)
{
    const struct wisp_type *element = type->element;
    struct wisp_canon_list list;
    memcpy(&list, native, sizeof list);
    uint64_t size;
    if (list.len > UINT32_MAX || __builtin_mul_overflow(list.len, element->size, &size))
        return wisp_err_set(canon->err, WISP_ERR_LIMIT, "a list of %zu elements is too long for a component", list.len);
    uint32_t pointer;
    int r = wisp_canon_alloc(canon, element->align, size, &pointer);
    if (r < 0) return r;
    *ret_pointer = pointer;
    *ret_len = (uint32_t)list.len;
    if (element->is_bytes && covered_size(element) == element->size) {
        if (size) memcpy(canon->memory + pointer, list.ptr, size);
        return 0;
    }
    const char *from = list.ptr;
    for (size_t i = 0; i < list.len; i++, from += element->native_size, pointer += element->size)
        if ((r = store(canon, element, from, pointer)) < 0) return r;
    return 0;
}

static int check_tag(struct wisp_canon *canon, const struct wisp_type *type, uint32_t tag)
{
    if (tag < type->n_fields) return 0;
    return wisp_err_set(canon->err, WISP_ERR_INTERNAL, "the host gave case %u of `%.*s`, which has %u", tag,
                        WISP_STR_ARG(type->name), type->n_fields);
}

/* --- to linear memory --- */

static void store_scalar(struct wisp_canon *canon, uint32_t address, const void *from, uint32_t size)
{
    copy_scalar(canon->memory + address, from, size);
}

static void store_u32(struct wisp_canon *canon, uint32_t address, uint32_t value)
{
    store_scalar(canon, address, &value, sizeof value);
}

/* An enum's tag, a variant's, or the bits of flags. */
static void store_tag(struct wisp_canon *canon, const struct wisp_type *type, uint32_t address, uint32_t value)
{
    uint64_t wide = value;
    store_scalar(canon, address, &wide, type->tag_size);
}

static int store_string(struct wisp_canon *canon, const void *native, uint32_t address)
{
    uint32_t pointer, units;
    int r = lower_string(canon, native, &pointer, &units);
    if (r < 0) return r;
    store_u32(canon, address, pointer);
    store_u32(canon, address + 4, units);
    return 0;
}

static int store_list(struct wisp_canon *canon, const struct wisp_type *type, const void *native, uint32_t address)
{
    uint32_t pointer, len;
    int r = lower_list(canon, type, native, &pointer, &len);
    if (r < 0) return r;
    store_u32(canon, address, pointer);
    store_u32(canon, address + 4, len);
    return 0;
}

static int store_fields(struct wisp_canon *canon, const struct wisp_type *type, const char *native, uint32_t address)
{
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        int r = store(canon, field->type, native + field->native_offset, address + field->offset);
        if (r < 0) return r;
    }
    return 0;
}

static int store_variant(struct wisp_canon *canon, const struct wisp_type *type, const char *native, uint32_t address)
{
    uint32_t tag = get_u32(native);
    int r = check_tag(canon, type, tag);
    if (r < 0) return r;
    store_tag(canon, type, address, tag);
    const struct wisp_type_field *chosen = &type->fields[tag];
    return chosen->type ? store(canon, chosen->type, native + chosen->native_offset, address + chosen->offset) : 0;
}

static int store_handle(struct wisp_canon *canon, const struct wisp_type *type, const void *native, uint32_t address)
{
    uint32_t index = 0;
    int r = type->kind == WISP_TYPE_OWN ? lower_own(canon, type->resource, native, &index)
                                        : lower_borrow(canon, type->resource, native, &index);
    if (r < 0) return r;
    store_u32(canon, address, index);
    return 0;
}

/* `address` is aligned and type->size bytes from it are in memory. */
static int store(struct wisp_canon *canon, const struct wisp_type *type, const void *native, uint32_t address)
{
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        canon->memory[address] = *(const bool *)native;
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
    case WISP_TYPE_CHAR:
        store_scalar(canon, address, native, type->size);
        return 0;
    case WISP_TYPE_STRING:
        return store_string(canon, native, address);
    case WISP_TYPE_LIST:
        return store_list(canon, type, native, address);
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        return store_fields(canon, type, native, address);
    case WISP_TYPE_FLAGS:
        store_tag(canon, type, address, get_u32(native) & flags_mask(type));
        return 0;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return store_variant(canon, type, native, address);
    case WISP_TYPE_OWN:
    case WISP_TYPE_BORROW:
        return store_handle(canon, type, native, address);
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
    case WISP_TYPE_COUNT:
        break;
    }
    __builtin_unreachable();
}

/* --- to core values --- */

static int lower_flat(struct wisp_canon *canon, const struct wisp_type *type, const void *native, union wisp_raw *flat);

static int lower_flat_fields(struct wisp_canon *canon, const struct wisp_type *type, const char *native,
                             union wisp_raw *flat)
{
    for (uint32_t i = 0; i < type->n_fields; i++) {
        const struct wisp_type_field *field = &type->fields[i];
        int r = lower_flat(canon, field->type, native + field->native_offset, flat);
        if (r < 0) return r;
        flat += field->type->n_flat;
    }
    return 0;
}

/* Cases share core values: an f32 may travel as i32, and either of them, or an f64, as i64, zero-extended. All values
 * are written in this widest form, which leaves the narrower ones what they are. */
static int lower_flat_variant(struct wisp_canon *canon, const struct wisp_type *type, const char *native,
                              union wisp_raw *flat)
{
    uint32_t tag = get_u32(native), used = 1;
    int r = check_tag(canon, type, tag);
    if (r < 0) return r;
    flat->u64 = tag;
    const struct wisp_type_field *chosen = &type->fields[tag];
    if (chosen->type) {
        r = lower_flat(canon, chosen->type, native + chosen->native_offset, flat + 1);
        if (r < 0) return r;
        used += chosen->type->n_flat;
    }
    for (; used < type->n_flat; used++) flat[used].u64 = 0;
    return 0;
}

static int lower_flat_pair(int r, uint32_t pointer, uint32_t len, union wisp_raw *flat)
{
    if (r < 0) return r;
    flat[0].u64 = pointer;
    flat[1].u64 = len;
    return 0;
}

/* Gives type->n_flat values, each with all of its 64 bits, zeros above the narrow ones: see lower_flat_variant. */
static int lower_flat(struct wisp_canon *canon, const struct wisp_type *type, const void *native, union wisp_raw *flat)
{
    uint32_t first = 0, second = 0;
    int r;
    switch (type->kind) {
    case WISP_TYPE_BOOL:
        flat->u64 = *(const bool *)native;
        return 0;
    case WISP_TYPE_S8:
        flat->u64 = (uint32_t)*(const int8_t *)native;
        return 0;
    case WISP_TYPE_S16:
        flat->u64 = (uint32_t)*(const int16_t *)native;
        return 0;
    case WISP_TYPE_U8:
    case WISP_TYPE_U16:
    case WISP_TYPE_S32:
    case WISP_TYPE_U32:
    case WISP_TYPE_S64:
    case WISP_TYPE_U64:
    case WISP_TYPE_F32:
    case WISP_TYPE_F64:
    case WISP_TYPE_CHAR:
        flat->u64 = 0;
        copy_scalar(flat->bytes, native, type->size);
        return 0;
    case WISP_TYPE_STRING:
        r = lower_string(canon, native, &first, &second);
        return lower_flat_pair(r, first, second, flat);
    case WISP_TYPE_LIST:
        r = lower_list(canon, type, native, &first, &second);
        return lower_flat_pair(r, first, second, flat);
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        return lower_flat_fields(canon, type, native, flat);
    case WISP_TYPE_FLAGS:
        flat->u64 = get_u32(native) & flags_mask(type);
        return 0;
    case WISP_TYPE_ENUM:
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT:
        return lower_flat_variant(canon, type, native, flat);
    case WISP_TYPE_OWN:
        r = lower_own(canon, type->resource, native, &first);
        flat->u64 = first;
        return r;
    case WISP_TYPE_BORROW:
        r = lower_borrow(canon, type->resource, native, &first);
        flat->u64 = first;
        return r;
    case WISP_TYPE_STREAM:
    case WISP_TYPE_FUTURE:
    case WISP_TYPE_COUNT:
        break;
    }
    __builtin_unreachable();
}

/* --- after a failure --- */

/* Visits owned representations in the order in which they are lowered, and puts those into the table that were not
 * reached: the first canon->n_owns are in it already. */
static void adopt_owns(struct wisp_canon *canon, const struct wisp_type *type, const char *native)
{
    if (!type || !type->has_handles) return;
    switch (type->kind) {
    case WISP_TYPE_OWN:
        if (canon->n_owns)
            canon->n_owns--;
        else
            wisp_handles_adopt(canon->handles, type->resource, get_pointer(native));
        return;
    case WISP_TYPE_RECORD:
    case WISP_TYPE_TUPLE:
        for (uint32_t i = 0; i < type->n_fields; i++)
            adopt_owns(canon, type->fields[i].type, native + type->fields[i].native_offset);
        return;
    case WISP_TYPE_LIST: {
        struct wisp_canon_list list;
        memcpy(&list, native, sizeof list);
        for (size_t i = 0; i < list.len; i++)
            adopt_owns(canon, type->element, (const char *)list.ptr + i * type->element->native_size);
        return;
    }
    case WISP_TYPE_VARIANT:
    case WISP_TYPE_OPTION:
    case WISP_TYPE_RESULT: {
        uint32_t tag = get_u32(native);
        if (tag < type->n_fields) adopt_owns(canon, type->fields[tag].type, native + type->fields[tag].native_offset);
        return;
    }
    default:
        return;
    }
}

/* --- calls --- */

static int lower_into_result(struct wisp_canon *canon, const struct wisp_func_type *type, const void *native,
                             union wisp_raw *flat)
{
    const struct wisp_type *result = type->result;
    if (!type->result_in_memory) return lower_flat(canon, result, native, flat);
    uint32_t address = flat[type->lower.n_params - 1].u32;
    if (!in_memory(canon, address, result->align, result->size))
        return wisp_canon_refuse_range(canon, "return", address, result->align, result->size);
    return store(canon, result, native, address);
}

int wisp_canon_lower_result(struct wisp_canon *canon, const struct wisp_func_type *type, const void *native,
                            union wisp_raw *flat)
{
    if (!type->result) return 0;
    canon->n_owns = 0;
    int r = lower_into_result(canon, type, native, flat);
    if (r == 0) return 0;
    adopt_owns(canon, type->result, native);
    (void)wisp_err_wrap(canon->err, "result");
    return r;
}

static int store_params(struct wisp_canon *canon, const struct wisp_func_type *type, const char *native,
                        union wisp_raw *flat)
{
    uint32_t address;
    int r = wisp_canon_alloc(canon, type->params_align, type->params_size, &address);
    if (r < 0) return r;
    flat->u64 = address;
    for (uint32_t i = 0; i < type->n_params; i++) {
        const struct wisp_type_field *param = &type->params[i];
        r = store(canon, param->type, native + param->native_offset, address + param->offset);
        if (r < 0) return r;
    }
    return 0;
}

static int lower_flat_params(struct wisp_canon *canon, const struct wisp_func_type *type, const char *native,
                             union wisp_raw *flat)
{
    for (uint32_t i = 0; i < type->n_params; i++) {
        const struct wisp_type_field *param = &type->params[i];
        int r = lower_flat(canon, param->type, native + param->native_offset, flat);
        if (r < 0) return r;
        flat += param->type->n_flat;
    }
    return 0;
}

int wisp_canon_lower_params(struct wisp_canon *canon, const struct wisp_func_type *type, const void *native,
                            union wisp_raw *flat)
{
    canon->n_owns = 0;
    int r =
        type->params_in_memory ? store_params(canon, type, native, flat) : lower_flat_params(canon, type, native, flat);
    if (r == 0) return 0;
    for (uint32_t i = 0; i < type->n_params; i++)
        adopt_owns(canon, type->params[i].type, (const char *)native + type->params[i].native_offset);
    (void)wisp_err_wrap(canon->err, "parameters");
    return r;
}
