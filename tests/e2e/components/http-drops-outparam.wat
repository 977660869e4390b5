    ;; Throws away the means to answer.
    (func $fault (param $request i32) (param $out i32) (call $outparam.drop (local.get $out)))
