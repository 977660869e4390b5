/* SPDX-License-Identifier: Apache-2.0 */
/* Component Model value types, with everything the canonical ABI needs to know about them computed once: layout in
 * linear memory, flattening into core values, and layout of the native C value that host code works with.
 * (Component Model, CanonicalABI.md: "Alignment", "Element Size", "Flattening".)
 *
 * Native layout: the C value that a host function gets and gives for each type. It is what a C compiler makes of
 *
 *     bool                  bool (1 byte)          string    struct wisp_str, valid UTF-8
 *     u8 s8 .. u64 s64      the C integer          list<T>   struct { T *ptr; size_t len; }   (T * or const T *)
 *     f32 f64               float, double          record, tuple   struct of the fields in order
 *     char                  uint32_t               flags     uint32_t, bit i is label i
 *     own<R>, borrow<R>     void *, the representation          enum      uint32_t, index of the case
 *     stream<T>, future<T>  void *, an end of it (wrpc/stream.h)
 *     variant, option, result      struct { uint32_t tag; union { payloads }; }, the union left out when no case has
 *                           a payload. tag is the index of the case; option: none 0, some 1; result: ok 0, error 1.
 *     a record or tuple without fields: zero bytes (not an own struct).
 *
 * A type together with such a value is also the project's dynamic value. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum wisp_type_kind {
    WISP_TYPE_BOOL,
    WISP_TYPE_S8,
    WISP_TYPE_U8,
    WISP_TYPE_S16,
    WISP_TYPE_U16,
    WISP_TYPE_S32,
    WISP_TYPE_U32,
    WISP_TYPE_S64,
    WISP_TYPE_U64,
    WISP_TYPE_F32,
    WISP_TYPE_F64,
    WISP_TYPE_CHAR,
    WISP_TYPE_STRING,
    WISP_TYPE_LIST,
    WISP_TYPE_RECORD,
    WISP_TYPE_TUPLE,
    WISP_TYPE_FLAGS,
    WISP_TYPE_ENUM,
    WISP_TYPE_VARIANT,
    WISP_TYPE_OPTION,
    WISP_TYPE_RESULT,
    WISP_TYPE_OWN,
    WISP_TYPE_BORROW,
    WISP_TYPE_STREAM, /* these two are no types of guests: only what is said on the wire (wrpc/stream.h) has them */
    WISP_TYPE_FUTURE,
    WISP_TYPE_COUNT
};

/* Core WebAssembly value kinds, as in the binary format. */
enum wisp_flat { WISP_FLAT_I32 = 0x7f, WISP_FLAT_I64 = 0x7e, WISP_FLAT_F32 = 0x7d, WISP_FLAT_F64 = 0x7c };

enum {
    WISP_FLAT_PARAMS_MAX = 16,  /* more are passed in memory (MAX_FLAT_PARAMS) */
    WISP_FLAT_RESULTS_MAX = 1,  /* MAX_FLAT_RESULTS */
    WISP_TYPE_DEPTH_MAX = 100,  /* nesting of value types */
    WISP_TYPE_WEIGHT_MAX = 100000, /* types that a type is made of, each counted as often as it occurs */
};

/* A nominal resource type. One exists per import and per definition in each instance of a component.
 * Identity is the address. */
struct wisp_resource {
    struct wisp_str name;  /* "fields"; may be empty for a type never exported */
    struct wisp_str owner; /* interface it came from: "wasi:http/types@0.2.2"; empty at the root */
    uint32_t index;        /* position in the component's list of resources */
    bool is_imported;      /* defined outside; bound to a host resource when the component is linked */
    const struct wisp_host_resource *host; /* NULL until bound, and for resources that guests define */
    /* Guest-defined ones: the core function that destroys a representation, an index into the plan's core functions,
     * or -1. */
    int32_t destructor;
    uint32_t instance; /* component instance that defines it, index into the plan */
};

/* A name that an import or export gave to a type. One per import or export of a type: identity is the address, since
 * WIT tells by which name a type is referred to ("type headers = fields; constructor(headers: headers)"). */
struct wisp_type_name {
    struct wisp_str name;
    const struct wisp_type_name *alias_of; /* the named type that it is equal to (`type a = b`, `use`); NULL: none */
};

struct wisp_type;

/* Field of a record or tuple (name empty), case of a variant or enum or option or result, label of flags. */
struct wisp_type_field {
    struct wisp_str name;
    const struct wisp_type *type; /* NULL: a case without payload, a label */
    uint32_t offset;              /* in linear memory: of the field, or of the payload in every case */
    uint32_t native_offset;
};

