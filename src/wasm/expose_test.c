/* SPDX-License-Identifier: Apache-2.0 */
/* What instances of a module can change is exported, or the module is refused; the engine takes what comes out. */
#include "wasm/expose.h"

#include "test.h"
#include "wasm/wasm_priv.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct wisp_wasm_engine *engine;
static struct wisp_err err;

static void set_up(void)
{
    struct wisp_wasm_engine_options options = {.compile_only = true, .cache_dir = ""};
    CHECK_OK(wisp_wasm_engine_new(&engine, &options, &err), &err);
}

static void tear_down(void) { wisp_wasm_engine_free(engine); }

static int expose(const char *text, struct wisp_buf *ret_binary)
{
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    CHECK_OK(wisp_wasm_text_to_binary(wisp_str_from(text), &binary, &err), &err);
    return wisp_wasm_expose(wisp_buf_str(&binary), KEY, ret_binary, &err);
}

static bool has_export(wasmtime_module_t *module, const char *what, uint32_t number)
{
    char name[WISP_WASM_EXPOSED_NAME_SIZE];
    wisp_wasm_exposed_name(KEY, what, number, name);
    wisp_engine_module_export_t *found = wisp_engine_module_export_find(module, name, strlen(name));
    if (found) wisp_engine_module_export_delete(found);
    return found;
}

static void check_exposed(const char *text, uint32_t n_memories, uint32_t n_globals)
{
    WISP_CLEANUP_BUF struct wisp_buf exposed = {0};
    CHECK_OK(expose(text, &exposed), &err);
    wasmtime_module_t *module = NULL;
    wasmtime_error_t *error = wasmtime_module_new(engine->engine, (const uint8_t *)exposed.data, exposed.len, &module);
    if (error) {
        (void)wisp_wasm_err_take(NULL, NULL, error, WISP_ERR_INVALID, &err);
        wisp_test_fail(__FILE__, __LINE__, "%s: %s", text, err.text);
    }
    CHECK(has_export(module, WISP_WASM_EXPOSED_ALL, 0));
    for (uint32_t i = 0; i <= n_memories; i++)
        CHECK_INT(has_export(module, WISP_WASM_EXPOSED_MEMORY, i), i < n_memories);
    for (uint32_t i = 0; i <= n_globals; i++) CHECK_INT(has_export(module, WISP_WASM_EXPOSED_GLOBAL, i), i < n_globals);
    wasmtime_module_delete(module);
}

static void check_refused(const char *text, const char *why)
{
    WISP_CLEANUP_BUF struct wisp_buf exposed = {0};
    CHECK_INT(expose(text, &exposed), -WISP_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, why);
    CHECK_INT(exposed.len, 0);
}

TEST(what_can_change_is_exported)
{
    set_up();
    check_exposed("(module (memory 1) (global (mut i32) (i32.const 1)) (global i32 (i32.const 2))"
                  " (global (mut v128) (v128.const i64x2 3 4)) (func (export \"f\") (global.set 0 (i32.const 4))))",
                  1, 2);
    /* No exports of its own, and nothing but a function. */
    check_exposed("(module (func))", 0, 0);
    check_exposed("(module (memory 1))", 1, 0);
    check_exposed("(module (global (mut i64) (i64.const -1)))", 0, 1);
    /* What is imported is exposed where it is defined. */
    check_exposed("(module (import \"a\" \"m\" (memory 1)) (import \"a\" \"g\" (global (mut i32)))"
                  " (import \"a\" \"t\" (table 1 funcref)) (import \"a\" \"f\" (func))"
                  " (memory 2) (global (mut i64) (i64.const 0)) (elem (i32.const 0) func 0)"
                  " (func (export \"f\") (call_indirect (i32.const 0))) (data (i32.const 8) \"x\"))",
                  1, 1);
    check_exposed("(module (memory i64 1) (memory 1 2) (table 3 funcref) (elem (i32.const 0) $f) (func $f)"
                  " (start $f) (data (i64.const 1) \"abc\") (data \"passive\"))",
                  2, 0);
    tear_down();
}

