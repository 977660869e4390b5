    (func $inner unreachable)
    (func $run (result i32) (call $inner) (i32.const 0))
