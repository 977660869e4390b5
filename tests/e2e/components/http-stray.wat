    ;; Reads outside of its memory.
    (func $fault (param $request i32) (param $out i32)
      (call $respond (local.get $out) (i32.load offset=0x7fffffff (i32.const 0x7fffffff)) (i32.const 16)
        (i32.const 7)))
