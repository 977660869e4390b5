    ;; Asks a body that it has finished for a stream.
    (func $fault (param $request i32) (param $out i32)
      (local $body i32)
      (local.set $body (call $begin (local.get $out) (i32.const 200)))
      (call $finish (local.get $body))
      (call $print (call $stream-of (local.get $body)) (i32.const 16) (i32.const 7)))
