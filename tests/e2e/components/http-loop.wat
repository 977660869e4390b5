    ;; Never ends, before it answers.
    (func $fault (param $request i32) (param $out i32) (loop $for-ever (br $for-ever)))