/* The bytes of instructions that change tables or drop segments, as something else. */
TEST(immediates_are_not_instructions)
{
    set_up();
    check_exposed(
        "(module (memory 1) (memory 1) (table 1 funcref) (type $t (func (param i32) (result i32)))"
        " (elem declare func $f) (data $d \"x\")"
        " (func $f (param i32) (result i32) (local $v v128) (local $r funcref)"
        "  (drop (i32.const 38)) (drop (i32.const -0x7fffffff)) (drop (i64.const 0x26fc0dfc09fc0f26))"
        "  (drop (f32.const 0x1.4c4c4cp-50)) (drop (f64.const 0x1.c0dfc09fc0f26p-1))"
        "  (drop (v128.const i64x2 0x26fc0dfc09fc0f26 0x26fc0dfc09fc0f26))"
        "  (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get $v) (local.get $v)))"
        "  (drop (i64x2.extract_lane 1 (v128.load8_lane 1 offset=38 3 (i32.const 38) (local.get $v))))"
        "  (drop (v128.load32_zero 1 offset=38 (i32.const 38))) (drop (i32x4.relaxed_trunc_f32x4_s (local.get $v)))"
        "  (i32.store 1 offset=0x26fc align=1 (i32.const 0) (i32.load 0 offset=38 (i32.const 38)))"
        "  (memory.fill 1 (i32.const 0) (i32.const 0) (i32.const 0)) (drop (memory.grow 1 (i32.const 0)))"
        "  (memory.copy 0 1 (i32.const 0) (i32.const 0) (i32.const 0)) (drop (memory.size 1))"
        "  (memory.init 1 $d (i32.const 0) (i32.const 0) (i32.const 0)) (drop (table.size 0))"
        "  (drop (table.get 0 (i32.const 0))) (drop (ref.is_null (ref.null func))) (drop (ref.func $f))"
        "  (drop (select (result funcref) (ref.null func) (local.get $r) (i32.const 1)))"
        "  (drop (block (result funcref) (ref.null func)))"
        "  (block (loop (br_if 1 (i32.const 1)) (br_table 0 1 0 1 (i32.const 38))))"
        "  (drop (block (result i32) (if (result i32) (i32.const 1) (then (i32.const 38)) (else (i32.const 38)))))"
        "  (drop (i32.trunc_sat_f64_u (f64.const 1))) (drop (local.tee 0 (i32.const 38)))"
        "  (drop (call_indirect (type $t) (i32.const 1) (i32.const 0))) (return_call $f (local.get 0))))",
        2, 0);
    tear_down();
}

#define IN_FUNCTION(code)                                                                                              \
    "(module (memory 1) (table 9 funcref) (elem $e func 0) (data $d \"x\") (func (block (loop (nop))) " code "))"

TEST(more_than_numbers_is_refused)
{
    set_up();
    static const char table[] = "a function changes a table", segment[] = "a function drops a segment";
    check_refused(IN_FUNCTION("(table.set 0 (i32.const 0) (ref.null func))"), table);
    check_refused(IN_FUNCTION("(drop (table.grow 0 (ref.null func) (i32.const 1)))"), table);
    check_refused(IN_FUNCTION("(table.fill 0 (i32.const 0) (ref.null func) (i32.const 1))"), table);
    check_refused(IN_FUNCTION("(table.copy 0 0 (i32.const 0) (i32.const 0) (i32.const 1))"), table);
    check_refused(IN_FUNCTION("(table.init 0 $e (i32.const 0) (i32.const 0) (i32.const 1))"), table);
    check_refused(IN_FUNCTION("(elem.drop $e)"), segment);
    check_refused(IN_FUNCTION("(data.drop $d)"), segment);
    check_refused(IN_FUNCTION("(drop (i32.atomic.load (i32.const 0)))"), "an unknown instruction");
    check_refused("(module (global (mut funcref) (ref.null func)))", "holds no number");
    check_refused("(module (memory 1 2 shared))", "shared");
    check_refused("(module (import \"a\" \"m\" (memory 1 2 shared)))", "shared");
    check_refused("(module (tag) (func))", "exceptions");
    check_refused("(module)", "there is nothing in it");
    tear_down();
}

TEST(many_globals_are_refused)
{
    set_up();
    WISP_CLEANUP_BUF struct wisp_buf text = {0}, exposed = {0};
    for (uint32_t n = WISP_WASM_EXPOSED_MAX; n <= WISP_WASM_EXPOSED_MAX + 1; n++) {
        text.len = 0;
        wisp_buf_append_str(&text, WISP_STR("(module "));
        for (uint32_t i = 0; i < n; i++) wisp_buf_append_str(&text, WISP_STR("(global (mut i32) (i32.const 1))"));
        wisp_buf_append(&text, ")", 2);
        if (n == WISP_WASM_EXPOSED_MAX)
            check_exposed(text.data, 0, n);
        else
            check_refused(text.data, "many globals");
    }
    tear_down();
}

/* Cut off anywhere, it is broken or, between sections, another module. */
TEST(every_beginning_is_read_safely)
{
    set_up();
    WISP_CLEANUP_BUF struct wisp_buf binary = {0};
    static const char text[] = "(module (import \"a\" \"f\" (func)) (memory 1) (global (mut i32) (i32.const 1))"
                               " (export \"m\" (memory 0)) (func (call 0) (i32.store (i32.const 1) (i32.const 2)))"
                               " (data (i32.const 0) \"abc\"))";
    CHECK_OK(wisp_wasm_text_to_binary(wisp_str_from(text), &binary, &err), &err);
    for (size_t len = 0; len < binary.len; len++) {
        WISP_CLEANUP_BUF struct wisp_buf exposed = {0};
        WISP_CLEANUP_FREE char *part = wisp_mem_alloc(len + 1); /* of its own, so that sanitizers know its end */
        memcpy(part, binary.data, len);
        int r = wisp_wasm_expose((struct wisp_str){part, len}, KEY, &exposed, &err);
        CHECK(r == 0 || r == -WISP_ERR_INVALID || r == -WISP_ERR_UNSUPPORTED);
        CHECK_INT(exposed.len != 0, r == 0);
    }
    tear_down();
}
