    ;; Returns without an answer.
    (func $fault (param $request i32) (param $out i32))