/* Immutable once made; lives in the arena it was made in. */
struct wisp_type {
    enum wisp_type_kind kind;
    uint32_t size, align;               /* in linear memory */
    uint32_t native_size, native_align; /* of the C value */
    uint32_t weight;                    /* 1 + those of its parts: bounds what walking it costs */
    uint8_t depth;                      /* 1 + that of its deepest part */
    uint8_t tag_size;                   /* 1, 2 or 4 for enum, variant, option, result; byte size of flags */
    bool has_pointers;                  /* holds a string or list somewhere */
    bool has_handles;                   /* holds an own or borrow somewhere */
    bool has_streams;                   /* holds a stream or future somewhere */
    bool is_bytes;                      /* memory and native layout are the same and every bit pattern is valid */
    uint16_t n_flat;                    /* WISP_FLAT_PARAMS_MAX + 1 stands for "more than fit" */
    uint8_t flat[WISP_FLAT_PARAMS_MAX]; /* enum wisp_flat, the first n_flat */
    uint32_t n_fields;
    struct wisp_type_field *fields; /* record, tuple, flags, enum, variant; option: none, some; result: ok, error */
    const struct wisp_type *element; /* list, stream, future */
    struct wisp_resource *resource;  /* own, borrow */
    /* Where the type was given its name first; empty for anonymous types. Printing and messages only. */
    struct wisp_str name, owner;
    /* Own, borrow without a name: that of the resource as it is referred to here. Others: their own. NULL for anonymous
     * types. A type that gets a further name is copied, so that the name by which it is used is known. */
    const struct wisp_type_name *named;
};

struct wisp_func_type {
    uint32_t n_params;
    struct wisp_type_field *params; /* native_offset: within the struct of all parameters */
    const struct wisp_type *result; /* NULL: none */
    uint32_t native_params_size, native_params_align; /* of the struct of all parameters; 0 and 1 without any */
    /* Flattened signature of the lowered import (lower) and of the lifted export (lift), as core value kinds. */
    struct wisp_core_func_type {
        uint8_t n_params, n_results;
        uint8_t params[WISP_FLAT_PARAMS_MAX + 1];
        uint8_t results[WISP_FLAT_RESULTS_MAX];
    } lower, lift;
    bool has_handles, has_streams; /* somewhere in parameters or result */
    bool params_in_memory;         /* more than WISP_FLAT_PARAMS_MAX: one pointer instead */
    bool result_in_memory; /* more than WISP_FLAT_RESULTS_MAX: lower gets a pointer as last parameter, lift returns one */
    uint32_t params_size, params_align; /* of the tuple of all parameters in linear memory */
    struct wisp_type_field *params_layout; /* = params; offset: within that tuple */
};

/* --- makers (types.c). All fail with INVALID when a count, depth or size is beyond what the ABI allows (sizes stay
 * below 2^28), with LIMIT when beyond ours. `fields` is taken over and its offsets are filled in. --- */

/* One of the kinds up to STRING; a static object. */
const struct wisp_type *wisp_type_primitive(enum wisp_type_kind kind);
int wisp_type_list(struct wisp_arena *arena, const struct wisp_type *element, const struct wisp_type **ret_type,
                   struct wisp_err *err) __attribute__((warn_unused_result));
/* record, tuple, flags, enum, variant. */
int wisp_type_compound(struct wisp_arena *arena, enum wisp_type_kind kind, struct wisp_type_field *fields,
                       uint32_t n_fields, const struct wisp_type **ret_type, struct wisp_err *err)
    __attribute__((warn_unused_result));
int wisp_type_option(struct wisp_arena *arena, const struct wisp_type *some, const struct wisp_type **ret_type,
                     struct wisp_err *err) __attribute__((warn_unused_result));
/* ok and error may be NULL. */
int wisp_type_result(struct wisp_arena *arena, const struct wisp_type *ok, const struct wisp_type *error,
                     const struct wisp_type **ret_type, struct wisp_err *err) __attribute__((warn_unused_result));
/* The caller may name it. */
struct wisp_type *wisp_type_handle(struct wisp_arena *arena, enum wisp_type_kind own_or_borrow,
                                   struct wisp_resource *resource);
/* What they carry has a type of its own: it makes them deeper and gives them handles, but no pointers. */
int wisp_type_stream(struct wisp_arena *arena, enum wisp_type_kind stream_or_future, const struct wisp_type *element,
                     const struct wisp_type **ret_type, struct wisp_err *err) __attribute__((warn_unused_result));
/* `params` is taken over. */
int wisp_type_func(struct wisp_arena *arena, struct wisp_type_field *params, uint32_t n_params,
                   const struct wisp_type *result, const struct wisp_func_type **ret_type, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* Structural equality: kinds, field and case names, shapes; resources by identity. */
bool wisp_type_equal(const struct wisp_type *a, const struct wisp_type *b);
/* A caller and a function of these types understand each other, and their native structs are the same. Names of
 * parameters don't count. */
bool wisp_func_type_equal(const struct wisp_func_type *a, const struct wisp_func_type *b);
/* The same but for names: of fields, cases and labels. Native structs are the same, and values mean the same to two who
 * agree on the order of what is named. */
bool wisp_func_type_same_shape(const struct wisp_func_type *a, const struct wisp_func_type *b);
/* Copies a native value, perhaps to itself; what it points to goes to the arena. Handles, streams and futures are
 * copied as they are. */
void wisp_value_copy(struct wisp_arena *arena, const struct wisp_type *type, const void *from, void *to);
/* Calls the visitor for each handle, stream and future in a native value, in its order, with the place of the pointer. */
typedef void wisp_value_visitor(const struct wisp_type *type, const void *slot, void *env);
void wisp_value_visit(const struct wisp_type *type, const void *value, wisp_value_visitor *visitor, void *env);
/* As WIT writes it, without expanding named types ("list<tuple<string, u8>>", "own<fields>"); for messages. */
char *wisp_type_text(struct wisp_arena *arena, const struct wisp_type *type);
