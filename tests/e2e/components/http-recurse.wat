    ;; Calls itself for ever.
    (func $fault (param $request i32) (param $out i32)
      (call $fault (local.get $request) (local.get $out))
      (call $respond (local.get $out) (i32.const 200) (i32.const 16) (i32.const 7)))
