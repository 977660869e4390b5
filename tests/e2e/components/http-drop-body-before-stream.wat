    ;; Drops the request's body while it has the body's stream.
    (func $fault (param $request i32) (param $out i32)
      (local $body i32)
      (local.set $body (call $consume (local.get $request)))
      (drop (call $input-of (local.get $body)))
      (call $incoming.drop (local.get $body))
      (call $respond (local.get $out) (i32.const 200) (i32.const 16) (i32.const 7)))
