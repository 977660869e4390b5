    ;; Traps before it answers.
    (func $fault (param $request i32) (param $out i32) unreachable)
