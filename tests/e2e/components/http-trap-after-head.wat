    ;; Traps when status, headers and some of the body are on their way.
    (func $fault (param $request i32) (param $out i32)
      (call $print (call $stream-of (call $begin (local.get $out) (i32.const 200))) (i32.const 16) (i32.const 7))
      unreachable)
