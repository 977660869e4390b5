    ;; Answers with an error code: configuration-error.
    (func $fault (param $request i32) (param $out i32)
      (call $outparam.set (local.get $out) (i32.const 1) (i32.const 37) (i32.const 0) (i64.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0)))
