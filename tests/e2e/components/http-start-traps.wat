    ;; Traps while it is being instantiated: no request is ever answered.
    (func $fault (param $request i32) (param $out i32))
    (func $main unreachable)
    (start $main)
