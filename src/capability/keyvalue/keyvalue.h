/* SPDX-License-Identifier: Apache-2.0 */
/* wrpc:keyvalue@0.2.0-draft: the interfaces that all key-value kinds export and that guest.c calls, with their native
 * structs. One table of functions serves all kinds: what a kind does is behind `run` of its state. */
#pragma once

#include "provider/provider.h"

enum {
    WISP_KEYVALUE_BUCKET_MAX = 1024,     /* bytes of a bucket's name */
    WISP_KEYVALUE_KEY_MAX = 8192,        /* bytes of a key */
    WISP_KEYVALUE_VALUE_MAX = 32 << 20,  /* bytes of a value */
    WISP_KEYVALUE_BATCH_MAX = 1 << 16,   /* keys of one call */
    WISP_KEYVALUE_ANSWER_MAX = 64 << 20, /* bytes of all values of one answer */
    WISP_KEYVALUE_PAGE_KEYS = 1000,      /* keys that list-keys gives at once, where we choose */
    WISP_KEYVALUE_WAIT_MS = 5000,        /* for a server that is away, a file that is locked */
};

/* In the order of the table. */
enum wisp_keyvalue_verb {
    WISP_KEYVALUE_GET,
    WISP_KEYVALUE_SET,
    WISP_KEYVALUE_DELETE,
    WISP_KEYVALUE_EXISTS,
    WISP_KEYVALUE_LIST_KEYS,
    WISP_KEYVALUE_INCREMENT,
    WISP_KEYVALUE_GET_MANY,
    WISP_KEYVALUE_SET_MANY,
    WISP_KEYVALUE_DELETE_MANY,
    WISP_KEYVALUE_VERB_COUNT
};
extern const struct wisp_provider_func wisp_keyvalue_funcs[WISP_KEYVALUE_VERB_COUNT];

extern const struct wisp_provider_interface wisp_keyvalue_store, wisp_keyvalue_atomics, wisp_keyvalue_batch;
/* store, atomics, batch */
enum { WISP_KEYVALUE_EXPORT_COUNT = 3 };
extern const struct wisp_provider_interface *const wisp_keyvalue_exports[WISP_KEYVALUE_EXPORT_COUNT];

/* --- arguments --- */

/* get, delete, exists */
struct wisp_keyvalue_key_args {
    struct wisp_str bucket, key;
};
struct wisp_keyvalue_set_args {
    struct wisp_str bucket, key;
    struct wisp_bytes value;
};
struct wisp_keyvalue_list_args {
    struct wisp_str bucket;
    uint32_t has_cursor;
    uint64_t cursor;
};
struct wisp_keyvalue_increment_args {
    struct wisp_str bucket, key;
    uint64_t delta;
};
/* get-many, delete-many */
struct wisp_keyvalue_keys_args {
    struct wisp_str bucket;
    const struct wisp_str *keys;
    size_t n;
};
struct wisp_keyvalue_pair {
    struct wisp_str key;
    struct wisp_bytes value;
};
struct wisp_keyvalue_pairs_args {
    struct wisp_str bucket;
    const struct wisp_keyvalue_pair *pairs;
    size_t n;
};

/* --- results --- */

enum wisp_keyvalue_error_case { WISP_KEYVALUE_NO_SUCH_STORE, WISP_KEYVALUE_ACCESS_DENIED, WISP_KEYVALUE_OTHER };

struct wisp_keyvalue_error {
    uint32_t tag;
    struct wisp_str text; /* of `other` */
};
/* set, delete, set-many, delete-many; and the beginning of every other result that is an error */
struct wisp_keyvalue_done {
    uint32_t is_err;
    struct wisp_keyvalue_error error;
};
struct wisp_keyvalue_value {
    uint32_t is_err;
    union {
        struct {
            uint32_t is_some;
            struct wisp_bytes value;
        };
        struct wisp_keyvalue_error error;
    };
};
struct wisp_keyvalue_found {
    uint32_t is_err;
    union {
        bool exists;
        struct wisp_keyvalue_error error;
    };
};
struct wisp_keyvalue_keys {
    uint32_t is_err;
    union {
        struct {
            const struct wisp_str *keys;
            size_t n;
            uint32_t has_cursor;
            uint64_t cursor;
        };
        struct wisp_keyvalue_error error;
    };
};
struct wisp_keyvalue_number {
    uint32_t is_err;
    union {
        uint64_t number;
        struct wisp_keyvalue_error error;
    };
};
struct wisp_keyvalue_maybe_pair {
    uint32_t is_some;
    struct wisp_keyvalue_pair pair;
};
struct wisp_keyvalue_values {
    uint32_t is_err;
    union {
        struct {
            const struct wisp_keyvalue_maybe_pair *pairs;
            size_t n;
        };
        struct wisp_keyvalue_error error;
    };
};
union wisp_keyvalue_result {
    struct wisp_keyvalue_done done;
    struct wisp_keyvalue_value value;
    struct wisp_keyvalue_found found;
    struct wisp_keyvalue_keys keys;
    struct wisp_keyvalue_number number;
    struct wisp_keyvalue_values values;
};

/* --- kinds --- */

/* First member of what provider->state of a key-value kind points to. */
struct wisp_keyvalue_kind {
    /* `args` is within the limits above; call->link is there. */
    void (*run)(struct wisp_provider_call *call, enum wisp_keyvalue_verb verb, const void *args);
};

/* UNSUPPORTED for a link that wants the provider to call a component: for kinds that watch no keys (watch.h). */
int wisp_keyvalue_check_link(const struct wisp_provider_link *link, struct wisp_err *err)
    __attribute__((warn_unused_result));

/* They end the call. Text and values are used before they return. */
void wisp_keyvalue_fail(struct wisp_provider_call *call, enum wisp_keyvalue_error_case error_case, const char *format,
                        ...) __attribute__((format(printf, 3, 4)));
/* As `other`; DENIED as access-denied, with the cause in the log. */
void wisp_keyvalue_fail_with(struct wisp_provider_call *call, const struct wisp_err *err);
/* In on_cancel: nobody hears it. */
void wisp_keyvalue_fail_cancelled(struct wisp_provider_call *call);
void wisp_keyvalue_return_done(struct wisp_provider_call *call);
/* ptr NULL: none. */
void wisp_keyvalue_return_value(struct wisp_provider_call *call, struct wisp_bytes value);
void wisp_keyvalue_return_exists(struct wisp_provider_call *call, bool exists);
/* cursor 0: it was the last page. */
void wisp_keyvalue_return_keys(struct wisp_provider_call *call, const struct wisp_str *keys, size_t n, uint64_t cursor);
void wisp_keyvalue_return_number(struct wisp_provider_call *call, uint64_t number);
void wisp_keyvalue_return_values(struct wisp_provider_call *call, const struct wisp_keyvalue_maybe_pair *pairs,
                                 size_t n);

/* Decimal text of a counter; INVALID when it is none, LIMIT when the sum is beyond UINT64_MAX. */
int wisp_keyvalue_add(struct wisp_str value, uint64_t delta, uint64_t *ret_sum, struct wisp_err *err)
    __attribute__((warn_unused_result));
