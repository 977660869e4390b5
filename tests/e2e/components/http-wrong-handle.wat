    ;; Uses a handle that it never had.
    (func $fault (param $request i32) (param $out i32)
      (call $respond (i32.const 123456) (i32.const 200) (i32.const 16) (i32.const 7)))
