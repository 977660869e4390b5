    ;; Gives a request where a response-outparam is wanted.
    (func $fault (param $request i32) (param $out i32)
      (call $respond (local.get $request) (i32.const 200) (i32.const 16) (i32.const 7)))
