    ;; Wants a result at an address outside of its memory.
    (func $fault (param $request i32) (param $out i32)
      (call $request.path (local.get $request) (i32.const -8)))
