    ;; Drops the same handle twice.
    (func $fault (param $request i32) (param $out i32)
      (call $request.drop (local.get $request))
      (call $request.drop (local.get $request))
      (call $respond (local.get $out) (i32.const 200) (i32.const 16) (i32.const 7)))
