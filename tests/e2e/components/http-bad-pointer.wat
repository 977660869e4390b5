    ;; Gives a list that lies partly outside of its memory.
    (func $fault (param $request i32) (param $out i32)
      (call $print (call $stream-of (call $begin (local.get $out) (i32.const 200)))
        (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 10)) (i32.const 11)))
