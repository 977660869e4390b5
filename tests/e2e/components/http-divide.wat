    ;; A trap that the processor raises, not an instruction of its own.
    (func $fault (param $request i32) (param $out i32)
      (call $respond (local.get $out) (i32.div_u (i32.const 200) (i32.sub (local.get $out) (local.get $out)))
        (i32.const 16) (i32.const 7)))
