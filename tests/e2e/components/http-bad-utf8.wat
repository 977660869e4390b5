    ;; Gives a string that is no UTF-8: a surrogate.
    (data (i32.const 48) "x-\ed\a0\80")
    (func $fault (param $request i32) (param $out i32)
      (call $fields.append (call $fields.new) (i32.const 48) (i32.const 5) (i32.const 16) (i32.const 6)
        (i32.const 1024))
      (call $respond (local.get $out) (i32.const 200) (i32.const 16) (i32.const 7)))
