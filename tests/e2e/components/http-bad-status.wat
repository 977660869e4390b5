    ;; A status that does not exist must be refused: an error, not a trap.
    (func $fault (param $request i32) (param $out i32)
      (local $response i32)
      (local.set $response (call $new-response (i32.const 200)))
      (call $respond (local.get $out)
        (select (i32.const 418) (i32.const 200) (call $response.status (local.get $response) (i32.const 99)))
        (i32.const 16) (i32.const 7)))
