/* SPDX-License-Identifier: Apache-2.0 */
#include "wasm/wasm_priv.h"

#include <stdlib.h>

static const char *const trap_texts[] = {
    [WASMTIME_TRAP_CODE_STACK_OVERFLOW] = "call stack exhausted",
    [WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS] = "out-of-bounds memory access",
    [WASMTIME_TRAP_CODE_HEAP_MISALIGNED] = "misaligned memory access",
    [WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS] = "out-of-bounds table access",
    [WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL] = "indirect call to null",
    [WASMTIME_TRAP_CODE_BAD_SIGNATURE] = "indirect call with the wrong type",
    [WASMTIME_TRAP_CODE_INTEGER_OVERFLOW] = "integer overflow",
    [WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO] = "integer division by zero",
    [WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER] = "invalid conversion to integer",
    [WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED] = "unreachable code reached (abort or panic)",
    [WASMTIME_TRAP_CODE_INTERRUPT] = "interrupted",
    [WASMTIME_TRAP_CODE_OUT_OF_FUEL] = "out of fuel",
};

static void message_of(const wasm_trap_t *trap, const wasmtime_error_t *error, wasm_byte_vec_t *ret_text)
{
    if (error)
        wasmtime_error_message(error, ret_text);
    else
        wasm_trap_message(trap, ret_text);
    while (ret_text->size && (ret_text->data[ret_text->size - 1] == '\0' || ret_text->data[ret_text->size - 1] == '\n'))
        ret_text->size--;
}

/* The engine puts frames before the cause: the cause is on the last line, after "Caused by:" and an indent. */
static struct wisp_str cause_of(struct wisp_str text)
{
    static const char marker[] = "Caused by:";
    const char *at = text.len ? memmem(text.ptr, text.len, marker, sizeof marker - 1) : NULL;
    if (at) {
        size_t skipped = (size_t)(at - text.ptr) + sizeof marker - 1;
        text = (struct wisp_str){text.ptr + skipped, text.len - skipped};
    }
    while (text.len && strchr(" \n0123456789:", text.ptr[0])) text.ptr++, text.len--;
    struct wisp_str line, rest;
    return wisp_str_split(text, '\n', &line, &rest) ? line : text;
}

int wisp_wasm_err_take(struct wisp_wasm_store *store, wasm_trap_t *trap, wasmtime_error_t *error,
                       enum wisp_err_kind kind, struct wisp_err *err)
{
    wasm_byte_vec_t message;
    message_of(trap, error, &message);
    struct wisp_str whole = {message.data, message.size};
    wasmtime_trap_code_t code;
    const char *text = NULL;
    if (trap && wasmtime_trap_code(trap, &code) && code < WISP_COUNT(trap_texts)) text = trap_texts[code];
    struct wisp_str cause = text ? wisp_str_from(text) : cause_of(whole);
    int result = wisp_err_set(err, kind, "%.*s", WISP_STR_ARG(cause));
    if (store) {
        free(store->backtrace);
        store->backtrace = wisp_mem_dup(whole);
    }
    wasm_byte_vec_delete(&message);
    if (trap) wasm_trap_delete(trap);
    if (error) wasmtime_error_delete(error);
    return result;
}
