    (func $run (result i32) (loop $for-ever (br $for-ever)) (i32.const 0))
