    ;; A `result` that is neither ok nor error.
    (func $fault (param $request i32) (param $out i32)
      (call $outparam.set (local.get $out) (i32.const 2) (call $new-response (i32.const 200)) (i32.const 0)
        (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
