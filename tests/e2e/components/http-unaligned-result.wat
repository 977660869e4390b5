    ;; Wants a result at an address that is not aligned for it.
    (func $fault (param $request i32) (param $out i32)
      (call $request.path (local.get $request) (i32.const 1025)))
