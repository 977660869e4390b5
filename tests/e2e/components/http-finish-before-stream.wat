    ;; Finishes a body whose stream it still has.
    (func $fault (param $request i32) (param $out i32)
      (local $body i32)
      (local.set $body (call $begin (local.get $out) (i32.const 200)))
      (call $print (call $stream-of (local.get $body)) (i32.const 16) (i32.const 7))
      (call $finish (local.get $body)))
