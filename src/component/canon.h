/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical ABI: values between a guest's linear memory or core values and native C values (types.h).
 * Knows no engine: memory and calls into the guest come through struct wisp_canon. Everything from the guest is
 * checked: pointers, lengths, alignment, discriminants, chars, UTF-8, handles. A broken value is a GUEST error. */
#pragma once

#include "component/plan.h"
#include "wasm/raw.h"

enum {
    WISP_CANON_BYTES_MAX = (1 << 28) - 1, /* of one string or list in linear memory (MAX_STRING_BYTE_LENGTH) */
};

struct wisp_handles;
struct wisp_borrow_scope;

/* The guest side of one call; zeroed but for what is filled in. Owner: the calling thread, for the call's duration.
 *
 * Lists and strings of a guest may overlap, so that few bytes stand for many. One lift may therefore take in and
 * produce no more than 4 bytes for each byte of memory, and 256 MiB: no value without overlaps needs more than
 * the former. Beyond that it fails with LIMIT. */
struct wisp_canon {
    const struct wisp_canon_options *options;
    uint8_t *memory; /* base, aligned to 8, and size; valid until guest code runs */
    uint64_t memory_size;
    struct wisp_handles *handles;    /* of options->instance */
    struct wisp_arena *arena;        /* receives converted strings and lists */
    struct wisp_err *err;            /* filled on failure */
    struct wisp_borrow_scope *scope; /* lower_params: of the call being made; only for types with a borrow */
    /* Strings and byte lists are copied into the arena. Otherwise they point into guest memory where that is
     * possible, and are valid until guest code runs (the result of an export: until post-return). */
    bool copy;
    /* Calls the guest's realloc (0, 0, align, size) and refreshes memory and memory_size; <0 on trap, with
     * canon->err filled. */
    int (*realloc)(struct wisp_canon *canon, uint32_t align, uint32_t size, uint32_t *ret_pointer);
    void *env;

    /* The rest is private. */
    uint32_t n_loans, loans[4];          /* indices of handles lent to this call */
    struct wisp_handle_loan *more_loans; /* those beyond the first four */
    struct wisp_handle_taken *taken;     /* own handles this lift has taken out so far */
    uint64_t n_owns;                     /* own handles this lower has put in so far */
    uint64_t lift_left;                  /* bytes this lift may still take in and produce */
};

/* Guest to native. Lifting a call's parameters (import) or result (export). `native` has the type's native_size; what
 * no case or field covers is left alone. When it fails, own handles it took out are back in the table. Borrow handles
 * among the parameters are lent until wisp_canon_end_borrows. */
int wisp_canon_lift_params(struct wisp_canon *canon, const struct wisp_func_type *type, const union wisp_raw *flat,
                           void *native) __attribute__((warn_unused_result));
int wisp_canon_lift_result(struct wisp_canon *canon, const struct wisp_func_type *type, const union wisp_raw *flat,
                           void *native) __attribute__((warn_unused_result));
/* Native to guest. Result of a host function: `flat` are the import's core arguments (the last is the return pointer
 * when type->result_in_memory) and receive the core result. Parameters of an export: `flat` receives the arguments.
 * Owned representations in `native` belong to the handle table afterwards, even when it fails: then only
 * wisp_handles_deinit may follow. `native` must not point into this guest's memory. A tag that its type doesn't have
 * is INTERNAL. */
int wisp_canon_lower_result(struct wisp_canon *canon, const struct wisp_func_type *type, const void *native,
                            union wisp_raw *flat) __attribute__((warn_unused_result));
int wisp_canon_lower_params(struct wisp_canon *canon, const struct wisp_func_type *type, const void *native,
                            union wisp_raw *flat) __attribute__((warn_unused_result));
/* Gives lent handles back. Before the arena is emptied. */
void wisp_canon_end_borrows(struct wisp_canon *canon);

/* --- handle tables: one per component instance --- */

/* Zeroed is a valid empty table. Index 0 is never used (as the specification says), indices of freed handles are used
 * again, most recent first. */
struct wisp_handles {
    struct wisp_handle *slots;
    uint32_t n_slots, capacity, free_head, n_live;
};
enum { WISP_HANDLES_MAX = 1 << 16 }; /* each may stand for a few hundred bytes of host memory */

struct wisp_handle {
    struct wisp_resource *resource; /* NULL: free */
    void *rep;                      /* host resources: pointer; guest resources: the 32-bit representation */
    uint32_t lends;                 /* calls in progress that it is lent to */
    bool is_own;
    struct wisp_borrow_scope *scope; /* borrow: the call into this instance that it belongs to */
    uint32_t next_free;
};

/* A call into a guest: counts borrow handles it was given, which must be dropped before it returns. */
struct wisp_borrow_scope {
    uint32_t n_borrows;
};
/* To be called when the guest has returned: GUEST when it kept borrow handles. */
int wisp_borrow_scope_end(const struct wisp_borrow_scope *scope, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* LIMIT when the table is full. `scope` is NULL or counts the new handle. */
int wisp_handles_add(struct wisp_handles *handles, struct wisp_resource *resource, void *rep, bool is_own,
                     struct wisp_borrow_scope *scope, uint32_t *ret_index, struct wisp_err *err)
    __attribute__((warn_unused_result));
/* Puts an owned representation into a table that is about to go, so that it is destroyed with it. No limit. */
void wisp_handles_adopt(struct wisp_handles *handles, struct wisp_resource *resource, void *rep);
/* A live handle of this resource, or GUEST with what is wrong ("unknown handle index 7", "handle index 3 used with the
 * wrong type, expected `fields` but found `pollable`"). Valid until a handle is added. */
int wisp_handles_get(struct wisp_handles *handles, uint32_t index, const struct wisp_resource *resource,
                     struct wisp_handle **ret_handle, struct wisp_err *err) __attribute__((warn_unused_result));
/* Takes an own handle out, for passing it on: refused while lent. */
int wisp_handles_take(struct wisp_handles *handles, uint32_t index, const struct wisp_resource *resource,
                      void **ret_rep, struct wisp_err *err) __attribute__((warn_unused_result));
/* resource.drop: removes the handle, refused while lent. *ret_own tells whether the representation must be destroyed
 * now. */
int wisp_handles_drop(struct wisp_handles *handles, uint32_t index, const struct wisp_resource *resource,
                      void **ret_rep, bool *ret_own, struct wisp_err *err) __attribute__((warn_unused_result));
/* Calls `visit` for every own handle left, then frees the table. Last handle first. */
void wisp_handles_deinit(struct wisp_handles *handles,
                         void (*visit)(struct wisp_resource *resource, void *rep, void *env), void *env);
/* The same, but the table may be used again: it is as a new one, and keeps its room unless that is large. */
void wisp_handles_reset(struct wisp_handles *handles,
                        void (*visit)(struct wisp_resource *resource, void *rep, void *env), void *env);
