    ;; A header value with a line end in it must be refused: an error, not a trap, and never a second header.
    (data (i32.const 48) "a\0d\0ax-evil: 1")
    (func $fault (param $request i32) (param $out i32)
      (call $fields.append (call $fields.new) (i32.const 32) (i32.const 6) (i32.const 48) (i32.const 12)
        (i32.const 1024))
      (call $respond (local.get $out)
        (select (i32.const 418) (i32.const 200) (i32.load8_u (i32.const 1024))) (i32.const 16) (i32.const 7)))
